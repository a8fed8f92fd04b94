/* SPDX-License-Identifier: Apache-2.0 */
/* commit.c -- prepare, lock, validate, record, submit, unlock, wait.
 *
 * Locks: NAMES when a table is created or an idempotency key is used, then the tables in ascending order of their ids. They
 * are held until the record has its LSN and are released before the flush, so commits of one table go out in one group. */
#include <sched.h>
#include <stdlib.h>

#include "state/fail.h"
#include "txlog/commit.h"
#include "txlog/overwrite.h"
#include "txlog/rows.h"
#include "txlog/checks.h"

#define ATTEMPTS_MAX 10000u
/* After so many tries what a member reads is read with its lock held, so that somebody who removes files can't be outrun
 * for ever. */
#define ATTEMPTS_UNLOCKED 3u

/* --- preparing -------------------------------------------------------------------------------------------------- */
/* Every partition value that the actions give, against the table's partitioning. */
static vde_status check_partitions(const struct lh_member_txn *m, const struct lh_meta *meta)
{
    struct lh_record record = {.action_count = m->action_count, .actions = {m->actions.data, m->actions.size}};
    struct lh_decoder decoder = LH_DECODER_INIT;
    struct lh_action_walk walk;
    struct lh_action action;
    vde_status status;
    if (!meta->partitions_known || (meta->partitions.count == 0 && !m->partition_values))
        return VDE_OK;
    lh_action_walk_init(&walk, &decoder, &record);
    while ((status = lh_action_walk_next(&walk, &action)) == VDE_OK) {
        if (action.kind != LH_ACTION_ADD && action.kind != LH_ACTION_ADD_PARTITION && action.kind != LH_ACTION_REMOVE_PARTITION)
            continue;
        status = lh_partition_values_check(&meta->partitions, &action.file.partition_values, m->name.data, &decoder.arena);
        if (status != VDE_OK)
            break;
    }
    lh_decoder_done(&decoder);
    return status == VDE_NOT_FOUND ? VDE_OK : status;
}

/* What conflicts look up. */
static void sort_reads(struct lh_member_txn *m)
{
    lh_hashes_sort(&m->read_files);
    lh_hashes_sort(&m->removed);
    lh_hashes_sort(&m->kept);
}

static vde_status check_rules(struct lh_member_txn *m)
{
    if (lh_hashes_sort(&m->added))
        return lh_fail(LH_VALIDATION, "commit to table %s|a path added twice|once", m->name.data);
    if (lh_hashes_sort(&m->removed))
        return lh_fail(LH_VALIDATION, "commit to table %s|a path removed twice|once", m->name.data);
    sort_reads(m);
    LH_TRY(lh_features_check(m));
    if (m->restores)
        return VDE_OK;
    const struct lh_meta *meta = m->new_meta ? m->new_meta : m->meta;
    LH_TRY(check_partitions(m, meta));
    return lh_overwrite_prepare(m, meta);
}

/* Take from the head what preparing needs. */
static vde_status look_at_head(struct lh_attempt *attempt, struct lh_member_txn *m, uint64_t *ret_first)
{
    struct lh_txn *txn = attempt->txn;
    LH_TRY(lh_head_find(txn->lakehouse, m->name, &m->head));
    lh_head_lock(m->head);
    vde_status status = lh_head_load(m->head);
    bool dropped = m->head->dropped;
    uint64_t drop_lsn = m->head->drop_lsn;
    if (status == VDE_OK && !dropped) {
        m->meta = lh_meta_ref(m->head->meta);
        *ret_first = m->head->recent_first;
        if (m->head->record.opaque)
            status = lh_fail(LH_OPAQUE, "table %s|%s|what this engine supports", m->name.data, m->head->record.opaque);
        /* Before any conflict: what was done already is no conflict with itself. */
        if (status == VDE_OK)
            status = lh_check_apps(attempt, m);
    }
    lh_head_unlock(m->head);
    if (status == VDE_OK && dropped) {
        lh_head_forget(txn->lakehouse, m->head);
        attempt->wait_lsn = drop_lsn > attempt->wait_lsn ? drop_lsn : attempt->wait_lsn;
        return LH_AGAIN;
    }
    return status;
}

static vde_status resolve_unlocked(struct lh_attempt *attempt, struct lh_member_txn *m)
{
    vde_status status = lh_member_resolve(attempt->txn, m, false);
    if (status != LH_FILE_NOT_FOUND)
        return status;
    struct lh_saved saved;
    lh_error_save(&saved);
    /* The file may have been added by a version that is not visible yet: only the lock tells. */
    lh_head_lock(m->head);
    bool newer = m->head->latest != m->prepared_at;
    attempt->wait_lsn = m->head->lsn;
    lh_head_unlock(m->head);
    return newer ? LH_AGAIN : lh_error_restore(&saved);
}

