/* SPDX-License-Identifier: Apache-2.0 */
/* columns.h -- which id each column of a changed schema has. Data files name columns by id (Iceberg) or by physical name
 * and id (Delta's column mapping), so one that stays must keep its own and a new one must never get a used one. */
#ifndef LH_TXLOG_COLUMNS_H
#define LH_TXLOG_COLUMNS_H

#include "model/schema.h"
#include "txlog/lakehouse.h"

struct lh_mapping {
    struct lh_lakehouse *lakehouse;
    struct lh_arena *arena;
    const char *table;
    const struct lh_schema *old;  /* NULL: a new table, where no file knows a name yet, so that physical ones are the names */
    bool nested_ids;              /* arrays and maps need ids of their own (icebergCompat): new ones are refused */
    int64_t max_id;               /* the highest id ever given, in and out */
};
/* Complete the field metadata of a column-mapped Delta table. A column that has none takes that of the old column of the
 * same path; where that has none either, since mapping begins now, its physical name is its name. Statuses: LH_SCHEMA,
 * LH_SCHEMA_INCOMPATIBLE, naming the column. */
vde_status lh_columns_map(struct lh_mapping *mapping, struct lh_schema *next);

/* Iceberg: LH_SCHEMA_INCOMPATIBLE where a field that `old` lacks has an id up to `last`, as a dropped one may have had it;
 * LH_SCHEMA when an id is there twice. */
vde_status lh_columns_check_ids(const char *table, const struct lh_schema *old, const struct lh_schema *next, int32_t last);
#endif
