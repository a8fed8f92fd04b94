/* SPDX-License-Identifier: Apache-2.0 */
/* Asynchronous queues over every backend: their own, or the generic one. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends.h"

enum { DEPTH = 32 };

static struct backend backends[] = {BACKENDS};

#define FOR_EVERY_BACKEND(test)                                                                                        \
    ParameterizedTestParameters(queue, test)                                                                           \
    {                                                                                                                  \
        return cr_make_param_array(struct backend, backends, sizeof backends / sizeof backends[0]);                    \
    }                                                                                                                  \
    ParameterizedTest(struct backend *backend, queue, test)

struct bench {
    struct vde_device *device;
    struct vde_io_queue *queue;
    struct vde_async_io *requests;
    struct vde_async_io **list; /* the same */
    size_t count;
    uint8_t *buffer;
};

static struct vde_io_queue *open_queue(struct vde_device *device, uint32_t depth)
{
    struct vde_io_queue *queue = NULL;
    cr_assert_eq(vde_io_queue_open(device, depth, &queue), VDE_OK, "%s", vde_last_error()->text);
    cr_assert_not_null(queue);
    return queue;
}

/* `count` requests of `size` bytes, one behind the other. */
static struct bench set_up(const struct backend *backend, uint32_t depth, size_t count, uint32_t size)
{
    struct bench bench = {.device = backend_open(backend), .count = count};
    cr_assert_not_null(bench.device, "%s: %s", backend->name, vde_last_error()->text);
    bench.queue = open_queue(bench.device, depth);
    bench.requests = calloc(count, sizeof *bench.requests);
    bench.list = calloc(count, sizeof(struct vde_async_io *));
    bench.buffer = aligned_buffer(count * size);
    for (size_t i = 0; i < count; i++) {
        bench.list[i] = &bench.requests[i];
        bench.requests[i] = (struct vde_async_io){.context = &bench.requests[i], .next = &bench.requests[count - 1 - i]};
        bench.requests[i].io = (struct vde_io){.op = VDE_IO_WRITE, .size = size, .offset = i * size,
                                               .buffer = bench.buffer + i * size, .result = 77, .os_errno = 77};
        fill_bytes(bench.requests[i].io.buffer, size, 100 + i);
    }
    return bench;
}

static void tear_down(struct bench *bench)
{
    bench->queue->ops->close(bench->queue);
    bench->device->ops->close(bench->device);
    free(bench->requests);
    free(bench->list);
    free(bench->buffer);
}

/* Each request comes back once, untouched but for its result. */
static void check_reaped(const struct bench *bench, struct vde_async_io **reaped, size_t count, bool *seen)
{
    for (size_t i = 0; i < count; i++) {
        size_t index = (size_t)(reaped[i] - bench->requests);
        cr_assert_lt(index, bench->count);
        cr_assert(!seen[index]);
        seen[index] = true;
        cr_assert(reaped[i]->context == reaped[i] && reaped[i]->next == &bench->requests[bench->count - 1 - index]);
    }
}

static void reap_all(const struct bench *bench, size_t count)
{
    struct vde_async_io *reaped[DEPTH];
    bool seen[256] = {false};
    for (size_t done = 0; done < count;) {
        size_t got = bench->queue->ops->reap(bench->queue, reaped, DEPTH, 1);
        cr_assert_gt(got, 0, "waiting for one brings one");
        check_reaped(bench, reaped, got, seen);
        done += got;
    }
    cr_assert_eq(bench->queue->ops->reap(bench->queue, reaped, DEPTH, DEPTH), 0, "nothing is in flight");
}

FOR_EVERY_BACKEND(what_was_written_through_a_queue_is_there)
{
    struct bench bench = set_up(backend, DEPTH, DEPTH, 65536);
    bench.requests[3].io.flags = VDE_IO_DSYNC;
    cr_assert_eq(bench.queue->ops->submit(bench.queue, bench.list, DEPTH), VDE_OK);
    cr_assert_eq(bench.queue->ops->kick(bench.queue), VDE_OK);
    reap_all(&bench, DEPTH);
    for (size_t i = 0; i < DEPTH; i++) {
        cr_assert(bench.requests[i].io.result == VDE_OK && bench.requests[i].io.os_errno == 0);
        cr_assert(reads_seed(bench.device, i * 65536, 65536, 100 + i));
        bench.requests[i].io.op = VDE_IO_READ;
        bench.requests[i].io.flags = 0;
    }
    cr_assert_eq(bench.device->ops->flush(bench.device), VDE_OK);
    memset(bench.buffer, 0, DEPTH * 65536);
    cr_assert_eq(bench.queue->ops->submit(bench.queue, bench.list, DEPTH), VDE_OK);
    reap_all(&bench, DEPTH); /* a reap kicks */
    for (size_t i = 0; i < DEPTH; i++)
        cr_assert(bytes_equal_seed(bench.requests[i].io.buffer, 65536, 100 + i));
    tear_down(&bench);
}

