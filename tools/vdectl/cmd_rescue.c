/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_rescue.c -- vdectl rescue: salvage volumes, files, stream entries and maps into a folder. */
#include "cli.h"
#include "commands.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vde/rescue.h>

#define WIDTH 16
#define MISSING_MAX 1000u /* ranges told of one item */
#define PATH_BYTES 512u

struct rescue_run {
    struct cli *cli;
    int folder, fd;
    char path[PATH_BYTES]; /* of the item, in the folder */
    uint64_t end, missing_count;
    uint64_t data_end;     /* behind it nothing was written */
    bool too_long;         /* not all of the item fits into a file */
    uint64_t cut;          /* items that would have been complete otherwise */
    json_t *items, *missing;
    struct vde_rescue_sink sink;
    struct vde_rescue_summary summary;
};

static vde_status failed(const struct rescue_run *run, const char *call)
{
    return vde_error_errno(errno, run->path, call);
}

/* A name that is no path and drives no terminal; `again`: another volume has the plain one. */
static void volume_path(const struct vde_rescue_item *item, bool again, char *path)
{
    size_t size = 0;
    for (const char *at = item->name; *at && size < 200; at++) {
        unsigned char c = (unsigned char)*at;
        bool plain = c >= 0x20 && c != 0x7f && c != '/' && (size > 0 || c != '.');
        path[size++] = plain ? *at : '_';
    }
    if (size == 0)
        snprintf(path, PATH_BYTES, "volume-%llu.raw", (unsigned long long)item->id);
    else if (again)
        snprintf(path + size, PATH_BYTES - size, "-%llu.raw", (unsigned long long)item->id);
    else
        snprintf(path + size, PATH_BYTES - size, ".raw");
}

static vde_status make_folders(struct rescue_run *run, const char *folder, uint64_t stream)
{
    char text[64];
    if (mkdirat(run->folder, folder, 0777) != 0 && errno != EEXIST)
        return failed(run, "mkdir");
    snprintf(text, sizeof text, "streams/%llu", (unsigned long long)stream);
    if (stream && mkdirat(run->folder, text, 0777) != 0 && errno != EEXIST)
        return failed(run, "mkdir");
    return VDE_OK;
}

static vde_status create(struct rescue_run *run, const struct vde_rescue_item *item)
{
    bool volume = item->kind == VDE_RESCUE_VOLUME; /* entries may come more than once, the newest last */
    const int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (volume ? O_EXCL : 0);
    run->fd = openat(run->folder, run->path, flags, 0666);
    if (run->fd < 0 && errno == EEXIST && volume) {
        volume_path(item, true, run->path);
        run->fd = openat(run->folder, run->path, flags, 0666);
    }
    return run->fd < 0 ? failed(run, "open") : VDE_OK;
}

static vde_status on_begin(void *context, const struct vde_rescue_item *item)
{
    struct rescue_run *run = context;
    vde_status status = VDE_OK;
    run->end = run->missing_count = run->data_end = 0;
    run->too_long = false;
    run->missing = json_array();
    if (item->kind == VDE_RESCUE_VOLUME) {
        volume_path(item, false, run->path);
    } else if (item->kind == VDE_RESCUE_FILE) {
        snprintf(run->path, sizeof run->path, "files/%llu", (unsigned long long)item->id);
        status = make_folders(run, "files", 0);
    } else if (item->kind == VDE_RESCUE_MAP) {
        snprintf(run->path, sizeof run->path, "maps/%llu.jsonl", (unsigned long long)item->id);
        status = make_folders(run, "maps", 0);
    } else {
        snprintf(run->path, sizeof run->path, "streams/%llu/%llu.json", (unsigned long long)item->id,
                 (unsigned long long)item->number);
        status = make_folders(run, "streams", item->id);
    }
    return status == VDE_OK ? create(run, item) : status;
}

static vde_status on_missing(void *context, uint64_t offset, uint64_t size, const char *why)
{
    struct rescue_run *run = context;
    if (run->missing_count++ >= MISSING_MAX)
        return VDE_OK;
    json_t *object = json_object();
    json_put(object, "offset", json_u64(offset));
    json_put(object, "size", size ? json_u64(size) : json_null());
    json_put(object, "why", json_str(why));
    json_add(run->missing, object);
    return VDE_OK;
}

/* What older data were written to; behind those a hole comes by itself. */
static vde_status put_zeroes(struct rescue_run *run, uint64_t offset, size_t size)
{
    static const char zeroes[65536];
    if (offset >= run->data_end)
        return VDE_OK;
    if (size > run->data_end - offset)
        size = (size_t)(run->data_end - offset);
    if (fallocate(run->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size) == 0)
        return VDE_OK;
    for (size_t done = 0; done < size; done += sizeof zeroes) {
        size_t part = size - done < sizeof zeroes ? size - done : sizeof zeroes;
        if (pwrite(run->fd, zeroes, part, (off_t)(offset + done)) != (ssize_t)part)
            return failed(run, "write");
    }
    return VDE_OK;
}

