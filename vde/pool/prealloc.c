/* SPDX-License-Identifier: Apache-2.0 */
/* prealloc.c -- what each preallocated volume may still take out of the space kept for it. In memory only: at open it is
 * counted from size and mapped blocks. The sum is what space/ keeps; both change together, under prealloc_lock. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"
#include "pool/map.h"
#include "pool/pool.h"

struct prealloc {
    struct prealloc *next;
    uint64_t id, blocks;
};

/* Lock held. */
static struct prealloc *find(struct vde_image *image, uint64_t id)
{
    struct prealloc *entry = image->preallocs;
    while (entry && entry->id != id)
        entry = entry->next;
    return entry;
}

static vde_status add_entry(struct vde_image *image, uint64_t id, uint64_t blocks)
{
    struct prealloc *entry = malloc(sizeof *entry);
    if (!entry)
        return fail_nomem("volume");
    *entry = (struct prealloc){image->preallocs, id, blocks};
    image->preallocs = entry;
    return VDE_OK;
}

static vde_status load_volume(struct vde_image *image, const struct map *catalog, uint64_t id, const struct map_value *value)
{
    struct volume_record volume;
    struct dataset_record dataset;
    VDE_TRY(volume_record_get(value->data, value->size, id, &volume));
    if (!(volume.flags & VOLUME_PREALLOC))
        return VDE_OK;
    VDE_TRY(map_dataset_record(catalog, id, &dataset));
    uint64_t blocks = div_up(volume.size_bytes, BLOCK_BYTES);
    blocks -= min_u64(blocks, dataset.mapped_blocks);
    VDE_TRY(add_entry(image, id, blocks));
    space_restore_volume(image->space, blocks);
    return VDE_OK;
}

vde_status prealloc_load(struct vde_image *image)
{
    uint64_t lsn;
    struct layers *layers = layers_pin(image, true, &lsn);
    struct map catalog = map_catalog(layers, &image->store, &image->label.layout, lsn);
    const uint8_t from = CATALOG_KEY_VOLUME;
    struct map_cursor *cursor;
    vde_status status = map_cursor_open(&catalog, &from, 1, &cursor);
    if (status == VDE_OK) {
        while (status == VDE_OK && map_cursor_valid(cursor)) {
            const uint8_t *key;
            size_t size;
            struct map_value value;
            map_cursor_record(cursor, &key, &size, &value);
            if (size != 9 || key[0] != CATALOG_KEY_VOLUME)
                break;
            status = load_volume(image, &catalog, be64_get(key + 1), &value);
            if (status == VDE_OK)
                status = map_cursor_next(cursor);
        }
        map_cursor_close(cursor);
    }
    layers_unpin(image, layers);
    return status;
}

void prealloc_done(struct vde_image *image)
{
    while (image->preallocs) {
        struct prealloc *entry = image->preallocs;
        image->preallocs = entry->next;
        free(entry);
    }
}

vde_status prealloc_reserve(struct vde_image *image, uint64_t id, uint64_t blocks)
{
    lock_take(&image->prealloc_lock);
    struct prealloc *entry = find(image, id);
    vde_status status = entry ? VDE_OK : add_entry(image, id, 0);
    if (status == VDE_OK)
        status = space_reserve_volume(image->space, blocks);
    if (status == VDE_OK)
        find(image, id)->blocks += blocks;
    lock_drop(&image->prealloc_lock);
    return status;
}

void prealloc_unreserve(struct vde_image *image, uint64_t id, uint64_t blocks)
{
    lock_take(&image->prealloc_lock);
    struct prealloc *entry = find(image, id);
    blocks = entry ? min_u64(blocks, entry->blocks) : 0;
    if (blocks > 0) {
        entry->blocks -= blocks;
        space_unreserve_volume(image->space, blocks);
    }
    lock_drop(&image->prealloc_lock);
}

void prealloc_drop(struct vde_image *image, uint64_t id)
{
    prealloc_unreserve(image, id, UINT64_MAX);
    lock_take(&image->prealloc_lock);
    for (struct prealloc **link = &image->preallocs; *link; link = &(*link)->next)
        if ((*link)->id == id) {
            struct prealloc *entry = *link;
            *link = entry->next;
            free(entry);
            break;
        }
    lock_drop(&image->prealloc_lock);
}

vde_status prealloc_allocate(struct vde_image *image, uint64_t id, uint64_t covered, uint32_t want, uint32_t min,
                             uint64_t *ret_address, uint32_t *ret_blocks, uint32_t *ret_covered)
{
    lock_take(&image->prealloc_lock);
    struct prealloc *entry = find(image, id);
    vde_status status = space_allocate_volume(image->space, entry ? min_u64(covered, entry->blocks) : 0, want, min,
                                              ret_address, ret_blocks, ret_covered);
    if (status == VDE_OK && entry)
        entry->blocks -= *ret_covered;
    lock_drop(&image->prealloc_lock);
    return status;
}

void prealloc_restore(struct vde_image *image, uint64_t id, uint64_t blocks)
{
    lock_take(&image->prealloc_lock);
    struct prealloc *entry = find(image, id);
    if (entry) {
        entry->blocks += blocks;
        space_restore_volume(image->space, blocks);
    }
    lock_drop(&image->prealloc_lock);
}
