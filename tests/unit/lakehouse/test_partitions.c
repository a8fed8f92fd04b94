/* SPDX-License-Identifier: Apache-2.0 */
/* What tables are partitioned by, and which partition values their files may have. */
#include "support.h"

static void start(struct fixture *f)
{
    setup(f, 64u << 20);
    ok(lh_namespace_create(f->lakehouse, "ns", NULL, 0));
}

static vde_status make(struct fixture *f, const char *name, enum lh_table_format format, const char *schema, const char *a,
                       const char *b)
{
    struct lh_create create = LH_CREATE_INIT;
    const char *columns[] = {a, b};
    create.format = format;
    create.schema = schema;
    create.partition_columns = columns;
    create.partition_count = (a ? 1u : 0u) + (b ? 1u : 0u);
    return lh_table_create(f->lakehouse, name, &create, NULL);
}

/* Commit one file with these partition values, a JSON object. */
static vde_status add(struct fixture *f, const char *table, const char *values)
{
    static unsigned number;
    char json[1024];
    snprintf(json, sizeof json,
             "{\"tables\":[{\"table\":\"%s\",\"actions\":[{\"add\":{\"path\":\"f%u\",\"partitionValues\":%s,\"size\":1,"
             "\"modificationTime\":1,\"dataChange\":true}}]}]}", table, ++number, values);
    return commit_json(f, json, NULL);
}

Test(partitions, delta_values_are_of_the_columns_types)
{
    static const struct {
        const char *type, *good, *bad;
    } types[] = {
        {"BOOLEAN", "true", "yes"}, {"TINYINT", "-1", "200"}, {"INT", "7", "7.0"}, {"BIGINT", "12345678901", "x"},
        {"DOUBLE", "1.5E10", "1,5"}, {"DECIMAL(5,2)", "12.30", "1.234"}, {"DATE", "2026-11-20", "2026-11-31"},
        {"TIMESTAMP", "2026-11-20 10:00:00.5", "2026-11-20"}, {"BINARY", "\\u0001", NULL}, {"STRING", "any", NULL},
    };
    struct fixture f;
    start(&f);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        char name[16], schema[80], values[80];
        snprintf(name, sizeof name, "ns.t%zu", i);
        snprintf(schema, sizeof schema, "id BIGINT, p %s", types[i].type);
        ok(make(&f, name, LH_FORMAT_DELTA, schema, "p", NULL));
        snprintf(values, sizeof values, "{\"p\":\"%s\"}", types[i].good);
        ok(add(&f, name, values));
        ok(add(&f, name, "{\"p\":null}"));
        ok(add(&f, name, "{\"p\":\"\"}"));
        if (types[i].bad) {
            snprintf(values, sizeof values, "{\"p\":\"%s\"}", types[i].bad);
            fails(add(&f, name, values), LH_VALIDATION);
            cr_expect(strstr(vde_last_error()->object, name) && strstr(vde_last_error()->found, "column p"), "%s",
                      vde_last_error()->text);
        }
        uint64_t latest;
        ok(lh_latest_version(f.lakehouse, name, &latest));
        cr_expect_eq(latest, 3, "%s", types[i].type);
    }
    teardown(&f);
}

Test(partitions, names_and_nulls_are_checked)
{
    struct fixture f;
    start(&f);
    ok(make(&f, "ns.t", LH_FORMAT_DELTA, "id BIGINT, day DATE NOT NULL, r STRING", "day", "r"));
    ok(add(&f, "ns.t", "{\"r\":null,\"day\":\"2026-11-20\"}"));
    fails(add(&f, "ns.t", "{\"day\":\"2026-11-20\"}"), LH_VALIDATION);
    fails(add(&f, "ns.t", "{\"r\":\"x\",\"day\":\"2026-11-20\",\"id\":\"1\"}"), LH_VALIDATION);
    fails(add(&f, "ns.t", "{\"r\":\"x\",\"day\":null}"), LH_VALIDATION);
    fails(add(&f, "ns.t", "{\"r\":\"x\",\"day\":\"\"}"), LH_VALIDATION);
    make_table(&f, "ns.plain", "id BIGINT");
    fails(add(&f, "ns.plain", "{\"id\":\"1\"}"), LH_VALIDATION);
    fails(commit_json(&f, "{\"tables\":[{\"table\":\"ns.t\",\"actions\":[{\"addPartition\":{\"partitionValues\":"
                          "{\"r\":\"x\",\"day\":\"Friday\"}}}]}]}", NULL), LH_VALIDATION);
    fails(commit_json(&f, "{\"tables\":[{\"table\":\"ns.t\",\"actions\":[{\"removePartition\":{\"partitionValues\":"
                          "{\"r\":\"x\"}}}]}]}", NULL), LH_VALIDATION);
    teardown(&f);
}

