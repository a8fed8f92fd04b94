/* SPDX-License-Identifier: Apache-2.0 */
/* pin.h -- how the tree gets at its nodes: verified, immutable and pinned. With a cache in the store a node is shared;
 * without one it is the caller's private copy. Both are given back by node_unpin(). */
#ifndef VDE_TREE_PIN_H
#define VDE_TREE_PIN_H

#include <stdatomic.h>

#include "tree/cache.h"

/* One cache line: what a search needs to know before it touches the block. */
struct node {
    _Alignas(64) const struct disk_node *block; /* verified */
    uint64_t address, birth, checksum, tree;
    uint32_t next;              /* frame in the same bucket; guarded by the shard's lock */
    atomic_uint pins;           /* taken under the shard's lock, dropped without; private nodes: 1 */
    uint8_t level;
    bool private;               /* not in a cache: freed by its unpin */
    bool hashed;                /* can be found; guarded by the shard's lock */
    bool used;                  /* since the clock's hand last passed; guarded by the shard's lock */
};

vde_status node_pin(const struct tree_store *store, uint64_t tree, struct ptr ptr, unsigned level,
                    const struct node **ret_node);
void node_unpin(const struct node *node);
static inline bool node_is(const struct node *node, struct ptr ptr)
{
    return node->address == ptr.address && node->birth == ptr.birth && node->checksum == ptr.checksum;
}

/* Offer a node that was just built, and is therefore known to be valid. */
void node_cache_offer(const struct tree_store *store, uint64_t tree, struct ptr ptr, unsigned level, const void *block);
#endif
