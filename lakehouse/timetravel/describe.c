/* SPDX-License-Identifier: Apache-2.0 */
/* describe.c -- a table at one version, for the caller. */
#include "model/schema.h"
#include "state/fail.h"
#include "timetravel/point.h"
#include "txlog/pack.h"

struct description {
    struct lh_point *point;
    struct lh_state *state;      /* NULL: opaque */
    struct lh_decoder decoder;
    struct lh_arena arena;
    struct lh_action protocol, metadata;
    struct lh_schema schema;
    struct lh_totals totals;
    struct lh_buffer uri, ddl, protocol_json, types;
};

static vde_status collect(struct description *d)
{
    lh_uri(d->point->catalog.lakehouse, d->point->record.name, &d->uri);
    if (!d->state)
        return lh_buffer_status(&d->uri);
    LH_TRY(lh_state_protocol(d->state, &d->decoder, &d->protocol));
    LH_TRY(lh_state_metadata(d->state, &d->decoder, &d->metadata));
    LH_TRY(lh_state_totals(d->state, &d->totals));
    struct lh_slice text = d->metadata.metadata.schema_string;
    LH_TRY(lh_fail_again(d->point->record.format == LH_FORMAT_ICEBERG ? lh_schema_parse_iceberg(&d->arena, text, &d->schema)
                                                                      : lh_schema_parse_delta(&d->arena, text, &d->schema),
                         LH_SCHEMA));
    lh_schema_print_ddl(&d->schema, &d->ddl);
    lh_action_to_json(&d->protocol, &d->protocol_json);
    LH_TRY(lh_buffer_status(&d->ddl));
    return lh_buffer_status(&d->protocol_json);
}

/* {"protocol":{...}} without its shell. */
static struct lh_slice inner_json(const struct lh_buffer *line)
{
    const char *colon = line->size ? memchr(line->data, ':', line->size) : NULL;
    if (!colon)
        return (struct lh_slice){"{}", 2};
    size_t from = (size_t)(colon + 1 - line->data);
    return (struct lh_slice){colon + 1, line->size - from - 1};
}

static void pack_columns(struct lh_pack *pack, struct description *d, struct lh_table_info *info)
{
    const struct lh_type *root = &d->schema.root;
    struct lh_column *columns = lh_pack_alloc(pack, root->count, sizeof *columns);
    for (uint32_t i = 0; i < root->count; i++) {
        const struct lh_field *field = &root->fields[i];
        lh_buffer_clear(&d->types);
        lh_type_print(&field->type, &d->types);
        struct lh_column column = {.nullable = field->nullable, .field_id = field->id};
        column.name = lh_pack_text(pack, field->name);
        column.type = lh_pack_text(pack, (struct lh_slice){d->types.data, d->types.size});
        column.comment = lh_pack_optional(pack, field->comment);
        column.partition = lh_list_has(&d->metadata.metadata.partition_columns, field->name);
        if (columns)
            columns[i] = column;
    }
    if (info) {
        info->columns = columns;
        info->column_count = root->count;
    }
}

