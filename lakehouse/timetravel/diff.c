/* SPDX-License-Identifier: Apache-2.0 */
/* diff.c -- the difference of two versions: both are listed, and what only one has is told. */
#include <stdlib.h>

#include "state/fail.h"
#include "timetravel/point.h"
#include "txlog/pack.h"

struct side {
    struct lh_table_info *info;
    struct lh_hash_map files;    /* key -> encoded add, number = file id */
    struct lh_arena arena;
    uint64_t replayed;
};

static void side_done(struct side *side)
{
    lh_free(side->info);
    lh_hash_map_done(&side->files);
    lh_arena_done(&side->arena);
}

static vde_status side_fill(struct side *side, struct lh_state *state)
{
    struct lh_file_cursor cursor;
    struct lh_active_file file;
    struct lh_decoder decoder = LH_DECODER_INIT;
    struct lh_buffer key = LH_BUFFER_INIT;
    LH_TRY(lh_file_cursor_open(state, &cursor));
    vde_status status;
    while ((status = lh_file_cursor_next(&cursor, &file, NULL)) == VDE_OK) {
        struct lh_action action;
        struct lh_slice name;
        struct lh_reader reader = {(const uint8_t *)file.encoded.data, file.encoded.size, 0, false};
        struct lh_map_item *item = NULL;
        lh_decoder_reset(&decoder);
        lh_buffer_clear(&key);
        status = lh_action_from_bytes(&decoder, &reader, &action);
        if (status == VDE_OK) {
            lh_file_key(&action.file, &key);
            status = lh_buffer_status(&key);
        }
        if (status == VDE_OK)
            status = lh_arena_copy(&side->arena, (struct lh_slice){key.data, key.size}, &name);
        if (status == VDE_OK && !(item = lh_hash_map_put(&side->files, name, lh_hash(name))))
            status = lh_fail_nomem("difference");
        if (status == VDE_OK) {
            item->live = true;
            item->number = file.id;
            status = lh_arena_copy(&side->arena, file.encoded, &item->value);
        }
        if (status != VDE_OK)
            break;
    }
    lh_file_cursor_close(&cursor);
    lh_decoder_done(&decoder);
    lh_buffer_done(&key);
    return status == VDE_NOT_FOUND ? VDE_OK : status;
}

static vde_status side_load(struct side *side, struct lh_point *point)
{
    struct lh_state *state = NULL;
    LH_TRY(lh_point_state(point, &state));
    vde_status status = lh_point_describe(point, state, &side->info);
    if (status == VDE_OK)
        status = side_fill(side, state);
    side->replayed = state->replayed_entries;
    lh_state_free(state);
    return status;
}

static bool same_properties(const struct lh_table_info *a, const struct lh_table_info *b)
{
    if (a->property_count != b->property_count)
        return false;
    for (size_t i = 0; i < a->property_count; i++) {
        size_t j = 0;
        while (j < b->property_count && strcmp(a->properties[i].key, b->properties[j].key) != 0)
            j++;
        if (j == b->property_count)
            return false;
        const char *x = a->properties[i].value, *y = b->properties[j].value;
        if ((x == NULL) != (y == NULL) || (x && strcmp(x, y) != 0))
            return false;
    }
    return true;
}

static bool same_partitioning(const struct lh_table_info *a, const struct lh_table_info *b)
{
    if (a->partition_count != b->partition_count)
        return false;
    for (size_t i = 0; i < a->partition_count; i++)
        if (strcmp(a->partition_columns[i], b->partition_columns[i]) != 0)
            return false;
    return true;
}

static void sum(int64_t *total, int64_t value)
{
    if (*total == LH_UNKNOWN || value == LH_UNKNOWN || __builtin_add_overflow(*total, value, total))
        *total = LH_UNKNOWN;
}

