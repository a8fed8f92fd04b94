/* SPDX-License-Identifier: Apache-2.0 */
/* images.c -- the one image of the server: tried before the fork, opened by the first who needs it, closed at the end.
 *
 * nbdkit tells whether it runs with -r only when a client comes, and threads do not survive its fork: so the image is
 * opened with the first client. What would fail then is tried before, where the user still sees the message. */
#include "nbd.h"

#include <errno.h>

/* A server that was killed holds the image until the kernel has ended its requests: a moment longer than it lives. */
#define BUSY_WAIT_MS 3000

struct errno_row {
    vde_status status;
    int os_errno;
};

int nbd_errno(vde_status status)
{
    static const struct errno_row rows[] = {
        {VDE_INVAL, EINVAL},       {VDE_NOMEM, ENOMEM},       {VDE_NOSPC, ENOSPC}, {VDE_NOT_FOUND, ENOENT},
        {VDE_EXISTS, EEXIST},      {VDE_BUSY, EBUSY},         {VDE_READ_ONLY, EROFS}, {VDE_UNSUPPORTED, ENOTSUP},
        {VDE_TOO_LARGE, EINVAL},   {VDE_TIMED_OUT, ETIMEDOUT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].status == status)
            return rows[i].os_errno;
    return EIO; /* IO, CORRUPT, POISONED, COMMIT_UNKNOWN and what is new */
}

int nbd_fail(vde_status status)
{
    const struct vde_error *error = vde_last_error();
    nbdkit_error("%s (%s)", error->text[0] ? error->text : vde_status_text(status), vde_status_name(status));
    nbdkit_set_error(nbd_errno(status));
    return -1;
}

int nbd_refuse(int os_errno, const char *text, const char *name)
{
    nbdkit_error("%s%s%s%s", text, name ? ": '" : "", name ? name : "", name ? "'" : "");
    nbdkit_set_error(os_errno);
    return -1;
}

static vde_status open_image(const struct nbd_server *server, uint32_t flags, vde_image **ret_image)
{
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    opts.flags = flags;
    opts.backend = server->backend;
    opts.memory_bytes = server->memory_bytes;
    opts.wait_ms = BUSY_WAIT_MS;
    opts.idle_defrag_ms = server->idle_defrag_ms;
    return vde_image_open(server->image_path, &opts, ret_image);
}

int nbd_image_try(const struct nbd_server *server)
{
    vde_image *image;
    vde_status status = open_image(server, VDE_OPEN_READ_ONLY | VDE_OPEN_NO_THREADS, &image);
    if (status != VDE_OK)
        return nbd_fail(status);
    if (server->volume) {
        vde_volume *volume = NULL;
        status = vde_volume_open(image, server->volume, server->snapshot, &volume);
        if (status != VDE_OK)
            nbd_fail(status);
        else
            vde_volume_close(volume);
    }
    /* Nothing was written: there is nothing that closing could lose. */
    (void)vde_image_close(image);
    return status == VDE_OK ? 0 : -1;
}

int nbd_image_open(struct nbd_server *server, bool read_only)
{
    pthread_mutex_lock(&server->lock);
    vde_status status = VDE_OK;
    if (!server->image) {
        status = open_image(server, read_only || server->snapshot ? VDE_OPEN_READ_ONLY : 0, &server->image);
        if (status == VDE_OK) {
            struct vde_image_info info;
            vde_image_info(server->image, &info);
            nbdkit_debug("%s: open %s, backend %s; %s", server->image_path,
                         info.read_only ? "read-only" : "read-write", info.device.backend, info.open_report);
        }
    }
    pthread_mutex_unlock(&server->lock);
    return status == VDE_OK ? 0 : nbd_fail(status);
}

void nbd_image_close(struct nbd_server *server)
{
    if (server->image && vde_image_close(server->image) != VDE_OK)
        nbdkit_error("the last checkpoint failed, what was flushed is in the log: %s", vde_last_error()->text);
    server->image = NULL;
}
