/* SPDX-License-Identifier: Apache-2.0 */
/* exports.c -- the names of exports: VOLUME and VOLUME@SNAPSHOT, listed and resolved. */
#include "nbd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* nbdkit refuses longer lists. */
#define EXPORTS_MAX 10000u

struct listing {
    struct nbdkit_exports *exports;
    vde_view *view;
    const struct vde_volume_info *volume;
    unsigned count;
    bool with_snapshots;
    bool failed; /* nbdkit has reported it already */
};

static vde_status add(struct listing *listing, const char *name, const char *description)
{
    if (listing->count == EXPORTS_MAX)
        return VDE_OK;
    listing->count++;
    if (nbdkit_add_export(listing->exports, name, description) == 0)
        return VDE_OK;
    listing->failed = true;
    return VDE_NOMEM;
}

static vde_status add_snapshot(void *context, const struct vde_snapshot_info *info)
{
    struct listing *listing = context;
    char name[VDE_VOLUME_NAME_MAX + VDE_SNAPSHOT_NAME_MAX + 2], description[96];
    if (!info->name[0])
        return VDE_OK;
    snprintf(name, sizeof name, "%s@%s", listing->volume->name, info->name);
    snprintf(description, sizeof description, "snapshot, LSN %llu, read-only", (unsigned long long)info->lsn);
    return add(listing, name, description);
}

/* Volumes come before all snapshots, so that a list that is too long has every volume. */
static vde_status add_volume(void *context, const struct vde_volume_info *info)
{
    struct listing *listing = context;
    char description[96];
    if (listing->with_snapshots) {
        listing->volume = info;
        return vde_snapshot_list(listing->view, info->id, false, add_snapshot, listing);
    }
    snprintf(description, sizeof description, "volume, %llu bytes", (unsigned long long)info->size_bytes);
    return add(listing, info->name, description);
}

int nbd_exports_list(struct nbd_server *server, struct nbdkit_exports *exports)
{
    struct listing listing = {.exports = exports};
    const char *only = server->volume ? nbd_exports_default(server) : NULL;
    if (server->volume)
        return only ? nbdkit_add_export(exports, only, NULL) : -1;
    vde_status status = vde_view_open(server->image, &listing.view);
    if (status != VDE_OK)
        return nbd_fail(status);
    status = vde_volume_list(listing.view, add_volume, &listing);
    listing.with_snapshots = true;
    if (status == VDE_OK)
        status = vde_volume_list(listing.view, add_volume, &listing);
    vde_view_close(listing.view);
    if (listing.failed)
        return -1;
    return status == VDE_OK ? 0 : nbd_fail(status);
}

struct single {
    unsigned count;
    char name[VDE_VOLUME_NAME_MAX + 1];
};

static vde_status note_single(void *context, const struct vde_volume_info *info)
{
    struct single *single = context;
    single->count++;
    memcpy(single->name, info->name, sizeof single->name);
    return VDE_OK;
}

const char *nbd_exports_default(struct nbd_server *server)
{
    if (server->volume && server->snapshot)
        return nbdkit_printf_intern("%s@%s", server->volume, server->snapshot);
    if (server->volume)
        return server->volume;
    struct single single = {0};
    vde_view *view;
    if (vde_view_open(server->image, &view) != VDE_OK)
        return NULL;
    vde_status status = vde_volume_list(view, note_single, &single);
    vde_view_close(view);
    return status == VDE_OK && single.count == 1 ? nbdkit_strdup_intern(single.name) : NULL;
}

static bool is_volume(const struct nbd_server *server, const char *name)
{
    struct vde_volume_info info;
    vde_view *view;
    if (vde_view_open(server->image, &view) != VDE_OK)
        return false;
    vde_status status = vde_volume_get(view, name, &info);
    vde_view_close(view);
    return status == VDE_OK;
}

int nbd_name_resolve(const struct nbd_server *server, const char *export_name, struct nbd_name *ret_name)
{
    struct nbd_name name = {0};
    const char *at = strrchr(export_name, '@');
    size_t size = strlen(export_name);
    if (at && (size <= VDE_VOLUME_NAME_MAX && is_volume(server, export_name)))
        at = NULL;
    if (at)
        size = (size_t)(at - export_name);
    if (size > VDE_VOLUME_NAME_MAX || (at && strlen(at + 1) > VDE_SNAPSHOT_NAME_MAX))
        return nbd_refuse(ENOENT, "the name of the export is too long", export_name);
    memcpy(name.volume, export_name, size);
    if (at)
        memcpy(name.snapshot, at + 1, strlen(at + 1));
    if (!name.volume[0] || (at && !name.snapshot[0]))
        return nbd_refuse(ENOENT, "no such export; expected VOLUME or VOLUME@SNAPSHOT", export_name);
    *ret_name = name;
    return 0;
}
