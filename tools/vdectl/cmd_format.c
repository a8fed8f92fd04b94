/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_format.c -- vdectl format: make an image, saying first what it is about to overwrite. */
#include "cli.h"
#include "commands.h"

#include <string.h>
#include <sys/stat.h>

/* What the path holds now, told before anything is changed. */
struct target {
    const char *kind; /* "device", "file" or "new file" */
    uint64_t size_bytes;
    char model[64];
};

static vde_status look(const struct cli *cli, struct target *ret_target)
{
    struct stat status;
    *ret_target = (struct target){.kind = "new file"};
    if (stat(cli->image_path, &status) != 0)
        return VDE_OK; /* format itself says what is wrong with the path, if anything is */
    ret_target->kind = S_ISBLK(status.st_mode) ? "device" : "file";
    if (!S_ISBLK(status.st_mode)) {
        ret_target->size_bytes = S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0;
        return VDE_OK;
    }
    struct vde_device *device;
    vde_status result = vde_device_open(cli->image_path, "sync", VDE_DEVICE_READ_ONLY | VDE_DEVICE_NO_LOCK, 0, &device);
    if (result != VDE_OK)
        return result;
    struct vde_device_info info;
    device->ops->info(device, &info);
    device->ops->close(device);
    ret_target->size_bytes = info.size_bytes;
    memcpy(ret_target->model, info.model, sizeof ret_target->model);
    return VDE_OK;
}

static void print_target(const struct cli *cli, const struct target *target)
{
    char size[OUT_TEXT];
    out_text(stdout, cli->image_path, strlen(cli->image_path));
    printf(": %s", target->kind);
    if (target->size_bytes)
        printf(", %s", out_size(cli, target->size_bytes, size));
    if (target->model[0]) {
        fputs(", ", stdout);
        out_text(stdout, target->model, strlen(target->model));
    }
    putchar('\n');
    fflush(stdout);
}

static void print_result(const struct cli *cli, const struct target *target, const struct vde_image_info *info)
{
    char text[OUT_TEXT];
    if (!cli->json) {
        out_field("uuid", 10, "%s", out_uuid(info->uuid, text));
        out_field("size", 10, "%s", out_size(cli, info->size_bytes, text));
        out_field("log", 10, "%s", out_size(cli, info->log_bytes, text));
        return;
    }
    json_t *object = json_object();
    json_put(object, "image", json_str(cli->image_path));
    json_t *before = json_object();
    json_put(before, "kind", json_str(target->kind));
    json_put(before, "size_bytes", json_u64(target->size_bytes));
    json_put(before, "model", json_str(target->model));
    json_put(object, "target", before);
    json_put(object, "uuid", json_str(out_uuid(info->uuid, text)));
    json_put(object, "size_bytes", json_u64(info->size_bytes));
    json_put(object, "log_bytes", json_u64(info->log_bytes));
    json_put(object, "format_version", json_u64(info->format_version));
    json_print(object);
}

struct attempt {
    const char *path;
    struct vde_format_opts opts;
};

static vde_status attempt(void *context)
{
    struct attempt *this = context;
    return vde_image_format(this->path, &this->opts);
}

static int run(struct cli *cli)
{
    struct attempt format = {.path = cli->image_path, .opts = VDE_FORMAT_OPTS_INIT};
    struct vde_format_opts *opts = &format.opts;
    if (!cli_option_size(cli, "size", 0, &opts->size_bytes) || !cli_option_size(cli, "log-size", 0, &opts->log_bytes))
        return CLI_USAGE;
    /* Less than a block would round down to 0, which stands for the free space. */
    if (cli_option(cli, "size") && opts->size_bytes < 4096)
        return cli_usage(cli, "--size", cli_option(cli, "size"), "a size from 4M up");
    opts->flags = cli_switch(cli, "force") ? VDE_FORMAT_FORCE : 0;
    opts->backend = cli_option(cli, "backend");
    struct target target;
    vde_status status = look(cli, &target);
    if (status != VDE_OK)
        return cli_failed_image(cli, status);
    if (!cli->json)
        print_target(cli, &target);
    status = cli_wait_busy(cli, attempt, &format);
    if (status != VDE_OK)
        return cli_failed_image(cli, status);
    struct vde_image_info info;
    status = vde_image_probe(cli->image_path, &info);
    if (status != VDE_OK)
        return cli_failed_image(cli, status);
    print_result(cli, &target, &info);
    return CLI_DONE;
}

static const struct cli_option options[] = {
    {"size", "SIZE", "size of the image, like 256M or 80G; for a file the limit of a sparse file, by default the free space"},
    {"log-size", "SIZE", "size of the log ring; by default a 32nd of the image, 256 KiB to 256 MiB"},
    {"force", NULL, "overwrite a file system, a partition table, another image or other content"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_format = {
    .verb = "format",
    .arguments = "",
    .summary = "make an image in a file or on a block device",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_SIZES,
    .options = options,
    .notes = "Says first what the path holds: for a device its model and size.\n"
             "Refuses content that is not its own to destroy, and a device in use; --force overrides the first only.",
    .run = run,
};
