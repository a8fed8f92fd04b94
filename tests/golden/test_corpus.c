/* SPDX-License-Identifier: Apache-2.0 */
/* Every table of the corpus goes through an image and comes back.
 * ctest: timeout=1200
 *
 * corpus_expected.tsv names each table and its outcome: native (with what commits lack), opaque or refused, with the reason. Per table: import
 * into an image in memory; export and compare bytes and times; export from the decoded state alone and compare action by
 * action; import that again and compare the state at every version with the first import's. States of all versions go to a
 * file that compare_states.py compares with an independent replay of the JSON and with the checksums of the original
 * writers. Without VDE_CORPORA only the tables in tests/data are run. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lakehouse/delta.h>
#include <lakehouse/history.h>
#include <lakehouse/namespace.h>
#include <lakehouse/timetravel.h>
#include <lakehouse/txn.h>

#include "model/buffer.h"
#include "model/json.h"
#include "tree.h"

#define IMAGE_BYTES (256ull << 20)

struct expected {
    char name[512];
    char outcome[16];
    char reason[256];
};

static char scratch[PATH_MAX / 4];
static FILE *dump;
static unsigned tables, versions, native, opaque, refused;

static bool fail(const struct expected *table, const char *what)
{
    printf("  WRONG %s: %s: %s (%s)\n", table->name, what, vde_last_error()->text, lh_status_name(vde_last_error()->status));
    return false;
}

#define CHECK(expr)                                                                                                    \
    do {                                                                                                               \
        if ((expr) != VDE_OK)                                                                                          \
            return fail(table, #expr);                                                                                 \
    } while (0)

/* --- states ----------------------------------------------------------------------------------------------------- */

/* One version's state as JSON text: objects, then files in path order of no importance. */
static bool state_text(lh_lakehouse *lakehouse, const struct expected *table, const char *spec, struct lh_buffer *out)
{
    lh_snapshot *snapshot;
    struct lh_strings *objects;
    CHECK(lh_snapshot_open(lakehouse, spec, &snapshot));
    CHECK(lh_snapshot_objects(snapshot, &objects));
    lh_snapshot_want_json(snapshot, true);
    lh_buffer_text(out, "\"objects\":[");
    for (size_t i = 0; i < objects->count; i++) {
        lh_buffer_text(out, i ? "," : "");
        lh_buffer_text(out, objects->items[i]);
    }
    lh_buffer_text(out, "],\"files\":[");
    lh_free(objects);
    vde_status status;
    for (size_t i = 0;; i++) {
        struct lh_file_info file;
        status = lh_snapshot_next_file(snapshot, &file);
        if (status != VDE_OK)
            break;
        lh_buffer_text(out, i ? "," : "");
        lh_buffer_text(out, file.action_json);
    }
    lh_buffer_byte(out, ']');
    lh_snapshot_close(snapshot);
    return status == VDE_NOT_FOUND ? true : fail(table, "lh_snapshot_next_file");
}

/* Write the states of `name` to the dump and compare each with that of `again`, which came in from the printed state. */
static bool states_agree(lh_lakehouse *lakehouse, const struct expected *table, const char *name, const char *again,
                         const char *folder)
{
    lh_history *history;
    bool good = true;
    CHECK(lh_history_open(lakehouse, name, 0, LH_NO_VERSION, false, &history));
    for (;;) {
        struct lh_version_info info;
        char spec[300];
        if (lh_history_next(history, &info) != VDE_OK)
            break;
        struct lh_buffer text = LH_BUFFER_INIT, other = LH_BUFFER_INIT;
        snprintf(spec, sizeof spec, "%s@v%llu", name, (unsigned long long)info.version);
        good = state_text(lakehouse, table, spec, &text) && good;
        snprintf(spec, sizeof spec, "%s@v%llu", again, (unsigned long long)info.version);
        good = state_text(lakehouse, table, spec, &other) && good;
        if (text.size != other.size || memcmp(text.data, other.data, text.size) != 0) {
            printf("  WRONG %s: version %llu differs after a round through the printed state\n", table->name,
                   (unsigned long long)info.version);
            good = false;
        }
        fprintf(dump, "{\"table\":\"%s\",\"folder\":\"%s\",\"version\":%llu,\"time_us\":%llu,\"file_time_ns\":%lld,", table->name,
                folder, (unsigned long long)info.version, (unsigned long long)info.time_us, (long long)info.file_time_ns);
        fwrite(text.data, 1, text.size, dump);
        fputs("}\n", dump);
        lh_buffer_done(&text);
        lh_buffer_done(&other);
        versions++;
    }
    lh_history_close(history);
    return good;
}

/* --- one table -------------------------------------------------------------------------------------------------- */

