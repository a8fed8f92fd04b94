/* SPDX-License-Identifier: Apache-2.0 */
/* head.c -- what of a table is kept in memory, so that a blind append reads nothing. */
#include <stdio.h>
#include <stdlib.h>

#include "state/fail.h"
#include "txlog/catalog.h"
#include "txlog/rows.h"
#include "txlog/checks.h"

static size_t head_slot(const struct lh_lakehouse *lakehouse, uint64_t id)
{
    size_t slot = (size_t)(id * 0x9e3779b97f4a7c15u >> 20) & (lakehouse->head_slots - 1);
    while (lakehouse->heads[slot] && lakehouse->heads[slot]->id != id)
        slot = (slot + 1) & (lakehouse->head_slots - 1);
    return slot;
}

static bool heads_grow(struct lh_lakehouse *lakehouse)
{
    size_t old_slots = lakehouse->head_slots;
    struct lh_head **old = lakehouse->heads;
    size_t slots = old_slots ? old_slots * 2 : 64;
    struct lh_head **heads = calloc(slots, sizeof(struct lh_head *));
    if (!heads)
        return false;
    lakehouse->heads = heads;
    lakehouse->head_slots = slots;
    for (size_t i = 0; i < old_slots; i++)
        if (old[i])
            heads[head_slot(lakehouse, old[i]->id)] = old[i];
    free(old);
    return true;
}

struct lh_head *lh_head_get(struct lh_lakehouse *lakehouse, uint64_t id)
{
    lh_lock_take(&lakehouse->heads_lock);
    struct lh_head *head = NULL;
    if (lakehouse->head_count * 2 < lakehouse->head_slots || heads_grow(lakehouse)) {
        size_t slot = head_slot(lakehouse, id);
        head = lakehouse->heads[slot];
        if (!head && (head = calloc(1, sizeof *head)) != NULL) {
            if (lh_lock_init(&head->lock, LH_LOCK_TABLE, id) == 0) {
                head->id = id;
                head->lakehouse = lakehouse;
                head->latest = LH_NO_VERSION;
                head->row_highest = -1;
                lakehouse->heads[slot] = head;
                lakehouse->head_count++;
            } else {
                free(head);
                head = NULL;
            }
        }
    }
    lh_lock_drop(&lakehouse->heads_lock);
    return head;
}

static struct lh_head *cached(struct lh_lakehouse *lakehouse, struct lh_slice name, uint64_t hash)
{
    lh_lock_take(&lakehouse->heads_lock);
    const struct lh_map_item *item = lh_hash_map_find(&lakehouse->by_name, name, hash);
    struct lh_head *head = item && item->live ? (struct lh_head *)(uintptr_t)item->number : NULL;
    lh_lock_drop(&lakehouse->heads_lock);
    return head;
}

/* Remember a name. It is only a hint: whoever finds a head by it sees under the lock whether the table was dropped. */
static void remember(struct lh_lakehouse *lakehouse, struct lh_slice name, uint64_t hash, struct lh_head *head)
{
    lh_lock_take(&lakehouse->heads_lock);
    struct lh_map_item *item = lh_hash_map_find(&lakehouse->by_name, name, hash);
    if (!item) {
        char *copy = malloc(name.size);
        if (copy) {
            memcpy(copy, name.data, name.size);
            item = lh_hash_map_put(&lakehouse->by_name, (struct lh_slice){copy, name.size}, hash);
            if (!item)
                free(copy);
        }
    }
    if (item) {
        item->live = true;
        item->number = (uint64_t)(uintptr_t)head;
    }
    lh_lock_drop(&lakehouse->heads_lock);
}

void lh_head_forget(struct lh_lakehouse *lakehouse, struct lh_head *head)
{
    lh_lock_take(&lakehouse->heads_lock);
    for (size_t i = 0; i < lakehouse->by_name.count; i++)
        if (lakehouse->by_name.items[i].number == (uint64_t)(uintptr_t)head)
            lakehouse->by_name.items[i].live = false;
    lh_lock_drop(&lakehouse->heads_lock);
}

vde_status lh_head_find(struct lh_lakehouse *lakehouse, struct lh_slice name, struct lh_head **ret_head)
{
    uint64_t hash = lh_hash(name);
    struct lh_head *head = cached(lakehouse, name, hash);
    if (!head) {
        struct lh_catalog catalog;
        uint64_t id = 0;
        LH_TRY(lh_catalog_open(lakehouse, false, &catalog));
        vde_status status = lh_catalog_table(&catalog, name, &id, NULL);
        lh_catalog_close(&catalog);
        LH_TRY(status);
        head = lh_head_get(lakehouse, id);
        if (!head)
            return lh_fail_nomem("table head");
        remember(lakehouse, name, hash, head);
    }
    *ret_head = head;
    return VDE_OK;
}

void lh_head_lock(struct lh_head *head)
{
    uint64_t wait = lh_lock_take(&head->lock);
    if (wait)
        lh_note_wait(head->lakehouse, wait);
}

void lh_head_unlock(struct lh_head *head) { lh_lock_drop(&head->lock); }

