/* SPDX-License-Identifier: Apache-2.0 */
/* block.h -- a volume and a raw file of the same size, and load on either: what the block scenarios share. */
#ifndef BENCH_BLOCK_H
#define BENCH_BLOCK_H

#include "bench.h"

struct load {
    const char *name;
    const char *fio;      /* value of fio's --rw */
    enum vde_volume_op op;
    bool sequential;
    uint32_t depth, bytes;
};

struct turn {
    double iops, cpu_us; /* CPU per operation: of this process; of fio, user and system together */
};

/* `seconds` of load; every byte that is read is compared with what was written last. */
struct turn block_volume_turn(vde_image *image, vde_volume *volume, const struct load *load, double seconds, uint64_t span);
/* The same by fio, io_uring and O_DIRECT, on a file. */
struct turn block_fio_turn(const char *path, const struct load *load, double seconds, uint64_t span, unsigned seed);
/* Write the whole of a volume in order. */
void block_fill(vde_volume *volume, uint64_t span);
vde_volume *block_volume(vde_image *image, const char *name, uint64_t bytes);
uint64_t block_volume_id(vde_image *image, const char *name);
/* A row of medians over the turns of both, and their ratio: the median of the ratios turn by turn. */
double block_row(json_t *result, const char *name, const struct turn *floor, const struct turn *subject, unsigned count);
#endif
