/* SPDX-License-Identifier: Apache-2.0 */
/* block_cursor.c -- what lies at a block: the newest of two overlays and a tree. Each source remembers the stretch for which
 * it stands right, so that a walk in ascending order steps and only jumps search. */
#include "pool/blocks.h"

#include <stdlib.h>

#include "base/checked.h"
#include "base/fail.h"

#define NONE UINT64_MAX
#define STEPS_MAX 8u /* entries stepped over before searching pays */

/* An overlay: from block `from` up to `at` the next entry is the one at `at`. */
struct source {
    struct overlay_iterator iterator;
    bool sought;
    uint64_t from, at;        /* at NONE: no more entries */
    bool data;                /* else unmapped */
    struct block_entry block;
};

struct block_cursor {
    struct map map;
    struct source sources[2];
    struct tree_cursor *tree;
    /* from block `from` up to its end, `run` is the next run; at the end of the tree it has block NONE */
    bool sought;
    uint64_t from;
    struct block_run run;
};

vde_status block_cursor_open(const struct map *map, struct block_cursor **ret_cursor)
{
    struct block_cursor *cursor = calloc(1, sizeof *cursor);
    if (!cursor)
        return fail_nomem("block cursor");
    vde_status status = tree_cursor_open(map->store, map->tree, &map->root, &cursor->tree);
    if (status != VDE_OK) {
        free(cursor);
        return status;
    }
    cursor->map = *map;
    *ret_cursor = cursor;
    return VDE_OK;
}

void block_cursor_close(struct block_cursor *cursor)
{
    if (!cursor)
        return;
    tree_cursor_close(cursor->tree);
    free(cursor);
}

vde_status block_cursor_reset(struct block_cursor *cursor, const struct map *map)
{
    VDE_TRY(tree_cursor_reset(cursor->tree, map->store, map->tree, &map->root));
    cursor->map = *map;
    cursor->sources[0].sought = cursor->sources[1].sought = cursor->sought = false;
    return VDE_OK;
}

/* --- overlays ---------------------------------------------------------------------------------------------------- */

/* Take in the first entry that counts, from where the iterator stands on. */
static vde_status source_load(const struct map *map, struct source *source)
{
    source->at = NONE;
    for (; overlay_valid(&source->iterator); overlay_next(&source->iterator)) {
        struct overlay_entry entry;
        overlay_entry(&source->iterator, &entry);
        if (entry.dataset != map->dataset)
            return VDE_OK;
        if (entry.lsn <= map->after)
            continue;
        if (entry.key_size != RUN_KEY_BYTES || (entry.kind != VALUE_RUN && entry.kind != VALUE_DELETE))
            return fail_corrupt("volume %llu|record %llu changes a key of %zu bytes, kind %d|changes of blocks only",
                                (unsigned long long)map->dataset, (unsigned long long)entry.lsn, entry.key_size,
                                (int)entry.kind);
        source->at = be64_get(entry.key);
        source->data = entry.kind == VALUE_RUN;
        if (source->data)
            source->block = block_entry_get(&entry);
        return VDE_OK;
    }
    return VDE_OK;
}

static vde_status source_seek(const struct map *map, struct source *source, const struct overlay *overlay,
                              uint64_t block)
{
    uint8_t key[RUN_KEY_BYTES];
    source->from = block;
    source->at = NONE;
    if (overlay) {
        be64_put(key, block);
        overlay_seek_within(&source->iterator, overlay, map->lsn, map->dataset, key, sizeof key);
        VDE_TRY(source_load(map, source));
    }
    source->sought = true;
    return VDE_OK;
}

