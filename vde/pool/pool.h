/* SPDX-License-Identifier: Apache-2.0 */
/* pool.h -- the open image: what the files of pool/ and dataset/ share.
 *
 * Life of a change: vde_txn (encoded) -> gate: validated, space reserved, LSN, log buffer, overlay -> durable: visible ->
 * checkpoint: merged into the trees, superblock. Readers pin layers: {overlays, roots} of one generation.
 *
 * Invariants
 *  1. What is in an overlay is in the log; what is durable is in an overlay or in the trees.
 *  2. layers->catalog holds every record up to the cut of its checkpoint; overlays hold every later one.
 *  3. A block dropped by checkpoint g is reused only when g+1 is durable and no layers older than g are pinned.
 *  4. Everything that can fail happens before the LSN is taken; after it only success or poison. */
#ifndef VDE_POOL_POOL_H
#define VDE_POOL_POOL_H

#include <pthread.h>
#include <stdatomic.h>

#include <vde/image.h>
#include <vde/txn.h>
#include <vde/view.h>

#include "base/lock.h"
#include "format/catalog.h"
#include "format/label.h"
#include "format/superblock.h"
#include "log/log.h"
#include "pool/registry.h"
#include "space/space.h"
#include "tree/cache.h"
#include "tree/overlay.h"
#include "tree/tree.h"

/* What a reader pins. */
struct layers {
    unsigned refs;               /* guarded by views_lock */
    uint64_t generation;         /* sequence of the checkpoint that made `catalog` */
    struct overlay *overlays[2]; /* newest first; the second is the frozen one, NULL when no checkpoint runs */
    struct tree_root catalog;
    struct layers *previous, *next; /* all live ones, for the oldest generation */
};

/* A run dropped by checkpoint `generation`. */
struct deferred_run {
    uint64_t generation, address, blocks;
};

struct volumes; /* dataset/volume.h */
struct prealloc;

/* Changes not yet in the trees, for the space they will need. */
struct pending {
    uint64_t ops, bytes;
    uint64_t reserved; /* blocks kept in space/ for them */
};

struct vde_image {
    /* immutable after open */
    struct vde_device *device;
    bool owns_device, read_only;
    struct vde_env env;
    struct label label;
    uint64_t seed;
    uint64_t memory_bytes;
    uint32_t checkpoint_ms;
    struct node_cache *cache;
    struct tree_store store;
    struct space *space; /* NULL when read-only */
    struct log *log;     /* NULL when read-only */
    bool as_of_snapshot; /* opened as of an image snapshot; read-only then */

    /* guarded by the log's gate */
    struct registry registry;
    struct pending active_pending, frozen_pending;
    uint64_t last_time_us;

    struct lock names_lock;      /* held across a change of names: volumes, snapshots */

    struct lock volumes_lock;
    struct volumes *volumes; /* guarded by volumes_lock; NULL when none is open */

    struct lock idle_lock; /* held by a step of idle work, and by who closes a volume: no step has a volume that is closing */
    uint64_t idle_us;      /* how long nothing was asked for before idle work begins; UINT64_MAX: never; immutable */
    struct {
        uint64_t activity, since_us, next_us;
    } idle;                /* guarded by idle_lock: what was seen last, when that began, when the next step may come */

    struct lock prealloc_lock;
    struct prealloc *preallocs; /* guarded by prealloc_lock */

    struct lock checkpoint_lock;
    /* guarded by checkpoint_lock */
    struct superblock sb;
    struct deferred_run *deferred;
    size_t deferred_count, deferred_capacity;
    uint64_t cut_lsn, cut_time_us, cut_next_id; /* of the frozen overlay */
    bool discards;       /* the device is told what is free */

    struct lock views_lock;
    /* guarded by views_lock */
    struct layers *current;
    struct layers *oldest;  /* list of live layers */
    struct superblock sb_published;
    uint64_t deferred_blocks;
    struct vde_queue *queues;

    /* atomic */
    atomic_uint_least64_t next_id;
    atomic_uint_least64_t read_lsn; /* read-only images: everything replayed */
    atomic_uint_least64_t checkpoints, heap_bytes, flushes; /* flushes: those outside the log */
    atomic_bool polled;     /* some queue has an eventfd */
    atomic_bool zombies_left; /* the next checkpoint can free more of what was dropped */
    atomic_uint_least64_t eager_lsn;  /* newest record that is not lazy */
    atomic_uint_least64_t requests;   /* made to volumes: whether it grows tells whether the image is idle */
    _Atomic(uint64_t (*)(struct vde_image *)) idle_work; /* a step of it; returns microseconds until the next one, or
                                                            UINT64_MAX: when something has happened. NULL until there is some */
    atomic_uint_least64_t lazy_bytes, lazy_flushed; /* data of lazy records: submitted, and known to be durable */

    struct background *background;
    /* what this open did */
    uint64_t replayed_records, replayed_bytes, replayed_unmaps, dropped_tail_lsn;
    uint32_t superblock_copies;
    char open_report[256];
};

struct vde_view {
    struct vde_image *image;
    struct layers *layers;
    uint64_t lsn;
};

