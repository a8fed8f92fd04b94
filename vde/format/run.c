/* SPDX-License-Identifier: Apache-2.0 */
/* run.c -- verify, decode and encode runs. */
#include "format/run.h"

#include "base/fail.h"

struct block_run run_get(const void *key, const void *value)
{
    struct disk_run d;
    memcpy(&d, value, sizeof d);
    return (struct block_run){be64_get(key),        le32_get(d.blocks), le16_get(d.stored),
                              le16_get(d.tail),     le64_get(d.address), le64_get(d.birth),
                              (const uint8_t *)value + sizeof d};
}

size_t run_put(const struct block_run *run, void *key, void *value)
{
    struct disk_run d = {le64(run->address), le64(run->birth), le32(run->blocks), le16((uint16_t)run->stored),
                         le16((uint16_t)run->tail)};
    size_t sums = (run_compressed(run) ? 1u : run->blocks) * sizeof(vde_le64);
    be64_put(key, run->block);
    memcpy(value, &d, sizeof d);
    memcpy((uint8_t *)value + sizeof d, run->checksums, sums);
    return sizeof d + sums;
}

uint64_t run_op_blocks(unsigned kind, const void *value)
{
    if (kind == VALUE_RUN) {
        struct disk_run d;
        memcpy(&d, value, sizeof d);
        return le32_get(d.blocks);
    }
    if (kind == VALUE_UNMAP) {
        vde_le64 blocks;
        memcpy(&blocks, value, sizeof blocks);
        return le64_get(blocks);
    }
    return 0;
}

static vde_status verify_range(const void *key, uint64_t blocks, uint64_t most, const char *object)
{
    uint64_t block = be64_get(key);
    if (blocks == 0 || blocks > most)
        return fail_corrupt("%s|a range of %llu blocks|1 to %llu", object, (unsigned long long)blocks,
                            (unsigned long long)most);
    if (block >= RUN_BLOCK_LIMIT || blocks > RUN_BLOCK_LIMIT - block)
        return fail_corrupt("%s|%llu blocks from block %llu on|blocks below %llu", object, (unsigned long long)blocks,
                            (unsigned long long)block, RUN_BLOCK_LIMIT);
    return VDE_OK;
}

/* zstd frames lie at multiples of their size, so that two of them never overlap in part. */
static vde_status verify_frame(uint64_t block, const struct disk_run *d, const char *object)
{
    unsigned blocks = le32_get(d->blocks), stored = le16_get(d->stored), tail = le16_get(d->tail);
    if (blocks != RUN_FRAME_BLOCKS || block % RUN_FRAME_BLOCKS != 0)
        return fail_corrupt("%s|%u compressed blocks at block %llu|%u at a multiple of it", object, blocks,
                            (unsigned long long)block, RUN_FRAME_BLOCKS);
    if (stored == 0 || stored >= blocks || tail >= BLOCK_BYTES)
        return fail_corrupt("%s|%u blocks stored, %u bytes of the last unused|1 to %u, less than a block", object, stored,
                            tail, blocks - 1);
    return VDE_OK;
}

static vde_status verify_run(enum run_place place, const void *key, const void *value, size_t size,
                             uint64_t device_blocks, const char *object)
{
    struct disk_run d;
    if (size < sizeof d)
        return fail_corrupt("%s|a run of %zu bytes|at least %zu", object, size, sizeof d);
    memcpy(&d, value, sizeof d);
    uint64_t address = le64_get(d.address), birth = le64_get(d.birth);
    uint32_t blocks = le32_get(d.blocks), stored = le16_get(d.stored);
    VDE_TRY(verify_range(key, blocks, RUN_BLOCKS_MAX, object));
    if (stored != blocks)
        VDE_TRY(verify_frame(be64_get(key), &d, object));
    else if (le16_get(d.tail) != 0)
        return fail_corrupt("%s|a plain run with %u bytes unused|0", object, le16_get(d.tail));
    size_t sums = (stored != blocks ? 1u : blocks) * sizeof(vde_le64);
    if (size != sizeof d + sums)
        return fail_corrupt("%s|a run of %zu bytes|%zu", object, size, sizeof d + sums);
    if ((birth == 0) != (place == RUN_IN_LOG))
        return fail_corrupt("%s|birth %llu|%s", object, (unsigned long long)birth,
                            place == RUN_IN_LOG ? "0 in a log record" : "an LSN");
    struct ptr p = {address, stored, 0, birth, 0};
    if (!ptr_plausible(p, device_blocks))
        return fail_corrupt("%s|%u blocks at device block %llu|a range inside the device", object, stored,
                            (unsigned long long)address);
    return VDE_OK;
}

vde_status run_verify(enum run_place place, const void *key, size_t key_size, unsigned kind, const void *value,
                      size_t value_size, uint64_t device_blocks, const char *object)
{
    if (key_size != RUN_KEY_BYTES)
        return fail_corrupt("%s|a block number of %zu bytes|%u", object, key_size, RUN_KEY_BYTES);
    if (kind == VALUE_RUN)
        return verify_run(place, key, value, value_size, device_blocks, object);
    if (kind != VALUE_UNMAP || place != RUN_IN_LOG)
        return fail_corrupt("%s|value kind %u|%d", object, kind, VALUE_RUN);
    if (value_size != sizeof(vde_le64))
        return fail_corrupt("%s|a count of %zu bytes|%zu", object, value_size, sizeof(vde_le64));
    return verify_range(key, run_op_blocks(kind, value), UNMAP_BLOCKS_MAX, object);
}
