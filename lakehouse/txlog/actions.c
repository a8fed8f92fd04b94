/* SPDX-License-Identifier: Apache-2.0 */
/* actions.c -- the actions of a member: built from arguments or decoded from JSON, encoded at once. */
#include <stdio.h>
#include <stdlib.h>

#include "model/action_fields.h"
#include "state/fail.h"
#include "txlog/checks.h"

static vde_status note_removal(struct lh_member_txn *member, const struct lh_removal *removal)
{
    if (member->removal_count == member->removal_capacity) {
        uint32_t capacity = member->removal_capacity ? member->removal_capacity * 2 : 8;
        struct lh_removal *removals = realloc(member->removals, capacity * sizeof *removals);
        if (!removals)
            return lh_fail_nomem("transaction");
        member->removals = removals;
        member->removal_capacity = capacity;
    }
    member->removals[member->removal_count++] = *removal;
    return lh_hashes_add(&member->removed, lh_hash(removal->path)) ? VDE_OK : lh_fail_nomem("transaction");
}

/* Imported logs keep such members as text. A commit made here must not write what no other reader takes. */
static vde_status refuse_mistyped(const struct lh_member_txn *member, const struct lh_action *action)
{
    const struct part_def *def = lh_action_part_def(action->kind);
    if (!def || action->kind == LH_ACTION_COMMIT_INFO)
        return VDE_OK;
    uint32_t mistyped = action->part.raw & ~action->part.set;
    if (mistyped == 0)
        return VDE_OK;
    unsigned first = (unsigned)__builtin_ctz(mistyped);
    return lh_fail(LH_VALIDATION, "%s in table %s|%s of a wrong type or out of range|what Delta's protocol says",
                   lh_action_name(action->kind), member->name.data,
                   first < def->count ? def->fields[first].name : "a member");
}

static vde_status note_add(struct lh_member_txn *member, const struct lh_file_action *file)
{
    if (!lh_has(&file->part, LH_FILE_PATH) || file->path.size == 0)
        return lh_fail(LH_VALIDATION, "add to table %s|no path|one", member->name.data);
    if (memchr(file->path.data, '\0', file->path.size) || !lh_utf8_valid(file->path))
        return lh_fail(LH_VALIDATION, "add to table %s|a path with NUL or no UTF-8|UTF-8 without NUL", member->name.data);
    if (lh_has(&file->part, LH_FILE_SIZE) && file->size_bytes < 0)
        return lh_fail(LH_VALIDATION, "add to table %s|a negative size|0 or more", member->name.data);
    bool changes = !lh_has(&file->part, LH_FILE_DATA_CHANGE) || file->data_change;
    if (!lh_hashes_add(&member->added, lh_hash(file->path)) ||
        (!changes && !lh_hashes_add(&member->kept, lh_hash(file->path))))
        return lh_fail_nomem("transaction");
    member->data_change |= changes;
    member->has_vectors |= lh_has(&file->part, LH_FILE_DV);
    member->partition_values |= file->partition_values.count != 0;
    return VDE_OK;
}

static vde_status note_given_remove(struct lh_txn *txn, struct lh_member_txn *member, const struct lh_file_action *file)
{
    if (!lh_has(&file->part, LH_FILE_PATH) || file->path.size == 0)
        return lh_fail(LH_VALIDATION, "remove from table %s|no path|one", member->name.data);
    struct lh_removal removal = {.given = true};
    struct lh_buffer key = LH_BUFFER_INIT;
    lh_file_key(file, &key);
    vde_status status = lh_buffer_status(&key);
    if (status == VDE_OK)
        status = lh_txn_text(txn, (struct lh_slice){key.data, key.size}, &removal.key);
    lh_buffer_done(&key);
    LH_TRY(status);
    LH_TRY(lh_txn_text(txn, file->path, &removal.path));
    member->data_change |= !lh_has(&file->part, LH_FILE_DATA_CHANGE) || file->data_change;
    return note_removal(member, &removal);
}

