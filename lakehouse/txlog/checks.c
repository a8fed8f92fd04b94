/* SPDX-License-Identifier: Apache-2.0 */
#include "txlog/checks.h"

#include <stdio.h>

#include "model/protocol.h"
#include "state/fail.h"
#include "txlog/rows.h"

#define PROTECTION_KEY "delta.requireCheckpointProtectionBeforeVersion"

static const struct lh_meta *in_force(const struct lh_member_txn *m) { return m->new_meta ? m->new_meta : m->meta; }

/* --- what the table allows at all ------------------------------------------------------------------------------- */
static vde_status check_writable(const struct lh_member_txn *m)
{
    bool empty = !m->action_count && !m->removal_count && !m->removed_partition_count && !m->new_meta;
    if (!m->meta || !m->meta->refusal[0] || empty)
        return VDE_OK;
    return lh_fail(LH_FEATURE, "table %s|%s|features that this engine can write", m->name.data, m->meta->refusal);
}

/* Every feature whose rules only the data's writer can keep, unless it declared that it did. */
static vde_status check_duties(const struct lh_member_txn *m)
{
    const struct lh_duties *duties = &in_force(m)->duties;
    char names[200];
    size_t size = 0;
    if (!m->added.count || !m->data_change)
        return VDE_OK;
    for (unsigned i = 0; i < duties->count; i++)
        if (!lh_list_has(&m->guarantees, lh_slice_of(duties->names[i])) && size < sizeof names)
            size += (size_t)snprintf(names + size, sizeof names - size, "%s%s", size ? ", " : "", duties->names[i]);
    if (size == 0)
        return VDE_OK;
    return lh_fail(LH_FEATURE, "table %s|added data, while the table uses %s|a commit that declares to guarantee this",
                   m->name.data, names);
}

static vde_status check_append_only(const struct lh_member_txn *m)
{
    bool removes = lh_member_needs_state(m);
    /* A restore is judged by what is in force, not by what it puts in force. */
    const struct lh_meta *meta = m->restores ? m->meta : in_force(m);
    if ((meta->rules & LH_ASKS_APPEND_ONLY) && m->data_change && removes)
        return lh_fail(LH_VALIDATION, "table %s|a removal of data|only appends: delta.appendOnly is set", m->name.data);
    return VDE_OK;
}

/* --- protocol and properties ------------------------------------------------------------------------------------ */
static int64_t protected_before(const struct lh_metadata *metadata)
{
    const struct lh_pair *pair = lh_map_find(&metadata->configuration, LH_SLICE(PROTECTION_KEY));
    int64_t version = 0;
    return !pair || pair->null ? 0 : lh_json_int64_text(pair->value, &version) && version >= 0 ? version : -1;
}

/* A protocol may lose features, but none in use; and what protects checkpoints is never lowered. */
static vde_status check_kept(const struct lh_member_txn *m)
{
    static const char *const uses[][2] = {{"delta.enableDeletionVectors", "deletionVectors"},
                                          {"delta.enableInCommitTimestamps", "inCommitTimestamp"},
                                          {"delta.enableRowTracking", "rowTracking"},
                                          {"delta.enableIcebergCompatV1", "icebergCompatV1"},
                                          {"delta.enableIcebergCompatV2", "icebergCompatV2"}};
    const struct lh_protocol *now = &m->new_meta->protocol.protocol;
    const char *missing = NULL;
    int64_t version = protected_before(&m->new_meta->metadata.metadata);
    bool protects = lh_protocol_has(now, "checkpointProtection");
    const struct lh_duties *duties = &m->new_meta->duties;
    if (protects && (version < 0 || (m->meta && version < protected_before(&m->meta->metadata.metadata))))
        return lh_fail(LH_VALIDATION, "table %s|" PROTECTION_KEY " lowered, or no version|a version, never lowered: the table "
                       "has feature checkpointProtection", m->name.data);
    for (unsigned i = 0; i < duties->count; i++)
        if (!lh_protocol_has(now, duties->names[i]))
            missing = duties->names[i];
    for (size_t i = 0; i < sizeof uses / sizeof uses[0]; i++)
        if (lh_property_is(&m->new_meta->metadata.metadata.configuration, uses[i][0], "true") &&
            !lh_protocol_has(now, uses[i][1]))
            missing = uses[i][1];
    if (m->has_protocol && m->meta && version != 0 && !protects &&
        lh_protocol_has(&m->meta->protocol.protocol, "checkpointProtection"))
        missing = "checkpointProtection";
    if (m->has_protocol && missing)
        return lh_fail(LH_FEATURE, "table %s|a protocol without table feature %s|every feature that the table uses",
                       m->name.data, missing);
    return VDE_OK;
}

