/* SPDX-License-Identifier: Apache-2.0 */
/* merge_dataset.c -- one dataset's changes into its tree: a step for every snapshot of it taken in the stage, so that each
 * snapshot gets the root of exactly its LSN. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"
#include "base/mutate.h"
#include "pool/merge.h"
#include "tree/spill.h"

static bool owns_extents(enum value_kind kind)
{
    return kind == VALUE_SPILLED || kind == VALUE_EXTENT;
}

static unsigned extent_count(const struct overlay_entry *entry)
{
    return entry->kind == VALUE_EXTENT ? 1 : spill_count(entry->value);
}

static struct ptr extent_of(const struct overlay_entry *entry, unsigned index)
{
    struct disk_ptr disk;
    if (entry->kind == VALUE_SPILLED)
        return spill_extent(entry->value, index);
    memcpy(&disk, entry->value, sizeof disk);
    return ptr_get(&disk);
}

/* A version that no tree will ever see: its extents go. */
static vde_status free_version(struct merge *merge, const struct overlay_entry *entry)
{
    if (entry->kind == VALUE_RUN)
        return merge_free_blocks(merge, entry);
    if (!owns_extents(entry->kind))
        return VDE_OK;
    for (unsigned i = 0; i < extent_count(entry); i++) {
        struct ptr p = extent_of(entry, i);
        VDE_TRY(runs_add(&merge->freed, p.address, p.blocks));
    }
    return VDE_OK;
}

/* References in log records carry no birth: it is the record's LSN. */
static vde_status add_owner(struct merge *merge, struct changes *changes, const struct overlay_entry *entry)
{
    uint8_t value[SPILL_DESCRIPTOR_MAX + 1024];
    if (entry->value_size > sizeof value)
        return fail_corrupt("log record %llu|a reference of %zu bytes|a shorter one", (unsigned long long)entry->lsn,
                            entry->value_size);
    memcpy(value, entry->value, entry->value_size);
    size_t at = entry->kind == VALUE_SPILLED ? sizeof(struct disk_spill) : 0;
    for (unsigned i = 0; i < extent_count(entry); i++, at += sizeof(struct disk_ptr)) {
        struct disk_ptr disk;
        memcpy(&disk, value + at, sizeof disk);
        disk.birth = le64(entry->lsn);
        merge->stored += le32_get(disk.blocks);
        memcpy(value + at, &disk, sizeof disk);
    }
    return changes_add(changes, entry->key, entry->key_size, entry->kind, value, entry->value_size, true);
}

static bool same_key(const struct overlay_entry *a, const struct overlay_entry *b)
{
    return a->dataset == b->dataset && a->key_size == b->key_size && memcmp(a->key, b->key, a->key_size) == 0;
}

vde_status merge_collect(struct merge *merge, uint64_t dataset, uint64_t after, uint64_t through,
                         struct changes *changes)
{
    struct stage stage;
    struct overlay_entry entry, chosen = {0};
    vde_status status = stage_begin(merge, dataset, after, through, &stage);
    while (status == VDE_OK && stage_next(&stage, &entry)) {
        if (chosen.key && same_key(&chosen, &entry)) {
            status = free_version(merge, &entry);
            continue;
        }
        chosen = entry;
        status = owns_extents(entry.kind) ? add_owner(merge, changes, &entry)
                                          : changes_add(changes, entry.key, entry.key_size, entry.kind, entry.value,
                                                        entry.value_size, false);
    }
    stage_end(&stage);
    return status;
}

vde_status merge_discard(struct merge *merge, uint64_t dataset, uint64_t after, uint64_t through)
{
    struct stage stage;
    struct overlay_entry entry;
    vde_status status = stage_begin(merge, dataset, after, through, &stage);
    while (status == VDE_OK && stage_next(&stage, &entry))
        status = free_version(merge, &entry);
    stage_end(&stage);
    return status;
}

