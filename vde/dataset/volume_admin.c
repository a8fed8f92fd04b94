/* SPDX-License-Identifier: Apache-2.0 */
/* volume_admin.c -- create, delete, rename. names_lock is held across each, so that what was looked up stays so. */
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"
#include "dataset/volume.h"

#define LEVEL_MAX 9u

vde_status volume_look_up(struct vde_image *image, const char *name, uint64_t *ret_id, struct volume_record *ret_record)
{
    vde_view *view;
    VDE_TRY(vde_view_open_pending(image, &view));
    struct map catalog = map_catalog(view->layers, &image->store, &image->label.layout, view->lsn);
    vde_status status = volume_lookup(&catalog, name, ret_id, ret_record);
    vde_view_close(view);
    return status;
}

vde_status volume_find(struct vde_image *image, const char *name, uint64_t *ret_id)
{
    struct volume_record record;
    VDE_TRY(volume_check_name(name));
    return volume_look_up(image, name, ret_id, &record);
}

static vde_status commit(vde_txn *txn, vde_status status)
{
    struct vde_commit commit;
    if (status == VDE_OK)
        status = vde_txn_commit(txn, &commit);
    vde_txn_destroy(txn);
    return status;
}

vde_status volume_put_record(vde_txn *txn, uint64_t id, const struct volume_record *record)
{
    uint8_t key[CATALOG_KEY_MAX];
    struct disk_volume disk;
    volume_record_put(record, &disk);
    return txn_op(txn, DATASET_CATALOG, key, key_volume(key, id), VALUE_INLINE, &disk, sizeof disk);
}

vde_status volume_name_put(vde_txn *txn, const char *name, uint64_t id)
{
    struct condition absent = {.what = "volume name"};
    vde_le64 value = le64(id);
    VDE_TRY(volume_check_name(name));
    absent.key_size = volume_name_key(absent.key, name);
    VDE_TRY(txn_condition(txn, &absent));
    return txn_op(txn, DATASET_CATALOG, absent.key, absent.key_size, VALUE_INLINE, &value, sizeof value);
}

static vde_status drop_name(vde_txn *txn, const char *name)
{
    uint8_t key[CATALOG_KEY_MAX];
    return txn_op(txn, DATASET_CATALOG, key, volume_name_key(key, name), VALUE_DELETE, NULL, 0);
}

/* --- create -------------------------------------------------------------------------------------------------------- */

vde_status volume_check_size(uint64_t size_bytes)
{
    if (size_bytes == 0 || size_bytes % 512u != 0 || size_bytes > VDE_VOLUME_MAX_BYTES)
        return fail_as(VDE_INVAL, "volume size|%llu bytes|a multiple of 512, at most %llu",
                       (unsigned long long)size_bytes, (unsigned long long)VDE_VOLUME_MAX_BYTES);
    return VDE_OK;
}

static vde_status check_opts(const struct vde_volume_opts *opts)
{
    if (opts->size != sizeof *opts || opts->flags & ~VDE_VOLUME_PREALLOC || opts->reserved != 0)
        return fail_as(VDE_INVAL, "volume options|size %u, flags %#x|what this library knows", opts->size, opts->flags);
    if (opts->compression > LEVEL_MAX)
        return fail_as(VDE_INVAL, "volume options|zstd level %u|0 to %u", opts->compression, LEVEL_MAX);
    return volume_check_size(opts->size_bytes);
}

static vde_status create(vde_txn *txn, uint64_t id, const char *name, const struct vde_volume_opts *opts)
{
    struct volume_record record = {.size_bytes = opts->size_bytes,
                                   .created_us = image_now_us(txn->image),
                                   .flags = opts->flags & VDE_VOLUME_PREALLOC ? VOLUME_PREALLOC : 0,
                                   .compression = (uint8_t)opts->compression};
    struct dataset_record dataset = {.id = id, .kind = DATASET_KIND_VOLUME, .tree = id};
    VDE_TRY(volume_name_put(txn, name, id));
    VDE_TRY(txn_dataset_create(txn, &dataset));
    return volume_put_record(txn, id, &record);
}

vde_status volume_keep_space(struct vde_image *image, uint64_t id, uint64_t blocks)
{
    unsigned tries = 0;
    vde_status status = prealloc_reserve(image, id, blocks);
    while (status == VDE_NOSPC && space_may_come(image, &tries))
        status = prealloc_reserve(image, id, blocks);
    return status;
}

vde_status vde_volume_create(vde_image *image, const char *name, const struct vde_volume_opts *opts)
{
    vde_txn *txn;
    VDE_TRY(volume_check_name(name));
    VDE_TRY(check_opts(opts));
    VDE_TRY(vde_txn_create(image, &txn));
    lock_take(&image->names_lock);
    uint64_t id = vde_id_reserve(image);
    vde_status status = opts->flags & VDE_VOLUME_PREALLOC
                            ? volume_keep_space(image, id, div_up(opts->size_bytes, BLOCK_BYTES))
                            : VDE_OK;
    if (status == VDE_OK)
        status = create(txn, id, name, opts);
    status = commit(txn, status);
    if (status != VDE_OK && status != VDE_COMMIT_UNKNOWN)
        prealloc_drop(image, id);
    lock_drop(&image->names_lock);
    return status;
}

/* --- delete, rename ------------------------------------------------------------------------------------------------ */

static vde_status delete_locked(struct vde_image *image, const char *name)
{
    uint64_t id;
    struct volume_record record;
    uint8_t key[CATALOG_KEY_MAX];
    vde_txn *txn;
    VDE_TRY(volume_look_up(image, name, &id, &record));
    VDE_TRY(volume_claim(image, id));
    vde_status status = vde_txn_create(image, &txn);
    if (status == VDE_OK) {
        status = drop_name(txn, name);
        if (status == VDE_OK)
            status = txn_op(txn, DATASET_CATALOG, key, key_volume(key, id), VALUE_DELETE, NULL, 0);
        if (status == VDE_OK)
            status = vde_txn_dataset_drop(txn, id);
        status = commit(txn, status);
    }
    if (status == VDE_OK)
        prealloc_drop(image, id);
    volume_unclaim(image, id);
    return status;
}

vde_status vde_volume_delete(vde_image *image, const char *name)
{
    VDE_TRY(volume_check_name(name));
    if (image->read_only)
        return fail_as(VDE_READ_ONLY, "image");
    lock_take(&image->names_lock);
    vde_status status = delete_locked(image, name);
    lock_drop(&image->names_lock);
    return status;
}

static vde_status rename_locked(struct vde_image *image, const char *name, const char *new_name)
{
    uint64_t id;
    struct volume_record record;
    vde_txn *txn;
    VDE_TRY(volume_look_up(image, name, &id, &record));
    VDE_TRY(vde_txn_create(image, &txn));
    vde_status status = volume_name_put(txn, new_name, id);
    if (status == VDE_OK)
        status = drop_name(txn, name);
    return commit(txn, status);
}

vde_status vde_volume_rename(vde_image *image, const char *name, const char *new_name)
{
    VDE_TRY(volume_check_name(name));
    VDE_TRY(volume_check_name(new_name));
    if (image->read_only)
        return fail_as(VDE_READ_ONLY, "image");
    lock_take(&image->names_lock);
    vde_status status = rename_locked(image, name, new_name);
    lock_drop(&image->names_lock);
    return status;
}
