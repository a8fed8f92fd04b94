/* SPDX-License-Identifier: Apache-2.0 */
#include "txlog/partitions.h"

#include "state/fail.h"

#define PHYSICAL_KEY "delta.columnMapping.physicalName"

/* As much of a column's name as a message holds. */
static int shown(struct lh_slice name) { return name.size > 200 ? 200 : (int)name.size; }

static bool is_iceberg(const struct lh_action *metadata) { return lh_has(&metadata->iceberg.part, LH_ICE_SCHEMA_ID); }

/* --- keys --------------------------------------------------------------------------------------------------------- */
static bool is_mapped(const struct lh_metadata *metadata)
{
    const struct lh_pair *mode = lh_map_find(&metadata->configuration, LH_SLICE("delta.columnMapping.mode"));
    return mode && !mode->null && !lh_slice_is(mode->value, "none");
}

static vde_status physical_name(struct lh_arena *arena, const struct lh_field *field, struct lh_slice *ret_name)
{
    struct lh_json json = LH_JSON_INIT;
    struct lh_slice name;
    if (field->metadata.size == 0)
        return VDE_OK;
    vde_status status = lh_json_parse(&json, field->metadata.data, field->metadata.size);
    uint32_t token = status == VDE_OK ? lh_json_find(&json, 0, PHYSICAL_KEY) : LH_JSON_NONE;
    if (lh_json_kind_of(&json, token) == LH_JSON_STRING) {
        status = lh_json_string(&json, token, arena, &name);
        if (status == VDE_OK)
            status = lh_arena_copy(arena, name, ret_name);
    }
    lh_json_done(&json);
    return status;
}

static vde_status delta_keys(struct lh_arena *arena, const struct lh_metadata *metadata, struct lh_partition_keys *keys)
{
    struct lh_schema schema;
    bool mapped = is_mapped(metadata);
    LH_TRY(lh_schema_parse_delta(arena, metadata->schema_string, &schema));
    for (uint32_t i = 0; i < metadata->partition_columns.count; i++) {
        const struct lh_field *field = lh_schema_find(&schema, metadata->partition_columns.items[i]);
        if (!field)
            return vde_error_set(VDE_INVAL, "partitioning", "a column that the schema lacks", "columns of the schema");
        struct lh_partition_key *key = &keys->items[keys->count++];
        *key = (struct lh_partition_key){.name = field->name, .type = field->type, .nullable = field->nullable};
        if (mapped)
            LH_TRY(physical_name(arena, field, &key->name));
    }
    return VDE_OK;
}

static vde_status iceberg_keys(struct lh_arena *arena, const struct lh_action *metadata, struct lh_partition_keys *keys)
{
    struct lh_schema schema;
    struct lh_partition_specs specs;
    LH_TRY(lh_schema_parse_iceberg(arena, metadata->metadata.schema_string, &schema));
    LH_TRY(lh_partition_specs_read(arena, metadata, &schema, &specs));
    const struct lh_partition_spec *spec = lh_partition_find(&specs, specs.default_id);
    keys->items = lh_arena_alloc(arena, (size_t)(spec ? spec->count : 0) + 1, sizeof *keys->items);
    if (!keys->items)
        return lh_fail_nomem("partitioning");
    for (uint32_t i = 0; spec && i < spec->count; i++) {
        const struct lh_partition_field *field = &spec->fields[i];
        const struct lh_field *source = lh_partition_source(&schema, field->source_id);
        struct lh_partition_key *key = &keys->items[keys->count++];
        bool is_void = field->transform.kind == LH_TRANSFORM_VOID;
        *key = (struct lh_partition_key){.name = field->name, .nullable = is_void || !source || source->nullable,
                                         .only_null = is_void};
        if (source && !is_void)
            LH_TRY(lh_transform_result(&field->transform, &source->type, &key->type));
    }
    return VDE_OK;
}

vde_status lh_partition_keys_read(struct lh_arena *arena, const struct lh_action *metadata, struct lh_partition_keys *ret_keys)
{
    *ret_keys = (struct lh_partition_keys){NULL, 0};
    uint32_t count = metadata->metadata.partition_columns.count;
    if (count == 0)
        return VDE_OK;
    if (is_iceberg(metadata))
        return iceberg_keys(arena, metadata, ret_keys);
    ret_keys->items = lh_arena_alloc(arena, (size_t)count + 1, sizeof *ret_keys->items);
    return ret_keys->items ? delta_keys(arena, &metadata->metadata, ret_keys) : lh_fail_nomem("partitioning");
}

/* --- values ------------------------------------------------------------------------------------------------------- */
static vde_status check_value(const struct lh_partition_key *key, const struct lh_pair *pair, const char *table,
                              struct lh_arena *arena)
{
    struct lh_value value = {.null = true};
    if (!pair->null && pair->value.size) {
        if (key->only_null)
            return lh_fail(LH_VALIDATION, "table %s|a value for partition column %.*s|null: its transform is void", table,
                           shown(key->name), key->name.data);
        vde_status status = lh_value_parse(&key->type, pair->value, arena, &value);
        if (status == VDE_INVAL) {
            struct lh_saved saved;
            lh_error_save(&saved);
            return lh_fail(LH_VALIDATION, "table %s|a value for partition column %.*s that is none of its type|%s", table,
                           shown(key->name), key->name.data, saved.error.expected);
        }
        LH_TRY(status);
    }
    if (value.null && !key->nullable)
        return lh_fail(LH_VALIDATION, "table %s|null for partition column %.*s|a value: the column is NOT NULL", table,
                       shown(key->name), key->name.data);
    return VDE_OK;
}

