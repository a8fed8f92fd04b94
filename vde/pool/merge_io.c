/* SPDX-License-Identifier: Apache-2.0 */
/* merge_io.c -- where a checkpoint's blocks come from and go to: allocation, gathered writes, drops, change lists. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"
#include "base/mutate.h"
#include "pool/merge.h"

#define BUFFER_BLOCKS 512u /* 2 MiB of gathered writes */
#define CHUNK_BYTES (256u << 10)

static vde_status grow(void **items, size_t *capacity, size_t count, size_t element)
{
    if (count < *capacity)
        return VDE_OK;
    size_t more = *capacity ? *capacity * 2 : 64;
    void *grown = realloc(*items, more * element);
    if (!grown)
        return fail_nomem("checkpoint");
    *items = grown;
    *capacity = more;
    return VDE_OK;
}

vde_status runs_add(struct runs *runs, uint64_t address, uint64_t blocks)
{
    if (runs->count > 0) {
        struct run *last = &runs->items[runs->count - 1];
        if (last->address + last->blocks == address) {
            last->blocks += blocks;
            return VDE_OK;
        }
    }
    VDE_TRY(grow((void **)&runs->items, &runs->capacity, runs->count, sizeof *runs->items));
    runs->items[runs->count++] = (struct run){address, blocks};
    return VDE_OK;
}

static uint8_t *chunk_take(struct changes *changes, size_t size)
{
    if (changes->chunk_count == 0 || changes->chunk_used + size > changes->chunk_size) {
        if (grow((void **)&changes->chunks, &changes->chunk_capacity, changes->chunk_count, sizeof *changes->chunks) !=
            VDE_OK)
            return NULL;
        size_t bytes = max_u64(CHUNK_BYTES, size);
        uint8_t *chunk = malloc(bytes);
        if (!chunk)
            return NULL;
        changes->chunks[changes->chunk_count++] = chunk;
        changes->chunk_used = 0;
        changes->chunk_size = bytes;
    }
    uint8_t *place = changes->chunks[changes->chunk_count - 1] + changes->chunk_used;
    changes->chunk_used += size;
    return place;
}

vde_status changes_add(struct changes *changes, const void *key, size_t key_size, enum value_kind kind,
                       const void *value, size_t value_size, bool copy)
{
    VDE_TRY(grow((void **)&changes->ops, &changes->capacity, changes->count, sizeof *changes->ops));
    if (copy) {
        uint8_t *place = chunk_take(changes, key_size + value_size);
        if (!place)
            return fail_nomem("checkpoint");
        memcpy(place, key, key_size);
        if (value_size)
            memcpy(place + key_size, value, value_size);
        key = place;
        value = place + key_size;
    }
    changes->ops[changes->count++] = (struct tree_op){key, key_size, kind, value, value_size};
    return VDE_OK;
}

static int compare_ops(const struct tree_op *a, const struct tree_op *b)
{
    int order = memcmp(a->key, b->key, min_u64(a->key_size, b->key_size));
    if (order)
        return order;
    return a->key_size < b->key_size ? -1 : a->key_size > b->key_size;
}

struct indexed {
    struct tree_op op;
    size_t index;
};

static int compare_indexed(const void *a, const void *b)
{
    const struct indexed *x = a, *y = b;
    int order = compare_ops(&x->op, &y->op);
    if (order)
        return order;
    return x->index < y->index ? -1 : 1;
}

/* Stable, so that "added last wins" holds; lists that are sorted already, the usual case, are left alone. */
void changes_sort(struct changes *changes)
{
    bool sorted = true;
    for (size_t i = 1; i < changes->count && sorted; i++)
        sorted = compare_ops(&changes->ops[i - 1], &changes->ops[i]) < 0;
    if (sorted)
        return;
    struct indexed *items = malloc(changes->count * sizeof *items);
    if (!items) { /* insertion sort needs no memory */
        for (size_t i = 1; i < changes->count; i++)
            for (size_t j = i; j > 0 && compare_ops(&changes->ops[j - 1], &changes->ops[j]) > 0; j--) {
                struct tree_op swap = changes->ops[j];
                changes->ops[j] = changes->ops[j - 1];
                changes->ops[j - 1] = swap;
            }
    } else {
        for (size_t i = 0; i < changes->count; i++)
            items[i] = (struct indexed){changes->ops[i], i};
        qsort(items, changes->count, sizeof *items, compare_indexed);
        for (size_t i = 0; i < changes->count; i++)
            changes->ops[i] = items[i].op;
        free(items);
    }
    size_t kept = 0;
    for (size_t i = 0; i < changes->count; i++) {
        if (kept > 0 && compare_ops(&changes->ops[kept - 1], &changes->ops[i]) == 0)
            kept--;
        changes->ops[kept++] = changes->ops[i];
    }
    changes->count = kept;
}

void changes_clear(struct changes *changes)
{
    for (size_t i = 0; i < changes->chunk_count; i++)
        free(changes->chunks[i]);
    changes->chunk_count = changes->chunk_used = changes->chunk_size = 0;
    changes->count = 0;
}

void changes_done(struct changes *changes)
{
    changes_clear(changes);
    free(changes->chunks);
    free(changes->ops);
    *changes = (struct changes){0};
}

