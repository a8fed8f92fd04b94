/* SPDX-License-Identifier: Apache-2.0 */
/* load.c -- root + tail = state. */
#include "state/state.h"

#include <stdio.h>
#include <stdlib.h>

#include "state/fail.h"

vde_status lh_state_create(const char *what, struct lh_state **ret_state)
{
    struct lh_state *state = calloc(1, sizeof *state);
    if (!state)
        return lh_fail_nomem("table state");
    snprintf(state->what, sizeof state->what, "%s", what);
    *ret_state = state;
    return VDE_OK;
}

void lh_state_free(struct lh_state *state)
{
    if (!state)
        return;
    if (state->root)
        vde_kv_close(state->root);
    lh_hash_map_done(&state->objects);
    lh_hash_map_done(&state->files);
    lh_arena_done(&state->arena);
    lh_decoder_done(&state->decoder);
    free(state);
}

/* Set or take away an entry of a map, with key and value copied into the arena. */
static vde_status keep(struct lh_state *state, struct lh_hash_map *map, struct lh_slice key, const struct lh_slice *value,
                       uint64_t number)
{
    uint64_t hash = lh_hash(key);
    struct lh_map_item *item = lh_hash_map_find(map, key, hash);
    if (!item) {
        LH_TRY(lh_arena_copy(&state->arena, key, &key));
        item = lh_hash_map_put(map, key, hash);
        if (!item)
            return lh_fail_nomem("table state");
    }
    item->live = value != NULL;
    item->number = number;
    item->value = (struct lh_slice){NULL, 0};
    return value ? lh_arena_copy(&state->arena, *value, &item->value) : VDE_OK;
}

static vde_status keep_object(struct lh_state *state, char kind, struct lh_slice name, const struct lh_slice *value,
                              uint64_t version)
{
    struct lh_buffer key = LH_BUFFER_INIT;
    lh_buffer_byte(&key, kind);
    lh_buffer_slice(&key, name);
    vde_status status = lh_buffer_status(&key);
    if (status == VDE_OK)
        status = keep(state, &state->objects, (struct lh_slice){key.data, key.size}, value, version);
    lh_buffer_done(&key);
    return status;
}

static int pair_order(const void *a, const void *b)
{
    const struct lh_pair *x = *(const struct lh_pair *const *)a, *y = *(const struct lh_pair *const *)b;
    size_t common = x->key.size < y->key.size ? x->key.size : y->key.size;
    int order = common ? memcmp(x->key.data, y->key.data, common) : 0;
    return order ? order : (x->key.size > y->key.size) - (x->key.size < y->key.size);
}

void lh_partition_text(const struct lh_map *values, struct lh_buffer *out)
{
    const struct lh_pair **sorted = malloc((values->count + 1) * sizeof *sorted);
    if (!sorted) {
        out->failed = true;
        return;
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < values->count; i++)
        if (lh_map_find(values, values->pairs[i].key) == &values->pairs[i])
            sorted[count++] = &values->pairs[i];
    qsort(sorted, count, sizeof *sorted, pair_order);
    lh_buffer_byte(out, '{');
    for (uint32_t i = 0; i < count; i++) {
        if (i)
            lh_buffer_byte(out, ',');
        lh_json_print_string(out, sorted[i]->key);
        lh_buffer_byte(out, ':');
        /* An empty partition value is null in both formats' logs. */
        if (sorted[i]->null || sorted[i]->value.size == 0)
            lh_buffer_text(out, "null");
        else
            lh_json_print_string(out, sorted[i]->value);
    }
    lh_buffer_byte(out, '}');
    free(sorted);
}

bool lh_partition_equal(const struct lh_map *a, const struct lh_map *b)
{
    struct lh_buffer x = LH_BUFFER_INIT, y = LH_BUFFER_INIT;
    lh_partition_text(a, &x);
    lh_partition_text(b, &y);
    bool equal = x.size == y.size && !x.failed && !y.failed && memcmp(x.data, y.data, x.size) == 0;
    lh_buffer_done(&x);
    lh_buffer_done(&y);
    return equal;
}

static vde_status apply_file(struct lh_state *state, const struct lh_action *action, struct lh_slice encoded, uint64_t id)
{
    struct lh_buffer key = LH_BUFFER_INIT;
    lh_file_key(&action->file, &key);
    vde_status status = lh_buffer_status(&key);
    if (status == VDE_OK)
        status = keep(state, &state->files, (struct lh_slice){key.data, key.size},
                      action->kind == LH_ACTION_ADD ? &encoded : NULL, id);
    lh_buffer_done(&key);
    return status;
}

