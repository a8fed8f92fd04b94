/* SPDX-License-Identifier: Apache-2.0 */
/* merge_rollback.c -- make the head of a volume what its newest snapshot is: what was born since goes, and what died since
 * is alive again. Costs what changed since the snapshot. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"
#include "pool/merge.h"

static vde_status dead_key(const struct tree_cursor *cursor, uint64_t dataset, uint64_t *ret_birth, uint32_t *ret_blocks,
                           const uint8_t **ret_key)
{
    const void *key;
    size_t size;
    struct tree_value value;
    vde_le32 blocks;
    tree_cursor_record(cursor, &key, &size, &value);
    if (size != 24 || value.kind != VALUE_INLINE || value.size != sizeof blocks)
        return fail_corrupt("dead tree of dataset %llu|a record of %zu + %zu bytes|24 + 4", (unsigned long long)dataset,
                            size, value.size);
    memcpy(&blocks, value.data, sizeof blocks);
    *ret_key = key;
    *ret_birth = be64_get((const uint8_t *)key + 8);
    *ret_blocks = le32_get(blocks);
    return VDE_OK;
}

/* Entries of what died after the snapshot: what was born before it is alive again, the rest goes. */
static vde_status revive(struct merge *merge, struct dataset_record *record, uint64_t lsn)
{
    struct tree_cursor *cursor;
    struct changes changes = {0};
    uint8_t from[24];
    VDE_TRY(tree_cursor_open(&merge->image->store, record->id | DATASET_DEAD_BIT, &record->dead, &cursor));
    vde_status status = tree_cursor_seek(cursor, from, key_dead(from, lsn, 0, 0));
    while (status == VDE_OK && tree_cursor_valid(cursor)) {
        uint64_t birth;
        uint32_t blocks;
        const uint8_t *key;
        status = dead_key(cursor, record->id, &birth, &blocks, &key);
        if (status == VDE_OK) {
            record->dead_blocks -= blocks;
            status = changes_add(&changes, key, 24, VALUE_DELETE, NULL, 0, true);
        }
        if (status == VDE_OK && birth > lsn)
            status = runs_add(&merge->freed, be64_get(key + 16), blocks);
        if (status == VDE_OK)
            status = tree_cursor_next(cursor);
    }
    tree_cursor_close(cursor);
    merge->free_all = true;
    if (status == VDE_OK && changes.count > 0)
        status = tree_apply(&merge->writer, record->id | DATASET_DEAD_BIT, &record->dead, changes.ops, changes.count);
    merge->free_all = false;
    changes_done(&changes);
    return status;
}

vde_status merge_to_past(struct merge *merge, struct dataset_record *record, uint64_t lsn)
{
    struct tree_drop step = {.keep_through = lsn, .budget = UINT64_MAX};
    int64_t stored = merge->stored;
    merge->newest_snapshot = lsn;
    VDE_TRY(tree_drop_some(&merge->writer, record->tree, &record->root, &step));
    VDE_TRY(revive(merge, record, lsn));
    merge->stored = stored;
    return VDE_OK;
}

vde_status merge_rollback(struct merge *merge, struct dataset_record *record, uint64_t tag, uint64_t lsn)
{
    struct snapshot_record snapshot;
    bool merged;
    struct map as_of = merge->catalog;
    as_of.lsn = lsn; /* the snapshot may be gone since */
    VDE_TRY(map_snapshot_record(&as_of, record->id, tag, &snapshot, &merged));
    if (!merged || snapshot.lsn < max_u64(record->newest_snapshot, merge->newest_image))
        return fail_corrupt("rollback of dataset %llu|a snapshot that is not the newest|the newest",
                            (unsigned long long)record->id);
    VDE_TRY(merge_to_past(merge, record, snapshot.lsn));
    merge->nodes += (int64_t)snapshot.root.nodes - (int64_t)record->root.nodes;
    record->root = snapshot.root;
    record->mapped_blocks = snapshot.mapped_blocks;
    record->stored_blocks = (uint64_t)((int64_t)snapshot.stored_blocks - merge->stored);
    return VDE_OK;
}
