/* SPDX-License-Identifier: Apache-2.0 */
/* rescue_volume.c -- the blocks of volumes: from the tree where it can be read, from loose leaves where it can't, and from
 * the log on top. */
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/checksum.h"
#include "base/compress.h"
#include "base/fail.h"
#include "check/rescue.h"
#include "format/run.h"

struct volume_walk {
    struct rescue *r;
    const struct found_dataset *dataset;
    uint64_t next;      /* first block behind the run before */
    bool follows;       /* nothing was damaged between that run and what comes */
    bool fills;         /* holes are told, because something older may have been handed out there */
    bool any;           /* a run was seen */
};

/* Of a block: as many bytes as the volume has there. */
static size_t inside(const struct volume_walk *w, uint64_t offset, size_t size)
{
    uint64_t end = w->dataset->size_bytes ? w->dataset->size_bytes : UINT64_MAX;
    return offset >= end ? 0 : (size_t)min_u64(size, end - offset);
}

static vde_status hand_out(struct volume_walk *w, uint64_t block, const uint8_t *bytes, uint64_t blocks)
{
    uint64_t offset = block * BLOCK_BYTES;
    return rescue_data(w->r, offset, bytes, inside(w, offset, blocks * BLOCK_BYTES));
}

static vde_status zeroes(struct volume_walk *w, uint64_t block, uint64_t blocks)
{
    while (blocks > 0) {
        uint64_t part = min_u64(blocks, 1u << 18);
        VDE_TRY(hand_out(w, block, NULL, part));
        block += part;
        blocks -= part;
    }
    return VDE_OK;
}

static vde_status lost(struct volume_walk *w, uint64_t block, uint64_t blocks, const char *why)
{
    if (w->fills)
        VDE_TRY(zeroes(w, block, blocks));
    return rescue_missing(w->r, block * BLOCK_BYTES, blocks * BLOCK_BYTES, why);
}

static vde_status plain_run(struct volume_walk *w, const struct block_run *run)
{
    for (uint32_t i = 0; i < run->blocks;) {
        uint32_t n;
        uint64_t seed = w->r->source.seed;
        const uint8_t *bytes = w->r->buffer + (size_t)i * BLOCK_BYTES;
        bool good = checksum(bytes, BLOCK_BYTES, seed ^ (run->address + i)) == run_checksum(run, i);
        for (n = i + 1; n < run->blocks; n++) {
            bool next = checksum(w->r->buffer + (size_t)n * BLOCK_BYTES, BLOCK_BYTES, seed ^ (run->address + n)) ==
                        run_checksum(run, n);
            if (next != good)
                break;
        }
        VDE_TRY(good ? hand_out(w, run->block + i, bytes, n - i) : lost(w, run->block + i, n - i, "checksum"));
        i = n;
    }
    return VDE_OK;
}

static vde_status frame_run(struct volume_walk *w, const struct block_run *run)
{
    size_t bytes = (size_t)run->stored * BLOCK_BYTES - run->tail;
    uint8_t *raw = w->r->buffer + RESCUE_BUFFER / 2;
    if (checksum(w->r->buffer, bytes, w->r->source.seed ^ run->address) != run_checksum(run, 0) ||
        compress_unpack(raw, (size_t)run->blocks * BLOCK_BYTES, w->r->buffer, bytes, "frame") != VDE_OK)
        return lost(w, run->block, run->blocks, "checksum");
    return hand_out(w, run->block, raw, run->blocks);
}

static vde_status take_run(struct volume_walk *w, const struct op *op, enum run_place place)
{
    bool good;
    if (run_verify(place, op->key, op->key_size, op->kind, op->value, op->value_size, w->r->source.device_blocks, "run"))
        return VDE_OK;
    struct block_run run = run_get(op->key, op->value);
    w->any = true;
    VDE_TRY(rescue_read(w->r, run.address, run.stored, &good));
    if (!good)
        return lost(w, run.block, run.blocks, "the device can't read it");
    return run_compressed(&run) ? frame_run(w, &run) : plain_run(w, &run);
}

