/* SPDX-License-Identifier: Apache-2.0 */
/* A program that embeds the table layer: creates a table, commits to it and reads both versions. */
#include <stdio.h>

#include <lakehouse/all.h>
#include <vde/vde.h>

static int failed(const char *what)
{
    printf("%s: %s\n", what, vde_last_error()->text);
    return 1;
}

static int add_file(lh_lakehouse *lakehouse)
{
    struct lh_add add = LH_ADD_INIT;
    struct lh_commit_result *result;
    lh_txn *txn;
    size_t member;
    int status;
    add.path = "part-0.parquet";
    add.size_bytes = 1000;
    if (lh_txn_create(lakehouse, &txn) != VDE_OK)
        return failed("txn");
    if (lh_txn_table(txn, "shop.orders", NULL, &member) != VDE_OK || lh_txn_add_file(txn, member, &add) != VDE_OK ||
        lh_commit(txn, &result) != VDE_OK)
        return failed("commit");
    status = result->count != 1 || result->tables[0].version != 1;
    lh_free(result);
    lh_txn_destroy(txn);
    return status;
}

static int files_are(lh_lakehouse *lakehouse, const char *table, uint64_t files)
{
    struct lh_table_info *info;
    int equal;
    if (lh_table_describe(lakehouse, table, &info) != VDE_OK)
        return failed(table);
    equal = info->files == files;
    lh_free(info);
    return !equal;
}

static int use_tables(vde_image *image)
{
    struct lh_create create = LH_CREATE_INIT;
    lh_lakehouse *lakehouse;
    int status;
    if (lh_open(image, NULL, &lakehouse) != VDE_OK)
        return failed("lakehouse");
    create.schema = "id BIGINT NOT NULL, day DATE";
    if (lh_namespace_create(lakehouse, "shop", NULL, 0) != VDE_OK ||
        lh_table_create(lakehouse, "shop.orders", &create, NULL) != VDE_OK)
        return failed("create");
    status = add_file(lakehouse) || files_are(lakehouse, "shop.orders@v0", 0) || files_are(lakehouse, "shop.orders", 1);
    lh_close(lakehouse);
    return status;
}

int main(int argc, char **argv)
{
    struct vde_format_opts format = VDE_FORMAT_OPTS_INIT;
    struct vde_open_opts open = VDE_OPEN_OPTS_INIT;
    vde_image *image;
    int status;
    if (argc != 2)
        return 2;
    format.size_bytes = 16u << 20;
    if (vde_image_format(argv[1], &format) != VDE_OK)
        return failed("format");
    if (vde_image_open(argv[1], &open, &image) != VDE_OK)
        return failed("open");
    status = use_tables(image);
    if (vde_image_close(image) != VDE_OK)
        return failed("close");
    return status;
}
