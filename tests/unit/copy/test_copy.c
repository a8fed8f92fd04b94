/* SPDX-License-Identifier: Apache-2.0 */
/* Copying an image: the same contents, one instant, nothing half-made that opens, nothing damaged that passes. */
#include <criterion/criterion.h>

#include <vde/copy.h>

#include "pool/pool.h"
#include "pool/target.h"

#include "../pool/engine.h"

#define IMAGE_BYTES (16 * MIB)
#define STREAM 4000u

/* What every image of these tests holds; `round` says which values. */
struct content {
    uint64_t dataset, files[8];
    unsigned rounds;
};

static void add_round(vde_image *image, struct content *content)
{
    char key[32];
    unsigned round = content->rounds++;
    for (unsigned i = 0; i < 40; i++) {
        snprintf(key, sizeof key, "key %u", (round * 7 + i) % 200);
        OK(put_seed(image, content->dataset, key, i % 5 ? 100 : 9000, round * 1000 + i));
    }
    vde_txn *txn = begin(image);
    OK(vde_txn_append(txn, STREAM, round + 1, 0, key, strlen(key)));
    OK(txn_put_seed(txn, content->dataset, "round", 8, round));
    OK(vde_txn_snapshot_create(txn, content->dataset, round + 1));
    commit(txn);
    if (round < 8)
        content->files[round] = write_file(image, 50000 * (round + 1), round);
    OK(vde_image_checkpoint(image));
}

static void expect_content(vde_image *image, const struct content *content)
{
    cr_assert(stream_is(image, STREAM, 1, content->rounds));
    for (unsigned round = 0; round < content->rounds; round++) {
        cr_assert(has_seed(image, content->dataset, round + 1, "round", 8, round));
        if (round < 8)
            cr_assert(file_is(image, content->files[round], 50000 * (round + 1), round));
    }
    cr_assert(has_seed(image, content->dataset, 0, "round", 8, content->rounds - 1));
}

static struct vde_device *source_device;
static vde_image *source;
static struct content content;

static void setup(void)
{
    source_device = simulated_image(IMAGE_BYTES, 1);
    source = open_quiet(source_device);
    content = (struct content){.dataset = new_dataset(source, "d")};
    for (unsigned i = 0; i < 5; i++)
        add_round(source, &content);
}

static void teardown(void)
{
    close_clean(source, source_device);
}

static struct vde_device *blank(uint64_t bytes)
{
    struct vde_device *device;
    OK(simulated_create(bytes, 2, 0, &device));
    return device;
}

static vde_status open_status(struct vde_device *device)
{
    vde_image *image;
    vde_status status = vde_image_open_device(device, NULL, &image);
    if (status == VDE_OK)
        OK(vde_image_close(image));
    return status;
}

static void expect_copy(struct vde_device *device, const struct content *expected)
{
    struct vde_check_opts opts = VDE_CHECK_OPTS_INIT;
    struct vde_check_summary summary;
    opts.flags = VDE_CHECK_DATA | VDE_CHECK_SCRUB;
    opts.finding = print_finding;
    OK(vde_check_device(device, &opts, &summary));
    cr_assert_eq(summary.findings, 0);
    vde_image *image = open_quiet(device);
    expect_content(image, expected);
    put_text(image, expected->dataset, "after", "x"); /* and it is an image like any other */
    close_clean(image, device);
}

TestSuite(copy, .init = setup, .fini = teardown);

Test(copy, holds_everything_up_to_the_call)
{
    struct vde_device *target = blank(IMAGE_BYTES);
    struct vde_copy_result result;
    put_text(source, content.dataset, "late", "only in the log");
    struct vde_image_info before = info_of(source);
    OK(vde_image_copy_device(source, target, NULL, &result));
    cr_assert_eq(result.lsn, before.durable_lsn);
    cr_assert_eq(result.size_bytes, IMAGE_BYTES);
    cr_assert_gt(result.copied_bytes, 0);
    cr_assert_lt(result.copied_bytes, IMAGE_BYTES / 2);
    cr_assert_eq(result.check.findings, 0);
    cr_assert_eq(result.check.files, 5);
    vde_image *image = open_quiet(target);
    struct vde_image_info info = info_of(image);
    cr_assert_eq(memcmp(info.uuid, before.uuid, sizeof info.uuid), 0);
    cr_assert_eq(info.replayed_records, 0);
    cr_assert(has(image, content.dataset, 0, "late", "only in the log"));
    OK(vde_image_close(image));
    expect_copy(target, &content);
}

