/* SPDX-License-Identifier: Apache-2.0 */
/* volume_verify.c -- what an image shows of its volumes against the oracle. */
#include <stdarg.h>

#include "unit/pool/engine.h"
#include "stamps.h"
#include "volume_world.h"

static void VDE_PRINTF(1, 2) differ(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "; last error: %s\n", vde_last_error()->text);
    abort();
}

void verify_bytes(const struct content *content, uint64_t sector, uint64_t count, const uint8_t *bytes, const char *object)
{
    for (uint64_t i = 0; i < count; i++)
        if (!stamp_matches(bytes + i * STAMP_BYTES, content_stamp(content, sector + i)))
            differ("%s: sector %llu (block %llu of the window) begins with stamp %llu, expected %llu", object,
                   (unsigned long long)(sector + i), (unsigned long long)((sector + i) / BLOCK_SECTORS),
                   (unsigned long long)stamp_of(bytes + i * STAMP_BYTES),
                   (unsigned long long)content_stamp(content, sector + i));
}

static bool kind_fits(enum block_kind kind, bool data)
{
    return kind == BLOCK_MAY_BE_DATA || (kind == BLOCK_IS_DATA) == data;
}

void verify_status(const struct volume *volume, const struct content *content, vde_volume *handle, uint64_t first,
                   const char *object)
{
    uint64_t size = volume_bytes(volume, content), at = volume->base + first * STAMP_BYTES;
    while (at < size) {
        enum vde_block_state state;
        uint64_t bytes = 0;
        OK(vde_volume_block_status(handle, at, size - at, &state, &bytes));
        if (bytes == 0 || bytes > size - at)
            differ("%s: block status of %llu bytes at %llu of %llu", object, (unsigned long long)bytes,
                   (unsigned long long)at, (unsigned long long)size);
        uint64_t begin = (at - volume->base) / STAMP_BYTES / BLOCK_SECTORS;
        uint64_t end = (at + bytes - 1 - volume->base) / STAMP_BYTES / BLOCK_SECTORS;
        for (uint64_t block = begin; block <= end; block++)
            if (!kind_fits(content_kind(content, block), state == VDE_BLOCK_DATA))
                differ("%s: block %llu of the window has status %u, expected kind %u", object, (unsigned long long)block,
                       (unsigned)state, (unsigned)content_kind(content, block));
        at += bytes;
    }
}

/* Nothing was ever written in front of the window. */
static void verify_front(struct world *w, const struct volume *volume, vde_volume *handle, const char *object)
{
    enum vde_block_state state;
    uint64_t bytes;
    if (volume->base == 0)
        return;
    uint64_t at = volume->base / 2;
    OK(vde_volume_block_status(handle, 0, volume->base, &state, &bytes));
    if (state == VDE_BLOCK_DATA || bytes == 0)
        differ("%s: status %u over %llu bytes in front", object, (unsigned)state, (unsigned long long)bytes);
    OK(vde_volume_read(handle, w->buffer, 8192, at));
    for (unsigned i = 0; i < 8192; i++)
        if (w->buffer[i])
            differ("%s: byte %llu is not zero", object, (unsigned long long)(at + i));
}

void verify_handle(struct world *w, const struct volume *volume, const struct content *content, vde_volume *handle,
                   const char *object)
{
    if (vde_volume_size(handle) != volume_bytes(volume, content))
        differ("%s: %llu bytes, expected %llu", object, (unsigned long long)vde_volume_size(handle),
               (unsigned long long)volume_bytes(volume, content));
    memset(w->buffer, 0xee, content->sectors * STAMP_BYTES);
    OK(vde_volume_read(handle, w->buffer, content->sectors * STAMP_BYTES, volume->base));
    verify_bytes(content, 0, content->sectors, w->buffer, object);
    verify_status(volume, content, handle, 0, object);
    verify_front(w, volume, handle, object);
}

