/* SPDX-License-Identifier: Apache-2.0 */
/* rescue_scan.c -- find nodes and log frames by looking at every block. */
#include "check/rescue.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/checksum.h"
#include "base/fail.h"

#define SCAN_BLOCKS (VDE_IO_MAX_BYTES / BLOCK_BYTES)

/* --- nodes ---------------------------------------------------------------------------------------------------------- */

static vde_status look_at(struct rescue *r, const uint8_t *block, uint64_t address)
{
    struct disk_node node;
    if (memcmp(block, LABEL_MAGIC, 8) == 0 && r->label_count < LABELS_MAX)
        r->labels[r->label_count++] = address;
    memcpy(&node, block, sizeof node);
    if (le32_get(node.magic) != NODE_MAGIC || le64_get(node.address) != address || node.level > TREE_LEVEL_MAX)
        return VDE_OK;
    void *array = r->nodes;
    VDE_TRY(rescue_grow(&array, &r->node_capacity, r->node_count, sizeof *r->nodes));
    r->nodes = array;
    r->nodes[r->node_count++] = (struct found_node){address, le64_get(node.tree), le64_get(node.birth),
                                                    le64_get(node.seed), node.level};
    return VDE_OK;
}

/* What can't be read is gone: the rest may be there. */
static vde_status scan_chunk(struct rescue *r, uint64_t at, uint64_t blocks)
{
    vde_status status = source_read(&r->source, at, r->buffer, blocks);
    if (status == VDE_IO && blocks > 1) {
        for (uint64_t i = 0; i < blocks; i++)
            VDE_TRY(scan_chunk(r, at + i, 1));
        return VDE_OK;
    }
    if (status != VDE_OK)
        return status == VDE_IO ? VDE_OK : status;
    for (uint64_t i = 0; i < blocks; i++)
        VDE_TRY(look_at(r, r->buffer + i * BLOCK_BYTES, at + i));
    return VDE_OK;
}

static int by_seed(const void *a, const void *b)
{
    const struct found_node *x = a, *y = b;
    return x->seed < y->seed ? -1 : x->seed > y->seed;
}

/* Without a label: the image is the one that most nodes are of. */
static uint64_t vote(struct rescue *r)
{
    size_t best = 0, run = 0;
    uint64_t seed = 0;
    qsort(r->nodes, r->node_count, sizeof *r->nodes, by_seed);
    for (size_t i = 0; i < r->node_count; i++) {
        run = i > 0 && r->nodes[i].seed == r->nodes[i - 1].seed ? run + 1 : 1;
        if (run > best) {
            best = run;
            seed = r->nodes[i].seed;
        }
    }
    return seed;
}

static int by_tree(const void *a, const void *b)
{
    const struct found_node *x = a, *y = b;
    if (x->tree != y->tree)
        return x->tree < y->tree ? -1 : 1;
    if (x->birth != y->birth)
        return x->birth < y->birth ? -1 : 1;
    return x->level < y->level ? -1 : x->level > y->level;
}

static void keep_own(struct rescue *r)
{
    size_t kept = 0;
    for (size_t i = 0; i < r->node_count; i++)
        if (r->nodes[i].seed == r->source.seed)
            r->nodes[kept++] = r->nodes[i];
    r->node_count = kept;
    if (kept)
        qsort(r->nodes, kept, sizeof *r->nodes, by_tree);
    r->summary.nodes = kept;
}

vde_status rescue_node(struct rescue *r, const struct found_node *found, void *block, struct ptr *ret_ptr)
{
    VDE_TRY(source_read(&r->source, found->address, block, 1));
    *ret_ptr = (struct ptr){found->address, 1, BLOCK_BYTES, found->birth,
                            node_checksum(block, r->source.seed, found->address)};
    return node_verify(block, r->source.seed, found->tree, *ret_ptr, found->level, r->source.device_blocks);
}

static vde_status loose_leaf(struct rescue *r, const struct found_node *found, void *block,
                             vde_status (*record)(void *, const struct node_record *), void *context)
{
    struct ptr p;
    vde_status status = rescue_node(r, found, block, &p);
    if (status != VDE_OK)
        return status == VDE_CORRUPT || status == VDE_IO ? VDE_OK : status;
    const struct disk_node *node = block;
    for (unsigned i = 0; i < node_count(node); i++) {
        struct node_record one = node_record(node, i);
        VDE_TRY(record(context, &one));
    }
    return VDE_OK;
}

