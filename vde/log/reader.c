/* SPDX-License-Identifier: Apache-2.0 */
/* reader.c -- read the ring from a checkpoint on, and decide at its end whether the tail is torn or the log damaged. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"
#include "base/mutate.h"
#include "log/log.h"

#define SCAN_BYTES VDE_IO_MAX_BYTES

struct log_reader {
    struct vde_device *device;
    uint64_t ring_offset, ring_bytes, seed, epoch;
    uint64_t position, chain, next_lsn;
    uint64_t start;       /* frames at most one ring behind this are ours */
    uint8_t *buffer;      /* one frame */
    size_t capacity;
    bool torn;
};

static vde_status ring_read(const struct log_reader *reader, uint64_t position, void *buffer, uint64_t bytes)
{
    for (uint64_t done = 0; done < bytes;) {
        uint64_t place = (position + done) % reader->ring_bytes;
        uint64_t size = min_u64(min_u64(bytes - done, VDE_IO_MAX_BYTES), reader->ring_bytes - place);
        struct vde_io io = {.op = VDE_IO_READ, .size = (uint32_t)size, .offset = reader->ring_offset + place,
                            .buffer = (uint8_t *)buffer + done};
        VDE_TRY(reader->device->ops->run(reader->device, &io, 1));
        done += size;
    }
    return VDE_OK;
}

static vde_status grow(struct log_reader *reader, size_t size)
{
    if (size <= reader->capacity)
        return VDE_OK;
    uint8_t *buffer = aligned_alloc(BLOCK_BYTES, size);
    if (!buffer)
        return fail_nomem("log frame");
    free(reader->buffer);
    reader->buffer = buffer;
    reader->capacity = size;
    return VDE_OK;
}

vde_status log_reader_open(struct vde_device *device, const struct region *ring, uint64_t seed, uint64_t epoch,
                           uint64_t position, uint64_t chain, uint64_t next_lsn, struct log_reader **ret_reader)
{
    struct log_reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return fail_nomem("log reader");
    *reader = (struct log_reader){.device = device, .ring_offset = ring->block * BLOCK_BYTES,
                                  .ring_bytes = ring->blocks * BLOCK_BYTES, .seed = seed, .epoch = epoch,
                                  .position = position, .chain = chain, .next_lsn = next_lsn, .start = position};
    vde_status status = grow(reader, SCAN_BYTES);
    if (status != VDE_OK) {
        free(reader);
        return status;
    }
    *ret_reader = reader;
    return VDE_OK;
}

void log_reader_close(struct log_reader *reader)
{
    if (!reader)
        return;
    free(reader->buffer);
    free(reader);
}

/* Read and verify the frame at reader->position. NOT_FOUND: nothing valid of ours there. */
static vde_status read_frame(struct log_reader *reader, struct frame *ret_frame)
{
    if (reader->position - reader->start >= reader->ring_bytes)
        return VDE_NOT_FOUND;
    VDE_TRY(ring_read(reader, reader->position, reader->buffer, BLOCK_BYTES));
    struct frame frame;
    if (!frame_peek(reader->buffer, reader->seed, &frame) || frame.epoch != reader->epoch ||
        frame.position != reader->position || frame.chain != reader->chain || frame.first_lsn != reader->next_lsn ||
        frame.bytes > reader->ring_bytes / 2)
        return VDE_NOT_FOUND;
    uint64_t padded = round_up(frame.bytes, BLOCK_BYTES);
    VDE_TRY(grow(reader, padded));
    VDE_TRY(ring_read(reader, reader->position, reader->buffer, padded));
    if (frame_verify(reader->buffer, &frame, reader->seed) != VDE_OK)
        return VDE_NOT_FOUND;
    *ret_frame = frame;
    return VDE_OK;
}

/* A whole valid frame at `position`? Its place in the ring is known, so only a matching position counts. */
static vde_status later_frame(struct log_reader *reader, const struct frame *frame, bool *ret_valid)
{
    uint64_t padded = round_up(frame->bytes, BLOCK_BYTES);
    uint8_t *buffer = aligned_alloc(BLOCK_BYTES, padded);
    if (!buffer)
        return fail_nomem("log frame");
    vde_status status = ring_read(reader, frame->position, buffer, padded);
    *ret_valid = status == VDE_OK && frame_verify(buffer, frame, reader->seed) == VDE_OK;
    free(buffer);
    return status;
}

static vde_status judge(struct log_reader *reader, const struct frame *frame)
{
    bool valid = false;
    VDE_TRY(later_frame(reader, frame, &valid));
    if (!valid)
        return VDE_OK;
    if (frame->epoch > reader->epoch)
        return fail_corrupt("log at position %llu|a record of epoch %llu|epoch %llu: a superblock was lost",
                            (unsigned long long)frame->position, (unsigned long long)frame->epoch,
                            (unsigned long long)reader->epoch);
    if (frame->epoch == reader->epoch && frame->position > reader->position &&
        frame->flushed_through >= reader->next_lsn && !MUTATED(MUTATE_ACKNOWLEDGED_TAIL))
        return fail_corrupt("log record %llu at position %llu|damage|the acknowledged record: a later one says that "
                            "everything up to %llu was flushed",
                            (unsigned long long)reader->next_lsn, (unsigned long long)reader->position,
                            (unsigned long long)frame->flushed_through);
    return VDE_OK;
}

/* Scan the whole ring for proof that what is missing at reader->position was acknowledged. */
static vde_status scan(struct log_reader *reader)
{
    uint8_t *block = reader->buffer;
    for (uint64_t place = 0; place < reader->ring_bytes; place += SCAN_BYTES) {
        uint64_t bytes = min_u64(SCAN_BYTES, reader->ring_bytes - place);
        VDE_TRY(ring_read(reader, place, block, bytes));
        for (uint64_t at = 0; at < bytes; at += BLOCK_BYTES) {
            struct frame frame;
            if (frame_peek(block + at, reader->seed, &frame) && frame.position % reader->ring_bytes == place + at &&
                frame.bytes <= reader->ring_bytes / 2 && frame.epoch >= reader->epoch)
                VDE_TRY(judge(reader, &frame));
        }
    }
    return VDE_OK;
}

vde_status log_reader_next(struct log_reader *reader, const uint8_t **ret_bytes, struct frame *ret_frame)
{
    vde_status status = read_frame(reader, ret_frame);
    if (status == VDE_NOT_FOUND) {
        struct frame torn;
        reader->torn = frame_peek(reader->buffer, reader->seed, &torn) && torn.epoch == reader->epoch &&
                       torn.position == reader->position;
        VDE_TRY(scan(reader));
        return VDE_NOT_FOUND;
    }
    VDE_TRY(status);
    reader->position += round_up(ret_frame->bytes, BLOCK_BYTES);
    reader->chain = ret_frame->checksum;
    reader->next_lsn += ret_frame->count;
    *ret_bytes = reader->buffer;
    return VDE_OK;
}

void log_reader_end(const struct log_reader *reader, uint64_t *ret_position, uint64_t *ret_chain, bool *ret_torn)
{
    *ret_position = reader->position;
    *ret_chain = reader->chain;
    *ret_torn = reader->torn;
}
