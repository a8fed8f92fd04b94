/* SPDX-License-Identifier: Apache-2.0 */
/* Defragmentation: scattered blocks come together, contents stay, shared blocks and changes are left alone. */
#include <criterion/criterion.h>

#include <vde/snapshot.h>

#include "dataset/volume.h"
#include "unit/dataset/volumes.h"

/* Every block written on its own, in random order. */
static void scatter(struct shadow *shadow, uint64_t blocks, uint64_t step)
{
    uint64_t at = 0;
    for (uint64_t i = 0; i < blocks; i++) {
        shadow_write(shadow, step, at * step);
        at = (at + 7919) % blocks;
    }
}

static uint64_t defrag(vde_volume *volume, uint64_t limit)
{
    uint64_t offset = 0, total = 0, bytes;
    do {
        OK(vde_volume_defrag(volume, &offset, limit, &bytes));
        total += bytes;
    } while (offset != 0);
    return total;
}

static void come_together(uint32_t level, uint64_t step, uint64_t limit)
{
    struct vde_device *device = memory_image(48 * MIB);
    vde_image *image = open_quiet(device);
    struct shadow shadow = shadow_create(image, "a", 4 * MIB, level);
    scatter(&shadow, 4 * MIB / step, step);
    cr_assert_eq(defrag(shadow.volume, limit), 0); /* not merged yet */
    OK(vde_image_checkpoint(image));
    cr_assert_gt(defrag(shadow.volume, limit), 3 * MIB);
    shadow_check_all(&shadow);
    OK(vde_image_checkpoint(image));
    shadow_check_all(&shadow);
    cr_assert_eq(defrag(shadow.volume, limit), 0);
    shadow_reopen(&shadow, &image, device, "a");
    shadow_check_all(&shadow);
    shadow_done(&shadow);
    close_clean(image, device);
}

Test(volume_defrag, scattered_blocks_come_together)
{
    come_together(0, 4096, 64 * MIB);
    come_together(0, 8192, 1 * MIB);
    come_together(1, 65536, 2 * MIB);
}

Test(volume_defrag, what_snapshots_share_is_left_alone)
{
    struct vde_device *device = memory_image(48 * MIB);
    vde_image *image = open_quiet(device);
    struct vde_volume_info info;
    struct shadow shadow = shadow_create(image, "a", 2 * MIB, 0);
    uint64_t lsn;
    scatter(&shadow, 512, 4096);
    vde_view *view = view_of(image);
    OK(vde_volume_get(view, "a", &info));
    vde_view_close(view);
    OK(vde_image_checkpoint(image));
    OK(vde_snapshot_create(image, info.id, "s", &lsn));
    cr_assert_eq(defrag(shadow.volume, 1 * MIB), 0); /* the snapshot is in an overlay */
    OK(vde_image_checkpoint(image));
    cr_assert_eq(defrag(shadow.volume, 1 * MIB), 0);
    OK(vde_snapshot_delete(image, info.id, "s"));
    for (unsigned i = 0; i < 3; i++)
        OK(vde_image_checkpoint(image));
    OK(vde_snapshot_create(image, VDE_DATASET_IMAGE, "all", &lsn));
    OK(vde_image_checkpoint(image));
    cr_assert_eq(defrag(shadow.volume, 1 * MIB), 0);
    OK(vde_snapshot_delete(image, VDE_DATASET_IMAGE, "all"));
    for (unsigned i = 0; i < 3; i++)
        OK(vde_image_checkpoint(image));
    cr_assert_gt(defrag(shadow.volume, 1 * MIB), 1 * MIB);
    shadow_check_all(&shadow);
    shadow_done(&shadow);
    close_clean(image, device);
}