static vde_status prepare_content(struct lh_attempt *attempt, struct lh_member_txn *m)
{
    LH_TRY(lh_member_metadata(attempt->txn, m));
    LH_TRY(check_rules(m));
    if (lh_member_needs_state(m) && m->create)
        return lh_fail(LH_VALIDATION, "table %s|a removal in its first version|none", m->name.data);
    if (m->create && lh_features_old_vectors(m))
        LH_TRY(lh_features_check_vectors(m, NULL));
    if (m->create && lh_rows_tracked(m))
        LH_TRY(lh_rows_encode(m, NULL, NULL));
    return lh_member_reads_state(m) && attempt->number < ATTEMPTS_UNLOCKED ? resolve_unlocked(attempt, m) : VDE_OK;
}

/* What the present table does not admit may be a commit's own fault, or somebody made it so since it was read: then that
 * conflict is what must be told. */
static vde_status blame(struct lh_attempt *attempt, struct lh_member_txn *m, vde_status status)
{
    bool judged = status == LH_VALIDATION || status == LH_FILE_NOT_FOUND || status == LH_SCHEMA ||
                  status == LH_SCHEMA_INCOMPATIBLE || status == LH_OPAQUE || status == LH_FEATURE;
    if (!judged || m->create || m->read_version == LH_NO_VERSION)
        return status;
    struct lh_saved saved;
    lh_error_save(&saved);
    lh_head_lock(m->head);
    uint64_t lsn = m->head->lsn;
    lh_head_unlock(m->head);
    LH_TRY(vde_image_wait(attempt->txn->lakehouse->image, lsn));
    sort_reads(m);
    LH_TRY(lh_conflict_check_stream(attempt->txn, m, m->read_version, UINT64_MAX));
    return lh_error_restore(&saved);
}

static vde_status prepare_member(struct lh_attempt *attempt, struct lh_member_txn *m)
{
    struct lh_txn *txn = attempt->txn;
    uint64_t recent_first = 0;
    lh_member_release(m);
    m->prepared_at = m->checked_to = LH_NO_VERSION;
    m->resolved_count = 0;
    m->resolved_removed.count = m->newcomers.count = 0;
    if (!m->create)
        LH_TRY(look_at_head(attempt, m, &recent_first));
    if (m->read_version != LH_NO_VERSION && !m->create && m->read_version + 1 < recent_first) {
        sort_reads(m);
        LH_TRY(lh_conflict_check_stream(txn, m, m->read_version, UINT64_MAX));
    }
    vde_status status = prepare_content(attempt, m);
    if (status != VDE_OK)
        return blame(attempt, m, status);
    if (lh_rows_tracked(m))
        return VDE_OK; /* encoded when the ids are known */
    /* Only the group's head lists the members: the group id leads to it. It is the first member that gets a version. */
    return lh_member_record(txn, m, m == txn->members[0] && txn->count > 1 ? (uint32_t)txn->count : 0);
}

static vde_status prepare(struct lh_attempt *attempt)
{
    struct lh_txn *txn = attempt->txn;
    for (size_t i = 0; i < txn->count; i++)
        LH_TRY(prepare_member(attempt, txn->members[i]));
    vde_txn_destroy(txn->txn);
    txn->txn = NULL;
    return vde_txn_create(txn->lakehouse->image, &txn->txn);
}

/* --- locks ------------------------------------------------------------------------------------------------------ */
static int by_table(const void *a, const void *b)
{
    uint64_t x = (*(struct lh_member_txn *const *)a)->head->id, y = (*(struct lh_member_txn *const *)b)->head->id;
    return (x > y) - (x < y);
}

static void lock_tables(struct lh_attempt *attempt)
{
    struct lh_txn *txn = attempt->txn;
    memcpy(attempt->sorted, txn->members, txn->count * sizeof(struct lh_member_txn *));
#ifndef VDE_MUTATE_LOCK_ORDER
    qsort(attempt->sorted, txn->count, sizeof(struct lh_member_txn *), by_table);
#else
    (void)by_table;
#endif
    for (; attempt->locked < txn->count; attempt->locked++) {
        lh_head_lock(attempt->sorted[attempt->locked]->head);
#ifdef VDE_MUTATE_LOCK_ORDER
        sched_yield(); /* the broken build must hang soon, not only could */
#endif
    }
}

static void unlock_all(struct lh_attempt *attempt)
{
    while (attempt->locked)
        lh_head_unlock(attempt->sorted[--attempt->locked]->head);
    if (attempt->names_locked)
        lh_lock_drop(&attempt->txn->lakehouse->names);
    attempt->names_locked = false;
}

