/* SPDX-License-Identifier: Apache-2.0 */
/* info.c -- describe an image, open or merely probed. */
#include <stdio.h>
#include <string.h>

#include <vde/vde.h>

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

static void describe_label(struct vde_image_info *info, const struct label *label, const struct disk_feature_names *names)
{
    memcpy(info->uuid, label->uuid, sizeof info->uuid);
    info->size_bytes = label->layout.blocks * BLOCK_BYTES;
    info->format_version = FORMAT_VERSION;
    info->created_us = label->created_us;
    add_features(info, label, names);
    info->region_count = REGION_COUNT;
    for (unsigned i = 0; i < REGION_COUNT; i++) {
        const struct region *r = &label->layout.regions[i];
        snprintf(info->regions[i].name, sizeof info->regions[i].name, "%s", region_name(r->kind));
        info->regions[i].offset_bytes = r->block * BLOCK_BYTES;
        info->regions[i].size_bytes = r->blocks * BLOCK_BYTES;
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

static void describe_space(struct vde_image *image, struct vde_image_info *info)
{
    struct space_counts counts;
    space_counts(image->space, &counts);
    lock_take(&image->views_lock);
    info->deferred_bytes = image->deferred_blocks * BLOCK_BYTES;
    lock_drop(&image->views_lock);
    uint64_t kept = counts.reserved + counts.slop;
    info->free_bytes = (counts.free > kept ? counts.free - kept : 0) * BLOCK_BYTES + info->deferred_bytes;
    info->used_bytes = (counts.total - counts.free) * BLOCK_BYTES - info->deferred_bytes;
    info->slop_bytes = counts.slop * BLOCK_BYTES;
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
        uint64_t total = layout_region(&image->label.layout, REGION_HEAP)->blocks +
                         layout_region(&image->label.layout, REGION_HISTORY)->blocks;
        uint64_t slop = space_slop(total) * BLOCK_BYTES, spare = total * BLOCK_BYTES - ret_info->used_bytes;
        ret_info->slop_bytes = slop;
        ret_info->free_bytes = spare > slop ? spare - slop : 0;
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
