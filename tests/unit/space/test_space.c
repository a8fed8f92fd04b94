/* SPDX-License-Identifier: Apache-2.0 */
/* Free space: allocation, limits, and bitmaps that survive. */
#include <criterion/criterion.h>

#include "format/alloc.h"
#include "space/bits.h"
#include "space/space.h"
#include "unit/pool/engine.h"

#define SEED 77u

struct fixture {
    struct vde_device *device;
    struct layout layout;
    struct space *space;
    struct superblock sb;
};

static struct fixture fixture(uint64_t bytes)
{
    struct fixture f = {.sb = {.sequence = 1}};
    OK(layout_compute(bytes, 0, &f.layout));
    OK(vde_device_memory(bytes, &f.device));
    OK(space_create(f.device, &f.layout, SEED, &f.space));
    return f;
}

static void done(struct fixture *f)
{
    space_close(f->space);
    close_device(f->device);
}

static struct space_counts counts(struct fixture *f)
{
    struct space_counts c;
    space_counts(f->space, &c);
    return c;
}

static uint64_t allocate(struct fixture *f, enum space_class class, uint32_t blocks)
{
    uint64_t address;
    OK(space_allocate(f->space, class, SPACE_NORMAL, blocks, &address));
    for (uint32_t i = 0; i < blocks; i++)
        cr_assert(layout_allocatable(&f->layout, address + i));
    return address;
}

static void write_and_reopen(struct fixture *f)
{
    f->sb.sequence++;
    OK(space_write(f->space, f->sb.sequence, &f->sb));
    space_close(f->space);
    OK(space_open(f->device, &f->layout, SEED, &f->sb, &f->space));
}

Test(space, hands_out_each_block_once)
{
    struct fixture f = fixture(4 * MIB);
    struct space_counts c = counts(&f);
    uint8_t *seen = calloc(1, 1024);
    uint64_t got = 0, address;
    cr_assert_eq(c.free, c.total);
    cr_assert_eq(c.total, layout_region(&f.layout, REGION_HEAP)->blocks + layout_region(&f.layout, REGION_HISTORY)->blocks);
    for (unsigned i = 0; space_allocate(f.space, (enum space_class)(i % 3), SPACE_CHECKPOINT, 1 + i % 5, &address) == VDE_OK; i++)
        for (uint32_t b = 0; b < 1 + i % 5; b++, got++) {
            cr_assert(layout_allocatable(&f.layout, address + b));
            cr_assert_not(bit_get(seen, (uint32_t)(address + b)));
            bits_set(seen, (uint32_t)(address + b), 1);
        }
    cr_assert_geq(got, c.total - 5);
    cr_assert_eq(counts(&f).free, c.total - got);
    free(seen);
    done(&f);
}

Test(space, limits_keep_slop_and_reservations)
{
    struct fixture f = fixture(4 * MIB);
    struct space_counts c = counts(&f);
    uint64_t address, normal = c.total - c.slop;
    cr_assert_eq(c.slop, c.total / 32 > 16 ? c.total / 32 : 16);
    OK(space_reserve(f.space, 100, SPACE_NORMAL));
    cr_assert_eq(counts(&f).reserved, 100);
    EXPECT(VDE_NOSPC, space_reserve(f.space, normal - 99, SPACE_NORMAL));
    cr_assert_eq(counts(&f).reserved, 100, "refused: nothing changed");
    for (uint64_t i = 0; i < normal - 100; i++)
        OK(space_allocate(f.space, SPACE_DATA, SPACE_NORMAL, 1, &address));
    EXPECT(VDE_NOSPC, space_allocate(f.space, SPACE_DATA, SPACE_NORMAL, 1, &address));
    cr_assert(strstr(vde_last_error()->text, "KiB"));
    EXPECT(VDE_NOSPC, space_reserve(f.space, 1, SPACE_NORMAL));
    OK(space_reserve(f.space, c.slop - c.slop / 4, SPACE_DELETE));
    EXPECT(VDE_NOSPC, space_reserve(f.space, 1, SPACE_DELETE));
    for (uint64_t i = 0; i < 100 + c.slop; i++)
        OK(space_allocate(f.space, SPACE_NODE, SPACE_CHECKPOINT, 1, &address));
    EXPECT(VDE_NOSPC, space_allocate(f.space, SPACE_NODE, SPACE_CHECKPOINT, 1, &address));
    cr_assert_eq(counts(&f).free, 0);
    space_unreserve(f.space, 100 + c.slop - c.slop / 4);
    space_release(f.space, address, 1);
    OK(space_allocate(f.space, SPACE_DATA, SPACE_CHECKPOINT, 1, &address));
    done(&f);
}

