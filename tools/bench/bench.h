/* SPDX-License-Identifier: Apache-2.0 */
/* bench.h -- the parts of vde-bench. Everything here ends the program on failure: a benchmark has no caller to tell. */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include <lakehouse/all.h>
#include <vde/vde.h>

struct bench_config {
    const char *dir;          /* where images and the files of floor and peers lie: one file system for all */
    const char *export_dir;   /* T1: also write the table's log here; NULL: don't */
    uint64_t ops;             /* interleaved scenarios: operations of each */
    double seconds;           /* scenarios in turns: length of a turn */
    unsigned rounds;          /* scenarios in turns: turns of each */
    unsigned writers;         /* C2: threads, tables */
    uint64_t files;           /* T1: files of the table */
    uint64_t seed;
    uint64_t image_bytes;
    uint64_t volume_bytes;    /* volumes: B1 B2 B7; 0: a third of the image */
    uint64_t commits;         /* R1, R2: commits since format */
    unsigned checkpoint_ms;
    unsigned run;             /* 1, 2, ...: which repetition this is */
    bool peers;
    bool keep;
};

/* --- util.c ------------------------------------------------------------------------------------------------------- */
_Noreturn void bench_die(const char *format, ...) VDE_PRINTF(1, 2);
/* Ends the program with the thread's error detail unless `status` is VDE_OK. */
void bench_must(vde_status status, const char *what);
void *bench_alloc(size_t size); /* zeroed */
double bench_now(void);        /* seconds, monotone */
double bench_thread_cpu(void); /* seconds */
double bench_process_cpu(void);
uint64_t bench_mix(uint64_t value); /* splitmix64 */
/* A file of `size` bytes that are not zeros, every block written and flushed. */
void bench_prewrite(const char *path, uint64_t size, uint64_t seed);
char *bench_path(const char *dir, const char *name); /* to be freed */

struct samples {
    double *values;
    size_t count, capacity;
    double cpu; /* seconds, summed */
    bool sorted;
};
void samples_add(struct samples *samples, double value, double cpu);
void samples_append(struct samples *samples, const struct samples *more);
double samples_at(struct samples *samples, double quantile); /* sorts */
void samples_free(struct samples *samples);
double bench_median(const double *values, size_t count);

/* What else the machine did meanwhile. */
struct noise {
    uint64_t busy, steal, total; /* ticks of all processors */
    double cpu, time;
};
void noise_begin(struct noise *noise);
json_t *noise_end(const struct noise *noise);

/* --- gen.c: the data, the same for every participant ---------------------------------------------------------------- */
struct gen_file {
    char path[64];
    char stats[256];
    int64_t size_bytes;
    int64_t modified_ms;
};
#define GEN_SCHEMA "id BIGINT NOT NULL, day DATE, amount DOUBLE"
#define GEN_TEXT_MAX 1024
/* File number `number` of a table: a function of its arguments alone. */
void gen_file(uint64_t seed, unsigned table, uint64_t number, struct gen_file *ret_file);
/* {"add":{...}}; returns its length, no NUL. */
size_t gen_action(const struct gen_file *file, char *text);
/* The file's commit as a Delta NNN.json: commitInfo and add. */
size_t gen_commit(const struct gen_file *file, char *text);
/* A decimal number without a NUL, `digits` wide. */
char *gen_digits(char *text, uint64_t number, unsigned digits);
char *gen_text(char *text, const char *more);
void gen_table_name(char name[32], const char *prefix, unsigned table);

/* --- actors: whoever makes durable commits --------------------------------------------------------------------------- */
struct worker;
struct actor {
    const char *name;
    unsigned tables;
    uint64_t *commits;   /* per table, since opened */
    void *state;
    /* One durable commit by thread `writer`. */
    void (*commit)(struct actor *actor, unsigned writer);
    /* Untimed work after it; may be NULL. */
    void (*after)(struct actor *actor, unsigned writer);
    /* Asynchronous actors: run until the worker is told to stop. `threads` of them. */
    void (*loop)(struct actor *actor, struct worker *worker);
    unsigned threads;
    /* Compare everything that was committed with what should be there. */
    void (*verify)(struct actor *actor);
    /* Let go of what hangs on the subject's handles, which are about to be opened anew; may be NULL. */
    void (*detach)(struct actor *actor);
    void (*close)(struct actor *actor);
};
struct actor *actor_new(const char *name, unsigned tables, size_t state_size);
void actor_close(struct actor *actor); /* NULL is fine */

