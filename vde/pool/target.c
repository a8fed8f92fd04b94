/* SPDX-License-Identifier: Apache-2.0 */
/* target.c -- prepare what is to become an image, and give it its labels. */
#include "pool/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/checked.h"
#include "base/fail.h"
#include "io/probe.h"
#include "pool/pool.h"

#define ZERO_BLOCKS 128u

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

/* An older image's label must not stand above a half-made one: neither where ours will be, nor at the device's end. */
static vde_status clear_labels(struct vde_device *device, const struct layout *layout)
{
    struct vde_device_info info;
    device->ops->info(device, &info);
    uint64_t blocks = info.size_bytes / BLOCK_BYTES;
    struct region labels[3] = {{REGION_LABEL_A, LABEL_BLOCK, LABEL_COPY_BLOCKS},
                               {REGION_LABEL_B, layout_region(layout, REGION_LABEL_B)->block, LABEL_COPY_BLOCKS},
                               {REGION_LABEL_B, blocks - 2 * RESERVED_BLOCKS, LABEL_COPY_BLOCKS}};
    for (unsigned i = 0; i < 3; i++)
        VDE_TRY(write_zeroes(device, &labels[i]));
    return device->ops->flush(device);
}

vde_status target_clear(struct vde_device *device, const struct layout *layout)
{
    VDE_TRY(clear_labels(device, layout));
    VDE_TRY(write_zeroes(device, layout_region(layout, REGION_RING_A)));
    VDE_TRY(write_zeroes(device, layout_region(layout, REGION_RING_B)));
    VDE_TRY(write_zeroes(device, layout_region(layout, REGION_VAULT)));
    return write_zeroes(device, layout_region(layout, REGION_LOG));
}

vde_status target_probe(struct vde_device *device)
{
    char what[128] = "";
    VDE_TRY(probe_foreign_content(device, what, sizeof what));
    return what[0] ? fail_as(VDE_EXISTS, "device|%s|nothing, or force", what) : VDE_OK;
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

vde_status target_open(const char *path, const char *backend, bool force, uint64_t size_bytes,
                       struct vde_device **ret_device)
{
    struct stat st;
    bool exists = stat(path, &st) == 0;
    bool regular = !exists || S_ISREG(st.st_mode);
    if (exists && regular && st.st_size > 0 && !force)
        VDE_TRY(refuse_foreign(path, (uint64_t)st.st_size));
    return vde_device_open(path, backend, regular ? VDE_DEVICE_CREATE : 0, size_bytes, ret_device);
}

vde_status label_copies_make(const struct label *label, struct label_copies *ret_copies)
{
    uint32_t growths = layout_growths(&label->layout);
    ret_copies->count = growths ? 3 : 2;
    ret_copies->content = aligned_alloc(BLOCK_BYTES, ret_copies->count * (size_t)LABEL_COPY_BLOCKS * BLOCK_BYTES);
    if (!ret_copies->content)
        return fail_nomem("label");
    for (unsigned copy = 0; copy < ret_copies->count; copy++) {
        uint8_t *at = ret_copies->content + (size_t)copy * LABEL_COPY_BLOCKS * BLOCK_BYTES;
        ret_copies->block[copy] = copy == 2 ? label->layout.growth[growths - 1].label.block
                                            : layout_region(&label->layout, copy ? REGION_LABEL_B : REGION_LABEL_A)->block;
        label_encode(label, copy ? 1 : 0, (struct disk_label *)(void *)at);
        feature_names_encode(label, (struct disk_feature_names *)(void *)(at + BLOCK_BYTES));
    }
    return VDE_OK;
}

void label_copies_done(struct label_copies *copies)
{
    free(copies->content);
    copies->content = NULL;
}

vde_status label_copies_write(struct vde_device *device, const struct label_copies *copies)
{
    for (unsigned copy = 0; copy < copies->count; copy++)
        VDE_TRY(device_transfer(device, VDE_IO_WRITE, copies->block[copy],
                                copies->content + (size_t)copy * LABEL_COPY_BLOCKS * BLOCK_BYTES, LABEL_COPY_BLOCKS));
    return device->ops->flush(device);
}
