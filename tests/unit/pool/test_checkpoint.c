/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints that fail half-way, and what the ones after them owe. */
#include <criterion/criterion.h>

#include <errno.h>
#include <unistd.h>

#include "pool/pool.h"
#include "unit/pool/engine.h"

/* One dataset whose checkpoint failed at its first write; the record after it is acknowledged. */
static vde_image *after_failed_checkpoint(struct vde_device *device, uint64_t *ret_dataset)
{
    vde_image *image = open_quiet(device);
    *ret_dataset = new_dataset(image, "d");
    put_text(image, *ret_dataset, "before", "1");
    simulated_fail(device, SIMULATED_WRITE, 1, 1, ENOSPC);
    EXPECT(VDE_NOSPC, vde_image_checkpoint(image));
    simulated_clear_faults(device);
    put_text(image, *ret_dataset, "after", "2");
    return image;
}

Test(checkpoint, that_failed_leaves_everything_readable_and_is_made_good)
{
    uint64_t d;
    struct vde_device *device = simulated_image(4 * MIB, 1);
    vde_image *image = after_failed_checkpoint(device, &d);
    cr_assert(has(image, d, 0, "before", "1"));
    cr_assert(has(image, d, 0, "after", "2"));
    OK(vde_image_checkpoint(image));
    cr_assert_eq(info_of(image).checkpoint_lsn, info_of(image).durable_lsn,
                 "all changes acknowledged before the call are in the trees");
    cr_assert(has(image, d, 0, "before", "1"));
    cr_assert(has(image, d, 0, "after", "2"));
    close_clean(image, device);
}

Test(checkpoint, that_failed_before_a_clean_close_loses_nothing)
{
    uint64_t d;
    struct vde_device *device = simulated_image(4 * MIB, 2);
    vde_image *image = after_failed_checkpoint(device, &d);
    image = reopen(image, device);
    cr_assert(has(image, d, 0, "before", "1"));
    cr_assert(has(image, d, 0, "after", "2"));
    close_clean(image, device);
}

Test(checkpoint, failed_ones_leave_no_block_behind)
{
    struct vde_device *device = simulated_image(4 * MIB, 3);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d");
    for (unsigned i = 0; i < 40; i++) {
        char key[16];
        snprintf(key, sizeof key, "key %u", i);
        OK(put_seed(image, d, key, 900, i));
    }
    uint64_t used = info_of(image).used_bytes;
    for (unsigned i = 1; i <= 3; i++) {
        simulated_fail(device, SIMULATED_WRITE, 1, 1, ENOSPC);
        EXPECT(VDE_NOSPC, vde_image_checkpoint(image));
        simulated_clear_faults(device);
        cr_assert_eq(info_of(image).used_bytes, used);
    }
    OK(vde_image_checkpoint(image));
    cr_assert(has_seed(image, d, 0, "key 39", 900, 39));
    close_clean(image, device);
}

Test(checkpoint, with_nothing_to_do_is_fine_many_times)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t used = info_of(image).used_bytes;
    for (unsigned i = 0; i < 40; i++)
        OK(vde_image_checkpoint(image));
    cr_assert_eq(info_of(image).used_bytes, used);
    close_clean(image, device);
}

Test(checkpoint, happens_by_itself_when_the_log_fills)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_quiet(device);
    struct vde_image_counters before, after;
    uint64_t d = new_dataset(image, "d");
    vde_image_counters(image, &before);
    for (unsigned i = 0; i < 400; i++)
        OK(put_seed(image, d, i % 2 ? "odd" : "even", 2000, i));
    vde_image_counters(image, &after);
    cr_assert_gt(after.checkpoints, before.checkpoints);
    cr_assert_eq(after.commits - before.commits, 400);
    cr_assert(has_seed(image, d, 0, "odd", 2000, 399));
    cr_assert(has_seed(image, d, 0, "even", 2000, 398));
    close_clean(image, device);
}

static uint64_t checkpoints_of(vde_image *image)
{
    struct vde_image_counters counters;
    vde_image_counters(image, &counters);
    return counters.checkpoints;
}

Test(checkpoint, in_the_background_is_tried_seldom_while_it_fails)
{
    struct simulated_counts before, after;
    struct vde_device *device = simulated_image(4 * MIB, 4);
    vde_image *image = open_flags(device, 0);
    put_text(image, new_dataset(image, "d"), "key", "value");
    usleep(200000); /* the newest flush gets its mark */
    simulated_fail(device, SIMULATED_WRITE, 1, SIMULATED_ALWAYS, ENOSPC);
    simulated_counts(device, &before);
    uint64_t checkpoints = checkpoints_of(image);
    atomic_store(&image->zombies_left, true);
    background_kick(image);
    usleep(1000000);
    simulated_counts(device, &after);
    cr_assert_eq(checkpoints_of(image), checkpoints);
    cr_assert(after.writes - before.writes >= 2 && after.writes - before.writes <= 40, "%llu writes in a second",
              (unsigned long long)(after.writes - before.writes));
    simulated_clear_faults(device);
    for (unsigned i = 0; i < 100 && atomic_load(&image->zombies_left); i++)
        usleep(100000);
    cr_assert_gt(checkpoints_of(image), checkpoints);
    cr_assert_not(info_of(image).poisoned);
    close_clean(image, device);
}
