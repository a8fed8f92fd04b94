/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_table.c -- vdectl table create, list, drop. */
#include "commands.h"
#include "tables.h"

#include <stdlib.h>
#include <string.h>

static int take_format(const struct cli *cli, enum lh_table_format *ret_format)
{
    const char *format = cli_option(cli, "format");
    *ret_format = format && strcmp(format, "iceberg") == 0 ? LH_FORMAT_ICEBERG : LH_FORMAT_DELTA;
    if (format && strcmp(format, format_name(*ret_format)) != 0)
        return cli_usage(cli, "--format", format, "delta or iceberg");
    return CLI_DONE;
}

static int create(struct cli *cli, const struct lh_create *create)
{
    struct lh_commit_result *committed = NULL;
    vde_status status = cli_open_tables(cli);
    if (status == VDE_OK)
        status = lh_table_create(cli->lakehouse, cli->args[0], create, &committed);
    bool existed = status == LH_TABLE_EXISTS && cli_switch(cli, "if-not-exists");
    if (status != VDE_OK && !existed)
        return cli_failed(cli, status);
    if (cli->json) {
        json_t *object = json_object();
        json_put(object, "table", json_str(cli->args[0]));
        json_put(object, "created", json_boolean(!existed));
        if (!existed)
            json_put(object, "commit", commit_json(committed));
        json_print(object);
    } else if (!existed) {
        commit_text(committed);
    }
    lh_free(committed);
    return CLI_DONE;
}

static int run_create(struct cli *cli)
{
    struct lh_create what = LH_CREATE_INIT;
    struct properties properties = {0};
    const char **columns = NULL;
    char *schema = NULL, *partition_by = NULL;
    const char *partition_text = cli_option(cli, "partition-by");
    int result = take_format(cli, &what.format);
    if (result == CLI_DONE)
        result = properties_take(cli, &properties, "property", false);
    if (result == CLI_DONE && partition_text) {
        partition_by = cli_copy(partition_text, strlen(partition_text));
        result = columns_split(cli, partition_by, &columns, &what.partition_count);
    }
    if (result == CLI_DONE)
        result = schema_take(cli, &schema);
    if (result == CLI_DONE && !schema)
        result = cli_usage(cli, "the schema", "none", "--schema 'id BIGINT NOT NULL, day DATE' or --schema-file FILE");
    if (result == CLI_DONE) {
        what.schema = schema;
        what.partition_columns = columns;
        what.properties = properties.items;
        what.property_count = properties.count;
        what.description = cli_option(cli, "description");
        result = create(cli, &what);
    }
    properties_done(&properties);
    free(columns);
    free(partition_by);
    free(schema);
    return result;
}

