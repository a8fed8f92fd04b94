/* SPDX-License-Identifier: Apache-2.0 */
/* pack.h -- structs for the caller in one allocation, released with lh_free(): the same code runs twice, first to measure,
 * then to fill.
 *
 *   struct lh_pack pack = LH_PACK_INIT;
 *   while (lh_pack_pass(&pack)) {
 *       struct x *x = lh_pack_alloc(&pack, 1, sizeof *x);   // NULL in the measuring pass
 *       const char *name = lh_pack_text(&pack, slice);
 *       if (x) x->name = name;
 *   }
 *   return lh_pack_done(&pack, (void **)ret); */
#ifndef LH_TXLOG_PACK_H
#define LH_TXLOG_PACK_H

#include <lakehouse/lakehouse.h>

#include "model/buffer.h"

struct lh_pack {
    char *base;
    size_t used, size;
    unsigned pass;
    bool failed;
};
#define LH_PACK_INIT {NULL, 0, 0, 0, false}

bool lh_pack_pass(struct lh_pack *pack);
/* Zeroed and aligned; NULL while measuring. */
void *lh_pack_alloc(struct lh_pack *pack, size_t count, size_t size);
/* A NUL-terminated copy; while measuring "" is returned, so that it can be looked at. */
const char *lh_pack_text(struct lh_pack *pack, struct lh_slice text);
/* The same, but NULL for a slice without data. */
const char *lh_pack_optional(struct lh_pack *pack, struct lh_slice text);
/* *ret is the first thing allocated. */
vde_status lh_pack_done(struct lh_pack *pack, void **ret);
#endif
