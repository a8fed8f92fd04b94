/* SPDX-License-Identifier: Apache-2.0 */
/* volume_defrag.c -- rewrite what is scattered. A window is looked at, and when the blocks in it that nobody shares lie in
 * short pieces, they are read and written anew in long ones; what changes meanwhile stays as it is. Blocks that no checkpoint
 * has merged yet are left for later. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"
#include "dataset/volume.h"

#define WINDOW_BLOCKS 256u
#define UNITS (WINDOW_BLOCKS / BATCH_BLOCKS)
#define PIECE_BLOCKS 16u    /* a window is scattered when its pieces are shorter on the average */
#define SEGMENTS_MAX 16384u /* looked at in one call */

struct defrag {
    struct vde_volume *volume;
    struct reader *reader;
    struct volume_pin pin;
    uint64_t newest;            /* what was born up to here is shared with a snapshot or the origin */
    uint64_t end;               /* of the volume, in blocks */
    const uint64_t *requests;   /* it ends when the image's count is another; NULL: it does not */
    uint32_t segments;          /* looked at */
    uint8_t *raw;               /* of the window */
    uint32_t window_blocks;
    /* the window */
    uint64_t first;
    uint32_t count, pieces;
    uint64_t plain[WINDOW_BLOCKS / 64]; /* blocks to be rewritten, one by one */
    uint64_t packed[WINDOW_BLOCKS / 64]; /* first blocks of frames to be rewritten */
    uint32_t stored;            /* device blocks of what is to be rewritten */
    struct write_batch *batches[UNITS];
};

static bool disturbed(const struct defrag *defrag)
{
    return defrag->requests && atomic_load(&defrag->volume->image->requests) != *defrag->requests;
}

static bool has(const uint64_t *bits, uint32_t at) { return bits[at / 64] >> at % 64 & 1u; }
static void set(uint64_t *bits, uint32_t at) { bits[at / 64] |= 1ull << at % 64; }

/* --- what is shared ------------------------------------------------------------------------------------------------ */

/* The newest snapshot in the trees of a dataset or the image. */
static vde_status newest_merged(const struct map *catalog, uint64_t list, uint64_t *ret_newest)
{
    uint8_t key[CATALOG_KEY_MAX];
    struct tree_cursor *cursor;
    size_t size = key_lsn(key, list, UINT64_MAX);
    VDE_TRY(tree_cursor_open(catalog->store, catalog->tree, &catalog->root, &cursor));
    vde_status status = tree_cursor_seek_before(cursor, key, size);
    if (status == VDE_OK && tree_cursor_valid(cursor)) {
        const void *found;
        size_t found_size;
        struct tree_value value;
        tree_cursor_record(cursor, &found, &found_size, &value);
        if (found_size == size && memcmp(found, key, size - 8) == 0)
            *ret_newest = max_u64(*ret_newest, be64_get((const uint8_t *)found + size - 8));
    }
    tree_cursor_close(cursor);
    return status;
}

/* And those that are not in the trees yet: they share all that is. */
static void newest_pending(const struct map *catalog, uint64_t list, uint64_t *ret_newest)
{
    uint8_t key[CATALOG_KEY_MAX];
    size_t prefix = key_snapshot(key, list, 0) - 8;
    for (unsigned i = 0; i < 2; i++) {
        struct overlay_iterator iterator;
        struct overlay_entry entry;
        if (!catalog->overlays[i])
            continue;
        overlay_seek_within(&iterator, catalog->overlays[i], catalog->lsn, DATASET_CATALOG, key, prefix);
        for (; overlay_valid(&iterator); overlay_next(&iterator)) {
            overlay_entry(&iterator, &entry);
            if (entry.dataset != DATASET_CATALOG || entry.key_size < prefix || memcmp(entry.key, key, prefix) != 0)
                break;
            *ret_newest = max_u64(*ret_newest, entry.lsn);
        }
    }
}

