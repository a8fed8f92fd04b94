/* SPDX-License-Identifier: Apache-2.0 */
/* contents.c -- what the engine's own datasets hold: batches of stream entries, and sealed files with their extents. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/checksum.h"
#include "base/compress.h"
#include "base/fail.h"
#include "check/checker.h"

/* --- history ------------------------------------------------------------------------------------------------------ */

static vde_status note_big(struct history_state *h, uint64_t stream, uint64_t number)
{
    void *array = h->big;
    VDE_TRY(check_grow(&array, &h->big_capacity, h->big_count, sizeof *h->big));
    h->big = array;
    h->big[h->big_count].stream = stream;
    h->big[h->big_count++].number = number;
    return VDE_OK;
}

static bool is_zombie(const struct history_state *h, uint64_t stream)
{
    for (size_t i = 0; i < h->zombie_count; i++)
        if (h->zombies[i] == stream)
            return true;
    return false;
}

/* Bytes of an entry that are kept apart: exactly those that batches announced, in the same order. */
static void visit_big(struct checker *c, struct history_state *h, uint64_t stream, uint64_t number)
{
    bool announced = h->big_at < h->big_count && h->big[h->big_at].stream == stream &&
                     h->big[h->big_at].number == number;
    if (!announced && !c->incomplete && !is_zombie(h, stream))
        check_report(c, "stream %llu entry %llu|bytes of a large entry that no batch lists|a batch",
                     (unsigned long long)stream, (unsigned long long)number);
    h->big_at += announced;
}

static vde_status check_entries(struct checker *c, struct history_state *h, uint64_t stream, uint64_t number,
                                const struct disk_batch *batch, const uint8_t *payload)
{
    uint64_t count = le32_get(batch->count), bytes = 0;
    uint64_t time = le64_get(batch->first_time_us);
    for (uint64_t i = 0; i < count; i++) {
        struct disk_batch_entry e;
        memcpy(&e, payload + i * sizeof e, sizeof e);
        bool big = le32_get(e.flags) & ENTRY_BIG;
        if (le32_get(e.flags) > ENTRY_BIG || (big && le32_get(e.size)) || le64_get(e.lsn) > c->sb.checkpoint_lsn ||
            le64_get(e.lsn) < h->last_lsn || le64_get(e.time_us) < time || (i == 0 && le64_get(e.time_us) != time))
            check_report(c, "stream %llu entry %llu|LSN %llu, time %llu, flags %u|LSN and time not below the entry before",
                         (unsigned long long)stream, (unsigned long long)(number + i),
                         (unsigned long long)le64_get(e.lsn), (unsigned long long)le64_get(e.time_us),
                         le32_get(e.flags));
        if (big)
            VDE_TRY(note_big(h, stream, number + i));
        time = le64_get(e.time_us);
        h->last_lsn = le64_get(e.lsn);
        bytes += le32_get(e.size);
    }
    if (time != le64_get(batch->last_time_us) || bytes + count * sizeof(struct disk_batch_entry) != le32_get(batch->raw_bytes))
        check_report(c, "stream %llu batch at %llu|%llu bytes of entries, last time %llu|%u bytes, %llu",
                     (unsigned long long)stream, (unsigned long long)number, (unsigned long long)bytes,
                     (unsigned long long)time, le32_get(batch->raw_bytes),
                     (unsigned long long)le64_get(batch->last_time_us));
    c->summary->entries += count;
    return VDE_OK;
}

#define BATCH_RAW_MAX (64u << 20)

