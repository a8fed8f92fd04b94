/* SPDX-License-Identifier: Apache-2.0 */
/* test_blocks.c -- how checkpoints cut and join the runs of a volume, what makes a transaction void, and what of it all is
 * refused when it can't be right. */
#include <criterion/criterion.h>

#include "unit/pool/blocks.h"

struct bench {
    struct vde_device *device;
    vde_image *image;
    uint64_t volume;
};

static struct bench set_up(void)
{
    struct bench b = {.device = memory_image(64 * MIB)};
    b.image = open_quiet(b.device);
    b.volume = new_volume(b.image);
    return b;
}

static void tear_down(struct bench *b)
{
    close_clean(b->image, b->device);
}

/* The runs of the volume's tree as text: "block+blocks" each, '~' in front of frames. */
static void expect_runs(struct bench *b, const char *expected)
{
    char text[512] = "";
    struct blocks_view v = blocks_of(b->image, b->volume, 0);
    struct tree_cursor *cursor;
    OK(vde_image_checkpoint(b->image));
    blocks_close(&v);
    v = blocks_of(b->image, b->volume, 0);
    OK(tree_cursor_open(v.map.store, v.map.tree, &v.map.root, &cursor));
    for (OK(tree_cursor_seek(cursor, NULL, 0)); tree_cursor_valid(cursor); OK(tree_cursor_next(cursor))) {
        const void *key;
        size_t key_size, used = strlen(text);
        struct tree_value value;
        tree_cursor_record(cursor, &key, &key_size, &value);
        struct block_run run = run_get(key, value.data);
        snprintf(text + used, sizeof text - used, "%s%s%llu+%u", used ? " " : "", run_compressed(&run) ? "~" : "",
                 (unsigned long long)run.block, run.blocks);
    }
    tree_cursor_close(cursor);
    blocks_close(&v);
    cr_assert_str_eq(text, expected);
}

static void expect_block(struct bench *b, uint64_t block, uint64_t stamp)
{
    struct blocks_view v = blocks_of(b->image, b->volume, 0);
    struct segment seg;
    OK(block_cursor_at(v.cursor, block, block + 1, &seg));
    cr_assert(seg.data == (stamp != 0), "block %llu", (unsigned long long)block);
    cr_assert(stamp == 0 || block_holds(b->image, seg.address, seg.checksums[0], stamp), "block %llu",
              (unsigned long long)block);
    blocks_close(&v);
}

Test(blocks, a_write_cuts_the_run_that_it_hits)
{
    struct bench b = set_up();
    write_run(b.image, b.volume, 100, 20, 1000);
    expect_runs(&b, "100+20");
    write_run(b.image, b.volume, 105, 3, 2000); /* inside */
    expect_runs(&b, "100+5 105+3 108+12");
    write_run(b.image, b.volume, 100, 1, 3000); /* at the front */
    expect_runs(&b, "100+1 101+4 105+3 108+12");
    write_run(b.image, b.volume, 118, 4, 4000); /* over the end */
    expect_runs(&b, "100+1 101+4 105+3 108+10 118+4");
    write_run(b.image, b.volume, 103, 8, 5000); /* over several */
    expect_runs(&b, "100+1 101+2 103+8 111+7 118+4");
    expect_block(&b, 100, 3000);
    expect_block(&b, 102, 1002);
    expect_block(&b, 110, 5007);
    expect_block(&b, 117, 1017);
    expect_block(&b, 121, 4003);
    expect_block(&b, 122, 0);
    write_run(b.image, b.volume, 95, 40, 6000); /* over all */
    expect_runs(&b, "95+40");
    tear_down(&b);
}

Test(blocks, one_checkpoint_cuts_a_run_many_times)
{
    struct bench b = set_up();
    write_run(b.image, b.volume, 0, 10, 1000);
    write_run(b.image, b.volume, 20, 10, 1500);
    expect_runs(&b, "0+10 20+10");
    write_run(b.image, b.volume, 2, 1, 2000);
    write_run(b.image, b.volume, 4, 1, 3000);
    write_run(b.image, b.volume, 9, 12, 4000);
    unmap(b.image, b.volume, 25, 2);
    expect_runs(&b, "0+2 2+1 3+1 4+1 5+4 9+12 21+4 27+3");
    expect_block(&b, 3, 1003);
    expect_block(&b, 21, 1501);
    expect_block(&b, 25, 0);
    expect_block(&b, 29, 1509);
    tear_down(&b);
}

