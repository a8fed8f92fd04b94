/* SPDX-License-Identifier: Apache-2.0 */
/* registry_load.c -- fill the registry from the trees, before the gate, so that submit never reads the device. */
#include <stdlib.h>

#include "base/fail.h"
#include "pool/map.h"
#include "pool/txn.h"

static bool known(struct vde_image *image, enum registry_kind kind, uint64_t id)
{
    lock_take(log_gate(image->log));
    bool found = registry_find(&image->registry, kind, id) != NULL;
    lock_drop(log_gate(image->log));
    return found;
}

/* Add what was read, unless somebody was faster: then theirs is newer. */
static vde_status note(struct vde_image *image, struct registry_entry value)
{
    bool fresh;
    lock_take(log_gate(image->log));
    struct registry_entry *entry = registry_add(&image->registry, value.kind, value.id, &fresh);
    if (entry && fresh)
        *entry = value;
    lock_drop(log_gate(image->log));
    return entry ? VDE_OK : fail_nomem("registry");
}

vde_status registry_note_created(struct vde_image *image, uint64_t dataset, bool volume)
{
    /* "Dropped" until the creating record is applied. */
    return note(image, (struct registry_entry){.id = dataset, .kind = REGISTRY_DATASET, .dropped = true, .volume = volume});
}

bool registry_is_volume(struct vde_image *image, uint64_t dataset)
{
    lock_take(log_gate(image->log));
    const struct registry_entry *entry = registry_find(&image->registry, REGISTRY_DATASET, dataset);
    bool volume = entry && entry->volume;
    lock_drop(log_gate(image->log));
    return volume;
}

vde_status registry_load_dataset(struct vde_image *image, uint64_t dataset)
{
    if (known(image, REGISTRY_DATASET, dataset))
        return VDE_OK;
    vde_view *view;
    VDE_TRY(vde_view_open_pending(image, &view));
    struct map catalog = map_catalog(view->layers, &image->store, &image->label.layout, view->lsn);
    struct dataset_record record;
    vde_status status = map_dataset_record(&catalog, dataset, &record);
    vde_view_close(view);
    VDE_TRY(status);
    return note(image, (struct registry_entry){.id = dataset, .kind = REGISTRY_DATASET,
                                               .volume = record.kind == DATASET_KIND_VOLUME});
}

vde_status registry_load_stream(struct vde_image *image, uint64_t stream)
{
    if (known(image, REGISTRY_STREAM, stream))
        return VDE_OK;
    vde_view *view;
    VDE_TRY(vde_view_open_pending(image, &view));
    struct map catalog = map_catalog(view->layers, &image->store, &image->label.layout, view->lsn), history;
    struct registry_entry entry = {.id = stream, .kind = REGISTRY_STREAM};
    uint8_t key[CATALOG_KEY_MAX];
    enum value_kind kind;
    void *data = NULL;
    size_t size;
    uint64_t lsn;
    vde_status status = map_get(&catalog, key, key_zombie(key, 's', stream), &kind, &data, &size, &lsn);
    free(data);
    entry.dropped = status == VDE_OK;
    if (status == VDE_OK || status == VDE_NOT_FOUND)
        status = map_open(&catalog, DATASET_HISTORY, 0, &history);
    if (status == VDE_OK) {
        status = stream_last(&history, stream, &entry.last_number, &entry.last_time_us);
        entry.has_last = status == VDE_OK;
        if (status == VDE_NOT_FOUND)
            status = VDE_OK;
    }
    vde_view_close(view);
    VDE_TRY(status);
    return note(image, entry);
}
