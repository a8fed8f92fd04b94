/* SPDX-License-Identifier: Apache-2.0 */
/* protocol.h -- what of Delta's protocol this engine understands.
 *
 * A table is native when every feature that it demands and every type in its schema is understood: its state is decoded
 * and it can be committed to. Otherwise it is opaque: bytes, history and export work, state and commit are refused by the
 * feature's or type's name. */
#ifndef LH_MODEL_PROTOCOL_H
#define LH_MODEL_PROTOCOL_H

#include "model/action.h"
#include "model/schema.h"

/* What a known feature asks of a commit. */
enum lh_feature_duty {
    LH_DUTY_NONE,       /* nothing beyond keeping its fields */
    LH_DUTY_ENGINE,     /* the commit path checks or maintains it */
    LH_DUTY_WRITER      /* only who wrote the data can guarantee it: commits that add data must declare it */
};
struct lh_feature {
    const char *name;
    bool reader;                     /* reader and writer feature */
    uint8_t legacy_reader_version;   /* implied from this version on when there is no list; 0: never */
    uint8_t legacy_writer_version;
    enum lh_feature_duty duty;
};
/* NULL when this code does not know it. */
const struct lh_feature *lh_feature_find(struct lh_slice name);
/* Whether the protocol has the feature, by list or by legacy version. */
bool lh_protocol_has(const struct lh_protocol *protocol, const char *feature);

struct lh_verdict {
    bool native;        /* state can be decoded and committed to */
    char what[160];     /* not native: "reader feature x", "writer version 9", "type geometry of column g" */
};
/* Judge by protocol and, when `schema` is not NULL, its types. */
void lh_protocol_judge(const struct lh_protocol *protocol, const struct lh_schema *schema, struct lh_verdict *ret_verdict);
/* The same from the two actions; an absent schemaString is an empty schema; one that can't be parsed makes it opaque. */
vde_status lh_protocol_judge_actions(const struct lh_protocol *protocol, const struct lh_metadata *metadata,
                                     struct lh_verdict *ret_verdict);
/* INVAL when the protocol itself is illegal: lists without version 3 / 7, reader feature not in both lists. */
vde_status lh_protocol_check(const struct lh_protocol *protocol);
#endif
