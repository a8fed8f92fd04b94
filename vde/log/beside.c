/* SPDX-License-Identifier: Apache-2.0 */
/* beside.c -- a record that goes to the device together with the data it names, for writes that a flush follows at once:
 * one round of requests and one flush instead of two rounds. Recovery verifies the data of every record that no flush is
 * known to cover, so that a record whose data did not land is cut off like a torn one. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"
#include "base/mutate.h"
#include "log/log_private.h"

/* Take the leadership if nothing waits or is under way. Lock held. */
static vde_status begin(struct log *log, size_t need, struct group **ret_group)
{
    if (atomic_load_explicit(&log->poisoned, memory_order_relaxed))
        return fail_as(VDE_POISONED, "image");
    size_t size = sizeof(struct disk_frame) + need;
    if (log->leader || log->queue_head || log->in_flight || size > GROUP_CAP)
        return VDE_BUSY;
    if (log->head - log->retained + log_group_bytes(size) + 2 * BLOCK_BYTES > log->ring_bytes)
        return VDE_BUSY; /* log_prepare() says what is to be done */
    struct group *group = calloc(1, sizeof *group);
    uint8_t *buffer = group ? log_buffer_take(log, GROUP_CAP) : NULL;
    if (!buffer) {
        free(group);
        return fail_nomem("log group");
    }
    uint64_t lsn = log_last_lsn(log) + 1;
    *group = (struct group){.buffer = buffer, .capacity = GROUP_CAP, .size = size, .first_lsn = lsn, .last_lsn = lsn,
                            .count = 1, .flush = true, .position = log->head};
    atomic_init(&group->refs, 1);
    log->leader = true;
    log->in_flight = group; /* a poisoning meanwhile calls its record unknown */
    *ret_group = group;
    return VDE_OK;
}

/* Nobody has learnt of the LSN yet: it and its place in the ring will be the next record's. Until then the frame must
 * not count, should its data turn out to be there after all. */
static vde_status erase(struct log *log, struct group *group)
{
    struct vde_io io = {.op = VDE_IO_WRITE, .flags = VDE_IO_DSYNC, .size = BLOCK_BYTES, .buffer = group->buffer,
                        .offset = log->ring_offset + group->position % log->ring_bytes};
    if (MUTATED(MUTATE_BESIDE_ERASE))
        return VDE_OK;
    memset(group->buffer, 0, BLOCK_BYTES);
    return log->device->ops->run(log->device, &io, 1);
}

/* It failed: the record is erased, or, if it was the record that failed, nobody knows. */
static vde_status abandon(struct log *log, struct group *group, vde_status status)
{
    struct vde_error error;
    error_save(&error);
    bool unknown = status == VDE_COMMIT_UNKNOWN || log_poisoned(log) || erase(log, group) != VDE_OK;
    lock_take(&log->lock);
    unknown |= atomic_load(&log->poisoned);
    if (unknown) {
        atomic_store_explicit(&log->last_lsn, group->last_lsn, memory_order_release);
        atomic_store(&log->unknown_through, group->last_lsn);
        atomic_store(&log->poisoned, true);
    }
    log->in_flight = NULL;
    log->leader = false;
    log_buffer_give(log, group);
    free(group);
    lock_drop(&log->lock);
    error_restore(&error);
    if (!unknown)
        return status;
    if (log->on_durable)
        log->on_durable(log->on_durable_context);
    return fail_as(VDE_COMMIT_UNKNOWN, "image");
}

vde_status log_write_beside(struct log *log, const void *ops, size_t ops_size, uint32_t count, uint64_t time_us,
                            const struct vde_io *data, size_t data_count)
{
    struct group *group;
    lock_take(&log->lock);
    vde_status status = begin(log, sizeof(struct disk_record) + ops_size, &group);
    lock_drop(&log->lock);
    VDE_TRY(status);
    struct disk_record record = {le64(group->first_lsn), le64(time_us), le32((uint32_t)(sizeof record + ops_size)),
                                 le32(count), le32(0), le32(0)};
    memcpy(group->buffer + sizeof(struct disk_frame), &record, sizeof record);
    memcpy(group->buffer + sizeof(struct disk_frame) + sizeof record, ops, ops_size);
    status = log_write_frame(log, group, data, data_count);
    if (status == VDE_OK && !log_poisoned(log))
        return VDE_OK;
    return abandon(log, group, status);
}

void log_append_beside(struct log *log, uint64_t *ret_lsn)
{
    lock_take(&log->lock);
    struct group *group = log->in_flight;
    *ret_lsn = group->last_lsn;
    group->written = true;
    log->head += log_group_bytes(group->size);
    log->chain = group->chain;
    log->in_flight = NULL;
    log->leader = false;
    atomic_store_explicit(&log->last_lsn, group->last_lsn, memory_order_release);
    if (atomic_load_explicit(&log->poisoned, memory_order_relaxed)) {
        log_buffer_give(log, group);
        free(group);
    } else {
        log->queue_head = log->queue_tail = group;
    }
    lock_drop(&log->lock);
}
