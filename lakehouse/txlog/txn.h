/* SPDX-License-Identifier: Apache-2.0 */
/* txn.h -- a transaction being built, and the steps of committing it.
 *
 *   build (no reads) -> resolve names -> prepare (reads views, unlocked) -> lock -> validate -> record -> submit -> unlock
 *   -> wait
 *
 * What prepare found out is checked again under the locks against the versions that came since; where it no longer
 * holds, the locks are released and preparing starts over. */
#ifndef LH_TXLOG_TXN_H
#define LH_TXLOG_TXN_H

#include <lakehouse/txn.h>

#include "model/schema.h"
#include "txlog/catalog.h"

struct lh_hashes {
    uint64_t *items;
    size_t count, capacity;
};
bool lh_hashes_add(struct lh_hashes *hashes, uint64_t hash);
/* Sort; true when two are equal. */
bool lh_hashes_sort(struct lh_hashes *hashes);
bool lh_hashes_has(const struct lh_hashes *sorted, uint64_t hash);

/* A file to be removed: looked up when committing. */
struct lh_removal {
    struct lh_slice path;
    struct lh_slice key;         /* lh_file_key; size 0: whatever deletion vector the active file has */
    bool no_data_change;
    bool given;                  /* the action itself was handed in and is among the actions already */
};
struct lh_predicate {
    struct lh_slice column;
    struct lh_slice *values;     /* data == NULL: null */
    uint32_t count;
    uint32_t group;              /* predicates of one call are a conjunction */
};

struct lh_row_hole;

struct lh_member_txn {
    /* as built */
    struct lh_slice name;        /* NUL-terminated in the arena */
    bool create;
    enum lh_table_format format;
    struct lh_slice schema;      /* of create or set_schema; data == NULL: none */
    struct lh_list partition_columns; /* or terms of transforms */
    bool new_partitioning;       /* of a table that exists: to these */
    struct lh_slice description;
    uint64_t read_version, expect_version;
    struct lh_slice operation, user_metadata, engine_info;
    struct lh_buffer actions;    /* compact forms */
    uint64_t action_count;
    struct lh_record_summary summary;
    struct lh_hashes added, removed, read_files, given_removed;
    struct lh_hashes kept;       /* added without a change of data: when active before, they must still be */
    struct lh_list read_apps;    /* application ids whose progress was read */
    struct lh_removal *removals;
    uint32_t removal_count, removal_capacity;
    struct lh_map *removed_partitions;
    uint32_t removed_partition_count;
    struct lh_predicate *predicates;
    uint32_t predicate_count, predicate_groups;
    struct lh_pair *changes;     /* of properties; null: removed */
    uint32_t change_count;
    struct lh_pair *apps;        /* key = application id, value = 8 bytes of version */
    uint32_t app_count;
    struct lh_slice *domains;
    uint32_t domain_count;
    struct lh_list guarantees;
    bool overwrite;              /* whatever `overwritten` (none: everything) picks is removed */
    struct lh_predicate *overwritten; /* among the predicates; a conjunction */
    uint32_t overwritten_count;
    bool partition_values;       /* some action has any */
    bool sets_clustering, has_vectors;
    struct lh_slice clustering;  /* of the domain delta.clustering that the actions set; empty: removed */
    bool read_all, data_change, has_metadata, has_protocol, has_info, other_actions, upgrade, only_files;
    struct lh_slice given_metadata, given_protocol; /* compact form, in `actions` too */
    bool restores;               /* gives back what was judged when it was committed first */
    /* while committing */
    struct lh_head *head;
    struct lh_meta *meta;        /* in force when preparing; referenced */
    struct lh_meta *new_meta;    /* what this commit puts in force; referenced */
    uint64_t prepared_at;        /* version that preparing saw; LH_NO_VERSION: nothing was read */
    uint64_t checked_to;         /* conflicts were judged up to this version; LH_NO_VERSION: none */
    struct lh_hashes newcomers;  /* added by versions that were judged: not among the files that were read */
    struct lh_buffer first;      /* protocol and metaData in front of the actions */
    uint64_t first_count;
    struct lh_buffer resolved;   /* removes behind them */
    uint64_t resolved_count;
    struct lh_record_summary resolved_summary;
    struct lh_hashes resolved_removed;
    struct lh_buffer tracked;    /* rows are tracked: the actions, with holes for row ids */
    struct lh_row_hole *holes;
    size_t hole_count, hole_capacity;
    int64_t fresh_rows;          /* so many new ids are needed */
    int64_t row_highest;         /* what the highest id becomes */
    struct lh_buffer record;
    uint16_t flags;
    uint64_t version;            /* LH_NO_VERSION: validated only */
    uint64_t snapshot_id;
    uint8_t commit_id[16];
    struct lh_table_record new_record; /* create */
};

