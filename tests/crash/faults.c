/* SPDX-License-Identifier: Apache-2.0 */
/* faults.c -- requests of a workload fail, get lost or land elsewhere. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "faults.h"
#include "io/simulated.h"

#define STATES_MAX 64u

static const struct subject *subject;
static const unsigned *workload;
static unsigned workload_length, violations;
static const void *base_model;
static const struct memory_faults *memory; /* NULL: requests fail, not allocations */

static void violation(const char *test, uint64_t n, unsigned step, const char *what, const char *why)
{
    if (++violations <= 40)
        fprintf(stderr, "VIOLATION %s %llu, step %u (%s): %s: %s\n", test, (unsigned long long)n, step,
                step < workload_length ? subject->kind_names[workload[step]] : "end", what, why);
}

static void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, vde_last_error()->text);
    exit(99);
}

static struct vde_device *make_base(void *model)
{
    struct vde_device *device;
    struct vde_format_opts opts = VDE_FORMAT_OPTS_INIT;
    opts.env = &explore_env;
    void *handle;
    if (simulated_create(subject->image_bytes, 3, 0, &device) != VDE_OK ||
        vde_image_format_device(device, &opts) != VDE_OK || subject->open(device, &handle) != VDE_OK ||
        subject->setup(handle, model) != VDE_OK || subject->close(handle) != VDE_OK)
        die("base image");
    return device;
}

static bool check_clean(struct vde_device *device, char why[EXPLORE_WHY]);

/* --- failures ------------------------------------------------------------------------------------------------------ */

struct run {
    const char *test;
    uint64_t n;
    struct vde_device *device;
    void *handle;
    /* What may be there afterwards: from the newest state known to be durable to the newest one of all. After an
     * operation whose fate is unknown, that one is the newest. */
    uint8_t *states;
    unsigned oldest, newest;
    bool unknown, poisoned;
    unsigned step;
    unsigned failures;
};

static void *state_of(struct run *r, unsigned index)
{
    return r->states + index * subject->model_size;
}

static void start(struct run *r)
{
    r->states = malloc(STATES_MAX * subject->model_size);
    if (!r->states)
        exit(99);
    memcpy(r->states, base_model, subject->model_size);
}

/* The state that a further operation starts from and changes. */
static void *next_state(struct run *r)
{
    if (r->newest + 1 == STATES_MAX)
        exit(98); /* make the workload flush now and then */
    memcpy(state_of(r, r->newest + 1), state_of(r, r->newest - r->unknown), subject->model_size);
    return state_of(r, r->newest + 1);
}

static void succeeded(struct run *r, unsigned kind)
{
    r->newest++;
    if (subject->durable && !subject->durable(kind))
        return;
    memmove(r->states, state_of(r, r->newest), subject->model_size);
    r->oldest = r->newest = 0;
}

static bool matches_any(struct run *r, void *handle, char why[EXPLORE_WHY])
{
    char other[EXPLORE_WHY];
    for (unsigned i = r->newest + 1; i-- > r->oldest;)
        if (subject->matches(handle, state_of(r, i), i == r->newest ? why : other))
            return true;
    return false;
}

static bool is_poisoned(void *handle)
{
    struct vde_image_info info;
    vde_image_info(subject->image(handle), &info);
    return info.poisoned;
}

/* What a failed operation may say, and what that means for the state. */
static void judge_failure(struct run *r, vde_status status)
{
    r->failures++;
    if (status == VDE_COMMIT_UNKNOWN) {
        if (r->unknown)
            violation(r->test, r->n, r->step, "a second unknown commit", vde_last_error()->text);
        r->unknown = true;
    } else if (r->poisoned && subject->durable && (status == VDE_NOT_FOUND || status == VDE_EXISTS)) {
        return; /* of what was submitted and never became durable */
    } else if (status != (memory ? VDE_NOMEM : VDE_IO) && status != VDE_POISONED) {
        violation(r->test, r->n, r->step, "unexpected status", vde_last_error()->text);
    }
    if ((status == VDE_COMMIT_UNKNOWN || status == VDE_POISONED) && r->handle && !is_poisoned(r->handle))
        violation(r->test, r->n, r->step, "not poisoned after", vde_status_name(status));
    if (r->poisoned && status == VDE_COMMIT_UNKNOWN)
        violation(r->test, r->n, r->step, "unknown though poisoned before", vde_last_error()->text);
    r->poisoned = r->handle && is_poisoned(r->handle);
}

static void run_workload(struct run *r)
{
    for (r->step = 0; r->step < workload_length && r->handle; r->step++) {
        unsigned kind = workload[r->step];
        if (r->poisoned && kind == subject->reopen)
            return; /* that would settle it: verify_after does */
        if (!subject->enabled(state_of(r, r->unknown ? r->newest - 1 : r->newest), kind))
            continue;
        vde_status status = subject->apply(&r->handle, r->device, next_state(r), kind, r->step);
        if (status == VDE_OK && r->poisoned)
            violation(r->test, r->n, r->step, "succeeded", "on a poisoned image");
        if (status == VDE_OK) {
            succeeded(r, kind);
            continue;
        }
        bool unknown = r->unknown;
        judge_failure(r, status);
        if (r->unknown && !unknown)
            r->newest++;
    }
}

