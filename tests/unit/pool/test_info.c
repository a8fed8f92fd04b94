/* SPDX-License-Identifier: Apache-2.0 */
/* What an image says of itself: fields that add up, counters that count. */
#include <criterion/criterion.h>

#include "unit/pool/engine.h"

Test(info, of_a_fresh_image)
{
    struct vde_device *device = memory_image(64 * MIB);
    vde_image *image = open_quiet(device);
    struct vde_image_info info = info_of(image);
    cr_assert_eq(info.size_bytes, 64 * MIB);
    cr_assert_eq(info.format_version, 1);
    cr_assert_gt(info.created_us, 1600000000000000ull);
    cr_assert_str_not_empty(info.features[0]);
    cr_assert_eq(info.region_count, 10);
    uint64_t heap = 0;
    for (unsigned i = 0; i < info.region_count; i++) {
        cr_assert_str_not_empty(info.regions[i].name);
        cr_assert_gt(info.regions[i].size_bytes, 0);
        cr_assert_leq(info.regions[i].offset_bytes + info.regions[i].size_bytes, info.size_bytes - 32768);
        cr_assert_geq(info.regions[i].offset_bytes, 32768);
        if (!strcmp(info.regions[i].name, "heap") || !strcmp(info.regions[i].name, "history"))
            heap += info.regions[i].size_bytes;
    }
    cr_assert_eq(info.log_bytes, 2 * MIB);
    cr_assert_eq(info.record_limit_bytes, info.log_bytes / 8 - 96);
    cr_assert_eq(info.superblock_copies, 2);
    cr_assert_eq(info.epoch, 2);
    cr_assert_eq(info.slop_bytes, heap / 4096 / 32 * 4096);
    cr_assert_eq(info.free_bytes + info.used_bytes + info.slop_bytes, heap);
    cr_assert_not(info.read_only);
    cr_assert_not(info.poisoned);
    cr_assert_str_eq(info.device.backend, "memory");
    close_clean(image, device);
}

Test(info, follows_the_work)
{
    struct vde_device *device = memory_image(64 * MIB);
    vde_image *image = open_quiet(device);
    struct vde_image_info a = info_of(image), b;
    uint64_t d = new_dataset(image, "d");
    OK(put_seed(image, d, "k", MIB, 1));
    b = info_of(image);
    cr_assert_eq(b.durable_lsn, a.durable_lsn + 2);
    cr_assert_eq(b.checkpoint_lsn, a.checkpoint_lsn);
    cr_assert_gt(b.log_head, a.log_head);
    cr_assert_eq(b.log_head % 4096, 0);
    cr_assert_geq(b.used_bytes, a.used_bytes + MIB);
    cr_assert_lt(b.free_bytes, a.free_bytes - MIB);
    OK(vde_image_checkpoint(image));
    a = info_of(image);
    cr_assert_eq(a.checkpoint_lsn, b.durable_lsn);
    cr_assert_eq(a.superblock_sequence, b.superblock_sequence + 1);
    cr_assert_eq(a.deferred_bytes, 0);
    delete_key(image, d, "k");
    OK(vde_image_checkpoint(image));
    b = info_of(image);
    cr_assert_geq(b.deferred_bytes, MIB);
    cr_assert_leq(b.used_bytes, a.used_bytes - MIB);
    cr_assert_geq(b.free_bytes, a.free_bytes + MIB, "deferred space counts as free");
    OK(vde_image_checkpoint(image));
    cr_assert_lt(info_of(image).deferred_bytes, MIB);
    close_clean(image, device);
}

Test(info, counters_agree_with_the_device)
{
    struct vde_device *device = simulated_image(8 * MIB, 1);
    vde_image *image = open_quiet(device);
    struct vde_image_counters before, after;
    struct simulated_counts device_before, device_after;
    uint64_t d = new_dataset(image, "d");
    vde_image_counters(image, &before);
    simulated_counts(device, &device_before);
    for (unsigned i = 0; i < 10; i++)
        OK(put_seed(image, d, "k", i == 5 ? 200000 : 100, i));
    OK(vde_image_checkpoint(image));
    vde_image_counters(image, &after);
    simulated_counts(device, &device_after);
    cr_assert_eq(after.commits - before.commits, 10);
    cr_assert_eq(after.groups - before.groups, 10);
    cr_assert_eq(after.checkpoints - before.checkpoints, 1);
    cr_assert_geq(after.log_bytes_written - before.log_bytes_written, 10 * 4096);
    cr_assert_geq(after.heap_bytes_written - before.heap_bytes_written, 200000);
    cr_assert_eq(after.flushes - before.flushes, device_after.flushes - device_before.flushes,
                 "%llu flushes counted, the device saw %llu", (unsigned long long)(after.flushes - before.flushes),
                 (unsigned long long)(device_after.flushes - device_before.flushes));
    close_clean(image, device);
}

Test(info, one_small_commit_is_one_durable_write)
{
    struct vde_device *device = simulated_image(8 * MIB, 2);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d");
    struct simulated_counts before, after;
    simulated_counts(device, &before);
    for (unsigned i = 0; i < 10; i++)
        put_text(image, d, "k", "v");
    simulated_counts(device, &after);
    cr_assert_eq(after.writes - before.writes, 10);
    cr_assert_eq(after.dsync_writes - before.dsync_writes, 10);
    cr_assert_eq(after.flushes, before.flushes);
    cr_assert_eq(after.reads, before.reads);
    close_clean(image, device);
}