/* --- loading ---------------------------------------------------------------------------------------------------- */
static vde_status note_app(struct lh_head *head, struct lh_slice app_id, int64_t version)
{
    uint64_t hash = lh_hash(app_id);
    struct lh_map_item *item = lh_hash_map_find(&head->apps, app_id, hash);
    if (!item) {
        LH_TRY(lh_arena_copy(&head->apps_arena, app_id, &app_id));
        item = lh_hash_map_put(&head->apps, app_id, hash);
        if (!item)
            return lh_fail_nomem("table head");
    }
    item->live = true;
    item->number = (uint64_t)version;
    return VDE_OK;
}

static vde_status load_apps(struct lh_head *head, struct lh_state *state)
{
    struct lh_decoder decoder = LH_DECODER_INIT;
    vde_status status = VDE_OK;
    for (size_t i = 0; i < state->objects.count && status == VDE_OK; i++) {
        const struct lh_map_item *item = &state->objects.items[i];
        if (!item->live || item->key.size == 0 || item->key.data[0] != 't')
            continue;
        struct lh_action action;
        struct lh_reader reader = {(const uint8_t *)item->value.data, item->value.size, 0, false};
        lh_decoder_reset(&decoder);
        status = lh_action_from_bytes(&decoder, &reader, &action);
        if (status == VDE_OK && action.kind == LH_ACTION_TXN)
            status = note_app(head, action.txn.app_id, action.txn.version);
    }
    lh_decoder_done(&decoder);
    return status;
}

static vde_status load_meta(struct lh_head *head, struct lh_state *state)
{
    uint64_t protocol_version = 0, metadata_version = 0;
    struct lh_slice none = {NULL, 0};
    struct lh_slice protocol = lh_state_object(state, 'p', none, &protocol_version);
    struct lh_slice metadata = lh_state_object(state, 'm', none, &metadata_version);
    if (protocol.size == 0 || metadata.size == 0)
        return lh_fail(VDE_CORRUPT, "%s|no protocol or metaData|both", state->what);
    struct lh_decoder decoder = LH_DECODER_INIT;
    struct lh_slice clustering = {NULL, 0};
    struct lh_slice domain = lh_state_object(state, 'd', LH_SLICE(LH_CLUSTERING_DOMAIN), NULL);
    vde_status status = VDE_OK;
    if (domain.size) {
        struct lh_action action;
        struct lh_reader reader = {(const uint8_t *)domain.data, domain.size, 0, false};
        status = lh_action_from_bytes(&decoder, &reader, &action);
        if (status == VDE_OK)
            clustering = action.domain.configuration;
    }
    struct lh_meta_source source = {protocol, metadata, clustering, protocol_version, metadata_version, head->record.format};
    if (status == VDE_OK)
        status = lh_meta_create(&source, &head->meta);
    lh_decoder_done(&decoder);
    return status;
}

static vde_status load_last_entry(struct lh_head *head, vde_view *view)
{
    vde_stream_cursor *cursor = NULL;
    LH_TRY(vde_stream_open(view, head->id, head->latest, &cursor));
    struct vde_entry entry;
    struct lh_record record;
    vde_status status = vde_stream_next(cursor, &entry);
    if (status == VDE_OK)
        status = lh_record_decode(entry.data, entry.size, head->record.name, &record);
    if (status == VDE_OK) {
        head->time_us = entry.time_us;
        head->lsn = entry.lsn;
        head->snapshot_id = record.snapshot_id;
    }
    vde_stream_close(cursor);
    return status;
}

static vde_status load_state(struct lh_head *head, vde_view *view)
{
    char what[320];
    struct lh_state *state = NULL;
    struct lh_state_ids ids = {head->id, head->record.state, head->record.paths};
    snprintf(what, sizeof what, "table %s", head->record.name);
    LH_TRY(lh_state_load(view, &ids, head->latest, what, &state));
    vde_status status = load_meta(head, state);
    if (status == VDE_OK)
        status = load_apps(head, state);
    if (status == VDE_OK)
        status = lh_rows_highest(state, &head->row_highest);
    head->tail_actions = state->replayed_actions;
    head->root_files = state->root_totals.files;
    head->files = state->root_totals.files;
    for (size_t i = 0; i < state->files.count; i++)
        head->files += state->files.items[i].live;
    lh_state_free(state);
    return status;
}

static vde_status load(struct lh_head *head, struct lh_catalog *catalog)
{
    uint64_t first;
    vde_status status = lh_catalog_record(catalog, head->id, &head->record);
    if (status == LH_TABLE_NOT_FOUND || (status == VDE_OK && (head->record.flags & LH_TABLE_DROPPED))) {
        head->dropped = true;
        return VDE_OK;
    }
    LH_TRY(status);
    LH_TRY(vde_stream_range(catalog->view, head->id, &first, &head->latest));
    LH_TRY(load_last_entry(head, catalog->view));
    return head->record.opaque ? VDE_OK : load_state(head, catalog->view);
}

