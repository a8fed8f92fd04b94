/* SPDX-License-Identifier: Apache-2.0 */
/* volume_subject.c -- what can be done to volumes, as operations on a model. */
#include "volume_subject.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "volume_operations.h"

static const char *const kind_names[VOLUME_KINDS] = {
    "write", "part", "span", "fua", "packed", "frame", "in clone", "flush", "discard", "dis.pack", "zeroes", "snapshot",
    "unsnap", "rollback", "clone", "unclone", "im.snap", "im.unsnap", "im.rollb", "grow", "shrink", "drop", "rename", "checkpt",
    "reopen",
};


static vde_image *image_of(void *handle)
{
    return ((struct handle *)handle)->image;
}

/* `snapshot` not NULL: rolled back to that. */
static vde_status open_at(struct vde_device *device, const char *snapshot, void **ret_handle)
{
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    struct handle *h = calloc(1, sizeof *h);
    opts.flags = VDE_OPEN_NO_THREADS | (snapshot ? VDE_OPEN_ROLLBACK | VDE_OPEN_DROP_NEWER : 0);
    opts.snapshot = snapshot;
    opts.env = &explore_env;
    if (!h)
        return vde_error_set(VDE_NOMEM, "test", NULL, NULL);
    h->device = device;
    vde_status status = vde_image_open_device(device, &opts, &h->image);
    if (status != VDE_OK) {
        free(h);
        return status;
    }
    *ret_handle = h;
    return VDE_OK;
}

static vde_status open_image(struct vde_device *device, void **ret_handle)
{
    return open_at(device, NULL, ret_handle);
}

static vde_status open_read(struct vde_device *device, void **ret_handle)
{
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    struct handle *h = calloc(1, sizeof *h);
    opts.flags = VDE_OPEN_READ_ONLY | VDE_OPEN_NO_THREADS;
    opts.memory_bytes = 1 << 20;
    if (!h)
        return vde_error_set(VDE_NOMEM, "test", NULL, NULL);
    h->device = device;
    vde_status status = vde_image_open_device(device, &opts, &h->image);
    if (status != VDE_OK)
        free(h);
    else
        *ret_handle = h;
    return status;
}

static vde_status open_full(struct vde_device *device, void **ret_handle)
{
    VDE_TRY(open_image(device, ret_handle));
    ((struct handle *)*ret_handle)->full = true;
    return VDE_OK;
}

static vde_status close_image(void *handle)
{
    struct handle *h = handle;
    for (unsigned v = 0; v < VOLUMES; v++)
        volume_handle_close(h, v);
    vde_status status = vde_image_close(h->image);
    free(h);
    return status;
}

/* --- the subject -------------------------------------------------------------------------------------------------------- */

static bool durable(unsigned kind)
{
    return kind == WRITE_FUA || (kind >= FLUSH && kind != DISCARD && kind != DISCARD_PACKED && kind != ZEROES);
}

/* What gives space back must work when there is none. */
static bool may_be_refused(unsigned kind, const struct volume_model *m)
{
    return kind < FLUSH || kind == ZEROES || kind == DISCARD_PACKED || kind == SNAPSHOT || kind == CLONE ||
           kind == IMAGE_SNAPSHOT || kind == GROW || kind == SHRINK || kind == RENAME ||
           (kind == DROP && m->now.now[PLAIN].sectors == 0);
}

static vde_status reopen(void **handle, const char *snapshot)
{
    struct handle *h = *handle;
    struct vde_device *device = h->device;
    bool full = h->full;
    *handle = NULL;
    VDE_TRY(close_image(h));
    vde_status status = open_at(device, snapshot, handle);
    if (status == VDE_OK)
        ((struct handle *)*handle)->full = full;
    else if (snapshot) /* a request failed: it is done or not */
        status = vde_error_set(VDE_COMMIT_UNKNOWN, "rollback", vde_status_name(status), NULL);
    return status;
}

