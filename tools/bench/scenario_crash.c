/* SPDX-License-Identifier: Apache-2.0 */
/* scenario_crash.c -- R1: open an image whose writer was killed, by size of the image and length of its history. */
#include "block.h"
#include "crash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STREAMS = 64, CRASHES = 3, AGAIN = 20000, TELL_EVERY = 4096, WRITE_EVERY = 16, DISK_MIB = 256 };

struct crashed {
    const char *path;
    const struct bench_config *config;
    bool first;     /* the volume is yet to be made */
    uint64_t least; /* reader: what block 0 of the volume must say at least */
};

static vde_volume *open_disk(vde_image *image)
{
    vde_volume *volume;
    bench_must(vde_volume_open(image, "disk", NULL, &volume), "volume");
    return volume;
}

/* Block 0 of the volume says how many commits were durable before it was written; then it is told. */
static void note(vde_volume *volume, uint64_t *block, uint64_t number, int told)
{
    block[0] = number;
    bench_must(vde_volume_write(volume, block, 4096, 0, VDE_VOLUME_FUA), "write");
    crash_tell(told, number);
}

static void submit(vde_image *image, vde_queue *queue, const uint64_t *streams, uint64_t *numbers, uint64_t table)
{
    uint64_t record[ENGINE_RECORD_BYTES / 8];
    vde_txn *txn;
    for (unsigned i = 0; i < ENGINE_RECORD_BYTES / 8; i++)
        record[i] = numbers[table] * 1000003 + table + i;
    bench_must(vde_txn_create(image, &txn), "txn");
    bench_must(vde_txn_append(txn, streams[table], numbers[table]++, 0, record, sizeof record), "append");
    bench_must(vde_txn_submit_async(txn, queue, table), "submit");
    vde_txn_destroy(txn);
}

/* Durable commits, 64 in flight, and random writes to a volume between them, until killed. */
static void write_engine(const void *context, int told)
{
    const struct crashed *crashed = context;
    struct subject subject = {.path = (char *)(uintptr_t)crashed->path};
    uint64_t streams[STREAMS], numbers[STREAMS] = {0}, block[512] = {0}, count = 0;
    struct vde_completion done[STREAMS];
    vde_queue *queue;
    subject_open(&subject, crashed->config);
    vde_volume *volume = crashed->first ? block_volume(subject.image, "disk", (uint64_t)DISK_MIB << 20)
                                        : open_disk(subject.image);
    bench_must(vde_queue_create(subject.image, &queue), "queue");
    for (unsigned i = 0; i < STREAMS; i++) {
        streams[i] = vde_id_reserve(subject.image);
        submit(subject.image, queue, streams, numbers, i);
    }
    for (;;) {
        size_t ready = 0;
        bench_must(vde_queue_reap(queue, done, STREAMS, true, &ready), "reap");
        for (size_t i = 0; i < ready; i++) {
            bench_must(done[i].status, "completion");
            count++;
            if (count % WRITE_EVERY == 0)
                bench_must(vde_volume_write(volume, block, 4096, (1 + bench_mix(count) % (DISK_MIB * 256 - 1)) * 4096, 0),
                           "write");
            if (count % TELL_EVERY == 0)
                note(volume, block, count, told);
            submit(subject.image, queue, streams, numbers, done[i].tag);
        }
    }
}

/* The kernel lets go of a dead writer's ring, and with it of the image's lock, a moment after the process is gone: the open
 * that finds it free is the one that is timed. */
static double open_dead(const struct crashed *crashed, uint64_t memory, vde_image **ret_image)
{
    struct vde_open_opts options = VDE_OPEN_OPTS_INIT;
    options.memory_bytes = memory;
    options.checkpoint_ms = crashed->config->checkpoint_ms;
    for (;;) {
        double begun = bench_now();
        vde_status status = vde_image_open(crashed->path, &options, ret_image);
        if (status != VDE_BUSY) {
            bench_must(status, "open");
            return bench_now() - begun;
        }
        usleep(10000);
    }
}