/* --- the record ------------------------------------------------------------------------------------------------- */
static vde_status append_creation(struct lh_txn *txn, struct lh_member_txn *m)
{
    struct lh_key key;
    lh_key_text(&key, 'T', m->new_record.name_space, lh_name_leaf(m->name));
    LH_TRY(lh_catalog_put_number(txn->lakehouse, txn->txn, &key, &m->new_record.id));
    return lh_catalog_put_record(txn->lakehouse, txn->txn, 't', &m->new_record);
}

static vde_status append_key(struct lh_txn *txn)
{
    struct lh_key key;
    uint8_t value[32];
    lh_key_text(&key, 'k', 0, txn->key);
    lh_txn_digest(txn, value);
    memcpy(value + 16, txn->group, 16);
    return vde_txn_put(txn->txn, txn->lakehouse->catalog, key.data, key.size, value, sizeof value);
}

static vde_status append_member(struct lh_txn *txn, struct lh_member_txn *m, bool head_of_group)
{
    if ((head_of_group && m != txn->members[0]) || lh_rows_tracked(m))
        LH_TRY(lh_member_record(txn, m, head_of_group ? (uint32_t)txn->count : 0));
    if (head_of_group) {
        for (size_t i = 0; i < txn->count; i++)
            lh_record_patch_member((uint8_t *)m->record.data, (uint32_t)i, txn->members[i]->head->id, txn->members[i]->version);
    }
    lh_record_patch_ids((uint8_t *)m->record.data, txn->group, m->commit_id);
    if (m->snapshot_id)
        lh_record_patch_snapshot((uint8_t *)m->record.data, m->snapshot_id, m->head->snapshot_id);
    else
        lh_record_patch_snapshot((uint8_t *)m->record.data, m->head->snapshot_id, m->head->snapshot_id);
    return vde_txn_append(txn->txn, m->head->id, m->version, 0, m->record.data, m->record.size);
}

static void demand_time(struct lh_txn *txn)
{
    uint64_t least = 0;
    bool whole_ms = false;
    for (size_t i = 0; i < txn->count; i++) {
        const struct lh_member_txn *m = txn->members[i];
        const struct lh_meta *meta = m->new_meta ? m->new_meta : m->meta;
        if (m->version == LH_NO_VERSION)
            continue;
        least = m->head->time_us + 1 > least ? m->head->time_us + 1 : least;
        whole_ms |= meta && (meta->rules & LH_ASKS_IN_COMMIT_TIME);
    }
    /* In-commit timestamps are milliseconds and increase strictly. */
    vde_txn_time_at_least(txn->txn, whole_ms ? (least + 999) / 1000 * 1000 : least);
}

static void advance_heads(struct lh_txn *txn)
{
    for (size_t i = 0; i < txn->count; i++) {
        struct lh_member_txn *m = txn->members[i];
        if (m->version == LH_NO_VERSION)
            continue;
        if (m->create) {
            lh_head_start(m->head, &m->new_record);
            m->new_record = (struct lh_table_record){0};
        }
        if (m->new_meta) {
            if (m->flags & LH_RECORD_PROTOCOL)
                m->new_meta->protocol_version = m->version;
            if (m->flags & LH_RECORD_METADATA)
                m->new_meta->metadata_version = m->version;
        }
        if (lh_rows_tracked(m))
            m->head->row_highest = m->row_highest;
        lh_head_advance(m->head, m->version, txn->commit, m->record.data, m->record.size, lh_meta_ref(m->new_meta));
    }
}

static vde_status submit(struct lh_attempt *attempt)
{
    struct lh_txn *txn = attempt->txn;
    struct lh_member_txn *first = NULL;
    for (size_t i = 0; i < txn->count && !first; i++)
        if (txn->members[i]->version != LH_NO_VERSION)
            first = txn->members[i];
    memset(txn->group, 0, 16);
    txn->commit = (struct vde_commit){0, 0};
    if (!first) {
        /* Nothing to record; what was validated against must be durable before it is confirmed. */
        for (size_t i = 0; i < txn->count; i++)
            txn->commit.lsn = txn->members[i]->head->lsn > txn->commit.lsn ? txn->members[i]->head->lsn : txn->commit.lsn;
        return VDE_OK;
    }
    lh_group_make(txn->lakehouse, first->head->id, first->version, txn->group);
    for (size_t i = 0; i < txn->count; i++) {
        struct lh_member_txn *m = txn->members[i];
        if (m->version == LH_NO_VERSION)
            continue;
        LH_TRY(append_member(txn, m, m == first && txn->count > 1));
        if (m->create)
            LH_TRY(append_creation(txn, m));
    }
    if (txn->key.size)
        LH_TRY(append_key(txn));
    demand_time(txn);
    LH_TRY(vde_txn_submit(txn->txn, &txn->commit));
    advance_heads(txn);
    return VDE_OK;
}