Test(partitions, under_column_mapping_values_have_physical_names)
{
    struct fixture f;
    struct lh_create create = LH_CREATE_INIT;
    const char *columns[] = {"day"};
    const struct lh_property mapped = {"delta.columnMapping.mode", "name"};
    start(&f);
    create.schema = "{\"type\":\"struct\",\"fields\":[{\"name\":\"id\",\"type\":\"long\",\"nullable\":true,\"metadata\":{"
                    "\"delta.columnMapping.id\":1,\"delta.columnMapping.physicalName\":\"col-1\"}},{\"name\":\"day\",\"type\":"
                    "\"date\",\"nullable\":true,\"metadata\":{\"delta.columnMapping.id\":2,"
                    "\"delta.columnMapping.physicalName\":\"col-2\"}}]}";
    create.partition_columns = columns;
    create.partition_count = 1;
    create.properties = &mapped;
    create.property_count = 1;
    ok(lh_table_create(f.lakehouse, "ns.m", &create, NULL));
    ok(add(&f, "ns.m", "{\"col-2\":\"2026-11-20\"}"));
    fails(add(&f, "ns.m", "{\"col-2\":\"x\"}"), LH_VALIDATION);
    fails(add(&f, "ns.m", "{\"day\":\"2026-11-20\"}"), LH_VALIDATION);
    teardown(&f);
}

#define EVENTS "id BIGINT NOT NULL, ts TIMESTAMP, name STRING"

Test(partitions, delta_has_no_transforms)
{
    struct fixture f;
    start(&f);
    fails(make(&f, "ns.t", LH_FORMAT_DELTA, EVENTS, "bucket(16,id)", NULL), LH_VALIDATION);
    cr_expect(strstr(vde_last_error()->expected, "iceberg"), "%s", vde_last_error()->text);
    fails(make(&f, "ns.t", LH_FORMAT_DELTA, EVENTS, "nothing", NULL), LH_VALIDATION);
    ok(make(&f, "ns.odd", LH_FORMAT_DELTA, "id BIGINT, `days(ts)` DATE", "days(ts)", NULL));
    ok(add(&f, "ns.odd", "{\"days(ts)\":\"2026-11-20\"}"));
    struct lh_evolve evolve = LH_EVOLVE_INIT;
    evolve.flags = LH_EVOLVE_PARTITIONING;
    fails(lh_table_evolve(f.lakehouse, "ns.odd", &evolve, NULL), LH_VALIDATION);
    teardown(&f);
}

static void specs_are(struct fixture *f, const char *table, const char *expected)
{
    char *text = NULL;
    size_t size;
    ok(lh_iceberg_metadata(f->lakehouse, table, &text, &size));
    cr_expect(strstr(text, expected), "%s\nlacks %s", text, expected);
    lh_free(text);
}

#define ID_16 "{\"name\":\"id_bucket_16\",\"transform\":\"bucket[16]\",\"source-id\":1,\"field-id\":1000}"
#define TS_DAY "{\"name\":\"ts_day\",\"transform\":\"day\",\"source-id\":2,\"field-id\":1001}"
#define NAME_2 "{\"name\":\"name_trunc_2\",\"transform\":\"truncate[2]\",\"source-id\":3,\"field-id\":1002}"

