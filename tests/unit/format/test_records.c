/* SPDX-License-Identifier: Apache-2.0 */
/* Catalog records, roots and keys. */
#include <criterion/criterion.h>
#include <string.h>

#include <vde/image.h>

#include "format/catalog.h"

static struct layout layout;

static void setup(void)
{
    cr_assert_eq(layout_compute(VDE_IMAGE_MIN_BYTES, 0, &layout), VDE_OK);
}

static struct tree_root sample_root(void)
{
    return (struct tree_root){{layout_region(&layout, REGION_HEAP)->block + 3, 1, BLOCK_BYTES, 9, 8}, 2, 1000, 30};
}

TestSuite(records, .init = setup);

Test(records, dataset_reads_back)
{
    struct dataset_record r = {.id = 20, .kind = DATASET_KIND_VOLUME, .tree = 17, .root = sample_root(),
                               .newest_snapshot = 7, .created_lsn = 8, .origin = 18, .origin_tag = 9, .origin_lsn = 10,
                               .mapped_blocks = 11, .stored_blocks = 12, .dead_blocks = 13};
    for (size_t name_size = 0; name_size <= DATASET_NAME_MAX; name_size += 51) {
        struct dataset_record got;
        memset(r.name, 0, sizeof r.name);
        memset(r.name, 'x', name_size);
        uint8_t value[DATASET_VALUE_MAX];
        size_t size = dataset_record_put(&r, value);
        cr_assert_eq(size, sizeof(struct disk_dataset) + name_size);
        cr_assert_eq(dataset_record_get(value, size, 20, &layout, &got), VDE_OK, "%s", vde_last_error()->text);
        cr_assert_str_eq(got.name, r.name);
        cr_assert_eq(got.root.node.address, r.root.node.address);
        cr_assert_eq(got.root.level, 2);
        cr_assert_eq(got.dead.node.address, 0);
        cr_assert(got.newest_snapshot == 7 && got.created_lsn == 8 && got.tree == 17 && got.kind == DATASET_KIND_VOLUME);
        cr_assert(got.origin == 18 && got.origin_tag == 9 && got.origin_lsn == 10);
        cr_assert(got.mapped_blocks == 11 && got.stored_blocks == 12 && got.dead_blocks == 13);
    }
}

Test(records, dataset_of_wrong_size_or_id_is_rejected)
{
    struct dataset_record r = {.id = 20, .kind = DATASET_KIND_KV, .tree = 20, .name = "name"}, got;
    uint8_t value[DATASET_VALUE_MAX + 1];
    size_t size = dataset_record_put(&r, value);
    cr_assert_eq(dataset_record_get(value, size, 20, &layout, &got), VDE_OK);
    cr_assert_eq(dataset_record_get(value, size - 1, 20, &layout, &got), VDE_CORRUPT);
    cr_assert_eq(dataset_record_get(value, size + 1, 20, &layout, &got), VDE_CORRUPT);
    cr_assert_eq(dataset_record_get(value, 0, 20, &layout, &got), VDE_CORRUPT);
    cr_assert_eq(dataset_record_get(value, size, 21, &layout, &got), VDE_CORRUPT);
    r.tree = 21; /* without an origin */
    size = dataset_record_put(&r, value);
    cr_assert_eq(dataset_record_get(value, size, 20, &layout, &got), VDE_CORRUPT);
}

/* Records lie in checksummed nodes; still any flipped bit gives a refusal or values within bounds. */
Test(records, hostile_dataset_records)
{
    struct dataset_record r = {.id = 20, .kind = DATASET_KIND_KV, .tree = 20, .root = sample_root(),
                               .dead = sample_root(), .name = "name"}, got;
    uint8_t bytes[DATASET_VALUE_MAX];
    size_t size = dataset_record_put(&r, bytes), accepted = 0;
    for (size_t i = 0; i < size; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes[i] ^= (uint8_t)(1u << bit);
            if (dataset_record_get(bytes, size, 20, &layout, &got) == VDE_OK) {
                accepted++;
                cr_assert_leq(got.root.level, TREE_LEVEL_MAX);
                cr_assert(layout_allocatable(&layout, got.root.node.address));
                cr_assert(layout_allocatable(&layout, got.dead.node.address));
                cr_assert_eq(strnlen(got.name, sizeof got.name), 4);
            }
            bytes[i] ^= (uint8_t)(1u << bit);
        }
    cr_assert_gt(accepted, 0);
}

