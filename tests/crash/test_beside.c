/* SPDX-License-Identifier: Apache-2.0 */
/* A record that is written at the same time as the data that it names: one flush makes both durable; a record whose data is
 * missing is cut off, unless a later one says that it was flushed; data that fails takes its record with it. */
#include <criterion/criterion.h>
#include <errno.h>

#include "unit/dataset/volumes.h"

#define BLOCK 4096u
#define IMAGE_BYTES (8 * MIB)

/* Passes everything on; data of volumes may be stored and yet called a failure, the log may fail. */
struct shim {
    struct vde_device device;
    struct vde_device *below;
    uint64_t log_end;      /* what lies behind the log is data, */
    bool fail_data;        /* stored, but the caller hears that it was not */
    bool fail_log;
    size_t together;       /* most writes of one call */
};

static bool fails(const struct shim *shim, const struct vde_io *io)
{
    bool data = io->offset >= shim->log_end;
    return io->op == VDE_IO_WRITE && (data ? shim->fail_data : shim->fail_log);
}

static vde_status shim_run(struct vde_device *device, struct vde_io *ios, size_t count)
{
    struct shim *shim = (struct shim *)device;
    vde_status status = shim->below->ops->run(shim->below, ios, count);
    shim->together = count > shim->together ? count : shim->together;
    for (size_t i = 0; i < count && status == VDE_OK; i++)
        if (fails(shim, &ios[i]))
            ios[i].result = VDE_IO;
    for (size_t i = 0; i < count && status == VDE_OK; i++)
        if (ios[i].result != VDE_OK)
            status = vde_error_set(VDE_IO, "shim", "a failure", "none");
    return status;
}

static vde_status shim_flush(struct vde_device *device)
{
    struct shim *shim = (struct shim *)device;
    return shim->below->ops->flush(shim->below);
}

static vde_status shim_discard(struct vde_device *device, uint64_t offset, uint64_t size)
{
    struct shim *shim = (struct shim *)device;
    return shim->below->ops->discard(shim->below, offset, size);
}

static void shim_info(struct vde_device *device, struct vde_device_info *ret_info)
{
    struct shim *shim = (struct shim *)device;
    shim->below->ops->info(shim->below, ret_info);
}

static void shim_close(struct vde_device *device)
{
    (void)device;
}

static struct shim shim;
static vde_image *image;
static vde_volume *volume;
static uint8_t *bytes;

static void setup(void)
{
    static const struct vde_device_ops ops = {shim_run, shim_flush, shim_discard, shim_info, shim_close, NULL, NULL};
    shim = (struct shim){.device = {&ops}, .below = simulated_image(IMAGE_BYTES, 1)};
    image = open_quiet(&shim.device);
    create_volume(image, "a", 64 * BLOCK, 0);
    volume = open_volume(image, "a");
    bytes = aligned_buffer(BLOCK);
    struct vde_image_info info;
    vde_image_info(image, &info);
    shim.log_end = 34 * BLOCK + 4 * BLOCK + info.log_bytes; /* no data block lies below */
}

static void teardown(void)
{
    vde_volume_close(volume);
    vde_status status = vde_image_close(image);
    (void)status; /* some are poisoned */
    close_device(shim.below);
    free(bytes);
}

static vde_status put(unsigned block, uint8_t fill, uint32_t flags)
{
    memset(bytes, fill, BLOCK);
    return vde_volume_write(volume, bytes, BLOCK, block * BLOCK, flags);
}

/* Write and flush, so that the next write is expected to be flushed as well. */
static void put_flushed(unsigned block, uint8_t fill)
{
    OK(put(block, fill, 0));
    OK(vde_volume_flush(volume));
}

static struct simulated_counts counts(void)
{
    struct simulated_counts now;
    simulated_counts(shim.below, &now);
    return now;
}

/* What a power cut leaves. */
static struct vde_device *after_cut(enum simulated_survival survival)
{
    struct vde_device *left;
    OK(simulated_clone(shim.below, &left));
    OK(simulated_power_cycle(left, survival, 1));
    return left;
}

/* Overwrite the device block that is filled with `fill`. */
static void lose(struct vde_device *device, uint8_t fill)
{
    uint8_t found[BLOCK], wanted[BLOCK];
    memset(wanted, fill, sizeof wanted);
    for (uint64_t at = 0; at < IMAGE_BYTES; at += BLOCK) {
        simulated_peek(device, at, found, sizeof found);
        if (memcmp(found, wanted, BLOCK) != 0)
            continue;
        memset(wanted, 0, sizeof wanted);
        OK(simulated_poke(device, at, wanted, sizeof wanted));
        return;
    }
    cr_assert_fail("no block is filled with %u", fill);
}

/* The byte that a block is filled with, or the status of reading it. */
static vde_status get(vde_image *from, unsigned block, uint8_t *ret_fill)
{
    uint8_t found[BLOCK];
    vde_volume *there = open_volume(from, "a");
    vde_status status = vde_volume_read(there, found, sizeof found, block * BLOCK);
    vde_volume_close(there);
    *ret_fill = found[0];
    return status;
}

static void expect_fill(vde_image *from, unsigned block, uint8_t fill)
{
    uint8_t found;
    OK(get(from, block, &found));
    cr_assert_eq(found, fill, "block %u is filled with %u, expected %u", block, found, fill);
}

TestSuite(beside, .init = setup, .fini = teardown);

Test(beside, a_durable_write_is_one_round_and_one_flush)
{
    struct simulated_counts before = counts();
    OK(put(1, 11, VDE_VOLUME_FUA));
    struct simulated_counts after = counts();
    cr_assert_eq(shim.together, 2, "data and record go out together");
    cr_assert_eq(after.writes - before.writes, 2);
    cr_assert_eq(after.flushes - before.flushes, 1);
    cr_assert_eq(after.dsync_writes, before.dsync_writes);
    struct vde_device *left = after_cut(SIMULATED_NONE);
    vde_image *then = open_quiet(left);
    expect_fill(then, 1, 11);
    OK(vde_image_close(then));
    close_device(left);
}

