/* SPDX-License-Identifier: Apache-2.0 */
/* Conflict rules that need more than one winner, a feature or a property of the table. */
#include "unit/lakehouse/support.h"

#include "txlog/binding.h"

#define ADD_AS(path, day, change)                                                                                      \
    "{\"add\":{\"path\":\"" path "\",\"partitionValues\":{\"day\":\"" day "\"},\"size\":1,\"modificationTime\":1,"       \
    "\"dataChange\":" change ",\"stats\":\"{\\\"numRecords\\\":1}\"}}"
#define ADD(path, day) ADD_AS(path, day, "true")
#define REMOVE(path, day)                                                                                              \
    "{\"remove\":{\"path\":\"" path "\",\"deletionTimestamp\":1,\"dataChange\":true,\"extendedFileMetadata\":true,"       \
    "\"partitionValues\":{\"day\":\"" day "\"},\"size\":1}}"
#define DOC(rest, actions) "{\"tables\":[{\"table\":\"ns.a\"" rest ",\"actions\":[" actions "]}]}"
#define WEAK(rest, actions)                                                                                            \
    "{\"isolation\":\"WriteSerializable\",\"tables\":[{\"table\":\"ns.a\"" rest ",\"actions\":[" actions "]}]}"
#define PROTOCOL(readers, writers)                                                                                     \
    "{\"protocol\":{\"minReaderVersion\":3,\"minWriterVersion\":7,\"readerFeatures\":[" readers "],\"writerFeatures\":["  \
    writers "]}}"

static void start(struct fixture *f)
{
    setup(f, 64u << 20);
    ok(lh_namespace_create(f->lakehouse, "ns", NULL, 0));
    ok(commit_json(f, DOC(",\"create\":{\"schema\":\"id BIGINT, day STRING\",\"partitionBy\":[\"day\"]}",
                          PROTOCOL("\"vacuumProtocolCheck\"", "\"vacuumProtocolCheck\",\"domainMetadata\",\"rowTracking\"")),
                   NULL));
}

static void conflicts(struct fixture *f, const char *doc, enum lh_conflict want)
{
    fails(commit_json(f, doc, NULL), LH_CONFLICT);
    cr_assert_eq(lh_last_conflict(), want, "%s", vde_last_error()->text);
}

Test(rules, a_file_that_came_after_the_reading_was_not_read)
{
    struct fixture f;
    start(&f);
    ok(commit_json(&f, DOC("", ADD("old", "1")), NULL));
    ok(commit_json(&f, DOC("", ADD("new", "1")), NULL));
    ok(commit_json(&f, DOC("", REMOVE("new", "1")), NULL));
    ok(commit_json(&f, WEAK(",\"readVersion\":1,\"reads\":{\"day\":\"1\"}", ADD("x", "1")), NULL));
    /* Added again without a change of data: it may have been there before. */
    ok(commit_json(&f, DOC("", ADD_AS("old", "1", "false")), NULL));
    ok(commit_json(&f, DOC("", REMOVE("old", "1")), NULL));
    conflicts(&f, WEAK(",\"readVersion\":4,\"reads\":{\"day\":\"1\"}", ADD("y", "1")), LH_CONFLICT_CONCURRENT_DELETE_READ);
    ok(commit_json(&f, WEAK(",\"readVersion\":4,\"reads\":{\"day\":\"2\"}", ADD("y", "1")), NULL));
    teardown(&f);
}

Test(rules, a_protocol_that_drops_a_feature_stops_everybody)
{
    struct fixture f;
    start(&f);
    ok(commit_json(&f, DOC("", PROTOCOL("", "\"domainMetadata\",\"rowTracking\"")), NULL));
    conflicts(&f, DOC(",\"readVersion\":0", ADD("x", "1")), LH_CONFLICT_PROTOCOL_CHANGED);
    cr_assert(vde_last_error()->retryable);
    ok(commit_json(&f, DOC(",\"readVersion\":1", ADD("x", "1")), NULL));
    teardown(&f);
}

