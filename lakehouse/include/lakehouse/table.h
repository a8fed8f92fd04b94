/* SPDX-License-Identifier: Apache-2.0 */
/* table.h -- create, describe, list, evolve and drop tables. Files are added and removed by commits (lakehouse/txn.h) and
 * listed by snapshots (lakehouse/timetravel.h). See lakehouse.h for memory, durability and threads. */
#ifndef LAKEHOUSE_TABLE_H
#define LAKEHOUSE_TABLE_H

#include <lakehouse/lakehouse.h>

#ifdef __cplusplus
extern "C" {
#endif

enum lh_table_format { LH_FORMAT_DELTA = 1, LH_FORMAT_ICEBERG = 2 }; /* written to disk */

struct lh_create {
    uint32_t size;                /* sizeof(struct lh_create) */
    enum lh_table_format format;
    const char *schema;           /* DDL "id BIGINT NOT NULL, day DATE", Delta schemaString or Iceberg schema JSON; NULL
                                     or "": no columns */
    const char *const *partition_columns; /* columns; with LH_FORMAT_ICEBERG also transforms of them: "bucket(16,id)",
                                     "truncate(4,name)", "days(ts)", years, months, hours, void */
    size_t partition_count;
    const struct lh_property *properties;
    size_t property_count;
    const char *description;      /* may be NULL */
};
#define LH_CREATE_INIT { sizeof(struct lh_create), LH_FORMAT_DELTA, 0, 0, 0, 0, 0, 0 }

/* What a commit made of one table: its snapshot key is (uri, version). */
struct lh_committed {
    const char *table;
    const char *uri;              /* "vde://<image-uuid>/<namespace>/<table>" */
    uint64_t table_id;
    uint64_t version;             /* LH_NO_VERSION: was only validated */
    int64_t snapshot_id;          /* Iceberg tables; LH_UNKNOWN otherwise */
    char commit_id[LH_UUID_TEXT];
};
struct lh_commit_result {
    char group[LH_UUID_TEXT];
    uint64_t time_us;             /* one time for all tables */
    uint64_t lsn;
    bool already_applied;         /* the idempotency key was known: this is the first result */
    size_t count;
    const struct lh_committed *tables; /* in the order they were named */
};

/* Create a table with version 0. `ret_result` may be NULL. Statuses: LH_TABLE_EXISTS, LH_NAMESPACE_NOT_FOUND, LH_NAME,
 * LH_SCHEMA (what is wrong with which column), LH_VALIDATION (partition columns, properties). */
LH_API LH_MUST_CHECK vde_status lh_table_create(lh_lakehouse *lakehouse, const char *table,
                                                const struct lh_create *create, struct lh_commit_result **ret_result);
LH_API LH_MUST_CHECK vde_status lh_table_exists(lh_lakehouse *lakehouse, const char *table, bool *ret_exists);
/* Full names of the tables in a namespace, in byte order; NULL or "" with `recursive`: of all. LH_NAMESPACE_NOT_FOUND. */
LH_API LH_MUST_CHECK vde_status lh_table_list(lh_lakehouse *lakehouse, const char *name_space, bool recursive,
                                              struct lh_strings **ret_names);

struct lh_column {
    const char *name;
    const char *type;             /* as DDL writes it: "DECIMAL(10,2)" */
    bool nullable;
    const char *comment;          /* NULL: none */
    int32_t field_id;             /* 0: none */
    bool partition;
};
/* A table as of one version. */
struct lh_table_info {
    uint64_t id;
    const char *name;
    const char *uri;
    enum lh_table_format format;
    const char *opaque;           /* NULL: native. Else why only log and export work; then what needs the state is empty */
    bool imported;
    bool external;                /* some data files were left outside (import by reference) */
    const char *origin;           /* imported: the folder it came from; else NULL */
    uint64_t version;
    uint64_t time_us;             /* of that version */
    uint64_t first_version;
    uint64_t latest_version;
    const char *note;             /* how a time was resolved, when that needs saying; else NULL */
    const char *table_uuid;       /* Delta metaData.id, Iceberg table-uuid */
    const char *description;      /* NULL: none */
    uint64_t created_us;
    size_t column_count;
    const struct lh_column *columns;
    const char *ddl;              /* the columns as DDL */
    const char *schema_json;      /* Delta: schemaString; Iceberg: schema JSON */
    size_t partition_count;
    const char *const *partition_columns; /* Iceberg: names of the partition fields, "id_bucket_16" */
    size_t property_count;
    const struct lh_property *properties;
    const char *protocol_json;    /* {"minReaderVersion":...} */
    uint64_t files;               /* active */
    uint64_t bytes;               /* of the active files */
    int64_t records;              /* by statistics; LH_UNKNOWN when a file has none */
    uint64_t replayed_entries;    /* read to answer */
};
/* Describe "ns.t", "ns.t@v3", "ns.t@<time>". Statuses: LH_TABLE_NOT_FOUND, LH_VERSION_NOT_FOUND, LH_NAME. */
LH_API LH_MUST_CHECK vde_status lh_table_describe(lh_lakehouse *lakehouse, const char *table,
                                                  struct lh_table_info **ret_info);
/* The last visible version. LH_TABLE_NOT_FOUND. */
LH_API LH_MUST_CHECK vde_status lh_latest_version(lh_lakehouse *lakehouse, const char *table, uint64_t *ret_version);

struct lh_evolve {
    uint32_t size;                /* sizeof(struct lh_evolve) */
    uint32_t flags;               /* LH_EVOLVE_* */
    const char *schema;           /* the whole new schema in any of the forms; NULL: unchanged */
    const struct lh_property *properties; /* set, or removed where the value is NULL */
    size_t property_count;
    uint64_t expect_version;      /* the version this must become; LH_NO_VERSION: any */
    const char *const *partition_columns; /* with LH_EVOLVE_PARTITIONING: as lh_create.partition_columns */
    size_t partition_count;
};
#define LH_EVOLVE_UPGRADE_PROTOCOL 1u /* may raise the protocol (type widening in Delta), locking older readers out */
#define LH_EVOLVE_PARTITIONING 2u     /* set the partitioning (lh_txn_set_partitioning) */
#define LH_EVOLVE_INIT { sizeof(struct lh_evolve), 0, 0, 0, 0, LH_NO_VERSION, 0, 0 }
/* Change schema, properties or (Iceberg) partitioning as one commit. Columns are matched by name: one that stays keeps its ids, and whatever its
 * field metadata holds that the schema's form can't say; DDL without COMMENT keeps the comment. A new column gets ids that no
 * column ever had. Of delta.columnMapping.mode only none to "name" may be set on a table with history. Statuses: LH_SCHEMA_INCOMPATIBLE (column and rule), LH_SCHEMA, LH_CONFLICT,
 * LH_TABLE_NOT_FOUND, LH_OPAQUE. */
LH_API LH_MUST_CHECK vde_status lh_table_evolve(lh_lakehouse *lakehouse, const char *table, const struct lh_evolve *evolve,
                                                struct lh_commit_result **ret_result);

#define LH_DROP_PURGE 1u /* also forget history and data files; without it lh_table_undrop() brings the table back */
/* Drop a table: its name is free when this returns. Without a purge its space stays allocated. External files are never touched. LH_TABLE_NOT_FOUND. */
LH_API LH_MUST_CHECK vde_status lh_table_drop(lh_lakehouse *lakehouse, const char *table, unsigned flags);

struct lh_dropped_table {
    uint64_t id;
    const char *name;             /* that it had */
    uint64_t dropped_us;          /* 0: not noted */
    uint64_t latest_version;
};
struct lh_dropped_tables {
    size_t count;
    const struct lh_dropped_table *tables;
};
/* Tables that were dropped without a purge, in the order of their ids. */
LH_API LH_MUST_CHECK vde_status lh_table_list_dropped(lh_lakehouse *lakehouse, struct lh_dropped_tables **ret_tables);
/* Bring back the table that was dropped last under this name, with its whole history, its files and its tags, under the same
 * name or, if `name` isn't NULL, that one. Statuses: LH_TABLE_NOT_FOUND (none was dropped, or it was purged), LH_TABLE_EXISTS
 * and LH_NAMESPACE_EXISTS (the name is taken), LH_NAMESPACE_NOT_FOUND, LH_NAME. */
LH_API LH_MUST_CHECK vde_status lh_table_undrop(lh_lakehouse *lakehouse, const char *table, const char *name);

#ifdef __cplusplus
}
#endif
#endif
