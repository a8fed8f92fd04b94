/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_CUTS 4u /* of a batch of writes in flight together: first, last and two between */

static void must(vde_status status, const char *what)
{
    if (status == VDE_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, vde_last_error()->text);
    exit(99);
}

static struct vde_device *capture(struct tap *tap)
{
    if (tap->count == tap->capacity) {
        tap->capacity = tap->capacity ? 2 * tap->capacity : 32;
        tap->captured = realloc(tap->captured, tap->capacity * sizeof *tap->captured);
        if (!tap->captured)
            exit(99);
    }
    struct vde_device *copy;
    must(simulated_clone(tap->below, &copy), "clone");
    tap->captured[tap->count++] = copy;
    return copy;
}

static void capture_run(struct tap *tap, const struct vde_io *ios, size_t count)
{
    size_t writes = 0;
    for (size_t i = 0; i < count; i++)
        writes += ios[i].op == VDE_IO_WRITE;
    size_t cuts = writes < BATCH_CUTS ? writes : BATCH_CUTS;
    struct vde_io *again = malloc(count * sizeof *again);
    for (size_t cut = 0; cut < cuts; cut++) {
        struct vde_device *copy = capture(tap);
        memcpy(again, ios, count * sizeof *again);
        simulated_cut_after(copy, cuts == 1 ? 1 : 1 + cut * (writes - 1) / (cuts - 1));
        if (copy->ops->run(copy, again, count) == VDE_OK)
            must(VDE_IO, "a write went through a power cut");
    }
    free(again);
}

static vde_status tap_run(struct vde_device *device, struct vde_io *ios, size_t count)
{
    struct tap *tap = (struct tap *)device;
    if (tap->armed)
        capture_run(tap, ios, count);
    return tap->below->ops->run(tap->below, ios, count);
}

static vde_status tap_flush(struct vde_device *device)
{
    struct tap *tap = (struct tap *)device;
    if (tap->armed) {
        struct vde_device *copy = capture(tap);
        simulated_cut_after(copy, 1);
        if (copy->ops->flush(copy) == VDE_OK)
            must(VDE_IO, "a flush went through a power cut");
    }
    return tap->below->ops->flush(tap->below);
}

static vde_status tap_discard(struct vde_device *device, uint64_t offset, uint64_t size)
{
    struct tap *tap = (struct tap *)device;
    if (tap->armed) {
        struct vde_device *copy = capture(tap);
        simulated_cut_after(copy, 1);
        if (copy->ops->discard(copy, offset, size) == VDE_OK)
            vde_error_clear();
    }
    return tap->below->ops->discard(tap->below, offset, size);
}

static void tap_info(struct vde_device *device, struct vde_device_info *ret_info)
{
    struct tap *tap = (struct tap *)device;
    tap->below->ops->info(tap->below, ret_info);
}

static void tap_close(struct vde_device *device)
{
    (void)device;
}

void tap_init(struct tap *tap, struct vde_device *below)
{
    static const struct vde_device_ops ops = {tap_run, tap_flush, tap_discard, tap_info, tap_close, NULL, NULL};
    *tap = (struct tap){.device = {&ops}, .below = below};
}

void tap_capture_now(struct tap *tap)
{
    simulated_cut(capture(tap));
}

void tap_clear(struct tap *tap)
{
    for (size_t i = 0; i < tap->count; i++)
        tap->captured[i]->ops->close(tap->captured[i]);
    tap->count = 0;
}

void tap_done(struct tap *tap)
{
    tap_clear(tap);
    free(tap->captured);
    tap->captured = NULL;
    tap->capacity = 0;
}