/* Reopened without faults: everything acknowledged, nothing else but the one unknown operation. */
static void verify_after(struct run *r, struct vde_device *device, const char *what)
{
    char why[EXPLORE_WHY];
    void *handle;
    if (!check_clean(device, why))
        violation(r->test, r->n, r->step, what, why);
    if (subject->open(device, &handle) != VDE_OK) {
        violation(r->test, r->n, r->step, what, vde_last_error()->text);
        return;
    }
    if (!matches_any(r, handle, why))
        violation(r->test, r->n, r->step, what, why);
    if (subject->probe(handle, 1) != VDE_OK)
        violation(r->test, r->n, r->step, what, vde_last_error()->text);
    if (subject->close(handle) != VDE_OK)
        violation(r->test, r->n, r->step, what, vde_last_error()->text);
    if (!check_clean(device, why))
        violation(r->test, r->n, r->step, what, why);
}

/* What an image shows after a failure: what was acknowledged, and if it is poisoned, perhaps less of what need not have been
 * durable. */
static bool reads_on(struct run *r, char why[EXPLORE_WHY])
{
    if (subject->durable && r->poisoned)
        return matches_any(r, r->handle, why);
    return subject->matches(r->handle, state_of(r, r->newest - r->unknown), why);
}

static void one_failure(struct vde_device *base, const char *test, unsigned kinds, uint64_t n, uint64_t times, bool *ret_hit)
{
    struct run r = {.test = test, .n = n};
    struct vde_device *settled;
    char why[EXPLORE_WHY];
    start(&r);
    if (simulated_clone(base, &r.device) != VDE_OK)
        die("clone");
    if (memory)
        memory->arm(n, times);
    else
        simulated_fail(r.device, kinds, n, times, EIO);
    vde_status status = subject->open(r.device, &r.handle);
    if (status == VDE_OK)
        run_workload(&r);
    else if (status != (memory ? VDE_NOMEM : VDE_IO))
        violation(test, n, 0, "open", vde_last_error()->text);
    *ret_hit = memory ? memory->disarm() : r.failures > 0 || status != VDE_OK;
    simulated_clear_faults(r.device);
    if (r.handle && r.failures && !reads_on(&r, why))
        violation(test, n, r.step, "reading on after a failure", why);
    if (r.handle && subject->close(r.handle) != VDE_OK && !r.failures)
        violation(test, n, r.step, "close", vde_last_error()->text);
    /* The process goes away; and then the power as well. */
    if (simulated_clone(r.device, &settled) != VDE_OK || simulated_power_cycle(settled, SIMULATED_RANDOM, n) != VDE_OK)
        die("power cycle");
    verify_after(&r, r.device, "reopened");
    verify_after(&r, settled, "reopened after a power cut");
    settled->ops->close(settled);
    r.device->ops->close(r.device);
    free(r.states);
}

static void failures(struct vde_device *base)
{
    static const struct { const char *name; unsigned kinds; uint64_t times; } tests[] = {
        {"read fails once", SIMULATED_READ, 1},      {"read fails for ever", SIMULATED_READ, SIMULATED_ALWAYS},
        {"write fails once", SIMULATED_WRITE, 1},    {"write fails for ever", SIMULATED_WRITE, SIMULATED_ALWAYS},
        {"flush fails once", SIMULATED_FLUSH, 1},    {"flush fails for ever", SIMULATED_FLUSH, SIMULATED_ALWAYS},
    };
    for (size_t t = 0; t < sizeof tests / sizeof tests[0]; t++) {
        uint64_t n = 1, hits = 0;
        for (unsigned misses = 0; misses < 30; n++) {
            bool hit;
            one_failure(base, tests[t].name, tests[t].kinds, n, tests[t].times, &hit);
            hits += hit;
            misses = hit ? 0 : misses + 1;
        }
        printf("%-22s %4llu points, %llu with an error seen\n", tests[t].name, (unsigned long long)n - 1,
               (unsigned long long)hits);
    }
}

static void memory_failures(struct vde_device *base)
{
    for (uint64_t times = 1; times <= 2; times++) {
        uint64_t n = 1;
        for (bool hit = true; hit; n += memory->stride)
            one_failure(base, times == 1 ? "allocation fails" : "two allocations fail", 0, n, times, &hit);
        printf("%llu allocation%s: up to the %lluth\n", (unsigned long long)times, times == 1 ? " fails" : "s fail",
               (unsigned long long)n);
    }
}

/* --- lies ---------------------------------------------------------------------------------------------------------- */

