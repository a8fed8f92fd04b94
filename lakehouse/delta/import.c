/* SPDX-License-Identifier: Apache-2.0 */
/* Import: scan and judge, measure the data files, then hand everything to the log's importer, which shows it as a whole. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "model/path.h"
#include "delta/scan.h"
#include "model/name.h"
#include "state/fail.h"
#include "txlog/import.h"

#define BLOCK 4096u

struct job {
    lh_lakehouse *lakehouse;
    const char *dir;
    const struct lh_import *options;
    char *table;                  /* full name */
    char *origin;                 /* absolute path of the folder */
    struct delta_folder folder;
    struct delta_scan scan;
    struct lh_import_report report;
    uint64_t stored_bytes;        /* of files to be stored, for progress */
    uint64_t done_bytes;
    struct lh_importer *importer;
};

static void tell(const struct job *job, const char *step)
{
    if (job->options->progress)
        job->options->progress(job->options->context, step, job->done_bytes, job->stored_bytes);
}

/* --- names ------------------------------------------------------------------------------------------------------ */

static vde_status choose_names(struct job *job)
{
    job->origin = realpath(job->dir, NULL);
    if (!job->origin)
        return vde_error_errno(errno, job->dir, "realpath");
    if (job->options->table) {
        job->table = strdup(job->options->table);
    } else {
        const char *slash = strrchr(job->origin, '/');
        const char *leaf = slash ? slash + 1 : job->origin;
        /* A dot would be read as a namespace. */
        size_t size = strlen(leaf) + sizeof "default.";
        job->table = malloc(size);
        if (job->table) {
            snprintf(job->table, size, "default.%s", leaf);
            for (char *at = job->table + sizeof "default"; *at; at++)
                *at = *at == '.' ? '-' : *at;
        }
    }
    return job->table ? VDE_OK : lh_fail_nomem("table name");
}

/* --- data files ------------------------------------------------------------------------------------------------- */

/* The name under which a named file lies in the folder: decoded, or as the log spells it (some writers escape the names on
 * disk once more). NULL: it is not there. The text lives in `name`. What can't be looked at is not taken for missing. */
static vde_status find_on_disk(const struct job *job, const struct delta_ref *ref, struct lh_buffer *name,
                               struct stat *ret_stat, const char **ret_path)
{
    *ret_path = NULL;
    const struct lh_slice spellings[] = {ref->name, ref->raw};
    for (int i = 0; i < 2; i++) {
        lh_buffer_clear(name);
        lh_buffer_slice(name, spellings[i]);
        lh_buffer_byte(name, '\0');
        LH_TRY(lh_buffer_status(name));
        if (delta_path_is_storable(spellings[i])) {
            int found = fstatat(job->folder.dir_fd, name->data, ret_stat, 0);
            if (found != 0 && errno != ENOENT && errno != ENOTDIR)
                return vde_error_errno(errno, "data file", "stat");
            if (found == 0 && S_ISREG(ret_stat->st_mode)) {
                *ret_path = name->data;
                return VDE_OK;
            }
        }
        if (lh_slice_equal(ref->name, ref->raw))
            break;
    }
    return VDE_OK;
}

/* Whether a link on the way to a file leads out of the folder. */
static bool leads_outside(const struct job *job, const char *path)
{
    struct lh_buffer full = LH_BUFFER_INIT;
    size_t root = strlen(job->origin);
    lh_buffer_text(&full, job->origin);
    lh_buffer_byte(&full, '/');
    lh_buffer_add(&full, path, strlen(path) + 1);
    char *real = lh_buffer_status(&full) == VDE_OK ? realpath(full.data, NULL) : NULL;
    bool outside = real && root > 1 && (strncmp(real, job->origin, root) != 0 || real[root] != '/');
    free(real);
    lh_buffer_done(&full);
    return outside;
}

