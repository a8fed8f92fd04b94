/* SPDX-License-Identifier: Apache-2.0 */
/* map.c -- overlays merged over a tree: lookup, and a cursor over at most three sorted sources. */
#include "pool/map.h"

#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "pool/pool.h"

struct map map_catalog(const struct layers *layers, const struct tree_store *store, const struct layout *layout,
                       uint64_t lsn)
{
    return (struct map){store, layout, DATASET_CATALOG, DATASET_CATALOG, layers->catalog,
                        {layers->overlays[0], layers->overlays[1]}, 0, lsn};
}

vde_status map_get(const struct map *map, const void *key, size_t key_size, enum value_kind *ret_kind, void **ret_data,
                   size_t *ret_size, uint64_t *ret_lsn)
{
    for (unsigned i = 0; i < 2; i++) {
        struct overlay_entry entry;
        if (!map->overlays[i] || !overlay_get(map->overlays[i], map->dataset, key, key_size, map->lsn, &entry) ||
            entry.lsn <= map->after)
            continue;
        if (entry.kind == VALUE_DELETE)
            return VDE_NOT_FOUND;
        void *data = malloc(entry.value_size ? entry.value_size : 1);
        if (!data)
            return fail_nomem("value");
        memcpy(data, entry.value, entry.value_size);
        *ret_kind = entry.kind;
        *ret_data = data;
        *ret_size = entry.value_size;
        *ret_lsn = entry.lsn;
        return VDE_OK;
    }
    *ret_lsn = 0;
    return tree_get(map->store, map->tree, &map->root, key, key_size, ret_kind, ret_data, ret_size);
}

static bool key_exists(const struct map *map, const uint8_t *key, size_t key_size, vde_status *ret_status)
{
    enum value_kind kind;
    void *data = NULL;
    size_t size;
    uint64_t lsn;
    *ret_status = map_get(map, key, key_size, &kind, &data, &size, &lsn);
    if (*ret_status == VDE_OK)
        free(data);
    return *ret_status == VDE_OK;
}

vde_status map_dataset_record(const struct map *catalog, uint64_t dataset, struct dataset_record *ret_record)
{
    uint8_t key[CATALOG_KEY_MAX];
    vde_status status;
    if (key_exists(catalog, key, key_zombie(key, 'd', dataset), &status))
        return fail_as(VDE_NOT_FOUND, "dataset %llu|a dropped dataset|an existing one", (unsigned long long)dataset);
    if (status != VDE_NOT_FOUND)
        return status;
    enum value_kind kind;
    void *data = NULL;
    size_t size;
    uint64_t lsn;
    status = map_get(catalog, key, key_dataset(key, dataset), &kind, &data, &size, &lsn);
    if (status == VDE_NOT_FOUND && dataset < ID_FIRST) {
        *ret_record = (struct dataset_record){.id = dataset, .kind = DATASET_KIND_KV, .tree = dataset};
        return VDE_OK;
    }
    if (status == VDE_NOT_FOUND)
        return fail_as(VDE_NOT_FOUND, "dataset %llu|no such dataset|an existing one", (unsigned long long)dataset);
    VDE_TRY(status);
    status = dataset_record_get(data, size, dataset, catalog->layout, ret_record);
    free(data);
    if (status == VDE_OK && lsn != 0 && ret_record->created_lsn == 0)
        ret_record->created_lsn = lsn;
    return status;
}

vde_status map_snapshot_tag(const struct map *catalog, uint64_t dataset, const char *name, uint64_t *ret_tag)
{
    uint8_t key[CATALOG_KEY_MAX];
    enum value_kind kind;
    void *data = NULL;
    size_t size, name_size = strlen(name);
    uint64_t lsn;
    if (name_size == 0 || name_size > SNAPSHOT_NAME_MAX)
        return fail_as(VDE_INVAL, "snapshot name|%zu bytes|1 to %u", name_size, SNAPSHOT_NAME_MAX);
    vde_status status = map_get(catalog, key, key_alias(key, dataset, name, name_size), &kind, &data, &size, &lsn);
    if (status == VDE_NOT_FOUND)
        return fail_as(VDE_NOT_FOUND, "snapshot \"%s\"|no such snapshot|an existing one", name);
    VDE_TRY(status);
    vde_le64 tag;
    if (size == sizeof tag) {
        memcpy(&tag, data, sizeof tag);
        *ret_tag = le64_get(tag);
    } else {
        status = fail_corrupt("snapshot name \"%s\"|%zu bytes|8", name, size);
    }
    free(data);
    return status;
}

