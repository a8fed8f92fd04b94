/* SPDX-License-Identifier: Apache-2.0 */
/* merge_catalog.c -- the catalog in a merge: its own changes as the records made them, with roots filled in by what is added
 * later, and its tree, old nodes of which image snapshots may still need. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"
#include "pool/merge.h"

bool merge_is_zombie(struct merge *merge, uint8_t what, uint64_t id, vde_status *ret_status)
{
    uint8_t key[CATALOG_KEY_MAX];
    enum value_kind kind;
    void *data = NULL;
    size_t size;
    uint64_t lsn;
    vde_status status = map_get(&merge->catalog, key, key_zombie(key, what, id), &kind, &data, &size, &lsn);
    merge->zombie_freeing = status == VDE_OK && size >= sizeof(struct disk_zombie) &&
                            ((const struct disk_zombie *)data)->freeing;
    free(data);
    *ret_status = status == VDE_NOT_FOUND ? VDE_OK : status;
    return status == VDE_OK;
}

/* In a log record a zombie does not know when it died. */
static vde_status add_zombie(struct merge *merge, const struct overlay_entry *entry)
{
    struct disk_zombie zombie;
    if (entry->value_size != sizeof zombie)
        return fail_corrupt("log record %llu|a zombie of %zu bytes|%zu", (unsigned long long)entry->lsn,
                            entry->value_size, sizeof zombie);
    memcpy(&zombie, entry->value, sizeof zombie);
    zombie.dropped_lsn = le64(entry->lsn);
    return changes_add(&merge->catalog_changes, entry->key, entry->key_size, entry->kind, &zombie, sizeof zombie, true);
}

vde_status merge_catalog_collect(struct merge *merge)
{
    struct overlay_iterator iterator;
    struct overlay_entry entry;
    overlay_seek(&iterator, merge->overlay, merge->through, DATASET_CATALOG, NULL, 0);
    for (; overlay_valid(&iterator); overlay_next(&iterator)) {
        overlay_entry(&iterator, &entry);
        if (entry.dataset != DATASET_CATALOG)
            break;
        if (entry.lsn <= merge->after)
            continue;
        bool image_snapshot = entry.key[0] == CATALOG_KEY_SNAPSHOT && entry.key_size == 17 &&
                              be64_get(entry.key + 1) == DATASET_CATALOG;
        if (image_snapshot && entry.kind != VALUE_DELETE)
            continue; /* noted, root and all, behind its own stage */
        if (entry.key[0] == CATALOG_KEY_ZOMBIE && entry.kind == VALUE_INLINE)
            VDE_TRY(add_zombie(merge, &entry));
        else
            VDE_TRY(changes_add(&merge->catalog_changes, entry.key, entry.key_size, entry.kind, entry.value,
                                entry.value_size, false));
    }
    return VDE_OK;
}

vde_status merge_record_put(struct merge *merge, const struct dataset_record *record)
{
    uint8_t key[CATALOG_KEY_MAX], value[DATASET_VALUE_MAX];
    size_t size = dataset_record_put(record, value);
    return changes_add(&merge->catalog_changes, key, key_dataset(key, record->id), VALUE_INLINE, value, size, true);
}

vde_status merge_catalog_apply(struct merge *merge)
{
    changes_sort(&merge->catalog_changes);
    merge->newest_snapshot = merge->newest_image;
    /* Nodes made after an image snapshot's own stage are none of its, even when no record lies in between. */
    merge->writer.birth = max_u64(merge->through, merge->newest_image + 1);
    vde_status status = tree_apply(&merge->writer, DATASET_CATALOG, &merge->catalog.root, merge->catalog_changes.ops,
                                   merge->catalog_changes.count);
    changes_clear(&merge->catalog_changes);
    VDE_TRY(status);
    return merge_dead(merge, DATASET_CATALOG, &merge->catalog_dead, &merge->catalog_dead_blocks);
}

/* The LSN that an 'l' record of this dataset under the cursor names; false when it stands elsewhere. */
static bool lsn_record(const struct tree_cursor *cursor, const uint8_t *key, uint64_t *ret_lsn)
{
    const void *found;
    size_t size;
    struct tree_value value;
    if (!tree_cursor_valid(cursor))
        return false;
    tree_cursor_record(cursor, &found, &size, &value);
    if (size != 17 || memcmp(found, key, 9) != 0)
        return false;
    *ret_lsn = be64_get((const uint8_t *)found + 9);
    return true;
}

/* The snapshots of one list next to `lsn`, where they are nearer than what is known. */
static vde_status nearer(struct merge *merge, const struct tree_root *catalog, uint64_t list, uint64_t lsn,
                         uint64_t *before, uint64_t *after)
{
    struct tree_cursor *cursor;
    uint8_t key[CATALOG_KEY_MAX];
    uint64_t found;
    VDE_TRY(tree_cursor_open(&merge->image->store, DATASET_CATALOG, catalog, &cursor));
    vde_status status = tree_cursor_seek_before(cursor, key, key_lsn(key, list, lsn - 1));
    if (status == VDE_OK && lsn_record(cursor, key, &found) && found > *before)
        *before = found;
    if (status == VDE_OK && lsn < UINT64_MAX)
        status = tree_cursor_seek(cursor, key, key_lsn(key, list, lsn + 1));
    if (status == VDE_OK && lsn < UINT64_MAX && lsn_record(cursor, key, &found) && found < *after)
        *after = found;
    tree_cursor_close(cursor);
    return status;
}

vde_status merge_neighbours(struct merge *merge, uint64_t dataset, uint64_t lsn, uint64_t *ret_before,
                            uint64_t *ret_after)
{
    *ret_before = 0;
    *ret_after = UINT64_MAX;
    if (dataset != DATASET_CATALOG)
        VDE_TRY(nearer(merge, &merge->catalog.root, dataset, lsn, ret_before, ret_after));
    return nearer(merge, &merge->catalog.root, DATASET_CATALOG, lsn, ret_before, ret_after);
}

vde_status merge_own_before(struct merge *merge, const struct tree_root *catalog, uint64_t dataset, uint64_t lsn,
                            uint64_t *ret_lsn)
{
    uint64_t after = 0; /* not asked for: nothing is nearer */
    *ret_lsn = 0;
    return nearer(merge, catalog, dataset, lsn, ret_lsn, &after);
}

vde_status merge_newest_own(struct merge *merge, uint64_t dataset, uint64_t *ret_lsn)
{
    return merge_own_before(merge, &merge->catalog.root, dataset, UINT64_MAX, ret_lsn);
}
