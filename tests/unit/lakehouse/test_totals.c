/* SPDX-License-Identifier: Apache-2.0 */
/* Totals that are counted by the path index equal those of a listing: also where a file is replaced or was never there,
 * at versions before the newest root, and after the writing of a root was cut off. */
#include "support.h"

#include <vde/txn.h>

#include "txlog/catalog.h"

#define FILES 1100

static void add(lh_txn *txn, size_t member, int file, int64_t bytes, int64_t records)
{
    char path[32];
    struct lh_add add = LH_ADD_INIT;
    snprintf(path, sizeof path, "f%d", file);
    add.path = path;
    add.size_bytes = bytes;
    add.records = records;
    ok(lh_txn_add_file(txn, member, &add));
}

static void take(lh_txn *txn, size_t member, int file)
{
    char path[32];
    snprintf(path, sizeof path, "f%d", file);
    ok(lh_txn_remove_file(txn, member, path, false));
}

static void begin(struct fixture *f, lh_txn **ret_txn, size_t *ret_member)
{
    ok(lh_txn_create(f->lakehouse, ret_txn));
    ok(lh_txn_table(*ret_txn, "t", NULL, ret_member));
}

static void finish(lh_txn *txn)
{
    ok(lh_commit(txn, NULL));
    lh_txn_destroy(txn);
}

/* What a listing says, and that the description says the same. */
static void check(struct fixture *f, const char *table, uint64_t files, uint64_t bytes, int64_t records)
{
    lh_snapshot *snapshot = NULL;
    struct lh_file_info file;
    uint64_t listed = 0, listed_bytes = 0;
    int64_t listed_records = 0;
    vde_status status;
    ok(lh_snapshot_open(f->lakehouse, table, &snapshot));
    while ((status = lh_snapshot_next_file(snapshot, &file)) == VDE_OK) {
        listed++;
        listed_bytes += (uint64_t)file.size_bytes;
        listed_records = listed_records == LH_UNKNOWN || file.records == LH_UNKNOWN ? LH_UNKNOWN
                                                                                     : listed_records + file.records;
    }
    cr_assert_eq(status, VDE_NOT_FOUND);
    const struct lh_table_info *info = lh_snapshot_info(snapshot);
    cr_assert(info->files == listed && listed == files, "%s: %llu files, listed %llu, not %llu", table,
              (unsigned long long)info->files, (unsigned long long)listed, (unsigned long long)files);
    cr_assert(info->bytes == listed_bytes && listed_bytes == bytes, "%s: %llu bytes, listed %llu, not %llu", table,
              (unsigned long long)info->bytes, (unsigned long long)listed_bytes, (unsigned long long)bytes);
    cr_assert(info->records == listed_records && listed_records == records, "%s: %lld records, listed %lld, not %lld", table,
              (long long)info->records, (long long)listed_records, (long long)records);
    lh_snapshot_close(snapshot);
}

/* A table with a root at version 1 that holds FILES files of 10 bytes and 2 records. */
static void with_root(struct fixture *f)
{
    lh_txn *txn;
    size_t member;
    struct lh_stats stats;
    setup(f, 64u << 20);
    make_table(f, "t", "id BIGINT");
    begin(f, &txn, &member);
    for (int i = 0; i < FILES; i++)
        add(txn, member, i, 10, 2);
    finish(txn);
    ok(lh_get_stats(f->lakehouse, &stats));
    cr_assert_eq(stats.states_written, 1);
    check(f, "t", FILES, FILES * 10, FILES * 2);
}

/* f0 and f1 go, f2 is replaced, f5000 comes, f5001 comes and goes, f3 goes and comes again. */
static void change(struct fixture *f)
{
    lh_txn *txn;
    size_t member;
    begin(f, &txn, &member);
    take(txn, member, 0);
    take(txn, member, 1);
    take(txn, member, 3);
    add(txn, member, 2, 11, 3);
    add(txn, member, 5000, 12, 4);
    add(txn, member, 5001, 13, 5);
    finish(txn);
    begin(f, &txn, &member);
    take(txn, member, 5001);
    add(txn, member, 3, 14, 6);
    finish(txn);
}
#define CHANGED FILES - 1, (FILES - 4) * 10 + 11 + 12 + 14, (FILES - 4) * 2 + 3 + 4 + 6

