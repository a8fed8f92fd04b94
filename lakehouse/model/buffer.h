/* SPDX-License-Identifier: Apache-2.0 */
/* buffer.h -- slices of text, a growable output buffer, and an arena for what lives as long as one decoded document.
 *
 * A buffer remembers the first failed allocation: appends afterwards do nothing, and lh_buffer_status() tells once at the
 * end, so that printers need no check per byte. Nothing here is shared between threads. */
#ifndef LH_MODEL_BUFFER_H
#define LH_MODEL_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <vde/error.h>

/* Borrowed bytes, not NUL-terminated. An empty slice may have data == NULL. */
struct lh_slice {
    const char *data;
    size_t size;
};

#define LH_SLICE(literal) ((struct lh_slice){(literal), sizeof(literal) - 1})

static inline struct lh_slice lh_slice_of(const char *text)
{
    return (struct lh_slice){text, text ? strlen(text) : 0};
}
static inline bool lh_slice_equal(struct lh_slice a, struct lh_slice b)
{
    return a.size == b.size && (a.size == 0 || (a.data && b.data && memcmp(a.data, b.data, a.size) == 0));
}
static inline bool lh_slice_is(struct lh_slice a, const char *text) { return lh_slice_equal(a, lh_slice_of(text)); }

struct lh_buffer {
    char *data;
    size_t size;
    size_t capacity;
    bool failed;
};
#define LH_BUFFER_INIT {NULL, 0, 0, false}

void lh_buffer_done(struct lh_buffer *buffer);
/* Forget the content, keep the memory. Also forgets a failure. */
void lh_buffer_clear(struct lh_buffer *buffer);
/* VDE_NOMEM when any append since the last clear failed. */
vde_status lh_buffer_status(const struct lh_buffer *buffer);
/* Room for `size` more bytes at the end, or NULL; the caller adds what it used to buffer->size. */
char *lh_buffer_room(struct lh_buffer *buffer, size_t size);

void lh_buffer_add(struct lh_buffer *buffer, const void *data, size_t size);
void lh_buffer_byte(struct lh_buffer *buffer, char byte);
void lh_buffer_slice(struct lh_buffer *buffer, struct lh_slice slice);
void lh_buffer_text(struct lh_buffer *buffer, const char *text);
void lh_buffer_int(struct lh_buffer *buffer, int64_t value);
void lh_buffer_uint(struct lh_buffer *buffer, uint64_t value);
/* LEB128, and zigzag LEB128 for signed values. */
void lh_buffer_varint(struct lh_buffer *buffer, uint64_t value);
void lh_buffer_zigzag(struct lh_buffer *buffer, int64_t value);
/* A length (varint) and the bytes. */
void lh_buffer_sized(struct lh_buffer *buffer, struct lh_slice slice);

/* Reading what the last three wrote, bounds-checked: after a failed read `failed` stays set and reads give 0 or empty. */
struct lh_reader {
    const uint8_t *data;
    size_t size;
    size_t offset;
    bool failed;
};
uint8_t lh_reader_byte(struct lh_reader *reader);
uint64_t lh_reader_varint(struct lh_reader *reader);
int64_t lh_reader_zigzag(struct lh_reader *reader);
struct lh_slice lh_reader_sized(struct lh_reader *reader);

/* Bump allocator; everything is released together. */
struct lh_arena_chunk;
struct lh_arena {
    struct lh_arena_chunk *chunks;
    size_t used;     /* of the first chunk */
};
#define LH_ARENA_INIT {NULL, 0}
void lh_arena_done(struct lh_arena *arena);
/* Release everything but one chunk. */
void lh_arena_reset(struct lh_arena *arena);
/* Zeroed, aligned for any type; NULL when memory is out (the error detail is set). `count` * `size` can't wrap. */
void *lh_arena_alloc(struct lh_arena *arena, size_t count, size_t size);
/* A copy of `slice`; data == NULL with size > 0 never happens: on failure *ret is untouched and VDE_NOMEM returned. */
vde_status lh_arena_copy(struct lh_arena *arena, struct lh_slice slice, struct lh_slice *ret);
#endif
