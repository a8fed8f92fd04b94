/* SPDX-License-Identifier: Apache-2.0 */
/* volume_operations.c -- each operation on the image and on the model. */
#include "volume_operations.h"

#include <stdio.h>
#include <string.h>

#include "base/fail.h"

void volume_handle_close(struct handle *h, unsigned volume)
{
    vde_volume_close(h->volumes[volume]);
    h->volumes[volume] = NULL;
}

static vde_status volume_of(struct handle *h, unsigned volume, vde_volume **ret_volume)
{
    char name[32];
    volume_model_name(volume, name);
    if (!h->volumes[volume])
        VDE_TRY(vde_volume_open(h->image, name, NULL, &h->volumes[volume]));
    *ret_volume = h->volumes[volume];
    return VDE_OK;
}

static vde_status id_of(struct handle *h, unsigned volume, uint64_t *ret_id)
{
    char name[32];
    vde_view *view;
    struct vde_volume_info info;
    volume_model_name(volume, name);
    VDE_TRY(vde_view_open(h->image, &view));
    vde_status status = vde_volume_get(view, name, &info);
    vde_view_close(view);
    *ret_id = status == VDE_OK ? info.id : 0;
    return status;
}

/* --- requests ------------------------------------------------------------------------------------------------------- */

vde_status volume_write_some(struct handle *h, struct volume_model *m, unsigned volume, unsigned sector, unsigned count,
                             uint32_t flags)
{
    struct volume_content *c = &m->now.now[volume];
    vde_volume *opened;
    if (sector >= c->sectors)
        sector = 0;
    if (count > c->sectors - sector)
        count = c->sectors - sector;
    m->stamp++;
    for (unsigned i = 0; i < count; i++) {
        c->stamps[sector + i] = (uint8_t)m->stamp;
        volume_model_fill(h->bytes + i * SECTOR, (uint8_t)m->stamp, sector + i);
    }
    VDE_TRY(volume_of(h, volume, &opened));
    return vde_volume_write(opened, h->bytes, count * SECTOR, (uint64_t)sector * SECTOR, flags);
}

/* Discards leave alone what they cover only in part of a block. */
vde_status volume_zero_some(struct handle *h, struct volume_model *m, unsigned volume, unsigned sector, unsigned count,
                            bool discards)
{
    struct volume_content *c = &m->now.now[volume];
    vde_volume *opened;
    if (sector >= c->sectors)
        sector = 0;
    if (count > c->sectors - sector)
        count = c->sectors - sector;
    for (unsigned s = sector; s < sector + count; s++) {
        unsigned first = s / 8 * 8, last = first + 8 < c->sectors ? first + 8 : c->sectors;
        if (!discards || (first >= sector && last <= sector + count))
            c->stamps[s] = 0;
    }
    VDE_TRY(volume_of(h, volume, &opened));
    return discards ? vde_volume_discard(opened, count * SECTOR, (uint64_t)sector * SECTOR, 0)
                    : vde_volume_write_zeroes(opened, count * SECTOR, (uint64_t)sector * SECTOR, 0);
}

static vde_status flush(struct handle *h)
{
    vde_volume *opened;
    VDE_TRY(volume_of(h, PLAIN, &opened));
    return vde_volume_flush(opened);
}

/* --- volumes and snapshots -------------------------------------------------------------------------------------------- */

vde_status volume_make(struct handle *h, struct volume_model *m, unsigned volume, unsigned sectors, unsigned compression)
{
    struct vde_volume_opts opts = VDE_VOLUME_OPTS_INIT;
    char name[32];
    volume_model_name(volume, name);
    opts.size_bytes = sectors * SECTOR;
    opts.compression = compression;
    m->now.now[volume] = (struct volume_content){.sectors = sectors};
    memset(m->now.snapshots[volume], 0, sizeof m->now.snapshots[volume]);
    return vde_volume_create(h->image, name, &opts);
}

/* The snapshot slot that is free, oldest or newest; SNAPSHOTS: none. */
static unsigned find_snapshot(const struct volume_model *m, unsigned volume, int which)
{
    unsigned best = SNAPSHOTS;
    const struct volume_content *all = m->now.snapshots[volume];
    for (unsigned s = 0; s < SNAPSHOTS; s++) {
        if ((all[s].sectors == 0) != (which == 0))
            continue;
        if (best == SNAPSHOTS || (which < 0 ? all[s].order < all[best].order : all[s].order > all[best].order))
            best = s;
    }
    return best;
}

