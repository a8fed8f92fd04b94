/* SPDX-License-Identifier: Apache-2.0 */
/* superblock_io.c -- read and write label copies and superblock rings. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "pool/pool.h"

static uint64_t device_blocks(struct vde_device *device)
{
    struct vde_device_info info;
    device->ops->info(device, &info);
    return info.size_bytes / BLOCK_BYTES;
}

static vde_status read_label(struct vde_device *device, uint64_t block, const char *object, struct label *ret_label,
                             struct disk_feature_names *ret_names)
{
    uint64_t blocks = device_blocks(device);
    if (block + 2 > blocks)
        return fail_corrupt("%s|a device of %llu blocks|a VDE image", object, (unsigned long long)blocks);
    uint8_t *buffer = aligned_alloc(BLOCK_BYTES, 2 * BLOCK_BYTES);
    if (!buffer)
        return fail_nomem("label");
    vde_status status = device_transfer(device, VDE_IO_READ, block, buffer, 2);
    if (status == VDE_OK)
        status = label_decode((const struct disk_label *)(const void *)buffer, blocks, object, ret_label);
    if (status == VDE_OK && ret_names)
        memcpy(ret_names, buffer + BLOCK_BYTES, BLOCK_BYTES);
    free(buffer);
    return status;
}

/* Copy B stands 64 KiB before the image's end, which on a file or a device of the format's size is the device's end. */
vde_status labels_read(struct vde_device *device, struct label *ret_label, struct disk_feature_names *ret_names)
{
    vde_status status = read_label(device, LABEL_BLOCK, "label A", ret_label, ret_names);
    if (status != VDE_CORRUPT)
        return status;
    struct vde_error first;
    error_save(&first);
    uint64_t blocks = device_blocks(device);
    if (blocks > 2 * RESERVED_BLOCKS &&
        read_label(device, blocks - 2 * RESERVED_BLOCKS, "label B", ret_label, ret_names) == VDE_OK)
        return VDE_OK;
    error_restore(&first);
    return status;
}

/* The label's layout becomes that of the newest superblock. */
static vde_status adopt_size(struct vde_device *device, const struct superblock *sb, struct label *label)
{
    struct layout layout;
    VDE_TRY(superblock_layout(sb, &label->layout, &layout));
    if (layout.blocks > device_blocks(device))
        return fail_corrupt("superblock %llu|an image grown to %llu blocks|at most the device's %llu",
                            (unsigned long long)sb->sequence, (unsigned long long)layout.blocks,
                            (unsigned long long)device_blocks(device));
    label->layout = layout;
    return VDE_OK;
}

vde_status superblocks_read(struct vde_device *device, struct label *label, struct superblock *ret_newest,
                            uint32_t *ret_copies)
{
    uint8_t *buffer = aligned_alloc(BLOCK_BYTES, RING_SLOTS * BLOCK_BYTES);
    if (!buffer)
        return fail_nomem("superblocks");
    uint32_t copies = 0;
    vde_status status = VDE_OK;
    struct vde_error first_error;
    bool failed = false;
    for (unsigned ring = 0; ring < 2 && status == VDE_OK; ring++) {
        const struct region *r = layout_region(&label->layout, ring ? REGION_RING_B : REGION_RING_A);
        status = device_transfer(device, VDE_IO_READ, r->block, buffer, RING_SLOTS);
        for (unsigned slot = 0; slot < RING_SLOTS && status == VDE_OK; slot++) {
            struct superblock sb;
            const void *block = buffer + (size_t)slot * BLOCK_BYTES;
            if (superblock_decode(block, label->uuid, &label->layout, ring, slot, &sb) != VDE_OK) {
                if (!failed)
                    error_save(&first_error);
                failed = true;
                continue;
            }
            if (copies == 0 || sb.sequence > ret_newest->sequence) {
                *ret_newest = sb;
                copies = 1;
            } else if (sb.sequence == ret_newest->sequence) {
                copies++;
            }
        }
    }
    free(buffer);
    if (status == VDE_OK && copies == 0) {
        error_restore(&first_error);
        status = fail_corrupt("superblock rings|no valid superblock (first: %s)|at least one", first_error.found);
    }
    *ret_copies = copies;
    return status == VDE_OK ? adopt_size(device, ret_newest, label) : status;
}

vde_status superblocks_write(struct vde_device *device, const struct label *label, const struct superblock *sb)
{
    struct disk_superblock *block = aligned_alloc(BLOCK_BYTES, BLOCK_BYTES);
    if (!block)
        return fail_nomem("superblock");
    vde_status status = VDE_OK;
    for (unsigned ring = 0; ring < 2 && status == VDE_OK; ring++) {
        uint64_t place = superblock_block(&label->layout, ring, sb->sequence);
        superblock_encode(sb, label->uuid, ring, place, block);
        status = device_transfer(device, VDE_IO_WRITE, place, block, 1);
        if (status == VDE_OK)
            status = device->ops->flush(device);
    }
    free(block);
    return status;
}
