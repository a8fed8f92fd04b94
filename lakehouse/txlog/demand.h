/* SPDX-License-Identifier: Apache-2.0 */
/* demand.h -- which table features a new schema or changed properties need. */
#ifndef LH_TXLOG_DEMAND_H
#define LH_TXLOG_DEMAND_H

#include "txlog/txn.h"

#define LH_DEMANDS_MAX 64u
struct lh_demands {
    const struct lh_feature *features[LH_DEMANDS_MAX];
    unsigned count;
};
/* `old` is NULL for a new table; `protocol` and `now` are what will be in force, the features asked for aside. */
vde_status lh_demands_find(const struct lh_member_txn *member, const struct lh_meta *old, const struct lh_protocol *protocol,
                           const struct lh_metadata *now, struct lh_demands *ret_demands);
/* Name the columns that rewritten files keep their rows' ids in, where a new table's rows are tracked and nobody named
 * them. The map has room for two pairs more. */
vde_status lh_demand_row_columns(struct lh_txn *txn, struct lh_map *configuration);
/* Whether a property is no property, but asks for a feature: "delta.feature.<name>". */
bool lh_demand_is(const struct lh_pair *change);
#endif
