/* SPDX-License-Identifier: Apache-2.0 */
/* request.h -- what every backend does with a request in the same way: refuse a wrong one, record and report a failed
 * one, and (for backends on a descriptor) move its bytes with a blocking call. */
#ifndef VDE_IO_REQUEST_H
#define VDE_IO_REQUEST_H

#include <vde/device.h>

#define REQUEST_UNIT_BYTES 4096u /* sizes, offsets and buffer addresses are multiples of it */

/* Reset the outputs of `io` and refuse what no device takes: INVAL (unaligned, too large, beyond the end, unknown op or
 * flag) or READ_ONLY, stored in io->result. True when it may be carried out. */
bool request_check(const struct vde_device_info *info, struct vde_io *io);

/* Record a failed system call: NOSPC, NOMEM or IO. ENODATA stands for "the file ends before this range". */
void request_fail(struct vde_io *io, int os_errno);

/* Set the thread's detail: "<name>: <what>: <reason>" with os_errno and this very status. */
vde_status request_error(vde_status status, int os_errno, const char *name, const char *what);

/* The status of a batch: VDE_OK, or the first failure by index with the thread's detail set; `name` is the device's. */
vde_status request_report(const char *name, const struct vde_io *ios, size_t count);

/* Refuse a discard that is unaligned, beyond the end or on a read-only device. */
vde_status request_check_discard(const struct vde_device_info *info, const char *name, uint64_t offset, uint64_t size);

/* Carry out a checked request with pread / pwritev2, resuming short results. */
void request_transfer(int fd, struct vde_io *io);
#endif
