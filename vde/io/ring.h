/* SPDX-License-Identifier: Apache-2.0 */
/* ring.h -- one io_uring and the requests in flight on it. A ring belongs to one thread at a time. */
#ifndef VDE_IO_RING_H
#define VDE_IO_RING_H

#include <liburing.h>

#include <vde/device.h>

#define RING_DEPTH 64u

struct ring_slot {
    struct vde_io *io;
    uint32_t done;    /* bytes moved by earlier, short completions */
    uint32_t stalls;  /* EAGAIN in a row */
};

struct ring {
    struct io_uring uring;
    struct ring *next;      /* for the owner's list */
    bool broken;            /* the kernel refused the ring itself: never use it again */
    unsigned free_count;
    uint8_t free[RING_DEPTH]; /* unused slots, a stack */
    struct ring_slot slots[RING_DEPTH];
};

/* 0 or a negative errno. */
int ring_init(struct ring *ring);
void ring_done(struct ring *ring);

/* Carry out the requests whose result is VDE_OK so far, at most RING_DEPTH at once; each gets its result. */
void ring_run(struct ring *ring, int fd, struct vde_io *ios, size_t count);
#endif
