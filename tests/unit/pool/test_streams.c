/* SPDX-License-Identifier: Apache-2.0 */
/* Streams as submit sees them: put-if-absent, several appends in one transaction, times. */
#include <criterion/criterion.h>

#include "unit/pool/engine.h"

#define DAY_US 86400000000ull

static vde_status append_at(vde_image *image, uint64_t stream, uint64_t number, uint64_t time_us)
{
    vde_txn *txn = begin(image);
    vde_status status = vde_txn_append(txn, stream, number, time_us, "x", 1);
    if (status == VDE_OK)
        return commit_status(txn);
    vde_txn_destroy(txn);
    return status;
}

static uint64_t entry_time(vde_image *image, uint64_t stream, uint64_t number)
{
    vde_view *view = view_of(image);
    vde_stream_cursor *cursor;
    struct vde_entry entry;
    OK(vde_stream_open(view, stream, number, &cursor));
    OK(vde_stream_next(cursor, &entry));
    cr_assert_eq(entry.number, number);
    uint64_t time_us = entry.time_us;
    vde_stream_close(cursor);
    vde_view_close(view);
    return time_us;
}

static void put_if_absent(bool checkpointed)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t s = vde_id_reserve(image);
    uint64_t first, last;
    cr_assert_not(stream_range(image, s, &first, &last));
    OK(append_status(image, s, 7, "seven"));
    OK(append_status(image, s, 8, "eight"));
    if (checkpointed) {
        OK(vde_image_checkpoint(image));
        image = reopen(image, device);
    }
    EXPECT(VDE_EXISTS, append_status(image, s, 8, "again"));
    EXPECT(VDE_EXISTS, append_status(image, s, 0, "below the first"));
    EXPECT(VDE_GAP, append_status(image, s, 10, "too far"));
    EXPECT(VDE_GAP, append_status(image, s, UINT64_MAX, "much too far"));
    cr_assert(stream_is(image, s, 7, 8));
    OK(append_status(image, s, 9, "nine"));
    cr_assert(stream_is(image, s, 7, 9));
    close_clean(image, device);
}

Test(streams, put_if_absent_in_the_overlay) { put_if_absent(false); }
Test(streams, put_if_absent_in_the_trees) { put_if_absent(true); }

Test(streams, a_refused_append_changes_nothing)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t s = vde_id_reserve(image), d = new_dataset(image, "d");
    OK(append_status(image, s, 0, "zero"));
    uint64_t lsn = info_of(image).durable_lsn;
    vde_txn *txn = begin(image);
    OK(txn_put_text(txn, d, "key", "value"));
    OK(vde_txn_append(txn, s, 0, 0, "x", 1));
    EXPECT(VDE_EXISTS, commit_status(txn));
    cr_assert_eq(info_of(image).durable_lsn, lsn);
    cr_assert(has(image, d, 0, "key", NULL));
    close_clean(image, device);
}

Test(streams, two_builders_of_one_number_one_wins)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t s = vde_id_reserve(image);
    struct vde_commit first;
    vde_txn *a = begin(image), *b = begin(image);
    OK(vde_txn_append(a, s, 0, 0, "a", 1));
    OK(vde_txn_append(b, s, 0, 0, "b", 1));
    OK(vde_txn_submit(a, &first)); /* not durable yet, and decides all the same */
    EXPECT(VDE_EXISTS, commit_status(b));
    OK(vde_image_wait(image, first.lsn));
    vde_txn_destroy(a);
    cr_assert(stream_is(image, s, 0, 0));
    close_clean(image, device);
}

