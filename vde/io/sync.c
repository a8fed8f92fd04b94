/* SPDX-License-Identifier: Apache-2.0 */
/* sync.c -- pread and pwritev2 in the calling thread. */
#include "io/sync.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/fail.h"
#include "io/request.h"

struct sync_device {
    struct vde_device device;
    struct file file;
};

static vde_status sync_run(struct vde_device *device, struct vde_io *ios, size_t count)
{
    struct sync_device *sync = (struct sync_device *)device;
    for (size_t i = 0; i < count; i++)
        if (request_check(&sync->file.info, &ios[i]))
            request_transfer(sync->file.fd, &ios[i]);
    return request_report(sync->file.path, ios, count);
}

static vde_status sync_flush(struct vde_device *device)
{
    return file_flush(&((struct sync_device *)device)->file);
}

static vde_status sync_discard(struct vde_device *device, uint64_t offset, uint64_t size)
{
    return file_discard(&((struct sync_device *)device)->file, offset, size);
}

static void sync_info(struct vde_device *device, struct vde_device_info *ret_info)
{
    file_info(&((struct sync_device *)device)->file, ret_info);
}

static vde_status sync_refresh(struct vde_device *device)
{
    return file_refresh(&((struct sync_device *)device)->file);
}

static void sync_close(struct vde_device *device)
{
    struct sync_device *sync = (struct sync_device *)device;
    file_close(&sync->file);
    free(sync);
}

static const struct vde_device_ops sync_ops = {
    .run = sync_run,
    .flush = sync_flush,
    .discard = sync_discard,
    .info = sync_info,
    .close = sync_close,
    .refresh = sync_refresh,
};

vde_status sync_open(const struct file *file, struct vde_device **ret_device)
{
    struct sync_device *sync = malloc(sizeof *sync);
    if (!sync)
        return fail_nomem("sync device");
    sync->device.ops = &sync_ops;
    sync->file = *file;
    snprintf(sync->file.info.backend, sizeof sync->file.info.backend, "sync");
    *ret_device = &sync->device;
    return VDE_OK;
}
