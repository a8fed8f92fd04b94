/* SPDX-License-Identifier: Apache-2.0 */
/* space.c -- allocation, release, reservation. Reading and writing of pages is in space_disk.c. */
#include "space/space_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"
#include "space/bits.h"

static uint64_t overlap(uint64_t from, uint64_t to, const struct region *region)
{
    uint64_t start = max_u64(from, region->block), end = min_u64(to, region->block + region->blocks);
    return start < end ? end - start : 0;
}

uint64_t space_page_total(const struct space *space, uint64_t page)
{
    uint64_t from = page * BITMAP_BITS, to = from + BITMAP_BITS;
    return overlap(from, to, layout_region(&space->layout, REGION_HISTORY)) +
           overlap(from, to, layout_region(&space->layout, REGION_HEAP));
}

uint64_t space_slop(uint64_t total)
{
    return max_u64(total / 32, 16);
}

/* Blocks that `limit` may still take. */
static uint64_t available(const struct space *space, enum space_limit limit)
{
    uint64_t slop = space_slop(space->total), kept = space->reserved;
    if (limit == SPACE_NORMAL)
        kept += slop;
    else if (limit == SPACE_DELETE)
        kept += slop / 4;
    else
        kept = 0;
    return space->free > kept ? space->free - kept : 0;
}

static vde_status no_space(const struct space *space, uint64_t blocks, enum space_limit limit)
{
    return fail_as(VDE_NOSPC, "image|%llu KiB available of %llu KiB|%llu KiB",
                   (unsigned long long)(available(space, limit) * 4), (unsigned long long)(space->total * 4),
                   (unsigned long long)(blocks * 4));
}

/* Look for a run in one page from bit `from` on. */
static vde_status try_page(struct space *space, uint64_t page, uint32_t from, uint32_t blocks, uint64_t *ret_address)
{
    struct page *p = &space->pages[page];
    if (p->free < blocks)
        return VDE_NOT_FOUND;
    VDE_TRY(space_page_load(space, page));
    if (p->free < blocks)
        return VDE_NOT_FOUND;
    uint32_t bit = bits_find_clear(p->busy, from, BITMAP_BITS, blocks);
    if (bit == BITMAP_BITS)
        return VDE_NOT_FOUND;
    bits_set(p->busy, bit, blocks);
    p->free -= blocks;
    space->free -= blocks;
    *ret_address = page * BITMAP_BITS + bit;
    return VDE_OK;
}

/* Next fit from `start`, around the end once. */
static vde_status search(struct space *space, uint64_t start, uint32_t blocks, uint64_t *ret_address)
{
    uint64_t pages = space->layout.alloc_pages, first = start / BITMAP_BITS;
    for (uint64_t i = 0; i <= pages; i++) {
        uint64_t page = (first + i) % pages;
        uint32_t from = i == 0 ? (uint32_t)(start % BITMAP_BITS) : 0;
        vde_status status = try_page(space, page, from, blocks, ret_address);
        if (status != VDE_NOT_FOUND)
            return status;
    }
    return VDE_NOT_FOUND;
}

vde_status space_allocate(struct space *space, enum space_class class, enum space_limit limit, uint32_t blocks,
                          uint64_t *ret_address)
{
    lock_take(&space->lock);
    vde_status status = VDE_NOT_FOUND;
    if (blocks <= available(space, limit))
        status = search(space, space->cursor[class], blocks, ret_address);
    if (status == VDE_OK)
        space->cursor[class] = *ret_address + blocks;
    else if (status == VDE_NOT_FOUND)
        status = no_space(space, blocks, limit);
    lock_drop(&space->lock);
    return status;
}

