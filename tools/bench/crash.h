/* SPDX-License-Identifier: Apache-2.0 */
/* crash.h -- writers that are killed, and what a process of its own finds afterwards: shared by R1 and R2. */
#ifndef BENCH_CRASH_H
#define BENCH_CRASH_H

#include "bench.h"

struct crash_step {
    char name[40];
    double seconds;
    uint64_t resident, peak; /* KiB, of the whole process; the peak since the step before */
};

/* A process that runs `write` until it has told a number of at least `until` through the descriptor, and a little longer;
 * then it is killed. Returns the last number it told. */
uint64_t crash_writer(void (*write)(const void *context, int told), const void *context, uint64_t until);
/* A process of its own that measures: up to `max` steps, sent with crash_send(). Returns how many came. */
unsigned crash_reader(void (*read)(const void *context, int told), const void *context, struct crash_step *steps, unsigned max);
void crash_tell(int told, uint64_t number);
/* Resident memory as it is now goes along; the peak begins anew. */
void crash_send(int told, const char *name, double seconds);
#endif
