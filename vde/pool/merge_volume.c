/* SPDX-License-Identifier: Apache-2.0 */
/* merge_volume.c -- the changes of a volume into its tree. The overlay's blocks, in ascending order, become pieces: runs,
 * frames and unmapped stretches. Each piece is swept over the old runs, which are cut where it begins and ends; what it
 * covers of them is dropped, block by exact block, and the rest goes on as runs of the same birth. One pass over both
 * sides, and the changes of the tree come out in order. */
#include "pool/blocks.h"

#include <stdlib.h>

#include "base/checked.h"
#include "base/fail.h"
#include "pool/merge.h"

#define NONE UINT64_MAX

/* Consecutive blocks that the stage changed. */
struct piece {
    uint64_t block, blocks;   /* blocks 0: none yet */
    bool data;                /* else unmapped */
    uint64_t address, lsn;
    uint32_t stored, tail;    /* compressed: of the frame; plain: stored is 1 a block */
    bool compressed;
    vde_le64 sums[RUN_BLOCKS_MAX];
};

struct sweep {
    struct merge *merge;
    struct dataset_record *record;
    struct changes changes;
    struct tree_cursor *tree;
    bool sought;
    struct block_run old;     /* first old run that is not behind the sweep; block NONE: none left */
    uint64_t rest;            /* first block of it that is neither superseded nor in a remainder */
    struct piece piece;
};

static vde_status cut_frame(const struct sweep *s, uint64_t frame)
{
    return fail_corrupt("volume %llu|the frame at block %llu changed in part|as a whole",
                        (unsigned long long)s->record->id, (unsigned long long)frame);
}

/* --- the changes of the tree ------------------------------------------------------------------------------------- */

static vde_status put_run(struct sweep *s, const struct block_run *run)
{
    uint8_t key[RUN_KEY_BYTES], value[RUN_VALUE_MAX];
    size_t size = run_put(run, key, value);
    return changes_add(&s->changes, key, sizeof key, VALUE_RUN, value, size, true);
}

static vde_status delete_run(struct sweep *s, uint64_t block)
{
    uint8_t key[RUN_KEY_BYTES];
    be64_put(key, block);
    return changes_add(&s->changes, key, sizeof key, VALUE_DELETE, NULL, 0, true);
}

/* What is left of the old run from `rest` up to `end`. */
static vde_status put_remainder(struct sweep *s, uint64_t end)
{
    if (s->rest >= end)
        return VDE_OK;
    if (run_compressed(&s->old))
        return cut_frame(s, s->old.block);
    uint32_t skip = (uint32_t)(s->rest - s->old.block), blocks = (uint32_t)(end - s->rest);
    struct block_run part = s->old;
    part.block += skip;
    part.address += skip;
    part.blocks = part.stored = blocks;
    part.checksums += skip * sizeof(vde_le64);
    s->rest = end;
    return put_run(s, &part);
}

static vde_status put_piece(struct sweep *s)
{
    const struct piece *p = &s->piece;
    if (!p->data)
        return VDE_OK;
    if (p->compressed && p->blocks != RUN_FRAME_BLOCKS)
        return cut_frame(s, p->block);
    struct block_run run = {.block = p->block, .blocks = (uint32_t)p->blocks, .stored = p->stored, .tail = p->tail,
                            .address = p->address, .birth = s->merge->writer.birth,
                            .checksums = (const uint8_t *)p->sums};
    s->merge->stored += run.stored;
    s->record->mapped_blocks += run.blocks;
    return put_run(s, &run);
}

/* --- the old runs ------------------------------------------------------------------------------------------------ */

static uint64_t old_end(const struct sweep *s)
{
    return s->old.block == NONE ? NONE : s->old.block + s->old.blocks;
}

static vde_status load_old(struct sweep *s, uint64_t least)
{
    const void *key;
    size_t key_size;
    struct tree_value value;
    s->old.block = s->rest = NONE;
    if (!tree_cursor_valid(s->tree))
        return VDE_OK;
    tree_cursor_record(s->tree, &key, &key_size, &value);
    if (value.kind != VALUE_RUN || be64_get(key) < least)
        return fail_corrupt("tree of volume %llu|a record of kind %d behind block %llu|runs that do not overlap",
                            (unsigned long long)s->record->id, (int)value.kind, (unsigned long long)least);
    s->old = run_get(key, value.data);
    s->rest = s->old.block;
    return VDE_OK;
}

static vde_status next_old(struct sweep *s)
{
    uint64_t end = old_end(s);
    VDE_TRY(tree_cursor_next(s->tree));
    return load_old(s, end);
}

static vde_status seek_old(struct sweep *s, uint64_t block)
{
    uint8_t key[RUN_KEY_BYTES];
    be64_put(key, block);
    s->sought = true;
    VDE_TRY(tree_cursor_seek_before(s->tree, key, sizeof key));
    if (!tree_cursor_valid(s->tree)) {
        VDE_TRY(tree_cursor_seek(s->tree, key, sizeof key));
        return load_old(s, block);
    }
    VDE_TRY(load_old(s, 0));
    return old_end(s) <= block ? next_old(s) : VDE_OK;
}

/* Leave the old run, and go to the first that ends behind `block`. */
static vde_status move_to(struct sweep *s, uint64_t block)
{
    if (s->sought && old_end(s) > block)
        return VDE_OK;
    if (s->sought) {
        if (s->rest > s->old.block) /* it was cut */
            VDE_TRY(put_remainder(s, old_end(s)));
        for (unsigned i = 0; i < 2 && old_end(s) <= block; i++)
            VDE_TRY(next_old(s));
    }
    if (!s->sought || old_end(s) <= block)
        VDE_TRY(seek_old(s, block));
    return old_end(s) > block ? VDE_OK
                              : fail_corrupt("tree of volume %llu|a run before block %llu|one behind it",
                                             (unsigned long long)s->record->id, (unsigned long long)block);
}

