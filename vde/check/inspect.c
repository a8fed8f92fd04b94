/* SPDX-License-Identifier: Apache-2.0 */
/* inspect.c -- open an image for inspection; its superblocks and its free space. */
#include "check/inspect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/checksum.h"
#include "base/fail.h"
#include "format/alloc.h"

static vde_status opened(struct vde_inspect *inspect, vde_status status, vde_inspect **ret_inspect)
{
    if (status == VDE_OK && !inspect->source.has_label)
        status = fail_corrupt("label|neither copy can be read|at least one");
    if (status != VDE_OK) {
        source_close(&inspect->source);
        free(inspect);
        return status;
    }
    *ret_inspect = inspect;
    return VDE_OK;
}

vde_status vde_inspect_open(const char *path, const char *backend, vde_inspect **ret_inspect)
{
    struct vde_inspect *inspect = calloc(1, sizeof *inspect);
    return inspect ? opened(inspect, source_open(&inspect->source, path, backend, false), ret_inspect)
                   : fail_nomem("inspection");
}

vde_status vde_inspect_open_device(struct vde_device *device, vde_inspect **ret_inspect)
{
    struct vde_inspect *inspect = calloc(1, sizeof *inspect);
    return inspect ? opened(inspect, source_init(&inspect->source, device), ret_inspect) : fail_nomem("inspection");
}

void vde_inspect_close(vde_inspect *inspect)
{
    if (inspect)
        source_close(&inspect->source);
    free(inspect);
}

/* --- superblocks ---------------------------------------------------------------------------------------------------- */

static void describe_superblock(const struct superblock *sb, struct vde_superblock_info *info)
{
    info->sequence = sb->sequence;
    info->epoch = sb->epoch;
    info->checkpoint_lsn = sb->checkpoint_lsn;
    info->log_start = sb->log_start;
    info->log_chain = sb->log_chain;
    info->log_previous = sb->log_previous;
    info->last_time_us = sb->last_time_us;
    info->next_id = sb->next_id;
    info->used_blocks = sb->used_blocks;
    info->written_us = sb->written_us;
    info->meta_nodes = sb->meta_nodes;
    info->alloc_slot = sb->alloc_slot;
    info->clean = sb->autoclear & FEATURE_AUTOCLEAR_CLEAN;
    info->catalog_block = sb->catalog.node.address;
    info->catalog_birth = sb->catalog.node.birth;
    info->catalog_records = sb->catalog.records;
    info->catalog_nodes = sb->catalog.nodes;
}

static bool all_zero(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i])
            return false;
    return true;
}

static vde_status inspect_slot(struct source *source, unsigned ring, unsigned slot, uint8_t *block,
                               struct vde_superblock_info *ret_info)
{
    struct superblock sb = {.sequence = 0};
    memset(ret_info, 0, sizeof *ret_info);
    ret_info->ring = ring ? 'B' : 'A';
    ret_info->slot = slot;
    vde_status status = source_read(source, superblock_block(&source->label.layout, ring, slot), block, 1);
    if (status == VDE_OK) {
        ret_info->empty = all_zero(block, BLOCK_BYTES);
        status = superblock_decode((const struct disk_superblock *)(const void *)block, source->label.uuid,
                                   &source->label.layout, ring, slot, &sb);
    } else if (status != VDE_IO) {
        return status;
    }
    ret_info->valid = status == VDE_OK;
    if (ret_info->valid) {
        describe_superblock(&sb, ret_info);
        ret_info->newest = sb.sequence == source->sb.sequence;
    } else {
        snprintf(ret_info->why, sizeof ret_info->why, "%.300s", ret_info->empty ? "never written" : vde_last_error()->text);
    }
    return VDE_OK;
}

vde_status vde_inspect_superblocks(vde_inspect *inspect,
                                   vde_status (*each)(void *context, const struct vde_superblock_info *info), void *context)
{
    struct vde_superblock_info info;
    uint8_t *block = aligned_alloc(BLOCK_BYTES, BLOCK_BYTES);
    vde_status status = block ? VDE_OK : fail_nomem("superblock");
    for (unsigned i = 0; i < 2 * RING_SLOTS && status == VDE_OK; i++) {
        status = inspect_slot(&inspect->source, i / RING_SLOTS, i % RING_SLOTS, block, &info);
        if (status == VDE_OK)
            status = each(context, &info);
    }
    free(block);
    return status;
}

/* --- free space ----------------------------------------------------------------------------------------------------- */

struct space {
    struct source *source;
    struct vde_alloc_info *info;
    uint8_t *index;  /* as read */
    struct disk_bitmap *map;
    uint64_t run;    /* free blocks up to here without a gap */
};

