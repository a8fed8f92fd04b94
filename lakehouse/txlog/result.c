/* SPDX-License-Identifier: Apache-2.0 */
/* result.c -- what a commit made of its tables, for the caller: one allocation. */
#include <stdlib.h>

#include "state/fail.h"
#include "txlog/pack.h"
#include "txlog/txn.h"

static void pack_table(struct lh_pack *pack, const struct lh_lakehouse *lakehouse, struct lh_committed *table,
                       struct lh_slice name)
{
    struct lh_buffer uri = LH_BUFFER_INIT;
    table->table = lh_pack_text(pack, name);
    if (pack->base && name.size)
        lh_uri(lakehouse, table->table, &uri);
    if (!pack->base && name.size) {
        lh_buffer_text(&uri, "vde:///");
        lh_buffer_text(&uri, lakehouse->uuid);
        lh_buffer_slice(&uri, name);
    }
    table->uri = lh_pack_text(pack, (struct lh_slice){uri.data, uri.size});
    lh_buffer_done(&uri);
}

vde_status lh_txn_result(const struct lh_txn *txn, struct lh_commit_result **ret_result)
{
    struct lh_pack pack = LH_PACK_INIT;
    while (lh_pack_pass(&pack)) {
        struct lh_commit_result *r = lh_pack_alloc(&pack, 1, sizeof *r);
        struct lh_committed *tables = lh_pack_alloc(&pack, txn->count, sizeof *tables);
        struct lh_committed scratch;
        for (size_t i = 0; i < txn->count; i++) {
            const struct lh_member_txn *m = txn->members[i];
            struct lh_committed *table = r ? &tables[i] : &scratch;
            pack_table(&pack, txn->lakehouse, table, m->name);
            table->table_id = m->head->id;
            table->version = m->version;
            table->snapshot_id = m->snapshot_id && m->version != LH_NO_VERSION ? (int64_t)m->snapshot_id : LH_UNKNOWN;
            if (m->version != LH_NO_VERSION)
                lh_uuid_text(m->commit_id, table->commit_id);
            else
                table->commit_id[0] = '\0';
        }
        if (r) {
            static const uint8_t none[16];
            if (memcmp(txn->group, none, 16) != 0)
                lh_uuid_text(txn->group, r->group);
            r->time_us = txn->commit.time_us;
            r->lsn = txn->commit.lsn;
            r->count = txn->count;
            r->tables = tables;
        }
    }
    return lh_pack_done(&pack, (void **)ret_result);
}

/* --- by group id ------------------------------------------------------------------------------------------------ */
struct found {
    struct lh_committed table;
    char *name;
};

static vde_status read_member(struct lh_catalog *catalog, uint64_t id, uint64_t version, const uint8_t group[16],
                              struct found *found, struct vde_commit *commit)
{
    struct lh_table_record record;
    vde_status status = lh_catalog_record(catalog, id, &record);
    if (status == VDE_OK) {
        found->name = record.name;
        record.name = NULL;
        lh_table_record_done(&record);
    } else if (status != LH_TABLE_NOT_FOUND) {
        return status;
    }
    found->table.table_id = id;
    found->table.version = version;
    found->table.snapshot_id = LH_UNKNOWN;
    if (version == LH_NO_VERSION)
        return VDE_OK;
    vde_stream_cursor *cursor = NULL;
    struct vde_entry entry;
    struct lh_record r;
    status = vde_stream_open(catalog->view, id, version, &cursor);
    if (status == VDE_NOT_FOUND)
        return VDE_OK;
    LH_TRY(status);
    status = vde_stream_next(cursor, &entry);
    if (status == VDE_OK && entry.number == version) {
        status = lh_record_decode(entry.data, entry.size, "transaction group", &r);
        if (status == VDE_OK && memcmp(r.group, group, 16) == 0) {
            lh_uuid_text(r.commit_id, found->table.commit_id);
            if (r.snapshot_id && r.snapshot_id != r.parent_snapshot_id)
                found->table.snapshot_id = (int64_t)r.snapshot_id;
            *commit = (struct vde_commit){entry.lsn, entry.time_us};
        }
    }
    vde_stream_close(cursor);
    return status == VDE_NOT_FOUND ? VDE_OK : status;
}

