/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_info.c -- vdectl info: what an image is and how it was opened; under a writer, what can be seen without a lock. */
#include "cli.h"
#include "commands.h"

#include <string.h>

#include <vde/snapshot.h>
#include <vde/volume.h>

#define WIDTH 20

static json_t *regions_json(const struct vde_image_info *info)
{
    json_t *regions = json_array();
    for (uint32_t i = 0; i < info->region_count; i++) {
        json_t *region = json_object();
        json_put(region, "name", json_str(info->regions[i].name));
        json_put(region, "offset_bytes", json_u64(info->regions[i].offset_bytes));
        json_put(region, "size_bytes", json_u64(info->regions[i].size_bytes));
        json_add(regions, region);
    }
    return regions;
}

static json_t *device_json(const struct vde_device_info *device)
{
    json_t *object = json_object();
    json_put(object, "backend", json_str(device->backend));
    json_put(object, "note", json_str(device->note));
    json_put(object, "direct", json_boolean(device->direct));
    json_put(object, "block_device", json_boolean(device->is_block_device));
    json_put(object, "logical_block_bytes", json_u64(device->logical_block_bytes));
    json_put(object, "size_bytes", json_u64(device->size_bytes));
    json_put(object, "model", json_str(device->model));
    return object;
}

static json_t *log_json(const struct vde_image_info *info)
{
    json_t *object = json_object();
    json_put(object, "size_bytes", json_u64(info->log_bytes));
    json_put(object, "start", json_u64(info->log_start));
    json_put(object, "head", json_u64(info->log_head));
    json_put(object, "checkpoint_lsn", json_u64(info->checkpoint_lsn));
    json_put(object, "durable_lsn", json_u64(info->durable_lsn));
    json_put(object, "record_limit_bytes", json_u64(info->record_limit_bytes));
    return object;
}

static json_t *space_json(const struct vde_image_info *info)
{
    json_t *object = json_object();
    json_put(object, "used_bytes", json_u64(info->used_bytes));
    json_put(object, "free_bytes", json_u64(info->free_bytes));
    json_put(object, "deferred_bytes", json_u64(info->deferred_bytes));
    json_put(object, "slop_bytes", json_u64(info->slop_bytes));
    json_put(object, "reserved_bytes", json_u64(info->reserved_bytes));
    json_put(object, "fill_percent", json_u64(info->fill_percent));
    return object;
}

static json_t *open_json(const struct vde_image_info *info)
{
    json_t *object = json_object();
    json_put(object, "report", json_str(info->open_report));
    json_put(object, "replayed_records", json_u64(info->replayed_records));
    json_put(object, "replayed_bytes", json_u64(info->replayed_bytes));
    json_put(object, "dropped_tail_lsn", json_u64(info->dropped_tail_lsn));
    return object;
}

/* What the table layer counts; false when there is no telling, which says nothing against the image. */
static bool get_stats(struct cli *cli, struct lh_stats *ret_stats)
{
    return lh_open(cli->image, NULL, &cli->lakehouse) == VDE_OK && lh_get_stats(cli->lakehouse, ret_stats) == VDE_OK;
}

static json_t *tables_json(const struct lh_stats *stats)
{
    json_t *object = json_object();
    json_put(object, "namespaces", json_u64(stats->namespaces));
    json_put(object, "tables", json_u64(stats->tables));
    json_put(object, "versions", json_u64(stats->versions));
    json_put(object, "entries", json_u64(stats->entries));
    return object;
}

/* --- volumes and snapshots of the image -------------------------------------------------------------------------- */

struct volume_totals {
    uint64_t volumes, size_bytes, mapped_bytes, stored_bytes, metadata_bytes, snapshot_bytes, snapshots;
    uint64_t image_snapshots;
};

static vde_status add_volume(void *context, const struct vde_volume_info *info)
{
    struct volume_totals *totals = context;
    totals->volumes++;
    totals->size_bytes += info->size_bytes;
    totals->mapped_bytes += info->mapped_bytes;
    totals->stored_bytes += info->stored_bytes;
    totals->metadata_bytes += info->metadata_bytes;
    totals->snapshot_bytes += info->snapshot_bytes;
    totals->snapshots += info->snapshots;
    return VDE_OK;
}

static vde_status add_snapshot(void *context, const struct vde_snapshot_info *info)
{
    struct volume_totals *totals = context;
    totals->image_snapshots += info->name[0] != '\0';
    return VDE_OK;
}

