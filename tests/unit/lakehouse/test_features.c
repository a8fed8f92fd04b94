/* SPDX-License-Identifier: Apache-2.0 */
/* What the table features ask of commits: each rule with a commit that it refuses and one that it admits. */
#include <pthread.h>

#include "support.h"

static struct fixture f;
static void start(void)
{
    setup(&f, 64u << 20);
    ok(lh_namespace_create(f.lakehouse, "ns", NULL, 0));
}
static void stop(void) { teardown(&f); }
TestSuite(features, .init = start, .fini = stop);

/* Create ns.t: `properties` is the inside of the JSON object. */
static void create(const char *schema, const char *partition_by, const char *properties)
{
    char text[2048];
    snprintf(text, sizeof text,
             "{\"tables\":[{\"table\":\"ns.t\",\"create\":{\"schema\":\"%s\",\"partitionBy\":[%s],\"properties\":{%s}},"
             "\"actions\":[]}]}", schema, partition_by, properties);
    ok(commit_json(&f, text, NULL));
}

/* Commit actions to ns.t; `more` stands before them in the table's entry. */
static vde_status commit_with(const char *more, const char *actions)
{
    static char text[16384];
    snprintf(text, sizeof text, "{\"tables\":[{\"table\":\"ns.t\",%s\"actions\":[%s]}]}", more, actions);
    return commit_json(&f, text, NULL);
}
static vde_status commit(const char *actions) { return commit_with("", actions); }

#define ADD_OF(path, more)                                                                                             \
    "{\"add\":{\"path\":\"" path "\",\"partitionValues\":{},\"size\":1,\"modificationTime\":1,\"dataChange\":true" more "}}"
#define STATS(text) ",\"stats\":\"" text "\""
#define ROWS(count) STATS("{\\\"numRecords\\\":" count "}")
#define REMOVE(path) "{\"remove\":{\"path\":\"" path "\",\"dataChange\":true}}"

static void says(const char *text)
{
    cr_assert(strstr(vde_last_error()->text, text), "%s lacks %s", vde_last_error()->text, text);
}

static char *text_of(uint64_t version)
{
    static char kept[65536];
    char *text;
    size_t size;
    ok(lh_commit_text(f.lakehouse, "ns.t", version, false, &text, &size));
    snprintf(kept, sizeof kept, "%s", text);
    lh_free(text);
    return kept;
}

static void has(uint64_t version, const char *part)
{
    const char *text = text_of(version);
    cr_assert(strstr(text, part), "version %u lacks %s: %s", (unsigned)version, part, text);
}

Test(features, the_table_lists_each_once)
{
    const struct lh_feature *a, *b;
    for (size_t i = 0; (a = lh_feature_at(i)) != NULL; i++) {
        cr_expect(a->read || !a->written, "%s", a->name);
        cr_expect(a->reader || a->read, "%s: what only binds writers never keeps readers out", a->name);
        cr_expect(a->written || (!a->checked && !a->guaranteed), "%s", a->name);
        for (size_t j = 0; j < i && (b = lh_feature_at(j)) != NULL; j++)
            cr_expect_str_neq(a->name, b->name);
    }
    cr_assert_null(lh_feature_at(1000));
}

Test(features, what_only_the_writer_knows_is_refused_by_name)
{
    create("id BIGINT", "", "\"delta.constraints.positive\":\"id > 0\",\"delta.enableChangeDataFeed\":\"true\"");
    fails(commit(ADD_OF("f1", "")), LH_FEATURE);
    says("checkConstraints, changeDataFeed");
    fails(commit_with("\"guarantees\":[\"changeDataFeed\"],", ADD_OF("f1", "")), LH_FEATURE);
    says("uses checkConstraints, expected");
    fails(commit_with("\"guarantees\":[\"rowTracking\"],", ADD_OF("f1", "")), LH_VALIDATION);
    fails(commit_with("\"guarantees\":[null],", ADD_OF("f1", "")), LH_VALIDATION);
    ok(commit_with("\"guarantees\":[\"changeDataFeed\",\"checkConstraints\"],", ADD_OF("f1", "")));
    lh_txn *txn;
    size_t member;
    struct lh_add add = LH_ADD_INIT;
    add.path = "f2";
    ok(lh_txn_create(f.lakehouse, &txn));
    ok(lh_txn_table(txn, "ns.t", NULL, &member));
    ok(lh_txn_add_file(txn, member, &add));
    fails(lh_txn_guarantee(txn, member, "nothing"), LH_VALIDATION);
    fails(lh_txn_guarantee(txn, member, NULL), LH_VALIDATION);
    ok(lh_txn_guarantee(txn, member, "checkConstraints"));
    fails(lh_commit(txn, NULL), LH_FEATURE);
    ok(lh_txn_guarantee(txn, member, "changeDataFeed"));
    ok(lh_commit(txn, NULL));
    lh_txn_destroy(txn);
    /* Rearranging and removing need no guarantee. */
    ok(commit(REMOVE("f1")));
}