vde_status volume_snapshot(struct handle *h, struct volume_model *m, unsigned volume)
{
    unsigned slot = find_snapshot(m, volume, 0);
    char name[32];
    uint64_t id, lsn;
    volume_model_snapshot(slot, name);
    m->now.snapshots[volume][slot] = m->now.now[volume];
    m->now.snapshots[volume][slot].order = ++m->order;
    VDE_TRY(id_of(h, volume, &id));
    return vde_snapshot_create(h->image, id, name, &lsn);
}

static vde_status unsnapshot(struct handle *h, struct volume_model *m, unsigned volume)
{
    unsigned slot = find_snapshot(m, volume, -1);
    char name[32];
    uint64_t id;
    volume_model_snapshot(slot, name);
    memset(&m->now.snapshots[volume][slot], 0, sizeof m->now.snapshots[volume][slot]);
    VDE_TRY(id_of(h, volume, &id));
    return vde_snapshot_delete(h->image, id, name);
}

static vde_status rollback(struct handle *h, struct volume_model *m, unsigned volume)
{
    unsigned slot = find_snapshot(m, volume, 1);
    char name[32];
    uint64_t id;
    volume_model_snapshot(slot, name);
    m->now.now[volume] = m->now.snapshots[volume][slot];
    m->now.now[volume].order = 0;
    volume_handle_close(h, volume);
    VDE_TRY(id_of(h, volume, &id));
    return vde_snapshot_rollback(h->image, id, name);
}

static unsigned find_clone(const struct volume_model *m, bool exists)
{
    unsigned v = CLONE_FIRST;
    while (v < VOLUMES && (m->now.now[v].sectors != 0) != exists)
        v++;
    return v;
}

vde_status volume_clone_oldest(struct handle *h, struct volume_model *m)
{
    unsigned slot = find_snapshot(m, PLAIN, -1), to = find_clone(m, false);
    char name[32], origin[32], next[32];
    volume_model_name(PLAIN, origin);
    volume_model_snapshot(slot, name);
    volume_model_name(to, next);
    m->now.now[to] = m->now.snapshots[PLAIN][slot];
    m->now.now[to].order = 0;
    return vde_volume_clone(h->image, origin, name, next);
}

static vde_status drop(struct handle *h, struct volume_model *m, unsigned volume)
{
    char name[32];
    volume_model_name(volume, name);
    memset(&m->now.now[volume], 0, sizeof m->now.now[volume]);
    memset(m->now.snapshots[volume], 0, sizeof m->now.snapshots[volume]);
    volume_handle_close(h, volume);
    return vde_volume_delete(h->image, name);
}

static unsigned find_image(const struct volume_model *m, bool exists)
{
    unsigned i = 0;
    while (i < IMAGES && (m->image_exists[i] != 0) != exists)
        i++;
    return i;
}

unsigned volume_find_image(const struct volume_model *m, bool oldest)
{
    unsigned best = IMAGES;
    for (unsigned i = 0; i < IMAGES; i++)
        if (m->image_exists[i] &&
            (best == IMAGES || (m->image_exists[i] < m->image_exists[best]) == oldest))
            best = i;
    return best;
}

vde_status volume_image_snapshot(struct handle *h, struct volume_model *m)
{
    unsigned i = find_image(m, false);
    char name[32];
    uint64_t lsn;
    volume_model_snapshot(i, name);
    m->image_exists[i] = ++m->order;
    m->images[i] = m->now;
    return vde_snapshot_create(h->image, VDE_DATASET_IMAGE, name, &lsn);
}

static vde_status image_unsnapshot(struct handle *h, struct volume_model *m)
{
    unsigned i = find_image(m, true);
    char name[32];
    volume_model_snapshot(i, name);
    m->image_exists[i] = 0;
    memset(&m->images[i], 0, sizeof m->images[i]);
    return vde_snapshot_delete(h->image, VDE_DATASET_IMAGE, name);
}

static vde_status resize(struct handle *h, struct volume_model *m, unsigned sectors)
{
    struct volume_content *c = &m->now.now[PLAIN];
    char name[32];
    bool shrinks = sectors < c->sectors;
    volume_model_name(PLAIN, name);
    for (unsigned s = sectors; s < VOLUME_SECTORS; s++)
        c->stamps[s] = 0;
    c->sectors = sectors;
    return vde_volume_resize(h->image, name, sectors * SECTOR, shrinks ? VDE_VOLUME_SHRINK : 0);
}

