/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers as integers, strings as JSON, lines of NDJSON. */
#include "model/json.h"

/* --- numbers ---------------------------------------------------------------------------------------------------- */

bool lh_json_int64_text(struct lh_slice text, int64_t *ret)
{
    bool negative = text.size > 0 && text.data[0] == '-';
    size_t at = negative ? 1 : 0;
    if (at == text.size || (text.data[at] == '0' && (text.size > at + 1 || negative)))
        return false;
    int64_t number = 0;
    for (; at < text.size; at++) {
        int digit = text.data[at] - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, negative ? -digit : digit, &number))
            return false;
    }
    *ret = number;
    return true;
}

bool lh_json_int64(const struct lh_json *json, uint32_t token, int64_t *ret)
{
    if (lh_json_kind_of(json, token) != LH_JSON_NUMBER)
        return false;
    struct lh_slice text = lh_json_raw(json, token);
    if (lh_slice_is(text, "-0")) {
        *ret = 0;
        return true;
    }
    return lh_json_int64_text(text, ret);
}

/* Append a decimal digit to a number that grows away from zero. */
static bool shift_in(int64_t *number, int digit, bool negative)
{
    return !__builtin_mul_overflow(*number, 10, number) &&
           !__builtin_add_overflow(*number, negative ? -digit : digit, number);
}

bool lh_json_whole(struct lh_slice text, int64_t *ret)
{
    const char *at = text.size ? text.data : "", *end = at + text.size;
    bool negative = at < end && *at == '-';
    at += negative;
    /* The digits without the point, and where the point stood counted from their end. */
    const char *digits = at;
    while (at < end && *at != 'e' && *at != 'E')
        at++;
    const char *digits_end = at;
    long exponent = 0;
    if (at < end) {
        bool below = ++at < end && *at == '-';
        for (at += at < end && (*at == '-' || *at == '+'); at < end; at++)
            exponent = exponent < 100000 ? exponent * 10 + (*at - '0') : exponent;
        exponent = below ? -exponent : exponent;
    }
    const char *point = memchr(digits, '.', (size_t)(digits_end - digits));
    long whole_digits = (long)((point ? point : digits_end) - digits) + exponent;
    int64_t number = 0;
    long seen = 0;
    for (const char *p = digits; p < digits_end; p++) {
        if (*p == '.')
            continue;
        int digit = *p - '0';
        if (digit < 0 || digit > 9)
            return false;
        if (seen++ < whole_digits ? !shift_in(&number, digit, negative) : digit != 0)
            return false;
    }
    for (; seen < whole_digits && number != 0; seen++) {
        if (!shift_in(&number, 0, negative))
            return false;
    }
    *ret = number;
    return digits < digits_end;
}

/* --- printing --------------------------------------------------------------------------------------------------- */

static bool plain(uint8_t c) { return c >= 0x20 && c < 0x80 && c != '"' && c != '\\'; }

static void print_unicode_escape(struct lh_buffer *out, unsigned code)
{
    static const char hex[] = "0123456789abcdef";
    char text[6] = {'\\', 'u', hex[code >> 12 & 15], hex[code >> 8 & 15], hex[code >> 4 & 15], hex[code & 15]};
    lh_buffer_add(out, text, sizeof text);
}

static void print_ascii(struct lh_buffer *out, uint8_t c)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char *hit = c ? strchr(from, c) : NULL;
    if (!hit) {
        print_unicode_escape(out, c);
        return;
    }
    char text[2] = {'\\', to[hit - from]};
    lh_buffer_add(out, text, 2);
}

/* Print the sequence beyond ASCII at `p`; returns its size. */
static size_t print_sequence(struct lh_buffer *out, const char *p, size_t left)
{
    for (size_t size = 2; size <= 4 && size <= left; size++) {
        if (lh_utf8_valid((struct lh_slice){p, size})) {
            lh_buffer_add(out, p, size);
            return size;
        }
    }
    uint8_t a = (uint8_t)p[0], b = left > 1 ? (uint8_t)p[1] : 0, c = left > 2 ? (uint8_t)p[2] : 0;
    if (a == 0xed && b >= 0xa0 && b <= 0xbf && (c & 0xc0) == 0x80) {
        print_unicode_escape(out, 0xd000u | (b & 0x3fu) << 6 | (c & 0x3fu));
        return 3;
    }
    print_unicode_escape(out, 0xfffd);
    return 1;
}

void lh_json_print_string(struct lh_buffer *out, struct lh_slice value)
{
    lh_buffer_byte(out, '"');
    const char *at = value.size ? value.data : "", *end = at + value.size;
    while (at < end) {
        const char *from = at;
        while (at < end && plain((uint8_t)*at))
            at++;
        lh_buffer_add(out, from, (size_t)(at - from));
        if (at == end)
            break;
        if ((uint8_t)*at < 0x80)
            print_ascii(out, (uint8_t)*at++);
        else
            at += print_sequence(out, at, (size_t)(end - at));
    }
    lh_buffer_byte(out, '"');
}

/* --- lines ------------------------------------------------------------------------------------------------------ */

static bool blank(struct lh_slice line)
{
    for (size_t i = 0; i < line.size; i++) {
        if (line.data[i] != ' ' && line.data[i] != '\t' && line.data[i] != '\r')
            return false;
    }
    return true;
}

bool lh_ndjson_next(struct lh_slice *rest, struct lh_slice *ret_line)
{
    while (rest->size > 0) {
        const char *end = memchr(rest->data, '\n', rest->size);
        struct lh_slice line = {rest->data, end ? (size_t)(end - rest->data) : rest->size};
        size_t used = line.size + (end ? 1 : 0);
        *rest = (struct lh_slice){rest->data + used, rest->size - used};
        if (line.size > 0 && line.data[line.size - 1] == '\r')
            line.size--;
        if (!blank(line)) {
            *ret_line = line;
            return true;
        }
    }
    return false;
}