static vde_status measure_data(struct job *job)
{
    struct lh_import_report *report = &job->report;
    struct lh_buffer name = LH_BUFFER_INIT;
    bool reference = (job->options->flags & LH_IMPORT_REFERENCE) != 0;
    unsigned long long linked = 0;
    vde_status status = VDE_OK;
    for (size_t i = 0; i < delta_refs_count(&job->scan.refs); i++) {
        struct delta_ref ref = delta_refs_at(&job->scan.refs, i);
        struct stat stat;
        const char *path;
        report->data_files++;
        if (ref.external) {
            report->external_files++;
            continue;
        }
        status = find_on_disk(job, &ref, &name, &stat, &path);
        if (status != VDE_OK)
            break;
        if (!path) {
            report->missing_files++;
            report->active_missing += ref.active;
            continue;
        }
        report->data_bytes += (uint64_t)stat.st_size;
        report->external_files += reference;
        if (!reference) {
            linked += leads_outside(job, path);
            job->stored_bytes += (uint64_t)stat.st_size;
            report->bytes_needed += ((uint64_t)stat.st_size + BLOCK - 1) / BLOCK * BLOCK + 512;
        }
    }
    lh_buffer_done(&name);
    LH_TRY(status);
    /* A count and no names: paths hold partition values. */
    if (linked > 0)
        delta_warn(&job->scan.warnings, "%llu data files are links that lead out of the folder: what they lead to is copied",
                   linked);
    if (report->missing_files > 0)
        delta_warn(&job->scan.warnings, "%llu of the files that the log names are not there, %llu of them active",
                   (unsigned long long)report->missing_files, (unsigned long long)report->active_missing);
    if (report->external_files > 0 && !reference)
        delta_warn(&job->scan.warnings, "%llu files have absolute or unusable paths and stay outside",
                   (unsigned long long)report->external_files);
    return VDE_OK;
}

static void measure_log(struct job *job)
{
    struct lh_import_report *report = &job->report;
    const struct log_files *kept = &job->folder.kept;
    report->versions = job->folder.commits.count;
    report->actions = job->scan.actions;
    report->log_bytes = job->scan.log_bytes;
    report->log_files_kept = kept->count;
    report->log_files_dropped = job->folder.dropped;
    for (size_t i = 0; i < kept->count; i++) {
        job->stored_bytes += kept->items[i].size_bytes;
        report->bytes_needed += (kept->items[i].size_bytes + BLOCK - 1) / BLOCK * BLOCK + 512;
    }
    job->stored_bytes += report->log_bytes;
    /* Bytes and decoded form of each commit, the state's tree, and the log region's share of a block per version. */
    report->bytes_needed += 2 * report->log_bytes + 256 * report->actions + 256 * report->versions + 64 * BLOCK;
}

/* --- writing ---------------------------------------------------------------------------------------------------- */

static vde_status store_versions(struct job *job)
{
    struct lh_buffer text = LH_BUFFER_INIT;
    vde_status status = VDE_OK;
    for (size_t i = 0; i < job->folder.commits.count && status == VDE_OK; i++) {
        const struct log_file *commit = &job->folder.commits.items[i];
        status = delta_read_file(job->folder.log_fd, commit->path, &text);
        if (status == VDE_OK)
            status = lh_importer_version(job->importer, (struct lh_slice){text.data, text.size}, commit->time_us,
                                         commit->modified_ns);
        job->done_bytes += text.size;
        tell(job, "storing versions");
    }
    lh_buffer_done(&text);
    return status;
}

/* A stream that also counts what passes. */
struct counted {
    struct delta_stream stream;
    struct job *job;
    const char *step;
};

static vde_status read_counted(void *context, void *buffer, size_t size, size_t *ret_size)
{
    struct counted *counted = context;
    LH_TRY(delta_stream_read(&counted->stream, buffer, size, ret_size));
    counted->job->done_bytes += *ret_size;
    tell(counted->job, counted->step);
    return VDE_OK;
}

static vde_status store_file(struct job *job, int dir_fd, const char *path, const char *stored_as, const char *step)
{
    struct counted counted = {.job = job, .step = step};
    int64_t modified_ns;
    LH_TRY(delta_stream_open(dir_fd, path, &counted.stream, NULL, &modified_ns));
    vde_status status = lh_importer_file(job->importer, stored_as, modified_ns, read_counted, &counted);
    delta_stream_close(&counted.stream);
    return status;
}

static vde_status store_log_files(struct job *job)
{
    struct lh_buffer name = LH_BUFFER_INIT;
    vde_status status = VDE_OK;
    for (size_t i = 0; i < job->folder.kept.count && status == VDE_OK; i++) {
        const struct log_file *file = &job->folder.kept.items[i];
        lh_buffer_clear(&name);
        lh_buffer_text(&name, "_delta_log/");
        lh_buffer_add(&name, file->path, strlen(file->path) + 1);
        status = lh_buffer_status(&name);
        if (status == VDE_OK)
            status = store_file(job, job->folder.log_fd, file->path, name.data, "storing log files");
    }
    lh_buffer_done(&name);
    return status;
}

