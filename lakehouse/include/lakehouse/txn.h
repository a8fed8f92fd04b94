/* SPDX-License-Identifier: Apache-2.0 */
/* txn.h -- commits: one transaction changes any number of tables, all or none.
 *
 * A transaction is built by the functions below or from a JSON document. Each table in it is a member. Nothing is read or
 * locked while it is built. Committing takes the locks of its tables in ascending order, judges conflicts from each
 * member's read version on, gives every member with actions its next version, and waits until the one record that holds
 * it all is durable. All versions of a transaction have one time and one group id.
 *
 * Conflicts follow the rules of Spark's ConflictChecker by name and in its order (lakehouse/status.h). Only versions after
 * the read version are judged: without one, nothing. The isolation level is the transaction's, else what the table asks for
 * (delta.isolationLevel of an imported table), else Serializable; a member whose file actions all have dataChange = false is
 * judged as a snapshot: no added file counts. What was read is what the member says; a file that it adds with dataChange =
 * false counts as read. Removing a partition takes what is in it when committing and conflicts with no file.
 *
 * A blind append (adds, and application transactions beside them; nothing read) never fails for files. It fails, with nothing
 * landed, when schema, protocol or the application's progress changed in a way that binds it: not for a property outside
 * "delta.", nor for a feature that asks nothing of writers.
 *
 * Statuses of lh_commit and lh_submit: LH_TABLE_NOT_FOUND, LH_TABLE_EXISTS, LH_NAMESPACE_NOT_FOUND, LH_NAME, LH_CONFLICT,
 * LH_VALIDATION, LH_FILE_NOT_FOUND (a removed file is not active), LH_SCHEMA, LH_SCHEMA_INCOMPATIBLE, LH_OPAQUE, LH_FEATURE
 * (lakehouse/features.h),
 * LH_ALREADY_APPLIED (application id and version were recorded before; nothing is committed), VDE_TOO_LARGE (more than one
 * log record holds), and those of lakehouse.h. On failure nothing happened, except that VDE_COMMIT_UNKNOWN is settled when
 * the image is opened again: ask lh_group_lookup() or repeat with the same idempotency key. */
#ifndef LAKEHOUSE_TXN_H
#define LAKEHOUSE_TXN_H

#include <lakehouse/table.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lh_txn lh_txn;

LH_API LH_MUST_CHECK vde_status lh_txn_create(lh_lakehouse *lakehouse, lh_txn **ret_txn);
/* Build from a transaction document:
 *   {"isolation":"Serializable"|"WriteSerializable", "idempotencyKey":"...", "tables":[
 *     {"table":"ns.a", "create":{"schema":"id BIGINT","format":"delta","partitionBy":["day"],"properties":{},
 *      "description":""}, "readVersion":4, "expectVersion":5,
 *      "reads":"all" | ["path",...] | {"column":"value" | null | ["v1","v2"]}, "readApps":["application id",...],
 *      "operation":"WRITE", "properties":{"key":"value"|null}, "schema":"...", "partitionBy":["days(ts)"],
 *      "overwrite":true | {"column":"value" | null | ["v1","v2"]}, "replace":["path",...],
 *      "guarantees":["checkConstraints"],
 *      "actions":[{"add":{...}}, ...]}, ...]}
 * Actions are Delta's objects; their text is kept as written. Also {"addPartition":{"partitionValues":{}}} and
 * {"removePartition":{"partitionValues":{}}}. "create.schema" and "schema" may be a text or an object. Statuses: LH_JSON,
 * LH_VALIDATION. */
LH_API LH_MUST_CHECK vde_status lh_txn_from_json(lh_lakehouse *lakehouse, const char *json, size_t size, lh_txn **ret_txn);
/* Forget everything, keep the memory: faster than a new one. */
LH_API void lh_txn_reset(lh_txn *txn);
/* NULL is fine. */
LH_API void lh_txn_destroy(lh_txn *txn);

