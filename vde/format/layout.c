/* SPDX-License-Identifier: Apache-2.0 */
/* layout.c -- the geometry of an image as a pure function of its size. */
#include "format/layout.h"

#include <vde/image.h>

#include "base/checked.h"
#include "base/fail.h"
#include "format/alloc.h"

#define LOG_MIN_BYTES (256ull << 10)
#define LOG_MAX_BYTES (1ull << 30)
#define LOG_DEFAULT_MAX_BYTES (256ull << 20)

static const char *const names[] = {"?",       "label A",     "label B", "ring A", "ring B", "alloc index",
                                    "bitmaps", "log",         "history", "vault",  "heap"};

const char *region_name(uint32_t kind)
{
    return kind <= REGION_COUNT ? names[kind] : names[0];
}

static uint64_t clamp(uint64_t value, uint64_t low, uint64_t high)
{
    return value < low ? low : value > high ? high : value;
}

static void place(struct layout *layout, enum region_kind kind, uint64_t *next, uint64_t blocks)
{
    layout->regions[kind - 1] = (struct region){(uint32_t)kind, *next, blocks};
    *next += blocks;
}

vde_status layout_compute(uint64_t size_bytes, uint64_t log_bytes, struct layout *ret_layout)
{
    if (size_bytes < VDE_IMAGE_MIN_BYTES || size_bytes > VDE_IMAGE_MAX_BYTES)
        return fail_as(VDE_INVAL, "image size|%llu bytes|%llu to %llu", (unsigned long long)size_bytes,
                       (unsigned long long)VDE_IMAGE_MIN_BYTES, (unsigned long long)VDE_IMAGE_MAX_BYTES);
    uint64_t blocks = size_bytes / BLOCK_BYTES;
    if (log_bytes == 0)
        log_bytes = clamp(size_bytes / 32, LOG_MIN_BYTES, LOG_DEFAULT_MAX_BYTES);
    log_bytes &= ~(uint64_t)(BLOCK_BYTES - 1);
    if (log_bytes < LOG_MIN_BYTES || log_bytes > LOG_MAX_BYTES || log_bytes > size_bytes / 2)
        return fail_as(VDE_INVAL, "log size|%llu bytes|%llu to %llu and at most half of the image",
                       (unsigned long long)log_bytes, (unsigned long long)LOG_MIN_BYTES,
                       (unsigned long long)LOG_MAX_BYTES);
    struct layout layout = {.blocks = blocks, .alloc_pages = div_up(blocks, BITMAP_BITS)};
    uint64_t next = LABEL_BLOCK;
    place(&layout, REGION_LABEL_A, &next, 2);
    next = RING_A_BLOCK;
    place(&layout, REGION_RING_A, &next, RING_SLOTS);
    place(&layout, REGION_ALLOC_INDEX, &next, 2 * alloc_index_blocks(layout.alloc_pages));
    place(&layout, REGION_BITMAPS, &next, 2 * layout.alloc_pages);
    place(&layout, REGION_VAULT, &next, 2 * clamp(blocks / 4096, 1, 16));
    place(&layout, REGION_LOG, &next, log_bytes / BLOCK_BYTES);
    place(&layout, REGION_HISTORY, &next, blocks / 32);
    uint64_t tail = blocks - RESERVED_BLOCKS - 2 - 6; /* label B 64 KiB before the end */
    layout.regions[REGION_LABEL_B - 1] = (struct region){REGION_LABEL_B, tail, 2};
    layout.regions[REGION_RING_B - 1] = (struct region){REGION_RING_B, tail - RING_SLOTS, RING_SLOTS};
    place(&layout, REGION_HEAP, &next, tail - RING_SLOTS - next);
    *ret_layout = layout;
    return VDE_OK;
}

vde_status layout_verify(const struct layout *layout, uint64_t device_blocks, const char *object)
{
    if (layout->blocks < VDE_IMAGE_MIN_BYTES / BLOCK_BYTES || layout->blocks > device_blocks)
        return fail_corrupt("%s|size of %llu blocks|at most the device's %llu", object,
                            (unsigned long long)layout->blocks, (unsigned long long)device_blocks);
    if (layout->alloc_pages != div_up(layout->blocks, BITMAP_BITS))
        return fail_corrupt("%s|%llu bitmap pages|%llu", object, (unsigned long long)layout->alloc_pages,
                            (unsigned long long)div_up(layout->blocks, BITMAP_BITS));
    for (unsigned i = 0; i < REGION_COUNT; i++) {
        const struct region *r = &layout->regions[i];
        uint64_t end;
        if (r->kind != i + 1 || r->block < RESERVED_BLOCKS || !checked_add(r->block, r->blocks, &end) ||
            end > layout->blocks - RESERVED_BLOCKS || r->blocks == 0)
            return fail_corrupt("%s region %u|kind %u, blocks %llu + %llu|inside the image", object, i, r->kind,
                                (unsigned long long)r->block, (unsigned long long)r->blocks);
        for (unsigned j = 0; j < i; j++) {
            const struct region *o = &layout->regions[j];
            if (r->block < o->block + o->blocks && o->block < end)
                return fail_corrupt("%s region %s|overlaps region %s|disjoint regions", object, region_name(r->kind),
                                    region_name(o->kind));
        }
    }
    if (layout_region(layout, REGION_BITMAPS)->blocks != 2 * layout->alloc_pages ||
        layout_region(layout, REGION_ALLOC_INDEX)->blocks != 2 * alloc_index_blocks(layout->alloc_pages) ||
        layout_region(layout, REGION_RING_A)->blocks != RING_SLOTS ||
        layout_region(layout, REGION_RING_B)->blocks != RING_SLOTS ||
        layout_region(layout, REGION_LOG)->blocks < LOG_MIN_BYTES / BLOCK_BYTES ||
        layout_region(layout, REGION_LOG)->blocks > LOG_MAX_BYTES / BLOCK_BYTES)
        return fail_corrupt("%s|region sizes that do not fit each other|sizes of the format", object);
    return VDE_OK;
}

bool layout_allocatable(const struct layout *layout, uint64_t block)
{
    const struct region *history = layout_region(layout, REGION_HISTORY);
    const struct region *heap = layout_region(layout, REGION_HEAP);
    return (block >= history->block && block < history->block + history->blocks) ||
           (block >= heap->block && block < heap->block + heap->blocks);
}