vde_status rescue_loose(struct rescue *r, uint64_t tree, vde_status (*record)(void *context, const struct node_record *record),
                        void *context)
{
    uint8_t *block = aligned_alloc(BLOCK_BYTES, BLOCK_BYTES);
    vde_status status = block ? VDE_OK : fail_nomem("rescue");
    for (size_t i = 0; i < r->node_count && status == VDE_OK; i++)
        if (r->nodes[i].tree == tree && r->nodes[i].level == 0)
            status = loose_leaf(r, &r->nodes[i], block, record, context);
    free(block);
    return status;
}

/* --- log ------------------------------------------------------------------------------------------------------------ */

static vde_status read_frame(struct rescue *r, uint64_t place, struct frame *ret_frame, bool *ret_valid)
{
    *ret_valid = false;
    vde_status status = source_ring(&r->source, place, r->frame, BLOCK_BYTES);
    if (status == VDE_OK && frame_peek(r->frame, r->source.seed, ret_frame) && ret_frame->bytes <= r->frame_bytes &&
        ret_frame->position % r->frame_bytes == place) {
        status = source_ring(&r->source, place, r->frame, round_up(ret_frame->bytes, BLOCK_BYTES));
        *ret_valid = status == VDE_OK && frame_verify(r->frame, ret_frame, r->source.seed) == VDE_OK;
    }
    return status == VDE_IO ? VDE_OK : status;
}

static int by_epoch(const void *a, const void *b)
{
    const struct found_frame *x = a, *y = b;
    if (x->epoch != y->epoch)
        return x->epoch < y->epoch ? -1 : 1;
    return x->position < y->position ? -1 : x->position > y->position;
}

/* A later epoch begins where recovery cut the tail: what an earlier one has from there on was never acknowledged. */
static void drop_cut_tails(struct rescue *r)
{
    size_t kept = r->frame_count;
    uint64_t limit = UINT64_MAX;
    for (size_t i = r->frame_count; i-- > 0;) {
        const struct found_frame *f = &r->frames[i];
        bool cut = f->first_lsn + f->count > limit;
        if (!cut)
            r->frames[--kept] = *f;
        if (i > 0 && r->frames[i - 1].epoch != f->epoch)
            limit = min_u64(limit, f->first_lsn);
    }
    r->frame_count -= kept;
    memmove(r->frames, r->frames + kept, r->frame_count * sizeof *r->frames);
}

static vde_status find_frames(struct rescue *r)
{
    r->frame_bytes = layout_region(&r->source.label.layout, REGION_LOG)->blocks * BLOCK_BYTES;
    r->frame = aligned_alloc(BLOCK_BYTES, r->frame_bytes);
    if (!r->frame)
        return fail_nomem("rescue");
    for (uint64_t at = 0; at < r->frame_bytes; at += BLOCK_BYTES) {
        struct frame f;
        bool valid;
        VDE_TRY(read_frame(r, at, &f, &valid));
        if (!valid || f.count == 0)
            continue;
        void *array = r->frames;
        VDE_TRY(rescue_grow(&array, &r->frame_capacity, r->frame_count, sizeof *r->frames));
        r->frames = array;
        r->frames[r->frame_count++] = (struct found_frame){at, f.epoch, f.position, f.first_lsn, f.count};
    }
    if (r->frame_count) {
        qsort(r->frames, r->frame_count, sizeof *r->frames, by_epoch);
        drop_cut_tails(r);
    }
    return VDE_OK;
}

typedef vde_status (*each_op)(void *context, uint64_t lsn, uint64_t time_us, const struct op *op);

