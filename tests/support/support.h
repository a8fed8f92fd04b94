/* SPDX-License-Identifier: Apache-2.0 */
/* support.h -- what tests of every layer need: temporary paths, aligned buffers, reproducible bytes, one-line I/O. */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vde/device.h>

#define TMP_PATH_BYTES 256

/* A path in `folder` (NULL: $TMPDIR, else /tmp) that does not exist, unique for process and call. */
void tmp_path(char ret_path[TMP_PATH_BYTES], const char *folder, const char *name);

/* Remove a file, or an empty folder; missing is fine. */
void tmp_remove(const char *path);

/* 4096-aligned; ends the test when there is no memory. Release with free(). */
void *aligned_buffer(size_t size);

/* The same bytes for the same seed. */
void fill_bytes(void *buffer, size_t size, uint64_t seed);
bool bytes_equal_seed(const void *buffer, size_t size, uint64_t seed);

/* One request, whole: of bytes from `seed`, or compared with them. */
vde_status write_seed(struct vde_device *device, uint64_t offset, uint32_t size, uint64_t seed, unsigned flags);
bool reads_seed(struct vde_device *device, uint64_t offset, uint32_t size, uint64_t seed);
bool reads_zeroes(struct vde_device *device, uint64_t offset, uint32_t size);
#endif
