/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes, their snapshots and clones in a copy: each byte as at the instant, while all of them are written to. */
#include <criterion/criterion.h>

#include <vde/copy.h>
#include <vde/snapshot.h>

#include "../dataset/volumes.h"

#define IMAGE_BYTES (48 * MIB)
#define VOLUME_BYTES (3 * MIB + 512)
#define VOLUMES 3u

static const char *const names[VOLUMES] = {"plain", "packed", "clone"};

/* What a volume and its snapshot hold at the instant. */
struct state {
    uint8_t *now[VOLUMES], *snapshot[VOLUMES];
};

static uint8_t *bytes_of(const struct shadow *shadow)
{
    uint8_t *bytes = malloc(VOLUME_BYTES);
    memcpy(bytes, shadow->bytes, VOLUME_BYTES);
    return bytes;
}

static void snapshot_all(vde_image *image, const char *name, const struct shadow *shadows, uint8_t **ret_bytes)
{
    for (unsigned i = 0; i < VOLUMES; i++) {
        struct vde_volume_info info;
        vde_view *view = view_of(image);
        OK(vde_volume_get(view, names[i], &info));
        vde_view_close(view);
        OK(vde_snapshot_create(image, info.id, name, NULL));
        free(ret_bytes[i]);
        ret_bytes[i] = bytes_of(&shadows[i]);
    }
}

static void scribble(struct shadow *shadow, unsigned requests)
{
    for (unsigned i = 0; i < requests; i++) {
        uint64_t offset = draw(&shadow->random, VOLUME_BYTES / 512) * 512;
        uint64_t size = 512 + draw(&shadow->random, 300) * 512;
        size = size < VOLUME_BYTES - offset ? size : VOLUME_BYTES - offset;
        if (draw(&shadow->random, 5) == 0)
            shadow_zero(shadow, size, offset);
        else
            shadow_write(shadow, size, offset);
    }
}

static void expect_bytes(vde_image *image, const char *name, const char *snapshot, const uint8_t *expected)
{
    vde_volume *volume;
    uint8_t *found = malloc(VOLUME_BYTES);
    OK(vde_volume_open(image, name, snapshot, &volume));
    cr_assert_eq(vde_volume_size(volume), VOLUME_BYTES);
    OK(vde_volume_read(volume, found, VOLUME_BYTES, 0));
    cr_assert_eq(memcmp(found, expected, VOLUME_BYTES), 0, "%s@%s", name, snapshot ? snapshot : "");
    vde_volume_close(volume);
    free(found);
}

struct writer {
    vde_image *image;
    struct shadow *shadows;
    unsigned calls;
};

/* Writes, checkpoints, snapshots made and deleted: as much as would write over everything that was freed. */
static void write_meanwhile(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    struct writer *writer = context;
    (void)done_bytes;
    (void)total_bytes;
    if (writer->calls++ > 3)
        return;
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < VOLUMES; i++)
            scribble(&writer->shadows[i], 12);
        OK(vde_image_checkpoint(writer->image));
    }
    if (writer->calls == 1) {
        struct vde_volume_info info;
        vde_view *view = view_of(writer->image);
        OK(vde_volume_get(view, "plain", &info));
        vde_view_close(view);
        OK(vde_snapshot_delete(writer->image, info.id, "two"));
    }
}

static struct shadow clone_of(vde_image *image, const struct shadow *origin)
{
    struct shadow shadow = {.bytes = calloc(1, VOLUME_BYTES + 4096), .size = VOLUME_BYTES, .random = 77};
    struct vde_volume_info info;
    vde_view *view = view_of(image);
    OK(vde_volume_get(view, "plain", &info));
    vde_view_close(view);
    OK(vde_snapshot_create(image, info.id, "base", NULL));
    OK(vde_volume_clone(image, "plain", "base", "clone"));
    memcpy(shadow.bytes, origin->bytes, VOLUME_BYTES);
    shadow.volume = open_volume(image, "clone");
    return shadow;
}

/* The superblock is that of the whole image, whatever the views of this handle show. */
Test(copy_volumes, not_from_an_image_that_is_open_as_of_a_snapshot)
{
    struct vde_device *device = simulated_image(IMAGE_BYTES, 1), *target;
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    vde_image *image = open_quiet(device);
    OK(vde_snapshot_create(image, VDE_DATASET_IMAGE, "whole", NULL));
    OK(vde_image_close(image));
    opts.flags = VDE_OPEN_READ_ONLY;
    opts.snapshot = "whole";
    OK(vde_image_open_device(device, &opts, &image));
    OK(simulated_create(IMAGE_BYTES, 2, 0, &target));
    EXPECT(VDE_UNSUPPORTED, vde_image_copy_device(image, target, NULL, NULL));
    close_device(target);
    close_clean(image, device);
}

Test(copy_volumes, are_as_at_the_instant_while_they_are_written)
{
    struct vde_device *device = simulated_image(IMAGE_BYTES, 1), *target;
    vde_image *image = open_quiet(device);
    struct shadow shadows[VOLUMES] = {shadow_create(image, "plain", VOLUME_BYTES, 0),
                                      shadow_create(image, "packed", VOLUME_BYTES, 3)};
    struct state state = {{NULL}, {NULL}};
    scribble(&shadows[0], 40);
    shadows[2] = clone_of(image, &shadows[0]);
    for (unsigned i = 0; i < VOLUMES; i++)
        scribble(&shadows[i], 40);
    snapshot_all(image, "two", shadows, state.snapshot);
    OK(vde_snapshot_create(image, VDE_DATASET_IMAGE, "whole", NULL));
    for (unsigned i = 0; i < VOLUMES; i++) {
        scribble(&shadows[i], 20);
        state.now[i] = bytes_of(&shadows[i]);
    }

    struct vde_copy_opts opts = VDE_COPY_OPTS_INIT;
    struct writer writer = {image, shadows, 0};
    opts.progress = write_meanwhile;
    opts.context = &writer;
    OK(simulated_create(IMAGE_BYTES, 2, 0, &target));
    OK(vde_image_copy_device(image, target, &opts, NULL));
    cr_assert_gt(writer.calls, 1);
    check_clean(target);

    vde_image *copy = open_quiet(target);
    for (unsigned i = 0; i < VOLUMES; i++) {
        expect_bytes(copy, names[i], NULL, state.now[i]);
        expect_bytes(copy, names[i], "two", state.snapshot[i]);
        OK(vde_volume_delete(copy, names[i])); /* and what is in it can be freed again */
    }
    OK(vde_snapshot_delete(copy, VDE_DATASET_IMAGE, "whole"));
    close_clean(copy, target);
    for (unsigned i = 0; i < VOLUMES; i++) {
        vde_volume_close(shadows[i].volume);
        free(shadows[i].bytes);
        free(state.now[i]);
        free(state.snapshot[i]);
    }
    close_clean(image, device);
}
