/* SPDX-License-Identifier: Apache-2.0 */
/* Overwriting: what goes, what may come, what conflicts, what the log says. */
#include "support.h"

#define ADD(path, day)                                                                                                 \
    "{\"add\":{\"path\":\"" path "\",\"partitionValues\":{\"day\":" day "},\"size\":1,\"modificationTime\":1,"              \
    "\"dataChange\":true}}"
#define DOC(rest, actions) "{\"tables\":[{\"table\":\"ns.a\"" rest ",\"actions\":[" actions "]}]}"

static void start(struct fixture *f, const char *type)
{
    struct lh_create create = LH_CREATE_INIT;
    const char *columns[] = {"day"};
    char schema[80];
    setup(f, 64u << 20);
    ok(lh_namespace_create(f->lakehouse, "ns", NULL, 0));
    snprintf(schema, sizeof schema, "id BIGINT, day %s", type);
    create.schema = schema;
    create.partition_columns = columns;
    create.partition_count = 1;
    ok(lh_table_create(f->lakehouse, "ns.a", &create, NULL));
}

static void three_days(struct fixture *f)
{
    start(f, "STRING");
    ok(commit_json(f, DOC("", ADD("a", "\"1\"") "," ADD("b", "\"2\"") "," ADD("c", "null")), NULL));
}

static void has(struct fixture *f, const char *expected)
{
    char files[256];
    list_files(f, "ns.a", files, sizeof files);
    cr_assert_str_eq(files, expected);
}

/* The commit's line of information. */
static void says(struct fixture *f, uint64_t version, const char *part)
{
    char *text = NULL;
    size_t size;
    ok(lh_commit_text(f->lakehouse, "ns.a", version, false, &text, &size));
    cr_expect(strstr(text, part), "%s\nlacks %s", text, part);
    cr_expect(strncmp(text, "{\"commitInfo\":", 14) == 0 && strstr(text, "\"txnId\":"), "%s", text);
    lh_free(text);
}

Test(overwrite, everything)
{
    struct fixture f;
    three_days(&f);
    ok(commit_json(&f, DOC(",\"overwrite\":true", ADD("n", "\"9\"")), NULL));
    has(&f, "n");
    says(&f, 2, "\"operation\":\"WRITE\",\"operationParameters\":{\"mode\":\"Overwrite\",\"partitionBy\":\"[\\\"day\\\"]\"}");
    ok(commit_json(&f, DOC(",\"overwrite\":true", ""), NULL));
    has(&f, "");
    ok(commit_json(&f, DOC(",\"overwrite\":false", ADD("m", "\"9\"")), NULL));
    has(&f, "m");
    open_again(&f);
    has(&f, "m");
    teardown(&f);
}

Test(overwrite, by_partition_values)
{
    struct fixture f;
    three_days(&f);
    ok(commit_json(&f, DOC(",\"overwrite\":{\"day\":\"1\"}", ADD("n", "\"1\"")), NULL));
    has(&f, "b c n");
    says(&f, 2, "\"predicate\":\"day = '1'\"");
    ok(commit_json(&f, DOC(",\"overwrite\":{\"day\":[null,\"2\"]}", ADD("m", "\"\"")), NULL));
    has(&f, "m n");
    says(&f, 3, "\"predicate\":\"(day IS NULL OR day = '2')\"");
    ok(commit_json(&f, DOC(",\"overwrite\":{\"day\":[\"1\",\"it's\"]}", ""), NULL));
    has(&f, "m");
    says(&f, 4, "\"predicate\":\"day IN ('1', 'it\\\\'s')\"");
    teardown(&f);
}

Test(overwrite, values_are_compared_as_values)
{
    struct fixture f;
    start(&f, "TIMESTAMP");
    ok(commit_json(&f, DOC("", ADD("a", "\"2026-11-20 10:00:00\"") "," ADD("b", "\"2026-11-20T10:00:00.000Z\"") ","
                           ADD("c", "\"2026-11-20 10:00:00.5\"")), NULL));
    ok(commit_json(&f, DOC(",\"overwrite\":{\"day\":\"2026-11-20T12:00:00+02:00\"}", ADD("n", "\"2026-11-20 10:00:00.0\"")), NULL));
    has(&f, "c n");
    teardown(&f);
}

