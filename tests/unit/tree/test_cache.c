/* SPDX-License-Identifier: Apache-2.0 */
/* test_cache.c -- the node cache: identity, budget, pins, forgetting. */
#include <criterion/criterion.h>

#include "ram_store.h"
#include "tree/page.h"
#include "tree/pin.h"

#define TREE 5u

/* A leaf with one record at `address`, on the device and not in the cache. */
static struct ptr write_leaf(struct ram_store *ram, uint64_t address, uint64_t birth, const char *key)
{
    uint8_t *block = ram->data + address * BLOCK_BYTES;
    struct node_record record = {(const uint8_t *)key, NULL, (uint16_t)strlen(key), 0, VALUE_INLINE};
    page_build(block, &(struct page_identity){ram->store.seed, address, TREE, birth, 0}, &record, 1);
    return (struct ptr){address, 1, BLOCK_BYTES, birth, node_checksum(block, ram->store.seed, address)};
}

static uint64_t reads(const struct ram_store *ram)
{
    uint64_t hits, read;
    node_cache_counters(ram->store.cache, &hits, &read);
    return read;
}

static const struct node *pin(struct ram_store *ram, struct ptr ptr)
{
    const struct node *node;
    cr_assert_eq(node_pin(&ram->store, TREE, ptr, 0, &node), VDE_OK, "%s", vde_last_error()->text);
    return node;
}

Test(cache, a_node_is_read_once)
{
    struct ram_store ram;
    ram_init(&ram, 64, 1 << 20);
    struct ptr ptr = write_leaf(&ram, 9, 1, "key");
    const struct node *first = pin(&ram, ptr), *second = pin(&ram, ptr);
    cr_assert_eq(first, second);
    cr_assert_eq(ram.calls, 1);
    uint64_t hits, read;
    node_cache_counters(ram.store.cache, &hits, &read);
    cr_assert(hits == 1 && read == 1);
    node_unpin(first);
    node_unpin(second);
    ram_done(&ram);
}

Test(cache, without_a_cache_every_pin_reads)
{
    struct ram_store ram;
    ram_init(&ram, 64, 0);
    struct ptr ptr = write_leaf(&ram, 9, 1, "key");
    const struct node *first = pin(&ram, ptr), *second = pin(&ram, ptr);
    cr_assert_neq(first, second);
    cr_assert_eq(ram.calls, 2);
    node_unpin(first);
    node_unpin(second);
    ram_done(&ram);
}

Test(cache, a_block_that_was_reused_is_a_miss)
{
    struct ram_store ram;
    ram_init(&ram, 64, 1 << 20);
    struct ptr old = write_leaf(&ram, 9, 1, "old");
    const struct node *kept = pin(&ram, old);
    struct ptr new = write_leaf(&ram, 9, 2, "new");
    const struct node *node = pin(&ram, new);
    cr_assert_eq(memcmp(node_record(node->block, 0).key, "new", 3), 0);
    cr_assert_eq(memcmp(node_record(kept->block, 0).key, "old", 3), 0, "who has it pinned keeps it");
    node_unpin(kept);
    node_unpin(node);
    /* The old pointer no longer names anything that verifies, and asking does no harm to the new. */
    const struct node *none;
    cr_assert_eq(node_pin(&ram.store, TREE, old, 0, &none), VDE_CORRUPT);
    uint64_t before = reads(&ram);
    node_unpin(pin(&ram, new));
    cr_assert_eq(reads(&ram), before);
    /* Same block asked for as what it is not. */
    cr_assert_eq(node_pin(&ram.store, TREE + 1, new, 0, &none), VDE_CORRUPT);
    cr_assert_eq(node_pin(&ram.store, TREE, new, 1, &none), VDE_CORRUPT);
    ram_done(&ram);
}

Test(cache, a_forgotten_node_is_read_again)
{
    struct ram_store ram;
    ram_init(&ram, 64, 1 << 20);
    struct ptr ptr = write_leaf(&ram, 9, 1, "key");
    const struct node *node = pin(&ram, ptr);
    node_cache_forget(ram.store.cache, 9);
    node_cache_forget(ram.store.cache, 10);
    cr_assert_eq(memcmp(node_record(node->block, 0).key, "key", 3), 0);
    node_unpin(node);
    node_unpin(pin(&ram, ptr));
    cr_assert_eq(reads(&ram), 2);
    ram_done(&ram);
}

