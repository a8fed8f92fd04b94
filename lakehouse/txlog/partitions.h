/* SPDX-License-Identifier: Apache-2.0 */
/* partitions.h -- what a table is partitioned by, and which values its files may say they have. */
#ifndef LH_TXLOG_PARTITIONS_H
#define LH_TXLOG_PARTITIONS_H

#include "model/action.h"
#include "model/partition.h"

/* A name that partition values have: a column's (Delta; under column mapping its physical one) or a partition field's
 * (Iceberg). */
struct lh_partition_key {
    struct lh_slice name;
    struct lh_type type;
    bool nullable;
    bool only_null;              /* Iceberg's void */
};
struct lh_partition_keys {
    struct lh_partition_key *items;
    uint32_t count;
};
/* Keys of a metaData in force; everything lies in the arena. INVAL: its schema or specs can't be read. */
vde_status lh_partition_keys_read(struct lh_arena *arena, const struct lh_action *metadata, struct lh_partition_keys *ret_keys);
/* Iceberg's specs of a metaData; tables that have none recorded are partitioned by their columns as they are. INVAL. */
vde_status lh_partition_specs_read(struct lh_arena *arena, const struct lh_action *metadata, const struct lh_schema *schema,
                                   struct lh_partition_specs *ret_specs);
/* Whether these are values of exactly these keys. LH_VALIDATION names table and column, never a value. */
vde_status lh_partition_values_check(const struct lh_partition_keys *keys, const struct lh_map *values, const char *table,
                                     struct lh_arena *arena);

/* Make the partitioning of a new table, or of one whose partitioning is to change, out of its terms; check an unchanged one
 * against the schema. `metadata` is what is being put in force. LH_VALIDATION, LH_SCHEMA_INCOMPATIBLE. */
struct lh_partitioning {
    struct lh_arena *arena;
    const char *table;
    bool iceberg;
    bool create;
    bool change;                 /* to `terms` */
    struct lh_list terms;
};
vde_status lh_partitioning_settle(const struct lh_partitioning *p, const struct lh_schema *schema, struct lh_action *metadata);
#endif
