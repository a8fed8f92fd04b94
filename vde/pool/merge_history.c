/* SPDX-License-Identifier: Apache-2.0 */
/* merge_history.c -- new stream entries, packed into batches, and streams that were dropped. */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "pool/batch.h"
#include "pool/merge.h"
#include "tree/spill.h"

#define PURGE_KEYS 4096u /* records of dropped streams freed by one checkpoint */

struct packer {
    struct merge *merge;
    struct changes *changes;
    struct overlay_entry entries[BATCH_COUNT_MAX];
    uint32_t count;
    size_t bytes;
};

static vde_status emit(struct packer *packer)
{
    if (packer->count == 0)
        return VDE_OK;
    uint8_t value[BATCH_VALUE_MAX];
    size_t size;
    enum value_kind kind;
    VDE_TRY(batch_pack(&packer->merge->writer, packer->entries, packer->count, value, &size, &kind));
    const struct overlay_entry *first = &packer->entries[0];
    packer->count = 0;
    packer->bytes = 0;
    return changes_add(packer->changes, first->key, first->key_size, kind, value, size, true);
}

static bool continues(const struct packer *packer, const struct overlay_entry *entry)
{
    const struct overlay_entry *first = &packer->entries[0];
    return packer->count < BATCH_COUNT_MAX && packer->bytes + entry->value_size <= BATCH_RAW_MAX &&
           memcmp(first->key, entry->key, 8) == 0 &&
           be64_get(entry->key + 8) == be64_get(first->key + 8) + packer->count;
}

static vde_status pack(struct packer *packer, const struct changes *raw)
{
    for (size_t i = 0; i < raw->count; i++) {
        const struct tree_op *op = &raw->ops[i];
        if (op->kind != VALUE_INLINE) { /* the bytes of a big entry */
            VDE_TRY(emit(packer));
            VDE_TRY(changes_add(packer->changes, op->key, op->key_size, op->kind, op->value, op->value_size, true));
            continue;
        }
        struct overlay_entry entry;
        if (!overlay_get(packer->merge->overlay, DATASET_HISTORY, op->key, op->key_size, packer->merge->through,
                         &entry))
            return fail_corrupt("history|an entry that vanished|the entry");
        if (packer->count > 0 && !continues(packer, &entry))
            VDE_TRY(emit(packer));
        packer->entries[packer->count++] = entry;
        packer->bytes += entry.value_size;
    }
    return emit(packer);
}

/* Delete up to PURGE_KEYS records of a stream that lie in the tree. */
static vde_status purge_range(struct merge *merge, const struct dataset_record *record, uint64_t stream,
                              struct changes *changes, size_t *left)
{
    struct tree_cursor *cursor;
    uint8_t key[16];
    VDE_TRY(tree_cursor_open(&merge->image->store, DATASET_HISTORY, &record->root, &cursor));
    vde_status status = tree_cursor_seek(cursor, key, key_stream(key, stream, 0));
    while (status == VDE_OK && *left > 0 && tree_cursor_valid(cursor)) {
        const void *found;
        size_t size;
        struct tree_value value;
        tree_cursor_record(cursor, &found, &size, &value);
        if (size != 16 || be64_get(found) != stream)
            break;
        status = changes_add(changes, found, size, VALUE_DELETE, NULL, 0, true);
        (*left)--;
        if (status == VDE_OK)
            status = tree_cursor_next(cursor);
    }
    tree_cursor_close(cursor);
    return status;
}

/* Streams waiting to be freed: their tree records go; when none is left, so does the zombie mark. */
static vde_status purge(struct merge *merge, const struct dataset_record *record, struct changes *changes)
{
    struct map_cursor *cursor;
    uint8_t from[CATALOG_KEY_MAX];
    size_t left = PURGE_KEYS;
    VDE_TRY(map_cursor_open(&merge->catalog, from, key_zombie(from, 's', 0), &cursor));
    vde_status status = VDE_OK;
    while (status == VDE_OK && left > 0 && map_cursor_valid(cursor)) {
        const uint8_t *key;
        size_t size;
        struct map_value value;
        map_cursor_record(cursor, &key, &size, &value);
        if (size != 10 || key[0] != CATALOG_KEY_ZOMBIE || key[1] != 's')
            break;
        uint64_t stream = be64_get(key + 2);
        status = purge_range(merge, record, stream, changes, &left);
        if (status == VDE_OK)
            status = purge_range(merge, record, stream | STREAM_BIG_BIT, changes, &left);
        if (status == VDE_OK && left > 0)
            status = changes_add(&merge->catalog_changes, key, size, VALUE_DELETE, NULL, 0, true);
        if (status == VDE_OK)
            status = map_cursor_next(cursor);
    }
    map_cursor_close(cursor);
    return status;
}

/* Entries appended to a stream that is gone at the cut never reach the tree. */
static vde_status leave_out_dropped(struct merge *merge, struct changes *raw)
{
    uint64_t stream = 0;
    bool gone = false;
    size_t kept = 0;
    for (size_t i = 0; i < raw->count; i++) {
        uint64_t id = be64_get(raw->ops[i].key);
        if (i == 0 || id != stream) {
            vde_status status;
            stream = id;
            gone = merge_is_zombie(merge, 's', id & ~STREAM_BIG_BIT, &status);
            VDE_TRY(status);
        }
        if (!gone) {
            raw->ops[kept++] = raw->ops[i];
            continue;
        }
        if (raw->ops[i].kind == VALUE_SPILLED)
            for (unsigned n = 0; n < spill_count(raw->ops[i].value); n++) {
                struct ptr p = spill_extent(raw->ops[i].value, n);
                merge->stored -= p.blocks; /* counted when it was collected */
                VDE_TRY(runs_add(&merge->freed, p.address, p.blocks));
            }
    }
    raw->count = kept;
    return VDE_OK;
}

vde_status merge_history(struct merge *merge, struct dataset_record *record)
{
    struct changes raw = {0}, changes = {0};
    struct packer *packer = calloc(1, sizeof *packer);
    if (!packer)
        return fail_nomem("history");
    packer->merge = merge;
    packer->changes = &changes;
    merge->class = SPACE_HISTORY;
    merge->newest_snapshot = merge->newest_image;
    vde_status status = merge_collect(merge, DATASET_HISTORY, merge->after, merge->through, &raw);
    if (status == VDE_OK)
        status = leave_out_dropped(merge, &raw);
    if (status == VDE_OK)
        status = pack(packer, &raw);
    if (status == VDE_OK)
        status = purge(merge, record, &changes);
    if (status == VDE_OK && changes.count > 0) {
        uint64_t nodes = record->root.nodes;
        changes_sort(&changes);
        status = tree_apply(&merge->writer, DATASET_HISTORY, &record->root, changes.ops, changes.count);
        merge->nodes += (int64_t)record->root.nodes - (int64_t)nodes;
    }
    merge->class = SPACE_DATA;
    changes_done(&raw);
    changes_done(&changes);
    free(packer);
    return status;
}
