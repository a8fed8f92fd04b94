/* SPDX-License-Identifier: Apache-2.0 */
/* copy.h -- one run of copying an image, shared by the files of copy/. */
#ifndef VDE_COPY_COPY_H
#define VDE_COPY_COPY_H

#include <vde/copy.h>

#include "pool/pool.h"
#include "pool/target.h"

struct copy {
    struct vde_image *image;
    struct vde_device *target;
    struct vde_copy_opts opts;
    struct vde_copy_result result;
    /* the instant */
    struct superblock sb;
    struct label label;          /* with the layout of the instant */
    struct layers *layers;       /* pinned: nothing that was in use then is written over */
    uint64_t copied_blocks;
    struct label_copies labels;
};

/* --- bitmaps.c --- */
/* Take the bitmaps over as they are: index and pages, verified, to the same places. */
vde_status copy_bitmaps(struct copy *copy);
/* Copy every block that they show in use. */
vde_status copy_blocks(struct copy *copy);

/* --- relocate.c --- */
/* Copy the instant, or with a name that of an image snapshot, into another geometry; superblock and label are changed to
 * the copy's. NOSPC before anything is written. */
vde_status copy_relocated(struct copy *copy, const char *snapshot, const struct layout *layout);

/* --- sealed.c --- */
/* The target as it will be: read-only, with the labels that are not written yet. It borrows both. */
struct sealed {
    struct vde_device device;
    struct vde_device *below;
    const struct label_copies *labels;
};
void sealed_init(struct sealed *sealed, struct vde_device *below, const struct label_copies *labels);

/* Tell the caller how far it is, in parts of the whole: copying is the first half of it, verifying the second. */
void copy_progress(const struct copy *copy, unsigned half, uint64_t done, uint64_t total);
#endif
