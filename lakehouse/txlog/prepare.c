/* SPDX-License-Identifier: Apache-2.0 */
/* prepare.c -- removes: look up what is active, and make whole remove actions of it. */
#include <stdio.h>

#include "model/protocol.h"
#include "state/fail.h"
#include "txlog/overwrite.h"
#include "txlog/rows.h"
#include "txlog/checks.h"

bool lh_member_needs_state(const struct lh_member_txn *member)
{
    return member->removal_count || member->removed_partition_count || member->overwrite;
}

bool lh_member_looks_for_adds(const struct lh_member_txn *member)
{
    return !member->create && (lh_rows_tracked(member) || lh_features_old_vectors(member));
}

bool lh_member_reads_state(const struct lh_member_txn *member)
{
    return lh_member_needs_state(member) || lh_member_looks_for_adds(member);
}

struct resolving {
    struct lh_txn *txn;
    struct lh_member_txn *member;
    struct lh_state *state;
    struct lh_decoder decoder;
    int64_t now_ms;
    struct lh_hash_map removed;  /* rows are tracked: the adds of removed files, by path */
};

static vde_status note_removed(struct resolving *r, struct lh_slice path, struct lh_slice encoded)
{
    LH_TRY(lh_arena_copy(&r->txn->arena, path, &path));
    struct lh_map_item *item = lh_hash_map_put(&r->removed, path, lh_hash(path));
    return item ? lh_arena_copy(&r->txn->arena, encoded, &item->value) : lh_fail_nomem("transaction");
}

/* Append the remove of an active file. `given`: the action is among the member's already; only its path is noted. */
static vde_status remove_active(struct resolving *r, struct lh_slice encoded, bool no_data_change, bool given)
{
    struct lh_action action;
    struct lh_reader reader = {(const uint8_t *)encoded.data, encoded.size, 0, false};
    lh_decoder_reset(&r->decoder);
    LH_TRY(lh_action_from_bytes(&r->decoder, &reader, &action));
    if (!lh_hashes_add(&r->member->resolved_removed, lh_hash(action.file.path)))
        return lh_fail_nomem("transaction");
    if (lh_rows_tracked(r->member))
        LH_TRY(note_removed(r, action.file.path, encoded));
    if (given)
        return VDE_OK;
    struct lh_action remove = {.kind = LH_ACTION_REMOVE};
    remove.file = action.file;
    remove.iceberg = action.iceberg;
    struct lh_file_action *file = &remove.file;
    const uint32_t kept = LH_FILE_PATH | LH_FILE_PARTITION_VALUES | LH_FILE_SIZE | LH_FILE_TAGS | LH_FILE_DV |
                          LH_FILE_BASE_ROW_ID | LH_FILE_DEFAULT_ROW_COMMIT_VERSION | LH_FILE_STATS;
    file->part = (struct lh_part){.set = (action.file.part.set & kept) | LH_FILE_DELETION_TIMESTAMP |
                                         LH_FILE_DATA_CHANGE | LH_FILE_EXTENDED_METADATA};
    file->deletion_timestamp_ms = r->now_ms;
    file->data_change = !no_data_change;
    file->extended_file_metadata = true;
    /* Statistics count in the summary; the add keeps them in history. */
    lh_summary_count(&r->member->resolved_summary, &r->decoder, &remove);
    file->part.set &= ~LH_FILE_STATS;
    lh_action_to_bytes(&remove, &r->member->resolved);
    r->member->resolved_count++;
    return lh_buffer_status(&r->member->resolved);
}

/* A path given without its deletion vector: the active file of that path, whichever vector it has. */
static vde_status find_by_path(struct resolving *r, struct lh_slice path, struct lh_active_file *ret_file)
{
    struct lh_file_cursor cursor;
    struct lh_active_file file;
    LH_TRY(lh_file_cursor_open(r->state, &cursor));
    vde_status status;
    while ((status = lh_file_cursor_next(&cursor, &file, NULL)) == VDE_OK) {
        struct lh_action action;
        struct lh_reader reader = {(const uint8_t *)file.encoded.data, file.encoded.size, 0, false};
        lh_decoder_reset(&r->decoder);
        status = lh_action_from_bytes(&r->decoder, &reader, &action);
        if (status != VDE_OK || lh_slice_equal(action.file.path, path))
            break;
    }
    if (status == VDE_OK) {
        ret_file->id = file.id;
        status = lh_arena_copy(&r->txn->arena, file.encoded, &ret_file->encoded);
    }
    lh_file_cursor_close(&cursor);
    return status == VDE_NOT_FOUND ? LH_FILE_NOT_FOUND : status;
}

static bool has_vectors(const struct lh_meta *meta)
{
    return meta && lh_protocol_has(&meta->protocol.protocol, "deletionVectors");
}

