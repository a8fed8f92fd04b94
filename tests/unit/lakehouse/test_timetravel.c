/* SPDX-License-Identifier: Apache-2.0 */
/* A plain oracle beside random commits to several tables: every version of every table, asked for as of that version and
 * as of its time, must hold exactly the files that the oracle holds; also after the image was opened again. */
#include "support.h"

#define TABLES 3
#define FILES 400
#define VERSIONS 700

struct oracle {
    uint64_t versions;
    uint64_t times[VERSIONS + 1];
    uint8_t active[VERSIONS + 1][FILES];
};

static uint64_t draw(uint64_t *state, uint64_t below)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state % below;
}

static void add_one(lh_txn *txn, size_t member, int file)
{
    char path[32];
    struct lh_add add = LH_ADD_INIT;
    snprintf(path, sizeof path, "f%d", file);
    add.path = path;
    add.size_bytes = file;
    add.records = file;
    ok(lh_txn_add_file(txn, member, &add));
}

static void change(lh_txn *txn, size_t member, uint8_t *active, uint64_t *state)
{
    bool touched[FILES] = {false};
    size_t count = 1 + draw(state, 12);
    for (size_t i = 0; i < count; i++) {
        int file = (int)draw(state, FILES);
        char path[32];
        if (touched[file])
            continue;
        touched[file] = true;
        snprintf(path, sizeof path, "f%d", file);
        if (active[file] && draw(state, 4)) {
            ok(lh_txn_remove_file(txn, member, path, false));
            active[file] = 0;
        } else {
            add_one(txn, member, file);
            active[file] = 1;
        }
    }
}

static void compare(struct fixture *f, const char *table, const uint8_t *active, bool bounded)
{
    lh_snapshot *snapshot = NULL;
    struct lh_file_info file;
    uint8_t seen[FILES] = {0};
    vde_status status;
    uint64_t last = 0, bytes = 0, files = 0;
    ok(lh_snapshot_open(f->lakehouse, table, &snapshot));
    while ((status = lh_snapshot_next_file(snapshot, &file)) == VDE_OK) {
        int number = atoi(file.path + 1);
        cr_assert(!seen[number], "%s: %s twice", table, file.path);
        cr_assert(files == 0 || file.file_id > last, "%s: file ids out of order", table);
        last = file.file_id;
        seen[number] = 1;
        files++;
        bytes += (uint64_t)file.size_bytes;
    }
    cr_assert_eq(status, VDE_NOT_FOUND);
    for (int i = 0; i < FILES; i++)
        cr_assert_eq(seen[i], active[i], "%s: f%d is %d, not %d", table, i, seen[i], active[i]);
    cr_assert_eq(lh_snapshot_info(snapshot)->files, files);
    cr_assert_eq(lh_snapshot_info(snapshot)->bytes, bytes);
    cr_assert_eq(lh_snapshot_info(snapshot)->records, (int64_t)bytes);
    if (bounded)
        cr_assert_leq(lh_snapshot_info(snapshot)->replayed_entries, 400);
    lh_snapshot_close(snapshot);
}

static void check_all(struct fixture *f, struct oracle *oracles, unsigned step)
{
    for (int t = 0; t < TABLES; t++) {
        for (uint64_t v = 0; v < oracles[t].versions; v += 1 + v % step) {
            char name[64], time[LH_TIME_TEXT];
            snprintf(name, sizeof name, "ns.t%d@v%llu", t, (unsigned long long)v);
            compare(f, name, oracles[t].active[v], true);
            lh_time_text(oracles[t].times[v], time);
            snprintf(name, sizeof name, "ns.t%d@%s", t, time);
            compare(f, name, oracles[t].active[v], true);
        }
    }
}

Test(timetravel, every_version_equals_the_oracle, .timeout = 300)
{
    struct fixture f;
    struct oracle *oracles = calloc(TABLES, sizeof *oracles);
    uint64_t state = 4711;
    lh_txn *txn = NULL;
    setup(&f, 512u << 20);
    ok(lh_namespace_create(f.lakehouse, "ns", NULL, 0));
    for (int t = 0; t < TABLES; t++) {
        char name[32];
        struct lh_commit_result *result = NULL;
        snprintf(name, sizeof name, "ns.t%d", t);
        ok(lh_table_create(f.lakehouse, name, NULL, &result));
        oracles[t].times[0] = result->time_us;
        oracles[t].versions = 1;
        lh_free(result);
    }
    ok(lh_txn_create(f.lakehouse, &txn));
    for (int round = 0; round < VERSIONS - 1; round++) {
        struct lh_commit_result *result = NULL;
        size_t members[TABLES], count = 0;
        int tables[TABLES];
        lh_txn_reset(txn);
        for (int t = 0; t < TABLES; t++) {
            char name[32];
            struct oracle *o = &oracles[t];
            if (count && draw(&state, 2))
                continue;
            snprintf(name, sizeof name, "ns.t%d", t);
            memcpy(o->active[o->versions], o->active[o->versions - 1], FILES);
            ok(lh_txn_table(txn, name, NULL, &members[count]));
            change(txn, members[count], o->active[o->versions], &state);
            tables[count++] = t;
        }
        ok(lh_commit(txn, &result));
        for (size_t i = 0; i < count; i++) {
            struct oracle *o = &oracles[tables[i]];
            cr_assert_eq(result->tables[i].version, o->versions);
            o->times[o->versions++] = result->time_us;
        }
        lh_free(result);
        if (round % 150 == 149) {
            lh_txn_destroy(txn);
            open_again(&f);
            ok(lh_txn_create(f.lakehouse, &txn));
        }
    }
    lh_txn_destroy(txn);
    struct lh_stats stats;
    ok(lh_get_stats(f.lakehouse, &stats));
    cr_assert_eq(stats.state_failures, 0);
    check_all(&f, oracles, 40);
    open_again(&f);
    check_all(&f, oracles, 90);
    teardown(&f);
    free(oracles);
}