Test(space, released_runs_are_found_again_and_join)
{
    struct fixture f = fixture(4 * MIB);
    uint64_t a = allocate(&f, SPACE_DATA, 10), b = allocate(&f, SPACE_DATA, 10), address;
    cr_assert_eq(b, a + 10);
    while (space_allocate(f.space, SPACE_DATA, SPACE_CHECKPOINT, 1, &address) == VDE_OK)
        ;
    space_release(f.space, a, 10);
    EXPECT(VDE_NOSPC, space_allocate(f.space, SPACE_DATA, SPACE_CHECKPOINT, 11, &address));
    space_release(f.space, b, 10);
    OK(space_allocate(f.space, SPACE_DATA, SPACE_CHECKPOINT, 20, &address));
    cr_assert_eq(address, a);
    done(&f);
}

Test(space, next_fit_goes_on_over_pages)
{
    struct fixture f = fixture(1024 * MIB); /* nine bitmap pages */
    uint64_t address, last = 0, wraps = 0, pages = 0;
    cr_assert_geq(f.layout.alloc_pages, 8);
    for (uint64_t i = 0; i < 300; i++) {
        OK(space_allocate(f.space, SPACE_DATA, SPACE_NORMAL, 1024, &address));
        wraps += address < last;
        pages += address / BITMAP_BITS != last / BITMAP_BITS;
        last = address;
        if (i % 2) /* what is freed behind the cursor is not taken at once */
            space_release(f.space, address, 1024);
    }
    cr_assert_leq(wraps, 1);
    cr_assert_geq(pages, 4);
    done(&f);
}

Test(space, claims_only_what_is_free_and_inside)
{
    struct fixture f = fixture(4 * MIB);
    uint64_t heap = layout_region(&f.layout, REGION_HEAP)->block, address;
    uint64_t end = heap + layout_region(&f.layout, REGION_HEAP)->blocks;
    OK(space_claim(f.space, heap + 5, 10));
    EXPECT(VDE_CORRUPT, space_claim(f.space, heap + 14, 2));
    EXPECT(VDE_CORRUPT, space_claim(f.space, heap + 14, 1));
    OK(space_claim(f.space, heap + 15, 1));
    EXPECT(VDE_CORRUPT, space_claim(f.space, 0, 1));
    EXPECT(VDE_CORRUPT, space_claim(f.space, end - 1, 2));
    EXPECT(VDE_CORRUPT, space_claim(f.space, end, 1));
    EXPECT(VDE_CORRUPT, space_claim(f.space, UINT64_MAX, 2));
    EXPECT(VDE_CORRUPT, space_claim(f.space, heap, 0));
    EXPECT(VDE_CORRUPT, space_claim(f.space, heap, UINT64_MAX));
    while (space_allocate(f.space, SPACE_DATA, SPACE_CHECKPOINT, 1, &address) == VDE_OK)
        cr_assert(address < heap + 5 || address >= heap + 16);
    done(&f);
}

Test(space, survives_in_two_slots)
{
    struct fixture f = fixture(300 * MIB); /* three pages */
    uint64_t kept[20], address;
    for (unsigned i = 0; i < 20; i++) {
        kept[i] = allocate(&f, i % 2 ? SPACE_DATA : SPACE_HISTORY, 100);
        OK(space_mark(f.space, kept[i], 100, true));
        allocate(&f, SPACE_DATA, 7); /* never marked: free after the reopen */
        write_and_reopen(&f);
        cr_assert_eq(f.sb.alloc_slot, i % 2 ? 1 : 0);
        cr_assert_eq(counts(&f).used, (i + 1) * 100);
        cr_assert_eq(counts(&f).free, counts(&f).total - (i + 1) * 100);
        cr_assert_eq(f.sb.used_blocks, (i + 1) * 100);
    }
    while (space_allocate(f.space, SPACE_DATA, SPACE_CHECKPOINT, 1, &address) == VDE_OK)
        for (unsigned i = 0; i < 20; i++)
            cr_assert(address < kept[i] || address >= kept[i] + 100);
    done(&f);
}

