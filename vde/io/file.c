/* SPDX-License-Identifier: Apache-2.0 */
/* file.c -- open, lock and describe the file or block device under an image. */
#include "io/file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fail.h"
#include "io/file_probe.h"
#include "io/request.h"

#define CLAIM_TRIES 10 /* x 5 ms: the kernel drops a closed claim on a block device a little after close() */

void file_note(struct vde_device_info *info, const char *format, ...)
{
    size_t used = strlen(info->note);
    if (used > 0 && used < sizeof info->note)
        used += (size_t)snprintf(info->note + used, sizeof info->note - used, "; ");
    if (used >= sizeof info->note)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(info->note + used, sizeof info->note - used, format, args);
    va_end(args);
}

static vde_status check_type(const char *path, mode_t mode)
{
    const char *found = "neither";
    if (S_ISREG(mode) || S_ISBLK(mode))
        return VDE_OK;
    if (S_ISDIR(mode))
        found = "a folder";
    else if (S_ISFIFO(mode))
        found = "a fifo";
    else if (S_ISSOCK(mode))
        found = "a socket";
    else if (S_ISCHR(mode))
        found = "a character device";
    return vde_error_set(VDE_INVAL, path, found, "a regular file or a block device");
}

static vde_status busy(const char *path, const char *found)
{
    vde_error_set(VDE_BUSY, path, found, "it not in use");
    vde_error_set_retryable(true);
    return VDE_BUSY;
}

/* O_EXCL on a block device is the kernel's own claim: mounts, device mapper and other writers are refused. Readers
 * share among themselves, so they make no claim and rely on the lock. */
static int open_claimed(const char *path, int mode)
{
    for (int i = 0; i < CLAIM_TRIES; i++) {
        int fd = open(path, mode);
        if (fd >= 0 || errno != EBUSY)
            return fd;
        usleep(5000);
    }
    errno = EBUSY;
    return -1;
}

/* Open without O_DIRECT. The type is checked before, so that opening a fifo has no effect, and again after. */
static vde_status open_path(const char *path, unsigned flags, bool *ret_created, int *ret_fd)
{
    /* O_NONBLOCK only guards against a fifo that took the file's place; it goes when the I/O mode is set. */
    int mode = (flags & VDE_DEVICE_READ_ONLY ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    struct stat st;
    int fd = -1;
    if (stat(path, &st) == 0) {
        VDE_TRY(check_type(path, st.st_mode));
        bool claim = S_ISBLK(st.st_mode) && !(flags & (VDE_DEVICE_NO_LOCK | VDE_DEVICE_READ_ONLY));
        fd = open_claimed(path, claim ? mode | O_EXCL : mode);
    } else if (errno == ENOENT && (flags & VDE_DEVICE_CREATE)) {
        fd = open(path, mode | O_CREAT | O_EXCL, 0644);
        *ret_created = fd >= 0;
    }
    if (fd < 0)
        return errno == EBUSY ? busy(path, "a block device that is mounted or claimed")
                              : vde_error_errno(errno, path, "open");
    *ret_fd = fd;
    return VDE_OK;
}

/* An OFD lock belongs to the open file, not to the process: requests in flight keep it, and a second open in the same
 * process is refused as well. */
static vde_status take_lock(struct file *file, bool shared)
{
    struct flock lock = {.l_type = shared ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(file->fd, F_OFD_SETLK, &lock) == 0) {
        file->locked = true;
        return VDE_OK;
    }
    if (errno != EAGAIN && errno != EACCES)
        return vde_error_errno(errno, file->path, "lock");
    struct flock holder = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    bool read_only_holder = fcntl(file->fd, F_OFD_GETLK, &holder) == 0 && holder.l_type == F_RDLCK;
    return busy(file->path, read_only_holder ? "open for reading elsewhere" : "open for writing elsewhere");
}

/* The name of a new file is durable only when its folder is. */
static vde_status sync_folder(const char *path)
{
    char *folder = strdup(path);
    if (!folder)
        return fail_nomem("path");
    char *slash = strrchr(folder, '/');
    if (slash == folder)
        folder[1] = '\0';
    else if (slash)
        *slash = '\0';
    int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    vde_status status = VDE_OK;
    if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL)) /* EINVAL: a file system whose folders need no fsync */
        status = vde_error_errno(errno, slash ? folder : ".", "fsync of the folder");
    if (fd >= 0)
        close(fd);
    free(folder);
    return status;
}

