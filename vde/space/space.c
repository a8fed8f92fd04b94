/* SPDX-License-Identifier: Apache-2.0 */
/* space.c -- what becomes of runs: claimed, released, marked. Finding free ones is in space_allocate.c, reading and writing of
 * pages in space_disk.c. */
#include "space/space_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"
#include "space/bits.h"

#define RUNS_A_HOLD 4096u /* of the lock, so that nobody who allocates waits long */

static uint64_t overlap(uint64_t from, uint64_t to, const struct region *region)
{
    uint64_t start = max_u64(from, region->block), end = min_u64(to, region->block + region->blocks);
    return start < end ? end - start : 0;
}

uint64_t space_page_total(const struct space *space, uint64_t page)
{
    uint64_t from = page * BITMAP_BITS, to = from + BITMAP_BITS;
    uint64_t total = 0;
    for (unsigned i = 0; i < layout_areas(&space->layout); i++)
        total += overlap(from, to, layout_area(&space->layout, i));
    return total;
}

uint64_t space_slop(uint64_t total)
{
    return max_u64(total / 32, 16);
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

/* How far to look for the ends of the free run that a release makes: beyond, the page counts as one run. */
#define JOIN_BLOCKS 1024u

static vde_status release_part(struct space *space, struct page *page, uint32_t bit, uint32_t count)
{
    VDE_ASSERT(bits_count(page->busy, bit, count) == count);
    bits_clear(page->busy, bit, count);
    page->free += count;
    space->free += count;
    uint32_t before = bits_clear_before(page->busy, bit, JOIN_BLOCKS);
    uint32_t after = bits_clear_after(page->busy, bit + count, BITMAP_BITS, JOIN_BLOCKS);
    bool joined = before < JOIN_BLOCKS && after < JOIN_BLOCKS;
    space_raise_hint(space, (uint64_t)(page - space->pages), joined ? before + count + after : page->free);
    return VDE_OK;
}

static void release_run(struct space *space, uint64_t address, uint64_t blocks)
{
    /* The page is loaded: the run was allocated or marked through it. */
    vde_status status = each_page(space, address, blocks, release_part);
    VDE_ASSERT(status == VDE_OK);
    (void)status;
    if (address < space->cursor[SPACE_NODE])
        space->cursor[SPACE_NODE] = address;
}

void space_release(struct space *space, uint64_t address, uint64_t blocks)
{
    lock_take(&space->lock);
    release_run(space, address, blocks);
    lock_drop(&space->lock);
}

void space_release_many(struct space *space, const struct run *runs, size_t count)
{
    for (size_t i = 0; i < count;) {
        lock_take(&space->lock);
        for (size_t end = min_u64(count, i + RUNS_A_HOLD); i < end; i++)
            release_run(space, runs[i].address, runs[i].blocks);
        lock_drop(&space->lock);
    }
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
    if (bits_count(page->disk, bit, count) != count) /* two owners in a damaged image: it would become free twice */
        return fail_corrupt("blocks freed from block %llu on|some that are free already|blocks in use",
                            (unsigned long long)(page - space->pages) * BITMAP_BITS + bit);
    space->used -= count;
    bits_clear(page->disk, bit, count);
    page->dirty = true;
    return VDE_OK;
}

vde_status space_mark_many(struct space *space, const struct run *runs, size_t count, bool used)
{
    vde_status status = VDE_OK;
    for (size_t i = 0; i < count && status == VDE_OK;) {
        lock_take(&space->lock);
        for (size_t end = min_u64(count, i + RUNS_A_HOLD); i < end && status == VDE_OK; i++) {
            status = check_run(space, runs[i].address, runs[i].blocks);
            if (status == VDE_OK)
                status = each_page(space, runs[i].address, runs[i].blocks, used ? mark_used : mark_free);
        }
        lock_drop(&space->lock);
    }
    return status;
}

vde_status space_mark(struct space *space, uint64_t address, uint64_t blocks, bool used)
{
    return space_mark_many(space, &(struct run){address, blocks}, 1, used);
}

void space_counts(struct space *space, struct space_counts *ret_counts)
{
    lock_take(&space->lock);
    *ret_counts = (struct space_counts){space->total,    space->free,            space->used,
                                        space->reserved, space->volume_reserved, space_slop(space->total)};
    lock_drop(&space->lock);
}
