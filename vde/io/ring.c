/* SPDX-License-Identifier: Apache-2.0 */
/* ring.c -- drive a batch through one io_uring.
 *
 * 1. Every slot that is not on the free stack has exactly one entry prepared, submitted or completed but not reaped.
 * 2. ring_run() leaves no slot in use: buffers belong to the caller again when it returns.
 * No DRAIN and no links (order is the caller's business), no SQPOLL (a spinning kernel thread costs a core). */
#include "io/ring.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "io/request.h"

#define STALLS_MAX 1000u

int ring_init(struct ring *ring)
{
    memset(ring, 0, sizeof *ring);
    /* Completion work runs when the submitter enters the kernel anyway, so no interrupt of its user code is needed. */
    int error = io_uring_queue_init(RING_DEPTH, &ring->uring, IORING_SETUP_COOP_TASKRUN);
    if (error == -EINVAL)
        error = io_uring_queue_init(RING_DEPTH, &ring->uring, 0);
    if (error < 0)
        return error;
    ring->free_count = RING_DEPTH;
    for (unsigned i = 0; i < RING_DEPTH; i++)
        ring->free[i] = (uint8_t)i;
    return 0;
}

void ring_done(struct ring *ring)
{
    io_uring_queue_exit(&ring->uring);
}

static void prepare(struct ring *ring, int fd, unsigned slot)
{
    struct ring_slot *request = &ring->slots[slot];
    struct vde_io *io = request->io;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
    VDE_ASSERT(sqe != NULL); /* as many entries as slots */
    uint8_t *buffer = (uint8_t *)io->buffer + request->done;
    unsigned size = io->size - request->done;
    uint64_t offset = io->offset + request->done;
    if (io->op == VDE_IO_READ) {
        io_uring_prep_read(sqe, fd, buffer, size, offset);
    } else {
        io_uring_prep_write(sqe, fd, buffer, size, offset);
        if (io->flags & VDE_IO_DSYNC)
            sqe->rw_flags = RWF_DSYNC;
    }
    io_uring_sqe_set_data64(sqe, slot);
}

static void release(struct ring *ring, unsigned slot)
{
    ring->slots[slot].io = NULL;
    ring->free[ring->free_count++] = (uint8_t)slot;
}

/* Take one completion: finished, failed, or the rest of it goes out again. */
static void complete(struct ring *ring, int fd, unsigned slot, int moved)
{
    struct ring_slot *request = &ring->slots[slot];
    struct vde_io *io = request->io;
    if (moved == -EINTR || (moved == -EAGAIN && request->stalls < STALLS_MAX)) {
        if (moved == -EAGAIN && ++request->stalls > 1)
            usleep(1000);
        prepare(ring, fd, slot);
        return;
    }
    if (moved > 0) {
        request->done += (uint32_t)moved;
        request->stalls = 0;
        if (request->done < io->size) {
            prepare(ring, fd, slot);
            return;
        }
    } else {
        request_fail(io, moved < 0 ? -moved : io->op == VDE_IO_READ ? ENODATA : EIO);
    }
    release(ring, slot);
}

static void reap(struct ring *ring, int fd)
{
    struct io_uring_cqe *ready[RING_DEPTH];
    unsigned count = io_uring_peek_batch_cqe(&ring->uring, ready, RING_DEPTH);
    for (unsigned i = 0; i < count; i++)
        complete(ring, fd, (unsigned)ready[i]->user_data, ready[i]->res);
    io_uring_cq_advance(&ring->uring, count);
}

/* The kernel refuses to take entries for a reason that waiting does not mend. Those it has may still touch their
 * buffers, so they are awaited; the rest, prepared last, never started. */
static void give_up(struct ring *ring, int error)
{
    ring->broken = true;
    unsigned waiting = RING_DEPTH - ring->free_count - io_uring_sq_ready(&ring->uring);
    while (waiting > 0) {
        struct io_uring_cqe *cqe;
        int status = io_uring_wait_cqe(&ring->uring, &cqe);
        if (status == -EINTR || status == -EAGAIN)
            continue;
        if (status < 0)
            break;
        unsigned slot = (unsigned)cqe->user_data;
        struct vde_io *io = ring->slots[slot].io;
        if (cqe->res < 0 || (uint32_t)cqe->res != io->size - ring->slots[slot].done)
            request_fail(io, cqe->res < 0 ? -cqe->res : EIO);
        release(ring, slot);
        io_uring_cqe_seen(&ring->uring, cqe);
        waiting--;
    }
    for (unsigned slot = 0; slot < RING_DEPTH; slot++)
        if (ring->slots[slot].io) {
            request_fail(ring->slots[slot].io, error);
            release(ring, slot);
        }
}

/* Fill free slots from the batch; returns the index of the first request not taken. */
static size_t fill(struct ring *ring, int fd, struct vde_io *ios, size_t next, size_t count)
{
    for (; next < count && ring->free_count > 0; next++) {
        if (ios[next].result != VDE_OK)
            continue;
        unsigned slot = ring->free[--ring->free_count];
        ring->slots[slot] = (struct ring_slot){.io = &ios[next]};
        prepare(ring, fd, slot);
    }
    return next;
}

void ring_run(struct ring *ring, int fd, struct vde_io *ios, size_t count)
{
    size_t next = 0;
    for (;;) {
        next = fill(ring, fd, ios, next, count);
        unsigned in_flight = RING_DEPTH - ring->free_count;
        if (in_flight == 0)
            return;
        /* The tail of a batch is awaited in one sleep; before that a quarter of the depth, so that the queue at the
         * device never runs dry. */
        unsigned wait = next < count ? RING_DEPTH / 4 : in_flight;
        int submitted = io_uring_submit_and_wait(&ring->uring, wait);
        if (submitted == -EAGAIN || submitted == -EBUSY) {
            if (io_uring_sq_ready(&ring->uring) == in_flight)
                usleep(1000); /* nothing is under way whose end could free what the kernel lacks */
        } else if (submitted < 0 && submitted != -EINTR) {
            give_up(ring, -submitted);
            break;
        }
        reap(ring, fd);
    }
    for (; next < count; next++)
        if (ios[next].result == VDE_OK)
            request_fail(&ios[next], EIO);
}
