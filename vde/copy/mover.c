/* SPDX-License-Identifier: Apache-2.0 */
/* mover.c -- write trees and data to new addresses. The new address of a block is its rank among those reached, so that runs
 * stay runs and nothing needs to be remembered; but pointers and checksums name addresses, so every node that leads to
 * something is written anew, children first. What a second version shares is read back from the copy for its checksum. */
#include "copy/mover.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/checksum.h"
#include "base/fail.h"
#include "format/run.h"

vde_status mover_init(struct mover *mover, struct copy *copy, const struct blockset *reached, uint64_t first)
{
    *mover = (struct mover){.copy = copy, .reached = reached, .first = first, .seed = copy->image->seed};
    VDE_TRY(blockset_init(&mover->done, reached->pages));
    mover->before = calloc(reached->pages, sizeof *mover->before);
    mover->levels = aligned_alloc(BLOCK_BYTES, (TREE_LEVEL_MAX + 1) * (size_t)BLOCK_BYTES);
    mover->buffer = aligned_alloc(BLOCK_BYTES, MOVE_BLOCKS_MAX * (size_t)BLOCK_BYTES);
    if (!mover->before || !mover->levels || !mover->buffer)
        return fail_nomem("copy");
    uint64_t count = 0;
    for (uint64_t page = 0; page < reached->pages; page++) {
        mover->before[page] = count;
        count += blockset_rank(reached, (page + 1) * BITMAP_BITS - 1) + blockset_has(reached, (page + 1) * BITMAP_BITS - 1);
    }
    return VDE_OK;
}

void mover_done(struct mover *mover)
{
    if (mover->done.bits)
        blockset_done(&mover->done);
    free(mover->before);
    free(mover->levels);
    free(mover->buffer);
}

uint64_t mover_place(const struct mover *mover, uint64_t address)
{
    return mover->first + mover->before[address / BITMAP_BITS] + blockset_rank(mover->reached, address);
}

static vde_status write_blocks(struct mover *mover, uint64_t address, void *buffer, uint64_t blocks)
{
    VDE_TRY(device_transfer(mover->copy->target, VDE_IO_WRITE, mover_place(mover, address), buffer, blocks));
    mover->copy->copied_blocks += blocks - blockset_common(&mover->done, address, blocks);
    copy_progress(mover->copy, 0, mover->copy->copied_blocks, mover->copy->sb.used_blocks);
    return blockset_add(&mover->done, address, blocks);
}

/* --- data ----------------------------------------------------------------------------------------------------------- */

/* The checksum of content at its new address. What is damaged stays damaged. */
static vde_status move_checksum(const struct mover *mover, const void *content, uint64_t bytes, uint64_t address,
                                uint64_t *sum)
{
    uint64_t found = checksum(content, bytes, mover->seed ^ address);
    uint64_t moved = checksum(content, bytes, mover->seed ^ mover_place(mover, address));
    if (found != *sum && !(mover->copy->opts.flags & VDE_COPY_DAMAGED))
        return fail_corrupt("data at block %llu|checksum %016llx|%016llx", (unsigned long long)address,
                            (unsigned long long)found, (unsigned long long)*sum);
    *sum = found == *sum ? moved : ~moved;
    return VDE_OK;
}

/* Read a run into the buffer. */
static vde_status load(struct mover *mover, uint64_t address, uint64_t blocks)
{
    if (blocks > MOVE_BLOCKS_MAX || blockset_common(mover->reached, address, blocks) != blocks)
        return fail_corrupt("data at block %llu|a run of %llu blocks|one that was there before",
                            (unsigned long long)address, (unsigned long long)blocks);
    return image_read(mover->copy->image, address, mover->buffer, blocks);
}

static vde_status store(struct mover *mover, uint64_t address, uint64_t blocks)
{
    if (blockset_common(&mover->done, address, blocks) == blocks)
        return VDE_OK;
    return write_blocks(mover, address, mover->buffer, blocks);
}

/* `sums` stands in the leaf: one checksum for every `unit` bytes of `bytes`, each seeded with the address of its own block
 * or all with the run's. */
static vde_status move_sums(struct mover *mover, uint8_t *sums, uint64_t address, uint64_t bytes, uint64_t unit, bool own)
{
    for (uint64_t from = 0; from < bytes; from += unit, sums += sizeof(vde_le64)) {
        vde_le64 disk;
        memcpy(&disk, sums, sizeof disk);
        uint64_t sum = le64_get(disk), at = own ? address + from / BLOCK_BYTES : address;
        VDE_TRY(move_checksum(mover, mover->buffer + from, min_u64(unit, bytes - from), at, &sum));
        disk = le64(sum);
        memcpy(sums, &disk, sizeof disk);
    }
    return VDE_OK;
}

