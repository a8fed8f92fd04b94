/* SPDX-License-Identifier: Apache-2.0 */
/* described.h -- descriptions of latest versions, kept for whoever opens the same version next: what they say of a version
 * never changes, but finding it out reads the newest entry and replays the tail.
 *
 * A description is kept by a reader, from what its view showed, and given to readers whose views show the same table with
 * the same versions: so nothing is told that is not durable, and a commit need not care. */
#ifndef LH_TXLOG_DESCRIBED_H
#define LH_TXLOG_DESCRIBED_H

#include "txlog/lakehouse.h"

#define LH_DESCRIBED_BYTES_MAX (256u * 1024u)

/* Immutable, shared. */
struct lh_described {
    atomic_uint refs;
    struct lh_table_info *info;  /* one allocation of `size` bytes */
    size_t size;
};
/* The description kept of a table whose record and versions are these, or NULL. Counted: unref it. */
struct lh_described *lh_described_find(struct lh_lakehouse *lakehouse, const struct lh_table_record *record, uint64_t first,
                                       uint64_t latest);
/* Keep a copy of the description of a table's latest version, if it is one worth keeping. Never fails. */
void lh_described_keep(struct lh_lakehouse *lakehouse, const struct lh_table_info *info, size_t size);
void lh_described_unref(struct lh_described *described);
/* A copy for the caller, one allocation. */
vde_status lh_described_copy(const struct lh_described *described, struct lh_table_info **ret_info);
#endif
