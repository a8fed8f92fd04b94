/* SPDX-License-Identifier: Apache-2.0 */
/* registry.h -- what submit must know without reading: which datasets exist, and where each stream ends. Filled on first
 * use, from then on the truth; guarded by the log's gate. */
#ifndef VDE_POOL_REGISTRY_H
#define VDE_POOL_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>

#include <vde/error.h>

enum registry_kind { REGISTRY_DATASET = 1, REGISTRY_STREAM = 2 };

struct registry_entry {
    uint64_t id;
    enum registry_kind kind; /* 0: empty place */
    bool dropped;
    bool volume;             /* datasets: its records are blocks */
    bool has_last;           /* streams: an entry exists */
    uint64_t last_number, last_time_us;
};

struct registry {
    struct registry_entry *entries;
    uint64_t capacity, count;
};

void registry_done(struct registry *registry);
struct registry_entry *registry_find(struct registry *registry, enum registry_kind kind, uint64_t id);
/* Find or add; NULL: out of memory. */
struct registry_entry *registry_add(struct registry *registry, enum registry_kind kind, uint64_t id, bool *ret_new);
#endif
