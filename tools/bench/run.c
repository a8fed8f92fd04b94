/* SPDX-License-Identifier: Apache-2.0 */
/* run.c -- who is measured when. Interleaved: one operation each, the floor before every one, order drawn anew each round.
 * In turns: everyone has the machine for a while, the floor before every one. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"

enum { PROOF_COMMITS = 32, ROUNDS_MAX = 64 };

void field_add(struct field *field, struct actor *actor)
{
    if (!actor)
        return;
    if (field->count == ACTORS_MAX)
        bench_die("too many participants");
    field->actors[field->count++] = actor;
}

void field_close(struct field *field)
{
    for (unsigned i = 0; i < field->count; i++)
        actor_close(field->actors[i]);
    actor_close(field->floor);
}

static void commit_once(struct actor *actor, unsigned writer)
{
    actor->commit(actor, writer);
    if (actor->after)
        actor->after(actor, writer);
}

void field_verify(struct field *field, struct subject *subject, const struct bench_config *config)
{
    field->floor->verify(field->floor);
    for (unsigned i = 0; i < field->count; i++)
        field->actors[i]->verify(field->actors[i]);
    for (unsigned i = 0; i < field->count; i++)
        if (field->actors[i]->detach)
            field->actors[i]->detach(field->actors[i]);
    subject_reopen(subject, config);
    for (unsigned i = 0; i < field->count; i++)
        field->actors[i]->verify(field->actors[i]);
}

/* --- interleaved -------------------------------------------------------------------------------------------------------- */
static void timed(struct actor *actor, struct samples *samples)
{
    double cpu = bench_thread_cpu(), begun = bench_now();
    actor->commit(actor, 0);
    double ended = bench_now();
    samples_add(samples, ended - begun, bench_thread_cpu() - cpu);
    if (actor->after)
        actor->after(actor, 0);
}

static void add_latency_row(json_t *result, const char *name, struct samples *samples, double floor_p50)
{
    json_t *row = report_row(result, name);
    json_object_set_new(row, "count", json_integer((json_int_t)samples->count));
    json_object_set_new(row, "p50_us", json_real(samples_at(samples, 0.5) * 1e6));
    json_object_set_new(row, "p99_us", json_real(samples_at(samples, 0.99) * 1e6));
    json_object_set_new(row, "p999_us", json_real(samples_at(samples, 0.999) * 1e6));
    json_object_set_new(row, "max_us", json_real(samples_at(samples, 1) * 1e6));
    json_object_set_new(row, "cpu_us", json_real(samples->cpu / (double)samples->count * 1e6));
    json_object_set_new(row, "ratio", json_real(samples_at(samples, 0.5) / floor_p50));
}

void interleave(const struct bench_config *config, struct field *field, json_t *result)
{
    struct samples floor = {0}, samples[ACTORS_MAX] = {{0}};
    unsigned order[ACTORS_MAX];
    uint64_t draw = bench_mix(config->seed ^ config->run);
    struct noise noise;
    for (unsigned i = 0; i < field->count; i++)
        order[i] = i;
    noise_begin(&noise);
    for (uint64_t round = 0; round < config->ops; round++) {
        for (unsigned i = field->count; i > 1; i--) {
            draw = bench_mix(draw);
            unsigned other = (unsigned)(draw % i), kept = order[i - 1];
            order[i - 1] = order[other];
            order[other] = kept;
        }
        for (unsigned i = 0; i < field->count; i++) {
            timed(field->floor, &floor);
            timed(field->actors[order[i]], &samples[order[i]]);
        }
    }
    json_object_set_new(result, "noise", noise_end(&noise));
    double floor_p50 = samples_at(&floor, 0.5);
    add_latency_row(result, "floor", &floor, floor_p50);
    for (unsigned i = 0; i < field->count; i++) {
        add_latency_row(result, field->actors[i]->name, &samples[i], floor_p50);
        samples_free(&samples[i]);
    }
    samples_free(&floor);
}

/* --- in turns ------------------------------------------------------------------------------------------------------------ */
struct tally {
    struct samples latency;
    double rate[ROUNDS_MAX], ratio[ROUNDS_MAX];
    double cpu, commits;
    uint64_t *totals; /* per table */
};

bool worker_stopped(const struct worker *worker)
{
    return __atomic_load_n(worker->stop, __ATOMIC_RELAXED);
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct actor *actor = worker->actor;
    if (actor->loop) {
        actor->loop(actor, worker);
        return NULL;
    }
    while (!worker_stopped(worker)) {
        double begun = bench_now();
        actor->commit(actor, worker->index);
        samples_add(&worker->latency, bench_now() - begun, 0);
        if (actor->after)
            actor->after(actor, worker->index);
    }
    return NULL;
}

static uint64_t total_commits(const struct actor *actor)
{
    uint64_t total = 0;
    for (unsigned table = 0; table < actor->tables; table++)
        total += actor->commits[table];
    return total;
}

static void sleep_for(double seconds)
{
    struct timespec time = {.tv_sec = (time_t)seconds};
    time.tv_nsec = (long)((seconds - (double)time.tv_sec) * 1e9);
    nanosleep(&time, NULL);
}

