/* SPDX-License-Identifier: Apache-2.0 */
/* peer_lmdb.c -- LMDB as it comes (synchronous commits): the commit's text under table and version. One environment, whose
 * write transactions queue. */
#include "bench.h"

#ifndef VDE_BENCH_LMDB
struct actor *lmdb_open(const struct bench_config *config, const char *name, unsigned tables, unsigned per_commit)
{
    (void)config;
    (void)name;
    (void)tables;
    (void)per_commit;
    return NULL;
}
#else
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lmdb.h>

struct lmdb {
    MDB_env *env;
    MDB_dbi dbi;
    uint64_t seed;
    unsigned per_commit;
    char *path;
};
struct lmdb_key {
    uint64_t table, version; /* big-endian */
};

static void lmdb_must(int code, const char *what)
{
    if (code != 0)
        bench_die("lmdb: %s: %s", what, mdb_strerror(code));
}

static void lmdb_put(struct lmdb *lmdb, MDB_txn *txn, unsigned table, uint64_t number)
{
    struct gen_file file;
    char text[GEN_TEXT_MAX];
    struct lmdb_key name = {htobe64(table), htobe64(number)};
    gen_file(lmdb->seed, table, number, &file);
    MDB_val key = {sizeof name, &name}, value = {gen_commit(&file, text), text};
    lmdb_must(mdb_put(txn, lmdb->dbi, &key, &value, MDB_NOOVERWRITE), "put");
}

static void lmdb_commit(struct actor *actor, unsigned writer)
{
    struct lmdb *lmdb = actor->state;
    MDB_txn *txn;
    lmdb_must(mdb_txn_begin(lmdb->env, NULL, 0, &txn), "begin");
    for (unsigned i = 0; i < lmdb->per_commit; i++) {
        unsigned table = writer * lmdb->per_commit + i;
        lmdb_put(lmdb, txn, table, actor->commits[table]++);
    }
    lmdb_must(mdb_txn_commit(txn), "commit");
}

static void lmdb_verify(struct actor *actor)
{
    struct lmdb *lmdb = actor->state;
    MDB_txn *txn;
    lmdb_must(mdb_txn_begin(lmdb->env, NULL, MDB_RDONLY, &txn), "begin");
    for (unsigned table = 0; table < actor->tables; table++) {
        for (uint64_t number = 0; number < actor->commits[table]; number++) {
            struct gen_file file;
            char text[GEN_TEXT_MAX];
            struct lmdb_key name = {htobe64(table), htobe64(number)};
            MDB_val key = {sizeof name, &name}, value;
            gen_file(lmdb->seed, table, number, &file);
            size_t size = gen_commit(&file, text);
            lmdb_must(mdb_get(txn, lmdb->dbi, &key, &value), "get");
            if (value.mv_size != size || memcmp(value.mv_data, text, size) != 0)
                bench_die("lmdb: wrong value");
        }
    }
    mdb_txn_abort(txn);
}

static void lmdb_close(struct actor *actor)
{
    struct lmdb *lmdb = actor->state;
    mdb_env_close(lmdb->env);
    unlink(lmdb->path);
    size_t size = strlen(lmdb->path) + 6;
    char *lock = bench_alloc(size);
    snprintf(lock, size, "%s-lock", lmdb->path);
    unlink(lock);
    free(lock);
    free(lmdb->path);
}

/* Values that come and go again, so that the file has its size before anything is timed. */
static void lmdb_grow(struct lmdb *lmdb)
{
    enum { GROW_TXNS = 64, GROW_VALUES = 1024 };
    for (unsigned remove = 0; remove < 2; remove++) {
        for (uint64_t i = 0; i < GROW_TXNS; i++) {
            MDB_txn *txn;
            char text[GEN_TEXT_MAX];
            memset(text, 'x', sizeof text);
            lmdb_must(mdb_txn_begin(lmdb->env, NULL, 0, &txn), "begin");
            for (uint64_t j = 0; j < GROW_VALUES; j++) {
                struct lmdb_key name = {UINT64_MAX, htobe64(i * GROW_VALUES + j)};
                MDB_val key = {sizeof name, &name}, value = {sizeof text, text};
                lmdb_must(remove ? mdb_del(txn, lmdb->dbi, &key, NULL) : mdb_put(txn, lmdb->dbi, &key, &value, 0), "grow");
            }
            lmdb_must(mdb_txn_commit(txn), "commit");
        }
    }
}

struct actor *lmdb_open(const struct bench_config *config, const char *name, unsigned tables, unsigned per_commit)
{
    struct actor *actor = actor_new(name, tables, sizeof(struct lmdb));
    struct lmdb *lmdb = actor->state;
    MDB_txn *txn;
    char file[64];
    actor->threads = tables / per_commit;
    lmdb->seed = config->seed;
    lmdb->per_commit = per_commit;
    snprintf(file, sizeof file, "%s.mdb", name);
    lmdb->path = bench_path(config->dir, file);
    unlink(lmdb->path);
    lmdb_must(mdb_env_create(&lmdb->env), "create");
    lmdb_must(mdb_env_set_mapsize(lmdb->env, (size_t)4 << 30), "mapsize");
    lmdb_must(mdb_env_open(lmdb->env, lmdb->path, MDB_NOSUBDIR | MDB_NOTLS, 0644), "open");
    lmdb_must(mdb_txn_begin(lmdb->env, NULL, 0, &txn), "begin");
    lmdb_must(mdb_dbi_open(txn, NULL, 0, &lmdb->dbi), "dbi");
    lmdb_must(mdb_txn_commit(txn), "commit");
    lmdb_grow(lmdb);
    actor->commit = lmdb_commit;
    actor->verify = lmdb_verify;
    actor->close = lmdb_close;
    return actor;
}
#endif