static bool export_and_compare(lh_lakehouse *lakehouse, const struct expected *table, const char *original)
{
    char target[PATH_MAX];
    size_t files = 0;
    struct lh_export_report *report;
    snprintf(target, sizeof target, "%s/out", scratch);
    (void)remove_tree(target);    /* what a failure before this one left */
    CHECK(lh_delta_export(lakehouse, "ns.t", target, NULL, &report));
    bool good = same_commits(original, target) && same_other_files(original, target, &files);
    if (good && files != report->log_files + report->data_files) {
        printf("  WRONG %s: %zu files, the report says %llu\n", table->name, files,
               (unsigned long long)(report->log_files + report->data_files));
        good = false;
    }
    lh_free(report);
    return good && remove_tree(target);
}

static bool through_state(lh_lakehouse *lakehouse, const struct expected *table, const char *original)
{
    char target[PATH_MAX];
    struct lh_export options = LH_EXPORT_INIT;
    struct lh_import import = LH_IMPORT_INIT;
    snprintf(target, sizeof target, "%s/state", scratch);
    options.flags = LH_EXPORT_FROM_STATE | LH_EXPORT_LOG_ONLY;
    import.table = "ns.again";
    (void)remove_tree(target);
    CHECK(lh_delta_export(lakehouse, "ns.t", target, &options, NULL));
    bool good = same_actions(original, target);
    CHECK(lh_delta_import(lakehouse, target, &import, NULL));
    return states_agree(lakehouse, table, "ns.t", "ns.again", original) && good && remove_tree(target);
}

/* A commit is refused by the name of what is not understood. */
static bool commits_are_refused(lh_lakehouse *lakehouse, const struct expected *table, vde_status wanted)
{
    static const char line[] = "{\"add\":{\"path\":\"x\",\"partitionValues\":{},\"size\":1,\"modificationTime\":1,\"dataChange\":true}}";
    const char *name = strrchr(table->reason, ' ') + 1;
    lh_txn *txn;
    size_t member;
    CHECK(lh_txn_create(lakehouse, &txn));
    vde_status status = lh_txn_table(txn, "ns.t", NULL, &member);
    if (status == VDE_OK)
        status = lh_txn_action_json(txn, member, line, sizeof line - 1);
    if (status == VDE_OK)
        status = lh_commit(txn, NULL);
    lh_txn_destroy(txn);
    return status == wanted && strstr(vde_last_error()->text, name) ? true : fail(table, "a commit was not refused by name");
}

/* State and commit are refused; history works. */
static bool opaque_is_guarded(lh_lakehouse *lakehouse, const struct expected *table)
{
    const char *name = strrchr(table->reason, ' ') + 1;
    lh_snapshot *snapshot;
    struct lh_file_info file;
    vde_status status = lh_snapshot_open(lakehouse, "ns.t", &snapshot);
    if (status == VDE_OK) {
        status = lh_snapshot_next_file(snapshot, &file);
        lh_snapshot_close(snapshot);
    }
    if (status != LH_OPAQUE || !strstr(vde_last_error()->text, name))
        return fail(table, "the state of an opaque table was not refused by name");
    if (!commits_are_refused(lakehouse, table, LH_OPAQUE))
        return false;
    lh_history *history;
    CHECK(lh_history_open(lakehouse, "ns.t", 0, LH_NO_VERSION, true, &history));
    lh_history_close(history);
    return true;
}

static bool check_outcome(lh_lakehouse *lakehouse, const struct expected *table, const char *folder, vde_status status,
                          const struct lh_import_report *report)
{
    static const char *const outcomes[] = {"?", "native", "opaque", "refused"};
    if (!report)
        return fail(table, "import without report");
    const char *outcome = outcomes[report->outcome], *reason = report->reason ? report->reason : "";
    if (strcmp(outcome, table->outcome) != 0 || strcmp(reason, table->reason) != 0) {
        printf("  WRONG %s: %s (%s), expected %s (%s)\n", table->name, outcome, reason, table->outcome, table->reason);
        return false;
    }
    if (report->outcome == LH_IMPORT_REFUSED) {
        struct lh_stats stats;
        refused++;
        CHECK(lh_get_stats(lakehouse, &stats));
        return status == LH_REFUSED && stats.tables == 0 && stats.versions == 0 ? true : fail(table, "refused, but not unchanged");
    }
    if (status != VDE_OK)
        return fail(table, "lh_delta_import");
    native += report->outcome == LH_IMPORT_NATIVE;
    opaque += report->outcome == LH_IMPORT_OPAQUE;
    if (!export_and_compare(lakehouse, table, folder))
        return false;
    if (report->outcome == LH_IMPORT_OPAQUE)
        return opaque_is_guarded(lakehouse, table);
    if (reason[0] && !commits_are_refused(lakehouse, table, LH_FEATURE))
        return false;
    return through_state(lakehouse, table, folder);
}

