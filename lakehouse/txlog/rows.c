/* SPDX-License-Identifier: Apache-2.0 */
#include "txlog/rows.h"

#include <stdio.h>
#include <stdlib.h>

#include "model/features.h"
#include "state/fail.h"

#define ROW_IDS (LH_FILE_BASE_ROW_ID | LH_FILE_DEFAULT_ROW_COMMIT_VERSION)

bool lh_rows_tracked(const struct lh_member_txn *member)
{
    const struct lh_meta *meta = member->new_meta ? member->new_meta : member->meta;
    return meta && (meta->rules & LH_ASKS_ROW_IDS) && member->added.count;
}

vde_status lh_rows_highest(const struct lh_state *state, int64_t *ret_highest)
{
    struct lh_slice encoded = lh_state_object(state, 'd', LH_SLICE(LH_ROW_DOMAIN), NULL);
    *ret_highest = -1;
    if (encoded.size == 0)
        return VDE_OK;
    struct lh_decoder decoder = LH_DECODER_INIT;
    struct lh_reader reader = {(const uint8_t *)encoded.data, encoded.size, 0, false};
    struct lh_action action;
    vde_status status = lh_action_from_bytes(&decoder, &reader, &action);
    if (status == VDE_OK) {
        struct lh_slice text = action.domain.configuration;
        /* What can't be read may be any number: no id is certainly fresh. */
        *ret_highest = INT64_MAX;
        status = lh_json_parse(&decoder.json, text.data, text.size);
        if (status == VDE_OK)
            (void)lh_json_int64(&decoder.json, lh_json_find(&decoder.json, 0, "rowIdHighWaterMark"), ret_highest);
        if (status == VDE_INVAL || status == VDE_TOO_LARGE)
            status = VDE_OK;
    }
    lh_decoder_done(&decoder);
    return status;
}

/* --- encoding --------------------------------------------------------------------------------------------------- */
struct encoding {
    struct lh_member_txn *member;
    struct lh_state *state;
    const struct lh_hash_map *removed;
    struct lh_decoder decoder, other;
    struct lh_arena arena;
    struct lh_buffer key;
    int64_t highest;
};

/* The active file that an add is about: one that this commit removes, or adds again as it is. */
static vde_status find_active(struct encoding *e, const struct lh_file_action *file, struct lh_file_action *ret_active)
{
    *ret_active = (struct lh_file_action){.base_row_id = 0};
    if (!e->state)
        return VDE_OK;
    struct lh_active_file active = {0, {NULL, 0}};
    const struct lh_map_item *item = lh_hash_map_find(e->removed, file->path, lh_hash(file->path));
    if (item) {
        active.encoded = item->value;
    } else {
        lh_buffer_clear(&e->key);
        lh_file_key(file, &e->key);
        LH_TRY(lh_buffer_status(&e->key));
        vde_status status = lh_state_find_file(e->state, (struct lh_slice){e->key.data, e->key.size}, &e->arena, &active);
        if (status == LH_FILE_NOT_FOUND)
            return VDE_OK;
        LH_TRY(status);
    }
    struct lh_action action;
    struct lh_reader reader = {(const uint8_t *)active.encoded.data, active.encoded.size, 0, false};
    lh_decoder_reset(&e->other);
    LH_TRY(lh_action_from_bytes(&e->other, &reader, &action));
    *ret_active = action.file;
    return VDE_OK;
}

static vde_status note_hole(struct lh_member_txn *m, struct lh_row_hole hole)
{
    if (m->hole_count == m->hole_capacity) {
        size_t capacity = m->hole_capacity ? m->hole_capacity * 2 : 8;
        struct lh_row_hole *holes = realloc(m->holes, capacity * sizeof *holes);
        if (!holes)
            return lh_fail_nomem("transaction");
        m->holes = holes;
        m->hole_capacity = capacity;
    }
    m->holes[m->hole_count++] = hole;
    return VDE_OK;
}

