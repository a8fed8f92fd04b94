/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot.c -- named snapshots of a dataset or of the image: create, delete, find, list. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"
#include "dataset/snapshot.h"

static struct map catalog_of(const vde_view *view)
{
    return map_catalog(view->layers, &view->image->store, &view->image->label.layout, view->lsn);
}

vde_status snapshot_check_name(const char *name, size_t *ret_size)
{
    size_t size = strlen(name);
    if (size == 0 || size > SNAPSHOT_NAME_MAX || strpbrk(name, "/@"))
        return fail_as(VDE_INVAL, "snapshot name \"%.40s\"|%zu bytes|1 to %u without '/' and '@'", name, size,
                       SNAPSHOT_NAME_MAX);
    *ret_size = size;
    return VDE_OK;
}

static vde_status check_dataset(uint64_t dataset)
{
    return dataset == VDE_DATASET_IMAGE ? VDE_OK : txn_check_user_dataset(dataset);
}

vde_status vde_snapshot_tag(vde_view *view, uint64_t dataset, const char *name, uint64_t *ret_tag)
{
    struct map catalog = catalog_of(view);
    VDE_TRY(check_dataset(dataset));
    return map_snapshot_tag(&catalog, dataset, name, ret_tag);
}

vde_status volume_record_find(const struct map *catalog, uint64_t dataset, struct volume_record *ret_record)
{
    uint8_t key[CATALOG_KEY_MAX];
    enum value_kind kind;
    void *data = NULL;
    size_t size;
    uint64_t lsn;
    VDE_TRY(map_get(catalog, key, key_volume(key, dataset), &kind, &data, &size, &lsn));
    vde_status status = volume_record_get(data, size, dataset, ret_record);
    free(data);
    return status;
}

/* A volume's snapshot keeps its size. */
static vde_status volume_size(vde_image *image, uint64_t dataset, uint64_t *ret_bytes)
{
    vde_view *view;
    struct volume_record record = {0};
    *ret_bytes = 0;
    if (dataset == VDE_DATASET_IMAGE)
        return VDE_OK;
    VDE_TRY(vde_view_open_pending(image, &view));
    struct map catalog = catalog_of(view);
    vde_status status = volume_record_find(&catalog, dataset, &record);
    vde_view_close(view);
    *ret_bytes = record.size_bytes;
    return status == VDE_NOT_FOUND ? VDE_OK : status;
}

static vde_status create(vde_image *image, uint64_t dataset, const char *name, uint64_t *ret_lsn)
{
    vde_txn *txn;
    uint64_t size_bytes;
    struct vde_commit commit;
    VDE_TRY(volume_size(image, dataset, &size_bytes));
    VDE_TRY(vde_txn_create(image, &txn));
    vde_status status = txn_snapshot_create(txn, dataset, vde_id_reserve(image), name, size_bytes);
    if (status == VDE_OK)
        status = vde_txn_commit(txn, &commit);
    vde_txn_destroy(txn);
    if (status == VDE_OK && ret_lsn)
        *ret_lsn = commit.lsn;
    return status;
}

vde_status vde_snapshot_create(vde_image *image, uint64_t dataset, const char *name, uint64_t *ret_lsn)
{
    size_t name_size;
    VDE_TRY(check_dataset(dataset));
    VDE_TRY(snapshot_check_name(name, &name_size));
    lock_take(&image->names_lock);
    vde_status status = create(image, dataset, name, ret_lsn);
    lock_drop(&image->names_lock);
    return status;
}

static vde_status delete(vde_image *image, uint64_t dataset, const char *name)
{
    vde_view *view;
    vde_txn *txn;
    uint64_t tag = 0;
    struct vde_commit commit;
    VDE_TRY(vde_txn_create(image, &txn));
    vde_status status = vde_view_open_pending(image, &view);
    if (status == VDE_OK) {
        status = vde_snapshot_tag(view, dataset, name, &tag);
        vde_view_close(view);
    }
    if (status == VDE_OK)
        status = txn_snapshot_delete(txn, dataset, tag);
    if (status == VDE_OK)
        status = vde_txn_commit(txn, &commit);
    vde_txn_destroy(txn);
    return status;
}

vde_status vde_snapshot_delete(vde_image *image, uint64_t dataset, const char *name)
{
    VDE_TRY(check_dataset(dataset));
    lock_take(&image->names_lock);
    vde_status status = delete(image, dataset, name);
    lock_drop(&image->names_lock);
    return status;
}

