/* SPDX-License-Identifier: Apache-2.0 */
/* simulated_medium.c -- copy-on-write pages, un-flushed writes and what a flush does to them. */
#include "io/simulated_medium.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/checksum.h"
#include "base/fail.h"

static const uint8_t zeroes[PAGE_BYTES];

uint64_t random_next(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

void random_fill(uint64_t *state, void *buffer, size_t size)
{
    uint8_t *to = buffer;
    while (size > 0) {
        uint64_t x = random_next(state);
        size_t part = size < sizeof x ? size : sizeof x;
        memcpy(to, &x, part);
        to += part;
        size -= part;
    }
}

vde_status page_create(const void *bytes, struct page **ret_page)
{
    if (memcmp(bytes, zeroes, PAGE_BYTES) == 0) {
        *ret_page = NULL;
        return VDE_OK;
    }
    struct page *page = malloc(sizeof *page);
    if (!page)
        return fail_nomem("page of the simulated device");
    page->references = 1;
    page->hash = 0;
    memcpy(page->bytes, bytes, PAGE_BYTES);
    *ret_page = page;
    return VDE_OK;
}

struct page *page_take(struct page *page)
{
    if (page)
        __atomic_add_fetch(&page->references, 1, __ATOMIC_RELAXED);
    return page;
}

void page_drop(struct page *page)
{
    if (page && __atomic_sub_fetch(&page->references, 1, __ATOMIC_ACQ_REL) == 0)
        free(page);
}

const uint8_t *page_bytes(const struct page *page)
{
    return page ? page->bytes : zeroes;
}

vde_status medium_init(struct medium *medium, uint64_t size_bytes, uint64_t seed)
{
    uint8_t garbage[PAGE_BYTES];
    random_fill(&seed, garbage, sizeof garbage);
    memset(medium, 0, sizeof *medium);
    medium->place_count = size_bytes / PAGE_BYTES;
    medium->places = calloc(medium->place_count, sizeof *medium->places);
    if (!medium->places)
        return fail_nomem("simulated device");
    vde_status status = page_create(garbage, &medium->garbage);
    if (status != VDE_OK)
        free(medium->places);
    return status;
}

vde_status medium_copy(const struct medium *from, struct medium *ret_medium)
{
    struct medium to = *from;
    to.pending_capacity = from->pending_count;
    to.places = malloc(from->place_count * sizeof *to.places);
    to.pending = from->pending_count ? malloc(from->pending_count * sizeof *to.pending) : NULL;
    if (!to.places || (from->pending_count && !to.pending)) {
        free(to.places);
        free(to.pending);
        return fail_nomem("clone of the simulated device");
    }
    memcpy(to.places, from->places, from->place_count * sizeof *to.places);
    for (uint64_t i = 0; i < to.place_count; i++) {
        page_take(to.places[i].durable);
        page_take(to.places[i].current);
    }
    if (from->pending_count)
        memcpy(to.pending, from->pending, from->pending_count * sizeof *to.pending);
    for (size_t i = 0; to.pending && i < to.pending_count; i++)
        page_take(to.pending[i].page);
    page_take(to.garbage);
    *ret_medium = to;
    return VDE_OK;
}

void medium_done(struct medium *medium)
{
    for (uint64_t i = 0; i < medium->place_count; i++) {
        page_drop(medium->places[i].durable);
        page_drop(medium->places[i].current);
    }
    for (size_t i = 0; i < medium->pending_count; i++)
        page_drop(medium->pending[i].page);
    page_drop(medium->garbage);
    free(medium->places);
    free(medium->pending);
}

static void replace(struct page **at, struct page *page)
{
    page_drop(*at);
    *at = page;
}

vde_status medium_write(struct medium *medium, uint64_t place, struct page *page, bool uncertain)
{
    VDE_ASSERT(place < medium->place_count);
    if (medium->pending_count == medium->pending_capacity) {
        size_t capacity = medium->pending_capacity ? medium->pending_capacity * 2 : 64;
        struct pending *grown = realloc(medium->pending, capacity * sizeof *grown);
        if (!grown) {
            page_drop(page);
            return fail_nomem("un-flushed writes of the simulated device");
        }
        medium->pending = grown;
        medium->pending_capacity = capacity;
    }
    medium->pending[medium->pending_count++] = (struct pending){
        .place = place,
        .sequence = ++medium->sequence,
        .request = medium->request,
        .uncertain = uncertain,
        .page = page_take(page),
    };
    replace(&medium->places[place].current, page);
    return VDE_OK;
}

void medium_write_durable(struct medium *medium, uint64_t place, struct page *page)
{
    VDE_ASSERT(place < medium->place_count);
    struct place *at = &medium->places[place];
    at->durable_sequence = ++medium->sequence; /* the drive does not write older data over newer */
    replace(&at->durable, page_take(page));
    replace(&at->current, page);
}

void medium_flush(struct medium *medium, uint64_t last_request)
{
    for (size_t i = 0; i < medium->pending_count; i++) {
        struct pending *write = &medium->pending[i];
        struct place *at = &medium->places[write->place];
        if (write->uncertain || write->request > last_request || write->sequence < at->durable_sequence)
            continue;
        at->durable_sequence = write->sequence;
        replace(&at->durable, page_take(write->page));
    }
    size_t kept = 0;
    for (size_t i = 0; i < medium->pending_count; i++) {
        struct pending *write = &medium->pending[i];
        if (write->sequence > medium->places[write->place].durable_sequence)
            medium->pending[kept++] = *write;
        else
            page_drop(write->page);
    }
    medium->pending_count = kept;
}

void medium_doubt(struct medium *medium)
{
    for (size_t i = 0; i < medium->pending_count; i++)
        medium->pending[i].uncertain = true;
}

static uint64_t page_hash(struct page *page)
{
    uint64_t hash = __atomic_load_n(&page->hash, __ATOMIC_RELAXED);
    if (hash == 0) {
        hash = checksum(page->bytes, PAGE_BYTES, 0) | 1;
        __atomic_store_n(&page->hash, hash, __ATOMIC_RELAXED);
    }
    return hash;
}

uint64_t medium_hash(const struct medium *medium)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < medium->place_count; i++) {
        if (!medium->places[i].durable)
            continue;
        uint64_t pair[2] = {i, page_hash(medium->places[i].durable)};
        sum += checksum(pair, sizeof pair, 0);
    }
    return sum;
}
