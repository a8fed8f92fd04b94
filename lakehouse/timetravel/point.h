/* SPDX-License-Identifier: Apache-2.0 */
/* point.h -- one table at one version, pinned by a view: what "ns.t@..." means. */
#ifndef LH_TIMETRAVEL_POINT_H
#define LH_TIMETRAVEL_POINT_H

#include <lakehouse/timetravel.h>

#include "model/name.h"
#include "txlog/catalog.h"
#include "txlog/described.h"

struct lh_point {
    struct lh_catalog catalog;
    struct lh_table_record record;
    uint64_t first, latest;
    uint64_t version, time_us;
    char note[200];          /* "": nothing to say */
    struct lh_described *described; /* of the latest version, when the point stands there and one was kept; else NULL */
};
/* Statuses of timetravel.h. */
vde_status lh_point_open(lh_lakehouse *lakehouse, const char *table, struct lh_point *ret_point);
void lh_point_close(struct lh_point *point);
/* Change the version: "v7", a time or "latest". */
vde_status lh_point_move(struct lh_point *point, const char *to);
/* Time of a version, by its entry. LH_VERSION_NOT_FOUND. */
vde_status lh_point_time(struct lh_point *point, uint64_t version, uint64_t *ret_time_us);
/* The table's state at the point. LH_OPAQUE. */
vde_status lh_point_state(struct lh_point *point, struct lh_state **ret_state);
/* The description. `state` may be NULL for opaque tables and where `described` is set. */
vde_status lh_point_describe(struct lh_point *point, struct lh_state *state, struct lh_table_info **ret_info);

/* Borrowed values of an encoded add, NUL-terminated in the buffers given; for lh_file_info. */
struct lh_file_view {
    struct lh_decoder decoder;
    struct lh_arena arena;
    struct lh_buffer json;
};
void lh_file_view_done(struct lh_file_view *view);
vde_status lh_file_view_fill(struct lh_file_view *view, uint64_t id, struct lh_slice encoded, bool want_json,
                             struct lh_file_info *ret_file);
#endif
