/* SPDX-License-Identifier: Apache-2.0 */
/* test_tree_model.c -- random batches of changes against a sorted array. After every batch: the same content, every block
 * owned once and none leaked, exact counts, and versions kept from earlier read as they did. Prints the seed that fails.
 *
 *   test_tree_model [first seed] [seeds] */
#include <stdbool.h>

#include "base/checked.h"
#include "tree/page.h"
#include "tree/spill.h"
#include "unit/tree/ram_store.h"

#define TREE 7u
#define BLOCKS 12288u
#define KEPT_MAX 3u
#define BATCHES 14u

/* An immutable record of the model, shared by the versions that have it. */
struct fact {
    unsigned references;
    enum value_kind kind; /* INLINE stands for the value, however it is stored */
    size_t key_size, value_size;
    uint8_t *value;
    uint8_t key[NODE_KEY_MAX];
};

struct model {
    struct fact **facts;
    size_t count;
};

struct version {
    struct tree_root root;
    struct model model;
    uint32_t generation;
};

struct world {
    uint64_t random, seed;
    struct ram_store ram;
    struct tree_root root;
    struct model model;
    struct version kept[KEPT_MAX];
    unsigned kept_count;
    unsigned key_style;
    size_t value_limit;
    uint64_t streams[4]; /* next number by stream */
};

static uint64_t below(struct world *w, uint64_t limit)
{
    return ram_random(&w->random) % limit;
}

static void fact_unref(struct fact *fact)
{
    if (--fact->references > 0)
        return;
    free(fact->value);
    free(fact);
}

static struct model model_copy(const struct model *model)
{
    struct model copy = {malloc((model->count + 1) * sizeof *copy.facts), model->count};
    RAM_REQUIRE(copy.facts);
    for (size_t i = 0; i < model->count; i++) {
        copy.facts[i] = model->facts[i];
        copy.facts[i]->references++;
    }
    return copy;
}

static void model_done(struct model *model)
{
    for (size_t i = 0; i < model->count; i++)
        fact_unref(model->facts[i]);
    free(model->facts);
}

static int fact_order(const void *a, const void *b)
{
    const struct fact *x = *(struct fact *const *)a, *y = *(struct fact *const *)b;
    return key_compare(x->key, x->key_size, y->key, y->key_size);
}

/* --- making changes ----------------------------------------------------------------------------------------------- */

static void number_key(struct fact *fact, uint64_t high, uint64_t low)
{
    be64_put(fact->key, high);
    be64_put(fact->key + 8, low);
    fact->key_size = 16;
}

static void random_key(struct world *w, struct fact *fact)
{
    switch (w->key_style) {
    case 0: /* short, dense */
        fact->key_size = 1 + below(w, 3);
        for (size_t i = 0; i < fact->key_size; i++)
            fact->key[i] = (uint8_t)below(w, 12);
        break;
    case 1: /* numbers, spread */
        number_key(fact, 42, below(w, 4000) * 1000003);
        break;
    case 2: { /* several streams, each growing at its end */
        uint64_t stream = below(w, 4);
        number_key(fact, stream, below(w, 8) == 0 ? below(w, w->streams[stream] + 1) : w->streams[stream]++);
        break;
    }
    case 3: /* the longest, told apart only at the end */
        fact->key_size = NODE_KEY_MAX - below(w, 2);
        memset(fact->key, 'k', fact->key_size);
        be64_put(fact->key + fact->key_size - 8, below(w, 300));
        break;
    default: /* any length, shared prefixes of any length */
        fact->key_size = 1 + below(w, below(w, 4) == 0 ? NODE_KEY_MAX : 40);
        memset(fact->key, 'a', fact->key_size);
        fact->key[below(w, fact->key_size)] = (uint8_t)below(w, 256);
        fact->key[fact->key_size - 1] = (uint8_t)below(w, 256);
        break;
    }
}

