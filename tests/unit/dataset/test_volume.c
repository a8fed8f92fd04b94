/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes through blocking requests: every shape of request against a plain array, names and sizes, refusals, damage. */
#include <criterion/criterion.h>

#include "unit/dataset/volumes.h"

#define KIB 1024u

Test(volume, a_block_is_read_back_and_stays_over_reopen)
{
    struct vde_device *device = memory_image(16 * MIB);
    vde_image *image = open_quiet(device);
    struct shadow shadow = shadow_create(image, "a", 1 * MIB, 0);
    shadow_check_all(&shadow);
    cr_assert_eq(shadow_check_status(&shadow), 0);
    shadow_write(&shadow, 4096, 8192);
    shadow_check_all(&shadow);
    cr_assert_eq(shadow_check_status(&shadow), 4096);
    shadow_reopen(&shadow, &image, device, "a");
    shadow_check_all(&shadow);
    cr_assert_eq(vde_volume_size(shadow.volume), 1 * MIB);
    shadow_done(&shadow);
    close_clean(image, device);
}

Test(volume, every_shape_around_the_units)
{
    static const uint64_t sizes[] = {512,  1024, 3584,      4096,      4608,      8192,      64 * KIB - 512,
                                     64 * KIB, 128 * KIB - 512, 128 * KIB, 128 * KIB + 512, 132 * KIB, 300 * KIB, 1 * MIB};
    static const uint64_t offsets[] = {0, 512, 3584, 4096, 61440, 64 * KIB, 64 * KIB + 512, 100 * KIB};
    for (uint32_t level = 0; level < 2; level++) {
        struct vde_device *device = memory_image(32 * MIB);
        vde_image *image = open_quiet(device);
        struct shadow shadow = shadow_create(image, "a", 2 * MIB, level);
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
            for (size_t o = 0; o < sizeof offsets / sizeof offsets[0]; o++) {
                shadow_write(&shadow, sizes[i], offsets[o]);
                shadow_check(&shadow, sizes[i], offsets[o], 0);
                shadow_check(&shadow, sizes[i], offsets[o], 512);
                shadow_check(&shadow, sizes[i], offsets[o], offsets[o] % 4096);
                if ((i + o) % 3 == 0)
                    shadow_zero(&shadow, sizes[(i + 3) % 14], offsets[(o + 1) % 8]);
                if ((i + o) % 5 == 0)
                    shadow_discard(&shadow, sizes[(i + 4) % 14], offsets[(o + 3) % 8]);
                if (o == 0)
                    shadow_check_all(&shadow);
            }
        shadow_check_all(&shadow);
        shadow_check_status(&shadow);
        OK(vde_image_checkpoint(image));
        shadow_check_all(&shadow);
        shadow_reopen(&shadow, &image, device, "a");
        shadow_check_all(&shadow);
        shadow_check_status(&shadow);
        shadow_done(&shadow);
        close_clean(image, device);
    }
}

Test(volume, random_requests_against_an_array, .timeout = 120)
{
    for (uint32_t level = 0; level < 2; level++) {
        struct vde_device *device = memory_image(24 * MIB);
        vde_image *image = open_quiet(device);
        struct shadow shadow = shadow_create(image, "a", 3 * MIB + 1536, level); /* a short last block */
        for (unsigned i = 0; i < 3000; i++) {
            shadow_random(&shadow, i % 10 ? 40 * KIB : 700 * KIB);
            if (i % 500 == 499) {
                OK(vde_image_checkpoint(image));
                shadow_check_all(&shadow);
                shadow_check_status(&shadow);
            }
            if (i % 1000 == 999)
                shadow_reopen(&shadow, &image, device, "a");
        }
        shadow_check_all(&shadow);
        shadow_done(&shadow);
        close_clean(image, device);
    }
}

