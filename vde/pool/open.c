/* SPDX-License-Identifier: Apache-2.0 */
/* open.c -- open and close an image. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/fail.h"
#include "base/mutate.h"
#include "pool/env.h"
#include "pool/map.h"
#include "pool/pool.h"

#define DEFAULT_MEMORY (256ull << 20)
#define DEFAULT_CHECKPOINT_MS 5000u
#define DEFAULT_IDLE_MS 10000u
#define BUSY_POLL_US 5000u

static uint64_t system_now_us(void *context)
{
    (void)context;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static void system_random(void *context, void *buffer, size_t size)
{
    (void)context;
    uint8_t *at = buffer;
    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);
        if (got > 0) {
            at += got;
            size -= (size_t)got;
        }
    }
}

struct vde_env env_or_default(const struct vde_env *env)
{
    struct vde_env chosen = env ? *env : (struct vde_env){0};
    if (!chosen.now_us)
        chosen.now_us = system_now_us;
    if (!chosen.random_bytes)
        chosen.random_bytes = system_random;
    return chosen;
}

uint64_t image_now_us(struct vde_image *image)
{
    return image->env.now_us(image->env.context);
}

uint64_t image_durable_lsn(struct vde_image *image)
{
    return image->log ? log_durable_lsn(image->log) : atomic_load(&image->read_lsn);
}

static vde_status read_nodes(void *context, struct ptr p, void *buffer)
{
    return image_read(context, p.address, buffer, p.blocks);
}

static vde_status check_features(const struct label *label, const struct disk_feature_names *names, bool read_only)
{
    uint64_t unknown = label->incompat & ~FEATURE_INCOMPAT_KNOWN;
    unsigned word = 2;
    if (!unknown && !read_only) {
        unknown = label->ro_compat & ~FEATURE_RO_COMPAT_KNOWN;
        word = 1;
    }
    if (!unknown)
        return VDE_OK;
    char name[32];
    feature_name(names, word, (unsigned)__builtin_ctzll(unknown), name, sizeof name);
    return fail_as(VDE_UNSUPPORTED, "image|feature \"%s\"|features this build knows%s", name,
                   word == 1 ? " (it can be opened read-only)" : "");
}

static void note_freed(void *context, uint64_t address, uint64_t blocks)
{
    struct vde_image *image = context;
    if (image->deferred_count == image->deferred_capacity) {
        size_t capacity = image->deferred_capacity ? image->deferred_capacity * 2 : 256;
        struct deferred_run *grown = realloc(image->deferred, capacity * sizeof *grown);
        if (!grown)
            return; /* the blocks stay busy until the next open: safe */
        image->deferred = grown;
        image->deferred_capacity = capacity;
    }
    image->deferred[image->deferred_count++] = (struct deferred_run){image->sb.sequence, address, blocks};
}

static void describe_open(struct vde_image *image)
{
    int used = snprintf(image->open_report, sizeof image->open_report, "checkpoint %llu, ",
                        (unsigned long long)image->sb.sequence);
    char *at = image->open_report + used;
    size_t left = sizeof image->open_report - (size_t)used;
    if (image->sb.autoclear & FEATURE_AUTOCLEAR_CLEAN)
        used = snprintf(at, left, "closed cleanly: nothing to replay");
    else
        used = snprintf(at, left, "replayed %llu record%s (%llu bytes)", (unsigned long long)image->replayed_records,
                        image->replayed_records == 1 ? "" : "s", (unsigned long long)image->replayed_bytes);
    if (image->dropped_tail_lsn)
        snprintf(at + used, left - (size_t)used, ", dropped an unacknowledged tail at LSN %llu",
                 (unsigned long long)image->dropped_tail_lsn);
}

