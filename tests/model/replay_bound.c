/* SPDX-License-Identifier: Apache-2.0 */
/* replay_bound.c -- a table with 10^5 versions: any of them opens from a root and a tail within the bound, and the roots kept
 * cost a bounded multiple of the log. Arguments: versions.
 * ctest: timeout=900 labels=heavy sanitized=20000 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lakehouse/all.h>
#include <vde/vde.h>

#define LIVE_FILES 5000u  /* from here on each commit removes a file for the one that it adds */
#define SAMPLES 200u
#define TAIL_ACTIONS 1024u
#define TAIL_SHARE 64u
#define ROOTS_MULTIPLE 8u /* blocks that the table owns : bytes of its commits as JSON */

static lh_lakehouse *lakehouse;

static void die(const char *what)
{
    fprintf(stderr, "%s: %s (%s)\n", what, vde_last_error()->text, vde_last_error()->code);
    exit(1);
}

static void path_of(unsigned version, char *path, size_t size)
{
    snprintf(path, size, "part-%08x-%08x.parquet", version * 2654435761u, version);
}

static void commit(lh_txn *txn, unsigned version)
{
    struct lh_add add = LH_ADD_INIT;
    char path[64], old[64];
    size_t member;
    path_of(version, path, sizeof path);
    add.path = path;
    add.size_bytes = 1000 + version;
    add.records = 10;
    lh_txn_reset(txn);
    if (lh_txn_table(txn, "ns.t", NULL, &member) || lh_txn_add_file(txn, member, &add))
        die("build");
    if (version > LIVE_FILES) {
        path_of(version - LIVE_FILES, old, sizeof old);
        if (lh_txn_remove_file(txn, member, old, true))
            die("remove");
    }
    if (lh_commit(txn, NULL))
        die("commit");
}

/* Version v > 0 holds the files of versions max(1, v - LIVE_FILES + 1) .. v. Returns the entries replayed. */
static uint64_t check_version(unsigned version)
{
    char name[32];
    struct lh_table_info *info = NULL;
    snprintf(name, sizeof name, "ns.t@v%u", version);
    if (lh_table_describe(lakehouse, name, &info))
        die(name);
    uint64_t files = version < LIVE_FILES ? version : LIVE_FILES;
    if (info->version != version || info->files != files || info->records != (int64_t)files * 10) {
        fprintf(stderr, "%s: version %llu with %llu files and %lld records, expected %llu files\n", name,
                (unsigned long long)info->version, (unsigned long long)info->files, (long long)info->records,
                (unsigned long long)files);
        exit(1);
    }
    uint64_t replayed = info->replayed_entries, actions = 0;
    uint64_t bound = files / TAIL_SHARE > TAIL_ACTIONS ? files / TAIL_SHARE : TAIL_ACTIONS;
    lh_free(info);
    for (uint64_t i = 0; i < replayed && i < version; i++)
        actions += version - i > LIVE_FILES ? 2 : 1;
    if (actions > bound + 2) { /* the commit that passes the bound is the last before the root */
        fprintf(stderr, "%s: %llu entries with %llu actions replayed, expected at most %llu actions\n", name,
                (unsigned long long)replayed, (unsigned long long)actions, (unsigned long long)bound);
        exit(1);
    }
    return replayed;
}

static uint64_t json_bytes(unsigned versions)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < 16; i++) {
        char *text = NULL;
        size_t size;
        if (lh_commit_text(lakehouse, "ns.t", versions - i, false, &text, &size))
            die("commit text");
        total += size;
        lh_free(text);
    }
    return total * versions / 16;
}

int main(int argc, char **argv)
{
    unsigned versions = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 100000;
    struct vde_device *device = NULL;
    vde_image *image = NULL;
    struct vde_format_opts format = VDE_FORMAT_OPTS_INIT;
    struct vde_open_opts open = VDE_OPEN_OPTS_INIT;
    struct lh_create create = LH_CREATE_INIT;
    lh_txn *txn = NULL;
    create.schema = "id BIGINT";
    if (vde_device_memory(4ull << 30, &device) || vde_image_format_device(device, &format) ||
        vde_image_open_device(device, &open, &image) || lh_open(image, NULL, &lakehouse) ||
        lh_namespace_create(lakehouse, "ns", NULL, 0) || lh_table_create(lakehouse, "ns.t", &create, NULL) ||
        lh_txn_create(lakehouse, &txn))
        die("set up");
    for (unsigned version = 1; version <= versions; version++)
        commit(txn, version);
    lh_txn_destroy(txn);
    uint64_t most = 0, state = 88172645463325252u;
    for (unsigned i = 0; i < SAMPLES; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        uint64_t replayed = check_version(i == 0 ? versions : 1 + (unsigned)(state % versions));
        most = replayed > most ? replayed : most;
    }
    struct lh_stats stats;
    struct vde_image_info info;
    if (vde_image_checkpoint(image) || vde_image_checkpoint(image) || lh_get_stats(lakehouse, &stats))
        die("checkpoint");
    vde_image_info(image, &info);
    uint64_t log = json_bytes(versions);
    printf("%u versions, %u samples, at most %llu entries replayed, %llu roots, %llu bytes used, %.2f of the log's %llu\n",
           versions, SAMPLES, (unsigned long long)most, (unsigned long long)stats.states_written,
           (unsigned long long)info.used_bytes, (double)info.used_bytes / (double)log, (unsigned long long)log);
    int failed = info.used_bytes > ROOTS_MULTIPLE * log || stats.states_written < versions / (TAIL_ACTIONS * 2);
    lh_close(lakehouse);
    if (vde_image_close(image))
        die("close");
    device->ops->close(device);
    return failed;
}
