/* SPDX-License-Identifier: Apache-2.0 */
/* node.c -- the verifier of tree nodes and of the values in them: pure, no I/O, trusts nothing. */
#include "format/node.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/checked.h"
#include "base/checksum.h"
#include "base/fail.h"
#include "base/mutate.h"
#include "format/run.h"

uint64_t node_checksum(const void *block, uint64_t seed, uint64_t address)
{
    return checksum(block, BLOCK_BYTES, seed ^ address);
}

uint32_t node_head(const uint8_t *key, size_t key_size, size_t prefix)
{
    uint32_t head = 0;
    for (size_t i = prefix; i < prefix + NODE_HEAD_BYTES; i++)
        head = head << 8 | (i < key_size ? key[i] : 0u);
    return head;
}

bool ptr_plausible(struct ptr ptr, uint64_t device_blocks)
{
    uint64_t end;
    if (ptr.address == 0 || ptr.blocks == 0 || ptr.bytes > (uint64_t)ptr.blocks * BLOCK_BYTES)
        return false;
    if (!checked_add(ptr.address, (uint64_t)ptr.blocks, &end) || end > UINT64_MAX / BLOCK_BYTES)
        return false;
    return device_blocks == 0 || end <= device_blocks;
}

/* --- values ------------------------------------------------------------------------------------------------------ */

