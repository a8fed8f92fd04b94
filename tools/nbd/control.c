/* SPDX-License-Identifier: Apache-2.0 */
/* control.c -- commands to the running server, one a line over a socket of their own, each answered with one line.
 *
 * While the server runs nobody else can open the image, so what can only be done by its owner is done here:
 *     snapshot create [VOLUME@]NAME       snapshot delete [VOLUME@]NAME       checkpoint
 * Without VOLUME it is the image, as for vdectl. The answer is "ok", with a word more, or "error CODE text". One client at
 * a time; one that says nothing for a while, or too much, is hung up on. */
#include "nbd.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024u
#define ANSWER_MAX_BYTES 2048u
#define PATIENCE_MS 10000
#define RETRY_MS 100 /* when a client can't be accepted, for want of descriptors say */

struct nbd_control {
    vde_image *image;
    int listener;
    int stop; /* eventfd */
    pthread_t thread;
    struct sockaddr_un address;
};

static void answer_failure(vde_status status, char *answer)
{
    snprintf(answer, ANSWER_MAX_BYTES, "error %s %s\n", vde_status_name(status), vde_last_error()->text);
}

/* "[VOLUME@]NAME" to a dataset and a name: split at the last '@', which is not part of a snapshot's name. */
static vde_status find(vde_image *image, char *target, uint64_t *ret_dataset, const char **ret_name)
{
    char *at = strrchr(target, '@');
    *ret_name = at ? at + 1 : target;
    *ret_dataset = VDE_DATASET_IMAGE;
    if (!**ret_name || at == target)
        return vde_error_set(VDE_INVAL, "the command", target, "[VOLUME@]NAME");
    if (!at)
        return VDE_OK;
    *at = '\0';
    vde_view *view;
    vde_status status = vde_view_open(image, &view);
    if (status != VDE_OK)
        return status;
    struct vde_volume_info info;
    status = vde_volume_get(view, target, &info);
    vde_view_close(view);
    if (status == VDE_OK)
        *ret_dataset = info.id;
    return status;
}

static void execute(vde_image *image, char *line, char *answer)
{
    static const char create[] = "snapshot create ", delete[] = "snapshot delete ";
    bool creates = strncmp(line, create, sizeof create - 1) == 0;
    vde_status status;
    uint64_t dataset, lsn = 0;
    const char *name;
    if (creates || strncmp(line, delete, sizeof delete - 1) == 0) {
        status = find(image, line + sizeof create - 1, &dataset, &name);
        if (status == VDE_OK)
            status = creates ? vde_snapshot_create(image, dataset, name, &lsn)
                             : vde_snapshot_delete(image, dataset, name);
    } else if (strcmp(line, "checkpoint") == 0) {
        status = vde_image_checkpoint(image);
    } else {
        status = vde_error_set(VDE_INVAL, "the command", line,
                               "snapshot create [VOLUME@]NAME, snapshot delete [VOLUME@]NAME or checkpoint");
    }
    if (status != VDE_OK)
        answer_failure(status, answer);
    else if (creates)
        snprintf(answer, ANSWER_MAX_BYTES, "ok lsn %" PRIu64 "\n", lsn);
    else
        snprintf(answer, ANSWER_MAX_BYTES, "ok\n");
}

/* Wait until `fd` can be read; false: the server stops, or nothing came in time. */
static bool wait_readable(const struct nbd_control *control, int fd, int timeout_ms)
{
    struct pollfd fds[2] = {{.fd = control->stop, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    int ready;
    do {
        ready = poll(fds, 2, timeout_ms);
    } while (ready < 0 && errno == EINTR);
    return ready > 0 && fds[0].revents == 0;
}

/* Whole lines of the buffer are executed; what is left over is moved to its front. */
static bool serve_lines(const struct nbd_control *control, int fd, char *buffer, size_t *size)
{
    char answer[ANSWER_MAX_BYTES];
    char *end;
    while ((end = memchr(buffer, '\n', *size)) != NULL) {
        size_t used = (size_t)(end - buffer) + 1;
        *end = '\0';
        execute(control->image, buffer, answer);
        if (send(fd, answer, strlen(answer), MSG_NOSIGNAL) < 0)
            return false;
        memmove(buffer, buffer + used, *size - used);
        *size -= used;
    }
    return *size < LINE_MAX_BYTES;
}

static void serve(const struct nbd_control *control, int fd)
{
    char buffer[LINE_MAX_BYTES];
    size_t size = 0;
    while (wait_readable(control, fd, PATIENCE_MS)) {
        ssize_t got = recv(fd, buffer + size, sizeof buffer - size, 0);
        if (got <= 0)
            return;
        size += (size_t)got;
        if (!serve_lines(control, fd, buffer, &size))
            return;
    }
}

static void *run(void *context)
{
    struct nbd_control *control = context;
    while (wait_readable(control, control->listener, -1)) {
        int fd = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            struct pollfd stop = {.fd = control->stop, .events = POLLIN};
            if (errno != EAGAIN) /* the client is still there, so that the listener stays readable */
                poll(&stop, 1, RETRY_MS);
            continue;
        }
        struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
        if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == 0)
            serve(control, fd);
        close(fd);
    }
    return NULL;
}

/* A socket that nobody listens at was left by a server that was killed. */
static void remove_stale(const struct sockaddr_un *address)
{
    struct stat status;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (lstat(address->sun_path, &status) == 0 && S_ISSOCK(status.st_mode) &&
        connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 && errno == ECONNREFUSED)
        unlink(address->sun_path);
    close(fd);
}

static int fail_call(int os_errno, const char *path)
{
    nbdkit_error("control socket %s: %s", path, strerror(os_errno));
    nbdkit_set_error(os_errno);
    return -1;
}

static int listen_at(struct nbd_control *control, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return fail_call(ENAMETOOLONG, path);
    memcpy(address.sun_path, path, strlen(path));
    control->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (control->listener < 0)
        return fail_call(errno, path);
    remove_stale(&address);
    /* Whoever may write to the image may command it: nobody else. */
    mode_t before = umask(0177);
    int result = bind(control->listener, (const struct sockaddr *)&address, sizeof address);
    int os_errno = errno;
    umask(before);
    if (result != 0)
        return fail_call(os_errno, path);
    control->address = address; /* ours from here on, to be removed */
    return listen(control->listener, 8) == 0 ? 0 : fail_call(errno, path);
}

static void release(struct nbd_control *control)
{
    if (control->address.sun_path[0])
        unlink(control->address.sun_path);
    if (control->listener >= 0)
        close(control->listener);
    if (control->stop >= 0)
        close(control->stop);
    free(control);
}

int nbd_control_start(struct nbd_server *server)
{
    if (nbd_image_open(server, false) != 0)
        return -1;
    struct nbd_control *control = calloc(1, sizeof *control);
    if (!control)
        return nbd_refuse(ENOMEM, "out of memory", NULL);
    control->image = server->image;
    control->listener = -1;
    control->stop = eventfd(0, EFD_CLOEXEC);
    if (control->stop < 0) {
        fail_call(errno, server->control_path);
    } else if (listen_at(control, server->control_path) == 0) {
        int failed = pthread_create(&control->thread, NULL, run, control);
        if (failed == 0) {
            server->control = control;
            return 0;
        }
        fail_call(failed, server->control_path);
    }
    release(control);
    return -1;
}

void nbd_control_stop(struct nbd_server *server)
{
    struct nbd_control *control = server->control;
    if (!control)
        return;
    if (eventfd_write(control->stop, 1) == 0)
        pthread_join(control->thread, NULL);
    release(control);
    server->control = NULL;
}
