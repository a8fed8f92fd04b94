/* SPDX-License-Identifier: Apache-2.0 */
#include "state/record.h"

#include "state/fail.h"

void lh_record_encode(const struct lh_record *record, struct lh_buffer *out)
{
    uint8_t head[LH_RECORD_HEAD_BYTES] = {LH_RECORD_LAYOUT, record->format};
    head[2] = (uint8_t)record->flags;
    head[3] = (uint8_t)(record->flags >> 8);
    memcpy(head + 4, record->group, 16);
    memcpy(head + 20, record->commit_id, 16);
    lh_le64_put(head + 36, record->snapshot_id);
    lh_le64_put(head + 44, record->parent_snapshot_id);
    for (int i = 0; i < 4; i++)
        head[52 + i] = (uint8_t)(record->member_count >> (8 * i));
    lh_buffer_add(out, head, sizeof head);
    size_t members = (size_t)record->member_count * 16;
    char *room = lh_buffer_room(out, members);
    if (room && members) {
        if (record->members)
            memcpy(room, record->members, members);
        else
            memset(room, 0, members);
        out->size += members;
    }
    const struct lh_record_summary *s = &record->summary;
    lh_buffer_varint(out, s->files_added);
    lh_buffer_varint(out, s->files_removed);
    lh_buffer_zigzag(out, s->bytes_added);
    lh_buffer_zigzag(out, s->bytes_removed);
    lh_buffer_zigzag(out, s->records_added);
    lh_buffer_zigzag(out, s->records_removed);
    lh_buffer_zigzag(out, s->file_time_ns);
    lh_buffer_zigzag(out, s->schema_id);
    lh_buffer_sized(out, s->operation);
    lh_buffer_sized(out, s->user_metadata);
    lh_buffer_sized(out, s->engine_info);
    lh_buffer_varint(out, record->action_count);
    lh_buffer_sized(out, record->actions);
    if (record->flags & LH_RECORD_BYTES)
        lh_buffer_sized(out, record->bytes);
}

vde_status lh_record_decode(const void *data, size_t size, const char *what, struct lh_record *ret_record)
{
    const uint8_t *p = data;
    if (size < LH_RECORD_HEAD_BYTES)
        return lh_fail(VDE_CORRUPT, "%s|%zu bytes|at least %u", what, size, LH_RECORD_HEAD_BYTES);
    if (p[0] != LH_RECORD_LAYOUT)
        return lh_fail(VDE_UNSUPPORTED, "%s|record layout %u|%u", what, p[0], LH_RECORD_LAYOUT);
    struct lh_record r = {.format = p[1], .flags = (uint16_t)(p[2] | p[3] << 8)};
    memcpy(r.group, p + 4, 16);
    memcpy(r.commit_id, p + 20, 16);
    r.snapshot_id = lh_le64_get(p + 36);
    r.parent_snapshot_id = lh_le64_get(p + 44);
    r.member_count = (uint32_t)p[52] | (uint32_t)p[53] << 8 | (uint32_t)p[54] << 16 | (uint32_t)p[55] << 24;
    if (r.member_count > LH_RECORD_MEMBERS_MAX || (size - LH_RECORD_HEAD_BYTES) / 16 < r.member_count)
        return lh_fail(VDE_CORRUPT, "%s|%u group members in %zu bytes|fewer", what, r.member_count, size);
    r.members = p + LH_RECORD_HEAD_BYTES;
    struct lh_reader reader = {p, size, LH_RECORD_HEAD_BYTES + (size_t)r.member_count * 16, false};
    struct lh_record_summary *s = &r.summary;
    s->files_added = lh_reader_varint(&reader);
    s->files_removed = lh_reader_varint(&reader);
    s->bytes_added = lh_reader_zigzag(&reader);
    s->bytes_removed = lh_reader_zigzag(&reader);
    s->records_added = lh_reader_zigzag(&reader);
    s->records_removed = lh_reader_zigzag(&reader);
    s->file_time_ns = lh_reader_zigzag(&reader);
    s->schema_id = lh_reader_zigzag(&reader);
    s->operation = lh_reader_sized(&reader);
    s->user_metadata = lh_reader_sized(&reader);
    s->engine_info = lh_reader_sized(&reader);
    r.action_count = lh_reader_varint(&reader);
    r.actions = lh_reader_sized(&reader);
    if (r.flags & LH_RECORD_BYTES)
        r.bytes = lh_reader_sized(&reader);
    if (reader.failed || reader.offset != size)
        return lh_fail(VDE_CORRUPT, "%s|a record that ends at byte %zu of %zu|all of it", what, reader.offset, size);
    *ret_record = r;
    return VDE_OK;
}

