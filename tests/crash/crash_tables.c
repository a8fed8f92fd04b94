/* SPDX-License-Identifier: Apache-2.0 */
/* Power cuts at every change of every sequence of up to three operations on tables, and again during recovery: what was
 * committed is there at every version, what was not is wholly absent, a commit to several tables holds for all or none.
 * ctest: timeout=1200 labels=heavy processors=2 sanitized=--depth,2,--again,8,--least,300 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lakehouse/all.h>

#include "base/fail.h"
#include "explore.h"
#include "support.h"

#define TABLES 6
#define VERSIONS 8
#define STORED 4
#define FILE_BYTES 9000u

enum kind { CREATE, COMMIT, COMMIT_MULTI, EVOLVE, FILE_WRITE, DROP, CHECKPOINT, REOPEN, KINDS };
static const char *const kind_names[KINDS] = {"create", "commit", "multi", "evolve", "file", "drop", "checkpoint", "reopen"};

struct table_model {
    uint64_t exists, versions, columns;
    uint64_t active[VERSIONS]; /* by version: bit n: file n */
};
struct model {
    struct table_model tables[TABLES];
    struct { uint64_t table, seed; } stored[STORED]; /* seed 0: none */
    uint64_t next_file;
    char group[LH_UUID_TEXT + 3]; /* of the last commit to several tables */
};

struct handle {
    vde_image *image;
    lh_lakehouse *lakehouse;
};

/* --- opening ------------------------------------------------------------------------------------------------------- */

static vde_status open_into(struct vde_device *device, struct handle *h)
{
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    opts.flags = VDE_OPEN_NO_THREADS;
    opts.env = &explore_env;
    h->image = NULL;
    h->lakehouse = NULL;
    VDE_TRY(vde_image_open_device(device, &opts, &h->image));
    return lh_open(h->image, NULL, &h->lakehouse);
}

static vde_status close_image(struct handle *h)
{
    vde_image *image = h->image;
    lh_close(h->lakehouse);
    h->lakehouse = NULL;
    h->image = NULL;
    return image ? vde_image_close(image) : VDE_OK;
}

static vde_status close_tables(void *handle)
{
    vde_status status = close_image(handle);
    free(handle);
    return status;
}

static vde_status open_tables(struct vde_device *device, void **ret_handle)
{
    struct handle *h = calloc(1, sizeof *h);
    vde_status status = open_into(device, h);
    if (status == VDE_OK) {
        *ret_handle = h;
        return VDE_OK;
    }
    struct vde_error error;
    error_save(&error);
    (void)close_tables(h);
    error_restore(&error);
    return status;
}

/* --- operations ---------------------------------------------------------------------------------------------------- */

static void table_name(unsigned index, char name[32])
{
    snprintf(name, 32, "shop.table%u", index);
}

static void schema_text(uint64_t columns, char text[200])
{
    snprintf(text, 200, "id BIGINT");
    for (uint64_t i = 1; i < columns; i++) {
        size_t used = strlen(text);
        snprintf(text + used, 200 - used, ", c%llu INT", (unsigned long long)i);
    }
}

static int find_table(const struct model *m, bool exists, unsigned skip)
{
    for (int i = 0; i < TABLES; i++)
        if ((m->tables[i].exists != 0) == exists && skip-- == 0)
            return i;
    return -1;
}

static void start_table(struct table_model *t)
{
    memset(t, 0, sizeof *t);
    t->exists = t->versions = t->columns = 1;
}

static vde_status create(struct handle *h, struct model *m)
{
    char name[32];
    int index = find_table(m, false, 0);
    struct lh_create create = LH_CREATE_INIT;
    create.schema = "id BIGINT";
    create.format = index % 2 ? LH_FORMAT_ICEBERG : LH_FORMAT_DELTA;
    table_name((unsigned)index, name);
    start_table(&m->tables[index]);
    return lh_table_create(h->lakehouse, name, &create, NULL);
}

