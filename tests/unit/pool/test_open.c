/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, closing, dying and opening again; who may be there at the same time. */
#include <criterion/criterion.h>

#include <errno.h>
#include <unistd.h>

#include "format/label.h"
#include "unit/pool/engine.h"

static vde_status open_path(const char *path, uint32_t flags, vde_image **ret_image)
{
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    opts.flags = flags;
    return vde_image_open(path, &opts, ret_image);
}

static void format_path(char path[TMP_PATH_BYTES], uint64_t bytes)
{
    struct vde_format_opts opts = VDE_FORMAT_OPTS_INIT;
    tmp_path(path, NULL, "open.vde");
    opts.size_bytes = bytes;
    OK(vde_image_format(path, &opts));
}

Test(open, after_a_clean_close_nothing_is_replayed)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_quiet(device);
    cr_assert(strstr(info_of(image).open_report, "closed cleanly"));
    uint64_t d = new_dataset(image, "d");
    put_text(image, d, "k", "v");
    image = reopen(image, device);
    struct vde_image_info info = info_of(image);
    cr_assert_eq(info.replayed_records, 0);
    cr_assert_eq(info.replayed_bytes, 0);
    cr_assert_eq(info.dropped_tail_lsn, 0);
    cr_assert(strstr(info.open_report, "closed cleanly"), "%s", info.open_report);
    cr_assert(has(image, d, 0, "k", "v"));
    close_clean(image, device);
}

Test(open, after_a_kill_every_record_is_replayed)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d"), file = write_file(image, 100000, 3), s = vde_id_reserve(image);
    OK(vde_image_checkpoint(image));
    for (unsigned i = 0; i < 10; i++)
        put_text(image, d, "k", i % 2 ? "odd" : "even");
    OK(put_seed(image, d, "large", 200000, 4));
    OK(append_status(image, s, 5, "five"));
    uint64_t second = write_file(image, 5000000 / 4, 5);
    struct vde_device *copy = copy_device(device);
    OK(vde_image_close(image));
    close_device(device);
    for (unsigned pass = 0; pass < 3; pass++) {
        image = open_quiet(copy);
        struct vde_image_info info = info_of(image);
        cr_assert_eq(info.replayed_records, pass ? 0 : 13);
        cr_assert((info.replayed_bytes > 0) == (pass == 0));
        if (pass == 0)
            cr_assert(strstr(info.open_report, "replayed 13 records"), "%s", info.open_report);
        cr_assert(has(image, d, 0, "k", "odd"));
        cr_assert(has_seed(image, d, 0, "large", 200000, 4));
        cr_assert(stream_is(image, s, 5, 5));
        cr_assert(file_is(image, file, 100000, 3));
        cr_assert(file_is(image, second, 5000000 / 4, 5));
        EXPECT(VDE_EXISTS, append_status(image, s, 5, "again"));
        OK(vde_image_close(image));
    }
    check_clean(copy);
    close_device(copy);
}

Test(open, kill_after_kill_without_anything_done)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d"), epoch = info_of(image).epoch;
    put_text(image, d, "k", "v");
    for (unsigned i = 0; i < 40; i++) {
        struct vde_device *copy = copy_device(device);
        OK(vde_image_close(image));
        close_device(device);
        device = copy;
        image = open_quiet(device);
        cr_assert_eq(info_of(image).epoch, epoch + i + 1);
        cr_assert_eq(info_of(image).replayed_records, i == 0 ? 2 : 0);
    }
    cr_assert(has(image, d, 0, "k", "v"));
    close_clean(image, device);
}

