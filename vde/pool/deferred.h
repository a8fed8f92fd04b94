/* SPDX-License-Identifier: Apache-2.0 */
/* deferred.h -- blocks that checkpoints dropped and nobody may reuse yet. */
#ifndef VDE_POOL_DEFERRED_H
#define VDE_POOL_DEFERRED_H

#include "pool/pool.h"

/* Checkpoint `durable` is on the medium: runs dropped by earlier ones, that no pinned reader can reach, are free. Under the
 * checkpoint lock. */
void deferred_release(struct vde_image *image, uint64_t durable);
#endif
