/* SPDX-License-Identifier: Apache-2.0 */
/* Import and export through the public calls: options, reports, refusals that leave the image as it was. */
#include <criterion/criterion.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lakehouse/delta.h>
#include <lakehouse/file.h>
#include <lakehouse/namespace.h>
#include <lakehouse/timetravel.h>

static struct vde_device *device;
static vde_image *image;
static lh_lakehouse *lakehouse;
static char scratch[64], table[128], out[128];

static void shell(const char *format, const char *path)
{
    char command[1024];
    snprintf(command, sizeof command, format, path);
    cr_assert_eq(system(command), 0, "%s", command);
}

static void setup(void)
{
    const char *data = getenv("VDE_TEST_DATA") ? getenv("VDE_TEST_DATA") : "tests/data";
    char command[PATH_MAX + 256];
    struct vde_format_opts format = VDE_FORMAT_OPTS_INIT;
    struct vde_open_opts open = VDE_OPEN_OPTS_INIT;
    open.flags = VDE_OPEN_NO_THREADS;
    strcpy(scratch, "/tmp/vde-import-XXXXXX");
    cr_assert_not_null(mkdtemp(scratch));
    snprintf(table, sizeof table, "%s/orders", scratch);
    snprintf(out, sizeof out, "%s/out", scratch);
    snprintf(command, sizeof command, "cp -a '%s/orders' '%s'", data, table);
    cr_assert_eq(system(command), 0);
    cr_assert_eq(vde_device_memory(64u << 20, &device), VDE_OK);
    cr_assert_eq(vde_image_format_device(device, &format), VDE_OK);
    cr_assert_eq(vde_image_open_device(device, &open, &image), VDE_OK);
    cr_assert_eq(lh_open(image, NULL, &lakehouse), VDE_OK);
    cr_assert_eq(lh_namespace_create(lakehouse, "ns", NULL, 0), VDE_OK);
}

static void teardown(void)
{
    lh_close(lakehouse);
    cr_assert_eq(vde_image_close(image), VDE_OK);
    device->ops->close(device);
    shell("rm -rf '%s'", scratch);
}
TestSuite(import, .init = setup, .fini = teardown);

static vde_status import(const char *name, uint32_t flags, struct lh_import_report **ret_report)
{
    struct lh_import options = LH_IMPORT_INIT;
    options.table = name;
    options.flags = flags;
    *ret_report = NULL;
    return lh_delta_import(lakehouse, table, &options, ret_report);
}

static uint64_t stored_files(const char *name)
{
    struct lh_stored_files *files;
    cr_assert_eq(lh_file_list(lakehouse, name, NULL, &files), VDE_OK);
    uint64_t count = files->count;
    lh_free(files);
    return count;
}

static void expect_unchanged(void)
{
    struct lh_stats stats;
    cr_assert_eq(lh_get_stats(lakehouse, &stats), VDE_OK);
    cr_expect_eq(stats.tables, 0);
    cr_expect_eq(stats.versions, 0);
}

Test(import, report_counts_what_came_in)
{
    struct lh_import_report *report;
    shell("touch '%s/_delta_log/.00000000000000000000.json.crc'", table);
    cr_assert_eq(import("ns.t", 0, &report), VDE_OK, "%s", vde_last_error()->text);
    cr_expect_eq(report->outcome, LH_IMPORT_NATIVE);
    cr_expect_str_eq(report->table, "ns.t");
    cr_expect_null(report->reason);
    cr_expect_eq(report->versions, 6);
    cr_expect_eq(report->log_files_kept, 2);
    cr_expect_eq(report->log_files_dropped, 1);
    cr_expect_eq(report->missing_files, 0);
    cr_expect_eq(report->external_files, 0);
    cr_expect_eq(report->warning_count, 0);
    cr_expect(report->actions > 10 && report->data_files >= 6 && report->data_bytes > 1000);
    cr_expect(report->bytes_needed > report->data_bytes + report->log_bytes);
    cr_expect_eq(stored_files("ns.t"), report->data_files + report->log_files_kept);
    lh_free(report);
}