enum lh_isolation { LH_SERIALIZABLE = 0, LH_WRITE_SERIALIZABLE = 1 };
LH_API void lh_txn_isolation(lh_txn *txn, enum lh_isolation isolation);
/* A commit with the same key (1-255 bytes) and the same content returns the first result; LH_VALIDATION with another
 * content. */
LH_API LH_MUST_CHECK vde_status lh_txn_idempotency_key(lh_txn *txn, const char *key);

struct lh_member {
    uint32_t size;               /* sizeof(struct lh_member) */
    uint64_t read_version;       /* conflicts are judged from here; LH_NO_VERSION: the current one when committing */
    uint64_t expect_version;     /* the new version must be this; LH_NO_VERSION: any */
    const char *operation;       /* "WRITE", "DELETE", ...; NULL: made up from the actions */
    const struct lh_create *create; /* NULL: the table exists. Else this transaction creates it */
};
#define LH_MEMBER_INIT { sizeof(struct lh_member), LH_NO_VERSION, LH_NO_VERSION, 0, 0 }
/* Name a table; once per table. *ret_member is what the functions below call it. `member` may be NULL. */
LH_API LH_MUST_CHECK vde_status lh_txn_table(lh_txn *txn, const char *table, const struct lh_member *member,
                                             size_t *ret_member);

/* What the transaction read of a member, for conflicts: everything, single files, or partitions (a conjunction of
 * columns, each with the values that were asked for; a NULL value is null). Calls add up. */
LH_API LH_MUST_CHECK vde_status lh_txn_read_all(lh_txn *txn, size_t member);
LH_API LH_MUST_CHECK vde_status lh_txn_read_file(lh_txn *txn, size_t member, const char *path);
/* An application id whose recorded version was read (lh_txn_app() counts as reading its own). */
LH_API LH_MUST_CHECK vde_status lh_txn_read_app(lh_txn *txn, size_t member, const char *app_id);
struct lh_read_column {
    const char *column;
    const char *const *values;
    size_t value_count;
};
LH_API LH_MUST_CHECK vde_status lh_txn_read_partitions(lh_txn *txn, size_t member, const struct lh_read_column *columns,
                                                       size_t count);

struct lh_add {
    const char *path;            /* as Delta writes it: URI-encoded, relative or absolute */
    const struct lh_property *partition_values; /* a NULL value is null */
    size_t partition_count;
    int64_t size_bytes;
    int64_t modification_time_ms;
    bool no_data_change;         /* dataChange = false */
    const char *stats;           /* Delta's statistics JSON; NULL: none */
    int64_t records;             /* used when stats is NULL; LH_UNKNOWN: unknown */
};
#define LH_ADD_INIT { 0, 0, 0, 0, 0, false, 0, LH_UNKNOWN }
LH_API LH_MUST_CHECK vde_status lh_txn_add_file(lh_txn *txn, size_t member, const struct lh_add *add);
/* Remove an active file. */
LH_API LH_MUST_CHECK vde_status lh_txn_remove_file(lh_txn *txn, size_t member, const char *path, bool no_data_change);
/* Register a partition, which may be empty; or remove every active file with exactly these partition values. */
LH_API LH_MUST_CHECK vde_status lh_txn_add_partition(lh_txn *txn, size_t member, const struct lh_property *values,
                                                     size_t count);
LH_API LH_MUST_CHECK vde_status lh_txn_remove_partition(lh_txn *txn, size_t member, const struct lh_property *values,
                                                        size_t count);
/* Overwrite: remove every file that is active when committing and whose partition values match (as for
 * lh_txn_read_partitions(); count 0: every file), which counts as having read them. What the member adds must match, too, and
 * be new. Once per member. */
LH_API LH_MUST_CHECK vde_status lh_txn_overwrite(lh_txn *txn, size_t member, const struct lh_read_column *columns,
                                                 size_t count);
