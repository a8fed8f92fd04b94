/* SPDX-License-Identifier: Apache-2.0 */
/* scenario_commit.c -- durable commits: C1 one writer, C2 many writers, C4 many tables at once; C1e and C2e the engine alone. */
#include "bench.h"

static void finish(const struct bench_config *config, struct field *field, struct subject *subject)
{
    field_verify(field, subject, config);
    field_close(field);
    subject_close(subject, config->keep);
}

static void run_interleaved(const struct bench_config *config, struct field *field, struct subject *subject, json_t *result)
{
    struct vde_image_counters before, after;
    field_prove(field);
    vde_image_counters(subject->image, &before);
    interleave(config, field, result);
    vde_image_counters(subject->image, &after);
    json_object_set_new(result, "image", subject_counters(&before, &after));
}

static void add_peers(const struct bench_config *config, struct field *field, unsigned tables)
{
    if (!config->peers)
        return;
    field_add(field, sqlite_open(config, "sqlite", tables, 1));
    field_add(field, lmdb_open(config, "lmdb", tables, 1));
    field_add(field, link_open(config, tables));
}

static void c1_targets(json_t *result, const char *subject)
{
    report_ratio(result, "p99.9 / floor p50", subject, "p999_us", "floor", "p50_us", false, 20);
    report_ratio(result, "sqlite / subject", "sqlite", "p50_us", subject, "p50_us", true, 1);
    report_ratio(result, "lmdb / subject", "lmdb", "p50_us", subject, "p50_us", true, 2);
    report_ratio(result, "create+link / subject", "create+link", "p50_us", subject, "p50_us", true, 3.5);
}

json_t *scenario_c1(const struct bench_config *config)
{
    json_t *result = report_begin(config, "C1");
    struct field field = {0};
    struct subject subject;
    subject_format(&subject, config, "c1.vde", true);
    field.floor = floor_open(config, 1);
    field_add(&field, table_open(config, &subject, "native", 1, 1, TABLE_NATIVE));
    field_add(&field, table_open(config, &subject, "json", 1, 1, TABLE_JSON));
    add_peers(config, &field, 1);
    run_interleaved(config, &field, &subject, result);
    report_ratio(result, "native / floor", "native", "p50_us", "floor", "p50_us", false, 1.15);
    report_ratio(result, "json / floor", "json", "p50_us", "floor", "p50_us", false, 1.25);
    c1_targets(result, "native");
    finish(config, &field, &subject);
    return result;
}

json_t *scenario_c1e(const struct bench_config *config)
{
    json_t *result = report_begin(config, "C1e");
    struct field field = {0};
    struct subject subject;
    subject_format(&subject, config, "c1e.vde", false);
    field.floor = floor_open(config, 1);
    field_add(&field, engine_open(config, &subject, "engine", 1, false));
    add_peers(config, &field, 1);
    run_interleaved(config, &field, &subject, result);
    report_ratio(result, "engine / floor", "engine", "p50_us", "floor", "p50_us", false, 1.15);
    c1_targets(result, "engine");
    finish(config, &field, &subject);
    return result;
}

static void c2_target(json_t *result, const char *name, double target)
{
    const json_t *row = report_find(result, name);
    char label[64];
    *gen_text(gen_text(label, name), " / floor rate") = 0;
    report_target(result, label, json_number_value(json_object_get(row, "ratio")), true, target);
    *gen_text(gen_text(label, name), " fairness") = 0;
    report_target(result, label, json_number_value(json_object_get(row, "fairness")), true, 0.8);
}

json_t *scenario_c2(const struct bench_config *config)
{
    json_t *result = report_begin(config, "C2");
    struct field field = {0};
    struct subject subject;
    subject_format(&subject, config, "c2.vde", true);
    field.floor = floor_open(config, 1);
    field_add(&field, table_open(config, &subject, "native", config->writers, 1, TABLE_NATIVE));
    field_add(&field, table_open(config, &subject, "json", config->writers, 1, TABLE_JSON));
    field_add(&field, table_open(config, &subject, "async", config->writers, 1, TABLE_ASYNC));
    field_add(&field, table_open(config, &subject, "async-json", config->writers, 1, TABLE_ASYNC | TABLE_JSON));
    add_peers(config, &field, config->writers);
    field_prove(&field);
    turns(config, &field, &subject, result);
    c2_target(result, "native", 10);
    c2_target(result, "json", 4);
    c2_target(result, "async", 20);
    finish(config, &field, &subject);
    return result;
}

json_t *scenario_c2e(const struct bench_config *config)
{
    json_t *result = report_begin(config, "C2e");
    struct field field = {0};
    struct subject subject;
    subject_format(&subject, config, "c2e.vde", false);
    field.floor = floor_open(config, 1);
    field_add(&field, engine_open(config, &subject, "engine", config->writers, false));
    field_add(&field, engine_open(config, &subject, "engine-async", config->writers, true));
    add_peers(config, &field, config->writers);
    field_prove(&field);
    turns(config, &field, &subject, result);
    c2_target(result, "engine", 10);
    c2_target(result, "engine-async", 20);
    finish(config, &field, &subject);
    return result;
}

json_t *scenario_c4(const struct bench_config *config)
{
    json_t *result = report_begin(config, "C4");
    struct field field = {0};
    struct subject subject;
    subject_format(&subject, config, "c4.vde", true);
    field.floor = floor_open(config, 1);
    field_add(&field, table_open(config, &subject, "native-1", 1, 1, TABLE_NATIVE));
    field_add(&field, table_open(config, &subject, "native-2", 1, 2, TABLE_NATIVE));
    field_add(&field, table_open(config, &subject, "native-8", 1, 8, TABLE_NATIVE));
    field_add(&field, table_open(config, &subject, "native-64", 1, 64, TABLE_NATIVE));
    field_add(&field, table_open(config, &subject, "json-1", 1, 1, TABLE_JSON));
    field_add(&field, table_open(config, &subject, "json-2", 1, 2, TABLE_JSON));
    field_add(&field, table_open(config, &subject, "json-8", 1, 8, TABLE_JSON));
    field_add(&field, table_open(config, &subject, "json-64", 1, 64, TABLE_JSON));
    if (config->peers) {
        field_add(&field, sqlite_open(config, "sqlite-64", 64, 64));
        field_add(&field, lmdb_open(config, "lmdb-64", 64, 64));
    }
    run_interleaved(config, &field, &subject, result);
    report_ratio(result, "native-8 / native-1", "native-8", "p50_us", "native-1", "p50_us", false, 1.2);
    report_ratio(result, "native-64 / native-1", "native-64", "p50_us", "native-1", "p50_us", false, 2);
    report_ratio(result, "json-64 / json-1", "json-64", "p50_us", "json-1", "p50_us", false, 6);
    finish(config, &field, &subject);
    return result;
}
