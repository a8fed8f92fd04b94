/* SPDX-License-Identifier: Apache-2.0 */
/* test_block_diff.c -- differences of a volume with a tree of three levels: exact, and reading only what differs. */
#include <criterion/criterion.h>

#include "tree/cache.h"
#include "tree/diff.h"
#include "unit/pool/blocks.h"

#define RUNS 20000u

struct bench {
    struct vde_device *device;
    vde_image *image;
    uint64_t volume;
};

/* Runs of one block each, of zeroes: nothing was written there before. */
static void scatter(struct bench *b, uint64_t first, uint64_t runs, uint64_t step)
{
    static const uint8_t zeroes[BLOCK_BYTES];
    for (uint64_t i = 0; i < runs;) {
        vde_txn *txn = begin(b->image);
        for (unsigned n = 0; n < 200 && i < runs; n++, i++) {
            uint64_t address;
            OK(data_allocate(b->image, 1, &address));
            vde_le64 sum = le64(checksum(zeroes, sizeof zeroes, b->image->seed ^ address));
            struct block_run run = {.block = first + i * step, .blocks = 1, .stored = 1, .address = address,
                                    .checksums = (const uint8_t *)&sum};
            OK(txn_own_extent(txn, address, 1));
            OK(txn_run(txn, b->volume, &run));
        }
        struct vde_commit done;
        OK(vde_txn_submit(txn, &done));
        vde_txn_destroy(txn);
    }
    OK(vde_image_checkpoint(b->image));
}

static struct bench set_up(void)
{
    struct bench b = {.device = memory_image(256 * MIB)};
    b.image = open_quiet(b.device);
    b.volume = new_volume(b.image);
    scatter(&b, 0, RUNS, 2); /* holes between them keep them apart */
    snapshot(b.image, b.volume, 1);
    OK(vde_image_checkpoint(b.image));
    return b;
}

static void tear_down(struct bench *b)
{
    close_clean(b->image, b->device);
}

struct found {
    char text[1024];
    unsigned count;
    uint64_t blocks;
};

static vde_status note(void *context, const struct block_difference *d)
{
    struct found *found = context;
    size_t used = strlen(found->text);
    if (used < sizeof found->text - 64)
        snprintf(found->text + used, sizeof found->text - used, "%s%llu+%llu%s%s", used ? " " : "",
                 (unsigned long long)d->block, (unsigned long long)d->blocks, d->from_data ? "d" : "h",
                 d->to_data ? "d" : "h");
    found->count++;
    found->blocks += d->blocks;
    return VDE_OK;
}

static uint64_t nodes_used(struct bench *b)
{
    uint64_t hits, reads;
    node_cache_counters(b->image->cache, &hits, &reads);
    return hits + reads;
}

/* The differences from snapshot `from` to `to`; returns how many nodes were looked at. */
static uint64_t diff(struct bench *b, uint64_t from, uint64_t to, struct found *found)
{
    struct blocks_view v = blocks_of(b->image, b->volume, from), w = blocks_of(b->image, b->volume, to);
    memset(found, 0, sizeof *found);
    uint64_t before = nodes_used(b);
    OK(blocks_diff(&v.map, &w.map, note, found));
    uint64_t used = nodes_used(b) - before;
    blocks_close(&v);
    blocks_close(&w);
    return used;
}

Test(block_diff, costs_what_differs)
{
    struct bench b = set_up();
    struct blocks_view v = blocks_of(b.image, b.volume, 1);
    cr_assert_eq(v.map.root.level, 2, "%u", v.map.root.level);
    uint64_t nodes = v.map.root.nodes;
    blocks_close(&v);
    struct found found;
    cr_assert_leq(diff(&b, 1, 0, &found), 4u);
    cr_assert_eq(found.count, 0);
    scatter(&b, 20000, 1, 2);
    unmap(b.image, b.volume, 100, 1);
    OK(vde_image_checkpoint(b.image));
    scatter(&b, 30001, 3, 1); /* a hole, a run, a hole */
    uint64_t used = diff(&b, 1, 0, &found);
    cr_assert_str_eq(found.text, "100+1dh 20000+1dd 30001+1hd 30002+1dd 30003+1hd");
    cr_assert_lt(used, 60u, "%llu of %llu nodes", (unsigned long long)used, (unsigned long long)nodes);
    diff(&b, 0, 1, &found);
    cr_assert_str_eq(found.text, "100+1hd 20000+1dd 30001+1dh 30002+1dd 30003+1dh");
    tear_down(&b);
}

Test(block_diff, sees_what_is_only_in_overlays)
{
    struct bench b = set_up();
    struct found found;
    write_run(b.image, b.volume, 999, 3, 1);
    cr_assert_lt(diff(&b, 1, 0, &found), 40u);
    cr_assert_str_eq(found.text, "999+1hd 1000+1dd 1001+1hd");
    unmap(b.image, b.volume, 999, 3);
    unmap(b.image, b.volume, 1u << 20, 3); /* a hole that was one */
    diff(&b, 1, 0, &found);
    cr_assert_str_eq(found.text, "1000+1dh");
    snapshot(b.image, b.volume, 2); /* not in the trees yet */
    write_run(b.image, b.volume, 1000, 1, 1);
    diff(&b, 2, 0, &found);
    cr_assert_str_eq(found.text, "1000+1hd");
    diff(&b, 1, 2, &found);
    cr_assert_str_eq(found.text, "1000+1dh");
    tear_down(&b);
}

Test(block_diff, from_nothing_tells_all_that_is_mapped)
{
    struct bench b = set_up();
    struct blocks_view v = blocks_of(b.image, b.volume, 0);
    struct found found = {0};
    OK(blocks_diff(NULL, &v.map, note, &found));
    cr_assert_eq(found.count, RUNS);
    cr_assert_eq(found.blocks, RUNS);
    blocks_close(&v);
    unmap(b.image, b.volume, 0, 2 * RUNS);
    OK(vde_image_checkpoint(b.image));
    diff(&b, 1, 0, &found);
    cr_assert_eq(found.blocks, RUNS);
    diff(&b, 0, 0, &found);
    cr_assert_eq(found.count, 0);
    tear_down(&b);
}

/* A run that reaches over the key that its leaf's successor is known by. */
Test(block_diff, runs_that_end_in_the_next_leaf)
{
    struct bench b = set_up();
    struct blocks_view v = blocks_of(b.image, b.volume, 1);
    struct tree_diff *trees;
    struct tree_range range;
    const struct tree_root none = {0};
    OK(tree_diff_open(v.map.store, v.map.tree, &none, v.map.tree, &v.map.root, &trees));
    OK(tree_diff_next(trees, &range));
    cr_assert(range.low_size == 0 && range.open);
    cr_assert_eq(tree_diff_next(trees, &range), VDE_NOT_FOUND);
    tree_diff_close(trees);
    blocks_close(&v);
    for (uint64_t block = 1000; block < 3000; block += 97) { /* wherever leaves end: longer and shorter runs over it */
        struct found found;
        write_run(b.image, b.volume, block, 64, 1);
        OK(vde_image_checkpoint(b.image));
        snapshot(b.image, b.volume, block);
        unmap(b.image, b.volume, block + 30, 34);
        OK(vde_image_checkpoint(b.image));
        diff(&b, block, 0, &found);
        cr_assert_eq(found.count, 1);
        cr_assert_eq(found.blocks, 34);
    }
    tear_down(&b);
}