static vde_status check_compat(const struct lh_member_txn *m)
{
    const struct lh_map *c = &m->new_meta->metadata.metadata.configuration;
    bool v1 = lh_property_is(c, "delta.enableIcebergCompatV1", "true");
    bool v2 = lh_property_is(c, "delta.enableIcebergCompatV2", "true");
    const char *found = NULL;
    if (!v1 && !v2)
        return VDE_OK;
    if (v1 && v2)
        found = "both versions of it";
    else if (!(m->new_meta->rules & LH_ASKS_MAPPED))
        found = "no column mapping";
    else if (m->new_meta->rules & LH_ASKS_NEW_VECTORS)
        found = "delta.enableDeletionVectors";
    if (!found)
        return VDE_OK;
    return lh_fail(LH_VALIDATION, "Iceberg compatibility of table %s|%s|one version, mapped columns, no deletion vectors",
                   m->name.data, found);
}

/* --- domains ---------------------------------------------------------------------------------------------------- */
/* {"clusteringColumns":["a",["b","c"]]}, each a path of physical names. NONE: something else. */
static uint32_t clustering_columns(struct lh_json *json, struct lh_slice text)
{
    if (lh_json_parse(json, text.data, text.size) != VDE_OK) {
        vde_error_clear();
        return LH_JSON_NONE;
    }
    uint32_t columns = lh_json_find(json, 0, "clusteringColumns");
    if (lh_json_kind_of(json, columns) != LH_JSON_ARRAY)
        return LH_JSON_NONE;
    uint32_t column = lh_json_first(json, columns);
    for (uint32_t i = 0; i < json->tokens[columns].count; i++) {
        bool path = lh_json_kind_of(json, column) == LH_JSON_ARRAY && json->tokens[column].count;
        uint32_t part = path ? lh_json_first(json, column) : column;
        for (uint32_t n = 0; n < (path ? json->tokens[column].count : 1); n++, part = json->tokens[part].next)
            if (lh_json_kind_of(json, part) != LH_JSON_STRING)
                return LH_JSON_NONE;
        column = json->tokens[column].next;
    }
    return columns;
}

static vde_status check_clustering(const struct lh_member_txn *m)
{
    const struct lh_meta *meta = in_force(m);
    if (!(meta->rules & LH_ASKS_CLUSTERING))
        return lh_fail(LH_FEATURE, "table %s|domain " LH_CLUSTERING_DOMAIN "|table feature clustering", m->name.data);
    if (meta->clustering.size == 0)
        return VDE_OK;
    struct lh_json json = LH_JSON_INIT;
    bool sound = clustering_columns(&json, meta->clustering) != LH_JSON_NONE;
    lh_json_done(&json);
    if (!sound || meta->metadata.metadata.partition_columns.count)
        return lh_fail(LH_VALIDATION, "table %s|clustering that can't be|a list of columns, for a table without partitions",
                       m->name.data);
    return VDE_OK;
}

static vde_status check_domains(const struct lh_member_txn *m)
{
    for (uint32_t i = 0; i < m->domain_count; i++) {
        struct lh_slice name = m->domains[i];
        bool clustering = lh_slice_is(name, LH_CLUSTERING_DOMAIN);
        if (!(in_force(m)->rules & LH_ASKS_DOMAINS))
            return lh_fail(LH_FEATURE, "table %s|a domainMetadata action|table feature domainMetadata", m->name.data);
        if (name.size >= 6 && memcmp(name.data, "delta.", 6) == 0 && !clustering)
            return lh_fail(LH_VALIDATION, "table %s|domain %.100s|a name that does not begin with delta.", m->name.data,
                           name.data);
        if (clustering)
            LH_TRY(check_clustering(m));
        for (uint32_t other = 0; other < i; other++)
            if (lh_slice_equal(name, m->domains[other]))
                return lh_fail(LH_VALIDATION, "commit to table %s|a domain set twice|once", m->name.data);
    }
    return VDE_OK;
}

/* --- files ------------------------------------------------------------------------------------------------------ */
struct files {
    const struct lh_member_txn *member;
    const struct lh_meta *meta;
    struct lh_decoder decoder, other;
    struct lh_json clustering;
    uint32_t columns;            /* of the clustering; NONE */
};

