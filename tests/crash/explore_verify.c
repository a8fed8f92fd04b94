/* SPDX-License-Identifier: Apache-2.0 */
/* explore_verify.c -- one crash image: is it damaged, does it open, is it one of the legal states, does it go on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "explore_internal.h"

static bool seen_add(struct seen *seen, uint64_t hash)
{
    if (seen->count * 2 >= seen->capacity) {
        struct seen grown = {calloc(seen->capacity ? seen->capacity * 2 : 4096, sizeof *grown.slots),
                             seen->capacity ? seen->capacity * 2 : 4096, 0};
        if (!grown.slots)
            exit(99);
        for (size_t i = 0; i < seen->capacity; i++)
            if (seen->slots[i])
                seen_add(&grown, seen->slots[i]);
        free(seen->slots);
        *seen = grown;
    }
    hash = hash ? hash : 1;
    size_t at = hash & (seen->capacity - 1);
    while (seen->slots[at] && seen->slots[at] != hash)
        at = (at + 1) & (seen->capacity - 1);
    if (seen->slots[at])
        return false;
    seen->slots[at] = hash;
    seen->count++;
    return true;
}

static void keep_finding(void *context, const struct vde_finding *finding)
{
    char *why = context;
    if (!why[0])
        snprintf(why, EXPLORE_WHY, "%.120s: found %.120s, expected %.120s", finding->object, finding->found, finding->expected);
}

/* Empty when the check finds nothing. */
static void run_check(struct vde_device *device, char why[EXPLORE_WHY])
{
    struct vde_check_opts opts = VDE_CHECK_OPTS_INIT;
    struct vde_check_summary summary;
    why[0] = '\0';
    opts.finding = keep_finding;
    opts.context = why;
    if (vde_check_device(device, &opts, &summary) != VDE_OK)
        snprintf(why, EXPLORE_WHY, "check did not run: %.300s", vde_last_error()->text);
}

static const struct { enum simulated_survival mode; const char *name; } modes[] = {
    {SIMULATED_RANDOM, "random"}, {SIMULATED_NONE, "none"}, {SIMULATED_ALL, "all"},
    {SIMULATED_SUBSET, "subset"}, {SIMULATED_PREFIX, "prefix"},
};

struct verify {
    struct explorer *e;
    size_t cut;
    unsigned mode, level;
    char why[EXPLORE_WHY];
};

static bool fail(struct verify *v, const char *where)
{
    explore_violation(v->e, v->cut, v->mode, where, v->why);
    return false;
}

static bool fail_status(struct verify *v, const char *where)
{
    snprintf(v->why, sizeof v->why, "%.31s: %.300s", vde_last_error()->code, vde_last_error()->text);
    return fail(v, where);
}

/* Which of the legal states the image shows; -1: none. */
static int which_state(struct verify *v, void *handle)
{
    struct explorer *e = v->e;
    char other[EXPLORE_WHY];
    for (unsigned i = e->oldest; i <= e->newest; i++)
        if (e->subject->matches(handle, e->states[i], i == e->oldest ? v->why : other))
            return (int)i;
    v->why[200] = '\0';
    size_t used = strlen(v->why);
    if (e->oldest < e->newest && memcmp(e->states[e->oldest], e->states[e->newest], e->subject->model_size) != 0)
        snprintf(v->why + used, sizeof v->why - used, " / the newest: %.150s", other);
    return -1;
}

/* Nothing leaked. A second and third life: what recovery made stays, new writes work. */
static bool verify_further(struct verify *v, struct vde_device *device, int state)
{
    const struct subject *s = v->e->subject;
    const void *model = v->e->states[state];
    void *handle;
    run_check(device, v->why);
    if (v->why[0])
        return fail(v, "check after recovery and close");
    if (v->e->totals->images % v->e->options->further_every != 0)
        return true;
    if (s->open(device, &handle) != VDE_OK)
        return fail_status(v, "second open");
    bool good = s->matches(handle, model, v->why) ? true : fail(v, "second open shows another state");
    if (good && !s->probed(handle, 1))
        good = fail_status(v, "what was written after recovery is gone");
    if (good && s->probe(handle, 2) != VDE_OK)
        good = fail_status(v, "write after the second open");
    if (s->close(handle) != VDE_OK && good)
        good = fail_status(v, "second close");
    run_check(device, v->why);
    if (good && v->why[0])
        good = fail(v, "check after the second close");
    return good;
}