Test(streams, several_entries_and_streams_in_one_transaction)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t s = vde_id_reserve(image), t = vde_id_reserve(image);
    vde_txn *txn = begin(image);
    for (uint64_t i = 0; i < 5; i++) {
        OK(vde_txn_append(txn, s, i, 0, &i, sizeof i));
        OK(vde_txn_append(txn, t, 100 + i, 0, &i, sizeof i));
    }
    EXPECT(VDE_GAP, vde_txn_append(txn, s, 6, 0, "x", 1));
    EXPECT(VDE_EXISTS, vde_txn_append(txn, s, 4, 0, "x", 1));
    struct vde_commit done = commit(txn);
    cr_assert(stream_is(image, s, 0, 4));
    cr_assert(stream_is(image, t, 100, 104));
    vde_view *view = view_of(image);
    vde_stream_cursor *cursor;
    OK(vde_stream_open(view, t, 0, &cursor));
    for (uint64_t i = 0; i < 5; i++) {
        struct vde_entry entry;
        OK(vde_stream_next(cursor, &entry));
        cr_assert_eq(entry.number, 100 + i);
        cr_assert_eq(entry.lsn, done.lsn);
        cr_assert_eq(entry.time_us, done.time_us);
        cr_assert_eq(entry.size, sizeof i);
        cr_assert_arr_eq(entry.data, &i, sizeof i);
    }
    vde_stream_close(cursor);
    vde_view_close(view);
    close_clean(image, device);
}

Test(streams, times_are_the_callers_or_the_transactions_and_never_decrease)
{
    struct vde_device *device = memory_image(4 * MIB);
    struct fixed_env fixed = {.now = 50 * DAY_US};
    struct vde_env env = fixed_env(&fixed);
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    vde_image *image;
    opts.env = &env;
    opts.flags = VDE_OPEN_NO_THREADS;
    OK(vde_image_open_device(device, &opts, &image));
    uint64_t s = vde_id_reserve(image);
    OK(append_at(image, s, 0, 10 * DAY_US));
    OK(append_at(image, s, 1, 10 * DAY_US)); /* equal is not a decrease */
    EXPECT(VDE_INVAL, append_at(image, s, 2, 10 * DAY_US - 1));
    OK(append_at(image, s, 2, 0));
    cr_assert_eq(entry_time(image, s, 0), 10 * DAY_US);
    cr_assert_geq(entry_time(image, s, 2), 50 * DAY_US);
    OK(append_at(image, s, 3, 90 * DAY_US)); /* ahead of the clock */
    OK(append_at(image, s, 4, 0));
    cr_assert_gt(entry_time(image, s, 4), 90 * DAY_US);
    EXPECT(VDE_INVAL, append_at(image, s, 5, 90 * DAY_US));
    close_clean(image, device);
}

Test(streams, an_own_time_behind_an_entry_of_the_transactions_time_does_not_go_back)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t s = vde_id_reserve(image), first, last;
    vde_txn *txn = begin(image);
    OK(vde_txn_append(txn, s, 0, 0, "a", 1));
    vde_status status = vde_txn_append(txn, s, 1, DAY_US, "b", 1); /* 1970: before any transaction's time */
    if (status == VDE_OK)
        status = commit_status(txn);
    else
        vde_txn_destroy(txn);
    cr_assert_eq(status, VDE_INVAL);
    cr_assert_not(stream_range(image, s, &first, &last));
    close_clean(image, device);
}

Test(streams, a_time_at_the_end_of_the_numbers_does_not_wrap)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t s = vde_id_reserve(image);
    vde_status status = append_at(image, s, 0, UINT64_MAX);
    if (status == VDE_OK) {
        OK(append_at(image, s, 1, 0));
        cr_assert_geq(entry_time(image, s, 1), entry_time(image, s, 0));
    } else {
        cr_assert_eq(status, VDE_INVAL);
    }
    vde_txn *txn = begin(image);
    vde_txn_time_at_least(txn, UINT64_MAX);
    OK(vde_txn_append(txn, vde_id_reserve(image), 0, 0, "x", 1));
    struct vde_commit late = commit(txn);
    txn = begin(image);
    OK(vde_txn_append(txn, vde_id_reserve(image), 0, 0, "x", 1));
    cr_assert_gt(commit(txn).time_us, late.time_us);
    close_clean(image, device);
}

