/* SPDX-License-Identifier: Apache-2.0 */
/* alloc.h -- allocation index and bitmap pages: fixed places, two slots each. docs/format.md "Allocation". */
#ifndef VDE_FORMAT_ALLOC_H
#define VDE_FORMAT_ALLOC_H

#include "format/layout.h"

#define BITMAP_MAGIC 0x50414d42u /* "BMAP" */
#define ALLOC_INDEX_MAGIC 0x58444e49u /* "INDX" */

struct disk_bitmap {
    vde_le32 magic;
    vde_le32 page;       /* number of this page */
    vde_le64 sequence;   /* of the checkpoint that wrote it */
    vde_le64 seed;       /* image seed */
    vde_le64 reserved;   /* zero */
    uint8_t bits[BLOCK_BYTES - BITMAP_HEADER_BYTES]; /* bit i of page p: block p * BITMAP_BITS + i is in use */
};
static_assert(sizeof(struct disk_bitmap) == BLOCK_BYTES, "bitmap page size");

struct disk_alloc_index {
    vde_le32 magic;
    vde_le32 reserved0;  /* zero */
    vde_le64 sequence;
    vde_le64 seed;
    vde_le64 pages;
    uint8_t reserved[32]; /* zero */
};
static_assert(sizeof(struct disk_alloc_index) == 64, "alloc index header size");

/* One entry a page, behind the header. */
struct disk_alloc_entry {
    vde_le64 checksum;   /* XXH3 of the page's block, seed = image seed ^ its block address */
    vde_le32 sequence;   /* low 32 bits of the page's sequence */
    vde_le16 used;       /* blocks in use */
    uint8_t slot;        /* 0 or 1: which slot is current */
    uint8_t written;     /* 0: the page was never written, no block of it is in use */
};
static_assert(sizeof(struct disk_alloc_entry) == 16, "alloc entry size");

static inline uint64_t alloc_index_bytes(uint64_t pages)
{
    return sizeof(struct disk_alloc_index) + pages * sizeof(struct disk_alloc_entry);
}
static inline uint64_t alloc_index_blocks(uint64_t pages)
{
    return (alloc_index_bytes(pages) + BLOCK_BYTES - 1) / BLOCK_BYTES;
}
/* Where a page lies: in the bitmaps of the format, or in those of the growth that brought it. */
static inline uint64_t bitmap_slot_block(const struct layout *layout, uint64_t page, unsigned slot)
{
    uint64_t first = 0, end = (layout->label_blocks + BITMAP_BITS - 1) / BITMAP_BITS;
    const struct region *bitmaps = layout_region(layout, REGION_BITMAPS);
    for (uint32_t i = 0; i < layout->growths && page >= end; i++) {
        first = end;
        end = layout->growth[i].pages;
        bitmaps = &layout->growth[i].bitmaps;
    }
    return bitmaps->block + 2 * (page - first) + slot;
}
static inline uint64_t alloc_index_block(const struct layout *layout, unsigned slot)
{
    const struct region *r = layout->growths ? &layout->growth[layout->growths - 1].index
                                             : layout_region(layout, REGION_ALLOC_INDEX);
    return r->block + slot * (r->blocks / 2);
}
#endif
