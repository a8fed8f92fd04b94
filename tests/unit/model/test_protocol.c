/* SPDX-License-Identifier: Apache-2.0 */
/* Which tables are native and which opaque, and by what name. */
#include <criterion/criterion.h>

#include "model/protocol.h"

static struct lh_decoder decoder = LH_DECODER_INIT;
static void release(void) { lh_decoder_done(&decoder); }
TestSuite(protocol, .fini = release);

static struct lh_protocol protocol(const char *body)
{
    struct lh_buffer line = LH_BUFFER_INIT;
    struct lh_slice kept;
    struct lh_action action;
    lh_buffer_text(&line, "{\"protocol\":");
    lh_buffer_text(&line, body);
    lh_buffer_byte(&line, '}');
    cr_assert_eq(lh_arena_copy(&decoder.arena, (struct lh_slice){line.data, line.size}, &kept), VDE_OK);
    lh_buffer_done(&line);
    cr_assert_eq(lh_action_from_json(&decoder, kept, &action), VDE_OK);
    return action.protocol;
}

Test(protocol, verdicts)
{
    static const char *const cases[][2] = {
        {"{\"minReaderVersion\":1,\"minWriterVersion\":2}", NULL},
        {"{\"minReaderVersion\":2,\"minWriterVersion\":6}", NULL},
        {"{\"minReaderVersion\":3,\"minWriterVersion\":7,\"readerFeatures\":[\"deletionVectors\"],"
         "\"writerFeatures\":[\"deletionVectors\",\"appendOnly\"]}", NULL},
        {"{\"minReaderVersion\":3,\"minWriterVersion\":7,\"readerFeatures\":[\"blahabl\"],\"writerFeatures\":[\"blahabl\"]}",
         "reader feature blahabl"},
        {"{\"minReaderVersion\":3,\"minWriterVersion\":7,\"readerFeatures\":[\"variantType\"],\"writerFeatures\":[\"variantType\"]}",
         "reader feature variantType"},
        {"{\"minReaderVersion\":99,\"minWriterVersion\":2}", "reader version 99"},
        {"{\"minReaderVersion\":1,\"minWriterVersion\":0}", "writer version 0"},
        {"{\"minReaderVersion\":\"1\",\"minWriterVersion\":8}", "protocol without versions"},
        {"{}", "protocol without versions"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lh_protocol p = protocol(cases[i][0]);
        struct lh_verdict verdict;
        lh_protocol_judge(&p, NULL, &verdict);
        cr_expect_eq(verdict.native, cases[i][1] == NULL, "%s", cases[i][0]);
        cr_expect_eq(verdict.writable, cases[i][1] == NULL, "%s", cases[i][0]);
        cr_expect_str_eq(verdict.what, cases[i][1] ? cases[i][1] : "");
    }
}

Test(protocol, what_binds_writers_keeps_no_reader_out)
{
    static const char *const cases[][2] = {
        {"{\"minReaderVersion\":1,\"minWriterVersion\":7,\"writerFeatures\":[\"newThing\"]}", "writer feature newThing"},
        {"{\"minReaderVersion\":1,\"minWriterVersion\":7,\"writerFeatures\":[\"icebergCompatV3\"]}", "writer feature icebergCompatV3"},
        {"{\"minReaderVersion\":1,\"minWriterVersion\":8}", "writer version 8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lh_protocol p = protocol(cases[i][0]);
        struct lh_verdict verdict;
        lh_protocol_judge(&p, NULL, &verdict);
        cr_expect(verdict.native && !verdict.writable, "%s", cases[i][0]);
        cr_expect_str_eq(verdict.what, cases[i][1]);
    }
}

Test(protocol, types_make_tables_opaque)
{
    struct lh_protocol p = protocol("{\"minReaderVersion\":1,\"minWriterVersion\":2}");
    struct lh_metadata metadata = {.schema_string = LH_SLICE("{\"type\":\"struct\",\"fields\":[{\"name\":\"v\",\"type\":\"void\"}]}")};
    struct lh_verdict verdict;
    cr_assert_eq(lh_protocol_judge_actions(&p, &metadata, &verdict), VDE_OK);
    cr_assert(!verdict.native);
    cr_assert_str_eq(verdict.what, "type of column v: void");
    metadata.schema_string = LH_SLICE("");
    cr_assert_eq(lh_protocol_judge_actions(&p, &metadata, &verdict), VDE_OK);
    cr_assert(verdict.native);
    metadata.schema_string = LH_SLICE("{\"type\":");
    cr_assert_eq(lh_protocol_judge_actions(&p, &metadata, &verdict), VDE_OK);
    cr_assert(!verdict.native);
}

Test(protocol, features_by_list_and_by_version)
{
    struct lh_protocol legacy = protocol("{\"minReaderVersion\":1,\"minWriterVersion\":4}");
    struct lh_protocol listed = protocol("{\"minReaderVersion\":1,\"minWriterVersion\":7,\"writerFeatures\":[\"rowTracking\"]}");
    cr_assert(lh_protocol_has(&legacy, "appendOnly") && lh_protocol_has(&legacy, "changeDataFeed"));
    cr_assert(!lh_protocol_has(&legacy, "columnMapping") && !lh_protocol_has(&legacy, "rowTracking"));
    cr_assert(lh_protocol_has(&listed, "rowTracking") && !lh_protocol_has(&listed, "appendOnly"));
    cr_assert_not_null(lh_feature_find(LH_SLICE("checkConstraints"))->guaranteed);
    cr_assert_null(lh_feature_find(LH_SLICE("nothing")));
}

Test(protocol, illegal_ones)
{
    static const struct { const char *body; bool legal; } cases[] = {
        {"{\"minReaderVersion\":1,\"minWriterVersion\":2}", true},
        {"{\"minReaderVersion\":1,\"minWriterVersion\":7,\"writerFeatures\":[]}", true},
        {"{\"minReaderVersion\":3,\"minWriterVersion\":7,\"readerFeatures\":[\"v2Checkpoint\"],\"writerFeatures\":[\"v2Checkpoint\"]}", true},
        {"{\"minReaderVersion\":2,\"minWriterVersion\":7,\"writerFeatures\":[\"columnMapping\"]}", true},
        {"{\"minReaderVersion\":1,\"minWriterVersion\":7}", false},
        {"{\"minReaderVersion\":3,\"minWriterVersion\":7,\"writerFeatures\":[]}", false},
        {"{\"minReaderVersion\":1,\"minWriterVersion\":2,\"writerFeatures\":[]}", false},
        {"{\"minReaderVersion\":3,\"minWriterVersion\":7,\"readerFeatures\":[\"deletionVectors\"],\"writerFeatures\":[]}", false},
        {"{\"minReaderVersion\":3,\"minWriterVersion\":7,\"readerFeatures\":[],\"writerFeatures\":[\"deletionVectors\"]}", false},
        {"{}", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lh_protocol p = protocol(cases[i].body);
        cr_expect_eq(lh_protocol_check(&p), cases[i].legal ? VDE_OK : VDE_INVAL, "%s", cases[i].body);
    }
}
