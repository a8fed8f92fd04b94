/* SPDX-License-Identifier: Apache-2.0 */
/* args.c -- the command line of one verb: options anywhere, `--` ends them, IMAGE first or from -i or VDE_IMAGE. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct cli_option *find_in(const struct cli_option *options, const char *name, size_t size)
{
    for (; options && options->name; options++)
        if (strlen(options->name) == size && memcmp(options->name, name, size) == 0)
            return options;
    return NULL;
}

static const struct cli_option *find_option(const struct cli_command *command, const char *name, size_t size)
{
    const struct cli_option *option = find_in(command->options, name, size);
    if (option)
        return option;
    option = find_in(cli_common_options, name, size);
    if (!option)
        return NULL;
    uint32_t needs = cli_common_flags[option - cli_common_options];
    return needs == 0 || (command->flags & needs) ? option : NULL;
}

const char *cli_option(const struct cli *cli, const char *name)
{
    const char *text = NULL;
    for (uint32_t i = 0; i < cli->value_count; i++)
        if (strcmp(cli->values[i].name, name) == 0)
            text = cli->values[i].text;
    return text;
}

bool cli_switch(const struct cli *cli, const char *name)
{
    return cli_option(cli, name) != NULL;
}

const char *cli_option_next(const struct cli *cli, const char *name, uint32_t *position)
{
    while (*position < cli->value_count) {
        const struct cli_value *value = &cli->values[(*position)++];
        if (strcmp(value->name, name) == 0)
            return value->text;
    }
    return NULL;
}

int cli_exclusive(const struct cli *cli, const char *const names[], uint32_t count)
{
    const char *given = NULL;
    for (uint32_t i = 0; i < count; i++) {
        if (!cli_switch(cli, names[i]))
            continue;
        if (given) {
            char object[96];
            snprintf(object, sizeof object, "--%s and --%s", given, names[i]);
            return cli_usage(cli, object, "both", "one of them");
        }
        given = names[i];
    }
    return CLI_DONE;
}

/* What -i, -o and -h stand for; "" for any other letter. */
static const char *short_name(const char *word)
{
    return word[1] == 'i' ? "image" : word[1] == 'o' ? "output" : strcmp(word, "-h") == 0 ? "help" : "";
}

/* One word that begins with a dash. Consumes the next word when it is the option's value. */
static int parse_option(struct cli *cli, int argc, char **argv, int *at)
{
    const char *word = argv[*at];
    const char *name = word[1] == '-' ? word + 2 : short_name(word);
    const char *value = NULL;
    size_t size = strcspn(name, "=");
    if (word[1] != '-') {
        value = word[2] ? word + 2 : NULL;
        size = strlen(name);
    } else if (name[size] == '=') {
        value = name + size + 1;
    }
    const struct cli_option *option = size ? find_option(cli->command, name, size) : NULL;
    if (!option)
        return cli_usage(cli, word, "an option that this verb does not have", "one of those that --help lists");
    if (!option->value && value)
        return cli_usage(cli, word, "a value", "the option alone");
    if (option->value && !value) {
        if (*at + 1 >= argc)
            return cli_usage(cli, word, "no value", option->value);
        value = argv[++*at];
    }
    cli->values[cli->value_count++] = (struct cli_value){option->name, value ? value : ""};
    return CLI_DONE;
}

static bool is_image_file(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode));
}

/* IMAGE is -i, else the first argument, else VDE_IMAGE. With VDE_IMAGE set, the first argument is IMAGE when there is one
 * argument too many without it, or when the number varies and the argument names a file or device that is there. */
static int take_image(struct cli *cli)
{
    const struct cli_command *command = cli->command;
    cli->image_path = cli_option(cli, "image");
    const char *environment = getenv("VDE_IMAGE");
    bool first = !cli->image_path;
    if (first && environment && environment[0]) {
        bool varies = command->min_args != command->max_args;
        first = cli->arg_count > command->max_args ||
                (varies && cli->arg_count > command->min_args && is_image_file(cli->args[0]));
        if (!first)
            cli->image_path = environment;
    }
    if (first) {
        if (cli->arg_count == 0 && (command->flags & CLI_NO_NEED))
            return CLI_DONE;
        if (cli->arg_count == 0)
            return cli_usage(cli, "IMAGE", "none", "a file or block device, -i IMAGE or VDE_IMAGE");
        cli->image_path = cli->args[0];
        cli->arg_count--;
        memmove(cli->args, cli->args + 1, cli->arg_count * sizeof cli->args[0]);
    }
    if (!cli->image_path[0])
        return cli_usage(cli, "IMAGE", "an empty name", "a file or block device");
    return CLI_DONE;
}

static int check_count(struct cli *cli)
{
    const struct cli_command *command = cli->command;
    if (cli->arg_count >= command->min_args && cli->arg_count <= command->max_args)
        return CLI_DONE;
    char found[64], expected[160];
    snprintf(found, sizeof found, "%u", cli->arg_count);
    snprintf(expected, sizeof expected, "%s", command->max_args == 0 ? "none" : command->arguments);
    return cli_usage(cli, command->flags & CLI_IMAGE ? "arguments after IMAGE" : "arguments", found, expected);
}

/* The options that every verb reads the same way. */
static int take_common(struct cli *cli)
{
    cli->json = cli_switch(cli, "json");
    cli->exact_bytes = cli_switch(cli, "bytes");
    cli->wait_ms = cli->command->flags & CLI_WRITES ? CLI_WAIT_WRITER_MS : 0;
    const char *wait = cli_option(cli, "wait");
    if (wait && !parse_duration_ms(wait, &cli->wait_ms))
        return cli_usage(cli, "--wait", wait, "a duration like 30s, 500ms or 0");
    const char *backend = cli_option(cli, "backend");
    if (backend && strcmp(backend, "auto") != 0 && strcmp(backend, "uring") != 0 && strcmp(backend, "aio") != 0 &&
        strcmp(backend, "sync") != 0)
        return cli_usage(cli, "--backend", backend, "auto, uring, aio or sync");
    return CLI_DONE;
}

int cli_parse(struct cli *cli, const struct cli_command *command, int argc, char **argv)
{
    cli->command = command;
    cli->args = cli_alloc(NULL, ((size_t)argc + 1) * sizeof cli->args[0]);
    cli->values = cli_alloc(NULL, ((size_t)argc + 1) * sizeof cli->values[0]);
    bool options_end = false;
    for (int i = 0; i < argc; i++) {
        if (!options_end && strcmp(argv[i], "--") == 0) {
            options_end = true;
        } else if (!options_end && argv[i][0] == '-' && argv[i][1]) {
            int status = parse_option(cli, argc, argv, &i);
            if (status != CLI_DONE)
                return status;
        } else {
            cli->args[cli->arg_count++] = argv[i];
        }
    }
    if (cli_switch(cli, "help")) /* whatever else is missing */
        return CLI_DONE;
    int status = take_common(cli);
    if (status == CLI_DONE && (command->flags & CLI_IMAGE))
        status = take_image(cli);
    return status == CLI_DONE ? check_count(cli) : status;
}
