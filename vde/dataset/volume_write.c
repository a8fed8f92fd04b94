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
    return rmw_write(volume, data, size, offset, offset + size, hurried, ret_lsn);
}

vde_status volume_write_at(struct vde_volume *volume, const void *data, uint64_t size, uint64_t offset, bool hurried,
                           uint64_t *ret_lsn)
{
    const uint8_t *from = data;
    if (size <= BATCH_BYTES)
        return write_one(volume, from, size, offset, hurried, ret_lsn);
    uint64_t unit = volume_has_frames(volume) ? FRAME_BYTES : BLOCK_BYTES, end = offset + size;
    uint64_t first = round_up(offset, unit), last = end / unit * unit; /* what is covered whole */
    if (last - first > BATCH_BYTES) {
        VDE_TRY(queue_write(volume, from + (first - offset), last - first, first, ret_lsn));
        if (offset < first)
            VDE_TRY(write_one(volume, from, first - offset, offset, false, ret_lsn));
        return last < end ? write_one(volume, from + (last - offset), end - last, last, false, ret_lsn) : VDE_OK;
    }
    while (size > 0) {
        uint64_t part = min_u64(size, BATCH_BYTES - offset % BATCH_BYTES);
        VDE_TRY(write_one(volume, from, part, offset, false, ret_lsn));
        from += part;
        offset += part;
        size -= part;
    }
    return VDE_OK;
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
