/* SPDX-License-Identifier: Apache-2.0 */
/* checker.h -- one run of the offline check, shared by the files of check/.
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

struct checker {
    struct vde_device *device;
    struct vde_check_opts opts;
    struct vde_check_summary *summary;
    uint64_t device_blocks;
    struct label label;
    struct superblock sb;
    uint64_t seed;
    bool incomplete;          /* a part of some tree could not be walked: what is unreached is not known to be leaked */
    struct blockset reached;  /* from anywhere */
    struct blockset dataset;  /* from any version of the dataset at hand */
    struct blockset version;  /* from the version at hand */
    struct blockset head;     /* from the dataset's newest version */
    uint8_t *block;           /* one block, for whoever reads one */
    uint8_t *extent;          /* content of the extent read last */
    size_t extent_capacity;
};

/* --- findings --- */
/* Pass on failures that stop the check; report damage from the thread's error detail and return VDE_OK. */
vde_status check_note(struct checker *c, vde_status status);
/* Report damage: "object|found|expected", printf-formatted. */
void check_report(struct checker *c, const char *format, ...) VDE_PRINTF(2, 3);

/* --- device --- */
vde_status check_read(struct checker *c, uint64_t block, void *buffer, uint64_t blocks);

/* --- label, superblock, bitmaps (head.c) --- */
/* *ret_found false: nothing to go on with. */
vde_status check_label(struct checker *c, bool *ret_found);
vde_status check_superblock(struct checker *c, bool *ret_found);
/* Compare bitmaps with what was reached. */
vde_status check_bitmaps(struct checker *c);

/* --- trees (walk.c) --- */
struct check_record {
    const uint8_t *key, *value;
    size_t key_size, value_size;
    unsigned kind;
    const uint8_t *content;  /* of an EXTENT value that was read and verified, else NULL */
};
typedef vde_status (*check_visit)(struct checker *c, void *context, const struct check_record *record);
struct check_tree {
    uint64_t tree;
    const char *name;        /* for messages */
    struct tree_root root;
    struct blockset *owned;  /* collects instead of c->dataset, which stays as it is; may be NULL */
    bool shares;             /* what c->dataset has is shared with another version and not walked again */
    bool skip_data;          /* do not read the content of extents */
    check_visit visit;       /* may be NULL; not called for records of shared leaves */
    void *context;
};
/* Walk one version of a tree. Clears c->version first; c->dataset collects. */
vde_status check_walk(struct checker *c, const struct check_tree *tree);
/* Read and verify the content of an extent into c->extent. *ret_good false: damaged, reported. */
vde_status check_extent(struct checker *c, struct ptr p, const char *object, bool *ret_good);
/* Whether a run lies wholly in history area or heap. */
bool check_allocatable(const struct checker *c, uint64_t address, uint64_t blocks);

/* --- contents --- */
vde_status check_catalog(struct checker *c);

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
#endif
