/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

Test(commit, creates_and_appends_and_lists)
{
    struct fixture f;
    char files[256];
    setup(&f, 64u << 20);
    ok(lh_namespace_create(f.lakehouse, "ns", NULL, 0));
    make_table(&f, "ns.a", "id BIGINT NOT NULL, name STRING");
    struct lh_commit_result *result = NULL;
    ok(commit_json(&f, "{\"tables\":[{\"table\":\"ns.a\",\"actions\":[{\"add\":{\"path\":\"f1\",\"partitionValues\":{},"
                       "\"size\":10,\"modificationTime\":1,\"dataChange\":true,\"stats\":\"{\\\"numRecords\\\":3}\"}}]}]}",
                   &result));
    cr_assert_eq(result->count, 1);
    cr_assert_eq(result->tables[0].version, 1);
    cr_assert(strstr(result->tables[0].uri, "/ns/a"));
    lh_free(result);
    list_files(&f, "ns.a", files, sizeof files);
    cr_assert_str_eq(files, "f1");
    list_files(&f, "ns.a@v0", files, sizeof files);
    cr_assert_str_eq(files, "");
    open_again(&f);
    list_files(&f, "ns.a", files, sizeof files);
    cr_assert_str_eq(files, "f1");
    struct lh_table_info *info = NULL;
    ok(lh_table_describe(f.lakehouse, "ns.a", &info));
    cr_assert_eq(info->column_count, 2);
    cr_assert_eq(info->records, 3);
    cr_assert_eq(info->bytes, 10);
    cr_assert_str_eq(info->columns[0].name, "id");
    cr_assert(!info->columns[0].nullable);
    lh_free(info);
    char *text = NULL;
    size_t size;
    ok(lh_commit_text(f.lakehouse, "ns.a", 1, false, &text, &size));
    cr_assert(strstr(text, "\"commitInfo\"") && strstr(text, "\"f1\""), "%s", text);
    lh_free(text);
    teardown(&f);
}

Test(commit, a_group_is_found_again)
{
    struct fixture f;
    setup(&f, 64u << 20);
    ok(lh_namespace_create(f.lakehouse, "ns", NULL, 0));
    make_table(&f, "ns.a", "id BIGINT");
    struct lh_commit_result *result = NULL, *found = NULL;
    ok(commit_json(&f,
                   "{\"tables\":[{\"table\":\"ns.a\",\"actions\":[{\"add\":{\"path\":\"f1\",\"partitionValues\":{},\"size\":1,"
                   "\"modificationTime\":1,\"dataChange\":true}}]},{\"table\":\"ns.b\",\"create\":{\"schema\":\"x INT\"}}]}",
                   &result));
    cr_assert_eq(result->count, 2);
    open_again(&f);
    ok(lh_group_lookup(f.lakehouse, result->group, &found));
    cr_assert_eq(found->count, 2);
    cr_assert_eq(found->time_us, result->time_us);
    cr_assert_str_eq(found->tables[0].table, "ns.a");
    cr_assert_eq(found->tables[0].version, 1);
    cr_assert_str_eq(found->tables[1].table, "ns.b");
    cr_assert_eq(found->tables[1].version, 0);
    cr_assert_str_eq(found->tables[1].commit_id, result->tables[1].commit_id);
    lh_free(found);
    result->group[35] = result->group[35] == 'a' ? 'b' : 'a';
    fails(lh_group_lookup(f.lakehouse, result->group, &found), LH_GROUP_NOT_FOUND);
    lh_free(result);
    teardown(&f);
}

Test(commit, a_failed_member_leaves_nothing)
{
    struct fixture f;
    bool exists;
    uint64_t version;
    setup(&f, 64u << 20);
    ok(lh_namespace_create(f.lakehouse, "ns", NULL, 0));
    make_table(&f, "ns.a", "id BIGINT");
    fails(commit_json(&f,
                      "{\"tables\":[{\"table\":\"ns.a\",\"actions\":[{\"add\":{\"path\":\"f1\",\"partitionValues\":{},"
                      "\"size\":1,\"modificationTime\":1,\"dataChange\":true}}]},{\"table\":\"ns.b\",\"create\":{\"schema\":"
                      "\"x INT\"}},{\"table\":\"ns.c\",\"actions\":[]}]}", NULL), LH_TABLE_NOT_FOUND);
    ok(lh_table_exists(f.lakehouse, "ns.b", &exists));
    cr_assert(!exists);
    ok(lh_latest_version(f.lakehouse, "ns.a", &version));
    cr_assert_eq(version, 0);
    teardown(&f);
}

Test(commit, an_idempotency_key_returns_the_first_result)
{
    struct fixture f;
    setup(&f, 64u << 20);
    ok(lh_namespace_create(f.lakehouse, "ns", NULL, 0));
    make_table(&f, "ns.a", "id BIGINT");
    const char *doc = "{\"idempotencyKey\":\"k1\",\"tables\":[{\"table\":\"ns.a\",\"actions\":[{\"add\":{\"path\":\"f1\","
                      "\"partitionValues\":{},\"size\":1,\"modificationTime\":1,\"dataChange\":true}}]}]}";
    struct lh_commit_result *first = NULL, *second = NULL;
    ok(commit_json(&f, doc, &first));
    ok(commit_json(&f, doc, &second));
    cr_assert(second->already_applied);
    cr_assert_str_eq(first->group, second->group);
    cr_assert_eq(second->tables[0].version, 1);
    lh_free(first);
    lh_free(second);
    fails(commit_json(&f, "{\"idempotencyKey\":\"k1\",\"tables\":[{\"table\":\"ns.a\",\"actions\":[]}]}", NULL),
          LH_VALIDATION);
    teardown(&f);
}

