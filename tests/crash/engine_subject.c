/* SPDX-License-Identifier: Apache-2.0 */
/* engine_subject.c -- what libvde can do, as operations on a model. */
#include "engine_subject.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "engine_model.h"

static const char *const kind_names[ENGINE_KINDS] = {
    "put", "put large", "delete", "append", "multi", "create", "drop", "snapshot", "unsnapshot", "file", "unfile",
    "unstream", "checkpoint", "reopen", "submit",
};

#define LARGE_BYTES 20000u /* more than half of what a record of a small ring may hold: goes out of line */
#define FILE_BYTES 90000u  /* two chunks */

static vde_status open_engine(struct vde_device *device, void **ret_handle)
{
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    vde_image *image;
    opts.flags = VDE_OPEN_NO_THREADS;
    opts.env = &explore_env;
    VDE_TRY(vde_image_open_device(device, &opts, &image));
    *ret_handle = image;
    return VDE_OK;
}

static vde_status open_read(struct vde_device *device, void **ret_handle)
{
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    vde_image *image;
    opts.flags = VDE_OPEN_READ_ONLY;
    VDE_TRY(vde_image_open_device(device, &opts, &image));
    *ret_handle = image;
    return VDE_OK;
}

static vde_image *image_of(void *handle)
{
    return handle;
}

static vde_status close_engine(void *handle)
{
    return vde_image_close(handle);
}

static struct model_value new_value(struct engine_model *m, uint64_t size)
{
    return (struct model_value){++m->next_seed, size};
}

static vde_status put(vde_txn *txn, struct engine_model *m, unsigned dataset, unsigned key, uint64_t size)
{
    struct model_dataset *d = &m->datasets[dataset];
    char name[32];
    model_key(key, name);
    d->keys[key] = new_value(m, size);
    void *bytes = model_bytes(&d->keys[key]);
    vde_status status = vde_txn_put(txn, d->id, name, strlen(name), bytes, size);
    free(bytes);
    return status;
}

static vde_status append(vde_txn *txn, struct engine_model *m, unsigned stream, uint64_t size)
{
    struct model_stream *s = &m->streams[stream];
    s->entries[s->count] = new_value(m, size);
    void *bytes = model_bytes(&s->entries[s->count]);
    vde_status status = vde_txn_append(txn, s->id, s->first + s->count, 0, bytes, size);
    s->count++;
    free(bytes);
    return status;
}

static vde_status create(vde_image *image, vde_txn *txn, struct engine_model *m, unsigned dataset)
{
    struct model_dataset *d = &m->datasets[dataset];
    char name[32];
    model_dataset_name(dataset, name);
    memset(d, 0, sizeof *d);
    d->id = vde_id_reserve(image);
    d->exists = 1;
    return vde_txn_dataset_create(txn, d->id, name);
}

static void start_stream(vde_image *image, struct engine_model *m, unsigned stream, uint64_t first)
{
    m->streams[stream] = (struct model_stream){.id = vde_id_reserve(image), .first = first};
}

static vde_status write_file(vde_image *image, vde_txn *txn, struct engine_model *m, unsigned file, uint64_t size)
{
    vde_file_writer *writer;
    struct model_file *f = &m->files[file];
    f->bytes = new_value(m, size);
    f->exists = 1;
    VDE_TRY(vde_file_create(image, &writer));
    uint8_t *bytes = model_bytes(&f->bytes);
    vde_status status = vde_file_write(writer, bytes, size / 3);
    if (status == VDE_OK)
        status = vde_file_write(writer, bytes + size / 3, size - size / 3);
    free(bytes);
    if (status != VDE_OK) {
        vde_file_abort(writer);
        return status;
    }
    return vde_file_seal(writer, txn, &f->id);
}

/* --- state that sequences start from ------------------------------------------------------------------------------- */

static vde_status fill(vde_image *image, vde_txn *txn, struct engine_model *m)
{
    VDE_TRY(create(image, txn, m, 0));
    for (unsigned k = 0; k < 4; k++)
        VDE_TRY(put(txn, m, 0, k, 50 + 900 * k));
    VDE_TRY(put(txn, m, 0, 4, LARGE_BYTES));
    start_stream(image, m, 0, 0);
    start_stream(image, m, 1, 7);
    VDE_TRY(append(txn, m, 0, 100));
    VDE_TRY(append(txn, m, 0, 0));
    VDE_TRY(append(txn, m, 1, LARGE_BYTES));
    return write_file(image, txn, m, 0, 5000);
}

static unsigned free_snapshot(const struct model_dataset *d)
{
    for (unsigned i = 0; i < MODEL_SNAPSHOTS; i++)
        if (!d->snapshots[i].tag)
            return i;
    return MODEL_SNAPSHOTS;
}

/* A tag is used again once its snapshot is gone. */
static uint64_t snapshot_tag(unsigned slot)
{
    return 10 * slot + 10;
}

