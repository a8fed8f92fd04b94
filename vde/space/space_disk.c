/* SPDX-License-Identifier: Apache-2.0 */
/* space_disk.c -- bitmap pages and the index on disk: read on demand, written to the spare slot. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/checksum.h"
#include "base/fail.h"
#include "space/bits.h"
#include "space/space_private.h"

#define BITS_BYTES (BLOCK_BYTES - BITMAP_HEADER_BYTES)

static vde_status device_io(struct vde_device *device, uint8_t op, uint64_t block, void *buffer, uint64_t bytes)
{
    for (uint64_t done = 0; done < bytes;) {
        uint32_t size = (uint32_t)min_u64(bytes - done, VDE_IO_MAX_BYTES);
        struct vde_io io = {.op = op, .size = size, .offset = block * BLOCK_BYTES + done,
                            .buffer = (uint8_t *)buffer + done};
        VDE_TRY(device->ops->run(device, &io, 1));
        done += size;
    }
    return VDE_OK;
}

/* Read one slot of a page; `expected` NULL: structure only. */
static vde_status read_slot(struct space *space, uint64_t page, unsigned slot, const uint64_t *expected_checksum,
                            struct disk_bitmap *bitmap)
{
    uint64_t block = bitmap_slot_block(&space->layout, page, slot);
    VDE_TRY(device_io(space->device, VDE_IO_READ, block, bitmap, BLOCK_BYTES));
    uint64_t sum = checksum(bitmap, BLOCK_BYTES, space->seed ^ block);
    if (expected_checksum && sum != *expected_checksum)
        return fail_corrupt("bitmap page %llu slot %u|checksum %016llx|%016llx", (unsigned long long)page, slot,
                            (unsigned long long)sum, (unsigned long long)*expected_checksum);
    if (le32_get(bitmap->magic) != BITMAP_MAGIC || le32_get(bitmap->page) != (uint32_t)page ||
        le64_get(bitmap->seed) != space->seed)
        return fail_corrupt("bitmap page %llu slot %u|another block|its own header", (unsigned long long)page, slot);
    return VDE_OK;
}

/* Blocks outside history area and heaps are never handed out. */
static void mark_static(struct space *space, uint64_t page, uint8_t *busy)
{
    uint64_t base = page * BITMAP_BITS, at = base, end = base + BITMAP_BITS;
    for (unsigned i = 0; i < layout_areas(&space->layout) && at < end; i++) {
        const struct region *region = layout_area(&space->layout, i);
        uint64_t stop = min_u64(region->block, end);
        if (stop > at)
            bits_set(busy, (uint32_t)(at - base), (uint32_t)(stop - at));
        at = max_u64(at, region->block + region->blocks);
    }
    if (at < end)
        bits_set(busy, (uint32_t)(at - base), (uint32_t)(end - at));
}

vde_status space_page_load(struct space *space, uint64_t page)
{
    struct page *p = &space->pages[page];
    if (p->busy)
        return VDE_OK;
    uint8_t *bits = calloc(2, BITS_BYTES);
    if (!bits)
        return fail_nomem("bitmap page");
    if (p->entry.written) {
        struct disk_bitmap *bitmap = aligned_alloc(BLOCK_BYTES, BLOCK_BYTES);
        uint64_t expected = le64_get(p->entry.checksum);
        vde_status status = bitmap ? read_slot(space, page, p->entry.slot, &expected, bitmap) : fail_nomem("bitmap page");
        if (status == VDE_OK) {
            memcpy(bits, bitmap->bits, BITS_BYTES);
            memcpy(bits + BITS_BYTES, bitmap->bits, BITS_BYTES);
        }
        free(bitmap);
        if (status != VDE_OK) {
            free(bits);
            return status;
        }
    }
    mark_static(space, page, bits);
    uint32_t busy = bits_count(bits, 0, BITMAP_BITS);
    space->free = space->free - p->free + (BITMAP_BITS - busy);
    p->free = BITMAP_BITS - busy;
    p->longest = 0;
    space_raise_hint(space, page, p->free);
    p->busy = bits;
    p->disk = bits + BITS_BYTES;
    return VDE_OK;
}

static vde_status create(struct vde_device *device, const struct layout *layout, uint64_t seed, struct space **ret_space)
{
    struct space *space = calloc(1, sizeof *space);
    struct page *pages = calloc(layout->alloc_pages, sizeof *pages);
    uint16_t *groups = calloc(space_groups(layout->alloc_pages), sizeof *groups);
    if (!space || !pages || !groups) {
        free(space);
        free(pages);
        free(groups);
        return fail_nomem("free space index");
    }
    lock_init(&space->lock, LOCK_SPACE);
    space->device = device;
    space->layout = *layout;
    space->seed = seed;
    space->pages = pages;
    space->groups = groups;
    const struct region *heap = layout_region(layout, REGION_HEAP);
    space->cursor[SPACE_NODE] = heap->block;
    space->cursor[SPACE_HISTORY] = layout_region(layout, REGION_HISTORY)->block;
    space->cursor[SPACE_DATA] = heap->block + heap->blocks / 8;
    *ret_space = space;
    return VDE_OK;
}

