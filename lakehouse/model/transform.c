/* SPDX-License-Identifier: Apache-2.0 */
#include "model/transform.h"

#include "model/time.h"

#define US_PER_HOUR 3600000000ll
#define US_PER_DAY (24 * US_PER_HOUR)

static const struct {
    const char *name;        /* in metadata */
    const char *plural;      /* as Spark's DDL writes it; NULL: the same */
    bool argument;
} names[] = {
    [LH_TRANSFORM_IDENTITY] = {"identity", NULL, false}, [LH_TRANSFORM_YEAR] = {"year", "years", false},
    [LH_TRANSFORM_MONTH] = {"month", "months", false},   [LH_TRANSFORM_DAY] = {"day", "days", false},
    [LH_TRANSFORM_HOUR] = {"hour", "hours", false},      [LH_TRANSFORM_BUCKET] = {"bucket", NULL, true},
    [LH_TRANSFORM_TRUNCATE] = {"truncate", NULL, true},  [LH_TRANSFORM_VOID] = {"void", NULL, false},
};
#define NAME_COUNT (sizeof names / sizeof names[0])

/* --- texts -------------------------------------------------------------------------------------------------------- */
static vde_status unknown(struct lh_slice text)
{
    return vde_error_text(VDE_INVAL, "partition transform", "%.*s is none of identity, year, month, day, hour, bucket[N], "
                          "truncate[W] and void", (int)(text.size < 100 ? text.size : 100), text.data ? text.data : "");
}

static bool parse_argument(struct lh_slice text, int32_t *ret)
{
    int64_t number;
    if (!lh_json_int64_text(text, &number) || number < 1 || number > INT32_MAX)
        return false;
    *ret = (int32_t)number;
    return true;
}

static bool find_kind(struct lh_slice name, bool plural_too, enum lh_transform_kind *ret)
{
    for (size_t i = 0; i < NAME_COUNT; i++)
        if (lh_slice_is(name, names[i].name) || (plural_too && names[i].plural && lh_slice_is(name, names[i].plural))) {
            *ret = (enum lh_transform_kind)i;
            return true;
        }
    return false;
}

vde_status lh_transform_parse(struct lh_slice text, struct lh_transform *ret_transform)
{
    const char *bracket = text.size ? memchr(text.data, '[', text.size) : NULL;
    struct lh_slice name = {text.data, bracket ? (size_t)(bracket - text.data) : text.size};
    *ret_transform = (struct lh_transform){LH_TRANSFORM_IDENTITY, 0};
    if (!find_kind(name, false, &ret_transform->kind) || names[ret_transform->kind].argument != (bracket != NULL))
        return unknown(text);
    if (!bracket)
        return VDE_OK;
    struct lh_slice inner = {bracket + 1, text.size - name.size - 1};
    if (inner.size < 2 || inner.data[inner.size - 1] != ']')
        return unknown(text);
    inner.size--;
    return parse_argument(inner, &ret_transform->argument) ? VDE_OK : unknown(text);
}

void lh_transform_print(const struct lh_transform *transform, struct lh_buffer *out)
{
    lh_buffer_text(out, names[transform->kind].name);
    if (!names[transform->kind].argument)
        return;
    lh_buffer_byte(out, '[');
    lh_buffer_int(out, transform->argument);
    lh_buffer_byte(out, ']');
}

bool lh_transform_equal(const struct lh_transform *a, const struct lh_transform *b)
{
    return a->kind == b->kind && a->argument == b->argument;
}

static struct lh_slice trimmed(struct lh_slice text)
{
    while (text.size && text.data[0] == ' ') {
        text.data++;
        text.size--;
    }
    while (text.size && text.data[text.size - 1] == ' ')
        text.size--;
    return text;
}

