/* SPDX-License-Identifier: Apache-2.0 */
/* volume.h -- what the files of dataset/volume_*.c share.
 *
 * A write is copied into a batch (up to 128 KiB), the batch gets a place on the device, is written with one request for
 * each contiguous piece and then published: one transaction with its runs. Reads look at the newest published state.
 *
 *     open (gathers) -> sealed -> placed (allocated, checksummed) -> written -> published: its requests are complete
 *                                        \-> failed: the allocation is given back, its requests fail */
#ifndef VDE_DATASET_VOLUME_H
#define VDE_DATASET_VOLUME_H

#include <vde/volume.h>

#include "pool/blocks.h"
#include "pool/txn.h"

#define BATCH_BLOCKS 32u  /* logical blocks gathered in one batch */
#define BATCH_ROOM 48u    /* one request at most: 128 KiB that touches three frames */
#define BATCH_BYTES (BATCH_BLOCKS * BLOCK_BYTES)
#define PLAN_SMALL 33u    /* blocks read at a time */
#define PLAN_LARGE 256u
#define FRAME_BYTES (RUN_FRAME_BLOCKS * BLOCK_BYTES)

/* A volume that has handles: one for all of them. */
struct open_volume {
    struct open_volume *next;
    uint64_t id;
    unsigned handles;           /* guarded by image->volumes_lock */
    bool claimed;               /* by an administrative change: nobody may open it */
    uint32_t flags;             /* of its record */
    uint8_t compression;
    atomic_uint_least64_t size; /* bytes */
    atomic_uint_least64_t changes; /* requests that change it */
    unsigned writers;           /* handles of the volume itself; guarded by image->volumes_lock */
    struct {
        uint64_t block, changes; /* where the pass is, and how many changes there were when it began */
        bool under_way, done;
    } idle;                     /* guarded by image->idle_lock */
    char name[VDE_VOLUME_NAME_MAX + 1]; /* when it was opened, for messages */
};

struct gather {
    struct lock lock;
    /* guarded by lock */
    struct write_batch *open;                     /* the one that writes join */
    struct write_batch *first_waiting, *last_waiting; /* whose leaders wait for their turn, oldest first */
    unsigned in_flight;
};

/* What an image has while volumes or queues of it are open. */
struct volumes {
    struct vde_image *image;
    unsigned users;             /* guarded by image->volumes_lock, like `open` */
    struct open_volume *open;
    struct gather gather;
    pthread_rwlock_t resize;    /* read: a batch is checked against sizes and published; write: a size shrinks */
    struct lock spare_lock;
    /* guarded by spare_lock */
    struct write_batch *spare_batches;
    struct reader *spare_readers;
    struct vde_volume_queue *spare_queues;
    unsigned spare_batch_count, spare_reader_count, spare_queue_count;
};

struct vde_volume {
    struct vde_image *image;
    struct volumes *volumes;
    struct open_volume *shared;
    uint64_t tag;               /* of the snapshot that it shows; 0: the volume itself */
    uint64_t snapshot_size;
    struct lock map_lock;
    /* guarded by map_lock: the map as of the newest generation seen; reading it needs the catalog */
    struct map map;
    uint64_t map_generation;
    bool map_valid;
    /* Does a flush follow each write? Then records go out together with their data. Guesses: races do no harm. */
    atomic_uint unflushed;      /* writes since the last flush */
    atomic_bool hurried;        /* there was one between the last two */
};

static inline uint64_t volume_bytes(const struct vde_volume *volume)
{
    return volume->tag ? volume->snapshot_size
                       : atomic_load_explicit(&((struct vde_volume *)volume)->shared->size, memory_order_acquire);
}
static inline bool volume_has_frames(const struct vde_volume *volume)
{
    return volume->shared->compression != 0;
}

