/* SPDX-License-Identifier: Apache-2.0 */
/* head.c -- labels, superblock rings, and the comparison of the bitmaps with what was reached. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/checksum.h"
#include "base/fail.h"
#include "check/checker.h"
#include "format/alloc.h"

#define LABEL_B_FROM_END 16u



/* Read one copy of the label. *ret_ok false: damaged, not reported yet (the detail is the thread's). */
static vde_status read_label(struct checker *c, unsigned copy, uint64_t block, struct label *ret_label, vde_status *ret_ok)
{
    *ret_ok = VDE_CORRUPT;
    if (block + 2 > c->device_blocks) {
        fail_corrupt("label %c|a device of %llu blocks|room for it", copy ? 'B' : 'A',
                     (unsigned long long)c->device_blocks);
        return VDE_OK;
    }
    VDE_TRY(check_read(c, block, c->block, 1));
    const struct disk_label *disk = (const struct disk_label *)(const void *)c->block;
    *ret_ok = label_decode(disk, c->device_blocks, copy ? "label B" : "label A", ret_label);
    if (*ret_ok == VDE_OK && le32_get(disk->copy) != copy)
        *ret_ok = fail_corrupt("label %c|says that it is copy %u|%u", copy ? 'B' : 'A', le32_get(disk->copy), copy);
    return VDE_OK;
}

static vde_status check_feature_names(struct checker *c, enum region_kind kind)
{
    const char *object = kind == REGION_LABEL_A ? "feature names A" : "feature names B";
    VDE_TRY(check_read(c, layout_region(&c->label.layout, kind)->block + 1, c->block, 1));
    const struct disk_feature_names *d = (const struct disk_feature_names *)(const void *)c->block;
    uint64_t sum = checksum(d, offsetof(struct disk_feature_names, checksum), 0);
    if (memcmp(d->magic, "VDEfeats", 8) != 0 || memcmp(d->uuid, c->label.uuid, 16) != 0 ||
        sum != le64_get(d->checksum))
        check_report(c, "%s|checksum %016llx|%016llx", object, (unsigned long long)sum,
                     (unsigned long long)le64_get(d->checksum));
    return VDE_OK;
}

static vde_status check_features(struct checker *c, bool *ret_found)
{
    uint64_t unknown = c->label.incompat & ~FEATURE_INCOMPAT_KNOWN;
    for (unsigned bit = 0; bit < 64; bit++)
        if (unknown >> bit & 1) {
            char name[40];
            feature_name((const struct disk_feature_names *)(const void *)c->block, 2, bit, name, sizeof name);
            VDE_TRY(check_note(c, fail_as(VDE_UNSUPPORTED, "label|feature %s|features of this build", name)));
            *ret_found = false;
        }
    return VDE_OK;
}

vde_status check_label(struct checker *c, bool *ret_found)
{
    struct label a, b;
    vde_status status_a, status_b;
    VDE_TRY(read_label(c, 0, LABEL_BLOCK, &a, &status_a));
    VDE_TRY(check_note(c, status_a));
    uint64_t block_b = status_a == VDE_OK ? layout_region(&a.layout, REGION_LABEL_B)->block
                                          : max_u64(c->device_blocks, LABEL_B_FROM_END) - LABEL_B_FROM_END;
    VDE_TRY(read_label(c, 1, block_b, &b, &status_b));
    VDE_TRY(check_note(c, status_b));
    *ret_found = status_a == VDE_OK || status_b == VDE_OK;
    if (!*ret_found)
        return VDE_OK;
    c->label = status_a == VDE_OK ? a : b;
    c->seed = image_seed(c->label.uuid);
    if (status_a == VDE_OK && status_b == VDE_OK &&
        (memcmp(a.uuid, b.uuid, 16) != 0 || a.layout.blocks != b.layout.blocks || a.incompat != b.incompat))
        check_report(c, "label B|a label of another image|a copy of label A");
    VDE_TRY(check_feature_names(c, REGION_LABEL_B));
    VDE_TRY(check_feature_names(c, REGION_LABEL_A));
    return check_features(c, ret_found);
}

/* --- superblocks -------------------------------------------------------------------------------------------------- */

