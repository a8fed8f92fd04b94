/* SPDX-License-Identifier: Apache-2.0 */
/* info.c -- describe an image, open or merely probed. */
#include <stdio.h>
#include <string.h>

#include <vde/vde.h>

#include "base/checked.h"
#include "base/fail.h"
#include "pool/pool.h"

const char *vde_version(void)
{
    return "0.1.0";
}

static void add_features(struct vde_image_info *info, const struct label *label, const struct disk_feature_names *names)
{
    unsigned count = 0;
    const uint64_t words[3] = {label->compat, label->ro_compat, label->incompat};
    for (unsigned word = 0; word < 3; word++)
        for (unsigned bit = 0; bit < 64 && count < 8; bit++)
            if (words[word] >> bit & 1)
                feature_name(names, word, bit, info->features[count++], sizeof info->features[0]);
}

static void add_region(struct vde_image_info *info, const struct region *region)
{
    if (region->blocks == 0 || info->region_count == sizeof info->regions / sizeof info->regions[0])
        return;
    struct vde_region_info *r = &info->regions[info->region_count++];
    snprintf(r->name, sizeof r->name, "%s", region_name(region->kind));
    r->offset_bytes = region->block * BLOCK_BYTES;
    r->size_bytes = region->blocks * BLOCK_BYTES;
}

static void describe_label(struct vde_image_info *info, const struct label *label, const struct disk_feature_names *names)
{
    memcpy(info->uuid, label->uuid, sizeof info->uuid);
    info->size_bytes = layout_blocks(&label->layout) * BLOCK_BYTES;
    info->format_version = FORMAT_VERSION;
    info->created_us = label->created_us;
    add_features(info, label, names);
    for (unsigned i = 0; i < REGION_COUNT; i++)
        add_region(info, &label->layout.regions[i]);
    for (uint32_t i = 0; i < layout_growths(&label->layout); i++) {
        const struct growth *growth = &label->layout.growth[i];
        const struct region *regions[] = {&growth->index, &growth->bitmaps, &growth->heap, &growth->label};
        for (unsigned n = 0; n < 4; n++)
            add_region(info, regions[n]);
    }
    info->log_bytes = layout_region(&label->layout, REGION_LOG)->blocks * BLOCK_BYTES;
}

static void describe_superblock(struct vde_image_info *info, const struct superblock *sb)
{
    info->superblock_sequence = sb->sequence;
    info->epoch = sb->epoch;
    info->checkpoint_lsn = sb->checkpoint_lsn;
    info->log_start = sb->log_start;
    info->log_head = sb->log_start;
    info->used_bytes = sb->used_blocks * BLOCK_BYTES;
}

/* As df: what nobody can have any more, against all that anybody could have had. */
static void describe_fill(struct vde_image_info *info, uint64_t total)
{
    uint64_t all = total * BLOCK_BYTES - info->slop_bytes, taken = all - min_u64(all, info->free_bytes);
    info->fill_percent = all ? (uint32_t)((taken / BLOCK_BYTES * 100 + all / BLOCK_BYTES - 1) / (all / BLOCK_BYTES)) : 100;
    info->fill_warning = info->fill_percent >= 90 ? 90 : info->fill_percent >= 80 ? 80 : 0;
}

static void describe_space(struct vde_image *image, struct vde_image_info *info)
{
    struct space_counts counts;
    space_counts(image->space, &counts);
    lock_take(&image->views_lock);
    info->deferred_bytes = image->deferred_blocks * BLOCK_BYTES;
    lock_drop(&image->views_lock);
    uint64_t kept = counts.reserved + counts.volume_reserved + counts.slop;
    info->free_bytes = (counts.free > kept ? counts.free - kept : 0) * BLOCK_BYTES + info->deferred_bytes;
    info->used_bytes = (counts.total - counts.free) * BLOCK_BYTES - info->deferred_bytes;
    info->slop_bytes = counts.slop * BLOCK_BYTES;
    info->reserved_bytes = counts.volume_reserved * BLOCK_BYTES;
    describe_fill(info, counts.total);
}

void vde_image_info(vde_image *image, struct vde_image_info *ret_info)
{
    memset(ret_info, 0, sizeof *ret_info);
    describe_label(ret_info, &image->label, NULL);
    lock_take(&image->views_lock);
    describe_superblock(ret_info, &image->sb_published);
    lock_drop(&image->views_lock);
    image->device->ops->info(image->device, &ret_info->device);
    ret_info->superblock_copies = image->superblock_copies;
    ret_info->durable_lsn = image_durable_lsn(image);
    ret_info->read_only = image->read_only;
    ret_info->replayed_records = image->replayed_records;
    ret_info->replayed_bytes = image->replayed_bytes;
    ret_info->dropped_tail_lsn = image->dropped_tail_lsn;
    snprintf(ret_info->open_report, sizeof ret_info->open_report, "%s", image->open_report);
    if (image->read_only) {
        uint64_t total = layout_total(&image->label.layout);
        uint64_t slop = space_slop(total) * BLOCK_BYTES, spare = total * BLOCK_BYTES - ret_info->used_bytes;
        ret_info->slop_bytes = slop;
        ret_info->free_bytes = spare > slop ? spare - slop : 0;
        describe_fill(ret_info, total);
        ret_info->record_limit_bytes = ret_info->log_bytes / 8 - sizeof(struct disk_frame);
        return;
    }
    struct log_status status;
    log_status(image->log, &status);
    ret_info->log_head = status.head;
    ret_info->record_limit_bytes = log_record_limit(image->log);
    ret_info->poisoned = log_poisoned(image->log);
    describe_space(image, ret_info);
}

vde_status vde_image_probe(const char *path, struct vde_image_info *ret_info)
{
    struct vde_device *device;
    VDE_TRY(vde_device_open(path, "sync", VDE_DEVICE_READ_ONLY | VDE_DEVICE_NO_LOCK, 0, &device));
    struct label label;
    struct disk_feature_names names;
    struct superblock sb;
    uint32_t copies = 0;
    vde_status status = labels_read(device, &label, &names);
    if (status == VDE_OK)
        status = superblocks_read(device, &label, &sb, &copies);
    if (status == VDE_OK) {
        memset(ret_info, 0, sizeof *ret_info);
        describe_label(ret_info, &label, &names);
        describe_superblock(ret_info, &sb);
        ret_info->superblock_copies = copies;
        ret_info->read_only = true;
        device->ops->info(device, &ret_info->device);
    }
    struct vde_error error;
    error_save(&error);
    device->ops->close(device);
    error_restore(&error);
    return status;
}

void vde_image_counters(vde_image *image, struct vde_image_counters *ret_counters)
{
    memset(ret_counters, 0, sizeof *ret_counters);
    ret_counters->checkpoints = atomic_load(&image->checkpoints);
    ret_counters->heap_bytes_written = atomic_load(&image->heap_bytes);
    node_cache_counters(image->cache, &ret_counters->node_hits, &ret_counters->node_reads);
    if (!image->log)
        return;
    struct log_status status;
    log_status(image->log, &status);
    ret_counters->groups = status.groups;
    ret_counters->flushes = status.flushes + atomic_load(&image->flushes);
    ret_counters->log_bytes_written = status.bytes_written;
    ret_counters->commits = log_durable_lsn(image->log) - atomic_load(&image->read_lsn);
}
