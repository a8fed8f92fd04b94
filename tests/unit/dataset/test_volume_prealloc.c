/* SPDX-License-Identifier: Apache-2.0 */
/* Preallocated volumes: writes to them go on when nothing else fits any more. */
#include <criterion/criterion.h>

#include <vde/snapshot.h>

#include "unit/dataset/volumes.h"

static vde_status create_preallocated(vde_image *image, const char *name, uint64_t size)
{
    struct vde_volume_opts opts = VDE_VOLUME_OPTS_INIT;
    opts.size_bytes = size;
    opts.flags = VDE_VOLUME_PREALLOC;
    return vde_volume_create(image, name, &opts);
}

/* Take everything that may be taken. */
static void fill_image(struct shadow *filler)
{
    uint8_t *bytes = aligned_buffer(128 * 1024);
    static const uint64_t sizes[] = {128 * 1024, 4096};
    uint64_t at = 0;
    for (unsigned s = 0; s < 2; s++)
        for (;; at += sizes[s]) {
            fill_bytes(bytes, sizes[s], at);
            vde_status status = vde_volume_write(filler->volume, bytes, sizes[s], at, 0);
            if (status == VDE_NOSPC)
                break;
            OK(status);
            memcpy(filler->bytes + at, bytes, sizes[s]);
        }
    free(bytes);
}

static uint64_t reserved(vde_image *image)
{
    return info_of(image).reserved_bytes;
}

Test(volume_prealloc, a_full_image_leaves_them_their_space)
{
    struct vde_device *device = memory_image(16 * MIB);
    vde_image *image = open_quiet(device);
    EXPECT(VDE_NOSPC, create_preallocated(image, "a", 20 * MIB));
    cr_assert_eq(reserved(image), 0);
    OK(create_preallocated(image, "a", 6 * MIB));
    cr_assert_eq(reserved(image), 6 * MIB);
    struct shadow a = {open_volume(image, "a"), calloc(1, 6 * MIB), 6 * MIB, 3};
    struct shadow filler = shadow_create(image, "filler", 32 * MIB, 0);
    enum vde_block_state state;
    uint64_t bytes;
    OK(vde_volume_block_status(a.volume, 0, UINT64_MAX, &state, &bytes));
    cr_assert(state == VDE_BLOCK_ZERO && bytes == 6 * MIB);
    shadow_write(&a, 1 * MIB, 0);
    cr_assert_eq(reserved(image), 5 * MIB);
    fill_image(&filler);
    for (unsigned pass = 0; pass < 2; pass++) {
        for (uint64_t i = 0, at = 0; i < 1536; i++, at = (at + 617) % 1536)
            shadow_write(&a, 4096, at * 4096);
        shadow_check_all(&a);
        shadow_check_all(&filler);
        cr_assert_eq(reserved(image), 0);
        vde_volume_close(filler.volume);
        shadow_reopen(&a, &image, device, "a");
        filler.volume = open_volume(image, "filler");
        cr_assert_eq(reserved(image), 0);
    }
    shadow_done(&filler);
    shadow_done(&a);
    close_clean(image, device);
}

Test(volume_prealloc, what_is_kept_follows_every_change)
{
    struct vde_device *device = memory_image(32 * MIB);
    vde_image *image = open_quiet(device);
    struct vde_volume_info info;
    uint64_t lsn;
    OK(create_preallocated(image, "a", 4 * MIB));
    struct shadow a = {open_volume(image, "a"), calloc(1, 8 * MIB), 4 * MIB, 3};
    shadow_write(&a, 2 * MIB, 0);
    cr_assert_eq(reserved(image), 2 * MIB);
    shadow_write(&a, 2 * MIB, 0);
    cr_assert_eq(reserved(image), 2 * MIB);
    shadow_discard(&a, 1 * MIB, 0);
    cr_assert_eq(reserved(image), 3 * MIB);
    shadow_zero(&a, 64 * 1024, 1 * MIB);
    cr_assert_eq(reserved(image), 3 * MIB + 64 * 1024);
    OK(vde_volume_resize(image, "a", 6 * MIB, 0));
    cr_assert_eq(reserved(image), 5 * MIB + 64 * 1024);
    EXPECT(VDE_NOSPC, vde_volume_resize(image, "a", 64 * MIB, 0));
    cr_assert_eq(reserved(image), 5 * MIB + 64 * 1024);
    OK(vde_volume_resize(image, "a", 1 * MIB + 512 * 1024, VDE_VOLUME_SHRINK));
    cr_assert_eq(reserved(image), 1 * MIB + 64 * 1024);
    vde_view *view = view_of(image);
    OK(vde_volume_get(view, "a", &info));
    vde_view_close(view);
    cr_assert_eq(info.flags, VDE_VOLUME_PREALLOC);
    a.size = 1 * MIB + 512 * 1024;
    shadow_reopen(&a, &image, device, "a");
    cr_assert_eq(reserved(image), 1 * MIB + 64 * 1024);
    shadow_check_all(&a);
    OK(vde_snapshot_create(image, info.id, "s", &lsn));
    shadow_write(&a, 256 * 1024, 0);
    cr_assert_eq(reserved(image), 1 * MIB + 64 * 1024 - 256 * 1024);
    vde_volume_close(a.volume);
    OK(vde_snapshot_rollback(image, info.id, "s"));
    cr_assert_eq(reserved(image), 1 * MIB + 64 * 1024);
    OK(vde_volume_clone(image, "a", "s", "b"));
    cr_assert_eq(reserved(image), 1 * MIB + 64 * 1024);
    OK(vde_volume_delete(image, "b"));
    OK(vde_volume_delete(image, "a"));
    cr_assert_eq(reserved(image), 0);
    free(a.bytes);
    close_clean(image, device);
}

Test(volume_prealloc, failed_writes_give_back_what_they_took)
{
    struct vde_device *device = simulated_image(16 * MIB, 1);
    vde_image *image = open_quiet(device);
    uint8_t *bytes = aligned_buffer(128 * 1024);
    fill_bytes(bytes, 128 * 1024, 1);
    OK(create_preallocated(image, "a", 4 * MIB));
    vde_volume *volume = open_volume(image, "a");
    for (uint64_t size = 512; size <= 128 * 1024; size *= 2) {
        simulated_fail(device, SIMULATED_WRITE, 1, 1, 5);
        EXPECT(VDE_IO, vde_volume_write(volume, bytes, size, 8192, 0));
        cr_assert_eq(reserved(image), 4 * MIB);
    }
    free(bytes);
    vde_volume_close(volume);
    close_clean(image, device);
}
