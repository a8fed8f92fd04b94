/* SPDX-License-Identifier: Apache-2.0 */
/* volume_prealloc.c -- writes to preallocated volumes: what they cover for the first time comes out of the space that is kept
 * for them, what they replace is free again two checkpoints later. */
#include "base/fail.h"
#include "dataset/volume.h"

static vde_status count_pinned(struct write_batch *batch, struct reader *reader, const struct map *map)
{
    struct segment segment;
    VDE_TRY(reader_set(reader, map));
    for (uint32_t i = 0; i < batch->unit_count; i++) {
        const struct write_unit *unit = &batch->units[i];
        uint64_t end = unit->block + unit->blocks;
        for (uint64_t at = unit->block; at < end; at += segment.blocks) {
            VDE_TRY(block_cursor_at(reader->cursor, at, end, &segment));
            batch->covered += segment.data ? 0 : segment.blocks;
        }
    }
    return VDE_OK;
}

vde_status batch_count_covered(struct write_batch *batch)
{
    struct vde_image *image = batch->volumes->image;
    if (batch->unit_count == 0 || !(batch->units[0].volume->flags & VOLUME_PREALLOC))
        return VDE_OK;
    batch->prealloc = batch->units[0].volume->id;
    batch->covered = 0;
    struct reader *reader;
    struct map map;
    uint64_t lsn;
    VDE_TRY(reader_take(batch->volumes, &reader));
    struct layers *layers = layers_pin(image, true, &lsn);
    struct map catalog = map_catalog(layers, &image->store, &image->label.layout, lsn);
    vde_status status = map_open(&catalog, batch->prealloc, 0, &map);
    if (status == VDE_OK)
        status = count_pinned(batch, reader, &map);
    layers_unpin(image, layers);
    reader_give(batch->volumes, reader);
    return status;
}
