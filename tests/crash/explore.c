/* SPDX-License-Identifier: Apache-2.0 */
/* explore.c -- run every sequence, collect its crash images, count. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "explore_internal.h"

static uint64_t splitmix(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

uint64_t explore_random(struct explorer *e)
{
    return splitmix(&e->random);
}

static uint64_t env_now(void *context)
{
    static uint64_t now = 1700000000000000u;
    (void)context;
    return now += 1000;
}

static void env_random(void *context, void *buffer, size_t size)
{
    static uint64_t state = 42;
    (void)context;
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)buffer)[i] = (uint8_t)splitmix(&state);
}

const struct vde_env explore_env = {env_now, env_random, NULL};

static void die(const char *what)
{
    fprintf(stderr, "%s: %s: %s\n", what, vde_last_error()->code, vde_last_error()->text);
    exit(99);
}

/* The image that every sequence starts from. */
static struct vde_device *make_base(const struct subject *s, unsigned flags, void *model)
{
    struct vde_device *device;
    struct vde_format_opts opts = VDE_FORMAT_OPTS_INIT;
    opts.env = &explore_env;
    void *handle;
    if (simulated_create(s->image_bytes, 1, flags, &device) != VDE_OK ||
        vde_image_format_device(device, &opts) != VDE_OK || s->open(device, &handle) != VDE_OK)
        die("base image");
    if (s->setup(handle, model) != VDE_OK || s->close(handle) != VDE_OK)
        die("base state");
    return device;
}

/* Do operation `i`, which makes the next state; only its being durable makes the ones before illegal. */
static vde_status run_one(struct explorer *e, void **handle, struct tap *tap, unsigned i)
{
    memcpy(e->states[i + 1], e->states[i], e->subject->model_size);
    e->newest = i + 1;
    return e->subject->apply(handle, &tap->device, e->states[i + 1], e->kinds[i], i);
}

static void completed(struct explorer *e, unsigned i)
{
    if (!e->subject->durable || e->subject->durable(e->kinds[i]))
        e->oldest = i + 1;
}

/* The operations ahead of the last one; false when one of them does nothing in its state. */
static bool run_prefix(struct explorer *e, void **handle, struct tap *tap)
{
    const struct subject *s = e->subject;
    for (unsigned i = 0; i + 1 < e->length; i++) {
        if (!s->enabled(e->states[i], e->kinds[i]))
            return false;
        if (run_one(e, handle, tap, i) != VDE_OK) {
            explore_violation(e, 0, 0, "an operation failed", vde_last_error()->text);
            return false;
        }
        completed(e, i);
    }
    return s->enabled(e->states[e->length - 1], e->kinds[e->length - 1]);
}

static void run_sequence(struct explorer *e, struct vde_device *base, const void *base_model)
{
    const struct subject *s = e->subject;
    struct vde_device *device;
    struct tap tap;
    void *handle;
    memcpy(e->states[0], base_model, s->model_size);
    e->oldest = e->newest = 0;
    if (simulated_clone(base, &device) != VDE_OK)
        die("clone");
    tap_init(&tap, device);
    if (s->open(&tap.device, &handle) != VDE_OK)
        die("open of the base image");
    if (run_prefix(e, &handle, &tap)) {
        unsigned kind = e->kinds[e->length - 1], previous = e->length > 1 ? e->kinds[e->length - 2] : START;
        tap.armed = true;
        if (run_one(e, &handle, &tap, e->length - 1) != VDE_OK)
            explore_violation(e, 0, 0, "the operation failed", vde_last_error()->text);
        tap.armed = false;
        char why[EXPLORE_WHY];
        if (handle && !s->matches(handle, e->states[e->length], why))
            explore_violation(e, 0, 0, "contents right after the operation", why);
        size_t during = tap.count;
        tap_capture_now(&tap);
        e->totals->sequences++;
        e->totals->cuts += tap.count;
        e->totals->cut_count[previous][kind] += tap.count;
        for (size_t i = 0; i < tap.count; i++) {
            if (i == during) /* the operation was acknowledged */
                completed(e, e->length - 1);
            explore_verify(e, tap.captured[i], i + 1, 0);
        }
        tap.count = 0; /* taken */
    }
    if (handle && s->close(handle) != VDE_OK)
        explore_violation(e, 0, 0, "close", vde_last_error()->text);
    tap_done(&tap);
    device->ops->close(device);
}

