/* SPDX-License-Identifier: Apache-2.0 */
/* tables.c -- what the verbs about tables share. */
#include "tables.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static char *join(const char *table, const char *point)
{
    size_t size = strlen(table) + strlen(point) + 2;
    char *address = cli_alloc(NULL, size);
    snprintf(address, size, "%s@%s", table, point);
    return address;
}

char *table_point(const struct cli *cli, const char *option, const char *text)
{
    uint64_t version, time_us;
    char object[64], point[OUT_TEXT];
    const char *digits = text[0] == 'v' ? text + 1 : text;
    if (strncmp(text, "tag:", 4) == 0 && text[4])
        return cli_copy(text, strlen(text));
    if (strcmp(text, "latest") == 0) {
        snprintf(point, sizeof point, "latest");
    } else if (parse_u64(digits, &version)) {
        snprintf(point, sizeof point, "v%llu", (unsigned long long)version);
    } else if (lh_time_parse(text, cli_now_us(), &time_us) == VDE_OK) {
        out_time(time_us, point);
    } else {
        snprintf(object, sizeof object, "--%s", option);
        cli_usage(cli, object, text, "a version like 3 or v3, a time like 2026-11-20T10:00:00Z, a date, an age like -2h, or tag:NAME");
        return NULL;
    }
    return cli_copy(point, strlen(point));
}

bool table_version_option(const struct cli *cli, const char *option, uint64_t *ret_version)
{
    const char *text = cli_option(cli, option);
    char object[64];
    if (!text || (text[0] && parse_u64(text[0] == 'v' ? text + 1 : text, ret_version)))
        return true;
    snprintf(object, sizeof object, "--%s", option);
    cli_usage(cli, object, text, "a version like 3 or v3");
    return false;
}

char *table_address(const struct cli *cli, const char *table)
{
    static const char *const ways[] = {"version", "timestamp", "tag"};
    const char *version = cli_option(cli, "version"), *timestamp = cli_option(cli, "timestamp");
    const char *tag = cli_option(cli, "tag");
    if (cli_exclusive(cli, ways, 3) != CLI_DONE)
        return NULL;
    if (!version && !timestamp && !tag)
        return cli_copy(table, strlen(table));
    if (strchr(table, '@')) {
        cli_usage(cli, table,
                  version ? "a version after '@' and --version" : tag ? "a version after '@' and --tag"
                                                                      : "a version after '@' and --timestamp",
                  "one of them");
        return NULL;
    }
    uint64_t number = 0, time_us = 0;
    char point[4 + 256 + OUT_TEXT];
    if (version) {
        if (!table_version_option(cli, "version", &number))
            return NULL;
        snprintf(point, sizeof point, "v%llu", (unsigned long long)number);
    } else if (tag) {
        if (strlen(tag) > 255) {
            cli_usage(cli, "--tag", "a name of more than 255 bytes", "1 to 255 bytes");
            return NULL;
        }
        snprintf(point, sizeof point, "tag:%s", tag);
    } else if (lh_time_parse(timestamp, cli_now_us(), &time_us) == VDE_OK) {
        out_time(time_us, point);
    } else {
        cli_usage(cli, "--timestamp", timestamp, "a time like 2026-11-20T10:00:00Z, a date or an age like -2h");
        return NULL;
    }
    return join(table, point);
}

/* --- tags ------------------------------------------------------------------------------------------------------- */

json_t *tags_json(const struct lh_tags *tags, const uint64_t *version)
{
    json_t *array = json_array();
    for (size_t i = 0; i < tags->count; i++) {
        const struct lh_tag *tag = &tags->tags[i];
        if (version) {
            if (tag->version == *version)
                json_add(array, json_str(tag->name));
            continue;
        }
        json_t *object = json_object();
        json_put(object, "name", json_str(tag->name));
        json_put(object, "version", json_u64(tag->version));
        json_put(object, "created", json_time(tag->created_us));
        json_add(array, object);
    }
    return array;
}

