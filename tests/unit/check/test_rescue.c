/* SPDX-License-Identifier: Apache-2.0 */
/* Rescue: whatever block is damaged, what is handed out is right or told as missing; and without superblocks nothing is
 * missing at all. */
#include <criterion/criterion.h>

#include <vde/copy.h>

#include "rich_image.h"

#define ITEMS_MAX 64

struct item {
    enum vde_rescue_kind kind;
    uint64_t id, number, missing, end;
    char name[32];
    uint8_t *bytes;
    bool gaps, loose;
};
struct haul {
    struct item items[ITEMS_MAX];
    size_t count;
    struct vde_rescue_summary summary;
};

static struct vde_device *device;
static struct label label;
static struct superblock sb;

static void setup(void)
{
    device = rich_image();
    rich_head(device, &label, &sb);
}

static void teardown(void)
{
    device->ops->close(device);
}

TestSuite(rescue, .init = setup, .fini = teardown, .timeout = 300);

static vde_status on_begin(void *context, const struct vde_rescue_item *item)
{
    struct haul *haul = context;
    struct item *to = &haul->items[haul->count++];
    cr_assert_lt(haul->count, ITEMS_MAX);
    memset(to, 0, sizeof *to);
    *to = (struct item){.kind = item->kind, .id = item->id, .number = item->number};
    snprintf(to->name, sizeof to->name, "%.31s", item->name);
    to->bytes = calloc(1, RICH_VOLUME_BYTES);
    return VDE_OK;
}

static vde_status on_data(void *context, uint64_t offset, const void *bytes, size_t size)
{
    struct haul *haul = context;
    struct item *to = &haul->items[haul->count - 1];
    cr_assert_leq(offset + size, RICH_VOLUME_BYTES);
    if (bytes)
        memcpy(to->bytes + offset, bytes, size);
    else
        memset(to->bytes + offset, 0, size);
    if (to->end < offset + size)
        to->end = offset + size;
    return VDE_OK;
}

static vde_status on_missing(void *context, uint64_t offset, uint64_t size, const char *why)
{
    (void)context;
    (void)offset;
    (void)size;
    cr_assert_not_null(why);
    return VDE_OK;
}

static vde_status on_end(void *context, const struct vde_rescue_item *item)
{
    struct haul *haul = context;
    struct item *to = &haul->items[haul->count - 1];
    to->missing = item->missing_bytes;
    to->gaps = item->gaps;
    to->loose = item->loose;
    return VDE_OK;
}

/* The map of the image has one key; its last value counts. */
static vde_status on_record(void *context, const struct vde_rescue_record *record)
{
    struct haul *haul = context;
    struct item *to = &haul->items[haul->count - 1];
    cr_assert_eq(to->kind, VDE_RESCUE_MAP);
    memset(to->bytes, 0, RICH_VOLUME_BYTES);
    if (!record->value)
        return VDE_OK;
    cr_assert(record->key_size == 3 && memcmp(record->key, "key", 3) == 0);
    memcpy(to->bytes, record->value, record->value_size);
    to->end = record->value_size;
    return VDE_OK;
}

static void drop(struct haul *haul)
{
    for (size_t i = 0; i < haul->count; i++)
        free(haul->items[i].bytes);
    free(haul);
}

static struct haul *rescue(struct vde_device *from, vde_status *ret_status)
{
    struct haul *haul = calloc(1, sizeof *haul);
    struct vde_rescue_sink sink = {on_begin, on_data, on_missing, on_end, NULL, haul, on_record};
    *ret_status = vde_rescue_device(from, &sink, &haul->summary);
    return haul;
}

static const struct item *find(const struct haul *haul, const struct item *like)
{
    for (size_t i = haul->count; i-- > 0;) /* the last one counts */
        if (haul->items[i].kind == like->kind && haul->items[i].id == like->id && haul->items[i].number == like->number)
            return &haul->items[i];
    return NULL;
}

