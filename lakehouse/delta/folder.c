/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/path.h"
#include "state/fail.h"

#define LOG_DEPTH_MAX 4
#define LOG_FILES_MAX 50000000u

/* --- names ------------------------------------------------------------------------------------------------------ */

static bool has_suffix(const char *name, const char *suffix)
{
    size_t size = strlen(name), tail = strlen(suffix);
    return size >= tail && strcmp(name + size - tail, suffix) == 0;
}

/* object_store stages as NAME#1. */
static bool is_numbered_staging(const char *name)
{
    const char *mark = strrchr(name, '#');
    return mark && mark[1] && strspn(mark + 1, "0123456789") == strlen(mark + 1);
}

enum log_name_kind log_name_sort(const char *path, uint64_t *ret_version)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    if ((name[0] == '.' && has_suffix(name, ".crc")) || has_suffix(name, ".tmp") || is_numbered_staging(name))
        return LOG_DROPPED;
    if (slash || strlen(name) != 25 || strspn(name, "0123456789") != 20 || strcmp(name + 20, ".json") != 0)
        return LOG_KEPT;
    uint64_t version = 0;
    for (int i = 0; i < 20; i++) {
        unsigned digit = (unsigned)(name[i] - '0');
        if (__builtin_mul_overflow(version, 10u, &version) || __builtin_add_overflow(version, digit, &version))
            return LOG_KEPT;
    }
    if (version > INT64_MAX)
        return LOG_KEPT;
    *ret_version = version;
    return LOG_COMMIT;
}

/* --- the listing ------------------------------------------------------------------------------------------------ */

static vde_status add_file(struct log_files *files, const char *path, uint64_t version, const struct stat *stat)
{
    if (files->count == files->capacity) {
        size_t capacity = files->capacity ? files->capacity * 2 : 64;
        struct log_file *items = capacity > LOG_FILES_MAX ? NULL : realloc(files->items, capacity * sizeof *items);
        if (!items)
            return lh_fail_nomem("listing of a log");
        files->items = items;
        files->capacity = capacity;
    }
    char *copy = strdup(path);
    if (!copy)
        return lh_fail_nomem("listing of a log");
    files->items[files->count++] = (struct log_file){
        .path = copy,
        .version = version,
        .size_bytes = (uint64_t)stat->st_size,
        .modified_ns = (int64_t)stat->st_mtim.tv_sec * 1000000000 + stat->st_mtim.tv_nsec,
    };
    return VDE_OK;
}

static void free_files(struct log_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        free(files->items[i].path);
    free(files->items);
}

/* The modification time is read with the file itself, so that a writer that renames into place is seen whole or not. */
static vde_status list_folder(struct delta_folder *folder, int fd, const char *prefix, int depth);

static vde_status list_entry(struct delta_folder *folder, int fd, const char *name, const char *path, int depth)
{
    struct stat stat;
    if (fstatat(fd, name, &stat, 0) != 0)
        return errno == ENOENT ? VDE_OK : vde_error_errno(errno, path, "stat");
    if (S_ISDIR(stat.st_mode)) {
        if (depth == LOG_DEPTH_MAX)
            return VDE_OK;
        int inner = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return inner < 0 ? vde_error_errno(errno, path, "open") : list_folder(folder, inner, path, depth + 1);
    }
    if (!S_ISREG(stat.st_mode))
        return VDE_OK;
    uint64_t version = 0;
    if (!delta_path_is_storable(lh_slice_of(path))) {
        folder->dropped++;
        return VDE_OK;
    }
    switch (log_name_sort(path, &version)) {
    case LOG_COMMIT:
        return add_file(&folder->commits, path, version, &stat);
    case LOG_KEPT:
        return add_file(&folder->kept, path, 0, &stat);
    case LOG_DROPPED:
        folder->dropped++;
        break;
    }
    return VDE_OK;
}

/* Takes over `fd`. The depth is bounded, so that loops of links end. */
static vde_status list_folder(struct delta_folder *folder, int fd, const char *prefix, int depth)
{
    DIR *dir = fdopendir(fd);
    if (!dir) {
        vde_status failed = vde_error_errno(errno, "_delta_log", "fdopendir");
        close(fd);
        return failed;
    }
    vde_status status = VDE_OK;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry) {
            if (errno != 0)
                status = vde_error_errno(errno, "_delta_log", "readdir");
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        struct lh_buffer path = LH_BUFFER_INIT;
        lh_buffer_text(&path, prefix);
        if (prefix[0])
            lh_buffer_byte(&path, '/');
        lh_buffer_add(&path, entry->d_name, strlen(entry->d_name) + 1);
        status = lh_buffer_status(&path);
        if (status == VDE_OK)
            status = list_entry(folder, fd, entry->d_name, path.data, depth);
        lh_buffer_done(&path);
        if (status != VDE_OK)
            break;
    }
    closedir(dir);
    return status;
}

