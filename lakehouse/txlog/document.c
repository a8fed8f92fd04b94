/* SPDX-License-Identifier: Apache-2.0 */
/* document.c -- a transaction from its JSON document. It goes through the tokenizer that keeps every number's text, since
 * its actions are foreign text. */
#include <stdlib.h>

#include "state/fail.h"
#include "txlog/txn.h"

struct document {
    struct lh_txn *txn;
    struct lh_json json;
    const char *table;           /* for messages; NULL: the document itself */
    size_t member;
};

static vde_status wrong(const struct document *d, const char *what, uint32_t token, const char *expected)
{
    const char *found = token == LH_JSON_NONE ? "nothing" : lh_json_kind_name(lh_json_kind_of(&d->json, token));
    if (d->table)
        return lh_fail(LH_JSON, "%s of table %s|%s|%s", what, d->table, found, expected);
    return lh_fail(LH_JSON, "%s of the transaction|%s|%s", what, found, expected);
}

/* NUL-terminated in the transaction's arena. */
static vde_status text_of(struct document *d, const char *what, uint32_t token, const char **ret_text)
{
    struct lh_slice value, copy;
    if (lh_json_kind_of(&d->json, token) != LH_JSON_STRING)
        return wrong(d, what, token, "a string");
    LH_TRY(lh_json_string(&d->json, token, &d->txn->arena, &value));
    if (value.size && memchr(value.data, '\0', value.size))
        return wrong(d, what, token, "a string without NUL");
    LH_TRY(lh_txn_text(d->txn, value, &copy));
    *ret_text = copy.data;
    return VDE_OK;
}

static vde_status version_of(struct document *d, const char *what, uint32_t token, uint64_t *ret_version)
{
    int64_t value;
    if (token == LH_JSON_NONE || lh_json_kind_of(&d->json, token) == LH_JSON_NULL)
        return VDE_OK;
    if (!lh_json_int64(&d->json, token, &value) || value < 0)
        return wrong(d, what, token, "a whole number from 0 on");
    *ret_version = (uint64_t)value;
    return VDE_OK;
}

static vde_status check_members(struct document *d, uint32_t object, const char *what, const char *const *known)
{
    uint32_t key = lh_json_first(&d->json, object);
    for (uint32_t i = 0; key != LH_JSON_NONE && i < d->json.tokens[object].count; i++) {
        bool found = false;
        for (size_t k = 0; known[k] && !found; k++)
            found = lh_json_string_is(&d->json, key, known[k]);
        if (!found) {
            struct lh_slice name = lh_json_inner(&d->json, key);
            return lh_fail(LH_VALIDATION, "%s%s%s|member %.*s|a known one", what, d->table ? " of table " : "",
                           d->table ? d->table : "", (int)(name.size < 60 ? name.size : 60), name.data);
        }
        key = d->json.tokens[key + 1].next;
    }
    return VDE_OK;
}

/* {"key":"value"|null,...} */
static vde_status properties_of(struct document *d, const char *what, uint32_t object, struct lh_property **ret,
                                size_t *ret_count)
{
    *ret = NULL;
    *ret_count = 0;
    if (object == LH_JSON_NONE)
        return VDE_OK;
    if (lh_json_kind_of(&d->json, object) != LH_JSON_OBJECT)
        return wrong(d, what, object, "an object of strings");
    uint32_t count = d->json.tokens[object].count, key = lh_json_first(&d->json, object);
    struct lh_property *all = lh_arena_alloc(&d->txn->arena, count + 1, sizeof *all);
    if (!all)
        return lh_fail_nomem("transaction");
    for (uint32_t i = 0; i < count; i++) {
        LH_TRY(text_of(d, what, key, &all[i].key));
        if (lh_json_kind_of(&d->json, key + 1) != LH_JSON_NULL)
            LH_TRY(text_of(d, what, key + 1, &all[i].value));
        key = d->json.tokens[key + 1].next;
    }
    *ret = all;
    *ret_count = count;
    return VDE_OK;
}