static void open_engine(const void *context, int told)
{
    const struct crashed *crashed = context;
    uint64_t block[512];
    vde_image *image;
    crash_send(told, "before", 0);
    crash_send(told, "open", open_dead(crashed, 0, &image));
    vde_volume *volume = open_disk(image);
    bench_must(vde_volume_read(volume, block, sizeof block, 0), "read");
    if (block[0] < crashed->least)
        bench_die("commit %llu was durable, the volume says %llu", (unsigned long long)crashed->least,
                  (unsigned long long)block[0]);
    vde_volume_close(volume);
    bench_must(vde_image_close(image), "close");
}

/* A sparse file: what is never touched costs nothing. */
static void format_sparse(const char *path, uint64_t bytes)
{
    struct vde_format_opts options = VDE_FORMAT_OPTS_INIT;
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || ftruncate(fd, (off_t)bytes) != 0 || close(fd) != 0)
        bench_die("%s: %s", path, strerror(errno));
    options.size_bytes = bytes;
    options.flags = VDE_FORMAT_FORCE;
    bench_must(vde_image_format(path, &options), "format");
}

static double crash_and_open(const struct bench_config *config, json_t *result, const char *name, uint64_t bytes,
                             uint64_t commits)
{
    char *path = bench_path(config->dir, "r1.vde");
    struct crashed crashed = {.path = path, .config = config, .first = true};
    struct samples open = {0};
    uint64_t peak = 0;
    format_sparse(path, bytes);
    double begun = bench_now();
    for (unsigned i = 0; i < CRASHES; i++, crashed.first = false) {
        struct crash_step steps[2];
        crashed.least = crash_writer(write_engine, &crashed, i == 0 ? commits : AGAIN);
        if (crash_reader(open_engine, &crashed, steps, 2) != 2)
            bench_die("the reader told too little");
        samples_add(&open, steps[1].seconds, 0);
        peak = steps[1].peak > peak ? steps[1].peak : peak;
    }
    json_t *row = report_row(result, name);
    json_object_set_new(row, "count", json_integer(CRASHES));
    json_object_set_new(row, "commits", json_integer((json_int_t)commits));
    json_object_set_new(row, "p50_us", json_real(samples_at(&open, 0.5) * 1e6));
    json_object_set_new(row, "max_us", json_real(samples_at(&open, 1) * 1e6));
    json_object_set_new(row, "peak_kib", json_integer((json_int_t)peak));
    json_object_set_new(row, "seconds", json_real(bench_now() - begun));
    double worst = samples_at(&open, 1);
    samples_free(&open);
    unlink(path);
    free(path);
    return worst;
}

json_t *scenario_r1(const struct bench_config *config)
{
    json_t *result = report_begin(config, "R1");
    struct noise noise;
    uint64_t all = config->commits;
    noise_begin(&noise);
    double less = crash_and_open(config, result, "4 GiB, a hundredth", 4ull << 30, all / 100);
    double small = crash_and_open(config, result, "4 GiB, all commits", 4ull << 30, all);
    double large = crash_and_open(config, result, "64 GiB, all commits", 64ull << 30, all);
    double huge = crash_and_open(config, result, "1 TiB, all commits", 1ull << 40, all);
    report_target(result, "slowest open, seconds", less > small ? less : small, false, 1);
    report_target(result, "slowest open, 64 GiB, seconds", large, false, 1);
    report_target(result, "slowest open, 1 TiB, seconds", huge, false, 1);
    report_target(result, "1 TiB / 4 GiB", huge / small, false, 1.5);
    report_target(result, "history of all / a hundredth", small / less, false, 1.5);
    json_object_set_new(result, "noise", noise_end(&noise));
    return result;
}

/* --- R2: a table of as many versions, a volume with snapshots, 32 MiB of memory -------------------------------------- */

enum { FLYING = 32, SNAPSHOTS = 4, BUDGET_MIB = 32, STEPS_MAX = 16, TRAVELS = 20 };
static const char table_name[] = "bench.files";