static void blot(struct vde_device *on, uint64_t block)
{
    static uint8_t garbage[BLOCK_BYTES];
    fill_bytes(garbage, sizeof garbage, block);
    OK(simulated_poke(on, block * BLOCK_BYTES, garbage, BLOCK_BYTES));
}

static void lose_superblocks(struct vde_device *on)
{
    for (unsigned slot = 0; slot < RING_SLOTS; slot++) {
        blot(on, superblock_block(&label.layout, 0, slot));
        blot(on, superblock_block(&label.layout, 1, slot));
    }
}

/* What one haul has and says is whole is what the other has. */
static void expect_same(const struct haul *haul, const struct haul *good, uint64_t block)
{
    for (size_t i = 0; i < haul->count; i++) {
        const struct item *item = &haul->items[i], *was = find(good, item);
        if (item->missing || item->gaps || item->loose || haul->summary.stale || item != find(haul, item))
            continue;
        cr_assert_not_null(was, "block %llu: kind %u, %llu", (unsigned long long)block, item->kind,
                           (unsigned long long)item->id);
        cr_assert_eq(memcmp(item->bytes, was->bytes, RICH_VOLUME_BYTES), 0, "block %llu: kind %u, %llu",
                     (unsigned long long)block, item->kind, (unsigned long long)item->id);
    }
}

Test(rescue, of_a_whole_image_everything_comes)
{
    vde_status status;
    struct haul *haul = rescue(device, &status);
    OK(status);
    cr_assert(haul->summary.catalog && haul->summary.label && haul->summary.superblock && !haul->summary.stale);
    cr_assert_eq(haul->summary.volumes, 3);
    cr_assert_eq(haul->summary.files, 3);
    cr_assert_eq(haul->summary.entries, 6);
    cr_assert_eq(haul->summary.incomplete, 0);
    cr_assert_eq(haul->summary.maps, 1);
    vde_image *image = open_flags(device, VDE_OPEN_READ_ONLY);
    for (size_t i = 0; i < haul->count; i++) {
        const struct item *item = &haul->items[i];
        uint8_t *bytes = calloc(1, RICH_VOLUME_BYTES);
        vde_volume *volume;
        if (item->kind == VDE_RESCUE_VOLUME) {
            OK(vde_volume_open(image, item->name, NULL, &volume));
            OK(vde_volume_read(volume, bytes, RICH_VOLUME_BYTES, 0));
            vde_volume_close(volume);
            cr_assert_eq(memcmp(bytes, item->bytes, RICH_VOLUME_BYTES), 0, "%s", item->name);
        }
        if (item->kind == VDE_RESCUE_MAP) {
            rich_bytes(bytes, 20000, 102, false);
            cr_assert_str_eq(item->name, "map");
            cr_assert_eq(item->end, 20000);
            cr_assert_eq(memcmp(bytes, item->bytes, RICH_VOLUME_BYTES), 0);
        }
        free(bytes);
    }
    OK(vde_image_close(image));
    drop(haul);
}

Test(rescue, without_superblocks_and_labels_nothing_is_missing)
{
    vde_status status;
    struct haul *good = rescue(device, &status), *haul;
    OK(status);
    lose_superblocks(device);
    haul = rescue(device, &status);
    OK(status);
    cr_assert(haul->summary.catalog && !haul->summary.superblock && !haul->summary.stale);
    cr_assert_eq(haul->count, good->count);
    cr_assert_eq(haul->summary.incomplete, 0);
    expect_same(haul, good, 0);
    drop(haul);
    blot(device, LABEL_BLOCK);
    blot(device, layout_region(&label.layout, REGION_LABEL_B)->block);
    haul = rescue(device, &status);
    OK(status);
    cr_assert_not(haul->summary.label);
    cr_assert_eq(haul->count, good->count);
    expect_same(haul, good, 0);
    drop(haul);
    drop(good);
}