static uint64_t round_down(uint64_t bytes)
{
    return bytes / REQUEST_UNIT_BYTES * REQUEST_UNIT_BYTES;
}

/* Learn the size, after growing a regular file to what CREATE asked for. */
static vde_status set_size(struct file *file, unsigned flags, uint64_t wanted)
{
    struct vde_device_info *info = &file->info;
    uint64_t size = 0;
    VDE_TRY(file_probe_size(file->fd, file->path, info, &size)); /* NOLINT: the path is freed by file_close() */
    bool grow = (flags & VDE_DEVICE_CREATE) && size < wanted;
    if (grow && info->is_block_device)
        return fail_as(VDE_INVAL, "%s|a device of %llu bytes|at least %llu", file->path, (unsigned long long)size,
                       (unsigned long long)wanted);
    if (grow) {
        if (wanted > INT64_MAX || ftruncate(file->fd, (off_t)wanted) != 0)
            return vde_error_errno(wanted > INT64_MAX ? EFBIG : errno, file->path, "set the file's size");
        size = wanted;
    }
    info->size_bytes = round_down(size);
    if (info->size_bytes == 0)
        return fail_as(VDE_INVAL, "%s|%llu bytes|an image of at least %u bytes (empty or truncated?)", file->path,
                       (unsigned long long)size, REQUEST_UNIT_BYTES);
    return VDE_OK;
}

static vde_status prepare(struct file *file, unsigned flags, uint64_t size_bytes, bool created)
{
    if (!(flags & VDE_DEVICE_NO_LOCK))
        VDE_TRY(take_lock(file, flags & VDE_DEVICE_READ_ONLY));
    VDE_TRY(set_size(file, flags, size_bytes));
    file_probe_direct(file->fd, &file->info);
    if (created)
        VDE_TRY(sync_folder(file->path));
    return VDE_OK;
}

vde_status file_open(const char *path, unsigned flags, uint64_t size_bytes, struct file *ret_file)
{
    if ((flags & VDE_DEVICE_CREATE) && (flags & VDE_DEVICE_READ_ONLY))
        return vde_error_text(VDE_INVAL, path, "can't create a file for reading");
    struct file file = {.fd = -1};
    bool created = false;
    file.path = strdup(path);
    if (!file.path)
        return fail_nomem("path");
    file.info.read_only = flags & VDE_DEVICE_READ_ONLY;
    file.punch = flags & VDE_DEVICE_DISCARD;
    vde_status status = open_path(path, flags, &created, &file.fd);
    if (status == VDE_OK)
        status = prepare(&file, flags, size_bytes, created);
    if (status != VDE_OK) {
        struct vde_error error;
        error_save(&error);
        if (created && file.locked) /* else somebody else may be using it by now */
            unlink(path);
        file_close(&file);
        error_restore(&error);
        return status;
    }
    *ret_file = file;
    return VDE_OK;
}

void file_info(const struct file *file, struct vde_device_info *ret_info)
{
    static_assert(offsetof(struct vde_device_info, size_bytes) == 0, "what changes comes first");
    const size_t fixed = sizeof file->info.size_bytes;
    ret_info->size_bytes = __atomic_load_n(&file->info.size_bytes, __ATOMIC_RELAXED);
    memcpy((char *)ret_info + fixed, (const char *)&file->info + fixed, sizeof *ret_info - fixed);
}

vde_status file_refresh(struct file *file)
{
    struct vde_device_info now = {.read_only = file->info.read_only};
    uint64_t size = 0, before = __atomic_load_n(&file->info.size_bytes, __ATOMIC_RELAXED);
    VDE_TRY(file_probe_size(file->fd, file->path, &now, &size));
    if (round_down(size) < before)
        return fail_as(VDE_INVAL, "%s|%llu bytes|no less than before, %llu", file->path, (unsigned long long)size,
                       (unsigned long long)before);
    __atomic_store_n(&file->info.size_bytes, round_down(size), __ATOMIC_RELAXED);
    return VDE_OK;
}

void file_close(struct file *file)
{
    /* The kernel may let go of its last reference a moment after close(); whoever opens next must not find a lock. */
    struct flock unlock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    if (file->locked)
        fcntl(file->fd, F_OFD_SETLK, &unlock);
    if (file->fd >= 0)
        close(file->fd);
    free(file->path);
    file->fd = -1;
    file->path = NULL;
}
