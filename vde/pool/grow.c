/* SPDX-License-Identifier: Apache-2.0 */
/* grow.c -- make an image larger while it is in use.
 *
 *   label copy near the new end -> alloc index in the new part -> flush -> superblock A, flush, B, flush -> hand out the new part
 *
 * The superblock is that of the checkpoint before, with one more size and the same trees and log. Until it is durable nothing
 * of the new part is in use, and the index of the superblock before stays where it was: a crash leaves the old size or the new
 * one. New bitmap pages need no writing: the index says that they never were. */
#include "base/fail.h"
#include "pool/pool.h"
#include "pool/target.h"

/* *ret_blocks: what to grow to, or the present size for "nothing to do". */
static vde_status choose_size(struct vde_image *image, uint64_t wanted, uint64_t *ret_blocks)
{
    struct vde_device *device = image->device;
    struct vde_device_info info;
    uint64_t present = image->label.layout.blocks;
    if (device->ops->refresh)
        VDE_TRY(device->ops->refresh(device));
    device->ops->info(device, &info);
    uint64_t size = wanted ? wanted : info.size_bytes;
    if (size > info.size_bytes)
        return fail_as(VDE_INVAL, "image size|%llu bytes|at most the device's %llu", (unsigned long long)size,
                       (unsigned long long)info.size_bytes);
    *ret_blocks = size / BLOCK_BYTES;
    if (*ret_blocks < present)
        return fail_as(VDE_INVAL, "image size|%llu bytes|at least the present %llu: images don't shrink",
                       (unsigned long long)size, (unsigned long long)present * BLOCK_BYTES);
    if (wanted == 0 && *ret_blocks - present < GROWTH_MIN_BLOCKS)
        *ret_blocks = present;
    return VDE_OK;
}

static vde_status write_label_copy(struct vde_image *image, const struct layout *grown)
{
    struct label label = image->label;
    struct label_copies copies;
    label.layout = *grown;
    VDE_TRY(label_copies_make(&label, &copies));
    vde_status status = device_transfer(image->device, VDE_IO_WRITE, copies.block[2],
                                        copies.content + 2 * (size_t)LABEL_COPY_BLOCKS * BLOCK_BYTES, LABEL_COPY_BLOCKS);
    label_copies_done(&copies);
    return status;
}

static vde_status write_superblock(struct vde_image *image, struct superblock *sb)
{
    VDE_TRY(space_write(image->space, sb->sequence, sb));
    VDE_TRY(image_flush(image));
    atomic_fetch_add(&image->flushes, 2);
    return superblocks_write(image->device, &image->label, sb);
}

static void publish(struct vde_image *image, const struct superblock *sb, const struct layout *grown)
{
    image->sb = *sb;
    lock_take(log_gate(image->log)); /* submitting transactions read it, too */
    lock_take(&image->views_lock);
    image->sb_published = *sb;
    lock_drop(&image->views_lock);
    lock_drop(log_gate(image->log));
    /* Who is handed a new block must find it allocatable. */
    layout_adopt(&image->label.layout, grown);
    __atomic_store_n(&image->store.device_blocks, grown->blocks, __ATOMIC_RELAXED);
    space_grown(image->space);
}

static vde_status grow_locked(struct vde_image *image, uint64_t wanted)
{
    struct layout grown = image->label.layout;
    uint64_t blocks;
    if (log_poisoned(image->log))
        return fail_as(VDE_POISONED, "image");
    VDE_TRY(choose_size(image, wanted, &blocks));
    if (blocks == grown.blocks)
        return VDE_OK;
    VDE_TRY(layout_grow(&grown, blocks));
    struct superblock sb = image->sb;
    sb.sequence++;
    sb.log_previous = sb.log_start;
    sb.autoclear = 0;
    sb.written_us = image_now_us(image);
    sb.grown_blocks[sb.growths++] = blocks;
    VDE_TRY(write_label_copy(image, &grown));
    VDE_TRY(space_grow(image->space, &grown));
    vde_status status = write_superblock(image, &sb);
    if (status != VDE_OK) {
        struct vde_error error;
        error_save(&error);
        log_poison(image->log);
        error_restore(&error);
        return status;
    }
    publish(image, &sb, &grown);
    return VDE_OK;
}

vde_status vde_image_grow(vde_image *image, uint64_t new_size_bytes)
{
    if (image->read_only)
        return fail_as(VDE_READ_ONLY, "image");
    lock_take(&image->checkpoint_lock);
    vde_status status = grow_locked(image, new_size_bytes);
    lock_drop(&image->checkpoint_lock);
    return status;
}
