/* SPDX-License-Identifier: Apache-2.0 */
/* Asynchronous commits: submitters with a window each, one queue that two share, event loops, and blocking committers in
 * between. Argument: seconds (5). */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "unit/pool/engine.h"

#define WINDOW 32u
#define THREADS 8u

static struct {
    vde_image *image;
    uint64_t dataset;
    vde_queue *queue; /* the shared one */
    atomic_bool stop;
    atomic_uint_least64_t submitted, reaped, commits;
} shared;

static vde_txn *change(uint64_t thread, uint64_t n)
{
    char key[32];
    vde_txn *txn = begin(shared.image);
    int size = snprintf(key, sizeof key, "%llu/%llu", (unsigned long long)thread, (unsigned long long)(n % 50));
    OK(vde_txn_put(txn, shared.dataset, key, (size_t)size, &n, sizeof n));
    return txn;
}

static uint64_t take(vde_queue *queue, bool wait, uint64_t expected)
{
    struct vde_completion completions[8];
    size_t count;
    OK(vde_queue_reap(queue, completions, 8, wait, &count));
    for (size_t i = 0; i < count; i++)
        REQUIRE(completions[i].status == VDE_OK && completions[i].tag == expected + i);
    atomic_fetch_add(&shared.reaped, count);
    return count;
}

/* A queue of its own, reaped in order; odd threads poll an eventfd. */
static void *own_queue(void *argument)
{
    uint64_t thread = (uintptr_t)argument, submitted = 0, reaped = 0;
    vde_queue *queue;
    OK(vde_queue_create(shared.image, &queue));
    struct pollfd fd = {.fd = thread % 2 ? vde_queue_fd(queue) : -1, .events = POLLIN};
    while (!atomic_load(&shared.stop) || reaped < submitted) {
        while (!atomic_load(&shared.stop) && submitted - reaped < WINDOW) {
            vde_txn *txn = change(thread, submitted);
            OK(vde_txn_submit_async(txn, queue, submitted++));
            vde_txn_destroy(txn);
            atomic_fetch_add(&shared.submitted, 1);
        }
        if (thread % 2 && reaped < submitted)
            REQUIRE(poll(&fd, 1, 30000) == 1);
        reaped += take(queue, thread % 2 == 0, reaped);
    }
    vde_queue_destroy(queue);
    return NULL;
}

static void *share_queue(void *argument)
{
    uint64_t thread = (uintptr_t)argument, n = 0;
    while (!atomic_load(&shared.stop)) {
        vde_txn *txn = change(thread, n++);
        OK(vde_txn_submit_async(txn, shared.queue, thread));
        vde_txn_destroy(txn);
        atomic_fetch_add(&shared.submitted, 1);
        struct vde_completion completions[4];
        size_t count;
        OK(vde_queue_reap(shared.queue, completions, 4, n % 16 == 0, &count));
        for (size_t i = 0; i < count; i++)
            REQUIRE(completions[i].status == VDE_OK);
        atomic_fetch_add(&shared.reaped, count);
    }
    return NULL;
}

static void *block(void *argument)
{
    uint64_t thread = (uintptr_t)argument;
    for (uint64_t n = 0; !atomic_load(&shared.stop); n++) {
        commit(change(thread, n));
        atomic_fetch_add(&shared.commits, 1);
        if (n % 300 == 299)
            OK(vde_image_checkpoint(shared.image));
    }
    return NULL;
}

int main(int argc, char **argv)
{
    unsigned seconds = argc > 1 ? (unsigned)atoi(argv[1]) : 5;
    static void *(*const kinds[THREADS])(void *) = {own_queue, own_queue, own_queue, own_queue,
                                                    share_queue, share_queue, block, block};
    pthread_t threads[THREADS];
    struct vde_device *device = memory_image(64 * MIB);
    shared.image = open_flags(device, 0);
    shared.dataset = new_dataset(shared.image, "d");
    OK(vde_queue_create(shared.image, &shared.queue));
    for (uintptr_t i = 0; i < THREADS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, kinds[i], (void *)i) == 0);
    sleep(seconds);
    atomic_store(&shared.stop, true);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (size_t count = 1; count > 0;) {
        struct vde_completion completions[64];
        OK(vde_queue_reap(shared.queue, completions, 64, true, &count));
        atomic_fetch_add(&shared.reaped, count);
    }
    vde_queue_destroy(shared.queue);
    REQUIRE(atomic_load(&shared.reaped) == atomic_load(&shared.submitted));
    REQUIRE(atomic_load(&shared.commits) > 0);
    close_clean(shared.image, device);
    printf("%llu asynchronous and %llu blocking commits\n", (unsigned long long)atomic_load(&shared.reaped),
           (unsigned long long)atomic_load(&shared.commits));
    return 0;
}
