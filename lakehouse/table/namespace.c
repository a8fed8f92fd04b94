/* SPDX-License-Identifier: Apache-2.0 */
/* namespace.c -- namespaces: their records hold full name, parent, time of creation and properties. */
#include <lakehouse/namespace.h>

#include <stdlib.h>

#include "state/fail.h"
#include "txlog/change.h"
#include "txlog/pack.h"

struct record {
    uint64_t parent;
    uint64_t created_us;
    struct lh_slice name;
    struct lh_map properties;
    struct lh_arena arena;
    struct vde_bytes bytes;
};

static void record_done(struct record *r)
{
    lh_arena_done(&r->arena);
    vde_bytes_free(&r->bytes);
}

static vde_status record_read(struct lh_catalog *catalog, uint64_t id, struct record *r)
{
    struct lh_key key;
    lh_key_number(&key, 'n', id);
    LH_TRY(lh_catalog_get(catalog, &key, &r->bytes));
    struct lh_reader reader = {r->bytes.data, r->bytes.size, 0, false};
    uint64_t layout = lh_reader_varint(&reader);
    r->parent = lh_reader_varint(&reader);
    r->created_us = lh_reader_varint(&reader);
    r->name = lh_reader_sized(&reader);
    uint64_t count = lh_reader_varint(&reader);
    if (reader.failed || layout != 1 || count > reader.size)
        return lh_fail(VDE_CORRUPT, "record of namespace %llu|layout %llu, %zu bytes|a namespace record",
                       (unsigned long long)id, (unsigned long long)layout, reader.size);
    r->properties.pairs = lh_arena_alloc(&r->arena, (size_t)count + 1, sizeof *r->properties.pairs);
    if (!r->properties.pairs)
        return lh_fail_nomem("namespace");
    for (uint64_t i = 0; i < count; i++) {
        r->properties.pairs[i].key = lh_reader_sized(&reader);
        r->properties.pairs[i].value = lh_reader_sized(&reader);
    }
    r->properties.count = (uint32_t)count;
    return reader.failed ? lh_fail(VDE_CORRUPT, "record of namespace %llu|one that ends early|a whole one",
                                   (unsigned long long)id) : VDE_OK;
}

static vde_status record_put(struct lh_lakehouse *lakehouse, vde_txn *txn, uint64_t id, const struct record *r)
{
    struct lh_key key;
    struct lh_buffer value = LH_BUFFER_INIT;
    lh_buffer_varint(&value, 1);
    lh_buffer_varint(&value, r->parent);
    lh_buffer_varint(&value, r->created_us);
    lh_buffer_sized(&value, r->name);
    lh_buffer_varint(&value, r->properties.count);
    for (uint32_t i = 0; i < r->properties.count; i++) {
        lh_buffer_sized(&value, r->properties.pairs[i].key);
        lh_buffer_sized(&value, r->properties.pairs[i].value);
    }
    lh_key_number(&key, 'n', id);
    vde_status status = lh_buffer_status(&value);
    if (status == VDE_OK)
        status = vde_txn_put(txn, lakehouse->catalog, key.data, key.size, value.data, value.size);
    lh_buffer_done(&value);
    return status;
}

static bool after(struct lh_slice a, struct lh_slice b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    return order > 0 || (order == 0 && a.size > b.size);
}

