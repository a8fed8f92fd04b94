/* SPDX-License-Identifier: Apache-2.0 */
/* scenario_volume.c -- B3 a durable 4 KiB write, B5 snapshots and clones by size of the volume, B6 CPU on a memory device. */
#include "block.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- B3 ----------------------------------------------------------------------------------------------------------- */

enum { DURABLE_BLOCKS = 65536 };

struct durable {
    vde_volume *volume;
    uint64_t *block;
};

static void durable_commit(struct actor *actor, unsigned writer)
{
    struct durable *durable = actor->state;
    uint64_t number = actor->commits[writer]++, place = bench_mix(number) % DURABLE_BLOCKS;
    durable->block[0] = number;
    bench_must(vde_volume_write(durable->volume, durable->block, 4096, place * 4096, 0), "write");
    bench_must(vde_volume_flush(durable->volume), "flush");
}

static void durable_verify(struct actor *actor)
{
    struct durable *durable = actor->state;
    uint64_t found[512], number = actor->commits[0];
    if (number == 0 || !durable->volume)
        return;
    bench_must(vde_volume_read(durable->volume, found, sizeof found, bench_mix(number - 1) % DURABLE_BLOCKS * 4096), "read");
    if (found[0] != number - 1)
        bench_die("volume: wrong block");
}

static void durable_detach(struct actor *actor)
{
    struct durable *durable = actor->state;
    vde_volume_close(durable->volume);
    durable->volume = NULL;
}

static void durable_close(struct actor *actor)
{
    durable_detach(actor);
    free(((struct durable *)actor->state)->block);
}

json_t *scenario_b3(const struct bench_config *config)
{
    json_t *result = report_begin(config, "B3");
    struct field field = {0};
    struct subject subject;
    subject_format(&subject, config, "b3.vde", false);
    field.floor = floor_open(config, 1);
    struct actor *actor = actor_new("write+flush", 1, sizeof(struct durable));
    struct durable *durable = actor->state;
    actor->commit = durable_commit;
    actor->verify = durable_verify;
    actor->detach = durable_detach;
    actor->close = durable_close;
    durable->volume = block_volume(subject.image, "disk", (uint64_t)DURABLE_BLOCKS * 4096);
    durable->block = aligned_alloc(4096, 4096);
    if (!durable->block)
        bench_die("out of memory");
    memset(durable->block, 0x5a, 4096);
    block_fill(durable->volume, (uint64_t)DURABLE_BLOCKS * 4096);
    field_add(&field, actor);
    field_prove(&field);
    interleave(config, &field, result);
    report_ratio(result, "write+flush / floor", "write+flush", "p50_us", "floor", "p50_us", false, 1.25);
    field_verify(&field, &subject, config);
    field_close(&field);
    subject_close(&subject, config->keep);
    return result;
}

/* --- B5 ----------------------------------------------------------------------------------------------------------- */

enum { CREATIONS = 50 };

/* 64 MiB in blocks all over the volume. */
static void scatter(vde_volume *volume, uint64_t size, uint64_t blocks, uint64_t seed)
{
    uint64_t block[512];
    memset(block, 0x33, sizeof block);
    for (uint64_t i = 0; i < blocks; i++) {
        block[0] = seed + i;
        bench_must(vde_volume_write(volume, block, 4096, bench_mix(i) % (size / 4096) * 4096, 0), "write");
    }
    bench_must(vde_volume_flush(volume), "flush");
}

static void time_creations(const struct subject *subject, const char *name, uint64_t id, struct samples *snapshots,
                           struct samples *clones)
{
    for (unsigned i = 0; i < CREATIONS; i++) {
        char snapshot[32], clone[64];
        snprintf(snapshot, sizeof snapshot, "s%u", i);
        snprintf(clone, sizeof clone, "%s-clone%u", name, i);
        double begun = bench_now();
        bench_must(vde_snapshot_create(subject->image, id, snapshot, NULL), "snapshot");
        samples_add(snapshots, bench_now() - begun, 0);
        bench_must(vde_image_checkpoint(subject->image), "checkpoint");
        begun = bench_now();
        bench_must(vde_volume_clone(subject->image, name, snapshot, clone), "clone");
        samples_add(clones, bench_now() - begun, 0);
        bench_must(vde_volume_delete(subject->image, clone), "delete");
    }
}

