/* SPDX-License-Identifier: Apache-2.0 */
/* transfer.h -- the bytes of a volume to and from files, holes kept on both sides. */
#ifndef VDECTL_TRANSFER_H
#define VDECTL_TRANSFER_H

#include "cli.h"
#include "sink.h"

#include <vde/volume.h>

/* Where bytes come from: a file, a block device, or standard input ("-"). */
struct source {
    int fd;
    const char *path;
    bool sized; /* its size is known, and it can be asked for its holes */
    uint64_t size;
};
int source_open(const struct cli *cli, const char *path, struct source *ret_source);
void source_close(struct source *source);

struct transfer {
    vde_volume *volume;
    const char *what;      /* for the progress bar */
    uint64_t offset;       /* in the volume */
    uint64_t total;        /* bytes to move; in: known only from the source */
    bool fresh;            /* in: nothing was ever written, so that zeroes may be left out */
    uint64_t done;         /* moved */
    uint64_t data_bytes;   /* of them written as data: all others were zeroes or holes */
};
/* Write the source into the volume, and flush. TOO_LARGE: it goes on beyond the end. */
vde_status transfer_in(struct transfer *transfer, struct source *source);
/* Write `total` bytes of the volume into the sink. */
vde_status transfer_out(struct transfer *transfer, struct sink *sink);

#endif
