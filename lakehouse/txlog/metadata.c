/* SPDX-License-Identifier: Apache-2.0 */
/* metadata.c -- the protocol and metaData that a member puts in force: of a new table, or the present ones changed. */
#include <stdio.h>
#include <stdlib.h>

#include "model/protocol.h"
#include "state/fail.h"
#include "txlog/binding.h"
#include "txlog/columns.h"
#include "txlog/demand.h"
#include "txlog/partitions.h"
#include "txlog/txn.h"

/* What is being made; everything borrows from the transaction's arena, the old meta or the caller. */
struct draft {
    struct lh_txn *txn;
    struct lh_member_txn *member;
    enum lh_flavor flavor;
    const struct lh_meta *old;   /* NULL: create */
    struct lh_action protocol, metadata;
    bool new_protocol, new_metadata;
    struct lh_schema old_schema, schema;
    struct lh_buffer schema_text;
    struct lh_buffer new_id;
};

static vde_status parse_stored(struct draft *d, struct lh_slice text, struct lh_schema *ret_schema)
{
    return d->flavor == LH_FLAVOR_ICEBERG ? lh_schema_parse_iceberg(&d->txn->arena, text, ret_schema)
                                          : lh_schema_parse_delta(&d->txn->arena, text, ret_schema);
}

/* Configuration with the changes applied. */
static vde_status apply_changes(struct draft *d)
{
    const struct lh_member_txn *m = d->member;
    struct lh_map *map = &d->metadata.metadata.configuration;
    if (m->change_count == 0)
        return VDE_OK;
    struct lh_pair *pairs = lh_arena_alloc(&d->txn->arena, map->count + m->change_count + 2, sizeof *pairs);
    if (!pairs)
        return lh_fail_nomem("transaction");
    struct lh_map changes = {m->changes, m->change_count};
    uint32_t count = 0;
    for (uint32_t i = 0; i < map->count; i++)
        if (!lh_map_find(&changes, map->pairs[i].key))
            pairs[count++] = map->pairs[i];
    for (uint32_t i = 0; i < m->change_count; i++)
        if (!m->changes[i].null && !lh_demand_is(&m->changes[i]) &&
            lh_map_find(&changes, m->changes[i].key) == &m->changes[i])
            pairs[count++] = m->changes[i];
    *map = (struct lh_map){pairs, count};
    if (!d->old)
        LH_TRY(lh_demand_row_columns(d->txn, map));
    d->metadata.metadata.part.set |= LH_META_CONFIGURATION;
    d->new_metadata = true;
    return VDE_OK;
}

/* Add a feature to the protocol, which thereby gets explicit lists. */
static vde_status demand(struct draft *d, const char *name, bool reader)
{
    struct lh_protocol *p = &d->protocol.protocol;
    if (lh_protocol_has(p, name))
        return VDE_OK;
    if (d->old && !d->member->upgrade)
        return lh_fail(LH_SCHEMA_INCOMPATIBLE, "table %s|a change that needs table feature %s, which the table lacks|"
                       "the feature, or leave to upgrade the protocol", d->member->name.data, name);
    static const char *const legacy[] = {"appendOnly", "invariants", "checkConstraints", "changeDataFeed",
                                         "generatedColumns", "columnMapping", "identityColumns"};
    struct lh_protocol next = *p;
    struct lh_slice *writer = lh_arena_alloc(&d->txn->arena, p->writer_features.count + 9, sizeof *writer);
    struct lh_slice *readers = lh_arena_alloc(&d->txn->arena, p->reader_features.count + 3, sizeof *readers);
    if (!writer || !readers)
        return lh_fail_nomem("transaction");
    next.writer_features = (struct lh_list){writer, 0};
    next.reader_features = (struct lh_list){readers, 0};
    for (uint32_t i = 0; i < p->writer_features.count; i++)
        writer[next.writer_features.count++] = p->writer_features.items[i];
    if (p->min_writer_version < 7)
        for (size_t i = 0; i < sizeof legacy / sizeof legacy[0]; i++)
            if (lh_protocol_has(p, legacy[i]))
                writer[next.writer_features.count++] = lh_slice_of(legacy[i]);
    for (uint32_t i = 0; i < p->reader_features.count; i++)
        readers[next.reader_features.count++] = p->reader_features.items[i];
    bool mapped = p->min_reader_version == 2;
    if (mapped)
        readers[next.reader_features.count++] = LH_SLICE("columnMapping");
    writer[next.writer_features.count++] = lh_slice_of(name);
    if (reader)
        readers[next.reader_features.count++] = lh_slice_of(name);
    next.min_writer_version = 7;
    next.part.set |= LH_PROTOCOL_READER | LH_PROTOCOL_WRITER | LH_PROTOCOL_WRITER_FEATURES;
    if (reader || mapped || p->min_reader_version >= 3) {
        next.min_reader_version = 3;
        next.part.set |= LH_PROTOCOL_READER_FEATURES;
    }
    *p = next;
    d->new_protocol = true;
    return VDE_OK;
}

