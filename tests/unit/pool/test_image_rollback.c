/* SPDX-License-Identifier: Apache-2.0 */
/* The whole image goes back to one of its snapshots when it is opened: what that brings back, what stays, and who prevents it. */
#include <criterion/criterion.h>

#include <vde/snapshot.h>
#include <vde/volume.h>

#include "unit/pool/engine.h"

static vde_status try_rollback(struct vde_device *device, const char *name, uint32_t flags)
{
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    vde_image *image = NULL;
    opts.flags = VDE_OPEN_NO_THREADS | flags;
    opts.snapshot = name;
    vde_status status = vde_image_open_device(device, &opts, &image);
    if (image)
        OK(vde_image_close(image));
    return status;
}

static void image_snapshot(vde_image *image, const char *name)
{
    OK(vde_snapshot_create(image, VDE_DATASET_IMAGE, name, NULL));
}

/* Checkpoints enough to free whatever may be freed. */
static void settle(vde_image *image)
{
    for (unsigned i = 0; i < 6; i++)
        OK(vde_image_checkpoint(image));
}

static void make_volume(vde_image *image, const char *name)
{
    struct vde_volume_opts opts = VDE_VOLUME_OPTS_INIT;
    opts.size_bytes = 1 * MIB;
    OK(vde_volume_create(image, name, &opts));
}

static void drop_stream(vde_image *image, uint64_t stream)
{
    vde_txn *txn = begin(image);
    OK(vde_txn_stream_drop(txn, stream));
    commit(txn);
}

