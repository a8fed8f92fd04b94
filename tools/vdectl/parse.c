/* SPDX-License-Identifier: Apache-2.0 */
/* parse.c -- numbers, sizes, durations and times as people write them. All strict: the whole text or nothing. */
#include "cli.h"

#include <ctype.h>
#include <string.h>
#include <time.h>

#define US_PER_SECOND 1000000ull

/* Digits at *text into a number of at most `limit`; moves *text behind them. */
static bool take_digits(const char **text, uint64_t limit, uint64_t *ret_value)
{
    const char *p = *text;
    uint64_t value = 0;
    for (; isdigit((unsigned char)*p); p++) {
        uint64_t digit = (uint64_t)(*p - '0');
        if (value > (limit - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (p == *text)
        return false;
    *text = p;
    *ret_value = value;
    return true;
}

bool parse_u64(const char *text, uint64_t *ret_value)
{
    uint64_t value;
    if (!take_digits(&text, UINT64_MAX, &value) || *text)
        return false;
    *ret_value = value;
    return true;
}

bool parse_size(const char *text, uint64_t *ret_bytes)
{
    static const char units[] = "KMGT";
    uint64_t whole, tenths = 0, unit = 1;
    if (!take_digits(&text, UINT64_MAX, &whole))
        return false;
    if (text[0] == '.' && isdigit((unsigned char)text[1])) { /* one decimal, as sizes are printed */
        tenths = (uint64_t)(text[1] - '0');
        text += 2;
    }
    const char *at = *text ? strchr(units, toupper((unsigned char)*text)) : NULL;
    if (at) {
        unit = 1ull << (10 * (at - units + 1));
        text++;
        if (text[0] == 'i' && text[1] == 'B')
            text += 2;
    } else if (*text == 'B') {
        text++;
    }
    if (*text || (tenths && unit == 1) || whole > (UINT64_MAX - unit) / unit)
        return false;
    *ret_bytes = whole * unit + tenths * unit / 10;
    return true;
}

bool parse_duration_ms(const char *text, uint32_t *ret_ms)
{
    uint64_t value, unit = 1000;
    if (!take_digits(&text, UINT32_MAX, &value))
        return false;
    if (strcmp(text, "ms") == 0)
        unit = 1;
    else if (strcmp(text, "m") == 0)
        unit = 60000;
    else if (strcmp(text, "h") == 0)
        unit = 3600000;
    else if (strcmp(text, "s") != 0 && *text)
        return false;
    if (value > UINT32_MAX / unit)
        return false;
    *ret_ms = (uint32_t)(value * unit);
    return true;
}

uint64_t cli_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * US_PER_SECOND + (uint64_t)now.tv_nsec / 1000;
}

static bool parse_ago(const char *text, uint64_t now_us, uint64_t *ret_us)
{
    uint64_t value, unit;
    if (!take_digits(&text, UINT32_MAX, &value) || strlen(text) != 1)
        return false;
    switch (*text) {
    case 's': unit = 1; break;
    case 'm': unit = 60; break;
    case 'h': unit = 3600; break;
    case 'd': unit = 86400; break;
    case 'w': unit = 7 * 86400; break;
    default: return false;
    }
    uint64_t ago = value * unit * US_PER_SECOND;
    *ret_us = ago > now_us ? 0 : now_us - ago;
    return true;
}

/* Exactly `count` digits within [low, high], then move on. */
static bool take_field(const char **text, int count, int low, int high, int *ret_value)
{
    int value = 0;
    for (int i = 0; i < count; i++) {
        if (!isdigit((unsigned char)(*text)[i]))
            return false;
        value = value * 10 + ((*text)[i] - '0');
    }
    if (value < low || value > high)
        return false;
    *text += count;
    *ret_value = value;
    return true;
}

static bool take_char(const char **text, const char *any_of)
{
    if (!**text || !strchr(any_of, **text))
        return false;
    ++*text;
    return true;
}

static bool take_date(const char **text, struct tm *ret_tm)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month, day;
    if (!take_field(text, 4, 1970, 9999, &year) || !take_char(text, "-") || !take_field(text, 2, 1, 12, &month) ||
        !take_char(text, "-") || !take_field(text, 2, 1, 31, &day))
        return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (day > days[month - 1] + (month == 2 && leap ? 1 : 0))
        return false;
    ret_tm->tm_year = year - 1900;
    ret_tm->tm_mon = month - 1;
    ret_tm->tm_mday = day;
    return true;
}

/* HH:MM[:SS[.fraction]]; digits of the fraction after the sixth are cut. */
static bool take_clock(const char **text, struct tm *ret_tm, uint64_t *ret_fraction_us)
{
    if (!take_field(text, 2, 0, 23, &ret_tm->tm_hour) || !take_char(text, ":") ||
        !take_field(text, 2, 0, 59, &ret_tm->tm_min))
        return false;
    if (!take_char(text, ":"))
        return true;
    if (!take_field(text, 2, 0, 59, &ret_tm->tm_sec))
        return false;
    if (!take_char(text, "."))
        return true;
    uint64_t unit = US_PER_SECOND;
    const char *from = *text;
    for (; isdigit((unsigned char)**text); ++*text) {
        unit /= 10;
        *ret_fraction_us += unit * (uint64_t)(**text - '0');
    }
    return *text > from;
}

/* Z, nothing (UTC) or +-HH:MM. */
static bool take_zone(const char **text, int64_t *ret_offset_seconds)
{
    if (!**text || take_char(text, "Zz"))
        return true;
    int sign = **text == '-' ? -1 : 1, hours, minutes;
    if (!take_char(text, "+-") || !take_field(text, 2, 0, 23, &hours) || !take_char(text, ":") ||
        !take_field(text, 2, 0, 59, &minutes))
        return false;
    *ret_offset_seconds = sign * (hours * 3600 + minutes * 60);
    return true;
}

bool parse_time_us(const char *text, uint64_t now_us, uint64_t *ret_us)
{
    if (*text == '-')
        return parse_ago(text + 1, now_us, ret_us);
    struct tm tm = {0};
    uint64_t fraction_us = 0;
    int64_t offset = 0;
    if (!take_date(&text, &tm))
        return false;
    if (take_char(&text, "Tt ") && (!take_clock(&text, &tm, &fraction_us) || !take_zone(&text, &offset)))
        return false;
    int64_t seconds = (int64_t)timegm(&tm) - offset;
    if (*text || seconds < 0)
        return false;
    *ret_us = (uint64_t)seconds * US_PER_SECOND + fraction_us;
    return true;
}

bool cli_option_u64(const struct cli *cli, const char *name, uint64_t fallback, uint64_t *ret_value)
{
    const char *text = cli_option(cli, name);
    char object[64];
    *ret_value = fallback;
    if (!text || parse_u64(text, ret_value))
        return true;
    snprintf(object, sizeof object, "--%s", name);
    cli_usage(cli, object, text, "a whole number");
    return false;
}

bool cli_option_size(const struct cli *cli, const char *name, uint64_t fallback, uint64_t *ret_value)
{
    const char *text = cli_option(cli, name);
    char object[64];
    *ret_value = fallback;
    if (!text || parse_size(text, ret_value))
        return true;
    snprintf(object, sizeof object, "--%s", name);
    cli_usage(cli, object, text, "a size like 256M, 80G or a number of bytes");
    return false;
}
