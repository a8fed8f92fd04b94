/* SPDX-License-Identifier: Apache-2.0 */
/* layout.c -- the geometry of an image as a pure function of its sizes. */
#include "format/layout.h"

#include <string.h>

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
    struct layout layout = {.blocks = blocks, .alloc_pages = div_up(blocks, BITMAP_BITS), .label_blocks = blocks};
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

void layout_formatted(const struct layout *layout, struct layout *ret_layout)
{
    memset(ret_layout, 0, sizeof *ret_layout);
    memcpy(ret_layout->regions, layout->regions, sizeof ret_layout->regions);
    ret_layout->blocks = ret_layout->label_blocks = layout->label_blocks;
    ret_layout->alloc_pages = div_up(layout->label_blocks, BITMAP_BITS);
}

static struct region take(enum region_kind kind, uint64_t *next, uint64_t blocks)
{
    struct region region = {(uint32_t)kind, *next, blocks};
    *next += blocks;
    return region;
}

vde_status layout_grow(struct layout *layout, uint64_t blocks)
{
    if (blocks <= layout->blocks || blocks > VDE_IMAGE_MAX_BYTES / BLOCK_BYTES)
        return fail_as(VDE_INVAL, "image size|%llu bytes|more than %llu and at most %llu",
                       (unsigned long long)blocks * BLOCK_BYTES, (unsigned long long)layout->blocks * BLOCK_BYTES,
                       (unsigned long long)VDE_IMAGE_MAX_BYTES);
    if (layout->growths == GROWTHS_MAX)
        return fail_as(VDE_INVAL, "image|grown %u times|at most that", GROWTHS_MAX);
    struct growth growth = {.pages = div_up(blocks, BITMAP_BITS)};
    uint64_t next = layout->blocks, tail = blocks - 2 * RESERVED_BLOCKS;
    uint64_t index = 2 * alloc_index_blocks(growth.pages), bitmaps = 2 * (growth.pages - layout->alloc_pages);
    uint64_t least = max_u64(GROWTH_MIN_BLOCKS, index + bitmaps + 2 * RESERVED_BLOCKS + 1);
    if (blocks - layout->blocks < least)
        return fail_as(VDE_INVAL, "image size|%llu bytes more|at least %llu more",
                       (unsigned long long)(blocks - layout->blocks) * BLOCK_BYTES,
                       (unsigned long long)least * BLOCK_BYTES);
    growth.index = take(REGION_ALLOC_INDEX, &next, index);
    growth.bitmaps = take(REGION_BITMAPS, &next, bitmaps);
    growth.heap = take(REGION_HEAP, &next, tail - next);
    growth.label = take(REGION_LABEL_B, &next, 2);
    layout->growth[layout->growths++] = growth;
    layout->blocks = blocks;
    layout->alloc_pages = growth.pages;
    return VDE_OK;
}

void layout_adopt(struct layout *layout, const struct layout *grown)
{
    layout->growth[grown->growths - 1] = grown->growth[grown->growths - 1];
    layout->alloc_pages = grown->alloc_pages;
    __atomic_store_n(&layout->blocks, grown->blocks, __ATOMIC_RELAXED);
    __atomic_store_n(&layout->growths, grown->growths, __ATOMIC_RELEASE);
}

bool layout_allocatable(const struct layout *layout, uint64_t block)
{
    for (unsigned i = 0; i < layout_areas(layout); i++) {
        const struct region *area = layout_area(layout, i);
        if (block >= area->block && block - area->block < area->blocks)
            return true;
    }
    return false;
}

uint64_t layout_total(const struct layout *layout)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < layout_areas(layout); i++)
        total += layout_area(layout, i)->blocks;
    return total;
}
