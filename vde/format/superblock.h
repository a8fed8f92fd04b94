/* SPDX-License-Identifier: Apache-2.0 */
/* superblock.h -- one checkpoint's root: where the trees, bitmaps and log begin. Slot sequence % 16 of rings A and B;
 * the highest valid sequence wins. docs/format.md "Superblock". */
#ifndef VDE_FORMAT_SUPERBLOCK_H
#define VDE_FORMAT_SUPERBLOCK_H

#include "format/root.h"

#define SUPERBLOCK_MAGIC "VDEsuper"

struct disk_superblock {
    uint8_t magic[8];
    uint8_t uuid[16];
    vde_le64 sequence;         /* checkpoint number, from 1 */
    vde_le64 epoch;            /* of the log records after this checkpoint */
    vde_le64 checkpoint_lsn;   /* the cut: records up to here are in the trees */
    vde_le64 log_start;        /* ring position of the first frame after the cut */
    vde_le64 log_chain;        /* checksum of the frame before log_start: the first frame's chain value */
    vde_le64 log_previous;     /* log_start of the checkpoint before: frames from here on are kept */
    vde_le64 last_time_us;     /* greatest transaction time up to the cut */
    vde_le64 next_id;          /* ids below were handed out */
    vde_le64 alloc_checksum;   /* XXH3 of the alloc index, seed = image seed ^ its block */
    vde_le64 used_blocks;      /* allocated in history area and heap */
    vde_le32 alloc_slot;       /* 0 or 1 */
    vde_le32 ring;             /* 0: A, 1: B */
    vde_le64 autoclear;        /* FEATURE_AUTOCLEAR_* */
    vde_le64 written_us;       /* when */
    vde_le64 meta_nodes;       /* nodes of the catalog and of the newest version of every dataset */
    struct disk_root catalog;
    struct disk_root catalog_dead; /* dead tree of the catalog: what only image snapshots hold of it */
    vde_le64 catalog_dead_blocks;  /* device blocks in it */
    vde_le32 growths;          /* how often the image grew */
    vde_le32 reserved0;        /* zero */
    vde_le64 grown_blocks[GROWTHS_MAX]; /* blocks of the image from each growth on; the rest zero */
    uint8_t reserved[3568];    /* zero */
    vde_le64 checksum;         /* XXH3 of all before it, seed = image seed ^ block address */
};
static_assert(sizeof(struct disk_superblock) == BLOCK_BYTES, "superblock size");

struct superblock {
    uint64_t sequence, epoch, checkpoint_lsn, log_start, log_chain, log_previous, last_time_us, next_id;
    uint64_t alloc_checksum, used_blocks, autoclear, written_us, meta_nodes;
    uint32_t alloc_slot;
    struct tree_root catalog, catalog_dead;
    uint64_t catalog_dead_blocks;
    uint32_t growths;
    uint64_t grown_blocks[GROWTHS_MAX];
};

void superblock_encode(const struct superblock *sb, const uint8_t uuid[16], unsigned ring, uint64_t block,
                       struct disk_superblock *ret_block);
vde_status superblock_decode(const struct disk_superblock *disk, const uint8_t uuid[16], const struct layout *layout,
                             unsigned ring, unsigned slot, struct superblock *ret_sb);
/* The layout of the image as of this superblock; `label`: the label's, grown or not. CORRUPT when the sizes are none that an image
 * can have grown to. */
vde_status superblock_layout(const struct superblock *sb, const struct layout *label, struct layout *ret_layout);
static inline uint64_t superblock_block(const struct layout *layout, unsigned ring, uint64_t sequence)
{
    return layout_region(layout, ring ? REGION_RING_B : REGION_RING_A)->block + sequence % RING_SLOTS;
}
#endif
