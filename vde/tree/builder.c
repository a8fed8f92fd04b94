/* SPDX-License-Identifier: Apache-2.0 */
/* builder.c -- packing records into nodes. */
#include "tree/builder.h"

#include <stdlib.h>

#include "base/checked.h"
#include "base/fail.h"
#include "tree/page.h"

#define UNDERFULL (NODE_SPACE / 4)
#define ITEMS_MAX (2 * NODE_SPACE / (NODE_RECORD_OVERHEAD + 1) + 1)

struct item {
    uint16_t at; /* of the key in `bytes`; the value follows */
    uint16_t key_size;
    uint16_t value_size;
    uint8_t kind;
    bool is_new;
};

struct key {
    size_t size;
    uint8_t bytes[NODE_KEY_MAX];
};

struct level {
    bool open;             /* a run is under way */
    bool any;              /* `last` is set */
    size_t pending;        /* bytes that the items take in nodes, overhead included; <= 2 * NODE_SPACE */
    size_t used;           /* of `bytes` */
    unsigned count;
    uint64_t bytes_before; /* in the old nodes of the run */
    uint64_t bytes_after;  /* pushed in the run */
    struct key low;        /* separator of the node that is emitted next */
    struct key last;       /* key of the last record emitted */
    struct item items[ITEMS_MAX];
    uint8_t bytes[2 * NODE_SPACE];
};

static size_t cost(const struct item *item)
{
    return NODE_RECORD_OVERHEAD + item->key_size + item->value_size;
}

static void key_set(struct key *key, const uint8_t *bytes, size_t size)
{
    VDE_ASSERT(size <= sizeof key->bytes);
    if (size > 0)
        memcpy(key->bytes, bytes, size);
    key->size = size;
}

vde_status builder_init(struct builder *builder, const struct tree_writer *writer, uint64_t tree, uint64_t nodes)
{
    *builder = (struct builder){.writer = writer, .tree = tree, .nodes = nodes};
    builder->buffer = aligned_alloc(BLOCK_BYTES, (size_t)WRITE_BLOCKS * BLOCK_BYTES);
    return builder->buffer ? VDE_OK : fail_nomem("tree nodes");
}

void builder_done(struct builder *builder)
{
    for (unsigned i = 0; i < BUILDER_LEVELS; i++)
        free(builder->levels[i]);
    free(builder->buffer);
}

/* NULL: no memory. */
static struct level *use_level(struct builder *builder, unsigned level)
{
    VDE_ASSERT(level < BUILDER_LEVELS);
    if (!builder->levels[level]) {
        struct level *fresh = malloc(sizeof *fresh);
        if (!fresh)
            return NULL;
        memset(fresh, 0, offsetof(struct level, low));
        fresh->low.size = fresh->last.size = 0;
        builder->levels[level] = fresh;
    }
    return builder->levels[level];
}

/* --- emitting ---------------------------------------------------------------------------------------------------- */

static vde_status flush(struct builder *builder)
{
    if (builder->buffer_count == 0)
        return VDE_OK;
    const struct tree_writer *writer = builder->writer;
    VDE_TRY(writer->write(writer->context, builder->buffer_address, builder->buffer, builder->buffer_count));
    builder->buffer_count = 0;
    return VDE_OK;
}

/* An address for one node and the place in the buffer where to build it. */
static vde_status take_block(struct builder *builder, uint64_t *ret_address, void **ret_block)
{
    VDE_TRY(builder->writer->allocate(builder->writer->context, 1, ret_address));
    if (builder->buffer_count == WRITE_BLOCKS || *ret_address != builder->buffer_address + builder->buffer_count)
        VDE_TRY(flush(builder));
    if (builder->buffer_count == 0)
        builder->buffer_address = *ret_address;
    *ret_block = builder->buffer + (size_t)builder->buffer_count++ * BLOCK_BYTES;
    return VDE_OK;
}

static struct node_record item_record(const struct level *l, unsigned index)
{
    const struct item *item = &l->items[index];
    const uint8_t *key = l->bytes + item->at;
    return (struct node_record){key, key + item->key_size, item->key_size, item->value_size, item->kind};
}

