/* SPDX-License-Identifier: Apache-2.0 */
#include "conflict_world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lakehouse/all.h>
#include <vde/vde.h>

#include "conflict_oracle.h"

#define TABLES 3u
#define OPERATIONS_PER_WORLD 1500u
#define VERSIONS_MAX (OPERATIONS_PER_WORLD + 8u)

#define OK(expr)                                                                                                       \
    do {                                                                                                               \
        vde_status ok_status_ = (expr);                                                                                \
        if (ok_status_ != VDE_OK) {                                                                                    \
            fprintf(stderr, "%s:%d: %s: %s: %s\n", __FILE__, __LINE__, #expr, lh_status_name(ok_status_),               \
                    vde_last_error()->text);                                                                           \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

struct table {
    int64_t latest;
    struct table_state states[KEPT]; /* by version % KEPT */
    struct part *parts[VERSIONS_MAX]; /* what made each version; NULL: the first ones */
};

struct world {
    uint64_t seed, random, operation;
    struct vde_device *device;
    vde_image *image;
    lh_lakehouse *lakehouse;
    struct table tables[TABLES];
    uint32_t next_file, next_vector;
    int64_t next_number;
    uint64_t outcomes[VERDICT_APPLIED + 1];
    char text[65536];
    size_t used;
};

static uint64_t draw(struct world *w, uint64_t below)
{
    uint64_t x = w->random += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return (x ^ x >> 31) % below;
}

__attribute__((format(printf, 2, 3))) static void say(struct world *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int size = vsnprintf(w->text + w->used, sizeof w->text - w->used, format, args);
    va_end(args);
    if (size < 0 || w->used + (size_t)size >= sizeof w->text)
        abort();
    w->used += (size_t)size;
}

/* --- choosing a transaction ------------------------------------------------------------------------------------- */
static void choose_reads(struct world *w, struct part *p)
{
    uint64_t kind = draw(w, 8);
    p->reads_all = kind == 0;
    if (kind == 1 || kind == 2)
        p->read_days = 1u + (unsigned)draw(w, (1u << DAYS) - 1);
    for (unsigned i = 0; kind == 3 && i < 2 && p->seen.count; i++)
        p->read_files[p->read_file_count++] = p->seen.items[draw(w, p->seen.count)];
    if (draw(w, 16) == 0)
        p->read_app = (int)draw(w, APPS);
}

static bool is_removed(const struct part *p, uint32_t number)
{
    for (unsigned i = 0; i < p->remove_count; i++)
        if (p->removes[i].number == number)
            return true;
    for (unsigned i = 0; i < p->add_count; i++)
        if (p->adds[i].number == number)
            return true;
    return false;
}

static void add_new(struct world *w, struct part *p)
{
    p->adds[p->add_count++] = (struct file){w->next_file++, (uint8_t)draw(w, DAYS), 0, !p->data};
}

/* One of the files that were active, which nothing else is done to yet; NULL: none was hit. */
static const struct file *some_file(struct world *w, struct part *p)
{
    const struct file *file = p->seen.count ? &p->seen.items[draw(w, p->seen.count)] : NULL;
    return file && !is_removed(p, file->number) && file->day != p->remove_day ? file : NULL;
}

static void choose_files(struct world *w, struct part *p)
{
    uint64_t kind = p->seen.count > 60 ? 4 + draw(w, 3) : draw(w, 10);
    const struct file *file;
    p->data = draw(w, 4) != 0;
    if (kind >= 4 && kind <= 6 && draw(w, 6) == 0) {
        p->remove_day = (int)draw(w, DAYS);
        p->data = true;
    }
    p->data |= kind <= 3;
    if (kind <= 3 || kind == 6)
        for (uint64_t n = 1 + draw(w, 3); n; n--)
            add_new(w, p);
    for (uint64_t n = 1 + draw(w, 3); (kind >= 4 && kind <= 6) && n; n--)
        if ((file = some_file(w, p)))
            p->removes[p->remove_count++] = *file;
    if (kind == 7 && (file = some_file(w, p))) { /* rows deleted by a vector: the same path again */
        p->removes[p->remove_count++] = *file;
        p->adds[p->add_count++] = *file;
        p->adds[p->add_count - 1].vector = ++w->next_vector;
    }
    if (kind == 8 && (file = some_file(w, p))) { /* other statistics */
        p->adds[p->add_count++] = *file;
        p->data = false;
    }
}

static void choose_others(struct world *w, struct part *p, const struct table_state *state)
{
    if (draw(w, 10) == 0) {
        p->app = (int)draw(w, APPS);
        p->app_version = draw(w, 4) ? w->next_number++ : state->apps[p->app] + 1;
    }
    if (draw(w, 20) == 0)
        p->domain = (int)draw(w, DOMAINS);
    uint64_t kind = draw(w, 60);
    if (kind < 3)
        p->metadata = kind == 0 ? METADATA_HARD : kind == 1 && state->columns < 40 ? METADATA_SCHEMA : METADATA_SOFT;
    if (draw(w, 40) == 0) {
        unsigned which = (unsigned)draw(w, FEATURES);
        bool dropped = state->features >> which & 1;
        p->features = state->features ^ 1u << which;
        p->protocol = dropped || which >= SOFT_FEATURES ? PROTOCOL_BINDS : PROTOCOL_ADDS_SOFT;
    }
}

static void choose_part(struct world *w, struct part *p, unsigned table)
{
    const struct table *t = &w->tables[table];
    uint64_t back = draw(w, 3) ? draw(w, KEPT - 2) : 0;
    *p = (struct part){.table = table, .remove_day = -1, .app = -1, .read_app = -1, .domain = -1, .expect = -1};
    p->read_version = t->latest - (int64_t)back < 1 ? 1 : t->latest - (int64_t)back;
    const struct table_state *state = &t->states[p->read_version % KEPT];
    p->seen = state->active;
    choose_reads(w, p);
    if (draw(w, 12)) {
        choose_files(w, p);
        choose_others(w, p, state);
    }
    if (draw(w, 40) == 0)
        p->expect = p->read_version + 1;
}

/* --- as a document ---------------------------------------------------------------------------------------------- */
static void say_vector(struct world *w, const struct file *file)
{
    if (file->vector)
        say(w, ",\"deletionVector\":{\"storageType\":\"u\",\"pathOrInlineDv\":\"ab^-aqEH.-t@S}K{vb[*k^\",\"offset\":%u,"
            "\"sizeInBytes\":40,\"cardinality\":1}", file->vector);
}

static void say_files(struct world *w, const struct part *p, const char **comma)
{
    for (unsigned i = 0; i < p->remove_count; i++, *comma = ",") {
        say(w, "%s{\"remove\":{\"path\":\"f%u\",\"deletionTimestamp\":1,\"dataChange\":%s,\"extendedFileMetadata\":true,"
            "\"partitionValues\":{\"day\":\"%u\"},\"size\":1", *comma, p->removes[i].number, p->data ? "true" : "false",
            p->removes[i].day);
        say_vector(w, &p->removes[i]);
        say(w, "}}");
    }
    for (unsigned i = 0; i < p->add_count; i++, *comma = ",") {
        say(w, "%s{\"add\":{\"path\":\"f%u\",\"partitionValues\":{\"day\":\"%u\"},\"size\":1,\"modificationTime\":1,"
            "\"dataChange\":%s,\"stats\":\"{\\\"numRecords\\\":9}\"", *comma, p->adds[i].number, p->adds[i].day,
            p->data ? "true" : "false");
        say_vector(w, &p->adds[i]);
        say(w, "}}");
    }
    if (p->remove_day >= 0) {
        say(w, "%s{\"removePartition\":{\"partitionValues\":{\"day\":\"%d\"}}}", *comma, p->remove_day);
        *comma = ",";
    }
}

static void say_protocol(struct world *w, unsigned features)
{
    static const char *const names[FEATURES] = {"vacuumProtocolCheck", "v2Checkpoint", "appendOnly", "checkConstraints",
                                                "generatedColumns"};
    say(w, "{\"protocol\":{\"minReaderVersion\":3,\"minWriterVersion\":7,\"readerFeatures\":[\"deletionVectors\"");
    for (unsigned i = 0; i < 2; i++)
        if (features >> i & 1)
            say(w, ",\"%s\"", names[i]);
    say(w, "],\"writerFeatures\":[\"deletionVectors\",\"domainMetadata\"");
    for (unsigned i = 0; i < FEATURES; i++)
        if (features >> i & 1)
            say(w, ",\"%s\"", names[i]);
    say(w, "]}}");
}

static void say_reads(struct world *w, const struct part *p)
{
    const char *comma = "";
    if (p->reads_all)
        say(w, ",\"reads\":\"all\"");
    if (p->read_days) {
        say(w, ",\"reads\":{\"day\":[");
        for (unsigned d = 0; d < DAYS; d++)
            if (p->read_days >> d & 1) {
                say(w, "%s\"%u\"", comma, d);
                comma = ",";
            }
        say(w, "]}");
    }
    if (p->read_file_count) {
        say(w, ",\"reads\":[");
        for (unsigned i = 0; i < p->read_file_count; i++)
            say(w, "%s\"f%u\"", i ? "," : "", p->read_files[i].number);
        say(w, "]");
    }
    if (p->read_app >= 0)
        say(w, ",\"readApps\":[\"app%d\"]", p->read_app);
}

static void say_metadata(struct world *w, const struct part *p)
{
    if (p->metadata == METADATA_SOFT)
        say(w, ",\"properties\":{\"owner\":\"%lld\"}", (long long)w->next_number++);
    if (p->metadata == METADATA_HARD)
        say(w, ",\"properties\":{\"delta.dataSkippingNumIndexedCols\":\"%lld\"}", (long long)w->next_number++);
    if (p->metadata == METADATA_SCHEMA) {
        say(w, ",\"schema\":\"id BIGINT, day STRING");
        for (unsigned i = 0; i <= w->tables[p->table].states[p->read_version % KEPT].columns; i++)
            say(w, ", c%u INT", i);
        say(w, "\"");
    }
}

static void say_part(struct world *w, const struct part *p)
{
    const char *comma = "";
    say(w, "{\"table\":\"ns.t%u\",\"readVersion\":%lld", p->table, (long long)p->read_version);
    if (p->expect >= 0)
        say(w, ",\"expectVersion\":%lld", (long long)p->expect);
    say_reads(w, p);
    say_metadata(w, p);
    say(w, ",\"actions\":[");
    if (p->protocol) {
        say_protocol(w, p->features);
        comma = ",";
    }
    if (p->app >= 0) {
        say(w, "%s{\"txn\":{\"appId\":\"app%d\",\"version\":%lld}}", comma, p->app, (long long)p->app_version);
        comma = ",";
    }
    if (p->domain >= 0) {
        say(w, "%s{\"domainMetadata\":{\"domain\":\"d%d\",\"configuration\":\"x\",\"removed\":false}}", comma, p->domain);
        comma = ",";
    }
    say_files(w, p, &comma);
    say(w, "]}");
}

/* --- one operation ---------------------------------------------------------------------------------------------- */
static enum verdict foresee(const struct world *w, const struct part *p, bool write_serializable)
{
    const struct table *t = &w->tables[p->table];
    if (p->app >= 0 && t->states[t->latest % KEPT].apps[p->app] >= p->app_version)
        return VERDICT_APPLIED;
    for (int64_t v = p->read_version + 1; v <= t->latest; v++) {
        enum verdict verdict = judge(p, write_serializable, t->parts[v]);
        if (verdict != VERDICT_NONE)
            return verdict;
    }
    return p->expect >= 0 && p->expect != t->latest + 1 ? VERDICT_WRITE : VERDICT_NONE;
}

static enum verdict commit(struct world *w, bool *ret_retryable)
{
    static const enum verdict verdicts[] = {VERDICT_NONE,          VERDICT_APPEND, VERDICT_DELETE_READ,
                                            VERDICT_DELETE_DELETE, VERDICT_WRITE,  VERDICT_METADATA,
                                            VERDICT_PROTOCOL,      VERDICT_APP};
    lh_txn *txn = NULL;
    OK(lh_txn_from_json(w->lakehouse, w->text, w->used, &txn));
    vde_status status = lh_commit(txn, NULL);
    *ret_retryable = status != VDE_OK && vde_last_error()->retryable;
    enum verdict found = VERDICT_NONE;
    if (status == LH_ALREADY_APPLIED)
        found = VERDICT_APPLIED;
    else if (status == LH_CONFLICT)
        found = verdicts[lh_last_conflict()];
    else if (status != VDE_OK)
        fprintf(stderr, "%s\n%s\n", w->text, vde_last_error()->text);
    if (status != VDE_OK && found == VERDICT_NONE)
        exit(1);
    if (found == VERDICT_APP && strstr(vde_last_error()->text, "domain"))
        found = VERDICT_DOMAIN;
    lh_txn_destroy(txn);
    return found;
}

static void land(struct world *w, struct part *p)
{
    struct table *t = &w->tables[p->table];
    if (part_is_empty(p))
        return;
    struct part *kept = malloc(sizeof *kept);
    if (!kept || t->latest + 1 >= (int64_t)VERSIONS_MAX)
        abort();
    *kept = *p;
    t->states[(t->latest + 1) % KEPT] = t->states[t->latest % KEPT];
    t->latest++;
    apply(&t->states[t->latest % KEPT], kept);
    t->parts[t->latest] = kept;
}

static void differs(const struct world *w, const char *what)
{
    fprintf(stderr, "seed %llu, operation %llu: %s\n%.*s\n", (unsigned long long)w->seed, (unsigned long long)w->operation, what,
            (int)w->used, w->text);
    exit(1);
}

static void check_versions(struct world *w)
{
    for (unsigned i = 0; i < TABLES; i++) {
        char name[16];
        uint64_t version;
        snprintf(name, sizeof name, "ns.t%u", i);
        OK(lh_latest_version(w->lakehouse, name, &version));
        if ((int64_t)version != w->tables[i].latest)
            differs(w, "another latest version");
    }
}

static void check_files(struct world *w)
{
    for (unsigned i = 0; i < TABLES; i++) {
        const struct table *t = &w->tables[i];
        const struct files *active = &t->states[t->latest % KEPT].active;
        struct lh_file_info file;
        lh_snapshot *snapshot = NULL;
        char name[16];
        unsigned count = 0;
        vde_status status;
        snprintf(name, sizeof name, "ns.t%u", i);
        OK(lh_snapshot_open(w->lakehouse, name, &snapshot));
        while ((status = lh_snapshot_next_file(snapshot, &file)) == VDE_OK && ++count)
            if (!files_find(active, (uint32_t)strtoul(file.path + 1, NULL, 10)))
                differs(w, "a file that is not active");
        lh_snapshot_close(snapshot);
        if (status != VDE_NOT_FOUND || count != active->count)
            differs(w, "another number of active files");
    }
}

static void operate(struct world *w)
{
    static struct part parts[TABLES];
    unsigned count = draw(w, 3) ? 1 : 1 + (unsigned)draw(w, TABLES), first = (unsigned)draw(w, TABLES);
    uint64_t level = draw(w, 3);
    bool retryable, expected = false, clean = true;
    w->used = 0;
    say(w, "{%s\"tables\":[", level == 2 ? "\"isolation\":\"WriteSerializable\"," : "");
    for (unsigned i = 0; i < count; i++) {
        choose_part(w, &parts[i], (first + i) % TABLES);
        say(w, i ? "," : "");
        say_part(w, &parts[i]);
    }
    say(w, "]}");
    enum verdict found = commit(w, &retryable);
    /* Of several tables any may be judged first. */
    for (unsigned i = 0; i < count; i++) {
        enum verdict want = foresee(w, &parts[i], level == 2);
        expected |= want == found;
        clean &= want == VERDICT_NONE;
    }
    if (found == VERDICT_NONE ? !clean : !expected)
        differs(w, found == VERDICT_NONE ? "a conflict was not seen" : vde_last_error()->text);
    if (found != VERDICT_NONE && retryable != (found != VERDICT_APP && found != VERDICT_APPLIED))
        differs(w, "retryable and fatal are confused");
    w->outcomes[found]++;
    for (unsigned i = 0; i < count && found == VERDICT_NONE; i++)
        land(w, &parts[i]);
    check_versions(w);
}

/* --- a world ---------------------------------------------------------------------------------------------------- */
static void open_world(struct world *w)
{
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    if (w->lakehouse)
        lh_close(w->lakehouse);
    if (w->image)
        OK(vde_image_close(w->image));
    OK(vde_image_open_device(w->device, &opts, &w->image));
    OK(lh_open(w->image, NULL, &w->lakehouse));
}

static void begin_world(struct world *w, uint64_t seed)
{
    struct vde_format_opts opts = VDE_FORMAT_OPTS_INIT;
    *w = (struct world){.seed = seed, .random = seed * 0x2545f4914f6cdd1du, .next_file = 1, .next_number = 1};
    OK(vde_device_memory(128u << 20, &w->device));
    OK(vde_image_format_device(w->device, &opts));
    open_world(w);
    OK(lh_namespace_create(w->lakehouse, "ns", NULL, 0));
    for (unsigned i = 0; i < TABLES; i++) {
        struct part start = {.table = i, .remove_day = -1, .app = -1, .domain = -1, .data = true};
        w->used = 0;
        say(w, "{\"tables\":[{\"table\":\"ns.t%u\",\"create\":{\"schema\":\"id BIGINT, day STRING\",\"partitionBy\":[\"day\"],"
            "\"properties\":{\"delta.enableDeletionVectors\":\"true\"}},\"actions\":[", i);
        say_protocol(w, 0);
        say(w, "]}]}");
        bool retryable;
        commit(w, &retryable);
        for (unsigned n = 0; n < 6; n++)
            add_new(w, &start);
        w->used = 0;
        const char *comma = "";
        say(w, "{\"tables\":[{\"table\":\"ns.t%u\",\"actions\":[", i);
        say_files(w, &start, &comma);
        say(w, "]}]}");
        commit(w, &retryable);
        land(w, &start);
    }
}

static void end_world(struct world *w)
{
    check_files(w);
    lh_close(w->lakehouse);
    OK(vde_image_close(w->image));
    w->device->ops->close(w->device);
    for (unsigned i = 0; i < TABLES; i++)
        for (int64_t v = 0; v <= w->tables[i].latest; v++)
            free(w->tables[i].parts[v]);
}

void conflict_parse(int argc, char **argv, struct conflict_options *options)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seed") == 0)
            options->seed = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--operations") == 0)
            options->operations = strtoull(argv[i + 1], NULL, 10);
    }
}

int conflict_run(const struct conflict_options *options)
{
    static struct world w;
    uint64_t totals[VERDICT_APPLIED + 1] = {0}, done = 0;
    for (uint64_t seed = options->seed; done < options->operations; seed++) {
        begin_world(&w, seed);
        for (w.operation = 0; w.operation < OPERATIONS_PER_WORLD; w.operation++) {
            operate(&w);
            if (w.operation % 50 == 49)
                check_files(&w);
            if (w.operation % 400 == 399)
                open_world(&w);
        }
        done += w.operation;
        end_world(&w);
        for (unsigned i = 0; i <= VERDICT_APPLIED; i++)
            totals[i] += w.outcomes[i];
    }
    printf("%llu operations; committed, protocol, metadata, domain, application, append, delete-read, delete-delete, write, "
           "applied:", (unsigned long long)done);
    for (unsigned i = 0; i <= VERDICT_APPLIED; i++) {
        printf(" %llu", (unsigned long long)totals[i]);
        /* A history that misses an outcome shows nothing of it. */
        if (done >= 10000 && totals[i] < done / 10000) {
            fprintf(stderr, "outcome %u came %llu times\n", i, (unsigned long long)totals[i]);
            return 1;
        }
    }
    printf("\n");
    return 0;
}
