/* SPDX-License-Identifier: Apache-2.0 */
/* conflict.c -- whether a commit that came in between (the winner) spoils what a transaction assumed. The rules are those
 * of Delta's writers: protocol, metadata, domains, application transactions, added files, removed files that were read,
 * removed files that are removed here. */
#include "state/fail.h"
#include "txlog/txn.h"

bool lh_member_blind(const struct lh_member_txn *member)
{
    return member->added.count && !member->removal_count && !member->removed_partition_count && !member->read_all &&
           !member->read_files.count && !member->predicate_count && !member->domain_count && !member->has_metadata &&
           !member->has_protocol && !member->schema.data && !member->change_count && !member->create;
}

static bool value_matches(const struct lh_predicate *predicate, const struct lh_pair *pair)
{
    bool is_null = !pair || pair->null || pair->value.size == 0;
    for (uint32_t i = 0; i < predicate->count; i++) {
        struct lh_slice want = predicate->values[i];
        if (want.data == NULL ? is_null : !is_null && lh_slice_equal(want, pair->value))
            return true;
    }
    return false;
}

/* Whether a file with these partition values may hold rows that were asked for. A column that is no partition column
 * says nothing about it. */
static bool read_matches(const struct lh_member_txn *member, const struct lh_file_action *file)
{
    if (member->read_all)
        return true;
    for (uint32_t group = 0; group < member->predicate_groups; group++) {
        bool all = true;
        for (uint32_t i = 0; i < member->predicate_count && all; i++) {
            const struct lh_predicate *p = &member->predicates[i];
            if (p->group != group)
                continue;
            const struct lh_pair *pair = lh_map_find(&file->partition_values, p->column);
            bool known = lh_has(&file->part, LH_FILE_PARTITION_VALUES) && pair;
            all = !known || value_matches(p, pair);
        }
        if (all)
            return true;
    }
    return false;
}

enum level { LEVEL_SERIALIZABLE, LEVEL_WRITE_SERIALIZABLE, LEVEL_SNAPSHOT };

static enum level level_of(const struct lh_txn *txn, const struct lh_member_txn *member)
{
    /* Rearranging files without changing data can't disturb a reader's view of rows. */
    if (member->only_files && !member->data_change && !member->schema.data && !member->change_count &&
        (member->added.count || member->removal_count))
        return LEVEL_SNAPSHOT;
    int isolation = txn->isolation_given || !member->meta || member->meta->isolation < 0 ? (int)txn->isolation
                                                                                          : member->meta->isolation;
    return isolation == LH_WRITE_SERIALIZABLE ? LEVEL_WRITE_SERIALIZABLE : LEVEL_SERIALIZABLE;
}

static vde_status check_objects(const struct lh_member_txn *member, uint64_t version, const struct lh_action *action)
{
    for (uint32_t i = 0; action->kind == LH_ACTION_TXN && i < member->app_count; i++)
        if (lh_slice_equal(member->apps[i].key, action->txn.app_id))
            return lh_fail_conflict(LH_CONFLICT_CONCURRENT_TRANSACTION, "table %s|version %llu is a transaction of the same "
                                    "application|none since the read version", member->name.data,
                                    (unsigned long long)version);
    for (uint32_t i = 0; action->kind == LH_ACTION_DOMAIN && i < member->domain_count; i++)
        if (lh_slice_equal(member->domains[i], action->domain.domain) &&
            !lh_slice_is(action->domain.domain, "delta.rowTracking"))
            return lh_fail_conflict(LH_CONFLICT_CONCURRENT_TRANSACTION, "table %s|version %llu changed the same domain|no "
                                    "change since the read version", member->name.data, (unsigned long long)version);
    return VDE_OK;
}

/* What a winner's file action spoils; NONE when nothing. */
static enum lh_conflict judge_file(const struct lh_member_txn *member, const struct lh_action *action, bool appends)
{
    if (action->kind == LH_ACTION_ADD)
        return appends && (member->read_all || member->predicate_count) && read_matches(member, &action->file)
                   ? LH_CONFLICT_CONCURRENT_APPEND : LH_CONFLICT_NONE;
    if (action->kind != LH_ACTION_REMOVE)
        return LH_CONFLICT_NONE;
    uint64_t hash = lh_hash(action->file.path);
    if (lh_hashes_has(&member->read_files, hash) ||
        ((member->read_all || member->predicate_count) && read_matches(member, &action->file)))
        return LH_CONFLICT_CONCURRENT_DELETE_READ;
    if (lh_hashes_has(&member->removed, hash) || lh_hashes_has(&member->resolved_removed, hash))
        return LH_CONFLICT_CONCURRENT_DELETE_DELETE;
    return LH_CONFLICT_NONE;
}

