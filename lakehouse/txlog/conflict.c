/* SPDX-License-Identifier: Apache-2.0 */
/* conflict.c -- whether a commit that came in between (the winner) spoils what a transaction assumed. The rules are those
 * of Spark's ConflictChecker, in its order: protocol, metaData, domains, application transactions, added files, removed
 * files that were read, removed files that are removed here. Where Spark only guesses what was read (an unpartitioned
 * table, removes without a predicate) the commit's own word counts. Row ids, commit versions and in-commit timestamps are
 * no conflicts: they are given under the lock. */
#include "state/fail.h"
#include "txlog/rules.h"
#include "txlog/txn.h"

bool lh_member_changes_metadata(const struct lh_member_txn *member)
{
    return member->schema.data || member->change_count || member->has_metadata;
}

bool lh_member_blind(const struct lh_member_txn *member)
{
    return member->added.count && !member->removal_count && !member->removed_partition_count && !member->read_all &&
           !member->read_files.count && !member->predicate_count && !member->domain_count && !member->has_protocol &&
           !lh_member_changes_metadata(member) && !member->create;
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

/* What a transaction is judged by: of its own reads nothing changes from one winner to the next. */
enum level { LEVEL_SERIALIZABLE, LEVEL_WRITE_SERIALIZABLE, LEVEL_SNAPSHOT };

static enum level level_of(const struct lh_txn *txn, const struct lh_member_txn *member)
{
    /* Rearranging files without changing data can't disturb a reader's view of rows. */
    if (LH_RULE_HOLDS(LH_RULE_APPEND_SNAPSHOT) && member->only_files && !member->data_change &&
        !lh_member_changes_metadata(member) && (member->added.count || member->removal_count))
        return LEVEL_SNAPSHOT;
    int isolation = txn->isolation_given ? (int)txn->isolation
                    : member->meta         ? member->meta->isolation
                                           : -1;
    return isolation == LH_WRITE_SERIALIZABLE ? LEVEL_WRITE_SERIALIZABLE : LEVEL_SERIALIZABLE;
}

/* What one action of the winner spoils, in the order in which it counts. */
enum spoiled { SPOILED_NOTHING, SPOILED_DOMAIN, SPOILED_APP, SPOILED_SCAN, SPOILED_READ, SPOILED_REMOVE };

struct judging {
    struct lh_member_txn *member;
    uint64_t version;            /* the winner's */
    bool appends;                /* its added files count */
    bool backfill;               /* it adds files again only to give them row ids */
};

static enum spoiled judge_domain(const struct judging *j, const struct lh_domain *domain)
{
    /* Row tracking's high-water mark is merged when the commit is rebased. */
    if (LH_RULE_HOLDS(LH_RULE_DOMAIN_ROW_TRACKING) && lh_slice_is(domain->domain, "delta.rowTracking"))
        return SPOILED_NOTHING;
    for (uint32_t i = 0; i < j->member->domain_count && LH_RULE_HOLDS(LH_RULE_DOMAIN); i++)
        if (lh_slice_equal(j->member->domains[i], domain->domain))
            return SPOILED_DOMAIN;
    return SPOILED_NOTHING;
}

static enum spoiled judge_app(const struct judging *j, const struct lh_app_txn *app)
{
    for (uint32_t i = 0; i < j->member->app_count && LH_RULE_HOLDS(LH_RULE_APP_WRITTEN); i++)
        if (lh_slice_equal(j->member->apps[i].key, app->app_id))
            return SPOILED_APP;
    return LH_RULE_HOLDS(LH_RULE_APP_READ) && lh_list_has(&j->member->read_apps, app->app_id) ? SPOILED_APP
                                                                                              : SPOILED_NOTHING;
}

static enum spoiled judge_add(const struct judging *j, const struct lh_file_action *file)
{
    const struct lh_member_txn *m = j->member;
    bool changes = !lh_has(&file->part, LH_FILE_DATA_CHANGE) || file->data_change;
    if (!j->appends || (!m->read_all && !m->predicate_count) || !LH_RULE_HOLDS(LH_RULE_APPEND) ||
        (LH_RULE_HOLDS(LH_RULE_APPEND_BACKFILL) && j->backfill && !changes))
        return SPOILED_NOTHING;
    return !LH_RULE_HOLDS(LH_RULE_APPEND_PARTITION) || read_matches(m, file) ? SPOILED_SCAN : SPOILED_NOTHING;
}

static bool was_read(const struct lh_member_txn *m, const struct lh_file_action *file, uint64_t hash)
{
    if (LH_RULE_HOLDS(LH_RULE_DELETE_READ_FILE) && lh_hashes_has(&m->read_files, hash))
        return true;
    /* Added again as it was: that says that it is still there. */
    if (LH_RULE_HOLDS(LH_RULE_DELETE_READ_KEPT) && lh_hashes_has(&m->kept, hash))
        return true;
    if (LH_RULE_HOLDS(LH_RULE_DELETE_READ_ALL) && m->read_all)
        return true;
    if (!LH_RULE_HOLDS(LH_RULE_DELETE_READ_PARTITION) || !m->predicate_count || !read_matches(m, file))
        return false;
    return !LH_RULE_HOLDS(LH_RULE_DELETE_READ_NEW) || !lh_hashes_has(&m->newcomers, hash);
}

static enum spoiled judge_remove(const struct judging *j, const struct lh_file_action *file)
{
    uint64_t hash = lh_hash(file->path);
    if (was_read(j->member, file, hash))
        return SPOILED_READ;
    return LH_RULE_HOLDS(LH_RULE_DELETE_DELETE) && lh_hashes_has(&j->member->removed, hash) ? SPOILED_REMOVE
                                                                                            : SPOILED_NOTHING;
}

static enum spoiled judge_action(const struct judging *j, const struct lh_action *action)
{
    switch (action->kind) {
    case LH_ACTION_DOMAIN:
        return judge_domain(j, &action->domain);
    case LH_ACTION_TXN:
        return judge_app(j, &action->txn);
    case LH_ACTION_ADD:
        return judge_add(j, &action->file);
    case LH_ACTION_REMOVE:
        return judge_remove(j, &action->file);
    default:
        return SPOILED_NOTHING;
    }
}

static vde_status raise(const struct judging *j, enum spoiled spoiled)
{
    const char *name = j->member->name.data;
    unsigned long long v = j->version;
    vde_status status;
    switch (spoiled) {
    case SPOILED_DOMAIN:
        status = lh_fail_conflict(LH_CONFLICT_CONCURRENT_TRANSACTION, "table %s|version %llu changed the same domain|no "
                                  "change since the read version", name, v);
        /* Unlike an application's progress, which another instance has made, a domain can be read again and changed. */
        vde_error_set_retryable(true);
        return status;
    case SPOILED_APP:
        return lh_fail_conflict(LH_CONFLICT_CONCURRENT_TRANSACTION, "table %s|version %llu is a transaction of the same "
                                "application|none since the read version", name, v);
    case SPOILED_SCAN:
        return lh_fail_conflict(LH_CONFLICT_CONCURRENT_APPEND, "table %s|version %llu added files that would have been "
                                "read|none since the read version", name, v);
    case SPOILED_READ:
        return lh_fail_conflict(LH_CONFLICT_CONCURRENT_DELETE_READ, "table %s|version %llu removed a file that was read|"
                                "none since the read version", name, v);
    case SPOILED_REMOVE:
    default:
        return lh_fail_conflict(LH_CONFLICT_CONCURRENT_DELETE_DELETE, "table %s|version %llu removed a file that is to be "
                                "removed|it to be active", name, v);
    }
}

static vde_status check_actions(const struct judging *j, const struct lh_record *record)
{
    struct lh_decoder decoder = LH_DECODER_INIT;
    struct lh_action_walk walk;
    struct lh_action action;
    enum spoiled worst = SPOILED_NOTHING;
    vde_status status;
    lh_action_walk_init(&walk, &decoder, record);
    while ((status = lh_action_walk_next(&walk, &action)) == VDE_OK) {
        enum spoiled found = judge_action(j, &action);
        if (found != SPOILED_NOTHING && (worst == SPOILED_NOTHING || found < worst))
            worst = found;
    }
    lh_decoder_done(&decoder);
    if (status != VDE_NOT_FOUND)
        return status;
    return worst == SPOILED_NOTHING ? VDE_OK : raise(j, worst);
}

/* Files that the winner brought are none that were read. Only those added with data: others are old ones, added again with
 * other statistics, or hold rows of old ones. */
static vde_status note_newcomers(struct lh_member_txn *member, const struct lh_record *record)
{
    struct lh_decoder decoder = LH_DECODER_INIT;
    struct lh_action_walk walk;
    struct lh_action action;
    vde_status status;
    lh_action_walk_init(&walk, &decoder, record);
    while ((status = lh_action_walk_next(&walk, &action)) == VDE_OK) {
        bool changes = !lh_has(&action.part, LH_FILE_DATA_CHANGE) || action.file.data_change;
        if (action.kind != LH_ACTION_ADD || !changes)
            continue;
        if (!lh_hashes_add(&member->newcomers, lh_hash(action.file.path))) {
            status = lh_fail_nomem("transaction");
            break;
        }
    }
    lh_decoder_done(&decoder);
    lh_hashes_sort(&member->newcomers);
    return status == VDE_NOT_FOUND ? VDE_OK : status;
}

/* What counts before any single action. */
static vde_status check_table(const struct lh_member_txn *member, uint64_t version, uint16_t flags)
{
    bool changes = lh_member_changes_metadata(member);
    /* A commit that may raise the protocol is taken as one that does: whether it must depends on the winner. */
    bool both = LH_RULE_HOLDS(LH_RULE_PROTOCOL_BOTH) && (member->has_protocol || (member->upgrade && changes));
    bool soft = LH_RULE_HOLDS(LH_RULE_PROTOCOL_SOFT) && (flags & LH_RECORD_PROTOCOL_SOFT);
    if ((flags & LH_RECORD_PROTOCOL) && (both || !soft))
        return lh_fail_conflict(LH_CONFLICT_PROTOCOL_CHANGED, "table %s|version %llu changed the protocol|no change since "
                                "the read version", member->name.data, (unsigned long long)version);
    soft = LH_RULE_HOLDS(LH_RULE_METADATA_SOFT) && (flags & LH_RECORD_METADATA_SOFT);
    if ((flags & LH_RECORD_METADATA) && ((LH_RULE_HOLDS(LH_RULE_METADATA_BOTH) && changes) || !soft))
        return lh_fail_conflict(LH_CONFLICT_METADATA_CHANGED, "table %s|version %llu changed schema or properties|no change "
                                "since the read version", member->name.data, (unsigned long long)version);
    return VDE_OK;
}

static bool is_backfill(struct lh_slice operation)
{
    return lh_slice_is(operation, "ROW TRACKING BACKFILL") || lh_slice_is(operation, "ROW TRACKING UNBACKFILL");
}

vde_status lh_conflict_check(const struct lh_txn *txn, struct lh_member_txn *member, uint64_t version, const void *data,
                             size_t size)
{
    struct lh_record record;
    LH_TRY(lh_record_decode(data, size, member->name.data, &record));
    LH_TRY(check_table(member, version, record.flags));
    enum level level = level_of(txn, member);
    bool blind = (record.flags & LH_RECORD_BLIND) && LH_RULE_HOLDS(LH_RULE_APPEND_BLIND) &&
                 !(LH_RULE_HOLDS(LH_RULE_APPEND_METADATA) && lh_member_changes_metadata(member));
    struct judging j = {.member = member, .version = version, .backfill = is_backfill(record.summary.operation)};
    j.appends = level == LEVEL_SERIALIZABLE || (level == LEVEL_WRITE_SERIALIZABLE && !blind);
    bool objects = ((member->app_count || member->read_apps.count) && (record.flags & LH_RECORD_APP_TXN)) ||
                   (member->domain_count && (record.flags & LH_RECORD_DOMAIN));
    bool files = member->read_all || member->predicate_count || member->read_files.count || member->removal_count ||
                 member->kept.count;
    if (objects || files)
        LH_TRY(check_actions(&j, &record));
    return member->predicate_count && !member->read_all ? note_newcomers(member, &record) : VDE_OK;
}

vde_status lh_conflict_check_stream(const struct lh_txn *txn, struct lh_member_txn *member, uint64_t from, uint64_t to)
{
    vde_view *view = NULL;
    vde_stream_cursor *cursor = NULL;
    struct vde_entry entry;
    member->newcomers.count = 0;
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
