/* SPDX-License-Identifier: Apache-2.0 */
#include "txlog/columns.h"

#include <stdlib.h>

#include "state/fail.h"

#define ID_KEY "delta.columnMapping.id"
#define NAME_KEY "delta.columnMapping.physicalName"
#define NESTED_KEY "delta.columnMapping.nested.ids"

/* As much of a column's name as a message holds. */
static int shown(struct lh_slice name) { return name.size > 200 ? 200 : (int)name.size; }

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int by_bytes(const void *a, const void *b)
{
    const struct lh_slice *x = a, *y = b;
    size_t size = x->size < y->size ? x->size : y->size;
    int order = size ? memcmp(x->data, y->data, size) : 0;
    return order ? order : (x->size > y->size) - (x->size < y->size);
}

static size_t count_fields(const struct lh_type *type)
{
    size_t count = type->count;
    for (uint32_t i = 0; i < type->count; i++)
        count += count_fields(&type->fields[i].type);
    return count;
}

static vde_status check_unique(const char *table, int64_t *ids, size_t count)
{
    if (count)
        qsort(ids, count, sizeof *ids, by_number);
    for (size_t i = 1; i < count; i++)
        if (ids[i] == ids[i - 1])
            return lh_fail(LH_SCHEMA, "schema of table %s|two columns with id %lld|an id of its own for each", table,
                           (long long)ids[i]);
    return VDE_OK;
}

/* --- column mapping of Delta ------------------------------------------------------------------------------------ */

/* What a field's metadata says about its mapping. */
struct mapped {
    int64_t id;                   /* 0: nothing */
    struct lh_slice name;         /* its value; data == NULL: none */
    struct lh_slice nested;       /* raw; empty: none */
};

static vde_status read_mapped(const struct lh_mapping *m, const struct lh_field *field, struct mapped *ret)
{
    struct lh_json json = LH_JSON_INIT;
    *ret = (struct mapped){0};
    if (field->metadata.size == 0)
        return VDE_OK;
    vde_status status = lh_fail_again(lh_json_parse(&json, field->metadata.data, field->metadata.size), LH_SCHEMA);
    if (status == VDE_OK) {
        uint32_t id = lh_json_find(&json, 0, ID_KEY), name = lh_json_find(&json, 0, NAME_KEY);
        uint32_t nested = lh_json_find(&json, 0, NESTED_KEY);
        if (id != LH_JSON_NONE && (!lh_json_int64(&json, id, &ret->id) || ret->id < 1 || ret->id > INT32_MAX))
            status = lh_fail(LH_SCHEMA, "column %.*s of table %s|" ID_KEY " that is no id|a whole number from 1 on",
                             shown(field->name), field->name.data, m->table);
        else if (name != LH_JSON_NONE && lh_json_kind_of(&json, name) != LH_JSON_STRING)
            status = lh_fail(LH_SCHEMA, "column %.*s of table %s|" NAME_KEY " that is no string|a string",
                             shown(field->name), field->name.data, m->table);
        else if (name != LH_JSON_NONE)
            status = lh_json_string(&json, name, m->arena, &ret->name);
        if (status == VDE_OK && nested != LH_JSON_NONE)
            ret->nested = lh_json_raw(&json, nested);
    }
    lh_json_done(&json);
    return status;
}