vde_status merge_allocate(void *context, uint32_t blocks, uint64_t *ret_address)
{
    struct merge *merge = context;
    enum space_class class = blocks == 1 ? SPACE_NODE : merge->class;
    VDE_TRY(space_allocate(merge->image->space, class, SPACE_CHECKPOINT, blocks, ret_address));
    vde_status status = runs_add(&merge->allocated, *ret_address, blocks);
    merge->stored += blocks;
    if (status != VDE_OK)
        space_release(merge->image->space, *ret_address, blocks);
    return status;
}

vde_status merge_flush_writes(struct merge *merge)
{
    struct vde_io ios[64];
    size_t count = 0;
    for (size_t i = 0; i < merge->write_count; i++) {
        uint64_t left = merge->writes[i].blocks, first = merge->writes[i].first, address = merge->writes[i].address;
        while (left > 0) {
            uint64_t blocks = min_u64(left, VDE_IO_MAX_BYTES / BLOCK_BYTES);
            ios[count++] = (struct vde_io){.op = VDE_IO_WRITE, .size = (uint32_t)(blocks * BLOCK_BYTES),
                                           .offset = address * BLOCK_BYTES,
                                           .buffer = merge->buffer + first * BLOCK_BYTES};
            address += blocks;
            first += blocks;
            left -= blocks;
            if (count == 64) {
                VDE_TRY(merge->image->device->ops->run(merge->image->device, ios, count));
                count = 0;
            }
        }
    }
    if (count > 0)
        VDE_TRY(merge->image->device->ops->run(merge->image->device, ios, count));
    atomic_fetch_add(&merge->image->heap_bytes, merge->buffer_blocks * BLOCK_BYTES);
    merge->write_count = merge->buffer_blocks = 0;
    return VDE_OK;
}

vde_status merge_write(void *context, uint64_t address, const void *buffer, uint32_t blocks)
{
    struct merge *merge = context;
    const uint8_t *from = buffer;
    while (blocks > 0) {
        if (merge->buffer_blocks == BUFFER_BLOCKS || merge->write_count == 512)
            VDE_TRY(merge_flush_writes(merge));
        uint32_t part = (uint32_t)min_u64(blocks, BUFFER_BLOCKS - merge->buffer_blocks);
        memcpy(merge->buffer + merge->buffer_blocks * BLOCK_BYTES, from, (size_t)part * BLOCK_BYTES);
        size_t last = merge->write_count;
        if (last > 0 && merge->writes[last - 1].address + merge->writes[last - 1].blocks == address) {
            merge->writes[last - 1].blocks += part;
        } else {
            merge->writes[last].address = address;
            merge->writes[last].first = (uint32_t)merge->buffer_blocks;
            merge->writes[last].blocks = part;
            merge->write_count++;
        }
        merge->buffer_blocks += part;
        address += part;
        from += (size_t)part * BLOCK_BYTES;
        blocks -= part;
    }
    return VDE_OK;
}

/* The new version of a tree no longer refers to p: free it, unless a snapshot or an origin does. */
vde_status merge_drop(void *context, uint64_t tree, struct ptr p)
{
    struct merge *merge = context;
    (void)tree;
    merge->stored -= p.blocks;
    if (p.birth <= merge->origin_lsn && !merge->free_all && !MUTATED(MUTATE_CLONE_ORIGIN))
        return VDE_OK;
    if (merge->free_all || MUTATED(MUTATE_SNAPSHOT_DEAD) || merge->newest_snapshot == 0 || p.birth > merge->newest_snapshot)
        return runs_add(&merge->freed, p.address, p.blocks);
    VDE_TRY(grow((void **)&merge->dead, &merge->dead_capacity, merge->dead_count, sizeof *merge->dead));
    merge->dead[merge->dead_count++] = (struct dead){merge->newest_snapshot, p.birth, p.address, p.blocks};
    return VDE_OK;
}

vde_status merge_init(struct merge *merge, struct vde_image *image, struct overlay *overlay, uint64_t cut_lsn,
                      const struct layers *layers)
{
    memset(merge, 0, sizeof *merge);
    merge->image = image;
    merge->overlay = overlay;
    merge->cut_lsn = cut_lsn;
    merge->catalog = map_catalog(layers, &image->store, &image->label.layout, cut_lsn);
    merge->catalog.overlays[0] = overlay;
    merge->catalog.overlays[1] = NULL;
    merge->after = image->sb.checkpoint_lsn;
    merge->through = cut_lsn;
    merge->catalog_dead = image->sb.catalog_dead;
    merge->catalog_dead_blocks = image->sb.catalog_dead_blocks;
    merge->writer = (struct tree_writer){&image->store, merge, merge_allocate, merge_write, merge_drop, cut_lsn};
    merge->class = SPACE_DATA;
    merge->buffer = aligned_alloc(BLOCK_BYTES, (size_t)BUFFER_BLOCKS * BLOCK_BYTES);
    return merge->buffer ? VDE_OK : fail_nomem("checkpoint");
}

void merge_done(struct merge *merge)
{
    changes_done(&merge->catalog_changes);
    stages_done(merge);
    free(merge->allocated.items);
    free(merge->freed.items);
    free(merge->dead);
    free(merge->buffer);
}
