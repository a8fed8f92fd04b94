/* SPDX-License-Identifier: Apache-2.0 */
/* bits.c -- runs of bits, a byte at a time where possible. */
#include "space/bits.h"

#include <string.h>

void bits_set(uint8_t *bits, uint32_t index, uint32_t count)
{
    for (; count > 0 && index % 8; index++, count--)
        bits[index / 8] |= (uint8_t)(1u << index % 8);
    memset(bits + index / 8, 0xff, count / 8);
    for (index += count & ~7u, count &= 7; count > 0; index++, count--)
        bits[index / 8] |= (uint8_t)(1u << index % 8);
}

void bits_clear(uint8_t *bits, uint32_t index, uint32_t count)
{
    for (; count > 0 && index % 8; index++, count--)
        bits[index / 8] &= (uint8_t) ~(1u << index % 8);
    memset(bits + index / 8, 0, count / 8);
    for (index += count & ~7u, count &= 7; count > 0; index++, count--)
        bits[index / 8] &= (uint8_t) ~(1u << index % 8);
}

uint32_t bits_count(const uint8_t *bits, uint32_t index, uint32_t count)
{
    uint32_t set = 0;
    for (; count > 0 && index % 8; index++, count--)
        set += bit_get(bits, index);
    for (; count >= 8; index += 8, count -= 8)
        set += (uint32_t)__builtin_popcount(bits[index / 8]);
    for (; count > 0; index++, count--)
        set += bit_get(bits, index);
    return set;
}

uint32_t bits_find_clear(const uint8_t *bits, uint32_t from, uint32_t end, uint32_t count)
{
    uint32_t run = 0, index = from;
    while (index < end) {
        if (index % 8 == 0 && index + 8 <= end && bits[index / 8] == 0xff) {
            run = 0;
            index += 8;
        } else if (index % 8 == 0 && index + 8 <= end && bits[index / 8] == 0 && run + 8 < count) {
            run += 8;
            index += 8;
        } else {
            run = bit_get(bits, index) ? 0 : run + 1;
            index++;
            if (run == count)
                return index - count;
        }
    }
    return end;
}
