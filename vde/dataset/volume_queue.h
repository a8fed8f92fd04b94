/* SPDX-License-Identifier: Apache-2.0 */
/* volume_queue.h -- the asynchronous queue: shared by volume_queue.c (requests) and volume_queue_io.c (their way through
 * the device). All of it belongs to one thread at a time. */
#ifndef VDE_DATASET_VOLUME_QUEUE_H
#define VDE_DATASET_VOLUME_QUEUE_H

#include "dataset/volume.h"

#define QUEUE_DEPTH_MAX 1024u
#define QUEUE_IO_MIN 64u      /* device requests in flight at least possible */
#define QUEUE_FLIGHT 16u      /* batches in flight */
#define QUEUE_FLIGHT_OPEN 2u  /* with fewer, one that is not full goes out with a reap; with more it gathers */
#define QUEUE_READY_MAX 16u   /* batches filled and waiting: submit waits when there are more */

/* A list of requests, linked through `internal`. */
struct request_list {
    struct vde_volume_request *first, *last;
};
void list_add(struct request_list *list, struct vde_volume_request *request);
struct vde_volume_request *list_take(struct request_list *list);

/* One step of a read under way. */
struct queue_read {
    struct queue_read *next;
    struct vde_volume_request *request;
    struct volume_pin pin;
    struct read_plan *plan;
    uint8_t *bounce;
    uint32_t bounce_blocks;
    uint32_t pending;           /* device requests */
    uint64_t done, step;        /* bytes of the request: before this step, in it */
    bool bounced;
};

struct vde_volume_queue {
    struct vde_volume_queue *next; /* spare ones */
    struct vde_image *image;
    struct volumes *volumes;
    uint32_t depth, in_flight;  /* requests */
    struct vde_io_queue *io;
    uint32_t io_depth, io_in_flight, unkicked;
    struct vde_async_io *backlog, **backlog_end; /* wait for room in `io` */
    struct write_batch *open;   /* gathers */
    struct write_batch *ready, **ready_end;      /* sealed, wait for their turn */
    uint32_t ready_count, batches_in_flight;
    struct block_cursor *cursor;
    struct queue_read *spare_reads;
    struct request_list done;   /* completed, to be handed back */
    struct request_list hard;   /* complete when hard_lsn is durable */
    uint64_t hard_lsn;
    bool hard_waited;
    bool patient;               /* reap waits for everything: there is only one request */
    struct credit *credit;      /* and this was reserved for it */
    int fd;
};

/* volume_queue_io.c */
void queue_complete(struct vde_volume_queue *queue, struct vde_volume_request *request, vde_status status);
void queue_start_read(struct vde_volume_queue *queue, struct vde_volume_request *request);
/* Copy aligned blocks of a request into batches: the open one, or (credit) some of its own. */
vde_status queue_add_write(struct vde_volume_queue *queue, struct vde_volume_request *request, struct credit *credit);
/* Send out what may go; `all`: the open batch as well unless many are in flight. */
void queue_pump(struct vde_volume_queue *queue, bool all);
/* Take what the device has completed, waiting for some of it. */
void queue_collect(struct vde_volume_queue *queue, uint32_t wait_for);
void queue_free_reads(struct vde_volume_queue *queue);
#endif