Test(features, marks_in_the_schema_bind_the_writer)
{
    static const struct { const char *key, *value, *name; } all[] = {
        {"delta.invariants", "\"{}\"", "invariants"}, {"delta.generationExpression", "\"1\"", "generatedColumns"},
        {"delta.identity.start", "1", "identityColumns"}, {"CURRENT_DEFAULT", "\"7\"", "allowColumnDefaults"}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        char schema[512], table[16];
        struct lh_create create = LH_CREATE_INIT;
        snprintf(schema, sizeof schema, "{\"type\":\"struct\",\"fields\":[{\"name\":\"CURRENT_DEFAULT\",\"type\":\"long\",\"nullable\":true,"
                 "\"metadata\":{}},{\"name\":\"a\",\"type\":\"long\",\"nullable\":true,\"metadata\":{\"%s\":%s}}]}",
                 all[i].key, all[i].value);
        snprintf(table, sizeof table, "ns.t%zu", i);
        create.schema = schema;
        ok(lh_table_create(f.lakehouse, table, &create, NULL));
        lh_txn *txn;
        size_t member;
        struct lh_add add = LH_ADD_INIT;
        add.path = "f";
        ok(lh_txn_create(f.lakehouse, &txn));
        ok(lh_txn_table(txn, table, NULL, &member));
        ok(lh_txn_add_file(txn, member, &add));
        fails(lh_commit(txn, NULL), LH_FEATURE);
        says(all[i].name);
        ok(lh_txn_guarantee(txn, member, all[i].name));
        ok(lh_commit(txn, NULL));
        lh_txn_destroy(txn);
    }
}

Test(features, materialized_partition_columns_bind_the_writer)
{
    create("id BIGINT, day DATE", "\"day\"", "\"delta.feature.materializePartitionColumns\":\"supported\"");
    static const char add[] = "{\"add\":{\"path\":\"f\",\"partitionValues\":{\"day\":null},\"size\":1,\"modificationTime\":1,\"dataChange\":true}}";
    fails(commit(add), LH_FEATURE);
    says("materializePartitionColumns");
    ok(commit_with("\"guarantees\":[\"materializePartitionColumns\"],", add));
}

Test(features, append_only)
{
    create("id BIGINT", "", "\"delta.appendOnly\":\"true\"");
    ok(commit(ADD_OF("f1", "")));
    fails(commit(REMOVE("f1")), LH_VALIDATION);
    ok(commit("{\"remove\":{\"path\":\"f1\",\"dataChange\":false}},"
              "{\"add\":{\"path\":\"f2\",\"partitionValues\":{},\"size\":1,\"modificationTime\":1,\"dataChange\":false}}"));
}

Test(features, are_asked_for_by_property)
{
    struct lh_table_info *info;
    create("id BIGINT", "", "\"delta.feature.clustering\":\"supported\"");
    ok(lh_table_describe(f.lakehouse, "ns.t", &info));
    cr_assert(strstr(info->protocol_json, "\"clustering\"") && strstr(info->protocol_json, "\"domainMetadata\""), "%s",
              info->protocol_json);
    cr_assert_eq(info->property_count, 0);
    lh_free(info);
    struct lh_property more = {"delta.feature.rowTracking", "supported"}, none = {"delta.feature.icebergCompatV3", "supported"};
    struct lh_evolve evolve = LH_EVOLVE_INIT;
    evolve.properties = &more;
    evolve.property_count = 1;
    fails(lh_table_evolve(f.lakehouse, "ns.t", &evolve, NULL), LH_SCHEMA_INCOMPATIBLE);
    evolve.flags = LH_EVOLVE_UPGRADE_PROTOCOL;
    ok(lh_table_evolve(f.lakehouse, "ns.t", &evolve, NULL));
    evolve.properties = &none;
    fails(lh_table_evolve(f.lakehouse, "ns.t", &evolve, NULL), LH_FEATURE);
    says("icebergCompatV3");
}