static vde_status demand_features(struct draft *d, bool widened)
{
    struct lh_demands demands;
    if (d->flavor == LH_FLAVOR_ICEBERG)
        return VDE_OK;
    if (lh_schema_uses(&d->schema, LH_TYPE_TIMESTAMP_NTZ))
        LH_TRY(demand(d, "timestampNtz", true));
    if (widened)
        LH_TRY(demand(d, "typeWidening", true));
    LH_TRY(lh_demands_find(d->member, d->old, &d->protocol.protocol, &d->metadata.metadata, &demands));
    for (unsigned i = 0; i < demands.count; i++)
        LH_TRY(demand(d, demands.features[i]->name, demands.features[i]->reader));
    return VDE_OK;
}

/* --- a new table ------------------------------------------------------------------------------------------------ */
static vde_status start_create(struct draft *d)
{
    struct lh_member_txn *m = d->member;
    uint8_t uuid[16];
    char text[LH_UUID_TEXT];
    lh_uuid_random(d->txn->lakehouse, uuid);
    lh_uuid_text(uuid, text);
    lh_buffer_text(&d->new_id, text);
    d->protocol = (struct lh_action){.kind = LH_ACTION_PROTOCOL};
    d->protocol.protocol.part.set = LH_PROTOCOL_READER | LH_PROTOCOL_WRITER;
    d->protocol.protocol.min_reader_version = 1;
    d->protocol.protocol.min_writer_version = 2;
    d->metadata = (struct lh_action){.kind = LH_ACTION_METADATA};
    struct lh_metadata *meta = &d->metadata.metadata;
    meta->part.set = LH_META_ID | LH_META_FORMAT | LH_META_SCHEMA | LH_META_PARTITION_COLUMNS | LH_META_CREATED_TIME |
                     LH_META_CONFIGURATION;
    meta->id = (struct lh_slice){d->new_id.data, d->new_id.size};
    meta->format.part.set = LH_FORMAT_PROVIDER | LH_FORMAT_OPTIONS;
    meta->format.provider = LH_SLICE("parquet");
    meta->partition_columns = m->partition_columns;
    meta->created_time_ms = (int64_t)(lh_now_us() / 1000);
    if (m->description.data) {
        meta->description = m->description;
        meta->part.set |= LH_META_DESCRIPTION;
    }
    d->new_protocol = d->new_metadata = true;
    return lh_buffer_status(&d->new_id);
}

/* --- schema ----------------------------------------------------------------------------------------------------- */
static vde_status judge_evolution(struct draft *d, bool *ret_widened)
{
    struct lh_schema_refusal refusal;
    if (lh_schema_may_evolve(&d->old_schema, &d->schema, d->flavor, &refusal, ret_widened))
        return VDE_OK;
    return lh_fail(LH_SCHEMA_INCOMPATIBLE, "column %s of table %s|%s: %s|%s", refusal.column, d->member->name.data,
                   refusal.rule, refusal.found, refusal.expected);
}

static vde_status print_schema(struct draft *d)
{
    struct lh_iceberg *ice = &d->metadata.iceberg;
    if (d->flavor == LH_FLAVOR_ICEBERG) {
        int32_t last = d->old && (d->old->metadata.iceberg.part.set & LH_ICE_LAST_COLUMN_ID)
                           ? (int32_t)d->old->metadata.iceberg.last_column_id : 0;
        int32_t given = last;
        lh_schema_assign_ids(&d->schema, d->old ? &d->old_schema : NULL, &last);
        LH_TRY(lh_columns_check_ids(d->member->name.data, &d->old_schema, &d->schema, given));
        d->schema.schema_id = d->old ? d->old_schema.schema_id + 1 : 0;
        ice->part.set |= LH_ICE_LAST_COLUMN_ID | LH_ICE_SCHEMA_ID | LH_ICE_TABLE_UUID;
        ice->last_column_id = last;
        ice->schema_id = d->schema.schema_id;
        ice->table_uuid = d->metadata.metadata.id;
        LH_TRY(lh_fail_again(lh_schema_print_iceberg(&d->schema, &d->schema_text), LH_SCHEMA));
    } else {
        LH_TRY(lh_fail_again(lh_schema_print_delta(&d->schema, &d->schema_text), LH_SCHEMA));
    }
    LH_TRY(lh_buffer_status(&d->schema_text));
    d->metadata.metadata.schema_string = (struct lh_slice){d->schema_text.data, d->schema_text.size};
    d->metadata.metadata.part.set |= LH_META_SCHEMA;
    d->new_metadata = true;
    return VDE_OK;
}

