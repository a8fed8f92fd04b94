/* SPDX-License-Identifier: Apache-2.0 */
/* restore.h -- a table made what it was. See lakehouse.h for memory, durability and threads. */
#ifndef LAKEHOUSE_RESTORE_H
#define LAKEHOUSE_RESTORE_H

#include <lakehouse/timetravel.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LH_RESTORE_DRY_RUN 1u    /* only say what would change */
struct lh_restore_report {
    const char *table;
    uint64_t to_version;         /* what was restored */
    uint64_t read_version;       /* the latest then */
    uint64_t version;            /* of the commit; LH_NO_VERSION: a dry run, or nothing to change */
    uint64_t time_us;            /* of the commit; 0 without one */
    bool changed;                /* whether there was anything to change */
    bool metadata_changed;       /* schema, partitioning or properties */
    uint64_t files_added, files_removed;
    int64_t bytes_added, bytes_removed; /* LH_UNKNOWN when a file's are */
};
/* Commit what makes the table's files, schema, partitioning and properties those of the version that `table` names ("ns.t@v3",
 * "ns.t@2026-11-20T10:00:00Z", "ns.t@tag:NAME"): files that went are added, files that came are removed, by path and deletion
 * vector. The versions since stay. Not restored: the protocol, the progress of applications, domains other than clustering,
 * the highest column id, and whether commits carry timestamps. Conflicts are judged from the latest version on, as if all of
 * it had been read. Nothing to change: VDE_OK without a commit. Statuses: LH_TABLE_NOT_FOUND, LH_VERSION_NOT_FOUND,
 * LH_TAG_NOT_FOUND, LH_NAME (no '@' part too), LH_OPAQUE, LH_CONFLICT, LH_FILE_NOT_FOUND (a data file of that version lay in
 * the image and was removed by force), LH_VALIDATION (the version needs a feature that the table has no more; the metadata of
 * an Iceberg table differs). */
LH_API LH_MUST_CHECK vde_status lh_table_restore(lh_lakehouse *lakehouse, const char *table, unsigned flags,
                                                 struct lh_restore_report **ret_report);

#ifdef __cplusplus
}
#endif
#endif