vde_status map_snapshot_record(const struct map *catalog, uint64_t dataset, uint64_t tag,
                               struct snapshot_record *ret_record, bool *ret_merged)
{
    uint8_t key[CATALOG_KEY_MAX];
    enum value_kind kind;
    void *data = NULL;
    size_t size;
    uint64_t lsn;
    vde_status status = map_get(catalog, key, key_snapshot(key, dataset, tag), &kind, &data, &size, &lsn);
    if (status == VDE_NOT_FOUND)
        return fail_as(VDE_NOT_FOUND, "dataset %llu|no snapshot %llu|an existing one", (unsigned long long)dataset,
                       (unsigned long long)tag);
    VDE_TRY(status);
    status = snapshot_record_get(data, size, catalog->layout, ret_record);
    free(data);
    *ret_merged = lsn == 0;
    if (lsn != 0)
        ret_record->lsn = lsn;
    return status;
}

/* A rollback that no checkpoint has carried out yet: the snapshot's tree, under what was changed since. */
static vde_status apply_rollback(const struct map *catalog, struct map *map)
{
    struct map as_of = *catalog;
    uint8_t key[CATALOG_KEY_MAX];
    enum value_kind kind;
    void *data = NULL;
    size_t size;
    uint64_t lsn;
    as_of.lsn = map->lsn;
    vde_status status = map_get(&as_of, key, key_rollback(key, map->dataset), &kind, &data, &size, &lsn);
    if (status == VDE_NOT_FOUND)
        return VDE_OK;
    VDE_TRY(status);
    vde_le64 tag = le64(0);
    if (size == sizeof tag)
        memcpy(&tag, data, sizeof tag);
    free(data);
    struct snapshot_record snapshot;
    bool merged;
    as_of.lsn = lsn; /* the snapshot may be gone since */
    VDE_TRY(map_snapshot_record(&as_of, map->dataset, le64_get(tag), &snapshot, &merged));
    map->root = snapshot.root;
    map->after = lsn;
    return VDE_OK;
}

vde_status map_open(const struct map *catalog, uint64_t dataset, uint64_t tag, struct map *ret_map)
{
    struct dataset_record record;
    VDE_TRY(map_dataset_record(catalog, dataset, &record));
    *ret_map = *catalog;
    ret_map->dataset = dataset;
    ret_map->tree = record.tree;
    ret_map->root = record.root;
    if (tag == 0)
        return record.kind == DATASET_KIND_VOLUME ? apply_rollback(catalog, ret_map) : VDE_OK;
    struct snapshot_record snapshot;
    bool merged;
    VDE_TRY(map_snapshot_record(catalog, dataset, tag, &snapshot, &merged));
    ret_map->lsn = snapshot.lsn;
    if (!merged) /* what the overlays say up to its LSN, over the same root */
        return record.kind == DATASET_KIND_VOLUME ? apply_rollback(catalog, ret_map) : VDE_OK;
    ret_map->root = snapshot.root;
    ret_map->overlays[0] = ret_map->overlays[1] = NULL;
    return VDE_OK;
}

#define SOURCES 3u /* two overlays and the tree */

struct map_cursor {
    struct map map;
    struct overlay_iterator iterators[2];
    struct tree_cursor *tree;
    int source; /* that the record comes from; -1: past the end */
};

/* The key a source stands on; false when it is at its end. */
static bool source_key(const struct map_cursor *cursor, unsigned source, const uint8_t **ret_key, size_t *ret_size)
{
    if (source == 2) {
        struct tree_value value;
        const void *key;
        if (!tree_cursor_valid(cursor->tree))
            return false;
        tree_cursor_record(cursor->tree, &key, ret_size, &value);
        *ret_key = key;
        return true;
    }
    if (!cursor->map.overlays[source] || !overlay_valid(&cursor->iterators[source]))
        return false;
    struct overlay_entry entry;
    overlay_entry(&cursor->iterators[source], &entry);
    if (entry.dataset != cursor->map.dataset)
        return false;
    *ret_key = entry.key;
    *ret_size = entry.key_size;
    return true;
}

static int compare(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
    if (order)
        return order;
    return a_size < b_size ? -1 : a_size > b_size;
}

