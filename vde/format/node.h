/* SPDX-License-Identifier: Apache-2.0 */
/* node.h -- a tree node on disk: one 4 KiB block, written once, never changed. docs/format.md "Tree nodes".
 *
 *   0        48            48+4n         48+12n
 *   | header | heads[n]    | slots[n]    | key 0 value 0 key 1 value 1 ... | zeroes |
 *
 * Records are sorted by key (bytes, unsigned) and lie without gaps in slot order. `prefix` counts the bytes that all
 * keys share and heads[i] are the four bytes of key i that follow it (zero-padded): a search mostly needs the heads
 * alone, four cache lines instead of one per comparison.
 *
 * Leaf (level 0): key -> value of some value_kind. Inner node: key -> struct disk_ptr of a child of level - 1; the key is
 * not above any key below the child and above all keys below the previous child. Slot 0 of an inner node may have the
 * empty key, "no lower bound"; `prefix` and heads then leave it out (its head is zero).
 *
 * The checksum is in the parent's pointer. Besides, a node says who it is, so that a misdirected or stale block is
 * told apart from rot. */
#ifndef VDE_FORMAT_NODE_H
#define VDE_FORMAT_NODE_H

#include <stddef.h>
#include <string.h>

#include <vde/error.h>

#include "format/root.h"

/* The kind of a record's value; stored on disk, never renumbered. */
enum value_kind {
    VALUE_INLINE = 0,  /* the bytes */
    VALUE_SPILLED = 1, /* struct disk_spill: the bytes lie in extents that the record owns */
    VALUE_EXTENT = 2,  /* struct disk_ptr + caller's bytes: the record owns one extent whose content is the caller's */
    VALUE_DELETE = 3,  /* never in a tree: a deletion in a log record, an overlay or a change list */
    VALUE_RUN = 4,     /* struct disk_run + checksums: blocks of a volume; may be split, so that the tree leaves its dropping
                          to the volume's merge */
    VALUE_UNMAP = 5,   /* only in log records: key = first block, value = le64 count: forget blocks of a volume */
};

/* --- blocks of a volume ------------------------------------------------------------------------------------------- */

#define RUN_BLOCKS_MAX 64u        /* of a plain run */
#define RUN_FRAME_BLOCKS 16u      /* a compressed frame: 16 blocks at a multiple of 16 */

/* Key: be64 number of the first logical block. Plain (stored == blocks): followed by one le64 checksum for each block,
 * XXH3 of its 4096 bytes, seed = image seed ^ the block's own address. zstd (stored < blocks == RUN_FRAME_BLOCKS): followed
 * by one le64 checksum of the stored * 4096 - tail compressed bytes, seed = image seed ^ address. */
struct disk_run {
    vde_le64 address;   /* first device block */
    vde_le64 birth;     /* LSN; 0 in a log record: the record's own */
    vde_le32 blocks;    /* logical blocks, >= 1 */
    vde_le16 stored;    /* device blocks owned, >= 1 */
    vde_le16 tail;      /* zstd: bytes unused in the last device block; plain: 0 */
};
static_assert(sizeof(struct disk_run) == 24, "run size");
#define RUN_VALUE_MAX (sizeof(struct disk_run) + RUN_BLOCKS_MAX * 8u)

/* --- a value out of line ---------------------------------------------------------------------------------------- */

#define SPILL_EXTENT_MAX_BYTES (4u << 20)
#define SPILL_EXTENTS_MAX 36u          /* so that the descriptor fits half a leaf beside the longest key */
#define SPILL_VALUE_MAX (65u << 20)    /* VDE_VALUE_MAX and some framing of the owner */

enum { SPILL_PLAIN = 0, SPILL_ZSTD = 1 }; /* stored on disk, never renumbered */

/* Followed by `count` struct disk_ptr. All extents but the last are filled to their last byte. */
struct disk_spill {
    vde_le64 raw_bytes;     /* of the value */
    vde_le64 stored_bytes;  /* in the extents, together */
    uint8_t compression;    /* SPILL_PLAIN, SPILL_ZSTD */
    uint8_t count;          /* extents that follow, 1..SPILL_EXTENTS_MAX */
    uint8_t reserved[6];    /* zero */
};
static_assert(sizeof(struct disk_spill) == 24, "spill size");
#define SPILL_DESCRIPTOR_MAX (sizeof(struct disk_spill) + SPILL_EXTENTS_MAX * sizeof(struct disk_ptr))

/* --- the node ---------------------------------------------------------------------------------------------------- */

#define NODE_MAGIC 0x444f4e56u /* "VNOD" */
#define NODE_KEY_MAX 768u

