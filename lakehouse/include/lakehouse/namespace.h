/* SPDX-License-Identifier: Apache-2.0 */
/* namespace.h -- nested namespaces ("a.b") with properties. See lakehouse.h for memory, durability and threads. */
#ifndef LAKEHOUSE_NAMESPACE_H
#define LAKEHOUSE_NAMESPACE_H

#include <lakehouse/lakehouse.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Create one; its parent must exist. Statuses: LH_NAMESPACE_EXISTS, LH_NAMESPACE_NOT_FOUND (the parent), LH_NAME,
 * LH_TABLE_EXISTS (a table has the name). */
LH_API LH_MUST_CHECK vde_status lh_namespace_create(lh_lakehouse *lakehouse, const char *name,
                                                    const struct lh_property *properties, size_t count);
/* Full names of the namespaces right below `parent` (NULL or "": top level), in byte order; with `recursive` all below. */
LH_API LH_MUST_CHECK vde_status lh_namespace_list(lh_lakehouse *lakehouse, const char *parent, bool recursive,
                                                  struct lh_strings **ret_names);

struct lh_namespace_info {
    uint64_t id;
    const char *name;
    uint64_t created_us;
    uint64_t namespaces;  /* right below */
    uint64_t tables;
    size_t property_count;
    const struct lh_property *properties; /* by key in byte order */
};
/* LH_NAMESPACE_NOT_FOUND. */
LH_API LH_MUST_CHECK vde_status lh_namespace_show(lh_lakehouse *lakehouse, const char *name,
                                                  struct lh_namespace_info **ret_info);
/* Set the given properties; a NULL value removes the key. Others stay. LH_NAMESPACE_NOT_FOUND. */
LH_API LH_MUST_CHECK vde_status lh_namespace_set(lh_lakehouse *lakehouse, const char *name,
                                                 const struct lh_property *changes, size_t count);
/* Drop an empty namespace. LH_NAMESPACE_NOT_FOUND, LH_NAMESPACE_NOT_EMPTY. */
LH_API LH_MUST_CHECK vde_status lh_namespace_drop(lh_lakehouse *lakehouse, const char *name);

#ifdef __cplusplus
}
#endif
#endif
