/* SPDX-License-Identifier: Apache-2.0 */
/* Paths of a log, names in its folder, and which files a log names. */
#include <criterion/criterion.h>

#include "delta/folder.h"
#include "model/path.h"
#include "delta/refs.h"

static void expect_text(struct lh_buffer *out, const char *expected)
{
    lh_buffer_byte(out, '\0');
    cr_expect_str_eq(out->data, expected);
    lh_buffer_done(out);
}

Test(path, log_names_are_sorted)
{
    static const struct { const char *name; enum log_name_kind kind; } cases[] = {
        {"00000000000000000000.json", LOG_COMMIT},
        {"00000000000000000012.json", LOG_COMMIT},
        {"09223372036854775807.json", LOG_COMMIT},
        {"09223372036854775808.json", LOG_KEPT},
        {"99999999999999999999.json", LOG_KEPT},
        {"0000000000000000000.json", LOG_KEPT},
        {"000000000000000000000.json", LOG_KEPT},
        {"0000000000000000000a.json", LOG_KEPT},
        {"sub/00000000000000000000.json", LOG_KEPT},
        {"00000000000000000000.crc", LOG_KEPT},
        {"00000000000000000010.checkpoint.parquet", LOG_KEPT},
        {"00000000000000000003.00000000000000000008.compacted.json", LOG_KEPT},
        {"_last_checkpoint", LOG_KEPT},
        {"_sidecars/x.parquet", LOG_KEPT},
        {".s3-optimization-0", LOG_KEPT},
        {".00000000000000000000.json.crc", LOG_DROPPED},
        {"._last_checkpoint.crc", LOG_DROPPED},
        {"_sidecars/.x.parquet.crc", LOG_DROPPED},
        {".00000000000000000001.json.0a1b.tmp", LOG_DROPPED},
        {"..00000000000000000001.json.0a1b.tmp.crc", LOG_DROPPED},
        {"00000000000000000001.json#1", LOG_DROPPED},
        {"_commit_0a1b.json.tmp", LOG_DROPPED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t version = 0;
        cr_expect_eq(log_name_sort(cases[i].name, &version), cases[i].kind, "%s", cases[i].name);
    }
    uint64_t version;
    log_name_sort("00000000000000000012.json", &version);
    cr_assert_eq(version, 12);
}

Test(path, external_ones)
{
    static const char *const outside[] = {"/x", "file:///x", "file:/x", "s3://b/k", "abfss://c@a/x", "hdfs+x.y-1://h/x"};
    static const char *const inside[] = {"x", "a/b", "a:b", "part:1/x", "x=1/y", "1a:/x", ":/x", "%2Fx", "a b:/c", ""};
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++)
        cr_expect(delta_path_is_external(lh_slice_of(outside[i])), "%s", outside[i]);
    for (size_t i = 0; i < sizeof inside / sizeof inside[0]; i++)
        cr_expect(!delta_path_is_external(lh_slice_of(inside[i])), "%s", inside[i]);
}

