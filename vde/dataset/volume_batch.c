/* SPDX-License-Identifier: Apache-2.0 */
/* volume_batch.c -- written blocks on their way: gathered, placed, written, published. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/checksum.h"
#include "base/compress.h"
#include "base/fail.h"
#include "dataset/volume.h"

#define SPARE_MAX 16u
#define SPACE_TRIES 2u /* checkpoints that may bring deferred blocks back */

void batch_destroy(struct write_batch *batch)
{
    vde_txn_destroy(batch->txn);
    free(batch->buffer);
    free(batch);
}

/* What was allocated and not published goes back. */
static void give_up(struct write_batch *batch)
{
    if (!batch->txn->submitted && batch->taken > 0)
        prealloc_restore(batch->volumes->image, batch->prealloc, batch->taken);
    if (!batch->txn->submitted && batch->paid > 0) {
        space_restore(batch->volumes->image->space, batch->paid);
        batch->credit->data += batch->paid;
    }
    batch->taken = batch->paid = 0;
    txn_reset(batch->txn);
}

/* As new, with its memory. An allocation that was not published is given back. */
static void clear(struct write_batch *batch)
{
    give_up(batch);
    batch->next = NULL;
    batch->unit_count = batch->blocks = batch->used = batch->piece_count = batch->expected_count = batch->unmap_count = 0;
    batch->extra = NULL;
    batch->prealloc = batch->covered = 0;
    batch->credit = NULL;
    batch->lsn = 0;
    batch->hurried = false;
    batch->status = VDE_OK;
    batch->users = 0;
    batch->waiting = false;
    atomic_store_explicit(&batch->turn, 0, memory_order_relaxed);
    atomic_store_explicit(&batch->done, 0, memory_order_relaxed);
    batch->requests = NULL;
    batch->last_request = &batch->requests;
    batch->pending = 0;
}

static vde_status create(struct volumes *volumes, struct write_batch **ret_batch)
{
    struct write_batch *batch = calloc(1, sizeof *batch);
    if (!batch)
        return fail_nomem("volume write");
    batch->volumes = volumes;
    batch->buffer = aligned_alloc(BLOCK_BYTES, BATCH_ROOM * BLOCK_BYTES);
    vde_status status = batch->buffer ? vde_txn_create(volumes->image, &batch->txn) : fail_nomem("volume write");
    if (status != VDE_OK) {
        batch_destroy(batch);
        return status;
    }
    clear(batch);
    *ret_batch = batch;
    return VDE_OK;
}

vde_status batch_take(struct volumes *volumes, struct write_batch **ret_batch)
{
    lock_take(&volumes->spare_lock);
    struct write_batch *batch = volumes->spare_batches;
    if (batch) {
        volumes->spare_batches = batch->next;
        volumes->spare_batch_count--;
        batch->next = NULL;
    }
    lock_drop(&volumes->spare_lock);
    if (!batch)
        return create(volumes, ret_batch);
    *ret_batch = batch;
    return VDE_OK;
}

void batch_give(struct write_batch *batch)
{
    struct volumes *volumes = batch->volumes;
    clear(batch);
    lock_take(&volumes->spare_lock);
    bool keep = volumes->spare_batch_count < SPARE_MAX;
    if (keep) {
        batch->next = volumes->spare_batches;
        volumes->spare_batches = batch;
        volumes->spare_batch_count++;
    }
    lock_drop(&volumes->spare_lock);
    if (!keep)
        batch_destroy(batch);
}

/* --- gathering ----------------------------------------------------------------------------------------------------- */

