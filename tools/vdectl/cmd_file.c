/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_file.c -- vdectl file put, get, list, remove: data files of a table stored in the image. */
#include "commands.h"
#include "sink.h"
#include "tables.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* An open local file, and how far it has been read. */
struct stream {
    int fd;
    const char *path;
    uint64_t done, total;
};

static vde_status read_some(void *context, void *buffer, size_t size, size_t *ret_size)
{
    struct stream *stream = context;
    ssize_t got;
    do
        got = read(stream->fd, buffer, size);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return vde_error_errno(errno, stream->path, "read");
    stream->done += (uint64_t)got;
    progress_update("put", stream->done, stream->total);
    *ret_size = (size_t)got;
    return VDE_OK;
}

static json_t *stored_json(const struct lh_stored_file *file)
{
    json_t *object = json_object();
    json_put(object, "path", json_str(file->path));
    json_put(object, "size_bytes", json_u64(file->size_bytes));
    json_put(object, "modified", file->modified_ns < 0 ? json_null() : json_time((uint64_t)file->modified_ns / 1000));
    return object;
}

/* --- put -------------------------------------------------------------------------------------------------------- */

static int open_source(struct cli *cli, const char *path, struct stream *ret_stream, int64_t *ret_modified_ns)
{
    struct stat status;
    bool standard = strcmp(path, "-") == 0;
    *ret_stream = (struct stream){.fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC),
                                  .path = standard ? "standard input" : path};
    *ret_modified_ns = LH_UNKNOWN;
    if (ret_stream->fd < 0)
        return cli_errno(cli, errno, path, "open");
    if (!standard && fstat(ret_stream->fd, &status) == 0) {
        ret_stream->total = (uint64_t)status.st_size;
        *ret_modified_ns = (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
    }
    return CLI_DONE;
}

static int run_put(struct cli *cli)
{
    struct stream stream;
    int64_t modified_ns;
    const char *source = cli->args[2];
    int result = open_source(cli, source, &stream, &modified_ns);
    if (result != CLI_DONE)
        return result;
    vde_status status = cli_open_tables(cli);
    if (status == VDE_OK)
        status = lh_file_put(cli->lakehouse, cli->args[0], cli->args[1], modified_ns, read_some, &stream);
    if (stream.fd != STDIN_FILENO)
        close(stream.fd);
    if (status != VDE_OK)
        return cli_failed(cli, status);
    if (cli->json) {
        struct lh_stored_file stored = {.path = cli->args[1], .size_bytes = stream.done, .modified_ns = modified_ns};
        json_t *object = stored_json(&stored);
        json_put(object, "table", json_str(cli->args[0]));
        json_print(object);
    }
    return CLI_DONE;
}

const struct cli_command cmd_file_put = {
    .noun = "file",
    .verb = "put",
    .arguments = "TABLE PATH SOURCE",
    .summary = "store a local file (- for standard input) as PATH of a table",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_WRITES,
    .min_args = 3,
    .max_args = 3,
    .notes = "The file is durable when this returns, but part of no version: vdectl table add adds it.",
    .run = run_put,
};

/* --- get -------------------------------------------------------------------------------------------------------- */

struct getting {
    struct sink sink;
    uint64_t done, total;
};

static vde_status write_some(void *context, const void *data, size_t size)
{
    struct getting *get = context;
    vde_status status = sink_put(&get->sink, data, size);
    if (status == VDE_OK)
        get->done += size;
    progress_update("get", get->done, get->total);
    return status;
}

static int run_get(struct cli *cli)
{
    struct getting get = {.done = 0};
    struct lh_stored_file *file = NULL;
    if (strcmp(cli->args[2], "-") == 0 && cli->json)
        return cli_usage(cli, "--json", "standard output for the file as well", "another place for one of them");
    vde_status status = cli_open_tables(cli);
    if (status == VDE_OK)
        status = lh_file_stat(cli->lakehouse, cli->args[0], cli->args[1], &file);
    if (status != VDE_OK)
        return cli_failed(cli, status);
    get.total = file->size_bytes;
    int result = sink_open(cli, cli->args[2], cli_switch(cli, "force"), &get.sink);
    if (result == CLI_DONE) {
        status = lh_file_get(cli->lakehouse, cli->args[0], cli->args[1], write_some, &get, NULL);
        status = sink_close(&get.sink, get.done, file->modified_ns, status);
        if (status != VDE_OK)
            result = cli_failed(cli, status);
    }
    if (result == CLI_DONE && cli->json) {
        json_t *object = stored_json(file);
        json_put(object, "table", json_str(cli->args[0]));
        json_print(object);
    }
    lh_free(file);
    return result;
}

