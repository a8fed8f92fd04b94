/* SPDX-License-Identifier: Apache-2.0 */
/* Type names, and questions about a schema. */
#include "model/schema_type.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static const struct type_names names[] = {
    {LH_TYPE_BOOLEAN, "boolean", "boolean", "BOOLEAN"},
    {LH_TYPE_BYTE, "byte", NULL, "TINYINT"},
    {LH_TYPE_SHORT, "short", NULL, "SMALLINT"},
    {LH_TYPE_INT, "integer", "int", "INT"},
    {LH_TYPE_LONG, "long", "long", "BIGINT"},
    {LH_TYPE_FLOAT, "float", "float", "FLOAT"},
    {LH_TYPE_DOUBLE, "double", "double", "DOUBLE"},
    {LH_TYPE_DECIMAL, "decimal", "decimal", "DECIMAL"},
    {LH_TYPE_STRING, "string", "string", "STRING"},
    {LH_TYPE_BINARY, "binary", "binary", "BINARY"},
    {LH_TYPE_DATE, "date", "date", "DATE"},
    {LH_TYPE_TIMESTAMP, "timestamp", "timestamptz", "TIMESTAMP"},
    {LH_TYPE_TIMESTAMP_NTZ, "timestamp_ntz", "timestamp", "TIMESTAMP_NTZ"},
    {LH_TYPE_TIME, NULL, "time", "TIME"},
    {LH_TYPE_UUID, NULL, "uuid", "UUID"},
    {LH_TYPE_FIXED, NULL, "fixed", "FIXED"},
    {LH_TYPE_STRUCT, "struct", "struct", "STRUCT"},
    {LH_TYPE_ARRAY, "array", "list", "ARRAY"},
    {LH_TYPE_MAP, "map", "map", "MAP"},
};

const struct type_names *schema_type_names(enum lh_type_kind kind)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].kind == kind)
            return &names[i];
    }
    return NULL;
}

vde_status schema_bad(const char *found, const char *expected)
{
    return vde_error_set(VDE_INVAL, "schema", found, expected);
}

vde_status schema_too_deep(void) { return schema_bad("deeper nesting", "at most 64 levels"); }

bool schema_decimal_valid(int32_t precision, int32_t scale)
{
    return precision >= 1 && precision <= 38 && scale >= 0 && scale <= precision;
}

bool schema_type_arguments(struct lh_slice text, const char *word, int32_t *first, int32_t *second, unsigned count)
{
    size_t size = strlen(word);
    if (text.size < size || memcmp(text.data, word, size) != 0)
        return false;
    int32_t *targets[2] = {first, second};
    const char *at = text.data + size, *end = text.data + text.size;
    if (at == end || (*at != '(' && *at != '['))
        return false;
    char closer = *at++ == '(' ? ')' : ']';
    for (unsigned i = 0; i < count; i++) {
        int64_t number = 0;
        while (at < end && *at == ' ')
            at++;
        const char *from = at;
        for (; at < end && *at >= '0' && *at <= '9' && number < INT32_MAX / 10; at++)
            number = number * 10 + (*at - '0');
        if (at == from)
            return false;
        *targets[i] = (int32_t)number;
        while (at < end && *at == ' ')
            at++;
        if (i + 1 < count && (at == end || *at++ != ','))
            return false;
    }
    return end - at == 1 && *at == closer;
}

struct lh_type schema_delta_primitive(struct lh_slice text)
{
    struct lh_type type = {.kind = LH_TYPE_UNKNOWN, .name = text};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].delta && names[i].kind < LH_TYPE_STRUCT && names[i].kind != LH_TYPE_DECIMAL &&
            lh_slice_is(text, names[i].delta))
            type.kind = names[i].kind;
    }
    if (lh_slice_is(text, "decimal")) {
        type.kind = LH_TYPE_DECIMAL;
        type.precision = 10;
    } else if (schema_type_arguments(text, "decimal", &type.precision, &type.scale, 2) &&
               schema_decimal_valid(type.precision, type.scale)) {
        type.kind = LH_TYPE_DECIMAL;
    }
    return type;
}

