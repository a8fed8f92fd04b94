/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#define ADD(path) "{\"add\":{\"path\":\"" path "\",\"partitionValues\":{},\"size\":1,\"modificationTime\":1,\"dataChange\":true}}"
#define ADD_IN(path, day)                                                                                              \
    "{\"add\":{\"path\":\"" path "\",\"partitionValues\":{\"day\":\"" day "\"},\"size\":1,\"modificationTime\":1,"          \
    "\"dataChange\":true}}"
#define REMOVE(path) "{\"remove\":{\"path\":\"" path "\",\"deletionTimestamp\":1,\"dataChange\":true}}"
#define DOC(rest, actions) "{\"tables\":[{\"table\":\"ns.a\"" rest ",\"actions\":[" actions "]}]}"

static void start(struct fixture *f, bool partitioned)
{
    struct lh_create create = LH_CREATE_INIT;
    const char *columns[] = {"day"};
    setup(f, 64u << 20);
    ok(lh_namespace_create(f->lakehouse, "ns", NULL, 0));
    create.schema = "id BIGINT, day STRING";
    create.partition_columns = columns;
    create.partition_count = partitioned;
    ok(lh_table_create(f->lakehouse, "ns.a", &create, NULL));
}

static void conflicts(struct fixture *f, const char *doc, enum lh_conflict want)
{
    fails(commit_json(f, doc, NULL), LH_CONFLICT);
    cr_assert_eq(lh_last_conflict(), want, "%s", vde_last_error()->text);
    cr_assert(strstr(vde_last_error()->text, lh_conflict_name(want)));
}

Test(conflict, blind_appends_pass_each_other)
{
    struct fixture f;
    start(&f, false);
    ok(commit_json(&f, DOC("", ADD("f1")), NULL));
    ok(commit_json(&f, DOC(",\"readVersion\":0", ADD("f2")), NULL));
    ok(commit_json(&f, DOC("", REMOVE("f1")), NULL));
    ok(commit_json(&f, DOC(",\"readVersion\":0", ADD("f3")), NULL));
    teardown(&f);
}

Test(conflict, a_reader_of_everything_sees_appends_and_removes)
{
    struct fixture f;
    start(&f, false);
    ok(commit_json(&f, DOC("", ADD("f1")), NULL));
    conflicts(&f, DOC(",\"readVersion\":0,\"reads\":\"all\"", ADD("g")), LH_CONFLICT_CONCURRENT_APPEND);
    cr_assert(vde_last_error()->retryable);
    ok(commit_json(&f, DOC("", REMOVE("f1")), NULL));
    conflicts(&f, DOC(",\"readVersion\":1,\"reads\":\"all\"", ADD("g")), LH_CONFLICT_CONCURRENT_DELETE_READ);
    conflicts(&f, DOC(",\"readVersion\":1,\"reads\":[\"f1\"]", ADD("g")), LH_CONFLICT_CONCURRENT_DELETE_READ);
    ok(commit_json(&f, DOC(",\"readVersion\":1,\"reads\":[\"other\"]", ADD("g")), NULL));
    ok(commit_json(&f, DOC(",\"readVersion\":3,\"reads\":\"all\"", ADD("h")), NULL));
    teardown(&f);
}

Test(conflict, write_serializable_lets_blind_appends_by)
{
    struct fixture f;
    start(&f, false);
    ok(commit_json(&f, DOC("", ADD("f1")), NULL));
    ok(commit_json(&f, "{\"isolation\":\"WriteSerializable\",\"tables\":[{\"table\":\"ns.a\",\"readVersion\":0,"
                       "\"reads\":\"all\",\"actions\":[" ADD("g") "]}]}", NULL));
    /* That one read the table: it is no blind append. */
    conflicts(&f, "{\"isolation\":\"WriteSerializable\",\"tables\":[{\"table\":\"ns.a\",\"readVersion\":1,"
                  "\"reads\":\"all\",\"actions\":[" ADD("h") "]}]}", LH_CONFLICT_CONCURRENT_APPEND);
    teardown(&f);
}