static vde_status move_run(struct mover *mover, const struct node_record *record, uint8_t *value)
{
    struct block_run run = run_get(record->key, record->value);
    struct disk_run disk;
    uint64_t bytes = (uint64_t)run.stored * BLOCK_BYTES - run.tail;
    bool packed = run_compressed(&run);
    VDE_TRY(load(mover, run.address, run.stored));
    VDE_TRY(move_sums(mover, value + sizeof disk, run.address, bytes, packed ? bytes : BLOCK_BYTES, !packed));
    memcpy(&disk, value, sizeof disk);
    disk.address = le64(mover_place(mover, run.address));
    memcpy(value, &disk, sizeof disk);
    return store(mover, run.address, run.stored);
}

static vde_status move_extents(struct mover *mover, uint64_t tree, const struct node_record *record, uint8_t *value)
{
    for (unsigned i = 0; i < value_extents(record->kind, record->value); i++) {
        struct ptr p = value_extent(record->kind, record->value, i);
        uint8_t *at = value + (record->kind == VALUE_SPILLED ? sizeof(struct disk_spill) : 0) + i * sizeof(struct disk_ptr);
        VDE_TRY(load(mover, p.address, p.blocks));
        VDE_TRY(move_checksum(mover, mover->buffer, p.bytes, p.address, &p.checksum));
        uint64_t chunks = div_up(p.bytes, FILE_CHUNK_BYTES);
        if (tree == DATASET_FILES && record->value_size == sizeof(struct disk_ptr) + chunks * sizeof(vde_le64))
            VDE_TRY(move_sums(mover, value + sizeof(struct disk_ptr), p.address, p.bytes, FILE_CHUNK_BYTES, false));
        VDE_TRY(store(mover, p.address, p.blocks));
        p.address = mover_place(mover, p.address);
        struct disk_ptr disk = ptr_put(p);
        memcpy(at, &disk, sizeof disk);
    }
    return VDE_OK;
}

/* --- nodes ---------------------------------------------------------------------------------------------------------- */

static vde_status move_node(struct mover *mover, uint64_t tree, unsigned level, struct ptr *p);

static vde_status move_record(struct mover *mover, uint64_t tree, struct disk_node *node, unsigned i)
{
    struct node_record record = node_record(node, i);
    uint8_t *value = (uint8_t *)node + (record.value - (const uint8_t *)node);
    if (node->level == 0)
        return record.kind == VALUE_RUN ? move_run(mover, &record, value) : move_extents(mover, tree, &record, value);
    struct ptr child = node_child(node, i);
    VDE_TRY(move_node(mover, tree, node->level - 1u, &child));
    struct disk_ptr disk = ptr_put(child);
    memcpy(value, &disk, sizeof disk);
    return VDE_OK;
}

static vde_status move_node(struct mover *mover, uint64_t tree, unsigned level, struct ptr *p)
{
    uint8_t *block = mover->levels + (size_t)level * BLOCK_BYTES;
    uint64_t blocks = mover->copy->label.layout.blocks;
    struct ptr old = *p;
    if (!ptr_plausible(old, blocks) || !blockset_has(mover->reached, old.address))
        return fail_corrupt("tree %llu node at block %llu|a pointer|one that was there before", (unsigned long long)tree,
                            (unsigned long long)old.address);
    p->address = mover_place(mover, old.address);
    if (blockset_has(&mover->done, old.address)) {
        VDE_TRY(device_transfer(mover->copy->target, VDE_IO_READ, p->address, block, 1));
        p->checksum = node_checksum(block, mover->seed, p->address);
        return VDE_OK;
    }
    VDE_TRY(image_read(mover->copy->image, old.address, block, 1));
    VDE_TRY(node_verify(block, mover->seed, tree, old, level, blocks));
    struct disk_node *node = (struct disk_node *)(void *)block;
    for (unsigned i = 0; i < node_count(node); i++)
        VDE_TRY(move_record(mover, tree, node, i));
    node->address = le64(p->address);
    p->checksum = node_checksum(block, mover->seed, p->address);
    return write_blocks(mover, old.address, block, 1);
}

vde_status mover_tree(struct mover *mover, uint64_t tree, struct tree_root *root)
{
    return ptr_is_null(root->node) ? VDE_OK : move_node(mover, tree, root->level, &root->node);
}
