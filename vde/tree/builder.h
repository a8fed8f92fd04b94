/* SPDX-License-Identifier: Apache-2.0 */
/* builder.h -- packs a stream of sorted records into new nodes, level by level.
 *
 * A level holds back up to two nodes' worth of records, so that it can split what remains evenly. What it emits becomes a
 * record (separator key, pointer) of the level above. A *run* is what lies between two subtrees that are kept as they
 * are: a level is closed, its rest written out, before a kept subtree joins the level above. */
#ifndef VDE_TREE_BUILDER_H
#define VDE_TREE_BUILDER_H

#include "tree/pin.h"

#define BUILDER_LEVELS (TREE_LEVEL_MAX + 2u) /* the topmost only ever holds the pointer to a root */
#define WRITE_BLOCKS 16u                     /* new nodes with adjoining addresses are written together */

struct level;

struct builder {
    const struct tree_writer *writer;
    uint64_t tree;
    uint64_t nodes;   /* of the new version so far: the old version's less those dropped plus those emitted */
    struct level *levels[BUILDER_LEVELS]; /* NULL: not used yet */
    uint8_t *buffer;  /* WRITE_BLOCKS nodes, not yet written */
    uint64_t buffer_address;
    unsigned buffer_count;
};

vde_status builder_init(struct builder *builder, const struct tree_writer *writer, uint64_t tree, uint64_t nodes);
void builder_done(struct builder *builder);

/* A node of `level` with `used` bytes of records is about to be pushed record by record. `low` is the key that it is
 * known by in its parent: the first node of a new run inherits it. */
vde_status builder_begin_node(struct builder *builder, unsigned level, const uint8_t *low, size_t low_size, size_t used);
/* The next record of a level; `is_new`: it was not there before. CORRUPT when keys don't ascend. */
vde_status builder_push(struct builder *builder, unsigned level, const struct node_record *record, bool is_new);
/* The current run has shrunk to so little that it should take in the node that follows. */
bool builder_wants_neighbour(const struct builder *builder, unsigned level);
/* End the run: write out what the level holds. */
vde_status builder_close(struct builder *builder, unsigned level);
/* Close everything; the node at the top, null if there is nothing. */
vde_status builder_finish(struct builder *builder, struct ptr *ret_node, unsigned *ret_level);
#endif
