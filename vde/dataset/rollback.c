/* SPDX-License-Identifier: Apache-2.0 */
/* rollback.c -- make a volume again what its newest snapshot shows, and clones: volumes that begin as a snapshot. Both need
 * the snapshot's tree, so that one that no checkpoint has merged yet is merged first. */
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"
#include "dataset/snapshot.h"
#include "dataset/volume.h"

#define ROLLBACK_TRIES 3u /* checkpoints that may begin to free deleted snapshots */

/* A named snapshot of a volume, merged. */
struct base {
    uint64_t tag;
    struct dataset_record dataset;
    struct volume_record volume;
    struct snapshot_record snapshot;
};

static vde_status look(vde_image *image, uint64_t dataset, const char *name, struct base *ret_base, bool *ret_merged)
{
    vde_view *view;
    VDE_TRY(vde_view_open_pending(image, &view));
    struct map catalog = map_catalog(view->layers, &image->store, &image->label.layout, view->lsn);
    vde_status status = map_dataset_record(&catalog, dataset, &ret_base->dataset);
    if (status == VDE_OK)
        status = volume_record_find(&catalog, dataset, &ret_base->volume);
    if (status == VDE_OK)
        status = map_snapshot_tag(&catalog, dataset, name, &ret_base->tag);
    if (status == VDE_OK)
        status = map_snapshot_record(&catalog, dataset, ret_base->tag, &ret_base->snapshot, ret_merged);
    vde_view_close(view);
    return status;
}

static vde_status find_base(vde_image *image, uint64_t dataset, const char *name, struct base *ret_base)
{
    bool merged;
    VDE_TRY(look(image, dataset, name, ret_base, &merged));
    if (!merged) {
        VDE_TRY(checkpoint_run(image, 0));
        VDE_TRY(look(image, dataset, name, ret_base, &merged));
    }
    return merged ? VDE_OK : fail_as(VDE_BUSY, "snapshot \"%s\"|made again meanwhile|one that stays", name);
}

static vde_status put_size(vde_txn *txn, uint64_t dataset, const struct volume_record *volume)
{
    uint8_t key[CATALOG_KEY_MAX];
    struct disk_volume disk;
    volume_record_put(volume, &disk);
    return txn_op(txn, DATASET_CATALOG, key, key_volume(key, dataset), VALUE_INLINE, &disk, sizeof disk);
}

static vde_status roll_back(vde_image *image, uint64_t dataset, const char *name)
{
    struct base base;
    vde_txn *txn;
    struct vde_commit commit;
    uint8_t key[CATALOG_KEY_MAX];
    VDE_TRY(find_base(image, dataset, name, &base));
    base.volume.size_bytes = base.snapshot.size_bytes;
    VDE_TRY(vde_txn_create(image, &txn));
    vde_le64 tag = le64(base.tag);
    txn->frees = true;
    vde_status status = txn_touch(txn, dataset);
    if (status == VDE_OK)
        status = txn_require_newest(txn, dataset, base.tag, base.snapshot.lsn);
    if (status == VDE_OK)
        status = txn_op(txn, DATASET_CATALOG, key, key_rollback(key, dataset), VALUE_INLINE, &tag, sizeof tag);
    if (status == VDE_OK)
        status = put_size(txn, dataset, &base.volume);
    if (status == VDE_OK)
        status = vde_txn_commit(txn, &commit);
    vde_txn_destroy(txn);
    if (status == VDE_OK && base.volume.flags & VOLUME_PREALLOC) {
        uint64_t blocks = div_up(base.volume.size_bytes, BLOCK_BYTES);
        prealloc_drop(image, dataset);
        vde_status kept = prealloc_reserve(image, dataset, blocks - min_u64(blocks, base.snapshot.mapped_blocks));
        (void)kept; /* without room it is thin until the next open */
    }
    return status;
}

