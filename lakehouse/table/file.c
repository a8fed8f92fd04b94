/* SPDX-License-Identifier: Apache-2.0 */
/* file.c -- data files of tables, by path. */
#include <lakehouse/file.h>

#include <stdlib.h>

#include "model/path.h"
#include "state/fail.h"
#include "txlog/files.h"
#include "txlog/pack.h"

static vde_status missing(const char *table, const char *path)
{
    return lh_fail(LH_FILE_NOT_FOUND, "file %.300s of table %s|nothing stored under that path|a file", path, table);
}

/* The table's head, locked and loaded. */
static vde_status lock_table(lh_lakehouse *lakehouse, const char *table, struct lh_head **ret_head)
{
    for (;;) {
        struct lh_head *head;
        LH_TRY(lh_head_find(lakehouse, lh_slice_of(table), &head));
        lh_head_lock(head);
        vde_status status = lh_head_load(head);
        if (status == VDE_OK && !head->dropped) {
            *ret_head = head;
            return VDE_OK;
        }
        uint64_t lsn = head->drop_lsn;
        lh_head_unlock(head);
        LH_TRY(status);
        lh_head_forget(lakehouse, head);
        LH_TRY(vde_image_wait(lakehouse->image, lsn));
    }
}

/* With the table's lock held, which serialises changes of its files' names: what the newest submitted state says. */
static vde_status pending_record(lh_lakehouse *lakehouse, uint64_t table, const char *path, uint64_t *ret_lsn,
                                 struct lh_file_record *ret_record)
{
    vde_view *view = NULL;
    LH_TRY(vde_view_open_pending(lakehouse->image, &view));
    *ret_lsn = vde_view_lsn(view);
    vde_status status = lh_file_record_get(lakehouse, view, table, lh_slice_of(path), ret_record);
    vde_view_close(view);
    return status;
}

/* What was removed by force is noted until it is stored again: a version that needs it can't be restored. */
static vde_status note_gone(lh_lakehouse *lakehouse, vde_txn *txn, uint64_t table, const char *path, bool gone)
{
    struct lh_key key;
    lh_key_text(&key, 'x', table, lh_slice_of(path));
    return gone ? vde_txn_put(txn, lakehouse->catalog, key.data, key.size, "", 0)
                : vde_txn_delete(txn, lakehouse->catalog, key.data, key.size);
}

vde_status lh_file_put(lh_lakehouse *lakehouse, const char *table, const char *path, int64_t modified_ns,
                       lh_read_fn read, void *context)
{
    struct lh_file_record record = {.modified_ns = modified_ns}, other;
    struct lh_head *head;
    struct vde_commit commit = {0, 0};
    vde_txn *txn = NULL;
    bool exists;
    LH_TRY(lh_writable(lakehouse));
    LH_TRY(lh_path_check(lh_slice_of(path)));
    if (strncmp(path, "_delta_log", 10) == 0 && (path[10] == '\0' || path[10] == '/'))
        return lh_fail(LH_NAME, "file path|a name in the table's log|a path outside of _delta_log");
    LH_TRY(lh_table_exists(lakehouse, table, &exists));
    if (!exists)
        return lh_fail(LH_TABLE_NOT_FOUND, "table %s|nothing of that name|a table", table);
    LH_TRY(vde_txn_create(lakehouse->image, &txn));
    /* The bytes are written before any lock is taken. */
    vde_status status = lh_file_store(lakehouse, txn, read, context, &record);
    if (status == VDE_OK)
        status = lock_table(lakehouse, table, &head);
    if (status != VDE_OK) {
        vde_txn_destroy(txn);
        return status;
    }
    status = pending_record(lakehouse, head->id, path, &commit.lsn, &other);
    bool taken = status == VDE_OK;
    if (status == VDE_NOT_FOUND)
        status = lh_file_record_put(lakehouse, txn, head->id, lh_slice_of(path), &record);
    if (status == VDE_OK && !taken)
        status = note_gone(lakehouse, txn, head->id, path, false);
    if (status == VDE_OK && !taken)
        status = vde_txn_submit(txn, &commit);
    lh_head_unlock(head);
    vde_txn_destroy(txn);
    LH_TRY(status);
    LH_TRY(vde_image_wait(lakehouse->image, commit.lsn));
    if (taken)
        return lh_fail(LH_FILE_EXISTS, "file %.300s of table %s|one under that path|none", path, table);
    return VDE_OK;
}

