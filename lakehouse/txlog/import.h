/* SPDX-License-Identifier: Apache-2.0 */
/* import.h -- give a table that exists elsewhere a log in the image: versions with their exact bytes and times, files,
 * and a name in one last transaction. Until that one nothing is visible; what an interrupted import left is removed by the
 * next read-write lh_open(). */
#ifndef LH_TXLOG_IMPORT_H
#define LH_TXLOG_IMPORT_H

#include <lakehouse/file.h>

#include "model/buffer.h"

struct lh_importer;

struct lh_importer_opts {
    const char *table;           /* "ns.t"; must be free, its namespace must exist unless create_namespaces */
    enum lh_table_format format;
    const char *opaque;          /* why the table is opaque; NULL: native, every action is decoded and replayed */
    const char *origin;          /* where it came from, for lh_table_info.origin */
    bool external;               /* data files stay outside */
    bool create_namespaces;
};
/* Statuses: LH_TABLE_EXISTS, LH_NAMESPACE_NOT_FOUND, LH_NAME. */
vde_status lh_importer_open(lh_lakehouse *lakehouse, const struct lh_importer_opts *opts, struct lh_importer **ret_importer);
/* Append the next version, from 0 on: `bytes` is the whole content of its file, kept as it is. `time_us` is its commit
 * time; it is raised to the one before + 1 where it does not increase. `file_time_ns` is kept for export. For native
 * tables every line is decoded: LH_JSON when one is none. */
vde_status lh_importer_version(struct lh_importer *importer, struct lh_slice bytes, uint64_t time_us, int64_t file_time_ns);
/* Store a file of the table: data by its path in the table's folder, log files as "_delta_log/<name>". */
vde_status lh_importer_file(struct lh_importer *importer, const char *path, int64_t modified_ns, lh_read_fn read,
                            void *context);
/* Name the table and make it visible. Releases the importer, also on failure. `ret_result` may be NULL. */
vde_status lh_importer_commit(struct lh_importer *importer, struct lh_commit_result **ret_result);
/* Give up: removes what was written. NULL is fine. */
void lh_importer_abort(struct lh_importer *importer);
#endif
