/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include "txlog/import.h"

struct source {
    size_t left;
    uint8_t next;
};
struct sink {
    size_t got;
    uint8_t next;
    bool wrong;
};

static vde_status give(void *context, void *buffer, size_t size, size_t *ret_size)
{
    struct source *s = context;
    size_t part = s->left < size ? s->left : size;
    for (size_t i = 0; i < part; i++)
        ((uint8_t *)buffer)[i] = s->next++;
    s->left -= part;
    *ret_size = part;
    return VDE_OK;
}

static vde_status take(void *context, const void *data, size_t size)
{
    struct sink *s = context;
    for (size_t i = 0; i < size; i++)
        s->wrong |= ((const uint8_t *)data)[i] != s->next++;
    s->got += size;
    return VDE_OK;
}

static vde_status broken(void *context, void *buffer, size_t size, size_t *ret_size)
{
    (void)context;
    (void)buffer;
    (void)size;
    (void)ret_size;
    return vde_error_set(LH_WRITE, "source", "gone", "there");
}

Test(files, are_stored_listed_and_removed)
{
    struct fixture f;
    struct source source = {3000000, 7};
    struct sink sink = {0, 7, false};
    struct lh_stored_files *list = NULL;
    setup(&f, 64u << 20);
    ok(lh_namespace_create(f.lakehouse, "ns", NULL, 0));
    make_table(&f, "ns.a", "id BIGINT");
    ok(lh_file_put(f.lakehouse, "ns.a", "dir/f1", 12345, give, &source));
    source.left = 1;
    fails(lh_file_put(f.lakehouse, "ns.a", "dir/f1", 0, give, &source), LH_FILE_EXISTS);
    source.left = 0;
    ok(lh_file_put(f.lakehouse, "ns.a", "empty", LH_UNKNOWN, give, &source));
    fails(lh_file_put(f.lakehouse, "ns.a", "../x", 0, give, &source), LH_NAME);
    fails(lh_file_put(f.lakehouse, "ns.b", "x", 0, give, &source), LH_TABLE_NOT_FOUND);
    fails(lh_file_put(f.lakehouse, "ns.a", "x", 0, broken, NULL), LH_WRITE);
    open_again(&f);
    ok(lh_file_get(f.lakehouse, "ns.a", "dir/f1", take, &sink, NULL));
    cr_assert_eq(sink.got, 3000000);
    cr_assert(!sink.wrong);
    ok(lh_file_list(f.lakehouse, "ns.a", NULL, &list));
    cr_assert_eq(list->count, 2);
    cr_assert_str_eq(list->files[0].path, "dir/f1");
    cr_assert_eq(list->files[0].modified_ns, 12345);
    lh_free(list);
    ok(lh_file_list(f.lakehouse, "ns.a", "dir/", &list));
    cr_assert_eq(list->count, 1);
    lh_free(list);
    ok(commit_json(&f, "{\"tables\":[{\"table\":\"ns.a\",\"actions\":[{\"add\":{\"path\":\"dir/f1\",\"partitionValues\":{},"
                       "\"size\":3000000,\"modificationTime\":1,\"dataChange\":true}}]}]}", NULL));
    fails(lh_file_remove(f.lakehouse, "ns.a", "dir/f1", false), LH_VALIDATION);
    ok(lh_file_remove(f.lakehouse, "ns.a", "dir/f1", true));
    fails(lh_file_get(f.lakehouse, "ns.a", "dir/f1", take, &sink, NULL), LH_FILE_NOT_FOUND);
    ok(lh_file_remove(f.lakehouse, "ns.a", "empty", false));
    teardown(&f);
}

/* Paths in the log are percent-encoded, and each writer has its own idea of what needs it. */
Test(files, a_named_file_stays_in_whatever_spelling)
{
    static const char *const kept[] = {"p 1", "day=a b/f%", "raw%20name", "x/deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61.bin"};
    struct fixture f;
    setup(&f, 64u << 20);
    ok(lh_namespace_create(f.lakehouse, "ns", NULL, 0));
    ok(commit_json(&f, "{\"tables\":[{\"table\":\"ns.a\",\"create\":{\"schema\":\"id BIGINT\",\"properties\":"
                       "{\"delta.enableDeletionVectors\":\"true\"}},\"actions\":[]}]}", NULL));
    for (size_t i = 0; i < 4; i++) {
        struct source source = {10, 0};
        ok(lh_file_put(f.lakehouse, "ns.a", kept[i], 0, give, &source));
    }
#define ADD(path) "{\"add\":{\"path\":\"" path "\",\"partitionValues\":{},\"size\":10,\"modificationTime\":1,\"dataChange\":true"
    ok(commit_json(&f, "{\"tables\":[{\"table\":\"ns.a\",\"actions\":[" ADD("p%201") "}}," ADD("d%61y%3Da%20b/f%25") "}},"
                       ADD("raw%20name") ",\"stats\":\"{\\\"numRecords\\\":9}\",\"deletionVector\":{\"storageType\":\"u\",\"pathOrInlineDv\":"
                       "\"x^-aqEH.-t@S}K{vb[*k^\",\"offset\":4,\"sizeInBytes\":40,\"cardinality\":6}}}]}]}", NULL));
    for (size_t i = 0; i < 4; i++)
        fails(lh_file_remove(f.lakehouse, "ns.a", kept[i], false), LH_VALIDATION);
    ok(commit_json(&f, "{\"tables\":[{\"table\":\"ns.a\",\"actions\":[{\"remove\":{\"path\":\"p%201\","
                       "\"dataChange\":true}}]}]}", NULL));
    /* Version 1 still names it. */
    fails(lh_file_remove(f.lakehouse, "ns.a", "p 1", false), LH_VALIDATION);
    ok(lh_file_remove(f.lakehouse, "ns.a", "p 1", true));
    fails(lh_file_remove(f.lakehouse, "ns.a", kept[1], false), LH_VALIDATION);
    ok(lh_file_remove(f.lakehouse, "ns.a", kept[1], true));
    teardown(&f);
}

