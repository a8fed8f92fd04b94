/* SPDX-License-Identifier: Apache-2.0 */
/* volume_queue.c -- asynchronous requests: submit and reap. Requests that cover blocks or frames only in part, discards and
 * write_zeroes are carried out by submit itself; the others take their way through volume_queue_io.c. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/fail.h"
#include "dataset/volume_queue.h"

#define SPARE_QUEUES 4u

static vde_status create(struct volumes *volumes, uint32_t depth, struct vde_volume_queue **ret_queue)
{
    struct vde_volume_queue *queue = calloc(1, sizeof *queue);
    if (!queue)
        return fail_nomem("volume queue");
    queue->image = volumes->image;
    queue->volumes = volumes;
    queue->depth = depth;
    queue->io_depth = (uint32_t)max_u64(depth, QUEUE_IO_MIN);
    queue->backlog_end = &queue->backlog;
    queue->ready_end = &queue->ready;
    queue->fd = -1;
    vde_status status = vde_io_queue_open(queue->image->device, queue->io_depth, &queue->io);
    if (status != VDE_OK) {
        free(queue);
        return status;
    }
    *ret_queue = queue;
    return VDE_OK;
}

vde_status vde_volume_queue_create(vde_image *image, uint32_t depth, vde_volume_queue **ret_queue)
{
    if (depth == 0 || depth > QUEUE_DEPTH_MAX)
        return fail_as(VDE_INVAL, "volume queue|depth %u|1 to %u", depth, QUEUE_DEPTH_MAX);
    struct volumes *volumes;
    VDE_TRY(volumes_use(image, &volumes));
    vde_status status = create(volumes, depth, ret_queue);
    if (status != VDE_OK)
        volumes_leave(volumes);
    return status;
}

static void destroy(struct vde_volume_queue *queue)
{
    queue->io->ops->close(queue->io);
    if (queue->cursor)
        block_cursor_close(queue->cursor);
    queue_free_reads(queue);
    free(queue);
}

void vde_volume_queue_destroy(vde_volume_queue *queue)
{
    if (!queue)
        return;
    struct volumes *volumes = queue->volumes;
    destroy(queue);
    volumes_leave(volumes);
}

void queues_destroy(struct volumes *volumes)
{
    while (volumes->spare_queues) {
        struct vde_volume_queue *queue = volumes->spare_queues;
        volumes->spare_queues = queue->next;
        destroy(queue);
    }
}

static void signal_fd(struct vde_volume_queue *queue)
{
    uint64_t one = 1;
    if (queue->fd >= 0) {
        ssize_t written = write(queue->fd, &one, sizeof one);
        (void)written; /* a full counter is readable already */
    }
}

int vde_volume_queue_fd(vde_volume_queue *queue)
{
    if (queue->fd >= 0)
        return queue->fd;
    queue_pump(queue, true);
    while (queue->io_in_flight > 0) /* the device queue wants to be asked before anything is in flight */
        queue_collect(queue, queue->io_in_flight);
    queue->fd = queue->io->ops->fd(queue->io);
    if (queue->done.first || queue->hard.first || queue->open || queue->ready)
        signal_fd(queue);
    return queue->fd;
}

/* --- large writes: pieces, each in a batch of its own ---------------------------------------------------------------- */

struct split {
    struct vde_volume_request *request;
    uint64_t remaining;
    vde_status status;
    struct credit own, *credit;
    struct vde_volume_request pieces[];
};

static void piece_done(struct vde_volume_request *piece)
{
    (void)piece; /* never called: marks the requests that are pieces */
}

static void end_piece(struct vde_volume_queue *queue, struct vde_volume_request *piece, vde_status status)
{
    struct split *split = piece->context;
    if (split->status == VDE_OK)
        split->status = status;
    if (--split->remaining > 0)
        return;
    credit_give(queue->image, &split->own);
    queue_complete(queue, split->request, split->status);
    free(split);
}

void queue_complete(struct vde_volume_queue *queue, struct vde_volume_request *request, vde_status status)
{
    if (request->done == piece_done) {
        end_piece(queue, request, status);
        return;
    }
    request->status = status;
    list_add(&queue->done, request);
}

