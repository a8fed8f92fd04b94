/* SPDX-License-Identifier: Apache-2.0 */
#include "model/partition.h"

static vde_status bad(const char *found, const char *expected)
{
    return vde_error_set(VDE_INVAL, "partition spec", found, expected);
}

/* As much of a name as a message holds. */
static int shown(struct lh_slice name) { return name.size > 200 ? 200 : (int)name.size; }

/* --- JSON --------------------------------------------------------------------------------------------------------- */
static bool id_of(const struct lh_json *json, uint32_t object, const char *key, int64_t least, int32_t *ret)
{
    int64_t id;
    uint32_t token = lh_json_find(json, object, key);
    if (token == LH_JSON_NONE || !lh_json_int64(json, token, &id) || id < least || id > INT32_MAX)
        return false;
    *ret = (int32_t)id;
    return true;
}

static vde_status check_field(const struct lh_partition_spec *spec, uint32_t index)
{
    const struct lh_partition_field *field = &spec->fields[index];
    if (field->name.size == 0)
        return bad("a field without a name", "one");
    for (uint32_t i = 0; i < index; i++)
        if (lh_slice_equal(spec->fields[i].name, field->name) || spec->fields[i].field_id == field->field_id)
            return bad("two fields of one name or id", "each its own");
    return VDE_OK;
}

static vde_status parse_field(struct lh_arena *arena, const struct lh_json *json, uint32_t object,
                              struct lh_partition_field *field)
{
    struct lh_slice text;
    uint32_t name = lh_json_find(json, object, "name"), transform = lh_json_find(json, object, "transform");
    if (lh_json_kind_of(json, name) != LH_JSON_STRING || lh_json_kind_of(json, transform) != LH_JSON_STRING)
        return bad("a field without name or transform", "both, as strings");
    if (!id_of(json, object, "source-id", 1, &field->source_id) ||
        !id_of(json, object, "field-id", LH_PARTITION_ID_FIRST, &field->field_id))
        return bad("a field without ids", "source-id from 1 on and field-id from 1000 on");
    vde_status status = lh_json_string(json, name, arena, &text);
    if (status == VDE_OK)
        status = lh_arena_copy(arena, text, &field->name);
    if (status == VDE_OK)
        status = lh_json_string(json, transform, arena, &text);
    return status == VDE_OK ? lh_transform_parse(text, &field->transform) : status;
}

static vde_status parse_spec(struct lh_arena *arena, const struct lh_json *json, uint32_t object,
                             struct lh_partition_spec *spec)
{
    uint32_t fields = lh_json_find(json, object, "fields");
    if (lh_json_kind_of(json, object) != LH_JSON_OBJECT || !id_of(json, object, "spec-id", 0, &spec->id) ||
        lh_json_kind_of(json, fields) != LH_JSON_ARRAY)
        return bad("no spec-id or no fields", "an object with both");
    uint32_t count = json->tokens[fields].count, item = lh_json_first(json, fields);
    if (count > LH_PARTITION_FIELDS_MAX)
        return bad("too many fields", "1000 at most");
    spec->fields = lh_arena_alloc(arena, (size_t)count + 1, sizeof *spec->fields);
    if (!spec->fields)
        return VDE_NOMEM;
    for (; spec->count < count; spec->count++) {
        vde_status status = parse_field(arena, json, item, &spec->fields[spec->count]);
        if (status == VDE_OK)
            status = check_field(spec, spec->count);
        if (status != VDE_OK)
            return status;
        item = json->tokens[item].next;
    }
    return VDE_OK;
}

static vde_status parse_specs(struct lh_arena *arena, const struct lh_json *json, struct lh_partition_specs *specs)
{
    if (lh_json_kind_of(json, 0) != LH_JSON_ARRAY)
        return bad(lh_json_kind_name(lh_json_kind_of(json, 0)), "an array");
    uint32_t count = json->tokens[0].count, item = lh_json_first(json, 0);
    specs->items = lh_arena_alloc(arena, (size_t)count + 2, sizeof *specs->items);
    if (!specs->items)
        return VDE_NOMEM;
    for (; specs->count < count; specs->count++) {
        vde_status status = parse_spec(arena, json, item, &specs->items[specs->count]);
        if (status != VDE_OK)
            return status;
        if (lh_partition_find(specs, specs->items[specs->count].id))
            return bad("two specs of one id", "each its own");
        item = json->tokens[item].next;
    }
    return VDE_OK;
}

vde_status lh_partition_parse(struct lh_arena *arena, struct lh_slice json, struct lh_partition_specs *ret_specs)
{
    struct lh_json index = LH_JSON_INIT;
    *ret_specs = (struct lh_partition_specs){NULL, 0, 0, LH_PARTITION_ID_FIRST - 1};
    vde_status status = lh_json_parse(&index, json.data, json.size);
    if (status == VDE_OK)
        status = parse_specs(arena, &index, ret_specs);
    lh_json_done(&index);
    return status;
}

