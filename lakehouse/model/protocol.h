/* SPDX-License-Identifier: Apache-2.0 */
/* protocol.h -- what of Delta's protocol this engine understands.
 *
 * A table is native when every reader feature that it demands and every type in its schema is understood: its state is
 * decoded, and it can be committed to unless a writer feature is not understood. Otherwise it is opaque: bytes, history and
 * export work, state and commit are refused by the feature's or type's name. */
#ifndef LH_MODEL_PROTOCOL_H
#define LH_MODEL_PROTOCOL_H

#include "model/action.h"
#include "model/features.h"
#include "model/schema.h"

struct lh_verdict {
    bool native;        /* state can be decoded */
    bool writable;      /* and committed to */
    char what[160];     /* not both: "reader feature x", "writer version 9", "type geometry of column g" */
};
/* Judge by protocol and, when `schema` is not NULL, its types. */
void lh_protocol_judge(const struct lh_protocol *protocol, const struct lh_schema *schema, struct lh_verdict *ret_verdict);
/* The same from the two actions; an absent schemaString is an empty schema; one that can't be parsed makes it opaque. */
vde_status lh_protocol_judge_actions(const struct lh_protocol *protocol, const struct lh_metadata *metadata,
                                     struct lh_verdict *ret_verdict);
/* INVAL when the protocol itself is illegal: lists without version 3 / 7, reader feature not in both lists. */
vde_status lh_protocol_check(const struct lh_protocol *protocol);
#endif