/* Apply changes: sorted by key, the last change of a key wins. */
static vde_status change(struct record *r, const struct lh_property *changes, size_t count)
{
    struct lh_pair *pairs = lh_arena_alloc(&r->arena, r->properties.count + count + 1, sizeof *pairs);
    if (!pairs)
        return lh_fail_nomem("namespace");
    uint32_t used = r->properties.count;
    if (used)
        memcpy(pairs, r->properties.pairs, used * sizeof *pairs);
    for (size_t i = 0; i < count; i++) {
        if (!changes[i].key || !changes[i].key[0])
            return vde_error_set(LH_VALIDATION, "properties", "an empty key", "1 byte at least");
        struct lh_slice key = lh_slice_of(changes[i].key);
        uint32_t at = 0;
        while (at < used && !lh_slice_equal(pairs[at].key, key))
            at++;
        if (!changes[i].value) {
            if (at < used)
                memmove(&pairs[at], &pairs[at + 1], (--used - at) * sizeof *pairs);
        } else {
            pairs[at] = (struct lh_pair){key, lh_slice_of(changes[i].value), false};
            used += at == used;
        }
    }
    for (uint32_t i = 1; i < used; i++)
        for (uint32_t j = i; j && after(pairs[j - 1].key, pairs[j].key); j--) {
            struct lh_pair swap = pairs[j];
            pairs[j] = pairs[j - 1];
            pairs[j - 1] = swap;
        }
    r->properties = (struct lh_map){pairs, used};
    return VDE_OK;
}

/* --- changes ---------------------------------------------------------------------------------------------------- */
static vde_status create(struct lh_change_txn *c, const char *name, const struct lh_property *properties, size_t count)
{
    struct lh_slice full = lh_slice_of(name);
    struct record record = {.created_us = lh_now_us(), .name = full};
    struct lh_key key;
    uint64_t id = 1;
    LH_TRY(lh_catalog_namespace(&c->catalog, lh_name_parent(full), &record.parent));
    lh_key_text(&key, 'T', record.parent, lh_name_leaf(full));
    vde_status status = lh_catalog_number(&c->catalog, &key, &id);
    if (status == VDE_OK)
        return lh_fail(LH_TABLE_EXISTS, "namespace %s|a table of that name|none", name);
    lh_key_text(&key, 'N', record.parent, lh_name_leaf(full));
    if (status == VDE_NOT_FOUND)
        status = lh_catalog_number(&c->catalog, &key, &id);
    if (status == VDE_OK)
        return lh_fail(LH_NAMESPACE_EXISTS, "namespace %s|one of that name|none", name);
    if (status != VDE_NOT_FOUND)
        return status;
    struct lh_key counter = {.data = {'c'}, .size = 1};
    status = lh_catalog_number(&c->catalog, &counter, &id);
    if (status == VDE_NOT_FOUND)
        id = 1;
    else
        LH_TRY(status);
    uint64_t next = id + 1;
    LH_TRY(lh_catalog_put_number(c->lakehouse, c->txn, &counter, &next));
    LH_TRY(lh_catalog_put_number(c->lakehouse, c->txn, &key, &id));
    status = change(&record, properties, count);
    if (status == VDE_OK)
        status = record_put(c->lakehouse, c->txn, id, &record);
    lh_arena_done(&record.arena);
    return status;
}

vde_status lh_namespace_create(lh_lakehouse *lakehouse, const char *name, const struct lh_property *properties,
                               size_t count)
{
    struct lh_name parts;
    struct lh_change_txn c;
    LH_TRY(lh_fail_again(lh_name_split(lh_slice_of(name), &parts), LH_NAME));
    LH_TRY(lh_change_begin(lakehouse, &c));
    return lh_change_end(&c, create(&c, name, properties, count));
}

static vde_status set(struct lh_change_txn *c, const char *name, const struct lh_property *changes, size_t count)
{
    uint64_t id;
    struct record record = {0};
    LH_TRY(lh_catalog_namespace(&c->catalog, lh_slice_of(name), &id));
    vde_status status = record_read(&c->catalog, id, &record);
    if (status == VDE_OK)
        status = change(&record, changes, count);
    if (status == VDE_OK)
        status = record_put(c->lakehouse, c->txn, id, &record);
    record_done(&record);
    return status;
}

vde_status lh_namespace_set(lh_lakehouse *lakehouse, const char *name, const struct lh_property *changes, size_t count)
{
    struct lh_name parts;
    struct lh_change_txn c;
    LH_TRY(lh_fail_again(lh_name_split(lh_slice_of(name), &parts), LH_NAME));
    LH_TRY(lh_change_begin(lakehouse, &c));
    return lh_change_end(&c, set(&c, name, changes, count));
}

