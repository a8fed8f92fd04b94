/* SPDX-License-Identifier: Apache-2.0 */
/* log.c -- open, close, and the one place that writes the ring. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"
#include "base/mutate.h"
#include "log/log_private.h"

#define RECORD_FRACTION 8u /* a record takes at most this part of the ring */

vde_status log_open(struct vde_device *device, const struct region *ring, uint64_t seed, const struct log_start *start,
                    struct log **ret_log)
{
    struct log *log = calloc(1, sizeof *log);
    if (!log)
        return fail_nomem("log");
    lock_init(&log->gate, LOCK_GATE);
    lock_init(&log->lock, LOCK_GROUP);
    log->device = device;
    log->ring_offset = ring->block * BLOCK_BYTES;
    log->ring_bytes = ring->blocks * BLOCK_BYTES;
    log->seed = seed;
    log->epoch = start->epoch;
    log->head = start->position;
    log->retained = start->retained;
    log->chain = start->chain;
    atomic_init(&log->last_lsn, start->last_lsn);
    atomic_init(&log->durable_lsn, start->last_lsn);
    log->marked_lsn = start->last_lsn;
    *ret_log = log;
    return VDE_OK;
}

void log_close(struct log *log)
{
    if (!log)
        return;
    for (struct group *group = log->queue_head; group;) {
        struct group *next = group->next;
        free(group->buffer);
        free(group);
        group = next;
    }
    for (unsigned i = 0; i < log->spare_count; i++)
        free(log->spare[i]);
    lock_done(&log->lock);
    lock_done(&log->gate);
    free(log);
}

struct lock *log_gate(struct log *log)
{
    return &log->gate;
}

uint64_t log_record_limit(const struct log *log)
{
    return log->ring_bytes / RECORD_FRACTION - sizeof(struct disk_frame);
}

uint64_t log_last_lsn(const struct log *log)
{
    return atomic_load_explicit(&log->last_lsn, memory_order_acquire);
}

uint64_t log_durable_lsn(const struct log *log)
{
    return atomic_load_explicit(&log->durable_lsn, memory_order_acquire);
}

bool log_poisoned(const struct log *log)
{
    return atomic_load_explicit(&log->poisoned, memory_order_acquire);
}

/* Cut a frame into requests: at the ring's end and at the device's request size. */
static size_t pieces(const struct log *log, const struct group *group, uint8_t flags, struct vde_io *ios, size_t capacity)
{
    size_t count = 0;
    uint64_t bytes = round_up(group->size, BLOCK_BYTES);
    for (uint64_t done = 0; done < bytes && count < capacity; count++) {
        uint64_t place = (group->position + done) % log->ring_bytes;
        uint64_t size = min_u64(min_u64(bytes - done, VDE_IO_MAX_BYTES), log->ring_bytes - place);
        ios[count] = (struct vde_io){.op = VDE_IO_WRITE, .flags = flags, .size = (uint32_t)size,
                                     .offset = log->ring_offset + place, .buffer = group->buffer + done};
        done += size;
    }
    return count;
}

static bool needs_flush(const struct log *log, const struct group *group)
{
    return group->flush || log->unflushed_marker;
}

vde_status log_write_frame(struct log *log, struct group *group, const struct vde_io *data, size_t data_count)
{
    struct frame frame = {log->epoch, group->position, group->first_lsn, log->chain, log_durable_lsn(log), 0,
                          group->count, (uint32_t)group->size};
    size_t padded = round_up(group->size, BLOCK_BYTES);
    memset(group->buffer + group->size, 0, padded - group->size);
    group->chain = frame_seal(group->buffer, &frame, log->seed);
    uint8_t flags = (uint8_t)(needs_flush(log, group) || group->marker ? 0u : VDE_IO_DSYNC);
    size_t capacity = padded / VDE_IO_MAX_BYTES + 3 + data_count;
    struct vde_io few[8], *ios = capacity <= 8 ? few : calloc(capacity, sizeof *ios);
    if (!ios)
        return fail_nomem("log write");
    if (data_count > 0)
        memcpy(ios, data, data_count * sizeof *ios);
    size_t count = data_count + pieces(log, group, flags, ios + data_count, capacity - data_count);
    vde_status status = log->device->ops->run(log->device, ios, count);
    for (size_t i = data_count; i < count; i++)
        if (ios[i].result != VDE_OK)
            status = VDE_COMMIT_UNKNOWN;
    if (ios != few)
        free(ios);
    return status;
}

vde_status log_write_group(struct log *log, struct group *group)
{
    bool flush = needs_flush(log, group) && !group->marker && !(group->written && MUTATED(MUTATE_BESIDE_FLUSH));
    vde_status status = group->written ? VDE_OK : log_write_frame(log, group, NULL, 0); /* a failure poisons */
    group->flushed = flush;
    if (status == VDE_OK && flush)
        status = log->device->ops->flush(log->device);
    log->unflushed_marker = group->marker;
    return status;
}

void log_cut_place(struct log *log, uint64_t *ret_position, uint64_t *ret_chain)
{
    lock_take(&log->lock);
    *ret_position = log->cut_position;
    *ret_chain = log->cut_chain;
    lock_drop(&log->lock);
}

void log_retain(struct log *log, uint64_t retained)
{
    lock_take(&log->lock);
    log->retained = retained;
    lock_drop(&log->lock);
}

void log_status(struct log *log, struct log_status *ret_status)
{
    lock_take(&log->lock);
    const struct group *first = log->queue_head, *open = first && first->written ? first->next : first;
    *ret_status = (struct log_status){log->ring_bytes, log->head,          log->retained, log->groups,
                                      log->flushes,    log->bytes_written, first && first->count > 0,
                                      open && open->next};
    lock_drop(&log->lock);
}

void log_on_durable(struct log *log, void (*call)(void *context), void *context)
{
    log->on_durable = call;
    log->on_durable_context = context;
}
