/* SPDX-License-Identifier: Apache-2.0 */
/* util.c -- clocks, samples, files. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

void bench_die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("vde-bench: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

void bench_must(vde_status status, const char *what)
{
    if (status != VDE_OK)
        bench_die("%s: %s: %s", what, vde_status_name(status), vde_last_error()->text);
}

void *bench_alloc(size_t size)
{
    void *memory = calloc(1, size);
    if (!memory)
        bench_die("out of memory");
    return memory;
}

static double seconds_of(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

double bench_now(void)
{
    return seconds_of(CLOCK_MONOTONIC);
}

double bench_thread_cpu(void)
{
    return seconds_of(CLOCK_THREAD_CPUTIME_ID);
}

double bench_process_cpu(void)
{
    return seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t bench_mix(uint64_t value)
{
    value += 0x9e3779b97f4a7c15u;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

void bench_prewrite(const char *path, uint64_t size, uint64_t seed)
{
    enum { CHUNK = 1 << 20 };
    uint64_t *chunk = bench_alloc(CHUNK);
    for (size_t i = 0; i < CHUNK / sizeof *chunk; i++)
        chunk[i] = bench_mix(seed + i) | 1;
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        bench_die("%s: %s", path, strerror(errno));
    for (uint64_t done = 0; done < size; done += CHUNK) {
        size_t part = size - done < CHUNK ? (size_t)(size - done) : CHUNK;
        if (write(fd, chunk, part) != (ssize_t)part)
            bench_die("%s: %s", path, strerror(errno));
    }
    if (fsync(fd) != 0 || close(fd) != 0)
        bench_die("%s: %s", path, strerror(errno));
    free(chunk);
}

char *bench_path(const char *dir, const char *name)
{
    size_t size = strlen(dir) + strlen(name) + 2;
    char *path = bench_alloc(size);
    snprintf(path, size, "%s/%s", dir, name);
    return path;
}

void samples_add(struct samples *samples, double value, double cpu)
{
    if (samples->count == samples->capacity) {
        samples->capacity = samples->capacity ? samples->capacity * 2 : 4096;
        samples->values = realloc(samples->values, samples->capacity * sizeof *samples->values);
        if (!samples->values)
            bench_die("out of memory");
    }
    samples->values[samples->count++] = value;
    samples->cpu += cpu;
    samples->sorted = false;
}

void samples_append(struct samples *samples, const struct samples *more)
{
    for (size_t i = 0; i < more->count; i++)
        samples_add(samples, more->values[i], 0);
    samples->cpu += more->cpu;
}

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

double samples_at(struct samples *samples, double quantile)
{
    if (samples->count == 0)
        return NAN;
    if (!samples->sorted)
        qsort(samples->values, samples->count, sizeof *samples->values, compare_doubles);
    samples->sorted = true;
    size_t at = (size_t)((double)samples->count * quantile);
    return samples->values[at < samples->count ? at : samples->count - 1];
}

void samples_free(struct samples *samples)
{
    free(samples->values);
    *samples = (struct samples){0};
}

double bench_median(const double *values, size_t count)
{
    struct samples samples = {0};
    for (size_t i = 0; i < count; i++)
        samples_add(&samples, values[i], 0);
    double middle = samples_at(&samples, 0.5);
    if (count > 0 && count % 2 == 0)
        middle = (middle + samples.values[count / 2 - 1]) / 2;
    samples_free(&samples);
    return middle;
}

static void read_ticks(struct noise *noise)
{
    unsigned long long user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, softirq = 0, steal = 0;
    FILE *file = fopen("/proc/stat", "re");
    if (!file)
        return;
    if (fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &wait, &irq,
               &softirq, &steal) != 8)
        user = nice = system = idle = wait = irq = softirq = steal = 0;
    fclose(file);
    noise->busy = user + nice + system + irq + softirq;
    noise->steal = steal;
    noise->total = noise->busy + idle + wait + steal;
}

void noise_begin(struct noise *noise)
{
    *noise = (struct noise){.cpu = bench_process_cpu(), .time = bench_now()};
    read_ticks(noise);
}

json_t *noise_end(const struct noise *noise)
{
    struct noise now = {.cpu = bench_process_cpu(), .time = bench_now()};
    read_ticks(&now);
    double processors = (double)sysconf(_SC_NPROCESSORS_ONLN);
    double total = (double)(now.total - noise->total);
    double busy = total > 0 ? (double)(now.busy - noise->busy) / total : 0;
    double own = (now.cpu - noise->cpu) / ((now.time - noise->time) * processors);
    return json_pack("{s:f, s:f, s:f, s:f}", "seconds", now.time - noise->time, "own_cpu_share", own, "other_cpu_share",
                     busy > own ? busy - own : 0.0, "steal_share",
                     total > 0 ? (double)(now.steal - noise->steal) / total : 0.0);
}
