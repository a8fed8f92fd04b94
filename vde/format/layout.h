/* SPDX-License-Identifier: Apache-2.0 */
/* layout.h -- where everything lies: geometry computed at format time and kept in the label, and what was added each time that
 * the image grew, which follows from the new sizes in the superblock. docs/format.md "Regions", "Growth". All numbers are
 * blocks of 4096 bytes. */
#ifndef VDE_FORMAT_LAYOUT_H
#define VDE_FORMAT_LAYOUT_H

#include <stddef.h>

#include <vde/error.h>

#include "format/pointer.h"

#define RESERVED_BLOCKS 8u      /* first and last 32 KiB are never ours: partition tables live there */
#define LABEL_BLOCK 8u          /* label A at 32 KiB, feature names in the block behind it */
#define RING_A_BLOCK 16u        /* superblock ring A at 64 KiB */
#define RING_SLOTS 16u

/* Region kinds; written to disk, never renumbered. */
enum region_kind {
    REGION_LABEL_A = 1,
    REGION_LABEL_B = 2,
    REGION_RING_A = 3,
    REGION_RING_B = 4,
    REGION_ALLOC_INDEX = 5, /* two slots, each half of the region */
    REGION_BITMAPS = 6,     /* page p: slots at block + 2p and block + 2p + 1 */
    REGION_LOG = 7,         /* WAL ring */
    REGION_HISTORY = 8,     /* where history extents go first */
    REGION_VAULT = 9,       /* two slots, each half of the region */
    REGION_HEAP = 10,
};
#define REGION_COUNT 10u
#define REGION_MAX 64u

struct region {
    uint32_t kind;
    uint64_t block;
    uint64_t blocks;
};

/* What one growth added, from the old end of the image to the new one. */
struct growth {
    uint64_t pages;        /* bitmap pages of the image from now on */
    struct region index;   /* alloc index, two slots, in place of the one before */
    struct region bitmaps; /* of the pages that are new */
    struct region heap;
    struct region label;   /* one more copy of label B */
};
#define GROWTHS_MAX 32u
#define GROWTH_MIN_BLOCKS 256u

struct layout {
    uint64_t blocks;      /* of the image */
    uint64_t alloc_pages; /* bitmap pages */
    struct region regions[REGION_COUNT]; /* of the label: in the order of enum region_kind, index kind - 1 */
    uint64_t label_blocks; /* of the image when it was formatted */
    uint32_t growths;
    struct growth growth[GROWTHS_MAX];
};

/* Bits of one bitmap page: 4096 bytes less its header. */
#define BITMAP_HEADER_BYTES 32u
#define BITMAP_BITS ((BLOCK_BYTES - BITMAP_HEADER_BYTES) * 8u)

/* Compute the geometry of an image. INVAL when size or log size is out of bounds. */
vde_status layout_compute(uint64_t size_bytes, uint64_t log_bytes, struct layout *ret_layout);
/* Check a geometry read from a label: every region inside the image, none overlapping, sizes consistent. */
vde_status layout_verify(const struct layout *layout, uint64_t device_blocks, const char *object);
static inline const struct region *layout_region(const struct layout *layout, enum region_kind kind)
{
    return &layout->regions[kind - 1];
}
const char *region_name(uint32_t kind);

/* The layout as it was formatted. */
void layout_formatted(const struct layout *layout, struct layout *ret_layout);
/* Add what a growth to `blocks` brings. INVAL: too little for its own bookkeeping, too often, too large. */
vde_status layout_grow(struct layout *layout, uint64_t blocks);
/* Take over the last growth of `grown` into a layout that other threads are reading with the functions below. */
void layout_adopt(struct layout *layout, const struct layout *grown);
static inline uint32_t layout_growths(const struct layout *layout)
{
    return __atomic_load_n(&layout->growths, __ATOMIC_ACQUIRE);
}
static inline uint64_t layout_blocks(const struct layout *layout)
{
    return __atomic_load_n(&layout->blocks, __ATOMIC_RELAXED);
}

/* The areas that the allocator hands out, in ascending order: history area, heap, heaps of growths. */
static inline unsigned layout_areas(const struct layout *layout)
{
    return 2 + layout_growths(layout);
}
static inline const struct region *layout_area(const struct layout *layout, unsigned i)
{
    return i >= 2 ? &layout->growth[i - 2].heap : layout_region(layout, i ? REGION_HEAP : REGION_HISTORY);
}
/* True when a block belongs to one of them. */
bool layout_allocatable(const struct layout *layout, uint64_t block);
/* Blocks of all of them. */
uint64_t layout_total(const struct layout *layout);
#endif
