/* SPDX-License-Identifier: Apache-2.0 */
/* files.c -- the active files of a state: one by one, by key, and summed up. */
#include <stdlib.h>

#include "state/fail.h"
#include "state/state.h"

static void totals_add(struct lh_totals *totals, int64_t bytes, int64_t records)
{
    totals->files++;
    if (bytes == INT64_MIN || __builtin_add_overflow(totals->bytes, bytes, &totals->bytes))
        totals->bytes_unknown++;
    if (records == INT64_MIN || __builtin_add_overflow(totals->records, records, &totals->records))
        totals->records_unknown++;
}

void lh_file_value_encode(uint64_t hash, struct lh_decoder *decoder, const struct lh_action *add, struct lh_slice encoded,
                          struct lh_buffer *out, struct lh_totals *totals)
{
    uint8_t head[8];
    int64_t bytes = lh_has(&add->file.part, LH_FILE_SIZE) ? add->file.size_bytes : INT64_MIN;
    int64_t records = INT64_MIN;
    if (!lh_file_num_records(decoder, &add->file, &records))
        records = INT64_MIN;
    lh_le64_put(head, hash);
    lh_buffer_add(out, head, sizeof head);
    lh_buffer_zigzag(out, bytes);
    lh_buffer_zigzag(out, records);
    lh_buffer_slice(out, encoded);
    if (totals)
        totals_add(totals, bytes, records);
}

/* The parts of an 'f' value. */
struct file_value {
    uint64_t hash;
    int64_t bytes;
    int64_t records;
    struct lh_slice encoded;
};

static vde_status file_value_decode(const struct lh_state *state, const void *value, size_t size, struct file_value *ret)
{
    if (size < 8)
        return lh_fail(VDE_CORRUPT, "state of %s|a file record of %zu bytes|more", state->what, size);
    struct lh_reader reader = {value, size, 8, false};
    ret->hash = lh_le64_get(value);
    ret->bytes = lh_reader_zigzag(&reader);
    ret->records = lh_reader_zigzag(&reader);
    if (reader.failed)
        return lh_fail(VDE_CORRUPT, "state of %s|a file record that ends early|a whole one", state->what);
    ret->encoded = (struct lh_slice){(const char *)value + reader.offset, size - reader.offset};
    return VDE_OK;
}

void lh_totals_take(struct lh_totals *totals, int64_t bytes, int64_t records)
{
    totals->files--;
    if (bytes == INT64_MIN)
        totals->bytes_unknown--;
    else /* wraps as the sum did */
        (void)__builtin_sub_overflow(totals->bytes, bytes, &totals->bytes);
    if (records == INT64_MIN)
        totals->records_unknown--;
    else
        (void)__builtin_sub_overflow(totals->records, records, &totals->records);
}

/* A file that the tail made live. */
static vde_status totals_add_item(struct lh_state *state, const struct lh_map_item *item, struct lh_totals *totals)
{
    struct lh_action action;
    struct lh_reader reader = {(const uint8_t *)item->value.data, item->value.size, 0, false};
    lh_decoder_reset(&state->decoder);
    LH_TRY(lh_action_from_bytes(&state->decoder, &reader, &action));
    int64_t records = INT64_MIN;
    if (!lh_file_num_records(&state->decoder, &action.file, &records))
        records = INT64_MIN;
    totals_add(totals, lh_has(&action.file.part, LH_FILE_SIZE) ? action.file.size_bytes : INT64_MIN, records);
    return VDE_OK;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = (*(struct lh_map_item *const *)a)->number, y = (*(struct lh_map_item *const *)b)->number;
    return (x > y) - (x < y);
}

vde_status lh_file_cursor_open(struct lh_state *state, struct lh_file_cursor *ret_cursor)
{
    struct lh_file_cursor c = {.state = state, .ended = state->root == NULL};
    c.added = malloc((state->files.count + 1) * sizeof *c.added);
    if (!c.added)
        return lh_fail_nomem("file cursor");
    for (size_t i = 0; i < state->files.count; i++)
        if (state->files.items[i].live)
            c.added[c.added_count++] = &state->files.items[i];
    qsort(c.added, c.added_count, sizeof *c.added, by_number);
    if (state->root) {
        vde_status status = vde_cursor_open(state->root, "f", 1, &c.cursor);
        if (status != VDE_OK) {
            free(c.added);
            return status;
        }
    }
    *ret_cursor = c;
    return VDE_OK;
}

void lh_file_cursor_close(struct lh_file_cursor *cursor)
{
    if (cursor->cursor)
        vde_cursor_close(cursor->cursor);
    free(cursor->added);
    lh_buffer_done(&cursor->value);
    lh_buffer_done(&cursor->key);
    *cursor = (struct lh_file_cursor){.ended = true};
}

