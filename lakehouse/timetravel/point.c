/* SPDX-License-Identifier: Apache-2.0 */
#include "timetravel/point.h"

#include <stdio.h>

#include "model/time.h"
#include "state/fail.h"
#include "txlog/pack.h"

vde_status lh_point_time(struct lh_point *point, uint64_t version, uint64_t *ret_time_us)
{
    vde_stream_cursor *cursor = NULL;
    struct vde_entry entry;
    vde_status status = vde_stream_open(point->catalog.view, point->record.id, version, &cursor);
    if (status == VDE_OK) {
        status = vde_stream_next(cursor, &entry);
        if (status == VDE_OK && entry.number != version)
            status = VDE_NOT_FOUND;
        if (status == VDE_OK)
            *ret_time_us = entry.time_us;
        vde_stream_close(cursor);
    }
    if (status == VDE_NOT_FOUND)
        return lh_fail(LH_VERSION_NOT_FOUND, "table %s|no version %llu|one of %llu to %llu", point->record.name,
                       (unsigned long long)version, (unsigned long long)point->first, (unsigned long long)point->latest);
    return status;
}

static vde_status at_time(struct lh_point *point, uint64_t time_us)
{
    char asked[LH_TIME_TEXT], have[LH_TIME_TEXT];
    lh_time_print(time_us, asked);
    vde_status status = vde_stream_find_time(point->catalog.view, point->record.id, time_us, &point->version);
    if (status == VDE_NOT_FOUND) {
        uint64_t first_us = 0;
        LH_TRY(lh_point_time(point, point->first, &first_us));
        lh_time_print(first_us, have);
        return lh_fail(LH_VERSION_NOT_FOUND, "table %s|%s, before its first version|a time from %s (version %llu) on",
                       point->record.name, asked, have, (unsigned long long)point->first);
    }
    LH_TRY(status);
    LH_TRY(lh_point_time(point, point->version, &point->time_us));
    if (point->version == point->latest && time_us > point->time_us) {
        lh_time_print(point->time_us, have);
        snprintf(point->note, sizeof point->note, "%s is after the last version: this is version %llu of %s", asked,
                 (unsigned long long)point->version, have);
    }
    return VDE_OK;
}

static vde_status at_version(struct lh_point *point, uint64_t version)
{
    atomic_fetch_add(&point->catalog.lakehouse->queries_version, 1);
    if (version > point->latest || version < point->first)
        return lh_fail(LH_VERSION_NOT_FOUND, "table %s|no version %llu|one of %llu to %llu", point->record.name,
                       (unsigned long long)version, (unsigned long long)point->first, (unsigned long long)point->latest);
    point->version = version;
    return lh_point_time(point, version, &point->time_us);
}

static vde_status go_to(struct lh_point *point, const struct lh_spec *spec)
{
    struct lh_lakehouse *lakehouse = point->catalog.lakehouse;
    struct lh_tag_record tag;
    point->note[0] = '\0';
    lh_described_unref(point->described);
    point->described = NULL;
    switch (spec->kind) {
    case LH_SPEC_VERSION:
        return at_version(point, spec->version);
    case LH_SPEC_TAG:
        LH_TRY(lh_catalog_tag(&point->catalog, &point->record, spec->tag, &tag));
        return at_version(point, tag.version);
    case LH_SPEC_TIME:
        atomic_fetch_add(&lakehouse->queries_time, 1);
        return at_time(point, spec->time_us);
    case LH_SPEC_LATEST:
        break;
    }
    atomic_fetch_add(&lakehouse->queries_latest, 1);
    point->version = point->latest;
    /* The entry of a version is read for its time; it may be large. */
    point->described = lh_described_find(lakehouse, &point->record, point->first, point->latest);
    if (point->described) {
        point->time_us = point->described->info->time_us;
        return VDE_OK;
    }
    return lh_point_time(point, point->version, &point->time_us);
}

vde_status lh_point_open(lh_lakehouse *lakehouse, const char *table, struct lh_point *ret_point)
{
    struct lh_point point = {.version = 0};
    struct lh_spec spec;
    uint64_t id;
    if (!lakehouse || !table)
        return vde_error_set(VDE_INVAL, "table name", "NULL", "a name");
    LH_TRY(lh_fail_again(lh_spec_parse(lh_slice_of(table), lh_now_us(), &spec), LH_NAME));
    LH_TRY(lh_catalog_open(lakehouse, false, &point.catalog));
    vde_status status = lh_catalog_table(&point.catalog, spec.name, &id, &point.record);
    if (status == VDE_OK)
        status = vde_stream_range(point.catalog.view, id, &point.first, &point.latest);
    if (status == VDE_OK)
        status = go_to(&point, &spec);
    if (status != VDE_OK) {
        lh_point_close(&point);
        return status;
    }
    *ret_point = point;
    return VDE_OK;
}

