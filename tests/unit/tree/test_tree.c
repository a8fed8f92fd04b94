/* SPDX-License-Identifier: Apache-2.0 */
/* test_tree.c -- making versions: packing, merging, ownership, failures and damage. */
#include <criterion/criterion.h>

#include "base/checked.h"
#include "ram_store.h"
#include "tree/page.h"
#include "tree/spill.h"

#define TREE 5u

static struct tree_op put_op(const char *key, const void *value, size_t size)
{
    return (struct tree_op){key, strlen(key), VALUE_INLINE, value, size};
}

static vde_status apply(struct ram_store *ram, struct tree_root *root, const struct tree_op *ops, size_t count)
{
    ram->generation++;
    ram->writer.birth = ram->generation;
    return tree_apply(&ram->writer, TREE, root, ops, count);
}

/* Apply one op a number, `step` apart, from `from`: puts of `size` bytes, or deletions. */
static void apply_numbers(struct ram_store *ram, struct tree_root *root, uint64_t from, uint64_t step, size_t count,
                          enum value_kind kind, size_t size)
{
    uint8_t (*keys)[8] = calloc(count, 8), *value = calloc(1, size + 1);
    struct tree_op *ops = calloc(count, sizeof *ops);
    cr_assert(keys && value && ops);
    for (size_t i = 0; i < count; i++) {
        be64_put(keys[i], from + i * step);
        ops[i] = (struct tree_op){keys[i], 8, kind, value, kind == VALUE_DELETE ? 0 : size};
    }
    cr_assert_eq(apply(ram, root, ops, count), VDE_OK, "%s", vde_last_error()->text);
    ram_release(ram, ram->generation);
    free(keys);
    free(value);
    free(ops);
}

static double fill_of(const struct tree_root *root, size_t record_bytes)
{
    return (double)(root->records * (record_bytes + NODE_RECORD_OVERHEAD)) / (double)(root->nodes * NODE_SPACE);
}

Test(tree, an_empty_tree_holds_nothing)
{
    struct ram_store ram;
    ram_init(&ram, 64, 0);
    struct tree_root root = {0};
    enum value_kind kind;
    void *data;
    size_t size;
    struct tree_cursor *cursor;
    struct tree_op none = {"x", 1, VALUE_DELETE, NULL, 0};
    cr_assert_eq(tree_get(&ram.store, TREE, &root, "x", 1, &kind, &data, &size), VDE_NOT_FOUND);
    cr_assert_eq(tree_cursor_open(&ram.store, TREE, &root, &cursor), VDE_OK);
    cr_assert_eq(tree_cursor_seek(cursor, NULL, 0), VDE_OK);
    cr_assert_not(tree_cursor_valid(cursor));
    cr_assert_eq(tree_cursor_seek_before(cursor, "x", 1), VDE_OK);
    cr_assert_not(tree_cursor_valid(cursor));
    cr_assert_eq(tree_cursor_next(cursor), VDE_OK);
    tree_cursor_close(cursor);
    cr_assert_eq(apply(&ram, &root, NULL, 0), VDE_OK);
    cr_assert_eq(apply(&ram, &root, &none, 1), VDE_OK);
    cr_assert_eq(tree_drop_all(&ram.writer, TREE, &root), VDE_OK);
    cr_assert(ptr_is_null(root.node) && ram.calls == 0);
    ram_done(&ram);
}

Test(tree, appended_records_fill_their_nodes)
{
    struct ram_store ram;
    ram_init(&ram, 8192, 1 << 20);
    struct tree_root root = {0};
    for (uint64_t n = 0; n < 40000; n += 100)
        apply_numbers(&ram, &root, n, 1, 100, VALUE_INLINE, 40);
    ram_check(&ram, TREE, &root);
    cr_assert_gt(fill_of(&root, 48), 0.93, "%f", fill_of(&root, 48));
    ram_done(&ram);
}

Test(tree, streams_that_grow_side_by_side_fill_their_nodes)
{
    struct ram_store ram;
    ram_init(&ram, 8192, 1 << 20);
    struct tree_root root = {0};
    for (uint64_t n = 0; n < 2000; n += 10)
        for (uint64_t stream = 0; stream < 8; stream++)
            apply_numbers(&ram, &root, stream << 32 | n, 1, 10, VALUE_INLINE, 40);
    ram_check(&ram, TREE, &root);
    cr_assert_gt(fill_of(&root, 48), 0.85, "%f", fill_of(&root, 48));
    ram_done(&ram);
}

