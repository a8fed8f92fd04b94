/* SPDX-License-Identifier: Apache-2.0 */
#include "volume_oracle.h"

#include <stdlib.h>
#include <string.h>

void content_copy(struct content *to, const struct content *from)
{
    *to = *from;
    for (unsigned i = 0; i < CHUNKS; i++)
        if (to->chunks[i])
            to->chunks[i]->references++;
}

static void chunk_drop(struct chunk **chunk)
{
    if (*chunk && --(*chunk)->references == 0)
        free(*chunk);
    *chunk = NULL;
}

void content_drop(struct content *content)
{
    for (unsigned i = 0; i < CHUNKS; i++)
        chunk_drop(&content->chunks[i]);
    content->sectors = 0;
}

static struct chunk *own(struct content *content, uint64_t index)
{
    struct chunk *chunk = content->chunks[index];
    if (chunk && chunk->references == 1)
        return chunk;
    struct chunk *copy = calloc(1, sizeof *copy);
    if (!copy)
        abort();
    if (chunk) {
        *copy = *chunk;
        chunk->references--;
    }
    copy->references = 1;
    return content->chunks[index] = copy;
}

uint64_t content_blocks(const struct content *content)
{
    return (content->sectors + BLOCK_SECTORS - 1) / BLOCK_SECTORS;
}

uint64_t content_stamp(const struct content *content, uint64_t sector)
{
    const struct chunk *chunk = content->chunks[sector / CHUNK_SECTORS];
    return chunk ? chunk->stamps[sector % CHUNK_SECTORS] : 0;
}

enum block_kind content_kind(const struct content *content, uint64_t block)
{
    const struct chunk *chunk = content->chunks[block / CHUNK_BLOCKS];
    return chunk ? chunk->kinds[block % CHUNK_BLOCKS] : BLOCK_IS_HOLE;
}

uint64_t content_version(const struct content *content, uint64_t block)
{
    const struct chunk *chunk = content->chunks[block / CHUNK_BLOCKS];
    return chunk ? chunk->versions[block % CHUNK_BLOCKS] : 0;
}

static void set_kind(struct content *content, struct content_clock *clock, uint64_t block, enum block_kind kind)
{
    struct chunk *chunk = own(content, block / CHUNK_BLOCKS);
    chunk->kinds[block % CHUNK_BLOCKS] = (uint8_t)kind;
    chunk->versions[block % CHUNK_BLOCKS] = ++clock->versions;
}

/* A change in a compressed frame may write all of it again. */
static void frames_touched(struct content *content, struct content_clock *clock, uint64_t sector, uint64_t count)
{
    uint64_t last = (sector + count - 1) / CHUNK_SECTORS;
    for (uint64_t i = sector / CHUNK_SECTORS; i <= last; i++)
        for (uint64_t block = i * CHUNK_BLOCKS; block < (i + 1) * CHUNK_BLOCKS; block++) {
            enum block_kind kind = content_kind(content, block);
            set_kind(content, clock, block, kind == BLOCK_IS_HOLE ? BLOCK_MAY_BE_DATA : kind);
        }
}

void content_write(struct content *content, struct content_clock *clock, uint64_t sector, uint64_t count, uint64_t stamp,
                   bool frames)
{
    if (frames)
        frames_touched(content, clock, sector, count);
    for (uint64_t block = sector / BLOCK_SECTORS; block <= (sector + count - 1) / BLOCK_SECTORS; block++)
        set_kind(content, clock, block, BLOCK_IS_DATA);
    for (uint64_t i = 0; i < count; i++)
        content->chunks[(sector + i) / CHUNK_SECTORS]->stamps[(sector + i) % CHUNK_SECTORS] = stamp + 2 * i;
}

/* Part of a block becomes zeroes: a hole stays one or not, data stays data unless nothing of it is left. */
static void zero_part(struct content *content, struct content_clock *clock, uint64_t block, uint64_t from, uint64_t to)
{
    uint64_t first = block * BLOCK_SECTORS;
    struct chunk *chunk = own(content, block / CHUNK_BLOCKS);
    bool left = false;
    for (uint64_t s = from; s < to; s++)
        chunk->stamps[s % CHUNK_SECTORS] = 0;
    for (uint64_t s = first; s < first + BLOCK_SECTORS; s++)
        left |= chunk->stamps[s % CHUNK_SECTORS] != 0;
    set_kind(content, clock, block, left ? BLOCK_IS_DATA : BLOCK_MAY_BE_DATA);
}

void content_zero(struct content *content, struct content_clock *clock, uint64_t sector, uint64_t count, bool whole,
                  bool frames)
{
    uint64_t end = sector + count;
    if (frames)
        frames_touched(content, clock, sector, count);
    for (uint64_t block = sector / BLOCK_SECTORS; block * BLOCK_SECTORS < end; block++) {
        uint64_t first = block * BLOCK_SECTORS, last = first + BLOCK_SECTORS;
        uint64_t from = first > sector ? first : sector, to = last < end ? last : end;
        if (from == first && (to == last || to == content->sectors)) {
            struct chunk *chunk = own(content, block / CHUNK_BLOCKS);
            memset(&chunk->stamps[first % CHUNK_SECTORS], 0, BLOCK_SECTORS * sizeof chunk->stamps[0]);
            uint64_t frame = block / FRAME_BLOCKS * FRAME_BLOCKS * BLOCK_SECTORS;
            bool part = frames && (frame < sector || frame + FRAME_BLOCKS * BLOCK_SECTORS > end);
            set_kind(content, clock, block, part ? BLOCK_MAY_BE_DATA : BLOCK_IS_HOLE);
        } else if (!whole) {
            zero_part(content, clock, block, from, to);
        }
    }
}

void content_resize(struct content *content, struct content_clock *clock, uint64_t sectors)
{
    uint64_t old = content->sectors;
    if (sectors < old) {
        if (sectors % BLOCK_SECTORS) {
            uint64_t end = (sectors / BLOCK_SECTORS + 1) * BLOCK_SECTORS;
            zero_part(content, clock, sectors / BLOCK_SECTORS, sectors, end);
        }
        for (uint64_t block = (sectors + BLOCK_SECTORS - 1) / BLOCK_SECTORS; block < CHUNKS * CHUNK_BLOCKS; block++)
            if (content->chunks[block / CHUNK_BLOCKS]) {
                struct chunk *chunk = own(content, block / CHUNK_BLOCKS);
                memset(&chunk->stamps[block % CHUNK_BLOCKS * BLOCK_SECTORS], 0, BLOCK_SECTORS * sizeof chunk->stamps[0]);
                set_kind(content, clock, block, BLOCK_IS_HOLE);
            }
    } else if (old % BLOCK_SECTORS && content_kind(content, old / BLOCK_SECTORS) != BLOCK_IS_HOLE) {
        /* the short last block may be written again, longer */
        set_kind(content, clock, old / BLOCK_SECTORS, content_kind(content, old / BLOCK_SECTORS));
    }
    content->sectors = sectors;
}

void content_touch(struct content *content, struct content_clock *clock)
{
    for (uint64_t block = 0; block < content_blocks(content); block++)
        if (content_kind(content, block) != BLOCK_IS_HOLE)
            set_kind(content, clock, block, content_kind(content, block));
}
