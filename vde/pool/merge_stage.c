/* SPDX-License-Identifier: Apache-2.0 */
/* merge_stage.c -- the overlay's versions of one dataset that belong to one stage, by key, newest first. A stage that is all
 * of the checkpoint walks the overlay; where snapshots make many of it, the versions are put in order of their LSN once, so
 * that each stage costs what it holds and not what the overlay holds. */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "pool/merge.h"

struct stage_item {
    uint64_t lsn;
    size_t rank;          /* in the overlay's order */
    const void *position;
};

struct stage_index {
    struct stage_index *next;
    uint64_t dataset;
    size_t count, capacity;
    struct stage_item *items; /* in order of their LSNs */
};

static int by_lsn(const void *a, const void *b)
{
    const struct stage_item *x = a, *y = b;
    if (x->lsn != y->lsn)
        return x->lsn < y->lsn ? -1 : 1;
    return x->rank < y->rank ? -1 : x->rank > y->rank;
}

static int by_rank(const void *a, const void *b)
{
    const struct stage_item *x = a, *y = b;
    return x->rank < y->rank ? -1 : x->rank > y->rank;
}

static vde_status add_item(struct stage_index *index, uint64_t lsn, const void *position)
{
    if (index->count == index->capacity) {
        size_t capacity = index->capacity ? index->capacity * 2 : 1024;
        struct stage_item *items = realloc(index->items, capacity * sizeof *items);
        if (!items)
            return fail_nomem("checkpoint");
        index->items = items;
        index->capacity = capacity;
    }
    index->items[index->count] = (struct stage_item){lsn, index->count, position};
    index->count++;
    return VDE_OK;
}

static vde_status fill(struct stage_index *index, const struct overlay *overlay)
{
    struct overlay_iterator iterator;
    struct overlay_entry entry;
    overlay_seek(&iterator, overlay, UINT64_MAX, index->dataset, NULL, 0);
    for (; overlay_valid(&iterator); overlay_next_version(&iterator)) {
        overlay_entry(&iterator, &entry);
        if (entry.dataset != index->dataset)
            break;
        VDE_TRY(add_item(index, entry.lsn, iterator.position));
    }
    if (index->count > 0)
        qsort(index->items, index->count, sizeof *index->items, by_lsn);
    return VDE_OK;
}

static vde_status find_index(struct merge *merge, uint64_t dataset, struct stage_index **ret_index)
{
    struct stage_index *index = merge->indexes;
    while (index && index->dataset != dataset)
        index = index->next;
    if (!index) {
        index = calloc(1, sizeof *index);
        if (!index)
            return fail_nomem("checkpoint");
        index->dataset = dataset;
        index->next = merge->indexes;
        merge->indexes = index;
        VDE_TRY(fill(index, merge->overlay)); /* a failure gives the checkpoint up */
    }
    *ret_index = index;
    return VDE_OK;
}

void stages_done(struct merge *merge)
{
    for (struct stage_index *index = merge->indexes, *next; index; index = next) {
        next = index->next;
        free(index->items);
        free(index);
    }
}

/* The first item with an LSN above `lsn`. */
static size_t first_after(const struct stage_index *index, uint64_t lsn)
{
    size_t low = 0, high = index->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (index->items[middle].lsn <= lsn)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

vde_status stage_begin(struct merge *merge, uint64_t dataset, uint64_t after, uint64_t through, struct stage *ret_stage)
{
    *ret_stage = (struct stage){.dataset = dataset, .after = after, .through = through};
    if (after <= merge->image->sb.checkpoint_lsn && through >= merge->cut_lsn) {
        overlay_seek(&ret_stage->iterator, merge->overlay, UINT64_MAX, dataset, NULL, 0);
        return VDE_OK;
    }
    struct stage_index *index = NULL;
    VDE_TRY(find_index(merge, dataset, &index));
    ret_stage->indexed = true;
    if (!index)
        return VDE_OK;
    size_t first = first_after(index, after), end = first_after(index, through);
    ret_stage->iterator = (struct overlay_iterator){.overlay = merge->overlay, .max_lsn = UINT64_MAX};
    if (first >= end || !index->items)
        return VDE_OK;
    ret_stage->count = end - first;
    ret_stage->items = malloc(ret_stage->count * sizeof *ret_stage->items);
    if (!ret_stage->items)
        return fail_nomem("checkpoint");
    for (size_t i = first; i < end; i++)
        ret_stage->items[i - first] = index->items[i];
    qsort(ret_stage->items, ret_stage->count, sizeof *ret_stage->items, by_rank);
    return VDE_OK;
}

bool stage_next(struct stage *stage, struct overlay_entry *ret_entry)
{
    if (stage->indexed) {
        if (stage->at == stage->count)
            return false;
        stage->iterator.position = stage->items[stage->at++].position;
        overlay_entry(&stage->iterator, ret_entry);
        return true;
    }
    while (overlay_valid(&stage->iterator)) {
        overlay_entry(&stage->iterator, ret_entry);
        if (ret_entry->dataset != stage->dataset)
            return false;
        overlay_next_version(&stage->iterator);
        if (ret_entry->lsn > stage->after && ret_entry->lsn <= stage->through)
            return true;
    }
    return false;
}

void stage_end(struct stage *stage)
{
    free(stage->items);
}
