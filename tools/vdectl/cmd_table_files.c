/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_table_files.c -- vdectl table files: the active files of a table as of one version. */
#include "commands.h"
#include "places.h"
#include "tables.h"

#include <stdlib.h>
#include <string.h>

static json_t *file_json(const struct cli *cli, const struct places *places, const struct lh_file_info *file)
{
    json_t *object = json_object();
    json_put(object, "path", json_str(file->path));
    json_put(object, "size_bytes", known_json(file->size_bytes));
    json_put(object, "modification_time",
             file->modification_time_ms < 0 ? json_null() : json_time((uint64_t)file->modification_time_ms * 1000));
    json_put(object, "records", known_json(file->records));
    json_put(object, "deletion_vector", json_boolean(file->has_deletion_vector));
    json_put(object, "place", json_str(places_find(places, file->path)));
    json_put(object, "file_id", json_u64(file->file_id));
    if (cli_switch(cli, "show-values")) {
        json_put(object, "partition_values", properties_json(file->partition_values, file->partition_count));
        json_put(object, "stats", json_str(file->stats));
    }
    return object;
}

static void file_row(const struct cli *cli, struct out_table *table, const struct places *places,
                     const struct lh_file_info *file)
{
    char text[OUT_TEXT];
    out_table_cell(table, "%s", known_size(cli, file->size_bytes, text));
    out_table_cell(table, "%s", known_text(file->records, text));
    out_table_cell(table, "%s",
                   file->modification_time_ms < 0 ? "unknown"
                                                  : out_time((uint64_t)file->modification_time_ms * 1000, text));
    out_table_cell(table, "%s", places_find(places, file->path));
    if (table->columns == 5) {
        out_table_cell(table, "%s", file->path);
        return;
    }
    char *values = properties_text(file->partition_values, file->partition_count);
    out_table_cell(table, "%s", file->path);
    out_table_cell(table, "%s", values);
    out_table_cell(table, "%s", file->stats ? file->stats : "");
    free(values);
}

static vde_status list_files(struct cli *cli, lh_snapshot *snapshot, const struct places *places)
{
    static const char *const headings[] = {">size", ">records", "modified", "place", "path", "partition", "statistics"};
    bool values = cli_switch(cli, "show-values"), wide = values || cli_switch(cli, "long");
    struct json_stream stream;
    struct out_table table;
    struct lh_file_info file;
    vde_status status = lh_snapshot_next_file(snapshot, &file);
    if (status != VDE_OK && status != VDE_NOT_FOUND) /* refused at once: then nothing is printed */
        return status;
    out_table_init(&table, values ? 7 : 5, headings);
    if (cli->json)
        json_stream_begin(&stream, table_head_json(lh_snapshot_info(snapshot)), "files");
    for (; status == VDE_OK; status = lh_snapshot_next_file(snapshot, &file)) {
        if (cli->json) {
            json_stream_item(&stream, file_json(cli, places, &file));
        } else if (wide) {
            file_row(cli, &table, places, &file);
        } else {
            out_text(stdout, file.path, strlen(file.path));
            putchar('\n');
        }
    }
    out_table_done(&table);
    if (cli->json && status == VDE_NOT_FOUND) /* a failure leaves the document open: nobody takes it for whole */
        json_stream_end(&stream);
    return status == VDE_NOT_FOUND ? VDE_OK : status;
}

static int run_files(struct cli *cli)
{
    lh_snapshot *snapshot = NULL;
    char *address = table_address(cli, cli->args[0]);
    if (!address)
        return CLI_USAGE;
    vde_status status = cli_open_tables(cli);
    if (status == VDE_OK)
        status = lh_snapshot_open(cli->lakehouse, address, &snapshot);
    free(address);
    if (status != VDE_OK)
        return cli_failed(cli, status);
    const struct lh_table_info *info = lh_snapshot_info(snapshot);
    struct places places = {0};
    bool wide = cli->json || cli_switch(cli, "long") || cli_switch(cli, "show-values");
    if (wide && !info->opaque)
        status = places_open(cli->lakehouse, info, &places);
    if (status == VDE_OK)
        status = list_files(cli, snapshot, &places);
    int result = status == VDE_OK ? CLI_DONE : cli_failed(cli, status);
    if (result == CLI_DONE && !cli->json && info->note)
        cli_note("%s", info->note);
    if (result == CLI_DONE && !wide && info->external)
        cli_note("files of this table lie outside the image; --long shows which");
    places_close(&places);
    lh_snapshot_close(snapshot);
    return result;
}

static const struct cli_option files_options[] = {
    OPTIONS_AT,
    {"long", NULL, "size, records, modification time and place too: in the image, outside, or missing"},
    OPTION_SHOW_VALUES,
    {NULL, NULL, NULL},
};

const struct cli_command cmd_table_files = {
    .noun = "table",
    .verb = "files",
    .arguments = "TABLE[@VERSION|@TIME]",
    .summary = "list the active files of a table as of a version, one a line",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_READS | CLI_SIZES,
    .min_args = 1,
    .max_args = 1,
    .options = files_options,
    .run = run_files,
};
