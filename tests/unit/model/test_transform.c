/* SPDX-License-Identifier: Apache-2.0 */
/* Partition values and transforms: the vectors that Iceberg publishes, the text form of each type, and what is refused. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "model/transform.h"

static struct lh_arena arena = LH_ARENA_INIT;
static void release(void) { lh_arena_done(&arena); }
TestSuite(transform, .fini = release);

static struct lh_type type_of(const char *text)
{
    char ddl[80];
    struct lh_schema schema;
    snprintf(ddl, sizeof ddl, "x %s", text);
    cr_assert_eq(lh_schema_parse_ddl(&arena, lh_slice_of(ddl), &schema), VDE_OK, "%s", text);
    return schema.root.fields[0].type;
}

static struct lh_value value_of(const struct lh_type *type, const char *text)
{
    struct lh_value value;
    cr_assert_eq(lh_value_parse(type, lh_slice_of(text), &arena, &value), VDE_OK, "%s: %s", text, vde_last_error()->text);
    return value;
}

Test(transform, hashes_are_those_of_the_specification)
{
    static const struct {
        const char *type, *text;
        int32_t hash;
    } vectors[] = {
        {"INT", "34", 2017239379},
        {"BIGINT", "34", 2017239379},
        {"DECIMAL(9,2)", "14.20", -500754589},
        {"DATE", "2017-11-16", -653330422},
        {"TIME", "22:31:08", -662762989},
        {"TIMESTAMP_NTZ", "2017-11-16 22:31:08", -2047944441},
        {"TIMESTAMP_NTZ", "2017-11-16T22:31:08.000001", -1207196810},
        {"TIMESTAMP", "2017-11-16T14:31:08-08:00", -2047944441},
        {"TIMESTAMP", "2017-11-16T14:31:08.000001-08:00", -1207196810},
        {"STRING", "iceberg", 1210000089},
        {"UUID", "f79c3e09-677c-4bbd-a479-3f349cb785e7", 1488055340},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct lh_type type = type_of(vectors[i].type);
        struct lh_value value = value_of(&type, vectors[i].text);
        cr_expect_eq(lh_bucket_hash(&type, &value), vectors[i].hash, "%s %s", vectors[i].type, vectors[i].text);
    }
    struct lh_type kinds[] = {{.kind = LH_TYPE_BINARY}, {.kind = LH_TYPE_FIXED, .precision = 4}};
    struct lh_value bytes = {.bytes = {"\x00\x01\x02\x03", 4}};
    cr_expect_eq(lh_bucket_hash(&kinds[0], &bytes), -188683207);
    cr_expect_eq(lh_bucket_hash(&kinds[1], &bytes), -188683207);
}

/* Empty: null. */
static void gives(const char *transform, const char *type_text, const char *text, const char *expected)
{
    struct lh_transform t;
    struct lh_type type = type_of(type_text), result;
    struct lh_buffer out = LH_BUFFER_INIT;
    cr_assert_eq(lh_transform_parse(lh_slice_of(transform), &t), VDE_OK, "%s", transform);
    cr_assert_eq(lh_transform_result(&t, &type, &result), VDE_OK, "%s of %s", transform, type_text);
    struct lh_value value = value_of(&type, text);
    struct lh_value changed = lh_transform_apply(&t, &type, &value);
    if (!changed.null)
        lh_value_print(&result, &changed, &out);
    lh_buffer_byte(&out, '\0');
    cr_expect_str_eq(out.data, expected, "%s of %s: %s, not %s", transform, text, out.data, expected);
    lh_buffer_done(&out);
}

Test(transform, values_are_those_of_the_specification)
{
    gives("truncate[10]", "INT", "1", "0");
    gives("truncate[10]", "INT", "-1", "-10");
    gives("truncate[10]", "BIGINT", "1", "0");
    gives("truncate[10]", "BIGINT", "-1", "-10");
    gives("truncate[50]", "DECIMAL(9,2)", "10.65", "10.50");
    gives("truncate[3]", "STRING", "iceberg", "ice");
    gives("truncate[3]", "STRING", "\xc3\xa9\xe2\x82\xac\xf0\x9f\xa7\x8a!", "\xc3\xa9\xe2\x82\xac\xf0\x9f\xa7\x8a");
    gives("truncate[3]", "BINARY", "\x01\x02\x03\x04", "\x01\x02\x03");
    gives("truncate[9]", "STRING", "short", "short");
    gives("bucket[16]", "BIGINT", "34", "3");
    gives("bucket[100]", "STRING", "iceberg", "89");
    gives("year", "DATE", "2017-11-16", "47");
    gives("month", "DATE", "2017-11-16", "574");
    gives("day", "DATE", "2017-11-16", "2017-11-16");
    gives("day", "TIMESTAMP", "2017-11-16T22:31:08Z", "2017-11-16");
    gives("hour", "TIMESTAMP", "2017-11-16T22:31:08Z", "419686");
    gives("year", "DATE", "1969-12-31", "-1");
    gives("month", "DATE", "1969-12-31", "-1");
    gives("month", "DATE", "1969-01-01", "-12");
    gives("day", "TIMESTAMP_NTZ", "1969-12-31 23:59:59.999999", "1969-12-31");
    gives("hour", "TIMESTAMP_NTZ", "1969-12-31 23:59:59.999999", "-1");
    gives("identity", "BOOLEAN", "true", "true");
    gives("void", "BIGINT", "34", "");
    gives("bucket[16]", "BIGINT", "", "");
    gives("year", "DATE", "", "");
}