Test(features, a_protocol_keeps_what_is_in_use)
{
    create("id BIGINT", "", "\"delta.enableRowTracking\":\"true\",\"delta.constraints.a\":\"id > 0\"");
    fails(commit("{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":7,\"writerFeatures\":[\"domainMetadata\",\"rowTracking\"]}}"),
          LH_FEATURE);
    says("checkConstraints");
    fails(commit("{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":7,\"writerFeatures\":[\"checkConstraints\"]}}"), LH_FEATURE);
    says("rowTracking");
    fails(commit("{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":7,\"writerFeatures\":[\"domainMetadata\",\"appendOnly\","
                 "\"checkConstraints\",\"rowTracking\",\"newThing\"]}}"), LH_FEATURE);
    says("newThing");
    ok(commit("{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":7,\"writerFeatures\":[\"domainMetadata\",\"appendOnly\","
              "\"checkConstraints\",\"rowTracking\",\"clustering\"]}}"));
}

Test(features, domains)
{
    static const char set[] = "{\"domainMetadata\":{\"domain\":\"app.x\",\"configuration\":\"{}\",\"removed\":false}}";
    make_table(&f, "ns.plain", "id BIGINT");
    fails(commit_json(&f, "{\"tables\":[{\"table\":\"ns.plain\",\"actions\":[{\"domainMetadata\":{\"domain\":\"x\","
                          "\"configuration\":\"{}\",\"removed\":false}}]}]}", NULL), LH_FEATURE);
    says("domainMetadata");
    create("id BIGINT", "", "\"delta.feature.domainMetadata\":\"supported\"");
    ok(commit(set));
    fails(commit("{\"domainMetadata\":{\"domain\":\"delta.mine\",\"configuration\":\"{}\",\"removed\":false}}"), LH_VALIDATION);
    fails(commit("{\"domainMetadata\":{\"domain\":\"delta.rowTracking\",\"configuration\":\"{}\",\"removed\":false}}"), LH_VALIDATION);
    fails(commit("{\"domainMetadata\":{\"domain\":\"delta.clustering\",\"configuration\":\"{}\",\"removed\":false}}"), LH_FEATURE);
    fails(commit("{\"domainMetadata\":{\"domain\":\"y\",\"removed\":false}}"), LH_VALIDATION);
    fails(commit("{\"domainMetadata\":{\"configuration\":\"{}\",\"removed\":false}}"), LH_VALIDATION);
    char twice[512];
    snprintf(twice, sizeof twice, "%s,%s", set, set);
    fails(commit(twice), LH_VALIDATION);
}

/* --- row tracking ----------------------------------------------------------------------------------------------- */
Test(features, rows_get_ids)
{
    create("id BIGINT", "", "\"delta.enableRowTracking\":\"true\",\"delta.enableDeletionVectors\":\"true\"");
    fails(commit(ADD_OF("f0", "")), LH_VALIDATION);
    says("numRecords");
    ok(commit(ADD_OF("f1", ROWS("10")) "," ADD_OF("f2", ROWS("5"))));
    has(1, "\"baseRowId\":0,\"defaultRowCommitVersion\":1");
    has(1, "\"baseRowId\":10,\"defaultRowCommitVersion\":1");
    has(1, "{\"domainMetadata\":{\"domain\":\"delta.rowTracking\",\"configuration\":\"{\\\"rowIdHighWaterMark\\\":14}\",\"removed\":false}}");
    open_again(&f);
    /* Ids that were not given out yet are the engine's to give. */
    ok(commit(ADD_OF("f3", ROWS("1") ",\"baseRowId\":99,\"defaultRowCommitVersion\":77")));
    has(2, "\"baseRowId\":15,\"defaultRowCommitVersion\":2");
    has(2, "{\\\"rowIdHighWaterMark\\\":15}");
    /* A new deletion vector for an active file, and the same file told anew: the ids stay, and no new ones are used. */
    ok(commit(REMOVE("f2") "," ADD_OF("f2", ROWS("5") ",\"deletionVector\":{\"storageType\":\"u\",\"pathOrInlineDv\":\"ab\","
              "\"offset\":1,\"sizeInBytes\":10,\"cardinality\":2}")));
    has(3, "\"baseRowId\":10,\"defaultRowCommitVersion\":1}}");
    ok(commit(ADD_OF("f1", ROWS("10") ",\"tags\":{\"a\":\"b\"}")));
    has(4, "\"baseRowId\":0,\"defaultRowCommitVersion\":1}}");
    cr_assert_null(strstr(text_of(4), "rowIdHighWaterMark"));
    /* What was removed and comes back with its ids keeps them; without, its rows are new ones. */
    ok(commit(REMOVE("f3")));
    ok(commit(ADD_OF("f3", ROWS("1") ",\"baseRowId\":15,\"defaultRowCommitVersion\":2")));
    has(6, "\"baseRowId\":15,\"defaultRowCommitVersion\":2}}");
    ok(commit(ADD_OF("f4", ROWS("0")) "," ADD_OF("f5", ROWS("3"))));
    has(7, "{\\\"rowIdHighWaterMark\\\":18}");
    has(7, "\"baseRowId\":16,\"defaultRowCommitVersion\":7");
}

