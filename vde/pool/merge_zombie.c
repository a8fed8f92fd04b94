/* SPDX-License-Identifier: Apache-2.0 */
/* merge_zombie.c -- free what was dropped, within the budget of one checkpoint. Each step is part of the checkpoint, so
 * that an interrupted free goes on where the last durable one stopped.
 *
 * A zombie is blocked while an image snapshot of its lifetime or a clone needs it. A snapshot whose freeing begins leaves
 * the list of snapshots ('l') first: from then on its neighbours are each other's neighbours, and in whichever order the
 * snapshots between two living ones are freed, each frees what died between the two and was born after the first. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"
#include "base/mutate.h"
#include "pool/merge.h"

#define ENTRY_BUDGET 65536u /* dead entries a checkpoint */
#define LEAF_BUDGET 4096u   /* leaves of dropped datasets a checkpoint */
#define STARTS_MAX 1024u    /* zombies whose freeing may begin with one checkpoint */

struct zombie {
    uint8_t what;        /* 'd' or 'p' */
    uint64_t id, lsn;    /* lsn: of a snapshot */
    struct zombie_record record;
};

/* --- dead trees --------------------------------------------------------------------------------------------------- */

struct dead_range {
    struct merge *merge;
    struct tree_cursor *cursor;
    struct changes changes;
    uint64_t dataset, before, after, blocks;
    bool done;
};

/* One entry under the cursor: free it, or go on to where the next one that may be freed stands. */
static vde_status free_entry(struct dead_range *range)
{
    const void *found;
    size_t size;
    struct tree_value value;
    vde_le32 blocks;
    uint8_t key[24];
    tree_cursor_record(range->cursor, &found, &size, &value);
    if (size != 24 || value.kind != VALUE_INLINE || value.size != sizeof blocks)
        return fail_corrupt("dead tree of dataset %llu|a record of %zu + %zu bytes|24 + 4",
                            (unsigned long long)range->dataset, size, value.size);
    uint64_t newest = be64_get(found), birth = be64_get((const uint8_t *)found + 8);
    if (newest >= range->after) {
        range->done = true;
        return VDE_OK;
    }
    if (birth <= range->before)
        return tree_cursor_seek(range->cursor, key, key_dead(key, newest, range->before + 1, 0));
    if (range->merge->entry_budget == 0)
        return VDE_NOT_FOUND;
    range->merge->entry_budget--;
    memcpy(&blocks, value.data, sizeof blocks);
    range->blocks += le32_get(blocks);
    VDE_TRY(runs_add(&range->merge->freed, be64_get((const uint8_t *)found + 16), le32_get(blocks)));
    VDE_TRY(changes_add(&range->changes, found, size, VALUE_DELETE, NULL, 0, true));
    return tree_cursor_next(range->cursor);
}

vde_status merge_free_dead(struct merge *merge, uint64_t dataset, struct tree_root *dead, uint64_t before, uint64_t lsn,
                           uint64_t after, uint64_t *ret_blocks, bool *ret_done)
{
    struct dead_range range = {.merge = merge, .dataset = dataset, .before = before, .after = after};
    uint64_t tree = dataset | DATASET_DEAD_BIT;
    uint8_t key[24];
    *ret_done = true;
    if (ptr_is_null(dead->node))
        return VDE_OK;
    VDE_TRY(tree_cursor_open(&merge->image->store, tree, dead, &range.cursor));
    vde_status status = tree_cursor_seek(range.cursor, key, key_dead(key, lsn, before + 1, 0));
    while (status == VDE_OK && !range.done && tree_cursor_valid(range.cursor))
        status = free_entry(&range);
    tree_cursor_close(range.cursor);
    *ret_done = status == VDE_OK;
    if (status == VDE_NOT_FOUND) /* the budget is used up */
        status = VDE_OK;
    merge->free_all = true;
    if (status == VDE_OK && range.changes.count > 0)
        status = tree_apply(&merge->writer, tree, dead, range.changes.ops, range.changes.count);
    merge->free_all = false;
    changes_done(&range.changes);
    *ret_blocks -= range.blocks;
    return status;
}

