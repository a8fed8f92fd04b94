/* SPDX-License-Identifier: Apache-2.0 */
/* kv.c -- reading kv datasets and their snapshots through a view. */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "pool/map.h"
#include "pool/pool.h"
#include "tree/spill.h"

struct vde_kv {
    struct map map;
};

struct vde_cursor {
    struct map_cursor *cursor;
    const struct tree_store *store;
    void *value; /* a spilled value, read back */
};

void vde_bytes_free(struct vde_bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct vde_bytes){0};
}

static struct map catalog_of(vde_view *view)
{
    return map_catalog(view->layers, &view->image->store, &view->image->label.layout, view->lsn);
}

vde_status vde_dataset_find(vde_view *view, const char *name, uint64_t *ret_id)
{
    size_t name_size = strlen(name);
    if (name_size == 0 || name_size > DATASET_NAME_MAX)
        return fail_as(VDE_INVAL, "dataset name|%zu bytes|1 to %u", name_size, DATASET_NAME_MAX);
    struct map catalog = catalog_of(view);
    uint8_t key[CATALOG_KEY_MAX];
    enum value_kind kind;
    void *data = NULL;
    size_t size;
    uint64_t lsn;
    vde_status status = map_get(&catalog, key, key_name(key, name, name_size), &kind, &data, &size, &lsn);
    if (status == VDE_NOT_FOUND)
        return fail_as(VDE_NOT_FOUND, "dataset \"%s\"|no such dataset|an existing one", name);
    VDE_TRY(status);
    vde_le64 id;
    if (size == sizeof id) {
        memcpy(&id, data, sizeof id);
        *ret_id = le64_get(id);
    } else {
        status = fail_corrupt("dataset name \"%s\"|%zu bytes|8", name, size);
    }
    free(data);
    return status;
}

static vde_status open_kv(vde_view *view, uint64_t dataset, uint64_t tag, vde_kv **ret_kv)
{
    if (dataset < ID_FIRST)
        return fail_as(VDE_INVAL, "dataset %llu|a reserved id|an id from vde_id_reserve", (unsigned long long)dataset);
    vde_kv *kv = malloc(sizeof *kv);
    if (!kv)
        return fail_nomem("dataset");
    struct map catalog = catalog_of(view);
    vde_status status = map_open(&catalog, dataset, tag, &kv->map);
    if (status != VDE_OK) {
        free(kv);
        return status;
    }
    *ret_kv = kv;
    return VDE_OK;
}

vde_status vde_kv_open(vde_view *view, uint64_t dataset, vde_kv **ret_kv)
{
    return open_kv(view, dataset, 0, ret_kv);
}

vde_status vde_kv_open_snapshot(vde_view *view, uint64_t dataset, uint64_t tag, vde_kv **ret_kv)
{
    if (tag == 0)
        return fail_as(VDE_INVAL, "snapshot tag|0|any other number");
    return open_kv(view, dataset, tag, ret_kv);
}

void vde_kv_close(vde_kv *kv)
{
    free(kv);
}

vde_status vde_kv_get(vde_kv *kv, const void *key, size_t key_size, struct vde_bytes *ret_value)
{
    enum value_kind kind;
    void *data = NULL;
    size_t size;
    uint64_t lsn;
    if (key_size == 0 || key_size > VDE_KEY_MAX)
        return fail_as(VDE_INVAL, "key|%zu bytes|1 to %u", key_size, VDE_KEY_MAX);
    vde_status status = map_get(&kv->map, key, key_size, &kind, &data, &size, &lsn);
    if (status != VDE_OK)
        return status;
    if (kind == VALUE_SPILLED) {
        void *spilled;
        size_t spilled_size;
        status = spill_read(kv->map.store, data, size, &spilled, &spilled_size);
        free(data);
        VDE_TRY(status);
        data = spilled;
        size = spilled_size;
    }
    *ret_value = (struct vde_bytes){data, size};
    return VDE_OK;
}

