/* SPDX-License-Identifier: Apache-2.0 */
/* Reading streams: across batches, from any number, by time, entries of every size. */
#include <criterion/criterion.h>

#include "unit/pool/engine.h"

#define HOUR_US 3600000000ull

static size_t entry_bytes(uint64_t number)
{
    return number % 97 == 50 ? 70000 : number % 31 == 7 ? 0 : (size_t)(number * 13 % 700);
}

static void append_range(vde_image *image, uint64_t stream, uint64_t first, uint64_t count)
{
    uint8_t *bytes = malloc(70000);
    while (count > 0) {
        vde_txn *txn = begin(image);
        for (unsigned i = 0; i < 20 && count > 0; i++, first++, count--) {
            fill_bytes(bytes, entry_bytes(first), first);
            OK(vde_txn_append(txn, stream, first, (first + 1) * HOUR_US, bytes, entry_bytes(first)));
        }
        commit(txn);
    }
    free(bytes);
}

static void expect_entries(vde_image *image, uint64_t stream, uint64_t from, uint64_t first, uint64_t last)
{
    vde_view *view = view_of(image);
    vde_stream_cursor *cursor;
    struct vde_entry entry;
    OK(vde_stream_open(view, stream, from, &cursor));
    for (uint64_t n = from > first ? from : first; n <= last; n++) {
        OK(vde_stream_next(cursor, &entry));
        cr_assert_eq(entry.number, n);
        cr_assert_eq(entry.time_us, (n + 1) * HOUR_US);
        cr_assert_eq(entry.size, entry_bytes(n));
        cr_assert(bytes_equal_seed(entry.data, entry.size, n));
    }
    EXPECT(VDE_NOT_FOUND, vde_stream_next(cursor, &entry));
    EXPECT(VDE_NOT_FOUND, vde_stream_next(cursor, &entry));
    vde_stream_close(cursor);
    vde_view_close(view);
}

Test(stream, across_batches_and_overlays)
{
    struct vde_device *device = memory_image(32 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t before = vde_id_reserve(image), s = vde_id_reserve(image), behind = vde_id_reserve(image);
    append_range(image, before, 0, 3);
    append_range(image, behind, 0, 3);
    append_range(image, s, 10, 1500);
    OK(vde_image_checkpoint(image));
    append_range(image, s, 1510, 30);
    OK(vde_image_checkpoint(image));
    append_range(image, s, 1540, 60);
    for (unsigned pass = 0; pass < 2; pass++) {
        static const uint64_t froms[] = {0, 10, 11, 600, 1509, 1510, 1511, 1539, 1540, 1541, 1599, 1600, UINT64_MAX};
        cr_assert(stream_is(image, s, 10, 1599));
        for (size_t i = 0; i < sizeof froms / sizeof froms[0]; i++)
            expect_entries(image, s, froms[i], 10, 1599);
        expect_entries(image, before, 0, 0, 2);
        expect_entries(image, behind, 0, 0, 2);
        image = reopen(image, device);
    }
    close_clean(image, device);
}

Test(stream, more_than_one_full_batch_of_tiny_entries)
{
    struct vde_device *device = memory_image(32 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t s = vde_id_reserve(image);
    for (uint64_t n = 0; n < 3000;) {
        vde_txn *txn = begin(image);
        for (unsigned i = 0; i < 500; i++, n++)
            OK(vde_txn_append(txn, s, n, (n + 1) * HOUR_US, NULL, 0));
        commit(txn);
    }
    image = reopen(image, device);
    vde_view *view = view_of(image);
    vde_stream_cursor *cursor;
    struct vde_entry entry;
    for (uint64_t from = 0; from < 3000; from += 511) {
        OK(vde_stream_open(view, s, from, &cursor));
        for (uint64_t n = from; n < 3000; n++) {
            OK(vde_stream_next(cursor, &entry));
            cr_assert(entry.number == n && entry.size == 0 && entry.time_us == (n + 1) * HOUR_US);
        }
        EXPECT(VDE_NOT_FOUND, vde_stream_next(cursor, &entry));
        vde_stream_close(cursor);
    }
    vde_view_close(view);
    close_clean(image, device);
}

Test(stream, find_time)
{
    struct vde_device *device = memory_image(32 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t s = vde_id_reserve(image), number;
    vde_view *view = view_of(image);
    EXPECT(VDE_NOT_FOUND, vde_stream_find_time(view, s, UINT64_MAX, &number));
    vde_view_close(view);
    append_range(image, s, 0, 400);
    OK(vde_image_checkpoint(image));
    append_range(image, s, 400, 100);
    for (unsigned pass = 0; pass < 2; pass++) {
        view = view_of(image);
        EXPECT(VDE_NOT_FOUND, vde_stream_find_time(view, s, 0, &number));
        EXPECT(VDE_NOT_FOUND, vde_stream_find_time(view, s, HOUR_US - 1, &number));
        for (uint64_t n = 0; n < 500; n += 1 + n % 7) {
            OK(vde_stream_find_time(view, s, (n + 1) * HOUR_US, &number));
            cr_assert_eq(number, n);
            OK(vde_stream_find_time(view, s, (n + 2) * HOUR_US - 1, &number));
            cr_assert_eq(number, n);
        }
        OK(vde_stream_find_time(view, s, UINT64_MAX, &number));
        cr_assert_eq(number, 499);
        vde_view_close(view);
        image = reopen(image, device);
    }
    close_clean(image, device);
}

Test(stream, find_time_among_equal_times_gives_the_last)
{
    struct vde_device *device = memory_image(8 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t s = vde_id_reserve(image), number;
    vde_txn *txn = begin(image);
    for (uint64_t n = 0; n < 90; n++) /* thirty a time */
        OK(vde_txn_append(txn, s, n, (n / 30 + 1) * HOUR_US, "x", 1));
    commit(txn);
    for (unsigned pass = 0; pass < 2; pass++) {
        vde_view *view = view_of(image);
        for (uint64_t t = 1; t <= 3; t++) {
            OK(vde_stream_find_time(view, s, t * HOUR_US, &number));
            cr_assert_eq(number, t * 30 - 1);
        }
        vde_view_close(view);
        image = reopen(image, device);
    }
    close_clean(image, device);
}

Test(stream, big_entries_and_a_single_entry)
{
    static const size_t sizes[] = {65536, 65537, 1u << 20, (4u << 20) + 5, 0};
    struct vde_device *device = memory_image(64 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t s = vde_id_reserve(image), number;
    uint8_t *bytes = malloc(5u << 20);
    for (uint64_t n = 0; n < 5; n++) {
        fill_bytes(bytes, sizes[n], n);
        vde_txn *txn = begin(image);
        OK(vde_txn_append(txn, s, n, 0, bytes, sizes[n]));
        commit(txn);
        for (unsigned pass = 0; pass < 2; pass++) {
            vde_view *view = view_of(image);
            vde_stream_cursor *cursor;
            struct vde_entry entry;
            OK(vde_stream_open(view, s, 0, &cursor));
            for (uint64_t i = 0; i <= n; i++) {
                OK(vde_stream_next(cursor, &entry));
                cr_assert(entry.number == i && entry.size == sizes[i] && bytes_equal_seed(entry.data, sizes[i], i));
            }
            vde_stream_close(cursor);
            vde_stream_close(NULL);
            OK(vde_stream_find_time(view, s, UINT64_MAX, &number));
            cr_assert_eq(number, n);
            vde_view_close(view);
            OK(vde_image_checkpoint(image));
        }
    }
    free(bytes);
    close_clean(image, device);
}