static vde_status bad_add(const struct files *f, const char *found, const char *expected)
{
    return lh_fail(LH_VALIDATION, "add to table %s|%s|%s", f->member->name.data, found, expected);
}

static vde_status check_vector(const struct files *f, const struct lh_file_action *file, bool counted, int64_t rows)
{
    const uint32_t needed = LH_DV_STORAGE_TYPE | LH_DV_PATH | LH_DV_SIZE | LH_DV_CARDINALITY;
    const struct lh_dv *dv = &file->dv;
    if (!(f->meta->rules & LH_ASKS_VECTORS))
        return lh_fail(LH_FEATURE, "table %s|a deletion vector|table feature deletionVectors", f->member->name.data);
    if (f->meta->rules & LH_ASKS_NO_VECTORS)
        return bad_add(f, "a deletion vector", "none: the table is kept readable for Iceberg");
    bool inline_vector = lh_slice_is(dv->storage_type, "i"), offset = lh_has(&dv->part, LH_DV_OFFSET);
    bool kind = inline_vector || lh_slice_is(dv->storage_type, "u") || lh_slice_is(dv->storage_type, "p");
    if ((dv->part.set & needed) != needed || !kind || dv->path_or_inline.size == 0 || dv->size_bytes < 0 ||
        dv->cardinality < 0 || (offset && (inline_vector || dv->offset < 0 || dv->offset > INT32_MAX)))
        return bad_add(f, "a deletion vector that lacks something, or out of range", "storageType u, i or p, a path, sizes");
    if (!counted)
        return bad_add(f, "a deletion vector without numRecords in the statistics", "it");
    return dv->cardinality > rows ? bad_add(f, "a deletion vector of more rows than the file has", "as many at most") : VDE_OK;
}

/* Member `group` of the statistics at a column's path; NONE: not told. */
static vde_status statistic(struct files *f, const char *group, uint32_t column, uint32_t *ret_token)
{
    const struct lh_json *names = &f->clustering, *stats = &f->decoder.json;
    bool path = lh_json_kind_of(names, column) == LH_JSON_ARRAY;
    uint32_t part = path ? lh_json_first(names, column) : column, count = path ? names->tokens[column].count : 1;
    uint32_t at = lh_json_find(stats, 0, group);
    for (uint32_t i = 0; i < count && at != LH_JSON_NONE; i++, part = names->tokens[part].next) {
        struct lh_slice name;
        LH_TRY(lh_json_string(names, part, &f->other.arena, &name));
        char *text = lh_arena_alloc(&f->other.arena, name.size + 1, 1);
        if (!text)
            return lh_fail_nomem("statistics");
        if (name.size)
            memcpy(text, name.data, name.size);
        at = lh_json_find(stats, at, text);
    }
    *ret_token = lh_json_kind_of(stats, at) == LH_JSON_NULL ? LH_JSON_NONE : at;
    return VDE_OK;
}

/* Bounds and nulls of each clustering column; of one that holds only nulls there are no bounds. */
static vde_status check_statistics(struct files *f, const struct lh_file_action *file, bool counted, int64_t rows)
{
    static const char missing[] = "no statistics of a clustering column";
    static const char wanted[] = "numRecords, and nullCount, minValues and maxValues of each";
    lh_decoder_reset(&f->other);
    if (!counted || lh_json_parse(&f->decoder.json, file->stats.data, file->stats.size) != VDE_OK)
        return bad_add(f, missing, wanted);
    uint32_t column = lh_json_first(&f->clustering, f->columns);
    for (uint32_t i = 0; i < f->clustering.tokens[f->columns].count; i++, column = f->clustering.tokens[column].next) {
        uint32_t nulls, least, greatest;
        int64_t count = -1;
        LH_TRY(statistic(f, "nullCount", column, &nulls));
        LH_TRY(statistic(f, "minValues", column, &least));
        LH_TRY(statistic(f, "maxValues", column, &greatest));
        bool told = nulls != LH_JSON_NONE && lh_json_int64(&f->decoder.json, nulls, &count) && count >= 0;
        if (!told || (count != rows && (least == LH_JSON_NONE || greatest == LH_JSON_NONE)))
            return bad_add(f, missing, wanted);
    }
    return VDE_OK;
}

