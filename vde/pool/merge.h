/* SPDX-License-Identifier: Apache-2.0 */
/* merge.h -- the working state of one checkpoint: new roots, allocations, drops. Nothing of it is visible before the
 * superblock; given up, the allocations are released and no trace remains. */
#ifndef VDE_POOL_MERGE_H
#define VDE_POOL_MERGE_H

#include "pool/map.h"
#include "pool/pool.h"

struct run {
    uint64_t address, blocks;
};
struct runs {
    struct run *items;
    size_t count, capacity;
};
vde_status runs_add(struct runs *runs, uint64_t address, uint64_t blocks);

/* A change list with storage of its own. */
struct changes {
    struct tree_op *ops;
    size_t count, capacity;
    uint8_t **chunks; /* keys and values */
    size_t chunk_count, chunk_capacity, chunk_used, chunk_size;
};
/* Copies key and value when `copy`, else borrows them. */
vde_status changes_add(struct changes *changes, const void *key, size_t key_size, enum value_kind kind,
                       const void *value, size_t value_size, bool copy);
/* Sort by key; of equal keys the one added last stays. */
void changes_sort(struct changes *changes);
void changes_clear(struct changes *changes);
void changes_done(struct changes *changes);

struct dead {
    uint64_t newest, birth, address;
    uint32_t blocks;
};

struct merge {
    struct vde_image *image;
    struct overlay *overlay;     /* the frozen one */
    uint64_t cut_lsn;
    struct map catalog;          /* as of the cut: frozen overlay over the old tree */
    struct tree_root catalog_base;
    struct changes catalog_changes;
    struct tree_writer writer;
    enum space_class class;      /* for runs of several blocks */
    struct runs allocated, freed;
    struct runs gone;            /* LSNs (as addresses) of the dataset's snapshots deleted by this checkpoint */
    int64_t nodes;               /* change of the number of nodes */
    /* drop() looks at these */
    bool free_all;               /* the dataset goes: nothing outlives it */
    uint64_t newest_snapshot;
    struct dead *dead;
    size_t dead_count, dead_capacity;
    /* pending device writes */
    uint8_t *buffer;
    size_t buffer_blocks;
    struct {
        uint64_t address;
        uint32_t first, blocks;
    } writes[512];
    size_t write_count;
};

/* Bring every dataset of the frozen overlay into its tree; *ret_catalog is the new catalog root. All nodes are written
 * (not flushed) when it returns VDE_OK. */
vde_status merge_run(struct merge *merge, struct tree_root *ret_catalog);
void merge_done(struct merge *merge);
vde_status merge_init(struct merge *merge, struct vde_image *image, struct overlay *overlay, uint64_t cut_lsn,
                      const struct layers *layers);

/* merge_io.c */
vde_status merge_allocate(void *context, uint32_t blocks, uint64_t *ret_address);
vde_status merge_write(void *context, uint64_t address, const void *buffer, uint32_t blocks);
vde_status merge_drop(void *context, uint64_t tree, struct ptr p);
vde_status merge_flush_writes(struct merge *merge);

/* merge_dataset.c: one kv dataset, snapshot by snapshot. `record` gets the new roots. */
vde_status merge_dataset(struct merge *merge, struct dataset_record *record);
/* The changes of one dataset with LSN in (after, through]; extents that were superseded inside are freed. */
vde_status merge_collect(struct merge *merge, uint64_t dataset, uint64_t after, uint64_t through,
                         struct changes *changes);
/* Free what the overlay holds of a dataset that is gone. */
vde_status merge_discard(struct merge *merge, uint64_t dataset);
/* Bring merge->dead into the dataset's dead tree. */
vde_status merge_dead(struct merge *merge, struct dataset_record *record);

/* merge_history.c */
vde_status merge_history(struct merge *merge, struct dataset_record *record);

/* merge_catalog.c: snapshots that go, zombies, and the catalog itself. */
vde_status merge_snapshot_delete(struct merge *merge, uint64_t dataset, uint64_t tag, struct dataset_record *record);
vde_status merge_drop_dataset(struct merge *merge, uint64_t dataset);
bool merge_is_zombie(struct merge *merge, uint8_t what, uint64_t id, vde_status *ret_status);
#endif
