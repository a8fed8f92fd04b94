/* SPDX-License-Identifier: Apache-2.0 */
/* test_node.c -- the verifier of nodes against damage that the checksum would and would not find. */
#include <criterion/criterion.h>

#include "base/checked.h"
#include "ram_store.h"
#include "tree/page.h"

#define SEED 0x1122334455667788u
#define TREE 5u
#define DEVICE_BLOCKS 1000u

struct sample {
    uint8_t *block; /* of exactly 4096 bytes, so that a read beyond is found */
    struct ptr ptr;
    unsigned level;
};

static void seal(struct sample *sample)
{
    sample->ptr.checksum = node_checksum(sample->block, SEED, sample->ptr.address);
}

static vde_status verify(const struct sample *sample)
{
    return node_verify(sample->block, SEED, TREE, sample->ptr, sample->level, DEVICE_BLOCKS);
}

static struct sample make(unsigned level, const struct node_record *records, unsigned count)
{
    struct sample sample = {malloc(BLOCK_BYTES), {77, 1, BLOCK_BYTES, 33, 0}, level};
    cr_assert(sample.block);
    page_build(sample.block, &(struct page_identity){SEED, 77, TREE, 33, level}, records, count);
    seal(&sample);
    return sample;
}

static struct node_record record(const char *key, const void *value, size_t value_size, enum value_kind kind)
{
    return (struct node_record){(const uint8_t *)key, value, (uint16_t)strlen(key), (uint16_t)value_size, (uint8_t)kind};
}

static struct sample make_leaf(void)
{
    struct {
        struct disk_spill head;
        struct disk_ptr extents[2];
    } spilled = {
        {le64(3 * BLOCK_BYTES + 5), le64(3 * BLOCK_BYTES + 5), SPILL_PLAIN, 2, {0}},
        {ptr_put((struct ptr){500, 2, 2 * BLOCK_BYTES, 9, 1}), ptr_put((struct ptr){600, 2, BLOCK_BYTES + 5, 9, 2})},
    };
    struct disk_ptr extent = ptr_put((struct ptr){800, 4, 100, 9, 3});
    struct node_record records[] = {
        record("same/a", "inline", 6, VALUE_INLINE), record("same/b", &spilled, sizeof spilled, VALUE_SPILLED),
        record("same/ba", &extent, sizeof extent, VALUE_EXTENT), record("same/ca", "", 0, VALUE_INLINE),
        record("same/cab", "more", 4, VALUE_INLINE),
    };
    return make(0, records, 5);
}

static struct sample make_inner(const char *first_key)
{
    struct disk_ptr child = ptr_put((struct ptr){90, 1, BLOCK_BYTES, 20, 4});
    struct node_record records[] = {
        record(first_key, &child, sizeof child, 0), record("key5", &child, sizeof child, 0),
        record("key6", &child, sizeof child, 0), record("key7777777", &child, sizeof child, 0),
    };
    return make(3, records, 4);
}

/* Whatever a node that passed says can be used without looking at it again. */
static void use(const struct sample *sample)
{
    const struct disk_node *node = (const struct disk_node *)sample->block;
    volatile uint64_t sum = node_used(node);
    bool equal;
    for (unsigned i = 0; i < node_count(node); i++) {
        struct node_record r = node_record(node, i);
        for (unsigned n = 0; n < (unsigned)r.key_size + r.value_size; n++)
            sum += r.key[n];
        if (node->level > 0)
            sum += node_child(node, i).address;
        for (unsigned e = 0; node->level == 0 && e < value_extents(r.kind, r.value); e++)
            sum += value_extent(r.kind, r.value, e).address;
        /* the empty key stands outside of the search */
        cr_assert_eq(page_lower_bound(node, r.key, r.key_size, &equal), r.key_size > 0 ? i : i + 1);
    }
    (void)sum;
}

