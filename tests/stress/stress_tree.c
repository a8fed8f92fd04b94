/* SPDX-License-Identifier: Apache-2.0 */
/* stress_tree.c -- a writer makes versions while readers walk older ones through one small cache that evicts all the
 * time. Blocks are reused as soon as no reader can see them.
 *
 *   stress_tree [seconds]
 *
 * ctest: processors=2 */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "unit/tree/ram_store.h"

#define TREE 3u
#define READERS 3
#define KEYS 4000u
#define BATCH 100u

/* Blocks are read without a lock, as from a device: who may read one is settled by the versions in use. */
struct shared {
    struct ram_store ram;
    pthread_mutex_t mutex;
    struct tree_root root;       /* guarded by mutex */
    uint32_t version;            /* guarded by mutex: every record of `root` holds it or an older one */
    uint32_t seen[READERS];      /* guarded by mutex: version in use by reader, 0 none */
    atomic_bool stop;
};

static vde_status read_block(void *context, struct ptr p, void *buffer)
{
    const struct ram_store *ram = context;
    memcpy(buffer, ram->data + p.address * BLOCK_BYTES, (size_t)p.blocks * BLOCK_BYTES);
    return VDE_OK;
}

static void key_of(uint64_t number, uint8_t key[8])
{
    be64_put(key, number * 0x9e3779b97f4a7c15u);
}

static void write_version(struct shared *shared, uint64_t *random, struct tree_root *root, uint32_t version)
{
    static uint8_t keys[BATCH][8];
    uint8_t value[60] = {0};
    struct tree_op ops[BATCH];
    unsigned count = 0;
    memcpy(value, &version, sizeof version);
    /* Ascending by the bytes of the key: pick and sort by insertion. */
    for (unsigned i = 0; i < BATCH; i++) {
        uint8_t key[8];
        key_of(ram_random(random) % KEYS, key);
        unsigned at = 0;
        while (at < count && memcmp(keys[at], key, 8) < 0)
            at++;
        if (at < count && memcmp(keys[at], key, 8) == 0)
            continue;
        memmove(keys[at + 1 < BATCH ? at + 1 : at], keys[at], (count - at) * 8);
        memcpy(keys[at], key, 8);
        count++;
    }
    for (unsigned i = 0; i < count; i++)
        ops[i] = (struct tree_op){keys[i], 8, keys[i][7] % 5 ? VALUE_INLINE : VALUE_DELETE, value, sizeof value};
    shared->ram.generation = version;
    shared->ram.writer.birth = version;
    RAM_REQUIRE(tree_apply(&shared->ram.writer, TREE, root, ops, count) == VDE_OK);
}

static void *write_all(void *argument)
{
    struct shared *shared = argument;
    uint64_t random = 1;
    while (!atomic_load(&shared->stop)) {
        pthread_mutex_lock(&shared->mutex);
        struct tree_root root = shared->root;
        uint32_t version = shared->version + 1;
        pthread_mutex_unlock(&shared->mutex);
        write_version(shared, &random, &root, version);
        pthread_mutex_lock(&shared->mutex);
        shared->root = root;
        shared->version = version;
        uint32_t oldest = version;
        for (unsigned i = 0; i < READERS; i++)
            if (shared->seen[i] > 0 && shared->seen[i] < oldest)
                oldest = shared->seen[i];
        pthread_mutex_unlock(&shared->mutex);
        ram_release(&shared->ram, oldest);
    }
    return NULL;
}

static void read_version(const struct shared *shared, const struct tree_root *root, uint32_t version, uint64_t *random)
{
    struct tree_cursor *cursor;
    uint64_t count = 0;
    RAM_REQUIRE(tree_cursor_open(&shared->ram.store, TREE, root, &cursor) == VDE_OK);
    RAM_REQUIRE(tree_cursor_seek(cursor, NULL, 0) == VDE_OK);
    for (; tree_cursor_valid(cursor); count++) {
        const void *key;
        size_t key_size;
        struct tree_value value;
        uint32_t born;
        tree_cursor_record(cursor, &key, &key_size, &value);
        memcpy(&born, value.data, sizeof born);
        RAM_REQUIRE(born <= version && value.size == 60);
        RAM_REQUIRE(tree_cursor_next(cursor) == VDE_OK);
    }
    RAM_REQUIRE(count == root->records);
    tree_cursor_close(cursor);
    for (unsigned i = 0; i < 300; i++) {
        uint8_t key[8];
        enum value_kind kind;
        void *data;
        size_t size;
        key_of(ram_random(random) % KEYS, key);
        vde_status status = tree_get(&shared->ram.store, TREE, root, key, 8, &kind, &data, &size);
        RAM_REQUIRE(status == VDE_OK || status == VDE_NOT_FOUND);
        if (status == VDE_OK)
            free(data);
    }
}

struct reader {
    struct shared *shared;
    unsigned index;
};

static void *read_all(void *argument)
{
    const struct reader *reader = argument;
    struct shared *shared = reader->shared;
    uint64_t random = reader->index + 100;
    while (!atomic_load(&shared->stop)) {
        pthread_mutex_lock(&shared->mutex);
        struct tree_root root = shared->root;
        uint32_t version = shared->version;
        shared->seen[reader->index] = version;
        pthread_mutex_unlock(&shared->mutex);
        read_version(shared, &root, version, &random);
        pthread_mutex_lock(&shared->mutex);
        shared->seen[reader->index] = 0;
        pthread_mutex_unlock(&shared->mutex);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    static struct shared shared;
    pthread_t writer, threads[READERS];
    struct reader readers[READERS];
    ram_init(&shared.ram, 4096, 16 * 4 * 4200); /* 64 frames for a tree of about a hundred nodes */
    shared.ram.store.read = read_block;
    pthread_mutex_init(&shared.mutex, NULL);
    RAM_REQUIRE(pthread_create(&writer, NULL, write_all, &shared) == 0);
    for (unsigned i = 0; i < READERS; i++) {
        readers[i] = (struct reader){&shared, i};
        RAM_REQUIRE(pthread_create(&threads[i], NULL, read_all, &readers[i]) == 0);
    }
    struct timespec pause = {argc > 1 ? atoi(argv[1]) : 10, 0};
    nanosleep(&pause, NULL);
    atomic_store(&shared.stop, true);
    RAM_REQUIRE(pthread_join(writer, NULL) == 0);
    for (unsigned i = 0; i < READERS; i++)
        RAM_REQUIRE(pthread_join(threads[i], NULL) == 0);
    ram_check(&shared.ram, TREE, &shared.root);
    printf("stress_tree: %u versions\n", shared.version);
    ram_done(&shared.ram);
    return 0;
}
