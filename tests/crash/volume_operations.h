/* SPDX-License-Identifier: Apache-2.0 */
/* volume_operations.h -- what the subjects made of volumes share. */
#ifndef TESTS_CRASH_VOLUME_OPERATIONS_H
#define TESTS_CRASH_VOLUME_OPERATIONS_H

#include "volume_subject.h"

#define PLAIN_SECTORS 160u

struct handle {
    vde_image *image;
    struct vde_device *device;
    vde_volume *volumes[VOLUMES];
    bool full; /* NOSPC is an answer */
    uint8_t bytes[VOLUME_SECTORS * SECTOR];
};

/* Whether a kind of operation does anything, and doing it; for what sequences start from, single ones. */
bool volume_enabled(const void *model, unsigned kind);
vde_status volume_perform(struct handle *h, struct volume_model *m, unsigned kind, unsigned step);

void volume_handle_close(struct handle *h, unsigned volume);
vde_status volume_make(struct handle *h, struct volume_model *m, unsigned volume, unsigned sectors, unsigned compression);
vde_status volume_write_some(struct handle *h, struct volume_model *m, unsigned volume, unsigned sector, unsigned count,
                             uint32_t flags);
vde_status volume_zero_some(struct handle *h, struct volume_model *m, unsigned volume, unsigned sector, unsigned count,
                            bool discards);
vde_status volume_snapshot(struct handle *h, struct volume_model *m, unsigned volume);
vde_status volume_clone_oldest(struct handle *h, struct volume_model *m);
vde_status volume_image_snapshot(struct handle *h, struct volume_model *m);
/* The image snapshot that is oldest, or newest; IMAGES: there is none. */
unsigned volume_find_image(const struct volume_model *m, bool oldest);
#endif
