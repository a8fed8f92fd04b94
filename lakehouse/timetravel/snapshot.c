/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot.c -- a table pinned at one version, read file by file. */
#include <stdlib.h>

#include "state/fail.h"
#include "timetravel/point.h"
#include "txlog/pack.h"

struct lh_snapshot {
    struct lh_point point;
    struct lh_state *state;      /* NULL: opaque, or not asked for yet */
    struct lh_table_info *info;
    struct lh_file_cursor cursor;
    bool cursor_open;
    bool want_json;
    struct lh_file_view view;
};

void lh_file_view_done(struct lh_file_view *view)
{
    lh_decoder_done(&view->decoder);
    lh_arena_done(&view->arena);
    lh_buffer_done(&view->json);
}

static vde_status text_in(struct lh_arena *arena, struct lh_slice text, const char **ret)
{
    char *copy = lh_arena_alloc(arena, text.size + 1, 1);
    if (!copy)
        return lh_fail_nomem("file description");
    if (text.size)
        memcpy(copy, text.data, text.size);
    *ret = copy;
    return VDE_OK;
}

vde_status lh_file_view_fill(struct lh_file_view *view, uint64_t id, struct lh_slice encoded, bool want_json,
                             struct lh_file_info *ret_file)
{
    struct lh_action action;
    struct lh_reader reader = {(const uint8_t *)encoded.data, encoded.size, 0, false};
    lh_decoder_reset(&view->decoder);
    lh_arena_reset(&view->arena);
    LH_TRY(lh_action_from_bytes(&view->decoder, &reader, &action));
    const struct lh_file_action *file = &action.file;
    struct lh_file_info info = {.file_id = id, .size_bytes = LH_UNKNOWN, .modification_time_ms = LH_UNKNOWN,
                                .records = LH_UNKNOWN};
    LH_TRY(text_in(&view->arena, file->path, &info.path));
    if (lh_has(&file->part, LH_FILE_SIZE))
        info.size_bytes = file->size_bytes;
    if (lh_has(&file->part, LH_FILE_MODIFICATION_TIME))
        info.modification_time_ms = file->modification_time_ms;
    info.has_deletion_vector = lh_has(&file->part, LH_FILE_DV);
    if (!lh_file_num_records(&view->decoder, file, &info.records))
        info.records = LH_UNKNOWN;
    struct lh_property *values = lh_arena_alloc(&view->arena, file->partition_values.count + 1, sizeof *values);
    if (!values)
        return lh_fail_nomem("file description");
    for (uint32_t i = 0; i < file->partition_values.count; i++) {
        const struct lh_pair *pair = &file->partition_values.pairs[i];
        LH_TRY(text_in(&view->arena, pair->key, &values[i].key));
        if (!pair->null)
            LH_TRY(text_in(&view->arena, pair->value, &values[i].value));
    }
    info.partition_values = values;
    info.partition_count = file->partition_values.count;
    if (lh_has(&file->part, LH_FILE_STATS))
        LH_TRY(text_in(&view->arena, file->stats, &info.stats));
    if (want_json) {
        lh_buffer_clear(&view->json);
        lh_action_to_json(&action, &view->json);
        lh_buffer_byte(&view->json, '\0');
        LH_TRY(lh_buffer_status(&view->json));
        info.action_json = view->json.data;
    }
    *ret_file = info;
    return VDE_OK;
}

vde_status lh_snapshot_open(lh_lakehouse *lakehouse, const char *table, lh_snapshot **ret_snapshot)
{
    lh_snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (!snapshot)
        return lh_fail_nomem("snapshot");
    vde_status status = lh_point_open(lakehouse, table, &snapshot->point);
    if (status != VDE_OK) {
        free(snapshot);
        return status;
    }
    /* Who only wants the description of a version that was described before needs no state. */
    if (!snapshot->point.record.opaque && !snapshot->point.described)
        status = lh_point_state(&snapshot->point, &snapshot->state);
    if (status == VDE_OK)
        status = lh_point_describe(&snapshot->point, snapshot->state, &snapshot->info);
    if (status == VDE_OK && snapshot->state)
        status = lh_snapshot_rewind(snapshot);
    if (status != VDE_OK) {
        lh_snapshot_close(snapshot);
        return status;
    }
    *ret_snapshot = snapshot;
    return VDE_OK;
}

void lh_snapshot_close(lh_snapshot *snapshot)
{
    if (!snapshot)
        return;
    if (snapshot->cursor_open)
        lh_file_cursor_close(&snapshot->cursor);
    lh_file_view_done(&snapshot->view);
    lh_state_free(snapshot->state);
    lh_free(snapshot->info);
    lh_point_close(&snapshot->point);
    free(snapshot);
}

const struct lh_table_info *lh_snapshot_info(const lh_snapshot *snapshot) { return snapshot->info; }

void lh_snapshot_want_json(lh_snapshot *snapshot, bool want) { snapshot->want_json = want; }

/* LH_OPAQUE. */
static vde_status need_state(lh_snapshot *snapshot)
{
    return snapshot->state ? VDE_OK : lh_point_state(&snapshot->point, &snapshot->state);
}

vde_status lh_snapshot_rewind(lh_snapshot *snapshot)
{
    LH_TRY(need_state(snapshot));
    if (snapshot->cursor_open)
        lh_file_cursor_close(&snapshot->cursor);
    snapshot->cursor_open = false;
    LH_TRY(lh_file_cursor_open(snapshot->state, &snapshot->cursor));
    snapshot->cursor_open = true;
    return VDE_OK;
}