char *tags_text(const struct lh_tags *tags, uint64_t version)
{
    size_t size = 1, used = 0;
    for (size_t i = 0; i < tags->count; i++)
        size += strlen(tags->tags[i].name) + 2;
    char *text = cli_alloc(NULL, size);
    text[0] = '\0';
    for (size_t i = 0; i < tags->count; i++)
        if (tags->tags[i].version == version)
            used += (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "", tags->tags[i].name);
    return text;
}

/* --- properties ------------------------------------------------------------------------------------------------- */

int properties_add(const struct cli *cli, struct properties *properties, const char *object, const char *text, bool null)
{
    const char *equals = strchr(text, '=');
    size_t key_size = equals ? (size_t)(equals - text) : strlen(text);
    if (key_size == 0 || (!equals && !null))
        return cli_usage(cli, object, text, null ? "KEY=VALUE, or KEY alone for null" : "KEY=VALUE");
    properties->items = cli_alloc(properties->items, (properties->count + 1) * sizeof properties->items[0]);
    properties->items[properties->count++] = (struct lh_property){
        .key = cli_copy(text, key_size),
        .value = equals ? cli_copy(equals + 1, strlen(equals + 1)) : NULL,
    };
    return CLI_DONE;
}

int properties_take(const struct cli *cli, struct properties *properties, const char *name, bool null)
{
    char object[64];
    const char *text;
    snprintf(object, sizeof object, "--%s", name);
    for (uint32_t position = 0; (text = cli_option_next(cli, name, &position)) != NULL;) {
        int status = properties_add(cli, properties, object, text, null);
        if (status != CLI_DONE)
            return status;
    }
    for (uint32_t position = 0; (text = cli_option_next(cli, "unset", &position)) != NULL;) {
        if (!text[0] || strchr(text, '='))
            return cli_usage(cli, "--unset", text, "a key");
        int status = properties_add(cli, properties, "--unset", text, true);
        if (status != CLI_DONE)
            return status;
    }
    return CLI_DONE;
}

void properties_done(struct properties *properties)
{
    for (size_t i = 0; i < properties->count; i++) {
        free((void *)(uintptr_t)properties->items[i].key);
        free((void *)(uintptr_t)properties->items[i].value);
    }
    free(properties->items);
    *properties = (struct properties){0};
}

json_t *properties_json(const struct lh_property *properties, size_t count)
{
    json_t *object = json_object();
    for (size_t i = 0; i < count; i++) {
        json_t *key = json_str(properties[i].key); /* keys have to be UTF-8 as well */
        json_put(object, json_string_value(key), json_str(properties[i].value));
        json_decref(key);
    }
    return object;
}

char *properties_text(const struct lh_property *properties, size_t count)
{
    size_t size = 1, used = 0;
    for (size_t i = 0; i < count; i++)
        size += strlen(properties[i].key) + (properties[i].value ? strlen(properties[i].value) : 4) + 3;
    char *text = cli_alloc(NULL, size);
    text[0] = '\0';
    for (size_t i = 0; i < count; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s=%s", i ? ", " : "", properties[i].key,
                                 properties[i].value ? properties[i].value : "null");
    return text;
}

/* --- numbers and names ------------------------------------------------------------------------------------------ */

json_t *known_json(int64_t value)
{
    return value == LH_UNKNOWN ? json_null() : json_integer(value);
}

const char *known_text(int64_t value, char text[OUT_TEXT])
{
    if (value == LH_UNKNOWN)
        snprintf(text, OUT_TEXT, "unknown");
    else
        snprintf(text, OUT_TEXT, "%lld", (long long)value);
    return text;
}

const char *known_size(const struct cli *cli, int64_t bytes, char text[OUT_TEXT])
{
    return bytes < 0 ? known_text(bytes, text) : out_size(cli, (uint64_t)bytes, text);
}

const char *format_name(enum lh_table_format format)
{
    return format == LH_FORMAT_ICEBERG ? "iceberg" : "delta";
}

