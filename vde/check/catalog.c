/* SPDX-License-Identifier: Apache-2.0 */
/* catalog.c -- the catalog's records against each other: what is said twice is said alike. */
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/fail.h"
#include "check/checker.h"

static int by_value(const struct entry_number *x, const struct entry_number *y)
{
    if (x->dataset != y->dataset)
        return x->dataset < y->dataset ? -1 : 1;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return x->value < y->value ? -1 : x->value > y->value;
}

static int order(const void *a, const void *b)
{
    return by_value(a, b);
}

static void sort(struct list *list)
{
    if (list->count)
        qsort(list->items, list->count, sizeof(struct entry_number), order);
}

/* Report what only one of two lists has. */
static void compare(struct checker *c, struct list *records, struct list *expected, const char *what)
{
    const struct entry_number *a = records->items, *b = expected->items;
    sort(records);
    sort(expected);
    for (size_t i = 0, k = 0; i < records->count || k < expected->count;) {
        int side = i == records->count ? 1 : k == expected->count ? -1 : by_value(a + i, b + k);
        if (side == 0) {
            i++;
            k++;
            continue;
        }
        const struct entry_number *e = side < 0 ? a + i++ : b + k++;
        check_report(c, "dataset %llu|%s %s at %llu|%s", (unsigned long long)e->dataset, side < 0 ? "a record" : "no record",
                     what, (unsigned long long)e->at, side < 0 ? "none, or another" : "one");
    }
}

/* --- names --------------------------------------------------------------------------------------------------------- */

/* A volume has the name that its name record gives it. */
static bool wants_name(const struct entry_dataset *d)
{
    return !d->zombie && (d->name || d->record.kind == DATASET_KIND_VOLUME);
}

/* Each named dataset that is not dropped has one name record, and no name record names anything else. */
static void check_names(struct checker *c, struct catalog *catalog)
{
    struct entry_number *names = catalog->names.items;
    struct entry_dataset *datasets = catalog->datasets.items;
    sort(&catalog->names);
    size_t n = 0;
    for (size_t i = 0; i < catalog->datasets.count; i++) {
        struct entry_dataset *d = &datasets[i];
        while (n < catalog->names.count && names[n].dataset < d->record.id)
            check_report(c, "name of dataset %llu|a name without its dataset|a dataset",
                         (unsigned long long)names[n++].dataset);
        bool has = n < catalog->names.count && names[n].dataset == d->record.id;
        if (has && (!d->name || checksum(d->name, strlen(d->name), 0) != names[n].at))
            check_report(c, "name of dataset %llu|another name|the dataset's", (unsigned long long)d->record.id);
        n += has;
        if (has != wants_name(d))
            check_report(c, "dataset %llu|%s|%s", (unsigned long long)d->record.id,
                         has ? "a name record" : "no name record", has ? "none" : "one");
    }
    for (; n < catalog->names.count; n++)
        check_report(c, "name of dataset %llu|a name without its dataset|a dataset", (unsigned long long)names[n].dataset);
}

/* --- snapshots ----------------------------------------------------------------------------------------------------- */

static int by_lsn(const void *a, const void *b)
{
    const struct entry_snapshot *x = a, *y = b;
    if (x->dataset != y->dataset)
        return x->dataset < y->dataset ? -1 : 1;
    return x->lsn < y->lsn ? -1 : x->lsn > y->lsn;
}

/* Snapshots of what is being freed count no more. */
static bool counts(const struct catalog *catalog, uint64_t dataset)
{
    const struct entry_dataset *d = check_find_dataset(catalog, dataset);
    return !d || !d->freeing;
}

static void keep_counting(const struct catalog *catalog, struct list *list)
{
    struct entry_number *items = list->items;
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++)
        if (counts(catalog, items[i].dataset))
            items[kept++] = items[i];
    list->count = kept;
}

static vde_status expect_snapshots(const struct catalog *catalog, struct list *lsns, struct list *aliases)
{
    const struct entry_snapshot *s = catalog->snapshots.items;
    for (size_t i = 0; i < catalog->snapshots.count; i++) {
        struct entry_number lsn = {s[i].dataset, s[i].lsn, s[i].tag}, alias = {s[i].dataset, s[i].tag, s[i].name_hash};
        if (!counts(catalog, s[i].dataset))
            continue;
        VDE_TRY(check_append(lsns, &lsn, sizeof lsn));
        if (s[i].named)
            VDE_TRY(check_append(aliases, &alias, sizeof alias));
    }
    const struct entry_zombie *z = catalog->zombies.items;
    for (size_t i = 0; i < catalog->zombies.count; i++) {
        struct entry_number lsn = {z[i].dataset, z[i].lsn, z[i].tag};
        if (!z[i].freeing && counts(catalog, z[i].dataset))
            VDE_TRY(check_append(lsns, &lsn, sizeof lsn));
    }
    return VDE_OK;
}

