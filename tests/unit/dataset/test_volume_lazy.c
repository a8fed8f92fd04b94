/* SPDX-License-Identifier: Apache-2.0 */
/* Records of volume data are lazy: nobody flushes for them at once, and they do not wait for ever. */
#include <criterion/criterion.h>
#include <time.h>

#include "unit/dataset/volumes.h"

static void sleep_ms(unsigned ms)
{
    struct timespec pause = {ms / 1000, (long)(ms % 1000) * 1000000L};
    nanosleep(&pause, NULL);
}

static uint64_t groups(vde_image *image)
{
    struct vde_image_counters counters;
    vde_image_counters(image, &counters);
    return counters.groups;
}

Test(volume_lazy, a_stream_of_writes_costs_few_groups_and_becomes_durable_in_the_end)
{
    struct vde_device *device = memory_image(32 * MIB);
    vde_image *image = open_flags(device, 0);
    struct shadow shadow = shadow_create(image, "a", 1 * MIB, 0);
    struct timespec from, now;
    uint64_t before = groups(image);
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (unsigned i = 0; i < 40; i++) {
        shadow_write(&shadow, 4096, i * 4096);
        sleep_ms(10);
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t seconds = (uint64_t)(now.tv_sec - from.tv_sec) + 1;
    cr_assert_leq(groups(image) - before, 2 * seconds + 2); /* eager ones would be written every 10 ms: about 40 groups */
    uint64_t lsn = 0;
    for (unsigned i = 0; i < 1000; i++) {
        vde_view *view;
        OK(vde_view_open_pending(image, &view));
        lsn = vde_view_lsn(view);
        vde_view_close(view);
        if (info_of(image).durable_lsn == lsn)
            break;
        sleep_ms(10);
    }
    cr_assert_eq(info_of(image).durable_lsn, lsn);
    shadow_done(&shadow);
    close_clean(image, device);
}

/* Somebody's transaction that nobody waits for is written soon, whatever goes on beside it. */
Test(volume_lazy, other_records_do_not_wait_with_them)
{
    struct vde_device *device = memory_image(32 * MIB);
    vde_image *image = open_flags(device, 0);
    struct shadow shadow = shadow_create(image, "a", 1 * MIB, 0);
    uint64_t map = new_dataset(image, "map");
    struct vde_commit commit;
    vde_txn *txn = begin(image);
    OK(txn_put_text(txn, map, "k", "v"));
    OK(vde_txn_submit(txn, &commit));
    vde_txn_destroy(txn);
    unsigned rounds = 0;
    for (; info_of(image).durable_lsn < commit.lsn && rounds < 2000; rounds++) {
        shadow_write(&shadow, 4096, rounds % 256 * 4096);
        sleep_ms(1);
    }
    cr_assert_geq(info_of(image).durable_lsn, commit.lsn);
    shadow_done(&shadow);
    close_clean(image, device);
}

Test(volume_lazy, what_is_not_flushed_is_bounded_without_a_thread)
{
    struct vde_device *device;
    OK(vde_device_memory(256 * MIB, &device));
    format_on(device, 64 * MIB);
    vde_image *image = open_quiet(device);
    struct shadow shadow = shadow_create(image, "a", 80 * MIB, 0);
    uint64_t before = info_of(image).durable_lsn;
    for (unsigned i = 0; i < 80; i++)
        OK(vde_volume_write(shadow.volume, shadow.bytes, 1 * MIB, i * MIB, 0));
    vde_view *view;
    OK(vde_view_open_pending(image, &view));
    uint64_t lsn = vde_view_lsn(view);
    vde_view_close(view);
    cr_assert_gt(info_of(image).durable_lsn, before);
    cr_assert_leq(lsn - info_of(image).durable_lsn, 48 * 8 + 8); /* records of 128 KiB */
    shadow_done(&shadow);
    close_clean(image, device);
}
