/* SPDX-License-Identifier: Apache-2.0 */
/* volume_queue_io.c -- batches and reads of a queue on their way through the device. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"
#include "dataset/volume_queue.h"

#define SEND_MAX 64u
#define KICK_AT 2u /* requests that are handed over together when the device is busy anyway */
#define TURN_MAX 4u /* completions that are worked on before the caller can refill: the device goes on meanwhile */

void list_add(struct request_list *list, struct vde_volume_request *request)
{
    request->internal = NULL;
    if (list->last)
        list->last->internal = request;
    else
        list->first = request;
    list->last = request;
}

struct vde_volume_request *list_take(struct request_list *list)
{
    struct vde_volume_request *request = list->first;
    if (!request)
        return NULL;
    list->first = request->internal;
    if (!list->first)
        list->last = NULL;
    request->internal = NULL;
    return request;
}

/* --- device requests ----------------------------------------------------------------------------------------------- */

static void send(struct vde_volume_queue *queue, struct vde_async_io *io, void *context)
{
    io->context = context;
    io->next = NULL;
    *queue->backlog_end = io;
    queue->backlog_end = &io->next;
}

static void io_done(struct vde_volume_queue *queue, struct vde_async_io *io);

/* Hand over what there is room for. */
static void drain_backlog(struct vde_volume_queue *queue)
{
    while (queue->backlog && queue->io_in_flight < queue->io_depth) {
        struct vde_async_io *ios[SEND_MAX];
        size_t count = 0, room = min_u64(SEND_MAX, queue->io_depth - queue->io_in_flight);
        while (queue->backlog && count < room) {
            ios[count++] = queue->backlog;
            queue->backlog = queue->backlog->next;
        }
        if (!queue->backlog)
            queue->backlog_end = &queue->backlog;
        vde_status status = queue->io->ops->submit(queue->io, ios, count);
        if (status == VDE_OK) {
            queue->io_in_flight += (uint32_t)count;
            queue->unkicked += (uint32_t)count;
            continue;
        }
        for (size_t i = 0; i < count; i++) {
            ios[i]->io.result = status;
            ios[i]->io.os_errno = 0;
            io_done(queue, ios[i]);
        }
    }
}

static void kick(struct vde_volume_queue *queue)
{
    if (queue->unkicked == 0)
        return;
    vde_status status = queue->io->ops->kick(queue->io);
    (void)status; /* what could not be started is told by reap */
    queue->unkicked = 0;
}

/* --- writes -------------------------------------------------------------------------------------------------------- */

static void fail_batch(struct vde_volume_queue *queue, struct write_batch *batch, vde_status status)
{
    struct request_list list = {batch->requests, NULL};
    batch_give(batch); /* first: it gives back what its request has reserved */
    for (struct vde_volume_request *request = list_take(&list); request; request = list_take(&list))
        queue_complete(queue, request, status);
}

static void issue(struct vde_volume_queue *queue, struct write_batch *batch)
{
    struct vde_io ios[BATCH_ROOM];
    vde_status status = batch_place(batch);
    if (status != VDE_OK) {
        fail_batch(queue, batch, status);
        return;
    }
    queue->batches_in_flight++;
    batch->pending = batch_ios(batch, ios);
    for (uint32_t i = 0; i < batch->pending; i++) {
        batch->ios[i] = (struct vde_async_io){.io = ios[i]};
        send(queue, &batch->ios[i], batch);
    }
}

static void publish(struct vde_volume_queue *queue, struct write_batch *batch)
{
    vde_status status = batch->status == VDE_OK ? batch_publish(batch) : batch->status;
    if (status == VDE_BUSY) { /* a volume shrank: the rest once more */
        struct request_list list = {batch->requests, NULL}, kept = {0};
        for (struct vde_volume_request *request = list_take(&list); request; request = list_take(&list))
            if (request->offset + request->size > volume_bytes(request->volume))
                queue_complete(queue, request, VDE_INVAL);
            else
                list_add(&kept, request);
        batch->requests = kept.first;
        batch_trim(batch);
        if (batch->unit_count > 0)
            issue(queue, batch);
        else
            fail_batch(queue, batch, VDE_INVAL);
        return;
    }
    struct request_list list = {batch->requests, NULL};
    uint64_t lsn = batch->lsn;
    batch_give(batch); /* first: it gives back what its request has reserved */
    for (struct vde_volume_request *request = list_take(&list); request; request = list_take(&list)) {
        if (status == VDE_OK && request->flags & VDE_VOLUME_FUA) {
            queue->hard_lsn = max_u64(queue->hard_lsn, lsn);
            list_add(&queue->hard, request);
        } else {
            queue_complete(queue, request, status);
        }
    }
}

