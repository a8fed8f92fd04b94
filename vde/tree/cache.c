/* SPDX-License-Identifier: Apache-2.0 */
/* cache.c -- verified nodes by block address, in shards with a lock each.
 *
 * 1. A frame is either hashed (findable, immutable) or not; it is filled only while it is not hashed and pinned by who
 *    fills it.
 * 2. Pins are taken under the shard's lock and dropped without it, so a frame that is seen unpinned under the lock stays
 *    unpinned while the lock is held.
 * 3. A node is found by address but returned only if birth, checksum, tree and level are those asked for: a block that
 *    was reused is a miss, even if nobody forgot it.
 * The device is read without a lock; of two that miss the same block at once the second to finish uses the first's. */
#include "tree/pin.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "base/checked.h"
#include "base/fail.h"
#include "base/lock.h"

#define SHARDS 16u
#define FRAMES_MIN 4u /* in a shard */
#define NO_FRAME UINT32_MAX
#define PREFETCH_LINES 12u

struct shard {
    _Alignas(64) struct lock lock;
    uint32_t *buckets;         /* frame that heads the chain, or NO_FRAME; immutable array, entries guarded by lock */
    uint32_t bucket_mask;
    uint32_t index;            /* of the shard */
    uint32_t frames_max;
    uint32_t frames;           /* handed out at least once; guarded by lock */
    uint32_t unused;           /* frames of forgotten blocks, chained, or NO_FRAME: taken first; guarded by lock */
    uint32_t hand;             /* of the clock; guarded by lock */
    atomic_uint_fast64_t hits; /* written under lock */
    atomic_uint_fast64_t reads;
};

/* Frames lie in two arrays, made for the whole budget but backed by memory only as they are used; so block and descriptor
 * of a frame can be fetched into the processor's cache side by side. Frame i belongs to shard i % SHARDS. */
struct node_cache {
    struct shard shards[SHARDS];
    struct node *nodes;
    uint8_t (*blocks)[BLOCK_BYTES];
    size_t nodes_bytes, blocks_bytes;
};

static uint64_t mix(uint64_t address)
{
    return address * 0x9e3779b97f4a7c15u;
}

static struct shard *shard_of(struct node_cache *cache, uint64_t hash)
{
    return &cache->shards[hash >> 60];
}

static uint32_t *bucket_of(struct shard *shard, uint64_t hash)
{
    return &shard->buckets[hash >> 24 & shard->bucket_mask];
}

static void count(atomic_uint_fast64_t *counter)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* --- frames; all under the shard's lock --------------------------------------------------------------------------- */

static struct node *find(const struct node_cache *cache, struct shard *shard, uint64_t hash, uint64_t address)
{
    uint32_t frame = *bucket_of(shard, hash);
    if (frame == NO_FRAME)
        return NULL;
    /* Header, heads and slots of a usual node; it is nearly always the first of its chain. */
    for (unsigned line = 0; line < PREFETCH_LINES; line++)
        __builtin_prefetch(cache->blocks[frame] + line * 64);
    while (frame != NO_FRAME && cache->nodes[frame].address != address)
        frame = cache->nodes[frame].next;
    return frame == NO_FRAME ? NULL : &cache->nodes[frame];
}

/* Whoever has it pinned keeps it; the clock takes it afterwards. */
static void unhash(const struct node_cache *cache, struct shard *shard, struct node *node)
{
    uint32_t frame = (uint32_t)(node - cache->nodes);
    uint32_t *link = bucket_of(shard, mix(node->address));
    while (*link != frame)
        link = &cache->nodes[*link].next;
    *link = node->next;
    node->hashed = false;
    node->used = false;
}

static void hash_node(const struct node_cache *cache, struct shard *shard, uint64_t hash, struct node *node)
{
    uint32_t *bucket = bucket_of(shard, hash);
    node->next = *bucket;
    *bucket = (uint32_t)(node - cache->nodes);
    node->hashed = true;
    node->used = false; /* until it is asked for again: what is read once makes room before what is in use */
}

/* A frame nobody knows of, pinned once; NULL when all are pinned. The clock runs only while no frame is unused, so it
 * never takes one twice. */
static struct node *take_frame(const struct node_cache *cache, struct shard *shard)
{
    struct node *node = NULL;
    if (shard->unused != NO_FRAME) {
        node = &cache->nodes[shard->unused];
        shard->unused = node->next;
    } else if (shard->frames < shard->frames_max) {
        uint32_t frame = shard->frames++ * SHARDS + shard->index;
        node = &cache->nodes[frame];
        node->block = (const struct disk_node *)cache->blocks[frame];
    }
    for (uint32_t step = 0; !node && step < 2 * shard->frames; step++) {
        struct node *candidate = &cache->nodes[shard->hand * SHARDS + shard->index];
        shard->hand = shard->hand + 1 == shard->frames ? 0 : shard->hand + 1;
        /* acquire: what the last user read from the block happened before it is overwritten */
        if (atomic_load_explicit(&candidate->pins, memory_order_acquire) != 0)
            continue;
        if (candidate->used)
            candidate->used = false;
        else
            node = candidate;
    }
    if (!node)
        return NULL;
    if (node->hashed)
        unhash(cache, shard, node);
    atomic_store_explicit(&node->pins, 1, memory_order_relaxed);
    return node;
}

