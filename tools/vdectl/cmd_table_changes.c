/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_table_changes.c -- vdectl table changes: the files that each version of a range added and removed. */
#include "commands.h"
#include "tables.h"

#include <stdlib.h>
#include <string.h>

static json_t *file_json(const struct cli *cli, const struct lh_change *change)
{
    const struct lh_file_info *file = &change->file;
    json_t *object = json_object();
    json_put(object, "path", json_str(file->path));
    json_put(object, "size_bytes", known_json(file->size_bytes));
    json_put(object, "records", known_json(file->records));
    json_put(object, "deletion_vector", json_boolean(file->has_deletion_vector));
    json_put(object, "data_change", json_boolean(change->data_change));
    if (cli_switch(cli, "show-values"))
        json_put(object, "partition_values", properties_json(file->partition_values, file->partition_count));
    return object;
}

static vde_status version_json(const struct cli *cli, lh_changes *changes, const struct lh_change_version *version)
{
    json_t *object = json_object(), *files[3] = {json_array(), json_array(), json_array()};
    struct lh_change change;
    vde_status status;
    while ((status = lh_changes_next_file(changes, &change)) == VDE_OK)
        json_add(files[change.kind - LH_CHANGE_ADD], file_json(cli, &change));
    json_put(object, "version", json_u64(version->version));
    json_put(object, "time", json_time(version->time_us));
    json_put(object, "operation", json_str(version->operation));
    json_put(object, "metadata_changed", json_boolean(version->metadata_changed));
    json_put(object, "protocol_changed", json_boolean(version->protocol_changed));
    json_put(object, "added", files[0]);
    json_put(object, "removed", files[1]);
    json_put(object, "cdc", files[2]);
    if (status == VDE_NOT_FOUND)
        json_print_line(stdout, object);
    else
        json_decref(object);
    return status;
}

static vde_status version_text(const struct cli *cli, lh_changes *changes, const struct lh_change_version *version)
{
    static const char signs[] = "+-~";
    char text[OUT_TEXT];
    struct lh_change change;
    vde_status status;
    printf("v%llu  %s  ", (unsigned long long)version->version, out_time(version->time_us, text));
    out_text(stdout, version->operation, strlen(version->operation));
    printf("%s%s\n", version->metadata_changed ? "  (metadata)" : "", version->protocol_changed ? "  (protocol)" : "");
    while ((status = lh_changes_next_file(changes, &change)) == VDE_OK) {
        printf("%c ", signs[change.kind - LH_CHANGE_ADD]);
        out_text(stdout, change.file.path, strlen(change.file.path));
        if (cli_switch(cli, "show-values") && change.file.partition_count) {
            char *values = properties_text(change.file.partition_values, change.file.partition_count);
            fputs("  ", stdout);
            out_text(stdout, values, strlen(values));
            free(values);
        }
        putchar('\n');
    }
    return status;
}

static vde_status print_changes(struct cli *cli, uint64_t first, uint64_t last)
{
    lh_changes *changes = NULL;
    struct lh_change_version version;
    vde_status status = cli_open_tables(cli);
    if (status == VDE_OK)
        status = lh_changes_open(cli->lakehouse, cli->args[0], first, last, &changes);
    if (status != VDE_OK)
        return status;
    while ((status = lh_changes_next_version(changes, &version)) == VDE_OK) {
        status = cli->json ? version_json(cli, changes, &version) : version_text(cli, changes, &version);
        if (status != VDE_NOT_FOUND)
            break;
    }
    lh_changes_close(changes);
    return status == VDE_NOT_FOUND ? VDE_OK : status;
}

static int run_changes(struct cli *cli)
{
    uint64_t first = LH_NO_VERSION, last = LH_NO_VERSION;
    if (!table_version_option(cli, "from", &first) || !table_version_option(cli, "to", &last))
        return CLI_USAGE;
    if (!cli_option(cli, "from"))
        return cli_usage(cli, "--from", "none", "the first version whose changes are wanted");
    if (first > last)
        return cli_usage(cli, "--from", "a later version than --to", "an earlier one, or the same");
    vde_status status = print_changes(cli, first, last);
    return status == VDE_OK ? CLI_DONE : cli_failed(cli, status);
}

static const struct cli_option changes_options[] = {
    {"from", "N", "the first version, included"},
    {"to", "N", "the last version, included; the latest by default"},
    {"show-values", NULL, "show partition values too"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_table_changes = {
    .noun = "table",
    .verb = "changes",
    .arguments = "TABLE",
    .summary = "list what each version added (+) and removed (-), and its files of changed rows (~)",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_READS,
    .min_args = 1,
    .max_args = 1,
    .options = changes_options,
    .notes = "With --json one object a line, a line per version. Only the commits are read, however large the table is.",
    .run = run_changes,
};
