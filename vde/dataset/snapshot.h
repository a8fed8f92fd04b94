/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot.h -- what snapshots, clones and volumes share: names and records in the catalog. */
#ifndef VDE_DATASET_SNAPSHOT_H
#define VDE_DATASET_SNAPSHOT_H

#include <vde/snapshot.h>

#include "pool/map.h"
#include "pool/txn.h"

vde_status snapshot_check_name(const char *name, size_t *ret_size);
/* The 'v' record of a dataset; NOT_FOUND without a text: it is no volume. */
vde_status volume_record_find(const struct map *catalog, uint64_t dataset, struct volume_record *ret_record);
#endif
