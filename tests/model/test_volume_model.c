/* SPDX-License-Identifier: Apache-2.0 */
/* Random work on volumes, their snapshots and clones, and on snapshots of the whole image, against an oracle in memory; with
 * reopening, kills, checkpoints and an image that fills up now and then.
 *
 * usage: model.volume_model [--seed FIRST] [--operations N] [--steps-per-seed N] [--steps RANGES] [--trace]
 *   --steps 1-40,52   of one seed, run only these: each step chooses by itself, so that a failure can be cut down
 * ctest: timeout=900 processors=1 */
#include <time.h>

#include "unit/pool/engine.h"
#include "volume_steps.h"

#define STEPS_PER_SEED 3000u

struct options {
    uint64_t seed, operations, steps;
    const char *ranges;
    bool trace;
};

static void start_queue(struct world *w)
{
    OK(vde_volume_queue_create(w->image, 32, &w->queue));
}

static void open_world(struct world *w)
{
    w->image = open_quiet(w->device);
    start_queue(w);
}

static void close_world(struct world *w)
{
    close_handles(w);
    vde_volume_queue_destroy(w->queue);
    OK(vde_image_close(w->image));
}

static void step_checkpoint(struct world *w)
{
    trace(w, "checkpoint");
    OK(vde_image_checkpoint(w->image));
    w->operations++;
}

static void step_reopen(struct world *w)
{
    bool kill = pick(w, 4) == 0;
    trace(w, kill ? "kill" : "reopen");
    flush_all(w);
    struct vde_device *copy = kill ? copy_device(w->device) : NULL;
    close_world(w);
    if (kill) {
        close_device(w->device);
        w->device = copy;
    }
    check_clean(w->device);
    open_world(w);
    w->operations++;
}

/* The whole image goes back; now and then to one that is not the newest. */
static void step_image_rollback(struct world *w)
{
    unsigned to = (unsigned)pick(w, IMAGE_SNAPSHOTS);
    char name[NAME_BYTES];
    if (!w->images[to].name)
        return;
    snapshot_name(w->images[to].name, name);
    trace(w, "roll the image back to %u", w->images[to].name);
    close_world(w);
    w->image = open_rolled_back(w->device, name, VDE_OPEN_DROP_NEWER);
    start_queue(w);
    for (unsigned i = 0; i < IMAGE_SNAPSHOTS; i++)
        if (w->images[i].name && w->images[i].order > w->images[to].order) {
            state_drop(&w->images[i].state);
            w->images[i].name = 0;
        }
    state_drop(&w->now);
    state_copy(&w->now, &w->images[to].state);
    for (unsigned v = 0; v < VOLUMES; v++) {
        w->dirty[v] = false;
        w->now.volumes[v].shared = true;
        w->now.volumes[v].origin = 0;
    }
    verify_state(w, w->image, &w->now, false);
    w->operations++;
}

static void step_verify(struct world *w)
{
    trace(w, "verify");
    verify_state(w, w->image, &w->now, true);
    w->operations++;
}

/* Clones of clones that are gone are freed one after the other. */
static void step_accounts(struct world *w)
{
    trace(w, "accounts");
    for (unsigned i = 0; i < 12; i++)
        OK(vde_image_checkpoint(w->image));
    verify_accounts(w);
    w->operations++;
}

static const struct {
    void (*run)(struct world *);
    unsigned weight;
} steps[] = {
    {step_write, 300}, {step_zero, 90}, {step_read, 90}, {step_flush, 30}, {step_status, 15}, {step_batch, 60},
    {step_snapshot, 24}, {step_unsnapshot, 18}, {step_image_snapshot, 6}, {step_image_unsnapshot, 5}, {step_image_rollback, 2},
    {step_clone, 9},
    {step_create, 8}, {step_delete, 6}, {step_rename, 4}, {step_resize, 10}, {step_rollback, 8}, {step_txn, 20},
    {step_read_snapshot, 8}, {step_diff, 10}, {step_handle, 6}, {step_checkpoint, 14}, {step_reopen, 4},
    {step_verify, 2}, {step_defrag, 3}, {step_accounts, 6},
};

static void make_room(struct world *w)
{
    w->needs_room = false;
    trace(w, "make room");
    for (unsigned i = 0; i < IMAGE_SNAPSHOTS; i++)
        if (w->images[i].name)
            delete_image_snapshot(w, i);
    for (unsigned n = 0; n < 3; n++)
        step_delete(w);
    for (unsigned i = 0; i < 4; i++)
        OK(vde_image_checkpoint(w->image));
}

