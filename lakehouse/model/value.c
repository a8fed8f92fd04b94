/* SPDX-License-Identifier: Apache-2.0 */
/* value.c -- texts of partition values, strictly: what another reader might take for something else is refused. */
#include "model/value.h"

#include <stdio.h>
#include <stdlib.h>

#include "model/time.h"

#define US_PER_SECOND 1000000
#define US_PER_DAY (86400ll * US_PER_SECOND)

static vde_status bad(const char *expected)
{
    return vde_error_set(VDE_INVAL, "partition value", "a text that is none of its type", expected);
}

/* --- reading: numbers --------------------------------------------------------------------------------------------- */
struct scan {
    const char *at;
    const char *end;
};

static bool take(struct scan *s, char c)
{
    if (s->at == s->end || *s->at != c)
        return false;
    s->at++;
    return true;
}

static bool is_digit(const struct scan *s) { return s->at < s->end && *s->at >= '0' && *s->at <= '9'; }

/* Exactly `digits` digits. */
static bool take_digits(struct scan *s, unsigned digits, int64_t *ret)
{
    int64_t number = 0;
    for (unsigned i = 0; i < digits; i++, s->at++) {
        if (!is_digit(s))
            return false;
        number = number * 10 + (*s->at - '0');
    }
    *ret = number;
    return true;
}

static vde_status parse_integer(enum lh_type_kind kind, struct lh_slice text, int64_t *ret)
{
    static const struct {
        int64_t least, most;
        const char *expected;
    } ranges[] = {{INT8_MIN, INT8_MAX, "a whole number of 8 bits"},
                  {INT16_MIN, INT16_MAX, "a whole number of 16 bits"},
                  {INT32_MIN, INT32_MAX, "a whole number of 32 bits"},
                  {INT64_MIN, INT64_MAX, "a whole number of 64 bits"}};
    size_t index = (size_t)(kind - LH_TYPE_BYTE);
    if (!lh_json_int64_text(text, ret) || *ret < ranges[index].least || *ret > ranges[index].most)
        return bad(ranges[index].expected);
    return VDE_OK;
}

static vde_status parse_real(enum lh_type_kind kind, struct lh_slice text, double *ret)
{
    char copy[64];
    char *end = NULL;
    bool plain = text.size > 0 && text.size < sizeof copy;
    for (size_t i = 0; plain && i < text.size; i++)
        plain = strchr("0123456789+-.eE", text.data[i]) != NULL && text.data[i] != '\0';
    bool word = lh_slice_is(text, "NaN") || lh_slice_is(text, "Infinity") || lh_slice_is(text, "-Infinity");
    if (!plain && !word)
        return bad("a floating-point number, NaN, Infinity or -Infinity");
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    *ret = kind == LH_TYPE_FLOAT ? (double)strtof(copy, &end) : strtod(copy, &end);
    return *end == '\0' ? VDE_OK : bad("a floating-point number, NaN, Infinity or -Infinity");
}

/* Digits with a point among them, and an exponent as Java prints small decimals: 12.30, -0.5, 1E-7. */
static bool scan_decimal(struct scan *s, lh_int128 *ret_digits, int64_t *ret_exponent)
{
    lh_int128 digits = 0;
    int64_t exponent = 0, written;
    unsigned count = 0, significant = 0;
    bool point = false;
    for (; is_digit(s) || (!point && s->at < s->end && *s->at == '.'); s->at++) {
        if (*s->at == '.') {
            point = true;
            continue;
        }
        digits = digits * 10 + (*s->at - '0');
        significant += digits != 0;
        count++;
        exponent -= point;
        if (significant > 38 || count > 100)
            return false;
    }
    if (count == 0)
        return false;
    if (take(s, 'E') || take(s, 'e')) {
        bool minus = take(s, '-');
        if (!minus)
            (void)take(s, '+');
        unsigned width = (unsigned)(s->end - s->at);
        if (width == 0 || width > 4 || !take_digits(s, width, &written))
            return false;
        exponent += minus ? -written : written;
    }
    *ret_digits = digits;
    *ret_exponent = exponent;
    return s->at == s->end;
}

