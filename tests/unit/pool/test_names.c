/* SPDX-License-Identifier: Apache-2.0 */
/* Datasets: ids that are unique for ever, names that are unique at every moment, and transactions that never happen. */
#include <criterion/criterion.h>

#include "unit/pool/engine.h"

static vde_status create_status(vde_image *image, uint64_t id, const char *name)
{
    vde_txn *txn = begin(image);
    vde_status status = vde_txn_dataset_create(txn, id, name);
    if (status == VDE_OK)
        return commit_status(txn);
    vde_txn_destroy(txn);
    return status;
}

static void names_are_unique(bool checkpoint, bool again)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t a = new_dataset(image, "orders"), found;
    if (checkpoint)
        OK(vde_image_checkpoint(image));
    if (again)
        image = reopen(image, device);
    EXPECT(VDE_EXISTS, create_status(image, vde_id_reserve(image), "orders"));
    EXPECT(VDE_EXISTS, create_status(image, a, "other"));
    OK(find_name(image, "orders", &found));
    cr_assert_eq(found, a);
    EXPECT(VDE_NOT_FOUND, find_name(image, "other", &found));
    EXPECT(VDE_NOT_FOUND, find_name(image, "order", &found));
    put_text(image, a, "k", "v");
    OK(drop_dataset_status(image, a));
    EXPECT(VDE_NOT_FOUND, find_name(image, "orders", &found));
    EXPECT(VDE_NOT_FOUND, drop_dataset_status(image, a));
    uint64_t b = new_dataset(image, "orders");
    cr_assert_neq(a, b);
    OK(find_name(image, "orders", &found));
    cr_assert_eq(found, b);
    cr_assert(has(image, b, 0, "k", NULL));
    image = reopen(image, device);
    OK(find_name(image, "orders", &found));
    cr_assert_eq(found, b);
    close_clean(image, device);
}

Test(names, are_unique_in_the_overlay) { names_are_unique(false, false); }
Test(names, are_unique_after_a_checkpoint) { names_are_unique(true, false); }
Test(names, are_unique_after_a_reopen) { names_are_unique(true, true); }

Test(names, two_builders_of_one_name_one_wins)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t found, winner = vde_id_reserve(image);
    vde_txn *a = begin(image), *b = begin(image), *c = begin(image);
    OK(vde_txn_dataset_create(a, winner, "t"));
    OK(vde_txn_dataset_create(b, vde_id_reserve(image), "t"));
    OK(vde_txn_dataset_create(c, vde_id_reserve(image), "t"));
    commit(a);
    EXPECT(VDE_EXISTS, commit_status(b));
    OK(vde_image_checkpoint(image)); /* now only the trees know the name */
    EXPECT(VDE_EXISTS, commit_status(c));
    OK(find_name(image, "t", &found));
    cr_assert_eq(found, winner);
    close_clean(image, device);
}

Test(names, the_same_one_twice_in_a_transaction_is_refused)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_quiet(device);
    vde_txn *txn = begin(image);
    uint64_t found, a = vde_id_reserve(image), d = new_dataset(image, "d");
    OK(vde_txn_dataset_create(txn, a, "t"));
    EXPECT(VDE_EXISTS, vde_txn_dataset_create(txn, vde_id_reserve(image), "t"));
    EXPECT(VDE_EXISTS, vde_txn_dataset_create(txn, a, "u"));
    OK(vde_txn_snapshot_create(txn, d, 5));
    EXPECT(VDE_EXISTS, vde_txn_snapshot_create(txn, d, 5));
    EXPECT(VDE_EXISTS, vde_txn_snapshot_create(txn, d, 6));
    commit(txn);
    OK(find_name(image, "t", &found));
    cr_assert_eq(found, a);
    EXPECT(VDE_NOT_FOUND, find_name(image, "u", &found));
    close_clean(image, device);
}

Test(names, of_every_length)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_quiet(device);
    char longest[257];
    uint64_t found;
    memset(longest, 'n', 256);
    longest[256] = '\0';
    EXPECT(VDE_INVAL, create_status(image, vde_id_reserve(image), longest));
    EXPECT(VDE_INVAL, create_status(image, vde_id_reserve(image), ""));
    EXPECT(VDE_INVAL, find_name(image, "", &found));
    longest[255] = '\0';
    uint64_t id = new_dataset(image, longest), nameless = new_dataset(image, NULL);
    put_text(image, nameless, "k", "v");
    image = reopen(image, device);
    OK(find_name(image, longest, &found));
    cr_assert_eq(found, id);
    cr_assert(has(image, nameless, 0, "k", "v"));
    longest[254] = '\0';
    EXPECT(VDE_NOT_FOUND, find_name(image, longest, &found));
    close_clean(image, device);
}

Test(names, ids_are_never_handed_out_twice)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t last = 0;
    for (unsigned i = 0; i < 30; i++) {
        uint64_t dataset = vde_id_reserve(image), stream = vde_id_reserve(image);
        cr_assert_gt(dataset, last);
        cr_assert_gt(stream, dataset);
        vde_txn *txn = begin(image);
        if (i % 3 == 0) {
            OK(vde_txn_dataset_create(txn, dataset, NULL));
            last = dataset;
        } else if (i % 3 == 1) {
            OK(vde_txn_append(txn, stream, 0, 0, "x", 1));
            last = stream;
        } else {
            vde_file_writer *writer;
            OK(vde_file_create(image, &writer));
            OK(vde_file_seal(writer, txn, &last));
            cr_assert_gt(last, stream);
        }
        commit(txn);
        if (i % 5 == 2) { /* killed: the ids come out of the log */
            struct vde_device *copy = copy_device(device);
            OK(vde_image_close(image));
            close_device(device);
            device = copy;
            image = open_quiet(device);
        } else if (i % 5 == 4) {
            image = reopen(image, device);
        }
    }
    close_clean(image, device);
}