/* Whether the tail names the key of this root file. */
static vde_status shadowed(struct lh_file_cursor *c, const struct file_value *value, bool *ret_shadowed)
{
    struct lh_state *state = c->state;
    *ret_shadowed = false;
    if (state->files.count == 0)
        return VDE_OK;
    /* Decoding is only worth it when the hash says so. */
    size_t slot = SIZE_MAX;
    if (!lh_hash_map_same(&state->files, value->hash, &slot))
        return VDE_OK;
    struct lh_action action;
    struct lh_reader reader = {(const uint8_t *)value->encoded.data, value->encoded.size, 0, false};
    lh_decoder_reset(&state->decoder);
    LH_TRY(lh_action_from_bytes(&state->decoder, &reader, &action));
    lh_buffer_clear(&c->key);
    lh_file_key(&action.file, &c->key);
    LH_TRY(lh_buffer_status(&c->key));
    *ret_shadowed = lh_hash_map_find(&state->files, (struct lh_slice){c->key.data, c->key.size}, value->hash) != NULL;
    return VDE_OK;
}

static vde_status next_of_root(struct lh_file_cursor *c, struct lh_active_file *ret_file, struct lh_totals *totals)
{
    for (;;) {
        if (c->moved)
            LH_TRY(vde_cursor_next(c->cursor));
        c->moved = true;
        const void *key, *value;
        size_t key_size, value_size;
        LH_TRY(vde_cursor_get(c->cursor, &key, &key_size, &value, &value_size));
        if (*(const char *)key != 'f')
            return VDE_NOT_FOUND;
        if (key_size != 9)
            return lh_fail(VDE_CORRUPT, "state of %s|a file key of %zu bytes|9", c->state->what, key_size);
        struct file_value file;
        LH_TRY(file_value_decode(c->state, value, value_size, &file));
        bool skip;
        LH_TRY(shadowed(c, &file, &skip));
        if (skip)
            continue;
        if (totals)
            totals_add(totals, file.bytes, file.records);
        *ret_file = (struct lh_active_file){lh_be64_get((const uint8_t *)key + 1), file.encoded};
        return VDE_OK;
    }
}

vde_status lh_file_cursor_next(struct lh_file_cursor *cursor, struct lh_active_file *ret_file,
                               struct lh_totals *ret_totals)
{
    if (!cursor->ended) {
        vde_status status = next_of_root(cursor, ret_file, ret_totals);
        if (status != VDE_NOT_FOUND)
            return status;
        cursor->ended = true;
    }
    if (cursor->added_next == cursor->added_count)
        return VDE_NOT_FOUND;
    const struct lh_map_item *item = cursor->added[cursor->added_next++];
    *ret_file = (struct lh_active_file){item->number, item->value};
    return ret_totals ? totals_add_item(cursor->state, item, ret_totals) : VDE_OK;
}

/* The root's file with this id if its key is `key`. `ret_value` (may be NULL) gets its sizes, `ret_file` (may be NULL) what
 * it is, copied into the arena. */
static vde_status root_file(struct lh_state *state, uint64_t id, struct lh_slice key, struct file_value *ret_value,
                            struct lh_arena *arena, struct lh_active_file *ret_file)
{
    uint8_t name[9] = {'f'};
    lh_be64_put(name + 1, id);
    struct vde_bytes bytes = {NULL, 0};
    LH_TRY(vde_kv_get(state->root, name, sizeof name, &bytes));
    struct file_value file;
    struct lh_action action;
    struct lh_buffer other = LH_BUFFER_INIT;
    vde_status status = file_value_decode(state, bytes.data, bytes.size, &file);
    if (status == VDE_OK) {
        struct lh_reader reader = {(const uint8_t *)file.encoded.data, file.encoded.size, 0, false};
        lh_decoder_reset(&state->decoder);
        status = lh_action_from_bytes(&state->decoder, &reader, &action);
    }
    if (status == VDE_OK) {
        lh_file_key(&action.file, &other);
        status = lh_buffer_status(&other);
    }
    if (status == VDE_OK && !lh_slice_equal((struct lh_slice){other.data, other.size}, key))
        status = VDE_NOT_FOUND;
    if (status == VDE_OK && ret_file) {
        ret_file->id = id;
        status = lh_arena_copy(arena, file.encoded, &ret_file->encoded);
    }
    if (status == VDE_OK && ret_value)
        *ret_value = (struct file_value){.hash = file.hash, .bytes = file.bytes, .records = file.records};
    lh_buffer_done(&other);
    vde_bytes_free(&bytes);
    return status;
}

