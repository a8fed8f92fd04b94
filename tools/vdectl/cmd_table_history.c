/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_table_history.c -- vdectl table history: a table's versions, newest first. */
#include "commands.h"
#include "tables.h"

#include <stdlib.h>
#include <string.h>

#define LIMIT_DEFAULT 20u

struct range {
    uint64_t first, last; /* inclusive; last may be LH_NO_VERSION */
    uint64_t limit;       /* 0: none */
    bool empty;           /* no version in the times asked for */
};

static json_t *version_json(const struct lh_version_info *info, const struct lh_tags *tags)
{
    json_t *object = json_object();
    json_put(object, "version", json_u64(info->version));
    json_put(object, "time", json_time(info->time_us));
    json_put(object, "operation", json_str(info->operation));
    json_put(object, "foreign", json_boolean(info->foreign));
    json_put(object, "group", info->group[0] ? json_str(info->group) : json_null());
    json_put(object, "commit_id", info->commit_id[0] ? json_str(info->commit_id) : json_null());
    json_put(object, "lsn", json_u64(info->lsn));
    json_put(object, "actions", json_u64(info->actions));
    json_put(object, "files_added", json_u64(info->files_added));
    json_put(object, "files_removed", json_u64(info->files_removed));
    json_put(object, "bytes_added", known_json(info->bytes_added));
    json_put(object, "bytes_removed", known_json(info->bytes_removed));
    json_put(object, "records_added", known_json(info->records_added));
    json_put(object, "records_removed", known_json(info->records_removed));
    json_put(object, "schema_changed", json_boolean(info->schema_changed));
    json_put(object, "file_time_ns", known_json(info->file_time_ns));
    json_put(object, "snapshot_id", known_json(info->snapshot_id));
    json_put(object, "parent_snapshot_id", known_json(info->parent_snapshot_id));
    json_put(object, "schema_id", known_json(info->schema_id));
    json_put(object, "sequence_number", known_json(info->sequence_number));
    json_put(object, "user_metadata", json_str(info->user_metadata));
    json_put(object, "engine_info", json_str(info->engine_info));
    json_put(object, "tags", tags_json(tags, &info->version));
    return object;
}

static void version_row(const struct cli *cli, struct out_table *table, const struct lh_version_info *info,
                        const struct lh_tags *tags)
{
    char a[OUT_TEXT], b[OUT_TEXT];
    char *names = tags_text(tags, info->version);
    out_table_cell(table, "%llu", (unsigned long long)info->version);
    out_table_cell(table, "%s", out_time(info->time_us, a));
    out_table_cell(table, "%s", info->operation);
    out_table_cell(table, "+%llu -%llu", (unsigned long long)info->files_added,
                   (unsigned long long)info->files_removed);
    out_table_cell(table, "+%s -%s", known_size(cli, info->bytes_added, a), known_size(cli, info->bytes_removed, b));
    out_table_cell(table, "+%s -%s", known_text(info->records_added, a), known_text(info->records_removed, b));
    out_table_cell(table, "%s", info->schema_changed ? "changed" : "");
    out_table_cell(table, "%s", info->group[0] ? info->group : info->foreign ? "imported" : "");
    out_table_cell(table, "%s", names);
    free(names);
}

/* --since and --until as versions. NOT_FOUND from the library means: none, which is an answer, not a failure. */
static vde_status apply_times(struct cli *cli, const char *table, uint64_t from_us, uint64_t to_us, struct range *range)
{
    uint64_t first, last;
    vde_status status = lh_versions_between(cli->lakehouse, table, from_us, to_us, &first, &last);
    if (status == VDE_NOT_FOUND) {
        range->empty = true;
        return VDE_OK;
    }
    if (status != VDE_OK)
        return status;
    range->first = first > range->first ? first : range->first;
    range->last = last < range->last ? last : range->last;
    range->empty = range->first > range->last;
    return VDE_OK;
}

static int take_time(const struct cli *cli, const char *option, uint64_t *ret_us)
{
    const char *text = cli_option(cli, option);
    char object[32];
    if (!text || lh_time_parse(text, cli_now_us(), ret_us) == VDE_OK)
        return CLI_DONE;
    snprintf(object, sizeof object, "--%s", option);
    return cli_usage(cli, object, text, "a time like 2026-11-20T10:00:00Z, a date or an age like -2h");
}

