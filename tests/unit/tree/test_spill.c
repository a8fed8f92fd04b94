/* SPDX-License-Identifier: Apache-2.0 */
/* test_spill.c -- values out of line: compression, fragmentation, damage, failures. */
#include <criterion/criterion.h>

#include "ram_store.h"
#include "tree/spill.h"

static uint8_t *bytes_of(size_t size, bool compressible, uint64_t seed)
{
    uint8_t *data = malloc(size);
    cr_assert(data);
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)(compressible ? i / 100 : ram_random(&seed));
    return data;
}

static unsigned round_trip(struct ram_store *ram, size_t size, bool compressible, unsigned expected_compression)
{
    uint8_t *data = bytes_of(size, compressible, size), descriptor[SPILL_DESCRIPTOR_MAX];
    size_t descriptor_size, read_size;
    void *read;
    uint64_t used = ram->used;
    cr_assert_eq(spill_write(&ram->writer, data, size, descriptor, &descriptor_size), VDE_OK);
    cr_assert_eq(spill_verify(descriptor, descriptor_size, "value"), VDE_OK);
    cr_assert_eq(((struct disk_spill *)descriptor)->compression, expected_compression, "size %zu", size);
    uint64_t blocks = 0;
    for (unsigned i = 0; i < spill_count(descriptor); i++)
        blocks += spill_extent(descriptor, i).blocks;
    cr_assert_eq(ram->used - used, blocks);
    if (expected_compression)
        cr_assert_lt(blocks, (size + BLOCK_BYTES - 1) / BLOCK_BYTES);
    else
        cr_assert_eq(blocks, (size + BLOCK_BYTES - 1) / BLOCK_BYTES);
    cr_assert_eq(spill_read(&ram->store, descriptor, descriptor_size, &read, &read_size), VDE_OK);
    cr_assert_eq(read_size, size);
    cr_assert_eq(memcmp(read, data, size), 0);
    free(read);
    free(data);
    return spill_count(descriptor);
}

Test(spill, values_come_back)
{
    struct ram_store ram;
    ram_init(&ram, 8192, 0);
    static const size_t sizes[] = {1, 100, 4095, 4096, 4097, 8192, 8193, 100000, 300001};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        cr_assert_eq(round_trip(&ram, sizes[i], false, SPILL_PLAIN), 1);
        cr_assert_eq(round_trip(&ram, sizes[i], true, sizes[i] > BLOCK_BYTES ? SPILL_ZSTD : SPILL_PLAIN), 1);
    }
    cr_assert_eq(round_trip(&ram, SPILL_EXTENT_MAX_BYTES, false, SPILL_PLAIN), 1);
    cr_assert_eq(round_trip(&ram, SPILL_EXTENT_MAX_BYTES + 1, false, SPILL_PLAIN), 2);
    ram_done(&ram);
}

Test(spill, fragmented_space_takes_more_extents_until_there_are_too_many)
{
    struct ram_store ram;
    ram_init(&ram, 8192, 0);
    ram.longest_run = 16;
    cr_assert_eq(round_trip(&ram, 16 * BLOCK_BYTES, false, SPILL_PLAIN), 1);
    unsigned count = round_trip(&ram, 100 * BLOCK_BYTES - 5, false, SPILL_PLAIN);
    cr_assert(count >= 7 && count <= 13, "%u", count);
    ram.longest_run = 1;
    cr_assert_eq(round_trip(&ram, SPILL_EXTENTS_MAX * BLOCK_BYTES, false, SPILL_PLAIN), SPILL_EXTENTS_MAX);
    uint64_t used = ram.used;
    uint8_t *data = bytes_of(SPILL_EXTENTS_MAX * BLOCK_BYTES + 1, false, 9), descriptor[SPILL_DESCRIPTOR_MAX];
    size_t size;
    cr_assert_eq(spill_write(&ram.writer, data, SPILL_EXTENTS_MAX * BLOCK_BYTES + 1, descriptor, &size), VDE_NOSPC);
    cr_assert_eq(ram.used, used, "it is known beforehand");
    free(data);
    ram_done(&ram);
}

Test(spill, sizes_out_of_bounds_are_refused)
{
    struct ram_store ram;
    ram_init(&ram, 64, 0);
    uint8_t descriptor[SPILL_DESCRIPTOR_MAX];
    size_t size;
    cr_assert_eq(spill_write(&ram.writer, "", 0, descriptor, &size), VDE_INVAL);
    cr_assert_eq(spill_write(&ram.writer, "", SPILL_VALUE_MAX + 1, descriptor, &size), VDE_TOO_LARGE);
    ram_done(&ram);
}

Test(spill, damage_is_found)
{
    struct ram_store ram;
    ram_init(&ram, 256, 0);
    ram.longest_run = 8;
    for (unsigned compressible = 0; compressible < 2; compressible++) {
        uint8_t *data = bytes_of(20 * BLOCK_BYTES, compressible, 5), descriptor[SPILL_DESCRIPTOR_MAX];
        size_t size, read_size;
        void *read;
        cr_assert_eq(spill_write(&ram.writer, data, 20 * BLOCK_BYTES, descriptor, &size), VDE_OK);
        for (unsigned i = 0; i < spill_count(descriptor); i++) {
            struct ptr extent = spill_extent(descriptor, i);
            uint8_t *at = ram.data + extent.address * BLOCK_BYTES + extent.bytes - 1;
            *at ^= 1;
            cr_assert_eq(spill_read(&ram.store, descriptor, size, &read, &read_size), VDE_CORRUPT);
            cr_assert(strstr(vde_last_error()->text, "checksum"));
            *at ^= 1;
        }
        /* A wrong size that the checksums can't see. */
        ((struct disk_spill *)descriptor)->raw_bytes = le64(20 * BLOCK_BYTES - 1);
        cr_assert_eq(spill_read(&ram.store, descriptor, size, &read, &read_size), VDE_CORRUPT);
        free(data);
    }
    ram_done(&ram);
}

Test(spill, failing_calls_are_passed_on)
{
    uint8_t *data = bytes_of(30 * BLOCK_BYTES, false, 5), descriptor[SPILL_DESCRIPTOR_MAX];
    bool done = false;
    for (long n = 0; !done; n++) {
        struct ram_store ram;
        ram_init(&ram, 256, 0);
        ram.longest_run = 4;
        ram.fail_after = n;
        size_t size, read_size;
        void *read;
        vde_status status = spill_write(&ram.writer, data, 30 * BLOCK_BYTES, descriptor, &size);
        if (status == VDE_OK)
            status = spill_read(&ram.store, descriptor, size, &read, &read_size);
        done = status == VDE_OK;
        cr_assert(done || status == VDE_IO);
        if (done)
            free(read);
        ram_done(&ram);
    }
    free(data);
}
