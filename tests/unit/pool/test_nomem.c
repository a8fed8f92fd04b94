/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that runs out: the n-th allocation of a piece of work fails, for every n. Each call succeeds or says so, what
 * was acknowledged is there afterwards, and nothing leaks, neither memory nor blocks. */
#include <criterion/criterion.h>

#include "unit/pool/engine.h"

/* Definitions in a program come before those of the libraries it is linked with, so the engine's calls end here. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void *__interceptor_malloc(size_t size) __attribute__((weak));
extern void *__interceptor_calloc(size_t count, size_t size) __attribute__((weak));
extern void *__interceptor_realloc(void *old, size_t size) __attribute__((weak));
extern void *__interceptor_aligned_alloc(size_t alignment, size_t size) __attribute__((weak));

static long countdown; /* 0: nothing fails */
static bool counting;
static long counted;

static bool fails(void)
{
    if (!counting)
        return false;
    counted++;
    return countdown > 0 && --countdown == 0;
}

void *malloc(size_t size)
{
    if (fails())
        return NULL;
    return __interceptor_malloc ? __interceptor_malloc(size) : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    if (fails())
        return NULL;
    return __interceptor_calloc ? __interceptor_calloc(count, size) : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    if (fails())
        return NULL;
    return __interceptor_realloc ? __interceptor_realloc(old, size) : __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    if (fails())
        return NULL;
    return __interceptor_aligned_alloc ? __interceptor_aligned_alloc(alignment, size) : __libc_memalign(alignment, size);
}

struct work {
    struct vde_device *device;
    vde_image *image;
    uint64_t dataset, stream, file, born, entries;
    bool small, large, with_file, snapshot, created;
    unsigned failures;
};

static bool went(struct work *w, vde_status status)
{
    if (status == VDE_OK)
        return true;
    w->failures++;
    REQUIRE(status == VDE_NOMEM || status == VDE_POISONED || status == VDE_COMMIT_UNKNOWN);
    return false;
}

static uint8_t bytes[150000];

static vde_status finish(vde_txn *txn, vde_status status)
{
    struct vde_commit commit;
    if (status == VDE_OK)
        status = vde_txn_commit(txn, &commit);
    vde_txn_destroy(txn);
    return status;
}

static void change(struct work *w)
{
    vde_txn *txn;
    if (went(w, vde_txn_create(w->image, &txn)))
        w->small |= went(w, finish(txn, vde_txn_put(txn, w->dataset, "small", 5, bytes, 100)));
    if (went(w, vde_txn_create(w->image, &txn)))
        w->large |= went(w, finish(txn, vde_txn_put(txn, w->dataset, "large", 5, bytes, sizeof bytes)));
    if (went(w, vde_txn_create(w->image, &txn)))
        w->snapshot |= went(w, finish(txn, vde_txn_snapshot_create(txn, w->dataset, 3)));
    for (unsigned i = 0; i < 2; i++)
        if (went(w, vde_txn_create(w->image, &txn)))
            w->entries += went(w, finish(txn, vde_txn_append(txn, w->stream, w->entries, 0, bytes, i ? 90000 : 50)));
    if (went(w, vde_txn_create(w->image, &txn))) {
        w->born = vde_id_reserve(w->image);
        w->created |= went(w, finish(txn, vde_txn_dataset_create(txn, w->born, "born")));
    }
}

static void write_one(struct work *w)
{
    vde_file_writer *writer;
    vde_txn *txn;
    uint64_t file = 0;
    if (!went(w, vde_file_create(w->image, &writer)))
        return;
    if (!went(w, vde_file_write(writer, bytes, sizeof bytes))) {
        vde_file_abort(writer);
        return;
    }
    if (!went(w, vde_txn_create(w->image, &txn))) {
        vde_file_abort(writer);
        return;
    }
    if (went(w, finish(txn, vde_file_seal(writer, txn, &file)))) {
        w->file = file;
        w->with_file = true;
    }
}

static void read_some(struct work *w)
{
    vde_view *view;
    vde_kv *kv;
    vde_cursor *cursor;
    vde_stream_cursor *stream;
    struct vde_entry entry;
    struct vde_bytes value;
    if (!went(w, vde_view_open(w->image, &view)))
        return;
    if (went(w, vde_kv_open(view, w->dataset, &kv))) {
        if (w->large && went(w, vde_kv_get(kv, "large", 5, &value)))
            vde_bytes_free(&value);
        if (went(w, vde_cursor_open(kv, NULL, 0, &cursor)))
            vde_cursor_close(cursor);
        vde_kv_close(kv);
    }
    if (went(w, vde_stream_open(view, w->stream, 0, &stream))) {
        for (uint64_t i = 0; i < w->entries; i++)
            if (!went(w, vde_stream_next(stream, &entry)))
                break;
        vde_stream_close(stream);
    }
    vde_view_close(view);
}

static void expect_acknowledged(struct work *w)
{
    if (w->small)
        cr_assert(has_seed(w->image, w->dataset, 0, "small", 100, 1));
    if (w->large)
        cr_assert(has_seed(w->image, w->dataset, 0, "large", sizeof bytes, 1));
    if (w->large && w->snapshot)
        cr_assert(has_seed(w->image, w->dataset, 3, "large", sizeof bytes, 1));
    if (w->with_file)
        cr_assert(file_is(w->image, w->file, sizeof bytes, 1));
    if (w->entries)
        cr_assert(stream_is(w->image, w->stream, 0, w->entries - 1));
    uint64_t found;
    if (w->created)
        cr_assert(find_name(w->image, "born", &found) == VDE_OK && found == w->born);
}

/* Returns false when fewer than n allocations are made. */
static bool run(struct vde_device *fresh, uint64_t dataset, uint64_t stream, long n)
{
    struct work w = {.dataset = dataset, .stream = stream};
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    OK(simulated_clone(fresh, &w.device));
    opts.flags = VDE_OPEN_NO_THREADS;
    counted = 0;
    countdown = n;
    counting = true;
    if (!went(&w, vde_image_open_device(w.device, &opts, &w.image))) {
        counting = false;
        OK(vde_image_open_device(w.device, &opts, &w.image));
        counting = true;
    }
    change(&w);
    went(&w, vde_image_checkpoint(w.image));
    write_one(&w);
    read_some(&w);
    went(&w, vde_image_checkpoint(w.image));
    read_some(&w);
    vde_status closed = vde_image_close(w.image);
    counting = false;
    went(&w, closed);
    bool reached = counted >= n;
    w.image = open_quiet(w.device);
    expect_acknowledged(&w);
    close_clean(w.image, w.device);
    return reached;
}

Test(nomem, every_allocation_may_fail, .timeout = 170)
{
    struct vde_device *fresh = simulated_image(4 * MIB, 1);
    vde_image *image = open_quiet(fresh);
    uint64_t d = new_dataset(image, "d"), s = vde_id_reserve(image);
    fill_bytes(bytes, sizeof bytes, 1);
    OK(put_seed(image, d, "other", 3000, 2));
    OK(vde_image_close(image));
    long n = 1;
    while (run(fresh, d, s, n))
        n++;
    cr_assert_gt(n, 50, "only %ld allocations were seen", n);
    fprintf(stderr, "%ld allocations failed one at a time\n", n - 1);
    close_device(fresh);
}