static const struct cli_option create_options[] = {
    {"schema", "COLUMNS", "columns as DDL: 'id BIGINT NOT NULL, day DATE'"},
    {"schema-file", "FILE", "columns as DDL, as Delta's schemaString or as Iceberg's schema JSON; - for standard input"},
    {"partition-by", "COLUMN,...", "partition columns; in format iceberg also transforms: bucket(16,id), days(ts)"},
    {"format", "delta|iceberg", "format of the transaction log, delta by default"},
    {"property", "KEY=VALUE", "a table property; may be given several times"},
    {"description", "TEXT", "description of the table"},
    {"if-not-exists", NULL, "succeed when it exists already"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_table_create = {
    .noun = "table",
    .verb = "create",
    .arguments = "TABLE",
    .summary = "create a table as version 0",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_WRITES,
    .min_args = 1,
    .max_args = 1,
    .options = create_options,
    .notes = "Partition transforms: bucket(N,column), truncate(W,column), years(column), months, days, hours, void.\n"
             "Types: INT32, INT64, FLOAT, DOUBLE, BINARY, BOOLEAN, STRING, TIMESTAMP_MILLIS, DATE, DECIMAL(p,s), and the\n"
             "names that Delta and Iceberg use. A column may end with NOT NULL and COMMENT 'text'.",
    .run = run_create,
};

/* --- list ------------------------------------------------------------------------------------------------------- */

static json_t *row_json(const struct lh_table_info *info)
{
    json_t *row = json_object();
    json_put(row, "table", json_str(info->name));
    json_put(row, "format", json_str(format_name(info->format)));
    json_put(row, "version", json_u64(info->version));
    json_put(row, "time", json_time(info->time_us));
    json_put(row, "native", json_boolean(info->opaque == NULL));
    json_put(row, "files", info->opaque ? json_null() : json_u64(info->files));
    json_put(row, "bytes", info->opaque ? json_null() : json_u64(info->bytes));
    return row;
}

static void row_text(const struct cli *cli, struct out_table *table, const struct lh_table_info *info)
{
    char text[OUT_TEXT];
    out_table_cell(table, "%s", info->name);
    out_table_cell(table, "%s%s", format_name(info->format), info->opaque ? " (opaque)" : "");
    out_table_cell(table, "%llu", (unsigned long long)info->version);
    out_table_cell(table, "%s", out_time(info->time_us, text));
    if (info->opaque) {
        out_table_cell(table, "unknown");
        out_table_cell(table, "unknown");
    } else {
        out_table_cell(table, "%llu", (unsigned long long)info->files);
        out_table_cell(table, "%s", out_size(cli, info->bytes, text));
    }
}

/* One row per table, described one by one. */
static vde_status list_long(struct cli *cli, const struct lh_strings *names)
{
    static const char *const headings[] = {"table", "format", ">version", "time", ">files", ">size"};
    struct out_table table;
    struct json_stream stream;
    out_table_init(&table, 6, headings);
    if (cli->json)
        json_stream_begin(&stream, json_object(), "tables");
    vde_status status = VDE_OK;
    for (size_t i = 0; i < names->count && status == VDE_OK; i++) {
        struct lh_table_info *info;
        status = lh_table_describe(cli->lakehouse, names->items[i], &info);
        if (status != VDE_OK)
            break;
        if (cli->json)
            json_stream_item(&stream, row_json(info));
        else
            row_text(cli, &table, info);
        lh_free(info);
    }
    out_table_done(&table);
    if (cli->json)
        json_stream_end(&stream);
    return status;
}

static void list_short(const struct cli *cli, const struct lh_strings *names)
{
    struct json_stream stream;
    if (cli->json)
        json_stream_begin(&stream, json_object(), "tables");
    for (size_t i = 0; i < names->count; i++) {
        if (cli->json) {
            json_t *row = json_object();
            json_put(row, "table", json_str(names->items[i]));
            json_stream_item(&stream, row);
        } else {
            out_text(stdout, names->items[i], strlen(names->items[i]));
            putchar('\n');
        }
    }
    if (cli->json)
        json_stream_end(&stream);
}

static int run_list(struct cli *cli)
{
    struct lh_strings *names;
    vde_status status = cli_open_tables(cli);
    bool recursive = cli->arg_count == 0 || cli_switch(cli, "recursive");
    if (status == VDE_OK)
        status = lh_table_list(cli->lakehouse, cli->arg_count ? cli->args[0] : NULL, recursive, &names);
    if (status != VDE_OK)
        return cli_failed(cli, status);
    if (cli_switch(cli, "long"))
        status = list_long(cli, names);
    else
        list_short(cli, names);
    lh_free(names);
    return status == VDE_OK ? CLI_DONE : cli_failed(cli, status);
}

static const struct cli_option list_options[] = {
    {"long", NULL, "format, version, time, files and size too"},
    {"recursive", NULL, "with NAMESPACE: also the tables in namespaces below it"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_table_list = {
    .noun = "table",
    .verb = "list",
    .arguments = "[NAMESPACE]",
    .summary = "list the tables of a namespace, or all",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_READS | CLI_SIZES,
    .min_args = 0,
    .max_args = 1,
    .options = list_options,
    .run = run_list,
};

/* --- drop ------------------------------------------------------------------------------------------------------- */

static int run_drop(struct cli *cli)
{
    vde_status status = cli_open_tables(cli);
    if (status == VDE_OK)
        status = lh_table_drop(cli->lakehouse, cli->args[0], cli_switch(cli, "purge") ? LH_DROP_PURGE : 0);
    bool dropped = status == VDE_OK;
    if (!dropped && !(status == LH_TABLE_NOT_FOUND && cli_switch(cli, "if-exists")))
        return cli_failed(cli, status);
    if (cli->json) {
        json_t *object = json_object();
        json_put(object, "table", json_str(cli->args[0]));
        json_put(object, "dropped", json_boolean(dropped));
        json_print(object);
    }
    return CLI_DONE;
}

static const struct cli_option drop_options[] = {
    {"purge", NULL, "forget its history and data files too, which frees their space"},
    {"if-exists", NULL, "succeed when there is none"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_table_drop = {
    .noun = "table",
    .verb = "drop",
    .arguments = "TABLE",
    .summary = "drop a table; files outside the image are never touched",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_WRITES,
    .min_args = 1,
    .max_args = 1,
    .options = drop_options,
    .run = run_drop,
};
