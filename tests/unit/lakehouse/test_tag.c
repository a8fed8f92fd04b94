/* SPDX-License-Identifier: Apache-2.0 */
/* Tags: what they hold, how long they live, and that nothing else is taken for one. */
#include "support.h"

static void start(struct fixture *f)
{
    setup(f, 64u << 20);
    ok(lh_namespace_create(f->lakehouse, "ns", NULL, 0));
    make_table(f, "ns.a", "id BIGINT");
    ok(commit_json(f, "{\"tables\":[{\"table\":\"ns.a\",\"actions\":[{\"add\":{\"path\":\"x\",\"partitionValues\":{},"
                      "\"size\":1,\"modificationTime\":0,\"dataChange\":true}}]}]}", NULL));
}

static void holds(struct fixture *f, const char *address, uint64_t version)
{
    struct lh_resolved *resolved = NULL;
    ok(lh_resolve(f->lakehouse, address, &resolved));
    cr_assert_eq(resolved->version, version, "%s is version %llu", address, (unsigned long long)resolved->version);
    cr_assert_str_eq(resolved->table, "ns.a");
    lh_free(resolved);
}

Test(tag, a_name_is_read_like_a_version)
{
    struct fixture f;
    struct lh_tags *tags = NULL;
    struct lh_diff *diff = NULL;
    uint64_t version = 99;
    char files[64];
    start(&f);
    ok(lh_tag_create(f.lakehouse, "ns.a@v0", "empty", &version));
    cr_assert_eq(version, 0);
    ok(lh_tag_create(f.lakehouse, "ns.a", "v1.0", &version));
    cr_assert_eq(version, 1);
    ok(lh_tag_create(f.lakehouse, "ns.a@tag:empty", "again", NULL));
    open_again(&f);
    holds(&f, "ns.a@tag:empty", 0);
    holds(&f, "ns.a@tag:v1.0", 1);
    holds(&f, "ns.a@tag:again", 0);
    list_files(&f, "ns.a@tag:empty", files, sizeof files);
    cr_assert_str_eq(files, "");
    ok(lh_diff_versions(f.lakehouse, "ns.a@tag:empty", "tag:v1.0", &diff));
    cr_assert_eq(diff->added_count, 1);
    lh_free(diff);
    ok(lh_tag_list(f.lakehouse, "ns.a", &tags));
    cr_assert_eq(tags->count, 3);
    cr_assert_str_eq(tags->tags[0].name, "again");
    cr_assert_str_eq(tags->tags[2].name, "v1.0");
    cr_assert_eq(tags->tags[2].version, 1);
    cr_assert_gt(tags->tags[2].created_us, 0);
    lh_free(tags);
    teardown(&f);
}

Test(tag, it_stays_until_it_is_deleted)
{
    struct fixture f;
    start(&f);
    ok(lh_tag_create(f.lakehouse, "ns.a@v0", "t", NULL));
    fails(lh_tag_create(f.lakehouse, "ns.a", "t", NULL), LH_TAG_EXISTS);
    cr_assert(strstr(vde_last_error()->text, "version 0"));
    holds(&f, "ns.a@tag:t", 0);
    ok(lh_tag_delete(f.lakehouse, "ns.a", "t"));
    fails(lh_tag_delete(f.lakehouse, "ns.a", "t"), LH_TAG_NOT_FOUND);
    struct lh_resolved *resolved = NULL;
    fails(lh_resolve(f.lakehouse, "ns.a@tag:t", &resolved), LH_TAG_NOT_FOUND);
    ok(lh_tag_create(f.lakehouse, "ns.a", "t", NULL));
    holds(&f, "ns.a@tag:t", 1);
    teardown(&f);
}

Test(tag, tables_have_their_own_and_new_ones_none)
{
    struct fixture f;
    struct lh_tags *tags = NULL;
    char name[32];
    start(&f);
    make_table(&f, "ns.b", "id BIGINT");
    for (int i = 0; i < 150; i++) {
        snprintf(name, sizeof name, "t%d", i);
        ok(lh_tag_create(f.lakehouse, "ns.a@v0", name, NULL));
    }
    ok(lh_tag_list(f.lakehouse, "ns.b", &tags));
    cr_assert_eq(tags->count, 0);
    lh_free(tags);
    ok(lh_tag_create(f.lakehouse, "ns.b", "t0", NULL));
    /* More than one step of a purge removes. */
    ok(lh_table_drop(f.lakehouse, "ns.a", LH_DROP_PURGE));
    make_table(&f, "ns.a", "id BIGINT");
    ok(lh_tag_list(f.lakehouse, "ns.a", &tags));
    cr_assert_eq(tags->count, 0);
    lh_free(tags);
    ok(lh_tag_list(f.lakehouse, "ns.b", &tags));
    cr_assert_eq(tags->count, 1);
    lh_free(tags);
    teardown(&f);
}

Test(tag, names_and_places_are_checked)
{
    static const char *const bad[] = {"", "a/b", "a@b", "_a", ".a", "a\nb", "\xff"};
    struct fixture f;
    struct lh_resolved *resolved = NULL;
    char long_name[258], address[300];
    start(&f);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        fails(lh_tag_create(f.lakehouse, "ns.a", bad[i], NULL), LH_NAME);
        fails(lh_tag_delete(f.lakehouse, "ns.a", bad[i]), LH_NAME);
        snprintf(address, sizeof address, "ns.a@tag:%s", bad[i]);
        fails(lh_resolve(f.lakehouse, address, &resolved), LH_NAME);
    }
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    fails(lh_tag_create(f.lakehouse, "ns.a", long_name, NULL), LH_NAME);
    ok(lh_tag_create(f.lakehouse, "ns.a", long_name + 2, NULL));
    fails(lh_tag_create(f.lakehouse, "ns.x", "t", NULL), LH_TABLE_NOT_FOUND);
    fails(lh_tag_create(f.lakehouse, "ns.a@v7", "t", NULL), LH_VERSION_NOT_FOUND);
    fails(lh_tag_create(f.lakehouse, "ns.a@tag:none", "t", NULL), LH_TAG_NOT_FOUND);
    struct lh_tags *tags = NULL;
    fails(lh_tag_list(f.lakehouse, "ns.x", &tags), LH_TABLE_NOT_FOUND);
    teardown(&f);
}
