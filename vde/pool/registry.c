/* SPDX-License-Identifier: Apache-2.0 */
/* registry.c -- open addressing over (kind, id). */
#include "pool/registry.h"

#include <stdlib.h>

void registry_done(struct registry *registry)
{
    free(registry->entries);
    *registry = (struct registry){0};
}

static struct registry_entry *slot(struct registry_entry *entries, uint64_t capacity, enum registry_kind kind,
                                   uint64_t id)
{
    uint64_t at = (id * 2 + kind) * 0x9e3779b97f4a7c15ull >> 20 & (capacity - 1);
    while (entries[at].kind && (entries[at].kind != kind || entries[at].id != id))
        at = (at + 1) & (capacity - 1);
    return &entries[at];
}

struct registry_entry *registry_find(struct registry *registry, enum registry_kind kind, uint64_t id)
{
    if (registry->capacity == 0)
        return NULL;
    struct registry_entry *entry = slot(registry->entries, registry->capacity, kind, id);
    return entry->kind ? entry : NULL;
}

static bool grow(struct registry *registry)
{
    uint64_t capacity = registry->capacity ? registry->capacity * 2 : 64;
    struct registry_entry *entries = calloc(capacity, sizeof *entries);
    if (!entries)
        return false;
    for (uint64_t i = 0; i < registry->capacity; i++)
        if (registry->entries[i].kind)
            *slot(entries, capacity, registry->entries[i].kind, registry->entries[i].id) = registry->entries[i];
    free(registry->entries);
    registry->entries = entries;
    registry->capacity = capacity;
    return true;
}

struct registry_entry *registry_add(struct registry *registry, enum registry_kind kind, uint64_t id, bool *ret_new)
{
    if (registry->count * 2 >= registry->capacity && !grow(registry))
        return NULL;
    struct registry_entry *entry = slot(registry->entries, registry->capacity, kind, id);
    *ret_new = entry->kind == 0;
    if (*ret_new) {
        *entry = (struct registry_entry){.id = id, .kind = kind};
        registry->count++;
    }
    return entry;
}
