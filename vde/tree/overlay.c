/* SPDX-License-Identifier: Apache-2.0 */
/* overlay.c -- a skip list in an arena, insert-only.
 *
 * 1. An entry is complete before it is linked, and never changes after: readers that reach it through an acquire load
 *    see all of it.
 * 2. It is linked from level 0 upwards with release stores. A reader that misses it on a high level meets it on level 0.
 * 3. Order: dataset, key, LSN descending; of equal ones the one inserted later comes first. So the first entry not below
 *    (dataset, key, lsn) is the newest version visible at lsn.
 * 4. Only the writer touches `fingers`, the arena and the random state. */
#include "tree/overlay.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/fail.h"
#include "tree/page.h"

#define HEIGHT_MAX 12u          /* one entry in four is one level higher: enough for 4^12 */
#define CHUNK_MIN (64u << 10)
#define CHUNK_MAX (1u << 20)
#define VERSIONS_STEPPED 8u     /* versions of one key that are walked before searching pays */
#define ALIGNMENT 8u

struct entry {
    uint64_t dataset;
    uint64_t head;              /* first eight bytes of the key, zero-padded: most comparisons end here */
    uint64_t lsn;
    uint32_t key_size;
    uint32_t value_size;
    uint8_t kind;
    uint8_t height;
    _Atomic(struct entry *) next[]; /* `height` of them, then key and value */
};

struct chunk {
    struct chunk *older;
    size_t capacity;
    size_t used;
    uint64_t bytes[];
};

struct overlay {
    atomic_uint references;
    atomic_uint height;         /* of the tallest entry */
    atomic_size_t bytes;
    atomic_size_t entries;
    struct entry *first;        /* HEIGHT_MAX high, before everything */
    /* writer only */
    struct chunk *chunk;
    struct entry *last;         /* inserted last; NULL: none yet */
    struct entry *fingers[HEIGHT_MAX]; /* its predecessors, itself where it is high enough */
    uint64_t random;
};

/* A place in the order. */
struct place {
    uint64_t dataset;
    uint64_t head;
    uint64_t lsn;
    const uint8_t *key;
    size_t key_size;
};

static uint64_t key_head(const uint8_t *key, size_t size)
{
    uint8_t padded[8] = {0};
    if (size > 0)
        memcpy(padded, key, size < 8 ? size : 8);
    return be64_get(padded);
}

static struct place place_of(uint64_t dataset, const void *key, size_t key_size, uint64_t lsn)
{
    return (struct place){dataset, key_head(key, key_size), lsn, key, key_size};
}

static const uint8_t *entry_key(const struct entry *entry)
{
    return (const uint8_t *)&entry->next[entry->height];
}

static struct entry *entry_next(const struct entry *entry, unsigned level)
{
    return atomic_load_explicit(&entry->next[level], memory_order_acquire);
}

/* Equal heads leave the bytes behind them, or, in short keys, only the sizes to compare. */
static int compare_rest(const struct entry *entry, const struct place *place)
{
    size_t least = entry->key_size < place->key_size ? entry->key_size : place->key_size;
    if (least > 8) {
        int order = memcmp(entry_key(entry) + 8, place->key + 8, least - 8);
        if (order != 0)
            return order;
    }
    return (entry->key_size > place->key_size) - (entry->key_size < place->key_size);
}

static int compare_keys(const struct entry *entry, const struct place *place)
{
    if (entry->dataset != place->dataset)
        return entry->dataset < place->dataset ? -1 : 1;
    if (entry->head != place->head)
        return entry->head < place->head ? -1 : 1;
    return compare_rest(entry, place);
}

static bool is_before(const struct entry *entry, const struct place *place)
{
    int order = compare_keys(entry, place);
    return order < 0 || (order == 0 && entry->lsn > place->lsn);
}

/* The first entry not before `place`. With `ret_before`, its predecessor on every level in use goes there. */
static struct entry *find(const struct overlay *overlay, const struct place *place, struct entry **ret_before)
{
    struct entry *at = overlay->first, *next = NULL, *beyond = NULL;
    for (unsigned level = atomic_load_explicit(&overlay->height, memory_order_relaxed); level-- > 0;) {
        for (;;) {
            next = entry_next(at, level);
            if (level > 0) /* while `next` is on its way: what comes after it if the search goes down */
                __builtin_prefetch(entry_next(at, level - 1));
            if (!next || next == beyond || !is_before(next, place))
                break;
            at = next;
        }
        beyond = next; /* known not to be before: no second comparison one level below */
        if (ret_before)
            ret_before[level] = at;
    }
    return next;
}

/* --- life -------------------------------------------------------------------------------------------------------- */

static size_t entry_size(unsigned height, size_t key_size, size_t value_size)
{
    return round_up(sizeof(struct entry) + height * sizeof(struct entry *) + key_size + value_size, ALIGNMENT);
}

