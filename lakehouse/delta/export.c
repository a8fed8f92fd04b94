/* SPDX-License-Identifier: Apache-2.0 */
/* Export: a table as a folder that any Delta reader opens. Built on what the public headers offer. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lakehouse/delta.h>
#include <lakehouse/file.h>
#include <lakehouse/history.h>

#include "model/path.h"
#include "delta/refs.h"
#include "delta/warnings.h"
#include "state/fail.h"

static const char log_prefix[] = "_delta_log/";

struct job {
    lh_lakehouse *lakehouse;
    const char *table;
    const char *dir;
    const struct lh_export *options;
    int dir_fd;
    struct lh_stored_files *files;
    struct delta_refs refs;
    struct delta_warnings warnings;
    struct lh_export_report report;
    uint64_t done_bytes, total_bytes;
};

static bool wants(const struct job *job, uint32_t flag) { return (job->options->flags & flag) != 0; }

static void tell(const struct job *job, const char *step)
{
    if (job->options->progress)
        job->options->progress(job->options->context, step, job->done_bytes, job->total_bytes);
}

/* --- writing files ---------------------------------------------------------------------------------------------- */

static vde_status open_target(const char *dir, int *ret_fd)
{
    if (mkdir(dir, 0777) != 0 && errno != EEXIST)
        return vde_error_errno(errno, dir, "mkdir");
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return vde_error_errno(errno, dir, "open");
    int copy = dup(fd);
    DIR *listing = copy < 0 ? NULL : fdopendir(copy);
    if (!listing) {
        vde_status status = vde_error_errno(errno, dir, "opendir");
        if (copy >= 0)
            close(copy);
        close(fd);
        return status;
    }
    unsigned entries = 0;
    while (readdir(listing))
        entries++;
    closedir(listing);
    if (entries > 2) {
        close(fd);
        return lh_fail(VDE_EXISTS, "%s|a folder that holds something|an empty or new folder", dir);
    }
    *ret_fd = fd;
    return VDE_OK;
}

/* Make the folders above `path`, one after another. */
static vde_status make_parents(int dir_fd, const char *path)
{
    struct lh_buffer part = LH_BUFFER_INIT;
    vde_status status = VDE_OK;
    for (const char *slash = strchr(path, '/'); slash && status == VDE_OK; slash = strchr(slash + 1, '/')) {
        lh_buffer_clear(&part);
        lh_buffer_add(&part, path, (size_t)(slash - path));
        lh_buffer_byte(&part, '\0');
        status = lh_buffer_status(&part);
        if (status == VDE_OK && mkdirat(dir_fd, part.data, 0777) != 0 && errno != EEXIST)
            status = vde_error_errno(errno, part.data, "mkdir");
    }
    lh_buffer_done(&part);
    return status;
}

static vde_status create_file(const struct job *job, const char *path, int *ret_fd)
{
    /* Never through a link, never over something: the folder was empty. */
    int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(job->dir_fd, path, flags, 0666);
    if (fd < 0 && errno == ENOENT) {
        LH_TRY(make_parents(job->dir_fd, path));
        fd = openat(job->dir_fd, path, flags, 0666);
    }
    if (fd < 0)
        return vde_error_errno(errno, path, "create");
    *ret_fd = fd;
    return VDE_OK;
}

static vde_status write_all(int fd, const char *path, const void *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t wrote = write(fd, (const char *)data + done, size - done);
        if (wrote < 0 && errno != EINTR)
            return vde_error_errno(errno, path, "write");
        done += wrote > 0 ? (size_t)wrote : 0;
    }
    return VDE_OK;
}

/* Set the time, close, and keep the first failure. */
static vde_status finish_file(int fd, const char *path, int64_t modified_ns, vde_status status)
{
    if (status == VDE_OK && modified_ns != LH_UNKNOWN) {
        int64_t seconds = modified_ns / 1000000000, rest = modified_ns % 1000000000;
        if (rest < 0) {
            rest += 1000000000;
            seconds--;
        }
        const struct timespec times[2] = {{.tv_sec = seconds, .tv_nsec = rest}, {.tv_sec = seconds, .tv_nsec = rest}};
        if (futimens(fd, times) != 0)
            status = vde_error_errno(errno, path, "futimens");
    }
    if (close(fd) != 0 && status == VDE_OK)
        status = vde_error_errno(errno, path, "close");
    return status;
}