/* The oldest snapshot of the dataset in the frozen overlay with LSN in (after, stage] that still exists at its end. */
static bool next_snapshot(struct merge *merge, uint64_t dataset, uint64_t after, struct overlay_entry *ret_entry)
{
    uint8_t key[CATALOG_KEY_MAX];
    struct overlay_iterator iterator;
    struct overlay_entry entry;
    bool found = false;
    overlay_seek(&iterator, merge->overlay, merge->through, DATASET_CATALOG, key, key_snapshot(key, dataset, 0));
    for (; overlay_valid(&iterator); overlay_next(&iterator)) {
        overlay_entry(&iterator, &entry);
        if (entry.dataset != DATASET_CATALOG || entry.key_size != 17 || memcmp(entry.key, key, 9) != 0)
            break;
        if (entry.kind == VALUE_DELETE || entry.lsn <= after || (found && entry.lsn >= ret_entry->lsn))
            continue;
        found = true;
        *ret_entry = entry;
    }
    return found;
}

/* A dataset dropped in the stage that made it: its record says when that was, and a clone's nodes are counted, for freeing it
 * will take them off again. */
static vde_status settle_record(struct merge *merge, uint64_t dataset)
{
    struct overlay_entry entry;
    struct dataset_record record;
    uint8_t key[CATALOG_KEY_MAX];
    size_t size = key_dataset(key, dataset);
    if (!overlay_get(merge->overlay, DATASET_CATALOG, key, size, merge->through, &entry) || entry.kind != VALUE_INLINE ||
        entry.lsn <= merge->after)
        return VDE_OK;
    VDE_TRY(dataset_record_get(entry.value, entry.value_size, dataset, &merge->image->label.layout, &record));
    if (record.created_lsn == 0)
        record.created_lsn = entry.lsn;
    merge->nodes += (int64_t)record.root.nodes;
    return merge_record_put(merge, &record);
}

vde_status merge_void(struct merge *merge, uint64_t dataset)
{
    struct overlay_entry entry;
    uint8_t rollback[CATALOG_KEY_MAX];
    VDE_TRY(settle_record(merge, dataset));
    VDE_TRY(changes_add(&merge->catalog_changes, rollback, key_rollback(rollback, dataset), VALUE_DELETE, NULL, 0, true));
    for (uint64_t after = merge->after; next_snapshot(merge, dataset, after, &entry); after = entry.lsn) {
        struct snapshot_record snapshot;
        uint8_t key[CATALOG_KEY_MAX];
        VDE_TRY(snapshot_record_get(entry.value, entry.value_size, &merge->image->label.layout, &snapshot));
        VDE_TRY(changes_add(&merge->catalog_changes, entry.key, entry.key_size, VALUE_DELETE, NULL, 0, false));
        if (snapshot.name[0])
            VDE_TRY(changes_add(&merge->catalog_changes, key,
                                key_alias(key, dataset, snapshot.name, strlen(snapshot.name)), VALUE_DELETE, NULL, 0,
                                true));
    }
    return merge_discard(merge, dataset, merge->after, merge->through);
}

static vde_status stage(struct merge *merge, struct dataset_record *record, uint64_t after, uint64_t through)
{
    struct changes changes = {0};
    uint64_t nodes = record->root.nodes;
    merge->writer.birth = through;
    merge->newest_snapshot = max_u64(record->newest_snapshot, MUTATED(MUTATE_IMAGE_SNAPSHOT) ? 0 : merge->newest_image);
    vde_status status = VDE_OK;
    if (record->kind == DATASET_KIND_VOLUME)
        status = merge_volume(merge, record, after, through);
    else
        status = merge_collect(merge, record->id, after, through, &changes);
    if (status == VDE_OK && changes.count > 0)
        status = tree_apply(&merge->writer, record->tree, &record->root, changes.ops, changes.count);
    merge->nodes += (int64_t)record->root.nodes - (int64_t)nodes;
    merge->writer.birth = merge->through;
    changes_done(&changes);
    return status;
}

