/* SPDX-License-Identifier: Apache-2.0 */
/* Restores against what the version held: files, schema, properties; what stays; what is refused. */
#include <pthread.h>

#include "support.h"

static vde_status commit(struct fixture *f, const char *body)
{
    char text[2048];
    snprintf(text, sizeof text, "{\"tables\":[{\"table\":\"ns.a\",%s}]}", body);
    return commit_json(f, text, NULL);
}

#define ADD(path) "{\"add\":{\"path\":\"" path "\",\"partitionValues\":{},\"size\":7,\"modificationTime\":0,\"dataChange\":true}}"
#define REMOVE(path) "{\"remove\":{\"path\":\"" path "\",\"deletionTimestamp\":0,\"dataChange\":true}}"

/* v0 empty, v1 x y, v2 y z with another schema and property, v3 an application's progress */
static void start(struct fixture *f)
{
    setup(f, 64u << 20);
    ok(lh_namespace_create(f->lakehouse, "ns", NULL, 0));
    make_table(f, "ns.a", "id BIGINT");
    ok(commit(f, "\"actions\":[" ADD("x") "," ADD("y") "]"));
    ok(commit(f, "\"schema\":\"id BIGINT, more INT\",\"properties\":{\"k\":\"v\"},\"actions\":[" REMOVE("x") "," ADD("z") "]"));
    ok(commit(f, "\"actions\":[{\"txn\":{\"appId\":\"app\",\"version\":5}}]"));
}

static void same(struct fixture *f, const char *a, const char *b)
{
    struct lh_table_info *x = NULL, *y = NULL;
    char files_a[256], files_b[256];
    list_files(f, a, files_a, sizeof files_a);
    list_files(f, b, files_b, sizeof files_b);
    cr_assert_str_eq(files_a, files_b, "%s: %s, %s: %s", a, files_a, b, files_b);
    ok(lh_table_describe(f->lakehouse, a, &x));
    ok(lh_table_describe(f->lakehouse, b, &y));
    cr_assert_str_eq(x->schema_json, y->schema_json);
    cr_assert_str_eq(x->table_uuid, y->table_uuid);
    cr_assert_str_eq(x->protocol_json, y->protocol_json);
    cr_assert_eq(x->property_count, y->property_count);
    cr_assert_eq(x->bytes, y->bytes);
    lh_free(x);
    lh_free(y);
}

Test(restore, to_every_version)
{
    struct fixture f;
    char address[32];
    start(&f);
    for (unsigned v = 0; v < 4; v++) {
        struct lh_restore_report *report = NULL;
        snprintf(address, sizeof address, "ns.a@v%u", v);
        ok(lh_table_restore(f.lakehouse, address, 0, &report));
        cr_assert(report->changed);
        cr_assert_eq(report->to_version, v);
        cr_assert_eq(report->version, 4 + v);
        cr_assert_eq(report->read_version, 3 + v);
        cr_assert_gt(report->time_us, 0);
        lh_free(report);
        same(&f, "ns.a", address);
        open_again(&f);
        same(&f, "ns.a", address);
        if (v == 2) /* version 3 has the same, but for the application */
            break;
    }
    fails(commit(&f, "\"actions\":[{\"txn\":{\"appId\":\"app\",\"version\":5}}]"), LH_ALREADY_APPLIED);
    ok(commit(&f, "\"actions\":[" ADD("later") "]"));
    teardown(&f);
}

Test(restore, says_what_it_would_do)
{
    struct fixture f;
    struct lh_restore_report *report = NULL;
    uint64_t latest;
    start(&f);
    ok(lh_tag_create(f.lakehouse, "ns.a@v1", "one", NULL));
    ok(lh_table_restore(f.lakehouse, "ns.a@tag:one", LH_RESTORE_DRY_RUN, &report));
    cr_assert(report->changed && report->metadata_changed);
    cr_assert_eq(report->version, LH_NO_VERSION);
    cr_assert_eq(report->files_added, 1);
    cr_assert_eq(report->files_removed, 1);
    cr_assert_eq(report->bytes_added, 7);
    lh_free(report);
    ok(lh_latest_version(f.lakehouse, "ns.a", &latest));
    cr_assert_eq(latest, 3);
    teardown(&f);
}

Test(restore, nothing_to_change_is_no_commit)
{
    struct fixture f;
    struct lh_restore_report *report = NULL;
    uint64_t latest;
    start(&f);
    for (int v = 2; v < 4; v++) {
        char address[32];
        snprintf(address, sizeof address, "ns.a@v%d", v);
        ok(lh_table_restore(f.lakehouse, address, 0, &report));
        cr_assert(!report->changed);
        cr_assert_eq(report->version, LH_NO_VERSION);
        lh_free(report);
    }
    ok(lh_latest_version(f.lakehouse, "ns.a", &latest));
    cr_assert_eq(latest, 3);
    teardown(&f);
}

Test(restore, the_commit_says_so)
{
    struct fixture f;
    char *text = NULL;
    size_t size;
    start(&f);
    ok(lh_table_restore(f.lakehouse, "ns.a@v1", 0, NULL));
    ok(lh_commit_text(f.lakehouse, "ns.a", 4, false, &text, &size));
    cr_assert(strstr(text, "\"operation\":\"RESTORE\""), "%s", text);
    cr_assert(strstr(text, "\"operationParameters\":{\"version\":1,\"timestamp\":null}"), "%s", text);
    cr_assert(strstr(text, "\"numRestoredFiles\":\"1\""), "%s", text);
    cr_assert(!strstr(text, "\"protocol\""), "%s", text);
    lh_free(text);
    lh_history *history = NULL;
    struct lh_version_info info;
    ok(lh_history_open(f.lakehouse, "ns.a", 4, 4, false, &history));
    ok(lh_history_next(history, &info));
    cr_assert_str_eq(info.operation, "RESTORE");
    cr_assert(info.files_added == 1 && info.files_removed == 1 && info.schema_changed);
    lh_history_close(history);
    teardown(&f);
}