/* The shortest key above `before` and not above `key`. */
static size_t separator_size(const struct key *before, const struct node_record *key)
{
    size_t n = 0;
    while (n < before->size && n < key->key_size && before->bytes[n] == key->key[n])
        n++;
    return n < key->key_size ? n + 1 : n;
}

/* Forget the first `count` items, which were emitted. */
static void shift(struct level *l, unsigned count)
{
    struct node_record last = item_record(l, count - 1);
    key_set(&l->last, last.key, last.key_size);
    l->any = true;
    size_t start = count < l->count ? l->items[count].at : l->used;
    for (unsigned i = 0; i < count; i++)
        l->pending -= cost(&l->items[i]);
    memmove(l->bytes, l->bytes + start, l->used - start);
    memmove(l->items, l->items + count, (l->count - count) * sizeof l->items[0]);
    l->used -= start;
    l->count -= count;
    for (unsigned i = 0; i < l->count; i++)
        l->items[i].at = (uint16_t)(l->items[i].at - start);
}

static struct ptr build(struct builder *builder, unsigned level, unsigned count, uint64_t address, void *block)
{
    const struct level *l = builder->levels[level];
    const struct tree_store *store = builder->writer->store;
    struct node_record records[ITEMS_MAX / 2 + 1];
    VDE_ASSERT(count > 0 && count <= sizeof records / sizeof records[0]);
    for (unsigned i = 0; i < count; i++)
        records[i] = item_record(l, i);
    struct page_identity identity = {store->seed, address, builder->tree, builder->writer->birth, level};
    page_build(block, &identity, records, count);
    struct ptr ptr = {address, 1, BLOCK_BYTES, builder->writer->birth, node_checksum(block, store->seed, address)};
    VDE_ASSERT(node_verify(block, store->seed, builder->tree, ptr, level, store_blocks(store)) == VDE_OK);
    return ptr;
}

/* Make the first `count` items of a level a node. */
static vde_status emit(struct builder *builder, unsigned level, unsigned count)
{
    struct level *l = builder->levels[level];
    if (level > TREE_LEVEL_MAX)
        return fail_as(VDE_TOO_LARGE, "tree %llu|more than %u levels|shorter keys", (unsigned long long)builder->tree,
                       TREE_LEVEL_MAX + 1);
    uint64_t address;
    void *block;
    VDE_TRY(take_block(builder, &address, &block));
    struct ptr ptr = build(builder, level, count, address, block);
    node_cache_offer(builder->writer->store, builder->tree, ptr, level, block);
    builder->nodes++;

    /* An inner node is known by its first key, a leaf by what tells it from the leaf before. */
    struct node_record first = item_record(l, 0);
    if (level > 0)
        key_set(&l->low, first.key, first.key_size);
    struct disk_ptr value = ptr_put(ptr);
    struct node_record up = {l->low.bytes, (const uint8_t *)&value, (uint16_t)l->low.size, sizeof value, 0};
    VDE_TRY(builder_push(builder, level + 1, &up, l->items[0].is_new));
    shift(l, count);
    if (level == 0 && l->count > 0) {
        struct node_record next = item_record(l, 0);
        key_set(&l->low, next.key, separator_size(&l->last, &next));
    }
    return VDE_OK;
}

/* --- where to cut ------------------------------------------------------------------------------------------------- */

/* As many items as fit one node. */
static unsigned fill_count(const struct level *l)
{
    size_t size = 0;
    unsigned n = 0;
    while (n < l->count && size + cost(&l->items[n]) <= NODE_SPACE)
        size += cost(&l->items[n++]);
    return n;
}

/* Records that were inserted side by side (at least two) will probably be followed by more at the same place: cut behind
 * them, so that the left node can fill up. 0: no such place. */
static unsigned cluster_count(const struct level *l)
{
    unsigned first = 0, end, size = 0;
    while (first < l->count && !l->items[first].is_new)
        first++;
    for (end = first; end < l->count && l->items[end].is_new; end++)
        ;
    for (unsigned i = end; i < l->count; i++)
        if (l->items[i].is_new)
            return 0;
    for (unsigned i = 0; i < end; i++)
        size += (unsigned)cost(&l->items[i]);
    bool fits = size <= NODE_SPACE && l->pending - size <= NODE_SPACE;
    return end - first >= 2 && end < l->count && fits ? end : 0;
}

