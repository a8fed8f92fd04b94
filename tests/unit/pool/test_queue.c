/* SPDX-License-Identifier: Apache-2.0 */
/* The asynchronous form: completions in LSN order, an eventfd that needs nobody to wait, many in flight. */
#include <criterion/criterion.h>

#include <poll.h>
#include <pthread.h>

#include "unit/pool/engine.h"

static void submit(vde_image *image, vde_queue *queue, uint64_t dataset, uint64_t tag)
{
    char key[24];
    snprintf(key, sizeof key, "%llu", (unsigned long long)tag);
    vde_txn *txn = begin(image);
    OK(txn_put_text(txn, dataset, key, key));
    OK(vde_txn_submit_async(txn, queue, tag));
    vde_txn_destroy(txn); /* may go at once */
}

Test(queue, delivers_in_lsn_order)
{
    struct vde_device *device = memory_image(8 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d"), last = 0;
    vde_queue *queue;
    struct vde_completion completions[7];
    size_t count;
    OK(vde_queue_create(image, &queue));
    OK(vde_queue_reap(queue, completions, 7, true, &count)); /* nothing in flight: returns at once */
    cr_assert_eq(count, 0);
    for (uint64_t i = 0; i < 500; i++)
        submit(image, queue, d, i);
    OK(vde_queue_reap(queue, completions, 0, true, &count));
    cr_assert_eq(count, 0);
    for (uint64_t next = 0; next < 500;) {
        OK(vde_queue_reap(queue, completions, 7, true, &count));
        cr_assert_gt(count, 0);
        cr_assert_leq(count, 7);
        for (size_t i = 0; i < count; i++, next++) {
            cr_assert_eq(completions[i].tag, next);
            cr_assert_eq(completions[i].status, VDE_OK);
            cr_assert_gt(completions[i].commit.lsn, last);
            last = completions[i].commit.lsn;
            cr_assert_leq(last, info_of(image).durable_lsn);
        }
    }
    cr_assert(has(image, d, 0, "499", "499"));
    vde_queue_destroy(queue);
    vde_queue_destroy(NULL);
    close_clean(image, device);
}

Test(queue, an_event_loop_needs_no_waiter)
{
    struct vde_device *device = memory_image(8 * MIB);
    vde_image *image = open_flags(device, 0);
    uint64_t d = new_dataset(image, "d"), done = 0;
    vde_queue *queue;
    struct vde_completion completions[16];
    OK(vde_queue_create(image, &queue));
    struct pollfd poll_fd = {.fd = vde_queue_fd(queue), .events = POLLIN};
    cr_assert_geq(poll_fd.fd, 0);
    cr_assert_eq(vde_queue_fd(queue), poll_fd.fd);
    for (uint64_t i = 0; i < 100; i++) {
        submit(image, queue, d, i);
        if (i % 10 != 9)
            continue;
        while (done <= i) {
            size_t count;
            cr_assert_eq(poll(&poll_fd, 1, 20000), 1, "not readable with %llu of %llu done", (unsigned long long)done,
                         (unsigned long long)i + 1);
            OK(vde_queue_reap(queue, completions, 16, false, &count));
            for (size_t c = 0; c < count; c++)
                cr_assert_eq(completions[c].tag, done++);
        }
    }
    vde_queue_destroy(queue);
    close_clean(image, device);
}

Test(queue, an_eventfd_stays_readable_while_completions_wait)
{
    struct vde_device *device = memory_image(8 * MIB);
    vde_image *image = open_flags(device, 0);
    uint64_t d = new_dataset(image, "d"), done = 0;
    vde_queue *queue;
    OK(vde_queue_create(image, &queue));
    struct pollfd poll_fd = {.fd = vde_queue_fd(queue), .events = POLLIN};
    for (uint64_t i = 0; i < 20; i++)
        submit(image, queue, d, i);
    while (done < 20) { /* one at a time, asking poll before each */
        struct vde_completion completion;
        size_t count;
        cr_assert_eq(poll(&poll_fd, 1, 20000), 1, "not readable with %llu of 20 taken", (unsigned long long)done);
        OK(vde_queue_reap(queue, &completion, 1, false, &count));
        done += count;
    }
    vde_queue_destroy(queue);
    close_clean(image, device);
}

Test(queue, watches_what_was_submitted_elsewhere)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d");
    vde_queue *queue;
    struct vde_commit a, b;
    struct vde_completion completions[4];
    size_t count;
    OK(vde_queue_create(image, &queue));
    vde_txn *first = begin(image), *second = begin(image);
    OK(txn_put_text(first, d, "1", "1"));
    OK(vde_txn_submit(first, &a));
    OK(txn_put_text(second, d, "2", "2"));
    OK(vde_txn_submit(second, &b));
    OK(vde_queue_watch(queue, b, 2));
    OK(vde_queue_watch(queue, a, 1));
    OK(vde_queue_reap(queue, completions, 4, false, &count));
    cr_assert_eq(count, 0, "nobody drives the log here");
    OK(vde_queue_reap(queue, completions, 4, true, &count));
    cr_assert_eq(count, 2);
    cr_assert_eq(completions[0].tag, 1);
    cr_assert_eq(completions[1].tag, 2);
    OK(vde_queue_watch(queue, a, 3)); /* durable already */
    OK(vde_queue_reap(queue, completions, 4, false, &count));
    cr_assert_eq(count, 1);
    vde_txn_destroy(first);
    vde_txn_destroy(second);
    vde_queue_destroy(queue);
    close_clean(image, device);
}

