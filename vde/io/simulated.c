/* SPDX-License-Identifier: Apache-2.0 */
/* simulated.c -- the simulated device as a vtable: requests, flushes, discards, and the moment the power fails. */
#include "io/simulated.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"
#include "io/request.h"
#include "io/simulated_state.h"

static const char name[] = "simulated device";

/* Count a change; true when it is the one at which the power fails. */
static bool power_fails(struct simulated *simulated)
{
    if (simulated->cut_in > 0 && --simulated->cut_in == 0)
        simulated->off = true;
    return simulated->off;
}

static void read_pages(struct simulated *simulated, struct vde_io *io)
{
    for (uint32_t done = 0; done < io->size; done += PAGE_BYTES) {
        const struct place *place = &simulated->medium.places[(io->offset + done) / PAGE_BYTES];
        memcpy((uint8_t *)io->buffer + done, page_bytes(place->current), PAGE_BYTES);
    }
}

/* A request that failed halfway: each sector old or new as far as a later read can tell. */
static void tear(struct simulated *simulated, uint64_t place, uint8_t *bytes)
{
    const uint8_t *old = page_bytes(simulated->medium.places[place].current);
    uint64_t choice = random_next(&simulated->random);
    for (uint32_t sector = 0; sector < PAGE_SECTORS; sector++)
        if (choice >> sector & 1)
            memcpy(bytes + sector * SIMULATED_SECTOR_BYTES, old + sector * SIMULATED_SECTOR_BYTES,
                   SIMULATED_SECTOR_BYTES);
}

enum how { CACHED, DURABLE, FAILED };

static vde_status write_pages(struct simulated *simulated, const struct vde_io *io, uint64_t offset, enum how how)
{
    struct medium *medium = &simulated->medium;
    medium->request++;
    for (uint32_t done = 0; done < io->size; done += PAGE_BYTES) {
        uint64_t place = (offset + done) / PAGE_BYTES;
        uint8_t bytes[PAGE_BYTES];
        struct page *page;
        if (place >= medium->place_count)
            break;
        memcpy(bytes, (const uint8_t *)io->buffer + done, PAGE_BYTES);
        if (how == FAILED)
            tear(simulated, place, bytes);
        VDE_TRY(page_create(bytes, &page));
        if (how == DURABLE)
            medium_write_durable(medium, place, page);
        else
            VDE_TRY(medium_write(medium, place, page, how == FAILED));
    }
    return VDE_OK;
}

/* Without FUA the system completes a DSYNC write by a flush behind it, which fails with it. */
static void fail_write(struct simulated *simulated, struct vde_io *io, int os_errno)
{
    request_fail(io, os_errno);
    if (io->result == VDE_NOSPC)
        return;
    if (write_pages(simulated, io, io->offset, FAILED) != VDE_OK)
        io->result = VDE_NOMEM;
    if ((io->flags & VDE_IO_DSYNC) && !(simulated->flags & SIMULATED_FUA))
        medium_doubt(&simulated->medium);
}

/* `before` is the last request that completed before this run() was called. */
static void write_one(struct simulated *simulated, struct vde_io *io, uint64_t before)
{
    bool durable = io->flags & VDE_IO_DSYNC;
    struct fault fault = {0};
    simulated->counts.writes++;
    simulated->counts.dsync_writes += durable;
    simulated->counts.bytes_written += io->size;
    if (power_fails(simulated)) {
        request_fail(io, EIO);
        if (write_pages(simulated, io, io->offset, CACHED) != VDE_OK)
            io->result = VDE_NOMEM;
        return;
    }
    bool hit = fault_next(simulated, SIMULATED_WRITE, &fault);
    if (hit && fault.kind == FAULT_FAIL) {
        fail_write(simulated, io, fault.os_errno);
        return;
    }
    if (!hit || fault.kind != FAULT_LOSE) {
        uint64_t offset = hit ? fault.to_offset : io->offset;
        if (write_pages(simulated, io, offset, durable ? DURABLE : CACHED) != VDE_OK)
            request_fail(io, ENOMEM);
    }
    if (durable && !(simulated->flags & SIMULATED_FUA))
        medium_flush(&simulated->medium, before);
}

