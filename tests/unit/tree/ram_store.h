/* SPDX-License-Identifier: Apache-2.0 */
/* ram_store.h -- a store and writer in memory for tests of the tree: knows for each block whether it is free, in use or
 * dropped, fails the n-th call on demand, and aborts on what a tree must never do (write what it did not allocate, drop
 * twice, read what is free). */
#ifndef TESTS_UNIT_TREE_RAM_STORE_H
#define TESTS_UNIT_TREE_RAM_STORE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tree/cache.h"

enum ram_state { RAM_FREE = 0, RAM_USED, RAM_DROPPED };

struct ram_store {
    struct tree_store store;
    struct tree_writer writer;
    uint64_t blocks;
    uint8_t *data;
    uint8_t *state;      /* enum ram_state by block */
    uint32_t *dropped;   /* generation of the drop by block */
    uint32_t generation;
    uint64_t hand;       /* where the search for free blocks starts */
    uint64_t used;
    uint32_t longest_run; /* 0: any; more is NOSPC, as in a fragmented image */
    long fail_after;     /* calls until one fails; negative: none */
    vde_status fail_with;
    unsigned calls;
};

#define RAM_REQUIRE(condition)                                                                                         \
    ((condition) ? (void)0                                                                                             \
                 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition), fflush(stderr), abort()))

static inline vde_status ram_call(struct ram_store *ram, const char *what)
{
    ram->calls++;
    if (ram->fail_after < 0 || ram->fail_after-- > 0)
        return VDE_OK;
    return vde_error_set(ram->fail_with, what, "injected failure", NULL);
}

static inline vde_status ram_read(void *context, struct ptr p, void *buffer)
{
    struct ram_store *ram = context;
    RAM_REQUIRE(((uintptr_t)buffer & 4095) == 0);
    vde_status status = ram_call(ram, "read");
    if (status != VDE_OK)
        return status;
    if (p.address + p.blocks > ram->blocks)
        return vde_error_set(VDE_IO, "read", "beyond the device", NULL);
    memcpy(buffer, ram->data + p.address * BLOCK_BYTES, (size_t)p.blocks * BLOCK_BYTES);
    return VDE_OK;
}

static inline vde_status ram_allocate(void *context, uint32_t blocks, uint64_t *ret_address)
{
    struct ram_store *ram = context;
    vde_status status = ram_call(ram, "allocate");
    if (status != VDE_OK)
        return status;
    if (ram->longest_run > 0 && blocks > ram->longest_run)
        return vde_error_set(VDE_NOSPC, "allocate", "fragmented", NULL);
    for (uint64_t tried = 0, at = ram->hand, run = 0; tried < 2 * ram->blocks; tried++) {
        if (at == ram->blocks) {
            at = 1;
            run = 0;
        }
        run = ram->state[at] == RAM_FREE ? run + 1 : 0;
        at++;
        if (run == blocks) {
            memset(ram->state + at - blocks, RAM_USED, blocks);
            ram->used += blocks;
            ram->hand = at;
            *ret_address = at - blocks;
            return VDE_OK;
        }
    }
    return vde_error_set(VDE_NOSPC, "allocate", "full", NULL);
}

static inline vde_status ram_write(void *context, uint64_t address, const void *buffer, uint32_t blocks)
{
    struct ram_store *ram = context;
    RAM_REQUIRE(((uintptr_t)buffer & 4095) == 0);
    RAM_REQUIRE(address > 0 && address + blocks <= ram->blocks);
    for (uint32_t i = 0; i < blocks; i++)
        RAM_REQUIRE(ram->state[address + i] == RAM_USED);
    vde_status status = ram_call(ram, "write");
    if (status != VDE_OK)
        return status;
    memcpy(ram->data + address * BLOCK_BYTES, buffer, (size_t)blocks * BLOCK_BYTES);
    return VDE_OK;
}

static inline vde_status ram_drop(void *context, uint64_t tree, struct ptr p)
{
    struct ram_store *ram = context;
    (void)tree;
    RAM_REQUIRE(p.address > 0 && p.address + p.blocks <= ram->blocks);
    for (uint32_t i = 0; i < p.blocks; i++) {
        RAM_REQUIRE(ram->state[p.address + i] == RAM_USED);
        ram->state[p.address + i] = RAM_DROPPED;
        ram->dropped[p.address + i] = ram->generation;
    }
    ram->used -= p.blocks;
    return ram_call(ram, "drop");
}