vde_status lh_head_load(struct lh_head *head)
{
    if (head->loaded || head->dropped)
        return VDE_OK;
    struct lh_catalog catalog;
    LH_TRY(lh_catalog_open(head->lakehouse, false, &catalog));
    vde_status status = load(head, &catalog);
    lh_catalog_close(&catalog);
    if (status != VDE_OK || head->dropped) {
        lh_meta_unref(head->meta);
        head->meta = NULL;
        lh_table_record_done(&head->record);
        head->latest = LH_NO_VERSION;
        return status;
    }
    head->recent_first = head->latest + 1;
    head->loaded = true;
    return VDE_OK;
}

void lh_head_start(struct lh_head *head, const struct lh_table_record *record)
{
    head->record = *record;
    head->latest = LH_NO_VERSION;
    head->recent_first = 0;
    head->loaded = true;
}

/* --- advancing -------------------------------------------------------------------------------------------------- */
static void drop_oldest(struct lh_head *head)
{
    struct lh_recent *oldest = &head->recent[head->recent_first % LH_RECENT_MAX];
    head->recent_bytes -= oldest->size;
    free(oldest->data);
    *oldest = (struct lh_recent){0, NULL, 0};
    head->recent_first++;
}

/* The ring holds versions without a hole up to the latest, so what can't be kept empties it. */
static void note_recent(struct lh_head *head, uint64_t version, const void *data, size_t size)
{
    while (head->recent_first < version && (version - head->recent_first >= LH_RECENT_MAX ||
                                            head->recent_bytes + size > LH_RECENT_BYTES_MAX))
        drop_oldest(head);
    uint8_t *copy = size <= LH_RECENT_BYTES_MAX ? malloc(size) : NULL;
    if (!copy) {
        while (head->recent_first < version)
            drop_oldest(head);
        head->recent_first = version + 1;
        return;
    }
    memcpy(copy, data, size);
    head->recent[version % LH_RECENT_MAX] = (struct lh_recent){version, copy, size};
    head->recent_bytes += size;
}

const struct lh_recent *lh_head_recent(const struct lh_head *head, uint64_t version)
{
    if (version < head->recent_first || version > head->latest)
        return NULL;
    return &head->recent[version % LH_RECENT_MAX];
}

static void note_apps(struct lh_head *head, const struct lh_record *record)
{
    struct lh_decoder decoder = LH_DECODER_INIT;
    struct lh_action_walk walk;
    struct lh_action action;
    lh_action_walk_init(&walk, &decoder, record);
    while (lh_action_walk_next(&walk, &action) == VDE_OK)
        if (action.kind == LH_ACTION_TXN && note_app(head, action.txn.app_id, action.txn.version) != VDE_OK)
            break;
    lh_decoder_done(&decoder);
}

void lh_head_advance(struct lh_head *head, uint64_t version, struct vde_commit commit, const void *data, size_t size,
                     struct lh_meta *meta)
{
    head->latest = version;
    head->lsn = commit.lsn;
    head->time_us = commit.time_us;
    note_recent(head, version, data, size);
    if (meta) {
        lh_meta_unref(head->meta);
        head->meta = meta;
    }
    struct lh_record record;
    if (lh_record_decode(data, size, "own record", &record) != VDE_OK)
        return;
    head->snapshot_id = record.snapshot_id;
    head->tail_actions += record.action_count;
    head->files += record.summary.files_added;
    head->files -= record.summary.files_removed < head->files ? record.summary.files_removed : head->files;
    if (record.flags & LH_RECORD_APP_TXN)
        note_apps(head, &record);
}

bool lh_head_wants_root(const struct lh_head *head)
{
#ifdef VDE_MUTATE_NO_ROOTS
    return head == NULL; /* the rule that bounds replaying, switched off */
#endif
    uint64_t bound = head->root_files / 64 > 1024 ? head->root_files / 64 : 1024;
    return head->loaded && !head->dropped && !head->flushing && !head->record.opaque && head->tail_actions > bound &&
           head->tail_actions >= head->flush_after && !(head->lakehouse->flags & LH_OPEN_NO_STATE);
}

static void forget_content(struct lh_head *head)
{
    for (size_t r = 0; r < LH_RECENT_MAX; r++) {
        free(head->recent[r].data);
        head->recent[r] = (struct lh_recent){0};
    }
    lh_meta_unref(head->meta);
    head->meta = NULL;
    lh_table_record_done(&head->record);
    lh_hash_map_done(&head->apps);
    lh_arena_done(&head->apps_arena);
}

void lh_head_revive(struct lh_head *head)
{
    forget_content(head);
    head->latest = LH_NO_VERSION;
    head->recent_bytes = 0;
    head->flush_after = 0;
    head->loaded = head->dropped = false;
}

void lh_heads_free(struct lh_lakehouse *lakehouse)
{
    for (size_t i = 0; i < lakehouse->head_slots; i++) {
        struct lh_head *head = lakehouse->heads[i];
        if (!head)
            continue;
        forget_content(head);
        lh_lock_done(&head->lock);
        free(head);
    }
    free(lakehouse->heads);
    for (size_t i = 0; i < lakehouse->by_name.count; i++)
        free((void *)(uintptr_t)lakehouse->by_name.items[i].key.data);
    lh_hash_map_done(&lakehouse->by_name);
}
