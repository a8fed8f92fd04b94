/* SPDX-License-Identifier: Apache-2.0 */
/* file_probe.h -- what an open descriptor is and can do. */
#ifndef VDE_IO_FILE_PROBE_H
#define VDE_IO_FILE_PROBE_H

#include <vde/device.h>

/* Fill is_block_device, logical_block_bytes and model; the exact size goes to *ret_bytes. INVAL for anything but a
 * regular file or block device. */
vde_status file_probe_size(int fd, const char *path, struct vde_device_info *info, uint64_t *ret_bytes);

/* Switch the descriptor to O_DIRECT if an aligned read works that way; else it stays buffered and info->note says
 * why. */
void file_probe_direct(int fd, struct vde_device_info *info);
#endif
