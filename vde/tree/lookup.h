/* SPDX-License-Identifier: Apache-2.0 */
/* lookup.h -- finding a record without copying it. */
#ifndef VDE_TREE_LOOKUP_H
#define VDE_TREE_LOOKUP_H

#include "tree/pin.h"

/* The leaf with `key`, pinned, and the key's index in it. A plain VDE_NOT_FOUND, without error detail: absence is no
 * failure here, and telling of it would cost more than the lookup. */
vde_status tree_find(const struct tree_store *store, uint64_t tree, const struct tree_root *root, const void *key,
                     size_t key_size, const struct node **ret_leaf, unsigned *ret_index);
#endif
