/* SPDX-License-Identifier: Apache-2.0 */
/* frame.h -- the log: frames (one group write each) of records (one transaction each) of operations (one changed key
 * each). docs/format.md "Log". Everything a transaction does is a change of keys, so replay needs no other code. */
#ifndef VDE_FORMAT_FRAME_H
#define VDE_FORMAT_FRAME_H

#include "format/layout.h"

#define FRAME_MAGIC 0x454d5246u /* "FRME" */
#define FRAME_VERSION 1u

/* A frame starts at a 4 KiB boundary of the ring, is padded with zeroes to the next and may wrap around its end. */
struct disk_frame {
    vde_le32 magic;
    vde_le32 version;
    vde_le64 seed;            /* image seed */
    vde_le64 epoch;
    vde_le64 position;        /* ring position: grows for ever, modulo the ring's size gives the place */
    vde_le64 first_lsn;       /* of the first record; of the next one to come when count is 0 */
    vde_le32 count;           /* records */
    vde_le32 bytes;           /* header and records, without padding */
    vde_le64 chain;           /* checksum of the frame before */
    vde_le64 flushed_through; /* records up to this LSN were durable when this frame was written */
    uint8_t reserved[24];     /* zero */
    vde_le64 checksum;        /* XXH3 of `bytes` bytes with this field zero, seed = image seed ^ position */
};
static_assert(sizeof(struct disk_frame) == 96, "frame header size");

struct disk_record {
    vde_le64 lsn;
    vde_le64 time_us;
    vde_le32 bytes;           /* this header and the operations */
    vde_le32 count;           /* operations */
    vde_le32 flags;           /* RECORD_FLUSHED */
    vde_le32 reserved;        /* zero */
};
static_assert(sizeof(struct disk_record) == 32, "record header size");
#define RECORD_FLUSHED 1u /* the extents that it names were durable before it was written: recovery need not read them */

struct disk_op {
    vde_le64 dataset;
    vde_le32 value_size;
    vde_le16 key_size;
    uint8_t kind;             /* enum value_kind: 0 inline, 1 spilled, 2 extent, 3 delete, 4 run, 5 unmap */
    uint8_t reserved;         /* zero */
    /* key bytes, value bytes */
};
static_assert(sizeof(struct disk_op) == 16, "operation header size");

struct frame {
    uint64_t epoch, position, first_lsn, chain, flushed_through, checksum;
    uint32_t count, bytes;
};

/* Fill in the header of a frame whose records lie behind it in `buffer`; returns its checksum. */
uint64_t frame_seal(void *buffer, const struct frame *frame, uint64_t seed);
/* Is this 4 KiB block the start of a plausible frame of this image? Header only: no checksum yet. */
bool frame_peek(const void *block, uint64_t seed, struct frame *ret_frame);
/* Verify the checksum of a whole frame and the structure of everything in it. */
vde_status frame_verify(const void *buffer, const struct frame *frame, uint64_t seed);

struct op {
    uint64_t dataset;
    const uint8_t *key;
    size_t key_size;
    unsigned kind;
    const uint8_t *value;
    size_t value_size;
};
/* Walk the operations of verified bytes: returns the position behind the operation. */
const uint8_t *op_get(const uint8_t *position, struct op *ret_op);
static inline size_t op_size(size_t key_size, size_t value_size)
{
    return sizeof(struct disk_op) + key_size + value_size;
}
void op_put(uint8_t *to, const struct op *op);
#endif
