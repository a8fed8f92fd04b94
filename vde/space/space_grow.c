/* SPDX-License-Identifier: Apache-2.0 */
/* space_grow.c -- more blocks at the end: known to the index first, handed out later. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"
#include "space/bits.h"
#include "space/space_private.h"

/* Copies of both arrays with room for the pages of `grown`. */
static vde_status copy_pages(const struct space *space, const struct layout *grown, struct page **ret_pages,
                             uint16_t **ret_groups)
{
    uint64_t old = space->layout.alloc_pages;
    *ret_pages = calloc(grown->alloc_pages, sizeof **ret_pages);
    *ret_groups = calloc(space_groups(grown->alloc_pages), sizeof **ret_groups);
    if (!*ret_pages || !*ret_groups) {
        free(*ret_pages);
        free(*ret_groups);
        return fail_nomem("free space index");
    }
    memcpy(*ret_pages, space->pages, old * sizeof **ret_pages);
    memcpy(*ret_groups, space->groups, space_groups(old) * sizeof **ret_groups);
    return VDE_OK;
}

/* The last page of before is loaded as it was, so that its part of the new blocks is busy; the new pages have nothing free, so
 * nobody loads them. */
vde_status space_grow(struct space *space, const struct layout *grown)
{
    struct page *pages;
    uint16_t *groups;
    lock_take(&space->lock);
    vde_status status = space_page_load(space, space->layout.alloc_pages - 1);
    if (status == VDE_OK)
        status = copy_pages(space, grown, &pages, &groups);
    if (status == VDE_OK) {
        space->held_page = space->layout.alloc_pages - 1;
        space->held_from = space->layout.blocks;
        free(space->pages);
        free(space->groups);
        space->pages = pages;
        space->groups = groups;
        space->layout = *grown;
    }
    lock_drop(&space->lock);
    return status;
}

/* Free the part of an area that lies in the last page of before and behind the old end. */
static uint64_t open_last_page(struct space *space, const struct region *area)
{
    struct page *page = &space->pages[space->held_page];
    uint64_t base = space->held_page * BITMAP_BITS;
    uint64_t from = max_u64(area->block, space->held_from), to = min_u64(area->block + area->blocks, base + BITMAP_BITS);
    if (from >= to)
        return 0;
    bits_clear(page->busy, (uint32_t)(from - base), (uint32_t)(to - from));
    page->free += (uint32_t)(to - from);
    space_raise_hint(space, space->held_page, page->free);
    return to - from;
}

void space_grown(struct space *space)
{
    uint64_t added = 0;
    lock_take(&space->lock);
    for (unsigned i = 0; i < layout_areas(&space->layout); i++)
        added += open_last_page(space, layout_area(&space->layout, i));
    for (uint64_t page = space->held_page + 1; page < space->layout.alloc_pages; page++) {
        space->pages[page].free = (uint32_t)space_page_total(space, page);
        space_raise_hint(space, page, space->pages[page].free);
        added += space->pages[page].free;
    }
    space->total += added;
    space->free += added;
    lock_drop(&space->lock);
}