static vde_status find_newest(struct defrag *defrag)
{
    struct vde_image *image = defrag->volume->image;
    uint64_t id = defrag->volume->shared->id;
    struct map catalog = map_catalog(defrag->pin.layers, &image->store, &image->label.layout, defrag->pin.lsn);
    struct dataset_record record;
    VDE_TRY(map_dataset_record(&catalog, id, &record));
    defrag->newest = record.origin_lsn;
    VDE_TRY(newest_merged(&catalog, id, &defrag->newest));
    VDE_TRY(newest_merged(&catalog, DATASET_CATALOG, &defrag->newest));
    newest_pending(&catalog, id, &defrag->newest);
    newest_pending(&catalog, DATASET_CATALOG, &defrag->newest);
    return VDE_OK;
}

/* --- a window ------------------------------------------------------------------------------------------------------ */

static void note_segment(struct defrag *defrag, const struct segment *segment, uint64_t *next_address)
{
    uint32_t at = (uint32_t)(segment->block - defrag->first);
    if (!segment->data || segment->birth == 0 || segment->birth <= defrag->newest)
        return;
    if (segment->compressed) {
        if (segment->block != segment->frame || segment->blocks != RUN_FRAME_BLOCKS)
            return;
        set(defrag->packed, at);
    } else {
        for (uint32_t i = 0; i < segment->blocks; i++)
            set(defrag->plain, at + i);
    }
    defrag->pieces += segment->address != *next_address;
    uint32_t stored = segment->compressed ? segment->stored : (uint32_t)segment->blocks;
    *next_address = segment->address + stored;
    defrag->stored += stored;
}

static vde_status map_window(struct defrag *defrag)
{
    uint64_t end = min_u64(defrag->end, defrag->first + defrag->window_blocks), next_address = 0;
    struct segment segment;
    defrag->pieces = defrag->stored = 0;
    memset(defrag->plain, 0, sizeof defrag->plain);
    memset(defrag->packed, 0, sizeof defrag->packed);
    for (uint64_t at = defrag->first; at < end; at += segment.blocks) {
        VDE_TRY(block_cursor_at(defrag->reader->cursor, at, end, &segment));
        note_segment(defrag, &segment, &next_address);
        defrag->segments++;
    }
    defrag->count = (uint32_t)(end - defrag->first);
    return VDE_OK;
}

/* Copy what is to be rewritten of one unit into a batch. */
static vde_status fill_unit(struct defrag *defrag, uint32_t unit)
{
    struct open_volume *shared = defrag->volume->shared;
    uint32_t at = unit * BATCH_BLOCKS, end = (uint32_t)min_u64(at + BATCH_BLOCKS, defrag->count);
    struct write_batch *batch;
    VDE_TRY(batch_take(defrag->volume->volumes, &batch));
    defrag->batches[unit] = batch;
    for (uint32_t i = at; i < end; i++) {
        const uint8_t *data = defrag->raw + (size_t)i * BLOCK_BYTES;
        if (has(defrag->packed, i))
            batch_add_frame(batch, shared, defrag->first + i, data, 0);
        else if (has(defrag->plain, i))
            batch_add(batch, shared, defrag->first + i, 1, data, 0);
    }
    uint64_t first = (defrag->first + at) / RUN_FRAME_BLOCKS * RUN_FRAME_BLOCKS;
    batch_expect(batch, shared, first, round_up(defrag->first + end, RUN_FRAME_BLOCKS) - first, &defrag->pin);
    return batch->unit_count > 0 ? batch_place(batch) : VDE_OK;
}

static vde_status place_window(struct defrag *defrag)
{
    uint32_t pieces = 0;
    VDE_TRY(reader_blocks(defrag->reader, defrag->volume, defrag->first, defrag->count, defrag->raw));
    for (uint32_t unit = 0; unit * BATCH_BLOCKS < defrag->count; unit++) {
        VDE_TRY(fill_unit(defrag, unit));
        pieces += defrag->batches[unit]->piece_count;
    }
    return pieces * 2 > defrag->pieces ? VDE_BUSY : VDE_OK; /* the free space is scattered as well */
}

