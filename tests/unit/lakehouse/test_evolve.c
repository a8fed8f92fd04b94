/* SPDX-License-Identifier: Apache-2.0 */
/* A changed schema and the columns that stay: what files know them by, and what others wrote beside them. */
#include "support.h"

static struct fixture f;

static void start(void)
{
    setup(&f, 32u << 20);
    ok(lh_namespace_create(f.lakehouse, "ns", NULL, 0));
}
static void stop(void) { teardown(&f); }
TestSuite(evolve, .init = start, .fini = stop);

static vde_status evolve_to(const char *table, const char *schema)
{
    struct lh_evolve evolve = LH_EVOLVE_INIT;
    evolve.schema = schema;
    return lh_table_evolve(f.lakehouse, table, &evolve, NULL);
}

static vde_status set_property(const char *table, const char *key, const char *value, unsigned flags)
{
    struct lh_evolve evolve = LH_EVOLVE_INIT;
    struct lh_property property = {key, value};
    evolve.properties = &property;
    evolve.property_count = 1;
    evolve.flags = flags;
    return lh_table_evolve(f.lakehouse, table, &evolve, NULL);
}

static struct lh_table_info *describe(const char *table)
{
    struct lh_table_info *info = NULL;
    ok(lh_table_describe(f.lakehouse, table, &info));
    return info;
}

static void holds(const char *table, const char *part)
{
    struct lh_table_info *info = describe(table);
    cr_assert_not_null(strstr(info->schema_json, part), "%s is not in %s", part, info->schema_json);
    lh_free(info);
}

static void property_is(const char *table, const char *key, const char *value)
{
    struct lh_table_info *info = describe(table);
    const char *found = NULL;
    for (size_t i = 0; i < info->property_count; i++)
        if (strcmp(info->properties[i].key, key) == 0)
            found = info->properties[i].value;
    cr_assert(found && strcmp(found, value) == 0, "%s is %s, not %s", key, found ? found : "missing", value);
    lh_free(info);
}

/* A protocol with column mapping comes with the table's first commit, as an engine writes it. */
#define COLUMN(name, type, metadata) "{\"name\":\"" name "\",\"type\":" type ",\"nullable\":true,\"metadata\":{" metadata "}}"
#define MAPPED(id, physical) "\"delta.columnMapping.id\":" id ",\"delta.columnMapping.physicalName\":\"" physical "\""
#define STRUCT(fields) "{\"type\":\"struct\",\"fields\":[" fields "]}"

static void make_mapped(const char *schema, const char *more_key)
{
    struct lh_create create = LH_CREATE_INIT;
    struct lh_property properties[] = {{"delta.columnMapping.mode", "name"}, {more_key, "true"}};
    create.schema = schema;
    create.properties = properties;
    create.property_count = more_key ? 2 : 1;
    ok(lh_table_create(f.lakehouse, "ns.m", &create, NULL));
}

Test(evolve, ddl_keeps_the_metadata_of_columns_that_stay)
{
#define ID "\"metadata\":{\"comment\":\"the id\",\"k\":12345678901234567890,\"f\":1.50}"
    make_table(&f, "ns.t", STRUCT(
        "{\"name\":\"id\",\"type\":\"long\",\"nullable\":true," ID "},"
        COLUMN("s", STRUCT(COLUMN("x", "\"integer\"", "\"deep\" : 1e2")), "\"y\":[1, 2]") ","
        COLUMN("l", "{\"type\":\"array\",\"elementType\":" STRUCT(COLUMN("z", "\"date\"", "\"in\":{}")) ",\"containsNull\":true}",
               "")));
    ok(evolve_to("ns.t", "n DATE COMMENT 'new', id BIGINT, s STRUCT<x: INT, w: INT>, l ARRAY<STRUCT<z: DATE>>"));
    holds("ns.t", ID);
    holds("ns.t", "\"metadata\":{\"deep\" : 1e2}");
    holds("ns.t", "\"metadata\":{\"y\":[1, 2]}");
    holds("ns.t", "\"metadata\":{\"in\":{}}");
    holds("ns.t", COLUMN("n", "\"date\"", "\"comment\":\"new\""));
    holds("ns.t", COLUMN("w", "\"integer\"", ""));
    ok(evolve_to("ns.t", "id BIGINT COMMENT 'it''s'"));
    holds("ns.t", "\"metadata\":{\"comment\":\"it's\",\"k\":12345678901234567890,\"f\":1.50}");
    /* The table's own form says all there is, so it is taken as it stands. */
    ok(evolve_to("ns.t", STRUCT(COLUMN("id", "\"long\"", ""))));
    holds("ns.t", COLUMN("id", "\"long\"", ""));
}

