/* SPDX-License-Identifier: Apache-2.0 */
/* file.h -- data files stored in the image, by table and path (relative, as the log's `path` decoded from its URI form).
 * A file's bytes never change: its path may be removed and given to a new file. See lakehouse.h for memory, durability and
 * threads. */
#ifndef LAKEHOUSE_FILE_H
#define LAKEHOUSE_FILE_H

#include <lakehouse/table.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Fill `buffer` with up to `size` bytes; *ret_size 0 means the end. A failure ends the operation with that status. */
typedef vde_status (*lh_read_fn)(void *context, void *buffer, size_t size, size_t *ret_size);
/* Take all of `data`. */
typedef vde_status (*lh_write_fn)(void *context, const void *data, size_t size);

struct lh_stored_file {
    const char *path;
    uint64_t size_bytes;
    int64_t modified_ns;         /* LH_UNKNOWN */
    uint64_t file;               /* the engine's file id */
};

/* Store a file. LH_FILE_EXISTS when the path is taken, LH_TABLE_NOT_FOUND, LH_NAME (a path with "..", an empty part, a
 * leading '/' or a control character), LH_WRITE. `modified_ns` may be LH_UNKNOWN. */
LH_API LH_MUST_CHECK vde_status lh_file_put(lh_lakehouse *lakehouse, const char *table, const char *path,
                                            int64_t modified_ns, lh_read_fn read, void *context);
/* Hand the file's bytes to `write` in order; `ret_file` may be NULL, release with lh_free(). LH_FILE_NOT_FOUND. */
LH_API LH_MUST_CHECK vde_status lh_file_get(lh_lakehouse *lakehouse, const char *table, const char *path,
                                            lh_write_fn write, void *context, struct lh_stored_file **ret_file);
/* Describe one. LH_FILE_NOT_FOUND. */
LH_API LH_MUST_CHECK vde_status lh_file_stat(lh_lakehouse *lakehouse, const char *table, const char *path,
                                             struct lh_stored_file **ret_file);
/* Files whose path begins with `prefix` (NULL: all), in byte order. */
struct lh_stored_files {
    size_t count;
    const struct lh_stored_file *files;
};
LH_API LH_MUST_CHECK vde_status lh_file_list(lh_lakehouse *lakehouse, const char *table, const char *prefix,
                                             struct lh_stored_files **ret_files);
/* Remove a file. Refused with LH_VALIDATION when any version of the table names it, in whatever spelling, or has it as a
 * deletion vector: time travel needs it. `force` removes it all the same. Reads the whole history. LH_FILE_NOT_FOUND. */
LH_API LH_MUST_CHECK vde_status lh_file_remove(lh_lakehouse *lakehouse, const char *table, const char *path, bool force);

#ifdef __cplusplus
}
#endif
#endif