/* --- column mapping --------------------------------------------------------------------------------------------- */
#define MODE_KEY "delta.columnMapping.mode"
#define MAX_ID_KEY "delta.columnMapping.maxColumnId"

/* Empty: columns are not mapped. */
static struct lh_slice mapping_mode(const struct lh_map *configuration)
{
    const struct lh_pair *pair = lh_map_find(configuration, LH_SLICE(MODE_KEY));
    if (!pair || pair->null || lh_slice_is(pair->value, "none"))
        return LH_SLICE("");
    return pair->value;
}

static int64_t max_column_id(const struct lh_map *configuration)
{
    const struct lh_pair *pair = lh_map_find(configuration, LH_SLICE(MAX_ID_KEY));
    int64_t id;
    return pair && !pair->null && lh_json_int64_text(pair->value, &id) ? id : 0;
}

static vde_status set_max_column_id(struct draft *d, int64_t id)
{
    struct lh_map *map = &d->metadata.metadata.configuration;
    struct lh_pair *pairs = lh_arena_alloc(&d->txn->arena, map->count + 1, sizeof *pairs);
    struct lh_pair pair = {.key = LH_SLICE(MAX_ID_KEY)};
    char text[24];
    uint32_t at = 0;
    if (!pairs)
        return lh_fail_nomem("transaction");
    snprintf(text, sizeof text, "%lld", (long long)id);
    LH_TRY(lh_txn_text(d->txn, lh_slice_of(text), &pair.value));
    if (map->count)
        memcpy(pairs, map->pairs, map->count * sizeof *pairs);
    while (at < map->count && !lh_slice_equal(pairs[at].key, pair.key))
        at++;
    pairs[at] = pair;
    *map = (struct lh_map){pairs, at == map->count ? at + 1 : map->count};
    d->metadata.metadata.part.set |= LH_META_CONFIGURATION;
    d->new_metadata = true;
    return VDE_OK;
}

/* Whether the columns are mapped from now on, and whether that is new. Older files name columns by their names, so a table
 * may begin to map by name; once it maps, going back would lose the columns of the files written since. */
static vde_status judge_mapping(struct draft *d, bool *ret_mapped, bool *ret_begins)
{
    const struct lh_map *before = d->old ? &d->old->metadata.metadata.configuration : NULL;
    struct lh_slice old_mode = before ? mapping_mode(before) : LH_SLICE("");
    struct lh_slice mode = mapping_mode(&d->metadata.metadata.configuration);
    bool was = old_mode.size && lh_protocol_has(&d->old->protocol.protocol, "columnMapping");
    *ret_mapped = was;
    *ret_begins = false;
    if (lh_slice_equal(old_mode, mode))
        return VDE_OK;
    bool by_name = lh_slice_is(mode, "name"), by_id = lh_slice_is(mode, "id");
    if (was || (mode.size && !by_name && (d->old || !by_id)))
        return lh_fail(LH_VALIDATION, "table %s|a change of " MODE_KEY "|none; or from no mapping to \"name\", or \"id\" for "
                       "a new table", d->member->name.data);
    if (!mode.size)
        return VDE_OK;
    *ret_mapped = *ret_begins = true;
    return demand(d, "columnMapping", true);
}

