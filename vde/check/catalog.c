/* SPDX-License-Identifier: Apache-2.0 */
/* catalog.c -- the catalog's records against each other, then every dataset: newest version, snapshots, dead tree. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/fail.h"
#include "check/checker.h"

/* What the catalog says, in key order: by dataset, then by tag or LSN. Names as hashes. */
struct entry_dataset {
    uint64_t id, newest_snapshot, name_hash;
    struct tree_root root, dead;
    bool named, zombie;
};
struct entry_snapshot {
    uint64_t dataset, tag, lsn;
    struct tree_root root;
};
struct entry_lsn {
    uint64_t dataset, lsn, tag;
};
struct entry_name {
    uint64_t id, hash;
};
struct list {
    void *items;
    size_t count, capacity;
};
struct catalog {
    struct list datasets, snapshots, lsns, names;
    struct list zombie_streams; /* uint64_t, ascending */
};

static vde_status append(struct list *list, const void *item, size_t size)
{
    VDE_TRY(check_grow(&list->items, &list->capacity, list->count, size));
    memcpy((uint8_t *)list->items + list->count++ * size, item, size);
    return VDE_OK;
}

static struct entry_dataset *find_dataset(struct catalog *catalog, uint64_t id)
{
    struct entry_dataset *items = catalog->datasets.items;
    size_t low = 0, high = catalog->datasets.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (items[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < catalog->datasets.count && items[low].id == id ? &items[low] : NULL;
}

/* --- records ------------------------------------------------------------------------------------------------------ */

static vde_status visit_dataset(struct checker *c, struct catalog *catalog, const struct check_record *r)
{
    uint64_t id = be64_get(r->key + 1);
    struct dataset_record record;
    vde_status status = dataset_record_get(r->value, r->value_size, id, &c->label.layout, &record);
    if (status != VDE_OK) {
        c->incomplete = true;
        return check_note(c, status);
    }
    bool engine = id == DATASET_HISTORY || id == DATASET_FILES;
    if (!engine && (id < ID_FIRST || id >= c->sb.next_id))
        check_report(c, "dataset %llu|an id that was never handed out|below %llu", (unsigned long long)id,
                     (unsigned long long)c->sb.next_id);
    if (record.newest_snapshot > c->sb.checkpoint_lsn)
        check_report(c, "dataset %llu|newest snapshot at %llu|at most the cut, %llu", (unsigned long long)id,
                     (unsigned long long)record.newest_snapshot, (unsigned long long)c->sb.checkpoint_lsn);
    struct entry_dataset entry = {id, record.newest_snapshot, 0, record.root, record.dead, record.name[0] != 0, false};
    entry.name_hash = checksum(record.name, strlen(record.name), 0);
    c->summary->datasets += !engine;
    return append(&catalog->datasets, &entry, sizeof entry);
}

static vde_status visit_snapshot(struct checker *c, struct catalog *catalog, const struct check_record *r)
{
    struct snapshot_record record;
    vde_status status = snapshot_record_get(r->value, r->value_size, &c->label.layout, &record);
    if (status != VDE_OK) {
        c->incomplete = true;
        return check_note(c, status);
    }
    struct entry_snapshot entry = {be64_get(r->key + 1), be64_get(r->key + 9), record.lsn, record.root};
    if (record.lsn == 0 || record.lsn > c->sb.checkpoint_lsn)
        check_report(c, "dataset %llu snapshot %llu|LSN %llu|1 to the cut, %llu", (unsigned long long)entry.dataset,
                     (unsigned long long)entry.tag, (unsigned long long)record.lsn,
                     (unsigned long long)c->sb.checkpoint_lsn);
    c->summary->snapshots++;
    return append(&catalog->snapshots, &entry, sizeof entry);
}

static vde_status visit_zombie(struct checker *c, struct catalog *catalog, const struct check_record *r)
{
    uint64_t id = be64_get(r->key + 2);
    if (r->value_size != 0 || (r->key[1] != 's' && r->key[1] != 'd'))
        check_report(c, "catalog record z of %llu|%zu bytes|an empty value", (unsigned long long)id, r->value_size);
    struct entry_dataset *dataset = r->key[1] == 'd' ? find_dataset(catalog, id) : NULL;
    if (dataset)
        dataset->zombie = true;
    return r->key[1] == 's' ? append(&catalog->zombie_streams, &id, sizeof id) : VDE_OK;
}

static vde_status visit_number(struct checker *c, struct catalog *catalog, const struct check_record *r)
{
    vde_le64 value;
    if (r->value_size != sizeof value) {
        check_report(c, "catalog record %c|a value of %zu bytes|%zu", r->key[0], r->value_size, sizeof value);
        return VDE_OK;
    }
    memcpy(&value, r->value, sizeof value);
    if (r->key[0] == CATALOG_KEY_NAME) {
        struct entry_name entry = {le64_get(value), checksum(r->key + 1, r->key_size - 1, 0)};
        return append(&catalog->names, &entry, sizeof entry);
    }
    struct entry_lsn entry = {be64_get(r->key + 1), be64_get(r->key + 9), le64_get(value)};
    return append(&catalog->lsns, &entry, sizeof entry);
}

static vde_status visit(struct checker *c, void *context, const struct check_record *r)
{
    struct catalog *catalog = context;
    uint8_t tag = r->key[0];
    if (r->kind == VALUE_INLINE && tag == CATALOG_KEY_DATASET && r->key_size == 9)
        return visit_dataset(c, catalog, r);
    if (r->kind == VALUE_INLINE && tag == CATALOG_KEY_SNAPSHOT && r->key_size == 17)
        return visit_snapshot(c, catalog, r);
    if (r->kind == VALUE_INLINE && tag == CATALOG_KEY_ZOMBIE && r->key_size == 10)
        return visit_zombie(c, catalog, r);
    if (r->kind == VALUE_INLINE && ((tag == CATALOG_KEY_LSN && r->key_size == 17) ||
                                    (tag == CATALOG_KEY_NAME && r->key_size >= 2 && r->key_size <= 256)))
        return visit_number(c, catalog, r);
    check_report(c, "catalog|a record of kind %u with a key of %zu bytes, tag %u|a record of the format", r->kind,
                 r->key_size, tag);
    return VDE_OK;
}

/* --- records against each other ------------------------------------------------------------------------------------ */

static int by_id(const void *a, const void *b)
{
    const struct entry_name *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* Each named dataset that is not dropped has one name record, and no name record names anything else. */
static void check_names(struct checker *c, struct catalog *catalog)
{
    struct entry_name *names = catalog->names.items;
    struct entry_dataset *datasets = catalog->datasets.items;
    if (catalog->names.count)
        qsort(names, catalog->names.count, sizeof *names, by_id);
    size_t n = 0;
    for (size_t i = 0; i < catalog->datasets.count; i++) {
        struct entry_dataset *d = &datasets[i];
        while (n < catalog->names.count && names[n].id < d->id)
            check_report(c, "name of dataset %llu|a name without its dataset|a dataset",
                         (unsigned long long)names[n++].id);
        bool has = n < catalog->names.count && names[n].id == d->id;
        if (has && names[n++].hash != d->name_hash)
            check_report(c, "name of dataset %llu|another name|the dataset's", (unsigned long long)d->id);
        if (has != (d->named && !d->zombie))
            check_report(c, "dataset %llu|%s|%s", (unsigned long long)d->id, has ? "a name record" : "no name record",
                         has ? "none" : "one");
    }
    for (; n < catalog->names.count; n++)
        check_report(c, "name of dataset %llu|a name without its dataset|a dataset", (unsigned long long)names[n].id);
}

static int by_lsn(const void *a, const void *b)
{
    const struct entry_snapshot *x = a, *y = b;
    if (x->dataset != y->dataset)
        return x->dataset < y->dataset ? -1 : 1;
    return x->lsn < y->lsn ? -1 : x->lsn > y->lsn;
}

/* The list by LSN is the list by tag in another order; the newest one stands in the dataset's record. Leaves snapshots
 * sorted by (dataset, LSN). */
static void check_snapshots(struct checker *c, struct catalog *catalog)
{
    struct entry_snapshot *s = catalog->snapshots.items;
    struct entry_lsn *l = catalog->lsns.items;
    size_t count = catalog->snapshots.count;
    if (count)
        qsort(s, count, sizeof *s, by_lsn);
    if (catalog->lsns.count != count)
        check_report(c, "catalog|%zu snapshots by LSN|%zu as by tag", catalog->lsns.count, count);
    for (size_t i = 0; i < count && i < catalog->lsns.count; i++)
        if (s[i].dataset != l[i].dataset || s[i].lsn != l[i].lsn || s[i].tag != l[i].tag) {
            check_report(c, "dataset %llu snapshot %llu|another one in the list by LSN|LSN %llu",
                         (unsigned long long)s[i].dataset, (unsigned long long)s[i].tag, (unsigned long long)s[i].lsn);
            break;
        }
    for (size_t i = 0; i < count; i++) {
        struct entry_dataset *d = find_dataset(catalog, s[i].dataset);
        if (!d)
            check_report(c, "snapshot %llu of dataset %llu|no such dataset|its dataset", (unsigned long long)s[i].tag,
                         (unsigned long long)s[i].dataset);
        if (i > 0 && s[i - 1].dataset == s[i].dataset && s[i - 1].lsn == s[i].lsn)
            check_report(c, "dataset %llu|two snapshots at LSN %llu|one", (unsigned long long)s[i].dataset,
                         (unsigned long long)s[i].lsn);
        bool newest = i + 1 == count || s[i + 1].dataset != s[i].dataset;
        if (d && newest && d->newest_snapshot != s[i].lsn)
            check_report(c, "dataset %llu|newest snapshot at %llu|%llu as its snapshots say", (unsigned long long)d->id,
                         (unsigned long long)d->newest_snapshot, (unsigned long long)s[i].lsn);
    }
}

/* --- datasets ------------------------------------------------------------------------------------------------------ */

struct dead_state {
    struct checker *c;
    const struct entry_dataset *dataset;
    const struct entry_snapshot *snapshots;
    size_t snapshot_count;
    struct blockset seen;
};

static bool seen_by_snapshot(const struct dead_state *d, uint64_t birth, uint64_t death)
{
    for (size_t i = 0; i < d->snapshot_count; i++)
        if (d->snapshots[i].lsn >= birth && d->snapshots[i].lsn <= death)
            return true;
    return false;
}

static vde_status visit_dead(struct checker *c, void *context, const struct check_record *r)
{
    struct dead_state *d = context;
    vde_le32 value;
    if (r->key_size != 24 || r->kind != VALUE_INLINE || r->value_size != sizeof value) {
        check_report(c, "dead tree of dataset %llu|a key of %zu bytes|24", (unsigned long long)d->dataset->id,
                     r->key_size);
        return VDE_OK;
    }
    memcpy(&value, r->value, sizeof value);
    uint64_t newest = be64_get(r->key), birth = be64_get(r->key + 8), address = be64_get(r->key + 16);
    uint64_t blocks = le32_get(value);
    if (!check_allocatable(c, address, blocks)) {
        check_report(c, "dead tree of dataset %llu|blocks %llu + %llu|a run inside history area or heap",
                     (unsigned long long)d->dataset->id, (unsigned long long)address, (unsigned long long)blocks);
        return VDE_OK;
    }
    if (!seen_by_snapshot(d, birth, newest))
        check_report(c, "dead tree of dataset %llu: blocks %llu + %llu|birth %llu, dropped under snapshot %llu|a snapshot "
                     "between them", (unsigned long long)d->dataset->id, (unsigned long long)address,
                     (unsigned long long)blocks, (unsigned long long)birth, (unsigned long long)newest);
    uint64_t shared = blockset_common(&c->dataset, address, blocks);
    uint64_t live = blockset_common(&c->head, address, blocks), twice = blockset_common(&d->seen, address, blocks);
    if (live || twice) {
        c->summary->doubly_owned_blocks += live ? live : twice;
        check_report(c, "dead tree of dataset %llu: blocks %llu + %llu|%s|reached by snapshots only",
                     (unsigned long long)d->dataset->id, (unsigned long long)address, (unsigned long long)blocks,
                     live ? "still in the newest version" : "listed twice");
    } else if (shared != blocks && !c->incomplete) {
        check_report(c, "dead tree of dataset %llu: blocks %llu + %llu|reached from no snapshot|reached by snapshots",
                     (unsigned long long)d->dataset->id, (unsigned long long)address, (unsigned long long)blocks);
    }
    return blockset_add(&d->seen, address, blocks);
}

/* The dead tree's own nodes do not count as the dataset's. */
static vde_status walk_dead(struct checker *c, struct dead_state *d)
{
    char name[64];
    snprintf(name, sizeof name, "dead tree of dataset %llu", (unsigned long long)d->dataset->id);
    struct blockset own;
    VDE_TRY(blockset_init(&own, c->label.layout.alloc_pages));
    vde_status status = blockset_init(&d->seen, c->label.layout.alloc_pages);
    uint64_t only_snapshots = c->dataset.count - c->head.count;
    struct check_tree nodes = {.tree = d->dataset->id | DATASET_DEAD_BIT, .name = name, .root = d->dataset->dead, .owned = &own,
                               .visit = visit_dead, .context = d};
    if (status == VDE_OK)
        status = check_walk(c, &nodes);
    if (status == VDE_OK && d->seen.count != only_snapshots && !c->incomplete)
        check_report(c, "%s|%llu blocks|%llu that only snapshots reach", name, (unsigned long long)d->seen.count,
                     (unsigned long long)only_snapshots);
    blockset_done(&d->seen);
    blockset_done(&own);
    return status;
}

/* The newest version, with what the engine's own datasets hold. */
static vde_status walk_head(struct checker *c, const struct catalog *catalog, const struct entry_dataset *entry)
{
    char name[64];
    struct history_state history;
    struct files_state files;
    memset(&history, 0, sizeof history);
    memset(&files, 0, sizeof files);
    history.zombies = catalog->zombie_streams.items;
    history.zombie_count = catalog->zombie_streams.count;
    snprintf(name, sizeof name, "dataset %llu", (unsigned long long)entry->id);
    struct check_tree head = {.tree = entry->id, .name = name, .root = entry->root};
    if (entry->id == DATASET_HISTORY)
        head.visit = check_history_record, head.context = &history;
    if (entry->id == DATASET_FILES) {
        head.visit = check_files_record, head.context = &files;
        head.skip_data = !(c->opts.flags & VDE_CHECK_DATA);
    }
    blockset_clear(&c->dataset);
    vde_status status = check_walk(c, &head);
    if (status == VDE_OK)
        check_history_end(c, &history);
    if (status == VDE_OK)
        check_files_end(c, &files);
    free(history.big);
    free(files.files);
    return status;
}

static vde_status walk_dataset(struct checker *c, const struct catalog *catalog, const struct entry_dataset *entry,
                               const struct entry_snapshot *snapshots, size_t count)
{
    VDE_TRY(walk_head(c, catalog, entry));
    struct blockset swap = c->head;
    c->head = c->version;
    c->version = swap;
    for (size_t i = 0; i < count; i++) {
        char name[64];
        snprintf(name, sizeof name, "dataset %llu snapshot %llu", (unsigned long long)entry->id,
                 (unsigned long long)snapshots[i].tag);
        struct check_tree tree = {.tree = entry->id, .name = name, .root = snapshots[i].root, .shares = true,
                                  .skip_data = entry->id == DATASET_FILES && !(c->opts.flags & VDE_CHECK_DATA)};
        VDE_TRY(check_walk(c, &tree));
    }
    struct dead_state dead = {.c = c, .dataset = entry, .snapshots = snapshots, .snapshot_count = count};
    return walk_dead(c, &dead);
}

static vde_status walk_datasets(struct checker *c, const struct catalog *catalog)
{
    const struct entry_dataset *datasets = catalog->datasets.items;
    const struct entry_snapshot *snapshots = catalog->snapshots.items;
    size_t at = 0;
    for (size_t i = 0; i < catalog->datasets.count; i++) {
        while (at < catalog->snapshots.count && snapshots[at].dataset < datasets[i].id)
            at++;
        size_t end = at;
        while (end < catalog->snapshots.count && snapshots[end].dataset == datasets[i].id)
            end++;
        VDE_TRY(walk_dataset(c, catalog, &datasets[i], snapshots ? snapshots + at : NULL, end - at));
        at = end;
    }
    return VDE_OK;
}

vde_status check_catalog(struct checker *c)
{
    struct catalog catalog;
    memset(&catalog, 0, sizeof catalog);
    struct check_tree tree = {.tree = DATASET_CATALOG, .name = "catalog", .root = c->sb.catalog, .visit = visit,
                              .context = &catalog};
    vde_status status = check_walk(c, &tree);
    if (status == VDE_OK && !c->incomplete) {
        check_names(c, &catalog);
        check_snapshots(c, &catalog);
    }
    if (status == VDE_OK)
        status = walk_datasets(c, &catalog);
    uint64_t nodes = c->sb.catalog.nodes;
    for (size_t i = 0; i < catalog.datasets.count; i++)
        nodes += ((const struct entry_dataset *)catalog.datasets.items)[i].root.nodes;
    if (status == VDE_OK && !c->incomplete && nodes != c->sb.meta_nodes)
        check_report(c, "superblock %llu|%llu tree nodes|%llu as the roots say", (unsigned long long)c->sb.sequence,
                     (unsigned long long)c->sb.meta_nodes, (unsigned long long)nodes);
    free(catalog.datasets.items);
    free(catalog.snapshots.items);
    free(catalog.lsns.items);
    free(catalog.names.items);
    free(catalog.zombie_streams.items);
    return status;
}
