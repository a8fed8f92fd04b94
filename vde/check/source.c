/* SPDX-License-Identifier: Apache-2.0 */
/* source.c -- label, superblocks and trees of an image that nobody has open. */
#include "check/source.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"

#define LABEL_B_FROM_END 16u

static vde_status transfer(struct source *source, uint8_t op, uint64_t block, void *buffer, uint64_t blocks)
{
    uint64_t bytes = blocks * BLOCK_BYTES;
    if (block > source->device_blocks || blocks > source->device_blocks - block)
        return fail_corrupt("block %llu + %llu|behind the end of the device|a place in %llu blocks",
                            (unsigned long long)block, (unsigned long long)blocks,
                            (unsigned long long)source->device_blocks);
    for (uint64_t done = 0; done < bytes;) {
        uint64_t size = min_u64(bytes - done, VDE_IO_MAX_BYTES);
        struct vde_io io = {.op = op, .size = (uint32_t)size, .offset = block * BLOCK_BYTES + done,
                            .buffer = (uint8_t *)buffer + done};
        VDE_TRY(source->device->ops->run(source->device, &io, 1));
        done += size;
    }
    return VDE_OK;
}

vde_status source_read(struct source *source, uint64_t block, void *buffer, uint64_t blocks)
{
    return transfer(source, VDE_IO_READ, block, buffer, blocks);
}

vde_status source_write(struct source *source, uint64_t block, const void *buffer, uint64_t blocks)
{
    return transfer(source, VDE_IO_WRITE, block, (void *)(uintptr_t)buffer, blocks);
}

vde_status source_flush(struct source *source)
{
    return source->device->ops->flush(source->device);
}

static void *blocks_alloc(size_t blocks)
{
    return aligned_alloc(BLOCK_BYTES, blocks * BLOCK_BYTES);
}

/* --- label and superblocks ------------------------------------------------------------------------------------------ */

static vde_status read_label(struct source *source, unsigned copy, uint64_t block, struct disk_label *buffer)
{
    struct label label;
    if (block + 2 > source->device_blocks)
        return VDE_OK;
    VDE_TRY(source_read(source, block, buffer, 1));
    vde_status status = label_decode(buffer, source->device_blocks, copy ? "label B" : "label A", &label);
    source->label_good[copy] = status == VDE_OK && le32_get(buffer->copy) == copy;
    if (!source->label_good[copy] || source->has_label)
        return status == VDE_UNSUPPORTED ? status : VDE_OK;
    source->label = label;
    source->has_label = true;
    source->seed = image_seed(label.uuid);
    return VDE_OK;
}

/* Copy B lies before the image's end; without copy A that is taken to be the device's. */
static vde_status read_labels(struct source *source)
{
    struct disk_label *buffer = blocks_alloc(1);
    if (!buffer)
        return fail_nomem("label");
    vde_status status = read_label(source, 0, LABEL_BLOCK, buffer);
    uint64_t end = source->has_label ? source->label.layout.blocks : source->device_blocks;
    if (status == VDE_OK && end > LABEL_B_FROM_END)
        status = read_label(source, 1, end - LABEL_B_FROM_END, buffer);
    free(buffer);
    return status;
}

vde_status source_superblock(struct source *source, unsigned ring, unsigned slot, struct superblock *ret_sb, bool *ret_good)
{
    struct disk_superblock *buffer = blocks_alloc(1);
    *ret_good = false;
    if (!buffer)
        return fail_nomem("superblock");
    vde_status status = source_read(source, superblock_block(&source->label.layout, ring, slot), buffer, 1);
    if (status == VDE_OK)
        *ret_good = superblock_decode(buffer, source->label.uuid, &source->label.layout, ring, slot, ret_sb) == VDE_OK;
    free(buffer);
    return status;
}

static vde_status read_superblocks(struct source *source)
{
    for (unsigned i = 0; source->has_label && i < 2 * RING_SLOTS; i++) {
        struct superblock sb;
        bool good;
        VDE_TRY(source_superblock(source, i / RING_SLOTS, i % RING_SLOTS, &sb, &good));
        if (good && (!source->has_superblock || sb.sequence > source->sb.sequence)) {
            source->sb = sb;
            source->has_superblock = true;
        }
    }
    return VDE_OK;
}

/* A size that the device does not have leaves the label's layout: what lies beyond can't be read anyway. */
static vde_status adopt_size(struct source *source)
{
    struct layout layout;
    if (!source->has_superblock || source->sb.growths == 0 ||
        superblock_layout(&source->sb, &source->label.layout, &layout) != VDE_OK ||
        layout.blocks > source->device_blocks)
        return VDE_OK;
    source->label.layout = layout;
    struct disk_label *buffer = blocks_alloc(1);
    if (!buffer)
        return fail_nomem("label");
    /* Without copy A it was the last growth's copy that was found. */
    vde_status status = read_label(source, 1, layout_region(&layout, REGION_LABEL_B)->block, buffer);
    free(buffer);
    return status;
}

vde_status source_adopt(struct source *source, const struct label *label)
{
    source->label = *label;
    source->has_label = true;
    source->seed = image_seed(label->uuid);
    VDE_TRY(read_superblocks(source));
    return adopt_size(source);
}

vde_status source_init(struct source *source, struct vde_device *device)
{
    struct vde_device_info info;
    *source = (struct source){.device = device};
    device->ops->info(device, &info);
    source->device_blocks = info.size_bytes / BLOCK_BYTES;
    VDE_TRY(read_labels(source));
    VDE_TRY(read_superblocks(source));
    return adopt_size(source);
}

