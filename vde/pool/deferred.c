/* SPDX-License-Identifier: Apache-2.0 */
/* deferred.c -- blocks that checkpoints dropped, on their way to being free: kept until the next checkpoint is durable and no
 * pinned reader can reach them, then forgotten, discarded, and only then handed out again.
 *
 * Dropped by checkpoint g, a run is out of reach of superblock g and of all later ones; it goes when g + 1 is durable, so that
 * neither of the two newest superblocks on the device reaches it. */
#include <stdlib.h>

#include "base/checked.h"
#include "base/mutate.h"
#include "pool/deferred.h"

#define DISCARD_BLOCKS 16u /* shorter runs are not worth a request */
#define BATCH 512u

static int by_address(const void *a, const void *b)
{
    const struct deferred_run *x = a, *y = b;
    return x->address < y->address ? -1 : x->address > y->address;
}

/* Move what may go to the end, sorted and joined. Returns how many stay; *ret_due is the number behind them. */
static size_t split(struct vde_image *image, uint64_t durable, size_t *ret_due)
{
    uint64_t oldest = layers_oldest_generation(image);
    struct deferred_run *runs = image->deferred;
    size_t kept = 0, count = image->deferred_count;
    *ret_due = 0;
    if (count == 0)
        return 0;
    for (size_t i = 0; i < count; i++) {
        struct deferred_run run = runs[i];
        if ((run.generation < durable && run.generation <= oldest) || MUTATED(MUTATE_EARLY_REUSE))
            continue;
        runs[i] = runs[kept];
        runs[kept++] = run;
    }
    struct deferred_run *due = runs + kept;
    size_t joined = 0;
    if (count > kept)
        qsort(due, count - kept, sizeof *due, by_address);
    for (size_t i = 0; i < count - kept; i++) {
        if (joined > 0 && due[joined - 1].address + due[joined - 1].blocks == due[i].address)
            due[joined - 1].blocks += due[i].blocks;
        else
            due[joined++] = due[i];
    }
    *ret_due = joined;
    return kept;
}

struct gone {
    const struct deferred_run *runs;
    size_t count;
};

static bool is_gone(void *context, uint64_t address)
{
    const struct gone *gone = context;
    size_t low = 0, high = gone->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (gone->runs[middle].address <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && address - gone->runs[low - 1].address < gone->runs[low - 1].blocks;
}

/* Node for node while these are few, else by a walk over the cache: a checkpoint of volumes drops far more blocks than the cache
 * has nodes. */
static void forget(struct node_cache *cache, const struct deferred_run *due, size_t count)
{
    uint64_t blocks = 0;
    for (size_t i = 0; i < count; i++)
        blocks += due[i].blocks;
    if (blocks > node_cache_frames(cache)) {
        struct gone gone = {due, count};
        node_cache_forget_if(cache, is_gone, &gone);
        return;
    }
    for (size_t i = 0; i < count; i++)
        for (uint64_t b = 0; b < due[i].blocks; b++)
            node_cache_forget(cache, due[i].address + b);
}

/* A failure costs nothing but the advice. */
static void discard(struct vde_image *image, const struct deferred_run *due, size_t count)
{
    struct vde_device *device = image->device;
    for (size_t i = 0; i < count && image->discards && device->ops->discard; i++) {
        if (due[i].blocks < DISCARD_BLOCKS)
            continue;
        vde_status status = device->ops->discard(device, due[i].address * BLOCK_BYTES, due[i].blocks * BLOCK_BYTES);
        if (status == VDE_UNSUPPORTED)
            image->discards = false;
    }
}

static void release(struct vde_image *image, const struct deferred_run *due, size_t count)
{
    struct run batch[BATCH];
    for (size_t i = 0; i < count;) {
        size_t n = 0;
        for (; n < BATCH && i < count; n++, i++)
            batch[n] = (struct run){due[i].address, due[i].blocks};
        space_release_many(image->space, batch, n);
    }
}

void deferred_release(struct vde_image *image, uint64_t durable)
{
    size_t count, kept = split(image, durable, &count);
    if (count > 0) {
        const struct deferred_run *due = image->deferred + kept;
        forget(image->cache, due, count);
        discard(image, due, count);
        release(image, due, count);
    }
    uint64_t blocks = 0;
    for (size_t i = 0; i < kept; i++)
        blocks += image->deferred[i].blocks;
    image->deferred_count = kept;
    lock_take(&image->views_lock);
    image->deferred_blocks = blocks;
    lock_drop(&image->views_lock);
}