static vde_status check_payload(struct checker *c, struct history_state *h, uint64_t stream, uint64_t number,
                                const struct disk_batch *batch, const uint8_t *payload, size_t size)
{
    uint32_t raw = le32_get(batch->raw_bytes), stored = le32_get(batch->stored_bytes);
    if (stored > size || raw > BATCH_RAW_MAX || le32_get(batch->count) == 0 || batch->compression > 1 ||
        le32_get(batch->count) > raw / sizeof(struct disk_batch_entry) || (batch->compression == 0 && raw != stored)) {
        check_report(c, "stream %llu batch at %llu|%u entries in %u bytes, %u stored, compression %u|a legal batch",
                     (unsigned long long)stream, (unsigned long long)number, le32_get(batch->count), raw, stored,
                     batch->compression);
        return VDE_OK;
    }
    if (batch->compression == 0)
        return check_entries(c, h, stream, number, batch, payload);
    uint8_t *bytes = malloc(raw);
    if (!bytes)
        return fail_nomem("history batch");
    vde_status status = compress_unpack(bytes, raw, payload, stored, "history batch");
    if (status == VDE_OK)
        status = check_entries(c, h, stream, number, batch, bytes);
    free(bytes);
    return check_note(c, status);
}

static void check_sequence(struct checker *c, struct history_state *h, uint64_t stream, uint64_t number,
                           const struct disk_batch *batch)
{
    bool same = h->stream == stream;
    if (!same)
        c->summary->streams++;
    if (same && !c->incomplete && (number != h->next || le64_get(batch->first_time_us) < h->last_time_us))
        check_report(c, "stream %llu|entry %llu at time %llu|entry %llu, not before %llu", (unsigned long long)stream,
                     (unsigned long long)number, (unsigned long long)le64_get(batch->first_time_us),
                     (unsigned long long)h->next, (unsigned long long)h->last_time_us);
    if (!same)
        h->last_lsn = 0;
    h->stream = stream;
    h->next = number + le32_get(batch->count);
    h->last_time_us = le64_get(batch->last_time_us);
}

vde_status check_history_record(struct checker *c, void *context, const struct check_record *r)
{
    struct history_state *h = context;
    if (r->key_size != 16) {
        check_report(c, "history|a key of %zu bytes|16", r->key_size);
        return VDE_OK;
    }
    uint64_t stream = be64_get(r->key), number = be64_get(r->key + 8);
    if (stream & STREAM_BIG_BIT) {
        visit_big(c, h, stream & ~STREAM_BIG_BIT, number);
        return VDE_OK;
    }
    size_t at = r->kind == VALUE_EXTENT ? sizeof(struct disk_ptr) : 0;
    struct disk_batch batch;
    if (r->kind == VALUE_SPILLED || r->value_size < at + sizeof batch ||
        (r->kind == VALUE_EXTENT && r->value_size != at + sizeof batch)) {
        check_report(c, "stream %llu batch at %llu|kind %u in %zu bytes|a legal batch", (unsigned long long)stream,
                     (unsigned long long)number, r->kind, r->value_size);
        return VDE_OK;
    }
    memcpy(&batch, r->value + at, sizeof batch);
    check_sequence(c, h, stream, number, &batch);
    if (r->kind == VALUE_INLINE)
        return check_payload(c, h, stream, number, &batch, r->value + sizeof batch, r->value_size - sizeof batch);
    if (!r->content)
        return VDE_OK; /* reported by the walk */
    struct disk_ptr extent;
    memcpy(&extent, r->value, sizeof extent);
    return check_payload(c, h, stream, number, &batch, r->content, le32_get(extent.bytes));
}

void check_history_end(struct checker *c, struct history_state *h)
{
    if (h->big_at < h->big_count && !c->incomplete)
        check_report(c, "stream %llu entry %llu|no bytes|the bytes of a large entry",
                     (unsigned long long)h->big[h->big_at].stream, (unsigned long long)h->big[h->big_at].number);
}

/* --- files -------------------------------------------------------------------------------------------------------- */

