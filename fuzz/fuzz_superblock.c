/* SPDX-License-Identifier: Apache-2.0 */
/* Label, feature names and superblock as three blocks, their checksums made right: decoded to safe values or refused. */
#include <string.h>

#include <vde/image.h>

#include "base/checksum.h"
#include "format/label.h"
#include "format/superblock.h"
#include "fuzz.h"

#define INPUT (3u * BLOCK_BYTES)
#define SLOT 5u

static void repair(uint8_t *blocks)
{
    struct disk_label *label = (struct disk_label *)(void *)blocks;
    struct disk_feature_names *names = (struct disk_feature_names *)(void *)(blocks + BLOCK_BYTES);
    struct disk_superblock *sb = (struct disk_superblock *)(void *)(blocks + 2 * BLOCK_BYTES);
    label->checksum = le64(checksum(label, offsetof(struct disk_label, checksum), 0));
    names->checksum = le64(checksum(names, offsetof(struct disk_feature_names, checksum), 0));
    uint64_t seed = image_seed(label->uuid) ^ (RING_A_BLOCK + SLOT);
    memcpy(sb->uuid, label->uuid, 16);
    sb->checksum = le64(checksum(sb, offsetof(struct disk_superblock, checksum), seed));
}

size_t fuzz_seed(unsigned number, uint8_t *data, size_t max_size)
{
    static const uint64_t sizes[] = {4ull << 20, 64ull << 20, 1ull << 40, 64ull << 40};
    struct label label = {.uuid = {1, 2, 3}, .created_us = 9, .incompat = FEATURE_INCOMPAT_KNOWN};
    if (number >= 4 || max_size < INPUT || layout_compute(sizes[number], 0, &label.layout) != VDE_OK)
        return 0;
    struct superblock sb = {.sequence = SLOT + RING_SLOTS * number, .epoch = 1, .log_start = 8192, .next_id = 20,
                            .catalog = {{layout_region(&label.layout, REGION_HEAP)->block, 1, BLOCK_BYTES, 1, 2}, 1, 9, 2}};
    label_encode(&label, 0, (struct disk_label *)(void *)data);
    feature_names_encode(&label, (struct disk_feature_names *)(void *)(data + BLOCK_BYTES));
    superblock_encode(&sb, label.uuid, 0, RING_A_BLOCK + SLOT, (struct disk_superblock *)(void *)(data + 2 * BLOCK_BYTES));
    return INPUT;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    return fuzz_mutate(data, size, max_size < INPUT ? max_size : INPUT, seed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t blocks[INPUT];
    struct label label;
    struct superblock sb;
    char name[32];
    memset(blocks, 0, sizeof blocks);
    memcpy(blocks, data, size < INPUT ? size : INPUT);
    repair(blocks);
    if (label_decode((struct disk_label *)(void *)blocks, 1ull << 34, "label", &label) != VDE_OK)
        return 0;
    for (unsigned i = 0; i < REGION_COUNT; i++) {
        const struct region *r = &label.layout.regions[i];
        FUZZ_ASSERT(r->blocks > 0 && r->block >= RESERVED_BLOCKS && r->block + r->blocks > r->block);
        FUZZ_ASSERT(r->block + r->blocks <= label.layout.blocks - RESERVED_BLOCKS);
    }
    for (unsigned bit = 0; bit < 64; bit++)
        feature_name((struct disk_feature_names *)(void *)(blocks + BLOCK_BYTES), 2, bit, name, sizeof name);
    if (superblock_decode((struct disk_superblock *)(void *)(blocks + 2 * BLOCK_BYTES), label.uuid, &label.layout, 0, SLOT,
                          &sb) != VDE_OK)
        return 0;
    FUZZ_ASSERT(sb.sequence % RING_SLOTS == SLOT && sb.alloc_slot < 2 && sb.log_previous <= sb.log_start);
    FUZZ_ASSERT(sb.catalog.node.address == 0 || layout_allocatable(&label.layout, sb.catalog.node.address));
    return 0;
}
