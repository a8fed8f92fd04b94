/* SPDX-License-Identifier: Apache-2.0 */
/* uring_queue.c -- requests of one thread on a ring of its own.
 *
 * 1. Each request under way has one entry: prepared, at the kernel, or completed and not looked at. There are as many
 *    submission entries as requests may be in flight and twice as many for completions, so neither side ever overflows.
 * 2. The kernel is entered by kick() and reap() only, and once: entries prepared before go along with the wait.
 * 3. Completion work waits until the thread asks for it, if the kernel can (DEFER_TASKRUN). Such a ring serves one
 *    thread for good; when another one takes the queue over, it gets a plain ring instead. */
#include "io/uring_queue.h"

#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/fail.h"
#include "io/flight.h"
#include "io/request.h"

#define REAP_BATCH 64u

struct uring_queue {
    struct vde_io_queue queue;
    const struct file *file;
    struct io_uring uring;
    bool has_ring;
    bool broken;       /* the kernel refused the ring itself */
    bool bound;        /* to `owner`, for good */
    bool used;         /* by `owner` */
    pthread_t owner;
    unsigned stalls;   /* times in a row that the kernel took nothing and had nothing */
    struct flight flight;
};

/* The best ring this kernel has. One for a single thread starts disabled, because the thread that opens a queue need not
 * be the one that uses it. */
static int make_ring(struct uring_queue *uring, bool any_thread)
{
    static const unsigned modes[] = {
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_R_DISABLED,
        IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
        0,
    };
    int error = -EINVAL;
    for (size_t i = any_thread ? 1 : 0; i < sizeof modes / sizeof modes[0] && error == -EINVAL; i++) {
        error = io_uring_queue_init(uring->flight.depth, &uring->uring, modes[i]);
        uring->bound = i == 0;
    }
    uring->has_ring = error == 0;
    return error;
}

static void drop_ring(struct uring_queue *uring)
{
    if (uring->has_ring)
        io_uring_queue_exit(&uring->uring);
    uring->has_ring = false;
}

static vde_status ring_error(int error, const char *what)
{
    char text[96];
    return fail_as(error == -ENOMEM ? VDE_NOMEM : VDE_IO, "io_uring queue|%s: %s|it to work", what,
                   strerror_r(-error, text, sizeof text));
}

/* io_uring_enable_rings(), which the shared library of liburing 2.3 does not export. */
static int enable(struct uring_queue *uring)
{
    long answer = syscall(__NR_io_uring_register, uring->uring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    return answer < 0 ? -errno : 0;
}

/* Another thread uses the queue than before. Nothing of the one before is in flight, or the ring would still need it. */
static vde_status take_over(struct uring_queue *uring)
{
    int error = 0;
    if (uring->bound && uring->used) {
        if (uring->flight.under_way > 0)
            return fail_as(VDE_INVAL, "io_uring queue|%u requests of another thread in flight|none",
                           uring->flight.under_way);
        drop_ring(uring);
        error = make_ring(uring, true);
        if (error == 0 && uring->flight.event_fd >= 0)
            error = io_uring_register_eventfd(&uring->uring, uring->flight.event_fd);
    } else if (uring->bound) {
        error = enable(uring);
    }
    uring->broken = error < 0;
    uring->owner = pthread_self();
    uring->used = true;
    return error < 0 ? ring_error(error, "handed to another thread") : VDE_OK;
}

static vde_status enter(struct uring_queue *uring)
{
    if (uring->used && pthread_equal(uring->owner, pthread_self()))
        return VDE_OK;
    return take_over(uring);
}

static void prepare(struct uring_queue *uring, uint32_t slot)
{
    const struct flight_slot *at = &uring->flight.slots[slot];
    const struct vde_io *io = &at->request->io;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->uring);
    VDE_ASSERT(sqe != NULL);
    uint8_t *buffer = (uint8_t *)io->buffer + at->done;
    if (io->op == VDE_IO_READ) {
        io_uring_prep_read(sqe, uring->file->fd, buffer, io->size - at->done, io->offset + at->done);
    } else {
        io_uring_prep_write(sqe, uring->file->fd, buffer, io->size - at->done, io->offset + at->done);
        if (io->flags & VDE_IO_DSYNC)
            sqe->rw_flags = RWF_DSYNC;
    }
    io_uring_sqe_set_data64(sqe, slot);
}

static vde_status uring_queue_submit(struct vde_io_queue *queue, struct vde_async_io **requests, size_t count)
{
    struct uring_queue *uring = (struct uring_queue *)queue;
    VDE_TRY(flight_check_room(&uring->flight, count));
    VDE_TRY(enter(uring));
    for (size_t i = 0; i < count; i++) {
        struct vde_io *io = &requests[i]->io;
        bool good = request_check(&uring->file->info, io);
        if (good && !uring->broken) {
            prepare(uring, flight_start(&uring->flight, requests[i]));
            continue;
        }
        if (good)
            request_fail(io, EIO);
        flight_refuse(&uring->flight, requests[i]);
    }
    return VDE_OK;
}

