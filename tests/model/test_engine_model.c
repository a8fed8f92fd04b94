/* SPDX-License-Identifier: Apache-2.0 */
/* Random work on a whole image against a model in memory: every kind of change, checkpoints, held views, clean closes and
 * kills. Arguments: number of seeds, first seed. ctest: timeout=900 processors=1 */
#include <time.h>

#include "engine_oracle.h"

#define STEPS 220u
#define VIEWS 3u

struct run {
    struct vde_device *device;
    vde_image *image;
    struct oracle *now, *next;
    struct {
        vde_view *view;
        struct oracle *oracle;
    } held[VIEWS];
    uint64_t random, base_used;
    uint64_t commits, refused, checkpoints, reopens, kills;
};

static uint64_t pick(struct run *run, uint64_t limit)
{
    return oracle_random(&run->random) % limit;
}

static struct value new_value(struct run *run, bool entry)
{
    static const uint32_t sizes[] = {0, 1, 40, 200, 900, 1800, 6000, 20000, 70000, 300000};
    uint64_t most = entry ? (pick(run, 12) == 0 ? 10 : 5) : pick(run, 12) == 0 ? 10 : pick(run, 4) == 0 ? 7 : 4;
    uint32_t size = sizes[pick(run, most)];
    return (struct value){true, (uint32_t)++run->next->seeds, size ? size + (uint32_t)pick(run, size) : 0};
}

static vde_status do_put(struct run *run, vde_txn *txn, unsigned slot)
{
    struct dataset *d = &run->next->datasets[slot];
    unsigned k = (unsigned)pick(run, KEYS);
    char key[KEY_BYTES];
    struct value value = new_value(run, false);
    uint8_t *bytes = value_bytes(&value);
    vde_status status = vde_txn_put(txn, d->id, key, key_text(k, key), bytes, value.size);
    free(bytes);
    if (status == VDE_OK)
        d->keys[k] = value;
    return status;
}

static vde_status do_delete(struct run *run, vde_txn *txn, unsigned slot)
{
    struct dataset *d = &run->next->datasets[slot];
    unsigned k = (unsigned)pick(run, KEYS);
    char key[KEY_BYTES];
    d->keys[k].exists = false;
    return vde_txn_delete(txn, d->id, key, key_text(k, key));
}

static vde_status do_create(struct run *run, vde_txn *txn, unsigned slot)
{
    struct dataset *d = &run->next->datasets[slot];
    char name[NAME_BYTES];
    memset(d, 0, sizeof *d);
    d->id = vde_id_reserve(run->image);
    d->exists = d->fresh = true;
    name_text(slot, name);
    return vde_txn_dataset_create(txn, d->id, name);
}

/* A snapshot shows its dataset as the transaction leaves it: filled in by seal_snapshots(). */
static vde_status do_snapshot(struct run *run, vde_txn *txn, unsigned slot)
{
    struct dataset *d = &run->next->datasets[slot];
    unsigned i = (unsigned)pick(run, SNAPSHOTS);
    if (d->snapshots[i].tag) {
        if (d->snapshots[i].fresh)
            return VDE_OK;
        uint64_t tag = d->snapshots[i].tag;
        memset(&d->snapshots[i], 0, sizeof d->snapshots[i]);
        d->snapshots[i].deleted = true; /* its tag is taken again only by a later transaction */
        return vde_txn_snapshot_delete(txn, d->id, tag);
    }
    for (unsigned s = 0; s < SNAPSHOTS; s++)
        if (d->snapshots[s].fresh) { /* a snapshot is an LSN: one a transaction */
            EXPECT(VDE_EXISTS, vde_txn_snapshot_create(txn, d->id, 77));
            return VDE_OK;
        }
    if (d->snapshots[i].deleted)
        return VDE_OK;
    d->snapshots[i].tag = 100 + i * 10 + pick(run, 2);
    d->snapshots[i].fresh = true;
    return vde_txn_snapshot_create(txn, d->id, d->snapshots[i].tag);
}

static vde_status do_append(struct run *run, vde_txn *txn, unsigned slot)
{
    struct stream *s = &run->next->streams[slot];
    if (s->id == 0) {
        *s = (struct stream){.id = vde_id_reserve(run->image), .first = pick(run, 3) * 1000};
        s->exists = true;
    }
    for (uint64_t n = pick(run, 4) == 0 ? pick(run, 30) : 1; n > 0 && s->count < ENTRIES; n--) {
        struct value value = new_value(run, true);
        uint8_t *bytes = value_bytes(&value);
        vde_status status = vde_txn_append(txn, s->id, s->first + s->count, 0, bytes, value.size);
        free(bytes);
        if (status != VDE_OK)
            return status;
        s->entries[s->count++] = value;
    }
    return VDE_OK;
}

