/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/refs.h"

#include "model/path.h"
#include "state/fail.h"

/* In lh_map_item.number: the flags, and above them the version that last made the file active. */
#define REF_EXTERNAL 1u
#define REF_ACTIVE 2u
#define REF_SHIFT 2

void delta_refs_done(struct delta_refs *refs)
{
    lh_hash_map_done(&refs->map);
    lh_arena_done(&refs->arena);
    lh_buffer_done(&refs->scratch);
}

/* The item of a path of the log. */
static vde_status find_or_add(struct delta_refs *refs, struct lh_slice raw, bool encoded, struct lh_map_item **ret)
{
    bool external = delta_path_is_external(raw);
    struct lh_slice name = raw;
    struct lh_buffer *decoded = &refs->scratch;
    if (!external && encoded && memchr(raw.data, '%', raw.size)) {
        lh_buffer_clear(decoded);
        delta_path_decode(raw, decoded);
        LH_TRY(lh_buffer_status(decoded));
        name = (struct lh_slice){decoded->data, decoded->size};
    }
    if (!external && !delta_path_is_storable(name)) {
        external = true;
        name = raw;
    }
    uint64_t hash = lh_hash(name);
    struct lh_map_item *item = lh_hash_map_find(&refs->map, name, hash);
    if (!item) {
        struct lh_slice kept_name, kept_raw;
        LH_TRY(lh_arena_copy(&refs->arena, name, &kept_name));
        kept_raw = kept_name;
        if (name.data != raw.data)
            LH_TRY(lh_arena_copy(&refs->arena, raw, &kept_raw));
        item = lh_hash_map_put(&refs->map, kept_name, hash);
        if (!item)
            return lh_fail_nomem("names of data files");
        item->value = kept_raw;
        item->number = external ? REF_EXTERNAL : 0;
        item->live = true;
    }
    *ret = item;
    return VDE_OK;
}

static vde_status note_dv(struct delta_refs *refs, const struct lh_dv *dv, uint64_t version)
{
    struct lh_buffer path = LH_BUFFER_INIT;
    struct lh_map_item *item = NULL;
    vde_status status = VDE_OK;
    if (delta_dv_path(dv, &path)) {
        status = lh_buffer_status(&path);
        if (status == VDE_OK && path.size > 0)
            status = find_or_add(refs, (struct lh_slice){path.data, path.size}, false, &item);
        if (status == VDE_OK && item)
            item->number = (item->number & REF_EXTERNAL) | REF_ACTIVE | version << REF_SHIFT;
    }
    lh_buffer_done(&path);
    return status;
}

vde_status delta_refs_note(struct delta_refs *refs, const struct lh_action *action, uint64_t version)
{
    bool adds = action->kind == LH_ACTION_ADD || action->kind == LH_ACTION_CDC;
    if ((!adds && action->kind != LH_ACTION_REMOVE) || !lh_has(&action->part, LH_FILE_PATH) ||
        action->file.path.size == 0)
        return VDE_OK;
    struct lh_map_item *item;
    LH_TRY(find_or_add(refs, action->file.path, true, &item));
    uint64_t kept = item->number & REF_EXTERNAL, since = item->number >> REF_SHIFT;
    if (action->kind == LH_ACTION_ADD)
        item->number = kept | REF_ACTIVE | version << REF_SHIFT;
    else if (action->kind == LH_ACTION_REMOVE && since < version)
        item->number = kept | since << REF_SHIFT;   /* of the same version: the file got another deletion vector */
    if (adds && lh_has(&action->part, LH_FILE_DV))
        return note_dv(refs, &action->file.dv, version);
    return VDE_OK;
}

size_t delta_refs_count(const struct delta_refs *refs) { return refs->map.count; }

struct delta_ref delta_refs_at(const struct delta_refs *refs, size_t index)
{
    const struct lh_map_item *item = &refs->map.items[index];
    return (struct delta_ref){.name = item->key,
                              .raw = item->value,
                              .external = (item->number & REF_EXTERNAL) != 0,
                              .active = (item->number & REF_ACTIVE) != 0};
}