/* The blocks [from, to) of the old run are superseded. */
static vde_status drop_old(struct sweep *s, uint64_t from, uint64_t to)
{
    const struct block_run *old = &s->old;
    struct ptr p = {.address = old->address, .blocks = old->stored, .birth = old->birth};
    if (s->record->mapped_blocks < to - from)
        return fail_corrupt("volume %llu|more blocks than the %llu it counts|as many", (unsigned long long)s->record->id,
                            (unsigned long long)s->record->mapped_blocks);
    s->record->mapped_blocks -= to - from;
    if (run_compressed(old)) {
        if (from > old->block) /* dropped with its first block */
            return VDE_OK;
    } else {
        p.address += from - old->block;
        p.blocks = (uint32_t)(to - from);
    }
    p.bytes = p.blocks * BLOCK_BYTES;
    return s->merge->writer.drop(s->merge->writer.context, s->record->tree, p);
}

static vde_status sweep_piece(struct sweep *s)
{
    uint64_t begin = s->piece.block, end = begin + s->piece.blocks;
    if (s->piece.blocks == 0)
        return VDE_OK;
    VDE_TRY(move_to(s, begin));
    if (s->old.block < begin)
        VDE_TRY(put_remainder(s, begin));
    VDE_TRY(put_piece(s));
    while (s->old.block < end) {
        uint64_t from = max_u64(s->old.block, begin), to = min_u64(old_end(s), end);
        if (s->old.block > begin || (s->old.block == begin && !s->piece.data))
            VDE_TRY(delete_run(s, s->old.block));
        VDE_TRY(drop_old(s, from, to));
        s->rest = to;
        if (to < old_end(s))
            break;
        VDE_TRY(next_old(s));
    }
    s->piece.blocks = 0;
    return VDE_OK;
}

/* --- the overlay's blocks ---------------------------------------------------------------------------------------- */

static bool extends(const struct piece *p, uint64_t number, const struct overlay_entry *entry,
                    const struct block_entry *block)
{
    if (p->blocks == 0 || p->block + p->blocks != number || p->data != (entry->kind == VALUE_RUN))
        return false;
    if (!p->data)
        return true;
    if (p->compressed)
        return block->stored < block->blocks && block->address == p->address && entry->lsn == p->lsn &&
               block->index == p->blocks;
    return block->blocks == 1 && block->address == p->address + p->blocks && p->blocks < RUN_BLOCKS_MAX;
}

static vde_status add_block(struct sweep *s, const struct overlay_entry *entry)
{
    struct piece *p = &s->piece;
    struct block_entry block = {0};
    uint64_t number = be64_get(entry->key);
    if (entry->kind == VALUE_RUN)
        block = block_entry_get(entry);
    if (!extends(p, number, entry, &block)) {
        VDE_TRY(sweep_piece(s));
        if (block.index != 0)
            return cut_frame(s, number - block.index);
        p->block = number;
        p->data = entry->kind == VALUE_RUN;
        p->compressed = block.stored < block.blocks;
        p->address = block.address;
        p->lsn = entry->lsn;
        p->stored = p->compressed ? block.stored : 0;
        p->tail = block.tail;
    }
    if (p->data && (!p->compressed || p->blocks == 0))
        p->sums[p->blocks] = le64(block.checksum);
    if (p->data && !p->compressed)
        p->stored++;
    p->blocks++;
    return VDE_OK;
}

vde_status merge_free_blocks(struct merge *merge, const struct overlay_entry *entry)
{
    struct block_entry block = block_entry_get(entry);
    uint32_t owned = block_entry_owned(&block);
    return owned > 0 ? runs_add(&merge->freed, block.address, owned) : VDE_OK;
}

/* The newest version of each block in the stage goes into a piece; older ones are freed. */
static vde_status sweep_overlay(struct sweep *s, struct stage *stage)
{
    struct overlay_entry entry;
    uint64_t chosen = NONE;
    while (stage_next(stage, &entry)) {
        if (entry.key_size != RUN_KEY_BYTES || (entry.kind != VALUE_RUN && entry.kind != VALUE_DELETE))
            return fail_corrupt("volume %llu|record %llu changes a key of %zu bytes, kind %d|changes of blocks only",
                                (unsigned long long)s->record->id, (unsigned long long)entry.lsn, entry.key_size,
                                (int)entry.kind);
        if (be64_get(entry.key) != chosen)
            VDE_TRY(add_block(s, &entry));
        else if (entry.kind == VALUE_RUN)
            VDE_TRY(merge_free_blocks(s->merge, &entry));
        chosen = be64_get(entry.key);
    }
    VDE_TRY(sweep_piece(s));
    return s->sought && s->rest > s->old.block ? put_remainder(s, old_end(s)) : VDE_OK;
}

vde_status merge_volume(struct merge *merge, struct dataset_record *record, uint64_t after, uint64_t through)
{
    struct stage stage;
    struct sweep *s = calloc(1, sizeof *s);
    if (!s)
        return fail_nomem("checkpoint");
    s->merge = merge;
    s->record = record;
    vde_status status = stage_begin(merge, record->id, after, through, &stage);
    if (status == VDE_OK)
        status = tree_cursor_open(&merge->image->store, record->tree, &record->root, &s->tree);
    if (status == VDE_OK)
        status = sweep_overlay(s, &stage);
    stage_end(&stage);
    tree_cursor_close(s->tree);
    if (status == VDE_OK && s->changes.count > 0)
        status = tree_apply(&merge->writer, record->tree, &record->root, s->changes.ops, s->changes.count);
    changes_done(&s->changes);
    free(s);
    return status;
}
