/* SPDX-License-Identifier: Apache-2.0 */
/* schema_type.h -- what the schema's parsers and printers share: the table of primitive types. */
#ifndef LH_MODEL_SCHEMA_TYPE_H
#define LH_MODEL_SCHEMA_TYPE_H

#include "model/schema.h"

/* NULL where a format lacks the type. Those with parameters (decimal, fixed) are spelled by the printers. */
struct type_names {
    enum lh_type_kind kind;
    const char *delta;
    const char *iceberg;
    const char *ddl;
};
const struct type_names *schema_type_names(enum lh_type_kind kind);

/* A primitive by its name in either format's JSON: UNKNOWN with that name when there is none such. `text` stays borrowed. */
struct lh_type schema_delta_primitive(struct lh_slice text);
struct lh_type schema_iceberg_primitive(struct lh_slice text);

/* "decimal(10,2)" or "fixed[16]": the numbers behind a word, in brackets of either kind. False when malformed. */
bool schema_type_arguments(struct lh_slice text, const char *word, int32_t *first, int32_t *second, unsigned count);
bool schema_decimal_valid(int32_t precision, int32_t scale);

vde_status schema_bad(const char *found, const char *expected);
vde_status schema_too_deep(void);
/* INVAL unless every struct's names differ without regard to ASCII case. */
vde_status schema_check_names(const struct lh_type *type, unsigned depth);
#endif
