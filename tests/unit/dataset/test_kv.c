/* SPDX-License-Identifier: Apache-2.0 */
/* kv datasets: keys and values of every size, cursors over overlays, frozen overlays and trees at once. */
#include <criterion/criterion.h>

#include <errno.h>

#include "unit/pool/engine.h"

Test(kv, values_of_every_size, .timeout = 120)
{
    static const size_t sizes[] = {0, 1, 100, 1700, 4096, 65535, 65536, 65537, 1u << 20, (4u << 20) - 1, 4u << 20,
                                   (4u << 20) + 1, 8u << 20};
    struct vde_device *device = memory_image(96 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d");
    char key[16];
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        snprintf(key, sizeof key, "%zu", sizes[i]);
        OK(put_seed(image, d, key, sizes[i], i));
    }
    for (unsigned pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            snprintf(key, sizeof key, "%zu", sizes[i]);
            cr_assert(has_seed(image, d, 0, key, sizes[i], i), "%zu bytes in pass %u", sizes[i], pass);
        }
        image = reopen(image, device);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        snprintf(key, sizeof key, "%zu", sizes[i]);
        delete_key(image, d, key);
    }
    OK(vde_image_checkpoint(image));
    OK(vde_image_checkpoint(image));
    cr_assert_leq(info_of(image).used_bytes, 20 * 4096);
    vde_txn *txn = begin(image);
    EXPECT(VDE_TOO_LARGE, vde_txn_put(txn, d, "k", 1, "", (size_t)VDE_VALUE_MAX + 1));
    vde_txn_destroy(txn);
    close_clean(image, device);
}