static void seal(struct vde_volume_queue *queue)
{
    struct write_batch *batch = queue->open;
    if (!batch)
        return;
    queue->open = NULL;
    batch->next = NULL;
    *queue->ready_end = batch;
    queue->ready_end = &batch->next;
    queue->ready_count++;
}

void queue_pump(struct vde_volume_queue *queue, bool all)
{
    if (all && queue->ready_count == 0 && queue->batches_in_flight < QUEUE_FLIGHT_OPEN)
        seal(queue);
    bool issued = false;
    while (queue->ready && queue->batches_in_flight < QUEUE_FLIGHT) {
        issued = true;
        struct write_batch *batch = queue->ready;
        queue->ready = batch->next;
        if (!queue->ready)
            queue->ready_end = &queue->ready;
        queue->ready_count--;
        issue(queue, batch);
    }
    bool idle = queue->io_in_flight == queue->unkicked;
    drain_backlog(queue);
    if (idle || issued || queue->unkicked >= KICK_AT)
        kick(queue);
}

/* The batch that `blocks` can join. */
static vde_status open_batch(struct vde_volume_queue *queue, const struct open_volume *volume, uint64_t block,
                             uint32_t blocks, bool frame, bool alone)
{
    if (queue->open && (alone || !batch_fits(queue->open, volume, block, blocks, frame)))
        seal(queue);
    while (queue->ready_count > QUEUE_READY_MAX) {
        queue_pump(queue, true);
        queue_collect(queue, 1);
    }
    return queue->open ? VDE_OK : batch_take(queue->volumes, &queue->open);
}

vde_status queue_add_write(struct vde_volume_queue *queue, struct vde_volume_request *request, struct credit *credit)
{
    struct open_volume *shared = request->volume->shared;
    uint64_t block = request->offset / BLOCK_BYTES, end = request->offset + request->size;
    uint32_t blocks = (uint32_t)(request->size / BLOCK_BYTES);
    bool frames = volume_has_frames(request->volume);
    VDE_TRY(open_batch(queue, shared, block, blocks, frames, credit != NULL));
    struct write_batch *batch = queue->open;
    const uint8_t *data = request->buffer;
    if (frames)
        for (uint32_t i = 0; i < blocks; i += RUN_FRAME_BLOCKS)
            batch_add_frame(batch, shared, block + i, data + (size_t)i * BLOCK_BYTES, end);
    else
        batch_add(batch, shared, block, blocks, data, end);
    batch->credit = credit;
    request->internal = NULL;
    *batch->last_request = request;
    batch->last_request = (struct vde_volume_request **)&request->internal;
    bool idle = queue->fd >= 0 && queue->batches_in_flight + queue->ready_count == 0; /* the next reap may be late */
    if (credit || batch->blocks >= BATCH_BLOCKS || idle)
        seal(queue);
    queue_pump(queue, false);
    return VDE_OK;
}

/* --- reads --------------------------------------------------------------------------------------------------------- */

static void free_read(struct queue_read *read)
{
    plan_destroy(read->plan);
    free(read->bounce);
    free(read);
}

void queue_free_reads(struct vde_volume_queue *queue)
{
    while (queue->spare_reads) {
        struct queue_read *read = queue->spare_reads;
        queue->spare_reads = read->next;
        free_read(read);
    }
}

static struct queue_read *take_read(struct vde_volume_queue *queue, uint32_t blocks)
{
    struct queue_read *read = blocks <= PLAN_SMALL ? queue->spare_reads : NULL;
    if (read) {
        queue->spare_reads = read->next;
        return read;
    }
    read = calloc(1, sizeof *read);
    if (read && plan_create(blocks <= PLAN_SMALL ? PLAN_SMALL : PLAN_LARGE, &read->plan) != VDE_OK) {
        free(read);
        return NULL;
    }
    return read;
}

static void end_read(struct vde_volume_queue *queue, struct queue_read *read, vde_status status)
{
    struct vde_volume_request *request = read->request;
    volume_unpin(request->volume, &read->pin);
    if (read->plan->capacity == PLAN_SMALL) {
        read->next = queue->spare_reads;
        queue->spare_reads = read;
    } else {
        free_read(read);
    }
    queue_complete(queue, request, status);
}

