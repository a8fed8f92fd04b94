/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_table_diff.c -- vdectl table diff: what two versions of a table have apart. */
#include "commands.h"
#include "places.h"
#include "tables.h"

#include <stdlib.h>
#include <string.h>

#define WIDTH 14

static json_t *file_json(const struct cli *cli, const struct places *places, const struct lh_file_info *file)
{
    json_t *object = json_object();
    json_put(object, "path", json_str(file->path));
    json_put(object, "size_bytes", known_json(file->size_bytes));
    json_put(object, "records", known_json(file->records));
    json_put(object, "deletion_vector", json_boolean(file->has_deletion_vector));
    json_put(object, "place", json_str(places_find(places, file->path)));
    if (cli_switch(cli, "show-values"))
        json_put(object, "partition_values", properties_json(file->partition_values, file->partition_count));
    return object;
}

static json_t *files_json(const struct cli *cli, const struct places *places, const struct lh_file_info *files,
                          size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_add(array, file_json(cli, places, &files[i]));
    return array;
}

static json_t *side_json(uint64_t version, uint64_t time_us, const char *ddl)
{
    json_t *object = json_object();
    json_put(object, "version", json_u64(version));
    json_put(object, "time", json_time(time_us));
    json_put(object, "ddl", json_str(ddl));
    return object;
}

static void print_json(const struct cli *cli, const struct places *places, const struct lh_diff *diff)
{
    json_t *object = json_object();
    json_put(object, "table", json_str(diff->table));
    json_put(object, "from", side_json(diff->from_version, diff->from_time_us, diff->from_ddl));
    json_put(object, "to", side_json(diff->to_version, diff->to_time_us, diff->to_ddl));
    json_put(object, "schema_changed", json_boolean(diff->schema_changed));
    json_put(object, "partitioning_changed", json_boolean(diff->partitioning_changed));
    json_put(object, "properties_changed", json_boolean(diff->properties_changed));
    json_put(object, "protocol_changed", json_boolean(diff->protocol_changed));
    json_put(object, "bytes_added", known_json(diff->bytes_added));
    json_put(object, "bytes_removed", known_json(diff->bytes_removed));
    json_put(object, "records_added", known_json(diff->records_added));
    json_put(object, "records_removed", known_json(diff->records_removed));
    json_put(object, "replayed_entries", json_u64(diff->replayed_entries));
    json_put(object, "added", files_json(cli, places, diff->added, diff->added_count));
    json_put(object, "removed", files_json(cli, places, diff->removed, diff->removed_count));
    json_print(object);
}

static void print_files(const struct cli *cli, const struct places *places, char sign, const struct lh_file_info *files,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        printf("%c ", sign);
        out_text(stdout, files[i].path, strlen(files[i].path));
        if (strcmp(places_find(places, files[i].path), "outside") == 0)
            fputs("  (outside the image)", stdout);
        if (cli_switch(cli, "show-values") && files[i].partition_count) {
            char *values = properties_text(files[i].partition_values, files[i].partition_count);
            fputs("  ", stdout);
            out_text(stdout, values, strlen(values));
            free(values);
        }
        putchar('\n');
    }
}

/* The kinds of change besides files and columns, as a list. */
static void print_changed(const struct lh_diff *diff)
{
    const struct { bool changed; const char *name; } kinds[] = {
        {diff->partitioning_changed, "partitioning"},
        {diff->properties_changed, "properties"},
        {diff->protocol_changed, "protocol"},
    };
    char text[64] = "";
    size_t used = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (kinds[i].changed)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", used ? ", " : "", kinds[i].name);
    if (used)
        out_field("changed", WIDTH, "%s", text);
}

