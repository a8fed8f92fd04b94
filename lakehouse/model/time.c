/* SPDX-License-Identifier: Apache-2.0 */
#include "model/time.h"

#define US_PER_SECOND 1000000u
#define SECONDS_PER_DAY 86400

static vde_status bad_time(const char *found)
{
    return vde_error_set(VDE_INVAL, "time", found, "RFC 3339, YYYY-MM-DD[ HH:MM[:SS]], or an age such as -2h");
}

/* Proleptic Gregorian calendar; years are counted from March so that the leap day comes last. */
int64_t lh_days_from_civil(int64_t year, unsigned month, unsigned day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t shifted = month > 2 ? (int64_t)month - 3 : (int64_t)month + 9;
    int64_t day_of_year = (153 * shifted + 2) / 5 + (int64_t)day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

void lh_civil_from_days(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t day_of_era = z - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * day_of_year + 2) / 153;
    *ret_day = (unsigned)(day_of_year - (153 * shifted + 2) / 5 + 1);
    *ret_month = (unsigned)(shifted < 10 ? shifted + 3 : shifted - 9);
    *ret_year = year_of_era + era * 400 + (*ret_month <= 2 ? 1 : 0);
}

struct cursor {
    const char *at;
    const char *end;
};

static bool fixed_number(struct cursor *c, unsigned digits, unsigned *ret)
{
    unsigned number = 0;
    for (unsigned i = 0; i < digits; i++, c->at++) {
        if (c->at == c->end || *c->at < '0' || *c->at > '9')
            return false;
        number = number * 10 + (unsigned)(*c->at - '0');
    }
    *ret = number;
    return true;
}

static bool take(struct cursor *c, const char *any)
{
    if (c->at == c->end || !strchr(any, *c->at) || *c->at == '\0')
        return false;
    c->at++;
    return true;
}

static unsigned days_in_month(unsigned year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && leap ? 29 : days[month - 1];
}

static bool fraction(struct cursor *c, uint64_t *ret_us)
{
    uint64_t us = 0;
    unsigned digits = 0;
    while (c->at < c->end && *c->at >= '0' && *c->at <= '9') {
        if (digits < 6)
            us = us * 10 + (uint64_t)(*c->at - '0');
        digits++;
        c->at++;
    }
    for (unsigned i = digits; i < 6; i++)
        us *= 10;
    *ret_us = us;
    return digits > 0;
}

/* "Z", "+hh:mm", or nothing: UTC. */
static bool offset(struct cursor *c, int *ret_minutes)
{
    *ret_minutes = 0;
    if (c->at == c->end || take(c, "Zz"))
        return c->at == c->end;
    bool west = *c->at == '-';
    unsigned hours, minutes;
    if (!take(c, "+-") || !fixed_number(c, 2, &hours) || !take(c, ":") || !fixed_number(c, 2, &minutes) || hours > 23 ||
        minutes > 59)
        return false;
    *ret_minutes = (int)(hours * 60 + minutes) * (west ? -1 : 1);
    return c->at == c->end;
}

static vde_status parse_absolute(struct cursor *c, uint64_t *ret_us)
{
    unsigned year, month, day, hour = 0, minute = 0, second = 0;
    uint64_t us = 0;
    int zone = 0;
    if (!fixed_number(c, 4, &year) || !take(c, "-") || !fixed_number(c, 2, &month) || !take(c, "-") ||
        !fixed_number(c, 2, &day))
        return bad_time("no date");
    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
        return bad_time("a day that does not exist");
    if (c->at < c->end) {
        if (!take(c, "Tt ") || !fixed_number(c, 2, &hour) || !take(c, ":") || !fixed_number(c, 2, &minute))
            return bad_time("a malformed time of day");
        if (take(c, ":") && (!fixed_number(c, 2, &second) || (take(c, ".") && !fraction(c, &us))))
            return bad_time("malformed seconds");
        if (hour > 23 || minute > 59 || second > 60)
            return bad_time("a time of day that does not exist");
        if (!offset(c, &zone))
            return bad_time("a malformed offset from UTC");
    }
    int64_t seconds = lh_days_from_civil(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second -
                      zone * 60;
    if (seconds < 0)
        return bad_time("a time before 1970");
    *ret_us = (uint64_t)seconds * US_PER_SECOND + us;
    return VDE_OK;
}

static vde_status parse_age(struct cursor *c, uint64_t now_us, uint64_t *ret_us)
{
    uint64_t amount = 0;
    const char *from = c->at;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++) {
        if (__builtin_mul_overflow(amount, 10u, &amount) ||
            __builtin_add_overflow(amount, (uint64_t)(*c->at - '0'), &amount))
            return bad_time("an age beyond all bounds");
    }
    if (c->at == from || c->end - c->at != 1)
        return bad_time("a malformed age");
    static const char units[] = "smhdw";
    static const uint64_t seconds[] = {1, 60, 3600, SECONDS_PER_DAY, 7 * SECONDS_PER_DAY};
    const char *unit = *c->at ? strchr(units, *c->at) : NULL;
    if (!unit)
        return bad_time("an age in an unknown unit");
    if (__builtin_mul_overflow(amount, seconds[unit - units] * US_PER_SECOND, &amount) || amount > now_us)
        return bad_time("a time before 1970");
    *ret_us = now_us - amount;
    return VDE_OK;
}

vde_status lh_time_read(struct lh_slice text, uint64_t now_us, uint64_t *ret_us)
{
    if (text.size == 0)
        return bad_time("nothing");
    struct cursor c = {text.data, text.data + text.size};
    if (take(&c, "-"))
        return parse_age(&c, now_us, ret_us);
    return parse_absolute(&c, ret_us);
}

static char *print_fixed(char *at, uint64_t number, unsigned digits)
{
    for (unsigned i = digits; i-- > 0; number /= 10)
        at[i] = (char)('0' + number % 10);
    return at + digits;
}

void lh_time_print(uint64_t time_us, char text[LH_TIME_TEXT_SIZE])
{
    uint64_t seconds = time_us / US_PER_SECOND, us = time_us % US_PER_SECOND;
    const uint64_t last = 253402300799u;   /* 9999-12-31T23:59:59 */
    if (seconds > last)
        seconds = last;
    int64_t year;
    unsigned month, day;
    lh_civil_from_days((int64_t)(seconds / SECONDS_PER_DAY), &year, &month, &day);
    uint64_t rest = seconds % SECONDS_PER_DAY;
    char *at = print_fixed(text, (uint64_t)year, 4);
    *at++ = '-';
    at = print_fixed(at, month, 2);
    *at++ = '-';
    at = print_fixed(at, day, 2);
    *at++ = 'T';
    at = print_fixed(at, rest / 3600, 2);
    *at++ = ':';
    at = print_fixed(at, rest / 60 % 60, 2);
    *at++ = ':';
    at = print_fixed(at, rest % 60, 2);
    *at++ = '.';
    at = us % 1000 ? print_fixed(at, us, 6) : print_fixed(at, us / 1000, 3);
    *at++ = 'Z';
    *at = '\0';
}