Test(beside, only_a_write_that_a_flush_is_expected_after)
{
    put_flushed(1, 11);
    shim.together = 0;
    OK(put(2, 12, 0));
    cr_assert_eq(shim.together, 2, "as after the write before");
    struct simulated_counts before = counts();
    OK(vde_volume_flush(volume));
    struct simulated_counts after = counts();
    cr_assert(after.writes == before.writes && after.flushes == before.flushes + 1, "only the flush was left");
    OK(put(3, 13, 0));
    shim.together = 0;
    OK(put(4, 14, 0)); /* a second one without flush */
    before = counts();
    OK(vde_volume_flush(volume));
    after = counts();
    cr_assert(after.writes == before.writes + 1 && after.flushes == before.flushes + 1, "one flush for both");
    OK(put(5, 15, 0));
    cr_assert_eq(shim.together, 1);
    struct vde_device *left = after_cut(SIMULATED_NONE);
    vde_image *then = open_quiet(left);
    for (unsigned block = 1; block <= 4; block++)
        expect_fill(then, block, (uint8_t)(10 + block));
    OK(vde_image_close(then));
    close_device(left);
}

Test(beside, a_record_without_its_data_is_cut_off)
{
    struct vde_image_info info;
    put_flushed(1, 11);
    OK(put(1, 12, 0));
    expect_fill(image, 1, 12);
    struct vde_device *left = after_cut(SIMULATED_ALL);
    lose(left, 12);
    vde_image *then = open_quiet(left);
    expect_fill(then, 1, 11);
    vde_image_info(then, &info);
    cr_assert_neq(info.dropped_tail_lsn, 0, "what was cut off is told");
    OK(vde_image_close(then));
    check_clean(left);
    close_device(left);
}

Test(beside, a_record_with_its_data_stays)
{
    put_flushed(1, 11);
    OK(put(1, 12, 0));
    struct vde_device *left = after_cut(SIMULATED_ALL);
    vde_image *then = open_quiet(left);
    expect_fill(then, 1, 12);
    OK(vde_image_close(then));
    close_device(left);
}

/* The next record says that it was flushed: what is missing now was there. */
Test(beside, damage_to_flushed_data_is_reported_not_cut_off)
{
    uint8_t found;
    put_flushed(1, 11);
    put_flushed(2, 12);
    put_flushed(3, 13);
    struct vde_device *left = after_cut(SIMULATED_ALL);
    lose(left, 12);
    vde_image *then = open_quiet(left);
    expect_fill(then, 1, 11);
    expect_fill(then, 3, 13);
    EXPECT(VDE_CORRUPT, get(then, 2, &found));
    OK(vde_image_close(then));
    close_device(left);
}

/* The data fails and is there nevertheless: the record must not count later. */
Test(beside, data_that_fails_takes_its_record_with_it)
{
    struct vde_image_info info;
    put_flushed(1, 11);
    shim.fail_data = true;
    shim.together = 0;
    EXPECT(VDE_IO, put(1, 12, VDE_VOLUME_FUA));
    cr_assert_eq(shim.together, 2);
    shim.fail_data = false;
    vde_image_info(image, &info);
    cr_assert_not(info.poisoned, "nothing happened");
    expect_fill(image, 1, 11);
    struct vde_device *left = after_cut(SIMULATED_ALL);
    vde_image *then = open_quiet(left);
    expect_fill(then, 1, 11);
    OK(vde_image_close(then));
    close_device(left);
    put_flushed(2, 13); /* its place in the log is taken again */
    left = after_cut(SIMULATED_NONE);
    then = open_quiet(left);
    expect_fill(then, 1, 11);
    expect_fill(then, 2, 13);
    OK(vde_image_close(then));
    check_clean(left);
    close_device(left);
}

Test(beside, a_record_that_fails_poisons)
{
    struct vde_image_info info;
    put_flushed(1, 11);
    shim.fail_log = true;
    EXPECT(VDE_COMMIT_UNKNOWN, put(1, 12, 0));
    shim.fail_log = false;
    vde_image_info(image, &info);
    cr_assert(info.poisoned);
    EXPECT(VDE_POISONED, put(2, 13, 0));
    struct vde_device *left = after_cut(SIMULATED_ALL);
    vde_image *then = open_quiet(left);
    expect_fill(then, 1, 12);
    OK(vde_image_close(then));
    check_clean(left);
    close_device(left);
}

/* What failed in the flush alone is as unknown as ever. */
Test(beside, a_flush_that_fails_poisons)
{
    put_flushed(1, 11);
    OK(put(1, 12, 0));
    simulated_fail(shim.below, SIMULATED_FLUSH, 1, 1, EIO);
    EXPECT(VDE_COMMIT_UNKNOWN, vde_volume_flush(volume));
    EXPECT(VDE_COMMIT_UNKNOWN, vde_volume_flush(volume));
    EXPECT(VDE_POISONED, put(2, 13, 0));
}

/* A checkpoint cuts the log behind a record that waits for its flush. */
Test(beside, a_checkpoint_flushes_what_waits)
{
    put_flushed(1, 11);
    OK(put(1, 12, 0));
    OK(vde_image_checkpoint(image));
    put_flushed(2, 13);
    struct vde_device *left = after_cut(SIMULATED_NONE);
    vde_image *then = open_quiet(left);
    expect_fill(then, 1, 12);
    expect_fill(then, 2, 13);
    OK(vde_image_close(then));
    check_clean(left);
    close_device(left);
}
