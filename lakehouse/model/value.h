/* SPDX-License-Identifier: Apache-2.0 */
/* value.h -- one value of a primitive type, and the text that logs write for it in partition values.
 *
 * The text is Delta's: numbers in decimal, "2026-11-20" for dates, "2026-11-20 10:00:00.123456" or its ISO form in UTC for
 * timestamps, true and false, strings and binary as they are. Iceberg's logs have no text; what its types add is written
 * like the nearest of these. An empty text and a missing one are null in both. */
#ifndef LH_MODEL_VALUE_H
#define LH_MODEL_VALUE_H

#include "model/schema.h"

__extension__ typedef __int128 lh_int128;

struct lh_value {
    bool null;
    int64_t number;          /* BOOLEAN, the integers, DATE (days), TIME and the timestamps (microseconds) */
    double real;             /* FLOAT, DOUBLE */
    lh_int128 unscaled;      /* DECIMAL */
    struct lh_slice bytes;   /* STRING, BINARY, FIXED, UUID (16 bytes) */
};

/* Read a text; strings and binary borrow from it, a UUID's bytes lie in the arena. INVAL names what was expected, never the
 * text: it is a user's value. */
vde_status lh_value_parse(const struct lh_type *type, struct lh_slice text, struct lh_arena *arena,
                          struct lh_value *ret_value);
/* Append the text of a value that is not null. Floating-point values are printed with as many digits as they need. */
void lh_value_print(const struct lh_type *type, const struct lh_value *value, struct lh_buffer *out);
#endif