bool batch_fits(const struct write_batch *batch, const struct open_volume *volume, uint64_t block, uint32_t blocks,
                bool frame)
{
    if (batch->blocks > 0 && batch->blocks + blocks > BATCH_BLOCKS)
        return false;
    if (batch->unit_count > 0 && batch->units[0].volume != volume &&
        (batch->units[0].volume->flags | volume->flags) & VOLUME_PREALLOC)
        return false;
    for (uint32_t i = 0; i < batch->unit_count; i++) {
        const struct write_unit *unit = &batch->units[i];
        if (unit->volume == volume && (frame || unit->blocks > 1) && unit->block < block + blocks &&
            block < unit->block + unit->blocks)
            return false;
    }
    return true;
}

static struct write_unit *add_unit(struct write_batch *batch, struct open_volume *volume, uint64_t block, uint32_t blocks,
                                   uint32_t stored, uint64_t end)
{
    struct write_unit *unit = &batch->units[batch->unit_count++];
    *unit = (struct write_unit){.volume = volume, .block = block, .at = (uint16_t)batch->used,
                                .blocks = (uint16_t)blocks, .stored = (uint16_t)stored,
                                .end = min_u64((block + blocks) * BLOCK_BYTES, end)};
    batch->used += stored;
    batch->blocks += blocks;
    return unit;
}

static struct write_unit *find_unit(struct write_batch *batch, const struct open_volume *volume, uint64_t block)
{
    for (uint32_t i = 0; i < batch->unit_count; i++)
        if (batch->units[i].block == block && batch->units[i].volume == volume)
            return &batch->units[i];
    return NULL;
}

void batch_add(struct write_batch *batch, struct open_volume *volume, uint64_t block, uint32_t blocks, const void *data,
               uint64_t end)
{
    const uint8_t *from = data;
    for (uint32_t i = 0; i < blocks; i++, from += BLOCK_BYTES) {
        struct write_unit *unit = find_unit(batch, volume, block + i);
        if (!unit)
            unit = add_unit(batch, volume, block + i, 1, 1, end);
        memcpy(batch->buffer + (size_t)unit->at * BLOCK_BYTES, from, BLOCK_BYTES);
    }
}

void batch_add_frame(struct write_batch *batch, struct open_volume *volume, uint64_t block, const void *data,
                     uint64_t end)
{
    uint8_t *to = batch->buffer + (size_t)batch->used * BLOCK_BYTES;
    size_t packed = compress_pack(to, FRAME_BYTES - BLOCK_BYTES, data, FRAME_BYTES, volume->compression);
    if (packed == 0) {
        batch_add(batch, volume, block, RUN_FRAME_BLOCKS, data, end);
        return;
    }
    uint32_t stored = (uint32_t)div_up(packed, BLOCK_BYTES);
    struct write_unit *unit = add_unit(batch, volume, block, RUN_FRAME_BLOCKS, stored, end);
    unit->tail = (uint16_t)((size_t)stored * BLOCK_BYTES - packed);
    memset(to + packed, 0, unit->tail);
}

void batch_expect(struct write_batch *batch, const struct open_volume *volume, uint64_t block, uint64_t blocks,
                  const struct volume_pin *pin)
{
    batch->expected[batch->expected_count++] =
        (struct expected_blocks){volume->id, block, blocks, pin->lsn, pin->layers->generation};
}

void batch_unmap(struct write_batch *batch, struct open_volume *volume, uint64_t block, uint64_t blocks)
{
    if (batch->unmap_count > 0 && batch->unmaps[batch->unmap_count - 1].volume == volume &&
        batch->unmaps[batch->unmap_count - 1].block + batch->unmaps[batch->unmap_count - 1].blocks == block) {
        batch->unmaps[batch->unmap_count - 1].blocks += blocks;
        return;
    }
    batch->unmaps[batch->unmap_count].volume = volume;
    batch->unmaps[batch->unmap_count].block = block;
    batch->unmaps[batch->unmap_count++].blocks = blocks;
}