static vde_status start_writing(struct vde_image *image, struct log_start *start, const struct vde_open_opts *opts)
{
    start->epoch = image->sb.epoch + (MUTATED(MUTATE_RECOVERY_EPOCH) ? 0 : 1);
    VDE_TRY(log_open(image->device, layout_region(&image->label.layout, REGION_LOG), image->seed, start, &image->log));
    log_on_durable(image->log, queues_notify, image);
    VDE_TRY(checkpoint_run(image, CHECKPOINT_RECOVERY));
    if (opts->flags & VDE_OPEN_ROLLBACK)
        VDE_TRY(image_rollback(image, opts->snapshot, opts->flags & VDE_OPEN_DROP_NEWER));
    return prealloc_load(image);
}

/* From now on every view of this read-only image is as of an image snapshot. */
static vde_status open_snapshot(struct vde_image *image, const char *name)
{
    uint64_t lsn, tag;
    struct layers *layers = layers_pin(image, false, &lsn);
    struct map catalog = map_catalog(layers, &image->store, &image->label.layout, lsn);
    struct snapshot_record snapshot;
    bool merged = false;
    vde_status status = map_snapshot_tag(&catalog, DATASET_CATALOG, name, &tag);
    if (status == VDE_OK)
        status = map_snapshot_record(&catalog, DATASET_CATALOG, tag, &snapshot, &merged);
    layers_unpin(image, layers);
    VDE_TRY(status);
    atomic_store(&image->read_lsn, snapshot.lsn);
    image->as_of_snapshot = true;
    if (!merged) /* what was replayed, up to its LSN */
        return VDE_OK;
    return layers_start(image, image->sb.sequence, snapshot.root);
}

static vde_status load(struct vde_image *image, const struct vde_open_opts *opts)
{
    struct disk_feature_names names;
    if (!image->read_only)
        VDE_TRY(image->device->ops->flush(image->device)); /* what is read from here on can't vanish later */
    VDE_TRY(labels_read(image->device, &image->label, &names));
    VDE_TRY(check_features(&image->label, &names, image->read_only));
    VDE_TRY(superblocks_read(image->device, &image->label, &image->sb, &image->superblock_copies));
    image->seed = image_seed(image->label.uuid);
    image->sb_published = image->sb;
    atomic_init(&image->next_id, max_u64(image->sb.next_id, ID_FIRST));
    VDE_TRY(node_cache_create(image->memory_bytes / 2, &image->cache));
    image->store = (struct tree_store){read_nodes, image, image->cache, image->seed,
                                        image->label.layout.blocks};
    VDE_TRY(layers_start(image, image->sb.sequence, image->sb.catalog));
    if (!image->read_only)
        VDE_TRY(space_open(image->device, &image->label.layout, image->seed, &image->sb, &image->space));
    struct log_start start;
    VDE_TRY(recovery_replay(image, &start));
    /* After the replay: a spare bitmap slot may stem from a checkpoint that never came about, and show what the log names. */
    if (!image->read_only)
        VDE_TRY(space_recently_freed(image->space, image->sb.sequence, note_freed, image));
    describe_open(image);
    atomic_store(&image->read_lsn, start.last_lsn);
    if (!image->read_only)
        return start_writing(image, &start, opts);
    return opts->snapshot ? open_snapshot(image, opts->snapshot) : VDE_OK;
}

static void release(struct vde_image *image)
{
    layers_stop(image);
    log_close(image->log);
    space_close(image->space);
    if (image->cache)
        node_cache_destroy(image->cache);
    registry_done(&image->registry);
    prealloc_done(image);
    free(image->deferred);
    lock_done(&image->names_lock);
    lock_done(&image->checkpoint_lock);
    lock_done(&image->volumes_lock);
    lock_done(&image->idle_lock);
    lock_done(&image->prealloc_lock);
    lock_done(&image->views_lock);
    if (image->owns_device)
        image->device->ops->close(image->device);
    free(image);
}

