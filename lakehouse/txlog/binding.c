/* SPDX-License-Identifier: Apache-2.0 */
/* binding.c -- the same rules as Spark's ConflictChecker, where it says yes; where it says no for want of an interest
 * (a user's own property), what the change can mean to a writer decides. */
#include "txlog/binding.h"

#include "model/protocol.h"
#include "state/fail.h"
#include "txlog/rules.h"

/* --- protocol --------------------------------------------------------------------------------------------------- */
static const char *const legacy_features[] = {"appendOnly",       "invariants",    "checkConstraints", "changeDataFeed",
                                              "generatedColumns", "columnMapping", "identityColumns"};
#define LEGACY_COUNT (sizeof legacy_features / sizeof legacy_features[0])

/* Features that leave a commit as good as it was: what they add is optional for writers, is added when the commit is
 * rebased, or counts only from a property on, which is a change of metaData of its own. */
static bool adds_softly(struct lh_slice name)
{
    static const char *const soft[] = {
        "appendOnly", "changeDataFeed", "columnMapping", "timestampNtz", "timestampWithoutTimezone", "deletionVectors",
        "rowTracking", "domainMetadata", "icebergCompatV1", "icebergCompatV2", "icebergCompatV3", "v2Checkpoint",
        "catalogManaged", "typeWidening", "typeWidening-preview", "inCommitTimestamp", "inCommitTimestamp-preview",
        "vacuumProtocolCheck"};
    for (size_t i = 0; i < sizeof soft / sizeof soft[0]; i++)
        if (lh_slice_is(name, soft[i]))
            return true;
    return false;
}

static bool has(const struct lh_protocol *protocol, struct lh_slice name)
{
    if (lh_list_has(&protocol->writer_features, name) || lh_list_has(&protocol->reader_features, name))
        return true;
    const struct lh_feature *known = lh_feature_find(name);
    return known && lh_protocol_has(protocol, known->name);
}

/* Whether `with` has a feature that `without` lacks, and which `lacking` may not be lacked. */
static bool misses(const struct lh_protocol *with, const struct lh_protocol *without, bool soft_counts)
{
    const struct lh_list *lists[] = {&with->writer_features, &with->reader_features};
    for (size_t l = 0; l < 2; l++)
        for (uint32_t i = 0; i < lists[l]->count; i++)
            if (!has(without, lists[l]->items[i]) && (soft_counts || !adds_softly(lists[l]->items[i])))
                return true;
    for (size_t i = 0; i < LEGACY_COUNT; i++) {
        struct lh_slice name = lh_slice_of(legacy_features[i]);
        if (has(with, name) && !has(without, name) && (soft_counts || !adds_softly(name)))
            return true;
    }
    return false;
}

bool lh_protocol_binds(const struct lh_protocol *before, const struct lh_protocol *after)
{
    return (LH_RULE_HOLDS(LH_RULE_PROTOCOL_DROPS) && misses(before, after, true)) ||
           (LH_RULE_HOLDS(LH_RULE_PROTOCOL_ADDS) && misses(after, before, false));
}

/* --- configuration ---------------------------------------------------------------------------------------------- */
#define ROW_TRACKING_KEY "delta.enableRowTracking"
#define MODE_KEY "delta.columnMapping.mode"

static bool is_true(const struct lh_map *configuration, const char *key)
{
    const struct lh_pair *pair = lh_map_find(configuration, lh_slice_of(key));
    return pair && !pair->null && lh_slice_is(pair->value, "true");
}

static struct lh_slice mode_of(const struct lh_map *configuration)
{
    const struct lh_pair *pair = lh_map_find(configuration, LH_SLICE(MODE_KEY));
    return !pair || pair->null || lh_slice_is(pair->value, "none") ? LH_SLICE("") : pair->value;
}

static bool begins_mapping(const struct lh_metadata *before, const struct lh_metadata *after,
                           const struct lh_protocol *protocol)
{
    return mode_of(&before->configuration).size == 0 && lh_slice_is(mode_of(&after->configuration), "name") &&
           lh_protocol_has(protocol, "columnMapping");
}

/* Nothing that who writes data must know. */
static bool concerns_no_writer(struct lh_slice key)
{
    static const char *const keys[] = {"delta.checkpointInterval", "delta.logRetentionDuration",
                                       "delta.deletedFileRetentionDuration"};
    if (key.size < 6 || memcmp(key.data, "delta.", 6) != 0)
        return true;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (lh_slice_is(key, keys[i]))
            return true;
    return false;
}

/* A key that was set or changed to a value with which commits from before can live. */
static bool set_softly(struct lh_slice key, const struct lh_metadata *before, const struct lh_metadata *after,
                       const struct lh_protocol *protocol)
{
    const struct lh_map *now = &after->configuration;
    if (lh_slice_is(key, MODE_KEY))
        return begins_mapping(before, after, protocol);
    if (lh_slice_is(key, "delta.columnMapping.maxColumnId") || lh_slice_is(key, "delta.checkpointPolicy"))
        return true;
    if (lh_slice_is(key, "delta.enableDeletionVectors"))
        return is_true(now, "delta.enableDeletionVectors") && lh_protocol_has(protocol, "deletionVectors");
    if (lh_slice_is(key, ROW_TRACKING_KEY) || lh_slice_is(key, "delta.rowTracking.materializedRowIdColumnName") ||
        lh_slice_is(key, "delta.rowTracking.materializedRowCommitVersionColumnName"))
        return is_true(now, ROW_TRACKING_KEY) && lh_protocol_has(protocol, "rowTracking");
    if (lh_slice_is(key, "delta.enableInCommitTimestamps") || lh_slice_is(key, "delta.inCommitTimestampEnablementVersion") ||
        lh_slice_is(key, "delta.inCommitTimestampEnablementTimestamp"))
        return is_true(now, "delta.enableInCommitTimestamps") && lh_protocol_has(protocol, "inCommitTimestamp");
    return concerns_no_writer(key);
}