static vde_status start_split(struct vde_volume_queue *queue, struct vde_volume_request *request)
{
    uint64_t count = div_up(request->size, BATCH_BYTES);
    struct split *split = calloc(1, sizeof *split + count * sizeof *split->pieces);
    if (!split)
        return fail_nomem("volume write");
    split->credit = queue->credit ? queue->credit : &split->own;
    uint64_t blocks = request->size / BLOCK_BYTES; /* each may become a run of its own */
    vde_status status = queue->credit ? VDE_OK : credit_take(request->volume, blocks, blocks, SPACE_NORMAL, &split->own);
    if (status != VDE_OK) {
        free(split);
        return status;
    }
    split->request = request;
    split->remaining = count + 1; /* one for this function */
    for (uint64_t i = 0; i < count; i++) {
        struct vde_volume_request *piece = &split->pieces[i];
        *piece = *request;
        piece->buffer = (uint8_t *)request->buffer + i * BATCH_BYTES;
        piece->offset += i * BATCH_BYTES;
        piece->size = min_u64(BATCH_BYTES, request->size - i * BATCH_BYTES);
        piece->done = piece_done;
        piece->context = split;
        status = split->status == VDE_OK ? queue_add_write(queue, piece, split->credit) : split->status;
        if (status != VDE_OK)
            end_piece(queue, piece, status);
    }
    end_piece(queue, &split->pieces[0], VDE_OK);
    return VDE_OK;
}

/* --- requests ------------------------------------------------------------------------------------------------------ */

/* Complete it, or when it must be durable first, as soon as that is so. */
static void settle(struct vde_volume_queue *queue, struct vde_volume_request *request, vde_status status, bool hard,
                   uint64_t lsn)
{
    if (status != VDE_OK || !hard) {
        queue_complete(queue, request, status);
        return;
    }
    queue->hard_lsn = max_u64(queue->hard_lsn, lsn);
    list_add(&queue->hard, request);
}

static void start_write(struct vde_volume_queue *queue, struct vde_volume_request *request)
{
    uint64_t unit = volume_has_frames(request->volume) ? FRAME_BYTES : BLOCK_BYTES, lsn = 0;
    vde_status status;
    if ((request->size | request->offset) % unit != 0) {
        status = volume_write_at(request->volume, request->buffer, request->size, request->offset,
                                 request->flags & VDE_VOLUME_FUA, &lsn);
        settle(queue, request, status, request->flags & VDE_VOLUME_FUA, lsn);
        return;
    }
    status = request->size <= BATCH_BYTES ? queue_add_write(queue, request, NULL) : start_split(queue, request);
    if (status != VDE_OK)
        queue_complete(queue, request, status);
}

static void start(struct vde_volume_queue *queue, struct vde_volume_request *request)
{
    struct vde_volume *volume = request->volume;
    bool change = request->op != VDE_VOLUME_OP_READ && request->op != VDE_VOLUME_OP_FLUSH;
    bool flush = request->op == VDE_VOLUME_OP_FLUSH, writable = !volume->tag && !queue->image->read_only;
    uint64_t lsn = flush && writable ? log_last_lsn(queue->image->log) : 0;
    vde_status status = flush ? VDE_OK : volume_check(volume, request->size, request->offset, change);
    if (status == VDE_OK && (request->flags & ~VDE_VOLUME_FUA || request->op > VDE_VOLUME_OP_WRITE_ZEROES))
        status = fail_as(VDE_INVAL, "volume request|operation %u, flags %#x|a known one", request->op, request->flags);
    if (status != VDE_OK || flush || request->size == 0) {
        settle(queue, request, status, flush && writable, lsn);
        return;
    }
    if (request->op == VDE_VOLUME_OP_READ) {
        queue_start_read(queue, request);
    } else if (request->op == VDE_VOLUME_OP_WRITE) {
        start_write(queue, request);
    } else {
        status = volume_forget_request(volume, request->size, request->offset,
                                       request->op == VDE_VOLUME_OP_WRITE_ZEROES, &lsn);
        settle(queue, request, status, request->flags & VDE_VOLUME_FUA, lsn);
    }
}

