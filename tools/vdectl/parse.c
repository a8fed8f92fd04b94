/* SPDX-License-Identifier: Apache-2.0 */
/* parse.c -- numbers, sizes and durations as people write them. All strict: the whole text or nothing. */
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
