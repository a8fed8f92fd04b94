/* SPDX-License-Identifier: Apache-2.0 */
/* reach.c -- which blocks the datasets of an instant reach, and the dead runs of each: what its newest version does not
 * reach, but its snapshots do, or the clones of one.
 *
 * Dead trees are not read. That of an older instant is gone; it follows from the versions: those of one owner are walked from
 * the newest to the oldest, so that what a version reaches first died under it. */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "copy/instant.h"

#define NEWEST UINT64_MAX

/* One version of a dataset, looked at for what one owner has in it: what was born in (low, high]. */
struct job {
    struct member *owner;
    uint64_t lsn; /* that the version stands for among those of the owner; NEWEST: its newest one */
    uint64_t low, high;
    uint64_t tree;
    struct tree_root root;
};

struct reach {
    struct instant *instant;
    struct job *jobs;
    size_t count, capacity;
    struct blockset *reached; /* by anyone */
    struct blockset visited;  /* nodes, for the owner at hand */
    uint8_t *levels;          /* one block a level */
};

/* --- jobs ----------------------------------------------------------------------------------------------------------- */

static vde_status add_job(struct reach *reach, struct member *owner, uint64_t lsn, uint64_t high,
                          const struct member *of, const struct tree_root *root)
{
    struct job job = {owner, lsn, owner->record.origin_lsn, high, of->record.tree, *root};
    void *array = reach->jobs;
    if (ptr_is_null(root->node))
        return VDE_OK;
    vde_status status = instant_append(&array, &reach->capacity, &reach->count, &job, sizeof job);
    reach->jobs = array;
    return status;
}

/* A version has blocks of its own dataset, and of those that this one was cloned from. */
static vde_status add_version(struct reach *reach, struct member *of, uint64_t lsn, const struct tree_root *root)
{
    VDE_TRY(add_job(reach, of, lsn, UINT64_MAX, of, root));
    for (const struct member *child = of; child->record.origin != 0;) {
        struct member *owner = instant_member(reach->instant, child->record.origin);
        if (!owner || !owner->kept || owner->record.created_lsn >= child->record.created_lsn)
            return fail_corrupt("clone %llu|no dataset %llu|its origin, which is older",
                                (unsigned long long)child->record.id, (unsigned long long)child->record.origin);
        VDE_TRY(add_job(reach, owner, child->record.origin_lsn, child->record.origin_lsn, of, root));
        child = owner;
    }
    return VDE_OK;
}

static vde_status add_jobs(struct reach *reach)
{
    struct instant *instant = reach->instant;
    for (size_t i = 0; i < instant->member_count; i++)
        if (instant->members[i].kept)
            VDE_TRY(add_version(reach, &instant->members[i], NEWEST, &instant->members[i].record.root));
    for (size_t i = 0; i < instant->version_count; i++) {
        const struct version *v = &instant->versions[i];
        struct member *of = instant_member(instant, v->dataset);
        if (of && of->kept)
            VDE_TRY(add_version(reach, of, v->record.lsn, &v->record.root));
    }
    return VDE_OK;
}

static int by_owner_newest_first(const void *a, const void *b)
{
    const struct job *x = a, *y = b;
    if (x->owner != y->owner)
        return x->owner->record.id < y->owner->record.id ? -1 : 1;
    if (x->lsn != y->lsn)
        return x->lsn > y->lsn ? -1 : 1;
    return x->high > y->high ? -1 : x->high < y->high;
}

/* --- walking -------------------------------------------------------------------------------------------------------- */

static vde_status add_dead(const struct job *job, uint64_t birth, uint64_t address, uint64_t blocks)
{
    struct member *owner = job->owner;
    struct dead_run run = {job->lsn, birth, address, blocks};
    if (job->lsn == NEWEST)
        return VDE_OK;
    if (birth > job->lsn)
        return fail_corrupt("dataset %llu block %llu|born at %llu, in a snapshot at %llu|an older block",
                            (unsigned long long)owner->record.id, (unsigned long long)address,
                            (unsigned long long)birth, (unsigned long long)job->lsn);
    void *array = owner->dead;
    vde_status status = instant_append(&array, &owner->dead_capacity, &owner->dead_count, &run, sizeof run);
    owner->dead = array;
    owner->dead_blocks += blocks;
    return status;
}