static void verify_snapshot_of(struct world *w, vde_image *image, const struct volume *volume, const struct snap *snap,
                               const char *where)
{
    char name[NAME_BYTES], snapshot[NAME_BYTES], object[4 * NAME_BYTES];
    vde_volume *handle;
    volume_name(volume->name, name);
    snapshot_name(snap->name, snapshot);
    snprintf(object, sizeof object, "%s%s@%s", where, name, snapshot);
    vde_status status = vde_volume_open(image, name, snapshot, &handle);
    if (status != VDE_OK)
        differ("%s: does not open", object);
    verify_handle(w, volume, &snap->content, handle, object);
    EXPECT(VDE_READ_ONLY, vde_volume_write(handle, w->buffer, STAMP_BYTES, volume->base, 0));
    vde_volume_close(handle);
}

void verify_snapshot(struct world *w, unsigned slot, const struct snap *snap)
{
    verify_snapshot_of(w, w->image, &w->now.volumes[slot], snap, "");
}

/* --- differences ------------------------------------------------------------------------------------------------------ */

struct diff {
    const struct volume *volume;
    const struct content *from, *to;
    uint64_t at;      /* sector of the window up to which all is said */
    uint64_t end;     /* bytes: the end of the last range */
    bool strict;
    char object[4 * NAME_BYTES];
};

static bool same_content(const struct diff *d, uint64_t block)
{
    for (uint64_t s = block * BLOCK_SECTORS; s < (block + 1) * BLOCK_SECTORS; s++) {
        uint64_t from = d->from && s < d->from->sectors ? content_stamp(d->from, s) : 0;
        uint64_t to = s < d->to->sectors ? content_stamp(d->to, s) : 0;
        if (from != to)
            return false;
    }
    return true;
}

static enum block_kind kind_before(const struct diff *d, uint64_t block)
{
    return d->from ? content_kind(d->from, block) : BLOCK_IS_HOLE;
}

/* Blocks up to `end` were not reported. */
static void skipped(struct diff *d, uint64_t end)
{
    for (; d->at < end; d->at++) {
        enum block_kind before = kind_before(d, d->at), after = content_kind(d->to, d->at);
        bool mapped = d->from ? before + after == BLOCK_IS_DATA && before != after /* one a hole, the other data */
                              : after == BLOCK_IS_DATA;
        if (!same_content(d, d->at) || mapped)
            differ("%s: block %llu differs (kinds %u, %u), was not reported", d->object, (unsigned long long)d->at, before,
                   after);
    }
}

static vde_status differing(void *context, const struct vde_diff_range *range)
{
    struct diff *d = context;
    if (range->offset < d->end || range->size == 0 || range->offset < d->volume->base || range->offset % 4096)
        differ("%s: range %llu + %llu after %llu", d->object, (unsigned long long)range->offset,
               (unsigned long long)range->size, (unsigned long long)d->end);
    d->end = range->offset + range->size;
    uint64_t begin = (range->offset - d->volume->base) / 4096, end = (d->end - d->volume->base + 4095) / 4096;
    skipped(d, begin);
    for (; d->at < end; d->at++) {
        enum block_kind before = kind_before(d, d->at), after = content_kind(d->to, d->at);
        if (!kind_fits(before, range->from_data) || !kind_fits(after, range->to_data))
            differ("%s: block %llu: from_data %d, to_data %d; expected kinds %u and %u", d->object,
                   (unsigned long long)d->at, range->from_data, range->to_data, before, after);
        if (d->strict && d->from && content_version(d->from, d->at) == content_version(d->to, d->at))
            differ("%s: block %llu was reported, is the same", d->object, (unsigned long long)d->at);
    }
    return VDE_OK;
}

void verify_diff(struct world *w, unsigned slot, const struct snap *from, const struct snap *to)
{
    const struct volume *volume = &w->now.volumes[slot];
    struct diff d = {.volume = volume, .from = from ? &from->content : NULL, .to = to ? &to->content : &volume->now};
    char name[NAME_BYTES], first[NAME_BYTES], second[NAME_BYTES];
    vde_view *view;
    volume_name(volume->name, name);
    snapshot_name(from ? from->name : 0, first);
    snapshot_name(to ? to->name : 0, second);
    snprintf(d.object, sizeof d.object, "diff of %s from %s to %s", name, from ? first : "-", to ? second : "-");
    d.strict = !volume->compression && !volume->moved;
    OK(vde_view_open_pending(w->image, &view));
    vde_status status = vde_volume_diff(view, name, from ? first : NULL, to ? second : NULL, differing, &d);
    if (status != VDE_OK)
        differ("%s: %s", d.object, vde_status_name(status));
    vde_view_close(view);
    skipped(&d, CHUNKS * CHUNK_BLOCKS);
}

