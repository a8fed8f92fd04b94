/* SPDX-License-Identifier: Apache-2.0 */
/* view.c -- pin one LSN. */
#include <stdlib.h>

#include "base/fail.h"
#include "pool/pool.h"

static vde_status open_at(vde_image *image, bool pending, vde_view **ret_view)
{
    vde_view *view = malloc(sizeof *view);
    if (!view)
        return fail_nomem("view");
    view->image = image;
    view->layers = layers_pin(image, pending, &view->lsn);
    *ret_view = view;
    return VDE_OK;
}

vde_status vde_view_open(vde_image *image, vde_view **ret_view)
{
    return open_at(image, false, ret_view);
}

vde_status vde_view_open_pending(vde_image *image, vde_view **ret_view)
{
    return open_at(image, true, ret_view);
}

void vde_view_close(vde_view *view)
{
    if (!view)
        return;
    layers_unpin(view->image, view->layers);
    free(view);
}

uint64_t vde_view_lsn(const vde_view *view)
{
    return view->lsn;
}
