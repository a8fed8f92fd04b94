/* SPDX-License-Identifier: Apache-2.0 */
/* submit.c -- the gate: validate, reserve everything that can fail, take the LSN, log, apply. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"
#include "base/mutate.h"
#include "pool/blocks.h"

#define FLUSH_FIRST_BYTES (1u << 20) /* larger payloads are flushed before their record, so recovery reads little */
#define OVERLAY_ENTRIES_MAX (REPLAY_UNMAPS_MAX / 2 - RECORD_RUN_BLOCKS_MAX) /* the active one; a second may be frozen */
#define SPACE_TRIES 3u               /* checkpoints that may bring deferred blocks back */

/* What the overlays say of a condition; they need no I/O, and the trees were asked when it was made. */
static bool violated(const struct vde_image *image, const struct condition *condition)
{
    for (unsigned i = 0; i < 2; i++) {
        struct overlay_entry entry;
        const struct overlay *overlay = image->current->overlays[i];
        if (overlay && overlay_get(overlay, DATASET_CATALOG, condition->key, condition->key_size, UINT64_MAX, &entry))
            return condition->present == (entry.kind == VALUE_DELETE);
    }
    return false;
}

static bool creates(const vde_txn *txn, uint64_t dataset)
{
    uint8_t key[16];
    size_t size = key_dataset(key, dataset);
    for (size_t i = 0; i < txn->condition_count; i++)
        if (txn->conditions[i].key_size == size && memcmp(txn->conditions[i].key, key, size) == 0)
            return true;
    return false;
}

static vde_status validate_append(const struct registry_entry *stream, const struct append *append)
{
    unsigned long long id = append->stream, first = append->first, last = stream->last_number;
    if (stream->dropped)
        return fail_as(VDE_NOT_FOUND, "stream %llu|a dropped stream|an existing one", id);
    if (!stream->has_last)
        return VDE_OK;
    if (append->first <= stream->last_number && !MUTATED(MUTATE_PUT_IF_ABSENT))
        return fail_as(VDE_EXISTS, "stream %llu|number %llu, which exists|%llu, the next", id, first, last + 1);
    if (append->first > stream->last_number + 1)
        return fail_as(VDE_GAP, "stream %llu|number %llu|%llu, the next", id, first, last + 1);
    if (append->timed && append->first_time_us && append->first_time_us < stream->last_time_us)
        return fail_as(VDE_INVAL, "stream %llu entry %llu|a time before the stream's last|a later one", id, first);
    return VDE_OK;
}

/* Gate held. Raises the transaction's least time so that entry times never decrease. */
static vde_status validate(vde_txn *txn)
{
    struct vde_image *image = txn->image;
    for (size_t i = 0; i < txn->touched_count; i++) {
        struct registry_entry *entry = registry_find(&image->registry, REGISTRY_DATASET, txn->touched[i]);
        if ((!entry || entry->dropped) && !creates(txn, txn->touched[i]))
            return fail_as(VDE_NOT_FOUND, "dataset %llu|no such dataset|an existing one",
                           (unsigned long long)txn->touched[i]);
    }
    for (size_t i = 0; i < txn->condition_count; i++)
        if (txn->conditions[i].generation != image->current->generation)
            return VDE_PIN_EXPIRED; /* the trees changed: look there again, outside the gate */
        else if (violated(image, &txn->conditions[i]))
            return txn_condition_failed(&txn->conditions[i]);
    if (txn->newest.dataset && txn_newer_snapshot(txn))
        return txn_not_newest(txn);
    for (size_t i = 0; i < txn->append_count; i++) {
        if (txn->appends[i].count == 0) /* the only call for this stream failed */
            continue;
        struct registry_entry *stream = registry_find(&image->registry, REGISTRY_STREAM, txn->appends[i].stream);
        if (!stream)
            return fail_as(VDE_INVAL, "stream %llu|not loaded|a loaded one",
                           (unsigned long long)txn->appends[i].stream);
        VDE_TRY(validate_append(stream, &txn->appends[i]));
        if (txn->appends[i].untimed)
            txn->min_time_us = max_u64(txn->min_time_us,
                                       max_u64(stream->last_time_us, txn->appends[i].last_time_us) + 1);
    }
    return txn_check_blocks(txn);
}

