/* SPDX-License-Identifier: Apache-2.0 */
/* ops.c -- create, evolve and drop tables; single-table forms of a transaction. */
#include <lakehouse/txn.h>

#include "state/fail.h"
#include "txlog/catalog.h"

vde_status lh_table_create(lh_lakehouse *lakehouse, const char *table, const struct lh_create *create,
                           struct lh_commit_result **ret_result)
{
    struct lh_create plain = LH_CREATE_INIT;
    struct lh_member member = LH_MEMBER_INIT;
    lh_txn *txn = NULL;
    size_t index;
    member.create = create ? create : &plain;
    LH_TRY(lh_txn_create(lakehouse, &txn));
    vde_status status = lh_txn_table(txn, table, &member, &index);
    if (status == VDE_OK)
        status = lh_commit(txn, ret_result);
    lh_txn_destroy(txn);
    return status;
}

static vde_status fill_evolve(lh_txn *txn, size_t member, const struct lh_evolve *evolve)
{
    if (evolve->schema)
        LH_TRY(lh_txn_set_schema(txn, member, evolve->schema));
    if (evolve->property_count)
        LH_TRY(lh_txn_set_properties(txn, member, evolve->properties, evolve->property_count));
    if (evolve->flags & LH_EVOLVE_PARTITIONING)
        LH_TRY(lh_txn_set_partitioning(txn, member, evolve->partition_columns, evolve->partition_count));
    if (evolve->flags & LH_EVOLVE_UPGRADE_PROTOCOL)
        LH_TRY(lh_txn_allow_upgrade(txn, member));
    return VDE_OK;
}

vde_status lh_table_evolve(lh_lakehouse *lakehouse, const char *table, const struct lh_evolve *evolve,
                           struct lh_commit_result **ret_result)
{
    struct lh_member member = LH_MEMBER_INIT;
    lh_txn *txn = NULL;
    size_t index;
    if (!evolve || (!evolve->schema && !evolve->property_count && !(evolve->flags & LH_EVOLVE_PARTITIONING)))
        return lh_fail(LH_VALIDATION, "table %s|no schema, properties or partitioning to change|one of them", table);
    member.expect_version = evolve->expect_version;
    LH_TRY(lh_txn_create(lakehouse, &txn));
    vde_status status = lh_txn_table(txn, table, &member, &index);
    if (status == VDE_OK)
        status = fill_evolve(txn, index, evolve);
    if (status == VDE_OK)
        status = lh_commit(txn, ret_result);
    lh_txn_destroy(txn);
    return status;
}

vde_status lh_table_exists(lh_lakehouse *lakehouse, const char *table, bool *ret_exists)
{
    struct lh_catalog catalog;
    uint64_t id;
    LH_TRY(lh_catalog_open(lakehouse, false, &catalog));
    vde_status status = lh_catalog_table(&catalog, lh_slice_of(table), &id, NULL);
    lh_catalog_close(&catalog);
    *ret_exists = status == VDE_OK;
    if (status == LH_TABLE_NOT_FOUND) {
        vde_error_clear();
        return VDE_OK;
    }
    return status;
}

vde_status lh_latest_version(lh_lakehouse *lakehouse, const char *table, uint64_t *ret_version)
{
    struct lh_catalog catalog;
    uint64_t id, first;
    LH_TRY(lh_catalog_open(lakehouse, false, &catalog));
    vde_status status = lh_catalog_table(&catalog, lh_slice_of(table), &id, NULL);
    if (status == VDE_OK)
        status = vde_stream_range(catalog.view, id, &first, ret_version);
    lh_catalog_close(&catalog);
    return status;
}

/* --- drop ------------------------------------------------------------------------------------------------------- */
static vde_status drop_locked(struct lh_head *head, vde_txn *txn, unsigned flags, struct vde_commit *commit)
{
    struct lh_lakehouse *lakehouse = head->lakehouse;
    struct lh_key key;
    struct lh_table_record record = head->record;
    lh_key_text(&key, 'T', record.name_space, lh_name_leaf(lh_slice_of(record.name)));
    LH_TRY(lh_catalog_put_number(lakehouse, txn, &key, NULL));
    /* Without a purge everything stays, to be found again by an undrop. */
    if (record.state && (flags & LH_DROP_PURGE)) {
        LH_TRY(vde_txn_dataset_drop(txn, record.state));
        LH_TRY(vde_txn_dataset_drop(txn, record.paths));
        record.state = record.paths = 0;
    }
    record.flags |= LH_TABLE_DROPPED;
    record.dropped_us = lh_now_us();
    LH_TRY(lh_catalog_put_record(lakehouse, txn, 't', &record));
    /* What a purge has yet to remove is noted in the same transaction, so that a crash leaves no orphans. */
    if (flags & LH_DROP_PURGE)
        LH_TRY(lh_catalog_put_record(lakehouse, txn, 'i', &record));
    vde_txn_frees_space(txn);
    LH_TRY(vde_txn_submit(txn, commit));
    head->dropped = true;
    head->drop_lsn = commit->lsn;
    return VDE_OK;
}

static vde_status drop_once(struct lh_lakehouse *lakehouse, struct lh_slice name, unsigned flags, uint64_t *ret_id,
                            uint64_t *ret_again)
{
    struct lh_head *head;
    vde_txn *txn = NULL;
    struct vde_commit commit = {0, 0};
    *ret_again = 0;
    LH_TRY(lh_head_find(lakehouse, name, &head));
    LH_TRY(vde_txn_create(lakehouse->image, &txn));
    lh_note_wait(lakehouse, lh_lock_take(&lakehouse->names));
    lh_head_lock(head);
    vde_status status = lh_head_load(head);
    if (status == VDE_OK && head->dropped)
        *ret_again = head->drop_lsn + 1;
    else if (status == VDE_OK)
        status = drop_locked(head, txn, flags, &commit);
    lh_head_unlock(head);
    lh_lock_drop(&lakehouse->names);
    vde_txn_destroy(txn);
    if (status == VDE_OK)
        lh_head_forget(lakehouse, head);
    *ret_id = head->id;
    if (status == VDE_OK && !*ret_again)
        status = vde_image_wait(lakehouse->image, commit.lsn);
    return status;
}

vde_status lh_table_drop(lh_lakehouse *lakehouse, const char *table, unsigned flags)
{
    uint64_t id = 0, again;
    LH_TRY(lh_writable(lakehouse));
    do {
        /* Another drop came first: once it is durable, the name tells what is there now. */
        LH_TRY(drop_once(lakehouse, lh_slice_of(table), flags, &id, &again));
        if (again > 1)
            LH_TRY(vde_image_wait(lakehouse->image, again - 1));
    } while (again);
    return flags & LH_DROP_PURGE ? lh_import_clean(lakehouse, id) : VDE_OK;
}
