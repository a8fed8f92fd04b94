/* SPDX-License-Identifier: Apache-2.0 */
/* superblock.c -- encode and verify superblocks. */
#include "format/superblock.h"

#include <stdio.h>
#include <string.h>

#include "base/checksum.h"
#include "base/fail.h"
#include "format/label.h"

void superblock_encode(const struct superblock *sb, const uint8_t uuid[16], unsigned ring, uint64_t block,
                       struct disk_superblock *ret_block)
{
    struct disk_superblock *d = ret_block;
    memset(d, 0, sizeof *d);
    memcpy(d->magic, SUPERBLOCK_MAGIC, 8);
    memcpy(d->uuid, uuid, 16);
    d->sequence = le64(sb->sequence);
    d->epoch = le64(sb->epoch);
    d->checkpoint_lsn = le64(sb->checkpoint_lsn);
    d->log_start = le64(sb->log_start);
    d->log_chain = le64(sb->log_chain);
    d->log_previous = le64(sb->log_previous);
    d->last_time_us = le64(sb->last_time_us);
    d->next_id = le64(sb->next_id);
    d->alloc_checksum = le64(sb->alloc_checksum);
    d->used_blocks = le64(sb->used_blocks);
    d->alloc_slot = le32(sb->alloc_slot);
    d->ring = le32(ring);
    d->autoclear = le64(sb->autoclear);
    d->written_us = le64(sb->written_us);
    d->meta_nodes = le64(sb->meta_nodes);
    d->catalog = root_put(sb->catalog);
    d->catalog_dead = root_put(sb->catalog_dead);
    d->catalog_dead_blocks = le64(sb->catalog_dead_blocks);
    d->growths = le32(sb->growths);
    for (uint32_t i = 0; i < sb->growths; i++)
        d->grown_blocks[i] = le64(sb->grown_blocks[i]);
    d->checksum = le64(checksum(d, offsetof(struct disk_superblock, checksum), image_seed(uuid) ^ block));
}

vde_status superblock_layout(const struct superblock *sb, const struct layout *label, struct layout *ret_layout)
{
    layout_formatted(label, ret_layout);
    for (uint32_t i = 0; i < sb->growths; i++)
        if (layout_grow(ret_layout, sb->grown_blocks[i]) != VDE_OK)
            return fail_corrupt("superblock|growth %u of %u to %llu blocks|a size that an image of %llu can grow to", i + 1,
                                sb->growths, (unsigned long long)sb->grown_blocks[i],
                                (unsigned long long)ret_layout->blocks);
    return VDE_OK;
}

static vde_status decode_growths(const struct disk_superblock *disk, const char *object, struct superblock *sb)
{
    sb->growths = le32_get(disk->growths);
    if (sb->growths > GROWTHS_MAX || le32_get(disk->reserved0) != 0)
        return fail_corrupt("%s|%u growths|at most %u", object, sb->growths, GROWTHS_MAX);
    for (uint32_t i = 0; i < GROWTHS_MAX; i++) {
        sb->grown_blocks[i] = le64_get(disk->grown_blocks[i]);
        if (i >= sb->growths && sb->grown_blocks[i])
            return fail_corrupt("%s|growth %u is not zero|zero behind the last", object, i);
    }
    return VDE_OK;
}

vde_status superblock_decode(const struct disk_superblock *disk, const uint8_t uuid[16], const struct layout *layout,
                             unsigned ring, unsigned slot, struct superblock *ret_sb)
{
    char object[64];
    snprintf(object, sizeof object, "superblock ring %c slot %u", ring ? 'B' : 'A', slot);
    if (memcmp(disk->magic, SUPERBLOCK_MAGIC, 8) != 0)
        return fail_corrupt("%s|no superblock magic|\"" SUPERBLOCK_MAGIC "\"", object);
    uint64_t block = superblock_block(layout, ring, slot);
    uint64_t sum = checksum(disk, offsetof(struct disk_superblock, checksum), image_seed(uuid) ^ block);
    if (sum != le64_get(disk->checksum))
        return fail_corrupt("%s|checksum %016llx|%016llx", object, (unsigned long long)sum,
                            (unsigned long long)le64_get(disk->checksum));
    if (memcmp(disk->uuid, uuid, 16) != 0)
        return fail_corrupt("%s|another image's uuid|the label's", object);
    struct superblock sb = {le64_get(disk->sequence),       le64_get(disk->epoch),     le64_get(disk->checkpoint_lsn),
                            le64_get(disk->log_start),      le64_get(disk->log_chain), le64_get(disk->log_previous),
                            le64_get(disk->last_time_us),   le64_get(disk->next_id),   le64_get(disk->alloc_checksum),
                            le64_get(disk->used_blocks),    le64_get(disk->autoclear), le64_get(disk->written_us),
                            le64_get(disk->meta_nodes),     le32_get(disk->alloc_slot), {{0}, 0, 0, 0},
                            {{0}, 0, 0, 0},                 le64_get(disk->catalog_dead_blocks), 0, {0}};
    struct layout own;
    if (sb.sequence == 0 || sb.sequence % RING_SLOTS != slot || le32_get(disk->ring) != ring)
        return fail_corrupt("%s|sequence %llu of ring %u|one that belongs there", object,
                            (unsigned long long)sb.sequence, le32_get(disk->ring));
    for (size_t i = 0; i < sizeof disk->reserved; i++)
        if (disk->reserved[i])
            return fail_corrupt("%s|reserved byte %zu is not zero|zero", object, i);
    if (sb.alloc_slot > 1 || sb.epoch == 0 || sb.log_start % BLOCK_BYTES || sb.log_previous > sb.log_start ||
        sb.log_start - sb.log_previous > layout_region(layout, REGION_LOG)->blocks * BLOCK_BYTES)
        return fail_corrupt("%s|log start %llu, previous %llu, epoch %llu|legal positions", object,
                            (unsigned long long)sb.log_start, (unsigned long long)sb.log_previous,
                            (unsigned long long)sb.epoch);
    VDE_TRY(decode_growths(disk, object, &sb));
    VDE_TRY(superblock_layout(&sb, layout, &own));
    VDE_TRY(root_get(&disk->catalog, &own, object, &sb.catalog));
    VDE_TRY(root_get(&disk->catalog_dead, &own, object, &sb.catalog_dead));
    *ret_sb = sb;
    return VDE_OK;
}