Test(tree, random_inserts_leave_nodes_two_thirds_full)
{
    struct ram_store ram;
    ram_init(&ram, 8192, 1 << 20);
    struct tree_root root = {0};
    uint64_t random = 1;
    for (uint64_t n = 0; n < 8000; n++)
        apply_numbers(&ram, &root, ram_random(&random), 1, 1, VALUE_INLINE, 40);
    ram_check(&ram, TREE, &root);
    cr_assert(fill_of(&root, 48) > 0.6 && fill_of(&root, 48) < 0.85, "%f", fill_of(&root, 48));
    ram_done(&ram);
}

Test(tree, random_deletes_shrink_the_tree)
{
    struct ram_store ram;
    ram_init(&ram, 8192, 1 << 20);
    struct tree_root root = {0};
    apply_numbers(&ram, &root, 0, 1, 40000, VALUE_INLINE, 40);
    uint64_t nodes = root.nodes;
    cr_assert_eq(root.level, 2);
    /* In an order that hits all nodes alike, and in small batches. */
    for (uint64_t n = 0; n < 100; n++) {
        if (n % 20 == 0)
            continue;
        for (uint64_t part = 0; part < 8; part++)
            apply_numbers(&ram, &root, part * 5000 + (n * 37) % 100, 100, 50, VALUE_DELETE, 0);
    }
    ram_check(&ram, TREE, &root);
    cr_assert_eq(root.records, 2000);
    cr_assert_lt(root.nodes, nodes / 20 * 4, "%llu of %llu", (unsigned long long)root.nodes, (unsigned long long)nodes);
    for (uint64_t n = 0; n < 100; n += 20)
        apply_numbers(&ram, &root, (n * 37) % 100, 100, 400, VALUE_DELETE, 0);
    cr_assert(ptr_is_null(root.node) && root.records == 0 && root.nodes == 0 && root.level == 0);
    cr_assert_eq(ram.used, 0);
    ram_done(&ram);
}

Test(tree, one_huge_delete_leaves_no_crumbs)
{
    struct ram_store ram;
    ram_init(&ram, 8192, 1 << 20);
    struct tree_root root = {0};
    apply_numbers(&ram, &root, 0, 1, 60000, VALUE_INLINE, 40);
    for (uint64_t keep = 0; keep < 60000; keep += 600)
        apply_numbers(&ram, &root, keep + 1, 1, 599, VALUE_DELETE, 0);
    ram_check(&ram, TREE, &root);
    cr_assert_eq(root.records, 100);
    cr_assert_leq(root.nodes, 8);
    ram_done(&ram);
}

/* Each deletion alone touches one leaf: what it leaves must be merged with a neighbour that did not change. */
Test(tree, single_deletes_shrink_the_tree)
{
    struct ram_store ram;
    ram_init(&ram, 2048, 1 << 20);
    struct tree_root root = {0};
    apply_numbers(&ram, &root, 0, 1, 4000, VALUE_INLINE, 40);
    uint64_t nodes = root.nodes;
    for (uint64_t n = 0; n < 4000; n++)
        if (n * 1237 % 4000 % 20 != 0)
            apply_numbers(&ram, &root, n * 1237 % 4000, 1, 1, VALUE_DELETE, 0);
    ram_check(&ram, TREE, &root);
    cr_assert_eq(root.records, 200);
    cr_assert_lt(root.nodes, nodes / 20 * 4, "%llu of %llu", (unsigned long long)root.nodes, (unsigned long long)nodes);
    ram_done(&ram);
}

Test(tree, what_grows_is_not_merged_with_what_follows)
{
    struct ram_store ram;
    ram_init(&ram, 2048, 1 << 20);
    struct tree_root root = {0};
    apply_numbers(&ram, &root, 1u << 20, 1, 200, VALUE_INLINE, 40);
    apply_numbers(&ram, &root, 0, 1, 50, VALUE_INLINE, 40);
    for (uint64_t n = 50; n < 4000; n++) {
        uint64_t used = ram.used;
        apply_numbers(&ram, &root, n, 1, 1, VALUE_INLINE, 40);
        cr_assert_leq(ram.used, used + 2);
    }
    ram_check(&ram, TREE, &root);
    cr_assert_gt(fill_of(&root, 48), 0.9, "%f", fill_of(&root, 48));
    ram_done(&ram);
}

