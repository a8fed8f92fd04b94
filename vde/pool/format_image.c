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
#include "pool/target.h"

#define FREE_SHARE 16u /* a default file size leaves this part of the free space alone */

static vde_status write_image(struct vde_device *device, const struct label *label)
{
    const struct layout *layout = &label->layout;
    uint64_t seed = image_seed(label->uuid);
    VDE_TRY(target_clear(device, layout));
    struct superblock sb = {.sequence = 1, .epoch = 1, .next_id = ID_FIRST, .written_us = label->created_us,
                            .autoclear = FEATURE_AUTOCLEAR_CLEAN};
    struct space *space;
    VDE_TRY(space_create(device, layout, seed, &space));
    vde_status status = space_write(space, sb.sequence, &sb);
    space_close(space);
    VDE_TRY(status);
    VDE_TRY(device->ops->flush(device));
    VDE_TRY(superblocks_write(device, label, &sb));
    struct label_copies copies;
    VDE_TRY(label_copies_make(label, &copies));
    status = label_copies_write(device, &copies);
    label_copies_done(&copies);
    return status;
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
    if (!(opts->flags & VDE_FORMAT_FORCE))
        VDE_TRY(target_probe(device));
    env.random_bytes(env.context, label.uuid, sizeof label.uuid);
    label.uuid[6] = (uint8_t)((label.uuid[6] & 0x0f) | 0x40); /* RFC 9562 version 4 */
    label.uuid[8] = (uint8_t)((label.uuid[8] & 0x3f) | 0x80);
    return write_image(device, &label);
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
    chosen.size_bytes &= ~(uint64_t)(BLOCK_BYTES - 1);
    struct layout layout; /* a bad size is refused before a file is made */
    if (chosen.size_bytes)
        VDE_TRY(layout_compute(chosen.size_bytes, chosen.log_bytes, &layout));
    struct vde_device *device;
    VDE_TRY(target_open(path, chosen.backend, chosen.flags & VDE_FORMAT_FORCE, chosen.size_bytes, &device));
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