Test(partitions, iceberg_specs_evolve)
{
    struct fixture f;
    struct lh_evolve evolve = LH_EVOLVE_INIT;
    const char *next[] = {"day(ts)", "truncate(2,name)"};
    start(&f);
    ok(make(&f, "ns.i", LH_FORMAT_ICEBERG, EVENTS, "bucket(16, id)", "days(ts)"));
    specs_are(&f, "ns.i", "\"partition-specs\":[{\"spec-id\":0,\"fields\":[" ID_16 "," TS_DAY "]}],\"default-spec-id\":0,"
                          "\"last-partition-id\":1001");
    ok(add(&f, "ns.i", "{\"id_bucket_16\":\"3\",\"ts_day\":\"2026-11-20\"}"));
    fails(add(&f, "ns.i", "{\"id\":\"3\",\"ts\":\"2026-11-20\"}"), LH_VALIDATION);
    fails(add(&f, "ns.i", "{\"id_bucket_16\":\"many\",\"ts_day\":\"2026-11-20\"}"), LH_VALIDATION);
    fails(add(&f, "ns.i", "{\"id_bucket_16\":null,\"ts_day\":\"2026-11-20\"}"), LH_VALIDATION);
    ok(add(&f, "ns.i", "{\"id_bucket_16\":\"3\",\"ts_day\":null}"));
    evolve.flags = LH_EVOLVE_PARTITIONING;
    evolve.partition_columns = next;
    evolve.partition_count = 2;
    ok(lh_table_evolve(f.lakehouse, "ns.i", &evolve, NULL));
    specs_are(&f, "ns.i", "\"partition-specs\":[{\"spec-id\":0,\"fields\":[" ID_16 "," TS_DAY "]},{\"spec-id\":1,\"fields\":["
                          TS_DAY "," NAME_2 "]}],\"default-spec-id\":1,\"last-partition-id\":1002");
    specs_are(&f, "ns.i@v2", "\"default-spec-id\":0,\"last-partition-id\":1001");
    ok(add(&f, "ns.i", "{\"ts_day\":\"2026-11-20\",\"name_trunc_2\":\"ab\"}"));
    fails(add(&f, "ns.i", "{\"id_bucket_16\":\"3\",\"ts_day\":\"2026-11-20\"}"), LH_VALIDATION);
    open_again(&f);
    fails(add(&f, "ns.i", "{\"id_bucket_16\":\"3\",\"ts_day\":\"2026-11-20\"}"), LH_VALIDATION);
    ok(commit_json(&f, "{\"tables\":[{\"table\":\"ns.i\",\"partitionBy\":[]}]}", NULL));
    specs_are(&f, "ns.i", "{\"spec-id\":2,\"fields\":[]}],\"default-spec-id\":2,\"last-partition-id\":1002");
    ok(add(&f, "ns.i", "{}"));
    teardown(&f);
}

Test(partitions, iceberg_refusals)
{
    static const char *const bad[] = {"hours(day)", "bucket(0,id)", "bucket(16,nothing)", "zorder(id)", "year(name)"};
    struct fixture f;
    struct lh_evolve evolve = LH_EVOLVE_INIT;
    start(&f);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        fails(make(&f, "ns.i", LH_FORMAT_ICEBERG, EVENTS ", day DATE", bad[i], NULL), LH_VALIDATION);
    fails(make(&f, "ns.i", LH_FORMAT_ICEBERG, EVENTS, "day(ts)", "days(ts)"), LH_VALIDATION);
    ok(make(&f, "ns.i", LH_FORMAT_ICEBERG, EVENTS, "bucket(4,name)", NULL));
    evolve.schema = "id BIGINT NOT NULL, ts TIMESTAMP";
    fails(lh_table_evolve(f.lakehouse, "ns.i", &evolve, NULL), LH_SCHEMA_INCOMPATIBLE);
    evolve.flags = LH_EVOLVE_PARTITIONING;
    ok(lh_table_evolve(f.lakehouse, "ns.i", &evolve, NULL));
    teardown(&f);
}

/* A change of partitioning binds writers that read the table before it. */
Test(partitions, a_changed_partitioning_is_a_changed_schema_for_others)
{
    struct fixture f;
    start(&f);
    ok(make(&f, "ns.i", LH_FORMAT_ICEBERG, EVENTS, NULL, NULL));
    ok(commit_json(&f, "{\"tables\":[{\"table\":\"ns.i\",\"partitionBy\":[\"name\"]}]}", NULL));
    fails(commit_json(&f, "{\"tables\":[{\"table\":\"ns.i\",\"readVersion\":0,\"actions\":[{\"add\":{\"path\":\"f\","
                          "\"partitionValues\":{\"name\":\"x\"},\"size\":1,\"modificationTime\":1,\"dataChange\":true}}]}]}", NULL),
          LH_CONFLICT);
    cr_expect_eq(lh_last_conflict(), LH_CONFLICT_METADATA_CHANGED);
    teardown(&f);
}