static vde_status parse_decimal(const struct lh_type *type, struct lh_slice text, lh_int128 *ret)
{
    struct scan s = {text.data, text.data + text.size};
    const char *expected = "a decimal number within the column's precision and scale";
    lh_int128 digits, limit = 1;
    int64_t exponent;
    bool minus = take(&s, '-');
    if (!scan_decimal(&s, &digits, &exponent))
        return bad(expected);
    for (int32_t i = 0; i < type->precision && i < 38; i++)
        limit *= 10;
    /* To the column's scale: what is cut off must be zeros. */
    for (; exponent > -(int64_t)type->scale && digits != 0; exponent--) {
        digits *= 10;
        if (digits >= limit)
            return bad(expected);
    }
    for (; exponent < -(int64_t)type->scale && digits != 0; exponent++) {
        if (digits % 10 != 0)
            return bad(expected);
        digits /= 10;
    }
    if (digits >= limit)
        return bad(expected);
    *ret = minus ? -digits : digits;
    return VDE_OK;
}

/* --- reading: times ----------------------------------------------------------------------------------------------- */
static bool scan_date(struct scan *s, int64_t *ret_days)
{
    int64_t year = 0, month, day, back_year;
    unsigned back_month, back_day, digits = 0;
    bool minus = take(s, '-');
    if (!minus)
        (void)take(s, '+');
    for (; is_digit(s) && digits < 6; digits++, s->at++)
        year = year * 10 + (*s->at - '0');
    if (digits < 4 || !take(s, '-') || !take_digits(s, 2, &month) || !take(s, '-') || !take_digits(s, 2, &day) || month < 1 ||
        month > 12 || day < 1)
        return false;
    year = minus ? -year : year;
    *ret_days = lh_days_from_civil(year, (unsigned)month, (unsigned)day);
    lh_civil_from_days(*ret_days, &back_year, &back_month, &back_day);
    return back_year == year && back_month == (unsigned)month && back_day == (unsigned)day;
}

static bool scan_clock(struct scan *s, int64_t *ret_us)
{
    int64_t hour, minute, second, us = 0;
    unsigned digits = 0;
    if (!take_digits(s, 2, &hour) || !take(s, ':') || !take_digits(s, 2, &minute) || !take(s, ':') ||
        !take_digits(s, 2, &second) || hour > 23 || minute > 59 || second > 59)
        return false;
    if (take(s, '.')) {
        for (; is_digit(s) && digits < 6; digits++, s->at++)
            us = us * 10 + (*s->at - '0');
        for (unsigned i = digits; i < 6; i++)
            us *= 10;
        if (digits == 0)
            return false;
    }
    *ret_us = ((hour * 60 + minute) * 60 + second) * US_PER_SECOND + us;
    return true;
}

/* "Z" or "+hh:mm"; nothing is UTC. */
static bool scan_zone(struct scan *s, int64_t *ret_us)
{
    int64_t hours, minutes;
    *ret_us = 0;
    if (s->at == s->end || take(s, 'Z'))
        return true;
    bool west = take(s, '-');
    if ((!west && !take(s, '+')) || !take_digits(s, 2, &hours) || !take(s, ':') || !take_digits(s, 2, &minutes) ||
        hours > 18 || minutes > 59)
        return false;
    *ret_us = (hours * 60 + minutes) * 60 * US_PER_SECOND * (west ? -1 : 1);
    return true;
}

