/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_dump_log.c -- vdectl dump log: frames, records, operations, and where replay would stop. */
#include "dump.h"
#include "commands.h"

struct log_dump {
    struct cli *cli;
    struct json_stream stream;
    json_t *frame, *records, *operations; /* the frame at hand; the two lists are borrowed */
};

static json_t *frame_json(const struct vde_log_item *item)
{
    json_t *object = json_object();
    json_put(object, "what", json_str("frame"));
    json_put(object, "position", json_u64(item->position));
    json_put(object, "why", item->why[0] ? json_str(item->why) : json_null());
    json_put(object, "replayed", json_boolean(item->replayed));
    json_put(object, "epoch", json_u64(item->epoch));
    json_put(object, "first_lsn", json_u64(item->first_lsn));
    json_put(object, "flushed_through", json_u64(item->flushed_through));
    json_put(object, "bytes", json_u64(item->bytes));
    json_put(object, "chain", dump_hex(item->chain));
    json_put(object, "checksum", dump_hex(item->checksum));
    return object;
}

static void end_frame(struct log_dump *dump)
{
    if (dump->frame)
        json_stream_item(&dump->stream, dump->frame);
    dump->frame = NULL;
}

static void add_json(struct log_dump *dump, const struct vde_log_item *item)
{
    json_t *object;
    switch (item->what) {
    case VDE_LOG_FRAME:
        end_frame(dump);
        dump->frame = frame_json(item);
        dump->records = json_array();
        json_put(dump->frame, "records", dump->records);
        break;
    case VDE_LOG_RECORD:
        object = json_object();
        json_put(object, "lsn", json_u64(item->lsn));
        json_put(object, "time", json_time(item->time_us));
        json_put(object, "bytes", json_u64(item->bytes));
        json_put(object, "flushed", json_boolean(item->flushed));
        dump->operations = json_array();
        json_put(object, "operations", dump->operations);
        json_add(dump->records, object);
        break;
    case VDE_LOG_OPERATION:
        json_add(dump->operations, dump_record_json(dump->cli, &item->operation));
        break;
    case VDE_LOG_STOP:
        end_frame(dump);
        object = json_object();
        json_put(object, "what", json_str("stop"));
        json_put(object, "position", json_u64(item->position));
        json_put(object, "why", json_str(item->why));
        json_put(object, "next_lsn", json_u64(item->lsn));
        json_put(object, "flushed_through", json_u64(item->flushed_through));
        json_stream_item(&dump->stream, object);
        break;
    }
}

static void print_frame(const struct vde_log_item *item)
{
    printf("frame at %llu: epoch %llu, ", (unsigned long long)item->position, (unsigned long long)item->epoch);
    if (item->count)
        printf("%u record%s from lsn %llu, ", item->count, item->count == 1 ? "" : "s",
               (unsigned long long)item->first_lsn);
    else
        printf("no records, next lsn %llu, ", (unsigned long long)item->first_lsn);
    printf("%u bytes, flushed through %llu, chain %016llx, checksum %016llx%s\n", item->bytes,
           (unsigned long long)item->flushed_through, (unsigned long long)item->chain, (unsigned long long)item->checksum,
           item->replayed ? ", replayed" : "");
    if (item->why[0])
        printf("  not replayed: %s\n", item->why);
}

static vde_status on_item(void *context, const struct vde_log_item *item)
{
    struct log_dump *dump = context;
    char text[OUT_TEXT];
    if (dump->cli->json) {
        add_json(dump, item);
        return VDE_OK;
    }
    switch (item->what) {
    case VDE_LOG_FRAME:
        print_frame(item);
        break;
    case VDE_LOG_RECORD:
        printf("  lsn %llu, %s, %u operation%s in %u bytes%s\n", (unsigned long long)item->lsn,
               out_time(item->time_us, text), item->count, item->count == 1 ? "" : "s", item->bytes,
               item->flushed ? ", data flushed before" : "");
        break;
    case VDE_LOG_OPERATION:
        printf("    dataset %llu ", (unsigned long long)item->operation.dataset);
        dump_record_text(dump->cli, "", &item->operation);
        break;
    case VDE_LOG_STOP:
        printf("replay stops at %llu, before lsn %llu: %s\n", (unsigned long long)item->position,
               (unsigned long long)item->lsn, item->why);
        break;
    }
    return VDE_OK;
}

static int run_log(struct cli *cli)
{
    struct log_dump dump = {.cli = cli};
    vde_inspect *inspect;
    bool all = cli_switch(cli, "all");
    int result = dump_open(cli, &inspect);
    if (result != CLI_DONE)
        return result;
    if (cli->json) {
        json_t *head = json_object();
        json_put(head, "image", json_str(cli->image_path));
        json_put(head, "all", json_boolean(all));
        json_stream_begin(&dump.stream, head, "items");
    }
    vde_status status = vde_inspect_log(inspect, all ? VDE_LOG_ALL : 0, on_item, &dump);
    if (cli->json) {
        end_frame(&dump);
        json_stream_end(&dump.stream);
    }
    if (status != VDE_OK)
        result = cli_failed_image(cli, status);
    vde_inspect_close(inspect);
    return result;
}

static const struct cli_option log_options[] = {
    {"all", NULL, "every whole frame in the ring, not only what is kept for replay"},
    DUMP_SHOW_VALUES,
    {NULL, NULL, NULL},
};

const struct cli_command cmd_dump_log = {
    .noun = "dump",
    .verb = "log",
    .arguments = "",
    .summary = "frames, records and operations of the log, and where replay stops and why",
    .flags = CLI_IMAGE | CLI_OPENS,
    .options = log_options,
    .run = run_log,
};
