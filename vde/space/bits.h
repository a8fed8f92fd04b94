/* SPDX-License-Identifier: Apache-2.0 */
/* bits.h -- runs of bits in a byte array, whose size is a multiple of 8: it is read in words. */
#ifndef VDE_SPACE_BITS_H
#define VDE_SPACE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool bit_get(const uint8_t *bits, uint32_t index) { return bits[index / 8] >> (index % 8) & 1; }
void bits_set(uint8_t *bits, uint32_t index, uint32_t count);
void bits_clear(uint8_t *bits, uint32_t index, uint32_t count);
uint32_t bits_count(const uint8_t *bits, uint32_t index, uint32_t count);
/* First run of at least `count` clear bits in [from, end); `end` if there is none. */
uint32_t bits_find_clear(const uint8_t *bits, uint32_t from, uint32_t end, uint32_t count);
/* How many bits from `from` on are clear, up to `end`, `most` at most. */
uint32_t bits_clear_after(const uint8_t *bits, uint32_t from, uint32_t end, uint32_t most);
/* How many bits right before `from` are clear, `most` at most or a few more. */
uint32_t bits_clear_before(const uint8_t *bits, uint32_t from, uint32_t most);
#endif
