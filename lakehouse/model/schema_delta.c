/* SPDX-License-Identifier: Apache-2.0 */
/* Delta's schemaString. */
#include "model/schema_type.h"

struct reader {
    const struct lh_json *json;
    struct lh_arena *arena;
    uint32_t fields;
};

static vde_status read_type(struct reader *reader, uint32_t token, unsigned depth, struct lh_type *ret);

static vde_status read_field(struct reader *reader, uint32_t token, unsigned depth, struct lh_field *field)
{
    const struct lh_json *json = reader->json;
    uint32_t name = lh_json_find(json, token, "name");
    uint32_t type = lh_json_find(json, token, "type");
    uint32_t metadata = lh_json_find(json, token, "metadata");
    if (lh_json_kind_of(json, name) != LH_JSON_STRING)
        return schema_bad("a field without name", "a name");
    if (type == LH_JSON_NONE)
        return schema_bad("a field without type", "a type");
    if (++reader->fields > LH_SCHEMA_FIELDS_MAX)
        return schema_bad("too many fields", "at most 100000");
    vde_status status = lh_json_string(json, name, reader->arena, &field->name);
    field->nullable = lh_json_kind_of(json, lh_json_find(json, token, "nullable")) != LH_JSON_FALSE;
    if (status == VDE_OK && lh_json_kind_of(json, metadata) == LH_JSON_OBJECT && json->tokens[metadata].count > 0) {
        field->metadata = lh_json_raw(json, metadata);
        uint32_t comment = lh_json_find(json, metadata, "comment");
        if (lh_json_kind_of(json, comment) == LH_JSON_STRING)
            status = lh_json_string(json, comment, reader->arena, &field->comment);
    }
    return status == VDE_OK ? read_type(reader, type, depth, &field->type) : status;
}

static vde_status read_struct(struct reader *reader, uint32_t token, unsigned depth, struct lh_type *ret)
{
    const struct lh_json *json = reader->json;
    uint32_t fields = lh_json_find(json, token, "fields");
    if (lh_json_kind_of(json, fields) != LH_JSON_ARRAY)
        return schema_bad("a struct without fields", "an array of fields");
    ret->kind = LH_TYPE_STRUCT;
    ret->count = json->tokens[fields].count;
    ret->fields = lh_arena_alloc(reader->arena, ret->count, sizeof *ret->fields);
    if (!ret->fields)
        return VDE_NOMEM;
    uint32_t at = fields + 1;
    for (uint32_t i = 0; i < ret->count; i++, at = json->tokens[at].next) {
        if (json->tokens[at].kind != LH_JSON_OBJECT)
            return schema_bad("a field that is no object", "an object");
        vde_status status = read_field(reader, at, depth + 1, &ret->fields[i]);
        if (status != VDE_OK)
            return status;
    }
    return VDE_OK;
}

static vde_status read_inner(struct reader *reader, uint32_t object, const char *type_key, const char *null_key,
                             unsigned depth, struct lh_field *field)
{
    uint32_t type = lh_json_find(reader->json, object, type_key);
    if (type == LH_JSON_NONE)
        return schema_bad("an array or map without its inner type", type_key);
    field->nullable =
        null_key && lh_json_kind_of(reader->json, lh_json_find(reader->json, object, null_key)) != LH_JSON_FALSE;
    return read_type(reader, type, depth, &field->type);
}

static vde_status read_collection(struct reader *reader, uint32_t token, bool map, unsigned depth, struct lh_type *ret)
{
    ret->kind = map ? LH_TYPE_MAP : LH_TYPE_ARRAY;
    ret->count = map ? 2 : 1;
    ret->fields = lh_arena_alloc(reader->arena, ret->count, sizeof *ret->fields);
    if (!ret->fields)
        return VDE_NOMEM;
    if (!map) {
        ret->fields[0].name = LH_SLICE("element");
        return read_inner(reader, token, "elementType", "containsNull", depth + 1, &ret->fields[0]);
    }
    ret->fields[0].name = LH_SLICE("key");
    ret->fields[1].name = LH_SLICE("value");
    vde_status status = read_inner(reader, token, "keyType", NULL, depth + 1, &ret->fields[0]);
    return status == VDE_OK ? read_inner(reader, token, "valueType", "valueContainsNull", depth + 1, &ret->fields[1])
                            : status;
}

