/* SPDX-License-Identifier: Apache-2.0 */
/* import.c -- a foreign log becomes a table. Its entries and files are written in as many transactions as the log's record
 * limit asks for; the catalog notes from the first on that an import is under way, and the last one replaces that note by
 * the table's name. */
#include "txlog/import.h"

#include <stdio.h>
#include <stdlib.h>

#include <lakehouse/namespace.h>

#include "state/fail.h"
#include "txlog/files.h"
#include "txlog/pack.h"

struct lh_importer {
    struct lh_lakehouse *lakehouse;
    struct lh_table_record record;
    bool create_namespaces;
    vde_txn *txn;
    bool noted;              /* the note of an import under way is durable */
    uint64_t next_version;
    uint64_t last_time_us;
    uint64_t schema_hash;    /* of the last schema and partitioning */
    struct lh_decoder decoder;
    struct lh_buffer actions, encoded, seen;
};

static void importer_free(struct lh_importer *importer)
{
    vde_txn_destroy(importer->txn);
    lh_table_record_done(&importer->record);
    lh_decoder_done(&importer->decoder);
    lh_buffer_done(&importer->actions);
    lh_buffer_done(&importer->encoded);
    lh_buffer_done(&importer->seen);
    free(importer);
}

static vde_status check_free(struct lh_importer *importer, bool pending, uint64_t *ret_namespace)
{
    struct lh_catalog catalog;
    struct lh_slice name = lh_slice_of(importer->record.name);
    uint64_t id;
    LH_TRY(lh_catalog_open(importer->lakehouse, pending, &catalog));
    vde_status status = lh_catalog_table(&catalog, name, &id, NULL);
    if (status == VDE_OK)
        status = lh_fail(LH_TABLE_EXISTS, "table %s|a table of that name|none", importer->record.name);
    else if (status == LH_TABLE_NOT_FOUND)
        status = lh_catalog_namespace(&catalog, lh_name_parent(name), ret_namespace);
    if (status == VDE_OK) {
        struct lh_key key;
        lh_key_text(&key, 'N', *ret_namespace, lh_name_leaf(name));
        status = lh_catalog_number(&catalog, &key, &id);
        if (status == VDE_OK)
            status = lh_fail(LH_NAMESPACE_EXISTS, "table %s|a namespace of that name|none", importer->record.name);
        else if (status == VDE_NOT_FOUND)
            status = VDE_OK;
    }
    lh_catalog_close(&catalog);
    return status;
}

/* A transaction that begins with the note, as long as none with it is durable. */
static vde_status start_txn(struct lh_importer *importer)
{
    LH_TRY(vde_txn_create(importer->lakehouse->image, &importer->txn));
    return importer->noted ? VDE_OK : lh_catalog_put_record(importer->lakehouse, importer->txn, 'i', &importer->record);
}

static vde_status commit_part(struct lh_importer *importer)
{
    struct vde_commit commit;
    LH_TRY(vde_txn_commit(importer->txn, &commit));
    vde_txn_destroy(importer->txn);
    importer->txn = NULL;
    importer->noted = true;
    return start_txn(importer);
}

static vde_status commit_if_full(struct lh_importer *importer)
{
    return vde_txn_size(importer->txn) * 2 > importer->lakehouse->record_limit ? commit_part(importer) : VDE_OK;
}

vde_status lh_importer_open(lh_lakehouse *lakehouse, const struct lh_importer_opts *opts, struct lh_importer **ret_importer)
{
    struct lh_name name;
    uint64_t name_space = 0;
    LH_TRY(lh_writable(lakehouse));
    LH_TRY(lh_fail_again(lh_name_split(lh_slice_of(opts->table), &name), LH_NAME));
    struct lh_importer *importer = calloc(1, sizeof *importer);
    if (!importer)
        return lh_fail_nomem("import");
    importer->lakehouse = lakehouse;
    importer->create_namespaces = opts->create_namespaces;
    struct lh_table_record record = {.id = vde_id_reserve(lakehouse->image), .format = opts->format,
                                     .created_us = lh_now_us()};
    record.name = (char *)(uintptr_t)opts->table;
    record.opaque = (char *)(uintptr_t)opts->opaque;
    record.origin = (char *)(uintptr_t)opts->origin;
    record.flags = LH_TABLE_IMPORTED | (opts->external ? LH_TABLE_EXTERNAL : 0);
    vde_status status = lh_table_record_copy(&record, &importer->record);
    if (status == VDE_OK)
        status = check_free(importer, false, &name_space);
    if (status == LH_NAMESPACE_NOT_FOUND && opts->create_namespaces)
        status = VDE_OK;
    if (status == VDE_OK)
        status = start_txn(importer);
    if (status != VDE_OK) {
        importer_free(importer);
        return status;
    }
    *ret_importer = importer;
    return VDE_OK;
}