Test(files, a_purge_gives_the_space_back)
{
    struct fixture f;
    struct vde_image_info before, after;
    setup(&f, 64u << 20);
    ok(lh_namespace_create(f.lakehouse, "ns", NULL, 0));
    ok(vde_image_checkpoint(f.image));
    for (int i = 0; i < 12; i++) {
        make_table(&f, "ns.a", "id BIGINT");
        for (int n = 0; n < 5; n++) {
            struct source source = {2000000, 0};
            char path[32];
            snprintf(path, sizeof path, "f%d", n);
            ok(lh_file_put(f.lakehouse, "ns.a", path, 0, give, &source));
        }
        ok(lh_table_drop(f.lakehouse, "ns.a", LH_DROP_PURGE));
        for (int c = 0; c < 3; c++)
            ok(vde_image_checkpoint(f.image));
        vde_image_info(f.image, i ? &after : &before);
    }
    cr_assert_leq(after.used_bytes, before.used_bytes + (1u << 20));
    teardown(&f);
}

Test(files, an_import_that_did_not_end_leaves_nothing)
{
    struct fixture f;
    struct lh_importer *importer = NULL;
    struct lh_importer_opts opts = {.table = "x.y.t", .format = LH_FORMAT_DELTA, .create_namespaces = true};
    struct lh_commit_result *result = NULL;
    const char *first = "{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":2}}\n"
                        "{\"metaData\":{\"id\":\"1\",\"format\":{\"provider\":\"parquet\",\"options\":{}},\"schemaString\":"
                        "\"{\\\"type\\\":\\\"struct\\\",\\\"fields\\\":[]}\",\"partitionColumns\":[],\"configuration\":{}}}\n";
    const char *next = "{\"commitInfo\":{\"operation\":\"WRITE\",\"n\":1.50}}\r\n{\"add\":{\"path\":\"p\",\"partitionValues\":{},"
                       "\"size\":1,\"modificationTime\":1,\"dataChange\":true}}";
    bool exists;
    setup(&f, 64u << 20);
    for (int round = 0; round < 2; round++) {
        ok(lh_importer_open(f.lakehouse, &opts, &importer));
        ok(lh_importer_version(importer, (struct lh_slice){first, strlen(first)}, 1000000, 1000000123));
        for (int i = 0; i < 20; i++) {
            struct source source = {300000, 0};
            char path[32];
            snprintf(path, sizeof path, "_delta_log/%d.crc", i);
            ok(lh_importer_file(importer, path, 5, give, &source));
            /* Equal times are made to increase. */
            ok(lh_importer_version(importer, (struct lh_slice){next, strlen(next)}, 1000000, 1));
        }
        if (round == 0) {
            lh_importer_abort(importer);
            ok(lh_table_exists(f.lakehouse, "x.y.t", &exists));
            cr_assert(!exists);
        }
    }
    ok(lh_importer_commit(importer, &result));
    cr_assert_eq(result->tables[0].version, 20);
    lh_free(result);
    fails(lh_importer_open(f.lakehouse, &opts, &importer), LH_TABLE_EXISTS);
    open_again(&f);
    char files[64], *text = NULL;
    size_t size;
    list_files(&f, "x.y.t", files, sizeof files);
    cr_assert_str_eq(files, "p");
    ok(lh_commit_text(f.lakehouse, "x.y.t", 3, false, &text, &size));
    cr_assert_eq(size, strlen(next));
    cr_assert_str_eq(text, next);
    lh_free(text);
    ok(lh_commit_text(f.lakehouse, "x.y.t", 3, true, &text, &size));
    cr_assert(strstr(text, "1.50"));
    lh_free(text);
    struct lh_table_info *info = NULL;
    ok(lh_table_describe(f.lakehouse, "x.y.t@v3", &info));
    cr_assert_eq(info->time_us, 1000003);
    cr_assert(info->imported);
    lh_free(info);
    ok(commit_json(&f, "{\"tables\":[{\"table\":\"x.y.t\",\"actions\":[{\"remove\":{\"path\":\"p\",\"dataChange\":true}}]}]}",
                   NULL));
    list_files(&f, "x.y.t", files, sizeof files);
    cr_assert_str_eq(files, "");
    teardown(&f);
}