/* --- commits ---------------------------------------------------------------------------------------------------- */

static vde_status note_names(struct job *job, struct lh_slice text, uint64_t version)
{
    struct lh_decoder decoder = LH_DECODER_INIT;
    struct lh_slice line;
    vde_status status = VDE_OK;
    while (status == VDE_OK && lh_ndjson_next(&text, &line)) {
        struct lh_action action;
        lh_decoder_reset(&decoder);
        status = lh_action_from_json(&decoder, line, &action);
        if (status == VDE_OK)
            status = delta_refs_note(&job->refs, &action, version);
    }
    lh_decoder_done(&decoder);
    return status;
}

static vde_status write_commit(struct job *job, const struct lh_version_info *info)
{
    char name[64], *text = NULL;
    size_t size;
    int fd;
    snprintf(name, sizeof name, "%s%020" PRIu64 ".json", log_prefix, info->version);
    LH_TRY(lh_commit_text(job->lakehouse, job->table, info->version, wants(job, LH_EXPORT_FROM_STATE), &text, &size));
    vde_status status = wants(job, LH_EXPORT_LOG_ONLY) ? VDE_OK
                                                       : note_names(job, (struct lh_slice){text, size}, info->version);
    if (status == VDE_OK)
        status = create_file(job, name, &fd);
    if (status == VDE_OK) {
        /* Delta readers take a commit's time from its file. */
        int64_t time_ns = info->file_time_ns != LH_UNKNOWN ? info->file_time_ns : (int64_t)(info->time_us * 1000);
        status = finish_file(fd, name, time_ns, write_all(fd, name, text, size));
    }
    lh_free(text);
    job->report.versions++;
    job->report.log_bytes += size;
    return status;
}

static vde_status write_commits(struct job *job)
{
    lh_history *history;
    LH_TRY(lh_history_open(job->lakehouse, job->table, 0, LH_NO_VERSION, false, &history));
    vde_status status;
    for (;;) {
        struct lh_version_info info;
        status = lh_history_next(history, &info);
        if (status == VDE_OK)
            status = write_commit(job, &info);
        if (status != VDE_OK)
            break;
        tell(job, "writing the log");
    }
    lh_history_close(history);
    if (status == VDE_NOT_FOUND) {
        vde_error_clear();
        status = VDE_OK;
    }
    return status;
}

/* --- stored files ----------------------------------------------------------------------------------------------- */

struct target {
    struct job *job;
    int fd;
    const char *path;
};

static vde_status take_bytes(void *context, const void *data, size_t size)
{
    struct target *target = context;
    LH_TRY(write_all(target->fd, target->path, data, size));
    target->job->done_bytes += size;
    tell(target->job, "writing files");
    return VDE_OK;
}

static bool is_log_file(const struct lh_stored_file *file)
{
    return strncmp(file->path, log_prefix, sizeof log_prefix - 1) == 0;
}

static vde_status write_stored(struct job *job, const struct lh_stored_file *file)
{
    struct target target = {.job = job, .path = file->path};
    /* The image is not trusted to hold harmless names. */
    const char *within = is_log_file(file) ? file->path + sizeof log_prefix - 1 : file->path;
    if (!delta_path_is_storable(lh_slice_of(within)))
        return lh_fail(VDE_CORRUPT, "stored file|a name that leaves the folder|a relative path");
    LH_TRY(create_file(job, file->path, &target.fd));
    vde_status status = lh_file_get(job->lakehouse, job->table, file->path, take_bytes, &target, NULL);
    LH_TRY(finish_file(target.fd, file->path, file->modified_ns, status));
    if (is_log_file(file)) {
        job->report.log_files++;
    } else {
        job->report.data_files++;
        job->report.data_bytes += file->size_bytes;
    }
    return VDE_OK;
}

static int by_path(const void *key, const void *item)
{
    return strcmp(key, ((const struct lh_stored_file *)item)->path);
}