vde_status vde_volume_submit(vde_volume_queue *queue, struct vde_volume_request *request)
{
    if (queue->in_flight == queue->depth)
        return fail_as(VDE_BUSY, "volume queue|%u requests in flight|fewer", queue->in_flight);
    queue->in_flight++;
    request->status = VDE_OK;
    request->internal = NULL;
    start(queue, request);
    if (queue->done.first || queue->hard.first)
        signal_fd(queue);
    return VDE_OK;
}

/* Wait for the log once, for all that wait for it. */
static void harden(struct vde_volume_queue *queue)
{
    struct request_list list = queue->hard;
    if (!list.first)
        return;
    if (queue->done.first && !queue->hard_waited) { /* what is there already is told first, once */
        queue->hard_waited = true;
        return;
    }
    queue->hard = (struct request_list){0};
    queue->hard_waited = false;
    vde_status status = log_wait(queue->image->log, queue->hard_lsn);
    for (struct vde_volume_request *request = list_take(&list); request; request = list_take(&list))
        queue_complete(queue, request, status);
}

static uint32_t hand_out(struct vde_volume_queue *queue, struct vde_volume_request **ret_requests, uint32_t max)
{
    uint32_t count = 0;
    while (count < max && queue->done.first) {
        struct vde_volume_request *request = list_take(&queue->done);
        queue->in_flight--;
        if (ret_requests)
            ret_requests[count] = request->done ? NULL : request;
        count++;
        if (request->done)
            request->done(request);
    }
    return count;
}

vde_status vde_volume_reap(vde_volume_queue *queue, struct vde_volume_request **ret_requests, uint32_t max, bool wait,
                           uint32_t *ret_count)
{
    uint64_t drained;
    if (queue->fd >= 0) {
        ssize_t got = read(queue->fd, &drained, sizeof drained);
        (void)got;
    }
    *ret_count = 0;
    do {
        bool nothing = !queue->done.first && !queue->hard.first;
        queue_pump(queue, true);
        uint32_t some = queue->patient ? queue->io_in_flight : 1;
        queue_collect(queue, wait && nothing ? some : 0);
        queue_pump(queue, true); /* what has become free is used before the caller takes his time */
        harden(queue);
        *ret_count = hand_out(queue, ret_requests, max);
    } while (wait && max > 0 && *ret_count == 0 && queue->in_flight > 0);
    if (queue->done.first || queue->hard.first)
        signal_fd(queue);
    return VDE_OK;
}

/* --- for blocking writes -------------------------------------------------------------------------------------------- */

static vde_status borrow(struct volumes *volumes, struct vde_volume_queue **ret_queue)
{
    lock_take(&volumes->spare_lock);
    struct vde_volume_queue *queue = volumes->spare_queues;
    if (queue) {
        volumes->spare_queues = queue->next;
        volumes->spare_queue_count--;
    }
    lock_drop(&volumes->spare_lock);
    if (!queue) {
        VDE_TRY(create(volumes, QUEUE_IO_MIN, &queue));
        queue->patient = true;
    }
    *ret_queue = queue;
    return VDE_OK;
}

static void give_back(struct volumes *volumes, struct vde_volume_queue *queue)
{
    lock_take(&volumes->spare_lock);
    bool keep = volumes->spare_queue_count < SPARE_QUEUES;
    if (keep) {
        queue->next = volumes->spare_queues;
        volumes->spare_queues = queue;
        volumes->spare_queue_count++;
    }
    lock_drop(&volumes->spare_lock);
    if (!keep)
        destroy(queue);
}

vde_status queue_write(struct vde_volume *volume, const void *data, uint64_t size, uint64_t offset, struct credit *credit,
                       uint64_t *ret_lsn)
{
    struct vde_volume_queue *queue;
    struct vde_volume_request request = {.volume = volume, .op = VDE_VOLUME_OP_WRITE, .size = size, .offset = offset,
                                         .buffer = (void *)(uintptr_t)data}, *reaped;
    uint32_t count = 0;
    VDE_TRY(borrow(volume->volumes, &queue));
    queue->credit = credit;
    vde_status status = vde_volume_submit(queue, &request);
    while (status == VDE_OK && count == 0)
        status = vde_volume_reap(queue, &reaped, 1, true, &count);
    queue->credit = NULL;
    give_back(volume->volumes, queue);
    *ret_lsn = log_last_lsn(volume->image->log);
    return status == VDE_OK ? request.status : status;
}
