/* SPDX-License-Identifier: Apache-2.0 */
/* view.h -- reading: a view pins one LSN, and everything read through it is as of that LSN.
 *
 * Views hold back the reuse of freed space, so they should be short; none blocks a writer.
 *
 * Threads: a view and what is opened from it belong to one thread at a time; any number of views may be open. Statuses:
 * NOT_FOUND, CORRUPT (checksum or identity of a block; the detail names it), IO, NOMEM. */
#ifndef VDE_VIEW_H
#define VDE_VIEW_H

#include <vde/image.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vde_view vde_view;

/* Pin the durable watermark. */
VDE_API VDE_MUST_CHECK vde_status vde_view_open(vde_image *image, vde_view **ret_view);
/* Pin the newest submitted LSN, durable or not: for validation under a caller's own locks. What it shows must not be
 * told to anyone before vde_image_wait(image, vde_view_lsn(view)) succeeded. */
VDE_API VDE_MUST_CHECK vde_status vde_view_open_pending(vde_image *image, vde_view **ret_view);
VDE_API void vde_view_close(vde_view *view);
VDE_API uint64_t vde_view_lsn(const vde_view *view);

/* Bytes owned by the caller; release with vde_bytes_free(). */
struct vde_bytes {
    uint8_t *data;
    size_t size;
};
VDE_API void vde_bytes_free(struct vde_bytes *bytes);

/* --- kv datasets ------------------------------------------------------------------------------------------------ */
typedef struct vde_kv vde_kv;
typedef struct vde_cursor vde_cursor;

/* The id of the dataset with this name. */
VDE_API VDE_MUST_CHECK vde_status vde_dataset_find(vde_view *view, const char *name, uint64_t *ret_id);
/* Open a dataset, or one snapshot of it, as of the view. Close before the view. */
VDE_API VDE_MUST_CHECK vde_status vde_kv_open(vde_view *view, uint64_t dataset, vde_kv **ret_kv);
VDE_API VDE_MUST_CHECK vde_status vde_kv_open_snapshot(vde_view *view, uint64_t dataset, uint64_t tag, vde_kv **ret_kv);
VDE_API void vde_kv_close(vde_kv *kv);
/* NOT_FOUND when the key is absent. */
VDE_API VDE_MUST_CHECK vde_status vde_kv_get(vde_kv *kv, const void *key, size_t key_size, struct vde_bytes *ret_value);
/* The greatest snapshot tag <= `tag` of a dataset. NOT_FOUND if there is none. */
VDE_API VDE_MUST_CHECK vde_status vde_snapshot_find(vde_view *view, uint64_t dataset, uint64_t tag, uint64_t *ret_tag);

/* A cursor stands on a record or past the end. `from` NULL: at the first record; else at the first key >= from. */
VDE_API VDE_MUST_CHECK vde_status vde_cursor_open(vde_kv *kv, const void *from, size_t from_size, vde_cursor **ret_cursor);
VDE_API void vde_cursor_close(vde_cursor *cursor);
/* Borrow the record it stands on: valid until the next call on the cursor. NOT_FOUND past the end. */
VDE_API VDE_MUST_CHECK vde_status vde_cursor_get(vde_cursor *cursor, const void **ret_key, size_t *ret_key_size,
                                                 const void **ret_value, size_t *ret_value_size);
VDE_API VDE_MUST_CHECK vde_status vde_cursor_next(vde_cursor *cursor);

/* --- streams ---------------------------------------------------------------------------------------------------- */
struct vde_entry {
    uint64_t number;
    uint64_t lsn;        /* of the transaction that appended it */
    uint64_t time_us;
    const void *data;
    size_t size;
};
typedef struct vde_stream_cursor vde_stream_cursor;

/* First and last number visible in the view; NOT_FOUND for an empty or unknown stream. */
VDE_API VDE_MUST_CHECK vde_status vde_stream_range(vde_view *view, uint64_t stream, uint64_t *ret_first,
                                                   uint64_t *ret_last);
/* The last entry with time <= `time_us`; NOT_FOUND if the first is later. Reads O(log n) index records. */
VDE_API VDE_MUST_CHECK vde_status vde_stream_find_time(vde_view *view, uint64_t stream, uint64_t time_us,
                                                       uint64_t *ret_number);
/* Entries from `from` on, ascending; none for an unknown stream. NOT_FOUND for a dropped one. */
VDE_API VDE_MUST_CHECK vde_status vde_stream_open(vde_view *view, uint64_t stream, uint64_t from,
                                                  vde_stream_cursor **ret_cursor);
/* Borrow the next entry: valid until the next call. NOT_FOUND at the end. */
VDE_API VDE_MUST_CHECK vde_status vde_stream_next(vde_stream_cursor *cursor, struct vde_entry *ret_entry);
VDE_API void vde_stream_close(vde_stream_cursor *cursor);

/* --- files ------------------------------------------------------------------------------------------------------ */
typedef struct vde_file vde_file;
/* Open a sealed file as of the view. Close before the view. */
VDE_API VDE_MUST_CHECK vde_status vde_file_open(vde_view *view, uint64_t file, vde_file **ret_file);
VDE_API uint64_t vde_file_size(const vde_file *file);
/* Read exactly `size` bytes at `offset`; INVAL beyond the end. Every byte returned was verified. */
VDE_API VDE_MUST_CHECK vde_status vde_file_read(vde_file *file, void *buffer, size_t size, uint64_t offset);
VDE_API void vde_file_close(vde_file *file);

#ifdef __cplusplus
}
#endif
#endif