static vde_status source_to(struct block_cursor *cursor, unsigned index, uint64_t block)
{
    struct source *source = &cursor->sources[index];
    bool sought = source->sought && block >= source->from;
    source->sought = false; /* until it stands right again */
    for (unsigned i = 0; sought && source->at < block && i < STEPS_MAX; i++) {
        overlay_next(&source->iterator);
        source->from = source->at + 1;
        VDE_TRY(source_load(&cursor->map, source));
    }
    if (!sought || source->at < block)
        return source_seek(&cursor->map, source, cursor->map.overlays[index], block);
    source->sought = true;
    return VDE_OK;
}

/* The overlay that knows `block`, the newer one if both do; NULL: neither. */
static vde_status find_source(struct block_cursor *cursor, uint64_t block, const struct source **ret_source)
{
    VDE_TRY(source_to(cursor, 0, block));
    VDE_TRY(source_to(cursor, 1, block));
    *ret_source = cursor->sources[0].at == block   ? &cursor->sources[0]
                  : cursor->sources[1].at == block ? &cursor->sources[1]
                                                   : NULL;
    return VDE_OK;
}

vde_status block_cursor_next_change(struct block_cursor *cursor, uint64_t block, uint64_t *ret_block)
{
    VDE_TRY(source_to(cursor, 0, block));
    VDE_TRY(source_to(cursor, 1, block));
    *ret_block = min_u64(cursor->sources[0].at, cursor->sources[1].at);
    return VDE_OK;
}

/* --- the tree ---------------------------------------------------------------------------------------------------- */

static uint64_t run_end(const struct block_run *run)
{
    return run->block == NONE ? NONE : run->block + run->blocks;
}

static vde_status tree_load(struct block_cursor *cursor)
{
    const void *key;
    size_t key_size;
    struct tree_value value;
    if (!tree_cursor_valid(cursor->tree)) {
        cursor->run.block = NONE;
        return VDE_OK;
    }
    tree_cursor_record(cursor->tree, &key, &key_size, &value);
    if (value.kind != VALUE_RUN)
        return fail_corrupt("tree of volume %llu|a record of kind %d|runs", (unsigned long long)cursor->map.dataset,
                            (int)value.kind);
    cursor->run = run_get(key, value.data);
    return VDE_OK;
}

/* Nodes are verified one by one: that runs do not overlap from leaf to leaf is seen here. */
static vde_status tree_next(struct block_cursor *cursor)
{
    uint64_t end = run_end(&cursor->run);
    VDE_TRY(tree_cursor_next(cursor->tree));
    VDE_TRY(tree_load(cursor));
    if (cursor->run.block < end)
        return fail_corrupt("tree of volume %llu|a run from block %llu on|one from block %llu on, where the one before ends",
                            (unsigned long long)cursor->map.dataset, (unsigned long long)cursor->run.block,
                            (unsigned long long)end);
    cursor->from = end;
    return VDE_OK;
}

static vde_status tree_seek(struct block_cursor *cursor, uint64_t block)
{
    uint8_t key[RUN_KEY_BYTES];
    be64_put(key, block);
    cursor->sought = false;
    VDE_TRY(tree_cursor_seek_before(cursor->tree, key, sizeof key));
    if (!tree_cursor_valid(cursor->tree)) {
        VDE_TRY(tree_cursor_seek(cursor->tree, key, sizeof key));
        VDE_TRY(tree_load(cursor));
    } else {
        VDE_TRY(tree_load(cursor));
        if (cursor->run.block > block)
            return fail_corrupt("tree of volume %llu|block %llu below its place|ascending blocks",
                                (unsigned long long)cursor->map.dataset, (unsigned long long)cursor->run.block);
        if (run_end(&cursor->run) <= block)
            VDE_TRY(tree_next(cursor));
    }
    cursor->from = min_u64(block, cursor->run.block);
    cursor->sought = true;
    return run_end(&cursor->run) > block
               ? VDE_OK
               : fail_corrupt("tree of volume %llu|a run before block %llu|one behind it",
                              (unsigned long long)cursor->map.dataset, (unsigned long long)block);
}

