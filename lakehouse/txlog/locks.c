/* SPDX-License-Identifier: Apache-2.0 */
#include "txlog/locks.h"

#include <stddef.h>
#include <time.h>

#include "state/fail.h"

#if defined(VDE_ASSERTIONS) && !defined(VDE_MUTATE_LOCK_ORDER)
#define HELD_MAX 512u
static _Thread_local const struct lh_lock *held[HELD_MAX];
static _Thread_local unsigned held_count;

static void check_take(const struct lh_lock *lock)
{
    for (unsigned i = 0; i < held_count && i < HELD_MAX; i++) {
        const struct lh_lock *other = held[i];
        LH_ASSERT(other->rank < lock->rank || (other->rank == lock->rank && other->id < lock->id));
    }
    if (held_count < HELD_MAX)
        held[held_count] = lock;
    held_count++;
}

static void check_drop(const struct lh_lock *lock)
{
    for (unsigned i = 0; i < held_count && i < HELD_MAX; i++) {
        if (held[i] == lock) {
            held[i] = held[(held_count < HELD_MAX ? held_count : HELD_MAX) - 1];
            break;
        }
    }
    LH_ASSERT(held_count > 0);
    held_count--;
}
#else
static void check_take(const struct lh_lock *lock) { (void)lock; }
static void check_drop(const struct lh_lock *lock) { (void)lock; }
#endif

int lh_lock_init(struct lh_lock *lock, enum lh_lock_rank rank, uint64_t id)
{
    lock->rank = rank;
    lock->id = id;
    return pthread_mutex_init(&lock->mutex, NULL);
}

void lh_lock_done(struct lh_lock *lock) { pthread_mutex_destroy(&lock->mutex); }

uint64_t lh_lock_take(struct lh_lock *lock)
{
    check_take(lock);
    if (pthread_mutex_trylock(&lock->mutex) == 0)
        return 0;
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    pthread_mutex_lock(&lock->mutex);
    clock_gettime(CLOCK_MONOTONIC, &to);
    int64_t ns = (int64_t)(to.tv_sec - from.tv_sec) * 1000000000 + (to.tv_nsec - from.tv_nsec);
    return ns > 0 ? (uint64_t)ns / 1000 : 0;
}

void lh_lock_drop(struct lh_lock *lock)
{
    check_drop(lock);
    pthread_mutex_unlock(&lock->mutex);
}