Test(tree, a_root_with_a_single_child_gives_way_to_it)
{
    struct ram_store ram;
    ram_init(&ram, 2048, 1 << 20);
    struct tree_root root = {0};
    uint64_t n = 0;
    while (root.level < 2)
        apply_numbers(&ram, &root, n++, 1, 1, VALUE_INLINE, 400);
    /* Now the root's last child has one leaf with one record, which is kept as it is. */
    apply_numbers(&ram, &root, 0, 1, n - 1, VALUE_DELETE, 0);
    cr_assert(root.level == 0 && root.nodes == 1 && root.records == 1);
    ram_check(&ram, TREE, &root);
    ram_done(&ram);
}

Test(tree, deleting_what_is_not_there_writes_nothing)
{
    struct ram_store ram;
    ram_init(&ram, 512, 1 << 20);
    struct tree_root root = {0};
    apply_numbers(&ram, &root, 0, 2, 1000, VALUE_INLINE, 40);
    struct tree_root before = root;
    unsigned calls = ram.calls;
    apply_numbers(&ram, &root, 1, 2, 1000, VALUE_DELETE, 0);
    cr_assert_eq(memcmp(&root, &before, sizeof root), 0);
    cr_assert_eq(ram.calls, calls);
    ram_done(&ram);
}

Test(tree, the_longest_keys_and_values_fit)
{
    struct ram_store ram;
    ram_init(&ram, 2048, 1 << 20);
    struct tree_root root = {0};
    static uint8_t keys[300][NODE_KEY_MAX], value[NODE_RECORD_MAX];
    struct tree_op ops[300];
    for (unsigned i = 0; i < 300; i++) {
        memset(keys[i], 0xff, NODE_KEY_MAX);
        keys[i][NODE_KEY_MAX - 2] = (uint8_t)(i >> 8);
        keys[i][NODE_KEY_MAX - 1] = (uint8_t)i;
        ops[i] = (struct tree_op){keys[i], NODE_KEY_MAX, VALUE_INLINE, value, NODE_RECORD_MAX - NODE_KEY_MAX};
    }
    cr_assert_eq(apply(&ram, &root, ops, 300), VDE_OK);
    ram_check(&ram, TREE, &root);
    cr_assert_eq(root.records, 300);
    cr_assert_leq(root.level, 6);
    ram_done(&ram);
}

Test(tree, batches_that_make_no_sense_are_refused)
{
    struct ram_store ram;
    ram_init(&ram, 512, 0);
    struct tree_root root = {0};
    static uint8_t long_key[NODE_KEY_MAX + 1], big[NODE_RECORD_MAX];
    struct tree_op same[] = {put_op("a", "", 0), put_op("a", "", 0)}, back[] = {put_op("b", "", 0), put_op("a", "", 0)};
    struct tree_op empty = {"", 0, VALUE_INLINE, "", 0}, overlong = {long_key, sizeof long_key, VALUE_INLINE, "", 0};
    struct tree_op huge = {"a", 1, VALUE_INLINE, "", SPILL_VALUE_MAX + 1}, extent = {"a", 1, VALUE_EXTENT, big, 12};
    struct tree_op bulky = {"a", 1, VALUE_EXTENT, big, sizeof big}, kind = {"a", 1, (enum value_kind)9, "", 0};
    struct disk_ptr far = ptr_put((struct ptr){511, 2, 1, 1, 1});
    struct tree_op outside = {"a", 1, VALUE_EXTENT, &far, sizeof far};
    cr_assert_eq(apply(&ram, &root, same, 2), VDE_INVAL);
    cr_assert_eq(apply(&ram, &root, back, 2), VDE_INVAL);
    cr_assert_eq(apply(&ram, &root, &empty, 1), VDE_INVAL);
    cr_assert_eq(apply(&ram, &root, &overlong, 1), VDE_INVAL);
    cr_assert_eq(apply(&ram, &root, &huge, 1), VDE_TOO_LARGE);
    cr_assert_eq(apply(&ram, &root, &bulky, 1), VDE_TOO_LARGE);
    cr_assert_eq(apply(&ram, &root, &extent, 1), VDE_CORRUPT);
    cr_assert_eq(apply(&ram, &root, &kind, 1), VDE_CORRUPT);
    cr_assert_eq(apply(&ram, &root, &outside, 1), VDE_CORRUPT);
    cr_assert_eq(ram.used, 0);
    ram_done(&ram);
}

