/* SPDX-License-Identifier: Apache-2.0 */
/* rescue_files.c -- sealed files: their extents in order, each chunk against its own checksum. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/checksum.h"
#include "base/fail.h"
#include "check/rescue.h"

struct found_extent {
    uint64_t file, offset, lsn;
    uint32_t size;     /* of the value */
    uint8_t *value;    /* struct disk_ptr and the checksums */
};
struct found_file {
    uint64_t file, size;
    bool removed;
};
struct files {
    struct rescue *r;
    struct found_extent *extents;
    size_t extent_count, extent_capacity;
    struct found_file *files;
    size_t file_count, file_capacity;
    uint64_t order;    /* of what comes: the later counts */
    bool damaged;
};

static vde_status take_extent(struct files *f, const struct op *op)
{
    struct disk_ptr disk;
    if (op->value_size < sizeof disk || op->value_size > 2048)
        return VDE_OK;
    memcpy(&disk, op->value, sizeof disk);
    struct ptr p = ptr_get(&disk);
    uint64_t chunks = div_up(p.bytes, FILE_CHUNK_BYTES);
    if (!ptr_plausible(p, f->r->source.device_blocks) || p.bytes > FILE_EXTENT_MAX_BYTES ||
        op->value_size != sizeof disk + chunks * sizeof(vde_le64))
        return VDE_OK;
    void *array = f->extents;
    VDE_TRY(rescue_grow(&array, &f->extent_capacity, f->extent_count, sizeof *f->extents));
    f->extents = array;
    struct found_extent *e = &f->extents[f->extent_count];
    *e = (struct found_extent){be64_get(op->key + 1), be64_get(op->key + 9), f->order++, (uint32_t)op->value_size,
                               malloc(op->value_size)};
    if (!e->value)
        return fail_nomem("rescue");
    memcpy(e->value, op->value, op->value_size);
    f->extent_count++;
    return VDE_OK;
}

static vde_status take_file(struct files *f, const struct op *op)
{
    struct disk_file disk = {le64(0), le32(0), le32(0)};
    if (op->kind == VALUE_INLINE && op->value_size != sizeof disk)
        return VDE_OK;
    if (op->kind == VALUE_INLINE)
        memcpy(&disk, op->value, sizeof disk);
    void *array = f->files;
    VDE_TRY(rescue_grow(&array, &f->file_capacity, f->file_count, sizeof *f->files));
    f->files = array;
    f->files[f->file_count++] = (struct found_file){be64_get(op->key + 1), le64_get(disk.size), op->kind == VALUE_DELETE};
    return VDE_OK;
}

static vde_status on_op(void *context, uint64_t lsn, uint64_t time_us, const struct op *op)
{
    struct files *f = context;
    (void)lsn;
    (void)time_us;
    if (op->key_size == 17 && op->key[0] == 'e' && op->kind == VALUE_EXTENT)
        return take_extent(f, op);
    if (op->key_size == 9 && op->key[0] == 'f' && (op->kind == VALUE_INLINE || op->kind == VALUE_DELETE))
        return take_file(f, op);
    return VDE_OK;
}

static vde_status on_record(void *context, const struct node_record *r)
{
    struct op op = {DATASET_FILES, r->key, r->key_size, r->kind, r->value, r->value_size};
    return on_op(context, 0, 0, &op);
}

static vde_status on_node(void *context, struct ptr p, unsigned depth, const struct disk_node *node)
{
    struct files *f = context;
    (void)p;
    (void)depth;
    f->damaged |= !node;
    return VDE_OK;
}

static int by_place(const void *a, const void *b)
{
    const struct found_extent *x = a, *y = b;
    if (x->file != y->file)
        return x->file < y->file ? -1 : 1;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return x->lsn < y->lsn ? -1 : x->lsn > y->lsn;
}

/* The last that was said of a file. NULL: nothing. */
static const struct found_file *find_file(const struct files *f, uint64_t file)
{
    for (size_t i = f->file_count; i-- > 0;)
        if (f->files[i].file == file)
            return &f->files[i];
    return NULL;
}

