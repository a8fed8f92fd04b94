/* SPDX-License-Identifier: Apache-2.0 */
/* commit.h -- the steps of commit.c that need the locks. */
#ifndef LH_TXLOG_COMMIT_H
#define LH_TXLOG_COMMIT_H

#include "txlog/txn.h"

/* Try again: what was prepared no longer holds. Not a status that anybody sees. */
#define LH_AGAIN 9999

struct lh_attempt {
    struct lh_txn *txn;
    struct lh_member_txn **sorted; /* by table id */
    size_t locked;               /* of `sorted` */
    bool names_locked;
    uint64_t wait_lsn;           /* what must be durable before the outcome may be told or tried again */
    unsigned number;
};

/* --- validate.c, with all locks held --- */
vde_status lh_validate_names(struct lh_attempt *attempt, bool *ret_repeat, uint8_t group[16]);
/* ALREADY_APPLIED when an application's transaction was recorded before; with the lock of the member's head. */
vde_status lh_check_apps(struct lh_attempt *attempt, const struct lh_member_txn *member);
vde_status lh_validate_member(struct lh_attempt *attempt, struct lh_member_txn *member);

/* Everything but the wait. *ret_repeat: the idempotency key was used before; txn->group is the first one's. */
vde_status lh_txn_submit_only(struct lh_txn *txn, bool *ret_repeat);

/* Content of the transaction, for its idempotency key. */
void lh_txn_digest(const struct lh_txn *txn, uint8_t digest[16]);
#endif
