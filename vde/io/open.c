/* SPDX-License-Identifier: Apache-2.0 */
/* open.c -- choose the backend for a path, and say which was taken and why. */
#include <string.h>

#include "base/fail.h"
#include "io/file.h"
#include "io/sync.h"
#include "io/uring.h"

static vde_status open_named(const char *path, bool uring, unsigned flags, uint64_t size_bytes,
                             struct vde_device **ret_device)
{
    char reason[128];
    if (uring && !uring_works(reason, sizeof reason)) /* before the file, so that none is created in vain */
        return vde_error_text(VDE_UNSUPPORTED, "backend uring", "%s", reason);
    struct file file;
    VDE_TRY(file_open(path, flags, size_bytes, &file));
    file_note(&file.info, "asked for by name");
    vde_status status = uring ? uring_open(&file, ret_device) : sync_open(&file, ret_device);
    if (status != VDE_OK)
        file_close(&file);
    return status;
}

static vde_status open_auto(const char *path, unsigned flags, uint64_t size_bytes, struct vde_device **ret_device)
{
    char reason[128];
    bool uring = uring_works(reason, sizeof reason);
    struct file file;
    VDE_TRY(file_open(path, flags, size_bytes, &file));
    file_note(&file.info, "%s", reason);
    if (uring && uring_open(&file, ret_device) == VDE_OK)
        return VDE_OK;
    if (uring)
        file_note(&file.info, "a second ring: %s", vde_last_error()->found);
    vde_status status = sync_open(&file, ret_device);
    if (status != VDE_OK)
        file_close(&file);
    return status;
}

vde_status vde_device_open(const char *path, const char *backend, unsigned flags, uint64_t size_bytes,
                           struct vde_device **ret_device)
{
    if (flags & ~(VDE_DEVICE_READ_ONLY | VDE_DEVICE_CREATE | VDE_DEVICE_NO_LOCK))
        return vde_error_text(VDE_INVAL, path, "unknown flags 0x%x for opening a device", flags);
    if (!backend || strcmp(backend, "auto") == 0)
        return open_auto(path, flags, size_bytes, ret_device);
    if (strcmp(backend, "uring") == 0 || strcmp(backend, "sync") == 0)
        return open_named(path, backend[0] == 'u', flags, size_bytes, ret_device);
    return fail_as(VDE_UNSUPPORTED, "backend|%s|auto, uring or sync", backend);
}
