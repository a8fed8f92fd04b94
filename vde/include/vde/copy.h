/* SPDX-License-Identifier: Apache-2.0 */
/* copy.h -- copy an open image to another file or device, while it is in use: the online backup.
 *
 * The copy is the image as of one instant, that of a checkpoint written when the call begins: everything acknowledged before
 * is in it, nothing later. Only what is in use is read and written; afterwards every checksum of the copy is verified by the
 * same code as vde_check(). Its log is empty.
 *
 * What it holds depends on its size. A copy of the image's own size is block for block what the image is at that instant, with
 * all tables, versions, files, streams, volumes, snapshots, clones and snapshots of the image.
 *
 * A copy of another size, or of an image snapshot (`snapshot`), holds that one instant: all datasets, volumes, files and streams as
 * of then, with the snapshots and clones of datasets and volumes that there were then, so that tables have all their versions.
 * It has no snapshots of the image, and nothing of what had been dropped, except for what a clone needs. LSNs, times, ids, tags
 * and uuid are the image's; blocks lie elsewhere, without gaps. It takes the memory of two bits for every block of the image
 * and 32 bytes for every run that only snapshots hold.
 *
 * Identity: the copy keeps the image's uuid, because every block's checksum is made with it. So it stands in for the image when
 * that is lost; but the two must not be taken for one another where both are attached.
 *
 * Size: `size_bytes`; 0: that of the image, or of the target if that is a device and smaller. What is copied must fit: else NOSPC
 * tells how many bytes are available and needed, before anything is written. A target may be larger than the copy; a file
 * becomes sparse. vde_image_grow() makes use of what a larger one has left.
 *
 * Read-only: an image that is open for reading can be copied when its log is empty, and an image snapshot always.
 *
 * Interruption: the labels are written last, when everything was verified. Before, the target is no image and does not open.
 *
 * Threads: any; the image goes on being read and written. While the copy runs, space that is freed is not used again. */
#ifndef VDE_COPY_H
#define VDE_COPY_H

#include <vde/check.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vde_copy_opts {
    uint32_t size;           /* sizeof(struct vde_copy_opts) */
    uint32_t flags;          /* VDE_COPY_* */
    const char *backend;     /* of the target, as vde_device_open */
    void (*finding)(void *context, const struct vde_finding *finding);          /* may be NULL; borrowed */
    void (*progress)(void *context, uint64_t done_bytes, uint64_t total_bytes); /* may be NULL; copying, then verifying */
    void *context;
    const char *snapshot;    /* copy the image as of this snapshot of it; NULL: as it is */
    uint64_t size_bytes;     /* of the copy; 0: see above */
};
#define VDE_COPY_FORCE 1u   /* overwrite what the target holds */
#define VDE_COPY_DAMAGED 2u /* finish although the copy has findings: what is damaged is copied as it is */
#define VDE_COPY_OPTS_INIT { sizeof(struct vde_copy_opts), 0, 0, 0, 0, 0, 0, 0 }

struct vde_copy_result {
    uint64_t lsn;            /* everything up to here is in the copy */
    uint64_t size_bytes;     /* of the copy, as an image */
    uint64_t copied_bytes;   /* in use, so read and written */
    struct vde_check_summary check;
};

/* Statuses: INVAL (target smaller than size_bytes, a size that no image has, or no file and no device), NOT_FOUND (no such
 * snapshot of the image), EXISTS (it holds data, without FORCE), BUSY (it is in use, or is
 * the image itself), CORRUPT (the verification has findings: the first is the detail), READ_ONLY (the image is open for
 * reading and has records in its log, which only a writer can put into the trees), UNSUPPORTED (it is open as of a snapshot),
 * NOSPC (what is copied does not fit), IO, NOMEM, POISONED. *ret_result, which may be NULL, is filled on VDE_OK, and also on CORRUPT by findings. */
VDE_API VDE_MUST_CHECK vde_status vde_image_copy(vde_image *image, const char *path, const struct vde_copy_opts *opts,
                                                 struct vde_copy_result *ret_result);

/* The same to a device of the caller's, which stays the caller's. */
VDE_API VDE_MUST_CHECK vde_status vde_image_copy_device(vde_image *image, struct vde_device *device,
                                                        const struct vde_copy_opts *opts,
                                                        struct vde_copy_result *ret_result);

#ifdef __cplusplus
}
#endif
#endif
