/* SPDX-License-Identifier: Apache-2.0 */
/* diff.c -- what differs between two states of a volume, in bytes. */
#include <stdio.h>

#include <vde/volume.h>

#include "base/checked.h"
#include "base/fail.h"
#include "dataset/snapshot.h"
#include "pool/blocks.h"

struct state {
    struct map map;
    uint64_t size_bytes;
};

/* A volume, or (snapshot not NULL) one snapshot of it. */
static vde_status open_state(vde_view *view, uint64_t id, const char *snapshot, struct state *ret_state)
{
    struct map catalog = map_catalog(view->layers, &view->image->store, &view->image->label.layout, view->lsn);
    struct volume_record volume;
    struct snapshot_record record;
    uint64_t tag = 0;
    bool merged;
    if (snapshot)
        VDE_TRY(map_snapshot_tag(&catalog, id, snapshot, &tag));
    VDE_TRY(map_open(&catalog, id, tag, &ret_state->map));
    vde_status status = volume_record_find(&catalog, id, &volume);
    if (status == VDE_NOT_FOUND)
        return fail_as(VDE_NOT_FOUND, "dataset %llu|no volume|a volume", (unsigned long long)id);
    VDE_TRY(status);
    ret_state->size_bytes = volume.size_bytes;
    if (snapshot) {
        VDE_TRY(map_snapshot_record(&catalog, id, tag, &record, &merged));
        ret_state->size_bytes = record.size_bytes;
    }
    return VDE_OK;
}

struct report {
    uint64_t size_bytes; /* of the larger state: the last block may reach beyond */
    vde_status (*each)(void *context, const struct vde_diff_range *range);
    void *context;
};

static vde_status in_bytes(void *context, const struct block_difference *d)
{
    const struct report *report = context;
    struct vde_diff_range range = {.offset = d->block * BLOCK_BYTES, .size = d->blocks * BLOCK_BYTES,
                                   .from_data = d->from_data, .to_data = d->to_data};
    if (range.offset >= report->size_bytes)
        return VDE_OK;
    range.size = min_u64(range.size, report->size_bytes - range.offset);
    return report->each(report->context, &range);
}

vde_status vde_volume_diff(vde_view *view, const char *volume, const char *from, const char *to,
                           vde_status (*each)(void *context, const struct vde_diff_range *range), void *context)
{
    char name[sizeof VOLUME_NAME_PREFIX + VDE_VOLUME_NAME_MAX];
    uint64_t id;
    struct state a, b;
    if ((size_t)snprintf(name, sizeof name, VOLUME_NAME_PREFIX "%s", volume) >= sizeof name)
        return fail_as(VDE_INVAL, "volume name|more than %u bytes|a shorter one", VDE_VOLUME_NAME_MAX);
    VDE_TRY(vde_dataset_find(view, name, &id));
    VDE_TRY(open_state(view, id, to, &b));
    struct report report = {b.size_bytes, each, context};
    if (from) {
        VDE_TRY(open_state(view, id, from, &a));
        report.size_bytes = max_u64(report.size_bytes, a.size_bytes);
    }
    return blocks_diff(from ? &a.map : NULL, &b.map, in_bytes, &report);
}
