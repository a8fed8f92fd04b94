/* SPDX-License-Identifier: Apache-2.0 */
/* cursor.c -- walking the records of one version in key order. The path from the root to the leaf stays pinned, and a
 * node that is on the path of the next seek as well is not looked up again. */
#include "tree/pin.h"

#include <stdlib.h>

#include "base/fail.h"
#include "tree/page.h"

struct step {
    const struct node *node; /* NULL: none yet */
    unsigned index;
};

struct tree_cursor {
    struct tree_store store;
    uint64_t tree;
    struct tree_root root;
    struct step path[TREE_LEVEL_MAX + 1]; /* by level */
    bool valid;                           /* the whole path stands on a record */
};

static vde_status check_root(uint64_t tree, const struct tree_root *root)
{
    if (!ptr_is_null(root->node) && root->level > TREE_LEVEL_MAX)
        return fail_corrupt("root of tree %llu|level %u|at most %u", (unsigned long long)tree, root->level,
                            TREE_LEVEL_MAX);
    return VDE_OK;
}

vde_status tree_cursor_open(const struct tree_store *store, uint64_t tree, const struct tree_root *root,
                            struct tree_cursor **ret_cursor)
{
    VDE_TRY(check_root(tree, root));
    struct tree_cursor *cursor = calloc(1, sizeof *cursor);
    if (!cursor)
        return fail_nomem("tree cursor");
    cursor->store = store_copy(store);
    cursor->tree = tree;
    cursor->root = *root;
    *ret_cursor = cursor;
    return VDE_OK;
}

static void unpin_path(struct tree_cursor *cursor)
{
    for (unsigned level = 0; level <= TREE_LEVEL_MAX; level++) {
        if (cursor->path[level].node)
            node_unpin(cursor->path[level].node);
        cursor->path[level].node = NULL;
    }
}

void tree_cursor_close(struct tree_cursor *cursor)
{
    if (!cursor)
        return;
    unpin_path(cursor);
    free(cursor);
}

/* What is pinned stays: seeks take up nodes that are the same in the new version. */
vde_status tree_cursor_reset(struct tree_cursor *cursor, const struct tree_store *store, uint64_t tree,
                             const struct tree_root *root)
{
    VDE_TRY(check_root(tree, root));
    if (tree != cursor->tree || store->context != cursor->store.context || store->cache != cursor->store.cache)
        unpin_path(cursor);
    cursor->store = store_copy(store);
    cursor->tree = tree;
    cursor->root = *root;
    cursor->valid = false;
    return VDE_OK;
}

bool tree_cursor_valid(const struct tree_cursor *cursor)
{
    return cursor->valid;
}

void tree_cursor_record(const struct tree_cursor *cursor, const void **ret_key, size_t *ret_key_size,
                        struct tree_value *ret_value)
{
    struct node_record record = node_record(cursor->path[0].node->block, cursor->path[0].index);
    *ret_key = record.key;
    *ret_key_size = record.key_size;
    *ret_value = (struct tree_value){(enum value_kind)record.kind, record.value, record.value_size};
}

/* Put the node at `ptr` on the path. */
static vde_status enter(struct tree_cursor *cursor, unsigned level, struct ptr ptr)
{
    struct step *step = &cursor->path[level];
    if (step->node && node_is(step->node, ptr))
        return VDE_OK;
    if (step->node)
        node_unpin(step->node);
    step->node = NULL;
    return node_pin(&cursor->store, cursor->tree, ptr, level, &step->node);
}

/* From the child that path[level] stands on to its first or last record. */
static vde_status descend(struct tree_cursor *cursor, unsigned level, bool last)
{
    for (; level > 0; level--) {
        const struct step *step = &cursor->path[level];
        VDE_TRY(enter(cursor, level - 1, node_child(step->node->block, step->index)));
        struct step *child = &cursor->path[level - 1];
        child->index = last ? node_count(child->node->block) - 1 : 0;
    }
    cursor->valid = true;
    return VDE_OK;
}

/* The leaf where `key` is or would be; path[0].index is the first record not below it, possibly the count. */
static vde_status seek_leaf(struct tree_cursor *cursor, const void *key, size_t key_size, bool *ret_equal)
{
    unsigned level = cursor->root.level;
    VDE_TRY(enter(cursor, level, cursor->root.node));
    for (; level > 0; level--) {
        struct step *step = &cursor->path[level];
        step->index = page_child(step->node->block, key, key_size);
        VDE_TRY(enter(cursor, level - 1, node_child(step->node->block, step->index)));
    }
    cursor->path[0].index = page_lower_bound(cursor->path[0].node->block, key, key_size, ret_equal);
    return VDE_OK;
}

static vde_status next_leaf(struct tree_cursor *cursor)
{
    cursor->valid = false;
    for (unsigned level = 1; level <= cursor->root.level; level++) {
        struct step *step = &cursor->path[level];
        if (step->index + 1 < node_count(step->node->block)) {
            step->index++;
            return descend(cursor, level, false);
        }
    }
    return VDE_OK;
}

static vde_status previous_leaf(struct tree_cursor *cursor)
{
    cursor->valid = false;
    for (unsigned level = 1; level <= cursor->root.level; level++) {
        struct step *step = &cursor->path[level];
        if (step->index > 0) {
            step->index--;
            return descend(cursor, level, true);
        }
    }
    return VDE_OK;
}

vde_status tree_cursor_seek(struct tree_cursor *cursor, const void *key, size_t key_size)
{
    cursor->valid = false;
    if (ptr_is_null(cursor->root.node))
        return VDE_OK;
    bool equal;
    VDE_TRY(seek_leaf(cursor, key ? key : "", key ? key_size : 0, &equal));
    if (cursor->path[0].index == node_count(cursor->path[0].node->block))
        return next_leaf(cursor);
    cursor->valid = true;
    return VDE_OK;
}

vde_status tree_cursor_seek_before(struct tree_cursor *cursor, const void *key, size_t key_size)
{
    cursor->valid = false;
    if (ptr_is_null(cursor->root.node))
        return VDE_OK;
    bool equal;
    VDE_TRY(seek_leaf(cursor, key, key_size, &equal));
    if (!equal && cursor->path[0].index == 0)
        return previous_leaf(cursor);
    cursor->path[0].index -= !equal;
    cursor->valid = true;
    return VDE_OK;
}

vde_status tree_cursor_next(struct tree_cursor *cursor)
{
    if (!cursor->valid)
        return VDE_OK;
    struct step *leaf = &cursor->path[0];
    if (leaf->index + 1 < node_count(leaf->node->block)) {
        leaf->index++;
        return VDE_OK;
    }
    return next_leaf(cursor);
}
