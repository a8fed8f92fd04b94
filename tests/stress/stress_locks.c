/* SPDX-License-Identifier: Apache-2.0 */
/* stress_locks.c -- 16 threads commit to random sets of 1 to 8 of 32 tables, named in random order, for so many seconds as
 * the first argument says, and until each has made its 1 000 commits (or what the second says). Each adds a file per table
 * and now and then removes the one it added before. Afterwards every table's log is compared with what was acknowledged,
 * and the longest wait for locks is printed. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <lakehouse/all.h>
#include <vde/vde.h>

#define TABLES 32u
#define THREADS 16u
#define SET_MAX 8u

static lh_lakehouse *lakehouse;
static atomic_ullong acknowledged[TABLES];
static atomic_ullong active[TABLES];
static atomic_bool stop;
static unsigned least = 1000;

struct worker {
    pthread_t thread;
    unsigned number;
    uint64_t state;
    atomic_ullong commits;
    char last[TABLES][64]; /* path added last, "" when there is none */
};

static void die(const char *what)
{
    fprintf(stderr, "%s: %s (%s)\n", what, vde_last_error()->text, vde_last_error()->code);
    exit(1);
}

static uint64_t draw(struct worker *w, uint64_t below)
{
    w->state ^= w->state << 13;
    w->state ^= w->state >> 7;
    w->state ^= w->state << 17;
    return w->state % below;
}

static void commit_once(struct worker *w, lh_txn *txn)
{
    unsigned order[TABLES];
    size_t count = 1 + draw(w, SET_MAX);
    bool removes[SET_MAX];
    for (unsigned i = 0; i < TABLES; i++)
        order[i] = i;
    lh_txn_reset(txn);
    for (size_t i = 0; i < count; i++) {
        size_t with = i + draw(w, TABLES - i), member;
        unsigned swap = order[i];
        char name[32], path[64];
        struct lh_add add = LH_ADD_INIT;
        order[i] = order[with];
        order[with] = swap;
        snprintf(name, sizeof name, "ns.t%u", order[i]);
        snprintf(path, sizeof path, "%u-%llu.parquet", w->number, (unsigned long long)atomic_load(&w->commits));
        add.path = path;
        add.size_bytes = 1;
        if (lh_txn_table(txn, name, NULL, &member) || lh_txn_add_file(txn, member, &add))
            die("build");
        removes[i] = w->last[order[i]][0] && draw(w, 16) == 0;
        if (removes[i] && lh_txn_remove_file(txn, member, w->last[order[i]], false))
            die("build");
        snprintf(w->last[order[i]], sizeof w->last[order[i]], "%s", path);
    }
    if (lh_commit(txn, NULL))
        die("commit");
    for (size_t i = 0; i < count; i++) {
        atomic_fetch_add(&acknowledged[order[i]], 1);
        atomic_fetch_add(&active[order[i]], removes[i] ? 0 : 1);
    }
    atomic_fetch_add(&w->commits, 1);
}

static void *work(void *context)
{
    struct worker *w = context;
    lh_txn *txn = NULL;
    if (lh_txn_create(lakehouse, &txn))
        die("transaction");
    while (!atomic_load(&stop) || atomic_load(&w->commits) < least)
        commit_once(w, txn);
    lh_txn_destroy(txn);
    return NULL;
}

static void check_tables(void)
{
    for (unsigned i = 0; i < TABLES; i++) {
        char name[32];
        uint64_t version;
        struct lh_table_info *info = NULL;
        snprintf(name, sizeof name, "ns.t%u", i);
        if (lh_latest_version(lakehouse, name, &version) || lh_table_describe(lakehouse, name, &info))
            die("check");
        if (version != atomic_load(&acknowledged[i]) || info->files != atomic_load(&active[i])) {
            fprintf(stderr, "%s: version %llu, %llu files, %llu acknowledged\n", name, (unsigned long long)version,
                    (unsigned long long)info->files, (unsigned long long)atomic_load(&acknowledged[i]));
            exit(1);
        }
        lh_free(info);
    }
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 60;
    struct vde_device *device = NULL;
    vde_image *image = NULL;
    struct vde_format_opts format = VDE_FORMAT_OPTS_INIT;
    struct vde_open_opts open = VDE_OPEN_OPTS_INIT;
    struct worker workers[THREADS];
    if (argc > 2)
        least = (unsigned)atoi(argv[2]);
    if (vde_device_memory(4ull << 30, &device) || vde_image_format_device(device, &format) ||
        vde_image_open_device(device, &open, &image) || lh_open(image, NULL, &lakehouse) ||
        lh_namespace_create(lakehouse, "ns", NULL, 0))
        die("set up");
    for (unsigned i = 0; i < TABLES; i++) {
        char name[32];
        struct lh_create create = LH_CREATE_INIT;
        create.schema = "id BIGINT";
        snprintf(name, sizeof name, "ns.t%u", i);
        if (lh_table_create(lakehouse, name, &create, NULL))
            die("create");
    }
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].number = i;
        workers[i].state = 0x9e3779b97f4a7c15u * (i + 1);
        atomic_init(&workers[i].commits, 0);
        memset(workers[i].last, 0, sizeof workers[i].last);
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
            die("thread");
    }
    struct timespec pause = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&pause, NULL);
    atomic_store(&stop, true);
    unsigned long long total = 0, fewest = ~0ull;
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        unsigned long long commits = atomic_load(&workers[i].commits);
        total += commits;
        fewest = commits < fewest ? commits : fewest;
    }
    check_tables();
    struct lh_stats stats;
    if (lh_get_stats(lakehouse, &stats))
        die("stats");
    printf("%llu commits, at least %llu a thread, longest wait for locks %llu us, %llu roots written, %llu failed\n", total,
           fewest, (unsigned long long)stats.lock_wait_max_us, (unsigned long long)stats.states_written,
           (unsigned long long)stats.state_failures);
    lh_close(lakehouse);
    if (vde_image_close(image))
        die("close");
    device->ops->close(device);
    return 0;
}
