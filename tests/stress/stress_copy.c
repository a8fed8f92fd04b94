/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of one image while threads commit, write a volume and take snapshots of it: each copy is clean and one instant.
 * Argument: seconds (6). */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include <vde/copy.h>
#include <vde/snapshot.h>
#include <vde/volume.h>

#include "unit/pool/engine.h"

#define WRITERS 3u
#define IMAGE_BYTES (64 * MIB)
#define VOLUME_BYTES (2 * MIB)
#define STEP_BYTES 32768u

struct shared {
    vde_image *image;
    uint64_t datasets[WRITERS];
    atomic_bool stop;
    atomic_uint_least64_t commits, writes, snapshots;
};

struct worker {
    struct shared *shared;
    unsigned number;
    pthread_t thread;
};

/* Two keys that always say the same. */
static void *committer(void *context)
{
    struct worker *w = context;
    struct shared *shared = w->shared;
    for (uint64_t round = 1; !atomic_load(&shared->stop); round++) {
        vde_txn *txn = begin(shared->image);
        OK(vde_txn_put(txn, shared->datasets[w->number], "a", 1, &round, sizeof round));
        OK(txn_put_seed(txn, shared->datasets[w->number], "pad", 3000, round));
        OK(vde_txn_put(txn, shared->datasets[w->number], "b", 1, &round, sizeof round));
        commit(txn);
        atomic_fetch_add(&shared->commits, 1);
    }
    return NULL;
}

/* Rounds over the volume, each block with the round's number: at any instant a prefix has it, the rest the one before. */
static void *volume_writer(void *context)
{
    struct worker *w = context;
    vde_volume *volume;
    uint8_t *buffer = aligned_buffer(STEP_BYTES);
    OK(vde_volume_open(w->shared->image, "disk", NULL, &volume));
    for (unsigned round = 1; !atomic_load(&w->shared->stop); round++) {
        memset(buffer, (int)(round & 0xff), STEP_BYTES);
        for (uint64_t at = 0; at < VOLUME_BYTES; at += STEP_BYTES)
            OK(vde_volume_write(volume, buffer, STEP_BYTES, at, 0));
        atomic_fetch_add(&w->shared->writes, 1);
    }
    vde_volume_close(volume);
    free(buffer);
    return NULL;
}

static void *snapshooter(void *context)
{
    struct worker *w = context;
    struct vde_volume_info info;
    vde_view *view = view_of(w->shared->image);
    OK(vde_volume_get(view, "disk", &info));
    vde_view_close(view);
    while (!atomic_load(&w->shared->stop)) {
        OK(vde_snapshot_create(w->shared->image, info.id, "s", NULL));
        OK(vde_image_checkpoint(w->shared->image));
        OK(vde_snapshot_delete(w->shared->image, info.id, "s"));
        OK(vde_image_checkpoint(w->shared->image));
        atomic_fetch_add(&w->shared->snapshots, 1);
    }
    return NULL;
}

static uint64_t number_of(vde_view *view, uint64_t dataset, const char *key)
{
    vde_kv *kv;
    struct vde_bytes bytes;
    uint64_t value = 0;
    OK(vde_kv_open(view, dataset, &kv));
    if (vde_kv_get(kv, key, 1, &bytes) == VDE_OK) {
        memcpy(&value, bytes.data, sizeof value);
        vde_bytes_free(&bytes);
    }
    vde_kv_close(kv);
    return value;
}

static void require_prefix(vde_image *image)
{
    vde_volume *volume;
    uint8_t *bytes = aligned_buffer(VOLUME_BYTES);
    OK(vde_volume_open(image, "disk", NULL, &volume));
    OK(vde_volume_read(volume, bytes, VOLUME_BYTES, 0));
    unsigned changes = 0;
    for (uint64_t at = 1; at < VOLUME_BYTES; at++)
        if (bytes[at] != bytes[at - 1]) {
            REQUIRE(at % STEP_BYTES == 0);
            REQUIRE(bytes[at - 1] == (uint8_t)(bytes[at] + 1));
            changes++;
        }
    REQUIRE(changes <= 1);
    vde_volume_close(volume);
    free(bytes);
}

static void copy_once(struct shared *shared)
{
    struct vde_device *target;
    struct vde_copy_result result;
    OK(vde_device_memory(IMAGE_BYTES, &target));
    uint64_t durable = info_of(shared->image).durable_lsn;
    OK(vde_image_copy_device(shared->image, target, NULL, &result));
    REQUIRE(result.lsn >= durable);
    check_clean(target);
    vde_image *copy = open_quiet(target);
    vde_view *view = view_of(copy);
    for (unsigned i = 0; i + 1 < WRITERS; i++)
        REQUIRE(number_of(view, shared->datasets[i], "a") == number_of(view, shared->datasets[i], "b"));
    vde_view_close(view);
    require_prefix(copy);
    close_clean(copy, target);
}

int main(int argc, char **argv)
{
    time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 6);
    struct vde_device *device = memory_image(IMAGE_BYTES);
    struct vde_volume_opts volume = VDE_VOLUME_OPTS_INIT;
    struct shared shared = {.image = open_flags(device, 0)};
    struct worker workers[WRITERS + 1];
    void *(*const work[])(void *) = {committer, committer, volume_writer, snapshooter};
    unsigned copies = 0;
    volume.size_bytes = VOLUME_BYTES;
    OK(vde_volume_create(shared.image, "disk", &volume));
    for (unsigned i = 0; i < WRITERS; i++) {
        char name[8];
        snprintf(name, sizeof name, "d%u", i);
        shared.datasets[i] = new_dataset(shared.image, name);
    }
    for (unsigned i = 0; i < WRITERS + 1; i++) {
        workers[i] = (struct worker){.shared = &shared, .number = i};
        pthread_create(&workers[i].thread, NULL, work[i], &workers[i]);
    }
    while (time(NULL) < end) {
        copy_once(&shared);
        copies++;
    }
    atomic_store(&shared.stop, true);
    for (unsigned i = 0; i < WRITERS + 1; i++)
        pthread_join(workers[i].thread, NULL);
    close_clean(shared.image, device);
    printf("%u copies, %llu commits, %llu rounds over the volume, %llu snapshots\n", copies,
           (unsigned long long)shared.commits, (unsigned long long)shared.writes, (unsigned long long)shared.snapshots);
    REQUIRE(copies > 0 && shared.commits > 0 && shared.writes > 0 && shared.snapshots > 0);
    return 0;
}