Test(import, dry_run_only_looks)
{
    struct lh_import_report *report;
    cr_assert_eq(import("ns.t", LH_IMPORT_DRY_RUN, &report), VDE_OK);
    cr_expect_eq(report->versions, 6);
    cr_expect(report->bytes_needed > 0);
    lh_free(report);
    expect_unchanged();
}

Test(import, reference_leaves_data_outside)
{
    struct lh_import_report *report;
    struct lh_table_info *info;
    cr_assert_eq(import("ns.t", LH_IMPORT_REFERENCE, &report), VDE_OK);
    cr_expect_eq(report->external_files, report->data_files);
    cr_expect_eq(stored_files("ns.t"), report->log_files_kept);
    lh_free(report);
    cr_assert_eq(lh_table_describe(lakehouse, "ns.t", &info), VDE_OK);
    cr_expect(info->external && info->imported);
    cr_expect_str_eq(info->origin, table);
    lh_free(info);
}

Test(import, missing_data_is_accepted_and_counted)
{
    struct lh_import_report *report;
    struct lh_export_report *exported;
    struct lh_export strict = LH_EXPORT_INIT;
    shell("rm '%s'/day=2026-11-03/*", table);
    cr_assert_eq(import("ns.t", 0, &report), VDE_OK);
    cr_expect(report->missing_files > 0 && report->active_missing > 0);
    cr_expect(report->active_missing <= report->missing_files);
    cr_expect_eq(report->warning_count, 1);
    uint64_t missing = report->missing_files;
    lh_free(report);
    strict.flags = LH_EXPORT_STRICT;
    cr_expect_eq(lh_delta_export(lakehouse, "ns.t", out, &strict, NULL), LH_FILE_NOT_FOUND);
    shell("rm -rf '%s'", out);
    cr_assert_eq(lh_delta_export(lakehouse, "ns.t", out, NULL, &exported), VDE_OK);
    cr_expect_eq(exported->missing_files, missing);
    cr_expect_eq(exported->warning_count, 1);
    lh_free(exported);
}

Test(import, refusals_leave_the_image_as_it_was)
{
    struct lh_import_report *report;
    shell("rm '%s'/_delta_log/00000000000000000002.json", table);
    cr_assert_eq(import("ns.t", 0, &report), LH_REFUSED);
    cr_expect_eq(report->outcome, LH_IMPORT_REFUSED);
    cr_expect_str_eq(report->reason, "version 2 is missing: the log goes on with 3");
    cr_expect_not_null(strstr(vde_last_error()->text, "version 2 is missing"));
    lh_free(report);
    expect_unchanged();
    shell("rm -r '%s'/_delta_log", table);
    cr_expect_eq(import("ns.t", 0, &report), VDE_NOT_FOUND);
    cr_expect_null(report);
    expect_unchanged();
}

Test(import, names)
{
    struct lh_import_report *report;
    cr_expect_eq(import("nowhere.t", 0, &report), LH_NAMESPACE_NOT_FOUND);
    cr_expect_eq(import("ns._t", 0, &report), LH_NAME);
    expect_unchanged();
    cr_assert_eq(import(NULL, LH_IMPORT_CREATE_NAMESPACE, &report), VDE_OK, "%s", vde_last_error()->text);
    cr_expect_str_eq(report->table, "default.orders");
    lh_free(report);
    cr_expect_eq(import("default.orders", 0, &report), LH_TABLE_EXISTS);
}

Test(import, awkward_file_names)
{
    struct lh_import_report *report;
    struct lh_stored_file *file;
    /* One file lies under its decoded name, one under the name as the log spells it. */
    shell("cd '%s' && mkdir -p 'a b' && echo x >'a b/\xc3\xa9%%' && echo y >'c%%20d' && printf '%%s\\n' "
          "'{\"add\":{\"path\":\"a%%20b/%%C3%%A9%%25\",\"size\":2}}' '{\"add\":{\"path\":\"c%%20d\",\"size\":2}}' "
          "'{\"add\":{\"path\":\"../up\",\"size\":2}}' '{\"add\":{\"path\":\"/abs\",\"size\":2}}' "
          ">_delta_log/00000000000000000006.json", table);
    cr_assert_eq(import("ns.t", 0, &report), VDE_OK);
    cr_expect_eq(report->missing_files, 0);
    cr_expect_eq(report->external_files, 2);
    lh_free(report);
    cr_expect_eq(lh_file_stat(lakehouse, "ns.t", "a b/\xc3\xa9%", &file), VDE_OK);
    lh_free(file);
    cr_expect_eq(lh_file_stat(lakehouse, "ns.t", "c%20d", &file), VDE_OK);
    lh_free(file);
    cr_assert_eq(lh_delta_export(lakehouse, "ns.t", out, NULL, NULL), VDE_OK);
    shell("cmp '%1$s/orders/a b/\xc3\xa9%%' '%1$s/out/a b/\xc3\xa9%%' && cmp '%1$s/orders/c%%20d' '%1$s/out/c%%20d'", scratch);
}

