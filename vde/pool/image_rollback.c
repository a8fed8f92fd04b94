/* SPDX-License-Identifier: Apache-2.0 */
/* image_rollback.c -- make the image what one of its snapshots shows, while it is being opened and nobody uses it yet: find
 * the snapshot, see that nothing with a name is newer, write the checkpoint that does it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "pool/map.h"
#include "pool/pool.h"

#define NAMED_MAX 4u /* newer snapshots that the message names */

struct newer {
    char names[240];
    size_t used;
    unsigned count;
};

/* The name under which a dataset is found; "" when there is none. */
static vde_status name_of(const struct map *catalog, uint64_t dataset, char ret_name[DATASET_NAME_MAX + 1])
{
    struct map_cursor *cursor;
    const uint8_t prefix = CATALOG_KEY_NAME;
    const vde_le64 wanted = le64(dataset);
    *ret_name = '\0';
    VDE_TRY(map_cursor_open(catalog, &prefix, 1, &cursor));
    vde_status status = VDE_OK;
    while (status == VDE_OK && map_cursor_valid(cursor)) {
        const uint8_t *key;
        size_t size, skip = 1 + strlen(VOLUME_NAME_PREFIX);
        struct map_value value;
        map_cursor_record(cursor, &key, &size, &value);
        if (key[0] != prefix)
            break;
        if (value.size == sizeof wanted && memcmp(value.data, &wanted, sizeof wanted) == 0) {
            if (size <= skip || memcmp(key + 1, VOLUME_NAME_PREFIX, skip - 1) != 0)
                skip = 1;
            snprintf(ret_name, DATASET_NAME_MAX + 1, "%.*s", (int)(size - skip), (const char *)key + skip);
            break;
        }
        status = map_cursor_next(cursor);
    }
    map_cursor_close(cursor);
    return status;
}

static vde_status note_newer(struct newer *newer, const struct map *catalog, uint64_t dataset, const char *snapshot)
{
    char name[DATASET_NAME_MAX + 1] = "";
    struct dataset_record record;
    if (dataset != DATASET_CATALOG) {
        vde_status status = map_dataset_record(catalog, dataset, &record);
        if (status == VDE_NOT_FOUND) /* dropped */
            return VDE_OK;
        VDE_TRY(status);
        VDE_TRY(name_of(catalog, dataset, name));
    }
    if (newer->count++ >= NAMED_MAX)
        return VDE_OK;
    int size = snprintf(newer->names + newer->used, sizeof newer->names - newer->used, "%s\"%s%s%s\"",
                        newer->used ? ", " : "", name, name[0] ? "@" : "", snapshot);
    newer->used += (size_t)size < sizeof newer->names - newer->used ? (size_t)size : 0;
    newer->names[newer->used] = '\0';
    return VDE_OK;
}

/* Snapshots with a name only: others are the business of who writes the datasets. */
static vde_status find_newer(const struct map *catalog, uint64_t lsn, struct newer *newer)
{
    struct map_cursor *cursor;
    const uint8_t prefix = CATALOG_KEY_SNAPSHOT;
    VDE_TRY(map_cursor_open(catalog, &prefix, 1, &cursor));
    vde_status status = VDE_OK;
    while (status == VDE_OK && map_cursor_valid(cursor)) {
        const uint8_t *key;
        size_t size;
        struct map_value value;
        struct snapshot_record snapshot;
        map_cursor_record(cursor, &key, &size, &value);
        if (size != 17 || key[0] != prefix)
            break;
        status = snapshot_record_get(value.data, value.size, catalog->layout, &snapshot);
        if (status == VDE_OK && snapshot.name[0] && snapshot.lsn > lsn)
            status = note_newer(newer, catalog, be64_get(key + 1), snapshot.name);
        if (status == VDE_OK)
            status = map_cursor_next(cursor);
    }
    map_cursor_close(cursor);
    return status;
}

static vde_status find(const struct map *catalog, const char *name, struct snapshot_record *ret_snapshot)
{
    uint64_t tag;
    bool merged;
    VDE_TRY(map_snapshot_tag(catalog, DATASET_CATALOG, name, &tag));
    VDE_TRY(map_snapshot_record(catalog, DATASET_CATALOG, tag, ret_snapshot, &merged));
    return merged ? VDE_OK : fail_corrupt("image snapshot \"%s\"|only in the log|one in the trees", name);
}

vde_status image_rollback(struct vde_image *image, const char *name, bool drop_newer)
{
    struct snapshot_record snapshot;
    struct newer newer = {.count = 0};
    uint64_t lsn;
    struct layers *layers = layers_pin(image, true, &lsn);
    struct map catalog = map_catalog(layers, &image->store, &image->label.layout, lsn);
    vde_status status = find(&catalog, name, &snapshot);
    if (status == VDE_OK && !drop_newer)
        status = find_newer(&catalog, snapshot.lsn, &newer);
    layers_unpin(image, layers);
    VDE_TRY(status);
    if (newer.count > 0)
        return fail_as(VDE_INVAL, "image snapshot \"%s\"|%u newer snapshot%s: %s%s|none (delete %s first)", name, newer.count,
                       newer.count == 1 ? "" : "s", newer.names, newer.count > NAMED_MAX ? ", ..." : "",
                       newer.count == 1 ? "it" : "them");
    VDE_TRY(checkpoint_rollback(image, &snapshot));
    lock_take(log_gate(image->log));
    registry_done(&image->registry); /* what the replay noted is no longer so */
    lock_drop(log_gate(image->log));
    return VDE_OK;
}
