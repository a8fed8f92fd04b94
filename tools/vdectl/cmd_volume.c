/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_volume.c -- vdectl volume create, clone, delete, rename, resize. */
#include "commands.h"
#include "volumes.h"

#include <string.h>

/* The answer of a verb that changed one volume: quiet for people, an object for programs. */
static int changed(const struct cli *cli, const char *name, const char *key, json_t *value)
{
    if (!cli->json) {
        json_decref(value);
        return CLI_DONE;
    }
    json_t *object = json_object();
    json_put(object, "volume", json_str(name));
    json_put(object, key, value);
    json_print(object);
    return CLI_DONE;
}

/* What was made, described. */
static int created(struct cli *cli, const char *name)
{
    struct vde_volume_info info;
    vde_view *view;
    if (!cli->json)
        return CLI_DONE;
    vde_status status = vde_view_open(cli->image, &view);
    if (status == VDE_OK) {
        status = vde_volume_get(view, name, &info);
        vde_view_close(view);
    }
    if (status != VDE_OK)
        return volume_failed(cli, status, name);
    json_print(volume_json(&info));
    return CLI_DONE;
}

/* Of a verb with an old and a new name: what exists already is the new one. */
static int two_failed(const struct cli *cli, vde_status status)
{
    return volume_failed(cli, status, cli->args[status == VDE_EXISTS]);
}

/* --size, which must be there. */
static bool take_size(const struct cli *cli, uint64_t *ret_bytes)
{
    if (!cli_option(cli, "size")) {
        cli_usage(cli, "--size", "none", "the size of the volume, like 10G");
        return false;
    }
    return cli_option_size(cli, "size", 0, ret_bytes);
}

/* --- create ----------------------------------------------------------------------------------------------------- */

static int run_create(struct cli *cli)
{
    struct vde_volume_opts opts = VDE_VOLUME_OPTS_INIT;
    if (!take_size(cli, &opts.size_bytes) || !volume_options_take(cli, &opts))
        return CLI_USAGE;
    vde_status status = cli_open(cli);
    if (status == VDE_OK)
        status = vde_volume_create(cli->image, cli->args[0], &opts);
    return status == VDE_OK ? created(cli, cli->args[0]) : volume_failed(cli, status, cli->args[0]);
}

static const struct cli_option create_options[] = {
    {"size", "SIZE", "size of the volume, a multiple of 512 bytes, like 10G"},
    {"compress", "none|zstd:1..9", volume_compress_help},
    {"prealloc", NULL, volume_prealloc_help},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_volume_create = {
    .noun = "volume",
    .verb = "create",
    .arguments = "NAME",
    .summary = "create an empty volume; it takes space only as it is written",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_WRITES,
    .min_args = 1,
    .max_args = 1,
    .options = create_options,
    .notes = "A name may hold anything but '/'. Where NAME@SNAP is read, what stands behind the last '@' is a snapshot;\n"
             "a volume whose own name holds an '@' is read as NAME@.",
    .run = run_create,
};

/* --- clone ------------------------------------------------------------------------------------------------------ */

static int run_clone(struct cli *cli)
{
    struct volume_ref ref = volume_ref_take(cli->args[0]);
    int result;
    if (!ref.snapshot) {
        result = cli_usage(cli, cli->args[0], "no snapshot", "VOLUME@SNAPSHOT");
    } else {
        vde_status status = cli_open(cli);
        if (status == VDE_OK)
            status = vde_volume_clone(cli->image, ref.volume, ref.snapshot, cli->args[1]);
        result = status == VDE_OK ? created(cli, cli->args[1]) : two_failed(cli, status);
    }
    volume_ref_done(&ref);
    return result;
}

const struct cli_command cmd_volume_clone = {
    .noun = "volume",
    .verb = "clone",
    .arguments = "VOLUME@SNAPSHOT NEW",
    .summary = "make a new volume out of a snapshot; they share what neither has overwritten",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_WRITES,
    .min_args = 2,
    .max_args = 2,
    .run = run_clone,
};

/* --- delete ----------------------------------------------------------------------------------------------------- */

static int run_delete(struct cli *cli)
{
    vde_status status = cli_open(cli);
    if (status == VDE_OK)
        status = vde_volume_delete(cli->image, cli->args[0]);
    bool done = status == VDE_OK;
    if (!done && !(status == VDE_NOT_FOUND && cli->image && cli_switch(cli, "if-exists")))
        return volume_failed(cli, status, cli->args[0]);
    return changed(cli, cli->args[0], "deleted", json_boolean(done));
}

static const struct cli_option delete_options[] = {
    {"if-exists", NULL, "succeed when there is none"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_volume_delete = {
    .noun = "volume",
    .verb = "delete",
    .arguments = "NAME",
    .summary = "delete a volume and its snapshots; what clones and image snapshots show is kept for them",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_WRITES,
    .min_args = 1,
    .max_args = 1,
    .options = delete_options,
    .run = run_delete,
};

/* --- rename ----------------------------------------------------------------------------------------------------- */

static int run_rename(struct cli *cli)
{
    vde_status status = cli_open(cli);
    if (status == VDE_OK)
        status = vde_volume_rename(cli->image, cli->args[0], cli->args[1]);
    return status == VDE_OK ? changed(cli, cli->args[1], "old_name", json_str(cli->args[0])) : two_failed(cli, status);
}

const struct cli_command cmd_volume_rename = {
    .noun = "volume",
    .verb = "rename",
    .arguments = "NAME NEW",
    .summary = "give a volume another name; its snapshots go with it",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_WRITES,
    .min_args = 2,
    .max_args = 2,
    .run = run_rename,
};

/* --- resize ----------------------------------------------------------------------------------------------------- */

static vde_status present_size(struct cli *cli, uint64_t *ret_bytes)
{
    vde_view *view;
    struct vde_volume_info info;
    vde_status status = vde_view_open(cli->image, &view);
    if (status != VDE_OK)
        return status;
    status = vde_volume_get(view, cli->args[0], &info);
    vde_view_close(view);
    if (status == VDE_OK)
        *ret_bytes = info.size_bytes;
    return status;
}

static int run_resize(struct cli *cli)
{
    uint64_t size, present;
    char found[OUT_TEXT], expected[96];
    if (!take_size(cli, &size))
        return CLI_USAGE;
    bool shrink = cli_switch(cli, "shrink");
    vde_status status = cli_open(cli);
    if (status == VDE_OK)
        status = present_size(cli, &present);
    if (status == VDE_OK && size < present && !shrink) {
        snprintf(found, sizeof found, "%llu bytes", (unsigned long long)size);
        snprintf(expected, sizeof expected, "at least the present %llu, or --shrink to discard what lies beyond",
                 (unsigned long long)present);
        return cli_error(cli, VDE_INVAL, "--size", found, expected);
    }
    if (status == VDE_OK)
        status = vde_volume_resize(cli->image, cli->args[0], size, shrink ? VDE_VOLUME_SHRINK : 0);
    return status == VDE_OK ? changed(cli, cli->args[0], "size_bytes", json_u64(size))
                            : volume_failed(cli, status, cli->args[0]);
}

static const struct cli_option resize_options[] = {
    {"size", "SIZE", "the new size, a multiple of 512 bytes, like 20G"},
    {"shrink", NULL, "allow a smaller size, which discards what lies beyond it"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_volume_resize = {
    .noun = "volume",
    .verb = "resize",
    .arguments = "NAME",
    .summary = "change the size of a volume; snapshots keep theirs",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_WRITES,
    .min_args = 1,
    .max_args = 1,
    .options = resize_options,
    .run = run_resize,
};