static vde_status parse_timestamp(enum lh_type_kind kind, struct lh_slice text, int64_t *ret)
{
    struct scan s = {text.data, text.data + text.size};
    int64_t days, clock, zone = 0;
    bool good = scan_date(&s, &days) && (take(&s, ' ') || take(&s, 'T')) && scan_clock(&s, &clock) &&
                (kind == LH_TYPE_TIMESTAMP_NTZ || scan_zone(&s, &zone)) && s.at == s.end;
    if (!good || __builtin_mul_overflow(days, US_PER_DAY, ret) || __builtin_add_overflow(*ret, clock - zone, ret))
        return bad(kind == LH_TYPE_TIMESTAMP ? "YYYY-MM-DD HH:MM:SS[.ffffff], or YYYY-MM-DDTHH:MM:SS[.ffffff]Z"
                                             : "YYYY-MM-DD HH:MM:SS[.ffffff]");
    return VDE_OK;
}

static vde_status parse_date(struct lh_slice text, int64_t *ret)
{
    struct scan s = {text.data, text.data + text.size};
    return scan_date(&s, ret) && s.at == s.end ? VDE_OK : bad("a date, YYYY-MM-DD");
}

static vde_status parse_time(struct lh_slice text, int64_t *ret)
{
    struct scan s = {text.data, text.data + text.size};
    return scan_clock(&s, ret) && s.at == s.end ? VDE_OK : bad("a time of day, HH:MM:SS[.ffffff]");
}

/* --- reading: bytes ----------------------------------------------------------------------------------------------- */
static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static vde_status parse_uuid(struct lh_slice text, struct lh_arena *arena, struct lh_slice *ret)
{
    char *bytes = lh_arena_alloc(arena, 16, 1);
    size_t at = 0;
    if (!bytes)
        return VDE_NOMEM;
    for (unsigned i = 0; i < 16; i++) {
        bool dash = i == 4 || i == 6 || i == 8 || i == 10;
        if (dash && (at >= text.size || text.data[at++] != '-'))
            return bad("a UUID");
        int high = at < text.size ? hex_digit(text.data[at]) : -1;
        int low = at + 1 < text.size ? hex_digit(text.data[at + 1]) : -1;
        if (high < 0 || low < 0)
            return bad("a UUID");
        bytes[i] = (char)(high << 4 | low);
        at += 2;
    }
    *ret = (struct lh_slice){bytes, 16};
    return at == text.size ? VDE_OK : bad("a UUID");
}

vde_status lh_value_parse(const struct lh_type *type, struct lh_slice text, struct lh_arena *arena,
                          struct lh_value *ret_value)
{
    *ret_value = (struct lh_value){.null = text.size == 0};
    if (text.size == 0)
        return VDE_OK;
    switch (type->kind) {
    case LH_TYPE_BOOLEAN:
        ret_value->number = lh_slice_is(text, "true");
        return ret_value->number || lh_slice_is(text, "false") ? VDE_OK : bad("true or false");
    case LH_TYPE_BYTE:
    case LH_TYPE_SHORT:
    case LH_TYPE_INT:
    case LH_TYPE_LONG:
        return parse_integer(type->kind, text, &ret_value->number);
    case LH_TYPE_FLOAT:
    case LH_TYPE_DOUBLE:
        return parse_real(type->kind, text, &ret_value->real);
    case LH_TYPE_DECIMAL:
        return parse_decimal(type, text, &ret_value->unscaled);
    case LH_TYPE_DATE:
        return parse_date(text, &ret_value->number);
    case LH_TYPE_TIMESTAMP:
    case LH_TYPE_TIMESTAMP_NTZ:
        return parse_timestamp(type->kind, text, &ret_value->number);
    case LH_TYPE_TIME:
        return parse_time(text, &ret_value->number);
    case LH_TYPE_UUID:
        return parse_uuid(text, arena, &ret_value->bytes);
    case LH_TYPE_STRING:
    case LH_TYPE_BINARY:
    case LH_TYPE_FIXED:
        ret_value->bytes = text;
        return type->kind != LH_TYPE_STRING || lh_utf8_valid(text) ? VDE_OK : bad("UTF-8");
    case LH_TYPE_UNKNOWN:
    case LH_TYPE_STRUCT:
    case LH_TYPE_ARRAY:
    case LH_TYPE_MAP:
        break;
    }
    return vde_error_set(VDE_INVAL, "partition value", "a column of a nested or unknown type", "a primitive type");
}

