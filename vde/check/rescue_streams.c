/* SPDX-License-Identifier: Apache-2.0 */
/* rescue_streams.c -- entries of streams: from batches, from values of their own, and from the log. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/compress.h"
#include "base/fail.h"
#include "check/rescue.h"

#define BATCH_RAW_MAX (64u << 20)

struct streams {
    struct rescue *r;
    bool loose;
};

static vde_status hand_out(struct streams *s, uint64_t stream, uint64_t number, uint64_t lsn, uint64_t time_us,
                           const void *bytes, size_t size)
{
    struct vde_rescue_item item = {.kind = VDE_RESCUE_ENTRY, .id = stream, .number = number, .lsn = lsn,
                                   .time_us = time_us, .name = "", .size_bytes = size, .loose = s->loose};
    VDE_TRY(rescue_begin(s->r, &item));
    if (bytes)
        VDE_TRY(rescue_data(s->r, 0, bytes, size));
    else
        VDE_TRY(rescue_missing(s->r, 0, 0, "its bytes can't be read"));
    return rescue_end(s->r);
}

/* --- values of their own -------------------------------------------------------------------------------------------- */

static vde_status big_entry(struct streams *s, uint64_t stream, uint64_t number, const struct op *op)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    if (op->kind == VALUE_INLINE)
        return hand_out(s, stream, number, 0, 0, op->value, op->value_size);
    if (op->kind != VALUE_SPILLED)
        return VDE_OK;
    VDE_TRY(rescue_spilled(s->r, op, &bytes, &size));
    vde_status status = hand_out(s, stream, number, 0, 0, bytes, size);
    free(bytes);
    return status;
}

/* --- batches -------------------------------------------------------------------------------------------------------- */

static vde_status entries(struct streams *s, uint64_t stream, uint64_t number, uint32_t count, const uint8_t *payload,
                          size_t size)
{
    size_t at = count * sizeof(struct disk_batch_entry);
    for (uint32_t i = 0; i < count; i++) {
        struct disk_batch_entry e;
        memcpy(&e, payload + i * sizeof e, sizeof e);
        size_t bytes = le32_get(e.size);
        if (bytes > size - at)
            return VDE_OK;
        if (!(le32_get(e.flags) & ENTRY_BIG))
            VDE_TRY(hand_out(s, stream, number + i, le64_get(e.lsn), le64_get(e.time_us), payload + at, bytes));
        at += bytes;
    }
    return VDE_OK;
}

static vde_status lost_batch(struct streams *s, uint64_t stream, uint64_t number, uint32_t count)
{
    for (uint32_t i = 0; i < count && i < 4096; i++)
        VDE_TRY(hand_out(s, stream, number + i, 0, 0, NULL, 0));
    return VDE_OK;
}

static vde_status unpack(struct streams *s, uint64_t stream, uint64_t number, const struct disk_batch *batch,
                         const uint8_t *payload, size_t size)
{
    uint32_t raw = le32_get(batch->raw_bytes), stored = le32_get(batch->stored_bytes), count = le32_get(batch->count);
    if (stored > size || raw > BATCH_RAW_MAX || count == 0 || count > raw / sizeof(struct disk_batch_entry) ||
        batch->compression > 1 || (batch->compression == 0 && raw != stored))
        return VDE_OK;
    if (batch->compression == 0)
        return entries(s, stream, number, count, payload, raw);
    uint8_t *bytes = malloc(raw);
    if (!bytes)
        return fail_nomem("rescue");
    vde_status status = compress_unpack(bytes, raw, payload, stored, "batch") == VDE_OK
                            ? entries(s, stream, number, count, bytes, raw)
                            : lost_batch(s, stream, number, count);
    free(bytes);
    return status;
}

static vde_status on_record(void *context, const struct node_record *r)
{
    struct streams *s = context;
    struct disk_batch batch;
    struct disk_ptr disk;
    if (r->key_size != 16)
        return VDE_OK;
    uint64_t stream = be64_get(r->key), number = be64_get(r->key + 8);
    if (stream & STREAM_BIG_BIT) {
        struct op op = {DATASET_HISTORY, r->key, r->key_size, r->kind, r->value, r->value_size};
        return big_entry(s, stream & ~STREAM_BIG_BIT, number, &op);
    }
    if (r->kind == VALUE_INLINE && r->value_size >= sizeof batch) {
        memcpy(&batch, r->value, sizeof batch);
        return unpack(s, stream, number, &batch, r->value + sizeof batch, r->value_size - sizeof batch);
    }
    if (r->kind != VALUE_EXTENT || r->value_size != sizeof disk + sizeof batch)
        return VDE_OK;
    bool good;
    memcpy(&disk, r->value, sizeof disk);
    memcpy(&batch, r->value + sizeof disk, sizeof batch);
    struct ptr p = ptr_get(&disk);
    VDE_TRY(rescue_extent(s->r, p, &good));
    return good ? unpack(s, stream, number, &batch, s->r->buffer, p.bytes)
                : lost_batch(s, stream, number, le32_get(batch.count));
}

static vde_status on_op(void *context, uint64_t lsn, uint64_t time_us, const struct op *op)
{
    struct streams *s = context;
    struct disk_log_entry entry;
    if (op->key_size != 16 || op->kind == VALUE_DELETE)
        return VDE_OK;
    uint64_t stream = be64_get(op->key), number = be64_get(op->key + 8);
    if (stream & STREAM_BIG_BIT)
        return big_entry(s, stream & ~STREAM_BIG_BIT, number, op);
    if (op->kind != VALUE_INLINE || op->value_size < sizeof entry)
        return VDE_OK;
    memcpy(&entry, op->value, sizeof entry);
    if (le32_get(entry.flags) & ENTRY_BIG)
        return VDE_OK;
    return hand_out(s, stream, number, lsn, le64_get(entry.time_us) ? le64_get(entry.time_us) : time_us,
                    op->value + sizeof entry, op->value_size - sizeof entry);
}

/* A damaged node hides entries of which not even the numbers are known; gaps in the numbers tell. */
static vde_status on_node(void *context, struct ptr p, unsigned depth, const struct disk_node *node)
{
    (void)context;
    (void)p;
    (void)depth;
    (void)node;
    return VDE_OK;
}

vde_status rescue_streams(struct rescue *r)
{
    struct streams s = {.r = r};
    struct found_dataset *d = rescue_dataset(r, DATASET_HISTORY);
    struct source_walk walk = {.node = on_node, .record = on_record, .context = &s};
    bool whole = false;
    uint64_t records;
    if (d && d->has_root)
        VDE_TRY(rescue_whole(r, DATASET_HISTORY, &d->root, &whole, &records));
    if (d && !whole) {
        s.loose = true;
        VDE_TRY(rescue_loose(r, DATASET_HISTORY, on_record, &s));
        s.loose = false;
    }
    if (d && d->has_root)
        VDE_TRY(source_tree(&r->source, DATASET_HISTORY, &d->root, &walk));
    return rescue_log(r, DATASET_HISTORY, on_op, &s);
}