static vde_status pack_found(struct lh_lakehouse *lakehouse, const uint8_t group[16], const struct found *found,
                             size_t count, struct vde_commit commit, struct lh_commit_result **ret_result)
{
    struct lh_pack pack = LH_PACK_INIT;
    while (lh_pack_pass(&pack)) {
        struct lh_commit_result *r = lh_pack_alloc(&pack, 1, sizeof *r);
        struct lh_committed *tables = lh_pack_alloc(&pack, count, sizeof *tables);
        struct lh_committed scratch;
        for (size_t i = 0; i < count; i++) {
            struct lh_committed *table = r ? &tables[i] : &scratch;
            *table = found[i].table;
            pack_table(&pack, lakehouse, table, lh_slice_of(found[i].name ? found[i].name : ""));
        }
        if (r) {
            lh_uuid_text(group, r->group);
            r->time_us = commit.time_us;
            r->lsn = commit.lsn;
            r->already_applied = true;
            r->count = count;
            r->tables = tables;
        }
    }
    return lh_pack_done(&pack, (void **)ret_result);
}

static vde_status group_missing(const uint8_t group[16])
{
    char text[LH_UUID_TEXT];
    lh_uuid_text(group, text);
    return lh_fail(LH_GROUP_NOT_FOUND, "transaction group %s|no commit with that id|one", text);
}

/* The members as the group's head lists them; a single table's commit lists none. */
static vde_status read_group(struct lh_catalog *catalog, const uint8_t group[16], struct lh_commit_result **ret_result)
{
    uint64_t table, version;
    lh_group_place(group, &table, &version);
    vde_stream_cursor *cursor = NULL;
    struct vde_entry entry;
    vde_status status = vde_stream_open(catalog->view, table, version, &cursor);
    if (status == VDE_NOT_FOUND)
        return group_missing(group);
    LH_TRY(status);
    struct lh_record record;
    status = vde_stream_next(cursor, &entry);
    if (status == VDE_OK && entry.number == version)
        status = lh_record_decode(entry.data, entry.size, "transaction group", &record);
    if (status == VDE_NOT_FOUND || (status == VDE_OK && (entry.number != version || memcmp(record.group, group, 16) != 0)))
        status = group_missing(group);
    struct found *found = NULL;
    size_t count = 0;
    struct vde_commit commit = {0, 0};
    if (status == VDE_OK) {
        count = record.member_count ? record.member_count : 1;
        found = calloc(count, sizeof *found);
        status = found ? VDE_OK : lh_fail_nomem("transaction group");
        for (size_t i = 0; i < count && status == VDE_OK; i++) {
            if (record.member_count)
                lh_record_member(&record, (uint32_t)i, &table, &version);
            status = read_member(catalog, table, version, group, &found[i], &commit);
        }
    }
    vde_stream_close(cursor);
    if (status == VDE_OK)
        status = pack_found(catalog->lakehouse, group, found, count, commit, ret_result);
    for (size_t i = 0; found && i < count; i++)
        free(found[i].name);
    free(found);
    return status;
}

vde_status lh_group_result(struct lh_lakehouse *lakehouse, const uint8_t group[16], struct lh_commit_result **ret_result)
{
    struct lh_catalog catalog;
    LH_TRY(lh_catalog_open(lakehouse, false, &catalog));
    vde_status status = read_group(&catalog, group, ret_result);
    lh_catalog_close(&catalog);
    return status;
}

vde_status lh_group_lookup(lh_lakehouse *lakehouse, const char *group, struct lh_commit_result **ret_result)
{
    uint8_t uuid[16];
    if (!group || !lh_uuid_parse(group, uuid))
        return lh_fail(VDE_INVAL, "transaction group|%.60s|a UUID", group ? group : "NULL");
    LH_TRY(lh_group_result(lakehouse, uuid, ret_result));
    (*ret_result)->already_applied = false;
    return VDE_OK;
}