vde_status lh_member_remove(struct lh_txn *txn, struct lh_member_txn *member, struct lh_slice path, struct lh_slice key)
{
    struct lh_removal removal = {.no_data_change = false};
    LH_TRY(lh_txn_text(txn, path, &removal.path));
    LH_TRY(lh_txn_text(txn, key, &removal.key));
    member->data_change = true;
    return note_removal(member, &removal);
}

static vde_status note_app(struct lh_txn *txn, struct lh_member_txn *member, const struct lh_app_txn *app)
{
    struct lh_pair *apps = lh_arena_alloc(&txn->arena, member->app_count + 1, sizeof *apps);
    uint8_t version[8];
    if (!lh_has(&app->part, LH_TXN_APP_ID) || !lh_has(&app->part, LH_TXN_VERSION))
        return lh_fail(LH_VALIDATION, "txn in table %s|no appId or no version|both", member->name.data);
    if (!apps)
        return lh_fail_nomem("transaction");
    if (member->app_count)
        memcpy(apps, member->apps, member->app_count * sizeof *apps);
    lh_le64_put(version, (uint64_t)app->version);
    LH_TRY(lh_txn_text(txn, app->app_id, &apps[member->app_count].key));
    LH_TRY(lh_txn_text(txn, (struct lh_slice){(const char *)version, 8}, &apps[member->app_count].value));
    member->apps = apps;
    member->app_count++;
    member->only_files = false;
    return VDE_OK;
}

static vde_status note_domain(struct lh_txn *txn, struct lh_member_txn *member, const struct lh_domain *domain)
{
    struct lh_slice *domains = lh_arena_alloc(&txn->arena, member->domain_count + 1, sizeof *domains);
    if (!domains)
        return lh_fail_nomem("transaction");
    if (member->domain_count)
        memcpy(domains, member->domains, member->domain_count * sizeof *domains);
    if (!lh_has(&domain->part, LH_DOMAIN_NAME) || domain->domain.size == 0 ||
        (!lh_has(&domain->part, LH_DOMAIN_CONFIGURATION) && !domain->removed))
        return lh_fail(LH_VALIDATION, "domainMetadata in table %s|no domain or no configuration|both", member->name.data);
    LH_TRY(lh_txn_text(txn, domain->domain, &domains[member->domain_count]));
    if (lh_slice_is(domain->domain, LH_CLUSTERING_DOMAIN)) {
        struct lh_slice none = {NULL, 0};
        member->sets_clustering = true;
        LH_TRY(lh_txn_text(txn, domain->removed ? none : domain->configuration, &member->clustering));
    }
    member->domains = domains;
    member->domain_count++;
    /* Row tracking's own domain changes no data: a rearrangement with it is still one. */
    member->only_files &= lh_slice_is(domain->domain, "delta.rowTracking");
    return VDE_OK;
}

static vde_status note_info(struct lh_txn *txn, struct lh_member_txn *member, const struct lh_commit_info *info)
{
    if (lh_has(&info->part, LH_INFO_OPERATION) && member->operation.size == 0)
        LH_TRY(lh_txn_text(txn, info->operation, &member->operation));
    if (lh_has(&info->part, LH_INFO_USER_METADATA))
        LH_TRY(lh_txn_text(txn, info->user_metadata, &member->user_metadata));
    if (lh_has(&info->part, LH_INFO_ENGINE_INFO))
        LH_TRY(lh_txn_text(txn, info->engine_info, &member->engine_info));
    if (member->has_info)
        return lh_fail(LH_VALIDATION, "commit to table %s|two commitInfo actions|one at most", member->name.data);
    member->has_info = true;
    return VDE_OK;
}

