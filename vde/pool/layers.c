/* SPDX-License-Identifier: Apache-2.0 */
/* layers.c -- what readers pin: the overlays above the roots of one checkpoint. */
#include <stdlib.h>

#include "base/fail.h"
#include "pool/pool.h"

/* Views lock held. */
static void link_layers(struct vde_image *image, struct layers *layers)
{
    layers->next = NULL;
    layers->previous = NULL;
    if (!image->oldest) {
        image->oldest = layers;
        return;
    }
    struct layers *last = image->oldest;
    while (last->next)
        last = last->next;
    last->next = layers;
    layers->previous = last;
}

static void destroy(struct layers *layers)
{
    for (unsigned i = 0; i < 2; i++)
        if (layers->overlays[i])
            overlay_unref(layers->overlays[i]);
    free(layers);
}

/* Views lock held; returns the layers to destroy outside the lock, or NULL. */
static struct layers *drop_ref(struct vde_image *image, struct layers *layers)
{
    if (--layers->refs > 0)
        return NULL;
    if (layers->previous)
        layers->previous->next = layers->next;
    else
        image->oldest = layers->next;
    if (layers->next)
        layers->next->previous = layers->previous;
    return layers;
}

static void replace_current(struct vde_image *image, struct layers *fresh)
{
    lock_take(&image->views_lock);
    struct layers *old = image->current;
    image->current = fresh;
    link_layers(image, fresh);
    struct layers *dead = old ? drop_ref(image, old) : NULL;
    lock_drop(&image->views_lock);
    if (dead)
        destroy(dead);
}

vde_status layers_start(struct vde_image *image, uint64_t generation, struct tree_root catalog)
{
    struct layers *layers = calloc(1, sizeof *layers);
    if (!layers)
        return fail_nomem("layers");
    layers->refs = 1;
    layers->generation = generation;
    layers->catalog = catalog;
    vde_status status = overlay_create(&layers->overlays[0]);
    if (status != VDE_OK) {
        free(layers);
        return status;
    }
    replace_current(image, layers);
    return VDE_OK;
}

void layers_stop(struct vde_image *image)
{
    if (!image->current)
        return;
    lock_take(&image->views_lock);
    struct layers *dead = drop_ref(image, image->current);
    image->current = NULL;
    lock_drop(&image->views_lock);
    if (dead)
        destroy(dead);
}

vde_status layers_freeze(struct vde_image *image, struct overlay *fresh)
{
    struct layers *layers = calloc(1, sizeof *layers);
    if (!layers)
        return fail_nomem("layers");
    *layers = (struct layers){.refs = 1, .generation = image->current->generation, .catalog = image->current->catalog,
                              .overlays = {fresh, image->current->overlays[0]}};
    overlay_ref(layers->overlays[1]);
    replace_current(image, layers);
    return VDE_OK;
}

vde_status layers_publish(struct vde_image *image, uint64_t generation, struct tree_root catalog, struct layers *fresh)
{
    *fresh = (struct layers){.refs = 1, .generation = generation, .catalog = catalog,
                             .overlays = {image->current->overlays[0], NULL}};
    overlay_ref(fresh->overlays[0]);
    replace_current(image, fresh);
    return VDE_OK;
}

/* Both under one lock: an LSN beyond the layers' overlays, or a tree beyond the LSN, would show half a record. */
struct layers *layers_pin(struct vde_image *image, bool pending, uint64_t *ret_lsn)
{
    lock_take(&image->views_lock);
    struct layers *layers = image->current;
    layers->refs++;
    *ret_lsn = pending && image->log ? log_last_lsn(image->log) : image_durable_lsn(image);
    lock_drop(&image->views_lock);
    return layers;
}

void layers_unpin(struct vde_image *image, struct layers *layers)
{
    lock_take(&image->views_lock);
    struct layers *dead = drop_ref(image, layers);
    lock_drop(&image->views_lock);
    if (dead)
        destroy(dead);
}

uint64_t layers_oldest_generation(struct vde_image *image)
{
    lock_take(&image->views_lock);
    uint64_t generation = UINT64_MAX;
    for (struct layers *layers = image->oldest; layers; layers = layers->next)
        if (layers->generation < generation)
            generation = layers->generation;
    lock_drop(&image->views_lock);
    return generation;
}
