/* SPDX-License-Identifier: Apache-2.0 */
/* blocks.h -- the block map of a volume: log records and trees hold runs, overlays hold single blocks, so that the newest
 * version of a block is found by one lookup whatever the writes that overlap there. */
#ifndef VDE_POOL_BLOCKS_H
#define VDE_POOL_BLOCKS_H

#include "format/run.h"
#include "pool/map.h"
#include "pool/txn.h"

/* What an overlay says of one block: value of kind VALUE_RUN (in memory only; VALUE_DELETE: unmapped). Every block of a
 * compressed frame says all of it; the one with index 0 owns the device blocks. */
struct block_entry {
    uint64_t address;   /* plain: of this block; zstd: of the frame */
    uint64_t checksum;
    uint16_t index;     /* within the frame; plain: 0 */
    uint16_t blocks;    /* logical: RUN_FRAME_BLOCKS; plain: 1 */
    uint16_t stored;
    uint16_t tail;
};

/* What lies at a range of logical blocks. */
struct segment {
    uint64_t block;      /* first logical block */
    uint64_t blocks;     /* how many, all of the same kind and, when data, consecutive on the device */
    bool data;           /* else a hole */
    bool compressed;     /* then `block`..: part of the frame that begins at logical block `frame` */
    uint64_t frame;
    uint64_t address;    /* of the first block; compressed: of the frame */
    uint64_t birth;      /* 0: in an overlay still, later than any snapshot of the trees */
    uint32_t stored, tail;   /* compressed */
    uint64_t checksums[RUN_BLOCKS_MAX]; /* plain: of each block; compressed: [0] of the frame */
};

/* Walks the map of a volume in ascending order. One segment has at most RUN_BLOCKS_MAX blocks when it is data; holes
 * reach as far as they go, at most to `end`. */
struct block_cursor;
vde_status block_cursor_open(const struct map *map, struct block_cursor **ret_cursor);
void block_cursor_close(struct block_cursor *cursor);
/* Use an open cursor for another state (another LSN, other layers) of whatever volume. */
vde_status block_cursor_reset(struct block_cursor *cursor, const struct map *map);
/* What lies at `block`, up to `end` at most. */
vde_status block_cursor_at(struct block_cursor *cursor, uint64_t block, uint64_t end, struct segment *ret_segment);

/* The first block at or behind `block` that an overlay knows something of; UINT64_MAX: none. */
vde_status block_cursor_next_change(struct block_cursor *cursor, uint64_t block, uint64_t *ret_block);

/* block_diff.c: what differs between two states, ascending and as long as possible. `from` NULL: nothing at all. The cost
 * follows what differs between the trees, and what the overlays hold. Blocks with the same contents in different places
 * differ. A status other than VDE_OK from `each` ends the walk and is returned. */
struct block_difference {
    uint64_t block, blocks;
    bool from_data, to_data;
};
vde_status blocks_diff(const struct map *from, const struct map *to,
                       vde_status (*each)(void *context, const struct block_difference *difference), void *context);

/* Operations for a transaction. `run`: number of the first logical block, place on the device, checksums (le64 each; plain:
 * one a block, compressed: one); its birth is not looked at. The data must have been written; the transaction must own the
 * device blocks (txn_own_extent). TOO_LARGE: more than RECORD_RUN_BLOCKS_MAX blocks in one transaction.
 *
 * A compressed frame lives and dies as a whole: whoever writes or unmaps a part of its blocks must cover all of them in the
 * same transaction, and make sure by txn_expect_blocks() on all RUN_FRAME_BLOCKS blocks that it knows what is there. */
vde_status txn_run(vde_txn *txn, uint64_t dataset, const struct block_run *run);
/* Any number of blocks up to the same limit. Only what is mapped is worth unmapping: each block takes an overlay entry. */
vde_status txn_unmap(vde_txn *txn, uint64_t dataset, uint64_t block, uint64_t blocks);
/* The transaction is void if any of these blocks changed after `lsn`: submit returns VDE_BUSY then, and the caller reads and
 * builds again. Everything up to `lsn` must have been visible to the read that the caller relies on, and `generation` be
 * that of the layers it read. */
vde_status txn_expect_blocks(vde_txn *txn, uint64_t dataset, uint64_t block, uint64_t blocks, uint64_t lsn,
                             uint64_t generation);
/* Gate held: VDE_BUSY when an expectation does not hold. */
vde_status txn_check_blocks(const vde_txn *txn);

/* Put a run or unmap operation into the overlay, block by block: run_op_blocks() entries. */
void run_apply(struct overlay *overlay, uint64_t lsn, const struct op *op);
/* What an entry of kind VALUE_RUN says. */
static inline struct block_entry block_entry_get(const struct overlay_entry *entry)
{
    struct block_entry block;
    memcpy(&block, entry->value, sizeof block);
    return block;
}
/* The device blocks that it owns: all of a frame, or none, or its own. */
static inline uint32_t block_entry_owned(const struct block_entry *block)
{
    return block->index == 0 ? block->stored : 0;
}
#endif