/* Commits per second. */
static double take_turn(struct actor *actor, unsigned threads, double seconds, struct tally *tally)
{
    struct worker *workers = bench_alloc(threads * sizeof *workers);
    pthread_t *ids = bench_alloc(threads * sizeof *ids);
    bool stop = false;
    uint64_t before = total_commits(actor);
    double cpu = bench_process_cpu(), begun = bench_now();
    for (unsigned i = 0; i < threads; i++) {
        workers[i] = (struct worker){.actor = actor, .index = i, .stop = &stop};
        if (pthread_create(&ids[i], NULL, work, &workers[i]) != 0)
            bench_die("no thread");
    }
    sleep_for(seconds);
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    double elapsed = bench_now() - begun, commits = (double)(total_commits(actor) - before);
    tally->cpu += bench_process_cpu() - cpu;
    tally->commits += commits;
    for (unsigned i = 0; i < threads; i++) {
        samples_append(&tally->latency, &workers[i].latency);
        samples_free(&workers[i].latency);
    }
    free(workers);
    free(ids);
    return commits / elapsed;
}

void field_prove(struct field *field)
{
    for (unsigned i = 0; i < field->count; i++) {
        struct actor *actor = field->actors[i];
        struct tally tally = {0};
        for (unsigned n = 0; !actor->loop && n < PROOF_COMMITS; n++)
            commit_once(actor, 0);
        if (actor->loop)
            (void)take_turn(actor, actor->threads, 0.05, &tally);
        samples_free(&tally.latency);
        actor->verify(actor);
    }
    for (unsigned n = 0; n < PROOF_COMMITS; n++)
        commit_once(field->floor, 0);
    field->floor->verify(field->floor);
}

/* The slowest table's commits over the mean. */
static double fairness(const struct actor *actor, const uint64_t *start)
{
    uint64_t least = UINT64_MAX, total = 0;
    for (unsigned table = 0; table < actor->tables; table++) {
        uint64_t made = actor->commits[table] - start[table];
        least = made < least ? made : least;
        total += made;
    }
    return total ? (double)least * actor->tables / (double)total : 0;
}

static void add_rate_row(json_t *result, const char *name, struct tally *tally, unsigned rounds, double fair)
{
    json_t *row = report_row(result, name), *ratios = json_array();
    json_object_set_new(row, "count", json_integer((json_int_t)tally->commits));
    json_object_set_new(row, "per_second", json_real(bench_median(tally->rate, rounds)));
    json_object_set_new(row, "p50_us", json_real(samples_at(&tally->latency, 0.5) * 1e6));
    json_object_set_new(row, "p99_us", json_real(samples_at(&tally->latency, 0.99) * 1e6));
    json_object_set_new(row, "p999_us", json_real(samples_at(&tally->latency, 0.999) * 1e6));
    json_object_set_new(row, "max_us", json_real(samples_at(&tally->latency, 1) * 1e6));
    json_object_set_new(row, "cpu_us", json_real(tally->cpu / tally->commits * 1e6));
    json_object_set_new(row, "ratio", json_real(bench_median(tally->ratio, rounds)));
    for (unsigned round = 0; round < rounds; round++)
        json_array_append_new(ratios, json_real(tally->ratio[round]));
    json_object_set_new(row, "ratios", ratios);
    if (fair >= 0)
        json_object_set_new(row, "fairness", json_real(fair));
    samples_free(&tally->latency);
    free(tally->totals);
}

void turns(const struct bench_config *config, struct field *field, struct subject *subject, json_t *result)
{
    struct tally floor = {0}, *tallies = bench_alloc(ACTORS_MAX * sizeof *tallies);
    unsigned rounds = config->rounds < ROUNDS_MAX ? config->rounds : ROUNDS_MAX;
    struct vde_image_counters before, after;
    struct noise noise;
    for (unsigned i = 0; i < field->count; i++) {
        struct actor *actor = field->actors[i];
        tallies[i].totals = bench_alloc(actor->tables * sizeof *tallies[i].totals);
        memcpy(tallies[i].totals, actor->commits, actor->tables * sizeof *tallies[i].totals);
    }
    noise_begin(&noise);
    vde_image_counters(subject->image, &before);
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < field->count; i++) {
            unsigned which = (i + round) % field->count;
            struct tally *tally = &tallies[which];
            double base = take_turn(field->floor, 1, 0.4, &floor);
            floor.rate[round] = base;
            floor.ratio[round] = 1;
            tally->rate[round] = take_turn(field->actors[which], field->actors[which]->threads, config->seconds, tally);
            tally->ratio[round] = tally->rate[round] / base;
        }
    }
    vde_image_counters(subject->image, &after);
    json_object_set_new(result, "noise", noise_end(&noise));
    json_object_set_new(result, "image", subject_counters(&before, &after));
    add_rate_row(result, "floor", &floor, rounds, -1);
    for (unsigned i = 0; i < field->count; i++)
        add_rate_row(result, field->actors[i]->name, &tallies[i], rounds,
                     fairness(field->actors[i], tallies[i].totals));
    free(tallies);
}
