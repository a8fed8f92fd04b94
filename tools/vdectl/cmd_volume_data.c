/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_volume_data.c -- vdectl volume read, write, import, export, defrag: the bytes of a volume. */
#include "commands.h"
#include "transfer.h"
#include "volumes.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DEFRAG_STEP_BYTES (8u << 20)
#define SECTOR_BYTES 512u

/* What was moved: quiet for people, an object for programs. */
static int moved(const struct cli *cli, const struct volume_ref *ref, const struct transfer *transfer)
{
    if (!cli->json)
        return CLI_DONE;
    json_t *object = volume_ref_json(ref);
    json_put(object, "offset", json_u64(transfer->offset));
    json_put(object, "size_bytes", json_u64(transfer->done));
    json_put(object, "data_bytes", json_u64(transfer->data_bytes));
    json_print(object);
    return CLI_DONE;
}

/* --- read and export -------------------------------------------------------------------------------------------- */

/* --offset and --length against the volume's size. */
static int take_range(const struct cli *cli, const vde_volume *volume, struct transfer *transfer)
{
    uint64_t size = vde_volume_size(volume);
    char found[OUT_TEXT], expected[OUT_TEXT];
    if (!cli_option_size(cli, "offset", 0, &transfer->offset))
        return CLI_USAGE;
    uint64_t left = transfer->offset < size ? size - transfer->offset : 0;
    if (!cli_option_size(cli, "length", left, &transfer->total))
        return CLI_USAGE;
    snprintf(expected, sizeof expected, "at most %llu", (unsigned long long)(transfer->offset > size ? size : left));
    snprintf(found, sizeof found, "%llu",
             (unsigned long long)(transfer->offset > size ? transfer->offset : transfer->total));
    if (transfer->offset > size || transfer->total > left)
        return cli_error(cli, VDE_INVAL, transfer->offset > size ? "--offset" : "--length", found, expected);
    return CLI_DONE;
}

/* Copy out of the volume that the first argument names, to a path or "-". */
static int copy_out(struct cli *cli, const char *path, const char *what)
{
    struct transfer transfer = {.what = what};
    struct volume_ref ref;
    if (strcmp(path, "-") == 0 && cli->json)
        return cli_usage(cli, "--json", "standard output for the data as well", "another place for one of them");
    vde_status status = volume_open(cli, cli->args[0], &ref, &transfer.volume);
    if (status != VDE_OK)
        return volume_failed(cli, status, cli->args[0]);
    int result = take_range(cli, transfer.volume, &transfer);
    struct sink sink;
    if (result == CLI_DONE)
        result = sink_open(cli, path, cli_switch(cli, "force"), &sink);
    if (result == CLI_DONE) {
        status = transfer_out(&transfer, &sink);
        status = sink_close(&sink, transfer.total, LH_UNKNOWN, status);
        result = status == VDE_OK ? moved(cli, &ref, &transfer) : volume_failed(cli, status, cli->args[0]);
    }
    vde_volume_close(transfer.volume);
    volume_ref_done(&ref);
    return result;
}

static int run_read(struct cli *cli)
{
    const char *path = cli_option(cli, "output");
    return copy_out(cli, path ? path : "-", "read");
}

