/* SPDX-License-Identifier: Apache-2.0 */
/* aio_queue.h -- an asynchronous queue over a libaio context. */
#ifndef VDE_IO_AIO_QUEUE_H
#define VDE_IO_AIO_QUEUE_H

#include "io/file.h"

/* `file` outlives the queue. UNSUPPORTED: the kernel gives no context. */
vde_status aio_queue_open(const struct file *file, uint32_t depth, struct vde_io_queue **ret_queue);
#endif
