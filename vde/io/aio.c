/* SPDX-License-Identifier: Apache-2.0 */
/* aio.c -- the "aio" backend: a small pool of libaio queues, one for each run() under way.
 *
 * Queues are made when they are needed, up to QUEUES_MAX; a call that finds none waits for one. */
#include "io/aio.h"

#include <errno.h>
#include <libaio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/lock.h"
#include "io/aio_queue.h"
#include "io/request.h"

#define QUEUES_MAX 8u
#define DEPTH 64u

struct aio_device {
    struct vde_device device;
    struct file file;
    struct lock lock;
    pthread_cond_t returned;
    /* guarded by lock */
    struct vde_io_queue *idle[QUEUES_MAX];
    unsigned idle_count;
    unsigned made;
};

/* NULL when there is no queue and none can be made. */
static struct vde_io_queue *take_queue(struct aio_device *aio)
{
    lock_take(&aio->lock);
    struct vde_io_queue *queue = NULL;
    while (!queue) {
        if (aio->idle_count > 0)
            queue = aio->idle[--aio->idle_count];
        else if (aio->made < QUEUES_MAX && aio_queue_open(&aio->file, DEPTH, &queue) == VDE_OK)
            aio->made++;
        else if (aio->made > 0)
            pthread_cond_wait(&aio->returned, &aio->lock.mutex);
        else
            break;
    }
    lock_drop(&aio->lock);
    return queue;
}

static void give_queue(struct aio_device *aio, struct vde_io_queue *queue)
{
    lock_take(&aio->lock);
    aio->idle[aio->idle_count++] = queue;
    pthread_cond_broadcast(&aio->returned);
    lock_drop(&aio->lock);
}

/* At most DEPTH requests at once; a quarter of that is awaited before more go out. */
static vde_status run_on(struct vde_io_queue *queue, struct vde_io *ios, size_t count)
{
    struct vde_async_io requests[DEPTH], *unused[DEPTH], *reaped[DEPTH];
    size_t next = 0, unused_count = DEPTH;
    for (size_t i = 0; i < DEPTH; i++)
        unused[i] = &requests[i];
    while (next < count || unused_count < DEPTH) {
        for (; next < count && unused_count > 0; next++) {
            struct vde_async_io *request = unused[--unused_count];
            *request = (struct vde_async_io){.io = ios[next], .context = &ios[next]};
            VDE_TRY(queue->ops->submit(queue, &request, 1));
        }
        size_t got = queue->ops->reap(queue, reaped, DEPTH, next < count ? DEPTH / 4 : DEPTH);
        for (size_t i = 0; i < got; i++) {
            struct vde_io *io = reaped[i]->context;
            io->result = reaped[i]->io.result;
            io->os_errno = reaped[i]->io.os_errno;
            unused[unused_count++] = reaped[i];
        }
    }
    return VDE_OK;
}

static vde_status aio_run(struct vde_device *device, struct vde_io *ios, size_t count)
{
    struct aio_device *aio = (struct aio_device *)device;
    if (count == 1) { /* nothing to overlap: one call in the caller's thread instead of two */
        if (request_check(&aio->file.info, &ios[0]))
            request_transfer(aio->file.fd, &ios[0]);
        return request_report(aio->file.path, ios, count);
    }
    struct vde_io_queue *queue = count > 0 ? take_queue(aio) : NULL;
    vde_status status = VDE_OK;
    if (queue) {
        status = run_on(queue, ios, count);
        give_queue(aio, queue);
    } else {
        for (size_t i = 0; i < count; i++)
            if (request_check(&aio->file.info, &ios[i]))
                request_fail(&ios[i], ENOMEM);
    }
    return status == VDE_OK ? request_report(aio->file.path, ios, count) : status;
}

static vde_status aio_flush(struct vde_device *device)
{
    return file_flush(&((struct aio_device *)device)->file);
}

static vde_status aio_discard(struct vde_device *device, uint64_t offset, uint64_t size)
{
    return file_discard(&((struct aio_device *)device)->file, offset, size);
}

static void aio_info(struct vde_device *device, struct vde_device_info *ret_info)
{
    file_info(&((struct aio_device *)device)->file, ret_info);
}

static vde_status aio_open_queue(struct vde_device *device, uint32_t depth, struct vde_io_queue **ret_queue)
{
    return aio_queue_open(&((struct aio_device *)device)->file, depth, ret_queue);
}

static vde_status aio_refresh(struct vde_device *device)
{
    return file_refresh(&((struct aio_device *)device)->file);
}

static void aio_close(struct vde_device *device)
{
    struct aio_device *aio = (struct aio_device *)device;
    while (aio->idle_count > 0) {
        struct vde_io_queue *queue = aio->idle[--aio->idle_count];
        queue->ops->close(queue);
    }
    file_close(&aio->file);
    pthread_cond_destroy(&aio->returned);
    lock_done(&aio->lock);
    free(aio);
}

static const struct vde_device_ops aio_ops = {
    .run = aio_run,
    .flush = aio_flush,
    .discard = aio_discard,
    .info = aio_info,
    .close = aio_close,
    .queue_open = aio_open_queue,
    .refresh = aio_refresh,
};

vde_status aio_open(const struct file *file, struct vde_device **ret_device)
{
    struct aio_device *aio = calloc(1, sizeof *aio);
    if (!aio)
        return fail_nomem("aio device");
    aio->file = *file;
    vde_status status = aio_queue_open(&aio->file, DEPTH, &aio->idle[0]);
    if (status != VDE_OK) {
        free(aio);
        return status;
    }
    aio->idle_count = 1;
    aio->made = 1;
    lock_init(&aio->lock, LOCK_DEVICE);
    pthread_cond_init(&aio->returned, NULL);
    aio->device.ops = &aio_ops;
    snprintf(aio->file.info.backend, sizeof aio->file.info.backend, "aio");
    *ret_device = &aio->device;
    return VDE_OK;
}

bool aio_works(char *ret_reason, size_t size)
{
    char text[96];
    io_context_t context = NULL;
    int error = io_setup(1, &context);
    if (error < 0) {
        snprintf(ret_reason, size, "libaio: %s", strerror_r(-error, text, sizeof text));
        return false;
    }
    io_destroy(context);
    snprintf(ret_reason, size, "libaio: context set up");
    return true;
}
