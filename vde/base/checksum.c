/* SPDX-License-Identifier: Apache-2.0 */
/* checksum.c -- XXH3-64 by libxxhash, with the widest vectors that the processor has where the library chooses them. */
#include "base/checksum.h"

#include <xxhash.h>
#ifdef VDE_XXH_DISPATCH
#include <xxh_x86dispatch.h> /* the same names, chosen at run time */
#endif

uint64_t checksum(const void *data, size_t size, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, size, seed);
}
