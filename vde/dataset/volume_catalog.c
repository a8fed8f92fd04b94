/* SPDX-License-Identifier: Apache-2.0 */
/* volume_catalog.c -- what the catalog says of volumes: names, sizes, accounting. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"
#include "dataset/snapshot.h"
#include "dataset/volume.h"

#define PREFIX_BYTES (sizeof VOLUME_NAME_PREFIX - 1)

vde_status volume_check_name(const char *name)
{
    size_t size = name ? strlen(name) : 0;
    if (size == 0 || size > VDE_VOLUME_NAME_MAX)
        return fail_as(VDE_INVAL, "volume name|%zu bytes|1 to %u", size, VDE_VOLUME_NAME_MAX);
    if (strchr(name, '/'))
        return fail_as(VDE_INVAL, "volume name \"%s\"|a '/'|any other byte", name);
    return VDE_OK;
}

size_t volume_name_key(uint8_t *key, const char *name)
{
    char full[PREFIX_BYTES + VDE_VOLUME_NAME_MAX + 1];
    size_t size = strlen(name);
    memcpy(full, VOLUME_NAME_PREFIX, PREFIX_BYTES);
    memcpy(full + PREFIX_BYTES, name, size);
    return key_name(key, full, PREFIX_BYTES + size);
}

static vde_status name_value(const struct map_value *value, const char *name, uint64_t *ret_id)
{
    vde_le64 id;
    if (value->kind != VALUE_INLINE || value->size != sizeof id)
        return fail_corrupt("volume name \"%s\"|%zu bytes of kind %d|the id of a dataset", name, value->size,
                            (int)value->kind);
    memcpy(&id, value->data, sizeof id);
    *ret_id = le64_get(id);
    return VDE_OK;
}

static vde_status read_record(const struct map *catalog, uint64_t id, const char *name, struct volume_record *ret_record)
{
    vde_status status = volume_record_find(catalog, id, ret_record);
    if (status == VDE_NOT_FOUND)
        return fail_as(VDE_NOT_FOUND, "volume \"%s\"|a dataset that is none|a volume", name);
    return status;
}

vde_status volume_lookup(const struct map *catalog, const char *name, uint64_t *ret_id, struct volume_record *ret_record)
{
    uint8_t key[CATALOG_KEY_MAX];
    enum value_kind kind;
    void *data = NULL;
    size_t size;
    uint64_t lsn;
    vde_status status = map_get(catalog, key, volume_name_key(key, name), &kind, &data, &size, &lsn);
    if (status == VDE_NOT_FOUND)
        return fail_as(VDE_NOT_FOUND, "volume \"%s\"|no such volume|an existing one", name);
    VDE_TRY(status);
    struct map_value value = {kind, data, size, lsn};
    status = name_value(&value, name, ret_id);
    free(data);
    VDE_TRY(status);
    return read_record(catalog, *ret_id, name, ret_record);
}

vde_status volume_lookup_snapshot(const struct map *catalog, uint64_t id, const char *snapshot, uint64_t *ret_tag,
                                  uint64_t *ret_size_bytes)
{
    size_t size;
    struct snapshot_record record;
    bool merged;
    VDE_TRY(snapshot_check_name(snapshot, &size));
    VDE_TRY(map_snapshot_tag(catalog, id, snapshot, ret_tag));
    VDE_TRY(map_snapshot_record(catalog, id, *ret_tag, &record, &merged));
    *ret_size_bytes = record.size_bytes;
    return VDE_OK;
}

/* --- descriptions -------------------------------------------------------------------------------------------------- */

/* Walk the catalog's records whose key begins with `prefix`; `each` returns false to stop. */
static vde_status walk(const struct map *catalog, const uint8_t *prefix, size_t prefix_size,
                       bool (*each)(void *context, const uint8_t *key, size_t key_size, const struct map_value *value),
                       void *context)
{
    struct map_cursor *cursor;
    VDE_TRY(map_cursor_open(catalog, prefix, prefix_size, &cursor));
    vde_status status = VDE_OK;
    while (status == VDE_OK && map_cursor_valid(cursor)) {
        const uint8_t *key;
        size_t size;
        struct map_value value;
        map_cursor_record(cursor, &key, &size, &value);
        if (size < prefix_size || memcmp(key, prefix, prefix_size) != 0 || !each(context, key, size, &value))
            break;
        status = map_cursor_next(cursor);
    }
    map_cursor_close(cursor);
    return status;
}

static bool count_one(void *context, const uint8_t *key, size_t key_size, const struct map_value *value)
{
    (void)key, (void)key_size, (void)value;
    ++*(uint64_t *)context;
    return true;
}

struct name_search {
    uint64_t id;
    char *ret_name;
};

