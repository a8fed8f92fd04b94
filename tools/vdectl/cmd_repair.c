/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_repair.c -- vdectl repair: says what redundancy can put right, and does it when asked to. */
#include "check.h"
#include "commands.h"

#include <string.h>

#include <vde/repair.h>

#define WIDTH 16

struct repair_run {
    struct cli *cli;
    json_t *actions, *findings;
    uint64_t shown;
    struct vde_repair_opts opts;
    struct vde_repair_summary summary;
};

static const char *kind_name(enum vde_repair_kind kind)
{
    static const char *const names[] = {"planned", "done", "note", "impossible"};
    return names[kind];
}

static void on_action(void *context, const struct vde_repair_action *action)
{
    struct repair_run *run = context;
    if (run->cli->json) {
        json_t *object = json_object();
        json_put(object, "kind", json_str(kind_name(action->kind)));
        json_put(object, "object", json_str(action->object));
        json_put(object, "what", json_str(action->what));
        json_add(run->actions, object);
        return;
    }
    progress_done();
    printf("%s: ", kind_name(action->kind));
    out_text(stdout, action->object, strlen(action->object));
    fputs(": ", stdout);
    out_text(stdout, action->what, strlen(action->what));
    putchar('\n');
}

static void on_finding(void *context, const struct vde_finding *finding)
{
    struct repair_run *run = context;
    if (run->shown++ >= CHECK_SHOWN_MAX)
        return;
    if (run->cli->json)
        json_add(run->findings, check_finding_json(finding));
    else
        check_finding_text(finding);
}

static void on_progress(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    (void)context;
    progress_update("repair", done_bytes, total_bytes);
}

static vde_status attempt(void *context)
{
    struct repair_run *run = context;
    return vde_repair(run->cli->image_path, &run->opts, &run->summary);
}

static void print(struct repair_run *run, bool apply)
{
    const struct vde_repair_summary *s = &run->summary;
    if (run->cli->json) {
        json_t *object = json_object();
        json_put(object, "image", json_str(run->cli->image_path));
        json_put(object, "applied", json_boolean(apply));
        json_put(object, "planned", json_u64(s->planned));
        json_put(object, "done", json_u64(s->done));
        json_put(object, "impossible", json_u64(s->impossible));
        json_put(object, "actions", json_incref(run->actions));
        json_put(object, "finding_count", apply ? json_u64(s->findings) : json_null());
        json_put(object, "findings", json_incref(run->findings));
        json_print(object);
        return;
    }
    if (apply)
        out_field("result", WIDTH, "%llu done, %llu impossible; %llu finding%s afterwards", (unsigned long long)s->done,
                  (unsigned long long)s->impossible, (unsigned long long)s->findings, s->findings == 1 ? "" : "s");
    else if (s->planned == 0)
        out_field("result", WIDTH, "nothing to do%s", s->impossible ? " that could be done" : "");
    else
        out_field("result", WIDTH, "%llu planned, %llu impossible; nothing was written: --apply does it",
                  (unsigned long long)s->planned, (unsigned long long)s->impossible);
}

static int run_repair(struct cli *cli)
{
    bool apply = cli_switch(cli, "apply");
    struct repair_run run = {.cli = cli, .actions = json_array(), .findings = json_array(), .opts = VDE_REPAIR_OPTS_INIT};
    run.opts.flags = apply ? VDE_REPAIR_APPLY : 0;
    run.opts.backend = cli_option(cli, "backend");
    run.opts.action = on_action;
    run.opts.finding = on_finding;
    run.opts.progress = on_progress;
    run.opts.context = &run;
    vde_status status = cli_wait_busy(cli, attempt, &run);
    progress_done();
    int result = CLI_DONE;
    if (status != VDE_OK) {
        result = cli_failed_image(cli, status);
    } else {
        print(&run, apply);
        if (run.summary.impossible || run.summary.planned || run.summary.findings)
            result = CLI_DAMAGE;
    }
    json_decref(run.actions);
    json_decref(run.findings);
    return result;
}

static const struct cli_option repair_options[] = {
    {"apply", NULL, "do it, and check the image again"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_repair = {
    .verb = "repair",
    .arguments = "",
    .summary = "put right labels, superblocks and bitmaps from what proves them; says what it would do",
    .flags = CLI_IMAGE | CLI_OPENS,
    .options = repair_options,
    .notes = "Without --apply nothing is written. Labels and superblocks are taken from their other copy, bitmaps from a walk\n"
             "over everything reachable. Exit status 5 while damage is left.",
    .run = run_repair,
};