static vde_status on_data(void *context, uint64_t offset, const void *bytes, size_t size)
{
    struct rescue_run *run = context;
    if (offset + size > run->end)
        run->end = offset + size;
    if (!bytes)
        return put_zeroes(run, offset, size);
    for (size_t done = 0; done < size;) {
        ssize_t got = pwrite(run->fd, (const char *)bytes + done, size - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EFBIG) {
            run->too_long = true;
            return on_missing(run, offset + done, size - done, "the file system holds no file that long");
        }
        if (got <= 0)
            return failed(run, "write");
        done += (size_t)got;
    }
    if (offset + size > run->data_end)
        run->data_end = offset + size;
    return VDE_OK;
}

static char *put_text(char *to, const char *text)
{
    size_t size = strlen(text);
    memcpy(to, text, size);
    return to + size;
}

static char *put_hex(char *to, const void *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *from = bytes;
    for (size_t i = 0; i < size; i++) {
        *to++ = digits[from[i] >> 4];
        *to++ = digits[from[i] & 15];
    }
    return to;
}

/* One line: {"key": "...", "value": "..."}, in hexadecimal; null: removed, false: not readable. */
static vde_status on_record(void *context, const struct vde_rescue_record *record)
{
    struct rescue_run *run = context;
    char *line = malloc(2 * (record->key_size + record->value_size) + 64);
    if (!line)
        return vde_error_set(VDE_NOMEM, run->path, "", "");
    char *at = put_hex(put_text(line, "{\"key\": \""), record->key, record->key_size);
    at = put_text(at, "\", \"value\": ");
    if (record->value)
        at = put_text(put_hex(put_text(at, "\""), record->value, record->value_size), "\"}\n");
    else
        at = put_text(at, record->removed ? "null}\n" : "false}\n");
    vde_status status = on_data(run, run->end, line, (size_t)(at - line));
    free(line);
    return status;
}

/* A thin volume may be longer than any file here can be: then only zeroes are cut off, if no data were. */
static vde_status set_size(struct rescue_run *run, uint64_t size)
{
    if (ftruncate(run->fd, (off_t)size) == 0)
        return VDE_OK;
    if (errno != EFBIG)
        return failed(run, "truncate");
    run->too_long = true;
    return on_missing(run, run->data_end, size - run->data_end, "zeroes: the file system holds no file that long");
}

static void print_missing(const struct rescue_run *run)
{
    size_t i;
    json_t *range;
    json_array_foreach(run->missing, i, range)
    {
        long long offset = json_integer_value(json_object_get(range, "offset"));
        json_t *size = json_object_get(range, "size");
        if (json_is_null(size))
            printf("  missing from %lld on: %s\n", offset, json_string_value(json_object_get(range, "why")));
        else
            printf("  missing %lld + %lld: %s\n", offset, (long long)json_integer_value(size),
                   json_string_value(json_object_get(range, "why")));
    }
    if (run->missing_count > MISSING_MAX)
        printf("  ... and %llu more\n", (unsigned long long)(run->missing_count - MISSING_MAX));
}

static json_t *item_json(const struct rescue_run *run, const struct vde_rescue_item *item, bool complete)
{
    static const char *const kinds[] = {"volume", "file", "entry", "map"};
    json_t *object = json_object();
    json_put(object, "kind", json_str(kinds[item->kind]));
    json_put(object, "id", json_u64(item->id));
    json_put(object, "number", item->kind == VDE_RESCUE_ENTRY ? json_u64(item->number) : json_null());
    json_put(object, "path", json_str(run->path));
    json_put(object, "name", item->name[0] ? json_str(item->name) : json_null());
    json_put(object, "complete", json_boolean(complete));
    json_put(object, "loose", json_boolean(item->loose));
    json_put(object, "size_bytes", item->size_bytes ? json_u64(item->size_bytes) : json_null());
    json_put(object, "good_bytes", json_u64(item->good_bytes));
    json_put(object, "missing_bytes", json_u64(item->missing_bytes));
    json_put(object, "missing", json_incref(run->missing));
    return object;
}

static vde_status on_end(void *context, const struct vde_rescue_item *item)
{
    struct rescue_run *run = context;
    char text[OUT_TEXT];
    bool complete = !item->missing_bytes && !item->gaps && !item->loose;
    uint64_t size = item->size_bytes ? item->size_bytes : run->end;
    vde_status status = set_size(run, size);
    run->cut += complete && run->too_long;
    complete &= !run->too_long;
    if (close(run->fd) != 0 && status == VDE_OK)
        status = failed(run, "close");
    run->fd = -1;
    if (item->kind == VDE_RESCUE_ENTRY && complete) { /* there are too many to tell of each */
        json_decref(run->missing);
        return status;
    }
    if (run->cli->json) {
        json_add(run->items, item_json(run, item, complete));
    } else {
        progress_done();
        out_text(stdout, run->path, strlen(run->path));
        printf(": %s%s%s\n", out_size(run->cli, size, text), complete ? ", complete" : ", INCOMPLETE",
               item->loose ? ", put together from loose nodes: parts may be older than others" : "");
        print_missing(run);
    }
    json_decref(run->missing);
    return status;
}