static void step(struct world *w)
{
    unsigned sum = 0, at = 0;
    w->random = w->seed * 0x2545f4914f6cdd1du ^ w->step * 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        sum += steps[i].weight;
    for (uint64_t what = pick(w, sum); what >= steps[at].weight; at++)
        what -= steps[at].weight;
    steps[at].run(w);
    if (w->needs_room)
        make_room(w);
}

static void begin_world(struct world *w, uint64_t seed, bool traced)
{
    static const uint64_t sizes[] = {24, 48, 12, 96};
    *w = (struct world){.seed = seed, .trace = traced, .buffer = aligned_buffer(WINDOW_SECTORS * 512u)};
    w->device = memory_image(sizes[seed % 4] * MIB);
    open_world(w);
    w->kv_id = new_dataset(w->image, "keys");
    OK(vde_image_checkpoint(w->image));
    w->base_used = info_of(w->image).used_bytes;
}

/* Everything goes, and so does every block but those of catalog and stream. */
static void end_world(struct world *w)
{
    uint64_t limit = w->base_used + 64 * 4096, used = 0;
    verify_state(w, w->image, &w->now, true);
    for (unsigned i = 0; i < IMAGE_SNAPSHOTS; i++)
        if (w->images[i].name) {
            verify_image_snapshot(w, i);
            delete_image_snapshot(w, i);
        }
    for (unsigned i = 0; i < VOLUMES; i++)
        if (w->now.volumes[i].name)
            delete_volume(w, i);
    if (w->now.kv_has_snapshot)
        OK(vde_snapshot_delete(w->image, w->kv_id, "kept"));
    if (w->now.stream) {
        vde_txn *txn = begin(w->image);
        OK(vde_txn_stream_drop(txn, w->now.stream));
        commit(txn);
    }
    for (unsigned i = 0; i < 100; i++) {
        OK(vde_image_checkpoint(w->image));
        used = info_of(w->image).used_bytes;
        if (used <= limit && i > 3)
            break;
    }
    if (used > limit)
        fprintf(stderr, "seed %llu: %llu bytes are in use after everything is gone, %llu before\n",
                (unsigned long long)w->seed, (unsigned long long)used, (unsigned long long)w->base_used);
    REQUIRE(used <= limit);
    close_world(w);
    check_clean(w->device);
    close_device(w->device);
    state_drop(&w->now);
    drop_held(w, true);
    free(w->buffer);
}

static bool chosen(const char *ranges, uint64_t step)
{
    for (const char *at = ranges; at && *at;) {
        char *end;
        uint64_t first = strtoull(at, &end, 10), last = first;
        if (*end == '-')
            last = strtoull(end + 1, &end, 10);
        if (step >= first && step <= last)
            return true;
        at = *end == ',' ? end + 1 : end;
    }
    return ranges == NULL;
}

static uint64_t run_seed(uint64_t seed, const struct options *options)
{
    struct world w;
    fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
    begin_world(&w, seed, options->trace);
    for (w.step = 1; w.step <= options->steps; w.step++)
        if (chosen(options->ranges, w.step))
            step(&w);
    end_world(&w);
    printf("seed %llu: %llu operations, %llu found the image full\n", (unsigned long long)seed,
           (unsigned long long)w.operations, (unsigned long long)w.full);
    fflush(stdout);
    return w.operations;
}

static struct options parse(int argc, char **argv)
{
    struct options options = {.seed = 1, .operations = 100000, .steps = STEPS_PER_SEED};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--trace") == 0) {
            options.trace = true;
            continue;
        }
        if (strcmp(argv[i], "--seed") == 0)
            options.seed = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--operations") == 0)
            options.operations = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--steps-per-seed") == 0)
            options.steps = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--steps") == 0)
            options.ranges = value;
        else
            exit(2);
        i++;
    }
    return options;
}

int main(int argc, char **argv)
{
    struct options options = parse(argc, argv);
    uint64_t done = 0, seed = options.seed;
    time_t started = time(NULL);
    do {
        done += run_seed(seed++, &options);
    } while (done < options.operations && !options.ranges);
    printf("seeds %llu to %llu, %llu operations in %ld s: no difference\n", (unsigned long long)options.seed,
           (unsigned long long)(seed - 1), (unsigned long long)done, (long)(time(NULL) - started));
    return 0;
}