static vde_status pack_file(const char *path, const struct lh_file_record *record, struct lh_stored_file **ret_file)
{
    struct lh_pack pack = LH_PACK_INIT;
    while (lh_pack_pass(&pack)) {
        struct lh_stored_file *file = lh_pack_alloc(&pack, 1, sizeof *file);
        const char *copy = lh_pack_text(&pack, lh_slice_of(path));
        if (file)
            *file = (struct lh_stored_file){copy, record->size_bytes, record->modified_ns, record->file};
    }
    return lh_pack_done(&pack, (void **)ret_file);
}

static vde_status find(lh_lakehouse *lakehouse, struct lh_catalog *catalog, const char *table, const char *path,
                       struct lh_file_record *record)
{
    uint64_t id;
    LH_TRY(lh_path_check(lh_slice_of(path)));
    LH_TRY(lh_catalog_table(catalog, lh_slice_of(table), &id, NULL));
    vde_status status = lh_file_record_get(lakehouse, catalog->view, id, lh_slice_of(path), record);
    return status == VDE_NOT_FOUND ? missing(table, path) : status;
}

vde_status lh_file_stat(lh_lakehouse *lakehouse, const char *table, const char *path, struct lh_stored_file **ret_file)
{
    struct lh_catalog catalog;
    struct lh_file_record record;
    LH_TRY(lh_catalog_open(lakehouse, false, &catalog));
    vde_status status = find(lakehouse, &catalog, table, path, &record);
    lh_catalog_close(&catalog);
    return status == VDE_OK ? pack_file(path, &record, ret_file) : status;
}

static vde_status copy_out(vde_file *file, lh_write_fn write, void *context)
{
    const size_t chunk = 256 * 1024;
    uint64_t size = vde_file_size(file), at = 0;
    char *buffer = malloc(chunk);
    if (!buffer)
        return lh_fail_nomem("file buffer");
    vde_status status = VDE_OK;
    while (status == VDE_OK && at < size) {
        size_t part = size - at < chunk ? (size_t)(size - at) : chunk;
        status = vde_file_read(file, buffer, part, at);
        if (status == VDE_OK)
            status = write(context, buffer, part);
        at += part;
    }
    free(buffer);
    return status;
}

vde_status lh_file_get(lh_lakehouse *lakehouse, const char *table, const char *path, lh_write_fn write, void *context,
                       struct lh_stored_file **ret_file)
{
    struct lh_catalog catalog;
    struct lh_file_record record;
    vde_file *file = NULL;
    LH_TRY(lh_catalog_open(lakehouse, false, &catalog));
    vde_status status = find(lakehouse, &catalog, table, path, &record);
    if (status == VDE_OK)
        status = vde_file_open(catalog.view, record.file, &file);
    if (status == VDE_OK) {
        status = copy_out(file, write, context);
        vde_file_close(file);
    }
    lh_catalog_close(&catalog);
    LH_TRY(status);
    return ret_file ? pack_file(path, &record, ret_file) : VDE_OK;
}

