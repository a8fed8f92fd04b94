/* SPDX-License-Identifier: Apache-2.0 */
/* queue.c -- completions of asynchronous commits: a queue of (tag, LSN) in LSN order, ripe when the watermark passed. */
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fail.h"
#include "pool/txn.h"

struct waiting {
    uint64_t tag;
    struct vde_commit commit;
};

struct vde_queue {
    struct vde_image *image;
    struct vde_queue *next;   /* guarded by image->views_lock: queues with an eventfd */
    struct lock lock;
    /* guarded by lock */
    struct waiting *ring;
    size_t head, count, capacity;
    atomic_int fd;
};

/* The log's durable_lsn moved, or never will. */
void queues_notify(void *context)
{
    struct vde_image *image = context;
    uint64_t one = 1;
    if (!atomic_load(&image->polled))
        return;
    lock_take(&image->views_lock);
    for (struct vde_queue *queue = image->queues; queue; queue = queue->next) {
        ssize_t written = write(atomic_load(&queue->fd), &one, sizeof one);
        (void)written; /* a full counter is readable already */
    }
    lock_drop(&image->views_lock);
}

vde_status vde_queue_create(vde_image *image, vde_queue **ret_queue)
{
    if (image->read_only)
        return fail_as(VDE_READ_ONLY, "image");
    vde_queue *queue = calloc(1, sizeof *queue);
    if (!queue)
        return fail_nomem("queue");
    queue->image = image;
    lock_init(&queue->lock, LOCK_QUEUE);
    atomic_init(&queue->fd, -1);
    *ret_queue = queue;
    return VDE_OK;
}

void vde_queue_destroy(vde_queue *queue)
{
    if (!queue)
        return;
    int fd = atomic_load(&queue->fd);
    if (fd >= 0) {
        lock_take(&queue->image->views_lock);
        struct vde_queue **link = &queue->image->queues;
        while (*link != queue)
            link = &(*link)->next;
        *link = queue->next;
        lock_drop(&queue->image->views_lock);
        close(fd);
    }
    lock_done(&queue->lock);
    free(queue->ring);
    free(queue);
}

int vde_queue_fd(vde_queue *queue)
{
    int fd = atomic_load(&queue->fd);
    if (fd >= 0)
        return fd;
    fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0)
        return -1;
    atomic_store(&queue->fd, fd);
    lock_take(&queue->image->views_lock);
    queue->next = queue->image->queues;
    queue->image->queues = queue;
    atomic_store(&queue->image->polled, true);
    lock_drop(&queue->image->views_lock);
    lock_take(&queue->lock);
    bool submitted = queue->count > 0;
    lock_drop(&queue->lock);
    if (submitted) { /* before anyone could be told: they may be durable already */
        uint64_t one = 1;
        ssize_t written = write(fd, &one, sizeof one);
        (void)written;
        background_drive(queue->image);
    }
    return fd;
}

/* Queue lock held. */
static vde_status make_room(vde_queue *queue)
{
    if (queue->count < queue->capacity)
        return VDE_OK;
    size_t capacity = queue->capacity ? queue->capacity * 2 : 64;
    struct waiting *ring = malloc(capacity * sizeof *ring);
    if (!ring)
        return fail_nomem("queue");
    for (size_t i = 0; i < queue->count; i++)
        ring[i] = queue->ring[(queue->head + i) % queue->capacity]; /* NOLINT: without capacity there is no count */
    free(queue->ring);
    queue->ring = ring;
    queue->capacity = capacity;
    queue->head = 0;
    return VDE_OK;
}

/* Queue lock held, room made. Keeps LSN order: two threads may submit to one queue. */
static void insert(vde_queue *queue, struct vde_commit commit, uint64_t tag)
{
    size_t at = queue->count++;
    while (at > 0 && queue->ring[(queue->head + at - 1) % queue->capacity].commit.lsn > commit.lsn) {
        queue->ring[(queue->head + at) % queue->capacity] = queue->ring[(queue->head + at - 1) % queue->capacity];
        at--;
    }
    queue->ring[(queue->head + at) % queue->capacity] = (struct waiting){tag, commit};
}

vde_status vde_queue_watch(vde_queue *queue, struct vde_commit commit, uint64_t tag)
{
    lock_take(&queue->lock);
    vde_status status = make_room(queue);
    if (status == VDE_OK)
        insert(queue, commit, tag);
    lock_drop(&queue->lock);
    int fd = atomic_load(&queue->fd);
    if (status == VDE_OK && fd >= 0) {
        uint64_t one = 1;
        if (commit.lsn <= log_durable_lsn(queue->image->log) || log_poisoned(queue->image->log)) {
            ssize_t written = write(fd, &one, sizeof one);
            (void)written;
        }
        background_drive(queue->image);
    }
    return status;
}

vde_status vde_txn_submit_async(vde_txn *txn, vde_queue *queue, uint64_t tag)
{
    struct vde_commit commit;
    lock_take(&queue->lock);
    vde_status status = make_room(queue); /* before the LSN: after it nothing may fail */
    lock_drop(&queue->lock);
    VDE_TRY(status);
    VDE_TRY(vde_txn_submit(txn, &commit));
    status = vde_queue_watch(queue, commit, tag);
    /* Out of memory here would need another thread to have taken the room: then the caller waits in this call. */
    return status == VDE_NOMEM ? log_wait(queue->image->log, commit.lsn) : status;
}

static size_t take_ripe(vde_queue *queue, struct vde_completion *completions, size_t max, uint64_t *ret_next_lsn)
{
    struct log *log = queue->image->log;
    size_t taken = 0;
    lock_take(&queue->lock);
    while (taken < max && queue->count > 0) {
        struct waiting *first = &queue->ring[queue->head];
        if (first->commit.lsn > log_durable_lsn(log) && !log_poisoned(log))
            break;
        vde_status status = first->commit.lsn <= log_durable_lsn(log) ? VDE_OK : log_wait_settled(log, first->commit.lsn);
        completions[taken++] = (struct vde_completion){first->tag, status, first->commit};
        queue->head = (queue->head + 1) % queue->capacity;
        queue->count--;
    }
    *ret_next_lsn = queue->count > 0 ? queue->ring[queue->head].commit.lsn : 0;
    lock_drop(&queue->lock);
    return taken;
}

vde_status vde_queue_reap(vde_queue *queue, struct vde_completion *completions, size_t max, bool wait, size_t *ret_count)
{
    uint64_t next;
    int fd = atomic_load(&queue->fd);
    uint64_t drained;
    if (fd >= 0) {
        ssize_t got = read(fd, &drained, sizeof drained);
        (void)got;
    }
    *ret_count = take_ripe(queue, completions, max, &next);
    while (*ret_count == 0 && wait && next != 0 && max > 0) {
        vde_status status = log_wait(queue->image->log, next);
        (void)status; /* the completion carries it */
        *ret_count = take_ripe(queue, completions, max, &next);
    }
    if (fd >= 0 && next != 0 && (next <= log_durable_lsn(queue->image->log) || log_poisoned(queue->image->log))) {
        drained = 1; /* more are waiting than were asked for: it stays readable */
        ssize_t written = write(fd, &drained, sizeof drained);
        (void)written;
    }
    return VDE_OK;
}
