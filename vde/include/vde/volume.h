/* SPDX-License-Identifier: Apache-2.0 */
/* volume.h -- virtual disks: a range of bytes, thinly provisioned, copied on write.
 *
 * Requests are multiples of 512 bytes at offsets that are multiples of 512; inside, a volume is made of 4 KiB blocks, and
 * smaller or unaligned requests cost a read-modify-write. What was never written, or was discarded, reads as zeroes.
 *
 * Durability: like a disk with a volatile cache. A completed write is seen by every later read, but survives a power cut
 * only after a flush that began after its completion, or if it carried VDE_VOLUME_FUA. After a crash a volume holds a
 * prefix of its completed requests that includes all flushed ones; a request of at most 128 KiB is there as a whole or not
 * at all, a larger one may be there in part.
 *
 * Statuses: INVAL (range, alignment), NOT_FOUND, READ_ONLY, NOSPC (nothing of the request happened, except that a large
 * one to a preallocated volume whose old blocks are kept by snapshots may be there in part), CORRUPT (a block
 * whose checksum does not fit: nothing of it is returned; the detail names volume, offset and block), IO, NOMEM, POISONED
 * and COMMIT_UNKNOWN as in txn.h.
 *
 * Threads: a vde_volume may be used by any number of threads at once; concurrent requests that overlap happen in some
 * order. A queue belongs to one thread; another may take it over only while nothing is in flight. */
#ifndef VDE_VOLUME_H
#define VDE_VOLUME_H

#include <vde/view.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vde_volume vde_volume;

#define VDE_VOLUME_NAME_MAX 200u              /* bytes; any but NUL and '/' */
#define VDE_VOLUME_MAX_BYTES (1ull << 56)

struct vde_volume_opts {
    uint32_t size;        /* sizeof(struct vde_volume_opts) */
    uint32_t flags;       /* VDE_VOLUME_PREALLOC */
    uint64_t size_bytes;  /* a multiple of 512, at least 512 */
    uint32_t compression; /* 0: none, 1..9: zstd level */
    uint32_t reserved;    /* zero */
};
#define VDE_VOLUME_PREALLOC 1u /* space for the whole volume is kept free for it: writes to it never find the image full
                                  unless snapshots hold its old blocks */
#define VDE_VOLUME_OPTS_INIT { sizeof(struct vde_volume_opts), 0, 0, 0, 0 }

struct vde_volume_info {
    char name[VDE_VOLUME_NAME_MAX + 1];
    uint64_t id;               /* of its dataset */
    uint64_t size_bytes;
    uint32_t compression;
    uint32_t flags;            /* VDE_VOLUME_PREALLOC */
    uint64_t created_us;
    char origin_volume[VDE_VOLUME_NAME_MAX + 1]; /* clones: where they come from; else empty */
    char origin_snapshot[256];
    /* as of the newest checkpoint */
    uint64_t mapped_bytes;     /* of its address space that hold data */
    uint64_t stored_bytes;     /* device space of that data, compressed; shared with snapshots and origin included */
    uint64_t metadata_bytes;   /* tree nodes */
    uint64_t snapshot_bytes;   /* device space that only its snapshots hold */
    uint64_t snapshots;
};

/* Create an empty volume; durable when it returns VDE_OK. EXISTS: the name is taken. INVAL: name, size, level. NOSPC. */
VDE_API VDE_MUST_CHECK vde_status vde_volume_create(vde_image *image, const char *name,
                                                    const struct vde_volume_opts *opts);
/* Delete a volume with its snapshots; durable. Its space is freed in the background; while clones of its snapshots or
 * image snapshots need it, what they need is kept. BUSY: it is open. */
VDE_API VDE_MUST_CHECK vde_status vde_volume_delete(vde_image *image, const char *name);
/* Give a volume another name; durable. EXISTS, NOT_FOUND. */
VDE_API VDE_MUST_CHECK vde_status vde_volume_rename(vde_image *image, const char *name, const char *new_name);
/* Change the size; durable. Shrinking discards what lies beyond and must be asked for with VDE_VOLUME_SHRINK, else INVAL.
 * Open handles see the new size at once. */
VDE_API VDE_MUST_CHECK vde_status vde_volume_resize(vde_image *image, const char *name, uint64_t size_bytes,
                                                    uint32_t flags);
#define VDE_VOLUME_SHRINK 1u

VDE_API VDE_MUST_CHECK vde_status vde_volume_get(vde_view *view, const char *name, struct vde_volume_info *ret_info);
/* Call `each` for every volume in order of names; a status other than VDE_OK from it ends the walk and is returned. */
VDE_API VDE_MUST_CHECK vde_status vde_volume_list(vde_view *view,
                                                  vde_status (*each)(void *context, const struct vde_volume_info *info),
                                                  void *context);

/* Open a volume, or (snapshot not NULL) one snapshot of it, which is read-only. Close before the image. */
VDE_API VDE_MUST_CHECK vde_status vde_volume_open(vde_image *image, const char *name, const char *snapshot,
                                                  vde_volume **ret_volume);
/* Release the handle. What was completed but not flushed is not flushed by this. NULL is fine. */
VDE_API void vde_volume_close(vde_volume *volume);
VDE_API uint64_t vde_volume_size(const vde_volume *volume);

