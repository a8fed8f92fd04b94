/* SPDX-License-Identifier: Apache-2.0 */
/* volume_gather.c -- blocking writes of many threads joined into batches: the first to come leads the batch on its own
 * thread, at once when few are in flight, else when its turn comes; until then others join. */
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fail.h"
#include "dataset/volume.h"

#define FLIGHT_IDLE 2u /* batches in flight up to which a batch does not wait for company */
#define FLIGHT_FULL 4u /* the same for a full one */

static void futex_wait(atomic_uint *word)
{
    while (atomic_load_explicit(word, memory_order_acquire) == 0)
        syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}

static void futex_set(atomic_uint *word, int wake)
{
    atomic_store_explicit(word, 1, memory_order_release);
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, wake, NULL, NULL, 0);
}

/* Take the oldest waiting batch out of the line. Lock held. */
static struct write_batch *next_turn(struct gather *gather)
{
    struct write_batch *batch = gather->first_waiting;
    if (!batch)
        return NULL;
    gather->first_waiting = batch->next;
    if (!gather->first_waiting)
        gather->last_waiting = NULL;
    batch->next = NULL;
    batch->waiting = false;
    gather->in_flight++;
    return batch;
}

/* Lock held: the new batch goes at once, or into the line. */
static void start(struct gather *gather, struct write_batch *batch)
{
    if (gather->in_flight < FLIGHT_IDLE) {
        gather->in_flight++;
        atomic_store_explicit(&batch->turn, 1, memory_order_relaxed);
        return;
    }
    batch->waiting = true;
    if (gather->last_waiting)
        gather->last_waiting->next = batch;
    else
        gather->first_waiting = batch;
    gather->last_waiting = batch;
}

/* Join the open batch or begin one with `fresh`; NULL: a fresh one is needed. */
static struct write_batch *join(struct gather *gather, struct vde_volume *volume, uint64_t block, uint32_t blocks,
                                const void *data, struct write_batch *fresh, bool *ret_lead)
{
    struct write_batch *ready = NULL;
    lock_take(&gather->lock);
    struct write_batch *batch = gather->open;
    if (batch && !batch_fits(batch, volume->shared, block, blocks, false))
        batch = NULL;
    *ret_lead = !batch;
    if (!batch && fresh) {
        batch = gather->open = fresh;
        start(gather, batch);
    }
    if (batch) {
        batch_add(batch, volume->shared, block, blocks, data, (block + blocks) * BLOCK_BYTES);
        batch->users++;
        if (batch->blocks >= BATCH_BLOCKS) {
            gather->open = NULL;
            if (gather->in_flight < FLIGHT_FULL)
                ready = next_turn(gather);
        }
    }
    lock_drop(&gather->lock);
    if (ready)
        futex_set(&ready->turn, 1);
    return batch;
}

static void leave(struct gather *gather, struct write_batch *batch)
{
    lock_take(&gather->lock);
    bool last = --batch->users == 0;
    lock_drop(&gather->lock);
    if (last)
        batch_give(batch);
}

/* Carry a batch out; the others that wait for it learn how it went. */
static void lead(struct gather *gather, struct write_batch *batch)
{
    futex_wait(&batch->turn);
    lock_take(&gather->lock);
    if (gather->open == batch)
        gather->open = NULL;
    lock_drop(&gather->lock);
    batch->status = batch_run(batch);
    if (batch->status != VDE_OK)
        error_save(&batch->error);
    lock_take(&gather->lock);
    gather->in_flight--;
    struct write_batch *next = next_turn(gather);
    bool others = batch->users > 1;
    lock_drop(&gather->lock);
    if (others)
        futex_set(&batch->done, INT_MAX);
    if (next)
        futex_set(&next->turn, 1);
}

vde_status gather_write(struct vde_volume *volume, uint64_t block, uint32_t blocks, const void *data, bool hurried,
                        uint64_t *ret_lsn)
{
    struct gather *gather = &volume->volumes->gather;
    bool leader;
    struct write_batch *batch = join(gather, volume, block, blocks, data, NULL, &leader);
    if (!batch) {
        struct write_batch *fresh;
        VDE_TRY(batch_take(volume->volumes, &fresh));
        batch = join(gather, volume, block, blocks, data, fresh, &leader);
        if (batch != fresh) /* somebody was faster */
            batch_give(fresh);
    }
    if (leader) {
        batch->hurried = hurried;
        lead(gather, batch);
    }
    else
        futex_wait(&batch->done);
    vde_status status = batch->status;
    *ret_lsn = batch->lsn;
    if (status != VDE_OK)
        error_restore(&batch->error);
    leave(gather, batch);
    return status;
}
