/* SPDX-License-Identifier: Apache-2.0 */
/* floor.c -- the commit floor: one durable O_DIRECT write of 4 KiB into a file that was written before. And a durable
 * Delta commit on a file system: create, write, fsync, link (which fails when the name exists), fsync of the folder. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bench.h"

struct actor *actor_new(const char *name, unsigned tables, size_t state_size)
{
    struct actor *actor = bench_alloc(sizeof *actor);
    actor->name = name;
    actor->tables = tables;
    actor->threads = tables;
    actor->commits = bench_alloc(tables * sizeof *actor->commits);
    actor->state = bench_alloc(state_size);
    return actor;
}

void actor_close(struct actor *actor)
{
    if (!actor)
        return;
    actor->close(actor);
    free(actor->commits);
    free(actor->state);
    free(actor);
}

/* --- floor ---------------------------------------------------------------------------------------------------------- */
enum { FLOOR_BLOCK = 4096, FLOOR_BLOCKS = 4096 }; /* 16 MiB a writer */
struct floor {
    int fd;
    char *path;
    uint8_t *buffers; /* one block a writer */
};

static void floor_commit(struct actor *actor, unsigned writer)
{
    struct floor *floor = actor->state;
    uint64_t number = actor->commits[writer]++;
    uint8_t *block = floor->buffers + (size_t)writer * FLOOR_BLOCK;
    memcpy(block, &number, sizeof number);
    struct iovec part = {block, FLOOR_BLOCK};
    off_t at = (off_t)((writer * (uint64_t)FLOOR_BLOCKS + number % FLOOR_BLOCKS) * FLOOR_BLOCK);
    if (pwritev2(floor->fd, &part, 1, at, RWF_DSYNC) != FLOOR_BLOCK)
        bench_die("%s: %s", floor->path, strerror(errno));
}

static void floor_verify(struct actor *actor)
{
    struct floor *floor = actor->state;
    uint8_t *block = aligned_alloc(FLOOR_BLOCK, FLOOR_BLOCK);
    for (unsigned writer = 0; writer < actor->tables; writer++) {
        uint64_t number = actor->commits[writer], found;
        if (number == 0)
            continue;
        off_t at = (off_t)((writer * (uint64_t)FLOOR_BLOCKS + (number - 1) % FLOOR_BLOCKS) * FLOOR_BLOCK);
        if (!block || pread(floor->fd, block, FLOOR_BLOCK, at) != FLOOR_BLOCK)
            bench_die("%s: %s", floor->path, strerror(errno));
        memcpy(&found, block, sizeof found);
        if (found != number - 1)
            bench_die("floor: wrong block");
    }
    free(block);
}

static void floor_close(struct actor *actor)
{
    struct floor *floor = actor->state;
    close(floor->fd);
    unlink(floor->path);
    free(floor->path);
    free(floor->buffers);
}

struct actor *floor_open(const struct bench_config *config, unsigned writers)
{
    struct actor *actor = actor_new("floor", writers, sizeof(struct floor));
    struct floor *floor = actor->state;
    floor->path = bench_path(config->dir, "floor.dat");
    bench_prewrite(floor->path, (uint64_t)writers * FLOOR_BLOCKS * FLOOR_BLOCK, config->seed);
    floor->fd = open(floor->path, O_RDWR | O_DIRECT | O_CLOEXEC);
    floor->buffers = aligned_alloc(FLOOR_BLOCK, (size_t)writers * FLOOR_BLOCK);
    if (floor->fd < 0 || !floor->buffers)
        bench_die("%s: %s", floor->path, strerror(errno));
    memset(floor->buffers, 0xa5, (size_t)writers * FLOOR_BLOCK);
    actor->commit = floor_commit;
    actor->verify = floor_verify;
    actor->close = floor_close;
    return actor;
}

/* --- create and link ------------------------------------------------------------------------------------------------ */
struct links {
    uint64_t seed;
    char *root;
    int *folders; /* one a table */
};

static void link_names(unsigned writer, uint64_t number, char final[32], char staged[32])
{
    char *at = gen_digits(final, number, 20);
    memcpy(at, ".json", 6);
    at = gen_text(staged, "_staged.");
    at = gen_digits(at, writer, 4);
    *at = 0;
}

static void link_commit(struct actor *actor, unsigned writer)
{
    struct links *links = actor->state;
    struct gen_file file;
    char text[GEN_TEXT_MAX], final[32], staged[32];
    uint64_t number = actor->commits[writer]++;
    gen_file(links->seed, writer, number, &file);
    size_t size = gen_commit(&file, text);
    link_names(writer, number, final, staged);
    int folder = links->folders[writer];
    int fd = openat(folder, staged, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, text, size) != (ssize_t)size || fsync(fd) != 0 || close(fd) != 0 ||
        linkat(folder, staged, folder, final, 0) != 0 || fsync(folder) != 0)
        bench_die("%s: %s", final, strerror(errno));
}

/* The staged name goes outside the measured time. */
static void link_after(struct actor *actor, unsigned writer)
{
    struct links *links = actor->state;
    char final[32], staged[32];
    link_names(writer, 0, final, staged);
    if (unlinkat(links->folders[writer], staged, 0) != 0)
        bench_die("%s: %s", staged, strerror(errno));
}

static void link_verify(struct actor *actor)
{
    struct links *links = actor->state;
    for (unsigned table = 0; table < actor->tables; table++) {
        for (uint64_t number = 0; number < actor->commits[table]; number++) {
            struct gen_file file;
            char text[GEN_TEXT_MAX], found[GEN_TEXT_MAX], final[32], staged[32];
            gen_file(links->seed, table, number, &file);
            size_t size = gen_commit(&file, text);
            link_names(table, number, final, staged);
            int fd = openat(links->folders[table], final, O_RDONLY | O_CLOEXEC);
            if (fd < 0 || read(fd, found, sizeof found) != (ssize_t)size || memcmp(found, text, size) != 0)
                bench_die("create+link: %s is wrong", final);
            close(fd);
        }
    }
}

static void link_close(struct actor *actor)
{
    struct links *links = actor->state;
    for (unsigned table = 0; table < actor->tables; table++) {
        char final[32], staged[32], folder[16];
        for (uint64_t number = 0; number < actor->commits[table]; number++) {
            link_names(table, number, final, staged);
            unlinkat(links->folders[table], final, 0);
        }
        close(links->folders[table]);
        *gen_digits(gen_text(folder, "t"), table, 4) = 0;
        char *path = bench_path(links->root, folder);
        rmdir(path);
        free(path);
    }
    rmdir(links->root);
    free(links->root);
    free(links->folders);
}

struct actor *link_open(const struct bench_config *config, unsigned tables)
{
    struct actor *actor = actor_new("create+link", tables, sizeof(struct links));
    struct links *links = actor->state;
    links->seed = config->seed;
    links->root = bench_path(config->dir, "links");
    links->folders = bench_alloc(tables * sizeof *links->folders);
    mkdir(links->root, 0755);
    for (unsigned table = 0; table < tables; table++) {
        char folder[16];
        *gen_digits(gen_text(folder, "t"), table, 4) = 0;
        char *path = bench_path(links->root, folder);
        links->folders[table] = mkdir(path, 0755) == 0 ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        if (links->folders[table] < 0)
            bench_die("%s: %s", path, strerror(errno));
        free(path);
    }
    actor->commit = link_commit;
    actor->after = link_after;
    actor->verify = link_verify;
    actor->close = link_close;
    return actor;
}
