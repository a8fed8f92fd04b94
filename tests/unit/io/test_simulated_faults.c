/* SPDX-License-Identifier: Apache-2.0 */
/* Injected faults of the simulated device. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "io/simulated.h"
#include "support/support.h"

#define SIZE (1u << 20)

static struct vde_device *make(unsigned flags)
{
    struct vde_device *device;
    cr_assert_eq(simulated_create(SIZE, 42, flags, &device), VDE_OK);
    return device;
}

/* Whether the page can be lost: some choice of a power cut leaves something else there. */
static bool can_be_lost(struct vde_device *device, uint64_t offset, uint64_t seed)
{
    struct vde_device *clone;
    cr_assert_eq(simulated_clone(device, &clone), VDE_OK);
    cr_assert_eq(simulated_power_cycle(clone, SIMULATED_NONE, 0), VDE_OK);
    bool lost = !reads_seed(clone, offset, 4096, seed);
    clone->ops->close(clone);
    return lost;
}

Test(simulated_faults, nth_request_of_a_kind_fails_so_many_times)
{
    struct vde_device *device = make(0);
    cr_assert_eq(write_seed(device, 0, 4096, 1, 0), VDE_OK);
    simulated_fail(device, SIMULATED_READ, 2, 2, EIO);
    cr_assert(reads_seed(device, 0, 4096, 1));
    cr_assert_eq(write_seed(device, 4096, 4096, 2, 0), VDE_OK);
    cr_assert(!reads_seed(device, 0, 4096, 1));
    cr_assert_eq(vde_last_error()->status, VDE_IO);
    cr_assert_eq(vde_last_error()->os_errno, EIO);
    cr_assert(!reads_seed(device, 0, 4096, 1));
    cr_assert(reads_seed(device, 0, 4096, 1));
    simulated_fail(device, SIMULATED_FLUSH | SIMULATED_DISCARD, 1, SIMULATED_ALWAYS, EIO);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(device->ops->flush(device), VDE_IO);
        cr_assert_eq(device->ops->discard(device, 65536, 4096), VDE_IO);
    }
    simulated_clear_faults(device);
    cr_assert_eq(device->ops->flush(device), VDE_OK);
    device->ops->close(device);
}

Test(simulated_faults, failed_write_may_be_there_in_part)
{
    unsigned whole = 0, none = 0, part = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct vde_device *device;
        cr_assert_eq(simulated_create(SIZE, seed, 0, &device), VDE_OK);
        simulated_fail(device, SIMULATED_WRITE, 1, 1, EIO);
        cr_assert_eq(write_seed(device, 0, 4096, 1, 0), VDE_IO);
        bool is_new = reads_seed(device, 0, 4096, 1), is_old = reads_zeroes(device, 0, 4096);
        whole += is_new;
        none += is_old;
        part += !is_new && !is_old;
        cr_assert_eq(write_seed(device, 0, 4096, 1, 0), VDE_OK);
        cr_assert_eq(device->ops->flush(device), VDE_OK);
        cr_assert(!can_be_lost(device, 0, 1), "written again and flushed");
        device->ops->close(device);
    }
    cr_assert_eq(whole + none + part, 100);
    cr_assert(part > 50);
}

Test(simulated_faults, no_later_flush_covers_what_a_failed_one_left)
{
    struct vde_device *device = make(0);
    cr_assert_eq(write_seed(device, 0, 4096, 1, 0), VDE_OK);
    simulated_fail(device, SIMULATED_FLUSH, 1, 1, EIO);
    cr_assert_eq(device->ops->flush(device), VDE_IO);
    cr_assert_eq(write_seed(device, 4096, 4096, 2, 0), VDE_OK);
    cr_assert_eq(device->ops->flush(device), VDE_OK);
    cr_assert(can_be_lost(device, 0, 1));
    cr_assert(!can_be_lost(device, 4096, 2));
    cr_assert_eq(write_seed(device, 0, 4096, 3, 0), VDE_OK);
    cr_assert_eq(device->ops->flush(device), VDE_OK);
    cr_assert(!can_be_lost(device, 0, 3));
    device->ops->close(device);
}

Test(simulated_faults, failed_durable_write_spoils_the_flush_it_stands_for)
{
    for (unsigned flags = 0; flags <= SIMULATED_FUA; flags++) {
        struct vde_device *device = make(flags);
        cr_assert_eq(write_seed(device, 0, 4096, 1, 0), VDE_OK);
        simulated_fail(device, SIMULATED_WRITE, 1, 1, EIO);
        cr_assert_eq(write_seed(device, 4096, 4096, 2, VDE_IO_DSYNC), VDE_IO);
        cr_assert_eq(device->ops->flush(device), VDE_OK);
        cr_assert_eq(can_be_lost(device, 0, 1), flags == 0, "with FUA the write stood for itself alone");
        cr_assert(can_be_lost(device, 4096, 2));
        device->ops->close(device);
    }
}

