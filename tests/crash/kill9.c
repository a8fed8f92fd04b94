/* SPDX-License-Identifier: Apache-2.0 */
/* A process with 8 threads commits to 1 to 4 of 16 tables at a time, on a real file, and is killed at a random moment; what
 * it was told is durable must be there, nothing half, and the offline check must be clean. Again and again on one image.
 *
 * usage: kill9 [rounds] [backend]
 * ctest: timeout=2400 labels=heavy serial sanitized=12 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <lakehouse/all.h>
#include <vde/check.h>

#include "support.h"

#define THREADS 8u
#define TABLES 16u
#define MEMBERS_MAX 4u
#define ACKS_MAX (1u << 16)
#define IMAGE_BYTES (512ull << 20)
#define LEAST_AVERAGE 200u

/* One acknowledged commit: the version it got in each of its tables. */
struct ack {
    _Atomic uint32_t ready;
    uint32_t count;
    uint32_t table[MEMBERS_MAX];
    uint64_t version[MEMBERS_MAX];
    char group[LH_UUID_TEXT];
};
/* Shared with the child: it survives the child's death. */
struct shared {
    _Atomic uint64_t acks;    /* places taken; those with `ready` were acknowledged */
    _Atomic uint64_t failed;
    struct ack ack[ACKS_MAX];
};

static struct shared *shared;
static char path[TMP_PATH_BYTES];
static const char *backend;

static void die(const char *what)
{
    fprintf(stderr, "%s: %s: %s\n", what, vde_last_error()->code, vde_last_error()->text);
    _exit(99);
}

static void table_name(unsigned index, char name[32])
{
    snprintf(name, 32, "t.table%02u", index);
}

static void open_tables(vde_image **ret_image, lh_lakehouse **ret_lakehouse)
{
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    opts.backend = backend;
    opts.checkpoint_ms = 200; /* many of them, so that kills hit them too */
    opts.wait_ms = 10000;     /* requests in flight keep the dead process' lock for a moment */
    if (vde_image_open(path, &opts, ret_image) != VDE_OK || lh_open(*ret_image, NULL, ret_lakehouse) != VDE_OK)
        die("open");
}

/* --- the child ----------------------------------------------------------------------------------------------------- */

static lh_lakehouse *lakehouse;
static unsigned round_number;

static uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* Distinct tables in random order. */
static unsigned choose_tables(uint64_t *random, uint32_t tables[MEMBERS_MAX])
{
    unsigned count = 1 + (unsigned)(next_random(random) % MEMBERS_MAX);
    for (unsigned i = 0; i < count;) {
        tables[i] = (uint32_t)(next_random(random) % TABLES);
        bool fresh = true;
        for (unsigned j = 0; j < i; j++)
            fresh = fresh && tables[j] != tables[i];
        i += fresh;
    }
    return count;
}

static vde_status build(lh_txn *txn, unsigned thread, uint64_t serial, const uint32_t *tables, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char name[32], file[96];
        size_t member;
        struct lh_add add = LH_ADD_INIT;
        table_name(tables[i], name);
        snprintf(file, sizeof file, "part-%u-%u-%llu.parquet", round_number, thread, (unsigned long long)serial);
        add.path = file;
        add.size_bytes = 1000;
        add.modification_time_ms = 1;
        vde_status status = lh_txn_table(txn, name, NULL, &member);
        if (status == VDE_OK)
            status = lh_txn_add_file(txn, member, &add);
        if (status != VDE_OK)
            return status;
    }
    return VDE_OK;
}

static void report(const struct lh_commit_result *result)
{
    uint64_t at = atomic_fetch_add(&shared->acks, 1);
    if (at >= ACKS_MAX)
        return;
    struct ack *ack = &shared->ack[at];
    ack->count = (uint32_t)result->count;
    for (size_t i = 0; i < result->count; i++) {
        unsigned table = 0;
        sscanf(result->tables[i].table, "t.table%u", &table);
        ack->table[i] = table;
        ack->version[i] = result->tables[i].version;
    }
    memcpy(ack->group, result->group, sizeof ack->group);
    atomic_store_explicit(&ack->ready, 1, memory_order_release);
}

