/* SPDX-License-Identifier: Apache-2.0 */
/* merge.c -- the whole of one merge: a stage for every image snapshot taken since the last checkpoint, so that each gets
 * the catalog of exactly its LSN, one for the rest, and then whatever can be freed. */
#include "pool/merge.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"

struct ids {
    uint64_t *items;
    size_t count, capacity;
};

static vde_status ids_add(struct ids *ids, uint64_t id)
{
    if (ids->count > 0 && ids->items[ids->count - 1] == id)
        return VDE_OK;
    if (ids->count == ids->capacity) {
        size_t capacity = ids->capacity ? ids->capacity * 2 : 64;
        uint64_t *items = realloc(ids->items, capacity * sizeof *items);
        if (!items)
            return fail_nomem("checkpoint");
        ids->items = items;
        ids->capacity = capacity;
    }
    ids->items[ids->count++] = id;
    return VDE_OK;
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void ids_unique(struct ids *ids)
{
    size_t kept = 0;
    if (ids->count > 0)
        qsort(ids->items, ids->count, sizeof *ids->items, compare_ids);
    for (size_t i = 0; i < ids->count; i++)
        if (kept == 0 || ids->items[kept - 1] != ids->items[i])
            ids->items[kept++] = ids->items[i];
    ids->count = kept;
}

/* Datasets that catalog changes of this stage name. */
static vde_status named_datasets(const struct merge *merge, struct ids *datasets)
{
    for (size_t i = 0; i < merge->catalog_changes.count; i++) {
        const struct tree_op *op = &merge->catalog_changes.ops[i];
        const uint8_t *key = op->key;
        bool names_dataset = (key[0] == CATALOG_KEY_SNAPSHOT && op->key_size == 17) ||
                             (key[0] == CATALOG_KEY_ROLLBACK && op->key_size == 9) ||
                             (key[0] == CATALOG_KEY_DATASET && op->key_size == 9);
        if (names_dataset && be64_get(key + 1) != DATASET_CATALOG)
            VDE_TRY(ids_add(datasets, be64_get(key + 1)));
        if (key[0] == CATALOG_KEY_ZOMBIE && op->key_size == 10 && key[1] == 's')
            VDE_TRY(ids_add(datasets, DATASET_HISTORY));
    }
    return VDE_OK;
}

static vde_status changed_datasets(const struct merge *merge, struct ids *datasets)
{
    struct overlay_iterator iterator;
    struct overlay_entry entry;
    overlay_seek(&iterator, merge->overlay, merge->through, DATASET_CATALOG + 1, NULL, 0);
    while (overlay_valid(&iterator)) {
        overlay_entry(&iterator, &entry);
        VDE_TRY(ids_add(datasets, entry.dataset));
        overlay_seek(&iterator, merge->overlay, merge->through, entry.dataset + 1, NULL, 0);
    }
    return VDE_OK;
}

/* Streams left over by earlier checkpoints keep the history busy until they are gone. */
static vde_status pending_purges(const struct merge *merge, struct ids *datasets)
{
    struct tree_cursor *cursor;
    uint8_t from[CATALOG_KEY_MAX];
    VDE_TRY(tree_cursor_open(&merge->image->store, DATASET_CATALOG, &merge->catalog.root, &cursor));
    vde_status status = tree_cursor_seek(cursor, from, key_zombie(from, 's', 0));
    if (status == VDE_OK && tree_cursor_valid(cursor)) {
        const void *key;
        size_t size;
        struct tree_value value;
        tree_cursor_record(cursor, &key, &size, &value);
        if (size == 10 && memcmp(key, from, 2) == 0)
            status = ids_add(datasets, DATASET_HISTORY);
    }
    tree_cursor_close(cursor);
    return status;
}

static vde_status merge_one(struct merge *merge, uint64_t dataset)
{
    vde_status status;
    struct dataset_record record;
    if (merge_is_zombie(merge, 'd', dataset, &status))
        return merge_void(merge, dataset);
    VDE_TRY(status);
    status = map_dataset_record(&merge->catalog, dataset, &record);
    if (status == VDE_NOT_FOUND) /* changes of a dataset that is gone */
        return merge_void(merge, dataset);
    VDE_TRY(status);
    if (record.created_lsn > merge->after) /* a clone brings nodes along */
        merge->nodes += (int64_t)record.root.nodes;
    merge->stored = 0;
    merge->origin_lsn = record.origin_lsn;
    status = dataset == DATASET_HISTORY ? merge_history(merge, &record) : merge_dataset(merge, &record);
    merge->origin_lsn = 0;
    VDE_TRY(status);
    record.stored_blocks = (uint64_t)((int64_t)record.stored_blocks + merge->stored);
    VDE_TRY(merge_dead(merge, dataset, &record.dead, &record.dead_blocks));
    return merge_record_put(merge, &record);
}

static vde_status stage(struct merge *merge, uint64_t through)
{
    struct ids datasets = {0};
    merge->through = merge->catalog.lsn = through;
    /* What is made after an image snapshot's own stage is none of its, even when no record lies in between. */
    merge->writer.birth = max_u64(through, merge->newest_image + 1);
    merge->catalog.after = merge->after;
    vde_status status = merge_catalog_collect(merge);
    if (status == VDE_OK)
        status = named_datasets(merge, &datasets);
    if (status == VDE_OK)
        status = changed_datasets(merge, &datasets);
    if (status == VDE_OK)
        status = pending_purges(merge, &datasets);
    ids_unique(&datasets);
    for (size_t i = 0; i < datasets.count && status == VDE_OK; i++)
        status = merge_one(merge, datasets.items[i]);
    free(datasets.items);
    VDE_TRY(status);
    VDE_TRY(merge_catalog_apply(merge));
    merge->after = merge->catalog.after = through;
    return VDE_OK;
}

/* The oldest image snapshot of the frozen overlay newer than the last stage that still exists at the cut. */
static bool next_image_snapshot(const struct merge *merge, struct overlay_entry *ret_entry)
{
    uint8_t key[CATALOG_KEY_MAX];
    struct overlay_iterator iterator;
    struct overlay_entry entry;
    bool found = false;
    overlay_seek(&iterator, merge->overlay, merge->cut_lsn, DATASET_CATALOG, key, key_snapshot(key, DATASET_CATALOG, 0));
    for (; overlay_valid(&iterator); overlay_next(&iterator)) {
        overlay_entry(&iterator, &entry);
        if (entry.dataset != DATASET_CATALOG || entry.key_size != 17 || memcmp(entry.key, key, 9) != 0)
            break;
        if (entry.kind == VALUE_DELETE || entry.lsn <= merge->after || (found && entry.lsn >= ret_entry->lsn))
            continue;
        found = true;
        *ret_entry = entry;
    }
    return found;
}

/* The image as of this stage: its catalog tree, kept. It does not list itself. */
static vde_status note_image_snapshot(struct merge *merge, const struct overlay_entry *entry)
{
    struct snapshot_record snapshot;
    uint8_t key[CATALOG_KEY_MAX], value[SNAPSHOT_VALUE_MAX];
    uint64_t tag = be64_get(entry->key + 9);
    VDE_TRY(snapshot_record_get(entry->value, entry->value_size, &merge->image->label.layout, &snapshot));
    snapshot.lsn = entry->lsn;
    snapshot.root = merge->catalog.root;
    size_t size = snapshot_record_put(&snapshot, value);
    VDE_TRY(changes_add(&merge->catalog_changes, key, key_snapshot(key, DATASET_CATALOG, tag), VALUE_INLINE, value, size,
                        true));
    vde_le64 lsn_tag = le64(tag);
    VDE_TRY(changes_add(&merge->catalog_changes, key, key_lsn(key, DATASET_CATALOG, entry->lsn), VALUE_INLINE, &lsn_tag,
                        sizeof lsn_tag, true));
    merge->newest_image = entry->lsn;
    return VDE_OK;
}

vde_status merge_run(struct merge *merge)
{
    uint64_t after;
    struct overlay_entry snapshot;
    uint64_t nodes = merge->catalog.root.nodes;
    VDE_TRY(merge_neighbours(merge, DATASET_CATALOG, UINT64_MAX, &merge->newest_image, &after));
    if (merge->rollback) {
        VDE_TRY(merge_image_rollback(merge, merge->rollback));
        merge->nodes += (int64_t)merge->catalog.root.nodes - (int64_t)nodes;
        return merge_flush_writes(merge);
    }
    while (next_image_snapshot(merge, &snapshot)) {
        VDE_TRY(stage(merge, snapshot.lsn));
        VDE_TRY(note_image_snapshot(merge, &snapshot));
    }
    VDE_TRY(stage(merge, merge->cut_lsn));
    VDE_TRY(merge_zombies(merge));
    merge->nodes += (int64_t)merge->catalog.root.nodes - (int64_t)nodes;
    return merge_flush_writes(merge);
}
