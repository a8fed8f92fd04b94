/* SPDX-License-Identifier: Apache-2.0 */
/* test_overlay.c -- versions, order and visibility in the overlay, against a plain list. */
#include <criterion/criterion.h>

#include "ram_store.h"
#include "tree/overlay.h"
#include "tree/page.h"

static void put(struct overlay *overlay, uint64_t dataset, const char *key, uint64_t lsn, const char *value)
{
    size_t size = value ? strlen(value) : 0;
    cr_assert_eq(overlay_reserve(overlay, 1, strlen(key) + size), VDE_OK);
    overlay_insert(overlay, dataset, key, strlen(key), lsn, value ? VALUE_INLINE : VALUE_DELETE, value, size);
}

/* What a reader at `lsn` gets: NULL for nothing, "-" for a deletion. */
static const char *get(struct overlay *overlay, uint64_t dataset, const char *key, uint64_t lsn)
{
    static char text[64];
    struct overlay_entry entry;
    if (!overlay_get(overlay, dataset, key, strlen(key), lsn, &entry))
        return "none";
    if (entry.kind == VALUE_DELETE)
        return "-";
    memcpy(text, entry.value, entry.value_size);
    text[entry.value_size] = '\0';
    return text;
}

Test(overlay, a_reader_sees_the_newest_version_up_to_its_lsn)
{
    struct overlay *overlay;
    cr_assert_eq(overlay_create(&overlay), VDE_OK);
    put(overlay, 1, "k", 10, "ten");
    put(overlay, 1, "k", 30, NULL);
    put(overlay, 1, "k", 20, "twenty");
    put(overlay, 1, "kk", 15, "other");
    put(overlay, 2, "k", 5, "elsewhere");
    cr_assert_str_eq(get(overlay, 1, "k", 9), "none");
    cr_assert_str_eq(get(overlay, 1, "k", 10), "ten");
    cr_assert_str_eq(get(overlay, 1, "k", 19), "ten");
    cr_assert_str_eq(get(overlay, 1, "k", 29), "twenty");
    cr_assert_str_eq(get(overlay, 1, "k", UINT64_MAX), "-");
    cr_assert_str_eq(get(overlay, 1, "kk", 15), "other");
    cr_assert_str_eq(get(overlay, 2, "k", 7), "elsewhere");
    cr_assert_str_eq(get(overlay, 2, "kk", 99), "none");
    cr_assert_eq(overlay_entries(overlay), 5);
    overlay_unref(overlay);
}

Test(overlay, of_equal_versions_the_later_insert_wins)
{
    struct overlay *overlay;
    cr_assert_eq(overlay_create(&overlay), VDE_OK);
    put(overlay, 1, "k", 10, "first");
    put(overlay, 1, "k", 10, "second");
    put(overlay, 1, "k", 10, "third");
    cr_assert_str_eq(get(overlay, 1, "k", 10), "third");
    struct overlay_iterator it;
    struct overlay_entry entry;
    overlay_seek(&it, overlay, 10, 0, NULL, 0);
    overlay_entry(&it, &entry);
    cr_assert_eq(memcmp(entry.value, "third", 5), 0);
    overlay_next_version(&it);
    overlay_entry(&it, &entry);
    cr_assert_eq(memcmp(entry.value, "second", 6), 0);
    overlay_unref(overlay);
}

Test(overlay, keys_that_differ_only_in_zeroes_are_kept_apart)
{
    struct overlay *overlay;
    struct overlay_entry entry;
    struct overlay_iterator it;
    static const uint8_t zeroes[12];
    cr_assert_eq(overlay_create(&overlay), VDE_OK);
    cr_assert_eq(overlay_reserve(overlay, 12, 200), VDE_OK);
    for (size_t i = 12; i > 0; i--)
        overlay_insert(overlay, 1, zeroes, i, i, VALUE_INLINE, zeroes, i);
    for (size_t i = 1; i <= 12; i++) {
        cr_assert(overlay_get(overlay, 1, zeroes, i, 99, &entry));
        cr_assert_eq(entry.value_size, i);
    }
    size_t n = 0;
    for (overlay_seek(&it, overlay, 99, 1, NULL, 0); overlay_valid(&it); overlay_next(&it)) {
        overlay_entry(&it, &entry);
        cr_assert_eq(entry.key_size, ++n);
    }
    cr_assert_eq(n, 12);
    overlay_unref(overlay);
}

/* --- against a list ---------------------------------------------------------------------------------------------- */

struct fact {
    uint64_t dataset, lsn, number;
    size_t key_size;
    uint8_t key[24];
};

static int fact_key_order(const struct fact *a, const struct fact *b)
{
    if (a->dataset != b->dataset)
        return a->dataset < b->dataset ? -1 : 1;
    return key_compare(a->key, a->key_size, b->key, b->key_size);
}

static int fact_order(const void *a, const void *b)
{
    const struct fact *x = a, *y = b;
    int order = fact_key_order(x, y);
    if (order == 0)
        order = x->lsn > y->lsn ? -1 : x->lsn < y->lsn;
    return order != 0 ? order : x->number > y->number ? -1 : 1;
}

