/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_dump_tree.c -- vdectl dump tree and stream. */
#include "dump.h"
#include "commands.h"

#include <string.h>

/* --- tree ------------------------------------------------------------------------------------------------------- */

struct tree_dump {
    struct cli *cli;
    struct json_stream stream;
    bool begun, damaged;
};

static void begin(struct tree_dump *dump)
{
    if (dump->begun)
        return;
    json_t *head = json_object();
    dump->begun = true;
    json_put(head, "image", json_str(dump->cli->image_path));
    json_put(head, "dataset", json_str(dump->cli->args[0]));
    json_put(head, "snapshot", json_str(cli_option(dump->cli, "snapshot")));
    json_stream_begin(&dump->stream, head, "items");
}

static void add_json(struct tree_dump *dump, const struct vde_tree_item *item)
{
    json_t *object;
    if (!item->is_node) {
        object = dump_record_json(dump->cli, &item->record);
        json_put(object, "what", json_str("record"));
    } else {
        object = json_object();
        json_put(object, "what", json_str("node"));
        json_put(object, "depth", json_u64(item->depth));
        json_put(object, "block", json_u64(item->block));
        json_put(object, "birth", json_u64(item->birth));
        json_put(object, "level", json_u64(item->level));
        json_put(object, "records", json_u64(item->records));
        json_put(object, "damage", item->damage[0] ? json_str(item->damage) : json_null());
    }
    begin(dump);
    json_stream_item(&dump->stream, object);
}

static vde_status on_item(void *context, const struct vde_tree_item *item)
{
    struct tree_dump *dump = context;
    dump->damaged |= item->is_node && item->damage[0];
    if (dump->cli->json) {
        add_json(dump, item);
    } else if (!item->is_node) {
        dump_record_text(dump->cli, "    ", &item->record);
    } else if (item->damage[0]) {
        printf("node at block %llu, born %llu, depth %u: ", (unsigned long long)item->block,
               (unsigned long long)item->birth, item->depth);
        out_text(stdout, item->damage, strlen(item->damage));
        putchar('\n');
    } else {
        printf("node at block %llu, born %llu, depth %u: level %u, %u records\n", (unsigned long long)item->block,
               (unsigned long long)item->birth, item->depth, item->level, item->records);
    }
    return VDE_OK;
}

static int run_tree(struct cli *cli)
{
    struct tree_dump dump = {.cli = cli};
    vde_inspect *inspect;
    int result = dump_open(cli, &inspect);
    if (result != CLI_DONE)
        return result;
    vde_status status = vde_inspect_tree(inspect, cli->args[0], cli_option(cli, "snapshot"), on_item, &dump);
    if (cli->json && (status == VDE_OK || dump.begun)) {
        begin(&dump);
        json_stream_end(&dump.stream);
    }
    result = status != VDE_OK ? cli_failed_image(cli, status) : dump.damaged ? CLI_DAMAGE : CLI_DONE;
    vde_inspect_close(inspect);
    return result;
}

static const struct cli_option tree_options[] = {
    {"snapshot", "NAME|TAG", "a snapshot of it"},
    DUMP_SHOW_VALUES,
    {NULL, NULL, NULL},
};

const struct cli_command cmd_dump_tree = {
    .noun = "dump",
    .verb = "tree",
    .arguments = "DATASET",
    .summary = "nodes and records of one tree, as of the newest checkpoint",
    .flags = CLI_IMAGE | CLI_OPENS,
    .min_args = 1,
    .max_args = 1,
    .options = tree_options,
    .notes = "DATASET is an id, the name of a volume or dataset, catalog, history or files; dead is the catalog's dead tree,\n"
             "dead:ID that of a dataset. Goes on behind damaged nodes; exit status 5 when there is one.",
    .run = run_tree,
};

/* --- stream ----------------------------------------------------------------------------------------------------- */

struct stream_dump {
    struct cli *cli;
    struct json_stream stream;
};

static void print_entry(struct stream_dump *dump, const struct vde_entry *entry)
{
    char text[OUT_TEXT];
    if (!dump->cli->json) {
        printf("entry %llu: lsn %llu, %s, %zu bytes\n", (unsigned long long)entry->number, (unsigned long long)entry->lsn,
               out_time(entry->time_us, text), entry->size);
        if (cli_switch(dump->cli, "show-values")) {
            out_text(stdout, entry->data, entry->size);
            putchar('\n');
        }
        return;
    }
    json_t *object = json_object();
    json_put(object, "number", json_u64(entry->number));
    json_put(object, "lsn", json_u64(entry->lsn));
    json_put(object, "time", json_time(entry->time_us));
    json_put(object, "size", json_u64(entry->size));
    if (cli_switch(dump->cli, "show-values"))
        json_put(object, "text", json_bytes(entry->data, entry->size));
    json_stream_item(&dump->stream, object);
}

static vde_status each_entry(struct stream_dump *dump, vde_view *view, uint64_t stream, uint64_t from)
{
    vde_stream_cursor *cursor;
    struct vde_entry entry;
    vde_status status = vde_stream_open(view, stream, from, &cursor);
    if (status != VDE_OK)
        return status;
    while ((status = vde_stream_next(cursor, &entry)) == VDE_OK)
        print_entry(dump, &entry);
    vde_stream_close(cursor);
    return status == VDE_NOT_FOUND ? VDE_OK : status;
}

static int run_stream(struct cli *cli)
{
    struct stream_dump dump = {.cli = cli};
    uint64_t stream, first, last, from;
    vde_view *view;
    if (!parse_u64(cli->args[0], &stream))
        return cli_usage(cli, "ID", cli->args[0], "the number of a stream");
    if (!cli_option_u64(cli, "from", 0, &from))
        return CLI_USAGE;
    vde_status status = cli_open(cli);
    if (status == VDE_OK)
        status = vde_view_open(cli->image, &view);
    if (status != VDE_OK)
        return cli_failed_image(cli, status);
    status = vde_stream_range(view, stream, &first, &last);
    if (status == VDE_OK && cli->json) {
        json_t *head = json_object();
        json_put(head, "image", json_str(cli->image_path));
        json_put(head, "stream", json_u64(stream));
        json_put(head, "first", json_u64(first));
        json_put(head, "last", json_u64(last));
        json_stream_begin(&dump.stream, head, "entries");
    }
    if (status == VDE_OK) {
        status = each_entry(&dump, view, stream, from > first ? from : first);
        if (cli->json)
            json_stream_end(&dump.stream);
    }
    int result = status == VDE_OK ? CLI_DONE : cli_failed_image(cli, status);
    vde_view_close(view);
    return result;
}

static const struct cli_option stream_options[] = {
    {"from", "NUMBER", "begin with this entry"},
    DUMP_SHOW_VALUES,
    {NULL, NULL, NULL},
};

const struct cli_command cmd_dump_stream = {
    .noun = "dump",
    .verb = "stream",
    .arguments = "ID",
    .summary = "entries of a stream: number, LSN, time, size",
    .flags = CLI_IMAGE | CLI_OPENS,
    .min_args = 1,
    .max_args = 1,
    .options = stream_options,
    .run = run_stream,
};
