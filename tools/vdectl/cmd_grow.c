/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_grow.c -- vdectl grow: a larger image on a file or device that has room. */
#include "cli.h"
#include "commands.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#define WIDTH 10
#define LEAST (1u << 20)

/* A file gets the new length first; it is sparse there. The image is open, so that nobody else has it. *ret_before: the
 * length of a file that was extended, else 0. */
static int extend_file(struct cli *cli, uint64_t size, uint64_t *ret_before)
{
    struct stat st;
    *ret_before = 0;
    if (stat(cli->image_path, &st) != 0)
        return cli_errno(cli, errno, cli->image_path, "stat");
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size >= size)
        return CLI_DONE;
    if (size > INT64_MAX || truncate(cli->image_path, (off_t)size) != 0)
        return cli_errno(cli, size > INT64_MAX ? EFBIG : errno, cli->image_path, "set the file's size");
    *ret_before = (uint64_t)st.st_size;
    return CLI_DONE;
}

static void print_result(const struct cli *cli, uint64_t before, const struct vde_image_info *info)
{
    char text[OUT_TEXT];
    if (!cli->json) {
        out_field("before", WIDTH, "%s", out_size(cli, before, text));
        out_field("size", WIDTH, "%s", out_size(cli, info->size_bytes, text));
        out_field("free", WIDTH, "%s", out_size(cli, info->free_bytes, text));
        return;
    }
    json_t *object = json_object();
    json_put(object, "image", json_str(cli->image_path));
    json_put(object, "before_bytes", json_u64(before));
    json_put(object, "size_bytes", json_u64(info->size_bytes));
    json_put(object, "free_bytes", json_u64(info->free_bytes));
    json_print(object);
}

static int run(struct cli *cli)
{
    uint64_t size, file_size = 0;
    struct vde_image_info info;
    if (!cli_option_size(cli, "size", 0, &size))
        return CLI_USAGE;
    if (cli_option(cli, "size") && (size == 0 || size % 4096 != 0))
        return cli_usage(cli, "--size", cli_option(cli, "size"), "a multiple of 4096 bytes, not 0");
    vde_status status = cli_open(cli);
    if (status != VDE_OK)
        return cli_failed_image(cli, status);
    vde_image_info(cli->image, &info);
    uint64_t before = info.size_bytes;
    if (size > before && size - before < LEAST) /* before the file is extended for nothing */
        return cli_error(cli, VDE_INVAL, "image size", cli_option(cli, "size"), "at least 1 MiB more than now");
    if (size > before) {
        int failed = extend_file(cli, size, &file_size);
        if (failed != CLI_DONE)
            return failed;
    }
    status = vde_image_grow(cli->image, size);
    if (status != VDE_OK) {
        int failed = cli_failed_image(cli, status);
        if (status == VDE_INVAL && file_size && truncate(cli->image_path, (off_t)file_size) != 0) /* refused, nothing done */
            cli_note("%s: its length stays %llu bytes", cli->image_path, (unsigned long long)size);
        return failed;
    }
    vde_image_info(cli->image, &info);
    print_result(cli, before, &info);
    return CLI_DONE;
}

static const struct cli_option options[] = {
    {"size", "SIZE", "the new size, like 80G; by default that of the file or device"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_grow = {
    .verb = "grow",
    .arguments = "",
    .summary = "make an image larger, to the size of its device or file or to --size",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_WRITES | CLI_SIZES,
    .options = options,
    .notes = "With --size a file is extended first (sparse). Without it an image that fills its file or device stays as it is.\n"
             "Images don't shrink. Interrupted, the image has the old size or the new one.\n"
             "A program that has the image open grows it with vde_image_grow(), without stopping.",
    .run = run,
};
