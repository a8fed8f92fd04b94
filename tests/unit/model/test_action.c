/* SPDX-License-Identifier: Apache-2.0 */
/* Actions: JSON to struct to bytes to struct to JSON loses nothing; hostile bytes are safe. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "model/action.h"

static struct lh_decoder decoder = LH_DECODER_INIT;

static void release(void) { lh_decoder_done(&decoder); }

TestSuite(action, .fini = release);

static struct lh_action decode(const char *line)
{
    struct lh_action action;
    cr_assert_eq(lh_action_from_json(&decoder, lh_slice_of(line), &action), VDE_OK, "%s: %s", line, vde_last_error()->text);
    return action;
}

/* Through all three forms and back; `expected` as JSON values. */
static void expect_printed(const char *line, const char *expected)
{
    struct lh_action action = decode(line), again;
    struct lh_buffer bytes = LH_BUFFER_INIT, text = LH_BUFFER_INIT;
    lh_action_to_bytes(&action, &bytes);
    struct lh_reader reader = {(const uint8_t *)bytes.data, bytes.size, 0, false};
    cr_assert_eq(lh_action_from_bytes(&decoder, &reader, &again), VDE_OK);
    cr_assert_eq(reader.offset, bytes.size);
    lh_action_to_json(&again, &text);
    struct lh_json x = LH_JSON_INIT, y = LH_JSON_INIT;
    cr_assert_eq(lh_json_parse(&x, expected, strlen(expected)), VDE_OK);
    cr_assert_eq(lh_json_parse(&y, text.data, text.size), VDE_OK, "%.*s", (int)text.size, text.data);
    cr_expect(lh_json_equal(&x, 0, &y, 0), "%s became %.*s", line, (int)text.size, text.data);
    lh_json_done(&x);
    lh_json_done(&y);
    lh_buffer_done(&bytes);
    lh_buffer_done(&text);
}

static const char *const lines[] = {
    "{\"add\":{\"path\":\"a%20b.parquet\",\"partitionValues\":{\"d\":\"2020-01-01\",\"n\":null,\"e\":\"\"},\"size\":12,"
    "\"modificationTime\":-1,\"dataChange\":true,\"stats\":\"{\\\"numRecords\\\":3}\",\"tags\":{\"k\":\"v\"},"
    "\"deletionVector\":{\"storageType\":\"u\",\"pathOrInlineDv\":\"ab^-aqEH.-t@S}K{vb[*k^\",\"offset\":4,\"sizeInBytes\":40,"
    "\"cardinality\":6},\"baseRowId\":0,\"defaultRowCommitVersion\":9223372036854775807,\"clusteringProvider\":\"liquid\"}}",
    "{\"remove\":{\"path\":\"p\",\"deletionTimestamp\":5,\"dataChange\":false,\"extendedFileMetadata\":true,\"size\":0}}",
    "{\"cdc\":{\"path\":\"_change_data/x\",\"partitionValues\":{},\"size\":1,\"dataChange\":false,\"tags\":null}}",
    "{\"metaData\":{\"id\":\"i\",\"name\":null,\"format\":{\"provider\":\"parquet\",\"options\":{},\"x\":1},\"schemaString\":\"{}\","
    "\"partitionColumns\":[\"a\",\"\\u0000\"],\"createdTime\":1,\"configuration\":{\"delta.x\":\"y\"}}}",
    "{\"protocol\":{\"minReaderVersion\":3,\"minWriterVersion\":7,\"readerFeatures\":[],\"writerFeatures\":[\"x\",\"y\"]}}",
    "{\"txn\":{\"appId\":\"a\",\"version\":-3,\"lastUpdated\":null}}",
    "{\"domainMetadata\":{\"domain\":\"d\",\"configuration\":\"{}\",\"removed\":false}}",
    "{\"commitInfo\":{\"timestamp\":1,\"operation\":\"WRITE\",\"operationParameters\":{\"mode\":\"Append\",\"n\":1.50},"
    "\"operationMetrics\":{},\"isBlindAppend\":true,\"other\":[1,{\"x\":1e400}],\"more\":123456789012345678901234567890}}",
    "{\"somethingNew\":{\"a\":[1,2.0]}}",
    "{}",
    "{\"add\":null}",
    "{\"txn\":null,\"add\":{\"path\":\"x\"},\"new\":{\"a\":1},\"remove\":null}",
    "{\"add\":{}}",
    /* Values that the field can't hold or not spell. */
    "{\"add\":{\"path\":5,\"size\":\"12\",\"modificationTime\":1e3,\"dataChange\":1,\"stats\":{\"a\":1},\"tags\":[]}}",
    "{\"add\":{\"path\":\"p\",\"size\":1.5,\"baseRowId\":18446744073709551616,\"modificationTime\":-0,\"deletionVector\":\"x\"}}",
    "{\"add\":{\"path\":\"p\",\"partitionValues\":{\"a\":1,\"b\":true},\"tags\":{\"x\":{\"y\":1}}}}",
    "{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":2,\"readerFeatures\":[1],\"writerFeatures\":null}}",
    "{\"add\":{\"path\":\"\\ud800\\u0000\\\"\",\"zz\":1,\"size\":2,\"yy\":{\"q\":[]},  \"xx\" : 3}}",
};