Test(open, read_only_replays_in_memory_and_writes_nothing)
{
    struct vde_device *device;
    OK(simulated_create(4 * MIB, 1, 0, &device));
    format_on(device, 0);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d"), s = vde_id_reserve(image);
    put_text(image, d, "k", "v");
    OK(append_status(image, s, 0, "zero"));
    uint64_t file = write_file(image, 70000, 9);
    struct vde_device *copy;
    OK(simulated_clone(device, &copy));
    OK(vde_image_close(image));
    close_device(device);
    uint64_t hash = simulated_hash(copy), changes = simulated_count(copy);
    vde_image *readers[3];
    for (unsigned i = 0; i < 3; i++) {
        readers[i] = open_flags(copy, VDE_OPEN_READ_ONLY);
        cr_assert(has(readers[i], d, 0, "k", "v"));
        cr_assert(stream_is(readers[i], s, 0, 0));
        cr_assert(file_is(readers[i], file, 70000, 9));
        struct vde_image_info info = info_of(readers[i]);
        cr_assert(info.read_only);
        cr_assert_eq(info.replayed_records, 4);
        cr_assert_gt(info.durable_lsn, info.checkpoint_lsn);
    }
    vde_txn *txn;
    vde_file_writer *writer;
    vde_queue *queue;
    EXPECT(VDE_READ_ONLY, vde_txn_create(readers[0], &txn));
    EXPECT(VDE_READ_ONLY, vde_file_create(readers[0], &writer));
    EXPECT(VDE_READ_ONLY, vde_queue_create(readers[0], &queue));
    EXPECT(VDE_READ_ONLY, vde_image_checkpoint(readers[0]));
    EXPECT(VDE_READ_ONLY, vde_image_wait(readers[0], 1));
    for (unsigned i = 0; i < 3; i++)
        OK(vde_image_close(readers[i]));
    cr_assert_eq(simulated_hash(copy), hash);
    cr_assert_eq(simulated_count(copy), changes);
    close_device(copy);
}

Test(open, one_writer_or_many_readers)
{
    char path[TMP_PATH_BYTES];
    format_path(path, 4 * MIB);
    vde_image *image, *other, *third;
    struct vde_image_info info;
    OK(open_path(path, 0, &image));
    EXPECT(VDE_BUSY, open_path(path, 0, &other));
    cr_assert(vde_last_error()->retryable);
    EXPECT(VDE_BUSY, open_path(path, VDE_OPEN_READ_ONLY, &other));
    OK(vde_image_probe(path, &info)); /* label and superblocks can be looked at all the same */
    cr_assert_eq(info.size_bytes, 4 * MIB);
    cr_assert_eq(info.superblock_copies, 2);
    cr_assert_arr_eq(info.uuid, info_of(image).uuid, 16);
    OK(vde_image_close(image));
    OK(open_path(path, VDE_OPEN_READ_ONLY, &image));
    OK(open_path(path, VDE_OPEN_READ_ONLY, &other));
    OK(open_path(path, VDE_OPEN_READ_ONLY, &third));
    vde_image *writer;
    EXPECT(VDE_BUSY, open_path(path, 0, &writer));
    OK(vde_image_close(image));
    OK(vde_image_close(other));
    OK(vde_image_close(third));
    OK(open_path(path, 0, &writer));
    OK(vde_image_close(writer));
    OK(vde_image_close(NULL));
    EXPECT(VDE_NOT_FOUND, open_path("/nonexistent/image.vde", 0, &image));
    tmp_remove(path);
}

Test(open, waits_for_a_busy_image_as_long_as_asked)
{
    char path[TMP_PATH_BYTES];
    format_path(path, 4 * MIB);
    vde_image *image, *other;
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    opts.wait_ms = 60;
    OK(open_path(path, 0, &image));
    EXPECT(VDE_BUSY, vde_image_open(path, &opts, &other));
    OK(vde_image_close(image));
    OK(vde_image_open(path, &opts, &image));
    OK(vde_image_close(image));
    tmp_remove(path);
}

Test(format, sizes_and_logs)
{
    static const struct {
        uint64_t size, log;
        vde_status status;
    } cases[] = {
        {4 * MIB, 0, VDE_OK}, {4 * MIB, 256u << 10, VDE_OK}, {4 * MIB, 1 * MIB, VDE_OK}, {4 * MIB, 2 * MIB, VDE_OK},
        {4 * MIB, (2 * MIB) + 4096, VDE_INVAL}, {4 * MIB, (256u << 10) - 4096, VDE_INVAL},
        {4 * MIB - 4096, 0, VDE_INVAL}, {64 * MIB, 16 * MIB, VDE_OK}, {33 * MIB + 12288, 0, VDE_OK},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vde_device *device;
        struct vde_format_opts opts = VDE_FORMAT_OPTS_INIT;
        OK(vde_device_memory(cases[i].size, &device));
        opts.log_bytes = cases[i].log;
        EXPECT(cases[i].status, vde_image_format_device(device, &opts));
        if (cases[i].status == VDE_OK) {
            vde_image *image = open_quiet(device);
            struct vde_image_info info = info_of(image);
            cr_assert_eq(info.size_bytes, cases[i].size);
            if (cases[i].log)
                cr_assert_eq(info.log_bytes, cases[i].log);
            cr_assert_eq(info.record_limit_bytes, info.log_bytes / 8 - 96);
            uint64_t d = new_dataset(image, "d");
            OK(put_seed(image, d, "k", 20000, 1));
            image = reopen(image, device);
            cr_assert(has_seed(image, d, 0, "k", 20000, 1));
            check_clean(device);
            EXPECT(VDE_EXISTS, vde_image_format_device(device, &opts)); /* holds an image now */
            OK(vde_image_close(image));
        }
        close_device(device);
    }
}