/* Remove these active files, which were read, for what the member adds. */
LH_API LH_MUST_CHECK vde_status lh_txn_replace_files(lh_txn *txn, size_t member, const char *const *paths, size_t count);
/* The whole new schema in any form of lh_create.schema; judged by the evolution rules when committing. */
LH_API LH_MUST_CHECK vde_status lh_txn_set_schema(lh_txn *txn, size_t member, const char *schema);
/* Another partitioning, as in lh_create.partition_columns; no columns: none any more. Iceberg tables only: files of earlier
 * versions keep the one that they were added under. */
LH_API LH_MUST_CHECK vde_status lh_txn_set_partitioning(lh_txn *txn, size_t member, const char *const *columns,
                                                        size_t count);
/* The protocol may be raised where the schema needs it. */
LH_API LH_MUST_CHECK vde_status lh_txn_allow_upgrade(lh_txn *txn, size_t member);
/* Declare that the data which this member adds keeps the rules of a feature that only its writer can guarantee
 * (lh_feature.guaranteed). LH_VALIDATION: there is no such feature. */
LH_API LH_MUST_CHECK vde_status lh_txn_guarantee(lh_txn *txn, size_t member, const char *feature);
/* Set properties; a NULL value removes the key. "delta.feature.<name>" = "supported" adds the feature to the protocol: to a
 * new table, or with lh_txn_allow_upgrade(). */
LH_API LH_MUST_CHECK vde_status lh_txn_set_properties(lh_txn *txn, size_t member, const struct lh_property *changes,
                                                      size_t count);
/* The application's own progress: Delta's txn action. */
LH_API LH_MUST_CHECK vde_status lh_txn_app(lh_txn *txn, size_t member, const char *app_id, int64_t version);
/* userMetadata and engineInfo of the commit's commitInfo; either may be NULL. */
LH_API LH_MUST_CHECK vde_status lh_txn_commit_info(lh_txn *txn, size_t member, const char *user_metadata,
                                                   const char *engine_info);
/* One line of Delta JSON, kept as written. LH_JSON. */
LH_API LH_MUST_CHECK vde_status lh_txn_action_json(lh_txn *txn, size_t member, const char *json, size_t size);

/* Commit and wait until durable. `ret_result` may be NULL. The transaction stays the caller's and, after a failure, may be
 * committed again; after success it must be reset first. */
LH_API LH_MUST_CHECK vde_status lh_commit(lh_txn *txn, struct lh_commit_result **ret_result);

/* Asynchronous form. */
typedef struct lh_queue lh_queue;
struct lh_completion {
    uint64_t tag;
    vde_status status;           /* VDE_OK, VDE_POISONED (certainly absent), VDE_COMMIT_UNKNOWN */
    uint64_t lsn;
    uint64_t time_us;
};
LH_API LH_MUST_CHECK vde_status lh_queue_create(lh_lakehouse *lakehouse, lh_queue **ret_queue);
/* Everything submitted must have been reaped. NULL is fine. */
LH_API void lh_queue_destroy(lh_queue *queue);
/* An eventfd, readable when completions wait; -1 when there can't be one. The queue's. */
LH_API int lh_queue_fd(lh_queue *queue);
/* Commit without waiting. *ret_result (may be NULL) holds the versions given; they may be told to others, and readers see
 * them, only when the completion with `tag` brought VDE_OK. On failure no completion comes. */
LH_API LH_MUST_CHECK vde_status lh_submit(lh_txn *txn, lh_queue *queue, uint64_t tag, struct lh_commit_result **ret_result);
/* Take up to `max` completions in commit order; with `wait` at least one if anything is in flight. */
LH_API LH_MUST_CHECK vde_status lh_queue_reap(lh_queue *queue, struct lh_completion *completions, size_t max, bool wait,
                                              size_t *ret_count);

/* Look a transaction up by its group id (UUID text). LH_GROUP_NOT_FOUND. */
LH_API LH_MUST_CHECK vde_status lh_group_lookup(lh_lakehouse *lakehouse, const char *group,
                                                struct lh_commit_result **ret_result);

#ifdef __cplusplus
}
#endif
#endif