/* --- one attempt ------------------------------------------------------------------------------------------------ */
static vde_status locked_steps(struct lh_attempt *attempt, bool *ret_repeat)
{
    struct lh_txn *txn = attempt->txn;
    bool names = txn->key.size != 0;
    for (size_t i = 0; i < txn->count; i++)
        names |= txn->members[i]->create;
    if (names) {
        lh_note_wait(txn->lakehouse, lh_lock_take(&txn->lakehouse->names));
        attempt->names_locked = true;
        LH_TRY(lh_validate_names(attempt, ret_repeat, txn->group));
        if (*ret_repeat)
            return VDE_OK;
    }
    lock_tables(attempt);
    for (size_t i = 0; i < txn->count; i++) {
        struct lh_member_txn *m = txn->members[i];
        if (lh_member_reads_state(m) && attempt->number >= ATTEMPTS_UNLOCKED && !m->head->dropped) {
            LH_TRY(lh_member_resolve(txn, m, true));
            if (!lh_rows_tracked(m))
                LH_TRY(lh_member_record(txn, m, i == 0 && txn->count > 1 ? (uint32_t)txn->count : 0));
        }
        LH_TRY(lh_validate_member(attempt, m));
    }
    return submit(attempt);
}

/* New tables that came to nothing. */
static void give_up_creations(struct lh_txn *txn)
{
    for (size_t i = 0; i < txn->count; i++) {
        struct lh_member_txn *m = txn->members[i];
        if (m->create && m->head && !m->head->loaded)
            m->head->dropped = true;
    }
}

/* An outcome that betrays versions which are not durable yet waits for them. */
static vde_status settle(struct lh_attempt *attempt, vde_status status)
{
    if (!attempt->wait_lsn)
        return status;
    struct lh_saved saved;
    lh_error_save(&saved);
    LH_TRY(vde_image_wait(attempt->txn->lakehouse->image, attempt->wait_lsn));
    attempt->wait_lsn = 0;
    return status == VDE_OK || status == LH_AGAIN ? status : lh_error_restore(&saved);
}

static vde_status run(struct lh_txn *txn, bool *ret_repeat)
{
    struct lh_attempt attempt = {.txn = txn};
    struct lh_member_txn *few[8];
    attempt.sorted = txn->count <= 8 ? few : malloc(txn->count * sizeof(struct lh_member_txn *));
    if (!attempt.sorted)
        return lh_fail_nomem("transaction");
    vde_status status = LH_AGAIN;
    for (; status == LH_AGAIN && attempt.number < ATTEMPTS_MAX; attempt.number++) {
        status = prepare(&attempt);
        if (status == VDE_OK) {
            status = locked_steps(&attempt, ret_repeat);
            if (status != VDE_OK)
                give_up_creations(txn);
            unlock_all(&attempt);
        }
        if (status != VDE_OK)
            status = settle(&attempt, status);
        else if (*ret_repeat)
            status = settle(&attempt, VDE_OK);
    }
    if (attempt.sorted != few)
        free(attempt.sorted);
    if (status == LH_AGAIN) {
        status = lh_fail(LH_ROLLBACK, "transaction|overtaken %u times|a quieter table", attempt.number);
        vde_error_set_retryable(true);
    }
    if (status == LH_CONFLICT)
        atomic_fetch_add_explicit(&txn->lakehouse->conflicts, 1, memory_order_relaxed);
    return status;
}

vde_status lh_txn_submit_only(struct lh_txn *txn, bool *ret_repeat)
{
    *ret_repeat = false;
    if (txn->committed)
        return vde_error_set(VDE_INVAL, "transaction", "one that was committed", "a new or reset one");
    if (txn->count == 0)
        return vde_error_set(LH_VALIDATION, "transaction", "no tables", "one at least");
    LH_TRY(lh_writable(txn->lakehouse));
    LH_TRY(run(txn, ret_repeat));
    txn->committed = true;
    if (!*ret_repeat)
        atomic_fetch_add_explicit(&txn->lakehouse->commits, 1, memory_order_relaxed);
    return VDE_OK;
}

vde_status lh_commit(lh_txn *txn, struct lh_commit_result **ret_result)
{
    if (!txn)
        return vde_error_set(VDE_INVAL, "lh_commit", "NULL", "a transaction");
    bool repeat;
    LH_TRY(lh_txn_submit_only(txn, &repeat));
    if (repeat)
        return ret_result ? lh_group_result(txn->lakehouse, txn->group, ret_result) : VDE_OK;
    LH_TRY(vde_image_wait(txn->lakehouse->image, txn->commit.lsn));
    for (size_t i = 0; i < txn->count; i++)
        if (txn->members[i]->version != LH_NO_VERSION)
            lh_flush_if_due(txn->members[i]->head);
    return ret_result ? lh_txn_result(txn, ret_result) : VDE_OK;
}
