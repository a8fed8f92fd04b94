/* SPDX-License-Identifier: Apache-2.0 */
/* explore_internal.h -- shared by the files of the explorer. */
#ifndef TESTS_CRASH_EXPLORE_INTERNAL_H
#define TESTS_CRASH_EXPLORE_INTERNAL_H

#include "explore.h"
#include "tap.h"

#define HASHES_MAX (1u << 23)
#define START EXPLORE_KINDS_MAX /* "operation" before the first one */

/* Shared by all processes. */
struct totals {
    uint64_t sequences, cuts, images, again, violations, checked_before;
    uint64_t cut_count[EXPLORE_KINDS_MAX + 1][EXPLORE_KINDS_MAX];
    uint64_t hash_count;
    uint64_t hashes[HASHES_MAX];
};

/* Images already verified against the same expectation. */
struct seen {
    uint64_t *slots;
    size_t capacity, count;
};

struct explorer {
    const struct subject *subject;
    const struct explore_options *options;
    struct totals *totals;
    struct seen seen;
    uint64_t random;
    /* the sequence at hand */
    unsigned kinds[EXPLORE_DEPTH];
    unsigned length;
    /* states[i]: after i of its operations; those from `oldest` to `newest` are legal */
    unsigned oldest, newest;
    _Alignas(16) uint8_t states[EXPLORE_DEPTH + 1][EXPLORE_MODEL_MAX];
};

uint64_t explore_random(struct explorer *e);
void explore_violation(struct explorer *e, size_t cut, unsigned mode, const char *where, const char *why);

/* verify.c: settle and verify one crashed device, then cut its recovery too. Takes the device. `cut` and `mode` are for
 * messages; `level` 0 for a crash of the workload, 1 for one of its recovery. */
void explore_verify(struct explorer *e, struct vde_device *crashed, size_t cut, unsigned level);
#endif