static void read_one(struct simulated *simulated, struct vde_io *io)
{
    struct fault fault;
    simulated->counts.reads++;
    simulated->counts.bytes_read += io->size;
    if (simulated->off)
        request_fail(io, EIO);
    else if (fault_next(simulated, SIMULATED_READ, &fault))
        request_fail(io, fault.os_errno);
    else
        read_pages(simulated, io);
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static vde_status simulated_run(struct vde_device *device, struct vde_io *ios, size_t count)
{
    struct simulated *simulated = (struct simulated *)device;
    lock_take(&simulated->lock);
    uint64_t before = simulated->medium.request;
    bool was_off = simulated->off;
    /* Any order is allowed, so take a seeded one: from a random start with a random step that reaches all. */
    size_t at = 0, step = 1;
    if (count > 1) {
        at = random_next(&simulated->random) % count;
        step = 1 + random_next(&simulated->random) % (count - 1);
        while (common_divisor(step, count) != 1)
            step++;
    }
    for (size_t i = 0; i < count; i++, at = (at + step) % count) {
        if (!request_check(&simulated->info, &ios[at]))
            continue;
        if (was_off)
            request_fail(&ios[at], EIO);
        else if (ios[at].op == VDE_IO_READ)
            read_one(simulated, &ios[at]);
        else
            write_one(simulated, &ios[at], before);
    }
    lock_drop(&simulated->lock);
    return request_report(name, ios, count);
}

static vde_status flush_locked(struct simulated *simulated)
{
    struct fault fault;
    if (simulated->off)
        return request_error(VDE_IO, EIO, name, "flush");
    simulated->counts.flushes++;
    if (power_fails(simulated)) /* what of it was carried out is for the power cycle to choose */
        return request_error(VDE_IO, EIO, name, "flush");
    if (fault_next(simulated, SIMULATED_FLUSH, &fault)) {
        medium_doubt(&simulated->medium);
        return request_error(VDE_IO, fault.os_errno, name, "flush");
    }
    medium_flush(&simulated->medium, simulated->medium.request);
    return VDE_OK;
}

static vde_status simulated_flush(struct vde_device *device)
{
    struct simulated *simulated = (struct simulated *)device;
    lock_take(&simulated->lock);
    vde_status status = flush_locked(simulated);
    lock_drop(&simulated->lock);
    return status;
}

static vde_status discard_locked(struct simulated *simulated, uint64_t offset, uint64_t size)
{
    struct medium *medium = &simulated->medium;
    struct fault fault;
    if (simulated->off)
        return request_error(VDE_IO, EIO, name, "discard");
    simulated->counts.discards++;
    bool cut = power_fails(simulated);
    if (!cut && fault_next(simulated, SIMULATED_DISCARD, &fault))
        return request_error(VDE_IO, fault.os_errno, name, "discard");
    medium->request++;
    for (uint64_t place = offset / PAGE_BYTES; place < (offset + size) / PAGE_BYTES; place++)
        VDE_TRY(medium_write(medium, place, page_take(medium->garbage), false));
    return cut ? request_error(VDE_IO, EIO, name, "discard") : VDE_OK;
}

static vde_status simulated_discard(struct vde_device *device, uint64_t offset, uint64_t size)
{
    struct simulated *simulated = (struct simulated *)device;
    VDE_TRY(request_check_discard(&simulated->info, name, offset, size));
    lock_take(&simulated->lock);
    vde_status status = discard_locked(simulated, offset, size);
    lock_drop(&simulated->lock);
    return status;
}

static void simulated_info(struct vde_device *device, struct vde_device_info *ret_info)
{
    *ret_info = ((struct simulated *)device)->info;
}

static void simulated_close(struct vde_device *device)
{
    struct simulated *simulated = (struct simulated *)device;
    medium_done(&simulated->medium);
    lock_done(&simulated->lock);
    free(simulated);
}

const struct vde_device_ops simulated_ops = {
    .run = simulated_run,
    .flush = simulated_flush,
    .discard = simulated_discard,
    .info = simulated_info,
    .close = simulated_close,
};
