/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_txn.c -- vdectl txn commit, show: transactions over any number of tables. */
#include "commands.h"
#include "tables.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static vde_status commit_document(struct cli *cli, const char *text, size_t size, struct lh_commit_result **ret_result)
{
    lh_txn *txn = NULL;
    vde_status status = cli->lakehouse ? VDE_OK : cli_open_tables(cli);
    if (status == VDE_OK)
        status = lh_txn_from_json(cli->lakehouse, text, size, &txn);
    if (status == VDE_OK)
        status = lh_commit(txn, ret_result);
    lh_txn_destroy(txn);
    return status;
}

/* --- --batch ---------------------------------------------------------------------------------------------------- */

/* After these every further line would fail alike. */
static bool ends_batch(const struct cli *cli, vde_status status)
{
    return !cli->lakehouse || status == VDE_POISONED || status == VDE_COMMIT_UNKNOWN || status == VDE_IO ||
           status == VDE_CORRUPT;
}

static void print_committed(const struct cli *cli, uint64_t line, struct lh_commit_result *result)
{
    if (cli->json) {
        json_t *object = json_object();
        json_put(object, "line", json_u64(line));
        json_put(object, "commit", commit_json(result));
        json_print_line(stdout, object);
    } else {
        commit_text(result);
    }
    lh_free(result);
    fflush(stdout); /* who feeds the lines may wait for the answer to one before it sends the next */
}

static int print_refused(const struct cli *cli, uint64_t line, vde_status status)
{
    struct vde_error error = *vde_last_error();
    if (cli->json) {
        json_t *object = json_object();
        json_put(object, "line", json_u64(line));
        json_put(object, "error", cli_error_json(&error));
        json_print_line(stdout, object);
        fflush(stdout);
        return cli_exit_of(status);
    }
    char prefix[32];
    snprintf(prefix, sizeof prefix, "line %llu", (unsigned long long)line);
    cli_error_prefix(prefix);
    return cli_failed(cli, status);
}

static bool is_blank(const char *line)
{
    return line[strspn(line, " \t\r\n")] == '\0';
}

/* One document a line; a refused one does not stop those after it. The first failure is the exit status. */
static int run_batch(struct cli *cli, FILE *stream, const char *name)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size;
    int result = CLI_DONE;
    for (uint64_t number = 1; (size = getline(&line, &capacity, stream)) >= 0; number++) {
        struct lh_commit_result *committed;
        if (is_blank(line) && strlen(line) == (size_t)size)
            continue;
        vde_status status = commit_document(cli, line, (size_t)size, &committed);
        if (status == VDE_OK) {
            print_committed(cli, number, committed);
            continue;
        }
        int refused = print_refused(cli, number, status);
        result = result == CLI_DONE ? refused : result;
        if (ends_batch(cli, status))
            break;
    }
    free(line);
    if (ferror(stream))
        return cli_errno(cli, errno, name, "read");
    return result;
}

static int run_commit(struct cli *cli)
{
    const char *path = cli_option(cli, "file");
    path = path ? path : "-";
    bool standard = strcmp(path, "-") == 0;
    if (cli_switch(cli, "batch")) {
        FILE *stream = standard ? stdin : fopen(path, "re");
        if (!stream)
            return cli_errno(cli, errno, path, "open");
        int result = run_batch(cli, stream, standard ? "standard input" : path);
        if (!standard)
            fclose(stream);
        return result;
    }
    /* The document is read before the image is opened: nobody has to wait while it is typed. */
    char *text;
    size_t size;
    int result = cli_read_file(cli, path, &text, &size);
    if (result != CLI_DONE)
        return result;
    struct lh_commit_result *committed;
    vde_status status = commit_document(cli, text, size, &committed);
    free(text);
    return status == VDE_OK ? commit_print(cli, committed) : cli_failed(cli, status);
}

static const struct cli_option commit_options[] = {
    {"file", "FILE", "read from FILE, not from standard input"},
    {"batch", NULL, "one document a line; a result a line, and a failed line does not stop the next"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_txn_commit = {
    .noun = "txn",
    .verb = "commit",
    .arguments = "",
    .summary = "commit a transaction document: several tables, all or none",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_WRITES,
    .options = commit_options,
    .notes = "The document (docs/json/transaction.schema.json):\n"
             "  {\"tables\": [{\"table\": \"ns.a\", \"readVersion\": 4, \"actions\": [{\"add\": {...}}]},\n"
             "              {\"table\": \"ns.b\", \"reads\": \"all\", \"actions\": []}]}\n"
             "Actions are Delta's. A table without actions is validated and gets no version. A conflict exits with\n"
             "status 3 and says whether reading again and retrying can help. Data for a table with CHECK constraints,\n"
             "generated columns and the like is refused by the feature's name, unless the table's entry declares that\n"
             "the data keeps them: \"guarantees\": [\"checkConstraints\"]. vdectl capabilities lists the features, what\n"
             "each commit is checked for, and what only the data's writer can guarantee.",
    .run = run_commit,
};

static int run_show(struct cli *cli)
{
    struct lh_commit_result *result;
    vde_status status = cli_open_tables(cli);
    if (status == VDE_OK)
        status = lh_group_lookup(cli->lakehouse, cli->args[0], &result);
    return status == VDE_OK ? commit_print(cli, result) : cli_failed(cli, status);
}

const struct cli_command cmd_txn_show = {
    .noun = "txn",
    .verb = "show",
    .arguments = "GROUP",
    .summary = "show the versions that a transaction group made",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_READS,
    .min_args = 1,
    .max_args = 1,
    .run = run_show,
};
