/* SPDX-License-Identifier: Apache-2.0 */
/* recovery.c -- replay the log after the newest checkpoint. Two passes: the first finds the end and how far flushes are
 * on record, the second applies, verifying what the unacknowledged tail names. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/checksum.h"
#include "base/fail.h"
#include "base/mutate.h"
#include "pool/blocks.h"
#include "tree/spill.h"

struct end {
    uint64_t position, chain, next_lsn, flushed_through;
    bool torn;
};

static vde_status open_reader(struct vde_image *image, struct log_reader **ret_reader)
{
    return log_reader_open(image->device, layout_region(&image->label.layout, REGION_LOG), image->seed,
                           image->sb.epoch, image->sb.log_start, image->sb.log_chain, image->sb.checkpoint_lsn + 1,
                           ret_reader);
}

static vde_status find_end(struct vde_image *image, struct end *ret_end)
{
    struct log_reader *reader;
    struct end end = {.next_lsn = image->sb.checkpoint_lsn + 1};
    VDE_TRY(open_reader(image, &reader));
    const uint8_t *bytes;
    struct frame frame;
    vde_status status;
    while ((status = log_reader_next(reader, &bytes, &frame)) == VDE_OK) {
        end.next_lsn = frame.first_lsn + frame.count;
        end.flushed_through = frame.flushed_through;
    }
    log_reader_end(reader, &end.position, &end.chain, &end.torn);
    log_reader_close(reader);
    if (status != VDE_NOT_FOUND)
        return status;
    *ret_end = end;
    return VDE_OK;
}

static vde_status check_place(const struct vde_image *image, uint64_t address, uint64_t blocks)
{
    const struct layout *layout = &image->label.layout;
    if (blocks == 0 || blocks > SPILL_EXTENT_MAX_BYTES / BLOCK_BYTES || !layout_allocatable(layout, address) ||
        !layout_allocatable(layout, address + blocks - 1))
        return fail_corrupt("log extent at block %llu|%llu blocks|a run in the heap", (unsigned long long)address,
                            (unsigned long long)blocks);
    return VDE_OK;
}

/* Read what `p` names and compare it with one checksum, or, `run` not NULL, with those of its blocks. */
static vde_status verify_data(struct vde_image *image, struct ptr p, const struct block_run *run, bool *ret_valid)
{
    uint8_t *buffer = aligned_alloc(BLOCK_BYTES, (size_t)p.blocks * BLOCK_BYTES);
    if (!buffer)
        return fail_nomem("recovery");
    vde_status status = image_read(image, p.address, buffer, p.blocks);
    *ret_valid = status == VDE_OK && (run || checksum(buffer, p.bytes, image->seed ^ p.address) == p.checksum);
    for (uint32_t i = 0; run && *ret_valid && i < run->blocks; i++)
        *ret_valid = checksum(buffer + (size_t)i * BLOCK_BYTES, BLOCK_BYTES, image->seed ^ (p.address + i)) ==
                     run_checksum(run, i);
    free(buffer);
    return status;
}

static vde_status verify_extent(struct vde_image *image, struct ptr p, const struct block_run *run, bool *ret_valid)
{
    *ret_valid = false;
    VDE_TRY(check_place(image, p.address, p.blocks));
    if (p.bytes > (uint64_t)p.blocks * BLOCK_BYTES)
        return fail_corrupt("log extent at block %llu|%u bytes in %u blocks|not more than fit",
                            (unsigned long long)p.address, p.bytes, p.blocks);
    return verify_data(image, p, run, ret_valid);
}

typedef vde_status (*visit_fn)(struct vde_image *image, struct ptr p, const struct block_run *run, bool *ret_ok);

static vde_status visit_run(struct vde_image *image, const struct op *op, visit_fn visit, bool *ret_ok)
{
    struct block_run run = run_get(op->key, op->value);
    struct ptr p = value_extent(VALUE_RUN, op->value, 0);
    p.checksum = run_checksum(&run, 0);
    return visit(image, p, run_compressed(&run) ? NULL : &run, ret_ok);
}

/* Call `visit` for every extent that the operations name. */
static vde_status each_extent(struct vde_image *image, const uint8_t *ops, uint32_t count,
                              visit_fn visit, bool *ret_ok)
{
    *ret_ok = true;
    for (uint32_t i = 0; i < count && *ret_ok; i++) {
        struct op op;
        ops = op_get(ops, &op);
        if (op.kind == VALUE_EXTENT) {
            struct disk_ptr disk;
            if (op.value_size < sizeof disk)
                return fail_corrupt("log operation|an extent of %zu bytes|a pointer", op.value_size);
            memcpy(&disk, op.value, sizeof disk);
            VDE_TRY(visit(image, ptr_get(&disk), NULL, ret_ok));
        } else if (op.kind == VALUE_RUN) {
            VDE_TRY(visit_run(image, &op, visit, ret_ok));
        } else if (op.kind == VALUE_SPILLED) {
            VDE_TRY(spill_verify(op.value, op.value_size, "log operation"));
            for (unsigned n = 0; n < spill_count(op.value) && *ret_ok; n++)
                VDE_TRY(visit(image, spill_extent(op.value, n), NULL, ret_ok));
        }
    }
    return VDE_OK;
}

static vde_status claim(struct vde_image *image, struct ptr p, const struct block_run *run, bool *ret_ok)
{
    (void)run;
    *ret_ok = true;
    return image->space ? space_claim(image->space, p.address, p.blocks) : VDE_OK;
}