/* Call `change` for every part of a run that lies in one page. */
static vde_status each_page(struct space *space, uint64_t address, uint64_t blocks,
                            vde_status (*change)(struct space *, struct page *, uint32_t bit, uint32_t count))
{
    while (blocks > 0) {
        uint64_t page = address / BITMAP_BITS;
        uint32_t bit = (uint32_t)(address % BITMAP_BITS);
        uint32_t count = (uint32_t)min_u64(blocks, BITMAP_BITS - bit);
        VDE_TRY(space_page_load(space, page));
        VDE_TRY(change(space, &space->pages[page], bit, count));
        address += count;
        blocks -= count;
    }
    return VDE_OK;
}

static vde_status check_run(const struct space *space, uint64_t address, uint64_t blocks)
{
    uint64_t end;
    if (blocks == 0 || !checked_add(address, blocks, &end) || !layout_allocatable(&space->layout, address) ||
        !layout_allocatable(&space->layout, end - 1))
        return fail_corrupt("extent at block %llu|%llu blocks|a run inside history area or heap",
                            (unsigned long long)address, (unsigned long long)blocks);
    return VDE_OK;
}

static vde_status claim_part(struct space *space, struct page *page, uint32_t bit, uint32_t count)
{
    if (bits_count(page->busy, bit, count) != 0)
        return fail_corrupt("extent named by the log|blocks that are in use already|free blocks");
    bits_set(page->busy, bit, count);
    page->free -= count;
    space->free -= count;
    return VDE_OK;
}

vde_status space_claim(struct space *space, uint64_t address, uint64_t blocks)
{
    VDE_TRY(check_run(space, address, blocks));
    lock_take(&space->lock);
    vde_status status = each_page(space, address, blocks, claim_part);
    lock_drop(&space->lock);
    return status;
}

static vde_status release_part(struct space *space, struct page *page, uint32_t bit, uint32_t count)
{
    VDE_ASSERT(bits_count(page->busy, bit, count) == count);
    bits_clear(page->busy, bit, count);
    page->free += count;
    space->free += count;
    return VDE_OK;
}

void space_release(struct space *space, uint64_t address, uint64_t blocks)
{
    lock_take(&space->lock);
    /* The page is loaded: the run was allocated or marked through it. */
    vde_status status = each_page(space, address, blocks, release_part);
    VDE_ASSERT(status == VDE_OK);
    (void)status;
    if (address < space->cursor[SPACE_NODE])
        space->cursor[SPACE_NODE] = address;
    lock_drop(&space->lock);
}

vde_status space_reserve(struct space *space, uint64_t blocks, enum space_limit limit)
{
    lock_take(&space->lock);
    vde_status status = VDE_OK;
    if (blocks > available(space, limit))
        status = no_space(space, blocks, limit);
    else
        space->reserved += blocks;
    lock_drop(&space->lock);
    return status;
}

void space_unreserve(struct space *space, uint64_t blocks)
{
    lock_take(&space->lock);
    VDE_ASSERT(blocks <= space->reserved);
    space->reserved -= blocks;
    lock_drop(&space->lock);
}

static vde_status mark_used(struct space *space, struct page *page, uint32_t bit, uint32_t count)
{
    space->used += count - bits_count(page->disk, bit, count);
    bits_set(page->disk, bit, count);
    page->dirty = true;
    return VDE_OK;
}

static vde_status mark_free(struct space *space, struct page *page, uint32_t bit, uint32_t count)
{
    space->used -= bits_count(page->disk, bit, count);
    bits_clear(page->disk, bit, count);
    page->dirty = true;
    return VDE_OK;
}

vde_status space_mark(struct space *space, uint64_t address, uint64_t blocks, bool used)
{
    VDE_TRY(check_run(space, address, blocks));
    lock_take(&space->lock);
    vde_status status = each_page(space, address, blocks, used ? mark_used : mark_free);
    lock_drop(&space->lock);
    return status;
}

void space_counts(struct space *space, struct space_counts *ret_counts)
{
    lock_take(&space->lock);
    *ret_counts = (struct space_counts){space->total, space->free, space->used, space->reserved,
                                        space_slop(space->total)};
    lock_drop(&space->lock);
}