struct disk_node {
    vde_le32 magic;
    uint8_t level;          /* 0 = leaf, <= TREE_LEVEL_MAX */
    uint8_t reserved;       /* zero */
    vde_le16 count;         /* records, >= 1 */
    vde_le16 prefix;        /* bytes shared by all keys */
    uint8_t reserved2[6];   /* zero */
    vde_le64 seed;          /* of the image */
    vde_le64 address;       /* its own, in blocks */
    vde_le64 tree;
    vde_le64 birth;         /* as in the pointer to it */
};
static_assert(sizeof(struct disk_node) == 48, "node header size");
static_assert(offsetof(struct disk_node, seed) == 16 && offsetof(struct disk_node, birth) == 40, "node header layout");

struct disk_slot {
    vde_le16 offset;        /* of the key in the block; the value follows the key */
    vde_le16 key_size;
    vde_le16 value_size;
    uint8_t kind;           /* leaf: value_kind, inner: 0 */
    uint8_t reserved;       /* zero */
};
static_assert(sizeof(struct disk_slot) == 8, "slot size");

#define NODE_HEAD_BYTES 4u
#define NODE_RECORD_OVERHEAD (NODE_HEAD_BYTES + sizeof(struct disk_slot))
#define NODE_SPACE (BLOCK_BYTES - sizeof(struct disk_node))
/* Key + value of one record: two always fit a node, so that a split always works. */
#define NODE_RECORD_MAX (NODE_SPACE / 2 - NODE_RECORD_OVERHEAD)
static_assert(NODE_KEY_MAX + SPILL_DESCRIPTOR_MAX <= NODE_RECORD_MAX, "a spilled value fits beside the longest key");
static_assert(NODE_KEY_MAX + sizeof(struct disk_ptr) <= NODE_RECORD_MAX, "a child fits beside the longest key");

static inline unsigned node_count(const struct disk_node *node) { return le16_get(node->count); }
static inline const uint8_t *node_heads(const struct disk_node *node) { return (const uint8_t *)(node + 1); }
static inline const struct disk_slot *node_slots(const struct disk_node *node)
{
    return (const struct disk_slot *)(node_heads(node) + node_count(node) * NODE_HEAD_BYTES);
}

/* A record of a verified node; the bytes are borrowed from the block. */
struct node_record {
    const uint8_t *key;
    const uint8_t *value;
    uint16_t key_size;
    uint16_t value_size;
    uint8_t kind;
};
static inline struct node_record node_record(const struct disk_node *node, unsigned index)
{
    const struct disk_slot *slot = node_slots(node) + index;
    const uint8_t *key = (const uint8_t *)node + le16_get(slot->offset);
    uint16_t key_size = le16_get(slot->key_size);
    return (struct node_record){key, key + key_size, key_size, le16_get(slot->value_size), slot->kind};
}
/* Child `index` of a verified inner node. */
static inline struct ptr node_child(const struct disk_node *node, unsigned index)
{
    struct disk_ptr child;
    memcpy(&child, node_record(node, index).value, sizeof child);
    return ptr_get(&child);
}
/* Bytes of NODE_SPACE that the records of a verified node take. */
static inline size_t node_used(const struct disk_node *node)
{
    struct node_record last = node_record(node, node_count(node) - 1);
    return (size_t)(last.value + last.value_size - (const uint8_t *)(node + 1));
}

/* Slot 0 of an inner node with the empty key takes no part in prefix and heads: the index of the first that does. */
static inline unsigned node_first_keyed(const struct disk_node *node)
{
    return node->level > 0 && le16_get(node_slots(node)[0].key_size) == 0;
}
/* The head of a key: the four bytes after `prefix`, zero-padded, big-endian. */
uint32_t node_head(const uint8_t *key, size_t key_size, size_t prefix);

uint64_t node_checksum(const void *block, uint64_t seed, uint64_t address);

/* Check everything about a block that was read as the node `ptr` of `tree` at `level`: checksum, identity and every
 * field; after VDE_OK nobody needs to check a field again. Pointers must end within `device_blocks`, 0 for "not known".
 * CORRUPT names the field. */
vde_status node_verify(const void *block, uint64_t seed, uint64_t tree, struct ptr ptr, unsigned level,
                       uint64_t device_blocks);

/* Whether a pointer from the device can be followed: null, empty, overlong and out-of-device ones can't. */
bool ptr_plausible(struct ptr ptr, uint64_t device_blocks);

/* Check the structure of a value of `kind` as stored in a record; of runs see format/run.h. `object` names it in
 * messages. */
vde_status value_verify(unsigned kind, const void *value, size_t size, uint64_t device_blocks, const char *object);

/* The extents that a verified value owns, and the one at `index`. That of a run has no checksum: blocks have. */
unsigned value_extents(unsigned kind, const void *value);
struct ptr value_extent(unsigned kind, const void *value, unsigned index);
#endif
