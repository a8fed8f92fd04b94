/* SPDX-License-Identifier: Apache-2.0 */
/* uring.h -- the "uring" backend: a batch of requests in flight at once through io_uring. */
#ifndef VDE_IO_URING_H
#define VDE_IO_URING_H

#include "io/file.h"

/* Try it: set a ring up, ask whether it knows the operations used here, complete one of them. False with the reason
 * ("io_uring: Operation not permitted") when the kernel is too old or a sandbox forbids it. */
bool uring_works(char *ret_reason, size_t size);

/* Takes `file` over on success; untouched on failure. */
vde_status uring_open(const struct file *file, struct vde_device **ret_device);
#endif
