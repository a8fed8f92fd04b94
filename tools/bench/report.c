/* SPDX-License-Identifier: Apache-2.0 */
/* report.c -- one JSON object per scenario and run, and a table made from it. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define AGREEMENT 0.10 /* two runs agree when their ratios differ by no more */

static void first_line(const char *path, const char *prefix, char *text, size_t size)
{
    char line[512];
    FILE *file = fopen(path, "re");
    text[0] = 0;
    while (file && fgets(line, sizeof line, file)) {
        const char *colon = strstr(line, ": ");
        if (strncmp(line, prefix, strlen(prefix)) != 0 || !colon)
            continue;
        snprintf(text, size, "%s", colon + 2);
        text[strcspn(text, "\n")] = 0;
        break;
    }
    if (file)
        fclose(file);
}

static json_t *machine(void)
{
    struct utsname names;
    char model[128];
    uname(&names);
    first_line("/proc/cpuinfo", "model name", model, sizeof model);
    return json_pack("{s:s, s:I, s:s, s:s}", "processor", model, "processors",
                     (json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "kernel", names.release, "vde", vde_version());
}

json_t *report_begin(const struct bench_config *config, const char *scenario)
{
    char time[LH_TIME_TEXT];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    lh_time_text((uint64_t)now.tv_sec * 1000000, time);
    return json_pack("{s:s, s:i, s:s, s:o, s:{s:I, s:I, s:f, s:i, s:i, s:I, s:I, s:i}, s:[], s:[]}", "scenario", scenario,
                     "run", (int)config->run, "started", time, "machine", machine(), "config", "seed",
                     (json_int_t)config->seed, "ops", (json_int_t)config->ops, "turn_seconds", config->seconds, "turns",
                     (int)config->rounds, "writers", (int)config->writers, "files", (json_int_t)config->files,
                     "image_bytes", (json_int_t)config->image_bytes, "checkpoint_ms", (int)config->checkpoint_ms, "rows",
                     "targets");
}

json_t *report_row(json_t *result, const char *name)
{
    json_t *row = json_pack("{s:s}", "name", name);
    json_array_append_new(json_object_get(result, "rows"), row);
    return row;
}

json_t *report_find(const json_t *result, const char *name)
{
    size_t index;
    json_t *row;
    json_array_foreach(json_object_get(result, "rows"), index, row)
    {
        if (strcmp(json_string_value(json_object_get(row, "name")), name) == 0)
            return row;
    }
    return NULL;
}

void report_target(json_t *result, const char *label, double value, bool at_least, double target)
{
    bool met = at_least ? value >= target : value <= target;
    json_array_append_new(json_object_get(result, "targets"),
                          json_pack("{s:s, s:f, s:s, s:f, s:b}", "what", label, "value", value, "bound",
                                    at_least ? "at least" : "at most", "target", target, "met", (int)met));
}

void report_ratio(json_t *result, const char *label, const char *over, const char *over_field, const char *under,
                  const char *under_field, bool at_least, double target)
{
    const json_t *above = report_find(result, over), *below = report_find(result, under);
    if (above && below)
        report_target(result, label,
                      json_number_value(json_object_get(above, over_field)) /
                          json_number_value(json_object_get(below, under_field)),
                      at_least, target);
}

static void print_cell(const json_t *row, const char *field, int width, int decimals)
{
    const json_t *value = json_object_get(row, field);
    if (value)
        printf(" %*.*f", width, decimals, json_number_value(value));
    else
        printf(" %*s", width, "-");
}

void report_print(const json_t *result)
{
    size_t index;
    json_t *row;
    const json_t *noise = json_object_get(result, "noise");
    printf("\n%s, run %lld, %s: others used %.0f %% of the processors, %.0f %% were stolen\n",
           json_string_value(json_object_get(result, "scenario")),
           (long long)json_integer_value(json_object_get(result, "run")),
           json_string_value(json_object_get(result, "started")),
           100 * json_number_value(json_object_get(noise, "other_cpu_share")),
           100 * json_number_value(json_object_get(noise, "steal_share")));
    printf("%-26s %8s %9s %10s %10s %10s %9s %9s %8s\n", "", "count", "per sec", "p50 us", "p99 us", "p99.9 us", "cpu us",
           "x floor", "fairness");
    json_array_foreach(json_object_get(result, "rows"), index, row)
    {
        printf("%-26s", json_string_value(json_object_get(row, "name")));
        print_cell(row, "count", 8, 0);
        print_cell(row, "per_second", 9, 0);
        print_cell(row, "p50_us", 10, 1);
        print_cell(row, "p99_us", 10, 1);
        print_cell(row, "p999_us", 10, 1);
        print_cell(row, "cpu_us", 9, 1);
        print_cell(row, "ratio", 9, 3);
        print_cell(row, "fairness", 8, 2);
        printf("\n");
    }
    json_array_foreach(json_object_get(result, "targets"), index, row)
        printf("  %-28s %8.3f   %s %g: %s\n", json_string_value(json_object_get(row, "what")),
               json_number_value(json_object_get(row, "value")), json_string_value(json_object_get(row, "bound")),
               json_number_value(json_object_get(row, "target")),
               json_is_true(json_object_get(row, "met")) ? "met" : "NOT MET");
    fflush(stdout);
}

void report_compare(const json_t *earlier, json_t *later)
{
    size_t index;
    json_t *row;
    double worst = 0;
    const char *name = "";
    json_array_foreach(json_object_get(later, "rows"), index, row)
    {
        const json_t *twin = report_find(earlier, json_string_value(json_object_get(row, "name")));
        double mine = json_number_value(json_object_get(row, "ratio"));
        double other = json_number_value(json_object_get(twin, "ratio"));
        double gap = fabs(mine - other) / fmin(mine, other);
        if (mine > 0 && other > 0 && gap > worst) {
            worst = gap;
            name = json_string_value(json_object_get(row, "name"));
        }
    }
    json_object_set_new(later, "agreement", json_pack("{s:f, s:s, s:b}", "largest_difference", worst, "of", name, "agree",
                                                      (int)(worst <= AGREEMENT)));
    printf("  two runs %s: largest difference of a ratio %.1f %% (%s)\n", worst <= AGREEMENT ? "agree" : "DO NOT AGREE",
           100 * worst, name);
}
