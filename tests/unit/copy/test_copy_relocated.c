/* SPDX-License-Identifier: Apache-2.0 */
/* A copy into another size, or of a snapshot of the image: one instant, wherever its blocks lie. */
#include <criterion/criterion.h>

#include <vde/copy.h>
#include <vde/snapshot.h>

#include "../dataset/volumes.h"

#define IMAGE_BYTES (64 * MIB)
#define SMALL_BYTES (24 * MIB)
#define VOLUME_BYTES (3 * MIB + 512)
#define STREAM 4000u

static struct vde_device *blank(uint64_t bytes)
{
    struct vde_device *device;
    OK(simulated_create(bytes, 2, 0, &device));
    return device;
}

static uint64_t volume_id(vde_image *image, const char *name)
{
    struct vde_volume_info info;
    vde_view *view = view_of(image);
    OK(vde_volume_get(view, name, &info));
    vde_view_close(view);
    return info.id;
}

static void scribble(struct shadow *shadow, unsigned requests)
{
    for (unsigned i = 0; i < requests; i++) {
        uint64_t offset = draw(&shadow->random, VOLUME_BYTES / 512) * 512;
        uint64_t size = 512 + draw(&shadow->random, 200) * 512;
        size = size < VOLUME_BYTES - offset ? size : VOLUME_BYTES - offset;
        if (draw(&shadow->random, 6) == 0)
            shadow_zero(shadow, size, offset);
        else
            shadow_write(shadow, size, offset);
    }
}

/* --- an image with a past ------------------------------------------------------------------------------------------- */

#define VERSIONS 12u
struct version {
    char volume[16], snapshot[16]; /* snapshot "": the volume itself */
    uint8_t *bytes;
};
struct past {
    struct vde_device *device;
    vde_image *image;
    uint64_t dataset, file;
    unsigned rounds, calls;
    struct shadow shadow[4]; /* plain, packed, clone, clone of the clone */
    struct version versions[VERSIONS];
    unsigned count;
};
static const char *const names[4] = {"plain", "packed", "clone", "clone2"};

static void note(struct past *past, unsigned volume, const char *snapshot)
{
    struct version *v = &past->versions[past->count++];
    snprintf(v->volume, sizeof v->volume, "%s", names[volume]);
    snprintf(v->snapshot, sizeof v->snapshot, "%s", snapshot);
    v->bytes = malloc(VOLUME_BYTES);
    memcpy(v->bytes, past->shadow[volume].bytes, VOLUME_BYTES);
}

static void clone(struct past *past, unsigned from, const char *snapshot, unsigned to)
{
    struct shadow *s = &past->shadow[to];
    OK(vde_volume_clone(past->image, names[from], snapshot, names[to]));
    *s = (struct shadow){.bytes = calloc(1, VOLUME_BYTES + 4096), .size = VOLUME_BYTES, .random = 70 + to};
    memcpy(s->bytes, past->shadow[from].bytes, VOLUME_BYTES);
    s->volume = open_volume(past->image, names[to]);
}

static void add_round(struct past *past)
{
    char key[32];
    unsigned round = past->rounds++;
    for (unsigned i = 0; i < 40; i++) {
        snprintf(key, sizeof key, "key %u", (round * 7 + i) % 100);
        OK(put_seed(past->image, past->dataset, key, i % 5 ? 100 : 9000, round * 1000 + i));
    }
    vde_txn *txn = begin(past->image);
    OK(vde_txn_append(txn, STREAM, round + 1, 0, key, strlen(key)));
    OK(txn_put_seed(txn, past->dataset, "round", 8, round));
    OK(vde_txn_snapshot_create(txn, past->dataset, round + 1));
    commit(txn);
    OK(vde_image_checkpoint(past->image));
}

static void snap(struct past *past, unsigned volume, const char *name)
{
    OK(vde_snapshot_create(past->image, volume_id(past->image, names[volume]), name, NULL));
}