static vde_status strings_of(struct document *d, const char *what, uint32_t array, const char ***ret, size_t *ret_count)
{
    *ret = NULL;
    *ret_count = 0;
    if (array == LH_JSON_NONE)
        return VDE_OK;
    if (lh_json_kind_of(&d->json, array) != LH_JSON_ARRAY)
        return wrong(d, what, array, "an array of strings");
    uint32_t count = d->json.tokens[array].count, item = lh_json_first(&d->json, array);
    const char **all = lh_arena_alloc(&d->txn->arena, count + 1, sizeof *all);
    if (!all)
        return lh_fail_nomem("transaction");
    for (uint32_t i = 0; i < count; i++) {
        if (lh_json_kind_of(&d->json, item) != LH_JSON_NULL)
            LH_TRY(text_of(d, what, item, &all[i]));
        item = d->json.tokens[item].next;
    }
    *ret = all;
    *ret_count = count;
    return VDE_OK;
}

/* A schema may be text or the JSON object itself. */
static vde_status schema_of(struct document *d, uint32_t token, const char **ret_text)
{
    struct lh_slice copy;
    if (lh_json_kind_of(&d->json, token) == LH_JSON_STRING)
        return text_of(d, "schema", token, ret_text);
    if (lh_json_kind_of(&d->json, token) != LH_JSON_OBJECT)
        return wrong(d, "schema", token, "a string or an object");
    LH_TRY(lh_txn_text(d->txn, lh_json_raw(&d->json, token), &copy));
    *ret_text = copy.data;
    return VDE_OK;
}

static vde_status partition_by(struct document *d, uint32_t object, const char *const **ret_columns, size_t *ret_count)
{
    const char **columns;
    LH_TRY(strings_of(d, "partitionBy", lh_json_find(&d->json, object, "partitionBy"), &columns, ret_count));
    for (size_t i = 0; i < *ret_count; i++)
        if (!columns[i])
            return lh_fail(LH_JSON, "partitionBy of table %s|null|columns or transforms of them", d->table);
    *ret_columns = columns;
    return VDE_OK;
}

static vde_status create_of(struct document *d, uint32_t object, struct lh_create *create)
{
    static const char *const known[] = {"schema", "format", "partitionBy", "properties", "description", NULL};
    if (lh_json_kind_of(&d->json, object) != LH_JSON_OBJECT)
        return wrong(d, "create", object, "an object");
    LH_TRY(check_members(d, object, "create", known));
    uint32_t schema = lh_json_find(&d->json, object, "schema"), format = lh_json_find(&d->json, object, "format");
    uint32_t description = lh_json_find(&d->json, object, "description");
    if (schema != LH_JSON_NONE)
        LH_TRY(schema_of(d, schema, &create->schema));
    if (format != LH_JSON_NONE) {
        if (lh_json_string_is(&d->json, format, "iceberg"))
            create->format = LH_FORMAT_ICEBERG;
        else if (!lh_json_string_is(&d->json, format, "delta"))
            return lh_fail(LH_VALIDATION, "format of table %s|another|\"delta\" or \"iceberg\"", d->table);
    }
    if (description != LH_JSON_NONE)
        LH_TRY(text_of(d, "description", description, &create->description));
    struct lh_property *properties;
    LH_TRY(partition_by(d, object, &create->partition_columns, &create->partition_count));
    LH_TRY(properties_of(d, "properties", lh_json_find(&d->json, object, "properties"), &properties,
                         &create->property_count));
    create->properties = properties;
    return VDE_OK;
}

/* {"column":"value"|null|["v1",...],...} */
static vde_status columns_of(struct document *d, const char *what, uint32_t object, struct lh_read_column **ret,
                             size_t *ret_count)
{
    uint32_t count = d->json.tokens[object].count, key = lh_json_first(&d->json, object);
    struct lh_read_column *columns = lh_arena_alloc(&d->txn->arena, count + 1, sizeof *columns);
    if (!columns)
        return lh_fail_nomem("transaction");
    for (uint32_t i = 0; i < count; i++) {
        uint32_t value = key + 1;
        const char **values = NULL;
        LH_TRY(text_of(d, what, key, &columns[i].column));
        if (lh_json_kind_of(&d->json, value) == LH_JSON_ARRAY) {
            LH_TRY(strings_of(d, what, value, &values, &columns[i].value_count));
        } else {
            values = lh_arena_alloc(&d->txn->arena, 1, sizeof *values);
            if (!values)
                return lh_fail_nomem("transaction");
            if (lh_json_kind_of(&d->json, value) != LH_JSON_NULL)
                LH_TRY(text_of(d, what, value, &values[0]));
            columns[i].value_count = 1;
        }
        columns[i].values = values;
        key = d->json.tokens[value].next;
    }
    *ret = columns;
    *ret_count = count;
    return VDE_OK;
}