Test(conflict, predicates_look_at_partitions)
{
    struct fixture f;
    start(&f, true);
    ok(commit_json(&f, DOC("", ADD_IN("f1", "1")), NULL));
    ok(commit_json(&f, DOC(",\"readVersion\":0,\"reads\":{\"day\":\"2\"}", ADD_IN("g", "2")), NULL));
    conflicts(&f, DOC(",\"readVersion\":0,\"reads\":{\"day\":[\"1\",\"3\"]}", ADD_IN("h", "1")),
              LH_CONFLICT_CONCURRENT_APPEND);
    ok(commit_json(&f, DOC(",\"readVersion\":0,\"reads\":{\"day\":null}", ADD_IN("h", "1")), NULL));
    teardown(&f);
}

Test(conflict, two_removes_of_one_file)
{
    struct fixture f;
    start(&f, false);
    ok(commit_json(&f, DOC("", ADD("f1") "," ADD("f2")), NULL));
    ok(commit_json(&f, DOC("", REMOVE("f1")), NULL));
    conflicts(&f, DOC(",\"readVersion\":1", REMOVE("f1")), LH_CONFLICT_CONCURRENT_DELETE_DELETE);
    fails(commit_json(&f, DOC("", REMOVE("f1")), NULL), LH_FILE_NOT_FOUND);
    ok(commit_json(&f, DOC(",\"readVersion\":1", REMOVE("f2")), NULL));
    teardown(&f);
}

Test(conflict, changed_metadata_stops_everybody)
{
    struct fixture f;
    struct lh_evolve evolve = LH_EVOLVE_INIT;
    struct lh_property soft = {"owner", "me"}, hard = {"delta.appendOnly", "true"};
    start(&f, false);
    evolve.schema = "id BIGINT, day STRING, more INT";
    ok(lh_table_evolve(f.lakehouse, "ns.a", &evolve, NULL));
    conflicts(&f, DOC(",\"readVersion\":0", ADD("f1")), LH_CONFLICT_METADATA_CHANGED);
    evolve = (struct lh_evolve)LH_EVOLVE_INIT;
    evolve.properties = &soft;
    evolve.property_count = 1;
    ok(lh_table_evolve(f.lakehouse, "ns.a", &evolve, NULL));
    ok(commit_json(&f, DOC(",\"readVersion\":1", ADD("f1")), NULL));
    evolve.properties = &hard;
    ok(lh_table_evolve(f.lakehouse, "ns.a", &evolve, NULL));
    conflicts(&f, DOC(",\"readVersion\":3", ADD("f2")), LH_CONFLICT_METADATA_CHANGED);
    fails(commit_json(&f, DOC("", REMOVE("f1")), NULL), LH_VALIDATION);
    evolve = (struct lh_evolve)LH_EVOLVE_INIT;
    evolve.schema = "id INT, day STRING, more INT";
    fails(lh_table_evolve(f.lakehouse, "ns.a", &evolve, NULL), LH_SCHEMA_INCOMPATIBLE);
    cr_assert(strstr(vde_last_error()->text, "id"));
    teardown(&f);
}

Test(conflict, applications_and_expected_versions)
{
    struct fixture f;
    start(&f, false);
    ok(commit_json(&f, DOC(",\"expectVersion\":1", "{\"txn\":{\"appId\":\"app\",\"version\":5}}," ADD("f1")), NULL));
    fails(commit_json(&f, DOC("", "{\"txn\":{\"appId\":\"app\",\"version\":5}}," ADD("f2")), NULL), LH_ALREADY_APPLIED);
    open_again(&f);
    fails(commit_json(&f, DOC("", "{\"txn\":{\"appId\":\"app\",\"version\":4}}," ADD("f2")), NULL), LH_ALREADY_APPLIED);
    conflicts(&f, DOC(",\"readVersion\":0", "{\"txn\":{\"appId\":\"app\",\"version\":6}}," ADD("f2")),
              LH_CONFLICT_CONCURRENT_TRANSACTION);
    conflicts(&f, DOC(",\"expectVersion\":1", ADD("f2")), LH_CONFLICT_CONCURRENT_WRITE);
    fails(commit_json(&f, DOC(",\"readVersion\":9", ADD("f2")), NULL), LH_VERSION_NOT_FOUND);
    teardown(&f);
}

