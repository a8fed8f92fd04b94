/* SPDX-License-Identifier: Apache-2.0 */
/* Iceberg's schema JSON. */
#include "model/schema_type.h"

struct reader {
    const struct lh_json *json;
    struct lh_arena *arena;
    uint32_t fields;
};

static vde_status read_type(struct reader *reader, uint32_t token, unsigned depth, struct lh_type *ret);

static vde_status read_id(const struct lh_json *json, uint32_t object, const char *key, int32_t *ret)
{
    int64_t id;
    if (!lh_json_int64(json, lh_json_find(json, object, key), &id) || id < 1 || id > INT32_MAX)
        return schema_bad("a field without a valid id", key);
    *ret = (int32_t)id;
    return VDE_OK;
}

static vde_status read_struct(struct reader *reader, uint32_t token, unsigned depth, struct lh_type *ret)
{
    const struct lh_json *json = reader->json;
    uint32_t fields = lh_json_find(json, token, "fields");
    if (lh_json_kind_of(json, fields) != LH_JSON_ARRAY)
        return schema_bad("a struct without fields", "an array of fields");
    ret->kind = LH_TYPE_STRUCT;
    ret->count = json->tokens[fields].count;
    reader->fields += ret->count;
    if (reader->fields > LH_SCHEMA_FIELDS_MAX)
        return schema_bad("too many fields", "at most 100000");
    ret->fields = lh_arena_alloc(reader->arena, ret->count, sizeof *ret->fields);
    if (!ret->fields)
        return VDE_NOMEM;
    uint32_t at = fields + 1;
    for (uint32_t i = 0; i < ret->count; i++, at = json->tokens[at].next) {
        struct lh_field *field = &ret->fields[i];
        uint32_t name = lh_json_find(json, at, "name"), doc = lh_json_find(json, at, "doc");
        if (lh_json_kind_of(json, name) != LH_JSON_STRING)
            return schema_bad("a field without name", "a name");
        vde_status status = lh_json_string(json, name, reader->arena, &field->name);
        if (status == VDE_OK)
            status = read_id(json, at, "id", &field->id);
        if (status == VDE_OK && lh_json_kind_of(json, doc) == LH_JSON_STRING)
            status = lh_json_string(json, doc, reader->arena, &field->comment);
        field->nullable = lh_json_kind_of(json, lh_json_find(json, at, "required")) != LH_JSON_TRUE;
        if (status == VDE_OK)
            status = read_type(reader, lh_json_find(json, at, "type"), depth + 1, &field->type);
        if (status != VDE_OK)
            return status;
    }
    return VDE_OK;
}

struct inner_keys {
    const char *name, *id, *type, *required;
};

static vde_status read_inner(struct reader *reader, uint32_t object, const struct inner_keys *keys, unsigned depth,
                             struct lh_field *field)
{
    const struct lh_json *json = reader->json;
    field->name = lh_slice_of(keys->name);
    field->nullable = keys->required && lh_json_kind_of(json, lh_json_find(json, object, keys->required)) != LH_JSON_TRUE;
    vde_status status = read_id(json, object, keys->id, &field->id);
    return status == VDE_OK ? read_type(reader, lh_json_find(json, object, keys->type), depth, &field->type) : status;
}

static const struct inner_keys element_keys = {"element", "element-id", "element", "element-required"};
static const struct inner_keys key_keys = {"key", "key-id", "key", NULL};
static const struct inner_keys value_keys = {"value", "value-id", "value", "value-required"};

static vde_status read_type(struct reader *reader, uint32_t token, unsigned depth, struct lh_type *ret)
{
    const struct lh_json *json = reader->json;
    struct lh_slice name;
    if (depth > LH_SCHEMA_DEPTH_MAX)
        return schema_too_deep();
    if (lh_json_kind_of(json, token) == LH_JSON_STRING) {
        vde_status status = lh_json_string(json, token, reader->arena, &name);
        if (status == VDE_OK)
            *ret = schema_iceberg_primitive(name);
        return status;
    }
    uint32_t tag = lh_json_find(json, token, "type");
    if (lh_json_string_is(json, tag, "struct"))
        return read_struct(reader, token, depth, ret);
    bool map = lh_json_string_is(json, tag, "map");
    if (!map && !lh_json_string_is(json, tag, "list"))
        return schema_bad("an unknown nested type", "struct, list or map");
    ret->kind = map ? LH_TYPE_MAP : LH_TYPE_ARRAY;
    ret->count = map ? 2 : 1;
    ret->fields = lh_arena_alloc(reader->arena, ret->count, sizeof *ret->fields);
    if (!ret->fields)
        return VDE_NOMEM;
    vde_status status = read_inner(reader, token, map ? &key_keys : &element_keys, depth + 1, &ret->fields[0]);
    return map && status == VDE_OK ? read_inner(reader, token, &value_keys, depth + 1, &ret->fields[1]) : status;
}