Test(volume_defrag, bounds_and_refusals)
{
    struct vde_device *device = memory_image(16 * MIB);
    vde_image *image = open_quiet(device);
    create_volume(image, "huge", 16ull << 40, 0);
    vde_volume *volume = open_volume(image, "huge");
    uint64_t offset = 0, bytes;
    OK(vde_volume_defrag(volume, &offset, 1 * MIB, &bytes));
    cr_assert(offset == 0 && bytes == 0);
    offset = UINT64_MAX;
    OK(vde_volume_defrag(volume, &offset, 1 * MIB, &bytes));
    cr_assert(offset == 0 && bytes == 0);
    vde_volume_close(volume);
    close_clean(image, device);
}

/* --- while nobody asks for anything ---------------------------------------------------------------------------------- */

#define NEVER UINT64_MAX
#define SECOND 1000000u

static vde_image *open_clocked(struct vde_device *device, struct fixed_env *clock, uint32_t idle_ms)
{
    static struct vde_env env;
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    vde_image *image;
    env = fixed_env(clock);
    opts.flags = VDE_OPEN_NO_THREADS;
    opts.idle_defrag_ms = idle_ms;
    opts.env = &env;
    OK(vde_image_open_device(device, &opts, &image));
    return image;
}

/* Steps as the background thread takes them, until there is nothing to do; returns how many there were. */
static unsigned be_idle(vde_image *image, struct fixed_env *clock)
{
    unsigned steps = 0;
    for (uint64_t wait = volumes_idle_step(image); wait != NEVER; wait = volumes_idle_step(image), steps++) {
        REQUIRE(steps < 10000);
        clock->now += wait;
    }
    return steps;
}

static uint64_t records(vde_image *image)
{
    return log_last_lsn(image->log);
}

Test(volume_defrag, what_is_idle_comes_together_by_itself)
{
    struct fixed_env clock = {SECOND, 0, 1};
    struct vde_device *device = memory_image(64 * MIB);
    vde_image *image = open_clocked(device, &clock, 0);
    struct shadow shadow = shadow_create(image, "a", 4 * MIB, 0);
    scatter(&shadow, 1024, 4096);
    cr_assert_eq(volumes_idle_step(image), 10 * SECOND);
    clock.now += 9 * SECOND;
    cr_assert_eq(volumes_idle_step(image), 1 * SECOND);
    shadow_check(&shadow, 4096, 0, 0); /* a request: from the beginning */
    cr_assert_eq(volumes_idle_step(image), 10 * SECOND);
    clock.now += 10 * SECOND;
    uint64_t lsn = records(image);
    cr_assert_eq(volumes_idle_step(image), 1 * SECOND); /* no checkpoint yet */
    cr_assert_eq(records(image), lsn);
    OK(vde_image_checkpoint(image));
    uint64_t pause = volumes_idle_step(image), first = records(image) - lsn;
    cr_assert(pause > 0 && pause < SECOND && first > 0 && first <= 8); /* a step is at most 1 MiB */
    cr_assert_eq(volumes_idle_step(image), pause); /* not before the pause is over */
    cr_assert_eq(records(image), lsn + first);
    cr_assert_gt(be_idle(image, &clock), 3);
    cr_assert_gt(records(image), lsn + 3 * first);
    shadow_check_all(&shadow);
    OK(vde_image_checkpoint(image));
    shadow_check_all(&shadow);
    cr_assert_eq(defrag(shadow.volume, 4 * MIB), 0);
    shadow_done(&shadow);
    close_clean(image, device);
}