Test(features, rows_are_tracked_from_the_start_or_from_the_feature_on)
{
    create("id BIGINT", "", "\"delta.feature.rowTracking\":\"supported\"");
    struct lh_property enable = {"delta.enableRowTracking", "true"}, suspend = {"delta.rowTrackingSuspended", "true"};
    struct lh_evolve evolve = LH_EVOLVE_INIT;
    evolve.properties = &enable;
    evolve.property_count = 1;
    fails(lh_table_evolve(f.lakehouse, "ns.t", &evolve, NULL), LH_VALIDATION);
    ok(commit(ADD_OF("f1", ROWS("2"))));
    has(1, "\"baseRowId\":0");
    evolve.properties = &suspend;
    ok(lh_table_evolve(f.lakehouse, "ns.t", &evolve, NULL));
    ok(commit(ADD_OF("f2", "")));
    cr_assert_null(strstr(text_of(3), "baseRowId"));
    ok(commit_json(&f, "{\"tables\":[{\"table\":\"ns.new\",\"create\":{\"schema\":\"id BIGINT\",\"properties\":"
                       "{\"delta.enableRowTracking\":\"true\"}},\"actions\":[" ADD_OF("f1", ROWS("7")) "]}]}", NULL));
    struct lh_table_info *info;
    unsigned columns = 0;
    ok(lh_table_describe(f.lakehouse, "ns.new", &info));
    for (size_t i = 0; i < info->property_count; i++)
        columns += strncmp(info->properties[i].key, "delta.rowTracking.materialized", 30) == 0;
    cr_assert_eq(columns, 2);
    lh_free(info);
    char *text;
    size_t size;
    ok(lh_commit_text(f.lakehouse, "ns.new", 0, false, &text, &size));
    cr_assert(strstr(text, "\"baseRowId\":0,\"defaultRowCommitVersion\":0") && strstr(text, "Mark\\\":6}"), "%s", text);
    lh_free(text);
}

/* Appends that read nothing pass each other, and every row gets an id of its own. */
#define APPENDS 40
static void *append_many(void *context)
{
    const char *name = context;
    for (int i = 0; i < APPENDS; i++) {
        lh_txn *txn;
        size_t member;
        struct lh_add add = LH_ADD_INIT;
        struct lh_member from = LH_MEMBER_INIT;
        char path[32];
        snprintf(path, sizeof path, "%s%d", name, i);
        add.path = path;
        add.records = 3;
        from.read_version = 0;
        ok(lh_txn_create(f.lakehouse, &txn));
        ok(lh_txn_table(txn, "ns.t", &from, &member));
        ok(lh_txn_add_file(txn, member, &add));
        ok(lh_commit(txn, NULL));
        lh_txn_destroy(txn);
    }
    return NULL;
}

Test(features, appends_side_by_side_share_no_row_id)
{
    pthread_t threads[3];
    static char names[3][2] = {"a", "b", "c"};
    create("id BIGINT", "", "\"delta.enableRowTracking\":\"true\"");
    for (int i = 0; i < 3; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, append_many, names[i]), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    for (unsigned v = 1; v <= 3 * APPENDS; v++) {
        char part[80];
        snprintf(part, sizeof part, "\"baseRowId\":%u,\"defaultRowCommitVersion\":%u}}", (v - 1) * 3, v);
        has(v, part);
    }
}

/* --- files ------------------------------------------------------------------------------------------------------ */
#define VECTOR(kind, more) ",\"deletionVector\":{\"storageType\":\"" kind "\",\"pathOrInlineDv\":\"ab\",\"sizeInBytes\":10" more "}"