static void *committer(void *argument)
{
    unsigned thread = (unsigned)(uintptr_t)argument;
    uint64_t random = round_number * 1000 + thread;
    lh_txn *txn;
    if (lh_txn_create(lakehouse, &txn) != VDE_OK)
        die("transaction");
    for (uint64_t serial = 0;; serial++) {
        uint32_t tables[MEMBERS_MAX];
        struct lh_commit_result *result = NULL;
        lh_txn_reset(txn);
        vde_status status = build(txn, thread, serial, tables, choose_tables(&random, tables));
        if (status == VDE_OK)
            status = lh_commit(txn, &result);
        if (status == VDE_OK)
            report(result);
        else if (atomic_fetch_add(&shared->failed, 1) == 0)
            fprintf(stderr, "commit: %s: %s\n", vde_last_error()->code, vde_last_error()->text);
        lh_free(result);
    }
    return NULL;
}

static void run_child(void)
{
    vde_image *image;
    pthread_t threads[THREADS];
    open_tables(&image, &lakehouse);
    for (unsigned i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, committer, (void *)(uintptr_t)i) != 0)
            die("thread");
    for (;;)
        pause();
}

/* --- the parent ---------------------------------------------------------------------------------------------------- */

static unsigned violations;

static void print_finding(void *context, const struct vde_finding *finding)
{
    (void)context;
    fprintf(stderr, "check: %s: found %s, expected %s\n", finding->object, finding->found, finding->expected);
}

static void check_image(const char *when)
{
    struct vde_check_opts opts = VDE_CHECK_OPTS_INIT;
    struct vde_check_summary summary;
    opts.finding = print_finding;
    vde_status status = VDE_BUSY;
    for (unsigned tries = 0; tries < 200 && status == VDE_BUSY; tries++) {
        status = vde_check(path, &opts, &summary);
        if (status == VDE_BUSY)
            usleep(50000);
    }
    if (status != VDE_OK)
        die("check");
    if (summary.findings) {
        fprintf(stderr, "VIOLATION %s: %llu findings\n", when, (unsigned long long)summary.findings);
        violations++;
    }
}

static void find_latest(lh_lakehouse *opened, uint64_t *latest)
{
    for (unsigned t = 0; t < TABLES; t++) {
        char name[32];
        table_name(t, name);
        if (lh_latest_version(opened, name, &latest[t]) != VDE_OK)
            die(name);
    }
}

static void verify_ack(lh_lakehouse *opened, const struct ack *ack, const uint64_t *latest)
{
    struct lh_commit_result *result = NULL;
    for (uint32_t i = 0; i < ack->count; i++)
        if (ack->version[i] > latest[ack->table[i]]) {
            fprintf(stderr, "VIOLATION acknowledged: table %u version %llu; latest is %llu\n", ack->table[i],
                    (unsigned long long)ack->version[i], (unsigned long long)latest[ack->table[i]]);
            violations++;
        }
    if (lh_group_lookup(opened, ack->group, &result) != VDE_OK || result->count != ack->count) {
        fprintf(stderr, "VIOLATION acknowledged group %s: %s\n", ack->group, vde_last_error()->text);
        violations++;
    }
    lh_free(result);
}

/* Walk the newest versions of every table back to where the round began: each version's group must have all its tables at
 * the versions it says. */
