/* SPDX-License-Identifier: Apache-2.0 */
/* space_allocate.c -- find free runs: next fit, with an upper bound of the longest free run for each page and each group of
 * pages, so that what is known to be fragmented or full is not looked at again. */
#include "base/checked.h"
#include "base/fail.h"
#include "space/bits.h"
#include "space/space_private.h"

#define LONG_BLOCKS 16u /* data takes shorter runs only when there is none of this length in the image */

/* Blocks that `limit` may still take. */
static uint64_t available(const struct space *space, enum space_limit limit)
{
    uint64_t slop = space_slop(space->total), kept = space->reserved + space->volume_reserved;
    if (limit == SPACE_NORMAL)
        kept += slop;
    else if (limit == SPACE_DELETE)
        kept += slop / 4;
    else
        kept = 0;
    return space->free > kept ? space->free - kept : 0;
}

static vde_status no_space(const struct space *space, uint64_t blocks, uint64_t usable)
{
    return fail_as(VDE_NOSPC, "image|%llu KiB available of %llu KiB|%llu KiB", (unsigned long long)(usable * 4),
                   (unsigned long long)(space->total * 4), (unsigned long long)(blocks * 4));
}

void space_raise_hint(struct space *space, uint64_t page, uint32_t blocks)
{
    uint16_t *group = &space->groups[page / GROUP_PAGES];
    if (space->pages[page].longest < blocks)
        space->pages[page].longest = (uint16_t)blocks;
    if (*group < blocks)
        *group = (uint16_t)blocks;
}

/* What a search is for. */
struct want {
    uint32_t least, most; /* blocks */
    uint64_t address;     /* found */
    uint32_t blocks;
};

/* Look for a run in one page from bit `from` on and take it. */
static vde_status try_page(struct space *space, uint64_t page, uint32_t from, struct want *want)
{
    struct page *p = &space->pages[page];
    if (p->longest < want->least)
        return VDE_NOT_FOUND;
    VDE_TRY(space_page_load(space, page));
    uint32_t bit = BITMAP_BITS;
    if (p->longest >= want->least)
        bit = bits_find_clear(p->busy, from, BITMAP_BITS, want->least);
    if (bit == BITMAP_BITS) {
        if (from == 0 && p->longest >= want->least)
            p->longest = (uint16_t)(want->least - 1);
        return VDE_NOT_FOUND;
    }
    want->blocks = bits_clear_after(p->busy, bit, BITMAP_BITS, want->most);
    want->address = page * BITMAP_BITS + bit;
    bits_set(p->busy, bit, want->blocks);
    p->free -= want->blocks;
    space->free -= want->blocks;
    if (p->longest > p->free)
        p->longest = (uint16_t)p->free;
    return VDE_OK;
}

/* Pages [page, end), the first of them from bit `from` on. */
static vde_status search_pages(struct space *space, uint64_t page, uint64_t end, uint32_t from, struct want *want)
{
    uint64_t first = from == 0 ? page : page + 1; /* looked at as a whole from here on */
    while (page < end) {
        uint64_t group = page / GROUP_PAGES;
        uint64_t next = min_u64((group + 1) * GROUP_PAGES, end);
        if (space->groups[group] >= want->least) {
            for (; page < next; page++, from = 0) {
                vde_status status = try_page(space, page, from, want);
                if (status != VDE_NOT_FOUND)
                    return status;
            }
            bool whole = next == (group + 1) * GROUP_PAGES || next == space->layout.alloc_pages;
            if (whole && group * GROUP_PAGES >= first)
                space->groups[group] = (uint16_t)(want->least - 1);
        }
        page = next;
        from = 0;
    }
    return VDE_NOT_FOUND;
}

/* Next fit from `start`, around the end once. */
static vde_status search(struct space *space, uint64_t start, struct want *want)
{
    uint64_t pages = space->layout.alloc_pages, first = start / BITMAP_BITS % pages;
    vde_status status = search_pages(space, first, pages, (uint32_t)(start % BITMAP_BITS), want);
    if (status == VDE_NOT_FOUND)
        status = search_pages(space, 0, first + 1, 0, want);
    return status;
}

