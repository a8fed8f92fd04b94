/* SPDX-License-Identifier: Apache-2.0 */
/* request.c -- checking, failing, reporting and blocking transfer of one request. */
#include "io/request.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fail.h"

#define STALLS_MAX 1000 /* EAGAIN in a row before a request fails: the kernel is out of something for good */

static bool aligned(uint64_t value)
{
    return value % REQUEST_UNIT_BYTES == 0;
}

bool request_check(const struct vde_device_info *info, struct vde_io *io)
{
    io->result = VDE_OK;
    io->os_errno = 0;
    bool known = io->op == VDE_IO_READ || io->op == VDE_IO_WRITE;
    bool flags_known = (io->flags & ~VDE_IO_DSYNC) == 0;
    bool shape = io->size > 0 && io->size <= VDE_IO_MAX_BYTES && aligned(io->size) && aligned(io->offset) &&
                 io->buffer && aligned((uintptr_t)io->buffer);
    uint64_t end = __atomic_load_n(&info->size_bytes, __ATOMIC_RELAXED);
    bool inside = io->offset <= end && io->size <= end - io->offset;
    if (!known || !flags_known || !shape || !inside)
        io->result = VDE_INVAL;
    else if (io->op == VDE_IO_WRITE && info->read_only)
        io->result = VDE_READ_ONLY;
    return io->result == VDE_OK;
}

void request_fail(struct vde_io *io, int os_errno)
{
    io->os_errno = os_errno;
    if (os_errno == ENOSPC || os_errno == EDQUOT)
        io->result = VDE_NOSPC;
    else if (os_errno == ENOMEM)
        io->result = VDE_NOMEM;
    else
        io->result = VDE_IO;
}

vde_status request_error(vde_status status, int os_errno, const char *name, const char *what)
{
    char text[96];
    const char *reason = vde_status_text(status);
    if (os_errno == ENODATA)
        reason = "the file ends before that";
    else if (os_errno)
        reason = strerror_r(os_errno, text, sizeof text);
    vde_error_text(status, name, "%s: %s", what, reason);
    struct vde_error detail;
    error_save(&detail);
    detail.os_errno = os_errno;
    error_restore(&detail);
    return status;
}

vde_status request_report(const char *name, const struct vde_io *ios, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (ios[i].result == VDE_OK)
            continue;
        char what[160];
        snprintf(what, sizeof what, "%s of %u bytes at offset %llu%s", ios[i].op == VDE_IO_READ ? "read" : "write",
                 ios[i].size, (unsigned long long)ios[i].offset,
                 ios[i].result == VDE_INVAL ? " (unaligned, too large, beyond the end or not a request)" : "");
        return request_error(ios[i].result, ios[i].os_errno, name, what);
    }
    return VDE_OK;
}

vde_status request_check_discard(const struct vde_device_info *info, const char *name, uint64_t offset, uint64_t size)
{
    if (info->read_only)
        return vde_error_text(VDE_READ_ONLY, name, "discard on a device that is open read-only");
    uint64_t end = __atomic_load_n(&info->size_bytes, __ATOMIC_RELAXED);
    if (!aligned(offset) || !aligned(size) || offset > end || size > end - offset)
        return vde_error_text(VDE_INVAL, name, "discard of %llu bytes at offset %llu: unaligned or beyond the end",
                              (unsigned long long)size, (unsigned long long)offset);
    return VDE_OK;
}

/* RWF_DSYNC makes one write durable without flushing what others wrote; kernels and file systems that lack it get the
 * same promise from fdatasync. */
static ssize_t write_durable(int fd, const struct iovec *part, off_t offset)
{
    ssize_t moved = pwritev2(fd, part, 1, offset, RWF_DSYNC);
    if (moved >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS))
        return moved;
    moved = pwritev(fd, part, 1, offset);
    if (moved >= 0 && fdatasync(fd) != 0)
        return -1;
    return moved;
}

static ssize_t transfer_part(int fd, const struct vde_io *io, uint32_t done)
{
    struct iovec part = {.iov_base = (uint8_t *)io->buffer + done, .iov_len = io->size - done};
    off_t offset = (off_t)(io->offset + done);
    if (io->op == VDE_IO_READ)
        return preadv(fd, &part, 1, offset);
    if (io->flags & VDE_IO_DSYNC)
        return write_durable(fd, &part, offset);
    return pwritev(fd, &part, 1, offset);
}

void request_transfer(int fd, struct vde_io *io)
{
    uint32_t done = 0;
    unsigned stalls = 0;
    while (done < io->size) {
        ssize_t moved = transfer_part(fd, io, done);
        if (moved > 0) {
            done += (uint32_t)moved;
            stalls = 0;
        } else if (moved < 0 && (errno == EINTR || (errno == EAGAIN && stalls < STALLS_MAX))) {
            if (errno == EAGAIN && ++stalls > 1)
                usleep(1000);
        } else {
            request_fail(io, moved < 0 ? errno : io->op == VDE_IO_READ ? ENODATA : EIO);
            return;
        }
    }
}