void lh_record_member(const struct lh_record *record, uint32_t index, uint64_t *ret_table, uint64_t *ret_version)
{
    const uint8_t *p = record->members + (size_t)index * 16;
    *ret_table = lh_le64_get(p);
    *ret_version = lh_le64_get(p + 8);
}

void lh_record_patch_ids(uint8_t *data, const uint8_t group[16], const uint8_t commit_id[16])
{
    memcpy(data + 4, group, 16);
    memcpy(data + 20, commit_id, 16);
}

void lh_record_patch_snapshot(uint8_t *data, uint64_t snapshot_id, uint64_t parent_id)
{
    lh_le64_put(data + 36, snapshot_id);
    lh_le64_put(data + 44, parent_id);
}

void lh_record_patch_flags(uint8_t *data, uint16_t flags)
{
    data[2] = (uint8_t)flags;
    data[3] = (uint8_t)(flags >> 8);
}

void lh_record_patch_member(uint8_t *data, uint32_t index, uint64_t table, uint64_t version)
{
    lh_le64_put(data + LH_RECORD_HEAD_BYTES + (size_t)index * 16, table);
    lh_le64_put(data + LH_RECORD_HEAD_BYTES + (size_t)index * 16 + 8, version);
}

void lh_action_walk_init(struct lh_action_walk *walk, struct lh_decoder *decoder, const struct lh_record *record)
{
    *walk = (struct lh_action_walk){.decoder = decoder, .left = record->action_count, .index = UINT32_MAX};
    walk->reader = (struct lh_reader){(const uint8_t *)record->actions.data, record->actions.size, 0, false};
}

vde_status lh_action_walk_next(struct lh_action_walk *walk, struct lh_action *ret_action)
{
    if (walk->left == 0)
        return VDE_NOT_FOUND;
    walk->left--;
    walk->index++;
    lh_decoder_reset(walk->decoder);
    size_t from = walk->reader.offset;
    LH_TRY(lh_action_from_bytes(walk->decoder, &walk->reader, ret_action));
    walk->encoded = (struct lh_slice){(const char *)walk->reader.data + from, walk->reader.offset - from};
    return VDE_OK;
}

static void add_known(int64_t *sum, bool known, int64_t value)
{
    if (!known || *sum == INT64_MIN || __builtin_add_overflow(*sum, value, sum))
        *sum = INT64_MIN;
}

void lh_summary_count(struct lh_record_summary *summary, struct lh_decoder *decoder, const struct lh_action *action)
{
    if (action->kind != LH_ACTION_ADD && action->kind != LH_ACTION_REMOVE)
        return;
    int64_t rows = 0;
    bool rows_known = lh_file_num_records(decoder, &action->file, &rows);
    bool size_known = lh_has(&action->file.part, LH_FILE_SIZE);
    if (action->kind == LH_ACTION_ADD) {
        summary->files_added++;
        add_known(&summary->bytes_added, size_known, action->file.size_bytes);
        add_known(&summary->records_added, rows_known, rows);
    } else {
        summary->files_removed++;
        add_known(&summary->bytes_removed, size_known, action->file.size_bytes);
        add_known(&summary->records_removed, rows_known, rows);
    }
}
