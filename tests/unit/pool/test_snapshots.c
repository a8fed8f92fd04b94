/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots in every order of create, change, delete and checkpoint; views that stay as they were. */
#include <criterion/criterion.h>

#include "unit/pool/engine.h"

#define VALUE_BYTES 3000u
#define KEYS 12u

static void key_of(unsigned key, char text[16])
{
    snprintf(text, 16, "key %02u", key);
}

/* Every key changed in one transaction: contents follow from the round. */
static void write_round(vde_image *image, uint64_t dataset, unsigned round)
{
    vde_txn *txn = begin(image);
    for (unsigned k = 0; k < KEYS; k++) {
        char key[16];
        key_of(k, key);
        OK(txn_put_seed(txn, dataset, key, k == 0 ? 70000 : VALUE_BYTES / KEYS, round * 100 + k));
    }
    commit(txn);
}

static void expect_round(vde_image *image, uint64_t dataset, uint64_t tag, unsigned round)
{
    for (unsigned k = 0; k < KEYS; k++) {
        char key[16];
        key_of(k, key);
        cr_assert(has_seed(image, dataset, tag, key, k == 0 ? 70000 : VALUE_BYTES / KEYS, round * 100 + k),
                  "tag %llu key %u round %u", (unsigned long long)tag, k, round);
    }
}

static void maybe_checkpoint(vde_image *image, unsigned mask, unsigned bit)
{
    if (mask >> bit & 1)
        OK(vde_image_checkpoint(image));
}

