/* SPDX-License-Identifier: Apache-2.0 */
/* ring.c -- the log from the checkpoint on: frames in order, then whether anything proves that more was acknowledged. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"
#include "check/checker.h"
#include "format/frame.h"

struct ring {
    struct checker *c;
    uint64_t bytes, position, chain, lsn, flushed_through;
    uint8_t *buffer;
    struct blockset named; /* by records behind the cut */
};

static vde_status ring_read(struct ring *ring, uint64_t position, uint64_t bytes)
{
    uint64_t first = layout_region(&ring->c->label.layout, REGION_LOG)->block;
    for (uint64_t done = 0; done < bytes; done += BLOCK_BYTES)
        VDE_TRY(check_read(ring->c, first + (position + done) % ring->bytes / BLOCK_BYTES, ring->buffer + done, 1));
    return VDE_OK;
}

/* Read the frame at `position` if a whole valid one is there. */
static vde_status read_frame(struct ring *ring, uint64_t position, struct frame *ret_frame, bool *ret_valid)
{
    *ret_valid = false;
    VDE_TRY(ring_read(ring, position, BLOCK_BYTES));
    if (!frame_peek(ring->buffer, ring->c->seed, ret_frame) || ret_frame->bytes > ring->bytes / 2 ||
        ret_frame->position % ring->bytes != position % ring->bytes)
        return VDE_OK;
    VDE_TRY(ring_read(ring, position, round_up(ret_frame->bytes, BLOCK_BYTES)));
    *ret_valid = frame_verify(ring->buffer, ret_frame, ring->c->seed) == VDE_OK;
    return VDE_OK;
}

static vde_status name_blocks(struct ring *ring, uint64_t address, uint64_t blocks, uint64_t lsn)
{
    struct checker *c = ring->c;
    if (!check_allocatable(c, address, blocks)) {
        check_report(c, "log record %llu|an extent at block %llu + %llu|a run inside history area or heap",
                     (unsigned long long)lsn, (unsigned long long)address, (unsigned long long)blocks);
        return VDE_OK;
    }
    uint64_t owned = 0, twice = blockset_common(&ring->named, address, blocks);
    for (uint64_t i = address; i < address + blocks; i++)
        owned += marks_get(&c->marks, i) != 0;
    if (owned || twice) {
        c->summary->doubly_owned_blocks += max_u64(owned, twice);
        check_report(c, "log record %llu|its extent at block %llu has another owner|one owner", (unsigned long long)lsn,
                     (unsigned long long)address);
    }
    return blockset_add(&ring->named, address, blocks);
}

static vde_status name_run(struct ring *ring, const struct op *op, uint64_t lsn)
{
    struct check_record record = {op->key, op->value, op->key_size, op->value_size, op->kind, NULL};
    struct check_run run;
    if (!check_run_get(&record, "log record", &run))
        return check_note(ring->c, VDE_CORRUPT);
    return name_blocks(ring, run.address, run.stored, lsn);
}

static vde_status name_extents(struct ring *ring, const struct op *op, uint64_t lsn)
{
    struct checker *c = ring->c;
    if (op->kind == VALUE_DELETE || op->kind == VALUE_UNMAP)
        return VDE_OK;
    if (op->kind == VALUE_RUN)
        return name_run(ring, op, lsn);
    vde_status status = value_verify(op->kind, op->value, op->value_size, c->label.layout.blocks, "log record");
    if (status != VDE_OK)
        return check_note(c, status);
    for (unsigned i = 0; i < value_extents(op->kind, op->value); i++) {
        struct ptr p = value_extent(op->kind, op->value, i);
        VDE_TRY(name_blocks(ring, p.address, p.blocks, lsn));
    }
    return VDE_OK;
}

/* The extents that acknowledged records name are whole; those of the tail may not be there. */
static vde_status check_named_data(struct ring *ring, const struct frame *frame)
{
    const uint8_t *at = ring->buffer + sizeof(struct disk_frame);
    for (uint32_t r = 0; r < frame->count; r++) {
        struct disk_record record;
        memcpy(&record, at, sizeof record);
        const uint8_t *op_at = at + sizeof record;
        for (uint32_t i = 0; i < le32_get(record.count); i++) {
            struct op op;
            op_at = op_get(op_at, &op);
            VDE_TRY(name_extents(ring, &op, le64_get(record.lsn)));
        }
        at += le32_get(record.bytes);
        ring->c->summary->log_records++;
    }
    return VDE_OK;
}

/* A frame anywhere in the ring that proves damage: of a later epoch, or later and flushed past what is missing. */
static vde_status judge(struct ring *ring)
{
    struct checker *c = ring->c;
    for (uint64_t place = 0; place < ring->bytes; place += BLOCK_BYTES) {
        struct frame frame;
        bool valid;
        VDE_TRY(read_frame(ring, place, &frame, &valid));
        if (valid && frame.epoch > c->sb.epoch) {
            check_report(c, "log|a frame of epoch %llu|epoch %llu at most: a superblock was lost",
                         (unsigned long long)frame.epoch, (unsigned long long)c->sb.epoch);
            return VDE_OK;
        }
        if (valid && frame.epoch == c->sb.epoch && frame.position > ring->position &&
            frame.flushed_through >= ring->lsn) {
            check_report(c, "log record %llu|damage|an acknowledged record, flushed through %llu",
                         (unsigned long long)ring->lsn, (unsigned long long)frame.flushed_through);
            return VDE_OK;
        }
    }
    return VDE_OK;
}

static vde_status walk_log(struct ring *ring)
{
    struct checker *c = ring->c;
    uint64_t start = ring->position;
    while (ring->position - start < ring->bytes) {
        struct frame frame;
        bool valid;
        VDE_TRY(read_frame(ring, ring->position, &frame, &valid));
        if (!valid || frame.position != ring->position || frame.epoch != c->sb.epoch || frame.chain != ring->chain ||
            frame.first_lsn != ring->lsn)
            break;
        if (frame.flushed_through >= ring->lsn)
            check_report(c, "log frame at position %llu|flushed through %llu|below its own records, %llu",
                         (unsigned long long)frame.position, (unsigned long long)frame.flushed_through,
                         (unsigned long long)ring->lsn);
        VDE_TRY(check_named_data(ring, &frame));
        ring->position += round_up(frame.bytes, BLOCK_BYTES);
        ring->chain = frame.checksum;
        ring->lsn += frame.count;
        ring->flushed_through = frame.flushed_through;
    }
    if ((c->sb.autoclear & FEATURE_AUTOCLEAR_CLEAN) && ring->lsn != c->sb.checkpoint_lsn + 1)
        check_report(c, "log|%llu records behind a clean close|none",
                     (unsigned long long)(ring->lsn - c->sb.checkpoint_lsn - 1));
    return judge(ring);
}

vde_status check_log(struct checker *c)
{
    struct ring ring = {.c = c, .bytes = layout_region(&c->label.layout, REGION_LOG)->blocks * BLOCK_BYTES,
                        .position = c->sb.log_start, .chain = c->sb.log_chain, .lsn = c->sb.checkpoint_lsn + 1};
    ring.buffer = aligned_alloc(BLOCK_BYTES, ring.bytes);
    if (!ring.buffer)
        return fail_nomem("log frame");
    vde_status status = blockset_init(&ring.named, c->label.layout.alloc_pages);
    if (status == VDE_OK)
        status = walk_log(&ring);
    blockset_done(&ring.named);
    free(ring.buffer);
    return status;
}