static vde_status take_predicate(struct document *d, uint32_t object)
{
    struct lh_read_column *columns;
    size_t count;
    LH_TRY(columns_of(d, "reads", object, &columns, &count));
    return lh_txn_read_partitions(d->txn, d->member, columns, count);
}

static vde_status take_overwrite(struct document *d, uint32_t token)
{
    struct lh_read_column *columns;
    size_t count;
    switch (lh_json_kind_of(&d->json, token)) {
    case LH_JSON_NULL:
    case LH_JSON_FALSE:
        return VDE_OK;
    case LH_JSON_TRUE:
        return lh_txn_overwrite(d->txn, d->member, NULL, 0);
    case LH_JSON_OBJECT:
        LH_TRY(columns_of(d, "overwrite", token, &columns, &count));
        if (count)
            return lh_txn_overwrite(d->txn, d->member, columns, count);
        return wrong(d, "overwrite", token, "an object with members, or true for the whole table");
    default:
        return wrong(d, "overwrite", token, "true, or an object of partition columns");
    }
}

static vde_status take_replace(struct document *d, uint32_t array)
{
    const char **paths;
    size_t count;
    if (array == LH_JSON_NONE)
        return VDE_OK;
    LH_TRY(strings_of(d, "replace", array, &paths, &count));
    return lh_txn_replace_files(d->txn, d->member, paths, count);
}

static vde_status take_reads(struct document *d, uint32_t reads)
{
    switch (lh_json_kind_of(&d->json, reads)) {
    case LH_JSON_NULL:
        return VDE_OK;
    case LH_JSON_STRING:
        if (!lh_json_string_is(&d->json, reads, "all"))
            return wrong(d, "reads", reads, "\"all\", an array of paths, or an object");
        return lh_txn_read_all(d->txn, d->member);
    case LH_JSON_ARRAY: {
        const char **paths;
        size_t count;
        LH_TRY(strings_of(d, "reads", reads, &paths, &count));
        for (size_t i = 0; i < count; i++)
            LH_TRY(lh_txn_read_file(d->txn, d->member, paths[i] ? paths[i] : ""));
        return VDE_OK;
    }
    case LH_JSON_OBJECT:
        return take_predicate(d, reads);
    default:
        return wrong(d, "reads", reads, "\"all\", an array of paths, or an object");
    }
}

static vde_status take_read_apps(struct document *d, uint32_t array)
{
    const char **apps;
    size_t count;
    LH_TRY(strings_of(d, "readApps", array, &apps, &count));
    for (size_t i = 0; i < count; i++)
        LH_TRY(lh_txn_read_app(d->txn, d->member, apps[i]));
    return VDE_OK;
}

/* Our own two, which Delta lacks; false when the object is none of them. */
static vde_status take_partition_action(struct document *d, uint32_t object, bool *ret_taken)
{
    uint32_t add = lh_json_find(&d->json, object, "addPartition");
    uint32_t remove = lh_json_find(&d->json, object, "removePartition");
    uint32_t body = add != LH_JSON_NONE ? add : remove;
    *ret_taken = body != LH_JSON_NONE;
    if (!*ret_taken)
        return VDE_OK;
    struct lh_property *values;
    size_t count;
    if (lh_json_kind_of(&d->json, body) != LH_JSON_OBJECT)
        return wrong(d, "partition action", body, "an object");
    LH_TRY(properties_of(d, "partitionValues", lh_json_find(&d->json, body, "partitionValues"), &values, &count));
    return add != LH_JSON_NONE ? lh_txn_add_partition(d->txn, d->member, values, count)
                               : lh_txn_remove_partition(d->txn, d->member, values, count);
}

