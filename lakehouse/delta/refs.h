/* SPDX-License-Identifier: Apache-2.0 */
/* refs.h -- which files the commits of a log name: data files, deletion vectors, change data. */
#ifndef LH_DELTA_REFS_H
#define LH_DELTA_REFS_H

#include "model/action.h"
#include "state/map.h"

struct delta_refs {
    struct lh_hash_map map;      /* by name: decoded and relative, or as written when external. See struct delta_ref */
    struct lh_arena arena;
    struct lh_buffer scratch;
};
#define DELTA_REFS_INIT {LH_HASH_MAP_INIT, LH_ARENA_INIT, LH_BUFFER_INIT}

/* One named file, read out of the map's item. */
struct delta_ref {
    struct lh_slice name;
    struct lh_slice raw;         /* as the log spells it */
    bool external;               /* absolute, or a name that can't be kept in a folder */
    bool active;                 /* in the last version noted */
};
void delta_refs_done(struct delta_refs *refs);
/* Note what an action of `version` names. Versions must come in ascending order. VDE_NOMEM. */
vde_status delta_refs_note(struct delta_refs *refs, const struct lh_action *action, uint64_t version);
size_t delta_refs_count(const struct delta_refs *refs);
struct delta_ref delta_refs_at(const struct delta_refs *refs, size_t index);
#endif
