/* SPDX-License-Identifier: Apache-2.0 */
/* scenario_open.c -- T1: open a table at its latest version and get its schema. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

extern char **environ;

enum { FILES_PER_COMMIT = 2000, WARM_OPENS = 2000, COLD_OPENS = 30, PROCESSES = 15 };
#define OPEN_SECONDS 4.0 /* and no longer than this */
static const char table_name[] = "bench.files";

struct filled {
    uint64_t files, versions;
};

static void commit_files(const struct bench_config *config, lh_txn *txn, uint64_t count, struct filled *filled)
{
    size_t member;
    lh_txn_reset(txn);
    bench_must(lh_txn_table(txn, table_name, NULL, &member), "table");
    for (uint64_t i = 0; i < count; i++) {
        struct lh_add add = LH_ADD_INIT;
        struct gen_file file;
        gen_file(config->seed, 0, filled->files++, &file);
        add.path = file.path;
        add.size_bytes = file.size_bytes;
        add.modification_time_ms = file.modified_ms;
        add.stats = file.stats;
        bench_must(lh_txn_add_file(txn, member, &add), "add");
    }
    bench_must(lh_commit(txn, NULL), "commit");
    filled->versions++;
}

/* At least that many files, and then until a state of the table was written: nothing is left to replay. */
static struct filled fill(const struct bench_config *config, lh_lakehouse *lakehouse)
{
    struct lh_create create = LH_CREATE_INIT;
    struct filled filled = {0, 0};
    struct lh_stats stats;
    uint64_t states;
    lh_txn *txn;
    create.schema = GEN_SCHEMA;
    bench_must(lh_table_create(lakehouse, table_name, &create, NULL), "create");
    bench_must(lh_txn_create(lakehouse, &txn), "txn");
    do {
        bench_must(lh_get_stats(lakehouse, &stats), "stats");
        states = stats.states_written;
        commit_files(config, txn, FILES_PER_COMMIT, &filled);
        bench_must(lh_get_stats(lakehouse, &stats), "stats");
    } while (filled.files < config->files || stats.states_written == states);
    lh_txn_destroy(txn);
    return filled;
}

/* Listing every file must give what was added. */
static double verify_files(const struct bench_config *config, lh_lakehouse *lakehouse, uint64_t files)
{
    lh_snapshot *snapshot;
    struct lh_file_info found;
    uint64_t number = 0;
    vde_status status;
    double begun = bench_now();
    bench_must(lh_snapshot_open(lakehouse, table_name, &snapshot), "snapshot");
    for (; (status = lh_snapshot_next_file(snapshot, &found)) == VDE_OK; number++) {
        struct gen_file file;
        gen_file(config->seed, 0, number, &file);
        if (strcmp(found.path, file.path) != 0 || found.size_bytes != file.size_bytes)
            bench_die("file %llu is wrong", (unsigned long long)number);
    }
    if (status != VDE_NOT_FOUND || number != files)
        bench_die("%llu files", (unsigned long long)number);
    lh_snapshot_close(snapshot);
    return bench_now() - begun;
}

/* Open at the latest version, look at version, schema and totals, close: the seconds it took. */
static double open_latest(lh_lakehouse *lakehouse, const char *table, uint64_t *ret_files)
{
    lh_snapshot *snapshot;
    double begun = bench_now();
    bench_must(lh_snapshot_open(lakehouse, table, &snapshot), "snapshot");
    const struct lh_table_info *info = lh_snapshot_info(snapshot);
    *ret_files = info->files;
    if (info->version != info->latest_version || !strstr(info->schema_json, "\"id\"") || info->column_count != 3)
        bench_die("the schema is wrong");
    lh_snapshot_close(snapshot);
    return bench_now() - begun;
}

struct cold {
    double image_s, lakehouse_s, open_s, total_s;
    uint64_t reads_image, reads_lakehouse, reads_open, files;
};

