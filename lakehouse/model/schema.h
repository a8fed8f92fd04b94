/* SPDX-License-Identifier: Apache-2.0 */
/* schema.h -- column types of both formats in one tree: parsed from Delta's schemaString, Iceberg's JSON or column DDL,
 * printed as either JSON, and the rules for changing one into another.
 *
 * The tree lives in the caller's arena. Nothing that the tree can't express is lost for foreign tables, because their
 * schemaString is kept verbatim in the metaData action; the tree is for questions about it. */
#ifndef LH_MODEL_SCHEMA_H
#define LH_MODEL_SCHEMA_H

#include "model/buffer.h"
#include "model/json.h"

#define LH_SCHEMA_DEPTH_MAX 64u
#define LH_SCHEMA_FIELDS_MAX 100000u

enum lh_type_kind {
    LH_TYPE_UNKNOWN = 0,             /* a type that this code does not know; `name` holds it */
    LH_TYPE_BOOLEAN,
    LH_TYPE_BYTE,
    LH_TYPE_SHORT,
    LH_TYPE_INT,
    LH_TYPE_LONG,
    LH_TYPE_FLOAT,
    LH_TYPE_DOUBLE,
    LH_TYPE_DECIMAL,                 /* precision, scale */
    LH_TYPE_STRING,
    LH_TYPE_BINARY,
    LH_TYPE_DATE,
    LH_TYPE_TIMESTAMP,               /* an instant; Iceberg's timestamptz */
    LH_TYPE_TIMESTAMP_NTZ,           /* wall clock; Iceberg's timestamp */
    LH_TYPE_TIME,                    /* Iceberg only, as are the next two */
    LH_TYPE_UUID,
    LH_TYPE_FIXED,                   /* precision = length */
    LH_TYPE_STRUCT,                  /* fields */
    LH_TYPE_ARRAY,                   /* fields[0] = element */
    LH_TYPE_MAP                      /* fields[0] = key, fields[1] = value */
};

struct lh_field;
struct lh_type {
    enum lh_type_kind kind;
    int32_t precision;
    int32_t scale;
    struct lh_slice name;            /* UNKNOWN: as written */
    struct lh_field *fields;
    uint32_t count;
};

struct lh_field {
    struct lh_slice name;            /* "element", "key", "value" inside arrays and maps */
    struct lh_type type;
    bool nullable;
    int32_t id;                      /* Iceberg field id; 0: none */
    struct lh_slice comment;         /* data == NULL: none */
    struct lh_slice metadata;        /* Delta's field metadata, raw JSON object; empty: none */
    struct lh_slice column_default;  /* Iceberg: raw members initial-default, write-default; empty: none */
};

enum lh_schema_form { LH_FORM_DDL, LH_FORM_DELTA, LH_FORM_ICEBERG };

struct lh_schema {
    struct lh_type root;             /* a STRUCT */
    enum lh_schema_form form;        /* what it was parsed from: each form lacks what the others can say */
    int32_t schema_id;               /* Iceberg; 0 otherwise */
    struct lh_slice identifier_ids;  /* Iceberg: raw JSON array; empty: none */
};

/* All parsers copy the text into the arena first: the tree borrows nothing from the caller. */

/* Delta. An empty or absent schemaString is the empty schema. INVAL tells where in the schema. */
vde_status lh_schema_parse_delta(struct lh_arena *arena, struct lh_slice text, struct lh_schema *ret_schema);
/* Iceberg {"type":"struct","schema-id":n,"fields":[...]}. */
vde_status lh_schema_parse_iceberg(struct lh_arena *arena, struct lh_slice text, struct lh_schema *ret_schema);
/* Either of the two JSON forms or DDL, told apart by the first bytes: what users hand in. */
vde_status lh_schema_parse_any(struct lh_arena *arena, struct lh_slice text, struct lh_schema *ret_schema);
/* `id BIGINT NOT NULL, day DATE COMMENT 'x', tags ARRAY<STRING>, p STRUCT<a: INT NOT NULL, b: STRING>`. Names may be
 * quoted with backticks. Refuses duplicate names (Delta compares them without case). */
vde_status lh_schema_parse_ddl(struct lh_arena *arena, struct lh_slice text, struct lh_schema *ret_schema);

/* Append Delta's schemaString. UNSUPPORTED names a column whose type Delta lacks. */
vde_status lh_schema_print_delta(const struct lh_schema *schema, struct lh_buffer *out);
/* Append Iceberg's schema JSON; every field needs an id. UNSUPPORTED names a column whose type Iceberg lacks. */
vde_status lh_schema_print_iceberg(const struct lh_schema *schema, struct lh_buffer *out);
/* Append the DDL, one line. */
void lh_schema_print_ddl(const struct lh_schema *schema, struct lh_buffer *out);
/* Append a type as people write it: "DECIMAL(10,2)", "ARRAY<STRING>". */
void lh_type_print(const struct lh_type *type, struct lh_buffer *out);

/* Give every field without an id the next one, level by level as Iceberg does; fields that `old` (may be NULL) has under
 * the same path keep theirs. *last_column_id: the highest id ever used, in and out. */
void lh_schema_assign_ids(struct lh_schema *schema, const struct lh_schema *old, int32_t *last_column_id);

/* For a `next` that came in a form which can't say it: fields without Delta metadata take that of the field with the same
 * path in `old` (column mapping ids and the like), a comment of their own replacing the old one; comments and identifier
 * ids that `next` has none of are the old ones. */
vde_status lh_schema_inherit(struct lh_arena *arena, struct lh_schema *next, const struct lh_schema *old);

/* A type's direct field by exact name, or NULL; looks at index `hint` first. */
const struct lh_field *lh_type_field(const struct lh_type *type, struct lh_slice name, uint32_t hint);
/* A top-level column by exact name, or NULL. */
const struct lh_field *lh_schema_find(const struct lh_schema *schema, struct lh_slice name);
/* The first UNKNOWN type in the tree as "column: type" in `text`; false when there is none. */
bool lh_schema_unknown_type(const struct lh_schema *schema, char *text, size_t text_size);
/* Whether a type of this kind occurs anywhere. */
bool lh_schema_uses(const struct lh_schema *schema, enum lh_type_kind kind);
bool lh_type_equal(const struct lh_type *a, const struct lh_type *b);
/* Partition columns must exist, be primitive, not all columns, and be named once. Else INVAL. */
vde_status lh_schema_check_partitioning(const struct lh_schema *schema, const struct lh_slice *columns, uint32_t count);

enum lh_flavor { LH_FLAVOR_DELTA, LH_FLAVOR_ICEBERG };

/* Why a change is refused: the column's dotted path, the rule, and both sides. */
struct lh_schema_refusal {
    char column[256];
    const char *rule;                /* "removes a required column", "narrows the type", ... */
    char found[96];
    char expected[96];
};
/* Whether `next` may follow `old`: columns may be added (nullable ones), dropped when nullable, made nullable and widened
 * by the format's list; not required columns removed, nullability tightened, types narrowed or changed. Columns are
 * matched by id where both have one, else by name. False: *ret_refusal says why.
 * *ret_widened (may be NULL): some type was widened, which Delta allows only with the typeWidening feature. */
bool lh_schema_may_evolve(const struct lh_schema *old, const struct lh_schema *next, enum lh_flavor flavor,
                          struct lh_schema_refusal *ret_refusal, bool *ret_widened);
/* Whether a value of `from` can be read as `to` by the flavor's widening list (equal types: yes). */
bool lh_type_may_widen(const struct lh_type *from, const struct lh_type *to, enum lh_flavor flavor);
#endif