Test(evolve, mapped_columns_keep_ids_and_new_ones_get_fresh_ones)
{
    make_mapped(STRUCT(COLUMN("id", "\"long\"", MAPPED("3", "col-a")) ","
                       COLUMN("s", STRUCT(COLUMN("x", "\"integer\"", MAPPED("5", "col-x"))), MAPPED("4", "col-s"))), NULL);
    property_is("ns.m", "delta.columnMapping.maxColumnId", "5");
    ok(evolve_to("ns.m", "n DATE COMMENT 'new', id BIGINT, s STRUCT<w: INT, x: INT>"));
    holds("ns.m", COLUMN("id", "\"long\"", MAPPED("3", "col-a")));
    holds("ns.m", COLUMN("x", "\"integer\"", MAPPED("5", "col-x")));
    holds("ns.m", "{\"name\":\"n\",\"type\":\"date\",\"nullable\":true,\"metadata\":{\"comment\":\"new\","
                  "\"delta.columnMapping.id\":6,\"delta.columnMapping.physicalName\":\"col-");
    holds("ns.m", "{\"name\":\"w\",\"type\":\"integer\",\"nullable\":true,\"metadata\":{\"delta.columnMapping.id\":7,"
                  "\"delta.columnMapping.physicalName\":\"col-");
    property_is("ns.m", "delta.columnMapping.maxColumnId", "7");
    /* The id of a dropped column is not given again, and the table says so after a restart too. */
    ok(evolve_to("ns.m", "id BIGINT"));
    open_again(&f);
    ok(evolve_to("ns.m", "id BIGINT, n DATE"));
    holds("ns.m", "\"delta.columnMapping.id\":8,");
    property_is("ns.m", "delta.columnMapping.maxColumnId", "8");
    /* Even the table's own form can't leave a column without its mapping. */
    ok(evolve_to("ns.m", STRUCT(COLUMN("id", "\"long\"", "\"a\":1"))));
    holds("ns.m", COLUMN("id", "\"long\"", "\"a\":1," MAPPED("3", "col-a")));
}

Test(evolve, mapping_that_would_break_a_table_is_refused)
{
    make_mapped(STRUCT(COLUMN("id", "\"long\"", MAPPED("1", "col-a"))), "delta.enableIcebergCompatV2");
    fails(evolve_to("ns.m", "id BIGINT, tags ARRAY<INT>"), LH_SCHEMA_INCOMPATIBLE);
    cr_assert_not_null(strstr(vde_last_error()->text, "tags"), "%s", vde_last_error()->text);
    fails(evolve_to("ns.m", STRUCT(COLUMN("id", "\"long\"", MAPPED("1", "col-a")) ","
                                   COLUMN("x", "\"long\"", MAPPED("1", "col-b")))), LH_SCHEMA);
    fails(evolve_to("ns.m", STRUCT(COLUMN("id", "\"long\"", MAPPED("1", "col-a")) ","
                                   COLUMN("x", "\"long\"", MAPPED("2", "col-a")))), LH_SCHEMA);
    fails(evolve_to("ns.m", STRUCT(COLUMN("id", "\"long\"", MAPPED("\"1\"", "col-a")))), LH_SCHEMA);
    fails(set_property("ns.m", "delta.columnMapping.mode", "none", LH_EVOLVE_UPGRADE_PROTOCOL), LH_VALIDATION);
    fails(set_property("ns.m", "delta.columnMapping.mode", "id", LH_EVOLVE_UPGRADE_PROTOCOL), LH_VALIDATION);
    ok(set_property("ns.m", "delta.columnMapping.maxColumnId", "0", 0));
    ok(evolve_to("ns.m", "id BIGINT, x INT"));
    property_is("ns.m", "delta.columnMapping.maxColumnId", "2");
}

