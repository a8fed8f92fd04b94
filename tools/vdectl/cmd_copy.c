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
    .notes = "The copy is an image of the same size with everything in it: tables, versions, files, streams, volumes,\n"
             "snapshots, clones. Only what is in use is copied, so a file becomes sparse. A device may be larger:\n"
             "vdectl grow makes use of the rest.\n"
             "It has the same uuid: a copy replaces the image, the two are not to be mistaken for one another.\n"
             "Snapshots of the image are read from the copy with --snapshot, as from the image itself.\n"
             "Until every checksum of it was verified DEST is no image and does not open.\n"
             "A program that has the image open copies it with vde_image_copy(), without stopping.",
    .run = run,
};