static void count_pages(struct space *space)
{
    for (uint64_t i = 0; i < space->layout.alloc_pages; i++) {
        uint64_t total = space_page_total(space, i);
        uint64_t used = space->pages[i].entry.written ? le16_get(space->pages[i].entry.used) : 0;
        space->pages[i].free = (uint32_t)(total - min_u64(used, total));
        space->total += total;
        space->free += space->pages[i].free;
        space->used += used;
        space_raise_hint(space, i, space->pages[i].free);
    }
}

vde_status space_create(struct vde_device *device, const struct layout *layout, uint64_t seed, struct space **ret_space)
{
    VDE_TRY(create(device, layout, seed, ret_space));
    (*ret_space)->index_slot = 1;
    count_pages(*ret_space);
    return VDE_OK;
}

static vde_status read_index(struct space *space, const struct superblock *sb, uint8_t *buffer, uint64_t bytes)
{
    uint64_t block = alloc_index_block(&space->layout, sb->alloc_slot);
    VDE_TRY(device_io(space->device, VDE_IO_READ, block, buffer, bytes));
    uint64_t sum = checksum(buffer, bytes, space->seed ^ block);
    if (sum != sb->alloc_checksum)
        return fail_corrupt("alloc index slot %u|checksum %016llx|%016llx", sb->alloc_slot, (unsigned long long)sum,
                            (unsigned long long)sb->alloc_checksum);
    struct disk_alloc_index head;
    memcpy(&head, buffer, sizeof head);
    if (le32_get(head.magic) != ALLOC_INDEX_MAGIC || le64_get(head.seed) != space->seed ||
        le64_get(head.pages) != space->layout.alloc_pages || le64_get(head.sequence) != sb->sequence)
        return fail_corrupt("alloc index slot %u|sequence %llu with %llu pages|sequence %llu with %llu pages",
                            sb->alloc_slot, (unsigned long long)le64_get(head.sequence),
                            (unsigned long long)le64_get(head.pages), (unsigned long long)sb->sequence,
                            (unsigned long long)space->layout.alloc_pages);
    for (uint64_t i = 0; i < space->layout.alloc_pages; i++) {
        struct disk_alloc_entry *entry = &space->pages[i].entry;
        memcpy(entry, buffer + sizeof head + i * sizeof *entry, sizeof *entry);
        if (entry->slot > 1 || entry->written > 1 || le16_get(entry->used) > space_page_total(space, i))
            return fail_corrupt("alloc index entry %llu|slot %u, %u used|a legal entry", (unsigned long long)i,
                                entry->slot, le16_get(entry->used));
    }
    return VDE_OK;
}

vde_status space_open(struct vde_device *device, const struct layout *layout, uint64_t seed,
                      const struct superblock *sb, struct space **ret_space)
{
    struct space *space;
    VDE_TRY(create(device, layout, seed, &space));
    space->index_slot = sb->alloc_slot;
    uint64_t bytes = alloc_index_blocks(layout->alloc_pages) * BLOCK_BYTES;
    uint8_t *buffer = aligned_alloc(BLOCK_BYTES, bytes);
    vde_status status = buffer ? read_index(space, sb, buffer, bytes) : fail_nomem("alloc index");
    free(buffer);
    if (status == VDE_OK) {
        count_pages(space);
        if (space->used != sb->used_blocks)
            status = fail_corrupt("alloc index|%llu blocks used|%llu as the superblock says",
                                  (unsigned long long)space->used, (unsigned long long)sb->used_blocks);
    }
    if (status != VDE_OK) {
        space_close(space);
        return status;
    }
    *ret_space = space;
    return VDE_OK;
}

void space_close(struct space *space)
{
    if (!space)
        return;
    for (uint64_t i = 0; i < space->layout.alloc_pages; i++)
        free(space->pages[i].busy);
    free(space->pages);
    free(space->groups);
    lock_done(&space->lock);
    free(space);
}

