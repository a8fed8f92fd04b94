/* SPDX-License-Identifier: Apache-2.0 */
/* walk.c -- walk one version of a tree: verify each node, the bounds that parents set for their children, the counts of the
 * root, every extent and run, and who owns what. Memory: one block a level, and what is known of the blocks.
 *
 * A node that another version had is left out with all below it, since whatever it leads to was walked with it; the first
 * REVISITS_MAX of them are walked nevertheless, so that in smaller images each version is counted as a whole. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/checksum.h"
#include "base/fail.h"
#include "check/checker.h"

#define REVISITS_MAX 65536u

struct walk {
    struct checker *c;
    struct check_tree *tree;
    uint64_t nodes, records;
    uint64_t next_block; /* of a volume: behind the run before, 0: not known */
    bool partial;    /* shared or damaged parts were left out: counts mean nothing */
    uint8_t *levels; /* one block a level */
};

/* Keys of a subtree lie in [low, high); NULL: no bound. Bytes borrowed from the parent's block. */
struct bounds {
    const uint8_t *low, *high;
    size_t low_size, high_size;
};

vde_status check_extent(struct checker *c, struct ptr p, const char *object, bool *ret_good)
{
    *ret_good = false;
    VDE_TRY(check_extent_room(c, p.blocks));
    VDE_TRY(check_read(c, p.address, c->extent, p.blocks));
    uint64_t sum = checksum(c->extent, p.bytes, c->seed ^ p.address);
    *ret_good = sum == p.checksum;
    if (!*ret_good)
        check_report(c, "%s extent at block %llu|checksum %016llx|%016llx", object, (unsigned long long)p.address,
                     (unsigned long long)sum, (unsigned long long)p.checksum);
    check_progress(c);
    return VDE_OK;
}

/* What a record's value belongs to, for messages. */
static const char *name_record(const struct walk *w, const struct check_record *record, char *text, size_t size)
{
    bool file = w->tree->claim.owner->id == DATASET_FILES && record->key_size == 17;
    if (!file)
        return w->tree->claim.name;
    snprintf(text, size, "%s file %llu offset %llu", w->tree->claim.name, (unsigned long long)be64_get(record->key + 1),
             (unsigned long long)be64_get(record->key + 9));
    return text;
}

static vde_status walk_extents(struct walk *w, struct check_record *record)
{
    struct checker *c = w->c;
    unsigned count = value_extents(record->kind, record->value);
    char text[400];
    struct claim claim = w->tree->claim;
    claim.name = name_record(w, record, text, sizeof text);
    for (unsigned i = 0; i < count; i++) {
        struct ptr p = value_extent(record->kind, record->value, i);
        enum claimed got;
        VDE_TRY(check_claim(c, &claim, p.address, p.blocks, p.birth, "extent", &got));
        w->tree->counts.blocks += p.blocks;
        if (got == CLAIMED_WRONGLY)
            w->partial = c->incomplete = true;
        if (got != CLAIMED_FIRST)
            continue;
        c->summary->extents++;
        c->summary->extent_bytes += p.bytes;
        if (w->tree->skip_data)
            continue;
        bool good;
        VDE_TRY(check_extent(c, p, claim.name, &good));
        if (good && record->kind == VALUE_EXTENT)
            record->content = c->extent;
    }
    return VDE_OK;
}

static void check_run_place(struct walk *w, const struct check_run *run)
{
    const char *name = w->tree->claim.name;
    if (run->block < w->next_block)
        check_report(w->c, "%s offset %llu|a run inside the one before|runs that do not overlap", name,
                     (unsigned long long)(run->block * BLOCK_BYTES));
    if (w->tree->volume_blocks && run->block + run->blocks > w->tree->volume_blocks)
        check_report(w->c, "%s offset %llu|a run of %llu blocks|the end of the volume, %llu blocks", name,
                     (unsigned long long)(run->block * BLOCK_BYTES), (unsigned long long)run->blocks,
                     (unsigned long long)w->tree->volume_blocks);
    w->next_block = run->block + run->blocks;
}

static vde_status walk_run(struct walk *w, const struct check_record *record)
{
    struct checker *c = w->c;
    struct check_run run;
    if (!check_run_get(record, w->tree->claim.name, &run)) {
        w->partial = c->incomplete = true;
        return check_note(c, VDE_CORRUPT);
    }
    check_run_place(w, &run);
    enum claimed got;
    VDE_TRY(check_claim(c, &w->tree->claim, run.address, run.stored, run.birth, "run", &got));
    w->tree->counts.blocks += run.stored;
    w->tree->counts.mapped += run.blocks;
    if (got == CLAIMED_WRONGLY)
        w->partial = c->incomplete = true;
    if (got != CLAIMED_FIRST)
        return VDE_OK;
    c->summary->runs++;
    c->summary->frames += run.stored < run.blocks;
    c->summary->extents++;
    c->summary->extent_bytes += (uint64_t)run.stored * BLOCK_BYTES;
    return w->tree->skip_data ? VDE_OK : check_run_data(c, w->tree->claim.name, &run);
}

