/* SPDX-License-Identifier: Apache-2.0 */
#include "txlog/demand.h"

#include <stdio.h>

#include "state/fail.h"

static const char prefix[] = "delta.feature.";

bool lh_demand_is(const struct lh_pair *change)
{
    return change->key.size >= sizeof prefix && memcmp(change->key.data, prefix, sizeof prefix - 1) == 0;
}

/* A feature, behind those that it needs itself. */
static void add(struct lh_demands *demands, const struct lh_feature *feature)
{
    if (strcmp(feature->name, "rowTracking") == 0 || strcmp(feature->name, "clustering") == 0)
        add(demands, lh_feature_find(LH_SLICE("domainMetadata")));
    for (unsigned i = 0; i < demands->count; i++)
        if (demands->features[i] == feature)
            return;
    if (demands->count < LH_DEMANDS_MAX)
        demands->features[demands->count++] = feature;
}

static vde_status add_named(const struct lh_member_txn *m, struct lh_demands *demands)
{
    for (uint32_t i = 0; i < m->change_count; i++) {
        const struct lh_pair *change = &m->changes[i];
        if (!lh_demand_is(change))
            continue;
        struct lh_slice name = {change->key.data + sizeof prefix - 1, change->key.size - (sizeof prefix - 1)};
        const struct lh_feature *feature = lh_feature_find(name);
        bool wanted = !change->null && (lh_slice_is(change->value, "supported") || lh_slice_is(change->value, "enabled"));
        if (!feature || !feature->written || !wanted)
            return lh_fail(LH_FEATURE, "table %s|%.120s=%.20s|\"supported\", for a feature that this engine can write",
                           m->name.data, change->key.data, change->null ? "null" : change->value.data);
        add(demands, feature);
    }
    return VDE_OK;
}

/* Properties that put a feature to use. What every file or commit must have had can't begin in the middle. */
static vde_status add_enabled(const struct lh_member_txn *m, const struct lh_meta *old, const struct lh_metadata *now,
                              struct lh_demands *demands)
{
    static const struct {
        const char *key, *feature;
        bool from_start;
    } all[] = {{"delta.enableDeletionVectors", "deletionVectors", false},
               {"delta.enableInCommitTimestamps", "inCommitTimestamp", true},
               {"delta.enableRowTracking", "rowTracking", true},
               {"delta.enableIcebergCompatV1", "icebergCompatV1", true},
               {"delta.enableIcebergCompatV2", "icebergCompatV2", true}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        bool was = old && lh_property_is(&old->metadata.metadata.configuration, all[i].key, "true");
        if (was || !lh_property_is(&now->configuration, all[i].key, "true"))
            continue;
        if (old && all[i].from_start)
            return lh_fail(LH_VALIDATION, "table %s|%s set on a table with history|it from version 0 on", m->name.data,
                           all[i].key);
        add(demands, lh_feature_find(lh_slice_of(all[i].feature)));
    }
    return VDE_OK;
}

vde_status lh_demands_find(const struct lh_member_txn *member, const struct lh_meta *old, const struct lh_protocol *protocol,
                           const struct lh_metadata *now, struct lh_demands *ret_demands)
{
    struct lh_duties duties;
    ret_demands->count = 0;
    LH_TRY(add_named(member, ret_demands));
    LH_TRY(add_enabled(member, old, now, ret_demands));
    LH_TRY(lh_feature_duties(protocol, now, &duties));
    for (unsigned i = 0; i < duties.count; i++) {
        bool before = false;
        for (unsigned b = 0; old && b < old->duties.count && !before; b++)
            before = strcmp(duties.names[i], old->duties.names[b]) == 0;
        if (!before)
            add(ret_demands, lh_feature_find(lh_slice_of(duties.names[i])));
    }
    return VDE_OK;
}

vde_status lh_demand_row_columns(struct lh_txn *txn, struct lh_map *configuration)
{
    static const char *const columns[][2] = {
        {"delta.rowTracking.materializedRowIdColumnName", "_row-id-col-"},
        {"delta.rowTracking.materializedRowCommitVersionColumnName", "_row-commit-version-col-"}};
    if (!lh_property_is(configuration, "delta.enableRowTracking", "true"))
        return VDE_OK;
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        char uuid[LH_UUID_TEXT], name[80];
        uint8_t id[16];
        struct lh_pair *pair = &configuration->pairs[configuration->count];
        if (lh_map_find(configuration, lh_slice_of(columns[i][0])))
            continue;
        lh_uuid_random(txn->lakehouse, id);
        lh_uuid_text(id, uuid);
        snprintf(name, sizeof name, "%s%s", columns[i][1], uuid);
        *pair = (struct lh_pair){.key = lh_slice_of(columns[i][0])};
        LH_TRY(lh_txn_text(txn, lh_slice_of(name), &pair->value));
        configuration->count++;
    }
    return VDE_OK;
}
