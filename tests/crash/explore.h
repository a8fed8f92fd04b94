/* SPDX-License-Identifier: Apache-2.0 */
/* explore.h -- cut the power at every change of every short sequence of operations, and again during recovery, and hold
 * what comes back against a model.
 *
 * Cuts in the first operations of a sequence are those of its prefix, which is a sequence of its own: so each sequence is
 * cut only during its last operation and right after it. Operations that need not be durable when they return may be
 * missing afterwards, the last ones first: what comes back is the state after some of them. */
#ifndef TESTS_CRASH_EXPLORE_H
#define TESTS_CRASH_EXPLORE_H

#include <vde/vde.h>

#define EXPLORE_DEPTH 4
#define EXPLORE_KINDS_MAX 25
#define EXPLORE_MODEL_MAX 20480
#define EXPLORE_WHY 400

/* What is explored. A model is a flat struct of model_size bytes, all of it defined (it is copied and hashed). */
struct subject {
    const char *name;
    unsigned kinds;
    const char *const *kind_names;
    unsigned reopen; /* the kind that closes and opens the image */
    size_t model_size;
    uint64_t image_bytes;
    vde_status (*open)(struct vde_device *device, void **ret_handle);
    vde_status (*close)(void *handle);
    /* Bring a fresh image and the model to the state that sequences start from. */
    vde_status (*setup)(void *handle, void *model);
    /* Whether the operation changes anything in this state. */
    bool (*enabled)(const void *model, unsigned kind);
    /* Do it, with the handle replaced if it reopens; `model` becomes the state after it. */
    vde_status (*apply)(void **handle, struct vde_device *device, void *model, unsigned kind, unsigned step);
    /* Whether everything up to and with this operation is durable once it has returned; NULL: always. */
    bool (*durable)(unsigned kind);
    /* Whether the image holds exactly what the model says; else `why` tells the difference. */
    bool (*matches)(void *handle, const void *model, char why[EXPLORE_WHY]);
    /* The image below a handle; open without changing anything, for `matches` and `close`. For tests that make requests fail. */
    vde_image *(*image)(void *handle);
    vde_status (*open_read)(struct vde_device *device, void **ret_handle);
    /* Something new and durable that no model contains, and whether it is there. */
    vde_status (*probe)(void *handle, unsigned number);
    bool (*probed)(void *handle, unsigned number);
};

struct explore_options {
    unsigned jobs;        /* processes */
    unsigned from, depth; /* operations in a sequence: from 1 to EXPLORE_DEPTH */
    unsigned every;       /* of the sequences of full length, explore each `every`-th; 1: all */
    unsigned modes;       /* survivals tried for each cut, 1 to 5 */
    unsigned again_every; /* of the images, cut recovery itself for each `again_every`-th; 0: none */
    unsigned further_every; /* of the images, open each `further_every`-th a second time and go on with it */
    uint64_t least;       /* distinct images expected */
    uint64_t seed;
    int only[EXPLORE_DEPTH]; /* kinds of one sequence to explore alone; only[0] < 0: all */
};
#define EXPLORE_OPTIONS_INIT { 2, 1, 3, 1, 5, 1, 1, 0, 1, {-1, -1, -1, -1} }

/* Read options from the command line: --jobs N, --from N, --depth N, --every N, --modes N, --again N, --least N, --seed N,
 * --only A,B,C,D. Ends the program on anything else. */
void explore_parse(int argc, char **argv, struct explore_options *options);

/* Explore; prints a coverage table and every violation. 0 when there was none and enough was seen. */
int explore(const struct subject *subject, const struct explore_options *options);

/* The environment that workloads open images with: time and randomness from counters. */
extern const struct vde_env explore_env;
#endif
