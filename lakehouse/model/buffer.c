/* SPDX-License-Identifier: Apache-2.0 */
#include "model/buffer.h"

#include <stdlib.h>

static vde_status out_of_memory(void) { return vde_error_set(VDE_NOMEM, "table model", NULL, NULL); }

void lh_buffer_done(struct lh_buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct lh_buffer)LH_BUFFER_INIT;
}

void lh_buffer_clear(struct lh_buffer *buffer)
{
    buffer->size = 0;
    buffer->failed = false;
}

vde_status lh_buffer_status(const struct lh_buffer *buffer) { return buffer->failed ? out_of_memory() : VDE_OK; }

char *lh_buffer_room(struct lh_buffer *buffer, size_t size)
{
    if (buffer->failed)
        return NULL;
    if (size <= buffer->capacity - buffer->size)
        return buffer->data ? buffer->data + buffer->size : NULL;
    size_t capacity = buffer->capacity ? buffer->capacity : 256;
    while (capacity - buffer->size < size) {
        if (capacity > SIZE_MAX / 2) {
            buffer->failed = true;
            return NULL;
        }
        capacity *= 2;
    }
    char *data = realloc(buffer->data, capacity);
    if (!data) {
        buffer->failed = true;
        return NULL;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return data + buffer->size;
}

void lh_buffer_add(struct lh_buffer *buffer, const void *data, size_t size)
{
    if (size == 0)
        return;
    char *room = lh_buffer_room(buffer, size);
    if (!room)
        return;
    memcpy(room, data, size);
    buffer->size += size;
}

void lh_buffer_byte(struct lh_buffer *buffer, char byte)
{
    if (buffer->size < buffer->capacity && !buffer->failed)
        buffer->data[buffer->size++] = byte;
    else
        lh_buffer_add(buffer, &byte, 1);
}

void lh_buffer_slice(struct lh_buffer *buffer, struct lh_slice slice) { lh_buffer_add(buffer, slice.data, slice.size); }

void lh_buffer_text(struct lh_buffer *buffer, const char *text) { lh_buffer_add(buffer, text, strlen(text)); }

void lh_buffer_uint(struct lh_buffer *buffer, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    lh_buffer_add(buffer, digits + at, sizeof digits - at);
}

void lh_buffer_int(struct lh_buffer *buffer, int64_t value)
{
    if (value >= 0) {
        lh_buffer_uint(buffer, (uint64_t)value);
        return;
    }
    lh_buffer_byte(buffer, '-');
    lh_buffer_uint(buffer, 0 - (uint64_t)value);
}

void lh_buffer_varint(struct lh_buffer *buffer, uint64_t value)
{
    while (value >= 0x80) {
        lh_buffer_byte(buffer, (char)(uint8_t)(value | 0x80));
        value >>= 7;
    }
    lh_buffer_byte(buffer, (char)value);
}

void lh_buffer_zigzag(struct lh_buffer *buffer, int64_t value)
{
    lh_buffer_varint(buffer, (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0));
}

void lh_buffer_sized(struct lh_buffer *buffer, struct lh_slice slice)
{
    lh_buffer_varint(buffer, slice.size);
    lh_buffer_slice(buffer, slice);
}

uint8_t lh_reader_byte(struct lh_reader *reader)
{
    if (reader->failed || reader->offset >= reader->size) {
        reader->failed = true;
        return 0;
    }
    return reader->data[reader->offset++];
}

uint64_t lh_reader_varint(struct lh_reader *reader)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = lh_reader_byte(reader);
        if (reader->failed)
            return 0;
        /* The tenth byte has room for one bit; and a zero last byte would be a second spelling of the same number. */
        if ((shift == 63 && byte > 1) || (byte == 0 && shift > 0))
            break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
    reader->failed = true;
    return 0;
}

int64_t lh_reader_zigzag(struct lh_reader *reader)
{
    uint64_t value = lh_reader_varint(reader);
    return (int64_t)(value >> 1 ^ (0 - (value & 1)));
}

struct lh_slice lh_reader_sized(struct lh_reader *reader)
{
    uint64_t size = lh_reader_varint(reader);
    if (reader->failed || size > reader->size - reader->offset) {
        reader->failed = true;
        return (struct lh_slice){NULL, 0};
    }
    struct lh_slice slice = {(const char *)reader->data + reader->offset, (size_t)size};
    reader->offset += (size_t)size;
    return slice;
}

#define ARENA_CHUNK 16384u
#define ARENA_ALIGN 16u

struct lh_arena_chunk {
    struct lh_arena_chunk *next;
    size_t size;
    _Alignas(16) uint8_t bytes[];
};

void lh_arena_done(struct lh_arena *arena)
{
    while (arena->chunks) {
        struct lh_arena_chunk *next = arena->chunks->next;
        free(arena->chunks);
        arena->chunks = next;
    }
    arena->used = 0;
}

void lh_arena_reset(struct lh_arena *arena)
{
    /* The newest chunk is the largest or of the common size: worth keeping, unless one huge document made it. */
    while (arena->chunks && (arena->chunks->next || arena->chunks->size > 64 * ARENA_CHUNK)) {
        struct lh_arena_chunk *next = arena->chunks->next;
        free(arena->chunks);
        arena->chunks = next;
    }
    arena->used = 0;
}

void *lh_arena_alloc(struct lh_arena *arena, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX / 2) {
        out_of_memory();
        return NULL;
    }
    bytes = (bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    if (bytes == 0)
        bytes = ARENA_ALIGN;
    if (!arena->chunks || arena->chunks->size - arena->used < bytes) {
        size_t capacity = bytes > ARENA_CHUNK ? bytes : ARENA_CHUNK;
        struct lh_arena_chunk *chunk = malloc(sizeof *chunk + capacity);
        if (!chunk) {
            out_of_memory();
            return NULL;
        }
        chunk->next = arena->chunks;
        chunk->size = capacity;
        arena->chunks = chunk;
        arena->used = 0;
    }
    void *memory = arena->chunks->bytes + arena->used;
    arena->used += bytes;
    return memset(memory, 0, bytes);
}

vde_status lh_arena_copy(struct lh_arena *arena, struct lh_slice slice, struct lh_slice *ret)
{
    char *copy = lh_arena_alloc(arena, 1, slice.size);
    if (!copy)
        return VDE_NOMEM;
    if (slice.size)
        memcpy(copy, slice.data, slice.size);
    *ret = (struct lh_slice){copy, slice.size};
    return VDE_OK;
}