/* The field's metadata with the members that it lacks. */
static vde_status write_mapped(const struct lh_mapping *m, struct lh_field *field, const struct mapped *has,
                               const struct mapped *want)
{
    struct lh_buffer out = LH_BUFFER_INIT;
    if (field->metadata.size) {
        lh_buffer_add(&out, field->metadata.data, field->metadata.size - 1);
    } else {
        lh_buffer_byte(&out, '{');
        if (field->comment.data) {
            lh_buffer_text(&out, "\"comment\":");
            lh_json_print_string(&out, field->comment);
        }
    }
    const char *separator = out.size > 1 ? "," : "";
    if (has->id == 0) {
        lh_buffer_text(&out, separator);
        lh_buffer_text(&out, "\"" ID_KEY "\":");
        lh_buffer_int(&out, want->id);
        separator = ",";
    }
    if (!has->name.data) {
        lh_buffer_text(&out, separator);
        lh_buffer_text(&out, "\"" NAME_KEY "\":");
        lh_json_print_string(&out, want->name);
        separator = ",";
    }
    if (has->nested.size == 0 && want->nested.size) {
        lh_buffer_text(&out, separator);
        lh_buffer_text(&out, "\"" NESTED_KEY "\":");
        lh_buffer_slice(&out, want->nested);
    }
    lh_buffer_byte(&out, '}');
    vde_status status = lh_buffer_status(&out);
    if (status == VDE_OK)
        status = lh_arena_copy(m->arena, (struct lh_slice){out.data, out.size}, &field->metadata);
    lh_buffer_done(&out);
    return status;
}

static vde_status fresh_name(const struct lh_mapping *m, struct lh_slice *ret_name)
{
    uint8_t uuid[16];
    char text[4 + LH_UUID_TEXT] = "col-";
    lh_uuid_random(m->lakehouse, uuid);
    lh_uuid_text(uuid, text + 4);
    return lh_arena_copy(m->arena, lh_slice_of(text), ret_name);
}

static bool has_collection(const struct lh_type *type)
{
    bool found = type->kind == LH_TYPE_ARRAY || type->kind == LH_TYPE_MAP;
    for (uint32_t i = 0; i < type->count && !found; i++)
        found = has_collection(&type->fields[i].type);
    return found;
}

/* Complete one struct field; `old` is NULL when it is new. */
static vde_status map_field(struct lh_mapping *m, struct lh_field *field, const struct lh_field *old)
{
    struct mapped has, before = {0};
    LH_TRY(read_mapped(m, field, &has));
    if (old)
        LH_TRY(read_mapped(m, old, &before));
    struct mapped want = {has.id ? has.id : before.id, has.name.data ? has.name : before.name, before.nested};
    if (want.id == 0 && m->nested_ids && has_collection(&field->type))
        return lh_fail(LH_SCHEMA_INCOMPATIBLE, "column %.*s of table %s|a new array or map, whose elements need ids for "
                       "icebergCompat|none, or a metaData action that gives the ids", shown(field->name), field->name.data,
                       m->table);
    if (want.id == 0) {
        if (m->max_id >= INT32_MAX)
            return lh_fail(LH_SCHEMA_INCOMPATIBLE, "column %.*s of table %s|no id left for it|an id below 2^31",
                           shown(field->name), field->name.data, m->table);
        want.id = ++m->max_id;
    }
    if (!want.name.data && (old || !m->old))
        want.name = field->name;
    else if (!want.name.data)
        LH_TRY(fresh_name(m, &want.name));
    if (has.id && has.name.data && (has.nested.size || !want.nested.size))
        return VDE_OK;
    return write_mapped(m, field, &has, &want);
}

static vde_status map_type(struct lh_mapping *m, struct lh_type *type, const struct lh_type *old)
{
    for (uint32_t i = 0; i < type->count; i++) {
        struct lh_field *field = &type->fields[i];
        const struct lh_field *match = old ? lh_type_field(old, field->name, i) : NULL;
        if (type->kind == LH_TYPE_STRUCT)
            LH_TRY(map_field(m, field, match));
        bool same = match && match->type.kind == field->type.kind;
        LH_TRY(map_type(m, &field->type, same ? &match->type : NULL));
    }
    return VDE_OK;
}

/* Raise the highest id to those that stand in a schema; ids of elements are below it by the format's rule. */
static vde_status note_ids(struct lh_mapping *m, const struct lh_type *type)
{
    for (uint32_t i = 0; i < type->count; i++) {
        struct mapped has;
        LH_TRY(read_mapped(m, &type->fields[i], &has));
        if (has.id > m->max_id)
            m->max_id = has.id;
        LH_TRY(note_ids(m, &type->fields[i].type));
    }
    return VDE_OK;
}

