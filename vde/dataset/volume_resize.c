/* SPDX-License-Identifier: Apache-2.0 */
/* volume_resize.c -- the size of a volume. Behind the end nothing is mapped and the last block is zero, so that growing
 * only writes a new size. Shrinking unmaps and sets the size in one transaction, or when that would be too large, in
 * several, each of which leaves a volume of a size in between. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"
#include "dataset/volume.h"

#define STEP_BLOCKS 32768u /* unmapped by one transaction */

struct shrink {
    struct vde_volume *volume;
    struct volume_record record;
    struct reader *reader;
    struct write_batch *batch;
    struct volume_pin pin;
    uint8_t *raw;         /* of the frame or block that the new end cuts */
    uint64_t size_bytes;  /* after this step */
    uint64_t high;        /* blocks before it */
    uint64_t unmapped;    /* blocks that the newest attempt unmaps */
};

static vde_status write_size(struct vde_volume *volume, struct volume_record *record, uint64_t size_bytes)
{
    vde_txn *txn;
    struct vde_commit commit;
    VDE_TRY(vde_txn_create(volume->image, &txn));
    record->size_bytes = size_bytes;
    vde_status status = volume_put_record(txn, volume->shared->id, record);
    if (status == VDE_OK)
        status = vde_txn_commit(txn, &commit);
    vde_txn_destroy(txn);
    return status;
}

/* What is mapped behind the new end, and the size. TOO_LARGE: in smaller steps. */
static vde_status add_operations(vde_txn *txn, void *context)
{
    struct shrink *shrink = context;
    uint64_t id = shrink->volume->shared->id, at = div_up(shrink->size_bytes, BLOCK_BYTES), count = 0;
    size_t limit = log_record_limit(shrink->volume->image->log) / 2;
    struct segment segment;
    for (; at < shrink->high; at += segment.blocks) {
        VDE_TRY(block_cursor_at(shrink->reader->cursor, at, shrink->high, &segment));
        if (!segment.data)
            continue;
        count += segment.blocks;
        if (count > STEP_BLOCKS || vde_txn_size(txn) > limit)
            return VDE_TOO_LARGE;
        VDE_TRY(txn_unmap(txn, id, at, segment.blocks));
    }
    txn->frees = true;
    shrink->unmapped = count;
    shrink->record.size_bytes = shrink->size_bytes;
    return volume_put_record(txn, id, &shrink->record);
}

/* The block or compressed frame that the new end cuts: what stays of it is written once more, as plain blocks. */
static vde_status cut_edge(struct shrink *shrink)
{
    struct vde_volume *volume = shrink->volume;
    uint64_t unit = volume_has_frames(volume) ? RUN_FRAME_BLOCKS : 1, end = div_up(shrink->size_bytes, BLOCK_BYTES);
    uint64_t last = shrink->size_bytes / BLOCK_BYTES, first = last / unit * unit;
    bool compressed = false, data = false;
    struct segment segment;
    if (shrink->size_bytes % (unit * BLOCK_BYTES) == 0)
        return VDE_OK;
    for (uint64_t at = first; at < first + unit; at += segment.blocks) {
        VDE_TRY(block_cursor_at(shrink->reader->cursor, at, first + unit, &segment));
        compressed |= segment.data && segment.compressed;
        data |= segment.data && at <= last && at + segment.blocks > last;
    }
    batch_expect(shrink->batch, volume->shared, first, unit, &shrink->pin);
    if (!compressed && (!data || last == end))
        return VDE_OK;
    if (!compressed)
        first = last;
    VDE_TRY(reader_blocks(shrink->reader, volume, first, (uint32_t)(end - first), shrink->raw));
    uint64_t kept = shrink->size_bytes - first * BLOCK_BYTES;
    memset(shrink->raw + kept, 0, (end - first) * BLOCK_BYTES - kept);
    batch_add(shrink->batch, volume->shared, first, (uint32_t)(end - first), shrink->raw, 0);
    return VDE_OK;
}

static vde_status place_pinned(struct shrink *shrink)
{
    VDE_TRY(reader_set(shrink->reader, &shrink->pin.map));
    VDE_TRY(cut_edge(shrink));
    shrink->batch->extra = add_operations;
    shrink->batch->extra_context = shrink;
    return batch_place(shrink->batch);
}

static vde_status attempt(struct shrink *shrink)
{
    VDE_TRY(batch_take(shrink->volume->volumes, &shrink->batch));
    vde_status status = volume_pin(shrink->volume, &shrink->pin);
    if (status == VDE_OK) {
        status = place_pinned(shrink);
        volume_unpin(shrink->volume, &shrink->pin);
    }
    if (status == VDE_OK)
        status = batch_finish(shrink->batch);
    if (status == VDE_OK)
        status = volume_harden(shrink->volume, shrink->batch->lsn);
    batch_give(shrink->batch);
    return status;
}