static void patch_label(struct vde_device *device, bool incompat)
{
    uint8_t *block = aligned_buffer(4096);
    for (unsigned copy = 0; copy < 2; copy++) {
        uint64_t at = copy ? device_size(device) - 16 * 4096 : LABEL_BLOCK * 4096u;
        device_io(device, VDE_IO_READ, at, block, 4096);
        struct label label;
        OK(label_decode((const struct disk_label *)(const void *)block, device_size(device) / 4096, "label", &label));
        if (incompat)
            label.incompat |= 1ull << 40;
        else
            label.ro_compat |= 1ull << 41;
        label_encode(&label, copy, (struct disk_label *)(void *)block);
        device_io(device, VDE_IO_WRITE, at, block, 4096);
    }
    free(block);
}

Test(open, an_unknown_feature_is_refused_by_name)
{
    vde_image *image;
    struct vde_device *device = memory_image(4 * MIB);
    patch_label(device, true);
    EXPECT(VDE_UNSUPPORTED, vde_image_open_device(device, NULL, &image));
    cr_assert(strstr(vde_last_error()->text, "bit 40"), "%s", vde_last_error()->text);
    close_device(device);
}

Test(open, an_unknown_feature_for_writers_still_lets_readers_in)
{
    vde_image *image;
    struct vde_device *device = memory_image(4 * MIB);
    patch_label(device, false);
    EXPECT(VDE_UNSUPPORTED, vde_image_open_device(device, NULL, &image));
    cr_assert(strstr(vde_last_error()->text, "bit 41"), "%s", vde_last_error()->text);
    image = open_flags(device, VDE_OPEN_READ_ONLY);
    OK(vde_image_close(image));
    close_device(device);
}

/* The same work twice with the same clock and randomness. */
static struct vde_device *scripted(void)
{
    struct fixed_env fixed = {.now = 1000000, .step = 7, .random = 42};
    struct vde_env env = fixed_env(&fixed);
    struct vde_device *device;
    struct vde_format_opts format = VDE_FORMAT_OPTS_INIT;
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    vde_image *image;
    OK(vde_device_memory(8 * MIB, &device));
    format.env = opts.env = &env;
    opts.flags = VDE_OPEN_NO_THREADS;
    OK(vde_image_format_device(device, &format));
    OK(vde_image_open_device(device, &opts, &image));
    uint64_t d = new_dataset(image, "d"), s = vde_id_reserve(image);
    for (unsigned i = 0; i < 60; i++) {
        char key[16];
        snprintf(key, sizeof key, "%u", i * 37 % 41);
        OK(put_seed(image, d, key, i * 2000, i));
        OK(append_status(image, s, i, key));
        if (i % 20 == 5)
            snapshot(image, d, i);
        if (i % 20 == 10)
            OK(vde_image_checkpoint(image));
    }
    remove_file(image, write_file(image, 300000, 1));
    OK(vde_image_close(image));
    return device;
}

Test(open, the_same_work_gives_the_same_bytes)
{
    struct vde_device *a = scripted(), *b = scripted();
    uint8_t *x = aligned_buffer(MIB), *y = aligned_buffer(MIB);
    for (uint64_t at = 0; at < 8 * MIB; at += MIB / 4) {
        device_io(a, VDE_IO_READ, at, x, MIB / 4);
        device_io(b, VDE_IO_READ, at, y, MIB / 4);
        cr_assert_arr_eq(x, y, MIB / 4);
    }
    free(x);
    free(y);
    check_clean(a);
    close_device(a);
    close_device(b);
}
