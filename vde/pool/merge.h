/* SPDX-License-Identifier: Apache-2.0 */
/* merge.h -- the working state of one checkpoint: new roots, allocations, drops. Nothing of it is visible before the
 * superblock; given up, the allocations are released and no trace remains. */
#ifndef VDE_POOL_MERGE_H
#define VDE_POOL_MERGE_H

#include "pool/map.h"
#include "pool/pool.h"

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

struct stage_index;

struct dead {
    uint64_t newest, birth, address;
    uint32_t blocks;
};

struct merge {
    struct vde_image *image;
    struct overlay *overlay;     /* the frozen one */
    uint64_t cut_lsn;
    const struct snapshot_record *rollback; /* make the image what this snapshot of it is; NULL: bring in the overlay */
    uint64_t after, through;     /* the stage: records newer than the first and not newer than the second */
    struct map catalog;          /* as of the stage: the frozen overlay over the catalog tree made so far */
    struct tree_root catalog_dead;
    uint64_t catalog_dead_blocks;
    uint64_t newest_image;       /* LSN of the newest image snapshot, 0: none */
    struct changes catalog_changes;
    struct stage_index *indexes; /* merge_stage.c */
    struct tree_writer writer;
    enum space_class class;      /* for runs of several blocks */
    struct runs allocated, freed;
    int64_t nodes;               /* change of the number of nodes */
    int64_t stored;              /* change of the device blocks of the dataset at hand */
    /* drop() looks at these */
    bool free_all;               /* nothing outlives what is dropped */
    uint64_t newest_snapshot;    /* of the dataset or the image */
    uint64_t origin_lsn;         /* what was born up to here belongs to the origin of the clone */
    struct dead *dead;
    size_t dead_count, dead_capacity;
    /* what a checkpoint may do for zombies */
    uint64_t entry_budget, leaf_budget, starts;
    struct dataset_record at_hand; /* id 0: none */
    bool zombie_freeing;           /* what merge_is_zombie() found last is being freed */
    bool zombies_left;           /* there is more that could be freed now */
    /* pending device writes */
    uint8_t *buffer;
    size_t buffer_blocks;
    struct {
        uint64_t address;
        uint32_t first, blocks;
    } writes[512];
    size_t write_count;
};

/* Bring every dataset of the frozen overlay into its tree; the new roots of the catalog are in merge->catalog.root and
 * merge->catalog_dead. All nodes are written (not flushed) when it returns VDE_OK. */
vde_status merge_run(struct merge *merge);
void merge_done(struct merge *merge);
vde_status merge_init(struct merge *merge, struct vde_image *image, struct overlay *overlay, uint64_t cut_lsn,
                      const struct layers *layers);

/* merge_io.c */
vde_status merge_allocate(void *context, uint32_t blocks, uint64_t *ret_address);
vde_status merge_write(void *context, uint64_t address, const void *buffer, uint32_t blocks);
vde_status merge_drop(void *context, uint64_t tree, struct ptr p);
vde_status merge_flush_writes(struct merge *merge);

/* merge_catalog.c: the catalog's own changes of a stage, and its tree. */
vde_status merge_catalog_collect(struct merge *merge);
vde_status merge_catalog_apply(struct merge *merge);
vde_status merge_record_put(struct merge *merge, const struct dataset_record *record);
bool merge_is_zombie(struct merge *merge, uint8_t what, uint64_t id, vde_status *ret_status);
/* LSN of the newest snapshot that a dataset has itself, 0: none. */
vde_status merge_newest_own(struct merge *merge, uint64_t dataset, uint64_t *ret_lsn);
/* The same in any version of the catalog, of those before `lsn`. */
vde_status merge_own_before(struct merge *merge, const struct tree_root *catalog, uint64_t dataset, uint64_t lsn,
                            uint64_t *ret_lsn);
/* LSNs of the snapshots of a dataset, or of the image, next to `lsn`: 0 and UINT64_MAX where there are none. */
vde_status merge_neighbours(struct merge *merge, uint64_t dataset, uint64_t lsn, uint64_t *ret_before,
                            uint64_t *ret_after);

/* merge_dataset.c: the changes of one dataset, snapshot by snapshot. `record` gets the new roots. */
vde_status merge_dataset(struct merge *merge, struct dataset_record *record);
/* The changes of one dataset with LSN in (after, through]; extents that were superseded inside are freed. */
vde_status merge_collect(struct merge *merge, uint64_t dataset, uint64_t after, uint64_t through,
                         struct changes *changes);
/* Free what the overlay holds of a dataset with LSN in (after, through] and no tree will ever see. */
vde_status merge_discard(struct merge *merge, uint64_t dataset, uint64_t after, uint64_t through);
/* What this stage holds of a dataset that is dropped at its end: nothing of it reaches the trees. */
vde_status merge_void(struct merge *merge, uint64_t dataset);
/* Bring merge->dead into a dead tree. */
vde_status merge_dead(struct merge *merge, uint64_t dataset, struct tree_root *dead, uint64_t *ret_blocks);

/* merge_stage.c: walk the versions of one dataset with LSN in (after, through], by key, newest first. */
struct stage_item;
struct stage {
    struct overlay_iterator iterator;
    uint64_t dataset, after, through;
    bool indexed;
    struct stage_item *items;
    size_t count, at;
};
vde_status stage_begin(struct merge *merge, uint64_t dataset, uint64_t after, uint64_t through, struct stage *ret_stage);
bool stage_next(struct stage *stage, struct overlay_entry *ret_entry);
/* Also after a failure of stage_begin. */
void stage_end(struct stage *stage);
void stages_done(struct merge *merge);

/* merge_volume.c: bring the changes (after, through] of a volume into its tree; what it drops, it drops as of the stage
 * that `merge` stands at. */
vde_status merge_volume(struct merge *merge, struct dataset_record *record, uint64_t after, uint64_t through);
/* Free what an entry of kind VALUE_RUN owns. */
vde_status merge_free_blocks(struct merge *merge, const struct overlay_entry *entry);

/* merge_history.c */
vde_status merge_history(struct merge *merge, struct dataset_record *record);

/* merge_rollback.c: make the head what a snapshot is, as recorded at `lsn`. */
vde_status merge_rollback(struct merge *merge, struct dataset_record *record, uint64_t tag, uint64_t lsn);
/* Free what was born after `lsn`, of the head and of the dead tree, and take from the dead tree what died after it. There is
 * a snapshot at `lsn`; record->root is the caller's to replace by what it shows. */
vde_status merge_to_past(struct merge *merge, struct dataset_record *record, uint64_t lsn);

/* merge_image.c: make the image what a snapshot of it is. Nothing of the overlay is looked at. */
vde_status merge_image_rollback(struct merge *merge, const struct snapshot_record *snapshot);

/* merge_zombie.c: free, within the budget, what nobody needs any more. */
vde_status merge_zombies(struct merge *merge);
/* Free what no snapshot between `before` and `after` (both alive) needs: entries of a dead tree. */
vde_status merge_free_dead(struct merge *merge, uint64_t dataset, struct tree_root *dead, uint64_t before, uint64_t lsn,
                           uint64_t after, uint64_t *ret_blocks, bool *ret_done);
/* Free all of a dataset at once; `zombie` tells how far that is, NULL: it has not begun. Its catalog keys stay. */
vde_status merge_free_dataset(struct merge *merge, const struct dataset_record *record, const struct zombie_record *zombie);
/* Delete the catalog keys of a dataset that is free; `record` may be NULL. */
vde_status merge_forget_dataset(struct merge *merge, uint64_t id, const struct dataset_record *record);
#endif
