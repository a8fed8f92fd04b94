/* SPDX-License-Identifier: Apache-2.0 */
/* queue.c -- opening a queue, and the generic one: a device that has none of its own carries the requests out when they
 * are kicked or reaped, in the caller's thread.
 *
 * All requests of a kick are one run() of the device, in the order in which they were submitted: in flight together, as
 * they would be on a real queue, so that a simulated device may lose any of them when the power fails. */
#include <stdlib.h>

#include "base/fail.h"
#include "io/flight.h"

struct generic_queue {
    struct vde_io_queue queue;
    struct vde_device *device;
    struct flight flight;
    uint32_t waiting;     /* requests submitted and not run */
    uint32_t *slots;      /* theirs, in order */
    struct vde_io *batch; /* for run() */
};

static vde_status generic_submit(struct vde_io_queue *queue, struct vde_async_io **requests, size_t count)
{
    struct generic_queue *generic = (struct generic_queue *)queue;
    VDE_TRY(flight_check_room(&generic->flight, count));
    for (size_t i = 0; i < count; i++)
        generic->slots[generic->waiting++] = flight_start(&generic->flight, requests[i]);
    return VDE_OK;
}

static vde_status generic_kick(struct vde_io_queue *queue)
{
    struct generic_queue *generic = (struct generic_queue *)queue;
    uint32_t count = generic->waiting;
    if (count == 0)
        return VDE_OK;
    generic->waiting = 0;
    for (uint32_t i = 0; i < count; i++)
        generic->batch[i] = generic->flight.slots[generic->slots[i]].request->io;
    vde_status status = generic->device->ops->run(generic->device, generic->batch, count);
    bool told = status == VDE_OK;
    for (uint32_t i = 0; i < count; i++)
        told |= generic->batch[i].result != VDE_OK;
    for (uint32_t i = 0; i < count; i++) {
        struct vde_io *io = &generic->flight.slots[generic->slots[i]].request->io;
        io->result = told ? generic->batch[i].result : status; /* a device that failed as a whole */
        io->os_errno = generic->batch[i].os_errno;
        flight_finish(&generic->flight, generic->slots[i]);
    }
    flight_signal(&generic->flight);
    return VDE_OK;
}

static size_t generic_reap(struct vde_io_queue *queue, struct vde_async_io **ret_requests, size_t max, size_t wait_for)
{
    struct generic_queue *generic = (struct generic_queue *)queue;
    (void)wait_for; /* what was kicked is complete */
    if (generic_kick(queue) != VDE_OK)
        return 0;
    return flight_take(&generic->flight, ret_requests, max);
}

static int generic_fd(struct vde_io_queue *queue)
{
    return flight_event_fd(&((struct generic_queue *)queue)->flight);
}

static void generic_close(struct vde_io_queue *queue)
{
    struct generic_queue *generic = (struct generic_queue *)queue;
    flight_done(&generic->flight);
    free(generic->slots);
    free(generic->batch);
    free(generic);
}

static const struct vde_io_queue_ops generic_ops = {
    .submit = generic_submit,
    .kick = generic_kick,
    .reap = generic_reap,
    .fd = generic_fd,
    .close = generic_close,
};

static vde_status generic_open(struct vde_device *device, uint32_t depth, struct vde_io_queue **ret_queue)
{
    struct generic_queue *generic = calloc(1, sizeof *generic);
    if (!generic)
        return fail_nomem("queue");
    vde_status status = flight_init(&generic->flight, depth);
    if (status == VDE_OK) {
        generic->slots = calloc(depth, sizeof *generic->slots);
        generic->batch = calloc(depth, sizeof *generic->batch);
        if (!generic->slots || !generic->batch)
            status = fail_nomem("queue");
    }
    if (status != VDE_OK) {
        generic_close(&generic->queue);
        return status;
    }
    generic->queue.ops = &generic_ops;
    generic->device = device;
    *ret_queue = &generic->queue;
    return VDE_OK;
}

vde_status vde_io_queue_open(struct vde_device *device, uint32_t depth, struct vde_io_queue **ret_queue)
{
    return device->ops->queue_open ? device->ops->queue_open(device, depth, ret_queue)
                                   : generic_open(device, depth, ret_queue);
}
