/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of streams, names and snapshots, each tried before and after what they protect has reached the trees. */
#include <criterion/criterion.h>
#include <string.h>

#include <vde/vde.h>

#include "io/simulated.h"

static struct vde_device *device;
static vde_image *image;

static void open_image(void)
{
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    opts.flags = VDE_OPEN_NO_THREADS;
    cr_assert_eq(vde_image_open_device(device, &opts, &image), VDE_OK, "%s", vde_last_error()->text);
}

static void setup(void)
{
    cr_assert_eq(simulated_create(VDE_IMAGE_MIN_BYTES, 1, 0, &device), VDE_OK);
    cr_assert_eq(vde_image_format_device(device, NULL), VDE_OK, "%s", vde_last_error()->text);
    open_image();
}

static void teardown(void)
{
    cr_assert_eq(vde_image_close(image), VDE_OK);
    device->ops->close(device);
}

static vde_status append(uint64_t stream, uint64_t number)
{
    vde_txn *txn;
    struct vde_commit commit;
    cr_assert_eq(vde_txn_create(image, &txn), VDE_OK);
    vde_status status = vde_txn_append(txn, stream, number, 0, "entry", 5);
    if (status == VDE_OK)
        status = vde_txn_commit(txn, &commit);
    vde_txn_destroy(txn);
    return status;
}

static vde_status create(uint64_t id, const char *name)
{
    vde_txn *txn;
    struct vde_commit commit;
    cr_assert_eq(vde_txn_create(image, &txn), VDE_OK);
    vde_status status = vde_txn_dataset_create(txn, id, name);
    if (status == VDE_OK)
        status = vde_txn_commit(txn, &commit);
    vde_txn_destroy(txn);
    return status;
}

static vde_status snapshot(uint64_t id, uint64_t tag)
{
    vde_txn *txn;
    struct vde_commit commit;
    cr_assert_eq(vde_txn_create(image, &txn), VDE_OK);
    vde_status status = vde_txn_snapshot_create(txn, id, tag);
    if (status == VDE_OK)
        status = vde_txn_commit(txn, &commit);
    vde_txn_destroy(txn);
    return status;
}

TestSuite(rules, .init = setup, .fini = teardown);

Test(rules, a_number_that_exists_is_refused)
{
    cr_assert_eq(append(20, 5), VDE_OK);
    cr_assert_eq(append(20, 6), VDE_OK);
    for (unsigned life = 0; life < 2; life++) {
        cr_assert_eq(append(20, 6), VDE_EXISTS);
        cr_assert_eq(append(20, 5), VDE_EXISTS);
        cr_assert_eq(append(20, 0), VDE_EXISTS, "a number below the first is taken");
        cr_assert_eq(append(20, 8), VDE_GAP);
        cr_assert_eq(vde_image_close(image), VDE_OK);
        open_image();
    }
    cr_assert_eq(append(20, 7), VDE_OK);
}

Test(rules, names_and_tags_are_unique)
{
    cr_assert_eq(create(30, "name"), VDE_OK);
    cr_assert_eq(snapshot(30, 1), VDE_OK);
    for (unsigned life = 0; life < 2; life++) {
        cr_assert_eq(create(31, "name"), VDE_EXISTS);
        cr_assert_eq(create(30, "other"), VDE_EXISTS);
        cr_assert_eq(snapshot(30, 1), VDE_EXISTS);
        cr_assert_eq(snapshot(31, 1), VDE_NOT_FOUND);
        cr_assert_eq(vde_image_close(image), VDE_OK);
        open_image();
    }
}

Test(rules, an_entry_of_a_refused_transaction_leaves_no_trace)
{
    vde_txn *txn;
    struct vde_commit commit;
    cr_assert_eq(append(20, 0), VDE_OK);
    cr_assert_eq(vde_txn_create(image, &txn), VDE_OK);
    cr_assert_eq(vde_txn_append(txn, 21, 0, 0, "new", 3), VDE_OK);
    vde_status status = vde_txn_append(txn, 20, 0, 0, "old", 3);
    if (status == VDE_OK)
        status = vde_txn_commit(txn, &commit);
    cr_assert_eq(status, VDE_EXISTS);
    vde_txn_destroy(txn);
    vde_view *view;
    uint64_t first, last;
    cr_assert_eq(vde_view_open(image, &view), VDE_OK);
    cr_assert_eq(vde_stream_range(view, 21, &first, &last), VDE_NOT_FOUND);
    vde_view_close(view);
}

/* The superblock that recovery wrote is lost in both rings, after commits that only it knows how to find: the records of a
 * higher epoch tell. */