static vde_status add_chunk(struct overlay *overlay, size_t least)
{
    size_t capacity = overlay->chunk ? overlay->chunk->capacity * 2 : CHUNK_MIN;
    if (capacity > CHUNK_MAX)
        capacity = CHUNK_MAX;
    if (capacity < least)
        capacity = least;
    struct chunk *chunk = malloc(sizeof *chunk + capacity);
    if (!chunk)
        return fail_nomem("overlay");
    chunk->older = overlay->chunk;
    chunk->capacity = capacity;
    chunk->used = 0;
    overlay->chunk = chunk;
    return VDE_OK;
}

static struct entry *take_entry(struct overlay *overlay, unsigned height, size_t key_size, size_t value_size)
{
    struct chunk *chunk = overlay->chunk;
    size_t size = entry_size(height, key_size, value_size);
    struct entry *entry = (struct entry *)(chunk->bytes + chunk->used / sizeof chunk->bytes[0]);
    chunk->used += size;
    entry->height = (uint8_t)height;
    atomic_store_explicit(&overlay->bytes, atomic_load_explicit(&overlay->bytes, memory_order_relaxed) + size,
                          memory_order_relaxed);
    return entry;
}

vde_status overlay_create(struct overlay **ret_overlay)
{
    struct overlay *overlay = calloc(1, sizeof *overlay);
    if (!overlay)
        return fail_nomem("overlay");
    vde_status status = add_chunk(overlay, 0);
    if (status != VDE_OK) {
        free(overlay);
        return status;
    }
    atomic_init(&overlay->references, 1);
    atomic_init(&overlay->height, 1);
    overlay->first = take_entry(overlay, HEIGHT_MAX, 0, 0);
    for (unsigned i = 0; i < HEIGHT_MAX; i++)
        atomic_init(&overlay->first->next[i], NULL);
    atomic_store_explicit(&overlay->bytes, 0, memory_order_relaxed);
    overlay->random = 0x9e3779b97f4a7c15u; /* fixed: the same inserts give the same list */
    *ret_overlay = overlay;
    return VDE_OK;
}

void overlay_ref(struct overlay *overlay)
{
    atomic_fetch_add_explicit(&overlay->references, 1, memory_order_relaxed);
}

void overlay_unref(struct overlay *overlay)
{
    if (!overlay || atomic_fetch_sub_explicit(&overlay->references, 1, memory_order_acq_rel) != 1)
        return;
    for (struct chunk *chunk = overlay->chunk, *older; chunk; chunk = older) {
        older = chunk->older;
        free(chunk);
    }
    free(overlay);
}

size_t overlay_bytes(const struct overlay *overlay)
{
    return atomic_load_explicit(&overlay->bytes, memory_order_relaxed);
}

size_t overlay_entries(const struct overlay *overlay)
{
    return atomic_load_explicit(&overlay->entries, memory_order_relaxed);
}

/* --- inserting --------------------------------------------------------------------------------------------------- */

vde_status overlay_reserve(struct overlay *overlay, size_t entries, size_t bytes)
{
    size_t least;
    if (!checked_mul(entries, entry_size(HEIGHT_MAX, 0, 0) + ALIGNMENT, &least) ||
        !checked_add(least, bytes, &least) || least > SIZE_MAX / 2)
        return fail_nomem("overlay");
    least = round_up(least, ALIGNMENT);
    if (overlay->chunk->capacity - overlay->chunk->used >= least)
        return VDE_OK;
    return add_chunk(overlay, least);
}

static unsigned random_height(struct overlay *overlay)
{
    uint64_t x = overlay->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    overlay->random = x;
    unsigned height = 1;
    for (x >>= 32; height < HEIGHT_MAX && (x & 3) == 0; x >>= 2)
        height++;
    return height;
}

/* Leaves the predecessors of `place` in `fingers`. Keys often arrive in order: then the fingers of the previous insert
 * still fit, because whatever follows them on any level follows on level 0, too. */
static void set_fingers(struct overlay *overlay, const struct place *place)
{
    if (overlay->last && is_before(overlay->last, place)) {
        struct entry *next = entry_next(overlay->last, 0);
        if (!next || !is_before(next, place))
            return;
    }
    find(overlay, place, overlay->fingers);
}

void overlay_insert(struct overlay *overlay, uint64_t dataset, const void *key, size_t key_size, uint64_t lsn,
                    enum value_kind kind, const void *value, size_t value_size)
{
    unsigned height = random_height(overlay);
    struct place place = place_of(dataset, key, key_size, lsn);
    /* Room for the tallest entry was reserved. */
    VDE_ASSERT(overlay->chunk->capacity - overlay->chunk->used >= entry_size(height, key_size, value_size));
    struct entry *entry = take_entry(overlay, height, key_size, value_size);
    entry->dataset = dataset;
    entry->head = place.head;
    entry->lsn = lsn;
    entry->key_size = (uint32_t)key_size;
    entry->value_size = (uint32_t)value_size;
    entry->kind = (uint8_t)kind;
    uint8_t *bytes = (uint8_t *)&entry->next[height];
    if (key_size > 0)
        memcpy(bytes, key, key_size);
    if (value_size > 0)
        memcpy(bytes + key_size, value, value_size);

