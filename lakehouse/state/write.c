/* SPDX-License-Identifier: Apache-2.0 */
/* write.c -- turn root + tail into the next root.
 *
 * The dataset may hold more than the newest root does, when an earlier writing was cut off. So a key's older records are
 * looked up in the live datasets and deleted whatever the tail says of it; only those that the root held count in totals.
 * While a writing of several transactions is under way, and after it was cut off, the live dataset has no totals ('s'). */
#include <vde/txn.h>

#include <stdio.h>

#include "state/fail.h"
#include "state/state.h"

struct writer {
    vde_image *image;
    struct lh_state *state;
    vde_txn *txn;
    size_t limit;            /* bytes of a transaction to stay below */
    vde_kv *files;           /* live datasets, as of the state's view */
    vde_kv *paths;
    struct lh_totals totals;
    bool counted;            /* totals are already what they will be */
    bool partial;            /* a transaction before the last was committed */
    struct lh_buffer buffer;
    struct lh_buffer key;
    struct lh_buffer index;
};

static vde_status next_txn(struct writer *w, bool last)
{
    if (!last && vde_txn_size(w->txn) < w->limit)
        return VDE_OK;
    struct vde_commit commit;
    /* From here on the index may lack files of the root: without live totals nobody counts by it. */
    if (!last && !w->partial)
        LH_TRY(vde_txn_delete(w->txn, w->state->ids.state, "s", 1));
    w->partial = true;
    LH_TRY(vde_txn_commit(w->txn, &commit));
    vde_txn_destroy(w->txn);
    w->txn = NULL;
    return last ? VDE_OK : vde_txn_create(w->image, &w->txn);
}

/* A file that the index names: gone when the tail names its key and it is not what the tail made live. */
static vde_status judge_older(struct writer *w, uint64_t id, uint64_t hash, bool *ret_stays)
{
    uint8_t name[9] = {'f'};
    lh_be64_put(name + 1, id);
    *ret_stays = false;
    struct vde_bytes bytes = {NULL, 0};
    vde_status status = vde_kv_get(w->files, name, sizeof name, &bytes);
    if (status == VDE_NOT_FOUND)
        return VDE_OK;
    LH_TRY(status);
    struct lh_reader reader = {bytes.data, bytes.size, 8, false};
    int64_t size = lh_reader_zigzag(&reader), records = lh_reader_zigzag(&reader);
    struct lh_action action;
    lh_decoder_reset(&w->state->decoder);
    status = lh_action_from_bytes(&w->state->decoder, &reader, &action);
    if (status == VDE_OK) {
        lh_buffer_clear(&w->key);
        lh_file_key(&action.file, &w->key);
        status = lh_buffer_status(&w->key);
    }
    vde_bytes_free(&bytes);
    LH_TRY(status);
    const struct lh_map_item *item = lh_hash_map_find(&w->state->files, (struct lh_slice){w->key.data, w->key.size}, hash);
    *ret_stays = !item;
    if (!item || (item->live && item->number == id))
        return VDE_OK;
    if (!w->counted && id >> 32 < w->state->root_tag)
        lh_totals_take(&w->totals, size, records);
    return vde_txn_delete(w->txn, w->state->ids.state, name, sizeof name);
}

/* The index record of a hash: what it named and the tail does not, and what the tail made live. */
static vde_status write_index(struct writer *w, uint64_t hash)
{
    uint8_t index_key[8], number[8];
    struct vde_bytes ids = {NULL, 0};
    lh_be64_put(index_key, hash);
    vde_status status = vde_kv_get(w->paths, index_key, sizeof index_key, &ids);
    if (status != VDE_OK && status != VDE_NOT_FOUND)
        return status;
    bool existed = status == VDE_OK, stays;
    status = VDE_OK;
    lh_buffer_clear(&w->index);
    for (size_t i = 0; i + 8 <= ids.size && status == VDE_OK; i += 8) {
        status = judge_older(w, lh_be64_get(ids.data + i), hash, &stays);
        if (status == VDE_OK && stays)
            lh_buffer_add(&w->index, ids.data + i, 8);
    }
    if (existed)
        vde_bytes_free(&ids);
    LH_TRY(status);
    size_t slot = SIZE_MAX;
    const struct lh_map_item *item;
    while ((item = lh_hash_map_same(&w->state->files, hash, &slot)) != NULL) {
        lh_be64_put(number, item->number);
        if (item->live)
            lh_buffer_add(&w->index, number, 8);
    }
    LH_TRY(lh_buffer_status(&w->index));
    if (w->index.size)
        return vde_txn_put(w->txn, w->state->ids.paths, index_key, sizeof index_key, w->index.data, w->index.size);
    return existed ? vde_txn_delete(w->txn, w->state->ids.paths, index_key, sizeof index_key) : VDE_OK;
}