/* Volumes with snapshots, clones whose snapshot is deleted, something dropped, and an older snapshot of the image. */
static struct past make_past(void)
{
    struct past past = {.device = simulated_image(IMAGE_BYTES, 1)};
    past.image = open_quiet(past.device);
    past.dataset = new_dataset(past.image, "d");
    past.file = write_file(past.image, MIB + 77, 5);
    for (unsigned i = 0; i < 2; i++) {
        past.shadow[i] = shadow_create(past.image, names[i], VOLUME_BYTES, i * 3);
        scribble(&past.shadow[i], 40);
    }
    add_round(&past);
    OK(vde_snapshot_create(past.image, VDE_DATASET_IMAGE, "older", NULL));
    struct shadow gone = shadow_create(past.image, "gone", VOLUME_BYTES, 0);
    scribble(&gone, 30);
    snap(&past, 0, "base");
    clone(&past, 0, "base", 2);
    scribble(&past.shadow[2], 20);
    scribble(&past.shadow[0], 20);
    OK(vde_image_checkpoint(past.image));
    OK(vde_snapshot_delete(past.image, volume_id(past.image, "plain"), "base")); /* stays for the clone */
    snap(&past, 0, "one");
    note(&past, 0, "one");
    snap(&past, 1, "one");
    note(&past, 1, "one");
    scribble(&past.shadow[0], 20);
    scribble(&past.shadow[1], 20);
    snap(&past, 0, "two");
    note(&past, 0, "two");
    snap(&past, 2, "two");
    note(&past, 2, "two");
    clone(&past, 2, "two", 3);
    OK(vde_image_checkpoint(past.image));
    for (unsigned i = 0; i < 4; i++)
        scribble(&past.shadow[i], 20);
    add_round(&past);
    shadow_done(&gone);
    OK(vde_volume_delete(past.image, "gone"));
    for (unsigned i = 0; i < 4; i++)
        note(&past, i, "");
    return past;
}

static void past_done(struct past *past)
{
    for (unsigned i = 0; i < 4; i++)
        shadow_done(&past->shadow[i]);
    for (unsigned i = 0; i < past->count; i++)
        free(past->versions[i].bytes);
    close_clean(past->image, past->device);
}

static void expect_past(vde_image *image, const struct past *past)
{
    uint8_t *found = malloc(VOLUME_BYTES);
    for (unsigned i = 0; i < past->count; i++) {
        const struct version *v = &past->versions[i];
        vde_volume *volume;
        OK(vde_volume_open(image, v->volume, v->snapshot[0] ? v->snapshot : NULL, &volume));
        cr_assert_eq(vde_volume_size(volume), VOLUME_BYTES);
        OK(vde_volume_read(volume, found, VOLUME_BYTES, 0));
        cr_assert_eq(memcmp(found, v->bytes, VOLUME_BYTES), 0, "%s@%s", v->volume, v->snapshot);
        vde_volume_close(volume);
    }
    free(found);
    for (unsigned round = 0; round < past->rounds; round++)
        cr_assert(has_seed(image, past->dataset, round + 1, "round", 8, round));
    cr_assert(stream_is(image, STREAM, 1, past->rounds));
    cr_assert(file_is(image, past->file, MIB + 77, 5));
    cr_assert_eq(vde_snapshot_delete(image, VDE_DATASET_IMAGE, "older"), VDE_NOT_FOUND);
}

/* Whatever is deleted in whatever order, all its space comes back and nothing that others need. */
static void take_apart(vde_image *image, struct vde_device *device, const struct past *past)
{
    OK(vde_snapshot_delete(image, volume_id(image, "plain"), "one"));
    OK(vde_volume_delete(image, "clone2"));
    OK(vde_image_checkpoint(image));
    OK(vde_snapshot_delete(image, volume_id(image, "plain"), "two"));
    OK(vde_snapshot_delete(image, volume_id(image, "clone"), "two"));
    OK(vde_image_checkpoint(image));
    OK(vde_volume_delete(image, "plain"));
    OK(vde_volume_delete(image, "packed"));
    unsnapshot(image, past->dataset, 1);
    OK(vde_image_close(image));
    check_clean(device);
    image = open_quiet(device);
    OK(vde_volume_delete(image, "clone"));
    OK(drop_dataset_status(image, past->dataset));
    remove_file(image, past->file);
    for (unsigned i = 0; i < 8; i++)
        OK(vde_image_checkpoint(image));
    cr_assert_lt(info_of(image).used_bytes, 64 * 4096);
    close_clean(image, device);
}

static void expect_copy(struct vde_device *target, const struct past *past)
{
    check_clean(target);
    vde_image *copy = open_quiet(target);
    expect_past(copy, past);
    take_apart(copy, target, past);
}

/* --- sizes ---------------------------------------------------------------------------------------------------------- */

Test(copy_relocated, a_smaller_device_holds_all_of_the_instant)
{
    struct past past = make_past();
    struct vde_device *target = blank(SMALL_BYTES);
    struct vde_copy_result result;
    OK(vde_image_copy_device(past.image, target, NULL, &result));
    cr_assert_eq(result.size_bytes, SMALL_BYTES);
    cr_assert_eq(result.lsn, info_of(past.image).durable_lsn);
    cr_assert_eq(result.check.findings, 0);
    cr_assert_lt(result.copied_bytes, SMALL_BYTES);
    expect_copy(target, &past);
    past_done(&past);
}

