/* SPDX-License-Identifier: Apache-2.0 */
#include "model/protocol.h"

#include <stdio.h>

/* Features that this engine understands for reading state and for committing. What is not here makes a table opaque. */
static const struct lh_feature features[] = {
    {"appendOnly", false, 0, 2, LH_DUTY_ENGINE},
    {"invariants", false, 0, 2, LH_DUTY_WRITER},
    {"checkConstraints", false, 0, 3, LH_DUTY_WRITER},
    {"changeDataFeed", false, 0, 4, LH_DUTY_WRITER},
    {"generatedColumns", false, 0, 4, LH_DUTY_WRITER},
    {"columnMapping", true, 2, 5, LH_DUTY_ENGINE},
    {"identityColumns", false, 0, 6, LH_DUTY_WRITER},
    {"deletionVectors", true, 0, 0, LH_DUTY_NONE},
    {"rowTracking", false, 0, 0, LH_DUTY_ENGINE},
    {"timestampNtz", true, 0, 0, LH_DUTY_NONE},
    {"timestampWithoutTimezone", true, 0, 0, LH_DUTY_NONE},
    {"domainMetadata", false, 0, 0, LH_DUTY_NONE},
    {"v2Checkpoint", true, 0, 0, LH_DUTY_NONE},
    {"icebergCompatV1", false, 0, 0, LH_DUTY_ENGINE},
    {"icebergCompatV2", false, 0, 0, LH_DUTY_ENGINE},
    {"clustering", false, 0, 0, LH_DUTY_ENGINE},
    {"allowColumnDefaults", false, 0, 0, LH_DUTY_WRITER},
    {"vacuumProtocolCheck", true, 0, 0, LH_DUTY_NONE},
    {"inCommitTimestamp", false, 0, 0, LH_DUTY_ENGINE},
    {"inCommitTimestamp-preview", false, 0, 0, LH_DUTY_ENGINE},
    {"typeWidening", true, 0, 0, LH_DUTY_ENGINE},
    {"typeWidening-preview", true, 0, 0, LH_DUTY_ENGINE},
    {"materializePartitionColumns", false, 0, 0, LH_DUTY_WRITER},
    {"checkpointProtection", false, 0, 0, LH_DUTY_NONE},
};
#define FEATURE_COUNT (sizeof features / sizeof features[0])

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

static void opaque(struct lh_verdict *verdict, const char *kind, struct lh_slice name)
{
    int size = name.size > 100 ? 100 : (int)name.size;
    verdict->native = false;
    snprintf(verdict->what, sizeof verdict->what, "%s %.*s", kind, size, name.data ? name.data : "");
}

static const struct lh_slice *unknown_feature(const struct lh_list *list)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (!lh_feature_find(list->items[i]))
            return &list->items[i];
    }
    return NULL;
}

static bool judge_versions(const struct lh_protocol *protocol, struct lh_verdict *verdict)
{
    const struct lh_part *part = &protocol->part;
    int64_t reader = protocol->min_reader_version, writer = protocol->min_writer_version;
    if (!lh_has(part, LH_PROTOCOL_READER) || !lh_has(part, LH_PROTOCOL_WRITER)) {
        opaque(verdict, "protocol without", LH_SLICE("versions"));
        return false;
    }
    if (reader < 1 || reader > 3 || writer < 1 || writer > 7) {
        bool bad_reader = reader < 1 || reader > 3;
        char text[24];
        snprintf(text, sizeof text, "%lld", (long long)(bad_reader ? reader : writer));
        opaque(verdict, bad_reader ? "reader version" : "writer version", lh_slice_of(text));
        return false;
    }
    return true;
}

void lh_protocol_judge(const struct lh_protocol *protocol, const struct lh_schema *schema, struct lh_verdict *ret_verdict)
{
    *ret_verdict = (struct lh_verdict){.native = true};
    if (!judge_versions(protocol, ret_verdict))
        return;
    const struct lh_slice *name = unknown_feature(&protocol->reader_features);
    if (name) {
        opaque(ret_verdict, "reader feature", *name);
        return;
    }
    name = unknown_feature(&protocol->writer_features);
    if (name) {
        opaque(ret_verdict, "writer feature", *name);
        return;
    }
    char type[120];
    if (schema && lh_schema_unknown_type(schema, type, sizeof type))
        opaque(ret_verdict, "type of column", lh_slice_of(type));
}

vde_status lh_protocol_judge_actions(const struct lh_protocol *protocol, const struct lh_metadata *metadata,
                                     struct lh_verdict *ret_verdict)
{
    struct lh_arena arena = LH_ARENA_INIT;
    struct lh_schema schema;
    vde_status status = lh_schema_parse_delta(&arena, metadata->schema_string, &schema);
    lh_protocol_judge(protocol, status == VDE_OK ? &schema : NULL, ret_verdict);
    if (status != VDE_OK && status != VDE_NOMEM) {
        if (ret_verdict->native)
            opaque(ret_verdict, "schema that can't be read:", lh_slice_of(vde_last_error()->found));
        status = VDE_OK;
    }
    lh_arena_done(&arena);
    return status;
}

static vde_status illegal(const char *found, const char *expected)
{
    return vde_error_set(VDE_INVAL, "protocol", found, expected);
}

vde_status lh_protocol_check(const struct lh_protocol *protocol)
{
    const struct lh_part *part = &protocol->part;
    if (!lh_has(part, LH_PROTOCOL_READER) || !lh_has(part, LH_PROTOCOL_WRITER))
        return illegal("no versions", "minReaderVersion and minWriterVersion");
    bool lists_reader = lh_has(part, LH_PROTOCOL_READER_FEATURES), lists_writer = lh_has(part, LH_PROTOCOL_WRITER_FEATURES);
    if (lists_reader != (protocol->min_reader_version == 3))
        return illegal(lists_reader ? "readerFeatures below version 3" : "no readerFeatures in version 3",
                       "readerFeatures exactly in reader version 3");
    if (lists_writer != (protocol->min_writer_version == 7))
        return illegal(lists_writer ? "writerFeatures below version 7" : "no writerFeatures in version 7",
                       "writerFeatures exactly in writer version 7");
    if (lists_reader && !lists_writer)
        return illegal("reader version 3 without writer version 7", "both");
    for (uint32_t i = 0; lists_reader && i < protocol->reader_features.count; i++) {
        if (!lh_list_has(&protocol->writer_features, protocol->reader_features.items[i]))
            return illegal("a reader feature that writerFeatures lacks", "reader features in both lists");
    }
    for (uint32_t i = 0; lists_writer && i < protocol->writer_features.count; i++) {
        const struct lh_feature *known = lh_feature_find(protocol->writer_features.items[i]);
        bool listed = lh_list_has(&protocol->reader_features, protocol->writer_features.items[i]);
        /* Column mapping may be a legacy reader feature: reader version 2 beside writer version 7. */
        bool legacy = known && known->legacy_reader_version && protocol->min_reader_version >= known->legacy_reader_version &&
                      !lists_reader;
        if (known && known->reader && !listed && !legacy)
            return illegal("a reader feature that readerFeatures lacks", "reader features in both lists");
    }
    return VDE_OK;
}