static void same(const struct overlay_iterator *it, const struct fact *fact)
{
    cr_assert_eq(overlay_valid(it), fact != NULL);
    if (!fact)
        return;
    struct overlay_entry entry;
    overlay_entry(it, &entry);
    cr_assert_eq(entry.dataset, fact->dataset);
    cr_assert_eq(entry.lsn, fact->lsn);
    cr_assert_eq(entry.key_size, fact->key_size);
    cr_assert_eq(memcmp(entry.key, fact->key, entry.key_size), 0);
    cr_assert_eq(memcmp(entry.value, &fact->number, sizeof fact->number), 0);
}

/* The visible facts at `lsn`, sorted: the first of each key that is not newer. */
static size_t visible(const struct fact *facts, size_t count, uint64_t lsn, const struct fact **ret_seen)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        if (facts[i].lsn <= lsn && (n == 0 || fact_key_order(ret_seen[n - 1], &facts[i]) != 0))
            ret_seen[n++] = &facts[i];
    return n;
}

static void compare_all(struct overlay *overlay, const struct fact *facts, size_t count, uint64_t lsn, uint64_t *random)
{
    const struct fact **seen = malloc((count + 1) * sizeof *seen);
    struct overlay_iterator it;
    cr_assert(seen);
    size_t n = visible(facts, count, lsn, seen);
    overlay_seek(&it, overlay, lsn, 0, NULL, 0);
    for (size_t i = 0; i <= n; i++) {
        same(&it, i < n ? seen[i] : NULL);
        if (i < n)
            overlay_next(&it);
    }
    for (unsigned round = 0; round < 50; round++) {
        struct fact like = facts[ram_random(random) % count];
        like.key[0] = (uint8_t)(like.key[0] + ram_random(random) % 3 - 1);
        size_t at = 0;
        while (at < n && fact_key_order(seen[at], &like) < 0)
            at++;
        overlay_seek(&it, overlay, lsn, like.dataset, like.key, like.key_size);
        same(&it, at < n ? seen[at] : NULL);
        bool present = at < n && fact_key_order(seen[at], &like) == 0;
        const struct fact *before = present ? seen[at] : at > 0 && seen[at - 1]->dataset == like.dataset ? seen[at - 1] : NULL;
        overlay_seek_before(&it, overlay, lsn, like.dataset, like.key, like.key_size);
        same(&it, before);
        struct overlay_entry entry;
        cr_assert_eq(overlay_get(overlay, like.dataset, like.key, like.key_size, lsn, &entry), present);
    }
    free(seen);
}

Test(overlay, behaves_like_a_sorted_list)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        uint64_t random = seed;
        size_t count = 1 + ram_random(&random) % 800, keys = 1 + ram_random(&random) % 200;
        struct fact *facts = calloc(count, sizeof *facts);
        struct overlay *overlay;
        cr_assert(facts);
        cr_assert_eq(overlay_create(&overlay), VDE_OK);
        for (size_t i = 0; i < count; i++) {
            struct fact *f = &facts[i];
            f->dataset = ram_random(&random) % 3;
            f->lsn = seed % 2 ? i / 2 : ram_random(&random) % 50;
            f->number = i;
            uint64_t k = seed % 3 == 0 ? i / 3 : ram_random(&random) % keys;
            f->key_size = 1 + k % sizeof f->key;
            f->key[0] = (uint8_t)(k >> 2);
            f->key[f->key_size - 1] = (uint8_t)k;
            cr_assert_eq(overlay_reserve(overlay, 1, f->key_size + sizeof f->number), VDE_OK);
            overlay_insert(overlay, f->dataset, f->key, f->key_size, f->lsn, VALUE_INLINE, &f->number, sizeof f->number);
        }
        qsort(facts, count, sizeof *facts, fact_order);
        struct overlay_iterator it;
        overlay_seek(&it, overlay, UINT64_MAX, 0, NULL, 0);
        for (size_t i = 0; i < count; i++, overlay_next_version(&it))
            same(&it, &facts[i]);
        cr_assert(!overlay_valid(&it));
        static const uint64_t lsns[] = {0, 7, 25, 400, UINT64_MAX};
        for (size_t i = 0; i < sizeof lsns / sizeof lsns[0]; i++)
            compare_all(overlay, facts, count, lsns[i], &random);
        overlay_unref(overlay);
        free(facts);
    }
}

Test(overlay, a_reservation_holds_for_the_tallest_entries)
{
    struct overlay *overlay;
    uint8_t value[1000] = {0};
    cr_assert_eq(overlay_create(&overlay), VDE_OK);
    uint64_t lsn = 0;
    for (size_t entries = 1; entries < 3000; entries = entries * 3 + 1) {
        cr_assert_eq(overlay_reserve(overlay, entries, entries * (8 + sizeof value)), VDE_OK);
        for (size_t i = 0; i < entries; i++) {
            uint64_t key = ++lsn * 0x9e3779b97f4a7c15u;
            overlay_insert(overlay, 1, &key, sizeof key, lsn, VALUE_INLINE, value, sizeof value);
        }
    }
    cr_assert_eq(overlay_entries(overlay), lsn);
    cr_assert_geq(overlay_bytes(overlay), lsn * (8 + sizeof value));
    cr_assert_eq(overlay_reserve(overlay, SIZE_MAX / 8, 1), VDE_NOMEM);
    cr_assert_eq(overlay_reserve(overlay, 1, SIZE_MAX - 64), VDE_NOMEM);
    overlay_ref(overlay);
    overlay_unref(overlay);
    overlay_unref(overlay);
}
