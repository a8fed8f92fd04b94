/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_check.c -- vdectl check and checkpoint. */
#include "check.h"
#include "commands.h"

#include <stdlib.h>
#include <string.h>

#define WIDTH 20

struct check_run {
    struct cli *cli;
    const char *what;
    json_t *findings;
    uint64_t shown;
    struct vde_check_opts opts;
    struct vde_check_summary summary;
};

json_t *check_finding_json(const struct vde_finding *finding)
{
    json_t *object = json_object();
    json_put(object, "code", json_str(vde_status_name(finding->status)));
    json_put(object, "object", json_str(finding->object));
    json_put(object, "found", json_str(finding->found ? finding->found : ""));
    json_put(object, "expected", json_str(finding->expected ? finding->expected : ""));
    return object;
}

void check_finding_text(const struct vde_finding *finding)
{
    const char *found = finding->found ? finding->found : "", *expected = finding->expected ? finding->expected : "";
    progress_done();
    out_text(stdout, finding->object, strlen(finding->object));
    if (found[0]) {
        fputs(": found ", stdout);
        out_text(stdout, found, strlen(found));
    }
    if (expected[0]) {
        fputs(found[0] ? ", expected " : ": expected ", stdout);
        out_text(stdout, expected, strlen(expected));
    }
    printf(" (%s)\n", vde_status_name(finding->status));
}

static void on_finding(void *context, const struct vde_finding *finding)
{
    struct check_run *run = context;
    if (run->shown++ >= CHECK_SHOWN_MAX)
        return;
    if (run->cli->json)
        json_add(run->findings, check_finding_json(finding));
    else
        check_finding_text(finding);
}

static void on_progress(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    const struct check_run *run = context;
    progress_update(run->what, done_bytes, total_bytes);
}

static void print_json(const struct check_run *run)
{
    const struct vde_check_summary *s = &run->summary;
    const struct { const char *name; uint64_t value; } counts[] = {
        {"datasets", s->datasets}, {"snapshots", s->snapshots}, {"streams", s->streams}, {"entries", s->entries},
        {"files", s->files}, {"nodes", s->nodes}, {"node_bytes", s->node_bytes}, {"extents", s->extents},
        {"extent_bytes", s->extent_bytes}, {"leaked_blocks", s->leaked_blocks},
        {"unmarked_blocks", s->unmarked_blocks}, {"doubly_owned_blocks", s->doubly_owned_blocks},
        {"log_records", s->log_records}, {"volumes", s->volumes}, {"runs", s->runs}, {"frames", s->frames},
        {"clones", s->clones}, {"zombies", s->zombies},
    };
    json_t *object = json_object(), *summary = json_object();
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        json_put(summary, counts[i].name, json_u64(counts[i].value));
    json_put(object, "image", json_str(run->cli->image_path));
    json_put(object, "clean", json_boolean(s->findings == 0));
    json_put(object, "finding_count", json_u64(s->findings));
    json_put(object, "findings", json_incref(run->findings));
    json_put(object, "data_verified", json_boolean(run->opts.flags & VDE_CHECK_DATA));
    json_put(object, "summary", summary);
    json_print(object);
}