static vde_status read_type(struct reader *reader, uint32_t token, unsigned depth, struct lh_type *ret)
{
    const struct lh_json *json = reader->json;
    struct lh_slice name;
    if (depth > LH_SCHEMA_DEPTH_MAX)
        return schema_too_deep();
    if (lh_json_kind_of(json, token) == LH_JSON_STRING) {
        vde_status status = lh_json_string(json, token, reader->arena, &name);
        if (status == VDE_OK)
            *ret = schema_delta_primitive(name);
        return status;
    }
    uint32_t tag = lh_json_find(json, token, "type");
    if (lh_json_kind_of(json, tag) != LH_JSON_STRING)
        return schema_bad("a type that is neither a name nor an object with one", "a type");
    if (lh_json_string_is(json, tag, "struct"))
        return read_struct(reader, token, depth, ret);
    if (lh_json_string_is(json, tag, "array") || lh_json_string_is(json, tag, "map"))
        return read_collection(reader, token, lh_json_string_is(json, tag, "map"), depth, ret);
    vde_status status = lh_json_string(json, tag, reader->arena, &name);
    if (status == VDE_OK && schema_delta_primitive(name).kind != LH_TYPE_UNKNOWN)
        return schema_bad("an object as a primitive type", "its name alone");
    *ret = (struct lh_type){.kind = LH_TYPE_UNKNOWN, .name = name};
    return status;
}

vde_status lh_schema_parse_delta(struct lh_arena *arena, struct lh_slice text, struct lh_schema *ret_schema)
{
    *ret_schema = (struct lh_schema){.root = {.kind = LH_TYPE_STRUCT}, .form = LH_FORM_DELTA};
    if (text.size == 0)
        return VDE_OK;
    struct lh_json json = LH_JSON_INIT;
    struct lh_slice copy;
    vde_status status = lh_arena_copy(arena, text, &copy);
    if (status == VDE_OK)
        status = lh_json_parse(&json, copy.data, copy.size);
    struct reader reader = {&json, arena, 0};
    /* Early writers stored an empty table's schema as {}. */
    if (status == VDE_OK && !(json.tokens[0].kind == LH_JSON_OBJECT && json.tokens[0].count == 0)) {
        if (!lh_json_string_is(&json, lh_json_find(&json, 0, "type"), "struct"))
            status = schema_bad("no struct", "a struct as the outermost type");
        else
            status = read_struct(&reader, 0, 0, &ret_schema->root);
    }
    lh_json_done(&json);
    return status;
}

/* --- printing --------------------------------------------------------------------------------------------------- */

static vde_status print_type(const struct lh_type *type, const struct lh_field *column, struct lh_buffer *out);

static vde_status lacks(const struct lh_field *column)
{
    int size = column && column->name.size <= 200 ? (int)column->name.size : 0;
    return vde_error_text(VDE_UNSUPPORTED, "schema", "column %.*s has a type that Delta Lake lacks", size,
                          column && column->name.data ? column->name.data : "");
}

static vde_status print_field(const struct lh_field *field, const struct lh_field *column, struct lh_buffer *out)
{
    lh_buffer_text(out, "{\"name\":");
    lh_json_print_string(out, field->name);
    lh_buffer_text(out, ",\"type\":");
    vde_status status = print_type(&field->type, column, out);
    lh_buffer_text(out, field->nullable ? ",\"nullable\":true,\"metadata\":" : ",\"nullable\":false,\"metadata\":");
    if (field->metadata.size > 0) {
        lh_buffer_slice(out, field->metadata);
    } else if (field->comment.data) {
        lh_buffer_text(out, "{\"comment\":");
        lh_json_print_string(out, field->comment);
        lh_buffer_byte(out, '}');
    } else {
        lh_buffer_text(out, "{}");
    }
    lh_buffer_byte(out, '}');
    return status;
}

static vde_status print_struct(const struct lh_type *type, const struct lh_field *column, struct lh_buffer *out)
{
    vde_status status = VDE_OK;
    lh_buffer_text(out, "{\"type\":\"struct\",\"fields\":[");
    for (uint32_t i = 0; i < type->count && status == VDE_OK; i++) {
        if (i > 0)
            lh_buffer_byte(out, ',');
        status = print_field(&type->fields[i], column ? column : &type->fields[i], out);
    }
    lh_buffer_text(out, "]}");
    return status;
}