Test(copy_relocated, a_larger_copy_and_one_of_a_grown_image)
{
    struct vde_copy_opts opts = VDE_COPY_OPTS_INIT;
    struct past past = make_past();
    struct vde_device *target = blank(2 * IMAGE_BYTES), *again = blank(IMAGE_BYTES);
    opts.size_bytes = 2 * IMAGE_BYTES - MIB;
    OK(vde_image_copy_device(past.image, target, &opts, NULL));
    vde_image *copy = open_quiet(target);
    cr_assert_eq(info_of(copy).size_bytes, opts.size_bytes);
    OK(vde_image_grow(copy, 0));
    expect_past(copy, &past);
    opts.size_bytes = SMALL_BYTES;
    OK(vde_image_copy_device(copy, again, &opts, NULL));
    close_clean(copy, target);
    expect_copy(again, &past);
    past_done(&past);
}

Test(copy_relocated, what_does_not_fit_is_refused_before_anything_is_written)
{
    struct vde_copy_opts opts = VDE_COPY_OPTS_INIT;
    struct past past = make_past();
    struct vde_device *small = blank(6 * MIB), *target = blank(SMALL_BYTES);
    EXPECT(VDE_NOSPC, vde_image_copy_device(past.image, small, NULL, NULL));
    cr_assert_not_null(strstr(vde_last_error()->text, "available"));
    cr_assert_not_null(strstr(vde_last_error()->text, "needed"));
    cr_assert_eq(simulated_count(small), 0);
    opts.size_bytes = SMALL_BYTES + MIB;
    EXPECT(VDE_INVAL, vde_image_copy_device(past.image, target, &opts, NULL));
    opts.size_bytes = MIB;
    EXPECT(VDE_INVAL, vde_image_copy_device(past.image, target, &opts, NULL));
    opts.size_bytes = 0;
    opts.snapshot = "none";
    EXPECT(VDE_NOT_FOUND, vde_image_copy_device(past.image, target, &opts, NULL));
    cr_assert_eq(simulated_count(target), 0);
    close_device(small);
    close_device(target);
    past_done(&past);
}

/* --- snapshots of the image ----------------------------------------------------------------------------------------- */

static void go_on(struct past *past)
{
    for (unsigned i = 0; i < 4; i++)
        scribble(&past->shadow[i], 30);
    OK(vde_image_checkpoint(past->image));
    OK(vde_snapshot_delete(past->image, volume_id(past->image, "plain"), "one"));
    OK(vde_volume_rename(past->image, "packed", "renamed"));
    unsnapshot(past->image, past->dataset, 1);
    remove_file(past->image, past->file);
    vde_volume_close(past->shadow[3].volume);
    OK(vde_volume_delete(past->image, "clone2"));
    for (unsigned i = 0; i < 4; i++)
        OK(vde_image_checkpoint(past->image));
    past->shadow[3].volume = open_volume(past->image, "plain");
}

static void change_meanwhile(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    struct past *past = context;
    (void)done_bytes;
    (void)total_bytes;
    if (vde_snapshot_delete(past->image, VDE_DATASET_IMAGE, "then") == VDE_OK)
        go_on(past);
    if (past->calls++ > 60)
        return;
    for (unsigned i = 0; i < 3; i++)
        scribble(&past->shadow[i], 1);
    OK(vde_image_checkpoint(past->image));
}

Test(copy_relocated, an_image_snapshot_after_all_went_on)
{
    struct vde_copy_opts opts = VDE_COPY_OPTS_INIT;
    struct past past = make_past();
    struct vde_device *target = blank(IMAGE_BYTES), *small = blank(SMALL_BYTES);
    struct vde_copy_result result;
    OK(vde_snapshot_create(past.image, VDE_DATASET_IMAGE, "then", NULL));
    uint64_t lsn = info_of(past.image).durable_lsn;
    go_on(&past);
    opts.snapshot = "then";
    OK(vde_image_copy_device(past.image, target, &opts, &result));
    cr_assert_eq(result.lsn, lsn);
    cr_assert_eq(result.size_bytes, IMAGE_BYTES);
    expect_copy(target, &past);
    OK(vde_image_copy_device(past.image, small, &opts, NULL));
    expect_copy(small, &past);
    past_done(&past);
}

Test(copy_relocated, an_image_snapshot_that_is_deleted_meanwhile)
{
    struct vde_copy_opts opts = VDE_COPY_OPTS_INIT;
    struct past past = make_past();
    struct vde_device *target = blank(SMALL_BYTES);
    OK(vde_snapshot_create(past.image, VDE_DATASET_IMAGE, "then", NULL));
    opts.snapshot = "then";
    opts.progress = change_meanwhile;
    opts.context = &past;
    OK(vde_image_copy_device(past.image, target, &opts, NULL));
    EXPECT(VDE_NOT_FOUND, vde_snapshot_delete(past.image, VDE_DATASET_IMAGE, "then"));
    expect_copy(target, &past);
    past_done(&past);
}

