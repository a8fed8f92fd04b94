/* SPDX-License-Identifier: Apache-2.0 */
/* image.h -- format, open, close and describe an image.
 *
 * Threads: after open every function may be called from any thread, except that vde_image_close() must be the last
 * call on the handle and all views, transactions, queues and files of it are closed before. */
#ifndef VDE_IMAGE_H
#define VDE_IMAGE_H

#include <vde/device.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vde_image vde_image;

#define VDE_IMAGE_MIN_BYTES (4ull << 20)
#define VDE_IMAGE_MAX_BYTES (64ull << 40)

/* Time and randomness come in through here, so that an image can run deterministically. NULL members: the system's. */
struct vde_env {
    uint64_t (*now_us)(void *context);                          /* microseconds since 1970-01-01 UTC */
    void (*random_bytes)(void *context, void *buffer, size_t size);
    void *context;
};

struct vde_format_opts {
    uint32_t size;           /* sizeof(struct vde_format_opts) */
    uint32_t flags;          /* VDE_FORMAT_* */
    uint64_t size_bytes;     /* 0: the device's size; for a new file: the free space of its file system */
    uint64_t log_bytes;      /* 0: clamp(size/32, 256 KiB, 256 MiB) */
    const char *backend;     /* as vde_device_open */
    const struct vde_env *env;
};
#define VDE_FORMAT_FORCE 1u /* overwrite what the path holds */
#define VDE_FORMAT_OPTS_INIT { sizeof(struct vde_format_opts), 0, 0, 0, 0, 0 }

/* Format `path` (a regular file, created if missing and sparse, or a block device). Refuses with VDE_EXISTS a path that
 * holds a file system, a partition table, another image or any non-zero data in its first MiB unless FORCE, and with
 * VDE_BUSY one that is in use. The log region is written with zeroes. Durable when it returns VDE_OK. */
VDE_API VDE_MUST_CHECK vde_status vde_image_format(const char *path, const struct vde_format_opts *opts);

/* The same on a device of the caller's, which stays the caller's. */
VDE_API VDE_MUST_CHECK vde_status vde_image_format_device(struct vde_device *device, const struct vde_format_opts *opts);

struct vde_open_opts {
    uint32_t size;             /* sizeof(struct vde_open_opts) */
    uint32_t flags;            /* VDE_OPEN_* */
    const char *backend;       /* as vde_device_open */
    uint64_t memory_bytes;     /* budget for node cache, overlays and tails; 0: 256 MiB */
    uint32_t wait_ms;          /* how long to wait for a busy image; 0: not at all */
    uint32_t checkpoint_ms;    /* checkpoint at least this often while dirty; 0: 5000 */
    const struct vde_env *env;
    const char *snapshot;      /* an image snapshot: with VDE_OPEN_READ_ONLY open the image as of it, with VDE_OPEN_ROLLBACK
                                  make the image what it shows; NULL: the image as it is */
    uint32_t idle_defrag_ms;   /* defragment open volumes when nothing was asked of the image for so long (volume.h); 0: 10000 */
    uint32_t reserved;         /* zero */
};
#define VDE_IDLE_NEVER UINT32_MAX
#define VDE_OPEN_READ_ONLY 1u
#define VDE_OPEN_NO_THREADS 2u /* no background thread: checkpoints only when asked for or when the log is full, and no
                                  defragmentation that was not asked for */
#define VDE_OPEN_DISCARD 4u    /* tell a regular file, too, what is free (holes); block devices are told always */
#define VDE_OPEN_ROLLBACK 8u   /* for writing: everything in the image, tables, files and volumes, becomes again what `snapshot`
                                  shows, at one stroke: interrupted, it is all done or nothing of it. What came later is lost.
                                  INVAL, naming some of them: newer snapshots have names; nothing changed then. IO: the next
                                  open tells whether it is done. Costs what changed since the snapshot */
#define VDE_OPEN_DROP_NEWER 16u /* with VDE_OPEN_ROLLBACK: newer snapshots go, too, instead of preventing it */
#define VDE_OPEN_OPTS_INIT { sizeof(struct vde_open_opts), 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/* Open an image. Read-write: recovers (replays the log, verifies the unacknowledged tail, writes a full checkpoint with a
 * new epoch) before it returns. Read-only: replays in memory, writes nothing; many at once, BUSY under a writer.
 * Statuses: BUSY, NOT_FOUND, CORRUPT (acknowledged data is damaged: nothing is cut, nothing is written), UNSUPPORTED
 * (a feature by name), IO, NOMEM. On success the caller owns *ret_image. */