/* Look at what has completed. Entering the kernel for completion work that waits there is part of the peek. */
static void collect(struct uring_queue *uring)
{
    struct io_uring_cqe *ready[REAP_BATCH];
    unsigned count;
    do {
        count = io_uring_peek_batch_cqe(&uring->uring, ready, REAP_BATCH);
        for (unsigned i = 0; i < count; i++) {
            uint32_t slot = (uint32_t)ready[i]->user_data;
            if (flight_moved(&uring->flight, slot, uring->file->fd, ready[i]->res))
                prepare(uring, slot);
        }
        io_uring_cq_advance(&uring->uring, count);
        uring->stalls = count > 0 ? 0 : uring->stalls;
    } while (count == REAP_BATCH);
}

/* The kernel refuses the ring for a reason that waiting does not mend. Requests it has may still touch their buffers, so
 * they are awaited; the others never started. */
static void give_up(struct uring_queue *uring, int error)
{
    unsigned at_kernel = uring->flight.under_way - io_uring_sq_ready(&uring->uring);
    uring->broken = true;
    while (at_kernel > 0) {
        struct io_uring_cqe *cqe;
        int status = io_uring_wait_cqe(&uring->uring, &cqe);
        if (status == -EINTR || status == -EAGAIN)
            continue;
        if (status < 0)
            break;
        uint32_t slot = (uint32_t)cqe->user_data;
        const struct flight_slot *at = &uring->flight.slots[slot];
        if (cqe->res >= 0 && (uint32_t)cqe->res == at->request->io.size - at->done)
            flight_finish(&uring->flight, slot);
        else
            flight_fail(&uring->flight, slot, cqe->res < 0 ? -cqe->res : EIO);
        io_uring_cqe_seen(&uring->uring, cqe);
        at_kernel--;
    }
    flight_fail_all(&uring->flight, -error);
}

/* The answer of the kernel to being entered. False: there is no use in going on. */
static bool entered(struct uring_queue *uring, int answer)
{
    if (answer >= 0 || answer == -EINTR)
        return true;
    if (answer != -EAGAIN && answer != -EBUSY) {
        give_up(uring, answer);
        return false;
    }
    if (io_uring_sq_ready(&uring->uring) < uring->flight.under_way)
        return true; /* the end of something under way frees what the kernel lacks */
    if (++uring->stalls > FLIGHT_STALLS_MAX) {
        give_up(uring, answer);
        return false;
    }
    usleep(1000);
    return true;
}

static vde_status uring_queue_kick(struct vde_io_queue *queue)
{
    struct uring_queue *uring = (struct uring_queue *)queue;
    VDE_TRY(enter(uring));
    /* Once is enough as long as something is under way, whose completion leads to a reap. */
    while (!uring->broken && io_uring_sq_ready(&uring->uring) > 0) {
        int answer = io_uring_submit(&uring->uring);
        if (!entered(uring, answer) || io_uring_sq_ready(&uring->uring) < uring->flight.under_way)
            break;
    }
    return VDE_OK;
}

static size_t uring_queue_reap(struct vde_io_queue *queue, struct vde_async_io **ret_requests, size_t max,
                               size_t wait_for)
{
    struct uring_queue *uring = (struct uring_queue *)queue;
    if (enter(uring) != VDE_OK)
        return 0;
    if (!uring->broken)
        collect(uring);
    while (!uring->broken) {
        unsigned missing = flight_missing(&uring->flight, max, wait_for);
        unsigned ready = io_uring_sq_ready(&uring->uring);
        if (missing == 0 && ready == 0)
            break;
        int answer = missing > 0 ? io_uring_submit_and_wait(&uring->uring, missing)
                                 : io_uring_submit_and_get_events(&uring->uring);
        if (!entered(uring, answer))
            break;
        collect(uring);
        if (missing == 0 && io_uring_sq_ready(&uring->uring) < uring->flight.under_way)
            break;
    }
    return flight_take(&uring->flight, ret_requests, max);
}

static int uring_queue_fd(struct vde_io_queue *queue)
{
    struct uring_queue *uring = (struct uring_queue *)queue;
    if (uring->flight.event_fd >= 0)
        return uring->flight.event_fd;
    if (uring->used && enter(uring) != VDE_OK)
        return -1;
    int fd = flight_event_fd(&uring->flight);
    if (fd < 0 || uring->broken)
        return fd;
    if (io_uring_register_eventfd(&uring->uring, fd) < 0) {
        close(fd);
        uring->flight.event_fd = -1;
    }
    return uring->flight.event_fd;
}

static void uring_queue_close(struct vde_io_queue *queue)
{
    struct uring_queue *uring = (struct uring_queue *)queue;
    drop_ring(uring);
    flight_done(&uring->flight);
    free(uring);
}

static const struct vde_io_queue_ops uring_queue_ops = {
    .submit = uring_queue_submit,
    .kick = uring_queue_kick,
    .reap = uring_queue_reap,
    .fd = uring_queue_fd,
    .close = uring_queue_close,
};

vde_status uring_queue_open(const struct file *file, uint32_t depth, struct vde_io_queue **ret_queue)
{
    struct uring_queue *uring = calloc(1, sizeof *uring);
    if (!uring)
        return fail_nomem("io_uring queue");
    uring->queue.ops = &uring_queue_ops;
    uring->file = file;
    vde_status status = flight_init(&uring->flight, depth);
    if (status != VDE_OK) {
        free(uring);
        return status;
    }
    int error = make_ring(uring, false);
    if (error < 0) {
        uring_queue_close(&uring->queue);
        return ring_error(error, "set up a ring");
    }
    *ret_queue = &uring->queue;
    return VDE_OK;
}
