/* SPDX-License-Identifier: Apache-2.0 */
/* The offline check finds what is planted, says nothing about a good image, and writes nothing. */
#include <criterion/criterion.h>
#include <string.h>

#include <vde/vde.h>

#include "base/checksum.h"
#include "format/alloc.h"
#include "format/label.h"
#include "format/superblock.h"
#include "io/simulated.h"

static struct vde_device *device;

static void put(vde_image *image, unsigned round)
{
    static uint8_t bytes[30000];
    vde_txn *txn;
    struct vde_commit commit;
    vde_file_writer *writer;
    uint64_t file;
    memset(bytes, (int)round, sizeof bytes);
    cr_assert_eq(vde_txn_create(image, &txn), VDE_OK);
    if (round == 0)
        cr_assert_eq(vde_txn_dataset_create(txn, 16, "name"), VDE_OK);
    cr_assert_eq(vde_txn_put(txn, 16, "key", 3, bytes, sizeof bytes), VDE_OK);
    cr_assert_eq(vde_txn_append(txn, 17, round, 0, bytes, 300), VDE_OK);
    cr_assert_eq(vde_file_create(image, &writer), VDE_OK);
    cr_assert_eq(vde_file_write(writer, bytes, sizeof bytes), VDE_OK);
    cr_assert_eq(vde_file_seal(writer, txn, &file), VDE_OK);
    if (round == 1)
        cr_assert_eq(vde_txn_snapshot_create(txn, 16, 1), VDE_OK);
    cr_assert_eq(vde_txn_commit(txn, &commit), VDE_OK, "%s", vde_last_error()->text);
    vde_txn_destroy(txn);
}

static void setup(void)
{
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    vde_image *image;
    opts.flags = VDE_OPEN_NO_THREADS;
    cr_assert_eq(simulated_create(VDE_IMAGE_MIN_BYTES, 1, 0, &device), VDE_OK);
    cr_assert_eq(vde_image_format_device(device, NULL), VDE_OK, "%s", vde_last_error()->text);
    cr_assert_eq(vde_image_open_device(device, &opts, &image), VDE_OK, "%s", vde_last_error()->text);
    for (unsigned round = 0; round < 4; round++)
        put(image, round);
    cr_assert_eq(vde_image_close(image), VDE_OK);
}

static void teardown(void)
{
    device->ops->close(device);
}

static struct vde_check_summary run(unsigned flags)
{
    struct vde_check_opts opts = VDE_CHECK_OPTS_INIT;
    struct vde_check_summary summary;
    opts.flags = flags;
    cr_assert_eq(vde_check_device(device, &opts, &summary), VDE_OK, "%s", vde_last_error()->text);
    return summary;
}

TestSuite(check, .init = setup, .fini = teardown);

Test(check, a_good_image_has_no_findings_and_is_counted)
{
    struct simulated_counts before, after;
    simulated_counts(device, &before);
    struct vde_check_summary s = run(VDE_CHECK_DATA);
    simulated_counts(device, &after);
    cr_assert_eq(s.findings, 0);
    cr_assert_eq(s.datasets, 1);
    cr_assert_eq(s.snapshots, 1);
    cr_assert_eq(s.streams, 1);
    cr_assert_eq(s.entries, 4);
    cr_assert_eq(s.files, 4);
    cr_assert_eq(s.log_records, 0);
    cr_assert_eq(after.writes, before.writes);
    cr_assert_eq(after.flushes, before.flushes);
}

/* Change bits of the current bitmap page and make every checksum right again. */
static void flip_bitmap_bit(bool set)
{
    static _Alignas(4096) uint8_t raw[3][BLOCK_BYTES];
    struct disk_label *label_block = (void *)raw[0];
    struct label label;
    struct superblock sb = {.sequence = 0}, found;
    simulated_peek(device, LABEL_BLOCK * BLOCK_BYTES, raw[0], BLOCK_BYTES);
    cr_assert_eq(label_decode(label_block, VDE_IMAGE_MIN_BYTES / BLOCK_BYTES, "label", &label), VDE_OK);
    for (unsigned slot = 0; slot < RING_SLOTS; slot++) {
        simulated_peek(device, (RING_A_BLOCK + slot) * BLOCK_BYTES, raw[0], BLOCK_BYTES);
        if (superblock_decode((void *)raw[0], label.uuid, &label.layout, 0, slot, &found) == VDE_OK &&
            found.sequence > sb.sequence)
            sb = found;
    }
    uint64_t seed = image_seed(label.uuid), index = alloc_index_block(&label.layout, sb.alloc_slot);
    simulated_peek(device, index * BLOCK_BYTES, raw[1], BLOCK_BYTES);
    struct disk_alloc_entry *entry = (void *)(raw[1] + sizeof(struct disk_alloc_index));
    uint64_t page = bitmap_slot_block(&label.layout, 0, entry->slot);
    simulated_peek(device, page * BLOCK_BYTES, raw[2], BLOCK_BYTES);
    struct disk_bitmap *map = (void *)raw[2];
    const struct region *heap = layout_region(&label.layout, REGION_HEAP);
    for (uint64_t block = heap->block;; block++) {
        cr_assert_lt(block, heap->block + heap->blocks);
        if ((map->bits[block / 8] >> (block % 8) & 1) == !set) {
            map->bits[block / 8] ^= (uint8_t)(1u << (block % 8));
            break;
        }
    }
    sb.used_blocks += set ? 1 : (uint64_t)-1;
    entry->used = le16((uint16_t)sb.used_blocks);
    entry->checksum = le64(checksum(map, BLOCK_BYTES, seed ^ page));
    sb.alloc_checksum = checksum(raw[1], BLOCK_BYTES, seed ^ index);
    cr_assert_eq(simulated_poke(device, page * BLOCK_BYTES, raw[2], BLOCK_BYTES), VDE_OK);
    cr_assert_eq(simulated_poke(device, index * BLOCK_BYTES, raw[1], BLOCK_BYTES), VDE_OK);
    for (unsigned ring = 0; ring < 2; ring++) {
        uint64_t place = superblock_block(&label.layout, ring, sb.sequence);
        superblock_encode(&sb, label.uuid, ring, place, (void *)raw[0]);
        cr_assert_eq(simulated_poke(device, place * BLOCK_BYTES, raw[0], BLOCK_BYTES), VDE_OK);
    }
}

