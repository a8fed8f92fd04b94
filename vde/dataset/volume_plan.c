/* SPDX-License-Identifier: Apache-2.0 */
/* volume_plan.c -- consecutive blocks of a volume on their way into memory: where they are, the device requests for them,
 * and what must hold when those have completed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/checksum.h"
#include "base/compress.h"
#include "base/fail.h"
#include "base/mutate.h"
#include "dataset/volume.h"

#define FRAMES_OF(blocks) ((blocks) / RUN_FRAME_BLOCKS + 2u)

vde_status plan_create(uint32_t capacity, struct read_plan **ret_plan)
{
    struct read_plan *plan = calloc(1, sizeof *plan);
    if (plan) {
        plan->capacity = capacity;
        plan->addresses = malloc(capacity * sizeof *plan->addresses);
        plan->checksums = malloc(capacity * sizeof *plan->checksums);
        plan->ios = malloc(capacity * sizeof *plan->ios);
    }
    if (!plan || !plan->addresses || !plan->checksums || !plan->ios) {
        plan_destroy(plan);
        return fail_nomem("volume read");
    }
    *ret_plan = plan;
    return VDE_OK;
}

void plan_destroy(struct read_plan *plan)
{
    if (!plan)
        return;
    free(plan->addresses);
    free(plan->checksums);
    free(plan->frames);
    free(plan->staging);
    free(plan->ios);
    free(plan);
}

static vde_status add_frame(struct read_plan *plan, const struct segment *segment, uint32_t at)
{
    if (!plan->frames) {
        plan->frames = malloc(FRAMES_OF(plan->capacity) * sizeof *plan->frames);
        if (!plan->frames)
            return fail_nomem("volume read");
    }
    uint32_t first = (uint32_t)(segment->block - segment->frame);
    if (plan->frame_count > 0) { /* the rest of the same one */
        struct frame_part *last = &plan->frames[plan->frame_count - 1];
        if (last->address == segment->address && last->first + last->count == first && last->at + last->count == at) {
            last->count += (uint32_t)segment->blocks;
            return VDE_OK;
        }
    }
    if (plan->frame_count == FRAMES_OF(plan->capacity))
        return fail_corrupt("volume block %llu|parts of %u frames in %u blocks|whole frames",
                            (unsigned long long)segment->block, plan->frame_count + 1, plan->capacity);
    plan->frames[plan->frame_count++] =
        (struct frame_part){segment->address, segment->checksums[0], segment->stored, segment->tail, first,
                            (uint32_t)segment->blocks, at, plan->staged_blocks};
    plan->staged_blocks += segment->stored;
    return VDE_OK;
}

static vde_status add_segment(struct read_plan *plan, const struct segment *segment)
{
    uint32_t at = (uint32_t)(segment->block - plan->block), count = (uint32_t)segment->blocks;
    if (!segment->data)
        memset(plan->data + (size_t)at * BLOCK_BYTES, 0, (size_t)count * BLOCK_BYTES);
    if (!segment->data || segment->compressed) {
        memset(plan->addresses + at, 0, count * sizeof *plan->addresses);
        return segment->data ? add_frame(plan, segment, at) : VDE_OK;
    }
    for (uint32_t i = 0; i < count; i++) {
        plan->addresses[at + i] = segment->address + i;
        plan->checksums[at + i] = segment->checksums[i];
    }
    return VDE_OK;
}

/* One more block to be read to `to`: part of the last request when it continues it. */
static void add_read(struct read_plan *plan, uint64_t address, uint32_t blocks, uint8_t *to)
{
    uint32_t size = (uint32_t)(blocks * BLOCK_BYTES);
    if (plan->io_count > 0) {
        struct vde_io *last = &plan->ios[plan->io_count - 1].io;
        if (last->offset + last->size == address * BLOCK_BYTES && (uint8_t *)last->buffer + last->size == to &&
            last->size + size <= VDE_IO_MAX_BYTES) {
            last->size += size;
            return;
        }
    }
    plan->ios[plan->io_count++] = (struct vde_async_io){
        .io = {.op = VDE_IO_READ, .size = size, .offset = address * BLOCK_BYTES, .buffer = to}};
}