Test(image_rollback, streams_end_where_they_ended_and_go_on)
{
    struct vde_device *device = memory_image(16 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t kept = vde_id_reserve(image), dropped = vde_id_reserve(image), later = vde_id_reserve(image);
    for (uint64_t n = 0; n < 3; n++) {
        OK(append_status(image, kept, n, "entry"));
        OK(append_status(image, dropped, n, "entry"));
    }
    image_snapshot(image, "s");
    for (uint64_t n = 3; n < 9; n++)
        OK(append_status(image, kept, n, "more"));
    OK(append_status(image, later, 0, "later"));
    drop_stream(image, dropped);
    settle(image);
    OK(append_status(image, kept, 9, "in the log only"));
    OK(vde_image_close(image));
    image = open_rolled_back(device, "s", 0);
    uint64_t first, last;
    REQUIRE(stream_is(image, kept, 0, 2) && stream_is(image, dropped, 0, 2));
    REQUIRE(!stream_range(image, later, &first, &last));
    OK(append_status(image, kept, 3, "again"));
    OK(append_status(image, dropped, 3, "again"));
    EXPECT(VDE_EXISTS, append_status(image, kept, 3, "twice"));
    REQUIRE(stream_is(image, kept, 0, 3) && stream_is(image, dropped, 0, 3));
    REQUIRE(vde_id_reserve(image) > later);
    OK(vde_snapshot_delete(image, VDE_DATASET_IMAGE, "s"));
    settle(image);
    close_clean(image, device);
}

/* What had been dropped before the snapshot goes on being freed, and what was free stays free. */
Test(image_rollback, what_was_gone_before_stays_gone)
{
    struct vde_device *device = memory_image(16 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t gone = new_dataset(image, "gone"), kept = new_dataset(image, "kept");
    OK(put_seed(image, gone, "a", 200000, 1));
    OK(put_seed(image, kept, "a", 200000, 2));
    snapshot(image, kept, 1);
    OK(put_seed(image, kept, "a", 200000, 3));
    image_snapshot(image, "old");
    OK(drop_dataset_status(image, gone));
    unsnapshot(image, kept, 1);
    image_snapshot(image, "s");
    settle(image);
    OK(put_seed(image, kept, "a", 200000, 4));
    OK(vde_snapshot_delete(image, VDE_DATASET_IMAGE, "old"));
    settle(image); /* now `gone` and the snapshot of `kept` are free, which catalog "s" does not know */
    uint64_t used = info_of(image).used_bytes;
    OK(vde_image_close(image));
    check_clean(device);
    image = open_rolled_back(device, "s", 0);
    REQUIRE(has_seed(image, kept, 0, "a", 200000, 3));
    EXPECT(VDE_NOT_FOUND, find_name(image, "gone", &gone));
    settle(image);
    REQUIRE(info_of(image).used_bytes < used);
    EXPECT(VDE_NOT_FOUND, vde_snapshot_delete(image, VDE_DATASET_IMAGE, "old"));
    image = reopen(image, device);
    check_clean(device);
    OK(vde_snapshot_delete(image, VDE_DATASET_IMAGE, "s"));
    settle(image);
    close_clean(image, device);
}

Test(image_rollback, clones_of_clones_made_since_go)
{
    struct vde_device *device = memory_image(16 * MIB);
    vde_image *image = open_quiet(device);
    vde_volume *volume;
    struct vde_volume_info info;
    uint8_t *bytes = aligned_buffer(256 << 10);
    fill_bytes(bytes, 256 << 10, 1);
    make_volume(image, "a");
    image_snapshot(image, "s");
    OK(vde_image_checkpoint(image));
    uint64_t used = info_of(image).used_bytes;
    const char *const names[] = {"a", "b", "c", "d"};
    for (unsigned i = 0; i < 3; i++) {
        OK(vde_volume_open(image, names[i], NULL, &volume));
        OK(vde_volume_write(volume, bytes, 256 << 10, i * (64u << 10), 0));
        vde_volume_close(volume);
        vde_view *view = view_of(image);
        OK(vde_volume_get(view, names[i], &info));
        vde_view_close(view);
        OK(vde_snapshot_create(image, info.id, "snap", NULL));
        OK(vde_volume_clone(image, names[i], "snap", names[i + 1]));
        OK(vde_snapshot_delete(image, info.id, "snap"));
    }
    OK(vde_volume_delete(image, "b"));
    OK(vde_image_close(image));
    image = open_rolled_back(device, "s", 0);
    OK(vde_volume_open(image, "a", NULL, &volume));
    OK(vde_volume_read(volume, bytes, 256 << 10, 0));
    for (unsigned i = 0; i < 256 << 10; i++)
        REQUIRE(bytes[i] == 0);
    vde_volume_close(volume);
    EXPECT(VDE_NOT_FOUND, vde_volume_open(image, "d", NULL, &volume));
    settle(image);
    REQUIRE(info_of(image).used_bytes <= used + 2 * 4096);
    close_clean(image, device);
    free(bytes);
}

Test(image_rollback, named_snapshots_that_are_newer_prevent_it)
{
    struct vde_device *device = memory_image(16 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t id = new_dataset(image, "data");
    put_text(image, id, "k", "old");
    image_snapshot(image, "s");
    put_text(image, id, "k", "new");
    snapshot(image, id, 7); /* without a name: no obstacle */
    OK(vde_snapshot_create(image, id, "of data", NULL));
    image_snapshot(image, "t");
    OK(vde_image_close(image));
    EXPECT(VDE_INVAL, try_rollback(device, "s", VDE_OPEN_ROLLBACK));
    REQUIRE(strstr(vde_last_error()->text, "\"t\"") && strstr(vde_last_error()->text, "\"data@of data\""));
    EXPECT(VDE_NOT_FOUND, try_rollback(device, "none", VDE_OPEN_ROLLBACK));
    EXPECT(VDE_INVAL, try_rollback(device, NULL, VDE_OPEN_ROLLBACK));
    EXPECT(VDE_INVAL, try_rollback(device, "s", 0));
    EXPECT(VDE_INVAL, try_rollback(device, "s", VDE_OPEN_ROLLBACK | VDE_OPEN_READ_ONLY));
    check_clean(device);
    image = open_quiet(device);
    REQUIRE(has(image, id, 0, "k", "new"));
    OK(vde_snapshot_delete(image, VDE_DATASET_IMAGE, "t"));
    OK(vde_snapshot_delete(image, id, "of data"));
    OK(vde_image_close(image));
    image = open_rolled_back(device, "s", 0);
    REQUIRE(has(image, id, 0, "k", "old"));
    snapshot(image, id, 7); /* the tag is free again */
    close_clean(image, device);
}

/* So many dropped streams that a snapshot and the rest of the same checkpoint free some each. */
Test(image_rollback, streams_that_are_being_freed, .timeout = 60)
{
    struct vde_device *device = memory_image(32 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t first = 0;
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 45; i++) {
            vde_txn *txn = begin(image);
            for (unsigned n = 0; n < 100; n++) {
                uint64_t stream = round ? first + i * 100 + n : vde_id_reserve(image);
                first = first ? first : stream;
                OK(round ? vde_txn_stream_drop(txn, stream) : vde_txn_append(txn, stream, 0, 0, "entry", 5));
            }
            commit(txn);
        }
        if (round == 0)
            OK(vde_image_checkpoint(image));
    }
    image_snapshot(image, "s");
    OK(vde_image_checkpoint(image));
    put_text(image, new_dataset(image, "later"), "k", "v");
    OK(vde_image_close(image));
    check_clean(device);
    image = open_rolled_back(device, "s", 0);
    OK(vde_image_close(image));
    check_clean(device);
    image = open_quiet(device);
    settle(image);
    OK(vde_snapshot_delete(image, VDE_DATASET_IMAGE, "s"));
    settle(image);
    close_clean(image, device);
}
