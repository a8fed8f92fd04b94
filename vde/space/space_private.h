/* SPDX-License-Identifier: Apache-2.0 */
/* space_private.h -- shared by the files of space/. */
#ifndef VDE_SPACE_SPACE_PRIVATE_H
#define VDE_SPACE_SPACE_PRIVATE_H

#include "base/lock.h"
#include "format/alloc.h"
#include "space/space.h"

#define GROUP_PAGES 128u

struct page {
    uint8_t *busy;       /* NULL until loaded; blocks outside history area and heap are always busy */
    uint8_t *disk;       /* in the same allocation */
    uint32_t free;       /* clear bits of busy */
    uint16_t longest;    /* no free run is longer: lowered when a search fails, raised by releases */
    bool dirty;          /* disk differs from what is written */
    struct disk_alloc_entry entry; /* of the last written state */
};

struct space {
    struct lock lock;
    struct vde_device *device;
    struct layout layout;
    uint64_t seed;
    unsigned index_slot;   /* current slot of the alloc index */
    /* guarded by lock */
    struct page *pages;
    uint16_t *groups;      /* `longest` of GROUP_PAGES pages at a time, an upper bound, too */
    uint64_t total, free, used, reserved, volume_reserved;
    uint64_t cursor[3];    /* by class: where to look first */
    uint64_t held_page, held_from; /* while the image grows: its last page and end of before */
};

uint64_t space_page_total(const struct space *space, uint64_t page);
vde_status space_page_load(struct space *space, uint64_t page);
/* The page may hold a free run of `blocks` now. */
void space_raise_hint(struct space *space, uint64_t page, uint32_t blocks);
static inline uint64_t space_groups(uint64_t pages)
{
    return (pages + GROUP_PAGES - 1) / GROUP_PAGES;
}
#endif
