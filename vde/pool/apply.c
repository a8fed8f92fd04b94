/* SPDX-License-Identifier: Apache-2.0 */
/* apply.c -- a record's operations into the overlay: the same code for submit and for recovery. */
#include <string.h>

#include "base/checked.h"
#include "pool/blocks.h"

/* A run or unmap may cut the runs at both of its ends, and each block in between may be dropped on its own, into a dead
 * tree. */
#define REMAINDER_BYTES (RUN_KEY_BYTES + RUN_VALUE_MAX + NODE_RECORD_OVERHEAD)
#define DEAD_BYTES (24u + sizeof(vde_le32) + NODE_RECORD_OVERHEAD)

void measure_ops(const uint8_t *ops, uint32_t count, struct op_sizes *ret_sizes)
{
    struct op_sizes sizes = {0};
    for (uint32_t i = 0; i < count; i++) {
        struct op op;
        ops = op_get(ops, &op);
        size_t blocks = run_op_blocks(op.kind, op.value);
        sizes.tree_ops += 1 + blocks / 16;
        sizes.tree_bytes += op.key_size + op.value_size;
        if (blocks == 0) {
            sizes.entries++;
            sizes.bytes += op.key_size + op.value_size;
            continue;
        }
        sizes.entries += blocks;
        sizes.bytes += blocks * (RUN_KEY_BYTES + (op.kind == VALUE_RUN ? sizeof(struct block_entry) : 0));
        sizes.tree_bytes += 2 * REMAINDER_BYTES + blocks * DEAD_BYTES;
        sizes.unmapped += op.kind == VALUE_UNMAP ? blocks : 0;
    }
    *ret_sizes = sizes;
}

static void raise_next_id(struct vde_image *image, uint64_t id)
{
    uint64_t next = atomic_load(&image->next_id);
    while (id < ID_LIMIT && id >= next && !atomic_compare_exchange_weak(&image->next_id, &next, id + 1))
        ;
}

/* Entries tell the registry where their stream ends now. */
static void note_stream(struct vde_image *image, const struct op *op)
{
    if (op->key_size != 16 || op->kind == VALUE_DELETE)
        return;
    uint64_t stream = be64_get(op->key);
    raise_next_id(image, stream & ~STREAM_BIG_BIT);
    if (stream & STREAM_BIG_BIT || op->value_size < sizeof(struct disk_log_entry))
        return;
    struct registry_entry *entry = registry_find(&image->registry, REGISTRY_STREAM, stream);
    if (!entry)
        return;
    struct disk_log_entry head;
    memcpy(&head, op->value, sizeof head);
    entry->has_last = true;
    entry->last_number = be64_get(op->key + 8);
    entry->last_time_us = le64_get(head.time_us);
}

/* Tags of named snapshots are ids. */
static void note_snapshot(struct vde_image *image, const struct op *op)
{
    struct disk_snapshot snapshot;
    if (op->kind != VALUE_INLINE || op->value_size < sizeof snapshot)
        return;
    memcpy(&snapshot, op->value, sizeof snapshot);
    if (snapshot.name_size > 0)
        raise_next_id(image, be64_get(op->key + 9));
}

static void note_catalog(struct vde_image *image, const struct op *op)
{
    if (op->key[0] == CATALOG_KEY_SNAPSHOT && op->key_size == 17)
        note_snapshot(image, op);
    if (op->key[0] == CATALOG_KEY_DATASET && op->key_size == 9) {
        uint64_t id = be64_get(op->key + 1);
        raise_next_id(image, id);
        struct registry_entry *entry = registry_find(&image->registry, REGISTRY_DATASET, id);
        if (entry)
            entry->dropped = op->kind == VALUE_DELETE;
    } else if (op->key[0] == CATALOG_KEY_ZOMBIE && op->key_size == 10) {
        uint64_t id = be64_get(op->key + 2);
        struct registry_entry *entry =
            registry_find(&image->registry, op->key[1] == 's' ? REGISTRY_STREAM : REGISTRY_DATASET, id);
        raise_next_id(image, id);
        if (entry)
            entry->dropped = true;
    }
}

void apply_ops(struct vde_image *image, struct overlay *overlay, uint64_t lsn, const uint8_t *ops, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct op op;
        ops = op_get(ops, &op);
        if (op.kind == VALUE_RUN || op.kind == VALUE_UNMAP) {
            run_apply(overlay, lsn, &op);
            continue;
        }
        overlay_insert(overlay, op.dataset, op.key, op.key_size, lsn, (enum value_kind)op.kind, op.value,
                       op.value_size);
        if (op.dataset == DATASET_HISTORY)
            note_stream(image, &op);
        else if (op.dataset == DATASET_CATALOG)
            note_catalog(image, &op);
        else if (op.dataset == DATASET_FILES && op.key_size >= 9)
            raise_next_id(image, be64_get(op.key + 1));
    }
}