/* --- printing ----------------------------------------------------------------------------------------------------- */
static void print_date(int64_t days, struct lh_buffer *out)
{
    char text[48];
    int64_t year;
    unsigned month, day;
    lh_civil_from_days(days, &year, &month, &day);
    snprintf(text, sizeof text, "%s%04lld-%02u-%02u", year < 0 ? "-" : "", (long long)(year < 0 ? -year : year), month, day);
    lh_buffer_text(out, text);
}

static void print_clock(int64_t us, struct lh_buffer *out)
{
    char text[32];
    int64_t seconds = us / US_PER_SECOND;
    snprintf(text, sizeof text, "%02u:%02u:%02u", (unsigned)(seconds / 3600 % 24), (unsigned)(seconds / 60 % 60),
             (unsigned)(seconds % 60));
    lh_buffer_text(out, text);
    if (us % US_PER_SECOND) {
        snprintf(text, sizeof text, ".%06u", (unsigned)(us % US_PER_SECOND));
        lh_buffer_text(out, text);
    }
}

static void print_decimal(lh_int128 unscaled, int32_t scale, struct lh_buffer *out)
{
    char digits[48];
    int count = 0;
    bool minus = unscaled < 0;
    for (lh_int128 rest = minus ? -unscaled : unscaled; rest != 0 || count <= scale; rest /= 10)
        digits[count++] = (char)('0' + (int)(rest % 10));
    if (minus)
        lh_buffer_byte(out, '-');
    while (count > 0) {
        lh_buffer_byte(out, digits[--count]);
        if (count == scale && scale > 0)
            lh_buffer_byte(out, '.');
    }
}

static void print_real(enum lh_type_kind kind, double real, struct lh_buffer *out)
{
    char text[40];
    if (real != real || real - real != 0) {
        lh_buffer_text(out, real != real ? "NaN" : real > 0 ? "Infinity" : "-Infinity");
        return;
    }
    for (int precision = 1; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*g", precision, real);
        if (kind == LH_TYPE_FLOAT ? strtof(text, NULL) == (float)real : strtod(text, NULL) == real)
            break;
    }
    lh_buffer_text(out, text);
}

static void print_uuid(struct lh_slice bytes, struct lh_buffer *out)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes.size; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            lh_buffer_byte(out, '-');
        lh_buffer_byte(out, hex[(unsigned char)bytes.data[i] >> 4]);
        lh_buffer_byte(out, hex[bytes.data[i] & 15]);
    }
}

void lh_value_print(const struct lh_type *type, const struct lh_value *value, struct lh_buffer *out)
{
    int64_t days, rest;
    switch (type->kind) {
    case LH_TYPE_BOOLEAN:
        lh_buffer_text(out, value->number ? "true" : "false");
        break;
    case LH_TYPE_FLOAT:
    case LH_TYPE_DOUBLE:
        print_real(type->kind, value->real, out);
        break;
    case LH_TYPE_DECIMAL:
        print_decimal(value->unscaled, type->scale, out);
        break;
    case LH_TYPE_DATE:
        print_date(value->number, out);
        break;
    case LH_TYPE_TIMESTAMP:
    case LH_TYPE_TIMESTAMP_NTZ:
        days = value->number / US_PER_DAY - (value->number % US_PER_DAY < 0);
        rest = value->number - days * US_PER_DAY;
        print_date(days, out);
        lh_buffer_byte(out, ' ');
        print_clock(rest, out);
        break;
    case LH_TYPE_TIME:
        print_clock(value->number, out);
        break;
    case LH_TYPE_UUID:
        print_uuid(value->bytes, out);
        break;
    case LH_TYPE_STRING:
    case LH_TYPE_BINARY:
    case LH_TYPE_FIXED:
        lh_buffer_slice(out, value->bytes);
        break;
    default:
        lh_buffer_int(out, value->number);
        break;
    }
}