Test(features, deletion_vectors)
{
    make_table(&f, "ns.plain", "id BIGINT");
    fails(commit_json(&f, "{\"tables\":[{\"table\":\"ns.plain\",\"actions\":[" ADD_OF("f", ROWS("3") VECTOR("u", ",\"cardinality\":1")) "]}]}",
                      NULL), LH_FEATURE);
    says("deletionVectors");
    create("id BIGINT", "", "\"delta.enableDeletionVectors\":\"true\"");
    fails(commit(ADD_OF("f1", VECTOR("u", ",\"cardinality\":1"))), LH_VALIDATION);
    says("numRecords");
    fails(commit(ADD_OF("f1", ROWS("3") VECTOR("u", ",\"cardinality\":4"))), LH_VALIDATION);
    fails(commit(ADD_OF("f1", ROWS("3") VECTOR("u", ""))), LH_VALIDATION);
    fails(commit(ADD_OF("f1", ROWS("3") VECTOR("q", ",\"cardinality\":1"))), LH_VALIDATION);
    fails(commit(ADD_OF("f1", ROWS("3") VECTOR("i", ",\"cardinality\":1,\"offset\":1"))), LH_VALIDATION);
    ok(commit(ADD_OF("f1", ROWS("3") VECTOR("u", ",\"cardinality\":3,\"offset\":1"))));
    struct lh_property off = {"delta.enableDeletionVectors", "false"};
    struct lh_evolve evolve = LH_EVOLVE_INIT;
    evolve.properties = &off;
    evolve.property_count = 1;
    ok(lh_table_evolve(f.lakehouse, "ns.t", &evolve, NULL));
    fails(commit(ADD_OF("f2", ROWS("3") VECTOR("u", ",\"cardinality\":3"))), LH_VALIDATION);
    says("enableDeletionVectors");
    fails(commit(ADD_OF("f1", ROWS("3") VECTOR("u", ",\"cardinality\":3,\"offset\":2"))), LH_VALIDATION);
    ok(commit(ADD_OF("f1", ROWS("3") ",\"tags\":{\"a\":\"b\"}" VECTOR("u", ",\"cardinality\":3,\"offset\":1"))));
}

Test(features, iceberg_compatibility)
{
    static const char *const versions[] = {"1", "2"};
    for (int i = 0; i < 2; i++) {
        char text[1024];
        static const char form[] = "{\"tables\":[{\"table\":\"ns.t%s\",\"create\":{\"schema\":\"id BIGINT\",\"properties\":{%s"
                                   "\"delta.enableIcebergCompatV%s\":\"true\"}},\"actions\":[%s]}]}";
        const char *v = versions[i], *mapped = "\"delta.columnMapping.mode\":\"name\",";
        snprintf(text, sizeof text, form, v, "", v, "");
        fails(commit_json(&f, text, NULL), LH_VALIDATION);
        says("no column mapping");
        snprintf(text, sizeof text, form, v, "\"delta.columnMapping.mode\":\"name\",\"delta.enableDeletionVectors\":\"true\",", v, "");
        fails(commit_json(&f, text, NULL), LH_VALIDATION);
        snprintf(text, sizeof text, form, v, mapped, v, ADD_OF("f", ""));
        fails(commit_json(&f, text, NULL), LH_VALIDATION);
        says("numRecords");
        snprintf(text, sizeof text, form, v, "\"delta.feature.deletionVectors\":\"supported\",\"delta.columnMapping.mode\":\"name\",",
                 v, ADD_OF("f", ROWS("3") VECTOR("u", ",\"cardinality\":1")));
        fails(commit_json(&f, text, NULL), LH_VALIDATION);
        says("Iceberg");
        snprintf(text, sizeof text, form, v, mapped, v, ADD_OF("f", ROWS("3")));
        ok(commit_json(&f, text, NULL));
    }
}

