/* SPDX-License-Identifier: Apache-2.0 */
/* apply.c -- the next version of a tree: old nodes that changes fall into are taken apart from left to right, and their
 * records, with the changes merged in, go through the builder into new nodes. Subtrees without changes are kept as they
 * are, unless the run before one has shrunk so far that it takes in the subtree's first node as well.
 *
 * So every touched node is read and rewritten once, and only the last node of a level may stay underfull: what shrinks
 * anywhere else is merged with what follows. What grows is never merged.
 *
 * Memory: two nodes' worth a level, the pinned path, one pointer a change. Recursion follows the level, which the
 * verifier makes decrease. */
#include "tree/builder.h"

#include <stdlib.h>

#include "base/fail.h"
#include "format/run.h"
#include "tree/lookup.h"
#include "tree/page.h"
#include "tree/spill.h"

struct apply {
    struct builder builder;
    const struct tree_writer *writer;
    uint64_t tree;
    const struct tree_op **ops; /* those that change something */
    size_t count;
    uint64_t records;
};

struct bytes {
    const uint8_t *data;
    size_t size;
};

/* A subtree, the changes that fall into it, and the keys between which all of its keys must lie. */
struct part {
    struct ptr ptr;
    unsigned level;
    struct bytes low;
    struct bytes high; /* data NULL: no bound */
    size_t from, to;   /* indexes of ops */
};

static int compare(struct bytes a, struct bytes b)
{
    return key_compare(a.data, a.size, b.data, b.size);
}

static struct bytes op_key(const struct tree_op *op)
{
    return (struct bytes){op->key, op->key_size};
}

static struct bytes record_key(const struct disk_node *node, unsigned index)
{
    struct node_record record = node_record(node, index);
    return (struct bytes){record.key, record.key_size};
}

/* --- checking the changes ----------------------------------------------------------------------------------------- */

static vde_status check_op(const struct tree_op *op, uint64_t device_blocks)
{
    if (op->key_size == 0 || op->key_size > NODE_KEY_MAX)
        return fail_as(VDE_INVAL, "key|%zu bytes|1 to %u", op->key_size, NODE_KEY_MAX);
    if (op->kind == VALUE_DELETE)
        return VDE_OK;
    if (op->kind == VALUE_INLINE)
        return op->value_size <= SPILL_VALUE_MAX
                   ? VDE_OK
                   : fail_as(VDE_TOO_LARGE, "value|%zu bytes|at most %u", op->value_size, SPILL_VALUE_MAX);
    if (op->key_size + op->value_size > NODE_RECORD_MAX)
        return fail_as(VDE_TOO_LARGE, "record|%zu bytes|at most %zu", op->key_size + op->value_size, NODE_RECORD_MAX);
    if (op->kind == VALUE_RUN)
        return run_verify(RUN_IN_TREE, op->key, op->key_size, op->kind, op->value, op->value_size, device_blocks, "run");
    return value_verify(op->kind, op->value, op->value_size, device_blocks, "value");
}

/* Whether a change changes anything: to delete what is not there would only rewrite its path. */
static vde_status has_effect(const struct apply *a, const struct tree_root *root, const struct tree_op *op,
                             bool *ret_effect)
{
    *ret_effect = true;
    if (op->kind != VALUE_DELETE)
        return VDE_OK;
    const struct node *leaf;
    unsigned index;
    vde_status status = tree_find(a->writer->store, a->tree, root, op->key, op->key_size, &leaf, &index);
    if (status == VDE_OK)
        node_unpin(leaf);
    *ret_effect = status == VDE_OK;
    return status == VDE_NOT_FOUND ? VDE_OK : status;
}

static vde_status select_ops(struct apply *a, const struct tree_root *root, const struct tree_op *ops, size_t count)
{
    a->ops = malloc(count * sizeof *a->ops);
    if (!a->ops)
        return fail_nomem("tree changes");
    for (size_t i = 0; i < count; i++) {
        VDE_TRY(check_op(&ops[i], store_blocks(a->writer->store)));
        if (i > 0 && compare(op_key(&ops[i - 1]), op_key(&ops[i])) >= 0)
            return fail_as(VDE_INVAL, "tree changes|change %zu out of order|ascending keys", i);
        bool effect;
        VDE_TRY(has_effect(a, root, &ops[i], &effect));
        if (effect)
            a->ops[a->count++] = &ops[i];
    }
    return VDE_OK;
}