static bool all_zero(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

static struct ptr extent_at(const void *at, size_t index)
{
    struct disk_ptr extent;
    memcpy(&extent, (const uint8_t *)at + index * sizeof extent, sizeof extent);
    return ptr_get(&extent);
}

static vde_status verify_spill_header(const struct disk_spill *spill, size_t size, const char *object)
{
    uint64_t raw = le64_get(spill->raw_bytes), stored = le64_get(spill->stored_bytes);
    if (spill->count == 0 || spill->count > SPILL_EXTENTS_MAX)
        return fail_corrupt("%s|%u extents|1 to %u", object, spill->count, SPILL_EXTENTS_MAX);
    if (size != sizeof *spill + spill->count * sizeof(struct disk_ptr))
        return fail_corrupt("%s|descriptor of %zu bytes|%zu", object, size,
                            sizeof *spill + spill->count * sizeof(struct disk_ptr));
    if (!all_zero(spill->reserved, sizeof spill->reserved))
        return fail_corrupt("%s|reserved bytes in use|zeroes", object);
    if (raw == 0 || raw > SPILL_VALUE_MAX)
        return fail_corrupt("%s|value of %llu bytes|1 to %u", object, (unsigned long long)raw, SPILL_VALUE_MAX);
    if (spill->compression > SPILL_ZSTD)
        return fail_corrupt("%s|compression %u|0 or 1", object, spill->compression);
    if (spill->compression == SPILL_PLAIN ? stored != raw : stored == 0 || stored >= raw)
        return fail_corrupt("%s|%llu bytes stored|%s%llu", object, (unsigned long long)stored,
                            spill->compression == SPILL_PLAIN ? "" : "less than ", (unsigned long long)raw);
    return VDE_OK;
}

static vde_status verify_spill(const void *value, size_t size, uint64_t device_blocks, const char *object)
{
    struct disk_spill spill;
    if (size < sizeof spill)
        return fail_corrupt("%s|descriptor of %zu bytes|at least %zu", object, size, sizeof spill);
    memcpy(&spill, value, sizeof spill);
    VDE_TRY(verify_spill_header(&spill, size, object));
    uint64_t total = 0;
    for (unsigned i = 0; i < spill.count; i++) {
        struct ptr extent = extent_at((const uint8_t *)value + sizeof spill, i);
        if (!ptr_plausible(extent, device_blocks) || extent.blocks > SPILL_EXTENT_MAX_BYTES / BLOCK_BYTES)
            return fail_corrupt("%s|extent %u is %u blocks at %llu|a run of at most 4 MiB inside the device", object, i,
                                extent.blocks, (unsigned long long)extent.address);
        uint64_t least = i + 1u < spill.count ? (uint64_t)extent.blocks * BLOCK_BYTES
                                              : (uint64_t)(extent.blocks - 1) * BLOCK_BYTES + 1;
        if (extent.bytes < least)
            return fail_corrupt("%s|extent %u holds %u bytes|at least %llu", object, i, extent.bytes,
                                (unsigned long long)least);
        total += extent.bytes;
    }
    if (total != le64_get(spill.stored_bytes))
        return fail_corrupt("%s|%llu bytes in the extents|%llu", object, (unsigned long long)total,
                            (unsigned long long)le64_get(spill.stored_bytes));
    return VDE_OK;
}

static vde_status verify_extent(const void *value, size_t size, uint64_t device_blocks, const char *object)
{
    if (size < sizeof(struct disk_ptr))
        return fail_corrupt("%s|extent value of %zu bytes|at least %zu", object, size, sizeof(struct disk_ptr));
    struct ptr extent = extent_at(value, 0);
    if (!ptr_plausible(extent, device_blocks))
        return fail_corrupt("%s|extent of %u blocks (%u bytes) at %llu|a run inside the device", object, extent.blocks,
                            extent.bytes, (unsigned long long)extent.address);
    return VDE_OK;
}

vde_status value_verify(unsigned kind, const void *value, size_t size, uint64_t device_blocks, const char *object)
{
    switch (kind) {
    case VALUE_INLINE:
        return VDE_OK;
    case VALUE_SPILLED:
        return verify_spill(value, size, device_blocks, object);
    case VALUE_EXTENT:
        return verify_extent(value, size, device_blocks, object);
    default: /* runs are verified together with their keys: run_verify() */
        return fail_corrupt("%s|value kind %u|0 to %d", object, kind, VALUE_EXTENT);
    }
}

unsigned value_extents(unsigned kind, const void *value)
{
    if (kind == VALUE_SPILLED)
        return ((const struct disk_spill *)value)->count;
    return kind == VALUE_EXTENT || kind == VALUE_RUN;
}

struct ptr value_extent(unsigned kind, const void *value, unsigned index)
{
    if (kind == VALUE_RUN) {
        struct disk_run run;
        memcpy(&run, value, sizeof run);
        uint32_t stored = le16_get(run.stored);
        return (struct ptr){le64_get(run.address), stored, stored * BLOCK_BYTES - le16_get(run.tail),
                            le64_get(run.birth), 0};
    }
    return extent_at((const uint8_t *)value + (kind == VALUE_SPILLED ? sizeof(struct disk_spill) : 0), index);
}

/* --- nodes ------------------------------------------------------------------------------------------------------- */

/* What is being verified: names it in messages and bounds its pointers. */
struct subject {
    const struct disk_node *node;
    struct ptr ptr;
    uint64_t tree;
    uint64_t device_blocks;
};

/* `format` gives "found|expected". */
static vde_status VDE_PRINTF(2, 3) damaged(const struct subject *s, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return fail_corrupt("tree %llu node at block %llu|%s", (unsigned long long)s->tree,
                        (unsigned long long)s->ptr.address, text);
}

static vde_status verify_identity(const struct subject *s, uint64_t seed, unsigned level)
{
    const struct disk_node *node = s->node;
    if (!ptr_plausible(s->ptr, s->device_blocks) || s->ptr.blocks != 1 || s->ptr.bytes != BLOCK_BYTES)
        return damaged(s, "pointer to %u bytes in %u blocks|one block inside the device", s->ptr.bytes, s->ptr.blocks);
    uint64_t sum = node_checksum(node, seed, s->ptr.address);
    if (sum != s->ptr.checksum && !MUTATED(MUTATE_NODE_CHECKSUM))
        return damaged(s, "checksum %016llx|%016llx", (unsigned long long)sum, (unsigned long long)s->ptr.checksum);
    if (le32_get(node->magic) != NODE_MAGIC)
        return damaged(s, "magic %08x|%08x", le32_get(node->magic), NODE_MAGIC);
    if (le64_get(node->seed) != seed)
        return damaged(s, "image seed %016llx|%016llx", (unsigned long long)le64_get(node->seed),
                       (unsigned long long)seed);
    if (le64_get(node->address) != s->ptr.address)
        return damaged(s, "own address %llu|%llu", (unsigned long long)le64_get(node->address),
                       (unsigned long long)s->ptr.address);
    if (le64_get(node->tree) != s->tree)
        return damaged(s, "tree %llu|%llu", (unsigned long long)le64_get(node->tree), (unsigned long long)s->tree);
    if (le64_get(node->birth) != s->ptr.birth)
        return damaged(s, "birth %llu|%llu", (unsigned long long)le64_get(node->birth),
                       (unsigned long long)s->ptr.birth);
    if (node->level != level || level > TREE_LEVEL_MAX)
        return damaged(s, "level %u|%u, at most %u", node->level, level, TREE_LEVEL_MAX);
    if (node->reserved != 0 || !all_zero(node->reserved2, sizeof node->reserved2))
        return damaged(s, "reserved header bytes in use|zeroes");
    return VDE_OK;
}

/* Slots, heads and records must fill the block from the front without a gap, and the rest is zero. */
static vde_status verify_layout(const struct subject *s)
{
    const struct disk_node *node = s->node;
    unsigned count = node_count(node);
    if (count == 0 || count > NODE_SPACE / NODE_RECORD_OVERHEAD)
        return damaged(s, "%u records|1 to %zu", count, NODE_SPACE / NODE_RECORD_OVERHEAD);
    size_t end = sizeof *node + count * NODE_RECORD_OVERHEAD;
    for (unsigned i = 0; i < count; i++) {
        const struct disk_slot *slot = node_slots(node) + i;
        size_t key_size = le16_get(slot->key_size), value_size = le16_get(slot->value_size);
        if (le16_get(slot->offset) != end)
            return damaged(s, "slot %u at offset %u|%zu", i, le16_get(slot->offset), end);
        if (key_size > NODE_KEY_MAX || (key_size == 0 && (node->level == 0 || i > 0)))
            return damaged(s, "slot %u with a key of %zu bytes|1 to %u", i, key_size, NODE_KEY_MAX);
        if (key_size + value_size > NODE_RECORD_MAX || key_size + value_size > BLOCK_BYTES - end)
            return damaged(s, "slot %u with %zu bytes at offset %zu|a record inside the block", i,
                           key_size + value_size, end);
        if (slot->reserved != 0)
            return damaged(s, "slot %u: reserved byte in use|zero", i);
        end += key_size + value_size;
    }
    if (!all_zero((const uint8_t *)node + end, BLOCK_BYTES - end))
        return damaged(s, "bytes in use after offset %zu|zeroes", end);
    return VDE_OK;
}

static size_t shared_prefix(struct node_record a, struct node_record b)
{
    size_t least = a.key_size < b.key_size ? a.key_size : b.key_size, n = 0;
    while (n < least && a.key[n] == b.key[n])
        n++;
    return n;
}

static vde_status verify_keys(const struct subject *s)
{
    const struct disk_node *node = s->node;
    unsigned count = node_count(node), first = node_first_keyed(node);
    size_t prefix = first < count ? shared_prefix(node_record(node, first), node_record(node, count - 1)) : 0;
    if (le16_get(node->prefix) != prefix)
        return damaged(s, "shared prefix of %u bytes|%zu", le16_get(node->prefix), prefix);
    for (unsigned i = 0; i < count; i++) {
        struct node_record r = node_record(node, i);
        if (i > 0) {
            struct node_record before = node_record(node, i - 1);
            size_t least = r.key_size < before.key_size ? r.key_size : before.key_size;
            int order = memcmp(before.key, r.key, least);
            if (order > 0 || (order == 0 && before.key_size >= r.key_size))
                return damaged(s, "key %u not above the one before it|ascending keys", i);
        }
        const uint8_t *h = node_heads(node) + i * NODE_HEAD_BYTES;
        uint32_t head = (uint32_t)h[0] << 24 | (uint32_t)h[1] << 16 | (uint32_t)h[2] << 8 | h[3];
        uint32_t expected = i < first ? 0 : node_head(r.key, r.key_size, prefix);
        if (head != expected)
            return damaged(s, "head %u is %08x|%08x", i, head, expected);
    }
    return VDE_OK;
}

static vde_status verify_child(const struct subject *s, unsigned index)
{
    struct node_record r = node_record(s->node, index);
    if (r.kind != 0 || r.value_size != sizeof(struct disk_ptr))
        return damaged(s, "child %u of kind %u in %u bytes|kind 0 in %zu", index, r.kind, r.value_size,
                       sizeof(struct disk_ptr));
    struct ptr child = node_child(s->node, index);
    if (!ptr_plausible(child, s->device_blocks) || child.blocks != 1 || child.bytes != BLOCK_BYTES)
        return damaged(s, "child %u is %u bytes in %u blocks at %llu|one block inside the device", index, child.bytes,
                       child.blocks, (unsigned long long)child.address);
    return VDE_OK;
}

/* A run, and that the one before it in the leaf ends before it begins. */
static vde_status verify_run(const struct subject *s, unsigned index, const char *object)
{
    struct node_record r = node_record(s->node, index);
    VDE_TRY(run_verify(RUN_IN_TREE, r.key, r.key_size, r.kind, r.value, r.value_size, s->device_blocks, object));
    if (index == 0)
        return VDE_OK;
    struct node_record before = node_record(s->node, index - 1);
    if (before.kind != VALUE_RUN)
        return fail_corrupt("%s|a run behind a record of kind %u|runs only", object, before.kind);
    uint64_t end = be64_get(before.key) + run_op_blocks(before.kind, before.value);
    if (be64_get(r.key) < end)
        return fail_corrupt("%s|a run from block %llu on|one from block %llu on, where the one before it ends", object,
                            (unsigned long long)be64_get(r.key), (unsigned long long)end);
    return VDE_OK;
}

static vde_status verify_value(const struct subject *s, unsigned index, const char *object)
{
    struct node_record r = node_record(s->node, index);
    if (r.kind == VALUE_RUN)
        return verify_run(s, index, object);
    return r.kind == VALUE_INLINE ? VDE_OK : value_verify(r.kind, r.value, r.value_size, s->device_blocks, object);
}

static vde_status verify_values(const struct subject *s)
{
    for (unsigned i = 0; i < node_count(s->node); i++) {
        if (s->node->level > 0) {
            VDE_TRY(verify_child(s, i));
            continue;
        }
        if (verify_value(s, i, "record") == VDE_OK)
            continue;
        char object[96]; /* only now: naming every record would cost more than verifying it */
        snprintf(object, sizeof object, "tree %llu node at block %llu, record %u", (unsigned long long)s->tree,
                 (unsigned long long)s->ptr.address, i);
        return verify_value(s, i, object);
    }
    return VDE_OK;
}

vde_status node_verify(const void *block, uint64_t seed, uint64_t tree, struct ptr ptr, unsigned level,
                       uint64_t device_blocks)
{
    struct subject s = {block, ptr, tree, device_blocks};
    VDE_TRY(verify_identity(&s, seed, level));
    VDE_TRY(verify_layout(&s));
    VDE_TRY(verify_keys(&s));
    return verify_values(&s);
}