/* Extents come first in key order; each carries a checksum for every chunk of its content. */
static vde_status visit_extent(struct checker *c, struct files_state *f, const struct check_record *r)
{
    uint64_t file = be64_get(r->key + 1), offset = be64_get(r->key + 9);
    struct disk_ptr disk;
    memcpy(&disk, r->value, sizeof disk);
    struct ptr p = ptr_get(&disk);
    uint64_t chunks = div_up(p.bytes, FILE_CHUNK_BYTES);
    if (r->value_size != sizeof disk + chunks * sizeof(vde_le64) || p.bytes > FILE_EXTENT_MAX_BYTES) {
        check_report(c, "file %llu extent at %llu|%u bytes described in %zu|%zu", (unsigned long long)file,
                     (unsigned long long)offset, p.bytes, r->value_size,
                     (size_t)(sizeof disk + chunks * sizeof(vde_le64)));
        return VDE_OK;
    }
    for (uint64_t i = 0; i < chunks && r->content; i++) {
        vde_le64 expected;
        memcpy(&expected, r->value + sizeof disk + i * sizeof expected, sizeof expected);
        uint64_t from = i * FILE_CHUNK_BYTES, size = min_u64(FILE_CHUNK_BYTES, p.bytes - from);
        if (checksum(r->content + from, size, c->seed ^ p.address) != le64_get(expected))
            check_report(c, "file %llu chunk at %llu|another checksum|the extent's", (unsigned long long)file,
                         (unsigned long long)(offset + from));
    }
    if (f->count == 0 || f->files[f->count - 1].file != file) {
        void *array = f->files;
        VDE_TRY(check_grow(&array, &f->capacity, f->count, sizeof *f->files));
        f->files = array;
        memset(&f->files[f->count], 0, sizeof *f->files);
        f->files[f->count++].file = file;
    }
    f->files[f->count - 1].gap |= f->files[f->count - 1].end != offset;
    f->files[f->count - 1].end = offset + p.bytes;
    f->files[f->count - 1].extents++;
    return VDE_OK;
}

static void visit_file(struct checker *c, struct files_state *f, const struct check_record *r)
{
    uint64_t file = be64_get(r->key + 1), end = 0;
    uint32_t extents = 0;
    bool gap = false;
    struct disk_file disk;
    memcpy(&disk, r->value, sizeof disk);
    for (; f->at < f->count && f->files[f->at].file < file; f->at++)
        check_report(c, "file %llu|extents without a file|a file", (unsigned long long)f->files[f->at].file);
    if (f->at < f->count && f->files[f->at].file == file) {
        end = f->files[f->at].end;
        extents = f->files[f->at].extents;
        gap = f->files[f->at++].gap;
    }
    if ((gap || end != le64_get(disk.size) || extents != le32_get(disk.extents)) && !c->incomplete)
        check_report(c, "file %llu|%u extents up to %llu%s|%u up to %llu", (unsigned long long)file, extents,
                     (unsigned long long)end, gap ? " with a gap" : "", le32_get(disk.extents),
                     (unsigned long long)le64_get(disk.size));
    if (file >= c->sb.next_id)
        check_report(c, "file %llu|an id that was never handed out|below %llu", (unsigned long long)file,
                     (unsigned long long)c->sb.next_id);
    c->summary->files++;
}

vde_status check_files_record(struct checker *c, void *context, const struct check_record *r)
{
    struct files_state *f = context;
    if (r->key[0] == 'e' && r->key_size == 17 && r->kind == VALUE_EXTENT)
        return visit_extent(c, f, r);
    if (r->key[0] == 'f' && r->key_size == 9 && r->kind == VALUE_INLINE && r->value_size == sizeof(struct disk_file))
        visit_file(c, f, r);
    else
        check_report(c, "files|a record of kind %u with a key of %zu bytes|a file or an extent", r->kind, r->key_size);
    return VDE_OK;
}

void check_files_end(struct checker *c, struct files_state *f)
{
    for (; f->at < f->count && !c->incomplete; f->at++)
        check_report(c, "file %llu|extents without a file|a file", (unsigned long long)f->files[f->at].file);
}