/* --- pinning ----------------------------------------------------------------------------------------------------- */

static void identify(struct node *node, uint64_t tree, struct ptr ptr, unsigned level)
{
    node->address = ptr.address;
    node->birth = ptr.birth;
    node->checksum = ptr.checksum;
    node->tree = tree;
    node->level = (uint8_t)level;
}

static struct node *make_private(void)
{
    uint8_t *block = aligned_alloc(BLOCK_BYTES, BLOCK_BYTES);
    struct node *node = aligned_alloc(_Alignof(struct node), sizeof *node);
    if (!block || !node) {
        free(block);
        free(node);
        return NULL;
    }
    *node = (struct node){.block = (const struct disk_node *)block, .private = true};
    atomic_init(&node->pins, 1);
    return node;
}

/* Blocks are written only here and in node_cache_offer(), before anyone else can see them. */
static void *writable(const struct node *node)
{
    return (void *)(uintptr_t)node->block;
}

static vde_status fill(const struct tree_store *store, uint64_t tree, struct ptr ptr, unsigned level, struct node *node)
{
    if (!ptr_plausible(ptr, store_blocks(store)) || ptr.blocks != 1)
        return fail_corrupt("tree %llu node at block %llu|pointer to %u blocks|one block inside the device",
                            (unsigned long long)tree, (unsigned long long)ptr.address, ptr.blocks);
    VDE_TRY(store->read(store->context, ptr, writable(node)));
    VDE_TRY(node_verify(node->block, store->seed, tree, ptr, level, store_blocks(store)));
    identify(node, tree, ptr, level);
    return VDE_OK;
}

/* The node asked for, pinned, or NULL. */
static struct node *pin_cached(const struct node_cache *cache, struct shard *shard, uint64_t hash, uint64_t tree,
                               struct ptr ptr, unsigned level)
{
    struct node *node = find(cache, shard, hash, ptr.address);
    if (!node || !node_is(node, ptr) || node->tree != tree || node->level != level)
        return NULL;
    atomic_fetch_add_explicit(&node->pins, 1, memory_order_relaxed);
    node->used = true;
    return node;
}

/* Make a filled frame findable, or give it up for one that somebody else made so in the meantime. */
static struct node *publish(const struct node_cache *cache, struct shard *shard, uint64_t hash, struct node *node,
                            struct ptr ptr)
{
    struct node *other = pin_cached(cache, shard, hash, node->tree, ptr, node->level);
    if (other) {
        node_unpin(node);
        return other;
    }
    other = find(cache, shard, hash, ptr.address);
    if (other)
        unhash(cache, shard, other);
    hash_node(cache, shard, hash, node);
    return node;
}

static vde_status read_node(const struct tree_store *store, uint64_t tree, struct ptr ptr, unsigned level,
                            struct node *node, const struct node **ret_node)
{
    if (!node)
        node = make_private();
    if (!node)
        return fail_nomem("tree node");
    vde_status status = fill(store, tree, ptr, level, node);
    if (status != VDE_OK) {
        node_unpin(node);
        return status;
    }
    *ret_node = node;
    return VDE_OK;
}

vde_status node_pin(const struct tree_store *store, uint64_t tree, struct ptr ptr, unsigned level,
                    const struct node **ret_node)
{
    if (!store->cache)
        return read_node(store, tree, ptr, level, NULL, ret_node);
    struct node_cache *cache = store->cache;
    uint64_t hash = mix(ptr.address);
    struct shard *shard = shard_of(cache, hash);
    lock_take(&shard->lock);
    struct node *node = pin_cached(cache, shard, hash, tree, ptr, level);
    if (node) {
        count(&shard->hits);
        lock_drop(&shard->lock);
        *ret_node = node;
        return VDE_OK;
    }
    node = take_frame(cache, shard);
    count(&shard->reads);
    lock_drop(&shard->lock);

    VDE_TRY(read_node(store, tree, ptr, level, node, ret_node));
    if (!(*ret_node)->private) {
        lock_take(&shard->lock);
        *ret_node = publish(cache, shard, hash, node, ptr);
        lock_drop(&shard->lock);
    }
    return VDE_OK;
}

void node_unpin(const struct node *node)
{
    struct node *own = (struct node *)(uintptr_t)node;
    if (own->private) {
        free(writable(own));
        free(own);
        return;
    }
    atomic_fetch_sub_explicit(&own->pins, 1, memory_order_release);
}

