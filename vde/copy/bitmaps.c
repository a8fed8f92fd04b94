/* SPDX-License-Identifier: Apache-2.0 */
/* bitmaps.c -- the bitmaps of one checkpoint, and the blocks that they show in use. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/checksum.h"
#include "base/fail.h"
#include "copy/copy.h"
#include "format/alloc.h"

#define GATHER_BLOCKS 2048u /* 8 MiB in flight */
#define GATHER_IOS 128u
#define IO_BLOCKS (VDE_IO_MAX_BYTES / BLOCK_BYTES)

/* --- pages and index ------------------------------------------------------------------------------------------------ */

static vde_status verify_page(const struct copy *copy, uint64_t page, const struct disk_alloc_entry *entry,
                              const struct disk_bitmap *bitmap)
{
    uint64_t place = bitmap_slot_block(&copy->label.layout, page, entry->slot);
    uint64_t sum = checksum(bitmap, BLOCK_BYTES, copy->image->seed ^ place);
    if (sum != le64_get(entry->checksum))
        return fail_corrupt("bitmap page %llu slot %u|checksum %016llx|%016llx", (unsigned long long)page, entry->slot,
                            (unsigned long long)sum, (unsigned long long)le64_get(entry->checksum));
    return VDE_OK;
}

/* Both slots are written: the spare one with zeroes, so that no page of an older copy stands there. */
static vde_status copy_page(struct copy *copy, uint64_t page, const struct disk_alloc_entry *entry, uint8_t *pair)
{
    const struct layout *layout = &copy->label.layout;
    if (entry->slot > 1)
        return fail_corrupt("alloc index entry %llu|slot %u|0 or 1", (unsigned long long)page, entry->slot);
    uint8_t *bitmap = pair + (size_t)entry->slot * BLOCK_BYTES;
    memset(pair, 0, 2 * (size_t)BLOCK_BYTES);
    VDE_TRY(device_transfer(copy->image->device, VDE_IO_READ, bitmap_slot_block(layout, page, entry->slot), bitmap, 1));
    VDE_TRY(verify_page(copy, page, entry, (const struct disk_bitmap *)(const void *)bitmap));
    return device_transfer(copy->target, VDE_IO_WRITE, bitmap_slot_block(layout, page, 0), pair, 2);
}

static struct disk_alloc_entry index_entry(const uint8_t *index, uint64_t page)
{
    struct disk_alloc_entry entry;
    memcpy(&entry, index + sizeof(struct disk_alloc_index) + page * sizeof entry, sizeof entry);
    return entry;
}

/* Read the index of the instant, from the image or from what was copied already. */
static vde_status read_index(const struct copy *copy, struct vde_device *device, uint8_t **ret_index)
{
    const struct layout *layout = &copy->label.layout;
    uint64_t blocks = alloc_index_blocks(layout->alloc_pages), place = alloc_index_block(layout, copy->sb.alloc_slot);
    uint8_t *index = aligned_alloc(BLOCK_BYTES, blocks * BLOCK_BYTES);
    if (!index)
        return fail_nomem("alloc index");
    vde_status status = device_transfer(device, VDE_IO_READ, place, index, blocks);
    uint64_t sum = status == VDE_OK ? checksum(index, blocks * BLOCK_BYTES, copy->image->seed ^ place) : 0;
    if (status == VDE_OK && sum != copy->sb.alloc_checksum)
        status = fail_corrupt("alloc index slot %u|checksum %016llx|%016llx", copy->sb.alloc_slot,
                              (unsigned long long)sum, (unsigned long long)copy->sb.alloc_checksum);
    if (status != VDE_OK) {
        free(index);
        return status;
    }
    *ret_index = index;
    return VDE_OK;
}

static vde_status write_index(struct copy *copy, const uint8_t *index)
{
    const struct layout *layout = &copy->label.layout;
    uint64_t blocks = alloc_index_blocks(layout->alloc_pages);
    uint8_t *spare = aligned_alloc(BLOCK_BYTES, blocks * BLOCK_BYTES);
    if (!spare)
        return fail_nomem("alloc index");
    memcpy(spare, index, blocks * BLOCK_BYTES);
    vde_status status = device_transfer(copy->target, VDE_IO_WRITE, alloc_index_block(layout, copy->sb.alloc_slot),
                                        spare, blocks);
    memset(spare, 0, blocks * BLOCK_BYTES);
    if (status == VDE_OK)
        status = device_transfer(copy->target, VDE_IO_WRITE, alloc_index_block(layout, !copy->sb.alloc_slot), spare,
                                 blocks);
    free(spare);
    return status;
}