struct actor *floor_open(const struct bench_config *config, unsigned writers);
struct actor *link_open(const struct bench_config *config, unsigned tables);
/* NULL when vde-bench was built without the library. */
struct actor *sqlite_open(const struct bench_config *config, const char *name, unsigned tables, unsigned per_commit);
struct actor *lmdb_open(const struct bench_config *config, const char *name, unsigned tables, unsigned per_commit);

struct subject {
    char *path;
    vde_image *image;
    lh_lakehouse *lakehouse; /* NULL for the engine alone */
};
void subject_format(struct subject *subject, const struct bench_config *config, const char *name, bool lakehouse);
void subject_open(struct subject *subject, const struct bench_config *config);
/* Close, and open anew: what is verified afterwards was read from the image. */
void subject_reopen(struct subject *subject, const struct bench_config *config);
void subject_close(struct subject *subject, bool keep);
json_t *subject_counters(const struct vde_image_counters *before, const struct vde_image_counters *after);

#define ENGINE_RECORD_BYTES 400
struct actor *engine_open(const struct bench_config *config, struct subject *subject, const char *name, unsigned tables,
                          bool async);
enum { TABLE_NATIVE = 0, TABLE_JSON = 1, TABLE_ASYNC = 2 };
/* Every commit adds one file to each of `per_commit` tables; writer w has the tables w * per_commit and on. */
struct actor *table_open(const struct bench_config *config, struct subject *subject, const char *name, unsigned writers,
                         unsigned per_commit, unsigned how);

/* --- runners ---------------------------------------------------------------------------------------------------------- */
struct worker {
    struct actor *actor;
    unsigned index;
    struct samples latency;
    const bool *stop; /* atomic */
    void *private_data;
};
bool worker_stopped(const struct worker *worker);
#define ACTORS_MAX 16
struct field {
    struct actor *floor;
    struct actor *actors[ACTORS_MAX];
    unsigned count;
};
void field_add(struct field *field, struct actor *actor);
void field_close(struct field *field);
/* Commit a little with everyone and compare what can be read then; before anything is timed. */
void field_prove(struct field *field);
/* Compare all that was committed, once as it stands and once after the image was opened anew. */
void field_verify(struct field *field, struct subject *subject, const struct bench_config *config);
/* Commits on writer 0, operation by operation: floor, actor, floor, another actor ...; order drawn anew each round. */
void interleave(const struct bench_config *config, struct field *field, json_t *result);
/* All writers at once, in turns: floor, actor, floor, another actor ... */
void turns(const struct bench_config *config, struct field *field, struct subject *subject, json_t *result);

json_t *scenario_c1(const struct bench_config *config);
json_t *scenario_c1e(const struct bench_config *config);
json_t *scenario_c2(const struct bench_config *config);
json_t *scenario_c2e(const struct bench_config *config);
json_t *scenario_c4(const struct bench_config *config);
json_t *scenario_t1(const struct bench_config *config);
json_t *scenario_b1(const struct bench_config *config);
json_t *scenario_b2(const struct bench_config *config);
json_t *scenario_b3(const struct bench_config *config);
json_t *scenario_b4(const struct bench_config *config);
json_t *scenario_b5(const struct bench_config *config);
json_t *scenario_b6(const struct bench_config *config);
json_t *scenario_b7(const struct bench_config *config);
json_t *scenario_r1(const struct bench_config *config);
json_t *scenario_r2(const struct bench_config *config);
int open_once(const char *image, const char *table);

/* --- report.c --------------------------------------------------------------------------------------------------------- */
json_t *report_begin(const struct bench_config *config, const char *scenario);
json_t *report_row(json_t *result, const char *name);
json_t *report_find(const json_t *result, const char *name); /* NULL */
/* `value` = numerator's field / denominator's field; left out when a row is missing. */
void report_ratio(json_t *result, const char *label, const char *over, const char *over_field, const char *under,
                  const char *under_field, bool at_least, double target);
void report_target(json_t *result, const char *label, double value, bool at_least, double target);
void report_print(const json_t *result);
/* Do two runs agree? Adds "agreement" to the later one. */
void report_compare(const json_t *earlier, json_t *later);

#endif
