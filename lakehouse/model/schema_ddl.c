/* SPDX-License-Identifier: Apache-2.0 */
/* Columns as people write them: `id BIGINT NOT NULL, day DATE COMMENT 'x'`. */
#include "model/schema_type.h"

#include <strings.h>

struct ddl {
    const char *at;
    const char *end;
    const char *start;
    struct lh_arena *arena;
    uint32_t fields;
};

static vde_status bad_ddl(const struct ddl *ddl, const char *expected)
{
    return vde_error_text(VDE_INVAL, "schema", "at character %zu: expected %s", (size_t)(ddl->at - ddl->start) + 1,
                          expected);
}

static void skip_blank(struct ddl *ddl)
{
    while (ddl->at < ddl->end && (*ddl->at == ' ' || *ddl->at == '\t' || *ddl->at == '\n' || *ddl->at == '\r'))
        ddl->at++;
}

static bool take(struct ddl *ddl, char c)
{
    skip_blank(ddl);
    if (ddl->at == ddl->end || *ddl->at != c)
        return false;
    ddl->at++;
    return true;
}

static bool word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || (uint8_t)c >= 0x80;
}

static struct lh_slice peek_word(struct ddl *ddl)
{
    skip_blank(ddl);
    const char *at = ddl->at;
    while (at < ddl->end && word_byte(*at))
        at++;
    return (struct lh_slice){ddl->at, (size_t)(at - ddl->at)};
}

static bool word_is(struct lh_slice word, const char *text)
{
    return word.size == strlen(text) && strncasecmp(word.data, text, word.size) == 0;
}

static bool take_word(struct ddl *ddl, const char *text)
{
    struct lh_slice word = peek_word(ddl);
    if (!word_is(word, text))
        return false;
    ddl->at += word.size;
    return true;
}

/* Text between `quote`s, a doubled quote standing for one. At the opening quote. */
static vde_status quoted(struct ddl *ddl, char quote, struct lh_slice *ret)
{
    char *text = lh_arena_alloc(ddl->arena, 1, (size_t)(ddl->end - ddl->at));
    if (!text)
        return VDE_NOMEM;
    size_t size = 0;
    for (ddl->at++;; ddl->at++) {
        if (ddl->at == ddl->end)
            return bad_ddl(ddl, "a closing quote");
        if (*ddl->at == quote) {
            ddl->at++;
            if (ddl->at == ddl->end || *ddl->at != quote)
                break;
        }
        text[size++] = *ddl->at;
    }
    *ret = (struct lh_slice){text, size};
    return VDE_OK;
}

static vde_status column_name(struct ddl *ddl, struct lh_slice *ret)
{
    skip_blank(ddl);
    if (ddl->at < ddl->end && *ddl->at == '`') {
        vde_status status = quoted(ddl, '`', ret);
        return status == VDE_OK && ret->size == 0 ? bad_ddl(ddl, "a column name") : status;
    }
    *ret = peek_word(ddl);
    ddl->at += ret->size;
    return ret->size == 0 ? bad_ddl(ddl, "a column name") : VDE_OK;
}

static const struct {
    const char *word;
    enum lh_type_kind kind;
} words[] = {
    {"BOOLEAN", LH_TYPE_BOOLEAN}, {"BOOL", LH_TYPE_BOOLEAN},
    {"TINYINT", LH_TYPE_BYTE}, {"BYTE", LH_TYPE_BYTE}, {"INT8", LH_TYPE_BYTE},
    {"SMALLINT", LH_TYPE_SHORT}, {"SHORT", LH_TYPE_SHORT}, {"INT16", LH_TYPE_SHORT},
    {"INT", LH_TYPE_INT}, {"INTEGER", LH_TYPE_INT}, {"INT32", LH_TYPE_INT},
    {"BIGINT", LH_TYPE_LONG}, {"LONG", LH_TYPE_LONG}, {"INT64", LH_TYPE_LONG},
    {"FLOAT", LH_TYPE_FLOAT}, {"REAL", LH_TYPE_FLOAT}, {"DOUBLE", LH_TYPE_DOUBLE},
    {"STRING", LH_TYPE_STRING}, {"TEXT", LH_TYPE_STRING}, {"BINARY", LH_TYPE_BINARY}, {"DATE", LH_TYPE_DATE},
    {"TIMESTAMP", LH_TYPE_TIMESTAMP}, {"TIMESTAMP_MILLIS", LH_TYPE_TIMESTAMP}, {"TIMESTAMPTZ", LH_TYPE_TIMESTAMP},
    {"TIMESTAMP_LTZ", LH_TYPE_TIMESTAMP}, {"TIMESTAMP_NTZ", LH_TYPE_TIMESTAMP_NTZ},
    {"TIME", LH_TYPE_TIME}, {"UUID", LH_TYPE_UUID},
};