/* False when there is no telling, as with the tables. */
static bool get_totals(struct cli *cli, struct volume_totals *ret_totals)
{
    vde_view *view;
    memset(ret_totals, 0, sizeof *ret_totals);
    if (vde_view_open(cli->image, &view) != VDE_OK)
        return false;
    bool good = vde_volume_list(view, add_volume, ret_totals) == VDE_OK &&
                vde_snapshot_list(view, VDE_DATASET_IMAGE, false, add_snapshot, ret_totals) == VDE_OK;
    vde_view_close(view);
    return good;
}

static json_t *volumes_json(const struct volume_totals *totals)
{
    json_t *object = json_object();
    json_put(object, "volumes", json_u64(totals->volumes));
    json_put(object, "size_bytes", json_u64(totals->size_bytes));
    json_put(object, "mapped_bytes", json_u64(totals->mapped_bytes));
    json_put(object, "stored_bytes", json_u64(totals->stored_bytes));
    json_put(object, "metadata_bytes", json_u64(totals->metadata_bytes));
    json_put(object, "snapshots", json_u64(totals->snapshots));
    json_put(object, "snapshot_bytes", json_u64(totals->snapshot_bytes));
    return object;
}

static void volumes_text(const struct cli *cli, const struct volume_totals *totals)
{
    char a[OUT_TEXT], b[OUT_TEXT], c[OUT_TEXT];
    out_field("volumes", WIDTH, "%llu of %s, %s mapped, %s stored", (unsigned long long)totals->volumes,
              out_size(cli, totals->size_bytes, a), out_size(cli, totals->mapped_bytes, b),
              out_size(cli, totals->stored_bytes, c));
    out_field("", WIDTH, "%s only in their %llu snapshots", out_size(cli, totals->snapshot_bytes, a),
              (unsigned long long)totals->snapshots);
    out_field("snapshots", WIDTH, "%llu of the image", (unsigned long long)totals->image_snapshots);
}

/* What only an open tells is left out when the image is busy or damaged, rather than shown as zero. */
/* `usage`: taken over, may be NULL. */
static void print_json(struct cli *cli, const struct vde_image_info *info, vde_status opened, json_t *usage)
{
    struct lh_stats stats;
    struct volume_totals totals;
    char text[OUT_TEXT];
    json_t *object = json_object(), *features = json_array(), *superblock = json_object();
    for (unsigned i = 0; i < 8 && info->features[i][0]; i++)
        json_add(features, json_str(info->features[i]));
    json_put(superblock, "sequence", json_u64(info->superblock_sequence));
    json_put(superblock, "copies", json_u64(info->superblock_copies));
    json_put(superblock, "epoch", json_u64(info->epoch));
    json_put(superblock, "checkpoint_lsn", json_u64(info->checkpoint_lsn));
    json_put(object, "image", json_str(cli->image_path));
    json_put(object, "busy", json_boolean(opened == VDE_BUSY));
    json_put(object, "damaged", json_boolean(opened == VDE_CORRUPT));
    json_put(object, "uuid", json_str(out_uuid(info->uuid, text)));
    json_put(object, "size_bytes", json_u64(info->size_bytes));
    json_put(object, "format_version", json_u64(info->format_version));
    json_put(object, "created", json_time(info->created_us));
    json_put(object, "features", features);
    json_put(object, "superblock", superblock);
    json_put(object, "regions", regions_json(info));
    if (opened == VDE_OK) {
        json_put(object, "device", device_json(&info->device));
        json_put(object, "log", log_json(info));
        json_put(object, "space", space_json(info));
        json_put(object, "open", open_json(info));
        if (get_stats(cli, &stats))
            json_put(object, "tables", tables_json(&stats));
        if (get_totals(cli, &totals)) {
            json_put(object, "volumes", volumes_json(&totals));
            json_put(object, "snapshots", json_u64(totals.image_snapshots));
        }
    }
    if (usage)
        json_put(object, "usage", usage);
    json_print(object);
}

/* --- what takes the space ---------------------------------------------------------------------------------------------- */

static const char *const kinds[] = {"", "catalog", "history", "files", "map", "volume", "freeing"};

