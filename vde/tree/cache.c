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

#include "base/checked.h"
#include "base/fail.h"
#include "base/lock.h"

#define SHARDS 16u
#define SLAB_FRAMES 32u
#define FRAMES_MIN 4u /* in a shard */

struct slab {
    _Alignas(64) struct node nodes[SLAB_FRAMES]; /* a cache line each */
    uint8_t (*blocks)[BLOCK_BYTES];
};

struct shard {
    _Alignas(64) struct lock lock;
    struct node **buckets;     /* immutable array, entries guarded by lock */
    struct slab **slabs;       /* immutable array, entries guarded by lock */
    uint32_t bucket_mask;
    uint32_t frames_max;
    uint32_t frames;           /* handed out at least once; guarded by lock */
    uint32_t hand;             /* of the clock; guarded by lock */
    atomic_uint_fast64_t hits; /* written under lock */
    atomic_uint_fast64_t reads;
};

struct node_cache {
    struct shard shards[SHARDS];
};

static uint64_t mix(uint64_t address)
{
    return address * 0x9e3779b97f4a7c15u;
}

static struct shard *shard_of(struct node_cache *cache, uint64_t hash)
{
    return &cache->shards[hash >> 60];
}

static struct node **bucket_of(struct shard *shard, uint64_t hash)
{
    return &shard->buckets[hash >> 24 & shard->bucket_mask];
}

static void count(atomic_uint_fast64_t *counter)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* --- frames; all under the shard's lock --------------------------------------------------------------------------- */

static struct node *find(struct shard *shard, uint64_t hash, uint64_t address)
{
    struct node *node = *bucket_of(shard, hash);
    while (node && node->address != address)
        node = node->next;
    return node;
}

/* Whoever has it pinned keeps it; the clock takes it afterwards. */
static void unhash(struct shard *shard, struct node *node)
{
    struct node **link = bucket_of(shard, mix(node->address));
    while (*link != node)
        link = &(*link)->next;
    *link = node->next;
    node->hashed = false;
    node->used = false;
}

static void hash_node(struct shard *shard, uint64_t hash, struct node *node)
{
    struct node **bucket = bucket_of(shard, hash);
    node->next = *bucket;
    *bucket = node;
    node->hashed = true;
    node->used = true;
}

static struct node *frame_at(struct shard *shard, uint32_t index)
{
    return &shard->slabs[index / SLAB_FRAMES]->nodes[index % SLAB_FRAMES];
}

static bool add_slab(struct shard *shard)
{
    struct slab *slab = aligned_alloc(_Alignof(struct slab), sizeof *slab);
    if (!slab)
        return false;
    memset(slab, 0, sizeof *slab);
    slab->blocks = aligned_alloc(BLOCK_BYTES, SLAB_FRAMES * BLOCK_BYTES);
    if (!slab->blocks) {
        free(slab);
        return false;
    }
    for (unsigned i = 0; i < SLAB_FRAMES; i++)
        slab->nodes[i].block = (const struct disk_node *)slab->blocks[i];
    shard->slabs[shard->frames / SLAB_FRAMES] = slab;
    return true;
}

/* A frame nobody knows of, pinned once; NULL when all are pinned or memory is short. */
static struct node *take_frame(struct shard *shard)
{
    struct node *node = NULL;
    if (shard->frames < shard->frames_max && (shard->frames % SLAB_FRAMES != 0 || add_slab(shard)))
        node = frame_at(shard, shard->frames++);
    for (uint32_t step = 0; !node && step < 2 * shard->frames; step++) {
        struct node *candidate = frame_at(shard, shard->hand);
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
        unhash(shard, node);
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
    struct node *node = calloc(1, sizeof *node);
    if (!block || !node) {
        free(block);
        free(node);
        return NULL;
    }
    node->block = (const struct disk_node *)block;
    node->private = true;
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
    if (!ptr_plausible(ptr, store->device_blocks) || ptr.blocks != 1)
        return fail_corrupt("tree %llu node at block %llu|pointer to %u blocks|one block inside the device",
                            (unsigned long long)tree, (unsigned long long)ptr.address, ptr.blocks);
    VDE_TRY(store->read(store->context, ptr, writable(node)));
    VDE_TRY(node_verify(node->block, store->seed, tree, ptr, level, store->device_blocks));
    identify(node, tree, ptr, level);
    return VDE_OK;
}

/* The node asked for, pinned, or NULL. */
static struct node *pin_cached(struct shard *shard, uint64_t hash, uint64_t tree, struct ptr ptr, unsigned level)
{
    struct node *node = find(shard, hash, ptr.address);
    if (!node || !node_is(node, ptr) || node->tree != tree || node->level != level)
        return NULL;
    atomic_fetch_add_explicit(&node->pins, 1, memory_order_relaxed);
    node->used = true;
    return node;
}

/* Make a filled frame findable, or give it up for one that somebody else made so in the meantime. */
static struct node *publish(struct shard *shard, uint64_t hash, struct node *node, struct ptr ptr)
{
    struct node *other = pin_cached(shard, hash, node->tree, ptr, node->level);
    if (other) {
        node_unpin(node);
        return other;
    }
    other = find(shard, hash, ptr.address);
    if (other)
        unhash(shard, other);
    hash_node(shard, hash, node);
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
    uint64_t hash = mix(ptr.address);
    struct shard *shard = shard_of(store->cache, hash);
    lock_take(&shard->lock);
    struct node *node = pin_cached(shard, hash, tree, ptr, level);
    if (node) {
        __builtin_prefetch(node->block);
        count(&shard->hits);
        lock_drop(&shard->lock);
        *ret_node = node;
        return VDE_OK;
    }
    node = take_frame(shard);
    count(&shard->reads);
    lock_drop(&shard->lock);

