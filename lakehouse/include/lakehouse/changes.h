/* SPDX-License-Identifier: Apache-2.0 */
/* changes.h -- what the versions of a table changed, file by file. Reads the commits alone, so the cost is that of what
 * changed, however large the table is. See lakehouse.h for memory and threads. */
#ifndef LAKEHOUSE_CHANGES_H
#define LAKEHOUSE_CHANGES_H

#include <lakehouse/timetravel.h>

#ifdef __cplusplus
extern "C" {
#endif

enum lh_change_kind {
    LH_CHANGE_ADD = 1,
    LH_CHANGE_REMOVE = 2,
    LH_CHANGE_CDC = 3            /* a file of changed rows, which stands for the version's adds and removes of rows */
};
struct lh_change_version {
    uint64_t version;
    uint64_t time_us;
    const char *operation;       /* "UNKNOWN" when a foreign commit does not say */
    bool metadata_changed;       /* schema or properties */
    bool protocol_changed;
};
struct lh_change {
    enum lh_change_kind kind;
    bool data_change;            /* false: the same rows, arranged otherwise */
    struct lh_file_info file;    /* file_id of added files only; action_json is NULL */
};

typedef struct lh_changes lh_changes;
/* Changes of the versions `first` to `last`, both included; LH_NO_VERSION: the latest. The table's name has no '@' part.
 * Statuses: LH_TABLE_NOT_FOUND, LH_VERSION_NOT_FOUND (either is not kept, or not there yet), LH_VALIDATION (first > last),
 * LH_OPAQUE, LH_NAME. */
LH_API LH_MUST_CHECK vde_status lh_changes_open(lh_lakehouse *lakehouse, const char *table, uint64_t first, uint64_t last,
                                                lh_changes **ret_changes);
/* NULL is fine. */
LH_API void lh_changes_close(lh_changes *changes);
/* The next version, ascending; what is left of the one before is passed over. Borrowed until the next call of this function.
 * VDE_NOT_FOUND past the end. */
LH_API LH_MUST_CHECK vde_status lh_changes_next_version(lh_changes *changes, struct lh_change_version *ret_version);
/* The next file of this version, in the order of the commit. Borrowed until the next call. VDE_NOT_FOUND past its last. */
LH_API LH_MUST_CHECK vde_status lh_changes_next_file(lh_changes *changes, struct lh_change *ret_change);

#ifdef __cplusplus
}
#endif
#endif