static void add_next(const struct bench_config *config, lh_txn *txn, lh_queue *queue, uint64_t number)
{
    struct lh_add add = LH_ADD_INIT;
    struct gen_file file;
    size_t member;
    lh_txn_reset(txn);
    bench_must(lh_txn_table(txn, table_name, NULL, &member), "table");
    gen_file(config->seed, 0, number, &file);
    add.path = file.path;
    add.size_bytes = file.size_bytes;
    add.modification_time_ms = file.modified_ms;
    add.stats = file.stats;
    bench_must(lh_txn_add_file(txn, member, &add), "add");
    bench_must(lh_submit(txn, queue, number, NULL), "submit");
}

static void make_disk(vde_image *image, uint64_t *block)
{
    vde_volume *volume = block_volume(image, "disk", 1ull << 40);
    uint64_t id = block_volume_id(image, "disk");
    for (unsigned s = 0; s < SNAPSHOTS; s++) {
        char name[16];
        for (uint64_t i = 0; i < 4096; i++)
            bench_must(vde_volume_write(volume, block, 4096, bench_mix(s * 4096 + i) % (1ull << 28) * 4096, 0), "write");
        snprintf(name, sizeof name, "s%u", s);
        bench_must(vde_snapshot_create(image, id, name, NULL), "snapshot");
    }
    vde_volume_close(volume);
}

static void write_tables(const void *context, int told)
{
    const struct crashed *crashed = context;
    struct subject subject = {.path = (char *)(uintptr_t)crashed->path};
    struct lh_create create = LH_CREATE_INIT;
    struct lh_completion done[FLYING];
    uint64_t block[512] = {0}, next = 0, count = 0;
    lh_queue *queue;
    lh_txn *txn;
    subject_open(&subject, crashed->config);
    make_disk(subject.image, block);
    bench_must(lh_open(subject.image, NULL, &subject.lakehouse), "lh_open");
    bench_must(lh_namespace_create(subject.lakehouse, "bench", NULL, 0), "namespace");
    create.schema = GEN_SCHEMA;
    bench_must(lh_table_create(subject.lakehouse, table_name, &create, NULL), "create");
    bench_must(lh_queue_create(subject.lakehouse, &queue), "queue");
    bench_must(lh_txn_create(subject.lakehouse, &txn), "txn");
    while (next < FLYING)
        add_next(crashed->config, txn, queue, next++);
    for (;;) {
        size_t ready = 0;
        bench_must(lh_queue_reap(queue, done, FLYING, true, &ready), "reap");
        for (size_t i = 0; i < ready; i++, count++) {
            bench_must(done[i].status, "completion");
            if (count % TELL_EVERY == 0)
                crash_tell(told, count);
            add_next(crashed->config, txn, queue, next++);
        }
    }
}

static uint64_t open_table(lh_lakehouse *lakehouse, const char *table, lh_snapshot **ret_snapshot)
{
    bench_must(lh_snapshot_open(lakehouse, table, ret_snapshot), "snapshot");
    const struct lh_table_info *info = lh_snapshot_info(*ret_snapshot);
    if (info->files != info->version)
        bench_die("version %llu has %llu files", (unsigned long long)info->version, (unsigned long long)info->files);
    return info->version;
}

static void list_table(const struct bench_config *config, lh_snapshot *snapshot, uint64_t version)
{
    struct lh_file_info found;
    uint64_t number = 0;
    vde_status status;
    for (; (status = lh_snapshot_next_file(snapshot, &found)) == VDE_OK; number++) {
        struct gen_file file;
        gen_file(config->seed, 0, number, &file);
        if (strcmp(found.path, file.path) != 0)
            bench_die("file %llu is wrong", (unsigned long long)number);
    }
    if (status != VDE_NOT_FOUND || number != version)
        bench_die("%llu files of %llu", (unsigned long long)number, (unsigned long long)version);
}

