/* SPDX-License-Identifier: Apache-2.0 */
/* Geometry from 4 MiB to 64 TiB. */
#include <criterion/criterion.h>

#include <vde/image.h>

#include "format/alloc.h"

static void verify_size(uint64_t bytes, uint64_t log_bytes)
{
    struct layout layout;
    cr_assert_eq(layout_compute(bytes, log_bytes, &layout), VDE_OK, "%llu bytes: %s", (unsigned long long)bytes,
                 vde_last_error()->text);
    cr_assert_eq(layout_verify(&layout, bytes / BLOCK_BYTES, "label"), VDE_OK, "%llu bytes: %s",
                 (unsigned long long)bytes, vde_last_error()->text);
    cr_assert_eq(layout.blocks, bytes / BLOCK_BYTES);
    uint64_t tail = layout.blocks;
    cr_assert_eq(layout_region(&layout, REGION_LABEL_A)->block, 8);
    cr_assert_eq(layout_region(&layout, REGION_RING_A)->block, 16);
    cr_assert_eq(layout_region(&layout, REGION_ALLOC_INDEX)->block, 32);
    cr_assert_eq(layout_region(&layout, REGION_RING_B)->block, tail - 32);
    cr_assert_eq(layout_region(&layout, REGION_LABEL_B)->block, tail - 16);
    uint64_t ring = layout_region(&layout, REGION_LOG)->blocks * BLOCK_BYTES;
    cr_assert_geq(ring, 256u << 10);
    cr_assert_leq(ring, 1u << 30);
    cr_assert(log_bytes == 0 || ring == log_bytes / BLOCK_BYTES * BLOCK_BYTES);
    /* Regions are disjoint and, except for the gap behind label A, follow each other. */
    uint64_t sum = 0;
    for (unsigned i = 0; i < REGION_COUNT; i++)
        sum += layout.regions[i].blocks;
    cr_assert_eq(sum + 8 + 6 + 14, layout.blocks);
    cr_assert_geq(layout_region(&layout, REGION_HEAP)->blocks, layout.blocks / 3);
}

Test(layout, every_size_is_consistent)
{
    for (uint64_t bytes = VDE_IMAGE_MIN_BYTES; bytes <= VDE_IMAGE_MAX_BYTES; bytes *= 2) {
        verify_size(bytes, 0);
        for (uint64_t delta = 1; delta < bytes && bytes < VDE_IMAGE_MAX_BYTES; delta = delta * 7 + 1)
            verify_size(bytes + delta, 0);
    }
}

Test(layout, around_every_bitmap_page)
{
    for (uint64_t pages = 1; pages < 600; pages++)
        for (int64_t delta = -2; delta <= 2; delta++) {
            uint64_t blocks = (uint64_t)((int64_t)(pages * BITMAP_BITS) + delta);
            struct layout layout;
            verify_size(blocks * BLOCK_BYTES, 0);
            cr_assert_eq(layout_compute(blocks * BLOCK_BYTES, 0, &layout), VDE_OK);
            cr_assert_eq(layout.alloc_pages, delta <= 0 ? pages : pages + 1);
        }
}

Test(layout, chosen_log_sizes)
{
    verify_size(4u << 20, 256u << 10);
    verify_size(4u << 20, 1u << 20);
    verify_size(4u << 20, (1u << 20) + 4095);
    verify_size(1ull << 40, 1u << 30);
}

Test(layout, sizes_out_of_bounds_are_refused)
{
    struct layout layout;
    cr_assert_eq(layout_compute(VDE_IMAGE_MIN_BYTES - 1, 0, &layout), VDE_INVAL);
    cr_assert_eq(layout_compute(VDE_IMAGE_MAX_BYTES + 4096, 0, &layout), VDE_INVAL);
    cr_assert_eq(layout_compute(0, 0, &layout), VDE_INVAL);
    cr_assert_eq(layout_compute(UINT64_MAX, 0, &layout), VDE_INVAL);
    cr_assert_eq(layout_compute(4u << 20, (256u << 10) - 1, &layout), VDE_INVAL);
    cr_assert_eq(layout_compute(4u << 20, 3u << 20, &layout), VDE_INVAL);
    cr_assert_eq(layout_compute(4u << 20, UINT64_MAX, &layout), VDE_INVAL);
    cr_assert_eq(layout_compute(1ull << 40, (1ull << 30) + 4096, &layout), VDE_INVAL);
}

/* The largest log that the size rule allows, in the smallest image, still leaves a heap. */
Test(layout, half_of_the_smallest_image_as_log)
{
    struct layout layout;
    cr_assert_eq(layout_compute(4u << 20, 2u << 20, &layout), VDE_OK);
    cr_assert_eq(layout_verify(&layout, 1024, "label"), VDE_OK, "%s", vde_last_error()->text);
}

/* Any one field of a region changed by any bit: refused, or still disjoint and inside the image. */
Test(layout, hostile_regions)
{
    struct layout good;
    cr_assert_eq(layout_compute(64u << 20, 0, &good), VDE_OK);
    for (unsigned r = 0; r < REGION_COUNT; r++)
        for (unsigned bit = 0; bit < 160; bit++) {
            struct layout bad = good;
            struct region *region = &bad.regions[r];
            if (bit < 64)
                region->block ^= 1ull << bit;
            else if (bit < 128)
                region->blocks ^= 1ull << (bit - 64);
            else
                region->kind ^= 1u << (bit - 128);
            if (layout_verify(&bad, good.blocks, "label") != VDE_OK)
                continue;
            cr_assert_leq(region->block + region->blocks, good.blocks - RESERVED_BLOCKS);
            for (unsigned o = 0; o < REGION_COUNT; o++) {
                const struct region *other = &bad.regions[o];
                cr_assert(o == r || region->block >= other->block + other->blocks ||
                          other->block >= region->block + region->blocks);
            }
        }
}