static vde_status on_record(void *context, const struct node_record *record)
{
    struct volume_walk *w = context;
    struct op op = {w->dataset->id, record->key, record->key_size, record->kind, record->value, record->value_size};
    if (record->kind != VALUE_RUN || record->key_size != RUN_KEY_BYTES)
        return VDE_OK;
    uint64_t block = be64_get(record->key);
    if (w->fills && w->follows && block > w->next)
        VDE_TRY(zeroes(w, w->next, block - w->next));
    VDE_TRY(take_run(w, &op, RUN_IN_TREE));
    w->next = block + run_op_blocks(record->kind, record->value);
    w->follows = true;
    return VDE_OK;
}

static vde_status on_node(void *context, struct ptr p, unsigned depth, const struct disk_node *node)
{
    struct volume_walk *w = context;
    char why[96];
    (void)depth;
    if (node)
        return VDE_OK;
    w->follows = false;
    snprintf(why, sizeof why, "node at block %llu is damaged", (unsigned long long)p.address);
    return rescue_missing(w->r, w->next * BLOCK_BYTES, 0, why);
}

static vde_status on_loose(void *context, const struct node_record *record)
{
    struct volume_walk *w = context;
    struct op op = {w->dataset->id, record->key, record->key_size, record->kind, record->value, record->value_size};
    return record->kind == VALUE_RUN ? take_run(w, &op, RUN_IN_TREE) : VDE_OK;
}

static vde_status on_op(void *context, uint64_t lsn, uint64_t time_us, const struct op *op)
{
    struct volume_walk *w = context;
    (void)lsn;
    (void)time_us;
    w->fills = true;
    if (op->kind == VALUE_UNMAP && op->key_size == RUN_KEY_BYTES && op->value_size == sizeof(vde_le64))
        return zeroes(w, be64_get(op->key), min_u64(run_op_blocks(op->kind, op->value), UNMAP_BLOCKS_MAX));
    return op->kind == VALUE_RUN ? take_run(w, op, RUN_IN_LOG) : VDE_OK;
}

static vde_status is_run(void *context, const struct node_record *record)
{
    bool *any = context;
    *any |= record->kind == VALUE_RUN;
    return VDE_OK;
}

/* The end of the volume behind the last run of the tree. */
static vde_status fill_end(struct volume_walk *w)
{
    uint64_t end = div_up(w->dataset->size_bytes, BLOCK_BYTES);
    return w->fills && w->follows && end > w->next ? zeroes(w, w->next, end - w->next) : VDE_OK;
}

static vde_status hand_out_volume(struct rescue *r, const struct found_dataset *d)
{
    bool whole = false;
    uint64_t records;
    struct volume_walk w = {.r = r, .dataset = d, .follows = true};
    if (d->has_root)
        VDE_TRY(rescue_whole(r, d->tree, &d->root, &whole, &records));
    bool loose = !whole && d->tree == d->id; /* the nodes of clones are mixed with those of others */
    struct vde_rescue_item item = {.kind = VDE_RESCUE_VOLUME, .id = d->id, .name = d->name, .size_bytes = d->size_bytes,
                                   .loose = loose};
    VDE_TRY(rescue_begin(r, &item));
    if (loose) {
        VDE_TRY(rescue_loose(r, d->tree, on_loose, &w));
        r->item.missing_bytes = 0; /* of old versions; what counts comes now */
        w.fills = true;
    }
    if (d->has_root) {
        struct source_walk walk = {.node = on_node, .record = on_record, .context = &w};
        VDE_TRY(source_tree(&r->source, d->tree, &d->root, &walk));
        VDE_TRY(fill_end(&w));
    } else {
        VDE_TRY(rescue_missing(r, 0, 0, "the root of its tree is not known"));
    }
    VDE_TRY(rescue_log(r, d->id, on_op, &w));
    return rescue_end(r);
}

vde_status rescue_volumes(struct rescue *r)
{
    for (size_t i = 0; i < r->dataset_count; i++) {
        struct found_dataset d = r->datasets[i];
        bool runs = d.volume;
        if (!runs && !d.has_root && d.id >= ID_FIRST)
            VDE_TRY(rescue_loose(r, d.tree, is_run, &runs));
        if (runs && !d.dropped)
            VDE_TRY(hand_out_volume(r, &d));
    }
    return VDE_OK;
}