/* A partition to be removed: its files are looked up when committing. */
static vde_status note_partition(struct lh_txn *txn, struct lh_member_txn *member, const struct lh_map *values)
{
    struct lh_map *maps = lh_arena_alloc(&txn->arena, member->removed_partition_count + 1, sizeof *maps);
    if (!maps)
        return lh_fail_nomem("transaction");
    if (member->removed_partition_count)
        memcpy(maps, member->removed_partitions, member->removed_partition_count * sizeof *maps);
    struct lh_map *map = &maps[member->removed_partition_count];
    map->pairs = lh_arena_alloc(&txn->arena, values->count + 1, sizeof *map->pairs);
    if (!map->pairs)
        return lh_fail_nomem("transaction");
    for (uint32_t i = 0; i < values->count; i++) {
        map->pairs[i].null = values->pairs[i].null;
        LH_TRY(lh_txn_text(txn, values->pairs[i].key, &map->pairs[i].key));
        LH_TRY(lh_txn_text(txn, values->pairs[i].value, &map->pairs[i].value));
    }
    map->count = values->count;
    member->removed_partitions = maps;
    member->removed_partition_count++;
    member->data_change = true;
    member->partition_values |= values->count != 0;
    return VDE_OK;
}

static vde_status note(struct lh_txn *txn, struct lh_member_txn *member, const struct lh_action *action)
{
    switch (action->kind) {
    case LH_ACTION_ADD:
        return note_add(member, &action->file);
    case LH_ACTION_REMOVE:
        return note_given_remove(txn, member, &action->file);
    case LH_ACTION_TXN:
        return note_app(txn, member, &action->txn);
    case LH_ACTION_DOMAIN:
        return note_domain(txn, member, &action->domain);
    case LH_ACTION_COMMIT_INFO:
        return note_info(txn, member, &action->info);
    case LH_ACTION_ADD_PARTITION:
        member->only_files = false;
        member->partition_values |= action->file.partition_values.count != 0;
        return VDE_OK;
    case LH_ACTION_REMOVE_PARTITION:
        return note_partition(txn, member, &action->file.partition_values);
    case LH_ACTION_METADATA:
        if (!lh_has(&action->part, LH_META_SCHEMA) || action->metadata.schema_string.size == 0)
            return lh_fail(LH_VALIDATION, "metaData of table %s|no schemaString|one", member->name.data);
        break;
    case LH_ACTION_UNKNOWN:
        member->only_files = false;
        break;
    case LH_ACTION_PROTOCOL:
    case LH_ACTION_CDC:
    case LH_ACTION_KIND_COUNT:
        break;
    }
    return VDE_OK;
}

vde_status lh_member_action(struct lh_txn *txn, struct lh_member_txn *member, const struct lh_action *action)
{
    bool metadata = action->kind == LH_ACTION_METADATA, protocol = action->kind == LH_ACTION_PROTOCOL;
    if ((metadata && member->has_metadata) || (protocol && member->has_protocol))
        return lh_fail(LH_VALIDATION, "commit to table %s|two %s actions|one at most", member->name.data,
                       lh_action_name(action->kind));
    LH_TRY(refuse_mistyped(member, action));
    LH_TRY(note(txn, member, action));
    size_t from = member->actions.size;
    lh_action_to_bytes(action, &member->actions);
    LH_TRY(lh_buffer_status(&member->actions));
    struct lh_slice bytes = {member->actions.data + from, member->actions.size - from};
    if (metadata || protocol) {
        LH_TRY(lh_txn_text(txn, bytes, metadata ? &member->given_metadata : &member->given_protocol));
        member->has_metadata |= metadata;
        member->has_protocol |= protocol;
        member->only_files = false;
        /* It goes in front, with what the table's change of schema or properties makes of it. */
        member->actions.size = from;
        return VDE_OK;
    }
    member->action_count++;
    lh_summary_count(&member->summary, &txn->decoder, action);
    return VDE_OK;
}

vde_status lh_txn_action_json(lh_txn *txn, size_t member, const char *json, size_t size)
{
    struct lh_member_txn *m = NULL;
    struct lh_action action;
    LH_TRY(lh_txn_member_at(txn, member, &m));
    lh_decoder_reset(&txn->decoder);
    LH_TRY(lh_fail_again(lh_action_from_json(&txn->decoder, (struct lh_slice){json, size}, &action), LH_JSON));
    return lh_member_action(txn, m, &action);
}

/* --- native actions --------------------------------------------------------------------------------------------- */
#define STACK_PAIRS 16u

