/* SPDX-License-Identifier: Apache-2.0 */
/* Changes version by version: every file action in its order, nothing else, and only whole ranges. */
#include "support.h"

static void commit(struct fixture *f, const char *actions)
{
    char text[2048];
    snprintf(text, sizeof text, "{\"tables\":[{\"table\":\"ns.a\",\"actions\":[%s]}]}", actions);
    ok(commit_json(f, text, NULL));
}

#define ADD(path, change)                                                                                              \
    "{\"add\":{\"path\":\"" path "\",\"partitionValues\":{},\"size\":7,\"modificationTime\":0,\"dataChange\":" change  \
    ",\"stats\":\"{\\\"numRecords\\\":3}\"}}"
#define REMOVE(path) "{\"remove\":{\"path\":\"" path "\",\"deletionTimestamp\":0,\"dataChange\":true}}"
#define CDC(path) "{\"cdc\":{\"path\":\"" path "\",\"partitionValues\":{},\"size\":9,\"dataChange\":false}}"

static void start(struct fixture *f)
{
    setup(f, 64u << 20);
    ok(lh_namespace_create(f->lakehouse, "ns", NULL, 0));
    make_table(f, "ns.a", "id BIGINT");
    commit(f, ADD("x", "true") "," ADD("y", "true"));
    commit(f, REMOVE("x") "," ADD("z", "true") "," CDC("_change_data/c"));
    commit(f, "{\"txn\":{\"appId\":\"a\",\"version\":1}}");
    commit(f, ADD("w", "false"));
}

/* "v1 +x +y v2 -x +z ~c" */
static void tell(lh_changes *changes, char *text, size_t size)
{
    static const char signs[] = " +-~";
    struct lh_change_version version;
    struct lh_change change;
    vde_status status;
    size_t used = 0;
    text[0] = '\0';
    while ((status = lh_changes_next_version(changes, &version)) == VDE_OK) {
        used += (size_t)snprintf(text + used, size - used, "%sv%llu", used ? " " : "", (unsigned long long)version.version);
        cr_assert_gt(version.time_us, 0);
        while ((status = lh_changes_next_file(changes, &change)) == VDE_OK) {
            used += (size_t)snprintf(text + used, size - used, " %c%s%s", signs[change.kind], change.file.path,
                                     change.data_change ? "" : "!");
            cr_assert_eq(change.file.file_id == LH_NO_VERSION, change.kind != LH_CHANGE_ADD);
        }
        cr_assert_eq(status, VDE_NOT_FOUND);
    }
    cr_assert_eq(status, VDE_NOT_FOUND);
    fails(lh_changes_next_file(changes, &change), VDE_NOT_FOUND);
}

Test(changes, every_version_tells_its_files)
{
    struct fixture f;
    lh_changes *changes = NULL;
    char text[256];
    start(&f);
    for (int round = 0; round < 2; round++) {
        ok(lh_changes_open(f.lakehouse, "ns.a", 0, LH_NO_VERSION, &changes));
        tell(changes, text, sizeof text);
        lh_changes_close(changes);
        cr_assert_str_eq(text, "v0 v1 +x +y v2 -x +z ~_change_data/c! v3 v4 +w!");
        open_again(&f);
    }
    ok(lh_changes_open(f.lakehouse, "ns.a", 2, 3, &changes));
    tell(changes, text, sizeof text);
    lh_changes_close(changes);
    cr_assert_str_eq(text, "v2 -x +z ~_change_data/c! v3");
    teardown(&f);
}

Test(changes, files_that_nobody_asked_for_are_passed_over)
{
    struct fixture f;
    lh_changes *changes = NULL;
    struct lh_change_version version;
    struct lh_change change;
    start(&f);
    ok(lh_changes_open(f.lakehouse, "ns.a", 0, 2, &changes));
    fails(lh_changes_next_file(changes, &change), VDE_NOT_FOUND);
    ok(lh_changes_next_version(changes, &version));
    cr_assert(version.metadata_changed && version.protocol_changed);
    cr_assert_str_eq(version.operation, "CREATE TABLE");
    ok(lh_changes_next_version(changes, &version));
    ok(lh_changes_next_file(changes, &change));
    cr_assert_eq(change.file.records, 3);
    cr_assert_eq(change.file.size_bytes, 7);
    ok(lh_changes_next_version(changes, &version));
    ok(lh_changes_next_file(changes, &change));
    cr_assert_str_eq(change.file.path, "x");
    cr_assert_eq(change.kind, LH_CHANGE_REMOVE);
    lh_changes_close(changes);
    teardown(&f);
}

Test(changes, only_ranges_that_are_there)
{
    struct fixture f;
    lh_changes *changes = NULL;
    start(&f);
    fails(lh_changes_open(f.lakehouse, "ns.a", 5, LH_NO_VERSION, &changes), LH_VERSION_NOT_FOUND);
    fails(lh_changes_open(f.lakehouse, "ns.a", 5, 6, &changes), LH_VERSION_NOT_FOUND);
    fails(lh_changes_open(f.lakehouse, "ns.a", 0, 5, &changes), LH_VERSION_NOT_FOUND);
    fails(lh_changes_open(f.lakehouse, "ns.a", 2, 1, &changes), LH_VALIDATION);
    fails(lh_changes_open(f.lakehouse, "ns.a@v1", 0, 1, &changes), LH_NAME);
    fails(lh_changes_open(f.lakehouse, "ns.b", 0, 1, &changes), LH_TABLE_NOT_FOUND);
    lh_changes_close(NULL);
    teardown(&f);
}
