/* SPDX-License-Identifier: Apache-2.0 */
/* checksum.c -- XXH3-64 by libxxhash. */
#include "base/checksum.h"

#include <xxhash.h>

uint64_t checksum(const void *data, size_t size, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, size, seed);
}