/* --- listing ------------------------------------------------------------------------------------------------------ */

struct found {
    struct vde_snapshot_info info;
    bool merged, has_clones; /* clones that were dropped and are still there included */
};

struct list {
    struct found *items;
    size_t count, capacity;
};

static vde_status list_add(struct list *list, const struct snapshot_record *record, uint64_t tag, bool merged)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 16;
        struct found *items = realloc(list->items, capacity * sizeof *items);
        if (!items)
            return fail_nomem("snapshots");
        list->items = items;
        list->capacity = capacity;
    }
    struct found *found = &list->items[list->count++];
    memset(found, 0, sizeof *found);
    found->merged = merged;
    found->info.tag = tag;
    found->info.lsn = record->lsn;
    found->info.created_us = record->created_us;
    found->info.referenced_bytes = record->stored_blocks * BLOCK_BYTES;
    memcpy(found->info.name, record->name, sizeof found->info.name);
    return VDE_OK;
}

static int by_lsn(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    return x->info.lsn < y->info.lsn ? -1 : x->info.lsn > y->info.lsn;
}

static vde_status collect(const struct map *catalog, uint64_t dataset, struct list *list)
{
    struct map_cursor *cursor;
    uint8_t from[CATALOG_KEY_MAX];
    VDE_TRY(map_cursor_open(catalog, from, key_snapshot(from, dataset, 0), &cursor));
    vde_status status = VDE_OK;
    while (status == VDE_OK && map_cursor_valid(cursor)) {
        const uint8_t *key;
        size_t size;
        struct map_value value;
        struct snapshot_record record;
        map_cursor_record(cursor, &key, &size, &value);
        if (size != 17 || memcmp(key, from, 9) != 0)
            break;
        status = snapshot_record_get(value.data, value.size, catalog->layout, &record);
        if (value.lsn != 0)
            record.lsn = value.lsn;
        if (status == VDE_OK)
            status = list_add(list, &record, be64_get(key + 9), value.lsn == 0);
        if (status == VDE_OK)
            status = map_cursor_next(cursor);
    }
    map_cursor_close(cursor);
    return status;
}

static vde_status count_clones(const struct map *catalog, uint64_t dataset, struct found *found)
{
    struct map_cursor *cursor;
    uint8_t from[CATALOG_KEY_MAX];
    size_t prefix = key_clone(from, dataset, found->info.lsn, 0) - 8;
    VDE_TRY(map_cursor_open(catalog, from, prefix, &cursor));
    vde_status status = VDE_OK;
    while (status == VDE_OK && map_cursor_valid(cursor)) {
        const uint8_t *key;
        size_t size;
        struct map_value value;
        struct dataset_record record;
        map_cursor_record(cursor, &key, &size, &value);
        if (size != prefix + 8 || memcmp(key, from, prefix) != 0)
            break;
        /* A clone that was dropped holds the snapshot until it is freed, but nobody can see it. */
        found->has_clones = true;
        status = map_dataset_record(catalog, be64_get(key + prefix), &record);
        found->info.clones += status == VDE_OK;
        if (status == VDE_OK || status == VDE_NOT_FOUND)
            status = map_cursor_next(cursor);
    }
    map_cursor_close(cursor);
    return status;
}

/* What died between two snapshots and was born after the first one's predecessor: entries [lsn, after) of the dead tree
 * with a birth above `before`. */
static vde_status count_unique(const struct map *catalog, const struct dataset_record *record, uint64_t before,
                               uint64_t after, struct found *found)
{
    struct tree_cursor *cursor;
    uint8_t from[24];
    VDE_TRY(tree_cursor_open(catalog->store, record->id | DATASET_DEAD_BIT, &record->dead, &cursor));
    vde_status status = tree_cursor_seek(cursor, from, key_dead(from, found->info.lsn, before + 1, 0));
    while (status == VDE_OK && tree_cursor_valid(cursor)) {
        const void *key;
        size_t size;
        struct tree_value value;
        vde_le32 blocks;
        tree_cursor_record(cursor, &key, &size, &value);
        if (size != 24 || value.size != sizeof blocks) {
            status = fail_corrupt("dead tree of dataset %llu|a record of %zu + %zu bytes|24 + 4",
                                  (unsigned long long)record->id, size, value.size);
            break;
        }
        uint64_t newest = be64_get(key), birth = be64_get((const uint8_t *)key + 8);
        if (newest >= after)
            break;
        memcpy(&blocks, value.data, sizeof blocks);
        if (birth > before) {
            found->info.unique_bytes += (uint64_t)le32_get(blocks) * BLOCK_BYTES;
            status = tree_cursor_next(cursor);
        } else {
            status = tree_cursor_seek(cursor, from, key_dead(from, newest, before + 1, 0));
        }
    }
    tree_cursor_close(cursor);
    return status;
}

