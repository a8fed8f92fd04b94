/* SPDX-License-Identifier: Apache-2.0 */
/* Repair: damage to whatever has a copy or can be made again is put right; other damage is left as it is. */
#include <criterion/criterion.h>

#include <vde/copy.h>

#include "rich_image.h"

static struct vde_device *device;
static struct label label;
static struct superblock sb;

static void setup(void)
{
    device = rich_image();
    rich_head(device, &label, &sb);
}

static void teardown(void)
{
    device->ops->close(device);
}

TestSuite(repair, .init = setup, .fini = teardown, .timeout = 300);

static struct vde_repair_summary repair(struct vde_device *on, uint32_t flags)
{
    struct vde_repair_opts opts = VDE_REPAIR_OPTS_INIT;
    struct vde_repair_summary summary;
    opts.flags = flags;
    OK(vde_repair_device(on, &opts, &summary));
    return summary;
}

static void blot(struct vde_device *on, uint64_t block)
{
    static uint8_t garbage[BLOCK_BYTES];
    fill_bytes(garbage, sizeof garbage, block);
    OK(simulated_poke(on, block * BLOCK_BYTES, garbage, BLOCK_BYTES));
}

static void copy_of(struct vde_device **ret_copy)
{
    OK(simulated_clone(device, ret_copy));
}

/* Reads like the undamaged one, and can be written to. */
static void expect_working(struct vde_device *on, uint64_t block, uint32_t flags)
{
    struct vde_check_summary summary;
    struct vde_check_opts opts = VDE_CHECK_OPTS_INIT;
    opts.flags = VDE_CHECK_DATA | flags;
    opts.finding = print_finding;
    OK(vde_check_device(on, &opts, &summary));
    cr_assert_eq(summary.findings, 0, "block %llu", (unsigned long long)block);
    vde_image *image = open_quiet(on);
    rich_write(image, "disk", 8192, 0, 9);
    OK(vde_image_close(image));
    check_clean(on);
}

Test(repair, a_whole_image_needs_nothing_and_nothing_is_written)
{
    struct simulated_counts before, after;
    simulated_counts(device, &before);
    struct vde_repair_summary summary = repair(device, 0);
    cr_assert_eq(summary.planned + summary.done + summary.notes + summary.impossible, 0);
    simulated_counts(device, &after);
    cr_assert_eq(before.writes, after.writes);
    cr_assert_eq(repair(device, VDE_REPAIR_APPLY).findings, 0);
}

/* Each block in front of the log and behind the heap, one after the other. */
Test(repair, every_block_outside_of_log_and_heap_is_put_right)
{
    uint64_t log = layout_region(&label.layout, REGION_LOG)->block, blocks = label.layout.blocks, repaired = 0;
    for (uint64_t block = 8; block < blocks - 14; block = block + 1 == log ? blocks - 32 : block + 1) {
        static const uint8_t zeroes[BLOCK_BYTES];
        uint8_t was[BLOCK_BYTES];
        struct vde_device *copy;
        simulated_peek(device, block * BLOCK_BYTES, was, BLOCK_BYTES);
        if (memcmp(was, zeroes, BLOCK_BYTES) == 0)
            continue; /* not in use */
        copy_of(&copy);
        blot(copy, block);
        uint64_t planned = repair(copy, 0).planned;
        struct vde_repair_summary summary = repair(copy, VDE_REPAIR_APPLY);
        cr_assert_eq(summary.done, planned, "block %llu", (unsigned long long)block);
        cr_assert_eq(summary.findings, 0, "block %llu", (unsigned long long)block);
        repaired += summary.done;
        if (summary.done)
            expect_working(copy, block, VDE_CHECK_SCRUB);
        copy->ops->close(copy);
    }
    cr_assert_geq(repaired, 4 + 4, "%llu", (unsigned long long)repaired);
}