/* Back to the oldest image snapshot, or to the newest. */
static vde_status image_rollback(void **handle, struct volume_model *m, unsigned step)
{
    char name[32];
    struct vde_image_info info;
    vde_image_info(image_of(*handle), &info);
    if (info.poisoned) /* opening it again would settle that */
        return vde_error_set(VDE_POISONED, "image", NULL, NULL);
    unsigned to = volume_find_image(m, step % 2 == 0);
    volume_model_snapshot(to, name);
    m->now = m->images[to];
    for (unsigned i = 0; i < IMAGES; i++)
        if (m->image_exists[i] > m->image_exists[to]) {
            m->image_exists[i] = 0;
            memset(&m->images[i], 0, sizeof m->images[i]);
        }
    return reopen(handle, name);
}

static vde_status apply(void **handle, struct vde_device *device, void *model, unsigned kind, unsigned step)
{
    struct handle *h = *handle;
    struct volume_model *before;
    (void)device;
    if (kind == REOPEN)
        return reopen(handle, NULL);
    if (kind == IMAGE_ROLLBACK)
        return image_rollback(handle, model, step);
    if (!(before = malloc(sizeof *before)))
        return vde_error_set(VDE_NOMEM, "test", NULL, NULL);
    memcpy(before, model, sizeof *before);
    vde_status status = volume_perform(h, model, kind, step);
    bool refused = status == VDE_NOSPC && h->full && may_be_refused(kind, before);
    if (kind == ROLLBACK && status == VDE_INVAL) /* newer snapshots were deleted, and are not gone yet */
        refused = true;
    if (refused) {
        memcpy(model, before, sizeof *before);
        status = VDE_OK;
    }
    free(before);
    return status;
}

static bool matches(void *handle, const void *model, char why[EXPLORE_WHY])
{
    struct handle *h = handle;
    return volumes_match(h->image, h->device, model, why);
}

/* --- probes: entries of a stream -------------------------------------------------------------------------------------- */

#define PROBE_STREAM 1000000u

static vde_status probe(void *handle, unsigned number)
{
    struct handle *h = handle;
    vde_txn *txn;
    struct vde_commit commit;
    VDE_TRY(vde_txn_create(h->image, &txn));
    vde_txn_frees_space(txn);
    vde_status status = vde_txn_append(txn, PROBE_STREAM, number, 0, "probe", 5);
    if (status == VDE_OK)
        status = vde_txn_commit(txn, &commit);
    vde_txn_destroy(txn);
    return status;
}

static bool probed(void *handle, unsigned number)
{
    struct handle *h = handle;
    vde_view *view;
    uint64_t first, last;
    if (vde_view_open(h->image, &view) != VDE_OK)
        return false;
    bool found = vde_stream_range(view, PROBE_STREAM, &first, &last) == VDE_OK && last >= number;
    vde_view_close(view);
    return found;
}

/* --- the state that sequences start from -------------------------------------------------------------------------------- */

/* Snapshots whose volumes went on since, blocks that only they hold, a clone that went its own way, an image snapshot. */
static vde_status setup(void *handle, void *model)
{
    struct handle *h = handle;
    struct volume_model *m = model;
    memset(m, 0, sizeof *m);
    VDE_TRY(volume_make(h, m, PLAIN, PLAIN_SECTORS, 0));
    VDE_TRY(volume_make(h, m, PACKED, VOLUME_SECTORS, 3));
    VDE_TRY(volume_write_some(h, m, PLAIN, 0, 120, 0));
    VDE_TRY(volume_write_some(h, m, PACKED, 0, 200, 0));
    VDE_TRY(volume_snapshot(h, m, PLAIN));
    VDE_TRY(vde_image_checkpoint(h->image));
    VDE_TRY(volume_write_some(h, m, PLAIN, 20, 40, 0));
    VDE_TRY(volume_write_some(h, m, PACKED, 100, 10, 0));
    VDE_TRY(volume_clone_oldest(h, m));
    VDE_TRY(volume_write_some(h, m, CLONE_FIRST, 40, 24, 0));
    VDE_TRY(volume_snapshot(h, m, CLONE_FIRST));
    VDE_TRY(volume_snapshot(h, m, PACKED));
    VDE_TRY(volume_image_snapshot(h, m));
    VDE_TRY(vde_image_checkpoint(h->image));
    VDE_TRY(volume_write_some(h, m, PLAIN, 48, 40, 0));
    VDE_TRY(volume_write_some(h, m, CLONE_FIRST, 60, 20, 0));
    VDE_TRY(volume_zero_some(h, m, PACKED, 128, 128, true));
    VDE_TRY(volume_snapshot(h, m, PLAIN));
    VDE_TRY(volume_write_some(h, m, PLAIN, 0, 16, 0));
    VDE_TRY(vde_image_checkpoint(h->image));
    return probe(handle, 0);
}

