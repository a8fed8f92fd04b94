/* SPDX-License-Identifier: Apache-2.0 */
/* inspect.h -- look at the structures of an image that nobody has open for writing: superblocks, log, trees, free space.
 * Needs nothing but the image, goes on behind damage where it can, writes nothing.
 *
 * Statuses: BUSY, NOT_FOUND, IO, NOMEM; CORRUPT when what was asked for can't be found because of damage; whatever a
 * callback returned other than VDE_OK, which ends the walk.
 *
 * Threads: a handle belongs to one thread at a time. */
#ifndef VDE_INSPECT_H
#define VDE_INSPECT_H

#include <stddef.h>

#include <vde/device.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vde_inspect vde_inspect;

/* Take a shared lock and read label and superblocks; without a label there is nothing to inspect: CORRUPT. `backend` as
 * for vde_device_open. */
VDE_API VDE_MUST_CHECK vde_status vde_inspect_open(const char *path, const char *backend, vde_inspect **ret_inspect);
/* The same on a device of the caller's, which must outlive the handle. */
VDE_API VDE_MUST_CHECK vde_status vde_inspect_open_device(struct vde_device *device, vde_inspect **ret_inspect);
/* NULL is fine. */
VDE_API void vde_inspect_close(vde_inspect *inspect);

/* --- superblocks ------------------------------------------------------------------------------------------------ */
struct vde_superblock_info {
    char ring;                /* 'A' or 'B' */
    uint32_t slot;
    bool valid, empty;        /* empty: zeroes, never written */
    bool newest;              /* its sequence is the highest: the image's root */
    char why[320];            /* not valid: what is wrong with it */
    /* of valid ones */
    uint64_t sequence, epoch, checkpoint_lsn, log_start, log_chain, log_previous, last_time_us, next_id;
    uint64_t used_blocks, written_us, meta_nodes;
    uint32_t alloc_slot;
    bool clean;               /* closed cleanly: nothing to replay */
    uint64_t catalog_block, catalog_birth, catalog_records, catalog_nodes;
};
/* Every slot of both rings, ring A first. */
VDE_API VDE_MUST_CHECK vde_status vde_inspect_superblocks(vde_inspect *inspect,
                                                          vde_status (*each)(void *context,
                                                                             const struct vde_superblock_info *info),
                                                          void *context);

/* --- records, in log and trees ---------------------------------------------------------------------------------- */
struct vde_inspected {
    uint64_t dataset;
    const char *kind;         /* of the value: "inline", "spilled", "extent", "delete", "run", "unmap" */
    const char *key_text, *value_text; /* readable; of values that are the user's only how many bytes */
    const void *key, *value;  /* as stored */
    size_t key_size, value_size;
};

/* --- log -------------------------------------------------------------------------------------------------------- */
enum vde_log_what {
    VDE_LOG_FRAME = 0,
    VDE_LOG_RECORD = 1,       /* of the frame before */
    VDE_LOG_OPERATION = 2,    /* of the record before */
    VDE_LOG_STOP = 3,         /* replay ends here: `why` */
};
struct vde_log_item {
    enum vde_log_what what;
    bool replayed;            /* part of what an open would replay */
    const char *why;          /* STOP: the reason; FRAME: why it is not part of the replay; else empty */
    /* FRAME */
    uint64_t position, epoch, first_lsn, chain, checksum, flushed_through;
    /* RECORD */
    uint64_t lsn, time_us;
    bool flushed;             /* the data that it names was durable before it was written */
    /* FRAME: records; RECORD: operations */
    uint32_t count, bytes;
    /* OPERATION */
    struct vde_inspected operation;
};
/* Frames that are kept for the checkpoint before the newest, then those from the newest on, in the order of replay, up to
 * where it would stop; with VDE_LOG_ALL whatever whole frames the ring holds, by position. */
VDE_API VDE_MUST_CHECK vde_status vde_inspect_log(vde_inspect *inspect, uint32_t flags,
                                                  vde_status (*each)(void *context, const struct vde_log_item *item),
                                                  void *context);
#define VDE_LOG_ALL 1u

/* --- trees ------------------------------------------------------------------------------------------------------ */
struct vde_tree_item {
    bool is_node;             /* else a record of the leaf before */
    uint32_t depth;           /* of the node: 0 is the root */
    /* nodes */
    uint64_t block, birth;
    uint32_t level, records;
    const char *damage;       /* what is wrong with the node; empty: nothing */
    /* records */
    struct vde_inspected record;
};
/* A tree as of the newest checkpoint. `dataset`: an id, the name of a volume or dataset, or "catalog", "history", "files",
 * "dead" (the catalog's dead tree) or "dead:ID" (a dataset's). `snapshot`: its name or tag; NULL: the newest version. */
VDE_API VDE_MUST_CHECK vde_status vde_inspect_tree(vde_inspect *inspect, const char *dataset, const char *snapshot,
                                                   vde_status (*each)(void *context, const struct vde_tree_item *item),
                                                   void *context);

/* --- free space ------------------------------------------------------------------------------------------------- */
struct vde_alloc_page {
    uint64_t page, first_block;
    uint32_t slot;            /* the current one */
    bool written, valid;
    bool spare_valid;         /* the other slot holds a page, too */
    uint64_t sequence, spare_sequence; /* of the checkpoints that wrote them */
    uint32_t used;            /* bits set, as the index says */
};
#define VDE_ALLOC_CLASSES 40u
struct vde_alloc_info {
    uint32_t index_slot;
    bool index_valid;
    uint64_t pages, used_blocks, total_blocks;
    uint64_t largest_free_blocks;
    uint64_t free_runs[VDE_ALLOC_CLASSES];   /* runs of 2^i to 2^(i+1) - 1 free blocks */
    uint64_t free_blocks[VDE_ALLOC_CLASSES]; /* blocks in them */
};
/* `each` may be NULL. Damaged pages count as wholly used. */
VDE_API VDE_MUST_CHECK vde_status vde_inspect_alloc(vde_inspect *inspect, struct vde_alloc_info *ret_info,
                                                    vde_status (*each)(void *context, const struct vde_alloc_page *page),
                                                    void *context);

#ifdef __cplusplus
}
#endif
#endif
