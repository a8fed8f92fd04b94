/* SPDX-License-Identifier: Apache-2.0 */
/* A full image: data files and commits are refused, what is there is read, and dropping a table with all it holds works and
 * gives room. */
#include "support.h"

#define KIB 1024u
#define FILE_BYTES (256u * KIB)

struct pattern {
    uint64_t size, at;
    uint64_t seed;
    bool wrong;
};

static uint8_t byte_at(const struct pattern *p, uint64_t at)
{
    return (uint8_t)((at * 2654435761u + p->seed * 40503u) >> 7);
}

static vde_status give(void *context, void *buffer, size_t size, size_t *ret_size)
{
    struct pattern *p = context;
    *ret_size = p->size - p->at < size ? p->size - p->at : size;
    for (size_t i = 0; i < *ret_size; i++)
        ((uint8_t *)buffer)[i] = byte_at(p, p->at++);
    return VDE_OK;
}

static vde_status take(void *context, const void *bytes, size_t size)
{
    struct pattern *p = context;
    for (size_t i = 0; i < size; i++)
        p->wrong |= ((const uint8_t *)bytes)[i] != byte_at(p, p->at++);
    return VDE_OK;
}

static vde_status put(struct fixture *f, const char *table, unsigned n, uint64_t size)
{
    struct pattern p = {.size = size, .seed = n};
    char path[32];
    snprintf(path, sizeof path, "data/%u", n);
    return lh_file_put(f->lakehouse, table, path, 1, give, &p);
}

/* Files of this size until no more fit; returns the number of the next one. */
static unsigned fill(struct fixture *f, const char *table, unsigned first, uint64_t size)
{
    vde_status status;
    unsigned n = first;
    while ((status = put(f, table, n, size)) == VDE_OK && n < 100000)
        n++;
    cr_assert_eq(status, VDE_NOSPC, "%s: %s", lh_status_name(status), vde_last_error()->text);
    return n;
}

static void verify(struct fixture *f, const char *table, unsigned first, unsigned end, uint64_t size)
{
    for (unsigned n = first; n < end; n++) {
        struct pattern p = {.size = size, .seed = n};
        char path[32];
        snprintf(path, sizeof path, "data/%u", n);
        ok(lh_file_get(f->lakehouse, table, path, take, &p, NULL));
        cr_assert(p.at == size && !p.wrong, "%s of %s", path, table);
    }
}

static vde_status add(struct fixture *f, const char *table, unsigned n)
{
    lh_txn *txn;
    size_t member;
    char path[32];
    struct lh_add add = LH_ADD_INIT;
    snprintf(path, sizeof path, "data/%u", n);
    add.path = path;
    add.size_bytes = FILE_BYTES;
    ok(lh_txn_create(f->lakehouse, &txn));
    ok(lh_txn_table(txn, table, NULL, &member));
    vde_status status = lh_txn_add_file(txn, member, &add);
    if (status == VDE_OK)
        status = lh_commit(txn, NULL);
    lh_txn_destroy(txn);
    return status;
}

static void check_clean(struct fixture *f)
{
    struct vde_check_opts opts = VDE_CHECK_OPTS_INIT;
    struct vde_check_summary summary;
    lh_close(f->lakehouse);
    ok(vde_image_close(f->image));
    ok(vde_check_device(f->device, &opts, &summary));
    cr_assert_eq(summary.findings, 0);
    f->lakehouse = NULL;
    f->image = NULL;
    open_again(f);
}

/* Two tables that fill the image: "big" with what matters, "small" with two files. */
static void fill_image(struct fixture *f, unsigned *ret_large)
{
    unsigned committed = 0;
    setup(f, 24u << 20);
    make_table(f, "big", "id BIGINT");
    make_table(f, "small", "id BIGINT");
    for (unsigned n = 0; n < 2; n++) {
        ok(put(f, "small", n, FILE_BYTES));
        ok(add(f, "small", n));
    }
    *ret_large = fill(f, "big", 0, FILE_BYTES);
    cr_assert_gt(*ret_large, 40);
    for (; committed < *ret_large && add(f, "big", committed) == VDE_OK; committed++)
        ;
    cr_assert_gt(committed, 0);
    fill(f, "big", *ret_large, 4 * KIB);
}

/* Freed space comes back in steps of the background. */
static void has_room(struct fixture *f, const char *table, unsigned first)
{
    struct vde_image_info info;
    for (unsigned i = 0; i < 20; i++) {
        ok(vde_image_checkpoint(f->image));
        vde_image_info(f->image, &info);
        if (info.free_bytes >= 12u << 20)
            break;
    }
    cr_assert_geq(info.free_bytes, 12u << 20, "%llu bytes are free", (unsigned long long)info.free_bytes);
    for (unsigned n = first; n < first + 16; n++) {
        ok(put(f, table, n, FILE_BYTES));
        ok(add(f, table, n));
    }
    verify(f, table, first, first + 16, FILE_BYTES);
}

Test(full, a_table_can_be_dropped_with_all_it_holds)
{
    struct fixture f;
    unsigned large;
    struct lh_table_info *info;
    fill_image(&f, &large);
    fails(put(&f, "small", 2, FILE_BYTES), VDE_NOSPC);
    verify(&f, "big", 0, large, FILE_BYTES);
    ok(lh_table_drop(f.lakehouse, "big", LH_DROP_PURGE));
    fails(lh_table_describe(f.lakehouse, "big", &info), LH_TABLE_NOT_FOUND);
    verify(&f, "small", 0, 2, FILE_BYTES);
    has_room(&f, "small", 2);
    make_table(&f, "big", "id BIGINT");
    ok(add(&f, "big", 0));
    check_clean(&f);
    verify(&f, "small", 0, 18, FILE_BYTES);
    teardown(&f);
}

Test(full, a_table_can_be_dropped_after_reopening)
{
    struct fixture f;
    unsigned large;
    fill_image(&f, &large);
    check_clean(&f);
    verify(&f, "big", 0, large, FILE_BYTES);
    ok(lh_table_drop(f.lakehouse, "big", LH_DROP_PURGE));
    check_clean(&f);
    verify(&f, "small", 0, 2, FILE_BYTES);
    has_room(&f, "small", 2);
    check_clean(&f);
    teardown(&f);
}

Test(full, a_table_that_a_snapshot_shows_gives_no_room_before_that_goes)
{
    struct fixture f;
    struct vde_image_info info;
    unsigned large;
    uint64_t lsn;
    fill_image(&f, &large);
    ok(vde_snapshot_create(f.image, VDE_DATASET_IMAGE, "before", &lsn));
    ok(lh_table_drop(f.lakehouse, "big", LH_DROP_PURGE));
    for (unsigned i = 0; i < 4; i++)
        ok(vde_image_checkpoint(f.image));
    vde_image_info(f.image, &info);
    cr_assert_lt(info.free_bytes, 2u << 20);
    ok(vde_snapshot_delete(f.image, VDE_DATASET_IMAGE, "before"));
    has_room(&f, "small", 2);
    check_clean(&f);
    teardown(&f);
}