static void travel(lh_lakehouse *lakehouse, uint64_t versions, int told)
{
    struct samples open = {0};
    for (uint64_t i = 0; i < TRAVELS; i++) {
        uint64_t version = bench_mix(i) % versions + 1;
        char name[64];
        lh_snapshot *snapshot;
        snprintf(name, sizeof name, "%s@v%llu", table_name, (unsigned long long)version);
        double begun = bench_now();
        uint64_t found = open_table(lakehouse, name, &snapshot);
        samples_add(&open, bench_now() - begun, 0);
        if (found != version)
            bench_die("version %llu is %llu", (unsigned long long)version, (unsigned long long)found);
        lh_snapshot_close(snapshot);
    }
    crash_send(told, "T3 open a version, p50", samples_at(&open, 0.5));
    samples_free(&open);
}

static void diff(lh_lakehouse *lakehouse, uint64_t version, uint64_t apart, const char *name, int told)
{
    char from[64], to[32];
    struct lh_diff *found;
    snprintf(from, sizeof from, "%s@v%llu", table_name, (unsigned long long)(version - apart));
    snprintf(to, sizeof to, "v%llu", (unsigned long long)version);
    double begun = bench_now();
    bench_must(lh_diff_versions(lakehouse, from, to, &found), "diff");
    if (found->added_count != apart || found->removed_count != 0)
        bench_die("%zu files added in %llu versions", found->added_count, (unsigned long long)apart);
    lh_free(found);
    crash_send(told, name, bench_now() - begun);
}

static void read_tables(const void *context, int told)
{
    const struct crashed *crashed = context;
    lh_lakehouse *lakehouse;
    lh_snapshot *snapshot;
    vde_image *image;
    crash_send(told, "before", 0);
    crash_send(told, "open the image", open_dead(crashed, (uint64_t)BUDGET_MIB << 20, &image));
    double begun = bench_now();
    bench_must(lh_open(image, NULL, &lakehouse), "lh_open");
    uint64_t version = open_table(lakehouse, table_name, &snapshot);
    crash_send(told, "T1 open the table", bench_now() - begun);
    if (version < crashed->least)
        bench_die("version %llu was durable", (unsigned long long)crashed->least);
    begun = bench_now();
    list_table(crashed->config, snapshot, version);
    crash_send(told, "T2 list all files", bench_now() - begun);
    lh_snapshot_close(snapshot);
    travel(lakehouse, version, told);
    diff(lakehouse, version, 1, "T4 diff of neighbours", told);
    diff(lakehouse, version, 1000, "T4 diff of 1000 versions", told);
    lh_close(lakehouse);
    bench_must(vde_image_close(image), "close");
}

json_t *scenario_r2(const struct bench_config *config)
{
    json_t *result = report_begin(config, "R2");
    struct crash_step steps[STEPS_MAX];
    struct noise noise;
    char *path = bench_path(config->dir, "r2.vde");
    struct crashed crashed = {.path = path, .config = config, .first = true};
    uint64_t worst = 0;
    noise_begin(&noise);
    format_sparse(path, 1ull << 40);
    crashed.least = crash_writer(write_tables, &crashed, config->commits);
    unsigned count = crash_reader(read_tables, &crashed, steps, STEPS_MAX);
    for (unsigned i = 0; i < count; i++) {
        json_t *row = report_row(result, steps[i].name);
        json_object_set_new(row, "p50_us", json_real(steps[i].seconds * 1e6));
        json_object_set_new(row, "resident_kib", json_integer((json_int_t)steps[i].resident));
        json_object_set_new(row, "peak_kib", json_integer((json_int_t)steps[i].peak));
        worst = steps[i].peak > worst ? steps[i].peak : worst;
        if (i == 1)
            report_target(result, "resident MiB after opening", (double)steps[i].resident / 1024, false, 64);
    }
    report_target(result, "peak MiB of all steps", (double)worst / 1024, false, 64);
    json_object_set_new(result, "commits", json_integer((json_int_t)crashed.least));
    json_object_set_new(result, "noise", noise_end(&noise));
    if (!config->keep)
        unlink(path);
    free(path);
    return result;
}