Test(volume_defrag, idle_passes_come_to_an_end)
{
    struct fixed_env clock = {SECOND, 0, 1};
    struct vde_device *device = memory_image(64 * MIB);
    vde_image *image = open_clocked(device, &clock, 500);
    struct shadow shadow = shadow_create(image, "a", 4 * MIB, 1), other = shadow_create(image, "b", 1 * MIB, 0);
    scatter(&shadow, 512, 8192);
    OK(vde_image_checkpoint(image));
    cr_assert_gt(be_idle(image, &clock), 4);
    OK(vde_image_checkpoint(image));
    uint64_t lsn = records(image);
    cr_assert_eq(volumes_idle_step(image), NEVER);
    shadow_write(&other, 4096, 0); /* too little for another pass */
    OK(vde_image_checkpoint(image));
    cr_assert_eq(be_idle(image, &clock), 0);
    cr_assert_eq(records(image), lsn + 1);
    scatter(&other, 256, 4096);
    OK(vde_image_checkpoint(image));
    lsn = records(image);
    cr_assert_gt(be_idle(image, &clock), 1);
    cr_assert_gt(records(image), lsn);
    shadow_check_all(&shadow);
    shadow_check_all(&other);
    vde_volume_close(other.volume);
    free(other.bytes);
    shadow_done(&shadow);
    cr_assert_eq(volumes_idle_step(image), NEVER); /* nothing is open */
    close_clean(image, device);
}

Test(volume_defrag, idle_work_needs_a_writer_and_room)
{
    struct fixed_env clock = {SECOND, 0, 1};
    struct vde_device *device = memory_image(16 * MIB);
    vde_image *image = open_clocked(device, &clock, 500);
    struct vde_volume_info info;
    uint64_t lsn;
    struct shadow shadow = shadow_create(image, "a", 16 * MIB, 0);
    scatter(&shadow, 2560, 4096); /* 10 of less than 16 MiB */
    vde_view *view = view_of(image);
    OK(vde_volume_get(view, "a", &info));
    vde_view_close(view);
    OK(vde_image_checkpoint(image));
    OK(vde_image_checkpoint(image));
    lsn = records(image);
    clock.now += 10 * SECOND;
    for (unsigned i = 0; i < 100; i++, clock.now += SECOND)
        OK(volumes_idle_step(image) > 0 ? VDE_OK : VDE_INVAL);
    cr_assert_leq(records(image), lsn + 8 * 8); /* far from everything: the last eighth is not for this */
    uint64_t free_bytes = info_of(image).free_bytes;
    cr_assert_geq(free_bytes, 1 * MIB);
    OK(vde_snapshot_create(image, info.id, "s", &lsn));
    vde_volume_close(shadow.volume);
    OK(vde_volume_open(image, "a", "s", &shadow.volume));
    cr_assert_eq(volumes_idle_step(image), NEVER); /* only a snapshot is open */
    shadow_check_all(&shadow);
    shadow_done(&shadow);
    close_clean(image, device);
}

Test(volume_defrag, idle_work_can_be_switched_off)
{
    struct fixed_env clock = {SECOND, 0, 1};
    struct vde_device *device = memory_image(16 * MIB);
    vde_image *image = open_clocked(device, &clock, VDE_IDLE_NEVER);
    struct shadow shadow = shadow_create(image, "a", 1 * MIB, 0);
    cr_assert_null(atomic_load(&image->idle_work));
    shadow_done(&shadow);
    OK(vde_image_close(image));
    image = open_clocked(device, &clock, 0);
    shadow.volume = open_volume(image, "a");
    cr_assert(atomic_load(&image->idle_work) == volumes_idle_step);
    vde_volume_close(shadow.volume);
    close_clean(image, device);
}

Test(volume_defrag, the_smallest_steps_come_to_an_end)
{
    struct vde_device *device = memory_image(16 * MIB);
    vde_image *image = open_quiet(device);
    struct shadow shadow = shadow_create(image, "a", 256 * 1024, 0);
    shadow_write(&shadow, 256 * 1024, 0);
    uint64_t offset = 0, bytes;
    unsigned calls = 0;
    do {
        OK(vde_volume_defrag(shadow.volume, &offset, 1, &bytes));
        cr_assert_lt(++calls, 1000u);
    } while (offset != 0);
    shadow_check_all(&shadow);
    shadow_done(&shadow);
    close_clean(image, device);
}