Test(timetravel, times_are_resolved_with_a_word_about_it)
{
    struct fixture f;
    struct lh_resolved *resolved = NULL;
    uint64_t first, last;
    setup(&f, 64u << 20);
    ok(lh_namespace_create(f.lakehouse, "ns", NULL, 0));
    make_table(&f, "ns.a", "id BIGINT");
    ok(commit_json(&f, "{\"tables\":[{\"table\":\"ns.a\",\"properties\":{\"a\":\"b\"}}]}", NULL));
    ok(lh_resolve(f.lakehouse, "ns.a@9999-01-01", &resolved));
    cr_assert_eq(resolved->version, 1);
    cr_assert(resolved->note);
    lh_free(resolved);
    fails(lh_resolve(f.lakehouse, "ns.a@1999-01-01", &resolved), LH_VERSION_NOT_FOUND);
    cr_assert(strstr(vde_last_error()->text, "version 0"));
    fails(lh_resolve(f.lakehouse, "ns.a@v2", &resolved), LH_VERSION_NOT_FOUND);
    fails(lh_resolve(f.lakehouse, "ns.a@v", &resolved), LH_NAME);
    fails(lh_resolve(f.lakehouse, "ns.b", &resolved), LH_TABLE_NOT_FOUND);
    ok(lh_versions_between(f.lakehouse, "ns.a", 0, UINT64_MAX / 2, &first, &last));
    cr_assert_eq(first, 0);
    cr_assert_eq(last, 1);
    teardown(&f);
}

Test(timetravel, a_difference_and_the_history)
{
    struct fixture f;
    struct lh_diff *diff = NULL;
    struct lh_version_info info;
    lh_history *history = NULL;
    setup(&f, 64u << 20);
    ok(lh_namespace_create(f.lakehouse, "ns", NULL, 0));
    make_table(&f, "ns.a", "id BIGINT");
    lh_txn *txn = NULL;
    size_t member;
    ok(lh_txn_create(f.lakehouse, &txn));
    ok(lh_txn_table(txn, "ns.a", NULL, &member));
    add_one(txn, member, 1);
    add_one(txn, member, 2);
    ok(lh_commit(txn, NULL));
    lh_txn_reset(txn);
    ok(lh_txn_table(txn, "ns.a", NULL, &member));
    add_one(txn, member, 3);
    ok(lh_txn_remove_file(txn, member, "f1", false));
    ok(lh_txn_set_schema(txn, member, "id BIGINT, x INT"));
    ok(lh_commit(txn, NULL));
    lh_txn_destroy(txn);
    ok(lh_diff_versions(f.lakehouse, "ns.a@v1", "latest", &diff));
    cr_assert_eq(diff->added_count, 1);
    cr_assert_eq(diff->removed_count, 1);
    cr_assert_str_eq(diff->added[0].path, "f3");
    cr_assert_str_eq(diff->removed[0].path, "f1");
    cr_assert(diff->schema_changed && !diff->properties_changed);
    cr_assert_eq(diff->records_removed, 1);
    lh_free(diff);
    ok(lh_history_open(f.lakehouse, "ns.a", 0, LH_NO_VERSION, true, &history));
    ok(lh_history_next(history, &info));
    cr_assert_eq(info.version, 2);
    cr_assert_eq(info.files_added, 1);
    cr_assert_eq(info.files_removed, 1);
    cr_assert_eq(info.bytes_removed, 1);
    cr_assert(info.schema_changed);
    ok(lh_history_next(history, &info));
    cr_assert_eq(info.version, 1);
    cr_assert(!info.schema_changed);
    cr_assert_str_eq(info.operation, "WRITE");
    ok(lh_history_next(history, &info));
    cr_assert_str_eq(info.operation, "CREATE TABLE");
    fails(lh_history_next(history, &info), VDE_NOT_FOUND);
    lh_history_close(history);
    teardown(&f);
}

Test(timetravel, times_are_read_as_they_are_printed)
{
    char text[LH_TIME_TEXT];
    uint64_t time_us = 0;
    lh_time_text(1795168800123456u, text);
    ok(lh_time_parse(text, 0, &time_us));
    cr_assert_eq(time_us, 1795168800123456u);
    ok(lh_time_parse("-2h", 7200000001u, &time_us));
    cr_assert_eq(time_us, 1);
    fails(lh_time_parse("yesterday", 0, &time_us), VDE_INVAL);
    fails(lh_time_parse(NULL, 0, &time_us), VDE_INVAL);
}
