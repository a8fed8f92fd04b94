/* SPDX-License-Identifier: Apache-2.0 */
/* restore.h -- a restore being worked out: what one version has and the latest lacks, and the reverse. */
#ifndef LH_TIMETRAVEL_RESTORE_H
#define LH_TIMETRAVEL_RESTORE_H

#include <lakehouse/restore.h>

#include "timetravel/point.h"
#include "txlog/txn.h"

struct lh_restoring {
    struct lh_point point;
    struct lh_state *then, *now;
    struct lh_txn *txn;
    struct lh_member_txn *member;
    struct lh_hash_map files;    /* of then: key -> encoded add; live while the latest version lacks it */
    struct lh_hash_map gone;     /* paths of files that were removed from the image by force */
    struct lh_arena arena;
    struct lh_decoder decoder;
    struct lh_buffer scratch, text;
    struct lh_restore_report report;
};

/* --- restore_meta.c --- */
/* Add what metaData, domains and registered partitions need. LH_VALIDATION. */
vde_status lh_restore_objects(struct lh_restoring *r);
#endif