static vde_status apply_partition(struct lh_state *state, const struct lh_action *action, struct lh_slice encoded,
                                  uint64_t version)
{
    struct lh_buffer name = LH_BUFFER_INIT;
    lh_partition_text(&action->file.partition_values, &name);
    vde_status status = lh_buffer_status(&name);
    if (status == VDE_OK)
        status = keep_object(state, 'x', (struct lh_slice){name.data, name.size},
                             action->kind == LH_ACTION_ADD_PARTITION ? &encoded : NULL, version);
    lh_buffer_done(&name);
    return status;
}

static vde_status apply_action(struct lh_state *state, const struct lh_action *action, struct lh_slice encoded,
                               uint64_t version, uint32_t index)
{
    struct lh_slice none = {NULL, 0};
    switch (action->kind) {
    case LH_ACTION_ADD:
    case LH_ACTION_REMOVE:
        return apply_file(state, action, encoded, version << 32 | index);
    case LH_ACTION_METADATA:
        return keep_object(state, 'm', none, &encoded, version);
    case LH_ACTION_PROTOCOL:
        return keep_object(state, 'p', none, &encoded, version);
    case LH_ACTION_TXN:
        return keep_object(state, 't', action->txn.app_id, &encoded, version);
    case LH_ACTION_DOMAIN:
        return keep_object(state, 'd', action->domain.domain, action->domain.removed ? NULL : &encoded, version);
    case LH_ACTION_ADD_PARTITION:
    case LH_ACTION_REMOVE_PARTITION:
        return apply_partition(state, action, encoded, version);
    case LH_ACTION_CDC:
    case LH_ACTION_COMMIT_INFO:
    case LH_ACTION_UNKNOWN:
    case LH_ACTION_KIND_COUNT:
        break;
    }
    return VDE_OK;
}

vde_status lh_state_apply(struct lh_state *state, uint64_t version, const void *data, size_t size)
{
    struct lh_record record;
    LH_TRY(lh_record_decode(data, size, state->what, &record));
    struct lh_action_walk walk;
    struct lh_action action;
    lh_action_walk_init(&walk, &state->decoder, &record);
    for (;;) {
        vde_status status = lh_action_walk_next(&walk, &action);
        if (status == VDE_NOT_FOUND)
            break;
        if (status != VDE_OK)
            return status;
        LH_TRY(apply_action(state, &action, walk.encoded, version, walk.index));
    }
    state->replayed_actions += record.action_count;
    state->version = version;
    return VDE_OK;
}

static vde_status bad_root(const struct lh_state *state, const char *found)
{
    return lh_fail(VDE_CORRUPT, "state of %s, root %llu|%s|a state record", state->what,
                   (unsigned long long)state->root_tag, found);
}

static vde_status load_totals(struct lh_state *state)
{
    struct vde_bytes bytes = {NULL, 0};
    LH_TRY(vde_kv_get(state->root, "s", 1, &bytes));
    struct lh_reader reader = {bytes.data, bytes.size, 0, false};
    struct lh_totals *t = &state->root_totals;
    t->files = lh_reader_varint(&reader);
    t->bytes = lh_reader_zigzag(&reader);
    t->bytes_unknown = lh_reader_varint(&reader);
    t->records = lh_reader_zigzag(&reader);
    t->records_unknown = lh_reader_varint(&reader);
    bool failed = reader.failed;
    vde_bytes_free(&bytes);
    return failed ? bad_root(state, "totals that end early") : VDE_OK;
}

void lh_totals_encode(const struct lh_totals *totals, struct lh_buffer *out)
{
    lh_buffer_varint(out, totals->files);
    lh_buffer_zigzag(out, totals->bytes);
    lh_buffer_varint(out, totals->bytes_unknown);
    lh_buffer_zigzag(out, totals->records);
    lh_buffer_varint(out, totals->records_unknown);
}