/* No run is long enough for a frame: its blocks one by one, then. Only when nothing else helped. */
static vde_status unpack_frames(struct write_batch *batch)
{
    struct write_batch *plain;
    VDE_TRY(batch_take(batch->volumes, &plain));
    uint8_t *raw = malloc(FRAME_BYTES);
    vde_status status = raw ? VDE_OK : fail_nomem("volume write");
    for (uint32_t i = 0; i < batch->unit_count && status == VDE_OK; i++) {
        const struct write_unit *unit = &batch->units[i];
        const uint8_t *data = batch->buffer + (size_t)unit->at * BLOCK_BYTES;
        if (unit->blocks == 1) {
            batch_add(plain, unit->volume, unit->block, 1, data, unit->end);
            continue;
        }
        status = compress_unpack(raw, FRAME_BYTES, data, (size_t)unit->stored * BLOCK_BYTES - unit->tail, "volume write");
        if (status == VDE_OK)
            batch_add(plain, unit->volume, unit->block, unit->blocks, raw, unit->end);
    }
    free(raw);
    if (status == VDE_OK) {
        memcpy(batch->buffer, plain->buffer, (size_t)plain->used * BLOCK_BYTES);
        memcpy(batch->units, plain->units, plain->unit_count * sizeof *plain->units);
        batch->unit_count = plain->unit_count;
        batch->used = plain->used;
    }
    batch_give(plain);
    return status;
}

/* --- a place on the device ----------------------------------------------------------------------------------------- */

/* A run of the device for the units from `first` on. */
static vde_status allocate_run(struct write_batch *batch, uint32_t first, uint64_t *ret_address, uint32_t *ret_blocks,
                               uint32_t *ret_taken)
{
    struct vde_image *image = batch->volumes->image;
    uint32_t want = batch->used - batch->units[first].at, min = batch->units[first].stored;
    *ret_taken = 0;
    if (batch->prealloc)
        return prealloc_allocate(image, batch->prealloc, batch->covered - batch->taken, want, min, ret_address, ret_blocks,
                                 ret_taken);
    enum space_limit limit = batch->credit && batch->credit->data > 0 ? SPACE_CHECKPOINT : SPACE_NORMAL;
    VDE_TRY(space_allocate_run(image->space, SPACE_DATA, limit, want, min, ret_address, ret_blocks));
    return VDE_OK;
}

/* The allocation stands: pay for it out of what was reserved. */
static void pay(struct write_batch *batch, uint32_t blocks)
{
    uint64_t paid = batch->credit && !batch->prealloc ? min_u64(batch->credit->data, blocks) : 0;
    if (paid > 0) {
        space_unreserve(batch->volumes->image->space, paid);
        batch->credit->data -= paid;
        batch->paid += paid;
    }
}

/* One more piece, for as many units from `first` on as fit into it. */
static vde_status allocate_piece(struct write_batch *batch, uint32_t first, uint32_t *ret_units)
{
    struct vde_image *image = batch->volumes->image;
    uint32_t at = batch->units[first].at, blocks, taken, take = 0, count = 0;
    uint64_t address;
    VDE_TRY(allocate_run(batch, first, &address, &blocks, &taken));
    for (; first + count < batch->unit_count && take + batch->units[first + count].stored <= blocks; count++) {
        batch->units[first + count].piece = (uint16_t)batch->piece_count;
        take += batch->units[first + count].stored;
    }
    batch->taken += taken;
    if (take < blocks)
        space_release(image->space, address + take, blocks - take);
    if (taken > take) {
        prealloc_restore(image, batch->prealloc, taken - take);
        batch->taken -= taken - take;
    }
    vde_status status = txn_own_extent(batch->txn, address, take);
    if (status != VDE_OK) {
        space_release(image->space, address, take);
        return status;
    }
    pay(batch, take);
    batch->pieces[batch->piece_count++] = (struct write_piece){address, at, take};
    *ret_units = count;
    return VDE_OK;
}

static vde_status allocate_once(struct write_batch *batch)
{
    give_up(batch);
    batch->piece_count = 0;
    for (uint32_t unit = 0, count = 0; unit < batch->unit_count; unit += count)
        VDE_TRY(allocate_piece(batch, unit, &count));
    return VDE_OK;
}

