/* SPDX-License-Identifier: Apache-2.0 */
/* drop.c -- letting go of a whole version, in steps if need be: leaves from left to right, an inner node once its last
 * child is gone. Recursion is bounded by the verified, strictly decreasing level; one node a level is pinned. */
#include "tree/pin.h"

#include "base/fail.h"
#include "tree/page.h"

struct dropper {
    const struct tree_writer *writer;
    uint64_t tree;
    uint64_t nodes_left; /* a damaged tree whose nodes are shared could otherwise be walked without end */
    struct tree_drop *step;
    bool stop;
};

struct low {
    const uint8_t *key;
    size_t size;
};

static vde_status drop_values(const struct dropper *d, const struct disk_node *leaf)
{
    for (unsigned i = 0; i < node_count(leaf); i++) {
        struct node_record record = node_record(leaf, i);
        if (d->step->record)
            VDE_TRY(d->step->record(d->writer->context, &record));
        for (unsigned e = 0; e < value_extents(record.kind, record.value); e++) {
            struct ptr extent = value_extent(record.kind, record.value, e);
            if (extent.birth > d->step->keep_through)
                VDE_TRY(d->writer->drop(d->writer->context, d->tree, extent));
        }
    }
    return VDE_OK;
}

/* The child that holds the key at which an earlier step stopped. */
static unsigned resume_child(const struct dropper *d, const struct disk_node *node)
{
    unsigned index = 0;
    while (index + 1 < node_count(node)) {
        struct node_record next = node_record(node, index + 1);
        if (key_compare(next.key, next.key_size, d->step->resume, d->step->resume_size) > 0)
            break;
        index++;
    }
    return index;
}

static void stop_at(struct dropper *d, struct low low)
{
    d->stop = true;
    d->step->resume_size = low.size;
    memcpy(d->step->resume, low.key, low.size);
}

static vde_status drop_subtree(struct dropper *d, struct ptr ptr, unsigned level, struct low low, bool on_path)
{
    if (ptr.birth <= d->step->keep_through)
        return VDE_OK;
    if (d->step->budget == 0) {
        stop_at(d, low);
        return VDE_OK;
    }
    if (d->nodes_left-- == 0)
        return fail_corrupt("tree %llu node at block %llu|more nodes than the root counts|as many",
                            (unsigned long long)d->tree, (unsigned long long)ptr.address);
    const struct node *node;
    VDE_TRY(node_pin(d->writer->store, d->tree, ptr, level, &node));
    vde_status status = VDE_OK;
    if (level == 0) {
        d->step->budget--;
        status = drop_values(d, node->block);
    }
    unsigned first = level > 0 && on_path ? resume_child(d, node->block) : 0;
    for (unsigned i = first; level > 0 && status == VDE_OK && !d->stop && i < node_count(node->block); i++) {
        struct node_record record = node_record(node->block, i);
        struct low child_low = i == 0 ? low : (struct low){record.key, record.key_size};
        status = drop_subtree(d, node_child(node->block, i), level - 1, child_low, on_path && i == first);
    }
    node_unpin(node);
    VDE_TRY(status);
    return d->stop ? VDE_OK : d->writer->drop(d->writer->context, d->tree, ptr);
}

vde_status tree_drop_some(const struct tree_writer *writer, uint64_t tree, const struct tree_root *root,
                          struct tree_drop *step)
{
    static const uint8_t lowest[1];
    struct dropper d = {writer, tree, root->nodes, step, false};
    if (!ptr_is_null(root->node))
        VDE_TRY(drop_subtree(&d, root->node, root->level, (struct low){lowest, 0}, step->resume_size > 0));
    step->done = !d.stop;
    return VDE_OK;
}

vde_status tree_drop_all(const struct tree_writer *writer, uint64_t tree, const struct tree_root *root)
{
    struct tree_drop step = {.budget = UINT64_MAX};
    return tree_drop_some(writer, tree, root, &step);
}
