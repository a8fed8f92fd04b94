/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz.h -- what a target offers: a program of libFuzzer, or replay_main.c, which makes seeds and mutants itself. */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
/* libFuzzer's own, or replay_main.c's. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* Seed `number` of the target; 0 when there is none. */
size_t fuzz_seed(unsigned number, uint8_t *data, size_t max_size);

/* A condition that input can never break. */
#define FUZZ_ASSERT(cond)                                                                                              \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                                                 \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* Start from a seed now and then, so that a run without a corpus gets deep at once; else mutate. */
static inline size_t fuzz_mutate(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    if (size < 16 || seed % 64 == 0) {
        size_t made = fuzz_seed(seed / 64 % 8, data, max_size);
        size = made ? made : fuzz_seed(0, data, max_size);
    }
    return LLVMFuzzerMutate(data, size, max_size);
}
#endif
