/* SPDX-License-Identifier: Apache-2.0 */
/* volume_discard.c -- discard and write_zeroes: only what is mapped is unmapped, in transactions of bounded size. */
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"
#include "dataset/volume.h"

#define STEP_BLOCKS 4096u /* unmapped by one transaction: each takes an entry in the overlay */
#define STEP_LEAST 16u    /* the same when the image is so full that the trees have little room */

struct forget {
    struct vde_volume *volume;
    struct reader *reader;
    struct volume_pin pin;
    vde_txn *txn;
    uint64_t end;   /* as in rmw_write() */
    uint64_t lsn;
    uint64_t unmapped; /* blocks in the transaction */
    uint64_t step;     /* about how many it may have */
    struct credit credit; /* for the edges */
};

/* Add what is mapped from *at on, up to `end`, until the transaction is large enough. With frames, whole ones: one may be
 * written there meanwhile. */
static vde_status collect(struct forget *forget, uint64_t *at, uint64_t end)
{
    uint64_t unit = volume_has_frames(forget->volume) ? RUN_FRAME_BLOCKS : 1, count = 0;
    struct segment segment;
    while (*at < end && count < forget->step) {
        VDE_TRY(block_cursor_at(forget->reader->cursor, *at, end, &segment));
        uint64_t next = *at + segment.blocks;
        if (segment.data) {
            uint64_t first = *at / unit * unit;
            next = round_up(next, unit);
            VDE_TRY(txn_unmap(forget->txn, forget->volume->shared->id, first, next - first));
            forget->unmapped += segment.blocks;
            count += next - first;
        }
        *at = next;
    }
    return VDE_OK;
}

static vde_status submit(struct forget *forget)
{
    struct vde_commit commit;
    if (forget->txn->count == 0)
        return VDE_OK;
    forget->txn->frees = forget->txn->lazy = true;
    VDE_TRY(vde_txn_submit(forget->txn, &commit));
    forget->lsn = commit.lsn;
    if (forget->volume->shared->flags & VOLUME_PREALLOC) {
        vde_status status = prealloc_reserve(forget->volume->image, forget->volume->shared->id, forget->unmapped);
        (void)status; /* without room the volume is thin there */
    }
    return background_lazy(forget->volume->image, 0);
}

/* Blocks that are whole frames where there may be some. */
static vde_status forget_whole(struct forget *forget, uint64_t first, uint64_t end)
{
    forget->step = STEP_BLOCKS;
    for (uint64_t at = first, next; at < end; at = next) {
        txn_reset(forget->txn);
        forget->unmapped = 0;
        next = at;
        VDE_TRY(volume_pin(forget->volume, &forget->pin));
        vde_status status = reader_set(forget->reader, &forget->pin.map);
        if (status == VDE_OK)
            status = collect(forget, &next, end);
        volume_unpin(forget->volume, &forget->pin);
        VDE_TRY(status);
        status = submit(forget);
        if (status == VDE_NOSPC && forget->step > STEP_LEAST) {
            forget->step /= 4;
            next = at;
        } else {
            VDE_TRY(status);
        }
    }
    return VDE_OK;
}

static vde_status make_zero(struct forget *forget, uint64_t offset, uint64_t size)
{
    return size == 0 ? VDE_OK : rmw_write(forget->volume, NULL, size, offset, forget->end, false, &forget->credit, &forget->lsn);
}

/* Unmap the plain blocks of a part of a frame; *ret_compressed: it is compressed, and must be rewritten. */
static vde_status unmap_part(struct forget *forget, uint64_t first, uint64_t end, bool *ret_compressed)
{
    uint64_t frame = first / RUN_FRAME_BLOCKS * RUN_FRAME_BLOCKS, id = forget->volume->shared->id;
    struct segment segment;
    *ret_compressed = false;
    VDE_TRY(reader_set(forget->reader, &forget->pin.map));
    for (uint64_t at = frame; at < frame + RUN_FRAME_BLOCKS; at += segment.blocks) {
        VDE_TRY(block_cursor_at(forget->reader->cursor, at, frame + RUN_FRAME_BLOCKS, &segment));
        *ret_compressed |= segment.data && segment.compressed;
        uint64_t from = max_u64(at, first), to = min_u64(at + segment.blocks, end);
        if (segment.data && from < to) {
            VDE_TRY(txn_unmap(forget->txn, id, from, to - from));
            forget->unmapped += to - from;
        }
    }
    return txn_expect_blocks(forget->txn, id, frame, RUN_FRAME_BLOCKS, forget->pin.lsn, forget->pin.layers->generation);
}

static vde_status forget_part(struct forget *forget, uint64_t first, uint64_t end)
{
    vde_status status = first < end ? VDE_BUSY : VDE_OK;
    while (status == VDE_BUSY) {
        bool compressed;
        txn_reset(forget->txn);
        forget->unmapped = 0;
        VDE_TRY(volume_pin(forget->volume, &forget->pin));
        status = unmap_part(forget, first, end, &compressed);
        volume_unpin(forget->volume, &forget->pin);
        VDE_TRY(status);
        status = compressed ? make_zero(forget, first * BLOCK_BYTES, (end - first) * BLOCK_BYTES) : submit(forget);
    }
    return status;
}

