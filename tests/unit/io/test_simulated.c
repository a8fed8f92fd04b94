/* SPDX-License-Identifier: Apache-2.0 */
/* The durability rules of the simulated device: were one of them softer, an engine that relies on luck would pass. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "io/simulated.h"
#include "support/support.h"

#define SIZE (1u << 20)
#define TRIES 400

static struct vde_device *make(unsigned flags)
{
    struct vde_device *device;
    cr_assert_eq(simulated_create(SIZE, 42, flags, &device), VDE_OK);
    return device;
}

static struct vde_device *clone_of(struct vde_device *device)
{
    struct vde_device *clone;
    cr_assert_eq(simulated_clone(device, &clone), VDE_OK);
    return clone;
}

/* What one page may hold after a power cut, over many choices. */
struct outcome {
    unsigned old, fresh, mixed, garbage, sectors_old, sectors_new;
};

/* Pages were zeroes before; `seed` says what the un-flushed write held. */
static struct outcome survey(struct vde_device *device, enum simulated_survival survival, uint64_t offset,
                             uint64_t seed)
{
    struct outcome outcome = {0};
    uint8_t fresh[4096], found[4096];
    static const uint8_t zero[512];
    fill_bytes(fresh, sizeof fresh, seed);
    for (uint64_t i = 0; i < TRIES; i++) {
        struct vde_device *clone = clone_of(device);
        unsigned is_old = 0, is_new = 0;
        cr_assert_eq(simulated_power_cycle(clone, survival, i), VDE_OK);
        simulated_peek(clone, offset, found, sizeof found);
        for (unsigned at = 0; at < 4096; at += 512) {
            is_old += memcmp(found + at, zero, 512) == 0;
            is_new += memcmp(found + at, fresh + at, 512) == 0;
        }
        outcome.sectors_old += is_old;
        outcome.sectors_new += is_new;
        outcome.garbage += is_old + is_new < 8;
        outcome.old += is_old == 8;
        outcome.fresh += is_new == 8;
        outcome.mixed += is_old < 8 && is_new < 8;
        clone->ops->close(clone);
    }
    return outcome;
}

static bool always_new(struct vde_device *device, uint64_t offset, uint64_t seed)
{
    return survey(device, SIMULATED_RANDOM, offset, seed).fresh == TRIES &&
           survey(device, SIMULATED_NONE, offset, seed).fresh == TRIES;
}

Test(simulated, unflushed_write_is_old_new_torn_or_garbage)
{
    struct vde_device *device = make(0);
    cr_assert_eq(write_seed(device, 8192, 4096, 1, 0), VDE_OK);
    cr_assert(reads_seed(device, 8192, 4096, 1), "a read sees the cached write");
    struct outcome outcome = survey(device, SIMULATED_RANDOM, 8192, 1);
    cr_assert(outcome.old > TRIES / 8 && outcome.fresh > TRIES / 8 && outcome.mixed > TRIES / 8);
    cr_assert(outcome.garbage > TRIES / 16 && outcome.garbage < outcome.mixed);
    cr_assert(outcome.sectors_old > TRIES && outcome.sectors_new > TRIES);
    cr_assert_eq(survey(device, SIMULATED_NONE, 8192, 1).old, TRIES);
    cr_assert_eq(survey(device, SIMULATED_ALL, 8192, 1).fresh, TRIES);
    outcome = survey(device, SIMULATED_SUBSET, 8192, 1);
    cr_assert(outcome.mixed == 0 && outcome.old > TRIES / 4 && outcome.fresh > TRIES / 4);
    outcome = survey(device, SIMULATED_PREFIX, 8192, 1);
    cr_assert(outcome.garbage == 0 && outcome.old > 0 && outcome.fresh > 0 && outcome.mixed > 0);
    device->ops->close(device);
}

Test(simulated, flush_covers_what_completed_before_and_nothing_after)
{
    struct vde_device *device = make(0);
    cr_assert_eq(write_seed(device, 0, 8192, 1, 0), VDE_OK);
    cr_assert_eq(simulated_pending(device), 2);
    cr_assert_eq(device->ops->flush(device), VDE_OK);
    cr_assert_eq(simulated_pending(device), 0);
    cr_assert_eq(write_seed(device, 16384, 4096, 2, 0), VDE_OK);
    cr_assert(always_new(device, 0, 1));
    cr_assert_eq(survey(device, SIMULATED_NONE, 16384, 2).old, TRIES);
    device->ops->close(device);
}