static vde_status map_columns(struct draft *d)
{
    const struct lh_map *now = &d->metadata.metadata.configuration;
    static const char *const nested[] = {"delta.enableIcebergCompatV1", "delta.enableIcebergCompatV2",
                                         "delta.enableIcebergCompatV3"};
    struct lh_mapping mapping = {.lakehouse = d->txn->lakehouse, .arena = &d->txn->arena, .table = d->member->name.data,
                                 .old = d->old ? &d->old_schema : NULL};
    int64_t before = max_column_id(now), old = d->old ? max_column_id(&d->old->metadata.metadata.configuration) : 0;
    mapping.max_id = before > old ? before : old;
    for (size_t i = 0; i < sizeof nested / sizeof nested[0]; i++) {
        const struct lh_pair *pair = lh_map_find(now, lh_slice_of(nested[i]));
        mapping.nested_ids |= pair && !pair->null && lh_slice_is(pair->value, "true");
    }
    LH_TRY(lh_columns_map(&mapping, &d->schema));
    return mapping.max_id == before ? VDE_OK : set_max_column_id(d, mapping.max_id);
}

/* --- both ------------------------------------------------------------------------------------------------------- */
/* Print the schema that was given, each column with the ids that files know it by. */
static vde_status settle_schema(struct draft *d)
{
    bool mapped = false, begins = false, given = d->member->schema.data || !d->old;
    if (d->flavor == LH_FLAVOR_DELTA)
        LH_TRY(judge_mapping(d, &mapped, &begins));
    if (mapped && (given || begins))
        LH_TRY(map_columns(d));
    return given || begins ? print_schema(d) : VDE_OK;
}

static vde_status take_schema(struct draft *d, bool *ret_widened)
{
    struct lh_member_txn *m = d->member;
    enum lh_schema_form own = d->flavor == LH_FLAVOR_ICEBERG ? LH_FORM_ICEBERG : LH_FORM_DELTA;
    *ret_widened = false;
    if (d->old)
        LH_TRY(lh_fail_again(parse_stored(d, d->old->metadata.metadata.schema_string, &d->old_schema), LH_SCHEMA));
    d->schema = d->old_schema;
    if (m->given_metadata.size) {
        LH_TRY(lh_fail_again(parse_stored(d, d->metadata.metadata.schema_string, &d->schema), LH_SCHEMA));
    } else if (m->schema.data) {
        LH_TRY(lh_fail_again(lh_schema_parse_any(&d->txn->arena, m->schema, &d->schema), LH_SCHEMA));
    } else if (!d->old) {
        LH_TRY(lh_fail_again(lh_schema_parse_any(&d->txn->arena, (struct lh_slice){"", 0}, &d->schema), LH_SCHEMA));
    }
    if (d->old && m->schema.data && !m->given_metadata.size && d->schema.form != own)
        LH_TRY(lh_schema_inherit(&d->txn->arena, &d->schema, &d->old_schema));
    if (d->old && !m->restores && (m->schema.data || m->given_metadata.size))
        LH_TRY(judge_evolution(d, ret_widened));
    if (!m->given_metadata.size)
        LH_TRY(settle_schema(d));
    const struct lh_partitioning partitioning = {
        .arena = &d->txn->arena, .table = m->name.data, .iceberg = d->flavor == LH_FLAVOR_ICEBERG && !m->given_metadata.size,
        .create = !d->old, .change = m->new_partitioning, .terms = m->partition_columns};
    d->new_metadata |= m->new_partitioning;
    return lh_partitioning_settle(&partitioning, &d->schema, &d->metadata);
}

static vde_status take_given(struct draft *d)
{
    struct lh_member_txn *m = d->member;
    struct lh_slice given[] = {m->given_protocol, m->given_metadata};
    struct lh_action *into[] = {&d->protocol, &d->metadata};
    for (int i = 0; i < 2; i++) {
        if (given[i].size == 0)
            continue;
        struct lh_reader reader = {(const uint8_t *)given[i].data, given[i].size, 0, false};
        LH_TRY(lh_action_from_bytes(&d->txn->decoder, &reader, into[i]));
    }
    if (m->given_metadata.size && m->schema.size)
        return lh_fail(LH_VALIDATION, "commit to table %s|a metaData action and a schema|one of them", m->name.data);
    d->new_protocol |= m->given_protocol.size != 0;
    d->new_metadata |= m->given_metadata.size != 0;
    return VDE_OK;
}

