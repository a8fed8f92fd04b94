/* SPDX-License-Identifier: Apache-2.0 */
/* txn.h -- a transaction being built. */
#ifndef VDE_POOL_TXN_H
#define VDE_POOL_TXN_H

#include "pool/pool.h"

struct append {
    uint64_t stream, first, count;
    uint64_t first_time_us, last_time_us; /* of the entries that carry their own */
    bool timed, untimed;
};

/* A catalog key that must (not) exist when the transaction is submitted. */
struct condition {
    uint8_t key[CATALOG_KEY_MAX];
    size_t key_size;
    bool present;        /* must exist; else must not */
    const char *what;
    uint64_t generation; /* of the trees in which it was found to hold */
};

struct extent {
    uint64_t address, blocks;
};

/* Blocks of a volume that must not have changed since. */
struct expected_blocks {
    uint64_t dataset, block, blocks, lsn, generation;
};

/* Blocks that were reserved for a request of several transactions before the first of them. */
struct credit {
    uint64_t data, trees;
};

struct vde_txn {
    struct vde_image *image;
    uint8_t *ops;           /* encoded operations */
    size_t ops_size, ops_capacity;
    uint32_t count;
    uint64_t *touched;      /* datasets that must exist at submit */
    size_t touched_count, touched_capacity;
    struct append *appends; /* streams and the numbers they get */
    size_t append_count, append_capacity;
    struct condition *conditions;
    size_t condition_count, condition_capacity;
    struct extent *extents; /* allocated for this transaction: given back if it is never submitted */
    size_t extent_count, extent_capacity;
    struct {
        uint64_t dataset, lsn; /* dataset 0: no such condition */
    } newest;               /* this snapshot must be the newest */
    size_t *patches;        /* places of entry times that become the transaction's time */
    size_t patch_count, patch_capacity;
    struct expected_blocks *expected;
    size_t expected_count, expected_capacity;
    uint64_t run_blocks;    /* of volumes, in runs and unmaps */
    uint64_t data_bytes;    /* written to the heap for this transaction */
    uint64_t min_time_us;
    struct credit *credit;  /* pays for what the trees need, as far as it reaches; NULL: none */
    bool frees, submitted;
    bool lazy;              /* data of a volume that nobody waits for: background.c need not hurry */
    struct vde_io *data;    /* not written yet, borrowed: submit does it, at the same time as the record if it can */
    size_t data_count;
};

/* Forget everything and keep the memory, for the next one. What was allocated and never submitted is given back. */
void txn_reset(vde_txn *txn);

/* A call that fails leaves no operations behind: rewind passes `status` on. */
struct txn_mark {
    size_t ops_size, condition_count, patch_count;
    uint32_t count;
};
struct txn_mark txn_mark(const vde_txn *txn);
vde_status txn_rewind(vde_txn *txn, const struct txn_mark *mark, vde_status status);
/* Room for one more element in a growing array of the transaction. */
vde_status txn_grow(void **array, size_t *capacity, size_t count, size_t element);
/* The dataset must exist at submit. NOT_FOUND: it does not even now. */
vde_status txn_touch(vde_txn *txn, uint64_t dataset);
vde_status txn_op(vde_txn *txn, uint64_t dataset, const void *key, size_t key_size, enum value_kind kind,
                  const void *value, size_t value_size);
/* Write a value to the heap now and put its descriptor. */
vde_status txn_spill(vde_txn *txn, uint64_t dataset, const void *key, size_t key_size, const void *value, size_t size);
/* The transaction owns this allocation until it is submitted. */
vde_status txn_own_extent(vde_txn *txn, uint64_t address, uint64_t blocks);

/* registry_load.c: make sure that the registry knows a dataset or stream, reading the trees when it does not. */
vde_status registry_load_dataset(struct vde_image *image, uint64_t dataset);
vde_status registry_load_stream(struct vde_image *image, uint64_t stream);
/* A dataset that a transaction being built creates: nobody else can know its id. */
vde_status registry_note_created(struct vde_image *image, uint64_t dataset, bool volume);
/* A dataset that a transaction touched. */
bool registry_is_volume(struct vde_image *image, uint64_t dataset);

/* Add a condition and look whether it holds. */
vde_status txn_condition(vde_txn *txn, const struct condition *condition);
/* Look again, in the trees of now: EXISTS or NOT_FOUND names the first that does not hold. */
vde_status txn_check_conditions(vde_txn *txn);
vde_status txn_condition_failed(const struct condition *condition);
vde_status txn_check_user_dataset(uint64_t dataset);

/* txn_catalog.c: create a dataset of any kind; a clone's record brings its root and origin along. */
vde_status txn_dataset_create(vde_txn *txn, const struct dataset_record *record);
/* Snapshot a dataset, or with DATASET_CATALOG the image. `name` may be empty; `size_bytes` of a volume, else 0. */
vde_status txn_snapshot_create(vde_txn *txn, uint64_t dataset, uint64_t tag, const char *name, uint64_t size_bytes);
vde_status txn_snapshot_delete(vde_txn *txn, uint64_t dataset, uint64_t tag);
/* Submit only while this snapshot is there and no newer one of the dataset or the image is: INVAL. */
vde_status txn_require_newest(vde_txn *txn, uint64_t dataset, uint64_t tag, uint64_t lsn);
/* Gate held: is there a newer one in the overlays? */
bool txn_newer_snapshot(const vde_txn *txn);
vde_status txn_not_newest(const vde_txn *txn);

/* batch.c: last entry of a stream in a map of the history dataset. NOT_FOUND when it has none. */
struct map;
vde_status stream_last(const struct map *history, uint64_t stream, uint64_t *ret_number, uint64_t *ret_time_us);

/* Allocate for data, running checkpoints when those can bring space back. */
vde_status data_allocate(struct vde_image *image, uint32_t blocks, uint64_t *ret_address);
#endif