/* The cut that comes nearest to the middle. */
static unsigned half_count(const struct level *l)
{
    size_t size = 0, half = l->pending / 2;
    unsigned n = 0;
    while (n < l->count && size + cost(&l->items[n]) <= NODE_SPACE && size < half) {
        size_t more = cost(&l->items[n]);
        if (n > 0 && size + more > half && size + more - half > half - size)
            break;
        size += more;
        n++;
    }
    return n;
}

static unsigned cut(const struct level *l)
{
    if (l->pending <= NODE_SPACE)
        return l->count;
    if (l->items[l->count - 1].is_new)
        return fill_count(l); /* growing at its end: leave full nodes behind */
    unsigned count = cluster_count(l);
    return count > 0 ? count : half_count(l);
}

/* --- the stream -------------------------------------------------------------------------------------------------- */

vde_status builder_begin_node(struct builder *builder, unsigned level, const uint8_t *low, size_t low_size, size_t used)
{
    struct level *l = use_level(builder, level);
    if (!l)
        return fail_nomem("tree nodes");
    if (!l->open) {
        l->open = true;
        key_set(&l->low, low, low_size);
    }
    l->bytes_before += used;
    return VDE_OK;
}

static bool ascends(const struct level *l, const struct node_record *record)
{
    if (l->count > 0) {
        struct node_record last = item_record(l, l->count - 1);
        return key_compare(last.key, last.key_size, record->key, record->key_size) < 0;
    }
    return !l->any || key_compare(l->last.bytes, l->last.size, record->key, record->key_size) < 0;
}

vde_status builder_push(struct builder *builder, unsigned level, const struct node_record *record, bool is_new)
{
    struct level *l = use_level(builder, level);
    if (!l)
        return fail_nomem("tree nodes");
    if (!ascends(l, record))
        return fail_corrupt("tree %llu|keys out of order at level %u|ascending keys", (unsigned long long)builder->tree,
                            level);
    size_t size = NODE_RECORD_OVERHEAD + record->key_size + record->value_size;
    VDE_ASSERT(size <= NODE_SPACE / 2);
    if (l->pending + size > 2 * NODE_SPACE)
        VDE_TRY(emit(builder, level, fill_count(l)));
    l->items[l->count++] = (struct item){(uint16_t)l->used, record->key_size, record->value_size, record->kind, is_new};
    memcpy(l->bytes + l->used, record->key, record->key_size);
    l->used += record->key_size;
    if (record->value_size > 0)
        memcpy(l->bytes + l->used, record->value, record->value_size);
    l->used += record->value_size;
    l->pending += size;
    l->bytes_after += size;
    return VDE_OK;
}

bool builder_wants_neighbour(const struct builder *builder, unsigned level)
{
    const struct level *l = builder->levels[level];
    return l && l->count > 0 && l->pending < UNDERFULL && l->bytes_after < l->bytes_before;
}

vde_status builder_close(struct builder *builder, unsigned level)
{
    struct level *l = builder->levels[level];
    if (!l)
        return VDE_OK;
    while (l->count > 0)
        VDE_TRY(emit(builder, level, cut(l)));
    l->open = false;
    l->bytes_before = l->bytes_after = 0;
    return VDE_OK;
}

static bool nothing_above(const struct builder *builder, unsigned level)
{
    for (unsigned i = level + 1; i < BUILDER_LEVELS; i++)
        if (builder->levels[i] && builder->levels[i]->count > 0)
            return false;
    return true;
}

vde_status builder_finish(struct builder *builder, struct ptr *ret_node, unsigned *ret_level)
{
    *ret_node = (struct ptr){0};
    *ret_level = 0;
    for (unsigned level = 0; level < BUILDER_LEVELS; level++) {
        struct level *l = builder->levels[level];
        bool is_top = nothing_above(builder, level);
        if (level > 0 && l && l->count == 1 && is_top) {
            struct disk_ptr root;
            memcpy(&root, item_record(l, 0).value, sizeof root);
            *ret_node = ptr_get(&root);
            *ret_level = level - 1;
            break;
        }
        if (is_top && (!l || l->count == 0))
            break;
        VDE_TRY(builder_close(builder, level));
    }
    return flush(builder);
}