Test(copy, a_larger_target_will_do_and_one_that_is_a_block_smaller)
{
    struct vde_device *large = blank(2 * IMAGE_BYTES), *small = blank(IMAGE_BYTES - BLOCK_BYTES);
    OK(vde_image_copy_device(source, large, NULL, NULL));
    expect_copy(large, &content);
    EXPECT(VDE_INVAL, vde_image_copy_device(source, source_device, NULL, NULL));
    OK(vde_image_copy_device(source, small, NULL, NULL));
    expect_copy(small, &content);
}

Test(copy, what_the_target_holds_is_kept_unless_forced)
{
    struct vde_copy_opts opts = VDE_COPY_OPTS_INIT;
    struct vde_device *target = simulated_image(IMAGE_BYTES, 7);
    uint64_t hash = simulated_hash(target);
    EXPECT(VDE_EXISTS, vde_image_copy_device(source, target, &opts, NULL));
    cr_assert_eq(simulated_hash(target), hash);
    opts.flags = VDE_COPY_FORCE;
    OK(vde_image_copy_device(source, target, &opts, NULL));
    expect_copy(target, &content);
}

/* An older copy went on by itself: it has the same uuid, and superblocks and log records of higher numbers. */
Test(copy, replaces_a_copy_that_was_written_to)
{
    struct vde_copy_opts opts = VDE_COPY_OPTS_INIT;
    struct vde_device *target = blank(IMAGE_BYTES);
    OK(vde_image_copy_device(source, target, &opts, NULL));
    vde_image *copy = open_quiet(target);
    struct content other = content;
    for (unsigned i = 0; i < 3; i++)
        add_round(copy, &other);
    put_text(copy, content.dataset, "strange", "x");
    struct vde_device *crashed;
    OK(simulated_clone(target, &crashed));
    OK(vde_image_close(copy));
    close_device(target);
    opts.flags = VDE_COPY_FORCE;
    OK(vde_image_copy_device(source, crashed, &opts, NULL));
    copy = open_quiet(crashed);
    cr_assert(has(copy, content.dataset, 0, "strange", NULL));
    expect_content(copy, &content);
    close_clean(copy, crashed);
}

/* --- while it is in use --------------------------------------------------------------------------------------------- */

struct writer {
    vde_image *image;
    struct content content;
    unsigned calls;
    uint64_t done, total;
};

static void write_meanwhile(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    struct writer *writer = context;
    writer->calls++;
    cr_assert_geq(done_bytes, writer->done);
    cr_assert_leq(done_bytes, total_bytes);
    writer->done = done_bytes;
    writer->total = total_bytes;
    for (unsigned i = 0; i < 6 && writer->content.rounds < 30; i++) {
        add_round(writer->image, &writer->content);
        if (writer->content.rounds > 8)
            unsnapshot(writer->image, writer->content.dataset, writer->content.rounds - 8);
    }
}

Test(copy, is_one_instant_however_much_is_written_meanwhile)
{
    struct vde_copy_opts opts = VDE_COPY_OPTS_INIT;
    struct writer writer = {.image = source, .content = content};
    struct vde_device *target = blank(IMAGE_BYTES);
    opts.progress = write_meanwhile;
    opts.context = &writer;
    OK(vde_image_copy_device(source, target, &opts, NULL));
    cr_assert_gt(writer.calls, 1);
    cr_assert_gt(writer.content.rounds, content.rounds);
    cr_assert_eq(writer.done, writer.total);
    expect_copy(target, &content);
}

/* --- images that grow ----------------------------------------------------------------------------------------------- */

