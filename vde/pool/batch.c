/* SPDX-License-Identifier: Apache-2.0 */
/* batch.c -- pack and unpack history batches. */
#include "pool/batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/checksum.h"
#include "base/compress.h"
#include "base/fail.h"
#include "pool/txn.h"

#define COMPRESSION_LEVEL 3

vde_status batch_header(enum value_kind kind, const uint8_t *value, size_t size, struct disk_batch *ret_header,
                        const uint8_t **ret_payload, size_t *ret_payload_size)
{
    size_t skip = kind == VALUE_EXTENT ? sizeof(struct disk_ptr) : 0;
    if ((kind != VALUE_INLINE && kind != VALUE_EXTENT) || size < skip + sizeof *ret_header)
        return fail_corrupt("history batch|kind %d of %zu bytes|a batch", (int)kind, size);
    memcpy(ret_header, value + skip, sizeof *ret_header);
    uint32_t count = le32_get(ret_header->count), raw = le32_get(ret_header->raw_bytes);
    uint32_t stored = le32_get(ret_header->stored_bytes);
    *ret_payload = value + skip + sizeof *ret_header;
    *ret_payload_size = size - skip - sizeof *ret_header;
    if (count == 0 || count > BATCH_COUNT_MAX || raw < count * sizeof(struct disk_batch_entry) ||
        raw > 2 * BATCH_RAW_MAX + count * sizeof(struct disk_batch_entry) || ret_header->compression > 1 ||
        (ret_header->compression == 0 && raw != stored) || stored > compress_bound(raw) ||
        *ret_payload_size != (kind == VALUE_INLINE ? stored : 0))
        return fail_corrupt("history batch|%u entries, %u bytes, %u stored|a legal header", count, raw, stored);
    return VDE_OK;
}

struct disk_batch_entry batch_entry(const struct batch *batch, uint32_t index)
{
    struct disk_batch_entry entry;
    memcpy(&entry, batch->raw + index * sizeof entry, sizeof entry);
    return entry;
}

void batch_done(struct batch *batch)
{
    free(batch->raw);
    free(batch->offsets);
    *batch = (struct batch){0};
}

static vde_status load_extent(const struct tree_store *store, const uint8_t *value, const struct disk_batch *header,
                              uint8_t **ret_payload)
{
    struct disk_ptr disk;
    memcpy(&disk, value, sizeof disk);
    struct ptr p = ptr_get(&disk);
    uint32_t stored = le32_get(header->stored_bytes);
    if (p.bytes != stored || p.blocks != div_up(stored, BLOCK_BYTES))
        return fail_corrupt("history batch at block %llu|%u bytes in %u blocks|%u bytes",
                            (unsigned long long)p.address, p.bytes, p.blocks, stored);
    uint8_t *buffer = aligned_alloc(BLOCK_BYTES, (size_t)p.blocks * BLOCK_BYTES);
    if (!buffer)
        return fail_nomem("history batch");
    vde_status status = store->read(store->context, p, buffer);
    if (status == VDE_OK && checksum(buffer, p.bytes, store->seed ^ p.address) != p.checksum)
        status = fail_corrupt("history batch at block %llu|a wrong checksum|%016llx", (unsigned long long)p.address,
                              (unsigned long long)p.checksum);
    if (status != VDE_OK) {
        free(buffer);
        return status;
    }
    *ret_payload = buffer;
    return VDE_OK;
}

/* Check sizes inside the raw payload and remember where each entry's bytes are. */
static vde_status index_batch(struct batch *batch, uint32_t raw_bytes, const char *object)
{
    batch->offsets = malloc(batch->count * sizeof *batch->offsets);
    if (!batch->offsets)
        return fail_nomem("history batch");
    uint64_t at = batch->count * sizeof(struct disk_batch_entry);
    for (uint32_t i = 0; i < batch->count; i++) {
        batch->offsets[i] = (uint32_t)at;
        at += le32_get(batch_entry(batch, i).size);
        if (at > raw_bytes)
            break;
    }
    if (at != raw_bytes)
        return fail_corrupt("%s|entries of %llu bytes|%u", object, (unsigned long long)at, raw_bytes);
    return VDE_OK;
}

vde_status batch_read(const struct tree_store *store, uint64_t stream, uint64_t first, enum value_kind kind,
                      const uint8_t *value, size_t size, struct batch *ret_batch)
{
    char object[96];
    snprintf(object, sizeof object, "stream %llu history from %llu", (unsigned long long)stream,
             (unsigned long long)first);
    struct disk_batch header;
    const uint8_t *payload;
    size_t payload_size;
    VDE_TRY(batch_header(kind, value, size, &header, &payload, &payload_size));
    uint8_t *loaded = NULL;
    if (kind == VALUE_EXTENT) {
        VDE_TRY(load_extent(store, value, &header, &loaded));
        payload = loaded;
    }
    uint32_t raw_bytes = le32_get(header.raw_bytes);
    struct batch batch = {.first = first, .count = le32_get(header.count), .raw = malloc(raw_bytes)};
    vde_status status = batch.raw ? VDE_OK : fail_nomem("history batch");
    if (status == VDE_OK && header.compression)
        status = compress_unpack(batch.raw, raw_bytes, payload, le32_get(header.stored_bytes), object);
    else if (status == VDE_OK)
        memcpy(batch.raw, payload, raw_bytes);
    if (status == VDE_OK)
        status = index_batch(&batch, raw_bytes, object);
    free(loaded);
    if (status != VDE_OK) {
        batch_done(&batch);
        return status;
    }
    *ret_batch = batch;
    return VDE_OK;
}