static vde_status write_window(struct defrag *defrag, vde_status status, uint64_t *ret_blocks)
{
    for (uint32_t unit = 0; unit < UNITS; unit++) {
        struct write_batch *batch = defrag->batches[unit];
        if (!batch)
            continue;
        vde_status one = status == VDE_OK && batch->unit_count > 0 && !disturbed(defrag) ? batch_finish(batch) : VDE_BUSY;
        if (one == VDE_OK)
            *ret_blocks += batch->blocks;
        else if (one != VDE_BUSY && status == VDE_OK)
            status = one;
        batch_give(batch);
        defrag->batches[unit] = NULL;
    }
    return status;
}

/* --- a call -------------------------------------------------------------------------------------------------------- */

/* From `*block` on to the next scattered window, or the end; *ret_found: it is mapped. */
static vde_status find_window(struct defrag *defrag, uint64_t *block, bool *ret_found)
{
    struct segment segment;
    *ret_found = false;
    VDE_TRY(reader_set(defrag->reader, &defrag->pin.map));
    while (*block < defrag->end && defrag->segments < SEGMENTS_MAX && !disturbed(defrag)) {
        VDE_TRY(block_cursor_at(defrag->reader->cursor, *block, defrag->end, &segment));
        defrag->segments++;
        if (!segment.data) {
            *block += segment.blocks;
            continue;
        }
        defrag->first = *block / RUN_FRAME_BLOCKS * RUN_FRAME_BLOCKS;
        VDE_TRY(map_window(defrag));
        *block = defrag->first + defrag->count;
        *ret_found = defrag->pieces * PIECE_BLOCKS > defrag->stored && defrag->pieces > 1;
        if (*ret_found)
            return VDE_OK;
    }
    return VDE_OK;
}

static vde_status one_window(struct defrag *defrag, uint64_t *block, uint64_t *ret_read, uint64_t *ret_written)
{
    bool found = false;
    VDE_TRY(volume_pin(defrag->volume, &defrag->pin));
    vde_status status = find_newest(defrag);
    if (status == VDE_OK)
        status = find_window(defrag, block, &found);
    if (status == VDE_OK && found)
        status = place_window(defrag);
    volume_unpin(defrag->volume, &defrag->pin);
    *ret_read = found ? defrag->count : 0;
    if (found)
        status = write_window(defrag, status, ret_written);
    return status == VDE_BUSY ? VDE_OK : status;
}

static vde_status run(struct defrag *defrag, uint64_t *block, uint64_t limit, uint64_t *ret_written)
{
    uint64_t read = 0, left = limit;
    while (*block < defrag->end && left > 0 && defrag->segments < SEGMENTS_MAX && !disturbed(defrag)) {
        defrag->window_blocks = (uint32_t)round_up(min_u64(left, WINDOW_BLOCKS), RUN_FRAME_BLOCKS); /* else it stands still */
        VDE_TRY(one_window(defrag, block, &read, ret_written));
        left -= min_u64(left, read);
    }
    return VDE_OK;
}

vde_status volume_defrag(struct vde_volume *volume, uint64_t *block, uint64_t limit, const uint64_t *requests,
                         uint64_t *ret_blocks)
{
    struct defrag defrag = {.volume = volume, .requests = requests, .end = div_up(volume_bytes(volume), BLOCK_BYTES)};
    *ret_blocks = 0;
    defrag.raw = aligned_alloc(BLOCK_BYTES, WINDOW_BLOCKS * BLOCK_BYTES);
    if (!defrag.raw)
        return fail_nomem("volume defragmentation");
    vde_status status = reader_take(volume->volumes, &defrag.reader);
    if (status == VDE_OK) {
        status = run(&defrag, block, limit, ret_blocks);
        reader_give(volume->volumes, defrag.reader);
    }
    free(defrag.raw);
    if (*block >= defrag.end)
        *block = 0;
    return status;
}

vde_status vde_volume_defrag(vde_volume *volume, uint64_t *offset, uint64_t limit_bytes, uint64_t *ret_bytes)
{
    uint64_t block = *offset / BLOCK_BYTES, blocks;
    *ret_bytes = 0;
    VDE_TRY(volume_check(volume, 0, 0, true));
    vde_status status = volume_defrag(volume, &block, max_u64(limit_bytes / BLOCK_BYTES, 1), NULL, &blocks);
    *offset = block * BLOCK_BYTES;
    *ret_bytes = blocks * BLOCK_BYTES;
    return status;
}
