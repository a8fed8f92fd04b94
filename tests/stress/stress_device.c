/* SPDX-License-Identifier: Apache-2.0 */
/* Devices under threads: queues and blocking batches side by side over every backend, while flushes, discards, queues
 * that come and go, and a file that grows meanwhile. Argument: seconds for each backend (2). */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/simulated.h"
#include "support/support.h"

enum { THREADS = 6, BATCH = 8, BYTES = 8192, STRIPE = 1 << 20 };
#define DEVICE_BYTES ((uint64_t)(THREADS + 1) * STRIPE)

static struct {
    struct vde_device *device;
    char path[TMP_PATH_BYTES];
    atomic_bool stop;
    atomic_ulong requests;
} shared;

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, vde_last_error()->text);                \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static void run_all(struct vde_io_queue *queue, struct vde_async_io *requests)
{
    struct vde_async_io *list[BATCH];
    for (size_t i = 0; i < BATCH; i++)
        list[i] = &requests[i];
    REQUIRE(queue->ops->submit(queue, list, BATCH) == VDE_OK);
    for (size_t left = BATCH; left > 0;) {
        size_t got = queue->ops->reap(queue, list, BATCH, left / 2 + 1);
        for (size_t i = 0; i < got; i++)
            REQUIRE(list[i]->io.result == VDE_OK);
        left -= got;
    }
}

/* Each thread has a stripe; even ones use queues, odd ones batches. */
static void *work(void *argument)
{
    uint64_t number = (uintptr_t)argument, seed = number << 32;
    uint8_t *buffer = aligned_buffer(BATCH * BYTES);
    struct vde_io_queue *queue = NULL;
    for (unsigned round = 0; !atomic_load(&shared.stop); round++) {
        if (number % 2 == 0 && round % 64 == 0) {
            if (queue)
                queue->ops->close(queue);
            REQUIRE(vde_io_queue_open(shared.device, BATCH, &queue) == VDE_OK);
        }
        struct vde_async_io requests[BATCH] = {0};
        struct vde_io ios[BATCH];
        uint64_t at = number * STRIPE + round % 16 * BATCH * BYTES;
        for (uint8_t op = VDE_IO_WRITE; op != 9; op = op == VDE_IO_WRITE ? VDE_IO_READ : 9) {
            for (unsigned i = 0; i < BATCH; i++) {
                if (op == VDE_IO_WRITE)
                    fill_bytes(buffer + i * BYTES, BYTES, seed + round + i);
                ios[i] = (struct vde_io){.op = op, .size = BYTES, .offset = at + i * BYTES, .buffer = buffer + i * BYTES};
                requests[i].io = ios[i];
            }
            if (op == VDE_IO_READ)
                memset(buffer, 0, BATCH * BYTES);
            if (queue)
                run_all(queue, requests);
            else
                REQUIRE(shared.device->ops->run(shared.device, ios, BATCH) == VDE_OK);
        }
        for (unsigned i = 0; i < BATCH; i++)
            REQUIRE(bytes_equal_seed(buffer + i * BYTES, BYTES, seed + round + i));
        if (round % 32 == 7)
            REQUIRE(shared.device->ops->flush(shared.device) == VDE_OK);
        if (round % 8 == 3)
            REQUIRE(shared.device->ops->discard(shared.device, at, BATCH * BYTES) == VDE_OK);
        atomic_fetch_add(&shared.requests, 2 * BATCH);
    }
    if (queue)
        queue->ops->close(queue);
    free(buffer);
    return NULL;
}

/* The file grows below the others. */
static void grow(unsigned seconds)
{
    struct vde_device_info info;
    for (unsigned i = 1; i <= seconds * 20; i++) {
        usleep(50000);
        if (!shared.device->ops->refresh)
            continue;
        REQUIRE(truncate(shared.path, (off_t)(DEVICE_BYTES + (uint64_t)i * 4096)) == 0);
        REQUIRE(shared.device->ops->refresh(shared.device) == VDE_OK);
        shared.device->ops->info(shared.device, &info);
        REQUIRE(info.size_bytes == DEVICE_BYTES + (uint64_t)i * 4096);
    }
}

static void stress(const char *backend, unsigned seconds)
{
    pthread_t threads[THREADS];
    tmp_path(shared.path, NULL, "stress");
    if (strcmp(backend, "memory") == 0)
        REQUIRE(vde_device_memory(DEVICE_BYTES, &shared.device) == VDE_OK);
    else if (strcmp(backend, "simulated") == 0)
        REQUIRE(simulated_create(DEVICE_BYTES, 1, 0, &shared.device) == VDE_OK);
    else
        REQUIRE(vde_device_open(shared.path, backend, VDE_DEVICE_CREATE | VDE_DEVICE_DISCARD, DEVICE_BYTES,
                                &shared.device) == VDE_OK);
    atomic_store(&shared.stop, false);
    atomic_store(&shared.requests, 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
    grow(seconds);
    atomic_store(&shared.stop, true);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    shared.device->ops->close(shared.device);
    tmp_remove(shared.path);
    printf("%s: %lu requests\n", backend, atomic_load(&shared.requests));
    REQUIRE(atomic_load(&shared.requests) > 0);
}

int main(int argc, char **argv)
{
    static const char *const backends[] = {"uring", "aio", "sync", "memory", "simulated"};
    unsigned seconds = argc > 1 ? (unsigned)atoi(argv[1]) : 2;
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++)
        stress(backends[i], seconds);
    return 0;
}
