/* SPDX-License-Identifier: Apache-2.0 */
/* stream.c -- reading streams: batches from the history tree, then single entries from the overlays. */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "pool/batch.h"
#include "pool/pool.h"
#include "pool/txn.h"
#include "tree/spill.h"

struct vde_stream_cursor {
    struct map map;           /* history as of the view */
    uint64_t stream, next;    /* number of the entry that comes next */
    struct map_cursor *cursor;
    struct batch batch;       /* the batch that `next` may lie in */
    void *big;                /* bytes of the entry handed out last, when they lie elsewhere */
};

/* The history as of the view; NOT_FOUND for a stream that was dropped, whose entries may still be there. */
static vde_status history_of(vde_view *view, uint64_t stream, struct map *ret_map)
{
    struct map catalog = map_catalog(view->layers, &view->image->store, &view->image->label.layout, view->lsn);
    uint8_t key[CATALOG_KEY_MAX];
    enum value_kind kind;
    void *data = NULL;
    size_t size;
    uint64_t lsn;
    vde_status status = map_get(&catalog, key, key_zombie(key, 's', stream), &kind, &data, &size, &lsn);
    if (status == VDE_OK) {
        free(data);
        return fail_as(VDE_NOT_FOUND, "stream %llu|a dropped stream|an existing one", (unsigned long long)stream);
    }
    return status == VDE_NOT_FOUND ? map_open(&catalog, DATASET_HISTORY, 0, ret_map) : status;
}

static vde_status stream_first(const struct map *history, uint64_t stream, uint64_t *ret_number)
{
    struct map_cursor *cursor;
    uint8_t key[16];
    VDE_TRY(map_cursor_open(history, key, key_stream(key, stream, 0), &cursor));
    vde_status status = VDE_NOT_FOUND;
    if (map_cursor_valid(cursor)) {
        const uint8_t *found;
        size_t size;
        struct map_value value;
        map_cursor_record(cursor, &found, &size, &value);
        if (size == 16 && be64_get(found) == stream) {
            *ret_number = be64_get(found + 8);
            status = VDE_OK;
        }
    }
    map_cursor_close(cursor);
    return status;
}

vde_status vde_stream_range(vde_view *view, uint64_t stream, uint64_t *ret_first, uint64_t *ret_last)
{
    struct map history;
    uint64_t time_us;
    VDE_TRY(history_of(view, stream, &history));
    VDE_TRY(stream_first(&history, stream, ret_first));
    return stream_last(&history, stream, ret_last, &time_us);
}

/* Stand the tree on the batch that holds `number`, or fail with NOT_FOUND. */
static vde_status find_batch(const struct map *history, uint64_t stream, uint64_t number,
                             struct tree_cursor **ret_cursor, uint64_t *ret_first, struct tree_value *ret_value)
{
    struct tree_cursor *cursor;
    uint8_t key[16];
    VDE_TRY(tree_cursor_open(history->store, DATASET_HISTORY, &history->root, &cursor));
    vde_status status = tree_cursor_seek_before(cursor, key, key_stream(key, stream, number));
    if (status == VDE_OK && !tree_cursor_valid(cursor))
        status = VDE_NOT_FOUND;
    if (status == VDE_OK) {
        const void *found;
        size_t size;
        tree_cursor_record(cursor, &found, &size, ret_value);
        if (size != 16 || be64_get(found) != stream)
            status = VDE_NOT_FOUND;
        else
            *ret_first = be64_get((const uint8_t *)found + 8);
    }
    if (status != VDE_OK) {
        tree_cursor_close(cursor);
        return status;
    }
    *ret_cursor = cursor;
    return VDE_OK;
}

/* Time of one entry without unpacking more than its batch; the batch header alone when that decides. */
static vde_status entry_time(const struct map *history, uint64_t stream, uint64_t number, uint64_t wanted,
                             uint64_t *ret_time)
{
    uint8_t key[16];
    size_t key_size = key_stream(key, stream, number);
    for (unsigned i = 0; i < 2; i++) {
        struct overlay_entry entry;
        struct disk_log_entry head;
        if (history->overlays[i] &&
            overlay_get(history->overlays[i], DATASET_HISTORY, key, key_size, history->lsn, &entry)) {
            memcpy(&head, entry.value, sizeof head);
            *ret_time = le64_get(head.time_us);
            return VDE_OK;
        }
    }
    struct tree_cursor *cursor;
    struct tree_value value;
    uint64_t first;
    VDE_TRY(find_batch(history, stream, number, &cursor, &first, &value));
    struct disk_batch header;
    const uint8_t *payload;
    size_t payload_size;
    vde_status status = batch_header(value.kind, value.data, value.size, &header, &payload, &payload_size);
    if (status == VDE_OK && number - first >= le32_get(header.count))
        status = fail_corrupt("stream %llu|a gap at %llu|contiguous entries", (unsigned long long)stream,
                              (unsigned long long)number);
    if (status == VDE_OK && (le64_get(header.last_time_us) <= wanted || le64_get(header.first_time_us) > wanted)) {
        *ret_time = le64_get(header.last_time_us) <= wanted ? wanted : wanted + 1;
    } else if (status == VDE_OK) {
        struct batch batch;
        status = batch_read(history->store, stream, first, value.kind, value.data, value.size, &batch);
        if (status == VDE_OK) {
            *ret_time = le64_get(batch_entry(&batch, (uint32_t)(number - first)).time_us);
            batch_done(&batch);
        }
    }
    tree_cursor_close(cursor);
    return status;
}

