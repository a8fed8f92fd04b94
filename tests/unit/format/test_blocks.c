/* SPDX-License-Identifier: Apache-2.0 */
/* Label, superblock and feature names: what is written is read back, and no flipped byte gets through. */
#include <criterion/criterion.h>
#include <string.h>

#include <vde/image.h>

#include "base/checksum.h"
#include "format/label.h"
#include "format/superblock.h"

static struct label sample_label(void)
{
    struct label label = {.created_us = 1234567, .compat = 1, .ro_compat = 0, .incompat = FEATURE_INCOMPAT_KNOWN};
    for (int i = 0; i < 16; i++)
        label.uuid[i] = (uint8_t)(i * 7 + 1);
    cr_assert_eq(layout_compute(VDE_IMAGE_MIN_BYTES, 0, &label.layout), VDE_OK);
    return label;
}

static struct superblock sample_superblock(const struct layout *layout)
{
    uint64_t block = layout_region(layout, REGION_HEAP)->block;
    return (struct superblock){.sequence = 21, .epoch = 3, .checkpoint_lsn = 99, .log_start = 40960, .log_chain = 77,
                               .log_previous = 8192, .last_time_us = 5, .next_id = 20, .alloc_checksum = 6,
                               .used_blocks = 7, .autoclear = 1, .written_us = 8, .meta_nodes = 9, .alloc_slot = 1,
                               .catalog = {{block, 1, BLOCK_BYTES, 50, 4242}, 1, 12, 3}};
}

Test(label, reads_back_what_was_written)
{
    struct label label = sample_label(), got;
    struct disk_label block;
    for (unsigned copy = 0; copy < 2; copy++) {
        label_encode(&label, copy, &block);
        cr_assert_eq(le32_get(block.copy), copy);
        cr_assert_eq(label_decode(&block, label.layout.blocks, "label", &got), VDE_OK, "%s", vde_last_error()->text);
        cr_assert_arr_eq(got.uuid, label.uuid, 16);
        cr_assert_eq(got.created_us, label.created_us);
        cr_assert_eq(got.compat, 1);
        cr_assert_eq(got.incompat, FEATURE_INCOMPAT_KNOWN);
        for (unsigned i = 0; i < REGION_COUNT; i++) {
            cr_assert_eq(got.layout.regions[i].block, label.layout.regions[i].block);
            cr_assert_eq(got.layout.regions[i].blocks, label.layout.regions[i].blocks);
        }
    }
}

Test(label, every_flipped_bit_is_rejected)
{
    struct label label = sample_label(), got;
    struct disk_label block;
    label_encode(&label, 0, &block);
    uint8_t *bytes = (uint8_t *)&block;
    for (size_t i = 0; i < sizeof block; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes[i] ^= (uint8_t)(1u << bit);
            cr_assert_neq(label_decode(&block, label.layout.blocks, "label", &got), VDE_OK, "byte %zu bit %u", i, bit);
            bytes[i] ^= (uint8_t)(1u << bit);
        }
}

/* With the checksum made right again: rejected, or decoded to values that are safe to use. */
Test(label, a_label_with_repaired_checksum_is_safe)
{
    struct label label = sample_label(), got;
    struct disk_label block;
    label_encode(&label, 0, &block);
    uint8_t *bytes = (uint8_t *)&block;
    for (size_t i = 0; i < offsetof(struct disk_label, checksum); i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes[i] ^= (uint8_t)(1u << bit);
            block.checksum = le64(checksum(&block, offsetof(struct disk_label, checksum), 0));
            if (label_decode(&block, label.layout.blocks, "label", &got) == VDE_OK)
                for (unsigned r = 0; r < REGION_COUNT; r++) {
                    const struct region *region = &got.layout.regions[r];
                    cr_assert_eq(region->kind, r + 1);
                    cr_assert_leq(region->block + region->blocks, label.layout.blocks - RESERVED_BLOCKS);
                }
            bytes[i] ^= (uint8_t)(1u << bit);
        }
}

Test(label, unknown_version_is_unsupported_by_name)
{
    struct label label = sample_label(), got;
    struct disk_label block;
    label_encode(&label, 0, &block);
    block.version = le32(FORMAT_VERSION + 1);
    block.checksum = le64(checksum(&block, offsetof(struct disk_label, checksum), 0));
    cr_assert_eq(label_decode(&block, label.layout.blocks, "label A", &got), VDE_UNSUPPORTED);
    cr_assert_str_eq(vde_last_error()->object, "label A");
    cr_assert_str_eq(vde_last_error()->found, "format version 2");
}

Test(label, of_a_larger_device_is_rejected)
{
    struct label label = sample_label(), got;
    struct disk_label block;
    label_encode(&label, 0, &block);
    cr_assert_eq(label_decode(&block, label.layout.blocks - 1, "label", &got), VDE_CORRUPT);
    cr_assert_eq(label_decode(&block, label.layout.blocks + 1, "label", &got), VDE_OK);
}

Test(label, feature_names_come_from_build_then_image_then_number)
{
    struct label label = sample_label();
    struct disk_feature_names names;
    char name[40];
    feature_names_encode(&label, &names);
    feature_name(NULL, 2, 0, name, sizeof name);
    cr_assert_str_eq(name, "streams");
    names.names[3].word = 2;
    names.names[3].bit = 9;
    memcpy(names.names[3].name, "telepathy", 9);
    names.count = le32(4);
    feature_name(&names, 2, 9, name, sizeof name);
    cr_assert_str_eq(name, "bit 9", "a block with a bad checksum was believed");
    names.checksum = le64(checksum(&names, offsetof(struct disk_feature_names, checksum), 0));
    feature_name(&names, 2, 9, name, sizeof name);
    cr_assert_str_eq(name, "telepathy");
    names.count = le32(UINT32_MAX);
    names.checksum = le64(checksum(&names, offsetof(struct disk_feature_names, checksum), 0));
    feature_name(&names, 3, 63, name, sizeof name);
    cr_assert_str_eq(name, "bit 63");
}