Test(blocks, neighbours_on_both_sides_become_one_run)
{
    struct bench b = set_up();
    vde_txn *txn = begin(b.image);
    uint64_t a = put_run(txn, b.volume, 0, 60, 1), c = put_run(txn, b.volume, 60, 60, 100);
    commit(txn);
    if (c == a + 60) /* next fit: so it is */
        expect_runs(&b, "0+64 64+56");
    txn = begin(b.image); /* the same blocks, but not where the device would continue */
    uint64_t second = put_run(txn, b.volume, 10, 5, 500), first = put_run(txn, b.volume, 5, 5, 400);
    commit(txn);
    cr_assert_neq(first + 5, second);
    expect_runs(&b, "0+5 5+5 10+5 15+49 64+56");
    tear_down(&b);
}

Test(blocks, unmapping_takes_exactly_its_blocks)
{
    struct bench b = set_up();
    write_run(b.image, b.volume, 0, 30, 1);
    expect_runs(&b, "0+30");
    unmap(b.image, b.volume, 0, 1);
    unmap(b.image, b.volume, 10, 10);
    unmap(b.image, b.volume, 29, 100);
    expect_runs(&b, "1+9 20+9");
    unmap(b.image, b.volume, 50, 1000); /* nothing there */
    expect_runs(&b, "1+9 20+9");
    unmap(b.image, b.volume, 1, 28);
    expect_runs(&b, "");
    write_run(b.image, b.volume, 7, 1, 9); /* gone before it reaches the tree */
    unmap(b.image, b.volume, 7, 1);
    expect_runs(&b, "");
    expect_block(&b, 7, 0);
    tear_down(&b);
}

Test(blocks, of_many_versions_the_last_one_stays_and_the_others_are_freed)
{
    struct bench b = set_up();
    write_run(b.image, b.volume, 5, 2, 1);
    OK(vde_image_checkpoint(b.image));
    OK(vde_image_checkpoint(b.image));
    uint64_t before = info_of(b.image).free_bytes;
    for (uint64_t i = 0; i < 50; i++)
        write_run(b.image, b.volume, 5, 2, 100 * i + 100);
    expect_runs(&b, "5+2");
    expect_block(&b, 6, 5001);
    for (unsigned i = 0; i < 4; i++)
        OK(vde_image_checkpoint(b.image));
    cr_assert_eq(info_of(b.image).free_bytes, before);
    tear_down(&b);
}

static struct block_run write_frame(struct bench *b, uint64_t block, uint32_t random, uint64_t stamp)
{
    vde_txn *txn = begin(b->image);
    struct block_run run = put_frame(txn, b->volume, block, random, stamp);
    commit(txn);
    return run;
}

Test(blocks, frames_are_replaced_as_a_whole)
{
    struct bench b = set_up();
    write_run(b.image, b.volume, 0, 48, 1);
    expect_runs(&b, "0+48");
    write_frame(&b, 16, 3, 500);
    expect_runs(&b, "0+16 ~16+16 32+16");
    struct block_run run = write_frame(&b, 16, 5, 600);
    expect_runs(&b, "0+16 ~16+16 32+16");
    struct blocks_view v = blocks_of(b.image, b.volume, 0);
    struct segment seg;
    OK(block_cursor_at(v.cursor, 20, 100, &seg));
    cr_assert(seg.data && seg.compressed && seg.frame == 16 && seg.blocks == 12 &&
              seg.stored == run.stored && seg.tail == run.tail && seg.address == run.address);
    blocks_close(&v);
    write_run(b.image, b.volume, 18, 20, 800); /* two pieces cover it together */
    write_run(b.image, b.volume, 10, 8, 700);
    expect_runs(&b, "0+10 10+8 18+20 38+10");
    write_frame(&b, 32, 1, 900);
    unmap(b.image, b.volume, 32, 16);
    expect_runs(&b, "0+10 10+8 18+14");
    tear_down(&b);
}

Test(blocks, a_frame_changed_in_part_is_corrupt)
{
    for (unsigned in_tree = 0; in_tree < 2; in_tree++)
        for (unsigned at = 0; at < 16; at += 5) {
            struct bench b = set_up();
            write_frame(&b, 16, 3, 500);
            if (in_tree)
                expect_runs(&b, "~16+16");
            write_run(b.image, b.volume, 16 + at, 1, 1);
            cr_assert_eq(vde_image_checkpoint(b.image), VDE_CORRUPT);
            cr_assert_eq(vde_image_close(b.image), VDE_CORRUPT);
            close_device(b.device);
        }
}

static vde_status write_expecting(struct bench *b, const struct blocks_view *v, uint64_t block, uint64_t blocks)
{
    vde_txn *txn = begin(b->image);
    put_run(txn, b->volume, block, 1, 77);
    OK(txn_expect_blocks(txn, b->volume, block, blocks, v->map.lsn, v->view->layers->generation));
    return commit_status(txn);
}