/* What is only in the log is no matter: the snapshot is in the trees. */
Test(copy_relocated, an_image_snapshot_from_an_image_open_for_reading)
{
    struct vde_copy_opts opts = VDE_COPY_OPTS_INIT;
    struct past past = make_past();
    struct vde_device *crashed, *target = blank(SMALL_BYTES);
    OK(vde_snapshot_create(past.image, VDE_DATASET_IMAGE, "then", NULL));
    OK(vde_image_checkpoint(past.image));
    put_text(past.image, past.dataset, "late", "only in the log");
    OK(simulated_clone(past.device, &crashed));
    vde_image *image = open_flags(crashed, VDE_OPEN_READ_ONLY);
    EXPECT(VDE_READ_ONLY, vde_image_copy_device(image, target, NULL, NULL));
    opts.snapshot = "then";
    OK(vde_image_copy_device(image, target, &opts, NULL));
    OK(vde_image_close(image));
    close_device(crashed);
    expect_copy(target, &past);
    past_done(&past);
}

/* --- when it goes wrong --------------------------------------------------------------------------------------------- */

Test(copy_relocated, cut_off_anywhere_the_target_is_no_image)
{
    struct vde_device *whole = blank(SMALL_BYTES);
    struct past past = make_past();
    OK(vde_image_copy_device(past.image, whole, NULL, NULL));
    uint64_t changes = simulated_count(whole);
    close_device(whole);
    for (uint64_t n = 1; n <= changes; n += n + 12 < changes && n > 12 ? changes / 30 : 1) {
        struct vde_device *target = blank(SMALL_BYTES);
        simulated_cut_after(target, n);
        EXPECT(VDE_IO, vde_image_copy_device(past.image, target, NULL, NULL));
        OK(simulated_power_cycle(target, n % 2 ? SIMULATED_ALL : SIMULATED_RANDOM, n));
        vde_image *image;
        vde_status status = vde_image_open_device(target, NULL, &image);
        cr_assert(status == VDE_CORRUPT || (status == VDE_OK && n + 2 >= changes), "cut at %llu of %llu: %s",
                  (unsigned long long)n, (unsigned long long)changes, vde_status_name(status));
        if (status == VDE_OK)
            OK(vde_image_close(image));
        close_device(target);
    }
    past_done(&past);
}

/* Flip a bit of the volume's first block. */
static void damage(struct vde_device *device, const uint8_t *content)
{
    static _Alignas(4096) uint8_t block[4096];
    for (uint64_t at = 0; at < IMAGE_BYTES; at += sizeof block) {
        simulated_peek(device, at, block, sizeof block);
        if (memcmp(block, content, sizeof block) == 0) {
            OK(simulated_flip_bit(device, at + 17, 3));
            return;
        }
    }
    cr_assert_fail("nothing to damage");
}

Test(copy_relocated, damage_stays_damage)
{
    struct vde_copy_opts opts = VDE_COPY_OPTS_INIT;
    struct vde_copy_result result;
    struct vde_device *device = simulated_image(IMAGE_BYTES, 1), *target = blank(SMALL_BYTES);
    vde_image *image = open_quiet(device);
    struct shadow shadow = shadow_create(image, "v", VOLUME_BYTES, 0);
    uint8_t byte[512];
    shadow_write(&shadow, VOLUME_BYTES - 512, 0);
    OK(vde_image_checkpoint(image));
    damage(device, shadow.bytes);
    EXPECT(VDE_CORRUPT, vde_image_copy_device(image, target, NULL, NULL));
    opts.flags = VDE_COPY_FORCE | VDE_COPY_DAMAGED;
    OK(vde_image_copy_device(image, target, &opts, &result));
    cr_assert_eq(result.check.findings, 1);
    vde_image *copy = open_quiet(target);
    vde_volume *volume = open_volume(copy, "v");
    EXPECT(VDE_CORRUPT, vde_volume_read(volume, byte, sizeof byte, 0));
    OK(vde_volume_read(volume, byte, sizeof byte, MIB));
    cr_assert_eq(memcmp(byte, shadow.bytes + MIB, sizeof byte), 0);
    vde_volume_close(volume);
    OK(vde_image_close(copy));
    shadow_done(&shadow);
    OK(vde_image_close(image));
    close_device(device);
    close_device(target);
}