static void on_progress(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    (void)context;
    progress_update("rescue: scan", done_bytes, total_bytes);
}

/* The folder is new or empty. */
static int open_folder(struct rescue_run *run, const char *path)
{
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return cli_errno(run->cli, errno, path, "mkdir");
    DIR *folder = opendir(path);
    if (!folder)
        return cli_errno(run->cli, errno, path, "opendir");
    unsigned entries = 0;
    while (readdir(folder))
        entries++;
    closedir(folder);
    if (entries > 2)
        return cli_error(run->cli, VDE_EXISTS, path, "a folder that is not empty", "a new or empty folder");
    run->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return run->folder < 0 ? cli_errno(run->cli, errno, path, "open") : CLI_DONE;
}

static vde_status attempt(void *context)
{
    struct rescue_run *run = context;
    return vde_rescue(run->cli->image_path, cli_option(run->cli, "backend"), &run->sink, &run->summary);
}

static void print_summary(const struct rescue_run *run)
{
    const struct vde_rescue_summary *s = &run->summary;
    if (!run->cli->json) {
        out_field("label", WIDTH, "%s", s->label ? "found" : "lost");
        out_field("superblock", WIDTH, "%s", s->superblock ? "found" : "lost");
        out_field("catalog", WIDTH, s->catalog ? "whole, as of lsn %llu" : "put together from loose nodes",
                  (unsigned long long)s->catalog_lsn);
        if (s->stale)
            out_field("", WIDTH, "there was a later state, of which not all is left");
        out_field("nodes", WIDTH, "%llu, %llu log records on top", (unsigned long long)s->nodes,
                  (unsigned long long)s->log_records);
        out_field("result", WIDTH, "%llu volumes, %llu files, %llu entries, %llu maps; %llu not complete",
                  (unsigned long long)s->volumes, (unsigned long long)s->files, (unsigned long long)s->entries,
                  (unsigned long long)s->maps, (unsigned long long)(s->incomplete + run->cut));
        return;
    }
    json_t *object = json_object();
    json_put(object, "image", json_str(run->cli->image_path));
    json_put(object, "folder", json_str(run->cli->args[0]));
    json_put(object, "label", json_boolean(s->label));
    json_put(object, "superblock", json_boolean(s->superblock));
    json_put(object, "catalog", json_boolean(s->catalog));
    json_put(object, "catalog_lsn", json_u64(s->catalog_lsn));
    json_put(object, "stale", json_boolean(s->stale));
    json_put(object, "nodes", json_u64(s->nodes));
    json_put(object, "log_records", json_u64(s->log_records));
    json_put(object, "volumes", json_u64(s->volumes));
    json_put(object, "files", json_u64(s->files));
    json_put(object, "entries", json_u64(s->entries));
    json_put(object, "maps", json_u64(s->maps));
    json_put(object, "incomplete", json_u64(s->incomplete + run->cut));
    json_put(object, "items", json_incref(run->items));
    json_print(object);
}

static int run_rescue(struct cli *cli)
{
    struct rescue_run run = {.cli = cli, .folder = -1, .fd = -1, .items = json_array(),
                             .sink = {on_begin, on_data, on_missing, on_end, on_progress, NULL, on_record}};
    run.sink.context = &run;
    int result = open_folder(&run, cli->args[0]);
    if (result == CLI_DONE) {
        vde_status status = cli_wait_busy(cli, attempt, &run);
        progress_done();
        if (status == VDE_OK)
            print_summary(&run);
        bool less = run.summary.incomplete || run.summary.stale || run.cut;
        result = status != VDE_OK ? cli_failed_image(cli, status) : less ? CLI_DAMAGE : CLI_DONE;
    }
    if (run.fd >= 0)
        close(run.fd);
    if (run.folder >= 0)
        close(run.folder);
    json_decref(run.items);
    return result;
}

const struct cli_command cmd_rescue = {
    .verb = "rescue",
    .arguments = "DIR",
    .summary = "salvage volumes, files, stream entries and maps into a folder when superblocks or trees are gone",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_SIZES,
    .min_args = 1,
    .max_args = 1,
    .notes = "Volumes become DIR/NAME.raw (DIR/NAME-ID.raw where names differ only in what no file name may hold), files\n"
             "DIR/files/ID, entries DIR/streams/ID/NUMBER.json, key-value datasets DIR/maps/ID.jsonl: a line\n"
             "{\"key\": HEX, \"value\": HEX} for each record. Of several lines with one key the last counts; the value null\n"
             "says that the key was removed, false that its value can't be read. The log of a table is the stream that its\n"
             "record in the map \"lakehouse\" names; its state follows from the log. Snapshots are not salvaged.\n"
             "Reads the whole device, writes nothing to it. What fails its checksum is left out and told. Exit status 5 when\n"
             "something is not complete.",
    .run = run_rescue,
};
