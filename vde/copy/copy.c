/* SPDX-License-Identifier: Apache-2.0 */
/* copy.c -- copy an image: an instant is pinned, what is in use at it is copied, verified, and named an image last.
 *
 * The instant is that of a checkpoint. Its bitmaps say exactly what its superblock reaches; while its layers are pinned none of
 * that is written over, so the blocks may be copied at leisure: to the same places, or, into another size or as an image
 * snapshot shows them, to others (relocate.c). */
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

static uint64_t device_bytes(struct vde_device *device)
{
    struct vde_device_info info;
    device->ops->info(device, &info);
    return info.size_bytes;
}

static vde_status refuse_small(uint64_t bytes, struct vde_device *device)
{
    if (device_bytes(device) < bytes)
        return fail_as(VDE_INVAL, "target|%llu bytes|at least the copy's %llu", (unsigned long long)device_bytes(device),
                       (unsigned long long)bytes);
    return VDE_OK;
}

/* --- the instant ---------------------------------------------------------------------------------------------------- */

/* A snapshot of the image is in the trees, whatever the log holds. */
static vde_status refuse_pending(struct vde_image *image, bool snapshot)
{
    if (image->as_of_snapshot)
        return fail_as(VDE_UNSUPPORTED, "image|open as of a snapshot of it|the image as it is: the copy can be of a snapshot");
    if (!snapshot && image_durable_lsn(image) > image->sb.checkpoint_lsn)
        return fail_as(VDE_READ_ONLY, "image|records up to LSN %llu in its log|a checkpoint, which needs it open for writing",
                       (unsigned long long)image_durable_lsn(image));
    return VDE_OK;
}

/* Pin the checkpoint; the lock is the caller's. */
static void pin(struct copy *copy)
{
    uint64_t lsn;
    copy->sb = copy->image->sb;
    copy->label = copy->image->label; /* the image may grow meanwhile */
    copy->layers = layers_pin(copy->image, false, &lsn);
}

/* The bitmaps are taken over under the lock, because the checkpoint after next writes over them. */
static vde_status take_bitmaps(struct copy *copy)
{
    lock_take(&copy->image->checkpoint_lock);
    pin(copy);
    vde_status status = refuse_small(copy->label.layout.blocks * BLOCK_BYTES, copy->target);
    if (status == VDE_OK)
        status = copy_bitmaps(copy);
    lock_drop(&copy->image->checkpoint_lock);
    copy->result.lsn = copy->sb.checkpoint_lsn;
    copy->result.size_bytes = copy->label.layout.blocks * BLOCK_BYTES;
    copy->result.copied_bytes = copy->sb.used_blocks * BLOCK_BYTES;
    return status;
}

static vde_status copy_alike(struct copy *copy)
{
    VDE_TRY(target_clear(copy->target, &copy->image->label.layout));
    VDE_TRY(take_bitmaps(copy));
    copy_progress(copy, 0, 0, 1);
    return copy_blocks(copy);
}

static vde_status copy_elsewhere(struct copy *copy, uint64_t bytes)
{
    struct layout layout;
    VDE_TRY(layout_compute(bytes, 0, &layout));
    lock_take(&copy->image->checkpoint_lock);
    pin(copy);
    lock_drop(&copy->image->checkpoint_lock);
    return copy_relocated(copy, copy->opts.snapshot, &layout);
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
    opts.flags = VDE_CHECK_DATA | VDE_CHECK_SCRUB;
    opts.finding = on_finding;
    opts.progress = on_progress;
    opts.context = &v;
    sealed_init(&sealed, copy->target, &copy->labels);
    VDE_TRY(vde_check_device(&sealed.device, &opts, &copy->result.check));
    if (copy->result.check.findings == 0 || (copy->opts.flags & VDE_COPY_DAMAGED))
        return VDE_OK;
    error_restore(&v.first);
    return v.first.status;
}

/* --- the whole ------------------------------------------------------------------------------------------------------ */

/* The log is empty, so its oldest frame that is needed is the next one. The slots of the checkpoints before are filled, too: all
 * tell of the one state. */
static vde_status write_superblocks(struct copy *copy)
{
    struct superblock sb = copy->sb;
    sb.log_previous = sb.log_start;
    sb.autoclear = FEATURE_AUTOCLEAR_CLEAN;
    VDE_TRY(copy->target->ops->flush(copy->target));
    for (uint64_t before = min_u64(copy->sb.sequence, RING_SLOTS); before-- > 0;) {
        sb.sequence = copy->sb.sequence - before;
        VDE_TRY(superblocks_write(copy->target, &copy->label, &sb));
    }
    return VDE_OK;
}

/* Size of the copy: what is wanted, else the image's, cut to what a device has. */
static uint64_t copy_bytes(const struct copy *copy)
{
    uint64_t image = layout_blocks(&copy->image->label.layout) * BLOCK_BYTES;
    uint64_t bytes = copy->opts.size_bytes ? copy->opts.size_bytes : min_u64(image, device_bytes(copy->target));
    return bytes & ~(uint64_t)(BLOCK_BYTES - 1);
}

static vde_status copy_all(struct copy *copy)
{
    uint64_t bytes = copy_bytes(copy);
    bool alike = !copy->opts.snapshot && bytes == layout_blocks(&copy->image->label.layout) * BLOCK_BYTES;
    if (copy->image->read_only)
        VDE_TRY(refuse_pending(copy->image, copy->opts.snapshot != NULL));
    else
        VDE_TRY(vde_image_checkpoint(copy->image));
    VDE_TRY(alike ? copy_alike(copy) : copy_elsewhere(copy, bytes));
    VDE_TRY(write_superblocks(copy));
    VDE_TRY(label_copies_make(&copy->label, &copy->labels));
    VDE_TRY(verify(copy));
    VDE_TRY(label_copies_write(copy->target, &copy->labels));
    copy_progress(copy, 1, 1, 1);
    return VDE_OK;
}

/* A caller that was built with an older header knows the first members only. */
static struct vde_copy_opts known_opts(const struct vde_copy_opts *opts)
{
    struct vde_copy_opts known = VDE_COPY_OPTS_INIT;
    if (opts)
        memcpy(&known, opts, min_u64(opts->size, sizeof known));
    return known;
}

vde_status vde_image_copy_device(vde_image *image, struct vde_device *device, const struct vde_copy_opts *opts,
                                 struct vde_copy_result *ret_result)
{
    struct copy copy = {.image = image, .target = device, .opts = known_opts(opts)};
    if (device == image->device)
        return fail_as(VDE_INVAL, "target|the image's own device|another");
    VDE_TRY(refuse_small(copy.opts.size_bytes, device));
    if (!(copy.opts.flags & VDE_COPY_FORCE)) /* before anything of it is overwritten */
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
    struct vde_copy_opts known = known_opts(opts);
    struct vde_device *device;
    uint64_t bytes = known.size_bytes ? known.size_bytes : layout_blocks(&image->label.layout) * BLOCK_BYTES;
    VDE_TRY(target_open(path, known.backend, known.flags & VDE_COPY_FORCE, bytes, &device));
    vde_status status = vde_image_copy_device(image, device, &known, ret_result);
    struct vde_error error;
    error_save(&error);
    device->ops->close(device);
    error_restore(&error);
    return status;
}