static vde_image *growing(struct vde_device **ret_device, struct content *ret_content)
{
    struct vde_format_opts opts = VDE_FORMAT_OPTS_INIT;
    opts.size_bytes = IMAGE_BYTES;
    *ret_device = blank(3 * IMAGE_BYTES);
    OK(vde_image_format_device(*ret_device, &opts));
    vde_image *image = open_quiet(*ret_device);
    *ret_content = (struct content){.dataset = new_dataset(image, "d")};
    add_round(image, ret_content);
    return image;
}

Test(copy, an_image_that_grew)
{
    struct vde_device *device, *small = blank(IMAGE_BYTES), *target = blank(2 * IMAGE_BYTES);
    struct content grown;
    struct vde_copy_result result;
    vde_image *image = growing(&device, &grown);
    OK(vde_image_grow(image, 2 * IMAGE_BYTES));
    for (unsigned i = 0; i < 4; i++)
        add_round(image, &grown);
    uint64_t file = write_file(image, IMAGE_BYTES, 9); /* more than fitted before */
    OK(vde_image_copy_device(image, target, NULL, &result));
    cr_assert_eq(result.size_bytes, 2 * IMAGE_BYTES);
    EXPECT(VDE_NOSPC, vde_image_copy_device(image, small, NULL, NULL));
    close_clean(image, device);
    close_device(small);
    image = open_quiet(target);
    cr_assert(file_is(image, file, IMAGE_BYTES, 9));
    OK(vde_image_close(image));
    expect_copy(target, &grown);
}

static void grow_meanwhile(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    struct writer *writer = context;
    (void)done_bytes;
    (void)total_bytes;
    if (writer->calls++ > 1)
        return;
    OK(vde_image_grow(writer->image, (2 + writer->calls) * IMAGE_BYTES / 2 + IMAGE_BYTES / 2));
    add_round(writer->image, &writer->content);
}

Test(copy, an_image_that_grows_meanwhile)
{
    struct vde_copy_opts opts = VDE_COPY_OPTS_INIT;
    struct vde_device *device, *target = blank(IMAGE_BYTES);
    struct writer writer = {.calls = 0};
    struct content before;
    vde_image *image = growing(&device, &before);
    writer.image = image;
    writer.content = before;
    opts.progress = grow_meanwhile;
    opts.context = &writer;
    OK(vde_image_copy_device(image, target, &opts, NULL));
    cr_assert_gt(info_of(image).size_bytes, IMAGE_BYTES);
    close_clean(image, device);
    expect_copy(target, &before);
}

/* --- when it goes wrong --------------------------------------------------------------------------------------------- */

Test(copy, cut_off_anywhere_the_target_is_no_image)
{
    struct vde_device *whole = blank(IMAGE_BYTES);
    OK(vde_image_copy_device(source, whole, NULL, NULL));
    uint64_t changes = simulated_count(whole);
    close_device(whole);
    for (uint64_t n = 1; n <= changes; n++) {
        struct vde_device *target = blank(IMAGE_BYTES);
        simulated_cut_after(target, n);
        EXPECT(VDE_IO, vde_image_copy_device(source, target, NULL, NULL));
        OK(simulated_power_cycle(target, n % 2 ? SIMULATED_ALL : SIMULATED_RANDOM, n));
        vde_status status = open_status(target);
        cr_assert(status == VDE_CORRUPT || (status == VDE_OK && n + 2 >= changes), "cut at %llu of %llu: %s",
                  (unsigned long long)n, (unsigned long long)changes, vde_status_name(status));
        if (status == VDE_OK) { /* the first of its two labels is there, and all else */
            vde_image *image = open_quiet(target);
            expect_content(image, &content);
            OK(vde_image_close(image));
        }
        close_device(target);
    }
}

/* An image that was there before does not come back either. */
Test(copy, an_older_image_does_not_shine_through_a_cut_off_copy)
{
    struct vde_copy_opts opts = VDE_COPY_OPTS_INIT;
    opts.flags = VDE_COPY_FORCE;
    for (uint64_t n = 5; n < 20; n++) { /* the first changes are those that clear its labels */
        struct vde_device *target = simulated_image(2 * IMAGE_BYTES, 3);
        simulated_cut_after(target, n);
        EXPECT(VDE_IO, vde_image_copy_device(source, target, &opts, NULL));
        OK(simulated_power_cycle(target, SIMULATED_ALL, n));
        EXPECT(VDE_CORRUPT, open_status(target));
        close_device(target);
    }
}

