/* SPDX-License-Identifier: Apache-2.0 */
/* restore_meta.c -- what a restore makes of the small objects: metaData, the clustering domain, registered partitions. */
#include "model/protocol.h"
#include "state/fail.h"
#include "timetravel/restore.h"

/* Properties that say what the table has come to, not what somebody wants: they stay as they are. */
static const char *const kept_properties[] = {
    "delta.columnMapping.maxColumnId", "delta.enableInCommitTimestamps", "delta.inCommitTimestampEnablementVersion",
    "delta.inCommitTimestampEnablementTimestamp"};

static bool is_kept(struct lh_slice key)
{
    for (size_t i = 0; i < sizeof kept_properties / sizeof kept_properties[0]; i++)
        if (lh_slice_is(key, kept_properties[i]))
            return true;
    return false;
}

/* --- protocol --------------------------------------------------------------------------------------------------- */
static vde_status need_feature(const struct lh_restoring *r, const struct lh_protocol *now, struct lh_slice feature)
{
    char name[128];
    size_t size = feature.size < sizeof name - 1 ? feature.size : sizeof name - 1;
    if (size)
        memcpy(name, feature.data, size);
    name[size] = '\0';
    if (lh_protocol_has(now, name))
        return VDE_OK;
    return lh_fail(LH_VALIDATION, "table %s|version %llu needs feature %s, which the table has no more|a table with it",
                   r->point.record.name, (unsigned long long)r->report.to_version, name);
}

/* The protocol stays, so it must have what the version's files and schema may need. */
static vde_status check_protocol(struct lh_restoring *r)
{
    struct lh_action then, now;
    LH_TRY(lh_state_protocol(r->then, &r->decoder, &then));
    LH_TRY(lh_state_protocol(r->now, &r->decoder, &now));
    const struct lh_protocol *old = &then.protocol, *present = &now.protocol;
    if (old->min_writer_version < 7 && present->min_writer_version < 7) {
        if (old->min_writer_version > present->min_writer_version || old->min_reader_version > present->min_reader_version)
            return lh_fail(LH_VALIDATION, "table %s|version %llu needs reader and writer version %lld and %lld|what the table "
                           "has", r->point.record.name, (unsigned long long)r->report.to_version,
                           (long long)old->min_reader_version, (long long)old->min_writer_version);
        return VDE_OK;
    }
    for (uint32_t i = 0; i < old->writer_features.count; i++)
        LH_TRY(need_feature(r, present, old->writer_features.items[i]));
    return lh_protocol_has(old, "columnMapping") ? need_feature(r, present, LH_SLICE("columnMapping")) : VDE_OK;
}

/* --- metaData --------------------------------------------------------------------------------------------------- */
static vde_status merge_properties(struct lh_restoring *r, const struct lh_map *now, struct lh_map *then)
{
    struct lh_pair *pairs = lh_arena_alloc(&r->arena, (size_t)now->count + then->count + 1, sizeof *pairs);
    uint32_t count = 0;
    if (!pairs)
        return lh_fail_nomem("restore");
    for (uint32_t i = 0; i < then->count; i++)
        if (!is_kept(then->pairs[i].key))
            pairs[count++] = then->pairs[i];
    for (uint32_t i = 0; i < now->count; i++)
        if (is_kept(now->pairs[i].key))
            pairs[count++] = now->pairs[i];
    *then = (struct lh_map){pairs, count};
    return VDE_OK;
}

static bool same_metadata(const struct lh_metadata *a, const struct lh_metadata *b)
{
    return lh_slice_equal(a->schema_string, b->schema_string) && lh_list_equal(&a->partition_columns, &b->partition_columns) &&
           lh_map_equal(&a->configuration, &b->configuration) && lh_slice_equal(a->description, b->description) &&
           lh_slice_equal(a->name, b->name);
}

static vde_status restore_metadata(struct lh_restoring *r)
{
    struct lh_action then, now;
    LH_TRY(lh_state_metadata(r->then, &r->decoder, &then));
    LH_TRY(lh_state_metadata(r->now, &r->decoder, &now));
    LH_TRY(merge_properties(r, &now.metadata.configuration, &then.metadata.configuration));
    if (same_metadata(&then.metadata, &now.metadata))
        return VDE_OK;
    if (r->point.record.format == LH_FORMAT_ICEBERG)
        return lh_fail(LH_VALIDATION, "table %s|an Iceberg table whose schema, partitioning or properties changed since version "
                       "%llu|the same ones", r->point.record.name, (unsigned long long)r->report.to_version);
    /* The table stays the same table. */
    then.metadata.id = now.metadata.id;
    then.metadata.part.set |= LH_META_CONFIGURATION;
    r->report.metadata_changed = true;
    return lh_member_action(r->txn, r->member, &then);
}

/* --- domains and partitions ------------------------------------------------------------------------------------- */
static vde_status decode(struct lh_restoring *r, struct lh_slice bytes, struct lh_action *ret_action)
{
    struct lh_reader reader = {(const uint8_t *)bytes.data, bytes.size, 0, false};
    return lh_action_from_bytes(&r->decoder, &reader, ret_action);
}

static vde_status restore_clustering(struct lh_restoring *r)
{
    struct lh_slice name = LH_SLICE("delta.clustering");
    struct lh_slice then = lh_state_object(r->then, 'd', name, NULL), now = lh_state_object(r->now, 'd', name, NULL);
    struct lh_action action;
    if (lh_slice_equal(then, now))
        return VDE_OK;
    LH_TRY(decode(r, then.size ? then : now, &action));
    if (then.size == 0) {
        action.domain.removed = true;
        action.domain.part.set |= LH_DOMAIN_REMOVED;
    }
    return lh_member_action(r->txn, r->member, &action);
}

/* Partitions registered in `from` that `other` lacks: registered again, or taken back. */
static vde_status restore_partitions(struct lh_restoring *r, const struct lh_state *from, const struct lh_state *other,
                                     bool take_back)
{
    for (size_t i = 0; i < from->objects.count; i++) {
        const struct lh_map_item *item = &from->objects.items[i];
        struct lh_action action;
        if (!item->live || item->key.size == 0 || item->key.data[0] != 'x')
            continue;
        const struct lh_map_item *there = lh_hash_map_find(&other->objects, item->key, item->hash);
        if (there && there->live)
            continue;
        LH_TRY(decode(r, item->value, &action));
        if (!take_back) {
            LH_TRY(lh_member_action(r->txn, r->member, &action));
            continue;
        }
        /* Only the registration goes: which files do is told one by one. */
        action.kind = LH_ACTION_REMOVE_PARTITION;
        lh_action_to_bytes(&action, &r->member->actions);
        r->member->action_count++;
    }
    return lh_buffer_status(&r->member->actions);
}

vde_status lh_restore_objects(struct lh_restoring *r)
{
    lh_decoder_reset(&r->decoder);
    LH_TRY(check_protocol(r));
    LH_TRY(restore_metadata(r));
    LH_TRY(restore_clustering(r));
    LH_TRY(restore_partitions(r, r->then, r->now, false));
    return restore_partitions(r, r->now, r->then, true);
}