uint64_t pending_blocks(const struct vde_image *image, uint64_t ops, uint64_t bytes)
{
    if (ops == 0)
        return 0;
    uint64_t paths = min_u64(ops * 3, image->sb_published.meta_nodes + ops / 8 + 8);
    return paths + div_up(bytes * 2, BLOCK_BYTES) + ops / 64 + 4;
}

/* Gate held: keep the space that the trees will need for this record; part of it may be paid for. */
static vde_status reserve_space(vde_txn *txn, const struct op_sizes *sizes, uint64_t *ret_blocks, uint64_t *ret_paid)
{
    struct pending *p = &txn->image->active_pending;
    uint64_t need = pending_blocks(txn->image, p->ops + sizes->tree_ops, p->bytes + sizes->tree_bytes);
    *ret_blocks = need > p->reserved ? need - p->reserved : 0;
    *ret_paid = txn->credit ? min_u64(txn->credit->trees, *ret_blocks) : 0;
    VDE_TRY(space_reserve(txn->image->space, *ret_blocks - *ret_paid,
                          txn->frees || txn->credit ? SPACE_DELETE : SPACE_NORMAL));
    if (txn->credit)
        txn->credit->trees -= *ret_paid;
    return VDE_OK;
}

static void unreserve_space(vde_txn *txn, uint64_t blocks, uint64_t paid)
{
    space_unreserve(txn->image->space, blocks - paid);
    if (txn->credit)
        txn->credit->trees += paid;
}

static void patch_times(vde_txn *txn, uint64_t time_us)
{
    vde_le64 time = le64(time_us);
    for (size_t i = 0; i < txn->patch_count; i++)
        memcpy(txn->ops + txn->patches[i], &time, sizeof time);
}

/* Room in the log; or, while data is still to be written, the record in the log with it. UNSUPPORTED: not now. */
static vde_status prepare_log(vde_txn *txn, uint64_t time_us)
{
    struct log *log = txn->image->log;
    if (txn->data_count == 0)
        return log_prepare(log, txn->ops_size);
    vde_status status = log_write_beside(log, txn->ops, txn->ops_size, txn->count, time_us, txn->data, txn->data_count);
    txn->submitted = status == VDE_COMMIT_UNKNOWN; /* what it allocated may be in use */
    return status == VDE_BUSY ? VDE_UNSUPPORTED : status;
}

/* Gate held. TIMED_OUT: the ring is full; UNSUPPORTED: the data must be written first. */
static vde_status submit_once(vde_txn *txn, const struct op_sizes *sizes, struct vde_commit *ret_commit)
{
    struct vde_image *image = txn->image;
    struct overlay *overlay = image->current->overlays[0];
    uint64_t blocks, paid, lsn;
    VDE_TRY(validate(txn));
    if (overlay_bytes(overlay) > image->memory_bytes / 2 || overlay_entries(overlay) > OVERLAY_ENTRIES_MAX)
        return VDE_TIMED_OUT; /* over the budget: as if the ring were full */
    VDE_TRY(overlay_reserve(overlay, sizes->entries, sizes->bytes));
    VDE_TRY(reserve_space(txn, sizes, &blocks, &paid));
    uint64_t time_us = max_u64(max_u64(image_now_us(image), image->last_time_us + 1), txn->min_time_us);
    patch_times(txn, time_us);
    vde_status status = prepare_log(txn, time_us);
    if (status != VDE_OK) {
        unreserve_space(txn, blocks, paid);
        return status;
    }
    enum log_payload payload = LOG_PAYLOAD_NONE;
    if (txn->data_bytes > 0 && !MUTATED(MUTATE_DATA_FLUSH))
        payload = txn->data_bytes > FLUSH_FIRST_BYTES ? LOG_PAYLOAD_FLUSHED : LOG_PAYLOAD_UNFLUSHED;
    /* From here on only success or poison. Applied first: whoever sees the LSN finds the record whole. */
    apply_ops(image, overlay, log_last_lsn(image->log) + 1, txn->ops, txn->count);
    if (txn->data_count > 0)
        log_append_beside(image->log, &lsn);
    else
        log_append(image->log, txn->ops, txn->ops_size, txn->count, time_us, payload, &lsn);
    txn->data_count = 0;
    if (!txn->lazy)
        atomic_store_explicit(&image->eager_lsn, lsn, memory_order_relaxed);
    image->last_time_us = time_us;
    image->active_pending.ops += sizes->tree_ops;
    image->active_pending.bytes += sizes->tree_bytes;
    image->active_pending.reserved += blocks;
    txn->submitted = true;
    *ret_commit = (struct vde_commit){lsn, time_us};
    return VDE_OK;
}

