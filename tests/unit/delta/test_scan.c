/* SPDX-License-Identifier: Apache-2.0 */
/* Which foreign logs are native, opaque or refused, and the times of their commits. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "delta/scan.h"

#define PROTOCOL "{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":2}}\n"
#define METADATA "{\"metaData\":{\"id\":\"x\",\"schemaString\":\"\",\"partitionColumns\":[],\"configuration\":{}}}\n"
#define ADD "{\"add\":{\"path\":\"x\",\"size\":1}}\n"

static char dir[64];

static void setup(void)
{
    strcpy(dir, "/tmp/vde-scan-XXXXXX");
    char log[80];
    cr_assert_not_null(mkdtemp(dir));
    snprintf(log, sizeof log, "%s/_delta_log", dir);
    cr_assert_eq(mkdir(log, 0777), 0);
}

static int drop(const char *path, const struct stat *stat_, int kind, struct FTW *where)
{
    (void)stat_, (void)kind, (void)where;
    return remove(path);
}
static void teardown(void) { nftw(dir, drop, 8, FTW_DEPTH | FTW_PHYS); }
TestSuite(scan, .init = setup, .fini = teardown);

static void put(const char *name, const char *text, long seconds)
{
    char path[160];
    snprintf(path, sizeof path, "%s/_delta_log/%s", dir, name);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
    struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
    cr_assert_eq(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void commit(unsigned version, const char *text, long seconds)
{
    char name[32];
    snprintf(name, sizeof name, "%020u.json", version);
    put(name, text, seconds);
}

static void expect(enum lh_import_outcome outcome, const char *reason)
{
    struct delta_folder folder;
    struct delta_scan scan;
    cr_assert_eq(delta_folder_open(dir, &folder), VDE_OK, "%s", vde_last_error()->text);
    cr_assert_eq(delta_scan_log(&folder, NULL, NULL, &scan), VDE_OK, "%s", vde_last_error()->text);
    cr_expect_eq(scan.outcome, outcome);
    cr_expect(strstr(scan.reason, reason), "\"%s\" does not say \"%s\"", scan.reason, reason);
    delta_scan_done(&scan);
    delta_folder_close(&folder);
}

Test(scan, native)
{
    commit(0, PROTOCOL METADATA ADD, 10);
    commit(1, "", 11);
    commit(2, "\n" ADD "\n\n", 12);
    put(".00000000000000000000.json.crc", "x", 1);
    put("00000000000000000003.json#1", "x", 1);
    put("_last_checkpoint", "{}", 1);
    expect(LH_IMPORT_NATIVE, "");
}

Test(scan, refused_without_protocol)
{
    commit(0, METADATA, 1);
    expect(LH_IMPORT_REFUSED, "version 0 has no protocol");
}

Test(scan, refused_without_metadata)
{
    commit(0, PROTOCOL ADD, 1);
    expect(LH_IMPORT_REFUSED, "version 0 has no metaData");
}

Test(scan, refused_with_a_gap)
{
    commit(0, PROTOCOL METADATA, 1);
    commit(2, ADD, 1);
    expect(LH_IMPORT_REFUSED, "version 1 is missing");
}

Test(scan, refused_when_it_begins_at_a_checkpoint)
{
    commit(3, ADD, 1);
    put("00000000000000000003.checkpoint.parquet", "", 1);
    expect(LH_IMPORT_REFUSED, "begins at version 3");
}

Test(scan, refused_when_only_a_checkpoint_is_left)
{
    put("00000000000000000003.checkpoint.parquet", "", 1);
    expect(LH_IMPORT_REFUSED, "begins at a checkpoint");
}

Test(scan, refused_with_bad_json)
{
    commit(0, PROTOCOL METADATA, 1);
    commit(1, ADD "{\"add\":{\"path\":\"y\"", 1);
    expect(LH_IMPORT_REFUSED, "version 1, action 2: JSON at byte 18");
}

Test(scan, refused_with_a_torn_or_zeroed_commit)
{
    commit(0, PROTOCOL METADATA, 1);
    commit(1, "5\n", 1);
    expect(LH_IMPORT_REFUSED, "version 1, action 1: action: found number, expected an object");
}

Test(scan, refused_with_two_of_a_kind)
{
    commit(0, PROTOCOL METADATA METADATA, 1);
    expect(LH_IMPORT_REFUSED, "version 0 has two metaData actions");
    commit(0, PROTOCOL METADATA PROTOCOL, 1);
    expect(LH_IMPORT_REFUSED, "version 0 has two protocol actions");
}

Test(scan, refused_when_a_file_has_no_path)
{
    commit(0, PROTOCOL METADATA "{\"add\":{\"size\":1}}\n", 1);
    expect(LH_IMPORT_REFUSED, "version 0, action 3: add without path");
}

Test(scan, opaque_by_name)
{
    commit(0, PROTOCOL METADATA, 1);
    commit(1, "{\"protocol\":{\"minReaderVersion\":3,\"minWriterVersion\":7,\"readerFeatures\":[\"hoverboard\"],\"writerFeatures\":"
              "[\"hoverboard\"]}}\n", 2);
    expect(LH_IMPORT_OPAQUE, "version 1 needs reader feature hoverboard");
    /* What can't be kept at all counts more. */
    commit(2, "{", 3);
    expect(LH_IMPORT_REFUSED, "version 2");
}

