/* SPDX-License-Identifier: Apache-2.0 */
/* simulated.h -- a seeded device that loses power, lies and fails on demand.
 *
 * It keeps a durable image and the writes that no flush has covered, as copy-on-write 4 KiB pages. The rules:
 * 1. A flush covers the writes that completed before it was issued. Requests of one run() are in flight together, so
 *    none of them is covered by another one's flush.
 * 2. A completed DSYNC write is durable. With FUA only itself is; without, the drive is flushed behind it, which covers
 *    what completed before its run() as well.
 * 3. When the power fails, each 512-byte sector that an un-flushed write touched is old, new or garbage; of several
 *    un-flushed writes any may have reached the medium. Requests in flight count as un-flushed writes.
 * 4. A write that failed may have been applied in part. What was un-flushed when a flush failed is never covered by a
 *    later flush: the error was reported once. ENOSPC alone leaves everything as it was.
 * 5. A discarded range reads as garbage; until a flush, it may come back after a power cut.
 * Everything follows from the seeds and the order of calls. Requests of one run() are carried out in a seeded order.
 *
 * Functions here take the vde_device that simulated_create() made. Any thread may call them. */
#ifndef VDE_IO_SIMULATED_H
#define VDE_IO_SIMULATED_H

#include <vde/device.h>

#define SIMULATED_SECTOR_BYTES 512u

#define SIMULATED_FUA 1u /* flag: DSYNC makes one write durable instead of flushing the drive */

/* Zero-filled. `size_bytes` is a multiple of 4096. Release with ops->close. */
VDE_MUST_CHECK vde_status simulated_create(uint64_t size_bytes, uint64_t seed, unsigned flags,
                                           struct vde_device **ret_device);
/* An independent device in the same state: image, un-flushed writes, counters, injections, whether it is off. Pages
 * are shared until written, so this costs a table and not an image. */
VDE_MUST_CHECK vde_status simulated_clone(struct vde_device *device, struct vde_device **ret_device);

/* --- power ------------------------------------------------------------------------------------------------------ */

/* Cut the power at the n-th change (write, flush or discard) from now, 1 is the next; 0 disarms. That request, and all
 * of the same run() that come after it, are in flight: they fail with VDE_IO and their writes may be there in part.
 * From then on everything fails with VDE_IO. Reads are not counted: a cut at one leaves the same images as a cut at the
 * next change. */
void simulated_cut_after(struct vde_device *device, uint64_t n);
/* Cut it now. */
void simulated_cut(struct vde_device *device);
bool simulated_is_off(struct vde_device *device);
/* Changes so far: what simulated_cut_after() counts. */
uint64_t simulated_count(struct vde_device *device);

enum simulated_survival {
    SIMULATED_RANDOM, /* each request: all old, all new, or each sector old, new or garbage */
    SIMULATED_NONE,   /* nothing un-flushed survives */
    SIMULATED_ALL,    /* everything survives, in order */
    SIMULATED_SUBSET, /* each request old or new as a whole */
    SIMULATED_PREFIX, /* the first requests in order of completion, the next one in part, no other */
};

/* Cut the power if it is not off, settle what survived, and switch on again, with no injection armed. On failure
 * (NOMEM) the device is off, and nothing is settled. */
VDE_MUST_CHECK vde_status simulated_power_cycle(struct vde_device *device, enum simulated_survival survival,
                                                uint64_t choice_seed);

/* --- looking, without a request --------------------------------------------------------------------------------- */

struct simulated_counts {
    uint64_t reads, writes, dsync_writes, flushes, discards; /* dsync_writes are among writes */
    uint64_t bytes_read, bytes_written;
};
void simulated_counts(struct vde_device *device, struct simulated_counts *ret_counts);
/* Writes of 4 KiB pages that no flush covers yet. */
size_t simulated_pending(struct vde_device *device);
/* Of the durable image: equal images have equal hashes. */
uint64_t simulated_hash(struct vde_device *device);
/* Read the durable image; any offset and size inside the device. */
void simulated_peek(struct vde_device *device, uint64_t offset, void *buffer, size_t size);

/* --- injections, all from now on, several at once --------------------------------------------------------------- */

/* Overwrite bytes on the medium and in the drive's cache; any offset and size inside the device. */
VDE_MUST_CHECK vde_status simulated_poke(struct vde_device *device, uint64_t offset, const void *bytes, size_t size);
/* Flip one bit (0..7) of the byte at `offset`. */
VDE_MUST_CHECK vde_status simulated_flip_bit(struct vde_device *device, uint64_t offset, unsigned bit);

enum { SIMULATED_READ = 1, SIMULATED_WRITE = 2, SIMULATED_FLUSH = 4, SIMULATED_DISCARD = 8 };
#define SIMULATED_ALWAYS UINT64_MAX

/* At most this many may be armed at a time; arming more is a program error. */
#define SIMULATED_FAULTS_MAX 8u

/* The n-th request of these kinds (1 is the next) and `times - 1` after it fail with `os_errno` (EIO, ENOSPC, ...). */
void simulated_fail(struct vde_device *device, unsigned kinds, uint64_t nth, uint64_t times, int os_errno);
/* The n-th write is acknowledged and never applied. */
void simulated_lose_write(struct vde_device *device, uint64_t nth);
/* The n-th write goes to `to_offset` (a multiple of 4096; what does not fit is lost). */
void simulated_misdirect_write(struct vde_device *device, uint64_t nth, uint64_t to_offset);
/* Disarm all of them. */
void simulated_clear_faults(struct vde_device *device);
#endif
