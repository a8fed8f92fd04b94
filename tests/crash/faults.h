/* SPDX-License-Identifier: Apache-2.0 */
/* faults.h -- every read, write and flush of a workload fails once (and from then on): errors are clean, a failed log write
 * or flush poisons, and what was acknowledged is there after reopening. And every write is lost or lands elsewhere: that is
 * found or does no harm. */
#ifndef TESTS_CRASH_FAULTS_H
#define TESTS_CRASH_FAULTS_H

#include "explore.h"

/* Prints what was tried and every violation; 0 when there was none. */
int faults(const struct subject *subject, const unsigned *workload, unsigned length);

/* The same for allocations: whoever can make them fail says how. */
struct memory_faults {
    void (*arm)(uint64_t nth, uint64_t times); /* from now on: the n-th, and `times` - 1 after it */
    bool (*disarm)(void);                      /* whether the n-th was reached */
    unsigned stride;                           /* of n */
};
int faults_of_memory(const struct subject *subject, const unsigned *workload, unsigned length,
                     const struct memory_faults *memory);
#endif
