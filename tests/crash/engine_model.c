/* SPDX-License-Identifier: Apache-2.0 */
#include "engine_model.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

void model_key(unsigned index, char ret_key[32])
{
    snprintf(ret_key, 32, "key %u", index);
}

void model_dataset_name(unsigned index, char ret_name[32])
{
    snprintf(ret_name, 32, "dataset %u", index);
}

void *model_bytes(const struct model_value *value)
{
    void *bytes = malloc(value->size ? value->size : 1);
    if (!bytes)
        exit(99);
    fill_bytes(bytes, value->size, value->seed);
    return bytes;
}

/* An error that says so is not wrong data: `why` then begins with "CORRUPT" or "IO". */
static bool VDE_PRINTF(2, 3) differs(char why[MODEL_WHY], const char *format, ...)
{
    va_list args;
    vde_status status = vde_last_error()->status;
    int used = snprintf(why, MODEL_WHY, "%s", status == VDE_CORRUPT ? "CORRUPT: " : status == VDE_IO ? "IO: " : "");
    va_start(args, format);
    vsnprintf(why + used, MODEL_WHY - (size_t)used, format, args);
    va_end(args);
    return false;
}

static bool same(const struct model_value *value, const void *data, size_t size)
{
    return size == value->size && bytes_equal_seed(data, size, value->seed);
}

/* Point lookups and a full scan agree with the keys. */
static bool keys_match(vde_kv *kv, const struct model_value *keys, const char *name, char why[MODEL_WHY])
{
    char key[32];
    unsigned present = 0;
    for (unsigned k = 0; k < MODEL_KEYS; k++) {
        struct vde_bytes bytes = {NULL, 0};
        model_key(k, key);
        vde_status status = vde_kv_get(kv, key, strlen(key), &bytes);
        bool good = keys[k].seed ? status == VDE_OK && same(&keys[k], bytes.data, bytes.size) : status == VDE_NOT_FOUND;
        size_t size = bytes.size;
        if (status == VDE_OK)
            vde_bytes_free(&bytes);
        if (!good)
            return differs(why, "%s %s: %s, %zu bytes; expected %llu bytes of seed %llu", name, key,
                           vde_status_name(status), size, (unsigned long long)keys[k].size,
                           (unsigned long long)keys[k].seed);
        present += keys[k].seed != 0;
    }
    vde_cursor *cursor;
    if (vde_cursor_open(kv, NULL, 0, &cursor) != VDE_OK)
        return differs(why, "%s: cursor: %s", name, vde_last_error()->text);
    vde_status status;
    const void *at, *value;
    size_t at_size, value_size;
    unsigned found = 0;
    while ((status = vde_cursor_get(cursor, &at, &at_size, &value, &value_size)) == VDE_OK) {
        found++;
        if ((status = vde_cursor_next(cursor)) != VDE_OK && status != VDE_NOT_FOUND)
            break;
    }
    vde_cursor_close(cursor);
    if (status != VDE_NOT_FOUND || found != present)
        return differs(why, "%s: a scan finds %u keys and ends with %s; expected %u", name, found,
                       vde_status_name(status), present);
    return true;
}

static bool snapshots_match(vde_view *view, const struct model_dataset *d, const char *name, char why[MODEL_WHY])
{
    for (unsigned s = 0; s < MODEL_SNAPSHOTS; s++) {
        if (!d->snapshots[s].tag)
            continue;
        vde_kv *kv;
        char object[64];
        snprintf(object, sizeof object, "%s snapshot %llu", name, (unsigned long long)d->snapshots[s].tag);
        if (vde_kv_open_snapshot(view, d->id, d->snapshots[s].tag, &kv) != VDE_OK)
            return differs(why, "%s: %s", object, vde_last_error()->text);
        bool good = keys_match(kv, d->snapshots[s].keys, object, why);
        vde_kv_close(kv);
        if (!good)
            return false;
    }
    /* Going down from the greatest tag finds exactly those. */
    uint64_t tag = UINT64_MAX, found;
    unsigned count = 0, expected = 0;
    while (vde_snapshot_find(view, d->id, tag, &found) == VDE_OK && count < 100) {
        count++;
        tag = found - 1;
    }
    for (unsigned s = 0; s < MODEL_SNAPSHOTS; s++)
        expected += d->snapshots[s].tag != 0;
    return count == expected || differs(why, "%s: %u snapshots; expected %u", name, count, expected);
}