vde_status source_open(struct source *source, const char *path, const char *backend, bool writes)
{
    struct vde_device *device;
    VDE_TRY(vde_device_open(path, backend, writes ? 0 : VDE_DEVICE_READ_ONLY, 0, &device));
    vde_status status = source_init(source, device);
    source->owns_device = true;
    if (status != VDE_OK)
        source_close(source);
    return status;
}

void source_close(struct source *source)
{
    if (!source->device || !source->owns_device)
        return;
    struct vde_error error;
    error_save(&error);
    source->device->ops->close(source->device);
    error_restore(&error);
    source->device = NULL;
}

vde_status source_expect(const struct source *source)
{
    if (!source->has_label)
        return fail_corrupt("label|neither copy can be read|at least one");
    return source->has_superblock ? VDE_OK : fail_corrupt("superblock rings|no valid superblock|at least one");
}

vde_status source_ring(struct source *source, uint64_t position, void *buffer, uint64_t bytes)
{
    const struct region *ring = layout_region(&source->label.layout, REGION_LOG);
    for (uint64_t done = 0; done < bytes;) {
        uint64_t place = (position + done) / BLOCK_BYTES % ring->blocks;
        uint64_t blocks = min_u64((bytes - done) / BLOCK_BYTES, ring->blocks - place);
        VDE_TRY(source_read(source, ring->block + place, (uint8_t *)buffer + done, blocks));
        done += blocks * BLOCK_BYTES;
    }
    return VDE_OK;
}

/* --- trees ---------------------------------------------------------------------------------------------------------- */

struct state {
    struct source *source;
    const struct source_walk *walk;
    uint64_t tree;
    unsigned root_level;
    uint8_t *levels; /* one block a level */
};

int source_compare(const void *a, size_t a_size, const void *b, size_t b_size)
{
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
    return order ? order : a_size < b_size ? -1 : a_size > b_size;
}

static vde_status walk_node(struct state *s, struct ptr p, unsigned level);

static vde_status walk_below(struct state *s, const struct disk_node *node)
{
    const struct source_walk *w = s->walk;
    for (unsigned i = 0; i < node_count(node); i++) {
        struct node_record r = node_record(node, i);
        if (node->level == 0) {
            bool wanted = !w->from || source_compare(r.key, r.key_size, w->from, w->from_size) >= 0;
            if (wanted && w->record)
                VDE_TRY(w->record(w->context, &r));
            continue;
        }
        if (w->from && i + 1 < node_count(node)) {
            struct node_record next = node_record(node, i + 1);
            if (source_compare(next.key, next.key_size, w->from, w->from_size) <= 0)
                continue;
        }
        VDE_TRY(walk_node(s, node_child(node, i), node->level - 1u));
    }
    return VDE_OK;
}

static vde_status walk_node(struct state *s, struct ptr p, unsigned level)
{
    uint8_t *block = s->levels + (size_t)level * BLOCK_BYTES;
    uint64_t blocks = s->source->label.layout.blocks;
    vde_status status = ptr_plausible(p, blocks) && p.blocks == 1
                            ? source_read(s->source, p.address, block, 1)
                            : fail_corrupt("tree %llu node at block %llu|%u blocks|one block inside the image",
                                           (unsigned long long)s->tree, (unsigned long long)p.address, p.blocks);
    if (status == VDE_OK)
        status = node_verify(block, s->source->seed, s->tree, p, level, blocks);
    if (status != VDE_OK && status != VDE_CORRUPT && status != VDE_IO)
        return status;
    const struct disk_node *node = status == VDE_OK ? (const struct disk_node *)(const void *)block : NULL;
    if (s->walk->node)
        VDE_TRY(s->walk->node(s->walk->context, p, s->root_level - level, node));
    else if (!node)
        return status;
    return node ? walk_below(s, node) : VDE_OK;
}

vde_status source_tree(struct source *source, uint64_t tree, const struct tree_root *root, const struct source_walk *walk)
{
    if (ptr_is_null(root->node))
        return VDE_OK;
    struct state s = {source, walk, tree, root->level, blocks_alloc(TREE_LEVEL_MAX + 1)};
    if (!s.levels)
        return fail_nomem("node buffers");
    vde_status status = walk_node(&s, root->node, root->level);
    free(s.levels);
    return status;
}

struct wanted {
    const void *key;
    size_t key_size, capacity, size;
    uint8_t *value;
    bool found, ended;
};

static vde_status take(void *context, const struct node_record *record)
{
    struct wanted *w = context;
    w->ended = true;
    w->found = record->kind == VALUE_INLINE && record->value_size <= w->capacity &&
               source_compare(record->key, record->key_size, w->key, w->key_size) == 0;
    if (w->found) {
        memcpy(w->value, record->value, record->value_size);
        w->size = record->value_size;
    }
    return VDE_NOT_FOUND; /* whatever it is, the walk is over */
}

vde_status source_get(struct source *source, uint64_t tree, const struct tree_root *root, const void *key, size_t key_size,
                      uint8_t *value, size_t capacity, size_t *ret_size)
{
    struct wanted w = {key, key_size, capacity, 0, value, false, false};
    struct source_walk walk = {.record = take, .context = &w, .from = key, .from_size = key_size};
    vde_status status = source_tree(source, tree, root, &walk);
    if (w.found) {
        *ret_size = w.size;
        return VDE_OK;
    }
    return w.ended || status == VDE_OK ? fail_as(VDE_NOT_FOUND, "key|absent|a record") : status;
}
