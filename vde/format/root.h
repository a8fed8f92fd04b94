/* SPDX-License-Identifier: Apache-2.0 */
/* root.h -- the root of one version of a tree, as superblock and catalog records hold it. docs/format.md "Roots". */
#ifndef VDE_FORMAT_ROOT_H
#define VDE_FORMAT_ROOT_H

#include "format/layout.h"

#define TREE_LEVEL_MAX 12u /* far above what 64 TiB needs: a bound for walks */

struct disk_root {
    struct disk_ptr node;
    vde_le64 records;
    vde_le64 nodes;
    uint8_t level;
    uint8_t reserved[7]; /* zero */
};
static_assert(sizeof(struct disk_root) == 56, "root size");

struct tree_root {
    struct ptr node;    /* null: empty tree */
    uint8_t level;      /* of the root node; 0 = leaf */
    uint64_t records;   /* number of records */
    uint64_t nodes;     /* number of nodes */
};

struct disk_root root_put(struct tree_root root);
/* Verify a root's fields against the image: address inside, level within bounds. */
vde_status root_get(const struct disk_root *disk, const struct layout *layout, const char *object,
                    struct tree_root *ret_root);
#endif
