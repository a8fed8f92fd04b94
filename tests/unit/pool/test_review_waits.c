/* SPDX-License-Identifier: Apache-2.0 */
/* What happens while a log write is under way: nobody is left sleeping, nothing is lost, and failures find everyone.
 * The device holds log writes back until the test lets them go. */
#include <criterion/criterion.h>

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "unit/pool/engine.h"

/* --- a device that holds writes -------------------------------------------------------------------------------------- */

struct held {
    struct vde_device device;
    struct vde_device *under;
    uint64_t from, to; /* writes to these bytes are held */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    /* guarded by mutex */
    unsigned pass; /* log writes that are let through before one is held */
    bool hold, holding, fail;
};

static vde_status held_run(struct vde_device *device, struct vde_io *ios, size_t count)
{
    struct held *held = (struct held *)device;
    if (ios[0].op == VDE_IO_WRITE && ios[0].offset >= held->from && ios[0].offset < held->to) {
        pthread_mutex_lock(&held->mutex);
        bool passes = held->pass > 0;
        held->pass -= passes;
        while (held->hold && !passes) {
            held->holding = true;
            pthread_cond_broadcast(&held->changed);
            pthread_cond_wait(&held->changed, &held->mutex);
        }
        held->holding = false;
        bool fail = held->fail;
        pthread_mutex_unlock(&held->mutex);
        if (fail)
            return vde_error_set(VDE_IO, "device", "a write that failed", "a good one");
    }
    return held->under->ops->run(held->under, ios, count);
}

static vde_status held_flush(struct vde_device *device)
{
    struct vde_device *under = ((struct held *)device)->under;
    return under->ops->flush(under);
}

static vde_status held_discard(struct vde_device *device, uint64_t offset, uint64_t size)
{
    struct vde_device *under = ((struct held *)device)->under;
    return under->ops->discard(under, offset, size);
}

static void held_info(struct vde_device *device, struct vde_device_info *ret_info)
{
    struct vde_device *under = ((struct held *)device)->under;
    under->ops->info(under, ret_info);
}

static void held_close(struct vde_device *device)
{
    struct held *held = (struct held *)device;
    held->under->ops->close(held->under);
    pthread_mutex_destroy(&held->mutex);
    pthread_cond_destroy(&held->changed);
    free(held);
}

static const struct vde_device_ops held_ops = {
    .run = held_run, .flush = held_flush, .discard = held_discard, .info = held_info, .close = held_close};

static struct held *held_image(uint64_t bytes)
{
    struct held *held = calloc(1, sizeof *held);
    held->device.ops = &held_ops;
    held->under = memory_image(bytes);
    pthread_mutex_init(&held->mutex, NULL);
    pthread_cond_init(&held->changed, NULL);
    return held;
}

static void find_region(struct held *held, vde_image *image, const char *name)
{
    struct vde_image_info info = info_of(image);
    for (uint32_t i = 0; i < info.region_count; i++)
        if (strcmp(info.regions[i].name, name) == 0) {
            held->from = info.regions[i].offset_bytes;
            held->to = held->from + info.regions[i].size_bytes;
        }
    REQUIRE(held->to > held->from);
}

static void hold_after(struct held *held, unsigned pass)
{
    pthread_mutex_lock(&held->mutex);
    held->pass = pass;
    held->hold = true;
    pthread_mutex_unlock(&held->mutex);
}

static void until_holding(struct held *held)
{
    pthread_mutex_lock(&held->mutex);
    while (!held->holding)
        pthread_cond_wait(&held->changed, &held->mutex);
    pthread_mutex_unlock(&held->mutex);
}

static void let_go(struct held *held, bool fail)
{
    pthread_mutex_lock(&held->mutex);
    held->hold = false;
    held->fail = fail;
    pthread_cond_broadcast(&held->changed);
    pthread_mutex_unlock(&held->mutex);
}

/* --- threads that wait ----------------------------------------------------------------------------------------------- */

struct waiter {
    pthread_t thread;
    vde_image *image;
    uint64_t lsn;
    vde_status status;
};

static void *wait_thread(void *argument)
{
    struct waiter *waiter = argument;
    waiter->status = vde_image_wait(waiter->image, waiter->lsn);
    return NULL;
}