Test(cache, pointers_that_make_no_sense_are_not_followed)
{
    struct ram_store ram;
    ram_init(&ram, 64, 1 << 20);
    struct ptr good = write_leaf(&ram, 9, 1, "key"), ptr = good;
    const struct node *node;
    ptr.blocks = 2;
    cr_assert_eq(node_pin(&ram.store, TREE, ptr, 0, &node), VDE_CORRUPT);
    ptr = good;
    ptr.address = 64;
    cr_assert_eq(node_pin(&ram.store, TREE, ptr, 0, &node), VDE_CORRUPT);
    ptr.address = 0;
    cr_assert_eq(node_pin(&ram.store, TREE, ptr, 0, &node), VDE_CORRUPT);
    cr_assert_eq(ram.calls, 0);
    ram_done(&ram);
}

Test(cache, the_budget_holds_and_pinned_nodes_stay)
{
    struct ram_store ram;
    ram_init(&ram, 4096, 128 * 4200); /* 8 frames in each of 16 shards */
    static struct ptr ptrs[4096];
    for (uint64_t i = 1; i < 4096; i++) {
        char key[16];
        snprintf(key, sizeof key, "%llu", (unsigned long long)i);
        ptrs[i] = write_leaf(&ram, i, 1, key);
    }
    const struct node *pinned[200];
    for (unsigned i = 0; i < 200; i++) /* more than there are frames: the rest are private */
        pinned[i] = pin(&ram, ptrs[i + 1]);
    for (uint64_t i = 300; i < 4096; i++)
        node_unpin(pin(&ram, ptrs[i]));
    for (unsigned i = 0; i < 200; i++) {
        cr_assert_eq(le64_get(pinned[i]->block->address), i + 1);
        node_unpin(pinned[i]);
    }
    uint64_t before = reads(&ram), again = 0;
    for (uint64_t i = 1; i < 4096; i++) {
        node_unpin(pin(&ram, ptrs[i]));
        again += reads(&ram) > before;
        before = reads(&ram);
    }
    cr_assert_gt(again, 4096 - 200);
    /* What is used all the time outlives what is used once. */
    unsigned lost = 0;
    for (uint64_t i = 300; i < 4096; i++) {
        before = reads(&ram);
        node_unpin(pin(&ram, ptrs[7]));
        lost += reads(&ram) > before;
        node_unpin(pin(&ram, ptrs[i]));
    }
    cr_assert_leq(lost, 1);
    ram_done(&ram);
}

Test(cache, failed_reads_leave_nothing_behind)
{
    struct ram_store ram;
    ram_init(&ram, 64, 16 * 4 * 4200);
    struct ptr ptr = write_leaf(&ram, 9, 1, "key");
    const struct node *node;
    for (unsigned i = 0; i < 100; i++) {
        ram.fail_after = 0;
        cr_assert_eq(node_pin(&ram.store, TREE, ptr, 0, &node), VDE_IO);
    }
    ram.data[9 * BLOCK_BYTES + 100] ^= 1;
    for (unsigned i = 0; i < 100; i++)
        cr_assert_eq(node_pin(&ram.store, TREE, ptr, 0, &node), VDE_CORRUPT);
    ram.data[9 * BLOCK_BYTES + 100] ^= 1;
    node_unpin(pin(&ram, ptr));
    ram_done(&ram);
}

Test(cache, nodes_offered_are_not_read)
{
    struct ram_store ram;
    ram_init(&ram, 64, 1 << 20);
    struct ptr ptr = write_leaf(&ram, 9, 1, "key");
    node_cache_offer(&ram.store, TREE, ptr, 0, ram.data + 9 * BLOCK_BYTES);
    node_cache_offer(&ram.store, TREE, ptr, 0, ram.data + 9 * BLOCK_BYTES);
    node_unpin(pin(&ram, ptr));
    cr_assert_eq(ram.calls, 0);
    ram_done(&ram);
}

Test(cache, forgotten_frames_are_used_before_others_are_evicted)
{
    struct ram_store ram;
    ram_init(&ram, 64, 16 * 16 * 4200);
    struct ptr others[33];
    for (uint64_t i = 1; i <= 32; i++) {
        others[i] = write_leaf(&ram, i, 1, "key");
        node_unpin(pin(&ram, others[i]));
    }
    for (uint64_t birth = 1; birth < 500; birth++) {
        struct ptr ptr = write_leaf(&ram, 40, birth, "changing");
        node_unpin(pin(&ram, ptr));
        node_cache_forget(ram.store.cache, 40);
    }
    uint64_t before = reads(&ram);
    for (uint64_t i = 1; i <= 32; i++)
        node_unpin(pin(&ram, others[i]));
    cr_assert_eq(reads(&ram), before);
    /* Forgotten while in use: left to the clock. */
    for (uint64_t birth = 500; birth < 1000; birth++) {
        struct ptr ptr = write_leaf(&ram, 40, birth, "changing");
        const struct node *node = pin(&ram, ptr);
        node_cache_forget(ram.store.cache, 40);
        cr_assert_eq(le64_get(node->block->birth), birth);
        node_unpin(node);
    }
    ram_done(&ram);
}
