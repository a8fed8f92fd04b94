/* SPDX-License-Identifier: Apache-2.0 */
/* cli.h -- what every verb of vdectl shares: the command table, parsed arguments, errors, output.
 *
 * A verb is one `struct cli_command`; main.c finds it, args.c parses the command line into a `struct cli`, and the verb's
 * `run` returns an exit status. Everything goes to stdout through output.c and json.c, every failure to stderr through
 * errors.c. A verb prints its failure once, where it gives up, by returning cli_failed(). */
#ifndef VDECTL_CLI_H
#define VDECTL_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>
#include <lakehouse/all.h>
#include <vde/vde.h>

/* Exit statuses: part of the interface, listed in --help and tested. */
enum {
    CLI_DONE = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_CONFLICT = 3,
    CLI_BUSY = 4,
    CLI_DAMAGE = 5,
};

#define CLI_ARGS_ANY UINT32_MAX
#define CLI_WAIT_WRITER_MS 30000u

struct cli;

struct cli_option {
    const char *name;  /* without dashes */
    const char *value; /* what the value is called in --help; NULL: a switch */
    const char *help;
};

enum {
    CLI_OPENS = 1u,   /* opens the image: --backend and --wait apply */
    CLI_WRITES = 2u,  /* opens it for writing: waits 30 s for a busy image */
    CLI_IMAGE = 4u,   /* takes IMAGE */
    CLI_SIZES = 8u,   /* prints sizes: --bytes applies */
    CLI_NO_NEED = 16u, /* with CLI_IMAGE: goes without one too, image_path is NULL then */
    CLI_READS = 32u,   /* may open the image as of a snapshot: --snapshot applies */
    CLI_LONG = 64u,    /* writes much: the image's background thread works meanwhile */
};

struct cli_command {
    const char *noun; /* NULL: an image verb */
    const char *verb;
    const char *arguments; /* after IMAGE, as shown in --help */
    const char *summary;
    uint32_t flags;
    uint32_t min_args, max_args; /* after IMAGE */
    const struct cli_option *options; /* ends with a NULL name; may be NULL */
    const char *notes; /* more for --help; may be NULL */
    int (*run)(struct cli *cli);
};

struct cli_value {
    const char *name;
    const char *text; /* "" for a switch */
};

/* One parsed command line. `args` and `values` point into argv. */
struct cli {
    const struct cli_command *command;
    const char *image_path;
    const char **args;
    uint32_t arg_count;
    struct cli_value *values;
    uint32_t value_count;
    bool json;
    bool exact_bytes;
    uint32_t wait_ms;
    vde_image *image; /* opened by cli_open(), closed by main() */
    lh_lakehouse *lakehouse; /* opened by cli_open_tables() */
};

/* --- args.c ----------------------------------------------------------------------------------------------------- */
/* Parse argv after the verb. CLI_DONE, or CLI_USAGE with the error printed. */
int cli_parse(struct cli *cli, const struct cli_command *command, int argc, char **argv);
/* The last value of an option, NULL when it was not given. */
const char *cli_option(const struct cli *cli, const char *name);
bool cli_switch(const struct cli *cli, const char *name);
/* All values of an option, in order: start with *position 0. NULL after the last. */
const char *cli_option_next(const struct cli *cli, const char *name, uint32_t *position);
/* Usage error unless at most one of the named options was given. */
int cli_exclusive(const struct cli *cli, const char *const names[], uint32_t count);

/* --- help.c ----------------------------------------------------------------------------------------------------- */
extern const struct cli_option cli_common_options[];
extern const uint32_t cli_common_flags[]; /* flags that make common option i apply, 0: always */
void cli_help_command(const struct cli_command *command);
void cli_help_all(const struct cli_command *const *commands, FILE *stream);
void cli_help_noun(const struct cli_command *const *commands, const char *noun, FILE *stream);
int cli_unknown(const struct cli_command *const *commands, const char *noun, const char *word, bool json);

/* --- parse.c ---------------------------------------------------------------------------------------------------- */
/* Strict parsers: the whole text or false. */
bool parse_u64(const char *text, uint64_t *ret_value);
bool parse_size(const char *text, uint64_t *ret_bytes);       /* 4096, 256M, 80G, 1.5TiB */
bool parse_duration_ms(const char *text, uint32_t *ret_ms);   /* 500ms, 30s, 2m, 0 */
/* The option as a number, `fallback` when absent; prints a usage error and returns false on other text. */
bool cli_option_u64(const struct cli *cli, const char *name, uint64_t fallback, uint64_t *ret_value);
bool cli_option_size(const struct cli *cli, const char *name, uint64_t fallback, uint64_t *ret_value);
uint64_t cli_now_us(void);

