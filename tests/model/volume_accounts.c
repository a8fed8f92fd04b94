/* SPDX-License-Identifier: Apache-2.0 */
/* volume_accounts.c -- what volumes and snapshots are said to take against what the oracle knows: each block of an
 * uncompressed volume was made by one write, and has the version of that. Nodes are no business of the oracle: where they are
 * counted along, there are bounds. */
#include <stdarg.h>

#include "unit/pool/engine.h"
#include "volume_world.h"

#define DEVICE_BLOCK 4096u

/* Blocks, at least and at most. */
struct range {
    uint64_t low, high;
};

void hold_snapshot(struct world *w, struct snap *snap)
{
    unsigned i = 0;
    while (i < HELD && w->held[i].order)
        i++;
    REQUIRE(i < HELD);
    w->held[i] = (struct held){snap->order, snap->content};
    memset(snap, 0, sizeof *snap);
}

/* Whether a volume comes from this snapshot, its own clones' clones included: the snapshot can't be freed before it. */
static bool has_clones(const struct world *w, uint64_t order)
{
    bool found = false;
    for (unsigned i = 0; i < VOLUMES; i++)
        for (unsigned k = 0; k < LINEAGE && w->now.volumes[i].name; k++)
            found |= w->now.volumes[i].lineage[k] == order;
    return found;
}

void drop_held(struct world *w, bool all)
{
    for (unsigned i = 0; i < HELD; i++)
        if (w->held[i].order && (all || !has_clones(w, w->held[i].order))) {
            content_drop(&w->held[i].content);
            w->held[i].order = 0;
        }
}

static void VDE_PRINTF(3, 4) require_range(uint64_t bytes, struct range blocks, const char *format, ...)
{
    va_list args;
    if (bytes >= blocks.low * DEVICE_BLOCK && bytes <= blocks.high * DEVICE_BLOCK)
        return;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, ": %llu bytes are %llu blocks, expected %llu to %llu\n", (unsigned long long)bytes,
            (unsigned long long)bytes / DEVICE_BLOCK, (unsigned long long)blocks.low, (unsigned long long)blocks.high);
    abort();
}

static struct range mapped(const struct content *content)
{
    struct range range = {0};
    for (uint64_t block = 0; block < content_blocks(content); block++) {
        range.low += content_kind(content, block) == BLOCK_IS_DATA;
        range.high += content_kind(content, block) != BLOCK_IS_HOLE;
    }
    return range;
}

/* --- what is shared --------------------------------------------------------------------------------------------------- */

static bool shows(const struct content *content, uint64_t block, uint64_t version)
{
    return content_kind(content, block) != BLOCK_IS_HOLE && content_version(content, block) == version;
}

static bool volume_shows(const struct volume *volume, const struct snap *but, uint64_t block, uint64_t version)
{
    bool found = shows(&volume->now, block, version) || shows(&volume->born, block, version);
    for (unsigned s = 0; s < VOLUME_SNAPSHOTS && !found; s++)
        found = volume->snaps[s].name && &volume->snaps[s] != but && shows(&volume->snaps[s].content, block, version);
    return found;
}

/* Whether anything but the snapshot holds its block. */
static bool shown_elsewhere(const struct world *w, const struct snap *snap, uint64_t block)
{
    uint64_t version = content_version(&snap->content, block);
    for (unsigned i = 0; i < VOLUMES; i++)
        if (volume_shows(&w->now.volumes[i], snap, block, version))
            return true;
    for (unsigned n = 0; n < IMAGE_SNAPSHOTS; n++)
        for (unsigned i = 0; i < VOLUMES && w->images[n].name; i++)
            if (volume_shows(&w->images[n].state.volumes[i], NULL, block, version))
                return true;
    for (unsigned i = 0; i < HELD; i++)
        if (w->held[i].order && shows(&w->held[i].content, block, version))
            return true;
    return false;
}

/* A snapshot of the image that came later shows this one, too, and a clone all of it: deleting it frees nothing. */
static bool is_needed(const struct world *w, const struct snap *snap)
{
    for (unsigned n = 0; n < IMAGE_SNAPSHOTS; n++)
        if (w->images[n].name && w->images[n].order > snap->order)
            return true;
    return has_clones(w, snap->order);
}

static struct range unique(const struct world *w, const struct volume *volume, const struct snap *snap)
{
    struct range range = {0};
    if (is_needed(w, snap))
        return range;
    for (uint64_t block = 0; block < content_blocks(&snap->content); block++) {
        enum block_kind kind = content_kind(&snap->content, block);
        if (kind == BLOCK_IS_HOLE || shown_elsewhere(w, snap, block))
            continue;
        range.low += kind == BLOCK_IS_DATA && !volume->vague;
        range.high++;
    }
    return range;
}

/* --- the comparison --------------------------------------------------------------------------------------------------- */

struct accounts {
    const struct world *w;
    const struct volume *volume;
};

static vde_status verify_listed(void *context, const struct vde_snapshot_info *info)
{
    const struct accounts *accounts = context;
    const struct volume *volume = accounts->volume;
    const struct snap *snap = NULL;
    char name[NAME_BYTES];
    for (unsigned s = 0; s < VOLUME_SNAPSHOTS; s++) {
        snapshot_name(volume->snaps[s].name, name);
        if (volume->snaps[s].name && strcmp(name, info->name) == 0)
            snap = &volume->snaps[s];
    }
    REQUIRE(snap);
    struct range data = mapped(&snap->content), own = unique(accounts->w, volume, snap);
    /* A leaf holds a record or more, a node above two or more. */
    require_range(info->referenced_bytes, (struct range){data.low, 3 * data.high + 1}, "volume %u@%s: referenced",
                  volume->name, info->name);
    uint64_t nodes = is_needed(accounts->w, snap) ? 0 : info->referenced_bytes / DEVICE_BLOCK - data.low;
    require_range(info->unique_bytes, (struct range){own.low, own.high + nodes}, "volume %u@%s: unique", volume->name,
                  info->name);
    return VDE_OK;
}

static void verify_account(const struct world *w, vde_view *view, const struct volume *volume)
{
    char name[NAME_BYTES];
    struct vde_volume_info info;
    struct accounts accounts = {w, volume};
    volume_name(volume->name, name);
    OK(vde_volume_get(view, name, &info));
    require_range(info.mapped_bytes, mapped(&volume->now), "%s: mapped", name);
    if (volume->compression)
        return;
    REQUIRE(info.stored_bytes == info.mapped_bytes);
    OK(vde_snapshot_list(view, info.id, true, verify_listed, &accounts));
}

void verify_accounts(struct world *w)
{
    vde_view *view;
    OK(vde_view_open(w->image, &view));
    for (unsigned i = 0; i < VOLUMES; i++)
        if (w->now.volumes[i].name)
            verify_account(w, view, &w->now.volumes[i]);
    vde_view_close(view);
}
