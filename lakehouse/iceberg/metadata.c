/* SPDX-License-Identifier: Apache-2.0 */
/* metadata.c -- Iceberg table metadata (format version 2) out of the table's log: one walk over its entries collects
 * schemas and snapshots. The version of a commit is its sequence number. */
#include <lakehouse/iceberg.h>

#include "model/schema.h"
#include "state/fail.h"
#include "timetravel/point.h"
#include "txlog/partitions.h"

struct printing {
    struct lh_point *point;
    struct lh_buffer *out;
    struct lh_buffer schemas;    /* elements of the array */
    struct lh_buffer snapshots;
    struct lh_buffer log;
    struct lh_buffer location;
    int64_t last_schema_id;
    uint64_t current_snapshot;   /* 0: none */
    int64_t files, bytes, records; /* running totals; LH_UNKNOWN once a commit does not say */
};

static void member(struct lh_buffer *out, const char *name)
{
    lh_buffer_byte(out, '"');
    lh_buffer_text(out, name);
    lh_buffer_text(out, "\":");
}

static void member_uint(struct lh_buffer *out, const char *name, uint64_t value)
{
    member(out, name);
    lh_buffer_uint(out, value);
    lh_buffer_byte(out, ',');
}

static void member_text(struct lh_buffer *out, const char *name, struct lh_slice value)
{
    member(out, name);
    lh_json_print_string(out, value);
    lh_buffer_byte(out, ',');
}

/* --- snapshots -------------------------------------------------------------------------------------------------- */
static void count_text(struct lh_buffer *out, const char *name, int64_t value)
{
    if (value == LH_UNKNOWN)
        return;
    lh_buffer_byte(out, ',');
    member(out, name);
    lh_buffer_byte(out, '"');
    lh_buffer_int(out, value);
    lh_buffer_byte(out, '"');
}

static void add_total(int64_t *total, int64_t added, int64_t removed)
{
    if (*total == LH_UNKNOWN || added == LH_UNKNOWN || removed == LH_UNKNOWN)
        *total = LH_UNKNOWN;
    else
        *total += added - removed;
}

static const char *operation_of(const struct lh_record_summary *s)
{
    if (s->files_removed == 0)
        return "append";
    return s->files_added == 0 ? "delete" : "overwrite";
}

static void print_snapshot(struct printing *p, const struct vde_entry *entry, const struct lh_record *record)
{
    struct lh_buffer *out = &p->snapshots;
    const struct lh_record_summary *s = &record->summary;
    uint64_t time_ms = entry->time_us / 1000;
    add_total(&p->files, (int64_t)s->files_added, (int64_t)s->files_removed);
    add_total(&p->bytes, s->bytes_added, s->bytes_removed);
    add_total(&p->records, s->records_added, s->records_removed);
    if (out->size)
        lh_buffer_byte(out, ',');
    lh_buffer_byte(out, '{');
    member_uint(out, "snapshot-id", record->snapshot_id);
    if (record->parent_snapshot_id)
        member_uint(out, "parent-snapshot-id", record->parent_snapshot_id);
    member_uint(out, "sequence-number", entry->number);
    member_uint(out, "timestamp-ms", time_ms);
    member(out, "manifest-list");
    lh_buffer_byte(out, '"');
    lh_buffer_add(out, p->location.data, p->location.size);
    lh_buffer_text(out, "/metadata/snap-");
    lh_buffer_uint(out, record->snapshot_id);
    lh_buffer_text(out, ".avro\",\"summary\":{\"operation\":\"");
    lh_buffer_text(out, operation_of(s));
    lh_buffer_byte(out, '"');
    count_text(out, "added-data-files", (int64_t)s->files_added);
    count_text(out, "deleted-data-files", (int64_t)s->files_removed);
    count_text(out, "added-files-size", s->bytes_added);
    count_text(out, "removed-files-size", s->bytes_removed);
    count_text(out, "added-records", s->records_added);
    count_text(out, "deleted-records", s->records_removed);
    count_text(out, "total-data-files", p->files);
    count_text(out, "total-files-size", p->bytes);
    count_text(out, "total-records", p->records);
    lh_buffer_text(out, "},\"schema-id\":");
    lh_buffer_int(out, s->schema_id == LH_UNKNOWN ? 0 : s->schema_id);
    lh_buffer_byte(out, '}');
    if (p->log.size)
        lh_buffer_byte(&p->log, ',');
    lh_buffer_byte(&p->log, '{');
    member_uint(&p->log, "timestamp-ms", time_ms);
    member(&p->log, "snapshot-id");
    lh_buffer_uint(&p->log, record->snapshot_id);
    lh_buffer_byte(&p->log, '}');
    p->current_snapshot = record->snapshot_id;
}

