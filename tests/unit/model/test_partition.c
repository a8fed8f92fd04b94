/* SPDX-License-Identifier: Apache-2.0 */
/* Partition specs of Iceberg tables: made, printed, read, evolved. */
#include <criterion/criterion.h>

#include "model/partition.h"

static struct lh_arena arena = LH_ARENA_INIT;
static void release(void) { lh_arena_done(&arena); }
TestSuite(partition, .fini = release);

static struct lh_schema schema_of(const char *ddl)
{
    struct lh_schema schema;
    int32_t last = 0;
    cr_assert_eq(lh_schema_parse_ddl(&arena, lh_slice_of(ddl), &schema), VDE_OK, "%s", vde_last_error()->text);
    lh_schema_assign_ids(&schema, NULL, &last);
    return schema;
}

#define FRESH {NULL, 0, 0, LH_PARTITION_ID_FIRST - 1}
#define COLUMNS "id BIGINT, ts TIMESTAMP, name STRING, d DOUBLE, tags ARRAY<STRING>"

static vde_status evolve(const struct lh_schema *schema, struct lh_partition_specs *specs, unsigned format, const char *a,
                         const char *b)
{
    struct lh_slice terms[] = {lh_slice_of(a), lh_slice_of(b)};
    return lh_partition_evolve(&arena, schema, terms, (a ? 1 : 0) + (b ? 1 : 0), format, specs);
}

static void prints(const struct lh_partition_specs *specs, const char *expected)
{
    struct lh_buffer out = LH_BUFFER_INIT, again = LH_BUFFER_INIT;
    struct lh_partition_specs read;
    lh_partition_print(specs, &out);
    struct lh_slice text = {out.data, out.size};
    cr_expect(lh_slice_is(text, expected), "%.*s\nnot %s", (int)text.size, text.data, expected);
    cr_assert_eq(lh_partition_parse(&arena, text, &read), VDE_OK, "%s", vde_last_error()->text);
    lh_partition_print(&read, &again);
    cr_expect(lh_slice_equal(text, (struct lh_slice){again.data, again.size}));
    lh_buffer_done(&out);
    lh_buffer_done(&again);
}

#define ID_16 "{\"name\":\"id_bucket_16\",\"transform\":\"bucket[16]\",\"source-id\":1,\"field-id\":1000}"
#define TS_DAY "{\"name\":\"ts_day\",\"transform\":\"day\",\"source-id\":2,\"field-id\":1001}"
#define NAME "{\"name\":\"name\",\"transform\":\"identity\",\"source-id\":3,\"field-id\":1002}"

Test(partition, specs_are_kept_and_ids_are_never_given_twice)
{
    struct lh_schema schema = schema_of(COLUMNS);
    struct lh_partition_specs specs = FRESH;
    cr_assert_eq(evolve(&schema, &specs, 2, "bucket(16,id)", "days(ts)"), VDE_OK, "%s", vde_last_error()->text);
    cr_expect_eq(specs.default_id, 0);
    cr_expect_eq(specs.last_field_id, 1001);
    prints(&specs, "[{\"spec-id\":0,\"fields\":[" ID_16 "," TS_DAY "]}]");
    cr_assert_eq(evolve(&schema, &specs, 2, "day(ts)", "name"), VDE_OK);
    cr_expect_eq(specs.default_id, 1);
    cr_expect_eq(specs.last_field_id, 1002);
    prints(&specs, "[{\"spec-id\":0,\"fields\":[" ID_16 "," TS_DAY "]},{\"spec-id\":1,\"fields\":[" TS_DAY "," NAME "]}]");
    cr_assert_eq(evolve(&schema, &specs, 2, NULL, NULL), VDE_OK);
    cr_expect_eq(specs.default_id, 2);
    cr_assert_eq(evolve(&schema, &specs, 2, "bucket(16, id)", "day(ts)"), VDE_OK);
    cr_expect_eq(specs.default_id, 0, "an equal spec is no new one");
    cr_expect_eq(specs.count, 3);
    cr_expect_eq(specs.last_field_id, 1002);
    cr_expect_eq(lh_partition_check(&schema, &specs), VDE_OK);
}

Test(partition, what_is_left_out_in_version_1_stays_as_void)
{
    struct lh_schema schema = schema_of(COLUMNS);
    struct lh_partition_specs specs = FRESH;
    cr_assert_eq(evolve(&schema, &specs, 1, "bucket(16,id)", "days(ts)"), VDE_OK);
    cr_assert_eq(evolve(&schema, &specs, 1, "days(ts)", "name"), VDE_OK);
    prints(&specs, "[{\"spec-id\":0,\"fields\":[" ID_16 "," TS_DAY "]},{\"spec-id\":1,\"fields\":["
                   "{\"name\":\"id_bucket_16_null\",\"transform\":\"void\",\"source-id\":1,\"field-id\":1000}," TS_DAY "," NAME "]}]");
}

Test(partition, refusals)
{
    static const char *const bad[][2] = {
        {"nothing", NULL}, {"bucket(16,nothing)", NULL}, {"days(id)", NULL}, {"bucket(4,d)", NULL}, {"tags", NULL},
        {"name", "name"}, {"days(ts)", "day(ts)"}, {"zorder(id)", NULL}, {"truncate(0,name)", NULL},
    };
    struct lh_schema schema = schema_of(COLUMNS ", ts_day DATE");
    struct lh_partition_specs specs = FRESH;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_eq(evolve(&schema, &specs, 2, bad[i][0], bad[i][1]), VDE_INVAL, "%s", bad[i][0]);
    cr_expect_eq(evolve(&schema, &specs, 2, "days(ts)", NULL), VDE_INVAL, "the name is a column's");
    cr_expect_eq(specs.count, 0);
    cr_expect_eq(specs.last_field_id, 999);
    cr_assert_eq(evolve(&schema, &specs, 2, "hours(ts)", NULL), VDE_OK);
    struct lh_schema without = schema_of("id BIGINT");
    cr_expect_eq(lh_partition_check(&without, &specs), VDE_INVAL);
}

Test(partition, foreign_specs_are_checked)
{
    static const char *const bad[] = {
        "{}", "[{}]", "[{\"spec-id\":-1,\"fields\":[]}]", "[{\"spec-id\":0}]", "[1]",
        "[{\"spec-id\":0,\"fields\":[]},{\"spec-id\":0,\"fields\":[]}]",
        "[{\"spec-id\":0,\"fields\":[{\"name\":\"a\",\"transform\":\"identity\",\"source-id\":1,\"field-id\":999}]}]",
        "[{\"spec-id\":0,\"fields\":[{\"name\":\"a\",\"transform\":\"what\",\"source-id\":1,\"field-id\":1000}]}]",
        "[{\"spec-id\":0,\"fields\":[{\"name\":\"\",\"transform\":\"void\",\"source-id\":1,\"field-id\":1000}]}]",
        "[{\"spec-id\":0,\"fields\":[{\"transform\":\"void\",\"source-id\":1,\"field-id\":1000}]}]",
        "[{\"spec-id\":0,\"fields\":[" ID_16 "," ID_16 "]}]",
    };
    struct lh_partition_specs specs;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_eq(lh_partition_parse(&arena, lh_slice_of(bad[i]), &specs), VDE_INVAL, "%s", bad[i]);
}