json_t *table_head_json(const struct lh_table_info *info)
{
    json_t *object = json_object();
    json_put(object, "table", json_str(info->name));
    json_put(object, "uri", json_str(info->uri));
    json_put(object, "version", json_u64(info->version));
    json_put(object, "time", json_time(info->time_us));
    json_put(object, "first_version", json_u64(info->first_version));
    json_put(object, "latest_version", json_u64(info->latest_version));
    json_put(object, "note", json_str(info->note));
    json_put(object, "replayed_entries", json_u64(info->replayed_entries));
    return object;
}

/* --- commit results --------------------------------------------------------------------------------------------- */

json_t *commit_json(const struct lh_commit_result *result)
{
    json_t *object = json_object(), *tables = json_array();
    for (size_t i = 0; i < result->count; i++) {
        const struct lh_committed *one = &result->tables[i];
        json_t *table = json_object();
        json_put(table, "table", json_str(one->table));
        json_put(table, "uri", json_str(one->uri));
        json_put(table, "table_id", json_u64(one->table_id));
        json_put(table, "version", one->version == LH_NO_VERSION ? json_null() : json_u64(one->version));
        json_put(table, "snapshot_id", known_json(one->snapshot_id));
        json_put(table, "commit_id", one->commit_id[0] ? json_str(one->commit_id) : json_null());
        json_add(tables, table);
    }
    json_put(object, "group", json_str(result->group));
    json_put(object, "time", json_time(result->time_us));
    json_put(object, "lsn", json_u64(result->lsn));
    json_put(object, "already_applied", json_boolean(result->already_applied));
    json_put(object, "tables", tables);
    return object;
}

void commit_text(const struct lh_commit_result *result)
{
    char text[OUT_TEXT];
    for (size_t i = 0; i < result->count; i++) {
        const struct lh_committed *one = &result->tables[i];
        out_text(stdout, one->table, strlen(one->table));
        if (one->version == LH_NO_VERSION)
            fputs(" validated", stdout);
        else
            printf("@v%llu", (unsigned long long)one->version);
        printf("  %s  group %s%s\n", out_time(result->time_us, text), result->group,
               result->already_applied ? "  (applied before)" : "");
    }
}

int commit_print(const struct cli *cli, struct lh_commit_result *result)
{
    if (cli->json)
        json_print(commit_json(result));
    else
        commit_text(result);
    lh_free(result);
    return CLI_DONE;
}

int schema_take(const struct cli *cli, char **ret_text)
{
    static const char *const both[] = {"schema", "schema-file"};
    const char *text = cli_option(cli, "schema"), *file = cli_option(cli, "schema-file");
    size_t size;
    *ret_text = NULL;
    int status = cli_exclusive(cli, both, 2);
    if (status != CLI_DONE)
        return status;
    if (file) {
        status = cli_read_file(cli, file, ret_text, &size);
        if (status == CLI_DONE && strlen(*ret_text) != size) {
            free(*ret_text);
            *ret_text = NULL;
            return cli_error(cli, LH_SCHEMA, file, "a NUL byte", "text");
        }
        return status;
    }
    *ret_text = text ? cli_copy(text, strlen(text)) : NULL;
    return CLI_DONE;
}

int columns_split(const struct cli *cli, char *text, const char ***ret_columns, size_t *ret_count)
{
    size_t count = 1;
    unsigned depth = 0;
    for (const char *p = text; *p; p++)
        count += *p == ',';
    const char **columns = cli_alloc(NULL, count * sizeof columns[0]);
    char *start = text;
    count = 0;
    for (char *at = text;; at++) {
        depth += *at == '(';
        depth -= depth && *at == ')';
        bool last = *at == '\0';
        if (!last && (*at != ',' || depth))
            continue;
        *at = '\0';
        if (!*start) {
            free(columns);
            return cli_usage(cli, "--partition-by", "an empty name", "columns, or transforms of them, separated by commas");
        }
        columns[count++] = start;
        start = at + 1;
        if (last)
            break;
    }
    *ret_columns = columns;
    *ret_count = count;
    return CLI_DONE;
}
