/* SPDX-License-Identifier: Apache-2.0 */
/* merge.c -- the whole of one merge: which datasets, in which order, and the catalog last. */
#include "pool/merge.h"

#include <stdlib.h>
#include <string.h>

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

/* The catalog's own changes as the records made them; roots are filled in by what is added later. */
static vde_status pass_through(struct merge *merge, struct ids *datasets)
{
    struct overlay_iterator iterator;
    struct overlay_entry entry;
    overlay_seek(&iterator, merge->overlay, merge->cut_lsn, DATASET_CATALOG, NULL, 0);
    for (; overlay_valid(&iterator); overlay_next(&iterator)) {
        overlay_entry(&iterator, &entry);
        if (entry.dataset != DATASET_CATALOG)
            break;
        VDE_TRY(changes_add(&merge->catalog_changes, entry.key, entry.key_size, entry.kind, entry.value,
                            entry.value_size, false));
        bool names_dataset = (entry.key[0] == CATALOG_KEY_SNAPSHOT && entry.key_size == 17) ||
                             (entry.key[0] == CATALOG_KEY_DATASET && entry.key_size == 9);
        if (names_dataset)
            VDE_TRY(ids_add(datasets, be64_get(entry.key + 1)));
        if (entry.key[0] == CATALOG_KEY_ZOMBIE && entry.key_size == 10 && entry.key[1] == 's')
            VDE_TRY(ids_add(datasets, DATASET_HISTORY));
    }
    return VDE_OK;
}

static vde_status changed_datasets(struct merge *merge, struct ids *datasets)
{
    struct overlay_iterator iterator;
    struct overlay_entry entry;
    overlay_seek(&iterator, merge->overlay, merge->cut_lsn, DATASET_CATALOG + 1, NULL, 0);
    while (overlay_valid(&iterator)) {
        overlay_entry(&iterator, &entry);
        VDE_TRY(ids_add(datasets, entry.dataset));
        overlay_seek(&iterator, merge->overlay, merge->cut_lsn, entry.dataset + 1, NULL, 0);
    }
    return VDE_OK;
}

static vde_status delete_snapshots(struct merge *merge, struct dataset_record *record)
{
    struct overlay_iterator iterator;
    struct overlay_entry entry;
    uint8_t key[CATALOG_KEY_MAX];
    merge->gone.count = 0;
    overlay_seek(&iterator, merge->overlay, merge->cut_lsn, DATASET_CATALOG, key, key_snapshot(key, record->id, 0));
    for (; overlay_valid(&iterator); overlay_next(&iterator)) {
        overlay_entry(&iterator, &entry);
        if (entry.dataset != DATASET_CATALOG || entry.key_size != 17 || memcmp(entry.key, key, 9) != 0)
            break;
        /* Whatever the overlay says of a tag now, the snapshot that the trees know under it is gone: tags are created
         * only where there is none. */
        VDE_TRY(merge_snapshot_delete(merge, record->id, be64_get(entry.key + 9), record));
    }
    return VDE_OK;
}

static vde_status merge_one(struct merge *merge, uint64_t dataset)
{
    vde_status status;
    if (merge_is_zombie(merge, 'd', dataset, &status))
        return VDE_OK; /* merge_drop_dataset sees to it */
    VDE_TRY(status);
    struct dataset_record record;
    status = map_dataset_record(&merge->catalog, dataset, &record);
    if (status == VDE_NOT_FOUND) /* changes of a dataset that is gone */
        return merge_discard(merge, dataset);
    VDE_TRY(status);
    VDE_TRY(delete_snapshots(merge, &record));
    VDE_TRY(dataset == DATASET_HISTORY ? merge_history(merge, &record) : merge_dataset(merge, &record));
    VDE_TRY(merge_dead(merge, &record));
    struct disk_dataset disk;
    uint8_t key[CATALOG_KEY_MAX];
    dataset_record_put(&record, &disk);
    return changes_add(&merge->catalog_changes, key, key_dataset(key, dataset), VALUE_INLINE, &disk, sizeof disk, true);
}

static vde_status drop_zombies(struct merge *merge)
{
    struct map_cursor *cursor;
    uint8_t from[CATALOG_KEY_MAX];
    VDE_TRY(map_cursor_open(&merge->catalog, from, key_zombie(from, 'd', 0), &cursor));
    vde_status status = VDE_OK;
    while (status == VDE_OK && map_cursor_valid(cursor)) {
        const uint8_t *key;
        size_t size;
        struct map_value value;
        map_cursor_record(cursor, &key, &size, &value);
        if (size != 10 || key[0] != CATALOG_KEY_ZOMBIE || key[1] != 'd')
            break;
        status = merge_drop_dataset(merge, be64_get(key + 2));
        if (status == VDE_OK)
            status = map_cursor_next(cursor);
    }
    map_cursor_close(cursor);
    return status;
}

/* Streams left over by earlier checkpoints keep the history busy until they are gone. */
static vde_status pending_purges(struct merge *merge, struct ids *datasets)
{
    struct tree_cursor *cursor;
    uint8_t from[CATALOG_KEY_MAX];
    VDE_TRY(tree_cursor_open(&merge->image->store, DATASET_CATALOG, &merge->catalog_base, &cursor));
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

vde_status merge_run(struct merge *merge, struct tree_root *ret_catalog)
{
    struct ids datasets = {0};
    struct tree_root catalog = merge->catalog_base;
    vde_status status = pass_through(merge, &datasets);
    if (status == VDE_OK)
        status = changed_datasets(merge, &datasets);
    if (status == VDE_OK)
        status = pending_purges(merge, &datasets);
    ids_unique(&datasets);
    for (size_t i = 0; i < datasets.count && status == VDE_OK; i++)
        status = merge_one(merge, datasets.items[i]);
    free(datasets.items);
    VDE_TRY(status);
    VDE_TRY(drop_zombies(merge));
    changes_sort(&merge->catalog_changes);
    merge->free_all = true;
    merge->newest_snapshot = 0;
    VDE_TRY(tree_apply(&merge->writer, DATASET_CATALOG, &catalog, merge->catalog_changes.ops,
                       merge->catalog_changes.count));
    merge->nodes += (int64_t)catalog.nodes - (int64_t)merge->catalog_base.nodes;
    VDE_TRY(merge_flush_writes(merge));
    *ret_catalog = catalog;
    return VDE_OK;
}