Test(features, clustering_columns_have_statistics)
{
    create("id BIGINT, s STRUCT<x: INT>", "", "\"delta.feature.clustering\":\"supported\"");
    ok(commit(ADD_OF("f0", "")));
    fails(commit("{\"domainMetadata\":{\"domain\":\"delta.clustering\",\"configuration\":\"{}\",\"removed\":false}}"), LH_VALIDATION);
    ok(commit("{\"domainMetadata\":{\"domain\":\"delta.clustering\",\"configuration\":"
              "\"{\\\"clusteringColumns\\\":[[\\\"id\\\"],[\\\"s\\\",\\\"x\\\"]]}\",\"removed\":false}}"));
    open_again(&f);
    fails(commit(ADD_OF("f1", "")), LH_VALIDATION);
    fails(commit(ADD_OF("f1", STATS("{\\\"numRecords\\\":1,\\\"nullCount\\\":{\\\"id\\\":0},\\\"minValues\\\":{\\\"id\\\":1},"
                                    "\\\"maxValues\\\":{\\\"id\\\":1}}"))), LH_VALIDATION);
    says("clustering");
    ok(commit(ADD_OF("f1", STATS("{\\\"numRecords\\\":1,\\\"nullCount\\\":{\\\"id\\\":0,\\\"s\\\":{\\\"x\\\":1}},"
                                 "\\\"minValues\\\":{\\\"id\\\":1},\\\"maxValues\\\":{\\\"id\\\":1}}"))));
    ok(commit("{\"domainMetadata\":{\"domain\":\"delta.clustering\",\"configuration\":\"\",\"removed\":true}}"));
    ok(commit(ADD_OF("f2", "")));
}

/* --- names, times, protection ----------------------------------------------------------------------------------- */
Test(features, mapped_partition_values_go_by_physical_names)
{
    ok(commit_json(&f, "{\"tables\":[{\"table\":\"ns.t\",\"create\":{\"partitionBy\":[\"day\"],\"properties\":"
                       "{\"delta.columnMapping.mode\":\"name\"},\"schema\":{\"type\":\"struct\",\"fields\":["
                       "{\"name\":\"id\",\"type\":\"long\",\"nullable\":true,\"metadata\":{}},"
                       "{\"name\":\"day\",\"type\":\"date\",\"nullable\":true,\"metadata\":{"
                       "\"delta.columnMapping.id\":2,\"delta.columnMapping.physicalName\":\"col-2\"}}]}},\"actions\":[]}]}",
                   NULL));
    static const char form[] = "{\"add\":{\"path\":\"f\",\"partitionValues\":{\"%s\":null},\"size\":1,\"modificationTime\":1,\"dataChange\":true}}";
    char action[512];
    snprintf(action, sizeof action, form, "day");
    fails(commit(action), LH_VALIDATION);
    says("col-2");
    snprintf(action, sizeof action, form, "col-2");
    ok(commit(action));
}

Test(features, in_commit_timestamps_come_first_and_increase)
{
    create("id BIGINT", "", "\"delta.enableInCommitTimestamps\":\"true\"");
    for (int i = 0; i < 4; i++)
        ok(commit(i % 2 ? ADD_OF("f1", "") : "{\"commitInfo\":{\"operation\":\"X\",\"inCommitTimestamp\":5}}," ADD_OF("f2", "")));
    long long last = 0;
    for (uint64_t v = 0; v <= 4; v++) {
        char *text = text_of(v);
        *strchr(text, '\n') = '\0';
        const char *at = strstr(text, "\"inCommitTimestamp\":");
        cr_assert(strncmp(text, "{\"commitInfo\"", 13) == 0 && at, "%s", text);
        long long time = strtoll(at + strlen("\"inCommitTimestamp\":"), NULL, 10);
        cr_assert_gt(time, last);
        last = time;
    }
    make_table(&f, "ns.late", "id BIGINT");
    struct lh_property late = {"delta.enableInCommitTimestamps", "true"};
    struct lh_evolve evolve = LH_EVOLVE_INIT;
    evolve.flags = LH_EVOLVE_UPGRADE_PROTOCOL;
    evolve.properties = &late;
    evolve.property_count = 1;
    fails(lh_table_evolve(f.lakehouse, "ns.late", &evolve, NULL), LH_VALIDATION);
}

Test(features, checkpoint_protection_is_never_lowered)
{
    create("id BIGINT", "", "\"delta.feature.checkpointProtection\":\"supported\",\"delta.requireCheckpointProtectionBeforeVersion\":\"5\"");
    struct lh_property change = {"delta.requireCheckpointProtectionBeforeVersion", "4"};
    struct lh_evolve evolve = LH_EVOLVE_INIT;
    evolve.properties = &change;
    evolve.property_count = 1;
    fails(lh_table_evolve(f.lakehouse, "ns.t", &evolve, NULL), LH_VALIDATION);
    change.value = NULL;
    fails(lh_table_evolve(f.lakehouse, "ns.t", &evolve, NULL), LH_VALIDATION);
    change.value = "many";
    fails(lh_table_evolve(f.lakehouse, "ns.t", &evolve, NULL), LH_VALIDATION);
    change.value = "6";
    ok(lh_table_evolve(f.lakehouse, "ns.t", &evolve, NULL));
}