/* The snapshots of a dataset or of the image that hold blocks, in ascending order: those that were deleted while somebody
 * needs them among them. */
struct holders {
    uint64_t *lsns;
    size_t count, capacity;
};

static vde_status holders_add(struct holders *holders, uint64_t lsn)
{
    if (holders->count == holders->capacity) {
        size_t capacity = holders->capacity ? holders->capacity * 2 : 16;
        uint64_t *lsns = realloc(holders->lsns, capacity * sizeof *lsns);
        if (!lsns)
            return fail_nomem("snapshots");
        holders->lsns = lsns;
        holders->capacity = capacity;
    }
    holders->lsns[holders->count++] = lsn;
    return VDE_OK;
}

static vde_status collect_holders(const struct map *catalog, uint64_t dataset, struct holders *holders)
{
    struct map_cursor *cursor;
    uint8_t from[CATALOG_KEY_MAX];
    VDE_TRY(map_cursor_open(catalog, from, key_lsn(from, dataset, 0), &cursor));
    vde_status status = VDE_OK;
    while (status == VDE_OK && map_cursor_valid(cursor)) {
        const uint8_t *key;
        size_t size;
        struct map_value value;
        map_cursor_record(cursor, &key, &size, &value);
        if (size != 17 || memcmp(key, from, 9) != 0)
            break;
        status = holders_add(holders, be64_get(key + 9));
        if (status == VDE_OK)
            status = map_cursor_next(cursor);
    }
    map_cursor_close(cursor);
    return status;
}

/* The nearest below and above `lsn`, where they are nearer than what is known. */
static void narrow(const struct holders *holders, uint64_t lsn, uint64_t *before, uint64_t *after)
{
    for (size_t i = 0; i < holders->count; i++) {
        uint64_t other = holders->lsns[i];
        if (other < lsn)
            *before = max_u64(*before, other);
        else if (other > lsn)
            *after = min_u64(*after, other);
    }
}

/* A later snapshot of the image shows this one, too, and a clone shares all of it: deleting it frees nothing. */
static vde_status add_unique(const struct map *catalog, uint64_t dataset, struct list *list)
{
    struct dataset_record record;
    struct holders own = {0}, images = {0};
    VDE_TRY(map_dataset_record(catalog, dataset, &record));
    vde_status status = collect_holders(catalog, dataset, &own);
    if (status == VDE_OK)
        status = collect_holders(catalog, DATASET_CATALOG, &images);
    for (size_t i = 0; i < list->count && status == VDE_OK; i++) {
        struct found *found = &list->items[i];
        uint64_t before = 0, after = UINT64_MAX;
        narrow(&images, found->info.lsn, &before, &after);
        if (!found->merged || found->has_clones || after != UINT64_MAX)
            continue;
        narrow(&own, found->info.lsn, &before, &after);
        status = count_unique(catalog, &record, before, after, found);
    }
    free(own.lsns);
    free(images.lsns);
    return status;
}

vde_status vde_snapshot_list(vde_view *view, uint64_t dataset, bool with_unique,
                             vde_status (*each)(void *context, const struct vde_snapshot_info *info), void *context)
{
    struct map catalog = catalog_of(view);
    struct list list = {0};
    struct dataset_record record;
    VDE_TRY(check_dataset(dataset));
    VDE_TRY(map_dataset_record(&catalog, dataset, &record)); /* those of a dropped dataset may still be there */
    vde_status status = collect(&catalog, dataset, &list);
    if (list.count > 0)
        qsort(list.items, list.count, sizeof *list.items, by_lsn);
    for (size_t i = 0; i < list.count && status == VDE_OK && dataset != VDE_DATASET_IMAGE; i++)
        status = count_clones(&catalog, dataset, &list.items[i]);
    if (status == VDE_OK && with_unique && dataset != VDE_DATASET_IMAGE)
        status = add_unique(&catalog, dataset, &list);
    for (size_t i = 0; i < list.count && status == VDE_OK; i++)
        status = each(context, &list.items[i].info);
    free(list.items);
    return status;
}
