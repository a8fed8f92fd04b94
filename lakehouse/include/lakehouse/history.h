/* SPDX-License-Identifier: Apache-2.0 */
/* history.h -- a table's versions one by one. Works for opaque tables too. See lakehouse.h for memory and threads. */
#ifndef LAKEHOUSE_HISTORY_H
#define LAKEHOUSE_HISTORY_H

#include <lakehouse/table.h>

#ifdef __cplusplus
extern "C" {
#endif

struct lh_version_info {
    uint64_t version;
    uint64_t time_us;
    uint64_t lsn;
    const char *operation;       /* "UNKNOWN" when a foreign commit does not say */
    bool foreign;                /* bytes of another writer, kept as they came */
    char group[LH_UUID_TEXT];    /* "" for imported versions */
    char commit_id[LH_UUID_TEXT];
    uint64_t files_added, files_removed;
    int64_t bytes_added, bytes_removed;     /* LH_UNKNOWN */
    int64_t records_added, records_removed; /* LH_UNKNOWN */
    bool schema_changed;         /* against the version before; version 0: true */
    uint64_t actions;
    int64_t file_time_ns;        /* imported: time of the commit's file, nanoseconds; LH_UNKNOWN otherwise */
    int64_t snapshot_id;         /* Iceberg tables; LH_UNKNOWN otherwise */
    int64_t parent_snapshot_id;
    int64_t schema_id;
    int64_t sequence_number;
    const char *user_metadata;   /* NULL: none */
    const char *engine_info;     /* NULL: none */
};

typedef struct lh_history lh_history;
/* Versions `first` to `last` (inclusive; LH_NO_VERSION: the latest), ascending, or with `newest_first` descending.
 * LH_TABLE_NOT_FOUND, LH_VERSION_NOT_FOUND when `first` is beyond the last version. */
LH_API LH_MUST_CHECK vde_status lh_history_open(lh_lakehouse *lakehouse, const char *table, uint64_t first, uint64_t last,
                                                bool newest_first, lh_history **ret_history);
LH_API void lh_history_close(lh_history *history);
/* Borrowed until the next call. VDE_NOT_FOUND past the end. */
LH_API LH_MUST_CHECK vde_status lh_history_next(lh_history *history, struct lh_version_info *ret_info);

/* The commit as the content of its NNN.json: the original bytes of a foreign commit, printed for a native one. With
 * `from_state` always printed from the decoded actions. Release *ret_text with lh_free(); it ends with a NUL that
 * *ret_size does not count. LH_VERSION_NOT_FOUND. */
LH_API LH_MUST_CHECK vde_status lh_commit_text(lh_lakehouse *lakehouse, const char *table, uint64_t version,
                                               bool from_state, char **ret_text, size_t *ret_size);

#ifdef __cplusplus
}
#endif
#endif
