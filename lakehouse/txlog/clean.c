/* SPDX-License-Identifier: Apache-2.0 */
/* clean.c -- remove what belongs to a table that has no name: of an import that did not end, or of a purged table. Each
 * step is a transaction of its own, the note in the catalog goes with the last; so it can be taken up again. */
#include "state/fail.h"
#include "txlog/files.h"

#define BATCH 64u

/* Remove up to BATCH files; *ret_more: there may be others. */
static vde_status remove_files(struct lh_lakehouse *lakehouse, vde_view *view, uint64_t table, vde_txn *txn, bool *ret_more)
{
    struct lh_key from;
    vde_kv *kv = NULL;
    vde_cursor *cursor = NULL;
    unsigned count = 0;
    lh_file_name_key(&from, table, (struct lh_slice){NULL, 0});
    LH_TRY(vde_kv_open(view, lakehouse->files, &kv));
    vde_status status = vde_cursor_open(kv, from.data, from.size, &cursor);
    while (status == VDE_OK && count < BATCH) {
        const void *key, *value;
        size_t key_size, value_size;
        struct lh_file_record record;
        status = vde_cursor_get(cursor, &key, &key_size, &value, &value_size);
        if (status != VDE_OK || key_size < from.size || memcmp(key, from.data, from.size) != 0)
            break;
        status = lh_file_record_decode(value, value_size, &record);
        if (status == VDE_OK)
            status = vde_txn_file_remove(txn, record.file);
        if (status == VDE_OK)
            status = vde_txn_delete(txn, lakehouse->files, key, key_size);
        if (status == VDE_OK)
            status = vde_cursor_next(cursor);
        count++;
    }
    if (cursor)
        vde_cursor_close(cursor);
    vde_kv_close(kv);
    *ret_more = count == BATCH;
    return status == VDE_NOT_FOUND ? VDE_OK : status;
}

struct sweep {
    struct lh_lakehouse *lakehouse;
    vde_txn *txn;
    uint64_t table;
    char letter;
    unsigned count;
};

static vde_status remove_name(void *context, struct lh_slice rest, const void *value, size_t size)
{
    struct sweep *sweep = context;
    struct lh_key key;
    (void)value;
    (void)size;
    if (sweep->count == BATCH)
        return VDE_OK;
    sweep->count++;
    lh_key_number(&key, sweep->letter, sweep->table);
    if (rest.size > sizeof key.data - key.size)
        return lh_fail(VDE_CORRUPT, "catalog of tables|a key of %zu bytes|a shorter one", rest.size);
    if (rest.size)
        memcpy(key.data + key.size, rest.data, rest.size);
    return vde_txn_delete(sweep->txn, sweep->lakehouse->catalog, key.data, key.size + rest.size);
}

/* Remove up to BATCH of what the catalog holds of the table under names: its tags, or its removed files. */
static vde_status remove_names(struct lh_catalog *catalog, char letter, uint64_t table, vde_txn *txn, bool *ret_more)
{
    struct sweep sweep = {catalog->lakehouse, txn, table, letter, 0};
    LH_TRY(lh_catalog_walk(catalog, letter, &table, remove_name, &sweep));
    *ret_more |= sweep.count == BATCH;
    return VDE_OK;
}

static vde_status remove_rest(struct lh_catalog *catalog, uint64_t table, vde_txn *txn)
{
    struct lh_lakehouse *lakehouse = catalog->lakehouse;
    uint64_t first, last;
    struct lh_key key;
    struct lh_table_record record;
    vde_status status = vde_stream_range(catalog->view, table, &first, &last);
    if (status == VDE_OK)
        status = vde_txn_stream_drop(txn, table);
    if (status != VDE_OK && status != VDE_NOT_FOUND)
        return status;
    status = lh_catalog_record(catalog, table, &record);
    if (status == VDE_OK) {
        bool dropped = (record.flags & LH_TABLE_DROPPED) != 0;
        lh_table_record_done(&record);
        if (!dropped)
            return lh_fail(VDE_CORRUPT, "catalog of tables|table %llu noted as unfinished, but in use|one of them",
                           (unsigned long long)table);
        lh_key_number(&key, 't', table);
        LH_TRY(vde_txn_delete(txn, lakehouse->catalog, key.data, key.size));
    } else if (status != LH_TABLE_NOT_FOUND) {
        return status;
    }
    lh_key_number(&key, 'i', table);
    return vde_txn_delete(txn, lakehouse->catalog, key.data, key.size);
}

static vde_status clean_step(struct lh_lakehouse *lakehouse, uint64_t table, bool *ret_more)
{
    struct lh_catalog catalog;
    vde_txn *txn = NULL;
    struct vde_commit commit;
    *ret_more = false;
    LH_TRY(lh_catalog_open(lakehouse, false, &catalog));
    vde_status status = vde_txn_create(lakehouse->image, &txn);
    if (status == VDE_OK)
        status = remove_files(lakehouse, catalog.view, table, txn, ret_more);
    if (status == VDE_OK)
        status = remove_names(&catalog, 'g', table, txn, ret_more);
    if (status == VDE_OK)
        status = remove_names(&catalog, 'x', table, txn, ret_more);
    if (status == VDE_OK && !*ret_more)
        status = remove_rest(&catalog, table, txn);
    lh_catalog_close(&catalog);
    if (status == VDE_OK) {
        vde_txn_frees_space(txn);
        status = vde_txn_commit(txn, &commit);
    }
    vde_txn_destroy(txn);
    return status;
}

vde_status lh_import_clean(struct lh_lakehouse *lakehouse, uint64_t table)
{
    bool more = true;
    while (more)
        LH_TRY(clean_step(lakehouse, table, &more));
    return VDE_OK;
}
