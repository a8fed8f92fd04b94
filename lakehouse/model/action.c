/* SPDX-License-Identifier: Apache-2.0 */
/* The table of fields, and questions about decoded actions. */
#include "model/action_fields.h"

#define COUNT(array) ((unsigned)(sizeof(array) / sizeof((array)[0])))
#define FIELD(type, member, name, kind) {name, FIELD_##kind, offsetof(struct type, member), NULL}
#define PART(type, member, name, def) {name, FIELD_PART, offsetof(struct type, member), &(def)}

static const struct field_def dv_fields[] = {
    FIELD(lh_dv, storage_type, "storageType", STRING),
    FIELD(lh_dv, path_or_inline, "pathOrInlineDv", STRING),
    FIELD(lh_dv, offset, "offset", INT64),
    FIELD(lh_dv, size_bytes, "sizeInBytes", INT64),
    FIELD(lh_dv, cardinality, "cardinality", INT64),
};
static const struct part_def dv_def = {dv_fields, COUNT(dv_fields)};

static const struct field_def file_fields[] = {
    FIELD(lh_file_action, path, "path", STRING),
    FIELD(lh_file_action, partition_values, "partitionValues", MAP),
    FIELD(lh_file_action, size_bytes, "size", INT64),
    FIELD(lh_file_action, modification_time_ms, "modificationTime", INT64),
    FIELD(lh_file_action, deletion_timestamp_ms, "deletionTimestamp", INT64),
    FIELD(lh_file_action, data_change, "dataChange", BOOL),
    FIELD(lh_file_action, extended_file_metadata, "extendedFileMetadata", BOOL),
    FIELD(lh_file_action, stats, "stats", STRING),
    FIELD(lh_file_action, tags, "tags", MAP),
    PART(lh_file_action, dv, "deletionVector", dv_def),
    FIELD(lh_file_action, base_row_id, "baseRowId", INT64),
    FIELD(lh_file_action, default_row_commit_version, "defaultRowCommitVersion", INT64),
    FIELD(lh_file_action, clustering_provider, "clusteringProvider", STRING),
};
static const struct part_def file_def = {file_fields, COUNT(file_fields)};

static const struct field_def format_fields[] = {
    FIELD(lh_format_spec, provider, "provider", STRING),
    FIELD(lh_format_spec, options, "options", MAP),
};
static const struct part_def format_def = {format_fields, COUNT(format_fields)};

static const struct field_def metadata_fields[] = {
    FIELD(lh_metadata, id, "id", STRING),
    FIELD(lh_metadata, name, "name", STRING),
    FIELD(lh_metadata, description, "description", STRING),
    PART(lh_metadata, format, "format", format_def),
    FIELD(lh_metadata, schema_string, "schemaString", STRING),
    FIELD(lh_metadata, partition_columns, "partitionColumns", LIST),
    FIELD(lh_metadata, created_time_ms, "createdTime", INT64),
    FIELD(lh_metadata, configuration, "configuration", MAP),
};
static const struct part_def metadata_def = {metadata_fields, COUNT(metadata_fields)};

static const struct field_def protocol_fields[] = {
    FIELD(lh_protocol, min_reader_version, "minReaderVersion", INT64),
    FIELD(lh_protocol, min_writer_version, "minWriterVersion", INT64),
    FIELD(lh_protocol, reader_features, "readerFeatures", LIST),
    FIELD(lh_protocol, writer_features, "writerFeatures", LIST),
};
static const struct part_def protocol_def = {protocol_fields, COUNT(protocol_fields)};

static const struct field_def txn_fields[] = {
    FIELD(lh_app_txn, app_id, "appId", STRING),
    FIELD(lh_app_txn, version, "version", INT64),
    FIELD(lh_app_txn, last_updated_ms, "lastUpdated", INT64),
};
static const struct part_def txn_def = {txn_fields, COUNT(txn_fields)};

static const struct field_def domain_fields[] = {
    FIELD(lh_domain, domain, "domain", STRING),
    FIELD(lh_domain, configuration, "configuration", STRING),
    FIELD(lh_domain, removed, "removed", BOOL),
};
static const struct part_def domain_def = {domain_fields, COUNT(domain_fields)};

static const struct field_def info_fields[] = {
    FIELD(lh_commit_info, timestamp_ms, "timestamp", INT64),
    FIELD(lh_commit_info, in_commit_timestamp_ms, "inCommitTimestamp", INT64),
    FIELD(lh_commit_info, operation, "operation", STRING),
    FIELD(lh_commit_info, operation_parameters, "operationParameters", RAW),
    FIELD(lh_commit_info, operation_metrics, "operationMetrics", RAW),
    FIELD(lh_commit_info, read_version, "readVersion", INT64),
    FIELD(lh_commit_info, isolation_level, "isolationLevel", STRING),
    FIELD(lh_commit_info, is_blind_append, "isBlindAppend", BOOL),
    FIELD(lh_commit_info, user_metadata, "userMetadata", STRING),
    FIELD(lh_commit_info, engine_info, "engineInfo", STRING),
    FIELD(lh_commit_info, txn_id, "txnId", STRING),
    FIELD(lh_commit_info, tags, "tags", RAW),
    FIELD(lh_commit_info, version, "version", INT64),
};
static const struct part_def info_def = {info_fields, COUNT(info_fields)};