static vde_status encode_add(struct encoding *e, struct lh_action *add)
{
    struct lh_member_txn *m = e->member;
    struct lh_file_action *file = &add->file, active;
    int64_t rows;
    if (!lh_file_num_records(&e->other, file, &rows) || (file->part.raw & ROW_IDS))
        return lh_fail(LH_VALIDATION, "add to table %s|no numRecords, or row ids in an unusual spelling|both, as the table "
                       "tracks rows", m->name.data);
    LH_TRY(find_active(e, file, &active));
    bool given = lh_has(&file->part, LH_FILE_BASE_ROW_ID) && file->base_row_id >= 0 && rows > 0 &&
                 file->base_row_id <= e->highest && rows - 1 <= e->highest - file->base_row_id;
    const struct lh_file_action *known = lh_has(&active.part, LH_FILE_BASE_ROW_ID) ? &active : given ? file : NULL;
    bool versioned = known && lh_has(&known->part, LH_FILE_DEFAULT_ROW_COMMIT_VERSION);
    struct lh_row_hole hole = {.base = known ? known->base_row_id : -1, .skip = m->fresh_rows};
    if (versioned)
        file->default_row_commit_version = known->default_row_commit_version;
    file->base_row_id = hole.base;
    file->part.set |= ROW_IDS;
    file->part.null &= ~(uint32_t)ROW_IDS;
    if (versioned) {
        lh_action_to_bytes(add, &m->tracked);
        return lh_buffer_status(&m->tracked);
    }
    if (!known && __builtin_add_overflow(m->fresh_rows, rows, &m->fresh_rows))
        return lh_fail(LH_VALIDATION, "commit to table %s|more rows than there are ids|fewer", m->name.data);
    hole.at = lh_add_to_bytes_open(add, &m->tracked);
    LH_TRY(lh_buffer_status(&m->tracked));
    return note_hole(m, hole);
}

static vde_status encode_all(struct encoding *e)
{
    struct lh_member_txn *m = e->member;
    struct lh_record record = {.action_count = m->action_count, .actions = {m->actions.data, m->actions.size}};
    struct lh_action_walk walk;
    struct lh_action action;
    vde_status status;
    lh_action_walk_init(&walk, &e->decoder, &record);
    while ((status = lh_action_walk_next(&walk, &action)) == VDE_OK) {
        if (action.kind == LH_ACTION_ADD)
            LH_TRY(encode_add(e, &action));
        else
            lh_buffer_slice(&m->tracked, walk.encoded);
    }
    return status == VDE_NOT_FOUND ? lh_buffer_status(&m->tracked) : status;
}

vde_status lh_rows_encode(struct lh_member_txn *member, struct lh_state *state, const struct lh_hash_map *removed)
{
    struct encoding e = {.member = member, .state = state, .removed = removed, .highest = -1};
    lh_buffer_clear(&member->tracked);
    member->hole_count = 0;
    member->fresh_rows = 0;
    vde_status status = state ? lh_rows_highest(state, &e.highest) : VDE_OK;
    if (status == VDE_OK)
        status = encode_all(&e);
    lh_decoder_done(&e.decoder);
    lh_decoder_done(&e.other);
    lh_arena_done(&e.arena);
    lh_buffer_done(&e.key);
    return status;
}

/* --- with the lock held ----------------------------------------------------------------------------------------- */
static void put_highest(int64_t highest, struct lh_buffer *out)
{
    char text[64];
    int size = snprintf(text, sizeof text, "{\"rowIdHighWaterMark\":%lld}", (long long)highest);
    struct lh_action action = {.kind = LH_ACTION_DOMAIN};
    action.domain.part.set = LH_DOMAIN_NAME | LH_DOMAIN_CONFIGURATION | LH_DOMAIN_REMOVED;
    action.domain.domain = LH_SLICE(LH_ROW_DOMAIN);
    action.domain.configuration = (struct lh_slice){text, (size_t)size};
    lh_action_to_bytes(&action, out);
}

vde_status lh_rows_fill(struct lh_member_txn *member, struct lh_buffer *out, uint64_t *ret_actions)
{
    int64_t before = member->head->row_highest;
    size_t copied = 0;
    if (__builtin_add_overflow(before, member->fresh_rows, &member->row_highest))
        return lh_fail(LH_VALIDATION, "commit to table %s|the row ids are used up|fewer rows", member->name.data);
    for (size_t i = 0; i < member->hole_count; i++) {
        const struct lh_row_hole *hole = &member->holes[i];
        lh_buffer_add(out, member->tracked.data + copied, hole->at - copied);
        lh_buffer_zigzag(out, hole->base >= 0 ? hole->base : before + 1 + hole->skip);
        lh_buffer_zigzag(out, (int64_t)member->version);
        copied = hole->at;
    }
    lh_buffer_add(out, member->tracked.data + copied, member->tracked.size - copied);
    *ret_actions = member->action_count;
    if (member->fresh_rows) {
        put_highest(member->row_highest, out);
        ++*ret_actions;
    }
    return lh_buffer_status(out);
}
