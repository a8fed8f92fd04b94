/* SPDX-License-Identifier: Apache-2.0 */
/* blocks.c -- changes of volumes: operations of a transaction, and what they do to an overlay. */
#include "pool/blocks.h"

#include "base/checked.h"
#include "base/fail.h"
#include "base/mutate.h"

static vde_status count_blocks(vde_txn *txn, uint64_t blocks)
{
    if (blocks > RECORD_RUN_BLOCKS_MAX - txn->run_blocks)
        return fail_as(VDE_TOO_LARGE, "transaction|%llu more blocks|at most %u in one", (unsigned long long)blocks,
                       RECORD_RUN_BLOCKS_MAX);
    return VDE_OK;
}

vde_status txn_run(vde_txn *txn, uint64_t dataset, const struct block_run *run)
{
    uint8_t key[RUN_KEY_BYTES], value[RUN_VALUE_MAX];
    struct block_run logged = *run;
    VDE_TRY(txn_touch(txn, dataset));
    if (run->blocks > RUN_BLOCKS_MAX)
        return fail_as(VDE_TOO_LARGE, "run|%u blocks|at most %u", run->blocks, RUN_BLOCKS_MAX);
    VDE_TRY(count_blocks(txn, run->blocks));
    logged.birth = 0;
    size_t size = run_put(&logged, key, value);
    VDE_TRY(txn_op(txn, dataset, key, sizeof key, VALUE_RUN, value, size));
    txn->run_blocks += run->blocks;
    return VDE_OK;
}

vde_status txn_unmap(vde_txn *txn, uint64_t dataset, uint64_t block, uint64_t blocks)
{
    VDE_TRY(txn_touch(txn, dataset));
    VDE_TRY(count_blocks(txn, blocks));
    struct txn_mark mark = txn_mark(txn);
    for (uint64_t done = 0; done < blocks;) {
        uint64_t part = min_u64(blocks - done, UNMAP_BLOCKS_MAX);
        uint8_t key[RUN_KEY_BYTES];
        vde_le64 count = le64(part);
        be64_put(key, block + done);
        vde_status status = txn_op(txn, dataset, key, sizeof key, VALUE_UNMAP, &count, sizeof count);
        if (status != VDE_OK)
            return txn_rewind(txn, &mark, status);
        done += part;
    }
    txn->run_blocks += blocks;
    return VDE_OK;
}

vde_status txn_expect_blocks(vde_txn *txn, uint64_t dataset, uint64_t block, uint64_t blocks, uint64_t lsn,
                             uint64_t generation)
{
    VDE_TRY(txn_grow((void **)&txn->expected, &txn->expected_capacity, txn->expected_count, sizeof *txn->expected));
    txn->expected[txn->expected_count++] = (struct expected_blocks){dataset, block, blocks, lsn, generation};
    return VDE_OK;
}

/* Whether an overlay knows a version of any of the blocks later than expected. */
static vde_status check_overlay(const struct overlay *overlay, const struct expected_blocks *expected)
{
    struct overlay_iterator iterator;
    uint8_t key[RUN_KEY_BYTES];
    be64_put(key, expected->block);
    overlay_seek_within(&iterator, overlay, UINT64_MAX, expected->dataset, key, sizeof key);
    for (; overlay_valid(&iterator); overlay_next(&iterator)) {
        struct overlay_entry entry;
        overlay_entry(&iterator, &entry);
        if (entry.dataset != expected->dataset || entry.key_size != sizeof key ||
            be64_get(entry.key) - expected->block >= expected->blocks)
            break;
        if (entry.lsn > expected->lsn)
            return fail_as(VDE_BUSY, "dataset %llu block %llu|changed by record %llu|unchanged since record %llu: try again",
                           (unsigned long long)entry.dataset, (unsigned long long)be64_get(entry.key),
                           (unsigned long long)entry.lsn, (unsigned long long)expected->lsn);
    }
    return VDE_OK;
}

vde_status txn_check_blocks(const vde_txn *txn)
{
    const struct layers *layers = txn->image->current;
    for (size_t i = 0; i < txn->expected_count && !MUTATED(MUTATE_EXPECTED_BLOCKS); i++) {
        const struct expected_blocks *expected = &txn->expected[i];
        if (expected->generation != layers->generation) /* what overlays knew may be in the trees by now */
            return fail_as(VDE_BUSY, "dataset %llu|a checkpoint since block %llu was read|none: try again",
                           (unsigned long long)expected->dataset, (unsigned long long)expected->block);
        for (unsigned o = 0; o < 2; o++)
            if (layers->overlays[o])
                VDE_TRY(check_overlay(layers->overlays[o], expected));
    }
    return VDE_OK;
}

static void put_block(struct overlay *overlay, uint64_t lsn, uint64_t dataset, uint64_t number,
                      const struct block_entry *block)
{
    uint8_t key[RUN_KEY_BYTES];
    be64_put(key, number);
    overlay_insert(overlay, dataset, key, sizeof key, lsn, block ? VALUE_RUN : VALUE_DELETE, block,
                   block ? sizeof *block : 0);
}

static void apply_run(struct overlay *overlay, uint64_t lsn, uint64_t dataset, const struct block_run *run)
{
    bool compressed = run_compressed(run);
    for (uint32_t i = 0; i < run->blocks; i++) {
        struct block_entry block = {.address = run->address, .checksum = run_checksum(run, 0), .index = (uint16_t)i,
                                    .blocks = (uint16_t)run->blocks, .stored = (uint16_t)run->stored,
                                    .tail = (uint16_t)run->tail};
        if (!compressed)
            block = (struct block_entry){.address = run->address + i, .checksum = run_checksum(run, i), .blocks = 1,
                                         .stored = 1};
        put_block(overlay, lsn, dataset, run->block + i, &block);
    }
}

void run_apply(struct overlay *overlay, uint64_t lsn, const struct op *op)
{
    if (op->kind == VALUE_RUN) {
        struct block_run run = run_get(op->key, op->value);
        apply_run(overlay, lsn, op->dataset, &run);
        return;
    }
    uint64_t first = be64_get(op->key), blocks = run_op_blocks(op->kind, op->value);
    for (uint64_t i = 0; i < blocks; i++)
        put_block(overlay, lsn, op->dataset, first + i, NULL);
}