/* The newest one stands in the dataset's record. The list by LSN is sorted. */
static void check_newest(struct checker *c, const struct catalog *catalog)
{
    const struct entry_number *l = catalog->lsns.items;
    const struct entry_dataset *datasets = catalog->datasets.items;
    size_t at = 0;
    for (size_t i = 0; i < catalog->datasets.count; i++) {
        uint64_t id = datasets[i].record.id, newest = 0;
        for (; at < catalog->lsns.count && l[at].dataset <= id; at++)
            if (l[at].dataset == id)
                newest = l[at].at;
        if (newest != datasets[i].record.newest_snapshot && !datasets[i].freeing)
            check_report(c, "dataset %llu|newest snapshot at %llu|%llu as its snapshots say", (unsigned long long)id,
                         (unsigned long long)datasets[i].record.newest_snapshot, (unsigned long long)newest);
    }
}

static void check_snapshots(struct checker *c, struct catalog *catalog)
{
    struct entry_snapshot *s = catalog->snapshots.items;
    size_t count = catalog->snapshots.count;
    if (count)
        qsort(s, count, sizeof *s, by_lsn);
    for (size_t i = 0; i < count; i++) {
        if (s[i].dataset != DATASET_CATALOG && !check_find_dataset(catalog, s[i].dataset))
            check_report(c, "snapshot %llu of dataset %llu|no such dataset|its dataset", (unsigned long long)s[i].tag,
                         (unsigned long long)s[i].dataset);
        if (i > 0 && s[i - 1].dataset == s[i].dataset && s[i - 1].lsn == s[i].lsn)
            check_report(c, "dataset %llu|two snapshots at LSN %llu|one", (unsigned long long)s[i].dataset,
                         (unsigned long long)s[i].lsn);
    }
}

/* --- volumes and clones -------------------------------------------------------------------------------------------- */

static bool origin_is_there(const struct catalog *catalog, const struct dataset_record *clone)
{
    const struct entry_snapshot *s = catalog->snapshots.items;
    const struct entry_zombie *z = catalog->zombies.items;
    for (size_t i = 0; i < catalog->snapshots.count; i++)
        if (s[i].dataset == clone->origin && s[i].tag == clone->origin_tag && s[i].lsn == clone->origin_lsn)
            return true;
    for (size_t i = 0; i < catalog->zombies.count; i++)
        if (z[i].dataset == clone->origin && z[i].lsn == clone->origin_lsn)
            return !z[i].freeing;
    return false;
}

static vde_status check_clones(struct checker *c, struct catalog *catalog, struct list *expected)
{
    const struct entry_dataset *datasets = catalog->datasets.items;
    for (size_t i = 0; i < catalog->datasets.count; i++) {
        const struct dataset_record *r = &datasets[i].record;
        struct entry_number entry = {r->origin, r->origin_lsn, r->id};
        if (r->kind == DATASET_KIND_VOLUME && !datasets[i].has_volume && !datasets[i].zombie)
            check_report(c, "volume %llu|no record of its size|one", (unsigned long long)r->id);
        if (r->origin == 0)
            continue;
        VDE_TRY(check_append(expected, &entry, sizeof entry));
        if (!origin_is_there(catalog, r))
            check_report(c, "clone %llu|no snapshot %llu of dataset %llu at LSN %llu|the one it comes from",
                         (unsigned long long)r->id, (unsigned long long)r->origin_tag, (unsigned long long)r->origin,
                         (unsigned long long)r->origin_lsn);
    }
    return VDE_OK;
}

vde_status check_catalog_links(struct checker *c, struct catalog *catalog)
{
    struct list lsns = {NULL, 0, 0}, aliases = {NULL, 0, 0}, clones = {NULL, 0, 0};
    check_names(c, catalog);
    check_snapshots(c, catalog);
    keep_counting(catalog, &catalog->lsns);
    keep_counting(catalog, &catalog->aliases);
    vde_status status = expect_snapshots(catalog, &lsns, &aliases);
    if (status == VDE_OK)
        status = check_clones(c, catalog, &clones);
    if (status == VDE_OK) {
        compare(c, &catalog->lsns, &lsns, "of a snapshot by LSN,");
        compare(c, &catalog->aliases, &aliases, "of a snapshot's name,");
        compare(c, &catalog->clones, &clones, "of a clone of its snapshot,");
        check_newest(c, catalog);
    }
    free(lsns.items);
    free(aliases.items);
    free(clones.items);
    return status;
}
