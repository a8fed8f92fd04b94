/* SPDX-License-Identifier: Apache-2.0 */
/* source.h -- an image as inspection, repair and rescue see it: a device, a label if one can be read, a superblock if one is
 * valid. Nothing of the engine above format/ is used. */
#ifndef VDE_CHECK_SOURCE_H
#define VDE_CHECK_SOURCE_H

#include <vde/device.h>

#include "format/label.h"
#include "format/node.h"
#include "format/superblock.h"

struct source {
    struct vde_device *device;
    bool owns_device;
    uint64_t device_blocks;
    bool label_good[2];
    bool has_label, has_superblock;
    struct label label;
    struct superblock sb;     /* the newest valid one */
    uint64_t seed;
};

/* Look at label and superblocks; missing ones are no failure. The device stays the caller's. */
vde_status source_init(struct source *source, struct vde_device *device);
/* The same on a path, with a shared or (`writes`) exclusive lock. */
vde_status source_open(struct source *source, const char *path, const char *backend, bool writes);
/* Go on with a label that was found elsewhere, and with the superblocks that it leads to. */
vde_status source_adopt(struct source *source, const struct label *label);
void source_close(struct source *source);
/* CORRUPT unless label and superblock are there. */
vde_status source_expect(const struct source *source);

vde_status source_read(struct source *source, uint64_t block, void *buffer, uint64_t blocks);
vde_status source_write(struct source *source, uint64_t block, const void *buffer, uint64_t blocks);
vde_status source_flush(struct source *source);
/* Read a slot of a superblock ring; a damaged one is *ret_good false with the thread's detail saying why. */
vde_status source_superblock(struct source *source, unsigned ring, unsigned slot, struct superblock *ret_sb, bool *ret_good);
/* Read bytes of the log's ring at a position, wrapping around its end. */
vde_status source_ring(struct source *source, uint64_t position, void *buffer, uint64_t bytes);

/* --- trees: a walk that goes on behind damage --- */
struct source_walk {
    /* A node, verified; or, `node` NULL, one that is damaged: the thread's detail says how. `depth` 0 is the root. */
    vde_status (*node)(void *context, struct ptr p, unsigned depth, const struct disk_node *node);
    vde_status (*record)(void *context, const struct node_record *record);
    void *context;
    const uint8_t *from;      /* first key wanted; NULL: all */
    size_t from_size;
};
/* Both callbacks may be NULL; a status other than VDE_OK from one ends the walk and is returned. */
vde_status source_tree(struct source *source, uint64_t tree, const struct tree_root *root, const struct source_walk *walk);
/* The value of one key as it stands in a leaf: at most `capacity` bytes. NOT_FOUND; CORRUPT. */
vde_status source_get(struct source *source, uint64_t tree, const struct tree_root *root, const void *key, size_t key_size,
                      uint8_t *value, size_t capacity, size_t *ret_size);
int source_compare(const void *a, size_t a_size, const void *b, size_t b_size);
#endif