static vde_status read_type(struct ddl *ddl, unsigned depth, struct lh_type *ret);

static bool arguments(struct ddl *ddl, int32_t *first, int32_t *second, bool two)
{
    skip_blank(ddl);
    const char *from = ddl->at;
    while (ddl->at < ddl->end && *ddl->at != ')' && *ddl->at != ']')
        ddl->at++;
    if (ddl->at < ddl->end)
        ddl->at++;
    struct lh_slice text = {from, (size_t)(ddl->at - from)};
    return schema_type_arguments(text, "", first, second, two ? 2 : 1);
}

static vde_status read_decimal(struct ddl *ddl, struct lh_type *ret)
{
    *ret = (struct lh_type){.kind = LH_TYPE_DECIMAL, .precision = 10};
    skip_blank(ddl);
    if (ddl->at < ddl->end && *ddl->at == '(') {
        const char *from = ddl->at;
        bool one = arguments(ddl, &ret->precision, &ret->scale, false);
        if (!one) {
            ddl->at = from;
            if (!arguments(ddl, &ret->precision, &ret->scale, true))
                return bad_ddl(ddl, "DECIMAL(precision, scale)");
        }
    }
    return schema_decimal_valid(ret->precision, ret->scale) ? VDE_OK
                                                            : bad_ddl(ddl, "a precision of 1 to 38 and a scale up to it");
}

static vde_status read_suffix(struct ddl *ddl, struct lh_field *field)
{
    field->nullable = true;
    for (;;) {
        if (take_word(ddl, "NOT")) {
            if (!take_word(ddl, "NULL"))
                return bad_ddl(ddl, "NULL after NOT");
            field->nullable = false;
        } else if (take_word(ddl, "COMMENT")) {
            skip_blank(ddl);
            if (ddl->at == ddl->end || *ddl->at != '\'')
                return bad_ddl(ddl, "a quoted comment");
            vde_status status = quoted(ddl, '\'', &field->comment);
            if (status != VDE_OK)
                return status;
        } else if (!take_word(ddl, "NULL")) {
            return VDE_OK;
        }
    }
}

/* Columns up to `closer` ('\0': the end of the text). */
static vde_status read_columns(struct ddl *ddl, char closer, unsigned depth, struct lh_type *ret)
{
    uint32_t capacity = 8;
    *ret = (struct lh_type){.kind = LH_TYPE_STRUCT};
    ret->fields = lh_arena_alloc(ddl->arena, capacity, sizeof *ret->fields);
    if (!ret->fields)
        return VDE_NOMEM;
    do {
        if (++ddl->fields > LH_SCHEMA_FIELDS_MAX)
            return bad_ddl(ddl, "at most 100000 columns");
        if (ret->count == capacity) {
            capacity *= 2;
            struct lh_field *more = lh_arena_alloc(ddl->arena, capacity, sizeof *more);
            if (!more)
                return VDE_NOMEM;
            memcpy(more, ret->fields, ret->count * sizeof *more);
            ret->fields = more;
        }
        struct lh_field *field = &ret->fields[ret->count++];
        vde_status status = column_name(ddl, &field->name);
        if (status == VDE_OK && closer)
            take(ddl, ':');
        if (status == VDE_OK)
            status = read_type(ddl, depth + 1, &field->type);
        if (status == VDE_OK)
            status = read_suffix(ddl, field);
        if (status != VDE_OK)
            return status;
    } while (take(ddl, ','));
    if (closer)
        return take(ddl, closer) ? VDE_OK : bad_ddl(ddl, "',' or '>'");
    skip_blank(ddl);
    return ddl->at == ddl->end ? VDE_OK : bad_ddl(ddl, "',', NOT NULL, COMMENT or the end");
}

