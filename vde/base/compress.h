/* SPDX-License-Identifier: Apache-2.0 */
/* compress.h -- zstd with bounded input and output; contexts are per thread. */
#ifndef VDE_BASE_COMPRESS_H
#define VDE_BASE_COMPRESS_H

#include <stddef.h>

#include <vde/error.h>

/* Upper bound of compress_pack() output for `size` bytes. */
size_t compress_bound(size_t size);
/* Compress; returns 0 when it failed or would take more than `capacity`. */
size_t compress_pack(void *to, size_t capacity, const void *from, size_t size, int level);
/* Decompress to exactly `raw_size` bytes, else CORRUPT naming `object`. */
vde_status compress_unpack(void *to, size_t raw_size, const void *from, size_t size, const char *object);
#endif
