/* SPDX-License-Identifier: Apache-2.0 */
/* log_private.h -- shared by the files of log/. */
#ifndef VDE_LOG_LOG_PRIVATE_H
#define VDE_LOG_LOG_PRIVATE_H

#include "base/checked.h"
#include "base/lock.h"
#include "log/log.h"

#define GROUP_CAP (128u << 10) /* larger groups cost more than they save */
#define SPARE_MAX 4u

enum { GROUP_OPEN = 0, GROUP_LEAD = 1, GROUP_LED = 2, GROUP_DONE = 3 }; /* the futex word */

struct group {
    struct group *next;
    uint8_t *buffer;      /* frame header and records; given back when written */
    size_t size, capacity;
    uint64_t first_lsn, last_lsn;
    uint32_t count;
    bool flush;           /* DSYNC is not enough */
    bool cut;             /* a checkpoint's log begins behind this group */
    bool marker;
    bool written;         /* beside its data, see beside.c: only the flush is left */
    struct group *before; /* such a one, which this one's flush covers */
    bool flushed;         /* a device flush followed the write */
    unsigned waiters;
    uint64_t position, chain;
    vde_status status;
    atomic_uint word;
    atomic_uint refs;
};

struct log {
    struct lock gate;      /* append + apply; see log.h */
    struct lock lock;
    /* immutable after open */
    struct vde_device *device;
    uint64_t ring_offset, ring_bytes, seed, epoch;
    void (*on_durable)(void *);
    void *on_durable_context;
    /* atomic */
    atomic_uint_least64_t last_lsn, durable_lsn, unknown_through;
    atomic_bool poisoned;
    /* guarded by lock */
    struct group *queue_head, *queue_tail; /* not yet sealed, oldest first; the open one is the tail */
    struct group *open;
    struct group *in_flight;
    bool leader;           /* somebody leads, or is being woken to */
    uint64_t head;         /* ring position behind the last sealed group */
    uint64_t queued_bytes; /* ring bytes the queue will take */
    uint64_t retained;
    uint64_t chain;        /* of the last group written */
    uint64_t cut_position, cut_chain;
    uint64_t marked_lsn;   /* durable_lsn of the newest marker */
    uint8_t *spare[SPARE_MAX];
    unsigned spare_count;
    bool unflushed_marker; /* the leader's: a marker was written without flush, so DSYNC alone would not cover it */
    uint64_t groups, flushes, bytes_written;
};

static inline uint64_t log_group_bytes(size_t size)
{
    return round_up(size, BLOCK_BYTES);
}
/* A buffer from the free list or fresh, and back. Lock held. */
uint8_t *log_buffer_take(struct log *log, size_t capacity);
void log_buffer_give(struct log *log, struct group *group);

/* Write a sealed group: frame header, device writes, flush if needed. The leader only. */
vde_status log_write_group(struct log *log, struct group *group);
/* Only the frame, together with `data_count` more requests, in any order. COMMIT_UNKNOWN: the frame itself failed. */
vde_status log_write_frame(struct log *log, struct group *group, const struct vde_io *data, size_t data_count);
#endif