/* --- the list of zombies ------------------------------------------------------------------------------------------ */

static vde_status zombie_get(const struct map_cursor *cursor, struct zombie *ret_zombie, bool *ret_found)
{
    const uint8_t *key;
    size_t size;
    struct map_value value;
    *ret_found = false;
    if (!map_cursor_valid(cursor))
        return VDE_OK;
    map_cursor_record(cursor, &key, &size, &value);
    if (size < 10 || key[0] != CATALOG_KEY_ZOMBIE || size != (key[1] == 'p' ? 18u : 10u))
        return VDE_OK;
    *ret_found = true;
    ret_zombie->what = key[1];
    ret_zombie->id = be64_get(key + 2);
    ret_zombie->lsn = key[1] == 'p' ? be64_get(key + 10) : 0;
    VDE_TRY(zombie_record_get(value.data, value.size, "zombie record", &ret_zombie->record));
    if (ret_zombie->record.lsn != ret_zombie->lsn)
        return fail_corrupt("zombie record of dataset %llu|LSN %llu|%llu, as in its key", (unsigned long long)ret_zombie->id,
                            (unsigned long long)ret_zombie->record.lsn, (unsigned long long)ret_zombie->lsn);
    return VDE_OK;
}

static size_t zombie_key(const struct zombie *zombie, uint8_t *key)
{
    return zombie->what == 'p' ? key_zombie_snapshot(key, zombie->id, zombie->lsn) : key_zombie(key, 'd', zombie->id);
}

static vde_status zombie_put(struct merge *merge, const struct zombie *zombie)
{
    uint8_t key[CATALOG_KEY_MAX], value[ZOMBIE_VALUE_MAX];
    size_t size = zombie_record_put(&zombie->record, value);
    return changes_add(&merge->catalog_changes, key, zombie_key(zombie, key), VALUE_INLINE, value, size, true);
}

static vde_status zombie_forget(struct merge *merge, const struct zombie *zombie)
{
    uint8_t key[CATALOG_KEY_MAX];
    return changes_add(&merge->catalog_changes, key, zombie_key(zombie, key), VALUE_DELETE, NULL, 0, true);
}

/* Call `each` for the zombies of a kind; it may change what the merge is going to write, not what it walks. */
static vde_status each_zombie(struct merge *merge, uint8_t what, vde_status (*each)(struct merge *, struct zombie *))
{
    struct map_cursor *cursor;
    struct zombie *zombie = malloc(sizeof *zombie);
    uint8_t from[CATALOG_KEY_MAX];
    bool found = true;
    if (!zombie)
        return fail_nomem("checkpoint");
    vde_status status = map_cursor_open(&merge->catalog, from, key_zombie(from, what, 0), &cursor);
    if (status != VDE_OK) {
        free(zombie);
        return status;
    }
    while (status == VDE_OK && found) {
        status = zombie_get(cursor, zombie, &found);
        found = found && status == VDE_OK && zombie->what == what;
        if (found)
            status = each(merge, zombie);
        if (found && status == VDE_OK)
            status = map_cursor_next(cursor);
    }
    map_cursor_close(cursor);
    free(zombie);
    return status;
}

/* --- who may go --------------------------------------------------------------------------------------------------- */

/* Does a catalog key with this prefix exist? */
static vde_status any_key(struct merge *merge, const uint8_t *prefix, size_t size, bool *ret_any)
{
    struct map_cursor *cursor;
    *ret_any = false;
    VDE_TRY(map_cursor_open(&merge->catalog, prefix, size, &cursor));
    if (map_cursor_valid(cursor)) {
        const uint8_t *key;
        size_t key_size;
        struct map_value value;
        map_cursor_record(cursor, &key, &key_size, &value);
        *ret_any = key_size >= size && memcmp(key, prefix, size) == 0;
    }
    map_cursor_close(cursor);
    return VDE_OK;
}