struct lh_type schema_iceberg_primitive(struct lh_slice text)
{
    struct lh_type type = {.kind = LH_TYPE_UNKNOWN, .name = text};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].iceberg && names[i].kind < LH_TYPE_STRUCT && names[i].kind != LH_TYPE_DECIMAL &&
            names[i].kind != LH_TYPE_FIXED && lh_slice_is(text, names[i].iceberg))
            type.kind = names[i].kind;
    }
    if (schema_type_arguments(text, "decimal", &type.precision, &type.scale, 2) &&
        schema_decimal_valid(type.precision, type.scale))
        type.kind = LH_TYPE_DECIMAL;
    else if (schema_type_arguments(text, "fixed", &type.precision, &type.scale, 1))
        type.kind = LH_TYPE_FIXED;
    return type;
}

/* --- questions -------------------------------------------------------------------------------------------------- */

const struct lh_field *lh_type_field(const struct lh_type *type, struct lh_slice name, uint32_t hint)
{
    if (hint < type->count && lh_slice_equal(type->fields[hint].name, name))
        return &type->fields[hint];
    for (uint32_t i = 0; i < type->count; i++) {
        if (lh_slice_equal(type->fields[i].name, name))
            return &type->fields[i];
    }
    return NULL;
}

const struct lh_field *lh_schema_find(const struct lh_schema *schema, struct lh_slice name)
{
    return lh_type_field(&schema->root, name, 0);
}

/* The first field below `type` whose type is of `kind`. Depth is bounded by the parsers. */
static const struct lh_field *first_of_kind(const struct lh_type *type, enum lh_type_kind kind)
{
    for (uint32_t i = 0; i < type->count; i++) {
        if (type->fields[i].type.kind == kind)
            return &type->fields[i];
        const struct lh_field *inner = first_of_kind(&type->fields[i].type, kind);
        if (inner)
            return inner;
    }
    return NULL;
}

bool lh_schema_uses(const struct lh_schema *schema, enum lh_type_kind kind)
{
    return schema->root.kind == kind || first_of_kind(&schema->root, kind) != NULL;
}

bool lh_schema_unknown_type(const struct lh_schema *schema, char *text, size_t text_size)
{
    for (uint32_t i = 0; i < schema->root.count; i++) {
        const struct lh_field *column = &schema->root.fields[i];
        const struct lh_field *hit = column->type.kind == LH_TYPE_UNKNOWN ? column
                                                                          : first_of_kind(&column->type, LH_TYPE_UNKNOWN);
        if (!hit)
            continue;
        int column_size = column->name.size > 60 ? 60 : (int)column->name.size;
        int type_size = hit->type.name.size > 40 ? 40 : (int)hit->type.name.size;
        snprintf(text, text_size, "%.*s: %.*s", column_size, column->name.data ? column->name.data : "", type_size,
                 hit->type.name.data ? hit->type.name.data : "");
        return true;
    }
    return false;
}

bool lh_type_equal(const struct lh_type *a, const struct lh_type *b)
{
    if (a->kind != b->kind || a->count != b->count)
        return false;
    if (a->kind == LH_TYPE_UNKNOWN && !lh_slice_equal(a->name, b->name))
        return false;
    if ((a->kind == LH_TYPE_DECIMAL || a->kind == LH_TYPE_FIXED) && (a->precision != b->precision || a->scale != b->scale))
        return false;
    for (uint32_t i = 0; i < a->count; i++) {
        const struct lh_field *x = &a->fields[i], *y = &b->fields[i];
        if (x->nullable != y->nullable || !lh_slice_equal(x->name, y->name) || !lh_type_equal(&x->type, &y->type))
            return false;
    }
    return true;
}

