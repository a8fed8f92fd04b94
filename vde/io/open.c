/* SPDX-License-Identifier: Apache-2.0 */
/* open.c -- choose the backend for a path, and say which was taken and why. */
#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "io/aio.h"
#include "io/file.h"
#include "io/sync.h"
#include "io/uring.h"

#define FLAGS_KNOWN (VDE_DEVICE_READ_ONLY | VDE_DEVICE_CREATE | VDE_DEVICE_NO_LOCK | VDE_DEVICE_DISCARD)

static bool sync_works(char *ret_reason, size_t size)
{
    (void)ret_reason;
    (void)size;
    return true;
}

/* In the order in which auto tries them. */
static const struct {
    const char *name;
    bool (*works)(char *ret_reason, size_t size);
    vde_status (*open)(const struct file *file, struct vde_device **ret_device);
} backends[] = {
    {"uring", uring_works, uring_open},
    {"aio", aio_works, aio_open},
    {"sync", sync_works, sync_open},
};

enum { COUNT = sizeof backends / sizeof backends[0] };

static vde_status open_named(const char *path, unsigned number, unsigned flags, uint64_t size_bytes,
                             struct vde_device **ret_device)
{
    char reason[128] = "";
    if (!backends[number].works(reason, sizeof reason)) { /* before the file, so that none is created in vain */
        char name[32];
        snprintf(name, sizeof name, "backend %s", backends[number].name);
        return vde_error_text(VDE_UNSUPPORTED, name, "%s", reason);
    }
    struct file file;
    VDE_TRY(file_open(path, flags, size_bytes, &file));
    file_note(&file.info, "asked for by name");
    vde_status status = backends[number].open(&file, ret_device);
    if (status != VDE_OK)
        file_close(&file);
    return status;
}

static vde_status open_auto(const char *path, unsigned flags, uint64_t size_bytes, struct vde_device **ret_device)
{
    struct file file;
    vde_status status = VDE_OK;
    VDE_TRY(file_open(path, flags, size_bytes, &file));
    for (unsigned i = 0; i < COUNT; i++) {
        char reason[128] = "";
        bool works = backends[i].works(reason, sizeof reason);
        if (reason[0])
            file_note(&file.info, "%s", reason);
        status = works ? backends[i].open(&file, ret_device) : VDE_UNSUPPORTED;
        if (status == VDE_OK)
            return VDE_OK;
        if (works)
            file_note(&file.info, "%s", vde_last_error()->found);
    }
    file_close(&file);
    return status;
}

vde_status vde_device_open(const char *path, const char *backend, unsigned flags, uint64_t size_bytes,
                           struct vde_device **ret_device)
{
    if (flags & ~FLAGS_KNOWN)
        return vde_error_text(VDE_INVAL, path, "unknown flags 0x%x for opening a device", flags);
    if (!backend || strcmp(backend, "auto") == 0)
        return open_auto(path, flags, size_bytes, ret_device);
    for (unsigned i = 0; i < COUNT; i++)
        if (strcmp(backend, backends[i].name) == 0)
            return open_named(path, i, flags, size_bytes, ret_device);
    return fail_as(VDE_UNSUPPORTED, "backend|%s|auto, uring, aio or sync", backend);
}