/* Snapshots in the trees whose dataset went on since, and a dead tree. */
static vde_status age(vde_txn *txn, struct engine_model *m)
{
    struct model_dataset *d = &m->datasets[0];
    unsigned slot = free_snapshot(d);
    d->snapshots[slot].tag = snapshot_tag(slot);
    memcpy(d->snapshots[slot].keys, d->keys, sizeof d->keys);
    return vde_txn_snapshot_create(txn, d->id, d->snapshots[slot].tag);
}

static vde_status run_txn(vde_image *image, struct engine_model *m, vde_status (*build)(vde_txn *, struct engine_model *))
{
    vde_txn *txn;
    struct vde_commit commit;
    VDE_TRY(vde_txn_create(image, &txn));
    vde_status status = build(txn, m);
    if (status == VDE_OK)
        status = vde_txn_commit(txn, &commit);
    vde_txn_destroy(txn);
    return status;
}

static vde_status overwrite(vde_txn *txn, struct engine_model *m)
{
    VDE_TRY(put(txn, m, 0, 4, LARGE_BYTES + 1));
    return put(txn, m, 0, 1, 1060);
}

static vde_status probe(void *handle, unsigned number);

static vde_status setup(void *handle, void *model)
{
    vde_image *image = handle;
    struct engine_model *m = model;
    struct vde_commit commit;
    vde_txn *txn;
    memset(m, 0, sizeof *m);
    VDE_TRY(vde_txn_create(image, &txn));
    vde_status status = fill(image, txn, m);
    if (status == VDE_OK)
        status = vde_txn_commit(txn, &commit);
    vde_txn_destroy(txn);
    VDE_TRY(status);
    for (unsigned i = 0; i < 2; i++) {
        VDE_TRY(run_txn(image, m, age));
        VDE_TRY(vde_image_checkpoint(image));
        VDE_TRY(run_txn(image, m, overwrite));
        VDE_TRY(vde_image_checkpoint(image));
    }
    return probe(image, 0);
}

/* --- operations ---------------------------------------------------------------------------------------------------- */

static unsigned first_snapshot(const struct model_dataset *d)
{
    unsigned best = MODEL_SNAPSHOTS;
    for (unsigned i = 0; i < MODEL_SNAPSHOTS; i++)
        if (d->snapshots[i].tag && (best == MODEL_SNAPSHOTS || d->snapshots[i].tag < d->snapshots[best].tag))
            best = i;
    return best;
}

static int find_file(const struct engine_model *m, bool exists)
{
    for (int i = 0; i < MODEL_FILES; i++)
        if (exists ? m->files[i].exists : m->files[i].id == 0)
            return i;
    return -1;
}

static bool enabled(const void *model, unsigned kind)
{
    const struct engine_model *m = model;
    switch (kind) {
    case PUT: case PUT_LARGE: case DELETE: case DROP: case SUBMIT: return m->datasets[0].exists;
    case SNAPSHOT: return m->datasets[0].exists && free_snapshot(&m->datasets[0]) < MODEL_SNAPSHOTS;
    case UNSNAPSHOT: return m->datasets[0].exists && first_snapshot(&m->datasets[0]) < MODEL_SNAPSHOTS;
    case CREATE: return !m->datasets[0].exists || !m->datasets[1].exists || !m->datasets[2].exists;
    case APPEND: case STREAM_DROP: return !m->streams[0].dropped;
    case MULTI: return !m->streams[1].dropped && m->streams[1].count < MODEL_ENTRIES;
    case FILE_WRITE: return find_file(m, false) >= 0;
    case FILE_REMOVE: return find_file(m, true) >= 0;
    default: return true;
    }
}

static vde_status build_snapshot(vde_txn *txn, struct engine_model *m, bool create_one)
{
    struct model_dataset *d = &m->datasets[0];
    if (!create_one) {
        struct model_snapshot *gone = &d->snapshots[first_snapshot(d)];
        uint64_t tag = gone->tag;
        memset(gone, 0, sizeof *gone);
        return vde_txn_snapshot_delete(txn, d->id, tag);
    }
    struct model_snapshot *made = &d->snapshots[free_snapshot(d)];
    VDE_TRY(put(txn, m, 0, 2, 70)); /* the snapshot shows what its own transaction changed */
    made->tag = snapshot_tag(free_snapshot(d));
    memcpy(made->keys, d->keys, sizeof d->keys);
    return vde_txn_snapshot_create(txn, d->id, made->tag);
}

static vde_status build_create(vde_image *image, vde_txn *txn, struct engine_model *m)
{
    unsigned dataset = 0;
    while (m->datasets[dataset].exists)
        dataset++;
    VDE_TRY(create(image, txn, m, dataset));
    VDE_TRY(put(txn, m, dataset, 0, 40));
    return put(txn, m, dataset, 5, LARGE_BYTES);
}

/* Several streams, one of them new, a kv change and a file: one record. */
static vde_status build_multi(vde_image *image, vde_txn *txn, struct engine_model *m)
{
    if (!m->streams[0].dropped)
        VDE_TRY(append(txn, m, 0, 30));
    VDE_TRY(append(txn, m, 1, LARGE_BYTES + 3));
    VDE_TRY(append(txn, m, 1, 10));
    if (m->streams[2].id == 0)
        start_stream(image, m, 2, 3);
    VDE_TRY(append(txn, m, 2, 200));
    if (m->datasets[0].exists)
        VDE_TRY(put(txn, m, 0, 3, 80));
    int file = find_file(m, false);
    return file < 0 ? VDE_OK : write_file(image, txn, m, (unsigned)file, 4096);
}

