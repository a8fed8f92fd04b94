/* SPDX-License-Identifier: Apache-2.0 */
/* uring_queue.h -- an asynchronous queue with an io_uring of its own. */
#ifndef VDE_IO_URING_QUEUE_H
#define VDE_IO_URING_QUEUE_H

#include "io/file.h"

/* `file` outlives the queue. */
vde_status uring_queue_open(const struct file *file, uint32_t depth, struct vde_io_queue **ret_queue);
#endif
