/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot.h -- named snapshots of one dataset (a volume, a kv map) or of the whole image, clones, rollback, differences.
 *
 * A snapshot is one log record: creating one costs one flush whatever the size. A snapshot of the image is one instant for
 * everything in it: tables, files, streams and volumes.
 *
 * Threads: any. All changes are durable when they return VDE_OK. */
#ifndef VDE_SNAPSHOT_H
#define VDE_SNAPSHOT_H

#include <vde/view.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VDE_DATASET_IMAGE 1ull       /* as `dataset`: the whole image */
#define VDE_SNAPSHOT_NAME_MAX 200u   /* bytes; any but NUL, '/' and '@' */

struct vde_snapshot_info {
    char name[VDE_SNAPSHOT_NAME_MAX + 1]; /* empty: without a name (made by vde_txn_snapshot_create) */
    uint64_t tag;               /* unique within the dataset */
    uint64_t lsn;
    uint64_t created_us;
    uint64_t clones;            /* made of it that still exist */
    /* as of the newest checkpoint; 0 for image snapshots */
    uint64_t referenced_bytes;  /* device space of everything it shows */
    uint64_t unique_bytes;      /* device space that deleting it alone would free: 0 while a clone of it or a later snapshot
                                   of the image needs it */
};

/* Snapshot a dataset, or the whole image, as of all requests and transactions completed before the call. EXISTS: the name
 * is taken. */
VDE_API VDE_MUST_CHECK vde_status vde_snapshot_create(vde_image *image, uint64_t dataset, const char *name,
                                                      uint64_t *ret_lsn);
/* Delete a snapshot: its name is free at once, its space follows in the background, in steps that survive a restart.
 * What clones of it, or image snapshots that show it, need is kept until they go. */
VDE_API VDE_MUST_CHECK vde_status vde_snapshot_delete(vde_image *image, uint64_t dataset, const char *name);
/* Call `each` for every snapshot of a dataset, oldest first; a status other than VDE_OK ends the walk and is returned.
 * `with_unique` also computes unique_bytes, which reads as much metadata as the snapshots have blocks of their own. */
VDE_API VDE_MUST_CHECK vde_status vde_snapshot_list(vde_view *view, uint64_t dataset, bool with_unique,
                                                    vde_status (*each)(void *context,
                                                                       const struct vde_snapshot_info *info),
                                                    void *context);
/* The tag of a named snapshot. */
VDE_API VDE_MUST_CHECK vde_status vde_snapshot_tag(vde_view *view, uint64_t dataset, const char *name,
                                                   uint64_t *ret_tag);

/* Make a volume again what its snapshot shows, its size included. INVAL: newer snapshots of it or of the image exist (delete
 * them first; deleted ones that a clone or an image snapshot still needs count); BUSY: it is open. */
VDE_API VDE_MUST_CHECK vde_status vde_snapshot_rollback(vde_image *image, uint64_t dataset, const char *name);

/* A new volume that begins as a snapshot of another; shares all blocks with it until they are overwritten. */
VDE_API VDE_MUST_CHECK vde_status vde_volume_clone(vde_image *image, const char *volume, const char *snapshot,
                                                   const char *new_name);

/* What differs between two states of a volume, in ascending order; costs what differs, not what there is. */
struct vde_diff_range {
    uint64_t offset, size; /* bytes */
    bool from_data, to_data; /* holds data before and after (else a hole) */
};
/* `from` NULL: nothing (every mapped range is reported); `to` NULL: the volume as of the view. */
VDE_API VDE_MUST_CHECK vde_status vde_volume_diff(vde_view *view, const char *volume, const char *from, const char *to,
                                                  vde_status (*each)(void *context, const struct vde_diff_range *range),
                                                  void *context);

/* A read-only image as of an image snapshot: set vde_open_opts.snapshot to its name (image.h). The whole image again as it
 * was then: the same with VDE_OPEN_ROLLBACK. */

#ifdef __cplusplus
}
#endif
#endif
