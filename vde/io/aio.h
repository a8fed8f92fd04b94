/* SPDX-License-Identifier: Apache-2.0 */
/* aio.h -- the "aio" backend: a batch of requests in flight at once through libaio, where io_uring is not to be had. */
#ifndef VDE_IO_AIO_H
#define VDE_IO_AIO_H

#include "io/file.h"

/* Try it: set a context up and take it down. False with the reason when the kernel or a sandbox refuses. */
bool aio_works(char *ret_reason, size_t size);

/* Takes `file` over on success; untouched on failure. */
vde_status aio_open(const struct file *file, struct vde_device **ret_device);
#endif
