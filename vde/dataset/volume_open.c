/* SPDX-License-Identifier: Apache-2.0 */
/* volume_open.c -- handles of volumes, and the table of open ones. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"
#include "dataset/volume.h"

static void volumes_destroy(struct volumes *volumes)
{
    queues_destroy(volumes);
    while (volumes->spare_batches) {
        struct write_batch *batch = volumes->spare_batches;
        volumes->spare_batches = batch->next;
        batch_destroy(batch);
    }
    while (volumes->spare_readers) {
        struct reader *reader = volumes->spare_readers;
        volumes->spare_readers = reader->next;
        reader_destroy(reader);
    }
    lock_done(&volumes->spare_lock);
    lock_done(&volumes->gather.lock);
    pthread_rwlock_destroy(&volumes->resize);
    free(volumes);
}

vde_status volumes_use(struct vde_image *image, struct volumes **ret_volumes)
{
    struct volumes *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return fail_nomem("volumes");
    fresh->image = image;
    lock_init(&fresh->gather.lock, LOCK_VOLUMES);
    lock_init(&fresh->spare_lock, LOCK_VOLUMES);
    pthread_rwlock_init(&fresh->resize, NULL);
    lock_take(&image->volumes_lock);
    if (!image->volumes) {
        image->volumes = fresh;
        fresh = NULL;
    }
    image->volumes->users++;
    *ret_volumes = image->volumes;
    lock_drop(&image->volumes_lock);
    if (image->idle_us != UINT64_MAX && !image->read_only)
        atomic_store(&image->idle_work, volumes_idle_step);
    if (fresh)
        volumes_destroy(fresh);
    return VDE_OK;
}

void volumes_leave(struct volumes *volumes)
{
    struct vde_image *image = volumes->image;
    lock_take(&image->volumes_lock);
    bool last = --volumes->users == 0;
    if (last)
        image->volumes = NULL;
    lock_drop(&image->volumes_lock);
    if (last)
        volumes_destroy(volumes);
}

/* Volumes lock held. */
static struct open_volume *find(struct volumes *volumes, uint64_t id)
{
    struct open_volume *shared = volumes->open;
    while (shared && shared->id != id)
        shared = shared->next;
    return shared;
}

struct open_volume *volume_find_open(struct vde_image *image, uint64_t id)
{
    lock_take(&image->volumes_lock);
    struct open_volume *shared = image->volumes ? find(image->volumes, id) : NULL;
    lock_drop(&image->volumes_lock);
    return shared;
}

/* Volumes lock held. */
static void unlink_volume(struct volumes *volumes, struct open_volume *shared)
{
    struct open_volume **link = &volumes->open;
    while (*link != shared)
        link = &(*link)->next;
    *link = shared->next;
    free(shared);
}

vde_status volume_claim(struct vde_image *image, uint64_t id)
{
    struct volumes *volumes;
    struct open_volume *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return fail_nomem("volume");
    vde_status status = volumes_use(image, &volumes);
    if (status != VDE_OK) {
        free(fresh);
        return status;
    }
    fresh->id = id;
    fresh->claimed = true;
    lock_take(&image->volumes_lock);
    if (!find(volumes, id)) {
        fresh->next = volumes->open;
        volumes->open = fresh;
        fresh = NULL;
    }
    lock_drop(&image->volumes_lock);
    if (!fresh)
        return VDE_OK;
    free(fresh);
    volumes_leave(volumes);
    return fail_as(VDE_BUSY, "volume with id %llu|it is open|no handle", (unsigned long long)id);
}

void volume_unclaim(struct vde_image *image, uint64_t id)
{
    lock_take(&image->volumes_lock);
    struct volumes *volumes = image->volumes;
    unlink_volume(volumes, find(volumes, id));
    lock_drop(&image->volumes_lock);
    volumes_leave(volumes);
}

/* Add a handle to the volume's shared part, making it if there is none. */
static vde_status share(struct volumes *volumes, uint64_t id, const struct volume_record *record, const char *name,
                        bool writer, struct open_volume **ret_shared)
{
    struct open_volume *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return fail_nomem("volume");
    *fresh = (struct open_volume){.id = id, .handles = 1, .flags = record->flags, .compression = record->compression};
    atomic_init(&fresh->size, record->size_bytes);
    memcpy(fresh->name, name, strlen(name) + 1);
    vde_status status = VDE_OK;
    lock_take(&volumes->image->volumes_lock);
    struct open_volume *shared = find(volumes, id);
    if (!shared) {
        fresh->next = volumes->open;
        volumes->open = shared = fresh;
        fresh = NULL;
    } else if (shared->claimed) {
        status = VDE_BUSY;
    } else {
        shared->handles++;
    }
    if (status == VDE_OK)
        shared->writers += writer;
    lock_drop(&volumes->image->volumes_lock);
    free(fresh);
    *ret_shared = shared;
    if (status == VDE_BUSY)
        return fail_as(VDE_BUSY, "volume \"%s\"|an administrative change under way|none", name);
    return status;
}

/* A step of idle work under way ends first, soon. */
static void drop_handle(struct volumes *volumes, struct open_volume *shared, bool writer)
{
    struct vde_image *image = volumes->image;
    atomic_fetch_add(&image->requests, 1);
    lock_take(&image->idle_lock);
    lock_take(&image->volumes_lock);
    shared->writers -= writer;
    if (--shared->handles == 0)
        unlink_volume(volumes, shared);
    lock_drop(&image->volumes_lock);
    lock_drop(&image->idle_lock);
}

