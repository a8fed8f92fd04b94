/* SPDX-License-Identifier: Apache-2.0 */
/* simulated_power.c -- making, cloning, switching off and on, and looking at a simulated device. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "io/simulated_state.h"

vde_status simulated_create(uint64_t size_bytes, uint64_t seed, unsigned flags, struct vde_device **ret_device)
{
    if (size_bytes == 0 || size_bytes % PAGE_BYTES != 0 || (flags & ~SIMULATED_FUA))
        return fail_as(VDE_INVAL, "simulated device|size %llu, flags 0x%x|a multiple of %u and known flags",
                       (unsigned long long)size_bytes, flags, PAGE_BYTES);
    struct simulated *simulated = calloc(1, sizeof *simulated);
    if (!simulated)
        return fail_nomem("simulated device");
    vde_status status = medium_init(&simulated->medium, size_bytes, seed);
    if (status != VDE_OK) {
        free(simulated);
        return status;
    }
    lock_init(&simulated->lock, LOCK_DEVICE);
    simulated->device.ops = &simulated_ops;
    simulated->flags = flags;
    simulated->random = seed;
    simulated->info.size_bytes = size_bytes;
    simulated->info.logical_block_bytes = SIMULATED_SECTOR_BYTES;
    simulated->info.direct = true;
    snprintf(simulated->info.backend, sizeof simulated->info.backend, "simulated");
    snprintf(simulated->info.note, sizeof simulated->info.note, "seed %llu, %s FUA", (unsigned long long)seed,
             flags & SIMULATED_FUA ? "with" : "without");
    *ret_device = &simulated->device;
    return VDE_OK;
}

vde_status simulated_clone(struct vde_device *device, struct vde_device **ret_device)
{
    struct simulated *from = (struct simulated *)device;
    struct simulated *to = malloc(sizeof *to);
    if (!to)
        return fail_nomem("clone of the simulated device");
    lock_take(&from->lock);
    *to = *from;
    vde_status status = medium_copy(&from->medium, &to->medium);
    lock_drop(&from->lock);
    if (status != VDE_OK) {
        free(to);
        return status;
    }
    lock_init(&to->lock, LOCK_DEVICE);
    *ret_device = &to->device;
    return VDE_OK;
}

void simulated_cut_after(struct vde_device *device, uint64_t n)
{
    struct simulated *simulated = (struct simulated *)device;
    lock_take(&simulated->lock);
    simulated->cut_in = n;
    lock_drop(&simulated->lock);
}

void simulated_cut(struct vde_device *device)
{
    struct simulated *simulated = (struct simulated *)device;
    lock_take(&simulated->lock);
    simulated->off = true;
    lock_drop(&simulated->lock);
}

bool simulated_is_off(struct vde_device *device)
{
    struct simulated *simulated = (struct simulated *)device;
    lock_take(&simulated->lock);
    bool off = simulated->off;
    lock_drop(&simulated->lock);
    return off;
}

void simulated_counts(struct vde_device *device, struct simulated_counts *ret_counts)
{
    struct simulated *simulated = (struct simulated *)device;
    lock_take(&simulated->lock);
    *ret_counts = simulated->counts;
    lock_drop(&simulated->lock);
}

uint64_t simulated_count(struct vde_device *device)
{
    struct simulated_counts counts;
    simulated_counts(device, &counts);
    return counts.writes + counts.flushes + counts.discards;
}

vde_status simulated_power_cycle(struct vde_device *device, enum simulated_survival survival, uint64_t choice_seed)
{
    struct simulated *simulated = (struct simulated *)device;
    lock_take(&simulated->lock);
    simulated->off = true;
    vde_status status = medium_settle(&simulated->medium, survival, choice_seed);
    if (status == VDE_OK) {
        simulated->off = false;
        simulated->cut_in = 0;
        memset(simulated->faults, 0, sizeof simulated->faults);
    }
    lock_drop(&simulated->lock);
    return status;
}

size_t simulated_pending(struct vde_device *device)
{
    struct simulated *simulated = (struct simulated *)device;
    const struct medium *medium = &simulated->medium;
    size_t count = 0;
    lock_take(&simulated->lock);
    for (size_t i = 0; i < medium->pending_count; i++)
        count += medium->pending[i].sequence > medium->places[medium->pending[i].place].durable_sequence;
    lock_drop(&simulated->lock);
    return count;
}

uint64_t simulated_hash(struct vde_device *device)
{
    struct simulated *simulated = (struct simulated *)device;
    lock_take(&simulated->lock);
    uint64_t hash = medium_hash(&simulated->medium);
    lock_drop(&simulated->lock);
    return hash;
}