static bool dataset_matches(vde_view *view, const struct model_dataset *d, unsigned index, char why[MODEL_WHY])
{
    char name[32];
    uint64_t id = 0;
    vde_kv *kv;
    model_dataset_name(index, name);
    vde_status status = vde_dataset_find(view, name, &id);
    if (!d->exists) {
        if (status != VDE_NOT_FOUND)
            return differs(why, "%s: found: %s; expected none", name, vde_status_name(status));
        if (d->id == 0)
            return true;
        status = vde_kv_open(view, d->id, &kv);
        if (status == VDE_OK)
            vde_kv_close(kv);
        return status == VDE_NOT_FOUND || differs(why, "%s: dropped, opens: %s", name, vde_status_name(status));
    }
    if (status != VDE_OK || id != d->id)
        return differs(why, "%s: %s, id %llu; expected %llu", name, vde_status_name(status), (unsigned long long)id,
                       (unsigned long long)d->id);
    if (vde_kv_open(view, id, &kv) != VDE_OK)
        return differs(why, "%s: %s", name, vde_last_error()->text);
    bool good = keys_match(kv, d->keys, name, why);
    vde_kv_close(kv);
    return good && snapshots_match(view, d, name, why);
}

static bool entries_match(vde_view *view, const struct model_stream *s, unsigned index, char why[MODEL_WHY])
{
    vde_stream_cursor *cursor;
    if (vde_stream_open(view, s->id, s->first, &cursor) != VDE_OK)
        return differs(why, "stream %u: %s", index, vde_last_error()->text);
    bool good = true;
    uint64_t time = 0, lsn = 0;
    struct vde_entry entry;
    for (uint64_t i = 0; i < s->count && good; i++) {
        vde_status status = vde_stream_next(cursor, &entry);
        if (status != VDE_OK)
            good = differs(why, "stream %u entry %llu: %s", index, (unsigned long long)(s->first + i),
                           vde_last_error()->text);
        else if (entry.number != s->first + i || entry.time_us < time || entry.lsn < lsn ||
                 !same(&s->entries[i], entry.data, entry.size))
            good = differs(why, "stream %u entry %llu: number %llu of %zu bytes; expected %llu bytes of seed %llu", index,
                           (unsigned long long)(s->first + i), (unsigned long long)entry.number, entry.size,
                           (unsigned long long)s->entries[i].size, (unsigned long long)s->entries[i].seed);
        time = entry.time_us;
        lsn = entry.lsn;
    }
    if (good && vde_stream_next(cursor, &entry) != VDE_NOT_FOUND)
        good = differs(why, "stream %u: an entry after the last", index);
    vde_stream_close(cursor);
    return good;
}

static bool stream_matches(vde_view *view, const struct model_stream *s, unsigned index, char why[MODEL_WHY])
{
    uint64_t first = 0, last = 0;
    if (s->id == 0)
        return true;
    vde_status status = vde_stream_range(view, s->id, &first, &last);
    if (s->dropped || s->count == 0)
        return status == VDE_NOT_FOUND || differs(why, "stream %u: %s, %llu to %llu; expected none", index,
                                                  vde_status_name(status), (unsigned long long)first,
                                                  (unsigned long long)last);
    if (status != VDE_OK || first != s->first || last != s->first + s->count - 1)
        return differs(why, "stream %u: %s, %llu to %llu; expected %llu to %llu", index, vde_status_name(status),
                       (unsigned long long)first, (unsigned long long)last, (unsigned long long)s->first,
                       (unsigned long long)(s->first + s->count - 1));
    return entries_match(view, s, index, why);
}

static bool file_matches(vde_view *view, const struct model_file *f, unsigned index, char why[MODEL_WHY])
{
    vde_file *file;
    if (f->id == 0)
        return true;
    vde_status status = vde_file_open(view, f->id, &file);
    if (!f->exists) {
        if (status == VDE_OK)
            vde_file_close(file);
        return status == VDE_NOT_FOUND || differs(why, "file %u: %s; expected none", index, vde_status_name(status));
    }
    if (status != VDE_OK)
        return differs(why, "file %u: %s", index, vde_last_error()->text);
    size_t size = (size_t)f->bytes.size;
    uint8_t *bytes = malloc(size + 1);
    bool good = bytes && vde_file_size(file) == size && vde_file_read(file, bytes, size, 0) == VDE_OK &&
                bytes_equal_seed(bytes, size, f->bytes.seed);
    if (!good)
        differs(why, "file %u: %llu bytes, %s; expected %zu bytes of seed %llu", index,
                (unsigned long long)vde_file_size(file), vde_last_error()->text, size,
                (unsigned long long)f->bytes.seed);
    free(bytes);
    vde_file_close(file);
    return good;
}

bool engine_matches(vde_image *image, const struct engine_model *model, char why[MODEL_WHY])
{
    vde_view *view;
    vde_error_clear();
    if (vde_view_open(image, &view) != VDE_OK)
        return differs(why, "view: %s", vde_last_error()->text);
    bool good = true;
    for (unsigned i = 0; i < MODEL_DATASETS && good; i++)
        good = dataset_matches(view, &model->datasets[i], i, why);
    for (unsigned i = 0; i < MODEL_STREAMS && good; i++)
        good = stream_matches(view, &model->streams[i], i, why);
    for (unsigned i = 0; i < MODEL_FILES && good; i++)
        good = file_matches(view, &model->files[i], i, why);
    vde_view_close(view);
    return good;
}
