/* SPDX-License-Identifier: Apache-2.0 */
/* probe.h -- what is at a place before it is formatted: room, and somebody's data. */
#ifndef VDE_IO_PROBE_H
#define VDE_IO_PROBE_H

#include <vde/device.h>

/* Bytes that an ordinary user may still write to the file system that holds `path`, or would hold it when the file does
 * not exist yet. */
VDE_MUST_CHECK vde_status probe_free_space(const char *path, uint64_t *ret_bytes);

/* Name what the device holds: "a GPT partition table", "an ext4 file system", ..., "data in its first MiB" for any byte
 * there that is not zero, or "" when it is blank. Only a name for a message: a device that is not blank is in use. */
VDE_MUST_CHECK vde_status probe_foreign_content(struct vde_device *device, char *ret_what, size_t size);
#endif