static bool configuration_binds(const struct lh_metadata *before, const struct lh_metadata *after,
                                const struct lh_protocol *protocol)
{
    const struct lh_map *old = &before->configuration, *now = &after->configuration;
    for (uint32_t i = 0; i < old->count; i++)
        if (!lh_map_find(now, old->pairs[i].key) && !concerns_no_writer(old->pairs[i].key))
            return true;
    for (uint32_t i = 0; i < now->count; i++) {
        const struct lh_pair *pair = lh_map_find(now, now->pairs[i].key), *was = lh_map_find(old, pair->key);
        bool same = was && was->null == pair->null && lh_slice_equal(was->value, pair->value);
        if (!same && !set_softly(pair->key, before, after, protocol))
            return true;
    }
    return false;
}

/* --- schema ----------------------------------------------------------------------------------------------------- */
static bool may_differ(const struct lh_json *json, uint32_t key, bool mapping)
{
    return lh_json_string_is(json, key, "delta.identity.highWaterMark") ||
           (mapping && (lh_json_string_is(json, key, "delta.columnMapping.id") ||
                        lh_json_string_is(json, key, "delta.columnMapping.physicalName") ||
                        lh_json_string_is(json, key, "delta.columnMapping.nested.ids")));
}

/* Whether every member of a, but those that may differ, is in b with the same value. */
static bool members_in(const struct lh_json *a, const struct lh_json *b, bool mapping)
{
    uint32_t key = a->count ? lh_json_first(a, 0) : LH_JSON_NONE;
    for (uint32_t i = 0; key != LH_JSON_NONE && i < a->tokens[0].count; i++) {
        char name[256];
        struct lh_slice text = lh_json_inner(a, key);
        if (!may_differ(a, key, mapping)) {
            if (text.size >= sizeof name)
                return false;
            memcpy(name, text.data, text.size);
            name[text.size] = '\0';
            uint32_t other = b->count ? lh_json_find(b, 0, name) : LH_JSON_NONE;
            if (other == LH_JSON_NONE || !lh_json_equal(a, key + 1, b, other))
                return false;
        }
        key = a->tokens[key + 1].next;
    }
    return true;
}

struct comparing {
    struct lh_json before, after;
    bool mapping;
};

static bool same_field_metadata(struct comparing *c, struct lh_slice before, struct lh_slice after)
{
    struct lh_slice texts[] = {before.size ? before : LH_SLICE("{}"), after.size ? after : LH_SLICE("{}")};
    if (lh_slice_equal(texts[0], texts[1]))
        return true;
    if (lh_json_parse(&c->before, texts[0].data, texts[0].size) != VDE_OK ||
        lh_json_parse(&c->after, texts[1].data, texts[1].size) != VDE_OK) {
        vde_error_clear();
        return false;
    }
    return members_in(&c->before, &c->after, c->mapping) && members_in(&c->after, &c->before, c->mapping);
}

/* The depth is bounded by the parser's LH_SCHEMA_DEPTH_MAX. */
static bool same_type(struct comparing *c, const struct lh_type *a, const struct lh_type *b)
{
    if (a->kind != b->kind || a->precision != b->precision || a->scale != b->scale || a->count != b->count ||
        !lh_slice_equal(a->name, b->name))
        return false;
    for (uint32_t i = 0; i < a->count; i++) {
        const struct lh_field *x = &a->fields[i], *y = &b->fields[i];
        if (!lh_slice_equal(x->name, y->name) || x->nullable != y->nullable || !same_type(c, &x->type, &y->type) ||
            !same_field_metadata(c, x->metadata, y->metadata))
            return false;
    }
    return true;
}

static vde_status schema_binds(struct lh_slice before, struct lh_slice after, bool mapping, bool *ret_binds)
{
    struct lh_arena arena = LH_ARENA_INIT;
    struct lh_schema old, now;
    struct comparing c = {LH_JSON_INIT, LH_JSON_INIT, mapping};
    vde_status status = lh_schema_parse_delta(&arena, before, &old);
    if (status == VDE_OK)
        status = lh_schema_parse_delta(&arena, after, &now);
    *ret_binds = status != VDE_OK || !same_type(&c, &old.root, &now.root);
    lh_json_done(&c.before);
    lh_json_done(&c.after);
    lh_arena_done(&arena);
    if (status == VDE_NOMEM)
        return status;
    if (status != VDE_OK)
        vde_error_clear();
    return VDE_OK;
}

/* --- both ------------------------------------------------------------------------------------------------------- */
vde_status lh_metadata_binds(const struct lh_metadata *before, const struct lh_metadata *after,
                             const struct lh_protocol *after_protocol, bool *ret_binds)
{
    *ret_binds = true;
    bool same_identity = lh_slice_equal(before->id, after->id) && lh_slice_equal(before->name, after->name) &&
                         lh_slice_equal(before->description, after->description) &&
                         before->created_time_ms == after->created_time_ms &&
                         lh_slice_equal(before->format.provider, after->format.provider) &&
                         lh_map_equal(&before->format.options, &after->format.options);
    if (!same_identity || !lh_list_equal(&before->partition_columns, &after->partition_columns) ||
        configuration_binds(before, after, after_protocol))
        return VDE_OK;
    if (lh_slice_equal(before->schema_string, after->schema_string)) {
        *ret_binds = false;
        return VDE_OK;
    }
    return schema_binds(before->schema_string, after->schema_string, begins_mapping(before, after, after_protocol), ret_binds);
}