static bool run_in(lh_lakehouse *lakehouse, const struct expected *table, const char *folder)
{
    struct lh_import import = LH_IMPORT_INIT;
    struct lh_import_report *report = NULL;
    import.table = "ns.t";
    CHECK(lh_namespace_create(lakehouse, "ns", NULL, 0));
    vde_status status = lh_delta_import(lakehouse, folder, &import, &report);
    bool good = check_outcome(lakehouse, table, folder, status, report);
    lh_free(report);
    return good;
}

static bool run_table(const struct expected *table, const char *original)
{
    char folder[PATH_MAX];
    struct vde_device *device;
    struct vde_format_opts format = VDE_FORMAT_OPTS_INIT;
    struct vde_open_opts open = VDE_OPEN_OPTS_INIT;
    vde_image *image;
    lh_lakehouse *lakehouse;
    snprintf(folder, sizeof folder, "%s/in", scratch);
    if (!copy_table(original, folder) || !set_commit_times(folder, tables % 3))
        return false;
    CHECK(vde_device_memory(IMAGE_BYTES, &device));
    format.log_bytes = 4u << 20;
    open.flags = VDE_OPEN_NO_THREADS;
    CHECK(vde_image_format_device(device, &format));
    CHECK(vde_image_open_device(device, &open, &image));
    CHECK(lh_open(image, NULL, &lakehouse));
    bool good = run_in(lakehouse, table, folder);
    lh_close(lakehouse);
    if (vde_image_close(image) != VDE_OK)
        good = fail(table, "vde_image_close");
    device->ops->close(device);
    /* compare_states.py replays the copy: it is kept until then, under the table's number. */
    char kept[PATH_MAX];
    snprintf(kept, sizeof kept, "%s/%u", scratch, tables);
    return rename(folder, kept) == 0 && good;
}

/* --- all of them ------------------------------------------------------------------------------------------------ */

static char *take_column(char **line)
{
    char *column = *line, *tab = strchr(column, '\t');
    if (tab)
        *tab = '\0';
    *line = tab ? tab + 1 : column + strlen(column);
    return column;
}

static bool run_all(FILE *list, const char *source, const char *corpora)
{
    char text[2048], original[PATH_MAX];
    bool good = true;
    while (fgets(text, sizeof text, list)) {
        struct expected table;
        char *line = text;
        text[strcspn(text, "\n")] = '\0';
        snprintf(table.name, sizeof table.name, "%s", take_column(&line));
        snprintf(table.outcome, sizeof table.outcome, "%s", take_column(&line));
        snprintf(table.reason, sizeof table.reason, "%s", line);
        if (strncmp(table.name, "data/", 5) == 0)
            snprintf(original, sizeof original, "%s/tests/%s", source, table.name);
        else if (corpora)
            snprintf(original, sizeof original, "%s/%s", corpora, table.name + strlen("corpora/"));
        else
            continue;
        tables++;
        if (!run_table(&table, original)) {
            printf("FAILED %s\n", table.name);
            good = false;
        }
    }
    return good;
}

static bool compare(const char *source, const char *corpora, const char *dump_path)
{
    char command[3 * PATH_MAX];
    snprintf(command, sizeof command, "python3 '%s/tests/golden/compare_states.py' '%s' '%s/tests/golden/corpus_expected.tsv' '%s'",
             source, dump_path, source, corpora ? corpora : "");
    return system(command) == 0;
}

int main(void)
{
    const char *source = getenv("VDE_SOURCE_DIR") ? getenv("VDE_SOURCE_DIR") : ".";
    const char *corpora = getenv("VDE_CORPORA") && *getenv("VDE_CORPORA") ? getenv("VDE_CORPORA") : NULL;
    char path[PATH_MAX];
    snprintf(scratch, sizeof scratch, "%s/vde-corpus-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(scratch))
        return 1;
    if (corpora && access(corpora, R_OK) != 0)
        corpora = NULL;
    snprintf(path, sizeof path, "%s/tests/golden/corpus_expected.tsv", source);
    FILE *list = fopen(path, "r");
    snprintf(path, sizeof path, "%s/states.ndjson", scratch);
    dump = fopen(path, "w");
    if (!list || !dump) {
        printf("can't open %s\n", path);
        return 1;
    }
    bool good = run_all(list, source, corpora);
    fclose(list);
    fclose(dump);
    printf("%u tables: %u native, %u opaque, %u refused; %u states\n", tables, native, opaque, refused, versions);
    good = compare(source, corpora, path) && good;
    return remove_tree(scratch) && good ? 0 : 1;
}