static void random_value(struct world *w, struct fact *fact)
{
    static const size_t edges[] = {0, 1, NODE_RECORD_MAX - NODE_KEY_MAX, NODE_RECORD_MAX, BLOCK_BYTES, 3 * BLOCK_BYTES};
    size_t size = below(w, 100);
    if (below(w, 12) == 0)
        size = edges[below(w, sizeof edges / sizeof edges[0])] + below(w, 3);
    else if (below(w, 4) == 0)
        size = below(w, w->value_limit);
    if (below(w, 150) == 0)
        size = below(w, 90000);
    bool compressible = below(w, 2) == 0;
    fact->kind = VALUE_INLINE;
    fact->value_size = size;
    fact->value = malloc(size + 1);
    RAM_REQUIRE(fact->value);
    uint64_t word = ram_random(&w->random);
    for (size_t i = 0; i < size; i++)
        fact->value[i] = (uint8_t)(compressible ? word >> i / 512 % 8 : ram_random(&word));
}

static struct fact *model_find(const struct model *model, const struct fact *like)
{
    if (model->count == 0)
        return NULL;
    struct fact *const *hit = bsearch(&like, model->facts, model->count, sizeof *model->facts, fact_order);
    return hit ? *hit : NULL;
}

/* An extent of its own, or sometimes the one that the key names already, with other bytes behind the pointer. */
static void extent_value(struct world *w, struct fact *fact)
{
    const struct fact *old = model_find(&w->model, fact);
    struct disk_ptr extent;
    if (old && old->kind == VALUE_EXTENT && below(w, 2) == 0) {
        memcpy(&extent, old->value, sizeof extent);
    } else {
        uint32_t blocks = 1 + (uint32_t)below(w, 3);
        uint64_t address;
        RAM_REQUIRE(ram_allocate(&w->ram, blocks, &address) == VDE_OK);
        extent = ptr_put((struct ptr){address, blocks, blocks * BLOCK_BYTES - 7, w->ram.writer.birth, 99});
    }
    fact->kind = VALUE_EXTENT;
    fact->value_size = sizeof extent + below(w, 20);
    fact->value = calloc(1, fact->value_size);
    RAM_REQUIRE(fact->value);
    memcpy(fact->value, &extent, sizeof extent);
    for (size_t i = sizeof extent; i < fact->value_size; i++)
        fact->value[i] = (uint8_t)below(w, 256);
}

static struct fact *random_change(struct world *w, unsigned delete_percent)
{
    struct fact *fact = calloc(1, sizeof *fact);
    RAM_REQUIRE(fact);
    fact->references = 1;
    if (w->model.count > 0 && below(w, 100) < 40) {
        const struct fact *old = w->model.facts[below(w, w->model.count)];
        memcpy(fact->key, old->key, old->key_size);
        fact->key_size = old->key_size;
    } else {
        random_key(w, fact);
    }
    if (below(w, 100) < delete_percent)
        fact->kind = VALUE_DELETE;
    else if (below(w, 20) == 0)
        fact->kind = VALUE_EXTENT; /* its extent is taken once the key is known to be unique in the batch */
    else
        random_value(w, fact);
    return fact;
}

/* Sorted, each key once. Sometimes a whole range is deleted instead. */
static struct model random_batch(struct world *w)
{
    static const size_t sizes[] = {1, 3, 20, 100, 400};
    size_t want = 1 + below(w, sizes[below(w, 5)]);
    unsigned delete_percent = below(w, 4) == 0 ? 95 : 25;
    struct model batch = {malloc((want + w->model.count + 1) * sizeof *batch.facts), 0};
    RAM_REQUIRE(batch.facts);
    if (w->model.count > 0 && below(w, 6) == 0) {
        size_t from = below(w, w->model.count), to = from + below(w, w->model.count - from) + 1;
        for (size_t i = from; i < to; i++) {
            if (below(w, 30) == 0)
                continue;
            struct fact *fact = calloc(1, sizeof *fact);
            RAM_REQUIRE(fact);
            *fact = (struct fact){.references = 1, .kind = VALUE_DELETE, .key_size = w->model.facts[i]->key_size};
            memcpy(fact->key, w->model.facts[i]->key, fact->key_size);
            batch.facts[batch.count++] = fact;
        }
        return batch;
    }
    for (size_t i = 0; i < want; i++)
        batch.facts[batch.count++] = random_change(w, delete_percent);
    qsort(batch.facts, batch.count, sizeof *batch.facts, fact_order);
    size_t n = 0;
    for (size_t i = 0; i < batch.count; i++) {
        if (n > 0 && fact_order(&batch.facts[n - 1], &batch.facts[i]) == 0) {
            fact_unref(batch.facts[i]);
            continue;
        }
        if (batch.facts[i]->kind == VALUE_EXTENT)
            extent_value(w, batch.facts[i]);
        batch.facts[n++] = batch.facts[i];
    }
    batch.count = n;
    return batch;
}