/* Change a hundredth, delete the snapshot before it, and wait until its space is back. */
static double time_delete(const struct subject *subject, vde_volume *volume, uint64_t size, uint64_t id)
{
    char last[32];
    snprintf(last, sizeof last, "s%d", CREATIONS - 1);
    scatter(volume, size, 164, 77);
    bench_must(vde_image_checkpoint(subject->image), "checkpoint");
    double begun = bench_now();
    bench_must(vde_snapshot_delete(subject->image, id, last), "delete");
    bench_must(vde_image_checkpoint(subject->image), "checkpoint");
    return bench_now() - begun;
}

json_t *scenario_b5(const struct bench_config *config)
{
    static const uint64_t sizes[] = {1ull << 30, 64ull << 30, 1ull << 40, 16ull << 40};
    json_t *result = report_begin(config, "B5");
    struct subject subject;
    struct noise noise;
    double first = 0, last = 0;
    noise_begin(&noise);
    subject_format(&subject, config, "b5.vde", false);
    for (unsigned i = 0; i < 4; i++) {
        char name[32];
        struct samples snapshots = {0}, clones = {0};
        snprintf(name, sizeof name, "%llu GiB", (unsigned long long)(sizes[i] >> 30));
        vde_volume *volume = block_volume(subject.image, name, sizes[i]);
        uint64_t id = block_volume_id(subject.image, name);
        scatter(volume, sizes[i], 16384, 1);
        time_creations(&subject, name, id, &snapshots, &clones);
        json_t *row = report_row(result, name);
        json_object_set_new(row, "p50_us", json_real(samples_at(&snapshots, 0.5) * 1e6));
        json_object_set_new(row, "clone_p50_us", json_real(samples_at(&clones, 0.5) * 1e6));
        json_object_set_new(row, "delete_us", json_real(time_delete(&subject, volume, sizes[i], id) * 1e6));
        last = samples_at(&snapshots, 0.5) * 1e6;
        first = i == 0 ? last : first;
        vde_volume_close(volume);
        samples_free(&snapshots);
        samples_free(&clones);
    }
    report_target(result, "snapshot of 16 TiB / of 1 GiB", last / first, false, 1.5);
    json_object_set_new(result, "noise", noise_end(&noise));
    subject_close(&subject, config->keep);
    return result;
}

/* --- B6 ----------------------------------------------------------------------------------------------------------- */

json_t *scenario_b6(const struct bench_config *config)
{
    static const struct load read = {"read", "randread", VDE_VOLUME_OP_READ, false, 32, 4096};
    static const struct load write = {"write", "randwrite", VDE_VOLUME_OP_WRITE, false, 32, 4096};
    json_t *result = report_begin(config, "B6");
    struct vde_format_opts format = VDE_FORMAT_OPTS_INIT;
    struct vde_device *device;
    vde_image *image;
    struct noise noise;
    uint64_t span = 256ull << 20;
    noise_begin(&noise);
    bench_must(vde_device_memory(span * 4, &device), "memory device");
    bench_must(vde_image_format_device(device, &format), "format");
    bench_must(vde_image_open_device(device, NULL, &image), "open");
    vde_volume *volume = block_volume(image, "disk", span);
    block_fill(volume, span);
    const struct load *loads[] = {&read, &write};
    for (unsigned l = 0; l < 2; l++) {
        struct turn *turns = bench_alloc(config->rounds * sizeof *turns);
        double *cpu = bench_alloc(config->rounds * sizeof *cpu);
        for (unsigned i = 0; i < config->rounds; i++) {
            turns[i] = block_volume_turn(image, volume, loads[l], config->seconds, span);
            cpu[i] = turns[i].cpu_us;
        }
        block_row(result, loads[l]->name, turns, turns, config->rounds);
        report_target(result, l == 0 ? "CPU us per 4 KiB read" : "CPU us per 4 KiB write", bench_median(cpu, config->rounds),
                      false, l == 0 ? 2 : 2.5);
        free(turns);
        free(cpu);
    }
    vde_volume_close(volume);
    bench_must(vde_image_close(image), "close");
    device->ops->close(device);
    json_object_set_new(result, "noise", noise_end(&noise));
    return result;
}