/* --- leaves ------------------------------------------------------------------------------------------------------ */

static bool owns(const struct node_record *record, struct ptr extent)
{
    for (unsigned i = 0; record && i < value_extents(record->kind, record->value); i++) {
        struct ptr own = value_extent(record->kind, record->value, i);
        if (own.address == extent.address && own.birth == extent.birth)
            return true;
    }
    return false;
}

/* Drop the extents of a value that goes, but not those that the value in its place still names. Runs may go in part: who
 * changes them says what is dropped. */
static vde_status drop_value(const struct apply *a, const struct node_record *old, const struct node_record *in_place)
{
    if (old->kind == VALUE_RUN)
        return VDE_OK;
    for (unsigned i = 0; i < value_extents(old->kind, old->value); i++) {
        struct ptr extent = value_extent(old->kind, old->value, i);
        if (!owns(in_place, extent))
            VDE_TRY(a->writer->drop(a->writer->context, a->tree, extent));
    }
    return VDE_OK;
}

/* Merge one change in; `old` is the record with its key, NULL if there is none. */
static vde_status apply_op(struct apply *a, const struct tree_op *op, const struct node_record *old)
{
    if (op->kind == VALUE_DELETE) {
        if (!old)
            return VDE_OK;
        if (a->records-- == 0)
            return fail_corrupt("root of tree %llu|more records than it counts|as many", (unsigned long long)a->tree);
        return drop_value(a, old, NULL);
    }
    struct node_record record = {op->key, op->value, (uint16_t)op->key_size, (uint16_t)op->value_size,
                                 (uint8_t)op->kind};
    uint8_t descriptor[SPILL_DESCRIPTOR_MAX];
    if (op->key_size + op->value_size > NODE_RECORD_MAX) {
        size_t size;
        VDE_TRY(spill_write(a->writer, op->value, op->value_size, descriptor, &size));
        record.kind = VALUE_SPILLED;
        record.value = descriptor;
        record.value_size = (uint16_t)size;
    }
    if (old)
        VDE_TRY(drop_value(a, old, &record));
    else
        a->records++;
    return builder_push(&a->builder, 0, &record, !old);
}

static vde_status push_records(struct apply *a, const struct disk_node *node, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        struct node_record record = node_record(node, i);
        VDE_TRY(builder_push(&a->builder, 0, &record, false));
    }
    return VDE_OK;
}

static vde_status merge_leaf(struct apply *a, const struct disk_node *node, const struct part *part)
{
    unsigned done = 0;
    for (size_t i = part->from; i < part->to; i++) {
        const struct tree_op *op = a->ops[i];
        bool equal;
        unsigned index = page_lower_bound(node, op->key, op->key_size, &equal);
        VDE_TRY(push_records(a, node, done, index));
        struct node_record old = equal ? node_record(node, index) : (struct node_record){0};
        VDE_TRY(apply_op(a, op, equal ? &old : NULL));
        done = index + equal;
    }
    return push_records(a, node, done, node_count(node));
}

/* --- inner nodes -------------------------------------------------------------------------------------------------- */

static vde_status take_apart(struct apply *a, const struct part *part);

/* Let a subtree without changes join its parent as it is. */
static vde_status keep(struct apply *a, const struct part *part)
{
    for (unsigned level = 0; level <= part->level; level++) {
        if (builder_wants_neighbour(&a->builder, level))
            return take_apart(a, part);
        VDE_TRY(builder_close(&a->builder, level));
    }
    struct disk_ptr value = ptr_put(part->ptr);
    struct node_record record = {part->low.data, (const uint8_t *)&value, (uint16_t)part->low.size, sizeof value, 0};
    return builder_push(&a->builder, part->level + 1, &record, false);
}

