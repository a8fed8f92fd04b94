/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_volume_list.c -- vdectl volume list, show, map, diff: what there is and where it lies. */
#include "commands.h"
#include "volumes.h"

#include <string.h>

#define WIDTH 14

/* --- list ------------------------------------------------------------------------------------------------------- */

static void origin_text(const struct vde_volume_info *info, char *text, size_t size)
{
    text[0] = '\0';
    if (info->origin_volume[0])
        snprintf(text, size, "%s@%s", info->origin_volume, info->origin_snapshot);
}

static vde_status list_one(void *context, const struct vde_volume_info *info)
{
    struct listing *listing = context;
    struct out_table *table = &listing->table;
    char text[OUT_TEXT], origin[512];
    if (listing->cli->json) {
        listing_item(listing, volume_json(info));
        return VDE_OK;
    }
    origin_text(info, origin, sizeof origin);
    out_table_cell(table, "%s", info->name);
    out_table_cell(table, "%s", out_size(listing->cli, info->size_bytes, text));
    out_table_cell(table, "%s", out_size(listing->cli, info->mapped_bytes, text));
    out_table_cell(table, "%s", out_size(listing->cli, info->stored_bytes, text));
    out_table_cell(table, "%s", out_size(listing->cli, info->snapshot_bytes, text));
    out_table_cell(table, "%llu", (unsigned long long)info->snapshots);
    out_table_cell(table, "%s%s", compression_text(info->compression, text),
                   info->flags & VDE_VOLUME_PREALLOC ? ", prealloc" : "");
    out_table_cell(table, "%s", origin);
    return VDE_OK;
}

static int run_list(struct cli *cli)
{
    static const char *const headings[] = {"name",           ">size",      ">mapped",  ">stored",
                                           ">by snapshots", ">snapshots", "compress", "origin"};
    struct listing listing;
    vde_view *view;
    vde_status status = cli_open(cli);
    if (status == VDE_OK)
        status = vde_view_open(cli->image, &view);
    if (status != VDE_OK)
        return cli_failed(cli, status);
    listing_begin(&listing, cli, json_object(), "volumes", 8, headings);
    status = vde_volume_list(view, list_one, &listing);
    vde_view_close(view);
    return listing_end(&listing, status, "");
}

const struct cli_command cmd_volume_list = {
    .noun = "volume",
    .verb = "list",
    .arguments = "",
    .summary = "list the volumes: size, what of it is mapped, the space it takes",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_READS | CLI_SIZES,
    .notes = "stored: device space of what is mapped, compressed, shared blocks included; by snapshots: what only the\n"
             "volume's snapshots still hold. Both as of the newest checkpoint.",
    .run = run_list,
};

/* --- show ------------------------------------------------------------------------------------------------------- */

static void show_text(const struct cli *cli, const struct vde_volume_info *info)
{
    char text[OUT_TEXT], origin[512];
    origin_text(info, origin, sizeof origin);
    out_field("volume", WIDTH, "%s", info->name);
    out_field("id", WIDTH, "%llu", (unsigned long long)info->id);
    out_field("size", WIDTH, "%s", out_size(cli, info->size_bytes, text));
    out_field("compression", WIDTH, "%s", compression_text(info->compression, text));
    out_field("preallocated", WIDTH, "%s", info->flags & VDE_VOLUME_PREALLOC ? "yes" : "no");
    out_field("created", WIDTH, "%s", out_time(info->created_us, text));
    if (origin[0])
        out_field("clone of", WIDTH, "%s", origin);
    out_field("mapped", WIDTH, "%s", out_size(cli, info->mapped_bytes, text));
    out_field("stored", WIDTH, "%s", out_size(cli, info->stored_bytes, text));
    out_field("metadata", WIDTH, "%s", out_size(cli, info->metadata_bytes, text));
    out_field("snapshots", WIDTH, "%llu", (unsigned long long)info->snapshots);
    out_field("by snapshots", WIDTH, "%s", out_size(cli, info->snapshot_bytes, text));
}

static int run_show(struct cli *cli)
{
    struct vde_volume_info info;
    vde_view *view;
    vde_status status = cli_open(cli);
    if (status == VDE_OK)
        status = vde_view_open(cli->image, &view);
    if (status != VDE_OK)
        return volume_failed(cli, status, cli->args[0]);
    status = vde_volume_get(view, cli->args[0], &info);
    vde_view_close(view);
    if (status != VDE_OK)
        return volume_failed(cli, status, cli->args[0]);
    if (cli->json)
        json_print(volume_json(&info));
    else
        show_text(cli, &info);
    return CLI_DONE;
}

const struct cli_command cmd_volume_show = {
    .noun = "volume",
    .verb = "show",
    .arguments = "NAME",
    .summary = "show a volume: size, settings, origin, space",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_READS | CLI_SIZES,
    .min_args = 1,
    .max_args = 1,
    .run = run_show,
};

/* --- map -------------------------------------------------------------------------------------------------------- */

static const char *state_name(enum vde_block_state state)
{
    return state == VDE_BLOCK_DATA ? "data" : state == VDE_BLOCK_ZERO ? "zero" : "hole";
}

