/* SPDX-License-Identifier: Apache-2.0 */
/* nbd.h -- what the files of the nbdkit plugin share. */
#ifndef VDE_TOOLS_NBD_H
#define VDE_TOOLS_NBD_H

#include <pthread.h>
#include <stdbool.h>

#include <vde/vde.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

struct nbd_export;

/* The server: nbdkit gives a plugin no context of its own, so there is exactly one, in plugin.c. */
struct nbd_server {
    /* from the command line, immutable after config_complete */
    char *image_path;
    char *volume;   /* NULL: every volume is an export */
    char *snapshot; /* only with volume */
    char *backend;
    uint64_t memory_bytes;
    char *control_path;
    uint32_t idle_defrag_ms;

    pthread_mutex_t lock;
    vde_image *image; /* guarded by lock until it is open, then immutable until the server stops */
    struct nbd_control *control;
};

/* One connection. */
struct nbd_export {
    vde_volume *volume;
    bool writable;
};

/* One export by name: "VOLUME" or "VOLUME@SNAPSHOT". */
struct nbd_name {
    char volume[VDE_VOLUME_NAME_MAX + 1];
    char snapshot[VDE_SNAPSHOT_NAME_MAX + 1]; /* empty: the volume itself */
};

/* The errno that a client is told. */
int nbd_errno(vde_status status);
/* Log the thread's error detail, set errno for the client, and return -1. */
int nbd_fail(vde_status status);
/* The same with a text of our own. */
int nbd_refuse(int os_errno, const char *text, const char *name);

/* images.c */
/* Whether the image can be read and holds what the command line names; leaves it closed. */
int nbd_image_try(const struct nbd_server *server);
/* Open the image if it is not open yet; the first caller decides how. */
int nbd_image_open(struct nbd_server *server, bool read_only);
/* With a last checkpoint. */
void nbd_image_close(struct nbd_server *server);

/* exports.c */
int nbd_exports_list(struct nbd_server *server, struct nbdkit_exports *exports);
/* The name of the only volume, or of the export of the command line; NULL: none. Lives as long as the server. */
const char *nbd_exports_default(struct nbd_server *server);
/* Which volume and snapshot an export's name means. A '@' may be part of a volume's name, never of a snapshot's. */
int nbd_name_resolve(const struct nbd_server *server, const char *export_name, struct nbd_name *ret_name);

/* control.c: lines of commands on a socket of its own. */
int nbd_control_start(struct nbd_server *server);
void nbd_control_stop(struct nbd_server *server);

#endif
