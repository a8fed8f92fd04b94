/* SPDX-License-Identifier: Apache-2.0 */
/* blocks.h -- volumes at the level of runs: write, unmap and look up single blocks, with contents that say who they are. */
#ifndef TESTS_UNIT_POOL_BLOCKS_H
#define TESTS_UNIT_POOL_BLOCKS_H

#include <vde/volume.h>

#include "base/checked.h"
#include "base/checksum.h"
#include "base/compress.h"
#include "pool/blocks.h"
#include "unit/pool/engine.h"

static inline uint64_t new_volume(vde_image *image)
{
    struct vde_volume_opts opts = VDE_VOLUME_OPTS_INIT;
    struct vde_volume_info info;
    vde_view *view;
    opts.size_bytes = 1ull << 40;
    OK(vde_volume_create(image, "volume", &opts));
    OK(vde_view_open(image, &view));
    OK(vde_volume_get(view, "volume", &info));
    vde_view_close(view);
    return info.id;
}

/* Write blocks to a new place that the transaction owns; 0: the image is full. */
static inline uint64_t put_data(vde_txn *txn, void *buffer, uint32_t blocks)
{
    uint64_t address;
    vde_status status = data_allocate(txn->image, blocks, &address);
    if (status == VDE_NOSPC)
        return 0;
    OK(status);
    OK(txn_own_extent(txn, address, blocks));
    device_io(txn->image->device, VDE_IO_WRITE, address * BLOCK_BYTES, buffer, blocks * BLOCK_BYTES);
    return address;
}

/* Add a run to a transaction; returns where it lies, 0: nowhere, the image is full. Block i holds the bytes of stamp + i. */
static inline uint64_t put_run(vde_txn *txn, uint64_t volume, uint64_t block, uint32_t blocks, uint64_t stamp)
{
    vde_le64 sums[RUN_BLOCKS_MAX];
    uint8_t *buffer = aligned_buffer((size_t)blocks * BLOCK_BYTES);
    for (uint32_t i = 0; i < blocks; i++)
        fill_bytes(buffer + (size_t)i * BLOCK_BYTES, BLOCK_BYTES, stamp + i);
    uint64_t address = put_data(txn, buffer, blocks);
    for (uint32_t i = 0; i < blocks; i++)
        sums[i] = le64(checksum(buffer + (size_t)i * BLOCK_BYTES, BLOCK_BYTES, txn->image->seed ^ (address + i)));
    struct block_run run = {.block = block, .blocks = blocks, .stored = blocks, .address = address,
                            .checksums = (const uint8_t *)sums};
    if (address)
        OK(txn_run(txn, volume, &run));
    free(buffer);
    return address;
}

/* The same with a compressed frame, the first `random` blocks of which can't be compressed. */
static inline struct block_run put_frame(vde_txn *txn, uint64_t volume, uint64_t block, uint32_t random, uint64_t stamp)
{
    size_t size = RUN_FRAME_BLOCKS * BLOCK_BYTES;
    uint8_t *raw = calloc(1, size), *packed = aligned_buffer(size);
    fill_bytes(raw, (size_t)random * BLOCK_BYTES, stamp);
    size_t bytes = compress_pack(packed, size - BLOCK_BYTES, raw, size, 1);
    REQUIRE(bytes > 0);
    uint32_t stored = (uint32_t)div_up(bytes, BLOCK_BYTES);
    uint64_t address = put_data(txn, packed, stored);
    vde_le64 sum = le64(checksum(packed, bytes, txn->image->seed ^ address));
    struct block_run run = {.block = block, .blocks = RUN_FRAME_BLOCKS, .stored = stored, .address = address,
                            .tail = stored * BLOCK_BYTES - (uint32_t)bytes, .checksums = (const uint8_t *)&sum};
    if (address)
        OK(txn_run(txn, volume, &run));
    free(raw);
    free(packed);
    return run;
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
