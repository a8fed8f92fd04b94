/* SPDX-License-Identifier: Apache-2.0 */
/* subject_table.c -- commits to tables: one file added to each table of the transaction. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define TXN_HEAD "{\"tables\":["
#define MEMBER_MAX (GEN_TEXT_MAX + 128)

struct tables {
    struct subject *subject;
    uint64_t seed;
    unsigned per_commit;
    const char *prefix;
    char (*names)[32];
    lh_txn **txns;    /* one a writer (asynchronous: a table) */
    char **documents; /* the same, JSON only */
};

static void add_native(struct tables *tables, lh_txn *txn, unsigned table, uint64_t number)
{
    struct lh_add add = LH_ADD_INIT;
    struct gen_file file;
    size_t member;
    gen_file(tables->seed, table, number, &file);
    add.path = file.path;
    add.size_bytes = file.size_bytes;
    add.modification_time_ms = file.modified_ms;
    add.stats = file.stats;
    bench_must(lh_txn_table(txn, tables->names[table], NULL, &member), "table");
    bench_must(lh_txn_add_file(txn, member, &add), "add");
}

static char *add_document(struct tables *tables, char *at, unsigned table, uint64_t number)
{
    struct gen_file file;
    gen_file(tables->seed, table, number, &file);
    at = gen_text(at, "{\"table\":\"");
    at = gen_text(at, tables->names[table]);
    at = gen_text(at, "\",\"operation\":\"WRITE\",\"actions\":[");
    at += gen_action(&file, at);
    return gen_text(at, "]}");
}

static void commit_native(struct actor *actor, unsigned writer)
{
    struct tables *tables = actor->state;
    lh_txn *txn = tables->txns[writer];
    lh_txn_reset(txn);
    for (unsigned i = 0; i < tables->per_commit; i++) {
        unsigned table = writer * tables->per_commit + i;
        add_native(tables, txn, table, actor->commits[table]++);
    }
    bench_must(lh_commit(txn, NULL), "commit");
}

static void commit_json(struct actor *actor, unsigned writer)
{
    struct tables *tables = actor->state;
    char *text = tables->documents[writer], *at = gen_text(text, TXN_HEAD);
    lh_txn *txn;
    for (unsigned i = 0; i < tables->per_commit; i++) {
        unsigned table = writer * tables->per_commit + i;
        if (i > 0)
            *at++ = ',';
        at = add_document(tables, at, table, actor->commits[table]++);
    }
    at = gen_text(at, "]}");
    bench_must(lh_txn_from_json(tables->subject->lakehouse, text, (size_t)(at - text), &txn), "document");
    bench_must(lh_commit(txn, NULL), "commit");
    lh_txn_destroy(txn);
}

static void submit_next(struct actor *actor, lh_queue *queue, unsigned table)
{
    struct tables *tables = actor->state;
    lh_txn *txn = tables->txns[table];
    if (!tables->documents) {
        lh_txn_reset(txn);
        add_native(tables, txn, table, actor->commits[table]++);
        bench_must(lh_submit(txn, queue, table, NULL), "submit");
        return;
    }
    char *text = tables->documents[table], *at = gen_text(text, TXN_HEAD);
    at = gen_text(add_document(tables, at, table, actor->commits[table]++), "]}");
    bench_must(lh_txn_from_json(tables->subject->lakehouse, text, (size_t)(at - text), &txn), "document");
    bench_must(lh_submit(txn, queue, table, NULL), "submit");
    lh_txn_destroy(txn);
}

/* Every table of this thread has one commit in flight. */
static void submit_loop(struct actor *actor, struct worker *worker)
{
    struct tables *tables = actor->state;
    unsigned share = actor->tables / actor->threads, first = worker->index * share, flying = 0;
    double *begun = bench_alloc(actor->tables * sizeof *begun);
    struct lh_completion done[64];
    lh_queue *queue;
    bench_must(lh_queue_create(tables->subject->lakehouse, &queue), "queue");
    for (; flying < share; flying++) {
        begun[first + flying] = bench_now();
        submit_next(actor, queue, first + flying);
    }
    while (flying > 0) {
        size_t count = 0;
        bench_must(lh_queue_reap(queue, done, 64, true, &count), "reap");
        double now = bench_now();
        for (size_t i = 0; i < count; i++) {
            unsigned table = (unsigned)done[i].tag;
            bench_must(done[i].status, "completion");
            samples_add(&worker->latency, now - begun[table], 0);
            flying--;
            if (worker_stopped(worker))
                continue;
            begun[table] = bench_now();
            submit_next(actor, queue, table);
            flying++;
        }
    }
    lh_queue_destroy(queue);
    free(begun);
}