/* The newest valid superblock of one ring; sequence 0 when there is none. */
static vde_status newest_of_ring(struct checker *c, unsigned ring, struct superblock *ret_sb)
{
    memset(ret_sb, 0, sizeof *ret_sb);
    for (unsigned slot = 0; slot < RING_SLOTS; slot++) {
        struct superblock sb;
        VDE_TRY(check_read(c, superblock_block(&c->label.layout, ring, slot), c->block, 1));
        vde_status status = superblock_decode((const struct disk_superblock *)(const void *)c->block, c->label.uuid,
                                              &c->label.layout, ring, slot, &sb);
        if (status == VDE_OK && sb.sequence > ret_sb->sequence)
            *ret_sb = sb;
    }
    return VDE_OK;
}

/* The layout is that of the superblock from here on; a grown image has one more copy of label B. */
static vde_status check_size(struct checker *c, bool *ret_found)
{
    struct layout layout;
    VDE_TRY(superblock_layout(&c->sb, &c->label.layout, &layout)); /* decoding verified it */
    if (layout.blocks > c->device_blocks) {
        check_report(c, "superblock %llu|an image grown to %llu blocks|at most the device's %llu",
                     (unsigned long long)c->sb.sequence, (unsigned long long)layout.blocks,
                     (unsigned long long)c->device_blocks);
        *ret_found = false;
        return VDE_OK;
    }
    c->label.layout = layout;
    for (uint32_t i = 0; i < layout.growths; i++) {
        struct label copy;
        vde_status status;
        VDE_TRY(read_label(c, 1, layout.growth[i].label.block, &copy, &status));
        VDE_TRY(check_note(c, status));
        if (status == VDE_OK && memcmp(copy.uuid, c->label.uuid, 16) != 0)
            check_report(c, "label B of growth %u|a label of another image|a copy of label A", i + 1);
    }
    return VDE_OK;
}

/* B is written after A was flushed, so crashes leave B behind or with a torn slot, never A. */
vde_status check_superblock(struct checker *c, bool *ret_found)
{
    struct superblock a, b;
    VDE_TRY(newest_of_ring(c, 0, &a));
    VDE_TRY(newest_of_ring(c, 1, &b));
    c->sb = a.sequence >= b.sequence ? a : b;
    *ret_found = c->sb.sequence != 0;
    if (!*ret_found) {
        check_report(c, "superblock rings|no valid superblock|at least one");
        return VDE_OK;
    }
    VDE_TRY(check_size(c, ret_found));
    if (a.sequence < b.sequence)
        check_report(c, "superblock ring A|sequence %llu|%llu as in ring B", (unsigned long long)a.sequence,
                     (unsigned long long)b.sequence);
    if (b.sequence == 0)
        check_report(c, "superblock ring B|no valid superblock|a copy of %llu or of one before",
                     (unsigned long long)a.sequence);
    return VDE_OK;
}

/* --- bitmaps ------------------------------------------------------------------------------------------------------ */

struct tally {
    struct checker *c;
    uint64_t start, blocks;  /* the run at hand */
    int state;               /* 0 agrees, 1 leaked, 2 unmarked */
};

static void tally_end(struct tally *t)
{
    struct checker *c = t->c;
    if (t->state == 1) {
        c->summary->leaked_blocks += t->blocks;
        check_report(c, "blocks %llu + %llu|marked used, reached from nowhere|free", (unsigned long long)t->start,
                     (unsigned long long)t->blocks);
    } else if (t->state == 2) {
        c->summary->unmarked_blocks += t->blocks;
        check_report(c, "blocks %llu + %llu|reached, marked free|marked used", (unsigned long long)t->start,
                     (unsigned long long)t->blocks);
    }
    t->state = 0;
}

static void tally_block(struct tally *t, uint64_t block, bool marked, bool reached)
{
    int state = marked == reached ? 0 : marked ? 1 : 2;
    if (state == 1 && t->c->incomplete)
        state = 0; /* behind damage that was reported */
    if (state != t->state || (state && block != t->start + t->blocks)) {
        tally_end(t);
        t->state = state;
        t->start = block;
        t->blocks = 0;
    }
    t->blocks++;
}

