/* SPDX-License-Identifier: Apache-2.0 */
/* check.h -- verify an image offline, read-only: walks everything reachable with code independent of the allocator,
 * verifies every checksum on the way and compares what it reached with the bitmaps, dead trees and counts. */
#ifndef VDE_CHECK_H
#define VDE_CHECK_H

#include <vde/image.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vde_finding {
    vde_status status;       /* CORRUPT or UNSUPPORTED; IO: a block that the device can't read (with VDE_CHECK_SCRUB) */
    const char *object;      /* e.g. "tree 5 node at block 812" */
    const char *found;
    const char *expected;
};

struct vde_check_opts {
    uint32_t size;
    uint32_t flags;          /* VDE_CHECK_* */
    const char *backend;
    void (*finding)(void *context, const struct vde_finding *finding);         /* may be NULL; borrowed */
    void (*progress)(void *context, uint64_t done_bytes, uint64_t total_bytes); /* may be NULL */
    void *context;
    uint64_t rate_bytes;     /* read at most so many bytes a second; 0: as fast as can be */
};
#define VDE_CHECK_DATA 1u   /* also read and verify the data of files and volumes */
#define VDE_CHECK_SCRUB 2u  /* also every slot of both superblock rings and both slots of each bitmap page; what can't be
                               read is a finding, not the end */
#define VDE_CHECK_OPTS_INIT { sizeof(struct vde_check_opts), VDE_CHECK_DATA, 0, 0, 0, 0, 0 }

struct vde_check_summary {
    uint64_t findings;
    uint64_t datasets, snapshots, streams, entries, files;
    uint64_t nodes, node_bytes;
    uint64_t extents, extent_bytes;
    uint64_t leaked_blocks;      /* marked used, reached from nowhere */
    uint64_t unmarked_blocks;    /* reached, not marked used */
    uint64_t doubly_owned_blocks;
    uint64_t log_records;        /* in the ring, after the checkpoint */
    uint64_t volumes, runs;      /* runs of all versions, each once */
    uint64_t frames;             /* runs that are compressed */
    uint64_t clones;
    uint64_t zombies;            /* dropped, but not freed yet: datasets, streams, snapshots */
};

/* VDE_OK: the check ran; summary->findings tells what it found. Other statuses: it could not run (BUSY, IO, NOT_FOUND...);
 * damage that stops the walk at its root is a finding, not a failure. Writes nothing. */
VDE_API VDE_MUST_CHECK vde_status vde_check(const char *path, const struct vde_check_opts *opts,
                                            struct vde_check_summary *ret_summary);
VDE_API VDE_MUST_CHECK vde_status vde_check_device(struct vde_device *device, const struct vde_check_opts *opts,
                                                   struct vde_check_summary *ret_summary);

#ifdef __cplusplus
}
#endif
#endif
