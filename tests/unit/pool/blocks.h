/* SPDX-License-Identifier: Apache-2.0 */
/* blocks.h -- volumes at the level of runs: write, unmap and look up single blocks, with contents that say who they are. */
#ifndef TESTS_UNIT_POOL_BLOCKS_H
#define TESTS_UNIT_POOL_BLOCKS_H

#include "base/checksum.h"
#include "pool/blocks.h"
#include "unit/pool/engine.h"

static inline uint64_t new_volume(vde_image *image)
{
    struct dataset_record record = {.id = vde_id_reserve(image), .kind = DATASET_KIND_VOLUME};
    record.tree = record.id;
    vde_txn *txn = begin(image);
    OK(txn_dataset_create(txn, &record));
    commit(txn);
    return record.id;
}

/* Write device blocks of bytes that `stamp` makes; `checksum` of the first `bytes` of them together, or of each. */
static inline uint64_t put_data(vde_txn *txn, uint32_t blocks, uint64_t stamp, vde_le64 *ret_sums, size_t bytes)
{
    vde_image *image = txn->image;
    uint64_t address;
    uint8_t *buffer = aligned_buffer((size_t)blocks * BLOCK_BYTES);
    OK(data_allocate(image, blocks, &address));
    OK(txn_own_extent(txn, address, blocks));
    for (uint32_t i = 0; i < blocks; i++)
        fill_bytes(buffer + (size_t)i * BLOCK_BYTES, BLOCK_BYTES, stamp + i);
    if (bytes > 0)
        ret_sums[0] = le64(checksum(buffer, bytes, image->seed ^ address));
    for (uint32_t i = 0; bytes == 0 && i < blocks; i++)
        ret_sums[i] = le64(checksum(buffer + (size_t)i * BLOCK_BYTES, BLOCK_BYTES, image->seed ^ (address + i)));
    device_io(image->device, VDE_IO_WRITE, address * BLOCK_BYTES, buffer, blocks * BLOCK_BYTES);
    free(buffer);
    return address;
}

/* Add a run to a transaction; returns where it lies. Block i of it holds the bytes of stamp + i. */
static inline uint64_t put_run(vde_txn *txn, uint64_t volume, uint64_t block, uint32_t blocks, uint64_t stamp)
{
    vde_le64 sums[RUN_BLOCKS_MAX];
    uint64_t address = put_data(txn, blocks, stamp, sums, 0);
    struct block_run run = {.block = block, .blocks = blocks, .stored = blocks, .address = address,
                            .checksums = (const uint8_t *)sums};
    OK(txn_run(txn, volume, &run));
    return address;
}

static inline uint64_t put_frame(vde_txn *txn, uint64_t volume, uint64_t block, uint32_t stored, uint32_t tail,
                                 uint64_t stamp)
{
    vde_le64 sum;
    uint64_t address = put_data(txn, stored, stamp, &sum, (size_t)stored * BLOCK_BYTES - tail);
    struct block_run run = {.block = block, .blocks = RUN_FRAME_BLOCKS, .stored = stored, .tail = tail,
                            .address = address, .checksums = (const uint8_t *)&sum};
    OK(txn_run(txn, volume, &run));
    return address;
}

static inline void write_run(vde_image *image, uint64_t volume, uint64_t block, uint32_t blocks, uint64_t stamp)
{
    vde_txn *txn = begin(image);
    put_run(txn, volume, block, blocks, stamp);
    commit(txn);
}

static inline void unmap(vde_image *image, uint64_t volume, uint64_t block, uint64_t blocks)
{
    vde_txn *txn = begin(image);
    OK(txn_unmap(txn, volume, block, blocks));
    commit(txn);
}

/* A volume, or (tag != 0) a snapshot of it, as of now. */
struct blocks_view {
    vde_view *view;
    struct map map;
    struct block_cursor *cursor;
};

static inline struct blocks_view blocks_of(vde_image *image, uint64_t volume, uint64_t tag)
{
    struct blocks_view v;
    OK(vde_view_open_pending(image, &v.view));
    struct map catalog = map_catalog(v.view->layers, &image->store, &image->label.layout, v.view->lsn);
    OK(map_open(&catalog, volume, tag, &v.map));
    OK(block_cursor_open(&v.map, &v.cursor));
    return v;
}

static inline void blocks_close(struct blocks_view *v)
{
    block_cursor_close(v->cursor);
    vde_view_close(v->view);
}

/* The stamp of the bytes that a plain block holds: it is what was written there, and its checksum fits. */
static inline bool block_holds(vde_image *image, uint64_t address, uint64_t sum, uint64_t stamp)
{
    uint8_t *buffer = aligned_buffer(BLOCK_BYTES);
    device_io(image->device, VDE_IO_READ, address * BLOCK_BYTES, buffer, BLOCK_BYTES);
    bool equal = checksum(buffer, BLOCK_BYTES, image->seed ^ address) == sum &&
                 bytes_equal_seed(buffer, BLOCK_BYTES, stamp);
    free(buffer);
    return equal;
}
#endif
