/* SPDX-License-Identifier: Apache-2.0 */
/* assemble.c -- from a prepared member to the bytes of its entry. */
#include "state/fail.h"
#include "txlog/rows.h"

/* 122 free bits of a version 8 UUID: 40 of table, 42 of version, 40 of nonce. */
void lh_group_make(struct lh_lakehouse *lakehouse, uint64_t table, uint64_t version, uint8_t group[16])
{
    uint64_t nonce = lh_random64(lakehouse) & ((1ull << 40) - 1);
    uint64_t high = (table & ((1ull << 40) - 1)) << 24 | (version >> 34 & 0xff) << 16 | 0x8000u | (version >> 22 & 0xfff);
    uint64_t low = 2ull << 62 | (version & 0x3fffff) << 40 | nonce;
    lh_be64_put(group, high);
    lh_be64_put(group + 8, low);
}

void lh_group_place(const uint8_t group[16], uint64_t *ret_table, uint64_t *ret_version)
{
    uint64_t high = lh_be64_get(group), low = lh_be64_get(group + 8);
    *ret_table = high >> 24;
    *ret_version = (high >> 16 & 0xff) << 34 | (high & 0xfff) << 22 | (low >> 40 & 0x3fffff);
}

static struct lh_slice operation_of(const struct lh_member_txn *m)
{
    if (m->operation.size)
        return m->operation;
    if (m->create)
        return LH_SLICE("CREATE TABLE");
    if (m->overwrite)
        return LH_SLICE("WRITE");
    bool removes = m->removal_count || m->removed_partition_count;
    if (m->added.count)
        return removes ? LH_SLICE("UPDATE") : LH_SLICE("WRITE");
    if (removes)
        return LH_SLICE("DELETE");
    if (m->schema.data || (m->flags & LH_RECORD_SCHEMA))
        return LH_SLICE("CHANGE SCHEMA");
    if (m->change_count || m->has_metadata)
        return LH_SLICE("SET TBLPROPERTIES");
    return LH_SLICE("COMMIT");
}

static int64_t sum_known(int64_t a, int64_t b)
{
    int64_t sum;
    if (a == INT64_MIN || b == INT64_MIN || __builtin_add_overflow(a, b, &sum))
        return INT64_MIN;
    return sum;
}

static void fill_summary(const struct lh_member_txn *m, struct lh_record_summary *s)
{
    const struct lh_record_summary *r = &m->resolved_summary;
    *s = m->summary;
    if (m->resolved_count) {
        s->files_removed += r->files_removed;
        s->bytes_removed = sum_known(s->bytes_removed, r->bytes_removed);
        s->records_removed = sum_known(s->records_removed, r->records_removed);
    }
    s->operation = operation_of(m);
    s->user_metadata = m->user_metadata;
    s->engine_info = m->engine_info;
    s->file_time_ns = LH_UNKNOWN;
    s->schema_id = LH_UNKNOWN;
    const struct lh_meta *meta = m->new_meta ? m->new_meta : m->meta;
    if (meta && (meta->metadata.iceberg.part.set & LH_ICE_SCHEMA_ID))
        s->schema_id = meta->metadata.iceberg.schema_id;
}

/* The actions in a row. `joined` holds them where they are not in one piece already. */
static vde_status join_actions(struct lh_member_txn *m, struct lh_buffer *joined, struct lh_record *record)
{
    bool tracked = lh_rows_tracked(m);
    uint64_t given = m->action_count;
    record->actions = (struct lh_slice){m->actions.data, m->actions.size};
    if (m->first_count || m->resolved_count || tracked) {
        lh_buffer_add(joined, m->first.data, m->first_count ? m->first.size : 0);
        if (tracked)
            LH_TRY(lh_rows_fill(m, joined, &given));
        else
            lh_buffer_add(joined, m->actions.data, m->actions.size);
        lh_buffer_add(joined, m->resolved.data, m->resolved_count ? m->resolved.size : 0);
        record->actions = (struct lh_slice){joined->data, joined->size};
    }
    if (given != m->action_count)
        record->flags |= LH_RECORD_DOMAIN;
    record->action_count = m->first_count + given + m->resolved_count;
    return lh_buffer_status(joined);
}

vde_status lh_member_record(struct lh_txn *txn, struct lh_member_txn *m, uint32_t group_members)
{
    struct lh_record record = {.format = (uint8_t)(m->create ? m->format : m->head->record.format)};
    record.flags = m->flags;
    if (lh_member_blind(m))
        record.flags |= LH_RECORD_BLIND;
    if (m->app_count)
        record.flags |= LH_RECORD_APP_TXN;
    if (m->domain_count)
        record.flags |= LH_RECORD_DOMAIN;
    const struct lh_meta *meta = m->new_meta ? m->new_meta : m->meta;
    if (meta && (meta->rules & LH_ASKS_IN_COMMIT_TIME))
        record.flags |= LH_RECORD_IN_COMMIT_TIME;
    record.member_count = group_members;
    fill_summary(m, &record.summary);
    lh_uuid_random(txn->lakehouse, m->commit_id);
    memcpy(record.commit_id, m->commit_id, 16);
    bool data = m->added.count || m->resolved_removed.count;
    m->snapshot_id = 0;
    if (record.format == LH_FORMAT_ICEBERG && data) {
        m->snapshot_id = lh_random64(txn->lakehouse) >> 1;
        m->snapshot_id += m->snapshot_id == 0;
    }
    struct lh_buffer joined = LH_BUFFER_INIT;
    vde_status status = join_actions(m, &joined, &record);
    lh_buffer_clear(&m->record);
    if (status == VDE_OK) {
        lh_record_encode(&record, &m->record);
        status = lh_buffer_status(&m->record);
    }
    lh_buffer_done(&joined);
    if (status == VDE_OK && record.action_count > UINT32_MAX)
        return lh_fail(VDE_TOO_LARGE, "commit to table %s|%llu actions|fewer than 2^32", m->name.data,
                       (unsigned long long)record.action_count);
    return status;
}
