/* SPDX-License-Identifier: Apache-2.0 */
/* txn_catalog.c -- datasets, snapshots and streams that come and go: changes of catalog keys, each under the condition that
 * what it relies on is (not) there when the transaction is submitted. What goes becomes a zombie. */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "pool/map.h"
#include "pool/txn.h"

vde_status txn_condition_failed(const struct condition *condition)
{
    if (condition->present)
        return fail_as(VDE_NOT_FOUND, "%s|none|an existing one", condition->what);
    return fail_as(VDE_EXISTS, "%s|exists already|a new one", condition->what);
}

vde_status txn_not_newest(const vde_txn *txn)
{
    return fail_as(VDE_INVAL, "snapshot of dataset %llu|newer snapshots of it or of the image|the newest (delete the newer "
                   "ones first)", (unsigned long long)txn->newest.dataset);
}

/* In one overlay: a snapshot that a merge will know, whatever a newer overlay says of it. */
static bool newer_in(const struct overlay *overlay, uint64_t dataset, uint64_t lsn)
{
    uint8_t key[CATALOG_KEY_MAX];
    struct overlay_iterator iterator;
    struct overlay_entry entry;
    overlay_seek_within(&iterator, overlay, UINT64_MAX, DATASET_CATALOG, key, key_snapshot(key, dataset, 0));
    for (; overlay_valid(&iterator); overlay_next(&iterator)) {
        overlay_entry(&iterator, &entry);
        if (entry.key_size != 17 || memcmp(entry.key, key, 9) != 0)
            return false;
        if (entry.kind != VALUE_DELETE && entry.lsn > lsn)
            return true;
    }
    return false;
}

bool txn_newer_snapshot(const vde_txn *txn)
{
    for (unsigned i = 0; i < 2; i++) {
        const struct overlay *overlay = txn->image->current->overlays[i];
        if (overlay && (newer_in(overlay, txn->newest.dataset, txn->newest.lsn) ||
                        newer_in(overlay, DATASET_CATALOG, txn->newest.lsn)))
            return true;
    }
    return false;
}

/* The trees: the list of snapshots, zombies that hold blocks still included. */
static vde_status check_newest(const vde_txn *txn, const struct map *catalog)
{
    const uint64_t lists[] = {txn->newest.dataset, DATASET_CATALOG};
    for (unsigned i = 0; i < 2; i++) {
        struct map_cursor *cursor;
        uint8_t key[CATALOG_KEY_MAX];
        VDE_TRY(map_cursor_open(catalog, key, key_lsn(key, lists[i], txn->newest.lsn + 1), &cursor));
        bool newer = false;
        if (map_cursor_valid(cursor)) {
            const uint8_t *found;
            size_t size;
            struct map_value value;
            map_cursor_record(cursor, &found, &size, &value);
            newer = size == 17 && memcmp(found, key, 9) == 0;
        }
        map_cursor_close(cursor);
        if (newer)
            return txn_not_newest(txn);
    }
    return VDE_OK;
}

vde_status txn_check_conditions(vde_txn *txn)
{
    vde_view *view;
    VDE_TRY(vde_view_open_pending(txn->image, &view));
    struct map catalog = map_catalog(view->layers, &txn->image->store, &txn->image->label.layout, view->lsn);
    vde_status status = VDE_OK;
    for (size_t i = 0; i < txn->condition_count && status == VDE_OK; i++) {
        struct condition *condition = &txn->conditions[i];
        enum value_kind kind;
        void *data = NULL;
        size_t size;
        uint64_t lsn;
        if (condition->generation == view->layers->generation)
            continue;
        status = map_get(&catalog, condition->key, condition->key_size, &kind, &data, &size, &lsn);
        free(data);
        if (status != VDE_OK && status != VDE_NOT_FOUND)
            break;
        bool holds = condition->present == (status == VDE_OK);
        status = holds ? VDE_OK : txn_condition_failed(condition);
        condition->generation = view->layers->generation;
    }
    if (status == VDE_OK && txn->newest.dataset)
        status = check_newest(txn, &catalog);
    vde_view_close(view);
    return status;
}

static vde_status require(vde_txn *txn, const uint8_t *key, size_t key_size, bool present, const char *what)
{
    for (size_t i = 0; i < txn->condition_count; i++)
        if (!present && txn->conditions[i].key_size == key_size && memcmp(txn->conditions[i].key, key, key_size) == 0)
            return fail_as(VDE_EXISTS, "%s|created already in this transaction|a new one", what);
    struct condition condition = {.key_size = key_size, .present = present, .what = what};
    memcpy(condition.key, key, key_size);
    return txn_condition(txn, &condition);
}

