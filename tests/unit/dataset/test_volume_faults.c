/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes on a device that fails, fills up or loses power: what was flushed is there, what failed did not happen in part. */
#include <criterion/criterion.h>
#include <errno.h>

#include "unit/dataset/volumes.h"

#define BLOCKS 64u
#define HISTORY 64u

/* What each block may hold: what was flushed, or anything written since. */
struct past {
    uint32_t values[BLOCKS][HISTORY];
    unsigned count[BLOCKS];
    uint32_t next;
    uint64_t random;
};

static void past_write(struct past *past, unsigned block, uint32_t value)
{
    cr_assert_lt(past->count[block], HISTORY);
    past->values[block][past->count[block]++] = value;
}

static void past_flushed(struct past *past)
{
    for (unsigned b = 0; b < BLOCKS; b++) {
        past->values[b][0] = past->values[b][past->count[b] - 1];
        past->count[b] = 1;
    }
}

static uint32_t block_value(const uint8_t *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    for (unsigned i = 0; i < 4096; i += 4)
        REQUIRE(memcmp(bytes + i, &value, 4) == 0);
    return value;
}

static void fill_blocks(uint8_t *bytes, unsigned count, uint32_t value)
{
    for (unsigned i = 0; i < count * 4096; i += 4)
        memcpy(bytes + i, &value, 4);
}

/* One write of up to 20 blocks; *ret_done is false when it failed. */
static vde_status write_some(struct past *past, vde_volume *volume, uint8_t *bytes, uint32_t flags)
{
    unsigned count = 1 + (unsigned)draw(&past->random, 20), block = (unsigned)draw(&past->random, BLOCKS - count + 1);
    uint32_t value = ++past->next;
    fill_blocks(bytes, count, value);
    vde_status status = vde_volume_write(volume, bytes, count * 4096, block * 4096, flags);
    /* Any other failure says that it did not happen. */
    if (status == VDE_OK || status == VDE_COMMIT_UNKNOWN)
        for (unsigned i = 0; i < count; i++)
            past_write(past, block + i, value);
    return status;
}

static void check_past(const struct past *past, struct vde_device *device)
{
    vde_image *image = open_quiet(device);
    vde_volume *volume = open_volume(image, "a");
    uint8_t *bytes = aligned_buffer(BLOCKS * 4096);
    OK(vde_volume_read(volume, bytes, BLOCKS * 4096, 0));
    for (unsigned b = 0; b < BLOCKS; b++) {
        uint32_t value = block_value(bytes + b * 4096);
        bool known = false;
        for (unsigned i = 0; i < past->count[b]; i++)
            known |= past->values[b][i] == value;
        if (!known)
            fprintf(stderr, "block %u holds %u, flushed was %u\n", b, value, past->values[b][0]);
        REQUIRE(known);
    }
    free(bytes);
    vde_volume_close(volume);
    close_clean(image, device);
}

static struct past *past_create(void)
{
    struct past *past = calloc(1, sizeof *past);
    for (unsigned b = 0; b < BLOCKS; b++)
        past->count[b] = 1;
    return past;
}

static void work(struct past *past, vde_image *image, unsigned writes)
{
    vde_volume *volume = open_volume(image, "a");
    uint8_t *bytes = aligned_buffer(20 * 4096);
    for (unsigned i = 0; i < writes; i++) {
        vde_status status = write_some(past, volume, bytes, i % 11 == 10 ? VDE_VOLUME_FUA : 0);
        (void)status; /* what failed is not in the past */
        if (i % 7 == 6 && vde_volume_flush(volume) == VDE_OK)
            past_flushed(past);
        if (i == 12 || i == 25)
            status = vde_image_checkpoint(image);
    }
    free(bytes);
    vde_volume_close(volume);
}

Test(volume_faults, power_cuts_keep_what_was_flushed)
{
    for (unsigned cut = 1; cut < 120; cut++) {
        struct vde_device *device = simulated_image(8 * MIB, cut);
        vde_image *image = open_quiet(device);
        struct past *past = past_create();
        past->random = cut;
        create_volume(image, "a", BLOCKS * 4096, cut % 2);
        simulated_cut_after(device, cut);
        work(past, image, 40);
        vde_status status = vde_image_close(image);
        (void)status;
        OK(simulated_power_cycle(device, (enum simulated_survival)(cut % 5), cut));
        check_past(past, device);
        free(past);
    }
}

Test(volume_faults, every_failing_request_in_turn)
{
    for (unsigned kinds = SIMULATED_READ; kinds <= SIMULATED_FLUSH; kinds *= 2)
        for (unsigned nth = 1; nth < 50; nth++) {
            struct vde_device *device = simulated_image(8 * MIB, nth);
            vde_image *image = open_quiet(device);
            struct past *past = past_create();
            past->random = nth + 1000;
            create_volume(image, "a", BLOCKS * 4096, nth % 2);
            simulated_fail(device, kinds, nth, 1, EIO);
            work(past, image, 30);
            vde_status status = vde_image_close(image);
            (void)status;
            OK(simulated_power_cycle(device, SIMULATED_ALL, nth));
            check_past(past, device);
            free(past);
        }
}