/* --- blocking requests ------------------------------------------------------------------------------------------ */
#define VDE_VOLUME_FUA 1u       /* durable when it completes */
#define VDE_VOLUME_FAST 2u      /* write_zeroes: UNSUPPORTED rather than slower than writing (it never is: accepted) */

/* Read exactly `size` bytes. On failure the contents of `buffer` are undefined. */
VDE_API VDE_MUST_CHECK vde_status vde_volume_read(vde_volume *volume, void *buffer, uint64_t size, uint64_t offset);
/* The bytes are copied before anything else happens: the caller may change them meanwhile. */
VDE_API VDE_MUST_CHECK vde_status vde_volume_write(vde_volume *volume, const void *buffer, uint64_t size,
                                                   uint64_t offset, uint32_t flags);
/* Everything that completed before the call is durable when it returns VDE_OK. */
VDE_API VDE_MUST_CHECK vde_status vde_volume_flush(vde_volume *volume);
/* Forget a range: it reads as zeroes, its space is freed. The same as write_zeroes, but blocks that are covered only in
 * part are left as they are. */
VDE_API VDE_MUST_CHECK vde_status vde_volume_discard(vde_volume *volume, uint64_t size, uint64_t offset, uint32_t flags);
/* Make a range read as zeroes; whole blocks of it take no space. */
VDE_API VDE_MUST_CHECK vde_status vde_volume_write_zeroes(vde_volume *volume, uint64_t size, uint64_t offset,
                                                          uint32_t flags);

enum vde_block_state {
    VDE_BLOCK_DATA = 0, /* holds data */
    VDE_BLOCK_ZERO = 1, /* reads as zeroes, space is kept for it (VDE_VOLUME_PREALLOC) */
    VDE_BLOCK_HOLE = 2, /* reads as zeroes, takes no space */
};
/* The state at `offset` and how far it reaches, at least one byte and at most to the end of the volume: what the newest
 * completed requests left. */
VDE_API VDE_MUST_CHECK vde_status vde_volume_block_status(vde_volume *volume, uint64_t offset, uint64_t limit_bytes,
                                                          enum vde_block_state *ret_state, uint64_t *ret_bytes);

/* Rewrite what is scattered, so that sequential reads are fast again; blocks that a snapshot or clone shares are left
 * alone. Works in steps of at most `limit_bytes` (64 KiB at least) of reading from *offset on; *offset is 0 again at the end.
 * *ret_bytes: rewritten. */
VDE_API VDE_MUST_CHECK vde_status vde_volume_defrag(vde_volume *volume, uint64_t *offset, uint64_t limit_bytes,
                                                    uint64_t *ret_bytes);
/* The same happens by itself to volumes that are open for writing, when for ten seconds (vde_open_opts.idle_defrag_ms) nothing was
 * asked of any volume and nothing was committed: in steps of at most 1 MiB with pauses, while a good part of the image is free,
 * once after opening and again when enough has changed. The next request ends it for the time being. */

/* --- asynchronous requests -------------------------------------------------------------------------------------- */
enum vde_volume_op {
    VDE_VOLUME_OP_READ = 0,
    VDE_VOLUME_OP_WRITE = 1,
    VDE_VOLUME_OP_FLUSH = 2,   /* covers what completed before it was submitted */
    VDE_VOLUME_OP_DISCARD = 3,
    VDE_VOLUME_OP_WRITE_ZEROES = 4,
};

/* One request; the caller's memory until it is completed. */
struct vde_volume_request {
    vde_volume *volume;
    uint8_t op;           /* enum vde_volume_op */
    uint8_t flags;        /* VDE_VOLUME_FUA */
    uint16_t reserved;    /* zero */
    vde_status status;    /* out */
    void *buffer;         /* READ: filled; WRITE: copied by submit */
    uint64_t size, offset;
    void (*done)(struct vde_volume_request *request); /* called by reap on its thread; NULL: handed back by reap */
    void *context;        /* the caller's */
    void *internal;       /* the library's */
};

typedef struct vde_volume_queue vde_volume_queue;
/* A queue of at most `depth` (1..1024) requests in flight. It has its own path to the device, so that threads with queues
 * of their own do not meet. */
VDE_API VDE_MUST_CHECK vde_status vde_volume_queue_create(vde_image *image, uint32_t depth,
                                                          vde_volume_queue **ret_queue);
/* All requests must have been reaped. */
VDE_API void vde_volume_queue_destroy(vde_volume_queue *queue);
/* Start a request. BUSY: `depth` are in flight. Any other failure of the request itself is told by reap. Small writes are
 * gathered; they go out when enough have come, with the next reap, or when the eventfd is in use and the device idle. */
VDE_API VDE_MUST_CHECK vde_status vde_volume_submit(vde_volume_queue *queue, struct vde_volume_request *request);
/* Complete up to `max` requests: those with a callback are called back, the others are put into `ret_requests`;
 * *ret_count counts both. With `wait` there is at least one, unless none is in flight. */
VDE_API VDE_MUST_CHECK vde_status vde_volume_reap(vde_volume_queue *queue, struct vde_volume_request **ret_requests,
                                                  uint32_t max, bool wait, uint32_t *ret_count);
/* An eventfd that becomes readable when reap would find something; owned by the queue. -1: can't be made. */
VDE_API int vde_volume_queue_fd(vde_volume_queue *queue);

#ifdef __cplusplus
}
#endif
#endif