/* Those of the run's blocks that nobody reached before. */
static vde_status reach_run(struct reach *reach, const struct job *job, uint64_t birth, uint64_t address, uint64_t blocks)
{
    if (birth <= job->low || birth > job->high)
        return VDE_OK;
    if (!layout_allocatable(reach->instant->layout, address) ||
        !layout_allocatable(reach->instant->layout, address + blocks - 1))
        return fail_corrupt("dataset %llu|a run of %llu blocks at block %llu|one inside history area or heap",
                            (unsigned long long)job->owner->record.id, (unsigned long long)blocks,
                            (unsigned long long)address);
    for (uint64_t at = address, end = address + blocks; at < end;) {
        uint64_t from = at;
        for (; at < end && !blockset_has(reach->reached, at); at++)
            ;
        if (at == from) {
            at++;
            continue;
        }
        VDE_TRY(blockset_add(reach->reached, from, at - from));
        VDE_TRY(add_dead(job, birth, from, at - from));
    }
    return VDE_OK;
}

static vde_status reach_record(struct reach *reach, const struct job *job, const struct node_record *record)
{
    for (unsigned i = 0; i < value_extents(record->kind, record->value); i++) {
        struct ptr p = value_extent(record->kind, record->value, i);
        VDE_TRY(reach_run(reach, job, p.birth, p.address, p.blocks));
    }
    return VDE_OK;
}

static vde_status reach_node(struct reach *reach, const struct job *job, struct ptr p, unsigned level)
{
    uint64_t blocks = reach->instant->layout->blocks;
    if (p.birth <= job->low || (ptr_plausible(p, blocks) && blockset_has(&reach->visited, p.address)))
        return VDE_OK; /* all below a node is at most as young */
    VDE_TRY(reach_run(reach, job, p.birth, p.address, p.blocks));
    uint8_t *block = reach->levels + (size_t)level * BLOCK_BYTES;
    VDE_TRY(image_read(reach->instant->image, p.address, block, 1));
    VDE_TRY(node_verify(block, reach->instant->image->seed, job->tree, p, level, blocks));
    VDE_TRY(blockset_add(&reach->visited, p.address, 1));
    const struct disk_node *node = (const struct disk_node *)(const void *)block;
    for (unsigned i = 0; i < node_count(node); i++) {
        struct node_record record = node_record(node, i);
        VDE_TRY(level > 0 ? reach_node(reach, job, node_child(node, i), level - 1) : reach_record(reach, job, &record));
    }
    return VDE_OK;
}

static vde_status walk_jobs(struct reach *reach)
{
    VDE_TRY(add_jobs(reach));
    if (reach->count)
        qsort(reach->jobs, reach->count, sizeof *reach->jobs, by_owner_newest_first);
    for (size_t i = 0; i < reach->count; i++) {
        const struct job *job = &reach->jobs[i];
        if (i > 0 && job->owner != reach->jobs[i - 1].owner)
            blockset_clear(&reach->visited);
        VDE_TRY(reach_node(reach, job, job->root.node, job->root.level));
    }
    return VDE_OK;
}

vde_status instant_reach(struct instant *instant, struct blockset *reached)
{
    struct reach reach = {.instant = instant, .reached = reached};
    VDE_TRY(blockset_init(&reach.visited, instant->layout->alloc_pages));
    reach.levels = aligned_alloc(BLOCK_BYTES, (TREE_LEVEL_MAX + 1) * (size_t)BLOCK_BYTES);
    vde_status status = reach.levels ? walk_jobs(&reach) : fail_nomem("node buffers");
    blockset_done(&reach.visited);
    free(reach.levels);
    free(reach.jobs);
    return status;
}
