/* SPDX-License-Identifier: Apache-2.0 */
/* txn.h -- one transaction = one log record = one atomic change of any datasets and streams.
 *
 * Build a vde_txn, submit it (it gets its LSN and time, and is applied but invisible), wait until it is durable (it
 * becomes visible to views opened afterwards). vde_txn_commit() does both.
 *
 * Statuses of submit: EXISTS / GAP (stream put-if-absent; nothing happened), NOT_FOUND (unknown dataset or snapshot),
 * NOSPC, NOMEM, TOO_LARGE, READ_ONLY, POISONED (certainly absent). After submit returned VDE_OK only durable or poison
 * follows: wait returns VDE_OK, POISONED (certainly absent) or COMMIT_UNKNOWN (settled at reopen).
 *
 * Threads: a vde_txn belongs to one thread at a time; any number of them may be built, submitted and awaited in
 * parallel. */
#ifndef VDE_TXN_H
#define VDE_TXN_H

#include <vde/image.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vde_txn vde_txn;
typedef struct vde_file_writer vde_file_writer;

#define VDE_KEY_MAX 768u            /* bytes of a key in a kv dataset */
#define VDE_VALUE_MAX (64u << 20)   /* bytes of a value or of a stream entry */

VDE_API VDE_MUST_CHECK vde_status vde_txn_create(vde_image *image, vde_txn **ret_txn);
/* Release a transaction, submitted or not (then nothing of it happens). NULL is fine. */
VDE_API void vde_txn_destroy(vde_txn *txn);

/* A new id for a dataset or stream, unique in the image for ever once a committed transaction used it. */
VDE_API uint64_t vde_id_reserve(vde_image *image);

/* Create an empty kv dataset. `id` from vde_id_reserve(); `name` (1-255 bytes, unique, not beginning with "volumes/") may
 * be NULL. */
VDE_API VDE_MUST_CHECK vde_status vde_txn_dataset_create(vde_txn *txn, uint64_t id, const char *name);
/* Drop a dataset with its snapshots; its space is freed by the following checkpoints. */
VDE_API VDE_MUST_CHECK vde_status vde_txn_dataset_drop(vde_txn *txn, uint64_t id);

/* Change a kv dataset. Keys are 1..VDE_KEY_MAX bytes, ordered as unsigned bytes. The last change of a key wins.
 * Bytes are copied. */
VDE_API VDE_MUST_CHECK vde_status vde_txn_put(vde_txn *txn, uint64_t dataset, const void *key, size_t key_size,
                                              const void *value, size_t value_size);
VDE_API VDE_MUST_CHECK vde_status vde_txn_delete(vde_txn *txn, uint64_t dataset, const void *key, size_t key_size);

/* Snapshot a dataset as this transaction leaves it. O(1). `tag` is the caller's, unique within the dataset, never 0.
 * EXISTS: the tag is taken, or this transaction makes a snapshot of the dataset already. */
VDE_API VDE_MUST_CHECK vde_status vde_txn_snapshot_create(vde_txn *txn, uint64_t dataset, uint64_t tag);
VDE_API VDE_MUST_CHECK vde_status vde_txn_snapshot_delete(vde_txn *txn, uint64_t dataset, uint64_t tag);

/* Append entry `number` to a stream: the last number + 1, or any number when the stream is empty; a lower one is EXISTS,
 * a higher one GAP (both decided at submit). `time_us` is the entry's time, 0 for the transaction's; times in a stream
 * never decrease. Entries of one stream may be appended several times in one transaction, in order. Bytes are copied;
 * more than 64 KiB goes out of line at once (device writes happen in this call). */
VDE_API VDE_MUST_CHECK vde_status vde_txn_append(vde_txn *txn, uint64_t stream, uint64_t number, uint64_t time_us,
                                                 const void *data, size_t size);
/* Forget a stream and all its entries. The id is never handed out again; appending to it stays an error while the image is
 * open, later it is the caller's duty not to. Space is freed by the following checkpoints. */
VDE_API VDE_MUST_CHECK vde_status vde_txn_stream_drop(vde_txn *txn, uint64_t stream);

