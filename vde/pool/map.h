/* SPDX-License-Identifier: Apache-2.0 */
/* map.h -- one dataset as of one LSN: overlays merged over a tree version. Values are raw (kind + stored bytes). */
#ifndef VDE_POOL_MAP_H
#define VDE_POOL_MAP_H

#include "format/catalog.h"
#include "tree/overlay.h"
#include "tree/tree.h"

struct layers;

struct map {
    const struct tree_store *store;
    const struct layout *layout;
    uint64_t dataset;
    uint64_t tree;               /* id that the nodes carry: the dataset's own, or that of the origin of a clone */
    struct tree_root root;
    struct overlay *overlays[2]; /* newest first; NULL: none. Borrowed from the layers. */
    uint64_t after, lsn;         /* overlay entries count that are newer than the first and not newer than the second */
};

struct map_value {
    enum value_kind kind;
    const uint8_t *data;
    size_t size;
    uint64_t lsn; /* of the record that wrote it; 0 when it comes from the tree */
};

/* The catalog as of `lsn` in these layers. */
struct map map_catalog(const struct layers *layers, const struct tree_store *store, const struct layout *layout,
                       uint64_t lsn);
/* The record of a dataset: NOT_FOUND when it does not exist or is dropped. Engine datasets always exist. */
vde_status map_dataset_record(const struct map *catalog, uint64_t dataset, struct dataset_record *ret_record);
/* The tag of a named snapshot; NOT_FOUND. */
vde_status map_snapshot_tag(const struct map *catalog, uint64_t dataset, const char *name, uint64_t *ret_tag);
/* The snapshot `tag` of a dataset, merged or not: *ret_record.lsn is always set, the root only when *ret_merged. */
vde_status map_snapshot_record(const struct map *catalog, uint64_t dataset, uint64_t tag,
                               struct snapshot_record *ret_record, bool *ret_merged);
/* A dataset, or (tag != 0) one of its snapshots. */
vde_status map_open(const struct map *catalog, uint64_t dataset, uint64_t tag, struct map *ret_map);

/* Lookup; *ret_data is malloc'd. NOT_FOUND. */
vde_status map_get(const struct map *map, const void *key, size_t key_size, enum value_kind *ret_kind, void **ret_data,
                   size_t *ret_size, uint64_t *ret_lsn);

struct map_cursor;
vde_status map_cursor_open(const struct map *map, const void *from, size_t from_size, struct map_cursor **ret_cursor);
void map_cursor_close(struct map_cursor *cursor);
vde_status map_cursor_seek(struct map_cursor *cursor, const void *key, size_t key_size);
vde_status map_cursor_next(struct map_cursor *cursor);
bool map_cursor_valid(const struct map_cursor *cursor);
/* Borrowed until the next call. */
void map_cursor_record(const struct map_cursor *cursor, const uint8_t **ret_key, size_t *ret_key_size,
                       struct map_value *ret_value);
#endif
