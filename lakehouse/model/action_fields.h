/* SPDX-License-Identifier: Apache-2.0 */
/* action_fields.h -- the one table of every action's fields; decoding, printing and the compact form all walk it.
 *
 * A field's bit is its index in its part's table, and the compact form writes bits and fields in table order: append
 * only, never reorder. */
#ifndef LH_MODEL_ACTION_FIELDS_H
#define LH_MODEL_ACTION_FIELDS_H

#include "model/action.h"

enum field_kind { FIELD_STRING, FIELD_INT64, FIELD_BOOL, FIELD_MAP, FIELD_LIST, FIELD_RAW, FIELD_PART };

struct part_def;
struct field_def {
    const char *name;
    enum field_kind kind;
    size_t offset;                   /* in the part's struct */
    const struct part_def *part;     /* FIELD_PART */
};
struct part_def {
    const struct field_def *fields;
    unsigned count;
};

/* NULL for UNKNOWN. */
const struct part_def *lh_action_part_def(enum lh_action_kind kind);
extern const struct part_def lh_iceberg_part_def;

static inline void *field_at(void *part, const struct field_def *field) { return (char *)part + field->offset; }
static inline const void *field_at_const(const void *part, const struct field_def *field)
{
    return (const char *)part + field->offset;
}
#endif