struct freed {
    uint64_t first, blocks, calls;
};

static void note(void *context, uint64_t address, uint64_t blocks)
{
    struct freed *freed = context;
    if (freed->calls++ == 0)
        freed->first = address;
    freed->blocks += blocks;
}

Test(space, recently_freed_blocks_are_held)
{
    struct fixture f = fixture(4 * MIB);
    struct freed freed = {0};
    uint64_t a = allocate(&f, SPACE_DATA, 30);
    OK(space_mark(f.space, a, 30, true));
    write_and_reopen(&f);
    OK(space_mark(f.space, a + 10, 5, false)); /* dropped by this checkpoint: the one before needs it */
    write_and_reopen(&f);
    OK(space_recently_freed(f.space, f.sb.sequence, note, &freed));
    cr_assert_eq(freed.first, a + 10);
    cr_assert_eq(freed.blocks, 5);
    cr_assert_eq(counts(&f).free, counts(&f).total - 30);
    cr_assert_eq(counts(&f).used, 25);
    space_release(f.space, a + 10, 5);
    cr_assert_eq(counts(&f).free, counts(&f).total - 25);
    uint64_t b = allocate(&f, SPACE_DATA, 1);
    OK(space_mark(f.space, b, 1, true));
    write_and_reopen(&f);
    freed = (struct freed){0};
    OK(space_recently_freed(f.space, f.sb.sequence, note, &freed));
    cr_assert_eq(freed.blocks, 0);
    done(&f);
}

Test(space, damaged_bitmaps_are_corrupt)
{
    struct fixture f = fixture(4 * MIB);
    uint64_t a = allocate(&f, SPACE_DATA, 30), address;
    OK(space_mark(f.space, a, 30, true));
    write_and_reopen(&f);
    space_close(f.space);
    uint8_t *block = aligned_buffer(4096);
    uint64_t index = alloc_index_block(&f.layout, f.sb.alloc_slot) * 4096;
    for (unsigned at = 0; at < 100; at += 3) {
        device_io(f.device, VDE_IO_READ, index, block, 4096);
        block[at] ^= 4;
        device_io(f.device, VDE_IO_WRITE, index, block, 4096);
        EXPECT(VDE_CORRUPT, space_open(f.device, &f.layout, SEED, &f.sb, &f.space));
        block[at] ^= 4;
        device_io(f.device, VDE_IO_WRITE, index, block, 4096);
    }
    for (unsigned slot = 0; slot < 2; slot++) {
        uint64_t page = bitmap_slot_block(&f.layout, 0, slot) * 4096;
        device_io(f.device, VDE_IO_READ, page, block, 4096);
        block[2000] ^= 1;
        device_io(f.device, VDE_IO_WRITE, page, block, 4096);
    }
    OK(space_open(f.device, &f.layout, SEED, &f.sb, &f.space)); /* pages load on demand */
    EXPECT(VDE_CORRUPT, space_allocate(f.space, SPACE_DATA, SPACE_NORMAL, 1, &address));
    cr_assert(strstr(vde_last_error()->object, "bitmap page 0"));
    free(block);
    done(&f);
}

/* Free runs of the model: the longest within one bitmap page. */
static uint32_t longest_free(const struct layout *layout, const uint8_t *busy)
{
    uint32_t longest = 0, run = 0;
    for (uint64_t block = 0; block < layout->blocks; block++) {
        run = block % BITMAP_BITS == 0 ? 0 : run;
        run = busy[block] || !layout_allocatable(layout, block) ? 0 : run + 1;
        longest = run > longest ? run : longest;
    }
    return longest;
}

static uint64_t random_below(uint64_t *state, uint64_t limit)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return (*state >> 33) % limit;
}

