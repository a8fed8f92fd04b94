/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_table_undrop.c -- vdectl table undrop: dropped tables, listed and brought back. */
#include "commands.h"
#include "tables.h"

#include <string.h>

static json_t *row_json(const struct lh_dropped_table *table)
{
    json_t *row = json_object();
    json_put(row, "table", json_str(table->name));
    json_put(row, "id", json_u64(table->id));
    json_put(row, "dropped", table->dropped_us ? json_time(table->dropped_us) : json_null());
    json_put(row, "latest_version", json_u64(table->latest_version));
    return row;
}

static void row_text(struct out_table *rows, const struct lh_dropped_table *table)
{
    char text[OUT_TEXT];
    out_table_cell(rows, "%s", table->name);
    out_table_cell(rows, "%s", table->dropped_us ? out_time(table->dropped_us, text) : "unknown");
    out_table_cell(rows, "%llu", (unsigned long long)table->latest_version);
}

static int list(struct cli *cli)
{
    static const char *const headings[] = {"table", "dropped", ">latest version"};
    struct lh_dropped_tables *tables = NULL;
    struct out_table rows;
    vde_status status = cli_open_tables(cli);
    if (status == VDE_OK)
        status = lh_table_list_dropped(cli->lakehouse, &tables);
    if (status != VDE_OK)
        return cli_failed(cli, status);
    if (cli->json) {
        json_t *object = json_object(), *array = json_array();
        for (size_t i = 0; i < tables->count; i++)
            json_add(array, row_json(&tables->tables[i]));
        json_put(object, "table", json_null());
        json_put(object, "dropped", array);
        json_print(object);
    } else {
        out_table_init(&rows, 3, headings);
        for (size_t i = 0; i < tables->count; i++)
            row_text(&rows, &tables->tables[i]);
        out_table_done(&rows);
    }
    lh_free(tables);
    return CLI_DONE;
}

static int run_undrop(struct cli *cli)
{
    const char *as = cli_option(cli, "as");
    bool listed = cli_switch(cli, "list");
    if (listed && (cli->arg_count || as))
        return cli_usage(cli, "--list", as ? "--as beside it" : "a table beside it", "--list alone");
    if (listed)
        return list(cli);
    if (cli->arg_count == 0)
        return cli_usage(cli, "TABLE", "none", "the name of a dropped table, or --list");
    vde_status status = cli_open_tables(cli);
    if (status == VDE_OK)
        status = lh_table_undrop(cli->lakehouse, cli->args[0], as);
    if (status != VDE_OK)
        return cli_failed(cli, status);
    if (cli->json) {
        json_t *object = json_object();
        json_put(object, "table", json_str(as ? as : cli->args[0]));
        json_put(object, "dropped", json_array());
        json_print(object);
    }
    return CLI_DONE;
}

static const struct cli_option undrop_options[] = {
    {"as", "TABLE", "under this name"},
    {"list", NULL, "list the tables that can be brought back"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_table_undrop = {
    .noun = "table",
    .verb = "undrop",
    .arguments = "[TABLE]",
    .summary = "bring back a table that was dropped without --purge, with its history",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_WRITES,
    .min_args = 0,
    .max_args = 1,
    .options = undrop_options,
    .notes = "Of several dropped tables of one name the one that was dropped last comes back.",
    .run = run_undrop,
};