Test(overwrite, refusals_change_nothing)
{
    static const char *const bad[] = {
        DOC(",\"overwrite\":{\"day\":\"1\"}", ADD("n", "\"2\"")),
        DOC(",\"overwrite\":{\"day\":\"1\"}", ADD("n", "null")),
        DOC(",\"overwrite\":{\"id\":\"1\"}", ""),
        DOC(",\"overwrite\":{\"day\":[]}", ""),
        DOC(",\"overwrite\":true", ADD("a", "\"1\"")),
        DOC(",\"replace\":[]", ADD("n", "\"1\"")),
    };
    struct fixture f;
    uint64_t latest;
    three_days(&f);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        fails(commit_json(&f, bad[i], NULL), LH_VALIDATION);
    fails(commit_json(&f, DOC(",\"overwrite\":{}", ""), NULL), LH_JSON);
    fails(commit_json(&f, DOC(",\"overwrite\":\"day\"", ""), NULL), LH_JSON);
    fails(commit_json(&f, DOC(",\"replace\":[\"z\"]", ADD("n", "\"1\"")), NULL), LH_FILE_NOT_FOUND);
    has(&f, "a b c");
    ok(lh_latest_version(f.lakehouse, "ns.a", &latest));
    cr_expect_eq(latest, 1);
    const struct lh_property only = {"delta.appendOnly", "true"};
    struct lh_evolve evolve = LH_EVOLVE_INIT;
    evolve.properties = &only;
    evolve.property_count = 1;
    ok(lh_table_evolve(f.lakehouse, "ns.a", &evolve, NULL));
    fails(commit_json(&f, DOC(",\"overwrite\":true", ""), NULL), LH_VALIDATION);
    teardown(&f);
}

Test(overwrite, replaced_files_were_read)
{
    struct fixture f;
    three_days(&f);
    ok(commit_json(&f, DOC(",\"readVersion\":1,\"replace\":[\"a\",\"b\"]", ADD("n", "\"1\"")), NULL));
    has(&f, "c n");
    fails(commit_json(&f, DOC(",\"readVersion\":1,\"replace\":[\"a\"]", ADD("m", "\"1\"")), NULL), LH_CONFLICT);
    cr_expect_eq(lh_last_conflict(), LH_CONFLICT_CONCURRENT_DELETE_READ);
    teardown(&f);
}

static void conflicts(struct fixture *f, const char *doc, enum lh_conflict want)
{
    fails(commit_json(f, doc, NULL), LH_CONFLICT);
    cr_expect_eq(lh_last_conflict(), want, "%s", vde_last_error()->text);
}

Test(overwrite, what_is_overwritten_was_read)
{
    struct fixture f;
    three_days(&f);
    ok(commit_json(&f, DOC("", ADD("d", "\"1\"")), NULL));
    conflicts(&f, DOC(",\"readVersion\":1,\"overwrite\":{\"day\":\"1\"}", ADD("n", "\"1\"")), LH_CONFLICT_CONCURRENT_APPEND);
    conflicts(&f, DOC(",\"readVersion\":1,\"overwrite\":true", ADD("n", "\"1\"")), LH_CONFLICT_CONCURRENT_APPEND);
    ok(commit_json(&f, DOC(",\"readVersion\":1,\"overwrite\":{\"day\":\"2\"}", ADD("n", "\"2\"")), NULL));
    has(&f, "a c d n");
    conflicts(&f, DOC(",\"readVersion\":2,\"overwrite\":{\"day\":\"2\"}", ADD("m", "\"2\"")), LH_CONFLICT_CONCURRENT_APPEND);
    /* Nothing was read before: what is there then goes. */
    ok(commit_json(&f, DOC(",\"overwrite\":{\"day\":\"1\"}", ADD("m", "\"1\"")), NULL));
    has(&f, "c m n");
    teardown(&f);
}

Test(overwrite, an_idempotency_key_knows_the_predicate)
{
    struct fixture f;
    struct lh_commit_result *result = NULL;
    three_days(&f);
    const char *one = "{\"idempotencyKey\":\"k\",\"tables\":[{\"table\":\"ns.a\",\"overwrite\":{\"day\":\"1\"},\"actions\":[]}]}";
    const char *other = "{\"idempotencyKey\":\"k\",\"tables\":[{\"table\":\"ns.a\",\"overwrite\":{\"day\":\"2\"},\"actions\":[]}]}";
    ok(commit_json(&f, one, NULL));
    ok(commit_json(&f, one, &result));
    cr_expect(result->already_applied);
    lh_free(result);
    fails(commit_json(&f, other, NULL), LH_VALIDATION);
    has(&f, "b c");
    teardown(&f);
}