static vde_status write_data(vde_txn *txn)
{
    size_t count = txn->data_count;
    txn->data_count = 0;
    return txn->image->device->ops->run(txn->image->device, txn->data, count);
}

static vde_status flush_data(vde_txn *txn)
{
    if (txn->data_bytes <= FLUSH_FIRST_BYTES)
        return VDE_OK;
    vde_status status = image_flush(txn->image);
    if (status != VDE_OK)
        log_poison(txn->image->log);
    return status;
}

vde_status vde_txn_submit(vde_txn *txn, struct vde_commit *ret_commit)
{
    struct vde_image *image = txn->image;
    if (txn->submitted || txn->count == 0)
        return fail_as(VDE_INVAL, "transaction|%s|changes that are not submitted yet",
                       txn->submitted ? "submitted already" : "empty");
    if (log_poisoned(image->log))
        return fail_as(VDE_POISONED, "image");
    VDE_TRY(flush_data(txn));
    struct op_sizes sizes;
    measure_ops(txn->ops, txn->count, &sizes);
    for (unsigned space_tries = 0;;) {
        lock_take(log_gate(image->log));
        vde_status status = submit_once(txn, &sizes, ret_commit);
        lock_drop(log_gate(image->log));
        if (status == VDE_PIN_EXPIRED) {
            VDE_TRY(txn_check_conditions(txn));
            continue;
        }
        /* A checkpoint voids expectations: whoever has some makes it himself, and reads again. */
        if (status == VDE_NOSPC && txn->expected_count == 0 && (space_tries++ < SPACE_TRIES || atomic_load(&image->zombies_left))) {
            struct vde_error error;
            error_save(&error);
            VDE_TRY(checkpoint_run(image, 0));
            error_restore(&error);
            continue;
        }
        if (status == VDE_UNSUPPORTED && txn->data_count > 0) {
            VDE_TRY(write_data(txn));
            continue;
        }
        if (status == VDE_TIMED_OUT) { /* the ring is full: a checkpoint makes room, a second one if two are kept */
            VDE_TRY(checkpoint_run(image, 0));
            continue;
        }
        if (status == VDE_OK)
            background_kick(image);
        return status;
    }
}

vde_status vde_image_wait(vde_image *image, uint64_t lsn)
{
    if (image->read_only)
        return fail_as(VDE_READ_ONLY, "image");
    if (lsn > log_last_lsn(image->log))
        return fail_as(VDE_INVAL, "LSN %llu|one that no transaction has|at most %llu", (unsigned long long)lsn,
                       (unsigned long long)log_last_lsn(image->log));
    return log_wait(image->log, lsn);
}

vde_status vde_txn_commit(vde_txn *txn, struct vde_commit *ret_commit)
{
    VDE_TRY(vde_txn_submit(txn, ret_commit));
    return log_wait(txn->image->log, ret_commit->lsn);
}
