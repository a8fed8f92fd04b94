/* SPDX-License-Identifier: Apache-2.0 */
/* backends.h -- the devices that the same cases run over. */
#ifndef TESTS_BACKENDS_H
#define TESTS_BACKENDS_H

#include "support/support.h"

#define DEVICE_BYTES (8u << 20)

struct backend {
    char name[16];
    char folder[16]; /* empty: the default */
};

#define BACKENDS                                                                                                       \
    {"uring", ""}, {"aio", ""}, {"sync", ""}, {"uring", "/dev/shm"}, {"aio", "/dev/shm"}, {"sync", "/dev/shm"},        \
        {"auto", ""}, {"memory", ""}, {"simulated", ""}

/* A zero-filled device of DEVICE_BYTES; a file below it has no name any more, so that nothing stays behind. NULL with
 * the thread's error, and then the test fails: these tests need every backend. */
struct vde_device *backend_open(const struct backend *backend);
#endif
