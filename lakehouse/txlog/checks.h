/* SPDX-License-Identifier: Apache-2.0 */
/* checks.h -- what the features of a table ask of a commit. */
#ifndef LH_TXLOG_CHECKS_H
#define LH_TXLOG_CHECKS_H

#include "txlog/txn.h"

#define LH_CLUSTERING_DOMAIN "delta.clustering"

/* Judge the member by the protocol and metaData that it found or puts in force; it is judged again when those change. */
vde_status lh_features_check(struct lh_member_txn *member);
/* Whether an add has a deletion vector while the table allows no new ones: then only those that it has already may come. */
bool lh_features_old_vectors(const struct lh_member_txn *member);
vde_status lh_features_check_vectors(const struct lh_member_txn *member, struct lh_state *state);
#endif
