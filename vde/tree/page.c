/* SPDX-License-Identifier: Apache-2.0 */
/* page.c -- search in a verified node, and building a new one. */
#include "tree/page.h"

#include "base/checked.h"

static uint32_t head_at(const uint8_t *heads, unsigned index)
{
    const uint8_t *h = heads + index * NODE_HEAD_BYTES;
    return (uint32_t)h[0] << 24 | (uint32_t)h[1] << 16 | (uint32_t)h[2] << 8 | h[3];
}

/* The first index in [low, high) whose head is >= `head`. Written so that it compiles without branches on the data. */
static unsigned first_head(const uint8_t *heads, unsigned low, unsigned high, uint32_t head)
{
    unsigned count = high - low;
    while (count > 0) {
        unsigned half = count / 2;
        low += head_at(heads, low + half) < head ? count - half : 0;
        count = half;
    }
    return low;
}

/* Heads tell most keys apart; among equal ones whole keys are compared. */
static unsigned search_equal_heads(const struct disk_node *node, unsigned low, uint32_t head, const void *key,
                                   size_t key_size, bool *ret_equal)
{
    unsigned count = node_count(node);
    const uint8_t *heads = node_heads(node);
    unsigned high = low + 1;
    if (high < count && head_at(heads, high) == head)
        high = head == UINT32_MAX ? count : first_head(heads, high, count, head + 1);
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        struct node_record r = node_record(node, middle);
        int order = key_compare(r.key, r.key_size, key, key_size);
        if (order == 0) {
            *ret_equal = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

unsigned page_lower_bound(const struct disk_node *node, const void *key, size_t key_size, bool *ret_equal)
{
    unsigned count = node_count(node), first = node_first_keyed(node);
    *ret_equal = false;
    if (first == count)
        return count;
    size_t prefix = le16_get(node->prefix);
    if (prefix > 0) {
        int order = memcmp(node_record(node, first).key, key, prefix < key_size ? prefix : key_size);
        if (order > 0 || (order == 0 && key_size < prefix))
            return first;
        if (order < 0)
            return count;
    }
    uint32_t head = node_head(key, key_size, prefix);
    unsigned index = first_head(node_heads(node), first, count, head);
    if (index == count || head_at(node_heads(node), index) != head)
        return index;
    return search_equal_heads(node, index, head, key, key_size, ret_equal);
}

unsigned page_child(const struct disk_node *node, const void *key, size_t key_size)
{
    bool equal;
    unsigned index = page_lower_bound(node, key, key_size, &equal);
    return equal || index == 0 ? index : index - 1;
}

static size_t keys_prefix(const struct node_record *records, unsigned first, unsigned count)
{
    if (first >= count)
        return 0;
    const struct node_record *a = &records[first], *b = &records[count - 1];
    size_t least = a->key_size < b->key_size ? a->key_size : b->key_size, n = 0;
    while (n < least && a->key[n] == b->key[n])
        n++;
    return n;
}

static void put_head(uint8_t *to, uint32_t head)
{
    to[0] = (uint8_t)(head >> 24);
    to[1] = (uint8_t)(head >> 16);
    to[2] = (uint8_t)(head >> 8);
    to[3] = (uint8_t)head;
}

void page_build(void *block, const struct page_identity *identity, const struct node_record *records, unsigned count)
{
    unsigned first = identity->level > 0 && records[0].key_size == 0;
    size_t prefix = keys_prefix(records, first, count);
    struct disk_node header = {
        .magic = le32(NODE_MAGIC),
        .level = (uint8_t)identity->level,
        .count = le16((uint16_t)count),
        .prefix = le16((uint16_t)prefix),
        .seed = le64(identity->seed),
        .address = le64(identity->address),
        .tree = le64(identity->tree),
        .birth = le64(identity->birth),
    };
    memcpy(block, &header, sizeof header);
    uint8_t *heads = (uint8_t *)block + sizeof header;
    uint8_t *slots = heads + count * NODE_HEAD_BYTES;
    size_t end = sizeof header + count * NODE_RECORD_OVERHEAD;
    for (unsigned i = 0; i < count; i++) {
        const struct node_record *r = &records[i];
        VDE_ASSERT(end + r->key_size + r->value_size <= BLOCK_BYTES);
        struct disk_slot slot = {le16((uint16_t)end), le16(r->key_size), le16(r->value_size), r->kind, 0};
        memcpy(slots + i * sizeof slot, &slot, sizeof slot);
        put_head(heads + i * NODE_HEAD_BYTES, i < first ? 0 : node_head(r->key, r->key_size, prefix));
        uint8_t *at = (uint8_t *)block + end;
        memcpy(at, r->key, r->key_size);
        if (r->value_size > 0)
            memcpy(at + r->key_size, r->value, r->value_size);
        end += (size_t)r->key_size + r->value_size;
    }
    memset((uint8_t *)block + end, 0, BLOCK_BYTES - end);
}
