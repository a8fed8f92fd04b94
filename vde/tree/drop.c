/* SPDX-License-Identifier: Apache-2.0 */
/* drop.c -- letting go of a whole version. Recursion is bounded by the verified, strictly decreasing level; one node a
 * level is pinned. */
#include "tree/pin.h"

#include "base/fail.h"

struct dropper {
    const struct tree_writer *writer;
    uint64_t tree;
    uint64_t nodes_left; /* a damaged tree whose nodes are shared could otherwise be walked without end */
};

static vde_status drop_values(const struct dropper *d, const struct disk_node *leaf)
{
    for (unsigned i = 0; i < node_count(leaf); i++) {
        struct node_record record = node_record(leaf, i);
        for (unsigned e = 0; e < value_extents(record.kind, record.value); e++)
            VDE_TRY(d->writer->drop(d->writer->context, d->tree, value_extent(record.kind, record.value, e)));
    }
    return VDE_OK;
}

static vde_status drop_subtree(struct dropper *d, struct ptr ptr, unsigned level)
{
    if (d->nodes_left-- == 0)
        return fail_corrupt("tree %llu node at block %llu|more nodes than the root counts|as many",
                            (unsigned long long)d->tree, (unsigned long long)ptr.address);
    const struct node *node;
    VDE_TRY(node_pin(d->writer->store, d->tree, ptr, level, &node));
    vde_status status = level == 0 ? drop_values(d, node->block) : VDE_OK;
    for (unsigned i = 0; level > 0 && status == VDE_OK && i < node_count(node->block); i++)
        status = drop_subtree(d, node_child(node->block, i), level - 1);
    node_unpin(node);
    VDE_TRY(status);
    return d->writer->drop(d->writer->context, d->tree, ptr);
}

vde_status tree_drop_all(const struct tree_writer *writer, uint64_t tree, const struct tree_root *root)
{
    if (ptr_is_null(root->node))
        return VDE_OK;
    struct dropper d = {writer, tree, root->nodes};
    return drop_subtree(&d, root->node, root->level);
}
