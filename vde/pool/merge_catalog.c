/* SPDX-License-Identifier: Apache-2.0 */
/* merge_catalog.c -- snapshots that were deleted, datasets that were dropped. */
#include <stdlib.h>
#include <string.h>

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
    free(data);
    *ret_status = status == VDE_NOT_FOUND ? VDE_OK : status;
    return status == VDE_OK;
}

static bool is_gone(const struct merge *merge, uint64_t lsn)
{
    for (size_t i = 0; i < merge->gone.count; i++)
        if (lsn >= merge->gone.items[i].address && lsn - merge->gone.items[i].address < merge->gone.items[i].blocks)
            return true;
    return false;
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

/* LSNs of the surviving snapshots next to `lsn` in the old catalog tree: 0 and UINT64_MAX where there are none. */
static vde_status neighbours(struct merge *merge, uint64_t dataset, uint64_t lsn, uint64_t *ret_before,
                             uint64_t *ret_after)
{
    struct tree_cursor *cursor;
    uint8_t key[CATALOG_KEY_MAX];
    uint64_t found = lsn;
    *ret_before = 0;
    *ret_after = UINT64_MAX;
    VDE_TRY(tree_cursor_open(&merge->image->store, DATASET_CATALOG, &merge->catalog_base, &cursor));
    vde_status status;
    do
        status = tree_cursor_seek_before(cursor, key, key_lsn(key, dataset, found - 1));
    while (status == VDE_OK && lsn_record(cursor, key, &found) && is_gone(merge, found) && found > 0);
    if (status == VDE_OK && lsn_record(cursor, key, &found))
        *ret_before = found;
    if (status == VDE_OK)
        status = tree_cursor_seek(cursor, key, key_lsn(key, dataset, lsn + 1));
    while (status == VDE_OK && lsn_record(cursor, key, &found) && is_gone(merge, found))
        status = tree_cursor_next(cursor);
    if (status == VDE_OK && lsn_record(cursor, key, &found))
        *ret_after = found;
    tree_cursor_close(cursor);
    return status;
}

/* Free what only the snapshot (before, lsn] .. after kept alive: died while it was the newest, born after the one before. */
static vde_status free_dead(struct merge *merge, struct dataset_record *record, uint64_t before, uint64_t lsn,
                            uint64_t after)
{
    struct tree_cursor *cursor;
    struct changes changes = {0};
    uint8_t key[24];
    VDE_TRY(tree_cursor_open(&merge->image->store, record->id | DATASET_DEAD_BIT, &record->dead, &cursor));
    vde_status status = tree_cursor_seek(cursor, key, key_dead(key, lsn, 0, 0));
    while (status == VDE_OK && tree_cursor_valid(cursor)) {
        const void *found;
        size_t size;
        struct tree_value value;
        tree_cursor_record(cursor, &found, &size, &value);
        if (size != 24 || value.kind != VALUE_INLINE || value.size != 4) {
            status = fail_corrupt("dead tree of dataset %llu|a record of %zu + %zu bytes|24 + 4",
                                  (unsigned long long)record->id, size, value.size);
            break;
        }
        const uint8_t *at = found;
        if (be64_get(at) >= after)
            break;
        if (be64_get(at + 8) > before) {
            vde_le32 blocks;
            memcpy(&blocks, value.data, sizeof blocks);
            status = runs_add(&merge->freed, be64_get(at + 16), le32_get(blocks));
            if (status == VDE_OK)
                status = changes_add(&changes, found, size, VALUE_DELETE, NULL, 0, true);
        }
        if (status == VDE_OK)
            status = tree_cursor_next(cursor);
    }
    tree_cursor_close(cursor);
    merge->free_all = true;
    if (status == VDE_OK && changes.count > 0)
        status = tree_apply(&merge->writer, record->id | DATASET_DEAD_BIT, &record->dead, changes.ops, changes.count);
    merge->free_all = false;
    changes_done(&changes);
    return status;
}

vde_status merge_snapshot_delete(struct merge *merge, uint64_t dataset, uint64_t tag, struct dataset_record *record)
{
    uint8_t key[CATALOG_KEY_MAX];
    enum value_kind kind;
    void *data = NULL;
    size_t size;
    struct snapshot_record snapshot;
    vde_status status = tree_get(&merge->image->store, DATASET_CATALOG, &merge->catalog_base, key,
                                 key_snapshot(key, dataset, tag), &kind, &data, &size);
    if (status == VDE_NOT_FOUND) /* it never reached the trees */
        return VDE_OK;
    VDE_TRY(status);
    status = snapshot_record_get(data, size, &merge->image->label.layout, &snapshot);
    free(data);
    VDE_TRY(status);
    uint64_t before, after;
    VDE_TRY(neighbours(merge, dataset, snapshot.lsn, &before, &after));
    VDE_TRY(free_dead(merge, record, before, snapshot.lsn, after));
    if (record->newest_snapshot == snapshot.lsn)
        record->newest_snapshot = before;
    VDE_TRY(runs_add(&merge->gone, snapshot.lsn, 1));
    return changes_add(&merge->catalog_changes, key, key_lsn(key, dataset, snapshot.lsn), VALUE_DELETE, NULL, 0, true);
}

/* Delete every catalog key that begins with tag byte and dataset id. */
static vde_status delete_keys(struct merge *merge, uint8_t tag, uint64_t dataset)
{
    struct map_cursor *cursor;
    uint8_t prefix[9];
    prefix[0] = tag;
    be64_put(prefix + 1, dataset);
    VDE_TRY(map_cursor_open(&merge->catalog, prefix, sizeof prefix, &cursor));
    vde_status status = VDE_OK;
    while (status == VDE_OK && map_cursor_valid(cursor)) {
        const uint8_t *key;
        size_t size;
        struct map_value value;
        map_cursor_record(cursor, &key, &size, &value);
        if (size < sizeof prefix || memcmp(key, prefix, sizeof prefix) != 0)
            break;
        status = changes_add(&merge->catalog_changes, key, size, VALUE_DELETE, NULL, 0, true);
        if (status == VDE_OK)
            status = map_cursor_next(cursor);
    }
    map_cursor_close(cursor);
    return status;
}

/* What only snapshots kept alive stands in the dead tree; the rest hangs on the head. */
static vde_status free_dataset(struct merge *merge, const struct dataset_record *record)
{
    struct tree_cursor *cursor;
    VDE_TRY(tree_drop_all(&merge->writer, record->id, &record->root));
    VDE_TRY(tree_cursor_open(&merge->image->store, record->id | DATASET_DEAD_BIT, &record->dead, &cursor));
    vde_status status = tree_cursor_seek(cursor, NULL, 0);
    while (status == VDE_OK && tree_cursor_valid(cursor)) {
        const void *found;
        size_t size;
        struct tree_value value;
        vde_le32 blocks;
        tree_cursor_record(cursor, &found, &size, &value);
        if (size != 24 || value.kind != VALUE_INLINE || value.size != sizeof blocks) {
            status = fail_corrupt("dead tree of dataset %llu|a record of %zu + %zu bytes|24 + 4",
                                  (unsigned long long)record->id, size, value.size);
            break;
        }
        memcpy(&blocks, value.data, sizeof blocks);
        status = runs_add(&merge->freed, be64_get((const uint8_t *)found + 16), le32_get(blocks));
        if (status == VDE_OK)
            status = tree_cursor_next(cursor);
    }
    tree_cursor_close(cursor);
    VDE_TRY(status);
    merge->nodes -= (int64_t)record->root.nodes;
    return tree_drop_all(&merge->writer, record->id | DATASET_DEAD_BIT, &record->dead);
}

vde_status merge_drop_dataset(struct merge *merge, uint64_t dataset)
{
    uint8_t key[CATALOG_KEY_MAX];
    enum value_kind kind;
    void *data = NULL;
    size_t size;
    uint64_t lsn;
    VDE_TRY(merge_discard(merge, dataset));
    vde_status status = map_get(&merge->catalog, key, key_dataset(key, dataset), &kind, &data, &size, &lsn);
    struct dataset_record record;
    if (status == VDE_OK) {
        status = dataset_record_get(data, size, dataset, &merge->image->label.layout, &record);
        free(data);
        VDE_TRY(status);
        merge->free_all = true;
        status = free_dataset(merge, &record);
        merge->free_all = false;
    } else if (status == VDE_NOT_FOUND) {
        status = VDE_OK;
    }
    VDE_TRY(status);
    VDE_TRY(delete_keys(merge, CATALOG_KEY_SNAPSHOT, dataset));
    VDE_TRY(delete_keys(merge, CATALOG_KEY_LSN, dataset));
    VDE_TRY(changes_add(&merge->catalog_changes, key, key_dataset(key, dataset), VALUE_DELETE, NULL, 0, true));
    return changes_add(&merge->catalog_changes, key, key_zombie(key, 'd', dataset), VALUE_DELETE, NULL, 0, true);
}