static vde_status raise_file(const struct lh_member_txn *member, uint64_t version, enum lh_conflict conflict)
{
    unsigned long long v = version;
    switch (conflict) {
    case LH_CONFLICT_CONCURRENT_APPEND:
        return lh_fail_conflict(conflict, "table %s|version %llu added files that would have been read|none since the "
                                "read version", member->name.data, v);
    case LH_CONFLICT_CONCURRENT_DELETE_READ:
        return lh_fail_conflict(conflict, "table %s|version %llu removed a file that was read|none since the read version",
                                member->name.data, v);
    default:
        return lh_fail_conflict(conflict, "table %s|version %llu removed a file that is to be removed|it to be active",
                                member->name.data, v);
    }
}

static vde_status check_actions(const struct lh_member_txn *member, uint64_t version, const struct lh_record *record,
                                bool appends)
{
    struct lh_decoder decoder = LH_DECODER_INIT;
    struct lh_action_walk walk;
    struct lh_action action;
    enum lh_conflict worst = LH_CONFLICT_NONE;
    vde_status status;
    lh_action_walk_init(&walk, &decoder, record);
    while ((status = lh_action_walk_next(&walk, &action)) == VDE_OK) {
        status = check_objects(member, version, &action);
        if (status != VDE_OK)
            break;
        /* The families are numbered in the order in which they count. */
        enum lh_conflict found = judge_file(member, &action, appends);
        if (found != LH_CONFLICT_NONE && (worst == LH_CONFLICT_NONE || found < worst))
            worst = found;
    }
    lh_decoder_done(&decoder);
    if (status != VDE_NOT_FOUND)
        return status;
    return worst == LH_CONFLICT_NONE ? VDE_OK : raise_file(member, version, worst);
}

vde_status lh_conflict_check(const struct lh_txn *txn, const struct lh_member_txn *member, uint64_t version,
                             const void *data, size_t size)
{
    struct lh_record record;
    LH_TRY(lh_record_decode(data, size, member->name.data, &record));
    bool changes_metadata = member->schema.data || member->change_count || member->has_metadata;
    if (record.flags & LH_RECORD_PROTOCOL)
        return lh_fail_conflict(LH_CONFLICT_PROTOCOL_CHANGED, "table %s|version %llu changed the protocol|no change since "
                                "the read version", member->name.data, (unsigned long long)version);
    if ((record.flags & LH_RECORD_METADATA) && (changes_metadata || !(record.flags & LH_RECORD_METADATA_SOFT)))
        return lh_fail_conflict(LH_CONFLICT_METADATA_CHANGED, "table %s|version %llu changed schema or properties|no change "
                                "since the read version", member->name.data, (unsigned long long)version);
    enum level level = level_of(txn, member);
    bool appends = level == LEVEL_SERIALIZABLE ||
                   (level == LEVEL_WRITE_SERIALIZABLE && (!(record.flags & LH_RECORD_BLIND) || changes_metadata));
    bool objects = (member->app_count && (record.flags & LH_RECORD_APP_TXN)) ||
                   (member->domain_count && (record.flags & LH_RECORD_DOMAIN));
    bool files = member->read_all || member->predicate_count || member->read_files.count || member->removal_count ||
                 member->removed_partition_count;
    return objects || files ? check_actions(member, version, &record, appends) : VDE_OK;
}

vde_status lh_conflict_check_stream(const struct lh_txn *txn, struct lh_member_txn *member, uint64_t from, uint64_t to)
{
    vde_view *view = NULL;
    vde_stream_cursor *cursor = NULL;
    struct vde_entry entry;
    LH_TRY(vde_view_open(txn->lakehouse->image, &view));
    vde_status status = vde_stream_open(view, member->head->id, from + 1, &cursor);
    if (status == VDE_OK) {
        while ((status = vde_stream_next(cursor, &entry)) == VDE_OK && entry.number <= to) {
            status = lh_conflict_check(txn, member, entry.number, entry.data, entry.size);
            if (status != VDE_OK)
                break;
            member->checked_to = entry.number;
        }
        vde_stream_close(cursor);
    }
    vde_view_close(view);
    return status == VDE_NOT_FOUND ? VDE_OK : status;
}
