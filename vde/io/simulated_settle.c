/* SPDX-License-Identifier: Apache-2.0 */
/* simulated_settle.c -- what of the un-flushed writes is on the medium after a power cut.
 *
 * Two steps, so that running out of memory loses nothing: the surviving image is built in places[].current, which power
 * loss forgets anyway, then it becomes the durable one. Writes are taken in order, and each builds on what the ones
 * before it left at its place. */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "io/simulated_medium.h"

enum fate { OLD, NEW, TORN, CUT_SHORT };

struct choice {
    enum simulated_survival survival;
    uint64_t random;
    uint64_t request;  /* the one being settled */
    enum fate fate;    /* its own */
    uint64_t whole;    /* PREFIX: this many requests survive */
    uint64_t settled;  /* requests begun */
    uint32_t sectors;  /* CUT_SHORT: this many sectors of the request survive */
};

static uint64_t count_requests(const struct medium *medium)
{
    uint64_t count = 0, last = 0;
    for (size_t i = 0; i < medium->pending_count; i++) {
        count += i == 0 || medium->pending[i].request != last;
        last = medium->pending[i].request;
    }
    return count;
}

static uint32_t count_sectors(const struct medium *medium, size_t from)
{
    size_t pages = 1;
    while (from + pages < medium->pending_count &&
           medium->pending[from + pages].request == medium->pending[from].request)
        pages++;
    return (uint32_t)(pages * PAGE_SECTORS);
}

static enum fate fate_of_next(struct choice *choice)
{
    uint64_t nth = choice->settled++;
    switch (choice->survival) {
    case SIMULATED_ALL:
        return NEW;
    case SIMULATED_SUBSET:
        return random_next(&choice->random) & 1 ? NEW : OLD;
    case SIMULATED_PREFIX:
        return nth < choice->whole ? NEW : nth == choice->whole ? CUT_SHORT : OLD;
    case SIMULATED_RANDOM:
        return (enum fate)(random_next(&choice->random) % 3);
    case SIMULATED_NONE:
    default:
        return OLD;
    }
}

static void begin_request(struct choice *choice, const struct medium *medium, size_t index)
{
    choice->request = medium->pending[index].request;
    choice->fate = fate_of_next(choice);
    if (choice->fate == CUT_SHORT)
        choice->sectors = (uint32_t)(random_next(&choice->random) % count_sectors(medium, index));
}

/* Half new, three eighths old, one eighth garbage. */
static void tear(uint64_t *random, uint8_t *bytes, const uint8_t *fresh)
{
    for (uint32_t sector = 0; sector < PAGE_SECTORS; sector++) {
        size_t at = sector * SIMULATED_SECTOR_BYTES;
        uint64_t dice = random_next(random) % 8;
        if (dice < 4)
            memcpy(bytes + at, fresh + at, SIMULATED_SECTOR_BYTES);
        else if (dice == 7)
            random_fill(random, bytes + at, SIMULATED_SECTOR_BYTES);
    }
}

/* The page at a place after this write met its fate, when `before` was there. The caller owns a reference. */
static vde_status survivor(struct choice *choice, struct page *before, struct page *page, struct page **ret_page)
{
    if (choice->fate == OLD || choice->fate == NEW) {
        *ret_page = page_take(choice->fate == NEW ? page : before);
        return VDE_OK;
    }
    uint8_t bytes[PAGE_BYTES];
    memcpy(bytes, page_bytes(before), PAGE_BYTES);
    if (choice->fate == TORN) {
        tear(&choice->random, bytes, page_bytes(page));
    } else {
        uint32_t sectors = choice->sectors < PAGE_SECTORS ? choice->sectors : PAGE_SECTORS;
        memcpy(bytes, page_bytes(page), sectors * SIMULATED_SECTOR_BYTES);
        choice->sectors -= sectors;
    }
    return page_create(bytes, ret_page);
}

static void put(struct page **at, struct page *page)
{
    page_drop(*at);
    *at = page;
}

static vde_status build(struct medium *medium, struct choice *choice)
{
    for (size_t i = 0; i < medium->pending_count; i++) {
        struct pending *write = &medium->pending[i];
        if (i == 0 || write->request != choice->request)
            begin_request(choice, medium, i);
        struct place *at = &medium->places[write->place];
        if (write->sequence < at->durable_sequence)
            continue; /* superseded by a durable write */
        struct page *page;
        VDE_TRY(survivor(choice, at->current, write->page, &page));
        put(&at->current, page);
    }
    return VDE_OK;
}

vde_status medium_settle(struct medium *medium, enum simulated_survival survival, uint64_t choice_seed)
{
    struct choice choice = {.survival = survival, .random = choice_seed};
    if (survival == SIMULATED_PREFIX)
        choice.whole = random_next(&choice.random) % (count_requests(medium) + 1);
    for (size_t i = 0; i < medium->pending_count; i++) {
        struct place *at = &medium->places[medium->pending[i].place];
        put(&at->current, page_take(at->durable));
    }
    VDE_TRY(build(medium, &choice));
    for (size_t i = 0; i < medium->pending_count; i++) {
        struct place *at = &medium->places[medium->pending[i].place];
        put(&at->durable, page_take(at->current));
        page_drop(medium->pending[i].page);
    }
    medium->pending_count = 0;
    return VDE_OK;
}
