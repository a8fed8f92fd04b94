/* SPDX-License-Identifier: Apache-2.0 */
/* file_probe.c -- size, sector size, model and O_DIRECT of an open descriptor, each tried, not guessed. */
#include "io/file_probe.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/blkzoned.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fail.h"
#include "io/file.h"
#include "io/request.h"

/* A partition's model is that of the disk above it. */
static void read_model(dev_t device, char *ret_model, size_t size)
{
    ret_model[0] = '\0';
    for (int i = 0; i < 2 && !ret_model[0]; i++) {
        char path[96];
        snprintf(path, sizeof path, "/sys/dev/block/%u:%u%s/device/model", major(device), minor(device),
                 i == 0 ? "" : "/..");
        FILE *file = fopen(path, "re");
        if (!file)
            continue;
        if (!fgets(ret_model, (int)size, file))
            ret_model[0] = '\0';
        fclose(file);
        for (size_t n = strlen(ret_model); n > 0 && isspace((unsigned char)ret_model[n - 1]); n--)
            ret_model[n - 1] = '\0';
    }
}

/* Opening such a device for writing may work, and every write fails then. */
static vde_status check_writable(int fd, const char *path)
{
    int write_protected = 0;
    uint32_t zone_sectors = 0;
    if (ioctl(fd, BLKROGET, &write_protected) == 0 && write_protected)
        return vde_error_set(VDE_READ_ONLY, path, "a write-protected device", "one that can be written");
    if (ioctl(fd, BLKGETZONESZ, &zone_sectors) == 0 && zone_sectors > 0)
        return vde_error_set(VDE_UNSUPPORTED, path, "a zoned device", "one that can be written in any order");
    return VDE_OK;
}

vde_status file_probe_size(int fd, const char *path, struct vde_device_info *info, uint64_t *ret_bytes)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return vde_error_errno(errno, path, "fstat");
    info->logical_block_bytes = 512; /* a file may lie on any disk; 512 is what can be torn apart at worst */
    if (S_ISREG(st.st_mode)) {
        *ret_bytes = (uint64_t)st.st_size;
        return VDE_OK;
    }
    if (!S_ISBLK(st.st_mode))
        return vde_error_set(VDE_INVAL, path, "something else in its place", "a regular file or a block device");
    info->is_block_device = true;
    int sector = 512;
    if (ioctl(fd, BLKGETSIZE64, ret_bytes) != 0 || ioctl(fd, BLKSSZGET, &sector) != 0)
        return vde_error_errno(errno, path, "ask for the device's size");
    info->logical_block_bytes = (uint32_t)sector;
    if (info->logical_block_bytes > REQUEST_UNIT_BYTES)
        return fail_as(VDE_UNSUPPORTED, "%s|blocks of %d bytes|at most %u", path, sector, REQUEST_UNIT_BYTES);
    read_model(st.st_rdev, info->model, sizeof info->model);
    return info->read_only ? VDE_OK : check_writable(fd, path);
}

/* 0 or the errno with which O_DIRECT was refused. Some file systems take the flag and refuse the first request. */
static int try_direct(int fd, int flags, bool is_block_device)
{
    struct statfs fs; /* of a device node: that of the node, which lies in memory as well */
    if (!is_block_device && fstatfs(fd, &fs) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC))
        return EOPNOTSUPP; /* accepted there since Linux 6.6, but there is no device below */
    if (fcntl(fd, F_SETFL, flags | O_DIRECT) != 0)
        return errno;
    void *buffer = aligned_alloc(REQUEST_UNIT_BYTES, REQUEST_UNIT_BYTES);
    if (!buffer)
        return ENOMEM;
    ssize_t moved = pread(fd, buffer, REQUEST_UNIT_BYTES, 0);
    int error = moved < 0 ? errno : 0;
    free(buffer);
    return error == EINVAL || error == EOPNOTSUPP ? error : 0; /* a read error is for the first real read to report */
}

void file_probe_direct(int fd, struct vde_device_info *info)
{
    int flags = fcntl(fd, F_GETFL) & ~(O_NONBLOCK | O_DIRECT);
    int error = try_direct(fd, flags, info->is_block_device);
    info->direct = error == 0;
    if (error != 0) {
        char text[96];
        fcntl(fd, F_SETFL, flags);
        file_note(info, "buffered, O_DIRECT: %s", strerror_r(error, text, sizeof text));
    }
}
