/* SPDX-License-Identifier: Apache-2.0 */
#include "model/features.h"

#define RW true
#define W false
#define UNDERSTOOD true, true
#define READ_ONLY true, false
#define UNKNOWN false, false

static const struct lh_feature features[] = {
    {"appendOnly", W, 0, 2, UNDERSTOOD, "no data is removed while delta.appendOnly is true", NULL},
    {"invariants", W, 0, 2, UNDERSTOOD, NULL, "every row keeps the columns' delta.invariants"},
    {"checkConstraints", W, 0, 3, UNDERSTOOD, NULL, "every row keeps the delta.constraints"},
    {"changeDataFeed", W, 0, 4, UNDERSTOOD, NULL, "cdc files tell the rows that change, while delta.enableChangeDataFeed is true"},
    {"generatedColumns", W, 0, 4, UNDERSTOOD, NULL, "generated columns hold what their expression gives"},
    {"identityColumns", W, 0, 6, UNDERSTOOD, NULL, "identity values come from the column's sequence"},
    {"allowColumnDefaults", W, 0, 0, UNDERSTOOD, NULL, "columns that nothing was given for hold CURRENT_DEFAULT"},
    {"materializePartitionColumns", W, 0, 0, UNDERSTOOD, NULL, "data files hold the partition columns"},
    {"rowTracking", W, 0, 0, UNDERSTOOD,
     "adds get baseRowId and defaultRowCommitVersion, and need numRecords; delta.rowTracking holds the highest id", NULL},
    {"domainMetadata", W, 0, 0, UNDERSTOOD,
     "domainMetadata needs this feature; of the names that begin with delta. only delta.clustering may be set", NULL},
    {"icebergCompatV1", W, 0, 0, UNDERSTOOD, "adds need numRecords and have no deletion vectors, while it is enabled", NULL},
    {"icebergCompatV2", W, 0, 0, UNDERSTOOD, "adds need numRecords and have no deletion vectors, while it is enabled", NULL},
    {"icebergCompatV3", W, 0, 0, READ_ONLY, NULL, NULL},
    {"clustering", W, 0, 0, UNDERSTOOD, "adds need statistics of the clustering columns", NULL},
    {"inCommitTimestamp", W, 0, 0, UNDERSTOOD, "commitInfo comes first; its inCommitTimestamp increases strictly", NULL},
    {"inCommitTimestamp-preview", W, 0, 0, UNDERSTOOD, "as inCommitTimestamp", NULL},
    {"checkpointProtection", W, 0, 0, UNDERSTOOD,
     "delta.requireCheckpointProtectionBeforeVersion is a version and is never lowered", NULL},
    {"coordinatedCommits-preview", W, 0, 0, READ_ONLY, NULL, NULL},
    {"redirectWriterOnly-preview", W, 0, 0, READ_ONLY, NULL, NULL},
    {"columnMapping", RW, 2, 5, UNDERSTOOD, "partition values go by physical names; column ids are never given twice", NULL},
    {"deletionVectors", RW, 0, 0, UNDERSTOOD,
     "vectors need this feature, new ones delta.enableDeletionVectors; numRecords is at least the cardinality", NULL},
    {"timestampNtz", RW, 0, 0, UNDERSTOOD, "columns of this type need the feature", NULL},
    {"timestampWithoutTimezone", RW, 0, 0, UNDERSTOOD, NULL, NULL},
    {"v2Checkpoint", RW, 0, 0, UNDERSTOOD, NULL, NULL},
    {"vacuumProtocolCheck", RW, 0, 0, UNDERSTOOD, NULL, NULL},
    {"typeWidening", RW, 0, 0, UNDERSTOOD, "types are widened by its list only", NULL},
    {"typeWidening-preview", RW, 0, 0, UNDERSTOOD, "as typeWidening", NULL},
    {"variantType", RW, 0, 0, UNKNOWN, NULL, NULL},
    {"variantType-preview", RW, 0, 0, UNKNOWN, NULL, NULL},
    {"variantShredding", RW, 0, 0, UNKNOWN, NULL, NULL},
    {"variantShredding-preview", RW, 0, 0, UNKNOWN, NULL, NULL},
    {"geospatial", RW, 0, 0, UNKNOWN, NULL, NULL},
    {"geospatial-dev", RW, 0, 0, UNKNOWN, NULL, NULL},
    {"timestampNanos", RW, 0, 0, UNKNOWN, NULL, NULL},
    {"collations", RW, 0, 0, UNKNOWN, NULL, NULL},
    {"catalogManaged", RW, 0, 0, UNKNOWN, NULL, NULL},
    {"catalogOwned-preview", RW, 0, 0, UNKNOWN, NULL, NULL},
    {"adaptiveMetadata-preview", RW, 0, 0, UNKNOWN, NULL, NULL},
    {"redirectReaderWriter-preview", RW, 0, 0, UNKNOWN, NULL, NULL},
};
#define FEATURE_COUNT (sizeof features / sizeof features[0])

const struct lh_feature *lh_feature_at(size_t index) { return index < FEATURE_COUNT ? &features[index] : NULL; }

const struct lh_feature *lh_feature_find(struct lh_slice name)
{
    for (size_t i = 0; i < FEATURE_COUNT; i++) {
        if (lh_slice_is(name, features[i].name))
            return &features[i];
    }
    return NULL;
}

