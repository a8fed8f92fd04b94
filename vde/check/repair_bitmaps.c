/* SPDX-License-Identifier: Apache-2.0 */
/* repair_bitmaps.c -- bitmaps made again from what is reachable, published by a superblock of their own, so that a repair
 * that is cut short leaves the image as it was. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/checksum.h"
#include "base/fail.h"
#include "check/checker.h"
#include "check/repair.h"
#include "format/alloc.h"

struct rebuild {
    struct repair *repair;
    struct checker *checker;
    struct superblock sb;     /* the new one */
    uint8_t *index;
    uint64_t index_blocks;
    uint32_t again;           /* pages of this checkpoint are written once more, so that both slots hold them; 0: none */
    bool index_good;          /* `index` holds the current one, else zeroes */
    struct disk_bitmap *map;
};

static vde_status load_index(struct rebuild *b)
{
    struct source *source = &b->repair->source;
    uint64_t at = alloc_index_block(&source->label.layout, source->sb.alloc_slot);
    VDE_TRY(source_read(source, at, b->index, b->index_blocks));
    b->index_good = checksum(b->index, b->index_blocks * BLOCK_BYTES, source->seed ^ at) == source->sb.alloc_checksum;
    if (!b->index_good)
        memset(b->index, 0, b->index_blocks * BLOCK_BYTES);
    return VDE_OK;
}

/* Bits of a page as they should be; returns how many are set. */
static uint32_t make_page(struct rebuild *b, uint64_t page, struct disk_bitmap *map)
{
    uint32_t used = 0;
    memset(map, 0, sizeof *map);
    map->magic = le32(BITMAP_MAGIC);
    map->page = le32((uint32_t)page);
    map->sequence = le64(b->sb.sequence);
    map->seed = le64(b->repair->source.seed);
    for (uint64_t i = 0; i < BITMAP_BITS; i++)
        if (marks_get(&b->checker->marks, page * BITMAP_BITS + i)) {
            map->bits[i / 8] |= (uint8_t)(1u << (i % 8));
            used++;
        }
    return used;
}

/* Whether the current page says the same already. */
static vde_status is_right(struct rebuild *b, uint64_t page, const struct disk_alloc_entry *entry, uint32_t used,
                           bool *ret_right)
{
    struct source *source = &b->repair->source;
    struct disk_bitmap *now = (struct disk_bitmap *)(void *)b->repair->block;
    *ret_right = b->index_good && !entry->written && used == 0;
    if (!b->index_good || !entry->written || entry->slot > 1)
        return VDE_OK;
    uint64_t at = bitmap_slot_block(&source->label.layout, page, entry->slot);
    VDE_TRY(source_read(source, at, now, 1));
    *ret_right = checksum(now, BLOCK_BYTES, source->seed ^ at) == le64_get(entry->checksum) &&
                 memcmp(now->bits, b->map->bits, sizeof now->bits) == 0 && le16_get(entry->used) == used;
    return VDE_OK;
}

static vde_status rebuild_page(struct rebuild *b, uint64_t page)
{
    struct source *source = &b->repair->source;
    struct disk_alloc_entry entry;
    uint8_t *place = b->index + sizeof(struct disk_alloc_index) + page * sizeof entry;
    uint32_t used = make_page(b, page, b->map);
    bool right;
    memcpy(&entry, place, sizeof entry);
    b->sb.used_blocks += used;
    VDE_TRY(is_right(b, page, &entry, used, &right));
    if (right && (b->again == 0 || le32_get(entry.sequence) != b->again))
        return VDE_OK;
    uint8_t slot = b->index_good && entry.written && entry.slot == 0; /* the one that is not current */
    uint64_t at = bitmap_slot_block(&source->label.layout, page, slot);
    entry = (struct disk_alloc_entry){le64(checksum(b->map, BLOCK_BYTES, source->seed ^ at)),
                                      le32((uint32_t)b->sb.sequence), le16((uint16_t)used), slot, 1};
    memcpy(place, &entry, sizeof entry);
    return source_write(source, at, b->map, 1);
}