/* An image snapshot that was taken while this lived, or a clone. */
static vde_status is_blocked(struct merge *merge, const struct zombie *zombie, bool *ret_blocked)
{
    uint8_t prefix[CATALOG_KEY_MAX];
    uint64_t born = zombie->record.lsn, before, after;
    *ret_blocked = false;
    if (zombie->id == DATASET_CATALOG || MUTATED(MUTATE_ZOMBIE_BLOCKED))
        return VDE_OK;
    if (zombie->what == 'd') {
        uint8_t key[CATALOG_KEY_MAX];
        struct dataset_record record;
        enum value_kind kind;
        void *data = NULL;
        size_t size;
        uint64_t lsn;
        vde_status status = map_get(&merge->catalog, key, key_dataset(key, zombie->id), &kind, &data, &size, &lsn);
        if (status == VDE_NOT_FOUND)
            return VDE_OK;
        VDE_TRY(status);
        status = dataset_record_get(data, size, zombie->id, &merge->image->label.layout, &record);
        free(data);
        VDE_TRY(status);
        born = record.created_lsn;
    }
    VDE_TRY(merge_neighbours(merge, DATASET_CATALOG, born > 0 ? born - 1 : 0, &before, &after));
    if (after < zombie->record.dropped_lsn)
        *ret_blocked = true;
    size_t size = key_clone(prefix, zombie->id, zombie->lsn, 0);
    return *ret_blocked ? VDE_OK : any_key(merge, prefix, zombie->what == 'd' ? 9 : size - 8, ret_blocked);
}

/* Freeing begins: the snapshot leaves the list. */
static vde_status start(struct merge *merge, struct zombie *zombie)
{
    bool blocked;
    if (zombie->record.freeing)
        return VDE_OK;
    VDE_TRY(is_blocked(merge, zombie, &blocked));
    if (blocked)
        return VDE_OK;
    if (merge->starts == STARTS_MAX) {
        merge->zombies_left = true;
        return VDE_OK;
    }
    merge->starts++;
    zombie->record.freeing = true;
    if (zombie->what == 'p') {
        uint8_t key[CATALOG_KEY_MAX];
        VDE_TRY(changes_add(&merge->catalog_changes, key, key_lsn(key, zombie->id, zombie->record.lsn), VALUE_DELETE, NULL,
                            0, true));
    }
    return zombie_put(merge, zombie);
}

/* --- image snapshots ---------------------------------------------------------------------------------------------- */

/* Free in one dataset's dead tree what only this image snapshot needed. */
static vde_status free_in_dataset(struct merge *merge, uint64_t lsn, struct dataset_record *record, bool *ret_done)
{
    uint64_t before, after;
    struct tree_root dead = record->dead;
    vde_status status;
    *ret_done = true;
    if (ptr_is_null(dead.node))
        return VDE_OK;
    if (merge_is_zombie(merge, 'd', record->id, &status) && merge->zombie_freeing)
        return VDE_OK; /* its dead tree may be gone in part, and goes as a whole */
    VDE_TRY(status);
    VDE_TRY(merge_neighbours(merge, record->id, lsn, &before, &after));
    VDE_TRY(merge_free_dead(merge, record->id, &record->dead, before, lsn, after, &record->dead_blocks, ret_done));
    bool changed = dead.node.address != record->dead.node.address;
    return changed ? merge_record_put(merge, record) : VDE_OK;
}

/* From dataset `resume` on; *resume is where to go on, 0 when all are done. */
static vde_status free_in_all(struct merge *merge, uint64_t lsn, uint64_t *resume)
{
    struct map_cursor *cursor;
    uint8_t from[CATALOG_KEY_MAX];
    bool done = true;
    VDE_TRY(map_cursor_open(&merge->catalog, from, key_dataset(from, *resume), &cursor));
    *resume = 0;
    vde_status status = VDE_OK;
    while (status == VDE_OK && map_cursor_valid(cursor)) {
        const uint8_t *key;
        size_t size;
        struct map_value value;
        struct dataset_record record;
        map_cursor_record(cursor, &key, &size, &value);
        if (size != 9 || key[0] != CATALOG_KEY_DATASET)
            break;
        uint64_t id = be64_get(key + 1);
        status = dataset_record_get(value.data, value.size, id, &merge->image->label.layout, &record);
        if (status == VDE_OK)
            status = free_in_dataset(merge, lsn, &record, &done);
        if (!done) {
            *resume = id;
            break;
        }
        if (status == VDE_OK)
            status = map_cursor_next(cursor);
    }
    map_cursor_close(cursor);
    return status;
}

