/* SPDX-License-Identifier: Apache-2.0 */
/* Sixteen threads on one image: transfers between accounts, streams, snapshots, files, datasets and checkpoints, while
 * readers check that every view is whole. Argument: seconds (10). */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "unit/pool/engine.h"

#define ACCOUNTS 64u
#define START 1000u
#define WRITERS 6u
#define SNAPSHOTS_KEPT 4u

struct shared {
    vde_image *image;
    uint64_t accounts, race, streams[WRITERS];
    pthread_mutex_t transfer; /* the caller's own lock: read and submit are one step */
    atomic_bool stop;
    atomic_uint_least64_t done[6];
};

struct worker {
    struct shared *shared;
    unsigned number;
    uint64_t random;
    pthread_t thread;
};

static uint64_t pick(struct worker *w, uint64_t limit)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random % limit;
}

static uint64_t balance(vde_kv *kv, unsigned account)
{
    struct vde_bytes bytes;
    uint64_t value;
    char key[8];
    snprintf(key, sizeof key, "%03u", account);
    OK(vde_kv_get(kv, key, 3, &bytes));
    REQUIRE(bytes.size == sizeof value);
    memcpy(&value, bytes.data, sizeof value);
    vde_bytes_free(&bytes);
    return value;
}

static void set_balance(vde_txn *txn, uint64_t dataset, unsigned account, uint64_t value)
{
    char key[8];
    snprintf(key, sizeof key, "%03u", account);
    OK(vde_txn_put(txn, dataset, key, 3, &value, sizeof value));
}

static void require_whole(vde_kv *kv)
{
    vde_cursor *cursor;
    const void *key, *value;
    size_t key_size, size;
    uint64_t sum = 0, one;
    unsigned count = 0;
    OK(vde_cursor_open(kv, NULL, 0, &cursor));
    while (vde_cursor_get(cursor, &key, &key_size, &value, &size) == VDE_OK) {
        memcpy(&one, value, sizeof one);
        sum += one;
        count++;
        OK(vde_cursor_next(cursor));
    }
    vde_cursor_close(cursor);
    REQUIRE(count == ACCOUNTS);
    REQUIRE(sum == (uint64_t)ACCOUNTS * START);
}

/* An entry to the stream that all writers want: one of them gets each number. */
static void race_for_number(struct worker *w)
{
    struct shared *s = w->shared;
    uint64_t first, last = 0;
    vde_view *view = view_of(s->image);
    vde_status status = vde_stream_range(view, s->race, &first, &last);
    vde_view_close(view);
    vde_txn *txn = begin(s->image);
    OK(vde_txn_append(txn, s->race, status == VDE_OK ? last + 1 : 0, 0, &w->number, sizeof w->number));
    status = commit_status(txn);
    REQUIRE(status == VDE_OK || status == VDE_EXISTS || status == VDE_NOSPC);
}

static void *write_transfers(void *argument)
{
    struct worker *w = argument;
    struct shared *s = w->shared;
    for (uint64_t n = 0; !atomic_load(&s->stop);) {
        unsigned from = (unsigned)pick(w, ACCOUNTS), to = (unsigned)pick(w, ACCOUNTS);
        uint64_t amount = pick(w, 10);
        struct vde_commit done;
        vde_view *view;
        vde_kv *kv;
        vde_txn *txn = begin(s->image);
        uint8_t entry[300];
        fill_bytes(entry, sizeof entry, n);
        OK(vde_txn_append(txn, s->streams[w->number], n, 0, entry, n % sizeof entry));
        pthread_mutex_lock(&s->transfer);
        OK(vde_view_open_pending(s->image, &view));
        OK(vde_kv_open(view, s->accounts, &kv));
        uint64_t a = balance(kv, from), b = balance(kv, to);
        vde_kv_close(kv);
        vde_view_close(view);
        if (from != to && a >= amount) {
            set_balance(txn, s->accounts, from, a - amount);
            set_balance(txn, s->accounts, to, b + amount);
        }
        vde_status status = vde_txn_submit(txn, &done);
        pthread_mutex_unlock(&s->transfer);
        REQUIRE(status == VDE_OK || status == VDE_NOSPC);
        if (status == VDE_OK) {
            OK(vde_image_wait(s->image, done.lsn));
            n++;
            atomic_fetch_add(&s->done[0], 1);
        }
        vde_txn_destroy(txn);
        if (n % 8 == 0)
            race_for_number(w);
    }
    return NULL;
}

static void read_stream(vde_view *view, uint64_t stream, uint64_t from)
{
    vde_stream_cursor *cursor;
    struct vde_entry entry;
    uint64_t last_time = 0;
    uint8_t expected[300];
    OK(vde_stream_open(view, stream, from, &cursor));
    for (uint64_t n = from; vde_stream_next(cursor, &entry) == VDE_OK; n++) {
        REQUIRE(entry.number == n && entry.lsn <= vde_view_lsn(view) && entry.time_us >= last_time);
        fill_bytes(expected, sizeof expected, n);
        REQUIRE(entry.size == n % sizeof expected);
        REQUIRE(entry.size == 0 || memcmp(entry.data, expected, entry.size) == 0);
        last_time = entry.time_us;
    }
    vde_stream_close(cursor);
}