vde_status lh_partition_values_check(const struct lh_partition_keys *keys, const struct lh_map *values, const char *table,
                                     struct lh_arena *arena)
{
    for (uint32_t i = 0; i < keys->count; i++) {
        const struct lh_pair *pair = lh_map_find(values, keys->items[i].name);
        if (!pair)
            return lh_fail(LH_VALIDATION, "table %s|no partition value for column %.*s|one, null at least", table,
                           shown(keys->items[i].name), keys->items[i].name.data);
        LH_TRY(check_value(&keys->items[i], pair, table, arena));
    }
    for (uint32_t i = 0; i < values->count; i++) {
        bool known = false;
        for (uint32_t k = 0; k < keys->count && !known; k++)
            known = lh_slice_equal(keys->items[k].name, values->pairs[i].key);
        if (!known)
            return lh_fail(LH_VALIDATION, "table %s|a partition value for column %.*s|one of its partition columns", table,
                           shown(values->pairs[i].key), values->pairs[i].key.data);
    }
    return VDE_OK;
}

/* --- Iceberg's specs ---------------------------------------------------------------------------------------------- */
vde_status lh_partition_specs_read(struct lh_arena *arena, const struct lh_action *metadata, const struct lh_schema *schema,
                                   struct lh_partition_specs *ret_specs)
{
    const struct lh_iceberg *ice = &metadata->iceberg;
    const struct lh_list *columns = &metadata->metadata.partition_columns;
    if (!lh_has(&ice->part, LH_ICE_PARTITION_SPECS)) {
        *ret_specs = (struct lh_partition_specs){NULL, 0, 0, LH_PARTITION_ID_FIRST - 1};
        return lh_partition_evolve(arena, schema, columns->items, columns->count, 2, ret_specs);
    }
    LH_TRY(lh_partition_parse(arena, ice->partition_specs, ret_specs));
    ret_specs->default_id = (int32_t)ice->spec_id;
    ret_specs->last_field_id = (int32_t)ice->last_partition_id;
    return VDE_OK;
}

/* --- putting one in force ----------------------------------------------------------------------------------------- */
static vde_status record_specs(const struct lh_partitioning *p, const struct lh_partition_specs *specs,
                               struct lh_action *metadata)
{
    struct lh_iceberg *ice = &metadata->iceberg;
    struct lh_buffer text = LH_BUFFER_INIT;
    const struct lh_partition_spec *spec = lh_partition_find(specs, specs->default_id);
    struct lh_list names = {lh_arena_alloc(p->arena, (size_t)(spec ? spec->count : 0) + 1, sizeof *names.items), 0};
    if (!names.items)
        return lh_fail_nomem("partitioning");
    for (uint32_t i = 0; spec && i < spec->count; i++)
        names.items[names.count++] = spec->fields[i].name;
    lh_partition_print(specs, &text);
    vde_status status = lh_buffer_status(&text);
    if (status == VDE_OK)
        status = lh_arena_copy(p->arena, (struct lh_slice){text.data, text.size}, &ice->partition_specs);
    lh_buffer_done(&text);
    ice->spec_id = specs->default_id;
    ice->last_partition_id = specs->last_field_id;
    ice->part.set |= LH_ICE_PARTITION_SPECS | LH_ICE_SPEC_ID | LH_ICE_LAST_PARTITION_ID;
    metadata->metadata.partition_columns = names;
    metadata->metadata.part.set |= LH_META_PARTITION_COLUMNS;
    return status;
}

static vde_status settle_iceberg(const struct lh_partitioning *p, const struct lh_schema *schema, struct lh_action *metadata)
{
    struct lh_partition_specs specs = {NULL, 0, 0, LH_PARTITION_ID_FIRST - 1};
    if (!p->create)
        LH_TRY(lh_fail_again(lh_partition_specs_read(p->arena, metadata, schema, &specs), LH_SCHEMA_INCOMPATIBLE));
    if (p->create || p->change)
        LH_TRY(lh_fail_again(lh_partition_evolve(p->arena, schema, p->terms.items, p->terms.count, 2, &specs), LH_VALIDATION));
    LH_TRY(lh_fail_again(lh_partition_check(schema, &specs), LH_SCHEMA_INCOMPATIBLE));
    return p->create || p->change ? record_specs(p, &specs, metadata) : VDE_OK;
}

static vde_status settle_delta(const struct lh_partitioning *p, const struct lh_schema *schema, struct lh_action *metadata)
{
    const struct lh_list *columns = &metadata->metadata.partition_columns;
    struct lh_transform transform;
    struct lh_slice column;
    if (p->change)
        return lh_fail(LH_VALIDATION, "table %s|another partitioning|the present one: Delta tables can't change theirs", p->table);
    for (uint32_t i = 0; p->create && i < columns->count; i++)
        if (!lh_schema_find(schema, columns->items[i]) &&
            lh_transform_parse_term(columns->items[i], &transform, &column) == VDE_OK &&
            (transform.kind != LH_TRANSFORM_IDENTITY || column.size != columns->items[i].size))
            return lh_fail(LH_VALIDATION, "table %s|partition transform %.*s|columns as they are: Delta has no transforms, "
                           "format iceberg has", p->table, shown(columns->items[i]), columns->items[i].data);
    return lh_fail_again(lh_schema_check_partitioning(schema, columns->items, columns->count),
                         p->create ? LH_VALIDATION : LH_SCHEMA_INCOMPATIBLE);
}

vde_status lh_partitioning_settle(const struct lh_partitioning *p, const struct lh_schema *schema, struct lh_action *metadata)
{
    return p->iceberg ? settle_iceberg(p, schema, metadata) : settle_delta(p, schema, metadata);
}
