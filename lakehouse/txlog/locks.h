/* SPDX-License-Identifier: Apache-2.0 */
/* locks.h -- the only lock order of the table layer. It stands above the engine's: no engine lock is held when one of
 * these is taken.
 *
 *   NAMES   one: creating and dropping namespaces and tables, idempotency keys
 *   TABLE   one per table, several in ascending order of their ids
 *   HEADS   the maps from ids and names to heads, and (another one) the kept descriptions: never held while another is taken
 *
 * Checked in builds with VDE_ASSERTIONS. A build with VDE_MUTATE_LOCK_ORDER takes table locks in the order in which the
 * caller named the tables, unchecked: a test shows that it hangs. */
#ifndef LH_TXLOG_LOCKS_H
#define LH_TXLOG_LOCKS_H

#include <pthread.h>
#include <stdint.h>

enum lh_lock_rank { LH_LOCK_NAMES = 1, LH_LOCK_TABLE, LH_LOCK_HEADS };

struct lh_lock {
    pthread_mutex_t mutex;
    enum lh_lock_rank rank;
    uint64_t id;
};

int lh_lock_init(struct lh_lock *lock, enum lh_lock_rank rank, uint64_t id);
void lh_lock_done(struct lh_lock *lock);
/* Returns how long it waited, in microseconds; 0 when it was free. */
uint64_t lh_lock_take(struct lh_lock *lock);
void lh_lock_drop(struct lh_lock *lock);
#endif