bool space_may_come(struct vde_image *image, unsigned *tries)
{
    struct vde_error error;
    if ((*tries)++ >= SPACE_TRIES && !atomic_load(&image->zombies_left))
        return false;
    error_save(&error);
    bool made = checkpoint_run(image, 0) == VDE_OK;
    error_restore(&error);
    return made;
}

/* What was read and must not change since does not survive a checkpoint: then it is the caller who makes one. */
static vde_status allocate(struct write_batch *batch)
{
    unsigned tries = 0;
    vde_status status = allocate_once(batch);
    while (status == VDE_NOSPC && batch->expected_count == 0) {
        give_up(batch);
        if (!space_may_come(batch->volumes->image, &tries))
            break;
        status = allocate_once(batch);
    }
    if (status == VDE_NOSPC && batch->blocks > batch->unit_count) {
        give_up(batch);
        VDE_TRY(unpack_frames(batch));
        status = allocate_once(batch);
    }
    return status;
}

static uint64_t unit_address(const struct write_batch *batch, const struct write_unit *unit)
{
    const struct write_piece *piece = &batch->pieces[unit->piece];
    return piece->address + (unit->at - piece->at);
}

/* How many units from `first` on make one run. */
static uint32_t run_length(const struct write_batch *batch, uint32_t first)
{
    const struct write_unit *unit = &batch->units[first];
    uint32_t count = 1;
    if (unit->blocks > 1)
        return 1;
    while (first + count < batch->unit_count && count < RUN_BLOCKS_MAX) {
        const struct write_unit *next = unit + count;
        if (next->blocks > 1 || next->piece != unit->piece || next->volume != unit->volume ||
            next->block != unit->block + count)
            break;
        count++;
    }
    return count;
}

static vde_status build(struct write_batch *batch)
{
    for (uint32_t i = 0, count; i < batch->unit_count; i += count) {
        const struct write_unit *unit = &batch->units[i];
        count = run_length(batch, i);
        struct block_run run = {.block = unit->block,
                                .blocks = unit->blocks > 1 ? unit->blocks : count,
                                .stored = unit->blocks > 1 ? unit->stored : count,
                                .tail = unit->tail,
                                .address = unit_address(batch, unit),
                                .checksums = (const uint8_t *)&batch->checksums[i]};
        VDE_TRY(txn_run(batch->txn, unit->volume->id, &run));
    }
    for (uint32_t i = 0; i < batch->unmap_count; i++)
        VDE_TRY(txn_unmap(batch->txn, batch->unmaps[i].volume->id, batch->unmaps[i].block, batch->unmaps[i].blocks));
    batch->txn->frees = batch->unmap_count > 0 || batch->prealloc;
    for (uint32_t i = 0; i < batch->expected_count; i++) {
        const struct expected_blocks *e = &batch->expected[i];
        VDE_TRY(txn_expect_blocks(batch->txn, e->dataset, e->block, e->blocks, e->lsn, e->generation));
    }
    batch->txn->credit = batch->credit;
    batch->txn->lazy = true;
    return batch->extra ? batch->extra(batch->txn, batch->extra_context) : VDE_OK;
}

vde_status batch_place(struct write_batch *batch)
{
    uint64_t seed = batch->volumes->image->seed;
    vde_status status = batch_count_covered(batch);
    if (status == VDE_OK)
        status = allocate(batch);
    for (uint32_t i = 0; i < batch->unit_count && status == VDE_OK; i++) {
        const struct write_unit *unit = &batch->units[i];
        batch->checksums[i] = le64(checksum(batch->buffer + (size_t)unit->at * BLOCK_BYTES,
                                            (size_t)unit->stored * BLOCK_BYTES - unit->tail,
                                            seed ^ unit_address(batch, unit)));
    }
    if (status == VDE_OK)
        status = build(batch);
    if (status != VDE_OK)
        give_up(batch);
    return status;
}