Test(names, work_on_a_dataset_that_is_not_there)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d"), missing = vde_id_reserve(image);
    vde_view *view = view_of(image);
    vde_kv *kv;
    EXPECT(VDE_NOT_FOUND, vde_kv_open(view, missing, &kv));
    EXPECT(VDE_NOT_FOUND, vde_kv_open_snapshot(view, d, 1, &kv));
    EXPECT(VDE_INVAL, vde_kv_open(view, 1, &kv));
    vde_view_close(view);
    vde_txn *txn = begin(image);
    EXPECT(VDE_NOT_FOUND, txn_put_text(txn, missing, "k", "v"));
    EXPECT(VDE_NOT_FOUND, txn_put_text(txn, missing, "k", "v"));
    EXPECT(VDE_NOT_FOUND, vde_txn_delete(txn, missing, "k", 1));
    EXPECT(VDE_NOT_FOUND, vde_txn_snapshot_create(txn, missing, 1));
    EXPECT(VDE_NOT_FOUND, vde_txn_snapshot_delete(txn, d, 1));
    EXPECT(VDE_NOT_FOUND, vde_txn_dataset_drop(txn, missing));
    EXPECT(VDE_INVAL, vde_txn_snapshot_create(txn, d, 0));
    EXPECT(VDE_INVAL, txn_put_text(txn, 2, "k", "v"));
    OK(txn_put_text(txn, d, "k", "v")); /* what was refused left no trace */
    commit(txn);
    cr_assert(has(image, d, 0, "k", "v"));
    close_clean(image, device);
}

Test(names, a_change_of_a_dataset_dropped_meanwhile_is_refused)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d");
    vde_txn *txn = begin(image), *drop = begin(image), *both = begin(image);
    OK(txn_put_text(txn, d, "k", "v"));
    OK(vde_txn_dataset_drop(both, d));
    OK(vde_txn_dataset_drop(drop, d));
    commit(drop);
    EXPECT(VDE_NOT_FOUND, commit_status(txn));
    EXPECT(VDE_NOT_FOUND, commit_status(both));
    close_clean(image, device);
}

Test(names, a_transaction_that_is_destroyed_gives_its_space_back)
{
    struct vde_device *device = memory_image(8 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d"), s = vde_id_reserve(image), file;
    uint64_t used = info_of(image).used_bytes, lsn = info_of(image).durable_lsn;
    vde_file_writer *writer;
    uint8_t *bytes = malloc(MIB);
    fill_bytes(bytes, MIB, 1);
    vde_txn *txn = begin(image);
    OK(vde_txn_put(txn, d, "large", 5, bytes, MIB));
    OK(vde_txn_append(txn, s, 0, 0, bytes, MIB / 2));
    OK(vde_file_create(image, &writer));
    OK(vde_file_write(writer, bytes, MIB));
    OK(vde_file_seal(writer, txn, &file));
    cr_assert_gt(info_of(image).used_bytes, used + 2 * MIB);
    vde_txn_destroy(txn);
    cr_assert_eq(info_of(image).used_bytes, used);
    OK(vde_file_create(image, &writer));
    OK(vde_file_write(writer, bytes, MIB));
    vde_file_abort(writer);
    cr_assert_eq(info_of(image).used_bytes, used);
    cr_assert_eq(info_of(image).durable_lsn, lsn);
    vde_txn_destroy(NULL);
    vde_file_abort(NULL);
    free(bytes);
    close_clean(image, device);
}

Test(names, an_empty_transaction_and_a_second_submit_are_refused)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d");
    struct vde_commit done;
    vde_txn *txn = begin(image);
    EXPECT(VDE_INVAL, vde_txn_submit(txn, &done));
    OK(txn_put_text(txn, d, "k", "v"));
    OK(vde_txn_commit(txn, &done));
    EXPECT(VDE_INVAL, vde_txn_submit(txn, &done));
    vde_txn_destroy(txn);
    close_clean(image, device);
}

Test(names, a_record_at_the_limit_goes_in_and_one_beyond_does_not)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d"), limit = info_of(image).record_limit_bytes;
    for (unsigned over = 0; over < 2; over++) {
        vde_txn *txn = begin(image);
        OK(txn_put_seed(txn, d, "a", (size_t)limit / 2, 1));
        size_t fixed = vde_txn_size(txn) + (vde_txn_size(txn) - 32 - (size_t)limit / 2);
        OK(txn_put_seed(txn, d, "b", (size_t)limit - fixed + over, 2));
        cr_assert_eq(vde_txn_size(txn), limit + over);
        EXPECT(over ? VDE_TOO_LARGE : VDE_OK, commit_status(txn));
    }
    cr_assert(has_seed(image, d, 0, "a", (size_t)limit / 2, 1));
    close_clean(image, device);
}