static void print_field(const struct lh_partition_field *field, struct lh_buffer *out)
{
    lh_buffer_text(out, "{\"name\":");
    lh_json_print_string(out, field->name);
    lh_buffer_text(out, ",\"transform\":\"");
    lh_transform_print(&field->transform, out);
    lh_buffer_text(out, "\",\"source-id\":");
    lh_buffer_int(out, field->source_id);
    lh_buffer_text(out, ",\"field-id\":");
    lh_buffer_int(out, field->field_id);
    lh_buffer_byte(out, '}');
}

void lh_partition_print(const struct lh_partition_specs *specs, struct lh_buffer *out)
{
    lh_buffer_byte(out, '[');
    for (uint32_t i = 0; i < specs->count; i++) {
        lh_buffer_text(out, i ? ",{\"spec-id\":" : "{\"spec-id\":");
        lh_buffer_int(out, specs->items[i].id);
        lh_buffer_text(out, ",\"fields\":[");
        for (uint32_t f = 0; f < specs->items[i].count; f++) {
            if (f)
                lh_buffer_byte(out, ',');
            print_field(&specs->items[i].fields[f], out);
        }
        lh_buffer_text(out, "]}");
    }
    lh_buffer_byte(out, ']');
}

/* --- questions ---------------------------------------------------------------------------------------------------- */
const struct lh_partition_spec *lh_partition_find(const struct lh_partition_specs *specs, int32_t id)
{
    for (uint32_t i = 0; i < specs->count; i++)
        if (specs->items[i].id == id)
            return &specs->items[i];
    return NULL;
}

const struct lh_field *lh_partition_source(const struct lh_schema *schema, int32_t id)
{
    for (uint32_t i = 0; i < schema->root.count; i++)
        if (schema->root.fields[i].id == id)
            return &schema->root.fields[i];
    return NULL;
}

vde_status lh_partition_check(const struct lh_schema *schema, const struct lh_partition_specs *specs)
{
    const struct lh_partition_spec *spec = lh_partition_find(specs, specs->default_id);
    if (!spec)
        return bad("no spec with the default id", "one");
    for (uint32_t i = 0; i < spec->count; i++) {
        const struct lh_partition_field *field = &spec->fields[i];
        const struct lh_field *source = lh_partition_source(schema, field->source_id);
        struct lh_type result;
        if (field->transform.kind == LH_TRANSFORM_VOID)
            continue;
        if (!source)
            return vde_error_text(VDE_INVAL, "partitioning", "the column of partition field %.*s is gone", shown(field->name),
                                  field->name.data);
        vde_status status = lh_transform_result(&field->transform, &source->type, &result);
        if (status != VDE_OK)
            return status;
    }
    return VDE_OK;
}

/* --- evolution ---------------------------------------------------------------------------------------------------- */
static vde_status name_field(struct lh_arena *arena, struct lh_slice column, struct lh_partition_field *field)
{
    static const char *const suffixes[] = {
        [LH_TRANSFORM_YEAR] = "_year",     [LH_TRANSFORM_MONTH] = "_month",      [LH_TRANSFORM_DAY] = "_day",
        [LH_TRANSFORM_HOUR] = "_hour",     [LH_TRANSFORM_BUCKET] = "_bucket_",   [LH_TRANSFORM_TRUNCATE] = "_trunc_",
        [LH_TRANSFORM_VOID] = "_null",     [LH_TRANSFORM_IDENTITY] = "",
    };
    struct lh_buffer name = LH_BUFFER_INIT;
    lh_buffer_slice(&name, column);
    lh_buffer_text(&name, suffixes[field->transform.kind]);
    if (field->transform.argument)
        lh_buffer_int(&name, field->transform.argument);
    vde_status status = lh_buffer_status(&name);
    if (status == VDE_OK)
        status = lh_arena_copy(arena, (struct lh_slice){name.data, name.size}, &field->name);
    lh_buffer_done(&name);
    return status;
}

static bool same_field(const struct lh_partition_field *a, const struct lh_partition_field *b)
{
    return a->source_id == b->source_id && lh_transform_equal(&a->transform, &b->transform);
}

/* The id that an earlier spec gave to the same transform of the same column, or a new one. */
static int32_t id_for(const struct lh_partition_field *field, struct lh_partition_specs *specs)
{
    for (uint32_t i = 0; i < specs->count; i++)
        for (uint32_t f = 0; f < specs->items[i].count; f++)
            if (same_field(&specs->items[i].fields[f], field))
                return specs->items[i].fields[f].field_id;
    return ++specs->last_field_id;
}

static vde_status take_term(struct lh_arena *arena, const struct lh_schema *schema, struct lh_slice term,
                            struct lh_partition_field *field)
{
    struct lh_slice column = term;
    struct lh_type result;
    *field = (struct lh_partition_field){.transform = {LH_TRANSFORM_IDENTITY, 0}};
    const struct lh_field *source = lh_schema_find(schema, term); /* a name may look like a term */
    if (!source) {
        vde_status status = lh_transform_parse_term(term, &field->transform, &column);
        if (status != VDE_OK)
            return status;
        source = lh_schema_find(schema, column);
    }
    if (!source)
        return vde_error_text(VDE_INVAL, "partitioning", "there is no column %.*s", shown(column), column.data);
    vde_status status = lh_transform_result(&field->transform, &source->type, &result);
    if (status != VDE_OK)
        return status;
    field->source_id = source->id;
    return name_field(arena, column, field);
}

