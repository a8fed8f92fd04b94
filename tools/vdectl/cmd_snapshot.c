/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_snapshot.c -- vdectl snapshot create, delete, list, rollback: of one volume, or of the whole image. */
#include "commands.h"
#include "volumes.h"

#include <string.h>

/* NAME of the image, or VOLUME@NAME. */
struct snapshot_ref {
    struct volume_ref parts; /* volume is NULL for the image */
    const char *name;
    uint64_t dataset;
};

static void ref_done(struct snapshot_ref *ref)
{
    volume_ref_done(&ref->parts);
}

/* Take the first argument apart. */
static int ref_take(const struct cli *cli, struct snapshot_ref *ret_ref)
{
    const char *text = cli->args[0];
    *ret_ref = (struct snapshot_ref){.name = text, .dataset = VDE_DATASET_IMAGE};
    if (!strchr(text, '@'))
        return CLI_DONE;
    ret_ref->parts = volume_ref_take(text);
    ret_ref->name = ret_ref->parts.snapshot;
    if (ret_ref->name && ret_ref->parts.volume[0])
        return CLI_DONE;
    ref_done(ret_ref);
    return cli_usage(cli, text, "an empty name", "VOLUME@NAME");
}

static vde_status ref_open(struct cli *cli, struct snapshot_ref *ref)
{
    vde_status status = cli_open(cli);
    if (status == VDE_OK && ref->parts.volume)
        status = volume_dataset(cli, ref->parts.volume, &ref->dataset);
    return status;
}

static json_t *ref_json(const struct snapshot_ref *ref)
{
    json_t *object = json_object();
    json_put(object, "volume", json_str(ref->parts.volume));
    json_put(object, "snapshot", json_str(ref->name));
    return object;
}

/* Print the outcome of a change and release the reference. */
static int finish(struct cli *cli, struct snapshot_ref *ref, vde_status status, const char *key, json_t *value)
{
    int result = CLI_DONE;
    if (status != VDE_OK) {
        result = volume_failed(cli, status, cli->args[0]);
        json_decref(value);
    } else if (cli->json) {
        json_t *object = ref_json(ref);
        json_put(object, key, value);
        json_print(object);
    } else {
        json_decref(value);
    }
    ref_done(ref);
    return result;
}

/* --- create ----------------------------------------------------------------------------------------------------- */

static int run_create(struct cli *cli)
{
    struct snapshot_ref ref;
    uint64_t lsn = 0;
    int result = ref_take(cli, &ref);
    if (result != CLI_DONE)
        return result;
    vde_status status = ref_open(cli, &ref);
    if (status == VDE_OK)
        status = vde_snapshot_create(cli->image, ref.dataset, ref.name, &lsn);
    return finish(cli, &ref, status, "lsn", json_u64(lsn));
}

const struct cli_command cmd_snapshot_create = {
    .noun = "snapshot",
    .verb = "create",
    .arguments = "[VOLUME@]NAME",
    .summary = "keep a volume as it is now; without VOLUME@ the whole image, tables and all, at one instant",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_WRITES,
    .min_args = 1,
    .max_args = 1,
    .notes = "Costs the same whatever the size. A snapshot of a volume is read as VOLUME@NAME, one of the image with\n"
             "--snapshot NAME and any verb that reads.",
    .run = run_create,
};

/* --- delete ----------------------------------------------------------------------------------------------------- */

static int run_delete(struct cli *cli)
{
    struct snapshot_ref ref;
    int result = ref_take(cli, &ref);
    if (result != CLI_DONE)
        return result;
    vde_status status = ref_open(cli, &ref);
    if (status == VDE_OK)
        status = vde_snapshot_delete(cli->image, ref.dataset, ref.name);
    bool done = status == VDE_OK;
    if (status == VDE_NOT_FOUND && cli->image && cli_switch(cli, "if-exists"))
        status = VDE_OK;
    return finish(cli, &ref, status, "deleted", json_boolean(done));
}