/* Add a file; on tables with several, take the first one away. */
static vde_status build_member(lh_txn *txn, struct model *m, unsigned index, const struct lh_member *member)
{
    struct table_model *t = &m->tables[index];
    char name[32], path[48];
    size_t at;
    table_name(index, name);
    VDE_TRY(lh_txn_table(txn, name, member, &at));
    if (member)
        start_table(t);
    uint64_t active = member ? 0 : t->active[t->versions - 1];
    if (active && (active & (active - 1))) {
        snprintf(path, sizeof path, "part-%d.parquet", __builtin_ctzll(active));
        VDE_TRY(lh_txn_remove_file(txn, at, path, false));
        active &= active - 1;
    }
    struct lh_add add = LH_ADD_INIT;
    snprintf(path, sizeof path, "part-%llu.parquet", (unsigned long long)m->next_file);
    add.path = path;
    add.size_bytes = 100 + (int64_t)m->next_file;
    add.modification_time_ms = 1;
    active |= 1ull << m->next_file++;
    if (!member)
        t->versions++;
    t->active[t->versions - 1] = active;
    return lh_txn_add_file(txn, at, &add);
}

static vde_status commit(struct handle *h, struct model *m, bool multi)
{
    lh_txn *txn;
    struct lh_commit_result *result = NULL;
    VDE_TRY(lh_txn_create(h->lakehouse, &txn));
    vde_status status = build_member(txn, m, (unsigned)find_table(m, true, 0), NULL);
    if (multi && status == VDE_OK)
        status = build_member(txn, m, (unsigned)find_table(m, true, 1), NULL);
    if (multi && status == VDE_OK) {
        struct lh_create create_new = LH_CREATE_INIT;
        struct lh_member member = LH_MEMBER_INIT;
        create_new.schema = "id BIGINT";
        member.create = &create_new;
        status = build_member(txn, m, (unsigned)find_table(m, false, 0), &member);
    }
    if (status == VDE_OK)
        status = lh_commit(txn, &result);
    if (status == VDE_OK && multi)
        memcpy(m->group, result->group, LH_UUID_TEXT);
    lh_free(result);
    lh_txn_destroy(txn);
    return status;
}

static vde_status evolve(struct handle *h, struct model *m)
{
    unsigned index = (unsigned)find_table(m, true, 0);
    struct table_model *t = &m->tables[index];
    char name[32], schema[200];
    struct lh_evolve change = LH_EVOLVE_INIT;
    table_name(index, name);
    schema_text(++t->columns, schema);
    change.schema = schema;
    t->active[t->versions] = t->active[t->versions - 1];
    t->versions++;
    return lh_table_evolve(h->lakehouse, name, &change, NULL);
}

struct bytes {
    uint8_t data[FILE_BYTES];
    size_t at;
};

static vde_status give(void *context, void *buffer, size_t size, size_t *ret_size)
{
    struct bytes *bytes = context;
    *ret_size = size < FILE_BYTES - bytes->at ? size : FILE_BYTES - bytes->at;
    memcpy(buffer, bytes->data + bytes->at, *ret_size);
    bytes->at += *ret_size;
    return VDE_OK;
}

static vde_status take(void *context, const void *data, size_t size)
{
    struct bytes *bytes = context;
    if (bytes->at + size > FILE_BYTES)
        return VDE_CORRUPT;
    memcpy(bytes->data + bytes->at, data, size);
    bytes->at += size;
    return VDE_OK;
}

static int free_stored(const struct model *m)
{
    for (int i = 0; i < STORED; i++)
        if (!m->stored[i].seed)
            return i;
    return -1;
}

static vde_status put_file(struct handle *h, struct model *m)
{
    int slot = free_stored(m);
    char name[32], path[32];
    struct bytes bytes = {.at = 0};
    m->stored[slot].table = (uint64_t)find_table(m, true, 0);
    m->stored[slot].seed = 1000 + m->next_file++;
    fill_bytes(bytes.data, FILE_BYTES, m->stored[slot].seed);
    table_name((unsigned)m->stored[slot].table, name);
    snprintf(path, sizeof path, "data/%llu", (unsigned long long)m->stored[slot].seed);
    return lh_file_put(h->lakehouse, name, path, 7, give, &bytes);
}

