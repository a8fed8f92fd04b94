/* SPDX-License-Identifier: Apache-2.0 */
/* map.h -- a hash map from byte strings to records, in order of insertion. Keys and values are borrowed: they live in the
 * arena of whoever fills it. Not shared between threads. */
#ifndef LH_STATE_MAP_H
#define LH_STATE_MAP_H

#include "model/buffer.h"

struct lh_map_item {
    struct lh_slice key;
    struct lh_slice value;
    uint64_t hash;
    uint64_t number;
    bool live;       /* false: a mark that the key was taken away */
};
struct lh_hash_map {
    struct lh_map_item *items;
    uint32_t *slots; /* index + 1, 0 is free */
    size_t count;
    size_t capacity;
    size_t slot_count;
};
#define LH_HASH_MAP_INIT {NULL, NULL, 0, 0, 0}

uint64_t lh_hash(struct lh_slice key);
void lh_hash_map_done(struct lh_hash_map *map);
struct lh_map_item *lh_hash_map_find(const struct lh_hash_map *map, struct lh_slice key, uint64_t hash);
/* The item of the key, added with live = false when it is new. NULL: out of memory. */
struct lh_map_item *lh_hash_map_put(struct lh_hash_map *map, struct lh_slice key, uint64_t hash);
/* All items with this hash, one by one: start with *slot = SIZE_MAX; NULL at the end. */
struct lh_map_item *lh_hash_map_same(const struct lh_hash_map *map, uint64_t hash, size_t *slot);
#endif
