/* SPDX-License-Identifier: Apache-2.0 */
/* volume_rmw.c -- requests that cover blocks or compressed frames only in part: what they leave out is read, and the
 * transaction is void if it changed meanwhile; then everything is done again. */
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"
#include "base/mutate.h"
#include "dataset/volume.h"

struct rmw {
    struct vde_volume *volume;
    const uint8_t *data;        /* NULL: zeroes */
    uint64_t size, offset;
    uint64_t end;               /* what the volume must have */
    uint64_t first, count;      /* blocks that are written: those touched, and the rest of compressed frames */
    uint8_t *raw;               /* of them */
    struct reader *reader;
    struct volume_pin pin;
    struct write_batch *batch;
    bool hurried;
    struct credit *credit;
};

/* Read blocks, except those outside of what is written. */
static vde_status fetch(struct rmw *rmw, uint64_t block, uint64_t count)
{
    return count == 0 ? VDE_OK
                      : reader_blocks(rmw->reader, rmw->volume, block, (uint32_t)count,
                                      rmw->raw + (block - rmw->first) * BLOCK_BYTES);
}

/* Whether any of the 16 blocks of a frame is stored compressed. */
static vde_status has_frame(struct rmw *rmw, uint64_t frame, bool *ret_compressed)
{
    struct segment segment;
    *ret_compressed = false;
    for (uint64_t at = frame; at < frame + RUN_FRAME_BLOCKS && !*ret_compressed; at += segment.blocks) {
        VDE_TRY(block_cursor_at(rmw->reader->cursor, at, frame + RUN_FRAME_BLOCKS, &segment));
        *ret_compressed = segment.data && segment.compressed;
    }
    return VDE_OK;
}

/* The frame at one end of the request: is all of it rewritten? What it is must stay so. */
static vde_status look_at_frame(struct rmw *rmw, uint64_t frame, uint64_t first, uint64_t end, bool *ret_whole)
{
    *ret_whole = first <= frame && end >= frame + RUN_FRAME_BLOCKS;
    if (*ret_whole)
        return VDE_OK;
    batch_expect(rmw->batch, rmw->volume->shared, frame, RUN_FRAME_BLOCKS, &rmw->pin);
    VDE_TRY(has_frame(rmw, frame, ret_whole));
    *ret_whole &= !MUTATED(MUTATE_PARTIAL_FRAME);
    return VDE_OK;
}

/* What is written: whole blocks, widened to whole frames where those are compressed. */
static vde_status choose_range(struct rmw *rmw)
{
    uint64_t first = rmw->offset / BLOCK_BYTES, end = div_up(rmw->offset + rmw->size, BLOCK_BYTES);
    rmw->first = first;
    rmw->count = end - first;
    if (!volume_has_frames(rmw->volume))
        return VDE_OK;
    bool whole;
    uint64_t head = first / RUN_FRAME_BLOCKS * RUN_FRAME_BLOCKS, tail = (end - 1) / RUN_FRAME_BLOCKS * RUN_FRAME_BLOCKS;
    VDE_TRY(look_at_frame(rmw, head, first, end, &whole));
    if (whole)
        rmw->first = head;
    if (tail != head)
        VDE_TRY(look_at_frame(rmw, tail, first, end, &whole));
    rmw->count = (whole ? tail + RUN_FRAME_BLOCKS : end) - rmw->first;
    return VDE_OK;
}

/* Read what the request leaves out of the range. */
static vde_status fill(struct rmw *rmw)
{
    uint64_t first = rmw->offset / BLOCK_BYTES, end = div_up(rmw->offset + rmw->size, BLOCK_BYTES);
    bool head = rmw->offset % BLOCK_BYTES != 0, tail = (rmw->offset + rmw->size) % BLOCK_BYTES != 0;
    uint64_t covered = first + head, covered_end = end - tail; /* blocks that the request covers whole */
    uint64_t range_end = rmw->first + rmw->count;
    if (covered >= covered_end) {
        VDE_TRY(fetch(rmw, rmw->first, rmw->count));
    } else {
        VDE_TRY(fetch(rmw, rmw->first, covered - rmw->first));
        VDE_TRY(fetch(rmw, covered_end, range_end - covered_end));
    }
    if (!volume_has_frames(rmw->volume)) { /* else the frames are expected already */
        if (head)
            batch_expect(rmw->batch, rmw->volume->shared, first, 1, &rmw->pin);
        if (tail && !(head && end == first + 1))
            batch_expect(rmw->batch, rmw->volume->shared, end - 1, 1, &rmw->pin);
    }
    uint8_t *to = rmw->raw + (rmw->offset - rmw->first * BLOCK_BYTES);
    if (rmw->data)
        memcpy(to, rmw->data, rmw->size);
    else
        memset(to, 0, rmw->size);
    return VDE_OK;
}

