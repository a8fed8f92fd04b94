/* SPDX-License-Identifier: Apache-2.0 */
/* diff.c -- two walks side by side. Each stands on a subtree; a subtree that both stand on is passed over unread, else the
 * higher one is entered, and two leaves that differ make a range. The one whose keys end first moves on, so that two
 * walks that cover the same keys always meet, wherever nodes were split. */
#include "tree/diff.h"

#include <stdlib.h>

#include "base/checked.h"
#include "base/fail.h"
#include "tree/page.h"
#include "tree/pin.h"

struct side {
    const struct tree_store *store;
    uint64_t tree;
    struct tree_root root;
    const struct node *path[TREE_LEVEL_MAX + 1]; /* entered nodes: those above `level` */
    unsigned index[TREE_LEVEL_MAX + 1];
    unsigned level;                              /* of the subtree that it stands on */
    bool ended;
    uint64_t nodes_left;                         /* a damaged tree could otherwise be walked without end */
};

struct tree_diff {
    struct tree_store store;
    struct side a, b;
};

struct bound {
    const uint8_t *key;
    size_t size;
    bool open;
};

static void side_done(struct side *side)
{
    for (unsigned level = 0; level <= TREE_LEVEL_MAX; level++)
        if (side->path[level])
            node_unpin(side->path[level]);
}

static vde_status side_init(struct side *side, const struct tree_store *store, uint64_t tree,
                            const struct tree_root *root)
{
    if (!ptr_is_null(root->node) && root->level > TREE_LEVEL_MAX)
        return fail_corrupt("root of tree %llu|level %u|at most %u", (unsigned long long)tree, root->level,
                            TREE_LEVEL_MAX);
    *side = (struct side){.store = store, .tree = tree, .root = *root, .level = root->level,
                          .ended = ptr_is_null(root->node), .nodes_left = root->nodes};
    return VDE_OK;
}

static struct ptr subtree(const struct side *side)
{
    if (side->level == side->root.level)
        return side->root.node;
    return node_child(side->path[side->level + 1]->block, side->index[side->level + 1]);
}

/* The keys between which all of the subtree lie: known from the nearest ancestor that bounds them. */
static struct bound low_of(const struct side *side)
{
    static const uint8_t lowest[1];
    for (unsigned level = side->level + 1; level <= side->root.level; level++)
        if (side->index[level] > 0) {
            struct node_record record = node_record(side->path[level]->block, side->index[level]);
            return (struct bound){record.key, record.key_size, false};
        }
    return (struct bound){lowest, 0, false};
}

static struct bound high_of(const struct side *side)
{
    for (unsigned level = side->level + 1; level <= side->root.level; level++)
        if (side->index[level] + 1 < node_count(side->path[level]->block)) {
            struct node_record record = node_record(side->path[level]->block, side->index[level] + 1);
            return (struct bound){record.key, record.key_size, false};
        }
    return (struct bound){.open = true};
}

static int compare_bounds(struct bound a, struct bound b)
{
    if (a.open || b.open)
        return (int)a.open - (int)b.open;
    return key_compare(a.key, a.size, b.key, b.size);
}

static vde_status enter(struct side *side)
{
    if (side->nodes_left-- == 0)
        return fail_corrupt("root of tree %llu|more nodes than it counts|as many", (unsigned long long)side->tree);
    VDE_TRY(node_pin(side->store, side->tree, subtree(side), side->level, &side->path[side->level]));
    side->index[side->level--] = 0;
    return VDE_OK;
}

/* To the subtree behind this one, as high up as it goes. */
static void pass(struct side *side)
{
    for (unsigned level = side->level + 1; level <= side->root.level; level++) {
        if (side->index[level] + 1 < node_count(side->path[level]->block)) {
            side->index[level]++;
            side->level = level - 1;
            return;
        }
        node_unpin(side->path[level]);
        side->path[level] = NULL;
    }
    side->ended = true;
}

static bool same_subtree(const struct side *a, const struct side *b)
{
    struct ptr p = subtree(a), q = subtree(b);
    return a->level == b->level && p.address == q.address && p.birth == q.birth && p.checksum == q.checksum;
}

vde_status tree_diff_open(const struct tree_store *store, uint64_t tree_a, const struct tree_root *a, uint64_t tree_b,
                          const struct tree_root *b, struct tree_diff **ret_diff)
{
    struct tree_diff *diff = calloc(1, sizeof *diff);
    if (!diff)
        return fail_nomem("tree difference");
    diff->store = store_copy(store);
    vde_status status = side_init(&diff->a, &diff->store, tree_a, a);
    if (status == VDE_OK)
        status = side_init(&diff->b, &diff->store, tree_b, b);
    if (status != VDE_OK) {
        free(diff);
        return status;
    }
    *ret_diff = diff;
    return VDE_OK;
}

void tree_diff_close(struct tree_diff *diff)
{
    if (!diff)
        return;
    side_done(&diff->a);
    side_done(&diff->b);
    free(diff);
}

/* Pass over what both share, and enter what they don't, until both stand on leaves that differ or one is at its end. */
static vde_status find_difference(struct side *a, struct side *b)
{
    while (!a->ended && !b->ended) {
        if (same_subtree(a, b)) {
            pass(a);
            pass(b);
            continue;
        }
        unsigned level = a->level > b->level ? a->level : b->level;
        if (level == 0)
            return VDE_OK;
        if (a->level == level)
            VDE_TRY(enter(a));
        if (b->level == level)
            VDE_TRY(enter(b));
    }
    return VDE_OK;
}

static void set_low(struct tree_range *range, struct bound low)
{
    range->low_size = low.size;
    memcpy(range->low, low.key, low.size);
}

static void set_high(struct tree_range *range, struct bound high)
{
    range->open = high.open;
    range->high_size = high.open ? 0 : high.size;
    if (!high.open)
        memcpy(range->high, high.key, high.size);
}

vde_status tree_diff_next(struct tree_diff *diff, struct tree_range *ret_range)
{
    struct side *a = &diff->a, *b = &diff->b;
    bool found = false;
    for (;;) {
        VDE_TRY(find_difference(a, b));
        if (a->ended && b->ended)
            break;
        struct side *alone = a->ended ? b : b->ended ? a : NULL;
        struct bound low = low_of(alone ? alone : a), high = {.open = true};
        if (!alone && compare_bounds(low_of(b), low) > 0)
            low = low_of(b);
        if (found && compare_bounds((struct bound){ret_range->high, ret_range->high_size, false}, low) != 0)
            break; /* there is a gap: the next call goes on from here */
        if (!found)
            set_low(ret_range, low);
        found = true;
        int order = 0;
        if (!alone) {
            order = compare_bounds(high_of(a), high_of(b));
            high = order <= 0 ? high_of(a) : high_of(b);
        }
        set_high(ret_range, high);
        if (alone)
            a->ended = b->ended = true;
        else if (order <= 0)
            pass(a);
        if (!alone && order >= 0)
            pass(b);
        if (high.open)
            break;
    }
    return found ? VDE_OK : VDE_NOT_FOUND;
}
