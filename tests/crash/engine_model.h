/* SPDX-License-Identifier: Apache-2.0 */
/* engine_model.h -- a plain picture of what an image holds (kv datasets with snapshots, streams, files) and its comparison
 * with an open image. */
#ifndef TESTS_CRASH_ENGINE_MODEL_H
#define TESTS_CRASH_ENGINE_MODEL_H

#include <vde/vde.h>

#define MODEL_KEYS 6
#define MODEL_SNAPSHOTS 3
#define MODEL_DATASETS 3
#define MODEL_STREAMS 3
#define MODEL_ENTRIES 12
#define MODEL_FILES 4
#define MODEL_WHY 400

/* Bytes made from a seed; size 0 and seed 0: absent. */
struct model_value {
    uint64_t seed;
    uint64_t size;
};

struct model_snapshot {
    uint64_t tag; /* 0: none */
    struct model_value keys[MODEL_KEYS];
};

struct model_dataset {
    uint64_t id; /* 0: never made */
    uint64_t exists;
    struct model_value keys[MODEL_KEYS];
    struct model_snapshot snapshots[MODEL_SNAPSHOTS];
};

struct model_stream {
    uint64_t id, dropped, first, count;
    struct model_value entries[MODEL_ENTRIES];
};

struct model_file {
    uint64_t id, exists;
    struct model_value bytes;
};

struct engine_model {
    struct model_dataset datasets[MODEL_DATASETS];
    struct model_stream streams[MODEL_STREAMS];
    struct model_file files[MODEL_FILES];
    uint64_t next_seed;
};

void model_key(unsigned index, char ret_key[32]);
void model_dataset_name(unsigned index, char ret_name[32]);
/* malloc'd bytes of a value. */
void *model_bytes(const struct model_value *value);
/* Whether a view of the image shows exactly the model; else `why` names the first difference. */
bool engine_matches(vde_image *image, const struct engine_model *model, char why[MODEL_WHY]);
#endif
