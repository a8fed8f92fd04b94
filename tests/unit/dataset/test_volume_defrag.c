/* SPDX-License-Identifier: Apache-2.0 */
/* Defragmentation: scattered blocks come together, contents stay, shared blocks and changes are left alone. */
#include <criterion/criterion.h>

#include <vde/snapshot.h>

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
