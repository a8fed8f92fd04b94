/* SPDX-License-Identifier: Apache-2.0 */
/* Dropped blocks: when they are free again, and what the device is told of it. */
#include <criterion/criterion.h>
#include <errno.h>

#include "format/label.h"
#include "format/superblock.h"
#include "unit/pool/engine.h"

#define LARGE 200000u

static uint64_t discards(struct vde_device *device)
{
    struct simulated_counts counts;
    simulated_counts(device, &counts);
    return counts.discards;
}

/* An image with one large value that stays and one that is deleted, the latter not in any checkpoint yet. */
static vde_image *with_deleted_value(struct vde_device *device, uint32_t flags, uint64_t *ret_dataset)
{
    vde_image *image = open_flags(device, flags | VDE_OPEN_NO_THREADS);
    uint64_t d = new_dataset(image, "d");
    OK(put_seed(image, d, "stays", LARGE, 1));
    OK(put_seed(image, d, "goes", LARGE, 2));
    OK(vde_image_checkpoint(image));
    OK(vde_image_checkpoint(image));
    delete_key(image, d, "goes");
    *ret_dataset = d;
    return image;
}

Test(deferred, discards_come_one_checkpoint_after_the_drop)
{
    struct vde_device *device = simulated_image(8 * MIB, 1);
    uint64_t d, before;
    vde_image *image = with_deleted_value(device, VDE_OPEN_DISCARD, &d);
    before = discards(device);
    OK(vde_image_checkpoint(image));
    cr_assert_eq(discards(device), before, "the superblock before this one reaches the value");
    cr_assert_geq(info_of(image).deferred_bytes, LARGE);
    uint64_t free_bytes = info_of(image).free_bytes;
    OK(vde_image_checkpoint(image));
    cr_assert_gt(discards(device), before);
    cr_assert_lt(info_of(image).deferred_bytes, LARGE);
    cr_assert_leq(info_of(image).free_bytes, free_bytes + 64 * 4096, "what is deferred counted as free before");
    cr_assert(has_seed(image, d, 0, "stays", LARGE, 1));
    close_clean(image, device);
}

Test(deferred, files_are_not_discarded_unasked)
{
    struct vde_device *device = simulated_image(8 * MIB, 1);
    uint64_t d;
    vde_image *image = with_deleted_value(device, 0, &d);
    for (unsigned i = 0; i < 4; i++)
        OK(vde_image_checkpoint(image));
    OK(vde_image_close(image));
    cr_assert_eq(discards(device), 0);
    close_device(device);
}

Test(deferred, a_pinned_reader_keeps_blocks_from_being_discarded)
{
    struct vde_device *device = simulated_image(8 * MIB, 1);
    vde_image *image = open_flags(device, VDE_OPEN_NO_THREADS | VDE_OPEN_DISCARD);
    uint64_t d = new_dataset(image, "d");
    OK(put_seed(image, d, "goes", LARGE, 2));
    OK(vde_image_checkpoint(image));
    vde_view *view = view_of(image);
    delete_key(image, d, "goes");
    for (unsigned i = 0; i < 4; i++)
        OK(vde_image_checkpoint(image));
    vde_kv *kv;
    struct vde_bytes value;
    OK(vde_kv_open(view, d, &kv));
    OK(vde_kv_get(kv, "goes", 4, &value));
    cr_assert(value.size == LARGE && bytes_equal_seed(value.data, LARGE, 2));
    vde_bytes_free(&value);
    vde_kv_close(kv);
    uint64_t before = discards(device);
    vde_view_close(view);
    OK(vde_image_checkpoint(image));
    cr_assert_gt(discards(device), before);
    close_clean(image, device);
}

Test(deferred, a_failed_discard_costs_nothing)
{
    struct vde_device *device = simulated_image(8 * MIB, 1);
    uint64_t d;
    vde_image *image = with_deleted_value(device, VDE_OPEN_DISCARD, &d);
    simulated_fail(device, SIMULATED_DISCARD, 1, SIMULATED_ALWAYS, EIO);
    for (unsigned i = 0; i < 4; i++)
        OK(vde_image_checkpoint(image));
    simulated_clear_faults(device);
    cr_assert_lt(info_of(image).deferred_bytes, LARGE);
    OK(put_seed(image, d, "new", LARGE, 3));
    cr_assert(has_seed(image, d, 0, "stays", LARGE, 1));
    close_clean(image, device);
}

/* Damage the newest superblock in both rings: the one before must open with everything it reaches. */
static void lose_newest_superblock(struct vde_device *device)
{
    struct label label;
    struct superblock sb, newest = {0};
    uint8_t *block = aligned_buffer(4096);
    device_io(device, VDE_IO_READ, LABEL_BLOCK * 4096, block, 4096);
    OK(label_decode((const struct disk_label *)(void *)block, device_size(device) / 4096, "label", &label));
    for (unsigned slot = 0; slot < RING_SLOTS; slot++) {
        device_io(device, VDE_IO_READ, superblock_block(&label.layout, 0, slot) * 4096, block, 4096);
        if (superblock_decode((const struct disk_superblock *)(void *)block, label.uuid, &label.layout, 0, slot, &sb) ==
                VDE_OK && sb.sequence > newest.sequence)
            newest = sb;
    }
    memset(block, 0xee, 4096);
    for (unsigned ring = 0; ring < 2; ring++)
        device_io(device, VDE_IO_WRITE, superblock_block(&label.layout, ring, newest.sequence) * 4096, block, 4096);
    free(block);
}

Test(deferred, the_superblock_before_the_newest_reaches_nothing_discarded)
{
    for (unsigned checkpoints = 1; checkpoints <= 4; checkpoints++) {
        struct vde_device *device = simulated_image(8 * MIB, checkpoints), *copy;
        uint64_t d;
        vde_image *image = with_deleted_value(device, VDE_OPEN_DISCARD, &d);
        for (unsigned i = 0; i < checkpoints; i++) {
            OK(put_seed(image, d, "more", LARGE, 10 + i));
            OK(vde_image_checkpoint(image));
        }
        OK(simulated_clone(device, &copy));
        OK(vde_image_close(image));
        close_device(device);
        lose_newest_superblock(copy);
        image = open_quiet(copy);
        cr_assert(has_seed(image, d, 0, "stays", LARGE, 1));
        cr_assert(has_seed(image, d, 0, "more", LARGE, 10 + checkpoints - 1));
        cr_assert(has(image, d, 0, "goes", NULL));
        close_clean(image, copy);
    }
}

/* More dropped blocks than cached nodes: the other way of forgetting. */
Test(deferred, many_small_values_go_and_come_back)
{
    struct vde_device *device = memory_image(64 * MIB);
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    opts.flags = VDE_OPEN_NO_THREADS;
    opts.memory_bytes = 1 * MIB;
    vde_image *image;
    OK(vde_image_open_device(device, &opts, &image));
    uint64_t d = new_dataset(image, "d");
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 600; i++) {
            char key[16];
            snprintf(key, sizeof key, "%u", i * 7919 % 1000);
            OK(put_seed(image, d, key, 9000, round * 1000 + i));
        }
        OK(vde_image_checkpoint(image));
    }
    OK(vde_image_checkpoint(image));
    OK(vde_image_checkpoint(image));
    for (unsigned i = 0; i < 600; i++) {
        char key[16];
        snprintf(key, sizeof key, "%u", i * 7919 % 1000);
        cr_assert(has_seed(image, d, 0, key, 9000, 2000 + i));
    }
    cr_assert_lt(info_of(image).used_bytes, 600 * 12288 + 4 * MIB);
    close_clean(image, device);
}
