/* SPDX-License-Identifier: Apache-2.0 */
/* volume_steps.c -- volumes, snapshots, clones and image snapshots come, change and go; transactions of others in between. */
#include "unit/pool/engine.h"
#include "stamps.h"
#include "volume_steps.h"

static unsigned free_volume(const struct world *w)
{
    unsigned i = 0;
    while (i < VOLUMES && w->now.volumes[i].name)
        i++;
    return i;
}

static void close_one(struct world *w, unsigned slot)
{
    vde_volume_close(w->handles[slot]);
    w->handles[slot] = NULL;
}

bool took(struct world *w, vde_status status)
{
    if (status == VDE_NOSPC) {
        trace(w, "  no space: %s", vde_last_error()->text);
        w->needs_room = true;
        w->full++;
        return false;
    }
    OK(status);
    return true;
}

void step_create(struct world *w)
{
    static const uint64_t bases[] = {0, 0, 0, 0, 1ull << 20, (1ull << 44) - (1u << 20), (1ull << 56) - (4u << 20)};
    struct vde_volume_opts opts = VDE_VOLUME_OPTS_INIT;
    unsigned slot = free_volume(w);
    char name[NAME_BYTES];
    if (slot == VOLUMES)
        return;
    struct volume made = {.name = ++w->names, .base = bases[pick(w, sizeof bases / sizeof bases[0])]};
    made.now.sectors = 1 + pick(w, WINDOW_SECTORS);
    if (pick(w, 2))
        made.now.sectors = (made.now.sectors + BLOCK_SECTORS - 1) / BLOCK_SECTORS * BLOCK_SECTORS;
    made.compression = pick(w, 3) == 0 ? (uint8_t)(1 + pick(w, 3)) : 0;
    made.prealloc = made.base == 0 && pick(w, 5) == 0;
    volume_name(made.name, name);
    opts.size_bytes = volume_bytes(&made, &made.now);
    opts.compression = made.compression;
    opts.flags = made.prealloc ? VDE_VOLUME_PREALLOC : 0;
    trace(w, "create %u: %llu + %llu sectors, compression %u, flags %u", made.name, (unsigned long long)made.base,
          (unsigned long long)made.now.sectors, made.compression, opts.flags);
    if (took(w, vde_volume_create(w->image, name, &opts))) {
        vde_status again = vde_volume_create(w->image, name, &opts);
        REQUIRE(again == VDE_EXISTS || (made.prealloc && again == VDE_NOSPC));
        w->now.volumes[slot] = made;
    }
    w->operations++;
}

/* Nobody knows any more what clones of this volume are told they come from. */
static void forget_origin(struct world *w, uint32_t name)
{
    for (unsigned i = 0; i < VOLUMES; i++)
        if (w->now.volumes[i].origin == name)
            w->now.volumes[i].origin = 0;
}

void delete_volume(struct world *w, unsigned slot)
{
    char name[NAME_BYTES];
    vde_volume *handle;
    volume_name(w->now.volumes[slot].name, name);
    trace(w, "delete volume %u", w->now.volumes[slot].name);
    if (w->handles[slot])
        EXPECT(VDE_BUSY, vde_volume_delete(w->image, name));
    close_one(w, slot);
    OK(vde_volume_delete(w->image, name));
    EXPECT(VDE_NOT_FOUND, vde_volume_open(w->image, name, NULL, &handle));
    forget_origin(w, w->now.volumes[slot].name);
    for (unsigned s = 0; s < VOLUME_SNAPSHOTS; s++)
        if (w->now.volumes[slot].snaps[s].name)
            hold_snapshot(w, &w->now.volumes[slot].snaps[s]);
    volume_drop(&w->now.volumes[slot]);
    drop_held(w, false);
    w->dirty[slot] = false;
    w->operations++;
}

void step_delete(struct world *w)
{
    unsigned slot = some_volume(w);
    if (slot != VOLUMES)
        delete_volume(w, slot);
}

void step_rename(struct world *w)
{
    unsigned slot = some_volume(w), other = some_volume(w);
    char name[NAME_BYTES], taken[NAME_BYTES], next[NAME_BYTES];
    if (slot == VOLUMES)
        return;
    struct volume *volume = &w->now.volumes[slot];
    volume_name(volume->name, name);
    volume_name(w->now.volumes[other].name, taken);
    if (other != slot)
        EXPECT(VDE_EXISTS, vde_volume_rename(w->image, name, taken));
    volume_name(w->names + 1, next);
    EXPECT(VDE_NOT_FOUND, vde_volume_rename(w->image, next, name));
    trace(w, "rename %u to %u", volume->name, w->names + 1);
    if (took(w, vde_volume_rename(w->image, name, next))) {
        forget_origin(w, volume->name);
        volume->name = ++w->names;
    }
    w->operations++;
}