/* Forget blocks that are covered whole; the one at an edge gets its new content. */
static void zero_plain(struct rmw *rmw, uint64_t first, uint64_t end)
{
    for (uint64_t at = first; at < end; at++) {
        uint64_t from = at * BLOCK_BYTES, to = from + BLOCK_BYTES;
        if (from >= rmw->offset && to <= rmw->offset + rmw->size)
            batch_unmap(rmw->batch, rmw->volume->shared, at, 1);
        else
            batch_add(rmw->batch, rmw->volume->shared, at, 1, rmw->raw + (at - rmw->first) * BLOCK_BYTES, rmw->end);
    }
}

/* Zeroes: only what is mapped is touched. */
static vde_status add_zeroes(struct rmw *rmw)
{
    struct open_volume *shared = rmw->volume->shared;
    uint64_t end = rmw->first + rmw->count;
    struct segment segment;
    for (uint64_t at = rmw->first, next; at < end; at = next) {
        uint64_t frame = at / RUN_FRAME_BLOCKS * RUN_FRAME_BLOCKS;
        VDE_TRY(block_cursor_at(rmw->reader->cursor, at, min_u64(end, frame + RUN_FRAME_BLOCKS), &segment));
        next = at + segment.blocks;
        if (!segment.data)
            continue;
        bool covered = frame * BLOCK_BYTES >= rmw->offset &&
                       (frame + RUN_FRAME_BLOCKS) * BLOCK_BYTES <= rmw->offset + rmw->size;
        if (shared->compression && covered) { /* all of it: another frame may be written there meanwhile */
            next = frame + RUN_FRAME_BLOCKS;
            batch_unmap(rmw->batch, shared, frame, RUN_FRAME_BLOCKS);
        } else if (segment.compressed) {
            next = frame + RUN_FRAME_BLOCKS;
            batch_add_frame(rmw->batch, shared, frame, rmw->raw + (frame - rmw->first) * BLOCK_BYTES, rmw->end);
        } else {
            zero_plain(rmw, at, next);
        }
    }
    return VDE_OK;
}

static void add_units(struct rmw *rmw)
{
    struct open_volume *shared = rmw->volume->shared;
    uint64_t end = rmw->first + rmw->count;
    const uint8_t *data = rmw->raw;
    for (uint64_t at = rmw->first, step; at < end; at += step, data += step * BLOCK_BYTES) {
        uint64_t frame_end = round_up(at + 1, RUN_FRAME_BLOCKS);
        step = min_u64(end, frame_end) - at;
        if (shared->compression && step == RUN_FRAME_BLOCKS)
            batch_add_frame(rmw->batch, shared, at, data, rmw->end);
        else
            batch_add(rmw->batch, shared, at, (uint32_t)step, data, rmw->end);
    }
}

static vde_status attempt_pinned(struct rmw *rmw)
{
    VDE_TRY(reader_set(rmw->reader, &rmw->pin.map));
    VDE_TRY(choose_range(rmw));
    VDE_TRY(fill(rmw));
    if (!rmw->data)
        return add_zeroes(rmw);
    add_units(rmw);
    return VDE_OK;
}

static vde_status attempt(struct rmw *rmw, uint64_t *ret_lsn)
{
    VDE_TRY(batch_take(rmw->volume->volumes, &rmw->batch));
    rmw->batch->hurried = rmw->hurried;
    rmw->batch->credit = rmw->credit;
    vde_status status = volume_pin(rmw->volume, &rmw->pin);
    if (status == VDE_OK) {
        status = attempt_pinned(rmw);
        volume_unpin(rmw->volume, &rmw->pin);
    }
    if (status == VDE_OK && rmw->batch->unit_count + rmw->batch->unmap_count > 0)
        status = batch_run(rmw->batch);
    *ret_lsn = rmw->batch->lsn;
    batch_give(rmw->batch);
    return status;
}

vde_status rmw_write(struct vde_volume *volume, const void *data, uint64_t size, uint64_t offset, uint64_t end,
                     bool hurried, struct credit *credit, uint64_t *ret_lsn)
{
    struct rmw rmw = {.volume = volume, .data = data, .size = size, .offset = offset, .end = end, .hurried = hurried,
                      .credit = credit};
    VDE_TRY(reader_take(volume->volumes, &rmw.reader));
    vde_status status = reader_need_bounce(rmw.reader);
    rmw.raw = rmw.reader->bounce;
    if (status == VDE_OK) {
        unsigned space_tries = 0;
        do {
            status = end > 0 ? volume_check(volume, end - offset, offset, true) : VDE_OK; /* it may have shrunk */
            if (status == VDE_OK)
                status = attempt(&rmw, ret_lsn);
        } while (status == VDE_BUSY || (status == VDE_NOSPC && space_may_come(volume->image, &space_tries)));
    }
    reader_give(volume->volumes, rmw.reader);
    return status;
}