static vde_status check_add(struct files *f, const struct lh_file_action *file)
{
    int64_t rows = 0;
    bool counted = lh_file_num_records(&f->other, file, &rows);
    if ((f->meta->rules & LH_ASKS_RECORDS) && !counted)
        return bad_add(f, "no numRecords in the statistics", f->meta->rules & LH_ASKS_ROW_IDS
                       ? "it: the table has feature rowTracking" : "it: the table is kept readable for Iceberg");
    if (lh_has(&file->part, LH_FILE_DV))
        LH_TRY(check_vector(f, file, counted, rows));
    return f->columns != LH_JSON_NONE ? check_statistics(f, file, counted, rows) : VDE_OK;
}

static vde_status check_files(struct lh_member_txn *m)
{
    struct files f = {.member = m, .meta = in_force(m), .columns = LH_JSON_NONE};
    bool clustered = (f.meta->rules & LH_ASKS_CLUSTERING) && f.meta->clustering.size;
    if (!m->added.count || !(m->has_vectors || clustered || (f.meta->rules & LH_ASKS_RECORDS)))
        return VDE_OK;
    if (clustered)
        f.columns = clustering_columns(&f.clustering, f.meta->clustering);
    struct lh_record record = {.action_count = m->action_count, .actions = {m->actions.data, m->actions.size}};
    struct lh_action_walk walk;
    struct lh_action action;
    vde_status status;
    lh_action_walk_init(&walk, &f.decoder, &record);
    while ((status = lh_action_walk_next(&walk, &action)) == VDE_OK) {
        if (action.kind == LH_ACTION_ADD)
            status = check_add(&f, &action.file);
        if (status != VDE_OK)
            break;
    }
    lh_json_done(&f.clustering);
    lh_decoder_done(&f.decoder);
    lh_decoder_done(&f.other);
    return status == VDE_NOT_FOUND ? VDE_OK : status;
}

/* --- deletion vectors while new ones are not allowed ------------------------------------------------------------ */
bool lh_features_old_vectors(const struct lh_member_txn *member)
{
    const struct lh_meta *meta = in_force(member);
    return meta && !member->restores && member->has_vectors && !(meta->rules & LH_ASKS_NEW_VECTORS);
}

vde_status lh_features_check_vectors(const struct lh_member_txn *member, struct lh_state *state)
{
    struct lh_record record = {.action_count = member->action_count,
                               .actions = {member->actions.data, member->actions.size}};
    struct lh_decoder decoder = LH_DECODER_INIT;
    struct lh_arena arena = LH_ARENA_INIT;
    struct lh_buffer key = LH_BUFFER_INIT;
    struct lh_active_file active;
    struct lh_action_walk walk;
    struct lh_action action;
    vde_status status;
    lh_action_walk_init(&walk, &decoder, &record);
    while ((status = lh_action_walk_next(&walk, &action)) == VDE_OK) {
        if (action.kind != LH_ACTION_ADD || !lh_has(&action.file.part, LH_FILE_DV))
            continue;
        lh_buffer_clear(&key);
        lh_file_key(&action.file, &key);
        status = lh_buffer_status(&key);
        if (status == VDE_OK)
            status = state ? lh_state_find_file(state, (struct lh_slice){key.data, key.size}, &arena, &active)
                           : LH_FILE_NOT_FOUND;
        if (status == LH_FILE_NOT_FOUND)
            status = lh_fail(LH_VALIDATION, "add to table %s|a new deletion vector|none while delta.enableDeletionVectors is "
                             "not true", member->name.data);
        if (status != VDE_OK)
            break;
    }
    lh_buffer_done(&key);
    lh_arena_done(&arena);
    lh_decoder_done(&decoder);
    return status == VDE_NOT_FOUND ? VDE_OK : status;
}

/* --- all of them ----------------------------------------------------------------------------------------------- */
vde_status lh_features_check(struct lh_member_txn *member)
{
    bool iceberg = (member->create ? member->format : member->head->record.format) == LH_FORMAT_ICEBERG;
    LH_TRY(check_writable(member));
    LH_TRY(check_append_only(member));
    if (!iceberg && !member->restores) { /* files that come back were checked when they came first */
        LH_TRY(check_duties(member));
        LH_TRY(check_domains(member));
        if (member->new_meta) {
            LH_TRY(check_kept(member));
            LH_TRY(check_compat(member));
        }
        LH_TRY(check_files(member));
    }
    return VDE_OK;
}