vde_status vde_snapshot_find(vde_view *view, uint64_t dataset, uint64_t tag, uint64_t *ret_tag)
{
    struct map catalog = catalog_of(view);
    struct dataset_record record;
    VDE_TRY(map_dataset_record(&catalog, dataset, &record)); /* the snapshots of a dropped dataset may still be there */
    struct map_cursor *cursor;
    uint8_t key[CATALOG_KEY_MAX], low[CATALOG_KEY_MAX];
    /* Tags are sparse and a map walks forwards only: the tree answers by a step back, overlays are walked. */
    key_snapshot(low, dataset, 0);
    struct tree_cursor *tree;
    uint64_t start = 0;
    VDE_TRY(tree_cursor_open(catalog.store, DATASET_CATALOG, &catalog.root, &tree));
    vde_status status = tree_cursor_seek_before(tree, key, key_snapshot(key, dataset, tag));
    if (status == VDE_OK && tree_cursor_valid(tree)) {
        const void *found;
        size_t found_size;
        struct tree_value value;
        tree_cursor_record(tree, &found, &found_size, &value);
        if (found_size == 17 && memcmp(found, low, 9) == 0)
            start = be64_get((const uint8_t *)found + 9);
    }
    tree_cursor_close(tree);
    VDE_TRY(status);
    bool any = false;
    for (unsigned tries = 0; tries < 2 && !any; tries++) { /* the tree's answer may have been deleted since */
        size_t size = key_snapshot(low, dataset, tries == 0 ? start : 0);
        VDE_TRY(map_cursor_open(&catalog, low, size, &cursor));
        while (status == VDE_OK && map_cursor_valid(cursor)) {
            const uint8_t *found;
            size_t found_size;
            struct map_value value;
            map_cursor_record(cursor, &found, &found_size, &value);
            if (found_size != 17 || memcmp(found, low, 9) != 0 || be64_get(found + 9) > tag)
                break;
            *ret_tag = be64_get(found + 9);
            any = true;
            status = map_cursor_next(cursor);
        }
        map_cursor_close(cursor);
        VDE_TRY(status);
    }
    return any ? VDE_OK : VDE_NOT_FOUND;
}

vde_status vde_cursor_open(vde_kv *kv, const void *from, size_t from_size, vde_cursor **ret_cursor)
{
    vde_cursor *cursor = calloc(1, sizeof *cursor);
    if (!cursor)
        return fail_nomem("cursor");
    cursor->store = kv->map.store;
    vde_status status = map_cursor_open(&kv->map, from, from_size, &cursor->cursor);
    if (status != VDE_OK) {
        free(cursor);
        return status;
    }
    *ret_cursor = cursor;
    return VDE_OK;
}

void vde_cursor_close(vde_cursor *cursor)
{
    if (!cursor)
        return;
    map_cursor_close(cursor->cursor);
    free(cursor->value);
    free(cursor);
}

vde_status vde_cursor_get(vde_cursor *cursor, const void **ret_key, size_t *ret_key_size, const void **ret_value,
                          size_t *ret_value_size)
{
    if (!map_cursor_valid(cursor->cursor))
        return VDE_NOT_FOUND;
    const uint8_t *key;
    struct map_value value;
    map_cursor_record(cursor->cursor, &key, ret_key_size, &value);
    *ret_key = key;
    *ret_value = value.data;
    *ret_value_size = value.size;
    if (value.kind != VALUE_SPILLED)
        return VDE_OK;
    free(cursor->value);
    cursor->value = NULL;
    VDE_TRY(spill_read(cursor->store, value.data, value.size, &cursor->value, ret_value_size));
    *ret_value = cursor->value;
    return VDE_OK;
}

vde_status vde_cursor_next(vde_cursor *cursor)
{
    if (!map_cursor_valid(cursor->cursor))
        return VDE_NOT_FOUND;
    return map_cursor_next(cursor->cursor);
}
