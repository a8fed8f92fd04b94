/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint.c -- the only place that orders writes outside the log:
 *
 *   cut (gate) -> cut durable -> nodes and extents -> bitmaps of the cut, index -> flush -> superblock A, flush, B, flush
 *   -> publish -> release what the checkpoint before dropped
 *
 * Up to the bitmaps a failure undoes itself: the frozen overlay stays and the next checkpoint tries again. From there on a
 * failure poisons. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"
#include "base/mutate.h"
#include "pool/blocks.h"
#include "pool/deferred.h"
#include "pool/merge.h"
#include "tree/spill.h"

#define LOG_DUE_BYTES (64ull << 20)
#define DUE_OPS 300000u

bool checkpoint_due(struct vde_image *image)
{
    struct log_status status;
    log_status(image->log, &status);
    lock_take(&image->views_lock);
    uint64_t start = image->sb_published.log_start;
    lock_drop(&image->views_lock);
    uint64_t bytes = status.head - start;
    uint64_t lsn;
    struct layers *layers = layers_pin(image, false, &lsn);
    bool large = overlay_bytes(layers->overlays[0]) > image->memory_bytes / 4 ||
                 overlay_entries(layers->overlays[0]) > DUE_OPS;
    layers_unpin(image, layers);
    return large || bytes > min_u64(status.ring_bytes / 3, LOG_DUE_BYTES);
}

/* Freeze the active overlay, unless one is frozen still from a checkpoint that was given up. */
static vde_status cut(struct vde_image *image)
{
    if (image->current->overlays[1])
        return VDE_OK;
    struct overlay *fresh;
    VDE_TRY(overlay_create(&fresh));
    lock_take(log_gate(image->log));
    vde_status status = layers_freeze(image, fresh);
    if (status == VDE_OK) {
        image->cut_lsn = log_last_lsn(image->log);
        image->cut_time_us = image->last_time_us;
        image->cut_next_id = atomic_load(&image->next_id);
        image->frozen_pending = image->active_pending;
        image->active_pending = (struct pending){0};
        log_cut(image->log);
    }
    lock_drop(log_gate(image->log));
    if (status != VDE_OK)
        overlay_unref(fresh);
    return status;
}

/* Blocks of volumes come one by one, but most of them in the order in which they lie on the device. */
static vde_status mark_block(struct vde_image *image, const struct overlay_entry *entry, struct run *run)
{
    struct block_entry block = block_entry_get(entry);
    uint32_t owned = block_entry_owned(&block);
    if (owned == 0)
        return VDE_OK;
    if (run->blocks > 0 && run->address + run->blocks == block.address) {
        run->blocks += owned;
        return VDE_OK;
    }
    if (run->blocks > 0)
        VDE_TRY(space_mark(image->space, run->address, run->blocks, true));
    *run = (struct run){block.address, owned};
    return VDE_OK;
}

/* Extents that records up to the cut name were written and flushed with them: they are in use now. */
static vde_status mark_named(struct vde_image *image, const struct overlay *overlay)
{
    struct overlay_iterator iterator;
    struct overlay_entry entry;
    struct run run = {0};
    overlay_seek(&iterator, overlay, UINT64_MAX, 0, NULL, 0);
    for (; overlay_valid(&iterator); overlay_next_version(&iterator)) {
        overlay_entry(&iterator, &entry);
        if (entry.kind == VALUE_RUN) {
            VDE_TRY(mark_block(image, &entry, &run));
        } else if (entry.kind == VALUE_EXTENT) {
            struct disk_ptr disk;
            memcpy(&disk, entry.value, sizeof disk);
            VDE_TRY(space_mark(image->space, le64_get(disk.address), le32_get(disk.blocks), true));
        } else if (entry.kind == VALUE_SPILLED) {
            for (unsigned i = 0; i < spill_count(entry.value); i++) {
                struct ptr p = spill_extent(entry.value, i);
                VDE_TRY(space_mark(image->space, p.address, p.blocks, true));
            }
        }
    }
    return run.blocks > 0 ? space_mark(image->space, run.address, run.blocks, true) : VDE_OK;
}

static vde_status defer(struct vde_image *image, uint64_t generation, const struct runs *runs)
{
    size_t need = image->deferred_count + runs->count;
    if (need > image->deferred_capacity) {
        size_t capacity = max_u64(need, image->deferred_capacity * 2);
        struct deferred_run *grown = realloc(image->deferred, capacity * sizeof *grown);
        if (!grown)
            return fail_nomem("deferred frees");
        image->deferred = grown;
        image->deferred_capacity = capacity;
    }
    for (size_t i = 0; i < runs->count; i++)
        image->deferred[image->deferred_count++] =
            (struct deferred_run){generation, runs->items[i].address, runs->items[i].blocks};
    return VDE_OK;
}