Test(volume, unwritten_and_discarded_blocks_take_no_space)
{
    struct vde_device *device = memory_image(16 * MIB);
    vde_image *image = open_quiet(device);
    struct shadow shadow = shadow_create(image, "a", 8 * MIB, 0);
    OK(vde_image_checkpoint(image));
    uint64_t before = info_of(image).used_bytes;
    shadow_write(&shadow, 4 * MIB, 0);
    OK(vde_image_checkpoint(image));
    cr_assert_geq(info_of(image).used_bytes, before + 4 * MIB);
    shadow_discard(&shadow, 4 * MIB, 0);
    cr_assert_eq(shadow_check_status(&shadow), 0);
    OK(vde_image_checkpoint(image));
    OK(vde_image_checkpoint(image));
    cr_assert_leq(info_of(image).used_bytes, before + 64 * KIB);
    shadow_check_all(&shadow);
    shadow_done(&shadow);
    close_clean(image, device);
}

Test(volume, a_huge_hole_is_one_step)
{
    struct vde_device *device = memory_image(8 * MIB);
    vde_image *image = open_quiet(device);
    create_volume(image, "huge", 16ull << 40, 0);
    vde_volume *volume = open_volume(image, "huge");
    enum vde_block_state state;
    uint64_t bytes, far = (16ull << 40) - 4096;
    uint8_t *block = aligned_buffer(4096);
    OK(vde_volume_block_status(volume, 0, UINT64_MAX, &state, &bytes));
    cr_assert_eq(state, VDE_BLOCK_HOLE);
    cr_assert_eq(bytes, 16ull << 40);
    fill_bytes(block, 4096, 1);
    OK(vde_volume_write(volume, block, 4096, far, 0));
    OK(vde_image_checkpoint(image));
    OK(vde_volume_block_status(volume, 512, UINT64_MAX, &state, &bytes));
    cr_assert_eq(bytes, far - 512);
    OK(vde_volume_block_status(volume, far + 512, UINT64_MAX, &state, &bytes));
    cr_assert(state == VDE_BLOCK_DATA && bytes == 4096 - 512);
    OK(vde_volume_write_zeroes(volume, 16ull << 40, 0, 0));
    OK(vde_volume_read(volume, block, 4096, far));
    for (unsigned i = 0; i < 4096; i++)
        cr_assert_eq(block[i], 0);
    free(block);
    vde_volume_close(volume);
    close_clean(image, device);
}

Test(volume, names_sizes_and_refusals)
{
    struct vde_device *device = memory_image(8 * MIB);
    vde_image *image = open_quiet(device);
    struct vde_volume_opts opts = VDE_VOLUME_OPTS_INIT;
    char text[VDE_VOLUME_NAME_MAX + 2];
    vde_volume *volume;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    opts.size_bytes = 1 * MIB;
    EXPECT(VDE_INVAL, vde_volume_create(image, "", &opts));
    EXPECT(VDE_INVAL, vde_volume_create(image, "a/b", &opts));
    EXPECT(VDE_INVAL, vde_volume_create(image, text, &opts));
    text[VDE_VOLUME_NAME_MAX] = '\0';
    OK(vde_volume_create(image, text, &opts));
    EXPECT(VDE_EXISTS, vde_volume_create(image, text, &opts));
    opts.size_bytes = 0;
    EXPECT(VDE_INVAL, vde_volume_create(image, "a", &opts));
    opts.size_bytes = 513;
    EXPECT(VDE_INVAL, vde_volume_create(image, "a", &opts));
    opts.size_bytes = VDE_VOLUME_MAX_BYTES + 512;
    EXPECT(VDE_INVAL, vde_volume_create(image, "a", &opts));
    opts.size_bytes = 512;
    opts.compression = 10;
    EXPECT(VDE_INVAL, vde_volume_create(image, "a", &opts));
    opts.compression = 0;
    OK(vde_volume_create(image, "a", &opts));
    EXPECT(VDE_NOT_FOUND, vde_volume_open(image, "b", NULL, &volume));
    EXPECT(VDE_NOT_FOUND, vde_volume_open(image, "a", "s", &volume));
    volume = open_volume(image, "a");
    uint8_t bytes[1024] = {1};
    OK(vde_volume_write(volume, bytes, 512, 0, 0));
    EXPECT(VDE_INVAL, vde_volume_write(volume, bytes, 512, 512, 0));
    EXPECT(VDE_INVAL, vde_volume_write(volume, bytes, 511, 0, 0));
    EXPECT(VDE_INVAL, vde_volume_write(volume, bytes, 512, 1, 0));
    EXPECT(VDE_INVAL, vde_volume_write(volume, bytes, 512, UINT64_MAX - 511, 0));
    EXPECT(VDE_INVAL, vde_volume_write(volume, bytes, 512, 0, 0x80));
    EXPECT(VDE_INVAL, vde_volume_read(volume, bytes, 1024, 0));
    OK(vde_volume_write(volume, bytes, 0, 512, 0));
    EXPECT(VDE_BUSY, vde_volume_delete(image, "a"));
    OK(vde_volume_rename(image, "a", "b"));
    EXPECT(VDE_EXISTS, vde_volume_rename(image, "b", text));
    EXPECT(VDE_NOT_FOUND, vde_volume_rename(image, "a", "c"));
    EXPECT(VDE_BUSY, vde_volume_delete(image, "b"));
    vde_volume_close(volume);
    vde_volume_close(NULL);
    EXPECT(VDE_NOT_FOUND, vde_volume_delete(image, "a"));
    OK(vde_volume_delete(image, "b"));
    EXPECT(VDE_NOT_FOUND, vde_volume_open(image, "b", NULL, &volume));
    close_clean(image, device);
}

