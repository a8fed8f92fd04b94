/* SPDX-License-Identifier: Apache-2.0 */
#include "state/map.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t lh_hash(struct lh_slice key) { return XXH3_64bits(key.size ? key.data : "", key.size); }

void lh_hash_map_done(struct lh_hash_map *map)
{
    free(map->items);
    free(map->slots);
    *map = (struct lh_hash_map)LH_HASH_MAP_INIT;
}

struct lh_map_item *lh_hash_map_find(const struct lh_hash_map *map, struct lh_slice key, uint64_t hash)
{
    if (map->slot_count == 0)
        return NULL;
    for (size_t slot = hash & (map->slot_count - 1);; slot = (slot + 1) & (map->slot_count - 1)) {
        uint32_t index = map->slots[slot];
        if (index == 0)
            return NULL;
        struct lh_map_item *item = &map->items[index - 1];
        if (item->hash == hash && lh_slice_equal(item->key, key))
            return item;
    }
}

static bool grow(struct lh_hash_map *map)
{
    size_t slot_count = map->slot_count ? map->slot_count * 2 : 16;
    size_t capacity = slot_count / 2;
    struct lh_map_item *items = realloc(map->items, capacity * sizeof *items);
    if (!items)
        return false;
    map->items = items;
    uint32_t *slots = calloc(slot_count, sizeof *slots);
    if (!slots)
        return false;
    free(map->slots);
    map->slots = slots;
    map->slot_count = slot_count;
    map->capacity = capacity;
    for (size_t i = 0; i < map->count; i++) {
        size_t slot = items[i].hash & (slot_count - 1);
        while (slots[slot])
            slot = (slot + 1) & (slot_count - 1);
        slots[slot] = (uint32_t)i + 1;
    }
    return true;
}

struct lh_map_item *lh_hash_map_put(struct lh_hash_map *map, struct lh_slice key, uint64_t hash)
{
    struct lh_map_item *item = lh_hash_map_find(map, key, hash);
    if (item)
        return item;
    if (map->count == UINT32_MAX - 1 || (map->count == map->capacity && !grow(map)))
        return NULL;
    size_t slot = hash & (map->slot_count - 1);
    while (map->slots[slot])
        slot = (slot + 1) & (map->slot_count - 1);
    map->slots[slot] = (uint32_t)map->count + 1;
    item = &map->items[map->count++];
    *item = (struct lh_map_item){key, {NULL, 0}, hash, 0, false};
    return item;
}

struct lh_map_item *lh_hash_map_same(const struct lh_hash_map *map, uint64_t hash, size_t *slot)
{
    if (map->slot_count == 0)
        return NULL;
    size_t at = *slot == SIZE_MAX ? (size_t)hash & (map->slot_count - 1) : (*slot + 1) & (map->slot_count - 1);
    for (; map->slots[at]; at = (at + 1) & (map->slot_count - 1)) {
        struct lh_map_item *item = &map->items[map->slots[at] - 1];
        if (item->hash == hash) {
            *slot = at;
            return item;
        }
    }
    return NULL;
}