static vde_status fill_pairs(struct lh_txn *txn, const struct lh_property *from, size_t count, struct lh_pair *stack,
                             struct lh_map *map)
{
    map->pairs = count <= STACK_PAIRS ? stack : lh_arena_alloc(&txn->arena, count, sizeof *map->pairs);
    if (!map->pairs)
        return lh_fail_nomem("transaction");
    map->count = (uint32_t)count;
    for (size_t i = 0; i < count; i++)
        map->pairs[i] = (struct lh_pair){lh_slice_of(from[i].key), lh_slice_of(from[i].value), from[i].value == NULL};
    return VDE_OK;
}

vde_status lh_txn_add_file(lh_txn *txn, size_t member, const struct lh_add *add)
{
    struct lh_member_txn *m = NULL;
    LH_TRY(lh_txn_member_at(txn, member, &m));
    struct lh_pair pairs[STACK_PAIRS];
    char stats[48];
    struct lh_action action = {.kind = LH_ACTION_ADD};
    struct lh_file_action *file = &action.file;
    file->part.set = LH_FILE_PATH | LH_FILE_PARTITION_VALUES | LH_FILE_SIZE | LH_FILE_MODIFICATION_TIME | LH_FILE_DATA_CHANGE;
    file->path = lh_slice_of(add->path);
    LH_TRY(fill_pairs(txn, add->partition_values, add->partition_count, pairs, &file->partition_values));
    file->size_bytes = add->size_bytes;
    file->modification_time_ms = add->modification_time_ms;
    file->data_change = !add->no_data_change;
    if (add->stats) {
        file->stats = lh_slice_of(add->stats);
        file->part.set |= LH_FILE_STATS;
    } else if (add->records != LH_UNKNOWN) {
        int size = snprintf(stats, sizeof stats, "{\"numRecords\":%lld}", (long long)add->records);
        file->stats = (struct lh_slice){stats, (size_t)size};
        file->part.set |= LH_FILE_STATS;
    }
    return lh_member_action(txn, m, &action);
}

vde_status lh_txn_remove_file(lh_txn *txn, size_t member, const char *path, bool no_data_change)
{
    struct lh_member_txn *m = NULL;
    LH_TRY(lh_txn_member_at(txn, member, &m));
    if (!path || !path[0])
        return lh_fail(LH_VALIDATION, "remove from table %s|no path|one", m->name.data);
    struct lh_removal removal = {.no_data_change = no_data_change};
    LH_TRY(lh_txn_text(txn, lh_slice_of(path), &removal.path));
    m->data_change |= !no_data_change;
    return note_removal(m, &removal);
}

static vde_status partition_action(lh_txn *txn, size_t member, enum lh_action_kind kind, const struct lh_property *values,
                                   size_t count)
{
    struct lh_member_txn *m = NULL;
    LH_TRY(lh_txn_member_at(txn, member, &m));
    struct lh_pair pairs[STACK_PAIRS];
    struct lh_action action = {.kind = kind};
    action.file.part.set = LH_FILE_PARTITION_VALUES;
    LH_TRY(fill_pairs(txn, values, count, pairs, &action.file.partition_values));
    return lh_member_action(txn, m, &action);
}

vde_status lh_txn_add_partition(lh_txn *txn, size_t member, const struct lh_property *values, size_t count)
{
    return partition_action(txn, member, LH_ACTION_ADD_PARTITION, values, count);
}

vde_status lh_txn_remove_partition(lh_txn *txn, size_t member, const struct lh_property *values, size_t count)
{
    return partition_action(txn, member, LH_ACTION_REMOVE_PARTITION, values, count);
}

vde_status lh_txn_app(lh_txn *txn, size_t member, const char *app_id, int64_t version)
{
    struct lh_member_txn *m = NULL;
    LH_TRY(lh_txn_member_at(txn, member, &m));
    struct lh_action action = {.kind = LH_ACTION_TXN};
    action.txn.part.set = LH_TXN_APP_ID | LH_TXN_VERSION; /* no time: a repeated transaction has the same content */
    action.txn.app_id = lh_slice_of(app_id);
    action.txn.version = version;
    return lh_member_action(txn, m, &action);
}