static vde_status note_name(void *context, const struct vde_volume_info *info)
{
    strcat(context, info->name);
    return strcmp(info->name, "stop") == 0 ? VDE_GAP : VDE_OK;
}

Test(volume, list_and_get)
{
    struct vde_device *device = memory_image(8 * MIB);
    vde_image *image = open_quiet(device);
    char names[64] = "";
    struct vde_volume_info info;
    create_volume(image, "b", 512, 3);
    create_volume(image, "a", 1 * MIB, 0);
    new_dataset(image, "volumesx");
    vde_view *view = view_of(image);
    OK(vde_volume_list(view, note_name, names));
    cr_assert_str_eq(names, "ab");
    OK(vde_volume_get(view, "b", &info));
    cr_assert(info.size_bytes == 512 && info.compression == 3 && info.snapshots == 0 && info.created_us > 0);
    EXPECT(VDE_NOT_FOUND, vde_volume_get(view, "c", &info));
    vde_view_close(view);
    create_volume(image, "stop", 512, 0);
    view = view_of(image);
    EXPECT(VDE_GAP, vde_volume_list(view, note_name, names));
    vde_view_close(view);
    vde_volume *volume = open_volume(image, "a");
    uint8_t *bytes = aligned_buffer(64 * KIB);
    OK(vde_volume_write(volume, bytes, 64 * KIB, 0, 0));
    vde_volume_close(volume);
    OK(vde_image_checkpoint(image));
    view = view_of(image);
    OK(vde_volume_get(view, "a", &info));
    cr_assert_eq(info.mapped_bytes, 64 * KIB);
    cr_assert_eq(info.stored_bytes, 64 * KIB);
    vde_view_close(view);
    free(bytes);
    close_clean(image, device);
}

Test(volume, resize_keeps_what_stays_and_forgets_what_goes)
{
    for (uint32_t level = 0; level < 2; level++) {
        struct vde_device *device = memory_image(16 * MIB);
        vde_image *image = open_quiet(device);
        struct shadow shadow = shadow_create(image, "a", 2 * MIB, level);
        shadow_write(&shadow, 2 * MIB, 0);
        EXPECT(VDE_INVAL, vde_volume_resize(image, "a", 1 * MIB, 0));
        uint64_t small = 1 * MIB + 4096 * 3 + 512;
        OK(vde_volume_resize(image, "a", small, VDE_VOLUME_SHRINK));
        cr_assert_eq(vde_volume_size(shadow.volume), small);
        uint8_t bytes[512] = {0};
        EXPECT(VDE_INVAL, vde_volume_write(shadow.volume, bytes, 512, small, 0));
        OK(vde_volume_resize(image, "a", 2 * MIB, 0));
        memset(shadow.bytes + small, 0, 2 * MIB - small);
        shadow_check_all(&shadow);
        shadow_reopen(&shadow, &image, device, "a");
        shadow_check_all(&shadow);
        shadow_done(&shadow);
        EXPECT(VDE_NOT_FOUND, vde_volume_resize(image, "b", 512, 0));
        close_clean(image, device);
    }
}

