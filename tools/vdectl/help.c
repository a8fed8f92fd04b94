/* SPDX-License-Identifier: Apache-2.0 */
/* help.c -- pages for --help, and the nearest verb to a word that is none. */
#include "cli.h"

#include <string.h>

const struct cli_option cli_common_options[] = {
    {"image", "IMAGE", "the image, in place of the first argument (also -i, or VDE_IMAGE in the environment)"},
    {"backend", "auto|uring|aio|sync", "how to do I/O; a named backend that is not there is an error"},
    {"snapshot", "NAME", "read the image as of this snapshot of it (vdectl snapshot list IMAGE)"},
    {"wait", "TIME", "how long to wait for an image that is in use: 30s, 500ms, 0"},
    {"bytes", NULL, "print sizes in bytes"},
    {"json", NULL, "print one JSON value instead of text; errors too"},
    {"help", NULL, "print this page"},
    {NULL, NULL, NULL},
};
const uint32_t cli_common_flags[] = {CLI_IMAGE, CLI_OPENS | CLI_WRITES, CLI_READS, CLI_OPENS | CLI_WRITES,
                                     CLI_SIZES, 0, 0};

static void print_options(const struct cli_option *options, const struct cli_command *command, const uint32_t *needs)
{
    for (size_t i = 0; options && options[i].name; i++) {
        if (needs && needs[i] && !(command->flags & needs[i]))
            continue;
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", options[i].name, options[i].value ? " " : "",
                 options[i].value ? options[i].value : "");
        if (strlen(left) > 26)
            printf("  %s\n  %-26s  %s\n", left, "", options[i].help);
        else
            printf("  %-26s  %s\n", left, options[i].help);
    }
}

static const char *image_word(const struct cli_command *command)
{
    return command->flags & CLI_NO_NEED ? " [IMAGE]" : command->flags & CLI_IMAGE ? " IMAGE" : "";
}

static void print_name(FILE *stream, const struct cli_command *command)
{
    fprintf(stream, "vdectl %s%s%s%s%s%s", command->noun ? command->noun : "", command->noun ? " " : "", command->verb,
            image_word(command), command->arguments[0] ? " " : "", command->arguments);
}

void cli_help_command(const struct cli_command *command)
{
    printf("usage: ");
    print_name(stdout, command);
    printf(" [options]\n\n%s\n\noptions:\n", command->summary);
    print_options(command->options, command, NULL);
    print_options(cli_common_options, command, cli_common_flags);
    if (command->flags & CLI_WRITES)
        printf("\nWaits 30 seconds for an image that is in use, unless --wait says otherwise.\n");
    if (command->notes)
        printf("\n%s\n", command->notes);
}

static void print_summary(FILE *stream, const struct cli_command *command)
{
    char left[96];
    snprintf(left, sizeof left, "%s%s%s%s%s%s", command->noun ? command->noun : "", command->noun ? " " : "",
             command->verb, image_word(command), command->arguments[0] ? " " : "",
             command->arguments);
    fprintf(stream, "  %-44s  %s\n", left, command->summary);
}

void cli_help_noun(const struct cli_command *const *commands, const char *noun, FILE *stream)
{
    fprintf(stream, "usage: vdectl %s VERB IMAGE ...\n\n", noun);
    for (size_t i = 0; commands[i]; i++)
        if (commands[i]->noun && strcmp(commands[i]->noun, noun) == 0)
            print_summary(stream, commands[i]);
    fprintf(stream, "\nvdectl %s VERB --help tells more.\n", noun);
}

void cli_help_all(const struct cli_command *const *commands, FILE *stream)
{
    fprintf(stream, "usage: vdectl VERB IMAGE [options]\n       vdectl NOUN VERB IMAGE ... [options]\n");
    const char *group = "";
    for (size_t i = 0; commands[i]; i++) {
        const char *noun = commands[i]->noun ? commands[i]->noun : "image";
        if (strcmp(noun, group) != 0)
            fprintf(stream, "\n%s\n", noun);
        group = noun;
        print_summary(stream, commands[i]);
    }
    fprintf(stream,
            "\n-i IMAGE or VDE_IMAGE may stand for IMAGE. A table is NAMESPACE.TABLE; where one is read also\n"
            "ns.table@v3, ns.table@2026-11-20T10:00:00Z, ns.table@-2h and ns.table@tag:NAME; VOLUME@NAME is a\n"
            "snapshot of a volume, and --snapshot NAME with a verb that reads the whole image as of one. --json and --help go with every verb.\n"
            "\nexit status: 0 done, 1 failed, 2 usage, 3 conflict, 4 busy, 5 damage found\n");
}

/* --- the nearest verb ------------------------------------------------------------------------------------------- */

#define WORD_MAX 32

static size_t least(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Edit distance with swaps of neighbours; words longer than WORD_MAX are cut. */
static size_t distance(const char *a, const char *b)
{
    size_t rows[WORD_MAX + 1][WORD_MAX + 1];
    size_t m = strnlen(a, WORD_MAX), n = strnlen(b, WORD_MAX);
    for (size_t i = 0; i <= m; i++)
        for (size_t j = 0; j <= n; j++) {
            if (i == 0 || j == 0) {
                rows[i][j] = i + j;
                continue;
            }
            size_t change = rows[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            rows[i][j] = least(rows[i - 1][j] + 1, rows[i][j - 1] + 1, change);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && rows[i - 2][j - 2] + 1 < rows[i][j])
                rows[i][j] = rows[i - 2][j - 2] + 1;
        }
    return rows[m][n];
}

static void consider(const char *word, const char *candidate, const char **best, size_t *best_distance)
{
    size_t d = distance(word, candidate);
    if (d < *best_distance) {
        *best = candidate;
        *best_distance = d;
    }
}

int cli_unknown(const struct cli_command *const *commands, const char *noun, const char *word, bool json)
{
    const char *best = NULL;
    size_t best_distance = SIZE_MAX;
    for (size_t i = 0; commands[i]; i++) {
        if (!noun)
            consider(word, commands[i]->noun ? commands[i]->noun : commands[i]->verb, &best, &best_distance);
        else if (commands[i]->noun && strcmp(commands[i]->noun, noun) == 0)
            consider(word, commands[i]->verb, &best, &best_distance);
    }
    char object[128], expected[64], text[256];
    const char *space = noun ? " " : "";
    snprintf(object, sizeof object, "%s%s%.40s", noun ? noun : "", space, word);
    snprintf(expected, sizeof expected, "%s%s%s", noun ? noun : "", space, best ? best : "");
    snprintf(text, sizeof text, "there is no verb '%s', the nearest is '%s'", object, expected);
    struct cli cli = {.json = json};
    return cli_usage_as(&cli, object, "no such verb", expected, text);
}