    VDE_TRY(read_node(store, tree, ptr, level, node, ret_node));
    if (!(*ret_node)->private) {
        lock_take(&shard->lock);
        *ret_node = publish(shard, hash, node, ptr);
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
    if (!store->cache)
        return;
    uint64_t hash = mix(ptr.address);
    struct shard *shard = shard_of(store->cache, hash);
    lock_take(&shard->lock);
    struct node *node = take_frame(shard);
    if (node) {
        memcpy(writable(node), block, BLOCK_BYTES);
        identify(node, tree, ptr, level);
        node_unpin(publish(shard, hash, node, ptr));
    }
    lock_drop(&shard->lock);
}

/* --- the whole --------------------------------------------------------------------------------------------------- */

static vde_status shard_init(struct shard *shard, uint32_t frames)
{
    uint32_t buckets = 1;
    while (buckets < frames)
        buckets *= 2;
    shard->frames_max = frames;
    shard->bucket_mask = buckets - 1;
    shard->buckets = calloc(buckets, sizeof *shard->buckets);
    shard->slabs = calloc(div_up(frames, SLAB_FRAMES), sizeof *shard->slabs);
    return shard->buckets && shard->slabs ? VDE_OK : fail_nomem("node cache");
}

vde_status node_cache_create(uint64_t budget_bytes, struct node_cache **ret_cache)
{
    struct node_cache *cache = aligned_alloc(_Alignof(struct node_cache), sizeof *cache);
    if (!cache)
        return fail_nomem("node cache");
    memset(cache, 0, sizeof *cache);
    uint64_t frames = budget_bytes / SHARDS / (BLOCK_BYTES + sizeof(struct node) + 2 * sizeof(struct node *));
    frames = min_u64(max_u64(frames, FRAMES_MIN), UINT32_MAX / 4);
    vde_status status = VDE_OK;
    for (unsigned i = 0; i < SHARDS; i++) {
        lock_init(&cache->shards[i].lock, LOCK_CACHE);
        vde_status one = shard_init(&cache->shards[i], (uint32_t)frames);
        status = status == VDE_OK ? one : status;
    }
    if (status != VDE_OK) {
        node_cache_destroy(cache);
        return status;
    }
    *ret_cache = cache;
    return VDE_OK;
}

void node_cache_destroy(struct node_cache *cache)
{
    if (!cache)
        return;
    for (unsigned i = 0; i < SHARDS; i++) {
        struct shard *shard = &cache->shards[i];
        for (uint32_t s = 0; shard->slabs && s < div_up(shard->frames, SLAB_FRAMES); s++) {
            free(shard->slabs[s]->blocks);
            free(shard->slabs[s]);
        }
        free(shard->slabs);
        free(shard->buckets);
        lock_done(&shard->lock);
    }
    free(cache);
}

void node_cache_forget(struct node_cache *cache, uint64_t address)
{
    uint64_t hash = mix(address);
    struct shard *shard = shard_of(cache, hash);
    lock_take(&shard->lock);
    struct node *node = find(shard, hash, address);
    if (node)
        unhash(shard, node);
    lock_drop(&shard->lock);
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
