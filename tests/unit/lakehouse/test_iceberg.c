/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <jansson.h>

static json_t *metadata(struct fixture *f, const char *table)
{
    char *text = NULL;
    size_t size;
    json_error_t error;
    ok(lh_iceberg_metadata(f->lakehouse, table, &text, &size));
    json_t *root = json_loadb(text, size, 0, &error);
    cr_assert(root, "%s: %s", error.text, text);
    lh_free(text);
    return root;
}

static json_int_t number(json_t *root, const char *key) { return json_integer_value(json_object_get(root, key)); }

Test(iceberg, commits_make_snapshots)
{
    struct fixture f;
    struct lh_create create = LH_CREATE_INIT;
    const char *columns[] = {"day"};
    struct lh_commit_result *result = NULL;
    setup(&f, 64u << 20);
    ok(lh_namespace_create(f.lakehouse, "ns", NULL, 0));
    create.format = LH_FORMAT_ICEBERG;
    create.schema = "id BIGINT NOT NULL, day DATE, tags ARRAY<STRING>";
    create.partition_columns = columns;
    create.partition_count = 1;
    ok(lh_table_create(f.lakehouse, "ns.i", &create, NULL));
    json_t *root = metadata(&f, "ns.i");
    cr_assert_eq(number(root, "format-version"), 2);
    cr_assert_eq(number(root, "last-column-id"), 4);
    cr_assert_eq(json_array_size(json_object_get(root, "snapshots")), 0);
    json_decref(root);
    ok(commit_json(&f, "{\"tables\":[{\"table\":\"ns.i\",\"actions\":[{\"add\":{\"path\":\"f1\",\"partitionValues\":"
                       "{\"day\":\"2026-01-01\"},\"size\":10,\"modificationTime\":1,\"dataChange\":true,\"stats\":"
                       "\"{\\\"numRecords\\\":3}\"}}]}]}", &result));
    int64_t first = result->tables[0].snapshot_id;
    cr_assert_neq(first, LH_UNKNOWN);
    lh_free(result);
    struct lh_evolve evolve = LH_EVOLVE_INIT;
    evolve.schema = "id BIGINT NOT NULL, day DATE, tags ARRAY<STRING>, more DOUBLE";
    ok(lh_table_evolve(f.lakehouse, "ns.i", &evolve, NULL));
    ok(commit_json(&f, "{\"tables\":[{\"table\":\"ns.i\",\"actions\":[{\"remove\":{\"path\":\"f1\",\"dataChange\":true}}]}]}",
                   &result));
    int64_t second = result->tables[0].snapshot_id;
    lh_free(result);
    root = metadata(&f, "ns.i");
    json_t *snapshots = json_object_get(root, "snapshots");
    cr_assert_eq(json_array_size(snapshots), 2);
    cr_assert_eq(number(json_array_get(snapshots, 0), "snapshot-id"), first);
    cr_assert_eq(number(json_array_get(snapshots, 1), "parent-snapshot-id"), first);
    cr_assert_eq(number(json_array_get(snapshots, 1), "schema-id"), 1);
    cr_assert_eq(number(json_array_get(snapshots, 1), "sequence-number"), 3);
    cr_assert_eq(number(root, "current-snapshot-id"), second);
    cr_assert_eq(number(root, "last-column-id"), 5);
    cr_assert_eq(json_array_size(json_object_get(root, "schemas")), 2);
    cr_assert_eq(number(root, "last-sequence-number"), 3);
    json_decref(root);
    root = metadata(&f, "ns.i@v1");
    cr_assert_eq(number(root, "current-snapshot-id"), first);
    cr_assert_eq(json_array_size(json_object_get(root, "schemas")), 1);
    json_decref(root);
    make_table(&f, "ns.d", "id BIGINT");
    char *text = NULL;
    size_t size;
    fails(lh_iceberg_metadata(f.lakehouse, "ns.d", &text, &size), LH_VALIDATION);
    teardown(&f);
}