Test(conflict, a_member_without_actions_is_only_validated)
{
    struct fixture f;
    struct lh_commit_result *result = NULL;
    uint64_t version;
    start(&f, false);
    make_table(&f, "ns.b", "x INT");
    ok(commit_json(&f, "{\"tables\":[{\"table\":\"ns.a\",\"readVersion\":0,\"reads\":\"all\",\"actions\":[]},"
                       "{\"table\":\"ns.b\",\"actions\":[" ADD("f1") "]}]}", &result));
    cr_assert_eq(result->tables[0].version, LH_NO_VERSION);
    cr_assert_eq(result->tables[1].version, 1);
    lh_free(result);
    ok(commit_json(&f, DOC("", ADD("f1")), NULL));
    conflicts(&f, "{\"tables\":[{\"table\":\"ns.a\",\"readVersion\":0,\"reads\":\"all\",\"actions\":[]},"
                  "{\"table\":\"ns.b\",\"actions\":[" ADD("f2") "]}]}", LH_CONFLICT_CONCURRENT_APPEND);
    ok(lh_latest_version(f.lakehouse, "ns.b", &version));
    cr_assert_eq(version, 1);
    teardown(&f);
}

Test(conflict, winners_older_than_memory_are_read_from_the_log)
{
    struct fixture f;
    start(&f, false);
    for (int i = 0; i < 300; i++) {
        char doc[512];
        snprintf(doc, sizeof doc, DOC("", ADD("f%d")), i);
        ok(commit_json(&f, doc, NULL));
    }
    ok(commit_json(&f, DOC(",\"readVersion\":3", ADD("g")), NULL));
    conflicts(&f, DOC(",\"readVersion\":3,\"reads\":\"all\"", ADD("h")), LH_CONFLICT_CONCURRENT_APPEND);
    open_again(&f);
    conflicts(&f, DOC(",\"readVersion\":3,\"reads\":\"all\"", ADD("h")), LH_CONFLICT_CONCURRENT_APPEND);
    ok(commit_json(&f, DOC(",\"readVersion\":3", ADD("h")), NULL));
    teardown(&f);
}

Test(conflict, partitions_are_added_and_removed)
{
    struct fixture f;
    char files[256];
    lh_snapshot *snapshot = NULL;
    struct lh_strings *empty = NULL;
    start(&f, true);
    ok(commit_json(&f, DOC("", ADD_IN("f1", "1") "," ADD_IN("f2", "1") "," ADD_IN("f3", "2") ",{\"addPartition\":"
                              "{\"partitionValues\":{\"day\":\"9\"}}}"), NULL));
    ok(commit_json(&f, DOC("", "{\"removePartition\":{\"partitionValues\":{\"day\":\"1\"}}}"), NULL));
    list_files(&f, "ns.a", files, sizeof files);
    cr_assert_str_eq(files, "f3");
    ok(lh_snapshot_open(f.lakehouse, "ns.a", &snapshot));
    ok(lh_snapshot_empty_partitions(snapshot, &empty));
    cr_assert_eq(empty->count, 1);
    cr_assert_str_eq(empty->items[0], "{\"day\":\"9\"}");
    lh_free(empty);
    lh_snapshot_close(snapshot);
    char *text = NULL;
    size_t size;
    ok(lh_commit_text(f.lakehouse, "ns.a", 2, false, &text, &size));
    cr_assert(!strstr(text, "artition\""), "%s", text);
    cr_assert(strstr(text, "\"remove\""));
    lh_free(text);
    teardown(&f);
}
