/* SPDX-License-Identifier: Apache-2.0 */
/* scenario_block.c -- a volume against the raw device: B1 reads, B2 random writes and what they cost the device (W1), B4
 * with snapshots, B7 in a nearly full image. fio on a file of the same size is the floor, turn by turn. */
#include "block.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct load READ_SEQ = {"sequential read 1 MiB", "read", VDE_VOLUME_OP_READ, true, 8, 1 << 20};
static const struct load READ_1 = {"random read QD1", "randread", VDE_VOLUME_OP_READ, false, 1, 4096};
static const struct load READ_32 = {"random read QD32", "randread", VDE_VOLUME_OP_READ, false, 32, 4096};
static const struct load WRITE_1 = {"random write QD1", "randwrite", VDE_VOLUME_OP_WRITE, false, 1, 4096};
static const struct load WRITE_32 = {"random write QD32", "randwrite", VDE_VOLUME_OP_WRITE, false, 32, 4096};

struct bench_block {
    const struct bench_config *config;
    struct subject subject;
    vde_volume *volume;
    char *raw;
    uint64_t span;
    unsigned turns; /* made so far: fio's seed */
    struct noise noise;
};

/* A third of the image unless told otherwise: room for what copy-on-write holds back. */
static void begin(struct bench_block *b, const struct bench_config *config, const char *name)
{
    *b = (struct bench_block){.config = config, .span = config->volume_bytes};
    if (b->span == 0)
        b->span = config->image_bytes / 3 >> 20 << 20;
    subject_format(&b->subject, config, name, false);
    b->raw = bench_path(config->dir, "block-floor");
    bench_prewrite(b->raw, b->span, config->seed + 1);
    b->volume = block_volume(b->subject.image, "disk", b->span);
    block_fill(b->volume, b->span);
    bench_must(vde_image_checkpoint(b->subject.image), "checkpoint");
    noise_begin(&b->noise);
}

static void end(struct bench_block *b, json_t *result)
{
    json_object_set_new(result, "noise", noise_end(&b->noise));
    vde_volume_close(b->volume);
    subject_close(&b->subject, b->config->keep);
    unlink(b->raw);
    free(b->raw);
}

static double measure(struct bench_block *b, json_t *result, const char *name, const struct load *load)
{
    unsigned rounds = b->config->rounds;
    struct turn *floor = bench_alloc(rounds * sizeof *floor), *subject = bench_alloc(rounds * sizeof *subject);
    for (unsigned i = 0; i < rounds; i++) {
        floor[i] = block_fio_turn(b->raw, load, b->config->seconds, b->span, ++b->turns);
        subject[i] = block_volume_turn(b->subject.image, b->volume, load, b->config->seconds, b->span);
    }
    double ratio = block_row(result, name, floor, subject, rounds);
    free(floor);
    free(subject);
    return ratio;
}

json_t *scenario_b1(const struct bench_config *config)
{
    json_t *result = report_begin(config, "B1");
    struct bench_block b;
    begin(&b, config, "b1.vde");
    report_target(result, "sequential, fresh / raw", measure(&b, result, "sequential read, fresh", &READ_SEQ), true, 0.95);
    report_target(result, "QD1 / raw", measure(&b, result, READ_1.name, &READ_1), true, 0.95);
    report_target(result, "QD32 / raw", measure(&b, result, READ_32.name, &READ_32), true, 0.9);
    end(&b, result);
    return result;
}

/* Device bytes per byte written, since `before`. */
static void report_amplification(struct bench_block *b, json_t *result, const struct vde_image_counters *before,
                                 double blocks)
{
    struct vde_image_counters after;
    bench_must(vde_image_checkpoint(b->subject.image), "checkpoint");
    vde_image_counters(b->subject.image, &after);
    double bytes = (double)(after.heap_bytes_written - before->heap_bytes_written + after.log_bytes_written -
                            before->log_bytes_written);
    report_target(result, "W1 device bytes / bytes written", bytes / (blocks * 4096), false, 1.3);
}

json_t *scenario_b2(const struct bench_config *config)
{
    json_t *result = report_begin(config, "B2");
    struct bench_block b;
    struct vde_image_counters before;
    begin(&b, config, "b2.vde");
    report_target(result, "QD1 / raw", measure(&b, result, WRITE_1.name, &WRITE_1), true, 0.95);
    measure(&b, result, "QD32, first turns", &WRITE_32); /* into the steady state */
    report_target(result, "QD32 / raw", measure(&b, result, WRITE_32.name, &WRITE_32), true, 1.5);
    vde_image_counters(b.subject.image, &before);
    struct turn turn = block_volume_turn(b.subject.image, b.volume, &WRITE_32, config->seconds * 2, b.span);
    report_amplification(&b, result, &before, turn.iops * config->seconds * 2);
    measure(&b, result, "sequential read, aged", &READ_SEQ);
    measure(&b, result, "random read QD32, aged", &READ_32);
    uint64_t offset = 0, rewritten, total = 0;
    do {
        bench_must(vde_volume_defrag(b.volume, &offset, 64u << 20, &rewritten), "defrag");
        total += rewritten;
    } while (offset != 0);
    json_object_set_new(result, "defrag_bytes", json_integer((json_int_t)total));
    report_target(result, "sequential after defrag / raw", measure(&b, result, "sequential read, defragmented", &READ_SEQ),
                  true, 0.7);
    end(&b, result);
    return result;
}

