/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_dump.c -- vdectl dump superblock and alloc; what all of dump shares. */
#include "dump.h"
#include "commands.h"

#include <stdlib.h>
#include <string.h>

#define WIDTH 16

struct opening {
    struct cli *cli;
    vde_inspect *inspect;
};

static vde_status attempt(void *context)
{
    struct opening *opening = context;
    return vde_inspect_open(opening->cli->image_path, cli_option(opening->cli, "backend"), &opening->inspect);
}

int dump_open(struct cli *cli, vde_inspect **ret_inspect)
{
    struct opening opening = {cli, NULL};
    vde_status status = cli_wait_busy(cli, attempt, &opening);
    *ret_inspect = opening.inspect;
    return status == VDE_OK ? CLI_DONE : cli_failed_image(cli, status);
}

json_t *dump_hex(uint64_t value)
{
    char text[20];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)value);
    return json_string(text);
}

static json_t *hex_of(const uint8_t *bytes, size_t size)
{
    char *text = cli_alloc(NULL, size * 2 + 1);
    for (size_t i = 0; i < size; i++)
        snprintf(text + i * 2, 3, "%02x", bytes[i]);
    json_t *value = json_stringn(text, size * 2);
    free(text);
    return value;
}

json_t *dump_record_json(const struct cli *cli, const struct vde_inspected *record)
{
    json_t *object = json_object();
    json_put(object, "dataset", json_u64(record->dataset));
    json_put(object, "kind", json_str(record->kind));
    json_put(object, "key", json_str(record->key_text));
    json_put(object, "value", json_str(record->value_text));
    json_put(object, "key_size", json_u64(record->key_size));
    json_put(object, "value_size", json_u64(record->value_size));
    if (cli_switch(cli, "show-values"))
        json_put(object, "value_hex", hex_of(record->value, record->value_size));
    return object;
}

void dump_record_text(const struct cli *cli, const char *indent, const struct vde_inspected *record)
{
    printf("%s%s ", indent, record->kind);
    out_text(stdout, record->key_text, strlen(record->key_text));
    if (record->value_text[0]) {
        fputs(": ", stdout);
        out_text(stdout, record->value_text, strlen(record->value_text));
    }
    putchar('\n');
    if (cli_switch(cli, "show-values") && record->value_size) {
        printf("%s  ", indent);
        out_text(stdout, record->value, record->value_size);
        putchar('\n');
    }
}

/* --- superblock ------------------------------------------------------------------------------------------------- */

struct superblocks {
    struct cli *cli;
    json_t *list;
    struct out_table table;
    struct vde_superblock_info newest;
};

static json_t *superblock_json(const struct vde_superblock_info *info)
{
    const struct { const char *name; uint64_t value; } numbers[] = {
        {"sequence", info->sequence}, {"epoch", info->epoch}, {"checkpoint_lsn", info->checkpoint_lsn},
        {"log_start", info->log_start}, {"log_previous", info->log_previous}, {"next_id", info->next_id},
        {"used_blocks", info->used_blocks}, {"meta_nodes", info->meta_nodes}, {"alloc_slot", info->alloc_slot},
        {"catalog_block", info->catalog_block}, {"catalog_birth", info->catalog_birth},
        {"catalog_records", info->catalog_records}, {"catalog_nodes", info->catalog_nodes},
    };
    char ring[2] = {info->ring, 0};
    json_t *object = json_object();
    json_put(object, "ring", json_str(ring));
    json_put(object, "slot", json_u64(info->slot));
    json_put(object, "valid", json_boolean(info->valid));
    json_put(object, "newest", json_boolean(info->newest));
    json_put(object, "why", info->valid ? json_null() : json_str(info->why));
    if (!info->valid)
        return object;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        json_put(object, numbers[i].name, json_u64(numbers[i].value));
    json_put(object, "log_chain", dump_hex(info->log_chain));
    json_put(object, "last_time", info->last_time_us ? json_time(info->last_time_us) : json_null());
    json_put(object, "written", json_time(info->written_us));
    json_put(object, "clean", json_boolean(info->clean));
    return object;
}

