/* SPDX-License-Identifier: Apache-2.0 */
/* sink.c -- write out of an image: a file is there as a whole or not at all. */
#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NS_PER_SECOND 1000000000

const char sink_killed_help[] = "A file is written as FILE.XXXXXX and renamed when it is complete: a command that was killed\n"
                                "leaves that behind, to be deleted.";

/* Devices and pipes are written to as they are: another file under their name would replace them. */
static int open_special(const struct cli *cli, const char *path, mode_t mode, bool force, struct sink *sink)
{
    if (S_ISDIR(mode))
        return cli_error(cli, VDE_INVAL, path, "a folder", "a file or block device");
    if (S_ISBLK(mode) && !force)
        return cli_error(cli, VDE_EXISTS, path, "a block device", "a new file, or --force to write over it");
    sink->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | (S_ISBLK(mode) ? O_EXCL : 0));
    return sink->fd < 0 ? cli_errno(cli, errno, path, "open") : CLI_DONE;
}

int sink_open(const struct cli *cli, const char *path, bool force, struct sink *ret_sink)
{
    struct stat status;
    *ret_sink = (struct sink){.fd = STDOUT_FILENO, .path = path};
    if (strcmp(path, "-") == 0) {
        ret_sink->path = "standard output";
        return CLI_DONE;
    }
    bool exists = stat(path, &status) == 0;
    if (exists && !S_ISREG(status.st_mode))
        return open_special(cli, path, status.st_mode, force, ret_sink);
    if (exists && !force)
        return cli_error(cli, VDE_EXISTS, path, "a file", "nothing, or --force");
    size_t size = strlen(path) + sizeof ".XXXXXX";
    char *temporary = cli_alloc(NULL, size);
    snprintf(temporary, size, "%s.XXXXXX", path);
    ret_sink->fd = mkostemp(temporary, O_CLOEXEC);
    if (ret_sink->fd < 0) {
        int os_errno = errno;
        free(temporary);
        return cli_errno(cli, os_errno, path, "open");
    }
    ret_sink->temporary = temporary;
    ret_sink->sparse = true;
    return CLI_DONE;
}

vde_status sink_put(const struct sink *sink, const void *bytes, uint64_t size)
{
    const char *at = bytes;
    while (size > 0) {
        ssize_t put = write(sink->fd, at, size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return vde_error_errno(errno, sink->path, "write");
        at += put;
        size -= (uint64_t)put;
    }
    return VDE_OK;
}

static vde_status finish_file(const struct sink *sink, uint64_t size, int64_t modified_ns)
{
    mode_t mask = umask(0);
    umask(mask);
    struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_NOW}};
    if (modified_ns >= 0)
        times[1] = (struct timespec){modified_ns / NS_PER_SECOND, modified_ns % NS_PER_SECOND};
    if (ftruncate(sink->fd, (off_t)size) != 0)
        return vde_error_errno(errno, sink->path, "set the file's size");
    if (fchmod(sink->fd, 0666 & ~mask) != 0 || futimens(sink->fd, times) != 0)
        return vde_error_errno(errno, sink->path, "set mode and time");
    if (fsync(sink->fd) != 0)
        return vde_error_errno(errno, sink->path, "fsync");
    if (rename(sink->temporary, sink->path) != 0)
        return vde_error_errno(errno, sink->path, "rename");
    return VDE_OK;
}

/* Pipes and character devices have nothing to flush. */
static vde_status flush(const struct sink *sink)
{
    if (sink->fd != STDOUT_FILENO && fsync(sink->fd) != 0 && errno != EINVAL)
        return vde_error_errno(errno, sink->path, "fsync");
    return VDE_OK;
}

vde_status sink_close(struct sink *sink, uint64_t size, int64_t modified_ns, vde_status status)
{
    if (status == VDE_OK)
        status = sink->temporary ? finish_file(sink, size, modified_ns) : flush(sink);
    if (sink->fd != STDOUT_FILENO)
        close(sink->fd);
    if (sink->temporary && status != VDE_OK)
        unlink(sink->temporary);
    free(sink->temporary);
    *sink = (struct sink){.fd = -1};
    return status;
}
