/* SPDX-License-Identifier: Apache-2.0 */
/* change.h -- changes of the catalog that are no commits: under the names lock, against the newest submitted state. */
#ifndef LH_TXLOG_CHANGE_H
#define LH_TXLOG_CHANGE_H

#include "txlog/catalog.h"

struct lh_change_txn {
    struct lh_lakehouse *lakehouse;
    struct lh_catalog catalog;
    vde_txn *txn;
};
/* Take the lock and open the newest submitted state. VDE_READ_ONLY. */
vde_status lh_change_begin(struct lh_lakehouse *lakehouse, struct lh_change_txn *ret_change);
/* Submit when `status` is VDE_OK, release the lock, then wait: also for what a failure betrays. Returns the outcome. */
vde_status lh_change_end(struct lh_change_txn *change, vde_status status);
#endif
