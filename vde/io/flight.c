/* SPDX-License-Identifier: Apache-2.0 */
/* flight.c -- bookkeeping of requests under way. */
#include "io/flight.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/fail.h"
#include "io/request.h"

vde_status flight_init(struct flight *flight, uint32_t depth)
{
    memset(flight, 0, sizeof *flight);
    flight->event_fd = -1;
    if (depth == 0 || depth > FLIGHT_DEPTH_MAX)
        return fail_as(VDE_INVAL, "depth of a queue|%u|1 to %u", depth, FLIGHT_DEPTH_MAX);
    flight->slots = calloc(depth, sizeof *flight->slots);
    flight->unused = calloc(depth, sizeof *flight->unused);
    flight->finished = calloc(depth, sizeof *flight->finished);
    if (!flight->slots || !flight->unused || !flight->finished) {
        flight_done(flight);
        return fail_nomem("queue");
    }
    flight->depth = depth;
    for (uint32_t i = 0; i < depth; i++)
        flight->unused[i] = depth - 1 - i;
    return VDE_OK;
}

void flight_done(struct flight *flight)
{
    if (flight->event_fd >= 0)
        close(flight->event_fd);
    free(flight->slots);
    free(flight->unused);
    free(flight->finished);
    memset(flight, 0, sizeof *flight);
    flight->event_fd = -1;
}

vde_status flight_check_room(const struct flight *flight, size_t count)
{
    uint32_t used = flight->under_way + flight->finished_count;
    if (count > flight->depth - used)
        return fail_as(VDE_INVAL, "queue of depth %u|%zu requests on top of %u|no more than its depth", flight->depth,
                       count, used);
    return VDE_OK;
}

uint32_t flight_start(struct flight *flight, struct vde_async_io *request)
{
    VDE_ASSERT(flight->under_way < flight->depth);
    uint32_t slot = flight->unused[flight->depth - 1 - flight->under_way++];
    flight->slots[slot] = (struct flight_slot){.request = request};
    return slot;
}

static void add_finished(struct flight *flight, struct vde_async_io *request)
{
    VDE_ASSERT(flight->finished_count < flight->depth);
    flight->finished[(flight->finished_first + flight->finished_count++) % flight->depth] = request;
}

void flight_refuse(struct flight *flight, struct vde_async_io *request)
{
    add_finished(flight, request);
    flight_signal(flight);
}

void flight_finish(struct flight *flight, uint32_t slot)
{
    add_finished(flight, flight->slots[slot].request);
    flight->slots[slot].request = NULL;
    flight->unused[flight->depth - flight->under_way--] = slot;
}

void flight_fail(struct flight *flight, uint32_t slot, int os_errno)
{
    request_fail(&flight->slots[slot].request->io, os_errno);
    flight_finish(flight, slot);
}

void flight_fail_all(struct flight *flight, int os_errno)
{
    for (uint32_t slot = 0; slot < flight->depth; slot++)
        if (flight->slots[slot].request)
            flight_fail(flight, slot, os_errno);
    flight_signal(flight);
}

bool flight_moved(struct flight *flight, uint32_t slot, int fd, long moved)
{
    struct flight_slot *at = &flight->slots[slot];
    struct vde_io *io = &at->request->io;
    if (moved == -EINTR)
        return true;
    if (moved == -EAGAIN && at->stalls < FLIGHT_STALLS_MAX) {
        if (++at->stalls > 1)
            usleep(1000);
        return true;
    }
    if (moved == -EOPNOTSUPP && (io->flags & VDE_IO_DSYNC)) {
        request_transfer(fd, io); /* a file system without RWF_DSYNC: the blocking path knows another way */
    } else if (moved <= 0) {
        request_fail(io, moved < 0 ? (int)-moved : io->op == VDE_IO_READ ? ENODATA : EIO);
    } else {
        at->done += (uint32_t)moved;
        at->stalls = 0;
        if (at->done < io->size)
            return true;
    }
    flight_finish(flight, slot);
    return false;
}

size_t flight_take(struct flight *flight, struct vde_async_io **ret_requests, size_t max)
{
    size_t count = 0;
    for (; count < max && flight->finished_count > 0; count++) {
        ret_requests[count] = flight->finished[flight->finished_first];
        flight->finished_first = (flight->finished_first + 1) % flight->depth;
        flight->finished_count--;
    }
    return count;
}

uint32_t flight_missing(const struct flight *flight, size_t max, size_t wait_for)
{
    uint64_t wanted = min_u64(min_u64(wait_for, max), (uint64_t)flight->under_way + flight->finished_count);
    return wanted > flight->finished_count ? (uint32_t)(wanted - flight->finished_count) : 0;
}

int flight_event_fd(struct flight *flight)
{
    if (flight->event_fd < 0)
        flight->event_fd = eventfd(flight->finished_count, EFD_CLOEXEC | EFD_NONBLOCK);
    return flight->event_fd;
}

void flight_signal(struct flight *flight)
{
    uint64_t one = 1;
    /* The only failure is a counter at its end, and then it is readable anyway. */
    if (flight->event_fd >= 0 && write(flight->event_fd, &one, sizeof one) < 0)
        return;
}
