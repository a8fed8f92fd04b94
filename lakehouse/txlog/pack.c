/* SPDX-License-Identifier: Apache-2.0 */
#include "txlog/pack.h"

#include <stdlib.h>

#include "state/fail.h"

bool lh_pack_pass(struct lh_pack *pack)
{
    if (pack->pass == 1) {
        pack->size = pack->used;
        pack->used = 0;
        pack->base = calloc(1, pack->size ? pack->size : 1);
        if (!pack->base) {
            pack->failed = true;
            return false;
        }
    }
    return pack->pass++ < 2;
}

void *lh_pack_alloc(struct lh_pack *pack, size_t count, size_t size)
{
    size_t from = (pack->used + 15) / 16 * 16;
    pack->used = from + count * size;
    if (!pack->base)
        return NULL;
    LH_ASSERT(pack->used <= pack->size);
    return pack->base + from;
}

const char *lh_pack_text(struct lh_pack *pack, struct lh_slice text)
{
    size_t from = pack->used;
    pack->used = from + text.size + 1;
    if (!pack->base)
        return "";
    LH_ASSERT(pack->used <= pack->size);
    if (text.size)
        memcpy(pack->base + from, text.data, text.size);
    return pack->base + from;
}

const char *lh_pack_optional(struct lh_pack *pack, struct lh_slice text)
{
    return text.data ? lh_pack_text(pack, text) : NULL;
}

vde_status lh_pack_done(struct lh_pack *pack, void **ret)
{
    if (pack->failed)
        return lh_fail_nomem("answer");
    *ret = pack->base;
    return VDE_OK;
}
