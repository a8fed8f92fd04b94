/* SPDX-License-Identifier: Apache-2.0 */
/* file.h -- a regular file or block device, opened, locked and described: what the descriptor backends stand on. */
#ifndef VDE_IO_FILE_H
#define VDE_IO_FILE_H

#include <vde/device.h>

struct file {
    int fd;
    bool locked;
    bool punch;                  /* discards punch holes into a regular file */
    char *path;                  /* owned */
    struct vde_device_info info; /* backend still empty; of an open device only size_bytes changes, atomically */
};

/* As vde_device_open(), without a backend. On failure nothing is left open, and a file this call created is gone. */
vde_status file_open(const char *path, unsigned flags, uint64_t size_bytes, struct file *ret_file);

/* Give the lock back and close. All I/O must have completed. */
void file_close(struct file *file);

vde_status file_flush(const struct file *file);

/* Block devices: BLKDISCARD where the device has it. Regular files: a hole is punched when they were opened with
 * VDE_DEVICE_DISCARD; else nothing, because it would have to be allocated again by the next write, at the price of a
 * journal commit a flush. */
vde_status file_discard(const struct file *file, uint64_t offset, uint64_t size);

void file_info(const struct file *file, struct vde_device_info *ret_info);

/* Take note of a size that has grown. INVAL: it has become smaller. */
vde_status file_refresh(struct file *file);

/* Add a sentence to info.note; several are separated by "; ". */
void file_note(struct vde_device_info *info, const char *format, ...) VDE_PRINTF(2, 3);
#endif
