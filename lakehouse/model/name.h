/* SPDX-License-Identifier: Apache-2.0 */
/* name.h -- names of namespaces and tables, and the ways to say which version of one is meant. */
#ifndef LH_MODEL_NAME_H
#define LH_MODEL_NAME_H

#include "model/buffer.h"

#define LH_NAME_PART_MAX 255u
#define LH_NAME_DEPTH_MAX 16u

/* A part: 1-255 bytes of valid UTF-8 without '/', NUL, control characters and '@', not "." or "..", not beginning with
 * '_' or '.'. A '.' inside a part can't be written in the dotted form: use the part list. INVAL names the rule. */
vde_status lh_name_check_part(struct lh_slice part);

/* A dotted name split at its dots. */
struct lh_name {
    struct lh_slice parts[LH_NAME_DEPTH_MAX];
    uint32_t count;
};
/* Split and check. INVAL. "ns.t" has two parts, "a.b.t" three, "t" one. */
vde_status lh_name_split(struct lh_slice text, struct lh_name *ret_name);
/* The name without its last part: "a.b" of "a.b.t"; empty for a single part. Borrowed from the text. */
struct lh_slice lh_name_parent(struct lh_slice text);
struct lh_slice lh_name_leaf(struct lh_slice text);

enum lh_spec_kind { LH_SPEC_LATEST, LH_SPEC_VERSION, LH_SPEC_TIME, LH_SPEC_TAG };
/* "ns.table", "ns.table@v3", "ns.table@2026-11-20T10:00:00Z", "ns.table@-2h", "ns.table@tag:NAME". */
struct lh_spec {
    struct lh_slice name;
    enum lh_spec_kind kind;
    uint64_t version;
    uint64_t time_us;
    struct lh_slice tag;     /* borrowed from the text, and a name as lh_name_check_part() wants it */
};
/* `now_us` is what relative times count from. */
vde_status lh_spec_parse(struct lh_slice text, uint64_t now_us, struct lh_spec *ret_spec);
#endif