static vde_status count_one(void *context, struct lh_slice rest, const void *value, size_t size)
{
    (void)rest;
    (void)value;
    (void)size;
    ++*(uint64_t *)context;
    return VDE_OK;
}

static vde_status drop(struct lh_change_txn *c, const char *name)
{
    uint64_t id, parent, namespaces = 0, tables = 0;
    struct lh_key key;
    LH_TRY(lh_catalog_namespace(&c->catalog, lh_slice_of(name), &id));
    LH_TRY(lh_catalog_namespace(&c->catalog, lh_name_parent(lh_slice_of(name)), &parent));
    LH_TRY(lh_catalog_walk(&c->catalog, 'N', &id, count_one, &namespaces));
    LH_TRY(lh_catalog_walk(&c->catalog, 'T', &id, count_one, &tables));
    if (namespaces || tables)
        return lh_fail(LH_NAMESPACE_NOT_EMPTY, "namespace %s|%llu namespaces and %llu tables in it|none", name,
                       (unsigned long long)namespaces, (unsigned long long)tables);
    lh_key_text(&key, 'N', parent, lh_name_leaf(lh_slice_of(name)));
    LH_TRY(vde_txn_delete(c->txn, c->lakehouse->catalog, key.data, key.size));
    lh_key_number(&key, 'n', id);
    vde_txn_frees_space(c->txn);
    return vde_txn_delete(c->txn, c->lakehouse->catalog, key.data, key.size);
}

vde_status lh_namespace_drop(lh_lakehouse *lakehouse, const char *name)
{
    struct lh_name parts;
    struct lh_change_txn c;
    LH_TRY(lh_fail_again(lh_name_split(lh_slice_of(name), &parts), LH_NAME));
    LH_TRY(lh_change_begin(lakehouse, &c));
    return lh_change_end(&c, drop(&c, name));
}

/* --- reading ---------------------------------------------------------------------------------------------------- */
static vde_status show(struct lh_catalog *catalog, const char *name, struct lh_namespace_info **ret_info)
{
    uint64_t id, namespaces = 0, tables = 0;
    struct record record = {0};
    LH_TRY(lh_catalog_namespace(catalog, lh_slice_of(name), &id));
    LH_TRY(lh_catalog_walk(catalog, 'N', &id, count_one, &namespaces));
    LH_TRY(lh_catalog_walk(catalog, 'T', &id, count_one, &tables));
    vde_status status = record_read(catalog, id, &record);
    struct lh_pack pack = LH_PACK_INIT;
    while (status == VDE_OK && lh_pack_pass(&pack)) {
        struct lh_namespace_info *info = lh_pack_alloc(&pack, 1, sizeof *info);
        struct lh_property *all = lh_pack_alloc(&pack, record.properties.count, sizeof *all);
        const char *full = lh_pack_text(&pack, record.name);
        if (info)
            *info = (struct lh_namespace_info){id, full, record.created_us, namespaces, tables, record.properties.count, all};
        for (uint32_t i = 0; i < record.properties.count; i++) {
            const char *key = lh_pack_text(&pack, record.properties.pairs[i].key);
            const char *value = lh_pack_text(&pack, record.properties.pairs[i].value);
            if (info)
                all[i] = (struct lh_property){key, value};
        }
    }
    if (status == VDE_OK)
        status = lh_pack_done(&pack, (void **)ret_info);
    record_done(&record);
    return status;
}

vde_status lh_namespace_show(lh_lakehouse *lakehouse, const char *name, struct lh_namespace_info **ret_info)
{
    struct lh_catalog catalog;
    struct lh_name parts;
    LH_TRY(lh_fail_again(lh_name_split(lh_slice_of(name), &parts), LH_NAME));
    LH_TRY(lh_catalog_open(lakehouse, false, &catalog));
    vde_status status = show(&catalog, name, ret_info);
    lh_catalog_close(&catalog);
    return status;
}
