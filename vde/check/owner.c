/* SPDX-License-Identifier: Apache-2.0 */
/* owner.c -- who owns which block, and who merely reaches it. */
#include "base/checked.h"
#include "base/fail.h"
#include "check/checker.h"

#define RUN_MAX_BLOCKS ((16u << 20) / BLOCK_BYTES)

bool check_allocatable(const struct checker *c, uint64_t address, uint64_t blocks)
{
    uint64_t end;
    if (blocks == 0 || !checked_add(address, blocks, &end))
        return false;
    for (unsigned i = 0; i < layout_areas(&c->label.layout); i++) {
        const struct region *r = layout_area(&c->label.layout, i);
        if (address >= r->block && end <= r->block + r->blocks)
            return true;
    }
    /* The history area and the heap touch: a run may lie across. */
    const struct region *history = layout_region(&c->label.layout, REGION_HISTORY);
    const struct region *heap = layout_region(&c->label.layout, REGION_HEAP);
    return history->block + history->blocks == heap->block && address >= history->block &&
           end <= heap->block + heap->blocks;
}

/* Blocks of a run by what was known of them. */
struct tally {
    uint64_t first, again, twice, foreign, nobodys;
};

static const struct owner *owner_of(const struct owner *owner, uint64_t birth)
{
    while (owner->origin && birth <= owner->origin_lsn)
        owner = owner->origin;
    return owner;
}

static vde_status claim_block(struct checker *c, uint64_t block, unsigned mark, bool own, bool dead, struct tally *t)
{
    unsigned known = marks_get(&c->marks, block);
    t->twice += blockset_has(&c->version, block);
    if (known == 0) {
        t->nobodys += !own;
        t->first++;
        VDE_TRY(marks_set(&c->marks, block, mark));
    } else if (own || known != mark) {
        t->foreign++;
    } else if (blockset_has(&c->dead, block)) {
        t->first++;
        blockset_remove(&c->dead, block);
    } else {
        t->again++;
    }
    return dead && known == 0 ? blockset_add(&c->dead, block, 1) : VDE_OK;
}

static void report(struct checker *c, const struct claim *claim, const struct tally *t, const char *what,
                   uint64_t address, uint64_t blocks)
{
    const char *object = claim->name;
    if (t->twice) {
        c->summary->doubly_owned_blocks += t->twice;
        check_report(c, "%s %s at block %llu|%llu of %llu blocks are there twice|one owner", object, what,
                     (unsigned long long)address, (unsigned long long)t->twice, (unsigned long long)blocks);
    } else if (t->foreign) {
        c->summary->doubly_owned_blocks += t->foreign;
        check_report(c, "%s %s at block %llu|%llu of %llu blocks have another owner|one owner", object, what,
                     (unsigned long long)address, (unsigned long long)t->foreign, (unsigned long long)blocks);
    } else if (t->nobodys && !c->incomplete) {
        check_report(c, "%s %s at block %llu|%llu of %llu blocks are in no newest version and no dead tree|in one of them",
                     object, what, (unsigned long long)address, (unsigned long long)t->nobodys,
                     (unsigned long long)blocks);
    }
}

vde_status check_claim(struct checker *c, const struct claim *claim, uint64_t address, uint64_t blocks, uint64_t birth,
                       const char *what, enum claimed *ret_claimed)
{
    *ret_claimed = CLAIMED_WRONGLY;
    if (!check_allocatable(c, address, blocks) || blocks > RUN_MAX_BLOCKS) {
        check_report(c, "%s %s at block %llu|a run of %llu blocks|a run inside history area or heap", claim->name, what,
                     (unsigned long long)address, (unsigned long long)blocks);
        return VDE_OK;
    }
    /* One above the cut: a catalog node made after an image snapshot that is the last record before it. */
    if (birth == 0 || birth > c->sb.checkpoint_lsn + 1)
        check_report(c, "%s %s at block %llu|birth %llu|1 to the cut, %llu, and one", claim->name, what,
                     (unsigned long long)address, (unsigned long long)birth, (unsigned long long)c->sb.checkpoint_lsn);
    const struct owner *owner = owner_of(claim->owner, birth);
    bool own = owner == claim->owner && claim->mode != CLAIM_SNAPSHOT;
    unsigned mark = marks_make(&c->marks, owner->id, birth);
    struct tally t = {0, 0, 0, 0, 0};
    for (uint64_t i = address; i < address + blocks; i++)
        VDE_TRY(claim_block(c, i, mark, own, claim->mode == CLAIM_DEAD, &t));
    VDE_TRY(blockset_add(&c->version, address, blocks));
    report(c, claim, &t, what, address, blocks);
    if (!t.twice && !t.foreign)
        *ret_claimed = t.first ? CLAIMED_FIRST : CLAIMED_AGAIN;
    return VDE_OK;
}