Test(streams, commit_times_increase_when_the_clock_stands_still_or_goes_back)
{
    struct vde_device *device = memory_image(4 * MIB);
    struct fixed_env fixed = {.now = 50 * DAY_US};
    struct vde_env env = fixed_env(&fixed);
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    vde_image *image;
    uint64_t last = 0;
    opts.env = &env;
    opts.flags = VDE_OPEN_NO_THREADS;
    OK(vde_image_open_device(device, &opts, &image));
    uint64_t d = new_dataset(image, NULL);
    for (unsigned i = 0; i < 20; i++) {
        if (i == 10)
            fixed.now -= DAY_US;
        if (i == 15) {
            OK(vde_image_close(image));
            OK(vde_image_open_device(device, &opts, &image));
        }
        vde_txn *txn = begin(image);
        OK(txn_put_text(txn, d, "k", "v"));
        if (i == 12)
            vde_txn_time_at_least(txn, 60 * DAY_US);
        struct vde_commit done = commit(txn);
        cr_assert_gt(done.time_us, last);
        if (i >= 12)
            cr_assert_geq(done.time_us, 60 * DAY_US);
        last = done.time_us;
    }
    close_clean(image, device);
}

static void drop_stream(vde_image *image, uint64_t stream)
{
    vde_txn *txn = begin(image);
    OK(vde_txn_stream_drop(txn, stream));
    commit(txn);
}

Test(streams, a_dropped_stream_is_gone_at_once)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t s = vde_id_reserve(image), first, last, number;
    OK(append_status(image, s, 0, "zero"));
    OK(vde_image_checkpoint(image));
    OK(append_status(image, s, 1, "one"));
    vde_view *before = view_of(image);
    drop_stream(image, s);
    cr_assert_not(stream_range(image, s, &first, &last));
    EXPECT(VDE_NOT_FOUND, append_status(image, s, 2, "two"));
    vde_view *after = view_of(image);
    vde_stream_cursor *cursor;
    struct vde_entry entry;
    EXPECT(VDE_NOT_FOUND, vde_stream_find_time(after, s, UINT64_MAX, &number));
    if (vde_stream_open(after, s, 0, &cursor) == VDE_OK) {
        EXPECT(VDE_NOT_FOUND, vde_stream_next(cursor, &entry));
        vde_stream_close(cursor);
    }
    vde_view_close(after);
    OK(vde_image_checkpoint(image));
    cr_assert_not(stream_range(image, s, &first, &last));
    EXPECT(VDE_NOT_FOUND, append_status(image, s, 2, "two"));
    OK(vde_stream_range(before, s, &first, &last)); /* an older view sees it still */
    cr_assert(first == 0 && last == 1);
    vde_view_close(before);
    close_clean(image, device);
}

Test(streams, the_id_of_a_dropped_stream_is_not_handed_out_again)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t s = vde_id_reserve(image);
    OK(append_status(image, s, 0, "zero"));
    drop_stream(image, s);
    image = reopen(image, device);
    cr_assert_gt(vde_id_reserve(image), s);
    close_clean(image, device);
}

Test(streams, arguments_are_checked)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_quiet(device);
    vde_txn *txn = begin(image);
    EXPECT(VDE_INVAL, vde_txn_append(txn, 0, 0, 0, "x", 1));
    EXPECT(VDE_INVAL, vde_txn_append(txn, UINT64_MAX, 0, 0, "x", 1));
    EXPECT(VDE_INVAL, vde_txn_stream_drop(txn, 3));
    EXPECT(VDE_TOO_LARGE, vde_txn_append(txn, vde_id_reserve(image), 0, 0, "x", (size_t)VDE_VALUE_MAX + 1));
    vde_txn_destroy(txn);
    close_clean(image, device);
}

Test(streams, an_entry_at_the_last_number_ends_its_stream)
{
    struct vde_device *device = memory_image(4 * MIB);
    vde_image *image = open_quiet(device);
    uint64_t s = vde_id_reserve(image);
    OK(append_status(image, s, UINT64_MAX, "last"));
    EXPECT(VDE_EXISTS, append_status(image, s, 0, "wrapped"));
    image = reopen(image, device);
    EXPECT(VDE_EXISTS, append_status(image, s, 0, "wrapped"));
    cr_assert(stream_is(image, s, UINT64_MAX, UINT64_MAX));
    close_clean(image, device);
}
