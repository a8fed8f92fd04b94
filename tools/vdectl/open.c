/* SPDX-License-Identifier: Apache-2.0 */
/* open.c -- the image of a command: open, wait while it is busy, close; and reading input files. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INPUT_MAX_BYTES (256u << 20)
#define BUSY_POLL_US 20000u

/* Recovery that did something is worth a word. */
static void report(struct cli *cli)
{
    struct vde_image_info info;
    vde_image_info(cli->image, &info);
    if (info.replayed_records || info.dropped_tail_lsn)
        cli_note("%s: %s", cli->image_path, info.open_report);
}

static vde_status open_at(struct cli *cli, uint32_t flags, const char *snapshot)
{
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    /* One command, one change: the background thread would only start and stop. */
    opts.flags = flags | (cli->command->flags & CLI_LONG ? 0u : VDE_OPEN_NO_THREADS) |
                 (cli->command->flags & CLI_WRITES && !cli_switch(cli, "read-only") ? 0u : VDE_OPEN_READ_ONLY);
    opts.snapshot = snapshot;
    opts.backend = cli_option(cli, "backend");
    opts.wait_ms = cli->wait_ms;
    vde_status status = vde_image_open(cli->image_path, &opts, &cli->image);
    if (status != VDE_OK && !strstr(vde_last_error()->text, cli->image_path))
        cli_error_prefix(cli->image_path);
    if (status == VDE_OK && cli->command->flags & CLI_WRITES)
        report(cli);
    return status;
}

vde_status cli_open(struct cli *cli)
{
    return open_at(cli, 0, cli->command->flags & CLI_READS ? cli_option(cli, "snapshot") : NULL);
}

vde_status cli_open_rolled_back(struct cli *cli, const char *snapshot, bool drop_newer)
{
    return open_at(cli, VDE_OPEN_ROLLBACK | (drop_newer ? VDE_OPEN_DROP_NEWER : 0u), snapshot);
}

vde_status cli_open_tables(struct cli *cli)
{
    vde_status status = cli_open(cli);
    return status == VDE_OK ? lh_open(cli->image, NULL, &cli->lakehouse) : status;
}

void cli_warn_full(const struct cli *cli)
{
    struct vde_image_info info;
    if (!cli->image || !(cli->command->flags & CLI_WRITES))
        return;
    vde_image_info(cli->image, &info);
    if (info.fill_warning)
        cli_note("image is %u %% full", info.fill_percent);
}

void cli_close(struct cli *cli)
{
    lh_close(cli->lakehouse);
    cli->lakehouse = NULL;
    if (!cli->image)
        return;
    if (vde_image_close(cli->image) != VDE_OK)
        cli_note("the last checkpoint failed, what was acknowledged is in the log: %s", vde_last_error()->text);
    cli->image = NULL;
}

vde_status cli_wait_busy(const struct cli *cli, vde_status (*attempt)(void *context), void *context)
{
    uint64_t end_us = cli_now_us() + (uint64_t)cli->wait_ms * 1000;
    vde_status status = attempt(context);
    while (status == VDE_BUSY && cli_now_us() < end_us) {
        usleep(BUSY_POLL_US);
        status = attempt(context);
    }
    return status;
}

int cli_read_file(const struct cli *cli, const char *path, char **ret_text, size_t *ret_size)
{
    bool standard = strcmp(path, "-") == 0;
    const char *object = standard ? "standard input" : path;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return cli_errno(cli, errno, object, "open");
    char *text = NULL;
    size_t size = 0, capacity = 0;
    ssize_t got = 1;
    while (got != 0) {
        if (size + 1 >= capacity) {
            capacity = capacity ? capacity * 2 : 65536;
            text = cli_alloc(text, capacity);
        }
        got = read(fd, text + size, capacity - size - 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 || size + (size_t)got > INPUT_MAX_BYTES)
            break;
        size += (size_t)got;
    }
    int os_errno = errno;
    if (!standard)
        close(fd);
    if (got != 0) {
        free(text);
        return got < 0 ? cli_errno(cli, os_errno, object, "read")
                       : cli_error(cli, VDE_TOO_LARGE, object, "more than 256 MiB", "a document");
    }
    text[size] = '\0';
    *ret_text = text;
    *ret_size = size;
    return CLI_DONE;
}