static vde_status open_on(struct vde_device *device, bool owns, const struct vde_open_opts *opts, vde_image **ret_image)
{
    struct vde_image *image = calloc(1, sizeof *image);
    if (!image) {
        if (owns)
            device->ops->close(device);
        return fail_nomem("image");
    }
    image->device = device;
    image->owns_device = owns;
    image->read_only = (opts->flags & VDE_OPEN_READ_ONLY) != 0;
    struct vde_device_info info;
    device->ops->info(device, &info);
    image->discards = info.is_block_device || (opts->flags & VDE_OPEN_DISCARD) != 0;
    image->env = env_or_default(opts->env);
    image->memory_bytes = opts->memory_bytes ? opts->memory_bytes : DEFAULT_MEMORY;
    image->checkpoint_ms = opts->checkpoint_ms ? opts->checkpoint_ms : DEFAULT_CHECKPOINT_MS;
    image->idle_us = (opts->idle_defrag_ms ? opts->idle_defrag_ms : DEFAULT_IDLE_MS) * 1000ull;
    if (opts->idle_defrag_ms == VDE_IDLE_NEVER)
        image->idle_us = UINT64_MAX;
    lock_init(&image->names_lock, LOCK_NAMES);
    lock_init(&image->volumes_lock, LOCK_VOLUMES);
    lock_init(&image->idle_lock, LOCK_IDLE);
    lock_init(&image->prealloc_lock, LOCK_PREALLOC);
    lock_init(&image->checkpoint_lock, LOCK_CHECKPOINT);
    lock_init(&image->views_lock, LOCK_VIEWS);
    vde_status status = VDE_OK;
    bool rollback = (opts->flags & VDE_OPEN_ROLLBACK) != 0;
    if (opts->snapshot && image->read_only == rollback)
        status = fail_as(VDE_INVAL, "image snapshot|an open for %s|VDE_OPEN_READ_ONLY or VDE_OPEN_ROLLBACK",
                         rollback ? "both" : "writing");
    else if (rollback && !opts->snapshot)
        status = fail_as(VDE_INVAL, "rollback|no snapshot|the name of one");
    if (status == VDE_OK)
        status = load(image, opts);
    if (status == VDE_OK && !image->read_only && !(opts->flags & VDE_OPEN_NO_THREADS))
        status = background_start(image);
    if (status != VDE_OK) {
        struct vde_error error;
        error_save(&error);
        release(image);
        error_restore(&error);
        return status;
    }
    *ret_image = image;
    return VDE_OK;
}

static const struct vde_open_opts default_opts = VDE_OPEN_OPTS_INIT;

vde_status vde_image_open_device(struct vde_device *device, const struct vde_open_opts *opts, vde_image **ret_image)
{
    return open_on(device, false, opts ? opts : &default_opts, ret_image);
}

vde_status vde_image_open(const char *path, const struct vde_open_opts *opts, vde_image **ret_image)
{
    if (!opts)
        opts = &default_opts;
    struct vde_device *device;
    unsigned flags = (opts->flags & VDE_OPEN_READ_ONLY ? VDE_DEVICE_READ_ONLY : 0) |
                     (opts->flags & VDE_OPEN_DISCARD ? VDE_DEVICE_DISCARD : 0);
    uint64_t deadline = system_now_us(NULL) + (uint64_t)opts->wait_ms * 1000u;
    vde_status status = vde_device_open(path, opts->backend, flags, 0, &device);
    while (status == VDE_BUSY && system_now_us(NULL) < deadline) {
        usleep(BUSY_POLL_US);
        status = vde_device_open(path, opts->backend, flags, 0, &device);
    }
    VDE_TRY(status);
    return open_on(device, true, opts, ret_image);
}

vde_status vde_image_close(vde_image *image)
{
    if (!image)
        return VDE_OK;
    vde_status status = VDE_OK;
    background_stop(image);
    if (!image->read_only && !log_poisoned(image->log))
        status = checkpoint_run(image, CHECKPOINT_CLEAN);
    struct vde_error error;
    error_save(&error);
    release(image);
    error_restore(&error);
    return status;
}