static const struct field_def iceberg_fields[] = {
    FIELD(lh_iceberg, snapshot_id, "snapshot-id", INT64),
    FIELD(lh_iceberg, parent_snapshot_id, "parent-snapshot-id", INT64),
    FIELD(lh_iceberg, sequence_number, "sequence-number", INT64),
    FIELD(lh_iceberg, file_sequence_number, "file-sequence-number", INT64),
    FIELD(lh_iceberg, schema_id, "schema-id", INT64),
    FIELD(lh_iceberg, spec_id, "spec-id", INT64),
    FIELD(lh_iceberg, sort_order_id, "sort-order-id", INT64),
    FIELD(lh_iceberg, first_row_id, "first-row-id", INT64),
    FIELD(lh_iceberg, added_rows, "added-rows", INT64),
    FIELD(lh_iceberg, last_column_id, "last-column-id", INT64),
    FIELD(lh_iceberg, content, "content", INT64),
    FIELD(lh_iceberg, file_format, "file-format", STRING),
    FIELD(lh_iceberg, record_count, "record-count", INT64),
    FIELD(lh_iceberg, summary, "summary", MAP),
    FIELD(lh_iceberg, last_partition_id, "last-partition-id", INT64),
    FIELD(lh_iceberg, table_uuid, "table-uuid", STRING),
    FIELD(lh_iceberg, partition_specs, "partition-specs", RAW),
};
const struct part_def lh_iceberg_part_def = {iceberg_fields, COUNT(iceberg_fields)};

const struct part_def *lh_action_part_def(enum lh_action_kind kind)
{
    static const struct part_def *const defs[LH_ACTION_KIND_COUNT] = {
        [LH_ACTION_ADD] = &file_def,           [LH_ACTION_REMOVE] = &file_def,
        [LH_ACTION_CDC] = &file_def,           [LH_ACTION_METADATA] = &metadata_def,
        [LH_ACTION_PROTOCOL] = &protocol_def,  [LH_ACTION_TXN] = &txn_def,
        [LH_ACTION_DOMAIN] = &domain_def,      [LH_ACTION_COMMIT_INFO] = &info_def,
        [LH_ACTION_ADD_PARTITION] = &file_def, [LH_ACTION_REMOVE_PARTITION] = &file_def,
    };
    return (unsigned)kind < LH_ACTION_KIND_COUNT ? defs[kind] : NULL;
}

const char *lh_action_name(enum lh_action_kind kind)
{
    static const char *const names[LH_ACTION_KIND_COUNT] = {
        "unknown", "add", "remove", "cdc", "metaData", "protocol", "txn", "domainMetadata", "commitInfo",
        "addPartition", "removePartition",
    };
    return (unsigned)kind < LH_ACTION_KIND_COUNT ? names[kind] : "unknown";
}

void lh_decoder_done(struct lh_decoder *decoder)
{
    lh_json_done(&decoder->json);
    lh_arena_done(&decoder->arena);
}

void lh_decoder_reset(struct lh_decoder *decoder) { lh_arena_reset(&decoder->arena); }

const struct lh_pair *lh_map_find(const struct lh_map *map, struct lh_slice key)
{
    for (uint32_t i = map->count; i-- > 0;) {
        if (lh_slice_equal(map->pairs[i].key, key))
            return &map->pairs[i];
    }
    return NULL;
}

/* Whether every effective pair of `a` stands in `b`. */
static bool map_within(const struct lh_map *a, const struct lh_map *b)
{
    for (uint32_t i = 0; i < a->count; i++) {
        const struct lh_pair *pair = &a->pairs[i];
        if (lh_map_find(a, pair->key) != pair)
            continue;
        const struct lh_pair *other = lh_map_find(b, pair->key);
        if (!other || other->null != pair->null || (!pair->null && !lh_slice_equal(other->value, pair->value)))
            return false;
    }
    return true;
}

bool lh_map_equal(const struct lh_map *a, const struct lh_map *b) { return map_within(a, b) && map_within(b, a); }

bool lh_list_has(const struct lh_list *list, struct lh_slice item)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (lh_slice_equal(list->items[i], item))
            return true;
    }
    return false;
}

bool lh_list_equal(const struct lh_list *a, const struct lh_list *b)
{
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (!lh_slice_equal(a->items[i], b->items[i]))
            return false;
    return true;
}

void lh_dv_unique_id(const struct lh_dv *dv, struct lh_buffer *out)
{
    lh_buffer_slice(out, dv->storage_type);
    lh_buffer_slice(out, dv->path_or_inline);
    if (lh_has(&dv->part, LH_DV_OFFSET)) {
        lh_buffer_byte(out, '@');
        lh_buffer_int(out, dv->offset);
    }
}

void lh_file_key(const struct lh_file_action *file, struct lh_buffer *out)
{
    lh_buffer_slice(out, file->path);
    if (lh_has(&file->part, LH_FILE_DV)) {
        lh_buffer_byte(out, (char)0xff);
        lh_dv_unique_id(&file->dv, out);
    }
}

bool lh_file_num_records(struct lh_decoder *decoder, const struct lh_file_action *file, int64_t *ret_rows)
{
    struct lh_slice number;
    if (lh_has(&file->part, LH_FILE_STATS) && lh_json_skim(file->stats, LH_SLICE("numRecords"), &number))
        return number.size && lh_json_whole(number, ret_rows) && *ret_rows >= 0;
    if (!lh_has(&file->part, LH_FILE_STATS) || file->stats.size == 0 ||
        lh_json_parse(&decoder->json, file->stats.data, file->stats.size) != VDE_OK) {
        vde_error_clear();
        return false;
    }
    uint32_t rows = lh_json_find(&decoder->json, 0, "numRecords");
    return lh_json_kind_of(&decoder->json, rows) == LH_JSON_NUMBER &&
           lh_json_whole(lh_json_raw(&decoder->json, rows), ret_rows) && *ret_rows >= 0;
}