Test(rules, a_lost_superblock_is_reported)
{
    static const uint8_t zeroes[4096];
    struct vde_device *killed;
    struct vde_image_info info;
    vde_image *reopened;
    cr_assert_eq(append(20, 0), VDE_OK);
    cr_assert_eq(vde_image_close(image), VDE_OK);
    open_image();
    cr_assert_eq(append(20, 1), VDE_OK);
    vde_image_info(image, &info);
    cr_assert_eq(simulated_clone(device, &killed), VDE_OK);
    cr_assert_eq(simulated_power_cycle(killed, SIMULATED_ALL, 1), VDE_OK);
    uint64_t slot = info.superblock_sequence % 16, blocks = VDE_IMAGE_MIN_BYTES / 4096;
    cr_assert_eq(simulated_poke(killed, (16 + slot) * 4096, zeroes, 4096), VDE_OK);
    cr_assert_eq(simulated_poke(killed, (blocks - 32 + slot) * 4096, zeroes, 4096), VDE_OK);
    for (unsigned flags = 0; flags <= VDE_OPEN_READ_ONLY; flags++) {
        struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
        opts.flags = VDE_OPEN_NO_THREADS | flags;
        cr_assert_eq(vde_image_open_device(killed, &opts, &reopened), VDE_CORRUPT);
    }
    killed->ops->close(killed);
}

static void put_all(uint64_t dataset, uint8_t fill)
{
    vde_txn *txn;
    struct vde_commit commit;
    uint8_t value[700];
    memset(value, fill, sizeof value);
    cr_assert_eq(vde_txn_create(image, &txn), VDE_OK);
    for (uint8_t key = 0; key < 30; key++)
        cr_assert_eq(vde_txn_put(txn, dataset, &key, 1, value, sizeof value), VDE_OK);
    cr_assert_eq(vde_txn_commit(txn, &commit), VDE_OK, "%s", vde_last_error()->text);
    vde_txn_destroy(txn);
    cr_assert_eq(vde_image_checkpoint(image), VDE_OK);
}

/* What a view pins is not handed out again, however many checkpoints drop it. */
Test(rules, a_pinned_view_keeps_its_blocks)
{
    vde_view *view;
    vde_kv *kv;
    uint64_t dataset = vde_id_reserve(image);
    cr_assert_eq(create(dataset, "pinned"), VDE_OK);
    put_all(dataset, 1);
    cr_assert_eq(vde_view_open(image, &view), VDE_OK);
    cr_assert_eq(vde_kv_open(view, dataset, &kv), VDE_OK);
    for (uint8_t fill = 2; fill < 8; fill++)
        put_all(dataset, fill);
    for (uint8_t key = 0; key < 30; key++) {
        struct vde_bytes bytes = {NULL, 0};
        cr_assert_eq(vde_kv_get(kv, &key, 1, &bytes), VDE_OK, "key %u: %s", key, vde_last_error()->text);
        cr_assert(bytes.size == 700 && bytes.data[0] == 1 && bytes.data[699] == 1, "key %u: not as pinned", key);
        vde_bytes_free(&bytes);
    }
    vde_kv_close(kv);
    vde_view_close(view);
}

/* The newest superblock is lost in both rings: the one before and its log, which is kept for that, have everything. */
Test(rules, one_fall_back_loses_nothing)
{
    static const uint8_t zeroes[4096];
    struct vde_device *killed;
    struct vde_image_info info;
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    vde_view *view;
    uint64_t first, last;
    for (uint64_t number = 0; number < 3; number++) {
        cr_assert_eq(append(20, number), VDE_OK);
        cr_assert_eq(vde_image_checkpoint(image), VDE_OK);
    }
    cr_assert_eq(append(20, 3), VDE_OK);
    vde_image_info(image, &info);
    cr_assert_eq(simulated_clone(device, &killed), VDE_OK);
    cr_assert_eq(simulated_power_cycle(killed, SIMULATED_ALL, 1), VDE_OK);
    uint64_t slot = info.superblock_sequence % 16, blocks = VDE_IMAGE_MIN_BYTES / 4096;
    cr_assert_eq(simulated_poke(killed, (16 + slot) * 4096, zeroes, 4096), VDE_OK);
    cr_assert_eq(simulated_poke(killed, (blocks - 32 + slot) * 4096, zeroes, 4096), VDE_OK);
    vde_image *held = image;
    opts.flags = VDE_OPEN_NO_THREADS;
    cr_assert_eq(vde_image_open_device(killed, &opts, &image), VDE_OK, "%s", vde_last_error()->text);
    cr_assert_eq(vde_view_open(image, &view), VDE_OK);
    cr_assert_eq(vde_stream_range(view, 20, &first, &last), VDE_OK);
    cr_assert(first == 0 && last == 3, "%llu to %llu", (unsigned long long)first, (unsigned long long)last);
    vde_view_close(view);
    cr_assert_eq(append(20, 4), VDE_OK);
    cr_assert_eq(vde_image_close(image), VDE_OK);
    image = held;
    killed->ops->close(killed);
}