static bool match_id(void *context, const uint8_t *key, size_t key_size, const struct map_value *value)
{
    struct name_search *search = context;
    uint64_t id;
    size_t skip = 1 + PREFIX_BYTES;
    if (name_value(value, "", &id) != VDE_OK || id != search->id || key_size - skip > VDE_VOLUME_NAME_MAX)
        return true;
    memcpy(search->ret_name, key + skip, key_size - skip);
    search->ret_name[key_size - skip] = '\0';
    return false;
}

/* Where a clone comes from; both may be gone or have other names by now. */
static vde_status describe_origin(const struct map *catalog, const struct dataset_record *record,
                                  struct vde_volume_info *info)
{
    uint8_t key[CATALOG_KEY_MAX];
    struct name_search search = {record->origin, info->origin_volume};
    size_t size = key_name(key, VOLUME_NAME_PREFIX, PREFIX_BYTES);
    VDE_TRY(walk(catalog, key, size, match_id, &search));
    struct snapshot_record snapshot;
    bool merged;
    vde_status status = map_snapshot_record(catalog, record->origin, record->origin_tag, &snapshot, &merged);
    if (status == VDE_OK)
        memcpy(info->origin_snapshot, snapshot.name, strlen(snapshot.name) + 1);
    return status == VDE_NOT_FOUND ? VDE_OK : status;
}

static vde_status describe(const struct map *catalog, const char *name, uint64_t id, struct vde_volume_info *info)
{
    struct volume_record volume;
    struct dataset_record record;
    VDE_TRY(read_record(catalog, id, name, &volume));
    VDE_TRY(map_dataset_record(catalog, id, &record));
    memset(info, 0, sizeof *info);
    memcpy(info->name, name, strlen(name) + 1);
    info->id = id;
    info->size_bytes = volume.size_bytes;
    info->compression = volume.compression;
    info->flags = volume.flags & VOLUME_PREALLOC ? VDE_VOLUME_PREALLOC : 0;
    info->created_us = volume.created_us;
    info->mapped_bytes = record.mapped_blocks * BLOCK_BYTES;
    uint64_t data = record.stored_blocks - min_u64(record.root.nodes, record.stored_blocks);
    info->stored_bytes = data * BLOCK_BYTES;
    info->metadata_bytes = (record.stored_blocks - data) * BLOCK_BYTES;
    info->snapshot_bytes = record.dead_blocks * BLOCK_BYTES;
    uint8_t key[CATALOG_KEY_MAX];
    VDE_TRY(walk(catalog, key, key_snapshot(key, id, 0) - 8, count_one, &info->snapshots));
    return record.origin ? describe_origin(catalog, &record, info) : VDE_OK;
}

vde_status vde_volume_get(vde_view *view, const char *name, struct vde_volume_info *ret_info)
{
    VDE_TRY(volume_check_name(name));
    struct map catalog = map_catalog(view->layers, &view->image->store, &view->image->label.layout, view->lsn);
    uint64_t id;
    struct volume_record record;
    VDE_TRY(volume_lookup(&catalog, name, &id, &record));
    return describe(&catalog, name, id, ret_info);
}

struct listing {
    const struct map *catalog;
    vde_status (*each)(void *context, const struct vde_volume_info *info);
    void *context;
    vde_status status;
};

static bool list_one(void *context, const uint8_t *key, size_t key_size, const struct map_value *value)
{
    struct listing *listing = context;
    struct vde_volume_info info;
    char name[VDE_VOLUME_NAME_MAX + 1];
    uint64_t id;
    size_t skip = 1 + PREFIX_BYTES;
    if (key_size - skip == 0 || key_size - skip > VDE_VOLUME_NAME_MAX) /* a kv map that happens to be called so */
        return true;
    memcpy(name, key + skip, key_size - skip);
    name[key_size - skip] = '\0';
    listing->status = name_value(value, name, &id);
    if (listing->status == VDE_OK)
        listing->status = describe(listing->catalog, name, id, &info);
    if (listing->status == VDE_OK)
        listing->status = listing->each(listing->context, &info);
    return listing->status == VDE_OK;
}

vde_status vde_volume_list(vde_view *view, vde_status (*each)(void *context, const struct vde_volume_info *info),
                           void *context)
{
    struct map catalog = map_catalog(view->layers, &view->image->store, &view->image->label.layout, view->lsn);
    struct listing listing = {&catalog, each, context, VDE_OK};
    uint8_t key[CATALOG_KEY_MAX];
    size_t size = key_name(key, VOLUME_NAME_PREFIX, PREFIX_BYTES);
    VDE_TRY(walk(&catalog, key, size, list_one, &listing));
    return listing.status;
}