/* --- versions --------------------------------------------------------------------------------------------------- */
static void note_metadata(struct lh_importer *importer, const struct lh_metadata *metadata, struct lh_record *record)
{
    lh_buffer_clear(&importer->seen);
    lh_buffer_sized(&importer->seen, metadata->schema_string);
    for (uint32_t i = 0; i < metadata->partition_columns.count; i++)
        lh_buffer_sized(&importer->seen, metadata->partition_columns.items[i]);
    uint64_t hash = lh_hash((struct lh_slice){importer->seen.data, importer->seen.size});
    record->flags |= LH_RECORD_METADATA;
    if (hash != importer->schema_hash || importer->next_version == 0)
        record->flags |= LH_RECORD_SCHEMA;
    importer->schema_hash = hash;
}

static vde_status note_info(struct lh_importer *importer, const struct lh_commit_info *info, struct lh_record *record,
                            struct lh_arena *arena)
{
    (void)importer;
    if (lh_has(&info->part, LH_INFO_OPERATION))
        LH_TRY(lh_arena_copy(arena, info->operation, &record->summary.operation));
    if (lh_has(&info->part, LH_INFO_USER_METADATA))
        LH_TRY(lh_arena_copy(arena, info->user_metadata, &record->summary.user_metadata));
    if (lh_has(&info->part, LH_INFO_ENGINE_INFO))
        LH_TRY(lh_arena_copy(arena, info->engine_info, &record->summary.engine_info));
    if (lh_has(&info->part, LH_INFO_IS_BLIND_APPEND) && info->is_blind_append)
        record->flags |= LH_RECORD_BLIND;
    return VDE_OK;
}

static vde_status note_action(struct lh_importer *importer, const struct lh_action *action, struct lh_record *record,
                              struct lh_arena *arena)
{
    switch (action->kind) {
    case LH_ACTION_METADATA:
        note_metadata(importer, &action->metadata, record);
        break;
    case LH_ACTION_PROTOCOL:
        record->flags |= LH_RECORD_PROTOCOL;
        break;
    case LH_ACTION_TXN:
        record->flags |= LH_RECORD_APP_TXN;
        break;
    case LH_ACTION_DOMAIN:
        record->flags |= LH_RECORD_DOMAIN;
        break;
    case LH_ACTION_COMMIT_INFO:
        return note_info(importer, &action->info, record, arena);
    default:
        break;
    }
    return VDE_OK;
}

/* Decode the lines. Of an opaque table only what history tells is taken, as far as it can be read. */
static vde_status decode_lines(struct lh_importer *importer, struct lh_slice bytes, struct lh_record *record,
                               struct lh_arena *arena)
{
    struct lh_slice rest = bytes, line;
    bool opaque = importer->record.opaque != NULL;
    lh_buffer_clear(&importer->actions);
    while (lh_ndjson_next(&rest, &line)) {
        struct lh_action action;
        lh_decoder_reset(&importer->decoder);
        vde_status status = lh_action_from_json(&importer->decoder, line, &action);
        if (status != VDE_OK && opaque && status == VDE_INVAL)
            continue;
        LH_TRY(lh_fail_again(status, LH_JSON));
        LH_TRY(note_action(importer, &action, record, arena));
        record->action_count++;
        if (!opaque)
            lh_action_to_bytes(&action, &importer->actions);
        lh_summary_count(&record->summary, &importer->decoder, &action);
    }
    if (opaque) {
        record->flags |= LH_RECORD_UNDECODED;
        record->action_count = 0;
    }
    record->actions = (struct lh_slice){importer->actions.data, importer->actions.size};
    return lh_buffer_status(&importer->actions);
}

vde_status lh_importer_version(struct lh_importer *importer, struct lh_slice bytes, uint64_t time_us, int64_t file_time_ns)
{
    struct lh_record record = {.format = (uint8_t)importer->record.format, .flags = LH_RECORD_FOREIGN | LH_RECORD_BYTES,
                               .bytes = bytes};
    struct lh_arena arena = LH_ARENA_INIT;
    record.summary = (struct lh_record_summary)LH_RECORD_SUMMARY_INIT;
    record.summary.file_time_ns = file_time_ns;
    vde_status status = decode_lines(importer, bytes, &record, &arena);
    lh_buffer_clear(&importer->encoded);
    if (status == VDE_OK) {
        lh_record_encode(&record, &importer->encoded);
        status = lh_buffer_status(&importer->encoded);
    }
    lh_arena_done(&arena);
    LH_TRY(status);
    if (importer->next_version > 0 && time_us <= importer->last_time_us)
        time_us = importer->last_time_us + 1;
    LH_TRY(vde_txn_append(importer->txn, importer->record.id, importer->next_version, time_us ? time_us : 1,
                          importer->encoded.data, importer->encoded.size));
    importer->last_time_us = time_us ? time_us : 1;
    importer->next_version++;
    return commit_if_full(importer);
}

vde_status lh_importer_file(struct lh_importer *importer, const char *path, int64_t modified_ns, lh_read_fn read,
                            void *context)
{
    struct lh_file_record record = {.modified_ns = modified_ns};
    LH_TRY(lh_path_check(lh_slice_of(path)));
    LH_TRY(lh_file_store(importer->lakehouse, importer->txn, read, context, &record));
    LH_TRY(lh_file_record_put(importer->lakehouse, importer->txn, importer->record.id, lh_slice_of(path), &record));
    return commit_if_full(importer);
}

