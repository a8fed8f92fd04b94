/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON index: all of RFC 8259 and nothing else, values read exactly, equality of values, printing. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "model/json.h"

static vde_status parse(struct lh_json *json, const char *text) { return lh_json_parse(json, text, strlen(text)); }

static bool accepted(const char *text)
{
    struct lh_json json = LH_JSON_INIT;
    vde_status status = parse(&json, text);
    cr_assert(status == VDE_OK || json.count == 0);
    lh_json_done(&json);
    return status == VDE_OK;
}

static bool equal(const char *a, const char *b)
{
    struct lh_json x = LH_JSON_INIT, y = LH_JSON_INIT;
    cr_assert_eq(parse(&x, a), VDE_OK);
    cr_assert_eq(parse(&y, b), VDE_OK);
    bool same = lh_json_equal(&x, 0, &y, 0);
    cr_assert_eq(lh_json_equal(&y, 0, &x, 0), same);
    lh_json_done(&x);
    lh_json_done(&y);
    return same;
}

Test(json, accepts_all_of_the_grammar)
{
    static const char *const good[] = {
        "null", " true ", "false\n", "0", "-0", "-0.0", "1e400", "1E+5", "12345678901234567890123456789", "0.1e-7", "[]", "{}",
        "[[],{}]", "{\"a\":[1,2,{\"b\":null}]}", "\"\"", "\"\\u0000\"", "\"\\ud800\"", "\"\\udc00\\ud800\"",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\xf0\x9f\x98\x80\"", "\"\x7f\"", "{\"a\":1,\"a\":2}", "{\"\":0}",
        "\xef\xbb\xbf{}", "\t[\r\n1 , 2 ]",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        cr_expect(accepted(good[i]), "%s: %s", good[i], vde_last_error()->text);
}

Test(json, refuses_everything_else)
{
    static const char *const bad[] = {
        "", " ", "nul", "nulL", "True", "01", "-", "-a", "1.", ".5", "1e", "1e+", "+1", "NaN", "Infinity", "0x1", "[", "]",
        "[1", "[1,", "[1,]", "[,1]", "[1 2]", "{", "}", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{a:1}",
        "{1:1}", "{\"a\" 1}", "{\"a\":1]", "[1}", "\"", "\"\\\"", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\n\"", "\"\t\"",
        "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xff\"", "\"\xe2\x82\"", "\"\xf4\x90\x80\x80\"", "1 2", "{} {}", "// c\n1",
        "'a'", "{\"a\":1 \"b\":2}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect(!accepted(bad[i]), "%s", bad[i]);
}

Test(json, error_names_the_place_and_what_was_expected)
{
    struct lh_json json = LH_JSON_INIT;
    cr_assert_eq(parse(&json, "{\"a\":1 \"b\":2}"), VDE_INVAL);
    cr_assert_str_eq(vde_last_error()->object, "JSON at byte 7");
    cr_assert_str_eq(vde_last_error()->found, "byte 0x22");
    cr_assert_str_eq(vde_last_error()->expected, "',' or '}'");
    lh_json_done(&json);
}

Test(json, nesting_is_bounded)
{
    char text[2 * LH_JSON_DEPTH_MAX + 3];
    for (unsigned depth = LH_JSON_DEPTH_MAX; depth <= LH_JSON_DEPTH_MAX + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        text[2 * depth] = '\0';
        struct lh_json json = LH_JSON_INIT;
        cr_assert_eq(parse(&json, text), depth <= LH_JSON_DEPTH_MAX ? VDE_OK : VDE_TOO_LARGE);
        lh_json_done(&json);
    }
}

Test(json, tokens_lead_from_sibling_to_sibling)
{
    struct lh_json json = LH_JSON_INIT;
    cr_assert_eq(parse(&json, "{\"a\":[1,[2,3]],\"b\":{\"c\":4},\"a\":5}"), VDE_OK);
    cr_assert_eq(json.tokens[0].count, 3);
    uint32_t a = lh_json_find(&json, 0, "a"), b = lh_json_find(&json, 0, "b");
    int64_t number;
    cr_assert(lh_json_int64(&json, a, &number) && number == 5, "the last of duplicate keys counts");
    cr_assert(lh_json_int64(&json, lh_json_find(&json, b, "c"), &number) && number == 4);
    cr_assert_eq(lh_json_find(&json, 0, "x"), LH_JSON_NONE);
    cr_assert_eq(lh_json_find(&json, a, "x"), LH_JSON_NONE);
    cr_assert_eq(lh_json_find(&json, LH_JSON_NONE, "x"), LH_JSON_NONE);
    uint32_t first = lh_json_first(&json, 0) + 1;
    cr_assert_eq(json.tokens[first].kind, LH_JSON_ARRAY);
    cr_assert(lh_slice_is(lh_json_raw(&json, first), "[1,[2,3]]"));
    lh_json_done(&json);
}

Test(json, an_array_of_any_size_is_reused_for_the_next_document)
{
    struct lh_json json = LH_JSON_INIT;
    struct lh_buffer text = LH_BUFFER_INIT;
    lh_buffer_byte(&text, '[');
    for (int i = 0; i < 5000; i++)
        lh_buffer_text(&text, i ? ",\"x\"" : "0");
    lh_buffer_byte(&text, ']');
    cr_assert_eq(lh_json_parse(&json, text.data, text.size), VDE_OK);
    cr_assert_eq(json.tokens[0].count, 5000);
    cr_assert_eq(json.count, 5001);
    cr_assert_eq(parse(&json, "7"), VDE_OK);
    cr_assert_eq(json.count, 1);
    lh_buffer_done(&text);
    lh_json_done(&json);
}

static void expect_string(const char *text, const char *value, size_t size)
{
    struct lh_json json = LH_JSON_INIT;
    struct lh_arena arena = LH_ARENA_INIT;
    struct lh_slice got;
    cr_assert_eq(parse(&json, text), VDE_OK);
    cr_assert_eq(lh_json_string(&json, 0, &arena, &got), VDE_OK);
    cr_expect(lh_slice_equal(got, (struct lh_slice){value, size}), "%s", text);
    /* Printed again, it has the same value. */
    struct lh_buffer out = LH_BUFFER_INIT;
    lh_json_print_string(&out, got);
    lh_buffer_byte(&out, '\0');
    cr_expect(equal(text, out.data), "%s printed as %s", text, out.data);
    lh_buffer_done(&out);
    lh_arena_done(&arena);
    lh_json_done(&json);
}

Test(json, strings_are_decoded_and_printed)
{
    expect_string("\"plain\"", "plain", 5);
    expect_string("\"\\u0000x\"", "\0x", 2);
    expect_string("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8);
    expect_string("\"\\u00e9\\u20AC\"", "\xc3\xa9\xe2\x82\xac", 5);
    expect_string("\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80", 4);
    expect_string("\"\xf0\x9f\x98\x80\"", "\xf0\x9f\x98\x80", 4);
    expect_string("\"\\ud83dx\"", "\xed\xa0\xbdx", 4);
    expect_string("\"\\ude00\\ud83d\"", "\xed\xb8\x80\xed\xa0\xbd", 6);
    expect_string("\"\\ud83d\\ud83d\\ude00\"", "\xed\xa0\xbd\xf0\x9f\x98\x80", 7);
    expect_string("\"\\u001f\x7f\"", "\x1f\x7f", 2);
}

Test(json, bytes_that_are_no_text_are_printed_as_replacements)
{
    struct lh_buffer out = LH_BUFFER_INIT;
    lh_json_print_string(&out, LH_SLICE("a\xff\xc3"));
    cr_assert(lh_slice_is((struct lh_slice){out.data, out.size}, "\"a\\ufffd\\ufffd\""));
    lh_buffer_done(&out);
}

Test(json, integers_are_exact)
{
    int64_t got;
    cr_assert(lh_json_int64_text(LH_SLICE("9223372036854775807"), &got) && got == INT64_MAX);
    cr_assert(lh_json_int64_text(LH_SLICE("-9223372036854775808"), &got) && got == INT64_MIN);
    cr_assert(!lh_json_int64_text(LH_SLICE("9223372036854775808"), &got));
    cr_assert(!lh_json_int64_text(LH_SLICE("-9223372036854775809"), &got));
    static const char *const no[] = {"", "-", "-0", "007", "1.0", "1e3", " 1", "x"};
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        cr_expect(!lh_json_int64_text(lh_slice_of(no[i]), &got), "%s", no[i]);
}

Test(json, whole_numbers_in_any_spelling)
{
    static const struct { const char *text; bool whole; int64_t value; } cases[] = {
        {"1e3", true, 1000}, {"5.0", true, 5}, {"-0", true, 0}, {"-1.50e1", true, -15}, {"0.001e3", true, 1}, {"100e-2", true, 1},
        {"0e999999999999", true, 0}, {"1.5", false, 0}, {"1e-1", false, 0}, {"1e400", false, 0}, {"1e18", true, 1000000000000000000},
        {"1e19", false, 0}, {"-9223372036854775808", true, INT64_MIN}, {"9223372036854775808", false, 0}, {"123456e-3", false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t got = 42;
        cr_expect_eq(lh_json_whole(lh_slice_of(cases[i].text), &got), cases[i].whole, "%s", cases[i].text);
        if (cases[i].whole)
            cr_expect_eq(got, cases[i].value, "%s gave %lld", cases[i].text, (long long)got);
    }
}

Test(json, equality_is_of_values_with_number_text)
{
    cr_expect(equal("{\"a\":1,\"b\":[true,null]}", "{ \"b\" : [ true , null ], \"a\" : 1 }"));
    cr_expect(equal("{\"a\":1,\"a\":2}", "{\"a\":2}"));
    cr_expect(equal("{\"a\":1,\"b\":0,\"a\":2}", "{\"b\":0,\"a\":2}"));
    cr_expect(equal("\"\\u0041\"", "\"A\""));
    cr_expect(equal("{\"\\u0061\":1}", "{\"a\":1}"));
    cr_expect(equal("[[1],{\"a\":[{}]}]", "[[1],{\"a\":[{}]}]"));
    cr_expect(!equal("1", "1.0"));
    cr_expect(!equal("1e2", "100"));
    cr_expect(!equal("12345678901234567890.1", "12345678901234567890.2"));
    cr_expect(!equal("{\"a\":1}", "{\"a\":1,\"b\":2}"));
    cr_expect(!equal("{\"a\":1,\"a\":2}", "{\"a\":1}"));
    cr_expect(!equal("[1,2]", "[2,1]"));
    cr_expect(!equal("[1]", "[1,1]"));
    cr_expect(!equal("null", "false"));
    cr_expect(!equal("{\"a\":{\"b\":1}}", "{\"a\":{\"c\":1}}"));
    cr_expect(!equal("\"\\ud800\"", "\"\\ud801\""));
    cr_expect(!equal("\"\\u0000\"", "\"\""));
}

Test(json, lines_are_cut_without_blank_ones)
{
    struct lh_slice rest = LH_SLICE("\n a \r\n\n  \nb\r\n\tc"), line;
    cr_assert(lh_ndjson_next(&rest, &line) && lh_slice_is(line, " a "));
    cr_assert(lh_ndjson_next(&rest, &line) && lh_slice_is(line, "b"));
    cr_assert(lh_ndjson_next(&rest, &line) && lh_slice_is(line, "\tc"));
    cr_assert(!lh_ndjson_next(&rest, &line));
}

Test(json, any_mutation_of_a_document_is_safe)
{
    static const char text[] = "{\"add\":{\"path\":\"a\\u00e9\",\"n\":[-1.5e3,null,true],\"o\":{\"\":\"\\ud800\"}}}";
    struct lh_json json = LH_JSON_INIT;
    unsigned seed = 1;
    for (int round = 0; round < 20000; round++) {
        size_t size = sizeof text - 1;
        char *copy = malloc(size);
        memcpy(copy, text, size);
        for (int i = 0; i < 3; i++) {
            seed = seed * 1103515245u + 12345u;
            copy[(seed >> 8) % size] = (char)(seed >> 16);
        }
        size -= (seed >> 4) % 5;
        if (lh_json_parse(&json, copy, size) == VDE_OK)
            cr_assert(lh_json_equal(&json, 0, &json, 0));
        free(copy);
    }
    lh_json_done(&json);
}

/* --- skimming --------------------------------------------------------------------------------------------------- */
/* Whatever skimming answers, parsing answers too. Returns whether it answered. */
static bool skim_like_parse(const char *text, size_t size)
{
    struct lh_json parsed = LH_JSON_INIT;
    struct lh_slice number;
    char *exact = malloc(size + 1); /* ends where its memory ends */
    cr_assert(exact);
    exact = realloc(exact, size ? size : 1);
    memcpy(exact, text, size);
    bool answered = lh_json_skim((struct lh_slice){exact, size}, LH_SLICE("n"), &number);
    if (answered) {
        cr_assert_eq(lh_json_parse(&parsed, exact, size), VDE_OK, "%.*s", (int)size, text);
        uint32_t token = lh_json_find(&parsed, 0, "n");
        cr_assert_eq(number.size == 0, token == LH_JSON_NONE, "%.*s", (int)size, text);
        if (number.size) {
            cr_assert_eq(lh_json_kind_of(&parsed, token), LH_JSON_NUMBER);
            cr_assert(lh_slice_equal(lh_json_raw(&parsed, token), number), "%.*s", (int)size, text);
        }
    }
    lh_json_done(&parsed);
    free(exact);
    return answered;
}

Test(json, skimming_says_what_parsing_says)
{
    static const char *const plain[] = {
        "{}", "{\"n\":3}", "{\"n\":1,\"n\":-20}", "{\"a\":[],\"b\":{},\"n\":0.5}", "{\"m\":{\"n\":4},\"x\":[1,{\"n\":5},[null]]}",
        "{\"n\":12,\"min\":{\"a\":1.25,\"b\":\"x y\",\"c\":true},\"max\":{\"a\":-3,\"b\":null},\"nulls\":{\"a\":false}}",
    };
    static const char *const unsure[] = {"", "[]", "5", "{", "{ }", "{\"n\":1e3}", "{\"n\":\"3\"}", "{\"n\":{}}", "{\"n\":null}", "{}x",
                                         "{\"\\u006e\":1}", "{\"n\":1,}", "{\"a\":[1,]}", "{\"n\":01}", "{\"n\":1.}", "{\"n\":-}", "{,}"};
    static const char marks[] = "{}[],:\"\\ 0e.-nt1\xc3\x01";
    for (size_t i = 0; i < sizeof unsure / sizeof unsure[0]; i++)
        cr_expect(!skim_like_parse(unsure[i], strlen(unsure[i])), "%s", unsure[i]);
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        char text[160], less[160];
        size_t size = strlen(plain[i]);
        cr_expect(skim_like_parse(plain[i], size), "%s", plain[i]);
        for (size_t at = 0; at < size; at++) {
            skim_like_parse(plain[i], at);
            memcpy(text, plain[i], size);
            for (size_t m = 0; m < sizeof marks; m++) {
                text[at] = marks[m];
                skim_like_parse(text, size);
            }
            memcpy(less, plain[i], at);
            memcpy(less + at, plain[i] + at + 1, size - at - 1);
            skim_like_parse(less, size - 1);
        }
    }
}
