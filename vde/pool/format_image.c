/* SPDX-License-Identifier: Apache-2.0 */
/* format_image.c -- make a fresh image: everything but the labels first, the labels last. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/checked.h"
#include "base/fail.h"
#include "format/label.h"
#include "io/probe.h"
#include "pool/env.h"
#include "pool/pool.h"

#define ZERO_BLOCKS 128u
#define FREE_SHARE 16u /* a default file size leaves this part of the free space alone */

static vde_status write_zeroes(struct vde_device *device, const struct region *region)
{
    void *zeroes = aligned_alloc(BLOCK_BYTES, (size_t)ZERO_BLOCKS * BLOCK_BYTES);
    if (!zeroes)
        return fail_nomem("format");
    memset(zeroes, 0, (size_t)ZERO_BLOCKS * BLOCK_BYTES);
    vde_status status = VDE_OK;
    for (uint64_t done = 0; done < region->blocks && status == VDE_OK; done += ZERO_BLOCKS)
        status = device_transfer(device, VDE_IO_WRITE, region->block + done, zeroes,
                                 min_u64(ZERO_BLOCKS, region->blocks - done));
    free(zeroes);
    return status;
}

static vde_status write_labels(struct vde_device *device, const struct label *label)
{
    uint8_t *buffer = aligned_alloc(BLOCK_BYTES, 2 * BLOCK_BYTES);
    if (!buffer)
        return fail_nomem("label");
    vde_status status = VDE_OK;
    for (unsigned copy = 0; copy < 2 && status == VDE_OK; copy++) {
        label_encode(label, copy, (struct disk_label *)(void *)buffer);
        feature_names_encode(label, (struct disk_feature_names *)(void *)(buffer + BLOCK_BYTES));
        status = device_transfer(device, VDE_IO_WRITE,
                                 layout_region(&label->layout, copy ? REGION_LABEL_B : REGION_LABEL_A)->block, buffer, 2);
    }
    free(buffer);
    return status;
}

static vde_status write_image(struct vde_device *device, const struct label *label)
{
    const struct layout *layout = &label->layout;
    uint64_t seed = image_seed(label->uuid);
    struct region both = {REGION_LABEL_A, LABEL_BLOCK, 2};
    VDE_TRY(write_zeroes(device, &both)); /* an older image's label must not stand above a half-made one */
    VDE_TRY(device->ops->flush(device));
    VDE_TRY(write_zeroes(device, layout_region(layout, REGION_RING_A)));
    VDE_TRY(write_zeroes(device, layout_region(layout, REGION_RING_B)));
    VDE_TRY(write_zeroes(device, layout_region(layout, REGION_VAULT)));
    VDE_TRY(write_zeroes(device, layout_region(layout, REGION_LOG)));
    struct superblock sb = {.sequence = 1, .epoch = 1, .next_id = ID_FIRST, .written_us = label->created_us,
                            .autoclear = FEATURE_AUTOCLEAR_CLEAN};
    struct space *space;
    VDE_TRY(space_create(device, layout, seed, &space));
    vde_status status = space_write(space, sb.sequence, &sb);
    space_close(space);
    VDE_TRY(status);
    VDE_TRY(device->ops->flush(device));
    VDE_TRY(superblocks_write(device, label, &sb));
    VDE_TRY(write_labels(device, label));
    return device->ops->flush(device);
}

vde_status vde_image_format_device(struct vde_device *device, const struct vde_format_opts *opts)
{
    static const struct vde_format_opts defaults = VDE_FORMAT_OPTS_INIT;
    if (!opts)
        opts = &defaults;
    struct vde_env env = env_or_default(opts->env);
    struct vde_device_info info;
    device->ops->info(device, &info);
    uint64_t size = opts->size_bytes ? opts->size_bytes : info.size_bytes;
    if (size > info.size_bytes)
        return fail_as(VDE_INVAL, "image size|%llu bytes|at most the device's %llu", (unsigned long long)size,
                       (unsigned long long)info.size_bytes);
    struct label label = {.created_us = env.now_us(env.context), .incompat = FEATURE_INCOMPAT_KNOWN};
    VDE_TRY(layout_compute(size, opts->log_bytes, &label.layout));
    if (!(opts->flags & VDE_FORMAT_FORCE)) {
        char what[128] = "";
        VDE_TRY(probe_foreign_content(device, what, sizeof what));
        if (what[0])
            return fail_as(VDE_EXISTS, "device|%s|nothing, or force", what);
    }
    env.random_bytes(env.context, label.uuid, sizeof label.uuid);
    label.uuid[6] = (uint8_t)((label.uuid[6] & 0x0f) | 0x40); /* RFC 9562 version 4 */
    label.uuid[8] = (uint8_t)((label.uuid[8] & 0x3f) | 0x80);
    return write_image(device, &label);
}

/* A file that is refused keeps its length: look before it is grown. */
static vde_status refuse_foreign(const char *path, uint64_t size)
{
    char what[128] = "";
    if (size < BLOCK_BYTES) {
        snprintf(what, sizeof what, "a file of %llu bytes", (unsigned long long)size);
        return vde_error_set(VDE_EXISTS, path, what, "nothing, or force");
    }
    struct vde_device *device;
    VDE_TRY(vde_device_open(path, "sync", VDE_DEVICE_READ_ONLY, 0, &device));
    vde_status status = probe_foreign_content(device, what, sizeof what);
    struct vde_error error;
    error_save(&error);
    device->ops->close(device);
    error_restore(&error);
    VDE_TRY(status);
    return what[0] ? vde_error_set(VDE_EXISTS, path, what, "nothing, or force") : VDE_OK;
}

vde_status vde_image_format(const char *path, const struct vde_format_opts *opts)
{
    static const struct vde_format_opts defaults = VDE_FORMAT_OPTS_INIT;
    if (!opts)
        opts = &defaults;
    struct vde_format_opts chosen = *opts;
    struct stat st;
    bool exists = stat(path, &st) == 0;
    bool regular = !exists || S_ISREG(st.st_mode);
    if (regular && chosen.size_bytes == 0) {
        if (exists && st.st_size >= (off_t)VDE_IMAGE_MIN_BYTES)
            chosen.size_bytes = (uint64_t)st.st_size;
        else {
            uint64_t space;
            VDE_TRY(probe_free_space(path, &space));
            chosen.size_bytes = min_u64(space - space / FREE_SHARE, VDE_IMAGE_MAX_BYTES);
        }
    }
    if (exists && regular && st.st_size > 0 && !(chosen.flags & VDE_FORMAT_FORCE))
        VDE_TRY(refuse_foreign(path, (uint64_t)st.st_size));
    chosen.size_bytes &= ~(uint64_t)(BLOCK_BYTES - 1);
    struct layout layout; /* a bad size is refused before a file is made */
    if (chosen.size_bytes)
        VDE_TRY(layout_compute(chosen.size_bytes, chosen.log_bytes, &layout));
    struct vde_device *device;
    VDE_TRY(vde_device_open(path, chosen.backend, regular ? VDE_DEVICE_CREATE : 0, chosen.size_bytes, &device));
    vde_status status = vde_image_format_device(device, &chosen);
    struct vde_error error;
    error_save(&error);
    device->ops->close(device);
    if (status != VDE_OK) {
        snprintf(error.object, sizeof error.object, "%.300s", path);
        error_restore(&error);
        if (error.status == VDE_EXISTS)
            return vde_error_set(VDE_EXISTS, path, error.found, error.expected);
    }
    return status;
}