static void end_run(struct space *s)
{
    unsigned class = 0;
    if (s->run == 0)
        return;
    while (class + 1 < VDE_ALLOC_CLASSES && s->run >> (class + 1))
        class++;
    s->info->free_runs[class]++;
    s->info->free_blocks[class] += s->run;
    s->info->largest_free_blocks = max_u64(s->info->largest_free_blocks, s->run);
    s->run = 0;
}

static void count_runs(struct space *s, uint64_t page, bool whole, bool empty)
{
    const struct layout *layout = &s->source->label.layout;
    for (uint64_t i = 0; i < BITMAP_BITS; i++) {
        uint64_t block = page * BITMAP_BITS + i;
        bool outside = block >= layout->blocks || !layout_allocatable(layout, block);
        bool used = !empty && (whole || (s->map->bits[i / 8] >> (i % 8) & 1));
        s->info->total_blocks += !outside;
        if (outside || used)
            end_run(s);
        else
            s->run++;
    }
}

static vde_status read_slot(struct space *s, uint64_t page, unsigned slot, uint64_t *ret_sum, bool *ret_valid)
{
    uint64_t block = bitmap_slot_block(&s->source->label.layout, page, slot);
    VDE_TRY(source_read(s->source, block, s->map, 1));
    *ret_sum = checksum(s->map, BLOCK_BYTES, s->source->seed ^ block);
    *ret_valid = le32_get(s->map->magic) == BITMAP_MAGIC && le32_get(s->map->page) == (uint32_t)page &&
                 le64_get(s->map->seed) == s->source->seed;
    return VDE_OK;
}

static vde_status inspect_page(struct space *s, uint64_t page, struct vde_alloc_page *ret_page)
{
    struct disk_alloc_entry entry;
    uint64_t sum;
    memcpy(&entry, s->index + sizeof(struct disk_alloc_index) + page * sizeof entry, sizeof entry);
    *ret_page = (struct vde_alloc_page){.page = page, .first_block = page * BITMAP_BITS, .slot = entry.slot & 1,
                                        .written = entry.written, .used = le16_get(entry.used)};
    VDE_TRY(read_slot(s, page, !(entry.slot & 1), &sum, &ret_page->spare_valid));
    if (ret_page->spare_valid)
        ret_page->spare_sequence = le64_get(s->map->sequence);
    VDE_TRY(read_slot(s, page, entry.slot & 1, &sum, &ret_page->valid));
    ret_page->valid = s->info->index_valid && (!entry.written || (ret_page->valid && sum == le64_get(entry.checksum)));
    if (entry.written && ret_page->valid)
        ret_page->sequence = le64_get(s->map->sequence);
    count_runs(s, page, !ret_page->valid, ret_page->valid && !entry.written);
    return VDE_OK;
}

static vde_status inspect_pages(struct space *s, vde_status (*each)(void *, const struct vde_alloc_page *), void *context)
{
    struct source *source = s->source;
    uint64_t blocks = alloc_index_blocks(source->label.layout.alloc_pages);
    uint64_t at = alloc_index_block(&source->label.layout, source->sb.alloc_slot);
    VDE_TRY(source_read(source, at, s->index, blocks));
    s->info->index_valid = checksum(s->index, blocks * BLOCK_BYTES, source->seed ^ at) == source->sb.alloc_checksum;
    for (uint64_t page = 0; page < source->label.layout.alloc_pages; page++) {
        struct vde_alloc_page found;
        VDE_TRY(inspect_page(s, page, &found));
        if (each)
            VDE_TRY(each(context, &found));
    }
    end_run(s);
    return VDE_OK;
}

vde_status vde_inspect_alloc(vde_inspect *inspect, struct vde_alloc_info *ret_info,
                             vde_status (*each)(void *context, const struct vde_alloc_page *page), void *context)
{
    struct source *source = &inspect->source;
    VDE_TRY(source_expect(source));
    memset(ret_info, 0, sizeof *ret_info);
    ret_info->index_slot = source->sb.alloc_slot;
    ret_info->pages = source->label.layout.alloc_pages;
    ret_info->used_blocks = source->sb.used_blocks;
    struct space s = {.source = source, .info = ret_info};
    s.index = aligned_alloc(BLOCK_BYTES, alloc_index_blocks(ret_info->pages) * BLOCK_BYTES);
    s.map = aligned_alloc(BLOCK_BYTES, BLOCK_BYTES);
    vde_status status = s.index && s.map ? inspect_pages(&s, each, context) : fail_nomem("alloc index");
    free(s.index);
    free(s.map);
    return status;
}