static const struct cli_option delete_options[] = {
    {"if-exists", NULL, "succeed when there is none"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_snapshot_delete = {
    .noun = "snapshot",
    .verb = "delete",
    .arguments = "[VOLUME@]NAME",
    .summary = "delete a snapshot; what only it held becomes free, unless a clone needs it",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_WRITES,
    .min_args = 1,
    .max_args = 1,
    .options = delete_options,
    .run = run_delete,
};

/* --- list ------------------------------------------------------------------------------------------------------- */

struct snapshot_list {
    struct listing listing; /* first: what listing functions get */
    bool volume, unique;
};

static void list_json(struct snapshot_list *list, const struct vde_snapshot_info *info)
{
    json_t *object = json_object();
    json_put(object, "snapshot", json_str(info->name));
    json_put(object, "created", json_time(info->created_us));
    json_put(object, "lsn", json_u64(info->lsn));
    if (list->volume) {
        json_put(object, "referenced_bytes", json_u64(info->referenced_bytes));
        if (list->unique)
            json_put(object, "unique_bytes", json_u64(info->unique_bytes));
        json_put(object, "clones", json_u64(info->clones));
    }
    listing_item(&list->listing, object);
}

static vde_status list_one(void *context, const struct vde_snapshot_info *info)
{
    struct snapshot_list *list = context;
    struct out_table *table = &list->listing.table;
    char text[OUT_TEXT];
    if (info->name[0] == '\0') /* the engine's own, made by transactions */
        return VDE_OK;
    if (list->listing.cli->json) {
        list_json(list, info);
        return VDE_OK;
    }
    out_table_cell(table, "%s", info->name);
    out_table_cell(table, "%s", out_time(info->created_us, text));
    out_table_cell(table, "%llu", (unsigned long long)info->lsn);
    if (!list->volume)
        return VDE_OK;
    out_table_cell(table, "%s", out_size(list->listing.cli, info->referenced_bytes, text));
    if (list->unique)
        out_table_cell(table, "%s", out_size(list->listing.cli, info->unique_bytes, text));
    out_table_cell(table, "%llu", (unsigned long long)info->clones);
    return VDE_OK;
}

static int run_list(struct cli *cli)
{
    static const char *const of_image[] = {"name", "created", ">lsn"};
    static const char *const plain[] = {"name", "created", ">lsn", ">referenced", ">clones"};
    static const char *const with_unique[] = {"name", "created", ">lsn", ">referenced", ">unique", ">clones"};
    const char *volume = cli->arg_count ? cli->args[0] : NULL;
    struct snapshot_list list = {.volume = volume != NULL, .unique = volume && cli_switch(cli, "unique")};
    uint64_t dataset = VDE_DATASET_IMAGE;
    vde_view *view;
    vde_status status = cli_open(cli);
    if (status == VDE_OK && volume)
        status = volume_dataset(cli, volume, &dataset);
    if (status == VDE_OK)
        status = vde_view_open(cli->image, &view);
    if (status != VDE_OK)
        return volume_failed(cli, status, volume ? volume : "");
    json_t *head = json_object();
    json_put(head, "volume", json_str(volume));
    listing_begin(&list.listing, cli, head, "snapshots", list.unique ? 6 : list.volume ? 5 : 3,
                  list.unique ? with_unique : list.volume ? plain : of_image);
    status = vde_snapshot_list(view, dataset, list.unique, list_one, &list);
    vde_view_close(view);
    return listing_end(&list.listing, status, volume ? volume : "");
}

static const struct cli_option list_options[] = {
    {"unique", NULL, "with VOLUME: also what deleting a snapshot alone would free, which reads more of the image"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_snapshot_list = {
    .noun = "snapshot",
    .verb = "list",
    .arguments = "[VOLUME]",
    .summary = "list the snapshots of a volume, or of the whole image, oldest first",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_READS | CLI_SIZES,
    .min_args = 0,
    .max_args = 1,
    .options = list_options,
    .notes = "referenced: device space of everything that the snapshot shows; unique: what deleting\n"
             "it alone would free, nothing while a clone or a later snapshot of the image needs it.",
    .run = run_list,
};

/* --- rollback --------------------------------------------------------------------------------------------------- */

static int run_rollback(struct cli *cli)
{
    struct snapshot_ref ref;
    bool drop_newer = cli_switch(cli, "drop-newer");
    int result = ref_take(cli, &ref);
    if (result != CLI_DONE)
        return result;
    if (drop_newer && ref.parts.volume) {
        ref_done(&ref);
        return cli_usage(cli, "--drop-newer", "a snapshot of a volume", "one of the image");
    }
    vde_status status = ref.parts.volume ? ref_open(cli, &ref) : cli_open_rolled_back(cli, ref.name, drop_newer);
    if (status == VDE_OK && ref.parts.volume)
        status = vde_snapshot_rollback(cli->image, ref.dataset, ref.name);
    return finish(cli, &ref, status, "rolled_back", json_boolean(status == VDE_OK));
}

static const struct cli_option rollback_options[] = {
    {"drop-newer", NULL, "without VOLUME@: newer snapshots go, too, instead of preventing it"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_snapshot_rollback = {
    .noun = "snapshot",
    .verb = "rollback",
    .arguments = "[VOLUME@]NAME",
    .summary = "make a volume, or without VOLUME@ the whole image, again what a snapshot shows; all that came after is lost",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_WRITES,
    .min_args = 1,
    .max_args = 1,
    .options = rollback_options,
    .notes = "Newer snapshots must be deleted before. To look at an older state, read VOLUME@NAME or make a clone of it, or\n"
             "read with --snapshot NAME. The whole image, tables, files and volumes, goes back to one instant at one stroke;\n"
             "nobody else may have it open.",
    .run = run_rollback,
};
