/* SPDX-License-Identifier: Apache-2.0 */
/* Sealed files: every size around the units, ranges, damage. */
#include <criterion/criterion.h>

#include "unit/pool/engine.h"

#define CHUNK (64u << 10)
#define EXTENT (4u << 20)

Test(file, sizes_around_every_unit, .timeout = 120)
{
    static const size_t sizes[] = {0, 1, 4095, 4096, 4097, CHUNK - 1, CHUNK, CHUNK + 1, EXTENT - 1, EXTENT, EXTENT + 1,
                                   20u << 20};
    uint64_t files[sizeof sizes / sizeof sizes[0]];
    struct vde_device *device = memory_image(96 * MIB);
    vde_image *image = open_quiet(device);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        files[i] = write_file(image, sizes[i], i);
    for (unsigned pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            uint8_t byte;
            vde_file *f;
            cr_assert(file_is(image, files[i], sizes[i], i), "%zu bytes", sizes[i]);
            vde_view *view = view_of(image);
            OK(vde_file_open(view, files[i], &f));
            OK(vde_file_read(f, &byte, 0, sizes[i]));
            EXPECT(VDE_INVAL, vde_file_read(f, &byte, 1, sizes[i]));
            EXPECT(VDE_INVAL, vde_file_read(f, &byte, 1, UINT64_MAX));
            EXPECT(VDE_INVAL, vde_file_read(f, &byte, SIZE_MAX, 1));
            vde_file_close(f);
            vde_view_close(view);
        }
        image = reopen(image, device);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        remove_file(image, files[i]);
    OK(vde_image_checkpoint(image));
    OK(vde_image_checkpoint(image));
    cr_assert_leq(info_of(image).used_bytes, 20 * 4096);
    close_clean(image, device);
}

Test(file, random_ranges_and_writes_in_pieces)
{
    size_t size = 9000000;
    uint8_t *bytes = malloc(size), *read = malloc(size);
    uint64_t random = 1, file;
    struct vde_device *device = memory_image(32 * MIB);
    vde_image *image = open_quiet(device);
    vde_file_writer *writer;
    fill_bytes(bytes, size, 5);
    OK(vde_file_create(image, &writer));
    for (size_t at = 0; at < size;) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        size_t part = (size_t)(random >> 40) % 300000;
        part = part > size - at ? size - at : part;
        OK(vde_file_write(writer, bytes + at, part));
        at += part;
    }
    vde_txn *txn = begin(image);
    OK(vde_file_seal(writer, txn, &file));
    commit(txn);
    vde_view *view = view_of(image);
    vde_file *f;
    OK(vde_file_open(view, file, &f));
    for (unsigned i = 0; i < 300; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        size_t at = (size_t)(random >> 20) % size, part = (size_t)(random >> 44) % (size - at + 1) % 200000;
        OK(vde_file_read(f, read, part, at));
        cr_assert_arr_eq(read, bytes + at, part);
    }
    vde_file_close(f);
    vde_file_close(NULL);
    vde_view_close(view);
    free(bytes);
    free(read);
    close_clean(image, device);
}

Test(file, exists_with_its_transaction_only)
{
    struct vde_device *device = memory_image(8 * MIB);
    vde_image *image = open_quiet(device);
    vde_file_writer *writer;
    vde_file *f;
    uint64_t file;
    vde_txn *txn = begin(image);
    OK(vde_file_create(image, &writer));
    OK(vde_file_write(writer, "hello", 5));
    OK(vde_file_seal(writer, txn, &file));
    vde_view *view = view_of(image);
    EXPECT(VDE_NOT_FOUND, vde_file_open(view, file, &f));
    vde_view_close(view);
    commit(txn);
    view = view_of(image);
    OK(vde_file_open(view, file, &f));
    remove_file(image, file);
    char text[5];
    OK(vde_file_read(f, text, 5, 0)); /* as of the view */
    cr_assert_arr_eq(text, "hello", 5);
    vde_file_close(f);
    vde_view_close(view);
    view = view_of(image);
    EXPECT(VDE_NOT_FOUND, vde_file_open(view, file, &f));
    EXPECT(VDE_NOT_FOUND, vde_file_open(view, file + 1000, &f));
    vde_view_close(view);
    txn = begin(image);
    EXPECT(VDE_NOT_FOUND, vde_txn_file_remove(txn, file));
    vde_txn_destroy(txn);
    close_clean(image, device);
}

/* Find the place of the pattern on the device and change one byte of it. */
static void damage(struct vde_device *device, const uint8_t *pattern, size_t into)
{
    uint8_t *buffer = aligned_buffer(4096);
    bool done = false;
    for (uint64_t at = 0; at < device_size(device) && !done; at += 4096) {
        device_io(device, VDE_IO_READ, at, buffer, 4096);
        if (memcmp(buffer, pattern, 64) != 0)
            continue;
        device_io(device, VDE_IO_READ, at + into / 4096 * 4096, buffer, 4096);
        buffer[into % 4096] ^= 1;
        device_io(device, VDE_IO_WRITE, at + into / 4096 * 4096, buffer, 4096);
        done = true;
    }
    free(buffer);
    cr_assert(done);
}

Test(file, damage_is_named_by_file_and_offset)
{
    struct vde_device *device = memory_image(8 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t file = write_file(image, 300000, 5), other = write_file(image, 300000, 6);
    image = reopen(image, device);
    uint8_t pattern[64], *read = malloc(300000);
    char name[64];
    fill_bytes(pattern, sizeof pattern, 5);
    damage(device, pattern, 2 * CHUNK + 77);
    vde_view *view = view_of(image);
    vde_file *f;
    OK(vde_file_open(view, file, &f));
    EXPECT(VDE_CORRUPT, vde_file_read(f, read, 300000, 0));
    snprintf(name, sizeof name, "file %llu offset %u", (unsigned long long)file, 2 * CHUNK);
    cr_assert(strstr(vde_last_error()->object, name), "%s", vde_last_error()->object);
    EXPECT(VDE_CORRUPT, vde_file_read(f, read, 1, 2 * CHUNK + 100));
    OK(vde_file_read(f, read, 2 * CHUNK, 0)); /* the rest can be read */
    OK(vde_file_read(f, read, 1000, 3 * CHUNK));
    vde_file_close(f);
    vde_view_close(view);
    cr_assert(file_is(image, other, 300000, 6));
    OK(vde_image_close(image));
    struct vde_check_opts opts = VDE_CHECK_OPTS_INIT;
    struct vde_check_summary summary;
    OK(vde_check_device(device, &opts, &summary));
    cr_assert_gt(summary.findings, 0);
    free(read);
    close_device(device);
}

Test(file, a_damaged_value_is_corrupt_and_not_wrong)
{
    struct vde_device *device = memory_image(8 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d");
    OK(put_seed(image, d, "k", 300000, 5));
    image = reopen(image, device);
    uint8_t pattern[64];
    fill_bytes(pattern, sizeof pattern, 5);
    damage(device, pattern, 100001);
    vde_view *view = view_of(image);
    vde_kv *kv;
    struct vde_bytes bytes;
    OK(vde_kv_open(view, d, &kv));
    EXPECT(VDE_CORRUPT, vde_kv_get(kv, "k", 1, &bytes));
    vde_kv_close(kv);
    vde_view_close(view);
    OK(vde_image_close(image));
    close_device(device);
}