/* Random allocations and releases against a byte a block: nothing twice, and long runs as long as there are any. */
Test(space, runs_are_as_long_as_the_image_allows)
{
    struct fixture f = fixture(300 * MIB); /* three pages */
    uint8_t *busy = calloc(1, f.layout.blocks);
    uint64_t state = 5, address;
    uint32_t blocks;
    for (unsigned round = 0; round < 40; round++) {
        for (unsigned i = 0; i < 1000; i++) {
            uint32_t want = 1 + (uint32_t)random_below(&state, 64), min = 1 + (uint32_t)random_below(&state, want);
            vde_status status = space_allocate_run(f.space, SPACE_DATA, SPACE_CHECKPOINT, want, min, &address, &blocks);
            if (status != VDE_OK) {
                cr_assert_eq(status, VDE_NOSPC);
                cr_assert_lt(longest_free(&f.layout, busy), min);
                continue;
            }
            cr_assert(blocks >= min && blocks <= want);
            if (blocks < 16 && blocks < want && i % 16 == 0)
                cr_assert_lt(longest_free(&f.layout, busy), 16);
            for (uint32_t b = 0; b < blocks; b++) {
                cr_assert(layout_allocatable(&f.layout, address + b) && !busy[address + b]);
                busy[address + b] = 1;
            }
        }
        struct run runs[2000];
        size_t count = 0;
        for (unsigned i = 0; i < 2000 && round < 35; i++) {
            address = random_below(&state, f.layout.blocks);
            if (busy[address])
                runs[count++] = (struct run){address, 1};
            busy[address] = 0;
        }
        space_release_many(f.space, runs, count);
    }
    uint64_t used = 0;
    for (uint64_t block = 0; block < f.layout.blocks; block++)
        used += busy[block];
    cr_assert_eq(counts(&f).free, counts(&f).total - used);
    free(busy);
    done(&f);
}

Test(space, small_holes_are_used_when_nothing_else_is_left)
{
    struct fixture f = fixture(4 * MIB);
    uint64_t address, all[1024], count = 0, got = 0;
    uint32_t blocks;
    while (space_allocate(f.space, SPACE_DATA, SPACE_CHECKPOINT, 1, &address) == VDE_OK)
        all[count++] = address;
    for (uint64_t i = 0; i < 100; i++) /* never two neighbours */
        space_release(f.space, all[i * 3], 1);
    space_release(f.space, all[401], 1);
    space_release(f.space, all[402], 1);
    space_release(f.space, all[403], 1);
    EXPECT(VDE_NOSPC, space_allocate_run(f.space, SPACE_DATA, SPACE_CHECKPOINT, 32, 4, &address, &blocks));
    OK(space_allocate_run(f.space, SPACE_DATA, SPACE_CHECKPOINT, 32, 1, &address, &blocks));
    cr_assert_eq(blocks, 3, "the longest class first");
    while (space_allocate_run(f.space, SPACE_DATA, SPACE_CHECKPOINT, 32, 1, &address, &blocks) == VDE_OK)
        got += blocks;
    cr_assert_eq(got, 100);
    cr_assert_eq(counts(&f).free, 0);
    done(&f);
}

Test(space, nodes_stay_at_the_low_end)
{
    struct fixture f = fixture(300 * MIB);
    uint64_t heap = layout_region(&f.layout, REGION_HEAP)->block;
    for (unsigned i = 0; i < 1000; i++)
        cr_assert_eq(allocate(&f, SPACE_NODE, 1), heap + i);
    space_release(f.space, heap + 17, 1);
    space_release(f.space, heap + 500, 2);
    cr_assert_eq(allocate(&f, SPACE_NODE, 1), heap + 17);
    cr_assert_eq(allocate(&f, SPACE_NODE, 1), heap + 500);
    cr_assert_eq(allocate(&f, SPACE_NODE, 1), heap + 501);
    cr_assert_eq(allocate(&f, SPACE_NODE, 1), heap + 1000);
    done(&f);
}