/* Deleted snapshots whose freeing has not begun stand in the way; checkpoints begin it unless something holds them. */
static vde_status any_zombie(vde_image *image, bool *ret_any)
{
    vde_view *view;
    struct map_cursor *cursor;
    uint8_t from[CATALOG_KEY_MAX];
    *ret_any = false;
    VDE_TRY(vde_view_open_pending(image, &view));
    struct map catalog = map_catalog(view->layers, &image->store, &image->label.layout, view->lsn);
    vde_status status = map_cursor_open(&catalog, from, key_zombie_snapshot(from, 0, 0), &cursor);
    if (status == VDE_OK && map_cursor_valid(cursor)) {
        const uint8_t *key;
        size_t size;
        struct map_value value;
        map_cursor_record(cursor, &key, &size, &value);
        *ret_any = size == 18 && memcmp(key, from, 2) == 0;
    }
    if (status == VDE_OK)
        map_cursor_close(cursor);
    vde_view_close(view);
    return status;
}

static vde_status roll_back_past_zombies(vde_image *image, uint64_t dataset, const char *name)
{
    vde_status status = roll_back(image, dataset, name);
    for (unsigned tries = 0; status == VDE_INVAL && tries < ROLLBACK_TRIES; tries++) {
        bool any;
        VDE_TRY(any_zombie(image, &any));
        if (any)
            VDE_TRY(checkpoint_run(image, 0));
        status = roll_back(image, dataset, name);
        if (!any)
            break;
    }
    return status;
}

vde_status vde_snapshot_rollback(vde_image *image, uint64_t dataset, const char *name)
{
    VDE_TRY(txn_check_user_dataset(dataset));
    if (image->read_only)
        return fail_as(VDE_READ_ONLY, "image");
    lock_take(&image->names_lock);
    vde_status status = volume_claim(image, dataset);
    if (status == VDE_OK) {
        status = roll_back_past_zombies(image, dataset, name);
        volume_unclaim(image, dataset);
    }
    lock_drop(&image->names_lock);
    return status;
}

static vde_status build_clone(vde_txn *txn, const struct base *base, uint64_t id, const char *new_name)
{
    struct dataset_record record = {.id = id, .kind = DATASET_KIND_VOLUME, .tree = base->dataset.tree,
                                    .root = base->snapshot.root, .origin = base->dataset.id, .origin_tag = base->tag,
                                    .origin_lsn = base->snapshot.lsn, .mapped_blocks = base->snapshot.mapped_blocks,
                                    .stored_blocks = base->snapshot.stored_blocks};
    struct volume_record volume = base->volume;
    volume.size_bytes = base->snapshot.size_bytes;
    volume.created_us = image_now_us(txn->image);
    volume.flags &= ~VOLUME_PREALLOC; /* what it shares would have to be kept free for it once more */
    VDE_TRY(volume_name_put(txn, new_name, id));
    VDE_TRY(txn_dataset_create(txn, &record));
    return put_size(txn, id, &volume);
}

static vde_status clone_volume(vde_image *image, const char *volume, const char *snapshot, const char *new_name)
{
    struct base base;
    uint64_t dataset;
    vde_txn *txn;
    struct vde_commit commit;
    VDE_TRY(volume_find(image, volume, &dataset));
    VDE_TRY(find_base(image, dataset, snapshot, &base));
    VDE_TRY(vde_txn_create(image, &txn));
    vde_status status = build_clone(txn, &base, vde_id_reserve(image), new_name);
    if (status == VDE_OK)
        status = vde_txn_commit(txn, &commit);
    vde_txn_destroy(txn);
    return status;
}

vde_status vde_volume_clone(vde_image *image, const char *volume, const char *snapshot, const char *new_name)
{
    if (image->read_only)
        return fail_as(VDE_READ_ONLY, "image");
    lock_take(&image->names_lock);
    vde_status status = clone_volume(image, volume, snapshot, new_name);
    lock_drop(&image->names_lock);
    return status;
}
