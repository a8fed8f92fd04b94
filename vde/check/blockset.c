/* SPDX-License-Identifier: Apache-2.0 */
/* blockset.c -- sparse sets and marks of blocks. */
#include "check/blockset.h"

#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/fail.h"
#include "base/le.h"
#include "format/layout.h"

#define PAGE_BYTES (BITMAP_BITS / 8u)
#define WIDE_MARKS_PAGES 8192u /* up to a TiB; above it marks are narrow */

vde_status blockset_init(struct blockset *set, uint64_t pages)
{
    *set = (struct blockset){.pages = pages, .bits = calloc(pages, sizeof *set->bits)};
    return set->bits ? VDE_OK : fail_nomem("set of visited blocks");
}

void blockset_clear(struct blockset *set)
{
    for (size_t i = 0; i < set->touched_count; i++)
        memset(set->bits[set->touched[i]], 0, PAGE_BYTES + 1);
    set->touched_count = 0;
    set->count = 0;
}

void blockset_done(struct blockset *set)
{
    for (uint64_t i = 0; set->bits && i < set->pages; i++)
        free(set->bits[i]);
    free(set->bits);
    free(set->touched);
    *set = (struct blockset){.bits = NULL};
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

uint64_t blockset_rank(const struct blockset *set, uint64_t block)
{
    const uint8_t *page = set->bits[block / BITMAP_BITS];
    uint64_t bit = block % BITMAP_BITS, rank = 0;
    for (uint64_t at = 0; page && at < bit;) {
        uint64_t word = 0, step = bit - at < 64 ? bit - at : 64;
        memcpy(&word, page + at / 8, (step + 7) / 8);
        rank += (uint64_t)__builtin_popcountll(step < 64 ? word & ((1ull << step) - 1) : word);
        at += step;
    }
    return rank;
}

/* The byte behind a page's bits tells that the page is on the list. */
static vde_status touch(struct blockset *set, uint64_t page)
{
    if (!set->bits[page] && !(set->bits[page] = calloc(1, PAGE_BYTES + 1)))
        return fail_nomem("set of visited blocks");
    if (set->bits[page][PAGE_BYTES])
        return VDE_OK;
    if (set->touched_count == set->touched_capacity) {
        size_t capacity = set->touched_capacity ? set->touched_capacity * 2 : 64;
        uint64_t *grown = realloc(set->touched, capacity * sizeof *grown);
        if (!grown)
            return fail_nomem("set of visited blocks");
        set->touched = grown;
        set->touched_capacity = capacity;
    }
    set->touched[set->touched_count++] = page;
    set->bits[page][PAGE_BYTES] = 1;
    return VDE_OK;
}

vde_status blockset_add(struct blockset *set, uint64_t block, uint64_t blocks)
{
    for (uint64_t i = block; i < block + blocks; i++) {
        uint64_t bit = i % BITMAP_BITS;
        VDE_TRY(touch(set, i / BITMAP_BITS));
        uint8_t *byte = set->bits[i / BITMAP_BITS] + bit / 8, mask = (uint8_t)(1u << (bit % 8));
        set->count += !(*byte & mask);
        *byte |= mask;
    }
    return VDE_OK;
}

void blockset_remove(struct blockset *set, uint64_t block)
{
    uint64_t bit = block % BITMAP_BITS;
    if (!blockset_has(set, block))
        return;
    set->bits[block / BITMAP_BITS][bit / 8] &= (uint8_t)~(1u << (bit % 8));
    set->count--;
}

/* --- marks -------------------------------------------------------------------------------------------------------- */

vde_status marks_init(struct marks *marks, uint64_t pages)
{
    *marks = (struct marks){pages, calloc(pages, sizeof *marks->bytes), pages <= WIDE_MARKS_PAGES ? 8 : 2, 0};
    return marks->bytes ? VDE_OK : fail_nomem("owners of blocks");
}

void marks_done(struct marks *marks)
{
    for (uint64_t i = 0; marks->bytes && i < marks->pages; i++)
        free(marks->bytes[i]);
    free(marks->bytes);
    marks->bytes = NULL;
}

unsigned marks_make(const struct marks *marks, uint64_t owner, uint64_t birth)
{
    const vde_le64 bytes[2] = {le64(owner), le64(birth)};
    return (unsigned)(checksum(bytes, sizeof bytes, 0) % ((1u << marks->width) - 1u)) + 1u;
}

unsigned marks_get(const struct marks *marks, uint64_t block)
{
    const uint8_t *page = marks->bytes[block / BITMAP_BITS];
    uint64_t bit = block % BITMAP_BITS * marks->width;
    return page ? (unsigned)page[bit / 8] >> (bit % 8) & ((1u << marks->width) - 1u) : 0;
}

vde_status marks_set(struct marks *marks, uint64_t block, unsigned mark)
{
    uint8_t **page = &marks->bytes[block / BITMAP_BITS];
    uint64_t bit = block % BITMAP_BITS * marks->width;
    if (!*page && !(*page = calloc(marks->width, PAGE_BYTES)))
        return fail_nomem("owners of blocks");
    marks->count += marks_get(marks, block) == 0;
    unsigned all = (1u << marks->width) - 1u;
    uint8_t *byte = *page + bit / 8;
    *byte = (uint8_t)((*byte & ~(all << (bit % 8))) | mark << (bit % 8));
    return VDE_OK;
}