static void keep_finding(void *context, const struct vde_finding *finding)
{
    char *why = context;
    if (!why[0])
        snprintf(why, EXPLORE_WHY, "%.120s: found %.120s, expected %.120s", finding->object, finding->found,
                 finding->expected);
}

static bool check_clean(struct vde_device *device, char why[EXPLORE_WHY])
{
    struct vde_check_opts opts = VDE_CHECK_OPTS_INIT;
    struct vde_check_summary summary;
    opts.finding = keep_finding;
    opts.context = why;
    why[0] = '\0';
    if (vde_check_device(device, &opts, &summary) != VDE_OK)
        snprintf(why, EXPLORE_WHY, "check: %.300s", vde_last_error()->text);
    return why[0] == '\0';
}

/* An image on which a write was lost or misdirected: errors are fine, wrong data is not; and the check sees whatever the
 * readers stumble over. */
static void verify_lie(struct run *r, bool *ret_found)
{
    char why[EXPLORE_WHY] = "", finding[EXPLORE_WHY];
    bool clean = check_clean(r->device, finding);
    void *handle;
    vde_status status = subject->open_read(r->device, &handle);
    bool good = status == VDE_OK && subject->matches(handle, state_of(r, r->newest), why);
    if (status != VDE_OK && status != VDE_CORRUPT)
        violation(r->test, r->n, r->step, "open", vde_last_error()->text);
    else if (status == VDE_OK && !good && strncmp(why, "CORRUPT", 7) != 0)
        violation(r->test, r->n, r->step, "wrong data", why);
    else if (clean && !good)
        violation(r->test, r->n, r->step, "the check finds nothing", why);
    if (status == VDE_OK && subject->close(handle) != VDE_OK)
        violation(r->test, r->n, r->step, "close", vde_last_error()->text);
    *ret_found = !clean || !good;
}

static void one_lie(struct vde_device *base, const char *test, uint64_t n, uint64_t to_offset, bool *ret_hit, bool *ret_found)
{
    struct run r = {.test = test, .n = n};
    struct simulated_counts counts;
    start(&r);
    *ret_found = false;
    if (simulated_clone(base, &r.device) != VDE_OK || subject->open(r.device, &r.handle) != VDE_OK)
        die("clone");
    simulated_counts(r.device, &counts);
    uint64_t first = counts.writes;
    if (to_offset == 0)
        simulated_lose_write(r.device, n);
    else
        simulated_misdirect_write(r.device, n, to_offset);
    vde_status status = VDE_OK;
    for (r.step = 0; r.step < workload_length && status == VDE_OK; r.step++) {
        if (!subject->enabled(state_of(&r, r.newest), workload[r.step]))
            continue;
        status = subject->apply(&r.handle, r.device, next_state(&r), workload[r.step], r.step);
        if (status == VDE_OK)
            succeeded(&r, workload[r.step]);
        else if (status != VDE_CORRUPT && status != VDE_POISONED && status != VDE_COMMIT_UNKNOWN)
            violation(test, n, r.step, "unexpected status", vde_last_error()->text);
    }
    if (r.handle && subject->close(r.handle) != VDE_OK)
        status = VDE_CORRUPT;
    simulated_counts(r.device, &counts);
    *ret_hit = counts.writes - first >= n;
    if (status == VDE_OK && *ret_hit)
        verify_lie(&r, ret_found);
    else
        *ret_found = status != VDE_OK;
    r.device->ops->close(r.device);
    free(r.states);
}

static void lies(struct vde_device *base)
{
    /* 0: lost. Else label A, the newest superblock's neighbourhood, bitmaps, the log, the heap's first and a far block. */
    static const uint64_t blocks[] = {0, 8, 16, 17, 24, 32, 34, 35, 40, 60, 134, 140, 150, 400, 1000};
    for (size_t t = 0; t < sizeof blocks / sizeof blocks[0]; t++) {
        uint64_t n = 1, found = 0;
        char test[64];
        snprintf(test, sizeof test, t ? "write lands at block %llu" : "write is lost", (unsigned long long)blocks[t]);
        for (bool hit = true; hit; n += t ? 3 : 1) {
            bool detected;
            one_lie(base, test, n, blocks[t] * 4096, &hit, &detected);
            found += detected;
        }
        printf("%-30s up to write %llu, %llu found damaged, the rest harmless\n", test, (unsigned long long)n - 1,
               (unsigned long long)found);
    }
}

int faults(const struct subject *of, const unsigned *kinds, unsigned length)
{
    subject = of;
    workload = kinds;
    workload_length = length;
    void *model = calloc(1, of->model_size);
    if (!model)
        return 99;
    struct vde_device *base = make_base(model);
    base_model = model;
    if (memory) {
        memory_failures(base);
    } else {
        failures(base);
        lies(base);
    }
    base->ops->close(base);
    free(model);
    printf("%u violations\n", violations);
    return violations != 0;
}

int faults_of_memory(const struct subject *of, const unsigned *kinds, unsigned length, const struct memory_faults *with)
{
    memory = with;
    return faults(of, kinds, length);
}
