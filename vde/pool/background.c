/* SPDX-License-Identifier: Apache-2.0 */
/* background.c -- one thread that does what nobody waits for: writes records left in the log buffer, marks the newest
 * flush, makes checkpoints. It sleeps without a timer while there is nothing to do.
 *
 * Records are written within a tick, except lazy ones (data of volumes, which promise durability with a flush only):
 * a flush every tick would cost more than the writes. They wait for a second or for LAZY_BYTES of data, which also
 * bounds what recovery must read to verify the tail. */
#include <stdlib.h>
#include <time.h>

#include "base/checked.h"
#include "base/fail.h"
#include "pool/pool.h"

#define TICK_MS 10u
#define LAZY_MS 1000u
#define LAZY_BYTES (32ull << 20)
#define NAP_MAX_MS 3600000u
#define LAZY_MAX_BYTES (48ull << 20) /* whoever writes more waits */
#define RETRY_MAX_MS 1000u           /* between checkpoints that fail */

struct background {
    struct vde_image *image;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    uint64_t start_lsn; /* before anyone else has the image: what comes after it is this thread's business */
    bool stop, drive, wake_up; /* guarded by mutex */
    atomic_bool asleep; /* sleeping longer than a tick */
    /* the thread's own */
    uint64_t seen_eager, seen_durable, lazy_since;
    uint64_t retry_ms, retry_at; /* how long a failed checkpoint is not tried again; 0: it did not fail */
};

static void deadline_after(struct timespec *at, unsigned ms)
{
    clock_gettime(CLOCK_MONOTONIC, at);
    at->tv_nsec += (long)ms * 1000000L;
    at->tv_sec += at->tv_nsec / 1000000000L;
    at->tv_nsec %= 1000000000L;
}

/* Wait a tick; when idle, until kicked or until `nap_us` have passed. Returns false to stop. */
static bool pause_for(struct background *background, bool idle, uint64_t nap_us, uint64_t seen, bool *ret_drive)
{
    pthread_mutex_lock(&background->mutex);
    if (!background->stop && !background->drive && !background->wake_up) {
        struct timespec at;
        atomic_store(&background->asleep, idle);
        bool sleeps = idle && log_last_lsn(background->image->log) == seen;
        deadline_after(&at, sleeps ? (unsigned)min_u64(nap_us / 1000u + 1, NAP_MAX_MS) : TICK_MS);
        if (sleeps && nap_us == UINT64_MAX)
            pthread_cond_wait(&background->wake, &background->mutex);
        else
            pthread_cond_timedwait(&background->wake, &background->mutex, &at);
        atomic_store(&background->asleep, false);
    }
    bool running = !background->stop;
    *ret_drive = background->drive;
    background->drive = background->wake_up = false;
    pthread_mutex_unlock(&background->mutex);
    return running;
}

static uint64_t monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

static void note_flushed(struct vde_image *image, uint64_t bytes)
{
    uint64_t known = atomic_load(&image->lazy_flushed);
    while (bytes > known && !atomic_compare_exchange_weak(&image->lazy_flushed, &known, bytes))
        ;
}

static uint64_t unflushed(struct vde_image *image)
{
    uint64_t flushed = atomic_load(&image->lazy_flushed), bytes = atomic_load(&image->lazy_bytes);
    return bytes > flushed ? bytes - flushed : 0;
}

/* Write everything that was submitted. */
static vde_status write_out(struct vde_image *image)
{
    uint64_t bytes = atomic_load(&image->lazy_bytes); /* first: they are counted after their record got its LSN */
    vde_status status = log_wait(image->log, log_last_lsn(image->log));
    if (status == VDE_OK)
        note_flushed(image, bytes);
    return status;
}

vde_status background_lazy(struct vde_image *image, uint64_t bytes)
{
    uint64_t before = unflushed(image);
    atomic_fetch_add(&image->lazy_bytes, bytes);
    if (before + bytes < LAZY_BYTES)
        return VDE_OK;
    if (image->background && before + bytes < LAZY_MAX_BYTES) {
        if (before < LAZY_BYTES)
            background_drive(image);
        return VDE_OK;
    }
    return write_out(image);
}

/* Must records be written now? */
static bool write_due(struct background *background, uint64_t last, bool quiet, bool drive)
{
    struct vde_image *image = background->image;
    uint64_t bytes = atomic_load(&image->lazy_bytes), newest = log_last_lsn(image->log);
    uint64_t durable = log_durable_lsn(image->log), eager = atomic_load(&image->eager_lsn);
    bool eager_quiet = eager == background->seen_eager;
    background->seen_eager = eager;
    if (durable != background->seen_durable || durable >= last) {
        background->seen_durable = durable;
        background->lazy_since = monotonic_ms();
    }
    if (durable >= newest)
        note_flushed(image, bytes);
    if (durable >= last)
        return false;
    if (drive || (eager > durable && (quiet || eager_quiet)))
        return true;
    struct log_status status;
    log_status(image->log, &status);
    return monotonic_ms() - background->lazy_since >= LAZY_MS || unflushed(image) >= LAZY_BYTES || status.full;
}