static vde_status on_superblock(void *context, const struct vde_superblock_info *info)
{
    struct superblocks *dump = context;
    char text[OUT_TEXT];
    if (dump->cli->json) {
        json_add(dump->list, superblock_json(info));
        return VDE_OK;
    }
    if (info->newest && !dump->newest.valid)
        dump->newest = *info;
    if (info->empty)
        return VDE_OK;
    out_table_cell(&dump->table, "%c", info->ring);
    out_table_cell(&dump->table, "%u", info->slot);
    if (!info->valid) {
        for (unsigned i = 0; i < 5; i++)
            out_table_cell(&dump->table, "-");
        out_table_cell(&dump->table, "%s", info->why);
        return VDE_OK;
    }
    out_table_cell(&dump->table, "%llu", (unsigned long long)info->sequence);
    out_table_cell(&dump->table, "%llu", (unsigned long long)info->epoch);
    out_table_cell(&dump->table, "%llu", (unsigned long long)info->checkpoint_lsn);
    out_table_cell(&dump->table, "%llu", (unsigned long long)info->log_start);
    out_table_cell(&dump->table, "%s", out_time(info->written_us, text));
    out_table_cell(&dump->table, "%s%s%s", info->newest ? "newest" : "", info->newest && info->clean ? ", " : "",
                   info->clean ? "clean" : "");
    return VDE_OK;
}

static void print_newest(const struct vde_superblock_info *info)
{
    char text[OUT_TEXT];
    if (!info->valid)
        return;
    putchar('\n');
    out_field("newest", WIDTH, "sequence %llu, epoch %llu%s", (unsigned long long)info->sequence,
              (unsigned long long)info->epoch, info->clean ? ", closed cleanly" : "");
    out_field("checkpoint", WIDTH, "lsn %llu, last transaction %s", (unsigned long long)info->checkpoint_lsn,
              info->last_time_us ? out_time(info->last_time_us, text) : "none");
    out_field("log", WIDTH, "start %llu, previous start %llu, chain %016llx", (unsigned long long)info->log_start,
              (unsigned long long)info->log_previous, (unsigned long long)info->log_chain);
    out_field("catalog", WIDTH, "block %llu, born %llu, %llu records in %llu nodes",
              (unsigned long long)info->catalog_block, (unsigned long long)info->catalog_birth,
              (unsigned long long)info->catalog_records, (unsigned long long)info->catalog_nodes);
    out_field("space", WIDTH, "%llu blocks used, alloc index slot %u", (unsigned long long)info->used_blocks,
              info->alloc_slot);
    out_field("ids", WIDTH, "next %llu, %llu nodes of newest versions", (unsigned long long)info->next_id,
              (unsigned long long)info->meta_nodes);
}

static int run_superblock(struct cli *cli)
{
    static const char *const headings[] = {"ring", ">slot", ">sequence", ">epoch", ">lsn", ">log start", "written", ""};
    struct superblocks dump = {.cli = cli, .list = json_array()};
    vde_inspect *inspect;
    int result = dump_open(cli, &inspect);
    out_table_init(&dump.table, 8, headings);
    if (result == CLI_DONE) {
        vde_status status = vde_inspect_superblocks(inspect, on_superblock, &dump);
        out_table_done(&dump.table);
        if (status != VDE_OK)
            result = cli_failed_image(cli, status);
        else if (!cli->json)
            print_newest(&dump.newest);
    }
    if (result == CLI_DONE && cli->json) {
        json_t *object = json_object();
        json_put(object, "image", json_str(cli->image_path));
        json_put(object, "superblocks", json_incref(dump.list));
        json_print(object);
    }
    json_decref(dump.list);
    vde_inspect_close(inspect);
    return result;
}

const struct cli_command cmd_dump_superblock = {
    .noun = "dump",
    .verb = "superblock",
    .arguments = "",
    .summary = "every slot of both superblock rings, and what the newest says",
    .flags = CLI_IMAGE | CLI_OPENS,
    .run = run_superblock,
};

/* --- alloc ------------------------------------------------------------------------------------------------------ */

struct pages {
    struct cli *cli;
    json_t *list;
    struct out_table table;
    bool damaged;
};

