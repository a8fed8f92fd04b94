/* SPDX-License-Identifier: Apache-2.0 */
/* volume_write.c -- blocking writes and flushes: which way a request goes. */
#include <stdlib.h>

#include "base/checked.h"
#include "base/fail.h"
#include "base/mutate.h"
#include "dataset/volume.h"

/* At most BATCH_BYTES, as a whole or not at all. */
static vde_status write_one(struct vde_volume *volume, const uint8_t *data, uint64_t size, uint64_t offset, bool hurried,
                            uint64_t *ret_lsn)
{
    if ((size | offset) % BLOCK_BYTES == 0 && !volume_has_frames(volume)) {
        vde_status status = gather_write(volume, offset / BLOCK_BYTES, (uint32_t)(size / BLOCK_BYTES), data, hurried,
                                         ret_lsn);
        if (status != VDE_BUSY) /* a volume in that batch shrank: alone it is clear which */
            return status;
    }
    return rmw_write(volume, data, size, offset, offset + size, hurried, NULL, ret_lsn);
}

static vde_status write_part(struct vde_volume *volume, const uint8_t *data, uint64_t size, uint64_t offset,
                             struct credit *credit, uint64_t *ret_lsn)
{
    return size == 0 ? VDE_OK : rmw_write(volume, data, size, offset, offset + size, false, credit, ret_lsn);
}

/* What is covered whole in one piece, then the edges; a request that is hardly larger than a batch in two. */
static vde_status write_large(struct vde_volume *volume, const uint8_t *data, uint64_t size, uint64_t offset,
                              struct credit *credit, uint64_t *ret_lsn)
{
    uint64_t unit = volume_has_frames(volume) ? FRAME_BYTES : BLOCK_BYTES, end = offset + size;
    uint64_t first = round_up(offset, unit), last = end / unit * unit;
    if (last - first > BATCH_BYTES)
        VDE_TRY(queue_write(volume, data + (first - offset), last - first, first, credit, ret_lsn));
    else
        first = last = (offset / BATCH_BYTES + 1) * BATCH_BYTES;
    for (uint64_t at = offset, part; at < first; at += part) {
        part = min_u64(first - at, BATCH_BYTES);
        VDE_TRY(write_part(volume, data + (at - offset), part, at, credit, ret_lsn));
    }
    for (uint64_t at = last, part; at < end; at += part) {
        part = min_u64(end - at, BATCH_BYTES);
        VDE_TRY(write_part(volume, data + (at - offset), part, at, credit, ret_lsn));
    }
    return VDE_OK;
}

vde_status volume_write_at(struct vde_volume *volume, const void *data, uint64_t size, uint64_t offset, bool hurried,
                           uint64_t *ret_lsn)
{
    if (size <= BATCH_BYTES)
        return write_one(volume, data, size, offset, hurried, ret_lsn);
    uint64_t unit = volume_has_frames(volume) ? FRAME_BYTES : BLOCK_BYTES;
    uint64_t touched = round_up(offset + size, unit) - offset / unit * unit;
    struct credit credit;
    VDE_TRY(credit_take(volume, touched / BLOCK_BYTES, touched / BLOCK_BYTES, SPACE_NORMAL, &credit));
    vde_status status = write_large(volume, data, size, offset, &credit, ret_lsn);
    credit_give(volume->image, &credit);
    return status;
}

vde_status volume_harden(struct vde_volume *volume, uint64_t lsn)
{
    return log_wait(volume->image->log, lsn);
}

/* A write begins: will a flush follow it at once, as one followed the write before? */
static bool note_write(struct vde_volume *volume, bool durable)
{
    if (durable) {
        atomic_store_explicit(&volume->hurried, true, memory_order_relaxed);
        atomic_store_explicit(&volume->unflushed, 0, memory_order_relaxed);
        return true;
    }
    return atomic_fetch_add_explicit(&volume->unflushed, 1, memory_order_relaxed) == 0 &&
           atomic_load_explicit(&volume->hurried, memory_order_relaxed);
}

static void note_flush(struct vde_volume *volume)
{
    unsigned writes = atomic_exchange_explicit(&volume->unflushed, 0, memory_order_relaxed);
    if (writes > 0)
        atomic_store_explicit(&volume->hurried, writes == 1, memory_order_relaxed);
}

vde_status vde_volume_write(vde_volume *volume, const void *buffer, uint64_t size, uint64_t offset, uint32_t flags)
{
    uint64_t lsn = 0;
    VDE_TRY(volume_check(volume, size, offset, true));
    if (flags & ~VDE_VOLUME_FUA)
        return fail_as(VDE_INVAL, "volume write|flags %#x|VDE_VOLUME_FUA or none", flags);
    if (size == 0)
        return VDE_OK;
    VDE_TRY(volume_write_at(volume, buffer, size, offset, note_write(volume, flags & VDE_VOLUME_FUA), &lsn));
    return flags & VDE_VOLUME_FUA ? volume_harden(volume, lsn) : VDE_OK;
}

vde_status vde_volume_flush(vde_volume *volume)
{
    if (volume->image->read_only || volume->tag)
        return VDE_OK;
    note_flush(volume);
    return MUTATED(MUTATE_VOLUME_FLUSH) ? VDE_OK : volume_harden(volume, log_last_lsn(volume->image->log));
}
