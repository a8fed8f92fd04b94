/* SPDX-License-Identifier: Apache-2.0 */
/* restore.c -- a commit that makes the latest version what another one was. */
#include "timetravel/restore.h"

#include "model/path.h"
#include "state/fail.h"
#include "txlog/pack.h"

/* --- files that are gone ---------------------------------------------------------------------------------------- */
static vde_status take_gone(void *context, struct lh_slice rest, const void *value, size_t size)
{
    struct lh_restoring *r = context;
    struct lh_slice path;
    (void)value;
    (void)size;
    LH_TRY(lh_arena_copy(&r->arena, rest, &path));
    return lh_hash_map_put(&r->gone, path, lh_hash(path)) ? VDE_OK : lh_fail_nomem("restore");
}

static vde_status refuse_gone(const struct lh_restoring *r, struct lh_slice path)
{
    if (!lh_hash_map_find(&r->gone, path, lh_hash(path)))
        return VDE_OK;
    return lh_fail(LH_FILE_NOT_FOUND, "file %.*s of table %s|removed from the image, while version %llu needs it|every file "
                   "of that version", (int)(path.size < 300 ? path.size : 300), path.data, r->point.record.name,
                   (unsigned long long)r->report.to_version);
}

/* A path may have been stored as the log writes it, or decoded; a deletion vector may lie in a file, too. */
static vde_status check_there(struct lh_restoring *r, const struct lh_file_action *file)
{
    if (r->gone.count == 0)
        return VDE_OK;
    LH_TRY(refuse_gone(r, file->path));
    lh_buffer_clear(&r->text);
    delta_path_decode(file->path, &r->text);
    LH_TRY(lh_buffer_status(&r->text));
    LH_TRY(refuse_gone(r, (struct lh_slice){r->text.data, r->text.size}));
    lh_buffer_clear(&r->text);
    if (!lh_has(&file->part, LH_FILE_DV) || !delta_dv_path(&file->dv, &r->text))
        return VDE_OK;
    LH_TRY(lh_buffer_status(&r->text));
    return refuse_gone(r, (struct lh_slice){r->text.data, r->text.size});
}

/* --- comparing -------------------------------------------------------------------------------------------------- */
typedef vde_status (*file_fn)(struct lh_restoring *r, const struct lh_action *add, struct lh_slice key,
                              struct lh_slice encoded);

static vde_status each_file(struct lh_restoring *r, struct lh_state *state, file_fn fn)
{
    struct lh_file_cursor cursor;
    struct lh_active_file file;
    LH_TRY(lh_file_cursor_open(state, &cursor));
    vde_status status;
    while ((status = lh_file_cursor_next(&cursor, &file, NULL)) == VDE_OK) {
        struct lh_action action;
        struct lh_reader reader = {(const uint8_t *)file.encoded.data, file.encoded.size, 0, false};
        lh_decoder_reset(&r->decoder);
        lh_buffer_clear(&r->scratch);
        status = lh_action_from_bytes(&r->decoder, &reader, &action);
        if (status == VDE_OK) {
            lh_file_key(&action.file, &r->scratch);
            status = lh_buffer_status(&r->scratch);
        }
        if (status == VDE_OK)
            status = fn(r, &action, (struct lh_slice){r->scratch.data, r->scratch.size}, file.encoded);
        if (status != VDE_OK)
            break;
    }
    lh_file_cursor_close(&cursor);
    return status == VDE_NOT_FOUND ? VDE_OK : status;
}

static vde_status take_then(struct lh_restoring *r, const struct lh_action *add, struct lh_slice key,
                            struct lh_slice encoded)
{
    LH_TRY(check_there(r, &add->file));
    LH_TRY(lh_arena_copy(&r->arena, key, &key));
    struct lh_map_item *item = lh_hash_map_put(&r->files, key, lh_hash(key));
    if (!item)
        return lh_fail_nomem("restore");
    item->live = true;
    return lh_arena_copy(&r->arena, encoded, &item->value);
}

static void sum(int64_t *total, const struct lh_file_action *file)
{
    int64_t size = lh_has(&file->part, LH_FILE_SIZE) ? file->size_bytes : LH_UNKNOWN;
    if (*total == LH_UNKNOWN || size == LH_UNKNOWN || __builtin_add_overflow(*total, size, total))
        *total = LH_UNKNOWN;
}

static vde_status take_now(struct lh_restoring *r, const struct lh_action *add, struct lh_slice key,
                           struct lh_slice encoded)
{
    struct lh_map_item *item = lh_hash_map_find(&r->files, key, lh_hash(key));
    (void)encoded;
    if (item) {
        item->live = false;
        return VDE_OK;
    }
    r->report.files_removed++;
    sum(&r->report.bytes_removed, &add->file);
    return lh_member_remove(r->txn, r->member, add->file.path, key);
}

static vde_status add_back(struct lh_restoring *r)
{
    for (size_t i = 0; i < r->files.count; i++) {
        const struct lh_map_item *item = &r->files.items[i];
        struct lh_reader reader = {(const uint8_t *)item->value.data, item->value.size, 0, false};
        struct lh_action action;
        if (!item->live)
            continue;
        lh_decoder_reset(&r->decoder);
        LH_TRY(lh_action_from_bytes(&r->decoder, &reader, &action));
        action.file.data_change = true;
        action.file.part.set |= LH_FILE_DATA_CHANGE;
        r->report.files_added++;
        sum(&r->report.bytes_added, &action.file);
        LH_TRY(lh_member_action(r->txn, r->member, &action));
    }
    return VDE_OK;
}

