/* SPDX-License-Identifier: Apache-2.0 */
/* sink.h -- where bytes out of an image go. */
#ifndef VDECTL_SINK_H
#define VDECTL_SINK_H

#include "cli.h"

/* A file, which appears under its name when it is whole; a block device; a pipe or character device; or standard output
 * ("-"). */
struct sink {
    int fd;
    const char *path;
    char *temporary; /* NULL: not a file of ours */
    bool sparse;     /* holes are left out */
};
extern const char sink_killed_help[]; /* for the notes of verbs that write a file */
/* `force`: replace a file that exists, write over a block device. */
int sink_open(const struct cli *cli, const char *path, bool force, struct sink *ret_sink);
vde_status sink_put(const struct sink *sink, const void *bytes, uint64_t size);
/* Finish, or with a failure undo, and release; returns the status, or what went wrong now. A file gets the size, the time
 * of modification unless that is negative, and is durable before it gets its name. */
vde_status sink_close(struct sink *sink, uint64_t size, int64_t modified_ns, vde_status status);

#endif
