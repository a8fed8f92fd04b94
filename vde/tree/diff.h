/* SPDX-License-Identifier: Apache-2.0 */
/* diff.h -- where two versions of a tree may differ: a walk over both that skips what they share. */
#ifndef VDE_TREE_DIFF_H
#define VDE_TREE_DIFF_H

#include "tree/tree.h"

/* Keys from `low` up to but not including `high`. */
struct tree_range {
    uint8_t low[NODE_KEY_MAX], high[NODE_KEY_MAX];
    size_t low_size, high_size;
    bool open; /* no upper bound: `high` says nothing */
};

struct tree_diff;
/* Versions `a` of tree `tree_a` and `b` of `tree_b` in the same store. Only inner nodes are read, and of those only the ones
 * that one version has and the other has not. */
vde_status tree_diff_open(const struct tree_store *store, uint64_t tree_a, const struct tree_root *a, uint64_t tree_b,
                          const struct tree_root *b, struct tree_diff **ret_diff);
void tree_diff_close(struct tree_diff *diff);
/* The next range, in ascending order, that is held by different leaves: outside of these ranges both versions have the same
 * records. NOT_FOUND (without detail): no more. */
vde_status tree_diff_next(struct tree_diff *diff, struct tree_range *ret_range);
#endif
