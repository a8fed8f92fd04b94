/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_delta.c -- vdectl delta import, export: Delta Lake tables in and out of the image. */
#include "commands.h"
#include "tables.h"

#include <string.h>

#define WIDTH 16

static void on_progress(void *context, const char *step, uint64_t done, uint64_t total)
{
    (void)context;
    progress_update(step, done, total);
}

static json_t *strings_json(const char *const *items, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_add(array, json_str(items[i]));
    return array;
}

/* --- import ----------------------------------------------------------------------------------------------------- */

static const char *outcome_name(enum lh_import_outcome outcome)
{
    return outcome == LH_IMPORT_NATIVE ? "native" : outcome == LH_IMPORT_OPAQUE ? "opaque" : "refused";
}

static void import_json(const struct cli *cli, const struct lh_import_report *report)
{
    json_t *object = json_object();
    json_put(object, "table", json_str(report->table));
    json_put(object, "outcome", json_str(outcome_name(report->outcome)));
    json_put(object, "reason", json_str(report->reason));
    json_put(object, "dry_run", json_boolean(cli_switch(cli, "dry-run")));
    json_put(object, "versions", json_u64(report->versions));
    json_put(object, "actions", json_u64(report->actions));
    json_put(object, "log_bytes", json_u64(report->log_bytes));
    json_put(object, "log_files_kept", json_u64(report->log_files_kept));
    json_put(object, "log_files_dropped", json_u64(report->log_files_dropped));
    json_put(object, "data_files", json_u64(report->data_files));
    json_put(object, "data_bytes", json_u64(report->data_bytes));
    json_put(object, "missing_files", json_u64(report->missing_files));
    json_put(object, "active_missing", json_u64(report->active_missing));
    json_put(object, "external_files", json_u64(report->external_files));
    json_put(object, "bytes_needed", json_u64(report->bytes_needed));
    json_put(object, "warnings", strings_json(report->warnings, report->warning_count));
    json_print(object);
}

static void import_text(const struct cli *cli, const struct lh_import_report *report)
{
    char text[OUT_TEXT];
    out_field("table", WIDTH, "%s", report->table ? report->table : "");
    out_field("outcome", WIDTH, "%s%s%s%s", outcome_name(report->outcome), report->reason ? ": " : "",
              report->reason ? report->reason : "", cli_switch(cli, "dry-run") ? " (dry run: nothing changed)" : "");
    if (report->outcome != LH_IMPORT_REFUSED) {
        out_field("versions", WIDTH, "%llu, %llu actions, %s of log", (unsigned long long)report->versions,
                  (unsigned long long)report->actions, out_size(cli, report->log_bytes, text));
        out_field("other log files", WIDTH, "%llu kept, %llu left out", (unsigned long long)report->log_files_kept,
                  (unsigned long long)report->log_files_dropped);
        out_field("data files", WIDTH, "%llu, %s", (unsigned long long)report->data_files,
                  out_size(cli, report->data_bytes, text));
        if (report->external_files)
            out_field("outside", WIDTH, "%llu stay where they are", (unsigned long long)report->external_files);
        if (report->missing_files)
            out_field("missing", WIDTH, "%llu, of them active %llu", (unsigned long long)report->missing_files,
                      (unsigned long long)report->active_missing);
        out_field("needs", WIDTH, "%s", out_size(cli, report->bytes_needed, text));
    }
    fflush(stdout);
    for (size_t i = 0; i < report->warning_count; i++)
        cli_note("%s", report->warnings[i]);
}

static int run_import(struct cli *cli)
{
    struct lh_import import = LH_IMPORT_INIT;
    struct lh_import_report *report = NULL;
    import.table = cli_option(cli, "table");
    import.progress = on_progress;
    if (cli_switch(cli, "reference"))
        import.flags |= LH_IMPORT_REFERENCE;
    if (cli_switch(cli, "dry-run"))
        import.flags |= LH_IMPORT_DRY_RUN;
    if (cli_switch(cli, "create-namespace") || !import.table) /* "default" is nobody's to create beforehand */
        import.flags |= LH_IMPORT_CREATE_NAMESPACE;
    vde_status status = cli_open_tables(cli);
    if (status == VDE_OK)
        status = lh_delta_import(cli->lakehouse, cli->args[0], &import, &report);
    progress_done();
    if (report && (status == VDE_OK || status == LH_REFUSED)) {
        struct vde_error error = *vde_last_error(); /* printing must not lose why it was refused */
        if (cli->json)
            import_json(cli, report);
        else
            import_text(cli, report);
        if (status != VDE_OK && vde_last_error()->status != status)
            vde_error_set(status, error.object, error.found, error.expected);
    }
    int result = status == VDE_OK ? CLI_DONE : cli_failed(cli, status);
    lh_free(report);
    return result;
}