bool lh_protocol_has(const struct lh_protocol *protocol, const char *feature)
{
    struct lh_slice name = lh_slice_of(feature);
    if (lh_list_has(&protocol->writer_features, name) || lh_list_has(&protocol->reader_features, name))
        return true;
    const struct lh_feature *known = lh_feature_find(name);
    return known && known->legacy_writer_version && protocol->min_writer_version < 7 &&
           protocol->min_writer_version >= known->legacy_writer_version;
}

bool lh_property_is(const struct lh_map *configuration, const char *key, const char *value)
{
    const struct lh_pair *pair = lh_map_find(configuration, lh_slice_of(key));
    return pair && !pair->null && lh_slice_is(pair->value, value);
}

/* --- what the commit path keeps --------------------------------------------------------------------------------- */

uint32_t lh_feature_rules(const struct lh_protocol *protocol, const struct lh_metadata *metadata)
{
    const struct lh_map *c = &metadata->configuration;
    uint32_t rules = 0;
    if (lh_property_is(c, "delta.appendOnly", "true"))
        rules |= LH_ASKS_APPEND_ONLY;
    if (lh_property_is(c, "delta.enableInCommitTimestamps", "true"))
        rules |= LH_ASKS_IN_COMMIT_TIME;
    /* Ids are given from the feature on, before readers are promised them. */
    if (lh_protocol_has(protocol, "rowTracking") && !lh_property_is(c, "delta.rowTrackingSuspended", "true"))
        rules |= LH_ASKS_ROW_IDS | LH_ASKS_RECORDS;
    if (lh_property_is(c, "delta.enableIcebergCompatV1", "true") || lh_property_is(c, "delta.enableIcebergCompatV2", "true"))
        rules |= LH_ASKS_RECORDS | LH_ASKS_NO_VECTORS;
    if (lh_protocol_has(protocol, "deletionVectors"))
        rules |= LH_ASKS_VECTORS | (lh_property_is(c, "delta.enableDeletionVectors", "true") ? LH_ASKS_NEW_VECTORS : 0);
    if (lh_protocol_has(protocol, "domainMetadata"))
        rules |= LH_ASKS_DOMAINS;
    if (lh_protocol_has(protocol, "clustering"))
        rules |= LH_ASKS_CLUSTERING;
    const struct lh_pair *mode = lh_map_find(c, LH_SLICE("delta.columnMapping.mode"));
    if (mode && !mode->null && !lh_slice_is(mode->value, "none") && lh_protocol_has(protocol, "columnMapping"))
        rules |= LH_ASKS_MAPPED;
    return rules;
}

/* --- what the data's writer guarantees -------------------------------------------------------------------------- */

/* What columns of the schema say in their metadata. */
struct marks {
    bool invariants, generated, identity, defaults;
};

static bool begins(struct lh_slice text, const char *prefix)
{
    size_t size = strlen(prefix);
    return text.size > size && memcmp(text.data, prefix, size) == 0;
}

static vde_status note_mark(const struct lh_json *json, uint32_t key, struct lh_arena *arena, struct marks *marks)
{
    struct lh_slice name;
    vde_status status = lh_json_string(json, key, arena, &name);
    if (status != VDE_OK)
        return status;
    marks->invariants |= lh_slice_is(name, "delta.invariants");
    marks->generated |= lh_slice_is(name, "delta.generationExpression");
    marks->identity |= begins(name, "delta.identity.");
    marks->defaults |= lh_slice_is(name, "CURRENT_DEFAULT");
    return VDE_OK;
}

static vde_status find_marks(struct lh_slice schema, struct marks *marks)
{
    struct lh_json json = LH_JSON_INIT;
    struct lh_arena arena = LH_ARENA_INIT;
    vde_status status = schema.size ? lh_json_parse(&json, schema.data, schema.size) : VDE_OK;
    for (uint32_t i = 0; status == VDE_OK && i + 1 < json.count; i++) {
        if (json.tokens[i].kind != LH_JSON_STRING || json.tokens[i + 1].kind != LH_JSON_OBJECT ||
            !lh_json_string_is(&json, i, "metadata"))
            continue;
        uint32_t key = lh_json_first(&json, i + 1);
        for (uint32_t n = 0; n < json.tokens[i + 1].count && status == VDE_OK; n++) {
            status = note_mark(&json, key, &arena, marks);
            key = json.tokens[key + 1].next;
        }
    }
    lh_arena_done(&arena);
    lh_json_done(&json);
    return status == VDE_NOMEM ? status : VDE_OK; /* what is no schema is refused elsewhere */
}

vde_status lh_feature_duties(const struct lh_protocol *protocol, const struct lh_metadata *metadata,
                             struct lh_duties *ret_duties)
{
    struct marks marks = {false, false, false, false};
    const struct lh_map *c = &metadata->configuration;
    bool constraints = false;
    vde_status status = find_marks(metadata->schema_string, &marks);
    if (status != VDE_OK)
        return status;
    for (uint32_t i = 0; i < c->count; i++)
        constraints |= begins(c->pairs[i].key, "delta.constraints.") && !c->pairs[i].null;
    const struct {
        const char *name;
        bool used;
    } all[] = {
        {"invariants", marks.invariants},
        {"checkConstraints", constraints},
        {"changeDataFeed", lh_property_is(c, "delta.enableChangeDataFeed", "true")},
        {"generatedColumns", marks.generated},
        {"identityColumns", marks.identity},
        {"allowColumnDefaults", marks.defaults},
        {"materializePartitionColumns",
         metadata->partition_columns.count && lh_protocol_has(protocol, "materializePartitionColumns")},
    };
    ret_duties->count = 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i].used)
            ret_duties->names[ret_duties->count++] = all[i].name;
    }
    return VDE_OK;
}