FOR_EVERY_BACKEND(a_queue_takes_its_depth_and_no_more)
{
    struct bench bench = set_up(backend, 5, 6, 4096);
    struct vde_async_io *reaped[6];
    cr_assert_eq(bench.queue->ops->submit(bench.queue, bench.list, 6), VDE_INVAL);
    cr_assert_eq(bench.requests[0].io.result, 77, "none of them was taken");
    cr_assert_eq(bench.queue->ops->submit(bench.queue, bench.list, 0), VDE_OK);
    cr_assert_eq(bench.queue->ops->reap(bench.queue, reaped, 6, 6), 0);
    cr_assert_eq(bench.queue->ops->submit(bench.queue, bench.list, 3), VDE_OK);
    cr_assert_eq(bench.queue->ops->submit(bench.queue, bench.list + 3, 2), VDE_OK);
    cr_assert_eq(bench.queue->ops->submit(bench.queue, bench.list + 5, 1), VDE_INVAL);
    cr_assert_eq(bench.queue->ops->reap(bench.queue, reaped, 2, 5), 2, "no more than there is room for");
    cr_assert_eq(bench.queue->ops->submit(bench.queue, bench.list + 5, 1), VDE_OK);
    cr_assert_eq(bench.queue->ops->reap(bench.queue, reaped, 6, 6), 4);
    for (size_t i = 0; i < 6; i++)
        cr_assert(bench.requests[i].io.result == VDE_OK && reads_seed(bench.device, i * 4096, 4096, 100 + i));
    tear_down(&bench);
}

FOR_EVERY_BACKEND(depths_that_make_no_sense_are_refused)
{
    struct bench bench = set_up(backend, 4096, 1, 4096);
    struct vde_io_queue *queue = NULL;
    cr_assert_eq(vde_io_queue_open(bench.device, 0, &queue), VDE_INVAL);
    cr_assert_eq(vde_io_queue_open(bench.device, 4097, &queue), VDE_INVAL);
    cr_assert_null(queue);
    tear_down(&bench);
}

FOR_EVERY_BACKEND(wrong_requests_fail_alone)
{
    struct bench bench = set_up(backend, 8, 8, 4096);
    bench.requests[1].io.offset = 512;
    bench.requests[2].io.size = VDE_IO_MAX_BYTES + 4096;
    bench.requests[4].io.offset = DEVICE_BYTES;
    bench.requests[5].io.op = 9;
    bench.requests[6].io.flags = 0x80;
    cr_assert_eq(bench.queue->ops->submit(bench.queue, bench.list, 8), VDE_OK);
    reap_all(&bench, 8);
    for (size_t i = 0; i < 8; i++) {
        bool wrong = i == 1 || i == 2 || (i >= 4 && i <= 6);
        cr_assert_eq(bench.requests[i].io.result, wrong ? VDE_INVAL : VDE_OK, "request %zu", i);
        cr_assert(wrong || reads_seed(bench.device, i * 4096, 4096, 100 + i));
    }
    tear_down(&bench);
}

FOR_EVERY_BACKEND(waiting_for_several_brings_at_least_that_many)
{
    struct bench bench = set_up(backend, DEPTH, DEPTH, 16384);
    struct vde_async_io *reaped[DEPTH];
    bool seen[DEPTH] = {false};
    cr_assert_eq(bench.queue->ops->submit(bench.queue, bench.list, DEPTH), VDE_OK);
    size_t first = bench.queue->ops->reap(bench.queue, reaped, DEPTH, 20);
    cr_assert(first >= 20 && first <= DEPTH);
    check_reaped(&bench, reaped, first, seen);
    size_t rest = bench.queue->ops->reap(bench.queue, reaped, DEPTH, 1000);
    cr_assert_eq(first + rest, DEPTH);
    check_reaped(&bench, reaped, rest, seen);
    tear_down(&bench);
}

static bool readable(int fd, int timeout_ms)
{
    struct pollfd watched = {.fd = fd, .events = POLLIN};
    return poll(&watched, 1, timeout_ms) == 1;
}