/* No request behind the new end is published from here on. */
static void set_size(struct vde_volume *volume, uint64_t size_bytes)
{
    pthread_rwlock_wrlock(&volume->volumes->resize);
    atomic_store(&volume->shared->size, size_bytes);
    pthread_rwlock_unlock(&volume->volumes->resize);
}

static vde_status step(struct shrink *shrink)
{
    uint64_t before = atomic_load(&shrink->volume->shared->size);
    unsigned tries = 0;
    vde_status status;
    set_size(shrink->volume, shrink->size_bytes);
    do
        status = attempt(shrink);
    while (status == VDE_BUSY || (status == VDE_NOSPC && space_may_come(shrink->volume->image, &tries)));
    if (status != VDE_OK && status != VDE_COMMIT_UNKNOWN)
        set_size(shrink->volume, before);
    if (status == VDE_OK && shrink->record.flags & VOLUME_PREALLOC)
        prealloc_unreserve(shrink->volume->image, shrink->volume->shared->id,
                           shrink->high - div_up(shrink->size_bytes, BLOCK_BYTES) - shrink->unmapped);
    return status;
}

static vde_status shrink_to(struct shrink *shrink, uint64_t size_bytes)
{
    for (;;) {
        shrink->high = div_up(atomic_load(&shrink->volume->shared->size), BLOCK_BYTES);
        shrink->size_bytes = size_bytes;
        vde_status status = step(shrink);
        if (status == VDE_OK)
            return VDE_OK;
        for (uint64_t low = div_up(size_bytes, BLOCK_BYTES); status == VDE_TOO_LARGE;) {
            uint64_t half = round_up(low + (shrink->high - low) / 2, RUN_FRAME_BLOCKS);
            if (half <= low || half >= shrink->high)
                return fail_as(VDE_TOO_LARGE, "volume \"%s\"|a log too small to shrink it|a larger one",
                               shrink->volume->shared->name);
            low = half;
            shrink->size_bytes = low * BLOCK_BYTES;
            status = step(shrink);
        }
        VDE_TRY(status);
    }
}

static vde_status shrink_volume(struct vde_volume *volume, const struct volume_record *record, uint64_t size_bytes)
{
    struct shrink shrink = {.volume = volume, .record = *record, .raw = aligned_alloc(BLOCK_BYTES, FRAME_BYTES)};
    if (!shrink.raw)
        return fail_nomem("volume resize");
    vde_status status = reader_take(volume->volumes, &shrink.reader);
    if (status == VDE_OK) {
        status = shrink_to(&shrink, size_bytes);
        reader_give(volume->volumes, shrink.reader);
    }
    free(shrink.raw);
    return status;
}

static vde_status grow(struct vde_volume *volume, struct volume_record *record, uint64_t size_bytes)
{
    uint64_t before = atomic_load(&volume->shared->size);
    uint64_t more = record->flags & VOLUME_PREALLOC ? div_up(size_bytes, BLOCK_BYTES) - div_up(before, BLOCK_BYTES) : 0;
    if (more > 0)
        VDE_TRY(volume_keep_space(volume->image, volume->shared->id, more));
    vde_status status = write_size(volume, record, size_bytes);
    if (status == VDE_OK)
        atomic_store(&volume->shared->size, size_bytes);
    else if (status != VDE_COMMIT_UNKNOWN && more > 0)
        prealloc_unreserve(volume->image, volume->shared->id, more);
    return status;
}

static vde_status resize_locked(struct vde_volume *volume, const char *name, uint64_t size_bytes, uint32_t flags)
{
    uint64_t id, now = atomic_load(&volume->shared->size);
    struct volume_record record;
    VDE_TRY(volume_look_up(volume->image, name, &id, &record));
    if (id != volume->shared->id) /* renamed meanwhile */
        return fail_as(VDE_NOT_FOUND, "volume \"%s\"|another volume by now|the same", name);
    if (size_bytes < now && !(flags & VDE_VOLUME_SHRINK))
        return fail_as(VDE_INVAL, "volume \"%s\"|%llu bytes, smaller than it is|leave to discard what lies beyond", name,
                       (unsigned long long)size_bytes);
    if (size_bytes < now)
        return shrink_volume(volume, &record, size_bytes);
    return size_bytes > now ? grow(volume, &record, size_bytes) : VDE_OK;
}

vde_status vde_volume_resize(vde_image *image, const char *name, uint64_t size_bytes, uint32_t flags)
{
    vde_volume *volume;
    if (flags & ~VDE_VOLUME_SHRINK)
        return fail_as(VDE_INVAL, "volume resize|flags %#x|VDE_VOLUME_SHRINK or none", flags);
    VDE_TRY(volume_check_size(size_bytes));
    if (image->read_only)
        return fail_as(VDE_READ_ONLY, "image");
    VDE_TRY(vde_volume_open(image, name, NULL, &volume));
    lock_take(&image->names_lock);
    vde_status status = resize_locked(volume, name, size_bytes, flags);
    lock_drop(&image->names_lock);
    vde_volume_close(volume);
    return status;
}