Test(simulated, dsync_write_with_fua_is_durable_alone)
{
    struct vde_device *device = make(SIMULATED_FUA);
    cr_assert_eq(write_seed(device, 0, 4096, 1, 0), VDE_OK);
    cr_assert_eq(write_seed(device, 4096, 4096, 2, VDE_IO_DSYNC), VDE_OK);
    cr_assert_eq(write_seed(device, 8192, 4096, 3, 0), VDE_OK);
    cr_assert(always_new(device, 4096, 2));
    cr_assert_eq(survey(device, SIMULATED_NONE, 0, 1).old, TRIES);
    cr_assert_eq(survey(device, SIMULATED_NONE, 8192, 3).old, TRIES);
    device->ops->close(device);
}

Test(simulated, dsync_write_without_fua_flushes_what_completed_before)
{
    struct vde_device *device = make(0);
    cr_assert_eq(write_seed(device, 0, 4096, 1, 0), VDE_OK);
    cr_assert_eq(write_seed(device, 4096, 4096, 2, VDE_IO_DSYNC), VDE_OK);
    cr_assert_eq(write_seed(device, 8192, 4096, 3, 0), VDE_OK);
    cr_assert(always_new(device, 0, 1));
    cr_assert(always_new(device, 4096, 2));
    cr_assert_eq(survey(device, SIMULATED_NONE, 8192, 3).old, TRIES);
    device->ops->close(device);
}

Test(simulated, dsync_write_does_not_cover_its_own_batch)
{
    struct vde_device *device = make(0);
    for (uint64_t round = 0; round < 20; round++) { /* whatever order the batch is carried out in */
        uint64_t base = round * 16384;
        struct vde_io ios[3] = {
            {.op = VDE_IO_WRITE, .size = 4096, .offset = base, .buffer = aligned_buffer(4096)},
            {.op = VDE_IO_WRITE, .flags = VDE_IO_DSYNC, .size = 4096, .offset = base + 4096},
            {.op = VDE_IO_WRITE, .size = 4096, .offset = base + 8192},
        };
        fill_bytes(ios[0].buffer, 4096, 5);
        ios[1].buffer = ios[2].buffer = ios[0].buffer;
        cr_assert_eq(device->ops->run(device, ios, 3), VDE_OK);
        free(ios[0].buffer);
        cr_assert_eq(simulated_pending(device), 2);
        struct vde_device *clone = clone_of(device);
        cr_assert_eq(simulated_power_cycle(clone, SIMULATED_NONE, 0), VDE_OK);
        cr_assert(reads_zeroes(clone, base, 4096));
        cr_assert(reads_seed(clone, base + 4096, 4096, 5));
        cr_assert(reads_zeroes(clone, base + 8192, 4096));
        clone->ops->close(clone);
        cr_assert_eq(device->ops->flush(device), VDE_OK);
    }
    device->ops->close(device);
}

Test(simulated, durable_write_supersedes_an_older_cached_one)
{
    struct vde_device *device = make(SIMULATED_FUA);
    cr_assert_eq(write_seed(device, 0, 4096, 1, 0), VDE_OK);
    cr_assert_eq(write_seed(device, 0, 4096, 2, VDE_IO_DSYNC), VDE_OK);
    cr_assert_eq(simulated_pending(device), 0);
    cr_assert(always_new(device, 0, 2));
    cr_assert_eq(write_seed(device, 0, 4096, 3, 0), VDE_OK);
    cr_assert_eq(device->ops->flush(device), VDE_OK);
    cr_assert(always_new(device, 0, 3));
    device->ops->close(device);
}

Test(simulated, any_of_several_cached_versions_may_survive)
{
    struct vde_device *device = make(0);
    for (uint64_t seed = 1; seed <= 3; seed++)
        cr_assert_eq(write_seed(device, 0, 4096, seed, 0), VDE_OK);
    bool seen[4] = {false};
    for (uint64_t i = 0; i < TRIES; i++) {
        struct vde_device *clone = clone_of(device);
        cr_assert_eq(simulated_power_cycle(clone, SIMULATED_SUBSET, i), VDE_OK);
        seen[0] |= reads_zeroes(clone, 0, 4096);
        for (uint64_t seed = 1; seed <= 3; seed++)
            seen[seed] |= reads_seed(clone, 0, 4096, seed);
        clone->ops->close(clone);
    }
    cr_assert(seen[0] && seen[1] && seen[2] && seen[3]);
    device->ops->close(device);
}

