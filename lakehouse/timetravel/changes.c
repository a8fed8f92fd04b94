/* SPDX-License-Identifier: Apache-2.0 */
/* changes.c -- the file actions of a range of versions, straight from the stream. */
#include <lakehouse/changes.h>

#include <stdlib.h>

#include "state/fail.h"
#include "timetravel/point.h"

struct lh_changes {
    struct lh_point point;
    uint64_t next, last;         /* versions still to be told */
    vde_stream_cursor *cursor;
    struct vde_entry entry;
    struct lh_action_walk walk;  /* of the present version; nothing left before the first */
    struct lh_decoder decoder;
    struct lh_file_view view;
    struct lh_buffer operation;
};

static vde_status check_range(const struct lh_point *point, uint64_t first, uint64_t last)
{
    bool early = first < point->first || first > point->latest;
    if (early || last > point->latest)
        return lh_fail(LH_VERSION_NOT_FOUND, "table %s|no version %llu|one of %llu to %llu", point->record.name,
                       (unsigned long long)(early ? first : last), (unsigned long long)point->first,
                       (unsigned long long)point->latest);
    if (first > last)
        return lh_fail(LH_VALIDATION, "table %s|changes from version %llu to %llu|ascending versions", point->record.name,
                       (unsigned long long)first, (unsigned long long)last);
    return VDE_OK;
}

static vde_status start(lh_changes *changes, const char *table, uint64_t first, uint64_t last)
{
    const struct lh_point *point = &changes->point;
    if (strchr(table, '@'))
        return lh_fail(LH_NAME, "table %.200s|a version after '@'|a name alone: the range says which versions", table);
    if (point->record.opaque)
        return lh_fail(LH_OPAQUE, "table %s|%s|what this engine supports", point->record.name, point->record.opaque);
    changes->next = first;
    changes->last = last == LH_NO_VERSION ? point->latest : last;
    LH_TRY(check_range(point, changes->next, changes->last));
    return vde_stream_open(point->catalog.view, point->record.id, first, &changes->cursor);
}

vde_status lh_changes_open(lh_lakehouse *lakehouse, const char *table, uint64_t first, uint64_t last,
                           lh_changes **ret_changes)
{
    lh_changes *changes = calloc(1, sizeof *changes);
    if (!changes)
        return lh_fail_nomem("changes");
    vde_status status = lh_point_open(lakehouse, table, &changes->point);
    if (status != VDE_OK) {
        free(changes);
        return status;
    }
    status = start(changes, table, first, last);
    if (status != VDE_OK) {
        lh_changes_close(changes);
        return status;
    }
    *ret_changes = changes;
    return VDE_OK;
}

void lh_changes_close(lh_changes *changes)
{
    if (!changes)
        return;
    if (changes->cursor)
        vde_stream_close(changes->cursor);
    lh_point_close(&changes->point);
    lh_decoder_done(&changes->decoder);
    lh_file_view_done(&changes->view);
    lh_buffer_done(&changes->operation);
    free(changes);
}

vde_status lh_changes_next_version(lh_changes *changes, struct lh_change_version *ret_version)
{
    struct lh_record record;
    const char *name = changes->point.record.name;
    changes->walk.left = 0;
    if (changes->next > changes->last)
        return VDE_NOT_FOUND;
    vde_status status = vde_stream_next(changes->cursor, &changes->entry);
    if (status == VDE_NOT_FOUND || (status == VDE_OK && changes->entry.number != changes->next))
        return lh_fail(VDE_CORRUPT, "table %s|no entry of version %llu|one of every version", name,
                       (unsigned long long)changes->next);
    LH_TRY(status);
    LH_TRY(lh_record_decode(changes->entry.data, changes->entry.size, name, &record));
    lh_buffer_clear(&changes->operation);
    lh_buffer_slice(&changes->operation, record.summary.operation.size ? record.summary.operation : LH_SLICE("UNKNOWN"));
    lh_buffer_byte(&changes->operation, '\0');
    LH_TRY(lh_buffer_status(&changes->operation));
    lh_action_walk_init(&changes->walk, &changes->decoder, &record);
    changes->next++;
    *ret_version = (struct lh_change_version){
        .version = changes->entry.number, .time_us = changes->entry.time_us, .operation = changes->operation.data,
        .metadata_changed = (record.flags & LH_RECORD_METADATA) != 0,
        .protocol_changed = (record.flags & LH_RECORD_PROTOCOL) != 0};
    return VDE_OK;
}

static bool file_kind(enum lh_action_kind action, enum lh_change_kind *ret_kind)
{
    if (action == LH_ACTION_ADD)
        *ret_kind = LH_CHANGE_ADD;
    else if (action == LH_ACTION_REMOVE)
        *ret_kind = LH_CHANGE_REMOVE;
    else if (action == LH_ACTION_CDC)
        *ret_kind = LH_CHANGE_CDC;
    else
        return false;
    return true;
}

vde_status lh_changes_next_file(lh_changes *changes, struct lh_change *ret_change)
{
    struct lh_action action;
    struct lh_change change = {.kind = LH_CHANGE_ADD};
    if (!changes->walk.left)
        return VDE_NOT_FOUND;
    do {
        LH_TRY(lh_action_walk_next(&changes->walk, &action));
    } while (!file_kind(action.kind, &change.kind));
    /* A cdc file never changes data by itself; adds and removes do unless they say that they don't. */
    change.data_change = action.kind != LH_ACTION_CDC && (!lh_has(&action.file.part, LH_FILE_DATA_CHANGE) ||
                                                          action.file.data_change);
    uint64_t id = action.kind == LH_ACTION_ADD ? changes->entry.number << 32 | changes->walk.index : LH_NO_VERSION;
    LH_TRY(lh_file_view_fill(&changes->view, id, changes->walk.encoded, false, &change.file));
    *ret_change = change;
    return VDE_OK;
}