static vde_status on_page(void *context, const struct vde_alloc_page *page)
{
    struct pages *dump = context;
    dump->damaged |= !page->valid;
    if (dump->cli->json) {
        json_t *object = json_object();
        json_put(object, "page", json_u64(page->page));
        json_put(object, "first_block", json_u64(page->first_block));
        json_put(object, "slot", json_u64(page->slot));
        json_put(object, "written", json_boolean(page->written));
        json_put(object, "valid", json_boolean(page->valid));
        json_put(object, "sequence", json_u64(page->sequence));
        json_put(object, "spare_valid", json_boolean(page->spare_valid));
        json_put(object, "spare_sequence", json_u64(page->spare_sequence));
        json_put(object, "used_blocks", json_u64(page->used));
        json_add(dump->list, object);
        return VDE_OK;
    }
    if (!page->written && page->valid)
        return VDE_OK;
    out_table_cell(&dump->table, "%llu", (unsigned long long)page->page);
    out_table_cell(&dump->table, "%llu", (unsigned long long)page->first_block);
    out_table_cell(&dump->table, "%u", page->slot);
    out_table_cell(&dump->table, "%llu", (unsigned long long)page->sequence);
    out_table_cell(&dump->table, "%u", page->used);
    out_table_cell(&dump->table, "%s", !page->valid ? "damaged" : "");
    return VDE_OK;
}

static void print_space(const struct cli *cli, const struct vde_alloc_info *info)
{
    char a[OUT_TEXT], b[OUT_TEXT];
    out_field("alloc index", WIDTH, "slot %u%s, %llu pages", info->index_slot, info->index_valid ? "" : " DAMAGED",
              (unsigned long long)info->pages);
    out_field("used", WIDTH, "%s of %s", out_size(cli, info->used_blocks * 4096, a),
              out_size(cli, info->total_blocks * 4096, b));
    out_field("largest free run", WIDTH, "%s", out_size(cli, info->largest_free_blocks * 4096, a));
    for (unsigned i = 0; i < VDE_ALLOC_CLASSES; i++)
        if (info->free_runs[i])
            out_field(i == 0 ? "free runs" : "", WIDTH, "from %s: %llu, %s in all", out_size(cli, 4096ull << i, a),
                      (unsigned long long)info->free_runs[i], out_size(cli, info->free_blocks[i] * 4096, b));
}

static json_t *space_json(const struct cli *cli, const struct vde_alloc_info *info, json_t *pages)
{
    json_t *object = json_object(), *runs = json_array();
    for (unsigned i = 0; i < VDE_ALLOC_CLASSES; i++) {
        if (!info->free_runs[i])
            continue;
        json_t *class = json_object();
        json_put(class, "from_blocks", json_u64(1ull << i));
        json_put(class, "runs", json_u64(info->free_runs[i]));
        json_put(class, "blocks", json_u64(info->free_blocks[i]));
        json_add(runs, class);
    }
    json_put(object, "image", json_str(cli->image_path));
    json_put(object, "index_slot", json_u64(info->index_slot));
    json_put(object, "index_valid", json_boolean(info->index_valid));
    json_put(object, "used_blocks", json_u64(info->used_blocks));
    json_put(object, "total_blocks", json_u64(info->total_blocks));
    json_put(object, "largest_free_blocks", json_u64(info->largest_free_blocks));
    json_put(object, "free", runs);
    json_put(object, "pages", json_incref(pages));
    return object;
}

static int run_alloc(struct cli *cli)
{
    static const char *const headings[] = {">page", ">first block", ">slot", ">checkpoint", ">used", ""};
    struct pages dump = {.cli = cli, .list = json_array()};
    struct vde_alloc_info info;
    vde_inspect *inspect;
    int result = dump_open(cli, &inspect);
    out_table_init(&dump.table, 6, headings);
    if (result == CLI_DONE) {
        vde_status status = vde_inspect_alloc(inspect, &info, on_page, &dump);
        if (status != VDE_OK) {
            result = cli_failed_image(cli, status);
        } else if (cli->json) {
            json_print(space_json(cli, &info, dump.list));
        } else {
            print_space(cli, &info);
            putchar('\n');
        }
        out_table_done(&dump.table);
        if (result == CLI_DONE && (dump.damaged || !info.index_valid))
            result = CLI_DAMAGE;
    }
    json_decref(dump.list);
    vde_inspect_close(inspect);
    return result;
}

const struct cli_command cmd_dump_alloc = {
    .noun = "dump",
    .verb = "alloc",
    .arguments = "",
    .summary = "bitmap pages and their slots, and how long the free runs are",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_SIZES,
    .notes = "Pages that were never written are left out of the text. Exit status 5 when a page or the index is damaged.",
    .run = run_alloc,
};