/* volume_open.c */
vde_status volumes_use(struct vde_image *image, struct volumes **ret_volumes);
void volumes_leave(struct volumes *volumes);
/* Keep a volume from being open; BUSY when it is. */
vde_status volume_claim(struct vde_image *image, uint64_t id);
void volume_unclaim(struct vde_image *image, uint64_t id);
/* The shared part of a volume that is open, borrowed while its handles are; NULL. names_lock held. */
struct open_volume *volume_find_open(struct vde_image *image, uint64_t id);
/* Range, alignment and, for changes, permission. */
vde_status volume_check(const struct vde_volume *volume, uint64_t size, uint64_t offset, bool change);

/* volume_catalog.c: the records of a volume as of a view. */
vde_status volume_check_name(const char *name);
size_t volume_name_key(uint8_t *key, const char *name);
/* volume_admin.c: a volume as the newest record has it, durable or not. */
vde_status volume_look_up(struct vde_image *image, const char *name, uint64_t *ret_id, struct volume_record *ret_record);
vde_status volume_put_record(vde_txn *txn, uint64_t id, const struct volume_record *record);
vde_status volume_check_size(uint64_t size_bytes);
/* prealloc_reserve(), with checkpoints that may bring space. */
vde_status volume_keep_space(struct vde_image *image, uint64_t id, uint64_t blocks);
/* The id of a volume, durable or not. */
vde_status volume_find(struct vde_image *image, const char *name, uint64_t *ret_id);
/* Add the name to a transaction; EXISTS. names_lock held. */
vde_status volume_name_put(vde_txn *txn, const char *name, uint64_t id);
vde_status volume_lookup(const struct map *catalog, const char *name, uint64_t *ret_id, struct volume_record *ret_record);
vde_status volume_lookup_snapshot(const struct map *catalog, uint64_t id, const char *snapshot, uint64_t *ret_tag,
                                  uint64_t *ret_size_bytes);

/* --- reading ------------------------------------------------------------------------------------------------------- */

/* A volume as of the newest published request. */
struct volume_pin {
    struct layers *layers;
    uint64_t lsn;
    struct map map;
};
vde_status volume_pin(struct vde_volume *volume, struct volume_pin *ret_pin);
void volume_unpin(struct vde_volume *volume, struct volume_pin *pin);

/* Part of a compressed frame that is wanted. */
struct frame_part {
    uint64_t address, checksum;
    uint32_t stored, tail;      /* blocks, bytes unused in the last one */
    uint32_t first, count;      /* blocks of the frame that are wanted */
    uint32_t at;                /* where they belong in the plan */
    uint32_t staged;            /* where its bytes are in the staging buffer, in blocks */
};

/* Consecutive blocks of a volume on their way into memory. */
struct read_plan {
    uint64_t block;             /* first */
    uint32_t blocks, capacity;
    uint8_t *data;              /* 4096-aligned */
    uint64_t *addresses;        /* of each block; 0: a hole, or in a frame */
    uint64_t *checksums;
    struct frame_part *frames;  /* allocated with the first */
    uint32_t frame_count, staged_blocks, staging_capacity;
    uint8_t *staging;
    struct vde_async_io *ios;
    uint32_t io_count;
};
vde_status plan_create(uint32_t capacity, struct read_plan **ret_plan);
void plan_destroy(struct read_plan *plan);
/* Find out where `blocks` from `block` on are: holes are zeroed, the rest are requests in plan->ios. */
vde_status plan_map(struct read_plan *plan, struct block_cursor *cursor, uint64_t block, uint32_t blocks, uint8_t *data);
/* All requests have completed: look at their results, verify, decompress. */
vde_status plan_finish(struct read_plan *plan, const struct vde_volume *volume);

