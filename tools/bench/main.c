/* SPDX-License-Identifier: Apache-2.0 */
/* main.c -- vde-bench: see docs/benchmarks.md. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static const char usage[] =
    "usage: vde-bench [options] SCENARIO...\n"
    "       vde-bench --open-once IMAGE TABLE\n"
    "scenarios: C1 C2 C4 T1, the engine without tables: C1e C2e, volumes: B1 B2 (with W1) B3 B4 B5 B6 B7, crashes: R1 R2\n"
    "  --dir DIR          where images and peers' files lie, a real disk (.)\n"
    "  --runs N           repetitions, to be compared (2)\n"
    "  --ops N            C1 C4: operations of each participant (5000)\n"
    "  --seconds S        C2, volumes: length of a turn (2)\n"
    "  --turns N          C2, volumes: turns of each participant (5)\n"
    "  --writers N        C2: writers, each with a table of its own; even (64)\n"
    "  --files N          T1: files of the table (300000)\n"
    "  --export DIR       T1: export the table's log there\n"
    "  --image-size MIB   size of the image, fully written before it is formatted (2048)\n"
    "  --volume-size MIB  B1 B2 B7: size of the volume (a third of the image)\n"
    "  --commits N        R1 R2: commits before the crash (1000000)\n"
    "  --checkpoint-ms N  checkpoints at least this often (1000)\n"
    "  --seed N           of all data (1)\n"
    "  --no-peers         floor and subjects only\n"
    "  --keep             leave the image\n"
    "  --json FILE        append one JSON object per scenario and run\n";

enum { OPT_DIR = 1, OPT_RUNS, OPT_OPS, OPT_SECONDS, OPT_TURNS, OPT_WRITERS, OPT_FILES, OPT_EXPORT, OPT_SIZE,
       OPT_VOLUME, OPT_COMMITS,
       OPT_CHECKPOINT, OPT_SEED, OPT_NO_PEERS, OPT_KEEP, OPT_JSON, OPT_OPEN_ONCE, OPT_HELP };
static const struct option options[] = {
    {"dir", 1, NULL, OPT_DIR},           {"runs", 1, NULL, OPT_RUNS},
    {"ops", 1, NULL, OPT_OPS},           {"seconds", 1, NULL, OPT_SECONDS},
    {"turns", 1, NULL, OPT_TURNS},       {"writers", 1, NULL, OPT_WRITERS},
    {"files", 1, NULL, OPT_FILES},       {"export", 1, NULL, OPT_EXPORT},
    {"image-size", 1, NULL, OPT_SIZE},   {"checkpoint-ms", 1, NULL, OPT_CHECKPOINT},
    {"seed", 1, NULL, OPT_SEED},         {"no-peers", 0, NULL, OPT_NO_PEERS},
    {"keep", 0, NULL, OPT_KEEP},         {"json", 1, NULL, OPT_JSON},
    {"volume-size", 1, NULL, OPT_VOLUME}, {"commits", 1, NULL, OPT_COMMITS},
    {"open-once", 0, NULL, OPT_OPEN_ONCE}, {"help", 0, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

struct call {
    struct bench_config config;
    unsigned runs;
    const char *json;
    bool open_once;
};

static uint64_t number(const char *text)
{
    char *end;
    uint64_t value = strtoull(text, &end, 10);
    if (*end || value == 0)
        bench_die("\"%s\" is not a number above 0", text);
    return value;
}

static void take_option(struct call *call, int option)
{
    struct bench_config *config = &call->config;
    switch (option) {
    case OPT_DIR: config->dir = optarg; break;
    case OPT_RUNS: call->runs = (unsigned)number(optarg); break;
    case OPT_OPS: config->ops = number(optarg); break;
    case OPT_SECONDS: config->seconds = strtod(optarg, NULL); break;
    case OPT_TURNS: config->rounds = (unsigned)number(optarg); break;
    case OPT_WRITERS: config->writers = (unsigned)number(optarg); break;
    case OPT_FILES: config->files = number(optarg); break;
    case OPT_EXPORT: config->export_dir = optarg; break;
    case OPT_SIZE: config->image_bytes = number(optarg) << 20; break;
    case OPT_VOLUME: config->volume_bytes = number(optarg) << 20; break;
    case OPT_COMMITS: config->commits = number(optarg); break;
    case OPT_CHECKPOINT: config->checkpoint_ms = (unsigned)number(optarg); break;
    case OPT_SEED: config->seed = number(optarg); break;
    case OPT_NO_PEERS: config->peers = false; break;
    case OPT_KEEP: config->keep = true; break;
    case OPT_JSON: call->json = optarg; break;
    case OPT_OPEN_ONCE: call->open_once = true; break;
    case OPT_HELP: fputs(usage, stdout); exit(0);
    default: fputs(usage, stderr); exit(2);
    }
}

static void append_json(const char *path, const json_t *result)
{
    FILE *file = fopen(path, "ae");
    if (!file || json_dumpf(result, file, JSON_COMPACT | JSON_REAL_PRECISION(6)) != 0 || fputc('\n', file) == EOF ||
        fclose(file) != 0)
        bench_die("%s could not be written", path);
}

static void run_scenario(struct call *call, const char *name)
{
    static const struct {
        const char *name;
        json_t *(*run)(const struct bench_config *config);
    } scenarios[] = {{"C1", scenario_c1},   {"C1e", scenario_c1e}, {"C2", scenario_c2},
                     {"C2e", scenario_c2e}, {"C4", scenario_c4},   {"T1", scenario_t1},
                     {"B1", scenario_b1},   {"B2", scenario_b2},   {"B3", scenario_b3},
                     {"B4", scenario_b4},   {"B5", scenario_b5},   {"B6", scenario_b6},
                     {"B7", scenario_b7},   {"R1", scenario_r1},   {"R2", scenario_r2}};
    json_t *earlier = NULL;
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
        if (strcmp(scenarios[i].name, name) != 0)
            continue;
        for (unsigned run = 1; run <= call->runs; run++) {
            call->config.run = run;
            json_t *result = scenarios[i].run(&call->config);
            report_print(result);
            if (earlier)
                report_compare(earlier, result);
            if (call->json)
                append_json(call->json, result);
            json_decref(earlier);
            earlier = result;
        }
        json_decref(earlier);
        return;
    }
    bench_die("no scenario is called \"%s\"", name);
}

int main(int argc, char **argv)
{
    struct call call = {
        .config = {.dir = ".", .ops = 5000, .seconds = 2, .rounds = 5, .writers = 64, .files = 300000, .seed = 1,
                   .image_bytes = 2048ull << 20, .checkpoint_ms = 1000, .commits = 1000000,
                   .peers = true},
        .runs = 2,
    };
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
        take_option(&call, option);
    if (optind == argc || call.config.writers % 2 != 0) {
        fputs(usage, stderr);
        return 2;
    }
    if (call.open_once)
        return optind + 2 == argc ? open_once(argv[optind], argv[optind + 1]) : 2;
    while (optind < argc)
        run_scenario(&call, argv[optind++]);
    return 0;
}
