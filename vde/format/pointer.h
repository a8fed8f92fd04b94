/* SPDX-License-Identifier: Apache-2.0 */
/* pointer.h -- how one block run names another: {address, length, birth, checksum}. docs/format.md "Pointers". */
#ifndef VDE_FORMAT_POINTER_H
#define VDE_FORMAT_POINTER_H

#include <assert.h>
#include <stdbool.h>

#include "base/le.h"

#define BLOCK_BYTES 4096u
#define BLOCK_SHIFT 12

/* In memory. A pointer with address 0 is null (block 0 is never ours). */
struct ptr {
    uint64_t address;   /* in blocks */
    uint32_t blocks;    /* length of the run owned, >= 1 */
    uint32_t bytes;     /* bytes of it that carry content (checksummed), <= blocks * 4096 */
    uint64_t birth;     /* LSN at which this reference became live */
    uint64_t checksum;  /* XXH3 of the content, seed = image seed ^ address */
};

struct disk_ptr {
    vde_le64 address;
    vde_le32 blocks;
    vde_le32 bytes;
    vde_le64 birth;
    vde_le64 checksum;
};
static_assert(sizeof(struct disk_ptr) == 32, "pointer size");

static inline struct ptr ptr_get(const struct disk_ptr *d)
{
    return (struct ptr){le64_get(d->address), le32_get(d->blocks), le32_get(d->bytes), le64_get(d->birth),
                        le64_get(d->checksum)};
}
static inline struct disk_ptr ptr_put(struct ptr p)
{
    return (struct disk_ptr){le64(p.address), le32(p.blocks), le32(p.bytes), le64(p.birth), le64(p.checksum)};
}
static inline bool ptr_is_null(struct ptr p) { return p.address == 0; }
#endif