static vde_status publish(struct rebuild *b)
{
    struct source *source = &b->repair->source;
    struct disk_alloc_index head;
    memset(&head, 0, sizeof head);
    head.magic = le32(ALLOC_INDEX_MAGIC);
    head.sequence = le64(b->sb.sequence);
    head.seed = le64(source->seed);
    head.pages = le64(source->label.layout.alloc_pages);
    memcpy(b->index, &head, sizeof head);
    uint64_t at = alloc_index_block(&source->label.layout, b->sb.alloc_slot);
    b->sb.alloc_checksum = checksum(b->index, b->index_blocks * BLOCK_BYTES, source->seed ^ at);
    VDE_TRY(source_write(source, at, b->index, b->index_blocks));
    VDE_TRY(source_flush(source));
    for (unsigned ring = 0; ring < 2; ring++) {
        uint64_t place = superblock_block(&source->label.layout, ring, b->sb.sequence);
        superblock_encode(&b->sb, source->label.uuid, ring, place, (struct disk_superblock *)(void *)b->repair->block);
        VDE_TRY(source_write(source, place, b->repair->block, 1));
        VDE_TRY(source_flush(source));
    }
    source->sb = b->sb;
    return VDE_OK;
}

static vde_status rebuild(struct repair *r, struct checker *c, bool again)
{
    struct rebuild b = {.repair = r, .checker = c, .sb = r->source.sb, .again = again ? (uint32_t)r->source.sb.sequence : 0};
    b.sb.sequence++;
    b.sb.alloc_slot = !b.sb.alloc_slot;
    b.sb.used_blocks = 0;
    b.sb.log_previous = b.sb.log_start;
    b.index_blocks = alloc_index_blocks(r->source.label.layout.alloc_pages);
    b.index = aligned_alloc(BLOCK_BYTES, b.index_blocks * BLOCK_BYTES);
    b.map = aligned_alloc(BLOCK_BYTES, BLOCK_BYTES);
    vde_status status = b.index && b.map ? load_index(&b) : fail_nomem("alloc index");
    for (uint64_t page = 0; status == VDE_OK && page < r->source.label.layout.alloc_pages; page++)
        status = rebuild_page(&b, page);
    if (status == VDE_OK)
        status = publish(&b);
    free(b.index);
    free(b.map);
    return status;
}

static vde_status judge(struct repair *r, struct checker *c)
{
    char what[160];
    bool found;
    VDE_TRY(check_reach(c, &found));
    uint64_t damage = c->summary->findings;
    VDE_TRY(check_bitmaps(c));
    uint64_t wrong = c->summary->findings - damage;
    if (wrong == 0)
        return VDE_OK;
    /* What the labels and rings had to say was put right before, or is about to be. */
    if (c->incomplete || c->walk_findings) {
        snprintf(what, sizeof what, "%llu findings, but trees are damaged, too: what is reachable is not known",
                 (unsigned long long)wrong);
        repair_tell(r, VDE_REPAIR_IMPOSSIBLE, "bitmaps", what);
        return VDE_OK;
    }
    snprintf(what, sizeof what, "written again as the walk says: %llu blocks leaked, %llu not marked, %llu findings",
             (unsigned long long)c->summary->leaked_blocks, (unsigned long long)c->summary->unmarked_blocks,
             (unsigned long long)wrong);
    if (!repair_plan(r, "bitmaps", what))
        return VDE_OK;
    VDE_TRY(rebuild(r, c, false));
    VDE_TRY(rebuild(r, c, true));
    repair_tell(r, VDE_REPAIR_DONE, "bitmaps", what);
    return VDE_OK;
}

vde_status repair_bitmaps(struct repair *r)
{
    struct vde_check_opts opts = VDE_CHECK_OPTS_INIT;
    struct vde_check_summary summary;
    struct checker c;
    opts.flags = 0;
    opts.progress = r->opts.progress;
    opts.context = r->opts.context;
    vde_status status = check_begin(&c, r->source.device, &opts, &summary);
    if (status == VDE_OK)
        status = judge(r, &c);
    check_end(&c);
    return status;
}