/* Whoever needs room at once makes a checkpoint of its own: here one that fails is tried more and more seldom. */
static bool try_checkpoint(struct background *background)
{
    if (monotonic_ms() < background->retry_at)
        return false;
    bool made = checkpoint_run(background->image, 0) == VDE_OK;
    background->retry_ms = made ? 0 : min_u64(2 * background->retry_ms + TICK_MS, RETRY_MAX_MS);
    background->retry_at = made ? 0 : monotonic_ms() + background->retry_ms;
    return made;
}

static void *run(void *argument)
{
    struct background *background = argument;
    struct vde_image *image = background->image;
    uint64_t seen = background->start_lsn, checkpointed = seen, dirty_since = 0, nap_us = UINT64_MAX;
    bool idle = true, drive;
    while (pause_for(background, idle, nap_us, seen, &drive)) {
        uint64_t last = log_last_lsn(image->log);
        if (log_poisoned(image->log)) {
            idle = true;
            nap_us = UINT64_MAX;
            continue;
        }
        if (write_due(background, last, last == seen, drive)) {
            vde_status status = write_out(image);
            (void)status; /* a failure poisons: whoever asks learns it */
        }
        if (last == seen && log_durable_lsn(image->log) == last) {
            vde_status status = log_mark(image->log);
            (void)status;
        }
        if (last != checkpointed && dirty_since == 0)
            dirty_since = monotonic_ms();
        bool old = dirty_since && monotonic_ms() - dirty_since >= image->checkpoint_ms;
        bool frees = atomic_load(&image->zombies_left);
        if (old || frees || checkpoint_due(image)) {
            if (try_checkpoint(background))
                checkpointed = last;
            dirty_since = 0;
        }
        idle = last == seen && last == checkpointed && log_durable_lsn(image->log) == last &&
               !atomic_load(&image->zombies_left);
        seen = last;
        uint64_t (*work)(struct vde_image *) = atomic_load(&image->idle_work);
        nap_us = work ? work(image) : UINT64_MAX;
    }
    return NULL;
}

vde_status background_start(struct vde_image *image)
{
    struct background *background = calloc(1, sizeof *background);
    if (!background)
        return fail_nomem("background thread");
    background->image = image;
    background->start_lsn = log_last_lsn(image->log);
    pthread_mutex_init(&background->mutex, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&background->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    image->background = background;
    int failed = pthread_create(&background->thread, NULL, run, background);
    if (failed) {
        pthread_cond_destroy(&background->wake);
        pthread_mutex_destroy(&background->mutex);
        free(background);
        image->background = NULL;
        return vde_error_errno(failed, "background thread", "pthread_create");
    }
    return VDE_OK;
}

void background_stop(struct vde_image *image)
{
    struct background *background = image->background;
    if (!background)
        return;
    pthread_mutex_lock(&background->mutex);
    background->stop = true;
    pthread_cond_signal(&background->wake);
    pthread_mutex_unlock(&background->mutex);
    pthread_join(background->thread, NULL);
    pthread_cond_destroy(&background->wake);
    pthread_mutex_destroy(&background->mutex);
    free(background);
    image->background = NULL;
}

void background_drive(struct vde_image *image)
{
    struct background *background = image->background;
    if (!background)
        return;
    pthread_mutex_lock(&background->mutex);
    background->drive = true;
    pthread_cond_signal(&background->wake);
    pthread_mutex_unlock(&background->mutex);
}

void background_wake(struct vde_image *image)
{
    struct background *background = image->background;
    if (!background)
        return;
    pthread_mutex_lock(&background->mutex);
    background->wake_up = true;
    pthread_cond_signal(&background->wake);
    pthread_mutex_unlock(&background->mutex);
}

void background_kick(struct vde_image *image)
{
    struct background *background = image->background;
    if (!background) {
        if (checkpoint_due(image)) {
            vde_status status = checkpoint_run(image, 0);
            (void)status; /* the record is in; the next checkpoint tries again */
        }
        return;
    }
    if (!atomic_load(&background->asleep))
        return;
    pthread_mutex_lock(&background->mutex);
    pthread_cond_signal(&background->wake);
    pthread_mutex_unlock(&background->mutex);
}
