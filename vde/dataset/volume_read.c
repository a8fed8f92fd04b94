/* SPDX-License-Identifier: Apache-2.0 */
/* volume_read.c -- blocking reads. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"
#include "dataset/volume.h"

#define SPARE_MAX 8u
#define RUN_REQUESTS 128u /* handed to the device at a time */

void reader_destroy(struct reader *reader)
{
    if (reader->cursor)
        block_cursor_close(reader->cursor);
    plan_destroy(reader->plan);
    free(reader->bounce);
    free(reader);
}

vde_status reader_take(struct volumes *volumes, struct reader **ret_reader)
{
    lock_take(&volumes->spare_lock);
    struct reader *reader = volumes->spare_readers;
    if (reader) {
        volumes->spare_readers = reader->next;
        volumes->spare_reader_count--;
    }
    lock_drop(&volumes->spare_lock);
    if (!reader) {
        reader = calloc(1, sizeof *reader);
        if (!reader)
            return fail_nomem("volume read");
        vde_status status = plan_create(PLAN_LARGE, &reader->plan);
        if (status != VDE_OK) {
            free(reader);
            return status;
        }
    }
    *ret_reader = reader;
    return VDE_OK;
}

void reader_give(struct volumes *volumes, struct reader *reader)
{
    lock_take(&volumes->spare_lock);
    bool keep = volumes->spare_reader_count < SPARE_MAX;
    if (keep) {
        reader->next = volumes->spare_readers;
        volumes->spare_readers = reader;
        volumes->spare_reader_count++;
    }
    lock_drop(&volumes->spare_lock);
    if (!keep)
        reader_destroy(reader);
}

vde_status reader_set(struct reader *reader, const struct map *map)
{
    return reader->cursor ? block_cursor_reset(reader->cursor, map) : block_cursor_open(map, &reader->cursor);
}

static vde_status run_plan(struct read_plan *plan, struct vde_device *device)
{
    struct vde_io ios[RUN_REQUESTS];
    for (uint32_t done = 0, count; done < plan->io_count; done += count) {
        count = (uint32_t)min_u64(plan->io_count - done, RUN_REQUESTS);
        for (uint32_t i = 0; i < count; i++)
            ios[i] = plan->ios[done + i].io;
        VDE_TRY(device->ops->run(device, ios, count));
        for (uint32_t i = 0; i < count; i++)
            plan->ios[done + i].io.result = VDE_OK;
    }
    return VDE_OK;
}

vde_status reader_blocks(struct reader *reader, struct vde_volume *volume, uint64_t block, uint32_t blocks, uint8_t *data)
{
    VDE_TRY(plan_map(reader->plan, reader->cursor, block, blocks, data));
    VDE_TRY(run_plan(reader->plan, volume->image->device));
    return plan_finish(reader->plan, volume);
}

vde_status reader_need_bounce(struct reader *reader)
{
    if (reader->bounce)
        return VDE_OK;
    reader->bounce = aligned_alloc(BLOCK_BYTES, PLAN_LARGE * BLOCK_BYTES);
    return reader->bounce ? VDE_OK : fail_nomem("volume read");
}

/* One step: whole blocks straight to the caller when his memory is aligned, else through the bounce buffer. */
static vde_status read_step(struct reader *reader, struct vde_volume *volume, uint8_t *to, uint64_t size,
                            uint64_t offset, uint64_t *ret_done)
{
    uint64_t block = offset / BLOCK_BYTES, skip = offset % BLOCK_BYTES;
    if (skip == 0 && (uintptr_t)to % BLOCK_BYTES == 0 && size >= BLOCK_BYTES) {
        uint64_t blocks = min_u64(size / BLOCK_BYTES, reader->plan->capacity);
        *ret_done = blocks * BLOCK_BYTES;
        return reader_blocks(reader, volume, block, (uint32_t)blocks, to);
    }
    VDE_TRY(reader_need_bounce(reader));
    uint64_t blocks = min_u64(div_up(skip + size, BLOCK_BYTES), reader->plan->capacity);
    if ((uintptr_t)(to - skip) % BLOCK_BYTES == 0 && size > BLOCK_BYTES)
        blocks = 1; /* an edge: what follows is aligned */
    VDE_TRY(reader_blocks(reader, volume, block, (uint32_t)blocks, reader->bounce));
    *ret_done = min_u64(size, blocks * BLOCK_BYTES - skip);
    memcpy(to, reader->bounce + skip, *ret_done);
    return VDE_OK;
}

static vde_status read_pinned(struct vde_volume *volume, const struct volume_pin *pin, uint8_t *to, uint64_t size,
                              uint64_t offset)
{
    struct reader *reader;
    VDE_TRY(reader_take(volume->volumes, &reader));
    vde_status status = reader_set(reader, &pin->map);
    for (uint64_t done = 0; status == VDE_OK && size > 0; size -= done, offset += done, to += done)
        status = read_step(reader, volume, to, size, offset, &done);
    reader_give(volume->volumes, reader);
    return status;
}

vde_status vde_volume_read(vde_volume *volume, void *buffer, uint64_t size, uint64_t offset)
{
    struct volume_pin pin;
    VDE_TRY(volume_check(volume, size, offset, false));
    if (size == 0)
        return VDE_OK;
    VDE_TRY(volume_pin(volume, &pin));
    vde_status status = read_pinned(volume, &pin, buffer, size, offset);
    volume_unpin(volume, &pin);
    return status;
}
