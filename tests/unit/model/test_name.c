/* SPDX-License-Identifier: Apache-2.0 */
/* Names, times, and how a version is asked for. */
#include <criterion/criterion.h>

#include "model/name.h"
#include "model/time.h"

#define SECOND 1000000ull
#define NOW (1000000 * SECOND)

Test(name, parts)
{
    static const char *const good[] = {"a", "A-b c", "\xc3\xa9t\xc3\xa9", "x_", "x.y", "1", "a:b", "%20"};
    static const char *const bad[] = {"", ".", "..", "_a", ".a", "a/b", "a@b", "a\n", "\x7f", "\xff", "\xc2\x85", "\xed\xa0\x80"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        cr_expect_eq(lh_name_check_part(lh_slice_of(good[i])), VDE_OK, "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_eq(lh_name_check_part(lh_slice_of(bad[i])), VDE_INVAL, "%s", bad[i]);
    char long_name[257];
    memset(long_name, 'a', sizeof long_name);
    cr_expect_eq(lh_name_check_part((struct lh_slice){long_name, 255}), VDE_OK);
    cr_expect_eq(lh_name_check_part((struct lh_slice){long_name, 256}), VDE_INVAL);
    cr_expect_eq(lh_name_check_part((struct lh_slice){"a\0b", 3}), VDE_INVAL);
}

Test(name, dotted)
{
    struct lh_name name;
    cr_assert_eq(lh_name_split(LH_SLICE("a.b.t"), &name), VDE_OK);
    cr_assert_eq(name.count, 3);
    cr_assert(lh_slice_is(name.parts[2], "t"));
    cr_assert(lh_slice_is(lh_name_parent(LH_SLICE("a.b.t")), "a.b"));
    cr_assert(lh_slice_is(lh_name_leaf(LH_SLICE("a.b.t")), "t"));
    cr_assert_eq(lh_name_parent(LH_SLICE("t")).size, 0);
    cr_assert(lh_slice_is(lh_name_leaf(LH_SLICE("t")), "t"));
    static const char *const bad[] = {"", ".", "a.", ".a", "a..b", "a._b", "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_eq(lh_name_split(lh_slice_of(bad[i]), &name), VDE_INVAL, "%s", bad[i]);
}

Test(name, versions)
{
    struct lh_spec spec;
    cr_assert_eq(lh_spec_parse(LH_SLICE("ns.t"), NOW, &spec), VDE_OK);
    cr_assert_eq(spec.kind, LH_SPEC_LATEST);
    cr_assert_eq(lh_spec_parse(LH_SLICE("ns.t@v3"), NOW, &spec), VDE_OK);
    cr_assert(spec.kind == LH_SPEC_VERSION && spec.version == 3 && lh_slice_is(spec.name, "ns.t"));
    cr_assert_eq(lh_spec_parse(LH_SLICE("ns.t@-2h"), NOW, &spec), VDE_OK);
    cr_assert(spec.kind == LH_SPEC_TIME && spec.time_us == NOW - 7200 * SECOND);
    cr_assert_eq(lh_spec_parse(LH_SLICE("ns.t@tag:v1.0"), NOW, &spec), VDE_OK);
    cr_assert(spec.kind == LH_SPEC_TAG && lh_slice_is(spec.tag, "v1.0") && lh_slice_is(spec.name, "ns.t"));
    cr_assert_eq(lh_spec_parse(LH_SLICE("t@1970-01-02T00:00:00+01:00"), NOW, &spec), VDE_OK);
    cr_assert_eq(spec.time_us, 23 * 3600 * SECOND);
    static const char *const bad[] = {"@v3", "t@", "t@v", "t@v-1", "t@v1x", "t@3", "t@@v3", "t@v99999999999999999999", "t@-2y"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_eq(lh_spec_parse(lh_slice_of(bad[i]), NOW, &spec), VDE_INVAL, "%s", bad[i]);
}

Test(time, parses)
{
    static const struct { const char *text; uint64_t us; } cases[] = {
        {"1970-01-01T00:00:00Z", 0}, {"1970-01-01", 0}, {"2026-11-20T10:00:00Z", 1795168800 * SECOND},
        {"2026-11-20 10:00", 1795168800 * SECOND}, {"2026-11-20 10:00:00", 1795168800 * SECOND},
        {"2026-11-20t11:30:00+01:30", 1795168800 * SECOND}, {"2026-11-20T08:00:00.000001-02:00", 1795168800 * SECOND + 1},
        {"2026-11-20T10:00:00.1234567z", 1795168800 * SECOND + 123456}, {"2026-11-20T10:00:00.5", 1795168800 * SECOND + 500000},
        {"2000-02-29", 951782400 * SECOND}, {"9999-12-31T23:59:59Z", 253402300799 * SECOND},
        {"-90s", NOW - 90 * SECOND}, {"-5m", NOW - 300 * SECOND}, {"-1d", NOW - 86400 * SECOND}, {"-1w", NOW - 604800 * SECOND},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t got = 0;
        cr_expect_eq(lh_time_read(lh_slice_of(cases[i].text), NOW, &got), VDE_OK, "%s", cases[i].text);
        cr_expect_eq(got, cases[i].us, "%s gave %llu", cases[i].text, (unsigned long long)got);
    }
    static const char *const bad[] = {
        "", "-", "-h", "-2", "-2y", "-99999999999999999999s", "-20000d", "2026", "2026-13-01", "2026-02-29", "1900-02-29",
        "2026-00-10", "2026-11-20T", "2026-11-20T24:00:00Z", "2026-11-20T10:60:00Z", "2026-11-20T10:00:00+25:00",
        "2026-11-20T10:00:00.Z", "2026-11-20T10:00:00Zx", "1969-12-31", "1970-01-01T00:00:00+01:00", "20261120", "now",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t got;
        cr_expect_eq(lh_time_read(lh_slice_of(bad[i]), NOW, &got), VDE_INVAL, "%s", bad[i]);
    }
}

Test(time, prints_what_it_parses)
{
    char text[LH_TIME_TEXT_SIZE];
    lh_time_print(1795168800 * SECOND + 123000, text);
    cr_assert_str_eq(text, "2026-11-20T10:00:00.123Z");
    lh_time_print(1795168800 * SECOND + 123456, text);
    cr_assert_str_eq(text, "2026-11-20T10:00:00.123456Z");
    lh_time_print(UINT64_MAX, text);
    cr_assert_str_eq(text, "9999-12-31T23:59:59.551615Z");
    for (uint64_t us = 0; us < 253402300799 * SECOND; us += 97654321 * SECOND + 777777) {
        uint64_t again;
        lh_time_print(us, text);
        cr_assert_eq(lh_time_read(lh_slice_of(text), 0, &again), VDE_OK, "%s", text);
        cr_assert_eq(again, us, "%s", text);
    }
}