Test(queue, a_refused_submit_delivers_nothing)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t s = vde_id_reserve(image);
    vde_queue *queue;
    struct vde_completion completion;
    size_t count;
    OK(vde_queue_create(image, &queue));
    OK(append_status(image, s, 0, "zero"));
    vde_txn *txn = begin(image);
    OK(vde_txn_append(txn, s, 0, 0, "x", 1));
    EXPECT(VDE_EXISTS, vde_txn_submit_async(txn, queue, 1));
    vde_txn_destroy(txn);
    OK(vde_queue_reap(queue, &completion, 1, true, &count));
    cr_assert_eq(count, 0);
    vde_queue_destroy(queue);
    close_clean(image, device);
}

struct submitter {
    vde_image *image;
    vde_queue *queue;
    uint64_t dataset, first;
};

static void *submit_many(void *argument)
{
    struct submitter *s = argument;
    for (uint64_t i = 0; i < 300; i++)
        submit(s->image, s->queue, s->dataset, s->first + i);
    return NULL;
}

Test(queue, two_threads_share_one)
{
    struct vde_device *device = memory_image(8 * MIB);
    vde_image *image = open_flags(device, 0);
    uint64_t d = new_dataset(image, "d"), taken = 0, last = 0;
    static bool seen[2000];
    vde_queue *queue;
    pthread_t threads[2];
    struct submitter submitters[2];
    OK(vde_queue_create(image, &queue));
    for (unsigned i = 0; i < 2; i++) {
        submitters[i] = (struct submitter){image, queue, d, i * 1000};
        cr_assert_eq(pthread_create(&threads[i], NULL, submit_many, &submitters[i]), 0);
    }
    while (taken < 600) {
        struct vde_completion completions[32];
        size_t count;
        OK(vde_queue_reap(queue, completions, 32, true, &count));
        for (size_t i = 0; i < count; i++) {
            cr_assert_not(seen[completions[i].tag]);
            seen[completions[i].tag] = true;
            if (i > 0)
                cr_assert_gt(completions[i].commit.lsn, last);
            last = completions[i].commit.lsn;
        }
        taken += count;
    }
    for (unsigned i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    vde_queue_destroy(queue);
    close_clean(image, device);
}

Test(queue, the_background_thread_writes_what_nobody_waits_for)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_flags(device, 0);
    uint64_t d = new_dataset(image, "d");
    struct vde_commit done;
    vde_txn *txn = begin(image);
    OK(txn_put_text(txn, d, "k", "v"));
    OK(vde_txn_submit(txn, &done));
    vde_txn_destroy(txn);
    for (unsigned i = 0; i < 2000 && info_of(image).durable_lsn < done.lsn; i++)
        poll(NULL, 0, 5);
    cr_assert_geq(info_of(image).durable_lsn, done.lsn);
    close_clean(image, device);
}
