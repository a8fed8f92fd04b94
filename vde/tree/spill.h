/* SPDX-License-Identifier: Apache-2.0 */
/* spill.h -- values too large for a leaf: zstd-compressed when that saves a block, in extents of at most 4 MiB (smaller
 * runs when space is fragmented), described by a struct disk_spill (format/node.h) in the leaf. */
#ifndef VDE_TREE_SPILL_H
#define VDE_TREE_SPILL_H

#include "tree/tree.h"

/* Write `size` bytes; the descriptor goes to `descriptor` (SPILL_DESCRIPTOR_MAX bytes), its size to *ret_size. */
vde_status spill_write(const struct tree_writer *writer, const void *data, size_t size, uint8_t *descriptor,
                       size_t *ret_size);
/* Check a descriptor from the device or log: structure only. `object` names it in messages. */
vde_status spill_verify(const void *descriptor, size_t size, const char *object);
/* Read the value back, every extent verified: malloc'd. */
vde_status spill_read(const struct tree_store *store, const void *descriptor, size_t size, void **ret_data,
                      size_t *ret_size);
/* Extent i of a verified descriptor. */
struct ptr spill_extent(const void *descriptor, unsigned index);
unsigned spill_count(const void *descriptor);
#endif