/* A clone takes the name that is free. */
static vde_status rename_clone(struct handle *h, struct volume_model *m)
{
    unsigned from = find_clone(m, true), to = find_clone(m, false);
    char name[32], next[32];
    volume_model_name(from, name);
    volume_model_name(to, next);
    m->now.now[to] = m->now.now[from];
    memcpy(m->now.snapshots[to], m->now.snapshots[from], sizeof m->now.snapshots[to]);
    memset(&m->now.now[from], 0, sizeof m->now.now[from]);
    memset(m->now.snapshots[from], 0, sizeof m->now.snapshots[from]);
    volume_handle_close(h, from);
    return vde_volume_rename(h->image, name, next);
}

/* No snapshot of the image may be newer. */
static bool can_roll_back(const struct volume_model *m)
{
    unsigned slot = find_snapshot(m, PLAIN, 1);
    for (unsigned i = 0; i < IMAGES && slot < SNAPSHOTS; i++)
        if (m->image_exists[i] > m->now.snapshots[PLAIN][slot].order)
            slot = SNAPSHOTS;
    return slot < SNAPSHOTS;
}

bool volume_enabled(const void *model, unsigned kind)
{
    const struct volume_model *m = model;
    bool plain = m->now.now[PLAIN].sectors != 0;
    switch (kind) {
    case WRITE_PACKED: case WRITE_FRAME: case DISCARD_PACKED: return m->now.now[PACKED].sectors != 0;
    case WRITE_CLONE: case UNCLONE: return find_clone(m, true) < VOLUMES;
    case SNAPSHOT: return plain && find_snapshot(m, PLAIN, 0) < SNAPSHOTS;
    case UNSNAPSHOT: return plain && find_snapshot(m, PLAIN, 1) < SNAPSHOTS;
    case ROLLBACK: return plain && can_roll_back(m);
    case CLONE: return plain && find_snapshot(m, PLAIN, 1) < SNAPSHOTS && find_clone(m, false) < VOLUMES;
    case RENAME: return find_clone(m, true) < VOLUMES && find_clone(m, false) < VOLUMES;
    case IMAGE_SNAPSHOT: return find_image(m, false) < IMAGES;
    case IMAGE_UNSNAPSHOT: case IMAGE_ROLLBACK: return find_image(m, true) < IMAGES;
    case GROW: return plain && m->now.now[PLAIN].sectors < PLAIN_SECTORS;
    case SHRINK: return plain && m->now.now[PLAIN].sectors >= PLAIN_SECTORS;
    case DROP: case CHECKPOINT: case REOPEN: return true;
    default: return plain;
    }
}

vde_status volume_perform(struct handle *h, struct volume_model *m, unsigned kind, unsigned step)
{
    switch (kind) {
    case WRITE: return volume_write_some(h, m, PLAIN, step % 3 * 16, 24, 0);
    case WRITE_PART: return volume_write_some(h, m, PLAIN, 8 * step + 3, 2, 0);
    case WRITE_SPAN: return volume_write_some(h, m, PLAIN, 13 + 8 * step, 30, 0);
    case WRITE_FUA: return volume_write_some(h, m, PLAIN, 8 * step, 8, VDE_VOLUME_FUA);
    case WRITE_PACKED: return volume_write_some(h, m, PACKED, 40 + 16 * step, 12, 0);
    case WRITE_FRAME: return volume_write_some(h, m, PACKED, step % 2 * 128, 128, 0);
    case WRITE_CLONE: return volume_write_some(h, m, find_clone(m, true), 4 + 8 * step, 20, 0);
    case FLUSH: return flush(h);
    case DISCARD: return volume_zero_some(h, m, PLAIN, 8 + 8 * step, 24, true);
    case DISCARD_PACKED: return volume_zero_some(h, m, PACKED, 64 - 16 * step, 80, true);
    case ZEROES: return volume_zero_some(h, m, PLAIN, 5 + 16 * step, 29, false);
    case SNAPSHOT: return volume_snapshot(h, m, PLAIN);
    case UNSNAPSHOT: return unsnapshot(h, m, PLAIN);
    case ROLLBACK: return rollback(h, m, PLAIN);
    case CLONE: return volume_clone_oldest(h, m);
    case UNCLONE: return drop(h, m, find_clone(m, true));
    case IMAGE_SNAPSHOT: return volume_image_snapshot(h, m);
    case IMAGE_UNSNAPSHOT: return image_unsnapshot(h, m);
    case GROW: return resize(h, m, PLAIN_SECTORS + 8);
    case SHRINK: return resize(h, m, step % 2 ? 40 : 53);
    case DROP: return m->now.now[PLAIN].sectors ? drop(h, m, PLAIN) : volume_make(h, m, PLAIN, PLAIN_SECTORS, 0);
    case RENAME: return rename_clone(h, m);
    default: return vde_image_checkpoint(h->image);
    }
}