static vde_status read_inner(struct ddl *ddl, unsigned depth, const char *name, struct lh_field *field)
{
    field->name = lh_slice_of(name);
    vde_status status = read_type(ddl, depth + 1, &field->type);
    return status == VDE_OK ? read_suffix(ddl, field) : status;
}

static vde_status read_collection(struct ddl *ddl, bool map, unsigned depth, struct lh_type *ret)
{
    *ret = (struct lh_type){.kind = map ? LH_TYPE_MAP : LH_TYPE_ARRAY, .count = map ? 2 : 1};
    ret->fields = lh_arena_alloc(ddl->arena, ret->count, sizeof *ret->fields);
    if (!ret->fields)
        return VDE_NOMEM;
    vde_status status = read_inner(ddl, depth, map ? "key" : "element", &ret->fields[0]);
    if (map && status == VDE_OK) {
        ret->fields[0].nullable = false;
        status = take(ddl, ',') ? read_inner(ddl, depth, "value", &ret->fields[1]) : bad_ddl(ddl, "','");
    }
    if (status == VDE_OK && !take(ddl, '>'))
        status = bad_ddl(ddl, "'>'");
    return status;
}

static vde_status read_type(struct ddl *ddl, unsigned depth, struct lh_type *ret)
{
    if (depth > LH_SCHEMA_DEPTH_MAX)
        return schema_too_deep();
    struct lh_slice word = peek_word(ddl);
    if (word.size == 0)
        return bad_ddl(ddl, "a type");
    const char *from = ddl->at;
    ddl->at += word.size;
    *ret = (struct lh_type){0};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (word_is(word, words[i].word)) {
            ret->kind = words[i].kind;
            return VDE_OK;
        }
    }
    if (word_is(word, "DECIMAL") || word_is(word, "DEC") || word_is(word, "NUMERIC"))
        return read_decimal(ddl, ret);
    if (word_is(word, "FIXED")) {
        ret->kind = LH_TYPE_FIXED;
        return arguments(ddl, &ret->precision, &ret->scale, false) && ret->precision > 0 ? VDE_OK
                                                                                         : bad_ddl(ddl, "FIXED(length)");
    }
    bool nested = word_is(word, "STRUCT") || word_is(word, "ARRAY") || word_is(word, "LIST") || word_is(word, "MAP");
    if (nested && !take(ddl, '<'))
        return bad_ddl(ddl, "'<'");
    if (word_is(word, "STRUCT"))
        return read_columns(ddl, '>', depth, ret);
    if (nested)
        return read_collection(ddl, word_is(word, "MAP"), depth, ret);
    ddl->at = from;
    return bad_ddl(ddl, "a type such as BIGINT, STRING, DECIMAL(10,2), ARRAY<INT>");
}

vde_status lh_schema_parse_ddl(struct lh_arena *arena, struct lh_slice text, struct lh_schema *ret_schema)
{
    struct lh_slice copy;
    *ret_schema = (struct lh_schema){.root = {.kind = LH_TYPE_STRUCT}};
    if (!lh_utf8_valid(text) || (text.size && memchr(text.data, '\0', text.size)))
        return schema_bad("bytes that are no UTF-8 text", "UTF-8");
    vde_status status = lh_arena_copy(arena, text, &copy);
    if (status != VDE_OK)
        return status;
    struct ddl ddl = {.at = copy.data, .end = copy.data + copy.size, .start = copy.data, .arena = arena};
    skip_blank(&ddl);
    if (ddl.at == ddl.end)
        return VDE_OK;
    status = read_columns(&ddl, '\0', 0, &ret_schema->root);
    return status == VDE_OK ? schema_check_names(&ret_schema->root, 0) : status;
}

