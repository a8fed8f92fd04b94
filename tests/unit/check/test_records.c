/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes, snapshots, clones and what waits to be freed under the check: a good image has no findings, and whatever one of
 * the catalog's records says wrongly is found, with every checksum right. */
#include <criterion/criterion.h>

#include "format/catalog.h"
#include "format/node.h"
#include "rich_image.h"

static struct vde_device *device;

static void setup(void)
{
    device = rich_image();
}

static void teardown(void)
{
    device->ops->close(device);
}

TestSuite(records, .init = setup, .fini = teardown, .timeout = 120);

static uint64_t findings(uint32_t flags)
{
    struct vde_check_opts opts = VDE_CHECK_OPTS_INIT;
    struct vde_check_summary summary;
    opts.flags = flags;
    OK(vde_check_device(device, &opts, &summary));
    return summary.findings;
}

Test(records, a_good_image_has_no_findings_and_all_is_counted)
{
    struct vde_check_summary s = check_clean(device);
    cr_assert_eq(s.volumes, 3, "%llu", (unsigned long long)s.volumes);
    cr_assert_eq(s.snapshots, 3, "%llu", (unsigned long long)s.snapshots);
    cr_assert_eq(s.clones, 1);
    cr_assert_eq(s.zombies, 2, "%llu", (unsigned long long)s.zombies);
    cr_assert_gt(s.frames, 0);
    cr_assert_gt(s.runs, s.frames);
    cr_assert_eq(findings(VDE_CHECK_DATA | VDE_CHECK_SCRUB), 0);
}

/* Every block in use zeroed, one after the other: found; data only when it is asked for. */
Test(records, every_lost_block_is_found)
{
    static const uint8_t zeroes[BLOCK_BYTES];
    static uint8_t saved[BLOCK_BYTES];
    struct label label;
    struct superblock sb;
    uint64_t found = 0, without_data = 0;
    rich_head(device, &label, &sb);
    for (uint64_t block = layout_region(&label.layout, REGION_HISTORY)->block; block < label.layout.blocks - 32; block++) {
        simulated_peek(device, block * BLOCK_BYTES, saved, BLOCK_BYTES);
        if (memcmp(saved, zeroes, BLOCK_BYTES) == 0)
            continue;
        OK(simulated_poke(device, block * BLOCK_BYTES, zeroes, BLOCK_BYTES));
        found += findings(VDE_CHECK_DATA) != 0;
        without_data += findings(0) != 0;
        OK(simulated_poke(device, block * BLOCK_BYTES, saved, BLOCK_BYTES));
    }
    /* Of blocks that hold zeroes nothing can be lost; all else that is marked used is missed. */
    cr_assert_geq(found, sb.used_blocks - 4, "%llu of %llu", (unsigned long long)found, (unsigned long long)sb.used_blocks);
    cr_assert_leq(found, sb.used_blocks);
    cr_assert_lt(without_data, found);
}

/* --- records that lie ------------------------------------------------------------------------------------------------ */

static _Alignas(4096) uint8_t leaf[BLOCK_BYTES];
static struct label label;
static struct superblock sb;

/* The catalog is one leaf: changed in place, its checksum goes into the superblock. */
static void load_catalog(void)
{
    rich_head(device, &label, &sb);
    cr_assert_eq(sb.catalog.level, 0, "the catalog of this image is one leaf");
    simulated_peek(device, sb.catalog.node.address * BLOCK_BYTES, leaf, BLOCK_BYTES);
}

static void store_catalog(const uint8_t *bytes)
{
    static _Alignas(4096) uint8_t raw[BLOCK_BYTES];
    uint64_t seed = image_seed(label.uuid);
    struct superblock changed = sb;
    changed.catalog.node.checksum = node_checksum(bytes, seed, sb.catalog.node.address);
    OK(simulated_poke(device, sb.catalog.node.address * BLOCK_BYTES, bytes, BLOCK_BYTES));
    for (unsigned ring = 0; ring < 2; ring++) {
        uint64_t place = superblock_block(&label.layout, ring, sb.sequence);
        superblock_encode(&changed, label.uuid, ring, place, (void *)raw);
        OK(simulated_poke(device, place * BLOCK_BYTES, raw, BLOCK_BYTES));
    }
}

