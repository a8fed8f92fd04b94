/* SPDX-License-Identifier: Apache-2.0 */
/* device.c -- whole blocks to and from the device, split at the request size. */
#include "base/checked.h"
#include "base/fail.h"
#include "pool/pool.h"

#define BATCH 16u

vde_status device_transfer(struct vde_device *device, uint8_t op, uint64_t block, void *buffer, uint64_t blocks)
{
    uint64_t bytes = blocks * BLOCK_BYTES;
    for (uint64_t done = 0; done < bytes;) {
        struct vde_io ios[BATCH];
        size_t count = 0;
        for (; count < BATCH && done < bytes; count++) {
            uint32_t size = (uint32_t)min_u64(bytes - done, VDE_IO_MAX_BYTES);
            ios[count] = (struct vde_io){.op = op, .size = size, .offset = block * BLOCK_BYTES + done,
                                         .buffer = (uint8_t *)buffer + done};
            done += size;
        }
        VDE_TRY(device->ops->run(device, ios, count));
    }
    return VDE_OK;
}

vde_status image_read(struct vde_image *image, uint64_t block, void *buffer, uint64_t blocks)
{
    uint64_t end = layout_blocks(&image->label.layout);
    if (block >= end || blocks > end - block)
        return fail_corrupt("block %llu|%llu blocks beyond the end of the image|an address inside",
                            (unsigned long long)block, (unsigned long long)blocks);
    return device_transfer(image->device, VDE_IO_READ, block, buffer, blocks);
}

vde_status image_flush(struct vde_image *image)
{
    atomic_fetch_add(&image->flushes, 1);
    return image->device->ops->flush(image->device);
}
