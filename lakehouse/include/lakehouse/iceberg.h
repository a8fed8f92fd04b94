/* SPDX-License-Identifier: Apache-2.0 */
/* iceberg.h -- Iceberg's view of tables of that format. See lakehouse.h for memory and threads. */
#ifndef LAKEHOUSE_ICEBERG_H
#define LAKEHOUSE_ICEBERG_H

#include <lakehouse/table.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Table metadata (format version 2) as of "ns.t" or "ns.t@...": schemas, partition specs, snapshots and logs up to that
 * version. Manifest lists are named but not written. Release *ret_json with lh_free(); NUL-terminated, *ret_size does not
 * count the NUL. LH_VALIDATION when the table's format is another; LH_TABLE_NOT_FOUND, LH_VERSION_NOT_FOUND. */
LH_API LH_MUST_CHECK vde_status lh_iceberg_metadata(lh_lakehouse *lakehouse, const char *table, char **ret_json,
                                                    size_t *ret_size);

#ifdef __cplusplus
}
#endif
#endif
