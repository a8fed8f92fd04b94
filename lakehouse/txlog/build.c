/* SPDX-License-Identifier: Apache-2.0 */
/* build.c -- collecting what a transaction is to do. Actions are encoded as they come, so that committing only copies. */
#include <stdlib.h>

#include "state/fail.h"
#include "txlog/txn.h"

bool lh_hashes_add(struct lh_hashes *hashes, uint64_t hash)
{
    if (hashes->count == hashes->capacity) {
        size_t capacity = hashes->capacity ? hashes->capacity * 2 : 8;
        uint64_t *items = realloc(hashes->items, capacity * sizeof *items);
        if (!items)
            return false;
        hashes->items = items;
        hashes->capacity = capacity;
    }
    hashes->items[hashes->count++] = hash;
    return true;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

bool lh_hashes_sort(struct lh_hashes *hashes)
{
    if (hashes->count < 2)
        return false;
    qsort(hashes->items, hashes->count, sizeof *hashes->items, by_value);
    for (size_t i = 1; i < hashes->count; i++)
        if (hashes->items[i] == hashes->items[i - 1])
            return true;
    return false;
}

bool lh_hashes_has(const struct lh_hashes *sorted, uint64_t hash)
{
    return sorted->count && bsearch(&hash, sorted->items, sorted->count, sizeof hash, by_value) != NULL;
}

vde_status lh_txn_create(lh_lakehouse *lakehouse, lh_txn **ret_txn)
{
    if (!lakehouse || !ret_txn)
        return vde_error_set(VDE_INVAL, "lh_txn_create", "a NULL argument", "a lakehouse and a place for the result");
    lh_txn *txn = calloc(1, sizeof *txn);
    if (!txn)
        return lh_fail_nomem("transaction");
    txn->lakehouse = lakehouse;
    *ret_txn = txn;
    return VDE_OK;
}

void lh_member_release(struct lh_member_txn *member)
{
    lh_meta_unref(member->meta);
    lh_meta_unref(member->new_meta);
    member->meta = member->new_meta = NULL;
    lh_table_record_done(&member->new_record);
    member->head = NULL;
}

void lh_member_clear(struct lh_member_txn *member)
{
    lh_member_release(member);
    struct lh_member_txn old = *member;
    *member = (struct lh_member_txn){.read_version = LH_NO_VERSION, .expect_version = LH_NO_VERSION,
                                     .version = LH_NO_VERSION, .only_files = true};
    member->summary = (struct lh_record_summary)LH_RECORD_SUMMARY_INIT;
    member->actions = old.actions;
    member->first = old.first;
    member->resolved = old.resolved;
    member->record = old.record;
    member->tracked = old.tracked;
    member->holes = old.holes;
    member->hole_capacity = old.hole_capacity;
    lh_buffer_clear(&member->actions);
    struct lh_hashes *kept[] = {&old.added, &old.removed, &old.read_files, &old.given_removed, &old.resolved_removed,
                                &old.kept,  &old.newcomers};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        kept[i]->count = 0;
    member->added = old.added;
    member->removed = old.removed;
    member->read_files = old.read_files;
    member->given_removed = old.given_removed;
    member->resolved_removed = old.resolved_removed;
    member->kept = old.kept;
    member->newcomers = old.newcomers;
    member->removals = old.removals;
    member->removal_capacity = old.removal_capacity;
}

static void member_free(struct lh_member_txn *member)
{
    lh_member_release(member);
    lh_buffer_done(&member->actions);
    lh_buffer_done(&member->first);
    lh_buffer_done(&member->resolved);
    lh_buffer_done(&member->record);
    lh_buffer_done(&member->tracked);
    free(member->holes);
    free(member->added.items);
    free(member->removed.items);
    free(member->read_files.items);
    free(member->given_removed.items);
    free(member->resolved_removed.items);
    free(member->kept.items);
    free(member->newcomers.items);
    free(member->removals);
    free(member);
}

void lh_txn_reset(lh_txn *txn)
{
    for (size_t i = 0; i < txn->count; i++)
        lh_member_clear(txn->members[i]);
    txn->count = 0;
    txn->key = (struct lh_slice){NULL, 0};
    txn->isolation = LH_SERIALIZABLE;
    txn->isolation_given = false;
    txn->committed = false;
    vde_txn_destroy(txn->txn);
    txn->txn = NULL;
    lh_arena_reset(&txn->arena);
    lh_decoder_reset(&txn->decoder);
}

void lh_txn_destroy(lh_txn *txn)
{
    if (!txn)
        return;
    for (size_t i = 0; i < txn->used; i++)
        member_free(txn->members[i]);
    free(txn->members);
    vde_txn_destroy(txn->txn);
    lh_arena_done(&txn->arena);
    lh_decoder_done(&txn->decoder);
    free(txn);
}

void lh_txn_isolation(lh_txn *txn, enum lh_isolation isolation)
{
    txn->isolation = isolation;
    txn->isolation_given = true;
}

/* Copies end with a NUL that `size` does not count. */
vde_status lh_txn_text(struct lh_txn *txn, struct lh_slice text, struct lh_slice *ret_copy)
{
    char *copy = lh_arena_alloc(&txn->arena, text.size + 1, 1);
    if (!copy)
        return lh_fail_nomem("transaction");
    if (text.size)
        memcpy(copy, text.data, text.size);
    *ret_copy = (struct lh_slice){copy, text.size};
    return VDE_OK;
}

vde_status lh_txn_idempotency_key(lh_txn *txn, const char *key)
{
    size_t size = key ? strlen(key) : 0;
    if (size < 1 || size > 255)
        return lh_fail(LH_VALIDATION, "idempotency key|%zu bytes|1 to 255", size);
    return lh_txn_text(txn, lh_slice_of(key), &txn->key);
}

vde_status lh_txn_member_at(struct lh_txn *txn, size_t index, struct lh_member_txn **ret_member)
{
    if (!txn || index >= txn->count)
        return lh_fail(VDE_INVAL, "transaction|member %zu|one of %zu", index, txn ? txn->count : 0);
    *ret_member = txn->members[index];
    return VDE_OK;
}

static vde_status new_member(struct lh_txn *txn, struct lh_member_txn **ret_member)
{
    if (txn->count == txn->used) {
        if (txn->used == txn->capacity) {
            size_t capacity = txn->capacity ? txn->capacity * 2 : 4;
            struct lh_member_txn **members = realloc(txn->members, capacity * sizeof(struct lh_member_txn *));
            if (!members)
                return lh_fail_nomem("transaction");
            txn->members = members;
            txn->capacity = capacity;
        }
        struct lh_member_txn *member = calloc(1, sizeof *member);
        if (!member)
            return lh_fail_nomem("transaction");
        txn->members[txn->used++] = member;
        lh_member_clear(member);
    }
    *ret_member = txn->members[txn->count];
    return VDE_OK;
}

static vde_status copy_changes(struct lh_txn *txn, const struct lh_property *from, size_t count, struct lh_pair **pairs,
                               uint32_t *pair_count)
{
    struct lh_pair *all = lh_arena_alloc(&txn->arena, *pair_count + count + 1, sizeof *all);
    if (!all)
        return lh_fail_nomem("transaction");
    if (*pair_count)
        memcpy(all, *pairs, *pair_count * sizeof *all);
    for (size_t i = 0; i < count; i++) {
        struct lh_pair *pair = &all[*pair_count + i];
        if (!from[i].key || !from[i].key[0])
            return vde_error_set(LH_VALIDATION, "properties", "an empty key", "1 byte at least");
        LH_TRY(lh_txn_text(txn, lh_slice_of(from[i].key), &pair->key));
        pair->null = from[i].value == NULL;
        if (from[i].value)
            LH_TRY(lh_txn_text(txn, lh_slice_of(from[i].value), &pair->value));
    }
    *pairs = all;
    *pair_count += (uint32_t)count;
    return VDE_OK;
}

static vde_status take_partitioning(struct lh_txn *txn, struct lh_member_txn *member, const char *const *columns, size_t count)
{
    struct lh_list *list = &member->partition_columns;
    list->items = lh_arena_alloc(&txn->arena, count + 1, sizeof *list->items);
    if (!list->items)
        return lh_fail_nomem("transaction");
    for (size_t i = 0; i < count; i++)
        LH_TRY(lh_txn_text(txn, lh_slice_of(columns[i]), &list->items[i]));
    list->count = (uint32_t)count;
    return VDE_OK;
}

static vde_status take_create(struct lh_txn *txn, struct lh_member_txn *member, const struct lh_create *create)
{
    member->create = true;
    member->format = create->format;
    if (create->format != LH_FORMAT_DELTA && create->format != LH_FORMAT_ICEBERG)
        return lh_fail(LH_VALIDATION, "table %s|format %d|delta or iceberg", member->name.data, (int)create->format);
    LH_TRY(lh_txn_text(txn, lh_slice_of(create->schema), &member->schema));
    if (create->description)
        LH_TRY(lh_txn_text(txn, lh_slice_of(create->description), &member->description));
    LH_TRY(take_partitioning(txn, member, create->partition_columns, create->partition_count));
    return copy_changes(txn, create->properties, create->property_count, &member->changes, &member->change_count);
}

vde_status lh_txn_table(lh_txn *txn, const char *table, const struct lh_member *member, size_t *ret_member)
{
    if (!txn || !table || !ret_member)
        return vde_error_set(VDE_INVAL, "lh_txn_table", "a NULL argument", "none");
    struct lh_name name;
    LH_TRY(lh_fail_again(lh_name_split(lh_slice_of(table), &name), LH_NAME));
    for (size_t i = 0; i < txn->count; i++)
        if (lh_slice_is(txn->members[i]->name, table))
            return lh_fail(LH_VALIDATION, "transaction|table %s twice|each table once", table);
    struct lh_member_txn *m = NULL;
    LH_TRY(new_member(txn, &m));
    LH_TRY(lh_txn_text(txn, lh_slice_of(table), &m->name));
    if (member) {
        m->read_version = member->read_version;
        m->expect_version = member->expect_version;
        if (member->operation)
            LH_TRY(lh_txn_text(txn, lh_slice_of(member->operation), &m->operation));
        if (member->create)
            LH_TRY(take_create(txn, m, member->create));
    }
    *ret_member = txn->count++;
    return VDE_OK;
}

/* --- reads ------------------------------------------------------------------------------------------------------ */
vde_status lh_txn_read_all(lh_txn *txn, size_t member)
{
    struct lh_member_txn *m = NULL;
    LH_TRY(lh_txn_member_at(txn, member, &m));
    m->read_all = true;
    return VDE_OK;
}

vde_status lh_txn_read_file(lh_txn *txn, size_t member, const char *path)
{
    struct lh_member_txn *m = NULL;
    LH_TRY(lh_txn_member_at(txn, member, &m));
    return lh_hashes_add(&m->read_files, lh_hash(lh_slice_of(path))) ? VDE_OK : lh_fail_nomem("transaction");
}

vde_status lh_txn_read_app(lh_txn *txn, size_t member, const char *app_id)
{
    struct lh_member_txn *m = NULL;
    LH_TRY(lh_txn_member_at(txn, member, &m));
    if (!app_id || !app_id[0])
        return lh_fail(LH_VALIDATION, "reads of table %s|an empty application id|1 byte at least", m->name.data);
    struct lh_slice *all = lh_arena_alloc(&txn->arena, m->read_apps.count + 1, sizeof *all);
    if (!all)
        return lh_fail_nomem("transaction");
    if (m->read_apps.count)
        memcpy(all, m->read_apps.items, m->read_apps.count * sizeof *all);
    LH_TRY(lh_txn_text(txn, lh_slice_of(app_id), &all[m->read_apps.count]));
    m->read_apps.items = all;
    m->read_apps.count++;
    return VDE_OK;
}

vde_status lh_txn_read_partitions(lh_txn *txn, size_t member, const struct lh_read_column *columns, size_t count)
{
    struct lh_member_txn *m = NULL;
    LH_TRY(lh_txn_member_at(txn, member, &m));
    struct lh_predicate *all = lh_arena_alloc(&txn->arena, m->predicate_count + count + 1, sizeof *all);
    if (!all)
        return lh_fail_nomem("transaction");
    if (m->predicate_count)
        memcpy(all, m->predicates, m->predicate_count * sizeof *all);
    for (size_t i = 0; i < count; i++) {
        struct lh_predicate *p = &all[m->predicate_count + i];
        p->group = m->predicate_groups;
        p->count = (uint32_t)columns[i].value_count;
        p->values = lh_arena_alloc(&txn->arena, columns[i].value_count + 1, sizeof(struct lh_slice));
        if (!p->values)
            return lh_fail_nomem("transaction");
        LH_TRY(lh_txn_text(txn, lh_slice_of(columns[i].column), &p->column));
        for (size_t v = 0; v < columns[i].value_count; v++)
            if (columns[i].values[v])
                LH_TRY(lh_txn_text(txn, lh_slice_of(columns[i].values[v]), &p->values[v]));
    }
    m->predicates = all;
    m->predicate_count += (uint32_t)count;
    m->predicate_groups++;
    return VDE_OK;
}

/* --- the small setters ------------------------------------------------------------------------------------------ */
vde_status lh_txn_set_schema(lh_txn *txn, size_t member, const char *schema)
{
    struct lh_member_txn *m = NULL;
    LH_TRY(lh_txn_member_at(txn, member, &m));
    return lh_txn_text(txn, lh_slice_of(schema), &m->schema);
}

vde_status lh_txn_set_partitioning(lh_txn *txn, size_t member, const char *const *columns, size_t count)
{
    struct lh_member_txn *m = NULL;
    LH_TRY(lh_txn_member_at(txn, member, &m));
    if (m->has_metadata || m->create)
        return lh_fail(LH_VALIDATION, "commit to table %s|a partitioning beside a metaData action or in a new table|one of them",
                       m->name.data);
    m->new_partitioning = m->has_metadata = true;
    m->only_files = false;
    return take_partitioning(txn, m, columns, count);
}

vde_status lh_txn_allow_upgrade(lh_txn *txn, size_t member)
{
    struct lh_member_txn *m = NULL;
    LH_TRY(lh_txn_member_at(txn, member, &m));
    m->upgrade = true;
    return VDE_OK;
}

vde_status lh_txn_guarantee(lh_txn *txn, size_t member, const char *feature)
{
    struct lh_member_txn *m = NULL;
    LH_TRY(lh_txn_member_at(txn, member, &m));
    const struct lh_feature *known = lh_feature_find(lh_slice_of(feature));
    if (!known || !known->guaranteed)
        return lh_fail(LH_VALIDATION, "guarantees of table %s|%.100s|a feature that the data's writer guarantees",
                       m->name.data, feature ? feature : "null");
    struct lh_slice *items = lh_arena_alloc(&txn->arena, m->guarantees.count + 1, sizeof *items);
    if (!items)
        return lh_fail_nomem("transaction");
    if (m->guarantees.count)
        memcpy(items, m->guarantees.items, m->guarantees.count * sizeof *items);
    items[m->guarantees.count] = lh_slice_of(known->name);
    m->guarantees.items = items;
    m->guarantees.count++;
    return VDE_OK;
}

vde_status lh_txn_set_properties(lh_txn *txn, size_t member, const struct lh_property *changes, size_t count)
{
    struct lh_member_txn *m = NULL;
    LH_TRY(lh_txn_member_at(txn, member, &m));
    return copy_changes(txn, changes, count, &m->changes, &m->change_count);
}

vde_status lh_txn_commit_info(lh_txn *txn, size_t member, const char *user_metadata, const char *engine_info)
{
    struct lh_member_txn *m = NULL;
    LH_TRY(lh_txn_member_at(txn, member, &m));
    if (user_metadata)
        LH_TRY(lh_txn_text(txn, lh_slice_of(user_metadata), &m->user_metadata));
    if (engine_info)
        LH_TRY(lh_txn_text(txn, lh_slice_of(engine_info), &m->engine_info));
    return VDE_OK;
}
