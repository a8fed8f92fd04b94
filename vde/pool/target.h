/* SPDX-License-Identifier: Apache-2.0 */
/* target.h -- a file or device that is about to become an image, by formatting or by copying: looked at before anything is
 * changed, cleared of what it was, and named an image only when all else is in place. */
#ifndef VDE_POOL_TARGET_H
#define VDE_POOL_TARGET_H

#include <vde/device.h>

#include "format/label.h"

/* Open `path` for writing. A regular file is created or grown to `size_bytes`; without `force` one that holds data is
 * EXISTS and keeps its length. */
vde_status target_open(const char *path, const char *backend, bool force, uint64_t size_bytes,
                       struct vde_device **ret_device);
/* EXISTS when the device holds somebody's data. */
vde_status target_probe(struct vde_device *device);
/* No label anywhere, durably; then no superblock and no log record of any image that was here. */
vde_status target_clear(struct vde_device *device, const struct layout *layout);

#define LABEL_COPY_BLOCKS 2u
struct label_copies {
    unsigned count;    /* A, B, and in a grown image B once more, near the end */
    uint64_t block[3]; /* where they belong */
    uint8_t *content;  /* LABEL_COPY_BLOCKS each; aligned */
};
vde_status label_copies_make(const struct label *label, struct label_copies *ret_copies);
void label_copies_done(struct label_copies *copies);
vde_status label_copies_write(struct vde_device *device, const struct label_copies *copies);
#endif
