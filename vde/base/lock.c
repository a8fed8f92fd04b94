/* SPDX-License-Identifier: Apache-2.0 */
/* lock.c -- ranked mutexes. */
#include "base/lock.h"

#include "base/checked.h"

#ifdef VDE_ASSERTIONS
static _Thread_local unsigned held_ranks;
#endif

void lock_init(struct lock *lock, enum lock_rank rank)
{
    pthread_mutex_init(&lock->mutex, NULL);
    lock->rank = rank;
}

void lock_done(struct lock *lock)
{
    pthread_mutex_destroy(&lock->mutex);
}

void lock_take(struct lock *lock)
{
#ifdef VDE_ASSERTIONS
    VDE_ASSERT((held_ranks >> lock->rank) == 0);
    held_ranks |= 1u << lock->rank;
#endif
    pthread_mutex_lock(&lock->mutex);
}

void lock_drop(struct lock *lock)
{
#ifdef VDE_ASSERTIONS
    VDE_ASSERT(held_ranks & 1u << lock->rank);
    held_ranks &= ~(1u << lock->rank);
#endif
    pthread_mutex_unlock(&lock->mutex);
}

bool lock_held(const struct lock *lock)
{
#ifdef VDE_ASSERTIONS
    return (held_ranks >> lock->rank & 1u) != 0;
#else
    (void)lock;
    return true;
#endif
}