/* --- a whole image ---------------------------------------------------------------------------------------------------- */

static void verify_info(vde_view *view, const struct volume *volume, const char *where)
{
    char name[NAME_BYTES];
    struct vde_volume_info info;
    uint64_t snapshots = 0;
    volume_name(volume->name, name);
    vde_status status = vde_volume_get(view, name, &info);
    if (status != VDE_OK)
        differ("%s%s: %s", where, name, vde_status_name(status));
    for (unsigned i = 0; i < VOLUME_SNAPSHOTS; i++)
        snapshots += volume->snaps[i].name != 0;
    if (strcmp(info.name, name) != 0 || info.size_bytes != volume_bytes(volume, &volume->now) ||
        info.compression != volume->compression ||
        (!volume->clone && ((info.flags & VDE_VOLUME_PREALLOC) != 0) != volume->prealloc))
        differ("%s%s: told to be '%s', %llu bytes, compression %u, flags %u", where, name, info.name,
               (unsigned long long)info.size_bytes, info.compression, info.flags);
    if (info.snapshots != snapshots)
        differ("%s%s: %llu snapshots, expected %llu", where, name, (unsigned long long)info.snapshots,
               (unsigned long long)snapshots);
    char origin[NAME_BYTES] = "";
    if (volume->origin)
        volume_name(volume->origin, origin);
    if (volume->origin && strcmp(origin, info.origin_volume) != 0)
        differ("%s%s: comes from '%s', expected '%s'", where, name, info.origin_volume, origin);
}

struct names {
    const struct state *state;
    const struct volume *volume;
    uint64_t count, order;
    const char *where;
};

static vde_status volume_listed(void *context, const struct vde_volume_info *info)
{
    struct names *names = context;
    char name[NAME_BYTES];
    for (unsigned i = 0; i < VOLUMES; i++) {
        volume_name(names->state->volumes[i].name, name);
        if (names->state->volumes[i].name && strcmp(name, info->name) == 0) {
            names->count++;
            return VDE_OK;
        }
    }
    differ("%s: volume '%s' is listed", names->where, info->name);
    return VDE_OK;
}

static vde_status snapshot_listed(void *context, const struct vde_snapshot_info *info)
{
    struct names *names = context;
    char name[NAME_BYTES];
    for (unsigned i = 0; i < VOLUME_SNAPSHOTS; i++) {
        const struct snap *snap = &names->volume->snaps[i];
        snapshot_name(snap->name, name);
        if (snap->name && strcmp(name, info->name) == 0) {
            if (names->count > 0 && snap->order < names->order)
                differ("%s: snapshot '%s' is not listed in order", names->where, name);
            names->order = snap->order;
            names->count++;
            return VDE_OK;
        }
    }
    differ("%s: snapshot '%s' is listed", names->where, info->name);
    return VDE_OK;
}

static void verify_lists(vde_view *view, const struct state *state, const char *where)
{
    struct names names = {.state = state, .where = where};
    uint64_t volumes = 0;
    OK(vde_volume_list(view, volume_listed, &names));
    for (unsigned i = 0; i < VOLUMES; i++)
        volumes += state->volumes[i].name != 0;
    if (names.count != volumes)
        differ("%s: %llu volumes are listed, expected %llu", where, (unsigned long long)names.count,
               (unsigned long long)volumes);
    for (unsigned i = 0; i < VOLUMES; i++) {
        struct names listed = {.volume = &state->volumes[i], .where = where};
        struct vde_volume_info info;
        char name[NAME_BYTES];
        uint64_t snapshots = 0;
        if (!state->volumes[i].name)
            continue;
        volume_name(state->volumes[i].name, name);
        OK(vde_volume_get(view, name, &info));
        OK(vde_snapshot_list(view, info.id, false, snapshot_listed, &listed));
        for (unsigned s = 0; s < VOLUME_SNAPSHOTS; s++)
            snapshots += state->volumes[i].snaps[s].name != 0;
        if (listed.count != snapshots)
            differ("%s%s: %llu snapshots are listed, expected %llu", where, name, (unsigned long long)listed.count,
                   (unsigned long long)snapshots);
    }
}