/* Logs of others may hold actions that came after us. In our own document it is a slip of the pen. */
static vde_status unknown_action(const struct document *d, uint32_t object)
{
    uint32_t key = lh_json_first(&d->json, object);
    struct lh_slice name = key == LH_JSON_NONE ? LH_SLICE("without a name") : lh_json_inner(&d->json, key);
    return lh_fail(LH_VALIDATION, "actions of table %s|action %.*s|add, remove, metaData, protocol, txn, domainMetadata, "
                   "commitInfo, cdc, addPartition or removePartition", d->table, (int)(name.size < 60 ? name.size : 60),
                   name.data);
}

static vde_status take_actions(struct document *d, uint32_t array)
{
    if (array == LH_JSON_NONE)
        return VDE_OK;
    if (lh_json_kind_of(&d->json, array) != LH_JSON_ARRAY)
        return wrong(d, "actions", array, "an array");
    uint32_t item = lh_json_first(&d->json, array);
    for (uint32_t i = 0; i < d->json.tokens[array].count; i++) {
        bool taken;
        struct lh_action action;
        struct lh_member_txn *member;
        if (lh_json_kind_of(&d->json, item) != LH_JSON_OBJECT)
            return wrong(d, "actions", item, "objects");
        LH_TRY(take_partition_action(d, item, &taken));
        if (!taken) {
            lh_decoder_reset(&d->txn->decoder);
            LH_TRY(lh_fail_again(lh_action_from_tokens(&d->txn->decoder, &d->json, item, &action), LH_JSON));
            if (action.kind == LH_ACTION_UNKNOWN)
                return unknown_action(d, item);
            LH_TRY(lh_txn_member_at(d->txn, d->member, &member));
            LH_TRY(lh_member_action(d->txn, member, &action));
        }
        item = d->json.tokens[item].next;
    }
    return VDE_OK;
}

static vde_status take_guarantees(struct document *d, uint32_t array)
{
    const char **names;
    size_t count;
    LH_TRY(strings_of(d, "guarantees", array, &names, &count));
    for (size_t i = 0; i < count; i++)
        LH_TRY(lh_txn_guarantee(d->txn, d->member, names[i]));
    return VDE_OK;
}