static vde_status hand_out_extent(struct files *f, const struct found_extent *e)
{
    struct rescue *r = f->r;
    struct disk_ptr disk;
    bool good;
    memcpy(&disk, e->value, sizeof disk);
    struct ptr p = ptr_get(&disk);
    VDE_TRY(rescue_read(r, p.address, p.blocks, &good));
    if (!good)
        return rescue_missing(r, e->offset, p.bytes, "the device can't read it");
    for (uint64_t from = 0, i = 0; from < p.bytes; from += FILE_CHUNK_BYTES, i++) {
        vde_le64 sum;
        size_t size = (size_t)min_u64(FILE_CHUNK_BYTES, p.bytes - from);
        memcpy(&sum, e->value + sizeof disk + i * sizeof sum, sizeof sum);
        if (checksum(r->buffer + from, size, r->source.seed ^ p.address) == le64_get(sum))
            VDE_TRY(rescue_data(r, e->offset + from, r->buffer + from, size));
        else
            VDE_TRY(rescue_missing(r, e->offset + from, size, "checksum"));
    }
    return VDE_OK;
}

static vde_status hand_out_file(struct files *f, uint64_t file, const struct found_file *known,
                                const struct found_extent *extents, size_t count)
{
    struct vde_rescue_item item = {.kind = VDE_RESCUE_FILE, .id = file, .name = "", .size_bytes = known ? known->size : 0,
                                   .loose = f->damaged};
    uint64_t next = 0;
    VDE_TRY(rescue_begin(f->r, &item));
    for (size_t i = 0; i < count; i++) {
        struct disk_ptr disk;
        if (i + 1 < count && extents[i + 1].offset == extents[i].offset)
            continue; /* the later counts */
        memcpy(&disk, extents[i].value, sizeof disk);
        if (extents[i].offset > next)
            VDE_TRY(rescue_missing(f->r, next, extents[i].offset - next, "no extent"));
        VDE_TRY(hand_out_extent(f, &extents[i]));
        next = max_u64(next, extents[i].offset + le32_get(disk.bytes));
    }
    if (known && known->size > next)
        VDE_TRY(rescue_missing(f->r, next, known->size - next, "no extent"));
    if (!known)
        VDE_TRY(rescue_missing(f->r, next, 0, "its size is not known"));
    return rescue_end(f->r);
}

static vde_status hand_out_all(struct files *f)
{
    if (f->extent_count)
        qsort(f->extents, f->extent_count, sizeof *f->extents, by_place);
    for (size_t i = 0; i < f->extent_count;) {
        size_t end = i;
        uint64_t file = f->extents[i].file;
        while (end < f->extent_count && f->extents[end].file == file)
            end++;
        const struct found_file *known = find_file(f, file);
        if (!known || !known->removed)
            VDE_TRY(hand_out_file(f, file, known, f->extents + i, end - i));
        i = end;
    }
    return VDE_OK;
}

vde_status rescue_files(struct rescue *r)
{
    struct files f = {.r = r};
    struct found_dataset *d = rescue_dataset(r, DATASET_FILES);
    struct source_walk walk = {.node = on_node, .record = on_record, .context = &f};
    bool whole = false;
    uint64_t records;
    vde_status status = VDE_OK;
    if (d && d->has_root)
        status = rescue_whole(r, DATASET_FILES, &d->root, &whole, &records);
    f.damaged = d && !whole;
    if (status == VDE_OK && f.damaged)
        status = rescue_loose(r, DATASET_FILES, on_record, &f);
    if (status == VDE_OK && d && d->has_root)
        status = source_tree(&r->source, DATASET_FILES, &d->root, &walk);
    if (status == VDE_OK)
        status = rescue_log(r, DATASET_FILES, on_op, &f);
    if (status == VDE_OK)
        status = hand_out_all(&f);
    for (size_t i = 0; i < f.extent_count; i++)
        free(f.extents[i].value);
    free(f.extents);
    free(f.files);
    return status;
}