vde_status lh_point_move(struct lh_point *point, const char *to)
{
    struct lh_buffer text = LH_BUFFER_INIT;
    struct lh_spec spec;
    if (lh_slice_is(lh_slice_of(to), "latest")) {
        spec = (struct lh_spec){.kind = LH_SPEC_LATEST};
        return go_to(point, &spec);
    }
    lh_buffer_text(&text, "t@");
    lh_buffer_text(&text, to);
    vde_status status = lh_buffer_status(&text);
    if (status == VDE_OK)
        status = lh_fail_again(lh_spec_parse((struct lh_slice){text.data, text.size}, lh_now_us(), &spec), LH_NAME);
    if (status == VDE_OK)
        status = go_to(point, &spec);
    lh_buffer_done(&text);
    return status;
}

void lh_point_close(struct lh_point *point)
{
    lh_described_unref(point->described);
    lh_catalog_close(&point->catalog);
    lh_table_record_done(&point->record);
}

vde_status lh_point_state(struct lh_point *point, struct lh_state **ret_state)
{
    char what[320];
    struct lh_state_ids ids = {point->record.id, point->record.state, point->record.paths};
    if (point->record.opaque)
        return lh_fail(LH_OPAQUE, "table %s|%s|what this engine supports", point->record.name, point->record.opaque);
    snprintf(what, sizeof what, "table %s", point->record.name);
    LH_TRY(lh_state_load(point->catalog.view, &ids, point->version, what, ret_state));
    atomic_fetch_add(&point->catalog.lakehouse->replayed, (*ret_state)->replayed_entries);
    return VDE_OK;
}

vde_status lh_resolve(lh_lakehouse *lakehouse, const char *table, struct lh_resolved **ret_resolved)
{
    struct lh_point point;
    LH_TRY(lh_point_open(lakehouse, table, &point));
    struct lh_buffer uri = LH_BUFFER_INIT;
    lh_uri(lakehouse, point.record.name, &uri);
    struct lh_pack pack = LH_PACK_INIT;
    while (lh_pack_pass(&pack)) {
        struct lh_resolved *r = lh_pack_alloc(&pack, 1, sizeof *r);
        const char *name = lh_pack_text(&pack, lh_slice_of(point.record.name));
        const char *uri_text = lh_pack_text(&pack, (struct lh_slice){uri.data, uri.size});
        const char *note = point.note[0] ? lh_pack_text(&pack, lh_slice_of(point.note)) : NULL;
        if (r)
            *r = (struct lh_resolved){name, uri_text, point.record.id, point.version, point.time_us, point.latest, note};
    }
    lh_buffer_done(&uri);
    lh_point_close(&point);
    return lh_pack_done(&pack, (void **)ret_resolved);
}

vde_status lh_versions_between(lh_lakehouse *lakehouse, const char *table, uint64_t from_us, uint64_t to_us,
                               uint64_t *ret_first, uint64_t *ret_last)
{
    struct lh_point point;
    LH_TRY(lh_point_open(lakehouse, table, &point));
    atomic_fetch_add(&lakehouse->queries_time, 1);
    uint64_t before = 0, last = 0, first = point.first;
    vde_status status = from_us > to_us ? VDE_NOT_FOUND
                                        : vde_stream_find_time(point.catalog.view, point.record.id, to_us, &last);
    if (status == VDE_OK && from_us > 0) {
        vde_status earlier = vde_stream_find_time(point.catalog.view, point.record.id, from_us - 1, &before);
        if (earlier == VDE_OK)
            first = before + 1;
        else if (earlier != VDE_NOT_FOUND)
            status = earlier;
    }
    if (status == VDE_OK && first > last)
        status = VDE_NOT_FOUND;
    if (status == VDE_NOT_FOUND)
        status = lh_fail(VDE_NOT_FOUND, "table %s|no version in that range of times|one", point.record.name);
    if (status == VDE_OK) {
        *ret_first = first;
        *ret_last = last;
    }
    lh_point_close(&point);
    return status;
}