Test(scan, no_table)
{
    struct delta_folder folder;
    cr_assert_eq(delta_folder_open(dir, &folder), VDE_NOT_FOUND);
    cr_assert_eq(delta_folder_open("/nowhere/at/all", &folder), VDE_NOT_FOUND);
    char log[80];
    snprintf(log, sizeof log, "%s/_delta_log", dir);
    cr_assert_eq(delta_folder_open(log, &folder), VDE_NOT_FOUND);
}

static void expect_times(const uint64_t *times_ms, size_t count)
{
    struct delta_folder folder;
    struct delta_scan scan;
    cr_assert_eq(delta_folder_open(dir, &folder), VDE_OK);
    cr_assert_eq(delta_scan_log(&folder, NULL, NULL, &scan), VDE_OK);
    cr_assert_eq(scan.outcome, LH_IMPORT_NATIVE, "%s", scan.reason);
    cr_assert_eq(folder.commits.count, count);
    for (size_t i = 0; i < count; i++)
        cr_expect_eq(folder.commits.items[i].time_us, times_ms[i] * 1000, "version %zu: %llu", i,
                     (unsigned long long)folder.commits.items[i].time_us);
    delta_scan_done(&scan);
    delta_folder_close(&folder);
}

Test(scan, file_times_are_made_monotone)
{
    commit(0, PROTOCOL METADATA, 100);
    commit(1, ADD, 100);
    commit(2, ADD, 50);
    commit(3, ADD, 200);
    expect_times((const uint64_t[]){100000, 100001, 100002, 200000}, 4);
}

#define ENABLED(version)                                                                                               \
    "{\"metaData\":{\"id\":\"x\",\"schemaString\":\"\",\"configuration\":{\"delta.enableInCommitTimestamps\":\"true\","    \
    "\"delta.inCommitTimestampEnablementVersion\":\"" version "\"}}}\n"
#define STAMP(ms) "{\"commitInfo\":{\"timestamp\":1,\"inCommitTimestamp\":" ms "}}\n"

Test(scan, in_commit_timestamps_count_from_their_enablement_on)
{
    commit(0, STAMP("7") PROTOCOL METADATA, 100);
    commit(1, ADD, 300);
    commit(2, STAMP("250000") ENABLED("2"), 9000);
    commit(3, STAMP("250005") ADD, 1);
    expect_times((const uint64_t[]){100000, 249999, 250000, 250005}, 4);
}

Test(scan, in_commit_timestamps_from_the_beginning)
{
    commit(0, STAMP("5000") PROTOCOL
              "{\"metaData\":{\"id\":\"x\",\"configuration\":{\"delta.enableInCommitTimestamps\":\"true\"}}}\n", 100);
    commit(1, STAMP("6000") ADD, 1);
    commit(2, ADD, 7);
    expect_times((const uint64_t[]){5000, 6000, 7000}, 3);
}