static vde_status drop(struct handle *h, struct model *m, unsigned step)
{
    unsigned index = (unsigned)find_table(m, true, 0);
    char name[32];
    table_name(index, name);
    memset(&m->tables[index], 0, sizeof m->tables[index]);
    for (unsigned i = 0; i < STORED; i++)
        if (m->stored[i].seed && m->stored[i].table == index)
            memset(&m->stored[i], 0, sizeof m->stored[i]);
    memset(m->group, 0, sizeof m->group);
    return lh_table_drop(h->lakehouse, name, step % 2 ? 0 : LH_DROP_PURGE);
}

static bool enabled(const void *model, unsigned kind)
{
    const struct model *m = model;
    int table = find_table(m, true, 0);
    bool room = table >= 0 && m->tables[table].versions < VERSIONS;
    switch (kind) {
    case CREATE: return find_table(m, false, 0) >= 0;
    case COMMIT: case EVOLVE: return room;
    case COMMIT_MULTI: return room && find_table(m, true, 1) >= 0 && find_table(m, false, 0) >= 0;
    case FILE_WRITE: return table >= 0 && free_stored(m) >= 0;
    case DROP: return table >= 0;
    default: return true;
    }
}

static vde_status apply(void **handle, struct vde_device *device, void *model, unsigned kind, unsigned step)
{
    struct handle *h = *handle;
    struct model *m = model;
    switch (kind) {
    case CREATE: return create(h, m);
    case COMMIT: return commit(h, m, false);
    case COMMIT_MULTI: return commit(h, m, true);
    case EVOLVE: return evolve(h, m);
    case FILE_WRITE: return put_file(h, m);
    case DROP: return drop(h, m, step);
    case CHECKPOINT: return vde_image_checkpoint(h->image);
    default: VDE_TRY(close_image(h)); return open_into(device, h);
    }
}

static vde_status setup(void *handle, void *model)
{
    struct handle *h = handle;
    struct model *m = model;
    memset(m, 0, sizeof *m);
    VDE_TRY(lh_namespace_create(h->lakehouse, "shop", NULL, 0));
    VDE_TRY(create(h, m));
    VDE_TRY(create(h, m));
    VDE_TRY(commit(h, m, false));
    VDE_TRY(put_file(h, m));
    VDE_TRY(vde_image_checkpoint(h->image));
    return commit(h, m, false);
}

/* --- comparison ---------------------------------------------------------------------------------------------------- */

static bool VDE_PRINTF(2, 3) differs(char why[EXPLORE_WHY], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, EXPLORE_WHY, format, args);
    va_end(args);
    return false;
}

static bool version_matches(struct handle *h, const struct table_model *t, unsigned index, uint64_t version,
                            char why[EXPLORE_WHY])
{
    char name[32], at[64];
    lh_snapshot *snapshot;
    table_name(index, name);
    snprintf(at, sizeof at, "%s@v%llu", name, (unsigned long long)version);
    if (lh_snapshot_open(h->lakehouse, at, &snapshot) != VDE_OK)
        return differs(why, "%s: %.200s", at, vde_last_error()->text);
    uint64_t active = 0, columns = lh_snapshot_info(snapshot)->column_count;
    bool last = version + 1 == t->versions;
    struct lh_file_info file;
    vde_status status;
    while ((status = lh_snapshot_next_file(snapshot, &file)) == VDE_OK) {
        unsigned number = 64;
        if (sscanf(file.path, "part-%u.parquet", &number) == 1 && number < 64)
            active |= 1ull << number;
    }
    lh_snapshot_close(snapshot);
    if (status != VDE_NOT_FOUND || active != t->active[version] || (last && columns != t->columns))
        return differs(why, "%s: %s, files %llx, %llu columns; expected files %llx, %llu columns", at,
                       vde_status_name(status), (unsigned long long)active, (unsigned long long)columns,
                       (unsigned long long)t->active[version], (unsigned long long)t->columns);
    return true;
}

