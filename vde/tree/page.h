/* SPDX-License-Identifier: Apache-2.0 */
/* page.h -- search in a verified node, and building a new one: pure, in memory. */
#ifndef VDE_TREE_PAGE_H
#define VDE_TREE_PAGE_H

#include "format/node.h"

/* Bytes compared as unsigned, a prefix before what it is a prefix of. */
static inline int key_compare(const void *a, size_t a_size, const void *b, size_t b_size)
{
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
    return order != 0 ? order : (a_size > b_size) - (a_size < b_size);
}

/* The first record with a key >= `key` (may be node_count()); *ret_equal: it is `key`. */
unsigned page_lower_bound(const struct disk_node *node, const void *key, size_t key_size, bool *ret_equal);
/* The child of an inner node to look for `key` in. */
unsigned page_child(const struct disk_node *node, const void *key, size_t key_size);

/* What a new node says about itself. */
struct page_identity {
    uint64_t seed, address, tree, birth;
    unsigned level;
};
/* Build a node of `count` >= 1 sorted records that fit NODE_SPACE, overhead included. */
void page_build(void *block, const struct page_identity *identity, const struct node_record *records, unsigned count);
#endif
