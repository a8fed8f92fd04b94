/* SPDX-License-Identifier: Apache-2.0 */
/* space.h -- which blocks are in use. Two bitmaps a page: `busy` (not to be handed out now) and `disk` (in use as of the
 * checkpoint being made). A block goes free -> busy (allocated) -> disk (named by a checkpoint) -> deferred (dropped,
 * still busy) -> free. Pages load on demand; freeing never allocates.
 *
 * Not here: who owns a block, when a deferred block may be reused (pool/deferred). */
#ifndef VDE_SPACE_SPACE_H
#define VDE_SPACE_SPACE_H

#include <vde/device.h>

#include "format/superblock.h"

struct space;

struct run {
    uint64_t address, blocks;
};

enum space_class {
    SPACE_NODE,    /* tree nodes: first fit from the low end, so that they stay together */
    SPACE_HISTORY, /* history extents: the history area first */
    SPACE_DATA,    /* volume, file and value extents: next fit, long runs first */
};

struct space_counts {
    uint64_t total;    /* allocatable blocks */
    uint64_t free;     /* not busy */
    uint64_t used;     /* in the disk bitmap */
    uint64_t reserved; /* promised to changes that are not in the trees yet */
    uint64_t volume_reserved; /* promised to volumes that were preallocated, and not mapped yet */
    uint64_t slop;     /* kept for deletes and checkpoints */
};

/* What the allocation may dig into. */
enum space_limit {
    SPACE_NORMAL,     /* respects all reservations and slop */
    SPACE_DELETE,     /* may use the slop but for its last quarter */
    SPACE_CHECKPOINT, /* may use everything: it was reserved */
};

/* Empty bitmaps for a fresh image. */
vde_status space_create(struct vde_device *device, const struct layout *layout, uint64_t seed,
                        struct space **ret_space);
/* Load the index that the superblock names, verified. */
vde_status space_open(struct vde_device *device, const struct layout *layout, uint64_t seed,
                      const struct superblock *sb, struct space **ret_space);
void space_close(struct space *space);

/* A contiguous run of `blocks`; NOSPC if there is none. It is busy until released. */
vde_status space_allocate(struct space *space, enum space_class class, enum space_limit limit, uint32_t blocks,
                          uint64_t *ret_address);
/* The next run of at least `min` blocks, up to `want` of it. While the image has runs of 16 blocks or more anywhere, data gets
 * none that is shorter (unless it wants less); then the longest class there is, by halves. NOSPC: none of `min`. */
vde_status space_allocate_run(struct space *space, enum space_class class, enum space_limit limit, uint32_t want,
                              uint32_t min, uint64_t *ret_address, uint32_t *ret_blocks);
/* Mark a run busy that the log names (recovery). CORRUPT if it is not free. */
vde_status space_claim(struct space *space, uint64_t address, uint64_t blocks);
/* Make a run free for allocation: an allocation undone, or a deferred run whose time has come. */
void space_release(struct space *space, uint64_t address, uint64_t blocks);
/* Many at once: runs in ascending order are the fastest. */
void space_release_many(struct space *space, const struct run *runs, size_t count);

/* Keep `blocks` for changes not yet in the trees, replacing what was kept before. NOSPC: nothing changed. */
vde_status space_reserve(struct space *space, uint64_t blocks, enum space_limit limit);
void space_unreserve(struct space *space, uint64_t blocks);
/* Without looking whether there is room: when an allocation that was paid for with a reservation is undone, before it. */
void space_restore(struct space *space, uint64_t blocks);

/* What was promised to preallocated volumes: blocks for what they have not mapped yet (size less mapped). Nobody else's
 * allocation gets these blocks; the volume takes them with space_allocate_volume(). It is not on disk: whoever keeps volumes
 * makes the reservation at create and resize, gives it back at delete, and restores it at open (size - mapped_blocks of every
 * volume with VOLUME_PREALLOC, after recovery). A discard of mapped blocks reserves again; NOSPC there only means that the
 * volume is thin in that place until it is mapped. */
vde_status space_reserve_volume(struct space *space, uint64_t blocks);
/* Without looking whether there is room: at open, and when an allocation is undone. */
void space_restore_volume(struct space *space, uint64_t blocks);
void space_unreserve_volume(struct space *space, uint64_t blocks);
/* As space_allocate_run(SPACE_DATA) for a volume that was preallocated: up to `covered` of the blocks, those that the volume has not
 * mapped yet, come out of its reservation (*ret_covered, deducted from it); the others, which replace blocks that the next
 * checkpoints free, may use half of the slop. NOSPC: run two checkpoints and try again. Undo: space_release(blocks) and
 * space_restore_volume(*ret_covered). */
vde_status space_allocate_volume(struct space *space, uint64_t covered, uint32_t want, uint32_t min,
                                 uint64_t *ret_address, uint32_t *ret_blocks, uint32_t *ret_covered);

/* The checkpoint: set and clear bits of the disk bitmap, then write changed pages and the index to their spare slots.
 * `sb` gets alloc_slot, alloc_checksum and used_blocks. Nothing is flushed here. A failure leaves memory and disk apart:
 * the caller poisons. One caller at a time; others allocate and release meanwhile. */
vde_status space_mark(struct space *space, uint64_t address, uint64_t blocks, bool used);
vde_status space_mark_many(struct space *space, const struct run *runs, size_t count, bool used);
vde_status space_write(struct space *space, uint64_t sequence, struct superblock *sb);

/* The image grows, under the same lock as checkpoints: first the index gets the pages of `grown`, of which nothing is handed
 * out yet; when the superblock with the new size is durable, space_grown() makes them free. In between only space_write(). */
vde_status space_grow(struct space *space, const struct layout *grown);
void space_grown(struct space *space);

/* After open: runs clear in the current slot and set in the other one of pages that the newest checkpoint wrote: dropped
 * by it, to be released once the next checkpoint is durable. They are busy already. */
typedef void (*space_run_fn)(void *context, uint64_t address, uint64_t blocks);
vde_status space_recently_freed(struct space *space, uint64_t sequence, space_run_fn run, void *context);

/* Blocks kept for deletes and checkpoints in an image of `total` allocatable blocks. */
uint64_t space_slop(uint64_t total);
void space_counts(struct space *space, struct space_counts *ret_counts);
#endif
