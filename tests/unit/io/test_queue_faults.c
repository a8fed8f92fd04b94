/* SPDX-License-Identifier: Apache-2.0 */
/* What kernels and file systems may answer to a request that is in order: a part of it, later, or no. The calls of
 * liburing and libaio that enter the kernel or take its answers are replaced here by ones that disturb them. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <dlfcn.h>
#include <errno.h>
#include <libaio.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "backends.h"

enum { COUNT = 24, BYTES = 32768 };

/* Of every n-th: 0 never. */
static struct {
    unsigned shorten, answer, refuse;
    int answer_with, refuse_with;
    unsigned entries, answers, calls, shortened;
} faults;

static bool hits(unsigned every, unsigned *counter)
{
    return every > 0 && ++*counter % every == 0;
}

static unsigned shortened(unsigned size)
{
    if (size <= 4096 || !hits(faults.shorten, &faults.entries))
        return size;
    faults.shortened++;
    return size / 8192 * 4096;
}

static void disturb_ring(struct io_uring *ring)
{
    for (unsigned at = ring->sq.sqe_head; at != ring->sq.sqe_tail; at++) {
        struct io_uring_sqe *sqe = &ring->sq.sqes[at & *ring->sq.kring_mask];
        if (sqe->opcode == IORING_OP_READ || sqe->opcode == IORING_OP_WRITE)
            sqe->len = shortened(sqe->len);
    }
}

/* io_uring_submit() and its kind: RTLD_NEXT is the library's own. */
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int io_uring_submit(struct io_uring *ring)
{
    disturb_ring(ring);
    return hits(faults.refuse, &faults.calls) ? faults.refuse_with : REAL(io_uring_submit)(ring);
}

int io_uring_submit_and_wait(struct io_uring *ring, unsigned wait)
{
    disturb_ring(ring);
    return hits(faults.refuse, &faults.calls) ? faults.refuse_with : REAL(io_uring_submit_and_wait)(ring, wait);
}

int io_uring_submit_and_get_events(struct io_uring *ring)
{
    disturb_ring(ring);
    return hits(faults.refuse, &faults.calls) ? faults.refuse_with : REAL(io_uring_submit_and_get_events)(ring);
}

unsigned io_uring_peek_batch_cqe(struct io_uring *ring, struct io_uring_cqe **cqes, unsigned count)
{
    unsigned got = REAL(io_uring_peek_batch_cqe)(ring, cqes, count);
    for (unsigned i = 0; i < got; i++)
        if (hits(faults.answer, &faults.answers))
            cqes[i]->res = faults.answer_with;
    return got;
}

/* libaio's wrappers return the negative errno of the system call. */
int io_submit(io_context_t context, long count, struct iocb **blocks)
{
    if (hits(faults.refuse, &faults.calls))
        return faults.refuse_with;
    for (long i = 0; i < count; i++)
        blocks[i]->u.c.nbytes = shortened((unsigned)blocks[i]->u.c.nbytes);
    long some = faults.shorten && count > 1 ? count - 1 : count; /* part of a batch is an answer, too */
    long answer = syscall(__NR_io_submit, context, some, blocks);
    return answer < 0 ? -errno : (int)answer;
}

int io_getevents(io_context_t context, long least, long count, struct io_event *events, struct timespec *timeout)
{
    long got = syscall(__NR_io_getevents, context, least, count, events, timeout);
    for (long i = 0; i < got; i++)
        if (hits(faults.answer, &faults.answers))
            events[i].res = (unsigned long)(long)faults.answer_with;
    return got < 0 ? -errno : (int)got;
}

/* The blocking calls. */
static bool refused(void)
{
    if (!hits(faults.answer, &faults.answers))
        return false;
    errno = -faults.answer_with;
    return true;
}

ssize_t preadv(int fd, const struct iovec *parts, int count, off_t offset)
{
    cr_assert_eq(count, 1);
    return refused() ? -1 : pread(fd, parts->iov_base, shortened((unsigned)parts->iov_len), offset);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    cr_assert_eq(count, 1);
    return refused() ? -1 : pwrite(fd, parts->iov_base, shortened((unsigned)parts->iov_len), offset);
}