/* Everything anew: no node of the image is in memory, and the image is read past the page cache. */
static struct cold open_cold(const char *path, const char *table)
{
    struct vde_open_opts options = VDE_OPEN_OPTS_INIT;
    struct vde_image_counters at_image, at_lakehouse, at_open;
    struct cold cold = {0};
    vde_image *image;
    lh_lakehouse *lakehouse;
    options.flags = VDE_OPEN_READ_ONLY;
    double begun = bench_now();
    bench_must(vde_image_open(path, &options, &image), "open");
    vde_image_counters(image, &at_image);
    cold.image_s = bench_now() - begun;
    bench_must(lh_open(image, NULL, &lakehouse), "lh_open");
    vde_image_counters(image, &at_lakehouse);
    cold.lakehouse_s = bench_now() - begun - cold.image_s;
    cold.open_s = open_latest(lakehouse, table, &cold.files);
    vde_image_counters(image, &at_open);
    cold.total_s = bench_now() - begun;
    cold.reads_image = at_image.node_reads;
    cold.reads_lakehouse = at_lakehouse.node_reads - at_image.node_reads;
    cold.reads_open = at_open.node_reads - at_lakehouse.node_reads;
    lh_close(lakehouse);
    bench_must(vde_image_close(image), "close");
    return cold;
}

