/* SPDX-License-Identifier: Apache-2.0 */
/* cache.h -- verified tree nodes in memory under a byte budget, shared by all trees of an image. Nodes are immutable and
 * reference-counted; eviction (clock) skips pinned ones. */
#ifndef VDE_TREE_CACHE_H
#define VDE_TREE_CACHE_H

#include "tree/tree.h"

vde_status node_cache_create(uint64_t budget_bytes, struct node_cache **ret_cache);
void node_cache_destroy(struct node_cache *cache);
/* Forget a block: called when its space is freed for reuse. */
void node_cache_forget(struct node_cache *cache, uint64_t address);
/* The same for every node whose block is gone. */
void node_cache_forget_if(struct node_cache *cache, bool (*gone)(void *context, uint64_t address), void *context);
/* At most this many nodes are in the cache now. */
uint64_t node_cache_frames(struct node_cache *cache);
void node_cache_counters(const struct node_cache *cache, uint64_t *ret_hits, uint64_t *ret_reads);
#endif
