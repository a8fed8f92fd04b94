/* SPDX-License-Identifier: Apache-2.0 */
/* layout.h -- where everything lies: geometry computed once at format time and kept in the label. docs/format.md
 * "Regions". All numbers are blocks of 4096 bytes. */
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

struct layout {
    uint64_t blocks;      /* of the image */
    uint64_t alloc_pages; /* bitmap pages */
    struct region regions[REGION_COUNT]; /* in the order of enum region_kind, index kind - 1 */
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
/* True when a block belongs to data the allocator hands out (history area or heap). */
bool layout_allocatable(const struct layout *layout, uint64_t block);
#endif