static vde_status do_stream_drop(struct run *run, vde_txn *txn, unsigned slot)
{
    struct stream *s = &run->next->streams[slot];
    uint64_t id = s->id;
    if (id == 0)
        return VDE_OK;
    memset(s, 0, sizeof *s);
    s->dropped = id;
    return vde_txn_stream_drop(txn, id);
}

static vde_status do_file(struct run *run, vde_txn *txn, unsigned slot)
{
    struct file *f = &run->next->files[slot];
    if (f->id) {
        uint64_t id = f->id;
        if (f->fresh)
            return VDE_OK;
        *f = (struct file){.fresh = true};
        return vde_txn_file_remove(txn, id);
    }
    if (f->fresh)
        return VDE_OK;
    vde_file_writer *writer;
    struct value value = new_value(run, false);
    uint8_t *bytes = value_bytes(&value);
    vde_status status = vde_file_create(run->image, &writer);
    if (status == VDE_OK) {
        uint32_t first = value.size ? (uint32_t)pick(run, value.size) : 0;
        status = vde_file_write(writer, bytes, first);
        if (status == VDE_OK)
            status = vde_file_write(writer, bytes + first, value.size - first);
        if (status == VDE_OK)
            status = vde_file_seal(writer, txn, &f->id);
        else
            vde_file_abort(writer);
    }
    free(bytes);
    f->bytes = value;
    f->fresh = true;
    return status;
}

static vde_status do_one(struct run *run, vde_txn *txn)
{
    unsigned slot = (unsigned)pick(run, DATASETS), stream = (unsigned)pick(run, STREAMS);
    struct dataset *d = &run->next->datasets[slot];
    uint64_t what = pick(run, 100);
    if (what < 60) {
        if (d->busy)
            return VDE_OK;
        if (!d->exists)
            return do_create(run, txn, slot);
        if (what < 36)
            return do_put(run, txn, slot);
        if (what < 46)
            return do_delete(run, txn, slot);
        if (what < 58)
            return do_snapshot(run, txn, slot);
        if (d->fresh)
            return VDE_OK;
        uint64_t id = d->id;
        memset(d, 0, sizeof *d);
        d->busy = true; /* its name is free again only for a later transaction */
        return vde_txn_dataset_drop(txn, id);
    }
    if (what < 86)
        return run->next->streams[stream].busy ? VDE_OK : do_append(run, txn, stream);
    if (what < 88) {
        run->next->streams[stream].busy = true;
        return do_stream_drop(run, txn, stream);
    }
    return do_file(run, txn, (unsigned)pick(run, FILES));
}

static void step_commit(struct run *run)
{
    vde_txn *txn = begin(run->image);
    struct vde_commit done;
    memcpy(run->next, run->now, sizeof *run->next);
    oracle_begin(run->next);
    vde_status status = VDE_OK;
    for (uint64_t n = 1 + pick(run, 8); n > 0 && status == VDE_OK; n--)
        status = do_one(run, txn);
    uint64_t seeds = run->next->seeds;
    if (status == VDE_OK && vde_txn_size(txn) > info_of(run->image).record_limit_bytes) {
        EXPECT(VDE_TOO_LARGE, vde_txn_submit(txn, &done));
        status = VDE_TOO_LARGE;
    } else if (status == VDE_OK && vde_txn_size(txn) > 32) {
        status = pick(run, 3) ? vde_txn_commit(txn, &done) : vde_txn_submit(txn, &done);
        if (status == VDE_OK && done.time_us <= run->now->time_us)
            REQUIRE(!"commit times increase");
        if (status == VDE_OK) {
            oracle_seal(run->next, done.time_us, done.lsn);
            struct oracle *swap = run->now;
            run->now = run->next;
            run->next = swap;
            run->commits++;
        }
    }
    vde_txn_destroy(txn);
    run->now->seeds = seeds; /* contents are never used twice */
    if (status != VDE_OK) {
        REQUIRE(status == VDE_NOSPC || status == VDE_TOO_LARGE);
        run->refused++;
    }
}

static void settle(struct run *run)
{
    OK(vde_image_wait(run->image, run->now->lsn));
}

static void close_view(struct run *run, unsigned i)
{
    if (!run->held[i].view)
        return;
    oracle_verify(run->held[i].view, run->held[i].oracle);
    vde_view_close(run->held[i].view);
    free(run->held[i].oracle);
    run->held[i].view = NULL;
}