Test(transform, types_that_it_does_not_apply_to_are_refused)
{
    static const char *const pairs[][2] = {
        {"year", "INT"}, {"month", "STRING"}, {"day", "TIME"}, {"hour", "DATE"}, {"bucket[4]", "DOUBLE"},
        {"bucket[4]", "FLOAT"}, {"bucket[4]", "BOOLEAN"}, {"truncate[4]", "DATE"}, {"truncate[4]", "UUID"},
        {"truncate[4]", "DOUBLE"}, {"identity", "ARRAY<INT>"}, {"void", "STRUCT<a: INT>"}, {"bucket[4]", "MAP<INT,INT>"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct lh_transform t;
        struct lh_type type = type_of(pairs[i][1]), result;
        cr_assert_eq(lh_transform_parse(lh_slice_of(pairs[i][0]), &t), VDE_OK);
        cr_expect_eq(lh_transform_result(&t, &type, &result), VDE_INVAL, "%s of %s", pairs[i][0], pairs[i][1]);
    }
}

Test(transform, spellings)
{
    static const char *const good[] = {"identity", "year", "month", "day", "hour", "void", "bucket[16]",
                                       "truncate[2147483647]"};
    static const char *const bad[] = {"", "years", "Day", "bucket", "bucket[]", "bucket[0]", "bucket[-1]", "bucket[016]",
                                      "bucket[2147483648]", "bucket[16", "bucket[16]x", "day[1]", "truncate[ 4]", "zorder"};
    struct lh_transform t;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct lh_buffer out = LH_BUFFER_INIT;
        cr_assert_eq(lh_transform_parse(lh_slice_of(good[i]), &t), VDE_OK, "%s", good[i]);
        lh_transform_print(&t, &out);
        lh_buffer_byte(&out, '\0');
        cr_expect_str_eq(out.data, good[i]);
        lh_buffer_done(&out);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_eq(lh_transform_parse(lh_slice_of(bad[i]), &t), VDE_INVAL, "%s", bad[i]);
}

Test(transform, terms)
{
    static const struct {
        const char *text;
        struct lh_transform transform;
        const char *column;
    } good[] = {
        {"id", {LH_TRANSFORM_IDENTITY, 0}, "id"},
        {"bucket(16,id)", {LH_TRANSFORM_BUCKET, 16}, "id"},
        {" bucket ( 16 , id ) ", {LH_TRANSFORM_BUCKET, 16}, "id"},
        {"truncate(4,a b)", {LH_TRANSFORM_TRUNCATE, 4}, "a b"},
        {"days(ts)", {LH_TRANSFORM_DAY, 0}, "ts"},
        {"day(ts)", {LH_TRANSFORM_DAY, 0}, "ts"},
        {"years(ts)", {LH_TRANSFORM_YEAR, 0}, "ts"},
        {"months(ts)", {LH_TRANSFORM_MONTH, 0}, "ts"},
        {"hours(ts)", {LH_TRANSFORM_HOUR, 0}, "ts"},
        {"void(x)", {LH_TRANSFORM_VOID, 0}, "x"},
        {"identity(x)", {LH_TRANSFORM_IDENTITY, 0}, "x"},
    };
    static const char *const bad[] = {"", " ", "bucket(id)", "bucket(0,id)", "bucket(id,16)", "days()", "zorder(a)", "bucket(4,)"};
    struct lh_transform t;
    struct lh_slice column;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        cr_assert_eq(lh_transform_parse_term(lh_slice_of(good[i].text), &t, &column), VDE_OK, "%s", good[i].text);
        cr_expect(lh_transform_equal(&t, &good[i].transform), "%s", good[i].text);
        cr_expect(lh_slice_is(column, good[i].column), "%s: %.*s", good[i].text, (int)column.size, column.data);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_eq(lh_transform_parse_term(lh_slice_of(bad[i]), &t, &column), VDE_INVAL, "%s", bad[i]);
}

Test(transform, texts_of_values)
{
    static const char *const good[][3] = {
        {"BOOLEAN", "true", "true"}, {"BOOLEAN", "false", "false"}, {"TINYINT", "-128", "-128"}, {"SMALLINT", "32767", "32767"},
        {"INT", "-2147483648", "-2147483648"}, {"BIGINT", "9223372036854775807", "9223372036854775807"},
        {"DOUBLE", "1.0E10", "1e+10"}, {"DOUBLE", "0.1", "0.1"}, {"FLOAT", "0.1", "0.1"}, {"DOUBLE", "NaN", "NaN"},
        {"DOUBLE", "-Infinity", "-Infinity"}, {"DATE", "2024-02-29", "2024-02-29"}, {"DATE", "0001-01-01", "0001-01-01"},
        {"DATE", "-0044-03-15", "-0044-03-15"}, {"DATE", "+10000-01-01", "10000-01-01"},
        {"TIMESTAMP", "2026-11-20 10:00:00", "2026-11-20 10:00:00"},
        {"TIMESTAMP", "2026-11-20T10:00:00.5Z", "2026-11-20 10:00:00.500000"},
        {"TIMESTAMP", "2026-11-20T10:00:00+05:30", "2026-11-20 04:30:00"},
        {"TIMESTAMP_NTZ", "1969-12-31 23:59:59.999999", "1969-12-31 23:59:59.999999"},
        {"DECIMAL(5,2)", "123.45", "123.45"}, {"DECIMAL(5,2)", "-0.5", "-0.50"}, {"DECIMAL(5,2)", "7", "7.00"},
        {"DECIMAL(5,2)", "1.2300", "1.23"}, {"DECIMAL(9,8)", "1E-7", "0.00000010"}, {"DECIMAL(4,0)", "1.2E3", "1200"},
        {"DECIMAL(38,0)", "99999999999999999999999999999999999999", "99999999999999999999999999999999999999"},
        {"STRING", "any \"text\"", "any \"text\""}, {"BINARY", "\x01\x02", "\x01\x02"}, {"TIME", "22:31:08.000001", "22:31:08.000001"},
        {"UUID", "F79C3E09-677c-4bbd-a479-3f349cb785e7", "f79c3e09-677c-4bbd-a479-3f349cb785e7"},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        gives("identity", good[i][0], good[i][1], good[i][2]);
}

Test(transform, texts_of_another_type_are_refused)
{
    static const char *const bad[][2] = {
        {"BOOLEAN", "TRUE"}, {"BOOLEAN", "1"}, {"TINYINT", "128"}, {"SMALLINT", "-32769"}, {"INT", "2147483648"}, {"INT", "1.0"},
        {"INT", " 1"}, {"INT", "+1"}, {"INT", "007"}, {"BIGINT", "9223372036854775808"}, {"BIGINT", "x"}, {"DOUBLE", "1,5"},
        {"DOUBLE", "0x10"}, {"DOUBLE", "nan"}, {"DOUBLE", "1e"}, {"DATE", "2026-02-29"}, {"DATE", "2026-13-01"}, {"DATE", "2026-1-1"},
        {"DATE", "2026-11-20 10:00:00"}, {"DATE", "20777"}, {"TIMESTAMP", "2026-11-20"}, {"TIMESTAMP", "2026-11-20 10:00"},
        {"TIMESTAMP", "2026-11-20 24:00:00"}, {"TIMESTAMP", "2026-11-20 10:00:00."}, {"TIMESTAMP", "2026-11-20 10:00:00.1234567"},
        {"TIMESTAMP", "999999-01-01 00:00:00"}, {"TIMESTAMP_NTZ", "2026-11-20 10:00:00Z"}, {"DECIMAL(5,2)", "1234.5"},
        {"DECIMAL(5,2)", "1.234"}, {"DECIMAL(5,2)", "."}, {"DECIMAL(5,2)", "1.2.3"}, {"DECIMAL(5,2)", "1E9999"}, {"DECIMAL(5,2)", "1E"},
        {"DECIMAL(38,0)", "100000000000000000000000000000000000000"}, {"STRING", "\xff"}, {"TIME", "25:00:00"}, {"UUID", "f79c3e09"},
        {"UUID", "f79c3e09-677c-4bbd-a479-3f349cb785e7x"}, {"UUID", "f79c3e09 677c-4bbd-a479-3f349cb785e7"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct lh_type type = type_of(bad[i][0]);
        struct lh_value value;
        cr_expect_eq(lh_value_parse(&type, lh_slice_of(bad[i][1]), &arena, &value), VDE_INVAL, "%s %s", bad[i][0], bad[i][1]);
        cr_expect(!strstr(vde_last_error()->text, "2026"), "values of users do not show in errors");
    }
}
