/* SPDX-License-Identifier: Apache-2.0 */
/* records.c -- collect what the newest catalog says, in key order; names as hashes. */
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/fail.h"
#include "check/checker.h"

vde_status check_append(struct list *list, const void *item, size_t size)
{
    VDE_TRY(check_grow(&list->items, &list->capacity, list->count, size));
    memcpy((uint8_t *)list->items + list->count++ * size, item, size);
    return VDE_OK;
}

struct entry_dataset *check_find_dataset(const struct catalog *catalog, uint64_t id)
{
    struct entry_dataset *items = catalog->datasets.items;
    size_t low = 0, high = catalog->datasets.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (items[middle].record.id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < catalog->datasets.count && items[low].record.id == id ? &items[low] : NULL;
}

void check_catalog_free(struct catalog *catalog)
{
    struct entry_dataset *datasets = catalog->datasets.items;
    for (size_t i = 0; i < catalog->datasets.count; i++) {
        free(datasets[i].name);
        free(datasets[i].resume);
    }
    free(catalog->datasets.items);
    free(catalog->snapshots.items);
    free(catalog->names.items);
    free(catalog->aliases.items);
    free(catalog->lsns.items);
    free(catalog->clones.items);
    free(catalog->zombies.items);
    free(catalog->zombie_streams.items);
    memset(catalog, 0, sizeof *catalog);
}

/* A record that can't be read: what it leads to is not known. */
static vde_status unreadable(struct checker *c, vde_status status)
{
    c->incomplete = true;
    return check_note(c, status);
}

static vde_status visit_dataset(struct checker *c, struct catalog *catalog, const struct check_record *r)
{
    uint64_t id = be64_get(r->key + 1);
    struct entry_dataset entry;
    memset(&entry, 0, sizeof entry);
    vde_status status = dataset_record_get(r->value, r->value_size, id, &c->label.layout, &entry.record);
    if (status != VDE_OK)
        return unreadable(c, status);
    bool engine = id == DATASET_HISTORY || id == DATASET_FILES;
    if (!engine && (id < ID_FIRST || id >= c->sb.next_id))
        check_report(c, "dataset %llu|an id that was never handed out|below %llu", (unsigned long long)id,
                     (unsigned long long)c->sb.next_id);
    if (entry.record.newest_snapshot > c->sb.checkpoint_lsn || entry.record.created_lsn > c->sb.checkpoint_lsn)
        check_report(c, "dataset %llu|created at %llu, newest snapshot at %llu|at most the cut, %llu",
                     (unsigned long long)id, (unsigned long long)entry.record.created_lsn,
                     (unsigned long long)entry.record.newest_snapshot, (unsigned long long)c->sb.checkpoint_lsn);
    entry.owner.id = id;
    if (entry.record.name[0] && !(entry.name = strdup(entry.record.name)))
        return fail_nomem("check");
    c->summary->datasets += !engine;
    c->summary->volumes += entry.record.kind == DATASET_KIND_VOLUME;
    status = check_append(&catalog->datasets, &entry, sizeof entry);
    if (status != VDE_OK)
        free(entry.name);
    return status;
}

static vde_status visit_volume(struct checker *c, struct catalog *catalog, const struct check_record *r)
{
    uint64_t id = be64_get(r->key + 1);
    struct entry_dataset *dataset = check_find_dataset(catalog, id);
    if (!dataset || dataset->record.kind != DATASET_KIND_VOLUME) {
        check_report(c, "volume %llu|%s|a dataset of kind volume", (unsigned long long)id,
                     dataset ? "a dataset of another kind" : "no dataset");
        return VDE_OK;
    }
    dataset->has_volume = true;
    return check_note(c, volume_record_get(r->value, r->value_size, id, &dataset->volume));
}

static vde_status visit_snapshot(struct checker *c, struct catalog *catalog, const struct check_record *r)
{
    struct snapshot_record record;
    vde_status status = snapshot_record_get(r->value, r->value_size, &c->label.layout, &record);
    if (status != VDE_OK)
        return unreadable(c, status);
    struct entry_snapshot entry = {be64_get(r->key + 1), be64_get(r->key + 9), record.lsn,
                                   checksum(record.name, strlen(record.name), 0), record.mapped_blocks,
                                   record.stored_blocks, record.root, record.name[0] != 0};
    if (record.lsn == 0 || record.lsn > c->sb.checkpoint_lsn)
        check_report(c, "dataset %llu snapshot %llu|LSN %llu|1 to the cut, %llu", (unsigned long long)entry.dataset,
                     (unsigned long long)entry.tag, (unsigned long long)record.lsn,
                     (unsigned long long)c->sb.checkpoint_lsn);
    c->summary->snapshots++;
    return check_append(&catalog->snapshots, &entry, sizeof entry);
}

static vde_status zombie_dataset(struct checker *c, struct catalog *catalog, uint64_t id, const struct zombie_record *z)
{
    struct entry_dataset *dataset = check_find_dataset(catalog, id);
    if (!dataset) {
        check_report(c, "dropped dataset %llu|no dataset|its dataset, until all is freed", (unsigned long long)id);
        return VDE_OK;
    }
    dataset->zombie = true;
    dataset->freeing = z->freeing;
    dataset->dropped_lsn = z->dropped_lsn;
    c->summary->volumes -= dataset->record.kind == DATASET_KIND_VOLUME;
    if (!z->freeing || z->resume_size == 0)
        return VDE_OK;
    dataset->resume = malloc(z->resume_size);
    if (!dataset->resume)
        return fail_nomem("check");
    memcpy(dataset->resume, z->resume, z->resume_size);
    dataset->resume_size = z->resume_size;
    return VDE_OK;
}

static vde_status visit_zombie(struct checker *c, struct catalog *catalog, const struct check_record *r)
{
    uint64_t id = be64_get(r->key + 2);
    uint8_t what = r->key[1];
    struct zombie_record z;
    if ((what != 's' && what != 'd' && what != 'p') || r->key_size != (what == 'p' ? 18u : 10u)) {
        check_report(c, "catalog record z of %llu|kind %u, a key of %zu bytes|s, d or p", (unsigned long long)id, what,
                     r->key_size);
        return VDE_OK;
    }
    vde_status status = zombie_record_get(r->value, r->value_size, "catalog record z", &z);
    if (status != VDE_OK)
        return unreadable(c, status);
    c->summary->zombies++;
    if (what == 's')
        return check_append(&catalog->zombie_streams, &id, sizeof id);
    if (what == 'd')
        return zombie_dataset(c, catalog, id, &z);
    struct entry_zombie entry = {id, z.tag, z.lsn, z.freeing};
    if (z.lsn != be64_get(r->key + 10))
        check_report(c, "catalog record z of %llu|LSN %llu|%llu, as in its key", (unsigned long long)id,
                     (unsigned long long)z.lsn, (unsigned long long)be64_get(r->key + 10));
    return check_append(&catalog->zombies, &entry, sizeof entry);
}

/* A volume's name stands here alone. */
static vde_status name_volume(const struct catalog *catalog, uint64_t id, const struct check_record *r)
{
    struct entry_dataset *d = check_find_dataset(catalog, id);
    size_t prefix = sizeof VOLUME_NAME_PREFIX - 1;
    bool named = r->key_size > 1 + prefix && memcmp(r->key + 1, VOLUME_NAME_PREFIX, prefix) == 0;
    if (!d || d->record.kind != DATASET_KIND_VOLUME || !named || d->name)
        return VDE_OK;
    d->name = strndup((const char *)r->key + 1, r->key_size - 1);
    return d->name ? VDE_OK : fail_nomem("check");
}

static vde_status visit_number(struct checker *c, struct catalog *catalog, const struct check_record *r)
{
    vde_le64 value;
    if (r->value_size != sizeof value) {
        check_report(c, "catalog record %c|a value of %zu bytes|%zu", r->key[0], r->value_size, sizeof value);
        return VDE_OK;
    }
    memcpy(&value, r->value, sizeof value);
    struct entry_number entry = {0, 0, le64_get(value)};
    if (r->key[0] == CATALOG_KEY_NAME) {
        entry.dataset = entry.value;
        entry.at = checksum(r->key + 1, r->key_size - 1, 0);
        VDE_TRY(name_volume(catalog, entry.value, r));
        return check_append(&catalog->names, &entry, sizeof entry);
    }
    entry.dataset = be64_get(r->key + 1);
    if (r->key[0] == CATALOG_KEY_ALIAS) {
        entry.at = entry.value;
        entry.value = checksum(r->key + 9, r->key_size - 9, 0);
        return check_append(&catalog->aliases, &entry, sizeof entry);
    }
    entry.at = be64_get(r->key + 9);
    return check_append(&catalog->lsns, &entry, sizeof entry);
}

static vde_status visit_clone(struct checker *c, struct catalog *catalog, const struct check_record *r)
{
    struct entry_number entry = {be64_get(r->key + 1), be64_get(r->key + 9), be64_get(r->key + 17)};
    if (r->value_size != 0)
        check_report(c, "catalog record c of %llu|%zu bytes|an empty value", (unsigned long long)entry.dataset,
                     r->value_size);
    c->summary->clones++;
    return check_append(&catalog->clones, &entry, sizeof entry);
}

static bool in_range(size_t size, size_t low, size_t high)
{
    return size >= low && size <= high;
}

vde_status check_catalog_record(struct checker *c, void *context, const struct check_record *r)
{
    static const struct {
        uint8_t tag;
        uint16_t low, high; /* bytes of the key */
        vde_status (*visit)(struct checker *, struct catalog *, const struct check_record *);
    } kinds[] = {
        {CATALOG_KEY_DATASET, 9, 9, visit_dataset},  {CATALOG_KEY_VOLUME, 9, 9, visit_volume},
        {CATALOG_KEY_SNAPSHOT, 17, 17, visit_snapshot}, {CATALOG_KEY_ZOMBIE, 10, 18, visit_zombie},
        {CATALOG_KEY_NAME, 2, 256, visit_number},    {CATALOG_KEY_ALIAS, 10, 9 + SNAPSHOT_NAME_MAX, visit_number},
        {CATALOG_KEY_LSN, 17, 17, visit_number},     {CATALOG_KEY_CLONE, 25, 25, visit_clone},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (r->kind == VALUE_INLINE && r->key[0] == kinds[i].tag && in_range(r->key_size, kinds[i].low, kinds[i].high))
            return kinds[i].visit(c, context, r);
    check_report(c, "catalog|a record of kind %u with a key of %zu bytes, tag %u|a record of the format", r->kind,
                 r->key_size, r->key[0]);
    return VDE_OK;
}
