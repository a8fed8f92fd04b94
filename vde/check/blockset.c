/* SPDX-License-Identifier: Apache-2.0 */
/* blockset.c -- sparse bit sets of blocks. */
#include "check/blockset.h"

#include <stdlib.h>

#include "base/fail.h"
#include "format/layout.h"

#define PAGE_BYTES (BITMAP_BITS / 8u)

vde_status blockset_init(struct blockset *set, uint64_t pages)
{
    *set = (struct blockset){pages, calloc(pages, sizeof *set->bits), 0};
    return set->bits ? VDE_OK : fail_nomem("set of visited blocks");
}

void blockset_clear(struct blockset *set)
{
    for (uint64_t i = 0; set->bits && i < set->pages; i++) {
        free(set->bits[i]);
        set->bits[i] = NULL;
    }
    set->count = 0;
}

void blockset_done(struct blockset *set)
{
    blockset_clear(set);
    free(set->bits);
    set->bits = NULL;
}

bool blockset_has(const struct blockset *set, uint64_t block)
{
    const uint8_t *page = set->bits[block / BITMAP_BITS];
    uint64_t bit = block % BITMAP_BITS;
    return page && (page[bit / 8] >> (bit % 8) & 1);
}

uint64_t blockset_common(const struct blockset *set, uint64_t block, uint64_t blocks)
{
    uint64_t common = 0;
    for (uint64_t i = 0; i < blocks; i++)
        common += blockset_has(set, block + i);
    return common;
}

vde_status blockset_add(struct blockset *set, uint64_t block, uint64_t blocks)
{
    for (uint64_t i = block; i < block + blocks; i++) {
        uint8_t **page = &set->bits[i / BITMAP_BITS];
        uint64_t bit = i % BITMAP_BITS;
        if (!*page && !(*page = calloc(1, PAGE_BYTES)))
            return fail_nomem("set of visited blocks");
        uint8_t mask = (uint8_t)(1u << (bit % 8));
        set->count += !((*page)[bit / 8] & mask);
        (*page)[bit / 8] |= mask;
    }
    return VDE_OK;
}