static const struct cli_option get_options[] = {
    {"force", NULL, "replace DEST when it exists; needed for a block device"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_file_get = {
    .noun = "file",
    .verb = "get",
    .arguments = "TABLE PATH DEST",
    .summary = "copy a stored file out (- for standard output), every byte verified",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_READS,
    .min_args = 3,
    .max_args = 3,
    .options = get_options,
    .notes = sink_killed_help,
    .run = run_get,
};

/* --- list ------------------------------------------------------------------------------------------------------- */

static void list_text(const struct cli *cli, const struct lh_stored_files *files)
{
    static const char *const headings[] = {">size", "modified", "path"};
    char text[OUT_TEXT];
    struct out_table table;
    out_table_init(&table, 3, headings);
    for (size_t i = 0; i < files->count; i++) {
        const struct lh_stored_file *file = &files->files[i];
        if (!cli_switch(cli, "long")) {
            out_text(stdout, file->path, strlen(file->path));
            putchar('\n');
            continue;
        }
        out_table_cell(&table, "%s", out_size(cli, file->size_bytes, text));
        out_table_cell(&table, "%s",
                       file->modified_ns < 0 ? "unknown" : out_time((uint64_t)file->modified_ns / 1000, text));
        out_table_cell(&table, "%s", file->path);
    }
    out_table_done(&table);
}

static int run_list(struct cli *cli)
{
    struct lh_stored_files *files;
    vde_status status = cli_open_tables(cli);
    if (status == VDE_OK)
        status = lh_file_list(cli->lakehouse, cli->args[0], cli->arg_count > 1 ? cli->args[1] : NULL, &files);
    if (status != VDE_OK)
        return cli_failed(cli, status);
    if (cli->json) {
        struct json_stream stream;
        json_t *head = json_object();
        json_put(head, "table", json_str(cli->args[0]));
        json_stream_begin(&stream, head, "files");
        for (size_t i = 0; i < files->count; i++)
            json_stream_item(&stream, stored_json(&files->files[i]));
        json_stream_end(&stream);
    } else {
        list_text(cli, files);
    }
    lh_free(files);
    return CLI_DONE;
}

static const struct cli_option list_options[] = {
    {"long", NULL, "size and modification time too"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_file_list = {
    .noun = "file",
    .verb = "list",
    .arguments = "TABLE [PREFIX]",
    .summary = "list the files stored for a table, one a line",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_READS | CLI_SIZES,
    .min_args = 1,
    .max_args = 2,
    .options = list_options,
    .run = run_list,
};

/* --- remove ----------------------------------------------------------------------------------------------------- */

static int run_remove(struct cli *cli)
{
    vde_status status = cli_open_tables(cli);
    if (status == VDE_OK)
        status = lh_file_remove(cli->lakehouse, cli->args[0], cli->args[1], cli_switch(cli, "force"));
    if (status != VDE_OK)
        return cli_failed(cli, status);
    if (cli->json) {
        json_t *object = json_object();
        json_put(object, "table", json_str(cli->args[0]));
        json_put(object, "path", json_str(cli->args[1]));
        json_put(object, "removed", json_true());
        json_print(object);
    }
    return CLI_DONE;
}

static const struct cli_option remove_options[] = {
    {"force", NULL, "remove it although a version of the table names it"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_file_remove = {
    .noun = "file",
    .verb = "remove",
    .arguments = "TABLE PATH",
    .summary = "remove a stored file that no version of its table names",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_WRITES,
    .min_args = 2,
    .max_args = 2,
    .options = remove_options,
    .run = run_remove,
};