struct found {
    unsigned count;
    char object[200];
};

static void count_finding(void *context, const struct vde_finding *finding)
{
    struct found *found = context;
    found->count++;
    snprintf(found->object, sizeof found->object, "%s", finding->object);
}

/* Flip a bit in a used block of file data: the last block in use. */
static void damage(struct vde_device *device)
{
    static _Alignas(4096) uint8_t block[BLOCK_BYTES];
    for (uint64_t at = device_size(device) / BLOCK_BYTES - 64; at > 0; at--) {
        simulated_peek(device, at * BLOCK_BYTES, block, sizeof block);
        if (memcmp(block, block + 1, sizeof block - 1) != 0) {
            OK(simulated_flip_bit(device, at * BLOCK_BYTES + 17, 3));
            return;
        }
    }
    cr_assert_fail("nothing to damage");
}

Test(copy, damage_is_found_and_no_image_made_of_it_unless_wanted)
{
    struct vde_copy_opts opts = VDE_COPY_OPTS_INIT;
    struct vde_copy_result result = {.lsn = 0};
    struct found found = {.count = 0};
    struct vde_device *broken, *target = blank(IMAGE_BYTES);
    OK(vde_image_checkpoint(source));
    OK(simulated_clone(source_device, &broken));
    damage(broken);
    vde_image *image = open_quiet(broken);
    opts.finding = count_finding;
    opts.context = &found;
    EXPECT(VDE_CORRUPT, vde_image_copy_device(image, target, &opts, &result));
    cr_assert_eq(result.check.findings, found.count);
    cr_assert_geq(found.count, 1);
    cr_assert_eq(strncmp(vde_last_error()->object, "copy: ", 6), 0);
    cr_assert_not_null(strstr(vde_last_error()->object, found.object));
    EXPECT(VDE_CORRUPT, open_status(target));
    opts.flags = VDE_COPY_FORCE | VDE_COPY_DAMAGED;
    OK(vde_image_copy_device(image, target, &opts, &result));
    cr_assert_geq(result.check.findings, 1);
    OK(open_status(target));
    OK(vde_image_close(image));
    close_device(broken);
    close_device(target);
}

Test(copy, writes_that_get_lost_are_found)
{
    struct vde_device *whole = blank(IMAGE_BYTES);
    struct simulated_counts counts;
    OK(vde_image_copy_device(source, whole, NULL, NULL));
    simulated_counts(whole, &counts);
    close_device(whole);
    unsigned caught = 0;
    for (uint64_t n = 1; n <= counts.writes - 2; n++) { /* but for the labels */
        struct vde_device *target = blank(IMAGE_BYTES);
        simulated_lose_write(target, n);
        vde_status status = vde_image_copy_device(source, target, NULL, NULL);
        cr_assert(status == VDE_CORRUPT || status == VDE_OK);
        caught += status == VDE_CORRUPT;
        if (status == VDE_OK)
            expect_copy(target, &content); /* what was lost were zeroes */
        else
            close_device(target);
    }
    cr_assert_gt(caught, 4); /* index, bitmaps, superblock, data */
}

Test(copy, an_image_open_for_reading)
{
    struct vde_device *crashed, *target = blank(IMAGE_BYTES);
    OK(vde_image_checkpoint(source));
    OK(simulated_clone(source_device, &crashed));
    vde_image *image = open_flags(crashed, VDE_OPEN_READ_ONLY);
    OK(vde_image_copy_device(image, target, NULL, NULL));
    OK(vde_image_close(image));
    close_device(crashed);
    expect_copy(target, &content);

    put_text(source, content.dataset, "late", "only in the log");
    OK(simulated_clone(source_device, &crashed));
    target = blank(IMAGE_BYTES);
    image = open_flags(crashed, VDE_OPEN_READ_ONLY);
    EXPECT(VDE_READ_ONLY, vde_image_copy_device(image, target, NULL, NULL));
    cr_assert_not_null(strstr(vde_last_error()->text, "log"));
    OK(vde_image_close(image));
    close_device(crashed);
    close_device(target);
}
