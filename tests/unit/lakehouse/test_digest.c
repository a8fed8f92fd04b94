/* SPDX-License-Identifier: Apache-2.0 */
/* Digests of states: the same history has the same ones, whatever holds it; any change another. */
#include "support.h"

#define ADD(path, more) "{\"add\":{\"path\":\"" path "\",\"partitionValues\":{},\"size\":1,\"modificationTime\":1,\"dataChange\":true" more "}}"
#define DOC(actions) "{\"tables\":[{\"table\":\"ns.a\",\"actions\":[" actions "]}]}"

static void history(struct fixture *f, enum lh_table_format format)
{
    struct lh_create create = LH_CREATE_INIT;
    setup(f, 64u << 20);
    ok(lh_namespace_create(f->lakehouse, "ns", NULL, 0));
    create.format = format;
    create.schema = "id BIGINT, day DATE";
    ok(lh_table_create(f->lakehouse, "ns.a", &create, NULL));
    ok(commit_json(f, DOC(ADD("a", "") "," ADD("b", "")), NULL));
    ok(commit_json(f, DOC("{\"txn\":{\"appId\":\"app\",\"version\":3}}," ADD("c", "")), NULL));
}

static void digest_is(struct fixture *f, const char *table, const char *expected, bool same)
{
    char digest[LH_DIGEST_TEXT];
    ok(lh_state_digest(f->lakehouse, table, digest));
    cr_expect_eq(strlen(digest), 32);
    cr_expect_eq(strcmp(digest, expected) == 0, same, "%s %s: %s, %s", table, same ? "differs" : "is equal", digest, expected);
}

static void in_two_images(enum lh_table_format format)
{
    struct fixture f, g;
    char digest[LH_DIGEST_TEXT];
    history(&f, format);
    history(&g, format);
    ok(lh_state_digest(f.lakehouse, "ns.a", digest));
    digest_is(&g, "ns.a", digest, true);
    digest_is(&f, "ns.a@v1", digest, false);
    open_again(&g);
    digest_is(&g, "ns.a", digest, true);
    ok(commit_json(&g, DOC(ADD("d", "")), NULL));
    digest_is(&g, "ns.a", digest, false);
    digest_is(&g, "ns.a@v2", digest, true);
    ok(commit_json(&g, DOC("{\"remove\":{\"path\":\"d\",\"dataChange\":true}}"), NULL));
    digest_is(&g, "ns.a", digest, true);
    teardown(&f);
    teardown(&g);
}

Test(digest, equal_histories_have_equal_ones) { in_two_images(LH_FORMAT_DELTA); }

Test(digest, also_iceberg) { in_two_images(LH_FORMAT_ICEBERG); }

Test(digest, every_part_counts)
{
    static const char *const changes[] = {
        DOC("{\"txn\":{\"appId\":\"app\",\"version\":4}}"),
        "{\"tables\":[{\"table\":\"ns.a\",\"properties\":{\"delta.feature.domainMetadata\":\"supported\"},"
        "\"upgradeProtocol\":true,\"actions\":[]}]}",
        DOC("{\"domainMetadata\":{\"domain\":\"x\",\"configuration\":\"\",\"removed\":false}}"),
        DOC(ADD("a", ",\"tags\":{\"k\":\"v\"}")),
        "{\"tables\":[{\"table\":\"ns.a\",\"properties\":{\"k\":\"v\"},\"actions\":[]}]}",
        "{\"tables\":[{\"table\":\"ns.a\",\"schema\":\"id BIGINT, day DATE, n INT\",\"actions\":[]}]}",
    };
    struct fixture f;
    char before[LH_DIGEST_TEXT];
    history(&f, LH_FORMAT_DELTA);
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        ok(lh_state_digest(f.lakehouse, "ns.a", before));
        ok(commit_json(&f, changes[i], NULL));
        digest_is(&f, "ns.a", before, false);
    }
    char digest[LH_DIGEST_TEXT];
    fails(lh_state_digest(f.lakehouse, "ns.none", digest), LH_TABLE_NOT_FOUND);
    teardown(&f);
}

/* Written as a root or replayed from the log: the same. */
Test(digest, does_not_depend_on_roots)
{
    struct fixture f[2];
    char digests[2][LH_DIGEST_TEXT];
    for (unsigned roots = 0; roots < 2; roots++) {
        struct lh_open_opts opts = LH_OPEN_OPTS_INIT;
        struct lh_stats stats;
        history(&f[roots], LH_FORMAT_DELTA);
        lh_close(f[roots].lakehouse);
        opts.flags = roots ? 0 : LH_OPEN_NO_STATE;
        ok(lh_open(f[roots].image, &opts, &f[roots].lakehouse));
        for (unsigned commit = 0; commit < 3; commit++) {
            lh_txn *txn = NULL;
            size_t member;
            char name[32];
            ok(lh_txn_create(f[roots].lakehouse, &txn));
            ok(lh_txn_table(txn, "ns.a", NULL, &member));
            for (unsigned i = 0; i < 700; i++) {
                struct lh_add add = LH_ADD_INIT;
                snprintf(name, sizeof name, "many-%u-%u", commit, i);
                add.path = name;
                ok(lh_txn_add_file(txn, member, &add));
            }
            ok(lh_commit(txn, NULL));
            lh_txn_destroy(txn);
        }
        ok(lh_get_stats(f[roots].lakehouse, &stats));
        cr_expect_eq(stats.states_written > 0, roots == 1);
        ok(lh_state_digest(f[roots].lakehouse, "ns.a", digests[roots]));
    }
    cr_expect_str_eq(digests[0], digests[1]);
    teardown(&f[0]);
    teardown(&f[1]);
}