static vde_status set_flags(struct draft *d)
{
    struct lh_member_txn *m = d->member;
    if (d->new_protocol)
        m->flags |= LH_RECORD_PROTOCOL;
    if (d->new_protocol && d->old && !lh_protocol_binds(&d->old->protocol.protocol, &d->protocol.protocol))
        m->flags |= LH_RECORD_PROTOCOL_SOFT;
    if (!d->new_metadata)
        return VDE_OK;
    m->flags |= LH_RECORD_METADATA;
    const struct lh_metadata *now = &d->metadata.metadata, *before = d->old ? &d->old->metadata.metadata : NULL;
    if (!before || !lh_slice_equal(before->schema_string, now->schema_string) ||
        !lh_list_equal(&before->partition_columns, &now->partition_columns))
        m->flags |= LH_RECORD_SCHEMA;
    bool binds = true, iceberg = d->flavor == LH_FLAVOR_ICEBERG && (m->flags & LH_RECORD_SCHEMA);
    if (before && !iceberg && !m->new_partitioning)
        LH_TRY(lh_metadata_binds(before, now, &d->protocol.protocol, &binds));
    if (!binds)
        m->flags |= LH_RECORD_METADATA_SOFT;
    return VDE_OK;
}

static vde_status create_meta(struct draft *d, struct lh_slice protocol, struct lh_slice metadata)
{
    struct lh_member_txn *m = d->member;
    struct lh_meta_source source = {.protocol = protocol, .metadata = metadata,
                                    .format = d->flavor == LH_FLAVOR_ICEBERG ? LH_FORMAT_ICEBERG : LH_FORMAT_DELTA};
    if (d->old) {
        source.clustering = d->old->clustering;
        source.protocol_version = d->old->protocol_version;
        source.metadata_version = d->old->metadata_version;
    }
    if (m->sets_clustering)
        source.clustering = m->clustering;
    return lh_meta_create(&source, &m->new_meta);
}

static vde_status finish(struct draft *d)
{
    struct lh_member_txn *m = d->member;
    if (d->flavor == LH_FLAVOR_DELTA && (d->new_protocol || m->given_metadata.size)) {
        struct lh_verdict verdict;
        LH_TRY(lh_fail_again(lh_protocol_check(&d->protocol.protocol), LH_VALIDATION));
        LH_TRY(lh_protocol_judge_actions(&d->protocol.protocol, &d->metadata.metadata, &verdict));
        if (!verdict.native || !verdict.writable)
            return lh_fail(verdict.native ? LH_FEATURE : LH_OPAQUE, "table %s|%s|what this engine supports", m->name.data, verdict.what);
    }
    LH_TRY(set_flags(d));
    struct lh_buffer protocol = LH_BUFFER_INIT, metadata = LH_BUFFER_INIT;
    lh_action_to_bytes(&d->protocol, &protocol);
    lh_action_to_bytes(&d->metadata, &metadata);
    struct lh_slice p = {protocol.data, protocol.size}, q = {metadata.data, metadata.size};
    vde_status status = lh_buffer_status(&protocol);
    if (status == VDE_OK)
        status = lh_buffer_status(&metadata);
    if (status == VDE_OK)
        status = create_meta(d, p, q);
    if (d->new_protocol) {
        lh_buffer_slice(&m->first, p);
        m->first_count++;
    }
    if (d->new_metadata) {
        lh_buffer_slice(&m->first, q);
        m->first_count++;
    }
    lh_buffer_done(&protocol);
    lh_buffer_done(&metadata);
    return status == VDE_OK ? lh_buffer_status(&m->first) : status;
}

static vde_status draft_all(struct draft *d)
{
    if (d->old) {
        d->protocol = d->old->protocol;
        d->metadata = d->old->metadata;
    } else {
        LH_TRY(start_create(d));
    }
    LH_TRY(take_given(d));
    LH_TRY(apply_changes(d));
    bool widened;
    LH_TRY(take_schema(d, &widened));
    LH_TRY(demand_features(d, widened));
    return finish(d);
}

vde_status lh_member_metadata(struct lh_txn *txn, struct lh_member_txn *member)
{
    lh_meta_unref(member->new_meta);
    member->new_meta = NULL;
    lh_buffer_clear(&member->first);
    member->first_count = 0;
    member->flags = 0;
    if (!member->create && !member->schema.data && !member->change_count && !member->has_metadata &&
        !member->has_protocol && !member->sets_clustering)
        return VDE_OK;
    struct draft d = {.txn = txn, .member = member, .old = member->create ? NULL : member->meta};
    enum lh_table_format format = member->create ? member->format : member->head->record.format;
    d.flavor = format == LH_FORMAT_ICEBERG ? LH_FLAVOR_ICEBERG : LH_FLAVOR_DELTA;
    vde_status status = draft_all(&d);
    lh_buffer_done(&d.schema_text);
    lh_buffer_done(&d.new_id);
    return status;
}