/* The transaction's time will be at least this (its own is max(now, previous time + 1, this)). */
VDE_API void vde_txn_time_at_least(vde_txn *txn, uint64_t time_us);
/* This transaction frees space: it may use the slop kept for deletes. */
VDE_API void vde_txn_frees_space(vde_txn *txn);
/* Bytes that the record would take now; compare with vde_image_info.record_limit_bytes. */
VDE_API size_t vde_txn_size(const vde_txn *txn);

struct vde_commit {
    uint64_t lsn;
    uint64_t time_us;
};

/* Give the transaction its LSN and time and apply it; not yet durable, not yet visible. The record is in the log buffer:
 * somebody must wait for it (or a queue reaps it, or the background thread writes it within 10 ms). */
VDE_API VDE_MUST_CHECK vde_status vde_txn_submit(vde_txn *txn, struct vde_commit *ret_commit);
/* Wait until everything up to `lsn` is durable and visible. Leads the group write if nobody does. INVAL: no transaction
 * has this LSN yet. */
VDE_API VDE_MUST_CHECK vde_status vde_image_wait(vde_image *image, uint64_t lsn);
/* Submit and wait. */
VDE_API VDE_MUST_CHECK vde_status vde_txn_commit(vde_txn *txn, struct vde_commit *ret_commit);

/* Asynchronous form: a queue collects completions of transactions submitted to it. */
typedef struct vde_queue vde_queue;
struct vde_completion {
    uint64_t tag;         /* the caller's */
    vde_status status;    /* as vde_image_wait */
    struct vde_commit commit;
};
VDE_API VDE_MUST_CHECK vde_status vde_queue_create(vde_image *image, vde_queue **ret_queue);
/* All submitted transactions must have been reaped. */
VDE_API void vde_queue_destroy(vde_queue *queue);
/* An eventfd that becomes readable when completions wait; owned by the queue. After the first call the background
 * thread drives the log for this queue, so that an event loop need not. -1 when it can't be made. */
VDE_API int vde_queue_fd(vde_queue *queue);
/* Submit; the completion is delivered to the queue. The txn may be destroyed once this returned VDE_OK. */
VDE_API VDE_MUST_CHECK vde_status vde_txn_submit_async(vde_txn *txn, vde_queue *queue, uint64_t tag);
/* As above for a transaction submitted with vde_txn_submit(): deliver its durability to the queue. */
VDE_API VDE_MUST_CHECK vde_status vde_queue_watch(vde_queue *queue, struct vde_commit commit, uint64_t tag);
/* Take up to `max` completions in LSN order. With `wait`, leads or waits until there is at least one (returns at once
 * when nothing is in flight). */
VDE_API VDE_MUST_CHECK vde_status vde_queue_reap(vde_queue *queue, struct vde_completion *completions, size_t max,
                                                 bool wait, size_t *ret_count);

/* Files: sealed, immutable, checksummed blobs stored in the heap.
 * A writer takes bytes in order; sealing adds the file to a transaction: it exists when that is durable. */
VDE_API VDE_MUST_CHECK vde_status vde_file_create(vde_image *image, vde_file_writer **ret_writer);
/* After a failure the writer can only be released: seal fails, too. */
VDE_API VDE_MUST_CHECK vde_status vde_file_write(vde_file_writer *writer, const void *data, size_t size);
/* Finish: writes what is buffered, adds the file to `txn`, releases the writer (also on failure). *ret_file is the new
 * file's id, unique for ever. Until the transaction is durable the file does not exist; if it is never submitted, the
 * space comes back when the txn is destroyed. */
VDE_API VDE_MUST_CHECK vde_status vde_file_seal(vde_file_writer *writer, vde_txn *txn, uint64_t *ret_file);
VDE_API void vde_file_abort(vde_file_writer *writer);
/* Remove a file. NOT_FOUND: there is none. */
VDE_API VDE_MUST_CHECK vde_status vde_txn_file_remove(vde_txn *txn, uint64_t file);

#ifdef __cplusplus
}
#endif
#endif
