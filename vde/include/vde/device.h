/* SPDX-License-Identifier: Apache-2.0 */
/* device.h -- the one device vtable: every backend implements it, and a program may bring its own.
 *
 * Sizes and offsets are bytes and multiples of `block_bytes` (4096 for the engine's own requests); buffers are aligned
 * to 4096. A request is at most VDE_IO_MAX_BYTES; the engine splits. Backends handle short results and EAGAIN
 * themselves: a request either moved every byte or failed.
 *
 * Durability: a completed write is durable only after a flush that was *issued* after its completion returned VDE_OK,
 * except that a completed write with VDE_IO_DSYNC is durable itself (only that write). A failed flush or DSYNC write
 * says nothing about what is on the medium; the engine never retries it.
 *
 * Threads: all operations except close may be called from several threads at once. */
#ifndef VDE_DEVICE_H
#define VDE_DEVICE_H

#include <stddef.h>

#include <vde/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VDE_IO_MAX_BYTES (512u * 1024u)

enum { VDE_IO_READ = 0, VDE_IO_WRITE = 1 };
#define VDE_IO_DSYNC 1u /* flag: this write is durable when it completes */

struct vde_io {
    uint8_t op;       /* VDE_IO_READ or VDE_IO_WRITE */
    uint8_t flags;    /* VDE_IO_DSYNC */
    uint32_t size;    /* bytes */
    uint64_t offset;  /* bytes */
    void *buffer;     /* 4096-aligned; not changed by the caller until run() returned */
    vde_status result; /* out */
    int os_errno;      /* out */
};

struct vde_device_info {
    uint64_t size_bytes;
    uint32_t logical_block_bytes; /* 512 or 4096 */
    bool is_block_device;
    bool direct;            /* O_DIRECT in use */
    bool read_only;
    char backend[16];       /* "uring", "aio", "sync", "memory", "simulated" or the caller's own name */
    char note[160];         /* why this backend was chosen, e.g. "io_uring: Operation not permitted" */
    char model[64];         /* block devices: model string, else empty */
};

struct vde_device;
struct vde_io_queue;
struct vde_device_ops {
    /* Perform `count` requests, concurrently where the backend can, and return when all have completed. Each gets its
     * own result; returns VDE_OK or the first failure (by index) with the thread's detail set. Requests of one call
     * must not overlap each other; they are not ordered. */
    vde_status (*run)(struct vde_device *device, struct vde_io *ios, size_t count);
    /* Make every write that completed before the call durable. */
    vde_status (*flush)(struct vde_device *device);
    /* Advise that a range holds nothing of value; reads of it then return anything. May do nothing. */
    vde_status (*discard)(struct vde_device *device, uint64_t offset, uint64_t size);
    void (*info)(struct vde_device *device, struct vde_device_info *ret_info);
    /* Release the device and `device` itself. */
    void (*close)(struct vde_device *device);
    /* An asynchronous path of its own to the device for one thread, at most `depth` requests in flight. NULL: the device
     * has none; vde_io_queue_open() then makes one that gives run() what was submitted when it is kicked or reaped. */
    vde_status (*queue_open)(struct vde_device *device, uint32_t depth, struct vde_io_queue **ret_queue);
    /* Take note that the file or block device has grown; info() then tells the new size. NULL: it can't grow. */
    vde_status (*refresh)(struct vde_device *device);
};

/* Asynchronous requests. A queue belongs to one thread; another one may take it over while nothing is in flight. `next`
 * and `context` of a request are the submitter's. Requests in flight are not ordered and must not overlap, unless all
 * of them read. */
struct vde_async_io {
    struct vde_io io;
    void *context;
    struct vde_async_io *next;
};
struct vde_io_queue_ops {
    /* Hand over `count` requests; they and their buffers stay untouched until reaped. They may be started only by the
     * next kick or reap. One that no device takes comes back with the result INVAL or READ_ONLY. INVAL, and none of them
     * is taken: more than `depth` would be in flight, or another thread's are. */
    vde_status (*submit)(struct vde_io_queue *queue, struct vde_async_io **ios, size_t count);
    /* Start what was handed over. */
    vde_status (*kick)(struct vde_io_queue *queue);
    /* Start what was handed over and take up to `max` completed ones; waits until `wait_for` (or `max`, or all in
     * flight, if that is fewer) have completed, 0: doesn't wait. */
    size_t (*reap)(struct vde_io_queue *queue, struct vde_async_io **ret_ios, size_t max, size_t wait_for);
    /* An eventfd that is signalled by completions; -1: none. Ask for it before anything is in flight. When it is
     * readable, read it, then reap until fewer than `max` come. */
    int (*fd)(struct vde_io_queue *queue);
    /* Nothing may be in flight. */
    void (*close)(struct vde_io_queue *queue);
};
struct vde_io_queue {
    const struct vde_io_queue_ops *ops;
};
/* queue_open() of the device, or the generic one; `depth` is 1 to 4096. Release with ops->close, before the device. */
VDE_API VDE_MUST_CHECK vde_status vde_io_queue_open(struct vde_device *device, uint32_t depth,
                                                    struct vde_io_queue **ret_queue);

/* A backend embeds this as its first member. */
struct vde_device {
    const struct vde_device_ops *ops;
};

/* A RAM device of `size_bytes` (zero-filled) for tests and scratch images; contents die with it. */
VDE_API VDE_MUST_CHECK vde_status vde_device_memory(uint64_t size_bytes, struct vde_device **ret_device);

#define VDE_DEVICE_READ_ONLY 1u  /* open for reading: shared lock instead of exclusive */
#define VDE_DEVICE_CREATE 2u     /* create the file if it is missing; set its size if it is smaller */
#define VDE_DEVICE_NO_LOCK 4u    /* take no lock: only for peeking at label and superblocks under a writer */
#define VDE_DEVICE_DISCARD 8u    /* discards punch holes into a regular file, too; block devices get them always */

/* Open a regular file or block device. `backend` is "auto" (NULL means the same: uring, aio, sync in turn), "uring",
 * "aio" or "sync"; a named backend that is not there is VDE_UNSUPPORTED, never a silent fall-back. Takes an OFD lock
 * (write lock, or read lock with READ_ONLY) on the descriptor that does the I/O, and O_EXCL on block devices; VDE_BUSY
 * if another process holds it. READ_ONLY: a block device that can't be written; UNSUPPORTED: one with blocks of more
 * than 4096 bytes, or with zones that must be written in order. `size_bytes` matters only with CREATE. On success the
 * caller owns *ret_device: release with ops->close. */
VDE_API VDE_MUST_CHECK vde_status vde_device_open(const char *path, const char *backend, unsigned flags,
                                                  uint64_t size_bytes, struct vde_device **ret_device);

#ifdef __cplusplus
}
#endif
#endif
