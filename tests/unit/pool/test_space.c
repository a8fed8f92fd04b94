/* SPDX-License-Identifier: Apache-2.0 */
/* Full images: a clear error, everything earlier intact, and deletes give room again. */
#include <criterion/criterion.h>

#include "unit/pool/engine.h"

#define VALUE_BYTES 9000u

static void key_of(unsigned i, char text[16])
{
    snprintf(text, 16, "key %05u", i);
}

/* Put until there is no room; returns how many keys are in. */
static unsigned fill(vde_image *image, uint64_t dataset)
{
    for (unsigned i = 0;; i++) {
        char key[16];
        key_of(i, key);
        vde_status status = put_seed(image, dataset, key, VALUE_BYTES, i);
        if (status != VDE_OK) {
            EXPECT(VDE_NOSPC, status);
            cr_assert(strstr(vde_last_error()->text, "KiB"), "%s", vde_last_error()->text);
            return i;
        }
        cr_assert_lt(i, 5000);
    }
}

static void expect_keys(vde_image *image, uint64_t dataset, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char key[16];
        key_of(i, key);
        cr_assert(has_seed(image, dataset, 0, key, VALUE_BYTES, i));
    }
}

Test(full, image_keeps_what_it_has_and_gives_space_back)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d");
    unsigned count = fill(image, d);
    cr_assert_gt(count, 100, "only %u values of 9 KB went into 4 MiB", count);
    expect_keys(image, d, count);
    EXPECT(VDE_NOSPC, put_seed(image, d, "large", 2 * MIB, 1));
    vde_file_writer *writer;
    uint8_t *bytes = calloc(1, 3 * MIB);
    uint64_t file;
    OK(vde_file_create(image, &writer));
    vde_status status = vde_file_write(writer, bytes, 3 * MIB);
    vde_txn *txn = begin(image);
    if (status == VDE_OK)
        status = vde_file_seal(writer, txn, &file);
    else
        vde_file_abort(writer);
    vde_txn_destroy(txn);
    free(bytes);
    cr_assert_eq(status, VDE_NOSPC);
    expect_keys(image, d, count);
    image = reopen(image, device);
    expect_keys(image, d, count);
    check_clean(device);
    OK(drop_dataset_status(image, d));
    OK(vde_image_checkpoint(image));
    OK(vde_image_checkpoint(image));
    uint64_t e = new_dataset(image, "e");
    unsigned again = fill(image, e);
    cr_assert_geq(again, count - count / 10, "%u after %u", again, count);
    expect_keys(image, e, again);
    close_clean(image, device);
}

Test(full, a_killed_full_image_opens)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d");
    unsigned count = fill(image, d);
    struct vde_device *copy = copy_device(device);
    OK(vde_image_close(image));
    close_device(device);
    image = open_quiet(copy);
    expect_keys(image, d, count);
    OK(drop_dataset_status(image, d));
    close_clean(image, copy);
}

Test(full, deleting_single_keys_makes_room)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d");
    unsigned count = fill(image, d);
    for (unsigned i = 0; i < 20; i++) {
        char key[16];
        key_of(i, key);
        vde_txn *txn = begin(image);
        OK(vde_txn_delete(txn, d, key, strlen(key)));
        vde_txn_frees_space(txn);
        commit(txn);
    }
    for (unsigned i = 0; i < 10; i++)
        OK(put_seed(image, d, "new", VALUE_BYTES, i)); /* overwrites: checkpoints drain what is deferred */
    cr_assert(has_seed(image, d, 0, "new", VALUE_BYTES, 9));
    cr_assert_gt(count, 20);
    close_clean(image, device);
}

Test(full, overwriting_for_ever_in_a_small_image)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d"), s = vde_id_reserve(image);
    uint64_t used = 0;
    for (unsigned i = 0; i < 300; i++) {
        char key[16];
        key_of(i % 8, key);
        OK(put_seed(image, d, key, 100000, i));
        OK(append_status(image, s, i, key));
        if (i == 100)
            used = info_of(image).used_bytes;
    }
    for (unsigned i = 292; i < 300; i++) {
        char key[16];
        key_of(i % 8, key);
        cr_assert(has_seed(image, d, 0, key, 100000, i));
    }
    OK(vde_image_checkpoint(image));
    OK(vde_image_checkpoint(image));
    cr_assert_leq(info_of(image).used_bytes, used + 40 * 4096 + 16 * 100000);
    close_clean(image, device);
}

Test(full, streams_and_dropping_them)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t s = vde_id_reserve(image), count = 0, first, last;
    uint8_t bytes[20000];
    vde_status status = VDE_OK;
    for (; status == VDE_OK && count < 2000; count += status == VDE_OK) {
        fill_bytes(bytes, sizeof bytes, count);
        vde_txn *txn = begin(image);
        status = vde_txn_append(txn, s, count, 0, bytes, sizeof bytes);
        if (status == VDE_OK)
            status = commit_status(txn);
        else
            vde_txn_destroy(txn);
    }
    cr_assert_eq(status, VDE_NOSPC);
    cr_assert(stream_is(image, s, 0, count - 1));
    vde_txn *txn = begin(image);
    OK(vde_txn_stream_drop(txn, s));
    commit(txn);
    for (unsigned i = 0; i < 3; i++)
        OK(vde_image_checkpoint(image));
    cr_assert_not(stream_range(image, s, &first, &last));
    cr_assert_leq(info_of(image).used_bytes, 20 * 4096);
    close_clean(image, device);
}

Test(full, same_large_key_twice_in_one_transaction_leaks_nothing)
{
    struct vde_device *device = memory_image(8 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d");
    OK(vde_image_checkpoint(image));
    vde_txn *txn = begin(image);
    OK(txn_put_seed(txn, d, "k", 300000, 1));
    OK(txn_put_seed(txn, d, "k", 300000, 2));
    OK(txn_put_seed(txn, d, "gone", 300000, 3));
    OK(vde_txn_delete(txn, d, "gone", 4));
    commit(txn);
    cr_assert(has_seed(image, d, 0, "k", 300000, 2));
    cr_assert(has(image, d, 0, "gone", NULL));
    OK(vde_image_checkpoint(image));
    OK(vde_image_checkpoint(image));
    cr_assert_leq(info_of(image).used_bytes, 300000 + 20 * 4096);
    cr_assert(has_seed(image, d, 0, "k", 300000, 2));
    close_clean(image, device);
}
