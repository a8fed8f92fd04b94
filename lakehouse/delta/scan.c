/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/scan.h"

#include <stdarg.h>
#include <stdio.h>

#include "model/protocol.h"
#include "state/fail.h"

#define MS_US 1000u

struct scanner {
    struct delta_folder *folder;
    struct delta_scan *scan;
    struct lh_decoder decoder;
    struct lh_buffer text;
    /* In-commit timestamps, as the newest metaData has them. */
    bool ict;
    uint64_t ict_from;                   /* version since when they count */
    bool ict_before;                     /* the version before this one had its time from there */
    /* Of the commit that is read. */
    unsigned protocols, metadatas;
    bool has_ict;
    int64_t ict_ms;
};

static VDE_PRINTF(2, 3) void refuse(struct delta_scan *scan, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(scan->reason, sizeof scan->reason, format, arguments);
    va_end(arguments);
    scan->outcome = LH_IMPORT_REFUSED;
}

static void judge_opaque(struct delta_scan *scan, uint64_t version, const char *what)
{
    if (scan->outcome != LH_IMPORT_NATIVE)
        return;
    scan->outcome = LH_IMPORT_OPAQUE;
    snprintf(scan->reason, sizeof scan->reason, "version %llu needs %s", (unsigned long long)version, what);
}

/* --- what single actions mean ----------------------------------------------------------------------------------- */

static void judge_protocol(struct scanner *scanner, const struct lh_protocol *protocol, uint64_t version)
{
    struct lh_verdict verdict;
    lh_protocol_judge(protocol, NULL, &verdict);
    if (!verdict.native)
        judge_opaque(scanner->scan, version, verdict.what);
    /* What binds writers counts for the next commit only, so the newest protocol tells. */
    if (scanner->scan->outcome == LH_IMPORT_NATIVE)
        scanner->scan->reason[0] = '\0';
    if (scanner->scan->outcome == LH_IMPORT_NATIVE && !verdict.writable)
        snprintf(scanner->scan->reason, sizeof scanner->scan->reason, "commits need %s", verdict.what);
}

static vde_status judge_schema(struct scanner *scanner, const struct lh_metadata *metadata, uint64_t version)
{
    struct lh_arena arena = LH_ARENA_INIT;
    struct lh_schema schema;
    char type[128], what[160];
    vde_status status = lh_schema_parse_delta(&arena, metadata->schema_string, &schema);
    if (status == VDE_INVAL || status == VDE_TOO_LARGE) {
        judge_opaque(scanner->scan, version, "a schema of unknown form");
        status = VDE_OK;
    } else if (status == VDE_OK && lh_schema_unknown_type(&schema, type, sizeof type)) {
        snprintf(what, sizeof what, "the type of column %s", type);
        judge_opaque(scanner->scan, version, what);
    }
    lh_arena_done(&arena);
    return status;
}

static const struct lh_pair *setting(const struct lh_metadata *metadata, const char *key)
{
    const struct lh_pair *pair = lh_map_find(&metadata->configuration, lh_slice_of(key));
    return pair && !pair->null ? pair : NULL;
}

static void note_timestamps(struct scanner *scanner, const struct lh_metadata *metadata)
{
    const struct lh_pair *enabled = setting(metadata, "delta.enableInCommitTimestamps");
    const struct lh_pair *from = setting(metadata, "delta.inCommitTimestampEnablementVersion");
    int64_t version;
    scanner->ict = enabled && lh_slice_is(enabled->value, "true");
    scanner->ict_from = 0;
    if (from && lh_json_int64_text(from->value, &version) && version >= 0)
        scanner->ict_from = (uint64_t)version;
}

static vde_status note_action(struct scanner *scanner, const struct lh_action *action, uint64_t version)
{
    switch (action->kind) {
    case LH_ACTION_PROTOCOL:
        scanner->protocols++;
        judge_protocol(scanner, &action->protocol, version);
        return VDE_OK;
    case LH_ACTION_METADATA:
        scanner->metadatas++;
        note_timestamps(scanner, &action->metadata);
        return judge_schema(scanner, &action->metadata, version);
    case LH_ACTION_COMMIT_INFO:
        if (lh_has(&action->part, LH_INFO_IN_COMMIT_TIMESTAMP)) {
            scanner->has_ict = true;
            scanner->ict_ms = action->info.in_commit_timestamp_ms;
        }
        return VDE_OK;
    default:
        return delta_refs_note(&scanner->scan->refs, action, version);
    }
}

/* A known action whose key is missing or of a wrong type has no meaning that could be replayed. */
static const char *missing_key(const struct lh_action *action)
{
    switch (action->kind) {
    case LH_ACTION_ADD:
    case LH_ACTION_REMOVE:
    case LH_ACTION_CDC:
        return lh_has(&action->part, LH_FILE_PATH) ? NULL : "path";
    case LH_ACTION_TXN:
        return lh_has(&action->part, LH_TXN_APP_ID) ? NULL : "appId";
    case LH_ACTION_DOMAIN:
        return lh_has(&action->part, LH_DOMAIN_NAME) ? NULL : "domain";
    default:
        return NULL;
    }
}

/* --- commits ---------------------------------------------------------------------------------------------------- */