/* What packs and reads entries takes their shape for granted. */
static vde_status verify_history(const uint8_t *ops, uint32_t count, uint64_t lsn)
{
    for (uint32_t i = 0; i < count; i++) {
        struct op op;
        ops = op_get(ops, &op);
        if (op.dataset != DATASET_HISTORY)
            continue;
        bool big = op.key_size == 16 && be64_get(op.key) & STREAM_BIG_BIT;
        if (op.key_size != 16 || op.kind != (big ? VALUE_SPILLED : VALUE_INLINE) ||
            (!big && op.value_size < sizeof(struct disk_log_entry)))
            return fail_corrupt("log record %llu operation %u|kind %d, key of %zu, value of %zu bytes|a stream entry",
                                (unsigned long long)lsn, i, (int)op.kind, op.key_size, op.value_size);
    }
    return VDE_OK;
}

static vde_status apply_record(struct vde_image *image, const struct disk_record *record, const uint8_t *ops)
{
    bool ok;
    uint32_t count = le32_get(record->count);
    struct overlay *overlay = image->current->overlays[0];
    struct op_sizes sizes;
    VDE_TRY(verify_history(ops, count, le64_get(record->lsn)));
    VDE_TRY(each_extent(image, ops, count, claim, &ok));
    measure_ops(ops, count, &sizes);
    image->replayed_unmaps += sizes.unmapped;
    if (image->replayed_unmaps > REPLAY_UNMAPS_MAX)
        return fail_corrupt("log record %llu|%llu blocks unmapped since the checkpoint|at most %u",
                            (unsigned long long)le64_get(record->lsn), (unsigned long long)image->replayed_unmaps,
                            REPLAY_UNMAPS_MAX);
    VDE_TRY(overlay_reserve(overlay, sizes.entries, sizes.bytes));
    apply_ops(image, overlay, le64_get(record->lsn), ops, count);
    image->last_time_us = max_u64(image->last_time_us, le64_get(record->time_us));
    image->replayed_records++;
    image->replayed_bytes += le32_get(record->bytes);
    return VDE_OK;
}

/* Apply one frame; *ret_stop is set at the first record of the unacknowledged tail whose payload is not there. */
static vde_status apply_frame(struct vde_image *image, const uint8_t *bytes, const struct frame *frame,
                              uint64_t flushed_through, bool *ret_stop)
{
    const uint8_t *at = bytes + sizeof(struct disk_frame);
    for (uint32_t i = 0; i < frame->count; i++) {
        struct disk_record record;
        memcpy(&record, at, sizeof record);
        const uint8_t *ops = at + sizeof record;
        bool flushed = le64_get(record.lsn) <= flushed_through || le32_get(record.flags) & RECORD_FLUSHED;
        if (!flushed && !MUTATED(MUTATE_TAIL_PAYLOAD)) {
            bool valid;
            VDE_TRY(each_extent(image, ops, le32_get(record.count), verify_extent, &valid));
            if (!valid) {
                image->dropped_tail_lsn = le64_get(record.lsn);
                *ret_stop = true;
                return VDE_OK;
            }
        }
        VDE_TRY(apply_record(image, &record, ops));
        at += le32_get(record.bytes);
    }
    return VDE_OK;
}

static vde_status apply_all(struct vde_image *image, const struct end *end)
{
    struct log_reader *reader;
    VDE_TRY(open_reader(image, &reader));
    bool stop = false;
    vde_status status = VDE_OK;
    while (!stop && status == VDE_OK) {
        const uint8_t *bytes;
        struct frame frame;
        uint64_t position, chain;
        bool torn;
        log_reader_end(reader, &position, &chain, &torn);
        if (position == end->position)
            break;
        status = log_reader_next(reader, &bytes, &frame);
        if (status == VDE_OK)
            status = apply_frame(image, bytes, &frame, end->flushed_through, &stop);
    }
    log_reader_close(reader);
    return status;
}

/* After a clean close the next open writes its first frame where the log ended. One there means that the superblock of
 * that open is lost: then the whole ring is looked at, which says so. */
static vde_status written_since(struct vde_image *image, bool *ret_later)
{
    const struct region *ring = layout_region(&image->label.layout, REGION_LOG);
    void *block = aligned_alloc(BLOCK_BYTES, BLOCK_BYTES);
    if (!block)
        return fail_nomem("recovery");
    struct frame frame;
    vde_status status = image_read(image, ring->block + image->sb.log_start / BLOCK_BYTES % ring->blocks, block, 1);
    *ret_later = status == VDE_OK && frame_peek(block, image->seed, &frame) && frame.epoch > image->sb.epoch;
    free(block);
    return status;
}

vde_status recovery_replay(struct vde_image *image, struct log_start *ret_start)
{
    image->last_time_us = image->sb.last_time_us;
    *ret_start = (struct log_start){image->sb.log_start, image->sb.log_chain, image->sb.log_start,
                                    image->sb.checkpoint_lsn, image->sb.epoch};
    bool later = true;
    if (image->sb.autoclear & FEATURE_AUTOCLEAR_CLEAN)
        VDE_TRY(written_since(image, &later));
    if (!later)
        return VDE_OK;
    struct end end;
    VDE_TRY(find_end(image, &end));
    VDE_TRY(apply_all(image, &end));
    if (end.torn && image->dropped_tail_lsn == 0)
        image->dropped_tail_lsn = end.next_lsn;
    ret_start->position = end.position;
    ret_start->chain = end.chain;
    ret_start->last_lsn = image->dropped_tail_lsn ? image->dropped_tail_lsn - 1 : end.next_lsn - 1;
    return VDE_OK;
}