/* Version 0 made the table, each version after it added one file. */
static void verify_table(const struct actor *actor, unsigned table)
{
    const struct tables *tables = actor->state;
    lh_snapshot *snapshot;
    struct lh_file_info found;
    uint64_t number = 0;
    vde_status status;
    bench_must(lh_snapshot_open(tables->subject->lakehouse, tables->names[table], &snapshot), "snapshot");
    const struct lh_table_info *info = lh_snapshot_info(snapshot);
    if (info->version != actor->commits[table] || info->files != actor->commits[table] || info->column_count != 3)
        bench_die("%s: version %llu with %llu files, expected %llu", tables->names[table],
                  (unsigned long long)info->version, (unsigned long long)info->files,
                  (unsigned long long)actor->commits[table]);
    for (; (status = lh_snapshot_next_file(snapshot, &found)) == VDE_OK; number++) {
        struct gen_file file;
        gen_file(tables->seed, table, number, &file);
        if (strcmp(found.path, file.path) != 0 || found.size_bytes != file.size_bytes || !found.stats ||
            strcmp(found.stats, file.stats) != 0 || found.modification_time_ms != file.modified_ms)
            bench_die("%s: file %llu is wrong", tables->names[table], (unsigned long long)number);
    }
    if (status != VDE_NOT_FOUND || number != actor->commits[table])
        bench_die("%s: %llu files, expected %llu", tables->names[table], (unsigned long long)number,
                  (unsigned long long)actor->commits[table]);
    lh_snapshot_close(snapshot);
}

static void tables_verify(struct actor *actor)
{
    for (unsigned table = 0; table < actor->tables; table++)
        verify_table(actor, table);
}

static void tables_detach(struct actor *actor)
{
    struct tables *tables = actor->state;
    for (unsigned i = 0; i < actor->tables / tables->per_commit; i++) {
        lh_txn_destroy(tables->txns[i]);
        tables->txns[i] = NULL;
    }
}

static void tables_close(struct actor *actor)
{
    struct tables *tables = actor->state;
    tables_detach(actor);
    for (unsigned i = 0; tables->documents && i < actor->tables / tables->per_commit; i++)
        free(tables->documents[i]);
    free(tables->txns);
    free(tables->documents);
    free(tables->names);
}

static void tables_create(struct actor *actor)
{
    struct tables *tables = actor->state;
    struct lh_create create = LH_CREATE_INIT;
    create.schema = GEN_SCHEMA;
    tables->names = bench_alloc(actor->tables * sizeof *tables->names);
    for (unsigned table = 0; table < actor->tables; table++) {
        gen_table_name(tables->names[table], tables->prefix, table);
        bench_must(lh_table_create(tables->subject->lakehouse, tables->names[table], &create, NULL), "create");
    }
}

struct actor *table_open(const struct bench_config *config, struct subject *subject, const char *name, unsigned writers,
                         unsigned per_commit, unsigned how)
{
    struct actor *actor = actor_new(name, writers * per_commit, sizeof(struct tables));
    struct tables *tables = actor->state;
    *tables = (struct tables){.subject = subject, .seed = config->seed, .per_commit = per_commit, .prefix = name};
    tables_create(actor);
    tables->txns = bench_alloc(writers * sizeof *tables->txns);
    if (how & TABLE_JSON)
        tables->documents = bench_alloc(writers * sizeof *tables->documents);
    for (unsigned i = 0; i < writers; i++) {
        if (how & TABLE_JSON)
            tables->documents[i] = bench_alloc(64 + (size_t)per_commit * MEMBER_MAX);
        else
            bench_must(lh_txn_create(subject->lakehouse, &tables->txns[i]), "txn");
    }
    actor->threads = writers;
    actor->commit = how & TABLE_JSON ? commit_json : commit_native;
    actor->verify = tables_verify;
    actor->detach = tables_detach;
    actor->close = tables_close;
    if (how & TABLE_ASYNC) {
        actor->loop = submit_loop;
        actor->threads = 2;
    }
    return actor;
}
