/* SPDX-License-Identifier: Apache-2.0 */
/* runs.c -- runs of a volume: their structure, and what they hold. */
#include <string.h>

#include "base/checked.h"
#include "base/checksum.h"
#include "base/compress.h"
#include "base/fail.h"
#include "check/checker.h"

#define VOLUME_BLOCKS_MAX (VOLUME_MAX_BYTES / BLOCK_BYTES)

static bool legal_shape(const struct check_run *run, size_t value_size)
{
    if (run->blocks == 0 || run->stored == 0)
        return false;
    if (run->stored == run->blocks)
        return run->blocks <= RUN_BLOCKS_MAX && run->tail == 0 &&
               value_size == sizeof(struct disk_run) + run->blocks * sizeof(vde_le64);
    return run->stored < run->blocks && run->blocks == RUN_FRAME_BLOCKS && run->block % RUN_FRAME_BLOCKS == 0 &&
           run->tail < BLOCK_BYTES && value_size == sizeof(struct disk_run) + sizeof(vde_le64);
}

bool check_run_get(const struct check_record *record, const char *object, struct check_run *ret_run)
{
    struct disk_run disk;
    if (record->key_size != 8 || record->value_size < sizeof disk) {
        fail_corrupt("%s|a run of %zu bytes under a key of %zu|8, at least %zu", object, record->value_size,
                     record->key_size, sizeof disk);
        return false;
    }
    memcpy(&disk, record->value, sizeof disk);
    *ret_run = (struct check_run){be64_get(record->key), le32_get(disk.blocks), le64_get(disk.address),
                                  le64_get(disk.birth), le16_get(disk.stored), le16_get(disk.tail),
                                  record->value + sizeof disk};
    if (!legal_shape(ret_run, record->value_size) || ret_run->block > VOLUME_BLOCKS_MAX - ret_run->blocks) {
        fail_corrupt("%s block %llu|a run of %llu blocks in %u, tail %u, value of %zu bytes|a legal run", object,
                     (unsigned long long)ret_run->block, (unsigned long long)ret_run->blocks, ret_run->stored,
                     ret_run->tail, record->value_size);
        return false;
    }
    return true;
}

static uint64_t expected_sum(const struct check_run *run, uint64_t index)
{
    vde_le64 sum;
    memcpy(&sum, run->checksums + index * sizeof sum, sizeof sum);
    return le64_get(sum);
}

static void report_sum(struct checker *c, const char *name, uint64_t block, uint64_t address, uint64_t sum,
                       uint64_t expected)
{
    check_report(c, "%s offset %llu, block %llu|checksum %016llx|%016llx", name,
                 (unsigned long long)(block * BLOCK_BYTES), (unsigned long long)address, (unsigned long long)sum,
                 (unsigned long long)expected);
}

static vde_status check_frame(struct checker *c, const char *name, const struct check_run *run)
{
    size_t bytes = (size_t)run->stored * BLOCK_BYTES - run->tail;
    uint64_t sum = checksum(c->extent, bytes, c->seed ^ run->address);
    if (sum != expected_sum(run, 0)) {
        report_sum(c, name, run->block, run->address, sum, expected_sum(run, 0));
        return VDE_OK;
    }
    uint8_t *raw = c->extent + (size_t)RUN_BLOCKS_MAX * BLOCK_BYTES;
    return check_note(c, compress_unpack(raw, (size_t)run->blocks * BLOCK_BYTES, c->extent, bytes, name));
}

vde_status check_run_data(struct checker *c, const char *name, const struct check_run *run)
{
    VDE_TRY(check_extent_room(c, RUN_BLOCKS_MAX + RUN_FRAME_BLOCKS));
    VDE_TRY(check_read(c, run->address, c->extent, run->stored));
    if (run->stored < run->blocks)
        VDE_TRY(check_frame(c, name, run));
    for (uint64_t i = 0; i < run->blocks && run->stored == run->blocks; i++) {
        uint64_t sum = checksum(c->extent + i * BLOCK_BYTES, BLOCK_BYTES, c->seed ^ (run->address + i));
        if (sum != expected_sum(run, i))
            report_sum(c, name, run->block + i, run->address + i, sum, expected_sum(run, i));
    }
    check_progress(c);
    return VDE_OK;
}