static void start_waiting(struct waiter *waiter, vde_image *image, uint64_t lsn)
{
    *waiter = (struct waiter){.image = image, .lsn = lsn};
    REQUIRE(pthread_create(&waiter->thread, NULL, wait_thread, waiter) == 0);
}

static vde_status stop_waiting(struct waiter *waiter)
{
    REQUIRE(pthread_join(waiter->thread, NULL) == 0);
    return waiter->status;
}

/* Submitted, waited for by nobody yet. */
static uint64_t submit_seed(vde_image *image, uint64_t dataset, const char *key, size_t size)
{
    struct vde_commit done;
    vde_txn *txn = begin(image);
    OK(txn_put_seed(txn, dataset, key, size, size));
    OK(vde_txn_submit(txn, &done));
    vde_txn_destroy(txn);
    return done.lsn;
}

#define NAP_US 50000u

Test(waits, the_waiter_of_a_later_group_leads_the_one_that_nobody_waits_for, .timeout = 30)
{
    struct held *held = held_image(64 * MIB);
    vde_image *image = open_quiet(&held->device);
    struct waiter first, last;
    uint64_t d = new_dataset(image, "d"), lsn = 0;
    find_region(held, image, "log");
    hold_after(held, 0);
    start_waiting(&first, image, submit_seed(image, d, "a", 10));
    until_holding(held);
    for (unsigned i = 0; i < 5; i++) /* more than one group */
        lsn = submit_seed(image, d, "b", 60000);
    start_waiting(&last, image, lsn);
    usleep(NAP_US); /* it sleeps on its group by now */
    let_go(held, false);
    OK(stop_waiting(&first));
    OK(stop_waiting(&last));
    close_clean(image, &held->device);
}

Test(waits, a_checkpoint_while_a_marker_is_written_begins_its_log_in_the_right_place, .timeout = 30)
{
    struct held *held = held_image(8 * MIB);
    vde_image *image = open_quiet(&held->device);
    uint64_t d = new_dataset(image, "d");
    OK(vde_image_close(image));
    image = open_flags(&held->device, 0);
    find_region(held, image, "log");
    hold_after(held, 1);
    put_text(image, d, "k", "1");
    until_holding(held); /* the background thread's marker */
    OK(vde_image_checkpoint(image));
    let_go(held, false);
    put_text(image, d, "k", "2");
    struct vde_device *copy = copy_device(held->under);
    OK(vde_image_close(image));
    close_device(&held->device);
    image = open_quiet(copy);
    cr_assert(has(image, d, 0, "k", "2"), "acknowledged, so it is there after a crash");
    close_clean(image, copy);
}

static void *checkpoint_thread(void *argument)
{
    struct waiter *waiter = argument;
    waiter->status = vde_image_checkpoint(waiter->image);
    return NULL;
}

static void commits_go_on(const char *region)
{
    struct held *held = held_image(8 * MIB);
    vde_image *image = open_quiet(&held->device);
    struct waiter checkpoint = {.image = image};
    uint64_t d = new_dataset(image, "d");
    find_region(held, image, region);
    hold_after(held, 0);
    REQUIRE(pthread_create(&checkpoint.thread, NULL, checkpoint_thread, &checkpoint) == 0);
    until_holding(held);
    put_text(image, d, "k", "1");
    OK(put_seed(image, d, "large", 200000, 1));
    cr_assert(has(image, d, 0, "k", "1"));
    let_go(held, false);
    OK(stop_waiting(&checkpoint));
    close_clean(image, &held->device);
}

Test(waits, a_commit_does_not_wait_for_a_checkpoint_s_bitmaps, .timeout = 30) { commits_go_on("bitmaps"); }
Test(waits, a_commit_does_not_wait_for_a_checkpoint_s_index, .timeout = 30) { commits_go_on("alloc index"); }
Test(waits, a_commit_does_not_wait_for_a_superblock, .timeout = 30) { commits_go_on("ring A"); }

/* --- failures --------------------------------------------------------------------------------------------------------- */

struct failing_clock {
    struct held *held;
    struct waiter *waiter; /* once set: the next look at the clock fails the write under way */
    uint64_t now;
};

