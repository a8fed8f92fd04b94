/* SPDX-License-Identifier: Apache-2.0 */
/* sealed.c -- a device in front of another that shows labels which are not on it yet, so that the copy can be verified
 * before it is an image. */
#include <string.h>

#include "base/fail.h"
#include "copy/copy.h"

#define COPY_BYTES (LABEL_COPY_BLOCKS * (uint64_t)BLOCK_BYTES)

/* Put the part of the labels that a read covers over what it read. */
static void show_labels(const struct sealed *sealed, struct vde_io *io)
{
    for (unsigned copy = 0; copy < sealed->labels->count; copy++) {
        uint64_t start = sealed->labels->block[copy] * BLOCK_BYTES, end = start + COPY_BYTES;
        uint64_t from = io->offset > start ? io->offset : start;
        uint64_t to = io->offset + io->size < end ? io->offset + io->size : end;
        if (from < to)
            memcpy((uint8_t *)io->buffer + (from - io->offset),
                   sealed->labels->content + copy * COPY_BYTES + (from - start), to - from);
    }
}

static vde_status run(struct vde_device *device, struct vde_io *ios, size_t count)
{
    struct sealed *sealed = (struct sealed *)(void *)device;
    for (size_t i = 0; i < count; i++)
        if (ios[i].op != VDE_IO_READ)
            return fail_as(VDE_READ_ONLY, "sealed device");
    VDE_TRY(sealed->below->ops->run(sealed->below, ios, count));
    for (size_t i = 0; i < count; i++)
        show_labels(sealed, &ios[i]);
    return VDE_OK;
}

static vde_status flush(struct vde_device *device)
{
    (void)device;
    return VDE_OK;
}

static vde_status discard(struct vde_device *device, uint64_t offset, uint64_t size)
{
    (void)device;
    (void)offset;
    (void)size;
    return VDE_OK;
}

static void info(struct vde_device *device, struct vde_device_info *ret_info)
{
    struct sealed *sealed = (struct sealed *)(void *)device;
    sealed->below->ops->info(sealed->below, ret_info);
    ret_info->read_only = true;
}

static void close_nothing(struct vde_device *device)
{
    (void)device;
}

void sealed_init(struct sealed *sealed, struct vde_device *below, const struct label_copies *labels)
{
    static const struct vde_device_ops ops = {
        .run = run, .flush = flush, .discard = discard, .info = info, .close = close_nothing};
    *sealed = (struct sealed){.device = {&ops}, .below = below, .labels = labels};
}