/* Stand on the first run that ends behind `block`. */
static vde_status tree_to(struct block_cursor *cursor, uint64_t block)
{
    if (!cursor->sought || block < cursor->from)
        return tree_seek(cursor, block);
    for (unsigned i = 0; run_end(&cursor->run) <= block && i < 2; i++) {
        vde_status status = tree_next(cursor);
        if (status != VDE_OK) {
            cursor->sought = false;
            return status;
        }
    }
    return run_end(&cursor->run) > block ? VDE_OK : tree_seek(cursor, block);
}

/* --- segments ---------------------------------------------------------------------------------------------------- */

static vde_status overlay_segment(struct block_cursor *cursor, uint64_t end, const struct source *source,
                                  struct segment *seg)
{
    seg->data = true;
    seg->birth = 0;
    seg->address = source->block.address;
    seg->checksums[0] = source->block.checksum;
    seg->compressed = source->block.stored < source->block.blocks;
    seg->blocks = 1;
    if (seg->compressed) {
        seg->frame = seg->block - source->block.index;
        seg->stored = source->block.stored;
        seg->tail = source->block.tail;
        seg->blocks = min_u64(end, seg->frame + source->block.blocks) - seg->block;
        return VDE_OK;
    }
    for (; seg->blocks < RUN_BLOCKS_MAX && seg->block + seg->blocks < end; seg->blocks++) {
        VDE_TRY(find_source(cursor, seg->block + seg->blocks, &source));
        if (!source || !source->data || source->block.stored < source->block.blocks ||
            source->block.address != seg->address + seg->blocks)
            break;
        seg->checksums[seg->blocks] = source->block.checksum;
    }
    return VDE_OK;
}

/* Part of the tree's run, up to where an overlay knows better. */
static void tree_segment(const struct block_cursor *cursor, uint64_t end, struct segment *seg)
{
    const struct block_run *run = &cursor->run;
    uint32_t skip = (uint32_t)(seg->block - run->block);
    end = min_u64(min_u64(end, run_end(run)), min_u64(cursor->sources[0].at, cursor->sources[1].at));
    seg->data = true;
    seg->birth = run->birth;
    seg->blocks = end - seg->block;
    seg->compressed = run_compressed(run);
    if (seg->compressed) {
        seg->frame = run->block;
        seg->address = run->address;
        seg->stored = run->stored;
        seg->tail = run->tail;
        seg->checksums[0] = run_checksum(run, 0);
        return;
    }
    seg->address = run->address + skip;
    for (uint32_t i = 0; i < seg->blocks; i++)
        seg->checksums[i] = run_checksum(run, skip + i);
}

static vde_status hole_segment(struct block_cursor *cursor, uint64_t end, struct segment *seg)
{
    uint64_t at = seg->block;
    while (at < end) {
        const struct source *source;
        VDE_TRY(find_source(cursor, at, &source));
        if (source && source->data)
            break;
        if (source) {
            at++;
            continue;
        }
        VDE_TRY(tree_to(cursor, at));
        if (cursor->run.block <= at)
            break;
        at = min_u64(min_u64(end, cursor->run.block), min_u64(cursor->sources[0].at, cursor->sources[1].at));
    }
    seg->data = false;
    seg->compressed = false;
    seg->birth = 0;
    seg->address = 0;
    seg->blocks = at - seg->block;
    return VDE_OK;
}

vde_status block_cursor_at(struct block_cursor *cursor, uint64_t block, uint64_t end, struct segment *ret_segment)
{
    const struct source *source;
    ret_segment->block = block;
    VDE_TRY(find_source(cursor, block, &source));
    if (source && source->data)
        return overlay_segment(cursor, end, source, ret_segment);
    if (!source) {
        VDE_TRY(tree_to(cursor, block));
        if (cursor->run.block <= block) {
            tree_segment(cursor, end, ret_segment);
            return VDE_OK;
        }
    }
    return hole_segment(cursor, end, ret_segment);
}