vde_status lh_schema_parse_any(struct lh_arena *arena, struct lh_slice text, struct lh_schema *ret_schema)
{
    size_t at = 0;
    while (at < text.size && strchr(" \t\r\n", text.data[at]) && text.data[at])
        at++;
    if (at == text.size || text.data[at] != '{')
        return lh_schema_parse_ddl(arena, text, ret_schema);
    /* Iceberg numbers its fields, Delta never does outside of field metadata. */
    struct lh_json json = LH_JSON_INIT;
    vde_status status = lh_json_parse(&json, text.data, text.size);
    bool iceberg = false;
    if (status == VDE_OK) {
        uint32_t first = lh_json_first(&json, lh_json_find(&json, 0, "fields"));
        iceberg = lh_json_find(&json, 0, "schema-id") != LH_JSON_NONE || lh_json_find(&json, first, "id") != LH_JSON_NONE;
    }
    lh_json_done(&json);
    if (status != VDE_OK)
        return status;
    status = iceberg ? lh_schema_parse_iceberg(arena, text, ret_schema) : lh_schema_parse_delta(arena, text, ret_schema);
    return status == VDE_OK ? schema_check_names(&ret_schema->root, 0) : status;
}

/* --- printing --------------------------------------------------------------------------------------------------- */

static void print_quoted(struct lh_buffer *out, struct lh_slice text, char quote)
{
    lh_buffer_byte(out, quote);
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == quote)
            lh_buffer_byte(out, quote);
        lh_buffer_byte(out, text.data[i]);
    }
    lh_buffer_byte(out, quote);
}

static void print_column(const struct lh_field *field, const char *separator, struct lh_buffer *out)
{
    bool plain = field->name.size > 0;
    for (size_t i = 0; i < field->name.size; i++)
        plain = plain && word_byte(field->name.data[i]);
    if (plain)
        lh_buffer_slice(out, field->name);
    else
        print_quoted(out, field->name, '`');
    lh_buffer_text(out, separator);
    lh_type_print(&field->type, out);
    if (!field->nullable)
        lh_buffer_text(out, " NOT NULL");
    if (field->comment.data) {
        lh_buffer_text(out, " COMMENT ");
        print_quoted(out, field->comment, '\'');
    }
}

void lh_type_print(const struct lh_type *type, struct lh_buffer *out)
{
    const struct type_names *known = schema_type_names(type->kind);
    if (!known) {
        lh_buffer_slice(out, type->name);
        return;
    }
    lh_buffer_text(out, known->ddl);
    if (type->kind == LH_TYPE_DECIMAL || type->kind == LH_TYPE_FIXED) {
        lh_buffer_byte(out, '(');
        lh_buffer_int(out, type->precision);
        if (type->kind == LH_TYPE_DECIMAL) {
            lh_buffer_byte(out, ',');
            lh_buffer_int(out, type->scale);
        }
        lh_buffer_byte(out, ')');
    }
    if (type->kind < LH_TYPE_STRUCT)
        return;
    lh_buffer_byte(out, '<');
    for (uint32_t i = 0; i < type->count; i++) {
        if (i > 0)
            lh_buffer_text(out, ", ");
        if (type->kind == LH_TYPE_STRUCT) {
            print_column(&type->fields[i], ": ", out);
        } else {
            bool key = type->kind == LH_TYPE_MAP && i == 0;
            lh_type_print(&type->fields[i].type, out);
            if (!key && !type->fields[i].nullable)
                lh_buffer_text(out, " NOT NULL");
        }
    }
    lh_buffer_byte(out, '>');
}

void lh_schema_print_ddl(const struct lh_schema *schema, struct lh_buffer *out)
{
    for (uint32_t i = 0; i < schema->root.count; i++) {
        if (i > 0)
            lh_buffer_text(out, ", ");
        print_column(&schema->root.fields[i], " ", out);
    }
}
