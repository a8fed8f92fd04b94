/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes under threads: blocking and queued requests, sectors of shared blocks, checkpoints, snapshots, defragmentation,
 * resizing and growing of the image at once; every thread knows what it wrote last. Now and then all of them rest, so that
 * idle work begins, and is disturbed. Run under the thread sanitizer.
 * ctest: timeout=600 processors=2 */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include <vde/snapshot.h>

#include "unit/dataset/volumes.h"

#define OWNERS 4u
#define THREADS (OWNERS + 4u)
#define AREA (64u * 4096u) /* of each thread that writes blocks */
#define SHARED (16u * 4096u)
#define IMAGE_BYTES (64 * MIB)
#define GROW_TIMES 24u

struct shared {
    vde_image *image;
    vde_volume *volume;
    uint64_t id;
    atomic_bool stop;
    unsigned seconds;
};
struct worker {
    struct shared *shared;
    unsigned number;
    uint8_t bytes[AREA]; /* what its area holds */
    uint64_t sectors[SHARED / 4096];
    uint64_t done;
};

#define PHASE_MS 500u
#define REST_MS 250u /* at the end of each phase */

static bool going(struct worker *worker)
{
    struct timespec now, pause = {0, 0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t ms = (uint64_t)now.tv_nsec / 1000000u % PHASE_MS;
    if (ms >= PHASE_MS - REST_MS) {
        pause.tv_nsec = (long)(PHASE_MS - ms) * 1000000;
        nanosleep(&pause, NULL);
    }
    worker->done++;
    return !atomic_load(&worker->shared->stop);
}

/* Blocking requests of any alignment in an area of its own, and its sector in each shared block. */
static void *block(void *argument)
{
    struct worker *worker = argument;
    vde_volume *volume = worker->shared->volume;
    uint64_t random = worker->number, base = SHARED + worker->number * AREA;
    uint8_t *read = aligned_buffer(AREA);
    while (going(worker)) {
        uint64_t size = (1 + draw(&random, 40)) * 512, offset = draw(&random, (AREA - size) / 512) * 512;
        if (draw(&random, 3)) {
            offset = offset / 4096 * 4096;
            size = size < 4096 ? 4096 : size / 4096 * 4096;
        }
        fill_bytes(worker->bytes + offset, size, random);
        if (draw(&random, 8) == 0) {
            memset(worker->bytes + offset, 0, size);
            OK(vde_volume_write_zeroes(volume, size, base + offset, 0));
        } else {
            OK(vde_volume_write(volume, worker->bytes + offset, size, base + offset, draw(&random, 30) == 0));
        }
        OK(vde_volume_read(volume, read, size, base + offset));
        REQUIRE(memcmp(read, worker->bytes + offset, size) == 0);
        uint64_t shared_block = draw(&random, SHARED / 4096), value[64];
        uint64_t at = shared_block * 4096 + worker->number * 512;
        OK(vde_volume_read(volume, value, 512, at));
        REQUIRE(value[0] == worker->sectors[shared_block]);
        value[0] = ++worker->sectors[shared_block];
        OK(vde_volume_write(volume, value, 512, at, 0));
        if (draw(&random, 40) == 0)
            OK(vde_volume_flush(volume));
    }
    free(read);
    return NULL;
}

/* A queue with eight requests in flight, each with an eighth of the area to itself. */
static void *queued(void *argument)
{
    struct worker *worker = argument;
    struct vde_volume_request requests[8], *reaped[8];
    vde_volume_queue *queue;
    uint64_t random = worker->number, base = SHARED + worker->number * AREA, part = AREA / 8;
    uint8_t *buffer = aligned_buffer(AREA);
    uint32_t in_flight = 0, count;
    OK(vde_volume_queue_create(worker->shared->image, 8, &queue));
    for (unsigned i = 0; i < 8; i++)
        requests[i] = (struct vde_volume_request){.context = NULL};
    while (going(worker) || in_flight > 0) {
        for (unsigned i = 0; i < 8 && !atomic_load(&worker->shared->stop); i++) {
            struct vde_volume_request *request = &requests[i];
            if (request->context)
                continue;
            uint64_t size = (1 + draw(&random, part / 4096)) * 4096, offset = i * part;
            *request = (struct vde_volume_request){.volume = worker->shared->volume, .size = size,
                                                   .offset = base + offset, .buffer = buffer + offset, .context = request};
            request->op = draw(&random, 2) ? VDE_VOLUME_OP_WRITE : VDE_VOLUME_OP_READ;
            request->flags = request->op == VDE_VOLUME_OP_WRITE && draw(&random, 30) == 0 ? VDE_VOLUME_FUA : 0;
            if (request->op == VDE_VOLUME_OP_WRITE) {
                fill_bytes(worker->bytes + offset, size, random);
                memcpy(request->buffer, worker->bytes + offset, size);
            }
            OK(vde_volume_submit(queue, request));
            in_flight++;
        }
        OK(vde_volume_reap(queue, reaped, 8, true, &count));
        for (uint32_t i = 0; i < count; i++) {
            OK(reaped[i]->status);
            if (reaped[i]->op == VDE_VOLUME_OP_READ)
                REQUIRE(memcmp(reaped[i]->buffer, worker->bytes + (reaped[i]->offset - base), reaped[i]->size) == 0);
            reaped[i]->context = NULL;
        }
        in_flight -= count;
    }
    vde_volume_queue_destroy(queue);
    free(buffer);
    return NULL;
}

/* What administrators do meanwhile. */
static void *manage(void *argument)
{
    struct worker *worker = argument;
    struct shared *shared = worker->shared;
    uint64_t size = vde_volume_size(shared->volume), random = 5;
    char name[32];
    while (going(worker)) {
        uint64_t offset = 0, bytes, lsn;
        vde_volume *snapshot;
        enum vde_block_state state;
        snprintf(name, sizeof name, "s%llu", (unsigned long long)worker->done);
        OK(vde_image_checkpoint(shared->image));
        OK(vde_volume_defrag(shared->volume, &offset, 4 * MIB, &bytes));
        OK(vde_snapshot_create(shared->image, shared->id, name, &lsn));
        OK(vde_volume_open(shared->image, "a", name, &snapshot));
        uint8_t *first = aligned_buffer(AREA), *again = aligned_buffer(AREA);
        uint64_t at = draw(&random, SHARED + AREA);
        at = at / 512 * 512;
        OK(vde_volume_read(snapshot, first, AREA, at));
        OK(vde_volume_block_status(shared->volume, at, UINT64_MAX, &state, &bytes));
        OK(vde_volume_resize(shared->image, "a", size + 1 * MIB, 0));
        OK(vde_volume_resize(shared->image, "a", size, VDE_VOLUME_SHRINK));
        OK(vde_volume_read(snapshot, again, AREA, at));
        REQUIRE(memcmp(first, again, AREA) == 0);
        free(first);
        free(again);
        vde_volume_close(snapshot);
        OK(vde_snapshot_delete(shared->image, shared->id, name));
    }
    return NULL;
}

/* Opens a volume, scatters its blocks, and closes it in the middle of what is done with it while it is idle. The image grows
 * meanwhile, as often as it can. */
static void *come_and_go(void *argument)
{
    struct worker *worker = argument;
    uint64_t random = worker->number;
    uint8_t *bytes = aligned_buffer(AREA), *read = aligned_buffer(AREA);
    memset(bytes, 0, AREA);
    while (going(worker)) {
        vde_volume *volume = open_volume(worker->shared->image, "b");
        for (unsigned i = 0; i < 80; i++) {
            uint64_t at = draw(&random, AREA / 4096) * 4096;
            fill_bytes(bytes + at, 4096, random);
            OK(vde_volume_write(volume, bytes + at, 4096, at, 0));
        }
        OK(vde_image_checkpoint(worker->shared->image));
        if (worker->done <= GROW_TIMES)
            OK(vde_image_grow(worker->shared->image, IMAGE_BYTES + worker->done * 4 * MIB));
        struct timespec pause = {0, (long)(10 + draw(&random, 150)) * 1000000};
        nanosleep(&pause, NULL);
        OK(vde_volume_read(volume, read, AREA, 0));
        REQUIRE(memcmp(bytes, read, AREA) == 0);
        vde_volume_close(volume);
    }
    free(read);
    free(bytes);
    return NULL;
}

static void check_worker(const struct worker *worker)
{
    uint64_t base = SHARED + worker->number * AREA;
    uint8_t *read = aligned_buffer(AREA);
    OK(vde_volume_read(worker->shared->volume, read, AREA, base));
    REQUIRE(memcmp(read, worker->bytes, AREA) == 0);
    for (unsigned i = 0; i < SHARED / 4096; i++) {
        uint64_t value[64];
        OK(vde_volume_read(worker->shared->volume, value, 512, i * 4096 + worker->number * 512));
        REQUIRE(value[0] == worker->sectors[i]);
    }
    free(read);
}

static void round_of(const char *path, uint32_t level, unsigned seconds)
{
    struct vde_device *device;
    struct shared shared = {.seconds = seconds};
    struct vde_volume_info info;
    pthread_t threads[THREADS];
    void *(*bodies[THREADS])(void *) = {block, block, block, queued, queued, block, manage, come_and_go};
    struct worker *workers = calloc(THREADS, sizeof *workers);
    OK(vde_device_open(path, "auto", VDE_DEVICE_CREATE, 256 * MIB, &device));
    struct vde_format_opts format = VDE_FORMAT_OPTS_INIT;
    format.size_bytes = IMAGE_BYTES;
    OK(vde_image_format_device(device, &format));
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    opts.checkpoint_ms = 20;
    opts.idle_defrag_ms = 5;
    OK(vde_image_open_device(device, &opts, &shared.image));
    create_volume(shared.image, "b", AREA, level);
    create_volume(shared.image, "a", SHARED + (OWNERS + 2) * AREA, level);
    shared.volume = open_volume(shared.image, "a");
    vde_view *view = view_of(shared.image);
    OK(vde_volume_get(view, "a", &info));
    vde_view_close(view);
    shared.id = info.id;
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].shared = &shared;
        workers[i].number = i;
        REQUIRE(pthread_create(&threads[i], NULL, bodies[i], &workers[i]) == 0);
    }
    struct timespec pause = {seconds, 0};
    nanosleep(&pause, NULL);
    atomic_store(&shared.stop, true);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < OWNERS + 2; i++) {
        check_worker(&workers[i]);
        printf("level %u, thread %u: %llu rounds\n", level, i, (unsigned long long)workers[i].done);
    }
    vde_volume_close(shared.volume);
    OK(vde_image_close(shared.image));
    check_clean(device);
    close_device(device);
    free(workers);
}

int main(int argc, char **argv)
{
    char path[TMP_PATH_BYTES];
    unsigned seconds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 8;
    tmp_path(path, NULL, "stress-volume");
    round_of(path, 0, seconds);
    tmp_remove(path);
    round_of(path, 1, seconds);
    tmp_remove(path);
    return 0;
}