static vde_status add_usage_json(void *context, const struct vde_usage *usage)
{
    json_t *object = json_object();
    json_put(object, "dataset", json_u64(usage->dataset));
    json_put(object, "kind", json_str(kinds[usage->kind]));
    json_put(object, "name", json_str(usage->name));
    json_put(object, "dropped", json_boolean(usage->dropped));
    json_put(object, "used_bytes", json_u64(vde_usage_used(usage)));
    json_put(object, "referenced_bytes", json_u64(usage->referenced_bytes));
    json_put(object, "own_bytes", json_u64(usage->own_bytes));
    json_put(object, "unique_bytes", json_u64(usage->unique_bytes));
    json_put(object, "node_bytes", json_u64(usage->node_bytes));
    json_put(object, "mapped_bytes", json_u64(usage->mapped_bytes));
    json_put(object, "snapshot_bytes", json_u64(usage->snapshot_bytes));
    json_put(object, "list_bytes", json_u64(usage->list_bytes));
    json_add(context, object);
    return VDE_OK;
}

struct usage_table {
    const struct cli *cli;
    struct out_table table;
    uint64_t used;
};

static vde_status add_usage_text(void *context, const struct vde_usage *usage)
{
    struct usage_table *t = context;
    char text[OUT_TEXT];
    t->used += vde_usage_used(usage);
    out_table_cell(&t->table, "%s%s%s%s", kinds[usage->kind], usage->name[0] ? " " : "", usage->name,
                   usage->dropped ? " (dropped)" : "");
    out_table_cell(&t->table, "%llu", (unsigned long long)usage->dataset);
    const uint64_t cells[] = {vde_usage_used(usage), usage->referenced_bytes, usage->unique_bytes, usage->mapped_bytes,
                              usage->snapshot_bytes};
    for (unsigned i = 0; i < sizeof cells / sizeof cells[0]; i++)
        out_table_cell(&t->table, "%s", out_size(t->cli, cells[i], text));
    return VDE_OK;
}

static vde_status print_usage(struct cli *cli)
{
    static const char *const headings[] = {"what", ">dataset", ">used", ">referenced", ">unique", ">mapped", ">by snapshots"};
    struct usage_table t = {.cli = cli};
    char text[OUT_TEXT];
    putchar('\n');
    out_table_init(&t.table, 7, headings);
    vde_status status = vde_usage_list(cli->image, add_usage_text, &t);
    out_table_cell(&t.table, "together");
    out_table_cell(&t.table, "%s", "");
    out_table_cell(&t.table, "%s", out_size(cli, t.used, text));
    for (unsigned i = 0; i < 4; i++)
        out_table_cell(&t.table, "%s", "");
    out_table_done(&t.table);
    return status;
}

static void print_label(const struct cli *cli, const struct vde_image_info *info)
{
    char text[OUT_TEXT], features[8 * 33] = "";
    size_t used = 0;
    for (unsigned i = 0; i < 8 && info->features[i][0]; i++)
        used += (size_t)snprintf(features + used, sizeof features - used, "%s%.31s", i ? " " : "", info->features[i]);
    out_field("image", WIDTH, "%s", cli->image_path);
    out_field("uuid", WIDTH, "%s", out_uuid(info->uuid, text));
    out_field("size", WIDTH, "%s", out_size(cli, info->size_bytes, text));
    out_field("format version", WIDTH, "%u", info->format_version);
    out_field("created", WIDTH, "%s", out_time(info->created_us, text));
    out_field("features", WIDTH, "%s", used ? features : "none");
    out_field("superblock", WIDTH, "sequence %llu, %u of 2 copies, epoch %llu, checkpoint at lsn %llu",
              (unsigned long long)info->superblock_sequence, info->superblock_copies, (unsigned long long)info->epoch,
              (unsigned long long)info->checkpoint_lsn);
}

static void print_opened(struct cli *cli, const struct vde_image_info *info)
{
    struct lh_stats stats;
    struct volume_totals totals;
    char a[OUT_TEXT], b[OUT_TEXT], c[OUT_TEXT];
    const struct vde_device_info *device = &info->device;
    out_field("backend", WIDTH, "%s, %s%s%s%s", device->backend, device->direct ? "O_DIRECT" : "buffered",
              device->note[0] ? " (" : "", device->note, device->note[0] ? ")" : "");
    out_field("device", WIDTH, "%s%s%s, %u-byte blocks", device->is_block_device ? "block device" : "file",
              device->model[0] ? " " : "", device->model, device->logical_block_bytes);
    out_field("log", WIDTH, "%s, %s in use from %llu to %llu, durable to lsn %llu, largest record %s",
              out_size(cli, info->log_bytes, a), out_size(cli, info->log_head - info->log_start, b),
              (unsigned long long)info->log_start, (unsigned long long)info->log_head,
              (unsigned long long)info->durable_lsn, out_size(cli, info->record_limit_bytes, c));
    out_field("space", WIDTH, "%s used, %s free, %u %% full", out_size(cli, info->used_bytes, a),
              out_size(cli, info->free_bytes, b), info->fill_percent);
    out_field("", WIDTH, "%s freed with the next checkpoint, %s kept for deletes",
              out_size(cli, info->deferred_bytes, a), out_size(cli, info->slop_bytes, b));
    if (info->reserved_bytes)
        out_field("", WIDTH, "%s reserved for preallocated volumes", out_size(cli, info->reserved_bytes, a));
    out_field("open", WIDTH, "%s", info->open_report);
    if (get_stats(cli, &stats))
        out_field("tables", WIDTH, "%llu in %llu namespaces, %llu versions", (unsigned long long)stats.tables,
                  (unsigned long long)stats.namespaces, (unsigned long long)stats.versions);
    if (get_totals(cli, &totals))
        volumes_text(cli, &totals);
}