VDE_API VDE_MUST_CHECK vde_status vde_image_open(const char *path, const struct vde_open_opts *opts,
                                                 vde_image **ret_image);

/* The same on a device of the caller's. The device must outlive the image and stays the caller's. */
VDE_API VDE_MUST_CHECK vde_status vde_image_open_device(struct vde_device *device, const struct vde_open_opts *opts,
                                                        vde_image **ret_image);

/* Write a last checkpoint (read-write, not poisoned), release everything. Always releases; the status tells whether the
 * checkpoint succeeded: nothing acknowledged depends on it. NULL is fine. */
VDE_API vde_status vde_image_close(vde_image *image);

/* Write a checkpoint now. On VDE_OK all changes acknowledged before the call are in the trees. */
VDE_API VDE_MUST_CHECK vde_status vde_image_checkpoint(vde_image *image);

/* Make the image larger, while it is in use: to `new_size_bytes`, or (0) to the size of its device, which is asked anew. A file
 * must have been extended before. Durable when it returns VDE_OK; whatever interrupts it, the image has the old size or the new
 * one. INVAL: smaller than it is (there is no shrinking), larger than the device, too little to be worth it (less than 1 MiB), or
 * grown 32 times already. The size that it has, or with 0 a device that has hardly grown, is VDE_OK and changes nothing. */
VDE_API VDE_MUST_CHECK vde_status vde_image_grow(vde_image *image, uint64_t new_size_bytes);

struct vde_region_info {
    char name[16];        /* "label A", "ring A", "alloc index", "bitmaps", "log", "history", "vault", "heap" ... */
    uint64_t offset_bytes;
    uint64_t size_bytes;
};

struct vde_image_info {
    uint8_t uuid[16];
    uint64_t size_bytes;
    uint32_t format_version;
    uint64_t created_us;
    char features[8][32];         /* names of the feature bits set, empty strings after the last */
    uint32_t region_count;
    struct vde_region_info regions[64]; /* those of the format, then those that growing added, as far as there is room */
    struct vde_device_info device;
    uint64_t superblock_sequence;
    uint32_t superblock_copies;   /* valid copies of the newest sequence, 2 when whole */
    uint64_t epoch;
    uint64_t checkpoint_lsn;      /* everything up to here is in the trees */
    uint64_t durable_lsn;         /* the visibility watermark; 0 when only probed */
    uint64_t log_bytes;           /* ring size */
    uint64_t log_start;           /* ring position (monotone) of the oldest record still needed */
    uint64_t log_head;            /* ring position after the newest record */
    uint64_t record_limit_bytes;  /* largest transaction record */
    uint64_t free_bytes;          /* allocatable now, slop deducted, deferred included */
    uint64_t deferred_bytes;      /* freed, reusable after the next checkpoint */
    uint64_t used_bytes;          /* everything allocated, metadata included */
    uint64_t slop_bytes;
    uint64_t reserved_bytes;      /* kept for preallocated volumes: neither free nor used */
    uint32_t fill_percent;        /* as df counts: everything taken or promised, of all but the slop; 0 when only probed */
    uint32_t fill_warning;        /* 80 or 90 when so many percent are reached, else 0 */
    bool read_only;
    bool poisoned;
    /* What this open did. */
    uint64_t replayed_records;
    uint64_t replayed_bytes;
    uint64_t dropped_tail_lsn;    /* first LSN of an unacknowledged tail that was dropped, 0 if none */
    char open_report[256];        /* the same in one sentence */
};

/* Describe an open image. */
VDE_API void vde_image_info(vde_image *image, struct vde_image_info *ret_info);

/* Describe an image from label and superblocks alone, without locking: works under a writer. */
VDE_API VDE_MUST_CHECK vde_status vde_image_probe(const char *path, struct vde_image_info *ret_info);

/* Counters since open. */
struct vde_image_counters {
    uint64_t commits;          /* transaction records made durable */
    uint64_t groups;           /* log writes they went out in */
    uint64_t flushes;          /* device flushes, DSYNC log writes not counted */
    uint64_t checkpoints;
    uint64_t log_bytes_written;
    uint64_t heap_bytes_written;
    uint64_t node_reads;       /* tree nodes read from the device */
    uint64_t node_hits;        /* tree nodes found in the cache */
};
VDE_API void vde_image_counters(vde_image *image, struct vde_image_counters *ret_counters);

#ifdef __cplusplus
}
#endif
#endif
