/* SPDX-License-Identifier: Apache-2.0 */
/* volume_steps.h -- random requests (volume_requests.c) and everything that makes, copies and removes volumes
 * (volume_steps.c), on an image and its oracle at once. */
#ifndef TESTS_MODEL_VOLUME_STEPS_H
#define TESTS_MODEL_VOLUME_STEPS_H

#include "volume_world.h"

/* A random slot with a volume; VOLUMES when there is none. */
unsigned some_volume(struct world *w);
void VDE_PRINTF(2, 3) trace(struct world *w, const char *format, ...);
/* Whether a call that needs space succeeded; if not, it said NOSPC and room is made for the next ones. */
bool took(struct world *w, vde_status status);

void step_write(struct world *w);
void step_zero(struct world *w);
void step_read(struct world *w);
void step_flush(struct world *w);
void step_status(struct world *w);
void step_batch(struct world *w);
void step_defrag(struct world *w);

void step_create(struct world *w);
void step_delete(struct world *w);
void step_rename(struct world *w);
void step_resize(struct world *w);
void step_clone(struct world *w);
void step_snapshot(struct world *w);
void step_unsnapshot(struct world *w);
void step_rollback(struct world *w);
void step_image_snapshot(struct world *w);
void step_image_unsnapshot(struct world *w);
void step_read_snapshot(struct world *w);
void step_diff(struct world *w);
void step_txn(struct world *w);
void step_handle(struct world *w);
void delete_volume(struct world *w, unsigned slot);
void delete_image_snapshot(struct world *w, unsigned index);
void flush_all(struct world *w);
#endif
