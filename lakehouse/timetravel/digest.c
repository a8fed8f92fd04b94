/* SPDX-License-Identifier: Apache-2.0 */
/* digest.c -- one number for all that a table is at a version, however its state is laid out. Each file and each object is
 * hashed for itself and the hashes are added up, so that their order does not count and nothing is held. */
#include <stdio.h>

#include <xxhash.h>

#include "state/fail.h"
#include "timetravel/point.h"

struct sum {
    uint64_t low, high, count;
    struct lh_buffer bytes;
    struct lh_decoder decoder;
};

/* Ids and times that are made up when a table or a snapshot is: the same history has others elsewhere. */
static void forget_made_up(struct lh_action *action)
{
    action->iceberg.part.set &= ~(LH_ICE_TABLE_UUID | LH_ICE_SNAPSHOT_ID | LH_ICE_PARENT_SNAPSHOT_ID);
    if (action->kind == LH_ACTION_METADATA)
        action->metadata.part.set &= ~(LH_META_ID | LH_META_CREATED_TIME);
}

static vde_status add(struct sum *sum, char kind, struct lh_slice encoded)
{
    struct lh_action action;
    struct lh_reader reader = {(const uint8_t *)encoded.data, encoded.size, 0, false};
    lh_decoder_reset(&sum->decoder);
    LH_TRY(lh_action_from_bytes(&sum->decoder, &reader, &action));
    forget_made_up(&action);
    lh_buffer_clear(&sum->bytes);
    lh_buffer_byte(&sum->bytes, kind);
    lh_action_to_bytes(&action, &sum->bytes);
    LH_TRY(lh_buffer_status(&sum->bytes));
    XXH128_hash_t hash = XXH3_128bits(sum->bytes.data, sum->bytes.size);
    sum->low += hash.low64;
    sum->high += hash.high64 + (sum->low < hash.low64);
    sum->count++;
    return VDE_OK;
}

static vde_status add_files(struct sum *sum, struct lh_state *state)
{
    struct lh_file_cursor cursor;
    struct lh_active_file file;
    LH_TRY(lh_file_cursor_open(state, &cursor));
    vde_status status;
    while ((status = lh_file_cursor_next(&cursor, &file, NULL)) == VDE_OK) {
        status = add(sum, 'f', file.encoded);
        if (status != VDE_OK)
            break;
    }
    lh_file_cursor_close(&cursor);
    return status == VDE_NOT_FOUND ? VDE_OK : status;
}

static vde_status add_objects(struct sum *sum, const struct lh_state *state)
{
    for (size_t i = 0; i < state->objects.count; i++) {
        const struct lh_map_item *item = &state->objects.items[i];
        if (item->live && item->key.size)
            LH_TRY(add(sum, item->key.data[0], item->value));
    }
    return VDE_OK;
}

vde_status lh_state_digest(lh_lakehouse *lakehouse, const char *table, char digest[LH_DIGEST_TEXT])
{
    struct lh_point point;
    struct lh_state *state = NULL;
    struct sum sum = {.bytes = LH_BUFFER_INIT, .decoder = LH_DECODER_INIT};
    if (!lakehouse || !table || !digest)
        return vde_error_set(VDE_INVAL, "lh_state_digest", "a NULL argument", "none");
    LH_TRY(lh_point_open(lakehouse, table, &point));
    vde_status status = lh_point_state(&point, &state);
    if (status == VDE_OK)
        status = add_objects(&sum, state);
    if (status == VDE_OK)
        status = add_files(&sum, state);
    if (status == VDE_OK) {
        uint8_t bytes[24];
        lh_be64_put(bytes, sum.high);
        lh_be64_put(bytes + 8, sum.low);
        lh_be64_put(bytes + 16, sum.count);
        XXH128_hash_t all = XXH3_128bits(bytes, sizeof bytes);
        snprintf(digest, LH_DIGEST_TEXT, "%016llx%016llx", (unsigned long long)all.high64, (unsigned long long)all.low64);
    }
    lh_state_free(state);
    lh_decoder_done(&sum.decoder);
    lh_buffer_done(&sum.bytes);
    lh_point_close(&point);
    return status;
}
