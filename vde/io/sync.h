/* SPDX-License-Identifier: Apache-2.0 */
/* sync.h -- the "sync" backend: blocking calls, one request after the other. Works everywhere. */
#ifndef VDE_IO_SYNC_H
#define VDE_IO_SYNC_H

#include "io/file.h"

/* Takes `file` over on success; untouched on failure. */
vde_status sync_open(const struct file *file, struct vde_device **ret_device);
#endif