static vde_status write_file(struct writer *w, const struct lh_map_item *item)
{
    size_t slot = SIZE_MAX;
    if (lh_hash_map_same(&w->state->files, item->hash, &slot) == item)
        LH_TRY(write_index(w, item->hash));
    if (!item->live)
        return VDE_OK;
    struct lh_action action;
    struct lh_reader reader = {(const uint8_t *)item->value.data, item->value.size, 0, false};
    lh_decoder_reset(&w->state->decoder);
    LH_TRY(lh_action_from_bytes(&w->state->decoder, &reader, &action));
    lh_buffer_clear(&w->buffer);
    lh_file_value_encode(item->hash, &w->state->decoder, &action, item->value, &w->buffer,
                         w->counted ? NULL : &w->totals);
    LH_TRY(lh_buffer_status(&w->buffer));
    uint8_t name[9] = {'f'};
    lh_be64_put(name + 1, item->number);
    return vde_txn_put(w->txn, w->state->ids.state, name, sizeof name, w->buffer.data, w->buffer.size);
}

static vde_status write_object(struct writer *w, const struct lh_map_item *item)
{
    char key[1 + 708] = {'o'};
    size_t size = item->key.size <= 700 ? item->key.size : 700;
    memcpy(key + 1, item->key.data, size);
    if (size < item->key.size) {
        lh_be64_put((uint8_t *)key + 1 + size, item->hash);
        size += 8;
    }
    if (!item->live)
        return vde_txn_delete(w->txn, w->state->ids.state, key, 1 + size);
    lh_buffer_clear(&w->buffer);
    lh_buffer_varint(&w->buffer, item->number);
    lh_buffer_sized(&w->buffer, item->key);
    lh_buffer_slice(&w->buffer, item->value);
    LH_TRY(lh_buffer_status(&w->buffer));
    return vde_txn_put(w->txn, w->state->ids.state, key, 1 + size, w->buffer.data, w->buffer.size);
}

static vde_status write_all(struct writer *w)
{
    struct lh_state *state = w->state;
    for (size_t i = 0; i < state->files.count; i++) {
        LH_TRY(write_file(w, &state->files.items[i]));
        LH_TRY(next_txn(w, false));
    }
    for (size_t i = 0; i < state->objects.count; i++) {
        if (state->objects.items[i].number < state->root_tag)
            continue;
        LH_TRY(write_object(w, &state->objects.items[i]));
        LH_TRY(next_txn(w, false));
    }
    lh_buffer_clear(&w->buffer);
    lh_totals_encode(&w->totals, &w->buffer);
    LH_TRY(lh_buffer_status(&w->buffer));
    LH_TRY(vde_txn_put(w->txn, state->ids.state, "s", 1, w->buffer.data, w->buffer.size));
    LH_TRY(vde_txn_snapshot_create(w->txn, state->ids.state, state->version + 1));
    return next_txn(w, true);
}

vde_status lh_state_write(vde_image *image, struct lh_state *state)
{
    struct vde_image_info info;
    vde_image_info(image, &info);
    struct writer w = {.image = image, .state = state, .limit = (size_t)(info.record_limit_bytes / 2),
                       .totals = state->root_totals};
    bool fits;
    LH_TRY(lh_state_index_fits(state, &fits));
    if (state->root && !fits) {
        /* What a writing that was cut off deleted can't be found any more: count before. */
        LH_TRY(lh_state_totals(state, &w.totals));
        w.counted = true;
    }
    vde_status status = vde_txn_create(image, &w.txn);
    if (status == VDE_OK)
        status = vde_kv_open(state->view, state->ids.state, &w.files);
    if (status == VDE_OK)
        status = vde_kv_open(state->view, state->ids.paths, &w.paths);
    if (status == VDE_OK)
        status = write_all(&w);
    vde_txn_destroy(w.txn);
    if (w.files)
        vde_kv_close(w.files);
    if (w.paths)
        vde_kv_close(w.paths);
    lh_buffer_done(&w.buffer);
    lh_buffer_done(&w.key);
    lh_buffer_done(&w.index);
    return status;
}