/* Files of `mine` that `other` lacks. */
static vde_status pack_only(struct lh_pack *pack, const struct side *mine, const struct side *other, bool removed,
                            const struct lh_file_info **ret_files, size_t *ret_count, int64_t *ret_bytes,
                            int64_t *ret_records)
{
    struct lh_file_view view = {.decoder = LH_DECODER_INIT, .arena = LH_ARENA_INIT, .json = LH_BUFFER_INIT};
    size_t count = 0;
    for (size_t i = 0; i < mine->files.count; i++)
        count += !lh_hash_map_find(&other->files, mine->files.items[i].key, mine->files.items[i].hash);
    struct lh_file_info *files = lh_pack_alloc(pack, count, sizeof *files);
    vde_status status = VDE_OK;
    *ret_files = files;
    *ret_count = 0;
    *ret_bytes = *ret_records = 0;
    for (size_t i = 0; i < mine->files.count && status == VDE_OK; i++) {
        const struct lh_map_item *item = &mine->files.items[i];
        struct lh_file_info info;
        if (lh_hash_map_find(&other->files, item->key, item->hash))
            continue;
        status = lh_file_view_fill(&view, removed ? LH_NO_VERSION : item->number, item->value, false, &info);
        if (status != VDE_OK)
            break;
        sum(ret_bytes, info.size_bytes);
        sum(ret_records, info.records);
        struct lh_property *values = lh_pack_alloc(pack, info.partition_count, sizeof *values);
        info.path = lh_pack_text(pack, lh_slice_of(info.path));
        for (size_t p = 0; p < info.partition_count; p++) {
            struct lh_property value = {lh_pack_text(pack, lh_slice_of(info.partition_values[p].key)),
                                        lh_pack_optional(pack, lh_slice_of(info.partition_values[p].value))};
            if (values)
                values[p] = value;
        }
        info.partition_values = values;
        info.stats = NULL;
        if (files)
            files[*ret_count] = info;
        ++*ret_count;
    }
    lh_file_view_done(&view);
    return status;
}

static vde_status pack_diff(const struct side *a, const struct side *b, struct lh_diff **ret_diff)
{
    struct lh_pack pack = LH_PACK_INIT;
    vde_status status = VDE_OK;
    while (lh_pack_pass(&pack) && status == VDE_OK) {
        struct lh_diff *diff = lh_pack_alloc(&pack, 1, sizeof *diff);
        struct lh_diff d = {
            .from_version = a->info->version, .to_version = b->info->version, .from_time_us = a->info->time_us,
            .to_time_us = b->info->time_us, .schema_changed = strcmp(a->info->schema_json, b->info->schema_json) != 0,
            .partitioning_changed = !same_partitioning(a->info, b->info),
            .properties_changed = !same_properties(a->info, b->info),
            .protocol_changed = strcmp(a->info->protocol_json, b->info->protocol_json) != 0,
            .replayed_entries = a->replayed + b->replayed};
        d.table = lh_pack_text(&pack, lh_slice_of(a->info->name));
        d.from_ddl = lh_pack_text(&pack, lh_slice_of(a->info->ddl));
        d.to_ddl = lh_pack_text(&pack, lh_slice_of(b->info->ddl));
        status = pack_only(&pack, b, a, false, &d.added, &d.added_count, &d.bytes_added, &d.records_added);
        if (status == VDE_OK)
            status = pack_only(&pack, a, b, true, &d.removed, &d.removed_count, &d.bytes_removed, &d.records_removed);
        if (diff)
            *diff = d;
    }
    if (status != VDE_OK) {
        free(pack.base);
        return status;
    }
    return lh_pack_done(&pack, (void **)ret_diff);
}

vde_status lh_diff_versions(lh_lakehouse *lakehouse, const char *from, const char *to, struct lh_diff **ret_diff)
{
    struct lh_point point;
    struct side a = {.info = NULL}, b = {.info = NULL};
    LH_TRY(lh_point_open(lakehouse, from, &point));
    vde_status status = side_load(&a, &point);
    if (status == VDE_OK)
        status = lh_point_move(&point, to);
    if (status == VDE_OK)
        status = side_load(&b, &point);
    if (status == VDE_OK)
        status = pack_diff(&a, &b, ret_diff);
    side_done(&a);
    side_done(&b);
    lh_point_close(&point);
    return status;
}
