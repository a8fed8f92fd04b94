/* SPDX-License-Identifier: Apache-2.0 */
/* checker.h -- one run of the offline check, shared by the files of check/.
 *
 * The newest version of every dataset and its dead tree together own all blocks, each once (owner.c gives them marks);
 * then every snapshot, of a dataset or of the image, must find what it reaches among them.
 *
 * Statuses: functions return VDE_OK when they ran, also when they found damage (it is reported and counted); anything else
 * means that the check can't go on (IO, NOMEM). Uses the verifiers of format/ and the device, nothing of the engine above
 * them, so that a fault there can't hide itself. */
#ifndef VDE_CHECK_CHECKER_H
#define VDE_CHECK_CHECKER_H

#include <vde/check.h>

#include "check/blockset.h"
#include "format/catalog.h"
#include "format/label.h"
#include "format/node.h"
#include "format/superblock.h"

#define CHECK_WINDOWS 128u
struct check_window {
    uint8_t *bytes;    /* NULL: not used yet */
    uint64_t number;
    bool filled;
};

struct checker {
    struct vde_device *device;
    struct vde_check_opts opts;
    struct vde_check_summary *summary;
    uint64_t device_blocks;
    struct label label;
    struct superblock sb;
    uint64_t seed;
    bool incomplete;          /* a part of some tree could not be walked: what is unreached is not known to be leaked */
    struct marks marks;       /* who owns what */
    struct blockset dead;     /* in a dead tree, and not reached by any snapshot so far */
    struct blockset version;  /* reached by the version at hand */
    uint64_t walk_findings;   /* those about trees and records */
    uint64_t revisits;        /* nodes known already that were walked once more */
    struct check_window windows[CHECK_WINDOWS]; /* what single blocks were read from */
    uint8_t *block;           /* one block, for whoever reads one */
    uint8_t *extent;          /* content of the extent read last */
    size_t extent_capacity;
    uint64_t read_bytes, started_us; /* for pacing */
};

/* --- a run --- */
vde_status check_begin(struct checker *c, struct vde_device *device, const struct vde_check_opts *opts,
                       struct vde_check_summary *summary);
/* Label, superblock, and everything reachable from it. *ret_found false: there is nothing to go on with. */
vde_status check_reach(struct checker *c, bool *ret_found);
/* Release what the run holds, whatever came of it. */
void check_end(struct checker *c);

/* --- findings --- */
/* Pass on failures that stop the check; report damage from the thread's error detail and return VDE_OK. */
vde_status check_note(struct checker *c, vde_status status);
/* Report damage: "object|found|expected", printf-formatted. */
void check_report(struct checker *c, const char *format, ...) VDE_PRINTF(2, 3);

/* --- device --- */
/* Read blocks, paced if that was asked for. What the device can't read is a finding, and reads as zeroes. */
vde_status check_read(struct checker *c, uint64_t block, void *buffer, uint64_t blocks);
/* Room for the content of an extent in c->extent. */
vde_status check_extent_room(struct checker *c, uint64_t blocks);
void check_progress(struct checker *c);

/* --- label, superblock, bitmaps (head.c) --- */
/* *ret_found false: nothing to go on with. */
vde_status check_label(struct checker *c, bool *ret_found);
vde_status check_superblock(struct checker *c, bool *ret_found);
/* Compare bitmaps with what was reached. */
vde_status check_bitmaps(struct checker *c);

/* Superblocks, index and pages that an open would not need (scrub.c). */
vde_status check_spares(struct checker *c);

/* --- who owns what (owner.c) --- */
struct owner {
    uint64_t id;
    uint64_t origin_lsn;        /* what was born up to here belongs to the origin */
    const struct owner *origin; /* NULL: not a clone */
};
enum claim_mode {
    CLAIM_NEWEST,   /* by the newest version: nobody has it yet, unless it is a clone's origin's */
    CLAIM_DEAD,     /* by a dead tree: nobody has it yet, and some snapshot must reach it */
    CLAIM_SNAPSHOT, /* by a snapshot: newest version or dead tree have it */
};
struct claim {
    const struct owner *owner;
    const char *name;      /* of the tree, for messages */
    enum claim_mode mode;
};
enum claimed { CLAIMED_FIRST, CLAIMED_AGAIN, CLAIMED_WRONGLY };
/* Note that a run born at `birth` is reached. FIRST: at least one block of it never was before; AGAIN: all of it was, by
 * another version; WRONGLY: it can't be, which is reported. */
vde_status check_claim(struct checker *c, const struct claim *claim, uint64_t address, uint64_t blocks, uint64_t birth,
                       const char *what, enum claimed *ret_claimed);
/* Whether a run lies wholly in history area or heap. */
bool check_allocatable(const struct checker *c, uint64_t address, uint64_t blocks);