static vde_status create(vde_txn *txn, const struct dataset_record *record)
{
    uint8_t key[CATALOG_KEY_MAX], value[DATASET_VALUE_MAX];
    size_t name_size = strlen(record->name), key_size;
    if (name_size > 0) {
        vde_le64 id = le64(record->id);
        key_size = key_name(key, record->name, name_size);
        VDE_TRY(require(txn, key, key_size, false, "dataset name"));
        VDE_TRY(txn_op(txn, DATASET_CATALOG, key, key_size, VALUE_INLINE, &id, sizeof id));
    }
    if (record->origin) {
        VDE_TRY(txn_touch(txn, record->origin));
        VDE_TRY(require(txn, key, key_snapshot(key, record->origin, record->origin_tag), true, "snapshot to clone"));
        VDE_TRY(txn_op(txn, DATASET_CATALOG, key, key_clone(key, record->origin, record->origin_lsn, record->id),
                       VALUE_INLINE, NULL, 0));
    }
    size_t value_size = dataset_record_put(record, value);
    key_size = key_dataset(key, record->id);
    VDE_TRY(require(txn, key, key_size, false, "dataset id"));
    VDE_TRY(registry_note_created(txn->image, record->id, record->kind == DATASET_KIND_VOLUME));
    return txn_op(txn, DATASET_CATALOG, key, key_size, VALUE_INLINE, value, value_size);
}

vde_status txn_dataset_create(vde_txn *txn, const struct dataset_record *record)
{
    struct txn_mark mark = txn_mark(txn);
    return txn_rewind(txn, &mark, create(txn, record));
}

vde_status vde_txn_dataset_create(vde_txn *txn, uint64_t id, const char *name)
{
    struct dataset_record record = {.id = id, .kind = DATASET_KIND_KV, .tree = id};
    VDE_TRY(txn_check_user_dataset(id));
    if (name) {
        size_t size = strlen(name);
        if (size == 0 || size > DATASET_NAME_MAX)
            return fail_as(VDE_INVAL, "dataset name|%zu bytes|1 to %u", size, DATASET_NAME_MAX);
        if (strncmp(name, VOLUME_NAME_PREFIX, sizeof VOLUME_NAME_PREFIX - 1) == 0)
            return fail_as(VDE_INVAL, "dataset name|\"%.40s\"|one that does not begin with \"" VOLUME_NAME_PREFIX "\"", name);
        memcpy(record.name, name, size + 1);
    }
    return txn_dataset_create(txn, &record);
}

/* The catalog of now, durable or not. */
static vde_status open_catalog(vde_txn *txn, vde_view **ret_view, struct map *ret_catalog)
{
    VDE_TRY(vde_view_open_pending(txn->image, ret_view));
    *ret_catalog = map_catalog((*ret_view)->layers, &txn->image->store, &txn->image->label.layout, (*ret_view)->lsn);
    return VDE_OK;
}

vde_status vde_txn_dataset_drop(vde_txn *txn, uint64_t id)
{
    VDE_TRY(txn_check_user_dataset(id));
    VDE_TRY(txn_touch(txn, id));
    vde_view *view;
    struct map catalog;
    struct dataset_record record;
    VDE_TRY(open_catalog(txn, &view, &catalog));
    vde_status status = map_dataset_record(&catalog, id, &record);
    vde_view_close(view);
    VDE_TRY(status);
    uint8_t key[CATALOG_KEY_MAX];
    if (record.name[0])
        VDE_TRY(txn_op(txn, DATASET_CATALOG, key, key_name(key, record.name, strlen(record.name)), VALUE_DELETE, NULL,
                       0));
    struct disk_zombie zombie = {le64(0), le64(0), le64(0), 0, {0}};
    txn->frees = true;
    return txn_op(txn, DATASET_CATALOG, key, key_zombie(key, 'd', id), VALUE_INLINE, &zombie, sizeof zombie);
}

