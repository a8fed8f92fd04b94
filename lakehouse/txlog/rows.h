/* SPDX-License-Identifier: Apache-2.0 */
/* rows.h -- row tracking: which ids the rows of added files have.
 *
 * Fresh ids follow the highest one of the table, and are of the version that adds them: both are known only under the
 * table's lock. So adds are encoded before with holes, and copied into the record with the holes filled. A file that is
 * active already, with another deletion vector or without, keeps its ids, as do ids at or below the highest that come with
 * the add: of a file that comes back. */
#ifndef LH_TXLOG_ROWS_H
#define LH_TXLOG_ROWS_H

#include "txlog/txn.h"

#define LH_ROW_DOMAIN "delta.rowTracking"

struct lh_row_hole {
    size_t at;       /* in member->tracked */
    int64_t base;    /* below 0: fresh, `skip` ids after the highest */
    int64_t skip;
};

/* Whether the member adds files to a table that tracks rows. */
bool lh_rows_tracked(const struct lh_member_txn *member);
/* The highest id of a state; -1: none yet. */
vde_status lh_rows_highest(const struct lh_state *state, int64_t *ret_highest);
/* Encode the member's actions into member->tracked. `state` is what it adds to, NULL for a new table; `removed` holds by
 * path the adds of files that the member removes. */
vde_status lh_rows_encode(struct lh_member_txn *member, struct lh_state *state, const struct lh_hash_map *removed);
/* With the table's lock held and the version given: append the actions, ids filled in, and what the highest id becomes. */
vde_status lh_rows_fill(struct lh_member_txn *member, struct lh_buffer *out, uint64_t *ret_actions);
#endif