static const struct cli_option import_options[] = {
    {"table", "NAMESPACE.TABLE", "its name in the image; by default the folder's, in namespace default"},
    {"create-namespace", NULL, "create the namespace of --table when there is none"},
    {"reference", NULL, "leave data files where they are; they are never deleted from here"},
    {"dry-run", NULL, "only say what would be imported and how many bytes it needs"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_delta_import = {
    .noun = "delta",
    .verb = "import",
    .arguments = "DIR",
    .summary = "import a Delta Lake table: every version, and the data files of all of them",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_WRITES | CLI_SIZES,
    .min_args = 1,
    .max_args = 1,
    .options = import_options,
    .notes = "Outcomes: native; opaque, where only history and export work, with the reason; refused, with the reason,\n"
             "and then the image is unchanged and the exit status 1.",
    .run = run_import,
};

/* --- export ----------------------------------------------------------------------------------------------------- */

static void export_json(const struct cli *cli, const struct lh_export_report *report)
{
    json_t *object = json_object();
    json_put(object, "table", json_str(cli->args[0]));
    json_put(object, "folder", json_str(cli->args[1]));
    json_put(object, "versions", json_u64(report->versions));
    json_put(object, "log_bytes", json_u64(report->log_bytes));
    json_put(object, "log_files", json_u64(report->log_files));
    json_put(object, "data_files", json_u64(report->data_files));
    json_put(object, "data_bytes", json_u64(report->data_bytes));
    json_put(object, "missing_files", json_u64(report->missing_files));
    json_put(object, "external_files", json_u64(report->external_files));
    json_put(object, "warnings", strings_json(report->warnings, report->warning_count));
    json_print(object);
}

static void export_text(const struct cli *cli, const struct lh_export_report *report)
{
    char text[OUT_TEXT];
    out_field("folder", WIDTH, "%s", cli->args[1]);
    out_field("versions", WIDTH, "%llu, %s", (unsigned long long)report->versions,
              out_size(cli, report->log_bytes, text));
    out_field("other log files", WIDTH, "%llu", (unsigned long long)report->log_files);
    out_field("data files", WIDTH, "%llu, %s", (unsigned long long)report->data_files,
              out_size(cli, report->data_bytes, text));
    if (report->external_files)
        out_field("outside", WIDTH, "%llu", (unsigned long long)report->external_files);
    if (report->missing_files)
        out_field("missing", WIDTH, "%llu", (unsigned long long)report->missing_files);
    fflush(stdout);
    for (size_t i = 0; i < report->warning_count; i++)
        cli_note("%s", report->warnings[i]);
}

static int run_export(struct cli *cli)
{
    struct lh_export options = LH_EXPORT_INIT;
    struct lh_export_report *report = NULL;
    options.progress = on_progress;
    if (cli_switch(cli, "log-only"))
        options.flags |= LH_EXPORT_LOG_ONLY;
    if (cli_switch(cli, "from-state"))
        options.flags |= LH_EXPORT_FROM_STATE;
    if (cli_switch(cli, "strict"))
        options.flags |= LH_EXPORT_STRICT;
    vde_status status = cli_open_tables(cli);
    if (status == VDE_OK)
        status = lh_delta_export(cli->lakehouse, cli->args[0], cli->args[1], &options, &report);
    progress_done();
    if (status != VDE_OK) {
        lh_free(report);
        return cli_failed(cli, status);
    }
    if (cli->json)
        export_json(cli, report);
    else
        export_text(cli, report);
    lh_free(report);
    return CLI_DONE;
}

static const struct cli_option export_options[] = {
    {"log-only", NULL, "the commits of the log alone, without data and other files"},
    {"from-state", NULL, "print each commit from its decoded actions, not from its kept bytes"},
    {"strict", NULL, "fail when a data file is missing"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_delta_export = {
    .noun = "delta",
    .verb = "export",
    .arguments = "TABLE DIR",
    .summary = "write a table as a folder with its _delta_log; DIR is new or empty",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_READS | CLI_SIZES,
    .min_args = 2,
    .max_args = 2,
    .options = export_options,
    .run = run_export,
};
