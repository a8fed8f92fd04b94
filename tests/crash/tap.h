/* SPDX-License-Identifier: Apache-2.0 */
/* tap.h -- a device in front of a simulated one that keeps, for every change that passes, a copy of the device as it is
 * when the power fails during that change. One run of a workload gives all its crash images. */
#ifndef TESTS_CRASH_TAP_H
#define TESTS_CRASH_TAP_H

#include "io/simulated.h"

struct tap {
    struct vde_device device;
    struct vde_device *below;      /* the simulated device; not owned */
    bool armed;
    struct vde_device **captured;  /* owned by whoever takes them */
    size_t count, capacity;
};

void tap_init(struct tap *tap, struct vde_device *below);
/* Keep a copy of the device as it is now, without a change in flight. */
void tap_capture_now(struct tap *tap);
/* Release what was captured. */
void tap_clear(struct tap *tap);
void tap_done(struct tap *tap);
#endif
