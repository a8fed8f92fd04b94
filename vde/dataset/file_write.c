/* SPDX-License-Identifier: Apache-2.0 */
/* file_write.c -- sealed files: bytes go to the heap as they come, the file exists with its transaction. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/checksum.h"
#include "base/fail.h"
#include "pool/map.h"
#include "pool/txn.h"

#define CHUNKS_MAX (FILE_EXTENT_MAX_BYTES / FILE_CHUNK_BYTES)

struct written {
    struct ptr p;
    uint64_t offset;
    vde_le64 sums[CHUNKS_MAX];
};

struct vde_file_writer {
    struct vde_image *image;
    uint8_t *buffer;      /* FILE_EXTENT_MAX_BYTES */
    size_t used;
    uint64_t size;        /* written to the heap so far */
    struct written *extents;
    size_t count, capacity;
    bool failed;          /* what is in the heap is not what was written: it can only be released */
};

vde_status vde_file_create(vde_image *image, vde_file_writer **ret_writer)
{
    if (image->read_only)
        return fail_as(VDE_READ_ONLY, "image");
    vde_file_writer *writer = calloc(1, sizeof *writer);
    if (writer)
        writer->buffer = aligned_alloc(BLOCK_BYTES, FILE_EXTENT_MAX_BYTES);
    if (!writer || !writer->buffer) {
        free(writer);
        return fail_nomem("file writer");
    }
    writer->image = image;
    *ret_writer = writer;
    return VDE_OK;
}

static void release(vde_file_writer *writer)
{
    free(writer->buffer);
    free(writer->extents);
    free(writer);
}

void vde_file_abort(vde_file_writer *writer)
{
    if (!writer)
        return;
    for (size_t i = 0; i < writer->count; i++)
        space_release(writer->image->space, writer->extents[i].p.address, writer->extents[i].p.blocks);
    release(writer);
}

/* A run of up to `want` blocks: as long as the free space allows. */
static vde_status allocate(struct vde_image *image, uint32_t want, uint64_t *ret_address, uint32_t *ret_blocks)
{
    for (unsigned tries = 0;; tries++) {
        vde_status status = VDE_NOSPC;
        for (uint32_t blocks = want; blocks > 0 && status == VDE_NOSPC; blocks /= 2) {
            status = data_allocate(image, blocks, ret_address);
            *ret_blocks = blocks;
        }
        if (status != VDE_NOSPC || tries == 2)
            return status;
        VDE_TRY(checkpoint_run(image, 0)); /* deferred blocks may help */
    }
}

static vde_status write_extent(vde_file_writer *writer, size_t from, size_t bytes, uint32_t *ret_blocks)
{
    struct vde_image *image = writer->image;
    if (writer->count == writer->capacity) {
        size_t capacity = writer->capacity ? writer->capacity * 2 : 4;
        struct written *grown = realloc(writer->extents, capacity * sizeof *grown);
        if (!grown)
            return fail_nomem("file writer");
        writer->extents = grown;
        writer->capacity = capacity;
    }
    uint64_t address;
    VDE_TRY(allocate(image, (uint32_t)div_up(bytes, BLOCK_BYTES), &address, ret_blocks));
    bytes = min_u64(bytes, (uint64_t)*ret_blocks * BLOCK_BYTES);
    struct written *e = &writer->extents[writer->count++]; /* from here on abort gives it back */
    memset(e, 0, sizeof *e);
    const uint8_t *data = writer->buffer + from;
    e->offset = writer->size;
    e->p = (struct ptr){address, *ret_blocks, (uint32_t)bytes, 0, checksum(data, bytes, image->seed ^ address)};
    for (size_t at = 0; at < bytes; at += FILE_CHUNK_BYTES)
        e->sums[at / FILE_CHUNK_BYTES] =
            le64(checksum(data + at, min_u64(FILE_CHUNK_BYTES, bytes - at), image->seed ^ address));
    writer->size += bytes;
    atomic_fetch_add(&image->heap_bytes, (uint64_t)*ret_blocks * BLOCK_BYTES);
    return device_transfer(image->device, VDE_IO_WRITE, address, writer->buffer + from, *ret_blocks);
}

static vde_status drain(vde_file_writer *writer)
{
    size_t done = 0;
    if (writer->failed)
        return fail_as(VDE_INVAL, "file writer|a write that failed|a writer without one");
    writer->failed = true; /* until all of it is there */
    memset(writer->buffer + writer->used, 0, round_up(writer->used, BLOCK_BYTES) - writer->used);
    while (done < writer->used) {
        uint32_t blocks = 0;
        VDE_TRY(write_extent(writer, done, writer->used - done, &blocks));
        done += (size_t)blocks * BLOCK_BYTES;
    }
    writer->used = 0;
    writer->failed = false;
    return VDE_OK;
}