/* --- ownership ---------------------------------------------------------------------------------------------------- */

Test(tree, an_extent_is_dropped_unless_the_new_value_names_it)
{
    struct ram_store ram;
    ram_init(&ram, 64, 0);
    struct tree_root root = {0};
    struct {
        struct disk_ptr extent;
        uint8_t more[4];
    } value = {.more = "one"};
    uint64_t address;
    cr_assert_eq(ram_allocate(&ram, 3, &address), VDE_OK);
    struct ptr extent = {address, 3, 100, 1, 7};
    value.extent = ptr_put(extent);
    struct tree_op op = {"k", 1, VALUE_EXTENT, &value, sizeof value};
    cr_assert_eq(apply(&ram, &root, &op, 1), VDE_OK);
    ram_check(&ram, TREE, &root);
    memcpy(value.more, "two", 4);
    cr_assert_eq(apply(&ram, &root, &op, 1), VDE_OK);
    ram_check(&ram, TREE, &root);
    cr_assert_eq(ram.used, 4, "the extent is still there");
    struct tree_op plain = put_op("k", "inline", 6);
    cr_assert_eq(apply(&ram, &root, &plain, 1), VDE_OK);
    cr_assert_eq(ram.used, 1);
    ram_check(&ram, TREE, &root);
    ram_done(&ram);
}

Test(tree, the_same_block_born_later_is_another_extent)
{
    struct ram_store ram;
    ram_init(&ram, 64, 0);
    struct tree_root root = {0};
    uint64_t address;
    cr_assert_eq(ram_allocate(&ram, 1, &address), VDE_OK);
    struct disk_ptr old = ptr_put((struct ptr){address, 1, 100, 1, 7}), new = ptr_put((struct ptr){address, 1, 100, 2, 7});
    struct tree_op op = {"k", 1, VALUE_EXTENT, &old, sizeof old};
    cr_assert_eq(apply(&ram, &root, &op, 1), VDE_OK);
    op.value = &new;
    cr_assert_eq(apply(&ram, &root, &op, 1), VDE_OK);
    cr_assert_eq(ram.state[address], RAM_DROPPED);
    ram_done(&ram);
}

Test(tree, a_spilled_value_put_again_as_it_is_keeps_its_extents)
{
    struct ram_store ram;
    ram_init(&ram, 64, 0);
    struct tree_root root = {0};
    uint8_t data[20000], descriptor[SPILL_DESCRIPTOR_MAX];
    uint64_t random = 1;
    size_t size;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)ram_random(&random);
    cr_assert_eq(spill_write(&ram.writer, data, sizeof data, descriptor, &size), VDE_OK);
    struct tree_op op = {"k", 1, VALUE_SPILLED, descriptor, size};
    cr_assert_eq(apply(&ram, &root, &op, 1), VDE_OK);
    cr_assert_eq(apply(&ram, &root, &op, 1), VDE_OK);
    ram_check(&ram, TREE, &root);
    cr_assert_eq(ram.used, 6);
    op = (struct tree_op){"k", 1, VALUE_DELETE, NULL, 0};
    cr_assert_eq(apply(&ram, &root, &op, 1), VDE_OK);
    cr_assert_eq(ram.used, 0);
    ram_done(&ram);
}

/* --- failures ----------------------------------------------------------------------------------------------------- */

/* A tree of some levels with all kinds of values; the same for every call. */
static void build_mixed(struct ram_store *ram, struct tree_root *root)
{
    static uint8_t big[9000];
    apply_numbers(ram, root, 0, 2, 3000, VALUE_INLINE, 100);
    for (uint64_t i = 0; i < 6; i++) {
        uint8_t key[8];
        be64_put(key, i * 1000 + 1);
        memset(big, (int)i, sizeof big);
        struct tree_op op = {key, 8, VALUE_INLINE, big, sizeof big};
        cr_assert_eq(apply(ram, root, &op, 1), VDE_OK);
    }
    ram_release(ram, ram->generation);
}

