/* SPDX-License-Identifier: Apache-2.0 */
/* merge_image.c -- make the whole image again what one of its snapshots shows. The catalog becomes what it was, and with it
 * names, volumes, snapshots and streams; each dataset's head becomes what it was, as in the rollback of a volume; what was
 * created since goes. Three things stay as they are now: the list of image snapshots up to this one, what has been freed of
 * things that were dropped before it, and what the trees of datasets keep for older snapshots.
 *
 * Everything born since is in a head or in a dead tree of now. What was alive then and is not in a head any more is in a dead
 * tree, for the snapshot held it. So heads and dead trees of now tell all that has to go and to come back. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"
#include "base/mutate.h"
#include "pool/merge.h"

struct past {
    struct merge *merge;
    struct map now, then; /* the catalog before and as of the snapshot */
    uint64_t lsn;
};

typedef vde_status (*visit_fn)(struct past *past, const uint8_t *key, size_t size, const struct map_value *value);

static vde_status each(struct past *past, const struct map *map, const uint8_t *prefix, size_t prefix_size, visit_fn visit)
{
    struct map_cursor *cursor;
    VDE_TRY(map_cursor_open(map, prefix, prefix_size, &cursor));
    vde_status status = VDE_OK;
    while (status == VDE_OK && map_cursor_valid(cursor)) {
        const uint8_t *key;
        size_t size;
        struct map_value value;
        map_cursor_record(cursor, &key, &size, &value);
        if (size < prefix_size || memcmp(key, prefix, prefix_size) != 0)
            break;
        status = visit(past, key, size, &value);
        if (status == VDE_OK)
            status = map_cursor_next(cursor);
    }
    map_cursor_close(cursor);
    return status;
}

static vde_status put(struct past *past, const void *key, size_t size, const void *value, size_t value_size)
{
    return changes_add(&past->merge->catalog_changes, key, size, VALUE_INLINE, value, value_size, true);
}

static vde_status delete_key(struct past *past, const uint8_t *key, size_t size, const struct map_value *value)
{
    (void)value;
    return changes_add(&past->merge->catalog_changes, key, size, VALUE_DELETE, NULL, 0, true);
}

/* *ret_found: the record exists in that catalog. */
static vde_status find_dataset(const struct past *past, const struct map *map, uint64_t id,
                               struct dataset_record *ret_record, bool *ret_found)
{
    uint8_t key[CATALOG_KEY_MAX];
    enum value_kind kind;
    void *data = NULL;
    size_t size;
    uint64_t lsn;
    vde_status status = map_get(map, key, key_dataset(key, id), &kind, &data, &size, &lsn);
    *ret_found = status == VDE_OK;
    if (status == VDE_OK)
        status = dataset_record_get(data, size, id, &past->merge->image->label.layout, ret_record);
    free(data);
    return status == VDE_NOT_FOUND ? VDE_OK : status;
}

static vde_status find_zombie(const struct map *map, const uint8_t *key, size_t key_size, struct zombie_record *ret_zombie,
                              bool *ret_found)
{
    enum value_kind kind;
    void *data = NULL;
    size_t size;
    uint64_t lsn;
    vde_status status = map_get(map, key, key_size, &kind, &data, &size, &lsn);
    *ret_found = status == VDE_OK;
    if (status == VDE_OK)
        status = zombie_record_get(data, size, "zombie record", ret_zombie);
    free(data);
    return status == VDE_NOT_FOUND ? VDE_OK : status;
}

static vde_status put_zombie(struct past *past, const uint8_t *key, size_t key_size, const struct zombie_record *zombie)
{
    uint8_t value[ZOMBIE_VALUE_MAX];
    return put(past, key, key_size, value, zombie_record_put(zombie, value));
}

/* --- image snapshots: those of now, up to this one ------------------------------------------------------------------ */