Test(commit, names_and_documents_are_checked)
{
    struct fixture f;
    setup(&f, 64u << 20);
    fails(lh_namespace_create(f.lakehouse, "a/b", NULL, 0), LH_NAME);
    fails(lh_namespace_create(f.lakehouse, "a.b", NULL, 0), LH_NAMESPACE_NOT_FOUND);
    fails(lh_table_create(f.lakehouse, "none.t", NULL, NULL), LH_NAMESPACE_NOT_FOUND);
    ok(lh_namespace_create(f.lakehouse, "ns", NULL, 0));
    fails(lh_namespace_create(f.lakehouse, "ns", NULL, 0), LH_NAMESPACE_EXISTS);
    make_table(&f, "ns.a", "id BIGINT");
    fails(lh_table_create(f.lakehouse, "ns.a", NULL, NULL), LH_TABLE_EXISTS);
    fails(lh_table_create(f.lakehouse, "ns._a", NULL, NULL), LH_NAME);
    fails(lh_namespace_drop(f.lakehouse, "ns"), LH_NAMESPACE_NOT_EMPTY);
    fails(commit_json(&f, "{\"tables\":", NULL), LH_JSON);
    fails(commit_json(&f, "{\"tables\":[{\"table\":7}]}", NULL), LH_JSON);
    fails(commit_json(&f, "{\"tabels\":[]}", NULL), LH_VALIDATION);
    fails(commit_json(&f, "{\"tables\":[]}", NULL), LH_VALIDATION);
    fails(commit_json(&f, "{\"tables\":[{\"table\":\"ns.a\",\"actions\":[{\"add\":{\"path\":\"x\",\"partitionValues\":"
                          "{\"day\":\"1\"},\"size\":1,\"modificationTime\":1,\"dataChange\":true}}]}]}", NULL), LH_VALIDATION);
    fails(commit_json(&f, "{\"tables\":[{\"table\":\"ns.a\",\"actions\":[{\"remove\":{\"path\":\"x\",\"dataChange\":true}}]}]}",
                      NULL), LH_FILE_NOT_FOUND);
    ok(lh_table_drop(f.lakehouse, "ns.a", 0));
    fails(lh_table_drop(f.lakehouse, "ns.a", 0), LH_TABLE_NOT_FOUND);
    make_table(&f, "ns.a", "id BIGINT");
    ok(lh_table_drop(f.lakehouse, "ns.a", LH_DROP_PURGE));
    ok(lh_namespace_drop(f.lakehouse, "ns"));
    teardown(&f);
}

Test(commit, an_unknown_action_of_our_own_is_refused_by_name)
{
    static const char *const wrong[] = {"{\"ad\":{\"path\":\"x\"}}", "{\"ADD\":{\"path\":\"x\"}}", "{}",
                                        "{\"add\":null,\"ad\":{}}"};
    struct fixture f;
    char document[256];
    setup(&f, 32u << 20);
    ok(lh_namespace_create(f.lakehouse, "ns", NULL, 0));
    make_table(&f, "ns.a", "id BIGINT");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        snprintf(document, sizeof document, "{\"tables\":[{\"table\":\"ns.a\",\"actions\":[%s]}]}", wrong[i]);
        fails(commit_json(&f, document, NULL), LH_VALIDATION);
        cr_assert_not_null(strstr(vde_last_error()->text, "ns.a"));
    }
    fails(commit_json(&f, "{\"tables\":[{\"table\":\"ns.a\",\"actions\":[{\"ad\":{\"path\":\"x\"}}]}]}", NULL), LH_VALIDATION);
    cr_assert_not_null(strstr(vde_last_error()->text, "action ad"), "%s", vde_last_error()->text);
    uint64_t version;
    ok(lh_latest_version(f.lakehouse, "ns.a", &version));
    cr_assert_eq(version, 0);
    teardown(&f);
}

Test(commit, names_are_listed_in_byte_order)
{
    static const char *const sorted[] = {"ns.a", "ns.sub.u", "ns.sub.z.q", "ns.subs", "ns.t"};
    struct fixture f;
    struct lh_strings *names = NULL;
    setup(&f, 32u << 20);
    ok(lh_namespace_create(f.lakehouse, "ns", NULL, 0));
    ok(lh_namespace_create(f.lakehouse, "ns.sub", NULL, 0));
    ok(lh_namespace_create(f.lakehouse, "ns.sub.z", NULL, 0));
    ok(lh_namespace_create(f.lakehouse, "ns.sub-", NULL, 0));
    for (size_t i = 5; i-- > 0;)
        make_table(&f, sorted[i], "id BIGINT");
    ok(lh_table_list(f.lakehouse, NULL, true, &names));
    cr_assert_eq(names->count, 5);
    for (size_t i = 0; i < 5; i++)
        cr_assert_str_eq(names->items[i], sorted[i]);
    lh_free(names);
    ok(lh_namespace_list(f.lakehouse, NULL, true, &names));
    cr_assert_eq(names->count, 4);
    cr_assert_str_eq(names->items[2], "ns.sub-");
    cr_assert_str_eq(names->items[3], "ns.sub.z");
    lh_free(names);
    teardown(&f);
}