/* Memory for the step: the caller's when everything is aligned. */
static vde_status step_memory(struct queue_read *read, uint32_t blocks, bool aligned, uint8_t **ret_data)
{
    const struct vde_volume_request *request = read->request;
    read->bounced = !aligned;
    if (aligned) {
        *ret_data = (uint8_t *)request->buffer + read->done;
        return VDE_OK;
    }
    if (read->bounce_blocks < blocks) {
        free(read->bounce);
        read->bounce_blocks = 0;
        read->bounce = aligned_alloc(BLOCK_BYTES, (size_t)blocks * BLOCK_BYTES);
        if (!read->bounce)
            return fail_nomem("volume read");
        read->bounce_blocks = blocks;
    }
    *ret_data = read->bounce;
    return VDE_OK;
}

/* Map the next step and send its requests; read->pending 0: it needed none. */
static vde_status start_step(struct vde_volume_queue *queue, struct queue_read *read)
{
    const struct vde_volume_request *request = read->request;
    uint64_t offset = request->offset + read->done, left = request->size - read->done, skip = offset % BLOCK_BYTES;
    bool aligned = (skip | left | (uintptr_t)((uint8_t *)request->buffer + read->done)) % BLOCK_BYTES == 0;
    uint32_t blocks = (uint32_t)min_u64(div_up(skip + left, BLOCK_BYTES), read->plan->capacity);
    uint8_t *data = NULL;
    read->step = min_u64(left, blocks * BLOCK_BYTES - skip);
    VDE_TRY(step_memory(read, blocks, aligned, &data));
    VDE_TRY(queue->cursor ? block_cursor_reset(queue->cursor, &read->pin.map)
                          : block_cursor_open(&read->pin.map, &queue->cursor));
    VDE_TRY(plan_map(read->plan, queue->cursor, offset / BLOCK_BYTES, blocks, data));
    read->pending = read->plan->io_count;
    for (uint32_t i = 0; i < read->plan->io_count; i++)
        send(queue, &read->plan->ios[i], read);
    return VDE_OK;
}

static vde_status finish_step(struct queue_read *read)
{
    const struct vde_volume_request *request = read->request;
    VDE_TRY(plan_finish(read->plan, request->volume));
    if (read->bounced)
        memcpy((uint8_t *)request->buffer + read->done,
               read->bounce + (request->offset + read->done) % BLOCK_BYTES, read->step);
    read->done += read->step;
    return VDE_OK;
}

/* Go on until requests are under way or all is there. */
static void advance_read(struct vde_volume_queue *queue, struct queue_read *read)
{
    vde_status status = VDE_OK;
    while (status == VDE_OK && read->done < read->request->size) {
        status = start_step(queue, read);
        if (status == VDE_OK && read->pending > 0)
            return;
        if (status == VDE_OK)
            status = finish_step(read);
    }
    end_read(queue, read, status);
}

void queue_start_read(struct vde_volume_queue *queue, struct vde_volume_request *request)
{
    struct queue_read *read = take_read(queue, (uint32_t)min_u64(request->size / BLOCK_BYTES + 2, PLAN_LARGE));
    if (!read) {
        queue_complete(queue, request, fail_nomem("volume read"));
        return;
    }
    read->request = request;
    read->done = 0;
    vde_status status = volume_pin(request->volume, &read->pin);
    if (status != VDE_OK) {
        free_read(read);
        queue_complete(queue, request, status);
        return;
    }
    advance_read(queue, read);
    queue_pump(queue, false);
}

/* --- completions --------------------------------------------------------------------------------------------------- */

static void io_done(struct vde_volume_queue *queue, struct vde_async_io *io)
{
    if (io->io.op == VDE_IO_WRITE) {
        struct write_batch *batch = io->context;
        if (batch->status == VDE_OK)
            batch->status = io->io.result;
        if (--batch->pending == 0) {
            queue->batches_in_flight--;
            publish(queue, batch);
        }
        return;
    }
    struct queue_read *read = io->context;
    if (--read->pending > 0)
        return;
    vde_status status = finish_step(read);
    if (status == VDE_OK)
        advance_read(queue, read);
    else
        end_read(queue, read, status);
}

void queue_collect(struct vde_volume_queue *queue, uint32_t wait_for)
{
    struct vde_async_io *ios[SEND_MAX];
    size_t count, most = queue->patient || queue->fd >= 0 ? SEND_MAX : TURN_MAX; /* the eventfd was raised for all of them */
    do {
        count = queue->io_in_flight > 0 ? queue->io->ops->reap(queue->io, ios, most, wait_for) : 0;
        queue->unkicked = 0;
        queue->io_in_flight -= (uint32_t)count;
        wait_for = 0;
        for (size_t i = 0; i < count; i++)
            io_done(queue, ios[i]);
    } while (count == SEND_MAX);
}