static vde_status keep_image_snapshot(struct past *past, const uint8_t *key, size_t size, const struct map_value *value)
{
    struct snapshot_record snapshot;
    uint8_t alias[CATALOG_KEY_MAX];
    if (size != 17)
        return VDE_OK;
    VDE_TRY(snapshot_record_get(value->data, value->size, &past->merge->image->label.layout, &snapshot));
    if (snapshot.lsn > past->lsn)
        return VDE_OK;
    VDE_TRY(put(past, key, size, value->data, value->size));
    vde_le64 tag = le64(be64_get(key + 9));
    size_t alias_size = key_alias(alias, DATASET_CATALOG, snapshot.name, strlen(snapshot.name));
    return snapshot.name[0] ? put(past, alias, alias_size, &tag, sizeof tag) : VDE_OK;
}

/* Keys that end in an LSN. */
static vde_status keep_by_lsn(struct past *past, const uint8_t *key, size_t size, const struct map_value *value)
{
    bool keep = size >= 17 && be64_get(key + size - 8) <= past->lsn;
    return keep ? put(past, key, size, value->data, value->size) : VDE_OK;
}

static vde_status image_snapshots(struct past *past)
{
    const struct {
        uint8_t key[10];
        size_t size;
        visit_fn keep;
    } lists[] = {
        {{CATALOG_KEY_ALIAS, 0, 0, 0, 0, 0, 0, 0, DATASET_CATALOG}, 9, NULL}, /* with the snapshots */
        {{CATALOG_KEY_SNAPSHOT, 0, 0, 0, 0, 0, 0, 0, DATASET_CATALOG}, 9, keep_image_snapshot},
        {{CATALOG_KEY_LSN, 0, 0, 0, 0, 0, 0, 0, DATASET_CATALOG}, 9, keep_by_lsn},
        {{CATALOG_KEY_ZOMBIE, 'p', 0, 0, 0, 0, 0, 0, 0, DATASET_CATALOG}, 10, keep_by_lsn},
    };
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        VDE_TRY(each(past, &past->then, lists[i].key, lists[i].size, delete_key));
    }
    for (size_t i = 1; i < sizeof lists / sizeof lists[0]; i++)
        VDE_TRY(each(past, &past->now, lists[i].key, lists[i].size, lists[i].keep));
    return VDE_OK;
}

/* --- what was dropped before: its freeing goes on from where it is ---------------------------------------------------- */

static vde_status zombie_snapshot(struct past *past, const uint8_t *key, size_t size, const struct map_value *value)
{
    struct zombie_record zombie;
    bool found;
    uint8_t listed[CATALOG_KEY_MAX];
    if (size != 18 || be64_get(key + 2) == DATASET_CATALOG)
        return VDE_OK;
    VDE_TRY(find_zombie(&past->now, key, size, &zombie, &found));
    if (found && !zombie.freeing)
        return VDE_OK;
    VDE_TRY(delete_key(past, listed, key_lsn(listed, be64_get(key + 2), be64_get(key + 10)), value));
    return found ? put_zombie(past, key, size, &zombie) : delete_key(past, key, size, value);
}

static vde_status zombie_dataset(struct past *past, const uint8_t *key, size_t size, const struct map_value *value)
{
    struct zombie_record zombie;
    struct dataset_record record;
    bool found, recorded;
    (void)value;
    if (size != 10)
        return VDE_OK;
    uint64_t id = be64_get(key + 2);
    VDE_TRY(find_zombie(&past->now, key, size, &zombie, &found));
    if (!found) {
        VDE_TRY(find_dataset(past, &past->then, id, &record, &recorded));
        return merge_forget_dataset(past->merge, id, recorded ? &record : NULL);
    }
    if (!zombie.freeing)
        return VDE_OK;
    VDE_TRY(find_dataset(past, &past->now, id, &record, &recorded));
    if (recorded)
        VDE_TRY(merge_record_put(past->merge, &record));
    return put_zombie(past, key, size, &zombie);
}

/* --- datasets ------------------------------------------------------------------------------------------------------- */

/* Is it dropped, and has its freeing begun or even ended? */
static vde_status is_going(const struct past *past, uint64_t id, bool *ret_going)
{
    uint8_t key[CATALOG_KEY_MAX];
    size_t size = key_zombie(key, 'd', id);
    struct zombie_record zombie;
    bool then, now;
    VDE_TRY(find_zombie(&past->then, key, size, &zombie, &then));
    VDE_TRY(find_zombie(&past->now, key, size, &zombie, &now));
    *ret_going = then ? !now || zombie.freeing : now && zombie.freeing;
    if (!then && *ret_going)
        return fail_corrupt("dataset %llu|being freed|kept for the image snapshot that shows it", (unsigned long long)id);
    return VDE_OK;
}