Test(simulated, prefix_never_skips_a_request)
{
    struct vde_device *device = make(0);
    for (uint64_t i = 0; i < 8; i++)
        cr_assert_eq(write_seed(device, i * 8192, 8192, i + 1, 0), VDE_OK);
    bool whole[9] = {false};
    for (uint64_t i = 0; i < TRIES; i++) {
        struct vde_device *clone = clone_of(device);
        unsigned first = 0;
        cr_assert_eq(simulated_power_cycle(clone, SIMULATED_PREFIX, i), VDE_OK);
        while (first < 8 && reads_seed(clone, first * 8192, 8192, first + 1))
            first++;
        whole[first] = true;
        for (unsigned later = first + 1; later < 8; later++)
            cr_assert(reads_zeroes(clone, later * 8192, 8192));
        clone->ops->close(clone);
    }
    for (unsigned i = 0; i <= 8; i++)
        cr_expect(whole[i], "%u requests", i);
    device->ops->close(device);
}

Test(simulated, cut_hits_the_nth_change_and_everything_fails_from_then_on)
{
    struct vde_device *device = make(0);
    cr_assert_eq(write_seed(device, 0, 4096, 1, 0), VDE_OK);
    cr_assert_eq(simulated_count(device), 1);
    simulated_cut_after(device, 3);
    cr_assert_eq(write_seed(device, 4096, 4096, 2, 0), VDE_OK);
    cr_assert(reads_seed(device, 0, 4096, 1), "reads are not counted");
    cr_assert_eq(device->ops->flush(device), VDE_OK);
    cr_assert(!simulated_is_off(device));
    cr_assert_eq(write_seed(device, 8192, 4096, 3, 0), VDE_IO);
    cr_assert(simulated_is_off(device));
    cr_assert_eq(simulated_count(device), 4);
    cr_assert_eq(write_seed(device, 0, 4096, 4, 0), VDE_IO);
    cr_assert_eq(device->ops->flush(device), VDE_IO);
    cr_assert_eq(device->ops->discard(device, 0, 4096), VDE_IO);
    cr_assert(!reads_seed(device, 0, 4096, 1));
    cr_assert_eq(simulated_count(device), 4, "what comes after the cut did not reach the device");
    struct outcome outcome = survey(device, SIMULATED_RANDOM, 8192, 3);
    cr_assert(outcome.old && outcome.fresh && outcome.mixed, "the write at the cut may be there in part");
    cr_assert(always_new(device, 4096, 2));
    cr_assert_eq(simulated_power_cycle(device, SIMULATED_RANDOM, 1), VDE_OK);
    cr_assert(!simulated_is_off(device));
    cr_assert(reads_seed(device, 0, 4096, 1) && reads_seed(device, 4096, 4096, 2));
    cr_assert_eq(write_seed(device, 0, 4096, 5, 0), VDE_OK);
    device->ops->close(device);
}

Test(simulated, cut_at_a_flush_or_durable_write_leaves_both_answers_open)
{
    struct vde_device *device = make(0);
    cr_assert_eq(write_seed(device, 0, 4096, 1, 0), VDE_OK);
    struct vde_device *clone = clone_of(device);
    simulated_cut_after(device, 1);
    cr_assert_eq(device->ops->flush(device), VDE_IO);
    struct outcome outcome = survey(device, SIMULATED_SUBSET, 0, 1);
    cr_assert(outcome.old && outcome.fresh);
    simulated_cut_after(clone, 1);
    cr_assert_eq(write_seed(clone, 4096, 4096, 2, VDE_IO_DSYNC), VDE_IO);
    outcome = survey(clone, SIMULATED_SUBSET, 0, 1);
    cr_assert(outcome.old && outcome.fresh);
    outcome = survey(clone, SIMULATED_SUBSET, 4096, 2);
    cr_assert(outcome.old && outcome.fresh);
    clone->ops->close(clone);
    device->ops->close(device);
}