static vde_status change_mixed(struct ram_store *ram, struct tree_root *root)
{
    static uint8_t keys[60][8], big[9000];
    struct tree_op ops[60];
    for (unsigned i = 0; i < 60; i++) {
        be64_put(keys[i], i * 100 + (i % 10 == 0));
        enum value_kind kind = i % 3 == 0 ? VALUE_DELETE : VALUE_INLINE;
        ops[i] = (struct tree_op){keys[i], 8, kind, big, i % 7 == 0 ? sizeof big : 30};
    }
    return apply(ram, root, ops, 60);
}

static void fail_at_every_call(vde_status with, uint64_t cache_bytes)
{
    bool done = false;
    unsigned n = 0;
    for (; !done; n++) {
        struct ram_store ram;
        struct tree_root root = {0}, before;
        ram_init(&ram, 1024, cache_bytes);
        build_mixed(&ram, &root);
        before = root;
        ram.fail_with = with;
        ram.fail_after = (long)n;
        vde_status status = change_mixed(&ram, &root);
        done = status == VDE_OK;
        cr_assert(done || status == with);
        if (!done)
            cr_assert_eq(memcmp(&root, &before, sizeof root), 0);
        else
            ram_check(&ram, TREE, &root);
        ram_done(&ram);
    }
    cr_assert_gt(n, 50);
}

Test(tree, whichever_call_fails_the_root_stays, .timeout = 120)
{
    fail_at_every_call(VDE_IO, 0);
    fail_at_every_call(VDE_IO, 1 << 20);
    fail_at_every_call(VDE_NOMEM, 1 << 20);
}

Test(tree, without_space_the_root_stays)
{
    struct ram_store ram;
    struct tree_root root = {0}, before;
    ram_init(&ram, 1024, 0);
    build_mixed(&ram, &root);
    before = root;
    for (uint64_t i = 1; i < ram.blocks; i++)
        if (ram.state[i] == RAM_FREE && i % 64 != 0)
            ram.state[i] = RAM_DROPPED;
    cr_assert_eq(change_mixed(&ram, &root), VDE_NOSPC);
    cr_assert_eq(memcmp(&root, &before, sizeof root), 0);
    ram_done(&ram);
}

Test(tree, reading_passes_failures_on)
{
    struct ram_store ram;
    struct tree_root root = {0};
    ram_init(&ram, 1024, 0);
    build_mixed(&ram, &root);
    for (long n = 0;; n++) {
        struct tree_cursor *cursor;
        enum value_kind kind;
        void *data;
        size_t size;
        uint8_t key[8];
        be64_put(key, 3001);
        ram.fail_after = n;
        vde_status got = tree_get(&ram.store, TREE, &root, key, 8, &kind, &data, &size);
        if (got == VDE_OK)
            free(data);
        cr_assert_eq(tree_cursor_open(&ram.store, TREE, &root, &cursor), VDE_OK);
        vde_status status = tree_cursor_seek(cursor, NULL, 0);
        while (status == VDE_OK && tree_cursor_valid(cursor))
            status = tree_cursor_next(cursor);
        tree_cursor_close(cursor);
        if (got == VDE_OK && status == VDE_OK)
            break;
        cr_assert(got == VDE_IO || status == VDE_IO);
    }
    ram_done(&ram);
}

Test(tree, dropping_everything_drops_each_block_once_or_fails)
{
    bool done = false;
    for (long n = 0; !done; n++) {
        struct ram_store ram;
        struct tree_root root = {0};
        ram_init(&ram, 1024, 0);
        build_mixed(&ram, &root);
        ram.fail_after = n;
        vde_status status = tree_drop_all(&ram.writer, TREE, &root);
        done = status == VDE_OK;
        cr_assert(done ? ram.used == 0 : status == VDE_IO);
        ram_done(&ram);
    }
}

/* --- damage ------------------------------------------------------------------------------------------------------- */

struct crafted {
    struct ram_store ram;
    struct tree_root root;
};

