/* SPDX-License-Identifier: Apache-2.0 */
/* walk.c -- walk one version of a tree: verify each node, the bounds that parents set for their children, the counts of the
 * root, every extent, and who owns what. Memory: one block a level and the sets of blocks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/checksum.h"
#include "base/fail.h"
#include "check/checker.h"

#define EXTENT_MAX_BLOCKS ((16u << 20) / BLOCK_BYTES)

struct walk {
    struct checker *c;
    const struct check_tree *tree;
    uint64_t nodes, records;
    bool partial;    /* shared or damaged parts were left out: counts mean nothing */
    uint8_t *levels; /* one block a level */
};

/* Keys of a subtree lie in [low, high); NULL: no bound. Bytes borrowed from the parent's block. */
struct bounds {
    const uint8_t *low, *high;
    size_t low_size, high_size;
};

enum claim { CLAIM_NEW, CLAIM_SHARED, CLAIM_REFUSED };

bool check_allocatable(const struct checker *c, uint64_t address, uint64_t blocks)
{
    uint64_t end;
    if (blocks == 0 || !checked_add(address, blocks, &end))
        return false;
    static const enum region_kind kinds[] = {REGION_HISTORY, REGION_HEAP};
    for (unsigned i = 0; i < 2; i++) {
        const struct region *r = layout_region(&c->label.layout, kinds[i]);
        if (address >= r->block && end <= r->block + r->blocks)
            return true;
    }
    /* The history area and the heap touch: a run may lie across. */
    const struct region *history = layout_region(&c->label.layout, REGION_HISTORY);
    const struct region *heap = layout_region(&c->label.layout, REGION_HEAP);
    return history->block + history->blocks == heap->block && address >= history->block &&
           end <= heap->block + heap->blocks;
}

/* Note who owns a run. In one version everything has one owner; versions of a dataset share; datasets never do. */
static vde_status claim(struct walk *w, struct ptr p, const char *what, enum claim *ret_claim)
{
    struct checker *c = w->c;
    struct blockset *owned = w->tree->owned ? w->tree->owned : &c->dataset;
    *ret_claim = CLAIM_REFUSED;
    if (!check_allocatable(c, p.address, p.blocks) || p.blocks > EXTENT_MAX_BLOCKS) {
        check_report(c, "%s %s at block %llu|a run of %u blocks|a run inside history area or heap", w->tree->name, what,
                     (unsigned long long)p.address, p.blocks);
        return VDE_OK;
    }
    uint64_t twice = blockset_common(&c->version, p.address, p.blocks);
    uint64_t mine = blockset_common(owned, p.address, p.blocks);
    uint64_t all = blockset_common(&c->reached, p.address, p.blocks);
    VDE_TRY(blockset_add(&c->version, p.address, p.blocks));
    bool shared = w->tree->shares && mine == p.blocks && twice == 0;
    if (!shared && (twice || mine || all)) {
        uint64_t doubly = max_u64(twice, max_u64(mine, all));
        c->summary->doubly_owned_blocks += doubly;
        check_report(c, "%s %s at block %llu|%llu of %u blocks have another owner|one owner", w->tree->name, what,
                     (unsigned long long)p.address, (unsigned long long)doubly, p.blocks);
        return VDE_OK;
    }
    VDE_TRY(blockset_add(owned, p.address, p.blocks));
    VDE_TRY(blockset_add(&c->reached, p.address, p.blocks));
    *ret_claim = shared ? CLAIM_SHARED : CLAIM_NEW;
    return VDE_OK;
}

vde_status check_extent(struct checker *c, struct ptr p, const char *object, bool *ret_good)
{
    *ret_good = false;
    size_t size = (size_t)p.blocks * BLOCK_BYTES;
    if (size > c->extent_capacity) {
        free(c->extent);
        c->extent_capacity = 0;
        c->extent = aligned_alloc(BLOCK_BYTES, size);
        if (!c->extent)
            return fail_nomem("extent");
        c->extent_capacity = size;
    }
    VDE_TRY(check_read(c, p.address, c->extent, p.blocks));
    uint64_t sum = checksum(c->extent, p.bytes, c->seed ^ p.address);
    *ret_good = sum == p.checksum;
    if (!*ret_good)
        check_report(c, "%s extent at block %llu|checksum %016llx|%016llx", object, (unsigned long long)p.address,
                     (unsigned long long)sum, (unsigned long long)p.checksum);
    if (c->opts.progress)
        c->opts.progress(c->opts.context, c->reached.count * BLOCK_BYTES, c->sb.used_blocks * BLOCK_BYTES);
    return VDE_OK;
}

static vde_status walk_extents(struct walk *w, struct check_record *record)
{
    struct checker *c = w->c;
    unsigned count = value_extents(record->kind, record->value);
    for (unsigned i = 0; i < count; i++) {
        struct ptr p = value_extent(record->kind, record->value, i);
        enum claim got;
        VDE_TRY(claim(w, p, "extent", &got));
        if (got == CLAIM_REFUSED)
            w->partial = c->incomplete = true;
        if (got != CLAIM_NEW)
            continue;
        c->summary->extents++;
        c->summary->extent_bytes += p.bytes;
        if (p.birth > c->sb.checkpoint_lsn)
            check_report(c, "%s extent at block %llu|birth %llu|at most the cut, %llu", w->tree->name,
                         (unsigned long long)p.address, (unsigned long long)p.birth,
                         (unsigned long long)c->sb.checkpoint_lsn);
        if (w->tree->skip_data)
            continue;
        bool good;
        VDE_TRY(check_extent(c, p, w->tree->name, &good));
        if (good && record->kind == VALUE_EXTENT)
            record->content = c->extent;
    }
    return VDE_OK;
}

