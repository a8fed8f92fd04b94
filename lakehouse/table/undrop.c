/* SPDX-License-Identifier: Apache-2.0 */
/* undrop.c -- tables that were dropped without a purge: their records stay in the catalog, marked; only the name is gone. */
#include <stdlib.h>

#include <lakehouse/table.h>

#include "state/fail.h"
#include "txlog/change.h"
#include "txlog/pack.h"

/* Calls `each` with every dropped table that no purge works on. */
struct visit {
    struct lh_catalog *catalog;
    vde_status (*each)(struct visit *visit, const struct lh_table_record *record);
    /* of the callers */
    struct lh_slice name;
    struct lh_table_record found; /* id 0: none */
    struct lh_buffer rows;
    size_t count;
};

static vde_status visit_record(void *context, struct lh_slice rest, const void *value, size_t size)
{
    struct visit *visit = context;
    struct lh_table_record record;
    struct lh_key key;
    struct vde_bytes note = {NULL, 0};
    if (rest.size != 8)
        return lh_fail(VDE_CORRUPT, "catalog of tables|a key of %zu bytes|9", rest.size + 1);
    LH_TRY(lh_table_record_decode(lh_be64_get((const uint8_t *)rest.data), value, size, &record));
    vde_status status = VDE_OK;
    if (record.flags & LH_TABLE_DROPPED) {
        lh_key_number(&key, 'i', record.id);
        status = lh_catalog_get(visit->catalog, &key, &note);
        vde_bytes_free(&note);
        if (status == VDE_NOT_FOUND)
            status = visit->each(visit, &record);
    }
    lh_table_record_done(&record);
    return status;
}

static vde_status visit_all(struct visit *visit)
{
    return lh_catalog_walk(visit->catalog, 't', NULL, visit_record, visit);
}

/* --- bringing back ---------------------------------------------------------------------------------------------- */
static vde_status keep_last(struct visit *visit, const struct lh_table_record *record)
{
    if (!lh_slice_is(visit->name, record->name) || (visit->found.id && visit->found.dropped_us > record->dropped_us))
        return VDE_OK;
    struct lh_table_record copy;
    LH_TRY(lh_table_record_copy(record, &copy));
    lh_table_record_done(&visit->found);
    visit->found = copy;
    return VDE_OK;
}

static vde_status give_name(struct lh_change_txn *change, struct lh_table_record *record, const char *name)
{
    struct lh_key key;
    LH_TRY(lh_catalog_name_free(&change->catalog, lh_slice_of(name), &record->name_space));
    char *copy = strdup(name);
    if (!copy)
        return lh_fail_nomem("table record");
    free(record->name);
    record->name = copy;
    record->flags &= ~LH_TABLE_DROPPED;
    record->dropped_us = 0;
    lh_key_text(&key, 'T', record->name_space, lh_name_leaf(lh_slice_of(name)));
    LH_TRY(lh_catalog_put_number(change->lakehouse, change->txn, &key, &record->id));
    return lh_catalog_put_record(change->lakehouse, change->txn, 't', record);
}

static vde_status prepare(struct lh_change_txn *change, const char *table, const char *name, struct lh_head **ret_head)
{
    struct visit visit = {.catalog = &change->catalog, .each = keep_last, .name = lh_slice_of(table)};
    vde_status status = visit_all(&visit);
    if (status == VDE_OK && !visit.found.id)
        status = lh_fail(LH_TABLE_NOT_FOUND, "table %s|none of that name was dropped, or it was purged|a dropped table", table);
    if (status == VDE_OK)
        status = give_name(change, &visit.found, name);
    if (status == VDE_OK) {
        *ret_head = lh_head_get(change->lakehouse, visit.found.id);
        if (!*ret_head)
            status = lh_fail_nomem("table head");
    }
    lh_table_record_done(&visit.found);
    return status;
}

vde_status lh_table_undrop(lh_lakehouse *lakehouse, const char *table, const char *name)
{
    struct lh_name parts;
    struct lh_change_txn change;
    struct lh_head *head = NULL;
    const char *as = name ? name : table;
    LH_TRY(lh_fail_again(lh_name_split(lh_slice_of(table), &parts), LH_NAME));
    LH_TRY(lh_fail_again(lh_name_split(lh_slice_of(as), &parts), LH_NAME));
    LH_TRY(lh_change_begin(lakehouse, &change));
    vde_status status = prepare(&change, table, as, &head);
    /* Held until the name is durable: who finds the head by it then finds it alive. */
    if (status == VDE_OK)
        lh_head_lock(head);
    vde_status outcome = lh_change_end(&change, status);
    if (status == VDE_OK) {
        if (outcome == VDE_OK)
            lh_head_revive(head);
        lh_head_unlock(head);
    }
    return outcome;
}

/* --- listing ---------------------------------------------------------------------------------------------------- */
static vde_status take_row(struct visit *visit, const struct lh_table_record *record)
{
    uint64_t first, last;
    vde_status status = vde_stream_range(visit->catalog->view, record->id, &first, &last);
    if (status == VDE_NOT_FOUND)
        return VDE_OK;
    LH_TRY(status);
    lh_buffer_varint(&visit->rows, record->id);
    lh_buffer_sized(&visit->rows, lh_slice_of(record->name));
    lh_buffer_varint(&visit->rows, record->dropped_us);
    lh_buffer_varint(&visit->rows, last);
    visit->count++;
    return lh_buffer_status(&visit->rows);
}

static vde_status pack_rows(const struct visit *visit, struct lh_dropped_tables **ret_tables)
{
    struct lh_pack pack = LH_PACK_INIT;
    while (lh_pack_pass(&pack)) {
        struct lh_dropped_tables *all = lh_pack_alloc(&pack, 1, sizeof *all);
        struct lh_dropped_table *tables = lh_pack_alloc(&pack, visit->count, sizeof *tables);
        struct lh_reader reader = {(const uint8_t *)visit->rows.data, visit->rows.size, 0, false};
        for (size_t i = 0; i < visit->count; i++) {
            struct lh_dropped_table table = {.id = lh_reader_varint(&reader)};
            table.name = lh_pack_text(&pack, lh_reader_sized(&reader));
            table.dropped_us = lh_reader_varint(&reader);
            table.latest_version = lh_reader_varint(&reader);
            if (all)
                tables[i] = table;
        }
        if (all)
            *all = (struct lh_dropped_tables){visit->count, tables};
    }
    return lh_pack_done(&pack, (void **)ret_tables);
}

vde_status lh_table_list_dropped(lh_lakehouse *lakehouse, struct lh_dropped_tables **ret_tables)
{
    struct lh_catalog catalog;
    LH_TRY(lh_catalog_open(lakehouse, false, &catalog));
    struct visit visit = {.catalog = &catalog, .each = take_row};
    vde_status status = visit_all(&visit);
    lh_catalog_close(&catalog);
    if (status == VDE_OK)
        status = pack_rows(&visit, ret_tables);
    lh_buffer_done(&visit.rows);
    return status;
}