static vde_status create_snapshot(vde_txn *txn, uint64_t dataset, uint64_t tag, const char *name, uint64_t size_bytes)
{
    uint8_t key[CATALOG_KEY_MAX], value[SNAPSHOT_VALUE_MAX];
    size_t name_size = strlen(name), key_size = key_snapshot(key, dataset, tag);
    struct snapshot_record record = {.created_us = image_now_us(txn->image), .size_bytes = size_bytes};
    /* A snapshot is an LSN: two in one record would be the same one under two names. */
    for (size_t i = 0; i < txn->condition_count; i++)
        if (!txn->conditions[i].present && txn->conditions[i].key_size == key_size &&
            memcmp(txn->conditions[i].key, key, 9) == 0)
            return fail_as(VDE_EXISTS, "dataset %llu|a snapshot made by this transaction|one a transaction",
                           (unsigned long long)dataset);
    memcpy(record.name, name, name_size + 1);
    size_t value_size = snapshot_record_put(&record, value);
    VDE_TRY(require(txn, key, key_size, false, "snapshot"));
    VDE_TRY(txn_op(txn, DATASET_CATALOG, key, key_size, VALUE_INLINE, value, value_size));
    if (name_size == 0)
        return VDE_OK;
    vde_le64 alias = le64(tag);
    key_size = key_alias(key, dataset, name, name_size);
    VDE_TRY(require(txn, key, key_size, false, "snapshot name"));
    return txn_op(txn, DATASET_CATALOG, key, key_size, VALUE_INLINE, &alias, sizeof alias);
}

vde_status txn_snapshot_create(vde_txn *txn, uint64_t dataset, uint64_t tag, const char *name, uint64_t size_bytes)
{
    if (dataset != DATASET_CATALOG)
        VDE_TRY(txn_touch(txn, dataset));
    struct txn_mark mark = txn_mark(txn);
    return txn_rewind(txn, &mark, create_snapshot(txn, dataset, tag, name, size_bytes));
}

vde_status vde_txn_snapshot_create(vde_txn *txn, uint64_t dataset, uint64_t tag)
{
    VDE_TRY(txn_check_user_dataset(dataset));
    if (tag == 0)
        return fail_as(VDE_INVAL, "snapshot tag|0|any other number");
    return txn_snapshot_create(txn, dataset, tag, "", 0);
}

static vde_status delete_snapshot(vde_txn *txn, uint64_t dataset, uint64_t tag, const struct snapshot_record *record)
{
    uint8_t key[CATALOG_KEY_MAX];
    size_t key_size = key_snapshot(key, dataset, tag), name_size = strlen(record->name);
    struct disk_zombie zombie = {le64(0), le64(record->lsn), le64(tag), 0, {0}};
    VDE_TRY(require(txn, key, key_size, true, "snapshot"));
    VDE_TRY(txn_op(txn, DATASET_CATALOG, key, key_size, VALUE_DELETE, NULL, 0));
    if (name_size > 0)
        VDE_TRY(txn_op(txn, DATASET_CATALOG, key, key_alias(key, dataset, record->name, name_size), VALUE_DELETE, NULL, 0));
    return txn_op(txn, DATASET_CATALOG, key, key_zombie_snapshot(key, dataset, record->lsn), VALUE_INLINE, &zombie, sizeof zombie);
}

vde_status txn_snapshot_delete(vde_txn *txn, uint64_t dataset, uint64_t tag)
{
    vde_view *view;
    struct map catalog;
    struct snapshot_record record;
    bool merged;
    if (dataset != DATASET_CATALOG)
        VDE_TRY(txn_touch(txn, dataset));
    VDE_TRY(open_catalog(txn, &view, &catalog));
    vde_status status = map_snapshot_record(&catalog, dataset, tag, &record, &merged);
    vde_view_close(view);
    VDE_TRY(status);
    struct txn_mark mark = txn_mark(txn);
    txn->frees = true;
    return txn_rewind(txn, &mark, delete_snapshot(txn, dataset, tag, &record));
}

vde_status vde_txn_snapshot_delete(vde_txn *txn, uint64_t dataset, uint64_t tag)
{
    VDE_TRY(txn_check_user_dataset(dataset));
    return txn_snapshot_delete(txn, dataset, tag);
}

vde_status txn_require_newest(vde_txn *txn, uint64_t dataset, uint64_t tag, uint64_t lsn)
{
    uint8_t key[CATALOG_KEY_MAX];
    txn->newest.dataset = dataset;
    txn->newest.lsn = lsn;
    return require(txn, key, key_snapshot(key, dataset, tag), true, "snapshot"); /* looks at the lists, too */
}

vde_status vde_txn_stream_drop(vde_txn *txn, uint64_t stream)
{
    VDE_TRY(txn_check_user_dataset(stream));
    VDE_TRY(registry_load_stream(txn->image, stream));
    uint8_t key[CATALOG_KEY_MAX];
    struct disk_zombie zombie = {le64(0), le64(0), le64(0), 0, {0}};
    txn->frees = true;
    return txn_op(txn, DATASET_CATALOG, key, key_zombie(key, 's', stream), VALUE_INLINE, &zombie, sizeof zombie);
}