Test(rules, what_is_wrong_because_of_a_winner_is_a_conflict)
{
    struct fixture f;
    struct lh_evolve evolve = LH_EVOLVE_INIT;
    struct lh_property only = {"delta.appendOnly", "true"};
    start(&f);
    ok(commit_json(&f, DOC("", ADD("f1", "1")), NULL));
    evolve.properties = &only;
    evolve.property_count = 1;
    ok(lh_table_evolve(f.lakehouse, "ns.a", &evolve, NULL));
    conflicts(&f, DOC(",\"readVersion\":1", REMOVE("f1", "1")), LH_CONFLICT_METADATA_CHANGED);
    fails(commit_json(&f, DOC(",\"readVersion\":2", REMOVE("f1", "1")), NULL), LH_VALIDATION);
    evolve = (struct lh_evolve)LH_EVOLVE_INIT;
    evolve.schema = "id BIGINT, day STRING, more INT";
    ok(lh_table_evolve(f.lakehouse, "ns.a", &evolve, NULL));
    conflicts(&f, DOC(",\"readVersion\":2,\"schema\":\"id BIGINT, day STRING, more STRING\"", ""),
              LH_CONFLICT_METADATA_CHANGED);
    teardown(&f);
}

Test(rules, what_was_applied_before_is_no_conflict_with_itself)
{
    struct fixture f;
    start(&f);
    ok(commit_json(&f, DOC(",\"readVersion\":0", "{\"txn\":{\"appId\":\"a\",\"version\":1}}," ADD("x", "1")), NULL));
    fails(commit_json(&f, DOC(",\"readVersion\":0", "{\"txn\":{\"appId\":\"a\",\"version\":1}}," ADD("x", "1")), NULL),
          LH_ALREADY_APPLIED);
    open_again(&f);
    fails(commit_json(&f, DOC(",\"readVersion\":0,\"reads\":\"all\"", "{\"txn\":{\"appId\":\"a\",\"version\":1}},"
                              ADD("x", "1")), NULL), LH_ALREADY_APPLIED);
    conflicts(&f, DOC(",\"readVersion\":0,\"readApps\":[\"b\",\"a\"]", ADD("y", "1")), LH_CONFLICT_CONCURRENT_TRANSACTION);
    cr_assert(!vde_last_error()->retryable);
    ok(commit_json(&f, DOC(",\"readVersion\":0,\"readApps\":[\"b\"]", ADD("y", "1")), NULL));
    fails(commit_json(&f, DOC(",\"readApps\":[\"\"]", ADD("z", "1")), NULL), LH_VALIDATION);
    fails(commit_json(&f, DOC(",\"readApps\":\"a\"", ADD("z", "1")), NULL), LH_JSON);
    teardown(&f);
}

/* The property is what other engines wrote; a commit's own word comes first. */
Test(rules, a_table_may_ask_for_write_serializable)
{
    struct fixture f;
    start(&f);
    ok(commit_json(&f, DOC("", "{\"metaData\":{\"id\":\"5b0a57e6-4f7c-4ad0-a8a4-0e3b6a4b3e22\",\"format\":{\"provider\":"
                               "\"parquet\",\"options\":{}},\"schemaString\":\"{\\\"type\\\":\\\"struct\\\",\\\"fields\\\":["
                               "{\\\"name\\\":\\\"id\\\",\\\"type\\\":\\\"long\\\",\\\"nullable\\\":true,\\\"metadata\\\":{}},"
                               "{\\\"name\\\":\\\"day\\\",\\\"type\\\":\\\"string\\\",\\\"nullable\\\":true,\\\"metadata\\\":"
                               "{}}]}\",\"partitionColumns\":[\"day\"],\"configuration\":{\"delta.isolationLevel\":"
                               "\"WriteSerializable\"},\"createdTime\":1}}"), NULL));
    ok(commit_json(&f, DOC("", ADD("x", "1")), NULL));
    conflicts(&f, "{\"isolation\":\"Serializable\",\"tables\":[{\"table\":\"ns.a\",\"readVersion\":1,\"reads\":\"all\","
                  "\"actions\":[" ADD("z", "1") "]}]}", LH_CONFLICT_CONCURRENT_APPEND);
    ok(commit_json(&f, DOC(",\"readVersion\":1,\"reads\":\"all\"", ADD("y", "1")), NULL));
    teardown(&f);
}

