/* SPDX-License-Identifier: Apache-2.0 */
/* errors.c -- failures on stderr, one line or one JSON object each, and the exit status that belongs to each. */
#include "cli.h"

#include <stdarg.h>
#include <string.h>

int cli_exit_of(vde_status status)
{
    switch (status) {
    case VDE_OK: return CLI_DONE;
    case VDE_BUSY: return CLI_BUSY;
    case VDE_CORRUPT: return CLI_DAMAGE;
    case LH_CONFLICT: return CLI_CONFLICT;
    default: return CLI_FAILED;
    }
}

json_t *cli_error_json(const struct vde_error *error)
{
    json_t *object = json_object();
    json_put(object, "code", json_str(error->code));
    json_put(object, "object", json_str(error->object));
    json_put(object, "found", json_str(error->found));
    json_put(object, "expected", json_str(error->expected));
    json_put(object, "retryable", json_boolean(error->retryable));
    json_put(object, "text", json_str(error->text));
    if (error->status == LH_CONFLICT)
        json_put(object, "conflict", json_str(lh_conflict_name(lh_last_conflict())));
    return object;
}

static void print(const struct cli *cli, const struct vde_error *error)
{
    progress_done();
    fflush(stdout);
    if (cli->json) {
        json_print_line(stderr, cli_error_json(error));
        return;
    }
    fputs("vdectl: ", stderr);
    out_text(stderr, error->text, strlen(error->text));
    if (cli_exit_of(error->status) == CLI_CONFLICT)
        fputs(error->retryable ? "; retryable" : "; not retryable", stderr);
    fprintf(stderr, " (%s)\n", error->code);
}

int cli_failed(const struct cli *cli, vde_status status)
{
    if (vde_last_error()->status != status) /* the call failed without a detail: say at least what it said */
        vde_error_set(status, cli->image_path ? cli->image_path : cli->command->verb, NULL, NULL);
    struct vde_error error = *vde_last_error();
    snprintf(error.code, sizeof error.code, "%s", lh_status_name(status)); /* known there before any lh_open(), too */
    print(cli, &error);
    return cli_exit_of(status);
}

void cli_error_prefix(const char *prefix)
{
    struct vde_error error = *vde_last_error();
    char object[sizeof error.object];
    bool plain = error.expected[0] == '\0' && !strstr(error.text, ": found "); /* a free text stands in `found` then */
    snprintf(object, sizeof object, "%.*s: %.*s", (int)sizeof object / 2 - 2, prefix, (int)sizeof object / 2 - 2,
             error.object);
    if (plain)
        vde_error_text(error.status, object, "%s", error.found[0] ? error.found : vde_status_text(error.status));
    else
        vde_error_set(error.status, object, error.found, error.expected);
    vde_error_set_retryable(error.retryable);
}

int cli_failed_image(const struct cli *cli, vde_status status)
{
    if (vde_last_error()->status == status && !strstr(vde_last_error()->text, cli->image_path))
        cli_error_prefix(cli->image_path);
    return cli_failed(cli, status);
}

int cli_error(const struct cli *cli, vde_status status, const char *object, const char *found, const char *expected)
{
    vde_error_set(status, object, found, expected);
    return cli_failed(cli, status);
}

int cli_errno(const struct cli *cli, int os_errno, const char *object, const char *call)
{
    vde_status status = vde_error_errno(os_errno, object, call);
    return cli_failed(cli, status);
}

int cli_usage(const struct cli *cli, const char *object, const char *found, const char *expected)
{
    return cli_usage_as(cli, object, found, expected, NULL);
}

int cli_usage_as(const struct cli *cli, const char *object, const char *found, const char *expected, const char *text)
{
    vde_error_set(VDE_INVAL, object, found, expected);
    struct vde_error error = *vde_last_error();
    if (text)
        snprintf(error.text, sizeof error.text, "%s", text);
    snprintf(error.code, sizeof error.code, "USAGE");
    print(cli, &error);
    if (!cli->json && cli->command)
        fprintf(stderr, "try: vdectl %s%s%s --help\n", cli->command->noun ? cli->command->noun : "",
                cli->command->noun ? " " : "", cli->command->verb);
    return CLI_USAGE;
}

void cli_note(const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    progress_done();
    fputs("vdectl: note: ", stderr);
    out_text(stderr, text, strlen(text));
    fputc('\n', stderr);
}