/* Entries that are too old say nothing, not even of the sources below. */
static void skip_old(struct map_cursor *cursor, unsigned source)
{
    struct overlay_entry entry;
    while (cursor->map.after > 0 && overlay_valid(&cursor->iterators[source])) {
        overlay_entry(&cursor->iterators[source], &entry);
        if (entry.dataset != cursor->map.dataset || entry.lsn > cursor->map.after)
            return;
        overlay_next(&cursor->iterators[source]);
    }
}

static vde_status advance(struct map_cursor *cursor, unsigned source)
{
    if (source == 2)
        return tree_cursor_next(cursor->tree);
    overlay_next(&cursor->iterators[source]);
    skip_old(cursor, source);
    return VDE_OK;
}

/* Choose the smallest key, the newest source among equals; skip what equal keys of older sources say, and deletions. */
static vde_status settle(struct map_cursor *cursor)
{
    for (;;) {
        const uint8_t *best = NULL;
        size_t best_size = 0;
        cursor->source = -1;
        for (unsigned i = 0; i < SOURCES; i++) {
            const uint8_t *key;
            size_t size;
            if (source_key(cursor, i, &key, &size) && (!best || compare(key, size, best, best_size) < 0)) {
                best = key;
                best_size = size;
                cursor->source = (int)i;
            }
        }
        if (!best)
            return VDE_OK;
        for (unsigned i = (unsigned)cursor->source + 1; i < SOURCES; i++) {
            const uint8_t *key;
            size_t size;
            if (source_key(cursor, i, &key, &size) && compare(key, size, best, best_size) == 0)
                VDE_TRY(advance(cursor, i));
        }
        if (cursor->source == 2)
            return VDE_OK;
        struct overlay_entry entry;
        overlay_entry(&cursor->iterators[cursor->source], &entry);
        if (entry.kind != VALUE_DELETE)
            return VDE_OK;
        VDE_TRY(advance(cursor, (unsigned)cursor->source));
    }
}

vde_status map_cursor_seek(struct map_cursor *cursor, const void *key, size_t key_size)
{
    for (unsigned i = 0; i < 2; i++)
        if (cursor->map.overlays[i]) {
            overlay_seek_within(&cursor->iterators[i], cursor->map.overlays[i], cursor->map.lsn, cursor->map.dataset, key,
                                key_size);
            skip_old(cursor, i);
        }
    VDE_TRY(tree_cursor_seek(cursor->tree, key, key_size));
    return settle(cursor);
}

vde_status map_cursor_open(const struct map *map, const void *from, size_t from_size, struct map_cursor **ret_cursor)
{
    struct map_cursor *cursor = calloc(1, sizeof *cursor);
    if (!cursor)
        return fail_nomem("cursor");
    cursor->map = *map;
    vde_status status = tree_cursor_open(map->store, map->tree, &map->root, &cursor->tree);
    if (status == VDE_OK)
        status = map_cursor_seek(cursor, from, from_size);
    if (status != VDE_OK) {
        map_cursor_close(cursor);
        return status;
    }
    *ret_cursor = cursor;
    return VDE_OK;
}

void map_cursor_close(struct map_cursor *cursor)
{
    if (!cursor)
        return;
    if (cursor->tree)
        tree_cursor_close(cursor->tree);
    free(cursor);
}

bool map_cursor_valid(const struct map_cursor *cursor)
{
    return cursor->source >= 0;
}

vde_status map_cursor_next(struct map_cursor *cursor)
{
    VDE_TRY(advance(cursor, (unsigned)cursor->source));
    return settle(cursor);
}

void map_cursor_record(const struct map_cursor *cursor, const uint8_t **ret_key, size_t *ret_key_size,
                       struct map_value *ret_value)
{
    if (cursor->source == 2) {
        struct tree_value value;
        const void *key;
        tree_cursor_record(cursor->tree, &key, ret_key_size, &value);
        *ret_key = key;
        *ret_value = (struct map_value){value.kind, value.data, value.size, 0};
        return;
    }
    struct overlay_entry entry;
    overlay_entry(&cursor->iterators[cursor->source], &entry);
    *ret_key = entry.key;
    *ret_key_size = entry.key_size;
    *ret_value = (struct map_value){entry.kind, entry.value, entry.value_size, entry.lsn};
}
