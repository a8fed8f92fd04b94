/* SPDX-License-Identifier: Apache-2.0 */
/* Dropped tables come back as they were, under a free name, and purged ones don't. */
#include "support.h"

static void add(struct fixture *f, const char *table, const char *path)
{
    char text[512];
    snprintf(text, sizeof text,
             "{\"tables\":[{\"table\":\"%s\",\"actions\":[{\"add\":{\"path\":\"%s\",\"partitionValues\":{},\"size\":1,"
             "\"modificationTime\":0,\"dataChange\":true}}]}]}", table, path);
    ok(commit_json(f, text, NULL));
}

static void start(struct fixture *f)
{
    setup(f, 256u << 20);
    ok(lh_namespace_create(f->lakehouse, "ns", NULL, 0));
    make_table(f, "ns.a", "id BIGINT");
    add(f, "ns.a", "x");
    add(f, "ns.a", "y");
    ok(lh_tag_create(f->lakehouse, "ns.a@v1", "one", NULL));
}

static void holds(struct fixture *f, const char *table, const char *paths)
{
    char files[256];
    list_files(f, table, files, sizeof files);
    cr_assert_str_eq(files, paths, "%s: %s, not %s", table, files, paths);
}

static size_t dropped(struct fixture *f, uint64_t *ret_latest)
{
    struct lh_dropped_tables *tables = NULL;
    ok(lh_table_list_dropped(f->lakehouse, &tables));
    size_t count = tables->count;
    if (count && ret_latest) {
        *ret_latest = tables->tables[count - 1].latest_version;
        cr_assert_gt(tables->tables[count - 1].dropped_us, 0);
    }
    lh_free(tables);
    return count;
}

Test(undrop, everything_is_there_again)
{
    struct fixture f;
    uint64_t latest = 0;
    for (int again = 0; again < 2; again++) {
        start(&f);
        ok(lh_table_drop(f.lakehouse, "ns.a", 0));
        cr_assert_eq(dropped(&f, &latest), 1);
        cr_assert_eq(latest, 2);
        if (again)
            open_again(&f);
        ok(lh_table_undrop(f.lakehouse, "ns.a", NULL));
        cr_assert_eq(dropped(&f, NULL), 0);
        for (int round = 0; round < 2; round++) {
            holds(&f, "ns.a", "x y");
            holds(&f, "ns.a@v0", "");
            holds(&f, "ns.a@tag:one", "x");
            open_again(&f);
        }
        add(&f, "ns.a", "z");
        holds(&f, "ns.a", "x y z");
        fails(lh_table_undrop(f.lakehouse, "ns.a", NULL), LH_TABLE_NOT_FOUND);
        teardown(&f);
    }
}

Test(undrop, under_another_name_and_the_last_one_first)
{
    struct fixture f;
    start(&f);
    ok(lh_table_drop(f.lakehouse, "ns.a", 0));
    make_table(&f, "ns.a", "id BIGINT");
    add(&f, "ns.a", "second");
    fails(lh_table_undrop(f.lakehouse, "ns.a", NULL), LH_TABLE_EXISTS);
    fails(lh_table_undrop(f.lakehouse, "ns.a", "ns"), LH_NAMESPACE_EXISTS);
    fails(lh_table_undrop(f.lakehouse, "ns.a", "none.a"), LH_NAMESPACE_NOT_FOUND);
    fails(lh_table_undrop(f.lakehouse, "ns.a", "ns.a@v1"), LH_NAME);
    fails(lh_table_undrop(f.lakehouse, "ns.b", NULL), LH_TABLE_NOT_FOUND);
    ok(lh_table_drop(f.lakehouse, "ns.a", 0));
    cr_assert_eq(dropped(&f, NULL), 2);
    ok(lh_table_undrop(f.lakehouse, "ns.a", "ns.b"));
    ok(lh_table_undrop(f.lakehouse, "ns.a", NULL));
    holds(&f, "ns.b", "second");
    holds(&f, "ns.a", "x y");
    open_again(&f);
    holds(&f, "ns.b@v1", "second");
    holds(&f, "ns.a", "x y");
    add(&f, "ns.b", "third");
    holds(&f, "ns.b", "second third");
    teardown(&f);
}

Test(undrop, a_namespace_may_be_made_again)
{
    struct fixture f;
    start(&f);
    ok(lh_table_drop(f.lakehouse, "ns.a", 0));
    ok(lh_namespace_drop(f.lakehouse, "ns"));
    fails(lh_table_undrop(f.lakehouse, "ns.a", NULL), LH_NAMESPACE_NOT_FOUND);
    ok(lh_namespace_create(f.lakehouse, "ns", NULL, 0));
    ok(lh_table_undrop(f.lakehouse, "ns.a", NULL));
    holds(&f, "ns.a", "x y");
    teardown(&f);
}

Test(undrop, a_purge_is_for_ever)
{
    struct fixture f;
    start(&f);
    ok(lh_table_drop(f.lakehouse, "ns.a", 0));
    ok(lh_table_undrop(f.lakehouse, "ns.a", NULL));
    ok(lh_table_drop(f.lakehouse, "ns.a", LH_DROP_PURGE));
    fails(lh_table_undrop(f.lakehouse, "ns.a", NULL), LH_TABLE_NOT_FOUND);
    cr_assert_eq(dropped(&f, NULL), 0);
    teardown(&f);
}

/* With roots of its state written before the drop, and dropped and brought back several times. */
Test(undrop, long_histories_too)
{
    struct fixture f;
    lh_txn *txn = NULL;
    char path[32], address[32];
    start(&f);
    ok(lh_txn_create(f.lakehouse, &txn));
    for (int round = 0; round < 4; round++) {
        size_t member;
        lh_txn_reset(txn);
        ok(lh_txn_table(txn, "ns.a", NULL, &member));
        for (int i = 0; i < 1500; i++) {
            struct lh_add one = LH_ADD_INIT;
            snprintf(path, sizeof path, "f%d-%d", round, i);
            one.path = path;
            ok(lh_txn_add_file(txn, member, &one));
        }
        ok(lh_commit(txn, NULL));
        ok(lh_table_drop(f.lakehouse, "ns.a", 0));
        ok(lh_table_undrop(f.lakehouse, "ns.a", NULL));
    }
    lh_txn_destroy(txn);
    for (int version = 2; version <= 6; version++) {
        struct lh_table_info *info = NULL;
        snprintf(address, sizeof address, "ns.a@v%d", version);
        ok(lh_table_describe(f.lakehouse, address, &info));
        cr_assert_eq(info->files, 2 + (unsigned)(version - 2) * 1500u);
        cr_assert_leq(info->replayed_entries, 3);
        lh_free(info);
    }
    struct lh_stats stats;
    ok(lh_get_stats(f.lakehouse, &stats));
    cr_assert_gt(stats.states_written, 0);
    cr_assert_eq(stats.state_failures, 0);
    teardown(&f);
}
