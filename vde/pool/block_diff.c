/* SPDX-License-Identifier: Apache-2.0 */
/* block_diff.c -- what differs between two states of a volume. Where to look is told by the leaves that only one of the two
 * trees has and by the overlays; what is there, by two cursors. */
#include "pool/blocks.h"

#include <stdlib.h>

#include "base/checked.h"
#include "base/fail.h"
#include "tree/diff.h"

#define NONE UINT64_MAX

struct differ {
    struct block_cursor *from, *to; /* `from` NULL: nothing is there */
    struct tree_diff *trees;
    struct tree_range range;
    uint64_t low, high;             /* blocks of `range`; NONE: no more */
    struct segment a, b;
    struct block_difference found;  /* blocks 0: nothing to report yet */
    vde_status (*each)(void *context, const struct block_difference *difference);
    void *context;
};

/* Separators may be shorter than keys. */
static uint64_t key_block(const uint8_t *key, size_t size)
{
    uint8_t padded[RUN_KEY_BYTES] = {0};
    memcpy(padded, key, size < sizeof padded ? size : sizeof padded);
    return be64_get(padded);
}

/* The next range of the trees that ends behind `block`. A run may begin before the key that bounds its leaf's successor and
 * end behind it, so that the range is followed for the length of a run. */
static vde_status next_range(struct differ *d, uint64_t block)
{
    while (d->low != NONE && d->high <= block) {
        vde_status status = tree_diff_next(d->trees, &d->range);
        if (status == VDE_NOT_FOUND) {
            d->low = NONE;
            return VDE_OK;
        }
        VDE_TRY(status);
        d->low = key_block(d->range.low, d->range.low_size);
        d->high = RUN_BLOCK_LIMIT;
        if (!d->range.open)
            d->high = min_u64(key_block(d->range.high, d->range.high_size), RUN_BLOCK_LIMIT) + RUN_BLOCKS_MAX - 1;
    }
    return VDE_OK;
}

static vde_status report(struct differ *d)
{
    if (d->found.blocks == 0)
        return VDE_OK;
    struct block_difference found = d->found;
    d->found.blocks = 0;
    return d->each(d->context, &found);
}

static bool same(const struct segment *a, const struct segment *b)
{
    if (!a->data || !b->data)
        return a->data == b->data;
    return a->compressed == b->compressed && a->address == b->address && a->checksums[0] == b->checksums[0] &&
           (!a->compressed || a->frame == b->frame);
}

/* Compare what lies at `block`; *ret_next: how far that went. */
static vde_status compare(struct differ *d, uint64_t block, uint64_t *ret_next)
{
    d->a.data = false;
    d->a.blocks = RUN_BLOCK_LIMIT - block;
    if (d->from)
        VDE_TRY(block_cursor_at(d->from, block, RUN_BLOCK_LIMIT, &d->a));
    VDE_TRY(block_cursor_at(d->to, block, RUN_BLOCK_LIMIT, &d->b));
    uint64_t blocks = min_u64(d->a.blocks, d->b.blocks);
    *ret_next = block + blocks;
    if (same(&d->a, &d->b))
        return VDE_OK;
    struct block_difference *f = &d->found;
    if (f->block + f->blocks != block || f->from_data != d->a.data || f->to_data != d->b.data)
        VDE_TRY(report(d));
    if (f->blocks == 0)
        *f = (struct block_difference){block, 0, d->a.data, d->b.data};
    f->blocks += blocks;
    return VDE_OK;
}

static vde_status walk(struct differ *d)
{
    for (uint64_t at = 0; at < RUN_BLOCK_LIMIT;) {
        uint64_t a = NONE, b;
        if (d->from)
            VDE_TRY(block_cursor_next_change(d->from, at, &a));
        VDE_TRY(block_cursor_next_change(d->to, at, &b));
        VDE_TRY(next_range(d, at));
        at = max_u64(at, min_u64(min_u64(a, b), d->low));
        if (at < RUN_BLOCK_LIMIT)
            VDE_TRY(compare(d, at, &at));
    }
    return report(d);
}

vde_status blocks_diff(const struct map *from, const struct map *to,
                       vde_status (*each)(void *context, const struct block_difference *difference), void *context)
{
    static const struct tree_root empty;
    struct differ *d = calloc(1, sizeof *d);
    if (!d)
        return fail_nomem("difference");
    d->each = each;
    d->context = context;
    vde_status status = block_cursor_open(to, &d->to);
    if (status == VDE_OK && from)
        status = block_cursor_open(from, &d->from);
    if (status == VDE_OK)
        status = tree_diff_open(to->store, from ? from->tree : to->tree, from ? &from->root : &empty, to->tree, &to->root,
                                &d->trees);
    if (status == VDE_OK)
        status = walk(d);
    tree_diff_close(d->trees);
    block_cursor_close(d->from);
    block_cursor_close(d->to);
    free(d);
    return status;
}