static int by_version(const void *a, const void *b)
{
    const struct log_file *x = a, *y = b;
    return (x->version > y->version) - (x->version < y->version);
}

static int by_path(const void *a, const void *b)
{
    const struct log_file *x = a, *y = b;
    return strcmp(x->path, y->path);
}

vde_status delta_folder_open(const char *dir, struct delta_folder *ret_folder)
{
    struct delta_folder folder = {.dir_fd = -1, .log_fd = -1};
    vde_status status = VDE_OK;
    folder.dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder.dir_fd < 0)
        return vde_error_errno(errno, dir, "open");
    folder.log_fd = openat(folder.dir_fd, "_delta_log", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder.log_fd < 0) {
        status = errno == ENOENT || errno == ENOTDIR ? lh_fail(VDE_NOT_FOUND, "%s|no _delta_log|a Delta table", dir)
                                                     : vde_error_errno(errno, dir, "open");
    } else {
        int listing = dup(folder.log_fd);
        status = listing < 0 ? vde_error_errno(errno, dir, "dup") : list_folder(&folder, listing, "", 0);
    }
    if (status == VDE_OK && folder.commits.count == 0 && folder.kept.count == 0)
        status = lh_fail(VDE_NOT_FOUND, "%s|an empty _delta_log|a Delta table", dir);
    if (status != VDE_OK) {
        delta_folder_close(&folder);
        return status;
    }
    if (folder.commits.count > 0)
        qsort(folder.commits.items, folder.commits.count, sizeof *folder.commits.items, by_version);
    if (folder.kept.count > 0)
        qsort(folder.kept.items, folder.kept.count, sizeof *folder.kept.items, by_path);
    *ret_folder = folder;
    return VDE_OK;
}

void delta_folder_close(struct delta_folder *folder)
{
    free_files(&folder->commits);
    free_files(&folder->kept);
    if (folder->log_fd >= 0)
        close(folder->log_fd);
    if (folder->dir_fd >= 0)
        close(folder->dir_fd);
}

/* --- reading ---------------------------------------------------------------------------------------------------- */

vde_status delta_stream_open(int dir_fd, const char *path, struct delta_stream *ret_stream, uint64_t *ret_size,
                             int64_t *ret_modified_ns)
{
    /* Not blocking, so that a FIFO in the folder can't hold an import up. */
    int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat stat;
    if (fd < 0)
        return vde_error_errno(errno, path, "open");
    if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode)) {
        close(fd);
        return lh_fail(VDE_NOT_FOUND, "%s|no regular file|a file", path);
    }
    *ret_stream = (struct delta_stream){fd, path};
    if (ret_size)
        *ret_size = (uint64_t)stat.st_size;
    if (ret_modified_ns)
        *ret_modified_ns = (int64_t)stat.st_mtim.tv_sec * 1000000000 + stat.st_mtim.tv_nsec;
    return VDE_OK;
}

void delta_stream_close(struct delta_stream *stream) { close(stream->fd); }

vde_status delta_stream_read(void *context, void *buffer, size_t size, size_t *ret_size)
{
    const struct delta_stream *stream = context;
    ssize_t got;
    do
        got = read(stream->fd, buffer, size < SSIZE_MAX ? size : SSIZE_MAX);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return vde_error_errno(errno, stream->name, "read");
    *ret_size = (size_t)got;
    return VDE_OK;
}

vde_status delta_read_file(int dir_fd, const char *path, struct lh_buffer *content)
{
    struct delta_stream stream;
    uint64_t size;
    lh_buffer_clear(content);
    LH_TRY(delta_stream_open(dir_fd, path, &stream, &size, NULL));
    vde_status status = VDE_OK;
    for (;;) {
        size_t want = size > content->size ? (size_t)(size - content->size) : 4096, got = 0;
        char *room = lh_buffer_room(content, want);
        status = room ? delta_stream_read(&stream, room, want, &got) : lh_fail_nomem(path);
        if (status != VDE_OK || got == 0)
            break;
        content->size += got;
    }
    delta_stream_close(&stream);
    return status;
}
