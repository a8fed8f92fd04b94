/* SPDX-License-Identifier: Apache-2.0 */
/* simulated_state.h -- the simulated device's own struct, shared by its files only. */
#ifndef VDE_IO_SIMULATED_STATE_H
#define VDE_IO_SIMULATED_STATE_H

#include "base/lock.h"
#include "io/simulated_medium.h"

enum fault_kind { FAULT_FAIL = 1, FAULT_LOSE, FAULT_MISDIRECT };

struct fault {
    enum fault_kind kind; /* 0: unused */
    unsigned requests;    /* SIMULATED_READ | ... that it counts */
    uint64_t wait;        /* requests to let pass first */
    uint64_t times;       /* requests to hit then */
    int os_errno;
    uint64_t to_offset;
};

struct simulated {
    struct vde_device device;
    struct vde_device_info info;
    unsigned flags;
    struct lock lock;
    /* guarded by lock */
    struct medium medium;
    uint64_t random;
    bool off;
    uint64_t cut_in; /* changes until the power fails, 0: not armed */
    struct simulated_counts counts;
    struct fault faults[SIMULATED_FAULTS_MAX];
};

extern const struct vde_device_ops simulated_ops;

/* Count one request of this kind against all armed faults; true with a copy of the one that hits it. */
bool fault_next(struct simulated *simulated, unsigned request, struct fault *ret_fault);
#endif