/* layers.c */
vde_status layers_start(struct vde_image *image, uint64_t generation, struct tree_root catalog);
void layers_stop(struct vde_image *image);
/* A new active overlay above the present one. */
vde_status layers_freeze(struct vde_image *image, struct overlay *fresh);
/* The frozen overlay is in the trees. */
vde_status layers_publish(struct vde_image *image, uint64_t generation, struct tree_root catalog, struct layers *fresh);
/* Pin the newest layers together with the LSN to read at: the watermark, or (pending) the newest record. */
struct layers *layers_pin(struct vde_image *image, bool pending, uint64_t *ret_lsn);
void layers_unpin(struct vde_image *image, struct layers *layers);
uint64_t layers_oldest_generation(struct vde_image *image);

/* The watermark of an image: durable LSN, or what was replayed when read-only. */
uint64_t image_durable_lsn(struct vde_image *image);
uint64_t image_now_us(struct vde_image *image);

/* apply.c: put a record's operations into an overlay (space reserved before) and keep registry and ids up to date. */
void apply_ops(struct vde_image *image, struct overlay *overlay, uint64_t lsn, const uint8_t *ops, uint32_t count);
/* What operations need: `entries` and `bytes` for overlay_reserve, `tree_ops` and `tree_bytes` in the trees. */
struct op_sizes {
    size_t entries, bytes, tree_ops, tree_bytes;
    uint64_t unmapped;
};
void measure_ops(const uint8_t *ops, uint32_t count, struct op_sizes *ret_sizes);

/* checkpoint.c */
#define CHECKPOINT_RECOVERY 1u /* carries a new epoch */
#define CHECKPOINT_CLEAN 2u    /* the image is being closed */
vde_status checkpoint_run(struct vde_image *image, unsigned flags);
/* A checkpoint after which the image is what this snapshot of it shows. Right behind another one: nothing is in the log. */
vde_status checkpoint_rollback(struct vde_image *image, const struct snapshot_record *snapshot);

/* image_rollback.c: roll the image back to this snapshot, before anybody uses it. INVAL: newer snapshots have names, unless
 * `drop_newer`; then nothing changed. */
vde_status image_rollback(struct vde_image *image, const char *name, bool drop_newer);

/* superblock_io.c */
/* Sets the label's layout to that of the newest superblock. */
vde_status superblocks_read(struct vde_device *device, struct label *label, struct superblock *ret_newest,
                            uint32_t *ret_copies);
/* Ring A, flush, ring B, flush. */
vde_status superblocks_write(struct vde_device *device, const struct label *label, const struct superblock *sb);
vde_status labels_read(struct vde_device *device, struct label *ret_label, struct disk_feature_names *ret_names);

/* recovery.c */
#define REPLAY_UNMAPS_MAX (1u << 22) /* blocks unmapped by the records behind one checkpoint: they take far more memory than
                                        log, so a log with more is no honest one */
vde_status recovery_replay(struct vde_image *image, struct log_start *ret_start);

/* queue.c: tell whoever polls that the watermark moved. */
void queues_notify(void *context);

/* background.c */
vde_status background_start(struct vde_image *image);
void background_stop(struct vde_image *image);
/* There is something to write, mark or checkpoint. Cheap. */
void background_kick(struct vde_image *image);
/* There may be idle work. */
void background_wake(struct vde_image *image);
/* Somebody polls an eventfd: write waiting records now. */
void background_drive(struct vde_image *image);
/* A lazy record was submitted, with so much data: bounds what a flush has not covered yet. */
vde_status background_lazy(struct vde_image *image, uint64_t bytes);
/* A checkpoint is due. */
bool checkpoint_due(struct vde_image *image);

/* prealloc.c: the space kept for preallocated volumes. Load after recovery, when the trees hold everything. */
vde_status prealloc_load(struct vde_image *image);
void prealloc_done(struct vde_image *image);
/* Keep more, or less, for a volume. NOSPC. */
vde_status prealloc_reserve(struct vde_image *image, uint64_t id, uint64_t blocks);
void prealloc_unreserve(struct vde_image *image, uint64_t id, uint64_t blocks);
void prealloc_drop(struct vde_image *image, uint64_t id);
/* As space_allocate_volume(); *ret_covered goes back with prealloc_restore() if the blocks are not used. */
vde_status prealloc_allocate(struct vde_image *image, uint64_t id, uint64_t covered, uint32_t want, uint32_t min,
                             uint64_t *ret_address, uint32_t *ret_blocks, uint32_t *ret_covered);
void prealloc_restore(struct vde_image *image, uint64_t id, uint64_t blocks);

/* Blocks that `pending` changes may need in the trees. */
uint64_t pending_blocks(const struct vde_image *image, uint64_t ops, uint64_t bytes);

/* device.c */
vde_status image_flush(struct vde_image *image);
vde_status image_read(struct vde_image *image, uint64_t block, void *buffer, uint64_t blocks);
vde_status device_transfer(struct vde_device *device, uint8_t op, uint64_t block, void *buffer, uint64_t blocks);
#endif