/* Write blocks of one more volume until there is no room for another. */
static vde_status fill(struct handle *h, vde_volume *filler, uint64_t *offset, uint64_t size)
{
    static const uint8_t bytes[65536] = {1};
    vde_status status;
    while ((status = vde_volume_write(filler, bytes, size, *offset, 0)) == VDE_OK)
        *offset += size;
    return status == VDE_NOSPC ? vde_image_checkpoint(h->image) : status;
}

static vde_status setup_full(void *handle, void *model)
{
    struct handle *h = handle;
    struct vde_volume_opts opts = VDE_VOLUME_OPTS_INIT;
    vde_volume *filler;
    uint64_t offset = 0;
    VDE_TRY(setup(handle, model));
    opts.size_bytes = 64u << 20;
    VDE_TRY(vde_volume_create(h->image, "filler", &opts));
    VDE_TRY(vde_volume_open(h->image, "filler", NULL, &filler));
    vde_status status = VDE_OK;
    for (unsigned round = 0; round < 4 && status == VDE_OK; round++)
        status = fill(h, filler, &offset, round ? 4096 : 65536);
    if (status == VDE_OK)
        status = vde_volume_discard(filler, 7 * 4096, 0, 0);
    vde_volume_close(filler);
    VDE_TRY(status);
    VDE_TRY(vde_image_checkpoint(h->image));
    return vde_image_checkpoint(h->image);
}

const struct subject volume_subject = {
    .name = "volumes", .kinds = VOLUME_KINDS, .kind_names = kind_names, .reopen = REOPEN, .model_size = sizeof(struct volume_model),
    .image_bytes = VDE_IMAGE_MIN_BYTES, .open = open_image, .close = close_image, .setup = setup, .enabled = volume_enabled,
    .apply = apply, .durable = durable, .matches = matches, .image = image_of, .open_read = open_read, .probe = probe,
    .probed = probed,
};

const struct subject full_volume_subject = {
    .name = "volumes of a full image", .kinds = VOLUME_KINDS, .kind_names = kind_names, .reopen = REOPEN,
    .model_size = sizeof(struct volume_model), .image_bytes = VDE_IMAGE_MIN_BYTES, .open = open_full, .close = close_image,
    .setup = setup_full, .enabled = volume_enabled, .apply = apply, .durable = durable, .matches = matches, .image = image_of,
    .open_read = open_read, .probe = probe, .probed = probed,
};

const unsigned volume_workload[] = {
    WRITE, WRITE_PART, WRITE_SPAN, FLUSH, WRITE_PACKED, WRITE_FRAME, WRITE_CLONE, SNAPSHOT, WRITE_FUA, CHECKPOINT, DISCARD,
    DISCARD_PACKED, ZEROES, IMAGE_SNAPSHOT, WRITE_SPAN, UNSNAPSHOT, CHECKPOINT, IMAGE_ROLLBACK, CLONE, WRITE_CLONE, RENAME,
    UNCLONE,
    IMAGE_UNSNAPSHOT, RENAME, CHECKPOINT, ROLLBACK, WRITE, SHRINK, GROW, WRITE_SPAN, REOPEN, UNSNAPSHOT, DROP, CHECKPOINT,
    UNCLONE, IMAGE_UNSNAPSHOT, DROP, WRITE, CHECKPOINT, WRITE_PART, WRITE_PACKED, WRITE_FUA, WRITE, WRITE_FUA,
    WRITE_SPAN, WRITE_FUA, WRITE_PART,
};
const unsigned volume_workload_length = sizeof volume_workload / sizeof volume_workload[0];