static void print_regions(const struct cli *cli, const struct vde_image_info *info)
{
    static const char *const headings[] = {"region", ">offset", ">size"};
    char text[OUT_TEXT];
    struct out_table table;
    out_table_init(&table, 3, headings);
    for (uint32_t i = 0; i < info->region_count; i++) {
        out_table_cell(&table, "%s", info->regions[i].name);
        out_table_cell(&table, "%llu", (unsigned long long)info->regions[i].offset_bytes);
        out_table_cell(&table, "%s", out_size(cli, info->regions[i].size_bytes, text));
    }
    out_table_done(&table);
}

/* What label and superblocks say, when the image can't be opened: busy, or damaged. */
static int run_closed(struct cli *cli, vde_status opened)
{
    struct vde_image_info info;
    struct vde_error error = *vde_last_error();
    bool busy = opened == VDE_BUSY;
    vde_status status = vde_image_probe(cli->image_path, &info);
    if (status != VDE_OK && busy)
        return cli_failed_image(cli, status);
    if (status == VDE_OK && cli->json) {
        print_json(cli, &info, opened, NULL);
    } else if (status == VDE_OK) {
        print_label(cli, &info);
        out_field("state", WIDTH, "%s, so this is label and superblock only",
                  busy ? "BUSY: another process has it open" : "DAMAGED: it can't be opened");
        putchar('\n');
        print_regions(cli, &info);
    }
    if (busy)
        return cli_error(cli, VDE_BUSY, cli->image_path, "in use by another process",
                         "nobody; shown is what label and superblocks say");
    vde_error_set(error.status, error.object, error.found, error.expected);
    return cli_failed_image(cli, opened);
}

static int run(struct cli *cli)
{
    struct vde_image_info info;
    vde_status opened = cli_open(cli);
    if (opened == VDE_BUSY || opened == VDE_CORRUPT)
        return run_closed(cli, opened);
    if (opened != VDE_OK)
        return cli_failed_image(cli, opened);
    vde_image_info(cli->image, &info);
    bool usage = cli_switch(cli, "usage");
    if (cli->json) {
        json_t *items = usage ? json_array() : NULL;
        opened = usage ? vde_usage_list(cli->image, add_usage_json, items) : VDE_OK;
        if (opened == VDE_OK)
            print_json(cli, &info, VDE_OK, items);
        else
            json_decref(items);
    } else {
        print_label(cli, &info);
        print_opened(cli, &info);
        putchar('\n');
        print_regions(cli, &info);
        opened = usage ? print_usage(cli) : VDE_OK;
    }
    return opened == VDE_OK ? CLI_DONE : cli_failed_image(cli, opened);
}

static const struct cli_option options[] = {
    {"usage", NULL, "also what each dataset takes: volumes, maps, files, streams, the catalog"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_info = {
    .verb = "info",
    .arguments = "",
    .summary = "show label, superblocks, regions, backend, log, space and what opening did",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_READS | CLI_SIZES,
    .options = options,
    .notes = "With --usage a line for each dataset, as of the newest checkpoint, which together are what is used. used: blocks\n"
             "that belong to it, nodes included; referenced: all that its newest version shows, shared with what it was\n"
             "cloned from or not; unique: of that, what no snapshot shows too; mapped: what a volume's data were without\n"
             "compression; by snapshots: what only snapshots and clones show. Of tables the state is in maps, the log in\n"
             "the history, stored files are in files.\n"
             "Under a writer it shows label and superblocks, says BUSY and exits with status 4; of an image that is too damaged\n"
             "to be opened likewise, with status 5.",
    .run = run,
};
