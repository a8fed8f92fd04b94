/* SPDX-License-Identifier: Apache-2.0 */
/* blockset.h -- a set of blocks of the image: one bit each, in pages that exist once a bit of them is set. Not the
 * allocator's bitmaps: what the allocator believes is compared with these. */
#ifndef VDE_CHECK_BLOCKSET_H
#define VDE_CHECK_BLOCKSET_H

#include <stdbool.h>
#include <stdint.h>

#include <vde/error.h>

struct blockset {
    uint64_t pages;   /* of BITMAP_BITS blocks */
    uint8_t **bits;   /* NULL: none set */
    uint64_t count;   /* bits set */
};

vde_status blockset_init(struct blockset *set, uint64_t pages);
void blockset_done(struct blockset *set);
void blockset_clear(struct blockset *set);
bool blockset_has(const struct blockset *set, uint64_t block);
/* Blocks of a run inside the image that are in the set. */
uint64_t blockset_common(const struct blockset *set, uint64_t block, uint64_t blocks);
vde_status blockset_add(struct blockset *set, uint64_t block, uint64_t blocks);
#endif