static struct model merged(const struct model *old, const struct model *batch)
{
    struct model next = {malloc((old->count + batch->count + 1) * sizeof *next.facts), 0};
    RAM_REQUIRE(next.facts);
    for (size_t i = 0, j = 0; i < old->count || j < batch->count;) {
        int order = i == old->count ? 1 : j == batch->count ? -1 : fact_order(&old->facts[i], &batch->facts[j]);
        struct fact *fact = order < 0 ? old->facts[i] : batch->facts[j];
        i += order <= 0;
        j += order >= 0;
        if (fact->kind == VALUE_DELETE)
            continue;
        fact->references++;
        next.facts[next.count++] = fact;
    }
    return next;
}

/* --- comparing ---------------------------------------------------------------------------------------------------- */

static void same_value(struct world *w, const struct fact *fact, enum value_kind kind, const void *data, size_t size)
{
    if (kind != VALUE_SPILLED) {
        RAM_REQUIRE(kind == fact->kind && size == fact->value_size && memcmp(data, fact->value, size) == 0);
        return;
    }
    void *value;
    RAM_REQUIRE(fact->kind == VALUE_INLINE && fact->key_size + fact->value_size > NODE_RECORD_MAX);
    RAM_REQUIRE(spill_read(&w->ram.store, data, size, &value, &size) == VDE_OK);
    RAM_REQUIRE(size == fact->value_size && memcmp(value, fact->value, size) == 0);
    free(value);
}

static void same_record(struct world *w, const struct tree_cursor *cursor, const struct fact *fact)
{
    const void *key;
    size_t key_size;
    struct tree_value value;
    tree_cursor_record(cursor, &key, &key_size, &value);
    RAM_REQUIRE(key_size == fact->key_size && memcmp(key, fact->key, key_size) == 0);
    same_value(w, fact, value.kind, value.data, value.size);
}

static void same_content(struct world *w, const struct tree_root *root, const struct model *model)
{
    struct tree_cursor *cursor;
    RAM_REQUIRE(tree_cursor_open(&w->ram.store, TREE, root, &cursor) == VDE_OK);
    RAM_REQUIRE(tree_cursor_seek(cursor, NULL, 0) == VDE_OK);
    for (size_t i = 0; i < model->count; i++) {
        RAM_REQUIRE(tree_cursor_valid(cursor));
        same_record(w, cursor, model->facts[i]);
        RAM_REQUIRE(tree_cursor_next(cursor) == VDE_OK);
    }
    RAM_REQUIRE(!tree_cursor_valid(cursor));
    tree_cursor_close(cursor);
}

/* Seeks in both directions and lookups of random keys, present or not. */
static void same_searches(struct world *w, const struct tree_root *root, const struct model *model)
{
    struct tree_cursor *cursor;
    RAM_REQUIRE(tree_cursor_open(&w->ram.store, TREE, root, &cursor) == VDE_OK);
    for (unsigned n = 0; n < 30; n++) {
        struct fact like = {0};
        if (model->count > 0 && below(w, 2) == 0)
            like = *model->facts[below(w, model->count)];
        else
            random_key(w, &like);
        size_t at = 0;
        const struct fact *p = &like;
        while (at < model->count && fact_order(&model->facts[at], &p) < 0)
            at++;
        bool present = at < model->count && fact_order(&model->facts[at], &p) == 0;

        RAM_REQUIRE(tree_cursor_seek(cursor, like.key, like.key_size) == VDE_OK);
        RAM_REQUIRE(tree_cursor_valid(cursor) == (at < model->count));
        if (at < model->count)
            same_record(w, cursor, model->facts[at]);
        RAM_REQUIRE(tree_cursor_seek_before(cursor, like.key, like.key_size) == VDE_OK);
        RAM_REQUIRE(tree_cursor_valid(cursor) == (present || at > 0));
        if (present || at > 0)
            same_record(w, cursor, model->facts[present ? at : at - 1]);

        enum value_kind kind;
        void *data;
        size_t size;
        vde_status status = tree_get(&w->ram.store, TREE, root, like.key, like.key_size, &kind, &data, &size);
        RAM_REQUIRE(status == (present ? VDE_OK : VDE_NOT_FOUND));
        if (present) {
            same_value(w, model->facts[at], kind, data, size);
            free(data);
        }
    }
    tree_cursor_close(cursor);
}

