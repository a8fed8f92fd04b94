/* SPDX-License-Identifier: Apache-2.0 */
/* ctest: timeout=600
 * Images that grow: everything stays, the new part is used, and the power may fail at any moment. */
#include <criterion/criterion.h>

#include "format/layout.h"
#include "unit/pool/engine.h"

#define VALUES 12u
#define VALUE_BYTES 50000u

/* A device of `device_bytes` with an image of `image_bytes`. */
static struct vde_device *small_image(uint64_t device_bytes, uint64_t image_bytes, uint64_t seed)
{
    struct vde_device *device;
    struct vde_format_opts opts = VDE_FORMAT_OPTS_INIT;
    opts.size_bytes = image_bytes;
    OK(simulated_create(device_bytes, seed, 0, &device));
    OK(vde_image_format_device(device, &opts));
    return device;
}

static void put_values(vde_image *image, uint64_t d, unsigned from, unsigned count)
{
    for (unsigned i = from; i < from + count; i++) {
        char key[16];
        snprintf(key, sizeof key, "%u", i);
        OK(put_seed(image, d, key, VALUE_BYTES, i));
    }
}

static void expect_values(vde_image *image, uint64_t d, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char key[16];
        snprintf(key, sizeof key, "%u", i);
        REQUIRE(has_seed(image, d, 0, key, VALUE_BYTES, i));
    }
}

Test(grow, an_image_in_use_gets_the_new_space_at_once)
{
    struct vde_device *device = small_image(24 * MIB, 4 * MIB, 1);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d");
    put_values(image, d, 0, VALUES);
    struct vde_image_info before = info_of(image);
    cr_assert_eq(before.size_bytes, 4 * MIB);
    vde_view *view = view_of(image);
    OK(vde_image_grow(image, 0));
    struct vde_image_info after = info_of(image);
    cr_assert_eq(after.size_bytes, 24 * MIB);
    cr_assert_geq(after.free_bytes, before.free_bytes + 18 * MIB);
    cr_assert_eq(after.used_bytes, before.used_bytes);
    cr_assert_gt(after.region_count, before.region_count);
    cr_assert_lt(after.fill_percent, before.fill_percent);
    put_values(image, d, VALUES, 200); /* 10 MB: more than the image was */
    expect_values(image, d, VALUES + 200);
    vde_view_close(view);
    image = reopen(image, device);
    cr_assert_eq(info_of(image).size_bytes, 24 * MIB);
    check_clean(device);
    expect_values(image, d, VALUES + 200);
    struct vde_device *killed = copy_device(device);
    put_values(image, d, 300, 20);
    OK(vde_image_close(image));
    check_clean(device);
    close_device(device);
    image = open_quiet(killed);
    expect_values(image, d, VALUES + 200);
    close_clean(image, killed);
}

Test(grow, killed_with_records_that_name_the_new_part)
{
    struct vde_device *device = small_image(16 * MIB, 4 * MIB, 1);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d");
    OK(vde_image_checkpoint(image));
    put_values(image, d, 0, 10); /* only in the log, with the size of before */
    OK(vde_image_grow(image, 0));
    put_values(image, d, 10, 120);
    struct vde_device *killed = copy_device(device);
    close_clean(image, device);
    image = open_quiet(killed);
    expect_values(image, d, 130);
    close_clean(image, killed);
}

