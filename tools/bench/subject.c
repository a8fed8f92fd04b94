/* SPDX-License-Identifier: Apache-2.0 */
/* subject.c -- the image under test, and the engine alone: 400 bytes appended to a stream per commit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

void subject_open(struct subject *subject, const struct bench_config *config)
{
    struct vde_open_opts options = VDE_OPEN_OPTS_INIT;
    options.checkpoint_ms = config->checkpoint_ms;
    bench_must(vde_image_open(subject->path, &options, &subject->image), "open");
}

void subject_format(struct subject *subject, const struct bench_config *config, const char *name, bool lakehouse)
{
    struct vde_format_opts options = VDE_FORMAT_OPTS_INIT;
    options.size_bytes = config->image_bytes;
    options.flags = VDE_FORMAT_FORCE;
    *subject = (struct subject){.path = bench_path(config->dir, name)};
    bench_prewrite(subject->path, config->image_bytes, config->seed);
    bench_must(vde_image_format(subject->path, &options), "format");
    subject_open(subject, config);
    if (lakehouse) {
        bench_must(lh_open(subject->image, NULL, &subject->lakehouse), "lh_open");
        bench_must(lh_namespace_create(subject->lakehouse, "bench", NULL, 0), "namespace");
    }
}

void subject_reopen(struct subject *subject, const struct bench_config *config)
{
    bool lakehouse = subject->lakehouse != NULL;
    lh_close(subject->lakehouse);
    bench_must(vde_image_close(subject->image), "close");
    subject_open(subject, config);
    subject->lakehouse = NULL;
    if (lakehouse)
        bench_must(lh_open(subject->image, NULL, &subject->lakehouse), "lh_open");
}

void subject_close(struct subject *subject, bool keep)
{
    lh_close(subject->lakehouse);
    bench_must(vde_image_close(subject->image), "close");
    if (!keep)
        unlink(subject->path);
    free(subject->path);
}

json_t *subject_counters(const struct vde_image_counters *before, const struct vde_image_counters *after)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "commits", (json_int_t)(after->commits - before->commits),
                     "groups", (json_int_t)(after->groups - before->groups), "flushes",
                     (json_int_t)(after->flushes - before->flushes), "checkpoints",
                     (json_int_t)(after->checkpoints - before->checkpoints), "log_bytes",
                     (json_int_t)(after->log_bytes_written - before->log_bytes_written), "heap_bytes",
                     (json_int_t)(after->heap_bytes_written - before->heap_bytes_written));
}

/* --- the engine alone -------------------------------------------------------------------------------------------------- */
struct engine {
    struct subject *subject;
    uint64_t *streams;
};

static vde_txn *engine_txn(struct actor *actor, unsigned table)
{
    struct engine *engine = actor->state;
    uint64_t record[ENGINE_RECORD_BYTES / 8], number = actor->commits[table]++;
    vde_txn *txn;
    for (unsigned i = 0; i < ENGINE_RECORD_BYTES / 8; i++)
        record[i] = number * 1000003 + table + i;
    bench_must(vde_txn_create(engine->subject->image, &txn), "txn");
    bench_must(vde_txn_append(txn, engine->streams[table], number, 0, record, sizeof record), "append");
    return txn;
}

static void engine_commit(struct actor *actor, unsigned writer)
{
    struct vde_commit commit;
    vde_txn *txn = engine_txn(actor, writer);
    bench_must(vde_txn_commit(txn, &commit), "commit");
    vde_txn_destroy(txn);
}

static void engine_submit(struct actor *actor, vde_queue *queue, unsigned table)
{
    vde_txn *txn = engine_txn(actor, table);
    bench_must(vde_txn_submit_async(txn, queue, table), "submit");
    vde_txn_destroy(txn);
}

/* Every table of this thread has one commit in flight. */
static void engine_loop(struct actor *actor, struct worker *worker)
{
    struct engine *engine = actor->state;
    unsigned share = actor->tables / actor->threads, first = worker->index * share, flying = 0;
    double *begun = bench_alloc(actor->tables * sizeof *begun);
    struct vde_completion done[64];
    vde_queue *queue;
    bench_must(vde_queue_create(engine->subject->image, &queue), "queue");
    for (; flying < share; flying++) {
        begun[first + flying] = bench_now();
        engine_submit(actor, queue, first + flying);
    }
    while (flying > 0) {
        size_t count = 0;
        bench_must(vde_queue_reap(queue, done, 64, true, &count), "reap");
        double now = bench_now();
        for (size_t i = 0; i < count; i++) {
            unsigned table = (unsigned)done[i].tag;
            bench_must(done[i].status, "completion");
            samples_add(&worker->latency, now - begun[table], 0);
            flying--;
            if (worker_stopped(worker))
                continue;
            begun[table] = bench_now();
            engine_submit(actor, queue, table);
            flying++;
        }
    }
    vde_queue_destroy(queue);
    free(begun);
}

static void engine_verify(struct actor *actor)
{
    struct engine *engine = actor->state;
    vde_view *view;
    bench_must(vde_view_open(engine->subject->image, &view), "view");
    for (unsigned table = 0; table < actor->tables; table++) {
        vde_stream_cursor *cursor;
        struct vde_entry entry;
        uint64_t number = 0;
        vde_status status = VDE_OK;
        if (actor->commits[table] == 0)
            continue;
        bench_must(vde_stream_open(view, engine->streams[table], 0, &cursor), "stream");
        for (; (status = vde_stream_next(cursor, &entry)) == VDE_OK; number++) {
            uint64_t record[ENGINE_RECORD_BYTES / 8];
            if (entry.number != number || entry.size != sizeof record)
                bench_die("engine: wrong entry");
            memcpy(record, entry.data, sizeof record);
            for (unsigned i = 0; i < ENGINE_RECORD_BYTES / 8; i++)
                if (record[i] != number * 1000003 + table + i)
                    bench_die("engine: wrong bytes");
        }
        if (status != VDE_NOT_FOUND || number != actor->commits[table])
            bench_die("engine: entries are missing");
        vde_stream_close(cursor);
    }
    vde_view_close(view);
}

static void engine_close(struct actor *actor)
{
    struct engine *engine = actor->state;
    free(engine->streams);
}

struct actor *engine_open(const struct bench_config *config, struct subject *subject, const char *name, unsigned tables,
                          bool async)
{
    struct actor *actor = actor_new(name, tables, sizeof(struct engine));
    struct engine *engine = actor->state;
    (void)config;
    engine->subject = subject;
    engine->streams = bench_alloc(tables * sizeof *engine->streams);
    for (unsigned table = 0; table < tables; table++)
        engine->streams[table] = vde_id_reserve(subject->image);
    actor->commit = engine_commit;
    actor->verify = engine_verify;
    actor->close = engine_close;
    if (async) {
        actor->loop = engine_loop;
        actor->threads = 2;
    }
    return actor;
}
