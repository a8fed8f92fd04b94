/* SPDX-License-Identifier: Apache-2.0 */
/* features.h -- the one table of Delta's features, and which of them a table's protocol and metaData put to use. */
#ifndef LH_MODEL_FEATURES_H
#define LH_MODEL_FEATURES_H

#include <lakehouse/features.h>

#include "model/action.h"

/* NULL when the table does not list it. */
const struct lh_feature *lh_feature_find(struct lh_slice name);
/* Whether the protocol has the feature, by list or by legacy version. */
bool lh_protocol_has(const struct lh_protocol *protocol, const char *feature);
/* Whether the property says so. */
bool lh_property_is(const struct lh_map *configuration, const char *key, const char *value);

/* Rules that the commit path keeps for a table. */
#define LH_ASKS_APPEND_ONLY LH_BIT(0)
#define LH_ASKS_ROW_IDS LH_BIT(1)        /* adds get row ids */
#define LH_ASKS_RECORDS LH_BIT(2)        /* adds must tell numRecords */
#define LH_ASKS_NO_VECTORS LH_BIT(3)
#define LH_ASKS_VECTORS LH_BIT(4)        /* adds may have deletion vectors */
#define LH_ASKS_NEW_VECTORS LH_BIT(5)    /* also such as the table has not yet */
#define LH_ASKS_DOMAINS LH_BIT(6)        /* domainMetadata is allowed */
#define LH_ASKS_CLUSTERING LH_BIT(7)     /* clustering columns may be set; adds must tell their statistics */
#define LH_ASKS_IN_COMMIT_TIME LH_BIT(8)
#define LH_ASKS_MAPPED LH_BIT(9)         /* files name columns physically */
uint32_t lh_feature_rules(const struct lh_protocol *protocol, const struct lh_metadata *metadata);

/* Names of the features in use that only the data's writer can guarantee, in the table's order. They bind when the table
 * uses them, not when the protocol merely allows them. */
#define LH_DUTIES_MAX 8u
struct lh_duties {
    const char *names[LH_DUTIES_MAX];
    unsigned count;
};
vde_status lh_feature_duties(const struct lh_protocol *protocol, const struct lh_metadata *metadata,
                             struct lh_duties *ret_duties);
#endif