static const char *last_finding(void)
{
    static char text[400];
    struct vde_check_summary summary;
    OK(vde_check_device(device, NULL, &summary));
    snprintf(text, sizeof text, "%s", summary.findings ? "found" : "clean");
    return text;
}

/* Change one byte of a record's value; the check must find it. */
static void lie(const struct node_record *record, size_t at, const char *what)
{
    static uint8_t changed[BLOCK_BYTES];
    memcpy(changed, leaf, BLOCK_BYTES);
    changed[(size_t)(record->value - leaf) + at] ^= 1;
    store_catalog(changed);
    cr_assert_str_eq(last_finding(), "found", "%s: byte %zu of record %c", what, at, record->key[0]);
    store_catalog(leaf);
}

/* Fields whose every byte means something that is said elsewhere, too. */
static void lie_about(const struct node_record *record)
{
    static const struct { size_t offset; const char *name; } dataset[] = {
        {offsetof(struct disk_dataset, id), "id"},
        {offsetof(struct disk_dataset, kind), "kind"},
        {offsetof(struct disk_dataset, root), "root address"},
        {offsetof(struct disk_dataset, dead), "dead tree"},
        {offsetof(struct disk_dataset, newest_snapshot), "newest snapshot"},
        {offsetof(struct disk_dataset, tree), "tree"},
        {offsetof(struct disk_dataset, origin), "origin"},
        {offsetof(struct disk_dataset, mapped_blocks), "mapped blocks"},
        {offsetof(struct disk_dataset, stored_blocks), "stored blocks"},
        {offsetof(struct disk_dataset, dead_blocks), "dead blocks"},
    };
    static const struct { size_t offset; const char *name; } snapshot[] = {
        {offsetof(struct disk_snapshot, lsn), "LSN"},
        {offsetof(struct disk_snapshot, root), "root address"},
    };
    if (record->key[0] == CATALOG_KEY_DATASET)
        for (size_t i = 0; i < sizeof dataset / sizeof dataset[0]; i++)
            lie(record, dataset[i].offset, dataset[i].name);
    else if (record->key[0] == CATALOG_KEY_SNAPSHOT)
        for (size_t i = 0; i < sizeof snapshot / sizeof snapshot[0]; i++)
            lie(record, snapshot[i].offset, snapshot[i].name);
    else if (record->key[0] == CATALOG_KEY_NAME || record->key[0] == CATALOG_KEY_ALIAS || record->key[0] == CATALOG_KEY_LSN)
        lie(record, 0, "number");
    else if (record->key[0] == CATALOG_KEY_VOLUME)
        lie(record, 0, "size that is no multiple of a sector");
}

Test(records, whatever_a_record_says_wrongly_is_found)
{
    load_catalog();
    const struct disk_node *node = (const struct disk_node *)(const void *)leaf;
    cr_assert_gt(node_count(node), 12);
    for (unsigned i = 0; i < node_count(node); i++) {
        struct node_record record = node_record(node, i);
        lie_about(&record);
    }
    store_catalog(leaf);
    cr_assert_str_eq(last_finding(), "clean");
}

/* Change one byte of a record's key, keeping the order of keys: what it was for is missed. */
Test(records, a_record_that_is_missing_is_found)
{
    static uint8_t changed[BLOCK_BYTES];
    load_catalog();
    const struct disk_node *node = (const struct disk_node *)(const void *)leaf;
    unsigned tried = 0;
    for (unsigned i = 0; i < node_count(node); i++) {
        struct node_record record = node_record(node, i);
        size_t prefix = sizeof VOLUME_NAME_PREFIX - 1;
        if (record.key_size > prefix && memcmp(record.key + 1, VOLUME_NAME_PREFIX, prefix) == 0)
            continue; /* a volume's name is said nowhere else */
        memcpy(changed, leaf, BLOCK_BYTES);
        changed[(size_t)(record.key - leaf) + record.key_size - 1u] ^= 1;
        store_catalog(changed);
        cr_assert_str_eq(last_finding(), "found", "key of record %u, %c", i, record.key[0]);
        tried++;
    }
    store_catalog(leaf);
    cr_assert_gt(tried, 12);
}