Test(simulated, cut_in_a_batch_puts_the_whole_rest_in_flight)
{
    bool survived[4] = {false};
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct vde_device *device;
        struct vde_io ios[4];
        uint8_t *buffer = aligned_buffer(4096);
        cr_assert_eq(simulated_create(SIZE, seed, 0, &device), VDE_OK);
        fill_bytes(buffer, 4096, 9);
        for (unsigned i = 0; i < 4; i++)
            ios[i] = (struct vde_io){.op = VDE_IO_WRITE, .size = 4096, .offset = i * 4096, .buffer = buffer};
        simulated_cut_after(device, 1);
        cr_assert_eq(device->ops->run(device, ios, 4), VDE_IO);
        cr_assert_eq(simulated_pending(device), 4);
        cr_assert_eq(simulated_power_cycle(device, SIMULATED_SUBSET, seed), VDE_OK);
        for (unsigned i = 0; i < 4; i++) {
            cr_assert_eq(ios[i].result, VDE_IO);
            survived[i] |= reads_seed(device, i * 4096, 4096, 9);
        }
        device->ops->close(device);
        free(buffer);
    }
    cr_assert(survived[0] && survived[1] && survived[2] && survived[3]);
}

Test(simulated, discarded_range_reads_garbage_and_may_come_back_until_a_flush)
{
    struct vde_device *device = make(0);
    cr_assert_eq(write_seed(device, 0, 4096, 1, VDE_IO_DSYNC), VDE_OK);
    cr_assert_eq(device->ops->discard(device, 0, 4096), VDE_OK);
    cr_assert(!reads_seed(device, 0, 4096, 1) && !reads_zeroes(device, 0, 4096));
    struct vde_device *clone = clone_of(device);
    cr_assert_eq(simulated_power_cycle(clone, SIMULATED_NONE, 0), VDE_OK);
    cr_assert(reads_seed(clone, 0, 4096, 1));
    clone->ops->close(clone);
    cr_assert_eq(device->ops->flush(device), VDE_OK);
    cr_assert_eq(simulated_power_cycle(device, SIMULATED_NONE, 0), VDE_OK);
    cr_assert(!reads_seed(device, 0, 4096, 1) && !reads_zeroes(device, 0, 4096));
    device->ops->close(device);
}

Test(simulated, clones_are_independent)
{
    struct vde_device *device = make(0);
    cr_assert_eq(write_seed(device, 0, 4096, 1, 0), VDE_OK);
    simulated_cut_after(device, 2);
    struct vde_device *clone = clone_of(device);
    cr_assert_eq(write_seed(clone, 0, 4096, 2, 0), VDE_OK);
    cr_assert_eq(clone->ops->flush(clone), VDE_IO, "the cut was cloned as well");
    cr_assert(reads_seed(device, 0, 4096, 1));
    device->ops->close(device);
    cr_assert_eq(simulated_power_cycle(clone, SIMULATED_ALL, 0), VDE_OK);
    cr_assert(reads_seed(clone, 0, 4096, 2));
    clone->ops->close(clone);
}

Test(simulated, hash_tells_durable_images_apart)
{
    struct vde_device *device = make(0);
    uint64_t blank = simulated_hash(device);
    cr_assert_eq(write_seed(device, 0, 4096, 1, 0), VDE_OK);
    cr_assert_eq(simulated_hash(device), blank, "not durable yet");
    cr_assert_eq(device->ops->flush(device), VDE_OK);
    uint64_t one = simulated_hash(device);
    cr_assert_neq(one, blank);
    struct vde_device *other = make(SIMULATED_FUA);
    cr_assert_eq(write_seed(other, 0, 4096, 1, VDE_IO_DSYNC), VDE_OK);
    cr_assert_eq(simulated_hash(other), one);
    cr_assert_eq(write_seed(other, 4096, 4096, 1, VDE_IO_DSYNC), VDE_OK);
    cr_assert_neq(simulated_hash(other), one);
    uint8_t zero[4096] = {0};
    cr_assert_eq(simulated_poke(other, 0, zero, sizeof zero), VDE_OK);
    cr_assert_eq(simulated_poke(other, 4096, zero, sizeof zero), VDE_OK);
    cr_assert_eq(simulated_hash(other), blank, "written zeroes are zeroes");
    other->ops->close(other);
    device->ops->close(device);
}

Test(simulated, same_seeds_give_the_same_image)
{
    uint64_t hashes[2];
    for (int run = 0; run < 2; run++) {
        struct vde_device *device = make(0);
        for (uint64_t i = 0; i < 30; i++) {
            cr_assert_eq(write_seed(device, i * 12288, 12288, i, 0), VDE_OK);
            if (i % 7 == 6)
                cr_assert_eq(device->ops->flush(device), VDE_OK);
        }
        simulated_cut(device);
        cr_assert_eq(simulated_power_cycle(device, SIMULATED_RANDOM, 5), VDE_OK);
        hashes[run] = simulated_hash(device);
        device->ops->close(device);
    }
    cr_assert_eq(hashes[0], hashes[1]);
}
