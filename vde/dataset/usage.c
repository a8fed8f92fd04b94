/* SPDX-License-Identifier: Apache-2.0 */
/* usage.c -- who takes how much space: mostly what the records of the catalog count; what a clone has of its own, and what
 * came after the newest snapshot, is counted by the births of what the newest version reaches. */
#include <vde/usage.h>

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"
#include "pool/pool.h"

struct usage_walk {
    struct vde_image *image;
    struct superblock sb;
    vde_status (*each)(void *context, const struct vde_usage *usage);
    void *context;
    struct vde_usage *items;
    size_t count, capacity;
    uint64_t newest_image;   /* LSN of the newest snapshot of the image */
    bool freeing;
    uint8_t *levels;         /* one block a level */
};

/* --- counting ------------------------------------------------------------------------------------------------------- */

/* Blocks of a subtree that were born after `lsn`. What lies below an older node is older. */
static vde_status count_newer(struct usage_walk *w, uint64_t tree, struct ptr p, unsigned level, uint64_t lsn,
                              uint64_t *blocks)
{
    uint64_t end = layout_blocks(&w->image->label.layout);
    if (p.birth <= lsn || ptr_is_null(p))
        return VDE_OK;
    uint8_t *block = w->levels + (size_t)level * BLOCK_BYTES;
    VDE_TRY(image_read(w->image, p.address, block, 1));
    VDE_TRY(node_verify(block, w->image->seed, tree, p, level, end));
    const struct disk_node *node = (const struct disk_node *)(const void *)block;
    *blocks += p.blocks;
    for (unsigned i = 0; i < node_count(node); i++) {
        struct node_record r = node_record(node, i);
        if (level > 0)
            VDE_TRY(count_newer(w, tree, node_child(node, i), level - 1, lsn, blocks));
        for (unsigned k = 0; level == 0 && k < value_extents(r.kind, r.value); k++) {
            struct ptr extent = value_extent(r.kind, r.value, k);
            *blocks += extent.birth > lsn ? extent.blocks : 0;
        }
    }
    return VDE_OK;
}

static vde_status count_of(struct usage_walk *w, const struct dataset_record *r, uint64_t lsn, uint64_t *ret_bytes)
{
    uint64_t blocks = 0;
    if (lsn == 0)
        blocks = r->stored_blocks;
    else
        VDE_TRY(count_newer(w, r->tree, r->root.node, r->root.level, lsn, &blocks));
    *ret_bytes = blocks * BLOCK_BYTES;
    return VDE_OK;
}

static vde_status count_dataset(struct usage_walk *w, const struct dataset_record *r, struct vde_usage *usage)
{
    usage->referenced_bytes = r->stored_blocks * BLOCK_BYTES;
    usage->node_bytes = r->root.nodes * BLOCK_BYTES;
    usage->mapped_bytes = r->mapped_blocks * BLOCK_BYTES;
    usage->snapshot_bytes = r->dead_blocks * BLOCK_BYTES;
    usage->list_bytes = r->dead.nodes * BLOCK_BYTES;
    VDE_TRY(count_of(w, r, r->origin_lsn, &usage->own_bytes));
    return count_of(w, r, max_u64(r->origin_lsn, max_u64(r->newest_snapshot, w->newest_image)), &usage->unique_bytes);
}

/* --- the catalog ---------------------------------------------------------------------------------------------------- */