/* Long runs first, so that what is written together lies together; what failed once is not searched again until a release
 * changed it. */
static vde_status search_long(struct space *space, enum space_class class, struct want *want)
{
    uint32_t least = want->least;
    if (class != SPACE_NODE)
        want->least = (uint32_t)max_u64(least, min_u64(want->most, LONG_BLOCKS));
    vde_status status = search(space, space->cursor[class], want);
    while (status == VDE_NOT_FOUND && want->least > least) {
        want->least = (uint32_t)max_u64(least, want->least / 2);
        status = search(space, space->cursor[class], want);
    }
    if (status == VDE_OK)
        space->cursor[class] = want->address + want->blocks;
    return status;
}

static vde_status allocate(struct space *space, enum space_class class, uint64_t usable, struct want *want)
{
    if (want->most > BITMAP_BITS)
        want->most = BITMAP_BITS;
    if (want->most > usable)
        want->most = (uint32_t)usable;
    uint32_t least = want->least;
    vde_status status = VDE_NOT_FOUND;
    if (least > 0 && least <= want->most)
        status = search_long(space, class, want);
    return status == VDE_NOT_FOUND ? no_space(space, least, usable) : status;
}

vde_status space_allocate_run(struct space *space, enum space_class class, enum space_limit limit, uint32_t want,
                              uint32_t min, uint64_t *ret_address, uint32_t *ret_blocks)
{
    struct want w = {.least = min, .most = want};
    lock_take(&space->lock);
    vde_status status = allocate(space, class, available(space, limit), &w);
    lock_drop(&space->lock);
    *ret_address = w.address;
    *ret_blocks = w.blocks;
    return status;
}

vde_status space_allocate(struct space *space, enum space_class class, enum space_limit limit, uint32_t blocks,
                          uint64_t *ret_address)
{
    uint32_t got;
    return space_allocate_run(space, class, limit, blocks, blocks, ret_address, &got);
}

/* --- reservations ------------------------------------------------------------------------------------------------- */

vde_status space_reserve(struct space *space, uint64_t blocks, enum space_limit limit)
{
    lock_take(&space->lock);
    uint64_t usable = available(space, limit);
    vde_status status = blocks > usable ? no_space(space, blocks, usable) : VDE_OK;
    if (status == VDE_OK)
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

void space_restore(struct space *space, uint64_t blocks)
{
    lock_take(&space->lock);
    space->reserved += blocks;
    lock_drop(&space->lock);
}

vde_status space_reserve_volume(struct space *space, uint64_t blocks)
{
    lock_take(&space->lock);
    uint64_t usable = available(space, SPACE_NORMAL);
    vde_status status = blocks > usable ? no_space(space, blocks, usable) : VDE_OK;
    if (status == VDE_OK)
        space->volume_reserved += blocks;
    lock_drop(&space->lock);
    return status;
}

void space_restore_volume(struct space *space, uint64_t blocks)
{
    lock_take(&space->lock);
    space->volume_reserved += blocks;
    lock_drop(&space->lock);
}

void space_unreserve_volume(struct space *space, uint64_t blocks)
{
    lock_take(&space->lock);
    VDE_ASSERT(blocks <= space->volume_reserved);
    space->volume_reserved -= blocks;
    lock_drop(&space->lock);
}

vde_status space_allocate_volume(struct space *space, uint64_t covered, uint32_t want, uint32_t min,
                                 uint64_t *ret_address, uint32_t *ret_blocks, uint32_t *ret_covered)
{
    struct want w = {.least = min, .most = want};
    lock_take(&space->lock);
    covered = min_u64(covered, space->volume_reserved);
    uint64_t kept = space->reserved + space->volume_reserved - covered + space_slop(space->total) / 2;
    vde_status status = allocate(space, SPACE_DATA, space->free > kept ? space->free - kept : 0, &w);
    uint32_t taken = status == VDE_OK ? (uint32_t)min_u64(covered, w.blocks) : 0;
    space->volume_reserved -= taken;
    lock_drop(&space->lock);
    *ret_address = w.address;
    *ret_blocks = w.blocks;
    *ret_covered = taken;
    return status;
}
