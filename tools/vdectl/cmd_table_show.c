/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_table_show.c -- vdectl table show: a table as of one version. */
#include "commands.h"
#include "tables.h"

#include <stdlib.h>
#include <string.h>

#define WIDTH 16

static json_t *columns_json(const struct lh_table_info *info)
{
    json_t *columns = json_array();
    for (size_t i = 0; i < info->column_count; i++) {
        const struct lh_column *column = &info->columns[i];
        json_t *object = json_object();
        json_put(object, "name", json_str(column->name));
        json_put(object, "type", json_str(column->type));
        json_put(object, "nullable", json_boolean(column->nullable));
        json_put(object, "comment", json_str(column->comment));
        json_put(object, "field_id", column->field_id ? json_integer(column->field_id) : json_null());
        json_put(object, "partition", json_boolean(column->partition));
        json_add(columns, object);
    }
    return columns;
}

static void show_json(const struct lh_table_info *info, const struct lh_tags *tags)
{
    json_t *object = table_head_json(info), *partition_columns = json_array();
    bool native = info->opaque == NULL;
    for (size_t i = 0; i < info->partition_count; i++)
        json_add(partition_columns, json_str(info->partition_columns[i]));
    json_put(object, "id", json_u64(info->id));
    json_put(object, "format", json_str(format_name(info->format)));
    json_put(object, "opaque", json_str(info->opaque));
    json_put(object, "imported", json_boolean(info->imported));
    json_put(object, "external", json_boolean(info->external));
    json_put(object, "origin", json_str(info->origin));
    json_put(object, "table_uuid", json_str(info->table_uuid));
    json_put(object, "description", json_str(info->description));
    json_put(object, "created", json_time(info->created_us));
    json_put(object, "columns", columns_json(info));
    json_put(object, "ddl", json_str(info->ddl));
    json_put(object, "schema_json", json_str(info->schema_json));
    json_put(object, "partition_columns", partition_columns);
    json_put(object, "properties", properties_json(info->properties, info->property_count));
    json_put(object, "protocol_json", json_str(info->protocol_json));
    json_put(object, "files", native ? json_u64(info->files) : json_null());
    json_put(object, "bytes", native ? json_u64(info->bytes) : json_null());
    json_put(object, "records", native ? known_json(info->records) : json_null());
    json_put(object, "tags", tags_json(tags, NULL));
    json_print(object);
}

static void columns_text(const struct lh_table_info *info)
{
    static const char *const headings[] = {"column", "type", "null", "partition", "comment"};
    struct out_table table;
    out_table_init(&table, 5, headings);
    for (size_t i = 0; i < info->column_count; i++) {
        const struct lh_column *column = &info->columns[i];
        out_table_cell(&table, "%s", column->name);
        out_table_cell(&table, "%s", column->type);
        out_table_cell(&table, "%s", column->nullable ? "yes" : "no");
        out_table_cell(&table, "%s", column->partition ? "yes" : "no");
        out_table_cell(&table, "%s", column->comment ? column->comment : "");
    }
    if (info->column_count)
        putchar('\n');
    out_table_done(&table);
}

static void show_text(const struct cli *cli, const struct lh_table_info *info, const struct lh_tags *tags)
{
    char text[OUT_TEXT];
    out_field("table", WIDTH, "%s", info->name);
    out_field("uri", WIDTH, "%s", info->uri);
    out_field("format", WIDTH, "%s%s%s", format_name(info->format), info->imported ? ", imported from " : "",
              info->imported && info->origin ? info->origin : "");
    if (info->opaque)
        out_field("opaque", WIDTH, "%s: only history and export work", info->opaque);
    out_field("version", WIDTH, "%llu of %llu to %llu", (unsigned long long)info->version,
              (unsigned long long)info->first_version, (unsigned long long)info->latest_version);
    out_field("time", WIDTH, "%s", out_time(info->time_us, text));
    out_field("created", WIDTH, "%s", out_time(info->created_us, text));
    if (info->description)
        out_field("description", WIDTH, "%s", info->description);
    if (!info->opaque) {
        out_field("files", WIDTH, "%llu%s", (unsigned long long)info->files,
                  info->external ? ", some of them outside the image" : "");
        out_field("size", WIDTH, "%s", out_size(cli, info->bytes, text));
        out_field("records", WIDTH, "%s", known_text(info->records, text));
    }
    for (size_t i = 0; i < info->property_count; i++)
        out_field("property", WIDTH, "%s=%s", info->properties[i].key,
                  info->properties[i].value ? info->properties[i].value : "");
    for (size_t i = 0; i < tags->count; i++)
        out_field("tag", WIDTH, "%s of version %llu", tags->tags[i].name, (unsigned long long)tags->tags[i].version);
    columns_text(info);
}

static int show_metadata(struct cli *cli, const char *address)
{
    char *text;
    size_t size;
    vde_status status = lh_iceberg_metadata(cli->lakehouse, address, &text, &size);
    if (status != VDE_OK)
        return cli_failed(cli, status);
    fwrite(text, 1, size, stdout);
    if (size == 0 || text[size - 1] != '\n')
        putchar('\n');
    lh_free(text);
    return CLI_DONE;
}

static int show_info(struct cli *cli, const char *address)
{
    struct lh_table_info *info = NULL;
    struct lh_tags *tags = NULL;
    vde_status status = lh_table_describe(cli->lakehouse, address, &info);
    if (status == VDE_OK)
        status = lh_tag_list(cli->lakehouse, info->name, &tags);
    if (status == VDE_OK && cli->json) {
        show_json(info, tags);
    } else if (status == VDE_OK) {
        show_text(cli, info, tags);
        if (info->note)
            cli_note("%s", info->note);
    }
    lh_free(tags);
    lh_free(info);
    return status == VDE_OK ? CLI_DONE : cli_failed(cli, status);
}

static int run_show(struct cli *cli)
{
    char *address = table_address(cli, cli->args[0]);
    if (!address)
        return CLI_USAGE;
    vde_status status = cli_open_tables(cli);
    int result = status != VDE_OK ? cli_failed(cli, status)
                 : cli_switch(cli, "metadata-json") ? show_metadata(cli, address)
                                                    : show_info(cli, address);
    free(address);
    return result;
}

static const struct cli_option show_options[] = {
    OPTIONS_AT,
    {"metadata-json", NULL, "print an Iceberg table's metadata as its JSON document"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_table_show = {
    .noun = "table",
    .verb = "show",
    .arguments = "TABLE[@VERSION|@TIME]",
    .summary = "show schema, properties and totals of a table as of a version",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_READS | CLI_SIZES,
    .min_args = 1,
    .max_args = 1,
    .options = show_options,
    .run = run_show,
};
