/* SPDX-License-Identifier: Apache-2.0 */
/* timetravel.h -- tables as they were: by version or time, and the difference of two versions.
 *
 * A table is given as "ns.t" (latest), "ns.t@v3", "ns.t@2026-11-20T10:00:00Z", "ns.t@2026-11-20", "ns.t@-2h",
 * "ns.t@tag:NAME" (lakehouse/tag.h; LH_TAG_NOT_FOUND). Statuses of
 * all: LH_TABLE_NOT_FOUND, LH_VERSION_NOT_FOUND (also a time before the first version; the detail names that version),
 * LH_NAME, LH_OPAQUE where files are asked for. See lakehouse.h for memory and threads. */
#ifndef LAKEHOUSE_TIMETRAVEL_H
#define LAKEHOUSE_TIMETRAVEL_H

#include <lakehouse/table.h>

#ifdef __cplusplus
extern "C" {
#endif

struct lh_resolved {
    const char *table;           /* name without the '@' part */
    const char *uri;
    uint64_t table_id;
    uint64_t version;
    uint64_t time_us;
    uint64_t latest_version;
    const char *note;            /* e.g. the time lies after the last version; NULL: nothing to say */
};
/* Which version is meant. */
LH_API LH_MUST_CHECK vde_status lh_resolve(lh_lakehouse *lakehouse, const char *table, struct lh_resolved **ret_resolved);

/* One file of a snapshot. Borrowed until the next call on the snapshot. */
struct lh_file_info {
    uint64_t file_id;            /* add version << 32 | action index; LH_NO_VERSION in a difference's removed files */
    const char *path;
    int64_t size_bytes;          /* LH_UNKNOWN */
    int64_t modification_time_ms;
    int64_t records;             /* LH_UNKNOWN when statistics lack them; deletion vectors not deducted */
    bool has_deletion_vector;
    size_t partition_count;
    const struct lh_property *partition_values; /* a NULL value is null */
    const char *stats;           /* JSON text, NULL: none */
    const char *action_json;     /* the add (or remove) as a Delta JSON line; see lh_snapshot_want_json() */
};

/* A table pinned at one version, to be closed soon: it holds back the reuse of space. */
typedef struct lh_snapshot lh_snapshot;
LH_API LH_MUST_CHECK vde_status lh_snapshot_open(lh_lakehouse *lakehouse, const char *table, lh_snapshot **ret_snapshot);
LH_API void lh_snapshot_close(lh_snapshot *snapshot);
/* Description of the table at this version; borrowed from the snapshot. */
LH_API const struct lh_table_info *lh_snapshot_info(const lh_snapshot *snapshot);
/* Fill lh_file_info.action_json from now on. */
LH_API void lh_snapshot_want_json(lh_snapshot *snapshot, bool want);
/* The next active file, in the order of addition. VDE_NOT_FOUND past the end. */
LH_API LH_MUST_CHECK vde_status lh_snapshot_next_file(lh_snapshot *snapshot, struct lh_file_info *ret_file);
/* Back to the first file. */
LH_API LH_MUST_CHECK vde_status lh_snapshot_rewind(lh_snapshot *snapshot);
/* Registered partitions without files: each as JSON object text {"column":"value"}. */
LH_API LH_MUST_CHECK vde_status lh_snapshot_empty_partitions(lh_snapshot *snapshot, struct lh_strings **ret_partitions);
/* The small state objects as Delta JSON lines: protocol, metaData, txn and domainMetadata actions in force. */
LH_API LH_MUST_CHECK vde_status lh_snapshot_objects(lh_snapshot *snapshot, struct lh_strings **ret_lines);

#define LH_DIGEST_TEXT 33
/* A digest of everything that the table is at this version: protocol, metaData, application transactions, domains,
 * registered partitions and active files with all their fields. Left out is what is made up anew wherever a table is created
 * (its UUID and creation time, snapshot ids), so that the same history gives the same digest in another image. It does not
 * depend on how the state is stored. 32 hexadecimal digits; not meant against forgery. Reads all files of the table. */
LH_API LH_MUST_CHECK vde_status lh_state_digest(lh_lakehouse *lakehouse, const char *table, char digest[LH_DIGEST_TEXT]);

/* Versions whose time lies in [from_us, to_us]; VDE_NOT_FOUND when none does. */
LH_API LH_MUST_CHECK vde_status lh_versions_between(lh_lakehouse *lakehouse, const char *table, uint64_t from_us,
                                                    uint64_t to_us, uint64_t *ret_first, uint64_t *ret_last);

struct lh_diff {
    const char *table;
    uint64_t from_version, to_version;
    uint64_t from_time_us, to_time_us;
    bool schema_changed, partitioning_changed, properties_changed, protocol_changed;
    const char *from_ddl, *to_ddl;
    size_t added_count, removed_count; /* by path and deletion vector; metadata updates of a file don't count */
    const struct lh_file_info *added;  /* active in `to` only; stats and action_json are NULL */
    const struct lh_file_info *removed;
    int64_t bytes_added, bytes_removed;
    int64_t records_added, records_removed; /* LH_UNKNOWN when a file's are */
    uint64_t replayed_entries;
};
/* Difference of "ns.t@a" and the version that `to` ("v7", a time, or "latest") means. Either may be the older. */
LH_API LH_MUST_CHECK vde_status lh_diff_versions(lh_lakehouse *lakehouse, const char *from, const char *to,
                                                 struct lh_diff **ret_diff);

#ifdef __cplusplus
}
#endif
#endif
