/* SPDX-License-Identifier: Apache-2.0 */
/* A description that is given a second time says what the first said, and what was committed since. */
#include "support.h"

static void same(const char *a, const char *b) { cr_assert((a == b) || (a && b && strcmp(a, b) == 0), "%s, not %s", a, b); }

static void same_info(const struct lh_table_info *a, const struct lh_table_info *b)
{
    cr_assert_eq(a->id, b->id);
    cr_assert_eq(a->format, b->format);
    cr_assert_eq(a->version, b->version);
    cr_assert_eq(a->time_us, b->time_us);
    cr_assert_eq(a->first_version, b->first_version);
    cr_assert_eq(a->latest_version, b->latest_version);
    cr_assert_eq(a->created_us, b->created_us);
    cr_assert_eq(a->files, b->files);
    cr_assert_eq(a->bytes, b->bytes);
    cr_assert_eq(a->records, b->records);
    const char *texts[][2] = {{a->name, b->name}, {a->uri, b->uri}, {a->opaque, b->opaque}, {a->origin, b->origin},
                              {a->note, b->note}, {a->table_uuid, b->table_uuid}, {a->description, b->description},
                              {a->ddl, b->ddl}, {a->schema_json, b->schema_json}, {a->protocol_json, b->protocol_json}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        same(texts[i][0], texts[i][1]);
    cr_assert_eq(a->column_count, b->column_count);
    for (size_t i = 0; i < a->column_count; i++) {
        const struct lh_column *x = &a->columns[i], *y = &b->columns[i];
        same(x->name, y->name);
        same(x->type, y->type);
        same(x->comment, y->comment);
        cr_assert(x->nullable == y->nullable && x->field_id == y->field_id && x->partition == y->partition);
    }
    cr_assert_eq(a->partition_count, b->partition_count);
    for (size_t i = 0; i < a->partition_count; i++)
        same(a->partition_columns[i], b->partition_columns[i]);
    cr_assert_eq(a->property_count, b->property_count);
    for (size_t i = 0; i < a->property_count; i++) {
        same(a->properties[i].key, b->properties[i].key);
        same(a->properties[i].value, b->properties[i].value);
    }
}

/* The description when nobody described the table before, and when somebody did. */
static void check(struct fixture *f, const char *table, uint64_t version, uint64_t files)
{
    struct lh_table_info *first, *second, *third, *fresh;
    ok(lh_table_describe(f->lakehouse, table, &first));
    ok(lh_table_describe(f->lakehouse, table, &second));
    cr_assert_eq(first->version, version);
    cr_assert_eq(first->files, files);
    same_info(first, second);
    lh_free(first); /* copies stand alone */
    ok(lh_table_describe(f->lakehouse, table, &third));
    cr_assert(third->version < third->latest_version || third->replayed_entries == 0);
    same_info(second, third);
    lh_free(second);
    open_again(f);
    ok(lh_table_describe(f->lakehouse, table, &fresh));
    same_info(fresh, third);
    lh_free(third);
    lh_free(fresh);
}

static void add(struct fixture *f, const char *table, const char *path, const char *day)
{
    lh_txn *txn;
    size_t member;
    const struct lh_property values[] = {{"day", day}};
    struct lh_add file = LH_ADD_INIT;
    file.path = path;
    file.size_bytes = 7;
    file.records = 3;
    file.partition_values = values;
    file.partition_count = day ? 1 : 0;
    ok(lh_txn_create(f->lakehouse, &txn));
    ok(lh_txn_table(txn, table, NULL, &member));
    ok(lh_txn_add_file(txn, member, &file));
    ok(lh_commit(txn, NULL));
    lh_txn_destroy(txn);
}

Test(described, again_is_the_same_and_nothing_new_is_missed)
{
    struct fixture f;
    struct lh_create create = LH_CREATE_INIT;
    const char *const partitions[] = {"day"};
    const struct lh_property properties[] = {{"a", "b"}, {"owner", "x"}};
    setup(&f, 64u << 20);
    create.schema = "id BIGINT NOT NULL COMMENT 'the key', day STRING, s STRUCT<x: INT>";
    create.partition_columns = partitions;
    create.partition_count = 1;
    create.properties = properties;
    create.property_count = 2;
    create.description = "words";
    ok(lh_table_create(f.lakehouse, "t", &create, NULL));
    make_table(&f, "u", "id BIGINT");
    check(&f, "t", 0, 0);
    check(&f, "u", 0, 0);
    add(&f, "t", "f0", "1");
    check(&f, "t", 1, 1);
    add(&f, "t", "f1", "2");
    check(&f, "t", 2, 2);
    check(&f, "t@v1", 1, 1);
    ok(commit_json(&f, "{\"tables\":[{\"table\":\"t\",\"properties\":{\"a\":\"c\"}}]}", NULL));
    struct lh_table_info *info;
    check(&f, "t", 3, 2);
    ok(lh_table_describe(f.lakehouse, "t", &info));
    bool seen = false;
    for (size_t i = 0; i < info->property_count; i++)
        seen |= strcmp(info->properties[i].key, "a") == 0 && strcmp(info->properties[i].value, "c") == 0;
    cr_assert(seen);
    lh_free(info);
    teardown(&f);
}

Test(described, a_table_of_the_same_name_is_another)
{
    struct fixture f;
    struct lh_table_info *info;
    setup(&f, 64u << 20);
    make_table(&f, "t", "id BIGINT");
    ok(lh_table_describe(f.lakehouse, "t", &info));
    uint64_t id = info->id;
    lh_free(info);
    ok(lh_table_drop(f.lakehouse, "t", 0));
    fails(lh_table_describe(f.lakehouse, "t", &info), LH_TABLE_NOT_FOUND);
    make_table(&f, "t", "other STRING");
    ok(lh_table_describe(f.lakehouse, "t", &info));
    cr_assert_neq(info->id, id);
    cr_assert_str_eq(info->columns[0].name, "other");
    lh_free(info);
    teardown(&f);
}

Test(described, a_snapshot_reads_its_state_when_it_is_asked_for)
{
    struct fixture f;
    lh_snapshot *snapshot;
    struct lh_table_info *info;
    struct lh_file_info file;
    struct lh_strings *lines;
    setup(&f, 64u << 20);
    make_table(&f, "t", "id BIGINT");
    add(&f, "t", "a", NULL);
    add(&f, "t", "b", NULL);
    ok(lh_table_describe(f.lakehouse, "t", &info));
    lh_free(info);
    ok(lh_snapshot_open(f.lakehouse, "t", &snapshot));
    cr_assert_eq(lh_snapshot_info(snapshot)->files, 2);
    /* What comes now is not the snapshot's. */
    add(&f, "t", "c", NULL);
    for (int round = 0; round < 2; round++) {
        ok(lh_snapshot_next_file(snapshot, &file));
        cr_assert_str_eq(file.path, "a");
        ok(lh_snapshot_next_file(snapshot, &file));
        cr_assert_str_eq(file.path, "b");
        fails(lh_snapshot_next_file(snapshot, &file), VDE_NOT_FOUND);
        ok(lh_snapshot_rewind(snapshot));
    }
    lh_snapshot_close(snapshot);
    ok(lh_table_describe(f.lakehouse, "t", &info));
    lh_free(info);
    ok(lh_snapshot_open(f.lakehouse, "t", &snapshot));
    ok(lh_snapshot_objects(snapshot, &lines));
    cr_assert_eq(lines->count, 2);
    lh_free(lines);
    lh_snapshot_close(snapshot);
    teardown(&f);
}
