/* SPDX-License-Identifier: Apache-2.0 */
/* partition.h -- Iceberg's partition specs: which transforms of which columns files are partitioned by. A table keeps every
 * spec that it ever had, as files name the one that they were written under. */
#ifndef LH_MODEL_PARTITION_H
#define LH_MODEL_PARTITION_H

#include "model/transform.h"

#define LH_PARTITION_ID_FIRST 1000
#define LH_PARTITION_FIELDS_MAX 1000u

struct lh_partition_field {
    struct lh_slice name;        /* unique in its spec; what partition values are called */
    struct lh_transform transform;
    int32_t source_id;           /* of the schema's field */
    int32_t field_id;            /* from 1000 on; the same in all specs for the same transform of the same column */
};
struct lh_partition_spec {
    int32_t id;
    struct lh_partition_field *fields;
    uint32_t count;
};
struct lh_partition_specs {
    struct lh_partition_spec *items;
    uint32_t count;
    int32_t default_id;
    int32_t last_field_id;       /* the highest ever given; 999 before the first */
};

/* Read the array of specs as table metadata holds it; default_id and last_field_id are the caller's to set. Refused with
 * INVAL: ids below 0 or 1000, ids or names given twice, unknown transforms. */
vde_status lh_partition_parse(struct lh_arena *arena, struct lh_slice json, struct lh_partition_specs *ret_specs);
/* Append the array. */
void lh_partition_print(const struct lh_partition_specs *specs, struct lh_buffer *out);
/* NULL: there is none with this id. */
const struct lh_partition_spec *lh_partition_find(const struct lh_partition_specs *specs, int32_t id);
/* A top-level column by id, or NULL. */
const struct lh_field *lh_partition_source(const struct lh_schema *schema, int32_t id);

/* Make the spec of these terms (see lh_transform_parse_term) the default one. One that equals an earlier spec is that one;
 * else it gets a new id, and fields that an earlier spec had keep theirs. In tables of format version 1 a field's place tells
 * which it is: there what is left out stays as void. INVAL: no such column, a transform that does not apply to it, a name
 * taken by another column or twice. `specs` begins as {NULL, 0, 0, 999}. */
vde_status lh_partition_evolve(struct lh_arena *arena, const struct lh_schema *schema, const struct lh_slice *terms,
                               uint32_t count, unsigned format_version, struct lh_partition_specs *specs);
/* INVAL unless every field of the default spec has its column, of a type that the transform applies to. */
vde_status lh_partition_check(const struct lh_schema *schema, const struct lh_partition_specs *specs);
#endif