struct once {
    const char *text;
};
static vde_status read_once(void *context, void *buffer, size_t size, size_t *ret_size)
{
    struct once *once = context;
    size_t length = once->text ? strlen(once->text) : 0;
    (void)size;
    if (length)
        memcpy(buffer, once->text, length);
    once->text = NULL;
    *ret_size = length;
    return VDE_OK;
}

Test(restore, files_removed_by_force_are_missed)
{
    struct fixture f;
    start(&f);
    for (int round = 0; round < 2; round++) {
        struct once content = {"bytes"};
        ok(lh_file_put(f.lakehouse, "ns.a", "x", LH_UNKNOWN, read_once, &content));
        if (round == 0) {
            ok(lh_file_remove(f.lakehouse, "ns.a", "x", true));
            fails(lh_table_restore(f.lakehouse, "ns.a@v1", 0, NULL), LH_FILE_NOT_FOUND);
            cr_assert(strstr(vde_last_error()->text, "file x"));
            open_again(&f);
            fails(lh_table_restore(f.lakehouse, "ns.a@v1", LH_RESTORE_DRY_RUN, NULL), LH_FILE_NOT_FOUND);
            ok(lh_table_restore(f.lakehouse, "ns.a@v0", 0, NULL));
        }
    }
    ok(lh_table_restore(f.lakehouse, "ns.a@v1", 0, NULL));
    same(&f, "ns.a", "ns.a@v1");
    teardown(&f);
}

Test(restore, refusals)
{
    struct fixture f;
    start(&f);
    fails(lh_table_restore(f.lakehouse, "ns.a", 0, NULL), LH_NAME);
    fails(lh_table_restore(f.lakehouse, "ns.a@v9", 0, NULL), LH_VERSION_NOT_FOUND);
    fails(lh_table_restore(f.lakehouse, "ns.a@tag:x", 0, NULL), LH_TAG_NOT_FOUND);
    fails(lh_table_restore(f.lakehouse, "ns.b@v0", 0, NULL), LH_TABLE_NOT_FOUND);
    ok(commit(&f, "\"properties\":{\"delta.appendOnly\":\"true\"}"));
    fails(lh_table_restore(f.lakehouse, "ns.a@v1", 0, NULL), LH_VALIDATION);
    teardown(&f);
}

Test(restore, columns_that_came_and_went)
{
    struct fixture f;
    struct lh_property mapping = {"delta.columnMapping.mode", "name"};
    struct lh_create create = LH_CREATE_INIT;
    struct lh_table_info *info = NULL;
    setup(&f, 64u << 20);
    ok(lh_namespace_create(f.lakehouse, "ns", NULL, 0));
    create.schema = "a INT";
    create.properties = &mapping;
    create.property_count = 1;
    ok(lh_table_create(f.lakehouse, "ns.a", &create, NULL));
    ok(commit(&f, "\"schema\":\"a INT, b INT\""));
    ok(lh_table_restore(f.lakehouse, "ns.a@v0", 0, NULL));
    ok(lh_table_describe(f.lakehouse, "ns.a", &info));
    cr_assert_eq(info->column_count, 1);
    lh_free(info);
    /* The id of b is not given again. */
    ok(commit(&f, "\"schema\":\"a INT, c INT\""));
    ok(lh_table_describe(f.lakehouse, "ns.a", &info));
    cr_assert_eq(info->column_count, 2);
    cr_assert(strstr(info->schema_json, "\"delta.columnMapping.id\":3"), "%s", info->schema_json);
    lh_free(info);
    teardown(&f);
}

static void *append(void *context)
{
    struct fixture *f = context;
    char body[256];
    for (int i = 0; i < 60; i++) {
        snprintf(body, sizeof body,
                 "\"actions\":[{\"add\":{\"path\":\"c%d\",\"partitionValues\":{},\"size\":7,\"modificationTime\":0,"
                 "\"dataChange\":true}}]", i);
        ok(commit(f, body));
    }
    return NULL;
}

/* Appends that come between are a conflict, never part of what was restored. */
Test(restore, beside_appends)
{
    struct fixture f;
    pthread_t thread;
    unsigned restored = 0;
    char address[32], files[256];
    start(&f);
    cr_assert_eq(pthread_create(&thread, NULL, append, &f), 0);
    for (int i = 0; i < 40 || restored == 0; i++) {
        struct lh_restore_report *report = NULL;
        vde_status status = lh_table_restore(f.lakehouse, "ns.a@v1", 0, &report);
        if (status == LH_CONFLICT) {
            cr_assert(vde_last_error()->retryable);
            continue;
        }
        cr_assert_eq(status, VDE_OK, "%s", vde_last_error()->text);
        if (report->version != LH_NO_VERSION) {
            snprintf(address, sizeof address, "ns.a@v%llu", (unsigned long long)report->version);
            list_files(&f, address, files, sizeof files);
            cr_assert_str_eq(files, "x y");
            restored++;
        }
        lh_free(report);
    }
    pthread_join(thread, NULL);
    teardown(&f);
}
