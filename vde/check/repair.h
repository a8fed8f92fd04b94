/* SPDX-License-Identifier: Apache-2.0 */
/* repair.h -- one repair, shared by its files. */
#ifndef VDE_CHECK_REPAIR_H
#define VDE_CHECK_REPAIR_H

#include <vde/repair.h>

#include "check/source.h"

struct repair {
    struct source source;
    struct vde_repair_opts opts;
    struct vde_repair_summary summary;
    uint8_t *block; /* one block, for whoever writes one */
};

/* Tell of something that is to be done; true: do it now. */
bool repair_plan(struct repair *r, const char *object, const char *what);
/* It was done, or `kind` else. */
void repair_tell(struct repair *r, enum vde_repair_kind kind, const char *object, const char *what);
/* Bitmaps by walking (repair_bitmaps.c). */
vde_status repair_bitmaps(struct repair *r);
#endif