static void pack_metadata(struct lh_pack *pack, struct description *d, struct lh_table_info *info)
{
    const struct lh_metadata *m = &d->metadata.metadata;
    const char **partitions = lh_pack_alloc(pack, m->partition_columns.count, sizeof *partitions);
    struct lh_property *properties = lh_pack_alloc(pack, m->configuration.count, sizeof *properties);
    for (uint32_t i = 0; i < m->partition_columns.count; i++) {
        const char *name = lh_pack_text(pack, m->partition_columns.items[i]);
        if (info)
            partitions[i] = name;
    }
    for (uint32_t i = 0; i < m->configuration.count; i++) {
        struct lh_property property = {lh_pack_text(pack, m->configuration.pairs[i].key), NULL};
        if (!m->configuration.pairs[i].null)
            property.value = lh_pack_text(pack, m->configuration.pairs[i].value);
        if (info)
            properties[i] = property;
    }
    const char *uuid = lh_pack_text(pack, m->id);
    const char *description = lh_has(&m->part, LH_META_DESCRIPTION) ? lh_pack_text(pack, m->description) : NULL;
    const char *schema = lh_pack_text(pack, m->schema_string);
    const char *ddl = lh_pack_text(pack, (struct lh_slice){d->ddl.data, d->ddl.size});
    const char *protocol = lh_pack_text(pack, inner_json(&d->protocol_json));
    pack_columns(pack, d, info);
    if (!info)
        return;
    info->partition_columns = partitions;
    info->partition_count = m->partition_columns.count;
    info->properties = properties;
    info->property_count = m->configuration.count;
    info->table_uuid = uuid;
    info->description = description;
    info->schema_json = schema;
    info->ddl = ddl;
    info->protocol_json = protocol;
    info->files = d->totals.files;
    info->bytes = d->totals.bytes > 0 ? (uint64_t)d->totals.bytes : 0;
    info->records = d->totals.records_unknown ? LH_UNKNOWN : d->totals.records;
    info->replayed_entries = d->state->replayed_entries;
}

static vde_status pack_all(struct description *d, struct lh_table_info **ret_info)
{
    const struct lh_table_record *record = &d->point->record;
    const struct lh_point *point = d->point;
    struct lh_pack pack = LH_PACK_INIT;
    while (lh_pack_pass(&pack)) {
        struct lh_table_info *info = lh_pack_alloc(&pack, 1, sizeof *info);
        struct lh_table_info part = {
            .id = record->id, .format = record->format, .imported = (record->flags & LH_TABLE_IMPORTED) != 0,
            .external = (record->flags & LH_TABLE_EXTERNAL) != 0, .version = point->version, .time_us = point->time_us,
            .first_version = point->first, .latest_version = point->latest, .created_us = record->created_us,
            .records = LH_UNKNOWN, .table_uuid = "", .ddl = "", .schema_json = "", .protocol_json = "{}"};
        part.name = lh_pack_text(&pack, lh_slice_of(record->name));
        part.uri = lh_pack_text(&pack, (struct lh_slice){d->uri.data, d->uri.size});
        part.opaque = lh_pack_optional(&pack, lh_slice_of(record->opaque));
        part.origin = lh_pack_optional(&pack, lh_slice_of(record->origin));
        part.note = point->note[0] ? lh_pack_text(&pack, lh_slice_of(point->note)) : NULL;
        if (info)
            *info = part;
        if (d->state)
            pack_metadata(&pack, d, info);
    }
    LH_TRY(lh_pack_done(&pack, (void **)ret_info));
    lh_described_keep(point->catalog.lakehouse, *ret_info, pack.size);
    return VDE_OK;
}

vde_status lh_point_describe(struct lh_point *point, struct lh_state *state, struct lh_table_info **ret_info)
{
    if (point->described)
        return lh_described_copy(point->described, ret_info);
    struct description d = {.point = point, .state = state};
    vde_status status = collect(&d);
    if (status == VDE_OK)
        status = pack_all(&d, ret_info);
    lh_decoder_done(&d.decoder);
    lh_arena_done(&d.arena);
    lh_buffer_done(&d.uri);
    lh_buffer_done(&d.ddl);
    lh_buffer_done(&d.protocol_json);
    lh_buffer_done(&d.types);
    return status;
}

vde_status lh_table_describe(lh_lakehouse *lakehouse, const char *table, struct lh_table_info **ret_info)
{
    struct lh_point point;
    struct lh_state *state = NULL;
    LH_TRY(lh_point_open(lakehouse, table, &point));
    vde_status status = point.record.opaque || point.described ? VDE_OK : lh_point_state(&point, &state);
    if (status == VDE_OK)
        status = lh_point_describe(&point, state, ret_info);
    lh_state_free(state);
    lh_point_close(&point);
    return status;
}