static vde_status forget_blocks(struct forget *forget, uint64_t first, uint64_t end)
{
    if (!volume_has_frames(forget->volume))
        return forget_whole(forget, first, end);
    uint64_t whole = round_up(first, RUN_FRAME_BLOCKS), whole_end = end / RUN_FRAME_BLOCKS * RUN_FRAME_BLOCKS;
    if (whole > whole_end) /* inside one frame */
        return forget_part(forget, first, end);
    VDE_TRY(forget_part(forget, first, whole));
    VDE_TRY(forget_whole(forget, whole, whole_end));
    return forget_part(forget, whole_end, end);
}

static vde_status forget_range(struct forget *forget, uint64_t size, uint64_t offset, bool zeroes)
{
    uint64_t end = offset + size, first = div_up(offset, BLOCK_BYTES), last = end / BLOCK_BYTES;
    if (first >= last && zeroes && first * BLOCK_BYTES >= end) /* inside one block */
        return make_zero(forget, offset, size);
    if (zeroes)
        VDE_TRY(make_zero(forget, offset, first * BLOCK_BYTES - offset));
    if (first < last)
        VDE_TRY(forget_blocks(forget, first, last));
    return zeroes ? make_zero(forget, last * BLOCK_BYTES, end - last * BLOCK_BYTES) : VDE_OK;
}

/* An edge inside a frame may write the frame once more, one inside a block that block or, before, its frame. */
static uint64_t edge_blocks(const struct vde_volume *volume, uint64_t at, bool zeroes)
{
    bool in_block = zeroes && at % BLOCK_BYTES != 0;
    if (!volume_has_frames(volume))
        return in_block;
    return (in_block ? RUN_FRAME_BLOCKS : 0) + (at % FRAME_BYTES != 0 ? RUN_FRAME_BLOCKS : 0);
}

static vde_status reserve_edges(struct forget *forget, uint64_t size, uint64_t offset, bool zeroes)
{
    uint64_t blocks = edge_blocks(forget->volume, offset, zeroes) + edge_blocks(forget->volume, offset + size, zeroes);
    return credit_take(forget->volume, blocks, 4, zeroes ? SPACE_NORMAL : SPACE_DELETE, &forget->credit);
}

vde_status volume_forget(struct vde_volume *volume, uint64_t size, uint64_t offset, uint64_t end, bool zeroes,
                         uint64_t *ret_lsn)
{
    struct forget forget = {.volume = volume, .end = end};
    if (!zeroes) {
        uint64_t first = round_up(offset, BLOCK_BYTES), last = (offset + size) / BLOCK_BYTES * BLOCK_BYTES;
        offset = first;
        size = first < last ? last - first : 0;
    }
    if (size == 0)
        return VDE_OK;
    if (size <= BATCH_BYTES) /* as a whole or not at all */
        return rmw_write(volume, NULL, size, offset, end, false, NULL, ret_lsn);
    VDE_TRY(reserve_edges(&forget, size, offset, zeroes));
    vde_status status = vde_txn_create(volume->image, &forget.txn);
    if (status == VDE_OK)
        status = reader_take(volume->volumes, &forget.reader);
    if (status == VDE_OK) {
        status = forget_range(&forget, size, offset, zeroes);
        reader_give(volume->volumes, forget.reader);
    }
    vde_txn_destroy(forget.txn);
    credit_give(volume->image, &forget.credit);
    *ret_lsn = forget.lsn;
    return status;
}

vde_status volume_forget_request(struct vde_volume *volume, uint64_t size, uint64_t offset, bool zeroes,
                                 uint64_t *ret_lsn)
{
    VDE_TRY(volume_check(volume, size, offset, true));
    uint64_t end = offset + size;
    if (end == volume_bytes(volume)) /* behind a short last block there is nothing that could be kept */
        return volume_forget(volume, round_up(end, BLOCK_BYTES) - offset, offset, end, zeroes, ret_lsn);
    return volume_forget(volume, size, offset, end, zeroes, ret_lsn);
}

static vde_status run(struct vde_volume *volume, uint64_t size, uint64_t offset, bool zeroes, uint32_t flags)
{
    uint64_t lsn = 0;
    if (flags & ~(VDE_VOLUME_FUA | VDE_VOLUME_FAST))
        return fail_as(VDE_INVAL, "volume request|flags %#x|VDE_VOLUME_FUA and VDE_VOLUME_FAST", flags);
    VDE_TRY(volume_forget_request(volume, size, offset, zeroes, &lsn));
    return flags & VDE_VOLUME_FUA ? volume_harden(volume, lsn) : VDE_OK;
}

vde_status vde_volume_discard(vde_volume *volume, uint64_t size, uint64_t offset, uint32_t flags)
{
    return run(volume, size, offset, false, flags);
}

vde_status vde_volume_write_zeroes(vde_volume *volume, uint64_t size, uint64_t offset, uint32_t flags)
{
    return run(volume, size, offset, true, flags);
}
