/* SPDX-License-Identifier: Apache-2.0 */
/* volume_idle.c -- defragmentation while nobody asks for anything: a pass over each volume that is open for writing, in small
 * steps with pauses. It stops with the next request and goes on where it was. A volume gets its next pass when enough has
 * changed in it since the last one began; what a pass rewrites it leaves in half as many pieces at least, so passes over the
 * same stretch come to an end. */
#include "base/checked.h"
#include "base/fail.h"
#include "dataset/volume.h"

#define STEP_BLOCKS 256u  /* read and written in one step */
#define PAUSE_US 50000u   /* between two steps */
#define RETRY_US 1000000u /* until the next look when a checkpoint or free space is missing */
#define CHANGES_MIN 64u   /* requests that make another pass worth it */
#define FREE_PART 8u      /* the eighth part of the image stays free: what a step replaces is free two checkpoints later */

/* Microseconds until nothing was asked for long enough; 0 when that is so. Idle lock held. */
static uint64_t still_busy(struct vde_image *image, uint64_t now)
{
    uint64_t activity = atomic_load(&image->requests) + atomic_load(&image->eager_lsn);
    if (activity != image->idle.activity || now < image->idle.since_us) {
        image->idle.activity = activity;
        image->idle.since_us = image->idle.next_us = now;
    }
    uint64_t begin = max_u64(image->idle.since_us + image->idle_us, image->idle.next_us);
    return begin > now ? begin - now : 0;
}

static bool needs_pass(const struct open_volume *shared)
{
    return shared->idle.under_way || !shared->idle.done ||
           atomic_load(&shared->changes) - shared->idle.changes >= CHANGES_MIN;
}

/* A volume to work at; it stays open while the idle lock is held. */
static struct open_volume *choose(struct vde_image *image)
{
    lock_take(&image->volumes_lock);
    struct open_volume *shared = image->volumes ? image->volumes->open : NULL;
    while (shared && (shared->writers == 0 || !needs_pass(shared)))
        shared = shared->next;
    lock_drop(&image->volumes_lock);
    return shared;
}

/* Blocks that no checkpoint has merged yet are not rewritten: a pass would miss them. */
static bool merged(struct vde_image *image)
{
    lock_take(&image->views_lock);
    bool all = image->sb_published.checkpoint_lsn >= log_last_lsn(image->log);
    lock_drop(&image->views_lock);
    return all;
}

static bool room(struct vde_image *image)
{
    struct space_counts counts;
    space_counts(image->space, &counts);
    uint64_t kept = counts.reserved + counts.volume_reserved + counts.slop;
    return counts.free >= kept + max_u64(counts.total / FREE_PART, 2 * STEP_BLOCKS);
}

/* A failure ends the pass: whoever uses the volume learns it, and more changes make another one. */
static void step(struct vde_image *image, struct open_volume *shared)
{
    struct vde_volume volume = {.image = image, .volumes = image->volumes, .shared = shared};
    uint64_t requests = atomic_load(&image->requests), rewritten;
    if (requests + atomic_load(&image->eager_lsn) != image->idle.activity)
        return;
    if (!shared->idle.under_way) {
        shared->idle.under_way = true;
        shared->idle.block = 0;
        shared->idle.changes = atomic_load(&shared->changes);
    }
    lock_init(&volume.map_lock, LOCK_VOLUMES);
    uint64_t before = shared->idle.block;
    vde_status status = volume_defrag(&volume, &shared->idle.block, STEP_BLOCKS, &requests, &rewritten);
    lock_done(&volume.map_lock);
    if (atomic_load(&image->requests) != requests) /* what was given up comes again */
        shared->idle.block = before;
    else if (status != VDE_OK || shared->idle.block == 0)
        shared->idle.under_way = false;
    shared->idle.done = true;
}

uint64_t volumes_idle_step(struct vde_image *image)
{
    uint64_t now = image_now_us(image), wait = UINT64_MAX;
    lock_take(&image->idle_lock);
    uint64_t busy = still_busy(image, now);
    struct open_volume *shared = choose(image);
    if (shared && busy > 0) {
        wait = busy;
    } else if (shared && ((!shared->idle.under_way && !merged(image)) || !room(image))) {
        wait = RETRY_US;
    } else if (shared) {
        step(image, shared);
        wait = PAUSE_US;
        image->idle.next_us = now + PAUSE_US;
    }
    lock_drop(&image->idle_lock);
    return wait;
}