struct map_range {
    uint64_t offset, bytes;
    enum vde_block_state state;
};

static void map_print(struct listing *listing, const struct map_range *range)
{
    char text[OUT_TEXT];
    if (range->bytes == 0)
        return;
    if (listing->cli->json) {
        json_t *object = json_object();
        json_put(object, "offset", json_u64(range->offset));
        json_put(object, "size_bytes", json_u64(range->bytes));
        json_put(object, "state", json_str(state_name(range->state)));
        listing_item(listing, object);
        return;
    }
    out_table_cell(&listing->table, "%llu", (unsigned long long)range->offset);
    out_table_cell(&listing->table, "%s", out_size(listing->cli, range->bytes, text));
    out_table_cell(&listing->table, "%s", state_name(range->state));
}

/* Neighbours of the same state are one range, however the volume stores them. */
static vde_status map_walk(struct listing *listing, vde_volume *volume)
{
    uint64_t size = vde_volume_size(volume);
    struct map_range range = {0, 0, VDE_BLOCK_HOLE};
    for (uint64_t at = 0; at < size;) {
        enum vde_block_state state;
        uint64_t bytes;
        vde_status status = vde_volume_block_status(volume, at, size - at, &state, &bytes);
        if (status != VDE_OK)
            return status;
        if (state != range.state) {
            map_print(listing, &range);
            range = (struct map_range){at, 0, state};
        }
        range.bytes += bytes;
        at += bytes;
    }
    map_print(listing, &range);
    return VDE_OK;
}

static int run_map(struct cli *cli)
{
    static const char *const headings[] = {">offset", ">size", "state"};
    struct listing listing;
    struct volume_ref ref;
    vde_volume *volume;
    vde_status status = volume_open(cli, cli->args[0], &ref, &volume);
    if (status != VDE_OK)
        return volume_failed(cli, status, cli->args[0]);
    json_t *head = volume_ref_json(&ref);
    json_put(head, "size_bytes", json_u64(vde_volume_size(volume)));
    listing_begin(&listing, cli, head, "ranges", 3, headings);
    status = map_walk(&listing, volume);
    vde_volume_close(volume);
    volume_ref_done(&ref);
    return listing_end(&listing, status, cli->args[0]);
}

const struct cli_command cmd_volume_map = {
    .noun = "volume",
    .verb = "map",
    .arguments = "NAME[@SNAPSHOT]",
    .summary = "list the ranges of a volume that hold data, and those that read as zeroes",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_READS | CLI_SIZES,
    .min_args = 1,
    .max_args = 1,
    .notes = "data: holds data; zero: reads as zeroes, space is kept for it; hole: reads as zeroes, takes no space.",
    .run = run_map,
};

/* --- diff ------------------------------------------------------------------------------------------------------- */

static vde_status diff_one(void *context, const struct vde_diff_range *range)
{
    struct listing *listing = context;
    char text[OUT_TEXT];
    if (listing->cli->json) {
        json_t *object = json_object();
        json_put(object, "offset", json_u64(range->offset));
        json_put(object, "size_bytes", json_u64(range->size));
        json_put(object, "from", json_str(range->from_data ? "data" : "hole"));
        json_put(object, "to", json_str(range->to_data ? "data" : "hole"));
        listing_item(listing, object);
        return VDE_OK;
    }
    out_table_cell(&listing->table, "%llu", (unsigned long long)range->offset);
    out_table_cell(&listing->table, "%s", out_size(listing->cli, range->size, text));
    out_table_cell(&listing->table, "%s", !range->to_data ? "discarded" : range->from_data ? "overwritten" : "written");
    return VDE_OK;
}

static int run_diff(struct cli *cli)
{
    static const char *const headings[] = {">offset", ">size", "change"};
    struct listing listing;
    const char *from = cli_option(cli, "from"), *to = cli_option(cli, "to");
    vde_view *view;
    vde_status status = cli_open(cli);
    if (status == VDE_OK)
        status = vde_view_open(cli->image, &view);
    if (status != VDE_OK)
        return volume_failed(cli, status, cli->args[0]);
    json_t *head = json_object();
    json_put(head, "volume", json_str(cli->args[0]));
    json_put(head, "from", json_str(from));
    json_put(head, "to", json_str(to));
    listing_begin(&listing, cli, head, "ranges", 3, headings);
    status = vde_volume_diff(view, cli->args[0], from, to, diff_one, &listing);
    vde_view_close(view);
    return listing_end(&listing, status, cli->args[0]);
}

static const struct cli_option diff_options[] = {
    {"from", "SNAPSHOT", "the one side; without it every range that holds data is listed"},
    {"to", "SNAPSHOT", "the other side; the volume as it is by default"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_volume_diff = {
    .noun = "volume",
    .verb = "diff",
    .arguments = "NAME",
    .summary = "list the ranges that differ between two snapshots of a volume, or a snapshot and now",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_READS | CLI_SIZES,
    .min_args = 1,
    .max_args = 1,
    .options = diff_options,
    .notes = "Costs what differs, not what there is. Blocks that were overwritten with what they held are listed too.",
    .run = run_diff,
};