static vde_status free_image_snapshot(struct merge *merge, struct zombie *zombie)
{
    uint64_t before, after, resume = 0;
    bool done;
    if (!zombie->record.freeing || zombie->id != DATASET_CATALOG)
        return VDE_OK;
    if (merge->entry_budget == 0 || merge->catalog_changes.count > 0) { /* one at a time: records are read from the tree */
        merge->zombies_left = true;
        return VDE_OK;
    }
    VDE_TRY(merge_neighbours(merge, DATASET_CATALOG, zombie->record.lsn, &before, &after));
    VDE_TRY(merge_free_dead(merge, DATASET_CATALOG, &merge->catalog_dead, before, zombie->record.lsn, after,
                            &merge->catalog_dead_blocks, &done));
    if (zombie->record.resume_size == 8)
        resume = be64_get(zombie->record.resume);
    if (done)
        VDE_TRY(free_in_all(merge, zombie->record.lsn, &resume));
    if (done && resume == 0)
        return zombie_forget(merge, zombie);
    zombie->record.resume_size = 8;
    be64_put(zombie->record.resume, resume);
    merge->zombies_left = true;
    return zombie_put(merge, zombie);
}

/* --- snapshots of one dataset ------------------------------------------------------------------------------------- */

/* The record of the dataset at hand: several snapshots of it may go together. */
static vde_status use_record(struct merge *merge, uint64_t id)
{
    if (merge->at_hand.id == id)
        return VDE_OK;
    if (merge->at_hand.id != 0)
        VDE_TRY(merge_record_put(merge, &merge->at_hand));
    merge->at_hand.id = 0;
    if (id == 0)
        return VDE_OK;
    uint8_t key[CATALOG_KEY_MAX];
    enum value_kind kind;
    void *data = NULL;
    size_t size;
    uint64_t lsn;
    VDE_TRY(map_get(&merge->catalog, key, key_dataset(key, id), &kind, &data, &size, &lsn));
    vde_status status = dataset_record_get(data, size, id, &merge->image->label.layout, &merge->at_hand);
    free(data);
    if (status == VDE_OK)
        status = merge_newest_own(merge, id, &merge->at_hand.newest_snapshot);
    return status;
}

static vde_status free_snapshot(struct merge *merge, struct zombie *zombie)
{
    uint64_t before, after;
    bool done;
    vde_status status;
    if (!zombie->record.freeing || zombie->id == DATASET_CATALOG)
        return VDE_OK;
    if (merge_is_zombie(merge, 'd', zombie->id, &status) && merge->zombie_freeing)
        return VDE_OK; /* goes with its dataset */
    VDE_TRY(status);
    status = use_record(merge, zombie->id);
    if (status == VDE_NOT_FOUND)
        return zombie_forget(merge, zombie);
    VDE_TRY(status);
    VDE_TRY(merge_neighbours(merge, zombie->id, zombie->record.lsn, &before, &after));
    VDE_TRY(merge_free_dead(merge, zombie->id, &merge->at_hand.dead, before, zombie->record.lsn, after,
                            &merge->at_hand.dead_blocks, &done));
    merge->zombies_left |= !done;
    return done ? zombie_forget(merge, zombie) : VDE_OK;
}

/* --- datasets ----------------------------------------------------------------------------------------------------- */