static vde_status load_objects(struct lh_state *state)
{
    vde_cursor *cursor = NULL;
    LH_TRY(vde_cursor_open(state->root, "o", 1, &cursor));
    vde_status status;
    for (;;) {
        const void *key, *value;
        size_t key_size, value_size;
        status = vde_cursor_get(cursor, &key, &key_size, &value, &value_size);
        if (status != VDE_OK || *(const char *)key != 'o')
            break;
        struct lh_reader reader = {value, value_size, 0, false};
        uint64_t version = lh_reader_varint(&reader);
        struct lh_slice name = lh_reader_sized(&reader);
        if (reader.failed) {
            status = bad_root(state, "an object that ends early");
            break;
        }
        struct lh_slice bytes = {(const char *)value + reader.offset, value_size - reader.offset};
        status = keep(state, &state->objects, name, &bytes, version);
        if (status == VDE_OK)
            status = vde_cursor_next(cursor);
        if (status != VDE_OK)
            break;
    }
    vde_cursor_close(cursor);
    return status == VDE_NOT_FOUND ? VDE_OK : status;
}

static vde_status open_root(struct lh_state *state, uint64_t version)
{
    if (state->ids.state == 0)
        return VDE_OK;
    vde_status status = vde_snapshot_find(state->view, state->ids.state, version + 1, &state->root_tag);
    if (status == VDE_NOT_FOUND) {
        state->root_tag = 0;
        return VDE_OK;
    }
    LH_TRY(status);
    LH_TRY(vde_kv_open_snapshot(state->view, state->ids.state, state->root_tag, &state->root));
    LH_TRY(load_totals(state));
    return load_objects(state);
}

static vde_status replay(struct lh_state *state, uint64_t version)
{
    if (state->root_tag == version + 1)
        return VDE_OK;
    vde_stream_cursor *cursor = NULL;
    LH_TRY(vde_stream_open(state->view, state->ids.stream, state->root_tag, &cursor));
    struct vde_entry entry;
    vde_status status = VDE_OK;
    while ((status = vde_stream_next(cursor, &entry)) == VDE_OK && entry.number <= version) {
        status = lh_state_apply(state, entry.number, entry.data, entry.size);
        if (status != VDE_OK)
            break;
        state->replayed_entries++;
        state->time_us = entry.time_us;
        if (entry.number == version)
            break;
    }
    vde_stream_close(cursor);
    return status == VDE_NOT_FOUND ? VDE_OK : status;
}

vde_status lh_state_load(vde_view *view, const struct lh_state_ids *ids, uint64_t version, const char *what,
                         struct lh_state **ret_state)
{
    struct lh_state *state = NULL;
    LH_TRY(lh_state_create(what, &state));
    state->view = view;
    state->ids = *ids;
    vde_status status = open_root(state, version);
    if (status == VDE_OK)
        status = replay(state, version);
    if (status != VDE_OK) {
        lh_state_free(state);
        return status;
    }
    state->version = version;
    *ret_state = state;
    return VDE_OK;
}

struct lh_slice lh_state_object(const struct lh_state *state, char kind, struct lh_slice name, uint64_t *ret_version)
{
    struct lh_slice found = {NULL, 0};
    struct lh_buffer key = LH_BUFFER_INIT;
    lh_buffer_byte(&key, kind);
    lh_buffer_slice(&key, name);
    struct lh_slice full = {key.data, key.size};
    const struct lh_map_item *item = key.failed ? NULL : lh_hash_map_find(&state->objects, full, lh_hash(full));
    if (item && item->live) {
        found = item->value;
        if (ret_version)
            *ret_version = item->number;
    }
    lh_buffer_done(&key);
    return found;
}

static vde_status decode_object(const struct lh_state *state, char kind, enum lh_action_kind want,
                                struct lh_decoder *decoder, struct lh_action *ret_action)
{
    struct lh_slice bytes = lh_state_object(state, kind, (struct lh_slice){NULL, 0}, NULL);
    if (bytes.size == 0)
        return lh_fail(LH_VALIDATION, "%s|no %s action up to version %llu|one", state->what, lh_action_name(want),
                       (unsigned long long)state->version);
    struct lh_reader reader = {(const uint8_t *)bytes.data, bytes.size, 0, false};
    LH_TRY(lh_action_from_bytes(decoder, &reader, ret_action));
    if (ret_action->kind != want)
        return lh_fail(VDE_CORRUPT, "state of %s|%s|%s", state->what, lh_action_name(ret_action->kind),
                       lh_action_name(want));
    return VDE_OK;
}

vde_status lh_state_protocol(const struct lh_state *state, struct lh_decoder *decoder, struct lh_action *ret_action)
{
    return decode_object(state, 'p', LH_ACTION_PROTOCOL, decoder, ret_action);
}

vde_status lh_state_metadata(const struct lh_state *state, struct lh_decoder *decoder, struct lh_action *ret_action)
{
    return decode_object(state, 'm', LH_ACTION_METADATA, decoder, ret_action);
}