static void flip_every_bit(struct sample sample)
{
    uint64_t sum = sample.ptr.checksum;
    unsigned passed = 0;
    for (unsigned bit = 0; bit < BLOCK_BYTES * 8; bit++) {
        sample.block[bit / 8] ^= (uint8_t)(1u << bit % 8);
        sample.ptr.checksum = sum;
        cr_assert_eq(verify(&sample), VDE_CORRUPT, "bit %u", bit);
        seal(&sample);
        if (verify(&sample) == VDE_OK) {
            use(&sample);
            passed++;
        }
        sample.block[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    /* Bits of keys, of inline bytes and of checksums and births of what the node points to are anyone's. */
    cr_assert_lt(passed, 1200, "%u", passed);
    free(sample.block);
}

Test(node, every_flipped_bit_of_a_leaf_is_found_or_harmless)
{
    flip_every_bit(make_leaf());
}

Test(node, every_flipped_bit_of_an_inner_node_is_found_or_harmless)
{
    flip_every_bit(make_inner(""));
    flip_every_bit(make_inner("key4"));
}

Test(node, wild_bytes_with_a_good_checksum_are_found_or_harmless)
{
    uint64_t random = 1;
    for (unsigned round = 0; round < 60000; round++) {
        struct sample sample = round % 3 == 0 ? make_leaf() : make_inner(round % 3 == 1 ? "" : "a");
        size_t range = ram_random(&random) % 4 == 0 ? BLOCK_BYTES : 200;
        for (uint64_t n = 1 + ram_random(&random) % 6; n > 0; n--) {
            static const uint8_t likely[] = {0, 1, 2, 48, 127, 128, 255};
            uint64_t at = ram_random(&random) % range;
            sample.block[at] = ram_random(&random) % 2 ? likely[ram_random(&random) % sizeof likely]
                                                       : (uint8_t)ram_random(&random);
        }
        seal(&sample);
        if (verify(&sample) == VDE_OK)
            use(&sample);
        free(sample.block);
    }
}

Test(node, wholly_random_blocks_are_refused)
{
    uint64_t random = 2;
    struct sample sample = make_leaf();
    for (unsigned round = 0; round < 500; round++) {
        /* the header is kept, so that the rest is looked at */
        for (size_t i = round % 2 ? sizeof(struct disk_node) : 0; i < BLOCK_BYTES; i++)
            sample.block[i] = (uint8_t)ram_random(&random);
        seal(&sample);
        cr_assert_eq(verify(&sample), VDE_CORRUPT);
    }
    free(sample.block);
}

static void refused(const struct sample *sample, uint64_t seed, uint64_t tree, struct ptr ptr, unsigned level,
                    const char *word)
{
    cr_assert_eq(node_verify(sample->block, seed, tree, ptr, level, DEVICE_BLOCKS), VDE_CORRUPT);
    cr_assert(strstr(vde_last_error()->text, word), "'%s' should name: %s", vde_last_error()->text, word);
}

Test(node, a_node_in_the_wrong_place_says_so)
{
    struct sample sample = make_leaf();
    cr_assert_eq(verify(&sample), VDE_OK);
    struct ptr elsewhere = sample.ptr, younger = sample.ptr, two = sample.ptr, far = sample.ptr, other = sample.ptr;
    elsewhere.address++;
    elsewhere.checksum = node_checksum(sample.block, SEED, elsewhere.address);
    refused(&sample, SEED, TREE, elsewhere, 0, "own address 77, expected 78");
    younger.birth++;
    refused(&sample, SEED, TREE, younger, 0, "birth");
    refused(&sample, SEED, TREE + 1, sample.ptr, 0, "tree 5, expected 6");
    refused(&sample, SEED, TREE, sample.ptr, 1, "level 0");
    refused(&sample, SEED + 1, TREE, sample.ptr, 0, "checksum");
    other.checksum = node_checksum(sample.block, SEED + 1, other.address);
    refused(&sample, SEED + 1, TREE, other, 0, "image seed");
    two.blocks = 2;
    refused(&sample, SEED, TREE, two, 0, "pointer");
    far.address = DEVICE_BLOCKS;
    refused(&sample, SEED, TREE, far, 0, "inside the device");
    free(sample.block);
}

static void leaf_refused(struct node_record record, const char *word)
{
    struct sample sample = make(0, &record, 1);
    refused(&sample, SEED, TREE, sample.ptr, 0, word);
    free(sample.block);
}

Test(node, values_that_could_not_be_followed_are_refused)
{
    struct disk_ptr beyond = ptr_put((struct ptr){DEVICE_BLOCKS - 1, 2, 5, 9, 3});
    struct disk_ptr overfull = ptr_put((struct ptr){10, 1, BLOCK_BYTES + 1, 9, 3});
    struct disk_ptr wrapping = ptr_put((struct ptr){UINT64_MAX - 1, 5, 5, 9, 3});
    struct disk_ptr null = {0};
    const struct disk_ptr *bad[] = {&beyond, &overfull, &wrapping, &null};
    for (unsigned i = 0; i < 4; i++) {
        leaf_refused((struct node_record){(const uint8_t *)"k", (const uint8_t *)bad[i], 1, 32, VALUE_EXTENT}, "extent");
        struct sample inner = make(1, &(struct node_record){(const uint8_t *)"", (const uint8_t *)bad[i], 0, 32, 0}, 1);
        refused(&inner, SEED, TREE, inner.ptr, 1, "child 0");
        free(inner.block);
    }
    leaf_refused((struct node_record){(const uint8_t *)"k", (const uint8_t *)bad[0], 1, 31, VALUE_EXTENT}, "31 bytes");
    leaf_refused((struct node_record){(const uint8_t *)"k", (const uint8_t *)"", 1, 0, VALUE_DELETE}, "kind 3");
    leaf_refused((struct node_record){(const uint8_t *)"", (const uint8_t *)"", 0, 0, VALUE_INLINE}, "key of 0 bytes");
}

struct spill_case {
    struct disk_spill head;
    struct ptr extents[3];
    size_t size;
    const char *word; /* NULL: fine */
};

Test(node, spill_descriptors_are_checked_in_every_field)
{
    const struct ptr full = {10, 1, BLOCK_BYTES, 1, 0}, part = {20, 1, 10, 1, 0}, big = {30, 1025, 5, 1, 0};
    const struct ptr hollow = {20, 2, 10, 1, 0}, outside = {999, 2, BLOCK_BYTES + 1, 1, 0};
    const struct spill_case cases[] = {
        {{le64(4106), le64(4106), 0, 2, {0}}, {full, part}, 88, NULL},
        {{le64(9000), le64(4106), 1, 2, {0}}, {full, part}, 88, NULL},
        {{le64(4106), le64(4106), 0, 0, {0}}, {full, part}, 88, "0 extents"},
        {{le64(4106), le64(4106), 0, 37, {0}}, {full, part}, 88, "37 extents"},
        {{le64(4106), le64(4106), 0, 2, {0}}, {full, part}, 87, "87 bytes"},
        {{le64(4106), le64(4106), 0, 2, {0}}, {full, part}, 10, "10 bytes"},
        {{le64(4106), le64(4106), 0, 2, {0, 0, 1}}, {full, part}, 88, "reserved"},
        {{le64(4106), le64(4106), 2, 2, {0}}, {full, part}, 88, "compression 2"},
        {{le64(4106), le64(4106), 1, 2, {0}}, {full, part}, 88, "less than"},
        {{le64(4107), le64(4106), 0, 2, {0}}, {full, part}, 88, "stored"},
        {{le64(4107), le64(4107), 0, 2, {0}}, {full, part}, 88, "in the extents"},
        {{le64(0), le64(0), 0, 2, {0}}, {full, part}, 88, "value of 0 bytes"},
        {{le64(66u << 20), le64(4106), 1, 2, {0}}, {full, part}, 88, "value of"},
        {{le64(4106), le64(4106), 0, 2, {0}}, {part, full}, 88, "extent 0 holds"},
        {{le64(10), le64(10), 0, 1, {0}}, {hollow}, 56, "extent 0 holds"},
        {{le64(5), le64(5), 0, 1, {0}}, {big}, 56, "extent 0 is"},
        {{le64(4097), le64(4097), 0, 1, {0}}, {outside}, 56, "extent 0 is"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t *bytes = malloc(cases[i].size > 24 ? cases[i].size : 24);
        cr_assert(bytes);
        memcpy(bytes, &cases[i].head, 24);
        for (size_t e = 0; 24 + e * 32 < cases[i].size; e++) {
            struct disk_ptr extent = ptr_put(cases[i].extents[e]);
            memcpy(bytes + 24 + e * 32, &extent, min_u64(32, cases[i].size - 24 - e * 32));
        }
        vde_status status = value_verify(VALUE_SPILLED, bytes, cases[i].size, DEVICE_BLOCKS, "value");
        cr_assert_eq(status, cases[i].word ? VDE_CORRUPT : VDE_OK, "case %zu: %s", i, vde_last_error()->text);
        if (cases[i].word)
            cr_assert(strstr(vde_last_error()->text, cases[i].word), "case %zu: %s", i, vde_last_error()->text);
        free(bytes);
    }
}

/* --- search ------------------------------------------------------------------------------------------------------- */

static int by_key(const void *a, const void *b)
{
    const struct node_record *x = a, *y = b;
    return key_compare(x->key, x->key_size, y->key, y->key_size);
}

static void search_like_a_scan(unsigned level, uint64_t *random)
{
    static uint8_t keys[200][24];
    struct node_record records[200];
    struct disk_ptr child = ptr_put((struct ptr){90, 1, BLOCK_BYTES, 20, 4});
    unsigned count = 1 + (unsigned)(ram_random(random) % 60), alphabet = 1 + (unsigned)(ram_random(random) % 4);
    unsigned shared = (unsigned)(ram_random(random) % 10);
    for (unsigned i = 0; i < count; i++) {
        unsigned size = shared + 1 + (unsigned)(ram_random(random) % 8);
        memset(keys[i], 'p', shared);
        for (unsigned n = shared; n < size; n++)
            keys[i][n] = (uint8_t)(ram_random(random) % alphabet * 85);
        records[i] = (struct node_record){keys[i], (const uint8_t *)&child, (uint16_t)size, level > 0 ? 32 : 3, 0};
    }
    qsort(records, count, sizeof records[0], by_key);
    unsigned n = 1;
    for (unsigned i = 1; i < count; i++)
        if (by_key(&records[n - 1], &records[i]) != 0)
            records[n++] = records[i];
    if (level > 0 && ram_random(random) % 2)
        records[0].key_size = 0;
    struct sample sample = make(level, records, n);
    cr_assert_eq(verify(&sample), VDE_OK, "%s", vde_last_error()->text);
    const struct disk_node *node = (const struct disk_node *)sample.block;
    for (unsigned round = 0; round < 60; round++) {
        uint8_t key[24];
        unsigned size = 1 + (unsigned)(ram_random(random) % (shared + 8));
        memset(key, 'p', sizeof key);
        for (unsigned i = round % 4 == 0 ? (unsigned)(ram_random(random) % size) : shared; i < size; i++)
            key[i] = (uint8_t)(ram_random(random) % alphabet * 85);
        unsigned expected = 0;
        while (expected < n && key_compare(records[expected].key, records[expected].key_size, key, size) < 0)
            expected++;
        bool equal, is_equal = expected < n && key_compare(records[expected].key, records[expected].key_size, key, size) == 0;
        cr_assert_eq(page_lower_bound(node, key, size, &equal), expected);
        cr_assert_eq(equal, is_equal);
        if (level > 0)
            cr_assert_eq(page_child(node, key, size), is_equal || expected == 0 ? expected : expected - 1);
    }
    free(sample.block);
}

Test(node, search_finds_what_a_scan_finds)
{
    uint64_t random = 3;
    for (unsigned round = 0; round < 3000; round++)
        search_like_a_scan(round % 2, &random);
}