void node_cache_offer(const struct tree_store *store, uint64_t tree, struct ptr ptr, unsigned level, const void *block)
{
    struct node_cache *cache = store->cache;
    if (!cache)
        return;
    uint64_t hash = mix(ptr.address);
    struct shard *shard = shard_of(cache, hash);
    lock_take(&shard->lock);
    struct node *node = take_frame(cache, shard);
    if (node) {
        memcpy(writable(node), block, BLOCK_BYTES);
        identify(node, tree, ptr, level);
        node_unpin(publish(cache, shard, hash, node, ptr));
    }
    lock_drop(&shard->lock);
}

/* --- the whole --------------------------------------------------------------------------------------------------- */

static void *map_lazily(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    /* A search touches pages all over: large ones where the system has them spare half of the address translation. */
    (void)madvise(memory, bytes, MADV_HUGEPAGE);
    return memory;
}

static bool shard_init(struct shard *shard, uint32_t index, uint32_t frames)
{
    uint32_t buckets = 1;
    lock_init(&shard->lock, LOCK_CACHE);
    while (buckets < frames)
        buckets *= 2;
    shard->index = index;
    shard->frames_max = frames;
    shard->unused = NO_FRAME;
    shard->bucket_mask = buckets - 1;
    shard->buckets = malloc(buckets * sizeof *shard->buckets);
    if (shard->buckets)
        memset(shard->buckets, 0xff, buckets * sizeof *shard->buckets);
    return shard->buckets != NULL;
}

vde_status node_cache_create(uint64_t budget_bytes, struct node_cache **ret_cache)
{
    struct node_cache *cache = aligned_alloc(_Alignof(struct node_cache), sizeof *cache);
    if (!cache)
        return fail_nomem("node cache");
    memset(cache, 0, sizeof *cache);
    uint64_t frames = budget_bytes / SHARDS / (BLOCK_BYTES + sizeof(struct node) + 2 * sizeof(uint32_t));
    frames = min_u64(max_u64(frames, FRAMES_MIN), UINT32_MAX / SHARDS / 2);
    bool complete = true;
    for (uint32_t i = 0; i < SHARDS; i++)
        complete = shard_init(&cache->shards[i], i, (uint32_t)frames) && complete;
    cache->nodes_bytes = frames * SHARDS * sizeof *cache->nodes;
    cache->blocks_bytes = frames * SHARDS * BLOCK_BYTES;
    cache->nodes = map_lazily(cache->nodes_bytes);
    cache->blocks = map_lazily(cache->blocks_bytes);
    if (!complete || !cache->nodes || !cache->blocks) {
        node_cache_destroy(cache);
        return fail_nomem("node cache");
    }
    *ret_cache = cache;
    return VDE_OK;
}

void node_cache_destroy(struct node_cache *cache)
{
    if (!cache)
        return;
    for (unsigned i = 0; i < SHARDS; i++) {
        free(cache->shards[i].buckets);
        lock_done(&cache->shards[i].lock);
    }
    if (cache->nodes)
        munmap(cache->nodes, cache->nodes_bytes);
    if (cache->blocks)
        munmap(cache->blocks, cache->blocks_bytes);
    free(cache);
}

static void forget_node(const struct node_cache *cache, struct shard *shard, struct node *node)
{
    unhash(cache, shard, node);
    /* One that is still pinned is left to the clock. */
    if (atomic_load_explicit(&node->pins, memory_order_acquire) == 0) {
        node->next = shard->unused;
        shard->unused = (uint32_t)(node - cache->nodes);
    }
}

void node_cache_forget(struct node_cache *cache, uint64_t address)
{
    uint64_t hash = mix(address);
    struct shard *shard = shard_of(cache, hash);
    lock_take(&shard->lock);
    struct node *node = find(cache, shard, hash, address);
    if (node)
        forget_node(cache, shard, node);
    lock_drop(&shard->lock);
}

uint64_t node_cache_frames(struct node_cache *cache)
{
    uint64_t frames = 0;
    for (unsigned i = 0; i < SHARDS; i++) {
        lock_take(&cache->shards[i].lock);
        frames += cache->shards[i].frames;
        lock_drop(&cache->shards[i].lock);
    }
    return frames;
}

void node_cache_forget_if(struct node_cache *cache, bool (*gone)(void *context, uint64_t address), void *context)
{
    for (unsigned i = 0; i < SHARDS; i++) {
        struct shard *shard = &cache->shards[i];
        lock_take(&shard->lock);
        for (uint32_t frame = 0; frame < shard->frames; frame++) {
            struct node *node = &cache->nodes[frame * SHARDS + i];
            if (node->hashed && gone(context, node->address))
                forget_node(cache, shard, node);
        }
        lock_drop(&shard->lock);
    }
}

void node_cache_counters(const struct node_cache *cache, uint64_t *ret_hits, uint64_t *ret_reads)
{
    uint64_t hits = 0, reads = 0;
    for (unsigned i = 0; i < SHARDS; i++) {
        hits += atomic_load_explicit(&cache->shards[i].hits, memory_order_relaxed);
        reads += atomic_load_explicit(&cache->shards[i].reads, memory_order_relaxed);
    }
    *ret_hits = hits;
    *ret_reads = reads;
}