Test(grow, in_many_steps)
{
    /* Sizes around the borders of bitmap pages (127 MiB each), too. */
    static const uint64_t sizes[] = {5, 100, 127, 128, 129, 300, 381, 383};
    struct vde_device *device = small_image(400 * MIB, 4 * MIB, 3);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d"), file = 0, more[32];
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        put_values(image, d, i * 3, 3);
        OK(vde_image_grow(image, sizes[i] * MIB));
        cr_assert_eq(info_of(image).size_bytes, sizes[i] * MIB);
        if (sizes[i] == 100)
            file = write_file(image, 20 * MIB, 5);
        if (i % 2)
            image = reopen(image, device);
        if (i % 3 == 0) {
            OK(vde_image_checkpoint(image));
            check_clean(device);
        }
    }
    uint64_t free_bytes = info_of(image).free_bytes, count = free_bytes / (20 * MIB);
    cr_assert_geq(free_bytes, 330 * MIB);
    for (unsigned i = 0; i < count; i++)
        more[i] = write_file(image, 20 * MIB, 6 + i);
    expect_values(image, d, 3 * sizeof sizes / sizeof *sizes);
    cr_assert(file_is(image, file, 20 * MIB, 5));
    for (unsigned i = 0; i < count; i++)
        cr_assert(file_is(image, more[i], 20 * MIB, 6 + i));
    cr_assert_geq(info_of(image).fill_warning, 80);
    image = reopen(image, device);
    check_clean(device);
    for (unsigned i = 0; i < count; i++)
        remove_file(image, more[i]);
    OK(vde_image_checkpoint(image));
    OK(vde_image_checkpoint(image));
    cr_assert_geq(info_of(image).free_bytes, free_bytes - MIB);
    cr_assert_eq(info_of(image).fill_warning, 0);
    close_clean(image, device);
}

Test(grow, what_is_refused_changes_nothing)
{
    struct vde_device *device = small_image(64 * MIB, 8 * MIB, 1);
    vde_image *image = open_quiet(device);
    uint64_t sequence = info_of(image).superblock_sequence;
    EXPECT(VDE_INVAL, vde_image_grow(image, 4 * MIB));
    EXPECT(VDE_INVAL, vde_image_grow(image, 64 * MIB + 4096));
    EXPECT(VDE_INVAL, vde_image_grow(image, 8 * MIB + 4096));
    OK(vde_image_grow(image, 8 * MIB));
    cr_assert_eq(info_of(image).superblock_sequence, sequence);
    for (unsigned i = 0; i < GROWTHS_MAX; i++)
        OK(vde_image_grow(image, (9 + i) * MIB));
    EXPECT(VDE_INVAL, vde_image_grow(image, 0));
    cr_assert(strstr(vde_last_error()->text, "32 times"), "%s", vde_last_error()->text);
    image = reopen(image, device);
    cr_assert_eq(info_of(image).size_bytes, 40 * MIB);
    check_clean(device);
    OK(vde_image_close(image));
    image = open_flags(device, VDE_OPEN_READ_ONLY);
    EXPECT(VDE_READ_ONLY, vde_image_grow(image, 0));
    OK(vde_image_close(image));
    /* A device cut short is damage, not a smaller image. */
    struct vde_device *shorter;
    uint8_t *buffer = aligned_buffer(256u << 10);
    OK(vde_device_memory(20 * MIB, &shorter));
    for (uint64_t at = 0; at < 20 * MIB; at += 256u << 10) {
        device_io(device, VDE_IO_READ, at, buffer, 256u << 10);
        device_io(shorter, VDE_IO_WRITE, at, buffer, 256u << 10);
    }
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    EXPECT(VDE_CORRUPT, vde_image_open_device(shorter, &opts, &image));
    free(buffer);
    close_device(shorter);
    close_device(device);
}

Test(grow, a_lost_label_a_is_found_at_the_new_end)
{
    struct vde_device *device = small_image(16 * MIB, 4 * MIB, 1);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d");
    put_values(image, d, 0, VALUES);
    OK(vde_image_grow(image, 0));
    put_values(image, d, VALUES, 100);
    OK(vde_image_close(image));
    uint8_t *block = aligned_buffer(4096);
    memset(block, 0, 4096);
    device_io(device, VDE_IO_WRITE, LABEL_BLOCK * 4096, block, 4096);
    free(block);
    image = open_quiet(device);
    cr_assert_eq(info_of(image).size_bytes, 16 * MIB);
    expect_values(image, d, VALUES + 100);
    OK(vde_image_close(image));
    close_device(device);
}

