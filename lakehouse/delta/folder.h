/* SPDX-License-Identifier: Apache-2.0 */
/* folder.h -- a foreign Delta table's folder: what stands in its _delta_log, sorted out by name. */
#ifndef LH_DELTA_FOLDER_H
#define LH_DELTA_FOLDER_H

#include <lakehouse/delta.h>

#include "model/buffer.h"

enum log_name_kind {
    LOG_COMMIT,      /* NNN.json */
    LOG_KEPT,        /* checkpoints, sidecars, NNN.crc, compacted logs, _last_checkpoint, and whatever else stands there */
    LOG_DROPPED      /* Hadoop's .*.crc side files and names of files being staged */
};
/* By a path relative to the _delta_log. *ret_version is set for commits. */
enum log_name_kind log_name_sort(const char *path, uint64_t *ret_version);

struct log_file {
    char *path;              /* relative to the _delta_log */
    uint64_t version;        /* of a commit */
    uint64_t size_bytes;
    int64_t modified_ns;
    uint64_t time_us;        /* of a commit: its commit time, once the log was scanned */
};
struct log_files {
    struct log_file *items;
    size_t count;
    size_t capacity;
};

struct delta_folder {
    int dir_fd;
    int log_fd;
    struct log_files commits;    /* ascending by version */
    struct log_files kept;       /* in byte order */
    uint64_t dropped;
};
/* VDE_NOT_FOUND when there is no such folder, no _delta_log in it, or no commit in that. */
vde_status delta_folder_open(const char *dir, struct delta_folder *ret_folder);
void delta_folder_close(struct delta_folder *folder);

/* An open file that is read in pieces; fits lh_read_fn. */
struct delta_stream {
    int fd;
    const char *name;        /* for messages */
};
/* Open for reading: only regular files. VDE_NOT_FOUND also for anything else than a regular file. */
vde_status delta_stream_open(int dir_fd, const char *path, struct delta_stream *ret_stream, uint64_t *ret_size,
                             int64_t *ret_modified_ns);
void delta_stream_close(struct delta_stream *stream);
vde_status delta_stream_read(void *stream, void *buffer, size_t size, size_t *ret_size);
/* Replace the buffer's content by a whole file's. */
vde_status delta_read_file(int dir_fd, const char *path, struct lh_buffer *content);
#endif
