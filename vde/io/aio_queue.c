/* SPDX-License-Identifier: Apache-2.0 */
/* aio_queue.c -- requests of one thread on a libaio context of its own.
 *
 * Each request under way is either in `ready`, to be started by the next kick or reap, or at the kernel. */
#include "io/aio_queue.h"

#include <errno.h>
#include <libaio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/fail.h"
#include "io/flight.h"
#include "io/request.h"

#define REAP_BATCH 64

struct aio_queue {
    struct vde_io_queue queue;
    const struct file *file;
    io_context_t context;
    struct flight flight;
    struct iocb *blocks;  /* one for each slot */
    struct iocb **ready;
    uint32_t ready_count;
    unsigned stalls;      /* times in a row that the kernel took nothing and had nothing */
};

static uint32_t slot_of(const struct aio_queue *aio, const struct iocb *block)
{
    return (uint32_t)(block - aio->blocks);
}

static void prepare(struct aio_queue *aio, uint32_t slot)
{
    const struct flight_slot *at = &aio->flight.slots[slot];
    const struct vde_io *io = &at->request->io;
    struct iocb *block = &aio->blocks[slot];
    uint8_t *buffer = (uint8_t *)io->buffer + at->done;
    long long offset = (long long)(io->offset + at->done);
    if (io->op == VDE_IO_READ) {
        io_prep_pread(block, aio->file->fd, buffer, io->size - at->done, offset);
    } else {
        io_prep_pwrite(block, aio->file->fd, buffer, io->size - at->done, offset);
        if (io->flags & VDE_IO_DSYNC)
            block->aio_rw_flags = RWF_DSYNC;
    }
    if (aio->flight.event_fd >= 0)
        io_set_eventfd(block, aio->flight.event_fd);
    aio->ready[aio->ready_count++] = block;
}

static vde_status aio_queue_submit(struct vde_io_queue *queue, struct vde_async_io **requests, size_t count)
{
    struct aio_queue *aio = (struct aio_queue *)queue;
    VDE_TRY(flight_check_room(&aio->flight, count));
    for (size_t i = 0; i < count; i++) {
        if (request_check(&aio->file->info, &requests[i]->io))
            prepare(aio, flight_start(&aio->flight, requests[i]));
        else
            flight_refuse(&aio->flight, requests[i]);
    }
    return VDE_OK;
}

static void take_from_ready(struct aio_queue *aio, uint32_t count)
{
    aio->ready_count -= count;
    memmove(aio->ready, aio->ready + count, aio->ready_count * sizeof(struct iocb *));
}

/* Start what is ready. What the kernel has no room for stays, as long as something is under way whose completion leads
 * to another try; an entry that it refuses for good has failed. */
static void start(struct aio_queue *aio)
{
    while (aio->ready_count > 0) {
        int answer = io_submit(aio->context, (long)aio->ready_count, aio->ready);
        if (answer > 0) {
            take_from_ready(aio, (uint32_t)answer);
            aio->stalls = 0;
        } else if (answer == 0 || answer == -EAGAIN) {
            if (aio->ready_count < aio->flight.under_way)
                return;
            if (++aio->stalls > FLIGHT_STALLS_MAX) {
                aio->ready_count = 0;
                flight_fail_all(&aio->flight, EAGAIN);
            } else {
                usleep(1000);
            }
        } else if (answer != -EINTR) {
            uint32_t slot = slot_of(aio, aio->ready[0]);
            take_from_ready(aio, 1);
            if (flight_moved(&aio->flight, slot, aio->file->fd, answer))
                prepare(aio, slot);
            else
                flight_signal(&aio->flight);
        }
    }
}

/* Look at what has completed, after waiting for `wait` requests. False: the kernel refuses that. */
static bool collect(struct aio_queue *aio, uint32_t wait)
{
    struct io_event events[REAP_BATCH];
    struct timespec none = {0, 0};
    int count;
    do {
        long least = (long)min_u64(wait, REAP_BATCH);
        count = io_getevents(aio->context, least, REAP_BATCH, events, wait > 0 ? NULL : &none);
        for (int i = 0; i < count; i++) {
            uint32_t slot = slot_of(aio, events[i].obj);
            if (flight_moved(&aio->flight, slot, aio->file->fd, (long)events[i].res))
                prepare(aio, slot);
        }
        wait -= (uint32_t)min_u64(wait, count > 0 ? (uint64_t)count : 0);
    } while (count == REAP_BATCH);
    return count >= 0 || count == -EINTR || count == -EAGAIN;
}

static vde_status aio_queue_kick(struct vde_io_queue *queue)
{
    start((struct aio_queue *)queue);
    return VDE_OK;
}

static size_t aio_queue_reap(struct vde_io_queue *queue, struct vde_async_io **ret_requests, size_t max, size_t wait_for)
{
    struct aio_queue *aio = (struct aio_queue *)queue;
    uint32_t missing;
    do {
        start(aio);
        uint32_t at_kernel = aio->flight.under_way - aio->ready_count;
        missing = (uint32_t)min_u64(flight_missing(&aio->flight, max, wait_for), at_kernel);
        if (at_kernel > 0 && !collect(aio, missing))
            break;
        start(aio); /* the rest of short ones */
        missing = flight_missing(&aio->flight, max, wait_for);
    } while (missing > 0);
    return flight_take(&aio->flight, ret_requests, max);
}

static int aio_queue_fd(struct vde_io_queue *queue)
{
    return flight_event_fd(&((struct aio_queue *)queue)->flight);
}

static void aio_queue_close(struct vde_io_queue *queue)
{
    struct aio_queue *aio = (struct aio_queue *)queue;
    if (aio->context)
        io_destroy(aio->context);
    flight_done(&aio->flight);
    free(aio->blocks);
    free(aio->ready);
    free(aio);
}

static const struct vde_io_queue_ops aio_queue_ops = {
    .submit = aio_queue_submit,
    .kick = aio_queue_kick,
    .reap = aio_queue_reap,
    .fd = aio_queue_fd,
    .close = aio_queue_close,
};

static vde_status make(struct aio_queue *aio, uint32_t depth)
{
    char text[96];
    VDE_TRY(flight_init(&aio->flight, depth));
    aio->blocks = calloc(depth, sizeof *aio->blocks);
    aio->ready = calloc(depth, sizeof *aio->ready);
    if (!aio->blocks || !aio->ready)
        return fail_nomem("libaio queue");
    int error = io_setup((int)depth, &aio->context);
    if (error < 0) /* EAGAIN: fs.aio-max-nr is used up */
        return fail_as(VDE_UNSUPPORTED, "backend aio|io_setup: %s|a context",
                       error == -EAGAIN ? "the limit fs.aio-max-nr is reached"
                                        : strerror_r(-error, text, sizeof text));
    return VDE_OK;
}

vde_status aio_queue_open(const struct file *file, uint32_t depth, struct vde_io_queue **ret_queue)
{
    struct aio_queue *aio = calloc(1, sizeof *aio);
    if (!aio)
        return fail_nomem("libaio queue");
    aio->queue.ops = &aio_queue_ops;
    aio->file = file;
    vde_status status = make(aio, depth);
    if (status != VDE_OK) {
        struct vde_error error;
        error_save(&error);
        aio_queue_close(&aio->queue);
        error_restore(&error);
        return status;
    }
    *ret_queue = &aio->queue;
    return VDE_OK;
}