Test(action, printed_it_equals_the_original)
{
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        expect_printed(lines[i], lines[i]);
}

Test(action, last_of_duplicate_members_wins)
{
    expect_printed("{\"add\":{\"path\":\"a\",\"path\":\"b\"}}", "{\"add\":{\"path\":\"b\"}}");
    expect_printed("{\"add\":{\"size\":1e3,\"size\":5}}", "{\"add\":{\"size\":5}}");
    expect_printed("{\"add\":{\"size\":5,\"size\":\"x\"}}", "{\"add\":{\"size\":\"x\"}}");
    expect_printed("{\"add\":{\"size\":\"x\",\"size\":null}}", "{\"add\":{\"size\":null}}");
    expect_printed("{\"add\":{\"q\":1,\"size\":2,\"q\":3}}", "{\"add\":{\"q\":3,\"size\":2}}");
    expect_printed("{\"add\":{\"path\":\"a\"},\"add\":null}", "{\"add\":null}");
    expect_printed("{\"add\":null,\"add\":{\"path\":\"a\"}}", "{\"add\":{\"path\":\"a\"}}");
    expect_printed("{\"add\":{\"tags\":{\"k\":\"1\",\"k\":\"2\"}}}", "{\"add\":{\"tags\":{\"k\":\"2\"}}}");
    struct lh_action action = decode("{\"add\":{\"tags\":{\"k\":\"1\",\"k\":\"2\"}}}");
    cr_assert(lh_slice_is(lh_map_find(&action.file.tags, LH_SLICE("k"))->value, "2"));
}

Test(action, fields_are_decoded)
{
    struct lh_action action = decode(lines[0]);
    const struct lh_file_action *add = &action.file;
    cr_assert_eq(action.kind, LH_ACTION_ADD);
    cr_assert(lh_slice_is(add->path, "a%20b.parquet"));
    cr_assert_eq(add->partition_values.count, 3);
    cr_assert(lh_map_find(&add->partition_values, LH_SLICE("n"))->null);
    cr_assert(!lh_map_find(&add->partition_values, LH_SLICE("e"))->null);
    cr_assert_null(lh_map_find(&add->partition_values, LH_SLICE("x")));
    cr_assert_eq(add->size_bytes, 12);
    cr_assert_eq(add->modification_time_ms, -1);
    cr_assert(add->data_change);
    cr_assert(lh_has(&add->part, LH_FILE_DV) && lh_has(&add->part, LH_FILE_BASE_ROW_ID));
    cr_assert(!lh_has(&add->part, LH_FILE_DELETION_TIMESTAMP));
    cr_assert_eq(add->dv.cardinality, 6);
    int64_t rows;
    cr_assert(lh_file_num_records(&decoder, add, &rows) && rows == 3);
}