/* What a blocking read needs; kept for the next one. */
struct reader {
    struct reader *next;
    struct block_cursor *cursor;
    struct read_plan *plan;
    uint8_t *bounce;            /* PLAN_LARGE blocks; allocated when needed */
};
vde_status reader_take(struct volumes *volumes, struct reader **ret_reader);
void reader_give(struct volumes *volumes, struct reader *reader);
void reader_destroy(struct reader *reader);
vde_status reader_need_bounce(struct reader *reader);
vde_status reader_set(struct reader *reader, const struct map *map);
/* Read up to plan->capacity blocks of a pinned state into 4096-aligned memory. The reader is set to it. */
vde_status reader_blocks(struct reader *reader, struct vde_volume *volume, uint64_t block, uint32_t blocks, uint8_t *data);

/* --- writing ------------------------------------------------------------------------------------------------------- */

/* One block, or one compressed frame. */
struct write_unit {
    struct open_volume *volume;
    uint64_t block;
    uint16_t at;                /* first block in the buffer */
    uint16_t blocks;            /* logical: 1, RUN_FRAME_BLOCKS */
    uint16_t stored, tail;      /* as in struct disk_run */
    uint16_t piece;
    uint64_t end;               /* bytes that the volume must have when this is published */
};
struct write_piece {
    uint64_t address;
    uint32_t at, blocks;
};

struct write_batch {
    struct write_batch *next;
    struct volumes *volumes;
    uint8_t *buffer;            /* BATCH_ROOM blocks */
    vde_txn *txn;
    struct write_unit units[BATCH_ROOM];
    uint32_t unit_count, blocks, used; /* logical blocks, blocks of the buffer */
    uint64_t prealloc;          /* the preallocated volume that it writes to; never mixed with others */
    uint64_t covered, taken;    /* blocks that are not mapped yet: still to be allocated, taken from what is kept for it */
    struct write_piece pieces[BATCH_ROOM];
    uint32_t piece_count;
    vde_le64 checksums[BATCH_ROOM]; /* of each unit */
    struct expected_blocks expected[BATCH_ROOM];
    uint32_t expected_count;
    struct {
        struct open_volume *volume;
        uint64_t block, blocks;
    } unmaps[BATCH_ROOM];
    uint32_t unmap_count;
    vde_status (*extra)(vde_txn *txn, void *context); /* adds operations of its own */
    void *extra_context;
    struct credit *credit;      /* of a large request; NULL: none */
    uint64_t paid;              /* blocks of it that were allocated and not published */
    uint64_t lsn;               /* published */
    bool hurried;               /* a flush comes next: the record need not wait for the data */
    vde_status status;
    struct vde_error error;     /* of the leader, for those who wait */
    /* gather */
    unsigned users;
    bool waiting;
    atomic_uint turn, done;     /* futex words: the leader's, the others' */
    /* queue */
    struct vde_volume_request *requests, **last_request;
    uint32_t pending;           /* device requests */
    struct vde_async_io ios[BATCH_ROOM];
};
vde_status batch_take(struct volumes *volumes, struct write_batch **ret_batch);
void batch_give(struct write_batch *batch);
void batch_destroy(struct write_batch *batch);
/* Whether `blocks` from `block` on can join: there is room, and no frame in the way (frame: nothing of it is there). */
bool batch_fits(const struct write_batch *batch, const struct open_volume *volume, uint64_t block, uint32_t blocks,
                bool frame);
/* Copy plain blocks into the batch; those that are there already are replaced. `end`: where the request ends, in bytes. */
void batch_add(struct write_batch *batch, struct open_volume *volume, uint64_t block, uint32_t blocks, const void *data,
               uint64_t end);
/* Add a whole frame, compressed when that saves a block. */
void batch_add_frame(struct write_batch *batch, struct open_volume *volume, uint64_t block, const void *data,
                     uint64_t end);
/* Forget blocks in the same transaction. */
void batch_unmap(struct write_batch *batch, struct open_volume *volume, uint64_t block, uint64_t blocks);
/* Publishing is BUSY if these blocks have changed since they were read through `pin`. */
void batch_expect(struct write_batch *batch, const struct open_volume *volume, uint64_t block, uint64_t blocks,
                  const struct volume_pin *pin);