/* Recover for good and look at everything. `tap`, when given, sees the changes that recovery makes. */
static void verify_recovery(struct verify *v, struct vde_device *device, struct tap *tap)
{
    const struct subject *s = v->e->subject;
    void *handle;
    run_check(device, v->why);
    if (v->why[0]) {
        fail(v, "check before recovery");
        return;
    }
    v->e->totals->checked_before++;
    if (tap)
        tap->armed = true;
    vde_status status = s->open(tap ? &tap->device : device, &handle);
    if (tap)
        tap->armed = false;
    if (status != VDE_OK) {
        fail_status(v, "open");
        return;
    }
    int state = which_state(v, handle);
    bool good = state >= 0 ? true : fail(v, "contents after recovery");
    if (good && v->level == 0 && s->probe(handle, 1) != VDE_OK)
        good = fail_status(v, "write after recovery");
    if (s->close(handle) != VDE_OK && good)
        good = fail_status(v, "close after recovery");
    if (good && v->level == 0)
        verify_further(v, device, state);
}

static void verify_image(struct verify *v, struct vde_device *device)
{
    struct explorer *e = v->e;
    struct totals *t = e->totals;
    uint64_t image = simulated_hash(device);
    uint64_t expectation = 7;
    for (unsigned i = e->oldest; i <= e->newest; i++)
        expectation = checksum(e->states[i], e->subject->model_size, expectation);
    if (!seen_add(&e->seen, image ^ expectation))
        return;
    uint64_t at = __atomic_fetch_add(&t->hash_count, 1, __ATOMIC_RELAXED);
    if (at < HASHES_MAX)
        t->hashes[at] = image;
    t->images++;
    bool again = v->level == 0 && e->options->again_every && explore_random(e) % e->options->again_every == 0;
    struct tap tap;
    tap_init(&tap, device);
    verify_recovery(v, device, again ? &tap : NULL);
    for (size_t i = 0; i < tap.count; i++) {
        t->again++;
        explore_verify(e, tap.captured[i], v->cut * 1000 + i + 1, 1);
    }
    tap.count = 0; /* taken */
    tap_done(&tap);
}

void explore_verify(struct explorer *e, struct vde_device *crashed, size_t cut, unsigned level)
{
    unsigned count = level == 0 ? e->options->modes : 1;
    unsigned first = level == 0 ? 0 : (unsigned)(explore_random(e) % 5);
    for (unsigned i = 0; i < count; i++) {
        struct verify v = {.e = e, .cut = cut, .mode = (first + i) % 5, .level = level};
        struct vde_device *device;
        if (simulated_clone(crashed, &device) != VDE_OK ||
            simulated_power_cycle(device, modes[v.mode].mode, explore_random(e)) != VDE_OK)
            exit(99);
        verify_image(&v, device);
        device->ops->close(device);
    }
    crashed->ops->close(crashed);
}

void explore_violation(struct explorer *e, size_t cut, unsigned mode, const char *where, const char *why)
{
    if (__atomic_add_fetch(&e->totals->violations, 1, __ATOMIC_RELAXED) > 40)
        return;
    char sequence[200] = "";
    char numbers[40] = "";
    for (unsigned i = 0; i < e->length; i++) {
        size_t used = strlen(sequence);
        snprintf(sequence + used, sizeof sequence - used, "%s%s", i ? ", " : "", e->subject->kind_names[e->kinds[i]]);
        used = strlen(numbers);
        snprintf(numbers + used, sizeof numbers - used, "%s%u", i ? "," : "", e->kinds[i]);
    }
    fprintf(stderr, "VIOLATION [%s] (--only %s) cut %zu, survival %s: %s: %s\n", sequence, numbers, cut,
            modes[mode].name, where, why);
}