/* --- end -------------------------------------------------------------------------------------------------------- */
static vde_status make_namespaces(struct lh_importer *importer)
{
    struct lh_name name;
    LH_TRY(lh_name_split(lh_slice_of(importer->record.name), &name));
    char *full = strdup(importer->record.name);
    if (!full)
        return lh_fail_nomem("import");
    vde_status status = VDE_OK;
    for (uint32_t i = 0; i + 1 < name.count && status == VDE_OK; i++) {
        size_t end = (size_t)(name.parts[i].data + name.parts[i].size - importer->record.name);
        full[end] = '\0';
        status = lh_namespace_create(importer->lakehouse, full, NULL, 0);
        if (status == LH_NAMESPACE_EXISTS)
            status = VDE_OK;
        full[end] = '.';
    }
    free(full);
    return status;
}

static vde_status name_table(struct lh_importer *importer, struct vde_commit *commit)
{
    struct lh_lakehouse *lakehouse = importer->lakehouse;
    struct lh_key key;
    LH_TRY(check_free(importer, true, &importer->record.name_space));
    lh_key_text(&key, 'T', importer->record.name_space, lh_name_leaf(lh_slice_of(importer->record.name)));
    LH_TRY(lh_catalog_put_number(lakehouse, importer->txn, &key, &importer->record.id));
    LH_TRY(lh_catalog_put_record(lakehouse, importer->txn, 't', &importer->record));
    lh_key_number(&key, 'i', importer->record.id);
    LH_TRY(vde_txn_delete(importer->txn, lakehouse->catalog, key.data, key.size));
    return vde_txn_submit(importer->txn, commit);
}

static vde_status pack_result(struct lh_importer *importer, struct vde_commit commit, struct lh_commit_result **ret_result)
{
    struct lh_pack pack = LH_PACK_INIT;
    struct lh_buffer uri = LH_BUFFER_INIT;
    lh_uri(importer->lakehouse, importer->record.name, &uri);
    while (lh_pack_pass(&pack)) {
        struct lh_commit_result *r = lh_pack_alloc(&pack, 1, sizeof *r);
        struct lh_committed *table = lh_pack_alloc(&pack, 1, sizeof *table);
        const char *name = lh_pack_text(&pack, lh_slice_of(importer->record.name));
        const char *uri_text = lh_pack_text(&pack, (struct lh_slice){uri.data, uri.size});
        if (r) {
            *table = (struct lh_committed){.table = name, .uri = uri_text, .table_id = importer->record.id,
                                           .version = importer->next_version - 1, .snapshot_id = LH_UNKNOWN};
            r->time_us = importer->last_time_us;
            r->lsn = commit.lsn;
            r->count = 1;
            r->tables = table;
        }
    }
    lh_buffer_done(&uri);
    return lh_pack_done(&pack, (void **)ret_result);
}

static vde_status finish(struct lh_importer *importer, struct lh_commit_result **ret_result)
{
    struct vde_commit commit = {0, 0};
    if (importer->next_version == 0)
        return lh_fail(LH_VALIDATION, "import of table %s|no versions|one at least", importer->record.name);
    if (importer->create_namespaces)
        LH_TRY(make_namespaces(importer));
    lh_note_wait(importer->lakehouse, lh_lock_take(&importer->lakehouse->names));
    vde_status status = name_table(importer, &commit);
    lh_lock_drop(&importer->lakehouse->names);
    LH_TRY(status);
    LH_TRY(vde_image_wait(importer->lakehouse->image, commit.lsn));
    return ret_result ? pack_result(importer, commit, ret_result) : VDE_OK;
}

vde_status lh_importer_commit(struct lh_importer *importer, struct lh_commit_result **ret_result)
{
    vde_status status = finish(importer, ret_result);
    if (status != VDE_OK) {
        struct lh_saved saved;
        lh_error_save(&saved);
        lh_importer_abort(importer);
        return lh_error_restore(&saved);
    }
    struct lh_lakehouse *lakehouse = importer->lakehouse;
    struct lh_head *head = lh_head_get(lakehouse, importer->record.id);
    importer_free(importer);
    if (head) {
        /* A long log gets its first root now, not with somebody's first commit. A failure shows when it is used. */
        lh_head_lock(head);
        status = lh_head_load(head);
        lh_head_unlock(head);
        if (status == VDE_OK)
            lh_flush_if_due(head);
        vde_error_clear();
    }
    return VDE_OK;
}

void lh_importer_abort(struct lh_importer *importer)
{
    if (!importer)
        return;
    struct lh_lakehouse *lakehouse = importer->lakehouse;
    uint64_t id = importer->record.id;
    bool noted = importer->noted;
    importer_free(importer);
    /* What can't be removed now is removed by the next lh_open(). */
    if (noted && lh_import_clean(lakehouse, id) != VDE_OK)
        vde_error_clear();
}
