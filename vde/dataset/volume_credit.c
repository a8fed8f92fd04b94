/* SPDX-License-Identifier: Apache-2.0 */
/* volume_credit.c -- space for requests of several transactions, reserved before the first: they find the image full as a
 * whole or not at all. Preallocated volumes have their space already. */
#include "base/checked.h"
#include "base/fail.h"
#include "dataset/volume.h"

#define TREE_BYTES 128u /* that one block may add to the trees, at most */

static uint64_t tree_blocks(struct vde_image *image, uint64_t runs, uint64_t blocks)
{
    lock_take(&image->views_lock);
    uint64_t need = pending_blocks(image, runs, blocks * TREE_BYTES);
    lock_drop(&image->views_lock);
    return need;
}

vde_status credit_take(const struct vde_volume *volume, uint64_t blocks, uint64_t runs, enum space_limit limit,
                       struct credit *ret_credit)
{
    struct vde_image *image = volume->image;
    unsigned tries = 0;
    vde_status status;
    *ret_credit = (struct credit){0};
    if (blocks == 0 || volume->shared->flags & VOLUME_PREALLOC)
        return VDE_OK;
    struct credit credit = {blocks, tree_blocks(image, runs, blocks)};
    do
        status = space_reserve(image->space, credit.data + credit.trees, limit);
    while (status == VDE_NOSPC && space_may_come(image, &tries));
    if (status == VDE_OK)
        *ret_credit = credit;
    return status;
}

void credit_give(struct vde_image *image, struct credit *credit)
{
    space_unreserve(image->space, credit->data + credit->trees);
    *credit = (struct credit){0};
}