/* Three snapshots, deleted in every order, with checkpoints in every combination of places. */
static void one_order(const unsigned order[3], unsigned mask)
{
    struct vde_device *device = memory_image(8 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d");
    bool gone[4] = {false};
    for (unsigned tag = 1; tag <= 3; tag++) {
        write_round(image, d, tag);
        snapshot(image, d, tag);
        maybe_checkpoint(image, mask, tag - 1);
    }
    write_round(image, d, 4);
    OK(vde_image_checkpoint(image));
    for (unsigned i = 0; i < 3; i++) {
        unsnapshot(image, d, order[i]);
        gone[order[i]] = true;
        maybe_checkpoint(image, mask, 3 + i);
        for (unsigned tag = 1; tag <= 3; tag++)
            if (!gone[tag])
                expect_round(image, d, tag, tag);
        expect_round(image, d, 0, 4);
    }
    OK(vde_image_checkpoint(image));
    OK(vde_image_checkpoint(image));
    uint64_t used = info_of(image).used_bytes;
    cr_assert_leq(used, 70000 + 30 * 4096, "%llu bytes for one version", (unsigned long long)used);
    close_clean(image, device);
}

Test(snapshots, deleted_in_every_order, .timeout = 120)
{
    static const unsigned orders[6][3] = {{1, 2, 3}, {1, 3, 2}, {2, 1, 3}, {2, 3, 1}, {3, 1, 2}, {3, 2, 1}};
    for (unsigned i = 0; i < 6; i++)
        for (unsigned mask = 0; mask < 64; mask += 1 + i % 3)
            one_order(orders[i], mask);
}

Test(snapshots, several_within_one_interval)
{
    struct vde_device *device = memory_image(16 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d"), tag;
    for (unsigned i = 1; i <= 8; i++) {
        write_round(image, d, i);
        snapshot(image, d, i * 10);
        if (i % 3 == 0)
            unsnapshot(image, d, i * 10 - 10);
    }
    write_round(image, d, 9);
    for (unsigned pass = 0; pass < 3; pass++) {
        for (unsigned i = 1; i <= 8; i++)
            if (i != 2 && i != 5)
                expect_round(image, d, i * 10, i);
        vde_view *view = view_of(image);
        vde_kv *kv;
        EXPECT(VDE_NOT_FOUND, vde_kv_open_snapshot(view, d, 20, &kv));
        OK(vde_snapshot_find(view, d, 25, &tag));
        cr_assert_eq(tag, 10);
        OK(vde_snapshot_find(view, d, UINT64_MAX, &tag));
        cr_assert_eq(tag, 80);
        EXPECT(VDE_NOT_FOUND, vde_snapshot_find(view, d, 9, &tag));
        vde_view_close(view);
        if (pass == 0)
            OK(vde_image_checkpoint(image));
        else
            image = reopen(image, device);
    }
    close_clean(image, device);
}

Test(snapshots, show_what_their_own_transaction_did)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d");
    vde_txn *txn = begin(image);
    OK(txn_put_text(txn, d, "before", "1"));
    OK(vde_txn_snapshot_create(txn, d, 7));
    OK(txn_put_text(txn, d, "after", "2"));
    commit(txn);
    put_text(image, d, "before", "changed");
    for (unsigned pass = 0; pass < 2; pass++) {
        cr_assert(has(image, d, 7, "before", "1"));
        cr_assert(has(image, d, 7, "after", "2"));
        image = reopen(image, device);
    }
    close_clean(image, device);
}

Test(snapshots, a_tag_can_be_used_again_once_it_is_free)
{
    struct vde_device *device = memory_image(8 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d");
    write_round(image, d, 1);
    snapshot(image, d, 5);
    OK(vde_image_checkpoint(image));
    write_round(image, d, 2);
    vde_txn *txn = begin(image);
    EXPECT(VDE_EXISTS, vde_txn_snapshot_create(txn, d, 5));
    vde_txn_destroy(txn);
    unsnapshot(image, d, 5);
    snapshot(image, d, 5);
    write_round(image, d, 3);
    expect_round(image, d, 5, 2);
    OK(vde_image_checkpoint(image));
    expect_round(image, d, 5, 2);
    close_clean(image, device);
}

Test(snapshots, go_with_their_dataset)
{
    struct vde_device *device = memory_image(8 * MIB);
    vde_image *image = open_quiet(device);
    OK(vde_image_checkpoint(image));
    uint64_t used = info_of(image).used_bytes, tag;
    for (unsigned pass = 0; pass < 2; pass++) {
        uint64_t d = new_dataset(image, "d");
        for (unsigned i = 1; i <= 4; i++) {
            write_round(image, d, i);
            snapshot(image, d, i);
            if (pass)
                OK(vde_image_checkpoint(image));
        }
        OK(drop_dataset_status(image, d));
        vde_view *view = view_of(image);
        vde_kv *kv;
        EXPECT(VDE_NOT_FOUND, vde_kv_open_snapshot(view, d, 1, &kv));
        EXPECT(VDE_NOT_FOUND, vde_snapshot_find(view, d, 10, &tag));
        vde_view_close(view);
        OK(vde_image_checkpoint(image));
        OK(vde_image_checkpoint(image));
        cr_assert_leq(info_of(image).used_bytes, used + 4 * 4096);
    }
    close_clean(image, device);
}

Test(snapshots, of_an_empty_dataset)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d");
    snapshot(image, d, 1);
    put_text(image, d, "k", "v");
    for (unsigned pass = 0; pass < 2; pass++) {
        cr_assert(has(image, d, 1, "k", NULL));
        cr_assert(has(image, d, 0, "k", "v"));
        image = reopen(image, device);
    }
    unsnapshot(image, d, 1);
    close_clean(image, device);
}

Test(views, are_repeatable_while_checkpoints_run)
{
    struct vde_device *device = memory_image(12 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d"), file = write_file(image, 200000, 77);
    vde_view *views[6];
    for (unsigned round = 0; round < 6; round++) {
        write_round(image, d, round);
        if (round % 2)
            OK(vde_image_checkpoint(image));
        views[round] = view_of(image);
    }
    remove_file(image, file);
    for (unsigned round = 6; round < 20; round++) { /* new blocks: freed ones would be taken if they could */
        write_round(image, d, round);
        OK(vde_image_checkpoint(image));
        for (unsigned v = 0; v < 6; v++) {
            vde_kv *kv;
            vde_file *f;
            struct vde_bytes bytes;
            OK(vde_kv_open(views[v], d, &kv));
            OK(vde_kv_get(kv, "key 00", 6, &bytes));
            cr_assert(bytes_equal_seed(bytes.data, bytes.size, v * 100));
            vde_bytes_free(&bytes);
            vde_kv_close(kv);
            OK(vde_file_open(views[v], file, &f));
            uint8_t *data = malloc(200000);
            OK(vde_file_read(f, data, 200000, 0));
            cr_assert(bytes_equal_seed(data, 200000, 77));
            free(data);
            vde_file_close(f);
        }
    }
    cr_assert_gt(info_of(image).deferred_bytes, 0);
    for (unsigned v = 0; v < 6; v++)
        vde_view_close(views[v]);
    OK(vde_image_checkpoint(image));
    OK(vde_image_checkpoint(image));
    expect_round(image, d, 0, 19);
    cr_assert_leq(info_of(image).used_bytes, 70000 + 30 * 4096);
    close_clean(image, device);
}

Test(views, pending_ones_see_what_is_not_durable_yet)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d");
    struct vde_commit done;
    vde_txn *txn = begin(image);
    OK(txn_put_text(txn, d, "k", "v"));
    OK(vde_txn_submit(txn, &done));
    vde_txn_destroy(txn);
    vde_view *durable = view_of(image), *pending;
    OK(vde_view_open_pending(image, &pending));
    cr_assert_lt(vde_view_lsn(durable), done.lsn);
    cr_assert_eq(vde_view_lsn(pending), done.lsn);
    cr_assert(view_has(durable, d, 0, "k", NULL));
    cr_assert(view_has(pending, d, 0, "k", "v"));
    OK(vde_image_wait(image, done.lsn));
    cr_assert(view_has(durable, d, 0, "k", NULL));
    cr_assert(has(image, d, 0, "k", "v"));
    vde_view_close(durable);
    vde_view_close(pending);
    vde_view_close(NULL);
    close_clean(image, device);
}
