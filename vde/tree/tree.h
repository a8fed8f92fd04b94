/* SPDX-License-Identifier: Apache-2.0 */
/* tree.h -- path-copying B+tree of variable-length keys and values in 4 KiB nodes. Pure over two vtables: it reads
 * blocks through a tree_store and makes new ones through a tree_writer, so that it knows nothing of the pool.
 *
 * A tree version is its root; nothing below a root ever changes. tree_apply() makes the next version from sorted changes
 * and reports every block run that the new version no longer refers to. */
#ifndef VDE_TREE_TREE_H
#define VDE_TREE_TREE_H

#include <stddef.h>

#include <vde/error.h>

#include "format/node.h"
#include "format/root.h"

struct node_cache;

/* Reading. */
struct tree_store {
    /* Read p.blocks * 4096 bytes at p.address into `buffer` (4096-aligned). No verification here. */
    vde_status (*read)(void *context, struct ptr p, void *buffer);
    void *context;
    struct node_cache *cache; /* may be shared by many stores; NULL: no cache */
    uint64_t seed;            /* image seed: checksums are XXH3(content, seed ^ address) */
    uint64_t device_blocks;   /* pointers beyond are damage; 0: not known. Grows while others read it. */
};
static inline uint64_t store_blocks(const struct tree_store *store)
{
    return __atomic_load_n(&store->device_blocks, __ATOMIC_RELAXED);
}
static inline struct tree_store store_copy(const struct tree_store *store)
{
    return (struct tree_store){store->read, store->context, store->cache, store->seed, store_blocks(store)};
}

/* Making a new version. All nodes and spilled values go through `write`, in any order; the pool flushes later. */
struct tree_writer {
    const struct tree_store *store;
    void *context;
    /* A contiguous run of `blocks`; NOSPC if there is none. */
    vde_status (*allocate)(void *context, uint32_t blocks, uint64_t *ret_address);
    /* Write `blocks` blocks at `address`. The buffer is the caller's again on return. */
    vde_status (*write)(void *context, uint64_t address, const void *buffer, uint32_t blocks);
    /* The new version no longer refers to p. */
    vde_status (*drop)(void *context, uint64_t tree, struct ptr p);
    uint64_t birth; /* of the new nodes and spilled extents */
};

struct tree_op {
    const void *key;
    size_t key_size;
    enum value_kind kind; /* VALUE_INLINE of any size up to VDE_VALUE_MAX is spilled here when it does not fit a leaf */
    const void *value;
    size_t value_size;
};

/* Apply changes, sorted by key, each key once, to *root; on success *root is the new version. On failure *root is
 * untouched, but blocks may have been allocated and dropped: the caller gives the checkpoint up. Deleting a key that is
 * absent is no error. The value of a record that is replaced or deleted is dropped with everything it owns, except for
 * VALUE_RUN: its blocks are the caller's to drop. */
vde_status tree_apply(const struct tree_writer *writer, uint64_t tree, struct tree_root *root, const struct tree_op *ops,
                      size_t count);

/* Drop every node and owned extent of a version: calls writer->drop for each. Bounded memory. */
struct tree_drop {
    uint64_t keep_through; /* what was born up to here belongs to somebody else */
    uint64_t budget;       /* leaves to read still, at least 1; counted down */
    vde_status (*record)(void *context, const struct node_record *record); /* sees every record that goes; may be NULL */
    uint8_t resume[NODE_KEY_MAX]; /* in: where the step before stopped; out: where to go on */
    size_t resume_size;
    bool done;             /* out: nothing is left */
};
/* One step: begins at `resume`, ends when the budget is used up. Nothing wholly before `resume` is read. */
vde_status tree_drop_some(const struct tree_writer *writer, uint64_t tree, const struct tree_root *root,
                          struct tree_drop *step);
vde_status tree_drop_all(const struct tree_writer *writer, uint64_t tree, const struct tree_root *root);

struct tree_value {
    enum value_kind kind;
    const void *data; /* raw value bytes as stored (descriptor for SPILLED and EXTENT) */
    size_t size;
};

/* A cursor over one version: pins the nodes on its path. */
struct tree_cursor;
vde_status tree_cursor_open(const struct tree_store *store, uint64_t tree, const struct tree_root *root,
                            struct tree_cursor **ret_cursor);
void tree_cursor_close(struct tree_cursor *cursor);
/* Use it for another version; cheap when the two share nodes. It stands nowhere then. */
vde_status tree_cursor_reset(struct tree_cursor *cursor, const struct tree_store *store, uint64_t tree,
                             const struct tree_root *root);
/* Stand on the first key >= `key` (NULL: the first record). Past the end is no error: see tree_cursor_valid(). */
vde_status tree_cursor_seek(struct tree_cursor *cursor, const void *key, size_t key_size);
/* Stand on the last key <= `key`; invalid if there is none. */
vde_status tree_cursor_seek_before(struct tree_cursor *cursor, const void *key, size_t key_size);
vde_status tree_cursor_next(struct tree_cursor *cursor);
bool tree_cursor_valid(const struct tree_cursor *cursor);
/* Borrowed until the next call on the cursor. */
void tree_cursor_record(const struct tree_cursor *cursor, const void **ret_key, size_t *ret_key_size,
                        struct tree_value *ret_value);

/* Point lookup; the value is copied: malloc'd *ret_data of *ret_size, raw as stored with its kind. NOT_FOUND. */
vde_status tree_get(const struct tree_store *store, uint64_t tree, const struct tree_root *root, const void *key,
                    size_t key_size, enum value_kind *ret_kind, void **ret_data, size_t *ret_size);
#endif