/* Items stand in the order of the catalog, that of ids. */
static struct vde_usage *find(const struct usage_walk *w, uint64_t id)
{
    size_t low = 0, high = w->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (w->items[middle].dataset < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < w->count && w->items[low].dataset == id ? &w->items[low] : NULL;
}

static vde_status add(struct usage_walk *w, uint64_t id, uint32_t kind, struct vde_usage **ret_usage)
{
    if (w->count == w->capacity) {
        size_t capacity = w->capacity ? 2 * w->capacity : 64;
        struct vde_usage *grown = realloc(w->items, capacity * sizeof *grown);
        if (!grown)
            return fail_nomem("usage");
        w->items = grown;
        w->capacity = capacity;
    }
    *ret_usage = &w->items[w->count++];
    memset(*ret_usage, 0, sizeof **ret_usage);
    (*ret_usage)->dataset = id;
    (*ret_usage)->kind = kind;
    return VDE_OK;
}

static vde_status take_dataset(struct usage_walk *w, const uint8_t *key, const struct tree_value *value)
{
    struct dataset_record r;
    struct vde_usage *usage;
    uint64_t id = be64_get(key + 1);
    VDE_TRY(dataset_record_get(value->data, value->size, id, &w->image->label.layout, &r));
    uint32_t kind = id == DATASET_HISTORY ? VDE_USAGE_HISTORY : id == DATASET_FILES ? VDE_USAGE_FILES
                  : r.kind == DATASET_KIND_VOLUME ? VDE_USAGE_VOLUME : VDE_USAGE_MAP;
    VDE_TRY(add(w, id, kind, &usage));
    memcpy(usage->name, r.name, sizeof r.name);
    return count_dataset(w, &r, usage);
}

/* The records behind the datasets': names of volumes, and what is dropped. */
static vde_status take_other(struct usage_walk *w, const uint8_t *key, size_t key_size, const struct tree_value *value)
{
    size_t prefix = sizeof VOLUME_NAME_PREFIX - 1;
    struct zombie_record zombie;
    struct vde_usage *usage;
    vde_le64 id;
    if (key[0] == CATALOG_KEY_NAME && value->size == sizeof id && key_size > 1 + prefix &&
        memcmp(key + 1, VOLUME_NAME_PREFIX, prefix) == 0) {
        memcpy(&id, value->data, sizeof id);
        usage = find(w, le64_get(id));
        if (usage && usage->kind == VDE_USAGE_VOLUME && key_size - 1 - prefix < sizeof usage->name)
            memcpy(usage->name, key + 1 + prefix, key_size - 1 - prefix);
    }
    if (key[0] != CATALOG_KEY_ZOMBIE || key_size != 10 || key[1] != 'd' || !(usage = find(w, be64_get(key + 2))))
        return VDE_OK;
    VDE_TRY(zombie_record_get(value->data, value->size, "catalog record z", &zombie));
    usage->dropped = true;
    if (zombie.freeing) { /* its record says what it was */
        w->freeing = true;
        usage->kind = VDE_USAGE_FREEING;
    }
    return VDE_OK;
}

static vde_status visit(struct usage_walk *w, const struct tree_cursor *cursor, uint8_t tag)
{
    const void *key;
    size_t size;
    struct tree_value value;
    tree_cursor_record(cursor, &key, &size, &value);
    const uint8_t *bytes = key;
    if (value.kind != VALUE_INLINE)
        return fail_corrupt("catalog|a record of kind %u|an inline one", (unsigned)value.kind);
    if (tag == CATALOG_KEY_LSN && bytes[0] == tag && size == 17 && be64_get(bytes + 1) == DATASET_CATALOG)
        w->newest_image = be64_get(bytes + 9);
    if (tag == CATALOG_KEY_DATASET && bytes[0] == tag && size == 9)
        return take_dataset(w, bytes, &value);
    return tag == CATALOG_KEY_NAME ? take_other(w, bytes, size, &value) : VDE_OK;
}

/* Records from the first with this tag on. */
static vde_status visit_from(struct usage_walk *w, uint8_t tag)
{
    struct tree_cursor *cursor;
    VDE_TRY(tree_cursor_open(&w->image->store, DATASET_CATALOG, &w->sb.catalog, &cursor));
    vde_status status = tree_cursor_seek(cursor, &tag, 1);
    while (status == VDE_OK && tree_cursor_valid(cursor)) {
        status = visit(w, cursor, tag);
        if (status == VDE_OK)
            status = tree_cursor_next(cursor);
    }
    tree_cursor_close(cursor);
    return status;
}

/* --- the whole ------------------------------------------------------------------------------------------------------ */

static vde_status collect(struct usage_walk *w)
{
    const struct superblock *sb = &w->sb;
    struct dataset_record catalog = {.tree = DATASET_CATALOG, .root = sb->catalog, .dead = sb->catalog_dead,
                                     .stored_blocks = sb->catalog.nodes, .dead_blocks = sb->catalog_dead_blocks};
    struct vde_usage *usage;
    VDE_TRY(visit_from(w, CATALOG_KEY_LSN));
    VDE_TRY(add(w, DATASET_CATALOG, VDE_USAGE_CATALOG, &usage));
    VDE_TRY(count_dataset(w, &catalog, usage));
    VDE_TRY(visit_from(w, CATALOG_KEY_DATASET));
    return visit_from(w, CATALOG_KEY_NAME);
}

static vde_status report(struct usage_walk *w)
{
    struct vde_usage freeing = {.kind = VDE_USAGE_FREEING, .dropped = true};
    freeing.own_bytes = w->sb.used_blocks * BLOCK_BYTES;
    for (size_t i = 0; i < w->count; i++) {
        if (w->items[i].kind == VDE_USAGE_FREEING)
            continue;
        freeing.own_bytes -= min_u64(freeing.own_bytes, vde_usage_used(&w->items[i]));
        VDE_TRY(w->each(w->context, &w->items[i]));
    }
    return w->freeing ? w->each(w->context, &freeing) : VDE_OK;
}

vde_status vde_usage_list(vde_image *image, vde_status (*each)(void *context, const struct vde_usage *usage),
                          void *context)
{
    struct usage_walk w = {.image = image, .each = each, .context = context};
    uint64_t lsn;
    w.levels = aligned_alloc(BLOCK_BYTES, (TREE_LEVEL_MAX + 1) * (size_t)BLOCK_BYTES);
    if (!w.levels)
        return fail_nomem("node buffers");
    lock_take(&image->checkpoint_lock);
    w.sb = image->sb;
    struct layers *layers = layers_pin(image, false, &lsn);
    lock_drop(&image->checkpoint_lock);
    vde_status status = collect(&w);
    layers_unpin(image, layers);
    if (status == VDE_OK)
        status = report(&w);
    free(w.levels);
    free(w.items);
    return status;
}
