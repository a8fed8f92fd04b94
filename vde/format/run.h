/* SPDX-License-Identifier: Apache-2.0 */
/* run.h -- blocks of a volume as log records and trees hold them: struct disk_run behind the be64 number of the first
 * logical block. docs/format.md "Runs". */
#ifndef VDE_FORMAT_RUN_H
#define VDE_FORMAT_RUN_H

#include "format/node.h"

#define RUN_KEY_BYTES 8u
#define RUN_BLOCK_LIMIT (1ull << 44)     /* logical blocks are below this */
#define UNMAP_BLOCKS_MAX 4096u           /* of one operation */
#define RECORD_RUN_BLOCKS_MAX 65536u     /* logical blocks that the runs and unmaps of one log record cover together: what
                                            they take in memory is bounded by it, whatever the record's size */

/* A verified run. */
struct block_run {
    uint64_t block;           /* first logical block */
    uint32_t blocks;          /* logical blocks */
    uint32_t stored;          /* device blocks owned */
    uint32_t tail;            /* compressed: bytes unused in the last one */
    uint64_t address, birth;
    const uint8_t *checksums; /* borrowed: le64 each; plain: one a block, compressed: one */
};
static inline bool run_compressed(const struct block_run *run) { return run->stored < run->blocks; }
static inline uint64_t run_checksum(const struct block_run *run, uint32_t index)
{
    vde_le64 sum;
    memcpy(&sum, run->checksums + index * sizeof sum, sizeof sum);
    return le64_get(sum);
}
struct block_run run_get(const void *key, const void *value);
/* Encode: returns the size of the value, at most RUN_VALUE_MAX. */
size_t run_put(const struct block_run *run, void *key, void *value);

enum run_place { RUN_IN_LOG, RUN_IN_TREE };

/* Verify key and value of a VALUE_RUN or, in the log, VALUE_UNMAP. `device_blocks` 0: not known. */
vde_status run_verify(enum run_place place, const void *key, size_t key_size, unsigned kind, const void *value,
                      size_t value_size, uint64_t device_blocks, const char *object);
/* Logical blocks that a verified operation covers; 0 for other kinds. */
uint64_t run_op_blocks(unsigned kind, const void *value);
#endif