vde_status lh_snapshot_next_file(lh_snapshot *snapshot, struct lh_file_info *ret_file)
{
    struct lh_active_file file;
    if (!snapshot->cursor_open)
        LH_TRY(lh_snapshot_rewind(snapshot));
    LH_TRY(lh_file_cursor_next(&snapshot->cursor, &file, NULL));
    return lh_file_view_fill(&snapshot->view, file.id, file.encoded, snapshot->want_json, ret_file);
}

/* --- the small things ------------------------------------------------------------------------------------------- */
static vde_status pack_lines(const struct lh_buffer *lines, size_t count, struct lh_strings **ret)
{
    struct lh_pack pack = LH_PACK_INIT;
    while (lh_pack_pass(&pack)) {
        struct lh_strings *all = lh_pack_alloc(&pack, 1, sizeof *all);
        const char **items = lh_pack_alloc(&pack, count, sizeof *items);
        if (all)
            *all = (struct lh_strings){count, items};
        const char *at = lines->data;
        for (size_t i = 0; i < count; i++) {
            struct lh_slice line = lh_slice_of(at);
            const char *copy = lh_pack_text(&pack, line);
            if (all)
                items[i] = copy;
            at += line.size + 1;
        }
    }
    return lh_pack_done(&pack, (void **)ret);
}

vde_status lh_snapshot_objects(lh_snapshot *snapshot, struct lh_strings **ret_lines)
{
    LH_TRY(need_state(snapshot));
    struct lh_decoder decoder = LH_DECODER_INIT;
    struct lh_buffer lines = LH_BUFFER_INIT;
    vde_status status = VDE_OK;
    size_t count = 0;
    const struct lh_hash_map *objects = &snapshot->state->objects;
    for (size_t i = 0; i < objects->count && status == VDE_OK; i++) {
        const struct lh_map_item *item = &objects->items[i];
        if (!item->live || item->key.size == 0 || item->key.data[0] == 'x')
            continue;
        struct lh_action action;
        struct lh_reader reader = {(const uint8_t *)item->value.data, item->value.size, 0, false};
        lh_decoder_reset(&decoder);
        status = lh_action_from_bytes(&decoder, &reader, &action);
        if (status == VDE_OK) {
            lh_action_to_json(&action, &lines);
            lh_buffer_byte(&lines, '\0');
            count++;
        }
    }
    if (status == VDE_OK)
        status = lh_buffer_status(&lines);
    if (status == VDE_OK)
        status = pack_lines(&lines, count, ret_lines);
    lh_decoder_done(&decoder);
    lh_buffer_done(&lines);
    return status;
}

/* Partitions that have files, as a map of their texts. */
static vde_status used_partitions(lh_snapshot *snapshot, struct lh_hash_map *used, struct lh_arena *arena)
{
    struct lh_file_cursor cursor;
    struct lh_active_file file;
    struct lh_decoder decoder = LH_DECODER_INIT;
    struct lh_buffer text = LH_BUFFER_INIT;
    LH_TRY(lh_file_cursor_open(snapshot->state, &cursor));
    vde_status status;
    while ((status = lh_file_cursor_next(&cursor, &file, NULL)) == VDE_OK) {
        struct lh_action action;
        struct lh_reader reader = {(const uint8_t *)file.encoded.data, file.encoded.size, 0, false};
        lh_decoder_reset(&decoder);
        status = lh_action_from_bytes(&decoder, &reader, &action);
        lh_buffer_clear(&text);
        if (status == VDE_OK) {
            lh_partition_text(&action.file.partition_values, &text);
            status = lh_buffer_status(&text);
        }
        struct lh_slice key = {text.data, text.size};
        if (status == VDE_OK && !lh_hash_map_find(used, key, lh_hash(key))) {
            status = lh_arena_copy(arena, key, &key);
            if (status == VDE_OK && !lh_hash_map_put(used, key, lh_hash(key)))
                status = lh_fail_nomem("partitions");
        }
        if (status != VDE_OK)
            break;
    }
    lh_file_cursor_close(&cursor);
    lh_decoder_done(&decoder);
    lh_buffer_done(&text);
    return status == VDE_NOT_FOUND ? VDE_OK : status;
}

vde_status lh_snapshot_empty_partitions(lh_snapshot *snapshot, struct lh_strings **ret_partitions)
{
    LH_TRY(need_state(snapshot));
    struct lh_hash_map used = LH_HASH_MAP_INIT;
    struct lh_arena arena = LH_ARENA_INIT;
    struct lh_buffer lines = LH_BUFFER_INIT;
    size_t count = 0;
    vde_status status = used_partitions(snapshot, &used, &arena);
    const struct lh_hash_map *objects = &snapshot->state->objects;
    for (size_t i = 0; i < objects->count && status == VDE_OK; i++) {
        const struct lh_map_item *item = &objects->items[i];
        if (!item->live || item->key.size == 0 || item->key.data[0] != 'x')
            continue;
        struct lh_slice text = {item->key.data + 1, item->key.size - 1};
        if (lh_hash_map_find(&used, text, lh_hash(text)))
            continue;
        lh_buffer_slice(&lines, text);
        lh_buffer_byte(&lines, '\0');
        count++;
    }
    if (status == VDE_OK)
        status = lh_buffer_status(&lines);
    if (status == VDE_OK)
        status = pack_lines(&lines, count, ret_partitions);
    lh_hash_map_done(&used);
    lh_arena_done(&arena);
    lh_buffer_done(&lines);
    return status;
}