/* Delete every catalog key that begins with tag byte and dataset id. */
static vde_status delete_keys(struct merge *merge, uint8_t tag, uint64_t dataset)
{
    struct map_cursor *cursor;
    uint8_t prefix[9];
    prefix[0] = tag;
    be64_put(prefix + 1, dataset);
    VDE_TRY(map_cursor_open(&merge->catalog, prefix, sizeof prefix, &cursor));
    vde_status status = VDE_OK;
    while (status == VDE_OK && map_cursor_valid(cursor)) {
        const uint8_t *key;
        size_t size;
        struct map_value value;
        map_cursor_record(cursor, &key, &size, &value);
        if (size < sizeof prefix || memcmp(key, prefix, sizeof prefix) != 0)
            break;
        status = changes_add(&merge->catalog_changes, key, size, VALUE_DELETE, NULL, 0, true);
        if (status == VDE_OK)
            status = map_cursor_next(cursor);
    }
    map_cursor_close(cursor);
    return status;
}

/* Snapshots of the dataset that were being freed themselves. */
static vde_status delete_snapshot_zombies(struct merge *merge, uint64_t dataset)
{
    struct map_cursor *cursor;
    uint8_t from[CATALOG_KEY_MAX];
    VDE_TRY(map_cursor_open(&merge->catalog, from, key_zombie_snapshot(from, dataset, 0), &cursor));
    vde_status status = VDE_OK;
    while (status == VDE_OK && map_cursor_valid(cursor)) {
        const uint8_t *key;
        size_t size;
        struct map_value value;
        map_cursor_record(cursor, &key, &size, &value);
        if (size != 18 || memcmp(key, from, 10) != 0)
            break;
        status = changes_add(&merge->catalog_changes, key, size, VALUE_DELETE, NULL, 0, true);
        if (status == VDE_OK)
            status = map_cursor_next(cursor);
    }
    map_cursor_close(cursor);
    return status;
}

vde_status merge_forget_dataset(struct merge *merge, uint64_t id, const struct dataset_record *record)
{
    uint8_t key[CATALOG_KEY_MAX];
    VDE_TRY(delete_keys(merge, CATALOG_KEY_SNAPSHOT, id));
    VDE_TRY(delete_keys(merge, CATALOG_KEY_LSN, id));
    VDE_TRY(delete_keys(merge, CATALOG_KEY_ALIAS, id));
    VDE_TRY(delete_keys(merge, CATALOG_KEY_VOLUME, id));
    VDE_TRY(delete_keys(merge, CATALOG_KEY_DATASET, id));
    VDE_TRY(delete_snapshot_zombies(merge, id));
    if (record && record->origin)
        VDE_TRY(changes_add(&merge->catalog_changes, key,
                            key_clone(key, record->origin, record->origin_lsn, id), VALUE_DELETE, NULL, 0, true));
    return changes_add(&merge->catalog_changes, key, key_zombie(key, 'd', id), VALUE_DELETE, NULL, 0, true);
}

/* A record of the dead tree of a dataset that goes: nothing needs what it names. */
static vde_status free_dead_record(void *context, const struct node_record *record)
{
    struct merge *merge = context;
    vde_le32 blocks;
    if (record->key_size != 24 || record->value_size != sizeof blocks || record->kind != VALUE_INLINE)
        return fail_corrupt("dead tree|a record of %u + %u bytes|24 + 4", record->key_size, record->value_size);
    memcpy(&blocks, record->value, sizeof blocks);
    return runs_add(&merge->freed, be64_get(record->key + 16), le32_get(blocks));
}

/* One step: the head first, then the dead tree. */
static vde_status free_trees(struct merge *merge, struct zombie *zombie, struct dataset_record *record)
{
    bool head = !ptr_is_null(record->root.node);
    struct tree_root *root = head ? &record->root : &record->dead;
    uint64_t tree = head ? record->tree : record->id | DATASET_DEAD_BIT;
    struct tree_drop *step = calloc(1, sizeof *step);
    if (!step)
        return fail_nomem("checkpoint");
    step->keep_through = head ? record->origin_lsn : 0;
    step->budget = merge->leaf_budget;
    step->record = head ? NULL : free_dead_record;
    step->resume_size = zombie->record.resume_size;
    memcpy(step->resume, zombie->record.resume, zombie->record.resume_size);
    merge->free_all = true;
    vde_status status = tree_drop_some(&merge->writer, tree, root, step);
    merge->free_all = false;
    merge->leaf_budget = step->budget;
    zombie->record.resume_size = step->done ? 0 : step->resume_size;
    memcpy(zombie->record.resume, step->resume, zombie->record.resume_size);
    if (status == VDE_OK && step->done) {
        merge->nodes -= head ? (int64_t)root->nodes : 0;
        *root = (struct tree_root){0};
        record->dead_blocks = head ? record->dead_blocks : 0;
        record->stored_blocks = record->mapped_blocks = 0;
    }
    free(step);
    return status;
}