void step_resize(struct world *w)
{
    unsigned slot = some_volume(w);
    char name[NAME_BYTES];
    if (slot == VOLUMES)
        return;
    struct volume *volume = &w->now.volumes[slot];
    struct content sized = {.sectors = 1 + pick(w, WINDOW_SECTORS)};
    bool shrinks = sized.sectors < volume->now.sectors;
    volume_name(volume->name, name);
    trace(w, "resize %u from %llu to %llu sectors", volume->name, (unsigned long long)volume->now.sectors,
          (unsigned long long)sized.sectors);
    if (shrinks)
        EXPECT(VDE_INVAL, vde_volume_resize(w->image, name, volume_bytes(volume, &sized), 0));
    if (took(w, vde_volume_resize(w->image, name, volume_bytes(volume, &sized), shrinks ? VDE_VOLUME_SHRINK : 0))) {
        volume->vague |= !shrinks && volume->now.sectors % BLOCK_SECTORS;
        content_resize(&volume->now, &w->clock, sized.sectors);
        if (w->handles[slot])
            REQUIRE(vde_volume_size(w->handles[slot]) == volume_bytes(volume, &volume->now));
    }
    w->operations++;
}

/* The oldest, the newest or any; NULL when the volume has none. */
static struct snap *some_snap(struct world *w, struct volume *volume, bool newest)
{
    struct snap *best = NULL;
    unsigned first = (unsigned)pick(w, VOLUME_SNAPSHOTS);
    for (unsigned i = 0; i < VOLUME_SNAPSHOTS; i++) {
        struct snap *snap = &volume->snaps[(first + i) % VOLUME_SNAPSHOTS];
        if (snap->name && (!best || (newest && snap->order > best->order)))
            best = snap;
    }
    return best;
}

void step_clone(struct world *w)
{
    unsigned slot = some_volume(w), to = free_volume(w);
    char name[NAME_BYTES], snapshot[NAME_BYTES], next[NAME_BYTES];
    if (slot == VOLUMES || to == VOLUMES)
        return;
    struct volume *volume = &w->now.volumes[slot];
    struct snap *snap = some_snap(w, volume, false);
    if (!snap)
        return;
    struct volume made = {.name = w->names + 1, .base = volume->base, .compression = volume->compression,
                          .prealloc = volume->prealloc, .shared = true, .clone = true, .moved = volume->moved,
                          .vague = volume->vague, .origin = volume->name};
    made.lineage[0] = snap->order;
    memcpy(made.lineage + 1, volume->lineage, sizeof made.lineage - sizeof made.lineage[0]);
    volume_name(volume->name, name);
    snapshot_name(snap->name, snapshot);
    volume_name(made.name, next);
    trace(w, "clone %u@%u as %u", volume->name, snap->name, made.name);
    EXPECT(VDE_EXISTS, vde_volume_clone(w->image, name, snapshot, name));
    if (took(w, vde_volume_clone(w->image, name, snapshot, next))) {
        content_copy(&made.now, &snap->content);
        content_copy(&made.born, &snap->content);
        w->now.volumes[to] = made;
        w->names++;
    }
    w->operations++;
}

static uint64_t id_of(struct world *w, const char *name)
{
    struct vde_volume_info info;
    vde_view *view;
    OK(vde_view_open(w->image, &view));
    OK(vde_volume_get(view, name, &info));
    vde_view_close(view);
    return info.id;
}

void step_snapshot(struct world *w)
{
    unsigned slot = some_volume(w), free = 0;
    char name[NAME_BYTES], snapshot[NAME_BYTES];
    uint64_t lsn;
    if (slot == VOLUMES)
        return;
    struct volume *volume = &w->now.volumes[slot];
    while (free < VOLUME_SNAPSHOTS && volume->snaps[free].name)
        free++;
    if (free == VOLUME_SNAPSHOTS)
        return;
    volume_name(volume->name, name);
    snapshot_name(w->names + 1, snapshot);
    trace(w, "snapshot %u@%u", volume->name, w->names + 1);
    if (took(w, vde_snapshot_create(w->image, id_of(w, name), snapshot, &lsn))) {
        EXPECT(VDE_EXISTS, vde_snapshot_create(w->image, id_of(w, name), snapshot, &lsn));
        volume->snaps[free].name = ++w->names;
        volume->snaps[free].order = ++w->orders;
        content_copy(&volume->snaps[free].content, &volume->now);
        volume->shared = true;
    }
    w->operations++;
}