/* Sequence `index` of those of a length: its operations are the digits. False when it is not to be explored. */
static bool decode(struct explorer *e, unsigned length, uint64_t index)
{
    const struct explore_options *o = e->options;
    e->length = length;
    for (unsigned i = 0; i < length; i++) {
        e->kinds[length - 1 - i] = (unsigned)(index % e->subject->kinds);
        index /= e->subject->kinds;
    }
    for (unsigned i = 0; i < EXPLORE_DEPTH && o->only[0] >= 0; i++)
        if ((i < length ? (int)e->kinds[i] : -1) != o->only[i])
            return false;
    return true;
}

static void work(const struct subject *s, const struct explore_options *o, struct totals *totals, unsigned job)
{
    struct explorer *e = calloc(1, sizeof *e);
    uint8_t *model = calloc(2, EXPLORE_MODEL_MAX);
    if (!e || !model)
        exit(99);
    *e = (struct explorer){.subject = s, .options = o, .totals = totals, .random = o->seed * 1000 + job};
    struct vde_device *bases[2] = {make_base(s, 0, model), make_base(s, SIMULATED_FUA, model + EXPLORE_MODEL_MAX)};
    uint64_t number = 0;
    for (unsigned length = o->from; length <= o->depth; length++) {
        uint64_t count = 1;
        for (unsigned i = 0; i < length; i++)
            count *= s->kinds;
        for (uint64_t index = 0; index < count; index++, number++) {
            if (number % o->jobs != job || !decode(e, length, index))
                continue;
            if (length == o->depth && o->every > 1 && splitmix(&(uint64_t){index + o->seed}) % o->every != 0)
                continue;
            /* Both kinds of drive for short sequences, one of them for the long ones. */
            for (unsigned drive = 0; drive < 2; drive++)
                if (length < 3 || drive == (number / o->jobs) % 2)
                    run_sequence(e, bases[drive], model + drive * EXPLORE_MODEL_MAX);
        }
    }
    bases[0]->ops->close(bases[0]);
    bases[1]->ops->close(bases[1]);
    free(e->seen.slots);
    free(model);
    free(e);
}

