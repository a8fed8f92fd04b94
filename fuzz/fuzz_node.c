/* SPDX-License-Identifier: Apache-2.0 */
/* One tree node with its identity and checksum made right: after node_verify every record can be used without a check. */
#include <string.h>

#include "format/run.h"
#include "fuzz.h"

#define SEED 77u
#define ADDRESS 1000u
#define DEVICE_BLOCKS 4096u

static struct disk_node *head(uint8_t *block) { return (struct disk_node *)(void *)block; }

/* A leaf of a volume: every third run is a compressed frame. */
static size_t runs_seed(unsigned count, uint8_t *data)
{
    static const uint8_t sums[RUN_BLOCKS_MAX * 8];
    memset(data, 0, BLOCK_BYTES);
    struct disk_node *node = head(data);
    node->count = le16((uint16_t)count);
    struct disk_slot *slots = (struct disk_slot *)(void *)(data + sizeof *node + count * NODE_HEAD_BYTES);
    size_t at = sizeof *node + count * NODE_RECORD_OVERHEAD;
    for (unsigned i = 0; i < count; i++) {
        bool frame = i % 3 == 2;
        uint8_t key[RUN_KEY_BYTES], value[RUN_VALUE_MAX];
        struct block_run run = {.block = i * 64u, .blocks = frame ? RUN_FRAME_BLOCKS : 1 + i * 2, .address = 100 + i * 64,
                                .stored = frame ? 3 : 1 + i * 2, .tail = frame ? 77 : 0, .birth = 3, .checksums = sums};
        size_t size = run_put(&run, key, value);
        slots[i] = (struct disk_slot){le16((uint16_t)at), le16(sizeof key), le16((uint16_t)size), VALUE_RUN, 0};
        memcpy(data + at, key, sizeof key);
        memcpy(data + at + sizeof key, value, size);
        at += sizeof key + size;
    }
    return BLOCK_BYTES;
}

/* Records of a seed: keys with a shared prefix, values of all kinds; level 1: children. */
size_t fuzz_seed(unsigned number, uint8_t *data, size_t max_size)
{
    if (number >= 9 || max_size < BLOCK_BYTES)
        return 0;
    if (number >= 6)
        return runs_seed(1 + (number - 6) * 7, data);
    unsigned count = 1 + number * 5, level = number % 2;
    memset(data, 0, BLOCK_BYTES);
    size_t at = sizeof(struct disk_node) + count * NODE_RECORD_OVERHEAD;
    struct disk_node *node = head(data);
    node->level = (uint8_t)level;
    node->count = le16((uint16_t)count);
    struct disk_slot *slots = (struct disk_slot *)(void *)(data + sizeof *node + count * NODE_HEAD_BYTES);
    for (unsigned i = 0; i < count; i++) {
        uint8_t value[64] = {0};
        unsigned kind = level ? 0 : i % 3;
        size_t size = level ? sizeof(struct disk_ptr) : i % 7;
        struct disk_ptr p = {le64(100 + i), le32(1), le32(BLOCK_BYTES), le64(1), le64(2)};
        if (kind == VALUE_SPILLED) {
            struct disk_spill spill = {le64(BLOCK_BYTES), le64(BLOCK_BYTES), SPILL_PLAIN, 1, {0}};
            memcpy(value, &spill, sizeof spill);
            memcpy(value + sizeof spill, &p, sizeof p);
            size = sizeof spill + sizeof p;
        } else if (kind == VALUE_EXTENT || level) {
            memcpy(value, &p, sizeof p);
            size = sizeof p;
        }
        char key[16];
        int key_size = snprintf(key, sizeof key, "key%03u", i);
        slots[i] = (struct disk_slot){le16((uint16_t)at), le16((uint16_t)key_size), le16((uint16_t)size), (uint8_t)kind, 0};
        memcpy(data + at, key, (size_t)key_size);
        memcpy(data + at + key_size, value, size);
        at += (size_t)key_size + size;
    }
    return BLOCK_BYTES;
}