Test(space, volumes_keep_what_they_reserved)
{
    struct fixture f = fixture(4 * MIB);
    struct space_counts c = counts(&f);
    uint64_t normal = c.total - c.slop, address;
    uint32_t blocks, covered;
    EXPECT(VDE_NOSPC, space_reserve_volume(f.space, normal + 1));
    OK(space_reserve_volume(f.space, 300));
    cr_assert_eq(counts(&f).volume_reserved, 300);
    while (space_allocate(f.space, SPACE_DATA, SPACE_NORMAL, 1, &address) == VDE_OK)
        ;
    cr_assert_eq(counts(&f).free, 300 + c.slop);
    EXPECT(VDE_NOSPC, space_reserve(f.space, 1, SPACE_NORMAL));
    OK(space_allocate_volume(f.space, 20, 32, 1, &address, &blocks, &covered));
    cr_assert(blocks == 32 && covered == 20, "%u blocks, %u covered", blocks, covered);
    cr_assert_eq(counts(&f).volume_reserved, 280);
    space_release(f.space, address, blocks);
    space_restore_volume(f.space, covered);
    for (unsigned i = 0; i < 300; i++)
        OK(space_allocate_volume(f.space, 1, 1, 1, &address, &blocks, &covered));
    cr_assert_eq(counts(&f).volume_reserved, 0);
    uint64_t replaced = 0;
    while (space_allocate_volume(f.space, 0, 1, 1, &address, &blocks, &covered) == VDE_OK)
        replaced++;
    cr_assert_eq(replaced, c.slop - c.slop / 2, "what replaces blocks may use a part of the slop");
    OK(space_reserve(f.space, c.slop / 2 - c.slop / 4, SPACE_DELETE));
    space_restore_volume(f.space, 9);
    space_unreserve_volume(f.space, 9);
    done(&f);
}

/* Against a bit at a time. */
Test(bits, searches)
{
    uint8_t bits[64];
    uint64_t state = 9;
    for (unsigned round = 0; round < 3000; round++) {
        for (unsigned i = 0; i < sizeof bits; i++)
            bits[i] = (uint8_t)random_below(&state, 256);
        for (unsigned i = 0; i < round % 4; i++)
            bits_clear(bits, (uint32_t)random_below(&state, 300), (uint32_t)random_below(&state, 200));
        uint32_t end = 300 + (uint32_t)random_below(&state, 213), from = (uint32_t)random_below(&state, end);
        uint32_t count = 1 + (uint32_t)random_below(&state, round % 2 ? 20 : 150), run = 0, found = end, set = 0;
        for (uint32_t i = from; i < end && found == end; i++) {
            run = bit_get(bits, i) ? 0 : run + 1;
            if (run == count)
                found = i + 1 - count;
        }
        cr_assert_eq(bits_find_clear(bits, from, end, count), found);
        for (uint32_t i = from; i < end; i++)
            set += bit_get(bits, i);
        cr_assert_eq(bits_count(bits, from, end - from), set);
        uint32_t after = 0, before = 0;
        while (from + after < end && after < count && !bit_get(bits, from + after))
            after++;
        cr_assert_eq(bits_clear_after(bits, from, end, count), after);
        while (before < from && !bit_get(bits, from - before - 1))
            before++;
        uint32_t got = bits_clear_before(bits, from, count);
        cr_assert(got == before || (got >= count && got < before));
    }
}

Test(bits, runs)
{
    uint8_t bits[64] = {0};
    for (uint32_t from = 0; from < 70; from += 3)
        for (uint32_t count = 1; count < 90; count += 7) {
            bits_set(bits, from, count);
            cr_assert_eq(bits_count(bits, 0, 512), count);
            cr_assert_eq(bits_count(bits, from, count), count);
            cr_assert(bit_get(bits, from) && bit_get(bits, from + count - 1) && !bit_get(bits, from + count));
            cr_assert_eq(bits_find_clear(bits, 0, 512, 10), from >= 10 ? 0 : from + count);
            cr_assert_eq(bits_find_clear(bits, from, 512, 1), from + count);
            cr_assert_eq(bits_find_clear(bits, from, from + count, 1), from + count);
            bits_clear(bits, from, count);
            cr_assert_eq(bits_count(bits, 0, 512), 0);
        }
}