/* --- the commit ------------------------------------------------------------------------------------------------- */
static void number(struct lh_buffer *out, const char *name, int64_t value)
{
    lh_buffer_byte(out, out->size > 1 ? ',' : '{');
    lh_buffer_byte(out, '"');
    lh_buffer_text(out, name);
    lh_buffer_text(out, "\":\"");
    lh_buffer_int(out, value == LH_UNKNOWN ? 0 : value);
    lh_buffer_byte(out, '"');
}

static vde_status add_info(struct lh_restoring *r)
{
    const struct lh_restore_report *report = &r->report;
    struct lh_action action = {.kind = LH_ACTION_COMMIT_INFO};
    struct lh_commit_info *info = &action.info;
    lh_buffer_clear(&r->text);
    lh_buffer_text(&r->text, "{\"version\":");
    lh_buffer_uint(&r->text, report->to_version);
    lh_buffer_text(&r->text, ",\"timestamp\":null}");
    lh_buffer_clear(&r->scratch);
    number(&r->scratch, "numRestoredFiles", (int64_t)report->files_added);
    number(&r->scratch, "numRemovedFiles", (int64_t)report->files_removed);
    number(&r->scratch, "restoredFilesSize", report->bytes_added);
    number(&r->scratch, "removedFilesSize", report->bytes_removed);
    lh_buffer_byte(&r->scratch, '}');
    LH_TRY(lh_buffer_status(&r->text));
    LH_TRY(lh_buffer_status(&r->scratch));
    info->part.set = LH_INFO_TIMESTAMP | LH_INFO_OPERATION | LH_INFO_OPERATION_PARAMETERS | LH_INFO_OPERATION_METRICS |
                     LH_INFO_READ_VERSION | LH_INFO_ISOLATION_LEVEL | LH_INFO_IS_BLIND_APPEND;
    info->timestamp_ms = (int64_t)(lh_now_us() / 1000);
    info->operation = LH_SLICE("RESTORE");
    info->operation_parameters = (struct lh_slice){r->text.data, r->text.size};
    info->operation_metrics = (struct lh_slice){r->scratch.data, r->scratch.size};
    info->read_version = (int64_t)report->read_version;
    info->isolation_level = LH_SLICE("Serializable");
    return lh_member_action(r->txn, r->member, &action);
}

static vde_status commit(struct lh_restoring *r)
{
    struct lh_commit_result *result = NULL;
    LH_TRY(add_info(r));
    LH_TRY(lh_commit(r->txn, &result));
    r->report.version = result->tables[0].version;
    r->report.time_us = result->time_us;
    lh_free(result);
    return VDE_OK;
}

static vde_status open_both(struct lh_restoring *r, const char *table)
{
    struct lh_member options = LH_MEMBER_INIT;
    size_t index;
    if (!strchr(table, '@'))
        return lh_fail(LH_NAME, "table %.200s|no version after the name|@v3, @tag:NAME or a time", table);
    LH_TRY(lh_point_state(&r->point, &r->then));
    r->report.to_version = r->point.version;
    LH_TRY(lh_point_move(&r->point, "latest"));
    LH_TRY(lh_point_state(&r->point, &r->now));
    r->report.read_version = options.read_version = r->point.version;
    options.operation = "RESTORE";
    LH_TRY(lh_txn_table(r->txn, r->point.record.name, &options, &index));
    lh_txn_isolation(r->txn, LH_SERIALIZABLE);
    LH_TRY(lh_txn_read_all(r->txn, index));
    LH_TRY(lh_txn_member_at(r->txn, index, &r->member));
    r->member->restores = true;
    return VDE_OK;
}

static vde_status restore(struct lh_restoring *r, const char *table, unsigned flags)
{
    uint64_t id = r->point.record.id;
    LH_TRY(open_both(r, table));
    LH_TRY(lh_catalog_walk(&r->point.catalog, 'x', &id, take_gone, r));
    LH_TRY(each_file(r, r->then, take_then));
    LH_TRY(each_file(r, r->now, take_now));
    LH_TRY(add_back(r));
    LH_TRY(lh_restore_objects(r));
    r->report.changed = r->member->action_count || r->member->removal_count || r->report.metadata_changed;
    return r->report.changed && !(flags & LH_RESTORE_DRY_RUN) ? commit(r) : VDE_OK;
}

static vde_status pack_report(const struct lh_restoring *r, struct lh_restore_report **ret_report)
{
    struct lh_pack pack = LH_PACK_INIT;
    while (lh_pack_pass(&pack)) {
        struct lh_restore_report *report = lh_pack_alloc(&pack, 1, sizeof *report);
        const char *name = lh_pack_text(&pack, lh_slice_of(r->point.record.name));
        if (report) {
            *report = r->report;
            report->table = name;
        }
    }
    return lh_pack_done(&pack, (void **)ret_report);
}

vde_status lh_table_restore(lh_lakehouse *lakehouse, const char *table, unsigned flags,
                            struct lh_restore_report **ret_report)
{
    struct lh_restoring r = {.report = {.version = LH_NO_VERSION}};
    LH_TRY(lh_point_open(lakehouse, table, &r.point));
    vde_status status = lh_txn_create(lakehouse, &r.txn);
    if (status == VDE_OK)
        status = restore(&r, table, flags);
    if (status == VDE_OK && ret_report)
        status = pack_report(&r, ret_report);
    lh_txn_destroy(r.txn);
    lh_state_free(r.then);
    lh_state_free(r.now);
    lh_hash_map_done(&r.files);
    lh_hash_map_done(&r.gone);
    lh_arena_done(&r.arena);
    lh_decoder_done(&r.decoder);
    lh_buffer_done(&r.scratch);
    lh_buffer_done(&r.text);
    lh_point_close(&r.point);
    return status;
}