Test(action, odd_spellings_still_give_values)
{
    struct lh_action action = decode("{\"add\":{\"path\":\"p\",\"size\":1e3,\"partitionValues\":{\"a\":1}}}");
    cr_assert(lh_has(&action.part, LH_FILE_SIZE) && action.file.size_bytes == 1000);
    cr_assert(lh_slice_is(lh_map_find(&action.file.partition_values, LH_SLICE("a"))->value, "1"));
    action = decode("{\"add\":{\"path\":7}}");
    cr_assert(!lh_has(&action.part, LH_FILE_PATH));
}

Test(action, row_counts_that_are_none_are_unknown)
{
    static const char *const none[] = {
        "{\"add\":{\"path\":\"p\"}}", "{\"add\":{\"stats\":null}}", "{\"add\":{\"stats\":\"\"}}", "{\"add\":{\"stats\":\"{\"}}",
        "{\"add\":{\"stats\":\"{}\"}}", "{\"add\":{\"stats\":\"{\\\"numRecords\\\":-1}\"}}",
        "{\"add\":{\"stats\":\"{\\\"numRecords\\\":\\\"3\\\"}\"}}", "{\"add\":{\"stats\":\"[3]\"}}",
        "{\"add\":{\"stats\":\"{\\\"stats_json\\\":\\\"{}\\\"}\"}}",
    };
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        struct lh_action action = decode(none[i]);
        int64_t rows;
        cr_expect(!lh_file_num_records(&decoder, &action.file, &rows), "%s", none[i]);
    }
}

Test(action, lines_that_are_no_action_are_refused)
{
    static const char *const bad[] = {
        "", "5", "[]", "\"add\"", "{\"add\":", "{\"add\":5}", "{\"add\":[]}", "{\"add\":{},\"remove\":{}}", "{\"add\":{}}x",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct lh_action action;
        cr_expect_eq(lh_action_from_json(&decoder, lh_slice_of(bad[i]), &action), VDE_INVAL, "%s", bad[i]);
    }
}

Test(action, file_keys_tell_deletion_vectors_apart)
{
    static const char *const keys[] = {
        "{\"add\":{\"path\":\"p\"}}",
        "{\"add\":{\"path\":\"p\",\"deletionVector\":{\"storageType\":\"u\",\"pathOrInlineDv\":\"x\",\"offset\":1}}}",
        "{\"add\":{\"path\":\"p\",\"deletionVector\":{\"storageType\":\"u\",\"pathOrInlineDv\":\"x\",\"offset\":2}}}",
        "{\"add\":{\"path\":\"p\",\"deletionVector\":{\"storageType\":\"u\",\"pathOrInlineDv\":\"x\"}}}",
    };
    static const char *const expected[] = {"p", "p\xffux@1", "p\xffux@2", "p\xffux"};
    for (size_t i = 0; i < 4; i++) {
        struct lh_action action = decode(keys[i]);
        struct lh_buffer key = LH_BUFFER_INIT;
        lh_file_key(&action.file, &key);
        cr_expect(lh_slice_is((struct lh_slice){key.data, key.size}, expected[i]));
        lh_buffer_done(&key);
    }
}