vde_status vde_file_write(vde_file_writer *writer, const void *data, size_t size)
{
    const uint8_t *from = data;
    if (writer->failed)
        return drain(writer);
    while (size > 0) {
        size_t part = min_u64(size, FILE_EXTENT_MAX_BYTES - writer->used);
        memcpy(writer->buffer + writer->used, from, part);
        writer->used += part;
        from += part;
        size -= part;
        if (writer->used == FILE_EXTENT_MAX_BYTES)
            VDE_TRY(drain(writer));
    }
    return VDE_OK;
}

static vde_status add_records(vde_file_writer *writer, vde_txn *txn, uint64_t file)
{
    uint8_t key[CATALOG_KEY_MAX];
    for (size_t i = 0; i < writer->count; i++) {
        const struct written *e = &writer->extents[i];
        uint8_t value[sizeof(struct disk_ptr) + CHUNKS_MAX * sizeof(vde_le64)];
        struct disk_ptr disk = ptr_put(e->p);
        size_t sums = div_up(e->p.bytes, FILE_CHUNK_BYTES) * sizeof(vde_le64);
        memcpy(value, &disk, sizeof disk);
        memcpy(value + sizeof disk, e->sums, sums);
        VDE_TRY(txn_op(txn, DATASET_FILES, key, key_extent(key, file, e->offset), VALUE_EXTENT, value,
                       sizeof disk + sums));
    }
    struct disk_file record = {le64(writer->size), le32((uint32_t)writer->count), le32(0)};
    VDE_TRY(txn_op(txn, DATASET_FILES, key, key_file(key, file), VALUE_INLINE, &record, sizeof record));
    while (writer->count > 0) { /* the transaction owns them now */
        const struct ptr *p = &writer->extents[writer->count - 1].p;
        VDE_TRY(txn_own_extent(txn, p->address, p->blocks));
        writer->count--;
    }
    return VDE_OK;
}

vde_status vde_file_seal(vde_file_writer *writer, vde_txn *txn, uint64_t *ret_file)
{
    vde_status status = drain(writer);
    uint64_t file = vde_id_reserve(writer->image);
    struct txn_mark mark = txn_mark(txn);
    if (status == VDE_OK)
        status = txn_rewind(txn, &mark, add_records(writer, txn, file));
    if (status == VDE_OK) {
        *ret_file = file;
        release(writer);
    } else {
        struct vde_error error;
        error_save(&error);
        vde_file_abort(writer);
        error_restore(&error);
    }
    return status;
}

static vde_status file_exists(const struct map *files, uint64_t file)
{
    uint8_t key[CATALOG_KEY_MAX];
    enum value_kind kind;
    void *data = NULL;
    size_t size;
    uint64_t lsn;
    vde_status status = map_get(files, key, key_file(key, file), &kind, &data, &size, &lsn);
    free(data);
    if (status == VDE_NOT_FOUND)
        return fail_as(VDE_NOT_FOUND, "file %llu|no such file|an existing one", (unsigned long long)file);
    return status;
}

/* Delete the records of a file's extents. */
static vde_status remove_extents(vde_txn *txn, const struct map *files, uint64_t file)
{
    struct map_cursor *cursor;
    uint8_t key[CATALOG_KEY_MAX];
    size_t prefix = key_extent(key, file, 0) - 8;
    VDE_TRY(map_cursor_open(files, key, prefix + 8, &cursor));
    vde_status status = VDE_OK;
    while (status == VDE_OK && map_cursor_valid(cursor)) {
        const uint8_t *found;
        size_t size;
        struct map_value value;
        map_cursor_record(cursor, &found, &size, &value);
        if (size != prefix + 8 || memcmp(found, key, prefix) != 0)
            break;
        status = txn_op(txn, DATASET_FILES, found, size, VALUE_DELETE, NULL, 0);
        if (status == VDE_OK)
            status = map_cursor_next(cursor);
    }
    map_cursor_close(cursor);
    return status;
}

vde_status vde_txn_file_remove(vde_txn *txn, uint64_t file)
{
    vde_view *view;
    struct map files;
    uint8_t key[CATALOG_KEY_MAX];
    struct txn_mark mark = txn_mark(txn);
    VDE_TRY(vde_view_open_pending(txn->image, &view));
    struct map catalog = map_catalog(view->layers, &txn->image->store, &txn->image->label.layout, view->lsn);
    vde_status status = map_open(&catalog, DATASET_FILES, 0, &files);
    if (status == VDE_OK)
        status = file_exists(&files, file);
    if (status == VDE_OK)
        status = remove_extents(txn, &files, file);
    vde_view_close(view);
    if (status == VDE_OK)
        status = txn_op(txn, DATASET_FILES, key, key_file(key, file), VALUE_DELETE, NULL, 0);
    txn->frees |= status == VDE_OK;
    return txn_rewind(txn, &mark, status);
}