Test(superblock, reads_back_what_was_written)
{
    struct label label = sample_label();
    struct superblock sb = sample_superblock(&label.layout), got;
    for (unsigned ring = 0; ring < 2; ring++) {
        struct disk_superblock block;
        uint64_t place = superblock_block(&label.layout, ring, sb.sequence);
        superblock_encode(&sb, label.uuid, ring, place, &block);
        cr_assert_eq(superblock_decode(&block, label.uuid, &label.layout, ring, 21 % RING_SLOTS, &got), VDE_OK, "%s",
                     vde_last_error()->text);
        cr_assert_eq(got.sequence, sb.sequence);
        cr_assert_eq(got.epoch, sb.epoch);
        cr_assert_eq(got.checkpoint_lsn, sb.checkpoint_lsn);
        cr_assert_eq(got.log_start, sb.log_start);
        cr_assert_eq(got.log_chain, sb.log_chain);
        cr_assert_eq(got.log_previous, sb.log_previous);
        cr_assert_eq(got.next_id, sb.next_id);
        cr_assert_eq(got.used_blocks, sb.used_blocks);
        cr_assert_eq(got.alloc_slot, sb.alloc_slot);
        cr_assert_eq(got.catalog.node.checksum, sb.catalog.node.checksum);
        cr_assert_eq(got.catalog.records, sb.catalog.records);
    }
}

Test(superblock, every_flipped_bit_is_rejected)
{
    struct label label = sample_label();
    struct superblock sb = sample_superblock(&label.layout), got;
    struct disk_superblock block;
    superblock_encode(&sb, label.uuid, 0, superblock_block(&label.layout, 0, sb.sequence), &block);
    uint8_t *bytes = (uint8_t *)&block;
    for (size_t i = 0; i < sizeof block; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes[i] ^= (uint8_t)(1u << bit);
            cr_assert_neq(superblock_decode(&block, label.uuid, &label.layout, 0, 5, &got), VDE_OK, "byte %zu", i);
            bytes[i] ^= (uint8_t)(1u << bit);
        }
}

/* A copy in another slot, another ring or of another image never passes. */
Test(superblock, belongs_to_its_place)
{
    struct label label = sample_label();
    struct superblock sb = sample_superblock(&label.layout), got;
    struct disk_superblock block;
    superblock_encode(&sb, label.uuid, 0, superblock_block(&label.layout, 0, sb.sequence), &block);
    for (unsigned ring = 0; ring < 2; ring++)
        for (unsigned slot = 0; slot < RING_SLOTS; slot++)
            if (ring != 0 || slot != 5)
                cr_assert_neq(superblock_decode(&block, label.uuid, &label.layout, ring, slot, &got), VDE_OK);
    label.uuid[0] ^= 1;
    cr_assert_neq(superblock_decode(&block, label.uuid, &label.layout, 0, 5, &got), VDE_OK);
}

/* With the checksum made right again: rejected, or values within the bounds that the engine relies on. */
Test(superblock, with_repaired_checksum_is_safe)
{
    struct label label = sample_label();
    struct superblock sb = sample_superblock(&label.layout), got;
    struct disk_superblock block;
    uint64_t place = superblock_block(&label.layout, 0, sb.sequence);
    superblock_encode(&sb, label.uuid, 0, place, &block);
    uint8_t *bytes = (uint8_t *)&block;
    uint64_t ring_bytes = layout_region(&label.layout, REGION_LOG)->blocks * BLOCK_BYTES;
    for (size_t i = 0; i < offsetof(struct disk_superblock, reserved); i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes[i] ^= (uint8_t)(1u << bit);
            block.checksum = le64(checksum(&block, offsetof(struct disk_superblock, checksum),
                                           image_seed(label.uuid) ^ place));
            if (superblock_decode(&block, label.uuid, &label.layout, 0, 5, &got) == VDE_OK) {
                cr_assert_eq(got.sequence % RING_SLOTS, 5);
                cr_assert_leq(got.log_previous, got.log_start);
                cr_assert_leq(got.log_start - got.log_previous, ring_bytes);
                cr_assert_leq(got.alloc_slot, 1);
                cr_assert_leq(got.catalog.level, TREE_LEVEL_MAX);
                cr_assert(got.catalog.node.address == 0 || layout_allocatable(&label.layout, got.catalog.node.address));
            }
            bytes[i] ^= (uint8_t)(1u << bit);
        }
}

Test(superblock, reserved_bytes_are_zero)
{
    struct label label = sample_label();
    struct superblock sb = sample_superblock(&label.layout), got;
    struct disk_superblock block;
    uint64_t place = superblock_block(&label.layout, 0, sb.sequence);
    superblock_encode(&sb, label.uuid, 0, place, &block);
    block.reserved[17] = 1;
    block.checksum =
        le64(checksum(&block, offsetof(struct disk_superblock, checksum), image_seed(label.uuid) ^ place));
    cr_assert_neq(superblock_decode(&block, label.uuid, &label.layout, 0, 5, &got), VDE_OK);
}