Test(totals, a_tail_is_counted_against_its_root)
{
    struct fixture f;
    lh_txn *txn;
    size_t member;
    with_root(&f);
    change(&f);
    check(&f, "t", CHANGED);
    check(&f, "t@v1", FILES, FILES * 10, FILES * 2);
    open_again(&f);
    check(&f, "t", CHANGED);
    /* One file whose records nobody knows, and away with it. */
    begin(&f, &txn, &member);
    add(txn, member, 9000, 1, LH_UNKNOWN);
    finish(txn);
    check(&f, "t", FILES, (FILES - 4) * 10 + 11 + 12 + 14 + 1, LH_UNKNOWN);
    begin(&f, &txn, &member);
    for (int i = 0; i < 1024; i++)
        add(txn, member, 10000 + i, 0, 0);
    finish(txn);
    begin(&f, &txn, &member);
    take(txn, member, 9000);
    finish(txn);
    struct lh_stats stats;
    ok(lh_get_stats(f.lakehouse, &stats));
    cr_assert_eq(stats.states_written, 1);
    check(&f, "t", FILES - 1 + 1024, (FILES - 4) * 10 + 11 + 12 + 14, (FILES - 4) * 2 + 3 + 4 + 6);
    check(&f, "t@v3", CHANGED);
    check(&f, "t@v2", FILES - 1, (FILES - 4) * 10 + 11 + 12 + 13, (FILES - 4) * 2 + 3 + 4 + 5);
    teardown(&f);
}

/* What a writing of several transactions leaves that dealt with f0 and f1 and was cut off then. */
static void cut_off(struct fixture *f)
{
    struct lh_head *head;
    vde_txn *txn;
    struct vde_commit commit;
    ok(lh_head_find(f->lakehouse, lh_slice_of("t"), &head));
    lh_head_lock(head);
    ok(lh_head_load(head));
    uint64_t state = head->record.state, paths = head->record.paths;
    lh_head_unlock(head);
    cr_assert(state && paths);
    ok(vde_txn_create(f->image, &txn));
    ok(vde_txn_delete(txn, state, "s", 1));
    for (uint32_t i = 0; i < 2; i++) {
        char path[32];
        uint8_t name[9] = {'f'}, index_key[8];
        struct lh_file_action file = {.path = {NULL, 0}};
        struct lh_buffer key = LH_BUFFER_INIT;
        snprintf(path, sizeof path, "f%u", i);
        file.path = lh_slice_of(path);
        lh_file_key(&file, &key);
        lh_be64_put(index_key, lh_hash((struct lh_slice){key.data, key.size}));
        lh_buffer_done(&key);
        vde_kv *kv;
        vde_view *view;
        struct vde_bytes bytes;
        ok(vde_view_open(f->image, &view));
        ok(vde_kv_open(view, paths, &kv));
        ok(vde_kv_get(kv, index_key, sizeof index_key, &bytes));
        cr_assert_eq(bytes.size, 8);
        memcpy(name + 1, bytes.data, 8);
        vde_bytes_free(&bytes);
        vde_kv_close(kv);
        vde_view_close(view);
        ok(vde_txn_delete(txn, paths, index_key, sizeof index_key));
        ok(vde_txn_delete(txn, state, name, sizeof name));
    }
    ok(vde_txn_commit(txn, &commit));
    vde_txn_destroy(txn);
}

Test(totals, a_root_whose_writing_was_cut_off_is_counted_right)
{
    struct fixture f;
    lh_txn *txn;
    size_t member;
    struct lh_stats stats;
    with_root(&f);
    change(&f);
    cut_off(&f);
    check(&f, "t", CHANGED);
    open_again(&f);
    check(&f, "t", CHANGED);
    begin(&f, &txn, &member);
    for (int i = 0; i < 1024; i++)
        add(txn, member, 10000 + i, 1, 1);
    finish(txn);
    ok(lh_get_stats(f.lakehouse, &stats));
    cr_assert_eq(stats.states_written, 1);
    check(&f, "t", FILES - 1 + 1024, (FILES - 4) * 10 + 11 + 12 + 14 + 1024, (FILES - 4) * 2 + 3 + 4 + 6 + 1024);
    begin(&f, &txn, &member);
    take(txn, member, 7);
    finish(txn);
    check(&f, "t", FILES - 2 + 1024, (FILES - 5) * 10 + 11 + 12 + 14 + 1024, (FILES - 5) * 2 + 3 + 4 + 6 + 1024);
    teardown(&f);
}