/* Bitmaps are only made again when every tree can be walked. */
/* Label A, or the copy at the end, gives back the others. */
Test(repair, labels_of_an_image_that_grew)
{
    struct vde_device *large;
    vde_image *image = open_quiet(device);
    OK(simulated_create(3 * RICH_BYTES, 5, 0, &large));
    OK(vde_image_copy_device(image, large, NULL, NULL));
    OK(vde_image_close(image));
    image = open_quiet(large);
    OK(vde_image_grow(image, 2 * RICH_BYTES));
    OK(vde_image_grow(image, 3 * RICH_BYTES));
    OK(vde_image_close(image));
    struct layout layout;
    rich_head(large, &label, &sb);
    OK(superblock_layout(&sb, &label.layout, &layout));
    const uint64_t labels[] = {LABEL_BLOCK, layout_region(&layout, REGION_LABEL_B)->block, layout.growth[0].label.block,
                               layout.growth[1].label.block};
    for (unsigned set = 1; set < 15; set++) {
        struct vde_device *broken;
        if ((set & 9) == 9)
            continue; /* neither A nor the one at the end: nothing tells where the others are, which is for the rescue */
        OK(simulated_clone(large, &broken));
        for (unsigned i = 0; i < 4; i++)
            if (set >> i & 1)
                blot(broken, labels[i]);
        repair(broken, VDE_REPAIR_APPLY);
        cr_assert_eq(repair(broken, 0).planned, 0, "labels %x", set);
        expect_working(broken, set, VDE_CHECK_SCRUB);
        close_device(broken);
    }
    close_device(large);
}

Test(repair, what_nothing_proves_is_left_alone)
{
    struct simulated_counts before, after;
    blot(device, sb.catalog.node.address);
    blot(device, layout_region(&label.layout, REGION_BITMAPS)->block);
    blot(device, layout_region(&label.layout, REGION_BITMAPS)->block + 1);
    simulated_counts(device, &before);
    struct vde_repair_summary summary = repair(device, VDE_REPAIR_APPLY);
    simulated_counts(device, &after);
    cr_assert_eq(summary.done, 0);
    cr_assert_eq(summary.impossible, 1);
    cr_assert_gt(summary.findings, 0);
    cr_assert_eq(before.writes, after.writes);
}

/* Cut after every write of a repair: it can be done again, and then all is well. */
Test(repair, one_that_is_cut_short_can_be_done_again)
{
    uint64_t pages = layout_region(&label.layout, REGION_BITMAPS)->block;
    for (uint64_t cut = 0; cut < 24; cut++) {
        struct vde_device *copy, *after;
        struct vde_repair_summary summary;
        struct vde_repair_opts opts = VDE_REPAIR_OPTS_INIT;
        opts.flags = VDE_REPAIR_APPLY;
        copy_of(&copy);
        blot(copy, pages);
        blot(copy, pages + 1);
        blot(copy, LABEL_BLOCK);
        simulated_cut_after(copy, cut);
        vde_status status = vde_repair_device(copy, &opts, &summary);
        OK(simulated_clone(copy, &after));
        OK(simulated_power_cycle(after, SIMULATED_RANDOM, cut));
        summary = repair(after, VDE_REPAIR_APPLY);
        cr_assert_eq(summary.findings, 0, "cut after %llu: %s", (unsigned long long)cut, vde_status_name(status));
        expect_working(after, cut, 0); /* a spare slot may still be damaged: nothing reads it before it is written */
        copy->ops->close(copy);
        after->ops->close(after);
    }
}

Test(repair, without_superblocks_it_is_for_the_rescue)
{
    struct vde_repair_summary summary;
    for (unsigned slot = 0; slot < RING_SLOTS; slot++) {
        blot(device, superblock_block(&label.layout, 0, slot));
        blot(device, superblock_block(&label.layout, 1, slot));
    }
    EXPECT(VDE_CORRUPT, vde_repair_device(device, NULL, &summary));
}