static int compare_hashes(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static uint64_t distinct(struct totals *t)
{
    uint64_t count = t->hash_count < HASHES_MAX ? t->hash_count : HASHES_MAX, result = 0;
    qsort(t->hashes, count, sizeof *t->hashes, compare_hashes);
    for (uint64_t i = 0; i < count; i++)
        result += i == 0 || t->hashes[i] != t->hashes[i - 1];
    return result;
}

static void print_table(const struct subject *s, const struct totals *t)
{
    printf("cuts by operation (columns) and the one before it (rows)\n%-14s", "");
    for (unsigned k = 0; k < s->kinds; k++)
        printf(" %9.9s", s->kind_names[k]);
    printf("\n");
    for (unsigned p = 0; p <= s->kinds; p++) {
        unsigned row = p == 0 ? START : p - 1;
        printf("%-14.14s", p == 0 ? "(first)" : s->kind_names[row]);
        for (unsigned k = 0; k < s->kinds; k++)
            printf(" %9llu", (unsigned long long)t->cut_count[row][k]);
        printf("\n");
    }
}

int explore(const struct subject *s, const struct explore_options *o)
{
    struct totals *totals = mmap(NULL, o->jobs * sizeof *totals, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS |
                                 MAP_NORESERVE, -1, 0);
    if (totals == MAP_FAILED || s->kinds > EXPLORE_KINDS_MAX || s->model_size > EXPLORE_MODEL_MAX)
        return 99;
    time_t start = time(NULL);
    bool broken = false;
    for (unsigned job = 0; job < o->jobs && o->jobs > 1; job++)
        if (fork() == 0) {
            work(s, o, &totals[job], job);
            exit(0);
        }
    if (o->jobs == 1)
        work(s, o, &totals[0], 0);
    for (int status; o->jobs > 1 && wait(&status) > 0;)
        broken |= !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    struct totals *t = &totals[0];
    for (unsigned job = 1; job < o->jobs; job++) {
        struct totals *other = &totals[job];
        t->sequences += other->sequences;
        t->cuts += other->cuts;
        t->images += other->images;
        t->again += other->again;
        t->violations += other->violations;
        for (unsigned p = 0; p <= EXPLORE_KINDS_MAX; p++)
            for (unsigned k = 0; k < EXPLORE_KINDS_MAX; k++)
                t->cut_count[p][k] += other->cut_count[p][k];
        for (uint64_t i = 0; i < other->hash_count && t->hash_count < HASHES_MAX; i++)
            t->hashes[t->hash_count++] = other->hashes[i];
    }
    uint64_t images = distinct(t);
    print_table(s, t);
    printf("%s: %llu sequences, %llu cuts, %llu cuts during recovery, %llu images verified, %llu distinct durable images, "
           "%llu violations, %lld s\n", s->name, (unsigned long long)t->sequences, (unsigned long long)t->cuts,
           (unsigned long long)t->again, (unsigned long long)t->images, (unsigned long long)images,
           (unsigned long long)t->violations, (long long)(time(NULL) - start));
    bool enough = images >= o->least;
    if (!enough)
        printf("%s: expected at least %llu distinct images\n", s->name, (unsigned long long)o->least);
    int result = t->violations || broken || !enough;
    munmap(totals, o->jobs * sizeof *totals);
    return result;
}

static uint64_t number_of(const char *text)
{
    char *end;
    uint64_t value = text ? strtoull(text, &end, 10) : 0;
    if (!text || *end) {
        fprintf(stderr, "not a number: %s\n", text ? text : "(missing)");
        exit(2);
    }
    return value;
}

void explore_parse(int argc, char **argv, struct explore_options *o)
{
    for (int i = 1; i < argc; i += 2) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(name, "--only") == 0 && value) {
            o->jobs = 1;
            o->least = 0;
            o->from = 1;
            o->depth = EXPLORE_DEPTH;
            o->every = 1;
            sscanf(value, "%d,%d,%d,%d", &o->only[0], &o->only[1], &o->only[2], &o->only[3]);
        } else if (strcmp(name, "--jobs") == 0) {
            o->jobs = (unsigned)number_of(value);
        } else if (strcmp(name, "--from") == 0) {
            o->from = (unsigned)number_of(value);
        } else if (strcmp(name, "--depth") == 0) {
            o->depth = (unsigned)number_of(value);
        } else if (strcmp(name, "--every") == 0) {
            o->every = (unsigned)number_of(value);
        } else if (strcmp(name, "--modes") == 0) {
            o->modes = (unsigned)number_of(value);
        } else if (strcmp(name, "--again") == 0) {
            o->again_every = (unsigned)number_of(value);
        } else if (strcmp(name, "--least") == 0) {
            o->least = number_of(value);
        } else if (strcmp(name, "--seed") == 0) {
            o->seed = number_of(value);
        } else {
            fprintf(stderr, "usage: %s [--jobs N] [--from N] [--depth N] [--every N] [--modes N] [--again N] [--least N] [--seed N] "
                    "[--only A,B,C,D]\n", argv[0]);
            exit(2);
        }
    }
    if (o->jobs == 0 || o->from == 0 || o->from > o->depth || o->depth > EXPLORE_DEPTH || o->modes == 0 || o->modes > 5 || o->every == 0)
        exit(2);
}
