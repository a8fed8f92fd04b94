/* SPDX-License-Identifier: Apache-2.0 */
/* blockset.h -- what is known of each block of the image, in pages that exist once something is known of one of their
 * blocks. Not the allocator's bitmaps: what the allocator believes is compared with these. */
#ifndef VDE_CHECK_BLOCKSET_H
#define VDE_CHECK_BLOCKSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vde/error.h>

/* A set of blocks: one bit each. */
struct blockset {
    uint64_t pages;   /* of BITMAP_BITS blocks */
    uint8_t **bits;   /* NULL: none set */
    uint64_t count;   /* bits set */
    uint64_t *touched; /* pages that may have bits set */
    size_t touched_count, touched_capacity;
};

vde_status blockset_init(struct blockset *set, uint64_t pages);
void blockset_done(struct blockset *set);
/* Costs what is in the set. */
void blockset_clear(struct blockset *set);
bool blockset_has(const struct blockset *set, uint64_t block);
/* Blocks of a run inside the image that are in the set. */
uint64_t blockset_common(const struct blockset *set, uint64_t block, uint64_t blocks);
/* How many blocks before this one, in the same page, are in the set. */
uint64_t blockset_rank(const struct blockset *set, uint64_t block);
vde_status blockset_add(struct blockset *set, uint64_t block, uint64_t blocks);
void blockset_remove(struct blockset *set, uint64_t block);

/* Who has a block: 0 nobody, else a mark made of owner and birth. Eight bits a block, in very large images two, so
 * that a block which was freed too early and used again is told apart (mostly, in those) from what it was before. */
struct marks {
    uint64_t pages;
    uint8_t **bytes;
    unsigned width;   /* bits a block */
    uint64_t count;   /* blocks that somebody has */
};

vde_status marks_init(struct marks *marks, uint64_t pages);
void marks_done(struct marks *marks);
/* The mark of things of `owner` born at `birth`; never 0. */
unsigned marks_make(const struct marks *marks, uint64_t owner, uint64_t birth);
unsigned marks_get(const struct marks *marks, uint64_t block);
vde_status marks_set(struct marks *marks, uint64_t block, unsigned mark);
#endif