/* --- listing ---------------------------------------------------------------------------------------------------- */
static vde_status collect(lh_lakehouse *lakehouse, vde_view *view, uint64_t table, const char *prefix,
                          struct lh_buffer *out, size_t *ret_count)
{
    struct lh_key from;
    vde_kv *kv = NULL;
    vde_cursor *cursor = NULL;
    if (!lakehouse->files)
        return VDE_OK;
    lh_file_name_key(&from, table, lh_slice_of(prefix));
    LH_TRY(vde_kv_open(view, lakehouse->files, &kv));
    vde_status status = vde_cursor_open(kv, from.data, from.size, &cursor);
    while (status == VDE_OK) {
        const void *key, *value;
        size_t key_size, value_size;
        struct lh_file_record record;
        status = vde_cursor_get(cursor, &key, &key_size, &value, &value_size);
        if (status != VDE_OK || key_size < from.size || memcmp(key, from.data, from.size) != 0)
            break;
        status = lh_file_record_decode(value, value_size, &record);
        if (status != VDE_OK)
            break;
        lh_buffer_sized(out, (struct lh_slice){(const char *)key + 8, key_size - 8});
        lh_buffer_varint(out, record.file);
        lh_buffer_varint(out, record.size_bytes);
        lh_buffer_zigzag(out, record.modified_ns);
        ++*ret_count;
        status = vde_cursor_next(cursor);
    }
    if (cursor)
        vde_cursor_close(cursor);
    vde_kv_close(kv);
    return status == VDE_OK || status == VDE_NOT_FOUND ? lh_buffer_status(out) : status;
}

vde_status lh_file_list(lh_lakehouse *lakehouse, const char *table, const char *prefix, struct lh_stored_files **ret_files)
{
    struct lh_catalog catalog;
    struct lh_buffer found = LH_BUFFER_INIT;
    uint64_t id;
    size_t count = 0;
    LH_TRY(lh_catalog_open(lakehouse, false, &catalog));
    vde_status status = lh_catalog_table(&catalog, lh_slice_of(table), &id, NULL);
    if (status == VDE_OK)
        status = collect(lakehouse, catalog.view, id, prefix, &found, &count);
    lh_catalog_close(&catalog);
    struct lh_pack pack = LH_PACK_INIT;
    while (status == VDE_OK && lh_pack_pass(&pack)) {
        struct lh_stored_files *all = lh_pack_alloc(&pack, 1, sizeof *all);
        struct lh_stored_file *files = lh_pack_alloc(&pack, count, sizeof *files);
        struct lh_reader reader = {(const uint8_t *)found.data, found.size, 0, false};
        for (size_t i = 0; i < count; i++) {
            struct lh_stored_file file = {.path = lh_pack_text(&pack, lh_reader_sized(&reader))};
            file.file = lh_reader_varint(&reader);
            file.size_bytes = lh_reader_varint(&reader);
            file.modified_ns = lh_reader_zigzag(&reader);
            if (all)
                files[i] = file;
        }
        if (all)
            *all = (struct lh_stored_files){count, files};
    }
    if (status == VDE_OK)
        status = lh_pack_done(&pack, (void **)ret_files);
    lh_buffer_done(&found);
    return status;
}

/* --- removal ---------------------------------------------------------------------------------------------------- */
/* Whether a path of the log is the stored one: decoded, or as it stands, since some writers escape the names on disk once
 * more. */
static bool names_file(struct lh_slice logged, struct lh_slice path, struct lh_buffer *scratch)
{
    if (lh_slice_equal(logged, path))
        return true;
    lh_buffer_clear(scratch);
    delta_path_decode(logged, scratch);
    return lh_slice_equal((struct lh_slice){scratch->data, scratch->size}, path);
}

/* Whether an action names the path, itself or by its deletion vector. Writers differ in what they escape, so that there is no
 * one spelling to look up. */
static bool action_names(const struct lh_action *action, struct lh_slice path, struct lh_buffer *scratch,
                         struct lh_buffer *vector)
{
    if (action->kind != LH_ACTION_ADD && action->kind != LH_ACTION_REMOVE && action->kind != LH_ACTION_CDC)
        return false;
    if (names_file(action->file.path, path, scratch))
        return true;
    lh_buffer_clear(vector);
    return lh_has(&action->file.part, LH_FILE_DV) && delta_dv_path(&action->file.dv, vector) &&
           names_file((struct lh_slice){vector->data, vector->size}, path, scratch);
}

