/* SPDX-License-Identifier: Apache-2.0 */
/* lakehouse.h -- the table layer of an open image.
 *
 * Names: a namespace is "a" or "a.b"; a table is "a.b.table". Reading functions also take "table@v3",
 * "table@2026-11-20T10:00:00Z", "table@-2h" and "table@tag:NAME" (lakehouse/timetravel.h, lakehouse/tag.h).
 * Memory: strings handed in are borrowed for the call. Structs handed out by pointer are one allocation: everything in
 * them is valid until they are released with lh_free().
 * Times are microseconds since 1970-01-01 UTC, sizes bytes, ids and versions 64-bit. LH_UNKNOWN stands for an unknown
 * number.
 * Durability: every changing function returns after its change is durable, except lh_submit().
 * Threads: any function may be called from any thread on the same lh_lakehouse, except lh_close(). Cursors, snapshots and
 * transactions belong to one thread at a time.
 * Besides the statuses named per function any may return VDE_NOMEM, VDE_IO, VDE_CORRUPT, VDE_POISONED, VDE_INVAL (a NULL
 * or nonsensical argument), and changing ones VDE_READ_ONLY, VDE_NOSPC, VDE_COMMIT_UNKNOWN. */
#ifndef LAKEHOUSE_LAKEHOUSE_H
#define LAKEHOUSE_LAKEHOUSE_H

#include <stddef.h>

#include <vde/image.h>

#include <lakehouse/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lh_lakehouse lh_lakehouse;

#define LH_UNKNOWN INT64_MIN
#define LH_NO_VERSION UINT64_MAX
#define LH_UUID_TEXT 37 /* 36 characters and NUL */

struct lh_open_opts {
    uint32_t size;  /* sizeof(struct lh_open_opts) */
    uint32_t flags; /* LH_OPEN_* */
};
#define LH_OPEN_NO_STATE 1u /* never write table states: for tests of the replay */
#define LH_OPEN_OPTS_INIT { sizeof(struct lh_open_opts), 0 }

/* Open the table layer of an image; read-write images get its datasets on the first call. `opts` may be NULL. The image
 * stays the caller's and must outlive *ret_lakehouse. One lh_lakehouse per image at a time. */
LH_API LH_MUST_CHECK vde_status lh_open(vde_image *image, const struct lh_open_opts *opts, lh_lakehouse **ret_lakehouse);
/* Release the handle; writes nothing. All cursors, snapshots, transactions and queues of it are closed before. NULL is
 * fine. */
LH_API void lh_close(lh_lakehouse *lakehouse);
/* Release what a function of this library handed out. NULL is fine. */
LH_API void lh_free(void *memory);

struct lh_property {
    const char *key;
    const char *value; /* NULL where a value is taken away */
};
struct lh_strings {
    size_t count;
    const char *const *items;
};

struct lh_stats {
    uint64_t namespaces;
    uint64_t tables;
    uint64_t versions;            /* of all tables; equals entries in their streams */
    uint64_t entries;
    /* Since lh_open. */
    uint64_t commits;             /* transactions that got versions */
    uint64_t conflicts;
    uint64_t queries_latest;      /* time travel queries by how they were asked */
    uint64_t queries_by_version;
    uint64_t queries_by_time;
    uint64_t replayed_entries;    /* by all of them */
    uint64_t states_written;
    uint64_t state_failures;      /* state writes given up, e.g. for lack of space: later ones catch up */
    uint64_t lock_wait_max_us;    /* longest wait for table locks */
};
/* Count what is in the image, as of now. Reads one record per table. */
LH_API LH_MUST_CHECK vde_status lh_get_stats(lh_lakehouse *lakehouse, struct lh_stats *ret_stats);

/* The image's UUID as text. */
LH_API void lh_image_uuid(lh_lakehouse *lakehouse, char text[LH_UUID_TEXT]);
/* "2026-11-20T10:00:00.123Z"; with six digits where the microseconds are not whole milliseconds. */
#define LH_TIME_TEXT 32
LH_API void lh_time_text(uint64_t time_us, char text[LH_TIME_TEXT]);
/* Microseconds since 1970 of what may stand behind '@': "2026-11-20T10:00:00Z" with any offset, "2026-11-20[ 10:00[:00]]" in
 * UTC, or an age such as "-2h" (s, m, h, d, w) counted back from `now_us`. VDE_INVAL: none of these. */
LH_API LH_MUST_CHECK vde_status lh_time_parse(const char *text, uint64_t now_us, uint64_t *ret_us);

#ifdef __cplusplus
}
#endif
#endif