struct seen {
    unsigned calls;
    uint64_t last_done, total;
    const char *step;
    bool fell;
};

static void note(void *context, const char *step, uint64_t done, uint64_t total)
{
    struct seen *seen = context;
    if (seen->step != step)
        seen->last_done = 0;
    seen->fell |= done < seen->last_done || done > total;
    seen->step = step;
    seen->last_done = done;
    seen->total = total;
    seen->calls++;
}

Test(import, progress_reaches_its_end)
{
    struct seen seen = {0};
    struct lh_import options = LH_IMPORT_INIT;
    options.table = "ns.t";
    options.progress = note;
    options.context = &seen;
    cr_assert_eq(lh_delta_import(lakehouse, table, &options, NULL), VDE_OK);
    cr_expect(seen.calls > 6 && !seen.fell);
    cr_expect_eq(seen.last_done, seen.total);
}

Test(export, refuses_a_folder_that_holds_something, .init = setup, .fini = teardown)
{
    struct lh_import_report *report;
    cr_assert_eq(import("ns.t", 0, &report), VDE_OK);
    lh_free(report);
    cr_expect_eq(lh_delta_export(lakehouse, "ns.t", table, NULL, NULL), VDE_EXISTS);
    cr_expect_eq(lh_delta_export(lakehouse, "ns.none", out, NULL, NULL), LH_TABLE_NOT_FOUND);
    cr_expect_neq(access(out, F_OK), 0);
    shell("mkdir '%s'", out);
    cr_expect_eq(lh_delta_export(lakehouse, "ns.t", out, NULL, NULL), VDE_OK);
    shell("diff -r '%1$s/orders' '%1$s/out'", scratch);
}

Test(export, log_only, .init = setup, .fini = teardown)
{
    struct lh_import_report *report;
    struct lh_export options = LH_EXPORT_INIT;
    struct lh_export_report *exported;
    cr_assert_eq(import("ns.t", 0, &report), VDE_OK);
    options.flags = LH_EXPORT_LOG_ONLY;
    cr_assert_eq(lh_delta_export(lakehouse, "ns.t", out, &options, &exported), VDE_OK);
    cr_expect_eq(exported->versions, 6);
    cr_expect_eq(exported->log_bytes, report->log_bytes);
    cr_expect_eq(exported->log_files + exported->data_files, 0);
    lh_free(exported);
    lh_free(report);
    shell("test \"$(find '%s' -type f | wc -l)\" = 6", out);
}

Test(export, a_native_table_is_read_back, .init = setup, .fini = teardown)
{
    struct lh_create create = LH_CREATE_INIT;
    struct lh_import options = LH_IMPORT_INIT;
    create.schema = "id BIGINT NOT NULL, day DATE";
    cr_assert_eq(lh_table_create(lakehouse, "ns.own", &create, NULL), VDE_OK, "%s", vde_last_error()->text);
    cr_assert_eq(lh_delta_export(lakehouse, "ns.own", out, NULL, NULL), VDE_OK);
    options.table = "ns.back";
    cr_assert_eq(lh_delta_import(lakehouse, out, &options, NULL), VDE_OK, "%s", vde_last_error()->text);
    struct lh_table_info *a, *b;
    cr_assert_eq(lh_table_describe(lakehouse, "ns.own", &a), VDE_OK);
    cr_assert_eq(lh_table_describe(lakehouse, "ns.back", &b), VDE_OK);
    cr_expect_str_eq(a->ddl, b->ddl);
    cr_expect_eq(a->time_us, b->time_us);
    lh_free(a);
    lh_free(b);
}
