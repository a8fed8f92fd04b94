/* SPDX-License-Identifier: Apache-2.0 */
/* bits.c -- runs of bits, a word at a time where possible. */
#include "space/bits.h"

#include <endian.h>
#include <string.h>

#define WORD 64u

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

static uint64_t load(const uint8_t *bits, uint32_t word)
{
    uint64_t value;
    memcpy(&value, bits + (size_t)word * 8, sizeof value);
    return le64toh(value);
}

/* The bits of a word that lie in [from, end). */
static uint64_t inside(uint32_t word, uint32_t from, uint32_t end)
{
    uint32_t base = word * WORD;
    uint64_t mask = ~0ull;
    if (base >= end)
        return 0;
    if (from > base)
        mask <<= from - base;
    if (end - base < WORD)
        mask &= (1ull << (end - base)) - 1;
    return mask;
}

uint32_t bits_count(const uint8_t *bits, uint32_t index, uint32_t count)
{
    uint32_t set = 0, end = index + count;
    for (uint32_t word = index / WORD; word * WORD < end; word++)
        set += (uint32_t)__builtin_popcountll(load(bits, word) & inside(word, index, end));
    return set;
}

/* Which bits of `clear` begin runs of `count` <= 64, `next` being the word behind. A run of 2k begins where runs of k
 * begin at distance k. */
static uint64_t starts(uint64_t clear, uint64_t next, uint32_t count)
{
    for (uint32_t have = 1; have < count && clear;) {
        uint32_t step = have < count - have ? have : count - have;
        clear &= clear >> step | next << (WORD - step);
        next &= next >> step;
        have += step;
    }
    return clear;
}

static bool has_clear_byte(uint64_t clear)
{
    return ((~clear - 0x0101010101010101ull) & clear & 0x8080808080808080ull) != 0;
}

uint32_t bits_find_clear(const uint8_t *bits, uint32_t from, uint32_t end, uint32_t count)
{
    while (from < end) {
        uint32_t word = from / WORD;
        uint64_t clear = ~load(bits, word) & inside(word, from, end), mask = inside(word + 1, 0, end);
        uint64_t next = mask ? ~load(bits, word + 1) & mask : 0;
        /* runs of 15 and more hold a whole byte: that is soon ruled out */
        if (clear && (count < 15 || has_clear_byte(clear) || has_clear_byte(next)))
            clear = starts(clear, next, count < WORD ? count : WORD);
        else
            clear = 0;
        if (!clear) {
            from = (word + 1) * WORD;
            continue;
        }
        uint32_t start = word * WORD + (uint32_t)__builtin_ctzll(clear);
        uint32_t run = count <= WORD ? count : bits_clear_after(bits, start, end, count);
        if (run >= count)
            return start;
        from = start + run;
    }
    return end;
}

uint32_t bits_clear_after(const uint8_t *bits, uint32_t from, uint32_t end, uint32_t most)
{
    if (end - from > most)
        end = from + most;
    for (uint32_t at = from; at < end; at = (at / WORD + 1) * WORD) {
        uint64_t set = load(bits, at / WORD) & inside(at / WORD, at, end);
        if (set)
            return at / WORD * WORD + (uint32_t)__builtin_ctzll(set) - from;
    }
    return end - from;
}

uint32_t bits_clear_before(const uint8_t *bits, uint32_t from, uint32_t most)
{
    uint32_t at = from;
    while (at > 0 && from - at < most) {
        uint32_t word = (at - 1) / WORD;
        uint64_t set = load(bits, word) & inside(word, 0, at);
        if (set)
            return from - (word * WORD + WORD - (uint32_t)__builtin_clzll(set));
        at = word * WORD;
    }
    return from - at;
}