static vde_status collect_schema(struct printing *p, const struct lh_record *record)
{
    struct lh_decoder decoder = LH_DECODER_INIT;
    struct lh_action_walk walk;
    struct lh_action action;
    vde_status status;
    lh_action_walk_init(&walk, &decoder, record);
    while ((status = lh_action_walk_next(&walk, &action)) == VDE_OK) {
        /* A change of properties repeats the schema. */
        if (action.kind != LH_ACTION_METADATA || action.iceberg.schema_id == p->last_schema_id)
            continue;
        p->last_schema_id = action.iceberg.schema_id;
        if (p->schemas.size)
            lh_buffer_byte(&p->schemas, ',');
        lh_buffer_slice(&p->schemas, action.metadata.schema_string);
    }
    lh_decoder_done(&decoder);
    return status == VDE_NOT_FOUND ? VDE_OK : status;
}

static vde_status walk_log(struct printing *p)
{
    vde_stream_cursor *cursor = NULL;
    struct vde_entry entry;
    LH_TRY(vde_stream_open(p->point->catalog.view, p->point->record.id, p->point->first, &cursor));
    vde_status status;
    while ((status = vde_stream_next(cursor, &entry)) == VDE_OK && entry.number <= p->point->version) {
        struct lh_record record;
        status = lh_record_decode(entry.data, entry.size, p->point->record.name, &record);
        if (status == VDE_OK && (record.flags & LH_RECORD_METADATA))
            status = collect_schema(p, &record);
        if (status != VDE_OK)
            break;
        if (record.snapshot_id && record.snapshot_id != record.parent_snapshot_id)
            print_snapshot(p, &entry, &record);
    }
    vde_stream_close(cursor);
    return status == VDE_NOT_FOUND ? VDE_OK : status;
}

/* --- the document ----------------------------------------------------------------------------------------------- */
static vde_status print_specs(struct printing *p, const struct lh_action *action)
{
    struct lh_arena arena = LH_ARENA_INIT;
    struct lh_schema schema;
    struct lh_partition_specs specs;
    struct lh_buffer *out = p->out;
    vde_status status = lh_schema_parse_iceberg(&arena, action->metadata.schema_string, &schema);
    if (status == VDE_OK)
        status = lh_partition_specs_read(&arena, action, &schema, &specs);
    if (status == VDE_OK) {
        member(out, "partition-specs");
        lh_partition_print(&specs, out);
        lh_buffer_byte(out, ',');
        member_uint(out, "default-spec-id", (uint64_t)specs.default_id);
        member_uint(out, "last-partition-id", (uint64_t)specs.last_field_id);
    }
    lh_arena_done(&arena);
    return lh_fail_again(status, VDE_CORRUPT);
}

static void print_properties(struct lh_buffer *out, const struct lh_map *map)
{
    bool first = true;
    lh_buffer_text(out, "\"properties\":{");
    for (uint32_t i = 0; i < map->count; i++) {
        if (map->pairs[i].null || lh_map_find(map, map->pairs[i].key) != &map->pairs[i])
            continue;
        if (!first)
            lh_buffer_byte(out, ',');
        first = false;
        lh_json_print_string(out, map->pairs[i].key);
        lh_buffer_byte(out, ':');
        lh_json_print_string(out, map->pairs[i].value);
    }
    lh_buffer_text(out, "},");
}