/* The first change in [from, to) with a key not below `key`. */
static size_t first_op(const struct apply *a, size_t from, size_t to, struct bytes key)
{
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (compare(op_key(a->ops[middle]), key) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static vde_status merge_children(struct apply *a, const struct disk_node *node, const struct part *part)
{
    unsigned count = node_count(node);
    size_t from = part->from;
    for (unsigned i = 0; i < count; i++) {
        struct part child = {
            .ptr = node_child(node, i),
            .level = part->level - 1,
            /* The node may be known by a lower key than its first child was: then the child is from now on, too. */
            .low = i == 0 ? part->low : record_key(node, i),
            .high = i + 1 < count ? record_key(node, i + 1) : part->high,
            .from = from,
            .to = part->to,
        };
        if (i + 1 < count)
            child.to = first_op(a, from, part->to, child.high);
        VDE_TRY(child.from < child.to ? take_apart(a, &child) : keep(a, &child));
        from = child.to;
    }
    return VDE_OK;
}

/* The verifier sees one block; that its keys are where the parent says is checked here, before they are moved. */
static vde_status check_bounds(const struct apply *a, const struct disk_node *node, const struct part *part)
{
    bool low_fits = compare(record_key(node, 0), part->low) >= 0 || part->low.size == 0;
    bool high_fits = !part->high.data || compare(record_key(node, node_count(node) - 1), part->high) < 0;
    if (!low_fits || !high_fits)
        return fail_corrupt("tree %llu node at block %llu|keys beyond the bounds in its parent|keys between them",
                            (unsigned long long)a->tree, (unsigned long long)part->ptr.address);
    return VDE_OK;
}

static vde_status merge_node(struct apply *a, const struct disk_node *node, const struct part *part)
{
    VDE_TRY(check_bounds(a, node, part));
    VDE_TRY(builder_begin_node(&a->builder, part->level, part->low.data, part->low.size, node_used(node)));
    VDE_TRY(part->level == 0 ? merge_leaf(a, node, part) : merge_children(a, node, part));
    if (a->builder.nodes-- == 0)
        return fail_corrupt("root of tree %llu|more nodes than it counts|as many", (unsigned long long)a->tree);
    return a->writer->drop(a->writer->context, a->tree, part->ptr);
}

/* Feed a node to the builder, changes merged in, and drop it. */
static vde_status take_apart(struct apply *a, const struct part *part)
{
    const struct node *node;
    VDE_TRY(node_pin(a->writer->store, a->tree, part->ptr, part->level, &node));
    vde_status status = merge_node(a, node->block, part);
    node_unpin(node);
    return status;
}

/* --- the whole --------------------------------------------------------------------------------------------------- */

/* A kept subtree that became the whole tree may be an inner node of a single child. */
static vde_status collapse_root(struct apply *a, struct tree_root *root)
{
    while (root->level > 0) {
        const struct node *node;
        VDE_TRY(node_pin(a->writer->store, a->tree, root->node, root->level, &node));
        bool single = node_count(node->block) == 1;
        struct ptr child = node_child(node->block, 0);
        node_unpin(node);
        if (!single)
            break;
        VDE_TRY(a->writer->drop(a->writer->context, a->tree, root->node));
        a->builder.nodes--;
        root->node = child;
        root->level--;
    }
    return VDE_OK;
}

static vde_status make_version(struct apply *a, const struct tree_root *old, struct tree_root *ret_root)
{
    static const uint8_t lowest[1];
    struct part all = {old->node, old->level, {lowest, 0}, {NULL, 0}, 0, a->count};
    if (ptr_is_null(old->node)) {
        VDE_TRY(builder_begin_node(&a->builder, 0, lowest, 0, 0));
        for (size_t i = 0; i < a->count; i++)
            VDE_TRY(apply_op(a, a->ops[i], NULL));
    } else {
        VDE_TRY(take_apart(a, &all));
    }
    struct tree_root root = {0};
    unsigned level;
    VDE_TRY(builder_finish(&a->builder, &root.node, &level));
    root.level = (uint8_t)level;
    if (root.level < old->level)
        VDE_TRY(collapse_root(a, &root));
    root.records = a->records;
    root.nodes = a->builder.nodes;
    *ret_root = root;
    return VDE_OK;
}

vde_status tree_apply(const struct tree_writer *writer, uint64_t tree, struct tree_root *root, const struct tree_op *ops,
                      size_t count)
{
    if (count == 0)
        return VDE_OK;
    struct apply a = {.writer = writer, .tree = tree, .records = root->records};
    vde_status status = select_ops(&a, root, ops, count);
    if (status == VDE_OK && a.count > 0) {
        status = builder_init(&a.builder, writer, tree, root->nodes);
        if (status == VDE_OK)
            status = make_version(&a, root, root);
        builder_done(&a.builder);
    }
    free(a.ops);
    return status;
}