Test(rules, row_tracking_is_merged)
{
    struct fixture f;
    start(&f);
    /* Both give ids out, and so set the domain. */
    ok(commit_json(&f, DOC("", ADD("v", "1")), NULL));
    ok(commit_json(&f, DOC(",\"readVersion\":0", ADD("x", "1")), NULL));
    /* What a backfill adds again was read before. */
    ok(commit_json(&f, DOC(",\"operation\":\"ROW TRACKING BACKFILL\"", ADD_AS("x", "1", "false")), NULL));
    ok(commit_json(&f, DOC(",\"readVersion\":2,\"reads\":\"all\"", ADD("y", "1")), NULL));
    ok(commit_json(&f, DOC(",\"operation\":\"ROW TRACKING BACKFILL\"", ADD("z", "1")), NULL));
    conflicts(&f, DOC(",\"readVersion\":4,\"reads\":\"all\"", ADD("w", "1")), LH_CONFLICT_CONCURRENT_APPEND);
    teardown(&f);
}

/* --- what binds ------------------------------------------------------------------------------------------------- */
#define FIELD(name, type, metadata) "{\"name\":\"" name "\",\"type\":\"" type "\",\"nullable\":true,\"metadata\":{" metadata "}}"
#define SCHEMA(fields) "{\"type\":\"struct\",\"fields\":[" fields "]}"
#define MAPPED(id) "\"delta.columnMapping.id\":" id ",\"delta.columnMapping.physicalName\":\"id\""

static bool binds(const char *feature, const char *old_key, const char *old_value, const char *key, const char *value)
{
    struct lh_slice names[] = {lh_slice_of(feature)};
    struct lh_protocol protocol = {.min_reader_version = 3, .min_writer_version = 7, .writer_features = {names, 1}};
    struct lh_pair was = {.key = lh_slice_of(old_key), .value = lh_slice_of(old_value)};
    struct lh_pair is = {.key = lh_slice_of(key), .value = lh_slice_of(value)};
    struct lh_metadata before = {.configuration = {&was, old_key != NULL}}, after = {.configuration = {&is, key != NULL}};
    bool result = false;
    ok(lh_metadata_binds(&before, &after, &protocol, &result));
    return result;
}

static bool schema_binds(const char *before, const char *after, bool mapping)
{
    struct lh_slice names[] = {LH_SLICE("columnMapping")};
    struct lh_protocol protocol = {.min_reader_version = 3, .min_writer_version = 7, .writer_features = {names, 1}};
    struct lh_pair mode = {.key = LH_SLICE("delta.columnMapping.mode"), .value = LH_SLICE("name")};
    struct lh_metadata old = {.schema_string = lh_slice_of(before)};
    struct lh_metadata now = {.schema_string = lh_slice_of(after), .configuration = {&mode, mapping}};
    bool result = false;
    ok(lh_metadata_binds(&old, &now, &protocol, &result));
    return result;
}