Test(action, native_kinds_print_nothing_and_keep_icebergs_facts)
{
    struct lh_action action = {.kind = LH_ACTION_ADD_PARTITION}, again;
    struct lh_pair pair = {LH_SLICE("day"), LH_SLICE("1"), false};
    action.file.part.set = LH_FILE_PARTITION_VALUES;
    action.file.partition_values = (struct lh_map){&pair, 1};
    action.iceberg.part.set = LH_ICE_SNAPSHOT_ID | LH_ICE_FILE_FORMAT | LH_ICE_SUMMARY;
    action.iceberg.snapshot_id = INT64_MIN;
    action.iceberg.file_format = LH_SLICE("PARQUET");
    action.iceberg.summary = (struct lh_map){&pair, 1};
    struct lh_buffer bytes = LH_BUFFER_INIT, text = LH_BUFFER_INIT;
    lh_action_to_json(&action, &text);
    cr_assert_eq(text.size, 0);
    lh_action_to_bytes(&action, &bytes);
    struct lh_reader reader = {(const uint8_t *)bytes.data, bytes.size, 0, false};
    cr_assert_eq(lh_action_from_bytes(&decoder, &reader, &again), VDE_OK);
    cr_assert_eq(again.iceberg.snapshot_id, INT64_MIN);
    cr_assert(lh_slice_is(again.iceberg.file_format, "PARQUET"));
    cr_assert(lh_map_equal(&again.iceberg.summary, &action.iceberg.summary));
    /* A foreign log's "addPartition" is unknown to Delta and stays so; our own documents may say it. */
    struct lh_action foreign = decode("{\"addPartition\":{\"partitionValues\":{\"day\":\"1\"}}}");
    cr_assert_eq(foreign.kind, LH_ACTION_UNKNOWN);
    cr_assert_eq(lh_action_from_tokens(&decoder, &decoder.json, 0, &foreign), VDE_OK);
    cr_assert_eq(foreign.kind, LH_ACTION_ADD_PARTITION);
    lh_buffer_done(&bytes);
    lh_buffer_done(&text);
}

Test(action, many_stand_in_a_row)
{
    struct lh_buffer bytes = LH_BUFFER_INIT;
    size_t count = sizeof lines / sizeof lines[0];
    for (size_t i = 0; i < count; i++) {
        struct lh_action action = decode(lines[i]);
        lh_action_to_bytes(&action, &bytes);
    }
    struct lh_reader reader = {(const uint8_t *)bytes.data, bytes.size, 0, false};
    for (size_t i = 0; i < count; i++) {
        struct lh_action action;
        cr_assert_eq(lh_action_from_bytes(&decoder, &reader, &action), VDE_OK);
    }
    cr_assert_eq(reader.offset, bytes.size);
    lh_buffer_done(&bytes);
}

Test(action, hostile_bytes_are_refused_or_harmless)
{
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct lh_action action = decode(lines[i]);
        struct lh_buffer bytes = LH_BUFFER_INIT, out = LH_BUFFER_INIT;
        lh_action_to_bytes(&action, &bytes);
        for (size_t at = 0; at < bytes.size; at++) {
            for (unsigned flip = 1; flip < 256; flip = flip * 2 + 1) {
                /* On the heap and of exact size, so that a read beyond the end is found. */
                uint8_t *copy = malloc(bytes.size);
                memcpy(copy, bytes.data, bytes.size);
                copy[at] ^= (uint8_t)flip;
                struct lh_reader reader = {copy, bytes.size, 0, false};
                struct lh_action got;
                vde_status status = lh_action_from_bytes(&decoder, &reader, &got);
                cr_assert(status == VDE_OK || status == VDE_CORRUPT);
                if (status == VDE_OK)
                    lh_action_to_json(&got, &out);
                lh_buffer_clear(&out);
                free(copy);
                lh_decoder_reset(&decoder);
            }
        }
        for (size_t size = 0; size < bytes.size; size++) {
            uint8_t *copy = malloc(size + 1);
            memcpy(copy, bytes.data, size);
            struct lh_reader reader = {copy, size, 0, false};
            struct lh_action got;
            cr_assert_eq(lh_action_from_bytes(&decoder, &reader, &got), VDE_CORRUPT);
            free(copy);
        }
        lh_buffer_done(&bytes);
        lh_buffer_done(&out);
    }
}