static vde_status entry_names(const struct vde_entry *entry, struct lh_slice path, struct lh_decoder *decoder,
                              bool *ret_named)
{
    struct lh_record record;
    struct lh_action_walk walk;
    struct lh_action action;
    struct lh_buffer scratch = LH_BUFFER_INIT, vector = LH_BUFFER_INIT;
    LH_TRY(lh_record_decode(entry->data, entry->size, "table", &record));
    lh_action_walk_init(&walk, decoder, &record);
    vde_status status = VDE_OK;
    while (!*ret_named && (status = lh_action_walk_next(&walk, &action)) == VDE_OK)
        *ret_named = action_names(&action, path, &scratch, &vector);
    if (status == VDE_OK || status == VDE_NOT_FOUND)
        status = lh_buffer_status(&scratch);
    if (status == VDE_OK)
        status = lh_buffer_status(&vector);
    lh_buffer_done(&scratch);
    lh_buffer_done(&vector);
    return status;
}

/* The first version that names the path: all versions are kept, and each of them must stay readable. */
static vde_status in_use(struct lh_head *head, const char *path, bool *ret_used, uint64_t *ret_version)
{
    vde_view *view;
    vde_stream_cursor *cursor;
    struct vde_entry entry;
    struct lh_decoder decoder = LH_DECODER_INIT;
    *ret_used = false;
    LH_TRY(vde_view_open_pending(head->lakehouse->image, &view));
    vde_status status = vde_stream_open(view, head->id, 0, &cursor);
    if (status == VDE_OK) {
        while (!*ret_used && (status = vde_stream_next(cursor, &entry)) == VDE_OK) {
            status = entry_names(&entry, lh_slice_of(path), &decoder, ret_used);
            if (status != VDE_OK)
                break;
            *ret_version = entry.number;
        }
        vde_stream_close(cursor);
    }
    vde_view_close(view);
    lh_decoder_done(&decoder);
    return status == VDE_NOT_FOUND ? VDE_OK : status;
}

vde_status lh_file_remove(lh_lakehouse *lakehouse, const char *table, const char *path, bool force)
{
    struct lh_head *head;
    struct lh_file_record record;
    struct vde_commit commit = {0, 0};
    vde_txn *txn = NULL;
    bool used = false;
    uint64_t version = 0;
    LH_TRY(lh_writable(lakehouse));
    LH_TRY(lh_path_check(lh_slice_of(path)));
    LH_TRY(vde_txn_create(lakehouse->image, &txn));
    vde_status status = lock_table(lakehouse, table, &head);
    if (status != VDE_OK) {
        vde_txn_destroy(txn);
        return status;
    }
    status = pending_record(lakehouse, head->id, path, &commit.lsn, &record);
    if (status == VDE_OK && !force && !head->record.opaque)
        status = in_use(head, path, &used, &version);
    bool found = status == VDE_OK;
    if (status == VDE_OK && !used) {
        struct lh_key key;
        lh_file_name_key(&key, head->id, lh_slice_of(path));
        vde_txn_frees_space(txn);
        status = vde_txn_delete(txn, lakehouse->files, key.data, key.size);
        if (status == VDE_OK)
            status = vde_txn_file_remove(txn, record.file);
        if (status == VDE_OK && force)
            status = note_gone(lakehouse, txn, head->id, path, true);
        if (status == VDE_OK)
            status = vde_txn_submit(txn, &commit);
    }
    lh_head_unlock(head);
    vde_txn_destroy(txn);
    if (status != VDE_OK && status != VDE_NOT_FOUND)
        return status;
    LH_TRY(vde_image_wait(lakehouse->image, commit.lsn));
    if (!found)
        return missing(table, path);
    if (used)
        return lh_fail(LH_VALIDATION, "file %.300s of table %s|one that version %llu names|a file of no version, or force", path,
                       table, (unsigned long long)version);
    return VDE_OK;
}