/* Allocate, checksum, build the transaction. Nothing has happened if it fails. */
vde_status batch_place(struct write_batch *batch);
/* The device requests of a placed batch; at most BATCH_ROOM. */
uint32_t batch_ios(const struct write_batch *batch, struct vde_io *ios);
/* After BUSY: leave out what lies beyond the end of a volume by now. */
void batch_trim(struct write_batch *batch);
/* The data is on the device: make it visible. BUSY: an expectation failed, or a volume shrank: look again. */
vde_status batch_publish(struct write_batch *batch);
/* After NOSPC: makes a checkpoint that may bring space back. False when that is of no use any more. */
bool space_may_come(struct vde_image *image, unsigned *tries);
/* Write and publish a placed batch on this thread. */
vde_status batch_finish(struct write_batch *batch);
/* The same, placing it first. */
vde_status batch_run(struct write_batch *batch);

/* Write blocks of one request whole: at most BATCH_BLOCKS, no frames. Gathers with other threads. */
vde_status gather_write(struct vde_volume *volume, uint64_t block, uint32_t blocks, const void *data, bool hurried,
                        uint64_t *ret_lsn);

/* volume_rmw.c: any range that touches at most BATCH_BLOCKS + 1 blocks, reading what it does not cover; `data` NULL: zeroes.
 * `end`: bytes that the volume must have when it is published. `credit`: pays for it; NULL: nothing was reserved. */
vde_status rmw_write(struct vde_volume *volume, const void *data, uint64_t size, uint64_t offset, uint64_t end,
                     bool hurried, struct credit *credit, uint64_t *ret_lsn);

/* volume_credit.c: reserve space for a request that writes up to `blocks`, in so many runs, in several transactions. NOSPC:
 * nothing was reserved. */
vde_status credit_take(const struct vde_volume *volume, uint64_t blocks, uint64_t runs, enum space_limit limit,
                       struct credit *ret_credit);
/* What is left of it. */
void credit_give(struct vde_image *image, struct credit *credit);

/* volume_prealloc.c: how many of the blocks in the batch are not mapped yet. */
vde_status batch_count_covered(struct write_batch *batch);

/* volume_write.c; `hurried`: a flush follows. */
vde_status volume_write_at(struct vde_volume *volume, const void *data, uint64_t size, uint64_t offset, bool hurried,
                           uint64_t *ret_lsn);
/* Durable up to `lsn`. */
vde_status volume_harden(struct vde_volume *volume, uint64_t lsn);
/* volume_discard.c: forget whole blocks; `zeroes`: make the partly covered edges zero as well. `end` as in rmw_write(). */
vde_status volume_forget(struct vde_volume *volume, uint64_t size, uint64_t offset, uint64_t end, bool zeroes,
                         uint64_t *ret_lsn);
vde_status volume_forget_request(struct vde_volume *volume, uint64_t size, uint64_t offset, bool zeroes,
                                 uint64_t *ret_lsn);

/* volume_defrag.c: as vde_volume_defrag(), in blocks, `limit` more than 0. It ends early when the image's count of requests is not
 * `requests` any more; NULL: it does not. */
vde_status volume_defrag(struct vde_volume *volume, uint64_t *block, uint64_t limit, const uint64_t *requests,
                         uint64_t *ret_blocks);

/* volume_idle.c: a step of what is done while nobody asks for anything; see vde_image.idle_work. */
uint64_t volumes_idle_step(struct vde_image *image);

/* volume_queue.c: blocking writes of more than BATCH_BYTES through a queue of the image's own. */
vde_status queue_write(struct vde_volume *volume, const void *data, uint64_t size, uint64_t offset, struct credit *credit,
                       uint64_t *ret_lsn);
/* Destroy the spare queues. */
void queues_destroy(struct volumes *volumes);
#endif