static vde_status print_versions(struct cli *cli, const char *table, const struct range *range)
{
    static const char *const headings[] = {">version", "time", "operation", "files", "size", "records", "schema",
                                           "group", "tags"};
    struct lh_history *history = NULL;
    struct lh_tags *tags = NULL;
    struct lh_version_info info;
    struct json_stream stream;
    struct out_table rows;
    vde_status status = lh_tag_list(cli->lakehouse, table, &tags);
    if (status == VDE_OK && !range->empty)
        status = lh_history_open(cli->lakehouse, table, range->first, range->last, !cli_switch(cli, "oldest-first"),
                                 &history);
    if (status != VDE_OK) {
        lh_free(tags);
        return status;
    }
    out_table_init(&rows, 9, headings);
    if (cli->json) {
        json_t *head = json_object();
        json_put(head, "table", json_str(table));
        json_stream_begin(&stream, head, "versions");
    }
    for (uint64_t shown = 0; history && (range->limit == 0 || shown < range->limit); shown++) {
        status = lh_history_next(history, &info);
        if (status != VDE_OK)
            break;
        if (cli->json)
            json_stream_item(&stream, version_json(&info, tags));
        else
            version_row(cli, &rows, &info, tags);
    }
    lh_history_close(history);
    lh_free(tags);
    out_table_done(&rows);
    status = status == VDE_NOT_FOUND ? VDE_OK : status;
    if (cli->json && status == VDE_OK)
        json_stream_end(&stream);
    return status;
}

/* "ns.t@..." ends the history at that version; *ret_name is what to call the table then, released by lh_free(). */
static vde_status resolve(struct cli *cli, struct range *range, struct lh_resolved **ret_resolved)
{
    *ret_resolved = NULL;
    if (!strchr(cli->args[0], '@'))
        return VDE_OK;
    vde_status status = lh_resolve(cli->lakehouse, cli->args[0], ret_resolved);
    if (status == VDE_OK && (*ret_resolved)->version < range->last)
        range->last = (*ret_resolved)->version;
    return status;
}

static int run_history(struct cli *cli)
{
    struct range range = {0, LH_NO_VERSION, LIMIT_DEFAULT, false};
    uint64_t since_us = 0, until_us = UINT64_MAX;
    if (!table_version_option(cli, "from", &range.first) || !table_version_option(cli, "to", &range.last) ||
        !cli_option_u64(cli, "limit", LIMIT_DEFAULT, &range.limit))
        return CLI_USAGE;
    if (take_time(cli, "since", &since_us) != CLI_DONE || take_time(cli, "until", &until_us) != CLI_DONE)
        return CLI_USAGE;
    if (range.first > range.last)
        return cli_usage(cli, "--from", "a later version than --to", "an earlier one, or the same");
    struct lh_resolved *resolved = NULL;
    vde_status status = cli_open_tables(cli);
    if (status == VDE_OK)
        status = resolve(cli, &range, &resolved);
    const char *table = resolved ? resolved->table : cli->args[0];
    if (status == VDE_OK && (cli_switch(cli, "since") || cli_switch(cli, "until")))
        status = apply_times(cli, table, since_us, until_us, &range);
    if (status == VDE_OK)
        status = print_versions(cli, table, &range);
    lh_free(resolved);
    return status == VDE_OK ? CLI_DONE : cli_failed(cli, status);
}

static const struct cli_option history_options[] = {
    {"limit", "N", "at most so many versions, 20 by default; 0: all"},
    {"oldest-first", NULL, "in ascending order"},
    {"from", "N", "not before this version"},
    {"to", "N", "not after this version"},
    {"since", "TIME", "not before this time: RFC 3339, a date, or an age like -2h"},
    {"until", "TIME", "not after this time"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_table_history = {
    .noun = "table",
    .verb = "history",
    .arguments = "TABLE[@VERSION|@TIME]",
    .summary = "list the versions of a table, newest first",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_READS | CLI_SIZES,
    .min_args = 1,
    .max_args = 1,
    .options = history_options,
    .notes = "Numbers that the statistics of a commit lack are shown as unknown.",
    .run = run_history,
};
