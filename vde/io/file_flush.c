/* SPDX-License-Identifier: Apache-2.0 */
/* file_flush.c -- flush and discard on a descriptor. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/fail.h"
#include "io/file.h"
#include "io/request.h"

vde_status file_flush(const struct file *file)
{
    if (file->info.read_only)
        return VDE_OK; /* nothing was written */
    /* Interrupted is the one failure that may be tried again: the call learned nothing, so no error was consumed. */
    while (fdatasync(file->fd) != 0)
        if (errno != EINTR) /* IO whatever the reason: what was written may be lost, also when the reason was space */
            return request_error(VDE_IO, errno, file->path, "flush");
    return VDE_OK;
}

vde_status file_discard(const struct file *file, uint64_t offset, uint64_t size)
{
    VDE_TRY(request_check_discard(&file->info, file->path, offset, size));
    if (size == 0)
        return VDE_OK;
    uint64_t range[2] = {offset, size};
    int failed = 0;
    do {
        if (file->info.is_block_device)
            failed = ioctl(file->fd, BLKDISCARD, range);
        else if (file->punch)
            failed = fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size);
    } while (failed != 0 && errno == EINTR);
    if (failed == 0 || errno == EOPNOTSUPP) /* a device or file system that has no such thing */
        return VDE_OK;
    return vde_error_errno(errno, file->path, "discard");
}