/* One image, grown with the power failing at the n-th change: before, the old size; after, the new; then used to the full. */
static bool grow_cut_at(struct vde_device *original, uint64_t d, uint64_t n, enum simulated_survival survival)
{
    struct vde_device *device;
    OK(simulated_clone(original, &device));
    vde_image *image = open_quiet(device);
    put_values(image, d, VALUES, 4);
    simulated_cut_after(device, n);
    vde_status status = vde_image_grow(image, 0);
    if (status == VDE_OK && !simulated_is_off(device)) { /* and the first use of the new part */
        for (unsigned i = 0; i < 40 && put_seed(image, d, "use", VALUE_BYTES, i) == VDE_OK; i++)
            if (vde_image_checkpoint(image) != VDE_OK)
                break;
    }
    bool cut = simulated_is_off(device);
    if (vde_image_close(image) != VDE_OK)
        REQUIRE(cut);
    OK(simulated_power_cycle(device, survival, n * 31 + survival));
    image = open_quiet(device);
    uint64_t size = info_of(image).size_bytes;
    REQUIRE(size == (status == VDE_OK ? 8 * MIB : size));
    REQUIRE(size == 8 * MIB || size == 4 * MIB);
    REQUIRE(info_of(image).free_bytes <= size);
    expect_values(image, d, VALUES + 4);
    check_clean(device);
    OK(vde_image_grow(image, 0));
    OK(put_seed(image, d, "large", 3 * MIB, 9));
    REQUIRE(has_seed(image, d, 0, "large", 3 * MIB, 9));
    image = reopen(image, device);
    REQUIRE(info_of(image).size_bytes == 8 * MIB);
    REQUIRE(has_seed(image, d, 0, "large", 3 * MIB, 9));
    close_clean(image, device);
    return cut;
}

Test(grow, the_power_fails_at_every_change)
{
    struct vde_device *device = small_image(8 * MIB, 4 * MIB, 7);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d");
    put_values(image, d, 0, VALUES);
    OK(vde_image_close(image));
    static const enum simulated_survival survivals[] = {SIMULATED_RANDOM, SIMULATED_NONE, SIMULATED_ALL,
                                                        SIMULATED_SUBSET, SIMULATED_PREFIX};
    uint64_t last = 0;
    for (unsigned s = 0; s < 5; s++)
        for (uint64_t n = 1; n <= 16 && grow_cut_at(device, d, n, survivals[s]); n++)
            last = n;
    for (uint64_t n = 17; n < 120; n += 5)
        if (!grow_cut_at(device, d, n, survivals[n % 5]))
            break;
    cr_assert_geq(last, 8, "growing is several writes and flushes");
    close_device(device);
}

/* A failed write refuses or poisons; what was there is there. */
Test(grow, a_write_fails)
{
    for (unsigned n = 1; n <= 7; n++) {
        struct vde_device *device = small_image(8 * MIB, 4 * MIB, n);
        vde_image *image = open_quiet(device);
        uint64_t d = new_dataset(image, "d");
        put_values(image, d, 0, VALUES);
        simulated_fail(device, SIMULATED_WRITE | SIMULATED_FLUSH, n, 1, 5);
        vde_status status = vde_image_grow(image, 0);
        simulated_clear_faults(device);
        cr_assert_eq(status, VDE_IO);
        cr_assert_eq(info_of(image).size_bytes, 4 * MIB);
        cr_assert_eq(info_of(image).poisoned, n > 1, "the first write is the label's copy");
        vde_status closed = vde_image_close(image);
        cr_assert(closed == VDE_OK || n > 1);
        image = open_quiet(device);
        expect_values(image, d, VALUES);
        OK(vde_image_grow(image, 0));
        close_clean(image, device);
    }
}
