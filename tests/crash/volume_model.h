/* SPDX-License-Identifier: Apache-2.0 */
/* volume_model.h -- a plain picture of a few small volumes with snapshots, clones and snapshots of the whole image, and its
 * comparison with an open image. Flat: it is copied and hashed. */
#ifndef TESTS_CRASH_VOLUME_MODEL_H
#define TESTS_CRASH_VOLUME_MODEL_H

#include <vde/snapshot.h>
#include <vde/vde.h>
#include <vde/volume.h>

#define SECTOR 512u
#define VOLUME_SECTORS 256u /* at most: two compressed frames */
#define PLAIN 0u            /* volume 0 is stored as it is, */
#define PACKED 1u           /* volume 1 compressed, */
#define CLONE_FIRST 2u      /* the others are clones of volume 0 */
#define VOLUMES 4u
#define SNAPSHOTS 3u
#define IMAGES 2u
#define VOLUME_WHY 400

struct volume_content {
    uint32_t sectors;                /* 0: there is nothing of this name */
    uint32_t order;                  /* snapshots: which is newer */
    uint8_t stamps[VOLUME_SECTORS];  /* 0: zeroes */
};

struct volume_state {
    struct volume_content now[VOLUMES];
    struct volume_content snapshots[VOLUMES][SNAPSHOTS];
};

struct volume_model {
    struct volume_state now;
    struct volume_state images[IMAGES];
    uint32_t image_exists[IMAGES];   /* order */
    uint32_t stamp, order;           /* last ones used */
};

void volume_model_name(unsigned volume, char ret_name[32]);
void volume_model_snapshot(unsigned index, char ret_name[32]);
/* The bytes of a sector written with a stamp. */
void volume_model_fill(void *sector, uint8_t stamp, unsigned number);

/* Whether an image shows exactly the model; else `why` names the first difference, beginning with the status' name when it
 * is an error. `device` is the one below the image: image snapshots are opened on it. */
bool volumes_match(vde_image *image, struct vde_device *device, const struct volume_model *model, char why[VOLUME_WHY]);
/* One state, without image snapshots. */
bool volume_state_matches(vde_image *image, const struct volume_state *state, char why[VOLUME_WHY]);
#endif
