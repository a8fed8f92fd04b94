/* SPDX-License-Identifier: Apache-2.0 */
/* Image snapshots: the whole image opens as it was, whatever was changed, dropped, merged or freed since. */
#include <criterion/criterion.h>

#include <vde/snapshot.h>

#include "unit/pool/engine.h"

#define DATASETS 4u
#define KEYS 10u
#define IMAGES 6u
#define TAGS 3u

/* What one dataset holds: 0 for an absent key, else the seed of its value. */
struct contents {
    bool exists;
    uint64_t id;
    uint32_t seeds[KEYS];
    bool tagged[TAGS];
    uint32_t tag_seeds[TAGS][KEYS];
};

struct world {
    struct contents datasets[DATASETS];
};

struct saved {
    bool exists;
    unsigned number; /* later ones are greater */
    char name[24];
    struct world world;
};

struct run {
    struct vde_device *device;
    vde_image *image;
    struct world now;
    struct saved images[IMAGES];
    uint64_t random;
    unsigned named, seeds;
};

static unsigned pick(struct run *run, unsigned n)
{
    run->random = run->random * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(run->random >> 33) % n;
}

static size_t size_of(uint32_t seed)
{
    return seed % 7 == 0 ? 70000 : 40 + seed % 500;
}

static void expect_contents(vde_image *image, const struct contents *c, uint64_t tag, const uint32_t *seeds)
{
    for (unsigned k = 0; k < KEYS; k++) {
        char key[16];
        snprintf(key, sizeof key, "key %02u", k);
        if (seeds[k])
            REQUIRE(has_seed(image, c->id, tag, key, size_of(seeds[k]), seeds[k]));
        else
            REQUIRE(has(image, c->id, tag, key, NULL));
    }
}

static void expect_world(vde_image *image, const struct world *world)
{
    for (unsigned d = 0; d < DATASETS; d++) {
        const struct contents *c = &world->datasets[d];
        if (!c->exists)
            continue;
        expect_contents(image, c, 0, c->seeds);
        for (unsigned t = 0; t < TAGS; t++)
            if (c->tagged[t])
                expect_contents(image, c, t + 1, c->tag_seeds[t]);
    }
}

/* Every image snapshot, opened for itself from a copy of the device as it is now. */
static void expect_images(struct run *run)
{
    struct vde_device *copy = copy_device(run->device);
    for (unsigned i = 0; i < IMAGES; i++) {
        if (!run->images[i].exists)
            continue;
        struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
        vde_image *image;
        opts.flags = VDE_OPEN_READ_ONLY;
        opts.snapshot = run->images[i].name;
        OK(vde_image_open_device(copy, &opts, &image));
        expect_world(image, &run->images[i].world);
        OK(vde_image_close(image));
    }
    close_device(copy);
}

static void change(struct run *run, struct contents *c)
{
    vde_txn *txn = begin(run->image);
    for (unsigned n = 1 + pick(run, 4); n > 0; n--) {
        unsigned k = pick(run, KEYS);
        char key[16];
        snprintf(key, sizeof key, "key %02u", k);
        c->seeds[k] = pick(run, 4) ? ++run->seeds : 0;
        if (c->seeds[k])
            OK(txn_put_seed(txn, c->id, key, size_of(c->seeds[k]), c->seeds[k]));
        else
            OK(vde_txn_delete(txn, c->id, key, strlen(key)));
    }
    commit(txn);
}

static void toggle_dataset(struct run *run, struct contents *c, unsigned index)
{
    char name[16];
    snprintf(name, sizeof name, "d%u", index);
    if (c->exists) {
        vde_txn *txn = begin(run->image);
        OK(vde_txn_dataset_drop(txn, c->id));
        commit(txn);
        c->exists = false;
        return;
    }
    memset(c, 0, sizeof *c);
    c->exists = true;
    c->id = new_dataset(run->image, name);
}

static void toggle_tag(struct run *run, struct contents *c)
{
    unsigned t = pick(run, TAGS);
    if (c->tagged[t]) {
        unsnapshot(run->image, c->id, t + 1);
    } else {
        snapshot(run->image, c->id, t + 1);
        memcpy(c->tag_seeds[t], c->seeds, sizeof c->seeds);
    }
    c->tagged[t] = !c->tagged[t];
}

static void toggle_image(struct run *run)
{
    struct saved *s = &run->images[pick(run, IMAGES)];
    if (s->exists) {
        OK(vde_snapshot_delete(run->image, VDE_DATASET_IMAGE, s->name));
    } else {
        s->number = run->named++;
        snprintf(s->name, sizeof s->name, "image %u", s->number);
        OK(vde_snapshot_create(run->image, VDE_DATASET_IMAGE, s->name, NULL));
        s->world = run->now;
    }
    s->exists = !s->exists;
}

/* Back to any image snapshot; those that are newer go. */
static void roll_back(struct run *run)
{
    struct saved *s = &run->images[pick(run, IMAGES)];
    if (!s->exists)
        return;
    OK(vde_image_close(run->image));
    run->image = open_rolled_back(run->device, s->name, VDE_OPEN_DROP_NEWER);
    run->now = s->world;
    for (unsigned i = 0; i < IMAGES; i++)
        run->images[i].exists = run->images[i].exists && run->images[i].number <= s->number;
    OK(vde_image_close(run->image));
    check_clean(run->device);
    run->image = open_quiet(run->device);
    expect_world(run->image, &run->now);
}

static void step(struct run *run)
{
    unsigned index = pick(run, DATASETS), what = pick(run, 21);
    struct contents *c = &run->now.datasets[index];
    if (what == 0 || !c->exists)
        toggle_dataset(run, c, index);
    else if (what < 10)
        change(run, c);
    else if (what < 13)
        toggle_tag(run, c);
    else if (what < 16)
        toggle_image(run);
    else if (what < 19)
        OK(vde_image_checkpoint(run->image));
    else if (what == 19)
        roll_back(run);
    else
        run->image = reopen(run->image, run->device);
}

static void drop_everything(struct run *run)
{
    for (unsigned i = 0; i < IMAGES; i++)
        if (run->images[i].exists)
            OK(vde_snapshot_delete(run->image, VDE_DATASET_IMAGE, run->images[i].name));
    for (unsigned d = 0; d < DATASETS; d++)
        if (run->now.datasets[d].exists)
            toggle_dataset(run, &run->now.datasets[d], d);
    for (unsigned i = 0; i < 6; i++)
        OK(vde_image_checkpoint(run->image));
}

static void random_run(uint64_t seed)
{
    struct run run = {.device = memory_image(24 * MIB), .random = seed};
    run.image = open_quiet(run.device);
    for (unsigned i = 0; i < 6; i++)
        OK(vde_image_checkpoint(run.image));
    struct vde_image_info empty, after;
    vde_image_info(run.image, &empty);
    for (unsigned i = 1; i <= 300; i++) {
        step(&run);
        if (i % 50 == 0) {
            expect_world(run.image, &run.now);
            expect_images(&run);
            OK(vde_image_close(run.image));
            check_clean(run.device);
            run.image = open_quiet(run.device);
        }
    }
    drop_everything(&run);
    vde_image_info(run.image, &after);
    REQUIRE(after.used_bytes <= empty.used_bytes + 8 * 4096); /* an empty catalog may keep a node or two */
    close_clean(run.image, run.device);
}

Test(image_snapshots, every_image_opens_as_it_was, .timeout = 120)
{
    for (uint64_t seed = 1; seed <= 16; seed++) {
        fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
        random_run(seed);
    }
}
