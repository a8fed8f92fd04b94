/* SPDX-License-Identifier: Apache-2.0 */
/* log.h -- the WAL ring and group commit.
 *
 * Records are appended, under the caller's gate, to the open group; whoever waits first leads: seals the group into one
 * frame, writes it on its own thread, wakes the others. One group is in flight at a time.
 *
 *     appended (LSN taken) -> sealed -> written -> durable: durable_lsn moves, waiters return
 *     (written beside its data -> appended) ---^
 *                                    \-> failed: poison; waiters of that group COMMIT_UNKNOWN, of later ones POISONED
 *
 * Invariants: LSNs of frames are contiguous; a frame's flushed_through is durable_lsn when it was sealed; the ring never
 * overwrites a frame at or after `retained`. */
#ifndef VDE_LOG_LOG_H
#define VDE_LOG_LOG_H

#include <stdatomic.h>

#include <vde/device.h>

#include "base/lock.h"
#include "format/frame.h"

struct log;

struct log_start {
    uint64_t position;  /* ring position where the next frame goes */
    uint64_t chain;     /* checksum of the frame before */
    uint64_t retained;  /* oldest position still needed */
    uint64_t last_lsn;  /* last LSN used */
    uint64_t epoch;
};

vde_status log_open(struct vde_device *device, const struct region *ring, uint64_t seed, const struct log_start *start,
                    struct log **ret_log);
void log_close(struct log *log);

/* Largest record, header included. */
uint64_t log_record_limit(const struct log *log);

/* What a record names outside the log. */
enum log_payload {
    LOG_PAYLOAD_NONE,      /* nothing */
    LOG_PAYLOAD_UNFLUSHED, /* data written since the last flush: DSYNC on the record is not enough */
    LOG_PAYLOAD_FLUSHED,   /* data that a flush has covered already */
};

/* The gate: whoever appends holds it from log_prepare until the record is applied, so that a record is wholly before or
 * wholly after a cut, and nothing is written that is not applied yet. */
struct lock *log_gate(struct log *log);

/* Append a record of the operations' bytes, in two calls so that everything that can fail comes before the LSN, which
 * will be log_last_lsn() + 1. Both under the gate. log_prepare: TIMED_OUT when the ring has no room until a checkpoint
 * frees it; POISONED. log_append can't fail. */
vde_status log_prepare(struct log *log, size_t ops_size);
void log_append(struct log *log, const void *ops, size_t ops_size, uint32_t count, uint64_t time_us,
                enum log_payload payload, uint64_t *ret_lsn);

/* Write a record at the same time as the data that it names, if nothing else waits or is under way; in place of log_prepare()
 * and log_append(). Under the gate, which it keeps meanwhile. VDE_OK: all of it is written, nothing flushed; the record,
 * which has log_last_lsn() + 1, is to be applied and then made known by log_append_beside(). Else nothing of it happened -
 * BUSY (without detail): write the data first and append; NOMEM; POISONED; what the device says: the record was erased -
 * or, COMMIT_UNKNOWN, the log is poisoned. */
vde_status log_write_beside(struct log *log, const void *ops, size_t ops_size, uint32_t count, uint64_t time_us,
                            const struct vde_io *data, size_t data_count);
void log_append_beside(struct log *log, uint64_t *ret_lsn);

uint64_t log_last_lsn(const struct log *log);    /* appended */
uint64_t log_durable_lsn(const struct log *log); /* the visibility watermark */

/* Wait until `lsn` is durable; leads if nobody does. POISONED or COMMIT_UNKNOWN as in vde/txn.h. */
vde_status log_wait(struct log *log, uint64_t lsn);
/* The outcome of an LSN in a poisoned log, without waiting. Only when log_poisoned(). */
vde_status log_wait_settled(struct log *log, uint64_t lsn);

/* Where a checkpoint with this cut begins its log. Under the gate: nothing appended after the call belongs to it. */
void log_cut(struct log *log);
/* After log_wait(cut LSN) succeeded: position and chain value behind the cut. */
void log_cut_place(struct log *log, uint64_t *ret_position, uint64_t *ret_chain);
/* A checkpoint is durable: frames before `retained` may be overwritten. */
void log_retain(struct log *log, uint64_t retained);

/* Write a marker if the newest flush is not on record yet and nothing is in flight; needs no flush. */
vde_status log_mark(struct log *log);

/* A write or flush elsewhere failed: nothing is durable any more. */
void log_poison(struct log *log);
bool log_poisoned(const struct log *log);

struct log_status {
    uint64_t ring_bytes, head, retained, groups, flushes, bytes_written;
    bool pending; /* records wait to be written */
    bool full;    /* more of them than one group */
};
void log_status(struct log *log, struct log_status *ret_status);
/* Set before the first append: called after durable_lsn moved or the log was poisoned, on the leader's thread, without locks. */
void log_on_durable(struct log *log, void (*call)(void *context), void *context);

/* Reading, for recovery and check. */
struct log_reader;
vde_status log_reader_open(struct vde_device *device, const struct region *ring, uint64_t seed, uint64_t epoch,
                           uint64_t position, uint64_t chain, uint64_t next_lsn, struct log_reader **ret_reader);
/* The next frame, verified, borrowed until the next call. NOT_FOUND: the log ends here (torn tail or clean end); CORRUPT:
 * acknowledged records are damaged or a superblock was lost. */
vde_status log_reader_next(struct log_reader *reader, const uint8_t **ret_bytes, struct frame *ret_frame);
/* After NOT_FOUND: where the next frame would be, its chain value, and whether something was dropped there. */
void log_reader_end(const struct log_reader *reader, uint64_t *ret_position, uint64_t *ret_chain, bool *ret_torn);
void log_reader_close(struct log_reader *reader);
#endif