Test(records, snapshot_reads_back_and_checks_its_size)
{
    struct snapshot_record r = {.lsn = 55, .created_us = 56, .root = sample_root(), .size_bytes = 57, .mapped_blocks = 58,
                                .stored_blocks = 59, .name = "nightly"}, got;
    uint8_t value[SNAPSHOT_VALUE_MAX];
    size_t size = snapshot_record_put(&r, value);
    cr_assert_eq(snapshot_record_get(value, size, &layout, &got), VDE_OK);
    cr_assert(got.lsn == 55 && got.created_us == 56 && got.size_bytes == 57 && got.mapped_blocks == 58 &&
              got.stored_blocks == 59);
    cr_assert_eq(got.root.records, 1000);
    cr_assert_str_eq(got.name, "nightly");
    cr_assert_eq(snapshot_record_get(value, size + 1, &layout, &got), VDE_CORRUPT);
    cr_assert_eq(snapshot_record_get(value, size - 1, &layout, &got), VDE_CORRUPT);
    value[sizeof(struct disk_snapshot) + 2] = 0;
    cr_assert_eq(snapshot_record_get(value, size, &layout, &got), VDE_CORRUPT);
}

Test(records, volumes_and_zombies_read_back)
{
    struct volume_record v = {1 << 20, 5, VOLUME_PREALLOC, 9}, got;
    struct disk_volume disk;
    volume_record_put(&v, &disk);
    cr_assert_eq(volume_record_get(&disk, sizeof disk, 20, &got), VDE_OK);
    cr_assert(got.size_bytes == 1 << 20 && got.created_us == 5 && got.flags == VOLUME_PREALLOC && got.compression == 9);
    disk.compression = 10;
    cr_assert_eq(volume_record_get(&disk, sizeof disk, 20, &got), VDE_CORRUPT);
    v.size_bytes = 513;
    volume_record_put(&v, &disk);
    cr_assert_eq(volume_record_get(&disk, sizeof disk, 20, &got), VDE_CORRUPT);
    struct zombie_record z = {.dropped_lsn = 3, .lsn = 2, .freeing = true, .resume_size = 5, .resume = "abcde"}, back;
    uint8_t value[ZOMBIE_VALUE_MAX];
    size_t size = zombie_record_put(&z, value);
    cr_assert_eq(zombie_record_get(value, size, "z", &back), VDE_OK);
    cr_assert(back.dropped_lsn == 3 && back.lsn == 2 && back.freeing && back.resume_size == 5);
    cr_assert_eq(memcmp(back.resume, "abcde", 5), 0);
    cr_assert_eq(zombie_record_get(value, sizeof(struct disk_zombie) - 1, "z", &back), VDE_CORRUPT);
    value[24] = 2;
    cr_assert_eq(zombie_record_get(value, size, "z", &back), VDE_CORRUPT);
}

Test(records, roots_out_of_bounds_are_rejected)
{
    struct tree_root got;
    struct disk_root d = root_put(sample_root());
    cr_assert_eq(root_get(&d, &layout, "x", &got), VDE_OK);
    d.level = TREE_LEVEL_MAX + 1;
    cr_assert_eq(root_get(&d, &layout, "x", &got), VDE_CORRUPT);
    d = root_put(sample_root());
    d.node.address = le64(layout_region(&layout, REGION_LOG)->block);
    cr_assert_eq(root_get(&d, &layout, "x", &got), VDE_CORRUPT);
    d.node.address = le64(UINT64_MAX);
    cr_assert_eq(root_get(&d, &layout, "x", &got), VDE_CORRUPT);
    d = root_put(sample_root());
    d.node.blocks = le32(2);
    cr_assert_eq(root_get(&d, &layout, "x", &got), VDE_CORRUPT);
    d = root_put((struct tree_root){{0}, 0, 0, 0});
    cr_assert_eq(root_get(&d, &layout, "x", &got), VDE_OK);
    d.records = le64(1);
    cr_assert_eq(root_get(&d, &layout, "x", &got), VDE_CORRUPT);
    d = root_put(sample_root());
    d.reserved[6] = 1;
    cr_assert_eq(root_get(&d, &layout, "x", &got), VDE_CORRUPT);
}

/* Byte order of keys is number order. */
Test(records, keys_sort_as_their_numbers)
{
    static const uint64_t numbers[] = {0, 1, 255, 256, 65535, 1ull << 32, UINT64_MAX - 1, UINT64_MAX};
    enum { COUNT = sizeof numbers / sizeof numbers[0] };
    uint8_t before[64] = {0}, key[64];
    size_t size = 0;
    for (size_t a = 0; a < COUNT; a++)
        for (size_t b = 0; b < COUNT; b++)
            for (size_t c = 0; c < COUNT; c++) {
                size = key_dead(key, numbers[a], numbers[b], numbers[c]);
                cr_assert(a + b + c == 0 || memcmp(before, key, size) < 0);
                memcpy(before, key, size);
            }
    cr_assert_eq(size, 24);
    cr_assert_eq(key_stream(key, 1, 2), 16);
    cr_assert_eq(key_dataset(key, 1), 9);
    cr_assert_eq(key_snapshot(key, 1, 2), 17);
    cr_assert_eq(key_zombie(key, 'd', 2), 10);
    cr_assert_eq(key_extent(key, 1, 2), 17);
    cr_assert_eq(key_name(key, "abc", 3), 4);
}