static const struct cli_option read_options[] = {
    {"offset", "SIZE", "begin there, 0 by default"},
    {"length", "SIZE", "so many bytes; by default up to the end"},
    {"output", "FILE", "write to FILE (also -o), by default to standard output; holes become holes"},
    {"force", NULL, "replace FILE when it exists; needed for a block device"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_volume_read = {
    .noun = "volume",
    .verb = "read",
    .arguments = "NAME[@SNAPSHOT]",
    .summary = "copy the bytes of a volume, or of a snapshot, out of the image, every byte verified",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_READS,
    .min_args = 1,
    .max_args = 1,
    .options = read_options,
    .notes = sink_killed_help,
    .run = run_read,
};

static int run_export(struct cli *cli)
{
    return copy_out(cli, cli->args[1], "export");
}

static const struct cli_option export_options[] = {
    {"force", NULL, "replace FILE when it exists; needed for a block device"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_volume_export = {
    .noun = "volume",
    .verb = "export",
    .arguments = "NAME[@SNAPSHOT] FILE",
    .summary = "copy a whole volume to a raw file, keeping its holes, or to a block device",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_READS,
    .min_args = 2,
    .max_args = 2,
    .options = export_options,
    .notes = sink_killed_help,
    .run = run_export,
};

/* --- write and import ------------------------------------------------------------------------------------------- */

static int refuse_long(const struct cli *cli, const struct source *source, const struct transfer *transfer)
{
    uint64_t size = vde_volume_size(transfer->volume);
    uint64_t left = transfer->offset < size ? size - transfer->offset : 0;
    char found[OUT_TEXT], expected[OUT_TEXT];
    if (transfer->offset <= size && (!source->sized || source->size <= left))
        return CLI_DONE;
    snprintf(found, sizeof found, "%llu bytes", (unsigned long long)source->size);
    snprintf(expected, sizeof expected, "at most %llu, up to the volume's end", (unsigned long long)left);
    return cli_error(cli, VDE_TOO_LARGE, source->path, found, expected);
}

static int run_write(struct cli *cli)
{
    struct transfer transfer = {.what = "write"};
    struct source source;
    struct volume_ref ref = {0};
    if (!cli_option_size(cli, "offset", 0, &transfer.offset))
        return CLI_USAGE;
    if (transfer.offset % SECTOR_BYTES != 0)
        return cli_usage(cli, "--offset", cli_option(cli, "offset"), "a multiple of 512");
    int result = source_open(cli, cli->arg_count > 1 ? cli->args[1] : "-", &source);
    if (result != CLI_DONE)
        return result;
    vde_status status = cli_open(cli);
    ref.volume = cli_copy(cli->args[0], strlen(cli->args[0]));
    if (status == VDE_OK)
        status = vde_volume_open(cli->image, ref.volume, NULL, &transfer.volume);
    result = status == VDE_OK ? refuse_long(cli, &source, &transfer) : volume_failed(cli, status, cli->args[0]);
    if (result == CLI_DONE) {
        status = transfer_in(&transfer, &source);
        result = status == VDE_OK ? moved(cli, &ref, &transfer) : volume_failed(cli, status, cli->args[0]);
    }
    source_close(&source);
    vde_volume_close(transfer.volume);
    volume_ref_done(&ref);
    return result;
}

static const struct cli_option write_options[] = {
    {"offset", "SIZE", "begin there, a multiple of 512, 0 by default"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_volume_write = {
    .noun = "volume",
    .verb = "write",
    .arguments = "NAME [FILE]",
    .summary = "write a file (standard input without FILE, or for -) into a volume; durable when it returns",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_WRITES | CLI_LONG,
    .min_args = 1,
    .max_args = 2,
    .options = write_options,
    .notes = "What is before and behind the written range stays. Holes and long runs of zeroes take no space.",
    .run = run_write,
};

static int import_into(struct cli *cli, struct source *source, const struct vde_volume_opts *opts)
{
    const char *name = cli->args[0];
    struct transfer transfer = {.what = "import", .fresh = true};
    struct volume_ref ref = {.volume = cli_copy(name, strlen(name))};
    vde_status status = vde_volume_create(cli->image, name, opts);
    bool made = status == VDE_OK;
    if (made)
        status = vde_volume_open(cli->image, name, NULL, &transfer.volume);
    if (status == VDE_OK)
        status = transfer_in(&transfer, source);
    int result = status == VDE_OK ? moved(cli, &ref, &transfer) : volume_failed(cli, status, cli->args[0]);
    vde_volume_close(transfer.volume);
    if (made && status != VDE_OK && vde_volume_delete(cli->image, name) != VDE_OK)
        cli_note("the unfinished volume %s could not be deleted again: %s", name, vde_last_error()->text);
    volume_ref_done(&ref);
    return result;
}

static int run_import(struct cli *cli)
{
    struct vde_volume_opts opts = VDE_VOLUME_OPTS_INIT;
    struct source source;
    uint64_t size;
    if (!volume_options_take(cli, &opts) || !cli_option_size(cli, "size", 0, &size))
        return CLI_USAGE;
    int result = source_open(cli, cli->args[1], &source);
    if (result != CLI_DONE)
        return result;
    opts.size_bytes = size;
    if (!cli_option(cli, "size"))
        opts.size_bytes = (source.size + SECTOR_BYTES - 1) / SECTOR_BYTES * SECTOR_BYTES;
    if (!source.sized && !cli_option(cli, "size")) {
        result = cli_usage(cli, "--size", "none", "the size of the volume, which such an input does not tell");
    } else if (source.sized && source.size > opts.size_bytes) {
        result = cli_usage(cli, "--size", cli_option(cli, "size"), "at least the file's");
    } else {
        vde_status status = cli_open(cli);
        result = status == VDE_OK ? import_into(cli, &source, &opts) : volume_failed(cli, status, cli->args[0]);
    }
    source_close(&source);
    return result;
}

static const struct cli_option import_options[] = {
    {"size", "SIZE", "size of the volume, by default the file's"},
    {"compress", "none|zstd:1..9", volume_compress_help},
    {"prealloc", NULL, volume_prealloc_help},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_volume_import = {
    .noun = "volume",
    .verb = "import",
    .arguments = "NAME FILE",
    .summary = "make a new volume out of a raw file (- for standard input, with --size), keeping its holes",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_WRITES | CLI_LONG,
    .min_args = 2,
    .max_args = 2,
    .options = import_options,
    .run = run_import,
};

/* --- defrag ----------------------------------------------------------------------------------------------------- */

static uint64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Wait until `bytes` in all, since `start_ms`, are within the rate. */
static void pace(uint64_t start_ms, uint64_t bytes, uint64_t bytes_per_second)
{
    if (bytes_per_second == 0)
        return;
    uint64_t due_ms = (uint64_t)((double)bytes * 1000.0 / (double)bytes_per_second), spent_ms = clock_ms() - start_ms;
    if (due_ms > spent_ms)
        usleep((useconds_t)((due_ms - spent_ms < 60000 ? due_ms - spent_ms : 60000) * 1000));
}

static vde_status defrag(vde_volume *volume, uint64_t rate, uint64_t *ret_rewritten)
{
    uint64_t offset = 0, passed = 0, start_ms = clock_ms(), size = vde_volume_size(volume);
    uint64_t step = rate && rate / 4 < DEFRAG_STEP_BYTES ? rate / 4 : DEFRAG_STEP_BYTES;
    *ret_rewritten = 0;
    do {
        uint64_t bytes = 0;
        vde_status status = vde_volume_defrag(volume, &offset, step ? step : 1, &bytes);
        if (status != VDE_OK)
            return status;
        *ret_rewritten += bytes;
        passed += bytes;
        progress_update("defrag", offset ? offset : size, size);
        pace(start_ms, passed, rate);
    } while (offset != 0);
    return VDE_OK;
}

static int run_defrag(struct cli *cli)
{
    uint64_t rate, rewritten = 0;
    char text[OUT_TEXT];
    vde_volume *volume = NULL;
    if (!cli_option_size(cli, "limit-rate", 0, &rate))
        return CLI_USAGE;
    vde_status status = cli_open(cli);
    if (status == VDE_OK)
        status = vde_volume_open(cli->image, cli->args[0], NULL, &volume);
    if (status == VDE_OK)
        status = defrag(volume, rate, &rewritten);
    progress_done();
    if (status == VDE_OK)
        status = vde_volume_flush(volume);
    int result = CLI_DONE;
    if (status != VDE_OK) {
        result = volume_failed(cli, status, cli->args[0]);
    } else if (cli->json) {
        json_t *object = json_object();
        json_put(object, "volume", json_str(cli->args[0]));
        json_put(object, "rewritten_bytes", json_u64(rewritten));
        json_print(object);
    } else {
        out_field("rewritten", 10, "%s", out_size(cli, rewritten, text));
    }
    vde_volume_close(volume);
    return result;
}

static const struct cli_option defrag_options[] = {
    {"limit-rate", "SIZE", "rewrite at most so much a second, like 20M"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_volume_defrag = {
    .noun = "volume",
    .verb = "defrag",
    .arguments = "NAME",
    .summary = "rewrite what is scattered, so that reading in order is fast again",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_WRITES | CLI_LONG | CLI_SIZES,
    .min_args = 1,
    .max_args = 1,
    .options = defrag_options,
    .notes = "What a snapshot or a clone shares is left where it is.",
    .run = run_defrag,
};