static struct backend backends[] = {{"uring", ""}, {"aio", ""}, {"uring", "/dev/shm"}, {"aio", "/dev/shm"}};

#define FOR_BOTH(test)                                                                                                 \
    ParameterizedTestParameters(queue_faults, test)                                                                    \
    {                                                                                                                  \
        return cr_make_param_array(struct backend, backends, sizeof backends / sizeof backends[0]);                    \
    }                                                                                                                  \
    ParameterizedTest(struct backend *backend, queue_faults, test)

struct bench {
    struct vde_device *device;
    struct vde_io_queue *queue;
    struct vde_async_io requests[COUNT], *list[COUNT];
    uint8_t *buffer;
};

static void set_up(struct bench *bench, const struct backend *backend)
{
    memset(&faults, 0, sizeof faults);
    bench->device = backend_open(backend);
    cr_assert_not_null(bench->device, "%s: %s", backend->name, vde_last_error()->text);
    cr_assert_eq(vde_io_queue_open(bench->device, COUNT, &bench->queue), VDE_OK);
    bench->buffer = aligned_buffer(COUNT * BYTES);
    fill_bytes(bench->buffer, COUNT * BYTES, 1);
    for (unsigned i = 0; i < COUNT; i++) {
        bench->list[i] = &bench->requests[i];
        bench->requests[i].io = (struct vde_io){.op = VDE_IO_WRITE, .size = BYTES, .offset = (uint64_t)i * BYTES,
                                                .buffer = bench->buffer + (size_t)i * BYTES};
    }
}

static void tear_down(struct bench *bench)
{
    memset(&faults, 0, sizeof faults);
    bench->queue->ops->close(bench->queue);
    bench->device->ops->close(bench->device);
    free(bench->buffer);
}

/* Submit all and take all back; the first kick goes ahead of the waiting. */
static void round_trip(struct bench *bench, uint8_t op)
{
    struct vde_async_io *reaped[COUNT];
    for (unsigned i = 0; i < COUNT; i++)
        bench->requests[i].io.op = op;
    cr_assert_eq(bench->queue->ops->submit(bench->queue, bench->list, COUNT), VDE_OK);
    cr_assert_eq(bench->queue->ops->kick(bench->queue), VDE_OK);
    size_t count = bench->queue->ops->reap(bench->queue, reaped, COUNT, COUNT);
    cr_assert_eq(count, COUNT, "%zu came back", count);
}

static void expect_intact(struct bench *bench)
{
    round_trip(bench, VDE_IO_WRITE);
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert_eq(bench->requests[i].io.result, VDE_OK, "write %u: errno %d", i, bench->requests[i].io.os_errno);
    memset(bench->buffer, 0, COUNT * BYTES);
    round_trip(bench, VDE_IO_READ);
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert_eq(bench->requests[i].io.result, VDE_OK, "read %u: errno %d", i, bench->requests[i].io.os_errno);
    cr_assert(bytes_equal_seed(bench->buffer, COUNT * BYTES, 1));
}

FOR_BOTH(the_rest_of_a_short_one_is_asked_for)
{
    struct bench bench;
    set_up(&bench, backend);
    faults.shorten = 2;
    expect_intact(&bench);
    cr_assert_gt(faults.shortened, COUNT / 2);
    tear_down(&bench);
}

FOR_BOTH(interrupted_and_postponed_ones_are_repeated)
{
    static const int answers[] = {-EAGAIN, -EINTR};
    for (int i = 0; i < 2; i++) {
        struct bench bench;
        set_up(&bench, backend);
        faults.answer = 3;
        faults.answer_with = answers[i];
        faults.shorten = 5;
        expect_intact(&bench);
        cr_assert_gt(faults.answers, 2 * COUNT);
        tear_down(&bench);
    }
}