vde_status copy_bitmaps(struct copy *copy)
{
    uint8_t *index, *pair = aligned_alloc(BLOCK_BYTES, 2 * (size_t)BLOCK_BYTES);
    if (!pair)
        return fail_nomem("bitmap page");
    vde_status status = read_index(copy, copy->image->device, &index);
    if (status == VDE_OK) {
        for (uint64_t page = 0; page < copy->label.layout.alloc_pages && status == VDE_OK; page++) {
            struct disk_alloc_entry entry = index_entry(index, page);
            if (entry.written)
                status = copy_page(copy, page, &entry, pair);
        }
        if (status == VDE_OK)
            status = write_index(copy, index);
        free(index);
    }
    free(pair);
    return status;
}

/* --- blocks --------------------------------------------------------------------------------------------------------- */

/* Runs are gathered until they fill the buffer or the list of requests; then all are read at once and written at once. */
struct gather {
    struct copy *copy;
    uint8_t *buffer;
    uint64_t blocks;
    struct vde_io ios[GATHER_IOS];
    size_t count;
};

static vde_status gather_move(struct gather *g)
{
    if (g->count == 0)
        return VDE_OK;
    VDE_TRY(g->copy->image->device->ops->run(g->copy->image->device, g->ios, g->count));
    for (size_t i = 0; i < g->count; i++)
        g->ios[i].op = VDE_IO_WRITE;
    VDE_TRY(g->copy->target->ops->run(g->copy->target, g->ios, g->count));
    g->copy->copied_blocks += g->blocks;
    g->blocks = 0;
    g->count = 0;
    copy_progress(g->copy, 0, g->copy->copied_blocks, g->copy->sb.used_blocks);
    return VDE_OK;
}

static vde_status gather_run(struct gather *g, uint64_t block, uint64_t blocks)
{
    if (block + blocks > g->copy->label.layout.blocks)
        return fail_corrupt("bitmap|block %llu in use|blocks inside the image", (unsigned long long)(block + blocks - 1));
    while (blocks > 0) {
        if (g->count == GATHER_IOS || g->blocks == GATHER_BLOCKS)
            VDE_TRY(gather_move(g));
        uint64_t part = min_u64(min_u64(blocks, IO_BLOCKS), GATHER_BLOCKS - g->blocks);
        g->ios[g->count++] = (struct vde_io){.op = VDE_IO_READ, .size = (uint32_t)(part * BLOCK_BYTES),
                                             .offset = block * BLOCK_BYTES,
                                             .buffer = g->buffer + g->blocks * BLOCK_BYTES};
        g->blocks += part;
        block += part;
        blocks -= part;
    }
    return VDE_OK;
}

static vde_status gather_page(struct gather *g, uint64_t page, const struct disk_bitmap *bitmap)
{
    uint32_t start = 0, bits = 0; /* the run at hand */
    for (uint32_t i = 0; i < BITMAP_BITS; i++) {
        if (i % 64 == 0 && bits == 0 && i + 64 <= BITMAP_BITS) {
            uint64_t word;
            memcpy(&word, bitmap->bits + i / 8, sizeof word);
            if (word == 0) {
                i += 63;
                continue;
            }
        }
        if (bitmap->bits[i / 8] >> (i % 8) & 1) {
            start = bits ? start : i;
            bits++;
        } else if (bits) {
            VDE_TRY(gather_run(g, page * BITMAP_BITS + start, bits));
            bits = 0;
        }
    }
    return bits ? gather_run(g, page * BITMAP_BITS + start, bits) : VDE_OK;
}

/* The pages are read back from the target: the image's own are written over by its next checkpoints. */
static vde_status gather_all(struct gather *g, const uint8_t *index, uint8_t *block)
{
    const struct layout *layout = &g->copy->label.layout;
    for (uint64_t page = 0; page < layout->alloc_pages; page++) {
        struct disk_alloc_entry entry = index_entry(index, page);
        if (!entry.written || le16_get(entry.used) == 0)
            continue;
        const struct disk_bitmap *bitmap = (const struct disk_bitmap *)(const void *)block;
        VDE_TRY(device_transfer(g->copy->target, VDE_IO_READ, bitmap_slot_block(layout, page, entry.slot), block, 1));
        VDE_TRY(verify_page(g->copy, page, &entry, bitmap));
        VDE_TRY(gather_page(g, page, bitmap));
    }
    return gather_move(g);
}

vde_status copy_blocks(struct copy *copy)
{
    struct gather g = {.copy = copy};
    uint8_t *index, *block = aligned_alloc(BLOCK_BYTES, BLOCK_BYTES);
    g.buffer = aligned_alloc(BLOCK_BYTES, GATHER_BLOCKS * (size_t)BLOCK_BYTES);
    vde_status status = block && g.buffer ? read_index(copy, copy->target, &index) : fail_nomem("copy");
    if (status == VDE_OK) {
        status = gather_all(&g, index, block);
        free(index);
    }
    free(g.buffer);
    free(block);
    return status;
}
