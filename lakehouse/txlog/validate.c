/* SPDX-License-Identifier: Apache-2.0 */
/* validate.c -- what is judged with the locks held: only over what came since preparing. */
#include <stdlib.h>

#include <xxhash.h>

#include "state/fail.h"
#include "txlog/commit.h"
#include "txlog/rules.h"

static vde_status wait_for(struct lh_attempt *attempt, uint64_t lsn, vde_status status)
{
    if (lsn > attempt->wait_lsn)
        attempt->wait_lsn = lsn;
    return status;
}

/* --- names ------------------------------------------------------------------------------------------------------ */
static void digest_slice(XXH3_state_t *state, struct lh_slice slice)
{
    uint8_t size[8];
    lh_le64_put(size, slice.size);
    XXH3_128bits_update(state, size, sizeof size);
    if (slice.size)
        XXH3_128bits_update(state, slice.data, slice.size);
}

void lh_txn_digest(const struct lh_txn *txn, uint8_t digest[16])
{
    XXH3_state_t *state = XXH3_createState();
    memset(digest, 0, 16);
    if (!state)
        return;
    XXH3_128bits_reset(state);
    for (size_t i = 0; i < txn->count; i++) {
        const struct lh_member_txn *m = txn->members[i];
        digest_slice(state, m->name);
        digest_slice(state, m->schema);
        digest_slice(state, m->operation);
        digest_slice(state, (struct lh_slice){m->actions.data, m->actions.size});
        digest_slice(state, m->given_metadata);
        digest_slice(state, m->given_protocol);
        for (uint32_t r = 0; r < m->removal_count; r++)
            digest_slice(state, m->removals[r].path);
        for (uint32_t p = 0; p < m->overwritten_count; p++) {
            digest_slice(state, m->overwritten[p].column);
            for (uint32_t v = 0; v < m->overwritten[p].count; v++)
                digest_slice(state, m->overwritten[p].values[v]);
        }
        for (uint32_t c = 0; c < m->partition_columns.count; c++)
            digest_slice(state, m->partition_columns.items[c]);
        for (uint32_t c = 0; c < m->change_count; c++) {
            digest_slice(state, m->changes[c].key);
            digest_slice(state, m->changes[c].value);
        }
        uint8_t numbers[17];
        lh_le64_put(numbers, m->read_version);
        lh_le64_put(numbers + 8, m->expect_version);
        numbers[16] = (uint8_t)(m->create | m->overwrite << 1);
        XXH3_128bits_update(state, numbers, sizeof numbers);
    }
    XXH128_canonicalFromHash((XXH128_canonical_t *)(void *)digest, XXH3_128bits_digest(state));
    XXH3_freeState(state);
}

static vde_status check_key(struct lh_attempt *attempt, struct lh_catalog *catalog, bool *ret_repeat, uint8_t group[16])
{
    struct lh_key key;
    struct vde_bytes bytes = {NULL, 0};
    lh_key_text(&key, 'k', 0, attempt->txn->key);
    vde_status status = lh_catalog_get(catalog, &key, &bytes);
    if (status == VDE_NOT_FOUND)
        return VDE_OK;
    LH_TRY(status);
    uint8_t digest[16];
    lh_txn_digest(attempt->txn, digest);
    bool sound = bytes.size == 32;
    bool same = sound && memcmp(bytes.data, digest, 16) == 0;
    if (same)
        memcpy(group, bytes.data + 16, 16);
    vde_bytes_free(&bytes);
    wait_for(attempt, vde_view_lsn(catalog->view), VDE_OK);
    if (!sound)
        return lh_fail(VDE_CORRUPT, "idempotency key|a record of another size|32 bytes");
    if (!same)
        return lh_fail(LH_VALIDATION, "idempotency key|used before for another transaction|a new key, or the same content");
    *ret_repeat = true;
    return VDE_OK;
}

static vde_status check_create(struct lh_attempt *attempt, struct lh_catalog *catalog, struct lh_member_txn *m)
{
    uint64_t name_space;
    vde_status status = lh_catalog_name_free(catalog, m->name, &name_space);
    if (status == LH_TABLE_EXISTS || status == LH_NAMESPACE_EXISTS)
        return wait_for(attempt, vde_view_lsn(catalog->view), status);
    LH_TRY(status);
    m->new_record = (struct lh_table_record){.id = vde_id_reserve(attempt->txn->lakehouse->image), .name_space = name_space,
                                             .format = m->format, .created_us = lh_now_us()};
    m->new_record.name = strdup(m->name.data);
    m->head = m->new_record.name ? lh_head_get(attempt->txn->lakehouse, m->new_record.id) : NULL;
    return m->head ? VDE_OK : lh_fail_nomem("table head");
}

vde_status lh_validate_names(struct lh_attempt *attempt, bool *ret_repeat, uint8_t group[16])
{
    struct lh_catalog catalog;
    LH_TRY(lh_catalog_open(attempt->txn->lakehouse, true, &catalog));
    vde_status status = VDE_OK;
    if (attempt->txn->key.size)
        status = check_key(attempt, &catalog, ret_repeat, group);
    for (size_t i = 0; i < attempt->txn->count && status == VDE_OK && !*ret_repeat; i++)
        if (attempt->txn->members[i]->create)
            status = check_create(attempt, &catalog, attempt->txn->members[i]);
    lh_catalog_close(&catalog);
    return status;
}