Test(evolve, mapping_begins_with_the_names_that_files_use)
{
    make_table(&f, "ns.t", "id BIGINT COMMENT 'c', s STRUCT<x: INT>");
    fails(set_property("ns.t", "delta.columnMapping.mode", "name", 0), LH_SCHEMA_INCOMPATIBLE);
    fails(set_property("ns.t", "delta.columnMapping.mode", "id", LH_EVOLVE_UPGRADE_PROTOCOL), LH_VALIDATION);
    fails(set_property("ns.t", "delta.columnMapping.mode", "odd", LH_EVOLVE_UPGRADE_PROTOCOL), LH_VALIDATION);
    ok(set_property("ns.t", "delta.columnMapping.mode", "name", LH_EVOLVE_UPGRADE_PROTOCOL));
    holds("ns.t", COLUMN("id", "\"long\"", "\"comment\":\"c\"," MAPPED("1", "id")));
    holds("ns.t", COLUMN("x", "\"integer\"", MAPPED("3", "x")));
    property_is("ns.t", "delta.columnMapping.maxColumnId", "3");
    struct lh_table_info *info = describe("ns.t");
    cr_assert_not_null(strstr(info->protocol_json, "columnMapping"), "%s", info->protocol_json);
    lh_free(info);
}

static void make_iceberg(const char *schema)
{
    struct lh_create create = LH_CREATE_INIT;
    create.format = LH_FORMAT_ICEBERG;
    create.schema = schema;
    ok(lh_table_create(f.lakehouse, "ns.i", &create, NULL));
}

static int32_t field_id(const char *column)
{
    struct lh_table_info *info = describe("ns.i");
    int32_t id = -1;
    for (size_t i = 0; i < info->column_count; i++)
        if (strcmp(info->columns[i].name, column) == 0)
            id = info->columns[i].field_id;
    lh_free(info);
    return id;
}

Test(evolve, iceberg_ids_stay_and_are_never_given_again)
{
    make_iceberg("{\"type\":\"struct\",\"schema-id\":0,\"identifier-field-ids\":[4],\"fields\":["
                 "{\"id\":4,\"name\":\"id\",\"required\":true,\"type\":\"long\",\"doc\":\"the id\"},"
                 "{\"id\":9,\"name\":\"s\",\"required\":false,\"type\":{\"type\":\"struct\",\"fields\":["
                 "{\"id\":7,\"name\":\"x\",\"required\":false,\"type\":\"int\"}]}}]}");
    ok(evolve_to("ns.i", "n DATE, id BIGINT NOT NULL, s STRUCT<w: INT, x: INT>"));
    cr_assert_eq(field_id("id"), 4);
    cr_assert_eq(field_id("s"), 9);
    cr_assert_eq(field_id("n"), 10);
    holds("ns.i", "{\"id\":7,\"name\":\"x\"");
    holds("ns.i", "{\"id\":11,\"name\":\"w\"");
    holds("ns.i", "\"doc\":\"the id\"");
    holds("ns.i", "\"identifier-field-ids\":[4]");
    ok(evolve_to("ns.i", "id BIGINT NOT NULL"));
    ok(evolve_to("ns.i", "id BIGINT NOT NULL, n DATE"));
    cr_assert_eq(field_id("n"), 12);
    /* An id that a dropped column had would read its bytes as the new column's. */
    fails(evolve_to("ns.i", "{\"type\":\"struct\",\"schema-id\":0,\"fields\":["
                    "{\"id\":4,\"name\":\"id\",\"required\":true,\"type\":\"long\"},"
                    "{\"id\":9,\"name\":\"more\",\"required\":false,\"type\":\"int\"}]}"), LH_SCHEMA_INCOMPATIBLE);
    cr_assert_not_null(strstr(vde_last_error()->text, "more"), "%s", vde_last_error()->text);
    fails(evolve_to("ns.i", "{\"type\":\"struct\",\"schema-id\":0,\"fields\":["
                    "{\"id\":4,\"name\":\"id\",\"required\":true,\"type\":\"long\"},"
                    "{\"id\":20,\"name\":\"a\",\"required\":false,\"type\":\"int\"},"
                    "{\"id\":20,\"name\":\"b\",\"required\":false,\"type\":\"int\"}]}"), LH_SCHEMA);
    /* A rename keeps the id. */
    ok(evolve_to("ns.i", "{\"type\":\"struct\",\"schema-id\":0,\"fields\":["
                 "{\"id\":4,\"name\":\"key\",\"required\":true,\"type\":\"long\"}]}"));
    cr_assert_eq(field_id("key"), 4);
}
