/* SPDX-License-Identifier: Apache-2.0 */
/* support.h -- an image in memory with an open table layer, for the tests beside it. */
#ifndef TESTS_LAKEHOUSE_SUPPORT_H
#define TESTS_LAKEHOUSE_SUPPORT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>
#include <criterion/logging.h>

#include <lakehouse/all.h>
#include <vde/vde.h>

struct fixture {
    struct vde_device *device;
    vde_image *image;
    lh_lakehouse *lakehouse;
};

#define ok(expr)                                                                                                       \
    do {                                                                                                               \
        vde_status ok_status_ = (expr);                                                                                \
        cr_assert_eq(ok_status_, VDE_OK, "%s: %s: %s", #expr, lh_status_name(ok_status_), vde_last_error()->text);     \
    } while (0)
#define fails(expr, want)                                                                                              \
    do {                                                                                                               \
        vde_status fails_status_ = (expr);                                                                             \
        cr_assert_eq(fails_status_, (want), "%s: %s, not %s: %s", #expr, lh_status_name(fails_status_),                \
                     lh_status_name(want), vde_last_error()->text);                                                    \
    } while (0)

static inline void open_again(struct fixture *f)
{
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    if (f->lakehouse)
        lh_close(f->lakehouse);
    if (f->image)
        ok(vde_image_close(f->image));
    ok(vde_image_open_device(f->device, &opts, &f->image));
    ok(lh_open(f->image, NULL, &f->lakehouse));
}

static inline void setup(struct fixture *f, uint64_t bytes)
{
    struct vde_format_opts opts = VDE_FORMAT_OPTS_INIT;
    memset(f, 0, sizeof *f);
    ok(vde_device_memory(bytes, &f->device));
    ok(vde_image_format_device(f->device, &opts));
    open_again(f);
}

static inline void teardown(struct fixture *f)
{
    lh_close(f->lakehouse);
    ok(vde_image_close(f->image));
    f->device->ops->close(f->device);
}

static inline void make_table(struct fixture *f, const char *name, const char *schema)
{
    struct lh_create create = LH_CREATE_INIT;
    create.schema = schema;
    ok(lh_table_create(f->lakehouse, name, &create, NULL));
}

/* Commit a document; *ret_result may be NULL. */
static inline vde_status commit_json(struct fixture *f, const char *json, struct lh_commit_result **ret_result)
{
    lh_txn *txn = NULL;
    vde_status status = lh_txn_from_json(f->lakehouse, json, strlen(json), &txn);
    if (status != VDE_OK)
        return status;
    status = lh_commit(txn, ret_result);
    lh_txn_destroy(txn);
    return status;
}

/* Paths of the active files, sorted and joined by blanks. */
static inline int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static inline void list_files(struct fixture *f, const char *table, char *text, size_t size)
{
    lh_snapshot *snapshot = NULL;
    struct lh_file_info file;
    char *paths[4096];
    size_t count = 0, used = 0;
    vde_status status;
    text[0] = '\0';
    ok(lh_snapshot_open(f->lakehouse, table, &snapshot));
    while ((status = lh_snapshot_next_file(snapshot, &file)) == VDE_OK && count < 4096)
        paths[count++] = strdup(file.path);
    cr_assert_eq(status, VDE_NOT_FOUND, "%s", vde_last_error()->text);
    cr_assert_eq(lh_snapshot_info(snapshot)->files, count);
    lh_snapshot_close(snapshot);
    qsort(paths, count, sizeof paths[0], by_text);
    for (size_t i = 0; i < count; i++) {
        if (used < size)
            used += (size_t)snprintf(text + used, size - used, "%s%s", i ? " " : "", paths[i]);
        free(paths[i]);
    }
}
#endif