/* --- trees (walk.c) --- */
struct check_record {
    const uint8_t *key, *value;
    size_t key_size, value_size;
    unsigned kind;
    const uint8_t *content;  /* of an EXTENT value that was read and verified, else NULL */
};
typedef vde_status (*check_visit)(struct checker *c, void *context, const struct check_record *record);
struct check_counts {
    bool whole;              /* every node was walked: the other counts tell about the whole version */
    uint64_t blocks;         /* device blocks */
    uint64_t mapped;         /* logical blocks of runs */
};
struct check_tree {
    struct claim claim;
    uint64_t tree;           /* id in its nodes */
    struct tree_root root;
    bool volume;             /* its records are runs */
    uint64_t volume_blocks;  /* of its address space */
    bool skip_data;          /* do not read the content of extents and runs */
    enum revisit { REVISIT_SOME, REVISIT_NONE, REVISIT_ALL } revisit; /* nodes that were walked before */
    const uint8_t *resume;   /* what lies wholly below this key was freed; NULL: nothing */
    size_t resume_size;
    check_visit visit;       /* may be NULL; called once for the records of each leaf, whatever versions it
                                is part of, unless REVISIT_ALL */
    void *context;
    struct check_counts counts; /* out */
};
/* Walk one version of a tree. */
vde_status check_walk(struct checker *c, struct check_tree *tree);
/* Read and verify the content of an extent into c->extent. *ret_good false: damaged, reported. */
vde_status check_extent(struct checker *c, struct ptr p, const char *object, bool *ret_good);

/* A run of a volume, decoded and verified as to its structure (runs.c). */
struct check_run {
    uint64_t block, blocks, address, birth;
    uint32_t stored, tail;
    const uint8_t *checksums; /* le64 each */
};
/* False: not a legal run; the thread's detail says why. */
bool check_run_get(const struct check_record *record, const char *object, struct check_run *ret_run);
/* Read a run and verify what it holds; damage is reported by volume and offset. */
vde_status check_run_data(struct checker *c, const char *name, const struct check_run *run);

/* --- catalog --- */
struct entry_dataset {
    struct dataset_record record; /* without the name */
    struct owner owner;
    char *name;               /* NULL: none */
    struct volume_record volume;
    bool has_volume, zombie, freeing;
    uint64_t dropped_lsn;
    uint8_t *resume;          /* of a zombie; NULL: none */
    size_t resume_size;
};
struct entry_snapshot {
    uint64_t dataset, tag, lsn, name_hash;
    uint64_t mapped_blocks, stored_blocks;
    struct tree_root root;
    bool named;
};
struct entry_number {         /* of 'n', 'a', 'l', 'c': what the key says, and the value */
    uint64_t dataset, at, value;
};
struct entry_zombie {         /* a snapshot that waits to be freed */
    uint64_t dataset, tag, lsn;
    bool freeing;
};
struct list {
    void *items;
    size_t count, capacity;
};
struct catalog {
    struct list datasets, snapshots; /* in order of their keys */
    struct list names, aliases, lsns, clones, zombies;
    struct list zombie_streams;      /* uint64_t, ascending */
};
/* Collects records of the newest catalog. */
vde_status check_catalog_record(struct checker *c, void *context, const struct check_record *record);
void check_catalog_free(struct catalog *catalog);
struct entry_dataset *check_find_dataset(const struct catalog *catalog, uint64_t id);
/* The records against each other (catalog.c). Leaves snapshots sorted by (dataset, LSN). */
vde_status check_catalog_links(struct checker *c, struct catalog *catalog);
/* Everything that the catalog leads to (datasets.c). */
vde_status check_datasets(struct checker *c);

/* --- contents --- */
struct history_state {
    uint64_t stream, next, last_time_us, last_lsn;
    struct { uint64_t stream, number; } *big; /* entries whose bytes are to be found */
    size_t big_count, big_capacity, big_at;
    const uint64_t *zombies;  /* dropped streams, ascending: parts of them may be gone already */
    size_t zombie_count;
};
vde_status check_history_record(struct checker *c, void *context, const struct check_record *record);
void check_history_end(struct checker *c, struct history_state *state);

struct files_state {
    struct { uint64_t file, end; uint32_t extents; bool gap; } *files;
    size_t count, capacity, at;
};
vde_status check_files_record(struct checker *c, void *context, const struct check_record *record);
void check_files_end(struct checker *c, struct files_state *state);

/* --- log (ring.c) --- */
vde_status check_log(struct checker *c);

/* Grow an array of `size`-byte elements to hold one more than `count`. */
vde_status check_grow(void **array, size_t *capacity, size_t count, size_t size);
/* Append to a list. */
vde_status check_append(struct list *list, const void *item, size_t size);
#endif
