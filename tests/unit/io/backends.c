/* SPDX-License-Identifier: Apache-2.0 */
#include "backends.h"

#include <string.h>

#include "io/simulated.h"

struct vde_device *backend_open(const struct backend *backend)
{
    struct vde_device *device = NULL;
    if (strcmp(backend->name, "memory") == 0)
        return vde_device_memory(DEVICE_BYTES, &device) == VDE_OK ? device : NULL;
    if (strcmp(backend->name, "simulated") == 0)
        return simulated_create(DEVICE_BYTES, 7, 0, &device) == VDE_OK ? device : NULL;
    char path[TMP_PATH_BYTES];
    tmp_path(path, backend->folder[0] ? backend->folder : NULL, "contract");
    vde_status status = vde_device_open(path, backend->name, VDE_DEVICE_CREATE, DEVICE_BYTES, &device);
    tmp_remove(path);
    return status == VDE_OK ? device : NULL;
}