static vde_status print_document(struct printing *p, const struct lh_action *action)
{
    struct lh_buffer *out = p->out;
    const struct lh_metadata *metadata = &action->metadata;
    lh_buffer_text(out, "{\"format-version\":2,");
    member_text(out, "table-uuid", metadata->id);
    member_text(out, "location", (struct lh_slice){p->location.data, p->location.size});
    member_uint(out, "last-sequence-number", p->point->version);
    member_uint(out, "last-updated-ms", p->point->time_us / 1000);
    member_uint(out, "last-column-id", (uint64_t)action->iceberg.last_column_id);
    lh_buffer_text(out, "\"schemas\":[");
    lh_buffer_add(out, p->schemas.data, p->schemas.size);
    lh_buffer_text(out, "],");
    member_uint(out, "current-schema-id", (uint64_t)action->iceberg.schema_id);
    LH_TRY(print_specs(p, action));
    lh_buffer_text(out, "\"sort-orders\":[{\"order-id\":0,\"fields\":[]}],\"default-sort-order-id\":0,");
    print_properties(out, &metadata->configuration);
    if (p->current_snapshot) {
        member_uint(out, "current-snapshot-id", p->current_snapshot);
        lh_buffer_text(out, "\"refs\":{\"main\":{\"type\":\"branch\",\"snapshot-id\":");
        lh_buffer_uint(out, p->current_snapshot);
        lh_buffer_text(out, "}},");
    } else {
        lh_buffer_text(out, "\"current-snapshot-id\":null,\"refs\":{},");
    }
    lh_buffer_text(out, "\"snapshots\":[");
    lh_buffer_add(out, p->snapshots.data, p->snapshots.size);
    lh_buffer_text(out, "],\"snapshot-log\":[");
    lh_buffer_add(out, p->log.data, p->log.size);
    lh_buffer_text(out, "],\"metadata-log\":[]}");
    return VDE_OK;
}

static vde_status print_all(struct printing *p)
{
    struct lh_state *state = NULL;
    struct lh_decoder decoder = LH_DECODER_INIT;
    struct lh_action metadata;
    if (p->point->record.format != LH_FORMAT_ICEBERG)
        return lh_fail(LH_VALIDATION, "table %s|format delta|format iceberg", p->point->record.name);
    lh_uri(p->point->catalog.lakehouse, p->point->record.name, &p->location);
    LH_TRY(walk_log(p));
    LH_TRY(lh_point_state(p->point, &state));
    vde_status status = lh_state_metadata(state, &decoder, &metadata);
    if (status == VDE_OK)
        status = print_document(p, &metadata);
    lh_state_free(state);
    lh_decoder_done(&decoder);
    const struct lh_buffer *parts[] = {&p->schemas, &p->snapshots, &p->log, &p->location};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && status == VDE_OK; i++)
        status = lh_buffer_status(parts[i]);
    return status;
}

vde_status lh_iceberg_metadata(lh_lakehouse *lakehouse, const char *table, char **ret_json, size_t *ret_size)
{
    struct lh_point point;
    struct lh_buffer out = LH_BUFFER_INIT;
    LH_TRY(lh_point_open(lakehouse, table, &point));
    struct printing p = {.point = &point, .out = &out, .last_schema_id = -1};
    vde_status status = print_all(&p);
    lh_buffer_done(&p.schemas);
    lh_buffer_done(&p.snapshots);
    lh_buffer_done(&p.log);
    lh_buffer_done(&p.location);
    lh_point_close(&point);
    lh_buffer_byte(&out, '\0');
    if (status == VDE_OK)
        status = lh_buffer_status(&out);
    if (status != VDE_OK) {
        lh_buffer_done(&out);
        return status;
    }
    *ret_json = out.data;
    *ret_size = out.size - 1;
    return VDE_OK;
}