static void *read_views(void *argument)
{
    struct worker *w = argument;
    struct shared *s = w->shared;
    uint64_t newest[WRITERS] = {0};
    while (!atomic_load(&s->stop)) {
        vde_view *view = view_of(s->image);
        vde_kv *kv;
        for (unsigned pass = 0; pass < 2; pass++) {
            OK(vde_kv_open(view, s->accounts, &kv));
            require_whole(kv);
            vde_kv_close(kv);
            unsigned i = (unsigned)pick(w, WRITERS);
            uint64_t first, last;
            if (vde_stream_range(view, s->streams[i], &first, &last) == VDE_OK) {
                REQUIRE(first == 0 && last >= newest[i]);
                newest[i] = last;
                read_stream(view, s->streams[i], last > 200 ? last - 200 : 0);
            }
        }
        vde_view_close(view);
        atomic_fetch_add(&s->done[1], 1);
    }
    return NULL;
}

static void *make_snapshots(void *argument)
{
    struct worker *w = argument;
    struct shared *s = w->shared;
    uint64_t base = (uint64_t)(w->number + 1) << 32, made = 0, gone = 0;
    while (!atomic_load(&s->stop)) {
        snapshot(s->image, s->accounts, base + ++made);
        vde_view *view = view_of(s->image);
        for (uint64_t tag = gone + 1; tag <= made; tag++) {
            vde_kv *kv;
            OK(vde_kv_open_snapshot(view, s->accounts, base + tag, &kv));
            require_whole(kv);
            vde_kv_close(kv);
        }
        vde_view_close(view);
        if (made - gone > SNAPSHOTS_KEPT)
            unsnapshot(s->image, s->accounts, base + ++gone);
        atomic_fetch_add(&s->done[2], 1);
    }
    while (gone < made)
        unsnapshot(s->image, s->accounts, base + ++gone);
    return NULL;
}

static void *keep_files(void *argument)
{
    struct worker *w = argument;
    struct shared *s = w->shared;
    for (uint64_t n = 0; !atomic_load(&s->stop); n++) {
        size_t size = (size_t)pick(w, 300000);
        uint64_t file = write_file(s->image, size, n * 2 + w->number);
        REQUIRE(file_is(s->image, file, size, n * 2 + w->number));
        remove_file(s->image, file);
        atomic_fetch_add(&s->done[3], 1);
    }
    return NULL;
}

static void *make_checkpoints(void *argument)
{
    struct worker *w = argument;
    while (!atomic_load(&w->shared->stop)) {
        struct vde_image_info info;
        OK(vde_image_checkpoint(w->shared->image));
        vde_image_info(w->shared->image, &info);
        REQUIRE(info.durable_lsn >= info.checkpoint_lsn && !info.poisoned);
        atomic_fetch_add(&w->shared->done[4], 1);
        usleep((useconds_t)pick(w, 20000));
    }
    return NULL;
}

static void *make_datasets(void *argument)
{
    struct worker *w = argument;
    struct shared *s = w->shared;
    for (uint64_t n = 0; !atomic_load(&s->stop); n++) {
        uint64_t found, id = new_dataset(s->image, "temporary");
        OK(put_seed(s->image, id, "small", 100, n));
        OK(put_seed(s->image, id, "large", 100000, n));
        OK(find_name(s->image, "temporary", &found));
        REQUIRE(found == id && has_seed(s->image, id, 0, "large", 100000, n));
        OK(drop_dataset_status(s->image, id));
        EXPECT(VDE_NOT_FOUND, find_name(s->image, "temporary", &found));
        atomic_fetch_add(&s->done[5], 1);
    }
    return NULL;
}

static void prepare(struct shared *s)
{
    s->accounts = new_dataset(s->image, "accounts");
    s->race = vde_id_reserve(s->image);
    vde_txn *txn = begin(s->image);
    for (unsigned i = 0; i < ACCOUNTS; i++)
        set_balance(txn, s->accounts, i, START);
    commit(txn);
    for (unsigned i = 0; i < WRITERS; i++)
        s->streams[i] = vde_id_reserve(s->image);
}

int main(int argc, char **argv)
{
    unsigned seconds = argc > 1 ? (unsigned)atoi(argv[1]) : 10;
    static const struct {
        void *(*run)(void *);
        unsigned count;
    } kinds[] = {{write_transfers, WRITERS}, {read_views, 4}, {make_snapshots, 2},
                 {keep_files, 2},            {make_checkpoints, 1}, {make_datasets, 1}};
    static struct shared s = {.transfer = PTHREAD_MUTEX_INITIALIZER};
    static struct worker workers[16];
    struct vde_device *device = memory_image(128 * MIB);
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    unsigned count = 0;
    opts.checkpoint_ms = 300;
    OK(vde_image_open_device(device, &opts, &s.image));
    prepare(&s);
    for (unsigned k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
        for (unsigned i = 0; i < kinds[k].count; i++, count++) {
            workers[count] = (struct worker){.shared = &s, .number = i, .random = 88172645463325252u + count * 977u};
            REQUIRE(pthread_create(&workers[count].thread, NULL, kinds[k].run, &workers[count]) == 0);
        }
    sleep(seconds);
    atomic_store(&s.stop, true);
    for (unsigned i = 0; i < count; i++)
        pthread_join(workers[i].thread, NULL);
    s.image = reopen(s.image, device);
    vde_view *view = view_of(s.image);
    vde_kv *kv;
    OK(vde_kv_open(view, s.accounts, &kv));
    require_whole(kv);
    vde_kv_close(kv);
    for (unsigned i = 0; i < WRITERS; i++)
        read_stream(view, s.streams[i], 0);
    vde_view_close(view);
    close_clean(s.image, device);
    static const char *const names[] = {"transfers", "views", "snapshots", "files", "checkpoints", "datasets"};
    for (unsigned i = 0; i < 6; i++) {
        printf("%llu %s%s", (unsigned long long)atomic_load(&s.done[i]), names[i], i < 5 ? ", " : "\n");
        REQUIRE(atomic_load(&s.done[i]) > 0);
    }
    return 0;
}