/* One block after the other destroyed, besides the superblocks. */
Test(rescue, what_is_handed_out_as_whole_is_right_whatever_is_damaged)
{
    static const uint8_t zeroes[BLOCK_BYTES];
    vde_status status;
    struct haul *good = rescue(device, &status);
    uint64_t incomplete = 0;
    lose_superblocks(device);
    for (uint64_t block = layout_region(&label.layout, REGION_HISTORY)->block; block < label.layout.blocks - 32; block++) {
        uint8_t saved[BLOCK_BYTES];
        simulated_peek(device, block * BLOCK_BYTES, saved, BLOCK_BYTES);
        if (memcmp(saved, zeroes, BLOCK_BYTES) == 0)
            continue;
        blot(device, block);
        struct haul *haul = rescue(device, &status);
        OK(status);
        expect_same(haul, good, block);
        incomplete += haul->summary.incomplete != 0;
        drop(haul);
        OK(simulated_poke(device, block * BLOCK_BYTES, saved, BLOCK_BYTES));
    }
    cr_assert_gt(incomplete, 20);
    drop(good);
}

/* What is only in the log, removed keys, and small values. */
Test(rescue, maps_as_the_log_leaves_them)
{
    vde_status status;
    struct vde_device *crashed;
    vde_image *image = open_quiet(device);
    uint64_t id;
    OK(find_name(image, "map", &id));
    put_text(image, id, "key", "later");
    OK(simulated_clone(device, &crashed));
    struct haul *haul = rescue(crashed, &status);
    OK(status);
    struct item wanted = {.kind = VDE_RESCUE_MAP, .id = id};
    const struct item *map = find(haul, &wanted);
    cr_assert_eq(map->end, 5);
    cr_assert_eq(memcmp(map->bytes, "later", 6), 0);
    drop(haul);
    close_device(crashed);
    delete_key(image, id, "key");
    OK(simulated_clone(device, &crashed));
    haul = rescue(crashed, &status);
    OK(status);
    cr_assert_eq(find(haul, &wanted)->bytes[0], 0);
    drop(haul);
    close_device(crashed);
    OK(vde_image_close(image));
}

/* Every label of an image that grew, and all of them. */
Test(rescue, of_an_image_that_grew_whatever_label_is_left)
{
    vde_status status;
    struct vde_device *large;
    struct haul *good = rescue(device, &status);
    vde_image *image = open_quiet(device);
    struct vde_copy_opts opts = VDE_COPY_OPTS_INIT;
    OK(simulated_create(3 * RICH_BYTES, 5, 0, &large));
    OK(vde_image_copy_device(image, large, &opts, NULL));
    OK(vde_image_close(image));
    image = open_quiet(large);
    OK(vde_image_grow(image, 2 * RICH_BYTES));
    OK(vde_image_grow(image, 3 * RICH_BYTES));
    OK(vde_image_close(image));
    struct superblock newest;
    struct label grown;
    rich_head(large, &grown, &newest);
    struct layout layout;
    OK(superblock_layout(&newest, &grown.layout, &layout));
    const uint64_t labels[] = {LABEL_BLOCK, layout_region(&layout, REGION_LABEL_B)->block, layout.growth[0].label.block,
                               layout.growth[1].label.block};
    for (unsigned set = 1; set < 16; set++) {
        struct vde_device *broken;
        OK(simulated_clone(large, &broken));
        for (unsigned i = 0; i < 4; i++)
            if (set >> i & 1)
                blot(broken, labels[i]);
        struct haul *haul = rescue(broken, &status);
        OK(status);
        cr_assert_eq(haul->summary.incomplete, 0, "labels %x", set);
        cr_assert_eq(haul->count, good->count, "labels %x", set);
        expect_same(haul, good, set);
        drop(haul);
        close_device(broken);
    }
    close_device(large);
    drop(good);
}

Test(rescue, of_something_else_nothing_comes)
{
    struct vde_device *empty;
    vde_status status;
    OK(simulated_create(RICH_BYTES, 1, 0, &empty));
    struct haul *haul = rescue(empty, &status);
    EXPECT(VDE_CORRUPT, status);
    drop(haul);
    empty->ops->close(empty);
}