static void step_view(struct run *run)
{
    unsigned i = (unsigned)pick(run, VIEWS);
    if (run->held[i].view) {
        close_view(run, i);
        return;
    }
    OK(pick(run, 2) ? vde_view_open_pending(run->image, &run->held[i].view)
                    : (settle(run), vde_view_open(run->image, &run->held[i].view)));
    run->held[i].oracle = malloc(sizeof *run->now);
    memcpy(run->held[i].oracle, run->now, sizeof *run->now);
}

static void step_reopen(struct run *run, bool kill)
{
    settle(run);
    for (unsigned i = 0; i < VIEWS; i++)
        close_view(run, i);
    if (kill) {
        struct vde_device *copy = copy_device(run->device);
        OK(vde_image_close(run->image));
        close_device(run->device);
        run->device = copy;
        run->kills++;
    } else {
        OK(vde_image_close(run->image));
        check_clean(run->device);
        run->reopens++;
    }
    run->image = open_quiet(run->device);
    REQUIRE(kill || info_of(run->image).replayed_records == 0);
    vde_view *view = view_of(run->image);
    oracle_verify(view, run->now);
    vde_view_close(view);
}

static void step(struct run *run)
{
    uint64_t what = pick(run, 100);
    if (what < 80) {
        step_commit(run);
    } else if (what < 88) {
        OK(vde_image_checkpoint(run->image));
        run->checkpoints++;
    } else if (what < 94) {
        step_view(run);
    } else if (what < 96) {
        step_reopen(run, false);
    } else if (what < 98) {
        step_reopen(run, true);
    } else {
        settle(run);
        vde_view *view = view_of(run->image);
        oracle_verify(view, run->now);
        vde_view_close(view);
    }
}

/* Everything goes, and so does every block but those of the catalog. */
static void drop_everything(struct run *run)
{
    vde_txn *txn = begin(run->image);
    vde_txn_frees_space(txn);
    for (unsigned i = 0; i < DATASETS; i++)
        if (run->now->datasets[i].exists)
            OK(vde_txn_dataset_drop(txn, run->now->datasets[i].id));
    for (unsigned i = 0; i < STREAMS; i++)
        if (run->now->streams[i].id)
            OK(vde_txn_stream_drop(txn, run->now->streams[i].id));
    for (unsigned i = 0; i < FILES; i++)
        if (run->now->files[i].id)
            OK(vde_txn_file_remove(txn, run->now->files[i].id));
    if (vde_txn_size(txn) > 32)
        OK(commit_status(txn));
    else
        vde_txn_destroy(txn);
    for (unsigned i = 0; i < 3; i++)
        OK(vde_image_checkpoint(run->image));
    uint64_t used = info_of(run->image).used_bytes;
    if (used > run->base_used + 16 * 4096)
        fprintf(stderr, "%llu bytes are in use after everything was dropped, %llu before anything was made\n",
                (unsigned long long)used, (unsigned long long)run->base_used);
    REQUIRE(used <= run->base_used + 16 * 4096);
    REQUIRE(info_of(run->image).deferred_bytes <= 16 * 4096);
}

static void run_seed(uint64_t seed)
{
    struct run run = {.random = seed, .now = calloc(1, sizeof *run.now), .next = calloc(1, sizeof *run.next)};
    static const uint64_t sizes[] = {32 * MIB, 12 * MIB, 5 * MIB, 4 * MIB};
    run.device = memory_image(sizes[seed % 4]);
    run.image = open_quiet(run.device);
    run.base_used = info_of(run.image).used_bytes;
    for (unsigned i = 0; i < STEPS; i++)
        step(&run);
    step_reopen(&run, false);
    drop_everything(&run);
    close_clean(run.image, run.device);
    printf("seed %llu: %llu commits, %llu refused, %llu checkpoints, %llu clean closes, %llu kills\n",
           (unsigned long long)seed, (unsigned long long)run.commits, (unsigned long long)run.refused,
           (unsigned long long)run.checkpoints, (unsigned long long)run.reopens, (unsigned long long)run.kills);
    fflush(stdout);
    free(run.now);
    free(run.next);
}

int main(int argc, char **argv)
{
    uint64_t seeds = argc > 1 ? strtoull(argv[1], NULL, 10) : 40, first = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    time_t started = time(NULL);
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
        run_seed(seed);
    }
    printf("%llu seeds in %ld s\n", (unsigned long long)seeds, (long)(time(NULL) - started));
    return 0;
}