uint32_t batch_ios(const struct write_batch *batch, struct vde_io *ios)
{
    for (uint32_t i = 0; i < batch->piece_count; i++) {
        const struct write_piece *piece = &batch->pieces[i];
        ios[i] = (struct vde_io){.op = VDE_IO_WRITE, .size = (uint32_t)(piece->blocks * BLOCK_BYTES),
                                 .offset = piece->address * BLOCK_BYTES,
                                 .buffer = batch->buffer + (size_t)piece->at * BLOCK_BYTES};
    }
    return batch->piece_count;
}

void batch_trim(struct write_batch *batch)
{
    uint32_t kept = 0, used = 0;
    for (uint32_t i = 0; i < batch->unit_count; i++) {
        struct write_unit unit = batch->units[i];
        if (unit.end > atomic_load_explicit(&unit.volume->size, memory_order_acquire)) {
            batch->blocks -= unit.blocks;
            continue;
        }
        memmove(batch->buffer + (size_t)used * BLOCK_BYTES, batch->buffer + (size_t)unit.at * BLOCK_BYTES,
                (size_t)unit.stored * BLOCK_BYTES);
        unit.at = (uint16_t)used;
        used += unit.stored;
        batch->units[kept++] = unit;
    }
    batch->unit_count = kept;
    batch->used = used;
}

/* --- visible ------------------------------------------------------------------------------------------------------- */

static vde_status check_sizes(const struct write_batch *batch)
{
    for (uint32_t i = 0; i < batch->unit_count; i++) {
        const struct write_unit *unit = &batch->units[i];
        if (unit->end > atomic_load_explicit(&unit->volume->size, memory_order_acquire))
            return fail_as(VDE_BUSY, "volume \"%s\"|it shrank under a write|the same size", unit->volume->name);
    }
    return VDE_OK;
}

/* What a preallocated volume forgets is kept free for it again, if there is room. */
static void keep_unmapped(struct write_batch *batch)
{
    for (uint32_t i = 0; i < batch->unmap_count; i++)
        if (batch->unmaps[i].volume->flags & VOLUME_PREALLOC) {
            vde_status status = prealloc_reserve(batch->volumes->image, batch->unmaps[i].volume->id,
                                                 batch->unmaps[i].blocks);
            (void)status; /* thin there */
        }
}

vde_status batch_publish(struct write_batch *batch)
{
    struct vde_image *image = batch->volumes->image;
    struct vde_commit commit;
    pthread_rwlock_rdlock(&batch->volumes->resize);
    vde_status status = check_sizes(batch);
    if (status == VDE_OK)
        status = vde_txn_submit(batch->txn, &commit);
    pthread_rwlock_unlock(&batch->volumes->resize);
    if (status != VDE_OK) {
        give_up(batch);
        return status;
    }
    batch->lsn = commit.lsn;
    keep_unmapped(batch);
    atomic_fetch_add(&image->heap_bytes, (uint64_t)batch->used * BLOCK_BYTES);
    return background_lazy(image, (uint64_t)batch->used * BLOCK_BYTES);
}

vde_status batch_finish(struct write_batch *batch)
{
    struct vde_device *device = batch->volumes->image->device;
    struct vde_io ios[BATCH_ROOM];
    if (batch->hurried && batch->piece_count > 0) {
        batch->txn->data = ios;
        batch->txn->data_count = batch_ios(batch, ios);
        return batch_publish(batch);
    }
    vde_status status = batch->piece_count ? device->ops->run(device, ios, batch_ios(batch, ios)) : VDE_OK;
    if (status != VDE_OK) {
        give_up(batch);
        return status;
    }
    return batch_publish(batch);
}

vde_status batch_run(struct write_batch *batch)
{
    VDE_TRY(batch_place(batch));
    return batch_finish(batch);
}
