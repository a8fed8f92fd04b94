/* SPDX-License-Identifier: Apache-2.0 */
/* usage.h -- what takes the space of an image, exactly: one item for each dataset, as of the newest checkpoint. Each block in
 * use is counted for one dataset, its owner, so that vde_usage_used() of all items adds up to the used blocks of the
 * superblock: the used_bytes of vde_image_info() right after a checkpoint, or of an image that is open for reading.
 *
 * Threads: any. */
#ifndef VDE_USAGE_H
#define VDE_USAGE_H

#include <vde/image.h>

#ifdef __cplusplus
extern "C" {
#endif

enum vde_usage_kind {
    VDE_USAGE_CATALOG = 1, /* dataset 1: names, roots, snapshots */
    VDE_USAGE_HISTORY = 2, /* dataset 2: entries of all streams */
    VDE_USAGE_FILES = 3,   /* dataset 3: all sealed files */
    VDE_USAGE_MAP = 4,     /* a key-value dataset */
    VDE_USAGE_VOLUME = 5,
    VDE_USAGE_FREEING = 6, /* what is left of all that is being freed: own_bytes only */
};

struct vde_usage {
    uint64_t dataset;
    uint32_t kind;             /* enum vde_usage_kind */
    bool dropped;              /* it waits until no clone or image snapshot needs it any more */
    char name[256];            /* of a volume or a named map; else empty */
    uint64_t referenced_bytes; /* device space of all that the newest version shows, compressed, nodes included */
    uint64_t own_bytes;        /* of that, what does not belong to the dataset that it was cloned from */
    uint64_t unique_bytes;     /* of that, what no snapshot, of it or of the image, shows too */
    uint64_t node_bytes;       /* of referenced_bytes: nodes of the tree */
    uint64_t mapped_bytes;     /* volumes: what the data were without compression; else 0 */
    uint64_t snapshot_bytes;   /* what its snapshots and clones, or those of the image, show and the newest version does not */
    uint64_t list_bytes;       /* the list of that */
};
static inline uint64_t vde_usage_used(const struct vde_usage *usage)
{
    return usage->own_bytes + usage->snapshot_bytes + usage->list_bytes;
}

/* Call `each` for every dataset in ascending order; a status other than VDE_OK ends the walk and is returned. Costs as much
 * metadata as clones have of their own, and as was written since the newest snapshots. CORRUPT, IO, NOMEM. */
VDE_API VDE_MUST_CHECK vde_status vde_usage_list(vde_image *image,
                                                 vde_status (*each)(void *context, const struct vde_usage *usage),
                                                 void *context);

#ifdef __cplusplus
}
#endif
#endif