static vde_status print_type(const struct lh_type *type, const struct lh_field *column, struct lh_buffer *out)
{
    vde_status status;
    switch (type->kind) {
    case LH_TYPE_STRUCT:
        return print_struct(type, column, out);
    case LH_TYPE_ARRAY:
        lh_buffer_text(out, "{\"type\":\"array\",\"elementType\":");
        status = print_type(&type->fields[0].type, column, out);
        lh_buffer_text(out, type->fields[0].nullable ? ",\"containsNull\":true}" : ",\"containsNull\":false}");
        return status;
    case LH_TYPE_MAP:
        lh_buffer_text(out, "{\"type\":\"map\",\"keyType\":");
        status = print_type(&type->fields[0].type, column, out);
        lh_buffer_text(out, ",\"valueType\":");
        if (status == VDE_OK)
            status = print_type(&type->fields[1].type, column, out);
        lh_buffer_text(out, type->fields[1].nullable ? ",\"valueContainsNull\":true}" : ",\"valueContainsNull\":false}");
        return status;
    case LH_TYPE_UNKNOWN:
        lh_json_print_string(out, type->name);
        return VDE_OK;
    default:
        break;
    }
    const struct type_names *known = schema_type_names(type->kind);
    if (!known || !known->delta)
        return lacks(column);
    lh_buffer_byte(out, '"');
    lh_buffer_text(out, known->delta);
    if (type->kind == LH_TYPE_DECIMAL) {
        lh_buffer_byte(out, '(');
        lh_buffer_int(out, type->precision);
        lh_buffer_byte(out, ',');
        lh_buffer_int(out, type->scale);
        lh_buffer_byte(out, ')');
    }
    lh_buffer_byte(out, '"');
    return VDE_OK;
}

vde_status lh_schema_print_delta(const struct lh_schema *schema, struct lh_buffer *out)
{
    vde_status status = print_struct(&schema->root, NULL, out);
    return status == VDE_OK ? lh_buffer_status(out) : status;
}

/* --- inheriting metadata ---------------------------------------------------------------------------------------- */

/* `metadata` with its comment replaced. */
static vde_status with_comment(struct lh_arena *arena, struct lh_slice metadata, struct lh_slice comment,
                               struct lh_slice *ret)
{
    struct lh_json json = LH_JSON_INIT;
    struct lh_buffer out = LH_BUFFER_INIT;
    vde_status status = lh_json_parse(&json, metadata.data, metadata.size);
    if (status == VDE_OK) {
        lh_buffer_text(&out, "{\"comment\":");
        lh_json_print_string(&out, comment);
        for (uint32_t at = 1; at < json.tokens[0].next; at = json.tokens[at + 1].next) {
            if (lh_json_string_is(&json, at, "comment"))
                continue;
            lh_buffer_byte(&out, ',');
            lh_buffer_slice(&out, lh_json_raw(&json, at));
            lh_buffer_byte(&out, ':');
            lh_buffer_slice(&out, lh_json_raw(&json, at + 1));
        }
        lh_buffer_byte(&out, '}');
        status = lh_buffer_status(&out);
    }
    if (status == VDE_OK)
        status = lh_arena_copy(arena, (struct lh_slice){out.data, out.size}, ret);
    lh_json_done(&json);
    lh_buffer_done(&out);
    return status;
}

static vde_status inherit_field(struct lh_arena *arena, struct lh_field *next, const struct lh_field *old)
{
    bool same = !next->comment.data || (old->comment.data && lh_slice_equal(next->comment, old->comment));
    if (!next->comment.data)
        next->comment = old->comment;
    if (next->metadata.size > 0 || old->metadata.size == 0)
        return VDE_OK;
    if (!same)
        return with_comment(arena, old->metadata, next->comment, &next->metadata);
    next->metadata = old->metadata;
    return VDE_OK;
}

static vde_status inherit(struct lh_arena *arena, struct lh_type *next, const struct lh_type *old)
{
    for (uint32_t i = 0; i < next->count; i++) {
        struct lh_field *field = &next->fields[i];
        const struct lh_field *match = lh_type_field(old, field->name, i);
        if (!match)
            continue;
        vde_status status = inherit_field(arena, field, match);
        if (status == VDE_OK && field->type.kind == match->type.kind)
            status = inherit(arena, &field->type, &match->type);
        if (status != VDE_OK)
            return status;
    }
    return VDE_OK;
}

vde_status lh_schema_inherit(struct lh_arena *arena, struct lh_schema *next, const struct lh_schema *old)
{
    if (next->identifier_ids.size == 0)
        next->identifier_ids = old->identifier_ids;
    return inherit(arena, &next->root, &old->root);
}