vde_status merge_free_dataset(struct merge *merge, const struct dataset_record *record, const struct zombie_record *zombie)
{
    struct dataset_record left = *record;
    struct zombie *all = calloc(1, sizeof *all);
    if (!all)
        return fail_nomem("checkpoint");
    if (zombie)
        all->record = *zombie;
    vde_status status = VDE_OK;
    while (status == VDE_OK && (!ptr_is_null(left.root.node) || !ptr_is_null(left.dead.node))) {
        merge->leaf_budget = UINT64_MAX;
        status = free_trees(merge, all, &left);
    }
    free(all);
    return status;
}

static vde_status free_dataset(struct merge *merge, struct zombie *zombie)
{
    uint8_t key[CATALOG_KEY_MAX];
    struct dataset_record record;
    enum value_kind kind;
    void *data = NULL;
    size_t size;
    uint64_t lsn;
    if (!zombie->record.freeing)
        return VDE_OK;
    vde_status status = map_get(&merge->catalog, key, key_dataset(key, zombie->id), &kind, &data, &size, &lsn);
    if (status == VDE_NOT_FOUND)
        return merge_forget_dataset(merge, zombie->id, NULL);
    VDE_TRY(status);
    status = dataset_record_get(data, size, zombie->id, &merge->image->label.layout, &record);
    free(data);
    VDE_TRY(status);
    while (merge->leaf_budget > 0 && (!ptr_is_null(record.root.node) || !ptr_is_null(record.dead.node)))
        VDE_TRY(free_trees(merge, zombie, &record));
    if (ptr_is_null(record.root.node) && ptr_is_null(record.dead.node))
        return merge_forget_dataset(merge, zombie->id, &record);
    merge->zombies_left = true;
    VDE_TRY(merge_record_put(merge, &record));
    return zombie_put(merge, zombie);
}

/* --- the whole ---------------------------------------------------------------------------------------------------- */

static vde_status apply(struct merge *merge)
{
    return merge->catalog_changes.count > 0 ? merge_catalog_apply(merge) : VDE_OK;
}

vde_status merge_zombies(struct merge *merge)
{
    uint8_t prefix[] = {CATALOG_KEY_ZOMBIE, 'p'};
    bool snapshots, datasets;
    uint64_t after;
    merge->entry_budget = ENTRY_BUDGET;
    merge->leaf_budget = LEAF_BUDGET;
    merge->catalog.overlays[0] = NULL; /* all of it is in the tree now */
    VDE_TRY(apply(merge)); /* an image snapshot noted behind the last stage */
    VDE_TRY(any_key(merge, prefix, sizeof prefix, &snapshots));
    prefix[1] = 'd';
    VDE_TRY(any_key(merge, prefix, sizeof prefix, &datasets));
    if (!snapshots && !datasets)
        return VDE_OK;
    VDE_TRY(each_zombie(merge, 'p', start));
    VDE_TRY(each_zombie(merge, 'd', start));
    VDE_TRY(apply(merge));
    VDE_TRY(merge_neighbours(merge, DATASET_CATALOG, UINT64_MAX, &merge->newest_image, &after));
    VDE_TRY(each_zombie(merge, 'p', free_image_snapshot));
    VDE_TRY(apply(merge));
    VDE_TRY(each_zombie(merge, 'p', free_snapshot));
    VDE_TRY(use_record(merge, 0));
    VDE_TRY(apply(merge));
    VDE_TRY(each_zombie(merge, 'd', free_dataset));
    return apply(merge);
}