/* --- one seed ----------------------------------------------------------------------------------------------------- */

static void keep_version(struct world *w)
{
    if (w->kept_count == KEPT_MAX) {
        model_done(&w->kept[0].model);
        memmove(w->kept, w->kept + 1, (KEPT_MAX - 1) * sizeof w->kept[0]);
        w->kept_count--;
    }
    w->kept[w->kept_count++] = (struct version){w->root, model_copy(&w->model), w->ram.generation};
}

static void apply_batch(struct world *w)
{
    struct model batch = random_batch(w);
    struct tree_op *ops = calloc(batch.count + 1, sizeof *ops);
    RAM_REQUIRE(ops);
    for (size_t i = 0; i < batch.count; i++) {
        const struct fact *f = batch.facts[i];
        ops[i] = (struct tree_op){f->key, f->key_size, f->kind, f->value, f->value_size};
    }
    w->ram.generation++;
    w->ram.writer.birth = w->ram.generation;
    RAM_REQUIRE(tree_apply(&w->ram.writer, TREE, &w->root, ops, batch.count) == VDE_OK);
    struct model next = merged(&w->model, &batch);
    model_done(&w->model);
    model_done(&batch);
    free(ops);
    w->model = next;
}

/* Nodes must not be much emptier than promised: all but the last of a level at least a quarter full on average. */
static void check_density(const struct world *w)
{
    uint64_t used = 0, leaves = 0;
    for (uint64_t i = 1; i < w->ram.blocks; i++) {
        const struct disk_node *node = (const struct disk_node *)(w->ram.data + i * BLOCK_BYTES);
        if (w->ram.state[i] != RAM_USED || le32_get(node->magic) != NODE_MAGIC || node->level != 0)
            continue;
        used += node_used(node);
        leaves++;
    }
    RAM_REQUIRE(leaves < 8 || used / leaves > NODE_SPACE / 4);
}

static void run_seed(uint64_t seed)
{
    struct world *w = calloc(1, sizeof *w);
    RAM_REQUIRE(w);
    w->seed = w->random = seed;
    w->key_style = (unsigned)(seed % 5);
    w->value_limit = 1 + below(w, 2500);
    static const uint64_t caches[] = {0, 64 << 10, 16 << 20};
    ram_init(&w->ram, BLOCKS, caches[seed / 5 % 3]);
    w->ram.longest_run = seed % 7 == 0 ? 3 : 0;
    for (unsigned i = 0; i < BATCHES; i++) {
        if (below(w, 3) == 0)
            keep_version(w);
        apply_batch(w);
        ram_check(&w->ram, TREE, &w->root);
        check_density(w);
        same_content(w, &w->root, &w->model);
        same_searches(w, &w->root, &w->model);
        for (unsigned k = 0; k < w->kept_count; k++)
            same_content(w, &w->kept[k].root, &w->kept[k].model);
        /* A version sees everything dropped after it was kept. */
        ram_release(&w->ram, w->kept_count > 0 ? w->kept[0].generation : w->ram.generation);
    }
    RAM_REQUIRE(tree_drop_all(&w->ram.writer, TREE, &w->root) == VDE_OK);
    RAM_REQUIRE(w->ram.used == 0);
    for (unsigned k = 0; k < w->kept_count; k++)
        model_done(&w->kept[k].model);
    model_done(&w->model);
    ram_done(&w->ram);
    free(w);
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 0) : 1, seeds = argc > 2 ? strtoull(argv[2], NULL, 0) : 240;
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        fprintf(stderr, "\rseed %llu ", (unsigned long long)seed);
        run_seed(seed);
    }
    fprintf(stderr, "\rtree model: %llu seeds from %llu fine\n", (unsigned long long)seeds, (unsigned long long)first);
    return 0;
}