vde_status lh_schema_parse_iceberg(struct lh_arena *arena, struct lh_slice text, struct lh_schema *ret_schema)
{
    *ret_schema = (struct lh_schema){.root = {.kind = LH_TYPE_STRUCT}, .form = LH_FORM_ICEBERG};
    struct lh_json json = LH_JSON_INIT;
    struct lh_slice copy;
    int64_t id = 0;
    vde_status status = lh_arena_copy(arena, text, &copy);
    if (status == VDE_OK)
        status = lh_json_parse(&json, copy.data, copy.size);
    struct reader reader = {&json, arena, 0};
    if (status == VDE_OK && !lh_json_string_is(&json, lh_json_find(&json, 0, "type"), "struct"))
        status = schema_bad("no struct", "a struct as the outermost type");
    if (status == VDE_OK)
        status = read_struct(&reader, 0, 0, &ret_schema->root);
    if (status == VDE_OK && lh_json_int64(&json, lh_json_find(&json, 0, "schema-id"), &id) && id >= 0 && id <= INT32_MAX)
        ret_schema->schema_id = (int32_t)id;
    uint32_t ids = status == VDE_OK ? lh_json_find(&json, 0, "identifier-field-ids") : LH_JSON_NONE;
    if (lh_json_kind_of(&json, ids) == LH_JSON_ARRAY)
        ret_schema->identifier_ids = lh_json_raw(&json, ids);
    lh_json_done(&json);
    return status;
}

/* --- printing --------------------------------------------------------------------------------------------------- */

static vde_status print_type(const struct lh_type *type, const struct lh_field *column, struct lh_buffer *out);

static void print_key(struct lh_buffer *out, const char *key)
{
    lh_buffer_text(out, ",\"");
    lh_buffer_text(out, key);
    lh_buffer_text(out, "\":");
}

static vde_status print_fields(const struct lh_type *type, const struct lh_field *column, struct lh_buffer *out)
{
    vde_status status = VDE_OK;
    lh_buffer_text(out, ",\"fields\":[");
    for (uint32_t i = 0; i < type->count && status == VDE_OK; i++) {
        const struct lh_field *field = &type->fields[i];
        lh_buffer_text(out, i > 0 ? ",{\"id\":" : "{\"id\":");
        lh_buffer_int(out, field->id);
        print_key(out, "name");
        lh_json_print_string(out, field->name);
        print_key(out, "required");
        lh_buffer_text(out, field->nullable ? "false" : "true");
        print_key(out, "type");
        status = print_type(&field->type, column ? column : field, out);
        if (field->comment.data) {
            print_key(out, "doc");
            lh_json_print_string(out, field->comment);
        }
        lh_buffer_byte(out, '}');
    }
    lh_buffer_text(out, "]}");
    return status;
}

static vde_status print_inner(const struct lh_field *field, const struct inner_keys *keys, const struct lh_field *column,
                              struct lh_buffer *out)
{
    print_key(out, keys->id);
    lh_buffer_int(out, field->id);
    if (keys->required) {
        print_key(out, keys->required);
        lh_buffer_text(out, field->nullable ? "false" : "true");
    }
    print_key(out, keys->type);
    return print_type(&field->type, column, out);
}

static vde_status print_primitive(const struct lh_type *type, const struct lh_field *column, struct lh_buffer *out)
{
    const struct type_names *known = schema_type_names(type->kind);
    if (type->kind == LH_TYPE_UNKNOWN || !known || !known->iceberg) {
        int size = column && column->name.size <= 200 ? (int)column->name.size : 0;
        return vde_error_text(VDE_UNSUPPORTED, "schema", "column %.*s has a type that Iceberg lacks", size,
                              column && column->name.data ? column->name.data : "");
    }
    lh_buffer_byte(out, '"');
    lh_buffer_text(out, known->iceberg);
    if (type->kind == LH_TYPE_DECIMAL || type->kind == LH_TYPE_FIXED) {
        lh_buffer_byte(out, type->kind == LH_TYPE_FIXED ? '[' : '(');
        lh_buffer_int(out, type->precision);
        if (type->kind == LH_TYPE_DECIMAL) {
            lh_buffer_text(out, ", ");
            lh_buffer_int(out, type->scale);
        }
        lh_buffer_byte(out, type->kind == LH_TYPE_FIXED ? ']' : ')');
    }
    lh_buffer_byte(out, '"');
    return VDE_OK;
}

static vde_status print_type(const struct lh_type *type, const struct lh_field *column, struct lh_buffer *out)
{
    if (type->kind == LH_TYPE_STRUCT) {
        lh_buffer_text(out, "{\"type\":\"struct\"");
        return print_fields(type, column, out);
    }
    if (type->kind != LH_TYPE_ARRAY && type->kind != LH_TYPE_MAP)
        return print_primitive(type, column, out);
    bool map = type->kind == LH_TYPE_MAP;
    lh_buffer_text(out, map ? "{\"type\":\"map\"" : "{\"type\":\"list\"");
    vde_status status = print_inner(&type->fields[0], map ? &key_keys : &element_keys, column, out);
    if (map && status == VDE_OK)
        status = print_inner(&type->fields[1], &value_keys, column, out);
    lh_buffer_byte(out, '}');
    return status;
}

vde_status lh_schema_print_iceberg(const struct lh_schema *schema, struct lh_buffer *out)
{
    lh_buffer_text(out, "{\"type\":\"struct\",\"schema-id\":");
    lh_buffer_int(out, schema->schema_id);
    if (schema->identifier_ids.size > 0) {
        print_key(out, "identifier-field-ids");
        lh_buffer_slice(out, schema->identifier_ids);
    }
    vde_status status = print_fields(&schema->root, NULL, out);
    return status == VDE_OK ? lh_buffer_status(out) : status;
}
