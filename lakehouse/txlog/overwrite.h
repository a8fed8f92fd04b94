/* SPDX-License-Identifier: Apache-2.0 */
/* overwrite.h -- members that overwrite a table, or the files that some partition values pick. */
#ifndef LH_TXLOG_OVERWRITE_H
#define LH_TXLOG_OVERWRITE_H

#include "txlog/txn.h"

/* Judge the predicate and the added files against the partitioning in force; puts a commitInfo with the operation's
 * parameters into `first`, unless one was given. LH_VALIDATION. */
vde_status lh_overwrite_prepare(struct lh_member_txn *member, const struct lh_meta *meta);
/* Whether a file with these partition values is overwritten. Only after lh_overwrite_prepare(). */
vde_status lh_overwrite_matches(const struct lh_member_txn *member, const struct lh_meta *meta, const struct lh_map *values,
                                struct lh_arena *arena, bool *ret_matches);
#endif