static vde_status walk_leaf(struct walk *w, const struct disk_node *node)
{
    for (unsigned i = 0; i < node_count(node); i++) {
        struct node_record r = node_record(node, i);
        struct check_record record = {r.key, r.value, r.key_size, r.value_size, r.kind, NULL};
        VDE_TRY(walk_extents(w, &record));
        if (w->tree->visit)
            VDE_TRY(w->tree->visit(w->c, w->tree->context, &record));
    }
    w->records += node_count(node);
    return VDE_OK;
}

static int compare(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
    return order ? order : a_size < b_size ? -1 : a_size > b_size;
}

/* Keys ascend inside a verified node, so its first and last tell about all. An inner node's first key may lie below its
 * bound: it is only a lower bound of the child. */
static void check_bounds(struct walk *w, const struct disk_node *node, uint64_t address, const struct bounds *b)
{
    struct node_record first = node_record(node, 0), last = node_record(node, node_count(node) - 1);
    bool low = !b->low || node->level > 0 || compare(first.key, first.key_size, b->low, b->low_size) >= 0;
    bool high = !b->high || compare(last.key, last.key_size, b->high, b->high_size) < 0;
    if (!low || !high)
        check_report(w->c, "%s node at block %llu|a key %s its parent's bounds|keys inside them", w->tree->name,
                     (unsigned long long)address, low ? "above" : "below");
}

static vde_status walk_node(struct walk *w, struct ptr p, unsigned level, const struct bounds *bounds);

static vde_status walk_children(struct walk *w, const struct disk_node *node, const struct bounds *bounds)
{
    unsigned count = node_count(node);
    for (unsigned i = 0; i < count; i++) {
        struct node_record r = node_record(node, i);
        struct bounds inner = *bounds;
        if (r.key_size && (!bounds->low || compare(r.key, r.key_size, bounds->low, bounds->low_size) > 0)) {
            inner.low = r.key;
            inner.low_size = r.key_size;
        }
        if (i + 1 < count) {
            struct node_record next = node_record(node, i + 1);
            inner.high = next.key;
            inner.high_size = next.key_size;
        }
        VDE_TRY(walk_node(w, node_child(node, i), node->level - 1u, &inner));
    }
    return VDE_OK;
}

static vde_status walk_node(struct walk *w, struct ptr p, unsigned level, const struct bounds *bounds)
{
    struct checker *c = w->c;
    enum claim got;
    VDE_TRY(claim(w, p, "node", &got));
    if (got != CLAIM_NEW) {
        w->partial = true;
        c->incomplete = c->incomplete || got == CLAIM_REFUSED;
        return VDE_OK;
    }
    uint8_t *block = w->levels + (size_t)level * BLOCK_BYTES;
    VDE_TRY(check_read(c, p.address, block, 1));
    c->summary->nodes++;
    c->summary->node_bytes += BLOCK_BYTES;
    vde_status status = node_verify(block, c->seed, w->tree->tree, p, level, c->label.layout.blocks);
    if (status != VDE_OK) {
        w->partial = c->incomplete = true;
        return check_note(c, status);
    }
    const struct disk_node *node = (const struct disk_node *)(const void *)block;
    if (p.birth > c->sb.checkpoint_lsn)
        check_report(c, "%s node at block %llu|birth %llu|at most the cut, %llu", w->tree->name,
                     (unsigned long long)p.address, (unsigned long long)p.birth,
                     (unsigned long long)c->sb.checkpoint_lsn);
    w->nodes++;
    check_bounds(w, node, p.address, bounds);
    return node->level == 0 ? walk_leaf(w, node) : walk_children(w, node, bounds);
}

vde_status check_walk(struct checker *c, const struct check_tree *tree)
{
    blockset_clear(&c->version);
    if (ptr_is_null(tree->root.node))
        return VDE_OK;
    struct walk w = {.c = c, .tree = tree};
    w.levels = aligned_alloc(BLOCK_BYTES, (TREE_LEVEL_MAX + 1) * (size_t)BLOCK_BYTES);
    if (!w.levels)
        return fail_nomem("node buffers");
    struct bounds none = {NULL, NULL, 0, 0};
    vde_status status = walk_node(&w, tree->root.node, tree->root.level, &none);
    free(w.levels);
    if (status == VDE_OK && !w.partial && (w.nodes != tree->root.nodes || w.records != tree->root.records))
        check_report(c, "%s|%llu records in %llu nodes|%llu in %llu as its root says", tree->name,
                     (unsigned long long)w.records, (unsigned long long)w.nodes,
                     (unsigned long long)tree->root.records, (unsigned long long)tree->root.nodes);
    return status;
}