struct lh_txn {
    struct lh_lakehouse *lakehouse;
    struct lh_arena arena;
    struct lh_decoder decoder;
    enum lh_isolation isolation;
    bool isolation_given;
    struct lh_slice key;         /* idempotency; size 0: none */
    struct lh_member_txn **members;
    size_t count, capacity, used; /* members beyond count keep their memory */
    bool committed;
    vde_txn *txn;
    uint8_t group[16];
    struct vde_commit commit;
};

/* --- build.c --- */
vde_status lh_txn_member_at(struct lh_txn *txn, size_t index, struct lh_member_txn **ret_member);
/* Take an action that was decoded or built: encodes it and notes what conflicts need. */
vde_status lh_member_action(struct lh_txn *txn, struct lh_member_txn *member, const struct lh_action *action);
/* Remove the active file with this key, whose path this is: the whole action is made when committing. */
vde_status lh_member_remove(struct lh_txn *txn, struct lh_member_txn *member, struct lh_slice path, struct lh_slice key);
void lh_member_clear(struct lh_member_txn *member);
void lh_member_release(struct lh_member_txn *member);
vde_status lh_txn_text(struct lh_txn *txn, struct lh_slice text, struct lh_slice *ret_copy);

/* --- metadata.c --- */
/* Protocol and metaData that a create, a new schema or changed properties ask for: fills first, first_count, new_meta.
 * `version` is the one they will be set by; 0 for creates. */
vde_status lh_member_metadata(struct lh_txn *txn, struct lh_member_txn *member);

/* --- prepare.c --- */
/* Whether this member removes something, which it must find first. */
bool lh_member_needs_state(const struct lh_member_txn *member);
/* Whether it must read the table's state at all before it can be committed. */
bool lh_member_reads_state(const struct lh_member_txn *member);
/* Whether it looks for what it adds. */
bool lh_member_looks_for_adds(const struct lh_member_txn *member);
/* Resolve removes against a view; `pending` views are for the last try, with the lock held. */
vde_status lh_member_resolve(struct lh_txn *txn, struct lh_member_txn *member, bool pending);

/* --- conflict.c --- */
/* Judge the winner's record against the member. */
vde_status lh_conflict_check(const struct lh_txn *txn, struct lh_member_txn *member, uint64_t version, const void *data,
                             size_t size);
/* Judge versions (from, to] out of the stream, unlocked; `from` is the read version. */
vde_status lh_conflict_check_stream(const struct lh_txn *txn, struct lh_member_txn *member, uint64_t from, uint64_t to);
/* Only adds, nothing read, nothing but application transactions beside them. */
bool lh_member_blind(const struct lh_member_txn *member);
/* Whether the commit is one that changes schema, partitioning or properties, whatever comes of it. */
bool lh_member_changes_metadata(const struct lh_member_txn *member);

/* --- record.c of the txlog --- */
/* Encode the member's record, all but what is known only under the lock. */
vde_status lh_member_record(struct lh_txn *txn, struct lh_member_txn *member, uint32_t group_members);
/* Group ids carry the place of the group's list: its head's table and version, and a nonce. */
void lh_group_make(struct lh_lakehouse *lakehouse, uint64_t table, uint64_t version, uint8_t group[16]);
void lh_group_place(const uint8_t group[16], uint64_t *ret_table, uint64_t *ret_version);

/* --- result.c --- */
vde_status lh_txn_result(const struct lh_txn *txn, struct lh_commit_result **ret_result);
vde_status lh_group_result(struct lh_lakehouse *lakehouse, const uint8_t group[16], struct lh_commit_result **ret_result);
#endif
