/* SPDX-License-Identifier: Apache-2.0 */
/* batch.h -- entries of a stream packed together in the history dataset: pack at checkpoints, unpack for readers. */
#ifndef VDE_POOL_BATCH_H
#define VDE_POOL_BATCH_H

#include "pool/map.h"

#define BATCH_RAW_MAX (64u << 10)
#define BATCH_COUNT_MAX 1024u

/* The header of a batch as stored in a leaf, verified; `ret_payload` points behind it (kind inline). */
vde_status batch_header(enum value_kind kind, const uint8_t *value, size_t size, struct disk_batch *ret_header,
                        const uint8_t **ret_payload, size_t *ret_payload_size);

/* A batch in memory. */
struct batch {
    uint64_t first;     /* number of its first entry */
    uint32_t count;
    uint8_t *raw;       /* struct disk_batch_entry[count], then the bytes */
    uint32_t *offsets;  /* of each entry's bytes in raw */
};
/* Read and unpack the batch that a record of the history tree holds. */
vde_status batch_read(const struct tree_store *store, uint64_t stream, uint64_t first, enum value_kind kind,
                      const uint8_t *value, size_t size, struct batch *ret_batch);
void batch_done(struct batch *batch);
struct disk_batch_entry batch_entry(const struct batch *batch, uint32_t index);

/* Pack `count` entries starting at the given overlay entries into a leaf value. The payload is compressed; when the
 * result does not fit a leaf, it goes to an extent of its own through `writer`. `value` has BATCH_VALUE_MAX bytes. */
#define BATCH_INLINE_MAX 1700u
#define BATCH_VALUE_MAX (BATCH_INLINE_MAX + 64u)
vde_status batch_pack(const struct tree_writer *writer, const struct overlay_entry *entries, uint32_t count,
                      uint8_t *value, size_t *ret_size, enum value_kind *ret_kind);
#endif