static void verify_keys(vde_kv *kv, const uint64_t *stamps, const char *object)
{
    for (unsigned k = 0; k < KV_KEYS; k++) {
        struct vde_bytes value = {NULL, 0};
        char key[8];
        snprintf(key, sizeof key, "%03u", k);
        EXPECT(stamps[k] ? VDE_OK : VDE_NOT_FOUND, vde_kv_get(kv, key, 3, &value));
        if (!stamps[k])
            continue;
        if (value.size != STAMP_BYTES || !stamp_matches(value.data, stamps[k]))
            differ("%s: key %s is not of stamp %llu", object, key, (unsigned long long)stamps[k]);
        vde_bytes_free(&value);
    }
}

static void verify_rest(struct world *w, vde_view *view, const struct state *state, const char *where)
{
    vde_kv *kv;
    uint64_t first, last, tag;
    OK(vde_kv_open(view, w->kv_id, &kv));
    verify_keys(kv, state->kv, where);
    vde_kv_close(kv);
    if (state->kv_has_snapshot) {
        OK(vde_snapshot_tag(view, w->kv_id, "kept", &tag));
        OK(vde_kv_open_snapshot(view, w->kv_id, tag, &kv));
        verify_keys(kv, state->kv_snapshot, where);
        vde_kv_close(kv);
    } else {
        EXPECT(VDE_NOT_FOUND, vde_snapshot_tag(view, w->kv_id, "kept", &tag));
    }
    if (state->entries == 0)
        return;
    OK(vde_stream_range(view, state->stream, &first, &last));
    REQUIRE(first == 0 && last == state->entries - 1);
    vde_stream_cursor *cursor;
    struct vde_entry entry;
    OK(vde_stream_open(view, state->stream, 0, &cursor));
    for (uint64_t n = 0; n < state->entries; n++) {
        OK(vde_stream_next(cursor, &entry));
        REQUIRE(entry.number == n && entry.size == STAMP_BYTES && stamp_matches(entry.data, n + 1));
    }
    vde_stream_close(cursor);
}

void verify_state(struct world *w, vde_image *image, const struct state *state, bool all)
{
    const char *where = image == w->image ? "" : "image snapshot: ";
    vde_view *view;
    OK(image == w->image ? vde_view_open_pending(image, &view) : vde_view_open(image, &view));
    verify_lists(view, state, where);
    for (unsigned i = 0; i < VOLUMES; i++)
        if (state->volumes[i].name)
            verify_info(view, &state->volumes[i], where);
    verify_rest(w, view, state, where);
    vde_view_close(view);
    for (unsigned i = 0; i < VOLUMES; i++) {
        const struct volume *volume = &state->volumes[i];
        char name[NAME_BYTES];
        vde_volume *handle;
        if (!volume->name)
            continue;
        volume_name(volume->name, name);
        OK(vde_volume_open(image, name, NULL, &handle));
        verify_handle(w, volume, &volume->now, handle, name);
        vde_volume_close(handle);
        for (unsigned s = 0; s < VOLUME_SNAPSHOTS && all; s++)
            if (volume->snaps[s].name)
                verify_snapshot_of(w, image, volume, &volume->snaps[s], where);
    }
}

void verify_image_snapshot(struct world *w, unsigned index)
{
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    char name[NAME_BYTES];
    vde_image *image;
    snapshot_name(w->images[index].name, name);
    opts.flags = VDE_OPEN_READ_ONLY;
    opts.snapshot = name;
    OK(vde_image_open_device(w->device, &opts, &image));
    verify_state(w, image, &w->images[index].state, true);
    OK(vde_image_close(image));
}
