/* SPDX-License-Identifier: Apache-2.0 */
/* test_run.c -- runs of blocks: what is encoded verifies, every field out of bounds is refused, alone and in the log. */
#include <criterion/criterion.h>

#include "format/frame.h"
#include "format/run.h"
#include "tree/page.h"

#define DEVICE_BLOCKS 1000u
#define SEED 5u

struct sample {
    uint8_t key[RUN_KEY_BYTES];
    uint8_t value[RUN_VALUE_MAX];
    size_t size;
};

static struct sample make(struct block_run run)
{
    static uint8_t sums[(RUN_BLOCKS_MAX + 1) * 8];
    struct sample s;
    for (unsigned i = 0; i < sizeof sums; i++)
        sums[i] = (uint8_t)(i * 7);
    run.checksums = sums;
    s.size = run_put(&run, s.key, s.value);
    return s;
}

static struct block_run plain(uint64_t block, uint32_t blocks)
{
    return (struct block_run){.block = block, .blocks = blocks, .stored = blocks, .address = 100, .birth = 9};
}

static struct block_run compressed(uint64_t block, uint32_t stored, uint32_t tail)
{
    return (struct block_run){.block = block, .blocks = RUN_FRAME_BLOCKS, .stored = stored, .tail = tail, .address = 100,
                              .birth = 9};
}

static vde_status verify(const struct sample *s, enum run_place place)
{
    return run_verify(place, s->key, sizeof s->key, VALUE_RUN, s->value, s->size, DEVICE_BLOCKS, "run");
}

static vde_status verify_run(struct block_run run, enum run_place place)
{
    struct sample s = make(run);
    return verify(&s, place);
}

Test(run, reads_back_what_was_encoded)
{
    for (uint32_t blocks = 1; blocks <= RUN_BLOCKS_MAX; blocks++) {
        struct sample s = make(plain(77, blocks));
        cr_assert_eq(verify(&s, RUN_IN_TREE), VDE_OK, "%s", vde_last_error()->text);
        struct block_run run = run_get(s.key, s.value);
        cr_assert(run.block == 77 && run.blocks == blocks && run.stored == blocks && run.tail == 0 && run.birth == 9 &&
                  run.address == 100 && !run_compressed(&run));
        cr_assert_eq(run_checksum(&run, blocks - 1) & 0xff, ((blocks - 1) * 8 * 7) & 0xff);
        cr_assert_eq(run_op_blocks(VALUE_RUN, s.value), blocks);
    }
    struct sample s = make(compressed(32, 5, 4095));
    cr_assert_eq(verify(&s, RUN_IN_TREE), VDE_OK, "%s", vde_last_error()->text);
    cr_assert_eq(s.size, sizeof(struct disk_run) + 8);
    struct block_run run = run_get(s.key, s.value);
    cr_assert(run_compressed(&run) && run.stored == 5 && run.tail == 4095);
    struct ptr extent = value_extent(VALUE_RUN, s.value, 0);
    cr_assert(value_extents(VALUE_RUN, s.value) == 1 && extent.address == 100 && extent.blocks == 5 &&
              extent.bytes == 5 * BLOCK_BYTES - 4095 && extent.birth == 9);
}

Test(run, fields_out_of_bounds_are_corrupt)
{
    struct block_run bad[] = {
        plain(0, 0),
        plain(0, RUN_BLOCKS_MAX + 1),
        plain(RUN_BLOCK_LIMIT, 1),
        plain(RUN_BLOCK_LIMIT - 1, 2),
        plain(UINT64_MAX, 1),
        compressed(8, 5, 0),   /* not at a multiple */
        compressed(16, 0, 0),  /* stores nothing */
        compressed(16, 3, BLOCK_BYTES),
    };
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_eq(verify_run(bad[i], RUN_IN_TREE), VDE_CORRUPT, "case %u", i);
    struct block_run run = plain(0, 4);
    run.tail = 1;
    cr_assert_eq(verify_run(run, RUN_IN_TREE), VDE_CORRUPT);
    run = plain(0, 4);
    run.address = 0;
    cr_assert_eq(verify_run(run, RUN_IN_TREE), VDE_CORRUPT);
    run.address = DEVICE_BLOCKS - 3;
    cr_assert_eq(verify_run(run, RUN_IN_TREE), VDE_CORRUPT);
    run.address = UINT64_MAX - 1;
    cr_assert_eq(verify_run(run, RUN_IN_TREE), VDE_CORRUPT);
    run = compressed(16, RUN_FRAME_BLOCKS + 1, 0); /* more than it holds */
    cr_assert_eq(verify_run(run, RUN_IN_TREE), VDE_CORRUPT);
    run = compressed(16, 4, 0);
    run.blocks = 32;
    cr_assert_eq(verify_run(run, RUN_IN_TREE), VDE_CORRUPT);
    cr_assert_eq(verify_run(plain(0, 4), RUN_IN_LOG), VDE_CORRUPT, "a birth in the log");
    run = plain(0, 4);
    run.birth = 0;
    cr_assert_eq(verify_run(run, RUN_IN_TREE), VDE_CORRUPT, "no birth in a tree");
    cr_assert_eq(verify_run(run, RUN_IN_LOG), VDE_OK);
    struct sample s = make(plain(0, 4));
    for (size_t size = 0; size < s.size; size++)
        cr_assert_eq(run_verify(RUN_IN_TREE, s.key, 8, VALUE_RUN, s.value, size, 0, "run"), VDE_CORRUPT);
    cr_assert_eq(run_verify(RUN_IN_TREE, s.key, 7, VALUE_RUN, s.value, s.size, 0, "run"), VDE_CORRUPT);
}