    set_fingers(overlay, &place);
    unsigned tallest = atomic_load_explicit(&overlay->height, memory_order_relaxed);
    for (; tallest < height; tallest++)
        overlay->fingers[tallest] = overlay->first;
    for (unsigned level = 0; level < height; level++) {
        struct entry *before = overlay->fingers[level];
        atomic_init(&entry->next[level], atomic_load_explicit(&before->next[level], memory_order_relaxed));
    }
    for (unsigned level = 0; level < height; level++) {
        atomic_store_explicit(&overlay->fingers[level]->next[level], entry, memory_order_release);
        overlay->fingers[level] = entry;
    }
    overlay->last = entry;
    atomic_store_explicit(&overlay->height, tallest, memory_order_relaxed);
    atomic_store_explicit(&overlay->entries, atomic_load_explicit(&overlay->entries, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

static void describe(const struct entry *entry, struct overlay_entry *ret_entry)
{
    const uint8_t *key = entry_key(entry);
    *ret_entry = (struct overlay_entry){entry->dataset, key, entry->key_size, entry->lsn, (enum value_kind)entry->kind,
                                        key + entry->key_size, entry->value_size};
}

static struct place key_place(const struct entry *entry, uint64_t lsn)
{
    return (struct place){entry->dataset, entry->head, lsn, entry_key(entry), entry->key_size};
}

bool overlay_get(const struct overlay *overlay, uint64_t dataset, const void *key, size_t key_size, uint64_t max_lsn,
                 struct overlay_entry *ret_entry)
{
    struct place place = place_of(dataset, key, key_size, max_lsn);
    const struct entry *entry = find(overlay, &place, NULL);
    if (!entry || compare_keys(entry, &place) != 0)
        return false;
    describe(entry, ret_entry);
    return true;
}

/* From any version of a key on: the newest one that is visible, or that of the next key that has one. An old view must not
 * walk all that came later, so a bounded search ends with its dataset. */
static void settle(struct overlay_iterator *iterator, const struct entry *entry)
{
    while (entry && entry->lsn > iterator->max_lsn) {
        if (iterator->bounded && entry->dataset != iterator->dataset) {
            entry = NULL;
            break;
        }
        struct place place = key_place(entry, iterator->max_lsn);
        entry = find(iterator->overlay, &place, NULL);
    }
    iterator->position = entry;
}

void overlay_seek(struct overlay_iterator *iterator, const struct overlay *overlay, uint64_t max_lsn, uint64_t dataset,
                  const void *key, size_t key_size)
{
    iterator->overlay = overlay;
    iterator->max_lsn = max_lsn;
    iterator->bounded = false;
    struct place place = place_of(dataset, key, key ? key_size : 0, UINT64_MAX);
    settle(iterator, find(overlay, &place, NULL));
}

void overlay_seek_within(struct overlay_iterator *iterator, const struct overlay *overlay, uint64_t max_lsn,
                         uint64_t dataset, const void *key, size_t key_size)
{
    iterator->overlay = overlay;
    iterator->max_lsn = max_lsn;
    iterator->dataset = dataset;
    iterator->bounded = true;
    struct place place = place_of(dataset, key, key ? key_size : 0, UINT64_MAX);
    settle(iterator, find(overlay, &place, NULL));
}

/* The last entry before `place`, NULL for none. */
static const struct entry *find_before(const struct overlay *overlay, const struct place *place)
{
    struct entry *before[HEIGHT_MAX];
    find(overlay, place, before);
    return before[0] == overlay->first ? NULL : before[0];
}

void overlay_seek_before(struct overlay_iterator *iterator, const struct overlay *overlay, uint64_t max_lsn,
                         uint64_t dataset, const void *key, size_t key_size)
{
    iterator->overlay = overlay;
    iterator->max_lsn = max_lsn;
    iterator->bounded = false;
    iterator->position = NULL;
    struct place place = place_of(dataset, key, key_size, max_lsn);
    const struct entry *entry = find(overlay, &place, NULL);
    if (entry && compare_keys(entry, &place) == 0) {
        iterator->position = entry;
        return;
    }
    /* Step back key by key until one has a visible version. */
    place.lsn = UINT64_MAX;
    while ((entry = find_before(overlay, &place)) != NULL && entry->dataset == dataset) {
        place = key_place(entry, max_lsn);
        const struct entry *visible = find(overlay, &place, NULL);
        if (visible && compare_keys(visible, &place) == 0) {
            iterator->position = visible;
            return;
        }
        place.lsn = UINT64_MAX;
    }
}

bool overlay_valid(const struct overlay_iterator *iterator)
{
    return iterator->position != NULL;
}

void overlay_entry(const struct overlay_iterator *iterator, struct overlay_entry *ret_entry)
{
    describe(iterator->position, ret_entry);
}

void overlay_next(struct overlay_iterator *iterator)
{
    const struct entry *entry = iterator->position;
    struct place place = key_place(entry, 0);
    unsigned steps = 0;
    do {
        entry = ++steps == VERSIONS_STEPPED ? find(iterator->overlay, &place, NULL) : entry_next(entry, 0);
    } while (entry && compare_keys(entry, &place) == 0);
    settle(iterator, entry);
}

void overlay_next_version(struct overlay_iterator *iterator)
{
    iterator->position = entry_next(iterator->position, 0);
}