Test(volume_faults, a_failed_data_write_changes_nothing)
{
    struct vde_device *device = simulated_image(8 * MIB, 1);
    vde_image *image = open_quiet(device);
    struct shadow shadow = shadow_create(image, "a", 1 * MIB, 0);
    uint8_t *bytes = aligned_buffer(600 * 1024);
    fill_bytes(bytes, 600 * 1024, 5);
    shadow_write(&shadow, 512 * 1024, 0);
    OK(vde_image_checkpoint(image));
    uint64_t before = info_of(image).free_bytes;
    for (uint64_t size = 4096; size <= 128 * 1024; size *= 2) {
        simulated_fail(device, SIMULATED_WRITE, 1, 1, EIO);
        EXPECT(VDE_IO, vde_volume_write(shadow.volume, bytes, size, 8192, 0));
        simulated_fail(device, SIMULATED_WRITE, 1, 1, EIO);
        EXPECT(VDE_IO, vde_volume_write(shadow.volume, bytes, size - 512, 8192 + 512, 0));
        shadow_check_all(&shadow);
    }
    cr_assert_eq(info_of(image).free_bytes, before);
    shadow_write(&shadow, 64 * 1024, 512); /* it goes on */
    shadow_check_all(&shadow);
    free(bytes);
    shadow_done(&shadow);
    close_clean(image, device);
}

Test(volume_faults, a_full_image_says_so_and_discards_still_work)
{
    for (uint32_t level = 0; level < 2; level++) {
        struct vde_device *device = memory_image(8 * MIB);
        vde_image *image = open_quiet(device);
        struct shadow shadow = shadow_create(image, "a", 32 * MIB, level);
        uint8_t *bytes = aligned_buffer(1 * MIB);
        uint64_t at = 0, sizes[] = {1 * MIB, 128 * 1024, 4096};
        for (unsigned s = 0; s < 3; s++)
            for (;; at += sizes[s]) {
                fill_bytes(bytes, sizes[s], at);
                vde_status status = vde_volume_write(shadow.volume, bytes, sizes[s], at, 0);
                if (status == VDE_NOSPC)
                    break;
                OK(status);
                memcpy(shadow.bytes + at, bytes, sizes[s]);
            }
        cr_assert_gt(at, 4 * MIB);
        cr_assert_lt(at, 8 * MIB);
        shadow_check_all(&shadow);
        EXPECT(VDE_NOSPC, vde_volume_write(shadow.volume, bytes, 4096, at, 0));
        shadow_discard(&shadow, 2 * MIB, 1 * MIB);
        shadow_zero(&shadow, 100 * 1024, 512 * 1024 + 512);
        shadow_check_all(&shadow);
        shadow_write(&shadow, 1 * MIB, 1 * MIB);
        shadow_reopen(&shadow, &image, device, "a");
        shadow_check_all(&shadow);
        free(bytes);
        shadow_done(&shadow);
        close_clean(image, device);
    }
}

/* Every second block is free: frames find no place as such, and single blocks all do. */
Test(volume_faults, scattered_free_space_is_used_to_the_end)
{
    for (uint32_t level = 0; level < 2; level++) {
        struct vde_device *device = memory_image(8 * MIB);
        vde_image *image = open_quiet(device);
        struct shadow filler = shadow_create(image, "filler", 16 * MIB, 0);
        struct shadow shadow = shadow_create(image, "a", 4 * MIB, level);
        uint8_t *bytes = aligned_buffer(1 * MIB);
        uint64_t at = 0, done = 0;
        fill_bytes(bytes, 4096, 3);
        while (vde_volume_write(filler.volume, bytes, 4096, at, 0) == VDE_OK)
            at += 4096;
        for (uint64_t i = 0; i < at; i += 8192)
            OK(vde_volume_discard(filler.volume, 4096, i, 0));
        OK(vde_image_checkpoint(image));
        OK(vde_image_checkpoint(image));
        for (uint64_t i = 0; i < 128 * 1024; i++)
            bytes[i] = (uint8_t)(i % 4096 / 512);
        while (done < 4 * MIB && vde_volume_write(shadow.volume, bytes, 128 * 1024, done, 0) == VDE_OK) {
            memcpy(shadow.bytes + done, bytes, 128 * 1024);
            done += 128 * 1024;
        }
        cr_assert_gt(done, at / 2 - 1 * MIB, "%llu of %llu", (unsigned long long)done, (unsigned long long)at);
        shadow_check_all(&shadow);
        free(bytes);
        shadow_done(&filler);
        shadow_done(&shadow);
        close_clean(image, device);
    }
}