/* The root's file with this key, by the path index. VDE_NOT_FOUND. */
static vde_status indexed_file(struct lh_state *state, vde_kv *paths, struct lh_slice key, uint64_t hash,
                               struct file_value *ret_value, struct lh_arena *arena, struct lh_active_file *ret_file)
{
    uint8_t index_key[8];
    struct vde_bytes ids = {NULL, 0};
    lh_be64_put(index_key, hash);
    LH_TRY(vde_kv_get(paths, index_key, sizeof index_key, &ids));
    vde_status status = VDE_NOT_FOUND;
    for (size_t i = 0; i + 8 <= ids.size && status == VDE_NOT_FOUND; i += 8)
        status = root_file(state, lh_be64_get(ids.data + i), key, ret_value, arena, ret_file);
    vde_bytes_free(&ids);
    return status;
}

vde_status lh_state_find_file(struct lh_state *state, struct lh_slice key, struct lh_arena *arena,
                              struct lh_active_file *ret_file)
{
    uint64_t hash = lh_hash(key);
    const struct lh_map_item *item = lh_hash_map_find(&state->files, key, hash);
    if (item && !item->live)
        return LH_FILE_NOT_FOUND;
    if (item) {
        ret_file->id = item->number;
        return lh_arena_copy(arena, item->value, &ret_file->encoded);
    }
    if (!state->root)
        return LH_FILE_NOT_FOUND;
    vde_kv *paths = NULL;
    LH_TRY(vde_kv_open(state->view, state->ids.paths, &paths));
    vde_status status = indexed_file(state, paths, key, hash, NULL, arena, ret_file);
    vde_kv_close(paths);
    return status == VDE_NOT_FOUND ? LH_FILE_NOT_FOUND : status;
}

/* --- totals ----------------------------------------------------------------------------------------------------- */
vde_status lh_state_index_fits(const struct lh_state *state, bool *ret_fits)
{
    uint64_t newest = 0;
    vde_kv *live = NULL;
    struct vde_bytes totals = {NULL, 0};
    *ret_fits = false;
    if (!state->root)
        return VDE_OK;
    LH_TRY(vde_snapshot_find(state->view, state->ids.state, UINT64_MAX, &newest));
    if (newest != state->root_tag)
        return VDE_OK;
    LH_TRY(vde_kv_open(state->view, state->ids.state, &live));
    vde_status status = vde_kv_get(live, "s", 1, &totals);
    vde_kv_close(live);
    if (status == VDE_NOT_FOUND)
        return VDE_OK;
    LH_TRY(status);
    vde_bytes_free(&totals);
    *ret_fits = true;
    return VDE_OK;
}

static vde_status totals_by_listing(struct lh_state *state, struct lh_totals *totals)
{
    struct lh_file_cursor cursor;
    struct lh_active_file file;
    LH_TRY(lh_file_cursor_open(state, &cursor));
    vde_status status;
    while ((status = lh_file_cursor_next(&cursor, &file, totals)) == VDE_OK)
        ;
    lh_file_cursor_close(&cursor);
    return status == VDE_NOT_FOUND ? VDE_OK : status;
}

/* The root's totals without the files whose keys the tail names. */
static vde_status totals_kept(struct lh_state *state, struct lh_totals *totals)
{
    vde_kv *paths = NULL;
    LH_TRY(vde_kv_open(state->view, state->ids.paths, &paths));
    vde_status status = VDE_OK;
    for (size_t i = 0; i < state->files.count && status == VDE_OK; i++) {
        const struct lh_map_item *item = &state->files.items[i];
        struct file_value old;
        status = indexed_file(state, paths, item->key, item->hash, &old, NULL, NULL);
        if (status == VDE_OK)
            lh_totals_take(totals, old.bytes, old.records);
        else if (status == VDE_NOT_FOUND)
            status = VDE_OK;
    }
    vde_kv_close(paths);
    return status;
}

vde_status lh_state_totals(struct lh_state *state, struct lh_totals *ret_totals)
{
    struct lh_totals totals = state->root_totals;
    bool fits = true;
    if (state->root && state->files.count) {
        LH_TRY(lh_state_index_fits(state, &fits));
        if (fits)
            LH_TRY(totals_kept(state, &totals));
    }
    if (fits) {
        for (size_t i = 0; i < state->files.count; i++)
            if (state->files.items[i].live)
                LH_TRY(totals_add_item(state, &state->files.items[i], &totals));
    } else {
        totals = (struct lh_totals){0};
        LH_TRY(totals_by_listing(state, &totals));
    }
    *ret_totals = totals;
    return VDE_OK;
}
