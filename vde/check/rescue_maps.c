/* SPDX-License-Identifier: Apache-2.0 */
/* rescue_maps.c -- key-value datasets: their records, from loose leaves if need be, then from the tree, then from the log. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "check/rescue.h"

struct map_walk {
    struct rescue *r;
    const struct found_dataset *dataset;
};

static vde_status hand_out_record(struct rescue *r, const struct op *op, const uint8_t *value, size_t size)
{
    struct vde_rescue_record record = {op->key, op->key_size, value, size, op->kind == VALUE_DELETE};
    r->item.good_bytes += value ? op->key_size + size : 0;
    return r->sink->record(r->sink->context, &record);
}

static vde_status on_op(void *context, uint64_t lsn, uint64_t time_us, const struct op *op)
{
    struct map_walk *w = context;
    uint8_t *bytes = NULL;
    size_t size = 0;
    (void)lsn;
    (void)time_us;
    if (op->kind == VALUE_DELETE)
        return hand_out_record(w->r, op, NULL, 0);
    if (op->kind == VALUE_INLINE)
        return hand_out_record(w->r, op, op->value, op->value_size);
    if (op->kind != VALUE_SPILLED)
        return VDE_OK;
    VDE_TRY(rescue_spilled(w->r, op, &bytes, &size));
    vde_status status = hand_out_record(w->r, op, bytes, size);
    if (status == VDE_OK && !bytes)
        status = rescue_missing(w->r, 0, size, "the value of a key can't be read");
    free(bytes);
    return status;
}

static vde_status on_record(void *context, const struct node_record *record)
{
    struct map_walk *w = context;
    struct op op = {w->dataset->id, record->key, record->key_size, record->kind, record->value, record->value_size};
    return on_op(context, 0, 0, &op);
}

static vde_status on_node(void *context, struct ptr p, unsigned depth, const struct disk_node *node)
{
    struct map_walk *w = context;
    char why[96];
    (void)depth;
    if (node)
        return VDE_OK;
    snprintf(why, sizeof why, "node at block %llu is damaged", (unsigned long long)p.address);
    return rescue_missing(w->r, 0, 0, why);
}

static vde_status hand_out_map(struct rescue *r, const struct found_dataset *d)
{
    bool whole = false;
    uint64_t records;
    struct map_walk w = {r, d};
    if (d->has_root)
        VDE_TRY(rescue_whole(r, d->tree, &d->root, &whole, &records));
    struct vde_rescue_item item = {.kind = VDE_RESCUE_MAP, .id = d->id, .name = d->name, .loose = !whole};
    VDE_TRY(rescue_begin(r, &item));
    if (!whole) {
        VDE_TRY(rescue_loose(r, d->tree, on_record, &w));
        r->item.missing_bytes = 0; /* of old versions; what counts comes now */
    }
    if (d->has_root) {
        struct source_walk walk = {.node = on_node, .record = on_record, .context = &w};
        VDE_TRY(source_tree(&r->source, d->tree, &d->root, &walk));
    } else {
        VDE_TRY(rescue_missing(r, 0, 0, "the root of its tree is not known"));
    }
    VDE_TRY(rescue_log(r, d->id, on_op, &w));
    return rescue_end(r);
}

static vde_status is_value(void *context, const struct node_record *record)
{
    bool *any = context;
    *any |= record->kind == VALUE_INLINE || record->kind == VALUE_SPILLED;
    return VDE_OK;
}

vde_status rescue_maps(struct rescue *r)
{
    for (size_t i = 0; i < r->dataset_count && r->sink->record; i++) {
        struct found_dataset d = r->datasets[i];
        bool values = d.has_root;
        if (d.volume || d.dropped || d.id < ID_FIRST)
            continue;
        if (!values)
            VDE_TRY(rescue_loose(r, d.tree, is_value, &values));
        if (values)
            VDE_TRY(hand_out_map(r, &d));
    }
    return VDE_OK;
}
