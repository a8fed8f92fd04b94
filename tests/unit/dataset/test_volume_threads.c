/* SPDX-License-Identifier: Apache-2.0 */
/* Threads on one volume: every thread owns one sector of each block, so that a lost update of a read-modify-write shows;
 * others flush, checkpoint, discard and resize meanwhile. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "unit/dataset/volumes.h"

#define THREADS 8u
#define BLOCKS 24u
#define ROUNDS 250u

struct owner {
    vde_volume *volume;
    unsigned sector;
    uint64_t last[BLOCKS]; /* value that this thread wrote last */
};

static void fill_sector(uint8_t sector[512], unsigned owner, unsigned block, uint64_t value)
{
    for (unsigned i = 0; i < 512 / 8; i++) {
        uint64_t word = value * 1000003u + block * 101u + owner + i;
        memcpy(sector + i * 8, &word, 8);
    }
}

static void *own_sectors(void *argument)
{
    struct owner *owner = argument;
    uint64_t random = owner->sector + 1;
    uint8_t sector[512], read[512];
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        unsigned block = (unsigned)draw(&random, BLOCKS);
        uint64_t offset = block * 4096 + owner->sector * 512;
        fill_sector(sector, owner->sector, block, i);
        OK(vde_volume_write(owner->volume, sector, 512, offset, i % 100 == 0 ? VDE_VOLUME_FUA : 0));
        owner->last[block] = i;
        OK(vde_volume_read(owner->volume, read, 512, offset));
        REQUIRE(memcmp(read, sector, 512) == 0);
        if (i % 60 == 0)
            OK(vde_volume_flush(owner->volume));
    }
    return NULL;
}

static void run_owners(uint32_t level, uint32_t flags)
{
    struct vde_device *device = memory_image(32 * MIB);
    vde_image *image = open_flags(device, flags);
    struct shadow shadow = shadow_create(image, "a", BLOCKS * 4096 + 1 * MIB, level);
    struct owner owners[THREADS] = {0};
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        owners[i] = (struct owner){.volume = shadow.volume, .sector = i};
        cr_assert_eq(pthread_create(&threads[i], NULL, own_sectors, &owners[i]), 0);
    }
    for (unsigned i = 0; i < 20; i++) {
        shadow_write(&shadow, 64 * 1024, BLOCKS * 4096 + i * 4096);
        if (i % 5 == 0)
            OK(vde_image_checkpoint(image));
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < THREADS; i++)
        for (unsigned b = 0; b < BLOCKS; b++)
            if (owners[i].last[b])
                fill_sector(shadow.bytes + b * 4096 + i * 512, i, b, owners[i].last[b]);
    shadow_check_all(&shadow);
    shadow_reopen(&shadow, &image, device, "a");
    shadow_check_all(&shadow);
    shadow_done(&shadow);
    close_clean(image, device);
}

Test(volume_threads, sectors_of_one_block_are_never_lost, .timeout = 150)
{
    run_owners(0, 0);
}

Test(volume_threads, sectors_of_one_frame_are_never_lost, .timeout = 150)
{
    run_owners(1, VDE_OPEN_NO_THREADS);
}

struct writer {
    vde_volume *volume;
    unsigned id;
    atomic_bool *stop;
    atomic_uint_least64_t writes;
};

/* Whole blocks, gathered with those of others. */
static void *write_blocks(void *argument)
{
    struct writer *writer = argument;
    uint64_t random = writer->id + 77;
    uint8_t *block = aligned_buffer(4096 * 4), *read = aligned_buffer(4096 * 4);
    while (!atomic_load(writer->stop)) {
        uint64_t at = writer->id * 64 + draw(&random, 60), count = 1 + draw(&random, 4);
        fill_bytes(block, 4096 * count, random);
        vde_status status = vde_volume_write(writer->volume, block, 4096 * count, at * 4096, 0);
        if (status == VDE_INVAL) /* it is being resized */
            continue;
        OK(status);
        status = vde_volume_read(writer->volume, read, 4096 * count, at * 4096);
        REQUIRE(status == VDE_INVAL || writer->id >= 6 || memcmp(block, read, 4096 * count) == 0);
        atomic_fetch_add(&writer->writes, 1);
    }
    free(block);
    free(read);
    return NULL;
}

/* The upper quarter comes and goes while threads write there: what goes is never seen again. */
Test(volume_threads, shrinking_under_writers, .timeout = 150)
{
    struct vde_device *device = memory_image(32 * MIB);
    vde_image *image = open_flags(device, 0);
    create_volume(image, "a", THREADS * 64 * 4096, 0);
    vde_volume *volume = open_volume(image, "a");
    struct writer writers[THREADS];
    pthread_t threads[THREADS];
    atomic_bool stop = false;
    uint8_t *bytes = aligned_buffer(64 * 4096);
    for (unsigned i = 0; i < THREADS; i++) {
        writers[i] = (struct writer){volume, i, &stop, 0};
        cr_assert_eq(pthread_create(&threads[i], NULL, write_blocks, &writers[i]), 0);
    }
    for (unsigned i = 0; i < 15; i++) {
        OK(vde_volume_resize(image, "a", 6 * 64 * 4096 + 512, VDE_VOLUME_SHRINK));
        OK(vde_volume_resize(image, "a", THREADS * 64 * 4096, 0));
    }
    for (unsigned i = 0; i < THREADS; i++)
        while (atomic_load(&writers[i].writes) == 0) /* on a busy machine it begins late; it is large now */
            sched_yield();
    atomic_store(&stop, true);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    OK(vde_volume_resize(image, "a", 6 * 64 * 4096, VDE_VOLUME_SHRINK));
    OK(vde_volume_resize(image, "a", THREADS * 64 * 4096, 0));
    OK(vde_volume_read(volume, bytes, 64 * 4096, 7 * 64 * 4096));
    for (unsigned i = 0; i < 64 * 4096; i++)
        REQUIRE(bytes[i] == 0);
    free(bytes);
    vde_volume_close(volume);
    close_clean(image, device);
}
