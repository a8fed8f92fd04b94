/* SPDX-License-Identifier: Apache-2.0 */
/* simulated_medium.h -- state of a simulated drive: durable image, cached view, un-flushed writes. No locking. */
#ifndef VDE_IO_SIMULATED_MEDIUM_H
#define VDE_IO_SIMULATED_MEDIUM_H

#include "io/simulated.h"

#define PAGE_BYTES 4096u
#define PAGE_SECTORS (PAGE_BYTES / SIMULATED_SECTOR_BYTES)

/* Immutable once it is in a medium; NULL stands for zeroes. */
struct page {
    uint32_t references; /* atomic: clones may live in other threads */
    uint64_t hash;       /* atomic; 0: not computed yet */
    uint8_t bytes[PAGE_BYTES];
};

struct place {
    struct page *durable;
    struct page *current;      /* what a read returns */
    uint64_t durable_sequence; /* pending writes of this place up to here are superseded */
};

struct pending {
    uint64_t place;
    uint64_t sequence; /* of the page write, ascending */
    uint64_t request;  /* pages of one request share it, ascending */
    bool uncertain;    /* no later flush covers it */
    struct page *page;
};

struct medium {
    uint64_t place_count;
    struct place *places;
    struct pending *pending; /* by sequence */
    size_t pending_count;
    size_t pending_capacity;
    uint64_t sequence;
    uint64_t request;
    struct page *garbage;    /* what discarded ranges hold */
};

/* splitmix64 */
uint64_t random_next(uint64_t *state);
void random_fill(uint64_t *state, void *buffer, size_t size);

vde_status page_create(const void *bytes, struct page **ret_page); /* NULL page for zeroes */
struct page *page_take(struct page *page);
void page_drop(struct page *page);
const uint8_t *page_bytes(const struct page *page);

vde_status medium_init(struct medium *medium, uint64_t size_bytes, uint64_t seed);
vde_status medium_copy(const struct medium *from, struct medium *ret_medium);
void medium_done(struct medium *medium);

/* Add a page write; the medium takes `page` over (also on failure). */
vde_status medium_write(struct medium *medium, uint64_t place, struct page *page, bool uncertain);
/* A write that is durable at once. Takes `page` over. */
void medium_write_durable(struct medium *medium, uint64_t place, struct page *page);
/* Make pending writes of requests up to `last_request` durable, except uncertain ones. */
void medium_flush(struct medium *medium, uint64_t last_request);
/* No flush will cover what is pending now. */
void medium_doubt(struct medium *medium);

/* Choose what survives a power cut. On NOMEM the durable image and the un-flushed writes are as before, so it may be
 * called again. */
vde_status medium_settle(struct medium *medium, enum simulated_survival survival, uint64_t choice_seed);
uint64_t medium_hash(const struct medium *medium);
#endif