static struct ptr craft(struct ram_store *ram, unsigned level, const struct node_record *records, unsigned count)
{
    uint64_t address = 0;
    cr_assert_eq(ram_allocate(ram, 1, &address), VDE_OK);
    uint8_t *block = ram->data + address * BLOCK_BYTES;
    page_build(block, &(struct page_identity){ram->store.seed, address, TREE, 1, level}, records, count);
    return (struct ptr){address, 1, BLOCK_BYTES, 1, node_checksum(block, ram->store.seed, address)};
}

static struct node_record crafted_record(const char *key, const void *value, size_t size)
{
    return (struct node_record){(const uint8_t *)key, value, (uint16_t)strlen(key), (uint16_t)size, 0};
}

/* Two leaves whose keys are not where the inner node above says. */
static void craft_misplaced(struct crafted *c, const char *left, const char *separator, const char *right)
{
    ram_init(&c->ram, 64, 0);
    struct node_record a = crafted_record(left, "", 0), b = crafted_record(right, "", 0);
    struct disk_ptr children[] = {ptr_put(craft(&c->ram, 0, &a, 1)), ptr_put(craft(&c->ram, 0, &b, 1))};
    struct node_record inner[] = {crafted_record("", &children[0], 32), crafted_record(separator, &children[1], 32)};
    c->root = (struct tree_root){craft(&c->ram, 1, inner, 2), 1, 2, 3};
}

Test(tree, keys_outside_of_their_subtree_are_found_before_they_are_moved)
{
    static const char *const cases[][3] = {{"n", "m", "x"}, {"m", "m", "x"}, {"a", "m", "k"}};
    for (unsigned i = 0; i < 3; i++) {
        struct crafted c;
        craft_misplaced(&c, cases[i][0], cases[i][1], cases[i][2]);
        struct tree_op ops[] = {put_op("c", "", 0), put_op("z", "", 0)};
        cr_assert_eq(apply(&c.ram, &c.root, ops, 2), VDE_CORRUPT);
        ram_done(&c.ram);
    }
}

Test(tree, counts_that_can_not_be_are_found)
{
    struct crafted c;
    craft_misplaced(&c, "a", "m", "x");
    struct tree_root wrong = c.root;
    struct tree_op ops[] = {{"a", 1, VALUE_DELETE, NULL, 0}, {"x", 1, VALUE_DELETE, NULL, 0}};
    wrong.records = 1;
    cr_assert_eq(apply(&c.ram, &wrong, ops, 2), VDE_CORRUPT);
    ram_done(&c.ram);
    craft_misplaced(&c, "a", "m", "x");
    wrong = c.root;
    wrong.nodes = 1;
    cr_assert_eq(apply(&c.ram, &wrong, ops, 2), VDE_CORRUPT);
    ram_done(&c.ram);
}

/* Every node's children are all the same node: 2^12 paths to one leaf. */
Test(tree, a_tree_that_shares_its_nodes_is_not_walked_without_end)
{
    struct ram_store ram;
    ram_init(&ram, 64, 1 << 20);
    struct node_record leaf = crafted_record("k", "", 0);
    struct ptr ptr = craft(&ram, 0, &leaf, 1);
    for (unsigned level = 1; level <= TREE_LEVEL_MAX; level++) {
        struct disk_ptr child = ptr_put(ptr);
        struct node_record records[40];
        static char keys[40][2];
        for (unsigned i = 0; i < 40; i++) {
            keys[i][0] = (char)('0' + i);
            records[i] = crafted_record(keys[i], &child, sizeof child);
        }
        ptr = craft(&ram, level, records, 40);
    }
    struct tree_root root = {ptr, TREE_LEVEL_MAX, 1, TREE_LEVEL_MAX + 1};
    struct tree_writer writer = ram.writer;
    cr_assert_eq(tree_drop_all(&writer, TREE, &root), VDE_CORRUPT);
    root.level = TREE_LEVEL_MAX + 1;
    struct tree_cursor *cursor;
    cr_assert_eq(tree_cursor_open(&ram.store, TREE, &root, &cursor), VDE_CORRUPT);
    struct tree_op op = put_op("x", "", 0);
    cr_assert_eq(apply(&ram, &root, &op, 1), VDE_CORRUPT);
    ram_done(&ram);
}
