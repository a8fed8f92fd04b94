/* SPDX-License-Identifier: Apache-2.0 */
/* checksum.h -- XXH3-64, the only checksum of the format; `seed` binds it to an image or place. */
#ifndef VDE_BASE_CHECKSUM_H
#define VDE_BASE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

uint64_t checksum(const void *data, size_t size, uint64_t seed);
#endif
