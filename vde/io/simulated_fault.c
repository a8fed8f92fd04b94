/* SPDX-License-Identifier: Apache-2.0 */
/* simulated_fault.c -- arming and counting down injected faults; damage to the medium. */
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"
#include "io/simulated_state.h"

bool fault_next(struct simulated *simulated, unsigned request, struct fault *ret_fault)
{
    bool hit = false;
    for (unsigned i = 0; i < SIMULATED_FAULTS_MAX; i++) {
        struct fault *fault = &simulated->faults[i];
        if (!fault->kind || !(fault->requests & request))
            continue;
        if (fault->wait > 0) {
            fault->wait--;
            continue;
        }
        if (!hit)
            *ret_fault = *fault;
        hit = true;
        if (fault->times != SIMULATED_ALWAYS && --fault->times == 0)
            fault->kind = 0;
    }
    return hit;
}

static void arm(struct vde_device *device, struct fault fault, uint64_t nth)
{
    struct simulated *simulated = (struct simulated *)device;
    fault.wait = nth > 0 ? nth - 1 : 0;
    lock_take(&simulated->lock);
    unsigned i = 0;
    while (i < SIMULATED_FAULTS_MAX && simulated->faults[i].kind)
        i++;
    VDE_ASSERT(i < SIMULATED_FAULTS_MAX);
    if (i < SIMULATED_FAULTS_MAX && fault.times > 0)
        simulated->faults[i] = fault;
    lock_drop(&simulated->lock);
}

void simulated_fail(struct vde_device *device, unsigned kinds, uint64_t nth, uint64_t times, int os_errno)
{
    arm(device, (struct fault){.kind = FAULT_FAIL, .requests = kinds, .times = times, .os_errno = os_errno}, nth);
}

void simulated_lose_write(struct vde_device *device, uint64_t nth)
{
    arm(device, (struct fault){.kind = FAULT_LOSE, .requests = SIMULATED_WRITE, .times = 1}, nth);
}

void simulated_misdirect_write(struct vde_device *device, uint64_t nth, uint64_t to_offset)
{
    VDE_ASSERT(to_offset % PAGE_BYTES == 0);
    struct fault fault = {.kind = FAULT_MISDIRECT, .requests = SIMULATED_WRITE, .times = 1, .to_offset = to_offset};
    arm(device, fault, nth);
}

void simulated_clear_faults(struct vde_device *device)
{
    struct simulated *simulated = (struct simulated *)device;
    lock_take(&simulated->lock);
    memset(simulated->faults, 0, sizeof simulated->faults);
    lock_drop(&simulated->lock);
}

static bool inside(const struct simulated *simulated, uint64_t offset, size_t size)
{
    return offset <= simulated->info.size_bytes && size <= simulated->info.size_bytes - offset;
}

void simulated_peek(struct vde_device *device, uint64_t offset, void *buffer, size_t size)
{
    struct simulated *simulated = (struct simulated *)device;
    uint8_t *to = buffer;
    bool fits = inside(simulated, offset, size);
    VDE_ASSERT(fits);
    if (!fits) {
        memset(buffer, 0, size);
        return;
    }
    lock_take(&simulated->lock);
    while (size > 0) {
        size_t at = offset % PAGE_BYTES;
        size_t part = min_u64(size, PAGE_BYTES - at);
        memcpy(to, page_bytes(simulated->medium.places[offset / PAGE_BYTES].durable) + at, part);
        to += part;
        offset += part;
        size -= part;
    }
    lock_drop(&simulated->lock);
}

/* Replace one page by a copy with some bytes changed. */
static vde_status patch(struct page **at, size_t offset, const uint8_t *bytes, size_t size)
{
    uint8_t copy[PAGE_BYTES];
    struct page *page;
    memcpy(copy, page_bytes(*at), PAGE_BYTES);
    memcpy(copy + offset, bytes, size);
    VDE_TRY(page_create(copy, &page));
    page_drop(*at);
    *at = page;
    return VDE_OK;
}

static vde_status poke(struct simulated *simulated, uint64_t offset, const uint8_t *from, size_t size)
{
    while (size > 0) {
        size_t at = offset % PAGE_BYTES;
        size_t part = min_u64(size, PAGE_BYTES - at);
        struct place *place = &simulated->medium.places[offset / PAGE_BYTES];
        VDE_TRY(patch(&place->durable, at, from, part));
        VDE_TRY(patch(&place->current, at, from, part));
        from += part;
        offset += part;
        size -= part;
    }
    return VDE_OK;
}

vde_status simulated_poke(struct vde_device *device, uint64_t offset, const void *bytes, size_t size)
{
    struct simulated *simulated = (struct simulated *)device;
    if (!inside(simulated, offset, size))
        return vde_error_text(VDE_INVAL, "simulated device", "poke beyond the end");
    lock_take(&simulated->lock);
    vde_status status = poke(simulated, offset, bytes, size);
    lock_drop(&simulated->lock);
    return status;
}

vde_status simulated_flip_bit(struct vde_device *device, uint64_t offset, unsigned bit)
{
    struct simulated *simulated = (struct simulated *)device;
    if (!inside(simulated, offset, 1) || bit > 7)
        return vde_error_text(VDE_INVAL, "simulated device", "flip of a bit beyond the end");
    lock_take(&simulated->lock);
    struct place *place = &simulated->medium.places[offset / PAGE_BYTES];
    size_t at = offset % PAGE_BYTES;
    uint8_t durable = page_bytes(place->durable)[at] ^ (uint8_t)(1u << bit);
    uint8_t current = page_bytes(place->current)[at] ^ (uint8_t)(1u << bit);
    vde_status status = patch(&place->durable, at, &durable, 1);
    if (status == VDE_OK)
        status = patch(&place->current, at, &current, 1);
    lock_drop(&simulated->lock);
    return status;
}