Test(volume, deleted_volumes_give_their_space_back)
{
    struct vde_device *device = memory_image(16 * MIB);
    vde_image *image = open_quiet(device);
    OK(vde_image_checkpoint(image));
    uint64_t before = info_of(image).used_bytes;
    for (unsigned i = 0; i < 3; i++) {
        struct shadow shadow = shadow_create(image, "a", 8 * MIB, i % 2);
        shadow_write(&shadow, 8 * MIB, 0);
        shadow_done(&shadow);
        OK(vde_volume_delete(image, "a"));
        for (unsigned c = 0; c < 4; c++)
            OK(vde_image_checkpoint(image));
    }
    cr_assert_leq(info_of(image).used_bytes, before + 64 * KIB);
    close_clean(image, device);
}

Test(volume, read_only_images_and_no_volume)
{
    struct vde_device *device = memory_image(8 * MIB);
    vde_image *image = open_quiet(device);
    struct shadow shadow = shadow_create(image, "a", 256 * KIB, 1);
    shadow_write(&shadow, 128 * KIB, 512);
    vde_volume_close(shadow.volume);
    OK(vde_image_close(image));
    image = open_flags(device, VDE_OPEN_READ_ONLY);
    shadow.volume = open_volume(image, "a");
    shadow_check_all(&shadow);
    EXPECT(VDE_READ_ONLY, vde_volume_write(shadow.volume, shadow.bytes, 512, 0, 0));
    EXPECT(VDE_READ_ONLY, vde_volume_discard(shadow.volume, 4096, 0, 0));
    OK(vde_volume_flush(shadow.volume));
    struct vde_volume_opts opts = VDE_VOLUME_OPTS_INIT;
    opts.size_bytes = 512;
    EXPECT(VDE_READ_ONLY, vde_volume_create(image, "b", &opts));
    EXPECT(VDE_READ_ONLY, vde_volume_delete(image, "a"));
    EXPECT(VDE_READ_ONLY, vde_volume_rename(image, "a", "b"));
    EXPECT(VDE_READ_ONLY, vde_volume_resize(image, "a", 512, VDE_VOLUME_SHRINK));
    shadow_done(&shadow);
    close_clean(image, device);
}

static vde_status describe(vde_image *image, const char *name, struct vde_volume_info *ret_info)
{
    vde_view *view;
    OK(vde_view_open(image, &view));
    vde_status status = vde_volume_get(view, name, ret_info);
    vde_view_close(view);
    return status;
}

Test(volume, a_snapshot_in_the_log_of_a_read_only_image_is_not_checkpointed)
{
    struct vde_device *device;
    OK(simulated_create(8 * MIB, 1, 0, &device));
    format_on(device, 0);
    vde_image *image = open_quiet(device);
    struct vde_volume_info info;
    create_volume(image, "a", 256 * KIB, 0);
    OK(describe(image, "a", &info));
    OK(vde_snapshot_create(image, info.id, "s", NULL));
    struct vde_device *copy;
    OK(simulated_clone(device, &copy));
    OK(vde_image_close(image));
    close_device(device);
    uint64_t hash = simulated_hash(copy), changes = simulated_count(copy);
    image = open_flags(copy, VDE_OPEN_READ_ONLY);
    EXPECT(VDE_READ_ONLY, vde_volume_clone(image, "a", "s", "b"));
    EXPECT(VDE_READ_ONLY, vde_snapshot_rollback(image, info.id, "s"));
    OK(describe(image, "a", &info));
    cr_assert_eq(info.snapshots, 1);
    OK(vde_image_close(image));
    cr_assert_eq(simulated_hash(copy), hash);
    cr_assert_eq(simulated_count(copy), changes);
    close_device(copy);
}