static bool is_stored(const struct job *job, struct lh_slice name)
{
    char path[1024];
    if (name.size >= sizeof path)
        return false;
    memcpy(path, name.data, name.size);
    path[name.size] = '\0';
    return job->files->count > 0 &&
           bsearch(path, job->files->files, job->files->count, sizeof *job->files->files, by_path) != NULL;
}

/* What the versions name and the image does not hold. */
static vde_status count_absent(struct job *job, bool external_table)
{
    for (size_t i = 0; i < delta_refs_count(&job->refs); i++) {
        struct delta_ref ref = delta_refs_at(&job->refs, i);
        if (ref.external) {
            job->report.external_files++;
        } else if (!is_stored(job, ref.name) && !is_stored(job, ref.raw)) {
            if (external_table)
                job->report.external_files++;
            else
                job->report.missing_files++;
        }
    }
    /* A count and no names: paths hold partition values. */
    if (job->report.missing_files > 0)
        delta_warn(&job->warnings, "%" PRIu64 " files of its versions are not in the image", job->report.missing_files);
    if (job->report.missing_files > 0 && wants(job, LH_EXPORT_STRICT))
        return lh_fail(LH_FILE_NOT_FOUND, "table %s|%" PRIu64 " files of its versions are not in the image|all of them",
                       job->table, job->report.missing_files);
    return VDE_OK;
}

static vde_status write_files(struct job *job, bool external_table)
{
    for (size_t i = 0; i < job->files->count; i++)
        job->total_bytes += job->files->files[i].size_bytes;
    LH_TRY(count_absent(job, external_table));
    for (size_t i = 0; i < job->files->count; i++)
        LH_TRY(write_stored(job, &job->files->files[i]));
    return VDE_OK;
}

/* --- the whole -------------------------------------------------------------------------------------------------- */

static vde_status hand_over(struct job *job, struct lh_export_report **ret_report)
{
    if (!ret_report)
        return VDE_OK;
    delta_warnings_close(&job->warnings);
    job->report.warning_count = job->warnings.count;
    void *block = delta_report_pack(sizeof job->report, &job->warnings, &job->report.warnings, NULL, 0);
    if (!block)
        return VDE_NOMEM;
    memcpy(block, &job->report, sizeof job->report);
    *ret_report = block;
    return VDE_OK;
}

static vde_status run(struct job *job, bool external_table)
{
    if (mkdirat(job->dir_fd, "_delta_log", 0777) != 0)
        return vde_error_errno(errno, job->dir, "mkdir _delta_log");
    LH_TRY(write_commits(job));
    if (wants(job, LH_EXPORT_LOG_ONLY))
        return VDE_OK;
    LH_TRY(lh_file_list(job->lakehouse, job->table, NULL, &job->files));
    return write_files(job, external_table);
}

vde_status lh_delta_export(lh_lakehouse *lakehouse, const char *table, const char *dir, const struct lh_export *options,
                           struct lh_export_report **ret_report)
{
    static const struct lh_export defaults = LH_EXPORT_INIT;
    if (!lakehouse || !table || !dir || (options && options->size < sizeof *options))
        return lh_fail(VDE_INVAL, "lh_delta_export|a missing argument|lakehouse, table and folder");
    struct job job = {.lakehouse = lakehouse, .table = table, .dir = dir, .options = options ? options : &defaults,
                      .dir_fd = -1, .refs = DELTA_REFS_INIT};
    struct lh_table_info *info;
    LH_TRY(lh_table_describe(lakehouse, table, &info));
    bool external_table = info->external, iceberg = info->format == LH_FORMAT_ICEBERG;
    lh_free(info);
    if (iceberg)
        return lh_fail(LH_VALIDATION, "table %s|an Iceberg table|a Delta table", table);
    LH_TRY(open_target(dir, &job.dir_fd));
    vde_status status = run(&job, external_table);
    if (status == VDE_OK)
        status = hand_over(&job, ret_report);
    close(job.dir_fd);
    lh_free(job.files);
    delta_refs_done(&job.refs);
    delta_warnings_done(&job.warnings);
    return status;
}