/* Collects ids, and looks for physical names that stand twice in one struct. */
static vde_status check_type(const struct lh_mapping *m, const struct lh_type *type, int64_t *ids, size_t *count)
{
    struct lh_slice *names = type->count ? calloc(type->count, sizeof *names) : NULL;
    if (type->count && !names)
        return lh_fail_nomem("schema");
    vde_status status = VDE_OK;
    for (uint32_t i = 0; i < type->count && status == VDE_OK; i++) {
        struct mapped has;
        status = read_mapped(m, &type->fields[i], &has);
        if (has.id)
            ids[(*count)++] = has.id;
        names[i] = has.name;
    }
    if (status == VDE_OK && type->kind == LH_TYPE_STRUCT && type->count) {
        qsort(names, type->count, sizeof *names, by_bytes);
        for (uint32_t i = 1; i < type->count && status == VDE_OK; i++)
            if (by_bytes(&names[i - 1], &names[i]) == 0)
                status = lh_fail(LH_SCHEMA, "schema of table %s|two columns with physical name %.*s|one of its own for each",
                                 m->table, shown(names[i]), names[i].data);
    }
    free(names);
    for (uint32_t i = 0; i < type->count && status == VDE_OK; i++)
        status = check_type(m, &type->fields[i].type, ids, count);
    return status;
}

vde_status lh_columns_map(struct lh_mapping *mapping, struct lh_schema *next)
{
    /* Both first: an id that is taken further back must not be given to a new column in front of it. */
    if (mapping->old)
        LH_TRY(note_ids(mapping, &mapping->old->root));
    LH_TRY(note_ids(mapping, &next->root));
    LH_TRY(map_type(mapping, &next->root, mapping->old ? &mapping->old->root : NULL));
    int64_t *ids = malloc((count_fields(&next->root) + 1) * sizeof *ids);
    size_t count = 0;
    if (!ids)
        return lh_fail_nomem("schema");
    vde_status status = check_type(mapping, &next->root, ids, &count);
    if (status == VDE_OK)
        status = check_unique(mapping->table, ids, count);
    free(ids);
    return status;
}

/* --- Iceberg ---------------------------------------------------------------------------------------------------- */

static const struct lh_field *by_id(const struct lh_type *type, int32_t id, uint32_t hint)
{
    if (type && hint < type->count && type->fields[hint].id == id)
        return &type->fields[hint];
    for (uint32_t i = 0; type && i < type->count; i++)
        if (type->fields[i].id == id)
            return &type->fields[i];
    return NULL;
}

static vde_status check_ids(const char *table, const struct lh_type *old, const struct lh_type *next, int32_t last,
                            int64_t *ids, size_t *count)
{
    for (uint32_t i = 0; i < next->count; i++) {
        const struct lh_field *field = &next->fields[i], *match = by_id(old, field->id, i);
        ids[(*count)++] = field->id;
        if (!match && field->id <= last)
            return lh_fail(LH_SCHEMA_INCOMPATIBLE, "column %.*s of table %s|field id %d for a new column|an id above %d, the "
                           "last one given", shown(field->name), field->name.data, table, (int)field->id, (int)last);
        LH_TRY(check_ids(table, match ? &match->type : NULL, &field->type, last, ids, count));
    }
    return VDE_OK;
}

vde_status lh_columns_check_ids(const char *table, const struct lh_schema *old, const struct lh_schema *next, int32_t last)
{
    int64_t *ids = malloc((count_fields(&next->root) + 1) * sizeof *ids);
    size_t count = 0;
    if (!ids)
        return lh_fail_nomem("schema");
    vde_status status = check_ids(table, &old->root, &next->root, last, ids, &count);
    if (status == VDE_OK)
        status = check_unique(table, ids, count);
    free(ids);
    return status;
}