/* Prefix and heads as the keys have them, so that mutants of keys get through. */
static void repair_heads(uint8_t *block)
{
    struct disk_node *node = head(block);
    unsigned count = node_count(node);
    if (count == 0 || count > NODE_SPACE / NODE_RECORD_OVERHEAD)
        return;
    size_t prefix = SIZE_MAX;
    for (unsigned i = node_first_keyed(node); i < count; i++) {
        const struct disk_slot *slot = node_slots(node) + i, *first = node_slots(node) + node_first_keyed(node);
        size_t n = 0, size = le16_get(slot->key_size), first_size = le16_get(first->key_size);
        if (le16_get(slot->offset) + size > BLOCK_BYTES || le16_get(first->offset) + first_size > BLOCK_BYTES)
            return;
        while (n < size && n < first_size && block[le16_get(slot->offset) + n] == block[le16_get(first->offset) + n])
            n++;
        prefix = n < prefix ? n : prefix;
    }
    node->prefix = le16((uint16_t)(prefix == SIZE_MAX ? 0 : prefix));
    for (unsigned i = 0; i < count; i++) {
        const struct disk_slot *slot = node_slots(node) + i;
        uint32_t value = i < node_first_keyed(node) ? 0
                         : node_head(block + le16_get(slot->offset), le16_get(slot->key_size), le16_get(node->prefix));
        uint8_t *to = block + sizeof *node + i * NODE_HEAD_BYTES;
        for (int b = 0; b < 4; b++)
            to[b] = (uint8_t)(value >> (24 - 8 * b));
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    size = fuzz_mutate(data, size, max_size < BLOCK_BYTES ? max_size : BLOCK_BYTES, seed);
    if (size == BLOCK_BYTES && seed % 3)
        repair_heads(data);
    return size;
}

static void use_records(const struct disk_node *node)
{
    const uint8_t *end = (const uint8_t *)node + BLOCK_BYTES;
    volatile uint64_t sum = 0;
    for (unsigned i = 0; i < node_count(node); i++) {
        struct node_record r = node_record(node, i);
        FUZZ_ASSERT(r.key + r.key_size == r.value && r.value + r.value_size <= end);
        for (unsigned k = 0; k < r.key_size; k++)
            sum += r.key[k];
        if (node->level > 0) {
            FUZZ_ASSERT(node_child(node, i).address + 1 <= DEVICE_BLOCKS);
            continue;
        }
        if (r.kind == VALUE_RUN) {
            struct block_run run = run_get(r.key, r.value);
            FUZZ_ASSERT(run.blocks > 0 && run.blocks <= RUN_BLOCKS_MAX && run.block + run.blocks <= RUN_BLOCK_LIMIT);
            for (unsigned k = 0; k < (run_compressed(&run) ? 1 : run.blocks); k++)
                sum += run_checksum(&run, k);
        }
        for (unsigned e = 0; e < value_extents(r.kind, r.value); e++) {
            struct ptr p = value_extent(r.kind, r.value, e);
            FUZZ_ASSERT(p.address + p.blocks <= DEVICE_BLOCKS && p.bytes <= (uint64_t)p.blocks * BLOCK_BYTES);
        }
    }
    FUZZ_ASSERT(node_used(node) <= NODE_SPACE);
    (void)sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static _Alignas(4096) uint8_t block[BLOCK_BYTES];
    memset(block, 0, sizeof block);
    memcpy(block, data, size < BLOCK_BYTES ? size : BLOCK_BYTES);
    struct disk_node *node = head(block);
    node->magic = le32(NODE_MAGIC);
    node->seed = le64(SEED);
    node->address = le64(ADDRESS);
    node->tree = le64(20);
    node->birth = le64(5);
    struct ptr p = {ADDRESS, 1, BLOCK_BYTES, 5, node_checksum(block, SEED, ADDRESS)};
    if (node_verify(block, SEED, 20, p, node->level, DEVICE_BLOCKS) == VDE_OK)
        use_records(node);
    return 0;
}
