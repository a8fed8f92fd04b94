/* SPDX-License-Identifier: Apache-2.0 */
/* Schemas: DDL, Delta's and Iceberg's JSON, field ids, partitioning, and which schema may follow which. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "model/schema.h"

static struct lh_arena arena = LH_ARENA_INIT;
static void release(void) { lh_arena_done(&arena); }
TestSuite(schema, .fini = release);

static struct lh_schema ddl(const char *text)
{
    struct lh_schema schema;
    cr_assert_eq(lh_schema_parse_ddl(&arena, lh_slice_of(text), &schema), VDE_OK, "%s: %s", text, vde_last_error()->text);
    return schema;
}

static void expect_buffer(struct lh_buffer *out, const char *expected)
{
    lh_buffer_byte(out, '\0');
    cr_expect_str_eq(out->data, expected);
    lh_buffer_done(out);
}

Test(schema, ddl_is_printed_in_one_spelling)
{
    static const char *const pairs[][2] = {
        {"", ""},
        {"id BIGINT NOT NULL, day DATE", "id BIGINT NOT NULL, day DATE"},
        {" id int64 , x\tint32 not null comment 'it''s'", "id BIGINT, x INT NOT NULL COMMENT 'it''s'"},
        {"`a b` STRING, `q``q` double", "`a b` STRING, `q``q` DOUBLE"},
        {"t TIMESTAMP_MILLIS, n timestamp_ntz, z timestamptz", "t TIMESTAMP, n TIMESTAMP_NTZ, z TIMESTAMP"},
        {"d DECIMAL(10,2), e decimal( 38 , 38 ), f numeric, g DEC(5)",
         "d DECIMAL(10,2), e DECIMAL(38,38), f DECIMAL(10,0), g DECIMAL(5,0)"},
        {"a ARRAY<INT NOT NULL>, m MAP<STRING,ARRAY<LONG>>, s STRUCT<x: INT NOT NULL, y STRING COMMENT 'c'>",
         "a ARRAY<INT NOT NULL>, m MAP<STRING, ARRAY<BIGINT>>, s STRUCT<x: INT NOT NULL, y: STRING COMMENT 'c'>"},
        {"b BINARY, c BOOLEAN, f FLOAT, u UUID, x FIXED(16), t TIME, y TINYINT, z SMALLINT",
         "b BINARY, c BOOLEAN, f FLOAT, u UUID, x FIXED(16), t TIME, y TINYINT, z SMALLINT"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct lh_schema schema = ddl(pairs[i][0]);
        struct lh_buffer out = LH_BUFFER_INIT;
        lh_schema_print_ddl(&schema, &out);
        expect_buffer(&out, pairs[i][1]);
    }
}

Test(schema, bad_ddl_is_refused)
{
    static const char *const bad[] = {
        "id", "id BIGINT,", ", id INT", "id NOTATYPE", "id INT NOT", "id INT COMMENT x", "id INT COMMENT 'x", "`x INT", "`` INT",
        "a DECIMAL(39,0)", "a DECIMAL(5,6)", "a DECIMAL(", "a ARRAY<INT", "a ARRAY", "a MAP<INT>", "a STRUCT<>", "a INT b INT",
        "a INT, A STRING", "s STRUCT<x: INT, X: INT>", "a FIXED(0)", "a \xff INT", "id; INT",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct lh_schema schema;
        cr_expect_eq(lh_schema_parse_ddl(&arena, lh_slice_of(bad[i]), &schema), VDE_INVAL, "%s", bad[i]);
    }
    struct lh_buffer deep = LH_BUFFER_INIT;
    lh_buffer_text(&deep, "a ");
    for (int i = 0; i < 100; i++)
        lh_buffer_text(&deep, "ARRAY<");
    struct lh_schema schema;
    cr_expect_eq(lh_schema_parse_ddl(&arena, (struct lh_slice){deep.data, deep.size}, &schema), VDE_INVAL);
    lh_buffer_done(&deep);
}

static const char delta_text[] =
    "{\"type\":\"struct\",\"fields\":[{\"name\":\"id\",\"type\":\"long\",\"nullable\":false,\"metadata\":{\"comment\":\"key\"}},"
    "{\"name\":\"d\",\"type\":\"decimal(10,2)\",\"nullable\":true,\"metadata\":{}},"
    "{\"name\":\"a\",\"type\":{\"type\":\"array\",\"elementType\":\"integer\",\"containsNull\":false},\"nullable\":true,"
    "\"metadata\":{\"delta.columnMapping.id\":3,\"x\":1.50}},"
    "{\"name\":\"m\",\"type\":{\"type\":\"map\",\"keyType\":\"string\",\"valueType\":{\"type\":\"struct\",\"fields\":[]},"
    "\"valueContainsNull\":true},\"nullable\":true,\"metadata\":{}}]}";

Test(schema, deltas_json_is_read_and_printed)
{
    struct lh_schema schema;
    cr_assert_eq(lh_schema_parse_delta(&arena, lh_slice_of(delta_text), &schema), VDE_OK);
    struct lh_buffer out = LH_BUFFER_INIT, types = LH_BUFFER_INIT;
    cr_assert_eq(lh_schema_print_delta(&schema, &out), VDE_OK);
    expect_buffer(&out, delta_text);
    lh_schema_print_ddl(&schema, &types);
    expect_buffer(&types, "id BIGINT NOT NULL COMMENT 'key', d DECIMAL(10,2), a ARRAY<INT NOT NULL>, m MAP<STRING, STRUCT<>>");
}

Test(schema, absent_or_broken_delta_schemas)
{
    struct lh_schema schema;
    cr_assert_eq(lh_schema_parse_delta(&arena, LH_SLICE(""), &schema), VDE_OK);
    cr_assert_eq(schema.root.count, 0);
    cr_assert_eq(lh_schema_parse_delta(&arena, LH_SLICE("{}"), &schema), VDE_OK);
    static const char *const bad[] = {
        "5", "{", "{\"type\":\"array\"}", "{\"type\":\"struct\"}", "{\"type\":\"struct\",\"fields\":[1]}",
        "{\"type\":\"struct\",\"fields\":[{\"type\":\"long\"}]}", "{\"type\":\"struct\",\"fields\":[{\"name\":\"x\"}]}",
        "{\"type\":\"struct\",\"fields\":[{\"name\":\"x\",\"type\":5}]}",
        "{\"type\":\"struct\",\"fields\":[{\"name\":\"x\",\"type\":{\"type\":\"array\"}}]}",
        "{\"type\":\"struct\",\"fields\":[{\"name\":\"x\",\"type\":{\"type\":\"string\"}}]}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_eq(lh_schema_parse_delta(&arena, lh_slice_of(bad[i]), &schema), VDE_INVAL, "%s", bad[i]);
}

Test(schema, unknown_types_are_kept_and_named)
{
    static const char text[] = "{\"type\":\"struct\",\"fields\":[{\"name\":\"g\",\"type\":{\"type\":\"array\",\"elementType\":"
                               "\"geometry(OGC:CRS84)\",\"containsNull\":true},\"nullable\":true,\"metadata\":{}}]}";
    struct lh_schema schema;
    char what[64];
    cr_assert_eq(lh_schema_parse_delta(&arena, lh_slice_of(text), &schema), VDE_OK);
    cr_assert(lh_schema_unknown_type(&schema, what, sizeof what));
    cr_assert_str_eq(what, "g: geometry(OGC:CRS84)");
    struct lh_buffer out = LH_BUFFER_INIT;
    cr_assert_eq(lh_schema_print_delta(&schema, &out), VDE_OK);
    expect_buffer(&out, text);
    struct lh_schema known = ddl("a INT");
    cr_assert(!lh_schema_unknown_type(&known, what, sizeof what));
}

Test(schema, types_that_a_format_lacks_are_named)
{
    struct lh_schema schema = ddl("id INT, tiny TINYINT, u UUID");
    struct lh_buffer out = LH_BUFFER_INIT;
    int32_t last = 0;
    lh_schema_assign_ids(&schema, NULL, &last);
    cr_assert_eq(lh_schema_print_iceberg(&schema, &out), VDE_UNSUPPORTED);
    cr_assert_not_null(strstr(vde_last_error()->text, "tiny"));
    cr_assert_eq(lh_schema_print_delta(&schema, &out), VDE_UNSUPPORTED);
    cr_assert_not_null(strstr(vde_last_error()->text, "column u"));
    lh_buffer_done(&out);
}

Test(schema, iceberg_ids_go_level_by_level_and_stay)
{
    struct lh_schema schema = ddl("id BIGINT NOT NULL, s STRUCT<x: INT, y: ARRAY<STRING>>, m MAP<STRING, INT NOT NULL>, d DECIMAL(9,2)");
    int32_t last = 0;
    lh_schema_assign_ids(&schema, NULL, &last);
    cr_assert_eq(last, 9);
    static const char expected[] =
        "{\"type\":\"struct\",\"schema-id\":0,\"fields\":[{\"id\":1,\"name\":\"id\",\"required\":true,\"type\":\"long\"},"
        "{\"id\":2,\"name\":\"s\",\"required\":false,\"type\":{\"type\":\"struct\",\"fields\":["
        "{\"id\":5,\"name\":\"x\",\"required\":false,\"type\":\"int\"},"
        "{\"id\":6,\"name\":\"y\",\"required\":false,\"type\":{\"type\":\"list\",\"element-id\":7,\"element-required\":false,"
        "\"element\":\"string\"}}]}},"
        "{\"id\":3,\"name\":\"m\",\"required\":false,\"type\":{\"type\":\"map\",\"key-id\":8,\"key\":\"string\",\"value-id\":9,"
        "\"value-required\":true,\"value\":\"int\"}},"
        "{\"id\":4,\"name\":\"d\",\"required\":false,\"type\":\"decimal(9, 2)\"}]}";
    struct lh_buffer out = LH_BUFFER_INIT;
    cr_assert_eq(lh_schema_print_iceberg(&schema, &out), VDE_OK);
    struct lh_schema again, next = ddl("n STRING, id BIGINT NOT NULL, s STRUCT<y: ARRAY<STRING>, z: DATE>");
    cr_assert_eq(lh_schema_parse_any(&arena, (struct lh_slice){out.data, out.size}, &again), VDE_OK);
    cr_assert(lh_type_equal(&again.root, &schema.root));
    expect_buffer(&out, expected);
    lh_schema_assign_ids(&next, &again, &last);
    cr_assert_eq(next.root.fields[0].id, 10);
    cr_assert_eq(next.root.fields[1].id, 1);
    cr_assert_eq(next.root.fields[2].type.fields[0].id, 6);
    cr_assert_eq(next.root.fields[2].type.fields[0].type.fields[0].id, 7);
    cr_assert_eq(next.root.fields[2].type.fields[1].id, 11);
}

Test(schema, field_metadata_is_inherited)
{
    struct lh_schema old, next = ddl("a ARRAY<INT NOT NULL> COMMENT 'new', id BIGINT NOT NULL");
    cr_assert_eq(lh_schema_parse_delta(&arena, lh_slice_of(delta_text), &old), VDE_OK);
    cr_assert_eq(lh_schema_inherit(&arena, &next, &old), VDE_OK);
    cr_assert(lh_slice_is(next.root.fields[0].metadata, "{\"comment\":\"new\",\"delta.columnMapping.id\":3,\"x\":1.50}"));
    cr_assert(lh_slice_is(next.root.fields[1].metadata, "{\"comment\":\"key\"}"));
}

Test(schema, partition_columns_are_checked)
{
    struct lh_schema schema = ddl("id INT, day DATE, s STRUCT<x: INT>");
    struct lh_slice day = LH_SLICE("day"), none = LH_SLICE("Day"), nested = LH_SLICE("s");
    struct lh_slice twice[] = {day, day}, all[] = {LH_SLICE("id")};
    cr_assert_eq(lh_schema_check_partitioning(&schema, &day, 1), VDE_OK);
    cr_assert_eq(lh_schema_check_partitioning(&schema, NULL, 0), VDE_OK);
    cr_assert_eq(lh_schema_check_partitioning(&schema, &none, 1), VDE_INVAL);
    cr_assert_eq(lh_schema_check_partitioning(&schema, &nested, 1), VDE_INVAL);
    cr_assert_eq(lh_schema_check_partitioning(&schema, twice, 2), VDE_INVAL);
    schema = ddl("id INT");
    cr_assert_eq(lh_schema_check_partitioning(&schema, all, 1), VDE_INVAL);
}

struct change {
    const char *old, *next;
    enum lh_flavor flavor;
    const char *column, *rule;   /* NULL: allowed */
};

