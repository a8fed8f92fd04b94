/* SPDX-License-Identifier: Apache-2.0 */
/* inspect_log.c -- the log as replay would read it, or whatever the ring holds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"
#include "check/describe.h"
#include "check/inspect.h"
#include "format/frame.h"

#define WHY_BYTES 400u

typedef vde_status (*each_item)(void *context, const struct vde_log_item *item);

struct log_walk {
    struct source *source;
    each_item each;
    void *context;
    uint64_t ring_bytes, position, chain, lsn, flushed_through; /* where replay is */
    uint8_t *buffer;      /* the frame at hand */
    struct described described;
    char why[WHY_BYTES];
};

/* Read the frame that a place of the ring holds. *ret_valid false: none, or a damaged one; `why` says so. */
static vde_status read_frame(struct log_walk *w, uint64_t position, struct frame *ret_frame, bool *ret_valid)
{
    *ret_valid = false;
    w->why[0] = 0;
    VDE_TRY(source_ring(w->source, position, w->buffer, BLOCK_BYTES));
    if (!frame_peek(w->buffer, w->source->seed, ret_frame)) {
        snprintf(w->why, sizeof w->why, "no frame stands there");
        return VDE_OK;
    }
    uint64_t bytes = round_up(ret_frame->bytes, BLOCK_BYTES);
    if (bytes > w->ring_bytes || ret_frame->position % w->ring_bytes != position % w->ring_bytes) {
        snprintf(w->why, sizeof w->why, "a frame that is not of this place");
        return VDE_OK;
    }
    VDE_TRY(source_ring(w->source, position, w->buffer, bytes));
    *ret_valid = frame_verify(w->buffer, ret_frame, w->source->seed) == VDE_OK;
    if (!*ret_valid)
        snprintf(w->why, sizeof w->why, "%.300s", vde_last_error()->text);
    return VDE_OK;
}

/* Why a valid frame is not the next one of the replay; "" when it is. */
static const char *misfit(struct log_walk *w, const struct frame *f)
{
    uint64_t epoch = w->source->sb.epoch;
    if (f->position != w->position)
        snprintf(w->why, sizeof w->why, "a frame of position %llu: left over from an earlier round",
                 (unsigned long long)f->position);
    else if (f->epoch != epoch)
        snprintf(w->why, sizeof w->why, "epoch %llu, the superblock's is %llu%s", (unsigned long long)f->epoch,
                 (unsigned long long)epoch, f->epoch > epoch ? ": a later superblock is lost" : "");
    else if (f->chain != w->chain)
        snprintf(w->why, sizeof w->why, "it does not continue the frame before (chain %016llx, expected %016llx)",
                 (unsigned long long)f->chain, (unsigned long long)w->chain);
    else if (f->first_lsn != w->lsn)
        snprintf(w->why, sizeof w->why, "LSN %llu, expected %llu", (unsigned long long)f->first_lsn,
                 (unsigned long long)w->lsn);
    else
        w->why[0] = 0;
    return w->why;
}

static vde_status emit_operations(struct log_walk *w, const uint8_t *at, uint32_t count, struct vde_log_item *item)
{
    for (uint32_t i = 0; i < count; i++) {
        struct op op;
        at = op_get(at, &op);
        describe(&op, &w->described);
        item->what = VDE_LOG_OPERATION;
        item->operation = w->described.item;
        VDE_TRY(w->each(w->context, item));
    }
    return VDE_OK;
}

static vde_status emit_frame(struct log_walk *w, const struct frame *f, bool replayed, const char *why)
{
    struct vde_log_item item = {.what = VDE_LOG_FRAME, .replayed = replayed, .why = why, .position = f->position,
                                .epoch = f->epoch, .first_lsn = f->first_lsn, .chain = f->chain,
                                .checksum = f->checksum, .flushed_through = f->flushed_through, .count = f->count,
                                .bytes = f->bytes};
    VDE_TRY(w->each(w->context, &item));
    const uint8_t *at = w->buffer + sizeof(struct disk_frame);
    for (uint32_t i = 0; i < f->count; i++) {
        struct disk_record record;
        memcpy(&record, at, sizeof record);
        item.what = VDE_LOG_RECORD;
        item.why = "";
        item.lsn = le64_get(record.lsn);
        item.time_us = le64_get(record.time_us);
        item.flushed = le32_get(record.flags) & RECORD_FLUSHED;
        item.count = le32_get(record.count);
        item.bytes = le32_get(record.bytes);
        VDE_TRY(w->each(w->context, &item));
        VDE_TRY(emit_operations(w, at + sizeof record, le32_get(record.count), &item));
        at += le32_get(record.bytes);
    }
    return VDE_OK;
}

static vde_status emit_stop(struct log_walk *w, const char *why)
{
    struct vde_log_item item = {.what = VDE_LOG_STOP, .why = why, .position = w->position, .lsn = w->lsn,
                                .flushed_through = w->flushed_through};
    return w->each(w->context, &item);
}

