/* SPDX-License-Identifier: Apache-2.0 */
/* file_read.c -- read sealed files: whole checksummed chunks from the device, any byte range to the caller. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/checksum.h"
#include "base/fail.h"
#include "base/mutate.h"
#include "pool/map.h"
#include "pool/pool.h"

struct vde_file {
    struct vde_image *image;
    struct map map;
    uint64_t id, size;
    uint8_t *chunk;          /* the chunk read last */
    uint64_t chunk_offset;   /* in the file */
    size_t chunk_bytes;      /* 0: none */
};

vde_status vde_file_open(vde_view *view, uint64_t file, vde_file **ret_file)
{
    vde_file *f = calloc(1, sizeof *f);
    if (f)
        f->chunk = aligned_alloc(BLOCK_BYTES, FILE_CHUNK_BYTES);
    if (!f || !f->chunk) {
        free(f);
        return fail_nomem("file");
    }
    f->image = view->image;
    f->id = file;
    struct map catalog = map_catalog(view->layers, &view->image->store, &view->image->label.layout, view->lsn);
    uint8_t key[CATALOG_KEY_MAX];
    enum value_kind kind;
    void *data = NULL;
    size_t size;
    uint64_t lsn;
    vde_status status = map_open(&catalog, DATASET_FILES, 0, &f->map);
    if (status == VDE_OK)
        status = map_get(&f->map, key, key_file(key, file), &kind, &data, &size, &lsn);
    if (status == VDE_NOT_FOUND)
        status = fail_as(VDE_NOT_FOUND, "file %llu|no such file|an existing one", (unsigned long long)file);
    if (status == VDE_OK) {
        struct disk_file record;
        if (size == sizeof record) {
            memcpy(&record, data, sizeof record);
            f->size = le64_get(record.size);
        } else {
            status = fail_corrupt("file %llu|a record of %zu bytes|%zu", (unsigned long long)file, size, sizeof record);
        }
    }
    free(data);
    if (status != VDE_OK) {
        vde_file_close(f);
        return status;
    }
    *ret_file = f;
    return VDE_OK;
}

uint64_t vde_file_size(const vde_file *file)
{
    return file->size;
}

void vde_file_close(vde_file *file)
{
    if (!file)
        return;
    free(file->chunk);
    free(file);
}

/* The extent that holds `offset`: records are keyed by their first offset, at most FILE_EXTENT_MAX_BYTES apart. */
static vde_status find_extent(vde_file *file, uint64_t offset, uint64_t *ret_start, uint8_t *value, size_t *ret_size)
{
    struct map_cursor *cursor;
    uint8_t key[CATALOG_KEY_MAX];
    uint64_t from = offset < FILE_EXTENT_MAX_BYTES ? 0 : offset - FILE_EXTENT_MAX_BYTES + 1;
    VDE_TRY(map_cursor_open(&file->map, key, key_extent(key, file->id, from), &cursor));
    vde_status status = VDE_OK;
    bool found = false;
    while (status == VDE_OK && map_cursor_valid(cursor)) {
        const uint8_t *at;
        size_t size;
        struct map_value v;
        map_cursor_record(cursor, &at, &size, &v);
        if (size != 17 || memcmp(at, key, 9) != 0 || be64_get(at + 9) > offset)
            break;
        if (v.kind != VALUE_EXTENT || v.size < sizeof(struct disk_ptr) || v.size > 1024) {
            status = fail_corrupt("file %llu|an extent record of %zu bytes|an extent", (unsigned long long)file->id,
                                  v.size);
            break;
        }
        memcpy(value, v.data, v.size);
        *ret_size = v.size;
        *ret_start = be64_get(at + 9);
        found = true;
        status = map_cursor_next(cursor);
    }
    map_cursor_close(cursor);
    if (status == VDE_OK && !found)
        status = fail_corrupt("file %llu|no extent at offset %llu|%llu bytes of content", (unsigned long long)file->id,
                              (unsigned long long)offset, (unsigned long long)file->size);
    return status;
}

/* Bring the chunk that holds `offset` into memory, verified. */
static vde_status load_chunk(vde_file *file, uint64_t offset)
{
    uint8_t value[1024];
    size_t value_size = 0;
    uint64_t start = 0;
    file->chunk_bytes = 0;
    VDE_TRY(find_extent(file, offset, &start, value, &value_size));
    struct disk_ptr disk;
    memcpy(&disk, value, sizeof disk);
    struct ptr p = ptr_get(&disk);
    uint64_t index = (offset - start) / FILE_CHUNK_BYTES, at = index * FILE_CHUNK_BYTES;
    if (offset - start >= p.bytes || p.bytes > (uint64_t)p.blocks * BLOCK_BYTES ||
        value_size != sizeof disk + div_up(p.bytes, FILE_CHUNK_BYTES) * sizeof(vde_le64))
        return fail_corrupt("file %llu extent at offset %llu|%u bytes|content at %llu", (unsigned long long)file->id,
                            (unsigned long long)start, p.bytes, (unsigned long long)offset);
    size_t bytes = min_u64(FILE_CHUNK_BYTES, p.bytes - at);
    VDE_TRY(image_read(file->image, p.address + at / BLOCK_BYTES, file->chunk, div_up(bytes, BLOCK_BYTES)));
    vde_le64 expected;
    memcpy(&expected, value + sizeof disk + index * sizeof expected, sizeof expected);
    uint64_t sum = checksum(file->chunk, bytes, file->image->seed ^ p.address);
    if (sum != le64_get(expected) && !MUTATED(MUTATE_FILE_CHECKSUM))
        return fail_corrupt("file %llu offset %llu (block %llu)|checksum %016llx|%016llx", (unsigned long long)file->id,
                            (unsigned long long)(start + at), (unsigned long long)(p.address + at / BLOCK_BYTES),
                            (unsigned long long)sum, (unsigned long long)le64_get(expected));
    file->chunk_offset = start + at;
    file->chunk_bytes = bytes;
    return VDE_OK;
}

vde_status vde_file_read(vde_file *file, void *buffer, size_t size, uint64_t offset)
{
    if (offset > file->size || size > file->size - offset)
        return fail_as(VDE_INVAL, "file %llu|%zu bytes at %llu|at most %llu", (unsigned long long)file->id, size,
                       (unsigned long long)offset, (unsigned long long)file->size);
    uint8_t *to = buffer;
    while (size > 0) {
        if (file->chunk_bytes == 0 || offset < file->chunk_offset || offset - file->chunk_offset >= file->chunk_bytes)
            VDE_TRY(load_chunk(file, offset));
        size_t at = (size_t)(offset - file->chunk_offset), part = min_u64(size, file->chunk_bytes - at);
        memcpy(to, file->chunk + at, part);
        to += part;
        offset += part;
        size -= part;
    }
    return VDE_OK;
}
