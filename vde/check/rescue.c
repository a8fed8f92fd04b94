/* SPDX-License-Identifier: Apache-2.0 */
/* rescue.c -- salvage from the outside: open, scan, find the catalog, hand out what it leads to. */
#include "check/rescue.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/checksum.h"
#include "base/compress.h"
#include "base/fail.h"

vde_status rescue_grow(void **array, size_t *capacity, size_t count, size_t size)
{
    if (count < *capacity)
        return VDE_OK;
    size_t wanted = *capacity ? *capacity * 2 : 256;
    void *grown = realloc(*array, wanted * size);
    if (!grown)
        return fail_nomem("rescue");
    *array = grown;
    *capacity = wanted;
    return VDE_OK;
}

/* --- items ---------------------------------------------------------------------------------------------------------- */

vde_status rescue_begin(struct rescue *r, const struct vde_rescue_item *item)
{
    r->item = *item;
    return r->sink->begin(r->sink->context, &r->item);
}

vde_status rescue_data(struct rescue *r, uint64_t offset, const void *bytes, size_t size)
{
    r->item.good_bytes += bytes ? size : 0;
    return size ? r->sink->data(r->sink->context, offset, bytes, size) : VDE_OK;
}

vde_status rescue_missing(struct rescue *r, uint64_t offset, uint64_t size, const char *why)
{
    r->item.missing_bytes += size;
    r->item.gaps |= size == 0;
    return r->sink->missing(r->sink->context, offset, size, why);
}

vde_status rescue_end(struct rescue *r)
{
    r->summary.volumes += r->item.kind == VDE_RESCUE_VOLUME;
    r->summary.files += r->item.kind == VDE_RESCUE_FILE;
    r->summary.entries += r->item.kind == VDE_RESCUE_ENTRY;
    r->summary.maps += r->item.kind == VDE_RESCUE_MAP;
    r->summary.incomplete += r->item.missing_bytes || r->item.gaps || r->item.loose;
    return r->sink->end(r->sink->context, &r->item);
}

vde_status rescue_read(struct rescue *r, uint64_t address, uint64_t blocks, bool *ret_good)
{
    *ret_good = false;
    if (blocks == 0 || blocks > RESCUE_BUFFER / BLOCK_BYTES || address >= r->source.device_blocks ||
        blocks > r->source.device_blocks - address)
        return VDE_OK;
    vde_status status = source_read(&r->source, address, r->buffer, blocks);
    *ret_good = status == VDE_OK;
    return status == VDE_IO ? VDE_OK : status;
}

vde_status rescue_extent(struct rescue *r, struct ptr p, bool *ret_good)
{
    VDE_TRY(rescue_read(r, p.address, p.blocks, ret_good));
    *ret_good = *ret_good && p.bytes <= (uint64_t)p.blocks * BLOCK_BYTES &&
                checksum(r->buffer, p.bytes, r->source.seed ^ p.address) == p.checksum;
    return VDE_OK;
}

static vde_status gather(struct rescue *r, const uint8_t *value, uint8_t *stored, size_t size, bool *ret_good)
{
    size_t done = 0;
    for (unsigned i = 0; i < value_extents(VALUE_SPILLED, value); i++) {
        struct ptr p = value_extent(VALUE_SPILLED, value, i);
        VDE_TRY(rescue_extent(r, p, ret_good));
        if (!*ret_good || p.bytes > size - done) {
            *ret_good = false;
            return VDE_OK;
        }
        memcpy(stored + done, r->buffer, p.bytes);
        done += p.bytes;
    }
    *ret_good = done == size;
    return VDE_OK;
}

vde_status rescue_spilled(struct rescue *r, const struct op *op, uint8_t **ret_bytes, size_t *ret_size)
{
    struct disk_spill spill;
    *ret_bytes = NULL;
    *ret_size = 0;
    if (value_verify(VALUE_SPILLED, op->value, op->value_size, r->source.device_blocks, "value") != VDE_OK)
        return VDE_OK;
    memcpy(&spill, op->value, sizeof spill);
    size_t raw = le64_get(spill.raw_bytes), size = le64_get(spill.stored_bytes);
    uint8_t *stored = malloc(size), *bytes = spill.compression ? malloc(raw) : NULL;
    bool good = false;
    vde_status status = stored && (bytes || !spill.compression) ? gather(r, op->value, stored, size, &good)
                                                                : fail_nomem("rescue");
    if (good && bytes)
        good = compress_unpack(bytes, raw, stored, size, "value") == VDE_OK;
    *ret_size = raw;
    if (status == VDE_OK && good)
        *ret_bytes = bytes ? bytes : stored;
    if (*ret_bytes != stored)
        free(stored);
    if (*ret_bytes != bytes)
        free(bytes);
    return status;
}

/* --- the whole ------------------------------------------------------------------------------------------------------ */

static vde_status run(struct rescue *r)
{
    r->buffer = aligned_alloc(BLOCK_BYTES, RESCUE_BUFFER);
    if (!r->buffer)
        return fail_nomem("rescue");
    r->summary.label = r->source.has_label;
    r->summary.superblock = r->source.has_superblock;
    VDE_TRY(rescue_scan(r));
    if (r->node_count == 0)
        return fail_corrupt("device|no tree node of any image|at least one");
    VDE_TRY(rescue_catalog(r));
    VDE_TRY(rescue_count_log(r));
    VDE_TRY(rescue_volumes(r));
    VDE_TRY(rescue_files(r));
    VDE_TRY(rescue_streams(r));
    return rescue_maps(r);
}

static vde_status finish(struct rescue *r, vde_status status, struct vde_rescue_summary *ret_summary)
{
    if (status == VDE_OK) {
        status = run(r);
        source_close(&r->source);
    }
    if (status == VDE_OK)
        *ret_summary = r->summary;
    free(r->nodes);
    free(r->frames);
    free(r->datasets);
    free(r->buffer);
    free(r->frame);
    return status;
}

vde_status vde_rescue(const char *path, const char *backend, const struct vde_rescue_sink *sink,
                      struct vde_rescue_summary *ret_summary)
{
    struct rescue r = {.sink = sink};
    vde_status status = source_open(&r.source, path, backend, false);
    return finish(&r, status, ret_summary);
}

vde_status vde_rescue_device(struct vde_device *device, const struct vde_rescue_sink *sink,
                             struct vde_rescue_summary *ret_summary)
{
    struct rescue r = {.sink = sink};
    vde_status status = source_init(&r.source, device);
    return finish(&r, status, ret_summary);
}