FOR_BOTH(a_kernel_that_is_short_of_something_is_asked_again)
{
    static const int answers[] = {-EAGAIN, -EINTR};
    for (int i = 0; i < 2; i++) {
        struct bench bench;
        set_up(&bench, backend);
        faults.refuse_with = answers[i];
        faults.refuse = 2;
        faults.calls = 1; /* the first one is refused */
        expect_intact(&bench);
        cr_assert_gt(faults.calls, 4);
        tear_down(&bench);
    }
}

FOR_BOTH(one_failure_is_that_of_one_request)
{
    static const struct {
        int answer;
        vde_status result;
        int os_errno;
    } cases[] = {{-EIO, VDE_IO, EIO}, {-ENOSPC, VDE_NOSPC, ENOSPC}, {-ENOMEM, VDE_NOMEM, ENOMEM}, {0, VDE_IO, EIO}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bench bench;
        set_up(&bench, backend);
        faults.answer = COUNT;
        faults.answer_with = cases[i].answer;
        round_trip(&bench, VDE_IO_WRITE);
        unsigned failed = 0;
        for (unsigned k = 0; k < COUNT; k++) {
            const struct vde_io *io = &bench.requests[k].io;
            failed += io->result != VDE_OK;
            cr_assert(io->result == VDE_OK || (io->result == cases[i].result && io->os_errno == cases[i].os_errno));
        }
        cr_assert_eq(failed, 1);
        faults.answer = 0;
        expect_intact(&bench);
        tear_down(&bench);
    }
}

FOR_BOTH(a_read_that_ends_early_says_so)
{
    struct bench bench;
    set_up(&bench, backend);
    faults.answer = 1;
    faults.answer_with = 0;
    round_trip(&bench, VDE_IO_READ);
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert(bench.requests[i].io.result == VDE_IO && bench.requests[i].io.os_errno == ENODATA);
    tear_down(&bench);
}

FOR_BOTH(a_queue_that_the_kernel_refuses_fails_what_it_holds)
{
    struct bench bench;
    set_up(&bench, backend);
    faults.refuse = 1;
    faults.refuse_with = -EPERM;
    for (int round = 0; round < 2; round++) {
        round_trip(&bench, VDE_IO_WRITE);
        for (unsigned i = 0; i < COUNT; i++)
            cr_assert_eq(bench.requests[i].io.result, VDE_IO);
    }
    tear_down(&bench);
}

FOR_BOTH(nothing_is_repeated_for_ever)
{
    struct bench bench;
    set_up(&bench, backend);
    faults.refuse = 1;
    faults.refuse_with = -EAGAIN;
    round_trip(&bench, VDE_IO_WRITE);
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert(bench.requests[i].io.result == VDE_IO && bench.requests[i].io.os_errno == EAGAIN);
    tear_down(&bench);
}

static struct backend blocking[] = {{"uring", ""}, {"aio", ""}, {"sync", ""}};

ParameterizedTestParameters(queue_faults, batches_are_continued_as_well)
{
    return cr_make_param_array(struct backend, blocking, sizeof blocking / sizeof blocking[0]);
}

ParameterizedTest(struct backend *backend, queue_faults, batches_are_continued_as_well)
{
    static const int answers[] = {0, -EAGAIN, -EINTR};
    for (int i = 0; i < 3; i++) {
        struct bench bench;
        struct vde_io ios[COUNT];
        set_up(&bench, backend);
        faults.shorten = 2;
        faults.answer = answers[i] ? 3 : 0;
        faults.answer_with = answers[i];
        for (uint8_t op = VDE_IO_WRITE; op != 9; op = op == VDE_IO_WRITE ? VDE_IO_READ : 9) {
            for (unsigned k = 0; k < COUNT; k++) {
                ios[k] = bench.requests[k].io;
                ios[k].op = op;
            }
            if (op == VDE_IO_READ)
                memset(bench.buffer, 0, COUNT * BYTES);
            cr_assert_eq(bench.device->ops->run(bench.device, ios, COUNT), VDE_OK, "%s", vde_last_error()->text);
        }
        cr_assert(bytes_equal_seed(bench.buffer, COUNT * BYTES, 1));
        cr_assert_gt(faults.shortened, COUNT);
        tear_down(&bench);
    }
}