static struct superblock next_superblock(struct vde_image *image, const struct merge *merge, unsigned flags)
{
    struct superblock sb = image->sb;
    sb.sequence++;
    sb.epoch += flags & CHECKPOINT_RECOVERY && !MUTATED(MUTATE_RECOVERY_EPOCH) ? 1 : 0;
    sb.checkpoint_lsn = image->cut_lsn;
    sb.log_previous = image->sb.log_start;
    log_cut_place(image->log, &sb.log_start, &sb.log_chain);
    sb.last_time_us = image->cut_time_us;
    sb.next_id = image->cut_next_id;
    sb.autoclear = flags & CHECKPOINT_CLEAN ? FEATURE_AUTOCLEAR_CLEAN : 0;
    sb.written_us = image_now_us(image);
    sb.meta_nodes = (uint64_t)((int64_t)sb.meta_nodes + merge->nodes);
    sb.catalog = merge->catalog.root;
    sb.catalog_dead = merge->catalog_dead;
    sb.catalog_dead_blocks = merge->catalog_dead_blocks;
    return sb;
}

/* Bitmaps, flush, superblocks. Any failure poisons. */
static vde_status commit_checkpoint(struct vde_image *image, struct merge *merge, struct superblock *sb)
{
    VDE_TRY(mark_named(image, merge->overlay));
    VDE_TRY(space_mark_many(image->space, merge->allocated.items, merge->allocated.count, true));
    VDE_TRY(space_mark_many(image->space, merge->freed.items, merge->freed.count, false));
    VDE_TRY(defer(image, sb->sequence, &merge->freed));
    VDE_TRY(space_write(image->space, sb->sequence, sb));
    if (!MUTATED(MUTATE_SUPERBLOCK_FLUSH))
        VDE_TRY(image_flush(image));
    atomic_fetch_add(&image->flushes, 2);
    return superblocks_write(image->device, &image->label, sb);
}

static void publish(struct vde_image *image, const struct superblock *sb, struct layers *fresh)
{
    lock_take(log_gate(image->log));
    vde_status status = layers_publish(image, sb->sequence, sb->catalog, fresh);
    (void)status; /* can't fail: its memory is `fresh` */
    uint64_t reserved = image->frozen_pending.reserved;
    image->frozen_pending = (struct pending){0};
    lock_take(&image->views_lock);
    image->sb_published = *sb;
    lock_drop(&image->views_lock);
    lock_drop(log_gate(image->log));
    image->sb = *sb;
    space_unreserve(image->space, reserved);
    log_retain(image->log, sb->log_previous);
    atomic_fetch_add(&image->checkpoints, 1);
    deferred_release(image, sb->sequence);
}

static void give_up(struct vde_image *image, const struct merge *merge)
{
    for (size_t i = 0; i < merge->allocated.count; i++)
        for (uint64_t b = 0; b < merge->allocated.items[i].blocks; b++)
            node_cache_forget(image->cache, merge->allocated.items[i].address + b);
    space_release_many(image->space, merge->allocated.items, merge->allocated.count);
}

static vde_status run_locked(struct vde_image *image, unsigned flags, const struct snapshot_record *rollback)
{
    VDE_TRY(cut(image));
    if (!MUTATED(MUTATE_CUT_WAIT))
        VDE_TRY(log_wait(image->log, image->cut_lsn));
    struct layers *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return fail_nomem("layers");
    uint64_t lsn;
    struct layers *layers = layers_pin(image, false, &lsn);
    struct merge merge;
    vde_status status = merge_init(&merge, image, layers->overlays[1], image->cut_lsn, layers);
    merge.rollback = rollback;
    if (status == VDE_OK)
        status = merge_run(&merge);
    if (status != VDE_OK) {
        struct vde_error error;
        error_save(&error);
        give_up(image, &merge);
        error_restore(&error);
    } else {
        struct superblock sb = next_superblock(image, &merge, flags);
        status = commit_checkpoint(image, &merge, &sb);
        overlay_ref(merge.overlay); /* freed below, not under the gate by who lets go of the last layers */
        layers_unpin(image, layers);
        layers = NULL;
        if (status != VDE_OK) {
            struct vde_error error;
            error_save(&error);
            log_poison(image->log);
            error_restore(&error);
        } else {
            publish(image, &sb, fresh);
            atomic_store(&image->zombies_left, merge.zombies_left);
            fresh = NULL;
        }
        overlay_unref(merge.overlay);
    }
    merge_done(&merge);
    free(fresh);
    if (layers)
        layers_unpin(image, layers);
    return status;
}

vde_status checkpoint_run(struct vde_image *image, unsigned flags)
{
    lock_take(&image->checkpoint_lock);
    vde_status status = VDE_OK;
    if (log_poisoned(image->log))
        status = fail_as(VDE_POISONED, "image");
    else if (image->current->overlays[1]) /* given up before: it takes up what was frozen then, and nothing later */
        status = run_locked(image, 0, NULL);
    if (status == VDE_OK)
        status = run_locked(image, flags, NULL);
    lock_drop(&image->checkpoint_lock);
    return status;
}

vde_status checkpoint_rollback(struct vde_image *image, const struct snapshot_record *snapshot)
{
    lock_take(&image->checkpoint_lock);
    vde_status status = run_locked(image, 0, snapshot);
    lock_drop(&image->checkpoint_lock);
    return status;
}

vde_status vde_image_checkpoint(vde_image *image)
{
    if (image->read_only)
        return fail_as(VDE_READ_ONLY, "image");
    return checkpoint_run(image, 0);
}