Test(simulated_faults, no_space_leaves_everything_as_it_was)
{
    struct vde_device *device = make(0);
    cr_assert_eq(write_seed(device, 0, 4096, 1, 0), VDE_OK);
    simulated_fail(device, SIMULATED_WRITE, 1, 1, ENOSPC);
    cr_assert_eq(write_seed(device, 0, 4096, 2, VDE_IO_DSYNC), VDE_NOSPC);
    cr_assert(reads_seed(device, 0, 4096, 1));
    cr_assert_eq(device->ops->flush(device), VDE_OK);
    cr_assert(!can_be_lost(device, 0, 1));
    device->ops->close(device);
}

Test(simulated_faults, lost_write_is_acknowledged_and_never_there)
{
    struct vde_device *device = make(SIMULATED_FUA);
    simulated_lose_write(device, 2);
    cr_assert_eq(write_seed(device, 0, 4096, 1, 0), VDE_OK);
    cr_assert_eq(write_seed(device, 4096, 4096, 2, VDE_IO_DSYNC), VDE_OK);
    cr_assert_eq(write_seed(device, 8192, 4096, 3, 0), VDE_OK);
    cr_assert_eq(device->ops->flush(device), VDE_OK);
    cr_assert(reads_seed(device, 0, 4096, 1) && reads_seed(device, 8192, 4096, 3));
    cr_assert(reads_zeroes(device, 4096, 4096));
    device->ops->close(device);
}

Test(simulated_faults, misdirected_write_lands_elsewhere)
{
    struct vde_device *device = make(0);
    simulated_misdirect_write(device, 1, 65536);
    simulated_misdirect_write(device, 2, SIZE - 4096);
    cr_assert_eq(write_seed(device, 0, 8192, 1, 0), VDE_OK);
    cr_assert_eq(write_seed(device, 16384, 4096, 2, VDE_IO_DSYNC), VDE_OK);
    cr_assert(reads_zeroes(device, 0, 8192) && reads_zeroes(device, 16384, 4096));
    cr_assert(reads_seed(device, 65536, 8192, 1) && reads_seed(device, SIZE - 4096, 4096, 2));
    cr_assert(!can_be_lost(device, SIZE - 4096, 2));
    simulated_misdirect_write(device, 1, SIZE - 4096);
    cr_assert_eq(write_seed(device, 0, 8192, 3, 0), VDE_OK, "half of it falls off the end");
    device->ops->close(device);
}

Test(simulated_faults, flipped_bit_and_poke_change_the_medium_without_a_request)
{
    struct vde_device *device = make(0);
    cr_assert_eq(write_seed(device, 0, 8192, 1, VDE_IO_DSYNC), VDE_OK);
    uint64_t hash = simulated_hash(device), count = simulated_count(device);
    cr_assert_eq(simulated_flip_bit(device, 5000, 3), VDE_OK);
    cr_assert(!reads_seed(device, 0, 8192, 1));
    cr_assert(reads_seed(device, 0, 4096, 1), "the other page is whole");
    cr_assert_neq(simulated_hash(device), hash);
    cr_assert_eq(simulated_flip_bit(device, 5000, 3), VDE_OK);
    cr_assert(reads_seed(device, 0, 8192, 1));
    cr_assert_eq(simulated_hash(device), hash);
    cr_assert_eq(simulated_poke(device, 4090, "0123456789ab", 12), VDE_OK);
    char back[12];
    simulated_peek(device, 4090, back, sizeof back);
    cr_assert_eq(memcmp(back, "0123456789ab", 12), 0);
    cr_assert_eq(simulated_poke(device, SIZE - 1, "xy", 2), VDE_INVAL);
    cr_assert_eq(simulated_flip_bit(device, SIZE, 0), VDE_INVAL);
    cr_assert_eq(simulated_count(device), count);
    device->ops->close(device);
}

Test(simulated_faults, counters_tell_what_was_asked)
{
    struct vde_device *device = make(0);
    cr_assert_eq(write_seed(device, 0, 8192, 1, VDE_IO_DSYNC), VDE_OK);
    cr_assert_eq(write_seed(device, 0, 4096, 1, 0), VDE_OK);
    cr_assert(reads_seed(device, 0, 4096, 1));
    cr_assert_eq(device->ops->flush(device), VDE_OK);
    cr_assert_eq(device->ops->discard(device, 0, 4096), VDE_OK);
    struct simulated_counts counts;
    simulated_counts(device, &counts);
    cr_assert(counts.reads == 1 && counts.writes == 2 && counts.dsync_writes == 1);
    cr_assert(counts.flushes == 1 && counts.discards == 1);
    cr_assert(counts.bytes_read == 4096 && counts.bytes_written == 12288);
    cr_assert_eq(simulated_count(device), 4);
    device->ops->close(device);
}