Test(blocks, expectations_void_what_others_overtook)
{
    struct bench b = set_up();
    write_run(b.image, b.volume, 0, 64, 1);
    struct blocks_view v = blocks_of(b.image, b.volume, 0);
    OK(write_expecting(&b, &v, 3, 4));
    cr_assert_eq(write_expecting(&b, &v, 3, 4), VDE_BUSY); /* its own predecessor */
    OK(write_expecting(&b, &v, 4, 60));
    cr_assert_eq(write_expecting(&b, &v, 0, 5), VDE_BUSY);
    blocks_close(&v);
    v = blocks_of(b.image, b.volume, 0);
    unmap(b.image, b.volume, 10, 1);
    cr_assert_eq(write_expecting(&b, &v, 8, 4), VDE_BUSY, "an unmap is a change");
    OK(write_expecting(&b, &v, 11, 4));
    OK(vde_image_checkpoint(b.image)); /* now nobody can tell any more */
    cr_assert_eq(write_expecting(&b, &v, 30, 1), VDE_BUSY);
    blocks_close(&v);
    v = blocks_of(b.image, b.volume, 0);
    OK(write_expecting(&b, &v, 30, 1));
    blocks_close(&v);
    tear_down(&b);
}

Test(blocks, a_transaction_holds_a_bounded_number_of_blocks)
{
    struct bench b = set_up();
    vde_txn *txn = begin(b.image);
    OK(txn_unmap(txn, b.volume, 0, RECORD_RUN_BLOCKS_MAX - 1));
    cr_assert_eq(txn_unmap(txn, b.volume, 0, 2), VDE_TOO_LARGE);
    put_run(txn, b.volume, 0, 1, 5);
    cr_assert_eq(txn_unmap(txn, b.volume, 0, 1), VDE_TOO_LARGE);
    commit(txn);
    expect_runs(&b, "0+1");
    tear_down(&b);
}

/* Flip a byte of a block on the device. */
static void damage(struct vde_device *device, uint64_t address)
{
    uint8_t *buffer = aligned_buffer(BLOCK_BYTES);
    device_io(device, VDE_IO_READ, address * BLOCK_BYTES, buffer, BLOCK_BYTES);
    buffer[1234] ^= 1;
    device_io(device, VDE_IO_WRITE, address * BLOCK_BYTES, buffer, BLOCK_BYTES);
    free(buffer);
}

/* Power is cut behind the last record, whose data did not all arrive. */
static void recover_with_damage(bool frame, uint32_t which)
{
    struct bench b = set_up();
    write_run(b.image, b.volume, 0, 8, 1);
    vde_txn *txn = begin(b.image);
    uint64_t address = frame ? put_frame(txn, b.volume, 0, 5, 50).address : put_run(txn, b.volume, 0, 6, 50);
    commit(txn);
    struct vde_device *copy = copy_device(b.device);
    damage(copy, address + which);
    struct bench c = {.device = copy, .image = open_quiet(copy), .volume = b.volume};
    cr_assert_neq(c.image->dropped_tail_lsn, 0);
    expect_block(&c, 0, 1);
    expect_block(&c, 5, 6);
    tear_down(&c);
    tear_down(&b);
}

Test(blocks, a_tail_whose_blocks_did_not_arrive_is_dropped)
{
    for (uint32_t which = 0; which < 6; which += 4) {
        recover_with_damage(false, which);
        recover_with_damage(true, which);
    }
}

Test(blocks, runs_outside_of_volumes_are_corrupt)
{
    struct bench b = set_up();
    uint64_t kv = new_dataset(b.image, "kv");
    vde_txn *txn = begin(b.image);
    put_run(txn, kv, 0, 1, 1);
    commit(txn);
    cr_assert_eq(vde_image_checkpoint(b.image), VDE_CORRUPT);
    cr_assert_eq(vde_image_close(b.image), VDE_CORRUPT);
    close_device(b.device);
}

Test(blocks, other_records_in_volumes_are_corrupt)
{
    struct bench b = set_up();
    vde_txn *txn = begin(b.image);
    OK(txn_touch(txn, b.volume));
    OK(txn_op(txn, b.volume, "12345678", 8, VALUE_INLINE, "value", 5));
    commit(txn);
    struct blocks_view v = blocks_of(b.image, b.volume, 0);
    struct segment seg;
    cr_assert_eq(block_cursor_at(v.cursor, 0, 1, &seg), VDE_CORRUPT);
    blocks_close(&v);
    cr_assert_eq(vde_image_checkpoint(b.image), VDE_CORRUPT);
    cr_assert_eq(vde_image_close(b.image), VDE_CORRUPT);
    close_device(b.device);
}
