/* SPDX-License-Identifier: Apache-2.0 */
/* spill.c -- values out of line. Every extent has its own checksum over the bytes it holds; all but the last are full,
 * so that they can be read into one buffer, end to end. */
#include "tree/spill.h"

#include <stdlib.h>

#include "base/checked.h"
#include "base/checksum.h"
#include "base/compress.h"
#include "base/fail.h"

#define COMPRESSION_LEVEL 1
#define BOUNCE_BYTES (256u << 10)
#define EXTENT_MAX_BLOCKS (SPILL_EXTENT_MAX_BYTES / BLOCK_BYTES)

struct output {
    const struct tree_writer *writer;
    uint8_t *bounce; /* aligned; pads the last block */
    struct disk_ptr extents[SPILL_EXTENTS_MAX];
    unsigned count;
};

/* A run of at most `want` blocks, half as many where space is fragmented. Not more extents than a descriptor holds: when
 * runs of `want` blocks could no longer carry the rest, space is too fragmented for this value. */
static vde_status take_run(const struct output *out, uint64_t rest_blocks, uint32_t *want, uint64_t *ret_address)
{
    for (;;) {
        if (div_up(rest_blocks, *want) > SPILL_EXTENTS_MAX - out->count)
            return fail_as(VDE_NOSPC, "value of %llu more blocks|free runs of less than %u blocks|longer ones",
                           (unsigned long long)rest_blocks, *want * 2);
        vde_status status = out->writer->allocate(out->writer->context, *want, ret_address);
        if (status != VDE_NOSPC || *want == 1)
            return status;
        *want /= 2;
    }
}

static vde_status write_run(const struct output *out, uint64_t address, const uint8_t *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        size_t piece = size - done < BOUNCE_BYTES ? size - done : BOUNCE_BYTES;
        uint32_t blocks = (uint32_t)div_up(piece, BLOCK_BYTES);
        memcpy(out->bounce, data + done, piece);
        memset(out->bounce + piece, 0, (size_t)blocks * BLOCK_BYTES - piece);
        VDE_TRY(out->writer->write(out->writer->context, address + done / BLOCK_BYTES, out->bounce, blocks));
        done += piece;
    }
    return VDE_OK;
}

static vde_status write_extents(struct output *out, const uint8_t *data, size_t size)
{
    uint32_t want = EXTENT_MAX_BLOCKS;
    for (size_t done = 0; done < size;) {
        uint64_t rest_blocks = div_up(size - done, BLOCK_BYTES), address;
        want = (uint32_t)min_u64(want, rest_blocks);
        VDE_TRY(take_run(out, rest_blocks, &want, &address));
        size_t bytes = size - done < (size_t)want * BLOCK_BYTES ? size - done : (size_t)want * BLOCK_BYTES;
        VDE_TRY(write_run(out, address, data + done, bytes));
        struct ptr extent = {address, want, (uint32_t)bytes, out->writer->birth,
                             checksum(data + done, bytes, out->writer->store->seed ^ address)};
        out->extents[out->count++] = ptr_put(extent);
        done += bytes;
    }
    return VDE_OK;
}

/* Compressed bytes that save at least a block, malloc'd, or NULL. */
static void *try_compress(const void *data, size_t size, size_t *ret_size)
{
    if (size <= BLOCK_BYTES)
        return NULL;
    size_t capacity = (div_up(size, BLOCK_BYTES) - 1) * BLOCK_BYTES;
    void *packed = malloc(capacity);
    *ret_size = packed ? compress_pack(packed, capacity, data, size, COMPRESSION_LEVEL) : 0;
    if (*ret_size == 0) {
        free(packed);
        return NULL;
    }
    return packed;
}

vde_status spill_write(const struct tree_writer *writer, const void *data, size_t size, uint8_t *descriptor,
                       size_t *ret_size)
{
    if (size == 0 || size > SPILL_VALUE_MAX)
        return fail_as(size == 0 ? VDE_INVAL : VDE_TOO_LARGE, "value|%zu bytes|1 to %u", size, SPILL_VALUE_MAX);
    size_t stored = size;
    /* Without memory to compress in, the value is stored as it is. */
    void *packed = try_compress(data, size, &stored);
    if (!packed)
        stored = size;
    struct output out = {.writer = writer};
    out.bounce = aligned_alloc(BLOCK_BYTES, min_u64(BOUNCE_BYTES, round_up(stored, BLOCK_BYTES)));
    vde_status status = out.bounce ? write_extents(&out, packed ? packed : data, stored) : fail_nomem("value");
    if (status == VDE_OK) {
        struct disk_spill spill = {.raw_bytes = le64(size), .stored_bytes = le64(stored),
                                   .compression = packed ? SPILL_ZSTD : SPILL_PLAIN, .count = (uint8_t)out.count};
        memcpy(descriptor, &spill, sizeof spill);
        memcpy(descriptor + sizeof spill, out.extents, out.count * sizeof out.extents[0]);
        *ret_size = sizeof spill + out.count * sizeof out.extents[0];
    }
    free(out.bounce);
    free(packed);
    return status;
}

vde_status spill_verify(const void *descriptor, size_t size, const char *object)
{
    return value_verify(VALUE_SPILLED, descriptor, size, 0, object);
}

struct ptr spill_extent(const void *descriptor, unsigned index)
{
    return value_extent(VALUE_SPILLED, descriptor, index);
}

unsigned spill_count(const void *descriptor)
{
    return value_extents(VALUE_SPILLED, descriptor);
}

static vde_status read_extents(const struct tree_store *store, const void *descriptor, uint8_t *buffer)
{
    for (unsigned i = 0; i < spill_count(descriptor); i++) {
        struct ptr extent = spill_extent(descriptor, i);
        VDE_TRY(store->read(store->context, extent, buffer));
        uint64_t sum = checksum(buffer, extent.bytes, store->seed ^ extent.address);
        if (sum != extent.checksum)
            return fail_corrupt("value extent at block %llu|checksum %016llx|%016llx",
                                (unsigned long long)extent.address, (unsigned long long)sum,
                                (unsigned long long)extent.checksum);
        buffer += (size_t)extent.blocks * BLOCK_BYTES;
    }
    return VDE_OK;
}

vde_status spill_read(const struct tree_store *store, const void *descriptor, size_t size, void **ret_data,
                      size_t *ret_size)
{
    VDE_TRY(value_verify(VALUE_SPILLED, descriptor, size, store_blocks(store), "spilled value"));
    struct disk_spill spill;
    memcpy(&spill, descriptor, sizeof spill);
    size_t raw = le64_get(spill.raw_bytes), stored = le64_get(spill.stored_bytes);
    uint8_t *buffer = aligned_alloc(BLOCK_BYTES, round_up(stored, BLOCK_BYTES));
    if (!buffer)
        return fail_nomem("value");
    vde_status status = read_extents(store, descriptor, buffer);
    if (status == VDE_OK && spill.compression == SPILL_ZSTD) {
        void *unpacked = malloc(raw);
        status = unpacked ? compress_unpack(unpacked, raw, buffer, stored, "spilled value") : fail_nomem("value");
        free(buffer);
        buffer = unpacked;
    }
    if (status != VDE_OK) {
        free(buffer);
        return status;
    }
    *ret_data = buffer;
    *ret_size = raw;
    return VDE_OK;
}
