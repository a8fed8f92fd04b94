/* SPDX-License-Identifier: Apache-2.0 */
/* checked.h -- arithmetic that can't wrap, rounding, and the always-on assertion for wrong programs (never wrong input). */
#ifndef VDE_BASE_CHECKED_H
#define VDE_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define checked_add(a, b, ret) (!__builtin_add_overflow((a), (b), (ret)))
#define checked_mul(a, b, ret) (!__builtin_mul_overflow((a), (b), (ret)))

static inline uint64_t round_up(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }
static inline uint64_t div_up(uint64_t value, uint64_t unit) { return value / unit + (value % unit != 0); }
static inline uint64_t min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint64_t max_u64(uint64_t a, uint64_t b) { return a > b ? a : b; }

/* A broken invariant inside the library is undefined for the caller's data, so it stops here, in test builds; release
 * builds keep going on the documented error path. VDE_BUG() is for branches that can't be reached. */
#ifdef VDE_ASSERTIONS
#define VDE_ASSERT(cond) ((cond) ? (void)0 : __builtin_trap())
#else
#define VDE_ASSERT(cond) ((void)0)
#endif
#endif