Test(volume, names_of_volumes_are_not_for_other_datasets)
{
    struct vde_device *device = memory_image(8 * MIB);
    vde_image *image = open_quiet(device);
    vde_txn *txn = begin(image);
    EXPECT(VDE_INVAL, vde_txn_dataset_create(txn, vde_id_reserve(image), "volumes/x"));
    OK(vde_txn_dataset_create(txn, vde_id_reserve(image), "volumes"));
    commit(txn);
    create_volume(image, "x", 4 * KIB, 0);
    struct vde_volume_info info;
    OK(describe(image, "x", &info));
    close_clean(image, device);
}

/* Change one bit of the block on the device that holds this pattern. */
static void damage(struct vde_device *device, const uint8_t *pattern)
{
    uint8_t *buffer = aligned_buffer(4096);
    bool done = false;
    for (uint64_t at = 0; at < device_size(device) && !done; at += 4096) {
        device_io(device, VDE_IO_READ, at, buffer, 4096);
        if (memcmp(buffer, pattern, 4096) != 0)
            continue;
        buffer[1234] ^= 16;
        device_io(device, VDE_IO_WRITE, at, buffer, 4096);
        done = true;
    }
    free(buffer);
    cr_assert(done);
}

Test(volume, a_flipped_bit_is_reported_with_its_place_and_never_returned)
{
    struct vde_device *device = memory_image(8 * MIB);
    vde_image *image = open_quiet(device);
    create_volume(image, "disk", 1 * MIB, 0);
    vde_volume *volume = open_volume(image, "disk");
    uint8_t *bytes = aligned_buffer(64 * KIB), *read = aligned_buffer(64 * KIB);
    fill_bytes(bytes, 64 * KIB, 7);
    OK(vde_volume_write(volume, bytes, 64 * KIB, 128 * KIB, 0));
    OK(vde_volume_flush(volume));
    damage(device, bytes + 5 * 4096);
    EXPECT(VDE_CORRUPT, vde_volume_read(volume, read, 64 * KIB, 128 * KIB));
    cr_assert_not_null(strstr(vde_last_error()->text, "volume \"disk\" offset 151552"), "%s", vde_last_error()->text);
    EXPECT(VDE_CORRUPT, vde_volume_read(volume, read, 512, 128 * KIB + 5 * 4096 + 1024));
    EXPECT(VDE_CORRUPT, vde_volume_write(volume, read, 512, 128 * KIB + 5 * 4096 + 1024, 0)); /* it would be sealed in */
    OK(vde_volume_read(volume, read, 4096, 128 * KIB + 6 * 4096));
    cr_assert_arr_eq(read, bytes + 6 * 4096, 4096);
    OK(vde_volume_write(volume, bytes, 4096, 128 * KIB + 5 * 4096, 0));
    OK(vde_volume_read(volume, read, 64 * KIB, 128 * KIB));
    free(bytes);
    free(read);
    vde_volume_close(volume);
    close_clean(image, device);
}

/* The tree of a volume holds runs: a key and a value in it would be damage. */
Test(volume, takes_no_keys_and_values)
{
    struct vde_device *device = memory_image(16 * MIB);
    vde_image *image = open_quiet(device);
    struct shadow shadow = shadow_create(image, "a", 1 * MIB, 0);
    struct vde_volume_info info;
    for (unsigned opened = 0; opened < 2; opened++) {
        vde_view *view = view_of(image);
        OK(vde_volume_get(view, "a", &info));
        vde_view_close(view);
        vde_txn *txn = begin(image);
        EXPECT(VDE_INVAL, txn_put_text(txn, info.id, "key", "value"));
        EXPECT(VDE_INVAL, txn_put_text(txn, info.id, "key", "value"));
        EXPECT(VDE_INVAL, vde_txn_delete(txn, info.id, "key", 3));
        vde_txn_destroy(txn);
        shadow_reopen(&shadow, &image, device, "a");
    }
    shadow_done(&shadow);
    close_clean(image, device);
}