static vde_status write_page(struct space *space, uint64_t page, uint64_t sequence, struct disk_bitmap *bitmap)
{
    struct page *p = &space->pages[page];
    unsigned slot = p->entry.written ? 1u - p->entry.slot : 0;
    uint64_t block = bitmap_slot_block(&space->layout, page, slot);
    memset(bitmap, 0, BITMAP_HEADER_BYTES);
    bitmap->magic = le32(BITMAP_MAGIC);
    bitmap->page = le32((uint32_t)page);
    bitmap->sequence = le64(sequence);
    bitmap->seed = le64(space->seed);
    memcpy(bitmap->bits, p->disk, BITS_BYTES);
    VDE_TRY(device_io(space->device, VDE_IO_WRITE, block, bitmap, BLOCK_BYTES));
    p->entry.checksum = le64(checksum(bitmap, BLOCK_BYTES, space->seed ^ block));
    p->entry.sequence = le32((uint32_t)sequence);
    p->entry.used = le16((uint16_t)bits_count(p->disk, 0, BITMAP_BITS));
    p->entry.slot = (uint8_t)slot;
    p->entry.written = 1;
    p->dirty = false;
    return VDE_OK;
}

static vde_status write_index(struct space *space, uint64_t sequence, uint8_t *buffer, uint64_t bytes,
                              struct superblock *sb)
{
    struct disk_alloc_index head;
    memset(&head, 0, sizeof head);
    memset(buffer, 0, bytes);
    head.magic = le32(ALLOC_INDEX_MAGIC);
    head.sequence = le64(sequence);
    head.seed = le64(space->seed);
    head.pages = le64(space->layout.alloc_pages);
    memcpy(buffer, &head, sizeof head);
    for (uint64_t i = 0; i < space->layout.alloc_pages; i++)
        memcpy(buffer + sizeof head + i * sizeof(struct disk_alloc_entry), &space->pages[i].entry,
               sizeof(struct disk_alloc_entry));
    unsigned slot = 1u - space->index_slot;
    uint64_t block = alloc_index_block(&space->layout, slot);
    VDE_TRY(device_io(space->device, VDE_IO_WRITE, block, buffer, bytes));
    space->index_slot = slot;
    sb->alloc_slot = slot;
    sb->alloc_checksum = checksum(buffer, bytes, space->seed ^ block);
    sb->used_blocks = space->used;
    return VDE_OK;
}

/* Without the lock, so that nobody who allocates waits for the device: disk bits, `dirty`, entries of loaded pages and
 * `used` change only here and in space_mark(), both the checkpoint's. */
vde_status space_write(struct space *space, uint64_t sequence, struct superblock *sb)
{
    uint64_t bytes = alloc_index_blocks(space->layout.alloc_pages) * BLOCK_BYTES;
    uint8_t *buffer = aligned_alloc(BLOCK_BYTES, bytes);
    if (!buffer)
        return fail_nomem("alloc index");
    vde_status status = VDE_OK;
    for (uint64_t i = 0; i < space->layout.alloc_pages && status == VDE_OK; i++)
        if (space->pages[i].dirty)
            status = write_page(space, i, sequence, (struct disk_bitmap *)(void *)buffer);
    if (status == VDE_OK)
        status = write_index(space, sequence, buffer, bytes, sb);
    free(buffer);
    return status;
}

/* Report runs set in `other` and clear in the page's own bits, and make them busy. */
static void hold_freed(struct space *space, uint64_t page, const struct disk_bitmap *other, space_run_fn run,
                       void *context)
{
    struct page *p = &space->pages[page];
    uint32_t end;
    for (uint32_t bit = 0; (bit = bits_find_clear(p->busy, bit, BITMAP_BITS, 1)) < BITMAP_BITS; bit = end) {
        bool held = bit_get(other->bits, bit);
        end = bit + 1;
        while (end < BITMAP_BITS && !bit_get(p->busy, end) && bit_get(other->bits, end) == held)
            end++;
        if (!held)
            continue;
        bits_set(p->busy, bit, end - bit);
        p->free -= end - bit;
        space->free -= end - bit;
        run(context, page * BITMAP_BITS + bit, end - bit);
    }
}

vde_status space_recently_freed(struct space *space, uint64_t sequence, space_run_fn run, void *context)
{
    struct disk_bitmap *other = aligned_alloc(BLOCK_BYTES, BLOCK_BYTES);
    if (!other)
        return fail_nomem("bitmap page");
    vde_status status = VDE_OK;
    lock_take(&space->lock);
    for (uint64_t i = 0; i < space->layout.alloc_pages && status == VDE_OK; i++) {
        struct page *p = &space->pages[i];
        if (!p->entry.written || le32_get(p->entry.sequence) != (uint32_t)sequence)
            continue;
        status = space_page_load(space, i);
        /* A spare slot that was never written, or is damaged, protects nothing: only the fall-back needs it. */
        if (status == VDE_OK && read_slot(space, i, 1u - p->entry.slot, NULL, other) == VDE_OK &&
            le64_get(other->sequence) < sequence)
            hold_freed(space, i, other, run, context);
    }
    lock_drop(&space->lock);
    free(other);
    return status;
}
