/* SPDX-License-Identifier: Apache-2.0 */
/* main.c -- vdectl: the table of verbs, and the way from a command line to one of them. */
#include "cli.h"
#include "commands.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* In the order of the help page. */
static const struct cli_command *const commands[] = {
    &cmd_format,          &cmd_info,           &cmd_check,         &cmd_capabilities, &cmd_checkpoint,
    &cmd_copy,            &cmd_grow,           &cmd_manifest,
    &cmd_scrub,           &cmd_repair,        &cmd_rescue,
    &cmd_dump_superblock, &cmd_dump_log,       &cmd_dump_tree,     &cmd_dump_alloc,  &cmd_dump_stream,
    &cmd_volume_create,   &cmd_volume_clone,   &cmd_volume_list,   &cmd_volume_show,  &cmd_volume_read,
    &cmd_volume_write,    &cmd_volume_import,  &cmd_volume_export, &cmd_volume_map,   &cmd_volume_diff,
    &cmd_volume_resize,   &cmd_volume_rename,  &cmd_volume_defrag, &cmd_volume_delete, &cmd_snapshot_create,
    &cmd_snapshot_list,   &cmd_snapshot_rollback, &cmd_snapshot_delete,
    &cmd_namespace_create, &cmd_namespace_list, &cmd_namespace_show, &cmd_namespace_set, &cmd_namespace_drop,
    &cmd_table_create,    &cmd_table_list,     &cmd_table_show,    &cmd_table_files,  &cmd_table_history,
    &cmd_table_add,       &cmd_table_remove,   &cmd_table_overwrite, &cmd_table_evolve,  &cmd_table_diff,
    &cmd_table_tag,       &cmd_table_changes,   &cmd_table_restore, &cmd_table_undrop, &cmd_table_drop,
    &cmd_file_put,        &cmd_file_get,       &cmd_file_list,     &cmd_file_remove,  &cmd_txn_commit,
    &cmd_txn_show,        &cmd_delta_import,   &cmd_delta_export,  NULL,
};

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

static bool is_noun(const char *word)
{
    for (size_t i = 0; commands[i]; i++)
        if (same(commands[i]->noun, word))
            return true;
    return false;
}

static const struct cli_command *find(const char *noun, const char *verb)
{
    for (size_t i = 0; commands[i]; i++) {
        bool noun_fits = noun ? same(commands[i]->noun, noun) : !commands[i]->noun;
        if (noun_fits && same(commands[i]->verb, verb))
            return commands[i];
    }
    return NULL;
}

static bool is_help(const char *word)
{
    return same(word, "--help") || same(word, "-h") || same(word, "help");
}

/* Whether --json is among the words, for errors found before they are parsed. */
static bool wants_json(int argc, char **argv)
{
    for (int i = 1; i < argc && !same(argv[i], "--"); i++)
        if (same(argv[i], "--json"))
            return true;
    return false;
}

/* Output that could not be written is a failure, whatever the verb did. */
static int finish(int status)
{
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == CLI_DONE) {
        fprintf(stderr, "vdectl: standard output: %s (IO)\n", strerror(errno));
        return CLI_FAILED;
    }
    return status;
}

static int run(const struct cli_command *command, int argc, char **argv, bool json)
{
    struct cli cli = {.json = json};
    int status = cli_parse(&cli, command, argc, argv);
    if (status == CLI_DONE && cli_switch(&cli, "help"))
        cli_help_command(command);
    else if (status == CLI_DONE)
        status = command->run(&cli);
    progress_done();
    if (status == CLI_DONE)
        cli_warn_full(&cli);
    cli_close(&cli);
    free(cli.args);
    free(cli.values);
    return finish(status);
}

/* A standard stream that was closed must not be the image: the next file opened would get its number. Opened the wrong
 * way round, it still fails when it is used. */
static bool hold_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            return false;
    return true;
}

int main(int argc, char **argv)
{
    if (!hold_standard_streams())
        return CLI_FAILED;
    bool json = wants_json(argc, argv);
    if (argc < 2) {
        cli_help_all(commands, stderr);
        return CLI_USAGE;
    }
    if (is_help(argv[1]) && argc == 2) {
        cli_help_all(commands, stdout);
        return finish(CLI_DONE);
    }
    if (same(argv[1], "--version")) {
        printf("vdectl %s\n", vde_version());
        return finish(CLI_DONE);
    }
    int first = is_help(argv[1]) ? 2 : 1; /* `vdectl help table create` reads as it should */
    const char *noun = first < argc && is_noun(argv[first]) ? argv[first] : NULL;
    int verb_at = noun ? first + 1 : first;
    const char *verb = verb_at < argc ? argv[verb_at] : NULL;
    const struct cli_command *command = verb ? find(noun, verb) : NULL;
    if (!command && noun && (!verb || is_help(verb))) {
        cli_help_noun(commands, noun, verb ? stdout : stderr);
        return verb ? finish(CLI_DONE) : CLI_USAGE;
    }
    if (!command)
        return cli_unknown(commands, noun, verb, json);
    if (first == 2) {
        cli_help_command(command);
        return finish(CLI_DONE);
    }
    return run(command, argc - verb_at - 1, argv + verb_at + 1, json);
}