int open_once(const char *image, const char *table)
{
    struct cold cold = open_cold(image, table);
    json_t *answer = json_pack("{s:f, s:f, s:f, s:f, s:I, s:I}", "image_us", cold.image_s * 1e6, "lakehouse_us",
                               cold.lakehouse_s * 1e6, "open_us", cold.open_s * 1e6, "total_us", cold.total_s * 1e6,
                               "node_reads", (json_int_t)cold.reads_open, "files", (json_int_t)cold.files);
    json_dumpf(answer, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
    puts("");
    json_decref(answer);
    return 0;
}

/* A whole process, from its start to its end. */
static double open_in_process(const char *path)
{
    char self[4096], option[] = "--open-once";
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    posix_spawn_file_actions_t actions;
    pid_t child;
    int status = 0;
    if (size < 0)
        bench_die("who am I?");
    self[size] = 0; /* cppcheck-suppress negativeIndex; bench_die() does not return */
    char *image = strdup(path), *table = strdup(table_name);
    char *arguments[] = {self, option, image, table, NULL};
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    double begun = bench_now();
    if (posix_spawn(&child, self, &actions, NULL, arguments, environ) != 0 || waitpid(child, &status, 0) != child ||
        status != 0)
        bench_die("the process failed");
    double elapsed = bench_now() - begun;
    posix_spawn_file_actions_destroy(&actions);
    free(image);
    free(table);
    return elapsed;
}

static json_t *add_row(json_t *result, const char *name, struct samples *samples)
{
    json_t *row = report_row(result, name);
    json_object_set_new(row, "count", json_integer((json_int_t)samples->count));
    json_object_set_new(row, "p50_us", json_real(samples_at(samples, 0.5) * 1e6));
    json_object_set_new(row, "p99_us", json_real(samples_at(samples, 0.99) * 1e6));
    json_object_set_new(row, "max_us", json_real(samples_at(samples, 1) * 1e6));
    if (samples->cpu > 0)
        json_object_set_new(row, "cpu_us", json_real(samples->cpu / (double)samples->count * 1e6));
    samples_free(samples);
    return row;
}

static void measure_warm(struct subject *subject, uint64_t expected, const char *label, json_t *result)
{
    struct samples snapshot = {0}, describe = {0}, latest = {0};
    char name[64];
    double end = bench_now() + OPEN_SECONDS;
    for (unsigned i = 0; i < WARM_OPENS && bench_now() < end; i++) {
        struct lh_table_info *info;
        uint64_t files, version;
        double cpu = bench_thread_cpu(), took = open_latest(subject->lakehouse, table_name, &files);
        samples_add(&snapshot, took, bench_thread_cpu() - cpu);
        if (files != expected)
            bench_die("%llu files", (unsigned long long)files);
        double begun = bench_now();
        bench_must(lh_table_describe(subject->lakehouse, table_name, &info), "describe");
        samples_add(&describe, bench_now() - begun, 0);
        lh_free(info);
        begun = bench_now();
        bench_must(lh_latest_version(subject->lakehouse, table_name, &version), "latest");
        samples_add(&latest, bench_now() - begun, 0);
    }
    *gen_text(gen_text(name, "snapshot, warm"), label) = 0;
    add_row(result, name, &snapshot);
    *gen_text(gen_text(name, "describe, warm"), label) = 0;
    add_row(result, name, &describe);
    *gen_text(gen_text(name, "latest version"), label) = 0;
    add_row(result, name, &latest);
}

/* Floor of a cold open: one 4 KiB read of the same file past the page cache. */
static double read_block(int fd, void *block, uint64_t image_bytes, uint64_t *draw)
{
    *draw = bench_mix(*draw);
    off_t at = (off_t)(*draw % (image_bytes / 4096) * 4096);
    double begun = bench_now();
    if (pread(fd, block, 4096, at) != 4096)
        bench_die("read: %s", strerror(errno));
    return bench_now() - begun;
}

static void measure_cold(const struct bench_config *config, const char *path, uint64_t files, const char *label, json_t *result)
{
    struct samples floor = {0}, first = {0}, all = {0}, process = {0};
    uint64_t reads = 0, reads_before = 0, draw = config->seed;
    char name[64];
    int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
    void *block = aligned_alloc(4096, 4096);
    if (fd < 0 || !block)
        bench_die("%s: %s", path, strerror(errno));
    double end = bench_now() + OPEN_SECONDS;
    for (unsigned i = 0; i < COLD_OPENS && (i == 0 || bench_now() < end); i++) {
        for (unsigned j = 0; j < 20; j++)
            samples_add(&floor, read_block(fd, block, config->image_bytes, &draw), 0);
        struct cold cold = open_cold(path, table_name);
        if (cold.files != files)
            bench_die("cold: %llu files", (unsigned long long)cold.files);
        samples_add(&first, cold.open_s, 0);
        samples_add(&all, cold.total_s, 0);
        reads = cold.reads_open > reads ? cold.reads_open : reads;
        reads_before = cold.reads_image + cold.reads_lakehouse;
        if (i < PROCESSES)
            samples_add(&process, open_in_process(path), 0);
    }
    close(fd);
    free(block);
    if (label[0] == 0)
        add_row(result, "floor", &floor);
    samples_free(&floor);
    *gen_text(gen_text(name, "snapshot, cold"), label) = 0;
    json_object_set_new(add_row(result, name, &first), "node_reads", json_integer((json_int_t)reads));
    *gen_text(gen_text(name, "image, cold"), label) = 0;
    json_object_set_new(add_row(result, name, &all), "node_reads", json_integer((json_int_t)(reads + reads_before)));
    *gen_text(gen_text(name, "process, cold"), label) = 0;
    add_row(result, name, &process);
}

static void measure(const struct bench_config *config, struct subject *subject, uint64_t files, const char *label,
                    json_t *result)
{
    char name[64];
    measure_warm(subject, files, label, result);
    lh_close(subject->lakehouse);
    subject->lakehouse = NULL;
    bench_must(vde_image_close(subject->image), "close");
    measure_cold(config, subject->path, files, label, result);
    subject_open(subject, config);
    bench_must(lh_open(subject->image, NULL, &subject->lakehouse), "lh_open");
    *gen_text(gen_text(name, "snapshot, warm"), label) = 0;
    const json_t *warm = report_find(result, name);
    report_target(result, name, json_number_value(json_object_get(warm, "p50_us")), false, 50);
    *gen_text(gen_text(name, "snapshot, cold"), label) = 0;
    const json_t *cold = report_find(result, name);
    report_target(result, name, json_number_value(json_object_get(cold, "p50_us")), false, 1500);
    *gen_text(gen_text(name, "node reads, cold"), label) = 0;
    report_target(result, name, json_number_value(json_object_get(cold, "node_reads")), false, 10);
}

json_t *scenario_t1(const struct bench_config *config)
{
    json_t *result = report_begin(config, "T1");
    struct subject subject;
    struct lh_export options = LH_EXPORT_INIT;
    struct noise noise;
    lh_txn *txn;
    subject_format(&subject, config, "t1.vde", true);
    double begun = bench_now();
    struct filled filled = fill(config, subject.lakehouse);
    json_object_set_new(result, "build",
                        json_pack("{s:f, s:I, s:I}", "seconds", bench_now() - begun, "files", (json_int_t)filled.files,
                                  "versions", (json_int_t)filled.versions));
    subject_reopen(&subject, config);
    json_object_set_new(result, "list_seconds", json_real(verify_files(config, subject.lakehouse, filled.files)));
    if (config->export_dir) {
        options.flags = LH_EXPORT_LOG_ONLY;
        bench_must(lh_delta_export(subject.lakehouse, table_name, config->export_dir, &options, NULL), "export");
    }
    noise_begin(&noise);
    measure(config, &subject, filled.files, "", result);
    bench_must(lh_txn_create(subject.lakehouse, &txn), "txn");
    commit_files(config, txn, 1, &filled);
    lh_txn_destroy(txn);
    measure(config, &subject, filled.files, ", 1 commit later", result);
    json_object_set_new(result, "noise", noise_end(&noise));
    subject_close(&subject, config->keep);
    return result;
}