vde_status lh_transform_parse_term(struct lh_slice text, struct lh_transform *ret_transform, struct lh_slice *ret_column)
{
    text = trimmed(text);
    *ret_transform = (struct lh_transform){LH_TRANSFORM_IDENTITY, 0};
    *ret_column = text;
    const char *open = text.size ? memchr(text.data, '(', text.size) : NULL;
    if (!open || text.data[text.size - 1] != ')')
        return text.size ? VDE_OK : unknown(text);
    struct lh_slice name = trimmed((struct lh_slice){text.data, (size_t)(open - text.data)});
    struct lh_slice inner = trimmed((struct lh_slice){open + 1, (size_t)(text.data + text.size - open) - 2});
    if (!find_kind(name, true, &ret_transform->kind))
        return unknown(text);
    if (names[ret_transform->kind].argument) {
        const char *comma = inner.size ? memchr(inner.data, ',', inner.size) : NULL;
        if (!comma)
            return unknown(text);
        struct lh_slice number = trimmed((struct lh_slice){inner.data, (size_t)(comma - inner.data)});
        if (!parse_argument(number, &ret_transform->argument))
            return unknown(text);
        inner = trimmed((struct lh_slice){comma + 1, (size_t)(inner.data + inner.size - comma) - 1});
    }
    *ret_column = inner;
    return inner.size ? VDE_OK : unknown(text);
}

/* --- types -------------------------------------------------------------------------------------------------------- */
static bool is_timestamp(enum lh_type_kind kind) { return kind == LH_TYPE_TIMESTAMP || kind == LH_TYPE_TIMESTAMP_NTZ; }

static bool is_integer(enum lh_type_kind kind) { return kind >= LH_TYPE_BYTE && kind <= LH_TYPE_LONG; }

static bool applies(enum lh_transform_kind transform, enum lh_type_kind kind)
{
    switch (transform) {
    case LH_TRANSFORM_YEAR:
    case LH_TRANSFORM_MONTH:
    case LH_TRANSFORM_DAY:
        return kind == LH_TYPE_DATE || is_timestamp(kind);
    case LH_TRANSFORM_HOUR:
        return is_timestamp(kind);
    case LH_TRANSFORM_BUCKET:
        return kind != LH_TYPE_BOOLEAN && kind != LH_TYPE_FLOAT && kind != LH_TYPE_DOUBLE;
    case LH_TRANSFORM_TRUNCATE:
        return is_integer(kind) || kind == LH_TYPE_DECIMAL || kind == LH_TYPE_STRING || kind == LH_TYPE_BINARY;
    case LH_TRANSFORM_IDENTITY:
    case LH_TRANSFORM_VOID:
        break;
    }
    return true;
}

vde_status lh_transform_result(const struct lh_transform *transform, const struct lh_type *source, struct lh_type *ret_type)
{
    bool primitive = source->kind > LH_TYPE_UNKNOWN && source->kind < LH_TYPE_STRUCT;
    if (!primitive || !applies(transform->kind, source->kind))
        return vde_error_text(VDE_INVAL, "partition transform", "%s does not apply to columns of this type",
                              names[transform->kind].name);
    switch (transform->kind) {
    case LH_TRANSFORM_YEAR:
    case LH_TRANSFORM_MONTH:
    case LH_TRANSFORM_HOUR:
    case LH_TRANSFORM_BUCKET:
        *ret_type = (struct lh_type){.kind = LH_TYPE_INT};
        break;
    case LH_TRANSFORM_DAY:
        *ret_type = (struct lh_type){.kind = LH_TYPE_DATE};
        break;
    case LH_TRANSFORM_IDENTITY:
    case LH_TRANSFORM_TRUNCATE:
    case LH_TRANSFORM_VOID:
        *ret_type = *source;
        break;
    }
    return VDE_OK;
}

/* --- the hash ----------------------------------------------------------------------------------------------------- */
static uint32_t rotate(uint32_t x, unsigned bits) { return x << bits | x >> (32 - bits); }

static uint32_t mixed(uint32_t word) { return rotate(word * 0xcc9e2d51u, 15) * 0x1b873593u; }

static int32_t murmur3(const void *data, size_t size)
{
    const uint8_t *p = data;
    uint32_t hash = 0, tail = 0;
    size_t whole = size / 4 * 4;
    for (size_t i = 0; i < whole; i += 4) {
        hash ^= mixed(p[i] | (uint32_t)p[i + 1] << 8 | (uint32_t)p[i + 2] << 16 | (uint32_t)p[i + 3] << 24);
        hash = rotate(hash, 13) * 5 + 0xe6546b64u;
    }
    for (size_t i = whole; i < size; i++)
        tail |= (uint32_t)p[i] << (8 * (i - whole));
    if (size > whole)
        hash ^= mixed(tail);
    hash ^= (uint32_t)size;
    hash = (hash ^ hash >> 16) * 0x85ebca6bu;
    hash = (hash ^ hash >> 13) * 0xc2b2ae35u;
    return (int32_t)(hash ^ hash >> 16);
}

