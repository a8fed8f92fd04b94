/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_copy.c -- vdectl copy: the backup of a whole image, verified. */
#include "cli.h"
#include "commands.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WIDTH 12

static void on_progress(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    (void)context;
    progress_update(done_bytes < total_bytes / 2 ? "copy" : "verify", done_bytes, total_bytes);
}

static void on_finding(void *context, const struct vde_finding *finding)
{
    uint64_t *count = context;
    (*count)++;
    cli_note("damage: %s: found %s%s%s", finding->object, finding->found ? finding->found : "",
             finding->expected ? ", expected " : "", finding->expected ? finding->expected : "");
}

static bool same_file(const char *a, const char *b)
{
    struct stat first, second;
    return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

static void print_result(struct cli *cli, const struct vde_copy_result *result)
{
    char text[OUT_TEXT];
    struct vde_image_info info;
    vde_image_info(cli->image, &info);
    if (!cli->json) {
        out_field("copy", WIDTH, "%s", cli->args[0]);
        out_field("uuid", WIDTH, "%s, the image's own", out_uuid(info.uuid, text));
        if (cli_option(cli, "snapshot"))
            out_field("snapshot", WIDTH, "%s", cli_option(cli, "snapshot"));
        out_field("as of", WIDTH, "lsn %llu", (unsigned long long)result->lsn);
        out_field("size", WIDTH, "%s", out_size(cli, result->size_bytes, text));
        out_field("copied", WIDTH, "%s", out_size(cli, result->copied_bytes, text));
        if (result->check.findings)
            out_field("verified", WIDTH, "%llu findings, copied as they are", (unsigned long long)result->check.findings);
        else
            out_field("verified", WIDTH, "clean");
        return;
    }
    json_t *object = json_object();
    json_put(object, "image", json_str(cli->image_path));
    json_put(object, "copy", json_str(cli->args[0]));
    json_put(object, "uuid", json_str(out_uuid(info.uuid, text)));
    json_put(object, "snapshot", cli_option(cli, "snapshot") ? json_str(cli_option(cli, "snapshot")) : json_null());
    json_put(object, "lsn", json_u64(result->lsn));
    json_put(object, "size_bytes", json_u64(result->size_bytes));
    json_put(object, "copied_bytes", json_u64(result->copied_bytes));
    json_put(object, "finding_count", json_u64(result->check.findings));
    json_print(object);
}

/* Name the target in a failure that is about it. */
static int copy_failed(struct cli *cli, vde_status status)
{
    const char *object = vde_last_error()->object;
    if (strcmp(object, "target") == 0 || strcmp(object, "device") == 0 || strncmp(object, "copy: ", 6) == 0)
        cli_error_prefix(cli->args[0]);
    return cli_failed(cli, status);
}

static int run(struct cli *cli)
{
    const char *path = cli->args[0];
    struct vde_copy_opts opts = VDE_COPY_OPTS_INIT;
    struct vde_copy_result result;
    uint64_t findings = 0;
    if (!cli_option_size(cli, "size", 0, &opts.size_bytes))
        return CLI_USAGE;
    if (cli_option(cli, "size") && opts.size_bytes < VDE_IMAGE_MIN_BYTES)
        return cli_usage(cli, "--size", cli_option(cli, "size"), "a size from 4M up");
    opts.snapshot = cli_option(cli, "snapshot");
    if (same_file(cli->image_path, path))
        return cli_error(cli, VDE_INVAL, path, "the image itself", "another file or device");
    vde_status status = cli_open(cli);
    if (status != VDE_OK)
        return cli_failed_image(cli, status);
    bool made_here = access(path, F_OK) != 0 && errno == ENOENT; /* not before: waiting for the image may take long */
    opts.flags = (cli_switch(cli, "force") ? VDE_COPY_FORCE : 0) | (cli_switch(cli, "damaged") ? VDE_COPY_DAMAGED : 0);
    opts.backend = cli_option(cli, "backend");
    opts.finding = on_finding;
    opts.progress = on_progress;
    opts.context = &findings;
    status = vde_image_copy(cli->image, path, &opts, &result);
    progress_done();
    if (status != VDE_OK) {
        int failed = copy_failed(cli, status);
        if (made_here && status != VDE_BUSY && status != VDE_EXISTS) /* both are about somebody else's file */
            unlink(path);
        return failed;
    }
    print_result(cli, &result);
    return CLI_DONE;
}

static const struct cli_option options[] = {
    {"snapshot", "NAME", "copy the image as of this snapshot of it (vdectl snapshot list IMAGE)"},
    {"size", "SIZE", "size of the copy, smaller or larger; by default the image's, on a smaller device the device's"},
    {"read-only", NULL, "open the image for reading only: with --snapshot, or when its log is empty"},
    {"force", NULL, "overwrite what DEST holds"},
    {"damaged", NULL, "finish although the verification finds damage, which is copied as it is"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_copy = {
    .verb = "copy",
    .arguments = "DEST",
    .summary = "copy the whole image as of now to another file or device, and verify the copy",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_WRITES | CLI_SIZES,
    .min_args = 1,
    .max_args = 1,
    .options = options,
    .notes = "A copy of the same size has everything in it: tables, versions, files, streams, volumes, snapshots, clones.\n"
             "Only what is in use is copied, so a file becomes sparse. DEST may be larger: vdectl grow makes use of\n"
             "the rest.\n"
             "A copy of another size (--size, a smaller device) or of a snapshot of the image (--snapshot) holds that one\n"
             "instant: tables with all versions, files, streams, volumes with their snapshots and clones, but no\n"
             "snapshots of the image. It must fit: else nothing is written, and the error says how many bytes it takes.\n"
             "It has the same uuid: a copy replaces the image, the two are not to be mistaken for one another.\n"
             "Until every checksum of it was verified DEST is no image and does not open.\n"
             "A program that has the image open copies it with vde_image_copy(), without stopping.",
    .run = run,
};