Test(kv, keys_of_every_length)
{
    struct vde_device *device = memory_image(8 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d");
    uint8_t key[VDE_KEY_MAX + 1];
    memset(key, 0xff, sizeof key);
    vde_txn *txn = begin(image);
    EXPECT(VDE_INVAL, vde_txn_put(txn, d, key, 0, "v", 1));
    EXPECT(VDE_INVAL, vde_txn_put(txn, d, key, VDE_KEY_MAX + 1, "v", 1));
    EXPECT(VDE_INVAL, vde_txn_delete(txn, d, key, 0));
    vde_txn_destroy(txn);
    for (size_t size = 1; size <= VDE_KEY_MAX; size++) {
        txn = begin(image);
        OK(vde_txn_put(txn, d, key, size, &size, sizeof size));
        commit(txn);
    }
    for (unsigned pass = 0; pass < 2; pass++) {
        vde_view *view = view_of(image);
        vde_kv *kv;
        vde_cursor *cursor;
        struct vde_bytes bytes;
        OK(vde_kv_open(view, d, &kv));
        EXPECT(VDE_INVAL, vde_kv_get(kv, key, 0, &bytes));
        EXPECT(VDE_INVAL, vde_kv_get(kv, key, VDE_KEY_MAX + 1, &bytes));
        OK(vde_cursor_open(kv, NULL, 0, &cursor));
        const void *at, *value;
        size_t at_size, value_size, count = 0;
        while (vde_cursor_get(cursor, &at, &at_size, &value, &value_size) == VDE_OK) {
            cr_assert_eq(at_size, ++count); /* a prefix comes first */
            cr_assert_arr_eq(value, &count, sizeof count);
            OK(vde_cursor_next(cursor));
        }
        cr_assert_eq(count, VDE_KEY_MAX);
        EXPECT(VDE_NOT_FOUND, vde_cursor_next(cursor));
        vde_cursor_close(cursor);
        vde_cursor_close(NULL);
        vde_kv_close(kv);
        vde_view_close(view);
        image = reopen(image, device);
    }
    close_clean(image, device);
}

/* Three layers: the tree, a frozen overlay whose checkpoint failed, and the active overlay. */
Test(kv, a_cursor_merges_all_layers)
{
    struct vde_device *device = simulated_image(8 * MIB, 1);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d");
    char key[16];
    for (unsigned i = 0; i < 300; i++) {
        snprintf(key, sizeof key, "%03u", i);
        put_text(image, d, key, "tree");
    }
    OK(vde_image_checkpoint(image));
    for (unsigned i = 0; i < 300; i += 3) {
        snprintf(key, sizeof key, "%03u", i);
        if (i % 2)
            delete_key(image, d, key);
        else
            put_text(image, d, key, "frozen");
    }
    simulated_fail(device, SIMULATED_WRITE, 1, 1, ENOSPC);
    EXPECT(VDE_NOSPC, vde_image_checkpoint(image));
    simulated_clear_faults(device);
    for (unsigned i = 0; i < 300; i += 5) {
        snprintf(key, sizeof key, "%03u", i);
        if (i % 4 == 0)
            delete_key(image, d, key);
        else
            put_text(image, d, key, "active");
    }
    for (unsigned pass = 0; pass < 2; pass++) {
        vde_view *view = view_of(image);
        vde_kv *kv;
        vde_cursor *cursor;
        OK(vde_kv_open(view, d, &kv));
        for (unsigned from = 0; from < 300; from += 99) {
            snprintf(key, sizeof key, "%03u", from);
            OK(vde_cursor_open(kv, key, 3, &cursor));
            for (unsigned i = from; i < 300; i++) {
                const char *expected = "tree";
                if (i % 3 == 0)
                    expected = i % 2 ? NULL : "frozen";
                if (i % 5 == 0)
                    expected = i % 4 == 0 ? NULL : "active";
                snprintf(key, sizeof key, "%03u", i);
                cr_assert(view_has(view, d, 0, key, expected), "%s", key);
                if (!expected)
                    continue;
                const void *at, *value;
                size_t at_size, size;
                OK(vde_cursor_get(cursor, &at, &at_size, &value, &size));
                cr_assert(at_size == 3 && memcmp(at, key, 3) == 0, "at %.3s, expected %s", (const char *)at, key);
                cr_assert(size == strlen(expected) && memcmp(value, expected, size) == 0);
                OK(vde_cursor_next(cursor));
            }
            const void *at, *value;
            size_t at_size, size;
            EXPECT(VDE_NOT_FOUND, vde_cursor_get(cursor, &at, &at_size, &value, &size));
            vde_cursor_close(cursor);
        }
        vde_kv_close(kv);
        vde_view_close(view);
        OK(vde_image_checkpoint(image));
    }
    close_clean(image, device);
}

Test(kv, a_cursor_survives_checkpoints_and_changes)
{
    struct vde_device *device = memory_image(8 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d");
    char key[16];
    for (unsigned i = 0; i < 500; i++) {
        snprintf(key, sizeof key, "%03u", i);
        OK(put_seed(image, d, key, 200, i));
    }
    vde_view *view = view_of(image);
    vde_kv *kv;
    vde_cursor *cursor;
    OK(vde_kv_open(view, d, &kv));
    OK(vde_cursor_open(kv, NULL, 0, &cursor));
    for (unsigned i = 0; i < 500; i++) {
        const void *at, *value;
        size_t at_size, size;
        if (i % 50 == 0) {
            for (unsigned k = 0; k < 500; k += 7) {
                snprintf(key, sizeof key, "%03u", k);
                OK(put_seed(image, d, key, 200, 9999));
            }
            OK(vde_image_checkpoint(image));
        }
        OK(vde_cursor_get(cursor, &at, &at_size, &value, &size));
        cr_assert(size == 200 && bytes_equal_seed(value, 200, i));
        OK(vde_cursor_next(cursor));
    }
    vde_cursor_close(cursor);
    vde_kv_close(kv);
    vde_view_close(view);
    close_clean(image, device);
}

Test(kv, the_last_change_of_a_key_in_a_transaction_wins)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d");
    vde_txn *txn = begin(image);
    OK(txn_put_text(txn, d, "a", "1"));
    OK(txn_put_text(txn, d, "a", "2"));
    OK(txn_put_text(txn, d, "b", "1"));
    OK(vde_txn_delete(txn, d, "b", 1));
    OK(vde_txn_delete(txn, d, "c", 1));
    OK(txn_put_text(txn, d, "c", "3"));
    OK(vde_txn_delete(txn, d, "never there", 11));
    commit(txn);
    for (unsigned pass = 0; pass < 2; pass++) {
        cr_assert(has(image, d, 0, "a", "2"));
        cr_assert(has(image, d, 0, "b", NULL));
        cr_assert(has(image, d, 0, "c", "3"));
        image = reopen(image, device);
    }
    close_clean(image, device);
}
