/* SPDX-License-Identifier: Apache-2.0 */
/* Every read, write and flush of a workload fails once (and from then on): errors are clean, a failed log write or flush
 * poisons, and what was acknowledged is there after reopening. And every write is lost or lands elsewhere: that is found
 * or does no harm.
 * ctest: timeout=900 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine_model.h"
#include "engine_subject.h"
#include "io/simulated.h"

static const struct subject *const subject = &engine_subject;
static unsigned violations;

static void violation(const char *test, uint64_t n, unsigned step, const char *what, const char *why)
{
    if (++violations <= 40)
        fprintf(stderr, "VIOLATION %s %llu, step %u (%s): %s: %s\n", test, (unsigned long long)n, step,
                step < engine_workload_length ? subject->kind_names[engine_workload[step]] : "end", what, why);
}

static void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, vde_last_error()->text);
    exit(99);
}

static struct vde_device *make_base(struct engine_model *model)
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
    struct engine_model before, after; /* after: with the operation whose fate is unknown */
    bool unknown, poisoned;
    unsigned step;
    unsigned failures;
};

static bool is_poisoned(void *handle)
{
    struct vde_image_info info;
    vde_image_info(handle, &info);
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
    } else if (status != VDE_IO && status != VDE_POISONED) {
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
    for (r->step = 0; r->step < engine_workload_length && r->handle; r->step++) {
        unsigned kind = engine_workload[r->step];
        if (r->poisoned && kind == REOPEN)
            return; /* that would settle it: verify_after does */
        if (!subject->enabled(&r->before, kind))
            continue;
        struct engine_model next = r->before;
        vde_status status = subject->apply(&r->handle, r->device, &next, kind, r->step);
        if (status == VDE_OK && r->poisoned)
            violation(r->test, r->n, r->step, "succeeded", "on a poisoned image");
        if (status == VDE_OK) {
            r->before = next;
            continue;
        }
        bool unknown = r->unknown;
        judge_failure(r, status);
        if (r->unknown && !unknown)
            r->after = next;
    }
}

/* Reopened without faults: everything acknowledged, nothing else but the one unknown operation. */
static void verify_after(struct run *r, struct vde_device *device, const char *what)
{
    char why[EXPLORE_WHY], other[EXPLORE_WHY];
    void *handle;
    if (!check_clean(device, why))
        violation(r->test, r->n, r->step, what, why);
    if (subject->open(device, &handle) != VDE_OK) {
        violation(r->test, r->n, r->step, what, vde_last_error()->text);
        return;
    }
    if (!subject->matches(handle, &r->before, why) &&
        !(r->unknown && subject->matches(handle, &r->after, other)))
        violation(r->test, r->n, r->step, what, why);
    if (subject->probe(handle, 1) != VDE_OK)
        violation(r->test, r->n, r->step, what, vde_last_error()->text);
    if (subject->close(handle) != VDE_OK)
        violation(r->test, r->n, r->step, what, vde_last_error()->text);
    if (!check_clean(device, why))
        violation(r->test, r->n, r->step, what, why);
}

static void one_failure(struct vde_device *base, const struct engine_model *model, const char *test, unsigned kinds,
                        uint64_t n, uint64_t times, bool *ret_hit)
{
    struct run r = {.test = test, .n = n, .before = *model};
    struct vde_device *settled;
    char why[EXPLORE_WHY];
    if (simulated_clone(base, &r.device) != VDE_OK)
        die("clone");
    simulated_fail(r.device, kinds, n, times, EIO);
    vde_status status = subject->open(r.device, &r.handle);
    if (status == VDE_OK)
        run_workload(&r);
    else if (status != VDE_IO)
        violation(test, n, 0, "open", vde_last_error()->text);
    *ret_hit = r.failures > 0 || status != VDE_OK;
    simulated_clear_faults(r.device);
    if (r.handle && r.failures && !subject->matches(r.handle, &r.before, why))
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
}

