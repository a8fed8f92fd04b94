/* SPDX-License-Identifier: Apache-2.0 */
/* block.c -- load on a volume by the asynchronous queue, on a raw file by fio. */
#include "block.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a block holds: the number of the block, so that wrong places are noticed, over and over. */
static void stamp(uint64_t *words, uint64_t offset, uint32_t bytes)
{
    for (uint32_t at = 0; at < bytes; at += 4096) {
        uint64_t value = bench_mix(offset + at + 1);
        for (unsigned i = 0; i < 512; i++)
            words[at / 8 + i] = value + i;
    }
}

static void compare(const uint64_t *words, uint64_t offset, uint32_t bytes)
{
    for (uint32_t at = 0; at < bytes; at += 4096)
        if (words[at / 8] != bench_mix(offset + at + 1) || words[at / 8 + 511] != bench_mix(offset + at + 1) + 511)
            bench_die("offset %llu holds something else than was written", (unsigned long long)(offset + at));
}

vde_volume *block_volume(vde_image *image, const char *name, uint64_t bytes)
{
    struct vde_volume_opts options = VDE_VOLUME_OPTS_INIT;
    vde_volume *volume;
    options.size_bytes = bytes;
    bench_must(vde_volume_create(image, name, &options), "volume create");
    bench_must(vde_volume_open(image, name, NULL, &volume), "volume open");
    return volume;
}

uint64_t block_volume_id(vde_image *image, const char *name)
{
    struct vde_volume_info info;
    vde_view *view;
    bench_must(vde_view_open(image, &view), "view");
    bench_must(vde_volume_get(view, name, &info), "volume");
    vde_view_close(view);
    return info.id;
}

void block_fill(vde_volume *volume, uint64_t span)
{
    enum { PART = 1 << 20 };
    uint64_t *words = aligned_alloc(4096, PART);
    if (!words)
        bench_die("out of memory");
    for (uint64_t at = 0; at < span; at += PART) {
        stamp(words, at, PART);
        bench_must(vde_volume_write(volume, words, PART, at, 0), "fill");
    }
    bench_must(vde_volume_flush(volume), "flush");
    free(words);
}

struct flow {
    const struct load *load;
    vde_volume *volume;
    uint64_t span, next, random;
};

static void next_request(struct flow *flow, struct vde_volume_request *request)
{
    uint64_t places = flow->span / flow->load->bytes;
    uint64_t place = flow->load->sequential ? flow->next++ % places : (flow->random = bench_mix(flow->random)) % places;
    request->volume = flow->volume;
    request->op = (uint8_t)flow->load->op;
    request->size = flow->load->bytes;
    request->offset = place * flow->load->bytes;
    if (request->op == VDE_VOLUME_OP_WRITE)
        stamp(request->buffer, request->offset, flow->load->bytes);
}

static void completed(const struct vde_volume_request *request)
{
    bench_must(request->status, "request");
    if (request->op == VDE_VOLUME_OP_READ)
        compare(request->buffer, request->offset, (uint32_t)request->size);
}

struct turn block_volume_turn(vde_image *image, vde_volume *volume, const struct load *load, double seconds, uint64_t span)
{
    struct flow flow = {load, volume, span, 0, (uint64_t)(bench_now() * 1e9)};
    struct vde_volume_request *requests = bench_alloc(load->depth * sizeof *requests), *done[256];
    uint8_t *buffers = aligned_alloc(4096, (size_t)load->depth * load->bytes);
    vde_volume_queue *queue;
    uint64_t operations = 0;
    uint32_t flying = load->depth, count;
    bench_must(vde_volume_queue_create(image, load->depth, &queue), "queue");
    double cpu = bench_process_cpu(), begun = bench_now();
    for (uint32_t i = 0; i < load->depth; i++) {
        requests[i].buffer = buffers + (size_t)i * load->bytes;
        next_request(&flow, &requests[i]);
        bench_must(vde_volume_submit(queue, &requests[i]), "submit");
    }
    while (flying > 0) {
        bench_must(vde_volume_reap(queue, done, 256, true, &count), "reap");
        bool stop = bench_now() - begun >= seconds;
        operations += count;
        for (uint32_t i = 0; i < count; i++) {
            completed(done[i]);
            if (stop) {
                flying--;
                continue;
            }
            next_request(&flow, done[i]);
            bench_must(vde_volume_submit(queue, done[i]), "submit");
        }
    }
    double time = bench_now() - begun;
    cpu = bench_process_cpu() - cpu;
    vde_volume_queue_destroy(queue);
    free(requests);
    free(buffers);
    return (struct turn){(double)operations / time, cpu / (double)operations * 1e6};
}

static double number_at(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

struct turn block_fio_turn(const char *path, const struct load *load, double seconds, uint64_t span, unsigned seed)
{
    char command[1024];
    snprintf(command, sizeof command,
             "fio --name=floor --filename='%s' --ioengine=io_uring --direct=1 --rw=%s --bs=%u --iodepth=%u --size=%llu "
             "--runtime=%.1f --time_based --norandommap --randrepeat=0 --randseed=%u --output-format=json 2>/dev/null",
             path, load->fio, load->bytes, load->depth, (unsigned long long)span, seconds, seed);
    FILE *pipe = popen(command, "re"); /* NOLINT(cert-env33-c): a benchmark starts its peer, with arguments of its own */
    json_error_t error;
    json_t *report = pipe ? json_loadf(pipe, 0, &error) : NULL;
    if (!report || pclose(pipe) != 0)
        bench_die("fio is needed for the floor and did not run");
    const json_t *job = json_array_get(json_object_get(report, "jobs"), 0);
    const json_t *side = json_object_get(job, load->op == VDE_VOLUME_OP_READ ? "read" : "write");
    double iops = number_at(side, "iops");
    double cpu = (number_at(job, "usr_cpu") + number_at(job, "sys_cpu")) / 100;
    json_decref(report);
    if (iops <= 0)
        bench_die("fio reported no operations");
    return (struct turn){iops, cpu / iops * 1e6};
}

double block_row(json_t *result, const char *name, const struct turn *floor, const struct turn *subject, unsigned count)
{
    double *a = bench_alloc(count * sizeof *a), *b = bench_alloc(count * sizeof *b), *r = bench_alloc(count * sizeof *r);
    double *c = bench_alloc(count * sizeof *c);
    for (unsigned i = 0; i < count; i++) {
        a[i] = floor[i].iops;
        b[i] = subject[i].iops;
        r[i] = subject[i].iops / floor[i].iops;
        c[i] = subject[i].cpu_us;
    }
    double ratio = bench_median(r, count);
    json_t *row = report_row(result, name);
    json_object_set_new(row, "floor_per_second", json_real(bench_median(a, count)));
    json_object_set_new(row, "per_second", json_real(bench_median(b, count)));
    json_object_set_new(row, "cpu_us", json_real(bench_median(c, count)));
    json_object_set_new(row, "ratio", json_real(ratio));
    free(a);
    free(b);
    free(c);
    free(r);
    return ratio;
}