static vde_status walk_leaf(struct walk *w, const struct disk_node *node, bool again)
{
    for (unsigned i = 0; i < node_count(node); i++) {
        struct node_record r = node_record(node, i);
        struct check_record record = {r.key, r.value, r.key_size, r.value_size, r.kind, NULL};
        if ((r.kind == VALUE_RUN) != w->tree->volume) {
            check_report(w->c, "%s|a record of kind %u|%s", w->tree->claim.name, r.kind,
                         w->tree->volume ? "runs" : "no runs");
            continue;
        }
        VDE_TRY(w->tree->volume ? walk_run(w, &record) : walk_extents(w, &record));
        if (w->tree->visit && (!again || w->tree->revisit == REVISIT_ALL))
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
        check_report(w->c, "%s node at block %llu|a key %s its parent's bounds|keys inside them", w->tree->claim.name,
                     (unsigned long long)address, low ? "above" : "below");
}

static vde_status walk_node(struct walk *w, struct ptr p, unsigned level, const struct bounds *bounds);

/* The first child that has not been freed: the last one that does not begin above the key to resume at. */
static unsigned first_child(const struct walk *w, const struct disk_node *node)
{
    unsigned at = 0;
    while (w->tree->resume && at + 1 < node_count(node)) {
        struct node_record next = node_record(node, at + 1);
        if (compare(next.key, next.key_size, w->tree->resume, w->tree->resume_size) > 0)
            break;
        at++;
    }
    return at;
}

static vde_status walk_children(struct walk *w, const struct disk_node *node, const struct bounds *bounds)
{
    unsigned count = node_count(node), first = first_child(w, node);
    w->partial |= first > 0;
    for (unsigned i = first; i < count; i++) {
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

/* Whether to go into a node; counts it. */
static bool enter(struct walk *w, enum claimed got)
{
    struct checker *c = w->c;
    bool again = w->tree->revisit == REVISIT_ALL || (w->tree->revisit == REVISIT_SOME && c->revisits < REVISITS_MAX);
    bool go = got == CLAIMED_FIRST || (got == CLAIMED_AGAIN && again);
    if (!go) {
        w->partial = true;
        w->next_block = 0;
        c->incomplete |= got == CLAIMED_WRONGLY;
    } else if (got == CLAIMED_AGAIN) {
        c->revisits++;
    } else {
        c->summary->nodes++;
        c->summary->node_bytes += BLOCK_BYTES;
    }
    return go;
}

static vde_status walk_node(struct walk *w, struct ptr p, unsigned level, const struct bounds *bounds)
{
    struct checker *c = w->c;
    enum claimed got;
    VDE_TRY(check_claim(c, &w->tree->claim, p.address, p.blocks, p.birth, "node", &got));
    if (!enter(w, got))
        return VDE_OK;
    uint8_t *block = w->levels + (size_t)level * BLOCK_BYTES;
    VDE_TRY(check_read(c, p.address, block, 1));
    vde_status status = node_verify(block, c->seed, w->tree->tree, p, level, c->label.layout.blocks);
    if (status != VDE_OK) {
        w->partial = c->incomplete = true;
        w->next_block = 0;
        return check_note(c, status);
    }
    const struct disk_node *node = (const struct disk_node *)(const void *)block;
    w->nodes++;
    w->tree->counts.blocks++;
    check_bounds(w, node, p.address, bounds);
    check_progress(c);
    return node->level == 0 ? walk_leaf(w, node, got == CLAIMED_AGAIN) : walk_children(w, node, bounds);
}

vde_status check_walk(struct checker *c, struct check_tree *tree)
{
    blockset_clear(&c->version);
    tree->counts = (struct check_counts){true, 0, 0};
    if (ptr_is_null(tree->root.node))
        return VDE_OK;
    struct walk w = {.c = c, .tree = tree};
    w.levels = aligned_alloc(BLOCK_BYTES, (TREE_LEVEL_MAX + 1) * (size_t)BLOCK_BYTES);
    if (!w.levels)
        return fail_nomem("node buffers");
    struct bounds none = {NULL, NULL, 0, 0};
    vde_status status = walk_node(&w, tree->root.node, tree->root.level, &none);
    free(w.levels);
    tree->counts.whole = !w.partial;
    if (status == VDE_OK && !w.partial && (w.nodes != tree->root.nodes || w.records != tree->root.records))
        check_report(c, "%s|%llu records in %llu nodes|%llu in %llu as its root says", tree->claim.name,
                     (unsigned long long)w.records, (unsigned long long)w.nodes,
                     (unsigned long long)tree->root.records, (unsigned long long)tree->root.nodes);
    return status;
}
