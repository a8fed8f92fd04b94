/* SPDX-License-Identifier: Apache-2.0 */
/* copy.c -- copy an image: an instant is pinned, what is in use at it is copied, verified, and named an image last.
 *
 * The instant is that of a checkpoint. Its bitmaps say exactly what its superblock reaches; while its layers are pinned none of
 * that is written over, so the blocks may be copied at leisure. */
#include "copy/copy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"

void copy_progress(const struct copy *copy, unsigned half, uint64_t done, uint64_t total)
{
    if (!copy->opts.progress)
        return;
    uint64_t whole = copy->sb.used_blocks * BLOCK_BYTES;
    uint64_t bytes = total ? (uint64_t)((double)whole * ((double)min_u64(done, total) / (double)total)) : 0;
    copy->opts.progress(copy->opts.context, half * whole + min_u64(bytes, whole), 2 * whole);
}

static vde_status refuse_small(uint64_t blocks, struct vde_device *device)
{
    struct vde_device_info info;
    device->ops->info(device, &info);
    if (info.size_bytes / BLOCK_BYTES < blocks)
        return fail_as(VDE_INVAL, "target|%llu bytes|at least the image's %llu", (unsigned long long)info.size_bytes,
                       (unsigned long long)blocks * BLOCK_BYTES);
    return VDE_OK;
}

/* --- the instant ---------------------------------------------------------------------------------------------------- */

static vde_status refuse_pending(struct vde_image *image)
{
    if (image->as_of_snapshot)
        return fail_as(VDE_UNSUPPORTED, "image|open as of a snapshot of it|the image as it is: the copy holds its snapshots");
    if (image_durable_lsn(image) > image->sb.checkpoint_lsn)
        return fail_as(VDE_READ_ONLY, "image|records up to LSN %llu in its log|a checkpoint, which needs it open for writing",
                       (unsigned long long)image_durable_lsn(image));
    return VDE_OK;
}

/* The bitmaps are taken over under the lock, because the checkpoint after next writes over them. */
static vde_status take_instant(struct copy *copy)
{
    struct vde_image *image = copy->image;
    if (image->read_only)
        VDE_TRY(refuse_pending(image));
    else
        VDE_TRY(vde_image_checkpoint(image));
    uint64_t lsn;
    lock_take(&image->checkpoint_lock);
    copy->sb = image->sb;
    copy->label = image->label; /* the image may grow meanwhile */
    copy->layers = layers_pin(image, false, &lsn);
    vde_status status = refuse_small(copy->label.layout.blocks, copy->target);
    if (status == VDE_OK)
        status = copy_bitmaps(copy);
    lock_drop(&image->checkpoint_lock);
    copy->result.lsn = copy->sb.checkpoint_lsn;
    copy->result.size_bytes = copy->label.layout.blocks * BLOCK_BYTES;
    copy->result.copied_bytes = copy->sb.used_blocks * BLOCK_BYTES;
    return status;
}

/* --- verification --------------------------------------------------------------------------------------------------- */

struct verification {
    struct copy *copy;
    struct vde_error first;
};

static void on_finding(void *context, const struct vde_finding *finding)
{
    struct verification *v = context;
    if (v->first.status == VDE_OK) {
        fail_as(finding->status, "copy: %s|%s|%s", finding->object, finding->found ? finding->found : "",
                finding->expected ? finding->expected : "");
        error_save(&v->first);
    }
    if (v->copy->opts.finding)
        v->copy->opts.finding(v->copy->opts.context, finding);
}

static void on_progress(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    struct verification *v = context;
    copy_progress(v->copy, 1, done_bytes, total_bytes);
}

static vde_status verify(struct copy *copy)
{
    struct verification v = {.copy = copy};
    struct vde_check_opts opts = VDE_CHECK_OPTS_INIT;
    struct sealed sealed;
    opts.finding = on_finding;
    opts.progress = on_progress;
    opts.context = &v;
    sealed_init(&sealed, copy->target, &copy->labels);
    VDE_TRY(vde_check_device(&sealed.device, &opts, &copy->result.check));
    if (copy->result.check.findings == 0 || (copy->opts.flags & VDE_COPY_DAMAGED))
        return VDE_OK;
    error_restore(&v.first);
    return VDE_CORRUPT;
}

/* --- the whole ------------------------------------------------------------------------------------------------------ */

/* The log is empty, so its oldest frame that is needed is the next one. */
static vde_status write_superblock(struct copy *copy)
{
    struct superblock sb = copy->sb;
    sb.log_previous = sb.log_start;
    sb.autoclear = FEATURE_AUTOCLEAR_CLEAN;
    VDE_TRY(copy->target->ops->flush(copy->target));
    return superblocks_write(copy->target, &copy->label, &sb);
}

static vde_status copy_all(struct copy *copy)
{
    VDE_TRY(target_clear(copy->target, &copy->image->label.layout));
    VDE_TRY(take_instant(copy));
    copy_progress(copy, 0, 0, 1);
    VDE_TRY(copy_blocks(copy));
    VDE_TRY(write_superblock(copy));
    VDE_TRY(label_copies_make(&copy->label, &copy->labels));
    VDE_TRY(verify(copy));
    VDE_TRY(label_copies_write(copy->target, &copy->labels));
    copy_progress(copy, 1, 1, 1);
    return VDE_OK;
}

vde_status vde_image_copy_device(vde_image *image, struct vde_device *device, const struct vde_copy_opts *opts,
                                 struct vde_copy_result *ret_result)
{
    static const struct vde_copy_opts defaults = VDE_COPY_OPTS_INIT;
    struct copy copy = {.image = image, .target = device, .opts = opts ? *opts : defaults};
    if (device == image->device)
        return fail_as(VDE_INVAL, "target|the image's own device|another");
    VDE_TRY(refuse_small(layout_blocks(&image->label.layout), device)); /* before anything of it is overwritten */
    if (!(copy.opts.flags & VDE_COPY_FORCE))
        VDE_TRY(target_probe(device));
    vde_status status = copy_all(&copy);
    if (copy.layers)
        layers_unpin(image, copy.layers);
    label_copies_done(&copy.labels);
    if (ret_result && (status == VDE_OK || status == VDE_CORRUPT))
        *ret_result = copy.result;
    return status;
}

vde_status vde_image_copy(vde_image *image, const char *path, const struct vde_copy_opts *opts,
                          struct vde_copy_result *ret_result)
{
    static const struct vde_copy_opts defaults = VDE_COPY_OPTS_INIT;
    struct vde_device *device;
    if (!opts)
        opts = &defaults;
    VDE_TRY(target_open(path, opts->backend, opts->flags & VDE_COPY_FORCE,
                        layout_blocks(&image->label.layout) * BLOCK_BYTES, &device));
    vde_status status = vde_image_copy_device(image, device, opts, ret_result);
    struct vde_error error;
    error_save(&error);
    device->ops->close(device);
    error_restore(&error);
    return status;
}
