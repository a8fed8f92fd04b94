/* SPDX-License-Identifier: Apache-2.0 */
/* history.c -- a table's versions, read in runs so that they can be told newest first although streams only go forward. */
#include <lakehouse/history.h>

#include <stdlib.h>

#include "state/fail.h"
#include "timetravel/point.h"

#define RUN_MAX 256u

struct lh_history {
    struct lh_point point;
    uint64_t first, last;        /* still to be told, inclusive */
    bool newest_first;
    bool ended;
    struct lh_version_info run[RUN_MAX];
    size_t run_count, run_next;  /* next counts up in both directions */
    struct lh_arena arena;
};

vde_status lh_history_open(lh_lakehouse *lakehouse, const char *table, uint64_t first, uint64_t last, bool newest_first,
                           lh_history **ret_history)
{
    lh_history *history = calloc(1, sizeof *history);
    if (!history)
        return lh_fail_nomem("history");
    vde_status status = lh_point_open(lakehouse, table, &history->point);
    if (status != VDE_OK) {
        free(history);
        return status;
    }
    const struct lh_point *point = &history->point;
    history->first = first < point->first ? point->first : first;
    /* "ns.t@v7" means the history up to there. */
    history->last = last < point->version ? last : point->version;
    history->newest_first = newest_first;
    if (first > point->latest)
        status = lh_fail(LH_VERSION_NOT_FOUND, "table %s|no version %llu|one of %llu to %llu", point->record.name,
                         (unsigned long long)first, (unsigned long long)point->first, (unsigned long long)point->latest);
    history->ended = history->first > history->last;
    if (status != VDE_OK) {
        lh_history_close(history);
        return status;
    }
    *ret_history = history;
    return VDE_OK;
}

void lh_history_close(lh_history *history)
{
    if (!history)
        return;
    lh_point_close(&history->point);
    lh_arena_done(&history->arena);
    free(history);
}

static vde_status keep_text(struct lh_arena *arena, struct lh_slice text, const char **ret)
{
    char *copy = lh_arena_alloc(arena, text.size + 1, 1);
    if (!copy)
        return lh_fail_nomem("history");
    if (text.size)
        memcpy(copy, text.data, text.size);
    *ret = copy;
    return VDE_OK;
}

static vde_status fill(struct lh_arena *arena, const struct vde_entry *entry, const char *what,
                       struct lh_version_info *info)
{
    static const uint8_t none[16];
    struct lh_record r;
    LH_TRY(lh_record_decode(entry->data, entry->size, what, &r));
    const struct lh_record_summary *s = &r.summary;
    *info = (struct lh_version_info){
        .version = entry->number, .time_us = entry->time_us, .lsn = entry->lsn, .foreign = (r.flags & LH_RECORD_FOREIGN) != 0,
        .files_added = s->files_added, .files_removed = s->files_removed, .bytes_added = s->bytes_added,
        .bytes_removed = s->bytes_removed, .records_added = s->records_added, .records_removed = s->records_removed,
        .schema_changed = (r.flags & LH_RECORD_SCHEMA) != 0, .actions = r.action_count, .file_time_ns = s->file_time_ns,
        .snapshot_id = LH_UNKNOWN, .parent_snapshot_id = LH_UNKNOWN, .schema_id = s->schema_id,
        .sequence_number = LH_UNKNOWN};
    if (memcmp(r.group, none, 16) != 0)
        lh_uuid_text(r.group, info->group);
    if (memcmp(r.commit_id, none, 16) != 0)
        lh_uuid_text(r.commit_id, info->commit_id);
    if (r.format == LH_FORMAT_ICEBERG) {
        info->sequence_number = (int64_t)entry->number;
        /* Equal ids: a commit that made no snapshot. */
        if (r.snapshot_id && r.snapshot_id != r.parent_snapshot_id) {
            info->snapshot_id = (int64_t)r.snapshot_id;
            if (r.parent_snapshot_id)
                info->parent_snapshot_id = (int64_t)r.parent_snapshot_id;
        }
    }
    LH_TRY(keep_text(arena, s->operation.size ? s->operation : LH_SLICE("UNKNOWN"), &info->operation));
    if (s->user_metadata.size)
        LH_TRY(keep_text(arena, s->user_metadata, &info->user_metadata));
    if (s->engine_info.size)
        LH_TRY(keep_text(arena, s->engine_info, &info->engine_info));
    return VDE_OK;
}

static vde_status read_run(lh_history *h, uint64_t from, uint64_t to)
{
    vde_stream_cursor *cursor = NULL;
    struct vde_entry entry;
    lh_arena_reset(&h->arena);
    h->run_count = h->run_next = 0;
    LH_TRY(vde_stream_open(h->point.catalog.view, h->point.record.id, from, &cursor));
    vde_status status;
    while ((status = vde_stream_next(cursor, &entry)) == VDE_OK && entry.number <= to && h->run_count < RUN_MAX) {
        status = fill(&h->arena, &entry, h->point.record.name, &h->run[h->run_count]);
        if (status != VDE_OK)
            break;
        h->run_count++;
        if (entry.number == to)
            break;
    }
    vde_stream_close(cursor);
    if (status == VDE_NOT_FOUND)
        status = VDE_OK;
    if (status == VDE_OK && h->run_count != to - from + 1)
        return lh_fail(VDE_CORRUPT, "table %s|%zu entries from version %llu on|%llu", h->point.record.name, h->run_count,
                       (unsigned long long)from, (unsigned long long)(to - from + 1));
    return status;
}

