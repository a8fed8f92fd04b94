/* SPDX-License-Identifier: Apache-2.0 */
/* instant.h -- what the catalog of one instant says, and what of it a relocated copy keeps: every dataset with its
 * snapshots and clones, and of what was dropped only what a clone still needs. Snapshots of the image stay behind. */
#ifndef VDE_COPY_INSTANT_H
#define VDE_COPY_INSTANT_H

#include "check/blockset.h"
#include "pool/pool.h"

/* A record of the catalog. */
struct entry {
    size_t key_size, value_size;
    const uint8_t *bytes; /* of the key, then of the value; owned */
};
static inline const uint8_t *entry_value(const struct entry *entry) { return entry->bytes + entry->key_size; }

/* A run that snapshots or clones reach, and the newest version of its owner does not. */
struct dead_run {
    uint64_t death, birth, address, blocks; /* death: LSN of the newest snapshot that reaches it */
};

struct member {           /* a dataset */
    struct dataset_record record;
    bool dropped, kept;
    struct dead_run *dead;
    size_t dead_count, dead_capacity;
    uint64_t dead_blocks;
};
struct version {          /* a snapshot of one */
    uint64_t dataset, tag;
    struct snapshot_record record;
};

struct instant {
    struct vde_image *image;
    const struct layout *layout;
    struct tree_root catalog;
    uint64_t lsn;
    struct entry *entries;
    size_t entry_count, entry_capacity;
    struct member *members;   /* ascending by id */
    size_t member_count, member_capacity;
    struct version *versions; /* ascending by dataset and tag; not those of the image */
    size_t version_count, version_capacity;
    uint64_t unmapped_blocks; /* what preallocated volumes have not mapped yet */
};

/* Read the catalog. With the name of an image snapshot: go on to the catalog as of that, NOT_FOUND if there is none. */
vde_status instant_load(struct instant *instant, const char *snapshot);
void instant_done(struct instant *instant);
/* NULL: no such dataset. */
struct member *instant_member(const struct instant *instant, uint64_t id);
/* NULL: no such snapshot. */
const struct version *instant_version(const struct instant *instant, uint64_t dataset, uint64_t tag);
/* Whether the record stands in the copy's catalog. */
bool instant_keeps(const struct instant *instant, const struct entry *entry);
/* Append one item of `size` bytes to an array. */
vde_status instant_append(void **array, size_t *capacity, size_t *count, const void *item, size_t size);

/* reach.c: every block that the copy needs, and the dead runs of each dataset. */
vde_status instant_reach(struct instant *instant, struct blockset *reached);
#endif