static vde_status take_table(struct document *d, uint32_t object)
{
    static const char *const known[] = {"table", "create", "readVersion", "expectVersion", "reads", "readApps", "operation",
                                        "properties", "schema", "partitionBy", "overwrite", "replace",
                                        "actions", "guarantees", "upgradeProtocol",
                                        "userMetadata", "engineInfo", NULL};
    struct lh_member member = LH_MEMBER_INIT;
    struct lh_create create = LH_CREATE_INIT;
    struct lh_property *properties;
    const char *user = NULL, *engine = NULL, *schema = NULL;
    size_t count;
    d->table = NULL;
    if (lh_json_kind_of(&d->json, object) != LH_JSON_OBJECT)
        return wrong(d, "tables", object, "objects");
    LH_TRY(text_of(d, "table", lh_json_find(&d->json, object, "table"), &d->table));
    LH_TRY(check_members(d, object, "entry", known));
    uint32_t token = lh_json_find(&d->json, object, "create");
    if (token != LH_JSON_NONE) {
        LH_TRY(create_of(d, token, &create));
        member.create = &create;
    }
    LH_TRY(version_of(d, "readVersion", lh_json_find(&d->json, object, "readVersion"), &member.read_version));
    LH_TRY(version_of(d, "expectVersion", lh_json_find(&d->json, object, "expectVersion"), &member.expect_version));
    if ((token = lh_json_find(&d->json, object, "operation")) != LH_JSON_NONE)
        LH_TRY(text_of(d, "operation", token, &member.operation));
    LH_TRY(lh_txn_table(d->txn, d->table, &member, &d->member));
    if ((token = lh_json_find(&d->json, object, "reads")) != LH_JSON_NONE)
        LH_TRY(take_reads(d, token));
    LH_TRY(take_read_apps(d, lh_json_find(&d->json, object, "readApps")));
    LH_TRY(properties_of(d, "properties", lh_json_find(&d->json, object, "properties"), &properties, &count));
    if (count)
        LH_TRY(lh_txn_set_properties(d->txn, d->member, properties, count));
    if ((token = lh_json_find(&d->json, object, "schema")) != LH_JSON_NONE) {
        LH_TRY(schema_of(d, token, &schema));
        LH_TRY(lh_txn_set_schema(d->txn, d->member, schema));
    }
    if (lh_json_find(&d->json, object, "partitionBy") != LH_JSON_NONE) {
        const char *const *columns;
        LH_TRY(partition_by(d, object, &columns, &count));
        LH_TRY(lh_txn_set_partitioning(d->txn, d->member, columns, count));
    }
    if (lh_json_kind_of(&d->json, lh_json_find(&d->json, object, "upgradeProtocol")) == LH_JSON_TRUE)
        LH_TRY(lh_txn_allow_upgrade(d->txn, d->member));
    if ((token = lh_json_find(&d->json, object, "userMetadata")) != LH_JSON_NONE)
        LH_TRY(text_of(d, "userMetadata", token, &user));
    if ((token = lh_json_find(&d->json, object, "engineInfo")) != LH_JSON_NONE)
        LH_TRY(text_of(d, "engineInfo", token, &engine));
    LH_TRY(lh_txn_commit_info(d->txn, d->member, user, engine));
    if ((token = lh_json_find(&d->json, object, "guarantees")) != LH_JSON_NONE)
        LH_TRY(take_guarantees(d, token));
    LH_TRY(take_overwrite(d, lh_json_find(&d->json, object, "overwrite")));
    LH_TRY(take_replace(d, lh_json_find(&d->json, object, "replace")));
    return take_actions(d, lh_json_find(&d->json, object, "actions"));
}

static vde_status take_document(struct document *d)
{
    static const char *const known[] = {"isolation", "idempotencyKey", "tables", NULL};
    if (lh_json_kind_of(&d->json, 0) != LH_JSON_OBJECT)
        return wrong(d, "document", 0, "an object");
    LH_TRY(check_members(d, 0, "transaction", known));
    uint32_t token = lh_json_find(&d->json, 0, "isolation");
    if (token != LH_JSON_NONE) {
        bool weak = lh_json_string_is(&d->json, token, "WriteSerializable");
        if (!weak && !lh_json_string_is(&d->json, token, "Serializable"))
            return lh_fail(LH_VALIDATION, "isolation of the transaction|another|Serializable or WriteSerializable");
        lh_txn_isolation(d->txn, weak ? LH_WRITE_SERIALIZABLE : LH_SERIALIZABLE);
    }
    if ((token = lh_json_find(&d->json, 0, "idempotencyKey")) != LH_JSON_NONE) {
        const char *key;
        LH_TRY(text_of(d, "idempotencyKey", token, &key));
        LH_TRY(lh_txn_idempotency_key(d->txn, key));
    }
    uint32_t tables = lh_json_find(&d->json, 0, "tables");
    if (lh_json_kind_of(&d->json, tables) != LH_JSON_ARRAY)
        return wrong(d, "tables", tables, "an array");
    uint32_t item = lh_json_first(&d->json, tables);
    for (uint32_t i = 0; i < d->json.tokens[tables].count; i++) {
        LH_TRY(take_table(d, item));
        item = d->json.tokens[item].next;
    }
    return VDE_OK;
}

vde_status lh_txn_from_json(lh_lakehouse *lakehouse, const char *json, size_t size, lh_txn **ret_txn)
{
    lh_txn *txn = NULL;
    LH_TRY(lh_txn_create(lakehouse, &txn));
    struct document d = {.txn = txn, .json = LH_JSON_INIT};
    vde_status status = lh_fail_again(lh_json_parse(&d.json, json, size), LH_JSON);
    if (status == VDE_OK)
        status = take_document(&d);
    lh_json_done(&d.json);
    if (status != VDE_OK) {
        lh_txn_destroy(txn);
        return status;
    }
    *ret_txn = txn;
    return VDE_OK;
}
