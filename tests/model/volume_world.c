/* SPDX-License-Identifier: Apache-2.0 */
#include "volume_world.h"

#include <stdio.h>
#include <string.h>

#include "unit/pool/engine.h"
#include "stamps.h"

uint64_t pick(struct world *w, uint64_t limit)
{
    uint64_t x = w->random += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return (x ^ x >> 31) % limit;
}

void volume_name(uint32_t name, char ret_name[NAME_BYTES])
{
    snprintf(ret_name, NAME_BYTES, "volume %u", name);
}

void snapshot_name(uint32_t name, char ret_name[NAME_BYTES])
{
    snprintf(ret_name, NAME_BYTES, "snapshot %u", name);
}

uint64_t volume_bytes(const struct volume *volume, const struct content *content)
{
    return volume->base + content->sectors * STAMP_BYTES;
}

void volume_drop(struct volume *volume)
{
    content_drop(&volume->now);
    content_drop(&volume->born);
    for (unsigned s = 0; s < VOLUME_SNAPSHOTS; s++)
        content_drop(&volume->snaps[s].content);
    memset(volume, 0, sizeof *volume);
}

void state_copy(struct state *to, const struct state *from)
{
    *to = *from;
    for (unsigned i = 0; i < VOLUMES; i++) {
        content_copy(&to->volumes[i].now, &from->volumes[i].now);
        content_copy(&to->volumes[i].born, &from->volumes[i].born);
        for (unsigned s = 0; s < VOLUME_SNAPSHOTS; s++)
            content_copy(&to->volumes[i].snaps[s].content, &from->volumes[i].snaps[s].content);
    }
}

void state_drop(struct state *state)
{
    for (unsigned i = 0; i < VOLUMES; i++)
        volume_drop(&state->volumes[i]);
    memset(state, 0, sizeof *state);
}

vde_volume *handle_of(struct world *w, unsigned slot)
{
    char name[NAME_BYTES];
    volume_name(w->now.volumes[slot].name, name);
    if (!w->handles[slot])
        OK(vde_volume_open(w->image, name, NULL, &w->handles[slot]));
    return w->handles[slot];
}

void close_handles(struct world *w)
{
    for (unsigned i = 0; i < VOLUMES; i++) {
        vde_volume_close(w->handles[i]);
        w->handles[i] = NULL;
    }
}