static vde_status resolve_removal(struct resolving *r, const struct lh_removal *removal)
{
    struct lh_active_file file;
    vde_status status = lh_state_find_file(r->state, removal->key.size ? removal->key : removal->path, &r->txn->arena, &file);
    if (status == LH_FILE_NOT_FOUND && !removal->key.size && has_vectors(r->member->meta))
        status = find_by_path(r, removal->path, &file);
    if (status == LH_FILE_NOT_FOUND)
        return lh_fail(LH_FILE_NOT_FOUND, "file %.200s of table %s|not active at version %llu|an active file",
                       removal->path.data, r->member->name.data, (unsigned long long)r->state->version);
    LH_TRY(status);
    return remove_active(r, file.encoded, removal->no_data_change, removal->given);
}

static vde_status resolve_partition(struct resolving *r, const struct lh_map *values)
{
    struct lh_file_cursor cursor;
    struct lh_active_file file;
    LH_TRY(lh_file_cursor_open(r->state, &cursor));
    vde_status status;
    while ((status = lh_file_cursor_next(&cursor, &file, NULL)) == VDE_OK) {
        struct lh_action action;
        struct lh_reader reader = {(const uint8_t *)file.encoded.data, file.encoded.size, 0, false};
        lh_decoder_reset(&r->decoder);
        status = lh_action_from_bytes(&r->decoder, &reader, &action);
        if (status == VDE_OK && lh_partition_equal(&action.file.partition_values, values))
            status = remove_active(r, file.encoded, false, false);
        if (status != VDE_OK)
            break;
    }
    lh_file_cursor_close(&cursor);
    return status == VDE_NOT_FOUND ? VDE_OK : status;
}

static vde_status overwrite_file(struct resolving *r, struct lh_slice encoded)
{
    struct lh_member_txn *m = r->member;
    struct lh_action action;
    struct lh_reader reader = {(const uint8_t *)encoded.data, encoded.size, 0, false};
    bool matches;
    lh_decoder_reset(&r->decoder);
    LH_TRY(lh_action_from_bytes(&r->decoder, &reader, &action));
    LH_TRY(lh_overwrite_matches(m, m->meta, &action.file.partition_values, &r->decoder.arena, &matches));
    if (matches && lh_hashes_has(&m->added, lh_hash(action.file.path)))
        return lh_fail(LH_VALIDATION, "overwrite of table %s|an added file that is active already|new files", m->name.data);
    return matches ? remove_active(r, encoded, false, false) : VDE_OK;
}

static vde_status resolve_overwrite(struct resolving *r)
{
    struct lh_file_cursor cursor;
    struct lh_active_file file;
    LH_TRY(lh_file_cursor_open(r->state, &cursor));
    vde_status status;
    while ((status = lh_file_cursor_next(&cursor, &file, NULL)) == VDE_OK) {
        status = overwrite_file(r, file.encoded);
        if (status != VDE_OK)
            break;
    }
    lh_file_cursor_close(&cursor);
    return status == VDE_NOT_FOUND ? VDE_OK : status;
}

static vde_status resolve_all(struct resolving *r)
{
    struct lh_member_txn *m = r->member;
    for (uint32_t i = 0; i < m->removal_count; i++)
        LH_TRY(resolve_removal(r, &m->removals[i]));
    for (uint32_t i = 0; i < m->removed_partition_count; i++)
        LH_TRY(resolve_partition(r, &m->removed_partitions[i]));
    if (m->overwrite)
        LH_TRY(resolve_overwrite(r));
    if (lh_hashes_sort(&m->resolved_removed))
        return lh_fail(LH_VALIDATION, "commit to table %s|a file removed twice|once", m->name.data);
    if (lh_features_old_vectors(m))
        LH_TRY(lh_features_check_vectors(m, r->state));
    return lh_rows_tracked(m) ? lh_rows_encode(m, r->state, &r->removed) : VDE_OK;
}

vde_status lh_member_resolve(struct lh_txn *txn, struct lh_member_txn *member, bool pending)
{
    lh_buffer_clear(&member->resolved);
    member->resolved_count = 0;
    member->resolved_removed.count = 0;
    member->resolved_summary = (struct lh_record_summary)LH_RECORD_SUMMARY_INIT;
    struct lh_catalog catalog;
    struct lh_table_record record;
    uint64_t first, last = 0;
    LH_TRY(lh_catalog_open(txn->lakehouse, pending, &catalog));
    vde_status status = lh_catalog_record(&catalog, member->head->id, &record);
    if (status == VDE_OK) {
        struct lh_state_ids ids = {record.id, record.state, record.paths};
        struct resolving r = {.txn = txn, .member = member, .now_ms = (int64_t)(lh_now_us() / 1000)};
        char what[320];
        snprintf(what, sizeof what, "table %s", record.name);
        lh_table_record_done(&record);
        status = vde_stream_range(catalog.view, ids.stream, &first, &last);
        if (status == VDE_OK)
            status = lh_state_load(catalog.view, &ids, last, what, &r.state);
        if (status == VDE_OK) {
            member->prepared_at = last;
            status = resolve_all(&r);
        }
        lh_state_free(r.state);
        lh_decoder_done(&r.decoder);
        lh_hash_map_done(&r.removed);
    }
    lh_catalog_close(&catalog);
    return status;
}
