/* SPDX-License-Identifier: Apache-2.0 */
#include "stamps.h"

#include <string.h>

#define WORDS (STAMP_BYTES / 8)

void stamp_fill(void *sector, uint64_t stamp)
{
    uint64_t words[WORDS];
    if (stamp == 0) {
        memset(sector, 0, STAMP_BYTES);
        return;
    }
    words[0] = stamp;
    for (uint64_t i = 1; i < WORDS; i++) {
        uint64_t x = (stamp + (stamp & 1 ? i & 1 : i) * 0x9e3779b97f4a7c15u) * 0xbf58476d1ce4e5b9u;
        words[i] = x ^ x >> 31;
    }
    memcpy(sector, words, sizeof words);
}

bool stamp_matches(const void *sector, uint64_t stamp)
{
    uint8_t expected[STAMP_BYTES];
    if (stamp_of(sector) != stamp)
        return false;
    stamp_fill(expected, stamp);
    return memcmp(expected, sector, STAMP_BYTES) == 0;
}

uint64_t stamp_of(const void *sector)
{
    uint64_t stamp;
    memcpy(&stamp, sector, sizeof stamp);
    return stamp;
}