static vde_status make_requests(struct read_plan *plan)
{
    if (plan->staged_blocks > plan->staging_capacity) {
        free(plan->staging);
        plan->staging_capacity = 0;
        plan->staging = aligned_alloc(BLOCK_BYTES, (size_t)plan->staged_blocks * BLOCK_BYTES);
        if (!plan->staging)
            return fail_nomem("volume read");
        plan->staging_capacity = plan->staged_blocks;
    }
    for (uint32_t i = 0; i < plan->blocks; i++)
        if (plan->addresses[i])
            add_read(plan, plan->addresses[i], 1, plan->data + (size_t)i * BLOCK_BYTES);
    for (uint32_t i = 0; i < plan->frame_count; i++)
        add_read(plan, plan->frames[i].address, plan->frames[i].stored,
                 plan->staging + (size_t)plan->frames[i].staged * BLOCK_BYTES);
    return VDE_OK;
}

vde_status plan_map(struct read_plan *plan, struct block_cursor *cursor, uint64_t block, uint32_t blocks, uint8_t *data)
{
    struct segment segment;
    plan->block = block;
    plan->blocks = blocks;
    plan->data = data;
    plan->frame_count = plan->staged_blocks = plan->io_count = 0;
    for (uint64_t at = block; at < block + blocks; at += segment.blocks) {
        VDE_TRY(block_cursor_at(cursor, at, block + blocks, &segment));
        VDE_TRY(add_segment(plan, &segment));
    }
    return make_requests(plan);
}

static vde_status check_results(const struct read_plan *plan)
{
    for (uint32_t i = 0; i < plan->io_count; i++) {
        const struct vde_io *io = &plan->ios[i].io;
        if (io->result == VDE_OK)
            continue;
        char object[96];
        snprintf(object, sizeof object, "device at %llu", (unsigned long long)io->offset);
        return io->os_errno ? vde_error_errno(io->os_errno, object, "read") : fail_as(io->result, "%s", object);
    }
    return VDE_OK;
}

static vde_status wrong(const struct vde_volume *volume, uint64_t block, uint64_t address, uint64_t found,
                        uint64_t expected)
{
    return fail_corrupt("volume \"%s\" offset %llu (block %llu)|checksum %016llx|%016llx", volume->shared->name,
                        (unsigned long long)(block * BLOCK_BYTES), (unsigned long long)address, (unsigned long long)found,
                        (unsigned long long)expected);
}

static vde_status finish_frame(struct read_plan *plan, const struct frame_part *frame, const struct vde_volume *volume)
{
    const uint8_t *packed = plan->staging + (size_t)frame->staged * BLOCK_BYTES;
    size_t size = (size_t)frame->stored * BLOCK_BYTES - frame->tail;
    uint64_t block = plan->block + frame->at, sum = checksum(packed, size, volume->image->seed ^ frame->address);
    uint8_t *to = plan->data + (size_t)frame->at * BLOCK_BYTES;
    if (sum != frame->checksum && !MUTATED(MUTATE_BLOCK_CHECKSUM))
        return wrong(volume, block, frame->address, sum, frame->checksum);
    char object[300];
    snprintf(object, sizeof object, "volume \"%s\" offset %llu (block %llu)", volume->shared->name,
             (unsigned long long)(block * BLOCK_BYTES), (unsigned long long)frame->address);
    if (frame->count == RUN_FRAME_BLOCKS)
        return compress_unpack(to, FRAME_BYTES, packed, size, object);
    uint8_t *raw = malloc(FRAME_BYTES);
    if (!raw)
        return fail_nomem("volume read");
    vde_status status = compress_unpack(raw, FRAME_BYTES, packed, size, object);
    if (status == VDE_OK)
        memcpy(to, raw + (size_t)frame->first * BLOCK_BYTES, (size_t)frame->count * BLOCK_BYTES);
    free(raw);
    return status;
}

vde_status plan_finish(struct read_plan *plan, const struct vde_volume *volume)
{
    VDE_TRY(check_results(plan));
    for (uint32_t i = 0; i < plan->blocks; i++) {
        if (!plan->addresses[i])
            continue;
        uint64_t sum = checksum(plan->data + (size_t)i * BLOCK_BYTES, BLOCK_BYTES,
                                volume->image->seed ^ plan->addresses[i]);
        if (sum != plan->checksums[i] && !MUTATED(MUTATE_BLOCK_CHECKSUM))
            return wrong(volume, plan->block + i, plan->addresses[i], sum, plan->checksums[i]);
    }
    for (uint32_t i = 0; i < plan->frame_count; i++)
        VDE_TRY(finish_frame(plan, &plan->frames[i], volume));
    return VDE_OK;
}