Test(check, a_leaked_block_is_found)
{
    flip_bitmap_bit(true);
    struct vde_check_summary s = run(VDE_CHECK_DATA);
    cr_assert_eq(s.leaked_blocks, 1);
    cr_assert_eq(s.unmarked_blocks, 0);
    cr_assert_eq(s.findings, 1);
}

Test(check, a_block_in_use_that_is_marked_free_is_found)
{
    flip_bitmap_bit(false);
    struct vde_check_summary s = run(VDE_CHECK_DATA);
    cr_assert_eq(s.unmarked_blocks, 1);
    cr_assert_eq(s.leaked_blocks, 0);
    cr_assert_eq(s.findings, 1);
}

/* Every used block zeroed: damage is found, in file data only when data is asked for. */
Test(check, every_lost_block_is_found)
{
    static const uint8_t zeroes[BLOCK_BYTES];
    static uint8_t saved[BLOCK_BYTES];
    uint64_t found = 0, found_without_data = 0;
    struct layout layout;
    cr_assert_eq(layout_compute(VDE_IMAGE_MIN_BYTES, 0, &layout), VDE_OK);
    for (uint64_t block = layout_region(&layout, REGION_HISTORY)->block; block < layout.blocks - 32; block++) {
        simulated_peek(device, block * BLOCK_BYTES, saved, BLOCK_BYTES);
        if (memcmp(saved, zeroes, BLOCK_BYTES) == 0)
            continue;
        cr_assert_eq(simulated_poke(device, block * BLOCK_BYTES, zeroes, BLOCK_BYTES), VDE_OK);
        found += run(VDE_CHECK_DATA).findings != 0;
        found_without_data += run(0).findings != 0;
        cr_assert_eq(simulated_poke(device, block * BLOCK_BYTES, saved, BLOCK_BYTES), VDE_OK);
    }
    cr_assert_eq(run(VDE_CHECK_DATA).findings, 0);
    cr_assert_geq(found, 3 * 8 + 6, "%llu", (unsigned long long)found);
    /* Round 0's file is all zeroes, so that zeroing it does no harm. */
    cr_assert_geq(found, found_without_data + 3 * 8);
}

static const char *last_object;
static void keep(void *context, const struct vde_finding *finding)
{
    static char text[320];
    (void)context;
    strncpy(text, finding->object, sizeof text - 1);
    last_object = text;
    cr_assert_eq(finding->status, VDE_CORRUPT);
    cr_assert_not_null(finding->found);
    cr_assert_not_null(finding->expected);
}

Test(check, a_damaged_label_copy_is_named)
{
    struct vde_check_opts opts = VDE_CHECK_OPTS_INIT;
    struct vde_check_summary summary;
    opts.finding = keep;
    cr_assert_eq(simulated_flip_bit(device, (VDE_IMAGE_MIN_BYTES / 4096 - 16) * 4096 + 100, 3), VDE_OK);
    cr_assert_eq(vde_check_device(device, &opts, &summary), VDE_OK);
    cr_assert_eq(summary.findings, 1);
    cr_assert_str_eq(last_object, "label B");
}

Test(check, something_else_is_a_finding_not_a_failure)
{
    struct vde_device *empty;
    struct vde_check_summary summary;
    cr_assert_eq(simulated_create(4096 * 20, 1, 0, &empty), VDE_OK);
    cr_assert_eq(vde_check_device(empty, NULL, &summary), VDE_OK);
    cr_assert_geq(summary.findings, 1);
    empty->ops->close(empty);
}

Test(check, a_missing_path_is_a_failure)
{
    struct vde_check_summary summary;
    cr_assert_eq(vde_check("/nonexistent/image", NULL, &summary), VDE_NOT_FOUND);
}
