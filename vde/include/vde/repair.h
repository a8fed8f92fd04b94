/* SPDX-License-Identifier: Apache-2.0 */
/* repair.h -- put right what redundancy proves: label copies from label A or the copy at the image's end, superblock slots from the
 * other ring, and bitmaps, which a walk over everything reachable gives again. Nothing else is touched, and nothing is guessed.
 *
 * Tree nodes and data are there once, so nothing proves what a damaged one held. That is also so for the records of the catalog
 * that say twice what is said already (snapshots by LSN and by name, clones of snapshots, names): they share leaves with the
 * records that they follow from, are lost with them, and can't be wrong by themselves unless the engine wrote them so, which
 * vde_check() reports. What such an image still holds is for vde_rescue(). */
#ifndef VDE_REPAIR_H
#define VDE_REPAIR_H

#include <vde/check.h>

#ifdef __cplusplus
extern "C" {
#endif

enum vde_repair_kind {
    VDE_REPAIR_PLANNED = 0,    /* would be done with VDE_REPAIR_APPLY */
    VDE_REPAIR_DONE = 1,
    VDE_REPAIR_NOTE = 2,       /* damage that needs nothing done */
    VDE_REPAIR_IMPOSSIBLE = 3, /* damage that nothing proves how to put right */
};
struct vde_repair_action {
    enum vde_repair_kind kind;
    const char *object;        /* "label A", "superblock ring B slot 3", "bitmaps" ... */
    const char *what;          /* what is done, or why it can't be */
};

struct vde_repair_opts {
    uint32_t size;             /* sizeof(struct vde_repair_opts) */
    uint32_t flags;            /* VDE_REPAIR_APPLY */
    const char *backend;
    void (*action)(void *context, const struct vde_repair_action *action);   /* may be NULL; borrowed */
    void (*finding)(void *context, const struct vde_finding *finding);       /* of the check afterwards; may be NULL */
    void (*progress)(void *context, uint64_t done_bytes, uint64_t total_bytes); /* may be NULL */
    void *context;
};
#define VDE_REPAIR_APPLY 1u    /* do it: takes the image for itself, and checks it again afterwards */
#define VDE_REPAIR_OPTS_INIT { sizeof(struct vde_repair_opts), 0, 0, 0, 0, 0, 0 }

struct vde_repair_summary {
    uint64_t planned, done, notes, impossible;
    uint64_t findings;         /* of the check afterwards (file data not read); only with VDE_REPAIR_APPLY */
};

/* VDE_OK: it ran; the summary tells what came of it. BUSY, NOT_FOUND, IO, NOMEM; CORRUPT: no label or no superblock is
 * left, which is for vde_rescue(). A repair that is cut short leaves an image that can be repaired again. */
VDE_API VDE_MUST_CHECK vde_status vde_repair(const char *path, const struct vde_repair_opts *opts,
                                             struct vde_repair_summary *ret_summary);
VDE_API VDE_MUST_CHECK vde_status vde_repair_device(struct vde_device *device, const struct vde_repair_opts *opts,
                                                    struct vde_repair_summary *ret_summary);

#ifdef __cplusplus
}
#endif
#endif
