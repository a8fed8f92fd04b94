/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_manifest.c -- vdectl manifest: what an image holds, as one document that diff can compare. */
#include "commands.h"
#include "tables.h"
#include "volumes.h"

#include <string.h>

static vde_status add_snapshot(void *context, const struct vde_snapshot_info *info)
{
    if (info->name[0])
        json_add(context, json_str(info->name));
    return VDE_OK;
}

struct walk {
    vde_view *view;
    json_t *array;
};

static vde_status add_volume(void *context, const struct vde_volume_info *info)
{
    struct walk *walk = context;
    json_t *volume = json_object(), *snapshots = json_array();
    json_put(volume, "volume", json_str(info->name));
    json_put(volume, "size_bytes", json_u64(info->size_bytes));
    vde_status status = vde_snapshot_list(walk->view, info->id, false, add_snapshot, snapshots);
    json_put(volume, "snapshots", snapshots);
    json_add(walk->array, volume);
    return status;
}

static vde_status add_volumes(struct cli *cli, json_t *manifest)
{
    struct walk walk = {NULL, json_array()};
    json_t *snapshots = json_array();
    vde_status status = vde_view_open(cli->image, &walk.view);
    if (status == VDE_OK)
        status = vde_volume_list(walk.view, add_volume, &walk);
    if (status == VDE_OK)
        status = vde_snapshot_list(walk.view, VDE_DATASET_IMAGE, false, add_snapshot, snapshots);
    vde_view_close(walk.view);
    json_put(manifest, "volumes", walk.array);
    json_put(manifest, "snapshots", snapshots);
    return status;
}

static vde_status add_namespaces(struct cli *cli, json_t *manifest)
{
    struct lh_strings *names = NULL;
    json_t *array = json_array();
    vde_status status = lh_namespace_list(cli->lakehouse, NULL, true, &names);
    for (size_t i = 0; status == VDE_OK && i < names->count; i++) {
        struct lh_namespace_info *info;
        status = lh_namespace_show(cli->lakehouse, names->items[i], &info);
        if (status != VDE_OK)
            break;
        json_t *object = json_object();
        json_put(object, "namespace", json_str(info->name));
        json_put(object, "properties", properties_json(info->properties, info->property_count));
        json_add(array, object);
        lh_free(info);
    }
    lh_free(names);
    json_put(manifest, "namespaces", array);
    return status;
}

static vde_status add_tables(struct cli *cli, json_t *manifest)
{
    struct lh_strings *names = NULL;
    json_t *array = json_array();
    vde_status status = lh_table_list(cli->lakehouse, NULL, true, &names);
    for (size_t i = 0; status == VDE_OK && i < names->count; i++) {
        struct lh_table_info *info;
        char digest[LH_DIGEST_TEXT] = "";
        status = lh_table_describe(cli->lakehouse, names->items[i], &info);
        if (status != VDE_OK)
            break;
        if (!info->opaque)
            status = lh_state_digest(cli->lakehouse, names->items[i], digest);
        json_t *object = json_object();
        json_put(object, "table", json_str(info->name));
        json_put(object, "uri", json_str(info->uri));
        json_put(object, "format", json_str(format_name(info->format)));
        json_put(object, "version", json_u64(info->version));
        json_put(object, "digest", info->opaque ? json_null() : json_str(digest));
        json_add(array, object);
        lh_free(info);
    }
    lh_free(names);
    json_put(manifest, "tables", array);
    return status;
}

static int run(struct cli *cli)
{
    struct vde_image_info info;
    char text[OUT_TEXT];
    vde_status status = cli_open_tables(cli);
    if (status != VDE_OK)
        return cli_failed(cli, status);
    json_t *manifest = json_object(), *features = json_array();
    vde_image_info(cli->image, &info);
    for (unsigned i = 0; i < 8 && info.features[i][0]; i++)
        json_add(features, json_str(info.features[i]));
    json_put(manifest, "uuid", json_str(out_uuid(info.uuid, text)));
    json_put(manifest, "format_version", json_u64(info.format_version));
    json_put(manifest, "features", features);
    status = add_namespaces(cli, manifest);
    if (status == VDE_OK)
        status = add_tables(cli, manifest);
    if (status == VDE_OK)
        status = add_volumes(cli, manifest);
    if (status != VDE_OK) {
        json_decref(manifest);
        return cli_failed(cli, status);
    }
    json_print(manifest);
    return CLI_DONE;
}

const struct cli_command cmd_manifest = {
    .verb = "manifest",
    .arguments = "",
    .summary = "print what the image holds as JSON that can be compared: tables with the digests of their states",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_READS,
    .notes = "The same from one run to the next while nothing changes. A digest stands for all of a table's state at its\n"
             "version but the ids and times that are made up when it is created: the same history has the same digests\n"
             "in another image, too. It is null for tables whose state can't be read.",
    .run = run,
};
