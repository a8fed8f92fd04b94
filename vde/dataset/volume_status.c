/* SPDX-License-Identifier: Apache-2.0 */
/* volume_status.c -- which parts of a volume hold data. */
#include "base/checked.h"
#include "base/fail.h"
#include "dataset/volume.h"

#define SEGMENTS_MAX 4096u /* joined into one answer */

static vde_status look(struct reader *reader, const struct volume_pin *pin, uint64_t block, uint64_t end, bool *ret_data,
                       uint64_t *ret_blocks)
{
    struct segment segment;
    VDE_TRY(reader_set(reader, &pin->map));
    VDE_TRY(block_cursor_at(reader->cursor, block, end, &segment));
    *ret_data = segment.data;
    uint64_t at = block + segment.blocks;
    for (unsigned i = 0; at < end && i < SEGMENTS_MAX; i++) {
        VDE_TRY(block_cursor_at(reader->cursor, at, end, &segment));
        if (segment.data != *ret_data)
            break;
        at += segment.blocks;
    }
    *ret_blocks = at - block;
    return VDE_OK;
}

vde_status vde_volume_block_status(vde_volume *volume, uint64_t offset, uint64_t limit_bytes,
                                   enum vde_block_state *ret_state, uint64_t *ret_bytes)
{
    uint64_t size = volume_bytes(volume), blocks = 0;
    bool data = false;
    if (offset >= size || limit_bytes == 0)
        return fail_as(VDE_INVAL, "volume \"%s\"|%llu bytes at %llu|at least one byte, inside %llu", volume->shared->name,
                       (unsigned long long)limit_bytes, (unsigned long long)offset, (unsigned long long)size);
    uint64_t end = offset + min_u64(limit_bytes, size - offset);
    struct volume_pin pin;
    struct reader *reader;
    VDE_TRY(reader_take(volume->volumes, &reader));
    vde_status status = volume_pin(volume, &pin);
    if (status == VDE_OK) {
        status = look(reader, &pin, offset / BLOCK_BYTES, div_up(end, BLOCK_BYTES), &data, &blocks);
        volume_unpin(volume, &pin);
    }
    reader_give(volume->volumes, reader);
    VDE_TRY(status);
    *ret_state = data ? VDE_BLOCK_DATA
                      : volume->shared->flags & VOLUME_PREALLOC && !volume->tag ? VDE_BLOCK_ZERO : VDE_BLOCK_HOLE;
    *ret_bytes = min_u64(end, (offset / BLOCK_BYTES + blocks) * BLOCK_BYTES) - offset;
    return VDE_OK;
}