Test(schema, evolution_rules)
{
    static const struct change changes[] = {
        {"a INT", "a INT, b STRING", LH_FLAVOR_DELTA, NULL, NULL},
        {"", "a INT NOT NULL", LH_FLAVOR_DELTA, NULL, NULL},
        {"a INT, b INT", "b INT", LH_FLAVOR_DELTA, NULL, NULL},
        {"a INT NOT NULL", "a INT", LH_FLAVOR_DELTA, NULL, NULL},
        {"a INT", "a INT NOT NULL", LH_FLAVOR_DELTA, "a", "makes a nullable column required"},
        {"a INT NOT NULL, b INT", "b INT", LH_FLAVOR_DELTA, "a", "removes a required column"},
        {"a INT", "a INT, b INT NOT NULL", LH_FLAVOR_DELTA, "b", "adds a required column"},
        {"a BIGINT", "a INT", LH_FLAVOR_DELTA, "a", "narrows the type"},
        {"a DOUBLE", "a FLOAT", LH_FLAVOR_ICEBERG, "a", "narrows the type"},
        {"a STRING", "a INT", LH_FLAVOR_DELTA, "a", "changes the type"},
        {"s STRUCT<x: INT NOT NULL, y: INT>", "s STRUCT<y: INT>", LH_FLAVOR_DELTA, "s.x", "removes a required column"},
        {"a ARRAY<BIGINT>", "a ARRAY<INT>", LH_FLAVOR_DELTA, "a.element", "narrows the type"},
        {"m MAP<STRING, INT>", "m MAP<STRING, INT NOT NULL>", LH_FLAVOR_DELTA, "m.value", "makes a nullable column required"},
        {"a INT", "a ARRAY<INT>", LH_FLAVOR_DELTA, "a", "changes the type"},
        {"a DECIMAL(10,2)", "a DECIMAL(9,2)", LH_FLAVOR_DELTA, "a", "narrows the type"},
        {"a INT", "a DOUBLE", LH_FLAVOR_ICEBERG, "a", "changes the type"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        const struct change *change = &changes[i];
        struct lh_schema old = ddl(change->old), next = ddl(change->next);
        struct lh_schema_refusal refusal;
        bool allowed = lh_schema_may_evolve(&old, &next, change->flavor, &refusal, NULL);
        cr_expect_eq(allowed, change->column == NULL, "%s -> %s", change->old, change->next);
        if (!allowed && change->column) {
            cr_expect_str_eq(refusal.column, change->column);
            cr_expect_str_eq(refusal.rule, change->rule);
        }
    }
}

Test(schema, widening_tables)
{
    static const struct { const char *from, *to; bool delta, iceberg; } cases[] = {
        {"TINYINT", "SMALLINT", true, false}, {"TINYINT", "BIGINT", true, false}, {"INT", "BIGINT", true, true},
        {"BIGINT", "INT", false, false}, {"FLOAT", "DOUBLE", true, true}, {"INT", "DOUBLE", true, false},
        {"BIGINT", "DOUBLE", false, false}, {"INT", "FLOAT", false, false}, {"DATE", "TIMESTAMP_NTZ", true, false},
        {"DATE", "TIMESTAMP", false, false}, {"DECIMAL(10,2)", "DECIMAL(12,2)", true, true},
        {"DECIMAL(10,2)", "DECIMAL(12,4)", true, false}, {"DECIMAL(10,2)", "DECIMAL(11,4)", false, false},
        {"DECIMAL(10,2)", "DECIMAL(12,1)", false, false}, {"INT", "DECIMAL(10,0)", true, false},
        {"INT", "DECIMAL(10,1)", false, false}, {"INT", "DECIMAL(12,2)", true, false}, {"BIGINT", "DECIMAL(19,0)", false, false},
        {"BIGINT", "DECIMAL(20,0)", true, false}, {"STRING", "BINARY", false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[64];
        snprintf(text, sizeof text, "a %s, b %s", cases[i].from, cases[i].to);
        struct lh_schema schema = ddl(text);
        const struct lh_type *from = &schema.root.fields[0].type, *to = &schema.root.fields[1].type;
        cr_expect_eq(lh_type_may_widen(from, to, LH_FLAVOR_DELTA), cases[i].delta, "%s", text);
        cr_expect_eq(lh_type_may_widen(from, to, LH_FLAVOR_ICEBERG), cases[i].iceberg, "%s", text);
    }
}

Test(schema, renamed_columns_are_matched_by_id)
{
    struct lh_schema old = ddl("a INT NOT NULL"), next = ddl("b BIGINT NOT NULL");
    struct lh_schema_refusal refusal;
    bool widened;
    cr_assert(!lh_schema_may_evolve(&old, &next, LH_FLAVOR_ICEBERG, &refusal, NULL));
    old.root.fields[0].id = next.root.fields[0].id = 1;
    cr_assert(lh_schema_may_evolve(&old, &next, LH_FLAVOR_ICEBERG, &refusal, &widened));
    cr_assert(widened);
}
