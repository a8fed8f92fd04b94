/* SPDX-License-Identifier: Apache-2.0 */
/* file_flush.c -- flush and discard on a descriptor. */
#include <errno.h>
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
    if (!file->info.is_block_device || size == 0)
        return VDE_OK;
    uint64_t range[2] = {offset, size};
    if (ioctl(file->fd, BLKDISCARD, range) == 0 || errno == EOPNOTSUPP)
        return VDE_OK;
    return vde_error_errno(errno, file->path, "discard");
}
