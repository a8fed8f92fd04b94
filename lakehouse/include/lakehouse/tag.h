/* SPDX-License-Identifier: Apache-2.0 */
/* tag.h -- names for versions of a table: wherever a table is read, "ns.t@tag:NAME" is the version that the tag holds. See
 * lakehouse.h for memory, durability and threads.
 *
 * A tag's name is 1 to 255 bytes of UTF-8 without '/', '@' and control characters, and begins with neither '_' nor '.'. Tags
 * belong to their table: they outlive its drop, and go when it is purged. */
#ifndef LAKEHOUSE_TAG_H
#define LAKEHOUSE_TAG_H

#include <lakehouse/table.h>

#ifdef __cplusplus
extern "C" {
#endif

struct lh_tag {
    const char *name;
    uint64_t version;
    uint64_t created_us;
};
struct lh_tags {
    size_t count;
    const struct lh_tag *tags;
};

/* Give the version that `table` means ("ns.t": the latest; "ns.t@v3", "ns.t@2026-11-20T10:00:00Z", "ns.t@tag:other") the name
 * `tag`. It stays until it is deleted, and never moves. *ret_version (may be NULL) is the version. Statuses: LH_TAG_EXISTS,
 * LH_TABLE_NOT_FOUND, LH_VERSION_NOT_FOUND, LH_TAG_NOT_FOUND (the one after '@'), LH_NAME. */
LH_API LH_MUST_CHECK vde_status lh_tag_create(lh_lakehouse *lakehouse, const char *table, const char *tag,
                                              uint64_t *ret_version);
/* Forget a tag; its version stays. LH_TAG_NOT_FOUND, LH_TABLE_NOT_FOUND, LH_NAME. */
LH_API LH_MUST_CHECK vde_status lh_tag_delete(lh_lakehouse *lakehouse, const char *table, const char *tag);
/* All tags of a table, names in byte order. LH_TABLE_NOT_FOUND. */
LH_API LH_MUST_CHECK vde_status lh_tag_list(lh_lakehouse *lakehouse, const char *table, struct lh_tags **ret_tags);

#ifdef __cplusplus
}
#endif
#endif