void step_unsnapshot(struct world *w)
{
    unsigned slot = some_volume(w);
    char name[NAME_BYTES], snapshot[NAME_BYTES];
    struct snap *snap = slot == VOLUMES ? NULL : some_snap(w, &w->now.volumes[slot], false);
    if (!snap)
        return;
    volume_name(w->now.volumes[slot].name, name);
    snapshot_name(snap->name, snapshot);
    trace(w, "delete snapshot %u@%u", w->now.volumes[slot].name, snap->name);
    OK(vde_snapshot_delete(w->image, id_of(w, name), snapshot));
    EXPECT(VDE_NOT_FOUND, vde_snapshot_delete(w->image, id_of(w, name), snapshot));
    hold_snapshot(w, snap);
    drop_held(w, false);
    forget_origin(w, w->now.volumes[slot].name);
    w->operations++;
}

/* Clones or image snapshots may need snapshots that have been deleted. */
static bool somebody_keeps(const struct world *w)
{
    bool keeps = false;
    for (unsigned i = 0; i < VOLUMES; i++)
        keeps |= w->now.volumes[i].clone;
    for (unsigned i = 0; i < IMAGE_SNAPSHOTS; i++)
        keeps |= w->images[i].name != 0;
    return keeps;
}

void step_rollback(struct world *w)
{
    unsigned slot = some_volume(w);
    char name[NAME_BYTES], snapshot[NAME_BYTES];
    struct snap *snap = slot == VOLUMES ? NULL : some_snap(w, &w->now.volumes[slot], true);
    if (!snap)
        return;
    struct volume *volume = &w->now.volumes[slot];
    struct snap *older = some_snap(w, volume, false);
    volume_name(volume->name, name);
    snapshot_name(snap->name, snapshot);
    if (w->handles[slot])
        EXPECT(VDE_BUSY, vde_snapshot_rollback(w->image, id_of(w, name), snapshot));
    close_one(w, slot);
    if (older != snap) {
        char refused[NAME_BYTES];
        snapshot_name(older->name, refused);
        EXPECT(VDE_INVAL, vde_snapshot_rollback(w->image, id_of(w, name), refused));
    }
    trace(w, "roll %u back to %u", volume->name, snap->name);
    w->operations++;
    for (unsigned i = 0; i < IMAGE_SNAPSHOTS; i++)
        if (w->images[i].name && w->images[i].order > snap->order) {
            EXPECT(VDE_INVAL, vde_snapshot_rollback(w->image, id_of(w, name), snapshot));
            return;
        }
    vde_status status = vde_snapshot_rollback(w->image, id_of(w, name), snapshot);
    for (unsigned i = 0; i < 20 && status == VDE_INVAL; i++) { /* a newer one was deleted, and is not gone yet */
        OK(vde_image_checkpoint(w->image));
        status = vde_snapshot_rollback(w->image, id_of(w, name), snapshot);
    }
    if (status == VDE_INVAL && somebody_keeps(w)) /* what was deleted */
        return;
    if (took(w, status)) {
        content_drop(&volume->now);
        content_copy(&volume->now, &snap->content);
        w->dirty[slot] = false;
    }
}

void step_image_snapshot(struct world *w)
{
    unsigned i = (unsigned)pick(w, IMAGE_SNAPSHOTS);
    char name[NAME_BYTES];
    uint64_t lsn;
    if (w->images[i].name)
        return;
    snapshot_name(w->names + 1, name);
    trace(w, "image snapshot %u", w->names + 1);
    if (took(w, vde_snapshot_create(w->image, VDE_DATASET_IMAGE, name, &lsn))) {
        w->images[i].name = ++w->names;
        w->images[i].order = ++w->orders;
        state_copy(&w->images[i].state, &w->now);
        for (unsigned v = 0; v < VOLUMES; v++)
            w->now.volumes[v].shared = true;
    }
    w->operations++;
}

void delete_image_snapshot(struct world *w, unsigned index)
{
    char name[NAME_BYTES];
    snapshot_name(w->images[index].name, name);
    trace(w, "delete image snapshot %u", w->images[index].name);
    OK(vde_snapshot_delete(w->image, VDE_DATASET_IMAGE, name));
    state_drop(&w->images[index].state);
    w->images[index].name = 0;
    w->operations++;
}

