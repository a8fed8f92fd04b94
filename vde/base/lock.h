/* SPDX-License-Identifier: Apache-2.0 */
/* lock.h -- the only lock order of the engine. A thread may take a lock only if its rank is higher than that of every
 * lock it holds; checked in builds with VDE_ASSERTIONS. liblakehouse keeps its own order above (lakehouse/txlog). */
#ifndef VDE_BASE_LOCK_H
#define VDE_BASE_LOCK_H

#include <pthread.h>
#include <stdbool.h>

enum lock_rank {
    LOCK_NAMES = 1,      /* one administrative change of volumes and snapshots at a time */
    LOCK_IDLE,           /* a step of what is done while nobody asks for anything */
    LOCK_CHECKPOINT,     /* one checkpoint at a time */
    LOCK_GATE,           /* append + apply; the cut */
    LOCK_GROUP,          /* the open commit group */
    LOCK_VIEWS,          /* list of pinned views and layer references */
    LOCK_PREALLOC,       /* what preallocated volumes may still take */
    LOCK_SPACE,          /* bitmaps, reservations */
    LOCK_CACHE,          /* node cache shard */
    LOCK_QUEUE,          /* completion queue */
    LOCK_VOLUMES,        /* open volumes, gathered writes, spare buffers */
    LOCK_DEVICE,         /* backend internals */
};

struct lock {
    pthread_mutex_t mutex;
    enum lock_rank rank;
};

void lock_init(struct lock *lock, enum lock_rank rank);
void lock_done(struct lock *lock);
void lock_take(struct lock *lock);
void lock_drop(struct lock *lock);
/* True in release builds. */
bool lock_held(const struct lock *lock);
#endif