static vde_status store_data(struct job *job)
{
    struct lh_buffer name = LH_BUFFER_INIT;
    vde_status status = VDE_OK;
    for (size_t i = 0; i < delta_refs_count(&job->scan.refs) && status == VDE_OK; i++) {
        struct delta_ref ref = delta_refs_at(&job->scan.refs, i);
        struct stat stat;
        const char *path = NULL;
        if (!ref.external)
            status = find_on_disk(job, &ref, &name, &stat, &path);
        if (path)
            status = store_file(job, job->folder.dir_fd, path, path, "storing data files");
        if (status == LH_FILE_EXISTS)
            status = VDE_OK;    /* two spellings of one name */
    }
    lh_buffer_done(&name);
    return status;
}

static vde_status store_all(struct job *job)
{
    bool reference = (job->options->flags & LH_IMPORT_REFERENCE) != 0;
    struct lh_importer_opts opts = {
        .table = job->table,
        .format = LH_FORMAT_DELTA,
        .opaque = job->scan.outcome == LH_IMPORT_OPAQUE ? job->scan.reason : NULL,
        .origin = job->origin,
        .external = job->report.external_files > 0,
        .create_namespaces = (job->options->flags & LH_IMPORT_CREATE_NAMESPACE) != 0,
    };
    LH_TRY(lh_importer_open(job->lakehouse, &opts, &job->importer));
    vde_status status = store_versions(job);
    if (status == VDE_OK)
        status = store_log_files(job);
    if (status == VDE_OK && !reference)
        status = store_data(job);
    if (status == VDE_OK)
        return lh_importer_commit(job->importer, NULL);
    struct lh_saved saved;
    lh_error_save(&saved);
    lh_importer_abort(job->importer);
    return lh_error_restore(&saved);
}

/* --- the whole -------------------------------------------------------------------------------------------------- */

static vde_status hand_over(struct job *job, struct lh_import_report **ret_report)
{
    if (!ret_report)
        return VDE_OK;
    struct lh_import_report *report = &job->report;
    report->outcome = job->scan.outcome;
    report->table = job->table;
    report->reason = job->scan.reason[0] ? job->scan.reason : NULL;
    delta_warnings_close(&job->scan.warnings);
    report->warning_count = job->scan.warnings.count;
    const char **texts[] = {&report->table, &report->reason};
    void *block = delta_report_pack(sizeof *report, &job->scan.warnings, &report->warnings, texts, 2);
    if (!block)
        return VDE_NOMEM;
    memcpy(block, report, sizeof *report);
    *ret_report = block;
    return VDE_OK;
}

static vde_status run(struct job *job, struct lh_import_report **ret_report)
{
    measure_log(job);
    if (job->scan.outcome == LH_IMPORT_REFUSED) {
        LH_TRY(hand_over(job, ret_report));
        return lh_fail(LH_REFUSED, "%s|%s|a Delta log that is complete from version 0", job->dir, job->scan.reason);
    }
    LH_TRY(measure_data(job));
    if (!(job->options->flags & LH_IMPORT_DRY_RUN))
        LH_TRY(store_all(job));
    return hand_over(job, ret_report);
}

vde_status lh_delta_import(lh_lakehouse *lakehouse, const char *dir, const struct lh_import *import,
                           struct lh_import_report **ret_report)
{
    static const struct lh_import defaults = LH_IMPORT_INIT;
    if (!lakehouse || !dir || (import && import->size < sizeof *import))
        return lh_fail(VDE_INVAL, "lh_delta_import|a missing argument|lakehouse and folder");
    struct job job = {.lakehouse = lakehouse, .dir = dir, .options = import ? import : &defaults};
    vde_status status = delta_folder_open(dir, &job.folder);
    if (status != VDE_OK)
        return status;
    status = choose_names(&job);
    if (status == VDE_OK)
        status = delta_scan_log(&job.folder, job.options->progress, job.options->context, &job.scan);
    if (status == VDE_OK) {
        status = run(&job, ret_report);
        delta_scan_done(&job.scan);
    }
    delta_folder_close(&job.folder);
    free(job.table);
    free(job.origin);
    return status;
}