static void verify_groups(lh_lakehouse *opened, const uint64_t *latest, const uint64_t *before)
{
    for (unsigned t = 0; t < TABLES; t++) {
        char name[32];
        lh_history *history;
        struct lh_version_info info;
        uint64_t seen = 0;
        table_name(t, name);
        if (before[t] == latest[t])
            continue;
        if (lh_history_open(opened, name, before[t] + 1, latest[t], false, &history) != VDE_OK)
            die(name);
        while (lh_history_next(history, &info) == VDE_OK) {
            struct lh_commit_result *result = NULL;
            bool good = lh_group_lookup(opened, info.group, &result) == VDE_OK;
            for (size_t i = 0; good && i < result->count; i++) {
                unsigned table = TABLES;
                sscanf(result->tables[i].table, "t.table%u", &table);
                good = table < TABLES && result->tables[i].version <= latest[table];
            }
            if (!good) {
                fprintf(stderr, "VIOLATION %s version %llu: its transaction is half there\n", name,
                        (unsigned long long)info.version);
                violations++;
            }
            lh_free(result);
            seen++;
        }
        lh_history_close(history);
        if (seen != latest[t] - before[t]) {
            fprintf(stderr, "VIOLATION %s: %llu versions from %llu on; expected %llu\n", name, (unsigned long long)seen,
                    (unsigned long long)before[t] + 1, (unsigned long long)(latest[t] - before[t]));
            violations++;
        }
    }
}

static void make_image(void)
{
    struct vde_format_opts opts = VDE_FORMAT_OPTS_INIT;
    vde_image *image;
    opts.size_bytes = IMAGE_BYTES;
    opts.backend = backend;
    opts.flags = VDE_FORMAT_FORCE;
    if (vde_image_format(path, &opts) != VDE_OK)
        die("format");
    open_tables(&image, &lakehouse);
    if (lh_namespace_create(lakehouse, "t", NULL, 0) != VDE_OK)
        die("namespace");
    for (unsigned t = 0; t < TABLES; t++) {
        struct lh_create create = LH_CREATE_INIT;
        char name[32];
        table_name(t, name);
        create.schema = "id BIGINT";
        if (lh_table_create(lakehouse, name, &create, NULL) != VDE_OK)
            die(name);
    }
    lh_close(lakehouse);
    if (vde_image_close(image) != VDE_OK)
        die("close");
}

static uint64_t run_round(uint64_t *before)
{
    memset(shared, 0, sizeof *shared);
    pid_t child = fork();
    if (child == 0)
        run_child();
    uint64_t random = round_number;
    for (unsigned i = 0; i < 400 && atomic_load(&shared->acks) == 0; i++)
        usleep(5000); /* up and running */
    usleep((useconds_t)(next_random(&random) % 250000));
    for (unsigned i = 0; i < 200 && atomic_load(&shared->acks) < LEAST_AVERAGE / 2; i++)
        usleep(10000); /* a slow machine: some work has to be at stake */
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    uint64_t acks = atomic_load(&shared->acks), acknowledged = 0, latest[TABLES];
    check_image("after the kill");
    vde_image *image;
    lh_lakehouse *opened;
    open_tables(&image, &opened);
    find_latest(opened, latest);
    for (uint64_t i = 0; i < acks && i < ACKS_MAX; i++)
        if (atomic_load_explicit(&shared->ack[i].ready, memory_order_acquire)) {
            verify_ack(opened, &shared->ack[i], latest);
            acknowledged++;
        }
    verify_groups(opened, latest, before);
    memcpy(before, latest, sizeof latest);
    lh_close(opened);
    if (vde_image_close(image) != VDE_OK)
        die("close");
    check_image("after recovery");
    return acknowledged;
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : getenv("VDE_TEST_EXTENDED") ? 200 : 60;
    backend = argc > 2 ? argv[2] : NULL;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || rounds == 0)
        return 99;
    uint64_t before[TABLES] = {0}, total = 0, failed = 0;
    tmp_path(path, NULL, "kill9");
    make_image();
    for (round_number = 1; round_number <= rounds && violations == 0; round_number++) {
        total += run_round(before);
        failed += atomic_load(&shared->failed);
    }
    unsigned done = round_number - 1;
    printf("%u rounds, %llu acknowledged commits, %llu a round on average, %llu commits failed, %u violations\n", done,
           (unsigned long long)total, (unsigned long long)(total / done), (unsigned long long)failed, violations);
    bool kept = violations != 0;
    if (kept)
        printf("image kept: %s\n", path);
    else
        tmp_remove(path);
    return violations || failed || total / done < LEAST_AVERAGE;
}