Test(rules, properties_bind_by_key_and_value)
{
    /* Allowed by Spark, with the value for which it allows them. */
    cr_expect(!binds("deletionVectors", NULL, NULL, "delta.enableDeletionVectors", "true"));
    cr_expect(binds("deletionVectors", NULL, NULL, "delta.enableDeletionVectors", "false"));
    cr_expect(binds("other", NULL, NULL, "delta.enableDeletionVectors", "true"));
    cr_expect(!binds("rowTracking", "delta.enableRowTracking", "false", "delta.enableRowTracking", "true"));
    cr_expect(binds("rowTracking", "delta.enableRowTracking", "true", "delta.enableRowTracking", "false"));
    cr_expect(binds("rowTracking", NULL, NULL, "delta.rowTracking.materializedRowIdColumnName", "r"));
    cr_expect(!binds("inCommitTimestamp", NULL, NULL, "delta.enableInCommitTimestamps", "true"));
    cr_expect(!binds("columnMapping", NULL, NULL, "delta.columnMapping.mode", "name"));
    cr_expect(binds("columnMapping", NULL, NULL, "delta.columnMapping.mode", "id"));
    cr_expect(binds("columnMapping", "delta.columnMapping.mode", "name", "delta.columnMapping.mode", "none"));
    cr_expect(!binds("x", NULL, NULL, "delta.columnMapping.maxColumnId", "7"));
    cr_expect(!binds("x", NULL, NULL, "delta.checkpointPolicy", "v2"));
    /* Not allowed, and they do bind. */
    cr_expect(binds("x", NULL, NULL, "delta.appendOnly", "true"));
    cr_expect(binds("x", "delta.appendOnly", "true", NULL, NULL));
    cr_expect(binds("x", NULL, NULL, "delta.constraints.c", "id > 0"));
    /* Of no writer's concern. */
    cr_expect(!binds("x", NULL, NULL, "owner", "me"));
    cr_expect(!binds("x", "owner", "me", NULL, NULL));
    cr_expect(!binds("x", "delta.logRetentionDuration", "interval 1 day", "delta.logRetentionDuration", "interval 2 days"));
}

Test(rules, schemas_bind_but_for_what_mapping_adds)
{
    const char *plain = SCHEMA(FIELD("id", "long", ""));
    cr_expect(!schema_binds(plain, SCHEMA(FIELD("id", "long", MAPPED("1"))), true));
    cr_expect(schema_binds(plain, SCHEMA(FIELD("id", "long", MAPPED("1"))), false));
    cr_expect(schema_binds(plain, SCHEMA(FIELD("id", "long", MAPPED("1") ",\"comment\":\"x\"")), true));
    cr_expect(schema_binds(plain, SCHEMA(FIELD("id", "integer", MAPPED("1"))), true));
    cr_expect(schema_binds(plain, SCHEMA(FIELD("id", "long", "") "," FIELD("b", "long", "")), true));
    cr_expect(!schema_binds(SCHEMA(FIELD("id", "long", "\"delta.identity.highWaterMark\":1")),
                            SCHEMA(FIELD("id", "long", "\"delta.identity.highWaterMark\":5")), false));
    cr_expect(schema_binds(plain, "no schema", true));
    struct lh_metadata a = {.description = LH_SLICE("a")}, b = {.description = LH_SLICE("b")};
    struct lh_protocol protocol = {.min_reader_version = 1, .min_writer_version = 2};
    bool result = false;
    ok(lh_metadata_binds(&a, &b, &protocol, &result));
    cr_expect(result);
}

Test(rules, protocols_bind_when_they_drop_or_demand)
{
    struct lh_protocol two = {.min_reader_version = 1, .min_writer_version = 2}, three = two, four = two;
    struct lh_slice soft[] = {LH_SLICE("appendOnly"), LH_SLICE("invariants"), LH_SLICE("deletionVectors")};
    struct lh_slice hard[] = {LH_SLICE("appendOnly"), LH_SLICE("invariants"), LH_SLICE("clustering")};
    struct lh_slice unknown[] = {LH_SLICE("appendOnly"), LH_SLICE("invariants"), LH_SLICE("fromTheFuture")};
    struct lh_protocol lists = {.min_reader_version = 3, .min_writer_version = 7, .writer_features = {soft, 3}};
    three.min_writer_version = 3; /* checkConstraints */
    cr_expect(!lh_protocol_binds(&two, &lists));
    cr_expect(lh_protocol_binds(&lists, &two));
    cr_expect(lh_protocol_binds(&two, &three));
    cr_expect(!lh_protocol_binds(&two, &four));
    lists.writer_features.items = hard;
    cr_expect(lh_protocol_binds(&two, &lists));
    lists.writer_features.items = unknown;
    cr_expect(lh_protocol_binds(&two, &lists));
    lists.writer_features.count = 1; /* invariants went */
    cr_expect(lh_protocol_binds(&two, &lists));
}