/* What the catalog says; under names_lock, so that it stays so until the handle is in the table. */
static vde_status look_up(struct vde_image *image, const char *name, const char *snapshot, struct vde_volume *volume,
                          uint64_t *ret_id, struct volume_record *ret_record)
{
    vde_view *view;
    VDE_TRY(vde_view_open_pending(image, &view));
    struct map catalog = map_catalog(view->layers, &image->store, &image->label.layout, view->lsn);
    vde_status status = volume_lookup(&catalog, name, ret_id, ret_record);
    volume->snapshot_size = status == VDE_OK ? ret_record->size_bytes : 0;
    if (status == VDE_OK && snapshot)
        status = volume_lookup_snapshot(&catalog, *ret_id, snapshot, &volume->tag, &volume->snapshot_size);
    vde_view_close(view);
    return status;
}

static vde_status open_volume(struct vde_volume *volume, const char *name, const char *snapshot)
{
    struct vde_image *image = volume->image;
    uint64_t id;
    struct volume_record record;
    lock_take(&image->names_lock);
    vde_status status = look_up(image, name, snapshot, volume, &id, &record);
    if (status == VDE_OK)
        status = share(volume->volumes, id, &record, name, !volume->tag, &volume->shared);
    lock_drop(&image->names_lock);
    return status;
}

vde_status vde_volume_open(vde_image *image, const char *name, const char *snapshot, vde_volume **ret_volume)
{
    VDE_TRY(volume_check_name(name));
    vde_volume *volume = calloc(1, sizeof *volume);
    if (!volume)
        return fail_nomem("volume");
    volume->image = image;
    lock_init(&volume->map_lock, LOCK_VOLUMES);
    vde_status status = volumes_use(image, &volume->volumes);
    if (status == VDE_OK) {
        status = open_volume(volume, name, snapshot);
        if (status == VDE_OK) {
            atomic_fetch_add(&image->requests, 1);
            background_wake(image);
            *ret_volume = volume;
            return VDE_OK;
        }
        volumes_leave(volume->volumes);
    }
    lock_done(&volume->map_lock);
    free(volume);
    return status;
}

void vde_volume_close(vde_volume *volume)
{
    if (!volume)
        return;
    drop_handle(volume->volumes, volume->shared, !volume->tag);
    volumes_leave(volume->volumes);
    lock_done(&volume->map_lock);
    free(volume);
}

uint64_t vde_volume_size(const vde_volume *volume)
{
    return volume_bytes(volume);
}

vde_status volume_check(const struct vde_volume *volume, uint64_t size, uint64_t offset, bool change)
{
    uint64_t end, bytes = volume_bytes(volume);
    const char *name = volume->shared->name;
    atomic_fetch_add_explicit(&volume->image->requests, 1, memory_order_relaxed);
    if (change)
        atomic_fetch_add_explicit(&volume->shared->changes, 1, memory_order_relaxed);
    if ((size | offset) % 512u != 0)
        return fail_as(VDE_INVAL, "volume \"%s\"|%llu bytes at %llu|multiples of 512", name, (unsigned long long)size,
                       (unsigned long long)offset);
    if (!checked_add(offset, size, &end) || end > bytes)
        return fail_as(VDE_INVAL, "volume \"%s\"|%llu bytes at %llu|at most %llu", name, (unsigned long long)size,
                       (unsigned long long)offset, (unsigned long long)bytes);
    if (change && (volume->tag || volume->image->read_only))
        return fail_as(VDE_READ_ONLY, "volume \"%s\"|%s|a volume opened for writing", name,
                       volume->tag ? "a snapshot" : "an image opened read-only");
    return VDE_OK;
}

vde_status volume_pin(struct vde_volume *volume, struct volume_pin *ret_pin)
{
    struct vde_image *image = volume->image;
    ret_pin->layers = layers_pin(image, true, &ret_pin->lsn);
    lock_take(&volume->map_lock);
    bool valid = volume->map_valid && volume->map_generation == ret_pin->layers->generation;
    ret_pin->map = volume->map;
    lock_drop(&volume->map_lock);
    if (valid) {
        if (!volume->tag) {
            ret_pin->map.overlays[0] = ret_pin->layers->overlays[0];
            ret_pin->map.overlays[1] = ret_pin->layers->overlays[1];
            ret_pin->map.lsn = ret_pin->lsn;
        }
        return VDE_OK;
    }
    struct map catalog = map_catalog(ret_pin->layers, &image->store, &image->label.layout, ret_pin->lsn);
    vde_status status = map_open(&catalog, volume->shared->id, volume->tag, &ret_pin->map);
    if (status != VDE_OK) {
        layers_unpin(image, ret_pin->layers);
        return status;
    }
    /* A snapshot that is not in the trees yet is seen through overlays, which may change within a generation. */
    bool fixed = !volume->tag || (!ret_pin->map.overlays[0] && !ret_pin->map.overlays[1]);
    lock_take(&volume->map_lock);
    if (fixed && (!volume->map_valid || volume->map_generation < ret_pin->layers->generation)) {
        volume->map = ret_pin->map;
        volume->map_generation = ret_pin->layers->generation;
        volume->map_valid = true;
    }
    lock_drop(&volume->map_lock);
    return VDE_OK;
}

void volume_unpin(struct vde_volume *volume, struct volume_pin *pin)
{
    layers_unpin(volume->image, pin->layers);
}