static vde_status scan_lines(struct scanner *scanner, uint64_t version)
{
    struct delta_scan *scan = scanner->scan;
    struct lh_slice rest = {scanner->text.data, scanner->text.size}, line;
    uint64_t number = 0;
    while (lh_ndjson_next(&rest, &line)) {
        struct lh_action action;
        number++;
        lh_decoder_reset(&scanner->decoder);
        vde_status status = lh_action_from_json(&scanner->decoder, line, &action);
        if (status == VDE_INVAL || status == VDE_TOO_LARGE) {
            refuse(scan, "version %llu, action %llu: %s", (unsigned long long)version, (unsigned long long)number,
                   vde_last_error()->text);
            return VDE_OK;
        }
        LH_TRY(status);
        if (missing_key(&action)) {
            refuse(scan, "version %llu, action %llu: %s without %s", (unsigned long long)version,
                   (unsigned long long)number, lh_action_name(action.kind), missing_key(&action));
            return VDE_OK;
        }
        LH_TRY(note_action(scanner, &action, version));
    }
    scan->actions += number;
    if (number == 0)
        delta_warn(&scan->warnings, "version %llu holds no action", (unsigned long long)version);
    return VDE_OK;
}

static void judge_commit(struct scanner *scanner, uint64_t version)
{
    struct delta_scan *scan = scanner->scan;
    if (scan->outcome == LH_IMPORT_REFUSED)
        return;
    if (version == 0 && (scanner->protocols == 0 || scanner->metadatas == 0))
        refuse(scan, "version 0 has no %s", scanner->protocols == 0 ? "protocol" : "metaData");
    else if (scanner->protocols > 1 || scanner->metadatas > 1)
        refuse(scan, "version %llu has two %s actions", (unsigned long long)version,
               scanner->protocols > 1 ? "protocol" : "metaData");
}

/* Commit times: the file's, made strictly increasing; in-commit timestamps where they are enabled. When those begin, the
 * times before are kept below them, so that a time asked for after the enablement never finds an older version. */
static void set_time(struct scanner *scanner, struct log_file *commits, size_t index)
{
    struct log_file *commit = &commits[index];
    bool by_ict = scanner->ict && commit->version >= scanner->ict_from && scanner->has_ict && scanner->ict_ms >= 0 &&
                  scanner->ict_ms < INT64_MAX / 1000000;
    if (scanner->ict && commit->version >= scanner->ict_from && !by_ict)
        delta_warn(&scanner->scan->warnings, "version %llu lacks its in-commit timestamp: its file's time stands in",
                   (unsigned long long)commit->version);
    uint64_t time = by_ict ? (uint64_t)scanner->ict_ms * MS_US
                           : (uint64_t)(commit->modified_ns > 0 ? commit->modified_ns / 1000 : 0);
    if (index > 0 && by_ict && !scanner->ict_before) {
        for (size_t i = index, below = time; i-- > 0 && commits[i].time_us >= below;) {
            below = below > MS_US ? below - MS_US : 0;
            commits[i].time_us = below;
        }
    } else if (index > 0 && time <= commits[index - 1].time_us) {
        time = commits[index - 1].time_us + MS_US;
    }
    commit->time_us = time;
    scanner->ict_before = by_ict;
}

static vde_status scan_commit(struct scanner *scanner, size_t index)
{
    struct log_file *commit = &scanner->folder->commits.items[index];
    LH_TRY(delta_read_file(scanner->folder->log_fd, commit->path, &scanner->text));
    scanner->scan->log_bytes += scanner->text.size;
    scanner->protocols = scanner->metadatas = 0;
    scanner->has_ict = false;
    LH_TRY(scan_lines(scanner, commit->version));
    judge_commit(scanner, commit->version);
    set_time(scanner, scanner->folder->commits.items, index);
    return VDE_OK;
}

/* Versions must run from 0 without a gap. */
static bool contiguous(const struct delta_folder *folder, struct delta_scan *scan)
{
    const struct log_files *commits = &folder->commits;
    if (commits->count == 0) {
        refuse(scan, "the log has no NNN.json: it begins at a checkpoint, which can't be imported yet");
        return false;
    }
    if (commits->items[0].version != 0) {
        refuse(scan, "the log begins at version %llu: its beginning lies in a checkpoint, which can't be imported yet",
               (unsigned long long)commits->items[0].version);
        return false;
    }
    for (size_t i = 0; i < commits->count; i++) {
        if (commits->items[i].version != i) {
            refuse(scan, "version %zu is missing: the log goes on with %llu", i,
                   (unsigned long long)commits->items[i].version);
            return false;
        }
    }
    return true;
}

vde_status delta_scan_log(struct delta_folder *folder, lh_progress_fn progress, void *context, struct delta_scan *ret_scan)
{
    *ret_scan = (struct delta_scan){.outcome = LH_IMPORT_NATIVE, .refs = DELTA_REFS_INIT};
    struct scanner scanner = {
        .folder = folder, .scan = ret_scan, .decoder = LH_DECODER_INIT, .text = LH_BUFFER_INIT};
    vde_status status = VDE_OK;
    uint64_t total = 0, done = 0;
    for (size_t i = 0; i < folder->commits.count; i++)
        total += folder->commits.items[i].size_bytes;
    if (contiguous(folder, ret_scan)) {
        for (size_t i = 0; i < folder->commits.count && ret_scan->outcome != LH_IMPORT_REFUSED; i++) {
            status = scan_commit(&scanner, i);
            if (status != VDE_OK)
                break;
            done += folder->commits.items[i].size_bytes;
            if (progress)
                progress(context, "reading the log", done, total);
        }
    }
    lh_decoder_done(&scanner.decoder);
    lh_buffer_done(&scanner.text);
    if (status != VDE_OK)
        delta_scan_done(ret_scan);
    return status;
}

void delta_scan_done(struct delta_scan *scan)
{
    delta_refs_done(&scan->refs);
    delta_warnings_done(&scan->warnings);
}