/* --- members ---------------------------------------------------------------------------------------------------- */
static vde_status check_conflicts(struct lh_attempt *attempt, struct lh_member_txn *m)
{
    const struct lh_head *head = m->head;
    if (m->read_version == LH_NO_VERSION)
        return VDE_OK;
    uint64_t from = m->read_version;
    if (m->checked_to != LH_NO_VERSION && m->checked_to > from)
        from = m->checked_to;
    if (from < head->latest && from + 1 < head->recent_first)
        return wait_for(attempt, head->lsn, LH_AGAIN);
    for (uint64_t v = from + 1; v <= head->latest; v++) {
        const struct lh_recent *recent = lh_head_recent(head, v);
        vde_status status = lh_conflict_check(attempt->txn, m, v, recent->data, recent->size);
        if (status != VDE_OK)
            return wait_for(attempt, head->lsn, status);
        m->checked_to = v;
    }
    return VDE_OK;
}

/* Whether versions since preparing touched what was resolved. */
static vde_status check_resolved(struct lh_attempt *attempt, struct lh_member_txn *m)
{
    const struct lh_head *head = m->head;
    if (!lh_member_reads_state(m) || m->prepared_at == head->latest)
        return VDE_OK;
    if (m->prepared_at + 1 < head->recent_first || m->removed_partition_count || m->overwrite)
        return wait_for(attempt, head->lsn, LH_AGAIN);
    struct lh_decoder decoder = LH_DECODER_INIT;
    vde_status status = VDE_OK;
    for (uint64_t v = m->prepared_at + 1; v <= head->latest && status == VDE_OK; v++) {
        const struct lh_recent *recent = lh_head_recent(head, v);
        struct lh_record record;
        struct lh_action_walk walk;
        struct lh_action action;
        status = lh_record_decode(recent->data, recent->size, m->name.data, &record);
        if (status == VDE_OK)
            lh_action_walk_init(&walk, &decoder, &record);
        while (status == VDE_OK && (status = lh_action_walk_next(&walk, &action)) == VDE_OK)
            if ((action.kind == LH_ACTION_ADD || action.kind == LH_ACTION_REMOVE) &&
                (lh_hashes_has(&m->resolved_removed, lh_hash(action.file.path)) ||
                 (lh_member_looks_for_adds(m) && lh_hashes_has(&m->added, lh_hash(action.file.path)))))
                status = wait_for(attempt, head->lsn, LH_AGAIN);
        if (status == VDE_NOT_FOUND)
            status = VDE_OK;
    }
    lh_decoder_done(&decoder);
    return status;
}

vde_status lh_check_apps(struct lh_attempt *attempt, const struct lh_member_txn *m)
{
    for (uint32_t i = 0; i < m->app_count; i++) {
        const struct lh_map_item *item = lh_hash_map_find(&m->head->apps, m->apps[i].key, lh_hash(m->apps[i].key));
        int64_t version = (int64_t)lh_le64_get((const uint8_t *)m->apps[i].value.data);
        if (item && (int64_t)item->number >= version)
            return wait_for(attempt, m->head->lsn,
                            lh_fail(LH_ALREADY_APPLIED, "application %.100s of table %s|version %lld recorded|below %lld",
                                    m->apps[i].key.data, m->name.data, (long long)(int64_t)item->number,
                                    (long long)version));
    }
    return VDE_OK;
}

static vde_status check_versions(struct lh_attempt *attempt, const struct lh_member_txn *m)
{
    uint64_t next = m->head->latest == LH_NO_VERSION ? 0 : m->head->latest + 1;
    if (m->read_version != LH_NO_VERSION && m->read_version >= next)
        return wait_for(attempt, m->head->lsn,
                        lh_fail(LH_VERSION_NOT_FOUND, "table %s|read version %llu, but the latest is %lld|at most the latest",
                                m->name.data, (unsigned long long)m->read_version, (long long)next - 1));
    if (m->expect_version != LH_NO_VERSION && m->expect_version != next && LH_RULE_HOLDS(LH_RULE_EXPECTED_VERSION))
        return wait_for(attempt, m->head->lsn,
                        lh_fail_conflict(LH_CONFLICT_CONCURRENT_WRITE, "table %s|the next version is %llu|%llu", m->name.data,
                                         (unsigned long long)next, (unsigned long long)m->expect_version));
    if (next > UINT32_MAX)
        return lh_fail(VDE_TOO_LARGE, "table %s|version %llu|below 2^32", m->name.data, (unsigned long long)next);
    return VDE_OK;
}

vde_status lh_validate_member(struct lh_attempt *attempt, struct lh_member_txn *m)
{
    struct lh_head *head = m->head;
    m->version = LH_NO_VERSION;
    if (!m->create) {
        if (head->dropped) {
            lh_head_forget(attempt->txn->lakehouse, head);
            return wait_for(attempt, head->drop_lsn, LH_AGAIN);
        }
        LH_TRY(lh_check_apps(attempt, m));
        LH_TRY(check_conflicts(attempt, m));
        LH_TRY(check_versions(attempt, m));
        if (head->meta != m->meta)
            return wait_for(attempt, head->lsn, LH_AGAIN);
        LH_TRY(check_resolved(attempt, m));
    } else if (m->expect_version != LH_NO_VERSION && m->expect_version != 0) {
        vde_status status = lh_fail_conflict(LH_CONFLICT_CONCURRENT_WRITE, "table %s|a new table begins with version 0|%llu",
                                             m->name.data, (unsigned long long)m->expect_version);
        vde_error_set_retryable(false);
        return status;
    }
    bool empty = !m->create && m->first_count + m->action_count + m->resolved_count == 0;
    if (!empty)
        m->version = head->latest == LH_NO_VERSION ? 0 : head->latest + 1;
    return VDE_OK;
}