static vde_status restore_dataset(struct past *past, const uint8_t *key, size_t size, const struct map_value *value)
{
    struct merge *merge = past->merge;
    struct dataset_record then, now;
    bool going, found;
    uint8_t bytes[DATASET_VALUE_MAX];
    if (size != 9)
        return VDE_OK;
    uint64_t id = be64_get(key + 1);
    VDE_TRY(is_going(past, id, &going));
    if (going)
        return VDE_OK;
    VDE_TRY(dataset_record_get(value->data, value->size, id, &merge->image->label.layout, &then));
    VDE_TRY(find_dataset(past, &past->now, id, &now, &found));
    if (!found)
        return fail_corrupt("dataset %llu|none|what the image snapshot at LSN %llu shows", (unsigned long long)id,
                            (unsigned long long)past->lsn);
    VDE_TRY(merge_to_past(merge, &now, past->lsn));
    merge->nodes += (int64_t)then.root.nodes - (int64_t)now.root.nodes;
    then.dead = now.dead;
    then.dead_blocks = now.dead_blocks;
    VDE_TRY(merge_own_before(merge, &past->now.root, id, past->lsn + 1, &then.newest_snapshot));
    size_t bytes_size = dataset_record_put(&then, bytes);
    bool changed = bytes_size != value->size || memcmp(bytes, value->data, bytes_size) != 0;
    return changed ? put(past, key, size, bytes, bytes_size) : VDE_OK;
}

/* Created since: all of it goes, now. */
static vde_status remove_dataset(struct past *past, const uint8_t *key, size_t size, const struct map_value *value)
{
    struct dataset_record record;
    struct zombie_record zombie = {0};
    bool found, dropped;
    uint8_t zombie_key[CATALOG_KEY_MAX];
    if (size != 9)
        return VDE_OK;
    uint64_t id = be64_get(key + 1);
    VDE_TRY(find_dataset(past, &past->then, id, &record, &found));
    if (found)
        return VDE_OK;
    VDE_TRY(dataset_record_get(value->data, value->size, id, &past->merge->image->label.layout, &record));
    VDE_TRY(find_zombie(&past->now, zombie_key, key_zombie(zombie_key, 'd', id), &zombie, &dropped));
    return merge_free_dataset(past->merge, &record, dropped ? &zombie : NULL);
}

vde_status merge_image_rollback(struct merge *merge, const struct snapshot_record *snapshot)
{
    struct past past = {merge, merge->catalog, merge->catalog, snapshot->lsn};
    static const uint8_t dataset[] = {CATALOG_KEY_DATASET}, snapshots[] = {CATALOG_KEY_ZOMBIE, 'p'},
                         datasets[] = {CATALOG_KEY_ZOMBIE, 'd'};
    past.now.overlays[0] = NULL;
    past.then = past.now;
    past.then.root = snapshot->root;
    struct dataset_record catalog = {.id = DATASET_CATALOG, .tree = DATASET_CATALOG, .root = past.now.root,
                                     .dead = merge->catalog_dead, .dead_blocks = merge->catalog_dead_blocks};
    VDE_TRY(merge_to_past(merge, &catalog, snapshot->lsn));
    merge->catalog = past.then;
    merge->catalog_dead = catalog.dead;
    merge->catalog_dead_blocks = catalog.dead_blocks;
    VDE_TRY(image_snapshots(&past));
    VDE_TRY(each(&past, &past.then, snapshots, sizeof snapshots, zombie_snapshot));
    VDE_TRY(each(&past, &past.then, dataset, sizeof dataset, restore_dataset));
    VDE_TRY(each(&past, &past.then, datasets, sizeof datasets, zombie_dataset));
    VDE_TRY(each(&past, &past.now, dataset, sizeof dataset, remove_dataset));
    merge->newest_image = snapshot->lsn;
    merge->zombies_left = true;
    return merge_catalog_apply(merge);
}