static vde_status add_field(const struct lh_schema *schema, const struct lh_partition_field *field,
                            struct lh_partition_spec *spec)
{
    const struct lh_field *column = lh_schema_find(schema, field->name);
    if (column && (field->transform.kind != LH_TRANSFORM_IDENTITY || column->id != field->source_id))
        return vde_error_text(VDE_INVAL, "partitioning", "the name %.*s is a column's", shown(field->name), field->name.data);
    for (uint32_t i = 0; i < spec->count; i++)
        if (lh_slice_equal(spec->fields[i].name, field->name))
            return vde_error_text(VDE_INVAL, "partitioning", "%.*s is named twice", shown(field->name), field->name.data);
    spec->fields[spec->count++] = *field;
    return VDE_OK;
}

/* Format version 1: the fields of the spec before, those that are not asked for as void. */
static vde_status keep_places(struct lh_arena *arena, const struct lh_partition_spec *old, struct lh_partition_field *wanted,
                              uint32_t count, struct lh_partition_spec *spec)
{
    for (uint32_t i = 0; i < old->count; i++) {
        struct lh_partition_field field = old->fields[i];
        bool stays = field.transform.kind == LH_TRANSFORM_VOID;
        for (uint32_t w = 0; w < count && !stays; w++)
            stays = same_field(&wanted[w], &field);
        if (!stays) {
            field.transform = (struct lh_transform){LH_TRANSFORM_VOID, 0};
            vde_status status = name_field(arena, old->fields[i].name, &field);
            if (status != VDE_OK)
                return status;
        }
        spec->fields[spec->count++] = field;
    }
    return VDE_OK;
}

static bool same_spec(const struct lh_partition_spec *a, const struct lh_partition_spec *b)
{
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (!same_field(&a->fields[i], &b->fields[i]) || !lh_slice_equal(a->fields[i].name, b->fields[i].name))
            return false;
    return true;
}

static vde_status settle(struct lh_arena *arena, struct lh_partition_spec *spec, struct lh_partition_specs *specs)
{
    struct lh_partition_spec *all = lh_arena_alloc(arena, (size_t)specs->count + 1, sizeof *all);
    if (!all)
        return VDE_NOMEM;
    spec->id = 0;
    for (uint32_t i = 0; i < specs->count; i++) {
        all[i] = specs->items[i];
        if (same_spec(&all[i], spec)) {
            specs->default_id = all[i].id;
            return VDE_OK;
        }
        if (all[i].id == INT32_MAX)
            return bad("no id left for a new spec", "ids below 2^31");
        spec->id = all[i].id >= spec->id ? all[i].id + 1 : spec->id;
    }
    for (uint32_t i = 0; i < spec->count; i++) {
        if (spec->fields[i].field_id == 0 && specs->last_field_id == INT32_MAX)
            return bad("no id left for a new field", "ids below 2^31");
        if (spec->fields[i].field_id == 0)
            spec->fields[i].field_id = id_for(&spec->fields[i], specs);
    }
    all[specs->count] = *spec;
    specs->items = all;
    specs->count++;
    specs->default_id = spec->id;
    return VDE_OK;
}

vde_status lh_partition_evolve(struct lh_arena *arena, const struct lh_schema *schema, const struct lh_slice *terms,
                               uint32_t count, unsigned format_version, struct lh_partition_specs *specs)
{
    const struct lh_partition_spec *old = lh_partition_find(specs, specs->default_id);
    struct lh_partition_spec spec = {0};
    if (count > LH_PARTITION_FIELDS_MAX)
        return bad("too many fields", "1000 at most");
    struct lh_partition_field *wanted = lh_arena_alloc(arena, (size_t)count + 1, sizeof *wanted);
    spec.fields = lh_arena_alloc(arena, (size_t)count + (old ? old->count : 0) + 1, sizeof *spec.fields);
    if (!wanted || !spec.fields)
        return VDE_NOMEM;
    for (uint32_t i = 0; i < count; i++) {
        vde_status status = take_term(arena, schema, terms[i], &wanted[i]);
        if (status != VDE_OK)
            return status;
    }
    if (format_version == 1 && old) {
        vde_status status = keep_places(arena, old, wanted, count, &spec);
        if (status != VDE_OK)
            return status;
    }
    for (uint32_t i = 0; i < count; i++) {
        bool kept = false;
        for (uint32_t f = 0; format_version == 1 && old && f < old->count && !kept; f++)
            kept = same_field(&old->fields[f], &wanted[i]);
        vde_status status = kept ? VDE_OK : add_field(schema, &wanted[i], &spec);
        if (status != VDE_OK)
            return status;
    }
    return settle(arena, &spec, specs);
}
