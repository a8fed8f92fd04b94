/* SPDX-License-Identifier: Apache-2.0 */
/* volume_world.h -- an image with volumes, snapshots, clones, image snapshots, a kv dataset and a stream, beside the oracle
 * of all that, and the comparison of one with the other. */
#ifndef TESTS_MODEL_VOLUME_WORLD_H
#define TESTS_MODEL_VOLUME_WORLD_H

#include <vde/snapshot.h>
#include <vde/vde.h>
#include <vde/volume.h>

#include "volume_oracle.h"

#define VOLUMES 7u
#define VOLUME_SNAPSHOTS 6u
#define IMAGE_SNAPSHOTS 3u
#define KV_KEYS 40u
#define ENTRIES_MAX 200u
#define NAME_BYTES 48
#define LINEAGE 24u
#define HELD 256u

struct snap {
    uint32_t name;    /* 0: none */
    uint64_t order;   /* of creation */
    struct content content;
};

struct volume {
    uint32_t name;    /* 0: none */
    uint64_t base;    /* bytes in front of the window: nothing is ever written there */
    uint8_t compression;
    bool prealloc;
    bool shared;      /* snapshots had a part in it, or it is a clone */
    bool clone;
    bool moved;       /* was rewritten by defrag: diffs may show more */
    bool vague;       /* versions may have changed where nothing was written: what is shared is not known exactly */
    struct content now;
    struct snap snaps[VOLUME_SNAPSHOTS];
    uint32_t origin;  /* clones: name of the volume they come from, 0 when it is gone or has another name now */
    struct content born;         /* clones: what they began with */
    uint64_t lineage[LINEAGE];   /* orders of the snapshots that it comes from, of all generations; 0: no more */
};

/* A deleted snapshot that may be needed by clones. */
struct held {
    uint64_t order; /* 0: none */
    struct content content;
};

/* What an image snapshot shows. */
struct state {
    struct volume volumes[VOLUMES];
    uint64_t kv[KV_KEYS];       /* stamps, 0: absent */
    uint64_t kv_snapshot[KV_KEYS];
    bool kv_has_snapshot;
    uint64_t stream, entries;   /* stream 0: none yet */
};

struct world {
    uint64_t seed, random, step;
    bool trace;
    struct vde_device *device;
    vde_image *image;
    vde_volume *handles[VOLUMES];
    vde_volume_queue *queue;
    bool dirty[VOLUMES];         /* written since the last flush */
    struct state now;
    struct {
        uint32_t name; /* 0: none */
        uint64_t order;
        struct state state;
    } images[IMAGE_SNAPSHOTS];
    struct held held[HELD];
    uint64_t kv_id;
    struct content_clock clock;
    uint32_t names;
    uint64_t orders;
    uint8_t *buffer, *expected;  /* of WINDOW_SECTORS each */
    uint64_t operations, full;   /* requests and calls; refused for want of space */
    bool needs_room;
    uint64_t base_used;
};

uint64_t pick(struct world *w, uint64_t limit);
void volume_name(uint32_t name, char ret_name[NAME_BYTES]);
void snapshot_name(uint32_t name, char ret_name[NAME_BYTES]);
uint64_t volume_bytes(const struct volume *volume, const struct content *content);

void state_copy(struct state *to, const struct state *from);
void state_drop(struct state *state);
void volume_drop(struct volume *volume);

/* The handle of a volume, opened if it is not. */
vde_volume *handle_of(struct world *w, unsigned slot);
void close_handles(struct world *w);

/* --- comparisons: each ends the program at the first difference ------------------------------------------------------ */
/* Bytes read at a sector of the window. */
void verify_bytes(const struct content *content, uint64_t sector, uint64_t count, const uint8_t *bytes, const char *object);
/* The whole window and some of what lies in front of it, and the state of every block. */
void verify_handle(struct world *w, const struct volume *volume, const struct content *content, vde_volume *handle,
                   const char *object);
void verify_status(const struct volume *volume, const struct content *content, vde_volume *handle, uint64_t first,
                   const char *object);
void verify_snapshot(struct world *w, unsigned slot, const struct snap *snap);
/* `to` NULL: as of now. */
void verify_diff(struct world *w, unsigned slot, const struct snap *from, const struct snap *to);
/* Everything an open image shows equals the state; `all` with the contents of snapshots. */
void verify_state(struct world *w, vde_image *image, const struct state *state, bool all);
void verify_image_snapshot(struct world *w, unsigned index);
/* What volumes and snapshots are said to take, right after checkpoints that had nothing left to free. */
void verify_accounts(struct world *w);

/* A snapshot is deleted: its content is taken, and kept while clones of it are there. */
void hold_snapshot(struct world *w, struct snap *snap);
/* Of the deleted snapshots, only those are kept that clones come from. */
void drop_held(struct world *w, bool all);
#endif
