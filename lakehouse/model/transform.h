/* SPDX-License-Identifier: Apache-2.0 */
/* transform.h -- Iceberg's partition transforms: from a column's value to the value that files are partitioned by. All give
 * null for null. */
#ifndef LH_MODEL_TRANSFORM_H
#define LH_MODEL_TRANSFORM_H

#include "model/value.h"

enum lh_transform_kind {
    LH_TRANSFORM_IDENTITY,
    LH_TRANSFORM_YEAR,       /* since 1970, as the next three */
    LH_TRANSFORM_MONTH,
    LH_TRANSFORM_DAY,
    LH_TRANSFORM_HOUR,
    LH_TRANSFORM_BUCKET,     /* hash modulo argument */
    LH_TRANSFORM_TRUNCATE,   /* to multiples of, or the first so many code points or bytes */
    LH_TRANSFORM_VOID        /* always null */
};
struct lh_transform {
    enum lh_transform_kind kind;
    int32_t argument;        /* BUCKET, TRUNCATE: 1 or more; else 0 */
};

/* As Iceberg's metadata writes it: "day", "bucket[16]". INVAL. */
vde_status lh_transform_parse(struct lh_slice text, struct lh_transform *ret_transform);
void lh_transform_print(const struct lh_transform *transform, struct lh_buffer *out);
bool lh_transform_equal(const struct lh_transform *a, const struct lh_transform *b);

/* As people write it: "bucket(16, id)", "truncate(4, name)", "days(ts)", "day(ts)", "void(x)", and a column alone for
 * identity. *ret_column borrows from the text. INVAL. */
vde_status lh_transform_parse_term(struct lh_slice text, struct lh_transform *ret_transform, struct lh_slice *ret_column);

/* The type of the transform's values. INVAL when it does not apply to columns of type `source`. */
vde_status lh_transform_result(const struct lh_transform *transform, const struct lh_type *source,
                               struct lh_type *ret_type);
/* The value's partition value. `source` must be a type that the transform applies to. Bytes borrow from the value's. */
struct lh_value lh_transform_apply(const struct lh_transform *transform, const struct lh_type *source,
                                   const struct lh_value *value);
/* The 32-bit murmur3 hash (seed 0) that buckets are made of: whole numbers, dates and times as 8 bytes, decimals as their
 * shortest two's complement, strings, UUIDs and binary as their bytes. */
int32_t lh_bucket_hash(const struct lh_type *type, const struct lh_value *value);
#endif