/* Lay the entries out uncompressed. */
static uint8_t *flatten(const struct overlay_entry *entries, uint32_t count, struct disk_batch *header,
                        uint32_t *ret_size)
{
    size_t size = count * sizeof(struct disk_batch_entry);
    for (uint32_t i = 0; i < count; i++)
        size += entries[i].value_size - sizeof(struct disk_log_entry);
    uint8_t *raw = malloc(size);
    if (!raw)
        return NULL;
    size_t at = count * sizeof(struct disk_batch_entry);
    for (uint32_t i = 0; i < count; i++) {
        struct disk_log_entry head;
        memcpy(&head, entries[i].value, sizeof head);
        size_t bytes = entries[i].value_size - sizeof head;
        struct disk_batch_entry entry = {le64(entries[i].lsn), head.time_us, le32((uint32_t)bytes), head.flags};
        memcpy(raw + i * sizeof entry, &entry, sizeof entry);
        if (bytes)
            memcpy(raw + at, entries[i].value + sizeof head, bytes);
        at += bytes;
        if (i == 0)
            header->first_time_us = head.time_us;
        header->last_time_us = head.time_us;
    }
    *ret_size = (uint32_t)size;
    return raw;
}

static vde_status write_extent(const struct tree_writer *writer, const uint8_t *payload, uint32_t stored,
                               struct disk_ptr *ret_ptr)
{
    uint32_t blocks = (uint32_t)div_up(stored, BLOCK_BYTES);
    uint64_t address;
    VDE_TRY(writer->allocate(writer->context, blocks, &address));
    uint8_t *buffer = aligned_alloc(BLOCK_BYTES, (size_t)blocks * BLOCK_BYTES);
    if (!buffer)
        return fail_nomem("history batch");
    memcpy(buffer, payload, stored);
    memset(buffer + stored, 0, (size_t)blocks * BLOCK_BYTES - stored);
    struct ptr p = {address, blocks, stored, writer->birth,
                    checksum(buffer, stored, writer->store->seed ^ address)};
    vde_status status = writer->write(writer->context, address, buffer, blocks);
    free(buffer);
    *ret_ptr = ptr_put(p);
    return status;
}

vde_status batch_pack(const struct tree_writer *writer, const struct overlay_entry *entries, uint32_t count,
                      uint8_t *value, size_t *ret_size, enum value_kind *ret_kind)
{
    struct disk_batch header;
    memset(&header, 0, sizeof header);
    uint32_t raw_size;
    uint8_t *raw = flatten(entries, count, &header, &raw_size);
    uint8_t *packed = raw ? malloc(compress_bound(raw_size)) : NULL;
    if (!packed) {
        free(raw);
        return fail_nomem("history batch");
    }
    size_t stored = compress_pack(packed, raw_size, raw, raw_size, COMPRESSION_LEVEL);
    const uint8_t *payload = stored ? packed : raw;
    header.compression = stored != 0;
    if (!stored)
        stored = raw_size;
    header.count = le32(count);
    header.raw_bytes = le32(raw_size);
    header.stored_bytes = le32((uint32_t)stored);
    vde_status status = VDE_OK;
    if (sizeof header + stored <= BATCH_INLINE_MAX) {
        *ret_kind = VALUE_INLINE;
        memcpy(value, &header, sizeof header);
        memcpy(value + sizeof header, payload, stored);
        *ret_size = sizeof header + stored;
    } else {
        struct disk_ptr p;
        status = write_extent(writer, payload, (uint32_t)stored, &p);
        *ret_kind = VALUE_EXTENT;
        memcpy(value, &p, sizeof p);
        memcpy(value + sizeof p, &header, sizeof header);
        *ret_size = sizeof p + sizeof header;
    }
    free(packed);
    free(raw);
    return status;
}

/* In the overlays each entry is a record of its own; in the tree the last batch tells. */
vde_status stream_last(const struct map *history, uint64_t stream, uint64_t *ret_number, uint64_t *ret_time_us)
{
    uint8_t key[16];
    size_t key_size = key_stream(key, stream, UINT64_MAX);
    for (unsigned i = 0; i < 2; i++) {
        struct overlay_iterator iterator;
        struct overlay_entry entry;
        struct disk_log_entry head;
        if (!history->overlays[i])
            continue;
        overlay_seek_before(&iterator, history->overlays[i], history->lsn, DATASET_HISTORY, key, key_size);
        if (!overlay_valid(&iterator))
            continue;
        overlay_entry(&iterator, &entry);
        if (entry.dataset != DATASET_HISTORY || be64_get(entry.key) != stream || entry.value_size < sizeof head)
            continue;
        memcpy(&head, entry.value, sizeof head);
        *ret_number = be64_get(entry.key + 8);
        *ret_time_us = le64_get(head.time_us);
        return VDE_OK;
    }
    struct tree_cursor *cursor;
    VDE_TRY(tree_cursor_open(history->store, DATASET_HISTORY, &history->root, &cursor));
    vde_status status = tree_cursor_seek_before(cursor, key, key_size);
    if (status == VDE_OK) {
        status = VDE_NOT_FOUND;
        const void *found;
        size_t found_size;
        struct tree_value value;
        struct disk_batch header;
        const uint8_t *payload;
        size_t payload_size;
        if (tree_cursor_valid(cursor)) {
            tree_cursor_record(cursor, &found, &found_size, &value);
            if (found_size == 16 && be64_get(found) == stream) {
                status = batch_header(value.kind, value.data, value.size, &header, &payload, &payload_size);
                if (status == VDE_OK) {
                    *ret_number = be64_get((const uint8_t *)found + 8) + le32_get(header.count) - 1;
                    *ret_time_us = le64_get(header.last_time_us);
                }
            }
        }
    }
    tree_cursor_close(cursor);
    return status;
}
