/* SPDX-License-Identifier: Apache-2.0 */
/* mover.h -- blocks of an image at other addresses in its copy: in the same order, without the gaps. */
#ifndef VDE_COPY_MOVER_H
#define VDE_COPY_MOVER_H

#include "copy/copy.h"
#include "copy/instant.h"

#define MOVE_BLOCKS_MAX ((16u << 20) / BLOCK_BYTES) /* of one extent */

struct mover {
    struct copy *copy;
    const struct blockset *reached; /* what is moved */
    uint64_t *before;               /* blocks reached before each page of the set */
    struct blockset done;           /* those written */
    uint64_t first;                 /* address of the first in the copy */
    uint64_t seed;
    uint8_t *levels;                /* one block a level */
    uint8_t *buffer;                /* MOVE_BLOCKS_MAX */
};

vde_status mover_init(struct mover *mover, struct copy *copy, const struct blockset *reached, uint64_t first);
void mover_done(struct mover *mover);
/* The address in the copy of a block that is moved. */
uint64_t mover_place(const struct mover *mover, uint64_t address);
/* Write one version of a tree, less what was written with another; the root is the copy's then. CORRUPT when something
 * of it does not verify; with VDE_COPY_DAMAGED data is moved so that it does not verify in the copy either. */
vde_status mover_tree(struct mover *mover, uint64_t tree, struct tree_root *root);
#endif