/* --- errors.c --------------------------------------------------------------------------------------------------- */
/* Print the calling thread's error detail for `status`; returns the exit status that belongs to it. */
int cli_failed(const struct cli *cli, vde_status status);
/* The same for a call about the image as a whole: the message names its path. */
int cli_failed_image(const struct cli *cli, vde_status status);
/* Put "PREFIX: " before the object of the calling thread's error detail. */
void cli_error_prefix(const char *prefix);
/* Exit status of a status, nothing printed. */
int cli_exit_of(vde_status status);
/* Print a usage error about `object`; returns CLI_USAGE. */
int cli_usage(const struct cli *cli, const char *object, const char *found, const char *expected);
/* The same in words of its own. */
int cli_usage_as(const struct cli *cli, const char *object, const char *found, const char *expected, const char *text);
/* Print a failure that vdectl found itself, with a code of the status list. */
int cli_error(const struct cli *cli, vde_status status, const char *object, const char *found, const char *expected);
/* A failed system call on `object`. */
int cli_errno(const struct cli *cli, int os_errno, const char *object, const char *call);
/* The error detail as an object {code, object, found, expected, retryable, text}: new reference. */
json_t *cli_error_json(const struct vde_error *error);
/* "vdectl: note: ..." on stderr. */
void cli_note(const char *format, ...) VDE_PRINTF(1, 2);

/* --- open.c ----------------------------------------------------------------------------------------------------- */
/* Open cli->image_path, read-write when the command writes, and wait as asked. */
vde_status cli_open(struct cli *cli);
/* The same, and make the image again what this snapshot of it shows. */
vde_status cli_open_rolled_back(struct cli *cli, const char *snapshot, bool drop_newer);
/* The same, and its table layer. */
vde_status cli_open_tables(struct cli *cli);
/* A note when a command that writes leaves the image 80 % full or more. */
void cli_warn_full(const struct cli *cli);
/* Close the image if it is open; a failed last checkpoint is a note, nothing depends on it. */
void cli_close(struct cli *cli);
/* Call `attempt` until it is not BUSY or the wait is over, for calls that take no wait of their own. */
vde_status cli_wait_busy(const struct cli *cli, vde_status (*attempt)(void *context), void *context);
/* Read a whole file, or stdin for "-". Returns an exit status; the text is NUL-terminated and the caller's to free. */
int cli_read_file(const struct cli *cli, const char *path, char **ret_text, size_t *ret_size);

/* --- output.c --------------------------------------------------------------------------------------------------- */
#define OUT_TEXT 64
const char *out_size(const struct cli *cli, uint64_t bytes, char text[OUT_TEXT]);   /* "4.0 MiB", or exact */
const char *out_time(uint64_t us, char text[OUT_TEXT]);                             /* RFC 3339 UTC, 3 or 6 decimals */
const char *out_uuid(const uint8_t uuid[16], char text[OUT_TEXT]);
/* Print text with control characters and invalid UTF-8 as \xNN, so that no name can drive the terminal. */
void out_text(FILE *stream, const char *text, size_t size);
/* "key:  value" with keys padded to `width`. */
void out_field(const char *key, int width, const char *format, ...) VDE_PRINTF(3, 4);

/* A table is printed when it is complete, columns as wide as their content. A leading '>' in a heading right-aligns. */
struct out_table {
    uint32_t columns;
    size_t count, capacity;
    char **cells;
    const char *const *headings;
};
void out_table_init(struct out_table *table, uint32_t columns, const char *const *headings);
void out_table_cell(struct out_table *table, const char *format, ...) VDE_PRINTF(2, 3);
void out_table_done(struct out_table *table); /* prints and releases; prints nothing without rows */
_Noreturn void cli_no_memory(void);
void *cli_alloc(void *memory, size_t size);   /* realloc that ends the program with a message when there is none */
char *cli_copy(const char *text, size_t size);

/* --- json.c ----------------------------------------------------------------------------------------------------- */
json_t *json_u64(uint64_t value);
json_t *json_time(uint64_t us);
json_t *json_bytes(const char *text, size_t size); /* a string; invalid UTF-8 becomes U+FFFD */
json_t *json_str(const char *text);                /* json_bytes of a C string; null for NULL */
void json_put(json_t *object, const char *key, json_t *value); /* steals value */
void json_add(json_t *array, json_t *value);                   /* steals value */
/* Print a value and release it: indented, or on one line. */
void json_print(json_t *value);
void json_print_line(FILE *stream, json_t *value);
/* Print an object whose last member is a long array, without holding the array: begin, items, end. `head` is released. */
struct json_stream {
    uint64_t count;
};
void json_stream_begin(struct json_stream *stream, json_t *head, const char *key);
void json_stream_item(struct json_stream *stream, json_t *item);
void json_stream_end(struct json_stream *stream);

/* --- progress.c ------------------------------------------------------------------------------------------------- */
/* A bar on stderr, drawn only when that is a terminal and the work has lasted half a second. */
void progress_update(const char *what, uint64_t done, uint64_t total);
void progress_done(void);

#endif