static void print_text(const struct check_run *run)
{
    const struct vde_check_summary *s = &run->summary;
    char text[OUT_TEXT];
    if (run->shown > CHECK_SHOWN_MAX)
        printf("... and %llu more\n", (unsigned long long)(run->shown - CHECK_SHOWN_MAX));
    out_field("datasets", WIDTH, "%llu, snapshots %llu", (unsigned long long)s->datasets,
              (unsigned long long)s->snapshots);
    out_field("volumes", WIDTH, "%llu, runs %llu (%llu compressed), clones %llu", (unsigned long long)s->volumes,
              (unsigned long long)s->runs, (unsigned long long)s->frames, (unsigned long long)s->clones);
    out_field("being freed", WIDTH, "%llu", (unsigned long long)s->zombies);
    out_field("streams", WIDTH, "%llu, entries %llu", (unsigned long long)s->streams, (unsigned long long)s->entries);
    out_field("files", WIDTH, "%llu", (unsigned long long)s->files);
    out_field("nodes", WIDTH, "%llu, %s", (unsigned long long)s->nodes, out_size(run->cli, s->node_bytes, text));
    out_field("extents", WIDTH, "%llu, %s%s", (unsigned long long)s->extents, out_size(run->cli, s->extent_bytes, text),
              run->opts.flags & VDE_CHECK_DATA ? "" : " (file data not read)");
    out_field("log records", WIDTH, "%llu", (unsigned long long)s->log_records);
    out_field("blocks", WIDTH, "%llu leaked, %llu unmarked, %llu owned twice", (unsigned long long)s->leaked_blocks,
              (unsigned long long)s->unmarked_blocks, (unsigned long long)s->doubly_owned_blocks);
    if (s->findings)
        out_field("result", WIDTH, "%llu finding%s", (unsigned long long)s->findings, s->findings == 1 ? "" : "s");
    else
        out_field("result", WIDTH, "clean");
}

static vde_status attempt(void *context)
{
    struct check_run *run = context;
    return vde_check(run->cli->image_path, &run->opts, &run->summary);
}

int check_image(struct cli *cli, const char *what, uint32_t flags, uint64_t rate_bytes)
{
    struct check_run run = {.cli = cli, .what = what, .findings = json_array(), .opts = VDE_CHECK_OPTS_INIT};
    run.opts.flags = flags;
    run.opts.rate_bytes = rate_bytes;
    run.opts.backend = cli_option(cli, "backend");
    run.opts.finding = on_finding;
    run.opts.progress = on_progress;
    run.opts.context = &run;
    vde_status status = cli_wait_busy(cli, attempt, &run);
    progress_done();
    int result = CLI_DONE;
    if (status != VDE_OK) {
        result = cli_failed_image(cli, status);
    } else {
        if (cli->json)
            print_json(&run);
        else
            print_text(&run);
        result = run.summary.findings ? CLI_DAMAGE : CLI_DONE;
    }
    json_decref(run.findings);
    return result;
}

static int run_check(struct cli *cli)
{
    return check_image(cli, "check", cli_switch(cli, "no-data") ? 0 : VDE_CHECK_DATA, 0);
}

static const struct cli_option check_options[] = {
    {"no-data", NULL, "leave out reading and verifying the data of files and volumes"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_check = {
    .verb = "check",
    .arguments = "",
    .summary = "verify an image offline; writes nothing; exit status 5 when it finds damage",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_SIZES,
    .options = check_options,
    .run = run_check,
};

static int run_checkpoint(struct cli *cli)
{
    vde_status status = cli_open(cli);
    if (status == VDE_OK)
        status = vde_image_checkpoint(cli->image);
    if (status != VDE_OK)
        return cli_failed_image(cli, status);
    struct vde_image_info info;
    vde_image_info(cli->image, &info);
    if (cli->json) {
        json_t *object = json_object();
        json_put(object, "image", json_str(cli->image_path));
        json_put(object, "checkpoint_lsn", json_u64(info.checkpoint_lsn));
        json_put(object, "superblock_sequence", json_u64(info.superblock_sequence));
        json_put(object, "free_bytes", json_u64(info.free_bytes));
        json_print(object);
    } else {
        char text[OUT_TEXT];
        out_field("checkpoint", WIDTH, "lsn %llu", (unsigned long long)info.checkpoint_lsn);
        out_field("free", WIDTH, "%s", out_size(cli, info.free_bytes, text));
    }
    return CLI_DONE;
}

const struct cli_command cmd_checkpoint = {
    .verb = "checkpoint",
    .arguments = "",
    .summary = "write what the log holds into the trees now, so that the next open replays nothing",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_WRITES | CLI_SIZES,
    .run = run_checkpoint,
};