static vde_status note_snapshot(struct merge *merge, struct dataset_record *record, const struct overlay_entry *entry)
{
    struct snapshot_record snapshot;
    uint8_t key[CATALOG_KEY_MAX], value[SNAPSHOT_VALUE_MAX];
    uint64_t tag = be64_get(entry->key + 9);
    VDE_TRY(snapshot_record_get(entry->value, entry->value_size, &merge->image->label.layout, &snapshot));
    snapshot.lsn = entry->lsn;
    snapshot.root = record->root;
    snapshot.mapped_blocks = record->mapped_blocks;
    snapshot.stored_blocks = (uint64_t)((int64_t)record->stored_blocks + merge->stored);
    size_t size = snapshot_record_put(&snapshot, value);
    VDE_TRY(changes_add(&merge->catalog_changes, key, key_snapshot(key, record->id, tag), VALUE_INLINE, value, size, true));
    vde_le64 lsn_tag = le64(tag);
    record->newest_snapshot = entry->lsn;
    return changes_add(&merge->catalog_changes, key, key_lsn(key, record->id, entry->lsn), VALUE_INLINE, &lsn_tag,
                       sizeof lsn_tag, true);
}

/* A rollback recorded in this stage makes everything before it void. */
static vde_status roll_back(struct merge *merge, struct dataset_record *record, uint64_t *after)
{
    struct overlay_entry entry;
    uint8_t key[CATALOG_KEY_MAX];
    size_t key_size = key_rollback(key, record->id);
    vde_le64 tag;
    if (!overlay_get(merge->overlay, DATASET_CATALOG, key, key_size, merge->through, &entry) ||
        entry.lsn <= merge->after || entry.value_size != sizeof tag)
        return VDE_OK;
    memcpy(&tag, entry.value, sizeof tag);
    VDE_TRY(merge_discard(merge, record->id, merge->after, entry.lsn));
    VDE_TRY(merge_rollback(merge, record, le64_get(tag), entry.lsn));
    *after = entry.lsn;
    return changes_add(&merge->catalog_changes, key, key_size, VALUE_DELETE, NULL, 0, true);
}

vde_status merge_dataset(struct merge *merge, struct dataset_record *record)
{
    uint64_t after = merge->after;
    struct overlay_entry snapshot;
    VDE_TRY(roll_back(merge, record, &after));
    while (next_snapshot(merge, record->id, after, &snapshot)) {
        VDE_TRY(stage(merge, record, after, snapshot.lsn + MUTATED(MUTATE_SNAPSHOT_STAGE)));
        VDE_TRY(note_snapshot(merge, record, &snapshot));
        after = snapshot.lsn;
    }
    return stage(merge, record, after, merge->through);
}

static int compare_dead(const void *a, const void *b)
{
    const struct dead *x = a, *y = b;
    if (x->newest != y->newest)
        return x->newest < y->newest ? -1 : 1;
    if (x->birth != y->birth)
        return x->birth < y->birth ? -1 : 1;
    return x->address < y->address ? -1 : x->address > y->address;
}

vde_status merge_dead(struct merge *merge, uint64_t dataset, struct tree_root *dead, uint64_t *ret_blocks)
{
    if (merge->dead_count == 0)
        return VDE_OK;
    qsort(merge->dead, merge->dead_count, sizeof *merge->dead, compare_dead);
    struct changes changes = {0};
    int64_t stored = merge->stored;
    vde_status status = VDE_OK;
    for (size_t i = 0; i < merge->dead_count && status == VDE_OK; i++) {
        uint8_t key[24];
        vde_le32 blocks = le32(merge->dead[i].blocks);
        key_dead(key, merge->dead[i].newest, merge->dead[i].birth, merge->dead[i].address);
        status = changes_add(&changes, key, sizeof key, VALUE_INLINE, &blocks, sizeof blocks, true);
        *ret_blocks += merge->dead[i].blocks;
    }
    merge->dead_count = 0;
    merge->free_all = true; /* nothing but the newest version refers to a dead tree's nodes */
    if (status == VDE_OK)
        status = tree_apply(&merge->writer, dataset | DATASET_DEAD_BIT, dead, changes.ops, changes.count);
    merge->free_all = false;
    merge->stored = stored; /* a dead tree is no part of the dataset's own version */
    changes_done(&changes);
    return status;
}