static vde_status build_delete(vde_txn *txn, struct engine_model *m, unsigned step)
{
    char key[32];
    unsigned index = step == 0 ? 4 : step % MODEL_KEYS;
    model_key(index, key);
    m->datasets[0].keys[index] = (struct model_value){0, 0};
    return vde_txn_delete(txn, m->datasets[0].id, key, strlen(key));
}

static vde_status build_remove(vde_txn *txn, struct engine_model *m)
{
    struct model_file *f = &m->files[find_file(m, true)];
    f->exists = 0;
    return vde_txn_file_remove(txn, f->id);
}

static vde_status build_drop(vde_txn *txn, struct engine_model *m)
{
    m->datasets[0].exists = 0;
    return vde_txn_dataset_drop(txn, m->datasets[0].id);
}

static vde_status build(vde_image *image, vde_txn *txn, struct engine_model *m, unsigned kind, unsigned step)
{
    switch (kind) {
    case PUT: case SUBMIT: return put(txn, m, 0, step % MODEL_KEYS, 300);
    case PUT_LARGE: return put(txn, m, 0, step == 0 ? 4 : 5, LARGE_BYTES + 7 * step);
    case DELETE: return build_delete(txn, m, step);
    case APPEND: return append(txn, m, 0, 60);
    case MULTI: return build_multi(image, txn, m);
    case CREATE: return build_create(image, txn, m);
    case DROP: return build_drop(txn, m);
    case SNAPSHOT: return build_snapshot(txn, m, true);
    case UNSNAPSHOT: return build_snapshot(txn, m, false);
    case FILE_WRITE: return write_file(image, txn, m, (unsigned)find_file(m, false), FILE_BYTES);
    case FILE_REMOVE: return build_remove(txn, m);
    default: m->streams[0].dropped = 1; return vde_txn_stream_drop(txn, m->streams[0].id);
    }
}

static vde_status apply(void **handle, struct vde_device *device, void *model, unsigned kind, unsigned step)
{
    vde_image *image = *handle;
    struct engine_model *m = model;
    if (kind == CHECKPOINT)
        return vde_image_checkpoint(image);
    if (kind == REOPEN) {
        *handle = NULL;
        VDE_TRY(vde_image_close(image));
        return open_engine(device, handle);
    }
    vde_txn *txn;
    struct vde_commit commit;
    VDE_TRY(vde_txn_create(image, &txn));
    vde_status status = build(image, txn, m, kind, step);
    if (status == VDE_OK)
        status = kind == SUBMIT ? vde_txn_submit(txn, &commit) : vde_txn_commit(txn, &commit);
    vde_txn_destroy(txn);
    if (status == VDE_OK && kind == SUBMIT) /* nobody waited for it when the checkpoint takes its cut */
        status = vde_image_checkpoint(image);
    return status;
}

static bool matches(void *handle, const void *model, char why[EXPLORE_WHY])
{
    return engine_matches(handle, model, why);
}

/* --- probes: entries of a stream of their own ------------------------------------------------------------------------ */

#define PROBE_STREAM 1000000u

static vde_status probe(void *handle, unsigned number)
{
    vde_txn *txn;
    struct vde_commit commit;
    VDE_TRY(vde_txn_create(handle, &txn));
    vde_status status = vde_txn_append(txn, PROBE_STREAM, number, 0, "probe", 5);
    if (status == VDE_OK)
        status = vde_txn_commit(txn, &commit);
    vde_txn_destroy(txn);
    return status;
}

static bool probed(void *handle, unsigned number)
{
    vde_view *view;
    uint64_t first, last;
    if (vde_view_open(handle, &view) != VDE_OK)
        return false;
    bool found = vde_stream_range(view, PROBE_STREAM, &first, &last) == VDE_OK && last >= number;
    vde_view_close(view);
    return found;
}

const struct subject engine_subject = {
    .name = "engine", .kinds = ENGINE_KINDS, .kind_names = kind_names, .reopen = REOPEN,
    .model_size = sizeof(struct engine_model), .image_bytes = VDE_IMAGE_MIN_BYTES, .open = open_engine,
    .close = close_engine, .setup = setup, .enabled = enabled, .apply = apply, .matches = matches, .image = image_of,
    .open_read = open_read, .probe = probe, .probed = probed,
};

const unsigned engine_workload[] = {
    PUT, PUT_LARGE, APPEND, MULTI, FILE_WRITE, CHECKPOINT, UNSNAPSHOT, SNAPSHOT, DELETE, CHECKPOINT, UNSNAPSHOT, CREATE,
    PUT, REOPEN, FILE_REMOVE, STREAM_DROP, CHECKPOINT, DROP, CREATE, MULTI, CHECKPOINT, PUT_LARGE, FILE_WRITE,
};
const unsigned engine_workload_length = sizeof engine_workload / sizeof engine_workload[0];