vde_status vde_stream_find_time(vde_view *view, uint64_t stream, uint64_t time_us, uint64_t *ret_number)
{
    struct map history;
    uint64_t low, high, last_time, time;
    VDE_TRY(history_of(view, stream, &history));
    VDE_TRY(stream_first(&history, stream, &low));
    VDE_TRY(stream_last(&history, stream, &high, &last_time));
    if (last_time <= time_us) {
        *ret_number = high;
        return VDE_OK;
    }
    VDE_TRY(entry_time(&history, stream, low, time_us, &time));
    if (time > time_us)
        return VDE_NOT_FOUND;
    while (high - low > 1) { /* time(low) <= time_us < time(high) */
        uint64_t middle = low + (high - low) / 2;
        VDE_TRY(entry_time(&history, stream, middle, time_us, &time));
        if (time <= time_us)
            low = middle;
        else
            high = middle;
    }
    *ret_number = low;
    return VDE_OK;
}

vde_status vde_stream_open(vde_view *view, uint64_t stream, uint64_t from, vde_stream_cursor **ret_cursor)
{
    vde_stream_cursor *cursor = calloc(1, sizeof *cursor);
    if (!cursor)
        return fail_nomem("stream cursor");
    cursor->stream = stream;
    cursor->next = from;
    vde_status status = history_of(view, stream, &cursor->map);
    uint64_t start = from;
    if (status == VDE_OK) { /* the batch that holds `from` begins at or before it */
        struct tree_cursor *tree;
        struct tree_value value;
        uint64_t first;
        status = find_batch(&cursor->map, stream, from, &tree, &first, &value);
        if (status == VDE_OK) {
            start = first;
            tree_cursor_close(tree);
        }
        if (status == VDE_NOT_FOUND)
            status = VDE_OK;
    }
    uint8_t key[16];
    if (status == VDE_OK)
        status = map_cursor_open(&cursor->map, key, key_stream(key, stream, start), &cursor->cursor);
    if (status != VDE_OK) {
        vde_stream_close(cursor);
        return status;
    }
    *ret_cursor = cursor;
    return VDE_OK;
}

void vde_stream_close(vde_stream_cursor *cursor)
{
    if (!cursor)
        return;
    map_cursor_close(cursor->cursor);
    batch_done(&cursor->batch);
    free(cursor->big);
    free(cursor);
}

static vde_status read_big(vde_stream_cursor *cursor, uint64_t number, struct vde_entry *entry)
{
    uint8_t key[16];
    enum value_kind kind;
    void *data = NULL;
    size_t size;
    uint64_t lsn;
    vde_status status = map_get(&cursor->map, key, key_stream(key, cursor->stream | STREAM_BIG_BIT, number), &kind,
                                &data, &size, &lsn);
    if (status == VDE_NOT_FOUND || (status == VDE_OK && kind != VALUE_SPILLED)) {
        free(data);
        return fail_corrupt("stream %llu entry %llu|no bytes|a spilled value", (unsigned long long)cursor->stream,
                            (unsigned long long)number);
    }
    VDE_TRY(status);
    free(cursor->big);
    cursor->big = NULL;
    status = spill_read(cursor->map.store, data, size, &cursor->big, &entry->size);
    free(data);
    entry->data = cursor->big;
    return status;
}

/* Take entry `next` out of the batch in memory. */
static vde_status from_batch(vde_stream_cursor *cursor, struct vde_entry *ret_entry)
{
    uint32_t index = (uint32_t)(cursor->next - cursor->batch.first);
    struct disk_batch_entry entry = batch_entry(&cursor->batch, index);
    *ret_entry = (struct vde_entry){cursor->next, le64_get(entry.lsn), le64_get(entry.time_us),
                                    cursor->batch.raw + cursor->batch.offsets[index], le32_get(entry.size)};
    cursor->next++;
    return le32_get(entry.flags) & ENTRY_BIG ? read_big(cursor, ret_entry->number, ret_entry) : VDE_OK;
}

static vde_status from_overlay(vde_stream_cursor *cursor, const struct map_value *value, struct vde_entry *ret_entry)
{
    struct disk_log_entry head;
    memcpy(&head, value->data, sizeof head);
    *ret_entry = (struct vde_entry){cursor->next, value->lsn, le64_get(head.time_us), value->data + sizeof head,
                                    value->size - sizeof head};
    cursor->next++;
    bool big = (le32_get(head.flags) & ENTRY_BIG) != 0;
    vde_status status = big ? read_big(cursor, ret_entry->number, ret_entry) : VDE_OK;
    return status == VDE_OK ? map_cursor_next(cursor->cursor) : status;
}

vde_status vde_stream_next(vde_stream_cursor *cursor, struct vde_entry *ret_entry)
{
    for (;;) {
        if (cursor->batch.raw && cursor->next >= cursor->batch.first &&
            cursor->next - cursor->batch.first < cursor->batch.count)
            return from_batch(cursor, ret_entry);
        batch_done(&cursor->batch);
        if (!map_cursor_valid(cursor->cursor))
            return VDE_NOT_FOUND;
        const uint8_t *key;
        size_t size;
        struct map_value value;
        map_cursor_record(cursor->cursor, &key, &size, &value);
        if (size != 16 || be64_get(key) != cursor->stream)
            return VDE_NOT_FOUND;
        uint64_t number = be64_get(key + 8);
        if (cursor->next < number)
            cursor->next = number; /* before the first entry */
        if (value.lsn != 0) {
            if (number < cursor->next) {
                VDE_TRY(map_cursor_next(cursor->cursor));
                continue;
            }
            return from_overlay(cursor, &value, ret_entry);
        }
        VDE_TRY(batch_read(cursor->map.store, cursor->stream, number, value.kind, value.data, value.size,
                           &cursor->batch));
        VDE_TRY(map_cursor_next(cursor->cursor));
    }
}