/* What the rest of the ring says of the place where replay stops: damage, or the end. */
static vde_status judge(struct log_walk *w, char *text, size_t size)
{
    char first[WHY_BYTES];
    memcpy(first, w->why, sizeof first);
    snprintf(text, size, "%s; nothing behind it was acknowledged", first);
    for (uint64_t place = 0; place < w->ring_bytes; place += BLOCK_BYTES) {
        struct frame f;
        bool valid;
        VDE_TRY(read_frame(w, place, &f, &valid));
        if (valid && f.epoch > w->source->sb.epoch)
            snprintf(text, size, "%s; DAMAGE: a frame of epoch %llu at position %llu tells of a superblock that is lost", first,
                     (unsigned long long)f.epoch, (unsigned long long)f.position);
        else if (valid && f.epoch == w->source->sb.epoch && f.position > w->position && f.flushed_through >= w->lsn)
            snprintf(text, size, "%s; DAMAGE: LSN %llu was acknowledged, as the frame at position %llu says", first,
                     (unsigned long long)w->lsn, (unsigned long long)f.position);
        else
            continue;
        return VDE_OK;
    }
    return VDE_OK;
}

/* Frames before the checkpoint that are kept for the one before it. */
static vde_status walk_kept(struct log_walk *w)
{
    for (uint64_t at = w->source->sb.log_previous; at < w->source->sb.log_start;) {
        struct frame f;
        bool valid;
        VDE_TRY(read_frame(w, at, &f, &valid));
        bool kept = valid && f.position == at;
        if (kept)
            VDE_TRY(emit_frame(w, &f, false, "the checkpoint covers it"));
        at += kept ? round_up(f.bytes, BLOCK_BYTES) : BLOCK_BYTES;
    }
    return VDE_OK;
}

static vde_status walk_replay(struct log_walk *w)
{
    VDE_TRY(walk_kept(w));
    char text[2 * WHY_BYTES];
    uint64_t start = w->position;
    while (w->position - start < w->ring_bytes) {
        struct frame f;
        bool valid;
        VDE_TRY(read_frame(w, w->position, &f, &valid));
        if (!valid || misfit(w, &f)[0])
            break;
        VDE_TRY(emit_frame(w, &f, true, ""));
        w->position += round_up(f.bytes, BLOCK_BYTES);
        w->chain = f.checksum;
        w->lsn += f.count;
        w->flushed_through = f.flushed_through;
    }
    VDE_TRY(judge(w, text, sizeof text));
    return emit_stop(w, text);
}

struct place {
    uint64_t position, at;
};

static int by_position(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    return x->position < y->position ? -1 : x->position > y->position;
}

/* Every whole frame in the ring. */
static vde_status find_frames(struct log_walk *w, struct place *places, size_t *ret_count)
{
    size_t count = 0;
    for (uint64_t at = 0; at < w->ring_bytes; at += BLOCK_BYTES) {
        struct frame f;
        bool valid;
        VDE_TRY(read_frame(w, at, &f, &valid));
        if (valid)
            places[count++] = (struct place){f.position, at};
    }
    qsort(places, count, sizeof *places, by_position);
    *ret_count = count;
    return VDE_OK;
}

static vde_status walk_all(struct log_walk *w)
{
    size_t count = 0;
    bool stopped = !w->source->has_superblock;
    struct place *places = malloc(w->ring_bytes / BLOCK_BYTES * sizeof *places);
    if (!places)
        return fail_nomem("log");
    vde_status status = find_frames(w, places, &count);
    for (size_t i = 0; i < count && status == VDE_OK; i++) {
        struct frame f = {.position = 0};
        bool valid = false;
        if (!stopped && places[i].position > w->position) {
            char text[2 * WHY_BYTES];
            snprintf(w->why, sizeof w->why, "no frame stands at position %llu", (unsigned long long)w->position);
            status = judge(w, text, sizeof text);
            stopped = true;
            if (status == VDE_OK)
                status = emit_stop(w, text);
        }
        if (status == VDE_OK)
            status = read_frame(w, places[i].at, &f, &valid);
        bool next = status == VDE_OK && valid && !stopped && f.position == w->position && !misfit(w, &f)[0];
        if (status == VDE_OK && valid)
            status = emit_frame(w, &f, next, next || stopped || f.position < w->position ? "" : misfit(w, &f));
        if (next && status == VDE_OK) {
            w->position += round_up(f.bytes, BLOCK_BYTES);
            w->chain = f.checksum;
            w->lsn += f.count;
            w->flushed_through = f.flushed_through;
        }
    }
    free(places);
    return status == VDE_OK && !stopped ? emit_stop(w, "the last frame in the ring") : status;
}

vde_status vde_inspect_log(vde_inspect *inspect, uint32_t flags, each_item each, void *context)
{
    struct source *source = &inspect->source;
    if (!(flags & VDE_LOG_ALL))
        VDE_TRY(source_expect(source));
    struct log_walk *w = calloc(1, sizeof *w);
    if (!w)
        return fail_nomem("log");
    *w = (struct log_walk){.source = source, .each = each, .context = context,
                           .ring_bytes = layout_region(&source->label.layout, REGION_LOG)->blocks * BLOCK_BYTES,
                           .position = source->sb.log_start, .chain = source->sb.log_chain,
                           .lsn = source->sb.checkpoint_lsn + 1};
    w->buffer = aligned_alloc(BLOCK_BYTES, w->ring_bytes);
    vde_status status = !w->buffer ? fail_nomem("log") : flags & VDE_LOG_ALL ? walk_all(w) : walk_replay(w);
    free(w->buffer);
    free(w);
    return status;
}