static vde_status replay_frame(struct rescue *r, uint32_t count, uint64_t dataset, each_op each, void *context)
{
    const uint8_t *at = r->frame + sizeof(struct disk_frame);
    for (uint32_t i = 0; i < count; i++) {
        struct disk_record record;
        memcpy(&record, at, sizeof record);
        const uint8_t *ops = at + sizeof record;
        for (uint32_t n = 0; n < le32_get(record.count) && le64_get(record.lsn) > r->summary.catalog_lsn; n++) {
            struct op op;
            ops = op_get(ops, &op);
            if (dataset == 0 || op.dataset == dataset)
                VDE_TRY(each(context, le64_get(record.lsn), le64_get(record.time_us), &op));
        }
        at += le32_get(record.bytes);
    }
    return VDE_OK;
}

vde_status rescue_log(struct rescue *r, uint64_t dataset, each_op each, void *context)
{
    for (size_t i = 0; i < r->frame_count; i++) {
        struct frame f;
        bool valid;
        if (r->frames[i].first_lsn + r->frames[i].count <= r->summary.catalog_lsn + 1)
            continue;
        VDE_TRY(read_frame(r, r->frames[i].place, &f, &valid));
        if (valid)
            VDE_TRY(replay_frame(r, f.count, dataset, each, context));
    }
    return VDE_OK;
}

vde_status rescue_count_log(struct rescue *r)
{
    for (size_t i = 0; i < r->frame_count; i++) {
        uint64_t end = r->frames[i].first_lsn + r->frames[i].count, first = max_u64(r->frames[i].first_lsn,
                                                                                    r->summary.catalog_lsn + 1);
        r->summary.log_records += end > first ? end - first : 0;
    }
    return VDE_OK;
}

/* --- all of it ------------------------------------------------------------------------------------------------------ */

/* A label anywhere, of the image that most nodes are of: where the copies of growths are only superblocks tell. */
static vde_status find_label(struct rescue *r)
{
    uint64_t seed = vote(r);
    for (unsigned i = 0; i < r->label_count && !r->source.has_label; i++) {
        struct label label;
        VDE_TRY(source_read(&r->source, r->labels[i], r->buffer, 1));
        const struct disk_label *disk = (const struct disk_label *)(const void *)r->buffer;
        if (label_decode(disk, r->source.device_blocks, "label", &label) == VDE_OK && image_seed(label.uuid) == seed)
            VDE_TRY(source_adopt(&r->source, &label));
    }
    r->summary.label = r->source.has_label;
    r->summary.superblock = r->source.has_superblock;
    r->source.seed = seed;
    return VDE_OK;
}

/* Without a label the geometry is that of an image formatted to the device's size, for the log; anything may be heap. */
static vde_status guess_label(struct rescue *r)
{
    struct layout *layout = &r->source.label.layout;
    vde_status status = layout_compute(r->source.device_blocks * BLOCK_BYTES, 0, layout);
    layout->growth[0].heap = (struct region){REGION_HEAP, RESERVED_BLOCKS, r->source.device_blocks - RESERVED_BLOCKS};
    layout->growths = 1;
    return status == VDE_INVAL ? fail_corrupt("device|%llu blocks|the size of an image",
                                              (unsigned long long)r->source.device_blocks) : status;
}

/* How the image grew is in the superblocks: without one all behind the formatted size may be heap. */
static void assume_growth(struct rescue *r)
{
    struct layout *layout = &r->source.label.layout;
    if (r->source.has_superblock || layout->growths || r->source.device_blocks <= layout->blocks)
        return;
    layout->growth[0].heap = (struct region){REGION_HEAP, layout->blocks, r->source.device_blocks - layout->blocks};
    layout->growths = 1;
    layout->blocks = r->source.device_blocks;
}

vde_status rescue_scan(struct rescue *r)
{
    for (uint64_t at = 0; at < r->source.device_blocks; at += SCAN_BLOCKS) {
        VDE_TRY(scan_chunk(r, at, min_u64(SCAN_BLOCKS, r->source.device_blocks - at)));
        if (r->sink->progress)
            r->sink->progress(r->sink->context, at * BLOCK_BYTES, r->source.device_blocks * BLOCK_BYTES);
    }
    if (r->node_count && !r->source.has_label)
        VDE_TRY(find_label(r));
    if (r->node_count && !r->source.has_label)
        VDE_TRY(guess_label(r));
    assume_growth(r);
    keep_own(r);
    return r->node_count ? find_frames(r) : VDE_OK;
}