static vde_status verify_unmap(uint64_t block, uint64_t blocks, enum run_place place)
{
    uint8_t key[8];
    vde_le64 count = le64(blocks);
    be64_put(key, block);
    return run_verify(place, key, sizeof key, VALUE_UNMAP, &count, sizeof count, 0, "unmap");
}

Test(run, unmaps_are_bounded_and_only_in_the_log)
{
    cr_assert_eq(verify_unmap(0, UNMAP_BLOCKS_MAX, RUN_IN_LOG), VDE_OK);
    cr_assert_eq(verify_unmap(RUN_BLOCK_LIMIT - 1, 1, RUN_IN_LOG), VDE_OK);
    cr_assert_eq(verify_unmap(0, UNMAP_BLOCKS_MAX + 1, RUN_IN_LOG), VDE_CORRUPT);
    cr_assert_eq(verify_unmap(0, 0, RUN_IN_LOG), VDE_CORRUPT);
    cr_assert_eq(verify_unmap(RUN_BLOCK_LIMIT - 1, 2, RUN_IN_LOG), VDE_CORRUPT);
    cr_assert_eq(verify_unmap(UINT64_MAX, 1, RUN_IN_LOG), VDE_CORRUPT);
    cr_assert_eq(verify_unmap(0, 1, RUN_IN_TREE), VDE_CORRUPT);
}

/* A leaf of two records. */
static vde_status verify_leaf(const struct sample *a, const struct sample *b, enum value_kind kind_a)
{
    static _Alignas(4096) uint8_t block[BLOCK_BYTES];
    struct node_record records[2] = {{a->key, a->value, sizeof a->key, (uint16_t)a->size, (uint8_t)kind_a},
                                     {b->key, b->value, sizeof b->key, (uint16_t)b->size, VALUE_RUN}};
    struct ptr ptr = {50, 1, BLOCK_BYTES, 9, 0};
    page_build(block, &(struct page_identity){SEED, ptr.address, 16, ptr.birth, 0}, records, 2);
    ptr.checksum = node_checksum(block, SEED, ptr.address);
    return node_verify(block, SEED, 16, ptr, 0, DEVICE_BLOCKS);
}

Test(run, runs_in_a_leaf_do_not_overlap)
{
    struct sample a = make(plain(10, 5)), b = make(plain(15, 1)), c = make(plain(14, 1));
    cr_assert_eq(verify_leaf(&a, &b, VALUE_RUN), VDE_OK, "%s", vde_last_error()->text);
    cr_assert_eq(verify_leaf(&a, &c, VALUE_RUN), VDE_CORRUPT);
    cr_assert_eq(verify_leaf(&a, &b, VALUE_INLINE), VDE_CORRUPT, "a volume holds runs only");
    b.value[16] = 2; /* more blocks than checksums */
    cr_assert_eq(verify_leaf(&a, &b, VALUE_RUN), VDE_CORRUPT);
}

static _Alignas(4096) uint8_t buffer[4 * BLOCK_BYTES];

/* A frame of one record that holds `count` times the same operation. */
static vde_status verify_frame(const struct op *op, uint32_t count)
{
    size_t at = sizeof(struct disk_frame) + sizeof(struct disk_record);
    memset(buffer, 0, sizeof buffer);
    for (uint32_t i = 0; i < count; i++, at += op_size(op->key_size, op->value_size))
        op_put(buffer + at, op);
    struct disk_record d = {le64(7), le64(1), le32((uint32_t)(at - sizeof(struct disk_frame))), le32(count), le32(0),
                            le32(0)};
    memcpy(buffer + sizeof(struct disk_frame), &d, sizeof d);
    struct frame frame = {.epoch = 4, .position = 40960, .first_lsn = 7, .count = 1, .bytes = (uint32_t)at};
    frame.checksum = frame_seal(buffer, &frame, SEED);
    return frame_verify(buffer, &frame, SEED);
}

Test(run, records_are_verified_and_bounded)
{
    struct block_run run = plain(0, 4);
    run.birth = 0;
    struct sample s = make(run);
    struct op op = {16, s.key, sizeof s.key, VALUE_RUN, s.value, s.size};
    cr_assert_eq(verify_frame(&op, 3), VDE_OK, "%s", vde_last_error()->text);
    op.dataset = 3; /* the engine's own datasets hold none */
    cr_assert_eq(verify_frame(&op, 3), VDE_CORRUPT);
    op.dataset = 1ull << 61;
    cr_assert_eq(verify_frame(&op, 3), VDE_CORRUPT);
    op.dataset = 16;
    s.value[0] = s.value[1] = 0; /* address */
    cr_assert_eq(verify_frame(&op, 3), VDE_CORRUPT);
    vde_le64 blocks = le64(UNMAP_BLOCKS_MAX);
    op = (struct op){16, s.key, sizeof s.key, VALUE_UNMAP, (uint8_t *)&blocks, sizeof blocks};
    cr_assert_eq(verify_frame(&op, RECORD_RUN_BLOCKS_MAX / UNMAP_BLOCKS_MAX), VDE_OK);
    cr_assert_eq(verify_frame(&op, RECORD_RUN_BLOCKS_MAX / UNMAP_BLOCKS_MAX + 1), VDE_CORRUPT);
    op.kind = 6;
    cr_assert_eq(verify_frame(&op, 1), VDE_CORRUPT);
}
