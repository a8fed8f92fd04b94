/* SPDX-License-Identifier: Apache-2.0 */
/* test_volume_diff.c -- differences between states of a volume as callers see them: names, bytes, sizes, rollbacks. */
#include <criterion/criterion.h>

#include <vde/snapshot.h>

#include "unit/dataset/volumes.h"

struct bench {
    struct vde_device *device;
    vde_image *image;
    struct shadow shadow;
    uint64_t id;
};

static struct bench set_up(uint64_t size, uint32_t level)
{
    struct bench b = {.device = memory_image(64 * MIB)};
    b.image = open_quiet(b.device);
    b.shadow = shadow_create(b.image, "disk", size, level);
    struct vde_volume_info info;
    vde_view *view = view_of(b.image);
    OK(vde_volume_get(view, "disk", &info));
    vde_view_close(view);
    b.id = info.id;
    return b;
}

static void tear_down(struct bench *b)
{
    vde_volume_close(b->shadow.volume);
    free(b->shadow.bytes);
    close_clean(b->image, b->device);
}

static void snap(struct bench *b, const char *name)
{
    uint64_t lsn;
    OK(vde_snapshot_create(b->image, b->id, name, &lsn));
}

static vde_status note(void *context, const struct vde_diff_range *range)
{
    char *text = context;
    size_t used = strlen(text);
    snprintf(text + used, 512 - used, "%s%llu+%llu%s%s", used ? " " : "", (unsigned long long)range->offset,
             (unsigned long long)range->size, range->from_data ? "d" : "h", range->to_data ? "d" : "h");
    return VDE_OK;
}

static void expect(struct bench *b, const char *from, const char *to, const char *expected)
{
    char text[512] = "";
    vde_view *view = view_of(b->image);
    OK(vde_volume_diff(view, "disk", from, to, note, text));
    vde_view_close(view);
    cr_assert_str_eq(text, expected, "from %s to %s: %s", from ? from : "-", to ? to : "-", text);
}

Test(volume_diff, tells_ranges_of_bytes)
{
    struct bench b = set_up(1000 * 512, 0); /* ends inside a block */
    expect(&b, NULL, NULL, "");
    shadow_write(&b.shadow, 8192, 4096);
    snap(&b, "a");
    shadow_write(&b.shadow, 512, 1000 * 512 - 512);
    shadow_discard(&b.shadow, 4096, 4096);
    OK(vde_volume_flush(b.shadow.volume));
    for (unsigned merged = 0; merged < 2; merged++) {
        expect(&b, NULL, "a", "4096+8192hd");
        expect(&b, "a", "a", "");
        expect(&b, "a", NULL, "4096+4096dh 507904+4096hd");
        expect(&b, NULL, NULL, "8192+4096hd 507904+4096hd");
        OK(vde_image_checkpoint(b.image));
    }
    tear_down(&b);
}

Test(volume_diff, knows_compressed_frames)
{
    struct bench b = set_up(1u << 20, 3);
    memset(b.shadow.bytes, 7, 1u << 18);
    OK(vde_volume_write(b.shadow.volume, b.shadow.bytes, 1u << 18, 0, 0));
    snap(&b, "a");
    b.shadow.bytes[70000] = 8; /* its frame is written anew */
    OK(vde_volume_write(b.shadow.volume, b.shadow.bytes + 69632, 4096, 69632, VDE_VOLUME_FUA));
    expect(&b, "a", NULL, "65536+65536dd");
    OK(vde_image_checkpoint(b.image));
    expect(&b, "a", NULL, "65536+65536dd");
    expect(&b, NULL, "a", "0+262144hd");
    tear_down(&b);
}

Test(volume_diff, follows_sizes_and_rollbacks)
{
    struct bench b = set_up(1u << 20, 0);
    shadow_write(&b.shadow, 65536, (1u << 20) - 65536);
    snap(&b, "large");
    OK(vde_volume_resize(b.image, "disk", 1u << 19, VDE_VOLUME_SHRINK));
    shadow_write(&b.shadow, 4096, 0);
    OK(vde_volume_flush(b.shadow.volume));
    expect(&b, "large", NULL, "0+4096hd 983040+65536dh");
    vde_volume_close(b.shadow.volume);
    OK(vde_snapshot_rollback(b.image, b.id, "large"));
    b.shadow.volume = open_volume(b.image, "disk");
    expect(&b, "large", NULL, ""); /* before any checkpoint */
    shadow_write(&b.shadow, 4096, 8192);
    OK(vde_volume_flush(b.shadow.volume));
    expect(&b, "large", NULL, "8192+4096hd");
    OK(vde_image_checkpoint(b.image));
    expect(&b, "large", NULL, "8192+4096hd");
    tear_down(&b);
}

static vde_status stop(void *context, const struct vde_diff_range *range)
{
    (void)range;
    ++*(unsigned *)context;
    return VDE_NOMEM;
}

Test(volume_diff, stops_when_told_and_names_what_is_missing)
{
    struct bench b = set_up(1u << 20, 0);
    unsigned calls = 0;
    shadow_write(&b.shadow, 4096, 0);
    shadow_write(&b.shadow, 4096, 40960);
    OK(vde_volume_flush(b.shadow.volume));
    vde_view *view = view_of(b.image);
    cr_assert_eq(vde_volume_diff(view, "disk", NULL, NULL, stop, &calls), VDE_NOMEM);
    cr_assert_eq(calls, 1);
    cr_assert_eq(vde_volume_diff(view, "none", NULL, NULL, stop, &calls), VDE_NOT_FOUND);
    cr_assert_eq(vde_volume_diff(view, "disk", "none", NULL, stop, &calls), VDE_NOT_FOUND);
    cr_assert_eq(vde_volume_diff(view, "disk", NULL, "none", stop, &calls), VDE_NOT_FOUND);
    cr_assert_eq(calls, 1);
    vde_view_close(view);
    tear_down(&b);
}