static int32_t hash_number(int64_t number)
{
    uint8_t bytes[8];
    for (unsigned i = 0; i < 8; i++)
        bytes[i] = (uint8_t)((uint64_t)number >> (8 * i));
    return murmur3(bytes, sizeof bytes);
}

/* Big-endian, without leading bytes that only repeat the sign. */
static int32_t hash_decimal(lh_int128 unscaled)
{
    uint8_t bytes[16];
    size_t skip = 0;
    for (unsigned i = 0; i < 16; i++)
        bytes[15 - i] = (uint8_t)(unscaled >> (8 * i));
    uint8_t sign = unscaled < 0 ? 0xff : 0;
    while (skip < 15 && bytes[skip] == sign && (bytes[skip + 1] & 0x80) == (sign & 0x80))
        skip++;
    return murmur3(bytes + skip, sizeof bytes - skip);
}

int32_t lh_bucket_hash(const struct lh_type *type, const struct lh_value *value)
{
    switch (type->kind) {
    case LH_TYPE_DECIMAL:
        return hash_decimal(value->unscaled);
    case LH_TYPE_STRING:
    case LH_TYPE_BINARY:
    case LH_TYPE_FIXED:
    case LH_TYPE_UUID:
        return murmur3(value->bytes.data, value->bytes.size);
    default:
        return hash_number(value->number);
    }
}

/* --- values ------------------------------------------------------------------------------------------------------- */
static int64_t floor_divide(int64_t number, int64_t by) { return number / by - (number % by < 0); }

static int64_t months_of(const struct lh_type *source, int64_t number)
{
    int64_t year;
    unsigned month, day;
    lh_civil_from_days(source->kind == LH_TYPE_DATE ? number : floor_divide(number, US_PER_DAY), &year, &month, &day);
    return (year - 1970) * 12 + (int64_t)month - 1;
}

/* Below the least number it wraps within the type, as Java's does. */
static int64_t truncate_number(enum lh_type_kind kind, int64_t number, int64_t width)
{
    int64_t rest = number % width;
    int64_t result = (int64_t)((uint64_t)number - (uint64_t)(rest < 0 ? rest + width : rest));
    return kind == LH_TYPE_LONG ? result : (int64_t)(int32_t)(uint32_t)(uint64_t)result;
}

static struct lh_slice first_code_points(struct lh_slice text, int32_t count)
{
    size_t at = 0;
    for (; at < text.size; at++)
        if (((unsigned char)text.data[at] & 0xc0) != 0x80 && count-- == 0)
            break;
    return (struct lh_slice){text.data, at};
}

static void truncate_value(const struct lh_type *source, int32_t width, struct lh_value *value)
{
    lh_int128 rest;
    switch (source->kind) {
    case LH_TYPE_STRING:
        value->bytes = first_code_points(value->bytes, width);
        break;
    case LH_TYPE_BINARY:
        value->bytes.size = value->bytes.size < (size_t)width ? value->bytes.size : (size_t)width;
        break;
    case LH_TYPE_DECIMAL:
        rest = value->unscaled % width;
        value->unscaled -= rest < 0 ? rest + width : rest;
        break;
    default:
        value->number = truncate_number(source->kind, value->number, width);
        break;
    }
}

struct lh_value lh_transform_apply(const struct lh_transform *transform, const struct lh_type *source,
                                   const struct lh_value *value)
{
    struct lh_value result = *value;
    if (value->null)
        return (struct lh_value){.null = true};
    switch (transform->kind) {
    case LH_TRANSFORM_IDENTITY:
        break;
    case LH_TRANSFORM_YEAR:
        result.number = floor_divide(months_of(source, value->number), 12);
        break;
    case LH_TRANSFORM_MONTH:
        result.number = months_of(source, value->number);
        break;
    case LH_TRANSFORM_DAY:
        result.number = source->kind == LH_TYPE_DATE ? value->number : floor_divide(value->number, US_PER_DAY);
        break;
    case LH_TRANSFORM_HOUR:
        result.number = floor_divide(value->number, US_PER_HOUR);
        break;
    case LH_TRANSFORM_BUCKET:
        result = (struct lh_value){.number = (lh_bucket_hash(source, value) & INT32_MAX) % transform->argument};
        break;
    case LH_TRANSFORM_TRUNCATE:
        truncate_value(source, transform->argument, &result);
        break;
    case LH_TRANSFORM_VOID:
        return (struct lh_value){.null = true};
    }
    return result;
}