static vde_status read_page(struct checker *c, uint64_t page, const struct disk_alloc_entry *entry, bool *ret_good)
{
    uint64_t block = bitmap_slot_block(&c->label.layout, page, entry->slot);
    VDE_TRY(check_read(c, block, c->block, 1));
    const struct disk_bitmap *map = (const struct disk_bitmap *)(const void *)c->block;
    uint64_t sum = checksum(map, BLOCK_BYTES, c->seed ^ block);
    *ret_good = sum == le64_get(entry->checksum) && le32_get(map->magic) == BITMAP_MAGIC &&
                le32_get(map->page) == (uint32_t)page && le64_get(map->seed) == c->seed &&
                (uint32_t)le64_get(map->sequence) == le32_get(entry->sequence) &&
                le64_get(map->sequence) <= c->sb.sequence && le64_get(map->reserved) == 0;
    if (!*ret_good)
        check_report(c, "bitmap page %llu slot %u|checksum %016llx, sequence %llu|%016llx, sequence %u",
                     (unsigned long long)page, entry->slot, (unsigned long long)sum,
                     (unsigned long long)le64_get(map->sequence), (unsigned long long)le64_get(entry->checksum),
                     le32_get(entry->sequence));
    return VDE_OK;
}

static vde_status compare_page(struct checker *c, struct tally *t, uint64_t page, const struct disk_alloc_entry *entry,
                               uint64_t *used)
{
    const struct disk_bitmap *map = (const struct disk_bitmap *)(const void *)c->block;
    bool good = true;
    if (entry->written)
        VDE_TRY(read_page(c, page, entry, &good));
    if (!good)
        return VDE_OK;
    uint32_t set = 0;
    for (uint32_t i = 0; i < BITMAP_BITS; i++) {
        uint64_t block = page * BITMAP_BITS + i;
        bool marked = entry->written && (map->bits[i / 8] >> (i % 8) & 1);
        set += marked;
        if (marked && (block >= c->label.layout.blocks || !layout_allocatable(&c->label.layout, block)))
            check_report(c, "block %llu|marked used|never marked: not in heap or history area",
                         (unsigned long long)block);
        else
            tally_block(t, block, marked, marks_get(&c->marks, block) != 0);
    }
    if (set != le16_get(entry->used))
        check_report(c, "bitmap page %llu|%u bits set|%u as the index says", (unsigned long long)page, set,
                     le16_get(entry->used));
    *used += set;
    return VDE_OK;
}

static bool index_is_sound(struct checker *c, const uint8_t *index, uint64_t bytes)
{
    uint64_t block = alloc_index_block(&c->label.layout, c->sb.alloc_slot);
    uint64_t sum = checksum(index, bytes, c->seed ^ block);
    struct disk_alloc_index head;
    memcpy(&head, index, sizeof head);
    bool sound = sum == c->sb.alloc_checksum && le32_get(head.magic) == ALLOC_INDEX_MAGIC &&
                 le64_get(head.sequence) == c->sb.sequence && le64_get(head.seed) == c->seed &&
                 le64_get(head.pages) == c->label.layout.alloc_pages;
    if (!sound)
        check_report(c, "alloc index slot %u|checksum %016llx|%016llx", c->sb.alloc_slot, (unsigned long long)sum,
                     (unsigned long long)c->sb.alloc_checksum);
    return sound;
}

static vde_status compare_pages(struct checker *c, const uint8_t *index)
{
    struct tally tally = {c, 0, 0, 0};
    uint64_t used = 0;
    for (uint64_t page = 0; page < c->label.layout.alloc_pages; page++) {
        struct disk_alloc_entry entry;
        memcpy(&entry, index + sizeof(struct disk_alloc_index) + page * sizeof entry, sizeof entry);
        if (entry.slot > 1 || entry.written > 1) {
            check_report(c, "alloc index entry %llu|slot %u, written %u|0 or 1", (unsigned long long)page, entry.slot,
                         entry.written);
            continue;
        }
        VDE_TRY(compare_page(c, &tally, page, &entry, &used));
    }
    tally_end(&tally);
    if (used != c->sb.used_blocks)
        check_report(c, "superblock %llu|%llu blocks used|%llu bits are set", (unsigned long long)c->sb.sequence,
                     (unsigned long long)c->sb.used_blocks, (unsigned long long)used);
    return VDE_OK;
}

vde_status check_bitmaps(struct checker *c)
{
    uint64_t blocks = alloc_index_blocks(c->label.layout.alloc_pages);
    uint8_t *index = aligned_alloc(BLOCK_BYTES, blocks * BLOCK_BYTES);
    if (!index)
        return fail_nomem("alloc index");
    vde_status status = check_read(c, alloc_index_block(&c->label.layout, c->sb.alloc_slot), index, blocks);
    if (status == VDE_OK && index_is_sound(c, index, blocks * BLOCK_BYTES))
        status = compare_pages(c, index);
    free(index);
    return status;
}