void step_image_unsnapshot(struct world *w)
{
    unsigned i = (unsigned)pick(w, IMAGE_SNAPSHOTS);
    if (w->images[i].name)
        delete_image_snapshot(w, i);
}

void step_read_snapshot(struct world *w)
{
    unsigned slot = some_volume(w), image = (unsigned)pick(w, IMAGE_SNAPSHOTS);
    if (w->images[image].name && pick(w, 4) == 0) {
        trace(w, "read image snapshot %u", w->images[image].name);
        verify_image_snapshot(w, image);
        w->operations++;
        return;
    }
    struct snap *snap = slot == VOLUMES ? NULL : some_snap(w, &w->now.volumes[slot], false);
    if (!snap)
        return;
    trace(w, "read snapshot %u@%u", w->now.volumes[slot].name, snap->name);
    verify_snapshot(w, slot, snap);
    w->operations++;
}

void step_diff(struct world *w)
{
    unsigned slot = some_volume(w);
    if (slot == VOLUMES)
        return;
    struct volume *volume = &w->now.volumes[slot];
    struct snap *from = some_snap(w, volume, false), *to = some_snap(w, volume, false);
    if (from && to && from->order > to->order) {
        struct snap *swap = from;
        from = to;
        to = swap;
    }
    from = pick(w, 4) ? from : NULL;
    to = pick(w, 2) ? to : NULL;
    trace(w, "diff %u from %u to %u", volume->name, from ? from->name : 0, to ? to->name : 0);
    verify_diff(w, slot, from, to);
    w->operations++;
}

/* --- transactions of others ------------------------------------------------------------------------------------------- */

static void txn_kv(struct world *w, vde_txn *txn, uint64_t stamps[KV_KEYS])
{
    uint8_t bytes[STAMP_BYTES];
    char key[8];
    for (uint64_t n = pick(w, 6); n > 0; n--) {
        unsigned k = (unsigned)pick(w, KV_KEYS);
        snprintf(key, sizeof key, "%03u", k);
        if (pick(w, 4) == 0) {
            OK(vde_txn_delete(txn, w->kv_id, key, 3));
            stamps[k] = 0;
            continue;
        }
        stamps[k] = w->clock.stamps += 2;
        stamp_fill(bytes, stamps[k]);
        OK(vde_txn_put(txn, w->kv_id, key, 3, bytes, sizeof bytes));
    }
}

static void step_kv_snapshot(struct world *w)
{
    uint64_t lsn;
    w->operations++;
    trace(w, "kv snapshot: %s", w->now.kv_has_snapshot ? "delete" : "create");
    if (w->now.kv_has_snapshot) {
        OK(vde_snapshot_delete(w->image, w->kv_id, "kept"));
        w->now.kv_has_snapshot = false;
    } else if (took(w, vde_snapshot_create(w->image, w->kv_id, "kept", &lsn))) {
        memcpy(w->now.kv_snapshot, w->now.kv, sizeof w->now.kv);
        w->now.kv_has_snapshot = true;
    }
}

void step_txn(struct world *w)
{
    uint64_t stamps[KV_KEYS], stream = w->now.stream, entries = w->now.entries;
    uint8_t bytes[STAMP_BYTES];
    vde_txn *txn;
    if (pick(w, 6) == 0) {
        step_kv_snapshot(w);
        return;
    }
    memcpy(stamps, w->now.kv, sizeof stamps);
    OK(vde_txn_create(w->image, &txn));
    if (stream && entries >= ENTRIES_MAX) {
        OK(vde_txn_stream_drop(txn, stream));
        stream = entries = 0;
    } else {
        stream = stream ? stream : vde_id_reserve(w->image);
        for (uint64_t n = 1 + pick(w, 4); n > 0; n--) {
            stamp_fill(bytes, entries + 1);
            OK(vde_txn_append(txn, stream, entries++, 0, bytes, sizeof bytes));
        }
    }
    txn_kv(w, txn, stamps);
    trace(w, "transaction, stream %llu has %llu entries", (unsigned long long)stream, (unsigned long long)entries);
    if (took(w, commit_status(txn))) {
        memcpy(w->now.kv, stamps, sizeof stamps);
        w->now.stream = stream;
        w->now.entries = entries;
    }
    w->operations++;
}

void step_handle(struct world *w)
{
    unsigned slot = some_volume(w);
    if (slot != VOLUMES)
        close_one(w, slot);
}