static void print_text(const struct cli *cli, const struct places *places, const struct lh_diff *diff)
{
    char a[OUT_TEXT], b[OUT_TEXT];
    out_field("table", WIDTH, "%s", diff->table);
    out_field("from", WIDTH, "v%llu  %s", (unsigned long long)diff->from_version, out_time(diff->from_time_us, a));
    out_field("to", WIDTH, "v%llu  %s", (unsigned long long)diff->to_version, out_time(diff->to_time_us, a));
    out_field("files", WIDTH, "+%zu -%zu", diff->added_count, diff->removed_count);
    out_field("size", WIDTH, "+%s -%s", known_size(cli, diff->bytes_added, a), known_size(cli, diff->bytes_removed, b));
    out_field("records", WIDTH, "+%s -%s", known_text(diff->records_added, a), known_text(diff->records_removed, b));
    if (diff->schema_changed) {
        out_field("schema from", WIDTH, "%s", diff->from_ddl ? diff->from_ddl : "");
        out_field("schema to", WIDTH, "%s", diff->to_ddl ? diff->to_ddl : "");
    }
    print_changed(diff);
    print_files(cli, places, '+', diff->added, diff->added_count);
    print_files(cli, places, '-', diff->removed, diff->removed_count);
}

/* The older side as an address: TABLE@POINT, or the table argument as it stands when it has an '@' already. */
static int take_from(const struct cli *cli, char **ret_address)
{
    const char *table = cli->args[0], *from = cli_option(cli, "from");
    bool addressed = strchr(table, '@') != NULL;
    if (!from && !addressed)
        return cli_usage(cli, "--from", "none", "a version or time, or TABLE@VERSION");
    if (from && addressed)
        return cli_usage(cli, table, "a version after '@' and --from", "one of them");
    if (addressed || strcmp(from, "latest") == 0) {
        *ret_address = cli_copy(table, strlen(table));
        return CLI_DONE;
    }
    char *point = table_point(cli, "from", from);
    if (!point)
        return CLI_USAGE;
    size_t size = strlen(table) + strlen(point) + 2;
    *ret_address = cli_alloc(NULL, size);
    snprintf(*ret_address, size, "%s@%s", table, point);
    free(point);
    return CLI_DONE;
}

/* Where the files are is told by what is stored now, for both sides. */
static vde_status compare(struct cli *cli, const char *from, const char *to)
{
    struct lh_diff *diff = NULL;
    struct lh_table_info *info = NULL;
    struct places places = {0};
    vde_status status = cli_open_tables(cli);
    if (status == VDE_OK)
        status = lh_diff_versions(cli->lakehouse, from, to, &diff);
    if (status == VDE_OK)
        status = lh_table_describe(cli->lakehouse, diff->table, &info);
    if (status == VDE_OK)
        status = places_open(cli->lakehouse, info, &places);
    if (status == VDE_OK && cli->json)
        print_json(cli, &places, diff);
    else if (status == VDE_OK)
        print_text(cli, &places, diff);
    places_close(&places);
    lh_free(info);
    lh_free(diff);
    return status;
}

static int run_diff(struct cli *cli)
{
    const char *to_text = cli_option(cli, "to");
    char *from = NULL, *to = NULL;
    int result = take_from(cli, &from);
    if (result == CLI_DONE) {
        to = table_point(cli, "to", to_text ? to_text : "latest");
        result = to ? CLI_DONE : CLI_USAGE;
    }
    if (result == CLI_DONE) {
        vde_status status = compare(cli, from, to);
        result = status == VDE_OK ? CLI_DONE : cli_failed(cli, status);
    }
    free(from);
    free(to);
    return result;
}

static const struct cli_option diff_options[] = {
    {"from", "POINT", "the one side: a version like 3 or v3, a time, a date, or an age like -2h"},
    {"to", "POINT", "the other side; the latest version by default"},
    OPTION_SHOW_VALUES,
    {NULL, NULL, NULL},
};

const struct cli_command cmd_table_diff = {
    .noun = "table",
    .verb = "diff",
    .arguments = "TABLE[@VERSION|@TIME]",
    .summary = "show what two versions of a table have apart: + only in --to, - only in --from",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_READS | CLI_SIZES,
    .min_args = 1,
    .max_args = 1,
    .options = diff_options,
    .run = run_diff,
};