/* Reuse what was dropped up to a generation; the content turns to garbage at once. */
static inline void ram_release(struct ram_store *ram, uint32_t generation)
{
    for (uint64_t i = 0; i < ram->blocks; i++) {
        if (ram->state[i] != RAM_DROPPED || ram->dropped[i] > generation)
            continue;
        ram->state[i] = RAM_FREE;
        memset(ram->data + i * BLOCK_BYTES, 0xdb, 64);
        if (ram->store.cache)
            node_cache_forget(ram->store.cache, i);
    }
}

/* `cache_bytes` 0: no cache. */
static inline void ram_init(struct ram_store *ram, uint64_t blocks, uint64_t cache_bytes)
{
    memset(ram, 0, sizeof *ram);
    ram->blocks = blocks;
    ram->data = calloc(blocks, BLOCK_BYTES);
    ram->state = calloc(blocks, 1);
    ram->dropped = calloc(blocks, sizeof *ram->dropped);
    RAM_REQUIRE(ram->data && ram->state && ram->dropped);
    ram->hand = 1;
    ram->fail_after = -1;
    ram->fail_with = VDE_IO;
    ram->store = (struct tree_store){.read = ram_read, .context = ram, .seed = 0x5eed5eed12345678u,
                                     .device_blocks = blocks};
    if (cache_bytes > 0)
        RAM_REQUIRE(node_cache_create(cache_bytes, &ram->store.cache) == VDE_OK);
    ram->writer = (struct tree_writer){.store = &ram->store, .context = ram, .allocate = ram_allocate,
                                       .write = ram_write, .drop = ram_drop, .birth = 1};
}

static inline void ram_done(struct ram_store *ram)
{
    node_cache_destroy(ram->store.cache);
    free(ram->data);
    free(ram->state);
    free(ram->dropped);
}

/* Mark everything that a version owns in `marks` (a byte a block) and count; verifies each node on the way. Written apart
 * from the code under test, but for the node's verifier. */
static inline void ram_walk(const struct ram_store *ram, uint64_t tree, struct ptr p, unsigned level, uint8_t *marks,
                            uint64_t *nodes, uint64_t *records)
{
    RAM_REQUIRE(p.address > 0 && p.address < ram->blocks && marks[p.address] == 0);
    marks[p.address] = 1;
    const struct disk_node *node = (const struct disk_node *)(ram->data + p.address * BLOCK_BYTES);
    RAM_REQUIRE(node_verify(node, ram->store.seed, tree, p, level, ram->blocks) == VDE_OK);
    ++*nodes;
    for (unsigned i = 0; i < node_count(node); i++) {
        struct node_record r = node_record(node, i);
        if (level > 0) {
            ram_walk(ram, tree, node_child(node, i), level - 1, marks, nodes, records);
            continue;
        }
        ++*records;
        for (unsigned e = 0; e < value_extents(r.kind, r.value); e++) {
            struct ptr extent = value_extent(r.kind, r.value, e);
            for (uint32_t b = 0; b < extent.blocks; b++) {
                RAM_REQUIRE(marks[extent.address + b] == 0);
                marks[extent.address + b] = 1;
            }
        }
    }
}

/* The blocks in use are exactly those that the version owns, and its counts are right. */
static inline void ram_check(const struct ram_store *ram, uint64_t tree, const struct tree_root *root)
{
    uint8_t *marks = calloc(ram->blocks, 1);
    uint64_t nodes = 0, records = 0;
    RAM_REQUIRE(marks);
    if (!ptr_is_null(root->node))
        ram_walk(ram, tree, root->node, root->level, marks, &nodes, &records);
    for (uint64_t i = 0; i < ram->blocks; i++)
        RAM_REQUIRE((ram->state[i] == RAM_USED) == (marks[i] != 0));
    RAM_REQUIRE(nodes == root->nodes && records == root->records);
    free(marks);
}

/* A small generator, so that a seed gives the same test everywhere. */
static inline uint64_t ram_random(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    uint64_t z = *state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}
#endif