static int compare_names(const void *a, const void *b)
{
    const struct lh_slice *x = a, *y = b;
    size_t size = x->size < y->size ? x->size : y->size;
    int order = size ? strncasecmp(x->data, y->data, size) : 0;
    return order ? order : (x->size > y->size) - (x->size < y->size);
}

vde_status schema_check_names(const struct lh_type *type, unsigned depth)
{
    if (depth > LH_SCHEMA_DEPTH_MAX)
        return schema_too_deep();
    if (type->count == 0)
        return VDE_OK;
    struct lh_slice *sorted = calloc(type->count, sizeof *sorted);
    if (!sorted)
        return vde_error_set(VDE_NOMEM, "schema", NULL, NULL);
    for (uint32_t i = 0; i < type->count; i++)
        sorted[i] = type->fields[i].name;
    qsort(sorted, type->count, sizeof *sorted, compare_names);
    vde_status status = VDE_OK;
    for (uint32_t i = 0; i + 1 < type->count && status == VDE_OK; i++) {
        if (compare_names(&sorted[i], &sorted[i + 1]) == 0) {
            int size = sorted[i].size > 200 ? 200 : (int)sorted[i].size;
            status = vde_error_text(VDE_INVAL, "schema", "column %.*s is named twice (case does not tell names apart)",
                                    size, sorted[i].data ? sorted[i].data : "");
        }
    }
    free(sorted);
    for (uint32_t i = 0; i < type->count && status == VDE_OK; i++)
        status = schema_check_names(&type->fields[i].type, depth + 1);
    return status;
}

vde_status lh_schema_check_partitioning(const struct lh_schema *schema, const struct lh_slice *columns, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        int size = columns[i].size > 200 ? 200 : (int)columns[i].size;
        const char *name = columns[i].data ? columns[i].data : "";
        const struct lh_field *field = lh_schema_find(schema, columns[i]);
        if (!field)
            return vde_error_text(VDE_INVAL, "partitioning", "there is no column %.*s", size, name);
        if (field->type.kind >= LH_TYPE_STRUCT)
            return vde_error_text(VDE_INVAL, "partitioning", "column %.*s is not of a primitive type", size, name);
        for (uint32_t j = 0; j < i; j++) {
            if (lh_slice_equal(columns[i], columns[j]))
                return vde_error_text(VDE_INVAL, "partitioning", "column %.*s is named twice", size, name);
        }
    }
    if (count > 0 && count == schema->root.count)
        return vde_error_text(VDE_INVAL, "partitioning", "all columns are partition columns");
    return VDE_OK;
}

/* --- ids -------------------------------------------------------------------------------------------------------- */

static const struct lh_field *field_like(const struct lh_type *type, const struct lh_field *field, uint32_t index)
{
    if (!type)
        return NULL;
    if (type->kind != LH_TYPE_STRUCT)
        return index < type->count ? &type->fields[index] : NULL;
    for (uint32_t i = 0; i < type->count; i++) {
        if (lh_slice_equal(type->fields[i].name, field->name))
            return &type->fields[i];
    }
    return NULL;
}

static const struct lh_type *same_shape(const struct lh_field *old, const struct lh_field *next)
{
    return old && old->type.kind == next->type.kind ? &old->type : NULL;
}

static void assign(struct lh_type *type, const struct lh_type *old, int32_t *last)
{
    for (uint32_t i = 0; i < type->count; i++) {
        struct lh_field *field = &type->fields[i];
        const struct lh_field *match = field_like(old, field, i);
        if (field->id == 0 && match)
            field->id = match->id;
        if (field->id == 0 && *last < INT32_MAX)
            field->id = ++*last;
        if (field->id > *last)
            *last = field->id;
    }
    for (uint32_t i = 0; i < type->count; i++)
        assign(&type->fields[i].type, same_shape(field_like(old, &type->fields[i], i), &type->fields[i]), last);
}

void lh_schema_assign_ids(struct lh_schema *schema, const struct lh_schema *old, int32_t *last_column_id)
{
    assign(&schema->root, old ? &old->root : NULL, last_column_id);
}
