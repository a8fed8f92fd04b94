/* SPDX-License-Identifier: Apache-2.0 */
/* stress_overlay.c -- one writer and several readers without a lock on one overlay. Readers check that what is complete
 * at an LSN stays complete and in order; the thread sanitizer checks the rest.
 *
 *   stress_overlay [seconds]
 *
 * ctest: processors=2 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tree/overlay.h"

#define READERS 3
#define DATASETS 3u
#define KEYS 64u       /* transaction `lsn` writes key lsn % KEYS of every dataset, with its LSN as the value */
#define ROUND_LSNS 20000u

#define REQUIRE(condition)                                                                                             \
    ((condition) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition), abort()))

struct shared {
    struct overlay *overlay;
    atomic_uint_fast64_t published; /* everything up to here is in */
};

static void key_of(uint64_t number, uint8_t key[16])
{
    memset(key, 'k', 8);
    be64_put(key + 8, number * 0x9e3779b97f4a7c15u); /* so that neighbours in time are not neighbours in order */
}

static void *write_all(void *argument)
{
    struct shared *shared = argument;
    for (uint64_t lsn = 1; lsn <= ROUND_LSNS; lsn++) {
        uint8_t key[16];
        key_of(lsn % KEYS, key);
        REQUIRE(overlay_reserve(shared->overlay, DATASETS, DATASETS * (sizeof key + sizeof lsn)) == VDE_OK);
        for (uint64_t dataset = 0; dataset < DATASETS; dataset++)
            overlay_insert(shared->overlay, dataset, key, sizeof key, lsn, lsn % 7 ? VALUE_INLINE : VALUE_DELETE, &lsn,
                           sizeof lsn);
        atomic_store_explicit(&shared->published, lsn, memory_order_release);
    }
    return NULL;
}

/* The version of a key that a reader at `lsn` must see; 0 for none. */
static uint64_t expected_lsn(uint64_t lsn, uint64_t number)
{
    uint64_t back = (lsn + KEYS - number) % KEYS;
    return back > lsn ? 0 : lsn - back;
}

static void check_entry(const struct overlay_entry *entry, uint64_t expected)
{
    uint64_t value;
    REQUIRE(entry->lsn == expected && entry->key_size == 16 && entry->value_size == sizeof value);
    memcpy(&value, entry->value, sizeof value);
    REQUIRE(value == expected && entry->kind == (expected % 7 ? VALUE_INLINE : VALUE_DELETE));
}

static void check_points(const struct shared *shared, uint64_t lsn)
{
    for (uint64_t number = 0; number < KEYS; number++) {
        struct overlay_entry entry;
        uint8_t key[16];
        key_of(number, key);
        uint64_t expected = expected_lsn(lsn, number);
        bool found = overlay_get(shared->overlay, number % DATASETS, key, sizeof key, lsn, &entry);
        REQUIRE(found == (expected > 0));
        if (found)
            check_entry(&entry, expected);
    }
}

static void check_scan(const struct shared *shared, uint64_t lsn)
{
    struct overlay_iterator it;
    struct overlay_entry entry, before = {0};
    size_t count = 0;
    for (overlay_seek(&it, shared->overlay, lsn, 0, NULL, 0); overlay_valid(&it); overlay_next(&it), count++) {
        overlay_entry(&it, &entry);
        if (count > 0)
            REQUIRE(before.dataset < entry.dataset || memcmp(before.key, entry.key, 16) < 0);
        before = entry;
        uint64_t value;
        memcpy(&value, entry.value, sizeof value);
        check_entry(&entry, expected_lsn(lsn, value % KEYS));
        struct overlay_iterator same;
        overlay_seek_before(&same, shared->overlay, lsn, entry.dataset, entry.key, 16);
        REQUIRE(same.position == it.position);
    }
    REQUIRE(count == DATASETS * (lsn < KEYS ? lsn : KEYS));
}

static void *read_all(void *argument)
{
    const struct shared *shared = argument;
    for (uint64_t lsn = 0; lsn < ROUND_LSNS;) {
        lsn = atomic_load_explicit(&shared->published, memory_order_acquire);
        check_points(shared, lsn);
        check_scan(shared, lsn);
        check_points(shared, lsn / 2);
        REQUIRE(overlay_entries(shared->overlay) >= lsn * DATASETS && overlay_bytes(shared->overlay) >= lsn);
    }
    overlay_unref(shared->overlay);
    return NULL;
}

static void run_round(void)
{
    struct shared shared = {0};
    pthread_t writer, readers[READERS];
    REQUIRE(overlay_create(&shared.overlay) == VDE_OK);
    for (unsigned i = 0; i < READERS; i++) {
        overlay_ref(shared.overlay);
        REQUIRE(pthread_create(&readers[i], NULL, read_all, &shared) == 0);
    }
    REQUIRE(pthread_create(&writer, NULL, write_all, &shared) == 0);
    REQUIRE(pthread_join(writer, NULL) == 0);
    for (unsigned i = 0; i < READERS; i++)
        REQUIRE(pthread_join(readers[i], NULL) == 0);
    overlay_unref(shared.overlay);
}

int main(int argc, char **argv)
{
    time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 10);
    unsigned rounds = 0;
    do {
        run_round();
        rounds++;
    } while (time(NULL) < end);
    printf("stress_overlay: %u rounds\n", rounds);
    return 0;
}
