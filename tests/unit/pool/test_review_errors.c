/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that fail have no effect later on, and what a log says is not believed before it is looked at. */
#include <criterion/criterion.h>

#include <errno.h>

#include "pool/map.h"
#include "pool/txn.h"
#include "unit/pool/engine.h"

Test(errors, an_append_that_failed_does_not_stop_the_transaction)
{
    struct vde_device *device = memory_image(8 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d"), stream = vde_id_reserve(image);
    OK(append_status(image, stream, 7, "seven"));
    vde_txn *txn = begin(image);
    OK(txn_put_text(txn, d, "k", "v"));
    EXPECT(VDE_INVAL, vde_txn_append(txn, stream, 8, UINT64_MAX, "x", 1));
    commit(txn);
    cr_assert(has(image, d, 0, "k", "v"));
    cr_assert(stream_is(image, stream, 7, 7));
    close_clean(image, device);
}

Test(errors, the_number_after_the_greatest_is_not_zero)
{
    struct vde_device *device = memory_image(8 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t stream = vde_id_reserve(image);
    vde_txn *txn = begin(image);
    OK(vde_txn_append(txn, stream, UINT64_MAX, 0, "x", 1));
    cr_assert_neq(vde_txn_append(txn, stream, 0, 0, "y", 1), VDE_OK);
    commit(txn);
    cr_assert(stream_is(image, stream, UINT64_MAX, UINT64_MAX));
    close_clean(image, device);
}

Test(errors, an_lsn_that_nobody_was_given_is_not_poisoned)
{
    struct vde_device *device = memory_image(8 * MIB);
    vde_image *image = open_quiet(device);
    EXPECT(VDE_INVAL, vde_image_wait(image, info_of(image).durable_lsn + 1));
    close_clean(image, device);
}

/* What could not be written is never part of a file, even if the caller goes on. */
Test(errors, a_file_with_a_write_that_failed_can_not_be_sealed)
{
    struct vde_device *device = simulated_image(32 * MIB, 1);
    vde_image *image = open_quiet(device);
    size_t size = 4 * MIB;
    uint8_t *bytes = malloc(size);
    fill_bytes(bytes, size, 1);
    vde_file_writer *writer;
    uint64_t file, used = info_of(image).free_bytes;
    OK(vde_file_create(image, &writer));
    simulated_fail(device, SIMULATED_WRITE, 1, 1, EIO);
    EXPECT(VDE_IO, vde_file_write(writer, bytes, size));
    simulated_clear_faults(device);
    cr_assert_neq(vde_file_write(writer, bytes, 10), VDE_OK);
    vde_txn *txn = begin(image);
    cr_assert_neq(vde_file_seal(writer, txn, &file), VDE_OK);
    vde_txn_destroy(txn);
    cr_assert_eq(info_of(image).free_bytes, used);
    free(bytes);
    close_clean(image, device);
}

/* A well-formed record in the log whose operation has no business there: recovery refuses it. */
static void refused(uint64_t dataset, size_t key_size, enum value_kind kind, size_t value_size)
{
    uint8_t key[16] = {0, 0, 0, 0, 0, 0, 0, 99}, value[200] = {0};
    struct vde_device *device = simulated_image(8 * MIB, 1);
    vde_image *image = open_quiet(device), *again;
    vde_txn *txn = begin(image);
    OK(txn_op(txn, dataset, key, key_size, kind, value, value_size));
    commit(txn);
    struct vde_device *copy = copy_device(device);
    for (unsigned flags = 0; flags < 2; flags++) {
        struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
        opts.flags = flags ? VDE_OPEN_READ_ONLY : VDE_OPEN_NO_THREADS;
        EXPECT(VDE_CORRUPT, vde_image_open_device(copy, &opts, &again));
    }
    close_device(copy);
    simulated_cut(device); /* no checkpoint of this one */
    EXPECT(VDE_COMMIT_UNKNOWN, append_status(image, 1000, 1, "x"));
    OK(vde_image_close(image));
    close_device(device);
}

Test(errors, a_log_with_a_history_entry_too_short_is_refused) { refused(DATASET_HISTORY, 16, VALUE_INLINE, 4); }
Test(errors, a_log_with_a_history_key_too_short_is_refused) { refused(DATASET_HISTORY, 3, VALUE_INLINE, 40); }
Test(errors, a_log_with_a_deleted_history_entry_is_refused) { refused(DATASET_HISTORY, 16, VALUE_DELETE, 0); }
