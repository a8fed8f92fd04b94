/* SPDX-License-Identifier: Apache-2.0 */
/* peer_sqlite.c -- SQLite, WAL, synchronous=FULL: the commit's text is one row. Each writer has a database of its own, so
 * that writers don't queue for one write lock. */
#include "bench.h"

#ifndef VDE_BENCH_SQLITE
struct actor *sqlite_open(const struct bench_config *config, const char *name, unsigned tables, unsigned per_commit)
{
    (void)config;
    (void)name;
    (void)tables;
    (void)per_commit;
    return NULL;
}
#else
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

struct base {
    sqlite3 *db;
    sqlite3_stmt *begin, *insert, *end;
    char *path;
};
struct bases {
    uint64_t seed;
    unsigned per_commit;
    struct base *list; /* one a writer */
};

static void sqlite_must(sqlite3 *db, int code, const char *what)
{
    if (code != SQLITE_OK && code != SQLITE_DONE && code != SQLITE_ROW)
        bench_die("sqlite: %s: %s", what, sqlite3_errmsg(db));
}

static void run(sqlite3 *db, sqlite3_stmt *statement)
{
    sqlite_must(db, sqlite3_step(statement), "step");
    sqlite_must(db, sqlite3_reset(statement), "reset");
}

static void insert_row(const struct bases *bases, const struct base *base, unsigned table, uint64_t number)
{
    struct gen_file file;
    char text[GEN_TEXT_MAX];
    gen_file(bases->seed, table, number, &file);
    size_t size = gen_commit(&file, text);
    sqlite3_bind_int64(base->insert, 1, (sqlite3_int64)table);
    sqlite3_bind_int64(base->insert, 2, (sqlite3_int64)number);
    sqlite3_bind_blob(base->insert, 3, text, (int)size, SQLITE_STATIC);
    run(base->db, base->insert);
}

static void sqlite_commit(struct actor *actor, unsigned writer)
{
    struct bases *bases = actor->state;
    struct base *base = &bases->list[writer];
    if (bases->per_commit > 1)
        run(base->db, base->begin);
    for (unsigned i = 0; i < bases->per_commit; i++) {
        unsigned table = writer * bases->per_commit + i;
        insert_row(bases, base, table, actor->commits[table]++);
    }
    if (bases->per_commit > 1)
        run(base->db, base->end);
}

static void sqlite_verify(struct actor *actor)
{
    struct bases *bases = actor->state;
    for (unsigned table = 0; table < actor->tables; table++) {
        sqlite3 *db = bases->list[table / bases->per_commit].db;
        sqlite3_stmt *query;
        uint64_t number = 0;
        sqlite_must(db, sqlite3_prepare_v2(db, "SELECT version, body FROM commits WHERE tab=? ORDER BY version", -1,
                                           &query, NULL), "prepare");
        sqlite3_bind_int64(query, 1, (sqlite3_int64)table);
        for (; sqlite3_step(query) == SQLITE_ROW; number++) {
            struct gen_file file;
            char text[GEN_TEXT_MAX];
            gen_file(bases->seed, table, number, &file);
            size_t size = gen_commit(&file, text);
            if ((uint64_t)sqlite3_column_int64(query, 0) != number || (size_t)sqlite3_column_bytes(query, 1) != size ||
                memcmp(sqlite3_column_blob(query, 1), text, size) != 0)
                bench_die("sqlite: wrong row");
        }
        sqlite3_finalize(query);
        if (number != actor->commits[table])
            bench_die("sqlite: rows are missing");
    }
}

static void unlink_with(const char *path, const char *suffix)
{
    size_t size = strlen(path) + strlen(suffix) + 1;
    char *name = bench_alloc(size);
    snprintf(name, size, "%s%s", path, suffix);
    unlink(name);
    free(name);
}

static void sqlite_close_all(struct actor *actor)
{
    struct bases *bases = actor->state;
    for (unsigned writer = 0; writer < actor->threads; writer++) {
        struct base *base = &bases->list[writer];
        sqlite3_finalize(base->begin);
        sqlite3_finalize(base->insert);
        sqlite3_finalize(base->end);
        sqlite3_close(base->db);
        unlink_with(base->path, "");
        unlink_with(base->path, "-wal");
        unlink_with(base->path, "-shm");
        free(base->path);
    }
    free(bases->list);
}

/* Rows that come and go again, so that database and WAL have their size before anything is timed. */
static void sqlite_grow(sqlite3 *db, unsigned mebibytes)
{
    char text[160];
    snprintf(text, sizeof text,
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < %u) "
             "INSERT INTO commits SELECT -1, i, randomblob(1000) FROM n", mebibytes * 1000);
    sqlite_must(db, sqlite3_exec(db, text, NULL, NULL, NULL), "grow");
    sqlite_must(db, sqlite3_exec(db, "DELETE FROM commits; PRAGMA wal_checkpoint(RESTART)", NULL, NULL, NULL), "shrink");
}

static void base_open(struct base *base, const struct bench_config *config, const char *name, unsigned writer, unsigned mib)
{
    char file[64];
    snprintf(file, sizeof file, "%s.%04u.db", name, writer);
    base->path = bench_path(config->dir, file);
    unlink_with(base->path, "");
    unlink_with(base->path, "-wal");
    sqlite_must(NULL, sqlite3_open(base->path, &base->db), "open");
    sqlite_must(base->db, sqlite3_exec(base->db,
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE commits(tab INTEGER, version INTEGER, "
                "body BLOB, PRIMARY KEY(tab, version)) WITHOUT ROWID", NULL, NULL, NULL), "create");
    sqlite_grow(base->db, mib);
    sqlite_must(base->db, sqlite3_prepare_v2(base->db, "BEGIN IMMEDIATE", -1, &base->begin, NULL), "begin");
    sqlite_must(base->db, sqlite3_prepare_v2(base->db, "COMMIT", -1, &base->end, NULL), "commit");
    sqlite_must(base->db, sqlite3_prepare_v2(base->db, "INSERT INTO commits VALUES(?,?,?)", -1, &base->insert, NULL),
                "insert");
}

struct actor *sqlite_open(const struct bench_config *config, const char *name, unsigned tables, unsigned per_commit)
{
    struct actor *actor = actor_new(name, tables, sizeof(struct bases));
    struct bases *bases = actor->state;
    actor->threads = tables / per_commit;
    bases->seed = config->seed;
    bases->per_commit = per_commit;
    bases->list = bench_alloc(actor->threads * sizeof *bases->list);
    for (unsigned writer = 0; writer < actor->threads; writer++)
        base_open(&bases->list[writer], config, name, writer, actor->threads > 1 ? 4 : 32);
    actor->commit = sqlite_commit;
    actor->verify = sqlite_verify;
    actor->close = sqlite_close_all;
    return actor;
}
#endif