static vde_status next_run(lh_history *h)
{
    if (h->ended)
        return VDE_NOT_FOUND;
    uint64_t count = h->last - h->first + 1 < RUN_MAX ? h->last - h->first + 1 : RUN_MAX;
    uint64_t from = h->newest_first ? h->last - count + 1 : h->first;
    LH_TRY(read_run(h, from, from + count - 1));
    if (count == h->last - h->first + 1)
        h->ended = true;
    else if (h->newest_first)
        h->last -= count;
    else
        h->first += count;
    return VDE_OK;
}

vde_status lh_history_next(lh_history *history, struct lh_version_info *ret_info)
{
    if (history->run_next == history->run_count)
        LH_TRY(next_run(history));
    size_t at = history->run_next++;
    *ret_info = history->run[history->newest_first ? history->run_count - 1 - at : at];
    return VDE_OK;
}

/* --- one commit as text ----------------------------------------------------------------------------------------- */
static void print_info(const struct lh_record *record, const struct vde_entry *entry, const struct lh_action *given,
                       struct lh_buffer *out)
{
    char commit_id[LH_UUID_TEXT];
    struct lh_action action = {.kind = LH_ACTION_COMMIT_INFO};
    struct lh_commit_info *info = &action.info;
    bool own = (record->flags & LH_RECORD_OWN_INFO) != 0;
    if (given && !own)
        action = *given;
    lh_uuid_text(record->commit_id, commit_id);
    if (!given || own) {
        const struct lh_record_summary *s = &record->summary;
        info->part.set = LH_INFO_TIMESTAMP | LH_INFO_OPERATION | LH_INFO_OPERATION_PARAMETERS | LH_INFO_IS_BLIND_APPEND |
                         LH_INFO_ENGINE_INFO | LH_INFO_TXN_ID;
        info->timestamp_ms = (int64_t)(entry->time_us / 1000);
        info->operation = s->operation;
        info->operation_parameters = given ? given->info.operation_parameters : LH_SLICE("{}");
        info->is_blind_append = (record->flags & LH_RECORD_BLIND) != 0;
        info->engine_info = s->engine_info.size ? s->engine_info : LH_SLICE("vde/0.1.0");
        info->txn_id = lh_slice_of(commit_id);
        if (s->user_metadata.size) {
            info->user_metadata = s->user_metadata;
            info->part.set |= LH_INFO_USER_METADATA;
        }
    }
    if (record->flags & LH_RECORD_IN_COMMIT_TIME) {
        info->in_commit_timestamp_ms = (int64_t)(entry->time_us / 1000);
        info->part.set |= LH_INFO_IN_COMMIT_TIMESTAMP;
        info->part.raw &= ~LH_INFO_IN_COMMIT_TIMESTAMP;
    }
    lh_action_to_json(&action, out);
    lh_buffer_byte(out, '\n');
}

/* A native commit begins with its commitInfo, as in-commit timestamps demand; a foreign one keeps its order. */
static vde_status print_actions(const struct lh_record *record, const struct vde_entry *entry, struct lh_buffer *out)
{
    struct lh_decoder decoder = LH_DECODER_INIT;
    struct lh_action_walk walk;
    struct lh_action action;
    struct lh_buffer rest = LH_BUFFER_INIT;
    bool native = !(record->flags & LH_RECORD_FOREIGN), told = false;
    vde_status status;
    lh_action_walk_init(&walk, &decoder, record);
    while ((status = lh_action_walk_next(&walk, &action)) == VDE_OK) {
        if (native && action.kind == LH_ACTION_COMMIT_INFO) {
            print_info(record, entry, &action, out);
            told = true;
            continue;
        }
        size_t before = rest.size;
        lh_action_to_json(&action, &rest);
        if (rest.size != before)
            lh_buffer_byte(&rest, '\n');
    }
    if (status == VDE_NOT_FOUND)
        status = lh_buffer_status(&rest);
    if (status == VDE_OK) {
        if (native && !told)
            print_info(record, entry, NULL, out);
        lh_buffer_add(out, rest.data, rest.size);
    }
    lh_decoder_done(&decoder);
    lh_buffer_done(&rest);
    return status;
}

static vde_status print_commit(struct lh_point *point, const struct vde_entry *entry, bool from_state, struct lh_buffer *out)
{
    struct lh_record record;
    LH_TRY(lh_record_decode(entry->data, entry->size, point->record.name, &record));
    if ((record.flags & LH_RECORD_BYTES) && !from_state) {
        lh_buffer_slice(out, record.bytes);
        return VDE_OK;
    }
    if (record.flags & LH_RECORD_UNDECODED)
        return lh_fail(LH_OPAQUE, "table %s|%s|what this engine supports", point->record.name,
                       point->record.opaque ? point->record.opaque : "actions that were not decoded");
    return print_actions(&record, entry, out);
}

vde_status lh_commit_text(lh_lakehouse *lakehouse, const char *table, uint64_t version, bool from_state, char **ret_text,
                          size_t *ret_size)
{
    struct lh_point point;
    struct lh_buffer text = LH_BUFFER_INIT;
    vde_stream_cursor *cursor = NULL;
    struct vde_entry entry;
    uint64_t time_us;
    LH_TRY(lh_point_open(lakehouse, table, &point));
    vde_status status = lh_point_time(&point, version, &time_us);
    if (status == VDE_OK)
        status = vde_stream_open(point.catalog.view, point.record.id, version, &cursor);
    if (status == VDE_OK)
        status = vde_stream_next(cursor, &entry);
    if (status == VDE_OK)
        status = print_commit(&point, &entry, from_state, &text);
    if (cursor)
        vde_stream_close(cursor);
    lh_point_close(&point);
    lh_buffer_byte(&text, '\0');
    if (status == VDE_OK)
        status = lh_buffer_status(&text);
    if (status != VDE_OK) {
        lh_buffer_done(&text);
        return status;
    }
    *ret_text = text.data;
    *ret_size = text.size - 1;
    return VDE_OK;
}
