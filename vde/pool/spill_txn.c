/* SPDX-License-Identifier: Apache-2.0 */
/* spill_txn.c -- values too large for the log go to the heap while the transaction is being built. */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "pool/txn.h"
#include "tree/spill.h"

vde_status data_allocate(struct vde_image *image, uint32_t blocks, uint64_t *ret_address)
{
    return space_allocate(image->space, SPACE_DATA, SPACE_NORMAL, blocks, ret_address);
}

static vde_status allocate(void *context, uint32_t blocks, uint64_t *ret_address)
{
    vde_txn *txn = context;
    VDE_TRY(data_allocate(txn->image, blocks, ret_address));
    vde_status status = txn_own_extent(txn, *ret_address, blocks);
    if (status != VDE_OK)
        space_release(txn->image->space, *ret_address, blocks);
    return status;
}

static vde_status write(void *context, uint64_t address, const void *buffer, uint32_t blocks)
{
    vde_txn *txn = context;
    size_t size = (size_t)blocks * BLOCK_BYTES;
    void *copy = aligned_alloc(BLOCK_BYTES, size);
    if (!copy)
        return fail_nomem("value");
    memcpy(copy, buffer, size);
    vde_status status = device_transfer(txn->image->device, VDE_IO_WRITE, address, copy, blocks);
    free(copy);
    atomic_fetch_add(&txn->image->heap_bytes, size);
    return status;
}

static vde_status drop(void *context, uint64_t tree, struct ptr p)
{
    (void)context;
    (void)tree;
    (void)p;
    return VDE_OK;
}

vde_status txn_spill(vde_txn *txn, uint64_t dataset, const void *key, size_t key_size, const void *value, size_t size)
{
    struct tree_writer writer = {&txn->image->store, txn, allocate, write, drop, 0};
    uint8_t descriptor[SPILL_DESCRIPTOR_MAX];
    size_t descriptor_size;
    size_t owned = txn->extent_count;
    vde_status status = spill_write(&writer, value, size, descriptor, &descriptor_size);
    if (status == VDE_NOSPC && !log_poisoned(txn->image->log)) { /* deferred blocks may help */
        while (txn->extent_count > owned) {
            struct extent *last = &txn->extents[--txn->extent_count];
            space_release(txn->image->space, last->address, last->blocks);
        }
        VDE_TRY(checkpoint_run(txn->image, 0));
        VDE_TRY(checkpoint_run(txn->image, 0));
        status = spill_write(&writer, value, size, descriptor, &descriptor_size);
    }
    VDE_TRY(status);
    return txn_op(txn, dataset, key, key_size, VALUE_SPILLED, descriptor, descriptor_size);
}
