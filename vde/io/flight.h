/* SPDX-License-Identifier: Apache-2.0 */
/* flight.h -- the requests of one queue that are under way: how far each has come, and which are ready to be reaped.
 *
 * Every request has a slot from submit until it is finished, then a place among the finished ones until it is taken. */
#ifndef VDE_IO_FLIGHT_H
#define VDE_IO_FLIGHT_H

#include <vde/device.h>

#define FLIGHT_DEPTH_MAX 4096u
#define FLIGHT_STALLS_MAX 1000u /* EAGAIN in a row before a request fails: the kernel is out of something for good */

struct flight_slot {
    struct vde_async_io *request; /* NULL: unused */
    uint32_t done;                /* bytes moved by earlier, short completions */
    uint32_t stalls;              /* EAGAIN in a row */
};

struct flight {
    uint32_t depth;
    uint32_t under_way;           /* slots in use */
    uint32_t finished_count;
    uint32_t finished_first;
    int event_fd;                 /* -1: nobody asked for it */
    struct flight_slot *slots;
    uint32_t *unused;             /* slots, a stack */
    struct vde_async_io **finished; /* a circle of `depth` */
};

/* INVAL: depth. */
vde_status flight_init(struct flight *flight, uint32_t depth);
void flight_done(struct flight *flight);

/* INVAL when there is no room for `count` more. */
vde_status flight_check_room(const struct flight *flight, size_t count);
/* The slot of a request that passed request_check(); one that did not goes to flight_refuse(). */
uint32_t flight_start(struct flight *flight, struct vde_async_io *request);
/* Finished without having been started; its result is set. */
void flight_refuse(struct flight *flight, struct vde_async_io *request);
/* Finished: io.result is set. */
void flight_finish(struct flight *flight, uint32_t slot);
void flight_fail(struct flight *flight, uint32_t slot, int os_errno);
/* Finish with `os_errno` what is still under way. */
void flight_fail_all(struct flight *flight, int os_errno);
/* A transfer on `fd` ended: bytes moved or a negative errno. True when the rest must be asked for once more. */
bool flight_moved(struct flight *flight, uint32_t slot, int fd, long moved);
/* Take finished requests, oldest first. */
size_t flight_take(struct flight *flight, struct vde_async_io **ret_requests, size_t max);
/* How many more must finish before a reap of `max` that waits for `wait_for` may return. */
uint32_t flight_missing(const struct flight *flight, size_t max, size_t wait_for);

/* The eventfd, made when it is first asked for; -1 when that fails. */
int flight_event_fd(struct flight *flight);
/* Signal it, for what finished without the kernel. */
void flight_signal(struct flight *flight);
#endif
