/* SPDX-License-Identifier: Apache-2.0 */
/* volume_oracle.h -- what the volumes of an image should hold: for each sector the stamp it was written with, in chunks that
 * copies share until one of them changes. */
#ifndef TESTS_MODEL_VOLUME_ORACLE_H
#define TESTS_MODEL_VOLUME_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

#define BLOCK_SECTORS 8u
#define FRAME_BLOCKS 16u
#define CHUNK_BLOCKS FRAME_BLOCKS
#define CHUNK_SECTORS (CHUNK_BLOCKS * BLOCK_SECTORS)
#define WINDOW_SECTORS 3072u /* of a volume, all requests lie in the last so many at most */
#define CHUNKS (WINDOW_SECTORS / CHUNK_SECTORS)

/* Whether a block takes space. */
enum block_kind { BLOCK_IS_HOLE, BLOCK_IS_DATA, BLOCK_MAY_BE_DATA };

struct chunk {
    uint32_t references;
    uint8_t kinds[CHUNK_BLOCKS];
    uint64_t versions[CHUNK_BLOCKS]; /* grows with every change of the block, unique in the run */
    uint64_t stamps[CHUNK_SECTORS];
};

struct content {
    uint64_t sectors; /* size of the window */
    struct chunk *chunks[CHUNKS]; /* NULL: holes */
};

/* Numbers for versions and stamps. */
struct content_clock {
    uint64_t versions, stamps;
};

void content_copy(struct content *to, const struct content *from);
void content_drop(struct content *content);

uint64_t content_stamp(const struct content *content, uint64_t sector);
enum block_kind content_kind(const struct content *content, uint64_t block);
uint64_t content_version(const struct content *content, uint64_t block);
uint64_t content_blocks(const struct content *content); /* of the window, the last one may be short */

/* Sector i of the range gets stamp `stamp` + 2 * i. `frames`: the volume is compressed, so that neighbours in a frame may be
 * written again, holes among them. */
void content_write(struct content *content, struct content_clock *clock, uint64_t sector, uint64_t count, uint64_t stamp,
                   bool frames);
/* `whole`: a discard, which leaves blocks alone that it covers in part. */
void content_zero(struct content *content, struct content_clock *clock, uint64_t sector, uint64_t count, bool whole,
                  bool frames);
void content_resize(struct content *content, struct content_clock *clock, uint64_t sectors);
/* Every block that holds data counts as changed: its place may be another one. */
void content_touch(struct content *content, struct content_clock *clock);
#endif