enum { B4_VOLUMES = 3, B4_SHARE = 48 }; /* each a 48th of the image: snapshots hold old blocks as well */

static vde_volume *with_snapshots(struct bench_block *b, unsigned snapshots, uint64_t part)
{
    char name[32];
    uint64_t block[512] = {0};
    snprintf(name, sizeof name, "disk%u", snapshots);
    vde_volume *volume = block_volume(b->subject.image, name, part);
    uint64_t id = block_volume_id(b->subject.image, name);
    block_fill(volume, part);
    for (unsigned i = 0; i < snapshots; i++) {
        snprintf(name, sizeof name, "s%u", i);
        bench_must(vde_snapshot_create(b->subject.image, id, name, NULL), "snapshot");
        uint64_t place = bench_mix(i) % (part / 4096) * 4096;
        bench_must(vde_volume_read(volume, block, 4096, place), "read"); /* and written again: no snapshot is like another */
        bench_must(vde_volume_write(volume, block, 4096, place, 0), "write");
    }
    return volume;
}

/* Three volumes in one image, with 0, 10 and 1000 snapshots, in turns. */
json_t *scenario_b4(const struct bench_config *config)
{
    static const unsigned steps[B4_VOLUMES] = {0, 10, 1000};
    json_t *result = report_begin(config, "B4");
    struct bench_block b;
    struct turn *writes[B4_VOLUMES], *reads[B4_VOLUMES];
    vde_volume *volumes[B4_VOLUMES];
    begin(&b, config, "b4.vde");
    uint64_t part = config->image_bytes / B4_SHARE >> 20 << 20;
    for (unsigned s = 0; s < B4_VOLUMES; s++) {
        volumes[s] = with_snapshots(&b, steps[s], part);
        writes[s] = bench_alloc(config->rounds * sizeof **writes);
        reads[s] = bench_alloc(config->rounds * sizeof **reads);
    }
    for (unsigned i = 0; i < config->rounds; i++) {
        for (unsigned s = 0; s < B4_VOLUMES; s++)
            writes[s][i] = block_volume_turn(b.subject.image, volumes[s], &WRITE_32, config->seconds, part);
        for (unsigned s = 0; s < B4_VOLUMES; s++)
            reads[s][i] = block_volume_turn(b.subject.image, volumes[s], &READ_32, config->seconds, part);
    }
    for (unsigned s = 0; s < B4_VOLUMES; s++) {
        char name[64];
        snprintf(name, sizeof name, "random write QD32, %u snapshots", steps[s]);
        double write = block_row(result, name, writes[0], writes[s], config->rounds);
        snprintf(name, sizeof name, "random read QD32, %u snapshots", steps[s]);
        double read = block_row(result, name, reads[0], reads[s], config->rounds);
        if (s > 0) {
            report_target(result, s == 1 ? "writes with 10 / without" : "writes with 1000 / without", write, true, 0.95);
            report_target(result, s == 1 ? "reads with 10 / without" : "reads with 1000 / without", read, true, 0.95);
        }
        vde_volume_close(volumes[s]);
    }
    for (unsigned s = 0; s < B4_VOLUMES; s++) {
        free(writes[s]);
        free(reads[s]);
    }
    end(&b, result);
    return result;
}

/* Fill the image with a second volume until nine tenths are used, overwrite the first one three times at random. */
json_t *scenario_b7(const struct bench_config *config)
{
    json_t *result = report_begin(config, "B7");
    struct bench_block b;
    struct vde_image_info info;
    begin(&b, config, "b7.vde");
    double before = measure(&b, result, "random write QD32, one third full", &WRITE_32);
    vde_image_info(b.subject.image, &info);
    uint64_t total = info.used_bytes + info.free_bytes, fill = total / 10 * 9;
    uint64_t ballast = fill > info.used_bytes ? (fill - info.used_bytes) >> 20 << 20 : 1 << 20;
    vde_volume *volume = block_volume(b.subject.image, "ballast", ballast);
    block_fill(volume, ballast);
    vde_volume_close(volume);
    struct turn turn = {1, 0};
    uint64_t blocks = 0;
    while (blocks < 3 * b.span / 4096) {
        turn = block_volume_turn(b.subject.image, b.volume, &WRITE_32, config->seconds, b.span);
        blocks += (uint64_t)(turn.iops * config->seconds);
    }
    double after = measure(&b, result, "random write QD32, 90 % full, overwritten three times", &WRITE_32);
    report_target(result, "90 % full / one third full", after / before, true, 0.7);
    end(&b, result);
    return result;
}
