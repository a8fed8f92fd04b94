/* SPDX-License-Identifier: Apache-2.0 */
/* What takes the space: the items of all datasets add up to the used blocks, whatever is cloned, snapshotted and dropped. */
#include <criterion/criterion.h>

#include <vde/snapshot.h>
#include <vde/usage.h>

#include "volumes.h"

#define VOLUME_BYTES (4 * MIB)

struct sum {
    uint64_t used, items, last;
    const char *wanted;
    struct vde_usage found, freeing;
};

static vde_status add(void *context, const struct vde_usage *usage)
{
    struct sum *sum = context;
    sum->used += vde_usage_used(usage);
    sum->items++;
    if (usage->kind == VDE_USAGE_FREEING) {
        sum->freeing = *usage;
        return VDE_OK;
    }
    cr_assert_gt(usage->dataset, sum->last);
    sum->last = usage->dataset;
    cr_assert_leq(usage->own_bytes, usage->referenced_bytes);
    cr_assert_leq(usage->unique_bytes, usage->own_bytes);
    cr_assert_leq(usage->node_bytes, usage->referenced_bytes);
    if (sum->wanted && strcmp(usage->name, sum->wanted) == 0)
        sum->found = *usage;
    return VDE_OK;
}

/* The items, which must add up; *ret_usage: the one with that name. */
static struct vde_usage usage_of(vde_image *image, const char *name)
{
    struct sum sum = {.wanted = name};
    OK(vde_image_checkpoint(image));
    OK(vde_usage_list(image, add, &sum));
    cr_assert_eq(sum.used, info_of(image).used_bytes, "%llu, used %llu", (unsigned long long)sum.used,
                 (unsigned long long)info_of(image).used_bytes);
    return sum.found;
}

static uint64_t volume_id(vde_image *image, const char *name)
{
    struct vde_volume_info info;
    vde_view *view = view_of(image);
    OK(vde_volume_get(view, name, &info));
    vde_view_close(view);
    return info.id;
}

Test(usage, adds_up_to_what_is_used)
{
    struct vde_device *device = simulated_image(64 * MIB, 1);
    vde_image *image = open_quiet(device);
    usage_of(image, NULL);
    uint64_t dataset = new_dataset(image, "map"), file = write_file(image, MIB + 5, 3);
    struct shadow plain = shadow_create(image, "plain", VOLUME_BYTES, 0), packed = shadow_create(image, "packed", VOLUME_BYTES, 3);
    for (unsigned round = 0; round < 12; round++) {
        for (unsigned i = 0; i < 30; i++) {
            shadow_random(&plain, 300 * 512);
            shadow_random(&packed, 300 * 512);
        }
        char key[32];
        for (unsigned i = 0; i < 30; i++) {
            snprintf(key, sizeof key, "key %u", (round * 7 + i) % 100);
            OK(put_seed(image, dataset, key, i % 5 ? 100 : 9000, round * 1000 + i));
        }
        OK(append_status(image, 4000, round + 1, "an entry"));
        snprintf(key, sizeof key, "s%u", round);
        if (round % 3 == 0)
            OK(vde_snapshot_create(image, volume_id(image, round % 2 ? "plain" : "packed"), key, NULL));
        if (round % 4 == 1)
            OK(vde_snapshot_create(image, VDE_DATASET_IMAGE, key, NULL));
        if (round % 4 == 2)
            snapshot(image, dataset, round + 1);
        if (round == 4)
            OK(vde_volume_clone(image, "plain", "s3", "clone"));
        if (round == 6)
            OK(vde_snapshot_delete(image, volume_id(image, "plain"), "s3"));
        if (round == 8)
            OK(vde_snapshot_delete(image, VDE_DATASET_IMAGE, "s1"));
        if (round == 9)
            remove_file(image, file);
        usage_of(image, NULL);
    }
    shadow_done(&plain);
    shadow_done(&packed);
    OK(vde_volume_delete(image, "plain"));
    usage_of(image, NULL);
    OK(vde_volume_delete(image, "clone"));
    OK(vde_snapshot_delete(image, VDE_DATASET_IMAGE, "s5"));
    OK(vde_snapshot_delete(image, VDE_DATASET_IMAGE, "s9"));
    OK(drop_dataset_status(image, dataset));
    for (unsigned i = 0; i < 6; i++)
        usage_of(image, NULL);
    close_clean(image, device);
}

Test(usage, tells_what_is_shared_and_what_is_not)
{
    struct vde_device *device = simulated_image(64 * MIB, 1);
    vde_image *image = open_quiet(device);
    struct shadow v = shadow_create(image, "v", VOLUME_BYTES, 0);
    shadow_write(&v, 2 * MIB, 0);
    struct vde_usage usage = usage_of(image, "v");
    cr_assert_eq(usage.kind, VDE_USAGE_VOLUME);
    cr_assert_eq(usage.mapped_bytes, 2 * MIB);
    cr_assert_eq(usage.referenced_bytes, 2 * MIB + usage.node_bytes);
    cr_assert_eq(usage.unique_bytes, usage.referenced_bytes);
    cr_assert_eq(usage.snapshot_bytes, 0);

    OK(vde_snapshot_create(image, volume_id(image, "v"), "s", NULL));
    shadow_write(&v, MIB, 0);
    usage = usage_of(image, "v");
    cr_assert_geq(usage.unique_bytes, MIB);
    cr_assert_leq(usage.unique_bytes, MIB + usage.node_bytes);
    cr_assert_geq(usage.snapshot_bytes, MIB);
    cr_assert_lt(usage.snapshot_bytes, MIB + MIB / 4);

    OK(vde_volume_clone(image, "v", "s", "c"));
    usage = usage_of(image, "c");
    cr_assert_eq(usage.own_bytes, 0);
    cr_assert_eq(usage.mapped_bytes, 2 * MIB);
    vde_volume *clone = open_volume(image, "c");
    OK(vde_volume_write(clone, v.bytes, 512 * 1024, MIB, 0));
    vde_volume_close(clone);
    usage = usage_of(image, "c");
    cr_assert_geq(usage.own_bytes, 512 * 1024);
    cr_assert_leq(usage.own_bytes, 512 * 1024 + usage.node_bytes);
    cr_assert_eq(usage.unique_bytes, usage.own_bytes);
    OK(vde_snapshot_create(image, VDE_DATASET_IMAGE, "all", NULL));
    cr_assert_eq(usage_of(image, "c").unique_bytes, 0);
    shadow_done(&v);
    close_clean(image, device);
}

static vde_status stop(void *context, const struct vde_usage *usage)
{
    ++*(unsigned *)context;
    return usage->kind == VDE_USAGE_CATALOG ? VDE_EXISTS : VDE_OK;
}

Test(usage, stops_when_told_to)
{
    struct vde_device *device = simulated_image(16 * MIB, 1);
    vde_image *image = open_quiet(device);
    unsigned calls = 0;
    put_text(image, new_dataset(image, "map"), "k", "v");
    OK(vde_image_checkpoint(image));
    EXPECT(VDE_EXISTS, vde_usage_list(image, stop, &calls));
    cr_assert_eq(calls, 1);
    close_clean(image, device);
}