static bool table_matches(struct handle *h, const struct table_model *t, unsigned index, char why[EXPLORE_WHY])
{
    char name[32];
    bool exists = false;
    uint64_t latest = 0;
    table_name(index, name);
    vde_status status = lh_table_exists(h->lakehouse, name, &exists);
    if (status != VDE_OK || exists != (t->exists != 0))
        return differs(why, "%s: %s, %s; expected %s", name, vde_status_name(status), exists ? "exists" : "is not there",
                       t->exists ? "it" : "none");
    if (!exists)
        return true;
    status = lh_latest_version(h->lakehouse, name, &latest);
    if (status != VDE_OK || latest + 1 != t->versions)
        return differs(why, "%s: %s, version %llu; expected %llu", name, vde_status_name(status),
                       (unsigned long long)latest, (unsigned long long)t->versions - 1);
    for (uint64_t v = 0; v < t->versions; v++)
        if (!version_matches(h, t, index, v, why))
            return false;
    return true;
}

static bool stored_matches(struct handle *h, const struct model *m, unsigned slot, char why[EXPLORE_WHY])
{
    char name[32], path[32];
    struct bytes bytes = {.at = 0};
    table_name((unsigned)m->stored[slot].table, name);
    snprintf(path, sizeof path, "data/%llu", (unsigned long long)m->stored[slot].seed);
    vde_status status = lh_file_get(h->lakehouse, name, path, take, &bytes, NULL);
    if (status != VDE_OK || bytes.at != FILE_BYTES || !bytes_equal_seed(bytes.data, FILE_BYTES, m->stored[slot].seed))
        return differs(why, "%s %s: %s, %zu bytes", name, path, vde_status_name(status), bytes.at);
    return true;
}

static bool group_matches(struct handle *h, const struct model *m, char why[EXPLORE_WHY])
{
    struct lh_commit_result *result = NULL;
    if (!m->group[0])
        return true;
    vde_status status = lh_group_lookup(h->lakehouse, m->group, &result);
    size_t count = status == VDE_OK ? result->count : 0;
    lh_free(result);
    return count == 3 || differs(why, "group %s: %s, %zu tables; expected 3", m->group, vde_status_name(status), count);
}

static bool matches(void *handle, const void *model, char why[EXPLORE_WHY])
{
    struct handle *h = handle;
    const struct model *m = model;
    uint64_t tables = 0;
    struct lh_stats stats;
    for (unsigned i = 0; i < TABLES; i++) {
        if (!table_matches(h, &m->tables[i], i, why))
            return false;
        tables += m->tables[i].exists;
    }
    for (unsigned i = 0; i < STORED; i++)
        if (m->stored[i].seed && !stored_matches(h, m, i, why))
            return false;
    if (lh_get_stats(h->lakehouse, &stats) != VDE_OK || stats.tables != tables)
        return differs(why, "statistics: %llu tables; expected %llu", (unsigned long long)stats.tables,
                       (unsigned long long)tables);
    return group_matches(h, m, why);
}

/* --- probes: namespaces -------------------------------------------------------------------------------------------- */

static vde_status probe(void *handle, unsigned number)
{
    struct handle *h = handle;
    char name[32];
    snprintf(name, sizeof name, "probe%u", number);
    return lh_namespace_create(h->lakehouse, name, NULL, 0);
}

static bool probed(void *handle, unsigned number)
{
    struct handle *h = handle;
    struct lh_namespace_info *info = NULL;
    char name[32];
    snprintf(name, sizeof name, "probe%u", number);
    bool found = lh_namespace_show(h->lakehouse, name, &info) == VDE_OK;
    lh_free(info);
    return found;
}

static const struct subject table_subject = {
    .name = "tables", .kinds = KINDS, .kind_names = kind_names, .model_size = sizeof(struct model),
    .image_bytes = VDE_IMAGE_MIN_BYTES, .open = open_tables, .close = close_tables, .setup = setup, .enabled = enabled,
    .apply = apply, .matches = matches, .probe = probe, .probed = probed,
};

int main(int argc, char **argv)
{
    struct explore_options options = EXPLORE_OPTIONS_INIT;
    options.least = 20000;
    explore_parse(argc, argv, &options);
    return explore(&table_subject, &options);
}
