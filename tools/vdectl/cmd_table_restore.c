/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_table_restore.c -- vdectl table restore: a table made what it was at a version. */
#include "commands.h"
#include "tables.h"

#include <stdlib.h>
#include <string.h>

static void print_json(const struct lh_restore_report *report, bool dry_run)
{
    json_t *object = json_object();
    json_put(object, "table", json_str(report->table));
    json_put(object, "restored", json_u64(report->to_version));
    json_put(object, "read_version", json_u64(report->read_version));
    json_put(object, "version", report->version == LH_NO_VERSION ? json_null() : json_u64(report->version));
    json_put(object, "time", report->time_us ? json_time(report->time_us) : json_null());
    json_put(object, "dry_run", json_boolean(dry_run));
    json_put(object, "changed", json_boolean(report->changed));
    json_put(object, "metadata_changed", json_boolean(report->metadata_changed));
    json_put(object, "files_added", json_u64(report->files_added));
    json_put(object, "files_removed", json_u64(report->files_removed));
    json_put(object, "bytes_added", known_json(report->bytes_added));
    json_put(object, "bytes_removed", known_json(report->bytes_removed));
    json_print(object);
}

static void print_text(const struct lh_restore_report *report, bool dry_run)
{
    unsigned long long to = report->to_version;
    out_text(stdout, report->table, strlen(report->table));
    if (!report->changed) {
        printf("@v%llu has what version %llu had: nothing to restore\n", (unsigned long long)report->read_version, to);
        return;
    }
    if (dry_run)
        printf("@v%llu would become", (unsigned long long)report->read_version);
    else
        printf("@v%llu is", (unsigned long long)report->version);
    printf(" version %llu again  files +%llu -%llu%s\n", to, (unsigned long long)report->files_added,
           (unsigned long long)report->files_removed, report->metadata_changed ? "  schema or properties" : "");
}

static int run_restore(struct cli *cli)
{
    struct lh_restore_report *report = NULL;
    bool dry_run = cli_switch(cli, "dry-run");
    char *address = table_address(cli, cli->args[0]);
    if (!address)
        return CLI_USAGE;
    if (!strchr(address, '@')) {
        free(address);
        return cli_usage(cli, "the version", "none", "--version, --timestamp or --tag");
    }
    vde_status status = cli_open_tables(cli);
    if (status == VDE_OK)
        status = lh_table_restore(cli->lakehouse, address, dry_run ? LH_RESTORE_DRY_RUN : 0, &report);
    free(address);
    if (status != VDE_OK)
        return cli_failed(cli, status);
    if (cli->json)
        print_json(report, dry_run);
    else
        print_text(report, dry_run);
    lh_free(report);
    return CLI_DONE;
}

static const struct cli_option restore_options[] = {
    OPTIONS_AT,
    {"dry-run", NULL, "only say what would change"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_table_restore = {
    .noun = "table",
    .verb = "restore",
    .arguments = "TABLE[@VERSION|@TIME]",
    .summary = "commit what makes a table's files, schema and properties those of a version",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_WRITES,
    .min_args = 1,
    .max_args = 1,
    .options = restore_options,
    .notes = "The versions since stay. The protocol and the progress of applications are not taken back. Refused when a data file\n"
             "of that version was removed from the image by force.",
    .run = run_restore,
};
