/* SPDX-License-Identifier: Apache-2.0 */
/* files.h -- names of data files in the dataset "lakehouse-files". */
#ifndef LH_TXLOG_FILES_H
#define LH_TXLOG_FILES_H

#include <lakehouse/file.h>

#include "txlog/catalog.h"

#define LH_PATH_MAX 700u

struct lh_file_record {
    uint64_t file;           /* the engine's id */
    uint64_t size_bytes;
    int64_t modified_ns;
};
/* 1 to 700 bytes, no NUL or control character, relative, no empty, "." or ".." part. LH_NAME. */
vde_status lh_path_check(struct lh_slice path);
void lh_file_name_key(struct lh_key *key, uint64_t table, struct lh_slice path);
vde_status lh_file_record_put(struct lh_lakehouse *lakehouse, vde_txn *txn, uint64_t table, struct lh_slice path,
                              const struct lh_file_record *record);
vde_status lh_file_record_decode(const void *data, size_t size, struct lh_file_record *ret_record);
/* VDE_NOT_FOUND. */
vde_status lh_file_record_get(struct lh_lakehouse *lakehouse, vde_view *view, uint64_t table, struct lh_slice path,
                              struct lh_file_record *ret_record);
/* Copy everything that `read` gives into a new file that exists with `txn`. */
vde_status lh_file_store(struct lh_lakehouse *lakehouse, vde_txn *txn, lh_read_fn read, void *context,
                         struct lh_file_record *record);
#endif