static uint64_t failing_now(void *context)
{
    struct failing_clock *clock = context;
    if (clock->waiter) {
        struct waiter *waiter = clock->waiter;
        clock->waiter = NULL;
        let_go(clock->held, true);
        EXPECT(VDE_COMMIT_UNKNOWN, stop_waiting(waiter));
    }
    return ++clock->now;
}

Test(waits, a_write_that_fails_in_the_middle_of_a_submit_poisons_that_one_too, .timeout = 30)
{
    struct held *held = held_image(8 * MIB);
    struct failing_clock clock = {.held = held};
    struct vde_env env = {failing_now, NULL, &clock};
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    struct vde_commit done;
    struct waiter first;
    vde_image *image;
    opts.flags = VDE_OPEN_NO_THREADS;
    opts.env = &env;
    OK(vde_image_open_device(&held->device, &opts, &image));
    uint64_t d = new_dataset(image, "d");
    find_region(held, image, "log");
    hold_after(held, 0);
    start_waiting(&first, image, submit_seed(image, d, "a", 10));
    until_holding(held);
    vde_txn *txn = begin(image);
    OK(txn_put_text(txn, d, "b", "2"));
    clock.waiter = &first;
    vde_status status = vde_txn_submit(txn, &done);
    if (status == VDE_OK)
        status = vde_image_wait(image, done.lsn);
    cr_assert_eq(status, VDE_POISONED, "certainly absent: it was never handed to the device");
    vde_txn_destroy(txn);
    vde_status closed = vde_image_close(image);
    (void)closed;
    close_device(&held->device);
}

/* --- eventfds --------------------------------------------------------------------------------------------------------- */

static bool readable(int fd, int ms)
{
    struct pollfd at = {.fd = fd, .events = POLLIN};
    return poll(&at, 1, ms) == 1;
}

static void submit_to(vde_image *image, vde_queue *queue, uint64_t dataset, uint64_t tag)
{
    vde_txn *txn = begin(image);
    OK(txn_put_seed(txn, dataset, "k", 10, tag));
    OK(vde_txn_submit_async(txn, queue, tag));
    vde_txn_destroy(txn);
}

Test(waits, an_eventfd_made_late_tells_of_completions_that_wait, .timeout = 30)
{
    struct vde_device *device = memory_image(8 * MIB);
    vde_image *image = open_flags(device, 0);
    uint64_t d = new_dataset(image, "d");
    struct vde_completion completion;
    vde_queue *queue;
    size_t count;
    OK(vde_queue_create(image, &queue));
    submit_to(image, queue, d, 1);
    put_text(image, d, "x", "y"); /* durable now, and all before it */
    usleep(NAP_US);               /* its marker, too: nothing will be written any more */
    int fd = vde_queue_fd(queue);
    cr_assert_geq(fd, 0);
    cr_assert(readable(fd, 0));
    OK(vde_queue_reap(queue, &completion, 1, false, &count));
    cr_assert_eq(count, 1);
    cr_assert_not(readable(fd, 0));
    vde_queue_destroy(queue);
    close_clean(image, device);
}

Test(waits, an_eventfd_stays_readable_until_all_completions_are_reaped, .timeout = 30)
{
    struct vde_device *device = memory_image(8 * MIB);
    vde_image *image = open_flags(device, 0);
    uint64_t d = new_dataset(image, "d");
    struct vde_completion completion;
    vde_queue *queue;
    size_t count;
    OK(vde_queue_create(image, &queue));
    int fd = vde_queue_fd(queue);
    for (uint64_t tag = 1; tag <= 3; tag++)
        submit_to(image, queue, d, tag);
    put_text(image, d, "x", "y");
    usleep(NAP_US); /* nothing will be written any more */
    for (uint64_t tag = 1; tag <= 3; tag++) {
        cr_assert(readable(fd, 0), "%zu still wait", (size_t)(4 - tag));
        OK(vde_queue_reap(queue, &completion, 1, false, &count));
        cr_assert_eq(count, 1);
        cr_assert_eq(completion.tag, tag);
    }
    cr_assert_not(readable(fd, 0));
    vde_queue_destroy(queue);
    close_clean(image, device);
}