static void failures(struct vde_device *base, const struct engine_model *model)
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
            one_failure(base, model, tests[t].name, tests[t].kinds, n, tests[t].times, &hit);
            hits += hit;
            misses = hit ? 0 : misses + 1;
        }
        printf("%-22s %4llu points, %llu with an error seen\n", tests[t].name, (unsigned long long)n - 1,
               (unsigned long long)hits);
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
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    opts.flags = VDE_OPEN_READ_ONLY;
    vde_image *image;
    vde_status status = vde_image_open_device(r->device, &opts, &image);
    bool good = status == VDE_OK && subject->matches(image, &r->before, why);
    if (status != VDE_OK && status != VDE_CORRUPT)
        violation(r->test, r->n, r->step, "open", vde_last_error()->text);
    else if (status == VDE_OK && !good && strncmp(why, "CORRUPT", 7) != 0)
        violation(r->test, r->n, r->step, "wrong data", why);
    else if (clean && !good)
        violation(r->test, r->n, r->step, "the check finds nothing", why);
    if (status == VDE_OK && vde_image_close(image) != VDE_OK)
        violation(r->test, r->n, r->step, "close", vde_last_error()->text);
    *ret_found = !clean || !good;
}

static void one_lie(struct vde_device *base, const struct engine_model *model, const char *test, uint64_t n,
                    uint64_t to_offset, bool *ret_hit, bool *ret_found)
{
    struct run r = {.test = test, .n = n, .before = *model};
    struct simulated_counts counts;
    *ret_found = false;
    if (simulated_clone(base, &r.device) != VDE_OK || subject->open(r.device, &r.handle) != VDE_OK)
        die("clone");
    simulated_counts(r.device, &counts);
    uint64_t start = counts.writes;
    if (to_offset == 0)
        simulated_lose_write(r.device, n);
    else
        simulated_misdirect_write(r.device, n, to_offset);
    vde_status status = VDE_OK;
    for (r.step = 0; r.step < engine_workload_length && status == VDE_OK; r.step++) {
        struct engine_model next = r.before;
        if (!subject->enabled(&r.before, engine_workload[r.step]))
            continue;
        status = subject->apply(&r.handle, r.device, &next, engine_workload[r.step], r.step);
        if (status == VDE_OK)
            r.before = next;
        else if (status != VDE_CORRUPT && status != VDE_POISONED && status != VDE_COMMIT_UNKNOWN)
            violation(test, n, r.step, "unexpected status", vde_last_error()->text);
    }
    if (r.handle && subject->close(r.handle) != VDE_OK)
        status = VDE_CORRUPT;
    simulated_counts(r.device, &counts);
    *ret_hit = counts.writes - start >= n;
    if (status == VDE_OK && *ret_hit)
        verify_lie(&r, ret_found);
    else
        *ret_found = status != VDE_OK;
    r.device->ops->close(r.device);
}

static void lies(struct vde_device *base, const struct engine_model *model)
{
    /* 0: lost. Else label A, the newest superblock's neighbourhood, bitmaps, the log, the heap's first and a far block. */
    static const uint64_t blocks[] = {0, 8, 16, 17, 24, 32, 34, 35, 40, 60, 134, 140, 150, 400, 1000};
    for (size_t t = 0; t < sizeof blocks / sizeof blocks[0]; t++) {
        uint64_t n = 1, found = 0;
        char test[64];
        snprintf(test, sizeof test, t ? "write lands at block %llu" : "write is lost", (unsigned long long)blocks[t]);
        for (bool hit = true; hit; n += t ? 3 : 1) {
            bool detected;
            one_lie(base, model, test, n, blocks[t] * 4096, &hit, &detected);
            found += detected;
        }
        printf("%-30s up to write %llu, %llu found damaged, the rest harmless\n", test, (unsigned long long)n - 1,
               (unsigned long long)found);
    }
}

int main(void)
{
    struct engine_model model;
    struct vde_device *base = make_base(&model);
    failures(base, &model);
    lies(base, &model);
    base->ops->close(base);
    printf("%u violations\n", violations);
    return violations != 0;
}