Test(path, escapes_are_decoded_once)
{
    static const char *const cases[][2] = {
        {"a%20b", "a b"}, {"a%2520b", "a%20b"}, {"%c3%A9", "\xc3\xa9"}, {"100%", "100%"}, {"%zz%4", "%zz%4"}, {"x+y", "x+y"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lh_buffer out = LH_BUFFER_INIT;
        delta_path_decode(lh_slice_of(cases[i][0]), &out);
        expect_text(&out, cases[i][1]);
    }
    struct lh_buffer out = LH_BUFFER_INIT;
    delta_path_encode(LH_SLICE("d=a b/x%\xc3\xa9.parquet"), &out);
    expect_text(&out, "d=a%20b/x%25%C3%A9.parquet");
}

Test(path, names_that_leave_the_folder_are_not_stored)
{
    static const char *const good[] = {"x", "a/b.parquet", "..x", "_delta_logs/x", ".hidden", "a b/\xc3\xa9"};
    static const char *const bad[] = {"", "/", "/x", "..", "../x", "a/../b", "a/..", ".", "a/./b", "a//b", "a/", "_delta_log/0.json",
                                      "a\nb", "\x7f", "\xff"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        cr_expect(delta_path_is_storable(lh_slice_of(good[i])), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect(!delta_path_is_storable(lh_slice_of(bad[i])), "%s", bad[i]);
    cr_expect(!delta_path_is_storable((struct lh_slice){"a\0b", 3}));
}

static struct lh_dv dv(const char *type, const char *text)
{
    return (struct lh_dv){.part = {.set = LH_DV_STORAGE_TYPE | LH_DV_PATH},
                          .storage_type = lh_slice_of(type),
                          .path_or_inline = lh_slice_of(text)};
}

Test(path, deletion_vectors_name_their_files)
{
    struct lh_buffer out = LH_BUFFER_INIT;
    struct lh_dv plain = dv("u", "vBn[lx{q8@P<9BNH/isA"), prefixed = dv("u", "ab^-aqEH.-t@S}K{vb[*k^"), absolute = dv("p", "s3://x");
    cr_assert(delta_dv_path(&plain, &out));
    expect_text(&out, "deletion_vector_61d16c75-6994-46b7-a15b-8b538852e50e.bin");
    cr_assert(delta_dv_path(&prefixed, &out));
    expect_text(&out, "ab/deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61.bin");
    cr_assert(delta_dv_path(&absolute, &out));
    expect_text(&out, "s3://x");
    struct lh_dv none[] = {dv("i", "abcde"), dv("u", "short"), dv("u", "\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\""), dv("", ""),
                           dv("u", "####################")};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        cr_expect(!delta_dv_path(&none[i], &out));
    lh_buffer_done(&out);
}

static void note(struct delta_refs *refs, uint64_t version, const char *line)
{
    struct lh_decoder decoder = LH_DECODER_INIT;
    struct lh_action action;
    cr_assert_eq(lh_action_from_json(&decoder, lh_slice_of(line), &action), VDE_OK);
    cr_assert_eq(delta_refs_note(refs, &action, version), VDE_OK);
    lh_decoder_done(&decoder);
}

Test(refs, files_of_all_versions_are_noted_once)
{
    struct delta_refs refs = DELTA_REFS_INIT;
    note(&refs, 0, "{\"add\":{\"path\":\"a%20b\"}}");
    note(&refs, 0, "{\"add\":{\"path\":\"c\"}}");
    note(&refs, 0, "{\"add\":{\"path\":\"s3://b/x\"}}");
    note(&refs, 1, "{\"remove\":{\"path\":\"c\"}}");
    /* The file stays, with a deletion vector; the order of the two actions is the writer's. */
    note(&refs, 2, "{\"add\":{\"path\":\"a%20b\",\"deletionVector\":{\"storageType\":\"u\",\"pathOrInlineDv\":\"vBn[lx{q8@P<9BNH/isA\"}}}");
    note(&refs, 2, "{\"remove\":{\"path\":\"a%20b\"}}");
    note(&refs, 2, "{\"cdc\":{\"path\":\"_change_data/x\"}}");
    note(&refs, 2, "{\"add\":{\"path\":\"../up\"}}");
    cr_assert_eq(delta_refs_count(&refs), 6);
    struct delta_ref file = delta_refs_at(&refs, 0);
    cr_expect(lh_slice_is(file.name, "a b") && lh_slice_is(file.raw, "a%20b") && file.active && !file.external);
    file = delta_refs_at(&refs, 1);
    cr_expect(lh_slice_is(file.name, "c") && !file.active);
    cr_expect(delta_refs_at(&refs, 2).external);
    cr_expect(lh_slice_is(delta_refs_at(&refs, 3).name, "deletion_vector_61d16c75-6994-46b7-a15b-8b538852e50e.bin"));
    cr_expect(!delta_refs_at(&refs, 4).active);
    cr_expect(delta_refs_at(&refs, 5).external);
    delta_refs_done(&refs);
}
