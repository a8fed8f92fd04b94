/* SPDX-License-Identifier: Apache-2.0 */
/* lookup.c -- finding one record: one node pinned at a time, two while stepping down. */
#include "tree/lookup.h"

#include <stdlib.h>

#include "base/fail.h"
#include "tree/page.h"

vde_status tree_find(const struct tree_store *store, uint64_t tree, const struct tree_root *root, const void *key,
                     size_t key_size, const struct node **ret_leaf, unsigned *ret_index)
{
    if (ptr_is_null(root->node))
        return VDE_NOT_FOUND;
    const struct node *node;
    VDE_TRY(node_pin(store, tree, root->node, root->level, &node));
    for (unsigned level = root->level; level > 0; level--) {
        const struct node *child;
        struct ptr ptr = node_child(node->block, page_child(node->block, key, key_size));
        vde_status status = node_pin(store, tree, ptr, level - 1, &child);
        node_unpin(node);
        if (status != VDE_OK)
            return status;
        node = child;
    }
    bool equal;
    unsigned index = page_lower_bound(node->block, key, key_size, &equal);
    if (!equal) {
        node_unpin(node);
        return VDE_NOT_FOUND;
    }
    *ret_leaf = node;
    *ret_index = index;
    return VDE_OK;
}

vde_status tree_get(const struct tree_store *store, uint64_t tree, const struct tree_root *root, const void *key,
                    size_t key_size, enum value_kind *ret_kind, void **ret_data, size_t *ret_size)
{
    const struct node *leaf;
    unsigned index;
    VDE_TRY(tree_find(store, tree, root, key, key_size, &leaf, &index));
    struct node_record record = node_record(leaf->block, index);
    void *data = malloc(record.value_size > 0 ? record.value_size : 1);
    if (data) {
        memcpy(data, record.value, record.value_size);
        *ret_kind = (enum value_kind)record.kind;
        *ret_data = data;
        *ret_size = record.value_size;
    }
    node_unpin(leaf);
    return data ? VDE_OK : fail_nomem("value");
}