FOR_EVERY_BACKEND(completions_signal_the_eventfd)
{
    struct bench bench = set_up(backend, 8, 8, 4096);
    int fd = bench.queue->ops->fd(bench.queue);
    cr_assert_geq(fd, 0);
    cr_assert_eq(bench.queue->ops->fd(bench.queue), fd);
    cr_assert(!readable(fd, 0));
    for (size_t done = 0, round = 0; round < 4; round++) {
        bench.requests[3].io.offset = round == 3 ? 512 : 3 * 4096; /* one that never gets to the device */
        cr_assert_eq(bench.queue->ops->submit(bench.queue, bench.list, 8), VDE_OK);
        cr_assert_eq(bench.queue->ops->kick(bench.queue), VDE_OK);
        for (done = 0; done < 8;) {
            struct vde_async_io *reaped[8];
            uint64_t count;
            cr_assert(readable(fd, 20000), "round %zu: %zu of 8 were reaped", round, done);
            cr_assert_eq(read(fd, &count, sizeof count), sizeof count);
            size_t got = bench.queue->ops->reap(bench.queue, reaped, 8, 0);
            for (size_t i = 0; i < got; i++)
                cr_assert_eq(reaped[i]->io.result, reaped[i]->io.offset == 512 ? VDE_INVAL : VDE_OK);
            done += got;
        }
    }
    tear_down(&bench);
}

enum { THREADS = 4, ROUNDS = 30, BATCH = 16 };

struct worker {
    struct vde_device *device;
    struct vde_io_queue *queue; /* opened by another thread */
    unsigned number;
    bool good;
};

/* Keeps its queue full: whatever is reaped goes out again, first written, then read back. */
static void *work(void *argument)
{
    struct worker *worker = argument;
    struct vde_async_io requests[BATCH] = {0}, *list[BATCH];
    uint8_t *buffer = aligned_buffer(BATCH * 8192);
    size_t in_flight = 0, left = 2 * BATCH * ROUNDS;
    worker->good = true;
    for (unsigned i = 0; i < BATCH; i++)
        requests[i].io = (struct vde_io){.op = VDE_IO_READ, .size = 8192, .buffer = buffer + i * 8192,
                                         .offset = (uint64_t)(i * THREADS + worker->number) * 8192};
    size_t ready = BATCH;
    for (unsigned i = 0; i < BATCH; i++)
        list[i] = &requests[i];
    while (left > 0 || in_flight > 0) {
        size_t again = 0;
        for (size_t i = 0; i < ready && left > 0; i++, left--, again++) {
            struct vde_io *io = &list[i]->io;
            uint64_t seed = io->offset * 977 + (left & 1);
            if (io->op == VDE_IO_READ)
                fill_bytes(io->buffer, io->size, seed);
            else
                memset(io->buffer, 0, io->size);
            list[i]->context = io->op == VDE_IO_READ ? (void *)(uintptr_t)seed : list[i]->context;
            io->op = io->op == VDE_IO_READ ? VDE_IO_WRITE : VDE_IO_READ;
        }
        worker->good &= worker->queue->ops->submit(worker->queue, list, again) == VDE_OK;
        in_flight += again;
        ready = worker->queue->ops->reap(worker->queue, list, BATCH, 3);
        in_flight -= ready;
        for (size_t i = 0; i < ready; i++)
            worker->good &= list[i]->io.result == VDE_OK &&
                            bytes_equal_seed(list[i]->io.buffer, 8192, (uint64_t)(uintptr_t)list[i]->context);
    }
    free(buffer);
    return NULL;
}

FOR_EVERY_BACKEND(each_thread_has_a_queue_of_its_own)
{
    struct vde_device *device = backend_open(backend);
    cr_assert_not_null(device);
    struct worker workers[THREADS];
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.device = device, .queue = open_queue(device, BATCH), .number = i};
        cr_assert_eq(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        cr_expect(workers[i].good, "thread %u", i);
        workers[i].queue->ops->close(workers[i].queue);
    }
    device->ops->close(device);
}

FOR_EVERY_BACKEND(another_thread_may_take_a_queue_over)
{
    struct vde_device *device = backend_open(backend);
    cr_assert_not_null(device);
    struct worker worker = {.device = device, .queue = open_queue(device, BATCH)};
    for (unsigned i = 0; i < 3; i++) {
        pthread_t thread;
        cr_assert_eq(pthread_create(&thread, NULL, work, &worker), 0);
        pthread_join(thread, NULL);
        cr_assert(worker.good, "thread %u", i);
        cr_assert_geq(worker.queue->ops->fd(worker.queue), 0);
        work(&worker);
        cr_assert(worker.good);
    }
    worker.queue->ops->close(worker.queue);
    device->ops->close(device);
}
