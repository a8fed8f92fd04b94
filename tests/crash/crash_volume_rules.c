/* SPDX-License-Identifier: Apache-2.0 */
/* Threads write single sectors of the same blocks, and of the same compressed frames: none may undo what another wrote. The
 * device takes its time, so that many are between their reading and their writing.
 * ctest: timeout=300 processors=2 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vde/vde.h>
#include <vde/volume.h>

#include "stamps.h"

#define THREADS 8u
#define BLOCKS 6u
#define ROUNDS 300u
#define SECTORS 8u /* of a block: one for each thread */

/* A memory device that is slow. */
struct slow {
    struct vde_device device;
    struct vde_device *below;
};

static vde_status slow_run(struct vde_device *device, struct vde_io *ios, size_t count)
{
    struct slow *slow = (struct slow *)device;
    usleep(20);
    return slow->below->ops->run(slow->below, ios, count);
}

static vde_status slow_flush(struct vde_device *device)
{
    struct slow *slow = (struct slow *)device;
    return slow->below->ops->flush(slow->below);
}

static vde_status slow_discard(struct vde_device *device, uint64_t offset, uint64_t size)
{
    struct slow *slow = (struct slow *)device;
    return slow->below->ops->discard(slow->below, offset, size);
}

static void slow_info(struct vde_device *device, struct vde_device_info *ret_info)
{
    struct slow *slow = (struct slow *)device;
    slow->below->ops->info(slow->below, ret_info);
}

static void slow_close(struct vde_device *device)
{
    struct slow *slow = (struct slow *)device;
    slow->below->ops->close(slow->below);
}

struct writer {
    vde_volume *volume;
    unsigned number;
    uint64_t lost;
    pthread_t thread;
};

static void must(vde_status status, const char *what)
{
    if (status == VDE_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, vde_last_error()->text);
    exit(99);
}

static uint64_t stamp_for(unsigned writer, unsigned round)
{
    return ((uint64_t)round * THREADS + writer) * 2 + 2 + round % 2;
}

static void *write_sectors(void *argument)
{
    struct writer *w = argument;
    uint8_t bytes[STAMP_BYTES];
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t offset = ((uint64_t)(round % BLOCKS) * SECTORS + w->number) * STAMP_BYTES;
        if (round >= BLOCKS) { /* what it wrote there last is there still */
            must(vde_volume_read(w->volume, bytes, sizeof bytes, offset), "read");
            w->lost += !stamp_matches(bytes, stamp_for(w->number, round - BLOCKS));
        }
        stamp_fill(bytes, stamp_for(w->number, round));
        must(vde_volume_write(w->volume, bytes, sizeof bytes, offset, round % 4 == 3 ? VDE_VOLUME_FUA : 0), "write");
    }
    return NULL;
}

static uint64_t run(vde_image *image, const char *name, uint32_t compression)
{
    struct vde_volume_opts opts = VDE_VOLUME_OPTS_INIT;
    struct writer writers[THREADS];
    vde_volume *volume;
    uint64_t lost = 0;
    opts.size_bytes = 1 << 20;
    opts.compression = compression;
    must(vde_volume_create(image, name, &opts), "create");
    must(vde_volume_open(image, name, NULL, &volume), "open");
    for (unsigned i = 0; i < THREADS; i++) {
        writers[i] = (struct writer){.volume = volume, .number = i};
        if (pthread_create(&writers[i].thread, NULL, write_sectors, &writers[i]) != 0)
            exit(99);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(writers[i].thread, NULL);
        lost += writers[i].lost;
    }
    vde_volume_close(volume);
    printf("%s: %u writes to shared blocks, %llu lost\n", name, THREADS * ROUNDS, (unsigned long long)lost);
    return lost;
}

int main(void)
{
    static const struct vde_device_ops ops = {slow_run, slow_flush, slow_discard, slow_info, slow_close, NULL, NULL};
    struct slow slow = {.device = {&ops}};
    struct vde_device *device = &slow.device;
    vde_image *image;
    must(vde_device_memory(256u << 20, &slow.below), "device");
    must(vde_image_format_device(device, NULL), "format");
    must(vde_image_open_device(device, NULL, &image), "open");
    uint64_t lost = run(image, "plain", 0) + run(image, "compressed", 1);
    must(vde_image_close(image), "close");
    device->ops->close(device);
    if (lost)
        fprintf(stderr, "VIOLATION: %llu writes were undone by neighbours\n", (unsigned long long)lost);
    return lost != 0;
}
